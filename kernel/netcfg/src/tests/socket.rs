use super::{kit, request, split};
use crate::netlink::wire::Attrs;
use lkl_abi::netlink::*;
use lkl_abi::rtnetlink::{RTM_GETLINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_LINK};
use lkl_abi::socket::{MSG_PEEK, MSG_TRUNC, SOL_NETLINK};
use lkl_abi::Errno;
use lkl_file::SockAddr;
use lkl_sync::Events;

#[test]
fn ports_are_given_and_refused() {
    let k = kit();
    k.hub.set_pid(42);
    let (a, b) = (k.client(0), k.client(0));
    a.socket().bind(&SockAddr::Netlink { pid: 0, groups: 0 }).unwrap();
    b.socket().bind(&SockAddr::Netlink { pid: 0, groups: 0 }).unwrap();
    assert_eq!(a.socket().local_addr(), Ok(SockAddr::Netlink { pid: 42, groups: 0 }));
    assert_ne!(b.socket().local_addr(), a.socket().local_addr());
    let c = k.client(0);
    assert_eq!(c.socket().bind(&SockAddr::Netlink { pid: 42, groups: 0 }), Err(Errno::EADDRINUSE));
    a.file.release();
    assert_eq!(c.socket().bind(&SockAddr::Netlink { pid: 42, groups: 0 }), Ok(()));
    assert_eq!(c.socket().bind(&SockAddr::Netlink { pid: 43, groups: 0 }), Err(Errno::EINVAL));
}

#[test]
fn protocols_and_kinds() {
    let k = kit();
    let make = |kind, protocol| crate::netlink_socket(&k.net, &k.hub, kind, protocol).map(drop);
    assert_eq!(make(3, 12), Err(Errno::EPROTONOSUPPORT));
    assert_eq!(make(1, 0), Err(Errno::ESOCKTNOSUPPORT));
    assert_eq!(make(2, NETLINK_GENERIC), Ok(()));
}

#[test]
fn a_request_without_need_of_answer_gets_none() {
    let k = kit();
    let c = k.client(0);
    c.send(&request(NLMSG_NOOP, 0, |_| {})).unwrap();
    assert!(c.drain().is_empty());
    assert_eq!(c.ack(&request(NLMSG_NOOP, NLM_F_ACK, |_| {})), 0);
    assert_eq!(c.ack(&request(999, 0, |w| w.bytes(&[0; 4]))), Errno::EOPNOTSUPP.0);
    assert_eq!(c.send(&[]), Err(Errno::ENODATA));
    assert_eq!(c.send(&vec![0; 300_000]), Err(Errno::EMSGSIZE));
}

#[test]
fn peek_and_truncation() {
    let k = kit();
    let c = k.client(0);
    c.send(&request(RTM_GETLINK, 0, |w| w.fixed(&[&[0; 4], &1u32.to_ne_bytes(), &[0; 8]]))).unwrap();
    assert!(c.file.poll().contains(Events::READ));
    let mut probe = c.receive(0, MSG_PEEK | MSG_TRUNC).unwrap();
    assert_eq!(probe.1, MSG_TRUNC);
    let len = probe.2;
    assert!(len > 500, "{len}");
    probe = c.receive(8, MSG_PEEK).unwrap();
    assert_eq!((probe.1, probe.2), (MSG_TRUNC, 8));
    let (whole, flags, n) = c.receive(32_768, 0).unwrap();
    assert_eq!((flags, n), (0, len));
    assert_eq!(split(&whole).len(), 1);
    assert_eq!(c.receive(8, 0).unwrap_err(), Errno::EAGAIN);
    assert!(!c.file.poll().contains(Events::IN));
}

