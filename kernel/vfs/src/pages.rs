//! The content of a file in memory, in runs of pages.
//!
//! A [`Run`] is pages that follow each other in the file, in one piece of memory, so that a run is read, written back and given away as
//! a whole. It never reaches from one mebibyte of the file into the next one. All of it is content; which pages the inode does not
//! have yet (the dirty ones) is a bit for each page.
//!
//! Who may do what: content is changed, and dirty runs are dropped, with the file's lock held exclusively. With it held shared runs may be
//! put in. Clean runs may vanish at any time, when memory is short ([`Pages::reclaim`]).
//!
//! * `bits`: the dirty pages of a run. `streams`: how far to read ahead. `fill`: what a write puts in.
//!
//! Beside: [`Env`], which counts the memory. Above: `node`.

mod bits;
mod fill;
mod streams;

use crate::env::Env;
use bits::Bits;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use fill::{OldPage, Wrote};
use lkl_sync::{Mutex, Rank};
use std::collections::BTreeMap;
use std::sync::Arc;
use streams::Streams;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
pub(crate) const PAGE_U64: u64 = PAGE as u64;
/// Pages that runs do not reach over: each run lies between two multiples of it.
pub(crate) const SLOT: u64 = 256;
/// Bytes of the longest run.
pub(crate) const RUN_MAX: usize = SLOT as usize * PAGE;

/// The multiple of [`SLOT`] that ends the runs of `page`.
fn slot_end(page: u64) -> u64 {
    (page / SLOT + 1) * SLOT
}

/// Pages that follow each other.
struct Run {
    data: Arc<Vec<u8>>,
    dirty: Bits,
    /// Used since it was last thought of letting it go.
    referenced: bool,
    /// What it counts for in [`Env::used`].
    counted: usize,
}

impl Run {
    fn new(data: Arc<Vec<u8>>) -> Self {
        Self { data, dirty: Bits::default(), referenced: false, counted: 0 }
    }

    fn pages(&self) -> u64 {
        (self.data.len() / PAGE) as u64
    }
}

#[derive(Default)]
struct State {
    /// By their first page. They do not overlap.
    runs: BTreeMap<u64, Run>,
    streams: Streams,
    /// Where [`Pages::reclaim`] goes on.
    hand: u64,
    /// Does [`Env`] know of it?
    enlisted: bool,
}

/// A piece of a run that is to be written back.
pub(crate) struct Piece {
    data: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Piece {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.data.get(self.range.clone()).unwrap_or_default()
    }
}

/// What [`Pages::find`] finds.
pub(crate) enum Found {
    /// The page begins at byte `at` of `data`, and what follows is here, too.
    Here { data: Arc<Vec<u8>>, at: usize },
    /// It is not here; as many pages should be read.
    Missing { pages: u64 },
}

/// The cached content of one file.
pub(crate) struct Pages {
    env: Arc<Env>,
    /// Bytes that are dirty.
    dirty: AtomicUsize,
    state: Mutex<State>,
}

impl Pages {
    pub(crate) fn new(env: &Arc<Env>) -> Arc<Self> {
        let state = Mutex::new(Rank::Pages, State::default());
        Arc::new(Self { env: env.clone(), dirty: AtomicUsize::new(0), state })
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty_bytes() > 0
    }

    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    fn count_dirty(&self, more: u64, less: u64) {
        let (more, less) = (more as usize * PAGE, less as usize * PAGE);
        self.dirty.fetch_add(more, Ordering::Relaxed);
        self.dirty.fetch_sub(less, Ordering::Relaxed);
        self.env.count_dirty(more, less);
    }

    /// Counts what a run takes now.
    fn count(&self, run: &mut Run) {
        let now = run.data.capacity();
        self.env.count_used(now, run.counted);
        run.counted = now;
    }

    /// A run is no longer in the table.
    fn forget(&self, run: Run) {
        self.count_dirty(0, run.dirty.count());
        self.env.count_used(0, run.counted);
        if let Ok(data) = Arc::try_unwrap(run.data) {
            self.env.spare(data);
        }
    }

