//! Deadlines of objects, in one heap.
//!
//! An object keeps its own timers and tells this heap only its earliest deadline. A deadline that moves later costs
//! nothing: the entry fires early, the object says when it really wants to be called, and is put in again.

use crate::lock::{Mutex, Rank};
use core::sync::atomic::{AtomicU64, Ordering};
use lkl_ops::Instant;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Who has deadlines.
pub trait TimerTarget: Send + Sync {
    /// The place of its deadlines in the heap; it is a part of the target itself, always the same one.
    fn timer(&self) -> &Timer;

    /// Its deadline may have come. Called holding no lock. Does what is due and answers when it wants to be called
    /// next, if at all.
    fn expire(&self, now: Instant) -> Option<Instant>;
}

/// Where a target stands in [`Timers`].
#[derive(Debug)]
pub struct Timer {
    /// The time of its entry in nanoseconds, `u64::MAX` if there is none; changed only with the heap's lock.
    at: AtomicU64,
}

impl Default for Timer {
    fn default() -> Self {
        Self { at: AtomicU64::new(u64::MAX) }
    }
}

impl Timer {
    /// Tells it from others: its target is not freed while there is an entry.
    fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}

type Heap = BTreeMap<(Instant, usize), Weak<dyn TimerTarget>>;

/// The deadlines of all objects of a kernel.
pub struct Timers {
    heap: Mutex<Heap>,
    /// The earliest deadline in nanoseconds, `u64::MAX` if there is none; read without the lock.
    earliest: AtomicU64,
}

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}

impl Timers {
    /// A heap without deadlines.
    pub fn new() -> Self {
        Self { heap: Mutex::new(Rank::Timers, Heap::new()), earliest: AtomicU64::new(u64::MAX) }
    }

    /// The earliest deadline.
    pub fn earliest(&self) -> Option<Instant> {
        match self.earliest.load(Ordering::Acquire) {
            u64::MAX => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }

    /// Makes sure that the target of `timer` is called no later than `deadline`. Answers whether this is now the earliest deadline
    /// of all, in which case the caller tells the host ([`lkl_ops::Host::rearm`]), holding no lock.
    #[must_use]
    pub fn arm(&self, timer: &Timer, target: impl FnOnce() -> Weak<dyn TimerTarget>, deadline: Instant) -> bool {
        let earlier = |at: u64| at <= deadline.as_nanos();
        // If the entry is taken out now, the target is called after that, and says what it wants.
        if earlier(timer.at.load(Ordering::Acquire)) {
            return false;
        }
        let mut heap = self.heap.lock();
        let at = timer.at.load(Ordering::Acquire);
        if earlier(at) {
            return false;
        }
        heap.remove(&(Instant::from_nanos(at), timer.address()));
        // The end of time is the same as no deadline.
        timer.at.store(deadline.as_nanos(), Ordering::Release);
        heap.insert((deadline, timer.address()), target());
        let before = self.earliest.load(Ordering::Relaxed);
        self.note_earliest(&heap);
        deadline.as_nanos() < before
    }

    /// Forgets the deadline of `timer`.
    pub fn disarm(&self, timer: &Timer) {
        let mut heap = self.heap.lock();
        let at = timer.at.swap(u64::MAX, Ordering::AcqRel);
        // Dropped holding no lock.
        let gone = heap.remove(&(Instant::from_nanos(at), timer.address()));
        if gone.is_some() {
            self.note_earliest(&heap);
        }
        drop(heap);
        drop(gone);
    }

    /// Calls every target whose deadline has come, each at most once.
    pub fn run(&self, now: Instant) {
        if self.earliest().is_none_or(|e| e > now) {
            return;
        }
        let mut due: Vec<Arc<dyn TimerTarget>> = Vec::new();
        {
            let mut heap = self.heap.lock();
            while heap.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
                let Some((_, target)) = heap.pop_first() else { break };
                if let Some(target) = target.upgrade() {
                    target.timer().at.store(u64::MAX, Ordering::Release);
                    due.push(target);
                }
            }
            self.note_earliest(&heap);
        }
        for target in due {
            if let Some(next) = target.expire(now) {
                // The caller of `run` asks for `earliest` afterwards, so nobody needs to be told.
                let _first = self.arm(target.timer(), || Arc::downgrade(&target), next);
            }
        }
    }

    fn note_earliest(&self, heap: &Heap) {
        let nanos = heap.first_key_value().map_or(u64::MAX, |((at, _), _)| at.as_nanos());
        self.earliest.store(nanos, Ordering::Release);
    }
}

impl core::fmt::Debug for Timers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Timers(earliest {:?})", self.earliest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its calls, and wants to be called `again`.
    #[derive(Default)]
    struct Alarm {
        timer: Timer,
        calls: AtomicU64,
        again: Option<Instant>,
    }

    impl TimerTarget for Alarm {
        fn timer(&self) -> &Timer {
            &self.timer
        }

        fn expire(&self, _: Instant) -> Option<Instant> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.again
        }
    }

    fn arm(timers: &Timers, alarm: &Arc<Alarm>, ms: u64) -> bool {
        let weak: Weak<Alarm> = Arc::downgrade(alarm);
        timers.arm(&alarm.timer, || weak, Instant::from_millis(ms))
    }

    fn calls(timers: &Timers, alarm: &Alarm, ms: u64) -> u64 {
        timers.run(Instant::from_millis(ms));
        alarm.calls.load(Ordering::Relaxed)
    }

    #[test]
    fn the_earliest_deadline_counts() {
        let timers = Timers::new();
        let (a, b) = (Arc::<Alarm>::default(), Arc::<Alarm>::default());
        assert!(arm(&timers, &a, 20), "the first is the earliest");
        assert!(!arm(&timers, &b, 20) && !arm(&timers, &a, 30));
        assert!(arm(&timers, &b, 10));
        assert_eq!(timers.earliest(), Some(Instant::from_millis(10)));
        assert_eq!((calls(&timers, &b, 9), calls(&timers, &b, 10), calls(&timers, &a, 19)), (0, 1, 0));
        assert_eq!((calls(&timers, &a, 20), calls(&timers, &a, 40), calls(&timers, &b, 40)), (1, 1, 1));
        assert_eq!(timers.earliest(), None);
    }

    #[test]
    fn one_that_is_disarmed_or_gone_is_not_called() {
        let timers = Timers::new();
        let (a, b) = (Arc::<Alarm>::default(), Arc::<Alarm>::default());
        let _first = (arm(&timers, &a, 10), arm(&timers, &b, 11));
        timers.disarm(&a.timer);
        timers.disarm(&a.timer);
        assert_eq!(timers.earliest(), Some(Instant::from_millis(11)));
        drop(b);
        assert_eq!((calls(&timers, &a, 20), timers.earliest()), (0, None));
        assert!(arm(&timers, &a, 30), "it can be armed again");
    }

    #[test]
    fn it_says_when_to_be_called_next() {
        let timers = Timers::new();
        let a = Arc::new(Alarm { again: Some(Instant::from_millis(50)), ..Alarm::default() });
        let _first = arm(&timers, &a, 10);
        assert_eq!((calls(&timers, &a, 10), timers.earliest()), (1, Some(Instant::from_millis(50))));
        assert_eq!((calls(&timers, &a, 49), calls(&timers, &a, 50)), (1, 2));
    }
}
