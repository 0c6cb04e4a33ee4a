//! Flags of timers as files (`linux/timerfd.h`; `man 2 timerfd_create`).
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const TFD_TIMER_ABSTIME: u32 = 1;
pub const TFD_TIMER_CANCEL_ON_SET: u32 = 2;
pub const TFD_CLOEXEC: u32 = 0o2000000;
pub const TFD_NONBLOCK: u32 = 0o4000;
