//! JBD2, the journal: a file in whose blocks each transaction is written before its blocks go to their places.
//!
//! Here: the format. `replay` brings a file system up to date after a crash; `commit` writes transactions; `fast` replays the short
//! records that Linux writes between them (fast commits). All numbers in it are big-endian.
//!
//! Source: the kernel's documentation, "ext4: Journal (jbd2)"; names as in `linux/jbd2.h`.

pub(crate) mod commit;
pub(crate) mod fast;
pub(crate) mod replay;

use crate::bytes::{be16, be32, cut, put_be16, put_be32, put_be64, put_u8, u8_at};
use crate::cache::{read_disk, write_disk};
use crate::csum::crc32c;
use crate::error::{corrupt, refuse};
use crate::map::State;
use crate::Ext4;
use lkl_abi::{Errno, Result};
use lkl_ops::Disk;
use std::collections::VecDeque;

pub(crate) const MAGIC: u32 = 0xc03b_3998;
/// Kinds of block.
pub(crate) mod kind {
    pub(crate) const DESCRIPTOR: u32 = 1;
    pub(crate) const COMMIT: u32 = 2;
    pub(crate) const SUPERBLOCK_1: u32 = 3;
    pub(crate) const SUPERBLOCK_2: u32 = 4;
    pub(crate) const REVOKE: u32 = 5;
}
/// Bytes of the header of each block: magic number, kind, transaction.
pub(crate) const HEADER: usize = 12;
const SUPERBLOCK_SIZE: usize = 1024;

/// Features.
mod feature {
    pub(super) const COMPAT_CHECKSUM: u32 = 1;
    pub(super) const REVOKE: u32 = 1;
    pub(super) const B64: u32 = 2;
    pub(super) const ASYNC_COMMIT: u32 = 4;
    pub(super) const CSUM_2: u32 = 8;
    pub(super) const CSUM_3: u32 = 0x10;
    pub(super) const FAST_COMMIT: u32 = 0x20;
    pub(super) const KNOWN: u32 = REVOKE | B64 | ASYNC_COMMIT | CSUM_2 | CSUM_3 | FAST_COMMIT;
}

/// Flags of a tag.
mod tag_flag {
    pub(super) const ESCAPE: u32 = 1;
    pub(super) const SAME_UUID: u32 = 2;
    pub(super) const DELETED: u32 = 4;
    pub(super) const LAST: u32 = 8;
}

/// Blocks for fast commits if the journal does not say how many.
const DEFAULT_FAST_BLOCKS: u32 = 256;

/// What a tag of a descriptor says of the block that follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tag {
    block: u64,
    flags: u32,
    sum: u32,
}

/// The journal of a file system.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Where its blocks are: the first in the journal, how many, the first on the disk.
    runs: Vec<(u32, u32, u64)>,
    block_size: usize,
    /// The superblock of the journal, as it is on the disk.
    raw: Vec<u8>,
    /// The first block for transactions, and the one after the last.
    first: u32,
    end: u32,
    /// All blocks.
    len: u32,
    seed: u32,
    incompat: u32,
    compat_checksum: bool,
    /// The number of the next transaction.
    pub(crate) sequence: u32,
    /// Where the next transaction goes.
    head: u32,
    /// Transactions that are not in their places yet: number, first block, blocks.
    live: VecDeque<(u32, u32, u32)>,
}

