//! One thread's place to sleep.

use crate::Instant;
use core::time::Duration;

/// Why [`Parker::park`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// `unpark` was called, or the wake-up is spurious: try again.
    Unparked,
    /// The deadline has passed.
    TimedOut,
    /// A signal handler of the program ran (`EINTR`).
    Interrupted,
}

/// Where one thread sleeps. `park` is called only by the thread that owns it, and holding no lock.
pub trait Parker: Send + Sync {
    /// Sleeps until [`Parker::unpark`], `deadline`, or a signal. An `unpark` before `park` makes `park` return at
    /// once (a token, as of `std::thread::park`). An implementation may serve the kernel's devices and timers
    /// while it sleeps: that is how a waiting caller drives the stack itself.
    fn park(&self, deadline: Option<Instant>) -> Woken;

    /// The same; before it really sleeps it may look at the devices again and again for the time `busy` (`SO_BUSY_POLL`,
    /// `net.core.busy_poll`).
    fn park_busy(&self, deadline: Option<Instant>, busy: Duration) -> Woken {
        let _idle = busy;
        self.park(deadline)
    }

    /// The owner has made a call that might have slept and did not need to; it holds no lock. An implementation may serve the kernel now
    /// and then: a thread that always has something to do never sleeps, and what arrives must not pile up meanwhile.
    fn passed_by(&self) {}

    /// Wakes the owner. Callable from any thread, also by the owner itself, and under locks: it must not call back
    /// into the kernel.
    fn unpark(&self);

    /// Is there still a thread that can be woken? The thread of a program may be killed while it sleeps; a wake-up that is
    /// meant for one sleeper must not be spent on it.
    fn alive(&self) -> bool {
        true
    }
}
