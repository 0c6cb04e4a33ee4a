//! Segments to send: what, how much, and whether now (RFC 9293, section 3.8.6.2; RFC 896; RFC 5681; RFC 6675, section
//! 5).

use super::{Connection, Recovery, INITIAL_WINDOW};
use crate::tcp::config::EcnKind;
use crate::tcp::segment::{Ecn, Flags, Payload, Segment, SegmentOut};
use crate::tcp::seq::BASE;
use crate::tcp::State;
use lkl_ops::Instant;

impl Connection {
    /// The next segment to send, until there is none. `max_gso` is how many bytes of payload one segment may carry
    /// if it stands for several; 0 if it may not.
    pub fn poll_transmit(&mut self, now: Instant, max_gso: usize) -> Option<SegmentOut> {
        let Some(out) = self.next_segment(now, max_gso) else {
            self.note_limit(now);
            return None;
        };
        let n = u32::try_from(out.segments()).unwrap_or(u32::MAX);
        self.stats.out_segs += n;
        self.total.segs_out += n;
        if out.header.has(Flags::RST) {
            self.stats.rare.out_rsts += 1;
        }
        Some(out)
    }

    fn next_segment(&mut self, now: Instant, max_gso: usize) -> Option<SegmentOut> {
        if let Some(seq) = self.pending.stray_reset.take() {
            return Some(SegmentOut::bare(self.bare_header(seq, Flags::RST)));
        }
        if core::mem::take(&mut self.pending.reset) {
            let mut header = self.bare_header(self.tx.space.wire(self.tx.nxt), Flags::RST | Flags::ACK);
            header.ack = self.rx.space.wire(self.rx.nxt);
            return Some(SegmentOut::bare(header));
        }
        match self.state {
            State::Closed | State::Listen => return None,
            State::TimeWait => return self.odd.changed()?.time_wait.as_mut()?.poll_transmit(now),
            State::SynSent | State::SynReceived if !self.fast.passive => return self.next_syn(now),
            _ if self.pending.syn => return self.next_syn(now),
            _ => {}
        }
        if self.tx.repair.prefer_new {
            if let Some(out) = self.next_new_segment(now, max_gso) {
                return Some(out);
            }
            self.tx.repair.prefer_new = false;
            self.tx.repair.frto = self.tx.nxt > self.tx.repair.high;
        }
        if let Some(out) = self.next_lost_segment(now) {
            return Some(out);
        }
        if core::mem::take(&mut self.pending.tail) {
            if let Some((start, end)) = self.tx.board.last() {
                let start = start.max(end.saturating_sub(self.tx.win.mss - self.ecn_option_len()));
                return Some(self.send_again(now, start, end));
            }
        }
        if let Some(out) = self.next_new_segment(now, max_gso) {
            return Some(out);
        }
        if core::mem::take(&mut self.pending.probe) {
            // A number that the peer has already makes it answer (RFC 9293, section 3.8.4).
            let out = self.segment(now, self.tx.una.wrapping_sub(1), Flags::ACK);
            return Some(SegmentOut::bare(out));
        }
        if self.ack.now {
            let out = self.segment(now, self.tx.nxt, Flags::ACK);
            return Some(SegmentOut::bare(out));
        }
        None
    }

    fn bare_header(&self, seq: u32, flags: Flags) -> Segment {
        Segment { src_port: self.cfg.local_port, dst_port: self.cfg.remote_port, seq, flags, ..Segment::default() }
    }

