//! Neighbour discovery messages (RFC 4861), behind the first eight bytes that `icmp` reads.

use super::ethernet::Mac;
use super::{array, be16, be32};
use core::net::Ipv6Addr;
use core::time::Duration;

/// Neighbour advertisement: from a router.
pub const NA_ROUTER: u8 = 0x80;
/// Neighbour advertisement: answers a solicitation.
pub const NA_SOLICITED: u8 = 0x40;
/// Neighbour advertisement: replaces what is cached.
pub const NA_OVERRIDE: u8 = 0x20;

/// A prefix that a router advertises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// Its length in bits.
    pub len: u8,
    /// Addresses of it are on the link.
    pub on_link: bool,
    /// Addresses may be made of it.
    pub autonomous: bool,
    /// How long it is valid, in seconds; all ones for ever.
    pub valid_secs: u32,
    /// How long its addresses are preferred, in seconds; all ones for ever.
    pub preferred_secs: u32,
    /// The prefix.
    pub prefix: Ipv6Addr,
}

/// The options that are understood.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Source link-layer address.
    pub source: Option<Mac>,
    /// Target link-layer address.
    pub target: Option<Mac>,
    /// MTU of the link, in bytes.
    pub mtu: Option<u32>,
    /// Prefixes, at most as many as fit a sane message.
    pub prefixes: Vec<Prefix>,
}

impl Options {
    /// Reads options; `None` if one has no length (RFC 4861, section 6.1: the message is to be discarded).
    pub fn parse(mut b: &[u8]) -> Option<Self> {
        let mut o = Self::default();
        while !b.is_empty() {
            let len = usize::from(*b.get(1)?) * 8;
            let option = b.get(..len).filter(|_| len > 0)?;
            match option[0] {
                1 => o.source = array(option, 2),
                2 => o.target = array(option, 2),
                3 if len == 32 && o.prefixes.len() < 32 => o.prefixes.push(Prefix {
                    len: option[2].min(128),
                    on_link: option[3] & 0x80 != 0,
                    autonomous: option[3] & 0x40 != 0,
                    valid_secs: be32(option, 4)?,
                    preferred_secs: be32(option, 8)?,
                    prefix: Ipv6Addr::from(array::<16>(option, 16)?),
                }),
                5 => o.mtu = be32(option, 4),
                _ => {}
            }
            b = &b[len..];
        }
        Some(o)
    }
}

/// A link-layer address option: `kind` 1 for the source, 2 for the target.
pub fn link_option(kind: u8, mac: &Mac) -> [u8; 8] {
    [kind, 1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]]
}

/// The target of a solicitation or advertisement, and the options behind it. `message` begins at the ICMPv6 type.
pub fn target(message: &[u8]) -> Option<(Ipv6Addr, Options)> {
    let target = Ipv6Addr::from(array::<16>(message, 8)?);
    Some((target, Options::parse(message.get(24..)?)?))
}

/// A router advertisement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterAdvert {
    /// Hop limit to use, zero for unspecified.
    pub hop_limit: u8,
    /// Addresses come from DHCPv6.
    pub managed: bool,
    /// Other configuration comes from DHCPv6.
    pub other: bool,
    /// How long the router is a default router; zero if it is none.
    pub lifetime: Duration,
    /// How long a neighbour is reachable after a confirmation; zero for unspecified.
    pub reachable: Duration,
    /// Time between solicitations; zero for unspecified.
    pub retrans: Duration,
    /// Options.
    pub options: Options,
}

impl RouterAdvert {
    /// Reads one. `message` begins at the ICMPv6 type.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let flags = *message.get(5)?;
        Some(Self {
            hop_limit: *message.get(4)?,
            managed: flags & 0x80 != 0,
            other: flags & 0x40 != 0,
            lifetime: Duration::from_secs(u64::from(be16(message, 6)?)),
            reachable: Duration::from_millis(u64::from(be32(message, 8)?)),
            retrans: Duration::from_millis(u64::from(be32(message, 12)?)),
            options: Options::parse(message.get(16..)?)?,
        })
    }
}

/// The solicited-node group of an address (RFC 4291, section 2.7.1).
pub fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let o = addr.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, o[13], o[14], o[15]])
}
