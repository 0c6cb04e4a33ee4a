//! What is in flight, what the peer has, and what is lost (RFC 6675, section 3; RFC 8985, section 6; RFC 6582).
//!
//! Each transmission that is neither acknowledged nor SACKed is a record. Ordered maps find the lost one to send next,
//! the oldest transmission, and the records of a SACK block, so that no segment costs more than O(log n).

use super::ranges::Ranges;
use super::rare::{Beginning, Nanos, Rare};
use super::rate::{DeliveryTimes, Newest, SendStamp};
use super::Tunables;
use core::time::Duration;
use lkl_ops::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Recoveries without a duplicate reported, until the reordering window is what it was (RFC 8985, section 6.2, step 4).
const REORDER_PERSIST: u32 = 16;

#[derive(Clone, Copy, Debug)]
struct Record {
    end: u64,
    sent_at: Instant,
    retransmitted: bool,
    lost: bool,
    stamp: SendStamp,
}

/// What an acknowledgement delivered.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Delivered {
    /// Bytes that were in flight or lost until now.
    pub(super) bytes: u64,
    /// The round trip time of the newest transmission among them, if it was the only one of its bytes (Karn).
    pub(super) rtt: Option<Duration>,
    /// Something of it had been sent again.
    pub(super) retransmitted: bool,
    /// Bytes that have left the network by what this acknowledgement says; without SACK, duplicates stand for segments.
    pub(super) moved: u64,
    /// The newest transmission among them.
    pub(super) newest: Option<Newest>,
    /// The end of the lowest of what was never sent again.
    pub(super) lowest_original: Option<u64>,
}

impl Delivered {
    /// Both together.
    pub(super) fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.retransmitted |= other.retransmitted;
        self.rtt = match (self.rtt, other.rtt) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.lowest_original = match (self.lowest_original, other.lowest_original) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.newest = match (self.newest, other.newest) {
            (Some(a), Some(b)) => Some(a.later(b)),
            (a, b) => a.or(b),
        };
    }
}

/// The scoreboard of one connection.
#[derive(Default, Debug)]
pub(super) struct Scoreboard {
    /// Nothing until something is sent, and again when all of it is acknowledged.
    flight: Option<Box<Flight>>,
    losses: Rare<Losses>,
}

/// What there is while something is outstanding.
#[derive(Debug)]
struct Flight {
    records: BTreeMap<u64, Record>,
    /// Records that are not lost, oldest transmission first: (time, end, start). Only once something was sent again or lost: until
    /// then they were sent in the order of their positions.
    by_time: Option<BTreeSet<(Instant, u64, u64)>>,
    in_flight: u64,
    /// The newest transmission that was delivered: its time, its end, and how long it took (RFC 8985, section 5.2).
    newest: Option<(Instant, u64, Nanos)>,
    times: DeliveryTimes,
    /// End of the current round trip, and the most that was in flight in it.
    round_end: u64,
    most: u64,
}

impl Flight {
    /// One that begins at `start` with a transmission that remembers `stamp`.
    fn new(start: u64, stamp: &SendStamp) -> Self {
        Self {
            records: BTreeMap::new(),
            by_time: None,
            in_flight: 0,
            newest: None,
            times: stamp.times(),
            round_end: start,
            most: 0,
        }
    }

    /// The oldest transmission that is not lost: time, end, start.
    fn oldest(&self) -> Option<(Instant, u64, u64)> {
        match &self.by_time {
            Some(by_time) => by_time.first().copied(),
            None => self.records.first_key_value().map(|(start, r)| (r.sent_at, r.end, *start)),
        }
    }

    fn put(&mut self, losses: &mut Rare<Losses>, start: u64, r: Record) {
        if self.by_time.is_none() && (r.lost || r.retransmitted) {
            let in_flight = self.records.iter().filter(|(_, r)| !r.lost);
            self.by_time = Some(in_flight.map(|(start, r)| (r.sent_at, r.end, *start)).collect());
        }
        if r.lost {
            losses.lost_bytes += r.end - start;
            losses.lost.insert(start);
        } else {
            self.in_flight += r.end - start;
            if r.retransmitted {
                losses.resent += r.end - start;
            }
            if let Some(by_time) = &mut self.by_time {
                by_time.insert((r.sent_at, r.end, start));
            }
        }
        self.records.insert(start, r);
    }

    fn take(&mut self, losses: &mut Rare<Losses>, start: u64) -> Option<Record> {
        let r = self.records.remove(&start)?;
        if r.lost {
            losses.lost_bytes -= r.end - start;
            losses.lost.remove(&start);
        } else {
            self.in_flight -= r.end - start;
            if r.retransmitted {
                losses.resent -= r.end - start;
            }
            if let Some(by_time) = &mut self.by_time {
                by_time.remove(&(r.sent_at, r.end, start));
            }
        }
        Some(r)
    }

