//! The whole of it: one value for each kernel.
//!
//! Its methods are where they belong: `walk`, `open`, `names`, `rename`, `attrs`, `xattr`, `mounting`.

use crate::cred::{Cred, WRITE};
use crate::dentry::Dcache;
use crate::env::{Env, Limits};
use crate::fs::{Attr, FileSystem, InodeKind, MountOptions};
use crate::mount::{Live, Mount, Mounts, Place};
use crate::mounting::Device;
use crate::node::Node;
use crate::protect::Protections;
use crate::sb::Super;
use crate::tmpfs::Tmpfs;
use crate::walk::Context;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use lkl_abi::mount::{MS_NOEXEC, MS_RELATIME};
use lkl_abi::stat::{STATX_ATTR_APPEND, STATX_ATTR_IMMUTABLE};
use lkl_abi::{Errno, Result};
use lkl_ops::{Host, Instant};
use lkl_sync::{Mutex, Rank, RwLock};
use std::sync::Arc;

/// One known name, which takes about 1.3 KiB with its file, is kept for that many bytes of memory.
const MEMORY_PER_NAME: u64 = 8 << 10;

/// `fs.lease-break-time`, at first.
const LEASE_BREAK_SECS: u32 = 45;

/// The file systems of a kernel, and how names lead to their files.
pub struct Vfs {
    env: Arc<Env>,
    cache: Arc<Dcache>,
    root: Place,
    mounts: RwLock<Mounts>,
    types: Mutex<Vec<Arc<dyn FileSystem>>>,
    devices: Mutex<Vec<Device>>,
    next_mount: AtomicU64,
    next_file: AtomicU64,
    moves: AtomicU64,
    protections: Protections,
    /// How long one who has a lease may take to let it go, in seconds; 0 for ever.
    lease_break_secs: AtomicU32,
}

/// Where a place is, as a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlacePath {
    /// From the root, with a slash in front. Of what is not reachable from it: from the root of its own mount.
    pub path: Vec<u8>,
    /// Is it reachable from the root?
    pub reachable: bool,
    /// Has its name been removed?
    pub deleted: bool,
}

impl Vfs {
    /// With a `tmpfs` as its root; `tmpfs` and `ramfs` are known.
    ///
    /// # Errors
    /// None that is to be expected.
    pub fn new(host: Arc<dyn Host>, limits: Limits) -> Result<Arc<Self>> {
        let vfs = Self::with_root(host, limits, Arc::new(Tmpfs::new(&limits)))?;
        vfs.register(Arc::new(Tmpfs::ramfs(&limits)));
        Ok(vfs)
    }

    /// With the root in `root`, a file system that needs no device; it is registered.
    ///
    /// # Errors
    /// Those of [`FileSystem::mount`].
    pub fn with_root(host: Arc<dyn Host>, limits: Limits, root: Arc<dyn FileSystem>) -> Result<Arc<Self>> {
        let env = Env::new(host, limits);
        let names = usize::try_from(env.limits().memory / MEMORY_PER_NAME).unwrap_or(usize::MAX);
        let cache = Arc::new(Dcache::new(names));
        let raw = root.mount(&mount_options(&env))?;
        let sb = Super::new(&env, &root, raw, b"rootfs".to_vec(), false);
        let live = Live::new(sb, &cache, None, false)?;
        let top = live.root()?;
        let mount = Mount::new(1, live, top, MS_RELATIME);
        Ok(Arc::new(Self {
            env,
            cache,
            root: Place::root_of(&mount),
            mounts: RwLock::new(Rank::Mounts, Mounts::default()),
            types: Mutex::new(Rank::Leaf, vec![root]),
            devices: Mutex::new(Rank::Leaf, Vec::new()),
            next_mount: AtomicU64::new(2),
            next_file: AtomicU64::new(1),
            moves: AtomicU64::new(0),
            protections: Protections::default(),
            lease_break_secs: AtomicU32::new(LEASE_BREAK_SECS),
        }))
    }

    /// What the file systems share.
    pub fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// What of it is protected (`fs.protected_*`).
    pub fn protections(&self) -> &Protections {
        &self.protections
    }

    /// How long one who has a lease may take to let it go, in seconds (`fs.lease-break-time`); 0 for ever.
    pub fn lease_break_secs(&self) -> &AtomicU32 {
        &self.lease_break_secs
    }

    /// The root of all.
    pub fn root(&self) -> Place {
        self.root.clone()
    }

    /// Makes a type of file system known. One of the same name is replaced.
    pub fn register(&self, fs: Arc<dyn FileSystem>) {
        let mut types = self.types.lock();
        types.retain(|t| t.name() != fs.name());
        types.push(fs);
    }

    /// The types of file systems that are known.
    pub fn file_systems(&self) -> Vec<Arc<dyn FileSystem>> {
        self.types.lock().clone()
    }

