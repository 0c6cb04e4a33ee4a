//! A connection and a script that plays its peer.

use crate::tcp::{Config, Connection, EcnKind, Flags, Options, Segment, SegmentOut, Settings, State};
use bytes::Bytes;
use core::time::Duration;
use lkl_ops::Instant;
use std::sync::Arc;

pub(super) const ISS: u32 = 0xffff_ff00;
pub(super) const IRS: u32 = 1_000_000;
pub(super) const MSS: u16 = 1000;

pub(in crate::tcp) fn config(settings: Settings) -> Config {
    Config {
        local_port: 1,
        remote_port: 2,
        iss: ISS,
        ts_offset: 0,
        path_mss: MSS,
        advertised_mss: MSS,
        window_scaling: true,
        timestamps: false,
        sack: true,
        ecn: EcnKind::None,
        fast_open: None,
        settings: Arc::new(settings),
        tunables: Arc::default(),
    }
}

/// A script: numbers are relative to the initial ones (`seq` 1 is the first byte).
pub(super) struct Script {
    pub(super) c: Connection,
    pub(super) now: Instant,
    pub(super) gso: usize,
    pub(super) window: u16,
}

impl Script {
    pub(super) fn connect(cfg: Config) -> Self {
        let now = Instant::from_millis(1000);
        Self { c: Connection::connect(cfg, now), now, gso: 0, window: 60_000 }
    }

    /// An established connection, with SACK, without window scaling or timestamps.
    pub(super) fn established(settings: Settings) -> Self {
        Self::established_with(config(settings), true)
    }

    pub(super) fn established_with(cfg: Config, sack: bool) -> Self {
        let mut s = Self::connect(cfg);
        let syn = s.expect();
        assert_eq!(syn.flags, Flags::SYN);
        assert_eq!(syn.options.mss, Some(MSS));
        s.wait(10);
        let options = Options { mss: Some(MSS), sack_permitted: sack, ..Options::default() };
        s.inject_with(Flags::SYN | Flags::ACK, 0, 1, b"", options);
        let ack = s.expect();
        assert_eq!((ack.flags, s.seq(&ack), s.ack(&ack)), (Flags::ACK, 1, 1));
        s.nothing();
        assert_eq!(s.c.state(), State::Established);
        s
    }

    pub(super) fn inject_with(&mut self, flags: Flags, seq: u32, ack: u32, data: &[u8], options: Options) {
        let segment = Segment {
            src_port: 2,
            dst_port: 1,
            seq: IRS.wrapping_add(seq),
            ack: ISS.wrapping_add(ack),
            flags,
            window: self.window,
            urgent: 0,
            options,
            ..Segment::default()
        };
        self.c.on_segment(self.now, &segment, Bytes::copy_from_slice(data));
    }

    pub(super) fn inject(&mut self, flags: Flags, seq: u32, ack: u32, data: &[u8]) {
        self.inject_with(flags, seq, ack, data, Options::default());
    }

    pub(super) fn ack_of(&mut self, ack: u32) {
        self.inject(Flags::ACK, 1, ack, b"");
    }

    pub(super) fn sack_of(&mut self, ack: u32, blocks: &[(u32, u32)]) {
        let sack = blocks.iter().map(|(l, r)| (ISS.wrapping_add(*l), ISS.wrapping_add(*r))).collect();
        self.inject_with(Flags::ACK, 1, ack, b"", Options { sack, ..Options::default() });
    }

    pub(super) fn poll(&mut self) -> Option<SegmentOut> {
        self.c.poll_transmit(self.now, self.gso)
    }

    pub(super) fn expect(&mut self) -> Segment {
        self.poll().expect("a segment").header
    }

    /// Expects data: relative sequence number and length.
    pub(super) fn data(&mut self, seq: u32, len: usize) -> Segment {
        let out = self.poll().expect("a segment with data");
        assert_eq!((out.header.seq.wrapping_sub(ISS), out.payload_len()), (seq, len));
        out.header
    }

    pub(super) fn nothing(&mut self) {
        if let Some(s) = self.poll() {
            panic!("nothing expected, got {s:?}");
        }
    }

    pub(super) fn seq(&self, s: &Segment) -> u32 {
        s.seq.wrapping_sub(ISS)
    }

    pub(super) fn ack(&self, s: &Segment) -> u32 {
        s.ack.wrapping_sub(IRS)
    }

    /// Lets time pass, with all deadlines on the way.
    pub(super) fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.c.deadline().filter(|d| *d <= end) {
            self.now = self.now.max(at);
            self.c.on_timer(self.now);
            if at <= self.now && self.c.deadline() == Some(at) {
                break;
            }
            // What is sent by then is the script's to look at: stop at the first deadline that sends.
        }
        self.now = end;
    }

    pub(super) fn send(&mut self, n: usize) {
        self.c.send(Bytes::from(vec![7; n]), false, false).unwrap();
    }

    pub(super) fn drain(&mut self) -> usize {
        let mut n = 0;
        while let Some(out) = self.poll() {
            n += out.segments();
        }
        n
    }
}
