//! The only place where a lock or a wait is made.
//!
//! * [`Mutex`] and [`RwLock`]: locks with a [`Rank`]; in debug builds a thread that takes locks out of order panics.
//! * [`WaitQueue`]: who waits for an object to become ready. Every waiter is a callback.
//! * [`block_on`]: the one function that blocks a caller.
//! * [`Timers`]: deadlines of objects, in one heap.
//!
//! Below: `lkl-abi`, `lkl-ops`. Above: every crate of the kernel that shares state between threads.

#![forbid(unsafe_code)]

mod block;
mod lock;
mod timers;
mod wait;

pub use block::{block_on, Blocking};
pub use lock::{Mutex, MutexGuard, Rank, ReadGuard, RwLock, WriteGuard};
pub use timers::{Timer, TimerTarget, Timers};
pub use wait::{Events, Registration, WaitQueue, Waiter};
