//! Descriptor numbers where there is no host table to agree with: always the lowest that is free.

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
use lkl_abi::{Errno, Result};
use lkl_ops::{Descriptors, FileKind};
use lkl_sync::{Mutex, Rank};

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// A set of numbers, one bit each.
#[derive(Default, Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn contains(&self, n: usize) -> bool {
        self.0.get(n / WORD).is_some_and(|w| w >> (n % WORD) & 1 != 0)
    }

    /// Puts `n` in, or takes it out; answers the word that it is in.
    fn set(&mut self, n: usize, on: bool) -> u64 {
        if on && n / WORD >= self.0.len() {
            self.0.resize(n / WORD + 1, 0);
        }
        let Some(word) = self.0.get_mut(n / WORD) else { return 0 };
        let bit = 1 << (n % WORD);
        *word = if on { *word | bit } else { *word & !bit };
        *word
    }

    /// The first number from `from` on that is not in it, if it is in the same word.
    fn first_missing(&self, from: usize) -> Option<usize> {
        let word = self.0.get(from / WORD).copied().unwrap_or(0) | ((1 << (from % WORD)) - 1);
        (word != u64::MAX).then(|| from / WORD * WORD + word.trailing_ones() as usize)
    }
}

/// Which numbers are in use. Where there are many the lowest that is free is found by a look at one bit for each 64 of them.
#[derive(Default, Debug)]
struct Used {
    all: Bits,
    /// Words of `all` that have no number free.
    full: Bits,
    /// Those with the close-on-exec flag.
    cloexec: Bits,
}

impl Used {
    fn put(&mut self, n: usize, cloexec: bool) {
        if self.all.set(n, true) == u64::MAX {
            self.full.set(n / WORD, true);
        }
        self.cloexec.set(n, cloexec);
    }

    fn remove(&mut self, n: usize) {
        self.all.set(n, false);
        self.full.set(n / WORD, false);
        self.cloexec.set(n, false);
    }

    fn first_free(&self, from: usize) -> usize {
        if let Some(n) = self.all.first_missing(from) {
            return n;
        }
        let mut word = from / WORD + 1;
        loop {
            match self.full.first_missing(word) {
                Some(word) => return self.all.first_missing(word * WORD).unwrap_or(word * WORD),
                None => word = (word / WORD + 1) * WORD,
            }
        }
    }
}

/// The numbers of one process, for the C API and tests.
#[derive(Debug)]
pub struct Lowest {
    used: Mutex<Used>,
    limit: AtomicI32,
}

impl Default for Lowest {
    fn default() -> Self {
        Self::new()
    }
}

/// A number as an index.
fn index(fd: i32) -> Option<usize> {
    usize::try_from(fd).ok()
}

impl Lowest {
    /// Up to 1048576 numbers, Linux's `fs.nr_open`.
    pub fn new() -> Self {
        Self::with_limit(1 << 20)
    }

    /// Numbers below `limit` (`RLIMIT_NOFILE`).
    pub fn with_limit(limit: i32) -> Self {
        Self { used: Mutex::new(Rank::Leaf, Used::default()), limit: AtomicI32::new(limit) }
    }
}

impl Descriptors for Lowest {
    fn alloc(&self, _: FileKind, min: i32, cloexec: bool) -> Result<i32> {
        let mut used = self.used.lock();
        let free = used.first_free(index(min).unwrap_or(0));
        let fd = i32::try_from(free).ok().filter(|fd| *fd < self.limit.load(Relaxed)).ok_or(Errno::EMFILE)?;
        used.put(free, cloexec);
        Ok(fd)
    }

    fn dup(&self, fd: i32, min: i32, cloexec: bool) -> Result<i32> {
        if !index(fd).is_some_and(|n| self.used.lock().all.contains(n)) {
            return Err(Errno::EBADF);
        }
        self.alloc(FileKind::File, min, cloexec)
    }

    fn dup_to(&self, fd: i32, to: i32, cloexec: bool) -> Result<()> {
        let to = Some(to).filter(|to| *to < self.limit.load(Relaxed)).and_then(index).ok_or(Errno::EBADF)?;
        let mut used = self.used.lock();
        if !index(fd).is_some_and(|n| used.all.contains(n)) {
            return Err(Errno::EBADF);
        }
        used.put(to, cloexec);
        Ok(())
    }

    fn free(&self, fd: i32) {
        if let Some(n) = index(fd) {
            self.used.lock().remove(n);
        }
    }

    fn set_limit(&self, limit: u64) {
        self.limit.store(i32::try_from(limit).unwrap_or(i32::MAX), Relaxed);
    }

    fn cloexec(&self, fd: i32) -> bool {
        index(fd).is_some_and(|n| self.used.lock().cloexec.contains(n))
    }

    fn set_cloexec(&self, fd: i32, on: bool) {
        let Some(n) = index(fd) else { return };
        let mut used = self.used.lock();
        if used.all.contains(n) {
            used.cloexec.set(n, on);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_lowest_as_a_plain_search_finds_it() {
        let lowest = Lowest::with_limit(20_000);
        let mut plain = BTreeSet::new();
        let mut random = 1u32;
        for step in 0..40_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = (random >> 8) as i32 % 15_000;
            if step > 12_000 && random >> 31 == 0 {
                lowest.free(n);
                plain.remove(&n);
                assert!(!lowest.cloexec(n));
                continue;
            }
            let min = if step % 7 == 0 { n } else { 0 };
            let fd = lowest.alloc(FileKind::File, min, step % 2 == 0).unwrap();
            assert_eq!(Some(fd), (min..).find(|fd| !plain.contains(fd)));
            assert_eq!(lowest.cloexec(fd), step % 2 == 0);
            plain.insert(fd);
        }
    }

    #[test]
    fn there_is_a_limit() {
        let lowest = Lowest::with_limit(130);
        for fd in 0..130 {
            assert_eq!(lowest.alloc(FileKind::File, 0, false), Ok(fd));
        }
        assert_eq!(lowest.alloc(FileKind::File, 0, false), Err(Errno::EMFILE));
        lowest.free(65);
        assert_eq!(lowest.alloc(FileKind::File, 66, false), Err(Errno::EMFILE));
        assert_eq!(lowest.dup(3, -1, true), Ok(65));
        assert_eq!((lowest.dup(500, 0, false), lowest.dup_to(3, 130, false)), (Err(Errno::EBADF), Err(Errno::EBADF)));
    }
}