    fn next_syn(&mut self, now: Instant) -> Option<SegmentOut> {
        if !core::mem::take(&mut self.pending.syn) {
            if self.state == State::SynReceived && core::mem::take(&mut self.ack.now) {
                let mut header = self.bare_header(self.tx.space.wire(self.tx.nxt), Flags::ACK);
                header.ack = self.rx.space.wire(self.rx.nxt);
                header.window = self.wire_window_now();
                return Some(SegmentOut::bare(header));
            }
            return None;
        }
        let mut header = self.bare_header(self.tx.space.wire(BASE), Flags::SYN);
        let answers = self.state != State::SynSent;
        if answers && self.ecn.accurate.is_some() {
            // Fast Open only: the request answers otherwise. Its SYN was not marked.
            header.flags |= Flags::CWR;
        } else if answers && self.ecn.on {
            header.flags |= Flags::ECE;
        } else if !answers {
            // RFC 3168, section 6.1.1; RFC 9768, section 3.1.1.
            header.flags |= match self.offered_ecn() {
                EcnKind::None => Flags::empty(),
                EcnKind::Classic => Flags::ECE | Flags::CWR,
                EcnKind::Accurate => Flags::AE | Flags::ECE | Flags::CWR,
            };
        }
        // What the peer did not offer is not offered back.
        let (scaling, sack, stamps) = if answers {
            (self.rx.scale > 0 || self.tx.scale > 0, self.sack, self.ts.on)
        } else {
            (self.cfg.window_scaling, self.cfg.sack, self.cfg.timestamps)
        };
        let full = self.cfg.advertised_mss - if stamps { 12 } else { 0 };
        header.window = self.cfg.settings.syn_window(full);
        header.options.mss = Some(match self.cfg.settings.max_seg {
            0 => self.cfg.advertised_mss,
            n => self.cfg.advertised_mss.min(n),
        });
        header.options.window_scale = scaling.then_some(self.rx.scale);
        header.options.sack_permitted = sack;
        header.options.timestamps = stamps.then(|| (self.timestamp(now), if answers { self.ts.recent } else { 0 }));
        if answers {
            header.flags |= Flags::ACK;
            header.ack = self.rx.space.wire(self.rx.nxt);
            self.ack.now = false;
            self.rx.acked = self.rx.nxt;
        }
        self.tx.last_sent = now;
        let mut out = SegmentOut::bare(header);
        if !answers {
            self.add_fast_open(now, &mut out);
        }
        Some(out)
    }

    /// A header for `position` with all that an established connection says, and notes that it acknowledges.
    fn segment(&mut self, now: Instant, position: u64, flags: Flags) -> Segment {
        let mut header = self.bare_header(self.tx.space.wire(position), flags);
        header.ack = self.rx.space.wire(self.rx.nxt);
        header.window = self.announce_window();
        header.options.timestamps = self.ts.on.then(|| (self.timestamp(now), self.ts.recent));
        self.add_sack_blocks(&mut header.options);
        self.add_ecn_option(now, &mut header.options);
        header.flags |= self.ecn_flags(flags == Flags::ACK && position == self.tx.nxt);
        if self.rx.acked != self.rx.nxt || self.ack.now {
            self.ack.quick = self.ack.quick.saturating_sub(1);
        }
        self.rx.acked = self.rx.nxt;
        self.ack.now = false;
        self.ack.pending = false;
        self.ack.short = false;
        self.deadlines.delack = None;
        header
    }

    /// A segment of `start..end`, of positions that were put in the queue; the FIN if it reaches over its end.
    fn data_segment(&mut self, now: Instant, start: u64, end: u64) -> SegmentOut {
        let queue_end = self.tx.queue.end();
        let payload: Payload = self.tx.queue.slice(start, end.min(queue_end));
        let mut flags = Flags::ACK;
        if end > queue_end {
            flags |= Flags::FIN;
        }
        if end >= queue_end && !payload.is_empty() {
            flags |= Flags::PSH;
        }
        let mut header = self.segment(now, start, flags);
        if let Some(urgent) = self.odd.sent_urgent.filter(|u| *u > start) {
            header.flags |= Flags::URG;
            header.urgent = (urgent - start).min(65_535) as u16;
        }
        let out = SegmentOut { header, payload, gso_size: None };
        if out.payload_len() > 0 {
            self.total.data_segs_out += 1;
            // An acknowledgement may wait for the next answer, too.
            if now.since(self.ack.last_data) < self.ack.ato() {
                self.ack.pingpong = true;
            }
        }
        out
    }

