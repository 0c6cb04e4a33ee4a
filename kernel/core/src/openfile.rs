//! An open file description: a file and the state that its duplicates share.

use crate::epoll::item::Item;
use crate::fasync::Fasync;
use crate::inotify::Watches;
use crate::kernel::Kernel;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use lkl_abi::fcntl::{FASYNC, O_ACCMODE, O_APPEND, O_DIRECT, O_NOATIME, O_NONBLOCK, O_PATH, O_RDONLY};
use lkl_abi::inotify::{IN_CLOSE_NOWRITE, IN_CLOSE_WRITE};
use lkl_abi::stat::{S_IFIFO, S_IFMT, S_IFSOCK};
use lkl_file::{File, Socket};
use lkl_ops::Host;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::{Place, VfsFile};
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock, Weak};

/// Flags that `F_SETFL` can change.
const SETTABLE: u32 = O_APPEND | O_NONBLOCK | FASYNC | O_DIRECT | O_NOATIME;

/// A file that was opened by its name.
struct Opened {
    file: Arc<VfsFile>,
    kernel: Weak<Kernel>,
    watches: Arc<Watches>,
}

/// What a descriptor refers to. The file begins to close when the last reference goes, be it a descriptor of any
/// process or a call that still uses it.
pub struct OpenFile {
    file: Arc<dyn File>,
    flags: AtomicU32,
    offset: Mutex<u64>,
    fasync: OnceLock<Arc<Fasync>>,
    opened: Option<Box<Opened>>,
    /// The epoll instances that are interested, as their items.
    pub(crate) watchers: Mutex<SmallVec<[Weak<Item>; 1]>>,
}

impl OpenFile {
    /// A new description of `file`, with its access mode and status flags (`O_RDWR | O_NONBLOCK`).
    pub fn new(file: Arc<dyn File>, flags: u32) -> Arc<Self> {
        Self::made(file, flags, None)
    }

    /// The same of one that was opened by its name.
    pub(crate) fn named(kernel: &Kernel, file: Arc<VfsFile>, flags: u32) -> Arc<Self> {
        Self::standing_for(kernel, file.clone(), file, flags)
    }

    /// The same, where the file is only a name of `content`: a device, a FIFO, text that is made when it is read.
    pub(crate) fn standing_for(kernel: &Kernel, file: Arc<VfsFile>, content: Arc<dyn File>, flags: u32) -> Arc<Self> {
        let (kernel, watches) = (kernel.this(), kernel.inotify.clone());
        Self::made(content, flags, Some(Box::new(Opened { file, kernel, watches })))
    }

    fn made(file: Arc<dyn File>, flags: u32, opened: Option<Box<Opened>>) -> Arc<Self> {
        Arc::new(Self {
            file,
            flags: AtomicU32::new(flags),
            // Held while a file is read, which may look at sockets.
            offset: Mutex::new(Rank::EpollInterest, 0),
            fasync: OnceLock::new(),
            opened,
            watchers: Mutex::new(Rank::Leaf, SmallVec::new()),
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

    /// Its path, if it was opened by one.
    pub fn path(&self) -> Option<Vec<u8>> {
        let opened = self.opened.as_ref()?;
        let kernel = opened.kernel.upgrade()?;
        Some(kernel.vfs().path_of(opened.file.place(), &kernel.vfs().root()).path)
    }

    /// The file of a file system that it was opened by, if it was.
    pub fn vfs_file(&self) -> Option<&Arc<VfsFile>> {
        self.opened.as_ref().map(|opened| &opened.file)
    }

    /// Where it was found, if it was opened by its name.
    pub fn place(&self) -> Option<&Place> {
        self.vfs_file().map(|file| file.place())
    }

    /// The file of a file system that its content is in, if it is: not of a device, a FIFO, or text that is made when it is read.
    pub(crate) fn content(&self) -> Option<&VfsFile> {
        self.file.downcast_ref()
    }

    /// Was it opened with `O_PATH`, only to name it?
    pub(crate) fn only_named(&self) -> bool {
        self.flags() & O_PATH != 0
    }

    /// Where it stands, for who only shows it.
    pub(crate) fn position(&self) -> u64 {
        *self.offset.lock()
    }

    /// Tells who watches it.
    pub(crate) fn tell(&self, event: u32) {
        if let Some(opened) = self.opened.as_ref().filter(|o| o.watches.any()) {
            opened.watches.tell(opened.file.place(), event);
        }
    }

    /// A descriptor of a process is closed: the process has no lock of the file any more, whatever other descriptors it has
    /// (`man 2 fcntl`).
    pub(crate) fn closed_by(&self, pid: i32) {
        if let Some(file) = self.vfs_file() {
            file.closed_by(pid);
        }
    }

    /// What `/proc/PID/fd` shows of one that has no path.
    pub(crate) fn describe(&self) -> Vec<u8> {
        let (mode, ino) = (self.file.mode(), self.file.ino());
        match mode & S_IFMT {
            S_IFSOCK => format!("socket:[{ino}]"),
            S_IFIFO => format!("pipe:[{ino}]"),
            _ => format!("anon_inode:{}", crate::files::anonymous_kind(&*self.file)),
        }
        .into_bytes()
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
        let Some(opened) = &self.opened else { return };
        if self.content().is_none() {
            opened.file.release();
        }
        let flags = self.flags();
        if flags & O_PATH == 0 && opened.watches.any() {
            let read_only = flags & O_ACCMODE == O_RDONLY;
            opened.watches.tell(opened.file.place(), if read_only { IN_CLOSE_NOWRITE } else { IN_CLOSE_WRITE });
            if let Some(kernel) = opened.kernel.upgrade() {
                opened.watches.may_be_deleted(&kernel, opened.file.node());
            }
        }
    }
}

impl core::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "OpenFile(mode {:o}, flags {:#o})", self.file.mode(), self.flags())
    }
}
