//! How far to read ahead: who reads a file from one end to the other is found out by where pages are missing.

use super::SLOT;

/// So many readers of one file are told apart.
const STREAMS: usize = 4;
/// What is read at the beginning of a file, and at least for a reader who has gone on, in pages.
const FIRST: u64 = 16;

/// One who has read.
#[derive(Clone, Copy, Default)]
struct Stream {
    /// The page after those that were read.
    next: u64,
    /// How many those were.
    window: u64,
}

/// Those who have read a file lately, the last one first.
#[derive(Default)]
pub(super) struct Streams([Stream; STREAMS]);

impl Streams {
    /// `page` is missing, of which `wanted` are asked for: how many pages to read, of `most` that can be.
    pub(super) fn window(&mut self, page: u64, wanted: u64, most: u64) -> u64 {
        let known = self.0.iter().position(|s| s.window > 0 && s.next == page);
        let window = match known.and_then(|i| self.0.get(i)) {
            // He goes on where he was.
            Some(stream) => stream.window.saturating_mul(4).clamp(FIRST, SLOT).max(wanted),
            None if page == 0 => wanted.max(FIRST),
            None => wanted,
        };
        let pages = window.min(most).max(1);
        let place = known.unwrap_or(STREAMS - 1);
        if let Some(front) = self.0.get_mut(..=place) {
            front.rotate_right(1);
        }
        if let Some(first) = self.0.first_mut() {
            // A window that was cut short, by the end of a run, stays as wide as it was meant to be.
            *first = Stream { next: page + pages, window: window.min(SLOT) };
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_is_given_more() {
        let mut s = Streams::default();
        assert_eq!(s.window(0, 1, SLOT), 16);
        assert_eq!(s.window(16, 1, SLOT - 16), 64);
        assert_eq!(s.window(80, 1, SLOT - 80), 176);
        assert_eq!(s.window(256, 1, SLOT), 256);
        // Here and there: no more than is asked for.
        assert_eq!([900, 400, 700].map(|page| s.window(page, 2, SLOT)), [2, 2, 2]);
        // The first one goes on all the same, and so does one who began elsewhere.
        assert_eq!((s.window(512, 1, SLOT), s.window(402, 2, SLOT)), (256, 16));
        assert_eq!(s.window(5000, 300, SLOT), SLOT, "no more than can be");
    }
}
