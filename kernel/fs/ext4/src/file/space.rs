//! `fallocate`: keeping blocks for later, holes, zeroes, and taking pieces out of or into a file.

use crate::extent::Extent;
use crate::inode::{flag, Inode, Time};
use crate::map::State;
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// Holes filled in one operation at most.
const FILLS: u32 = 32;

/// What `fallocate` is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// Keep blocks for the range, which read as zeroes (mode 0).
    Allocate,
    /// Make a hole (`FALLOC_FL_PUNCH_HOLE`).
    Punch,
    /// Make it read as zeroes, but keep blocks (`FALLOC_FL_ZERO_RANGE`).
    Zero,
    /// Take the range out of the file (`FALLOC_FL_COLLAPSE_RANGE`).
    Collapse,
    /// Put a hole in (`FALLOC_FL_INSERT_RANGE`).
    Insert,
}

impl Ext4 {
    /// `fallocate`. With `keep_size` the file does not grow.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if a file with the block map of ext2 cannot do that; `EINVAL` if a range to be taken out or put in does not consist
    /// of whole blocks, or ends past the end; `EFBIG`, `ENOSPC` and as [`Ext4::write`].
    pub fn fallocate(
        &mut self,
        ino: u32,
        what: Space,
        offset: u64,
        len: u64,
        keep_size: bool,
        now: Time,
    ) -> Result<()> {
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        self.op(now, |fs| {
            let mut inode = fs.content_inode(ino)?;
            if !inode.has(flag::EXTENTS | flag::INLINE_DATA) && what != Space::Punch {
                return Err(Errno::EOPNOTSUPP);
            }
            if end > fs.sb.max_file_size(inode.has(flag::EXTENTS)) && what != Space::Punch {
                return Err(Errno::EFBIG);
            }
            if inode.has(flag::INLINE_DATA) {
                fs.inline_to_blocks(&mut inode)?;
            }
            fs.put_inode(&mut inode)
        })?;
        match what {
            Space::Allocate => self.keep_blocks(ino, offset, end, keep_size, now),
            Space::Punch => self.punch(ino, offset, end, now),
            Space::Zero => {
                self.punch(ino, offset, end, now)?;
                self.keep_blocks(ino, offset, end, keep_size, now)
            }
            Space::Collapse => self.collapse(ino, offset, end, now),
            Space::Insert => self.insert(ino, offset, len, now),
        }
    }

    fn keep_blocks(&mut self, ino: u32, offset: u64, end: u64, keep_size: bool, now: Time) -> Result<()> {
        let bs = self.sb.block_size as u64;
        let (mut at, to) = (offset / bs, end.div_ceil(bs));
        while at < to {
            at = self.op(now, |fs| {
                let mut inode = fs.content_inode(ino)?;
                let mut at = at;
                for _ in 0..FILLS {
                    let Ok(lblk) = u32::try_from(at) else { return Err(Errno::EFBIG) };
                    let mut map = fs.map(&inode, lblk)?;
                    if map.state == State::Hole {
                        map = fs.fill_hole(&mut inode, map, to - at, true)?;
                    }
                    at = map.end();
                    if at >= to {
                        break;
                    }
                }
                let reached = (at * bs).min(end);
                if !keep_size && reached > inode.size() {
                    fs.resize(&mut inode, reached);
                }
                fs.touch(&mut inode);
                fs.put_inode(&mut inode)?;
                Ok(at)
            })?;
        }
        Ok(())
    }

    fn punch(&mut self, ino: u32, offset: u64, end: u64, now: Time) -> Result<()> {
        let bs = self.sb.block_size as u64;
        self.op(now, |fs| {
            let mut inode = fs.content_inode(ino)?;
            fs.zero_in_block(&inode, offset, offset.next_multiple_of(bs).min(end))?;
            if offset / bs != end / bs || offset % bs == 0 {
                fs.zero_in_block(&inode, (end / bs * bs).max(offset), end)?;
            }
            fs.touch(&mut inode);
            fs.put_inode(&mut inode)
        })?;
        let (from, to) = (offset.div_ceil(bs), end / bs);
        if from >= to {
            return Ok(());
        }
        while !self.op(now, |fs| {
            let mut inode = fs.content_inode(ino)?;
            let done = fs.unmap(&mut inode, from, to.min(1 << 32), false)?;
            fs.put_inode(&mut inode)?;
            Ok(done)
        })? {}
        Ok(())
    }

    /// Whether ranges may be moved by this many bytes: by whole clusters only.
    fn movable(&self, offset: u64, len: u64) -> bool {
        let unit = (self.sb.block_size as u64) << self.sb.cluster_bits;
        offset % unit == 0 && len % unit == 0
    }

    fn collapse(&mut self, ino: u32, offset: u64, end: u64, now: Time) -> Result<()> {
        let size = self.inode(ino)?.size();
        if !self.movable(offset, end - offset) || end >= size {
            return Err(Errno::EINVAL);
        }
        self.punch(ino, offset, end, now)?;
        let bs = self.sb.block_size as u64;
        self.op(now, |fs| {
            let mut inode = fs.content_inode(ino)?;
            let moved = |lblk: u32| lblk - ((end - offset) / bs) as u32;
            fs.move_extents(&mut inode, end / bs, moved)?;
            let size = inode.size() - (end - offset);
            fs.resize(&mut inode, size);
            fs.touch(&mut inode);
            fs.put_inode(&mut inode)
        })
    }

    fn insert(&mut self, ino: u32, offset: u64, len: u64, now: Time) -> Result<()> {
        let size = self.inode(ino)?.size();
        if !self.movable(offset, len) || offset >= size {
            return Err(Errno::EINVAL);
        }
        if size.checked_add(len).is_none_or(|s| s > self.sb.max_file_size(true)) {
            return Err(Errno::EFBIG);
        }
        let bs = self.sb.block_size as u64;
        self.op(now, |fs| {
            let mut inode = fs.content_inode(ino)?;
            // Blocks kept past the end may not fit any more.
            let last = 1u64 << 32;
            let (past, _) = fs.extent_remove(&mut inode, last - len / bs, last, usize::MAX)?;
            if !past.is_empty() {
                return Err(Errno::EFBIG);
            }
            fs.move_extents(&mut inode, offset / bs, |lblk| lblk + (len / bs) as u32)?;
            fs.resize(&mut inode, size + len);
            fs.touch(&mut inode);
            fs.put_inode(&mut inode)
        })
    }

    fn move_extents(&mut self, inode: &mut Inode, from: u64, moved: impl Fn(u32) -> u32) -> Result<()> {
        let (pieces, _) = self.extent_remove(inode, from, 1 << 32, usize::MAX)?;
        for piece in pieces {
            self.extent_insert(inode, Extent { lblk: moved(piece.lblk), ..piece })?;
        }
        Ok(())
    }
}
