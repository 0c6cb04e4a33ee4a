//! File status (`asm-generic/stat.h`, `linux/stat.h`; `man 2 stat`, `man 2 statx`, `man 2 utimensat`).
#![expect(missing_docs, reason = "the manual pages explain them")]

use crate::put;

pub const S_IFMT: u32 = 0o170000;
pub const S_IFSOCK: u32 = 0o140000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFBLK: u32 = 0o060000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFCHR: u32 = 0o020000;
pub const S_IFIFO: u32 = 0o010000;
pub const S_ISUID: u32 = 0o4000;
pub const S_ISGID: u32 = 0o2000;
pub const S_ISVTX: u32 = 0o1000;

pub const STATX_BASIC_STATS: u32 = 0x7ff;
pub const STATX_BTIME: u32 = 0x800;
pub const STATX_MNT_ID: u32 = 0x1000;
pub const STATX_DIOALIGN: u32 = 0x2000;
pub const STATX_RESERVED: u32 = 0x8000_0000;

pub const STATX_ATTR_COMPRESSED: u64 = 0x4;
pub const STATX_ATTR_IMMUTABLE: u64 = 0x10;
pub const STATX_ATTR_APPEND: u64 = 0x20;
pub const STATX_ATTR_NODUMP: u64 = 0x40;
pub const STATX_ATTR_ENCRYPTED: u64 = 0x800;
pub const STATX_ATTR_AUTOMOUNT: u64 = 0x1000;
pub const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
pub const STATX_ATTR_VERITY: u64 = 0x10_0000;
pub const STATX_ATTR_DAX: u64 = 0x20_0000;

/// Nanoseconds that mean the present time (`man 2 utimensat`).
pub const UTIME_NOW: i64 = 0x3fff_ffff;
/// Nanoseconds that leave the time as it is.
pub const UTIME_OMIT: i64 = 0x3fff_fffe;

/// Bytes of the generic `struct stat` of 64-bit machines.
pub const STAT_SIZE: usize = 128;
/// Bytes of `struct statx`.
pub const STATX_SIZE: usize = 256;

/// The number of a device: major and minor.
pub type Dev = (u32, u32);

/// A device number as `dev_t` has it: 20 bits of minor around 12 of major.
pub const fn to_dev_t((major, minor): Dev) -> u64 {
    (minor & 0xff | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12) as u64
}

/// The device number of a `dev_t`.
pub const fn from_dev_t(dev: u64) -> Dev {
    let dev = dev as u32;
    (dev >> 8 & 0xfff, dev & 0xff | dev >> 12 & 0xf_ff00)
}

/// What both calls tell, before it takes either form. A time is in seconds since the epoch and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    pub dev: Dev,
    pub ino: u64,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of a device file.
    pub rdev: Dev,
    pub size: u64,
    pub blksize: u32,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub atime: (i64, u32),
    pub mtime: (i64, u32),
    pub ctime: (i64, u32),
    /// When it was made, if that is known.
    pub btime: Option<(i64, u32)>,
    /// `STATX_ATTR_*`
    pub attributes: u64,
    /// Those of `attributes` that its file system knows of.
    pub attributes_mask: u64,
    /// The number of the mount that it was reached by, if it was.
    pub mnt_id: Option<u64>,
    /// Of what address, offset and length must be multiples with `O_DIRECT`; 0 if that is not known, or not asked for.
    pub direct_alignment: u32,
}

impl Stat {
    /// As the generic `struct stat`.
    pub fn to_stat(&self) -> [u8; STAT_SIZE] {
        let mut b = [0; STAT_SIZE];
        put(&mut b, 0, &to_dev_t(self.dev).to_ne_bytes());
        put(&mut b, 8, &self.ino.to_ne_bytes());
        put(&mut b, 16, &self.mode.to_ne_bytes());
        put(&mut b, 20, &self.nlink.to_ne_bytes());
        put(&mut b, 24, &self.uid.to_ne_bytes());
        put(&mut b, 28, &self.gid.to_ne_bytes());
        put(&mut b, 32, &to_dev_t(self.rdev).to_ne_bytes());
        put(&mut b, 48, &self.size.to_ne_bytes());
        put(&mut b, 56, &self.blksize.to_ne_bytes());
        put(&mut b, 64, &self.blocks.to_ne_bytes());
        for (at, (secs, nanos)) in [(72, self.atime), (88, self.mtime), (104, self.ctime)] {
            put(&mut b, at, &secs.to_ne_bytes());
            put(&mut b, at + 8, &u64::from(nanos).to_ne_bytes());
        }
        b
    }

