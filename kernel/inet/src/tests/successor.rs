//! A network that got stuck, and the one in its place.

use super::kit::*;
use crate::{AddMode, IfAddr, Net, Prefix, Rule};
use core::time::Duration;
use lkl_abi::rtnetlink::NUD_PERMANENT;
use lkl_abi::socket::SOCK_STREAM;
use lkl_abi::Errno;
use lkl_file::sockaddr::{AF_INET, AF_INET6};
use lkl_ops::sim::Wire;
use std::net::{IpAddr, Ipv4Addr};

#[test]
fn peers_are_told_by_the_successor() {
    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
    let p = Pair::new();
    let mut rule = Rule::all(false, 0, 4);
    rule.src = Some(Prefix::host(FROM));
    p.a.rule_add(rule, None, false).unwrap();
    let mode = AddMode { create: true, ..AddMode::default() };
    p.a.neigh_set(2, FAR, Some([2, 0, 0, 0, 0, 9]), NUD_PERMANENT, false, mode).unwrap();
    let mut clients = Vec::new();
    for (family, any, addr) in [(AF_INET, "0.0.0.0:0", "10.0.0.1:80"), (AF_INET6, "[::]:0", "[fd00::1]:80")] {
        let tcp = |net: &std::sync::Arc<Net>| Sock(net.socket(family, SOCK_STREAM, 0).unwrap());
        let listener = tcp(&p.a);
        listener.bind(addr).unwrap();
        listener.s().listen(1).unwrap();
        let client = tcp(&p.b);
        client.bind(any).unwrap();
        assert_eq!(client.connect(addr), Err(Errno::EINPROGRESS));
        p.run(10);
        assert_eq!(client.send(b"x"), Ok(1));
        clients.push((listener, client));
    }
    p.run(1000);
    let mut successor = p.a.successor(p.a.host().clone()).unwrap();
    // Those that hear nothing wait on.
    p.run(1000);
    clients.iter().for_each(|(_, client)| assert_eq!(client.recv().unwrap_err(), Errno::EAGAIN));
    while !successor.serve() {}
    for _ in 0..20 {
        p.run(1);
        successor.serve();
    }
    clients.iter().for_each(|(_, client)| assert_eq!(client.recv().unwrap_err(), Errno::ECONNRESET));
    // It goes by the same rules and neighbours.
    let rule = |net: &Net| net.rules().iter().any(|r| r.table == 4 && r.src == Some(Prefix::host(FROM)));
    let neighbour = |net: &Net| {
        net.neigh_get(2, FAR).is_some_and(|n| n.mac == Some([2, 0, 0, 0, 0, 9]) && n.state == NUD_PERMANENT)
    };
    assert!(rule(&p.a) && neighbour(&p.a));
    assert!(rule(successor.net()) && neighbour(successor.net()));
    // Without the configuration there is nothing to go on with.
    let _lost = p.a.config.write();
    assert!(p.a.successor(p.a.host().clone()).is_none());
}

#[test]
fn peers_on_every_interface_are_told() {
    let (world, [(ha, a), (hb, b)]) = two();
    let mut clients = Vec::new();
    let run = |millis| world.run_for(Duration::from_millis(millis));
    for n in 0..3 {
        let link = world.link(&ha, &hb, &Wire::default());
        for (net, dev, last) in [(&a, link.a.clone(), 1), (&b, link.b.clone(), 2)] {
            let index = net.link_add(dev).unwrap();
            net.link_set_up(index, true).unwrap();
            net.addr_add(IfAddr::new(index, ip(&format!("10.0.{n}.{last}")), 24), false).unwrap();
        }
        let tcp = |net: &std::sync::Arc<Net>| Sock(net.socket(AF_INET, SOCK_STREAM, 0).unwrap());
        let at = format!("10.0.{n}.1:80");
        let (listener, client) = (tcp(&a), tcp(&b));
        listener.bind(&at).unwrap();
        listener.s().listen(1).unwrap();
        client.bind("0.0.0.0:0").unwrap();
        assert_eq!(client.connect(&at), Err(Errno::EINPROGRESS));
        run(10);
        assert_eq!(client.send(b"x"), Ok(1));
        clients.push((listener, client));
    }
    run(1000);
    let mut successor = a.successor(a.host().clone()).unwrap();
    assert_eq!(successor.net().links().len(), 4);
    for _ in 0..20 {
        successor.serve();
        run(1);
    }
    clients.iter().for_each(|(_, client)| assert_eq!(client.recv().unwrap_err(), Errno::ECONNRESET));
}
