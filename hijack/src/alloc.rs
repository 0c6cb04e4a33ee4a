//! The library's own heap, over private maps.
//!
//! The program's `malloc` is the program's: it may be a hooked one, it may be in the middle of its own start, and it may
//! call us. So nothing in this library calls it. Blocks up to 256 KiB come from free lists by size class (four to
//! each doubling, so at most a quarter is wasted), in a few shards so that threads seldom meet; larger ones are maps
//! of their own.
//!
//! Rust's collections end the program when there is no memory for them. So some address space is kept in reserve: when the host
//! gives no more (`RLIMIT_AS`), calls that are on their way live on it, and new ones that would take memory are refused
//! ([`Heap::is_short`]), until enough has been given back.

use crate::sys::host;
use crate::thread::{self, Thread};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::hint;
use core::ptr::{self, null_mut};
use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicU8, AtomicUsize, Ordering};

/// The smallest class, in bytes; blocks are aligned to it at least.
const MIN: usize = 16;
/// The greatest class, in bytes.
const MAX: usize = 256 * 1024;
/// 16, 20, 24, 28 | 32, 40, 48, 56 | ... | 262144
const CLASSES: usize = (MAX.trailing_zeros() - MIN.trailing_zeros()) as usize * 4 + 1;
const SHARDS: usize = 8;
/// Fresh memory is mapped in pieces of this size.
const CHUNK: usize = 1 << 20;
const PAGE: usize = 4096;
/// Address space that is kept for when the host gives no more, in bytes.
const RESERVE: usize = 16 << 20;
/// With so many bytes in the free lists calls go on.
const ENOUGH: isize = 4 << 20;

/// The greatest size whose class is looked up, in bytes.
const SMALL: usize = 1024;

/// The classes of the multiples of [`MIN`], from 0 to [`SMALL`].
static SMALL_CLASSES: [u8; SMALL / MIN + 1] = {
    let mut classes = [0; SMALL / MIN + 1];
    let mut i = 0;
    while i < classes.len() {
        classes[i] = class_of(i * MIN) as u8;
        i += 1;
    }
    classes
};

/// The class of a size, which is at most [`MAX`].
const fn class_of(size: usize) -> usize {
    if size <= MIN {
        return 0;
    }
    let log = (usize::BITS - 1 - (size - 1).leading_zeros()) as usize;
    // `2^log < size <= 2^(log+1)`: quarters of 2^log.
    let quarter = (size - 1 - (1 << log)) >> (log - 2);
    (log - MIN.trailing_zeros() as usize) * 4 + quarter + 1
}

/// The size of a class's blocks, in bytes.
fn size_of_class(class: usize) -> usize {
    if class == 0 {
        return MIN;
    }
    let log = (class - 1) / 4 + MIN.trailing_zeros() as usize;
    let quarter = (class - 1) % 4 + 1;
    (1 << log) + (quarter << (log - 2))
}

/// The size and alignment that a layout is served with: blocks of a class are aligned to the greatest power of two
/// that divides the class's size, so a greater alignment is got by rounding the size up to it.
#[inline]
fn class_for(layout: &Layout) -> Option<usize> {
    if layout.align() <= MIN && layout.size() <= SMALL {
        return Some(SMALL_CLASSES[layout.size().div_ceil(MIN)].into());
    }
    class_for_others(layout)
}

fn class_for_others(layout: &Layout) -> Option<usize> {
    let align = layout.align().max(MIN);
    if align > PAGE {
        return None;
    }
    let size =
        if align > MIN { layout.size().next_power_of_two().max(align) } else { (layout.size() + MIN - 1) & !(MIN - 1) };
    (size <= MAX).then(|| class_of(size))
}

/// A lock that can be held across a fork. It knows whether one of the library's own threads holds it or one of the program's.
pub(crate) struct Spin(AtomicU8);

