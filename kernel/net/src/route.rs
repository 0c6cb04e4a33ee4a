//! Routes and policy rules, for both IP versions in the same code (`man 8 ip-route`, `man 8 ip-rule`).
//!
//! * [`Fib`]: the tables and the rules, and the look-up through both.
//! * `table`: one table, longest prefix first.
//! * `rule`: which table is asked for which packet.

mod fib;
mod rule;
mod table;
#[cfg(test)]
mod tests;

pub use fib::{Fib, Found, Interfaces, Key};
pub use rule::{Rule, RuleAction};
pub use table::{AddMode, Selector, Table};

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use lkl_ops::Instant;

/// Table `local`: addresses of this host, kept by the kernel.
pub const TABLE_LOCAL: u32 = 255;
/// Table `main`.
pub const TABLE_MAIN: u32 = 254;
/// Table `default`.
pub const TABLE_DEFAULT: u32 = 253;

/// An address with a prefix length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Prefix {
    /// The address; bits behind the prefix are zero if [`Prefix::network`] made it.
    pub addr: IpAddr,
    /// Length in bits.
    pub len: u8,
}

impl Prefix {
    /// The prefix that `addr` lies in; `None` if `len` is too long for the family.
    pub fn network(addr: IpAddr, len: u8) -> Option<Self> {
        (len <= bits(addr)).then(|| Self { addr: mask(addr, len), len })
    }

    /// A single address.
    pub fn host(addr: IpAddr) -> Self {
        Self { addr, len: bits(addr) }
    }

    /// Everything of the family of `like`.
    pub fn default_of(like: IpAddr) -> Self {
        Self { addr: mask(like, 0), len: 0 }
    }

    /// Does `addr` lie in it?
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4() && mask(addr, self.len) == mask(self.addr, self.len)
    }
}

/// Bits of an address of the family of `addr`.
pub fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() {
        32
    } else {
        128
    }
}

/// `addr` with all bits behind the first `len` zero.
pub fn mask(addr: IpAddr, len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(a) => {
            let m = u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(a) & m))
        }
        IpAddr::V6(a) => {
            let m = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(a) & m))
        }
    }
}

/// The last address of a prefix: IPv4's directed broadcast.
pub fn broadcast(addr: Ipv4Addr, len: u8) -> Ipv4Addr {
    let host = u32::MAX.checked_shr(u32::from(len.min(32))).unwrap_or(0);
    Ipv4Addr::from(u32::from(addr) | host)
}

/// What becomes of packets that match (`RTN_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Goes to a next hop.
    Unicast = 1,
    /// Is for this host.
    Local = 2,
    /// Goes to all on the link.
    Broadcast = 3,
    /// Is for this host, one of several that have the address.
    Anycast = 4,
    /// Goes to a group.
    Multicast = 5,
    /// Is dropped silently.
    Blackhole = 6,
    /// Is answered with "unreachable".
    Unreachable = 7,
    /// Is answered with "prohibited".
    Prohibit = 8,
    /// Ends the look-up in this table.
    Throw = 9,
}

impl Kind {
    /// The kind of this number.
    pub fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            9 => Self::Throw,
            _ => return None,
        })
    }

    /// Does a route of this kind need a next hop?
    pub const fn has_nexthop(self) -> bool {
        (self as u8) < Self::Blackhole as u8
    }
}

/// Scope: everywhere.
pub const SCOPE_UNIVERSE: u8 = 0;
/// Scope: on this link.
pub const SCOPE_LINK: u8 = 253;
/// Scope: this host.
pub const SCOPE_HOST: u8 = 254;
/// Scope: nowhere.
pub const SCOPE_NOWHERE: u8 = 255;

/// Where a route leads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NextHop {
    /// Interface.
    pub ifindex: u32,
    /// The router, if it is not the destination itself.
    pub gateway: Option<IpAddr>,
    /// Share of the flows, at least 1.
    pub weight: u16,
    /// The gateway is on the link whatever the addresses say (`RTNH_F_ONLINK`).
    pub onlink: bool,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Destinations.
    pub dst: Prefix,
    /// Table.
    pub table: u32,
    /// What becomes of packets.
    pub kind: Kind,
    /// Type of service that must match, 0 for any.
    pub tos: u8,
    /// How far away destinations are.
    pub scope: u8,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// Metric; less is better.
    pub priority: u32,
    /// Source address to prefer.
    pub prefsrc: Option<IpAddr>,
    /// One or more; none for kinds without.
    pub nexthops: Vec<NextHop>,
    /// `RTAX_*` metrics, number and value.
    pub metrics: Vec<(u16, u32)>,
    /// IPv6 router preference (RFC 4191), as netlink has it.
    pub pref: u8,
    /// When it goes away.
    pub expires: Option<Instant>,
}

impl Route {
    /// A route to `dst` over `ifindex` in the main table, with Linux's defaults.
    pub fn new(dst: Prefix, ifindex: u32, gateway: Option<IpAddr>) -> Self {
        Self {
            dst,
            table: TABLE_MAIN,
            kind: Kind::Unicast,
            tos: 0,
            scope: if gateway.is_none() && dst.addr.is_ipv4() { SCOPE_LINK } else { SCOPE_UNIVERSE },
            protocol: 3,
            priority: if dst.addr.is_ipv6() { 1024 } else { 0 },
            prefsrc: None,
            nexthops: vec![NextHop { ifindex, gateway, weight: 1, onlink: false }],
            metrics: Vec::new(),
            pref: 0,
            expires: None,
        }
    }

    /// The value of a metric (`RTAX_*`), if it is set.
    pub fn metric(&self, number: u16) -> Option<u32> {
        self.metrics.iter().find(|(n, _)| *n == number).map(|(_, v)| *v).filter(|v| *v > 0)
    }
}
