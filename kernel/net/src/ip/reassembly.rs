//! Putting fragments together (RFC 791, section 3.2; RFC 8200, section 4.5), with limits against exhaustion.
//!
//! Fragments that overlap without being equal end their datagram (RFC 5722), for IPv4 too, as Linux has it.

use bytes::{Bytes, BytesMut};
use core::net::IpAddr;
use core::time::Duration;
use lkl_ops::Instant;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Which datagram a fragment belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Key {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Identification.
    pub id: u32,
    /// Protocol (IPv4 only; zero for IPv6).
    pub protocol: u8,
    /// The interface it came in by.
    pub ifindex: u32,
}

/// A fragment.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// Where its payload stands, in bytes.
    pub offset: usize,
    /// Do others follow?
    pub more: bool,
    /// Its payload.
    pub payload: Bytes,
    /// The headers before it: kept of the first fragment, given back with the datagram.
    pub header: Bytes,
}

/// What became of a fragment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Kept.
    Waiting,
    /// The datagram is whole: the headers before the first fragment's payload, and the payload.
    Complete {
        /// Headers of the first fragment.
        header: Bytes,
        /// The payload.
        payload: Bytes,
    },
    /// The fragment, or the datagram with it, was thrown away.
    Dropped,
}

/// A datagram that did not become whole in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expired {
    /// Which.
    pub key: Key,
    /// The first fragment, headers and payload, if it came: an error quotes it.
    pub first: Option<(Bytes, Bytes)>,
}

/// Limits, with Linux's defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes held for all datagrams.
    pub high_bytes: usize,
    /// Fragments of one datagram.
    pub fragments: usize,
    /// How long an IPv4 datagram may take.
    pub timeout4: Duration,
    /// How long an IPv6 datagram may take.
    pub timeout6: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            high_bytes: 4 << 20,
            fragments: 8192,
            timeout4: Duration::from_secs(30),
            timeout6: Duration::from_secs(60),
        }
    }
}

/// What a kept fragment costs beside its bytes.
const OVERHEAD: usize = 256;
/// The largest payload of a datagram.
const MAX_PAYLOAD: usize = 65_535;

struct Datagram {
    expires: Instant,
    /// By offset.
    pieces: BTreeMap<usize, Bytes>,
    received: usize,
    total: Option<usize>,
    header: Option<Bytes>,
    bytes: usize,
}

/// The datagrams that are being put together.
#[derive(Default)]
pub struct Reassembler {
    limits: Limits,
    datagrams: HashMap<Key, Datagram>,
    expiries: BTreeSet<(Instant, Key)>,
    bytes: usize,
}

impl Reassembler {
    /// With the given limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Bytes held (`/proc/net/sockstat`).
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Datagrams held.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Is nothing held?
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Takes a fragment in. `dropped` counts datagrams thrown away for want of room.
    pub fn insert(&mut self, now: Instant, key: Key, fragment: Fragment, dropped: &mut usize) -> Outcome {
        let end = fragment.offset + fragment.payload.len();
        if end > MAX_PAYLOAD || fragment.payload.is_empty() || (fragment.more && fragment.payload.len() % 8 != 0) {
            return Outcome::Dropped;
        }
        let cost = fragment.payload.len() + OVERHEAD;
        // The oldest give way.
        while self.bytes + cost > self.limits.high_bytes {
            let Some(&(_, oldest)) = self.expiries.iter().find(|(_, k)| *k != key) else { return Outcome::Dropped };
            self.discard(oldest);
            *dropped += 1;
        }
        let timeout = if key.src.is_ipv4() { self.limits.timeout4 } else { self.limits.timeout6 };
        let expiries = &mut self.expiries;
        let d = self.datagrams.entry(key).or_insert_with(|| {
            expiries.insert((now + timeout, key));
            Datagram {
                expires: now + timeout,
                pieces: BTreeMap::new(),
                received: 0,
                total: None,
                header: None,
                bytes: 0,
            }
        });
        match d.take(fragment, end, self.limits.fragments) {
            Taken::New => {
                d.bytes += cost;
                self.bytes += cost;
            }
            Taken::Duplicate => return Outcome::Waiting,
            Taken::Bad => {
                self.discard(key);
                return Outcome::Dropped;
            }
        }
        if d.total != Some(d.received) {
            return Outcome::Waiting;
        }
        let Some(d) = self.discard(key) else { return Outcome::Dropped };
        let mut whole = BytesMut::with_capacity(d.received);
        for piece in d.pieces.values() {
            whole.extend_from_slice(piece);
        }
        Outcome::Complete { header: d.header.unwrap_or_default(), payload: whole.freeze() }
    }