    /// Makes sure that no record reaches over `at`.
    fn split(&mut self, losses: &mut Rare<Losses>, at: u64) {
        let Some((&start, r)) = self.records.range(..at).next_back() else { return };
        if r.end <= at {
            return;
        }
        if let Some(r) = self.take(losses, start) {
            self.put(losses, start, Record { end: at, ..r });
            self.put(losses, at, r);
        }
    }

    fn mark(&mut self, losses: &mut Rare<Losses>, start: u64) {
        if let Some(r) = self.take(losses, start) {
            losses.lost_ever += r.end - start;
            self.put(losses, start, Record { lost: true, ..r });
        }
    }

    fn deliver(&mut self, losses: &mut Rare<Losses>, start: u64, now: Instant, min_rtt: Duration, d: &mut Delivered) {
        let Some(r) = self.take(losses, start) else { return };
        d.bytes += r.end - start;
        d.retransmitted |= r.retransmitted;
        let newest = Newest { stamp: r.stamp, sent_at: r.sent_at, end: r.end };
        d.newest = Some(d.newest.map_or(newest, |n| n.later(newest)));
        let rtt = now.since(r.sent_at);
        if !r.retransmitted {
            d.lowest_original = Some(d.lowest_original.map_or(r.end, |e| e.min(r.end)));
            // The newest one waited least for its acknowledgement.
            d.rtt = Some(d.rtt.map_or(rtt, |x| x.min(rtt)));
            if let Some(highest) = losses.sacked.highest().filter(|h| r.end < *h) {
                losses.late = (losses.late.0.saturating_add(1), losses.late.1.max(highest - start));
            }
        } else if rtt < min_rtt {
            // The acknowledgement of the first transmission, most likely.
            return;
        }
        if self.newest.is_none_or(|(at, end, _)| (r.sent_at, r.end) > (at, end)) {
            self.newest = Some((r.sent_at, r.end, rtt.into()));
        }
    }
}

/// What there is only after something was lost, or came out of order.
#[derive(Clone, Debug)]
struct Losses {
    lost: BTreeSet<u64>,
    sacked: Ranges,
    lost_bytes: u64,
    /// Of those in flight: bytes that were sent again.
    resent: u64,
    /// Bytes that were ever marked as lost.
    lost_ever: u64,
    /// How often something came after what was sent after it (RFC 8985, section 6.2, step 3), and by how many bytes at most.
    late: (u32, u64),
    reorder_steps: u32,
    /// Recoveries until `reorder_steps` is forgotten.
    reorder_persist: u32,
    /// Until this is acknowledged no further duplicate counts.
    reorder_round: u64,
    /// ACKs with news of SACK since the cumulative one moved.
    sack_acks: u64,
}

impl Beginning for Losses {
    const BEGINNING: &'static Self = &Self {
        lost: BTreeSet::new(),
        sacked: Ranges::NONE,
        lost_bytes: 0,
        resent: 0,
        lost_ever: 0,
        late: (0, 0),
        reorder_steps: 0,
        reorder_persist: 0,
        reorder_round: 0,
        sack_acks: 0,
    };
}

impl Scoreboard {
    /// Bytes in flight: sent, and neither delivered nor lost.
    pub(super) fn in_flight(&self) -> u64 {
        self.flight.as_ref().map_or(0, |f| f.in_flight)
    }

    /// The most bytes that were in flight in this round trip.
    pub(super) fn most_in_flight(&self) -> u64 {
        self.flight.as_ref().map_or(0, |f| f.most)
    }

    /// All below `una` is acknowledged: is a round trip over? The next one is over when `nxt` is acknowledged.
    pub(super) fn ends_round(&mut self, una: u64, nxt: u64) -> bool {
        let Some(f) = &mut self.flight else { return true };
        let over = una >= f.round_end;
        if over {
            f.round_end = nxt;
            f.most = f.in_flight;
        }
        over
    }

    /// What transmissions remember of those before them; `None` if nothing is outstanding.
    pub(super) fn delivery_times(&self) -> Option<DeliveryTimes> {
        self.flight.as_ref().filter(|f| !f.records.is_empty()).map(|f| f.times)
    }

    /// Something was delivered at `now` (if `moved`), the newest of it being `newest`.
    pub(super) fn note_delivery(&mut self, now: Instant, moved: bool, newest: Option<Newest>) {
        let Some(f) = &mut self.flight else { return };
        if moved {
            f.times.delivered_at = now;
        }
        if let Some(newest) = newest {
            f.times.first_sent_at = newest.sent_at;
        }
    }

    pub(super) fn lost_bytes(&self) -> u64 {
        self.losses.lost_bytes
    }

