//! Where files lie, for who asks; and which blocks are free, for the disk.

use crate::bytes::next_bit;
use crate::error::corrupt;
use crate::inode::{flag, Inode};
use crate::map::State;
use crate::Ext4;
use core::ops::Range;
use lkl_abi::fiemap::{
    FIEMAP_EXTENT_DATA_INLINE, FIEMAP_EXTENT_MERGED, FIEMAP_EXTENT_NOT_ALIGNED, FIEMAP_EXTENT_UNWRITTEN,
};
use lkl_abi::{Errno, Result};
use lkl_vfs::FileExtent;

/// Of what lies within an inode.
const IN_INODE: u32 = FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_NOT_ALIGNED;
/// Where an inode has the block map, or content.
const BLOCK_OFFSET: u64 = 40;

impl Ext4 {
    /// A piece of an inode as an extent.
    fn in_inode(&mut self, inode: &Inode, at: u64, len: u64) -> Result<FileExtent> {
        let (block, offset) = self.inode_place(inode.ino)?;
        let place = block * self.sb.block_size as u64 + offset as u64 + at;
        Ok(FileExtent { offset: 0, place, len, flags: IN_INODE })
    }

    /// The first `most` runs of blocks, also of those past its end, that a file has in a range of bytes.
    ///
    /// # Errors
    /// `EFBIG` if the range begins past the longest file of its kind; `EIO`, `EUCLEAN`.
    pub(crate) fn extents(&mut self, ino: u32, range: Range<u64>, most: usize) -> Result<Vec<FileExtent>> {
        self.write_gathered()?;
        let inode = self.inode(ino)?;
        if inode.has(flag::INLINE_DATA) {
            let len = inode.size().min(self.inline_data(&inode)?.len() as u64);
            return Ok(if range.start < len { vec![self.in_inode(&inode, BLOCK_OFFSET, len)?] } else { Vec::new() });
        }
        let longest = self.sb.max_file_size(inode.has(flag::EXTENTS));
        if range.start > longest {
            return Err(Errno::EFBIG);
        }
        let mut found = Vec::new();
        if !inode.has_blocks() {
            return Ok(found);
        }
        let bs = self.sb.block_size as u64;
        let (mut at, end) = (range.start / bs, range.end.min(longest).div_ceil(bs));
        while at < end && found.len() < most {
            let Ok(lblk) = u32::try_from(at) else { break };
            let map = self.map(&inode, lblk)?;
            let next = map.end().min(end);
            if let Some(place) = map.place() {
                let flags = match map.state {
                    State::Unwritten(_) => FIEMAP_EXTENT_UNWRITTEN,
                    _ if !inode.has(flag::EXTENTS) => FIEMAP_EXTENT_MERGED,
                    _ => 0,
                };
                found.push(FileExtent { offset: at * bs, place: place * bs, len: (next - at) * bs, flags });
            }
            at = next;
        }
        Ok(found)
    }

    /// Where the extended attributes of a file are, if it has any: those in the inode, else their block.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn attribute_extent(&mut self, ino: u32) -> Result<Option<FileExtent>> {
        let inode = self.inode(ino)?;
        if let Some(start) = inode.xattr_start().filter(|_| self.inode_xattrs(&inode).is_ok_and(|all| !all.is_empty()))
        {
            return self.in_inode(&inode, start as u64, (inode.raw.len() - start) as u64).map(Some);
        }
        let (block, bs) = (inode.xattr_block(), self.sb.block_size as u64);
        Ok((block != 0).then_some(FileExtent { offset: 0, place: block * bs, len: bs, flags: 0 }))
    }

    /// Tells the disk that the free clusters of a group from `from` to `to` are not needed, in runs of at least `least`. Answers how many
    /// these were.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the disk cannot be told; `EUCLEAN` if metadata are marked free; `EIO`.
    pub(crate) fn trim_group(&mut self, number: u32, from: u32, to: u32, least: u32) -> Result<u64> {
        let group = self.group(number)?;
        if group.free_clusters < least.max(1) {
            return Ok(0);
        }
        let map = self.search_map(&group)?;
        let (start, bits, bs) = (self.sb.group_start(number), self.sb.cluster_bits, self.sb.block_size as u64);
        let (mut at, mut done) = (from, 0);
        while at < to {
            let free = next_bit(&map, at as usize, to as usize, false) as u32;
            let end = next_bit(&map, free as usize, to as usize, true) as u32;
            if free < end && end - free >= least {
                let first = start + (u64::from(free) << bits);
                // The last cluster may be cut by the end of the disk.
                let blocks = (u64::from(end - free) << bits).min(self.sb.blocks_count - first);
                if self.is_system(first, blocks)? {
                    return Err(corrupt(group.block_bitmap, format_args!("group {number}: metadata are marked free")));
                }
                self.cache.disk.discard(first * bs, blocks * bs)?;
                done += u64::from(end - free);
            }
            at = end.max(free).saturating_add(1);
        }
        Ok(done)
    }
}
