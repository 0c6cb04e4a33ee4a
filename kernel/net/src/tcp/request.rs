//! A connection before the handshake is over, as a listening socket keeps it (SYN_RECV; RFC 9293, section 3.10.7.4).

use super::config::{Config, EcnKind, Settings};
use super::conn::{DEFAULT_MSS, MIN_MSS};
use super::rtt::RTO_INIT;
use super::segment::{handshake_flags, Ecn, EcnBytes, Flags, Options, Segment, SegmentOut};
use super::seq::{seq_after, seq_before};
use core::time::Duration;
use lkl_ops::Instant;
use std::sync::Arc;

/// A request for a connection.
#[derive(Clone, Debug)]
pub struct Request {
    cfg: Box<Config>,
    irs: u32,
    peer: Options,
    peer_window: u16,
    window: u32,
    scale: Option<u8>,
    ecn: EcnKind,
    /// The mark of the SYN.
    mark: Ecn,
    sent_at: Instant,
    deadline: Instant,
    retries: u32,
    /// The SYN as it came, if it is kept (`TCP_SAVE_SYN`).
    saved_syn: Option<Box<[u8]>>,
    /// The last segment of the handshake came but there was no room, or no data with it.
    acknowledged: bool,
}

/// What to do with a segment for a request.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
#[derive(Debug)]
pub enum RequestVerdict {
    /// Nothing.
    Drop,
    /// Send this.
    Answer(SegmentOut),
    /// The handshake is over: make a [`super::Connection`] and give it the segment.
    Accept,
    /// The peer reset it: forget it.
    Forget,
}

impl Request {
    /// The request that `syn` makes. `cfg` has our initial sequence number and the ports.
    pub fn new(cfg: Config, syn: &Segment, now: Instant) -> Self {
        let mut peer = syn.options.clone();
        peer.mss = Some(peer.mss.unwrap_or(DEFAULT_MSS).max(MIN_MSS));
        let scale =
            (cfg.window_scaling && peer.window_scale.is_some()).then(|| cfg.settings.window_scale(&cfg.tunables));
        let stamps = cfg.timestamps && peer.timestamps.is_some();
        let window = u32::from(cfg.settings.syn_window(cfg.advertised_mss - if stamps { 12 } else { 0 }));
        Self {
            irs: syn.seq,
            peer,
            peer_window: syn.window,
            window,
            scale,
            // RFC 9768, section 3.1.2; RFC 3168, section 6.1.1.
            ecn: match cfg.ecn {
                EcnKind::Accurate if syn.has(Flags::AE | Flags::ECE | Flags::CWR) => EcnKind::Accurate,
                EcnKind::None => EcnKind::None,
                _ if syn.has(Flags::ECE | Flags::CWR) && syn.ecn == Ecn::NotEct => EcnKind::Classic,
                _ => EcnKind::None,
            },
            mark: syn.ecn,
            cfg: Box::new(cfg),
            sent_at: now,
            deadline: now + RTO_INIT,
            retries: 0,
            saved_syn: None,
            acknowledged: false,
        }
    }

    /// The SYN-ACK.
    pub fn syn_ack(&mut self, now: Instant) -> SegmentOut {
        let cfg = &self.cfg;
        let mut header = Segment {
            src_port: cfg.local_port,
            dst_port: cfg.remote_port,
            seq: cfg.iss,
            ack: self.irs.wrapping_add(1),
            flags: Flags::SYN | Flags::ACK,
            window: self.window.min(65_535) as u16,
            ..Segment::default()
        };
        match self.ecn {
            EcnKind::None => {}
            EcnKind::Classic => header.flags |= Flags::ECE,
            EcnKind::Accurate => {
                header.flags |= handshake_flags(self.mark);
                // Whoever swallows the option should not swallow the handshake (RFC 9768, section 3.2.3.2.2).
                if cfg.tunables.ecn_option > 0 && self.retries == 0 {
                    header.options.ecn_bytes = Some(EcnBytes { counts: [1, 0, 1], told: 3, ect1_first: false });
                }
            }
        }
        header.options.mss = Some(cfg.advertised_mss);
        header.options.window_scale = self.scale;
        header.options.sack_permitted = cfg.sack && self.peer.sack_permitted;
        if let (true, Some((recent, _))) = (cfg.timestamps, self.peer.timestamps) {
            header.options.timestamps = Some(((now.as_millis() as u32).wrapping_add(cfg.ts_offset), recent));
        }
        SegmentOut::bare(header)
    }

    /// Keeps the SYN as it came.
    pub fn save_syn(&mut self, packet: &[u8]) {
        self.saved_syn = Some(packet.into());
    }

    /// The SYN as it came, if it was kept.
    pub fn take_saved_syn(&mut self) -> Option<Box<[u8]>> {
        self.saved_syn.take()
    }

