//! Names that are known: which file each is, or that there is none.
//!
//! A [`Dentry`] is a file under one of its names. One that is in use is in the cache under its name until that is removed, so
//! there is never a second one of the same name, and `..`, mounts and paths follow from it. The cache is a table in shards, by
//! directory and name; a look-up takes one shard's lock shared, and makes nothing but a reference. It changes together with the
//! file system, whose lock of names is then held ([`Super::names`](crate::Super::names)): shared to add what a look-up has found,
//! exclusively for the rest.
//!
//! Above: `walk`, `names`. Below: [`Node`].

use crate::node::Node;
use core::hash::{BuildHasher, Hasher};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use hashbrown::HashTable;
use lkl_sync::{Mutex, Rank, RwLock};
use std::collections::hash_map::RandomState;
use std::sync::Arc;

const SHARDS: usize = 32;
/// How many entries are looked at for one that can go, with each that comes too many.
const STEPS: usize = 8;

/// A file under one of its names.
pub struct Dentry {
    /// Unique in a kernel.
    id: u64,
    node: Arc<Node>,
    link: Mutex<Link>,
    gone: AtomicBool,
    linkable: AtomicBool,
    mounts: AtomicU32,
}

/// Where a dentry is.
#[derive(Clone)]
pub(crate) struct Link {
    /// `None` for the root of a file system.
    pub(crate) parent: Option<Arc<Dentry>>,
    pub(crate) name: Arc<[u8]>,
}

impl Dentry {
    fn new(id: u64, node: Arc<Node>, parent: Option<Arc<Dentry>>, name: Arc<[u8]>) -> Arc<Self> {
        Arc::new(Self {
            id,
            node,
            link: Mutex::new(Rank::Leaf, Link { parent, name }),
            gone: AtomicBool::new(false),
            linkable: AtomicBool::new(false),
            mounts: AtomicU32::new(0),
        })
    }

    /// The file.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The directory that it is in, or was in when its name was removed; `None` for the root of a file system.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.link.lock().parent.clone()
    }

    /// Its name in that directory.
    pub fn name(&self) -> Arc<[u8]> {
        self.link.lock().name.clone()
    }

    pub(crate) fn link(&self) -> Link {
        self.link.lock().clone()
    }

    /// Has its name been removed?
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Is `other` this one, or somewhere below it? The tree must not change meanwhile.
    pub(crate) fn is_above(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Some(other.clone());
        while let Some(d) = at {
            if Arc::ptr_eq(&d, self) {
                return true;
            }
            at = d.parent();
        }
        false
    }

    /// May it be given a name again (`O_TMPFILE`)?
    pub(crate) fn is_linkable(&self) -> bool {
        self.linkable.load(Ordering::Acquire)
    }

    /// What it is called where a path of it is shown, as long as it has no name.
    pub(crate) fn call(&self, name: &[u8]) {
        self.link.lock().name = Arc::from(name);
    }

    /// It has been given one.
    pub(crate) fn has_been_linked(&self) {
        self.linkable.store(false, Ordering::Release);
    }

    /// How many mounts are on it.
    pub(crate) fn mounts(&self) -> &AtomicU32 {
        &self.mounts
    }

    /// Is anything mounted on it?
    pub(crate) fn is_mount_point(&self) -> bool {
        self.mounts.load(Ordering::Acquire) > 0
    }

    /// Gives it another place; answers the old one, to be dropped when no lock is held.
    fn relink(&self, new: Link) -> Link {
        core::mem::replace(&mut *self.link.lock(), new)
    }
}

impl Drop for Dentry {
    fn drop(&mut self) {
        // One after the other: a tree may be deeper than the stack.
        let mut next = self.link.get_mut().parent.take();
        while let Some(mut parent) = next.and_then(Arc::into_inner) {
            next = parent.link.get_mut().parent.take();
        }
    }
}

/// What is known of a name.
struct Entry {
    hash: u64,
    dir: u64,
    name: Arc<[u8]>,
    dev: u64,
    /// `None`: there is no such file.
    dentry: Option<Arc<Dentry>>,
    /// Looked up since the hand was here.
    used: AtomicBool,
}

impl Entry {
    fn can_go(&self) -> bool {
        self.dentry.as_ref().is_none_or(|d| Arc::strong_count(d) == 1)
    }
}

#[derive(Default)]
struct Shard {
    index: HashTable<u32>,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    hand: usize,
}

