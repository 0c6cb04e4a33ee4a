//! Arriving segments: the checks and the states (RFC 9293, section 3.10.7; RFC 5961; RFC 7323, section 5).

use super::{Connection, Event, Urgent, INITIAL_WINDOW};
use crate::tcp::rare::Fault;
use crate::tcp::segment::{Flags, Segment};
use crate::tcp::seq::{seq_before, Space, BASE};
use crate::tcp::timewait::TimeWaitVerdict;
use crate::tcp::State;
use bytes::Bytes;
use core::time::Duration;
use lkl_abi::Errno;
use lkl_ops::Instant;

/// After so long a timestamp says nothing any more (RFC 7323, section 5.5).
const PAWS_AGE: Duration = Duration::from_secs(24 * 24 * 3600);

impl Connection {
    /// A segment came; its checksum is right and its ports are ours. What is to be answered is then asked for by
    /// [`Connection::poll_transmit`].
    pub fn on_segment(&mut self, now: Instant, segment: &Segment, payload: Bytes) {
        self.total.segs_in += 1;
        self.total.data_segs_in += u32::from(!payload.is_empty());
        match self.state {
            State::Closed | State::Listen => {
                if !segment.has(Flags::RST) && segment.has(Flags::ACK) {
                    self.pending.stray_reset = Some(segment.ack);
                }
            }
            State::SynSent => self.in_syn_sent(now, segment),
            State::TimeWait => self.in_time_wait(now, segment, payload.len()),
            _ => self.in_synchronised(now, segment, payload),
        }
    }

    fn in_time_wait(&mut self, now: Instant, segment: &Segment, payload: usize) {
        let Some(tw) = self.odd.changed().and_then(|o| o.time_wait.as_mut()) else { return };
        match tw.on_segment(now, segment, payload) {
            TimeWaitVerdict::Answer(_) => tw.owe_ack(true),
            TimeWaitVerdict::Forget => self.die(None),
            TimeWaitVerdict::Drop | TimeWaitVerdict::NewConnection(_) => {}
        }
    }

    /// RFC 9293, section 3.10.7.3.
    fn in_syn_sent(&mut self, now: Instant, s: &Segment) {
        let acks = s.has(Flags::ACK);
        if acks {
            let position = self.tx.space.position(s.ack, self.tx.una);
            let echo_wrong = matches!((self.cfg.timestamps, s.options.timestamps), (true, Some((_, echo)))
                if seq_before(self.timestamp(now), echo));
            if position <= self.tx.una || position > self.tx.nxt || echo_wrong {
                if !s.has(Flags::RST) {
                    self.pending.stray_reset = Some(s.ack);
                }
                return;
            }
        }
        if s.has(Flags::RST) {
            if acks {
                self.stats.rare.attempt_fails += 1;
                self.die(Some(Errno::ECONNREFUSED));
            }
            return;
        }
        if !s.has(Flags::SYN) {
            return;
        }
        self.rx.space = Space::new(s.seq);
        self.rx.nxt = BASE + 1;
        self.rx.acked = BASE + 1;
        self.take_options(&s.options, now);
        self.settle_ecn(s, now);
        self.tx.window = u32::from(s.window);
        self.tx.max_window = self.tx.window;
        self.tx.wl = BASE;
        // What the SYN told; it was never scaled.
        let full = self.cfg.advertised_mss - if self.cfg.timestamps { 12 } else { 0 };
        self.rx.edge = BASE + 1 + u64::from(self.cfg.settings.syn_window(full));
        self.last_recv = now;
        if acks {
            let position = self.tx.space.position(s.ack, self.tx.una);
            if self.tx.retries == 0 {
                self.sample_handshake(now);
            }
            self.on_fast_open_answer(now, s, position);
            self.establish(now);
            self.ack.now = true;
        } else {
            // Both opened at once (RFC 9293, section 3.5, figure 7).
            self.state = State::SynReceived;
            self.pending.syn = true;
            self.deadlines.rto = Some(now + self.rtt.rto());
        }
    }

