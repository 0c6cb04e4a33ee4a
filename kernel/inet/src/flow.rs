//! Which way a packet goes: rules, tables, source address, MTU.

use crate::link::{Link, LOOPBACK_INDEX};
use crate::net::Config;
use crate::Net;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::rtnetlink::{IFA_F_DEPRECATED, IFA_F_SECONDARY};
use lkl_abi::{Errno, Result};
use lkl_net::route::{
    Interfaces, Key, Kind, NextHop, Prefix, Route as RouteEntry, SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE,
};
use lkl_ops::Instant;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

const RTAX_MTU: u16 = 2;
const RTAX_HOPLIMIT: u16 = 10;

/// What a look-up is about. Make it by [`FlowKey::to`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowKey {
    /// Destination.
    pub dst: IpAddr,
    /// Source, if it is chosen already.
    pub src: Option<IpAddr>,
    /// Interface to send from, 0 for any.
    pub oif: u32,
    /// Mark.
    pub mark: u32,
    /// Type of service or traffic class.
    pub tos: u8,
    /// IP protocol.
    pub proto: u8,
    /// User.
    pub uid: u32,
    /// Our port and the peer's, to choose among next hops of equal right.
    pub ports: (u16, u16),
    /// Only directly connected destinations (`SO_DONTROUTE`).
    pub dont_route: bool,
    /// The source need not be ours.
    pub any_src: bool,
    /// Prefer temporary, public, ... addresses (`IPV6_ADDR_PREFERENCES`); kept for completeness.
    pub preferences: u32,
}

impl FlowKey {
    /// A look-up by destination alone.
    pub const fn to(dst: IpAddr) -> Self {
        Self {
            dst,
            src: None,
            oif: 0,
            mark: 0,
            tos: 0,
            proto: 0,
            uid: 0,
            ports: (0, 0),
            dont_route: false,
            any_src: false,
            preferences: 0,
        }
    }
}

/// A way to a destination. Cheap to clone; may be kept as long as [`Net::route_valid`] says so.
#[derive(Clone, Debug)]
pub struct Route {
    /// Destination.
    pub dst: IpAddr,
    /// Source address.
    pub src: IpAddr,
    /// The link it leaves by (`lo` for addresses of this host).
    pub link: Arc<Link>,
    /// The router, if there is one.
    pub gateway: Option<IpAddr>,
    /// What the destination is: unicast, local, broadcast, multicast.
    pub kind: Kind,
    /// Path MTU in bytes, IP header included.
    pub mtu: u32,
    /// The path's MTU was learnt from ICMP and is no longer known then.
    pub mtu_expires: Option<Instant>,
    /// The entry of the table; `None` for ways that need none (bound to a link).
    pub entry: Option<Arc<RouteEntry>>,
    /// The table it stands in, 0 for none.
    pub table: u32,
    /// Hop limit of the route, if it has one.
    pub hop_limit: Option<u8>,
    generation: u64,
}

impl Route {
    /// Is it the same way, found in the same state of the tables?
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let entry = |r: &Self| r.entry.as_ref().map(Arc::as_ptr);
        let way = |r: &Self| (r.dst, r.src, Arc::as_ptr(&r.link), r.gateway, r.kind, r.table, r.hop_limit);
        way(self) == way(other)
            && (self.mtu, self.mtu_expires, self.generation) == (other.mtu, other.mtu_expires, other.generation)
            && entry(self) == entry(other)
    }

    /// Index of the link it leaves by.
    pub fn oif(&self) -> u32 {
        self.link.index
    }

    /// The neighbour that packets are given to.
    pub fn next_hop(&self) -> IpAddr {
        self.gateway.unwrap_or(self.dst)
    }

    /// Does it end on this host?
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local | Kind::Anycast)
    }

    /// A metric of the route (`RTAX_*`).
    pub fn metric(&self, number: u16) -> Option<u32> {
        self.entry.as_ref().and_then(|e| e.metric(number))
    }
}

struct Links<'a>(&'a Config);

impl Interfaces for Links<'_> {
    fn is_up(&self, ifindex: u32) -> bool {
        self.0.links.get(&ifindex).is_some_and(|l| l.is_up())
    }

    fn name(&self, ifindex: u32) -> Option<String> {
        self.0.links.get(&ifindex).map(|l| l.name())
    }
}

impl Net {
    /// Is a route found before still right?
    pub fn route_valid(&self, route: &Route) -> bool {
        route.generation == self.generation.load(Relaxed) && route.mtu_expires.is_none_or(|at| at > self.now())
    }

