//! Links, addresses, routes.

use super::kit::*;
use crate::{AddMode, FlowKey, IfAddr, NextHop, Prefix, RouteEntry, RouteSelector};
use core::time::Duration;
use lkl_abi::if_::{IFF_LOOPBACK, IFF_LOWER_UP, IFF_RUNNING, IFF_UP};
use lkl_abi::rtnetlink::{IFA_F_DADFAILED, IFA_F_PERMANENT, IFA_F_SECONDARY, IFA_F_TENTATIVE};
use lkl_abi::Errno;
use lkl_ops::sim::Wire;

const CREATE: AddMode = AddMode { create: true, exclusive: true, replace: false, append: false };

#[test]
fn lo_is_there() {
    let (_world, net) = alone();
    let lo = net.link_by_name("lo").unwrap();
    assert_eq!((lo.index, lo.mtu(), lo.flags()), (1, 65_536, IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP));
    let addrs: Vec<String> = net.addrs().iter().map(|a| format!("{}/{} {}", a.ip, a.prefix_len, a.flags)).collect();
    assert_eq!(addrs, [format!("127.0.0.1/8 {IFA_F_PERMANENT}"), format!("::1/128 {IFA_F_PERMANENT}")]);
    let r = net.route_output(&FlowKey::to(ip("127.9.9.9"))).unwrap();
    assert_eq!((r.oif(), r.src, r.is_local()), (1, ip("127.0.0.1"), true));
    let r = net.route_output(&FlowKey::to(ip("::1"))).unwrap();
    assert_eq!((r.oif(), r.src, r.is_local()), (1, ip("::1"), true));
    assert_eq!(net.route_output(&FlowKey::to(ip("8.8.8.8"))).unwrap_err(), Errno::ENETUNREACH);
    assert_eq!(net.route_output(&FlowKey::to(ip("2001::1"))).unwrap_err(), Errno::ENETUNREACH);
}

#[test]
fn packets_whose_answers_would_go_another_way() {
    let (world, [(ha, a), (hb, b)]) = two();
    for n in 0..2 {
        let link = world.link(&ha, &hb, &Wire::default());
        for (net, dev, last) in [(&a, link.a.clone(), 1), (&b, link.b.clone(), 2)] {
            let index = net.link_add(dev).unwrap();
            net.link_set_up(index, true).unwrap();
            net.addr_add(IfAddr::new(index, ip(&format!("10.0.{n}.{last}")), 24), false).unwrap();
        }
    }
    b.addr_add(IfAddr::new(1, ip("192.0.2.9"), 32), false).unwrap();
    let server = udp4(&a);
    server.bind("0.0.0.0:9").unwrap();
    // By the first link, from an address of its own, of the other one, and of nowhere.
    let heard = |of: &str, mode: &str| {
        a.sysctl_set(&format!("net/ipv4/conf/{of}/rp_filter"), mode).unwrap();
        let from = |src: &str| {
            let client = udp4(&b);
            client.bind(src).unwrap();
            client.send_to("10.0.0.1:9", b"x").unwrap();
            world.run_for(Duration::from_millis(10));
            server.recv().is_ok()
        };
        let all = ["10.0.0.2:0", "10.0.1.2:0", "192.0.2.9:0"].map(from);
        a.sysctl_set(&format!("net/ipv4/conf/{of}/rp_filter"), "0").unwrap();
        all
    };
    assert_eq!(heard("eth0", "0"), [true, true, true]);
    assert_eq!(heard("eth0", "2"), [true, true, false]);
    assert_eq!(heard("eth0", "1"), [true, false, false]);
    assert_eq!(heard("all", "1"), [true, false, false]);
    assert_eq!(heard("eth1", "1"), [true, true, true]);
    assert_eq!(a.snmp().tcp_ext.ip_reverse_path_filter.get(), 5);
}

