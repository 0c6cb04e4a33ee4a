//! Leases of a file: who has one is told before others open it, and has a while to let it go (`man 2 fcntl`, `F_SETLEASE`).

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use core::time::Duration;
use lkl_abi::fcntl::{F_RDLCK, F_UNLCK, F_WRLCK};
use lkl_abi::{Errno, Result};
use lkl_ops::Instant;
use lkl_sync::{Events, Mutex, Rank, WaitQueue};
use std::sync::{Arc, OnceLock};

/// Whom a lease tells something.
pub trait LeaseHolder: Send + Sync {
    /// Somebody wants to open the file in a way that the lease is against.
    fn broken(&self);

    /// The lease is no more.
    fn ended(&self);
}

/// By when it must have become less; for ever, if there is no limit.
type Deadline = Option<Instant>;

struct Lease {
    /// The open file that it is of.
    file: u64,
    exclusive: bool,
    /// It must become one that is not exclusive.
    downgrade: Option<Deadline>,
    /// It must go.
    unlock: Option<Deadline>,
    holder: Arc<dyn LeaseHolder>,
}

impl Lease {
    fn conflicts(&self, writes: bool) -> bool {
        self.exclusive || writes
    }
}

/// What there is of a file once somebody has asked for a lease.
struct Table {
    list: Mutex<Vec<Lease>>,
    queue: WaitQueue,
}

/// The leases of a file, and how often it is open.
#[derive(Default)]
pub struct Leases {
    /// Open files that only read it.
    readers: AtomicU32,
    /// Open files that write it.
    writers: AtomicU32,
    table: OnceLock<Box<Table>>,
}

impl Leases {
    fn count(&self, writes: bool) -> &AtomicU32 {
        if writes {
            &self.writers
        } else {
            &self.readers
        }
    }

    /// It is opened once more.
    pub(crate) fn opened(&self, writes: bool) {
        self.count(writes).fetch_add(1, SeqCst);
    }

