use super::{kit, request, Client, Kit, Message};
use crate::netlink::wire::{u32_at, Attrs};
use lkl_abi::if_link::*;
use lkl_abi::netlink::*;
use lkl_abi::rtnetlink::*;
use lkl_abi::socket::{AF_INET, AF_INET6};
use lkl_abi::Errno;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;

/// What a foreign reader makes of a message.
fn foreign(m: &Message) -> RouteNetlinkMessage {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&m.bytes()).unwrap().payload {
        NetlinkPayload::InnerMessage(m) => m,
        other => panic!("{other:?}"),
    }
}

fn route_client(k: &Kit) -> Client {
    let c = k.client(NETLINK_ROUTE);
    c.set(NETLINK_EXT_ACK);
    c.set(NETLINK_GET_STRICT_CHK);
    c
}

/// The text of a failed request's acknowledgement.
fn text(m: &Message) -> Option<String> {
    let echoed = u32_at(&m.body, 4).unwrap() as usize;
    Attrs::parse(&m.body[4 + ((echoed + 3) & !3)..], 0).str(NLMSGERR_ATTR_MSG).unwrap().map(str::to_owned)
}

#[test]
fn links_are_dumped_as_ip_asks_for_them() {
    let k = kit();
    let c = route_client(&k);
    // What `ip link show` sends: AF_PACKET, and VF information wanted.
    let all = c.dump(RTM_GETLINK, |w| {
        w.fixed(&[&[17], &[0; 15]]);
        w.u32(IFLA_EXT_MASK, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS);
    });
    assert_eq!(all.len(), 2);
    let lo = Attrs::parse(&all[0].body[16..], 0);
    assert_eq!(lo.str(IFLA_IFNAME), Ok(Some("lo")));
    assert_eq!(lo.u32(IFLA_MTU), Ok(Some(65_536)));
    assert_eq!(lo.str(IFLA_QDISC), Ok(Some("noqueue")));
    assert!(!lo.has(IFLA_STATS64));
    // LOOPBACK, UP, RUNNING, LOWER_UP; the hardware type of a loopback.
    assert_eq!(u32_at(&all[0].body, 8), Some(0x1_0049));
    assert_eq!(all[0].body[2..4], 772u16.to_ne_bytes());
    for m in &all {
        assert!(matches!(foreign(m), RouteNetlinkMessage::NewLink(_)), "{m:?}");
    }
    let one = c.ask(&request(RTM_GETLINK, 0, |w| {
        w.fixed(&[&[0; 16]]);
        w.str(IFLA_IFNAME, "eth0");
    }));
    let eth = Attrs::parse(&one[0].body[16..], 0);
    assert_eq!(u32_at(&one[0].body, 4), Some(2));
    assert_eq!(eth.get(IFLA_STATS64).unwrap().data.len(), 200);
    assert_eq!(eth.nested(IFLA_LINKINFO).unwrap().str(IFLA_INFO_KIND), Ok(Some("tun")));
    assert!(matches!(foreign(&one[0]), RouteNetlinkMessage::NewLink(_)));
    assert_eq!(c.ack(&request(RTM_GETLINK, 0, |w| w.fixed(&[&[0; 4], &9u32.to_ne_bytes(), &[0; 8]]))), Errno::ENODEV.0);
}

