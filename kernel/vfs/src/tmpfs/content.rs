//! What a file of a tmpfs holds: runs of pages, with holes between them.

use core::ops::Range;
use std::collections::BTreeMap;

/// Bytes of a page, which is what room is counted in.
pub(super) const PAGE: u64 = 4096;
/// Pages of the longest run.
const RUN_MAX: u64 = 256;
const PAGE_LEN: usize = PAGE as usize;

/// The pages of a file. Those past its end, and the rest of the last one, hold zeroes.
#[derive(Default)]
pub(super) struct Content {
    /// By their first page: runs that do not overlap. What is not in one is a hole.
    runs: BTreeMap<u64, Vec<u8>>,
}

fn pages_of(run: &[u8]) -> u64 {
    run.len() as u64 / PAGE
}

/// The pages that a range of bytes touches.
pub(super) fn touched(bytes: Range<u64>) -> Range<u64> {
    bytes.start / PAGE..bytes.end.div_ceil(PAGE)
}

impl Content {
    /// How many pages there are.
    pub(super) fn pages(&self) -> u64 {
        self.runs.values().map(|run| pages_of(run)).sum()
    }

    /// The run that a page is in.
    fn run_of(&self, page: u64) -> Option<(u64, &Vec<u8>)> {
        let (first, run) = self.runs.range(..=page).next_back()?;
        (page < first + pages_of(run)).then_some((*first, run))
    }

    /// The first page of the next run after `page`.
    fn next_run(&self, page: u64) -> u64 {
        self.runs.range(page..).next().map_or(u64::MAX, |(first, _)| *first)
    }

    /// How many of these pages are holes.
    pub(super) fn missing(&self, pages: Range<u64>) -> u64 {
        let (mut at, mut missing) = (pages.start, 0);
        while at < pages.end {
            match self.run_of(at) {
                Some((first, run)) => at = first + pages_of(run),
                None => {
                    let next = self.next_run(at).min(pages.end);
                    missing += next - at;
                    at = next;
                }
            }
        }
        missing
    }

