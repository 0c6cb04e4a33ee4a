//! Files of counters: `snmp`, `netstat`, `snmp6`.

use super::Context;
use core::fmt::Write;

/// Two lines: the names, and the values below them.
fn pair(out: &mut String, prefix: &str, values: &[(&str, i64)]) {
    let _ = write!(out, "{prefix}:");
    for (name, _) in values {
        let _ = write!(out, " {name}");
    }
    let _ = write!(out, "\n{prefix}:");
    for (_, value) in values {
        let _ = write!(out, " {value}");
    }
    out.push('\n');
}

pub(super) fn snmp(cx: &Context) -> String {
    let mut out = String::new();
    let s = cx.net.snmp();
    let sysctl = cx.net.sysctl();
    // Two of them are settings.
    let mut ip = s.ip.values();
    for (name, value) in &mut ip {
        match *name {
            "Forwarding" => *value = if sysctl.ipv4_all.forwarding.on() { 1 } else { 2 },
            "DefaultTTL" => *value = sysctl.ip_default_ttl.get(),
            _ => {}
        }
    }
    pair(&mut out, "Ip", &ip);
    pair(&mut out, "Icmp", &s.icmp.values());
    let (received, sent) = (s.icmp_msg.received(), s.icmp_msg.sent());
    let named: Vec<(String, i64)> = received
        .iter()
        .map(|(t, n)| (format!("InType{t}"), *n))
        .chain(sent.iter().map(|(t, n)| (format!("OutType{t}"), *n)))
        .collect();
    if !named.is_empty() {
        let named: Vec<(&str, i64)> = named.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        pair(&mut out, "IcmpMsg", &named);
    }
    // The first four of TCP are facts, not counters.
    let mut tcp = s.tcp.values();
    for (name, value) in &mut tcp {
        match *name {
            "RtoAlgorithm" => *value = 1,
            "RtoMin" => *value = 200,
            "RtoMax" => *value = 120_000,
            "MaxConn" => *value = -1,
            _ => {}
        }
    }
    pair(&mut out, "Tcp", &tcp);
    pair(&mut out, "Udp", &s.udp.values());
    let lite: Vec<(&str, i64)> = s.udp.values().into_iter().map(|(n, _)| (n, 0)).collect();
    pair(&mut out, "UdpLite", &lite);
    out
}

pub(super) fn netstat(cx: &Context) -> String {
    let mut out = String::new();
    pair(&mut out, "TcpExt", &cx.net.snmp().tcp_ext.values());
    pair(&mut out, "IpExt", &cx.net.snmp().ip_ext.values());
    out
}

pub(super) fn snmp6(cx: &Context) -> String {
    let mut out = String::new();
    let s = cx.net.snmp();
    let mut line = |name: &str, value: i64| {
        let _ = writeln!(out, "{name:<32}\t{value}");
    };
    for (n, v) in s.ip6.values() {
        line(&format!("Ip6{n}"), v);
    }
    for (n, v) in s.icmp6.values() {
        line(&format!("Icmp6{n}"), v);
    }
    for (t, v) in s.icmp6_msg.received() {
        line(&format!("Icmp6InType{t}"), v);
    }
    for (t, v) in s.icmp6_msg.sent() {
        line(&format!("Icmp6OutType{t}"), v);
    }
    for (n, v) in s.udp6.values() {
        line(&format!("Udp6{n}"), v);
    }
    for (n, _) in s.udp6.values().iter().filter(|(n, _)| *n != "IgnoredMulti") {
        line(&format!("UdpLite6{n}"), 0);
    }
    out
}
