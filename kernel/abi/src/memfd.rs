//! Files in memory without a name (`linux/memfd.h`; `man 2 memfd_create`).
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const MFD_CLOEXEC: u32 = 1;
pub const MFD_ALLOW_SEALING: u32 = 2;
pub const MFD_HUGETLB: u32 = 4;
pub const MFD_NOEXEC_SEAL: u32 = 8;
pub const MFD_EXEC: u32 = 16;
/// Bytes of a name, its NUL not included.
pub const MFD_NAME_MAX: usize = 249;
