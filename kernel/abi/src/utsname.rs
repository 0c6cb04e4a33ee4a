//! Names of the system (`linux/utsname.h`; `man 2 uname`).

/// Bytes of each member of `struct new_utsname`, its NUL included.
pub const UTS_MEMBER: usize = 65;
/// Members: system, node, release, version, machine, domain.
pub const UTS_MEMBERS: usize = 6;
/// The longest name of a node or domain (`__NEW_UTS_LEN`).
pub const UTS_LEN: usize = 64;
