//! Wires between devices.

use super::{lock, SimHost, World};
use crate::{Checked, Checksum, Features, Gso, Host, Instant, NetDev, RxFrame, TxFrame};
use bytes::{Bytes, BytesMut};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use lkl_abi::{Errno, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// The properties of a wire, one way. [`Wire::default`] is a perfect one.
#[derive(Clone, PartialEq, Debug)]
pub struct Wire {
    /// Bits per second; 0 for no limit.
    pub bandwidth: u64,
    /// Time from the end of sending to the receiver.
    pub delay: Duration,
    /// Greatest random time more; frames overtake each other by it unless `in_order`.
    pub jitter: Duration,
    /// Jitter never lets a frame overtake another.
    pub in_order: bool,
    /// Probability that a frame is lost.
    pub loss: f64,
    /// Probability that a frame comes twice.
    pub duplicate: f64,
    /// Probability that a bit of a frame is turned over.
    pub corrupt: f64,
    /// Probability that a frame is held back by `reorder_by`, so that those behind it overtake it.
    pub reorder: f64,
    /// How long such a frame is held back.
    pub reorder_by: Duration,
    /// Most bytes that wait to be sent (of use with a bandwidth); what comes beyond is lost.
    pub queue: usize,
    /// Greatest frame without its Ethernet header; a greater one is lost.
    pub mtu: usize,
    /// The device takes checksums and oversized TCP frames ([`Features`]), and hands them on as they are.
    pub offload: bool,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            bandwidth: 0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            in_order: false,
            loss: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(3),
            queue: usize::MAX,
            mtu: 1500,
            offload: false,
        }
    }
}

/// One end of a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// What a filter does with a frame.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Lets it go on.
    Pass,
    /// Loses it.
    Drop,
    /// Puts another in its place.
    Replace(Bytes),
    /// Loses it and sends an answer back to its sender (a router that refuses it).
    Answer(Bytes),
    /// Holds it back for this long.
    Delay(Duration),
}

type Filter = Box<dyn FnMut(Instant, &Bytes) -> Verdict + Send>;
type Tap = Box<dyn FnMut(Instant, Side, &Bytes) + Send>;

struct Direction {
    wire: Wire,
    filter: Option<Filter>,
    /// When the last frame has left the sender.
    busy_until: Instant,
    /// When the last frame arrives, for `in_order`.
    last_arrival: Instant,
}

struct Shared {
    /// Ways from `A` and from `B`.
    ways: [Mutex<Direction>; 2],
    taps: Mutex<Vec<Tap>>,
    devs: Mutex<[Weak<SimDev>; 2]>,
    up: AtomicBool,
}

/// Two devices and the wire between them.
#[derive(Clone)]
pub struct Link {
    /// The device of the first host.
    pub a: Arc<SimDev>,
    /// The device of the second host.
    pub b: Arc<SimDev>,
    shared: Arc<Shared>,
}

/// A device at one end of a [`Link`].
pub struct SimDev {
    world: World,
    side: Side,
    mac: [u8; 6],
    host: Weak<SimHost>,
    queue: Mutex<VecDeque<RxFrame>>,
    shared: Arc<Shared>,
    sent: AtomicU64,
    lost: AtomicU64,
    offload: AtomicBool,
}

impl Link {
    pub(super) fn new(world: &World, hosts: [Option<&Arc<SimHost>>; 2], wire: &Wire) -> Self {
        let way = || {
            Mutex::new(Direction {
                wire: wire.clone(),
                filter: None,
                busy_until: Instant::ZERO,
                last_arrival: Instant::ZERO,
            })
        };
        let shared = Arc::new(Shared {
            ways: [way(), way()],
            taps: Mutex::new(Vec::new()),
            devs: Mutex::new([Weak::new(), Weak::new()]),
            up: AtomicBool::new(true),
        });
        let dev = |side: Side, host: Option<&Arc<SimHost>>| {
            let id = world.random().to_le_bytes();
            Arc::new(SimDev {
                world: world.clone(),
                side,
                // Locally administered, unicast.
                mac: [0x02, id[0], id[1], id[2], id[3], side as u8 + 1],
                host: host.map_or_else(Weak::new, Arc::downgrade),
                queue: Mutex::new(VecDeque::new()),
                shared: shared.clone(),
                sent: AtomicU64::new(0),
                lost: AtomicU64::new(0),
                offload: AtomicBool::new(wire.offload),
            })
        };
        let (a, b) = (dev(Side::A, hosts[0]), dev(Side::B, hosts[1]));
        *lock(&shared.devs) = [Arc::downgrade(&a), Arc::downgrade(&b)];
        Self { a, b, shared }
    }

