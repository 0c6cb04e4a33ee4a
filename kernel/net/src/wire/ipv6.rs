//! IPv6 headers and extension headers (RFC 8200).

use super::{array, be16, be32};
use core::net::Ipv6Addr;

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;
/// Bytes of a fragment header.
pub const FRAGMENT_LEN: usize = 8;
/// Every link carries this many bytes (RFC 8200, section 5).
pub const MIN_MTU: usize = 1280;

/// Next header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
pub const ROUTING: u8 = 43;
/// Next header: fragment.
pub const FRAGMENT: u8 = 44;
/// Next header: nothing follows.
pub const NO_NEXT: u8 = 59;
/// Next header: destination options.
pub const DESTINATION: u8 = 60;

/// A fixed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Bytes after the fixed header.
    pub payload_len: usize,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source.
    pub src: Ipv6Addr,
    /// Destination.
    pub dst: Ipv6Addr,
}

impl Header {
    /// Reads the header of `packet`; `None` if it is malformed or there are fewer bytes than it says.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        Self::parse_quoted(packet).filter(|h| HEADER_LEN + h.payload_len <= packet.len())
    }

    /// Reads a header that an ICMP error quotes: the payload may be cut.
    pub fn parse_quoted(packet: &[u8]) -> Option<Self> {
        let word = be32(packet, 0)?;
        if word >> 28 != 6 {
            return None;
        }
        Some(Self {
            traffic_class: (word >> 20) as u8,
            flow_label: word & 0xf_ffff,
            payload_len: usize::from(be16(packet, 4)?),
            next_header: *packet.get(6)?,
            hop_limit: *packet.get(7)?,
            src: Ipv6Addr::from(array::<16>(packet, 8)?),
            dst: Ipv6Addr::from(array::<16>(packet, 24)?),
        })
    }

    /// Appends it to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let word = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0xf_ffff);
        out.extend_from_slice(&word.to_be_bytes());
        out.extend_from_slice(&(self.payload_len as u16).to_be_bytes());
        out.extend_from_slice(&[self.next_header, self.hop_limit]);
        out.extend_from_slice(&self.src.octets());
        out.extend_from_slice(&self.dst.octets());
    }
}

/// A fragment header (RFC 8200, section 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// What follows in the datagram.
    pub next_header: u8,
    /// Where the payload stands in the fragmentable part, in bytes.
    pub offset: usize,
    /// Are there more behind it?
    pub more: bool,
    /// Identification.
    pub id: u32,
}

impl Fragment {
    /// Reads one at the front of `b`.
    pub fn parse(b: &[u8]) -> Option<Self> {
        let word = be16(b, 2)?;
        Some(Self {
            next_header: *b.first()?,
            offset: usize::from(word & 0xfff8),
            more: word & 1 != 0,
            id: be32(b, 4)?,
        })
    }

    /// Appends it to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.next_header, 0]);
        out.extend_from_slice(&((self.offset as u16 & 0xfff8) | u16::from(self.more)).to_be_bytes());
        out.extend_from_slice(&self.id.to_be_bytes());
    }
}

/// Where the chain of extension headers ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chain {
    /// An upper-layer header begins at `offset` of the packet.
    Upper {
        /// Its protocol.
        protocol: u8,
        /// Its place in the packet, in bytes.
        offset: usize,
    },
    /// A fragment header stands at `offset`.
    Fragment {
        /// Its place in the packet, in bytes.
        offset: usize,
        /// Where the field that named it stands.
        next_header_at: usize,
    },
    /// To be discarded silently.
    Discard,
    /// To be answered with a parameter problem of this code, pointing there; `multicast` also if the packet went to
    /// a group.
    Problem {
        /// ICMPv6 code.
        code: u8,
        /// Offset of what is wrong.
        pointer: usize,
        /// Answer also if the destination is a group (RFC 8200, section 4.2, action 10).
        multicast: bool,
    },
}

/// At most this many extension headers are stepped over.
const MAX_EXTENSIONS: usize = 8;

/// Walks the extension headers of `packet` from the header `next_header` at `offset` on. `hop_by_hop` says whether a
/// hop-by-hop header may stand there (only right behind the fixed header).
pub fn walk(packet: &[u8], mut next_header: u8, mut offset: usize, next_header_at: usize, first: bool) -> Chain {
    let mut next_header_at = next_header_at;
    for i in 0..=MAX_EXTENSIONS {
        match next_header {
            HOP_BY_HOP if !(first && i == 0) => {
                return Chain::Problem { code: 1, pointer: next_header_at, multicast: false };
            }
            HOP_BY_HOP | DESTINATION | ROUTING => {
                let (Some(&next), Some(&len)) = (packet.get(offset), packet.get(offset + 1)) else {
                    return Chain::Discard;
                };
                let len = (usize::from(len) + 1) * 8;
                let Some(body) = packet.get(offset + 2..offset + len) else { return Chain::Discard };
                if next_header == ROUTING {
                    // No type of routing header is processed; with no segments left it is skipped (section 4.4).
                    if body.get(1).is_some_and(|left| *left > 0) {
                        return Chain::Problem { code: 0, pointer: offset + 2, multicast: false };
                    }
                } else if let Some(stop) = option_problem(body, offset + 2) {
                    return stop;
                }
                next_header_at = offset;
                next_header = next;
                offset += len;
            }
            FRAGMENT => return Chain::Fragment { offset, next_header_at },
            NO_NEXT => return Chain::Discard,
            protocol => return Chain::Upper { protocol, offset },
        }
    }
    Chain::Discard
}

/// What an unknown option in `body` asks for (RFC 8200, section 4.2).
fn option_problem(body: &[u8], at: usize) -> Option<Chain> {
    let mut i = 0;
    while let Some(&kind) = body.get(i) {
        if kind == 0 {
            i += 1;
            continue;
        }
        let Some(&len) = body.get(i + 1) else { return Some(Chain::Discard) };
        // PadN and router alert are known; the others ask by their first two bits for what is to be done.
        if !matches!(kind, 1 | 5) {
            match kind >> 6 {
                0 => {}
                1 => return Some(Chain::Discard),
                action => return Some(Chain::Problem { code: 2, pointer: at + i, multicast: action == 2 }),
            }
        }
        i += 2 + usize::from(len);
    }
    (i > body.len()).then_some(Chain::Discard)
}
