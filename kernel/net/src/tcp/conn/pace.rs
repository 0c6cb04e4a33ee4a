//! At what rate segments go, and what held them back: pacing (as Linux's fq has it, by deadlines), samples for the
//! congestion control, and the times that `TCP_INFO` shows.

use super::{Connection, Recovery};
use crate::tcp::cong::{CaState, Sample, Start};
use crate::tcp::rare::{Beginning, Nanos, Rare};
use crate::tcp::rate::{per_second, SendStamp};
use crate::tcp::scoreboard::Delivered;
use core::time::Duration;
use lkl_ops::Instant;

/// The first segments go at once: the initial window is no burst worth spreading.
const UNPACED_SEGMENTS: u32 = 10;
/// Shift that makes the bytes of about a millisecond from a rate (`tcp_tso_autosize`).
const BURST_SHIFT: u32 = 10;
/// Round trips below some multiples of half a millisecond let more go in one burst (`net.ipv4.tcp_tso_rtt_log`).
const BURST_RTT_BYTES: u64 = 65_536;

/// The most that is made up for when the deadline of pacing was seen late.
const MOST_LATE: Duration = Duration::from_millis(4);

/// What holds the sender back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Limit {
    /// There is nothing to send.
    #[default]
    Idle,
    /// Nothing but network and congestion window.
    Busy,
    /// The peer's window.
    PeerWindow,
    /// The size of our send buffer.
    SendBuffer,
}

/// How long each of that lasted.
#[derive(Default, Debug)]
pub(super) struct Chrono {
    now: Limit,
    since: Instant,
    busy: Nanos,
    held_back: Rare<HeldBack>,
}

/// How long somebody else was the limit.
#[derive(Clone, Debug)]
pub(super) struct HeldBack {
    peer_window: Nanos,
    send_buffer: Nanos,
}

impl Beginning for HeldBack {
    const BEGINNING: &'static Self = &Self { peer_window: Nanos::ZERO, send_buffer: Nanos::ZERO };
}

impl Chrono {
    fn switch(&mut self, to: Limit, now: Instant) {
        if self.now == to {
            return;
        }
        let time = now.since(self.since);
        match self.now {
            Limit::Idle => {}
            Limit::Busy => self.busy += time,
            Limit::PeerWindow => self.held_back.peer_window += time,
            Limit::SendBuffer => self.held_back.send_buffer += time,
        }
        self.now = to;
        self.since = now;
    }

    /// Time busy in all, limited by the peer's window, limited by our buffer.
    pub(super) fn times(&self, now: Instant) -> (Duration, Duration, Duration) {
        let at_it = |limit| if self.now == limit { now.since(self.since) } else { Duration::ZERO };
        let busy = self.busy.get() + at_it(Limit::Busy);
        let peer_window = self.held_back.peer_window.get() + at_it(Limit::PeerWindow);
        let send_buffer = self.held_back.send_buffer.get() + at_it(Limit::SendBuffer);
        (busy + peer_window + send_buffer, peer_window, send_buffer)
    }
}

impl Connection {
    /// Are segments spread over time?
    fn paces(&self) -> bool {
        self.tx.cc.pacing_rate().is_some() || self.cfg.settings.max_pacing_rate != u64::MAX
    }

    /// The rate in bytes a second; `u64::MAX` if there is none yet.
    pub(super) fn pacing_rate(&self) -> u64 {
        let most = self.cfg.settings.max_pacing_rate;
        if let Some(rate) = self.tx.cc.pacing_rate() {
            return rate.min(most);
        }
        let Some(srtt) = self.rtt.srtt().filter(|t| !t.is_zero()) else { return most };
        let win = &self.tx.win;
        let t = &self.cfg.tunables;
        let percent = if win.cwnd < win.ssthresh / 2 { t.pacing_ss_ratio } else { t.pacing_ca_ratio };
        let percent = u64::from(percent);
        let bytes = win.cwnd.max(self.tx.board.in_flight());
        (per_second(bytes, srtt) / 100).saturating_mul(percent).min(most)
    }

    /// May data go at `now`? If not, a deadline says when.
    pub(super) fn pacing_lets(&mut self, now: Instant) -> bool {
        let next = self.deadlines.seldom.paced_until;
        if next <= now || !self.paces() {
            if self.deadlines.seldom.pace.is_some() {
                self.deadlines.unset(|s| &mut s.pace);
                self.pace_fired(now);
            }
            return true;
        }
        self.deadlines.seldom.pace = Some(next);
        false
    }

    /// The deadline of pacing has passed.
    pub(super) fn pace_fired(&mut self, now: Instant) {
        let late = now.since(self.deadlines.seldom.paced_until).min(MOST_LATE);
        self.deadlines.seldom.late_nanos = late.subsec_nanos();
    }

    /// So many bytes may go in one burst, if segments are paced.
    pub(super) fn paced_burst(&self) -> Option<u64> {
        let rate = self.paces().then(|| self.pacing_rate()).filter(|r| *r != u64::MAX)?;
        let mut bytes = rate >> BURST_SHIFT;
        let t = &self.cfg.tunables;
        let least = self.rtt.min().filter(|_| t.tso_rtt_log > 0);
        let shift = least.map_or(u128::MAX, |rtt| rtt.as_micros() >> t.tso_rtt_log.min(127));
        if let Some(more) = u32::try_from(shift).ok().and_then(|s| BURST_RTT_BYTES.checked_shr(s)) {
            bytes += more;
        }
        Some(bytes.max(u64::from(t.min_tso_segs) * self.tx.win.mss))
    }