    /// It is open once less.
    pub(crate) fn closed(&self, writes: bool) {
        self.count(writes).fetch_sub(1, SeqCst);
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| Box::new(Table { list: Mutex::new(Rank::Leaf, Vec::new()), queue: WaitQueue::new() }))
    }

    /// Whom to wake when a lease goes or becomes less. None: there never was one.
    pub fn queue(&self) -> Option<&WaitQueue> {
        self.table.get().map(|table| &table.queue)
    }

    /// Gives an open file, `writes` if it is open for that, a lease, instead of what it had.
    ///
    /// # Errors
    /// `EAGAIN` if others have the file open in a way that the lease is against.
    pub fn set(&self, file: u64, writes: bool, exclusive: bool, holder: Arc<dyn LeaseHolder>) -> Result<()> {
        let table = self.table();
        let mut list = table.list.lock();
        let (readers, writers) = (self.readers.load(SeqCst), self.writers.load(SeqCst));
        let own = (u32::from(!writes), u32::from(writes));
        let others_lease = |lease: &&Lease| lease.file != file;
        let free = match exclusive {
            true => (readers, writers) == own && !list.iter().any(|l| others_lease(&l)),
            false => writers == 0 && !list.iter().filter(others_lease).any(|l| l.unlock.is_some()),
        };
        if !free {
            return Err(Errno::EAGAIN);
        }
        match list.iter_mut().find(|lease| lease.file == file) {
            Some(lease) => {
                lease.exclusive = exclusive;
                if !exclusive {
                    lease.downgrade = None;
                }
            }
            None => list.push(Lease { file, exclusive, downgrade: None, unlock: None, holder }),
        }
        drop(list);
        table.queue.wake(Events::WRITE);
        Ok(())
    }

    /// Takes the lease of an open file away. Answers whether there was one.
    pub fn remove(&self, file: u64) -> bool {
        let Some(table) = self.table.get() else { return false };
        let mut list = table.list.lock();
        let gone = list.iter().position(|lease| lease.file == file).map(|at| list.remove(at));
        drop(list);
        let Some(lease) = gone else { return false };
        lease.holder.ended();
        table.queue.wake(Events::WRITE);
        true
    }

    /// What lease an open file has, or is to have when it has done what it was told (`F_GETLEASE`).
    pub fn of(&self, file: u64, now: Instant) -> u32 {
        self.time_out(now);
        let Some(table) = self.table.get() else { return F_UNLCK as u32 };
        let kind = match table.list.lock().iter().find(|lease| lease.file == file) {
            None | Some(Lease { unlock: Some(_), .. }) => F_UNLCK,
            Some(Lease { exclusive: true, downgrade: None, .. }) => F_WRLCK,
            Some(_) => F_RDLCK,
        };
        kind as u32
    }

    /// Tells all that have a lease which is against opening the file, or writing it. Answers by when they must have let it go: to be asked again
    /// then, or when [`Leases::queue`] says so. None: nothing is in the way.
    pub fn break_for(&self, writes: bool, now: Instant, patience: Duration) -> Option<Deadline> {
        self.time_out(now);
        let table = self.table.get()?;
        let deadline = (!patience.is_zero()).then(|| now + patience);
        let (mut told, mut first) = (Vec::new(), None);
        for lease in table.list.lock().iter_mut().filter(|lease| lease.conflicts(writes)) {
            let until = if writes { &mut lease.unlock } else { &mut lease.downgrade };
            // One that is to go need not become less before.
            let known = until.or(lease.unlock);
            let until = match known {
                Some(until) => until,
                None => {
                    if writes {
                        lease.unlock = Some(deadline);
                    } else {
                        lease.downgrade = Some(deadline);
                    }
                    told.push(lease.holder.clone());
                    deadline
                }
            };
            first = first.or(Some(until));
        }
        for holder in told {
            holder.broken();
        }
        first
    }

    /// Is a lease against it still there?
    pub fn conflicts(&self, writes: bool) -> bool {
        self.table.get().is_some_and(|table| table.list.lock().iter().any(|lease| lease.conflicts(writes)))
    }

    /// Takes from those who have not done in time what they were told.
    fn time_out(&self, now: Instant) {
        let Some(table) = self.table.get() else { return };
        let past = |until: &Option<Deadline>| matches!(until, Some(Some(deadline)) if *deadline <= now);
        let (mut gone, mut less) = (Vec::new(), false);
        table.list.lock().retain_mut(|lease| {
            if past(&lease.unlock) {
                gone.push(lease.holder.clone());
                return false;
            }
            if past(&lease.downgrade) {
                (lease.exclusive, lease.downgrade) = (false, None);
                less = true;
            }
            true
        });
        if less || !gone.is_empty() {
            table.queue.wake(Events::WRITE);
        }
        for holder in gone {
            holder.ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Told(AtomicUsize, AtomicUsize);

    impl LeaseHolder for Told {
        fn broken(&self) {
            self.0.fetch_add(1, SeqCst);
        }

        fn ended(&self) {
            self.1.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_lease_ends_when_its_time_is_over() {
        let (leases, told) = (Leases::default(), Arc::new(Told::default()));
        let at = |secs: u64| Instant::from_nanos(secs * 1_000_000_000);
        let patience = Duration::from_secs(45);
        leases.opened(false);
        assert_eq!(leases.set(1, false, true, told.clone()), Ok(()));
        leases.opened(false);
        assert_eq!(leases.break_for(false, at(10), patience), Some(Some(at(55))));
        assert_eq!(
            (leases.of(1, at(20)), leases.break_for(false, at(20), patience)),
            (F_RDLCK as u32, Some(Some(at(55))))
        );
        assert_eq!(leases.break_for(false, at(55), patience), None);
        assert_eq!(leases.break_for(true, at(60), Duration::ZERO), Some(None));
        assert_eq!((leases.of(1, at(999)), leases.conflicts(true)), (F_UNLCK as u32, true));
        assert_eq!((told.0.load(SeqCst), told.1.load(SeqCst)), (2, 0));
        assert!(leases.remove(1) && !leases.remove(1));
        assert_eq!((leases.break_for(true, at(999), patience), told.1.load(SeqCst)), (None, 1));
    }
}
