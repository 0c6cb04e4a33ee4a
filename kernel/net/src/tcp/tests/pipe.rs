//! Two connections over a wire that loses, repeats and reorders: each byte arrives once, in order, and both ends close.

use super::kit::config;
use crate::tcp::{Config, Connection, Flags, Read, Request, RequestVerdict, Segment, SegmentOut, Settings, State};
use bytes::Bytes;
use core::time::Duration;
use lkl_ops::Instant;
use std::collections::BTreeMap;

/// A small generator (xorshift), so that a seed says all.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Copy, Debug)]
struct Wire {
    loss: u64,
    duplicate: u64,
    reorder: u64,
    delay_us: u64,
    gso: usize,
}

enum End {
    Listening,
    Requested(Box<Request>),
    Connected(Box<Connection>),
}

struct Host {
    end: End,
    cfg: Config,
    /// Bytes to send in all, and how many were given already.
    total: u64,
    given: u64,
    /// Bytes read.
    read: u64,
    peer_total: u64,
    eof: bool,
    salt: u64,
}

fn byte_at(salt: u64, position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt) >> 32) as u8
}

impl Host {
    fn deadline(&self) -> Option<Instant> {
        match &self.end {
            End::Listening => None,
            End::Requested(r) => Some(r.deadline()),
            End::Connected(c) => c.deadline(),
        }
    }

    fn segment(&mut self, now: Instant, s: &Segment, payload: Bytes, out: &mut Vec<SegmentOut>) {
        match &mut self.end {
            End::Listening => {
                if s.has(Flags::SYN) {
                    let mut r = Request::new(self.cfg.clone(), s, now);
                    out.push(r.syn_ack(now));
                    self.end = End::Requested(Box::new(r));
                }
            }
            End::Requested(r) => match r.on_segment(now, s, payload.len(), 0) {
                RequestVerdict::Answer(a) => out.push(a),
                RequestVerdict::Accept => {
                    let mut c = Connection::accept(r, self.cfg.settings.clone(), now);
                    c.on_segment(now, s, payload);
                    self.end = End::Connected(Box::new(c));
                }
                RequestVerdict::Drop | RequestVerdict::Forget => {}
            },
            End::Connected(c) => c.on_segment(now, s, payload),
        }
    }

    /// The program: reads what is there, writes some, closes.
    fn run(&mut self, now: Instant, rng: &mut Rng, lazy: bool) {
        let End::Connected(c) = &mut self.end else { return };
        assert!(c.take_error().is_none(), "a connection failed");
        if !lazy || rng.chance(30) {
            loop {
                match c.peek(0, 1 + rng.below(20_000) as usize, false) {
                    Read::Data(data) => {
                        for b in &data {
                            assert_eq!(*b, byte_at(self.salt ^ 1, self.read), "byte {}", self.read);
                            self.read += 1;
                        }
                        c.consume(now, data.len());
                    }
                    Read::Eof => {
                        if !self.eof {
                            assert_eq!(self.read, self.peer_total, "all bytes before the end");
                        }
                        self.eof = true;
                        break;
                    }
                    Read::Empty | Read::Mark => break,
                }
            }
        }
        while self.given < self.total && c.send_room() > 0 && !matches!(c.state(), State::SynSent) {
            let n = (1 + rng.below(9000)).min(self.total - self.given).min(c.send_room() as u64);
            let data: Vec<u8> = (self.given..self.given + n).map(|i| byte_at(self.salt, i)).collect();
            c.send(data.into(), rng.chance(20), false).expect("room to send");
            self.given += n;
        }
        if self.given == self.total && !c.write_closed() && c.is_synchronised() {
            c.shutdown_write();
        }
    }

    fn collect(&mut self, now: Instant, gso: usize, out: &mut Vec<SegmentOut>) {
        if let End::Connected(c) = &mut self.end {
            while let Some(s) = c.poll_transmit(now, gso) {
                out.push(s);
            }
        }
    }

