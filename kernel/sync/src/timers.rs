//! Deadlines of objects, in one heap.
//!
//! An object keeps its own timers and tells this heap only its earliest deadline. A deadline that moves later costs
//! nothing: the entry fires early, the object says when it really wants to be called, and is put in again.

use crate::lock::{Mutex, Rank};
use core::sync::atomic::{AtomicU64, Ordering};
use foldhash::HashMap;
use lkl_ops::Instant;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Who has deadlines.
pub trait TimerTarget: Send + Sync {
    /// Its deadline may have come. Called holding no lock. Does what is due and answers when it wants to be called
    /// next, if at all.
    fn expire(&self, now: Instant) -> Option<Instant>;
}

/// Names a target in [`Timers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TimerId(u64);

#[derive(Default)]
struct Heap {
    next_id: u64,
    due: BTreeMap<(Instant, TimerId), Weak<dyn TimerTarget>>,
    at: HashMap<TimerId, Instant>,
}

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
        Self { heap: Mutex::new(Rank::Timers, Heap::default()), earliest: AtomicU64::new(u64::MAX) }
    }

    /// A new name for a target.
    pub fn new_id(&self) -> TimerId {
        let mut heap = self.heap.lock();
        heap.next_id += 1;
        TimerId(heap.next_id)
    }

    /// The earliest deadline.
    pub fn earliest(&self) -> Option<Instant> {
        match self.earliest.load(Ordering::Acquire) {
            u64::MAX => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }

    /// Makes sure that `target` is called no later than `deadline`. Answers whether this is now the earliest deadline
    /// of all, in which case the caller tells the host ([`lkl_ops::Host::rearm`]), holding no lock.
    #[must_use]
    pub fn arm(&self, id: TimerId, target: &Weak<dyn TimerTarget>, deadline: Instant) -> bool {
        let mut heap = self.heap.lock();
        match heap.at.get(&id).copied() {
            Some(at) if at <= deadline => return false,
            Some(at) => {
                heap.due.remove(&(at, id));
            }
            None => {}
        }
        heap.at.insert(id, deadline);
        heap.due.insert((deadline, id), target.clone());
        let first = heap.due.keys().next().is_some_and(|k| *k == (deadline, id));
        self.note_earliest(&heap);
        first
    }

    /// Forgets `id`.
    pub fn disarm(&self, id: TimerId) {
        let mut heap = self.heap.lock();
        if let Some(at) = heap.at.remove(&id) {
            heap.due.remove(&(at, id));
            self.note_earliest(&heap);
        }
    }

    /// Calls every target whose deadline has come, each at most once.
    pub fn run(&self, now: Instant) {
        if self.earliest().is_none_or(|e| e > now) {
            return;
        }
        let mut due: Vec<(TimerId, Arc<dyn TimerTarget>)> = Vec::new();
        {
            let mut heap = self.heap.lock();
            while let Some((&(at, id), _)) = heap.due.first_key_value() {
                if at > now {
                    break;
                }
                let Some(((_, _), target)) = heap.due.pop_first() else { break };
                heap.at.remove(&id);
                if let Some(target) = target.upgrade() {
                    due.push((id, target));
                }
            }
            self.note_earliest(&heap);
        }
        for (id, target) in due {
            if let Some(next) = target.expire(now) {
                // The caller of `run` asks for `earliest` afterwards, so nobody needs to be told.
                let _first = self.arm(id, &Arc::downgrade(&target), next);
            }
        }
    }

    fn note_earliest(&self, heap: &Heap) {
        let nanos = heap.due.keys().next().map_or(u64::MAX, |(at, _)| at.as_nanos());
        self.earliest.store(nanos, Ordering::Release);
    }
}

impl core::fmt::Debug for Timers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Timers(earliest {:?})", self.earliest())
    }
}
