//! Random segments against an oracle: whatever a peer does with the pieces of its stream, what is read is that stream, each
//! byte once and in order, and both sides close; and whatever anybody sends, nothing panics and memory stays bounded.

use super::kit::{config, IRS, ISS};
use crate::tcp::{Connection, Flags, Options, Read, Segment, Settings, State, Tunables};
use bytes::Bytes;
use core::time::Duration;
use lkl_ops::Instant;
use std::sync::Arc;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn rounds(own: u64) -> u64 {
    std::env::var("LKL_FUZZ_ROUNDS").ok().and_then(|s| s.parse::<u64>().ok()).map_or(own, |n| n * 1000)
}

fn established(rng: &mut Rng, settings: Settings) -> (Connection, Instant) {
    let now = Instant::from_millis(1000);
    let mut c = Connection::connect(config(settings), now);
    assert!(c.poll_transmit(now, 0).is_some());
    let mut options = Options { mss: Some(100 + rng.below(1400) as u16), ..Options::default() };
    options.sack_permitted = rng.chance(70);
    options.window_scale = rng.chance(50).then(|| rng.below(15) as u8);
    let flags = Flags::SYN | Flags::ACK;
    let s = Segment { seq: IRS, ack: ISS.wrapping_add(1), flags, window: 5000, options, ..Segment::default() };
    c.on_segment(now, &s, Bytes::new());
    assert_eq!(c.state(), State::Established);
    (c, now)
}

fn byte(at: u64) -> u8 {
    (at.wrapping_mul(31) ^ at >> 7) as u8
}

/// Reads what there is, and checks it.
fn read(c: &mut Connection, now: Instant, got: &mut u64, total: u64) -> bool {
    loop {
        match c.peek(0, usize::MAX, false) {
            Read::Data(data) => {
                for b in &data {
                    assert_eq!(*b, byte(*got), "byte {got}");
                    *got += 1;
                }
                c.consume(now, data.len());
            }
            Read::Eof => {
                assert_eq!(*got, total, "the end comes after all");
                return true;
            }
            Read::Empty | Read::Mark => return false,
        }
    }
}

/// The peer cuts its stream where it likes, sends pieces twice, out of order, overlapping, and some wrong ones beside.
fn stream(seed: u64) {
    let mut rng = Rng(seed);
    let settings =
        Settings { rcvbuf: 2500 + rng.below(8000) as u32, rcvbuf_locked: rng.chance(80), ..Settings::default() };
    let (mut c, mut now) = established(&mut rng, settings);
    let total = rng.below(6000);
    let (mut got, mut acked, mut edge, mut sent, mut eof) = (0, 0u64, 5000u64, 1, false);
    let mut steps = 0;
    while !eof || c.state() != State::Closed {
        steps += 1;
        assert!(steps < 20_000, "seed {seed}: no end, {:?}, {got} of {total}", c.state());
        let mut header = Segment { ack: ISS.wrapping_add(sent), flags: Flags::ACK, window: 5000, ..Segment::default() };
        // Mostly near what is wanted, within the window that was told.
        let from = acked.saturating_sub(rng.below(300)) + rng.below(900);
        let end = (from + rng.below(700)).min(total).min(edge);
        if from <= end {
            let fin = end == total && rng.chance(50);
            header.seq = IRS.wrapping_add(1 + from as u32);
            header.flags |= if fin { Flags::FIN } else { Flags::empty() };
            let data: Vec<u8> = (from..end).map(byte).collect();
            c.on_segment(now, &header, data.into());
        }
        if rng.chance(10) {
            // Outside of everything.
            header.seq = header.seq.wrapping_add(1 << 30);
            header.flags = Flags::from_bits_truncate(rng.below(512) as u16) - Flags::RST;
            c.on_segment(now, &header, Bytes::from_static(b"wrong"));
        }
        if rng.chance(60) {
            eof |= read(&mut c, now, &mut got, total);
        }
        if eof && !c.write_closed() {
            c.shutdown_write();
        }
        now += Duration::from_millis(rng.below(60));
        c.on_timer(now);
        while let Some(out) = c.poll_transmit(now, 0) {
            let s = out.header;
            // What comes when all is over is refused.
            assert!(!s.has(Flags::RST) || c.state() == State::Closed, "seed {seed}: a reset");
            acked = acked.max(u64::from(s.ack.wrapping_sub(IRS + 1)));
            edge = edge.max(u64::from(s.ack.wrapping_sub(IRS + 1)) + (u64::from(s.window) << c.info(now).rcv_wscale));
            sent = sent.max(s.seq.wrapping_sub(ISS) + s.sequence_len(out.payload.iter().map(Bytes::len).sum()));
        }
    }
    assert_eq!(got, total);
}

