//! The signals that files send to whoever owns them (`SIGIO`, `SIGURG`; `man 2 fcntl`, "Managing signals"), and those that a file takes
//! (`man 2 signalfd`).

use lkl_abi::signalfd::SIGNALFD_SIGINFO_SIZE;
use lkl_abi::Result;

/// What the number of an [`Owner`] counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnerKind {
    /// A thread (`F_OWNER_TID`).
    Thread,
    /// A process (`F_OWNER_PID`).
    Process,
    /// A process group (`F_OWNER_PGRP`).
    Group,
}

/// Who gets the signals of a file, as the host has found it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// What `id` counts.
    pub kind: OwnerKind,
    /// The number of the thread, process or group.
    pub id: i32,
    /// The process of a thread; otherwise, or if it is not known, 0.
    pub process: i32,
    /// Real and effective user of whoever made it the owner: they decide whom signals may be sent to.
    pub uids: [u32; 2],
}

/// What a signal says of its file (`si_code`, `si_band`, `si_fd` of `man 2 sigaction`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Poll {
    /// `POLL_IN` and its like.
    pub code: i32,
    /// `POLLIN` and its like.
    pub band: u32,
    /// The descriptor.
    pub fd: i32,
}

/// Signals of the calling process that wait to be taken (`man 2 signalfd`): those of a set, in which bit `n - 1` is signal `n`. It is about the
/// calling thread: a signal that was sent to a thread alone is there for no other one.
pub trait SignalSource: Send + Sync {
    /// From now on it is about this set.
    ///
    /// # Errors
    /// `EINVAL` and others of the host's.
    fn set_mask(&self, mask: u64) -> Result<()>;

    /// Is one there? Callable under locks.
    fn ready(&self) -> bool;

    /// Takes one, as a `struct signalfd_siginfo`.
    ///
    /// # Errors
    /// `EAGAIN` if there is none.
    fn take(&self) -> Result<[u8; SIGNALFD_SIGINFO_SIZE]>;
}