    /// Makes durable what was changed in any file system (`man 2 sync`).
    ///
    /// # Errors
    /// The first one of [`Super::sync`]; the others are synced all the same.
    pub fn sync(&self) -> Result<()> {
        self.env.supers().iter().map(Super::sync).fold(Ok(()), Result::and)
    }

    /// [`Env::service`]
    pub fn service(&self, now: Instant) -> Option<Instant> {
        self.env.service(now)
    }

    /// Lets go of all memory that is only kept in case somebody comes again (`/proc/sys/vm/drop_caches`).
    pub fn drop_caches(&self) {
        self.cache.shrink();
        self.env.drop_caches();
    }

    /// How many names are known.
    pub fn cached_names(&self) -> usize {
        self.cache.len()
    }

    pub(crate) fn cache(&self) -> &Arc<Dcache> {
        &self.cache
    }

    pub(crate) fn mounts(&self) -> &RwLock<Mounts> {
        &self.mounts
    }

    pub(crate) fn devices(&self) -> &Mutex<Vec<Device>> {
        &self.devices
    }

    pub(crate) fn new_mount_id(&self) -> u64 {
        self.next_mount.fetch_add(1, Ordering::Relaxed)
    }

    /// A number for an open file.
    pub(crate) fn new_file_id(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes with each directory or mount that is moved.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// A directory or mount is going to be moved, or has been.
    pub(crate) fn count_move(&self) {
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// What is mounted on a place.
    pub(crate) fn mounted_on(&self, place: &Place) -> Option<Arc<Mount>> {
        self.mounts.read().on(place).cloned()
    }

    /// What a file system is mounted with, before anything that is asked for.
    pub(crate) fn mount_options(&self) -> MountOptions {
        mount_options(&self.env)
    }

    /// The path of a place, as seen from `root` (`man 2 getcwd`, `/proc/PID/fd`).
    pub fn path_of(&self, place: &Place, root: &Place) -> PlacePath {
        let (mut at, mut names) = (place.clone(), Vec::new());
        let deleted = at.dentry.is_gone();
        let reachable = loop {
            if at == *root {
                break true;
            }
            // A name above may have been removed, too: the path says where it was.
            let names_lock = at.mount.sb().clone();
            let _names = names_lock.names().read();
            let (mut dentry, mut above) = (at.dentry.clone(), false);
            while !Arc::ptr_eq(&dentry, at.mount.root()) {
                let link = dentry.link();
                let Some(parent) = link.parent else { break };
                names.push(link.name);
                dentry = parent;
                if *root == (Place { dentry: dentry.clone(), mount: at.mount.clone() }) {
                    above = true;
                    break;
                }
            }
            if above {
                break true;
            }
            // It may have been moved out of the part that the mount shows.
            if !Arc::ptr_eq(&dentry, at.mount.root()) {
                break false;
            }
            let Some(place) = at.mount.place() else { break false };
            drop(_names);
            at = place;
        };
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        PlacePath { path, reachable, deleted }
    }

    /// May one do `want` with a file ([`READ`](crate::cred::READ) and the like; 0: anything at all)? As `access` and `faccessat` ask.
    ///
    /// # Errors
    /// `EACCES`, `EROFS`, `EPERM`
    pub fn access(&self, ctx: &Context<'_>, place: &Place, want: u32) -> Result<()> {
        let kind = place.kind();
        if want & crate::cred::EXEC != 0 && kind == InodeKind::Regular && place.mount_flags() & MS_NOEXEC != 0 {
            return Err(Errno::EACCES);
        }
        permission(ctx.cred, place.node(), want)?;
        if want & WRITE != 0 && has_content(kind) && place.mount.read_only() {
            return Err(Errno::EROFS);
        }
        Ok(())
    }
}

/// Does a change of its content change the file system? Not of what is only a name of something else.
pub(crate) fn has_content(kind: InodeKind) -> bool {
    matches!(kind, InodeKind::Regular | InodeKind::Directory | InodeKind::Symlink)
}

pub(crate) fn is_immutable(attr: &Attr) -> bool {
    attr.attributes & STATX_ATTR_IMMUTABLE != 0
}

pub(crate) fn is_append_only(attr: &Attr) -> bool {
    attr.attributes & STATX_ATTR_APPEND != 0
}

/// May one do `want` with a file?
///
/// # Errors
/// `EROFS`, `EPERM` for one that may not be changed at all; `EACCES`
pub(crate) fn permission(cred: &Cred, node: &Node, want: u32) -> Result<()> {
    let inode = node.inode();
    let attr = inode.attr();
    if want & WRITE != 0 {
        if has_content(attr.kind) && node.sb().read_only() {
            return Err(Errno::EROFS);
        }
        if is_immutable(&attr) {
            return Err(Errno::EPERM);
        }
    }
    cred.check(&**inode, &attr, want)
}

fn mount_options(env: &Arc<Env>) -> MountOptions {
    let mut seed = [0; 16];
    env.host().random(&mut seed);
    MountOptions { memory: Some(env.metadata().clone()), now: env.now(), seed, ..MountOptions::default() }
}
