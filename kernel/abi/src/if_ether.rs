//! Ethernet as programs see it (`linux/if_ether.h`).

/// Bytes of a hardware address.
pub const ETH_ALEN: usize = 6;
/// Bytes of a header.
pub const ETH_HLEN: usize = 14;
/// EtherType: IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// EtherType: ARP.
pub const ETH_P_ARP: u16 = 0x0806;
/// EtherType: 802.1Q.
pub const ETH_P_8021Q: u16 = 0x8100;
/// EtherType: IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;
