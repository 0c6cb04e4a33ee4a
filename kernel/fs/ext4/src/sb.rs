//! The superblock: geometry, features, counters. Beside it: `group` (what it divides the disk into), `features`.
//!
//! Source: `fs/ext4/ext4.h` names its fields; the layout is that of the kernel's documentation, "ext4: Data Structures and Algorithms".

use crate::bytes::{cut, le16, le32, le64, put_bytes, put_le16, put_le32, put_u8, u8_at};
use crate::csum::crc32c;
use crate::error::{corrupt, refuse};
use crate::features::{self, Compat, Incompat, RoCompat};
use lkl_abi::{Errno, Result};

/// Where it lies on the disk, in bytes.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;
/// How long it is, in bytes.
pub(crate) const SUPERBLOCK_SIZE: usize = 1024;
const MAGIC: u16 = 0xef53;

/// `s_state`: unmounted cleanly.
pub(crate) const STATE_CLEAN: u16 = 1;
/// `s_state`: errors were found.
pub(crate) const STATE_ERRORS: u16 = 2;

/// What happens when damage is found (`errors=`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    /// It is noted in the superblock.
    Continue,
    /// Nothing more is written.
    RemountReadOnly,
    /// The kernel panics. No superblock is believed that says so, only the mount option.
    Panic,
}

/// The errors that were found, as the superblock has them (`s_error_count` and what follows it).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct ErrorRecord {
    pub(crate) count: u32,
    /// In seconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) first_code: u8,
    pub(crate) last_code: u8,
    /// The first one since the mount is a new one, whose place, which is not known, is not that of those before.
    pub(crate) is_first: bool,
}

/// `EXT4_ERR_EFSCORRUPTED`: what is on the disk cannot be.
const CODE_CORRUPTED: u8 = 5;

/// Where the superblock keeps what is known of the place of an error: inode, block, function, line.
const FIRST_PLACE: (usize, usize) = (0x19c, 0x30);
const LAST_PLACE: (usize, usize) = (0x1d0, 0x30);

impl ErrorRecord {
    fn parse(raw: &[u8]) -> Self {
        let time = |lo, hi| i64::from(le32(raw, lo)) | i64::from(u8_at(raw, hi)) << 32;
        Self {
            count: le32(raw, at::ERROR_COUNT),
            first: time(at::FIRST_ERROR, at::FIRST_ERROR_HI),
            last: time(at::LAST_ERROR, at::LAST_ERROR_HI),
            first_code: u8_at(raw, at::FIRST_CODE),
            last_code: u8_at(raw, at::LAST_CODE),
            is_first: false,
        }
    }

    /// One more piece of damage was found.
    pub(crate) fn add(&mut self, now: i64) {
        if self.first == 0 {
            (self.first, self.first_code, self.is_first) = (now, CODE_CORRUPTED, true);
        }
        (self.last, self.last_code) = (now, CODE_CORRUPTED);
        self.count = self.count.saturating_add(1);
    }

    fn store(&self, raw: &mut [u8]) {
        // Without a change, what e2fsck and others may read stays.
        if *self == (Self { is_first: self.is_first, ..Self::parse(raw) }) {
            return;
        }
        put_le32(raw, at::ERROR_COUNT, self.count);
        for (lo, hi, time) in
            [(at::FIRST_ERROR, at::FIRST_ERROR_HI, self.first), (at::LAST_ERROR, at::LAST_ERROR_HI, self.last)]
        {
            put_le32(raw, lo, time as u32);
            put_u8(raw, hi, (time >> 32) as u8);
        }
        put_u8(raw, at::FIRST_CODE, self.first_code);
        put_u8(raw, at::LAST_CODE, self.last_code);
        if self.is_first {
            put_bytes(raw, FIRST_PLACE.0, &[0; FIRST_PLACE.1]);
        }
        put_bytes(raw, LAST_PLACE.0, &[0; LAST_PLACE.1]);
    }
}

