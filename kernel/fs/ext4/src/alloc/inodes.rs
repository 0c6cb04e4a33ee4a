//! Which inodes are free. Directories are spread over the disk, files are put near their directory, as Orlov's allocator does.

use crate::bytes::{bit, next_bit, set_bits};
use crate::cache::Block;
use crate::error::corrupt;
use crate::group::{Group, INODE_UNINIT};
use crate::inode::{flag, Inode, ROOT_INO};
use crate::Ext4;
use lkl_abi::{Errno, Result};

impl Ext4 {
    /// Takes a free inode for a new file in `parent`. Its content is zeroes, with a new generation.
    ///
    /// # Errors
    /// `ENOSPC`, `EIO`, `EUCLEAN`.
    pub(crate) fn take_inode(&mut self, parent: &Inode, directory: bool) -> Result<Inode> {
        if self.sb.free_inodes == 0 {
            return Err(Errno::ENOSPC);
        }
        let near = (parent.ino - 1) / self.sb.inodes_per_group;
        let first = if directory { self.directory_group(parent, near)? } else { self.file_group(near)? };
        for n in 0..self.sb.groups {
            let group = self.group((first + n) % self.sb.groups)?;
            if group.free_inodes > 0 {
                if let Some(ino) = self.take_inode_in(group, directory)? {
                    return self.fresh_inode(ino);
                }
            }
        }
        Err(Errno::ENOSPC)
    }

    /// The group for a file: its directory's, or one with room not far from it.
    fn file_group(&mut self, near: u32) -> Result<u32> {
        let groups = self.sb.groups;
        let mut step = 0;
        let mut at = near;
        loop {
            let group = self.group(at)?;
            if group.free_inodes > 0 && group.free_clusters > 0 {
                return Ok(at);
            }
            // Files of directories that share a full group should not all go to the same next one.
            step = if step == 0 { 1 } else { step * 2 };
            if step >= groups {
                return Ok(near);
            }
            at = (at + step) % groups;
        }
    }

    /// The group for a directory: those below the root are spread, others stay near their parent while there is room.
    fn directory_group(&mut self, parent: &Inode, near: u32) -> Result<u32> {
        let groups = self.sb.groups;
        let average_inodes = self.sb.free_inodes / groups;
        let average_clusters = ((self.sb.free_blocks >> self.sb.cluster_bits) / u64::from(groups)) as u32;
        if parent.ino == ROOT_INO || parent.has(flag::TOPDIR) {
            let mut best: Option<(u32, u32)> = None;
            // Bounded: looking at some thousands of groups for each directory would take longer than any seek.
            let start = self.next_generation() % groups;
            for n in 0..groups.min(256) {
                let group = self.group((start + n) % groups)?;
                if group.free_inodes == 0
                    || group.free_inodes < average_inodes
                    || group.free_clusters < average_clusters
                {
                    continue;
                }
                if best.is_none_or(|(dirs, _)| group.used_dirs < dirs) {
                    best = Some((group.used_dirs, group.number));
                }
            }
            if let Some((_, number)) = best {
                return Ok(number);
            }
        }
        let least_inodes = average_inodes.saturating_sub(self.sb.inodes_per_group / 4).max(1);
        let least_clusters = average_clusters.saturating_sub(self.sb.clusters_per_group / 4);
        for n in 0..groups.min(256) {
            let group = self.group((near + n) % groups)?;
            if group.free_inodes >= least_inodes && group.free_clusters >= least_clusters {
                return Ok(group.number);
            }
        }
        Ok(near)
    }

