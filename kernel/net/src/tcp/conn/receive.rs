//! Data that arrives, when to acknowledge it, and the window (RFC 9293, sections 3.8.6 and 3.10.7.4; RFC 5681, section
//! 4.2; RFC 2018; RFC 2883).

use super::{Connection, Event, DELACK_MAX, DELACK_MIN, INITIAL_WINDOW, QUICK_ACKS};
use crate::tcp::segment::{Options, Segment};
use bytes::Bytes;
use core::num::NonZeroU64;
use core::time::Duration;
use lkl_ops::Instant;

impl Connection {
    /// Data and FIN of a segment that fits the window at least in part.
    pub(super) fn receive(&mut self, now: Instant, seq: u64, mut data: Bytes, mut fin: bool) {
        let mut seq = seq;
        let mut end = seq + data.len() as u64;
        if end + u64::from(fin) <= self.rx.nxt {
            self.note_duplicate(seq, end);
            self.enter_quick_ack();
            self.ack.now = true;
            return;
        }
        if seq < self.rx.nxt {
            let twice = (self.rx.nxt - seq).min(data.len() as u64);
            self.note_duplicate(seq, seq + twice);
            data = data.slice(twice as usize..);
            seq += twice;
        }
        let edge = self.rx.edge.max(self.rx.nxt);
        if end > edge {
            let keep = edge.saturating_sub(seq).min(data.len() as u64);
            data.truncate(keep as usize);
            end = seq + keep;
            fin = false;
            self.ack.now = true;
            if data.is_empty() {
                return;
            }
        }
        if !data.is_empty() && self.must_refuse_data(data.len()) {
            self.ack.now = true;
            return;
        }
        if fin {
            self.rx.fin = NonZeroU64::new(end);
        }
        let had_hole = !self.rx.ooo.is_empty();
        if seq > self.rx.nxt {
            self.stats.rare.ofo_queue += 1;
            if let Some((l, r)) = self.rx.ooo.insert(seq, &data) {
                self.note_duplicate(l, r);
            }
            self.enter_quick_ack();
            self.ack.now = true;
            return;
        }
        let n = data.len();
        if n > 0 {
            self.take_data(data);
            while let Some(more) = self.rx.ooo.take(self.rx.nxt) {
                self.take_data(more);
            }
            self.events |= Event::READABLE;
            self.note_arrival(now, n);
            self.measure_by_window(now);
        }
        if self.rx.fin.is_some_and(|fin| fin.get() == self.rx.nxt) {
            self.on_fin(now);
            return;
        }
        if had_hole {
            // RFC 5681, section 4.2: at once when a gap is filled.
            self.ack.now = true;
        } else {
            self.decide_ack(now);
        }
    }

    fn take_data(&mut self, data: Bytes) {
        self.rx.nxt += data.len() as u64;
        if self.rx.shutdown && self.orphan {
            return;
        }
        self.rx.queue.push(data);
    }

    /// Remembers what came twice, for the next acknowledgement to report.
    pub(super) fn note_duplicate(&mut self, l: u64, r: u64) {
        if self.sack && self.cfg.tunables.dsack && l < r {
            self.stats.rare.dsack_old_sent += 1;
            self.odd.dsack = Some((l, r));
        }
    }

    pub(super) fn enter_quick_ack(&mut self) {
        self.ack.quick = QUICK_ACKS;
        self.ack.pingpong = false;
        self.ack.set_ato(DELACK_MIN);
    }

    /// Learns the peer's segment size and rhythm.
    fn note_arrival(&mut self, now: Instant, n: usize) {
        let n = n.min(usize::from(self.cfg.advertised_mss)) as u32;
        if n >= self.ack.mss {
            self.ack.mss = n;
        } else {
            self.ack.short = true;
        }
        if self.ack.ato == 0 {
            let window = self.rx.edge.saturating_sub(self.rx.nxt) / (2 * u64::from(self.ack.mss.max(1)));
            self.ack.quick = self.ack.quick.max(window.clamp(2, QUICK_ACKS.into()) as u8);
            self.ack.set_ato(DELACK_MIN);
        } else {
            let gap = now.since(self.ack.last_data);
            if gap <= DELACK_MIN / 2 {
                self.ack.set_ato(self.ack.ato() / 2 + DELACK_MIN / 2);
            } else if gap < self.ack.ato() {
                self.ack.set_ato((self.ack.ato() / 2 + gap).min(self.rtt.rto()));
            } else if gap > self.rtt.rto() {
                // The sender was idle long enough to begin slowly again.
                self.ack.quick = self.ack.quick.max(QUICK_ACKS);
            }
        }
        self.ack.last_data = now;
        self.ack.pending = true;
    }

