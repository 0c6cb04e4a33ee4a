//! What files hold: reading, symbolic links, where data and holes are. `change` writes.

mod change;
pub(crate) mod space;
pub(crate) mod whole;

use crate::bytes::cut;
use crate::error::corrupt;
use crate::inode::{flag, kind, Inode};
use crate::map::State;
use crate::vfs::inode::Part;
use crate::Ext4;
use lkl_abi::{Errno, Result};

impl Ext4 {
    /// Fills `buf` from a file's blocks; holes, and what was never written, read as zeroes. Knows nothing of the file's size.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn read_mapped(&mut self, inode: &Inode, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.write_gathered()?;
        let bs = self.sb.block_size as u64;
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let left = (buf.len() - done) as u64;
            let Ok(lblk) = u32::try_from(at / bs) else {
                buf.get_mut(done..).unwrap_or(&mut []).fill(0);
                return Ok(());
            };
            let map = self.map(inode, lblk)?;
            let skip = at % bs;
            let len = (map.len.saturating_mul(bs) - skip).min(left) as usize;
            let Some(part) = buf.get_mut(done..done + len) else { return Err(Errno::EIO) };
            match map.state {
                State::Written(place) => self.cache.read_through(part, place * bs + skip)?,
                _ => part.fill(0),
            }
            done += len;
        }
        Ok(())
    }

    /// Reads a file. Answers the bytes read: fewer than asked for only at its end.
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL` if it is no regular file; `ENOKEY` if it is encrypted; `EIO`, `EUCLEAN`.
    pub(crate) fn read_inode(&mut self, inode: &Inode, offset: u64, buf: &mut [u8]) -> Result<usize> {
        match inode.kind() {
            kind::REG => {}
            kind::DIR => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        if inode.has(flag::ENCRYPT) {
            return Err(Errno::ENOKEY);
        }
        let len = inode.size().saturating_sub(offset).min(buf.len() as u64) as usize;
        let Some(buf) = buf.get_mut(..len).filter(|b| !b.is_empty()) else { return Ok(0) };
        if inode.has(flag::INLINE_DATA) {
            let data = self.inline_data(inode)?;
            let held = data.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            buf.fill(0);
            buf.iter_mut().zip(held).for_each(|(to, from)| *to = *from);
            return Ok(len);
        }
        self.read_mapped(inode, offset, buf)?;
        Ok(len)
    }

    /// How to fill `buf` from a file: the parts that are on the device in one run each, and those that are zeroes. What cannot be had from
    /// the device is in `buf` already.
    ///
    /// # Errors
    /// As [`Ext4::read`].
    pub(crate) fn plan_read(&mut self, ino: u32, offset: u64, buf: &mut [u8]) -> Result<Vec<Part>> {
        let inode = self.inode(ino)?;
        if inode.has(flag::INLINE_DATA | flag::ENCRYPT) || !inode.is_reg() || !self.cache.committed_is_home() {
            let done = self.read_inode(&inode, offset, buf)?;
            buf.get_mut(done..).unwrap_or(&mut []).fill(0);
            return Ok(Vec::new());
        }
        self.write_gathered()?;
        let bs = self.sb.block_size as u64;
        let len = inode.size().saturating_sub(offset).min(buf.len() as u64) as usize;
        let (mut parts, mut done): (Vec<Part>, usize) = (Vec::new(), 0);
        while done < len {
            let at = offset + done as u64;
            let Ok(lblk) = u32::try_from(at / bs) else { break };
            let map = self.map(&inode, lblk)?;
            let part = (map.len.saturating_mul(bs) - at % bs).min((len - done) as u64) as usize;
            let place = match map.state {
                State::Written(place) => Some(place * bs + at % bs),
                _ => None,
            };
            match parts.last_mut() {
                // Extents that follow each other on the device are one request.
                Some(last) if last.place.map(|p| p + last.len as u64) == place => last.len += part,
                _ => parts.push(Part { at: done, len: part, place }),
            }
            done += part;
        }
        if done < buf.len() {
            parts.push(Part { at: done, len: buf.len() - done, place: None });
        }
        Ok(parts)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// `EINVAL` if it is none; `ENOKEY` if it is encrypted; `EIO`, `EUCLEAN`.
    pub(crate) fn link_target(&mut self, inode: &Inode) -> Result<Vec<u8>> {
        if !inode.is_symlink() {
            return Err(Errno::EINVAL);
        }
        if inode.has(flag::ENCRYPT) {
            return Err(Errno::ENOKEY);
        }
        let size = inode.size();
        let bad = || corrupt(0, format_args!("symbolic link {} of {size} bytes", inode.ino));
        if size == 0 || size > self.sb.block_size as u64 {
            return Err(bad());
        }
        let target = if inode.has(flag::INLINE_DATA) {
            cut(&self.inline_data(inode)?, 0, size as usize).to_vec()
        } else if size < 60 {
            cut(inode.block(), 0, size as usize).to_vec()
        } else {
            let place = self.metadata_block(inode, 0)?;
            cut(&self.cache.read(place, |_| Ok(()))?, 0, size as usize).to_vec()
        };
        // As Linux sees it, which takes it for a string.
        let end = target.iter().position(|&b| b == 0).unwrap_or(target.len());
        if end == 0 {
            return Err(bad());
        }
        Ok(cut(&target, 0, end).to_vec())
    }

    /// The next place at or after `offset` that holds data (`SEEK_DATA`), or none (`SEEK_HOLE`).
    ///
    /// # Errors
    /// `ENXIO` if `offset` is at or past the end, or no data follows; `EIO`, `EUCLEAN`.
    pub(crate) fn seek(&mut self, inode: &Inode, offset: u64, data: bool) -> Result<u64> {
        let size = inode.size();
        if offset >= size {
            return Err(Errno::ENXIO);
        }
        if inode.has(flag::INLINE_DATA) {
            return Ok(if data { offset } else { size });
        }
        let bs = self.sb.block_size as u64;
        let mut at = offset;
        while at < size {
            let Ok(lblk) = u32::try_from(at / bs) else { break };
            let map = self.map(inode, lblk)?;
            if matches!(map.state, State::Written(_)) == data {
                return Ok(at);
            }
            at = map.end().saturating_mul(bs);
        }
        if data {
            Err(Errno::ENXIO)
        } else {
            Ok(size)
        }
    }
}