    /// When the SYN-ACK is to be sent again.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The deadline has come: answers the SYN-ACK to send again, or nothing, and whether to keep the request.
    /// `defer` is how often a request that was acknowledged without data is waited for (`TCP_DEFER_ACCEPT`).
    pub fn on_timer(&mut self, now: Instant, defer: u32) -> (Option<SegmentOut>, bool) {
        let limit = self.cfg.tunables.synack_retries.max(if self.acknowledged { defer } else { 0 });
        if self.retries >= limit {
            return (None, false);
        }
        self.retries += 1;
        let wait = RTO_INIT.saturating_mul(1 << self.retries.min(10)).min(self.cfg.settings.rto_max);
        self.deadline = now + wait;
        // While data is waited for, nothing is sent until the last time (the peer thinks it is connected).
        let quiet = self.acknowledged && defer > 0 && self.retries < defer;
        let answer = (!quiet).then(|| self.syn_ack(now));
        (answer, true)
    }

    /// A segment for it came. `defer`: data must come with the acknowledgement.
    pub fn on_segment(&mut self, now: Instant, s: &Segment, payload: usize, defer: u32) -> RequestVerdict {
        let old = matches!(
            (self.cfg.timestamps, self.peer.timestamps, s.options.timestamps),
            (true, Some((recent, _)), Some((value, _))) if seq_before(value, recent)
        ) && !s.has(Flags::RST);
        // The SYN again.
        if s.seq == self.irs && s.has(Flags::SYN) && !s.has(Flags::ACK) && !s.has(Flags::RST) && !old {
            return RequestVerdict::Answer(self.syn_ack(now));
        }
        let wrong_ack = s.has(Flags::ACK) && s.ack != self.cfg.iss.wrapping_add(1);
        let next = self.irs.wrapping_add(1);
        let end = s.seq.wrapping_add(s.sequence_len(payload));
        let outside = seq_before(end, next) || seq_after(s.seq, next.wrapping_add(self.window));
        if old || outside {
            if s.has(Flags::RST) {
                return RequestVerdict::Drop;
            }
            let mut ack = self.syn_ack(now);
            ack.header.flags = Flags::ACK;
            ack.header.seq = self.cfg.iss.wrapping_add(1);
            ack.header.options.mss = None;
            ack.header.options.window_scale = None;
            ack.header.options.sack_permitted = false;
            ack.header.options.ecn_bytes = None;
            return RequestVerdict::Answer(ack);
        }
        if s.has(Flags::RST) {
            // RFC 5961, section 3.2: only the exact number resets.
            return if s.seq == next { RequestVerdict::Forget } else { RequestVerdict::Drop };
        }
        if s.has(Flags::SYN) {
            // RFC 9293, section 3.10.7.4, fourth check.
            return RequestVerdict::Forget;
        }
        if wrong_ack {
            return match s.reset_for(payload) {
                Some(reset) => RequestVerdict::Answer(SegmentOut::bare(reset)),
                None => RequestVerdict::Drop,
            };
        }
        if !s.has(Flags::ACK) {
            return RequestVerdict::Drop;
        }
        if self.retries < defer && payload == 0 && !s.has(Flags::FIN) {
            self.acknowledged = true;
            return RequestVerdict::Drop;
        }
        RequestVerdict::Accept
    }

    /// There was no room in the accept queue: the peer's next segment, or the next SYN-ACK, tries again.
    pub fn note_overflow(&mut self) {
        self.acknowledged = true;
    }

    /// How many times `TCP_DEFER_ACCEPT`'s seconds let the SYN-ACK be sent.
    pub fn retries_for(seconds: u32) -> u32 {
        let (mut n, mut period, mut step) = (0, 1u32, 1u32);
        if seconds == 0 {
            return 0;
        }
        n += 1;
        while seconds > period && n < 255 {
            n += 1;
            step = (step * 2).min(super::rtt::RTO_MAX.as_secs() as u32);
            period = period.saturating_add(step);
        }
        n
    }

    pub(super) fn config(&self, settings: Arc<Settings>) -> Config {
        Config { settings, ..(*self.cfg).clone() }
    }

    pub(super) fn iss(&self) -> u32 {
        self.cfg.iss
    }

    pub(super) fn irs(&self) -> u32 {
        self.irs
    }

    pub(super) fn peer_options(&self) -> &Options {
        &self.peer
    }

    pub(super) fn peer_window(&self) -> u16 {
        self.peer_window
    }

    pub(super) fn window(&self) -> u32 {
        self.window
    }

    pub(super) fn window_scale(&self) -> Option<u8> {
        self.scale
    }

    pub(super) fn ecn(&self) -> EcnKind {
        self.ecn
    }

    pub(super) fn mark(&self) -> Ecn {
        self.mark
    }

    pub(super) fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// How often the SYN-ACK was sent again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// How long until it is sent again.
    pub fn time_left(&self, now: Instant) -> Duration {
        self.deadline.since(now)
    }
}
