//! What a write puts into the pages: one copy, from the program's memory to where it stays until it is written back.

use super::{slot_end, Pages, Run, State, PAGE, PAGE_U64, RUN_MAX, SLOT};
use crate::transfer::Source;
use std::sync::Arc;

/// Most bytes by which a run becomes longer at once than it must be.
const GROWTH_MAX: usize = 256 << 10;

/// A page as the inode has it.
pub(crate) struct OldPage {
    pub(crate) page: u64,
    pub(crate) content: Vec<u8>,
}

/// How a write went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrote {
    /// All of it, or all that the source could give.
    All,
    /// Part of this page stays, which is not here: it is to be read, and the rest to be written with it.
    Needs(u64),
}

/// The part of a write that has no pages yet.
struct Gap {
    /// Its first page.
    page: u64,
    /// Bytes of that page before what is written.
    skip: usize,
    /// Bytes to be written.
    len: usize,
}

impl Pages {
    /// Writes `len` bytes from `offset` on, which lie in one slot, into a file that has `size` bytes, with its lock held exclusively.
    /// Answers how many bytes were written. `old` is a page that an earlier call needed.
    pub(crate) fn write(
        self: &Arc<Self>,
        (offset, len, size): (u64, usize, u64),
        source: &mut dyn Source,
        mut old: Option<OldPage>,
    ) -> (usize, Wrote) {
        let mut state = self.state.lock();
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let (page, skip) = (at / PAGE_U64, (at % PAGE_U64) as usize);
            let (got, wanted) = match state.runs.range_mut(..=page).next_back() {
                Some((first, run)) if page < first + run.pages() => {
                    let from = (page - first) as usize * PAGE + skip;
                    let (got, wanted) = overwrite(run, from, len - done, source);
                    if got > 0 {
                        let end = (from + got).div_ceil(PAGE) as u64;
                        let dirtied = run.dirty.set(page - first, end);
                        self.count_dirty(dirtied, 0);
                    }
                    (got, wanted)
                }
                _ => {
                    let next = state.runs.range(page..).next().map_or(u64::MAX, |(first, _)| *first);
                    let room = (slot_end(page).min(next) - page) as usize * PAGE - skip;
                    let mut gap = Gap { page, skip, len: room.min(len - done) };
                    let end = at + gap.len as u64;
                    if end % PAGE_U64 != 0 && end < size && end / PAGE_U64 > page {
                        // The page that it ends in keeps some of what it has: by itself, in the next round.
                        gap.len -= (end % PAGE_U64) as usize;
                    }
                    let whole = skip == 0 && (gap.len >= PAGE || at + gap.len as u64 >= size);
                    if !whole && page * PAGE_U64 < size && old.as_ref().is_none_or(|o| o.page != page) {
                        return (done, Wrote::Needs(page));
                    }
                    let old = old.take_if(|o| o.page == page);
                    (self.fill(&mut state, &gap, (source, size), old), gap.len)
                }
            };
            done += got;
            if got < wanted {
                break;
            }
        }
        (done, Wrote::All)
    }

    /// Fills a gap, at the end of the run before it or as a new run.
    fn fill(
        self: &Arc<Self>,
        state: &mut State,
        gap: &Gap,
        (source, size): (&mut dyn Source, u64),
        old: Option<OldPage>,
    ) -> usize {
        let before = state.runs.range(..gap.page).next_back().map(|(first, run)| (*first, first + run.pages()));
        let joins = before.filter(|b| b.1 == gap.page && b.0 / SLOT == gap.page / SLOT).map(|b| b.0);
        let first = joins.unwrap_or(gap.page);
        let mut run = match joins.and_then(|first| state.runs.remove(&first)) {
            Some(run) => run,
            None => Run::new(Arc::new(self.room_for(gap, size))),
        };
        let most = (slot_end(first) - first) as usize * PAGE;
        let data = Arc::make_mut(&mut run.data);
        let start = data.len();
        let need = start + (gap.skip + gap.len).next_multiple_of(PAGE);
        if need > data.capacity() {
            // Who has appended to it once does so again: let it grow to twice its length, so that it is not copied each time.
            data.reserve_exact(need.max(start + start.min(GROWTH_MAX)).min(most) - start);
        }
        let old = old.map(|o| o.content).unwrap_or_default();
        data.extend_from_slice(old.get(..gap.skip).unwrap_or_default());
        data.resize(start + gap.skip, 0);
        let mut got = source.append(data, gap.len);
        let tail = data.len() % PAGE;
        let rest = if gap.skip + got < PAGE { old.get(tail..).unwrap_or_default() } else { &[] };
        let end = gap.page * PAGE_U64 + (gap.skip + got) as u64;
        if got < gap.len && tail != 0 && rest.is_empty() && end < size {
            // The rest of that page was to be written as well, and it is not known what is in it.
            got = got.saturating_sub(tail);
        }
        if got == 0 {
            data.truncate(start);
        } else {
            data.truncate(start + gap.skip + got);
            if data.len() % PAGE != 0 {
                data.extend_from_slice(rest);
                data.resize(data.len().next_multiple_of(PAGE), 0);
            }
        }
        let (from, to) = (gap.page - first, (data.len() / PAGE) as u64);
        if to > from {
            let dirtied = run.dirty.set(from, to);
            self.count_dirty(dirtied, 0);
        }
        if run.pages() > 0 {
            self.put(state, first, run);
        }
        got
    }

    /// Memory for a new run: all of a slot for a long file that is written at its end, for it will be filled.
    fn room_for(&self, gap: &Gap, size: u64) -> Vec<u8> {
        let need = (gap.skip + gap.len).next_multiple_of(PAGE);
        let appends = gap.page * PAGE_U64 >= size && gap.page % SLOT == 0 && gap.page > 0;
        if need == RUN_MAX || appends && size >= RUN_MAX as u64 {
            return self.env.buffer(RUN_MAX);
        }
        Vec::with_capacity(need)
    }
}

/// Writes into a run from byte `from` on, `len` bytes or up to its end. Answers how many were written, and how many were to be.
fn overwrite(run: &mut Run, from: usize, len: usize, source: &mut dyn Source) -> (usize, usize) {
    let data = Arc::make_mut(&mut run.data);
    let end = data.len().min(from + len);
    let part = data.get_mut(from..end).unwrap_or_default();
    let wanted = part.len();
    (source.get(part), wanted)
}
