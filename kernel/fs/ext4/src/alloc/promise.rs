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
        let runs = self.missing(ino, offset, len)?;
        let clusters = runs.iter().map(|r| r.1 - r.0).sum();
        self.promise(clusters)?;
        Ok(clusters << self.sb.cluster_bits)
    }

    /// Bytes in a cluster, the unit in which promises are made.
    pub(crate) fn cluster_size(&self) -> u64 {
        (self.sb.block_size as u64) << self.sb.cluster_bits
    }

    /// Which clusters of a file writing `len` bytes at `offset` will take: runs of them, from and to.
    ///
    /// # Errors
    /// As [`Ext4::reserve`].
    pub(crate) fn missing(&mut self, ino: u32, offset: u64, len: u64) -> Result<Vec<(u64, u64)>> {
        self.writable()?;
        let inode = self.content_inode(ino)?;
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        if end > self.sb.max_file_size(inode.has(flag::EXTENTS)) {
            return Err(Errno::EFBIG);
        }
        let unit = self.cluster_size();
        if inode.has(flag::INLINE_DATA) {
            // All of it may have to leave the inode.
            return Ok(vec![(0, end.max(inode.size()).div_ceil(unit))]);
        }
        let bits = self.sb.cluster_bits;
        let (mut at, to) = (offset / unit, end.div_ceil(unit));
        let mut runs: Vec<(u64, u64)> = Vec::new();
        while at < to {
            let lblk = u32::try_from(at << bits).map_err(|_| Errno::EFBIG)?;
            let map = self.map(&inode, lblk)?;
            // A cluster is missing if none of its blocks is mapped.
            let next = if map.state == State::Hole { map.end() >> bits } else { map.end().div_ceil(1 << bits) };
            if map.state == State::Hole && next > at {
                runs.push((at, next.min(to)));
            }
            at = next.max(at + 1);
        }
        Ok(runs)
    }

    /// Promises so many clusters.
    ///
    /// # Errors
    /// `ENOSPC`, `EIO`.
    pub(crate) fn promise(&mut self, clusters: u64) -> Result<()> {
        if clusters == 0 {
            return Ok(());
        }
        let blocks = clusters << self.sb.cluster_bits;
        // The tree or the blocks of numbers above them need some as well.
        let above = blocks / 64 + 4;
        if blocks + above > self.available() << self.sb.cluster_bits && !self.reclaim(blocks + above)? {
            return Err(Errno::ENOSPC);
        }
        self.promised += blocks;
        Ok(())
    }

    /// Commits if that makes enough of the freed blocks usable.
    fn reclaim(&mut self, blocks: u64) -> Result<bool> {
        if self.transaction.freed.is_empty() {
            return Ok(false);
        }
        self.commit()?;
        Ok(blocks <= self.available() << self.sb.cluster_bits)
    }

    /// Takes back a promise of so many clusters.
    pub(crate) fn release_clusters(&mut self, clusters: u64) {
        self.release(clusters << self.sb.cluster_bits);
    }

    /// Takes back a promise of so many blocks.
    pub fn release(&mut self, blocks: u64) {
        self.promised = self.promised.saturating_sub(blocks);
    }
}