#[test]
fn whatever_the_peer_does_with_its_stream() {
    for seed in 0..rounds(1500) {
        stream(seed);
    }
}

/// Anything at all, in any state.
fn noise(seed: u64) {
    let mut rng = Rng(seed);
    let kind = ["reno", "cubic", "bbr"][rng.below(3) as usize];
    let settings = Settings { congestion: kind, user_timeout: Duration::ZERO, ..Settings::default() };
    let (mut c, mut now) = established(&mut rng, settings);
    c.set_tunables(Arc::new(Tunables { mtu_probing: 2, ..Tunables::default() }));
    for _ in 0..rng.below(40) {
        match rng.below(8) {
            0 if c.send_room() > 0 && !c.write_closed() => {
                let n = 1 + rng.below(5000) as usize;
                let _closed = c.send(Bytes::from(vec![0; n]), rng.chance(20), rng.chance(5));
            }
            1 if rng.chance(10) => c.shutdown_write(),
            2 if rng.chance(5) => c.close(now, rng.chance(20)),
            3 => c.quick_ack(rng.chance(50)),
            _ => {
                let near = |rng: &mut Rng, base: u32| match rng.below(4) {
                    0 => base.wrapping_add(rng.below(20_000) as u32),
                    1 => base.wrapping_sub(rng.below(3000) as u32),
                    2 => base,
                    _ => rng.below(1 << 32) as u32,
                };
                let mut s = Segment {
                    seq: near(&mut rng, IRS + 1),
                    ack: near(&mut rng, ISS.wrapping_add(1)),
                    ..Segment::default()
                };
                s.flags = Flags::from_bits_truncate(rng.below(512) as u16)
                    | if rng.chance(90) { Flags::ACK } else { Flags::empty() };
                s.flags -= if rng.chance(95) { Flags::RST | Flags::SYN } else { Flags::empty() };
                s.window = rng.below(65_536) as u16;
                s.urgent = rng.below(2000) as u16;
                for _ in 0..rng.below(5) {
                    let l = near(&mut rng, ISS.wrapping_add(1));
                    s.options.sack.push((l, l.wrapping_add(rng.below(4000) as u32)));
                    if s.options.sack.is_full() {
                        break;
                    }
                }
                if rng.chance(20) {
                    s.options.timestamps = Some((rng.below(1 << 32) as u32, rng.below(1 << 32) as u32));
                }
                let n = if rng.chance(50) { rng.below(3000) as usize } else { 0 };
                c.on_segment(now, &s, Bytes::from(vec![1; n]));
                if rng.chance(3) {
                    c.on_path_mss(now, Some(s.ack), rng.below(1500) as u16);
                }
            }
        }
        if rng.chance(50) {
            now += Duration::from_millis(rng.below(2000));
            c.on_timer(now);
        }
        let mut n = 0;
        while c.poll_transmit(now, if rng.chance(50) { 60_000 } else { 0 }).is_some() {
            n += 1;
            assert!(n < 1000, "seed {seed}: it does not stop sending");
        }
        assert!(c.queued() <= 140_000 + 3000, "seed {seed}: {} bytes queued", c.queued());
        let i = c.info(now);
        assert!(i.snd_cwnd >= 1 && i.unacked < 100_000, "seed {seed}: {i:?}");
    }
}

#[test]
fn whatever_anybody_sends() {
    for seed in 0..rounds(30_000) {
        noise(seed);
    }
}
