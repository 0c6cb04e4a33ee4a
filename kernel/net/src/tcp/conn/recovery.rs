//! Loss and congestion, found and answered: RACK (RFC 8985, section 6), recovery (RFC 6675; RFC 6582) with proportional rate
//! reduction (RFC 9937), tail loss probes that repaired something (RFC 8985, section 7.4), spurious time-outs (F-RTO,
//! RFC 5682), undoing what was no loss (RFC 3522; RFC 3708), and marks of congestion (RFC 3168).

use super::{Connection, Recovery, Reduction, Undo};
use crate::tcp::cong::{Acked, Window};
use crate::tcp::rare::Rare;
use crate::tcp::scoreboard::Delivered;
use crate::tcp::seq::seq_before;
use lkl_ops::Instant;

/// One acknowledgement, beside what it delivered.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct News {
    /// It acknowledges something new.
    pub(super) progress: bool,
    /// It has neither data nor a new window.
    pub(super) bare: bool,
    /// The timestamp that it echoes.
    pub(super) echo: Option<u32>,
    /// A mark of congestion came to the peer (RFC 3168).
    pub(super) ece: bool,
    /// Bytes in flight when it came.
    pub(super) in_flight: u64,
    /// The most that was in flight in the round trip that it is of.
    pub(super) most_in_flight: u64,
    /// Bytes ever lost when it came.
    pub(super) lost: u64,
}

impl Connection {
    /// The peer got `l..r` twice: a retransmission was not needed.
    pub(super) fn on_duplicate_report(&mut self, now: Instant, l: u64, r: u64) {
        if self.tx.repair.tlp.is_some_and(|t| r == t.end) {
            // It was the probe (RFC 8985, section 7.4.2): nothing had been lost.
            self.tx.repair.tlp = None;
            return;
        }
        self.tx.board.note_spurious(self.tx.una, self.tx.nxt);
        if let Some(u) = self.tx.repair.changed().and_then(|r| r.undo.as_mut()) {
            if let Some(resent) = &mut u.resent {
                *resent = resent.saturating_sub(r - l);
                if *resent == 0 {
                    self.undo_loss(now);
                }
            }
        }
    }

    fn undo_loss(&mut self, now: Instant) {
        let Some(u) = self.tx.repair.changed().and_then(|r| r.undo.take()) else { return };
        if self.tx.recovery == Recovery::Timeout {
            self.stats.rare.loss_undo += 1;
        } else {
            self.stats.rare.undo += 1;
        }
        if !self.tx.cc.controls() {
            self.tx.win.cwnd = self.tx.win.cwnd.max(u.cwnd);
        }
        self.tx.win.ssthresh = self.tx.win.ssthresh.max(u.ssthresh);
        let sample = self.blank_sample(now);
        self.tx.cc.on_undo(&mut self.tx.win, &sample);
        self.tx.recovery = Recovery::Open;
        self.tx.retries = 0;
        self.tx.repair.frto = false;
        self.tx.repair.prefer_new = false;
        self.tx.board.nothing_lost();
        self.tx.force_lost = false;
    }

