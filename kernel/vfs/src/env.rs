//! What all mounted file systems of a kernel share: the outside, the limits, the account of memory, and the time for write-back.
//!
//! Below: `lkl-ops` ([`Host`]), `lkl-block` ([`Memory`]). Beside: [`Super`], which are known here; `pages`, whose memory is counted
//! here.

use crate::fs::Timestamp;
use crate::pages::{Pages, RUN_MAX};
use crate::sb::Super;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use lkl_block::Memory;
use lkl_ops::{Host, Instant};
use lkl_sync::{Mutex, Rank};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// How often old dirty pages are looked for (`dirty_writeback_centisecs`).
const WRITE_BACK_INTERVAL: Duration = Duration::from_secs(5);
/// How old a dirty page becomes at most (`dirty_expire_centisecs`).
const DIRTY_EXPIRES: Duration = Duration::from_secs(30);
/// How long old pages are written at a time: whoever does it has other things to do, too.
const WRITE_BACK_SLICE: Duration = Duration::from_millis(10);
/// The least memory that anything works with.
const MEMORY_MIN: u64 = 4 << 20;

/// For so many bytes of memory one buffer is kept for the next one who needs it.
const MEMORY_PER_SPARE: usize = 16 << 20;

/// How much memory files may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of cached file content and metadata, over all file systems (64 MiB).
    pub memory: u64,
    /// Most bytes in one `tmpfs` that is mounted without `size=` (256 MiB).
    pub tmpfs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 64 << 20, tmpfs: 256 << 20 }
    }
}

/// Files whose content is in memory, in the order in which some of it is taken back.
#[derive(Default)]
struct Clock {
    files: VecDeque<Weak<Pages>>,
    /// With so many, those that are gone are looked for.
    tidy_at: usize,
}

/// What all mounted file systems of a kernel share.
pub struct Env {
    host: Arc<dyn Host>,
    limits: Limits,
    metadata: Arc<Memory>,
    /// Bytes of cached file content, and those of them that are dirty.
    used: AtomicUsize,
    dirty: AtomicUsize,
    /// Files that have cached content which can be let go: where memory is taken back, in turn.
    clock: Mutex<Clock>,
    /// Memory of the longest runs that is not used: it need not be cleared again.
    spare: Mutex<Vec<Vec<u8>>>,
    supers: Mutex<Vec<Weak<Super>>>,
    next_dev: AtomicU64,
    /// When [`Env::service`] is due, in nanoseconds; `u64::MAX` for never.
    due: AtomicU64,
}

impl Env {
    /// With this outside and these limits.
    pub fn new(host: Arc<dyn Host>, limits: Limits) -> Arc<Self> {
        let limits = Limits { memory: limits.memory.max(MEMORY_MIN), ..limits };
        let metadata = Memory::new(usize::try_from(limits.memory / 4).unwrap_or(usize::MAX));
        Arc::new(Self {
            host,
            limits,
            metadata,
            used: AtomicUsize::new(0),
            dirty: AtomicUsize::new(0),
            clock: Mutex::new(Rank::Leaf, Clock::default()),
            spare: Mutex::new(Rank::Leaf, Vec::new()),
            supers: Mutex::new(Rank::Leaf, Vec::new()),
            next_dev: AtomicU64::new(1),
            due: AtomicU64::new(u64::MAX),
        })
    }

    /// The outside.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the caches of metadata may take, for [`MountOptions`](crate::MountOptions): a quarter of all.
    pub fn metadata(&self) -> &Arc<Memory> {
        &self.metadata
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        let now = self.host.realtime();
        Timestamp { secs: i64::try_from(now.as_secs()).unwrap_or(i64::MAX), nanos: now.subsec_nanos() }
    }

