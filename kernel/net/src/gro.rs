//! Receive offload: TCP segments that a device gives one by one become one again, for the stack's work is by the segment and not by the byte.
//!
//! Segments are joined that follow each other on the wire and in their connection, and whose headers say the same but for what counts on:
//! length, identification, sequence number, checksum. So nothing is lost that the receiver could have learned from the single ones. A segment
//! that is shorter than the first, or has PSH, is the last: a peer's write ends with it. Nothing is held back for longer than the caller reads
//! frames that are there already ([`Gro::flush`]).

use crate::checksum::Sum;
use crate::tcp::Flags;
use crate::wire::{ethernet, ipv4, ipv6};
use core::net::IpAddr;
use lkl_ops::{Checked, Gso, GsoKind, RxFrame};

/// The longest packet in bytes, from the IP header on (RFC 791, section 3.1).
const LONGEST: usize = 65_535;
const TCP: u8 = 6;

/// What is told of a segment that may be joined.
#[derive(Clone, Copy, Debug)]
struct Seen {
    kind: GsoKind,
    /// Where the TCP header and the payload begin in the frame.
    transport: usize,
    payload: usize,
    /// Sequence number of the first byte, and of the one after the last.
    seq: u32,
    next: u32,
    last: bool,
}

/// Segments that are being joined.
struct Held {
    first: Seen,
    next: u32,
    /// Of all of them.
    bytes: usize,
    frames: Vec<RxFrame>,
}

/// The segments that a reader of a device has in its hands.
#[derive(Default)]
pub struct Gro {
    held: Option<Held>,
}

impl Gro {
    /// Takes a frame, in the order of the wire; frames that can be joined with no more are given to `deliver`.
    pub fn push(&mut self, frame: RxFrame, mut deliver: impl FnMut(RxFrame)) {
        let may_be_joined = frame.gso.is_none() && (self.held.is_some() || may_begin(&frame.data));
        let Some(seen) = may_be_joined.then(|| Seen::of(&frame)).flatten() else {
            self.flush(&mut deliver);
            return deliver(frame);
        };
        if let Some(held) = self.held.as_mut().filter(|held| held.goes_on_with(&frame, &seen)) {
            let short = seen.bytes(&frame) < held.first.bytes(&held.frames[0]);
            held.next = seen.next;
            held.bytes += seen.bytes(&frame);
            held.frames.push(frame);
            if short || seen.last {
                self.flush(deliver);
            }
            return;
        }
        self.flush(&mut deliver);
        if seen.last {
            return deliver(frame);
        }
        let bytes = seen.bytes(&frame);
        self.held = Some(Held { first: seen, next: seen.next, bytes, frames: vec![frame] });
    }

    /// Gives what is held to `deliver`.
    pub fn flush(&mut self, mut deliver: impl FnMut(RxFrame)) {
        if let Some(held) = self.held.take() {
            deliver(held.join());
        }
    }
}

/// Can the first of several segments look like this? The cheap look: where questions are asked and answered each segment is alone, and has PSH.
fn may_begin(frame: &[u8]) -> bool {
    let at = match frame.get(12..15) {
        Some([8, 0, 0x45]) => ethernet::HEADER_LEN + ipv4::HEADER_LEN,
        Some([0x86, 0xdd, _]) => ethernet::HEADER_LEN + ipv6::HEADER_LEN,
        _ => return false,
    };
    match frame.get(at + 12..at + 14) {
        Some([offset, flags]) => {
            u16::from(*flags) & Flags::PSH.bits() == 0 && frame.len() > at + usize::from(offset >> 4) * 4
        }
        _ => false,
    }
}

