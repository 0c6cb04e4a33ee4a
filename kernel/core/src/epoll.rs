//! Epoll instances (`man 7 epoll`).
//!
//! The interest list maps (descriptor number, open file) to an [`Item`](item::Item), which is a waiter on the file. When
//! the file says that something may be ready, the item puts itself on the ready list and wakes the instance's own
//! queue; `epoll_wait` takes items off the list, asks each file what is really ready, and puts level-triggered ones
//! back at the end, so that all get their turn.
//!
//! Invariant: an item is on the ready list at most once, and only while it is in the interest list or is about to be
//! found dead by the next reader of the ready list.

pub(crate) mod item;
#[cfg(test)]
mod tests;

use crate::kernel::Kernel;
use crate::openfile::OpenFile;
use crate::poll::PollRegistration;
use crate::process::Task;
use foldhash::HashMap;
use item::Item;
use lkl_abi::epoll::{
    EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLWAKEUP, EPOLL_CTL_ADD,
    EPOLL_CTL_DEL, EPOLL_CTL_MOD,
};
use lkl_abi::stat::{S_IFDIR, S_IFMT, S_IFREG};
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_sync::{Events, Mutex, Rank, WaitQueue};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

/// How deep instances may be nested.
const MAX_NESTS: u32 = 4;

/// What keys the interest list: a descriptor number, and the open file's address, because the number can mean another
/// file later while the first is still open through a duplicate.
type Key = (i32, usize);

fn key(fd: i32, file: &Arc<OpenFile>) -> Key {
    (fd, Arc::as_ptr(file) as usize)
}

/// What is told of one entry of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpollEvent {
    /// What is ready.
    pub events: u32,
    /// What the entry was given.
    pub data: u64,
    /// If the entry is an epoll instance itself: the descriptor that it was added by.
    pub instance: Option<i32>,
}

/// Which instance is meant.
#[derive(Clone, Copy, Debug)]
pub enum EpollAt<'a> {
    /// The one at this descriptor.
    Number(i32),
    /// The one that [`Kernel::epoll_watch`] was called for, or which is alone in a [`Kernel::poll_set`], whatever has become of its
    /// descriptor: who waits for it holds it.
    Watched(&'a PollRegistration),
}

#[derive(Default)]
struct Ready {
    list: VecDeque<Arc<Item>>,
    /// About how many of them are no longer in the interest list. They are passed over, and swept out when they are the most: a crowd that
    /// is closed one by one must not be searched for each.
    dead: usize,
}

impl Ready {
    fn pop(&mut self) -> Option<Arc<Item>> {
        while let Some(item) = self.list.pop_front() {
            item.queued.swap(false);
            if !item.is_dead() {
                return Some(item);
            }
            self.dead = self.dead.saturating_sub(1);
        }
        None
    }

    /// An item that may be on the list is dead.
    fn bury(&mut self, item: &Item) {
        self.dead += usize::from(item.queued.get());
        if self.dead * 2 > self.list.len() {
            self.list.retain(|i| !i.is_dead() || !i.queued.swap(false));
            self.dead = 0;
        }
    }
}

/// An epoll instance.
pub(crate) struct Epoll {
    /// Held while the ready list is read, too.
    interest: Mutex<HashMap<Key, Arc<Item>>>,
    ready: Mutex<Ready>,
    queue: WaitQueue,
    /// Its own open file, for the check against loops.
    open: OnceLock<Weak<OpenFile>>,
    me: Weak<Epoll>,
}

