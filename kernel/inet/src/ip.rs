//! Small facts about addresses and protocols.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// ICMP's protocol number.
pub(crate) const IPPROTO_ICMP: u8 = 1;
/// IGMP's protocol number.
pub(crate) const IPPROTO_IGMP: u8 = 2;
/// TCP's protocol number.
pub(crate) const IPPROTO_TCP: u8 = 6;
/// UDP's protocol number.
pub(crate) const IPPROTO_UDP: u8 = 17;
/// ICMPv6's protocol number.
pub(crate) const IPPROTO_ICMPV6: u8 = 58;

/// The unspecified address of a family.
pub const fn unspecified(v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }
}

/// Does the address mean something only on one link (`fe80::/10`, interface- and link-local groups)?
pub fn needs_scope(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(a) => is_link_local(a) || (a.is_multicast() && matches!(a.octets()[1] & 0xf, 1 | 2)),
    }
}

/// Is it in `fe80::/10`?
pub const fn is_link_local(a: Ipv6Addr) -> bool {
    a.segments()[0] & 0xffc0 == 0xfe80
}

/// An IPv4-mapped IPv6 address as the IPv4 address that it stands for.
pub fn unmap(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(addr, IpAddr::V4),
        IpAddr::V4(_) => addr,
    }
}

/// An IPv4 address as its IPv4-mapped IPv6 address.
pub fn map_v6(addr: IpAddr) -> Ipv6Addr {
    match addr {
        IpAddr::V4(a) => a.to_ipv6_mapped(),
        IpAddr::V6(a) => a,
    }
}
