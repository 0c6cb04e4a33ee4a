//! Deadlines: retransmission (RFC 6298), tail loss probes (RFC 8985, section 7), zero window probes (RFC 9293, section
//! 3.8.6.1), delayed acknowledgements, keep-alive (RFC 9293, section 3.8.4), and the end of an orphan.

use super::{Connection, Event, Recovery, SeldomDue, Tlp, DELACK_MAX};
use crate::tcp::rtt::RTO_MIN;
use crate::tcp::scoreboard::Delivered;
use crate::tcp::seq::BASE;
use crate::tcp::State;
use core::time::Duration;
use lkl_abi::Errno;
use lkl_ops::Instant;

/// A stream is thin with fewer segments than these in flight; so often its time-out is not doubled
/// (`net.ipv4.tcp_thin_linear_timeouts`).
const THIN_SEGMENTS: u64 = 4;
const THIN_RETRIES: u8 = 6;

impl Connection {
    /// When [`Connection::on_timer`] wants to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let d = &self.deadlines;
        // Most are not set: as numbers they are compared without a branch for each.
        let nanos = |at: Option<Instant>| at.map_or(u64::MAX, Instant::as_nanos);
        let s = &*d.seldom;
        let all = [d.rto, d.probe, s.reorder, s.persist, d.delack, s.keepalive, s.fin, s.pace];
        let first = all.iter().fold(u64::MAX, |first, at| first.min(nanos(*at)));
        (first != u64::MAX).then(|| Instant::from_nanos(first))
    }

    /// Does what is due at `now`; what is to be sent is then asked for by [`Connection::poll_transmit`].
    pub fn on_timer(&mut self, now: Instant) {
        let due = |d: &mut Option<Instant>| d.take_if(|at| *at <= now).is_some();
        if due(&mut self.deadlines.delack) && self.ack.pending {
            // The guess was too short: the program answers later than that.
            self.ack.set_ato(self.ack.ato().saturating_mul(2).min(DELACK_MAX));
            self.ack.pingpong = false;
            self.ack.now = true;
            self.stats.delayed_acks += 1;
        }
        if self.seldom_is_due(|s| due(&mut s.reorder)) {
            self.detect_loss(now, false, &Delivered::default());
            self.rearm_rto(now);
        }
        if due(&mut self.deadlines.probe) {
            self.tail_loss_probe(now);
        }
        if due(&mut self.deadlines.rto) {
            self.retransmission_timeout(now);
        }
        if self.seldom_is_due(|s| due(&mut s.persist)) {
            self.persist_timeout(now);
        }
        if self.seldom_is_due(|s| due(&mut s.keepalive)) {
            self.keepalive_timeout(now);
        }
        if self.seldom_is_due(|s| due(&mut s.fin)) {
            self.die(None);
        }
        // What pacing held back is asked for by whoever calls this.
        if self.seldom_is_due(|s| due(&mut s.pace)) {
            self.pace_fired(now);
        }
    }

    fn seldom_is_due(&mut self, due: impl FnOnce(&mut SeldomDue) -> bool) -> bool {
        self.deadlines.seldom.changed().is_some_and(due)
    }

    /// Something was delivered or sent: the retransmission timer begins anew, or ends (RFC 6298, section 5).
    pub(super) fn rearm_rto(&mut self, now: Instant) {
        if self.fast.passive && self.tx.una == BASE {
            // The SYN-ACK's own runs.
            return;
        }
        if self.tx.board.is_empty() {
            self.deadlines.rto = None;
            self.deadlines.probe = None;
            self.deadlines.unset(|s| &mut s.reorder);
            self.deadlines.seldom.settle();
            self.forget_repair();
            return;
        }
        let rto = now + self.rtt.rto();
        self.deadlines.rto = Some(self.limit_by_user_timeout(rto));
        self.arm_probe(now);
    }

    /// RFC 8985, section 7.2.
    pub(super) fn arm_probe(&mut self, now: Instant) {
        self.deadlines.probe = None;
        let calm = matches!(self.tx.recovery, Recovery::Open | Recovery::Cwr);
        let quiet = self.sack && calm && !self.tx.board.has_sacks() && self.cfg.tunables.tail_loss_probes;
        if !quiet || self.tx.repair.tlp.is_some() || self.tx.retries > 0 || !self.is_synchronised() {
            return;
        }
        let Some(srtt) = self.rtt.srtt() else { return };
        let mut wait = srtt * 2;
        wait += if self.tx.board.in_flight() <= self.tx.win.mss {
            // The acknowledgement of a single segment may be delayed.
            DELACK_MAX
        } else {
            // Two ticks more, as Linux has it: so late may a thread that reads acknowledgements get a CPU.
            Duration::from_millis(8)
        };
        // The probe comes before the time-out in any case, and begins it anew.
        let at = now + wait;
        self.deadlines.probe = Some(self.deadlines.rto.map_or(at, |rto| at.min(rto)));
    }

    fn tail_loss_probe(&mut self, now: Instant) {
        if self.tx.board.is_empty() {
            return;
        }
        self.stats.rare.loss_probes += 1;
        let new = self.unsent() > 0 && self.tx.wnd() > self.tx.nxt - self.tx.una;
        self.tx.repair.tlp = Some(Tlp { end: self.tx.nxt, retransmission: !new });
        if new {
            self.tx.force_new = true;
        } else {
            self.pending.tail = true;
        }
        self.deadlines.rto = Some(self.limit_by_user_timeout(now + self.rtt.rto()));
    }

    fn limit_by_user_timeout(&self, at: Instant) -> Instant {
        match self.cfg.settings.user_timeout {
            Duration::ZERO => at,
            limit => at.min((self.tx.progress_at + limit).max(self.tx.last_sent + Duration::from_millis(1))),
        }
    }

    /// How many times something is sent again before the connection is given up.
    fn retry_limit(&self) -> u32 {
        let s = &self.cfg.tunables;
        match self.state {
            State::SynSent => self.cfg.settings.syn_retries(s) + s.syn_linear_timeouts,
            _ if self.fast.passive && self.tx.una == BASE => s.synack_retries,
            State::SynReceived => s.synack_retries,
            _ if self.orphan => match s.orphan_retries {
                0 => 8,
                n => n,
            },
            _ => s.retries2,
        }
    }

    /// Something came through again.
    pub(super) fn end_timeouts(&mut self, now: Instant) {
        let Some(total) = self.total.repairs.changed() else { return };
        let since = core::mem::take(&mut total.rto_since);
        if since > Instant::ZERO {
            let ms = u32::try_from(now.since(since).as_millis()).unwrap_or(u32::MAX);
            total.rto_ms = total.rto_ms.saturating_add(ms);
        }
    }

    fn given_up(&self, now: Instant, tries: u32) -> bool {
        let limit = self.cfg.settings.user_timeout;
        if !limit.is_zero() && self.is_synchronised() {
            return now.since(self.tx.progress_at) >= limit;
        }
        tries >= self.retry_limit()
    }

    fn time_out(&mut self) {
        self.stats.rare.abort_on_timeout += 1;
        let error = self.soft_error.take().unwrap_or(Errno::ETIMEDOUT);
        if matches!(self.state, State::SynSent | State::SynReceived) {
            self.stats.rare.attempt_fails += 1;
        }
        self.die(Some(error));
    }

    /// RFC 6298, section 5.4 to 5.6; RFC 5681, section 3.1.
    fn retransmission_timeout(&mut self, now: Instant) {
        if self.given_up(now, self.tx.retries.into()) {
            self.time_out();
            return;
        }
        let nothing = self.is_synchronised() && self.tx.board.is_empty() && self.tx.una > BASE;
        if !nothing {
            self.total.repairs.rtos.0 = self.total.repairs.rtos.0.saturating_add(1);
            if self.tx.retries == 0 {
                self.total.repairs.rtos.1 = self.total.repairs.rtos.1.saturating_add(1);
                self.total.repairs.rto_since = now;
            }
        }
        let syn = self.fast.passive && self.tx.una == BASE;
        if syn || matches!(self.state, State::SynSent | State::SynReceived) {
            self.tx.retries = self.tx.retries.saturating_add(1);
            // A SYN goes again some times before the time is doubled.
            if self.state != State::SynSent || u32::from(self.tx.retries) > self.cfg.tunables.syn_linear_timeouts {
                self.rtt.back_off();
            }
            self.pending.syn = true;
            self.stats.rare.retrans_segs += 1;
            self.total.repairs.retrans += 1;
            self.deadlines.rto = Some(now + self.rtt.rto());
            return;
        }
        if self.tx.board.is_empty() {
            return;
        }
        self.stats.rare.timeouts += 1;
        // RFC 5682, section 2.1, step 1: not when lost segments are being sent again already.
        let fresh = matches!(self.tx.recovery, Recovery::Open | Recovery::Cwr) || self.tx.retries > 0;
        self.tx.repair.frto = self.cfg.tunables.frto && fresh && !self.odd.mtu.as_ref().is_some_and(|m| m.probing());
        if u32::from(self.tx.retries) >= self.cfg.tunables.retries1 {
            self.on_black_hole(now);
        }
        self.tx.repair.prefer_new = false;
        self.ecn.queue_cwr();
        // A recovery that was under way has set it already; its window says nothing of the path.
        if self.tx.recovery == Recovery::Open || self.tx.repair.high <= self.tx.una {
            if self.tx.recovery == Recovery::Open {
                self.remember_window();
            }
            self.tx.win.ssthresh = self.tx.cc.on_loss(&self.tx.win, now);
        }
        self.tx.board.mark_all(self.tx.una);
        let sample = self.blank_sample(now);
        self.tx.cc.on_timeout(&self.tx.win, &sample);
        self.tx.win.cwnd = self.tx.win.mss;
        self.tx.recovery = Recovery::Timeout;
        self.tx.repair.high = self.tx.nxt;
        self.tx.repair.dup_acks = 0;
        self.tx.repair.tlp = None;
        self.tx.retries = self.tx.retries.saturating_add(1);
        self.tx.force_lost = true;
        // Of a stream that sends little at a time, it is not doubled at first.
        let thin = self.cfg.settings.thin_linear_timeouts || self.cfg.tunables.thin_linear_timeouts;
        let thin = thin && self.state == State::Established && self.tx.retries <= THIN_RETRIES;
        if thin && self.tx.nxt - self.tx.una < THIN_SEGMENTS * self.tx.win.mss {
            self.rtt.reset_backoff();
        } else {
            self.rtt.back_off();
        }
        self.deadlines.probe = None;
        self.deadlines.unset(|s| &mut s.reorder);
        self.deadlines.rto = Some(self.limit_by_user_timeout(now + self.rtt.rto()));
    }

    /// Data is waiting and nothing is in flight that would bring an acknowledgement: the peer is asked now and then.
    pub(super) fn arm_persist(&mut self, now: Instant) {
        let paced = self.deadlines.seldom.pace.is_some();
        let waiting = self.tx.board.is_empty() && self.has_unsent() && self.is_synchronised() && !paced;
        if !waiting {
            self.deadlines.unset(|s| &mut s.persist);
        } else if self.deadlines.seldom.persist.is_none() {
            let wait =
                self.rtt.rto().max(RTO_MIN).saturating_mul(1 << self.tx.probe_backoff.min(16)).min(self.rtt.most());
            self.deadlines.seldom.persist = Some(now + wait);
        }
    }

    fn persist_timeout(&mut self, now: Instant) {
        if !self.tx.board.is_empty() || !self.has_unsent() {
            return;
        }
        if self.tx.wnd() > self.tx.nxt - self.tx.una {
            // It was held back (cork, a window smaller than a segment), and for long enough.
            self.tx.force_new = true;
            return;
        }
        // As long as the peer answers, `probes` is zero: it may keep its window shut for ever.
        if self.given_up(now, self.tx.probes.into()) {
            self.time_out();
            return;
        }
        self.tx.probes = self.tx.probes.saturating_add(1);
        self.tx.probe_backoff = self.tx.probe_backoff.saturating_add(1);
        self.pending.probe = true;
        self.arm_persist(now);
    }

    /// The next keep-alive probe is due so long after the peer was last heard of.
    pub(super) fn arm_keepalive(&mut self, now: Instant) {
        let on = self.cfg.settings.keepalive && self.is_synchronised() && self.state != State::TimeWait;
        if on {
            self.deadlines.seldom.keepalive = Some(now + self.cfg.settings.keep_idle(&self.cfg.tunables));
        } else {
            self.deadlines.unset(|s| &mut s.keepalive);
        }
    }

    fn keepalive_timeout(&mut self, now: Instant) {
        let (s, t) = (&self.cfg.settings, &self.cfg.tunables);
        if !s.keepalive || !self.is_synchronised() {
            return;
        }
        let (idle, interval) = (s.keep_idle(t), s.keep_interval(t));
        let heard = self.last_recv.max(self.last_ack_recv);
        if self.keep_probes == 0 && now < heard + idle {
            self.deadlines.seldom.keepalive = Some(heard + idle);
            return;
        }
        if !self.tx.board.is_empty() || self.has_unsent() {
            // Its own retransmissions find out.
            self.deadlines.seldom.keepalive = Some(now + idle);
            return;
        }
        let tried_long = !s.user_timeout.is_zero() && self.keep_probes > 0 && now.since(heard) >= s.user_timeout;
        if tried_long || (s.user_timeout.is_zero() && u32::from(self.keep_probes) >= s.keep_count(t)) {
            let error = self.soft_error.take().unwrap_or(Errno::ETIMEDOUT);
            self.die_with_reset(Some(error));
            self.events |= Event::ERROR;
            return;
        }
        self.deadlines.seldom.keepalive = Some(now + interval);
        self.keep_probes = self.keep_probes.saturating_add(1);
        self.stats.rare.keepalive += 1;
        self.pending.probe = true;
    }
}