    /// Finds the way of `key`, and its source address if it has none.
    ///
    /// # Errors
    /// `ENETUNREACH`, `EHOSTUNREACH`, `EACCES`, `EINVAL`, `ENODEV`, and `EADDRNOTAVAIL` if there is no source address.
    pub fn route_output(&self, key: &FlowKey) -> Result<Route> {
        let generation = self.generation.load(Relaxed);
        let now = self.now();
        let mut dst = crate::ip::unmap(key.dst);
        let v6 = dst.is_ipv6();
        let src = key.src.map(crate::ip::unmap).filter(|s| !s.is_unspecified());
        if src.is_some_and(|s| s.is_ipv6() != v6) {
            return Err(Errno::ENETUNREACH);
        }
        if dst.is_unspecified() {
            dst = match src {
                Some(s) => s,
                None if v6 => Ipv6Addr::LOCALHOST.into(),
                None => Ipv4Addr::LOCALHOST.into(),
            };
        }
        let config = self.config.read();
        let mut oif = key.oif;
        if oif != 0 {
            let link = config.links.get(&oif).ok_or(Errno::ENODEV)?;
            if !link.is_up() {
                return Err(Errno::ENETUNREACH);
            }
        }
        let limited_broadcast = matches!(dst, IpAddr::V4(d) if d.is_broadcast());
        let to_many = dst.is_multicast() || limited_broadcast;
        if let (0, true, Some(src)) = (oif, to_many && !v6, src) {
            oif = config.addrs.iter().find(|(_, l)| l.iter().any(|a| a.ip == src)).map_or(0, |(i, _)| *i);
        }
        let direct = oif != 0 && to_many && !v6;
        let lookup = Key {
            dst,
            src,
            tos: key.tos & !3,
            oif,
            iif: 0,
            mark: key.mark,
            uid: key.uid,
            protocol: key.proto,
            flow_hash: self.flow_hash(src, dst, key.ports, key.proto),
        };
        let found =
            if direct { Err(Errno::ENETUNREACH) } else { self.fib.read().lookup(&lookup, &Links(&config), now) };
        let (mut kind, mut ifindex, mut gateway, entry, table) = match found {
            Ok(f) => {
                let hop =
                    f.nexthop.unwrap_or(NextHop { ifindex: LOOPBACK_INDEX, gateway: None, weight: 1, onlink: false });
                (f.route.kind, hop.ifindex, hop.gateway, Some(f.route), f.table)
            }
            // Bound to a link, an IPv4 destination without a route is taken to be on it.
            Err(Errno::ENETUNREACH) if oif != 0 && !v6 => (Kind::Unicast, oif, None, None, 0),
            Err(e) => return Err(e),
        };
        if dst.is_multicast() {
            (kind, gateway) = (Kind::Multicast, None);
        } else if limited_broadcast {
            (kind, gateway) = (Kind::Broadcast, None);
        }
        if key.dont_route && gateway.is_some() {
            return Err(Errno::ENETUNREACH);
        }
        let home = ifindex;
        if matches!(kind, Kind::Local | Kind::Anycast) {
            ifindex = LOOPBACK_INDEX;
        }
        let link = config.links.get(&ifindex).cloned().ok_or(Errno::ENODEV)?;
        if !link.is_up() {
            return Err(Errno::ENETUNREACH);
        }
        let src = match src {
            Some(s) => s,
            None => {
                let preferred = entry.as_ref().and_then(|e| e.prefsrc).filter(|_| !to_many || !v6);
                match (preferred, dst) {
                    (Some(p), _) => p,
                    (None, IpAddr::V4(d)) if kind == Kind::Local => d.into(),
                    (None, IpAddr::V4(d)) => {
                        let near = match gateway {
                            Some(IpAddr::V4(g)) => g,
                            _ => d,
                        };
                        let scope =
                            if kind == Kind::Unicast && gateway.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK };
                        select4(&config, link.index, near, scope).into()
                    }
                    (None, IpAddr::V6(d)) => {
                        let on = if kind == Kind::Local { home } else { link.index };
                        select6(&config, on, d)
                            .or(key.any_src.then_some(Ipv6Addr::UNSPECIFIED))
                            .ok_or(Errno::EADDRNOTAVAIL)?
                            .into()
                    }
                }
            }
        };
        let base = entry.as_ref().and_then(|e| e.metric(RTAX_MTU)).unwrap_or_else(|| link.ip_mtu(v6));
        let base = if v6 { base } else { base.min(65_535) };
        let known = self.pmtu.get(dst, now).filter(|(mtu, _)| *mtu < base);
        let hop_limit = entry.as_ref().and_then(|e| e.metric(RTAX_HOPLIMIT)).and_then(|h| u8::try_from(h).ok());
        Ok(Route {
            dst,
            src,
            link,
            gateway,
            kind,
            mtu: known.map_or(base, |(mtu, _)| mtu),
            mtu_expires: known.map(|(_, until)| until),
            entry,
            table,
            hop_limit,
            generation,
        })
    }

    /// What `ip route get` shows: the same look-up.
    ///
    /// # Errors
    /// Those of [`Net::route_output`].
    pub fn route_get(&self, key: &FlowKey) -> Result<Route> {
        self.route_output(key)
    }

    /// Notes the MTU of a path, which ICMP or a transport protocol found.
    pub fn pmtu_update(&self, dst: IpAddr, mtu: u32) {
        let least = if dst.is_ipv6() { 1280 } else { self.sysctl().min_pmtu.get().max(68) as u32 };
        let now = self.now();
        let life = core::time::Duration::from_secs(self.sysctl().mtu_expires.get().max(1) as u64);
        let mtu = mtu.max(least);
        if self.pmtu.get(dst, now).is_some_and(|(old, _)| old < mtu) {
            return;
        }
        self.pmtu.set(dst, mtu, now, now + life);
        self.routes_changed();
    }

    /// A hash of a flow that others cannot foresee.
    pub(crate) fn flow_hash(&self, src: Option<IpAddr>, dst: IpAddr, ports: (u16, u16), proto: u8) -> u32 {
        use core::hash::BuildHasher;
        self.flows.hash_one((src, dst, ports, proto)) as u32
    }

    /// The flow label of a flow, as Linux sets it on connected sockets (`net.ipv6.auto_flowlabels`).
    pub fn auto_flow_label(&self, src: IpAddr, dst: IpAddr, ports: (u16, u16), proto: u8) -> u32 {
        if self.sysctl().auto_flowlabels.on() {
            self.flow_hash(Some(src), dst, ports, proto) & 0xf_ffff
        } else {
            0
        }
    }
}