impl Epoll {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            interest: Mutex::new(Rank::EpollInterest, HashMap::default()),
            ready: Mutex::new(Rank::EpollReady, Ready::default()),
            queue: WaitQueue::new(),
            open: OnceLock::new(),
            me: me.clone(),
        })
    }

    /// Opens it: the one open file that refers to it.
    pub(crate) fn open(self: &Arc<Self>, flags: u32) -> Arc<OpenFile> {
        let open = OpenFile::new(self.clone(), flags);
        let _first = self.open.set(Arc::downgrade(&open));
        open
    }

    /// Puts `item` on the ready list and wakes whoever waits. Answers whether somebody was woken.
    fn push(&self, item: &Arc<Item>) -> bool {
        {
            let mut ready = self.ready.lock();
            if item.is_dead() {
                return false;
            }
            if !item.queued.swap(true) {
                ready.list.push_back(item.clone());
            }
        }
        self.queue.wake_any(Events::READ)
    }

    fn add(&self, fd: i32, file: &Arc<OpenFile>, events: u32, data: u64) -> Result<()> {
        let item = {
            let mut interest = self.interest.lock();
            let vacant = match interest.entry(key(fd, file)) {
                std::collections::hash_map::Entry::Occupied(_) => return Err(Errno::EEXIST),
                std::collections::hash_map::Entry::Vacant(v) => v,
            };
            let item = Item::new(fd, file, &self.me, events, data);
            vacant.insert(item.clone());
            item
        };
        file.watchers.lock().push(Arc::downgrade(&item));
        item.register(&**file.file());
        if item.is_dead() {
            // Another thread has taken it out meanwhile.
            item.deregister(&**file.file());
            return Ok(());
        }
        if item.poll(&**file.file()) != 0 {
            self.push(&item);
        }
        Ok(())
    }

    fn modify(&self, fd: i32, file: &Arc<OpenFile>, events: u32, data: u64) -> Result<()> {
        let item = {
            let interest = self.interest.lock();
            let item = interest.get(&key(fd, file)).ok_or(Errno::ENOENT)?;
            if item.events() & EPOLLEXCLUSIVE != 0 {
                return Err(Errno::EINVAL);
            }
            item.set(events, data);
            item.clone()
        };
        if item.poll(&**file.file()) != 0 {
            self.push(&item);
        }
        Ok(())
    }

    fn delete(&self, fd: i32, file: &Arc<OpenFile>) -> Result<()> {
        let item = self.interest.lock().remove(&key(fd, file)).ok_or(Errno::ENOENT)?;
        self.retire(&item);
        item.deregister(&**file.file());
        file.watchers.lock().retain(|w| !core::ptr::eq(w.as_ptr(), Arc::as_ptr(&item)));
        Ok(())
    }

    /// The item's file is gone.
    fn file_is_gone(&self, item: &Arc<Item>) {
        {
            let mut interest = self.interest.lock();
            let k = item.key();
            if interest.get(&k).is_some_and(|i| Arc::ptr_eq(i, item)) {
                interest.remove(&k);
            }
        }
        self.retire(item);
    }

    /// Marks an item that is no longer in the interest list, so that nobody is told of it.
    fn retire(&self, item: &Arc<Item>) {
        item.kill();
        self.ready.lock().bury(item);
    }

    /// Takes up to `max` events, giving each to `sink`; it stops when `sink` fails, and answers that only if nothing
    /// was given before. Answers the count. `waiting`: the caller is among the waiters of the instance.
    pub(crate) fn harvest(
        &self,
        max: usize,
        waiting: bool,
        mut sink: impl FnMut(EpollEvent) -> Result<()>,
    ) -> Result<usize> {
        // Files that are kept from closing under the lock; dropped after it.
        let mut held: SmallVec<[Arc<OpenFile>; 8]> = SmallVec::new();
        let mut again: SmallVec<[Arc<Item>; 8]> = SmallVec::new();
        let mut count = 0;
        let mut result = Ok(());
        let interest = self.interest.lock();
        let mut budget = self.ready.lock().list.len();
        while budget > 0 && count < max {
            budget -= 1;
            let Some(item) = self.ready.lock().pop() else { break };
            let Some(file) = item.file() else { continue };
            let now = item.poll(&**file.file());
            held.push(file);
            if now == 0 {
                continue;
            }
            if let Err(e) = sink(item.event(now)) {
                let mut ready = self.ready.lock();
                if !item.queued.swap(true) {
                    ready.list.push_front(item);
                }
                result = Err(e);
                break;
            }
            count += 1;
            let events = item.events();
            if events & EPOLLONESHOT != 0 {
                item.disarm();
            } else if events & EPOLLET == 0 {
                again.push(item);
            }
        }
        let more = {
            let mut ready = self.ready.lock();
            for item in again {
                if !item.is_dead() && !item.queued.swap(true) {
                    ready.list.push_back(item);
                }
            }
            !ready.list.is_empty()
        };
        drop(interest);
        if more && count > 0 && self.queue.waiters() > usize::from(waiting) {
            // For another thread that waits for the same instance.
            self.queue.wake(Events::READ);
        }
        drop(held);
        if count == 0 {
            result?;
        }
        Ok(count)
    }

    /// Takes the event of the instance that was added as `fd`, as if it had something to tell. None: it is not asked for.
    fn take_inner(&self, fd: i32, file: Option<&Arc<OpenFile>>) -> Result<Option<EpollEvent>> {
        let interest = self.interest.lock();
        let item = file.and_then(|file| interest.get(&key(fd, file))).filter(|i| i.is_epoll());
        // The number may mean something else by now.
        let item = item.or_else(|| interest.values().find(|i| i.is_epoll() && i.key().0 == fd)).ok_or(Errno::ENOENT)?;
        let now = item.asked(Events::READ);
        let event = item.event(now);
        if now == 0 {
            return Ok(None);
        }
        if item.events() & EPOLLONESHOT != 0 {
            item.disarm();
        }
        Ok(Some(event))
    }

    /// Whom to wake when there is something to harvest.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Can anything be on the ready list? One short lock.
    fn maybe_ready(&self) -> bool {
        !self.ready.lock().list.is_empty()
    }

    fn nested(&self) -> SmallVec<[Arc<OpenFile>; 4]> {
        let interest = self.interest.lock();
        interest.values().filter(|i| i.is_epoll()).filter_map(|i| i.file()).collect()
    }

    /// How deep are instances nested below this one? An error if `target` is among them.
    fn depth_below(&self, target: &Self, level: u32) -> Result<u32> {
        if core::ptr::eq(self, target) || level > MAX_NESTS {
            return Err(Errno::ELOOP);
        }
        let mut deepest = 0;
        for file in self.nested() {
            if let Some(inner) = as_epoll(&file) {
                deepest = deepest.max(inner.depth_below(target, level + 1)? + 1);
            }
        }
        Ok(deepest)
    }

    /// How deep are instances nested above this one?
    fn depth_above(&self, level: u32) -> u32 {
        if level > MAX_NESTS {
            return level;
        }
        let Some(open) = self.open.get().and_then(Weak::upgrade) else { return 0 };
        let watchers: SmallVec<[Arc<Epoll>; 4]> = {
            let watchers = open.watchers.lock();
            watchers.iter().filter_map(Weak::upgrade).filter_map(|i| i.epoll()).collect()
        };
        watchers.iter().map(|outer| outer.depth_above(level + 1) + 1).max().unwrap_or(0)
    }
}

