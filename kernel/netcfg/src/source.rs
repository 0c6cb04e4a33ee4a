//! Takes what is shown from `lkl-inet`, and hands it what is to be changed: the only module that knows both forms.

pub(crate) mod conf;
pub(crate) mod sockets;

use crate::view::{AddrView, HopView, LinkView, NeighView, RouteView, RuleView, Stats};
use core::time::Duration;
use lkl_abi::if_::{IFF_ALLMULTI, IFF_DEBUG, IFF_MULTICAST, IFF_NOARP, IFF_PROMISC, IFF_UP};
use lkl_abi::rtnetlink::{IFA_F_PERMANENT, NTF_ROUTER, RTNH_F_ONLINK, RTN_LOCAL};
use lkl_abi::socket::{AF_INET, AF_INET6};
use lkl_abi::{Errno, Result};
use lkl_inet::{IfAddr, Link, NeighEntry, Net};
use lkl_net::route::{AddMode, Key, Kind, NextHop, Prefix, Route, Rule, RuleAction, Selector};
use lkl_ops::Instant;
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use lkl_net::route::mask;

/// For ever, of a lifetime in seconds.
const INFINITY: u32 = u32::MAX;

/// What a program may switch by itself.
const CHANGEABLE: u32 = IFF_UP | IFF_DEBUG | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST;

pub(crate) fn link(l: &Arc<Link>) -> LinkView {
    let v = l.stats.values();
    let at = |i: usize| v.get(i).copied().unwrap_or(0);
    let f = l.features();
    LinkView {
        index: l.index,
        name: l.name(),
        loopback: l.is_loopback(),
        mac: l.mac(),
        mtu: l.mtu(),
        txqlen: l.txqlen(),
        flags: l.flags(),
        stats: Stats {
            rx_packets: at(0),
            tx_packets: at(1),
            rx_bytes: at(2),
            tx_bytes: at(3),
            rx_errors: at(4),
            tx_errors: at(5),
            rx_dropped: at(6),
            tx_dropped: at(7),
            multicast: at(8),
        },
        driver: l.driver().unwrap_or(""),
        tx_checksum: f.tx_checksum,
        tso4: f.tso4,
        tso6: f.tso6,
        carrier_changes: u32::from(!l.is_loopback() && l.is_up()),
        promiscuity: l.promiscuity(),
        allmulti: l.allmulti(),
        link: l.clone(),
    }
}

/// All links, by index.
pub(crate) fn links(net: &Net) -> Vec<LinkView> {
    net.links().iter().map(link).collect()
}

pub(crate) fn link_by_index(net: &Net, index: u32) -> Option<LinkView> {
    net.link_by_index(index).ok().map(|l| link(&l))
}

pub(crate) fn link_by_name(net: &Net, name: &str) -> Option<LinkView> {
    net.link_by_name(name).ok().map(|l| link(&l))
}

pub(crate) fn set_mac(net: &Net, index: u32, mac: [u8; 6]) -> Result<()> {
    if mac[0] & 1 != 0 || mac == [0; 6] {
        return Err(Errno::EADDRNOTAVAIL);
    }
    net.link_set_address(index, mac)
}

pub(crate) fn set_mtu(net: &Net, index: u32, mtu: u32) -> Result<()> {
    net.link_set_mtu(index, mtu)
}

pub(crate) fn set_name(net: &Net, index: u32, name: &str) -> Result<()> {
    net.link_set_name(index, name)
}

pub(crate) fn set_txqlen(net: &Net, index: u32, n: u32) -> Result<()> {
    net.link_set_txqlen(index, n)
}

/// Sets those flags that a program may set.
pub(crate) fn set_flags(net: &Net, index: u32, flags: u32) -> Result<()> {
    net.link_set_flags(index, flags, CHANGEABLE)
}

/// Seconds from now until `at`, rounded up; for ever if there is no end.
fn seconds_left(net: &Net, at: Option<Instant>) -> u32 {
    match at {
        None => INFINITY,
        Some(at) => u32::try_from(at.since(net.now()).as_nanos().div_ceil(1_000_000_000)).unwrap_or(INFINITY - 1),
    }
}