#[test]
fn addresses_bring_routes_and_take_them_away() {
    let p = Pair::bare(&Wire::default());
    let net = &p.a;
    net.addr_add(IfAddr::new(2, ip("10.0.0.1"), 24), false).unwrap();
    assert_eq!(net.addr_add(IfAddr::new(2, ip("10.0.0.1"), 24), false), Err(Errno::EEXIST));
    assert_eq!(net.addr_add(IfAddr::new(9, ip("10.0.0.1"), 24), false), Err(Errno::ENODEV));
    // A link that is down has local routes only.
    assert_eq!(net.route_output(&FlowKey::to(ip("10.0.0.2"))).unwrap_err(), Errno::ENETUNREACH);
    net.link_set_up(2, true).unwrap();
    let r = net.route_output(&FlowKey::to(ip("10.0.0.2"))).unwrap();
    assert_eq!((r.oif(), r.src, r.gateway), (2, ip("10.0.0.1"), None));
    let via = |gw: &str| {
        let mut r = RouteEntry::new(Prefix::default_of(ip("0.0.0.0")), 0, Some(ip(gw)));
        r.nexthops = vec![NextHop { ifindex: 0, gateway: Some(ip(gw)), weight: 1, onlink: false }];
        r
    };
    assert_eq!(net.route_add(via("192.168.9.9"), CREATE), Err(Errno::ENETUNREACH));
    net.route_add(via("10.0.0.254"), CREATE).unwrap();
    assert_eq!(net.route_add(via("10.0.0.254"), CREATE), Err(Errno::EEXIST));
    let r = net.route_output(&FlowKey::to(ip("8.8.8.8"))).unwrap();
    assert_eq!((r.oif(), r.src, r.gateway), (2, ip("10.0.0.1"), Some(ip("10.0.0.254"))));
    net.addr_add(IfAddr::new(2, ip("10.0.0.7"), 24), false).unwrap();
    assert!(net.addr_find(2, ip("10.0.0.7")).unwrap().flags & IFA_F_SECONDARY != 0);
    assert!(net.is_local(ip("10.0.0.7")));
    let none = RouteSelector::default();
    assert_eq!(net.route_del(254, Prefix::host(ip("1.2.3.4")), &none), Err(Errno::ESRCH));
    net.addr_del(2, ip("10.0.0.1"), None).unwrap();
    assert!(!net.is_local(ip("10.0.0.7")), "secondaries go with their primary");
    assert_eq!(net.route_output(&FlowKey::to(ip("10.0.0.2"))).unwrap_err(), Errno::ENETUNREACH);
    assert_eq!(net.addr_del(2, ip("10.0.0.1"), None), Err(Errno::EADDRNOTAVAIL));
}

#[test]
fn a_link_that_goes_down_loses_its_routes() {
    let p = Pair::new();
    p.a.link_set_up(2, false).unwrap();
    assert_eq!(p.a.route_output(&FlowKey::to(ip("10.0.0.2"))).unwrap_err(), Errno::ENETUNREACH);
    assert!(p.a.is_local(ip("10.0.0.1")));
    assert!(!p.a.addrs_of(2).iter().any(|a| a.ip.is_ipv6()));
    p.a.link_set_up(2, true).unwrap();
    p.run(3000);
    assert_eq!(p.a.route_output(&FlowKey::to(ip("10.0.0.2"))).unwrap().oif(), 2);
    assert!(p.a.addrs_of(2).iter().any(|a| a.ip.is_ipv6() && !a.tentative()));
}

#[test]
fn duplicate_addresses_are_detected() {
    let p = Pair::new();
    p.b.addr_add(IfAddr::new(2, ip("fd00::1"), 64), false).unwrap();
    assert!(p.b.addr_find(2, ip("fd00::1")).unwrap().flags & IFA_F_TENTATIVE != 0);
    p.run(3000);
    assert!(p.b.addr_find(2, ip("fd00::1")).unwrap().flags & IFA_F_DADFAILED != 0);
    assert!(!p.b.is_local(ip("fd00::1")));
    assert_eq!(p.a.addr_find(2, ip("fd00::1")).unwrap().flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED), 0);
}