#[test]
fn links_are_changed() {
    let k = kit();
    let c = route_client(&k);
    let link = |kind, flags: u32, mask: u32, f: &dyn Fn(&mut crate::netlink::wire::Writer)| {
        request(kind, NLM_F_ACK, |w| {
            w.fixed(&[&[0; 4], &2u32.to_ne_bytes(), &flags.to_ne_bytes(), &mask.to_ne_bytes()]);
            f(w);
        })
    };
    assert_eq!(c.ack(&link(RTM_NEWLINK, 0, 0, &|w| w.u32(IFLA_MTU, 1400))), 0);
    assert_eq!(c.ack(&link(RTM_NEWLINK, 0, 0, &|w| w.u32(IFLA_TXQLEN, 77))), 0);
    assert_eq!(c.ack(&link(RTM_NEWLINK, 0, 1, &|_| {})), 0);
    assert_eq!(c.ack(&link(RTM_NEWLINK, 0, 0, &|w| w.str(IFLA_IFNAME, "wan"))), 0);
    assert_eq!(c.ack(&link(RTM_SETLINK, 0, 0, &|w| w.attr(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]))), 0);
    let l = k.net.link_by_name("wan").unwrap();
    assert_eq!((l.mtu(), l.txqlen(), l.is_up(), l.mac()[5]), (1400, 77, false, 9));
    let low = c.ask(&link(RTM_NEWLINK, 0, 0, &|w| w.u32(IFLA_MTU, 60)));
    assert_eq!((low[0].errno(), text(&low[0]).as_deref()), (22, Some("mtu less than device minimum")));
    assert_eq!(c.ack(&link(RTM_DELLINK, 0, 0, &|_| {})), Errno::EOPNOTSUPP.0);
    // How `ip` finds out whether it may use netlink.
    assert_eq!(c.ack(&request(RTM_NEWLINK, NLM_F_ACK, |w| w.fixed(&[&[0; 16]]))), Errno::ENODEV.0);
    let new = c.ask(&request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, |w| {
        w.fixed(&[&[0; 16]]);
        w.str(IFLA_IFNAME, "br0");
        w.nest(IFLA_LINKINFO, |w| w.str(IFLA_INFO_KIND, "bridge"));
    }));
    assert_eq!((new[0].errno(), text(&new[0]).as_deref()), (95, Some("Unknown device type")));
}

fn addr_request(kind: u16, flags: u16, ip: &str, len: u8) -> Vec<u8> {
    let ip: std::net::IpAddr = ip.parse().unwrap();
    let family = if ip.is_ipv4() { AF_INET } else { AF_INET6 };
    request(kind, NLM_F_ACK | flags, |w| {
        w.fixed(&[&[family as u8, len, 0, 0], &2u32.to_ne_bytes()]);
        w.ip(IFA_LOCAL, ip);
        w.ip(IFA_ADDRESS, ip);
    })
}

#[test]
fn addresses_come_and_go() {
    let k = kit();
    let c = route_client(&k);
    let all = c.dump(RTM_GETADDR, |w| w.fixed(&[&[0; 8]]));
    let seen: Vec<String> = all
        .iter()
        .map(|m| {
            let a = Attrs::parse(&m.body[8..], 0);
            a.ip(IFA_ADDRESS, m.body[0].into()).unwrap().unwrap().to_string()
        })
        .collect();
    assert_eq!(seen[..2], ["127.0.0.1", "10.0.0.1"]);
    assert!(seen.contains(&"::1".to_owned()) && seen.contains(&"fd00::1".to_owned()));
    for m in &all {
        assert!(matches!(foreign(m), RouteNetlinkMessage::NewAddress(_)));
    }
    let first = Attrs::parse(&all[0].body[8..], 0);
    assert_eq!(first.str(IFA_LABEL), Ok(Some("lo")));
    assert_eq!(first.get(IFA_CACHEINFO).unwrap().data[..8], [0xff; 8]);
    let new = NLM_F_CREATE | NLM_F_EXCL;
    assert_eq!(c.ack(&addr_request(RTM_NEWADDR, new, "10.0.1.1", 24)), 0);
    let again = c.ask(&addr_request(RTM_NEWADDR, new, "10.0.1.1", 24));
    assert_eq!((again[0].errno(), text(&again[0]).as_deref()), (17, Some("ipv4: Address already assigned")));
    assert_eq!(c.ack(&addr_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, "10.0.1.1", 24)), 0);
    assert_eq!(c.ack(&addr_request(RTM_NEWADDR, new, "fd01::1", 64)), 0);
    assert_eq!(c.ack(&addr_request(RTM_NEWADDR, new, "fd01::2", 129)), 22);
    assert_eq!(c.dump(RTM_GETADDR, |w| w.fixed(&[&[2, 0, 0, 0], &2u32.to_ne_bytes()])).len(), 2);
    assert_eq!(c.ack(&addr_request(RTM_DELADDR, 0, "10.0.1.1", 24)), 0);
    assert_eq!(c.ack(&addr_request(RTM_DELADDR, 0, "fd01::1", 64)), 0);
    let none = c.ask(&addr_request(RTM_DELADDR, 0, "10.0.1.1", 24));
    assert_eq!((none[0].errno(), text(&none[0]).as_deref()), (99, Some("ipv4: Address not found")));
}