/// Hundredths of a second.
fn hundredths(d: Duration) -> u32 {
    u32::try_from(d.as_millis() / 10).unwrap_or(u32::MAX)
}

/// `name` is the link's, which labels an address without a label of its own.
pub(crate) fn addr(net: &Net, a: &IfAddr, name: Option<String>) -> AddrView {
    let label = if a.label.is_empty() { name } else { Some(a.label.clone()) };
    AddrView {
        ifindex: a.ifindex,
        local: a.ip,
        peer: a.peer.unwrap_or(a.ip),
        prefix_len: a.prefix_len,
        broadcast: a.broadcast.map(IpAddr::V4),
        label: label.filter(|_| a.ip.is_ipv4()),
        scope: a.scope,
        flags: a.flags,
        proto: a.proto,
        metric: a.rt_priority,
        preferred: seconds_left(net, a.preferred_until),
        valid: seconds_left(net, a.valid_until),
        created: hundredths(a.created.since(Instant::ZERO)),
        updated: hundredths(a.updated.since(Instant::ZERO)),
    }
}

/// All addresses, by link.
pub(crate) fn addrs(net: &Net) -> Vec<AddrView> {
    let list = net.addrs();
    list.iter().map(|a| addr(net, a, net.link_by_index(a.ifindex).ok().map(|l| l.name()))).collect()
}

/// Adds an address; with `replace`, gives the one that is there the new lifetimes and flags.
pub(crate) fn addr_add(net: &Net, v: &AddrView, replace: bool) -> Result<()> {
    let until = |s: u32| (s != INFINITY).then(|| net.now() + Duration::from_secs(s.into()));
    let mut a = IfAddr::new(v.ifindex, v.local, v.prefix_len);
    a.peer = Some(v.peer).filter(|p| *p != v.local);
    a.broadcast = match v.broadcast {
        Some(IpAddr::V4(b)) => Some(b),
        _ => None,
    };
    a.label = v.label.clone().unwrap_or_default();
    if v.local.is_ipv4() {
        a.scope = v.scope;
    }
    a.flags = v.flags | if v.valid == INFINITY { IFA_F_PERMANENT } else { 0 };
    a.proto = v.proto;
    a.rt_priority = v.metric;
    a.valid_until = until(v.valid);
    a.preferred_until = until(v.preferred);
    net.addr_add(a, replace)
}

pub(crate) fn addr_del(net: &Net, v: &AddrView) -> Result<()> {
    net.addr_del(v.ifindex, v.local, Some(v.prefix_len))
}

fn family_of(ip: IpAddr) -> u16 {
    if ip.is_ipv4() {
        AF_INET
    } else {
        AF_INET6
    }
}

pub(crate) fn route(net: &Net, r: &Route) -> RouteView {
    RouteView {
        family: family_of(r.dst.addr),
        dst: r.dst.addr,
        dst_len: r.dst.len,
        src: None,
        tos: r.tos,
        table: r.table,
        protocol: r.protocol,
        scope: if r.dst.addr.is_ipv6() { 0 } else { r.scope },
        kind: r.kind as u8,
        flags: 0,
        priority: r.priority,
        prefsrc: r.prefsrc,
        metrics: r.metrics.clone(),
        hops: r
            .nexthops
            .iter()
            .map(|h| HopView {
                oif: h.ifindex,
                gateway: h.gateway,
                weight: h.weight,
                flags: if h.onlink { RTNH_F_ONLINK } else { 0 },
            })
            .collect(),
        expires: r.expires.map_or(0, |at| seconds_left(net, Some(at)).max(1)),
        pref: r.pref,
    }
}

/// All routes, IPv4 before IPv6, by table.
pub(crate) fn routes(net: &Net) -> Vec<RouteView> {
    let list = net.routes();
    let mut all: Vec<_> = list.iter().map(|r| route(net, r)).collect();
    // As the tries of Linux are walked: by table, then by address, the longer prefix first.
    all.sort_by(|a, b| {
        let order = |r: &RouteView| (r.family, r.family == AF_INET6 && r.table == 255, r.table, r.dst);
        order(a).cmp(&order(b)).then(b.dst_len.cmp(&a.dst_len).reverse()).then(a.priority.cmp(&b.priority))
    });
    all
}

