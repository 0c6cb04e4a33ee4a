//! A tree of entries behind the traits of the VFS.

use crate::tree::{Directory, Entry, Kind};
use lkl_abi::{Errno, Result};
use lkl_file::File;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::{
    Attr, Caller, ChangeAttr, Data, DirEntry, FileSystem, Inode, InodeKind, Link, MountOptions, StatFs, SuperBlock,
    Timestamp,
};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

/// Number of the root directory.
const ROOT: u64 = 1;
/// Files that were looked up and that nobody has asked for since: the last so many are known.
const KNOWN_MAX: usize = 1024;
/// Cookies up to here mean `.` and `..`.
const DOTS: u64 = 2;
const BLOCK: u32 = 4096;

/// A type of file system, and all that it shows.
pub struct PseudoFs {
    name: &'static str,
    magic: u64,
    root: Arc<dyn Directory>,
}

impl PseudoFs {
    /// One of this name for `mount(2)`, with this number for `statfs`.
    pub fn new(name: &'static str, magic: u64, root: Arc<dyn Directory>) -> Arc<Self> {
        Arc::new(Self { name, magic, root })
    }
}

impl FileSystem for PseudoFs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs_device(&self) -> bool {
        false
    }

    fn is_single(&self) -> bool {
        true
    }

    fn mount(&self, options: &MountOptions) -> Result<Arc<dyn SuperBlock>> {
        let root = Entry::new(Kind::Dir(self.root.clone()), 0o555);
        let root = Found::new(ROOT, ROOT, root);
        Ok(Arc::new(Mounted { magic: self.magic, now: options.now, known: Arc::new(Known::default()), root }))
    }
}

/// A file that was looked up.
struct Found {
    ino: u64,
    parent: u64,
    /// As it was when its name was last looked up: behind the same name may be another process by now.
    entry: Mutex<Entry>,
}

impl Found {
    fn new(ino: u64, parent: u64, entry: Entry) -> Arc<Self> {
        Arc::new(Self { ino, parent, entry: Mutex::new(Rank::Leaf, entry) })
    }

    fn entry(&self) -> Entry {
        self.entry.lock().clone()
    }
}

/// The files that were looked up, for who asks for them by their number.
struct Known(Mutex<LookedUp>);

#[derive(Default)]
struct LookedUp {
    files: HashMap<u64, Weak<Found>>,
    /// Those that are kept whether or not they are used, in the order in which they came.
    kept: VecDeque<Arc<Found>>,
}

impl Default for Known {
    fn default() -> Self {
        Self(Mutex::new(Rank::Leaf, LookedUp::default()))
    }
}

impl Known {
    fn put(&self, ino: u64, parent: u64, entry: Entry) {
        if let Some(found) = self.get(ino) {
            let old = core::mem::replace(&mut *found.entry.lock(), entry);
            // What it refers to is let go without a lock.
            drop(old);
            return;
        }
        let found = Found::new(ino, parent, entry);
        let mut known = self.0.lock();
        known.files.insert(ino, Arc::downgrade(&found));
        known.kept.push_back(found);
        let old = if known.kept.len() > KNOWN_MAX { known.kept.pop_front() } else { None };
        if known.files.len() > 2 * KNOWN_MAX {
            known.files.retain(|_, found| found.strong_count() > 0);
        }
        drop(known);
        drop(old);
    }

    fn get(&self, ino: u64) -> Option<Arc<Found>> {
        self.0.lock().files.get(&ino).and_then(Weak::upgrade)
    }
}

/// The number of a file: the same for the same name in the same directory (FNV-1a), and never that of the root.
fn number(parent: u64, name: &[u8]) -> u64 {
    let step = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
    let hash = parent.to_ne_bytes().iter().chain(name).fold(0xcbf2_9ce4_8422_2325, step);
    hash >> 2 | 1 << 61
}

struct Mounted {
    magic: u64,
    now: Timestamp,
    known: Arc<Known>,
    root: Arc<Found>,
}

impl SuperBlock for Mounted {
    fn root(&self) -> u64 {
        ROOT
    }

    fn inode(&self, ino: u64) -> Result<Arc<dyn Inode>> {
        let found = if ino == ROOT { Some(self.root.clone()) } else { self.known.get(ino) };
        let found = found.ok_or(Errno::ESTALE)?;
        Ok(Arc::new(PseudoInode { found, now: self.now, known: self.known.clone() }))
    }

    fn statfs(&self) -> Result<StatFs> {
        Ok(StatFs { magic: self.magic, block_size: BLOCK, ..StatFs::default() })
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn remount(&self, options: &MountOptions) -> Result<()> {
        match options.data.as_str() {
            "" => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn unmount(&self) -> Result<()> {
        Ok(())
    }

    fn names_change(&self) -> bool {
        true
    }
}

struct PseudoInode {
    found: Arc<Found>,
    now: Timestamp,
    known: Arc<Known>,
}

impl PseudoInode {
    fn directory(&self) -> Result<Arc<dyn Directory>> {
        match self.found.entry().kind {
            Kind::Dir(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }
}

impl Inode for PseudoInode {
    fn attr(&self) -> Attr {
        let entry = self.found.entry();
        let kind = entry.inode_kind();
        Attr {
            ino: self.found.ino,
            kind,
            mode: entry.mode,
            nlink: if kind == InodeKind::Directory { 2 } else { 1 },
            uid: entry.owner.0,
            gid: entry.owner.1,
            rdev: if let Kind::Device(_, rdev) = entry.kind { rdev } else { (0, 0) },
            size: entry.size,
            blocks: 0,
            blksize: 1024,
            atime: self.now,
            mtime: self.now,
            ctime: self.now,
            btime: None,
            attributes: 0,
        }
    }

    fn change(&self, change: &ChangeAttr) -> Result<()> {
        // Times that come of reading and writing are taken, and forgotten.
        match change {
            ChangeAttr { mode: None, uid: None, gid: None, .. } => Ok(()),
            _ => Err(Errno::EPERM),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<u64> {
        let entry = self.directory()?.get(name).ok_or(Errno::ENOENT)?;
        let ino = number(self.found.ino, name);
        self.known.put(ino, self.found.ino, entry);
        Ok(ino)
    }

    fn parent(&self) -> Result<u64> {
        Ok(self.found.parent)
    }

    fn readdir(&self, cookie: u64, entry: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let names = self.directory()?.list();
        let done = usize::try_from(cookie.saturating_sub(DOTS)).unwrap_or(usize::MAX);
        for (i, (name, kind)) in names.iter().enumerate().skip(done) {
            let next = DOTS + i as u64 + 1;
            if !entry(DirEntry { name, ino: number(self.found.ino, name), kind: Some(*kind), next }) {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match self.follow(&Caller::default())? {
            Link::Path(path) => Ok(path),
            Link::Magic(_) => Err(Errno::EINVAL),
        }
    }

    fn follow(&self, caller: &Caller) -> Result<Link> {
        match self.found.entry().kind {
            Kind::Link(follow) => follow(caller),
            _ => Err(Errno::EINVAL),
        }
    }

    fn open(&self, write: bool) -> Result<Option<Arc<dyn File>>> {
        match self.found.entry().kind {
            Kind::File(open) => open(self.found.ino, write).map(Some),
            _ => Ok(None),
        }
    }

    fn data(&self) -> Data {
        Data::Direct
    }

    /// A program that opens a setting to write it often asks for `O_TRUNC`.
    fn truncate(&self, _: u64, _: Timestamp) -> Result<()> {
        Ok(())
    }

    fn fsync(&self, _: bool) -> Result<()> {
        Ok(())
    }
}
