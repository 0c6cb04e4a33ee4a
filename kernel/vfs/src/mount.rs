//! Mounts, and places in them.
//!
//! A [`Mount`] shows a file system, or part of it, at a place; a [`Place`] is a dentry as it is seen through a mount: what a path leads
//! to, what a descriptor holds. The file system itself (`Live`) ends with the last mount of it. What mounts are where
//! is in the [`Mounts`] of the [`Vfs`](crate::Vfs).
//!
//! Beside: `dentry`, `mounting` (mount and umount). Below: [`Super`].

use crate::dentry::{Dcache, Dentry};
use crate::fs::{Attr, InodeKind};
use crate::node::Node;
use crate::sb::Super;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use lkl_abi::limits::NAME_MAX;
use lkl_abi::mount::{
    MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_NOSYMFOLLOW, MS_RDONLY, MS_RELATIME, MS_STRICTATIME,
};
use lkl_abi::stat::{
    from_dev_t, Stat, STATX_ATTR_APPEND, STATX_ATTR_AUTOMOUNT, STATX_ATTR_COMPRESSED, STATX_ATTR_DAX,
    STATX_ATTR_ENCRYPTED, STATX_ATTR_IMMUTABLE, STATX_ATTR_MOUNT_ROOT, STATX_ATTR_NODUMP, STATX_ATTR_VERITY,
};
use lkl_abi::statfs::{
    Statfs, ST_NOATIME, ST_NODEV, ST_NODIRATIME, ST_NOEXEC, ST_NOSUID, ST_NOSYMFOLLOW, ST_RDONLY, ST_RELATIME,
    ST_SYNCHRONOUS, ST_VALID,
};
use lkl_abi::{Errno, Result};
use lkl_block::BlockDevice;
use lkl_sync::{Mutex, Rank};
use std::collections::HashMap;
use std::sync::Arc;

/// The flags that a mount has of its own; all others are the file system's.
pub(crate) const MOUNT_FLAGS: u64 = MS_RDONLY
    | MS_NOSUID
    | MS_NODEV
    | MS_NOEXEC
    | MS_NOATIME
    | MS_NODIRATIME
    | MS_RELATIME
    | MS_STRICTATIME
    | MS_NOSYMFOLLOW;

/// A file system that is mounted, and what all its mounts share.
pub(crate) struct Live {
    sb: Arc<Super>,
    cache: Arc<Dcache>,
    root: Mutex<Option<Arc<Dentry>>>,
    /// Changes under way, and files that are open for writing.
    writers: AtomicUsize,
    /// Most links to one file; 0 for no limit.
    link_max: u32,
    pub(crate) synchronous: AtomicBool,
    device: Option<Arc<BlockDevice>>,
    /// It is gone from its device.
    ended: Arc<AtomicBool>,
}

impl Live {
    /// # Errors
    /// Those of reading the root.
    pub(crate) fn new(
        sb: Arc<Super>,
        cache: &Arc<Dcache>,
        device: Option<Arc<BlockDevice>>,
        synchronous: bool,
    ) -> Result<Arc<Self>> {
        let root = cache.root(sb.root()?);
        let link_max = sb.statfs().map_or(0, |s| s.link_max);
        let root = Mutex::new(Rank::Leaf, Some(root));
        let (writers, synchronous) = (AtomicUsize::new(0), AtomicBool::new(synchronous));
        let (cache, ended) = (cache.clone(), Arc::new(AtomicBool::new(false)));
        Ok(Arc::new(Self { sb, cache, root, writers, link_max, synchronous, device, ended }))
    }

    pub(crate) fn device(&self) -> Option<&Arc<BlockDevice>> {
        self.device.as_ref()
    }

    pub(crate) fn ended(&self) -> &Arc<AtomicBool> {
        &self.ended
    }

    pub(crate) fn sb(&self) -> &Arc<Super> {
        &self.sb
    }

    pub(crate) fn link_max(&self) -> u32 {
        self.link_max
    }

    /// # Errors
    /// `ESTALE` if it has ended.
    pub(crate) fn root(&self) -> Result<Arc<Dentry>> {
        self.root.lock().clone().ok_or(Errno::ESTALE)
    }

    /// Ends it: when this answers `Ok`, it is clean on its medium.
    ///
    /// # Errors
    /// `EBUSY` if a file is used (nothing has changed then); `EIO`, `ENOSPC`: it is gone all the same.
    pub(crate) fn end(&self) -> Result<()> {
        if self.sb.is_gone() {
            return Ok(());
        }
        let root = self.root.lock().take();
        drop(root);
        let mut result = Err(Errno::EBUSY);
        for _ in 0..64 {
            self.cache.purge(self.sb.dev());
            // Write-back may be at work on a file; who syncs waits for it.
            result = self.sb.unmount();
            if result != Err(Errno::EBUSY) {
                self.ended.store(true, SeqCst);
                return result;
            }
            std::thread::yield_now();
        }
        *self.root.lock() = self.sb.root().ok().map(|node| self.cache.root(node));
        result
    }

