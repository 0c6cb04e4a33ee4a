//! Scatter-gather I/O (`linux/uio.h`; `man 2 readv`).

/// Most pieces that a call takes.
pub const IOV_MAX: usize = 1024;
/// Bytes of `struct iovec`.
pub const IOVEC_SIZE: usize = 16;
/// Most bytes that a call moves: `INT_MAX`, rounded down to a page.
pub const MAX_RW_COUNT: u64 = 0x7fff_f000;

/// `RWF_*`: high priority request (ignored, as it is only a hint).
pub const RWF_HIPRI: u32 = 0x01;
/// Per-call `O_DSYNC`.
pub const RWF_DSYNC: u32 = 0x02;
/// Per-call `O_SYNC`.
pub const RWF_SYNC: u32 = 0x04;
/// Per-call `O_NONBLOCK`.
pub const RWF_NOWAIT: u32 = 0x08;
/// Per-call `O_APPEND`.
pub const RWF_APPEND: u32 = 0x10;
/// `RWF_*`: write where it is said, also with `O_APPEND`.
pub const RWF_NOAPPEND: u32 = 0x20;
/// `RWF_*`: what is moved need not stay in memory (a hint).
pub const RWF_DONTCACHE: u32 = 0x80;
