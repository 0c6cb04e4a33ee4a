//! Headers there and back, and foreign bytes.

use super::*;
use core::net::{Ipv4Addr, Ipv6Addr};

/// A small generator, so that the bytes are the same each time.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        let n = self.next() % 120;
        (0..n).map(|_| if self.next() % 3 == 0 { 0 } else { self.next() as u8 }).collect()
    }
}

#[test]
fn ipv4_there_and_back() {
    let h = ipv4::Header {
        header_len: 24,
        tos: 0x10,
        total_len: 24,
        id: 7,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 1480,
        ttl: 64,
        protocol: 17,
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
    };
    let mut b = Vec::new();
    h.emit(&[1, 1, 1, 0], &mut b);
    assert_eq!(ipv4::Header::parse(&b), Ok(h));
    b[8] ^= 1;
    assert_eq!(ipv4::Header::parse(&b), Err(ipv4::ParseError::Checksum));
    assert_eq!(ipv4::Header::parse(&b[..19]), Err(ipv4::ParseError::Malformed));
}

#[test]
fn ipv6_there_and_back() {
    let h = ipv6::Header {
        traffic_class: 0xb8,
        flow_label: 0x12345,
        payload_len: 0,
        next_header: 58,
        hop_limit: 255,
        src: Ipv6Addr::LOCALHOST,
        dst: Ipv6Addr::UNSPECIFIED,
    };
    let mut b = Vec::new();
    h.emit(&mut b);
    assert_eq!(ipv6::Header::parse(&b), Some(h));
}

#[test]
fn an_unknown_option_asks_for_what_its_bits_say() {
    let packet = |kind: u8| [17, 0, kind, 0, 1, 2, 0, 0];
    let walk = |p: &[u8]| ipv6::walk(p, ipv6::DESTINATION, 0, 6, true);
    assert_eq!(walk(&packet(0x1f)), ipv6::Chain::Upper { protocol: 17, offset: 8 });
    assert_eq!(walk(&packet(0x5f)), ipv6::Chain::Discard);
    assert_eq!(walk(&packet(0x9f)), ipv6::Chain::Problem { code: 2, pointer: 2, multicast: true });
    assert_eq!(walk(&packet(0xdf)), ipv6::Chain::Problem { code: 2, pointer: 2, multicast: false });
}

#[test]
fn arp_there_and_back() {
    let p = arp::Packet {
        operation: arp::Operation::Reply,
        sender_mac: [2, 0, 0, 0, 0, 1],
        sender_ip: Ipv4Addr::new(10, 0, 0, 1),
        target_mac: [2, 0, 0, 0, 0, 2],
        target_ip: Ipv4Addr::new(10, 0, 0, 2),
    };
    let mut b = Vec::new();
    p.emit(&mut b);
    assert_eq!(b.len(), arp::LEN);
    assert_eq!(arp::Packet::parse(&b), Some(p));
}

#[test]
fn foreign_bytes_never_panic() {
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    for _ in 0..200_000 {
        let mut b = rng.bytes();
        if let Some(first) = b.first_mut() {
            *first = if rng.next() % 2 == 0 { 0x45 } else { 0x60 };
        }
        let _ = ethernet::Header::parse(&b);
        let _ = arp::Packet::parse(&b);
        let _ = ipv4::Header::parse(&b);
        let _ = ipv4::options_ok(&b);
        let _ = ipv6::Header::parse(&b);
        let _ = ipv6::walk(&b, rng.next() as u8 % 64, rng.next() as usize % 50, 6, rng.next() % 2 == 0);
        let _ = ipv6::Fragment::parse(&b);
        let _ = udp::Header::parse(&b);
        let _ = icmp::Header::parse(&b);
        let _ = ndisc::target(&b);
        let _ = ndisc::RouterAdvert::parse(&b);
    }
}