    /// Is anything being changed, or open for writing?
    pub(crate) fn is_written(&self) -> bool {
        self.writers.load(SeqCst) > 0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(target: "lkl::vfs", %error, "the end of {}", String::from_utf8_lossy(self.sb.source()));
        }
    }
}

/// A file system, or part of it, at a place.
pub struct Mount {
    id: u64,
    /// Where it is; `None` for the root, and for one that has been taken away.
    place: Mutex<Option<Place>>,
    root: Arc<Dentry>,
    flags: AtomicU64,
    unbindable: AtomicBool,
    writers: AtomicUsize,
    /// `MNT_EXPIRE` has been asked for, and nobody has used it since.
    expiring: AtomicBool,
    /// The last member: the others must be gone when the file system ends.
    live: Arc<Live>,
}

impl Mount {
    pub(crate) fn new(id: u64, live: Arc<Live>, root: Arc<Dentry>, flags: u64) -> Arc<Self> {
        Arc::new(Self {
            id,
            place: Mutex::new(Rank::Leaf, None),
            root,
            flags: AtomicU64::new(flags & MOUNT_FLAGS),
            unbindable: AtomicBool::new(false),
            writers: AtomicUsize::new(0),
            expiring: AtomicBool::new(false),
            live,
        })
    }

    /// Unique in a kernel (`STATX_MNT_ID`).
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The file system.
    pub fn sb(&self) -> &Arc<Super> {
        &self.live.sb
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The file system, when the mount is gone for good.
    pub(crate) fn into_live(self: Arc<Self>) -> Option<Arc<Live>> {
        Arc::into_inner(self).map(|mount| mount.live)
    }

    pub(crate) fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// `MS_RDONLY`, `MS_NOSUID` and the like.
    pub fn flags(&self) -> u64 {
        self.flags.load(SeqCst)
    }

    pub(crate) fn set_flags(&self, flags: u64) {
        self.flags.store(flags & MOUNT_FLAGS, SeqCst);
    }

    pub(crate) fn unbindable(&self) -> &AtomicBool {
        &self.unbindable
    }

    /// Where it is mounted.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place.lock().clone()
    }

    pub(crate) fn set_place(&self, place: Option<Place>) -> Option<Place> {
        core::mem::replace(&mut *self.place.lock(), place)
    }

    pub(crate) fn is_written(&self) -> bool {
        self.writers.load(SeqCst) > 0
    }

    /// Somebody uses it.
    pub(crate) fn used(&self) {
        if self.expiring.load(SeqCst) {
            self.expiring.store(false, SeqCst);
        }
    }

    /// Answers whether this was asked for before, and nobody has used it since.
    pub(crate) fn expire(&self) -> bool {
        self.expiring.swap(true, SeqCst)
    }

    /// Are changes refused?
    pub(crate) fn read_only(&self) -> bool {
        self.flags() & MS_RDONLY != 0 || self.sb().read_only()
    }

    /// Leave to change something of the file system, until it is dropped.
    ///
    /// # Errors
    /// `EROFS`
    pub(crate) fn write_access(self: &Arc<Self>) -> Result<WriteAccess> {
        self.writers.fetch_add(1, SeqCst);
        self.live.writers.fetch_add(1, SeqCst);
        let access = WriteAccess(self.clone());
        if self.read_only() {
            return Err(Errno::EROFS);
        }
        Ok(access)
    }
}

/// Leave to change something; a mount does not become read-only meanwhile.
pub(crate) struct WriteAccess(Arc<Mount>);

impl Drop for WriteAccess {
    fn drop(&mut self) {
        self.0.writers.fetch_sub(1, SeqCst);
        self.0.live.writers.fetch_sub(1, SeqCst);
    }
}

/// A file as a path leads to it: a name, seen through a mount.
#[derive(Clone)]
pub struct Place {
    /// The name. Before the mount: a file system ends with its last mount, and no file may be in use then.
    pub dentry: Arc<Dentry>,
    /// The mount.
    pub mount: Arc<Mount>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }
}

impl Place {
    pub(crate) fn root_of(mount: &Arc<Mount>) -> Self {
        Self { mount: mount.clone(), dentry: mount.root.clone() }
    }

    /// The file.
    pub fn node(&self) -> &Arc<Node> {
        self.dentry.node()
    }

    /// Its type.
    pub fn kind(&self) -> InodeKind {
        self.node().kind()
    }

    /// Is it a directory?
    pub fn is_dir(&self) -> bool {
        self.kind() == InodeKind::Directory
    }

    /// Its attributes.
    pub fn attr(&self) -> Attr {
        self.node().attr()
    }

    /// Flags of the mount: `MS_RDONLY`, `MS_NOEXEC` and the like.
    pub fn mount_flags(&self) -> u64 {
        self.mount.flags()
    }

