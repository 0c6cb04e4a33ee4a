//! Frames by hand: what the other end of a stub link sends and sees.
//!
//! * [`Stub`]: an end of a link with addresses and no kernel: it answers who it is, and gives the rest to the test.
//! * [`Segment`]: a TCP segment, read and written.
//! * [`script`]: packet scripts, short ones in the text of a test.
//! * [`pkt`]: packet scripts in the language of packetdrill.

pub mod pkt;
pub mod script;

use crate::machine::{addresses, Machine};
use lkl_ops::sim::{Link, Wire, World};
use lkl_ops::NetDev;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// FIN, SYN, RST, PSH, ACK, URG of the TCP header.
pub const FIN: u16 = 1;
/// See [`FIN`].
pub const SYN: u16 = 2;
/// See [`FIN`].
pub const RST: u16 = 4;
/// See [`FIN`].
pub const PSH: u16 = 8;
/// See [`FIN`].
pub const ACK: u16 = 16;
/// See [`FIN`].
pub const URG: u16 = 32;
/// ECE and CWR (RFC 3168).
pub const ECE: u16 = 64;
/// See [`ECE`].
pub const CWR: u16 = 128;
/// The first bit of accurate ECN.
pub const AE: u16 = 0x100;

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A TCP segment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// Source port.
    pub from: u16,
    /// Destination port.
    pub to: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u16,
    /// Window, as in the header.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options, padded.
    pub options: Vec<u8>,
    /// Data.
    pub data: Vec<u8>,
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn sum(parts: &[&[u8]]) -> u16 {
    let mut total = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            total += u64::from(pair.first().copied().unwrap_or(0)) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

impl Segment {
    /// Reads a segment from the payload of an IP packet.
    pub fn parse(b: &[u8]) -> Option<Self> {
        let header = usize::from(b.get(12)? >> 4) * 4;
        Some(Self {
            from: u16_at(b, 0)?,
            to: u16_at(b, 2)?,
            seq: u32_at(b, 4)?,
            ack: u32_at(b, 8)?,
            flags: u16::from(*b.get(13)?) | u16::from(*b.get(12)? & 1) << 8,
            window: u16_at(b, 14)?,
            urgent: u16_at(b, 18)?,
            options: b.get(20..header)?.to_vec(),
            data: b.get(header..)?.to_vec(),
        })
    }

    fn build(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let mut b = Vec::new();
        b.extend(self.from.to_be_bytes());
        b.extend(self.to.to_be_bytes());
        b.extend(self.seq.to_be_bytes());
        b.extend(self.ack.to_be_bytes());
        b.extend([((20 + options.len()) << 2) as u8 | (self.flags >> 8) as u8 & 1, self.flags as u8]);
        b.extend(self.window.to_be_bytes());
        b.extend([0, 0]);
        b.extend(self.urgent.to_be_bytes());
        b.extend(options);
        b.extend(&self.data);
        b
    }

    /// The sequence space that it takes.
    pub fn len(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0)
    }

    /// Does it take none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data of an option, if it is there.
    pub fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = self.options.as_slice();
        loop {
            match *rest {
                [] | [0, ..] => return None,
                [1, ..] => rest = rest.get(1..)?,
                [k, len, ..] => {
                    let body = rest.get(2..usize::from(len))?;
                    if k == kind {
                        return Some(body);
                    }
                    rest = rest.get(usize::from(len)..)?;
                }
                [_] => return None,
            }
        }
    }
}

/// A packet that a stub has got.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its sender.
    pub src: IpAddr,
    /// Its receiver.
    pub dst: IpAddr,
    /// Protocol.
    pub proto: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Transport header and payload.
    pub body: Vec<u8>,
}

/// The far end of a machine's link: 10.0.0.2 and fd00::2, with no kernel.
pub struct Stub {
    /// The link; the machine is at its end `a`.
    pub link: Link,
}

impl Stub {
    /// A machine (10.0.0.1, fd00::1) and a stub at the other end of its wire.
    pub fn new(world: &World, wire: &Wire) -> (Machine, Self) {
        let m = Machine::new(world);
        let link = world.stub_link(&m.host, wire);
        m.plug(&link.a, &addresses(1));
        (m, Self { link })
    }

    fn ethernet(&self, to: [u8; 6], kind: u16, body: &[u8]) {
        let mut frame = Vec::with_capacity(14 + body.len());
        frame.extend(to);
        frame.extend(self.link.b.mac());
        frame.extend(kind.to_be_bytes());
        frame.extend(body);
        self.link.b.put(&frame);
    }

    /// Sends a transport message; its checksum (at `checksum`) is filled in.
    pub fn send(&self, src: IpAddr, dst: IpAddr, proto: u8, body: Vec<u8>, checksum: usize) {
        self.send_marked(src, dst, (proto, 0), body, checksum);
    }

