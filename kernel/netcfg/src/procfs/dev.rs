//! Files about links: `dev`, `if_inet6`, groups.

use super::Context;
use crate::source;
use core::fmt::Write;
use std::net::IpAddr;

pub(super) fn dev(cx: &Context) -> String {
    let mut out = String::from(concat!(
        "Inter-|   Receive                                                |  Transmit\n",
        " face |bytes    packets errs drop fifo frame compressed multicast|",
        "bytes    packets errs drop fifo colls carrier compressed\n",
    ));
    for l in cx.net.links() {
        let v = l.stats.values();
        let at = |i: usize| v.get(i).copied().unwrap_or(0);
        let frame: u64 = [10, 11, 12, 13].into_iter().map(at).sum();
        let carrier: u64 = [16, 17, 19, 20].into_iter().map(at).sum();
        let _ = writeln!(
            out,
            "{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}",
            l.name(),
            at(2),
            at(0),
            at(4),
            at(6) + at(15),
            at(14),
            frame,
            at(21),
            at(8),
            at(3),
            at(1),
            at(5),
            at(7),
            at(18),
            at(9),
            carrier,
            at(22),
        );
    }
    out
}

/// 32 hexadecimal digits.
pub(super) fn hex6(ip: IpAddr) -> String {
    match ip {
        IpAddr::V6(a) => format!("{:032x}", u128::from(a)),
        IpAddr::V4(a) => format!("{:032x}", u128::from(a.to_ipv6_mapped())),
    }
}

pub(super) fn if_inet6(cx: &Context) -> String {
    let mut out = String::new();
    for a in source::addrs(&cx.net).into_iter().filter(|a| a.local.is_ipv6()) {
        // RT_SCOPE_* as IPV6_ADDR_*.
        let scope = match a.scope {
            254 => 0x10,
            253 => 0x20,
            200 => 0x40,
            _ => 0,
        };
        let name = cx.net.link_by_index(a.ifindex).map(|l| l.name()).unwrap_or_default();
        let _ = writeln!(
            out,
            "{} {:02x} {:02x} {:02x} {:02x} {:>8}",
            hex6(a.local),
            a.ifindex,
            a.prefix_len,
            scope,
            a.flags as u8,
            name,
        );
    }
    out
}

const ALL_HOSTS4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 1));

/// The groups of a link of one version, with the number of their users.
fn groups(l: &lkl_inet::Link, v6: bool) -> Vec<(IpAddr, u32)> {
    let mut all: Vec<_> = l.groups().into_iter().filter(|(g, _)| g.is_ipv6() == v6).collect();
    let always: &[IpAddr] = if v6 {
        &[
            IpAddr::V6(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
            IpAddr::V6(std::net::Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1)),
        ]
    } else {
        &[ALL_HOSTS4]
    };
    for a in always {
        if !all.iter().any(|(g, _)| g == a) {
            all.push((*a, 1));
        }
    }
    all
}

pub(super) fn igmp(cx: &Context) -> String {
    let mut out = String::from("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
    for l in cx.net.links().iter().filter(|l| l.is_up()) {
        let list = groups(l, false);
        let _ = writeln!(out, "{}\t{:<10}: {:5} {:>7}", l.index, l.name(), list.len(), "V3");
        for (g, users) in list {
            if let IpAddr::V4(g) = g {
                let word = u32::from_ne_bytes(g.octets());
                let _ = writeln!(out, "\t\t\t\t{word:08X} {users:5} 0:00000000\t\t0");
            }
        }
    }
    out
}

pub(super) fn igmp6(cx: &Context) -> String {
    let mut out = String::new();
    for l in cx.net.links() {
        for (g, users) in groups(&l, true) {
            // MAF_NOREPORT and MAF_LOADED for the groups that are not reported.
            let flags = match g {
                IpAddr::V6(g) if g.octets()[1] & 0xf == 1 => 0x08,
                IpAddr::V6(g) if g.segments() == [0xff02, 0, 0, 0, 0, 0, 0, 1] => 0x0c,
                _ => 0x04,
            };
            let _ = writeln!(out, "{:<4} {:<15} {} {users:5} {flags:08X} 0", l.index, l.name(), hex6(g));
        }
    }
    out
}

pub(super) fn dev_mcast(cx: &Context) -> String {
    let mut out = String::new();
    for l in cx.net.links().iter().filter(|l| !l.is_loopback()) {
        for (g, users) in groups(l, false).into_iter().chain(groups(l, true)) {
            let mac = match g {
                IpAddr::V4(g) => {
                    let [_, b, c, d] = g.octets();
                    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
                }
                IpAddr::V6(g) => {
                    let [.., a, b, c, d] = g.octets();
                    [0x33, 0x33, a, b, c, d]
                }
            };
            let hex: String = mac.iter().map(|b| format!("{b:02x}")).collect();
            let _ = writeln!(out, "{:<4} {:<15} {users:<5} {:<5} {hex}", l.index, l.name(), 0);
        }
    }
    out
}

/// One CPU's line, of counters that are not kept.
pub(super) fn softnet_stat(_: &Context) -> String {
    let mut out = vec!["00000000"; 15].join(" ");
    out.push('\n');
    out
}