#[test]
fn acknowledgements_carry_the_request_or_its_header() {
    let k = kit();
    let c = k.client(0);
    c.set(NETLINK_EXT_ACK);
    // No such link, with more than a header in the request.
    let bad = request(RTM_GETLINK, 0, |w| w.fixed(&[&[0; 16]]));
    let all = c.ask(&bad);
    let m = &all[0];
    assert_eq!(m.errno(), Errno::EINVAL.0);
    assert_eq!(m.header.flags, NLM_F_ACK_TLVS);
    assert_eq!(m.body[4..4 + bad.len()], bad);
    let tlvs = Attrs::parse(&m.body[4 + bad.len()..], 0);
    assert_eq!(tlvs.str(NLMSGERR_ATTR_MSG), Ok(Some("No link specified")));
    c.set(NETLINK_CAP_ACK);
    let all = c.ask(&bad);
    assert_eq!(all[0].header.flags, NLM_F_ACK_TLVS | NLM_F_CAPPED);
    assert_eq!(Attrs::parse(&all[0].body[20..], 0).str(NLMSGERR_ATTR_MSG), Ok(Some("No link specified")));
}

#[test]
fn groups_are_listed_and_overruns_told() {
    let k = kit();
    let c = k.client(0);
    let n = |v: u32| v.to_ne_bytes();
    let set = |name, v: u32| c.socket().setsockopt(SOL_NETLINK, name, &n(v));
    assert_eq!(set(NETLINK_ADD_MEMBERSHIP, 0), Err(Errno::EINVAL));
    assert_eq!(set(NETLINK_ADD_MEMBERSHIP, 999), Err(Errno::EINVAL));
    set(NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK).unwrap();
    set(NETLINK_ADD_MEMBERSHIP, RTNLGRP_IPV4_ROUTE).unwrap();
    let listed = c.socket().getsockopt(SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, &[]).unwrap();
    assert_eq!(listed, [0b100_0001, 0, 0, 0, 0, 0, 0, 0]);
    set(NETLINK_DROP_MEMBERSHIP, RTNLGRP_IPV4_ROUTE).unwrap();
    assert_eq!(set(NETLINK_LIST_MEMBERSHIPS, 1), Err(Errno::ENOPROTOOPT));
    c.socket().options().rcvbuf.store(2000, std::sync::atomic::Ordering::Relaxed);
    for mtu in 1300..1310 {
        k.net.link_set_mtu(2, mtu).unwrap();
    }
    assert!(c.file.poll().contains(Events::ERR));
    assert_eq!(c.receive(9000, 0).unwrap_err(), Errno::ENOBUFS);
    assert!(!c.drain().is_empty());
    k.net.link_set_mtu(2, 1400).unwrap();
    assert_eq!(c.drain().len(), 1);
}

#[test]
fn a_long_dump_comes_in_pieces_and_only_one_at_a_time() {
    let k = kit();
    for i in 0..2000u32 {
        let ip = std::net::Ipv4Addr::from(0x0b00_0000 + i);
        let mut r = lkl_inet::RouteEntry::new(lkl_inet::Prefix::host(ip.into()), 2, None);
        r.priority = 5;
        let create = lkl_inet::AddMode { create: true, ..Default::default() };
        k.net.route_add(r, create).unwrap();
    }
    let c = k.client(0);
    let dump = request(lkl_abi::rtnetlink::RTM_GETROUTE, NLM_F_DUMP, |w| w.fixed(&[&[2], &[0; 11]]));
    c.send(&dump).unwrap();
    // The first piece is there; more would be made only by reading.
    let (first, _, _) = c.receive(1 << 20, MSG_PEEK).unwrap();
    assert!(first.len() <= 3776);
    c.send(&dump).unwrap();
    let all = c.drain();
    let busy = all.iter().filter(|m| m.header.kind == NLMSG_ERROR).count();
    assert_eq!(busy, 1, "a dump while one is running");
    let routes = all.iter().filter(|m| m.header.kind == lkl_abi::rtnetlink::RTM_NEWROUTE).count();
    assert!(routes >= 2000, "{routes}");
    assert_eq!(all.last().map(|m| m.header.kind), Some(NLMSG_DONE));
}
