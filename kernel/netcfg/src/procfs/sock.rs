//! Files about sockets.

use super::Context;
use crate::netlink::wire::u32_at;
use crate::source::sockets;
use crate::view::SockView;
use core::fmt::Write;
use lkl_abi::socket::{AF_INET, AF_INET6};
use std::net::IpAddr;

const HEAD4: &str = "sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const HEAD6: &str = concat!(
    "sl  local_address                         remote_address                        st tx_queue rx_queue tr ",
    "tm->when retrnsmt   uid  timeout inode",
);
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;

/// An address as words of the host's order, in hexadecimal.
fn addr(family: u16, ip: IpAddr) -> String {
    match (family, ip) {
        (AF_INET, IpAddr::V4(a)) => format!("{:08X}", u32::from_ne_bytes(a.octets())),
        (AF_INET, IpAddr::V6(_)) => "00000000".to_owned(),
        (_, ip) => {
            let v6 = match ip {
                IpAddr::V6(a) => a,
                IpAddr::V4(a) if a.is_unspecified() => std::net::Ipv6Addr::UNSPECIFIED,
                IpAddr::V4(a) => a.to_ipv6_mapped(),
            };
            let mut words = String::new();
            for c in v6.octets().chunks_exact(4) {
                let word = c.first_chunk().copied().map_or(0, u32::from_ne_bytes);
                let _ = write!(words, "{word:08X}");
            }
            words
        }
    }
}

/// What all kinds have in common, up to the inode.
fn common(index: usize, width: usize, s: &SockView) -> String {
    let expires = s.expires_ms.div_ceil(10);
    format!(
        "{index:>width$}: {}:{:04X} {}:{:04X} {:02X} {:08X}:{:08X} {:02X}:{expires:08X} {:08X} {:5} {:8} {}",
        addr(s.family, s.src),
        s.sport,
        addr(s.family, s.dst),
        s.dport,
        s.state,
        s.wqueue,
        s.rqueue,
        s.timer,
        s.retrans,
        s.uid,
        0,
        s.ino,
    )
}

fn tcp_line(index: usize, s: &SockView) -> String {
    // The backlog of a listening socket is told by sock_diag alone.
    let wqueue = if s.state == LISTEN { 0 } else { s.wqueue };
    let head = common(index, 4, &SockView { wqueue, ..s.clone() });
    if !s.full {
        let refs = if s.state == TIME_WAIT { 3 } else { 0 };
        return format!("{head} {refs} {:016x}", s.cookie);
    }
    let field = |at: usize| s.tcp_info.as_ref().and_then(|b| u32_at(b, at)).unwrap_or(0);
    // Of struct tcp_info: rto and ato in microseconds, cwnd, ssthresh.
    let (rto, ato, cwnd, ssthresh) = (field(8) / 10_000, field(12) / 10_000, field(80), field(76));
    let refs = if s.state == LISTEN { 1 } else { 2 };
    let (rto, cwnd) = if s.state == LISTEN { (100, 10) } else { (rto, cwnd) };
    let shown = match (s.state, ssthresh) {
        (LISTEN, _) => "0".to_owned(),
        (_, t) if t >= 0x7fff_ffff => "-1".to_owned(),
        (_, t) => t.to_string(),
    };
    format!("{head} {refs} {:016x} {rto} {ato} 0 {cwnd} {shown}", s.cookie)
}

fn of(family: u16, list: Vec<SockView>) -> impl Iterator<Item = (usize, SockView)> {
    list.into_iter().filter(move |s| s.family == family).enumerate()
}

pub(super) fn tcp(cx: &Context) -> String {
    let mut out = String::new();
    let head = format!("  {HEAD4}");
    let _ = writeln!(out, "{head:<149}");
    for (i, s) in of(AF_INET, sockets::tcp(&cx.net)) {
        let line = tcp_line(i, &s);
        let _ = writeln!(out, "{line:<149}");
    }
    out
}

pub(super) fn tcp6(cx: &Context) -> String {
    let mut out = format!("  {HEAD6}\n");
    for (i, s) in of(AF_INET6, sockets::tcp(&cx.net)) {
        let _ = writeln!(out, "{}", tcp_line(i, &s));
    }
    out
}

fn datagram_line(index: usize, width: usize, s: &SockView) -> String {
    let drops = s.meminfo[8];
    format!("{} 2 {:016x} {drops}", common(index, width, s), s.cookie)
}

fn datagrams4(list: Vec<SockView>, indent: &str, width: usize, pad: usize) -> String {
    let mut out = String::new();
    let head = format!("{indent}{HEAD4} ref pointer drops");
    let _ = writeln!(out, "{head:<pad$}");
    for (i, s) in of(AF_INET, list) {
        let line = datagram_line(i, width, &s);
        let _ = writeln!(out, "{line:<pad$}");
    }
    out
}

fn datagrams6(list: Vec<SockView>) -> String {
    let mut out = format!("  {HEAD6} ref pointer drops\n");
    for (i, s) in of(AF_INET6, list) {
        let _ = writeln!(out, "{}", datagram_line(i, 5, &s));
    }
    out
}

pub(super) fn udp(cx: &Context) -> String {
    datagrams4(sockets::udp(&cx.net), "   ", 5, 127)
}

pub(super) fn udp6(cx: &Context) -> String {
    datagrams6(sockets::udp(&cx.net))
}

pub(super) fn udplite(_: &Context) -> String {
    datagrams4(Vec::new(), "   ", 5, 127)
}

pub(super) fn udplite6(_: &Context) -> String {
    datagrams6(Vec::new())
}