    fn establish(&mut self, now: Instant) {
        self.state = State::Established;
        self.pending.syn = false;
        self.update_mss();
        self.tx.win.cwnd = INITIAL_WINDOW * self.tx.win.mss;
        if self.tx.retries > 0 {
            // RFC 6298, section 5.7.
            self.rtt.restart_at(Duration::from_secs(3));
            self.tx.win.cwnd = self.tx.win.mss;
        }
        self.rtt.reset_backoff();
        self.tx.retries = 0;
        self.end_timeouts(now);
        self.tx.small = self.tx.una;
        self.tx.progress_at = now;
        self.deadlines.rto = None;
        self.rearm_rto(now);
        self.error = Fault::NONE;
        self.soft_error = Fault::NONE;
        self.start_congestion_control(now);
        self.start_mtu_search(now);
        self.grow_sndbuf();
        self.start_right_sizing(now);
        self.last_ack_recv = now;
        self.arm_keepalive(now);
        self.events |= Event::CONNECTED | Event::WRITABLE;
    }

    /// RFC 9293, section 3.10.7.4.
    fn in_synchronised(&mut self, now: Instant, s: &Segment, payload: Bytes) {
        let seq = self.rx.space.position(s.seq, self.rx.nxt);
        let fin = s.has(Flags::FIN);
        let end = seq + payload.len() as u64 + u64::from(fin) + u64::from(s.has(Flags::SYN));
        if let (true, Some((value, _))) = (self.ts.on, s.options.timestamps) {
            let old = seq_before(value, self.ts.recent) && now.since(self.ts.recent_at) < PAWS_AGE;
            if old && !s.has(Flags::RST) {
                self.stats.rare.paws_estab += 1;
                self.refuse(now, seq, end, s);
                return;
            }
        }
        let window_end = self.rx.edge.max(self.rx.nxt);
        if end < self.rx.acked || seq > window_end {
            if !s.has(Flags::RST) {
                self.refuse(now, seq, end, s);
            } else if seq == self.rx.nxt {
                self.on_reset();
            }
            return;
        }
        if s.has(Flags::RST) {
            // RFC 5961, section 3.2.
            if seq == self.rx.nxt {
                self.on_reset();
            } else {
                self.challenge(now);
            }
            return;
        }
        if s.has(Flags::SYN) {
            let of_simultaneous_open = self.state == State::SynReceived
                && s.has(Flags::ACK)
                && seq + 1 == self.rx.nxt
                && payload.is_empty()
                && self.tx.space.position(s.ack, self.tx.una) == self.tx.nxt;
            if !of_simultaneous_open {
                // RFC 5961, section 4.2.
                self.stats.rare.syn_challenge += 1;
                self.challenge(now);
                return;
            }
        }
        if !s.has(Flags::ACK) {
            return;
        }
        let ack = self.tx.space.position(s.ack, self.tx.una);
        if self.fast.passive && self.state != State::SynReceived && self.tx.una == BASE && ack > BASE {
            // Closed before the handshake was over.
            self.tx.una = BASE + 1;
            self.tx.retries = 0;
        }
        if self.state == State::SynReceived {
            if ack <= self.tx.una || ack > self.tx.nxt {
                self.pending.stray_reset = Some(s.ack);
                return;
            }
            self.tx.una = BASE + 1;
            if self.tx.retries == 0 {
                self.sample_handshake(now);
            }
            self.tx.window = self.window_of(s);
            self.tx.max_window = self.tx.max_window.max(self.tx.window);
            self.tx.wl = seq;
            self.check_handshake_feedback(s, payload.len());
            self.establish(now);
        }
        self.last_recv = now;
        self.keep_probes = 0;
        self.take_ecn(s, payload.len());
        if !self.on_ack(now, s, seq, ack, payload.len()) {
            return;
        }
        if self.state == State::Closed || self.state == State::TimeWait {
            return;
        }
        if s.has(Flags::URG) {
            self.on_urgent(seq, s.urgent, &payload);
        }
        if payload.is_empty() && !fin {
            return;
        }
        match self.state {
            State::Established => {}
            State::FinWait1 | State::FinWait2 => {
                // Data that nobody will ever read (RFC 9293, section 3.6, as RFC 1122, section 4.2.2.13, has it).
                if self.rx.shutdown && !payload.is_empty() && end - u64::from(fin) > self.rx.nxt {
                    self.stats.rare.abort_on_data += 1;
                    self.die(None);
                    self.pending.stray_reset = Some(s.ack);
                    return;
                }
            }
            // The peer has sent its FIN: what comes again was acknowledged already, but perhaps that was lost.
            _ => {
                if end <= self.rx.nxt {
                    self.ack.now = true;
                }
                return;
            }
        }
        self.measure_by_echo(now, s, payload.len());
        self.receive(now, seq, payload, fin);
    }

