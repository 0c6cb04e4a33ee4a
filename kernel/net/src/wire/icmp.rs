//! ICMP messages (RFC 792) and ICMPv6 messages (RFC 4443): the eight bytes that all have.

use super::{array, be16, be32};

/// Bytes of the part that all messages have.
pub const HEADER_LEN: usize = 8;

/// Types of ICMP for IPv4.
#[expect(missing_docs, reason = "the names are those of RFC 792")]
pub mod v4 {
    pub const ECHO_REPLY: u8 = 0;
    pub const DEST_UNREACH: u8 = 3;
    pub const REDIRECT: u8 = 5;
    pub const ECHO: u8 = 8;
    pub const TIME_EXCEEDED: u8 = 11;
    pub const PARAMETER_PROBLEM: u8 = 12;
    pub const TIMESTAMP: u8 = 13;
    pub const TIMESTAMP_REPLY: u8 = 14;
    pub const NET_UNREACH: u8 = 0;
    pub const HOST_UNREACH: u8 = 1;
    pub const PROT_UNREACH: u8 = 2;
    pub const PORT_UNREACH: u8 = 3;
    pub const FRAG_NEEDED: u8 = 4;
}

/// Types of ICMPv6.
#[expect(missing_docs, reason = "the names are those of RFC 4443, RFC 4861 and RFC 3810")]
pub mod v6 {
    pub const DEST_UNREACH: u8 = 1;
    pub const PACKET_TOO_BIG: u8 = 2;
    pub const TIME_EXCEEDED: u8 = 3;
    pub const PARAMETER_PROBLEM: u8 = 4;
    pub const ECHO_REQUEST: u8 = 128;
    pub const ECHO_REPLY: u8 = 129;
    pub const MLD_QUERY: u8 = 130;
    pub const MLD_REPORT: u8 = 131;
    pub const MLD_DONE: u8 = 132;
    pub const ROUTER_SOLICIT: u8 = 133;
    pub const ROUTER_ADVERT: u8 = 134;
    pub const NEIGHBOR_SOLICIT: u8 = 135;
    pub const NEIGHBOR_ADVERT: u8 = 136;
    pub const REDIRECT: u8 = 137;
    pub const MLD2_REPORT: u8 = 143;
    pub const NO_ROUTE: u8 = 0;
    pub const ADM_PROHIBITED: u8 = 1;
    pub const ADDR_UNREACH: u8 = 3;
    pub const PORT_UNREACH: u8 = 4;
}

/// What all messages begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum.
    pub checksum: u16,
    /// The four bytes that differ by type.
    pub rest: [u8; 4],
}

impl Header {
    /// Reads a header.
    pub fn parse(b: &[u8]) -> Option<Self> {
        Some(Self { kind: *b.first()?, code: *b.get(1)?, checksum: be16(b, 2)?, rest: array(b, 4)? })
    }

    /// Its bytes, with the checksum as given.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let c = self.checksum.to_be_bytes();
        let r = self.rest;
        [self.kind, self.code, c[0], c[1], r[0], r[1], r[2], r[3]]
    }

    /// The rest as one number: the MTU of "packet too big", a pointer.
    pub fn rest_u32(&self) -> u32 {
        be32(&self.rest, 0).unwrap_or(0)
    }

    /// Identifier of an echo message.
    pub fn id(&self) -> u16 {
        be16(&self.rest, 0).unwrap_or(0)
    }

    /// The second half of the rest: the sequence number of an echo, the MTU of "fragmentation needed".
    pub fn low(&self) -> u16 {
        be16(&self.rest, 2).unwrap_or(0)
    }
}
