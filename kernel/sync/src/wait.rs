//! Who waits for an object to become ready.

use crate::lock::{Mutex, Rank};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use smallvec::SmallVec;
use std::sync::Arc;

/// A set of `EPOLL*` bits (`POLLIN`, ... have the same values).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Events(pub u32);

#[expect(missing_docs, reason = "man 2 epoll_ctl explains them")]
impl Events {
    pub const EMPTY: Self = Self(0);
    pub const IN: Self = Self(0x001);
    pub const PRI: Self = Self(0x002);
    pub const OUT: Self = Self(0x004);
    pub const ERR: Self = Self(0x008);
    pub const HUP: Self = Self(0x010);
    pub const NVAL: Self = Self(0x020);
    pub const RDNORM: Self = Self(0x040);
    pub const RDBAND: Self = Self(0x080);
    pub const WRNORM: Self = Self(0x100);
    pub const WRBAND: Self = Self(0x200);
    pub const MSG: Self = Self(0x400);
    pub const RDHUP: Self = Self(0x2000);
    /// Readable: `IN | RDNORM`.
    pub const READ: Self = Self(0x041);
    /// Writable: `OUT | WRNORM`.
    pub const WRITE: Self = Self(0x104);
    /// Everything.
    pub const ALL: Self = Self(0x27ff);
    /// What is reported whether or not it was asked for.
    pub const ALWAYS: Self = Self(0x018);
}

impl Events {
    /// Is nothing in it?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Have the two anything in common?
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is all of `other` in it?
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl core::ops::BitOr for Events {
    type Output = Self;

    fn bitor(self, o: Self) -> Self {
        Self(self.0 | o.0)
    }
}

impl core::ops::BitOrAssign for Events {
    fn bitor_assign(&mut self, o: Self) {
        self.0 |= o.0;
    }
}

impl core::ops::BitAnd for Events {
    type Output = Self;

    fn bitand(self, o: Self) -> Self {
        Self(self.0 & o.0)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({:#x})", self.0)
    }
}

/// What is called when an object becomes ready.
pub trait Waiter: Send + Sync {
    /// `ready` may have become true. Called perhaps under the object's own lock (of [`Rank::Queue`] at the latest),
    /// but not under its list of waiters: it may take locks of later ranks, wake other queues, and must not wait. It
    /// may be called once more just after it was deregistered. Answers whether somebody was woken by it, which is
    /// what uses up an exclusive wake-up.
    fn wake(&self, ready: Events) -> bool;
}

struct Entry {
    id: u64,
    interest: Events,
    exclusive: bool,
    waiter: Arc<dyn Waiter>,
}

struct Waiters {
    next_id: u64,
    entries: Vec<Entry>,
}

/// The waiters of one object.
pub struct WaitQueue {
    /// Number of entries, read without the lock: waking nobody costs one load.
    len: AtomicUsize,
    waiters: Mutex<Waiters>,
}

/// Names an entry of a [`WaitQueue`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration(u64);

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitQueue {
    /// A queue without waiters.
    pub const fn new() -> Self {
        Self {
            len: AtomicUsize::new(0),
            waiters: Mutex::new(Rank::Waiters, Waiters { next_id: 0, entries: Vec::new() }),
        }
    }

    /// Puts `waiter` in, to be called when any of `interest` (or `ERR`, `HUP`) becomes true. Of the exclusive
    /// waiters only one is woken at a time, longest waiting first. The caller must look at the object again after
    /// this call and before it sleeps.
    pub fn register(&self, waiter: Arc<dyn Waiter>, interest: Events, exclusive: bool) -> Registration {
        let mut w = self.waiters.lock();
        let id = w.next_id;
        w.next_id += 1;
        if w.entries.capacity() == 0 {
            // Mostly there is one: an epoll item, or whoever waits.
            w.entries.reserve_exact(1);
        }
        w.entries.push(Entry { id, interest: interest | Events::ALWAYS, exclusive, waiter });
        self.len.store(w.entries.len(), Ordering::SeqCst);
        Registration(id)
    }

    /// Takes a waiter out.
    pub fn deregister(&self, registration: Registration) {
        let mut w = self.waiters.lock();
        // Held until the lock is gone: dropping a waiter may take other locks.
        let found = w.entries.iter().position(|e| e.id == registration.0);
        let gone = found.map(|i| w.entries.remove(i));
        self.len.store(w.entries.len(), Ordering::SeqCst);
        drop(w);
        drop(gone);
    }

    /// How many waiters there are.
    pub fn waiters(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// Calls the waiters that are interested in any of `ready`.
    pub fn wake(&self, ready: Events) {
        self.wake_any(ready);
    }

    /// The same; answers whether any of them woke somebody.
    pub fn wake_any(&self, ready: Events) -> bool {
        core::sync::atomic::fence(Ordering::SeqCst);
        if self.len.load(Ordering::SeqCst) == 0 {
            return false;
        }
        // Waiters are called without the lock: one may wake a queue of its own (an epoll instance in another one).
        let mut exclusives = 0;
        let all: SmallVec<[Arc<dyn Waiter>; 4]> = {
            let w = self.waiters.lock();
            let interested = w.entries.iter().filter(|e| e.interest.intersects(ready));
            let shared = interested.filter(|e| {
                exclusives += usize::from(e.exclusive);
                !e.exclusive
            });
            shared.map(|e| e.waiter.clone()).collect()
        };
        let mut any = false;
        for waiter in &all {
            any |= waiter.wake(ready);
        }
        while exclusives > 0 {
            exclusives -= 1;
            // It goes to the end as it is chosen, so that two events at once never choose the same one twice.
            let chosen = {
                let mut w = self.waiters.lock();
                let Some(i) = w.entries.iter().position(|e| e.exclusive && e.interest.intersects(ready)) else { break };
                let e = w.entries.remove(i);
                let waiter = e.waiter.clone();
                w.entries.push(e);
                waiter
            };
            if chosen.wake(ready) {
                return true;
            }
        }
        any
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitQueue({} waiters)", self.len.load(Ordering::Relaxed))
    }
}
