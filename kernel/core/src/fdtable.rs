//! Which descriptor number refers to which open file. Read far more often than written: a look-up only reads its own slot,
//! so threads never wait for each other, nor for one that was killed in the middle of it.

use crate::openfile::OpenFile;
use lkl_abi::{Errno, Result};
use lkl_sync::{Rank, RwLock};
use std::sync::{Arc, OnceLock};

/// Slots per chunk, and chunks: together Linux's `fs.nr_open`.
const CHUNK: usize = 512;
const CHUNKS: usize = 2048;

type Chunk = Box<[RwLock<Option<Arc<OpenFile>>>]>;

/// The descriptors of one process.
pub(crate) struct FdTable {
    chunks: Box<[OnceLock<Chunk>]>,
}

impl FdTable {
    pub(crate) fn new() -> Self {
        Self { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    fn slot(&self, fd: i32) -> Option<&RwLock<Option<Arc<OpenFile>>>> {
        let fd = usize::try_from(fd).ok()?;
        self.chunks.get(fd / CHUNK)?.get()?.get(fd % CHUNK)
    }

    pub(crate) fn get(&self, fd: i32) -> Result<Arc<OpenFile>> {
        self.slot(fd).and_then(|s| s.read().clone()).ok_or(Errno::EBADF)
    }

    pub(crate) fn contains(&self, fd: i32) -> bool {
        self.slot(fd).is_some_and(|s| s.read().is_some())
    }

    /// Puts a file in and answers what was there. The caller drops that, holding no lock.
    pub(crate) fn put(&self, fd: i32, file: Arc<OpenFile>) -> Result<Option<Arc<OpenFile>>> {
        let number = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let chunk = self.chunks.get(number / CHUNK).ok_or(Errno::EMFILE)?;
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| RwLock::new(Rank::Leaf, None)).collect());
        let slot = chunk.get(number % CHUNK).ok_or(Errno::EMFILE)?;
        Ok(slot.write().replace(file))
    }

    /// Takes a file out. The caller drops it, holding no lock.
    pub(crate) fn take(&self, fd: i32) -> Option<Arc<OpenFile>> {
        self.slot(fd)?.write().take()
    }

    /// All descriptors in use from `first` to `last`, in order.
    pub(crate) fn numbers(&self, first: u32, last: u32) -> Vec<i32> {
        let mut found = Vec::new();
        for (c, chunk) in self.chunks.iter().enumerate() {
            let start = c * CHUNK;
            if start > last as usize || start + CHUNK <= first as usize {
                continue;
            }
            let Some(chunk) = chunk.get() else { continue };
            for (i, slot) in chunk.iter().enumerate() {
                let fd = start + i;
                if fd >= first as usize && fd <= last as usize && slot.read().is_some() {
                    found.push(fd as i32);
                }
            }
        }
        found
    }
}
