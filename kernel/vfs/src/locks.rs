//! Locks of files: `flock`, and byte ranges of processes (POSIX) and of open files (OFD). They are advisory.

use lkl_abi::{Errno, Result};
use lkl_sync::{Events, Mutex, Rank, WaitQueue};

/// Who has a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A process, by its number: `F_SETLK`.
    Process(i32),
    /// An open file description, by a number: `F_OFD_SETLK`, `flock`.
    File(u64),
}

/// A lock of a range of bytes, `end` not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "explained above")]
pub struct RangeLock {
    pub owner: Owner,
    pub start: u64,
    pub end: u64,
    pub exclusive: bool,
}

#[derive(Default)]
struct Table {
    /// By open file description, and whether it is exclusive.
    whole: Vec<(u64, bool)>,
    ranges: Vec<RangeLock>,
}

/// The locks of one file.
pub struct Locks {
    table: Mutex<Table>,
    queue: WaitQueue,
}

impl Default for Locks {
    fn default() -> Self {
        Self { table: Mutex::new(Rank::Leaf, Table::default()), queue: WaitQueue::new() }
    }
}

impl Locks {
    /// Whom to wake when a lock is let go.
    pub fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Takes or changes a `flock` of the whole file; `None` lets it go. A change is not atomic, as on Linux: the old lock goes first.
    ///
    /// # Errors
    /// `EAGAIN` if another one has it.
    pub fn flock(&self, file: u64, exclusive: Option<bool>) -> Result<()> {
        let mut table = self.table.lock();
        if exclusive.is_some_and(|e| table.whole.contains(&(file, e))) {
            return Ok(());
        }
        let before = table.whole.len();
        table.whole.retain(|(f, _)| *f != file);
        let gone = table.whole.len() < before;
        let result = match exclusive {
            None => Ok(()),
            Some(exclusive) if table.whole.iter().any(|(_, e)| exclusive || *e) => Err(Errno::EAGAIN),
            Some(exclusive) => {
                table.whole.push((file, exclusive));
                Ok(())
            }
        };
        drop(table);
        if gone {
            self.queue.wake(Events::WRITE);
        }
        result
    }

    /// The first lock that stands in the way of `wanted`.
    pub fn conflict(&self, wanted: &RangeLock) -> Option<RangeLock> {
        let table = self.table.lock();
        Self::first_conflict(&table, wanted)
    }

    fn first_conflict(table: &Table, wanted: &RangeLock) -> Option<RangeLock> {
        let overlaps = |l: &&RangeLock| l.start < wanted.end && wanted.start < l.end;
        let others = table.ranges.iter().filter(overlaps).filter(|l| l.owner != wanted.owner);
        others.filter(|l| l.exclusive || wanted.exclusive).min_by_key(|l| l.start).copied()
    }

    /// Takes a lock of a range, in place of what its owner had of it.
    ///
    /// # Errors
    /// `EAGAIN` if another one stands in the way.
    pub fn lock(&self, wanted: RangeLock) -> Result<()> {
        let mut table = self.table.lock();
        if Self::first_conflict(&table, &wanted).is_some() {
            return Err(Errno::EAGAIN);
        }
        cut(&mut table.ranges, wanted.owner, wanted.start, wanted.end);
        // One that touches another of the same kind becomes one with it.
        let mut new = wanted;
        table.ranges.retain(|l| {
            let joins =
                l.owner == new.owner && l.exclusive == new.exclusive && l.end >= new.start && new.end >= l.start;
            if joins {
                new.start = new.start.min(l.start);
                new.end = new.end.max(l.end);
            }
            !joins
        });
        table.ranges.push(new);
        drop(table);
        // A lock may have become a weaker one.
        self.queue.wake(Events::WRITE);
        Ok(())
    }

    /// Lets a range go.
    pub fn unlock(&self, owner: Owner, start: u64, end: u64) {
        cut(&mut self.table.lock().ranges, owner, start, end);
        self.queue.wake(Events::WRITE);
    }

    /// The first lock that an owner has of a range.
    pub fn own(&self, owner: Owner, start: u64, end: u64) -> Option<RangeLock> {
        let table = self.table.lock();
        let mine = table.ranges.iter().filter(|l| l.owner == owner && l.start < end && start < l.end);
        mine.min_by_key(|l| l.start).copied()
    }

    /// Has the owner any lock of a range?
    pub fn has_any(&self, owner: Owner) -> bool {
        self.table.lock().ranges.iter().any(|l| l.owner == owner)
    }
}

fn cut(ranges: &mut Vec<RangeLock>, owner: Owner, start: u64, end: u64) {
    let mut rest = Vec::new();
    ranges.retain(|l| {
        if l.owner != owner || l.end <= start || end <= l.start {
            return true;
        }
        if l.start < start {
            rest.push(RangeLock { end: start, ..*l });
        }
        if l.end > end {
            rest.push(RangeLock { start: end, ..*l });
        }
        false
    });
    ranges.append(&mut rest);
}

#[cfg(test)]
mod tests;