    /// When the next datagram's time is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Gives up the datagrams whose time is over.
    pub fn on_timer(&mut self, now: Instant) -> Vec<Expired> {
        let mut expired = Vec::new();
        while let Some(&(at, key)) = self.expiries.first() {
            if at > now {
                break;
            }
            let Some(d) = self.discard(key) else { break };
            let first = d.header.zip(d.pieces.get(&0).cloned());
            expired.push(Expired { key, first });
        }
        expired
    }

    fn discard(&mut self, key: Key) -> Option<Datagram> {
        let d = self.datagrams.remove(&key)?;
        self.expiries.remove(&(d.expires, key));
        self.bytes -= d.bytes;
        Some(d)
    }
}

enum Taken {
    New,
    Duplicate,
    Bad,
}

impl Datagram {
    fn take(&mut self, f: Fragment, end: usize, max: usize) -> Taken {
        if !f.more {
            if self.total.is_some_and(|t| t != end)
                || self.pieces.iter().next_back().is_some_and(|(o, p)| o + p.len() > end)
            {
                return Taken::Bad;
            }
        } else if self.total.is_some_and(|t| end > t) {
            return Taken::Bad;
        }
        if let Some(have) = self.pieces.get(&f.offset) {
            return if have.len() == f.payload.len() { Taken::Duplicate } else { Taken::Bad };
        }
        let before = self.pieces.range(..f.offset).next_back().is_some_and(|(o, p)| o + p.len() > f.offset);
        let after = self.pieces.range(f.offset..).next().is_some_and(|(o, _)| *o < end);
        if before || after || self.pieces.len() >= max {
            return Taken::Bad;
        }
        if !f.more {
            self.total = Some(end);
        }
        if f.offset == 0 {
            self.header = Some(Bytes::copy_from_slice(&f.header));
        }
        self.received += f.payload.len();
        // A copy: what is kept must not hold on to the larger buffer that it was read into, which nobody counts.
        self.pieces.insert(f.offset, Bytes::copy_from_slice(&f.payload));
        Taken::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::fragment::cut;
    use core::net::Ipv4Addr;

    const KEY: Key = Key {
        src: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        dst: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        id: 1,
        protocol: 17,
        ifindex: 2,
    };

    fn frag(offset: usize, more: bool, payload: &[u8]) -> Fragment {
        Fragment { offset, more, payload: Bytes::copy_from_slice(payload), header: Bytes::from_static(b"head") }
    }

    #[test]
    fn any_order_gives_the_whole() {
        let all: Vec<u8> = (0..4001u32).map(|i| (i * 31) as u8).collect();
        let pieces = cut(&[Bytes::copy_from_slice(&all)], 600);
        let mut seed = 5usize;
        for _ in 0..200 {
            let mut r = Reassembler::default();
            let mut order: Vec<usize> = (0..pieces.len()).chain(0..3).collect();
            for i in (1..order.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                order.swap(i, (seed >> 33) % (i + 1));
            }
            let mut whole = None;
            for i in order {
                let p = &pieces[i];
                let bytes: Vec<u8> = p.parts.iter().flatten().copied().collect();
                if let Outcome::Complete { payload, header } =
                    r.insert(Instant::ZERO, KEY, frag(p.offset, p.more, &bytes), &mut 0)
                {
                    assert_eq!(&header[..], b"head");
                    whole = Some(payload);
                    break;
                }
            }
            assert_eq!(whole.as_deref(), Some(&all[..]));
            assert_eq!((r.bytes(), r.len(), r.deadline()), (0, 0, None));
        }
    }

    #[test]
    fn an_overlap_ends_the_datagram() {
        let mut r = Reassembler::default();
        assert_eq!(r.insert(Instant::ZERO, KEY, frag(0, true, &[0; 16]), &mut 0), Outcome::Waiting);
        assert_eq!(r.insert(Instant::ZERO, KEY, frag(8, true, &[0; 16]), &mut 0), Outcome::Dropped);
        assert!(r.is_empty());
    }

    #[test]
    fn time_and_room_are_limited() {
        let mut r = Reassembler::new(Limits { high_bytes: 10_000, ..Limits::default() });
        let mut dropped = 0;
        for id in 0..100 {
            r.insert(Instant::from_millis(u64::from(id)), Key { id, ..KEY }, frag(0, true, &[0; 800]), &mut dropped);
            assert!(r.bytes() <= 10_000);
        }
        assert!(dropped > 80);
        let left = r.len();
        let expired = r.on_timer(Instant::from_millis(31_000));
        assert_eq!(expired.len(), left);
        assert!(expired.iter().all(|e| e.first.is_some()));
        assert_eq!(r.bytes(), 0);
    }
}
