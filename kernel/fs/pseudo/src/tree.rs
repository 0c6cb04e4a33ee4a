//! What a pseudo file system shows: entries by their names.

use lkl_abi::{Errno, Result};
use lkl_file::{File, Text, TextFile};
use lkl_vfs::{Caller, InodeKind, Link};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes an open file. It is given the inode's number, and whether the file is to be written.
pub type Opener = Arc<dyn Fn(u64, bool) -> Result<Arc<dyn File>> + Send + Sync>;

/// Says where a link leads, for who follows it.
type Follow = Arc<dyn Fn(&Caller) -> Result<Link> + Send + Sync>;

/// What a file is.
#[derive(Clone)]
pub enum Kind {
    /// A directory.
    Dir(Arc<dyn Directory>),
    /// A regular file, which is what the opener makes.
    File(Opener),
    /// A symbolic link.
    Link(Follow),
    /// A device file with its numbers.
    Device(InodeKind, (u32, u32)),
}

/// A file, as a directory gives it.
#[derive(Clone)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Length that `stat` tells, in bytes.
    pub size: u64,
}

impl Entry {
    /// One of root's.
    pub fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, mode, owner: (0, 0), size: 0 }
    }

    /// The same of another owner.
    #[must_use]
    pub fn owned(self, uid: u32, gid: u32) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    /// Its type.
    pub fn inode_kind(&self) -> InodeKind {
        match &self.kind {
            Kind::Dir(_) => InodeKind::Directory,
            Kind::File(_) => InodeKind::Regular,
            Kind::Link(_) => InodeKind::Symlink,
            Kind::Device(kind, _) => *kind,
        }
    }
}

/// A directory. What is in it may change at any time; nobody can change it by way of the file system.
pub trait Directory: Send + Sync {
    /// The file of that name.
    fn get(&self, name: &[u8]) -> Option<Entry>;

    /// All names with their types, without `.` and `..`, in an order that stays.
    fn list(&self) -> Vec<(Vec<u8>, InodeKind)>;
}

/// A directory whose names stay the same.
#[derive(Clone, Default)]
pub struct Table(BTreeMap<Vec<u8>, Entry>);

impl Table {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one file more.
    #[must_use]
    pub fn with(mut self, name: &str, entry: Entry) -> Self {
        self.0.insert(name.as_bytes().to_vec(), entry);
        self
    }

    /// As a file.
    pub fn entry(self) -> Entry {
        dir(self)
    }
}

impl Directory for Table {
    fn get(&self, name: &[u8]) -> Option<Entry> {
        self.0.get(name).cloned()
    }

    fn list(&self) -> Vec<(Vec<u8>, InodeKind)> {
        self.0.iter().map(|(name, entry)| (name.clone(), entry.inode_kind())).collect()
    }
}

/// A directory that everybody may list.
pub fn dir(directory: impl Directory + 'static) -> Entry {
    Entry::new(Kind::Dir(Arc::new(directory)), 0o555)
}

/// A link that leads to the same path for everybody.
pub fn link(target: &str) -> Entry {
    let target = target.as_bytes().to_vec();
    Entry::new(Kind::Link(Arc::new(move |_| Ok(Link::Path(target.clone())))), 0o777)
}

/// What [`text`] and [`setting`] are made of.
struct Made<S, W> {
    show: S,
    store: W,
}

impl<S, W> Text for Made<S, W>
where
    S: Fn() -> Result<Vec<u8>> + Send + Sync,
    W: Fn(&str) -> Result<()> + Send + Sync,
{
    fn show(&self) -> Result<Vec<u8>> {
        (self.show)()
    }

    fn store(&self, value: &str) -> Result<()> {
        (self.store)(value)
    }
}

/// A file of text that everybody may read.
pub fn text(show: impl Fn() -> Result<Vec<u8>> + Clone + Send + Sync + 'static) -> Entry {
    made(0o444, show, |_: &str| Err(Errno::EIO))
}

/// A file of text that root may write.
pub fn setting(
    show: impl Fn() -> Result<Vec<u8>> + Clone + Send + Sync + 'static,
    store: impl Fn(&str) -> Result<()> + Clone + Send + Sync + 'static,
) -> Entry {
    made(0o644, show, store)
}

fn made(
    mode: u32,
    show: impl Fn() -> Result<Vec<u8>> + Clone + Send + Sync + 'static,
    store: impl Fn(&str) -> Result<()> + Clone + Send + Sync + 'static,
) -> Entry {
    let open: Opener = Arc::new(move |ino, _| {
        let text = Made { show: show.clone(), store: store.clone() };
        Ok(Arc::new(TextFile::new(text, mode, 0, ino)))
    });
    Entry::new(Kind::File(open), mode)
}