    /// Puts a run in; nothing is in its place.
    fn put(self: &Arc<Self>, state: &mut State, first: u64, mut run: Run) {
        self.count(&mut run);
        state.runs.insert(first, run);
        self.enlist(state);
    }

    /// Looks for a page, of which a program wants those up to `until`, of a file of `end` pages.
    pub(crate) fn find(&self, page: u64, until: u64, end: u64) -> Found {
        let mut state = self.state.lock();
        if let Some((first, run)) = state.runs.range_mut(..=page).next_back() {
            if page < first + run.pages() {
                run.referenced = true;
                return Found::Here { data: run.data.clone(), at: (page - first) as usize * PAGE };
            }
        }
        let next = state.runs.range(page..).next().map_or(u64::MAX, |(first, _)| *first);
        let most = slot_end(page).min(next).min(end.max(page + 1)) - page;
        let pages = state.streams.window(page, until.saturating_sub(page).max(1), most);
        Found::Missing { pages }
    }

    /// Puts pages in that were read, unless others have come in their place meanwhile.
    pub(crate) fn insert(self: &Arc<Self>, first: u64, data: Arc<Vec<u8>>) {
        let mut state = self.state.lock();
        let end = first + (data.len() / PAGE) as u64;
        let before = state.runs.range(..end).next_back();
        if before.is_none_or(|(at, run)| at + run.pages() <= first) {
            self.put(&mut state, first, Run::new(data));
        }
    }

    /// Are these pages here, and all of them dirty?
    pub(crate) fn all_dirty(&self, pages: Range<u64>) -> bool {
        let state = self.state.lock();
        let mut at = pages.start;
        while at < pages.end {
            let Some((first, run)) = state.runs.range(..=at).next_back() else { return false };
            let end = (first + run.pages()).min(pages.end);
            if end <= at || run.dirty.count_in(at - first, end - first) < end - at {
                return false;
            }
            at = end;
        }
        true
    }

    /// The first dirty pages at or after the start of a range, as many as follow each other, up to [`RUN_MAX`] bytes: the number of the
    /// first, and where they are.
    pub(crate) fn next_dirty(&self, range: Range<u64>) -> Option<(u64, Vec<Piece>)> {
        if !self.is_dirty() {
            return None;
        }
        let state = self.state.lock();
        // The run before the range's start may reach into it.
        let from = state.runs.range(..=range.start).next_back().map_or(range.start, |(first, _)| *first);
        let (mut start, mut at, mut pieces) = (None, 0, Vec::new());
        for (&first, run) in state.runs.range(from..range.end.max(from)) {
            let (low, high) = (range.start.max(first) - first, run.pages().min(range.end.saturating_sub(first)));
            let mut low = low;
            if start.is_none() {
                let Some(found) = run.dirty.first_in(low, high) else { continue };
                (start, at, low) = (Some(first + found), first + found, found);
            }
            if first + low != at {
                break;
            }
            let most = SLOT - (at - start.unwrap_or(at));
            let n = run.dirty.run_from(low, high.min(low + most));
            if n > 0 {
                let bytes = low as usize * PAGE..(low + n) as usize * PAGE;
                pieces.push(Piece { data: run.data.clone(), range: bytes });
            }
            at += n;
            if low + n < run.pages() {
                break;
            }
        }
        start.map(|start| (start, pieces))
    }

    /// The inode has these pages now.
    pub(crate) fn clean(self: &Arc<Self>, pages: Range<u64>) {
        let mut state = self.state.lock();
        let from = state.runs.range(..=pages.start).next_back().map_or(pages.start, |(first, _)| *first);
        let mut cleaned = 0;
        for (&first, run) in state.runs.range_mut(from..pages.end.max(from)) {
            let low = pages.start.max(first) - first;
            let high = run.pages().min(pages.end - first);
            cleaned += run.dirty.clear(low, high);
        }
        self.count_dirty(0, cleaned);
        self.enlist(&mut state);
    }

