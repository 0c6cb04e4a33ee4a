//! The files of a directory, read by a thread of its own before it is their turn: while one is written, the next are read.

use crate::side::{Result, Side, SideFile, Xattrs};
use lkl::abi::Errno;
use lkl::{Error, FileType, Metadata};
use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::sync_channel;

/// From so many names on a thread is worth its while.
const MANY: usize = 16;
/// Content up to that many bytes is read.
const SMALL: usize = 64 << 10;
/// So many files, or bytes of content, are a batch; so many batches wait.
const BATCH: usize = 8;
const BATCH_BYTES: usize = 128 << 10;
const QUEUE: usize = 4;
/// Directories within one another that have threads. Each may hold 6 MiB, if all files are as large as can be.
const DEPTH: usize = 4;
/// Of a directory with no more names than that the files are read with it, until there are so many bytes of them.
const CHILDREN: usize = 512;
const CHILDREN_BYTES: usize = 1 << 20;

/// What is known of a file when its turn comes.
pub(super) struct Ahead<S> {
    pub(super) name: OsString,
    pub(super) meta: Result<Metadata>,
    pub(super) whole: Option<Whole>,
    /// Of a directory: what is in it.
    pub(super) children: Option<Children<S>>,
}

/// A directory and the files in it.
pub(super) struct Children<S> {
    pub(super) dir: S,
    pub(super) files: Vec<Ahead<S>>,
}

/// All of a small regular file.
pub(super) struct Whole {
    pub(super) data: Vec<u8>,
    pub(super) attrs: Vec<(OsString, Vec<u8>)>,
}

impl Xattrs for Whole {
    fn xattrs(&self) -> Result<Vec<OsString>> {
        Ok(self.attrs.iter().map(|(name, _)| name.clone()).collect())
    }

    fn xattr(&self, attr: &OsStr) -> Result<Vec<u8>> {
        let found = self.attrs.iter().find(|(name, _)| name == attr).map(|(_, value)| value.clone());
        found.ok_or_else(|| Error { errno: Errno::ENODATA, path: attr.into(), detail: None })
    }
}

/// Is an error that of an attribute which is not copied, since it went meanwhile, or is not for us?
pub(super) fn is_left_out(e: &Error) -> bool {
    matches!(e.errno, Errno::ENODATA | Errno::EPERM | Errno::EACCES)
}

impl<S: Side> Ahead<S> {
    /// What is to be known first.
    pub(super) fn of(dir: &S, name: OsString) -> Self {
        let meta = dir.lstat(Path::new(&name));
        Self { name, meta, whole: None, children: None }
    }

    /// The same with the content of a small file. Whatever is in the way of that, who copies it will meet and tell.
    fn with_content(dir: &S, name: OsString, buffer: &mut [u8]) -> Self {
        if let Some(file) = dir.read_whole(&name, SMALL).transpose() {
            let (meta, whole) = match file {
                Ok(file) => (Ok(file.meta), file.data.map(|data| Whole { data, attrs: file.xattrs })),
                Err(e) => (Err(e), None),
            };
            return Self { name, meta, whole, children: None };
        }
        let mut ahead = Self::of(dir, name);
        if let Ok(meta) = &ahead.meta {
            let dense = meta.blocks.saturating_mul(512) >= meta.size;
            if meta.file_type() == Some(FileType::Regular) && meta.nlink == 1 && dense && meta.size <= SMALL as u64 {
                ahead.whole = whole(dir, &ahead.name, meta.size, buffer).ok().flatten();
            }
        }
        ahead
    }

    /// The same with the files of a directory.
    fn with_children(dir: &S, name: OsString, buffer: &mut [u8]) -> Self {
        let mut ahead = Self::with_content(dir, name, buffer);
        if ahead.meta.as_ref().is_ok_and(Metadata::is_dir) {
            ahead.children = Children::of(dir, &ahead.name, buffer);
        }
        ahead
    }

    /// Bytes of content that are held.
    fn bytes(&self) -> usize {
        let own = self.whole.as_ref().map_or(0, |whole| whole.data.len());
        own + self.children.iter().flat_map(|c| &c.files).map(Self::bytes).sum::<usize>()
    }
}

impl<S: Side> Children<S> {
    /// Those of a directory that has not too many.
    fn of(dir: &S, name: &OsStr, buffer: &mut [u8]) -> Option<Self> {
        let dir = dir.open_dir(name).ok()?;
        let names = dir.names().ok().filter(|names| names.len() <= CHILDREN)?;
        let mut bytes = 0;
        let files = names.into_iter().map(|name| {
            let file =
                if bytes < CHILDREN_BYTES { Ahead::with_content(&dir, name, buffer) } else { Ahead::of(&dir, name) };
            bytes += file.bytes();
            file
        });
        let files = files.collect();
        Some(Self { dir, files })
    }
}

/// Reads a file, but for one that has grown.
fn whole<S: Side>(dir: &S, name: &OsStr, size: u64, buffer: &mut [u8]) -> Result<Option<Whole>> {
    let file = dir.open(name)?;
    let len = file.read_at(buffer, 0, size)?;
    if len > SMALL {
        return Ok(None);
    }
    let names = match file.xattrs() {
        Err(e) if e.errno == Errno::EOPNOTSUPP => Vec::new(),
        names => names?,
    };
    let mut attrs = Vec::new();
    for name in names {
        match file.xattr(&name) {
            Err(e) if is_left_out(&e) => {}
            value => attrs.push((name, value?)),
        }
    }
    Ok(Some(Whole { data: buffer.get(..len).unwrap_or_default().to_vec(), attrs }))
}

/// Gives `take` all files of a directory in order, until it answers false.
pub(super) fn each<S: Side>(dir: &S, names: Vec<OsString>, depth: usize, mut take: impl FnMut(Ahead<S>) -> bool) {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    if names.len() < MANY || depth >= DEPTH || processors < 2 {
        // What is known as a whole is copied as a whole, whoever has read it.
        let mut buffer = vec![0; SMALL + 1];
        for name in names {
            if !take(Ahead::with_content(dir, name, &mut buffer)) {
                return;
            }
        }
        return;
    }
    let (full, filled) = sync_channel::<Vec<Ahead<S>>>(QUEUE);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut buffer, mut names) = (vec![0; SMALL + 1], names.into_iter().peekable());
            // It ends with the names, or when nobody takes files any more.
            while names.peek().is_some() {
                let (mut batch, mut bytes) = (Vec::new(), 0);
                while let Some(name) = names.next_if(|_| batch.len() < BATCH && bytes < BATCH_BYTES) {
                    let file = Ahead::with_children(dir, name, &mut buffer);
                    bytes += file.bytes();
                    batch.push(file);
                }
                if full.send(batch).is_err() {
                    break;
                }
            }
        });
        let mut goes_on = true;
        while goes_on {
            let Ok(batch) = filled.recv() else { break };
            goes_on = batch.into_iter().all(&mut take);
        }
        drop(filled);
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