    /// Loss detection, recovery, the congestion window and the timers, after an acknowledgement.
    pub(super) fn after_ack(&mut self, now: Instant, d: Delivered, news: News) {
        let News { progress, .. } = news;
        // RFC 3522, section 3.2: the first transmission is what was acknowledged.
        let stamp = self.tx.repair.undo.and_then(|u| u.stamp);
        if let (true, Some(echo), Some(stamp)) = (progress, news.echo, stamp) {
            if self.tx.recovery != Recovery::Open && d.retransmitted && echo != 0 && seq_before(echo, stamp) {
                self.tx.board.note_spurious(self.tx.una, self.tx.nxt);
                self.undo_loss(now);
            }
        }
        let limited =
            self.tx.cwnd_limited || (self.tx.win.in_slow_start() && self.tx.win.cwnd < 2 * news.most_in_flight);
        self.check_probe_repair(now, &d, news);
        self.check_mtu_probe(now);
        if self.tx.recovery == Recovery::Timeout && self.tx.repair.frto {
            self.check_spurious_timeout(now, &d, news);
        }
        // After a mark something is to be acknowledged that went with the news of it (RFC 3168, section 6.1.2).
        let end = self.tx.repair.high + u64::from(self.tx.recovery == Recovery::Cwr);
        if self.tx.recovery != Recovery::Open && self.tx.una >= end {
            self.leave_recovery();
        }
        if self.tx.board.ends_round(self.tx.una, self.tx.nxt) {
            self.tx.round = self.tx.round.wrapping_add(1);
        }
        self.detect_loss(now, progress, &d);
        if news.ece {
            // The accurate form has counted them.
            if self.ecn.accurate.is_none() {
                self.total.repairs.delivered_ce += d.moved;
            }
            if self.tx.recovery == Recovery::Open {
                self.enter_cwr(now);
                self.tx.repair.reduction.flight += d.bytes;
                self.reduce_window(d.moved, progress);
            }
        }
        self.sample_rate(now, &d, news.in_flight, news.lost);
        // A duplicate with news of SACK alone says that something may be wrong: no growth.
        let calm = matches!(self.tx.recovery, Recovery::Open | Recovery::Timeout);
        if d.bytes > 0 && progress && limited && calm && !self.tx.cc.controls() {
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
        if progress || d.bytes > 0 {
            self.rearm_rto(now);
        }
    }

    /// RFC 8985, section 7.4.2: did a tail loss probe repair a loss? Then the window has to come down as for any other.
    fn check_probe_repair(&mut self, now: Instant, d: &Delivered, news: News) {
        let Some(probe) = self.tx.repair.tlp else { return };
        if self.tx.una < probe.end {
            return;
        }
        if !probe.retransmission {
            self.tx.repair.tlp = None;
        } else if self.tx.una > probe.end {
            // What came after the probe is acknowledged, and nothing told of a duplicate: the original was lost.
            self.tx.repair.tlp = None;
            self.stats.rare.loss_probe_recovery += 1;
            if self.tx.recovery == Recovery::Open {
                self.tx.win.ssthresh = self.tx.cc.on_loss(&self.tx.win, now);
                if !self.tx.cc.controls() {
                    self.tx.win.cwnd = self.tx.win.ssthresh.max(self.tx.win.mss);
                }
                self.ecn.queue_cwr();
            }
        } else if news.bare && !news.progress && d.bytes == 0 {
            // Both came: the original was only late.
            self.tx.repair.tlp = None;
        }
    }

    /// F-RTO (RFC 5682, section 3.1, as Linux has it): after a time-out, acknowledgements of what was never sent again
    /// say that it was spurious.
    fn check_spurious_timeout(&mut self, now: Instant, d: &Delivered, news: News) {
        if d.lowest_original.is_some_and(|end| end <= self.tx.repair.high) {
            self.stats.rare.spurious_rtos += 1;
            self.undo_loss(now);
            return;
        }
        let recovered = self.tx.una >= self.tx.repair.high;
        if self.tx.nxt > self.tx.repair.high {
            // Step 3a: new data went, and what comes is about what is missing. The loss was real.
            if (news.bare || d.bytes > 0) && !news.progress {
                self.tx.repair.frto = false;
            }
        } else if news.progress && !recovered {
            // Step 2b: new data goes before what was marked as lost.
            self.tx.repair.high = self.tx.nxt;
            let may_go = self.has_unsent() && self.tx.una + self.tx.wnd() > self.tx.nxt;
            self.tx.repair.frto = may_go;
            self.tx.repair.prefer_new = may_go;
        }
    }

    /// A mark of congestion came (RFC 3168, section 6.1.2): the window comes down once in a round trip, as for a loss.
    fn enter_cwr(&mut self, now: Instant) {
        self.tx.recovery = Recovery::Cwr;
        self.tx.repair.high = self.tx.nxt;
        self.tx.repair.undo = None;
        self.begin_reduction(now);
    }

    /// The window is to come down to the slow start threshold in the round trip that begins.
    fn begin_reduction(&mut self, now: Instant) {
        self.tx.win.ssthresh = self.tx.cc.on_loss(&self.tx.win, now);
        let flight = self.tx.board.in_flight() + self.tx.board.lost_bytes();
        self.tx.repair.reduction = Reduction { flight, ..Reduction::default() };
        self.tx.repair.tlp = None;
        self.ecn.queue_cwr();
    }

    /// Looks for losses; begins a recovery if there are any.
    pub(super) fn detect_loss(&mut self, now: Instant, progress: bool, d: &Delivered) {
        let mss = self.tx.win.mss;
        let reducing = matches!(self.tx.recovery, Recovery::Cwr | Recovery::Fast);
        let recovering = matches!(self.tx.recovery, Recovery::Fast | Recovery::Timeout);
        let mut marked = 0;
        if self.sack {
            let min_rtt = self.rtt.min().unwrap_or_default();
            let srtt = self.rtt.srtt().unwrap_or_default();
            let (n, again) = self.tx.board.detect(now, mss, min_rtt, srtt, recovering, &self.cfg.tunables);
            marked = n;
            match again {
                None => self.deadlines.unset(|s| &mut s.reorder),
                Some(_) => self.deadlines.seldom.reorder = again,
            }
        } else if !recovering {
            let enough = self.tx.repair.dup_acks >= u64::from(self.cfg.tunables.reordering);
            if enough && self.tx.una > self.tx.repair.high {
                marked = self.tx.board.mark_first(mss);
            } else if enough && self.tx.repair.high <= self.tx.una {
                // RFC 6582, section 4.1, is met by the first test; before any loss `high` is where sending began.
                marked = self.tx.board.mark_first(mss);
            }
        } else if progress && self.tx.recovery == Recovery::Fast && self.tx.una < self.tx.repair.high {
            // A partial acknowledgement (RFC 6582, section 3.2, step 3).
            marked = self.tx.board.mark_first(mss);
            self.tx.force_lost |= marked > 0;
        }
        if marked > 0 && !recovering && self.mtu_probe_was_lost() {
            return;
        }
        if marked > 0 && !recovering {
            self.enter_recovery(now);
            if !reducing {
                self.tx.repair.reduction.flight += d.bytes;
            }
        }
        if matches!(self.tx.recovery, Recovery::Cwr | Recovery::Fast) && (marked > 0 || d.moved > 0) {
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
        let r = &mut self.tx.repair.reduction;
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
        if self.tx.recovery != Recovery::Cwr {
            self.tx.repair.high = self.tx.nxt;
            self.remember_window();
            self.begin_reduction(now);
        }
        // Else the window is coming down already, and is not to be given back.
        self.tx.recovery = Recovery::Fast;
        self.tx.force_lost = true;
        self.deadlines.probe = None;
        if self.sack {
            self.stats.rare.sack_recovery += 1;
        } else {
            self.stats.rare.reno_recovery += 1;
        }
    }

    /// Keeps what an undo needs.
    pub(super) fn remember_window(&mut self) {
        let Window { cwnd, ssthresh, .. } = self.tx.win;
        self.tx.repair.undo = Some(Undo { cwnd, ssthresh, resent: None, stamp: None });
    }

    fn leave_recovery(&mut self) {
        if matches!(self.tx.recovery, Recovery::Cwr | Recovery::Fast) && !self.tx.cc.controls() {
            self.tx.win.cwnd = self.tx.win.ssthresh.max(self.tx.win.mss);
        }
        self.tx.recovery = Recovery::Open;
        self.tx.repair.dup_acks = 0;
        self.tx.force_lost = false;
        self.tx.repair.frto = false;
        self.tx.repair.prefer_new = false;
        self.tx.board.recovered();
    }

    /// All is acknowledged: gives back what only a repair needs.
    pub(super) fn forget_repair(&mut self) {
        let (una, open) = (self.tx.una, self.tx.recovery == Recovery::Open);
        let Some(r) = self.tx.repair.changed() else { return };
        if open && r.undo.is_none() && r.tlp.is_none() && r.dup_acks == 0 && r.high <= una {
            self.tx.repair = Rare::default();
        }
    }

    /// Bytes that may be in the network (RFC 6675's pipe).
    pub(super) fn in_flight(&self) -> u64 {
        let dup = if self.sack { 0 } else { self.tx.repair.dup_acks * self.tx.win.mss };
        self.tx.board.in_flight().saturating_sub(dup)
    }
}