impl Seen {
    /// `None` if it must stay as it is.
    fn of(frame: &RxFrame) -> Option<Self> {
        let data = &frame.data[..];
        let packet = data.get(ethernet::HEADER_LEN..)?;
        let (kind, transport, src, dst): (_, _, IpAddr, IpAddr) = match ethernet::Header::parse(data)?.ethertype {
            ethernet::IPV4 => {
                let h = ipv4::Header::parse(packet).ok()?;
                let plain = h.header_len == ipv4::HEADER_LEN && !h.is_fragment() && h.protocol == TCP;
                (plain && h.total_len == packet.len()).then_some(())?;
                (GsoKind::Tcp4, ethernet::HEADER_LEN + ipv4::HEADER_LEN, h.src.into(), h.dst.into())
            }
            ethernet::IPV6 => {
                let h = ipv6::Header::parse(packet)?;
                (h.next_header == TCP && ipv6::HEADER_LEN + h.payload_len == packet.len()).then_some(())?;
                (GsoKind::Tcp6, ethernet::HEADER_LEN + ipv6::HEADER_LEN, h.src.into(), h.dst.into())
            }
            _ => return None,
        };
        let segment = data.get(transport..)?;
        let (header, len) = crate::tcp::Segment::parse(segment).ok()?;
        let payload = transport + len;
        let joinable = (header.flags & (Flags::SYN | Flags::FIN | Flags::RST | Flags::URG)).is_empty();
        if !joinable || !header.flags.contains(Flags::ACK) || payload >= data.len() {
            return None;
        }
        if !frame.checksum.is_ok() && !Sum::new().pseudo_header(src, dst, TCP, segment.len()).add(segment).is_valid() {
            return None;
        }
        let next = header.seq.wrapping_add((data.len() - payload) as u32);
        Some(Self { kind, transport, payload, seq: header.seq, next, last: header.flags.contains(Flags::PSH) })
    }

    /// Bytes of the payload.
    fn bytes(&self, frame: &RxFrame) -> usize {
        frame.data.len() - self.payload
    }
}

impl Held {
    /// Is `frame` what comes next?
    fn goes_on_with(&self, frame: &RxFrame, seen: &Seen) -> bool {
        let (first, a, b) = (&self.first, &self.frames[0].data, &frame.data);
        if seen.seq != self.next || seen.kind != first.kind || seen.payload != first.payload {
            return false;
        }
        let bytes = seen.bytes(frame);
        if bytes > first.bytes(&self.frames[0]) || self.bytes + bytes + first.payload - ethernet::HEADER_LEN > LONGEST {
            return false;
        }
        let t = first.transport;
        let same = |from: usize, to: usize| a[from..to] == b[from..to];
        let ip = match first.kind {
            // Not total length, identification, header checksum.
            GsoKind::Tcp4 => same(0, 16) && same(20, 24) && same(26, 34),
            // Not payload length.
            _ => same(0, 18) && same(20, t),
        };
        // Not sequence number, PSH, checksum.
        let flags = (a[t + 13] ^ b[t + 13]) & !(Flags::PSH.bits() as u8) == 0;
        ip && same(t, t + 4) && same(t + 8, t + 13) && flags && same(t + 14, t + 16) && same(t + 18, first.payload)
    }