/// Byte offsets of fields that are written.
pub(crate) mod at {
    pub(crate) const ERROR_COUNT: usize = 0x194;
    pub(crate) const FIRST_ERROR: usize = 0x198;
    pub(crate) const LAST_ERROR: usize = 0x1cc;
    pub(crate) const FIRST_ERROR_HI: usize = 0x278;
    pub(crate) const LAST_ERROR_HI: usize = 0x279;
    pub(crate) const FIRST_CODE: usize = 0x27a;
    pub(crate) const LAST_CODE: usize = 0x27b;
    pub(crate) const FREE_BLOCKS: usize = 0xc;
    pub(crate) const FREE_INODES: usize = 0x10;
    pub(crate) const MTIME: usize = 0x2c;
    pub(crate) const WTIME: usize = 0x30;
    pub(crate) const MNT_COUNT: usize = 0x34;
    pub(crate) const STATE: usize = 0x3a;
    pub(crate) const COMPAT: usize = 0x5c;
    pub(crate) const INCOMPAT: usize = 0x60;
    pub(crate) const RO_COMPAT: usize = 0x64;
    pub(crate) const LAST_ORPHAN: usize = 0xe8;
    pub(crate) const FREE_BLOCKS_HI: usize = 0x158;
    pub(crate) const WTIME_HI: usize = 0x274;
    pub(crate) const MTIME_HI: usize = 0x275;
    pub(crate) const CHECKSUM: usize = 0x3fc;
}

/// What a superblock says, checked.
#[derive(Clone, Debug)]
pub(crate) struct Superblock {
    pub(crate) inodes_count: u32,
    pub(crate) blocks_count: u64,
    pub(crate) reserved_blocks: u64,
    pub(crate) free_blocks: u64,
    pub(crate) free_inodes: u32,
    pub(crate) first_data_block: u32,
    /// In bytes.
    pub(crate) block_size: usize,
    pub(crate) block_bits: u32,
    /// log2 of blocks in a cluster; 0 without bigalloc.
    pub(crate) cluster_bits: u32,
    pub(crate) blocks_per_group: u32,
    pub(crate) clusters_per_group: u32,
    pub(crate) inodes_per_group: u32,
    pub(crate) state: u16,
    pub(crate) first_ino: u32,
    /// In bytes.
    pub(crate) inode_size: usize,
    pub(crate) compat: Compat,
    pub(crate) incompat: Incompat,
    pub(crate) ro_compat: RoCompat,
    pub(crate) uuid: [u8; 16],
    pub(crate) label: [u8; 16],
    pub(crate) journal_inum: u32,
    pub(crate) last_orphan: u32,
    pub(crate) hash_seed: [u32; 4],
    pub(crate) def_hash_version: u8,
    /// In bytes.
    pub(crate) desc_size: usize,
    pub(crate) first_meta_bg: u32,
    pub(crate) reserved_gdt_blocks: u16,
    pub(crate) want_extra_isize: u16,
    pub(crate) hash_unsigned: bool,
    pub(crate) mmp_block: u64,
    pub(crate) backup_bgs: [u32; 2],
    pub(crate) orphan_file_inum: u32,
    /// What checksums of metadata start from.
    pub(crate) csum_seed: u32,
    pub(crate) groups: u32,
    pub(crate) mnt_count: u16,
    pub(crate) errors: ErrorRecord,
    /// `s_errors`
    pub(crate) on_error: OnError,
}