    fn decide_ack(&mut self, now: Instant) {
        if !self.ack.pending {
            return;
        }
        let unacked = self.rx.nxt - self.rx.acked;
        let two_segments = unacked > u64::from(self.ack.mss);
        let reader_waits = (self.rx.queue.len() as u64) < u64::from(self.cfg.settings.rcvlowat);
        if self.ack.quick > 0 && !self.ack.pingpong || two_segments && (reader_waits || self.new_edge() >= self.rx.edge)
        {
            self.ack.now = true;
        } else if self.deadlines.delack.is_none() {
            let most = match self.rtt.srtt() {
                Some(srtt) if self.ack.pingpong => srtt.clamp(DELACK_MIN, DELACK_MAX),
                _ => DELACK_MAX,
            };
            let wait = self.ack.ato().clamp(DELACK_MIN, most).min(self.cfg.settings.delack_max);
            self.deadlines.delack = Some(now + wait);
        }
    }

    /// The program has read: a wider window, or the end of its answer's chance, may call for an acknowledgement.
    pub(super) fn after_read(&mut self, now: Instant, copied: u64) {
        self.tune_after_read(now, copied);
        if !self.is_synchronised() || self.rx.shutdown {
            return;
        }
        if self.ack.pending {
            let unacked = self.rx.nxt - self.rx.acked;
            if unacked > u64::from(self.ack.mss) || (self.ack.short && !self.ack.pingpong && self.rx.queue.len() == 0) {
                self.ack.now = true;
            }
        }
        let open = self.rx.edge.saturating_sub(self.rx.nxt);
        let space = u64::from(self.window_space());
        if 2 * open <= space {
            let new = self.new_edge().saturating_sub(self.rx.nxt);
            if new > 0 && new >= 2 * open {
                self.ack.now = true;
            }
        }
    }

    /// The end of the window that could be announced now; it never goes back, and goes on only by steps that are
    /// worth it (RFC 9293, section 3.8.6.2.2).
    pub(super) fn new_edge(&self) -> u64 {
        let space = u64::from(self.window_space());
        let free = space.saturating_sub(self.rx.queue.len() as u64);
        let candidate = self.rx.nxt + free;
        let step = u64::from(self.ack.mss).min(space / 2);
        if candidate >= self.rx.edge + step || (candidate > self.rx.edge && free == space) {
            candidate
        } else {
            self.rx.edge.max(self.rx.nxt)
        }
    }

    /// Chooses the window to announce and writes it down.
    pub(super) fn announce_window(&mut self) -> u16 {
        let scale = u32::from(self.rx.scale);
        let most = 65_535u64 << scale;
        let edge = self.new_edge();
        let window = (edge - self.rx.nxt).min(most);
        // Rounded up where there is room for it, so that the edge does not seem to go back.
        let up = window.div_ceil(1 << scale).min(65_535);
        let space = u64::from(self.window_space());
        let wire = if (up << scale) + self.rx.queue.len() as u64 <= space { up } else { window >> scale };
        self.rx.edge = self.rx.edge.max(self.rx.nxt + (wire << scale));
        wire as u16
    }

    /// The window as it stands, without a change.
    pub(super) fn wire_window_now(&self) -> u16 {
        (self.rx.edge.saturating_sub(self.rx.nxt) >> self.rx.scale).min(65_535) as u16
    }

    /// SACK blocks for the next acknowledgement (RFC 2018, section 4; a duplicate first, RFC 2883, section 4).
    pub(super) fn add_sack_blocks(&mut self, options: &mut Options) {
        if !self.sack {
            return;
        }
        let room = if self.ts.on { 3 } else { 4 };
        let space = self.rx.space;
        let mut put = |(l, r): (u64, u64)| {
            let _ = options.sack.try_push((space.wire(l), space.wire(r)));
        };
        let mut used = 0;
        if let Some(d) = self.odd.changed().and_then(|o| o.dsack.take()) {
            put(d);
            used = 1;
            self.odd.settle();
        }
        if !self.rx.ooo.is_empty() {
            for block in self.rx.ooo.blocks(room - used) {
                put(block);
            }
        }
    }

