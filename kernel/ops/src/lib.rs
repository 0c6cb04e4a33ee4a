//! What the kernel asks of the outside, as traits, and the simulated outside that tests use. A leaf beside `lkl-abi`.
//!
//! * [`Host`]: time, random bytes, and being told of the next deadline.
//! * [`Parker`]: one thread's place to sleep.
//! * [`NetDev`]: a network device that carries Ethernet frames.
//! * [`Disk`]: a disk of bytes, such as an image file.
//! * [`UserMem`]: the memory of the calling program.
//! * [`Descriptors`]: who hands out descriptor numbers.
//!
//! Implemented for real by `host` and `hijack`, and on virtual time by [`sim`].

#![forbid(unsafe_code)]

pub mod descriptors;
pub mod disk;
pub mod mem;
pub mod netdev;
pub mod park;
pub mod sim;
pub mod time;

pub use descriptors::{Descriptors, FileKind};
pub use disk::Disk;
pub use mem::UserMem;
pub use netdev::{Checksum, Features, Gso, GsoKind, NetDev, RxFrame, TxFrame};
pub use park::{Parker, Woken};
pub use time::Instant;

use core::time::Duration;

/// The outside as a whole: time and chance.
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
}