impl Spin {
    const FREE: u8 = 0;
    const PROGRAM: u8 = 1;
    const LIBRARY: u8 = 2;

    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(Self::FREE))
    }

    pub(crate) fn lock(&self) {
        self.lock_as(thread::current());
    }

    /// [`Spin::lock`], for the calling thread, which is `t`.
    #[inline]
    fn lock_as(&self, t: &Thread) {
        let me = if t.is_ours() { Self::LIBRARY } else { Self::PROGRAM };
        if self.0.compare_exchange_weak(Self::FREE, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait_as(me);
        }
    }

    #[cold]
    fn wait_as(&self, me: u8) {
        let mut spins = 0u32;
        while self.0.compare_exchange_weak(Self::FREE, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.0.load(Ordering::Relaxed) != Self::FREE {
                spins += 1;
                if spins.is_multiple_of(64) {
                    // The holder may have lost its CPU.
                    // SAFETY: no arguments.
                    let _ok = unsafe { host!(libc::SYS_sched_yield) };
                }
                hint::spin_loop();
            }
        }
    }

    pub(crate) fn unlock(&self) {
        self.0.store(Self::FREE, Ordering::Release);
    }

    /// The program has been killed: if it held the lock, `mend` is called under it, and it is given back.
    fn inherit(&self, mend: impl FnOnce()) {
        // Two threads may find out at once.
        if self.0.compare_exchange(Self::PROGRAM, Self::LIBRARY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            mend();
            self.unlock();
        }
    }
}

#[repr(align(64))]
struct Shard {
    lock: Spin,
    lists: UnsafeCell<[*mut Free; CLASSES]>,
}

struct Free {
    next: *mut Free,
}

struct Fresh {
    lock: Spin,
    range: UnsafeCell<(usize, usize)>,
}

/// The heap.
pub(crate) struct Heap {
    shards: [Shard; SHARDS],
    fresh: Fresh,
    reserve: Fresh,
    /// The host has given no memory, and nothing has made up for it yet.
    short: AtomicBool,
    /// Bytes that have come back to the free lists since, less those that were taken from there.
    back: AtomicIsize,
}

// SAFETY: lists and ranges are only touched under their locks.
unsafe impl Sync for Heap {}

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

/// The calling thread's shard.
#[inline]
fn shard_of(t: &Thread) -> usize {
    match t.shard.get() {
        0 => first_shard(t),
        n => n as usize - 1,
    }
}

#[cold]
fn first_shard(t: &Thread) -> usize {
    let shard = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
    t.shard.set(shard as u32 + 1);
    shard
}

/// Maps fresh memory; null if there is none.
pub(crate) fn map(size: usize) -> *mut u8 {
    const PROT: i32 = libc::PROT_READ | libc::PROT_WRITE;
    const FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new map at an address of the host's choice touches nobody's memory.
    unsafe { host!(libc::SYS_mmap, 0usize, size, PROT, FLAGS, -1i32, 0usize) }
        .map_or(null_mut(), |p| p as usize as *mut u8)
}

/// Gives a map back.
///
/// # Safety
/// `at..at + size` came from [`map`] and nobody uses it.
pub(crate) unsafe fn unmap(at: *mut u8, size: usize) {
    // SAFETY: by the contract.
    let _ok = unsafe { host!(libc::SYS_munmap, at, size) };
}

