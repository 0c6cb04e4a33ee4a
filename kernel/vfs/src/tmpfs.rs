//! File systems in memory: `tmpfs`, `ramfs`, and the base of `devtmpfs` (`man 5 tmpfs`).
//!
//! * `inode`: a file. `names`: what is in a directory. `content`: what is in a file.
//! * `options`: what one is mounted with.
//!
//! Above: the VFS, by the traits of `fs`. As in Linux a tmpfs has a limit of bytes and of files; here a ramfs has, too, though it does not
//! tell. Unlike Linux's, it has all kinds of `fallocate`.

mod content;
mod inode;
mod names;
mod options;

use crate::env::Limits;
use crate::fs::{FileSystem, Inode, InodeKind, MountOptions, NewInode, StatFs, SuperBlock};
use crate::handle::Handle;
use content::PAGE;
use core::sync::atomic::{AtomicU64, Ordering};
use inode::TmpInode;
use lkl_abi::handle::FILEID_INO32_GEN;
use lkl_abi::{Errno, Result};
use lkl_sync::{Mutex, Rank};
use options::Options;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;
/// The number of the root directory.
const ROOT: u64 = 1;

/// A type of file systems in memory.
#[derive(Clone, Copy, Debug)]
pub struct Tmpfs {
    name: &'static str,
    /// Most bytes in one that is mounted without `size=`.
    size: u64,
}

impl Tmpfs {
    /// `tmpfs`
    pub fn new(limits: &Limits) -> Self {
        Self { name: "tmpfs", size: limits.tmpfs }
    }

    /// `ramfs`: the same without options but `mode=`, and without counts.
    pub fn ramfs(limits: &Limits) -> Self {
        Self { name: "ramfs", size: limits.tmpfs }
    }

    /// `devtmpfs`: a tmpfs whose root is nobody's to write but root's; who makes it puts the devices in.
    pub fn devtmpfs(limits: &Limits) -> Self {
        Self { name: "devtmpfs", size: limits.tmpfs }
    }

    fn is_ramfs(self) -> bool {
        self.name == "ramfs"
    }

    fn usual(self) -> Options {
        let usual = Options::new(self.size);
        if self.name == "tmpfs" {
            usual
        } else {
            Options { mode: 0o755, ..usual }
        }
    }
}

impl FileSystem for Tmpfs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs_device(&self) -> bool {
        false
    }

    fn mount(&self, options: &MountOptions) -> Result<Arc<dyn SuperBlock>> {
        let own = self.usual().parse(&options.data, !self.is_ramfs())?;
        let fsid = options.seed.iter().fold(0u64, |n, b| n << 8 ^ n >> 56 ^ u64::from(*b));
        let mounted = Arc::new_cyclic(|this| Mounted {
            this: this.clone(),
            kind: *self,
            fsid,
            options: Mutex::new(Rank::Leaf, own),
            pages: AtomicU64::new(0),
            last: AtomicU64::new(ROOT),
            files: Mutex::new(Rank::FsAllocation, HashMap::new()),
        });
        let root = NewInode {
            kind: InodeKind::Directory,
            mode: own.mode,
            uid: own.uid,
            gid: own.gid,
            rdev: (0, 0),
            target: b"",
            xattrs: &[],
            now: options.now,
        };
        let root = TmpInode::new(mounted.this.clone(), ROOT, &root, ROOT);
        mounted.files.lock().insert(ROOT, root);
        Ok(mounted)
    }
}

/// One that is mounted.
struct Mounted {
    this: Weak<Self>,
    kind: Tmpfs,
    fsid: u64,
    options: Mutex<Options>,
    /// Pages that files hold.
    pages: AtomicU64,
    /// The last number that was given to a file.
    last: AtomicU64,
    files: Mutex<HashMap<u64, Arc<TmpInode>>>,
}