    /// All as one.
    fn join(mut self) -> RxFrame {
        let first = self.first;
        let size = first.bytes(&self.frames[0]);
        let (Some(last), true) = (self.frames.last(), self.frames.len() > 1) else { return self.frames.swap_remove(0) };
        let push = last.data[first.transport + 13] & Flags::PSH.bits() as u8;
        let mut data = Vec::with_capacity(first.payload + self.bytes);
        data.extend_from_slice(&self.frames[0].data);
        for frame in &self.frames[1..] {
            data.extend_from_slice(&frame.data[first.payload..]);
        }
        let len = (data.len() - ethernet::HEADER_LEN) as u16;
        if first.kind == GsoKind::Tcp4 {
            data[16..18].copy_from_slice(&len.to_be_bytes());
            data[24..26].fill(0);
            let sum = Sum::new().add(&data[ethernet::HEADER_LEN..first.transport]).finish();
            data[24..26].copy_from_slice(&sum.to_be_bytes());
        } else {
            data[18..20].copy_from_slice(&(len - ipv6::HEADER_LEN as u16).to_be_bytes());
        }
        data[first.transport + 13] |= push;
        let gso = Gso { kind: first.kind, size: size as u16, header_len: first.payload as u16 };
        // The checksum is that of the first alone; each was looked at.
        RxFrame { data: data.into(), checksum: Checked::Valid, gso: Some(gso) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Options, Segment};
    use bytes::Bytes;

    /// A frame of a connection, with `change` made to what it says.
    fn frame(v6: bool, seq: u32, payload: &[u8], change: impl FnOnce(&mut Segment, &mut ipv4::Header)) -> RxFrame {
        let (src, dst) = (ipv4_of(1), ipv4_of(2));
        let options = Options { timestamps: Some((7, 8)), ..Options::default() };
        let mut segment = Segment {
            src_port: 1,
            dst_port: 2,
            seq,
            ack: 99,
            flags: Flags::ACK,
            window: 500,
            options,
            ..Segment::default()
        };
        let mut h = ipv4::Header {
            header_len: ipv4::HEADER_LEN,
            tos: 0,
            total_len: 0,
            id: seq as u16,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: TCP,
            src,
            dst,
        };
        change(&mut segment, &mut h);
        let mut tcp = segment.emit().to_vec();
        tcp.extend_from_slice(payload);
        let mut data = Vec::new();
        let (ethertype, src, dst): (_, IpAddr, IpAddr) = if v6 {
            (ethernet::IPV6, src.to_ipv6_mapped().into(), dst.to_ipv6_mapped().into())
        } else {
            (ethernet::IPV4, src.into(), dst.into())
        };
        let sum = Sum::new().pseudo_header(src, dst, TCP, tcp.len()).add(&tcp).finish();
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        ethernet::Header { dst: [2; 6], src: [4; 6], ethertype }.emit(&mut data);
        if let (IpAddr::V6(src), IpAddr::V6(dst)) = (src, dst) {
            let h = ipv6::Header {
                traffic_class: h.tos,
                flow_label: 3,
                payload_len: tcp.len(),
                next_header: TCP,
                hop_limit: h.ttl,
                src,
                dst,
            };
            h.emit(&mut data);
        } else {
            h.total_len = ipv4::HEADER_LEN + tcp.len();
            h.emit(&[], &mut data);
        }
        data.extend_from_slice(&tcp);
        RxFrame { data: data.into(), checksum: Checked::No, gso: None }
    }

    fn ipv4_of(n: u8) -> core::net::Ipv4Addr {
        [10, 0, 0, n].into()
    }

    /// What is delivered of frames that are there at once.
    fn run(frames: impl IntoIterator<Item = RxFrame>) -> Vec<RxFrame> {
        let (mut gro, mut out) = (Gro::default(), Vec::new());
        frames.into_iter().for_each(|f| gro.push(f, |f| out.push(f)));
        gro.flush(|f| out.push(f));
        out
    }

    fn plain(v6: bool, seq: u32, payload: &[u8]) -> RxFrame {
        frame(v6, seq, payload, |_, _| {})
    }

    #[test]
    fn segments_that_follow_each_other_become_one() {
        for v6 in [false, true] {
            let text: Vec<u8> = (0..3500).map(|n| n as u8).collect();
            let seq = u32::MAX - 1700;
            let pieces = text.chunks(1000).enumerate();
            let frames: Vec<_> = pieces.map(|(n, p)| plain(v6, seq.wrapping_add(n as u32 * 1000), p)).collect();
            let out = run(frames.clone());
            assert_eq!(out.len(), 1);
            let one = &out[0];
            // Its parts are what a parser finds in a segment of that size.
            let seen = Seen::of(one).unwrap();
            assert_eq!((seen.seq, seen.next, &one.data[seen.payload..]), (seq, seq.wrapping_add(3500), &text[..]));
            let gso = one.gso.unwrap();
            assert_eq!((gso.size, usize::from(gso.header_len)), (1000, seen.payload));
            assert_eq!(one.checksum, Checked::Valid);
            // One alone stays as it was.
            assert_eq!(run([frames[0].clone()])[0].data, frames[0].data);
        }
    }

    #[test]
    fn what_differs_stays_apart() {
        type Change = fn(&mut Segment, &mut ipv4::Header);
        let changes: [(&str, Change); 12] = [
            ("port", |s, _| s.dst_port = 3),
            ("gap", |s, _| s.seq += 1),
            ("again", |s, _| s.seq -= 1000),
            ("acknowledgement", |s, _| s.ack += 1),
            ("window", |s, _| s.window += 1),
            ("options", |s, _| s.options.timestamps = Some((8, 8))),
            ("length of options", |s, _| s.options.timestamps = None),
            ("end", |s, _| s.flags |= Flags::FIN),
            ("congestion", |s, _| s.flags |= Flags::ECE),
            ("accurate ECN", |s, _| s.flags |= Flags::AE),
            ("CE", |_, h| h.tos = 3),
            ("hops", |_, h| h.ttl = 63),
        ];
        for v6 in [false, true] {
            for (what, change) in changes {
                let frames = [plain(v6, 5000, &[1; 1000]), frame(v6, 6000, &[2; 1000], change)];
                let out = run(frames.clone());
                assert_eq!(
                    out.iter().map(|f| &f.data).collect::<Vec<_>>(),
                    frames.iter().map(|f| &f.data).collect::<Vec<_>>(),
                    "{what}"
                );
            }
            // A longer one, one with a wrong checksum, and one that is padded.
            let first = plain(v6, 5000, &[1; 1000]);
            let mut wrong = plain(v6, 6000, &[2; 1000]).data.to_vec();
            *wrong.last_mut().unwrap() ^= 1;
            let mut padded = plain(v6, 6000, &[2; 900]).data.to_vec();
            padded.push(0);
            let bare = |data: Vec<u8>| RxFrame { data: data.into(), checksum: Checked::No, gso: None };
            for second in [plain(v6, 6000, &[2; 1001]), bare(wrong), bare(padded)] {
                assert_eq!(run([first.clone(), second]).len(), 2);
            }
        }
    }

    #[test]
    fn a_write_of_the_peers_ends_it() {
        let push = |seq, n| frame(false, seq, &vec![1; n], |s, _| s.flags |= Flags::PSH);
        let out = run([
            plain(false, 0, &[1; 1000]),
            push(1000, 1000),
            plain(false, 2000, &[1; 1000]),
            push(3000, 10),
            push(3010, 10),
        ]);
        let lens: Vec<_> = out.iter().map(|f| f.data.len() - 66).collect();
        assert_eq!(lens, [2000, 1010, 10]);
        assert!(out.iter().all(|f| f.data[47] & 8 != 0));
        // So does a short one.
        let out = run([plain(false, 0, &[1; 1000]), plain(false, 1000, &[1; 999]), plain(false, 1999, &[1; 999])]);
        assert_eq!(out.iter().map(|f| f.data.len() - 66).collect::<Vec<_>>(), [1999, 999]);
        // And no packet is longer than there may be.
        let out = run((0..100).map(|n| plain(false, n * 1000, &[1; 1000])));
        assert_eq!(out.iter().map(|f| f.data.len() - 66).collect::<Vec<_>>(), [65_000, 35_000]);
    }

    #[test]
    fn whatever_comes_is_delivered_in_order() {
        let mut seed = 1u32;
        let mut random = |n: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % n
        };
        for _ in 0..20_000 {
            let mut seq = 0;
            let mut text = Vec::new();
            let frames: Vec<_> = (0..random(6))
                .map(|_| {
                    let payload = vec![random(256) as u8; [0, 1, 100, 100, 100][random(5) as usize]];
                    let flags = [Flags::ACK, Flags::ACK, Flags::ACK | Flags::PSH][random(3) as usize];
                    let mut f = frame(random(8) == 0, seq, &payload, |s, _| s.flags = flags);
                    seq += payload.len() as u32;
                    if random(20) == 0 {
                        let (at, cut) = (random(f.data.len() as u32) as usize, random(f.data.len() as u32) as usize);
                        let mut data = f.data.to_vec();
                        data[at] ^= 1 << random(8);
                        data.truncate(cut);
                        f = RxFrame { data: Bytes::from(data), ..f };
                    }
                    text.push(f.data.clone());
                    f
                })
                .collect();
            // The payload of those that were joined, and the whole of the others.
            let mut rest = text.into_iter();
            for f in run(frames) {
                let first = rest.next().unwrap();
                let Some(gso) = f.gso else {
                    assert_eq!(f.data, first);
                    continue;
                };
                let from = usize::from(gso.header_len);
                let mut joined = first[from..].to_vec();
                while joined.len() < f.data.len() - from {
                    joined.extend_from_slice(&rest.next().unwrap()[from..]);
                }
                assert_eq!(joined, f.data[from..]);
            }
            assert!(rest.next().is_none());
        }
    }
}
