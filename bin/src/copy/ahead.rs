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
const SMALL: usize = 16 << 10;
/// Files of a batch; so many batches wait.
const BATCH: usize = 8;
const QUEUE: usize = 16;
/// Directories within one another that have threads. Each may hold 2 MiB.
const DEPTH: usize = 4;

/// What is known of a file when its turn comes.
pub(super) struct Ahead {
    pub(super) name: OsString,
    pub(super) meta: Result<Metadata>,
    pub(super) whole: Option<Whole>,
}

/// All of a small regular file.
pub(super) struct Whole {
    pub(super) data: Vec<u8>,
    attrs: Vec<(OsString, Vec<u8>)>,
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

impl Ahead {
    /// What is to be known first.
    pub(super) fn of<S: Side>(dir: &S, name: OsString) -> Self {
        let meta = dir.lstat(Path::new(&name));
        Self { name, meta, whole: None }
    }

    /// The same with the content of a small file. Whatever is in the way of that, who copies it will meet and tell.
    fn with_content<S: Side>(dir: &S, name: OsString, buffer: &mut [u8]) -> Self {
        let mut ahead = Self::of(dir, name);
        if let Ok(meta) = &ahead.meta {
            let dense = meta.blocks.saturating_mul(512) >= meta.size;
            if meta.file_type() == Some(FileType::Regular) && meta.nlink == 1 && dense && meta.size <= SMALL as u64 {
                ahead.whole = whole(dir, &ahead.name, meta.size, buffer).ok().flatten();
            }
        }
        ahead
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
pub(super) fn each<S: Side>(dir: &S, names: Vec<OsString>, depth: usize, mut take: impl FnMut(Ahead) -> bool) {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    if names.len() < MANY || depth >= DEPTH || processors < 2 {
        for name in names {
            if !take(Ahead::of(dir, name)) {
                return;
            }
        }
        return;
    }
    let (full, filled) = sync_channel::<Vec<Ahead>>(QUEUE);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut buffer, mut names) = (vec![0; SMALL + 1], names.into_iter().peekable());
            // It ends with the names, or when nobody takes files any more.
            while names.peek().is_some() {
                let batch = names.by_ref().take(BATCH);
                let batch = batch.map(|name| Ahead::with_content(dir, name, &mut buffer)).collect();
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
