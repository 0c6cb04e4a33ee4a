//! Inodes: 128 bytes of old, then as many as the superblock says, of which `i_extra_isize` are fields; the rest holds extended attributes.

use crate::bytes::{cut, le16, le32, put_bytes, put_le16, put_le32};
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::features::RoCompat;
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// The root directory.
pub(crate) const ROOT_INO: u32 = 2;

/// Kinds of file, as in `i_mode`.
pub(crate) mod kind {
    pub(crate) const MASK: u16 = 0o170_000;
    pub(crate) const FIFO: u16 = 0o010_000;
    pub(crate) const CHAR: u16 = 0o020_000;
    pub(crate) const DIR: u16 = 0o040_000;
    pub(crate) const BLOCK: u16 = 0o060_000;
    pub(crate) const REG: u16 = 0o100_000;
    pub(crate) const LINK: u16 = 0o120_000;
    pub(crate) const SOCK: u16 = 0o140_000;
}

/// `i_flags`.
pub(crate) mod flag {
    pub(crate) const IMMUTABLE: u32 = 0x10;
    pub(crate) const APPEND: u32 = 0x20;
    pub(crate) const ENCRYPT: u32 = 0x800;
    pub(crate) const INDEX: u32 = 0x1000;
    pub(crate) const TOPDIR: u32 = 0x2_0000;
    pub(crate) const HUGE_FILE: u32 = 0x4_0000;
    pub(crate) const EXTENTS: u32 = 0x8_0000;
    pub(crate) const VERITY: u32 = 0x10_0000;
    pub(crate) const EA_INODE: u32 = 0x20_0000;
    pub(crate) const INLINE_DATA: u32 = 0x1000_0000;
    pub(crate) const PROJINHERIT: u32 = 0x2000_0000;
    pub(crate) const CASEFOLD: u32 = 0x4000_0000;
    /// What a new inode takes over from its directory (`EXT4_FL_INHERITED`).
    pub(crate) const INHERITED: u32 =
        0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x400 | 0x4000 | 0x8000 | 0x1_0000 | PROJINHERIT | CASEFOLD | 0x200_0000;
    /// Those of them that only directories keep.
    pub(crate) const DIR_ONLY: u32 = 0x1_0000 | PROJINHERIT | CASEFOLD;
    /// What programs see by `FS_IOC_GETFLAGS`.
    pub(crate) const VISIBLE: u32 = 0x705b_dfff;
    /// What programs may set by `FS_IOC_SETFLAGS`; not whether there are extents, which would be another map.
    pub(crate) const SETTABLE: u32 = 0x6043_c0ff;
}

/// Where the fields of an inode are, in bytes.
mod at {
    pub(super) const LINKS: usize = 0x1a;
    pub(super) const BLOCKS: usize = 0x1c;
    pub(super) const FLAGS: usize = 0x20;
    pub(super) const BLOCK: usize = 0x28;
    pub(super) const CSUM: usize = 0x7c;
    pub(super) const EXTRA_ISIZE: usize = 0x80;
    pub(super) const CSUM_HI: usize = 0x82;
}

/// A point in time, as inodes keep it: seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time {
    /// Seconds since 1970, UTC.
    pub sec: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nsec: u32,
}

/// The times of an inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimeField {
    Access,
    Change,
    Modify,
    Birth,
}

/// An inode, as it lies in the inode table.
#[derive(Clone, Debug)]
pub(crate) struct Inode {
    pub(crate) ino: u32,
    pub(crate) raw: Vec<u8>,
}

impl Inode {
    pub(crate) fn mode(&self) -> u16 {
        le16(&self.raw, 0)
    }

    pub(crate) fn set_mode(&mut self, mode: u16) {
        put_le16(&mut self.raw, 0, mode);
    }

    pub(crate) fn kind(&self) -> u16 {
        self.mode() & kind::MASK
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind() == kind::DIR
    }

    pub(crate) fn is_reg(&self) -> bool {
        self.kind() == kind::REG
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.kind() == kind::LINK
    }

