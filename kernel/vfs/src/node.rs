//! A file: its inode, its pages, its locks, and what of its attributes is not in the file system yet.
//!
//! * `io`: reading and writing, between a program's memory and the pages (or the inode, where there are none).
//! * `around`: the same past the pages.
//! * `range`: length, holes, `fallocate`.
//! * `flush`: write-back and `fsync`.
//!
//! The file's own lock ([`Rank::FileData`]) is taken here, as the contract of [`Inode`] says. Times that change with each read and write
//! wait in memory ([`Late`]) and come to the inode with the next write-back or the next change of attributes.
//!
//! Above: whoever has a file by path or by descriptor. Below: [`Super`] (which file is which), `pages`, [`Inode`].

mod around;
mod flush;
mod io;
mod range;

pub use io::At;

use crate::cred::Cred;
use crate::env::Env;
use crate::errseq::{ErrorMark, Errors};
use crate::fs::{Attr, ChangeAttr, Data, FileFlags, Inode, InodeKind, Timestamp, XattrSet};
use crate::leases::Leases;
use crate::locks::Locks;
use crate::pages::Pages;
use crate::sb::Super;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use lkl_abi::{Errno, Result};
use lkl_sync::{Mutex, Rank, RwLock};
use std::sync::Arc;

/// An access time older than that is brought up to date (`relatime`), in seconds.
const RELATIME: i64 = 24 * 3600;
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o010;
/// The attribute that says which capabilities a program has that is started from the file (`man 7 capabilities`).
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Times that the inode does not have yet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Late {
    atime: Option<Timestamp>,
    mtime: Option<Timestamp>,
    ctime: Option<Timestamp>,
}

/// What a file is made of: all of it that stays while nobody uses it.
pub(crate) struct Core {
    env: Arc<Env>,
    inode: Arc<dyn Inode>,
    ino: u64,
    kind: InodeKind,
    /// Does its content go through `pages`?
    cached: bool,
    /// Of a cached file: its length, as programs see it. Changes with the lock of data held exclusively.
    size: AtomicU64,
    /// The file's own lock.
    data: RwLock<()>,
    pages: Arc<Pages>,
    late: Mutex<Late>,
    /// Is it in the superblock's list of dirty files?
    listed: AtomicBool,
    /// Might it have capabilities ([`CAPABILITY`])? Once nobody knows better, it is looked up.
    capable: AtomicBool,
    /// How long what is written to it will live, as somebody has said (`F_SET_RW_HINT`).
    write_hint: AtomicU8,
    errors: Errors,
    told: ErrorMark,
    locks: Locks,
    leases: Leases,
}

impl Core {
    pub(crate) fn new(env: &Arc<Env>, inode: Arc<dyn Inode>) -> Arc<Self> {
        let attr = inode.attr();
        Arc::new(Self {
            env: env.clone(),
            ino: attr.ino,
            kind: attr.kind,
            cached: attr.kind == InodeKind::Regular && inode.data() == Data::Cached,
            size: AtomicU64::new(attr.size),
            inode,
            data: RwLock::new(Rank::FileData, ()),
            pages: Pages::new(env),
            late: Mutex::new(Rank::Leaf, Late::default()),
            listed: AtomicBool::new(false),
            capable: AtomicBool::new(true),
            write_hint: AtomicU8::new(0),
            errors: Errors::default(),
            told: ErrorMark::default(),
            locks: Locks::default(),
            leases: Leases::default(),
        })
    }

    pub(crate) fn ino(&self) -> u64 {
        self.ino
    }

    /// Has it no link any more?
    pub(crate) fn is_removed(&self) -> bool {
        self.inode.attr().nlink == 0
    }

    /// Is there anything that the inode does not have?
    pub(crate) fn is_dirty(&self) -> bool {
        self.listed.load(Ordering::Acquire) || self.pages.is_dirty() || *self.late.lock() != Late::default()
    }

