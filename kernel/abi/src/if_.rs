//! Interfaces (`linux/if.h`, `linux/if_arp.h`, `linux/route.h`, `linux/ipv6_route.h`; `man 7 netdevice`).
#![expect(missing_docs, reason = "the manual pages explain them")]

/// Bytes of an interface name with its final zero.
pub const IFNAMSIZ: usize = 16;
/// Bytes of `struct ifreq` on 64-bit machines.
pub const IFREQ_SIZE: usize = 40;

pub const IFF_UP: u32 = 1;
pub const IFF_BROADCAST: u32 = 1 << 1;
pub const IFF_DEBUG: u32 = 1 << 2;
pub const IFF_LOOPBACK: u32 = 1 << 3;
pub const IFF_POINTOPOINT: u32 = 1 << 4;
pub const IFF_NOTRAILERS: u32 = 1 << 5;
pub const IFF_RUNNING: u32 = 1 << 6;
pub const IFF_NOARP: u32 = 1 << 7;
pub const IFF_PROMISC: u32 = 1 << 8;
pub const IFF_ALLMULTI: u32 = 1 << 9;
pub const IFF_MULTICAST: u32 = 1 << 12;
pub const IFF_PORTSEL: u32 = 1 << 13;
pub const IFF_AUTOMEDIA: u32 = 1 << 14;
pub const IFF_DYNAMIC: u32 = 1 << 15;
pub const IFF_LOWER_UP: u32 = 1 << 16;

pub const ARPHRD_ETHER: u16 = 1;
pub const ARPHRD_LOOPBACK: u16 = 772;

pub const ATF_COM: u32 = 0x02;
pub const ATF_PERM: u32 = 0x04;
pub const ATF_PUBL: u32 = 0x08;
pub const ATF_NETMASK: u32 = 0x20;
pub const ATF_DONTPUB: u32 = 0x40;

pub const RTF_UP: u32 = 0x0001;
pub const RTF_GATEWAY: u32 = 0x0002;
pub const RTF_HOST: u32 = 0x0004;
pub const RTF_DYNAMIC: u32 = 0x0010;
pub const RTF_MTU: u32 = 0x0040;
pub const RTF_WINDOW: u32 = 0x0080;
pub const RTF_IRTT: u32 = 0x0100;
pub const RTF_REJECT: u32 = 0x0200;
pub const RTF_DEFAULT: u32 = 0x0001_0000;
pub const RTF_ADDRCONF: u32 = 0x0004_0000;
pub const RTF_NONEXTHOP: u32 = 0x0020_0000;
pub const RTF_EXPIRES: u32 = 0x0040_0000;
pub const RTF_ANYCAST: u32 = 0x0010_0000;
pub const RTF_LOCAL: u32 = 0x8000_0000;