    pub(crate) fn uid(&self) -> u32 {
        u32::from(le16(&self.raw, 2)) | u32::from(le16(&self.raw, 0x78)) << 16
    }

    pub(crate) fn gid(&self) -> u32 {
        u32::from(le16(&self.raw, 0x18)) | u32::from(le16(&self.raw, 0x7a)) << 16
    }

    pub(crate) fn set_owner(&mut self, uid: u32, gid: u32) {
        put_le16(&mut self.raw, 2, uid as u16);
        put_le16(&mut self.raw, 0x78, (uid >> 16) as u16);
        put_le16(&mut self.raw, 0x18, gid as u16);
        put_le16(&mut self.raw, 0x7a, (gid >> 16) as u16);
    }

    /// Size in bytes. The high half counts for every kind of file, as in Linux.
    pub(crate) fn size(&self) -> u64 {
        u64::from(le32(&self.raw, 4)) | u64::from(le32(&self.raw, 0x6c)) << 32
    }

    pub(crate) fn set_size(&mut self, size: u64) {
        put_le32(&mut self.raw, 4, size as u32);
        put_le32(&mut self.raw, 0x6c, (size >> 32) as u32);
    }

    pub(crate) fn links(&self) -> u16 {
        le16(&self.raw, at::LINKS)
    }

    pub(crate) fn set_links(&mut self, links: u16) {
        put_le16(&mut self.raw, at::LINKS, links);
    }

    pub(crate) fn flags(&self) -> u32 {
        le32(&self.raw, at::FLAGS)
    }

    pub(crate) fn set_flags(&mut self, flags: u32) {
        put_le32(&mut self.raw, at::FLAGS, flags);
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags() & flag != 0
    }

    pub(crate) fn generation(&self) -> u32 {
        le32(&self.raw, 0x64)
    }

    pub(crate) fn set_generation(&mut self, generation: u32) {
        put_le32(&mut self.raw, 0x64, generation);
    }

    /// Deletion time; in an orphan, the next inode of the orphan list.
    pub(crate) fn dtime(&self) -> u32 {
        le32(&self.raw, 0x14)
    }

    pub(crate) fn set_dtime(&mut self, dtime: u32) {
        put_le32(&mut self.raw, 0x14, dtime);
    }

    /// The block of extended attributes, 0 if there is none.
    pub(crate) fn xattr_block(&self) -> u64 {
        u64::from(le32(&self.raw, 0x68)) | u64::from(le16(&self.raw, 0x76)) << 32
    }

    pub(crate) fn set_xattr_block(&mut self, block: u64) {
        put_le32(&mut self.raw, 0x68, block as u32);
        put_le16(&mut self.raw, 0x76, (block >> 32) as u16);
    }

    /// The 60 bytes of the block map, inline data, or a short symlink.
    pub(crate) fn block(&self) -> &[u8] {
        cut(&self.raw, at::BLOCK, 60)
    }

    pub(crate) fn set_block(&mut self, bytes: &[u8]) {
        put_bytes(&mut self.raw, at::BLOCK, cut(bytes, 0, 60));
    }

    /// The device number of a special file, as Linux's `dev_t` (`new_encode_dev`).
    pub(crate) fn rdev(&self) -> (u32, u32) {
        let (old, new) = (le32(&self.raw, at::BLOCK), le32(&self.raw, at::BLOCK + 4));
        if old != 0 {
            return (old >> 8 & 0xff, old & 0xff);
        }
        (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00)
    }

    pub(crate) fn set_rdev(&mut self, major: u32, minor: u32) {
        let old = major < 256 && minor < 256;
        let encoded = minor & 0xff | major << 8 | (minor & !0xff) << 12;
        put_le32(&mut self.raw, at::BLOCK, if old { major << 8 | minor } else { 0 });
        put_le32(&mut self.raw, at::BLOCK + 4, if old { 0 } else { encoded });
    }

