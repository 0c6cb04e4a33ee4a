//! File status (`asm-generic/stat.h`, `linux/stat.h`; `man 2 stat`, `man 2 statx`).
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const S_IFMT: u32 = 0o170000;
pub const S_IFSOCK: u32 = 0o140000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFCHR: u32 = 0o020000;
pub const S_IFIFO: u32 = 0o010000;

pub const STATX_BASIC_STATS: u32 = 0x7ff;
pub const STATX_RESERVED: u32 = 0x8000_0000;

/// Bytes of the generic `struct stat` of 64-bit machines.
pub const STAT_SIZE: usize = 128;
/// Bytes of `struct statx`.
pub const STATX_SIZE: usize = 256;

/// What both calls tell, before it takes either form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// Device, as `major << 8 | minor`.
    pub dev: u64,
    pub ino: u64,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u64,
    pub size: u64,
    pub blksize: u32,
    /// In units of 512 bytes.
    pub blocks: u64,
    /// Of access, modification and change: seconds since the epoch, nanoseconds.
    pub time: (i64, u32),
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = out.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

impl Stat {
    /// As the generic `struct stat`.
    pub fn to_stat(&self) -> [u8; STAT_SIZE] {
        let mut b = [0; STAT_SIZE];
        put(&mut b, 0, &self.dev.to_ne_bytes());
        put(&mut b, 8, &self.ino.to_ne_bytes());
        put(&mut b, 16, &self.mode.to_ne_bytes());
        put(&mut b, 20, &self.nlink.to_ne_bytes());
        put(&mut b, 24, &self.uid.to_ne_bytes());
        put(&mut b, 28, &self.gid.to_ne_bytes());
        put(&mut b, 32, &self.rdev.to_ne_bytes());
        put(&mut b, 48, &self.size.to_ne_bytes());
        put(&mut b, 56, &self.blksize.to_ne_bytes());
        put(&mut b, 64, &self.blocks.to_ne_bytes());
        for at in [72, 88, 104] {
            put(&mut b, at, &self.time.0.to_ne_bytes());
            put(&mut b, at + 8, &u64::from(self.time.1).to_ne_bytes());
        }
        b
    }

    /// As `struct statx`, with the basic fields.
    pub fn to_statx(&self) -> [u8; STATX_SIZE] {
        let mut b = [0; STATX_SIZE];
        put(&mut b, 0, &STATX_BASIC_STATS.to_ne_bytes());
        put(&mut b, 4, &self.blksize.to_ne_bytes());
        put(&mut b, 16, &self.nlink.to_ne_bytes());
        put(&mut b, 20, &self.uid.to_ne_bytes());
        put(&mut b, 24, &self.gid.to_ne_bytes());
        put(&mut b, 28, &(self.mode as u16).to_ne_bytes());
        put(&mut b, 32, &self.ino.to_ne_bytes());
        put(&mut b, 40, &self.size.to_ne_bytes());
        put(&mut b, 48, &self.blocks.to_ne_bytes());
        // Access, change, modification; the birth time at 80 is not told.
        for at in [64, 96, 112] {
            put(&mut b, at, &self.time.0.to_ne_bytes());
            put(&mut b, at + 8, &self.time.1.to_ne_bytes());
        }
        let halves = |dev: u64| [((dev >> 8) as u32).to_ne_bytes(), ((dev & 0xff) as u32).to_ne_bytes()];
        put(&mut b, 128, halves(self.rdev).as_flattened());
        put(&mut b, 136, halves(self.dev).as_flattened());
        b
    }
}
