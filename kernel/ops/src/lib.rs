//! What the kernel asks of the outside, as traits, and the simulated outside that tests use. A leaf beside `lkl-abi`.
//!
//! * [`Host`]: time, random bytes, and being told of the next deadline.
//! * [`Parker`]: one thread's place to sleep.
//! * [`NetDev`]: a network device that carries Ethernet frames.
//! * [`Disk`]: a disk of bytes, such as an image file.
//! * [`UserMem`]: the memory of the calling program.
//! * [`Descriptors`]: who hands out descriptor numbers.
//! * [`Owner`]: who gets the signals of a file; [`SignalSource`]: signals that a file takes.
//!
//! Implemented for real by `host` and `hijack`, and on virtual time by [`sim`].

#![forbid(unsafe_code)]

pub mod descriptors;
pub mod disk;
pub mod mem;
pub mod netdev;
pub mod park;
pub mod signal;
pub mod sim;
pub mod time;

pub use descriptors::{Descriptors, FileKind};
pub use disk::Disk;
pub use mem::UserMem;
pub use netdev::{Checked, Checksum, Features, Gso, GsoKind, NetDev, RxFrame, TxFrame};
pub use park::{Parker, Woken};
pub use signal::{Owner, OwnerKind, Poll, SignalSource};
pub use time::Instant;

use core::time::Duration;
use lkl_abi::{Errno, Result};
use std::sync::Arc;

/// The outside as a whole: time, chance, and the processes that signals are sent to.
pub trait Host: Send + Sync + 'static {
    /// Monotonic time since an arbitrary start; never goes back.
    fn now(&self) -> Instant;

    /// Wall-clock time since the Unix epoch (for `SO_TIMESTAMP` and time stamps in netlink).
    fn realtime(&self) -> Duration;

    /// Fills `buf` with bytes fit for sequence numbers, ports and hash keys.
    fn random(&self, buf: &mut [u8]);

    /// The kernel's earliest deadline has become earlier: whoever sleeps for the kernel (a worker, or a caller that
    /// drives it) must call `Kernel::service` no later than `deadline`. Called from any thread, holding no lock;
    /// must be cheap when the sleeper wakes up earlier anyway.
    fn rearm(&self, deadline: Instant);

    /// Work was left for whoever serves the kernel (a device's transmit queue or the loopback queue is not empty):
    /// `Kernel::service` must be called soon.
    fn kick(&self);

    /// The kernel has panicked, and answers `EIO` from now on: whoever sleeps in a call can be made to give it up. Called by the thread in
    /// which it came to pass, holding no lock.
    fn panicked(&self) {}

    /// Finds whom the process `by` wants to be sent a file's signals. Without an answer of its own: an outside without
    /// processes, where anybody is taken for there.
    ///
    /// # Errors
    /// `ESRCH`
    fn owner(&self, kind: OwnerKind, id: i32, by: i32) -> Result<Owner> {
        let _ = by;
        Ok(Owner { kind, id, process: 0, uids: [0; 2] })
    }

    /// Is the owner still there?
    fn owner_lives(&self, owner: &Owner) -> bool {
        let _ = owner;
        true
    }

    /// Sends a signal that says `poll` of its file, or nothing (`SI_KERNEL`). Callable under locks: it must not call back
    /// into the kernel. What may not be sent is not.
    fn signal(&self, owner: &Owner, signal: i32, poll: Option<Poll>) {
        let _ = (owner, signal, poll);
    }

    /// A source of the signals in `mask`, for a `signalfd`. `ready` is called when one may have come, by whoever serves the kernel or sleeps
    /// in it, holding no lock. An outside without signals has none to give.
    ///
    /// # Errors
    /// `ENOSYS` where there are no signals; `EMFILE` and others of the host's.
    fn signals(&self, mask: u64, ready: Arc<dyn Fn() + Send + Sync>) -> Result<Box<dyn SignalSource>> {
        let _ = (mask, ready);
        Err(Errno::ENOSYS)
    }
}