    fn timer(&mut self, now: Instant, out: &mut Vec<SegmentOut>) {
        match &mut self.end {
            End::Listening => {}
            End::Requested(r) => {
                if r.deadline() <= now {
                    out.extend(r.on_timer(now, 0).0);
                }
            }
            End::Connected(c) => c.on_timer(now),
        }
    }

    fn done(&self) -> bool {
        match &self.end {
            End::Connected(c) => {
                self.eof && self.given == self.total && matches!(c.state(), State::Closed | State::TimeWait)
            }
            _ => false,
        }
    }
}

/// One oversized segment as those it stands for.
fn cut(s: SegmentOut, sometimes_whole: bool) -> Vec<(Segment, Bytes)> {
    let payload: Vec<u8> = s.payload.iter().flat_map(|b| b.to_vec()).collect();
    let payload = Bytes::from(payload);
    let Some(size) = s.gso_size.map(usize::from).filter(|_| !sometimes_whole) else {
        return vec![(s.header, payload)];
    };
    let n = payload.len().div_ceil(size);
    (0..n)
        .map(|i| {
            let mut h = s.header.clone();
            h.seq = h.seq.wrapping_add((i * size) as u32);
            if i + 1 < n {
                h.flags -= Flags::FIN | Flags::PSH;
            }
            (h, payload.slice(i * size..((i + 1) * size).min(payload.len())))
        })
        .collect()
}

fn host(cfg: Config, total: u64, peer_total: u64, salt: u64, active: Option<Instant>) -> Host {
    let end = match active {
        Some(now) => End::Connected(Box::new(Connection::connect(cfg.clone(), now))),
        None => End::Listening,
    };
    Host { end, cfg, total, given: 0, read: 0, peer_total, eof: false, salt }
}

/// Runs one seed; answers how long it took in virtual time.
fn run(seed: u64, wire: Wire, totals: [u64; 2], change: impl Fn(&mut Config)) -> Duration {
    let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    let start = Instant::from_millis(5000);
    let mut now = start;
    let mut make = |swap: bool| {
        let mut cfg = config(Settings::default());
        cfg.timestamps = true;
        cfg.iss = rng.next() as u32;
        cfg.ts_offset = rng.next() as u32;
        if swap {
            core::mem::swap(&mut cfg.local_port, &mut cfg.remote_port);
        }
        change(&mut cfg);
        cfg
    };
    let (a, b) = (make(false), make(true));
    let mut hosts =
        [host(a, totals[0], totals[1], seed & !1, Some(now)), host(b, totals[1], totals[0], seed | 1, None)];
    let mut flying: BTreeMap<(Instant, u64), (usize, Segment, Bytes)> = BTreeMap::new();
    let mut serial = 0;
    let mut steps = 0u64;
    let mut last = [start; 2];
    let lazy = rng.chance(20);
    while !hosts.iter().all(Host::done) {
        steps += 1;
        assert!(steps < 2_000_000, "seed {seed}: no end");
        assert!(now.since(start) < Duration::from_secs(3600), "seed {seed}: takes an hour, {wire:?}");
        for i in 0..2 {
            let mut out = Vec::new();
            hosts[i].timer(now, &mut out);
            hosts[i].run(now, &mut rng, lazy);
            hosts[i].collect(now, wire.gso, &mut out);
            for s in out.into_iter().flat_map(|s| cut(s, wire.gso > 0 && seed % 2 == 0)) {
                // By way of the wire format.
                let bytes = s.0.emit();
                let (parsed, len) = Segment::parse(&bytes).unwrap();
                assert_eq!((&parsed, len), (&s.0, bytes.len()));
                let copies = if rng.chance(wire.duplicate) { 2 } else { 1 };
                for _ in 0..copies {
                    if rng.chance(wire.loss) {
                        continue;
                    }
                    let mut at = (now + Duration::from_micros(wire.delay_us)).max(last[i]);
                    if rng.chance(wire.reorder) {
                        at += Duration::from_micros(rng.below(3 * wire.delay_us + 100));
                    } else {
                        last[i] = at;
                    }
                    serial += 1;
                    flying.insert((at, serial), (1 - i, parsed.clone(), s.1.clone()));
                }
            }
        }
        let next = flying.keys().next().map(|k| k.0);
        let timer = hosts.iter().filter_map(Host::deadline).min();
        let mut next = match (next, timer) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(now + Duration::from_millis(1)),
        };
        if lazy {
            next = next.min(now + Duration::from_millis(5));
        }
        now = now.max(next);
        while let Some(entry) = flying.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (to, s, payload) = entry.remove();
            let mut out = Vec::new();
            hosts[to].segment(now, &s, payload, &mut out);
            for s in out {
                serial += 1;
                let at = now + Duration::from_micros(wire.delay_us);
                if !rng.chance(wire.loss) {
                    flying.insert((at, serial), (1 - to, s.header, Bytes::new()));
                }
            }
        }
    }
    now.since(start)
}

