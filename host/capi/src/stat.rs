//! What is known of files and file systems, as values.

use lkl_abi::stat::{self, Dev, STATX_BTIME, STATX_SIZE};
use lkl_abi::statfs::STATFS_SIZE;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in wall-clock time: seconds since 1970 (negative before it), and nanoseconds after that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp {
    /// Whole seconds.
    pub secs: i64,
    /// Below 10^9.
    pub nanos: u32,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(d) => Self { secs: d.as_secs() as i64, nanos: d.subsec_nanos() },
            Err(e) => {
                let before = e.duration();
                let up = u32::from(before.subsec_nanos() > 0);
                let secs = -(before.as_secs() as i64) - i64::from(up);
                Self { secs, nanos: up * 1_000_000_000 - before.subsec_nanos() }
            }
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let whole = Duration::from_secs(time.secs.unsigned_abs());
        let second = if time.secs < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        second + Duration::from_nanos(u64::from(time.nanos))
    }
}

/// What a time is to become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    /// The present time.
    Now,
    /// It stays as it is.
    Omit,
    /// This.
    At(Timestamp),
}

impl SetTime {
    /// As `struct timespec`.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let (secs, nanos) = match self {
            Self::Now => (0, stat::UTIME_NOW),
            Self::Omit => (0, stat::UTIME_OMIT),
            Self::At(t) => (t.secs, i64::from(t.nanos)),
        };
        let mut bytes = [0; 16];
        let (first, second) = bytes.split_at_mut(8);
        first.copy_from_slice(&secs.to_ne_bytes());
        second.copy_from_slice(&nanos.to_ne_bytes());
        bytes
    }
}

/// The type of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "man 7 inode explains them")]
pub enum FileType {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

impl FileType {
    /// The type that the `S_IFMT` bits of a mode name.
    pub const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & stat::S_IFMT {
            stat::S_IFREG => Self::Regular,
            stat::S_IFDIR => Self::Directory,
            stat::S_IFLNK => Self::Symlink,
            stat::S_IFCHR => Self::CharDevice,
            stat::S_IFBLK => Self::BlockDevice,
            stat::S_IFIFO => Self::Fifo,
            stat::S_IFSOCK => Self::Socket,
            _ => return None,
        })
    }

    /// The `S_IFMT` bits.
    pub const fn mode(self) -> u32 {
        match self {
            Self::Regular => stat::S_IFREG,
            Self::Directory => stat::S_IFDIR,
            Self::Symlink => stat::S_IFLNK,
            Self::CharDevice => stat::S_IFCHR,
            Self::BlockDevice => stat::S_IFBLK,
            Self::Fifo => stat::S_IFIFO,
            Self::Socket => stat::S_IFSOCK,
        }
    }
}

/// What is known of a file (`man 2 statx`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// The device that it is on: major and minor number.
    pub dev: Dev,
    /// Its number there.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// How many names it has.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Of a device file: major and minor number.
    pub rdev: Dev,
    /// Length in bytes; of a symbolic link, that of its target.
    pub size: u64,
    /// Space that it takes, in units of 512 bytes.
    pub blocks: u64,
    /// Preferred size of reads and writes, in bytes.
    pub blksize: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of its data.
    pub mtime: Timestamp,
    /// Last change of its data or of what is known of it.
    pub ctime: Timestamp,
    /// When it was made, if that is known.
    pub btime: Option<Timestamp>,
    /// `STATX_ATTR_*`
    pub attributes: u64,
}

fn word<const N: usize>(b: &[u8], at: usize) -> [u8; N] {
    b.get(at..at + N).and_then(|b| b.try_into().ok()).unwrap_or([0; N])
}

fn int(b: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(word(b, at))
}

fn long(b: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(word(b, at))
}

impl Metadata {
    /// Reads a `struct statx`.
    pub(crate) fn parse(b: &[u8; STATX_SIZE]) -> Self {
        let time = |at| Timestamp { secs: long(b, at) as i64, nanos: int(b, at + 8) };
        Self {
            dev: (int(b, 136), int(b, 140)),
            ino: long(b, 32),
            mode: u32::from(u16::from_ne_bytes(word(b, 28))),
            nlink: int(b, 16),
            uid: int(b, 20),
            gid: int(b, 24),
            rdev: (int(b, 128), int(b, 132)),
            size: long(b, 40),
            blocks: long(b, 48),
            blksize: int(b, 4),
            atime: time(64),
            mtime: time(112),
            ctime: time(96),
            btime: (int(b, 0) & STATX_BTIME != 0).then(|| time(80)),
            attributes: long(b, 8),
        }
    }

    /// Its type.
    pub const fn file_type(&self) -> Option<FileType> {
        FileType::from_mode(self.mode)
    }

    /// Is it a directory?
    pub fn is_dir(&self) -> bool {
        self.file_type() == Some(FileType::Directory)
    }
}

/// What is known of a file system (`man 2 statfs`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatFs {
    /// Its magic number.
    pub kind: u64,
    /// Size of its blocks in bytes.
    pub block_size: u64,
    /// Blocks.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Of these, those that are not kept for root.
    pub blocks_available: u64,
    /// Files that it has room for; 0 if they are not counted.
    pub files: u64,
    /// Of these, those that are not there yet.
    pub files_free: u64,
    /// Longest name in bytes.
    pub name_max: u64,
    /// `ST_*`
    pub flags: u64,
}

impl StatFs {
    /// Reads a `struct statfs`.
    pub(crate) fn parse(b: &[u8; STATFS_SIZE]) -> Self {
        let member = |n: usize| long(b, n * 8);
        Self {
            kind: member(0),
            block_size: member(1),
            blocks: member(2),
            blocks_free: member(3),
            blocks_available: member(4),
            files: member(5),
            files_free: member(6),
            name_max: member(8),
            flags: member(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let written = stat::Stat {
            dev: (259, 3),
            ino: 12,
            mode: 0o104755,
            nlink: 2,
            uid: 100_000,
            gid: 5,
            rdev: (8, 1),
            size: 1 << 40,
            blksize: 4096,
            blocks: 99,
            atime: (-1, 1),
            mtime: (2, 999_999_999),
            ctime: (3, 30),
            btime: Some((4, 40)),
            attributes: stat::STATX_ATTR_APPEND,
            ..stat::Stat::default()
        };
        let read = Metadata::parse(&written.to_statx());
        let time = |secs, nanos| Timestamp { secs, nanos };
        let want = Metadata {
            dev: (259, 3),
            ino: 12,
            mode: 0o104755,
            nlink: 2,
            uid: 100_000,
            gid: 5,
            rdev: (8, 1),
            size: 1 << 40,
            blocks: 99,
            blksize: 4096,
            atime: time(-1, 1),
            mtime: time(2, 999_999_999),
            ctime: time(3, 30),
            btime: Some(time(4, 40)),
            attributes: stat::STATX_ATTR_APPEND,
        };
        assert_eq!(read, want);
        let none = stat::Stat { btime: None, ..written };
        assert_eq!(Metadata::parse(&none.to_statx()).btime, None);
    }

    #[test]
    fn times_before_1970_keep_their_nanoseconds() {
        for (secs, nanos) in [(0, 0), (-1, 1), (-1, 999_999_999), (-5, 0), (5, 7), (i64::from(u32::MAX), 1)] {
            let time = Timestamp { secs, nanos };
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
    }
}
