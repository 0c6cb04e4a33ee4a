//! What acknowledgements say (RFC 9293, section 3.10.7.4, fifth; RFC 2018; RFC 2883; RFC 6298). What follows from that is
//! `recovery`'s.

use super::recovery::News;
use super::{Connection, Event};
use crate::tcp::scoreboard::Delivered;
use crate::tcp::segment::{Flags, Segment};
use crate::tcp::seq::{seq_before, BASE};
use core::time::Duration;
use lkl_ops::Instant;

impl Connection {
    /// Takes in what `s` acknowledges. Answers whether the rest of the segment counts.
    pub(super) fn on_ack(&mut self, now: Instant, s: &Segment, seq: u64, ack: u64, payload: usize) -> bool {
        let mut news = News {
            in_flight: self.in_flight(),
            most_in_flight: self.tx.board.most_in_flight(),
            lost: self.tx.board.lost_ever(),
            ece: self.ecn.on && self.ecn.accurate.is_none() && s.has(Flags::ECE) && !s.has(Flags::SYN),
            ..News::default()
        };
        if ack > self.tx.nxt {
            // Something that was never sent (RFC 9293, section 3.10.7.4; RFC 5961, section 5.2).
            self.challenge(now);
            return false;
        }
        if ack < self.tx.una {
            if ack + self.tx.max_wnd().max(1) < self.tx.una {
                self.challenge(now);
                return false;
            }
            if self.sack && !s.options.sack.is_empty() {
                let mut d = Delivered::default();
                self.take_sacks(now, s, ack, &mut d);
                d.moved = d.bytes;
                self.after_ack(now, d, news);
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
        if ack > self.tx.una || seq > self.tx.wl || (seq == self.tx.wl && window > self.tx.window) {
            self.tx.wl = seq;
            if window != self.tx.window {
                window_changed = true;
                let was = self.tx.window;
                self.tx.window = window;
                if window > self.tx.max_window {
                    self.tx.max_window = window;
                }
                if window > was {
                    self.deadlines.unset(|s| &mut s.persist);
                    self.tx.probe_backoff = 0;
                    self.rtt_backoff_done();
                }
            }
        }
        let min_rtt = self.rtt.min().unwrap_or(Duration::ZERO);
        let progress = ack > self.tx.una;
        let mut d = Delivered::default();
        let dup_acks = self.tx.repair.dup_acks;
        if progress {
            let old_una = self.tx.una;
            d = self.tx.board.acknowledge(ack, now, min_rtt);
            self.tx.una = ack;
            self.tx.queue.release(ack);
            self.tx.progress_at = now;
            self.tx.retries = 0;
            self.end_timeouts(now);
            self.rtt.reset_backoff();
            if self.odd.sent_urgent.is_some_and(|u| u <= ack) {
                self.odd.sent_urgent = None;
                self.odd.settle();
            }
            if !self.sack {
                // What the duplicates stood for is partly in this acknowledgement.
                let segments = (ack - old_una) / self.tx.win.mss.max(1);
                if let Some(repair) = self.tx.repair.changed() {
                    repair.dup_acks = repair.dup_acks.saturating_sub(segments.max(1));
                }
            }
        }
        let below = d.bytes;
        let bare = payload == 0 && !window_changed && !s.has(Flags::FIN);
        if self.sack && !s.options.sack.is_empty() {
            self.take_sacks(now, s, ack, &mut d);
        }
        if !progress {
            if d.bytes > below {
                self.tx.board.note_sack_ack();
            } else if !self.sack && bare && !self.tx.board.is_empty() {
                self.tx.repair.dup_acks += 1;
            }
        }
        d.moved = d.bytes;
        if !self.sack {
            let mss = self.tx.win.mss;
            let counted = dup_acks.saturating_sub(self.tx.repair.dup_acks) * mss;
            let new = self.tx.repair.dup_acks.saturating_sub(dup_acks) * mss;
            d.moved = d.bytes.saturating_sub(counted).max(mss.min(d.bytes)) + new;
        }
        if self.ecn.accurate.is_some() && self.tx.una > BASE + 1 {
            news.ece = self.marks_told(s, &d) > 0;
        }
        self.sample_rtt(now, s, &d, progress);
        news.progress = progress;
        news.bare = bare;
        news.echo = s.options.timestamps.filter(|_| self.ts.on).map(|t| t.1);
        self.after_ack(now, d, news);
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
                self.stats.rare.dsack_recv += 1;
                self.total.repairs.dsack_dups += 1;
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

    /// RFC 6298, section 3; RFC 7323, section 4.1.
    fn sample_rtt(&mut self, now: Instant, s: &Segment, d: &Delivered, progress: bool) {
        if let (Some(rtt), false) = (d.rtt, d.retransmitted) {
            self.rtt.sample(now, rtt, self.cfg.tunables.min_rtt_wlen);
        } else if let (true, true, Some((_, echo))) = (progress, self.ts.on, s.options.timestamps) {
            let elapsed = self.timestamp(now).wrapping_sub(echo);
            if echo != 0 && d.bytes > 0 && elapsed < 1 << 24 {
                let rtt = Duration::from_millis(u64::from(elapsed).max(1));
                self.rtt.sample(now, rtt, self.cfg.tunables.min_rtt_wlen);
            }
        }
    }

    /// The answer to our SYN came, which was sent once.
    pub(super) fn sample_handshake(&mut self, now: Instant) {
        self.rtt.sample(now, now.since(self.tx.progress_at), self.cfg.tunables.min_rtt_wlen);
    }
}