    fn send_again(&mut self, now: Instant, start: u64, end: u64) -> SegmentOut {
        let out = self.data_segment(now, start, end);
        let memo = self.stamp_transmission(now);
        self.tx.board.resent(start, end, now, memo);
        self.pace(now, end - start);
        let stamp = self.timestamp(now);
        if let Some(repair) = self.tx.repair.changed() {
            repair.reduction.out += end - start;
            if let Some(u) = &mut repair.undo {
                *u.resent.get_or_insert(0) += end - start;
                u.stamp.get_or_insert(stamp);
            }
        }
        let bytes = out.payload_len() as u64;
        self.stats.rare.retrans_segs += 1;
        self.total.repairs.retrans += 1;
        self.total.repairs.bytes_retrans += bytes;
        self.tx.last_sent = now;
        if self.deadlines.rto.is_none() {
            self.rearm_rto(now);
        }
        out
    }

    fn next_lost_segment(&mut self, now: Instant) -> Option<SegmentOut> {
        let (start, end) = self.tx.board.next_lost()?;
        let end = end.min(start + self.tx.win.mss - self.ecn_option_len());
        // The peer may have shrunk its window; what is oldest is sent all the same, as a probe.
        let fits = end <= self.tx.una + self.tx.wnd() || start == self.tx.una;
        let room = self.in_flight() + (end - start) <= self.tx.win.cwnd;
        // While it is not known whether a time-out was spurious, only what it sent itself goes again.
        let unsure = self.tx.repair.frto && self.tx.nxt > self.tx.repair.high;
        if !fits || unsure && !self.tx.force_lost || !(self.tx.force_lost || room && self.pacing_lets(now)) {
            return None;
        }
        self.tx.force_lost = false;
        if self.tx.recovery == Recovery::Fast {
            self.stats.rare.fast_retrans += 1;
        }
        Some(self.send_again(now, start, end))
    }

    /// RFC 5681, section 4.1, in steps of the time-out as Linux has it.
    fn restart_after_idle(&mut self, now: Instant) {
        let kept = self.tx.cc.controls() || !self.cfg.tunables.slow_start_after_idle;
        if !self.tx.board.is_empty() || kept {
            return;
        }
        let rto = self.rtt.rto();
        let idle = now.since(self.tx.last_sent);
        if idle <= rto {
            return;
        }
        self.tx.cc.on_idle(now);
        let restart = (INITIAL_WINDOW * self.tx.win.mss).min(self.tx.win.cwnd);
        let mut left = idle;
        while left > rto && self.tx.win.cwnd > restart {
            self.tx.win.cwnd = (self.tx.win.cwnd / 2).max(restart);
            left -= rto;
        }
        // Counted once.
        self.tx.last_sent = now;
    }