impl Journal {
    /// Opens the journal in this inode.
    ///
    /// # Errors
    /// `EINVAL` if it has features that are not known; `EUCLEAN`, `EIO`.
    pub(crate) fn open(fs: &mut Ext4, ino: u32) -> Result<Self> {
        let inode = fs.inode(ino)?;
        let bs = fs.sb.block_size;
        let blocks = inode.size() / bs as u64;
        let bad = |what: &str| corrupt(0, format_args!("journal in inode {ino}: {what}"));
        let Ok(blocks) = u32::try_from(blocks) else { return Err(bad("too large")) };
        if !inode.is_reg() || blocks < 2 {
            return Err(bad("no regular file"));
        }
        let mut runs = Vec::new();
        let mut lblk = 0;
        while lblk < blocks {
            let map = fs.map(&inode, lblk)?;
            let State::Written(place) = map.state else { return Err(bad("has holes")) };
            let len = map.len.min(u64::from(blocks - lblk)) as u32;
            runs.push((lblk, len, place));
            lblk += len;
        }
        let place = runs.first().map_or(0, |r| r.2);
        let mut raw = vec![0; SUPERBLOCK_SIZE];
        read_disk(&*fs.cache.disk, &mut raw, place * bs as u64)?;
        let bad = |what: &str| corrupt(place, format_args!("superblock of the journal: {what}"));
        let version = be32(&raw, 4);
        if be32(&raw, 0) != MAGIC || !matches!(version, kind::SUPERBLOCK_1 | kind::SUPERBLOCK_2) {
            return Err(bad("wrong magic number"));
        }
        let (compat, incompat) =
            if version == kind::SUPERBLOCK_2 { (be32(&raw, 0x24), be32(&raw, 0x28)) } else { (0, 0) };
        if incompat & !feature::KNOWN != 0 {
            return Err(refuse(format_args!("the journal has unknown features {:#x}", incompat & !feature::KNOWN)));
        }
        let with_sums = incompat & (feature::CSUM_2 | feature::CSUM_3) != 0;
        if with_sums && (u8_at(&raw, 0x50) != 4 || superblock_sum(&raw) != be32(&raw, 0xfc)) {
            return Err(bad("wrong checksum"));
        }
        let len = be32(&raw, 0x10);
        let first = be32(&raw, 0x14);
        let fast = match be32(&raw, 0x54) {
            _ if incompat & feature::FAST_COMMIT == 0 => 0,
            0 => DEFAULT_FAST_BLOCKS,
            n => n,
        };
        if be32(&raw, 0xc) as usize != bs
            || len > blocks
            || first == 0
            || first.saturating_add(fast).saturating_add(8) > len
        {
            return Err(bad("sizes that cannot be"));
        }
        Ok(Self {
            runs,
            block_size: bs,
            first,
            end: len - fast,
            len,
            seed: crc32c(!0, cut(&raw, 0x30, 16)),
            incompat,
            compat_checksum: compat & feature::COMPAT_CHECKSUM != 0,
            sequence: be32(&raw, 0x18),
            head: first,
            live: VecDeque::new(),
            raw,
        })
    }

    /// Blocks, all in all.
    pub(crate) fn blocks(&self) -> u32 {
        self.len
    }

    /// The block of the disk that a block of the journal is, and how many follow it there.
    fn place(&self, n: u32) -> Result<(u64, u32)> {
        let at = self.runs.partition_point(|r| r.0 <= n);
        let run = at.checked_sub(1).and_then(|i| self.runs.get(i)).filter(|r| n - r.0 < r.1);
        run.map(|r| (r.2 + u64::from(n - r.0), r.1 - (n - r.0))).ok_or(Errno::EUCLEAN)
    }

    fn next(&self, n: u32) -> u32 {
        if n + 1 >= self.end {
            self.first
        } else {
            n + 1
        }
    }

    fn with_sums(&self) -> bool {
        self.incompat & (feature::CSUM_2 | feature::CSUM_3) != 0
    }

    fn wide(&self) -> bool {
        self.incompat & feature::B64 != 0
    }

    fn tag_len(&self) -> usize {
        if self.incompat & feature::CSUM_3 != 0 {
            return 16;
        }
        8 + if self.wide() { 4 } else { 0 } + if self.incompat & feature::CSUM_2 != 0 { 2 } else { 0 }
    }

    /// Bytes at the end of descriptors and revocations that hold a checksum.
    fn tail_len(&self) -> usize {
        if self.with_sums() {
            4
        } else {
            0
        }
    }

    fn decode_tag(&self, raw: &[u8]) -> Tag {
        if self.incompat & feature::CSUM_3 != 0 {
            let high = if self.wide() { be32(raw, 8) } else { 0 };
            return Tag {
                block: u64::from(be32(raw, 0)) | u64::from(high) << 32,
                flags: be32(raw, 4),
                sum: be32(raw, 12),
            };
        }
        let high = if self.wide() { be32(raw, 8) } else { 0 };
        let block = u64::from(be32(raw, 0)) | u64::from(high) << 32;
        Tag { block, flags: u32::from(be16(raw, 6)), sum: u32::from(be16(raw, 4)) }
    }