impl File for Epoll {
    fn read(&self, _: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    fn poll(&self) -> Events {
        if !self.maybe_ready() {
            return Events::EMPTY;
        }
        // No lock is held while a file is asked: it may be an instance itself.
        let items: SmallVec<[Arc<Item>; 8]> = self.ready.lock().list.iter().filter(|i| !i.is_dead()).cloned().collect();
        let ready = items.iter().any(|i| i.file().is_some_and(|f| i.poll(&**f.file()) != 0));
        if ready {
            Events::READ
        } else {
            Events::EMPTY
        }
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn release(&self) {
        let items = core::mem::take(&mut *self.interest.lock());
        for item in items.into_values() {
            item.kill();
            if let Some(file) = item.file() {
                item.deregister(&**file.file());
                file.watchers.lock().retain(|w| !core::ptr::eq(w.as_ptr(), Arc::as_ptr(&item)));
            }
        }
        let list = core::mem::take(&mut self.ready.lock().list);
        drop(list);
    }
}

/// The epoll instance behind an open file, if it is one.
pub(crate) fn as_epoll(file: &OpenFile) -> Option<&Epoll> {
    file.file().downcast_ref()
}

/// Files that are always ready cannot be watched.
fn pollable(file: &OpenFile) -> bool {
    !matches!(file.file().mode() & S_IFMT, S_IFREG | S_IFDIR)
}

/// `epoll_ctl`, with its arguments read. `event` is there for `ADD` and `MOD`.
pub(crate) fn control(
    kernel: &Kernel,
    task: &Task,
    epfd: i32,
    op: u32,
    fd: i32,
    event: Option<(u32, u64)>,
) -> Result<()> {
    let outer = task.process().file(epfd)?;
    let target = task.process().file(fd)?;
    if !pollable(&target) {
        return Err(Errno::EPERM);
    }
    let Some(epoll) = as_epoll(&outer).filter(|_| !Arc::ptr_eq(&outer, &target)) else {
        return Err(Errno::EINVAL);
    };
    let (events, data) = event.unwrap_or_default();
    let events = events & !EPOLLWAKEUP;
    if op != EPOLL_CTL_DEL && events & EPOLLEXCLUSIVE != 0 {
        let allowed = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET | EPOLLEXCLUSIVE;
        if op == EPOLL_CTL_MOD || events & !allowed != 0 || as_epoll(&target).is_some() {
            return Err(Errno::EINVAL);
        }
    }
    match op {
        EPOLL_CTL_ADD => match as_epoll(&target) {
            Some(inner) => {
                let _one_at_a_time = kernel.nesting.lock();
                let below = inner.depth_below(epoll, 0)?;
                if below + 1 + epoll.depth_above(0) > MAX_NESTS {
                    return Err(Errno::ELOOP);
                }
                epoll.add(fd, &target, events, data)
            }
            None => epoll.add(fd, &target, events, data),
        },
        EPOLL_CTL_MOD => epoll.modify(fd, &target, events, data),
        EPOLL_CTL_DEL => epoll.delete(fd, &target),
        _ => Err(Errno::EINVAL),
    }
}

impl Kernel {
    fn instance(task: &Task, at: EpollAt<'_>) -> Result<Arc<OpenFile>> {
        match at {
            EpollAt::Number(fd) => task.process().file(fd),
            EpollAt::Watched(set) => set.first().ok_or(Errno::EBADF),
        }
    }

    /// What the epoll instance at `at` has to tell now: gives up to `max` events to `sink`, and
    /// answers how many. Edge-triggered and one-shot entries are used up by it, as by `epoll_wait`. Never blocks. To wait for more, use
    /// [`Kernel::epoll_watch`], or put its descriptor in a [`Kernel::poll_set`], and name it by that from then on.
    ///
    /// # Errors
    /// `EBADF`, `EINVAL` if it is not an epoll instance.
    pub fn epoll_ready(
        &self,
        task: &Task,
        at: EpollAt<'_>,
        max: usize,
        mut sink: impl FnMut(EpollEvent),
    ) -> Result<usize> {
        if self.oopsed() {
            return Err(Errno::EIO);
        }
        let file = Self::instance(task, at)?;
        let epoll = as_epoll(&file).ok_or(Errno::EINVAL)?;
        if max == 0 || !epoll.maybe_ready() {
            return Ok(0);
        }
        self.guard("epoll_ready", || {
            epoll.harvest(max, matches!(at, EpollAt::Watched(_)), |event| {
                sink(event);
                Ok(())
            })
        })
    }

    /// For a caller who keeps instances for files of his own beside the kernel's, and has seen that the one of an instance that is within
    /// another is ready: what the outer one, at `at`, is to tell of the inner, which was added to it by the descriptor `fd`. An event is
    /// used up as by [`Kernel::epoll_ready`]. `None` if it is not asked for.
    ///
    /// # Errors
    /// `EBADF`, `EINVAL`: no epoll instance. `ENOENT`: it has no such instance in it.
    pub fn epoll_inner(&self, task: &Task, at: EpollAt<'_>, fd: i32) -> Result<Option<EpollEvent>> {
        if self.oopsed() {
            return Err(Errno::EIO);
        }
        let file = Self::instance(task, at)?;
        let epoll = as_epoll(&file).ok_or(Errno::EINVAL)?;
        self.guard("epoll_inner", || epoll.take_inner(fd, task.process().file(fd).ok().as_ref()))
    }
}
