//! Open flags and `fcntl` commands (`asm-generic/fcntl.h`, `linux/fcntl.h`; `man 2 open`, `man 2 fcntl`).
#![expect(missing_docs, reason = "the manual pages explain them")]

use crate::put;

pub const O_ACCMODE: u32 = 0o3;
pub const O_RDONLY: u32 = 0o0;
pub const O_WRONLY: u32 = 0o1;
pub const O_RDWR: u32 = 0o2;
pub const O_CREAT: u32 = 0o100;
pub const O_EXCL: u32 = 0o200;
pub const O_NOCTTY: u32 = 0o400;
pub const O_TRUNC: u32 = 0o1000;
pub const O_APPEND: u32 = 0o2000;
pub const O_NONBLOCK: u32 = 0o4000;
pub const O_DSYNC: u32 = 0o10000;
/// `O_ASYNC`
pub const FASYNC: u32 = 0o20000;
pub const O_DIRECT: u32 = 0o40000;
pub const O_LARGEFILE: u32 = 0o100000;
pub const O_DIRECTORY: u32 = 0o200000;
pub const O_NOFOLLOW: u32 = 0o400000;
pub const O_NOATIME: u32 = 0o1000000;
pub const O_CLOEXEC: u32 = 0o2000000;
/// The bit of `O_SYNC` beside [`O_DSYNC`] (`__O_SYNC`).
pub const O_SYNC_BIT: u32 = 0o4000000;
pub const O_SYNC: u32 = O_SYNC_BIT | O_DSYNC;
pub const O_PATH: u32 = 0o10000000;
/// The bit of `O_TMPFILE` beside [`O_DIRECTORY`] (`__O_TMPFILE`).
pub const O_TMPFILE_BIT: u32 = 0o20000000;
pub const O_TMPFILE: u32 = O_TMPFILE_BIT | O_DIRECTORY;

pub const F_DUPFD: u32 = 0;
pub const F_GETFD: u32 = 1;
pub const F_SETFD: u32 = 2;
pub const F_GETFL: u32 = 3;
pub const F_SETFL: u32 = 4;
pub const F_GETLK: u32 = 5;
pub const F_SETLK: u32 = 6;
pub const F_SETLKW: u32 = 7;
pub const F_SETOWN: u32 = 8;
pub const F_GETOWN: u32 = 9;
pub const F_SETSIG: u32 = 10;
pub const F_GETSIG: u32 = 11;
pub const F_SETOWN_EX: u32 = 15;
pub const F_GETOWN_EX: u32 = 16;
pub const F_OFD_GETLK: u32 = 36;
pub const F_OFD_SETLK: u32 = 37;
pub const F_OFD_SETLKW: u32 = 38;
pub const F_SETLEASE: u32 = 1024;
pub const F_GETLEASE: u32 = 1025;
pub const F_NOTIFY: u32 = 1026;
pub const F_DUPFD_QUERY: u32 = 1027;
pub const F_DUPFD_CLOEXEC: u32 = 1030;
pub const F_SETPIPE_SZ: u32 = 1031;
pub const F_GETPIPE_SZ: u32 = 1032;
pub const F_ADD_SEALS: u32 = 1033;
pub const F_GET_SEALS: u32 = 1034;
pub const F_GET_RW_HINT: u32 = 1035;
pub const F_SET_RW_HINT: u32 = 1036;
/// The greatest hint of how long what is written to a file will live (`RWH_WRITE_LIFE_EXTREME`).
pub const RWH_WRITE_LIFE_EXTREME: u64 = 5;

pub const FD_CLOEXEC: u32 = 1;

pub const F_RDLCK: i16 = 0;
pub const F_WRLCK: i16 = 1;
pub const F_UNLCK: i16 = 2;

pub const LOCK_SH: u32 = 1;
pub const LOCK_EX: u32 = 2;
pub const LOCK_NB: u32 = 4;
pub const LOCK_UN: u32 = 8;

pub const F_SEAL_SEAL: u32 = 0x01;
pub const F_SEAL_SHRINK: u32 = 0x02;
pub const F_SEAL_GROW: u32 = 0x04;
pub const F_SEAL_WRITE: u32 = 0x08;
pub const F_SEAL_FUTURE_WRITE: u32 = 0x10;
pub const F_SEAL_EXEC: u32 = 0x20;

pub const F_OWNER_TID: i32 = 0;
pub const F_OWNER_PID: i32 = 1;
pub const F_OWNER_PGRP: i32 = 2;

pub const AT_FDCWD: i32 = -100;
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
pub const AT_EACCESS: u32 = 0x200;
pub const AT_REMOVEDIR: u32 = 0x200;
pub const AT_SYMLINK_FOLLOW: u32 = 0x400;
pub const AT_NO_AUTOMOUNT: u32 = 0x800;
pub const AT_EMPTY_PATH: u32 = 0x1000;
pub const AT_STATX_FORCE_SYNC: u32 = 0x2000;
pub const AT_STATX_DONT_SYNC: u32 = 0x4000;

pub const CLOSE_RANGE_UNSHARE: u32 = 2;
pub const CLOSE_RANGE_CLOEXEC: u32 = 4;

pub const SEEK_SET: u32 = 0;
pub const SEEK_CUR: u32 = 1;
pub const SEEK_END: u32 = 2;
pub const SEEK_DATA: u32 = 3;
pub const SEEK_HOLE: u32 = 4;

pub const R_OK: u32 = 4;
pub const W_OK: u32 = 2;
pub const X_OK: u32 = 1;

/// Bytes of `struct flock` of 64-bit machines.
pub const FLOCK_SIZE: usize = 32;

/// `struct flock`: a lock of a range of bytes (`man 2 fcntl`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flock {
    /// `F_RDLCK`, `F_WRLCK`, `F_UNLCK`
    pub kind: i16,
    /// `SEEK_SET`, `SEEK_CUR`, `SEEK_END`
    pub whence: i16,
    pub start: i64,
    /// In bytes; 0 for all that follows, negative for bytes before `start`.
    pub len: i64,
    pub pid: i32,
}

impl Flock {
    /// Reads one.
    pub fn parse(b: &[u8; FLOCK_SIZE]) -> Self {
        let &[t0, t1, w0, w1, ..] = b;
        let long = |at: usize| b.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, i64::from_ne_bytes);
        Self {
            kind: i16::from_ne_bytes([t0, t1]),
            whence: i16::from_ne_bytes([w0, w1]),
            start: long(8),
            len: long(16),
            pid: b.get(24..28).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes),
        }
    }

    /// Writes one.
    pub fn to_bytes(&self) -> [u8; FLOCK_SIZE] {
        let mut b = [0; FLOCK_SIZE];
        put(&mut b, 0, &self.kind.to_ne_bytes());
        put(&mut b, 2, &self.whence.to_ne_bytes());
        put(&mut b, 8, &self.start.to_ne_bytes());
        put(&mut b, 16, &self.len.to_ne_bytes());
        put(&mut b, 24, &self.pid.to_ne_bytes());
        b
    }
}