    /// Bytes of cached file content.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes of cached file content that are not written yet.
    pub fn dirty(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    /// A number for `st_dev`, with major number 0, in the form of [`Super::dev`].
    pub(crate) fn new_dev(&self) -> u64 {
        let minor = self.next_dev.fetch_add(1, Ordering::Relaxed);
        (minor & 0xff) | (minor & !0xff) << 12
    }

    pub(crate) fn add(&self, sb: &Arc<Super>) {
        let mut supers = self.supers.lock();
        supers.retain(|s| s.strong_count() > 0);
        supers.push(Arc::downgrade(sb));
    }

    /// All file systems that are mounted.
    pub fn supers(&self) -> Vec<Arc<Super>> {
        self.supers.lock().iter().filter_map(Weak::upgrade).filter(|s| !s.is_gone()).collect()
    }

    /// Writes back what has been dirty for long. To be called no later than it answers, and after [`Host::rearm`], on a thread that may
    /// wait for disks.
    pub fn service(&self, now: Instant) -> Option<Instant> {
        if now.as_nanos() < self.due.load(Ordering::Acquire) {
            return self.next_due();
        }
        self.due.store(u64::MAX, Ordering::Release);
        let old = Instant::from_nanos(now.as_nanos().saturating_sub(DIRTY_EXPIRES.as_nanos() as u64));
        let mut left = false;
        let until = self.host.now() + WRITE_BACK_SLICE;
        for sb in self.supers() {
            left |= sb.write_back_older(Some(old), until);
        }
        if left {
            let after = self.host.now();
            let next = if after > until { after + WRITE_BACK_SLICE } else { now + WRITE_BACK_INTERVAL };
            self.due.fetch_min(next.as_nanos(), Ordering::AcqRel);
        }
        self.next_due()
    }

    fn next_due(&self) -> Option<Instant> {
        let due = self.due.load(Ordering::Acquire);
        (due != u64::MAX).then(|| Instant::from_nanos(due))
    }

    /// Something has become dirty: [`Env::service`] is to be called. Takes no lock; the caller holds none.
    pub(crate) fn arm(&self) {
        if self.due.load(Ordering::Acquire) != u64::MAX {
            return;
        }
        let due = self.host.now() + WRITE_BACK_INTERVAL;
        if self.due.fetch_min(due.as_nanos(), Ordering::AcqRel) == u64::MAX {
            self.host.rearm(due);
        }
    }

    /// Most bytes of file content that are cached.
    fn pages_max(&self) -> usize {
        usize::try_from(self.limits.memory - self.limits.memory / 4).unwrap_or(usize::MAX)
    }

    /// Above this a writer writes back itself.
    pub(crate) fn dirty_max(&self) -> usize {
        self.pages_max() / 2
    }

    pub(crate) fn count_used(&self, more: usize, less: usize) {
        self.used.fetch_add(more, Ordering::Relaxed);
        self.used.fetch_sub(less, Ordering::Relaxed);
    }

    pub(crate) fn count_dirty(&self, more: usize, less: usize) {
        self.dirty.fetch_add(more, Ordering::Relaxed);
        self.dirty.fetch_sub(less, Ordering::Relaxed);
    }

    /// A file has content in memory now.
    pub(crate) fn enlist(&self, pages: &Arc<Pages>) {
        let mut clock = self.clock.lock();
        if clock.files.len() >= clock.tidy_at.max(1024) {
            clock.files.retain(|p| p.strong_count() > 0);
            clock.tidy_at = clock.files.len() * 2;
        }
        clock.files.push_back(Arc::downgrade(pages));
    }

    /// Lets clean pages go until `more` bytes fit, or nothing can go. The caller holds no lock of pages.
    pub(crate) fn make_room(&self, more: usize) {
        let max = self.pages_max();
        if self.used() + more <= max {
            return;
        }
        let mut rounds = self.clock.lock().files.len() * 2 + 2;
        loop {
            let excess = (self.used() + more).saturating_sub(max);
            if excess == 0 || rounds == 0 {
                return;
            }
            rounds -= 1;
            let first = self.clock.lock().files.pop_front();
            let Some(first) = first else { return };
            let Some(pages) = first.upgrade() else { continue };
            // Some more at once: it costs the same to come here for little.
            if pages.reclaim(excess.max(max / 64)) {
                self.clock.lock().files.push_back(first);
            }
        }
    }

    /// Lets all clean pages go (`/proc/sys/vm/drop_caches`).
    pub fn drop_caches(&self) {
        let files = self.clock.lock().files.clone();
        for pages in files.iter().filter_map(Weak::upgrade) {
            pages.drop_clean(0..u64::MAX);
        }
    }

    /// Empty memory for `len` bytes.
    pub(crate) fn buffer(&self, len: usize) -> Vec<u8> {
        let mut buffer = if len == RUN_MAX { self.spare.lock().pop().unwrap_or_default() } else { Vec::new() };
        buffer.clear();
        buffer.reserve_exact(len);
        buffer
    }

    /// Memory with `len` bytes of anything in it, which will all be written over.
    pub(crate) fn filled_buffer(&self, len: usize) -> Vec<u8> {
        let mut buffer = if len == RUN_MAX { self.spare.lock().pop().unwrap_or_default() } else { Vec::new() };
        buffer.resize(len, 0);
        buffer
    }

    /// Memory that is not used any more.
    pub(crate) fn spare(&self, buffer: Vec<u8>) {
        if buffer.len() == RUN_MAX && buffer.capacity() == RUN_MAX {
            let mut spare = self.spare.lock();
            if spare.len() < self.pages_max() / MEMORY_PER_SPARE {
                spare.push(buffer);
            }
        }
    }
}