impl Superblock {
    /// Reads the 1024 bytes of a superblock of a disk of `disk_size` bytes.
    ///
    /// # Errors
    /// `EINVAL` if it is none, or has features that cannot be read; `EUCLEAN` if what it says cannot be.
    pub(crate) fn parse(raw: &[u8], disk_size: u64) -> Result<Self> {
        if !Self::is_one(raw) {
            return Err(refuse("no ext2, ext3 or ext4 superblock: wrong magic number"));
        }
        let bad = |what: &str| corrupt(0, format_args!("superblock: {what}"));
        let old = le32(raw, 0x4c) == 0;
        let (compat, incompat, ro_compat) =
            if old { (0, 0, 0) } else { (le32(raw, 0x5c), le32(raw, 0x60), le32(raw, 0x64)) };
        let incompat = Incompat::from_bits_retain(incompat);
        let unknown = incompat.difference(features::READABLE).bits();
        if unknown != 0 {
            return Err(refuse(format_args!("unsupported incompatible features: {}", features::names('I', unknown))));
        }
        let ro_compat = RoCompat::from_bits_retain(ro_compat);
        let metadata_csum = ro_compat.contains(RoCompat::METADATA_CSUM);
        if metadata_csum {
            if u8_at(raw, 0x175) != 1 {
                return Err(refuse(format_args!("unknown checksum type {}", u8_at(raw, 0x175))));
            }
            if crc32c(!0, cut(raw, 0, at::CHECKSUM)) != le32(raw, at::CHECKSUM) {
                return Err(bad("wrong checksum"));
            }
        }
        let log_block_size = le32(raw, 0x18);
        if log_block_size > 6 {
            return Err(bad("block size over 64 KiB"));
        }
        let block_bits = 10 + log_block_size;
        let block_size = 1usize << block_bits;
        let bigalloc = ro_compat.contains(RoCompat::BIGALLOC);
        let log_cluster_size = le32(raw, 0x1c);
        let cluster_bits = if bigalloc { log_cluster_size.wrapping_sub(log_block_size) } else { 0 };
        if cluster_bits > 20 {
            return Err(bad("cluster size"));
        }
        let blocks_per_group = le32(raw, 0x20);
        let clusters_per_group = if bigalloc { le32(raw, 0x24) } else { blocks_per_group };
        let bits = block_size as u32 * 8;
        if blocks_per_group < 64
            || clusters_per_group == 0
            || clusters_per_group > bits
            || u64::from(clusters_per_group) << cluster_bits != u64::from(blocks_per_group)
            || (blocks_per_group % 8 != 0)
        {
            return Err(bad("blocks in a group"));
        }
        let inode_size = if old { 128 } else { usize::from(le16(raw, 0x58)) };
        if !inode_size.is_power_of_two() || inode_size < 128 || inode_size > block_size {
            return Err(bad("inode size"));
        }
        let inodes_per_group = le32(raw, 0x28);
        if inodes_per_group == 0
            || inodes_per_group > bits
            || inodes_per_group as usize % (block_size / inode_size) != 0
        {
            return Err(bad("inodes in a group"));
        }
        let b64 = incompat.contains(Incompat::B64);
        let high =
            |lo: usize, hi: usize| u64::from(le32(raw, lo)) | if b64 { u64::from(le32(raw, hi)) << 32 } else { 0 };
        let blocks_count = high(0x4, 0x150);
        let first_data_block = le32(raw, 0x14);
        if blocks_count.checked_mul(block_size as u64).is_none_or(|bytes| bytes > disk_size) {
            return Err(bad("more blocks than the disk has"));
        }
        let expected_first = u32::from(block_size == 1024 && cluster_bits == 0);
        if u64::from(first_data_block) >= blocks_count
            || first_data_block > 1
            || (first_data_block == 0 && expected_first == 1)
        {
            return Err(bad("first data block"));
        }
        let groups = (blocks_count - u64::from(first_data_block)).div_ceil(u64::from(blocks_per_group));
        let inodes_count = le32(raw, 0);
        let Ok(groups) = u32::try_from(groups) else { return Err(bad("number of groups")) };
        if u64::from(groups) * u64::from(inodes_per_group) != u64::from(inodes_count) {
            return Err(bad("number of inodes"));
        }
        let desc_size = if b64 { usize::from(le16(raw, 0xfe)) } else { 32 };
        if b64 && (!desc_size.is_power_of_two() || !(64..=1024).contains(&desc_size)) {
            return Err(bad("size of group descriptors"));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(cut(raw, 0x68, 16));
        let mut label = [0; 16];
        label.copy_from_slice(cut(raw, 0x78, 16));
        let csum_seed = if incompat.contains(Incompat::CSUM_SEED) { le32(raw, 0x270) } else { crc32c(!0, &uuid) };
        Ok(Self {
            inodes_count,
            blocks_count,
            reserved_blocks: high(0x8, 0x154),
            free_blocks: high(at::FREE_BLOCKS, at::FREE_BLOCKS_HI),
            free_inodes: le32(raw, at::FREE_INODES),
            first_data_block,
            block_size,
            block_bits,
            cluster_bits,
            blocks_per_group,
            clusters_per_group,
            inodes_per_group,
            state: le16(raw, at::STATE),
            first_ino: if old { 11 } else { le32(raw, 0x54).max(11) },
            inode_size,
            compat: Compat::from_bits_retain(compat),
            incompat,
            ro_compat,
            uuid,
            label,
            journal_inum: le32(raw, 0xe0),
            last_orphan: le32(raw, at::LAST_ORPHAN),
            hash_seed: [le32(raw, 0xec), le32(raw, 0xf0), le32(raw, 0xf4), le32(raw, 0xf8)],
            def_hash_version: u8_at(raw, 0xfc),
            desc_size,
            first_meta_bg: le32(raw, 0x104),
            reserved_gdt_blocks: le16(raw, 0xce),
            want_extra_isize: le16(raw, 0x15e),
            hash_unsigned: le32(raw, 0x160) & 2 != 0,
            mmp_block: le64(raw, 0x168),
            backup_bgs: [le32(raw, 0x24c), le32(raw, 0x250)],
            orphan_file_inum: le32(raw, 0x280),
            csum_seed,
            groups,
            mnt_count: le16(raw, at::MNT_COUNT),
            errors: ErrorRecord::parse(raw),
            on_error: match le16(raw, 0x3c) {
                1 => OnError::Continue,
                // Also for one that asks for a panic: that is not for an image to say.
                _ => OnError::RemountReadOnly,
            },
        })
    }

    /// Are these the bytes of a superblock?
    pub(crate) fn is_one(raw: &[u8]) -> bool {
        raw.len() == SUPERBLOCK_SIZE && le16(raw, 0x38) == MAGIC
    }

    /// Whether a superblock has only features of `ext2`, `ext3` (and a journal) or `ext4` (as Linux's `is_ext2_sb` and `is_ext3_sb`).
    pub(crate) fn is_of_type(raw: &[u8], name: &str) -> bool {
        let journal = Compat::from_bits_retain(le32(raw, 0x5c)).contains(Compat::HAS_JOURNAL);
        let mut incompat = Incompat::FILETYPE | Incompat::META_BG;
        let ro_compat = RoCompat::SPARSE_SUPER | RoCompat::LARGE_FILE | RoCompat::BTREE_DIR;
        match name {
            "ext2" if journal => return false,
            "ext2" => {}
            "ext3" if !journal => return false,
            "ext3" => incompat |= Incompat::NEEDS_RECOVERY,
            _ => return true,
        }
        le32(raw, 0x60) & !incompat.bits() == 0 && le32(raw, 0x64) & !ro_compat.bits() == 0
    }

    /// Writes the fields that change into the raw superblock, and its checksum.
    pub(crate) fn store(&self, raw: &mut [u8], now: i64) {
        put_le32(raw, at::FREE_BLOCKS, self.free_blocks as u32);
        put_le32(raw, at::FREE_BLOCKS_HI, (self.free_blocks >> 32) as u32);
        put_le32(raw, at::FREE_INODES, self.free_inodes);
        put_le16(raw, at::STATE, self.state);
        put_le16(raw, at::MNT_COUNT, self.mnt_count);
        put_le32(raw, at::COMPAT, self.compat.bits());
        put_le32(raw, at::INCOMPAT, self.incompat.bits());
        put_le32(raw, at::RO_COMPAT, self.ro_compat.bits());
        put_le32(raw, at::LAST_ORPHAN, self.last_orphan);
        put_le32(raw, at::WTIME, now as u32);
        put_u8(raw, at::WTIME_HI, (now >> 32) as u8);
        self.errors.store(raw);
        self.seal(raw);
    }

    /// Writes the checksum.
    pub(crate) fn seal(&self, raw: &mut [u8]) {
        if self.metadata_csum() {
            let sum = crc32c(!0, cut(raw, 0, at::CHECKSUM));
            put_le32(raw, at::CHECKSUM, sum);
        }
    }

    /// Has the file system this feature?
    pub(crate) fn has(&self, feature: Incompat) -> bool {
        self.incompat.contains(feature)
    }

    /// Has the file system this feature?
    pub(crate) fn has_ro(&self, feature: RoCompat) -> bool {
        self.ro_compat.contains(feature)
    }

    /// Do metadata carry crc32c checksums?
    pub(crate) fn metadata_csum(&self) -> bool {
        self.has_ro(RoCompat::METADATA_CSUM)
    }

    /// Do group descriptors have checksums and flags (of either kind)?
    pub(crate) fn group_csum(&self) -> bool {
        self.ro_compat.intersects(RoCompat::METADATA_CSUM | RoCompat::GDT_CSUM)
    }

    /// The block that holds the superblock.
    pub(crate) fn own_block(&self) -> u64 {
        u64::from(self.block_size == 1024)
    }

    /// Where in that block it starts.
    pub(crate) fn offset_in_block(&self) -> usize {
        if self.block_size == 1024 {
            0
        } else {
            SUPERBLOCK_OFFSET as usize
        }
    }

    /// Blocks in a cluster.
    pub(crate) fn cluster_blocks(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The first block of a group.
    pub(crate) fn group_start(&self, group: u32) -> u64 {
        u64::from(self.first_data_block) + u64::from(group) * u64::from(self.blocks_per_group)
    }

    /// How many blocks a group has: the last one may be short.
    pub(crate) fn group_blocks(&self, group: u32) -> u32 {
        let left = self.blocks_count.saturating_sub(self.group_start(group));
        left.min(u64::from(self.blocks_per_group)) as u32
    }

    /// How many clusters a group has.
    pub(crate) fn group_clusters(&self, group: u32) -> u32 {
        u64::from(self.group_blocks(group)).div_ceil(self.cluster_blocks()) as u32
    }

    /// The group of a block.
    ///
    /// # Errors
    /// `EUCLEAN` if there is no such block.
    pub(crate) fn group_of(&self, block: u64) -> Result<u32> {
        if block >= self.blocks_count || block < u64::from(self.first_data_block) {
            return Err(corrupt(block, "no such block"));
        }
        Ok(((block - u64::from(self.first_data_block)) / u64::from(self.blocks_per_group)) as u32)
    }

    /// Whether all of `len` blocks from `block` exist and lie behind the superblock.
    pub(crate) fn valid_blocks(&self, block: u64, len: u64) -> bool {
        block > u64::from(self.first_data_block).min(self.own_block())
            && block.checked_add(len).is_some_and(|end| end <= self.blocks_count)
    }

    /// Group descriptors in a block.
    pub(crate) fn descs_per_block(&self) -> u32 {
        (self.block_size / self.desc_size) as u32
    }

    /// Blocks of group descriptors, all in all.
    pub(crate) fn desc_blocks(&self) -> u32 {
        self.groups.div_ceil(self.descs_per_block())
    }

    /// Has this group a copy of the superblock (or the superblock)?
    pub(crate) fn has_super(&self, group: u32) -> bool {
        if group == 0 {
            return true;
        }
        if self.compat.contains(Compat::SPARSE_SUPER2) {
            return self.backup_bgs.contains(&group);
        }
        if group == 1 || !self.has_ro(RoCompat::SPARSE_SUPER) {
            return true;
        }
        [3, 5, 7].into_iter().any(|base: u32| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        })
    }

    /// The block and the place in it of a group's descriptor.
    pub(crate) fn desc_place(&self, group: u32) -> (u64, usize) {
        let index = group / self.descs_per_block();
        let offset = (group % self.descs_per_block()) as usize * self.desc_size;
        if !self.has(Incompat::META_BG) || index < self.first_meta_bg {
            return (self.own_block() + 1 + u64::from(index), offset);
        }
        let first = index.saturating_mul(self.descs_per_block());
        let mut skip = u64::from(self.has_super(first));
        if self.block_size == 1024 && index == 0 && self.first_data_block == 0 {
            skip += 1;
        }
        (self.group_start(first) + skip, offset)
    }

    /// Blocks at the start of a group that hold the superblock, group descriptors, and those kept for growing.
    pub(crate) fn base_meta_blocks(&self, group: u32) -> u32 {
        let has_super = u32::from(self.has_super(group));
        let per_block = self.descs_per_block();
        let meta_group = group / per_block;
        let mut blocks = has_super;
        if !self.has(Incompat::META_BG) || meta_group < self.first_meta_bg {
            if has_super != 0 {
                let descs = if self.has(Incompat::META_BG) { self.first_meta_bg } else { self.desc_blocks() };
                blocks += descs.saturating_add(u32::from(self.reserved_gdt_blocks));
            }
        } else {
            let first = meta_group * per_block;
            if group == first || group == first.saturating_add(1) || group == first.saturating_add(per_block - 1) {
                blocks += 1;
            }
        }
        // With blocks of 1 KiB and clusters the superblock is in block 1, and block 0 belongs to the group as well.
        if self.block_size == 1024 && self.first_data_block == 0 && group == 0 {
            blocks += 1;
        }
        blocks
    }

    /// The largest byte size that a file with a block map of this kind may have.
    pub(crate) fn max_file_size(&self, extents: bool) -> u64 {
        let bits = self.block_bits;
        if extents {
            return (u64::from(u32::MAX) << bits).min(i64::MAX as u64);
        }
        let per_block = 1u64 << (bits - 2);
        let mapped = 12 + per_block + per_block * per_block + per_block * per_block * per_block;
        // i_blocks counts sectors of 512 bytes in 32 bits, or with huge_file in 48 bits or in blocks.
        let counted =
            if self.has_ro(RoCompat::HUGE_FILE) { (1u64 << 48) - 1 } else { u64::from(u32::MAX) >> (bits - 9) };
        (mapped.min(counted).min(u64::from(u32::MAX)) << bits).min(i64::MAX as u64)
    }

    /// Checks that a disk may be written: no feature stands against it.
    ///
    /// # Errors
    /// `EROFS`, with the reason in the log.
    pub(crate) fn check_writable(&self) -> Result<()> {
        let unknown = self.ro_compat.difference(features::WRITABLE).bits();
        if unknown != 0 {
            let names = features::names('R', unknown);
            tracing::warn!(target: "lkl::ext4", "read-only: cannot write with the features {names}");
            return Err(Errno::EROFS);
        }
        if self.has(Incompat::CASEFOLD) {
            tracing::info!(target: "lkl::ext4", "directories that ignore case (casefold) are not written");
        }
        Ok(())
    }
}
