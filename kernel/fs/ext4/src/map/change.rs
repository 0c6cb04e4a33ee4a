//! Changing where the blocks of a file are: taking blocks for a hole, giving back those of a range.

use super::{Mapping, State};
use crate::extent::{Extent, MAX_UNWRITTEN, MAX_WRITTEN};
use crate::inode::{flag, Inode};
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// Extents freed in one operation at most.
pub(crate) const FREE_EXTENTS: usize = 48;

impl Ext4 {
    /// Where blocks for an inode without any should go.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn inode_goal(&mut self, inode: &Inode) -> Result<u64> {
        let group = (inode.ino - 1) / self.sb.inodes_per_group;
        Ok(self.sb.group_start(group))
    }

    /// Where the block for `lblk` of a file should go: behind the one before.
    fn goal(&mut self, inode: &Inode, lblk: u32) -> Result<u64> {
        if lblk > 0 {
            if let Some(place) = self.map(inode, lblk - 1)?.place() {
                return Ok(place + 1);
            }
        }
        self.inode_goal(inode)
    }

    /// Takes blocks for the hole `hole`, at most `want` of them and at least one, from its start on. Answers what is mapped there now.
    /// The blocks hold anything: the caller writes them, unless they are taken as unwritten.
    ///
    /// # Errors
    /// `ENOSPC`; `EFBIG` if the file cannot have such a block; `EIO`, `EUCLEAN`.
    pub(crate) fn fill_hole(
        &mut self,
        inode: &mut Inode,
        hole: Mapping,
        want: u64,
        unwritten: bool,
    ) -> Result<Mapping> {
        let max = if unwritten { MAX_UNWRITTEN } else { MAX_WRITTEN };
        let want = want.min(hole.len).clamp(1, u64::from(max)) as u32;
        if !inode.has(flag::EXTENTS) {
            return self.indirect_fill(inode, hole.lblk, want);
        }
        if u64::from(hole.lblk) + u64::from(want) > u64::from(u32::MAX) {
            return Err(Errno::EFBIG);
        }
        let (place, len) = if self.sb.cluster_bits == 0 {
            let goal = self.goal(inode, hole.lblk)?;
            let (place, len) = self.take_clusters(goal, want)?;
            self.count_blocks(inode, i64::from(len))?;
            (place, len)
        } else {
            self.fill_clusters(inode, hole, want)?
        };
        self.extent_insert(inode, Extent { lblk: hole.lblk, len, pblk: place, unwritten })?;
        let state = if unwritten { State::Unwritten(place) } else { State::Written(place) };
        Ok(Mapping { lblk: hole.lblk, len: u64::from(len), state })
    }

    /// The same when blocks come in clusters: a cluster of which another block is in use is this file's already.
    fn fill_clusters(&mut self, inode: &mut Inode, hole: Mapping, want: u32) -> Result<(u64, u32)> {
        let bits = self.sb.cluster_bits;
        let size = 1u32 << bits;
        let offset = hole.lblk & (size - 1);
        let cluster = hole.lblk - offset;
        if let Some(start) = self.cluster_place(inode, cluster)? {
            return Ok((start + u64::from(offset), want.min(size - offset)));
        }
        // Up to the last cluster that is free of other blocks.
        let end = u64::from(hole.lblk) + u64::from(want);
        let mut last = end.next_multiple_of(u64::from(size));
        if hole.end() < last && self.cluster_place(inode, (last - u64::from(size)) as u32)?.is_some() {
            last -= u64::from(size);
        }
        let clusters = ((last - u64::from(cluster)) >> bits) as u32;
        let goal = self.goal(inode, hole.lblk)?;
        let (start, got) = self.take_clusters(goal, clusters.max(1))?;
        self.count_blocks(inode, i64::from(got) << bits)?;
        let len = (u64::from(cluster) + (u64::from(got) << bits)).min(end) - u64::from(hole.lblk);
        Ok((start + u64::from(offset), len as u32))
    }

    /// The first block of the disk of the cluster at `cluster` (a block of the file), if any of its blocks is mapped.
    fn cluster_place(&mut self, inode: &Inode, cluster: u32) -> Result<Option<u64>> {
        let end = u64::from(cluster) + self.sb.cluster_blocks();
        let mut at = u64::from(cluster);
        while at < end {
            let Ok(lblk) = u32::try_from(at) else { break };
            let map = self.map(inode, lblk)?;
            if let Some(place) = map.place() {
                return Ok(Some(place - (at - u64::from(cluster))));
            }
            at = map.end();
        }
        Ok(None)
    }

    /// Gives back the blocks of `from..to`, or a part of them if they are many: answers whether that was all. `metadata` says that
    /// their content was journalled.
    ///
    /// # Errors
    /// `ENOSPC` if an extent must be split and there is no room; `EIO`, `EUCLEAN`.
    pub(crate) fn unmap(&mut self, inode: &mut Inode, from: u64, to: u64, metadata: bool) -> Result<bool> {
        if !inode.has(flag::EXTENTS) {
            return self.indirect_free(inode, from, to, metadata);
        }
        let (pieces, all) = self.extent_remove(inode, from, to, FREE_EXTENTS)?;
        let mut done = 0;
        for piece in pieces {
            self.free_piece(inode, piece, metadata, &mut done)?;
        }
        Ok(all)
    }

    /// Frees the blocks of a piece. `done` is where the clusters of the file end that were freed already.
    fn free_piece(&mut self, inode: &mut Inode, piece: Extent, metadata: bool, done: &mut u64) -> Result<()> {
        let bits = self.sb.cluster_bits;
        if bits == 0 {
            self.free_clusters(piece.pblk, piece.len, metadata)?;
            return self.count_blocks(inode, -i64::from(piece.len));
        }
        // Of a cluster at either end, other blocks may be in use still.
        let size = 1u64 << bits;
        let offset = u64::from(piece.lblk) & (size - 1);
        let start = u64::from(piece.lblk) - offset;
        let mut first = start.max(*done);
        let end = (u64::from(piece.lblk) + u64::from(piece.len)).next_multiple_of(size);
        let mut last = end;
        if first == start && self.cluster_place(inode, first as u32)?.is_some() {
            first += size;
        }
        if last > first && self.cluster_place(inode, (last - size) as u32)?.is_some() {
            last -= size;
        }
        if last <= first {
            return Ok(());
        }
        *done = last;
        let place = piece.pblk - offset + (first - start);
        let clusters = (last - first) >> bits;
        self.free_clusters(place, clusters as u32, metadata)?;
        self.count_blocks(inode, -((clusters << bits) as i64))
    }
}
