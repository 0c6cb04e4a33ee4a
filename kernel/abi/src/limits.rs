//! Limits of names and lists (`linux/limits.h`).
#![expect(missing_docs, reason = "the manual pages explain them")]

/// Bytes of a path, its NUL included.
pub const PATH_MAX: usize = 4096;
/// Bytes of a name in a directory.
pub const NAME_MAX: usize = 255;
/// Groups of a process beside its own.
pub const NGROUPS_MAX: usize = 65536;
pub const XATTR_NAME_MAX: usize = 255;
pub const XATTR_SIZE_MAX: usize = 65536;
pub const XATTR_LIST_MAX: usize = 65536;