    /// Is it the root of a mount?
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, &self.mount.root)
    }

    /// Where the symbolic link leads.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    pub fn read_link(&self) -> Result<Vec<u8>> {
        if self.kind() != InodeKind::Symlink {
            return Err(Errno::EINVAL);
        }
        self.touch_atime();
        self.node().inode().read_link()
    }

    /// What `stat` and `statx` tell.
    pub fn stat(&self) -> Stat {
        self.stat_as(&self.attr(), if self.is_mount_root() { STATX_ATTR_MOUNT_ROOT } else { 0 })
    }

    /// The same of a file of this mount with such attributes, and more `STATX_ATTR_*`.
    pub fn stat_as(&self, attr: &Attr, more: u64) -> Stat {
        Stat {
            dev: from_dev_t(self.mount.sb().dev()),
            ino: attr.ino,
            mode: attr.kind.mode() | attr.mode,
            nlink: attr.nlink,
            uid: attr.uid,
            gid: attr.gid,
            rdev: attr.rdev,
            size: attr.size,
            blksize: attr.blksize,
            blocks: attr.blocks,
            atime: (attr.atime.secs, attr.atime.nanos),
            mtime: (attr.mtime.secs, attr.mtime.nanos),
            ctime: (attr.ctime.secs, attr.ctime.nanos),
            btime: attr.btime.map(|t| (t.secs, t.nanos)),
            attributes: attr.attributes | more,
            attributes_mask: STATX_ATTR_IMMUTABLE
                | STATX_ATTR_APPEND
                | STATX_ATTR_NODUMP
                | STATX_ATTR_COMPRESSED
                | STATX_ATTR_ENCRYPTED
                | STATX_ATTR_AUTOMOUNT
                | STATX_ATTR_MOUNT_ROOT
                | STATX_ATTR_VERITY
                | STATX_ATTR_DAX,
            mnt_id: Some(self.mount.id),
            direct_alignment: 0,
        }
    }

    /// What `statfs` tells.
    ///
    /// # Errors
    /// `EIO`
    pub fn statfs(&self) -> Result<Statfs> {
        let s = self.mount.sb().statfs()?;
        let mount = self.mount.flags();
        let mut flags = ST_VALID;
        let pairs = [
            (MS_NOSUID, ST_NOSUID),
            (MS_NODEV, ST_NODEV),
            (MS_NOEXEC, ST_NOEXEC),
            (MS_NOATIME, ST_NOATIME),
            (MS_NODIRATIME, ST_NODIRATIME),
            (MS_RELATIME, ST_RELATIME),
            (MS_NOSYMFOLLOW, ST_NOSYMFOLLOW),
        ];
        for (ms, st) in pairs {
            if mount & ms != 0 {
                flags |= st;
            }
        }
        if self.mount.read_only() {
            flags |= ST_RDONLY;
        }
        if self.mount.live.synchronous.load(SeqCst) {
            flags |= ST_SYNCHRONOUS;
        }
        Ok(Statfs {
            kind: s.magic,
            bsize: u64::from(s.block_size),
            blocks: s.blocks,
            bfree: s.blocks_free,
            bavail: s.blocks_available,
            files: s.files,
            ffree: s.files_free,
            fsid: s.fsid,
            namelen: NAME_MAX as u64,
            frsize: u64::from(s.block_size),
            flags,
        })
    }

    /// Its content has been read.
    pub(crate) fn touch_atime(&self) {
        let flags = self.mount.flags();
        if flags & (MS_NOATIME | MS_RDONLY) == 0 && !(self.is_dir() && flags & MS_NODIRATIME != 0) {
            self.node().touch_atime(flags & MS_STRICTATIME != 0);
        }
    }
}

impl core::fmt::Debug for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Place(mount {}, inode {})", self.mount.id, self.node().ino())
    }
}

/// What is mounted where: by mount and dentry.
#[derive(Default)]
pub(crate) struct Mounts {
    at: HashMap<(u64, u64), Arc<Mount>>,
}

impl Mounts {
    pub(crate) fn on(&self, place: &Place) -> Option<&Arc<Mount>> {
        self.at.get(&(place.mount.id, place.dentry.id()))
    }

    /// All of them, in the order in which they were made.
    pub(crate) fn all(&self) -> Vec<&Arc<Mount>> {
        let mut all: Vec<_> = self.at.values().collect();
        all.sort_unstable_by_key(|m| m.id);
        all
    }

    /// Those that are mounted on places of `mount`.
    pub(crate) fn children(&self, mount: &Mount) -> Vec<Arc<Mount>> {
        let mut children: Vec<_> =
            self.at.iter().filter(|((id, _), _)| *id == mount.id).map(|(_, m)| m.clone()).collect();
        children.sort_unstable_by_key(|m| m.id);
        children
    }

    /// Puts a mount on a place where nothing is mounted.
    pub(crate) fn attach(&mut self, mount: Arc<Mount>, place: Place) {
        place.dentry.mounts().fetch_add(1, SeqCst);
        self.at.insert((place.mount.id, place.dentry.id()), mount.clone());
        // It has no place, so none is dropped under the lock.
        mount.set_place(Some(place));
    }

    /// Takes a mount away. Answers its place, to be dropped when no lock is held; the caller has a reference to the mount.
    pub(crate) fn detach(&mut self, mount: &Arc<Mount>) -> Option<Place> {
        let place = mount.set_place(None)?;
        self.at.remove(&(place.mount.id, place.dentry.id()));
        place.dentry.mounts().fetch_sub(1, SeqCst);
        Some(place)
    }
}
