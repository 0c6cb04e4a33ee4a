//! What acknowledgements do to the sender (RFC 9293, section 3.10.7.4, fifth; RFC 5681; RFC 6582; RFC 6675; RFC 8985; RFC 9937).

use super::{Connection, Event, Recovery, Reduction, Undo};
use crate::tcp::cong::{Acked, Window};
use crate::tcp::scoreboard::Delivered;
use crate::tcp::segment::{Flags, Segment};
use crate::tcp::seq::seq_before;
use core::time::Duration;
use lkl_ops::Instant;

impl Connection {
    /// Takes in what `s` acknowledges. Answers whether the rest of the segment counts.
    pub(super) fn on_ack(&mut self, now: Instant, s: &Segment, seq: u64, ack: u64, payload: usize) -> bool {
        let before = (self.in_flight(), self.tx.board.lost_ever());
        if ack > self.tx.nxt {
            // Something that was never sent (RFC 9293, section 3.10.7.4; RFC 5961, section 5.2).
            self.challenge(now);
            return false;
        }
        if ack < self.tx.una {
            if ack + self.tx.max_wnd.max(1) < self.tx.una {
                self.challenge(now);
                return false;
            }
            if self.sack && !s.options.sack.is_empty() {
                let mut d = Delivered::default();
                self.take_sacks(now, s, ack, &mut d);
                d.moved = d.bytes;
                self.after_ack(now, d, false, None, before);
            }
            return true;
        }
        if let (true, Some((value, _))) = (self.ts.on, s.options.timestamps) {
            // RFC 7323, section 4.3.
            if seq <= self.rx.acked && !seq_before(value, self.ts.recent) {
                self.ts.recent = value;
                self.ts.recent_at = now;
            }
        }
        self.last_ack_recv = now;
        self.tx.probes = 0;
        let window = self.window_of(s);
        let mut window_changed = false;
        if ack > self.tx.una || seq > self.tx.wl.0 || (seq == self.tx.wl.0 && window > self.tx.wnd) {
            self.tx.wl = (seq, ack);
            if window != self.tx.wnd {
                window_changed = true;
                let was = self.tx.wnd;
                self.tx.wnd = window;
                if window > self.tx.max_wnd {
                    self.tx.max_wnd = window;
                }
                if window > was {
                    self.deadlines.persist = None;
                    self.tx.probe_backoff = 0;
                    self.rtt_backoff_done();
                }
            }
        }
        let min_rtt = self.rtt.min().unwrap_or(Duration::ZERO);
        let progress = ack > self.tx.una;
        let mut d = Delivered::default();
        let dup_acks = self.tx.dup_acks;
        if progress {
            let old_una = self.tx.una;
            d = self.tx.board.acknowledge(ack, now, min_rtt);
            self.tx.una = ack;
            self.tx.queue.release(ack);
            self.tx.progress_at = now;
            self.tx.retries = 0;
            self.rtt.reset_backoff();
            if self.tx.urgent.is_some_and(|u| u <= ack) {
                self.tx.urgent = None;
            }
            self.total.bytes_acked += ack - old_una;
            if !self.sack {
                // What the duplicates stood for is partly in this acknowledgement.
                let segments = (ack - old_una) / self.tx.mss.max(1);
                self.tx.dup_acks = self.tx.dup_acks.saturating_sub(segments.max(1));
            }
        }
        let below = d.bytes;
        if self.sack && !s.options.sack.is_empty() {
            self.take_sacks(now, s, ack, &mut d);
        }
        if !progress {
            if d.bytes > below {
                self.tx.board.note_sack_ack();
            } else if !self.sack && payload == 0 && !window_changed && !s.has(Flags::FIN) && !self.tx.board.is_empty() {
                self.tx.dup_acks += 1;
            }
        }
        d.moved = d.bytes;
        if !self.sack {
            let mss = self.tx.mss;
            let counted = dup_acks.saturating_sub(self.tx.dup_acks) * mss;
            let new = self.tx.dup_acks.saturating_sub(dup_acks) * mss;
            d.moved = d.bytes.saturating_sub(counted).max(mss.min(d.bytes)) + new;
        }
        self.sample_rtt(now, s, &d, progress);
        let echo = s.options.timestamps.filter(|_| self.ts.on).map(|t| t.1);
        self.after_ack(now, d, progress, echo, before);
        if progress {
            if self.tx.no_room && self.can_write() {
                self.tx.no_room = false;
            }
            self.events |= Event::WRITABLE;
            if self.tx.una == self.tx.nxt && self.tx.fin && self.tx.nxt > self.tx.queue.end() {
                self.on_fin_acked(now);
            }
        }
        self.arm_persist(now);
        true
    }

    fn rtt_backoff_done(&mut self) {
        if self.tx.board.is_empty() {
            self.rtt.reset_backoff();
        }
    }