    /// Bytes in flight that were sent again.
    pub(super) fn resent_bytes(&self) -> u64 {
        self.losses.resent
    }

    /// Bytes that were ever taken for lost.
    pub(super) fn lost_ever(&self) -> u64 {
        self.losses.lost_ever
    }

    pub(super) fn sacked_bytes(&self) -> u64 {
        self.losses.sacked.len()
    }

    /// Is nothing outstanding?
    pub(super) fn is_empty(&self) -> bool {
        self.flight.as_ref().is_none_or(|f| f.records.is_empty())
    }

    /// How often something came late.
    pub(super) fn reordering_seen(&self) -> u32 {
        self.losses.late.0
    }

    /// So many duplicates stand for a loss: by how much things came late, at least the setting.
    pub(super) fn reordering(&self, mss: u64, t: &Tunables) -> u64 {
        let degree = self.losses.late.1.div_ceil(mss.max(1)).min(t.max_reordering.into());
        degree.max(t.reordering.into())
    }

    /// Something new was sent.
    pub(super) fn sent(&mut self, start: u64, end: u64, now: Instant, stamp: SendStamp) {
        if start >= end {
            return;
        }
        let f = self.flight.get_or_insert_with(|| Box::new(Flight::new(start, &stamp)));
        if f.records.is_empty() {
            f.times = stamp.times();
        }
        f.put(&mut self.losses, start, Record { end, sent_at: now, retransmitted: false, lost: false, stamp });
        f.most = f.most.max(f.in_flight);
    }

    /// `start..end`, of one record or its front, was sent again.
    pub(super) fn resent(&mut self, start: u64, end: u64, now: Instant, stamp: SendStamp) {
        let Some(f) = &mut self.flight else { return };
        let losses = &mut self.losses;
        f.split(losses, start);
        f.split(losses, end);
        let starts: Vec<u64> = f.records.range(start..end).map(|(s, _)| *s).collect();
        for s in starts {
            if let Some(r) = f.take(losses, s) {
                f.put(losses, s, Record { sent_at: now, retransmitted: true, lost: false, stamp, ..r });
            }
        }
    }

    /// The lost record that is to be sent next.
    pub(super) fn next_lost(&self) -> Option<(u64, u64)> {
        let start = *self.losses.lost.first()?;
        self.flight.as_ref()?.records.get(&start).map(|r| (start, r.end))
    }

    /// The record that was sent last of all, by position.
    pub(super) fn last(&self) -> Option<(u64, u64)> {
        self.flight.as_ref()?.records.last_key_value().map(|(s, r)| (*s, r.end))
    }

    /// All below `ack` was acknowledged.
    pub(super) fn acknowledge(&mut self, ack: u64, now: Instant, min_rtt: Duration) -> Delivered {
        let mut d = Delivered::default();
        let losses = &mut self.losses;
        if let Some(f) = &mut self.flight {
            f.split(losses, ack);
            while let Some((&start, _)) = f.records.first_key_value() {
                if start >= ack {
                    break;
                }
                f.deliver(losses, start, now, min_rtt, &mut d);
            }
            if f.records.is_empty() {
                // An idle connection holds nothing.
                self.flight = None;
            }
        }
        if let Some(l) = losses.changed() {
            l.sacked.remove_below(ack);
            l.sack_acks = 0;
            if self.flight.is_none() {
                l.lost = BTreeSet::new();
            }
        }
        d
    }

    /// The peer has `start..end`, which was sent.
    pub(super) fn sack(&mut self, start: u64, end: u64, now: Instant, min_rtt: Duration) -> Delivered {
        let mut d = Delivered::default();
        let Some(f) = &mut self.flight else { return d };
        let losses = &mut self.losses;
        for (from, to) in losses.sacked.gaps(start, end) {
            f.split(losses, from);
            f.split(losses, to);
            // Highest first: what is below it is then seen as having come late.
            while let Some((&s, _)) = f.records.range(from..to).next_back() {
                f.deliver(losses, s, now, min_rtt, &mut d);
            }
            losses.sacked.insert(from, to);
        }
        d
    }

    /// An acknowledgement brought news of SACK only.
    pub(super) fn note_sack_ack(&mut self) {
        self.losses.sack_acks += 1;
    }

    /// The peer told us of something it got twice: wait longer before calling anything lost, by one step for each round
    /// trip in which that happens (RFC 8985, section 6.2, step 4).
    pub(super) fn note_spurious(&mut self, una: u64, nxt: u64) {
        self.losses.late.0 = self.losses.late.0.max(1);
        if una >= self.losses.reorder_round {
            self.losses.reorder_round = nxt;
            self.losses.reorder_steps = (self.losses.reorder_steps + 1).min(16);
            self.losses.reorder_persist = REORDER_PERSIST;
        }
    }

