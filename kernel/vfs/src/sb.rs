//! A mounted file system: its lock of names and its cache of inodes.
//!
//! A [`Node`] lives as long as somebody uses it. What it is made of (the `Core`: the inode, its pages) stays in the table here for a
//! while after that, so that who comes again finds it; dirty ones stay until they are written.
//!
//! Beside: [`Env`] (limits, clock), `node` (a file). Below: the file system's own [`SuperBlock`].

use crate::env::Env;
use crate::errseq::{ErrorMark, Errors};
use crate::fs::{FileSystem, StatFs, SuperBlock};
use crate::node::{Core, Node};
use core::sync::atomic::{AtomicBool, Ordering};
use lkl_abi::{Errno, Result};
use lkl_ops::Instant;
use lkl_sync::{Mutex, Rank, RwLock};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

/// One unused file is kept for that many bytes of memory.
const MEMORY_PER_UNUSED: u64 = 16 << 10;
/// Where files end if the file system does not say.
const SIZE_MAX: u64 = i64::MAX as u64;

/// So often an unmount writes what has become dirty meanwhile.
const UNMOUNT_TRIES: u32 = 8;

/// A file in the table.
struct Slot {
    core: Arc<Core>,
    /// Dead while nobody uses it.
    node: Weak<Node>,
    /// Its place in the order of those that are not used.
    unused_at: Option<u64>,
}

#[derive(Default)]
struct Table {
    slots: HashMap<u64, Slot>,
    /// The numbers of files that are not used, longest ago first.
    unused: BTreeMap<u64, u64>,
    clock: u64,
}

/// A mounted file system: one, however many mounts show it.
pub struct Super {
    env: Arc<Env>,
    fs: Arc<dyn FileSystem>,
    raw: Arc<dyn SuperBlock>,
    source: Vec<u8>,
    dev: u64,
    size_max: u64,
    read_only: AtomicBool,
    gone: AtomicBool,
    names: RwLock<()>,
    table: Mutex<Table>,
    /// Files with something to be written, and since when, the oldest first. One may be here that has nothing any more.
    dirty: Mutex<VecDeque<(Instant, u64)>>,
    /// Held shared while a file is written back that has been taken out of `dirty`.
    write_backs: RwLock<()>,
    /// Errors of write-back in any of its files.
    errors: Errors,
    told: ErrorMark,
}

impl Super {
    /// What `fs` has mounted from `source`, which is what `/proc/mounts` shows (`/dev/vda`, `tmpfs`).
    pub fn new(
        env: &Arc<Env>,
        fs: &Arc<dyn FileSystem>,
        raw: Arc<dyn SuperBlock>,
        source: Vec<u8>,
        read_only: bool,
    ) -> Arc<Self> {
        let size_max = raw.statfs().map_or(0, |s| s.size_max);
        let sb = Arc::new(Self {
            env: env.clone(),
            fs: fs.clone(),
            raw,
            source,
            dev: env.new_dev(),
            size_max: if size_max == 0 { SIZE_MAX } else { size_max.min(SIZE_MAX) },
            read_only: AtomicBool::new(read_only),
            gone: AtomicBool::new(false),
            names: RwLock::new(Rank::Names, ()),
            table: Mutex::new(Rank::Inodes, Table::default()),
            dirty: Mutex::new(Rank::Leaf, VecDeque::new()),
            write_backs: RwLock::new(Rank::WriteBack, ()),
            errors: Errors::default(),
            told: ErrorMark::default(),
        });
        env.add(&sb);
        sb
    }

    /// Its type.
    pub fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    /// The file system's own half.
    pub fn raw(&self) -> &Arc<dyn SuperBlock> {
        &self.raw
    }

    /// What it shares with all others.
    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// `st_dev`: unique in the [`Env`], in the form of `linux/kdev_t.h` (`new_encode_dev`).
    pub fn dev(&self) -> u64 {
        self.dev
    }