/// How a route is added.
pub(crate) type RouteMode = AddMode;

/// What a deletion says of the route beside its table and destination.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RouteMatch {
    pub(crate) kind: Option<u8>,
    pub(crate) scope: Option<u8>,
    pub(crate) protocol: Option<u8>,
    pub(crate) priority: Option<u32>,
    pub(crate) prefsrc: Option<IpAddr>,
    pub(crate) oif: Option<u32>,
    pub(crate) gateway: Option<IpAddr>,
    /// The ways are named.
    pub(crate) has_hops: bool,
}

fn prefix(ip: IpAddr, len: u8) -> Result<Prefix> {
    Prefix::network(ip, len).ok_or(Errno::EINVAL)
}

pub(crate) fn route_add(net: &Net, v: &RouteView, mode: RouteMode) -> Result<()> {
    if v.src.is_some() {
        // Routes by source are chosen by rules here.
        return Err(Errno::EINVAL);
    }
    let expires = (v.expires > 0).then(|| net.now() + Duration::from_secs(v.expires.into()));
    net.route_add(
        Route {
            dst: prefix(v.dst, v.dst_len)?,
            table: v.table,
            kind: Kind::from_number(v.kind).ok_or(Errno::EINVAL)?,
            tos: v.tos,
            scope: v.scope,
            protocol: v.protocol,
            priority: v.priority,
            prefsrc: v.prefsrc,
            nexthops: v
                .hops
                .iter()
                .map(|h| NextHop {
                    ifindex: h.oif,
                    gateway: h.gateway.filter(|g| !g.is_unspecified()),
                    weight: h.weight,
                    onlink: h.flags & RTNH_F_ONLINK != 0,
                })
                .collect(),
            metrics: v.metrics.clone(),
            pref: v.pref,
            expires,
        },
        mode,
    )
}

pub(crate) fn route_del(net: &Net, v: &RouteView, which: &RouteMatch) -> Result<()> {
    let first = v.hops.first().filter(|_| which.has_hops);
    let selector = Selector {
        kind: which.kind.map(|k| Kind::from_number(k).ok_or(Errno::EINVAL)).transpose()?,
        tos: v.tos,
        scope: which.scope,
        protocol: which.protocol,
        priority: which.priority,
        prefsrc: which.prefsrc,
        ifindex: which.oif.or(first.map(|h| h.oif).filter(|o| *o != 0)),
        gateway: which.gateway.or(first.and_then(|h| h.gateway)),
    };
    net.route_del(v.table, prefix(v.dst, v.dst_len)?, &selector)
}

/// A question for the way to a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lookup {
    pub(crate) dst: IpAddr,
    pub(crate) src: Option<IpAddr>,
    pub(crate) oif: u32,
    pub(crate) iif: u32,
    pub(crate) tos: u8,
    pub(crate) mark: u32,
    pub(crate) uid: Option<u32>,
    pub(crate) proto: u8,
}

/// `RTCF_LOCAL`, of a route that leads to this host.
const RTCF_LOCAL: u32 = 0x8000_0000;

/// The way that a packet would take, and the route of the table that says so.
pub(crate) fn route_get(net: &Net, k: &Lookup) -> Result<(RouteView, Option<RouteView>)> {
    let key = Key {
        src: k.src,
        tos: k.tos,
        oif: k.oif,
        iif: k.iif,
        mark: k.mark,
        uid: k.uid.unwrap_or(0),
        protocol: k.proto,
        ..Key::to(k.dst)
    };
    let found = net.fib_lookup(&key)?;
    let entry = route(net, &found.route);
    let mut way = entry.clone();
    way.table = found.table;
    way.hops.truncate(1);
    if let Some(h) = found.nexthop {
        way.hops = vec![HopView { oif: h.ifindex, gateway: h.gateway, weight: 1, flags: 0 }];
    }
    if way.kind == RTN_LOCAL && k.dst.is_ipv4() && k.iif == 0 {
        way.hops = vec![HopView { oif: 1, gateway: None, weight: 1, flags: 0 }];
        way.flags |= RTCF_LOCAL;
        way.prefsrc = Some(k.dst).filter(|_| k.src.is_none());
    } else if k.iif == 0 && k.src.is_none() {
        let oif = way.hops.first().map_or(0, |h| h.oif);
        way.prefsrc = sockets::source_for(net, k.dst, oif, k.mark).or(way.prefsrc);
    }
    Ok((way, Some(entry)))
}