    /// A recovery ended.
    pub(super) fn recovered(&mut self) {
        let Some(l) = self.losses.changed() else { return };
        l.sack_acks = 0;
        l.reorder_persist = l.reorder_persist.saturating_sub(1);
        if l.reorder_persist == 0 {
            l.reorder_steps = 0;
        }
    }

    /// Marks what must be lost by now as lost: what was sent before something that was delivered, and some more time
    /// ago than that took (RFC 8985, section 6.2; with three duplicates that is RFC 6675's rule). Answers the bytes,
    /// and when to look again.
    pub(super) fn detect(
        &mut self,
        now: Instant,
        mss: u64,
        min_rtt: Duration,
        srtt: Duration,
        recovering: bool,
        t: &Tunables,
    ) -> (u64, Option<Instant>) {
        let Some((at, end, rtt)) = self.flight.as_ref().and_then(|f| f.newest) else { return (0, None) };
        let degree = self.reordering(mss, t);
        let enough = !t.no_dup_threshold
            && (self.losses.sack_acks >= degree
                || self.losses.sacked.count() as u64 >= degree
                || self.losses.sacked.len() > degree.saturating_sub(1) * mss);
        let window = if self.losses.late.0 == 0 && (recovering || enough) {
            Duration::ZERO
        } else {
            let steps = if t.static_reorder_window { 0 } else { self.losses.reorder_steps };
            (min_rtt / 4).saturating_mul(1 + steps).min(srtt)
        };
        let mut marked = 0;
        let Some(f) = &mut self.flight else { return (0, None) };
        while let Some((sent_at, e, start)) = f.oldest() {
            if (sent_at, e) >= (at, end) {
                break;
            }
            let due = sent_at + rtt.get() + window;
            if due > now {
                return (marked, Some(due));
            }
            marked += e - start;
            f.mark(&mut self.losses, start);
        }
        (marked, None)
    }

    /// Marks the lowest `mss` bytes as lost, for a peer without SACK (RFC 6582, section 3.2). Answers the bytes that
    /// were not marked already.
    pub(super) fn mark_first(&mut self, mss: u64) -> u64 {
        let Some(f) = &mut self.flight else { return 0 };
        let Some((&start, r)) = f.records.first_key_value() else { return 0 };
        if r.lost {
            return 0;
        }
        f.split(&mut self.losses, start + mss);
        let n = f.records.get(&start).map_or(0, |r| r.end - start);
        f.mark(&mut self.losses, start);
        n
    }

    /// The retransmission time-out ran out: all is lost that the peer did not say it has. If what it said cannot be
    /// true (`una` itself is SACKed), that is lost too (RFC 2018, section 8).
    pub(super) fn mark_all(&mut self, una: u64) {
        let Some(f) = &mut self.flight else { return };
        let losses = &mut self.losses;
        if losses.sacked.containing(una).is_some() {
            let back: Vec<_> = losses.sacked.iter().collect();
            losses.sacked.clear();
            for (s, e) in back {
                let stamp = SendStamp::default();
                let r = Record { end: e, sent_at: Instant::ZERO, retransmitted: true, lost: true, stamp };
                f.put(losses, s, r);
            }
        }
        let starts: Vec<u64> = f.records.iter().filter(|(_, r)| !r.lost).map(|(s, _)| *s).collect();
        for s in starts {
            f.mark(losses, s);
        }
        f.newest = None;
    }

    /// Marks what is longer than `mss` as lost: it did not fit through the path (RFC 1191, section 6.5).
    pub(super) fn mark_longer(&mut self, mss: u64) {
        let Some(f) = &mut self.flight else { return };
        let longer = f.records.iter().filter(|(s, r)| r.end - **s > mss && !r.lost);
        let starts: Vec<u64> = longer.map(|(s, _)| *s).collect();
        for s in starts {
            f.mark(&mut self.losses, s);
        }
    }

    /// Nothing was lost after all.
    pub(super) fn nothing_lost(&mut self) {
        let Some(f) = &mut self.flight else { return };
        while let Some(&start) = self.losses.lost.first() {
            let Some(r) = f.take(&mut self.losses, start) else { break };
            f.put(&mut self.losses, start, Record { lost: false, ..r });
        }
    }

    pub(super) fn has_sacks(&self) -> bool {
        !self.losses.sacked.is_empty()
    }

    pub(super) fn clear(&mut self) {
        let lost_ever = self.lost_ever();
        *self = Self::default();
        if lost_ever > 0 {
            self.losses.lost_ever = lost_ever;
        }
    }

    #[cfg(test)]
    pub(super) fn is_sacked(&self, position: u64) -> bool {
        self.losses.sacked.containing(position).is_some()
    }
}