fn pages(size: usize) -> usize {
    (size + PAGE - 1) & !(PAGE - 1)
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self {
            shards: [const { Shard { lock: Spin::new(), lists: UnsafeCell::new([null_mut(); CLASSES]) } }; SHARDS],
            fresh: Fresh { lock: Spin::new(), range: UnsafeCell::new((0, 0)) },
            reserve: Fresh { lock: Spin::new(), range: UnsafeCell::new((0, 0)) },
            short: AtomicBool::new(false),
            back: AtomicIsize::new(0),
        }
    }

    /// Is there so little memory that nothing is to be begun that takes some?
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed) && !self.recover()
    }

    #[cold]
    fn recover(&self) -> bool {
        self.back.load(Ordering::Relaxed) > ENOUGH || self.keep_reserve()
    }

    /// Makes the reserve whole. Answers whether the host has given it.
    pub(crate) fn keep_reserve(&self) -> bool {
        let at = map(RESERVE);
        if at.is_null() {
            return false;
        }
        self.reserve.lock.lock();
        // SAFETY: under the lock.
        let (from, to) = unsafe { self.reserve.range.get().replace((at as usize, at as usize + RESERVE)) };
        self.reserve.lock.unlock();
        if from < to {
            // SAFETY: nobody has had it yet.
            unsafe { unmap(from as *mut u8, to - from) };
        }
        self.back.store(0, Ordering::Relaxed);
        self.short.store(false, Ordering::Relaxed);
        true
    }

    /// Fresh memory, whole pages: the host's, or some of the reserve. Null if there is neither.
    fn more(&self, size: usize) -> *mut u8 {
        let at = map(size);
        if !at.is_null() {
            return at;
        }
        self.short.store(true, Ordering::Relaxed);
        self.reserve.lock.lock();
        // SAFETY: under the lock.
        let range = unsafe { &mut *self.reserve.range.get() };
        let at = range.0;
        let there = range.1 - at >= size;
        if there {
            range.0 += size;
        }
        self.reserve.lock.unlock();
        if there {
            at as *mut u8
        } else {
            null_mut()
        }
    }

    /// While memory is short: so many blocks of a class came back to the free lists.
    #[inline]
    fn count(&self, class: usize, blocks: isize) {
        if self.short.load(Ordering::Relaxed) {
            self.back.fetch_add(blocks * size_of_class(class) as isize, Ordering::Relaxed);
        }
    }

    /// Takes every lock, so that a child of `fork` finds the lists whole.
    pub(crate) fn freeze(&self) {
        for s in &self.shards {
            s.lock.lock();
        }
        self.fresh.lock.lock();
        self.reserve.lock.lock();
    }

    /// Gives the locks of [`Heap::freeze`] back, in the parent and in the child.
    pub(crate) fn thaw(&self) {
        self.reserve.lock.unlock();
        self.fresh.lock.unlock();
        for s in &self.shards {
            s.lock.unlock();
        }
    }

    /// The program has been killed, with all its threads, and the keeper goes on with the memory: what the program held is free again.
    /// Blocks in a list that it may have been changing are given up.
    pub(crate) fn program_gone(&self) {
        for s in &self.shards {
            // SAFETY: the lock's holder is no more, so this is under it.
            s.lock.inherit(|| unsafe { *s.lists.get() = [null_mut(); CLASSES] });
        }
        // SAFETY: the same.
        self.fresh.lock.inherit(|| unsafe { *self.fresh.range.get() = (0, 0) });
        // SAFETY: the same.
        self.reserve.lock.inherit(|| unsafe { *self.reserve.range.get() = (0, 0) });
    }

    /// `size` bytes that were never used, aligned as blocks of the class are.
    fn carve(&self, size: usize) -> *mut u8 {
        let align = 1usize << size.trailing_zeros().min(PAGE.trailing_zeros());
        self.fresh.lock.lock();
        // SAFETY: under the lock.
        let range = unsafe { &mut *self.fresh.range.get() };
        let mut at = (range.0 + align - 1) & !(align - 1);
        if range.0 == 0 || at + size > range.1 {
            let chunk = self.more(CHUNK) as usize;
            if chunk == 0 {
                self.fresh.lock.unlock();
                return null_mut();
            }
            // What is left of the old piece is given up: untouched memory costs nothing.
            *range = (chunk, chunk + CHUNK);
            at = chunk;
        }
        range.0 = at + size;
        self.fresh.lock.unlock();
        at as *mut u8
    }

    #[inline]
    fn take(&self, class: usize) -> *mut u8 {
        let t = thread::current();
        let shard = &self.shards[shard_of(t)];
        shard.lock.lock_as(t);
        // SAFETY: under the lock; the list's blocks are free and hold the link.
        let block = unsafe {
            let head = &mut (*shard.lists.get())[class];
            let block = *head;
            if !block.is_null() {
                *head = (*block).next;
            }
            block
        };
        shard.lock.unlock();
        if block.is_null() {
            return self.take_elsewhere(shard, class);
        }
        self.count(class, -1);
        block.cast()
    }

    #[cold]
    fn take_elsewhere(&self, shard: &Shard, class: usize) -> *mut u8 {
        match self.steal(shard, class) {
            block if block.is_null() => self.carve(size_of_class(class)),
            block => block.cast(),
        }
    }

    /// Moves all that another shard has of a class to `to`, and takes one of it; null if no shard has any. What one
    /// thread gets and another gives back (packets) thus goes round.
    fn steal(&self, to: &Shard, class: usize) -> *mut Free {
        let used = NEXT_SHARD.load(Ordering::Relaxed).min(SHARDS);
        for from in self.shards.iter().take(used).filter(|s| !ptr::eq(*s, to)) {
            // SAFETY: a glance without the lock, at an aligned word that others change: what it says may be old.
            if unsafe { ptr::addr_of!((*from.lists.get())[class]).read_volatile() }.is_null() {
                continue;
            }
            from.lock.lock();
            // SAFETY: under the lock.
            let block = unsafe { core::mem::replace(&mut (*from.lists.get())[class], null_mut()) };
            from.lock.unlock();
            if block.is_null() {
                continue;
            }
            to.lock.lock();
            // SAFETY: under the lock; `block` is ours. Others may have given blocks meanwhile: those are put behind ours.
            unsafe {
                let head = &mut (*to.lists.get())[class];
                let more = core::mem::replace(head, (*block).next);
                if !more.is_null() {
                    let mut last: *mut Free = block;
                    while !(*last).next.is_null() {
                        last = (*last).next;
                    }
                    (*last).next = more;
                    *head = (*block).next;
                }
            }
            to.lock.unlock();
            return block;
        }
        null_mut()
    }

    #[inline]
    fn give(&self, class: usize, block: *mut u8) {
        let t = thread::current();
        let shard = &self.shards[shard_of(t)];
        let block: *mut Free = block.cast();
        self.count(class, 1);
        shard.lock.lock_as(t);
        // SAFETY: under the lock; the block is ours again, at least 16 bytes and aligned for a pointer.
        unsafe {
            let head = &mut (*shard.lists.get())[class];
            (*block).next = *head;
            *head = block;
        }
        shard.lock.unlock();
    }
}

