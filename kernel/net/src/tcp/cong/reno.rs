//! Reno: additive increase, multiplicative decrease (RFC 5681, section 3).

use super::{Acked, Congestion, Window};
use lkl_ops::Instant;

/// The algorithm's state.
#[derive(Default, Debug)]
pub(super) struct Reno {
    /// Bytes acknowledged since the window last grew.
    credit: u64,
}

impl Congestion for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn on_ack(&mut self, w: &mut Window, ack: &Acked) {
        let left = if w.in_slow_start() { w.slow_start(ack.bytes) } else { ack.bytes };
        self.credit += left;
        while self.credit >= w.cwnd && w.cwnd > 0 {
            self.credit -= w.cwnd;
            w.cwnd += w.mss;
        }
    }

    fn on_loss(&mut self, w: &Window, _now: Instant) -> u64 {
        self.credit = 0;
        (w.cwnd / 2).max(2 * w.mss)
    }
}