    /// Bytes that SACK blocks will take from the next segment.
    pub(super) fn sack_option_len(&self) -> u64 {
        if !self.sack || (self.odd.dsack.is_none() && self.rx.ooo.is_empty()) {
            return 0;
        }
        // As many as there may be; a data segment is then a few bytes short of full.
        if self.ts.on {
            28
        } else {
            36
        }
    }

    /// Dynamic right sizing begins: so much the peer may send in its first round trip.
    pub(super) fn start_right_sizing(&mut self, now: Instant) {
        let window = self.rx.edge.saturating_sub(self.rx.nxt);
        self.rx.space_max = window.min(INITIAL_WINDOW * u64::from(self.cfg.advertised_mss)) as u32;
        self.rx.space_at = now;
    }

    /// Round trip time as the receiver sees it.
    pub(super) fn receiver_rtt(&self) -> Option<Duration> {
        (self.rx.rtt8 > 0).then(|| Duration::from_micros((self.rx.rtt8 >> 3).into()))
    }

    /// Takes a sample in. The least is wanted: what comes later has waited somewhere, most likely. One that was made by the
    /// window is never too small, and one where the program was slow says nothing.
    fn sample_receiver_rtt(&mut self, rtt: Duration, by_window: bool) {
        const MOST: u32 = u32::MAX >> 3;
        let us = u32::try_from(rtt.as_micros()).unwrap_or(MOST).clamp(1, MOST);
        let old = self.rx.rtt8;
        if old == 0 || us << 3 < old {
            self.rx.rtt8 = us << 3;
        } else if !by_window && self.rx.queue.len() == 0 {
            self.rx.rtt8 = old - (old >> 3) + us;
        }
    }

    /// A full segment echoes a timestamp that was not echoed before: it was sent when that came.
    pub(super) fn measure_by_echo(&mut self, now: Instant, s: &Segment, len: usize) {
        let Some((_, echo)) = s.options.timestamps.filter(|t| self.ts.on && t.1 != 0) else { return };
        if echo == self.rx.rtt_echo || (len as u64) < u64::from(self.ack.mss) {
            return;
        }
        self.rx.rtt_echo = echo;
        let elapsed = self.timestamp(now).wrapping_sub(echo);
        if elapsed > 0 && elapsed < 1 << 24 {
            self.sample_receiver_rtt(Duration::from_millis(elapsed.into()), false);
        }
    }

    /// All has come that the window let when the measurement began: that took a round trip at least.
    fn measure_by_window(&mut self, now: Instant) {
        let (mark, since) = self.rx.rtt_mark;
        if mark > 0 {
            if self.rx.nxt < mark {
                return;
            }
            self.sample_receiver_rtt(now.since(since), true);
        }
        self.rx.rtt_mark = (self.rx.edge.max(self.rx.nxt), now);
    }

    /// Lets the receive buffer grow so that the sender can double what the program has read in one round trip (dynamic right
    /// sizing, `net.ipv4.tcp_moderate_rcvbuf`).
    fn tune_after_read(&mut self, now: Instant, copied: u64) {
        self.rx.space_copied = self.rx.space_copied.saturating_add(u32::try_from(copied).unwrap_or(u32::MAX));
        let Some(rtt) = self.receiver_rtt() else { return };
        if now.since(self.rx.space_at) < rtt {
            return;
        }
        let read = core::mem::take(&mut self.rx.space_copied);
        self.rx.space_at = now;
        if read <= self.rx.space_max {
            return;
        }
        self.rx.space_max = read;
        let s = &self.cfg.settings;
        if s.rcvbuf_locked || !self.cfg.tunables.moderate_rcvbuf || self.memory_level != super::MemoryLevel::Fine {
            return;
        }
        // What waits for something that is missing takes room, too.
        let waiting = self.rx.ooo.end().map_or(0, |end| end.saturating_sub(self.rx.nxt));
        let wanted = (2 * (2 * u64::from(read) + waiting)).min(u64::from(self.cfg.tunables.rcvbuf_max)) as u32;
        if wanted > self.rcvbuf {
            self.rcvbuf = wanted;
            self.events |= Event::BUFFERS;
        }
    }
}
