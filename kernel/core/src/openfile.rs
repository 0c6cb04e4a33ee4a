//! An open file description: a file and the state that its duplicates share.

use crate::epoll::item::Item;
use crate::fasync::Fasync;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use lkl_abi::fcntl::{FASYNC, O_APPEND, O_DIRECT, O_NOATIME, O_NONBLOCK};
use lkl_file::{File, Socket};
use lkl_ops::Host;
use lkl_sync::{Mutex, Rank};
use std::sync::{Arc, OnceLock, Weak};

/// Flags that `F_SETFL` can change.
const SETTABLE: u32 = O_APPEND | O_NONBLOCK | FASYNC | O_DIRECT | O_NOATIME;

/// What a descriptor refers to. The file begins to close when the last reference goes, be it a descriptor of any
/// process or a call that still uses it.
pub struct OpenFile {
    file: Arc<dyn File>,
    flags: AtomicU32,
    offset: Mutex<u64>,
    fasync: OnceLock<Arc<Fasync>>,
    path: Option<Vec<u8>>,
    /// The epoll instances that are interested, as their items.
    pub(crate) watchers: Mutex<Vec<Weak<Item>>>,
}

impl OpenFile {
    /// A new description of `file`, with its access mode and status flags (`O_RDWR | O_NONBLOCK`).
    pub fn new(file: Arc<dyn File>, flags: u32) -> Arc<Self> {
        Self::with_path(file, flags, None)
    }

    /// The same, with the path that it was opened by.
    pub fn with_path(file: Arc<dyn File>, flags: u32, path: Option<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self {
            file,
            flags: AtomicU32::new(flags),
            // Held while a file is read, which may look at sockets.
            offset: Mutex::new(Rank::EpollInterest, 0),
            fasync: OnceLock::new(),
            path,
            watchers: Mutex::new(Rank::Leaf, Vec::new()),
        })
    }

    /// The file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// The socket, if it is one.
    pub fn socket(&self) -> Option<&dyn Socket> {
        self.file.as_socket()
    }

    /// Access mode and status flags, as `F_GETFL` gives them.
    pub fn flags(&self) -> u32 {
        self.flags.load(Relaxed)
    }

    /// Changes the status flags (`F_SETFL`); what cannot be changed stays.
    pub fn set_flags(&self, flags: u32) {
        let _old = self.flags.fetch_update(Relaxed, Relaxed, |f| Some(f & !SETTABLE | flags & SETTABLE));
    }

    /// Sets or clears some status flags (`FIONBIO`).
    pub fn change_flags(&self, mask: u32, on: bool) {
        if on {
            self.flags.fetch_or(mask, Relaxed);
        } else {
            self.flags.fetch_and(!mask, Relaxed);
        }
    }

    /// `O_NONBLOCK`
    pub fn nonblock(&self) -> bool {
        self.flags() & O_NONBLOCK != 0
    }

    /// The path that it was opened by, if it has one.
    pub fn path(&self) -> Option<&[u8]> {
        self.path.as_deref()
    }

    /// Where `read` and `write` go on.
    pub(crate) fn offset(&self) -> &Mutex<u64> {
        &self.offset
    }

    /// Who is told of what happens to it, if anybody was ever to be.
    pub(crate) fn fasync(&self) -> Option<&Arc<Fasync>> {
        self.fasync.get()
    }

    /// The same, made if it was not there.
    pub(crate) fn fasync_made(self: &Arc<Self>, host: &Arc<dyn Host>) -> &Arc<Fasync> {
        self.fasync.get_or_init(|| Fasync::new(self, host))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(fasync) = self.fasync.get() {
            fasync.deregister(&*self.file);
        }
        for item in core::mem::take(self.watchers.get_mut()) {
            if let Some(item) = item.upgrade() {
                item.file_is_gone(&*self.file);
            }
        }
        self.file.release();
    }
}

impl core::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "OpenFile(mode {:o}, flags {:#o})", self.file.mode(), self.flags())
    }
}