// SAFETY: blocks come from free lists or fresh maps, so they are disjoint, of the size of their class or map, and
// aligned as `class_for` explains (maps: to a page, and greater alignments by mapping more).
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_for(&layout) {
            Some(class) => self.take(class),
            None if layout.align() <= PAGE => self.more(pages(layout.size())),
            // Nobody asks for more than a page's alignment here.
            None => null_mut(),
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match class_for(&layout) {
            Some(class) => self.give(class, at),
            // SAFETY: it was mapped with this size.
            None => unsafe { unmap(at, pages(layout.size())) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        let at = unsafe { self.alloc(layout) };
        if !at.is_null() && class_for(&layout).is_some() {
            // SAFETY: the block has this size. Fresh maps are zero already.
            unsafe { ptr::write_bytes(at, 0, layout.size()) };
        }
        at
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller vouches for `new_size` with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (class_for(&layout), class_for(&new)) {
            (Some(a), Some(b)) if a == b => at,
            (None, None) if layout.align() <= PAGE => {
                let (old, new) = (pages(layout.size()), pages(new_size));
                // SAFETY: it was mapped with the old size, and the caller gives up the old address.
                if let Ok(p) = unsafe { host!(libc::SYS_mremap, at, old, new, libc::MREMAP_MAYMOVE) } {
                    return p as usize as *mut u8;
                }
                let to = self.more(new);
                if !to.is_null() {
                    // SAFETY: two disjoint maps of these sizes.
                    unsafe {
                        ptr::copy_nonoverlapping(at, to, old.min(new));
                        unmap(at, old);
                    }
                }
                to
            }
            _ => {
                // SAFETY: two disjoint blocks; the smaller size is copied.
                unsafe {
                    let to = self.alloc(new);
                    if !to.is_null() {
                        ptr::copy_nonoverlapping(at, to, layout.size().min(new_size));
                        self.dealloc(at, layout);
                    }
                    to
                }
            }
        }
    }
}

/// The heap that this library's Rust code allocates from.
#[cfg_attr(not(test), global_allocator)]
pub(crate) static HEAP: Heap = Heap::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_sizes() {
        for size in 1..=MAX {
            let c = class_of(size);
            assert!(c < CLASSES && size_of_class(c) >= size, "{size}");
            assert!(c == 0 || size_of_class(c - 1) < size.max(MIN), "{size}: class {c} is not the smallest");
        }
        assert_eq!(class_of(MAX), CLASSES - 1);
    }

    #[test]
    fn what_a_killed_program_held_is_free_again() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(100, 1).unwrap();
        // SAFETY: a layout of non-zero size.
        let old = unsafe { heap.alloc(layout) };
        heap.freeze();
        heap.program_gone();
        // SAFETY: the same; the old block is given back to a list that is empty.
        let new = unsafe { heap.alloc(layout) };
        assert!(!new.is_null() && new != old);
        // SAFETY: both are held, with this layout.
        unsafe {
            heap.dealloc(old, layout);
            heap.dealloc(new, layout);
            assert_eq!(heap.alloc(layout), new);
        }
    }

    #[test]
    fn the_reserve_lasts_until_memory_comes_back() {
        let heap = Heap::new();
        let layout = Layout::from_size_align(MAX, 1).unwrap();
        assert!(heap.keep_reserve() && !heap.is_short());
        // As if the host had said no.
        heap.short.store(true, Ordering::Relaxed);
        // SAFETY: a layout of non-zero size.
        let held: Vec<_> = (0..32).map(|_| unsafe { heap.alloc(layout) }).collect();
        assert!(held.iter().all(|p| !p.is_null()));
        // SAFETY: held, with this layout.
        held.iter().for_each(|p| unsafe { heap.dealloc(*p, layout) });
        assert!(heap.back.load(Ordering::Relaxed) > ENOUGH && !heap.is_short());
        // This one makes the reserve whole again, for here the host says yes.
        heap.back.store(0, Ordering::Relaxed);
        assert!(!heap.is_short() && !heap.short.load(Ordering::Relaxed));
    }

    #[test]
    fn blocks_are_disjoint_and_aligned() {
        let heap = Heap::new();
        let mut held = Vec::new();
        let mut seed = 1u32;
        for i in 0..20_000usize {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let size = 1 + (seed >> 8) as usize % if i % 50 == 0 { 600_000 } else { 3_000 };
            let align = 1 << ((seed >> 3) % 9);
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: a layout of non-zero size.
            let p = unsafe { heap.alloc(layout) };
            assert!(!p.is_null() && (p as usize).is_multiple_of(align));
            // SAFETY: the block has this size.
            unsafe { ptr::write_bytes(p, i as u8, size) };
            held.push((p, layout, i as u8));
            if i % 3 != 0 {
                let at = (seed >> 5) as usize % held.len();
                let (p, layout, mark) = held.swap_remove(at);
                // SAFETY: it is held, with this layout; `realloc` moves it, then it is given back.
                unsafe {
                    assert!((0..layout.size()).all(|o| *p.add(o) == mark));
                    let n = layout.size() * 2;
                    let q = heap.realloc(p, layout, n);
                    assert!((0..layout.size()).all(|o| *q.add(o) == mark));
                    heap.dealloc(q, Layout::from_size_align(n, layout.align()).unwrap());
                }
            }
        }
        for (p, layout, mark) in held {
            // SAFETY: it is held, with this layout.
            unsafe {
                assert!((0..layout.size()).all(|o| *p.add(o) == mark));
                heap.dealloc(p, layout);
            }
        }
    }
}
