//! The greatest of what was seen in a window of time or rounds, kept in three samples (Kathleen Nichols' filter).

/// The filter. Time is a count of whatever the user counts.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct MaxFilter {
    /// The best of the window, the best since that one, and the best since the second: (when, value).
    best: [(u32, u64); 3],
}

impl MaxFilter {
    /// The greatest value.
    pub(super) fn get(&self) -> u64 {
        self.best[0].1
    }

    /// Takes in `value` at `now`; what is older than `window` is forgotten.
    pub(super) fn update(&mut self, window: u32, now: u32, value: u64) {
        let fresh = (now, value);
        if value >= self.best[0].1 || now.wrapping_sub(self.best[2].0) > window {
            self.best = [fresh; 3];
            return;
        }
        if value >= self.best[1].1 {
            self.best[1] = fresh;
            self.best[2] = fresh;
        } else if value >= self.best[2].1 {
            self.best[2] = fresh;
        }
        let age = now.wrapping_sub(self.best[0].0);
        if age > window {
            // The best is too old: the next ones move up.
            self.best = [self.best[1], self.best[2], fresh];
            if now.wrapping_sub(self.best[0].0) > window {
                self.best = [self.best[1], fresh, fresh];
            }
        } else if self.best[1].0 == self.best[0].0 && age > window / 4 {
            // A quarter of the window without a second best: there is one from now on.
            self.best[1] = fresh;
            self.best[2] = fresh;
        } else if self.best[2].0 == self.best[1].0 && age > window / 2 {
            self.best[2] = fresh;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_when_the_best_is_old() {
        let mut f = MaxFilter::default();
        f.update(10, 0, 100);
        for t in 1..=10 {
            f.update(10, t, 50);
            assert_eq!(f.get(), 100);
        }
        f.update(10, 11, 40);
        assert_eq!(f.get(), 50);
        f.update(10, 12, 70);
        assert_eq!(f.get(), 70);
        f.update(10, 40, 5);
        assert_eq!(f.get(), 5);
    }
}