    /// A segment that does not fit is answered by an acknowledgement, but not too often.
    fn refuse(&mut self, now: Instant, seq: u64, end: u64, s: &Segment) {
        if s.has(Flags::SYN) {
            self.stats.rare.syn_challenge += 1;
            self.challenge(now);
            return;
        }
        if seq == end {
            if self.odd.last_invalid.is_some_and(|at| now.since(at) < self.cfg.tunables.invalid_ratelimit) {
                return;
            }
            self.odd.last_invalid = Some(now);
        } else {
            self.enter_quick_ack();
            if end <= self.rx.nxt {
                self.note_duplicate(seq, end.min(self.rx.nxt));
            }
        }
        self.ack.now = true;
    }

    /// Tells whether all connections together may answer a doubtful segment now (RFC 5961, section 7).
    pub fn allow_challenges(&mut self, allowed: bool) {
        self.no_challenges = !allowed;
    }

    /// RFC 5961, section 7: answers that an attacker could cause are limited.
    pub(super) fn challenge(&mut self, now: Instant) {
        if self.odd.last_challenge.is_some_and(|at| now.since(at) < self.cfg.tunables.invalid_ratelimit) {
            return;
        }
        self.odd.last_challenge = Some(now);
        if self.no_challenges {
            return;
        }
        self.stats.rare.challenge_ack += 1;
        self.ack.now = true;
    }

    fn on_reset(&mut self) {
        let error = match self.state {
            State::SynReceived if !self.fast.passive => Errno::ECONNREFUSED,
            State::CloseWait => Errno::EPIPE,
            _ => Errno::ECONNRESET,
        };
        if self.state == State::SynReceived {
            self.stats.rare.attempt_fails += 1;
        } else {
            self.stats.rare.estab_resets += 1;
        }
        self.die(Some(error));
    }

    /// RFC 9293, section 3.8.5; the pointer is one past the urgent byte, as everyone has it (RFC 6093, section 2.1).
    fn on_urgent(&mut self, seq: u64, pointer: u16, payload: &Bytes) {
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            return;
        }
        // As RFC 1122, section 4.2.2.4, had it, if the setting says so.
        let past = u16::from(!self.cfg.tunables.stdurg);
        let Some(back) = pointer.checked_sub(past) else { return };
        let at = seq + u64::from(back);
        let read = self.read_position();
        if at < read || at < self.rx.nxt && self.odd.urgent.is_none_or(|(old, _)| at <= old) {
            // Already read over, or heard of before.
            if self.odd.urgent.is_none_or(|(old, _)| at != old) {
                return;
            }
        }
        if self.odd.urgent.is_none_or(|(old, _)| at > old) {
            self.odd.urgent = Some((at, Urgent::Coming));
            self.events |= Event::URGENT;
        }
        let Some((position, what)) = self.odd.changed().and_then(|o| o.urgent.as_mut()) else { return };
        if *what == Urgent::Coming && *position >= seq {
            if let Some(byte) = payload.get((*position - seq) as usize) {
                *what = Urgent::Here(*byte);
                self.events |= Event::URGENT | Event::READABLE;
            }
        }
    }

    /// The peer's FIN is next (RFC 9293, section 3.10.7.4, eighth).
    pub(super) fn on_fin(&mut self, now: Instant) {
        self.rx.nxt += 1;
        self.rx.fin = None;
        self.rx.ended = true;
        self.rx.ooo.clear();
        self.ack.now = true;
        self.events |= Event::PEER_CLOSED | Event::READABLE;
        match self.state {
            State::SynReceived | State::Established => {
                self.state = State::CloseWait;
                self.ack.pingpong = true;
            }
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(now),
            _ => {}
        }
    }

    /// The peer acknowledged our FIN.
    pub(super) fn on_fin_acked(&mut self, now: Instant) {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.events |= Event::WRITABLE;
                if self.orphan {
                    self.limit_fin_wait(now);
                }
            }
            State::Closing => self.enter_time_wait(now),
            State::LastAck => self.die(None),
            _ => {}
        }
    }

    /// An orphan does not wait for the peer's FIN forever.
    pub(super) fn limit_fin_wait(&mut self, now: Instant) {
        match self.cfg.settings.fin_timeout.unwrap_or(self.cfg.tunables.fin_timeout) {
            Duration::ZERO if self.cfg.settings.fin_timeout.is_some() => self.die_with_reset(None),
            t => self.deadlines.seldom.fin = Some(now + t),
        }
    }
}
