//! Block groups: their descriptors, and the bitmaps these point to.

use crate::bytes::{cut, le16, le32, put_bytes, put_le16, set_bits};
use crate::cache::Block;
use crate::csum::{crc16, crc32c};
use crate::error::corrupt;
use crate::features::Incompat;
use crate::Ext4;
use lkl_abi::Result;
use std::sync::Arc;

/// `bg_flags`: the inode bitmap and table are not written yet: no inode is used.
pub(crate) const INODE_UNINIT: u16 = 1;
/// `bg_flags`: the block bitmap is not written yet: only the group's own metadata are used.
pub(crate) const BLOCK_UNINIT: u16 = 2;

/// A group descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) number: u32,
    pub(crate) block_bitmap: u64,
    pub(crate) inode_bitmap: u64,
    pub(crate) inode_table: u64,
    /// In clusters.
    pub(crate) free_clusters: u32,
    pub(crate) free_inodes: u32,
    pub(crate) used_dirs: u32,
    pub(crate) flags: u16,
    /// Inodes at the end of the table that were never used.
    pub(crate) itable_unused: u32,
    block_bitmap_csum: u32,
    inode_bitmap_csum: u32,
}

impl Ext4 {
    /// Blocks of a group's inode table.
    pub(crate) fn inode_table_blocks(&self) -> u64 {
        u64::from(self.sb.inodes_per_group) / self.inodes_per_block()
    }

    /// Inodes in a block of an inode table.
    pub(crate) fn inodes_per_block(&self) -> u64 {
        (self.sb.block_size / self.sb.inode_size) as u64
    }

    /// The descriptor of a group.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN` if its checksum is wrong or it points outside.
    pub(crate) fn group(&mut self, number: u32) -> Result<Group> {
        if let Some(known) = self.groups.get(&number) {
            return Ok(known.clone());
        }
        let (block, offset) = self.sb.desc_place(number);
        let data = self.cache.read_ahead(block, 1)?;
        let raw = cut(&data, offset, self.sb.desc_size);
        if raw.len() < 32 {
            return Err(corrupt(block, format_args!("no descriptor of group {number}")));
        }
        if self.sb.group_csum() && le16(raw, 0x1e) != self.group_checksum(number, raw) {
            return Err(corrupt(block, format_args!("wrong checksum of the descriptor of group {number}")));
        }
        let wide = self.sb.desc_size >= 64;
        let two =
            |lo: usize, hi: usize| u64::from(le32(raw, lo)) | if wide { u64::from(le32(raw, hi)) << 32 } else { 0 };
        let short =
            |lo: usize, hi: usize| u32::from(le16(raw, lo)) | if wide { u32::from(le16(raw, hi)) << 16 } else { 0 };
        let group = Group {
            number,
            block_bitmap: two(0, 0x20),
            inode_bitmap: two(4, 0x24),
            inode_table: two(8, 0x28),
            free_clusters: short(0xc, 0x2c),
            free_inodes: short(0xe, 0x2e),
            used_dirs: short(0x10, 0x30),
            flags: if self.sb.group_csum() { le16(raw, 0x12) } else { 0 },
            itable_unused: if self.sb.group_csum() { short(0x1c, 0x32) } else { 0 },
            block_bitmap_csum: short(0x18, 0x38),
            inode_bitmap_csum: short(0x1a, 0x3a),
        };
        for (place, len) in
            [(group.block_bitmap, 1), (group.inode_bitmap, 1), (group.inode_table, self.inode_table_blocks())]
        {
            let flexible = self.sb.has(Incompat::FLEX_BG);
            let start = self.sb.group_start(number);
            let inside = place >= start && place + len <= start + u64::from(self.sb.group_blocks(number));
            if !self.sb.valid_blocks(place, len) || !(flexible || inside) {
                return Err(corrupt(block, format_args!("group {number} has metadata at block {place}")));
            }
        }
        if group.itable_unused > self.sb.inodes_per_group || group.free_inodes > self.sb.inodes_per_group {
            return Err(corrupt(block, format_args!("counts of inodes of group {number}")));
        }
        self.groups.insert(number, group.clone());
        Ok(group)
    }