    /// Changes the wire both ways.
    pub fn set(&self, wire: &Wire) {
        self.set_from(Side::A, wire);
        self.set_from(Side::B, wire);
    }

    /// Changes the wire for what `side` sends.
    pub fn set_from(&self, side: Side, wire: &Wire) {
        lock(&self.shared.ways[side as usize]).wire = wire.clone();
    }

    /// Has `filter` decide about each frame that `side` sends, before chance does.
    pub fn filter(&self, side: Side, filter: impl FnMut(Instant, &Bytes) -> Verdict + Send + 'static) {
        lock(&self.shared.ways[side as usize]).filter = Some(Box::new(filter));
    }

    /// Takes the filter of `side` away.
    pub fn clear_filter(&self, side: Side) {
        lock(&self.shared.ways[side as usize]).filter = None;
    }

    /// Has `tap` see each frame at the moment when it is sent, whatever becomes of it, with its sender.
    pub fn tap(&self, tap: impl FnMut(Instant, Side, &Bytes) + Send + 'static) {
        lock(&self.shared.taps).push(Box::new(tap));
    }

    /// Cuts the wire, or mends it. Of a cut one nothing is heard: it is not seen as a missing carrier.
    pub fn set_up(&self, up: bool) {
        self.shared.up.store(up, Ordering::Release);
    }
}

impl SimDev {
    /// Takes a frame that has arrived here, for an end that is no kernel's.
    pub fn take(&self) -> Option<Bytes> {
        self.recv().ok().map(|f| f.data)
    }

    /// Sends a plain frame, for an end that is no kernel's. A full queue loses it.
    pub fn put(&self, frame: &[u8]) {
        let _lost = self.send(&TxFrame { parts: &[frame], checksum: None, gso: None });
    }

    /// Lets a frame arrive here at once, as if it had come over the wire.
    pub fn inject(&self, frame: impl Into<Bytes>) {
        self.arrive(RxFrame { data: frame.into(), checksum: Checked::No, gso: None });
    }

    /// Frames sent, and of these how many were lost on the way.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }

