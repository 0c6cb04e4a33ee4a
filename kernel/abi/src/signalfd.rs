//! Signals as a file (`linux/signalfd.h`; `man 2 signalfd`).
#![expect(missing_docs, reason = "the manual page explains them")]

pub const SFD_CLOEXEC: u32 = 0o2000000;
pub const SFD_NONBLOCK: u32 = 0o4000;

/// Bytes of a `struct signalfd_siginfo`.
pub const SIGNALFD_SIGINFO_SIZE: usize = 128;
/// Bytes of a set of signals: bit `n - 1` is signal `n`.
pub const SIGSET_SIZE: usize = 8;
