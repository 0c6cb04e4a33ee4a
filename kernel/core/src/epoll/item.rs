//! One entry of an epoll instance's interest list, which is the waiter on its file.

use super::{Epoll, EpollEvent, Key};
use crate::openfile::OpenFile;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use lkl_abi::epoll::{EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT};
use lkl_file::File;
use lkl_sync::{Events, Mutex, Rank, Registration, Waiter};
use std::sync::{Arc, Weak};

/// What is not an event but says how it is to be told.
const PRIVATE: u32 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE;

/// What is told whether or not it was asked for.
const ALWAYS: u32 = EPOLLERR | EPOLLHUP;

/// Is an item on the ready list? Changed only under that list's lock.
pub(super) struct Queued(AtomicBool);

impl Queued {
    pub(super) fn swap(&self, on: bool) -> bool {
        self.0.swap(on, SeqCst)
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(SeqCst)
    }
}

pub(crate) struct Item {
    key: Key,
    file: Weak<OpenFile>,
    epoll: Weak<Epoll>,
    is_epoll: bool,
    events: AtomicU32,
    data: AtomicU64,
    dead: AtomicBool,
    registration: Mutex<Option<Registration>>,
    pub(super) queued: Queued,
    me: Weak<Item>,
}

impl Item {
    pub(super) fn new(fd: i32, file: &Arc<OpenFile>, epoll: &Weak<Epoll>, events: u32, data: u64) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            key: super::key(fd, file),
            file: Arc::downgrade(file),
            epoll: epoll.clone(),
            is_epoll: super::as_epoll(file).is_some(),
            events: AtomicU32::new(events | ALWAYS),
            data: AtomicU64::new(data),
            dead: AtomicBool::new(false),
            registration: Mutex::new(Rank::Leaf, None),
            queued: Queued(AtomicBool::new(false)),
            me: me.clone(),
        })
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn file(&self) -> Option<Arc<OpenFile>> {
        self.file.upgrade()
    }

    pub(super) fn epoll(&self) -> Option<Arc<Epoll>> {
        self.epoll.upgrade()
    }

    pub(super) fn is_epoll(&self) -> bool {
        self.is_epoll
    }

    pub(super) fn events(&self) -> u32 {
        self.events.load(SeqCst)
    }

    /// What is told of it when `events` are ready.
    pub(super) fn event(&self, events: u32) -> EpollEvent {
        EpollEvent { events, data: self.data.load(SeqCst), instance: self.is_epoll.then_some(self.key.0) }
    }

    pub(super) fn set(&self, events: u32, data: u64) {
        self.data.store(data, SeqCst);
        self.events.store(events | ALWAYS, SeqCst);
    }

    /// A one-shot item has been told: nothing more until it is set again.
    pub(super) fn disarm(&self) {
        self.events.fetch_and(PRIVATE, SeqCst);
    }

    /// What it is to be woken for: nothing at all once it is disarmed.
    fn interest(&self) -> u32 {
        self.events() & !PRIVATE
    }

    /// What the file has ready of what is asked for.
    pub(super) fn poll(&self, file: &dyn File) -> u32 {
        self.asked(file.poll())
    }

    /// What of `ready` is asked for.
    pub(super) fn asked(&self, ready: Events) -> u32 {
        ready.0 & self.interest()
    }

    pub(super) fn register(&self, file: &dyn File) {
        let Some(me) = self.me.upgrade() else { return };
        let exclusive = self.events() & EPOLLEXCLUSIVE != 0;
        let registration = file.wait_queue().register(me, Events::ALL, exclusive);
        *self.registration.lock() = Some(registration);
    }

    pub(super) fn deregister(&self, file: &dyn File) {
        let registration = self.registration.lock().take();
        if let Some(registration) = registration {
            file.wait_queue().deregister(registration);
        }
    }

    pub(super) fn kill(&self) {
        self.dead.store(true, SeqCst);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    /// The last reference of its file has gone; called by the file itself.
    pub(crate) fn file_is_gone(self: &Arc<Self>, file: &dyn File) {
        self.deregister(file);
        match self.epoll() {
            Some(epoll) => epoll.file_is_gone(self),
            None => self.kill(),
        }
    }
}

impl Waiter for Item {
    fn wake(&self, ready: Events) -> bool {
        if self.is_dead() || ready.0 & self.interest() == 0 {
            return false;
        }
        let (Some(epoll), Some(me)) = (self.epoll(), self.me.upgrade()) else { return false };
        let woke = epoll.push(&me);
        // Of an exclusive item, only what is asked for uses up the wake-up.
        woke && (self.events() & EPOLLEXCLUSIVE == 0 || ready.0 & self.events() & (EPOLLIN | EPOLLOUT) != 0)
    }
}