    fn next_new_segment(&mut self, now: Instant, max_gso: usize) -> Option<SegmentOut> {
        if !self.has_unsent() {
            self.tx.cwnd_limited = false;
            self.tx.force_new = false;
            return None;
        }
        self.restart_after_idle(now);
        let forced = self.tx.force_new;
        let queue_end = self.tx.queue.end();
        let avail = queue_end.saturating_sub(self.tx.nxt);
        let window = (self.tx.una + self.tx.wnd()).saturating_sub(self.tx.nxt);
        let in_flight = self.in_flight();
        let mut congestion = self.tx.win.cwnd.saturating_sub(in_flight);
        if forced {
            congestion = congestion.max(self.tx.win.mss);
        }
        let full = self.tx.win.mss.saturating_sub(self.sack_option_len() + self.ecn_option_len()).max(1);
        if avail == 0 {
            // Only the FIN is left; it needs room in the peer's window, but not in ours.
            if window == 0 && self.tx.wnd() == 0 {
                self.arm_persist(now);
                return None;
            }
            return Some(self.send_new(now, self.tx.nxt, queue_end + 1, None));
        }
        if congestion < full && in_flight > 0 && !forced {
            self.tx.cwnd_limited = true;
            return None;
        }
        if window == 0 {
            self.tx.cwnd_limited = false;
            self.tx.force_new = false;
            self.arm_persist(now);
            return None;
        }
        if let Some(out) = self.next_mtu_probe(now) {
            return Some(out);
        }
        if !self.pacing_lets(now) {
            return None;
        }
        // The device would say of each segment that the window came down.
        let max_gso = if self.ecn.cannot_be_cut() { 0 } else { max_gso };
        let max_gso = self.paced_burst().map_or(max_gso, |burst| max_gso.min(burst as usize));
        let most = avail.min(window).min(congestion.max(full));
        let mut gso = None;
        let n = if most >= 2 * full && max_gso as u64 >= 2 * full {
            gso = Some(full as u16);
            let many = most.min(max_gso as u64) / full * full;
            // The end of the queue goes along, if it may go at all.
            if many + full > most && most == avail && (max_gso as u64) >= most && self.small_may_go(most % full) {
                most
            } else {
                many
            }
        } else {
            most.min(full)
        };
        if n < full {
            let last = n == avail;
            let allowed = if last {
                forced || self.small_may_go(n)
            } else {
                // RFC 9293, section 3.8.6.2.1: half of the greatest window seen, or wait for more.
                forced || n >= self.tx.max_wnd() / 2 || (n < window && in_flight == 0)
            };
            if !allowed {
                self.tx.cwnd_limited = false;
                self.arm_persist(now);
                return None;
            }
        }
        let mut end = self.tx.nxt + n;
        if end == queue_end && self.tx.fin && window > n {
            end += 1;
        }
        Some(self.send_new(now, self.tx.nxt, end, gso.filter(|size| n > u64::from(*size))))
    }

    /// May a segment go that is not full and holds the last `n` bytes there are (RFC 9293, section 3.7.4, Nagle's
    /// algorithm, with Minshall's rule: only small segments are waited for)?
    fn small_may_go(&self, n: u64) -> bool {
        if n == 0 || self.tx.fin || self.odd.sent_urgent.is_some_and(|u| u > self.tx.nxt) {
            return true;
        }
        let s = &self.cfg.settings;
        if s.cork || self.tx.more {
            return false;
        }
        s.nodelay || self.tx.small <= self.tx.una
    }

    pub(super) fn send_new(&mut self, now: Instant, start: u64, end: u64, gso_size: Option<u16>) -> SegmentOut {
        let mut out = self.data_segment(now, start, end);
        out.gso_size = gso_size;
        if self.ecn.may_mark() && out.payload_len() > 0 {
            out.header.ecn = Ecn::Ect0;
            if core::mem::take(&mut self.ecn.cwr) {
                out.header.flags |= Flags::CWR;
            }
        }
        let segments = out.segments() as u32;
        self.total.data_segs_out += segments.saturating_sub(1);
        let was_empty = self.tx.board.is_empty();
        let memo = self.stamp_transmission(now);
        self.tx.board.sent(start, end, now, memo);
        self.pace(now, end - start);
        if let Some(repair) = self.tx.repair.changed() {
            repair.reduction.out += end - start;
        }
        self.tx.nxt = end;
        let payload = out.payload_len() as u64;
        if payload % self.tx.win.mss != 0 {
            self.tx.small = end;
        }
        // Before our SYN is acknowledged, that counts from when it was sent.
        if was_empty && self.tx.una > BASE {
            self.tx.progress_at = now;
        }
        self.tx.last_sent = now;
        self.tx.force_new = false;
        self.deadlines.unset(|s| &mut s.persist);
        if self.deadlines.rto.is_none() {
            self.rearm_rto(now);
        } else {
            self.arm_probe(now);
        }
        out
    }
}