fn route_request(kind: u16, flags: u16, dst: &str, len: u8, via: Option<&str>) -> Vec<u8> {
    let dst: std::net::IpAddr = dst.parse().unwrap();
    let family = if dst.is_ipv4() { AF_INET } else { AF_INET6 };
    request(kind, NLM_F_ACK | flags, |w| {
        let scope = if kind == RTM_DELROUTE { 255 } else { 0 };
        w.fixed(&[&[family as u8, len, 0, 0, 254, 3, scope, 1], &[0; 4]]);
        if len > 0 {
            w.ip(RTA_DST, dst);
        }
        if let Some(via) = via {
            w.ip(RTA_GATEWAY, via.parse().unwrap());
        }
        w.u32(RTA_OIF, 2);
    })
}

#[test]
fn routes_come_and_go() {
    let k = kit();
    let c = route_client(&k);
    let new = NLM_F_CREATE | NLM_F_EXCL;
    assert_eq!(c.ack(&route_request(RTM_NEWROUTE, new, "0.0.0.0", 0, Some("10.0.0.254"))), 0);
    assert_eq!(c.ack(&route_request(RTM_NEWROUTE, new, "0.0.0.0", 0, Some("10.0.0.254"))), 17);
    assert_eq!(c.ack(&route_request(RTM_NEWROUTE, new, "fd05::", 64, Some("fd00::9"))), 0);
    let bad = c.ask(&route_request(RTM_NEWROUTE, new, "10.7.0.0", 16, Some("192.168.9.9")));
    assert_eq!((bad[0].errno(), text(&bad[0]).as_deref()), (101, Some("Nexthop has invalid gateway")));
    let host_bits = c.ask(&route_request(RTM_NEWROUTE, new, "10.7.0.1", 16, None));
    assert_eq!(text(&host_bits[0]).as_deref(), Some("Invalid prefix for given prefix length"));
    // `ip route show`: table main of IPv4.
    let all = c.dump(RTM_GETROUTE, |w| {
        w.fixed(&[&[2], &[0; 11]]);
        w.u32(RTA_TABLE, RT_TABLE_MAIN);
    });
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|m| m.header.flags & NLM_F_DUMP_FILTERED != 0));
    let default = Attrs::parse(&all[0].body[12..], 0);
    assert_eq!(default.ip(RTA_GATEWAY, AF_INET).unwrap().unwrap().to_string(), "10.0.0.254");
    assert!(!default.has(RTA_DST));
    for m in c.dump(RTM_GETROUTE, |w| w.fixed(&[&[0; 12]])) {
        assert!(matches!(foreign(&m), RouteNetlinkMessage::NewRoute(_)));
    }
    let missing = c.ask(&request(RTM_GETROUTE, NLM_F_DUMP, |w| {
        w.fixed(&[&[2], &[0; 11]]);
        w.u32(RTA_TABLE, 77);
    }));
    // A dump that fails ends with the error.
    assert_eq!((missing[0].header.kind, &missing[0].body[..4]), (NLMSG_DONE, &(-2i32).to_ne_bytes()[..]));
    let tlvs = Attrs::parse(&missing[0].body[4..], 0);
    assert_eq!(tlvs.str(NLMSGERR_ATTR_MSG), Ok(Some("ipv4: FIB table does not exist")));
    assert_eq!(c.ack(&route_request(RTM_DELROUTE, 0, "0.0.0.0", 0, None)), 0);
    assert_eq!(c.ack(&route_request(RTM_DELROUTE, 0, "0.0.0.0", 0, None)), Errno::ESRCH.0);
    assert_eq!(c.ack(&route_request(RTM_DELROUTE, 0, "fd05::", 64, None)), 0);
}