    /// Bytes of fields past the first 128.
    pub(crate) fn extra_isize(&self) -> usize {
        if self.raw.len() > 128 {
            usize::from(le16(&self.raw, at::EXTRA_ISIZE))
        } else {
            0
        }
    }

    pub(crate) fn set_extra_isize(&mut self, size: u16) {
        put_le16(&mut self.raw, at::EXTRA_ISIZE, size);
    }

    /// Is the field at `from..to` within the fields that this inode has?
    fn fits(&self, to: usize) -> bool {
        to <= 128 + self.extra_isize()
    }

    fn time_place(which: TimeField) -> (usize, usize) {
        match which {
            TimeField::Access => (0x8, 0x8c),
            TimeField::Change => (0xc, 0x84),
            TimeField::Modify => (0x10, 0x88),
            TimeField::Birth => (0x90, 0x94),
        }
    }

    /// A time; `None` if the inode is too small to have one of that kind.
    pub(crate) fn time(&self, which: TimeField) -> Option<Time> {
        let (low, extra) = Self::time_place(which);
        if which == TimeField::Birth && !self.fits(low + 4) {
            return None;
        }
        let sec = i64::from(le32(&self.raw, low) as i32);
        if !self.fits(extra + 4) {
            return Some(Time { sec, nsec: 0 });
        }
        let extra = le32(&self.raw, extra);
        Some(Time { sec: sec + (i64::from(extra & 3) << 32), nsec: (extra >> 2).min(999_999_999) })
    }

    /// Sets a time, as exactly as the inode can keep it.
    pub(crate) fn set_time(&mut self, which: TimeField, time: Time) {
        let (low, extra) = Self::time_place(which);
        if which == TimeField::Birth && !self.fits(low + 4) {
            return;
        }
        if !self.fits(extra + 4) {
            let sec = time.sec.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
            put_le32(&mut self.raw, low, sec as u32);
            return;
        }
        let (first, last) = (i64::from(i32::MIN), (3 << 32) + i64::from(i32::MAX));
        let sec = time.sec.clamp(first, last);
        // As on Linux the first and the last second have no parts.
        let nsec = if sec == first || sec == last { 0 } else { time.nsec };
        let epoch = (sec - i64::from(sec as i32)) >> 32;
        put_le32(&mut self.raw, low, sec as u32);
        put_le32(&mut self.raw, extra, epoch as u32 & 3 | nsec << 2);
    }

    /// The project that the inode belongs to.
    pub(crate) fn project(&self) -> u32 {
        if self.fits(0xa0) {
            le32(&self.raw, 0x9c)
        } else {
            0
        }
    }

    /// Sets the project.
    ///
    /// # Errors
    /// `EOVERFLOW` if the inode has no room for it.
    pub(crate) fn set_project(&mut self, project: u32) -> Result<()> {
        if !self.fits(0xa0) {
            return Err(Errno::EOVERFLOW);
        }
        put_le32(&mut self.raw, 0x9c, project);
        Ok(())
    }

    /// Is the map of blocks one, rather than a short link, a device number or content?
    pub(crate) fn has_blocks(&self) -> bool {
        let mapped = match self.kind() {
            kind::REG | kind::DIR => true,
            kind::LINK => self.size() >= 60,
            _ => false,
        };
        mapped && !self.has(flag::INLINE_DATA)
    }

    /// Where the extended attributes in the inode start, with their magic number; `None` if the inode has no room for them.
    pub(crate) fn xattr_start(&self) -> Option<usize> {
        let start = 128 + self.extra_isize();
        (self.raw.len() > 128 && self.extra_isize() != 0 && start + 8 <= self.raw.len()).then_some(start)
    }

    /// What checksums of the blocks of this inode start from.
    pub(crate) fn csum_seed(&self, fs_seed: u32) -> u32 {
        let [i0, i1, i2, i3] = self.ino.to_le_bytes();
        let [g0, g1, g2, g3] = self.generation().to_le_bytes();
        crc32c(fs_seed, &[i0, i1, i2, i3, g0, g1, g2, g3])
    }