    /// Has [`Env`] know of it, if there is anything.
    fn enlist(self: &Arc<Self>, state: &mut State) {
        if !state.enlisted && !state.runs.is_empty() {
            state.enlisted = true;
            self.env.enlist(self);
        }
    }

    /// Lets pages go, dirty ones as well.
    pub(crate) fn discard(self: &Arc<Self>, pages: Range<u64>) {
        self.cut(pages, |_| true);
    }

    /// Lets pages go, of those runs that are clean.
    pub(crate) fn drop_clean(self: &Arc<Self>, pages: Range<u64>) {
        self.cut(pages, |run| run.dirty.count() == 0);
    }

    fn cut(self: &Arc<Self>, pages: Range<u64>, which: impl Fn(&Run) -> bool) {
        if pages.start >= pages.end {
            return;
        }
        let mut state = self.state.lock();
        let from = state.runs.range(..=pages.start).next_back().map_or(pages.start, |(first, _)| *first);
        let of_range = state.runs.range(from..pages.end.max(from));
        let touched = of_range.filter(|(first, run)| **first + run.pages() > pages.start && which(run));
        let firsts: Vec<u64> = touched.map(|(first, _)| *first).collect();
        for first in firsts {
            let Some(run) = state.runs.remove(&first) else { continue };
            let end = first + run.pages();
            // What lies before the range, and behind it.
            for (low, high) in [(first, pages.start.min(end)), (pages.end.max(first), end)] {
                if low < high {
                    self.keep(&mut state, (first, &run), low - first..high - first);
                }
            }
            self.forget(run);
        }
    }

    /// Lets all go.
    pub(crate) fn clear(&self) {
        let runs = core::mem::take(&mut self.state.lock().runs);
        for run in runs.into_values() {
            self.forget(run);
        }
    }

    /// Lets clean pages go that were not used lately, until `excess` bytes are free. Answers whether any are left; if not, [`Env`] need not
    /// ask again until there are.
    pub(crate) fn reclaim(self: &Arc<Self>, excess: usize) -> bool {
        // Who has the lock may be at work on this content for long; others have some, too.
        let Some(mut state) = self.state.try_lock() else { return true };
        let (mut freed, hand) = (0, state.hand);
        let (mut gone, mut left) = (Vec::new(), false);
        'around: for range in [hand..u64::MAX, 0..hand] {
            for (&first, run) in state.runs.range_mut(range) {
                if freed >= excess {
                    left = true;
                    break 'around;
                }
                let kept = run.dirty.count() as usize * PAGE;
                if kept > run.counted / 2 {
                    continue;
                }
                // A run that is dirty in part is worth a copy of that part if it is not more than half of it.
                if core::mem::take(&mut run.referenced) {
                    left = true;
                } else {
                    freed += run.counted - kept;
                    gone.push(first);
                }
            }
        }
        for first in gone {
            state.hand = first + 1;
            let Some(run) = state.runs.remove(&first) else { continue };
            let mut at = 0;
            while let Some(low) = run.dirty.first_in(at, run.pages()) {
                at = low + run.dirty.run_from(low, run.pages());
                self.keep(&mut state, (first, &run), low..at);
            }
            self.forget(run);
        }
        state.enlisted = left;
        left
    }

    /// Puts in a copy of some pages of a run, which has been taken out.
    fn keep(self: &Arc<Self>, state: &mut State, (first, run): (u64, &Run), pages: Range<u64>) {
        let bytes = pages.start as usize * PAGE..pages.end as usize * PAGE;
        let mut part = Run::new(Arc::new(run.data.get(bytes).unwrap_or_default().to_vec()));
        part.dirty = run.dirty.part(pages.start, pages.end);
        part.referenced = run.referenced;
        self.count_dirty(part.dirty.count(), 0);
        self.put(state, first + pages.start, part);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.clear();
    }
}