    /// As `struct statx`: all that is known, whatever was asked for.
    pub fn to_statx(&self) -> [u8; STATX_SIZE] {
        let mut b = [0; STATX_SIZE];
        let mut mask = STATX_BASIC_STATS;
        if self.btime.is_some() {
            mask |= STATX_BTIME;
        }
        if self.mnt_id.is_some() {
            mask |= STATX_MNT_ID;
        }
        if self.direct_alignment > 0 {
            mask |= STATX_DIOALIGN;
        }
        put(&mut b, 0, &mask.to_ne_bytes());
        put(&mut b, 4, &self.blksize.to_ne_bytes());
        put(&mut b, 8, &self.attributes.to_ne_bytes());
        put(&mut b, 16, &self.nlink.to_ne_bytes());
        put(&mut b, 20, &self.uid.to_ne_bytes());
        put(&mut b, 24, &self.gid.to_ne_bytes());
        put(&mut b, 28, &(self.mode as u16).to_ne_bytes());
        put(&mut b, 32, &self.ino.to_ne_bytes());
        put(&mut b, 40, &self.size.to_ne_bytes());
        put(&mut b, 48, &self.blocks.to_ne_bytes());
        put(&mut b, 56, &self.attributes_mask.to_ne_bytes());
        let times = [self.atime, self.btime.unwrap_or_default(), self.ctime, self.mtime];
        for (at, (secs, nanos)) in [64, 80, 96, 112].into_iter().zip(times) {
            put(&mut b, at, &secs.to_ne_bytes());
            put(&mut b, at + 8, &nanos.to_ne_bytes());
        }
        put(&mut b, 128, &self.rdev.0.to_ne_bytes());
        put(&mut b, 132, &self.rdev.1.to_ne_bytes());
        put(&mut b, 136, &self.dev.0.to_ne_bytes());
        put(&mut b, 140, &self.dev.1.to_ne_bytes());
        put(&mut b, 144, &self.mnt_id.unwrap_or_default().to_ne_bytes());
        for at in [152, 156] {
            put(&mut b, at, &self.direct_alignment.to_ne_bytes());
        }
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_keep_all_their_bits() {
        assert_eq!(to_dev_t((8, 1)), 0x801);
        assert_eq!(to_dev_t((0xfff, 0xf_ffff)), 0xffff_ffff);
        for dev in [(0, 0), (1, 3), (254, 16), (259, 0x1_2345), (0xfff, 0xf_ffff)] {
            assert_eq!(from_dev_t(to_dev_t(dev)), dev);
        }
    }

    #[test]
    fn members_are_where_linux_has_them() {
        let stat = Stat {
            dev: (8, 0x1_02),
            rdev: (1, 3),
            atime: (-1, 1),
            mtime: (2, 20),
            ctime: (3, 30),
            btime: Some((4, 40)),
            blocks: 77,
            mnt_id: Some(5),
            attributes: STATX_ATTR_APPEND,
            direct_alignment: 512,
            ..Stat::default()
        };
        let b = stat.to_stat();
        let long = |b: &[u8], at: usize| i64::from_ne_bytes(b[at..at + 8].try_into().unwrap());
        assert_eq!((long(&b, 0), long(&b, 32), long(&b, 64)), (0x10_0802, 0x103, 77));
        assert_eq!([72, 80, 88, 96, 104, 112].map(|at| long(&b, at)), [-1, 1, 2, 20, 3, 30]);
        let b = stat.to_statx();
        assert_eq!([64, 80, 96, 112].map(|at| long(&b, at)), [-1, 4, 3, 2]);
        assert_eq!(b[0..4], (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID | STATX_DIOALIGN).to_ne_bytes());
        assert_eq!((b[128], b[132], b[136], b[140..142].to_vec()), (1, 3, 8, vec![2, 1]));
        assert_eq!((long(&b, 8), long(&b, 144), long(&b, 152)), (0x20, 5, 512 << 32 | 512));
    }
}