    /// RFC 2018, section 5; RFC 2883, section 4. The first block may tell of a duplicate.
    fn take_sacks(&mut self, now: Instant, s: &Segment, ack: u64, d: &mut Delivered) {
        let min_rtt = self.rtt.min().unwrap_or(Duration::ZERO);
        let space = self.tx.space;
        let blocks = &s.options.sack;
        let place = |(l, r): (u32, u32)| (space.position(l, ack), space.position(r, ack));
        let mut skip = 0;
        if let Some(&first) = blocks.first() {
            let (l, r) = place(first);
            let within_next = blocks.get(1).is_some_and(|&b| {
                let (l2, r2) = place(b);
                l >= l2 && r <= r2
            });
            if l < r && (r <= ack || within_next) {
                skip = 1;
                self.stats.dsack_recv += 1;
                self.total.dsack_dups += 1;
                self.on_duplicate_report(now, l, r);
            }
        }
        for &b in blocks.iter().skip(skip) {
            let (l, r) = place(b);
            // Only what was sent and is not acknowledged counts.
            let l = l.max(ack.max(self.tx.una));
            if l < r && r <= self.tx.nxt {
                let new = self.tx.board.sack(l, r, now, min_rtt);
                d.add(&new);
            }
        }
    }

    /// The peer got `l..r` twice: a retransmission was not needed.
    fn on_duplicate_report(&mut self, now: Instant, l: u64, r: u64) {
        if self.tx.tlp_end.is_some_and(|end| r == end) {
            self.tx.tlp_end = None;
            return;
        }
        self.tx.board.note_spurious(self.tx.una, self.tx.nxt);
        if let Some(u) = &mut self.tx.undo {
            if let Some(resent) = &mut u.resent {
                *resent = resent.saturating_sub(r - l);
                if *resent == 0 {
                    self.undo_loss(now);
                }
            }
        }
    }

    fn undo_loss(&mut self, now: Instant) {
        let Some(u) = self.tx.undo.take() else { return };
        self.stats.undo += 1;
        if !self.tx.cc.controls() {
            self.tx.win.cwnd = self.tx.win.cwnd.max(u.cwnd);
        }
        self.tx.win.ssthresh = self.tx.win.ssthresh.max(u.ssthresh);
        let sample = self.blank_sample(now);
        self.tx.cc.on_undo(&mut self.tx.win, &sample);
        self.tx.recovery = Recovery::Open;
        self.tx.board.nothing_lost();
        self.tx.force_lost = false;
    }

    /// RFC 6298, section 3; RFC 7323, section 4.1.
    fn sample_rtt(&mut self, now: Instant, s: &Segment, d: &Delivered, progress: bool) {
        if let (Some(rtt), false) = (d.rtt, d.retransmitted) {
            self.rtt.sample(now, rtt);
        } else if let (true, true, Some((_, echo))) = (progress, self.ts.on, s.options.timestamps) {
            let elapsed = self.timestamp(now).wrapping_sub(echo);
            if echo != 0 && d.bytes > 0 && elapsed < 1 << 24 {
                self.rtt.sample(now, Duration::from_millis(u64::from(elapsed).max(1)));
            }
        }
    }

    /// Loss detection, recovery, the congestion window and the timers, after an acknowledgement. `before`: bytes in
    /// flight, and ever lost, when it came.
    fn after_ack(&mut self, now: Instant, d: Delivered, progress: bool, echo: Option<u32>, before: (u64, u64)) {
        // RFC 3522, section 3.2: the first transmission is what was acknowledged.
        if let (true, Some(echo), Some(Undo { stamp: Some(stamp), .. })) = (progress, echo, self.tx.undo) {
            if self.tx.recovery != Recovery::Open && d.retransmitted && echo != 0 && seq_before(echo, stamp) {
                self.tx.board.note_spurious(self.tx.una, self.tx.nxt);
                self.undo_loss(now);
            }
        }
        let limited =
            self.tx.cwnd_limited || (self.tx.win.in_slow_start() && self.tx.win.cwnd < 2 * self.tx.max_in_flight);
        if self.tx.recovery != Recovery::Open && self.tx.una >= self.tx.high {
            self.leave_recovery();
        }
        if self.tx.una >= self.tx.round_end {
            self.tx.round = self.tx.round.wrapping_add(1);
            self.tx.round_end = self.tx.nxt;
            self.tx.max_in_flight = self.tx.board.in_flight();
        }
        self.detect_loss(now, progress, &d);
        self.sample_rate(now, &d, before.0, before.1);
        // A duplicate with news of SACK alone says that something may be wrong: no growth.
        let grows = limited && self.tx.recovery != Recovery::Fast && !self.tx.cc.controls();
        if d.bytes > 0 && progress && grows {
            let acked = Acked {
                now,
                bytes: d.bytes,
                srtt: self.rtt.srtt().unwrap_or_default(),
                rtt: d.rtt,
                min_rtt: self.rtt.min().unwrap_or_default(),
                round: self.tx.round,
            };
            self.tx.cc.on_ack(&mut self.tx.win, &acked);
            self.grow_sndbuf();
        }
        if self.tx.tlp_end.is_some_and(|end| self.tx.una >= end) {
            self.tx.tlp_end = None;
        }
        if progress || d.bytes > 0 {
            self.rearm_rto(now);
        }
    }

