//! The clusters of a file that were promised: runs of them that do not touch.

use std::collections::BTreeMap;

/// Runs, by where they start, with where they end.
#[derive(Debug, Default)]
pub(super) struct Promises {
    runs: BTreeMap<u64, u64>,
    count: u64,
}

impl Promises {
    /// How many clusters there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The parts of a run that are not in it.
    pub(super) fn missing(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let (mut parts, mut at) = (Vec::new(), from);
        // The run before may reach into this one.
        let before = self.runs.range(..from).next_back();
        for (&start, &end) in before.into_iter().chain(self.runs.range(from..to)) {
            if end <= at {
                continue;
            }
            if start > at {
                parts.push((at, start));
            }
            at = end;
        }
        if at < to {
            parts.push((at, to));
        }
        parts
    }

    /// Puts a run in that is not in it.
    pub(super) fn insert(&mut self, mut from: u64, mut to: u64) {
        self.count += to - from;
        if let Some((&start, &end)) = self.runs.range(..from).next_back() {
            if end == from {
                from = start;
            }
        }
        if let Some(end) = self.runs.remove(&to) {
            to = end;
        }
        self.runs.insert(from, to);
    }

    /// Takes out what of it is in a run. Answers how much that was.
    pub(super) fn remove(&mut self, from: u64, to: u64) -> u64 {
        let mut count = 0;
        let first = self.runs.range(..from).next_back().filter(|r| *r.1 > from).map(|r| *r.0);
        let starts: Vec<u64> = first.into_iter().chain(self.runs.range(from..to).map(|r| *r.0)).collect();
        for start in starts {
            let Some(end) = self.runs.remove(&start) else { continue };
            if start < from {
                self.runs.insert(start, from);
            }
            if end > to {
                self.runs.insert(to, end);
            }
            count += end.min(to) - start.max(from);
        }
        self.count -= count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_and_split() {
        let mut p = Promises::default();
        p.insert(10, 20);
        p.insert(30, 40);
        assert_eq!(p.missing(0, 50), [(0, 10), (20, 30), (40, 50)]);
        assert_eq!(p.missing(15, 35), [(20, 30)]);
        p.insert(20, 30);
        assert_eq!(p.runs.len(), 1);
        assert!(p.missing(10, 40).is_empty());
        assert_eq!(p.remove(15, 18), 3);
        assert_eq!(p.remove(0, 16), 5);
        assert_eq!(p.remove(35, u64::MAX), 5);
        assert_eq!(p.missing(0, 50), [(0, 18), (35, 50)]);
        assert_eq!((p.count(), p.remove(0, u64::MAX), p.count()), (17, 17, 0));
    }
}