    /// Frees it. Nobody uses it.
    pub(crate) fn evict(&self) {
        self.pages.clear();
        if let Err(error) = self.inode.evict() {
            tracing::error!(target: "lkl::vfs", ino = self.ino, %error, "a removed file could not be freed");
        }
    }
}

/// A file of a mounted file system. One that has no link is freed when its last `Arc` goes: that takes locks of rank
/// [`Rank::Inodes`] and later, so nobody lets one go while he holds such.
pub struct Node {
    sb: Arc<Super>,
    core: Arc<Core>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.sb.released(&self.core);
    }
}

impl Node {
    pub(crate) fn new(sb: Arc<Super>, core: Arc<Core>) -> Self {
        Self { sb, core }
    }

    /// The file system that it is of.
    pub fn sb(&self) -> &Arc<Super> {
        &self.sb
    }

    /// Its number.
    pub fn ino(&self) -> u64 {
        self.core.ino
    }

    /// Its type.
    pub fn kind(&self) -> InodeKind {
        self.core.kind
    }

    /// The file system's own half. Its calls for names are made with [`Super::names`] held, those for data, attributes and extended
    /// attributes by the methods here.
    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.core.inode
    }

    /// Its locks, and whom to wake when one is let go.
    pub fn locks(&self) -> &Locks {
        &self.core.locks
    }

    /// Its leases.
    pub fn leases(&self) -> &Leases {
        &self.core.leases
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        if self.core.cached {
            self.core.size.load(Ordering::Acquire)
        } else {
            self.core.inode.attr().size
        }
    }

    /// Its attributes, as programs see them.
    pub fn attr(&self) -> Attr {
        let core = &*self.core;
        let mut attr = core.inode.attr();
        if core.cached {
            attr.size = core.size.load(Ordering::Acquire);
        }
        let late = *core.late.lock();
        attr.atime = late.atime.unwrap_or(attr.atime);
        attr.mtime = late.mtime.unwrap_or(attr.mtime);
        attr.ctime = late.ctime.map_or(attr.ctime, |t| t.max(attr.ctime));
        attr
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// Those of [`Inode::change`].
    pub fn change(&self, change: &ChangeAttr) -> Result<()> {
        let _data = self.core.data.write();
        self.change_locked(change)
    }

    /// Changes attributes, with the lock of data held. What was late goes along.
    fn change_locked(&self, change: &ChangeAttr) -> Result<()> {
        let core = &*self.core;
        let late = *core.late.lock();
        let mut all = *change;
        all.atime = change.atime.or(late.atime);
        all.mtime = change.mtime.or(late.mtime);
        // A change of names may have given it a later one meanwhile.
        all.ctime = change.ctime.or_else(|| late.ctime.map(|t| t.max(core.inode.attr().ctime)));
        core.inode.change(&all)?;
        self.times_told(&late);
        Ok(())
    }

    /// These are in the inode now. A read may have brought a later access time meanwhile.
    fn times_told(&self, told: &Late) {
        let mut late = self.core.late.lock();
        if late.atime == told.atime {
            late.atime = None;
        }
        (late.mtime, late.ctime) = (None, None);
    }

    /// The content has been read, on a mount that keeps access times: as `relatime` says (`man 8 mount`), or every time if `strict`. Holds
    /// no lock.
    pub fn touch_atime(&self, strict: bool) {
        if self.sb.read_only() {
            return;
        }
        let attr = self.attr();
        let now = self.core.env.now();
        let old = attr.atime <= attr.mtime || attr.atime <= attr.ctime || now.secs - attr.atime.secs >= RELATIME;
        if (old || strict) && attr.atime != now {
            self.core.late.lock().atime = Some(now);
            self.mark_dirty();
            self.balance();
        }
    }

    /// The content has changed, with the lock of data held.
    fn touch_content(&self) {
        let now = self.core.env.now();
        if self.core.cached {
            let mut late = self.core.late.lock();
            (late.mtime, late.ctime) = (Some(now), Some(now));
            return;
        }
        let times = ChangeAttr { mtime: Some(now), ctime: Some(now), ..ChangeAttr::default() };
        if let Err(error) = self.change_locked(&times) {
            tracing::debug!(target: "lkl::vfs", ino = self.ino(), %error, "times of a file that was written");
        }
    }

    /// Puts it into the list of dirty files. Holds no lock.
    fn mark_dirty(&self) {
        if !self.core.listed.swap(true, Ordering::AcqRel) {
            self.sb.has_dirty(self.ino());
            self.core.env.arm();
        }
    }

    /// Takes away what a write, or a change of length, by anybody but root takes away: set-user-ID, and set-group-ID where the group may
    /// execute, or he is not in it (`man 2 write`); and the capabilities, whoever it is. Without `cred` it is root. To be called before it.
    ///
    /// # Errors
    /// Those of [`Inode::change`] and [`Inode::remove_xattr`].
    pub fn drop_privileges(&self, cred: Option<&Cred>) -> Result<()> {
        if self.core.kind != InodeKind::Regular {
            return Ok(());
        }
        self.drop_capabilities()?;
        let Some(cred) = cred.filter(|cred| !cred.is_root()) else { return Ok(()) };
        let attr = self.core.inode.attr();
        let mode = attr.mode;
        let mut left = mode & !S_ISUID;
        if mode & S_IXGRP != 0 || !cred.in_group(attr.gid) {
            left &= !S_ISGID;
        }
        if left == mode {
            return Ok(());
        }
        self.change(&ChangeAttr { mode: Some(left), ctime: Some(self.core.env.now()), ..ChangeAttr::default() })
    }

    /// How long what is written to it will live (`RWH_*`): a hint that is kept for who asks, and changes nothing.
    pub fn write_hint(&self) -> u8 {
        self.core.write_hint.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set_write_hint(&self, hint: u8) {
        self.core.write_hint.store(hint, Ordering::Relaxed);
    }

    /// Takes away the capabilities of a program.
    ///
    /// # Errors
    /// Those of [`Inode::remove_xattr`].
    pub(crate) fn drop_capabilities(&self) -> Result<()> {
        if !self.core.capable.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.get_xattr(CAPABILITY) {
            Ok(_) => self.remove_xattr(CAPABILITY)?,
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {}
            // As on Linux, what cannot be read is not in the way.
            Err(_) => return Ok(()),
        }
        self.core.capable.store(false, Ordering::Release);
        Ok(())
    }

    /// Where an open file of it stands with errors of write-back: for [`Node::fsync_file`].
    pub fn error_mark(&self) -> ErrorMark {
        self.core.errors.mark()
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// Those of [`Inode::get_xattr`].
    pub fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.core.inode.get_xattr(name)
    }

    /// Sets one.
    ///
    /// # Errors
    /// Those of [`Inode::set_xattr`].
    pub fn set_xattr(&self, name: &[u8], value: &[u8], how: XattrSet) -> Result<()> {
        let _data = self.core.data.write();
        if name == CAPABILITY {
            self.core.capable.store(true, Ordering::Release);
        }
        self.core.inode.set_xattr(name, value, how, self.core.env.now())
    }

    /// Sets the flags that `chattr` shows.
    ///
    /// # Errors
    /// Those of [`Inode::set_flags`].
    pub fn set_flags(&self, flags: &FileFlags) -> Result<()> {
        let _data = self.core.data.write();
        self.core.inode.set_flags(flags, self.core.env.now())
    }

    /// Sets its generation.
    ///
    /// # Errors
    /// Those of [`Inode::set_generation`].
    pub fn set_generation(&self, generation: u32) -> Result<()> {
        let _data = self.core.data.write();
        self.core.inode.set_generation(generation, self.core.env.now())
    }

    /// Removes one.
    ///
    /// # Errors
    /// Those of [`Inode::remove_xattr`].
    pub fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let _data = self.core.data.write();
        self.core.inode.remove_xattr(name, self.core.env.now())
    }

    /// All names.
    ///
    /// # Errors
    /// Those of [`Inode::list_xattrs`].
    pub fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        self.core.inode.list_xattrs()
    }
}
