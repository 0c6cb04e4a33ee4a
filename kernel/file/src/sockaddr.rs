//! Socket addresses (`man 7 ip`, `man 7 ipv6`, `man 7 packet`, `man 7 netlink`).

use lkl_abi::{Errno, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `AF_UNSPEC`
pub const AF_UNSPEC: u16 = 0;
/// `AF_INET`
pub const AF_INET: u16 = 2;
/// `AF_INET6`
pub const AF_INET6: u16 = 10;
/// `AF_NETLINK`
pub const AF_NETLINK: u16 = 16;
/// `AF_PACKET`
pub const AF_PACKET: u16 = 17;

/// A link-layer address (`struct sockaddr_ll`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkAddr {
    /// EtherType, in host order.
    pub protocol: u16,
    /// Interface index.
    pub ifindex: u32,
    /// `ARPHRD_*`
    pub hatype: u16,
    /// `PACKET_HOST`, `PACKET_BROADCAST`, ...
    pub pkttype: u8,
    /// Bytes of `addr` in use.
    pub halen: u8,
    /// Hardware address.
    pub addr: [u8; 8],
}

/// A socket address of any family that the kernel serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SockAddr {
    /// `AF_UNSPEC`: dissolves an association.
    Unspec,
    /// `AF_INET`, `AF_INET6`.
    Inet(SocketAddr),
    /// `AF_PACKET`.
    Link(LinkAddr),
    /// `AF_NETLINK`.
    Netlink {
        /// Port.
        pid: u32,
        /// Groups, one bit each.
        groups: u32,
    },
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes.get(at..at + N).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)
}

impl SockAddr {
    /// Reads a `struct sockaddr`.
    ///
    /// # Errors
    /// `EINVAL` if it is too short, `EAFNOSUPPORT` if the family is not served.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        match u16::from_ne_bytes(array(bytes, 0)?) {
            AF_UNSPEC => Ok(Self::Unspec),
            AF_INET => {
                if bytes.len() < 16 {
                    return Err(Errno::EINVAL);
                }
                let port = u16::from_be_bytes(array(bytes, 2)?);
                let ip = Ipv4Addr::from(array::<4>(bytes, 4)?);
                Ok(Self::Inet(SocketAddr::V4(SocketAddrV4::new(ip, port))))
            }
            AF_INET6 => {
                // Linux takes the 24 bytes of RFC 2133, which had no scope.
                let port = u16::from_be_bytes(array(bytes, 2)?);
                let flowinfo = u32::from_be_bytes(array(bytes, 4)?);
                let ip = Ipv6Addr::from(array::<16>(bytes, 8)?);
                let scope = array(bytes, 24).map(u32::from_ne_bytes).unwrap_or(0);
                Ok(Self::Inet(SocketAddr::V6(SocketAddrV6::new(ip, port, flowinfo, scope))))
            }
            AF_PACKET => {
                if bytes.len() < 12 {
                    return Err(Errno::EINVAL);
                }
                let mut addr = [0; 8];
                let tail = bytes.get(12..20.min(bytes.len())).unwrap_or_default();
                addr[..tail.len()].copy_from_slice(tail);
                Ok(Self::Link(LinkAddr {
                    protocol: u16::from_be_bytes(array(bytes, 2)?),
                    ifindex: u32::from_ne_bytes(array(bytes, 4)?),
                    hatype: u16::from_ne_bytes(array(bytes, 8)?),
                    pkttype: bytes[10],
                    halen: bytes[11],
                    addr,
                }))
            }
            AF_NETLINK => Ok(Self::Netlink {
                pid: u32::from_ne_bytes(array(bytes, 4)?),
                groups: u32::from_ne_bytes(array(bytes, 8)?),
            }),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// Writes it as a `struct sockaddr`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut b = Vec::with_capacity(28);
        match self {
            Self::Unspec => b.extend(AF_UNSPEC.to_ne_bytes()),
            Self::Inet(SocketAddr::V4(a)) => {
                b.extend(AF_INET.to_ne_bytes());
                b.extend(a.port().to_be_bytes());
                b.extend(a.ip().octets());
                b.extend([0; 8]);
            }
            Self::Inet(SocketAddr::V6(a)) => {
                b.extend(AF_INET6.to_ne_bytes());
                b.extend(a.port().to_be_bytes());
                b.extend(a.flowinfo().to_be_bytes());
                b.extend(a.ip().octets());
                b.extend(a.scope_id().to_ne_bytes());
            }
            Self::Link(a) => {
                b.extend(AF_PACKET.to_ne_bytes());
                b.extend(a.protocol.to_be_bytes());
                b.extend(a.ifindex.to_ne_bytes());
                b.extend(a.hatype.to_ne_bytes());
                b.extend([a.pkttype, a.halen]);
                b.extend(a.addr);
            }
            Self::Netlink { pid, groups } => {
                b.extend(AF_NETLINK.to_ne_bytes());
                b.extend([0; 2]);
                b.extend(pid.to_ne_bytes());
                b.extend(groups.to_ne_bytes());
            }
        }
        b
    }

    /// The internet address, if it is one.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(a) => Some(*a),
            _ => None,
        }
    }

    /// An internet address as a socket of `family` shows it: IPv4 on an `AF_INET6` socket is mapped (RFC 3493,
    /// section 3.7).
    pub fn for_family(family: u16, ip: IpAddr, port: u16, scope: u32) -> Self {
        match (family, ip) {
            (AF_INET6, IpAddr::V4(v4)) => {
                Self::Inet(SocketAddr::V6(SocketAddrV6::new(v4.to_ipv6_mapped(), port, 0, 0)))
            }
            (_, IpAddr::V6(v6)) => Self::Inet(SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope))),
            (_, IpAddr::V4(v4)) => Self::Inet(SocketAddr::V4(SocketAddrV4::new(v4, port))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for a in [
            SockAddr::Inet("10.0.0.1:80".parse().unwrap()),
            SockAddr::Inet(SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 443, 7, 2))),
            SockAddr::Netlink { pid: 9, groups: 1 },
            SockAddr::Link(LinkAddr { protocol: 0x806, ifindex: 2, hatype: 1, pkttype: 0, halen: 6, addr: [1; 8] }),
        ] {
            assert_eq!(SockAddr::parse(&a.to_bytes()), Ok(a));
        }
    }

    #[test]
    fn short_ones_are_refused() {
        assert_eq!(SockAddr::parse(&[2]), Err(Errno::EINVAL));
        assert_eq!(SockAddr::parse(&[2, 0, 0, 80, 1]), Err(Errno::EINVAL));
        assert_eq!(SockAddr::parse(&[77, 0, 0, 80, 1]), Err(Errno::EAFNOSUPPORT));
    }
}
