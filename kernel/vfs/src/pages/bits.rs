//! One bit for each page of a run.

use super::SLOT;

const WORDS: usize = (SLOT / 64) as usize;

/// A set of numbers below [`SLOT`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Bits([u64; WORDS]);

/// The bits of word `word` that are in a range.
fn mask(word: usize, low: u64, high: u64) -> u64 {
    let start = word as u64 * 64;
    let (low, high) = (low.clamp(start, start + 64) - start, high.clamp(start, start + 64) - start);
    let below = |n: u64| if n == 64 { u64::MAX } else { (1 << n) - 1 };
    below(high) & !below(low)
}

impl Bits {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    /// How many of a range there are.
    pub(super) fn count_in(&self, low: u64, high: u64) -> u64 {
        self.0.iter().enumerate().map(|(i, w)| u64::from((w & mask(i, low, high)).count_ones())).sum()
    }

    /// Puts a range in. Answers how many of it were not there.
    pub(super) fn set(&mut self, low: u64, high: u64) -> u64 {
        let before = self.count();
        self.0.iter_mut().enumerate().for_each(|(i, w)| *w |= mask(i, low, high));
        self.count() - before
    }

    /// Takes a range out. Answers how many of it were there.
    pub(super) fn clear(&mut self, low: u64, high: u64) -> u64 {
        let before = self.count();
        self.0.iter_mut().enumerate().for_each(|(i, w)| *w &= !mask(i, low, high));
        before - self.count()
    }

    /// The first one in a range.
    pub(super) fn first_in(&self, low: u64, high: u64) -> Option<u64> {
        let words = self.0.iter().enumerate().map(|(i, w)| (i as u64 * 64, w & mask(i, low, high)));
        words.filter(|(_, w)| *w != 0).map(|(start, w)| start + u64::from(w.trailing_zeros())).next()
    }

    /// How many of a range follow each other from its start on.
    pub(super) fn run_from(&self, low: u64, high: u64) -> u64 {
        let mut inverted = *self;
        inverted.0.iter_mut().for_each(|w| *w = !*w);
        inverted.first_in(low, high).unwrap_or(high.max(low)) - low
    }

    /// Those of a range, counted from its start.
    pub(super) fn part(&self, low: u64, high: u64) -> Self {
        let mut part = Self::default();
        let mut at = low;
        while let Some(first) = self.first_in(at, high) {
            at = first + self.run_from(first, high);
            part.set(first - low, at - low);
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let mut bits = Bits::default();
        assert_eq!((bits.set(60, 130), bits.set(100, 256), bits.count()), (70, 126, 196));
        assert_eq!((bits.first_in(0, 256), bits.first_in(0, 60), bits.first_in(200, 256)), (Some(60), None, Some(200)));
        assert_eq!(bits.clear(64, 128), 64);
        assert_eq!((bits.run_from(60, 256), bits.run_from(128, 256), bits.run_from(0, 256)), (4, 128, 0));
        assert_eq!((bits.count_in(0, 64), bits.count_in(63, 129)), (4, 2));
        let part = bits.part(62, 200);
        assert_eq!((part.first_in(0, 256), part.run_from(0, 256), part.count()), (Some(0), 2, 74));
        assert_eq!(part.first_in(2, 256), Some(66));
    }
}