impl Shard {
    fn find(&self, hash: u64, dir: u64, name: &[u8]) -> Option<&Entry> {
        let is_it = |at: &u32| self.at(*at).is_some_and(|e| e.dir == dir && *e.name == *name);
        self.index.find(hash, is_it).and_then(|at| self.at(*at))
    }

    fn at(&self, at: u32) -> Option<&Entry> {
        self.slots.get(at as usize).and_then(Option::as_ref)
    }

    fn remove(&mut self, hash: u64, dir: u64, name: &[u8]) -> Option<Entry> {
        let Self { index, slots, free, .. } = self;
        let is_it = |at: &u32| {
            slots.get(*at as usize).and_then(Option::as_ref).is_some_and(|e| e.dir == dir && *e.name == *name)
        };
        let (at, _) = index.find_entry(hash, is_it).ok()?.remove();
        free.push(at);
        slots.get_mut(at as usize)?.take()
    }

    fn insert(&mut self, entry: Entry) {
        let hash = entry.hash;
        let at = match self.free.pop() {
            Some(at) => {
                if let Some(slot) = self.slots.get_mut(at as usize) {
                    *slot = Some(entry);
                }
                at
            }
            None => {
                self.slots.push(Some(entry));
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, at, |at| slots.get(*at as usize).and_then(Option::as_ref).map_or(0, |e| e.hash));
    }

    /// Takes out an entry that has not been used for a while, if there is one nearby.
    fn evict(&mut self) -> Option<Entry> {
        for _ in 0..STEPS {
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let Some(entry) = self.slots.get(self.hand).and_then(Option::as_ref) else { continue };
            if !entry.used.swap(false, Ordering::Relaxed) && entry.can_go() {
                let (hash, dir, name) = (entry.hash, entry.dir, entry.name.clone());
                return self.remove(hash, dir, &name);
            }
        }
        None
    }

    /// Takes out all entries that `which` names.
    fn take(&mut self, which: impl Fn(&Entry) -> bool, out: &mut Vec<Entry>) {
        for at in 0..self.slots.len() {
            let Some(entry) = self.slots.get(at).and_then(Option::as_ref).filter(|e| which(e)) else { continue };
            let (hash, dir, name) = (entry.hash, entry.dir, entry.name.clone());
            out.extend(self.remove(hash, dir, &name));
        }
    }
}

/// The names that are known in a kernel.
pub(crate) struct Dcache {
    shards: Vec<RwLock<Shard>>,
    hasher: RandomState,
    next_id: AtomicU64,
    /// Most entries of one shard, unless more are in use.
    shard_max: usize,
}

impl Dcache {
    /// For about so many names.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::new(Rank::Dentries, Shard::default())).collect(),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(1),
            shard_max: (max / SHARDS).max(16),
        }
    }

    fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The root of a file system.
    pub(crate) fn root(&self, node: Arc<Node>) -> Arc<Dentry> {
        Dentry::new(self.new_id(), node, None, Arc::from(&b"/"[..]))
    }

    /// A file that has no name in `dir`.
    pub(crate) fn unnamed(&self, dir: &Arc<Dentry>, node: Arc<Node>, linkable: bool) -> Arc<Dentry> {
        let name = format!("#{}", node.ino());
        let dentry = Dentry::new(self.new_id(), node, Some(dir.clone()), Arc::from(name.as_bytes()));
        dentry.gone.store(true, Ordering::Release);
        dentry.linkable.store(linkable, Ordering::Release);
        dentry
    }

    fn hash(&self, dir: u64, name: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(dir);
        hasher.write(name);
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The table itself uses the lowest and the highest bits.
        let at = (hash >> 40) as usize % SHARDS;
        self.shards.get(at).unwrap_or_else(|| unreachable!("there are {SHARDS} shards"))
    }

    /// What is known of a name: a file, that there is none (`Some(None)`), or nothing.
    pub(crate) fn find(&self, dir: &Dentry, name: &[u8]) -> Option<Option<Arc<Dentry>>> {
        let hash = self.hash(dir.id, name);
        let shard = self.shard(hash).read();
        let entry = shard.find(hash, dir.id, name)?;
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry.dentry.clone())
    }

    /// Keeps what a look-up has found, or what was made. Answers the dentry that is there now.
    pub(crate) fn insert(&self, dir: &Arc<Dentry>, name: &[u8], node: Option<Arc<Node>>) -> Option<Arc<Dentry>> {
        let hash = self.hash(dir.id, name);
        let mut shard = self.shard(hash).write();
        if let Some(known) = shard.find(hash, dir.id, name) {
            if known.dentry.is_some() || node.is_none() {
                return known.dentry.clone();
            }
        }
        let old = shard.remove(hash, dir.id, name);
        let name: Arc<[u8]> = old.map_or_else(|| Arc::from(name), |e| e.name);
        let dentry = node.map(|node| Dentry::new(self.new_id(), node, Some(dir.clone()), name.clone()));
        let made = dentry.clone();
        let dev = dir.node.sb().dev();
        shard.insert(Entry { hash, dir: dir.id, name, dev, dentry, used: AtomicBool::new(false) });
        let evicted = if shard.index.len() > self.shard_max { shard.evict() } else { None };
        drop(shard);
        drop(evicted);
        made
    }

    /// A name is not what it was: what is known of it is forgotten.
    pub(crate) fn forget(&self, dir: &Dentry, name: &[u8]) {
        let hash = self.hash(dir.id, name);
        let old = self.shard(hash).write().remove(hash, dir.id, name);
        if let Some(dentry) = old.and_then(|e| e.dentry) {
            dentry.gone.store(true, Ordering::Release);
        }
    }

    /// A name has been removed.
    pub(crate) fn removed(&self, dir: &Arc<Dentry>, name: &[u8]) {
        self.forget(dir, name);
        self.insert(dir, name, None);
    }

    /// What has been `dentry` is `name` in `dir` now; what was there before is gone. The old name is forgotten.
    pub(crate) fn moved(&self, dentry: &Arc<Dentry>, dir: &Arc<Dentry>, name: &[u8]) {
        self.forget(dir, name);
        self.take_out(dentry);
        self.put(dentry, dir, name);
    }

    /// Two files have changed places.
    pub(crate) fn exchanged(&self, a: &Arc<Dentry>, b: &Arc<Dentry>) {
        let (at_a, at_b) = (self.take_out(a), self.take_out(b));
        if let (Some(a_dir), Some(b_dir)) = (&at_a.parent, &at_b.parent) {
            self.put(a, b_dir, &at_b.name);
            self.put(b, a_dir, &at_a.name);
        }
    }

    fn take_out(&self, dentry: &Arc<Dentry>) -> Link {
        let link = dentry.link();
        if let Some(dir) = &link.parent {
            let hash = self.hash(dir.id, &link.name);
            let old = self.shard(hash).write().remove(hash, dir.id, &link.name);
            drop(old);
        }
        link
    }

    fn put(&self, dentry: &Arc<Dentry>, dir: &Arc<Dentry>, name: &[u8]) {
        let name: Arc<[u8]> = Arc::from(name);
        let hash = self.hash(dir.id, &name);
        let old = dentry.relink(Link { parent: Some(dir.clone()), name: name.clone() });
        let dev = dir.node.sb().dev();
        let entry = Entry { hash, dir: dir.id, name, dev, dentry: Some(dentry.clone()), used: AtomicBool::new(true) };
        let before = {
            let mut shard = self.shard(hash).write();
            let before = shard.remove(hash, dir.id, &entry.name);
            shard.insert(entry);
            before
        };
        drop((old, before));
    }

    /// Forgets all names of a file system, which nobody uses.
    pub(crate) fn purge(&self, dev: u64) {
        for shard in &self.shards {
            let mut out = Vec::new();
            shard.write().take(|e| e.dev == dev, &mut out);
        }
    }

    /// Forgets all names that nobody uses.
    pub(crate) fn shrink(&self) {
        let mut out = Vec::new();
        for shard in &self.shards {
            shard.write().take(Entry::can_go, &mut out);
        }
        for dentry in out.into_iter().filter_map(|e| e.dentry) {
            // With the last file in a directory that directory can go.
            let mut next = dentry.parent();
            drop(dentry);
            while let Some(dir) = next.take_if(|dir| self.take_unused(dir)) {
                next = dir.parent();
            }
        }
    }

    /// Takes a dentry out that only the caller uses. Answers whether it did.
    fn take_unused(&self, dentry: &Arc<Dentry>) -> bool {
        let link = dentry.link();
        let Some(dir) = &link.parent else { return false };
        let hash = self.hash(dir.id, &link.name);
        let mut shard = self.shard(hash).write();
        let is_it = shard.find(hash, dir.id, &link.name).and_then(|e| e.dentry.as_ref());
        if !is_it.is_some_and(|d| Arc::ptr_eq(d, dentry) && Arc::strong_count(d) == 2) {
            return false;
        }
        let entry = shard.remove(hash, dir.id, &link.name);
        drop(shard);
        drop(entry);
        true
    }

    /// How many names are known.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|s| s.read().index.len()).sum()
    }
}

#[cfg(test)]
mod tests;
