//! Round trip time and the retransmission time-out (RFC 6298), within Linux's bounds.

use super::rare::Nanos;
use core::time::Duration;
use lkl_ops::Instant;

/// The least time-out.
pub(super) const RTO_MIN: Duration = Duration::from_millis(200);
/// The greatest time-out.
pub(super) const RTO_MAX: Duration = Duration::from_secs(120);
/// The first one, before there is a sample (RFC 6298, section 2.1).
pub(super) const RTO_INIT: Duration = Duration::from_secs(1);

/// The estimator.
#[derive(Clone, Debug)]
pub(super) struct Rtt {
    /// Zero before the first sample.
    srtt: Nanos,
    var: Nanos,
    min: Nanos,
    rto: Nanos,
    /// When the minimum was seen, in milliseconds; they go round after 49 days.
    min_at: u32,
    backoff: u8,
    /// Bounds of the time-out, in microseconds.
    bounds: (u32, u32),
}

impl Rtt {
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        let mut new = Self {
            srtt: Nanos::ZERO,
            var: Nanos::ZERO,
            min: Nanos::MAX,
            rto: RTO_INIT.into(),
            min_at: 0,
            backoff: 0,
            bounds: (0, 0),
        };
        new.bound(least, most);
        new
    }

    /// Sets the bounds of the time-out.
    pub(super) fn bound(&mut self, least: Duration, most: Duration) {
        let us = |d: Duration| u32::try_from(d.as_micros()).unwrap_or(u32::MAX);
        self.bounds = (us(least), us(most));
    }

    fn least(&self) -> Duration {
        Duration::from_micros(self.bounds.0.into())
    }

    /// The greatest time-out.
    pub(super) fn most(&self) -> Duration {
        Duration::from_micros(self.bounds.1.into())
    }

    /// Takes a sample in (RFC 6298, section 2). The variance has Linux's floor: the time-out is never nearer to the
    /// round trip time than the least one. `window`: how long a minimum counts.
    pub(super) fn sample(&mut self, now: Instant, rtt: Duration, window: Duration) {
        let rtt = rtt.max(Duration::from_micros(1));
        let (srtt, var) = match self.srtt() {
            None => (rtt, rtt / 2),
            Some(srtt) => ((srtt * 7 + rtt) / 8, (self.var() * 3 + srtt.abs_diff(rtt)) / 4),
        };
        (self.srtt, self.var) = (srtt.into(), var.into());
        let now = now.as_millis() as u32;
        let age = Duration::from_millis(now.wrapping_sub(self.min_at).into());
        if rtt <= self.min.get() || age > window {
            self.min = rtt.into();
            self.min_at = now;
        }
        self.rto = (srtt + (var * 4).max(self.least())).min(self.most()).into();
    }

    /// The time-out now, doubled for each time it ran out.
    pub(super) fn rto(&self) -> Duration {
        self.rto.get().saturating_mul(1 << self.backoff.min(16)).min(self.most())
    }

    /// RFC 6298, section 5.5.
    pub(super) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    pub(super) fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    pub(super) fn backoff(&self) -> u8 {
        self.backoff
    }

    /// After a handshake in which the SYN was retransmitted (RFC 6298, section 5.7).
    pub(super) fn restart_at(&mut self, rto: Duration) {
        if self.srtt.is_zero() {
            self.rto = rto.into();
        }
    }

    /// The smoothed round trip time, if there was a sample.
    pub(super) fn srtt(&self) -> Option<Duration> {
        Some(self.srtt.get()).filter(|t| !t.is_zero())
    }

    pub(super) fn var(&self) -> Duration {
        self.var.get()
    }

    pub(super) fn min(&self) -> Option<Duration> {
        Some(self.min).filter(|m| *m != Nanos::MAX).map(Nanos::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sample_and_floor() {
        let mut r = Rtt::new(RTO_MIN, RTO_MAX);
        let window = Duration::from_secs(300);
        assert_eq!(r.rto(), RTO_INIT);
        r.sample(Instant::ZERO, Duration::from_millis(100), window);
        assert_eq!(r.rto(), Duration::from_millis(300));
        for _ in 0..100 {
            r.sample(Instant::ZERO, Duration::from_millis(10), window);
        }
        assert!(r.rto() >= RTO_MIN && r.rto() < Duration::from_millis(215));
        r.back_off();
        r.back_off();
        assert!(r.rto() >= Duration::from_millis(800));
        for _ in 0..40 {
            r.back_off();
        }
        assert_eq!(r.rto(), RTO_MAX);
    }
}
