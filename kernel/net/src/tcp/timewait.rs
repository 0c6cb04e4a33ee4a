//! What stays of a connection in TIME_WAIT (RFC 9293, section 3.6.1; RFC 6191; RFC 7323, section 5).

use super::segment::{Flags, Segment, SegmentOut};
use super::seq::{seq_after, seq_before};
use core::time::Duration;
use lkl_ops::Instant;

/// How long it lasts (twice the maximum segment lifetime, as Linux takes it).
const LENGTH: Duration = Duration::from_secs(60);
const ACK_INTERVAL: Duration = Duration::from_millis(500);

/// A connection in TIME_WAIT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeWait {
    ports: (u16, u16),
    snd_nxt: u32,
    rcv_nxt: u32,
    window: u16,
    /// The peer's newest timestamp, and our offset.
    stamps: Option<(u32, u32)>,
    /// When that was.
    stamped_at: Instant,
    deadline: Instant,
    last_ack: Option<Instant>,
    owes_ack: bool,
}

/// What to do with a segment for it.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
#[derive(Debug)]
pub enum TimeWaitVerdict {
    /// Nothing.
    Drop,
    /// Send this.
    Answer(SegmentOut),
    /// A new connection may take its place; its initial sequence number must be at least this one.
    NewConnection(u32),
    /// Forget it.
    Forget,
}

impl TimeWait {
    pub(super) fn new(
        ports: (u16, u16),
        snd_nxt: u32,
        rcv_nxt: u32,
        window: u16,
        stamps: Option<(u32, u32)>,
        now: Instant,
    ) -> Self {
        Self {
            ports,
            snd_nxt,
            rcv_nxt,
            window,
            stamps,
            stamped_at: now,
            deadline: now + LENGTH,
            last_ack: None,
            owes_ack: false,
        }
    }

    pub(super) fn owe_ack(&mut self, owed: bool) {
        self.owes_ack = owed;
    }

    /// When it is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// May a connection be made in its place from our side at `now` (`net.ipv4.tcp_tw_reuse`), `delay` after it was last heard of
    /// (`net.ipv4.tcp_tw_reuse_delay`)? Then its initial sequence number is to be at least the answer.
    pub fn reusable(&self, now: Instant, delay: Duration) -> Option<u32> {
        (self.stamps.is_some() && now.since(self.stamped_at) > delay).then(|| self.next_iss())
    }

    fn next_iss(&self) -> u32 {
        self.snd_nxt.wrapping_add(65_535 + 2)
    }

    /// The acknowledgement of the peer's FIN, if it is not sent yet.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<SegmentOut> {
        core::mem::take(&mut self.owes_ack).then(|| self.ack(now))
    }

    fn ack(&self, now: Instant) -> SegmentOut {
        let mut header = Segment {
            src_port: self.ports.0,
            dst_port: self.ports.1,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            ..Segment::default()
        };
        header.options.timestamps =
            self.stamps.map(|(recent, offset)| ((now.as_millis() as u32).wrapping_add(offset), recent));
        SegmentOut::bare(header)
    }

    /// A segment for it came.
    pub fn on_segment(&mut self, now: Instant, s: &Segment, payload: usize) -> TimeWaitVerdict {
        let end = s.seq.wrapping_add(s.sequence_len(payload));
        let mut old = false;
        let mut newer = false;
        if let (Some((recent, _)), Some((value, _))) = (self.stamps, s.options.timestamps) {
            old = seq_before(value, recent) && !s.has(Flags::RST);
            newer = seq_after(value, recent);
        }
        if !old && s.seq == self.rcv_nxt && (s.seq == end || s.has(Flags::RST)) {
            if s.has(Flags::RST) {
                return TimeWaitVerdict::Forget;
            }
            self.deadline = now + LENGTH;
            if let (Some(stamps), Some((value, _))) = (&mut self.stamps, s.options.timestamps) {
                stamps.0 = value;
                self.stamped_at = now;
            }
            return TimeWaitVerdict::Drop;
        }
        let fresh_syn = s.has(Flags::SYN) && !s.has(Flags::RST) && !s.has(Flags::ACK) && !old;
        if fresh_syn && (seq_after(s.seq, self.rcv_nxt) || newer) {
            return TimeWaitVerdict::NewConnection(self.next_iss());
        }
        if s.has(Flags::RST) {
            return TimeWaitVerdict::Drop;
        }
        if old || s.has(Flags::ACK) {
            self.deadline = now + LENGTH;
        }
        if self.last_ack.is_some_and(|at| now.since(at) < ACK_INTERVAL) {
            return TimeWaitVerdict::Drop;
        }
        self.last_ack = Some(now);
        TimeWaitVerdict::Answer(self.ack(now))
    }
}
