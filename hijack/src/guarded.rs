//! What the threads of the program share under a lock that can be held across a fork ([`Spin`]).

use crate::alloc::Spin;
use core::cell::UnsafeCell;

/// A value under such a lock.
pub(crate) struct Guarded<T> {
    lock: Spin,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only touched under the lock.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { lock: Spin::new(), value: UnsafeCell::new(value) }
    }

    /// Calls `f` under the lock.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.lock.lock();
        // SAFETY: under the lock.
        let out = f(unsafe { &mut *self.value.get() });
        self.lock.unlock();
        out
    }

    /// The lock alone, to be held across a fork.
    pub(crate) fn lock(&self) -> &Spin {
        &self.lock
    }
}