pub(super) fn raw(cx: &Context) -> String {
    datagrams4(sockets::raw(&cx.net), "  ", 4, 0)
}

pub(super) fn raw6(cx: &Context) -> String {
    datagrams6(sockets::raw(&cx.net))
}

pub(super) fn icmp(cx: &Context) -> String {
    datagrams4(sockets::ping(&cx.net), "  ", 5, 127)
}

pub(super) fn icmp6(cx: &Context) -> String {
    datagrams6(sockets::ping(&cx.net))
}

pub(super) fn packet(cx: &Context) -> String {
    let mut out = String::from("sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
    for s in sockets::packet(&cx.net) {
        let _ = writeln!(
            out,
            "{:016x} {:<6} {:<4} {:04x}   {:<5} {} {:<6} {:<6} {:<6}",
            s.ino, 3, s.kind, s.protocol, s.ifindex, 1, s.meminfo[0], 0, s.ino
        );
    }
    out
}

pub(super) fn netlink(cx: &Context) -> String {
    let mut out =
        String::from("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n");
    let list = cx.hub.as_ref().map(|h| h.sockets()).unwrap_or_default();
    for s in list {
        let _ = writeln!(
            out,
            "{:016x} {:<3} {:<10} {:08x} {:<8} {:<8} {:<5} {:<8} {:<8} {:<8}",
            s.ino,
            s.protocol,
            s.portid,
            (s.groups >> 1) as u32,
            s.rmem,
            0,
            u8::from(s.dumping),
            2,
            s.drops,
            s.ino
        );
    }
    out
}

struct Counts {
    tcp: usize,
    time_wait: usize,
    udp: usize,
    raw: usize,
}

fn counts(cx: &Context, family: u16) -> Counts {
    let n = |list: &[SockView]| list.iter().filter(|s| s.family == family).count();
    let tcp = sockets::tcp(&cx.net);
    let time_wait = tcp.iter().filter(|s| s.family == family && s.state == TIME_WAIT).count();
    Counts { tcp: n(&tcp) - time_wait, time_wait, udp: n(&sockets::udp(&cx.net)), raw: n(&sockets::raw(&cx.net)) }
}

pub(super) fn sockstat(cx: &Context) -> String {
    let (c, c6) = (counts(cx, AF_INET), counts(cx, AF_INET6));
    let tw = c.time_wait + c6.time_wait;
    let netlink = cx.hub.as_ref().map_or(0, |h| h.sockets().len());
    let packet = sockets::packet(&cx.net).len();
    let used = c.tcp + c6.tcp + c.udp + c6.udp + c.raw + c6.raw + netlink + packet;
    let alloc = c.tcp + c6.tcp;
    let tcp = cx.net.tcp_table();
    format!(
        concat!(
            "sockets: used {}\n",
            "TCP: inuse {} orphan {} tw {} alloc {} mem {}\n",
            "UDP: inuse {} mem 0\n",
            "UDPLITE: inuse 0\n",
            "RAW: inuse {}\n",
            "FRAG: inuse 0 memory 0\n",
        ),
        used,
        c.tcp,
        tcp.orphans(),
        tw,
        alloc,
        tcp.memory_pages(),
        c.udp,
        c.raw
    )
}

pub(super) fn sockstat6(cx: &Context) -> String {
    let c = counts(cx, AF_INET6);
    format!(
        "TCP6: inuse {}\nUDP6: inuse {}\nUDPLITE6: inuse 0\nRAW6: inuse {}\nFRAG6: inuse 0 memory 0\n",
        c.tcp, c.udp, c.raw
    )
}

pub(super) fn protocols(cx: &Context) -> String {
    let mut out = String::from(concat!(
        "protocol  size sockets  memory press maxhdr  slab module     ",
        "cl co di ac io in de sh ss gs se re bi br ha uh gp em\n",
    ));
    let (c, c6) = (counts(cx, AF_INET), counts(cx, AF_INET6));
    let ping = sockets::ping(&cx.net);
    let pings = |f| ping.iter().filter(|s| s.family == f).count();
    let netlink = cx.hub.as_ref().map_or(0, |h| h.sockets().len());
    let tcp = "y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y";
    let udp = "y  y  y  n  y  y  y  n  y  y  y  y  n  n  y  y  y  n";
    let raw = "y  y  y  n  y  y  y  n  y  y  y  y  y  y  y  y  n  n";
    let ping_can = "y  y  y  n  n  y  n  n  y  y  y  y  y  y  n  y  y  n";
    let none = "n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n";
    for (name, size, n, memory, press, header, calls) in [
        ("PACKET", 1600, sockets::packet(&cx.net).len(), -1, "NI", 0, none),
        ("PINGv6", 1344, pings(AF_INET6), -1, "NI", 0, ping_can),
        ("RAWv6", 1344, c6.raw, -1, "NI", 0, raw),
        ("UDPv6", 1472, c6.udp, 0, "NI", 0, udp),
        ("TCPv6", 2432, c6.tcp, 0, "no", 192, tcp),
        ("PING", 1152, pings(AF_INET), -1, "NI", 0, ping_can),
        ("RAW", 1152, c.raw, -1, "NI", 0, raw),
        ("UDP", 1280, c.udp, 0, "NI", 0, udp),
        ("TCP", 2240, c.tcp, 0, "no", 192, tcp),
        ("NETLINK", 1088, netlink, -1, "NI", 0, none),
    ] {
        let _ = writeln!(
            out,
            "{name:<9} {size:4} {n:6}  {memory:6}   {press:<3} {header:6}   {:<4}  {:<10} {calls}",
            "yes", "kernel"
        );
    }
    out
}