#[test]
fn several_ways_and_metrics_come_back() {
    let k = kit();
    let c = route_client(&k);
    let add = request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, |w| {
        w.fixed(&[&[2, 16, 0, 0, 254, 3, 0, 1], &[0; 4]]);
        w.attr(RTA_DST, &[10, 9, 0, 0]);
        w.nest(RTA_METRICS, |w| w.u32(RTAX_MTU, 1300));
        w.nest(RTA_MULTIPATH, |w| {
            for last in [2, 3] {
                w.fixed(&[&16u16.to_ne_bytes(), &[0, last - 2], &2u32.to_ne_bytes()]);
                w.attr(RTA_GATEWAY, &[10, 0, 0, last]);
            }
        });
    });
    assert_eq!(c.ack(&add), 0);
    let all = c.dump(RTM_GETROUTE, |w| w.fixed(&[&[2, 0, 0, 0, 254], &[0; 7]]));
    let m = all.iter().find(|m| m.body[1] == 16).unwrap();
    let a = Attrs::parse(&m.body[12..], 0);
    assert_eq!(a.nested(RTA_METRICS).unwrap().u32(RTAX_MTU), Ok(Some(1300)));
    let ways = a.get(RTA_MULTIPATH).unwrap().data;
    assert_eq!(ways.len(), 32);
    assert_eq!(ways[16..20], [16, 0, 0, 1]);
    assert!(matches!(foreign(m), RouteNetlinkMessage::NewRoute(_)));
}

#[test]
fn the_way_to_a_destination() {
    let k = kit();
    let c = route_client(&k);
    let get = |dst: &str, flags: u32| {
        let dst: std::net::IpAddr = dst.parse().unwrap();
        let (family, len) = if dst.is_ipv4() { (2, 32) } else { (10, 128) };
        request(RTM_GETROUTE, 0, |w| {
            w.fixed(&[&[family, len, 0, 0, 0, 0, 0, 0], &flags.to_ne_bytes()]);
            w.ip(RTA_DST, dst);
        })
    };
    let m = &c.ask(&get("10.0.0.7", RTM_F_LOOKUP_TABLE))[0];
    let a = Attrs::parse(&m.body[12..], 0);
    assert_eq!((m.body[1], a.u32(RTA_OIF)), (32, Ok(Some(2))));
    assert_eq!(a.ip(RTA_PREFSRC, AF_INET).unwrap().unwrap().to_string(), "10.0.0.1");
    assert_eq!(a.u32(RTA_TABLE), Ok(Some(RT_TABLE_MAIN)));
    let local = &c.ask(&get("10.0.0.1", RTM_F_LOOKUP_TABLE))[0];
    assert_eq!(local.body[7], RTN_LOCAL);
    assert_eq!(Attrs::parse(&local.body[12..], 0).u32(RTA_OIF), Ok(Some(1)));
    let matched = &c.ask(&get("10.0.0.7", RTM_F_FIB_MATCH))[0];
    assert_eq!(matched.body[1], 24);
    assert_eq!(c.ack(&get("9.9.9.9", 0)), Errno::ENETUNREACH.0);
    let v6 = &c.ask(&get("fd00::7", 0))[0];
    assert_eq!(Attrs::parse(&v6.body[12..], 0).ip(RTA_PREFSRC, AF_INET6).unwrap().unwrap().to_string(), "fd00::1");
}

#[test]
fn neighbours() {
    let k = kit();
    let c = route_client(&k);
    let neigh = |kind, flags: u16, state: u16, mac: Option<[u8; 6]>| {
        request(kind, NLM_F_ACK | flags, |w| {
            w.fixed(&[&[2, 0, 0, 0], &2u32.to_ne_bytes(), &state.to_ne_bytes(), &[0, 0]]);
            w.attr(NDA_DST, &[10, 0, 0, 9]);
            if let Some(m) = mac {
                w.attr(NDA_LLADDR, &m);
            }
        })
    };
    let mac = Some([2, 0, 0, 0, 0, 1]);
    let new = NLM_F_CREATE | NLM_F_EXCL;
    assert_eq!(c.ack(&neigh(RTM_NEWNEIGH, 0, NUD_PERMANENT, mac)), Errno::ENOENT.0);
    assert_eq!(c.ack(&neigh(RTM_NEWNEIGH, new, NUD_PERMANENT, mac)), 0);
    assert_eq!(c.ack(&neigh(RTM_NEWNEIGH, new, NUD_PERMANENT, mac)), Errno::EEXIST.0);
    let all = c.dump(RTM_GETNEIGH, |w| w.fixed(&[&[2], &[0; 11]]));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].body[8..10], NUD_PERMANENT.to_ne_bytes());
    assert!(matches!(foreign(&all[0]), RouteNetlinkMessage::NewNeighbour(_)));
    assert_eq!(c.ack(&neigh(RTM_DELNEIGH, 0, 0, None)), 0);
    assert_eq!(c.ack(&neigh(RTM_DELNEIGH, 0, 0, None)), Errno::ENOENT.0);
    // Two tables, and the settings of two links in each.
    assert_eq!(c.dump(RTM_GETNEIGHTBL, |w| w.fixed(&[&[0; 4]])).len(), 6);
}