/// IPv4: the first primary address of the link that reaches as far as `scope`, best one in the network of `near`; else
/// one of another link.
fn select4(config: &Config, ifindex: u32, near: Ipv4Addr, scope: u8) -> Ipv4Addr {
    let mut first = None;
    for a in config.addrs.get(&ifindex).into_iter().flatten() {
        let IpAddr::V4(ip) = a.ip else { continue };
        if a.flags & IFA_F_SECONDARY != 0 || a.scope > scope {
            continue;
        }
        let net = Prefix { addr: a.peer.unwrap_or(a.ip), len: a.prefix_len };
        if net.contains(near.into()) {
            return ip;
        }
        first = first.or(Some(ip));
    }
    let others = config.addrs.values().flatten().filter(|a| a.scope != SCOPE_HOST && a.scope <= scope);
    let other = || {
        others.filter(|a| a.scope != SCOPE_LINK).find_map(|a| match a.ip {
            IpAddr::V4(ip) if a.flags & IFA_F_SECONDARY == 0 => Some(ip),
            _ => None,
        })
    };
    first.or_else(other).unwrap_or(Ipv4Addr::UNSPECIFIED)
}

/// The label of an address (RFC 6724, section 2.1).
fn label(a: Ipv6Addr) -> u8 {
    let s = a.segments();
    match s {
        [0, 0, 0, 0, 0, 0, 0, 1] => 0,
        [0, 0, 0, 0, 0, 0xffff, ..] => 4,
        [0, 0, 0, 0, 0, 0, ..] => 3,
        [0x2001, 0, ..] => 5,
        [0x2002, ..] => 2,
        [x, ..] if x & 0xfe00 == 0xfc00 => 13,
        [x, ..] if x & 0xffc0 == 0xfec0 => 11,
        [0x3ffe, ..] => 12,
        _ => 1,
    }
}

/// The scope of an address, as multicast scopes are numbered (RFC 6724, section 3.1).
fn scope6(a: Ipv6Addr) -> u8 {
    if a.is_multicast() {
        return a.octets()[1] & 0xf;
    }
    if a.is_loopback() || crate::ip::is_link_local(a) {
        2
    } else if a.segments()[0] & 0xffc0 == 0xfec0 {
        5
    } else {
        14
    }
}

/// IPv6 source address selection (RFC 6724, section 5).
fn select6(config: &Config, ifindex: u32, dst: Ipv6Addr) -> Option<Ipv6Addr> {
    let dst_scope = scope6(dst);
    let link_only = dst.is_multicast() || crate::ip::is_link_local(dst);
    let candidates = config.addrs.values().flatten().filter_map(|a| match a.ip {
        IpAddr::V6(ip) if !a.tentative() && (!link_only || a.ifindex == ifindex) => Some((a, ip)),
        _ => None,
    });
    let rank = |(a, ip): &(&crate::IfAddr, Ipv6Addr)| {
        let scope = scope6(*ip);
        // The smallest scope that is large enough, else the largest.
        let by_scope = if scope >= dst_scope { 256 - i32::from(scope) } else { i32::from(scope) - 256 };
        let same = (u128::from(*ip) ^ u128::from(dst)).leading_zeros().min(u32::from(a.prefix_len));
        (*ip == dst, by_scope, a.flags & IFA_F_DEPRECATED == 0, a.ifindex == ifindex, label(*ip) == label(dst), same)
    };
    // Of equals the first wins.
    let mut best: Option<((&crate::IfAddr, Ipv6Addr), _)> = None;
    for c in candidates {
        let r = rank(&c);
        if best.as_ref().is_none_or(|(_, b)| r > *b) {
            best = Some((c, r));
        }
    }
    best.map(|((_, ip), _)| ip)
}
