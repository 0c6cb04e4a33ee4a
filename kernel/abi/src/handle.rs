//! Handles of files (`linux/fcntl.h`, `linux/exportfs.h`; `man 2 open_by_handle_at`).

/// The most bytes of a handle, after its head.
pub const MAX_HANDLE_SZ: u32 = 128;
/// Bytes of the head of a `struct file_handle`: how many follow, and of which type they are.
pub const FILE_HANDLE_HEAD: usize = 8;
/// The number of the mount is the one of 64 bits (`STATX_MNT_ID_UNIQUE`).
pub const AT_HANDLE_MNT_ID_UNIQUE: u32 = 1;
/// A number, and which file of that number it is.
pub const FILEID_INO32_GEN: i32 = 1;
/// No handle.
pub const FILEID_INVALID: i32 = 0xff;