    fn take_inode_in(&mut self, mut group: Group, directory: bool) -> Result<Option<u32>> {
        let mut map = self.inode_bitmap(&group)?;
        let per_group = self.sb.inodes_per_group;
        let base = group.number * per_group + 1;
        let from = self.sb.first_ino.saturating_sub(base).min(per_group);
        let index = next_bit(&map, from as usize, per_group as usize, false) as u32;
        if index >= per_group {
            return Ok(None);
        }
        set_bits(Block::make_mut(&mut map), index as usize, 1, true);
        let used = per_group - group.itable_unused;
        if self.sb.group_csum() && index >= used {
            // What lies there was never written: it may be anything.
            for unused in used..index {
                self.clear_inode(base + unused)?;
            }
            group.itable_unused = per_group - index - 1;
        }
        self.put_inode_bitmap(&mut group, map);
        group.flags &= !INODE_UNINIT;
        group.free_inodes -= 1;
        if directory {
            group.used_dirs += 1;
        }
        self.put_group(&group)?;
        self.sb.free_inodes = self.sb.free_inodes.saturating_sub(1);
        Ok(Some(base + index))
    }

    /// Marks an inode as used that may be so already. Answers whether it was not.
    ///
    /// # Errors
    /// `EUCLEAN` if there is no such inode; `EIO`.
    pub(crate) fn mark_inode(&mut self, ino: u32, directory: bool) -> Result<bool> {
        if ino < self.sb.first_ino && ino != ROOT_INO || ino > self.sb.inodes_count {
            return Err(corrupt(0, format_args!("inode {ino} cannot be used")));
        }
        let per_group = self.sb.inodes_per_group;
        let index = (ino - 1) % per_group;
        let mut group = self.group((ino - 1) / per_group)?;
        let mut map = self.inode_bitmap(&group)?;
        if bit(&map, index as usize) {
            return Ok(false);
        }
        set_bits(Block::make_mut(&mut map), index as usize, 1, true);
        let used = per_group - group.itable_unused;
        if self.sb.group_csum() && index >= used {
            for unused in used..index {
                self.clear_inode(ino - index + unused)?;
            }
            group.itable_unused = per_group - index - 1;
        }
        self.put_inode_bitmap(&mut group, map);
        group.free_inodes = group.free_inodes.saturating_sub(1);
        group.used_dirs += u32::from(directory);
        self.put_group(&group)?;
        self.sb.free_inodes = self.sb.free_inodes.saturating_sub(1);
        Ok(true)
    }

    fn clear_inode(&mut self, ino: u32) -> Result<()> {
        let (block, offset) = self.inode_place(ino)?;
        let size = self.sb.inode_size;
        let data = self.cache.change(block)?;
        data.get_mut(offset..offset + size).unwrap_or(&mut []).fill(0);
        Ok(())
    }

    fn fresh_inode(&mut self, ino: u32) -> Result<Inode> {
        let mut inode = Inode { ino, raw: vec![0; self.sb.inode_size] };
        if self.sb.inode_size > 128 {
            inode.set_extra_isize(self.sb.want_extra_isize.max(32).min(self.sb.inode_size as u16 - 128) & !3);
        }
        let generation = self.next_generation();
        inode.set_generation(generation);
        Ok(inode)
    }

    /// A number for the next use of an inode.
    pub(crate) fn next_generation(&mut self) -> u32 {
        self.generation =
            self.generation.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.generation >> 33) as u32
    }

    /// Gives an inode back.
    ///
    /// # Errors
    /// `EUCLEAN` if it is free already; `EIO`.
    pub(crate) fn free_inode(&mut self, ino: u32, directory: bool) -> Result<()> {
        let per_group = self.sb.inodes_per_group;
        let index = (ino - 1) % per_group;
        let mut group = self.group((ino - 1) / per_group)?;
        let mut map = self.inode_bitmap(&group)?;
        if !bit(&map, index as usize) || ino < self.sb.first_ino {
            return Err(corrupt(group.inode_bitmap, format_args!("inode {ino} is free already")));
        }
        set_bits(Block::make_mut(&mut map), index as usize, 1, false);
        self.put_inode_bitmap(&mut group, map);
        group.free_inodes += 1;
        if directory {
            group.used_dirs = group.used_dirs.saturating_sub(1);
        }
        self.put_group(&group)?;
        self.sb.free_inodes += 1;
        Ok(())
    }
}
