//! Locks with a rank.

use core::ops::{Deref, DerefMut};
use order::Order;
use std::sync::{self, PoisonError};

/// The lock order of the whole kernel. A thread may take a lock only if its rank is greater than that of each lock
/// which it holds. This is the one list; `kernel/README.md` explains it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Rank {
    /// The descriptor table of a process.
    Descriptors,
    /// Interest list of an epoll instance.
    EpollInterest,
    /// The table of mounts of a kernel.
    Mounts,
    /// The tree of names of one mounted file system: shared for look-ups, exclusive for changes.
    Names,
    /// The cache of directory entries.
    Dentries,
    /// Shared by those who write files back, one after the other; exclusive for who waits for all of them.
    WriteBack,
    /// The cache of inodes; held while one is read from its file system.
    Inodes,
    /// The content and attributes of one file: shared for reads, exclusive for changes.
    FileData,
    /// The page cache.
    Pages,
    /// In a file system: one operation that is atomic in the journal.
    FsOperation,
    /// In a file system: an inode's own state.
    FsInode,
    /// In a file system: free blocks and inodes.
    FsAllocation,
    /// In a file system: the journal's own state.
    FsJournal,
    /// The table of a buffer cache; held while buffers are written back.
    Buffers,
    /// The content of a buffer.
    Buffer,
    /// Held while the network's configuration is changed: one change at a time.
    Configuration,
    /// Network configuration that is changed seldom: links and their addresses.
    NetConfig,
    /// Routes and rules.
    Routes,
    /// A port table (bind, listen): held while a socket is put in.
    Ports,
    /// A listening socket; a connection being made is taken after it.
    Listener,
    /// Any other socket.
    Socket,
    /// A shard of a demultiplexing table.
    Demux,
    /// Neighbours, reassembly, multicast: tables on a packet's way.
    PacketTable,
    /// A receive or error queue of a datagram socket.
    Queue,
    /// The queue of a device (loopback's frames, transmit order).
    Device,
    /// Ready list of an epoll instance, filled by callbacks of wait queues.
    EpollReady,
    /// The timer heap.
    Timers,
    /// The list of waiters of an object.
    Waiters,
    /// Anything that calls nothing while it is held.
    Leaf,
}

#[cfg(debug_assertions)]
mod order {
    use super::Rank;
    use std::cell::Cell;

    thread_local! {
        // One bit per rank; several locks of one rank are never held together.
        static HELD: Cell<u32> = const { Cell::new(0) };
    }

    /// The rank that a lock has: nothing where nobody looks at it, for there are many locks.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Order(Rank);

    impl Order {
        pub(super) const fn new(rank: Rank) -> Self {
            Self(rank)
        }

        pub(super) fn take(self) {
            take(self.0);
        }

        pub(super) fn release(self) {
            release(self.0);
        }
    }

    fn take(rank: Rank) {
        let bit = 1u32 << rank as u8;
        let held = HELD.with(Cell::get);
        assert!(
            held < bit,
            "lock order: {rank:?} taken while a lock of the same or a later rank is held (held bits {held:#x})"
        );
        HELD.with(|h| h.set(held | bit));
    }

    fn release(rank: Rank) {
        HELD.with(|h| h.set(h.get() & !(1u32 << rank as u8)));
    }
}

#[cfg(not(debug_assertions))]
mod order {
    /// Nothing.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Order;

    impl Order {
        pub(super) const fn new(_: super::Rank) -> Self {
            Self
        }

        pub(super) fn take(self) {}

        pub(super) fn release(self) {}
    }
}

/// A mutual exclusion lock with a rank. Never poisoned: a panic in the kernel is dealt with at the door.
#[derive(Debug)]
pub struct Mutex<T> {
    order: Order,
    inner: sync::Mutex<T>,
}

/// Access to what a [`Mutex`] guards.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    order: Order,
    inner: sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    /// A new lock.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self { order: Order::new(rank), inner: sync::Mutex::new(value) }
    }

    /// Takes the lock, waiting for it.
    ///
    /// # Panics
    /// In debug builds, if the lock order is broken.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.order.take();
        MutexGuard { order: self.order, inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let inner = match self.inner.try_lock() {
            Ok(guard) => guard,
            Err(sync::TryLockError::Poisoned(p)) => p.into_inner(),
            Err(sync::TryLockError::WouldBlock) => return None,
        };
        self.order.take();
        Some(MutexGuard { order: self.order, inner })
    }

    /// The value, without locking, for its only owner.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.order.release();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// A lock for many readers or one writer, with a rank.
#[derive(Debug)]
pub struct RwLock<T> {
    order: Order,
    inner: sync::RwLock<T>,
}

/// Shared access to what a [`RwLock`] guards.
#[derive(Debug)]
pub struct ReadGuard<'a, T> {
    order: Order,
    inner: sync::RwLockReadGuard<'a, T>,
}

/// Exclusive access to what a [`RwLock`] guards.
#[derive(Debug)]
pub struct WriteGuard<'a, T> {
    order: Order,
    inner: sync::RwLockWriteGuard<'a, T>,
}

impl<T> RwLock<T> {
    /// A new lock.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self { order: Order::new(rank), inner: sync::RwLock::new(value) }
    }

    /// Takes the lock for reading.
    ///
    /// # Panics
    /// In debug builds, if the lock order is broken.
    pub fn read(&self) -> ReadGuard<'_, T> {
        self.order.take();
        ReadGuard { order: self.order, inner: self.inner.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Takes the lock for reading if nobody has it for writing, or waits to.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let inner = match self.inner.try_read() {
            Ok(guard) => guard,
            Err(sync::TryLockError::Poisoned(p)) => p.into_inner(),
            Err(sync::TryLockError::WouldBlock) => return None,
        };
        self.order.take();
        Some(ReadGuard { order: self.order, inner })
    }

    /// Takes the lock for writing.
    ///
    /// # Panics
    /// In debug builds, if the lock order is broken.
    pub fn write(&self) -> WriteGuard<'_, T> {
        self.order.take();
        WriteGuard { order: self.order, inner: self.inner.write().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.order.release();
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        self.order.release();
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_is_fine() {
        let a = Mutex::new(Rank::Socket, 1);
        let b = RwLock::new(Rank::Timers, 2);
        let ga = a.lock();
        assert_eq!(*ga + *b.read(), 3);
        drop(ga);
        *b.write() += 1;
        assert_eq!(*b.read(), 3);
        assert_eq!(*a.lock(), 1);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "lock order")]
    fn out_of_order_panics() {
        let a = Mutex::new(Rank::Socket, 1);
        let b = Mutex::new(Rank::Timers, 2);
        let _gb = b.lock();
        let _ga = a.lock();
    }
}