const CLEAN: Wire = Wire { loss: 0, duplicate: 0, reorder: 0, delay_us: 500, gso: 0 };

#[test]
fn clean_wire() {
    for seed in 1..40 {
        let t = run(seed, CLEAN, [100_000, 30_000], |_| {});
        assert!(t < Duration::from_secs(3), "seed {seed} took {t:?}");
        run(seed, Wire { gso: 60_000, ..CLEAN }, [1_000_000, 0], |_| {});
    }
}

#[test]
fn nothing_to_say() {
    for seed in 1..50 {
        run(seed, CLEAN, [0, 0], |_| {});
        run(seed, Wire { loss: 10, ..CLEAN }, [1, 0], |_| {});
    }
}

#[test]
fn lossy_wires() {
    for seed in 1..250 {
        let wire = Wire {
            loss: seed % 12,
            duplicate: seed % 5,
            reorder: seed % 7 * 3,
            delay_us: 10 + seed * 97 % 20_000,
            gso: if seed % 3 == 0 { 60_000 } else { 0 },
        };
        run(seed, wire, [60_000, 20_000 * (seed % 2)], |_| {});
    }
}

#[test]
fn without_sack() {
    for seed in 1..100 {
        let wire = Wire { loss: seed % 8, duplicate: seed % 3, reorder: seed % 5 * 2, ..CLEAN };
        run(seed, wire, [50_000, 10_000], |c| c.sack = false);
    }
}

#[test]
fn without_timestamps_or_scaling() {
    for seed in 1..100 {
        let wire = Wire { loss: seed % 8, reorder: seed % 5 * 2, ..CLEAN };
        run(seed, wire, [50_000, 10_000], |c| {
            c.timestamps = false;
            c.window_scaling = seed % 2 == 0;
        });
    }
}

#[test]
fn small_buffers() {
    for seed in 1..100 {
        let wire = Wire { loss: seed % 6, ..CLEAN };
        run(seed, wire, [30_000, 30_000], |c| {
            let (rcvbuf, sndbuf) = (4600, 3000);
            let own = Settings { rcvbuf, rcvbuf_locked: true, sndbuf, sndbuf_locked: true, ..Settings::default() };
            c.settings = own.into();
        });
    }
}

#[test]
fn as_fast_as_the_loss_lets() {
    // 4 MB over 1 ms each way. What 2 % of loss leaves of it is known (Mathis et al.): some 4 MB/s at this MSS.
    for (wire, most_ms) in [
        (CLEAN, 30),
        (Wire { gso: 60_000, ..CLEAN }, 30),
        (Wire { duplicate: 2, ..CLEAN }, 30),
        (Wire { reorder: 2, ..CLEAN }, 400),
        (Wire { loss: 2, ..CLEAN }, 3000),
    ] {
        let wire = Wire { delay_us: 1000, ..wire };
        let t = run(7, wire, [4_000_000, 0], |_| {});
        assert!(t < Duration::from_millis(most_ms), "{wire:?}: {t:?}");
    }
}
