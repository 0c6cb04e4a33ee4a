//! Flags and `ioctl` requests of files and block devices (`linux/fs.h`; `man 2 rename`, `man 2 sync_file_range`, `man 2
//! ioctl_iflags`).
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const RENAME_NOREPLACE: u32 = 1;
pub const RENAME_EXCHANGE: u32 = 2;
pub const RENAME_WHITEOUT: u32 = 4;

pub const SYNC_FILE_RANGE_WAIT_BEFORE: u32 = 1;
pub const SYNC_FILE_RANGE_WRITE: u32 = 2;
pub const SYNC_FILE_RANGE_WAIT_AFTER: u32 = 4;

pub const FIBMAP: u32 = 1;
pub const FIGETBSZ: u32 = 2;
pub const FITRIM: u32 = 0xc018_5879;
pub const FS_IOC_FIEMAP: u32 = 0xc020_660b;
pub const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
pub const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
pub const FS_IOC_GETVERSION: u32 = 0x8008_7601;
pub const FS_IOC_SETVERSION: u32 = 0x4008_7602;
/// [`FS_IOC_GETVERSION`] as ext4 had it first.
pub const EXT4_IOC_GETVERSION: u32 = 0x8008_6603;
/// [`FS_IOC_SETVERSION`] as ext4 had it first.
pub const EXT4_IOC_SETVERSION: u32 = 0x4008_6604;
pub const FS_IOC_FSGETXATTR: u32 = 0x801c_581f;
pub const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
pub const FICLONE: u32 = 0x4004_9409;
pub const FICLONERANGE: u32 = 0x4020_940d;

pub const FS_COMPR_FL: u32 = 0x04;
pub const FS_SYNC_FL: u32 = 0x08;
pub const FS_IMMUTABLE_FL: u32 = 0x10;
pub const FS_APPEND_FL: u32 = 0x20;
pub const FS_NODUMP_FL: u32 = 0x40;
pub const FS_NOATIME_FL: u32 = 0x80;
pub const FS_ENCRYPT_FL: u32 = 0x800;
pub const FS_JOURNAL_DATA_FL: u32 = 0x4000;
pub const FS_DIRSYNC_FL: u32 = 0x1_0000;
pub const FS_TOPDIR_FL: u32 = 0x2_0000;
pub const FS_DAX_FL: u32 = 0x200_0000;
pub const FS_PROJINHERIT_FL: u32 = 0x2000_0000;
pub const FS_CASEFOLD_FL: u32 = 0x4000_0000;

pub const BLKROGET: u32 = 0x125e;
pub const BLKGETSIZE: u32 = 0x1260;
pub const BLKFLSBUF: u32 = 0x1261;
pub const BLKSSZGET: u32 = 0x1268;
pub const BLKBSZGET: u32 = 0x8008_1270;
pub const BLKGETSIZE64: u32 = 0x8008_1272;
pub const BLKDISCARD: u32 = 0x1277;
pub const BLKIOMIN: u32 = 0x1278;
pub const BLKIOOPT: u32 = 0x1279;
pub const BLKPBSZGET: u32 = 0x127b;
pub const BLKZEROOUT: u32 = 0x127f;

pub const FS_XFLAG_IMMUTABLE: u32 = 0x08;
pub const FS_XFLAG_APPEND: u32 = 0x10;
pub const FS_XFLAG_SYNC: u32 = 0x20;
pub const FS_XFLAG_NOATIME: u32 = 0x40;
pub const FS_XFLAG_NODUMP: u32 = 0x80;
pub const FS_XFLAG_PROJINHERIT: u32 = 0x200;
pub const FS_XFLAG_DAX: u32 = 0x8000;
/// Bytes of a `struct fstrim_range`: start, length, and least length of what is given back.
pub const FSTRIM_RANGE_SIZE: usize = 24;
/// Bytes of a `struct fsxattr`: flags, length of extents, number of extents, project, length of copied extents, and what is not used.
pub const FSXATTR_SIZE: usize = 28;
