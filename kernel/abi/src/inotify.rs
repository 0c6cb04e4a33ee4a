//! Watching files for changes (`linux/inotify.h`; `man 7 inotify`).
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const IN_ACCESS: u32 = 0x001;
pub const IN_MODIFY: u32 = 0x002;
pub const IN_ATTRIB: u32 = 0x004;
pub const IN_CLOSE_WRITE: u32 = 0x008;
pub const IN_CLOSE_NOWRITE: u32 = 0x010;
pub const IN_OPEN: u32 = 0x020;
pub const IN_MOVED_FROM: u32 = 0x040;
pub const IN_MOVED_TO: u32 = 0x080;
pub const IN_CREATE: u32 = 0x100;
pub const IN_DELETE: u32 = 0x200;
pub const IN_DELETE_SELF: u32 = 0x400;
pub const IN_MOVE_SELF: u32 = 0x800;
pub const IN_ALL_EVENTS: u32 = 0xfff;

pub const IN_UNMOUNT: u32 = 0x2000;
pub const IN_Q_OVERFLOW: u32 = 0x4000;
pub const IN_IGNORED: u32 = 0x8000;

pub const IN_ONLYDIR: u32 = 0x0100_0000;
pub const IN_DONT_FOLLOW: u32 = 0x0200_0000;
pub const IN_EXCL_UNLINK: u32 = 0x0400_0000;
pub const IN_MASK_CREATE: u32 = 0x1000_0000;
pub const IN_MASK_ADD: u32 = 0x2000_0000;
pub const IN_ISDIR: u32 = 0x4000_0000;
pub const IN_ONESHOT: u32 = 0x8000_0000;

/// Flags of `inotify_init1`.
pub const IN_CLOEXEC: u32 = 0o2000000;
pub const IN_NONBLOCK: u32 = 0o4000;