    /// The same with a type of service or traffic class.
    fn send_marked(&self, src: IpAddr, dst: IpAddr, (proto, tos): (u8, u8), mut body: Vec<u8>, checksum: usize) {
        let mut packet = Vec::new();
        let len = body.len() as u16;
        let value = match (src, dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) if proto != ICMP => {
                sum(&[&s.octets(), &d.octets(), &[0, proto], &len.to_be_bytes(), &body])
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                sum(&[&s.octets(), &d.octets(), &u32::from(len).to_be_bytes(), &[0, proto], &body])
            }
            _ => sum(&[&body]),
        };
        if let Some(place) = body.get_mut(checksum..checksum + 2) {
            place.copy_from_slice(&value.to_be_bytes());
        }
        let kind = match (src, dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                let total = (20 + len).to_be_bytes();
                packet.extend([0x45, tos, total[0], total[1], 0, 0, 0x40, 0, 64, proto, 0, 0]);
                packet.extend(s.octets());
                packet.extend(d.octets());
                let header = sum(&[&packet]).to_be_bytes();
                if let Some(place) = packet.get_mut(10..12) {
                    place.copy_from_slice(&header);
                }
                0x0800
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                packet.extend([0x60 | tos >> 4, tos << 4, 0, 0]);
                packet.extend(len.to_be_bytes());
                packet.extend([proto, 255]);
                packet.extend(s.octets());
                packet.extend(d.octets());
                0x86dd
            }
            _ => panic!("addresses of one family, please"),
        };
        packet.extend(body);
        self.ethernet(self.link.a.mac(), kind, &packet);
    }

    /// Sends a segment from this end to the machine, in the family of `v6`.
    pub fn send_segment(&self, v6: bool, segment: &Segment) {
        let at = usize::from(v6);
        let (src, dst) = (addresses(2)[at].0, addresses(1)[at].0);
        self.send(src, dst, TCP, segment.build(), 16);
    }

    /// The same with the two bits of ECN.
    pub fn send_segment_marked(&self, v6: bool, segment: &Segment, ecn: u8) {
        let at = usize::from(v6);
        let (src, dst) = (addresses(2)[at].0, addresses(1)[at].0);
        self.send_marked(src, dst, (TCP, ecn), segment.build(), 16);
    }

    /// The next packet that is for the test: who has this address is answered on the way.
    pub fn receive(&self) -> Option<Packet> {
        loop {
            let frame = self.link.b.take()?;
            let (kind, body) = (u16_at(&frame, 12)?, frame.get(14..)?);
            if kind == 0x0806 {
                self.answer_arp(body);
            } else if let Some(packet) = parse_ip(kind, body) {
                if packet.proto != ICMPV6 || !self.answer_solicitation(&packet) {
                    return Some(packet);
                }
            }
        }
    }

    fn answer_arp(&self, b: &[u8]) -> Option<()> {
        let me = Ipv4Addr::new(10, 0, 0, 2).octets();
        if u16_at(b, 6)? != 1 || b.get(24..28)? != me {
            return None;
        }
        let mut answer = vec![0, 1, 8, 0, 6, 4, 0, 2];
        answer.extend(self.link.b.mac());
        answer.extend(me);
        answer.extend(b.get(8..18)?);
        self.ethernet(self.link.a.mac(), 0x0806, &answer);
        Some(())
    }

    /// Answers whether it was traffic of neighbour discovery or group membership, none of the test's.
    fn answer_solicitation(&self, p: &Packet) -> bool {
        let (Some(&kind), me) = (p.body.first(), addresses(2)[1].0) else { return true };
        let IpAddr::V6(own) = me else { return true };
        if kind == 135 && p.body.get(8..24) == Some(&own.octets()[..]) && p.src != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            let mut body = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
            body.extend(own.octets());
            body.extend([2, 1]);
            body.extend(self.link.b.mac());
            self.send(me, p.src, ICMPV6, body, 2);
        }
        (130..=143).contains(&kind)
    }

    /// Is the machine alive: does it answer a ping over IPv4 and IPv6 within a few seconds?
    pub fn pings(&self, world: &World) -> bool {
        [false, true].into_iter().all(|v6| {
            let (src, dst) = (addresses(2)[usize::from(v6)].0, addresses(1)[usize::from(v6)].0);
            let (proto, request, reply) = if v6 { (ICMPV6, 128, 129) } else { (ICMP, 8, 0) };
            self.send(src, dst, proto, vec![request, 0, 0, 0, 0x12, 0x34, 0, 1, b'p'], 2);
            let end = world.now() + std::time::Duration::from_secs(5);
            world.run_until(Some(end), || {
                while let Some(p) = self.receive() {
                    if p.proto == proto
                        && p.body.first() == Some(&reply)
                        && p.body.get(4..9) == Some(&[0x12, 0x34, 0, 1, b'p'])
                    {
                        return true;
                    }
                }
                false
            })
        })
    }
}

fn parse_ip(kind: u16, b: &[u8]) -> Option<Packet> {
    if kind == 0x0800 {
        let header = usize::from(b.first()? & 15) * 4;
        let src: [u8; 4] = b.get(12..16)?.try_into().ok()?;
        let dst: [u8; 4] = b.get(16..20)?.try_into().ok()?;
        let body = b.get(header..usize::from(u16_at(b, 2)?))?.to_vec();
        let (proto, tos) = (*b.get(9)?, *b.get(1)?);
        return Some(Packet { src: src.into(), dst: dst.into(), proto, tos, body });
    }
    let src: [u8; 16] = b.get(8..24)?.try_into().ok()?;
    let dst: [u8; 16] = b.get(24..40)?.try_into().ok()?;
    let (mut proto, mut body) = (*b.get(6)?, b.get(40..40 + usize::from(u16_at(b, 4)?))?);
    // Hop-by-hop options, of listener reports.
    if proto == 0 {
        let skip = usize::from(*body.get(1)?) * 8 + 8;
        proto = *body.first()?;
        body = body.get(skip..)?;
    }
    let tos = (u16_at(b, 0)? >> 4) as u8;
    (kind == 0x86dd).then(|| Packet { src: src.into(), dst: dst.into(), proto, tos, body: body.to_vec() })
}
