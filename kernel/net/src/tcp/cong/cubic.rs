//! CUBIC (RFC 9438), with HyStart++ to leave slow start before the queue overflows (RFC 9406).

use super::{Acked, Congestion, Sample, Window};
use core::num::NonZeroU32;
use core::time::Duration;
use lkl_ops::Instant;

/// RFC 9438, section 4.1: segments per second cubed.
const C: f64 = 0.4;
/// RFC 9438, section 4.6.
const BETA: f64 = 0.7;

/// HyStart++'s constants (RFC 9406, section 4.3). `L` is no limit: acknowledgements of several segments at once are the
/// rule where segments are put together on their way.
const RTT_THRESH_MIN: Duration = Duration::from_millis(4);
const RTT_THRESH_MAX: Duration = Duration::from_millis(16);
const RTT_DIVISOR: u32 = 8;
const RTT_SAMPLES: u8 = 8;
const CSS_GROWTH_DIVISOR: u64 = 4;
const CSS_ROUNDS: u8 = 5;

/// A round trip time in nanoseconds and one, so that there is room for none in four bytes. Beyond four seconds all are the
/// same: the thresholds are milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Short(NonZeroU32);

impl Short {
    fn new(t: Duration) -> Self {
        Self(u32::try_from(t.as_nanos() + 1).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX))
    }

    fn get(self) -> Duration {
        Duration::from_nanos(u64::from(self.0.get()) - 1)
    }
}

/// From this round trip time on, after rounds of `last`, there is a queue.
fn threshold(last: Duration) -> Duration {
    last + (last / RTT_DIVISOR).clamp(RTT_THRESH_MIN, RTT_THRESH_MAX)
}

/// HyStart++ (RFC 9406, section 4.2).
#[derive(Default, Debug)]
struct HyStart {
    round: u32,
    round_min: Option<Short>,
    last_round_min: Option<Short>,
    samples: u8,
    /// Rounds in conservative slow start.
    css_rounds: u8,
    /// In conservative slow start: the round trip time at its beginning.
    css: Option<Short>,
}

impl HyStart {
    /// Takes in an acknowledgement; answers by how much the window grows for `bytes`, or nothing if slow start is over.
    fn on_ack(&mut self, ack: &Acked, bytes: u64) -> Option<u64> {
        if ack.round != self.round {
            self.round = ack.round;
            self.last_round_min = self.round_min.take();
            self.samples = 0;
            if self.css.is_some() {
                self.css_rounds += 1;
                if self.css_rounds >= CSS_ROUNDS {
                    return None;
                }
            }
        }
        if let Some(rtt) = ack.rtt.map(Short::new) {
            self.round_min = Some(self.round_min.map_or(rtt, |m| m.min(rtt)));
            self.samples = self.samples.saturating_add(1);
        }
        if let (true, Some(now)) = (self.samples >= RTT_SAMPLES, self.round_min) {
            match (self.css, self.last_round_min) {
                // The delay was no queue.
                (Some(baseline), _) if now < baseline => self.css = None,
                (None, Some(last)) if now.get() >= threshold(last.get()) => {
                    self.css = Some(now);
                    self.css_rounds = 0;
                }
                _ => {}
            }
        }
        Some(if self.css.is_some() { bytes / CSS_GROWTH_DIVISOR } else { bytes })
    }
}

/// The algorithm's state. Windows are in segments.
#[derive(Default, Debug)]
pub(super) struct Cubic {
    w_max: f64,
    k: f64,
    epoch: Option<Instant>,
    w_est: f64,
    prior: f64,
    /// The part of a segment by which the window should have grown.
    fraction: f64,
    /// What to go back to if a loss was none.
    saved: Option<Box<(f64, f64, Option<Instant>)>>,
    hystart: HyStart,
}

impl Cubic {
    fn begin_epoch(&mut self, now: Instant, cwnd: f64) {
        self.epoch = Some(now);
        self.fraction = 0.0;
        self.w_est = cwnd;
        if self.w_max > cwnd {
            self.k = ((self.w_max - cwnd) / C).cbrt();
        } else {
            self.k = 0.0;
            self.w_max = cwnd;
        }
    }
}

impl Congestion for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn on_ack(&mut self, w: &mut Window, ack: &Acked) {
        let mut bytes = ack.bytes;
        if w.in_slow_start() {
            // Only in the first slow start: later ones have a threshold that was measured (RFC 9406, section 4.2).
            let growth = if w.ssthresh == u64::MAX { self.hystart.on_ack(ack, bytes) } else { Some(bytes) };
            let Some(growth) = growth else {
                w.ssthresh = w.cwnd;
                return;
            };
            let left = w.slow_start(growth);
            if left == 0 {
                return;
            }
            bytes = left;
        }
        let mss = w.mss.max(1) as f64;
        let cwnd = w.cwnd as f64 / mss;
        let acked = bytes as f64 / mss;
        if self.epoch.is_none() {
            self.begin_epoch(ack.now, cwnd);
        }
        let Some(epoch) = self.epoch else { return };
        let t = ack.now.since(epoch).as_secs_f64();
        let cubic = |t: f64| C * (t - self.k).powi(3) + self.w_max;
        // RFC 9438, section 4.3: as fast as Reno would grow, at least.
        let alpha = if self.w_est < self.prior { 3.0 * (1.0 - BETA) / (1.0 + BETA) } else { 1.0 };
        self.w_est += alpha * acked / cwnd;
        let growth = if cubic(t) < self.w_est {
            (self.w_est - cwnd).max(0.0)
        } else {
            // RFC 9438, sections 4.4 and 4.5.
            let target = cubic(t + ack.min_rtt.as_secs_f64()).clamp(cwnd, 1.5 * cwnd);
            (target - cwnd) / cwnd * acked
        };
        // Never faster than slow start would.
        self.fraction += growth.min(acked);
        if self.fraction >= 1.0 {
            let whole = self.fraction.floor();
            self.fraction -= whole;
            w.cwnd += whole as u64 * w.mss;
        }
    }

    fn on_loss(&mut self, w: &Window, _now: Instant) -> u64 {
        let cwnd = w.cwnd as f64 / w.mss.max(1) as f64;
        self.saved = Some(Box::new((self.w_max, self.k, self.epoch)));
        // RFC 9438, section 4.7: leave room for a newcomer.
        self.w_max = if cwnd < self.w_max { cwnd * (1.0 + BETA) / 2.0 } else { cwnd };
        self.prior = cwnd;
        self.epoch = None;
        ((w.cwnd as f64 * BETA) as u64).max(2 * w.mss)
    }

    fn on_timeout(&mut self, _w: &Window, _s: &Sample) {
        self.epoch = None;
    }

    fn on_undo(&mut self, _w: &mut Window, _s: &Sample) {
        if let Some(saved) = self.saved.take() {
            (self.w_max, self.k, self.epoch) = *saved;
        }
    }

    fn on_idle(&mut self, _now: Instant) {
        // RFC 9438, section 5.8: time without data is not time in which the window grew.
        self.epoch = None;
    }
}
