//! Being told of what happens to files (`man 7 inotify`).
//!
//! [`Watches`] has all watches of a kernel by the file that they are on; [`Inotify`] is an instance, a file that its events are read from.
//! The calls tell of what they have done (`syscall`); while nobody watches anything, that costs them one load.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use lkl_abi::inotify::*;
use lkl_abi::ioctls::FIONREAD;
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_ops::UserMem;
use lkl_sync::{Events, Mutex, Rank, WaitQueue};
use lkl_vfs::{InodeKind, Node, Place, Super};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use crate::kernel::Kernel;

/// Events that wait in one instance at most (`fs.inotify.max_queued_events`).
pub(crate) const QUEUE_MAX: usize = 16384;
/// Instances of one kernel (`fs.inotify.max_user_instances`).
pub(crate) const INSTANCES_MAX: usize = 128;
/// Watches of one kernel (`fs.inotify.max_user_watches`).
pub(crate) const WATCHES_MAX: usize = 65536;
/// Bytes of `struct inotify_event` without its name, of which its whole length is a multiple.
const HEAD: usize = 16;
/// What a directory is told of its files.
const OF_CHILDREN: u32 = IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE | IN_OPEN;
/// What is told to every watch, whatever it asks for.
const ALWAYS: u32 = IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW;
/// How a watch is made, which is no event.
const HOW: u32 = IN_ONLYDIR | IN_DONT_FOLLOW | IN_MASK_ADD | IN_MASK_CREATE;

/// A file: its file system's and its own number.
type Key = (u64, u64);

fn key(node: &Node) -> Key {
    (node.sb().dev(), node.ino())
}

struct Watch {
    wd: i32,
    key: Key,
    mask: AtomicU32,
    instance: Weak<Inotify>,
}

/// All watches of a kernel.
pub(crate) struct Watches {
    count: AtomicUsize,
    instances: AtomicUsize,
    cookie: AtomicU32,
    by_file: Mutex<HashMap<Key, Vec<Arc<Watch>>>>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            instances: AtomicUsize::new(0),
            cookie: AtomicU32::new(0),
            by_file: Mutex::new(Rank::Leaf, HashMap::new()),
        }
    }
}

impl Watches {
    /// Is anything watched at all?
    pub(crate) fn any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// A number that ties two events of a rename together.
    pub(crate) fn cookie(&self) -> u32 {
        self.cookie.fetch_add(1, Relaxed) + 1
    }

    fn on(&self, key: Key) -> Vec<Arc<Watch>> {
        self.by_file.lock().get(&key).cloned().unwrap_or_default()
    }

    /// Something has happened to a file: tells who watches it, or the directory that it is in.
    pub(crate) fn tell(&self, place: &Place, event: u32) {
        if !self.any() {
            return;
        }
        let is_dir = if place.kind() == InodeKind::Directory { IN_ISDIR } else { 0 };
        // What is done by a descriptor counts; attributes are changed by name.
        let unlinked = if place.dentry.is_gone() && event != IN_ATTRIB { IN_EXCL_UNLINK } else { 0 };
        if let Some(parent) = place.dentry.parent().filter(|_| event & OF_CHILDREN != 0) {
            self.put(key(parent.node()), event | is_dir, 0, &place.dentry.name(), unlinked);
        }
        self.put(key(place.node()), event | is_dir, 0, b"", unlinked);
    }

    /// Something has happened to a file that is known by its node only.
    pub(crate) fn tell_node(&self, node: &Node, event: u32) {
        let plain = matches!(event, IN_DELETE_SELF | IN_MOVE_SELF);
        let is_dir = if node.kind() == InodeKind::Directory && !plain { IN_ISDIR } else { 0 };
        self.put(key(node), event | is_dir, 0, b"", 0);
    }

    /// Something has happened to a name in a directory.
    pub(crate) fn tell_name(&self, dir: &Node, name: &[u8], event: u32, cookie: u32) {
        self.put(key(dir), event, cookie, name, 0);
    }

    /// Tells the watches of a file that ask for the event, but those with any bit of `without`.
    fn put(&self, key: Key, event: u32, cookie: u32, name: &[u8], without: u32) {
        for watch in self.on(key) {
            let mask = watch.mask.load(Relaxed);
            if mask & event & (IN_ALL_EVENTS | ALWAYS) == 0 || mask & without != 0 {
                continue;
            }
            let Some(instance) = watch.instance.upgrade() else { continue };
            instance.push(Event { wd: watch.wd, mask: event, cookie, name: name.to_vec() });
            if mask & IN_ONESHOT != 0 {
                instance.remove(&watch);
            }
        }
    }

    /// A file without links is gone when nobody has it open any more.
    pub(crate) fn may_be_deleted(&self, kernel: &Kernel, node: &Arc<Node>) {
        if !self.any() || node.attr().nlink > 0 || self.on(key(node)).is_empty() {
            return;
        }
        let open = kernel.processes().iter().any(|process| {
            let files = process.descriptors().into_iter().filter_map(|fd| process.file(fd).ok());
            files.filter_map(|f| f.place().map(|p| p.node().clone())).any(|n| Arc::ptr_eq(&n, node))
        });
        if !open {
            self.tell_node(node, IN_DELETE_SELF);
            self.end(key(node));
        }
    }

    /// A file system has been unmounted.
    pub(crate) fn unmounted(&self, sb: &Super) {
        let mut keys: Vec<Key> = self.by_file.lock().keys().copied().collect();
        keys.retain(|(dev, _)| *dev == sb.dev());
        for key in keys {
            for watch in self.on(key) {
                if let Some(instance) = watch.instance.upgrade() {
                    instance.push(Event { wd: watch.wd, mask: IN_UNMOUNT, cookie: 0, name: Vec::new() });
                }
            }
            self.end(key);
        }
    }

