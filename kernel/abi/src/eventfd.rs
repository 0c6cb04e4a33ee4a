//! Flags of `eventfd` (`linux/eventfd.h`; `man 2 eventfd`).
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const EFD_SEMAPHORE: u32 = 1;
pub const EFD_CLOEXEC: u32 = 0o2000000;
pub const EFD_NONBLOCK: u32 = 0o4000;