    fn arrive(&self, frame: RxFrame) {
        lock(&self.queue).push_back(frame);
        if let Some(host) = self.host.upgrade() {
            host.kick();
        }
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// What the filter of this way says.
    fn judge(&self, now: Instant, data: &Bytes) -> Verdict {
        // Taken out for the call: a filter may use the link.
        let mut filter = lock(&self.shared.ways[self.side as usize]).filter.take();
        let verdict = filter.as_mut().map_or(Verdict::Pass, |f| f(now, data));
        let mut way = lock(&self.shared.ways[self.side as usize]);
        if way.filter.is_none() {
            way.filter = filter;
        }
        verdict
    }

    fn carry(&self, mut data: Bytes, checksum: Checked, gso: Option<Gso>) -> Result<()> {
        let now = self.world.now();
        self.sent.fetch_add(1, Ordering::Relaxed);
        for tap in lock(&self.shared.taps).iter_mut() {
            tap(now, self.side, &data);
        }
        if !self.shared.up.load(Ordering::Acquire) {
            self.lose();
            return Ok(());
        }
        let mut held = Duration::ZERO;
        match self.judge(now, &data) {
            Verdict::Pass => {}
            Verdict::Drop => {
                self.lose();
                return Ok(());
            }
            Verdict::Replace(other) => data = other,
            Verdict::Answer(answer) => {
                self.lose();
                self.deliver_to(self.side, now, RxFrame { data: answer, checksum: Checked::No, gso: None });
                return Ok(());
            }
            Verdict::Delay(d) => held = d,
        }
        let mut way = lock(&self.shared.ways[self.side as usize]);
        let wire = way.wire.clone();
        let segment = gso.map_or(data.len(), |g| usize::from(g.size) + usize::from(g.header_len));
        if segment > wire.mtu.saturating_add(ETHERNET) {
            self.lose();
            return Ok(());
        }
        let start = way.busy_until.max(now);
        if let Some(waiting) = wire.waiting_bytes(start.since(now)) {
            if waiting.saturating_add(data.len()) > wire.queue {
                self.lose();
                return Err(Errno::EAGAIN);
            }
        }
        way.busy_until = start + wire.sending_time(data.len());
        let mut state = self.world.state();
        let rng = &mut state.rng;
        let mut arrival = way.busy_until + wire.delay + held;
        if !wire.jitter.is_zero() {
            arrival += Duration::from_nanos(rng.below(wire.jitter.as_nanos() as u64 + 1));
        }
        if rng.chance(wire.reorder) {
            arrival += wire.reorder_by;
        } else if wire.in_order {
            arrival = arrival.max(way.last_arrival);
            way.last_arrival = arrival;
        }
        let lost = rng.chance(wire.loss);
        let twice = rng.chance(wire.duplicate);
        if rng.chance(wire.corrupt) && !data.is_empty() {
            let bit = rng.below(data.len() as u64 * 8) as usize;
            let mut bytes = BytesMut::from(&data[..]);
            bytes[bit / 8] ^= 1 << (bit % 8);
            data = bytes.freeze();
        }
        drop(state);
        drop(way);
        if lost {
            self.lose();
            return Ok(());
        }
        let peer = match self.side {
            Side::A => Side::B,
            Side::B => Side::A,
        };
        let frame = RxFrame { data, checksum, gso };
        if twice {
            self.deliver_to(peer, arrival, frame.clone());
        }
        self.deliver_to(peer, arrival, frame);
        Ok(())
    }

    fn deliver_to(&self, side: Side, at: Instant, frame: RxFrame) {
        let dev = lock(&self.shared.devs)[side as usize].clone();
        self.world.at(at, move |_| {
            if let Some(dev) = dev.upgrade() {
                dev.arrive(frame);
            }
        });
    }
}

impl Wire {
    fn sending_time(&self, bytes: usize) -> Duration {
        match self.bandwidth {
            0 => Duration::ZERO,
            bps => Duration::from_nanos((bytes as u64).saturating_mul(8_000_000_000) / bps),
        }
    }

    /// Bytes that are sent in `time`, if there is a limit.
    fn waiting_bytes(&self, time: Duration) -> Option<usize> {
        (self.bandwidth > 0).then(|| (time.as_nanos() * u128::from(self.bandwidth) / 8_000_000_000) as usize)
    }
}

impl NetDev for SimDev {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn features(&self) -> Features {
        let on = self.offload.load(Ordering::Relaxed);
        Features { tx_checksum: on, tso4: on, tso6: on }
    }

    fn driver(&self) -> &'static str {
        "sim"
    }

    fn send(&self, frame: &TxFrame<'_>) -> Result<()> {
        let mut data = BytesMut::with_capacity(frame.parts.iter().map(|p| p.len()).sum());
        for part in frame.parts {
            data.extend_from_slice(part);
        }
        // An oversized frame stays as it is; its segments' checksums are vouched for.
        if let (Some(at), None) = (frame.checksum, frame.gso) {
            fill_checksum(&mut data, at);
        }
        let checksum = if frame.gso.is_some() { Checked::Valid } else { Checked::No };
        self.carry(data.freeze(), checksum, frame.gso)
    }

    fn recv(&self) -> Result<RxFrame> {
        lock(&self.queue).pop_front().ok_or(Errno::EAGAIN)
    }
}

impl core::fmt::Debug for SimDev {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SimDev({:?}, {} waiting)", self.side, lock(&self.queue).len())
    }
}

/// Fills a checksum in as a device does (RFC 1071). One that lies outside the frame is left alone.
fn fill_checksum(frame: &mut [u8], at: Checksum) {
    let start = usize::from(at.start);
    let field = start + usize::from(at.offset);
    let Some(rest) = frame.get(start..) else { return };
    let mut sum = 0u32;
    for pair in rest.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = match !(sum as u16) {
        0 => 0xffff,
        s => s,
    };
    if let Some(to) = frame.get_mut(field..field + 2) {
        to.copy_from_slice(&sum.to_be_bytes());
    }
}