    /// `bytes` go now: when the next may.
    pub(super) fn pace(&mut self, now: Instant, bytes: u64) {
        self.deadlines.unset(|s| &mut s.pace);
        if !self.paces() {
            return;
        }
        let before = self.deadlines.seldom.paced_until;
        let mut next = before.max(now);
        if self.total.data_segs_out >= UNPACED_SEGMENTS {
            let rate = self.pacing_rate();
            if rate != u64::MAX && rate > 0 {
                let time = u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX);
                // Whoever came late may make up for it, by half at most; for what the host was late, by all of it.
                let late = u64::try_from(now.since(before).as_nanos()).unwrap_or(u64::MAX);
                let whole = Duration::from_nanos(time);
                let owed = Duration::from_nanos(self.deadlines.seldom.late_nanos.into()).min(whole);
                self.deadlines.seldom.late_nanos -= owed.subsec_nanos();
                next += whole - owed.max(Duration::from_nanos(late.min(time / 2)));
            }
        }
        self.deadlines.seldom.paced_until = next;
    }

    /// Data is about to be sent: what its transmission is to remember.
    pub(super) fn stamp_transmission(&mut self, now: Instant) -> SendStamp {
        if self.in_flight() == 0 {
            let limited = self.tx.rate.is_app_limited();
            self.tx.cc.on_transmit_after_idle(&mut self.tx.win, now, limited);
        }
        self.tx.rate.stamp(now, self.tx.board.delivery_times())
    }

    /// Is there less to send than would be let? Then what is measured says nothing of the path.
    pub(super) fn check_app_limited(&mut self) {
        let in_flight = self.in_flight();
        // What is lost and not sent again yet would go first.
        let all_sent = self.unsent() < self.tx.win.mss && self.tx.board.lost_bytes() == 0;
        if all_sent && in_flight < self.tx.win.cwnd && self.is_synchronised() {
            self.tx.rate.limited_by_app(in_flight);
        }
    }

    /// A sample that tells of nothing but where the sender stands.
    pub(super) fn blank_sample(&self, now: Instant) -> Sample {
        Sample {
            now,
            delivered: self.tx.rate.delivered,
            lost: self.tx.board.lost_ever(),
            prior_delivered: self.tx.rate.delivered,
            rate: None,
            app_limited: false,
            rtt: None,
            srtt: self.rtt.srtt(),
            delayed: false,
            acked: 0,
            losses: 0,
            in_flight: self.in_flight(),
            prior_in_flight: self.in_flight(),
            paced_until: self.deadlines.seldom.paced_until,
            max_rate: self.cfg.settings.max_pacing_rate,
            state: match self.tx.recovery {
                Recovery::Open if self.tx.board.has_sacks() || self.tx.repair.dup_acks > 0 => CaState::Disorder,
                Recovery::Open => CaState::Open,
                Recovery::Cwr => CaState::Cwr,
                Recovery::Fast => CaState::Recovery,
                Recovery::Timeout => CaState::Loss,
            },
        }
    }

    /// What was delivered makes a sample of the delivery rate; an algorithm that wants to know is told.
    pub(super) fn sample_rate(&mut self, now: Instant, d: &Delivered, prior_in_flight: u64, prior_lost: u64) {
        let min_rtt = self.rtt.min().unwrap_or_default();
        let measured = self.tx.rate.sample(now, d.moved, d.newest, min_rtt);
        self.tx.board.note_delivery(now, d.moved > 0, d.newest);
        if !self.tx.cc.controls() {
            return;
        }
        let mut s = self.blank_sample(now);
        if let Some(m) = measured {
            s.prior_delivered = m.prior_delivered;
            s.rate = m.rate;
            s.app_limited = m.app_limited;
        }
        s.rtt = d.rtt.filter(|_| !d.retransmitted);
        s.delayed = d.bytes < self.tx.win.mss && s.prior_delivered + d.moved == s.delivered;
        s.acked = d.moved;
        s.losses = s.lost.saturating_sub(prior_lost);
        s.prior_in_flight = prior_in_flight;
        if self.tx.cc.on_sample(&mut self.tx.win, &s) {
            self.tx.rate.limited_by_app(s.in_flight);
        }
        self.grow_sndbuf();
    }

    /// The algorithm begins: with the connection, or when the program changes to it.
    pub(super) fn start_congestion_control(&mut self, now: Instant) {
        let start = Start {
            now,
            srtt: self.rtt.srtt(),
            min_rtt: self.rtt.min(),
            delivered: self.tx.rate.delivered,
            max_rate: self.cfg.settings.max_pacing_rate,
            seed: u64::from(self.cfg.iss) << 16 ^ u64::from(self.cfg.remote_port) ^ now.as_nanos(),
        };
        self.tx.cc.on_start(&mut self.tx.win, &start);
    }

    /// Writes down what holds the sender back now that it has stopped.
    pub(super) fn note_limit(&mut self, now: Instant) {
        let limit = if self.tx.board.is_empty() && !self.has_unsent() {
            Limit::Idle
        } else if self.has_unsent() && self.tx.nxt + self.tx.win.mss > self.tx.una + self.tx.wnd() {
            Limit::PeerWindow
        } else if !self.has_unsent() && self.tx.no_room {
            Limit::SendBuffer
        } else {
            Limit::Busy
        };
        self.tx.chrono.switch(limit, now);
    }
}
