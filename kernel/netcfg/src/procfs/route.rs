//! Files about routes and neighbours.

use super::dev::hex6;
use super::Context;
use crate::source;
use crate::view::RouteView;
use core::fmt::Write;
use lkl_abi::if_::{
    ATF_COM, ATF_PERM, RTF_EXPIRES, RTF_GATEWAY, RTF_HOST, RTF_LOCAL, RTF_NONEXTHOP, RTF_REJECT, RTF_UP,
};
use lkl_abi::rtnetlink::{
    NUD_NOARP, NUD_PERMANENT, RTAX_ADVMSS, RTAX_RTT, RTAX_WINDOW, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL,
    RTN_MULTICAST, RTN_PROHIBIT, RTN_THROW, RTN_UNREACHABLE, RT_TABLE_MAIN,
};
use lkl_abi::socket::{AF_INET, AF_INET6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bytes of an address in the order of the network, as a number of the host.
fn word(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(a) => u32::from_ne_bytes(a.octets()),
        IpAddr::V6(_) => 0,
    }
}

fn name(cx: &Context, index: u32) -> Option<String> {
    cx.net.link_by_index(index).ok().map(|l| l.name())
}

fn rejects(kind: u8) -> bool {
    matches!(kind, RTN_BLACKHOLE | RTN_UNREACHABLE | RTN_PROHIBIT | RTN_THROW)
}

pub(super) fn route(cx: &Context) -> String {
    let mut out = String::new();
    let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    let _ = writeln!(out, "{head:<127}");
    for r in source::routes(&cx.net) {
        if r.family != AF_INET || r.table != RT_TABLE_MAIN || matches!(r.kind, RTN_BROADCAST | RTN_MULTICAST) {
            continue;
        }
        let hop = r.hops.first();
        let gateway = hop.and_then(|h| h.gateway);
        let mut flags = RTF_UP;
        if matches!(r.kind, RTN_UNREACHABLE | RTN_PROHIBIT) {
            flags = RTF_UP | RTF_REJECT;
        }
        if gateway.is_some() {
            flags |= RTF_GATEWAY;
        }
        if r.dst_len == 32 {
            flags |= RTF_HOST;
        }
        let mask = source::mask(Ipv4Addr::BROADCAST.into(), r.dst_len);
        let metric = |n: u16| r.metrics.iter().find(|m| m.0 == n).map_or(0, |m| m.1);
        let mtu = match metric(RTAX_ADVMSS) {
            0 => 0,
            mss => mss + 40,
        };
        let line = format!(
            "{}\t{:08X}\t{:08X}\t{:04X}\t0\t0\t{}\t{:08X}\t{}\t{}\t{}",
            hop.and_then(|h| name(cx, h.oif)).unwrap_or_else(|| "*".to_owned()),
            word(r.dst),
            gateway.map_or(0, word),
            flags,
            r.priority,
            word(mask),
            mtu,
            metric(RTAX_WINDOW),
            metric(RTAX_RTT) >> 3,
        );
        let _ = writeln!(out, "{line:<127}");
    }
    out
}

pub(super) fn ipv6_route(cx: &Context) -> String {
    let mut out = String::new();
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let mut line = |dst: IpAddr, len: u8, gateway: IpAddr, metric: u32, flags: u32, dev: &str| {
        let (dst, none, gateway) = (hex6(dst), hex6(any), hex6(gateway));
        let _ =
            writeln!(out, "{dst} {len:02x} {none} 00 {gateway} {metric:08x} 00000001 00000000 {flags:08x} {dev:>8}");
    };
    let show = |r: &RouteView| {
        let hop = r.hops.first();
        let gateway = hop.and_then(|h| h.gateway);
        let mut flags = RTF_UP;
        if gateway.is_some() {
            flags |= RTF_GATEWAY;
        }
        if r.kind == RTN_LOCAL {
            flags |= RTF_LOCAL | RTF_NONEXTHOP;
        }
        if rejects(r.kind) {
            flags = RTF_REJECT | RTF_NONEXTHOP | RTF_UP;
        }
        if r.expires > 0 {
            flags |= RTF_EXPIRES;
        }
        let dev = hop.and_then(|h| name(cx, h.oif)).unwrap_or_else(|| "lo".to_owned());
        (gateway.unwrap_or(any), flags, dev)
    };
    let (local, others): (Vec<_>, Vec<_>) = source::routes(&cx.net)
        .into_iter()
        .filter(|r| r.family == AF_INET6)
        .partition(|r| r.table == lkl_net::route::TABLE_LOCAL);
    for table in [others, local] {
        for r in table {
            let (gateway, flags, dev) = show(&r);
            line(r.dst, r.dst_len, gateway, r.priority, flags, &dev);
        }
        // What Linux answers with when nothing else of a table matches.
        line(any, 0, any, u32::MAX, RTF_NONEXTHOP | RTF_REJECT, "lo");
    }
    out
}

pub(super) fn arp(cx: &Context) -> String {
    let mut out = String::from("IP address       HW type     Flags       HW address            Mask     Device\n");
    for n in source::neighs(&cx.net) {
        if n.ip.is_ipv6() || n.state & NUD_NOARP != 0 {
            continue;
        }
        let mut flags = 0;
        if n.mac.is_some() {
            flags |= ATF_COM;
        }
        if n.state & NUD_PERMANENT != 0 {
            flags |= ATF_PERM;
        }
        let mac: Vec<String> = n.mac.unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect();
        let _ = writeln!(
            out,
            "{:<16} 0x{:<10x}0x{:<10x}{:<17}     *        {}",
            n.ip.to_string(),
            1,
            flags,
            mac.join(":"),
            name(cx, n.ifindex).unwrap_or_default(),
        );
    }
    out
}