    /// Copies what begins at `offset`.
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) {
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let left = buf.len() - done;
            let (page, skip) = (at / PAGE, (at % PAGE) as usize);
            let n = match self.run_of(page) {
                Some((first, run)) => {
                    let from = (page - first) as usize * PAGE_LEN + skip;
                    let part = run.get(from..).unwrap_or_default();
                    let n = part.len().min(left);
                    if let (Some(to), Some(part)) = (buf.get_mut(done..done + n), part.get(..n)) {
                        to.copy_from_slice(part);
                    }
                    n
                }
                None => {
                    let hole = (self.next_run(page) - page).saturating_mul(PAGE) - skip as u64;
                    let n = usize::try_from(hole).unwrap_or(usize::MAX).min(left);
                    buf.get_mut(done..done + n).unwrap_or_default().fill(0);
                    n
                }
            };
            done += n;
        }
    }

    /// Writes `data` at `offset`; holes become pages.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let left = data.get(done..).unwrap_or_default();
            let (page, skip) = (at / PAGE, (at % PAGE) as usize);
            done += match self.runs.range_mut(..=page).next_back() {
                Some((first, run)) if page < first + pages_of(run) => {
                    let from = (page - first) as usize * PAGE_LEN + skip;
                    let part = run.get_mut(from..).unwrap_or_default();
                    let n = part.len().min(left.len());
                    if let (Some(to), Some(left)) = (part.get_mut(..n), left.get(..n)) {
                        to.copy_from_slice(left);
                    }
                    n
                }
                _ => self.fill(page, skip, left),
            };
        }
    }

    /// Puts what `data` begins with into a hole, `skip` bytes into `page`. Answers how much of it.
    fn fill(&mut self, page: u64, skip: usize, data: &[u8]) -> usize {
        let hole = self.next_run(page) - page;
        let mut before = self.runs.range_mut(..page).next_back();
        let joins = before.take_if(|(first, run)| **first + pages_of(run) == page && pages_of(run) < RUN_MAX);
        let most = joins.as_ref().map_or(RUN_MAX, |(_, run)| RUN_MAX - pages_of(run)).min(hole);
        let n = data.len().min(most as usize * PAGE_LEN - skip);
        let put = |run: &mut Vec<u8>| {
            run.resize(run.len() + skip, 0);
            run.extend_from_slice(data.get(..n).unwrap_or_default());
            run.resize(run.len().next_multiple_of(PAGE_LEN), 0);
        };
        match joins {
            Some((_, run)) => put(run),
            None => {
                let mut run = Vec::with_capacity((skip + n).next_multiple_of(PAGE_LEN));
                put(&mut run);
                self.runs.insert(page, run);
            }
        }
        n
    }

    /// Makes all these pages zeroes that hold memory.
    pub(super) fn allocate(&mut self, pages: Range<u64>) {
        let mut at = pages.start;
        while at < pages.end {
            if let Some((first, run)) = self.run_of(at) {
                at = first + pages_of(run);
                continue;
            }
            let end = self.next_run(at).min(pages.end).min(at + RUN_MAX);
            self.runs.insert(at, vec![0; (end - at) as usize * PAGE_LEN]);
            at = end;
        }
    }

    /// Makes bytes zeroes; holes stay holes.
    pub(super) fn zero(&mut self, bytes: Range<u64>) {
        let from = self.runs.range(..=bytes.start / PAGE).next_back().map_or(0, |(first, _)| *first);
        for (first, run) in self.runs.range_mut(from..bytes.end.div_ceil(PAGE).max(from)) {
            let start = first * PAGE;
            let len = run.len() as u64;
            let (low, high) = (bytes.start.saturating_sub(start).min(len), bytes.end.saturating_sub(start).min(len));
            run.get_mut(low as usize..high as usize).unwrap_or_default().fill(0);
        }
    }

    /// Splits the run that has `page` inside it, so that one begins there.
    fn split(&mut self, page: u64) {
        if let Some((first, run)) = self.runs.range_mut(..page).next_back() {
            let before = page - first;
            if before < pages_of(run) {
                let rest = run.split_off(before as usize * PAGE_LEN);
                run.shrink_to_fit();
                self.runs.insert(page, rest);
            }
        }
    }

    /// Makes these pages a hole. Answers how many were none.
    pub(super) fn remove(&mut self, pages: Range<u64>) -> u64 {
        if pages.start >= pages.end {
            return 0;
        }
        self.split(pages.start);
        self.split(pages.end);
        let firsts: Vec<u64> = self.runs.range(pages).map(|(first, _)| *first).collect();
        firsts.into_iter().filter_map(|first| self.runs.remove(&first)).map(|run| pages_of(&run)).sum()
    }

    /// Makes a range of bytes a hole: whole pages of it go, the others are zeroed. Answers how many pages went.
    pub(super) fn punch(&mut self, bytes: Range<u64>) -> u64 {
        let whole = bytes.start.div_ceil(PAGE)..bytes.end / PAGE;
        self.zero(bytes);
        self.remove(whole)
    }

    /// Takes pages out; those behind them come in their place. Answers how many were no holes.
    pub(super) fn collapse(&mut self, pages: Range<u64>) -> u64 {
        let gone = self.remove(pages.clone());
        let rest = self.runs.split_off(&pages.end);
        self.runs.extend(rest.into_iter().map(|(first, run)| (first - (pages.end - pages.start), run)));
        gone
    }

    /// Puts `count` pages of hole in before `page`.
    pub(super) fn insert(&mut self, page: u64, count: u64) {
        self.split(page);
        let rest = self.runs.split_off(&page);
        self.runs.extend(rest.into_iter().map(|(first, run)| (first + count, run)));
    }

    /// The first byte at or after `offset` that is in a page.
    pub(super) fn next_data(&self, offset: u64) -> Option<u64> {
        let page = offset / PAGE;
        if self.run_of(page).is_some() {
            return Some(offset);
        }
        self.runs.range(page..).next().map(|(first, _)| first * PAGE)
    }

    /// The first byte at or after `offset` that is in a hole.
    pub(super) fn next_hole(&self, offset: u64) -> u64 {
        let mut page = offset / PAGE;
        while let Some((first, run)) = self.run_of(page) {
            page = first + pages_of(run);
        }
        offset.max(page * PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes() {
        let mut c = Content::default();
        c.write(5000, &[1; 10]);
        c.write(3 * PAGE, &[2; PAGE_LEN]);
        assert_eq!((c.pages(), c.missing(0..4), c.next_data(0), c.next_hole(5000)), (2, 2, Some(4096), 2 * PAGE));
        let mut buf = [9; 20];
        c.read(4995, &mut buf);
        assert_eq!(buf, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
        c.insert(2, 10);
        assert_eq!((c.next_data(2 * PAGE), c.next_data(14 * PAGE)), (Some(13 * PAGE), None));
        assert_eq!(c.collapse(1..3), 1);
        assert_eq!(c.next_data(0), Some(11 * PAGE));
        assert_eq!(c.punch(11 * PAGE + 1..12 * PAGE), 0);
        c.read(11 * PAGE, &mut buf);
        assert_eq!((buf[0], buf[1]), (2, 0));
        assert_eq!(c.punch(11 * PAGE..12 * PAGE), 1);
        assert_eq!(c.pages(), 0);
    }

    #[test]
    fn long_ones_are_runs_of_a_mebibyte() {
        let mut c = Content::default();
        for n in 0..600u64 {
            c.write(n * PAGE, &[n as u8; PAGE_LEN]);
        }
        assert_eq!(c.runs.keys().copied().collect::<Vec<_>>(), [0, 256, 512]);
        c.allocate(500..1000);
        assert_eq!((c.pages(), c.next_hole(0)), (1000, 1000 * PAGE));
        assert_eq!(c.remove(100..1000), 900);
        let mut buf = vec![7; 2 * PAGE_LEN];
        c.read(99 * PAGE, &mut buf);
        assert_eq!((buf[0], buf[PAGE_LEN - 1], buf[PAGE_LEN]), (99, 99, 0));
    }
}
