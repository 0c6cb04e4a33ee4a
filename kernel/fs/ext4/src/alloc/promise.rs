//! Delayed allocation: whoever keeps written data in memory is promised the blocks for it, so that there is room when the data is
//! written at last, in one piece and thus into one run of blocks.

use crate::inode::flag;
use crate::map::State;
use crate::Ext4;
use lkl_abi::{Errno, Result};

impl Ext4 {
    /// Promises the blocks that writing `len` bytes at `offset` of a file will take, and answers how many these are. They are given
    /// back by [`Ext4::release`], right before the data is written, or when it is thrown away.
    ///
    /// # Errors
    /// `ENOSPC` if there is no room for them; `EFBIG` past the largest size; `EIO`, `EUCLEAN`, and as [`Ext4::write`] if the file
    /// cannot be written.
    pub fn reserve(&mut self, ino: u32, offset: u64, len: u64) -> Result<u64> {
        self.writable()?;
        let inode = self.content_inode(ino)?;
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        if end > self.sb.max_file_size(inode.has(flag::EXTENTS)) {
            return Err(Errno::EFBIG);
        }
        let bs = self.sb.block_size as u64;
        let cluster = self.sb.cluster_blocks();
        let mut at = offset / bs;
        let mut blocks = 0;
        if inode.has(flag::INLINE_DATA) {
            blocks = end.max(inode.size()).div_ceil(bs).next_multiple_of(cluster);
            at = u64::MAX;
        }
        while at < end.div_ceil(bs) {
            let map = self.map(&inode, u32::try_from(at).map_err(|_| Errno::EFBIG)?)?;
            let to = map.end().min(end.div_ceil(bs));
            if map.state == State::Hole {
                blocks += to.next_multiple_of(cluster) - at / cluster * cluster;
            }
            at = to;
        }
        // The tree or the blocks of numbers above them need some as well.
        let above = if blocks > 0 { blocks / 64 + 4 } else { 0 };
        if blocks + above > self.available() << self.sb.cluster_bits && !self.reclaim(blocks + above)? {
            return Err(Errno::ENOSPC);
        }
        self.promised += blocks;
        Ok(blocks)
    }

    /// Commits if that makes enough of the freed blocks usable.
    fn reclaim(&mut self, blocks: u64) -> Result<bool> {
        if self.transaction.freed.is_empty() {
            return Ok(false);
        }
        self.commit()?;
        Ok(blocks <= self.available() << self.sb.cluster_bits)
    }

    /// Takes back a promise of so many blocks.
    pub fn release(&mut self, blocks: u64) {
        self.promised = self.promised.saturating_sub(blocks);
    }
}
