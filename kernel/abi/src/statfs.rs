//! What is known of a file system (`asm-generic/statfs.h`, `linux/statfs.h`, `linux/magic.h`; `man 2 statfs`).
#![expect(missing_docs, reason = "the manual pages explain them")]

use crate::put;

pub const TMPFS_MAGIC: u64 = 0x0102_1994;
pub const EXT4_SUPER_MAGIC: u64 = 0xef53;
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
pub const SOCKFS_MAGIC: u64 = 0x534f_434b;
pub const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;

pub const ST_RDONLY: u64 = 0x0001;
pub const ST_NOSUID: u64 = 0x0002;
pub const ST_NODEV: u64 = 0x0004;
pub const ST_NOEXEC: u64 = 0x0008;
pub const ST_SYNCHRONOUS: u64 = 0x0010;
/// The flags are filled in at all.
pub const ST_VALID: u64 = 0x0020;
pub const ST_NOATIME: u64 = 0x0400;
pub const ST_NODIRATIME: u64 = 0x0800;
pub const ST_RELATIME: u64 = 0x1000;
pub const ST_NOSYMFOLLOW: u64 = 0x2000;

/// Bytes of `struct statfs` of 64-bit machines.
pub const STATFS_SIZE: usize = 120;

/// `struct statfs`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statfs {
    /// Its magic number.
    pub kind: u64,
    pub bsize: u64,
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub fsid: u64,
    pub namelen: u64,
    pub frsize: u64,
    /// `ST_*`
    pub flags: u64,
}

impl Statfs {
    /// Writes one.
    pub fn to_bytes(&self) -> [u8; STATFS_SIZE] {
        let mut b = [0; STATFS_SIZE];
        let members = [
            self.kind,
            self.bsize,
            self.blocks,
            self.bfree,
            self.bavail,
            self.files,
            self.ffree,
            self.fsid,
            self.namelen,
            self.frsize,
            self.flags,
        ];
        for (i, member) in members.into_iter().enumerate() {
            put(&mut b, i * 8, &member.to_ne_bytes());
        }
        b
    }
}
