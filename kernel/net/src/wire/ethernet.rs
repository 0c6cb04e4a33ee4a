//! Ethernet II frames (IEEE 802.3, RFC 894, RFC 2464), with an 802.1Q tag.

use super::{array, be16};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a header.
pub const HEADER_LEN: usize = 14;
/// A hardware address.
pub type Mac = [u8; 6];
/// To all.
pub const BROADCAST: Mac = [0xff; 6];
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of an 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

/// A header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// EtherType.
    pub ethertype: u16,
}

impl Header {
    /// Reads the header of `frame`.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        Some(Self { dst: array(frame, 0)?, src: array(frame, 6)?, ethertype: be16(frame, 12)? })
    }

    /// Appends it to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.dst);
        out.extend_from_slice(&self.src);
        out.extend_from_slice(&self.ethertype.to_be_bytes());
    }
}

/// Is it a group address?
pub fn is_multicast(mac: &Mac) -> bool {
    mac[0] & 1 != 0
}

/// The hardware address of an IP group (RFC 1112, section 6.4; RFC 2464, section 7).
pub fn multicast_mac(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(g) => multicast_mac4(g),
        IpAddr::V6(g) => multicast_mac6(g),
    }
}

fn multicast_mac4(g: Ipv4Addr) -> Mac {
    let [_, b, c, d] = g.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

fn multicast_mac6(g: Ipv6Addr) -> Mac {
    let o = g.octets();
    [0x33, 0x33, o[12], o[13], o[14], o[15]]
}

/// The interface identifier made of a hardware address (RFC 4291, appendix A).
pub fn eui64(mac: &Mac) -> [u8; 8] {
    [mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]
}
