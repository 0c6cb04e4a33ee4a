//! A set of positions, as ranges that neither overlap nor touch.

use std::collections::BTreeMap;

/// The set.
#[derive(Clone, Default, Debug)]
pub(super) struct Ranges {
    /// Start to end (exclusive).
    map: BTreeMap<u64, u64>,
    len: u64,
}

impl Ranges {
    /// No positions.
    pub(super) const NONE: Self = Self { map: BTreeMap::new(), len: 0 };

    /// Puts `start..end` in; answers the range that holds it now and how many positions are new.
    pub(super) fn insert(&mut self, start: u64, end: u64) -> ((u64, u64), u64) {
        if start >= end {
            return ((start, start), 0);
        }
        let (mut from, mut to, mut old) = (start, end, 0);
        if let Some((&s, &e)) = self.map.range(..=start).next_back() {
            if e >= start {
                (from, to) = (s, to.max(e));
            }
        }
        // Takes out all that the new one swallows; each was put in once, so this is O(log n) on average.
        while let Some((&s, &e)) = self.map.range(from..=to).next() {
            to = to.max(e);
            old += e - s;
            self.map.remove(&s);
        }
        self.map.insert(from, to);
        let new = (to - from) - old;
        self.len += new;
        ((from, to), new)
    }

    /// Takes out all below `position`; answers how many positions that were.
    pub(super) fn remove_below(&mut self, position: u64) -> u64 {
        let mut gone = 0;
        while let Some((&s, &e)) = self.map.first_key_value() {
            if s >= position {
                break;
            }
            self.map.remove(&s);
            gone += e.min(position) - s;
            if e > position {
                self.map.insert(position, e);
            }
        }
        self.len -= gone;
        gone
    }

    /// The range that holds `position`.
    pub(super) fn containing(&self, position: u64) -> Option<(u64, u64)> {
        self.map.range(..=position).next_back().map(|(&s, &e)| (s, e)).filter(|(_, e)| *e > position)
    }

    /// The parts of `start..end` that are not in the set.
    pub(super) fn gaps(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = start;
        if let Some((_, e)) = self.containing(start) {
            at = e;
        }
        while at < end {
            match self.map.range(at..end).next() {
                Some((&s, &e)) => {
                    if s > at {
                        gaps.push((at, s));
                    }
                    at = e;
                }
                None => {
                    gaps.push((at, end));
                    break;
                }
            }
        }
        gaps
    }

    /// Positions in the set.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Number of ranges.
    pub(super) fn count(&self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The end of the highest range.
    pub(super) fn highest(&self) -> Option<u64> {
        self.map.last_key_value().map(|(_, &e)| e)
    }

    /// All ranges, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.map.iter().map(|(&s, &e)| (s, e))
    }

    pub(super) fn clear(&mut self) {
        self.map.clear();
        self.len = 0;
    }
}