#[test]
fn rules() {
    let k = kit();
    let c = route_client(&k);
    let all = c.dump(RTM_GETRULE, |w| w.fixed(&[&[2], &[0; 11]]));
    assert_eq!(all.len(), 3);
    for m in &all {
        assert!(matches!(foreign(m), RouteNetlinkMessage::NewRule(_)));
    }
    assert_eq!(Attrs::parse(&all[1].body[12..], 0).u32(FRA_PRIORITY), Ok(Some(32_766)));
    let rule = |kind, flags: u16| {
        request(kind, NLM_F_ACK | flags, |w| {
            w.fixed(&[&[2, 0, 24, 0, 100, 0, 0, FR_ACT_TO_TBL], &[0; 4]]);
            w.attr(FRA_SRC, &[10, 0, 0, 0]);
            w.u32(FRA_PRIORITY, 500);
        })
    };
    assert_eq!(c.ack(&rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL)), 0);
    assert_eq!(c.ack(&rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL)), 17);
    let all = c.dump(RTM_GETRULE, |w| w.fixed(&[&[2], &[0; 11]]));
    let mine = Attrs::parse(&all[1].body[12..], 0);
    assert_eq!((mine.u32(FRA_PRIORITY), mine.u32(FRA_TABLE)), (Ok(Some(500)), Ok(Some(100))));
    assert_eq!(c.ack(&rule(RTM_DELRULE, 0)), 0);
    assert_eq!(c.ack(&rule(RTM_DELRULE, 0)), Errno::ENOENT.0);
}

#[test]
fn what_else_ip_and_tc_ask() {
    let k = kit();
    let c = route_client(&k);
    let q = c.dump(RTM_GETQDISC, |w| w.fixed(&[&[0; 20]]));
    assert_eq!(q.len(), 2);
    assert_eq!(Attrs::parse(&q[0].body[20..], 0).str(TCA_KIND), Ok(Some("noqueue")));
    // Two families, two links, "all" and "default".
    assert_eq!(c.dump(RTM_GETNETCONF, |w| w.fixed(&[&[0]])).len(), 8);
    assert_eq!(c.dump(RTM_GETNSID, |w| w.fixed(&[&[0]])).len(), 0);
    assert_eq!(c.dump(RTM_GETSTATS, |w| w.fixed(&[&[0; 8], &1u32.to_ne_bytes()])).len(), 2);
    assert_eq!(c.dump(RTM_GETADDRLABEL, |w| w.fixed(&[&[10], &[0; 11]])).len(), 0);
}

#[test]
fn changes_are_told_to_the_groups() {
    let k = kit();
    let c = k.client(NETLINK_ROUTE);
    for g in [RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE] {
        c.socket().setsockopt(270, NETLINK_ADD_MEMBERSHIP, &g.to_ne_bytes()).unwrap();
    }
    let other = route_client(&k);
    assert_eq!(other.ack(&addr_request(RTM_NEWADDR, NLM_F_CREATE, "10.0.1.1", 24)), 0);
    let kinds: Vec<u16> = c.drain().iter().map(|m| m.header.kind).collect();
    assert!(kinds.contains(&RTM_NEWADDR) && kinds.contains(&RTM_NEWROUTE), "{kinds:?}");
    k.net.link_set_up(2, false).unwrap();
    let kinds: Vec<u16> = c.drain().iter().map(|m| m.header.kind).collect();
    assert!(kinds.contains(&RTM_NEWLINK), "{kinds:?}");
    other.ask(&addr_request(RTM_NEWADDR, NLM_F_CREATE, "fd01::1", 64));
    assert!(c.drain().iter().all(|m| m.header.kind != RTM_NEWADDR), "IPv6 has its own group");
}
