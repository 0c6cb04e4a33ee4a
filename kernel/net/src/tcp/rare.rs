//! What keeps an idle connection small: values that take room only once they are not what they begin with, and times in
//! eight bytes.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use lkl_abi::Errno;

/// A type whose beginning is known at compile time.
pub trait Beginning: Sized + 'static {
    /// What a value begins with.
    const BEGINNING: &'static Self;
}

/// A value that few connections ever change. Looking at it costs nothing; the first change takes memory for it.
pub struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Rare<T> {
    /// The value, if it was ever changed: for what need not be done otherwise.
    pub fn changed(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Beginning + PartialEq> Rare<T> {
    /// Gives the memory back if the value is again what it began with.
    pub fn settle(&mut self) {
        if self.0.as_deref() == Some(T::BEGINNING) {
            self.0 = None;
        }
    }
}

impl<T: Beginning> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::BEGINNING)
    }
}

impl<T: Beginning + Clone> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::BEGINNING.clone()))
    }
}

impl<T: Beginning + fmt::Debug> fmt::Debug for Rare<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A time in nanoseconds, at most some five hundred years: half of what a [`Duration`] takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(super) struct Nanos(u64);

impl Nanos {
    pub(super) const ZERO: Self = Self(0);
    pub(super) const MAX: Self = Self(u64::MAX);

    pub(super) const fn get(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    pub(super) const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Duration> for Nanos {
    fn from(d: Duration) -> Self {
        Self(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl core::ops::AddAssign<Duration> for Nanos {
    fn add_assign(&mut self, d: Duration) {
        self.0 = self.0.saturating_add(Self::from(d).0);
    }
}

/// An error to tell of, or none, in two bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fault(u16);

impl Fault {
    pub(super) const NONE: Self = Self(0);

    /// Numbers of errors are small and positive.
    pub(super) fn new(e: Errno) -> Self {
        Self(u16::try_from(e.0).unwrap_or(u16::MAX))
    }

    /// The error, once.
    pub(super) fn take(&mut self) -> Option<Errno> {
        let Self(number) = core::mem::replace(self, Self::NONE);
        (number != 0).then(|| Errno(number.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Beginning for u32 {
        const BEGINNING: &'static Self = &7;
    }

    #[test]
    fn rare_takes_memory_with_the_first_change() {
        let mut r = Rare::<u32>::default();
        assert_eq!((*r, r.changed().is_none()), (7, true));
        *r += 1;
        assert_eq!((*r, r.changed().copied()), (8, Some(8)));
        r.settle();
        assert!(r.changed().is_some(), "it is not what it began with");
        *r -= 1;
        r.settle();
        assert_eq!((*r, r.changed().is_none()), (7, true));
    }

    #[test]
    fn a_fault_is_told_once() {
        let mut f = Fault::new(Errno::ECONNRESET);
        assert_eq!((f.take(), f.take()), (Some(Errno::ECONNRESET), None));
    }

    #[test]
    fn nanos_are_durations() {
        let mut n = Nanos::from(Duration::from_micros(3));
        n += Duration::from_nanos(1);
        assert_eq!((n.get(), n > Nanos::ZERO), (Duration::from_nanos(3001), true));
        assert_eq!(Nanos::from(Duration::MAX), Nanos::MAX);
    }
}