#[test]
fn sources_are_chosen_by_rfc_6724() {
    let p = Pair::new();
    let src = |dst: &str| p.a.route_output(&FlowKey { oif: 2, ..FlowKey::to(ip(dst)) }).unwrap().src;
    assert_eq!(src("fd00::2"), ip("fd00::1"));
    assert!(matches!(src("fe80::99"), std::net::IpAddr::V6(a) if crate::is_link_local(a)));
    assert!(matches!(src("ff02::1"), std::net::IpAddr::V6(a) if crate::is_link_local(a)));
    assert_eq!(src("ff0e::1"), ip("fd00::1"));
}

#[test]
fn settings_by_name() {
    let p = Pair::bare(&Wire::default());
    let net = &p.a;
    assert_eq!(net.sysctl_get("net/ipv4/ip_default_ttl").as_deref(), Some("64"));
    assert_eq!(net.sysctl_get("net/ipv4/ip_local_port_range").as_deref(), Some("32768\t60999"));
    net.sysctl_set("net/ipv4/ip_local_port_range", "40000 40001\n").unwrap();
    assert_eq!(net.sysctl().ip_local_port_range.all(), [40_000, 40_001]);
    assert_eq!(net.sysctl_set("net/ipv4/ip_local_port_range", "5 4"), Err(Errno::EINVAL));
    assert_eq!(net.sysctl_set("net/ipv4/nothing", "1"), Err(Errno::ENOENT));
    net.sysctl_set("net/ipv6/conf/eth0/accept_ra", "0").unwrap();
    assert_eq!(net.sysctl_get("net/ipv6/conf/eth0/accept_ra").as_deref(), Some("0"));
    for name in net.sysctl_names() {
        assert!(net.sysctl_get(&name).is_some(), "{name}");
    }
}

/// Settings of Linux 6.18 for TCP that are not here: what they are about is not.
const ABSENT: [&str; 27] = [
    "app_win",
    "autocorking",
    "backlog_ack_defer",
    "child_ehash_entries",
    "comp_sack_delay_ns",
    "comp_sack_nr",
    "comp_sack_slack_ns",
    "early_demux",
    "ehash_entries",
    "fastopen_blackhole_timeout_sec",
    "fwmark_accept",
    "l3mdev_accept",
    "limit_output_bytes",
    "migrate_req",
    "no_metrics_save",
    "no_ssthresh_metrics_save",
    "pingpong_thresh",
    "plb_cong_thresh",
    "plb_enabled",
    "plb_idle_rehash_rounds",
    "plb_rehash_rounds",
    "plb_suspend_rto_sec",
    "reflect_tos",
    "retrans_collapse",
    "shrink_window",
    "tso_win_divisor",
    "workaround_signed_windows",
];

#[test]
fn the_table_of_settings_is_current() {
    let p = Pair::bare(&Wire::default());
    let net = &p.a;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../SYSCTL.md");
    let mut want = "# Settings below /proc/sys/net\n\n\
        Made by `LKL_UPDATE=1 cargo test -p lkl-inet settings`, which asks the kernel. Each can be read and written at any time; what is wrong\n\
        is `EINVAL`. Those of links (`conf`, `neigh`) are not shown.\n\n| Setting | At first | Takes |\n|---|---|---|\n"
        .to_owned();
    for name in net.sysctl_names().iter().filter(|n| !n.contains("/conf/") && !n.contains("/neigh/")) {
        let value = net.sysctl_get(name).unwrap().replace('\t', " ");
        let takes = net.sysctl_expected(name).unwrap();
        want += &format!("| `{}` | {value} | {takes} |\n", name.replace('/', "."));
    }
    want += "\nOf Linux 6.18's settings for TCP these are not there (`ENOENT`), because what they are about is not:\n";
    for name in ABSENT {
        assert_eq!(net.sysctl_set(&format!("net/ipv4/tcp_{name}"), "1"), Err(Errno::ENOENT), "{name}");
    }
    want += &ABSENT.map(|n| format!("`tcp_{n}`")).join(", ");
    want += ".\n";
    if std::env::var_os("LKL_UPDATE").is_some() {
        std::fs::write(path, &want).unwrap();
    }
    let have = std::fs::read_to_string(path).unwrap_or_default();
    assert!(have == want, "{path} is out of date: run LKL_UPDATE=1 cargo test -p lkl-inet settings");
}
