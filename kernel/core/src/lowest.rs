//! Descriptor numbers where there is no host table to agree with: always the lowest that is free.

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
use lkl_abi::{Errno, Result};
use lkl_ops::{Descriptors, FileKind};
use lkl_sync::{Mutex, Rank};
use std::collections::BTreeMap;

/// The numbers of one process, for the C API and tests.
#[derive(Debug)]
pub struct Lowest {
    /// Numbers in use, with their close-on-exec flags.
    used: Mutex<BTreeMap<i32, bool>>,
    limit: AtomicI32,
}

impl Default for Lowest {
    fn default() -> Self {
        Self::new()
    }
}

impl Lowest {
    /// Up to 1048576 numbers, Linux's `fs.nr_open`.
    pub fn new() -> Self {
        Self::with_limit(1 << 20)
    }

    /// Numbers below `limit` (`RLIMIT_NOFILE`).
    pub fn with_limit(limit: i32) -> Self {
        Self { used: Mutex::new(Rank::Leaf, BTreeMap::new()), limit: AtomicI32::new(limit) }
    }
}

impl Descriptors for Lowest {
    fn alloc(&self, _: FileKind, min: i32, cloexec: bool) -> Result<i32> {
        let mut used = self.used.lock();
        let mut free = min.max(0);
        for fd in used.range(free..).map(|(fd, _)| *fd) {
            if fd != free {
                break;
            }
            free += 1;
        }
        if free >= self.limit.load(Relaxed) {
            return Err(Errno::EMFILE);
        }
        used.insert(free, cloexec);
        Ok(free)
    }

    fn dup(&self, fd: i32, min: i32, cloexec: bool) -> Result<i32> {
        if !self.used.lock().contains_key(&fd) {
            return Err(Errno::EBADF);
        }
        self.alloc(FileKind::File, min, cloexec)
    }

    fn dup_to(&self, fd: i32, to: i32, cloexec: bool) -> Result<()> {
        let mut used = self.used.lock();
        if !used.contains_key(&fd) || !(0..self.limit.load(Relaxed)).contains(&to) {
            return Err(Errno::EBADF);
        }
        used.insert(to, cloexec);
        Ok(())
    }

    fn free(&self, fd: i32) {
        self.used.lock().remove(&fd);
    }

    fn set_limit(&self, limit: u64) {
        self.limit.store(i32::try_from(limit).unwrap_or(i32::MAX), Relaxed);
    }

    fn cloexec(&self, fd: i32) -> bool {
        self.used.lock().get(&fd).copied().unwrap_or(false)
    }

    fn set_cloexec(&self, fd: i32, on: bool) {
        if let Some(flag) = self.used.lock().get_mut(&fd) {
            *flag = on;
        }
    }
}