pub(crate) fn rule(r: &Rule) -> RuleView {
    RuleView {
        family: if r.v6 { AF_INET6 } else { AF_INET },
        priority: Some(r.priority),
        src: r.src.map(|p| (p.addr, p.len)),
        dst: r.dst.map(|p| (p.addr, p.len)),
        tos: r.tos,
        table: r.table,
        action: r.action as u8,
        goto: r.goto,
        invert: r.invert,
        iif: r.iif.clone(),
        oif: r.oif.clone(),
        mark: r.mark,
        uid_range: r.uid_range,
        ip_proto: Some(r.ip_proto).filter(|p| *p != 0),
        sport: None,
        dport: None,
        suppress_prefixlen: r.suppress_prefix_len.map(u32::from),
        protocol: r.protocol,
    }
}

/// The rules of both families, in order.
pub(crate) fn rules(net: &Net) -> Vec<RuleView> {
    net.rules().iter().map(|r| rule(r)).collect()
}

fn to_rule(v: &RuleView) -> Result<Rule> {
    if v.sport.is_some() || v.dport.is_some() {
        // Ports are not looked at when a route is chosen.
        return Err(Errno::EOPNOTSUPP);
    }
    let network = |p: Option<(IpAddr, u8)>| p.map(|(ip, len)| prefix(ip, len)).transpose();
    Ok(Rule {
        v6: v.family == AF_INET6,
        priority: v.priority.unwrap_or(0),
        action: RuleAction::from_number(v.action).ok_or(Errno::EINVAL)?,
        table: v.table,
        goto: v.goto,
        src: network(v.src)?,
        dst: network(v.dst)?,
        tos: v.tos,
        iif: v.iif.clone(),
        oif: v.oif.clone(),
        mark: v.mark,
        uid_range: v.uid_range,
        ip_proto: v.ip_proto.unwrap_or(0),
        invert: v.invert,
        suppress_prefix_len: v.suppress_prefixlen.and_then(|n| u8::try_from(n).ok()),
        protocol: v.protocol,
    })
}

pub(crate) fn rule_add(net: &Net, v: &RuleView, exclusive: bool) -> Result<()> {
    net.rule_add(to_rule(v)?, v.priority, exclusive)
}

pub(crate) fn rule_del(net: &Net, v: &RuleView) -> Result<()> {
    let gone = to_rule(v)?;
    net.rule_del(|r| *r == gone)
}

pub(crate) fn neigh(net: &Net, n: &NeighEntry) -> NeighView {
    let ago = |at: Instant| hundredths(net.now().since(at));
    NeighView {
        ifindex: n.ifindex,
        ip: n.ip,
        mac: n.mac,
        state: n.state,
        flags: if n.router { NTF_ROUTER } else { 0 },
        confirmed: ago(n.confirmed),
        used: ago(n.used),
        updated: ago(n.updated),
        probes: n.probes,
    }
}

pub(crate) fn neighs(net: &Net) -> Vec<NeighView> {
    net.neighs().iter().map(|n| neigh(net, n)).collect()
}

pub(crate) fn neigh_set(
    net: &Net,
    ifindex: u32,
    ip: IpAddr,
    mac: Option<[u8; 6]>,
    state: u16,
    flags: u8,
    mode: RouteMode,
) -> Result<()> {
    net.neigh_set(ifindex, ip, mac, state, flags & NTF_ROUTER != 0, mode)
}

/// One neighbour.
pub(crate) fn neigh_get(net: &Net, ifindex: u32, ip: IpAddr) -> Option<NeighView> {
    net.neigh_get(ifindex, ip).map(|n| neigh(net, &n))
}

pub(crate) fn neigh_del(net: &Net, ifindex: u32, ip: IpAddr) -> Result<()> {
    net.neigh_del(ifindex, ip)
}
