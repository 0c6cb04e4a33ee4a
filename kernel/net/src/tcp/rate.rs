//! How fast data is delivered (draft-cheng-iccrg-delivery-rate-estimation): each transmission remembers how much had been
//! delivered when it was sent; when it is acknowledged, what was delivered since, over the time that took, is a sample.

use super::rare::Nanos;
use core::time::Duration;
use lkl_ops::Instant;

/// What a transmission remembers.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SendStamp {
    /// Bytes delivered when it was sent.
    delivered: u64,
    /// When the last of them were.
    delivered_at: Instant,
    /// When the first of what was in flight then had been sent.
    first_sent_at: Instant,
    /// There was less to send than would have been let.
    app_limited: bool,
}

/// What a transmission remembers of those before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeliveryTimes {
    /// When something was last delivered.
    pub(super) delivered_at: Instant,
    /// When the first of what is in flight was sent.
    pub(super) first_sent_at: Instant,
}

impl SendStamp {
    pub(super) const fn times(&self) -> DeliveryTimes {
        DeliveryTimes { delivered_at: self.delivered_at, first_sent_at: self.first_sent_at }
    }
}

/// The newest transmission that an acknowledgement tells of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) stamp: SendStamp,
    pub(super) sent_at: Instant,
    pub(super) end: u64,
}

impl Newest {
    /// The later one of two.
    pub(super) fn later(self, other: Self) -> Self {
        if (other.sent_at, other.end) > (self.sent_at, self.end) {
            other
        } else {
            self
        }
    }
}

/// A sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Bytes that had been delivered when its transmission was sent.
    pub(super) prior_delivered: u64,
    /// Bytes delivered, and the time that took; `None` if the time is too short to be true.
    pub(super) rate: Option<(u64, Duration)>,
    pub(super) app_limited: bool,
}

/// The estimator.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Rate {
    /// Bytes delivered in all.
    pub(super) delivered: u64,
    /// When so much is delivered, what was sent for want of more data is gone from the network; 0 if there is none.
    app_limited: u64,
    /// The sample that is shown: bytes, time, and whether the program was the limit.
    shown: Option<(u64, Nanos, bool)>,
}

impl Rate {
    /// Something is sent: what it is to remember. `before`: what those before it did, if there are any in flight.
    pub(super) fn stamp(&self, now: Instant, before: Option<DeliveryTimes>) -> SendStamp {
        let DeliveryTimes { delivered_at, first_sent_at } =
            before.unwrap_or(DeliveryTimes { delivered_at: now, first_sent_at: now });
        SendStamp { delivered: self.delivered, delivered_at, first_sent_at, app_limited: self.app_limited > 0 }
    }

    /// There is less to send than may go.
    pub(super) fn limited_by_app(&mut self, in_flight: u64) {
        self.app_limited = (self.delivered + in_flight).max(1);
    }

    /// Is what is in flight less than might be, for want of data?
    pub(super) fn is_app_limited(&self) -> bool {
        self.app_limited > 0
    }

    /// `bytes` were delivered, the newest of them being `newest`.
    pub(super) fn sample(
        &mut self,
        now: Instant,
        bytes: u64,
        newest: Option<Newest>,
        min_rtt: Duration,
    ) -> Option<Measured> {
        self.delivered += bytes;
        if self.app_limited > 0 && self.delivered > self.app_limited {
            self.app_limited = 0;
        }
        let Newest { stamp, sent_at, .. } = newest?;
        let delivered = self.delivered - stamp.delivered;
        let sending = sent_at.since(stamp.first_sent_at);
        let interval = sending.max(now.since(stamp.delivered_at));
        let rate = (interval >= min_rtt && !interval.is_zero()).then_some((delivered, interval));
        if let Some((bytes, time)) = rate {
            let better = self
                .shown
                .is_none_or(|(b, t, _)| u128::from(bytes) * t.get().as_nanos() >= u128::from(b) * time.as_nanos());
            if !stamp.app_limited || better {
                self.shown = Some((bytes, time.into(), stamp.app_limited));
            }
        }
        Some(Measured { prior_delivered: stamp.delivered, rate, app_limited: stamp.app_limited })
    }

    /// The rate in bytes a second, and whether the program was the limit.
    pub(super) fn shown(&self) -> (u64, bool) {
        self.shown.map_or((0, false), |(b, t, limited)| (per_second(b, t.get()), limited))
    }
}

/// `bytes` in `time`, in bytes a second.
pub(super) fn per_second(bytes: u64, time: Duration) -> u64 {
    let ns = time.as_nanos().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000_000 / ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn one_round_trip_is_a_sample() {
        let mut r = Rate::default();
        let first = r.stamp(at(1000), None);
        let second = r.stamp(at(1010), Some(first.times()));
        let ms = Duration::from_millis;
        let a = r.sample(at(1100), 1000, Some(Newest { stamp: first, sent_at: at(1000), end: 1 }), ms(100)).unwrap();
        assert_eq!(a.rate, Some((1000, ms(100))));
        // Sent 10 ms apart, delivered 10 ms apart: both since the first was sent.
        let b = r.sample(at(1110), 1000, Some(Newest { stamp: second, sent_at: at(1010), end: 2 }), ms(100)).unwrap();
        assert_eq!((b.prior_delivered, b.rate), (0, Some((2000, ms(110)))));
        assert_eq!(r.shown(), (2000 * 1000 / 110, false));
        // A time below the least round trip is none.
        let third = r.stamp(at(1110), Some(DeliveryTimes { delivered_at: at(1110), first_sent_at: at(1010) }));
        let c = r.sample(at(1115), 1000, Some(Newest { stamp: third, sent_at: at(1112), end: 3 }), ms(200)).unwrap();
        assert_eq!(c.rate, None);
    }

    #[test]
    fn a_sample_of_an_idle_program_only_raises() {
        let ms = Duration::from_millis;
        let mut r = Rate::default();
        let s = r.stamp(at(0), None);
        r.sample(at(100), 10_000, Some(Newest { stamp: s, sent_at: at(0), end: 1 }), ms(1));
        r.limited_by_app(0);
        let s = r.stamp(at(200), None);
        assert!(r.is_app_limited());
        let m = r.sample(at(300), 100, Some(Newest { stamp: s, sent_at: at(200), end: 2 }), ms(1)).unwrap();
        assert!(m.app_limited && !r.is_app_limited());
        assert_eq!(r.shown(), (100_000, false));
    }
}