impl Mounted {
    /// Takes room for pages.
    fn take(&self, pages: u64) -> Result<()> {
        let limit = match self.options.lock().size {
            0 => self.kind.size,
            size => size,
        };
        let add = |used: u64| used.checked_add(pages).filter(|sum| *sum <= limit / PAGE);
        match self.pages.fetch_update(Ordering::AcqRel, Ordering::Acquire, add) {
            Ok(_) => Ok(()),
            Err(_) if pages == 0 => Ok(()),
            Err(_) => Err(Errno::ENOSPC),
        }
    }

    fn give(&self, pages: u64) {
        self.pages.fetch_sub(pages, Ordering::AcqRel);
    }

    /// Makes a file in the directory `parent`, without a name.
    fn make(&self, new: &NewInode<'_>, parent: u64) -> Result<Arc<TmpInode>> {
        let limit = self.options.lock().inodes;
        let mut files = self.files.lock();
        if limit != 0 && files.len() as u64 >= limit {
            return Err(Errno::ENOSPC);
        }
        let ino = self.last.fetch_add(1, Ordering::AcqRel) + 1;
        let inode = TmpInode::new(self.this.clone(), ino, new, parent);
        if let Some(dir) = files.get(&parent) {
            inode.inherit(dir);
        }
        files.insert(ino, inode.clone());
        Ok(inode)
    }

    fn remove(&self, ino: u64) {
        self.files.lock().remove(&ino);
    }
}

impl SuperBlock for Mounted {
    fn root(&self) -> u64 {
        ROOT
    }

    fn inode(&self, ino: u64) -> Result<Arc<dyn Inode>> {
        let inode = self.files.lock().get(&ino).cloned();
        Ok(inode.ok_or(Errno::ESTALE)?)
    }

    fn by_handle(&self, handle: &Handle) -> Result<u64> {
        match (handle.kind, handle.bytes.as_slice()) {
            (FILEID_INO32_GEN, [_, _, _, _, a, b, c, d, e, f, g, h]) => {
                let half = |bytes| u64::from(u32::from_ne_bytes(bytes));
                Ok(half([*a, *b, *c, *d]) | half([*e, *f, *g, *h]) << 32)
            }
            _ => Err(Errno::ESTALE),
        }
    }

    fn statfs(&self) -> Result<StatFs> {
        let usual = StatFs { block_size: PAGE as u32, size_max: i64::MAX as u64, ..StatFs::default() };
        if self.kind.is_ramfs() {
            return Ok(StatFs { magic: RAMFS_MAGIC, ..usual });
        }
        let options = *self.options.lock();
        let blocks = options.size / PAGE;
        let free = blocks.saturating_sub(self.pages.load(Ordering::Acquire));
        let used_files = self.files.lock().len() as u64;
        Ok(StatFs {
            magic: TMPFS_MAGIC,
            blocks,
            blocks_free: free,
            blocks_available: free,
            files: options.inodes,
            files_free: options.inodes.saturating_sub(used_files),
            fsid: self.fsid,
            ..usual
        })
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn remount(&self, options: &MountOptions) -> Result<()> {
        let mut own = self.options.lock();
        let new = own.parse(&options.data, !self.kind.is_ramfs())?;
        let pages = self.pages.load(Ordering::Acquire);
        if new.size != 0 && new.size / PAGE < pages {
            tracing::error!(target: "lkl::vfs", "tmpfs: {pages} pages are in use already");
            return Err(Errno::EINVAL);
        }
        // The root's attributes are its own by now.
        *own = Options { size: new.size, inodes: new.inodes, ..*own };
        Ok(())
    }

    fn unmount(&self) -> Result<()> {
        let files = core::mem::take(&mut *self.files.lock());
        drop(files);
        Ok(())
    }

    fn show_options(&self) -> String {
        self.options.lock().show(&self.kind.usual())
    }

    fn create_unnamed(&self, dir: u64, new: &NewInode<'_>) -> Result<u64> {
        let inode = self.make(new, dir)?;
        inode.set_links(0);
        Ok(inode.ino())
    }
}

#[cfg(test)]
mod tests;