    fn encode_tag(&self, tag: Tag, raw: &mut [u8]) {
        put_be32(raw, 0, tag.block as u32);
        if self.wide() {
            put_be32(raw, 8, (tag.block >> 32) as u32);
        }
        if self.incompat & feature::CSUM_3 != 0 {
            put_be32(raw, 4, tag.flags);
            put_be32(raw, 12, tag.sum);
        } else {
            put_be16(raw, 4, tag.sum as u16);
            put_be16(raw, 6, tag.flags as u16);
        }
    }

    /// The checksum of a block, as its tag has it. `data` is what lies in the journal.
    fn tag_sum(&self, sequence: u32, data: &[u8]) -> u32 {
        if !self.with_sums() {
            return 0;
        }
        let sum = crc32c(crc32c(self.seed, &sequence.to_be_bytes()), data);
        if self.incompat & feature::CSUM_3 != 0 {
            sum
        } else {
            sum & 0xffff
        }
    }

    /// The checksum of a descriptor or revocation without its last four bytes, or of a commit block without the field at `hole`.
    fn block_sum(&self, data: &[u8], hole: usize) -> u32 {
        let sum = crc32c(crc32c(self.seed, cut(data, 0, hole)), &[0; 4]);
        crc32c(sum, cut(data, hole + 4, data.len()))
    }

    /// Writes the superblock of the journal: where the oldest transaction starts that is needed (0: none), and its number.
    ///
    /// # Errors
    /// `EIO`.
    fn put_superblock(&mut self, disk: &dyn Disk, start: u32, sequence: u32) -> Result<()> {
        put_be32(&mut self.raw, 0x18, sequence);
        put_be32(&mut self.raw, 0x1c, start);
        self.put_raw(disk)
    }

    fn put_raw(&mut self, disk: &dyn Disk) -> Result<()> {
        if self.with_sums() {
            let sum = superblock_sum(&self.raw);
            put_be32(&mut self.raw, 0xfc, sum);
        }
        let place = self.place(0)?.0;
        write_disk(disk, &self.raw, place * self.block_size as u64)
    }

    /// Makes the journal one of the form that the file system asks for, as Linux does when it mounts.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn adopt(&mut self, disk: &dyn Disk, wide: bool, sums: bool) -> Result<()> {
        let mut incompat = self.incompat & feature::FAST_COMMIT | feature::REVOKE;
        if wide {
            incompat |= feature::B64;
        }
        if sums {
            incompat |= feature::CSUM_3;
        }
        if be32(&self.raw, 4) == kind::SUPERBLOCK_1 {
            put_be32(&mut self.raw, 4, kind::SUPERBLOCK_2);
            for at in [0x24, 0x28, 0x2c] {
                put_be32(&mut self.raw, at, 0);
            }
            put_be32(&mut self.raw, 0x40, 1);
        }
        self.incompat = incompat;
        self.compat_checksum = false;
        let compat = be32(&self.raw, 0x24) & !feature::COMPAT_CHECKSUM;
        put_be32(&mut self.raw, 0x24, compat);
        put_be32(&mut self.raw, 0x28, incompat);
        put_u8(&mut self.raw, 0x50, if sums { 4 } else { 0 });
        self.put_raw(disk)
    }
}

fn superblock_sum(raw: &[u8]) -> u32 {
    let sum = crc32c(crc32c(!0, cut(raw, 0, 0xfc)), &[0; 4]);
    crc32c(sum, cut(raw, 0x100, raw.len()))
}

/// Writes the header of a block.
fn put_header(data: &mut [u8], kind: u32, sequence: u32) {
    put_be32(data, 0, MAGIC);
    put_be32(data, 4, kind);
    put_be32(data, 8, sequence);
}

/// Writes a number of a block in a revocation.
fn put_revoked(data: &mut [u8], at: usize, block: u64, wide: bool) -> usize {
    if wide {
        put_be64(data, at, block);
        8
    } else {
        put_be32(data, at, block as u32);
        4
    }
}