    /// Writes a descriptor.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn put_group(&mut self, group: &Group) -> Result<()> {
        let (block, offset) = self.sb.desc_place(group.number);
        let size = self.sb.desc_size;
        let mut raw = cut(self.cache.change(block)?, offset, size).to_vec();
        let wide = size >= 64;
        let mut short = |lo: usize, hi: usize, value: u32| {
            put_le16(&mut raw, lo, value as u16);
            if wide {
                put_le16(&mut raw, hi, (value >> 16) as u16);
            }
        };
        short(0xc, 0x2c, group.free_clusters);
        short(0xe, 0x2e, group.free_inodes);
        short(0x10, 0x30, group.used_dirs);
        if self.sb.group_csum() {
            short(0x1c, 0x32, group.itable_unused);
            if self.sb.metadata_csum() {
                short(0x18, 0x38, group.block_bitmap_csum);
                short(0x1a, 0x3a, group.inode_bitmap_csum);
            }
            put_le16(&mut raw, 0x12, group.flags);
            let sum = self.group_checksum(group.number, &raw);
            put_le16(&mut raw, 0x1e, sum);
        }
        put_bytes(self.cache.change(block)?, offset, &raw);
        self.groups.insert(group.number, group.clone());
        Ok(())
    }

    fn group_checksum(&self, number: u32, raw: &[u8]) -> u16 {
        let number = number.to_le_bytes();
        let (head, tail) = (cut(raw, 0, 0x1e), cut(raw, 0x20, raw.len()));
        if self.sb.metadata_csum() {
            let sum = crc32c(crc32c(self.sb.csum_seed, &number), head);
            return crc32c(crc32c(sum, &[0, 0]), tail) as u16;
        }
        let tail = if self.sb.has(Incompat::B64) { tail } else { &[] };
        crc16(&[&self.sb.uuid, &number, head, tail])
    }

    fn bitmap_sum(&self, bytes: usize, map: &[u8]) -> u32 {
        let sum = crc32c(self.sb.csum_seed, cut(map, 0, bytes));
        // Short descriptors have room for half of it.
        if self.sb.desc_size >= 64 {
            sum
        } else {
            sum & 0xffff
        }
    }

    /// The bitmap of used clusters of a group, made up if it is not on the disk yet.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN` if its checksum is wrong.
    pub(crate) fn block_bitmap(&mut self, group: &Group) -> Result<Block> {
        if group.flags & BLOCK_UNINIT != 0 {
            return Ok(Arc::new(self.fresh_block_bitmap(group)));
        }
        let bytes = self.sb.clusters_per_group as usize / 8;
        self.verified_bitmap(group.block_bitmap, bytes, group.block_bitmap_csum)
    }

    /// The bitmap of a group of which only its own metadata are used.
    fn fresh_block_bitmap(&self, group: &Group) -> Vec<u8> {
        let mut map = vec![0; self.sb.block_size];
        let bits = self.sb.cluster_bits;
        let start = self.sb.group_start(group.number);
        let end = start + u64::from(self.sb.group_blocks(group.number));
        let base = self.sb.base_meta_blocks(group.number);
        set_bits(&mut map, 0, u64::from(base).div_ceil(self.sb.cluster_blocks()) as usize, true);
        for (block, len) in
            [(group.block_bitmap, 1), (group.inode_bitmap, 1), (group.inode_table, self.inode_table_blocks())]
        {
            let (from, to) = (block.max(start), (block + len).min(end));
            if from < to {
                let first = (from - start) >> bits;
                let last = (to - 1 - start) >> bits;
                set_bits(&mut map, first as usize, (last - first + 1) as usize, true);
            }
        }
        let clusters = self.sb.group_clusters(group.number) as usize;
        set_bits(&mut map, clusters, self.sb.block_size * 8 - clusters, true);
        map
    }

    /// The bitmap of used inodes of a group, made up if it is not on the disk yet.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN` if its checksum is wrong.
    pub(crate) fn inode_bitmap(&mut self, group: &Group) -> Result<Block> {
        let inodes = self.sb.inodes_per_group as usize;
        if group.flags & INODE_UNINIT != 0 {
            let mut map = vec![0; self.sb.block_size];
            set_bits(&mut map, inodes, self.sb.block_size * 8 - inodes, true);
            return Ok(Arc::new(map));
        }
        self.verified_bitmap(group.inode_bitmap, inodes / 8, group.inode_bitmap_csum)
    }

    /// A bitmap whose checksum, when it comes from the disk, is checked.
    fn verified_bitmap(&mut self, block: u64, bytes: usize, sum: u32) -> Result<Block> {
        let data = self.cache.read(block, |_| Ok(()))?;
        if self.sb.metadata_csum() && !self.verified.contains(&block) {
            if self.bitmap_sum(bytes, &data) != sum {
                return Err(corrupt(block, "wrong checksum of a bitmap"));
            }
            self.verified.insert(block);
        }
        Ok(data)
    }

    /// Writes a block bitmap; its checksum goes into the descriptor, which the caller writes.
    pub(crate) fn put_block_bitmap(&mut self, group: &mut Group, map: Block) {
        group.flags &= !BLOCK_UNINIT;
        group.block_bitmap_csum = self.bitmap_sum(self.sb.clusters_per_group as usize / 8, &map);
        self.cache.replace(group.block_bitmap, map);
    }

    /// Writes an inode bitmap; its checksum goes into the descriptor, which the caller writes.
    pub(crate) fn put_inode_bitmap(&mut self, group: &mut Group, map: Block) {
        group.flags &= !INODE_UNINIT;
        group.inode_bitmap_csum = self.bitmap_sum(self.sb.inodes_per_group as usize / 8, &map);
        self.cache.replace(group.inode_bitmap, map);
    }
}
