//! Writing files, and changing their size. Data goes to its place at once, in runs as long as the free space allows; the inode and the
//! tree follow with the transaction, so that after a crash no block shows what it held before.

use crate::cache::{write_disk, write_disk_pieces};
use crate::error::corrupt;
use crate::inline::INLINE_MIN;
use crate::inode::{flag, Inode, Time, TimeField};
use crate::map::{Mapping, State};
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// Bytes written in one operation at most.
const CHUNK: usize = 32 << 20;
/// What goes around the data in blocks that are new: no more than a block.
static ZEROES: [u8; 65536] = [0; 65536];

impl Ext4 {
    /// Writes to a regular file, which grows as needed. Answers the bytes written: fewer only if there is no room for more.
    ///
    /// # Errors
    /// `EFBIG` past the largest size; `ENOSPC` if nothing could be written; `EISDIR`, `EINVAL` if it is no regular file; `ENOKEY` if it
    /// is encrypted; `EPERM` if it is immutable or sealed by verity; `EROFS`, `EIO`, `EUCLEAN`.
    pub fn write(&mut self, ino: u32, offset: u64, data: &[u8], now: Time) -> Result<usize> {
        let mut done = 0;
        let mut most = CHUNK;
        while done < data.len() || data.is_empty() {
            let part = data.get(done..data.len().min(done + most)).unwrap_or(&[]);
            match self.op(now, |fs| fs.write_part(ino, offset + done as u64, part)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::ENOSPC) => {
                    // An operation happens as a whole: a shorter one may still have room.
                    let first = self.sb.block_size - (offset + done as u64) as usize % self.sb.block_size;
                    match part.len() {
                        len if len > first => most = (len / 2 / self.sb.block_size * self.sb.block_size).max(first),
                        _ if done > 0 => break,
                        _ => return Err(Errno::ENOSPC),
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// The same for data that was in memory for a while: the times of the file stay as they are.
    ///
    /// # Errors
    /// As [`Ext4::write`].
    pub fn write_back(&mut self, ino: u32, offset: u64, data: &[u8]) -> Result<usize> {
        self.keep_times = true;
        let done = self.write(ino, offset, data, self.now);
        self.keep_times = false;
        done
    }

    /// Checks that the content of an inode can be changed.
    pub(crate) fn content_inode(&mut self, ino: u32) -> Result<Inode> {
        let inode = self.inode(ino)?;
        if inode.is_dir() {
            return Err(Errno::EISDIR);
        }
        if !inode.is_reg() {
            return Err(Errno::EINVAL);
        }
        if inode.has(flag::ENCRYPT) {
            tracing::warn!(target: "lkl::ext4", ino, "an encrypted file is not written");
            return Err(Errno::ENOKEY);
        }
        if inode.has(flag::VERITY) || inode.has(flag::IMMUTABLE) && !self.keep_times {
            return Err(Errno::EPERM);
        }
        Ok(inode)
    }

    fn write_part(&mut self, ino: u32, offset: u64, data: &[u8]) -> Result<usize> {
        let mut inode = self.content_inode(ino)?;
        // What comes from a cache of pages begins where a page does; who wrote it was judged before.
        if inode.has(flag::APPEND) && offset < inode.size() && !self.keep_times {
            return Err(Errno::EPERM);
        }
        let max = self.sb.max_file_size(inode.has(flag::EXTENTS));
        if offset >= max && !data.is_empty() {
            return Err(Errno::EFBIG);
        }
        let len = (max.saturating_sub(offset)).min(data.len() as u64) as usize;
        let Some(data) = data.get(..len).filter(|d| !d.is_empty()) else { return Ok(0) };
        let end = offset + len as u64;
        let written = if self.write_inline(&mut inode, offset, data)? {
            len
        } else {
            self.write_blocks(&mut inode, offset, data)?
        };
        let end = end - (len - written) as u64;
        if end > inode.size() {
            self.resize(&mut inode, end);
        }
        if !self.keep_times {
            self.touch(&mut inode);
        }
        self.put_inode(&mut inode)?;
        Ok(written)
    }

    /// Sets the size in an inode, and the feature that large sizes need.
    pub(crate) fn resize(&mut self, inode: &mut Inode, size: u64) {
        use crate::features::RoCompat;
        inode.set_size(size);
        if size > i32::MAX as u64 {
            self.sb.ro_compat |= RoCompat::LARGE_FILE;
        }
    }

    /// Content and inode have changed now.
    pub(crate) fn touch(&self, inode: &mut Inode) {
        inode.set_time(TimeField::Modify, self.now);
        inode.set_time(TimeField::Change, self.now);
    }

    /// Writes into a file's blocks, taking those that are missing. Answers the bytes written.
    pub(crate) fn write_blocks(&mut self, inode: &mut Inode, offset: u64, data: &[u8]) -> Result<usize> {
        let bs = self.sb.block_size as u64;
        let mut done = 0usize;
        while done < data.len() {
            let at = offset + done as u64;
            let lblk = u32::try_from(at / bs).map_err(|_| Errno::EFBIG)?;
            let left = data.get(done..).unwrap_or(&[]);
            let blocks = (at % bs + left.len() as u64).div_ceil(bs);
            let mut map = self.map(inode, lblk)?;
            let fresh = !matches!(map.state, State::Written(_));
            if map.state == State::Hole {
                map = self.fill_hole(inode, map, blocks, false)?;
            }
            let map = Mapping { len: map.len.min(blocks), ..map };
            let len = (map.len * bs - at % bs).min(left.len() as u64) as usize;
            let Some(place) = map.place() else { return Err(Errno::EIO) };
            if self.is_system(place, map.len)? {
                return Err(corrupt(place, format_args!("inode {} has a block of the file system's own", inode.ino)));
            }
            self.write_run(place, (at % bs) as usize, left.get(..len).unwrap_or(&[]), fresh)?;
            if let State::Unwritten(_) = map.state {
                self.extent_mark(inode, u64::from(lblk), u64::from(lblk) + map.len, false)?;
            }
            done += len;
        }
        Ok(done)
    }

    /// Writes `data` into blocks from `place` on, `skip` bytes into the first. In fresh blocks the rest is zeroes.
    fn write_run(&mut self, place: u64, skip: usize, data: &[u8], fresh: bool) -> Result<()> {
        let bs = self.sb.block_size;
        let disk = self.cache.disk.clone();
        let start = place * bs as u64;
        let tail = (skip + data.len()).next_multiple_of(bs) - skip - data.len();
        self.unflushed = true;
        self.cache.written_around(place, ((skip + data.len()).div_ceil(bs)) as u64);
        if fresh && skip == 0 && self.gather(start, data, tail)? {
            return Ok(());
        }
        self.write_gathered()?;
        if !fresh || (skip == 0 && tail == 0) {
            return write_disk(&*disk, data, start + skip as u64);
        }
        let zeroes = |len| ZEROES.get(..len).unwrap_or(&[]);
        write_disk_pieces(&*disk, &[zeroes(skip), data, zeroes(tail)], start)
    }

    /// Writes zeroes over those bytes of a range, within one block, that are data.
    pub(super) fn zero_in_block(&mut self, inode: &Inode, from: u64, to: u64) -> Result<()> {
        let bs = self.sb.block_size as u64;
        let Ok(lblk) = u32::try_from(from / bs) else { return Ok(()) };
        if from >= to {
            return Ok(());
        }
        if let State::Written(place) = self.map(inode, lblk)?.state {
            if self.is_system(place, 1)? {
                return Err(corrupt(place, format_args!("inode {} has a block of the file system's own", inode.ino)));
            }
            let zeroes = vec![0; (to - from) as usize];
            self.write_run(place, (from % bs) as usize, &zeroes, false)?;
        }
        Ok(())
    }

    /// Sets the size of a regular file.
    ///
    /// # Errors
    /// As [`Ext4::write`].
    pub fn truncate(&mut self, ino: u32, size: u64, now: Time) -> Result<()> {
        let done = self.op(now, |fs| {
            let mut inode = fs.content_inode(ino)?;
            if inode.has(flag::APPEND) {
                return Err(Errno::EPERM);
            }
            if size > fs.sb.max_file_size(inode.has(flag::EXTENTS)) {
                return Err(Errno::EFBIG);
            }
            if inode.has(flag::INLINE_DATA) && fs.truncate_inline(&mut inode, size)? {
                return Ok(true);
            }
            let bs = fs.sb.block_size as u64;
            let shrinks = size < inode.size();
            if shrinks {
                fs.zero_in_block(&inode, size, size.next_multiple_of(bs).min(inode.size()))?;
            }
            fs.resize(&mut inode, size);
            fs.touch(&mut inode);
            // Blocks kept past the end go as well.
            let done = !shrinks && size > 0 || fs.unmap(&mut inode, size.div_ceil(bs), 1 << 32, false)?;
            if !done {
                fs.add_orphan(&mut inode)?;
            }
            fs.put_inode(&mut inode)?;
            Ok(done)
        })?;
        if done {
            return Ok(());
        }
        while !self.op(now, |fs| {
            let mut inode = fs.inode(ino)?;
            let bs = fs.sb.block_size as u64;
            let from = inode.size().div_ceil(bs);
            let done = fs.unmap(&mut inode, from, 1 << 32, false)?;
            if done {
                fs.remove_orphan(&mut inode)?;
            }
            fs.put_inode(&mut inode)?;
            Ok(done)
        })? {}
        Ok(())
    }

    /// Writes into a file whose content is (or can be) in its inode. Answers whether that was possible; if not, the content is in blocks
    /// now.
    pub(super) fn write_inline(&mut self, inode: &mut Inode, offset: u64, data: &[u8]) -> Result<bool> {
        use crate::features::Incompat;
        let end = offset + data.len() as u64;
        let inline = inode.has(flag::INLINE_DATA);
        let can_be = self.sb.has(Incompat::INLINE_DATA) && inode.size() == 0 && self.sectors(inode) == 0;
        let possible = inline || can_be && inode.xattr_start().is_some();
        if !possible {
            return Ok(false);
        }
        let room = self.inline_room(inode)?;
        if end > room as u64 || (!inline && inode.has(flag::EXTENTS) && self.map(inode, 0)?.state != State::Hole) {
            if inline {
                self.inline_to_blocks(inode)?;
            }
            return Ok(false);
        }
        let mut content = if inline { self.inline_data(inode)? } else { Vec::new() };
        content.resize((end as usize).max(inode.size() as usize), 0);
        crate::bytes::put_bytes(&mut content, offset as usize, data);
        self.put_inline(inode, &content)?;
        Ok(true)
    }

    /// Cuts or extends content in the inode. Answers whether that was possible; if not, it is in blocks now.
    fn truncate_inline(&mut self, inode: &mut Inode, size: u64) -> Result<bool> {
        if size > self.inline_room(inode)? as u64 {
            self.inline_to_blocks(inode)?;
            return Ok(false);
        }
        let mut content = self.inline_data(inode)?;
        content.truncate(inode.size() as usize);
        content.resize(size as usize, 0);
        self.put_inline(inode, &content)?;
        inode.set_size(size);
        self.touch(inode);
        self.put_inode(inode)?;
        Ok(true)
    }

    /// Puts content that is in the inode into blocks.
    pub(crate) fn inline_to_blocks(&mut self, inode: &mut Inode) -> Result<()> {
        let mut content = self.inline_data(inode)?;
        content.truncate(inode.size() as usize);
        self.drop_inline(inode)?;
        self.write_blocks(inode, 0, &content).and_then(|n| if n == content.len() { Ok(()) } else { Err(Errno::ENOSPC) })
    }

    /// Bytes of content that the inode could hold.
    pub(crate) fn inline_room(&mut self, inode: &Inode) -> Result<usize> {
        Ok(INLINE_MIN + self.xattr_room(inode, &crate::xattr::INLINE)?)
    }
}