    /// What it was mounted from.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The longest file, in bytes.
    pub fn size_max(&self) -> u64 {
        self.size_max
    }

    /// Is it mounted read-only, or has it become so?
    pub fn read_only(&self) -> bool {
        self.read_only.load(Ordering::Acquire) || self.raw.stopped()
    }

    /// Only the mark: who changes it remounts the file system, and syncs before.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Release);
    }

    /// The lock of names: shared for look-ups and listing, exclusive for making, linking, removing and renaming.
    pub fn names(&self) -> &RwLock<()> {
        &self.names
    }

    /// Has it been unmounted?
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Its counts.
    ///
    /// # Errors
    /// `EIO`
    pub fn statfs(&self) -> Result<StatFs> {
        self.raw.statfs()
    }

    /// The file of that number. There is one [`Node`] for each.
    ///
    /// # Errors
    /// `ESTALE` if the number is not in use, or the file system is unmounted; `EUCLEAN`, `EIO`.
    pub fn node(self: &Arc<Self>, ino: u64) -> Result<Arc<Node>> {
        let mut table = self.table.lock();
        if self.is_gone() {
            return Err(Errno::ESTALE);
        }
        if let Some(node) = self.reuse(&mut table, ino) {
            return Ok(node);
        }
        let core = Core::new(&self.env, self.raw.inode(ino)?);
        let node = Arc::new(Node::new(self.clone(), core.clone()));
        table.slots.insert(ino, Slot { core, node: Arc::downgrade(&node), unused_at: None });
        Ok(node)
    }

    /// The file of that number, if it is in the table.
    fn known(self: &Arc<Self>, ino: u64) -> Option<Arc<Node>> {
        self.reuse(&mut self.table.lock(), ino)
    }

    fn reuse(self: &Arc<Self>, table: &mut Table, ino: u64) -> Option<Arc<Node>> {
        let slot = table.slots.get_mut(&ino)?;
        if let Some(node) = slot.node.upgrade() {
            return Some(node);
        }
        let node = Arc::new(Node::new(self.clone(), slot.core.clone()));
        slot.node = Arc::downgrade(&node);
        if let Some(at) = slot.unused_at.take() {
            table.unused.remove(&at);
        }
        Some(node)
    }

    /// The root directory.
    ///
    /// # Errors
    /// As [`Super::node`].
    pub fn root(self: &Arc<Self>) -> Result<Arc<Node>> {
        self.node(self.raw.root())
    }

    /// The last user of a file is gone.
    pub(crate) fn released(&self, core: &Arc<Core>) {
        let mut table = self.table.lock();
        let Some(slot) = table.slots.get(&core.ino()) else { return };
        // Somebody may have come again since, or this is an old one of that number.
        if slot.node.strong_count() > 0 || slot.unused_at.is_some() || !Arc::ptr_eq(&slot.core, core) {
            return;
        }
        if core.is_removed() && !self.read_only() {
            // The lock of the table is held: nobody may meet the number before it is free.
            table.slots.remove(&core.ino());
            core.evict();
            return;
        }
        if core.is_dirty() {
            // It stays. Who writes it back uses it, and comes here again.
            return;
        }
        if self.raw.names_change() {
            // Its number may soon be another file's.
            table.slots.remove(&core.ino());
            return;
        }
        table.clock += 1;
        let at = table.clock;
        table.unused.insert(at, core.ino());
        if let Some(slot) = table.slots.get_mut(&core.ino()) {
            slot.unused_at = Some(at);
        }
        if table.unused.len() > self.unused_max() {
            if let Some((_, ino)) = table.unused.pop_first() {
                table.slots.remove(&ino);
            }
        }
    }

    /// Most files that are kept while nobody uses them, and most that may be dirty.
    fn unused_max(&self) -> usize {
        usize::try_from(self.env.limits().memory / MEMORY_PER_UNUSED).unwrap_or(usize::MAX)
    }

    /// A file has something to be written.
    pub(crate) fn has_dirty(&self, ino: u64) {
        self.dirty.lock().push_back((self.env.host().now(), ino));
    }

    /// Are there so many dirty files that some must be written, however little that is?
    pub(crate) fn has_many_dirty(&self) -> bool {
        self.dirty.lock().len() > self.unused_max()
    }

    /// An error of write-back in one of its files, for who syncs.
    pub(crate) fn failed(&self, error: Errno) {
        self.errors.set(error);
    }

    /// Writes back the files that are dirty since `old` or longer, no longer than `until`; all that are dirty now without it. Answers
    /// whether some are left. Errors are kept for who asks for them.
    pub(crate) fn write_back_older(self: &Arc<Self>, old: Option<Instant>, until: Instant) -> bool {
        let mut most = self.dirty.lock().len();
        loop {
            let _busy = self.write_backs.read();
            let next = {
                let mut dirty = self.dirty.lock();
                match dirty.front() {
                    None => return false,
                    Some((since, _)) if most == 0 || old.is_some_and(|old| *since > old) => return true,
                    Some(_) if old.is_some() && self.env.host().now() > until => return true,
                    Some(_) => dirty.pop_front(),
                }
            };
            most -= 1;
            if let Some(node) = next.and_then(|(_, ino)| self.known(ino)) {
                node.write_back_listed();
            }
        }
    }

    /// Writes back the file that has been dirty for longest. Answers whether there was one.
    pub(crate) fn write_back_first(self: &Arc<Self>) -> bool {
        let _busy = self.write_backs.read();
        let next = self.dirty.lock().pop_front();
        let Some((_, ino)) = next else { return false };
        if let Some(node) = self.known(ino) {
            node.write_back_listed();
        }
        true
    }

    /// Makes all that was changed before the call durable: writes all dirty pages, then syncs the file system (`man 2 syncfs`).
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, also for an earlier write-back that failed and that no call has told yet.
    pub fn sync(self: &Arc<Self>) -> Result<()> {
        self.write_back_older(None, Instant::FAR_FUTURE);
        // Others may have begun before, with files that were not in the list any more.
        drop(self.write_backs.write());
        let synced = if self.read_only.load(Ordering::Acquire) { Ok(()) } else { self.raw.sync() };
        self.errors.check(&self.told).and(synced)
    }

    /// The end: everything is written, and the file system is gone. When this answers `Ok`, it is clean on its medium.
    ///
    /// # Errors
    /// `EBUSY` if somebody uses a file of it (nothing has changed then); `EINVAL` if it is gone already; `EIO`, `ENOSPC`: something
    /// could not be written, and it is gone all the same.
    pub fn unmount(self: &Arc<Self>) -> Result<()> {
        let mut synced = self.sync();
        let mut table = self.table.lock();
        for _ in 0..UNMOUNT_TRIES {
            // Somebody may have written, and gone, since.
            if !table.slots.values().any(|s| s.node.strong_count() == 0 && s.core.is_dirty()) {
                break;
            }
            drop(table);
            synced = synced.and(self.sync());
            table = self.table.lock();
        }
        if self.is_gone() {
            return Err(Errno::EINVAL);
        }
        if table.slots.values().any(|s| s.node.strong_count() > 0) {
            return Err(Errno::EBUSY);
        }
        self.gone.store(true, Ordering::Release);
        table.slots.clear();
        table.unused.clear();
        self.dirty.lock().clear();
        let unmounted = self.raw.unmount();
        synced.and(unmounted)
    }

    /// How many files are in the table: used, and not used.
    pub fn cached_nodes(&self) -> (usize, usize) {
        let table = self.table.lock();
        let used = table.slots.values().filter(|s| s.node.strong_count() > 0).count();
        (used, table.slots.len() - used)
    }
}