    /// Looks for losses; begins a recovery if there are any.
    pub(super) fn detect_loss(&mut self, now: Instant, progress: bool, d: &Delivered) {
        let mss = self.tx.mss;
        let recovering = self.tx.recovery != Recovery::Open;
        let mut marked = 0;
        if self.sack {
            let min_rtt = self.rtt.min().unwrap_or_default();
            let srtt = self.rtt.srtt().unwrap_or_default();
            let (n, again) = self.tx.board.detect(now, mss, min_rtt, srtt, recovering);
            marked = n;
            self.deadlines.reorder = again;
        } else if !recovering {
            if self.tx.dup_acks >= 3 && self.tx.una > self.tx.high {
                marked = self.tx.board.mark_first(mss);
            } else if self.tx.dup_acks >= 3 && self.tx.high <= self.tx.una {
                // RFC 6582, section 4.1, is met by the first test; before any loss `high` is where sending began.
                marked = self.tx.board.mark_first(mss);
            }
        } else if progress && self.tx.recovery == Recovery::Fast && self.tx.una < self.tx.high {
            // A partial acknowledgement (RFC 6582, section 3.2, step 3).
            marked = self.tx.board.mark_first(mss);
            self.tx.force_lost |= marked > 0;
        }
        if marked > 0 && !recovering {
            self.enter_recovery(now);
            self.tx.reduction.flight += d.bytes;
        }
        if self.tx.recovery == Recovery::Fast && (marked > 0 || d.moved > 0) {
            // Found by the timer, with no acknowledgement that could let something go.
            self.tx.force_lost |= marked > 0 && d.moved == 0;
            self.reduce_window(d.moved, progress && marked == 0);
        }
    }

    /// Lets so much go that the bytes in flight come down to the slow start threshold evenly, or, when there are fewer,
    /// come up to it no faster than by slow start (RFC 9937, section 6). `safe`: the oldest hole was filled, and no
    /// further loss was found.
    fn reduce_window(&mut self, moved: u64, safe: bool) {
        if self.tx.cc.controls() {
            return;
        }
        let in_flight = self.in_flight();
        let Window { ssthresh, mss, .. } = self.tx.win;
        let r = &mut self.tx.reduction;
        r.delivered += moved;
        let mut may_go = if in_flight > ssthresh {
            let share = u128::from(r.delivered) * u128::from(ssthresh);
            let share = share.div_ceil(u128::from(r.flight.max(1)));
            u64::try_from(share).unwrap_or(u64::MAX).saturating_sub(r.out)
        } else {
            let more = r.delivered.saturating_sub(r.out).max(moved) + if safe { mss } else { 0 };
            more.min(ssthresh - in_flight)
        };
        if r.out == 0 {
            may_go = may_go.max(mss);
        }
        // A segment can always go when nothing else is in flight.
        self.tx.win.cwnd = (in_flight + may_go).max(mss);
    }

    fn enter_recovery(&mut self, now: Instant) {
        self.tx.recovery = Recovery::Fast;
        self.tx.high = self.tx.nxt;
        self.remember_window();
        self.tx.win.ssthresh = self.tx.cc.on_loss(&self.tx.win, now);
        let flight = self.tx.board.in_flight() + self.tx.board.lost_bytes();
        self.tx.reduction = Reduction { flight, ..Reduction::default() };
        self.tx.force_lost = true;
        self.deadlines.probe = None;
        if self.sack {
            self.stats.sack_recovery += 1;
        } else {
            self.stats.reno_recovery += 1;
        }
    }

    /// Keeps what an undo needs.
    pub(super) fn remember_window(&mut self) {
        self.tx.undo = Some(Undo { cwnd: self.tx.win.cwnd, ssthresh: self.tx.win.ssthresh, resent: None, stamp: None });
    }

    fn leave_recovery(&mut self) {
        if self.tx.recovery == Recovery::Fast && !self.tx.cc.controls() {
            self.tx.win.cwnd = self.tx.win.ssthresh.max(self.tx.mss);
        }
        self.tx.recovery = Recovery::Open;
        self.tx.dup_acks = 0;
        self.tx.force_lost = false;
        self.tx.board.recovered();
    }

    /// Bytes that may be in the network (RFC 6675's pipe).
    pub(super) fn in_flight(&self) -> u64 {
        let dup = if self.sack { 0 } else { self.tx.dup_acks * self.tx.mss };
        self.tx.board.in_flight().saturating_sub(dup)
    }
}