    fn has_csum_hi(&self) -> bool {
        self.raw.len() > 128 && self.extra_isize() >= 4
    }

    fn put_checksum(&mut self, sum: u32) {
        put_le16(&mut self.raw, at::CSUM, sum as u16);
        if self.has_csum_hi() {
            put_le16(&mut self.raw, at::CSUM_HI, (sum >> 16) as u16);
        }
    }

    /// Writes its checksum, which is that of the inode with 0 there.
    fn seal(&mut self, fs_seed: u32) {
        self.put_checksum(0);
        let sum = crc32c(self.csum_seed(fs_seed), &self.raw);
        self.put_checksum(sum);
    }

    /// Writes its checksum. Was it the one that was there?
    fn reseal(&mut self, fs_seed: u32) -> bool {
        let sum = |inode: &Self| {
            let high = if inode.has_csum_hi() { le16(&inode.raw, at::CSUM_HI) } else { 0 };
            (le16(&inode.raw, at::CSUM), high)
        };
        let before = sum(self);
        self.seal(fs_seed);
        sum(self) == before
    }
}

impl Ext4 {
    /// The block and place of an inode in its table.
    ///
    /// # Errors
    /// `EUCLEAN` if there is no such inode.
    pub(crate) fn inode_place(&mut self, ino: u32) -> Result<(u64, usize)> {
        if ino == 0 || ino > self.sb.inodes_count {
            return Err(corrupt(0, format_args!("no inode {ino}")));
        }
        let number = (ino - 1) / self.sb.inodes_per_group;
        // Tables never move: each descriptor is looked at once.
        let table = match self.inode_tables.get(&number) {
            Some(&table) => table,
            None => {
                let table = self.group(number)?.inode_table;
                self.inode_tables.insert(number, table);
                table
            }
        };
        let index = u64::from((ino - 1) % self.sb.inodes_per_group);
        let block = table + index / self.inodes_per_block();
        Ok((block, (index % self.inodes_per_block()) as usize * self.sb.inode_size))
    }

    /// Reads an inode, whatever is in it.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN` if its checksum or the size of its fields is wrong.
    pub(crate) fn raw_inode(&mut self, ino: u32) -> Result<Inode> {
        let (block, offset) = self.inode_place(ino)?;
        let left =
            self.inode_table_blocks() - (u64::from((ino - 1) % self.sb.inodes_per_group) / self.inodes_per_block());
        let data = self.cache.read_ahead(block, left.min(16))?;
        let mut inode = Inode { ino, raw: cut(&data, offset, self.sb.inode_size).to_vec() };
        if inode.raw.len() != self.sb.inode_size {
            return Err(corrupt(block, format_args!("no inode {ino}")));
        }
        let extra = inode.extra_isize();
        if inode.raw.len() > 128 && (128 + extra > inode.raw.len() || extra % 4 != 0) {
            return Err(corrupt(block, format_args!("inode {ino} has {extra} bytes of extra fields")));
        }
        if self.sb.metadata_csum() && !inode.reseal(self.sb.csum_seed) {
            return Err(corrupt(block, format_args!("wrong checksum of inode {ino}")));
        }
        Ok(inode)
    }

    /// Reads an inode that is in use.
    ///
    /// # Errors
    /// As [`Ext4::raw_inode`]; `ESTALE` if it is not in use; `EUCLEAN` if it is of no kind or too large.
    pub(crate) fn inode(&mut self, ino: u32) -> Result<Inode> {
        let inode = self.raw_inode(ino)?;
        let (links, mode) = (inode.links(), inode.mode());
        if links == 0 && (mode == 0 || inode.dtime() != 0) && !self.is_orphan(ino) {
            return Err(Errno::ESTALE);
        }
        let known = matches!(
            inode.kind(),
            kind::FIFO | kind::CHAR | kind::DIR | kind::BLOCK | kind::REG | kind::LINK | kind::SOCK
        );
        // What is metadata lies in blocks, all of them.
        let largest = if inode.is_dir() { self.sb.blocks_count << self.sb.block_bits } else { i64::MAX as u64 };
        if !known || inode.size() > largest {
            let block = self.inode_place(ino)?.0;
            return Err(corrupt(block, format_args!("inode {ino} has mode {mode:o} and size {}", inode.size())));
        }
        Ok(inode)
    }