    /// The end of the watches of a file.
    fn end(&self, key: Key) {
        for watch in self.on(key) {
            if let Some(instance) = watch.instance.upgrade() {
                instance.remove(&watch);
            }
        }
    }

    fn drop_watch(&self, watch: &Arc<Watch>) {
        let mut by_file = self.by_file.lock();
        let Some(watches) = by_file.get_mut(&watch.key) else { return };
        let before = watches.len();
        watches.retain(|w| !Arc::ptr_eq(w, watch));
        self.count.fetch_sub(before - watches.len(), Relaxed);
        if watches.is_empty() {
            by_file.remove(&watch.key);
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq)]
struct Event {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    fn len(&self) -> usize {
        HEAD + if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEAD) }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let len = self.len();
        let mut bytes = Vec::with_capacity(len);
        bytes.extend(self.wd.to_ne_bytes());
        bytes.extend(self.mask.to_ne_bytes());
        bytes.extend(self.cookie.to_ne_bytes());
        bytes.extend(((len - HEAD) as u32).to_ne_bytes());
        bytes.extend(&self.name);
        bytes.resize(len, 0);
        bytes
    }
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    watches: BTreeMap<i32, Arc<Watch>>,
    last_wd: i32,
}

/// An instance.
pub(crate) struct Inotify {
    state: Mutex<State>,
    queue: WaitQueue,
    all: Arc<Watches>,
    this: Weak<Self>,
}

impl Inotify {
    /// # Errors
    /// `EMFILE` if there are too many.
    pub(crate) fn new(all: &Arc<Watches>) -> Result<Arc<Self>> {
        if all.instances.fetch_add(1, Relaxed) >= INSTANCES_MAX {
            all.instances.fetch_sub(1, Relaxed);
            return Err(Errno::EMFILE);
        }
        Ok(Arc::new_cyclic(|this| Self {
            state: Mutex::new(Rank::Queue, State::default()),
            queue: WaitQueue::new(),
            all: all.clone(),
            this: this.clone(),
        }))
    }

    /// Watches a file, or changes what is watched of it. Answers the watch's number.
    ///
    /// # Errors
    /// `EEXIST` with `IN_MASK_CREATE` if it is watched; `ENOSPC` if there are too many watches.
    pub(crate) fn watch(&self, node: &Node, mask: u32) -> Result<i32> {
        let key = key(node);
        let wanted = mask & !HOW;
        let mut state = self.state.lock();
        if let Some(watch) = state.watches.values().find(|w| w.key == key) {
            if mask & IN_MASK_CREATE != 0 {
                return Err(Errno::EEXIST);
            }
            let old = if mask & IN_MASK_ADD != 0 { watch.mask.load(Relaxed) } else { 0 };
            watch.mask.store(old | wanted, Relaxed);
            return Ok(watch.wd);
        }
        if self.all.count.fetch_add(1, Relaxed) >= WATCHES_MAX {
            self.all.count.fetch_sub(1, Relaxed);
            return Err(Errno::ENOSPC);
        }
        state.last_wd += 1;
        let wd = state.last_wd;
        let watch = Arc::new(Watch { wd, key, mask: AtomicU32::new(wanted | ALWAYS), instance: self.this.clone() });
        state.watches.insert(wd, watch.clone());
        self.all.by_file.lock().entry(key).or_default().push(watch);
        Ok(wd)
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// `EINVAL` if there is none of that number.
    pub(crate) fn unwatch(&self, wd: i32) -> Result<()> {
        let watch = self.state.lock().watches.get(&wd).cloned().ok_or(Errno::EINVAL)?;
        self.remove(&watch);
        Ok(())
    }

    fn remove(&self, watch: &Arc<Watch>) {
        if self.state.lock().watches.remove(&watch.wd).is_none() {
            return;
        }
        self.all.drop_watch(watch);
        self.push(Event { wd: watch.wd, mask: IN_IGNORED, cookie: 0, name: Vec::new() });
    }

    fn push(&self, event: Event) {
        let mut state = self.state.lock();
        // As on Linux two events that are the same, one after the other, are one.
        if state.events.back() == Some(&event) {
            return;
        }
        match state.events.len() {
            n if n > QUEUE_MAX => return,
            QUEUE_MAX => {
                state.events.push_back(Event { wd: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: Vec::new() });
            }
            _ => state.events.push_back(event),
        }
        drop(state);
        self.queue.wake(Events::READ);
    }
}

impl File for Inotify {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        let mut state = self.state.lock();
        if state.events.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let mut done = 0;
        while let Some(event) = state.events.front() {
            if event.len() > out.remaining() {
                break;
            }
            match out.write(&event.to_bytes()) {
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
            state.events.pop_front();
        }
        if done == 0 {
            return Err(Errno::EINVAL);
        }
        Ok(done)
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EBADF)
    }

    fn poll(&self) -> Events {
        if self.state.lock().events.is_empty() {
            Events::EMPTY
        } else {
            Events::READ
        }
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn ioctl(&self, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
        if request != FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let len: usize = self.state.lock().events.iter().map(Event::len).sum();
        mem.write(arg, &(len as i32).to_ne_bytes())?;
        Ok(0)
    }

    fn release(&self) {
        let watches = core::mem::take(&mut self.state.lock().watches);
        for watch in watches.values() {
            self.all.drop_watch(watch);
        }
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        self.all.instances.fetch_sub(1, Relaxed);
    }
}