    /// Writes an inode with its checksum.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn put_inode(&mut self, inode: &mut Inode) -> Result<()> {
        if self.sb.metadata_csum() {
            inode.seal(self.sb.csum_seed);
        }
        let (block, offset) = self.inode_place(inode.ino)?;
        put_bytes(self.cache.change(block)?, offset, &inode.raw);
        Ok(())
    }

    /// Blocks that an inode occupies, in sectors of 512 bytes.
    pub(crate) fn sectors(&self, inode: &Inode) -> u64 {
        let low = u64::from(le32(&inode.raw, at::BLOCKS));
        if !self.sb.has_ro(RoCompat::HUGE_FILE) {
            return low;
        }
        let all = low | u64::from(le16(&inode.raw, 0x74)) << 32;
        if inode.has(flag::HUGE_FILE) {
            all << (self.sb.block_bits - 9)
        } else {
            all
        }
    }

    /// Sets that number.
    ///
    /// # Errors
    /// `EFBIG` if it cannot be expressed.
    pub(crate) fn set_sectors(&self, inode: &mut Inode, sectors: u64) -> Result<()> {
        let mut flags = inode.flags() & !flag::HUGE_FILE;
        let mut count = sectors;
        if count > u64::from(u32::MAX) {
            if !self.sb.has_ro(RoCompat::HUGE_FILE) {
                return Err(Errno::EFBIG);
            }
            if count >> 48 != 0 {
                count >>= self.sb.block_bits - 9;
                flags |= flag::HUGE_FILE;
            }
            if count >> 48 != 0 {
                return Err(Errno::EFBIG);
            }
        }
        inode.set_flags(flags);
        put_le32(&mut inode.raw, at::BLOCKS, count as u32);
        if self.sb.has_ro(RoCompat::HUGE_FILE) {
            put_le16(&mut inode.raw, 0x74, (count >> 32) as u16);
        }
        Ok(())
    }

    /// Adds blocks to (or takes them from) what an inode occupies.
    ///
    /// # Errors
    /// `EFBIG`.
    pub(crate) fn count_blocks(&self, inode: &mut Inode, blocks: i64) -> Result<()> {
        let sectors = self.sectors(inode).saturating_add_signed(blocks << (self.sb.block_bits - 9));
        self.set_sectors(inode, sectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_nanoseconds_and_34_bits() {
        let mut inode = Inode { ino: 12, raw: vec![0; 256] };
        inode.set_extra_isize(32);
        let (first, last) = (i64::from(i32::MIN), (3 << 32) + i64::from(i32::MAX));
        for sec in [-1, 0, first, first + 1, 1 << 31, (1 << 32) - 1, 1 << 32, last - 1, last] {
            let nsec = if sec == first || sec == last { 0 } else { 999_999_999 };
            let time = Time { sec, nsec };
            for which in [TimeField::Access, TimeField::Change, TimeField::Modify, TimeField::Birth] {
                inode.set_time(which, time);
                assert_eq!(inode.time(which), Some(time), "{which:?}");
            }
        }
        let mut old = Inode { ino: 12, raw: vec![0; 128] };
        old.set_time(TimeField::Modify, Time { sec: -5, nsec: 7 });
        assert_eq!((old.time(TimeField::Modify), old.time(TimeField::Birth)), (Some(Time { sec: -5, nsec: 0 }), None));
    }

    #[test]
    fn device_numbers_in_both_encodings() {
        let mut inode = Inode { ino: 12, raw: vec![0; 128] };
        for dev in [(8, 1), (255, 255), (256, 1), (1, 256), (4095, 0xf_ffff)] {
            inode.set_rdev(dev.0, dev.1);
            assert_eq!(inode.rdev(), dev);
        }
    }
}
