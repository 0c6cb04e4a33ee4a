//! UDP, ping, raw and packet sockets.

use super::kit::*;
use crate::IfAddr;
use core::time::Duration;
use lkl_abi::socket::{MSG_ERRQUEUE, MSG_PEEK, MSG_TRUNC};
use lkl_abi::Errno;
use lkl_file::SockAddr;
use lkl_ops::sim::{Side, Verdict, Wire};
use lkl_sync::Events;
use std::sync::Arc;

#[test]
fn udp_over_loopback() {
    let (_world, net) = alone();
    for (server, client, any) in [("127.0.0.1", udp4(&net), udp4(&net)), ("[::1]", udp6(&net), udp6(&net))] {
        any.bind(&format!("{server}:5000")).unwrap();
        assert_eq!(any.recv().unwrap_err(), Errno::EAGAIN);
        assert_eq!(client.send_to(&format!("{server}:5000"), b"hello"), Ok(5));
        assert!(any.0.poll().contains(Events::READ));
        let got = any.recv_flags(MSG_PEEK).unwrap();
        assert_eq!(got.data, b"hello");
        let got = any.recv().unwrap();
        assert_eq!(
            (&got.data[..], got.from),
            (&b"hello"[..], Some(client.s().local_addr().unwrap()).map(|_| got.from.unwrap()))
        );
        let from = got.from.unwrap();
        assert_eq!(any.send_msg(Some(from), b"back", Vec::new(), 0), Ok(4));
        assert_eq!(client.recv().unwrap().data, b"back");
    }
}

#[test]
fn a_dual_stack_socket_takes_both() {
    let (_world, net) = alone();
    let server = udp6(&net);
    server.bind("[::]:53").unwrap();
    assert_eq!(udp4(&net).bind("0.0.0.0:53"), Err(Errno::EADDRINUSE));
    let client = udp4(&net);
    client.connect("127.0.0.1:53").unwrap();
    client.send(b"q").unwrap();
    let got = server.recv().unwrap();
    let from = got.from.unwrap();
    assert_eq!(from.inet().unwrap().ip(), ip("::ffff:127.0.0.1"));
    server.send_msg(Some(from), b"a", Vec::new(), 0).unwrap();
    assert_eq!(client.recv().unwrap().data, b"a");
}

#[test]
fn a_port_that_nobody_has_is_refused() {
    let (_world, net) = alone();
    for (client, to) in [(udp4(&net), "127.0.0.1:9"), (udp6(&net), "[::1]:9")] {
        client.send_to(to, b"x").unwrap();
        assert_eq!(client.recv().unwrap_err(), Errno::EAGAIN, "unconnected sockets are not told");
        client.connect(to).unwrap();
        client.send(b"x").unwrap();
        assert!(client.0.poll().contains(Events::ERR));
        assert_eq!(client.recv().unwrap_err(), Errno::ECONNREFUSED);
        assert_eq!(client.recv().unwrap_err(), Errno::EAGAIN);
    }
}

#[test]
fn udp_over_ethernet() {
    let p = Pair::new();
    for (server, client, to) in [(udp4(&p.b), udp4(&p.a), "10.0.0.2:7"), (udp6(&p.b), udp6(&p.a), "[fd00::2]:7")] {
        server.bind(if to.starts_with('[') { "[::]:7" } else { "0.0.0.0:7" }).unwrap();
        for size in [0, 1, 1400, 1473, 9000, 65_507] {
            let data: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
            assert_eq!(client.send_to(to, &data), Ok(size));
            p.run(100);
            let got = server.recv().unwrap();
            assert_eq!(got.data.len(), size);
            assert!(got.data == data);
            assert_eq!(server.send_msg(got.from, &data, Vec::new(), 0), Ok(size));
            p.run(100);
            assert!(client.recv().unwrap().data == data);
        }
    }
    assert_eq!(udp4(&p.a).send_to("10.0.0.2:7", &[0; 65_508]), Err(Errno::EMSGSIZE));
    assert!(p.a.neighs().iter().any(|n| n.ip == ip("10.0.0.2") && n.mac.is_some()));
    assert!(p.a.neighs().iter().any(|n| n.ip == ip("fd00::2") && n.mac.is_some()));
}

#[test]
fn ping_sockets() {
    let p = Pair::new();
    for (s, to, kind, reply) in [(ping4(&p.a), "10.0.0.2:0", 8, 0), (ping6(&p.a), "[fd00::2]:0", 128, 129)] {
        let mut m = vec![kind, 0, 0, 0, 0, 0, 0, 9];
        m.extend_from_slice(&[0x55; 56]);
        s.send_to(to, &m).unwrap();
        p.run(100);
        let got = s.recv().unwrap();
        assert_eq!((got.data[0], got.data[7], got.data.len()), (reply, 9, 64));
        assert_eq!(u16::from_be_bytes([got.data[4], got.data[5]]), s.local().port());
        assert_eq!(s.send_to(to, &[0; 8]), Err(Errno::EINVAL));
    }
}

#[test]
fn a_neighbour_that_does_not_answer_is_unreachable() {
    let p = Pair::new();
    for (s, to) in [(udp4(&p.a), "10.0.0.77:7"), (udp6(&p.a), "[fd00::77]:7")] {
        let v6 = to.starts_with('[');
        s.set(if v6 { 41 } else { 0 }, if v6 { 25 } else { 11 }, 1).unwrap();
        s.send_to(to, b"anybody there").unwrap();
        p.run(5000);
        assert_eq!(s.recv().unwrap_err(), Errno::EHOSTUNREACH);
        let got = s.recv_flags(MSG_ERRQUEUE).unwrap();
        assert_eq!(got.data, b"anybody there");
        assert_eq!(got.from, Some(at(to)));
        assert_eq!(got.control[0].data[..4], Errno::EHOSTUNREACH.0.to_ne_bytes());
        assert_eq!(got.flags & MSG_ERRQUEUE, MSG_ERRQUEUE);
        assert_eq!(s.recv_flags(MSG_ERRQUEUE).unwrap_err(), Errno::EAGAIN);
    }
}

#[test]
fn errors_of_far_ports_come_back() {
    let p = Pair::new();
    for (s, to) in [(udp4(&p.a), "10.0.0.2:33434"), (udp6(&p.a), "[fd00::2]:33434")] {
        s.connect(to).unwrap();
        s.send(b"probe").unwrap();
        p.run(100);
        assert_eq!(s.recv().unwrap_err(), Errno::ECONNREFUSED);
    }
    assert_eq!(p.b.snmp().udp.no_ports.get(), 1);
    assert_eq!(p.b.snmp().icmp.out_dest_unreachs.get(), 1);
    assert_eq!(p.a.snmp().icmp.in_dest_unreachs.get(), 1);
}

#[test]
fn the_path_mtu_is_learnt() {
    let p = Pair::new();
    let s = udp4(&p.a);
    s.connect("10.0.0.2:7").unwrap();
    // Somebody on the way says 1000.
    let a = p.link.a.clone();
    let (ours, theirs) = (p.a.link_by_index(2).unwrap().mac(), p.b.link_by_index(2).unwrap().mac());
    s.set(0, 10, 2).unwrap();
    s.send(&[1; 1200]).unwrap();
    p.run(10);
    let mut quoted = vec![0x45, 0, 4, 0xcc, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    quoted.extend_from_slice(&s.local().port().to_be_bytes());
    quoted.extend_from_slice(&[0, 7, 4, 0xb8, 0, 0]);
    let mut icmp = vec![3, 4, 0, 0, 0, 0, 0x03, 0xe8];
    icmp.extend_from_slice(&quoted);
    let sum = lkl_net::checksum::checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = Vec::new();
    frame.extend_from_slice(&ours);
    frame.extend_from_slice(&theirs);
    frame.extend_from_slice(&[8, 0]);
    let h = lkl_net::wire::ipv4::Header {
        header_len: 20,
        tos: 0,
        total_len: 20 + icmp.len(),
        id: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 60,
        protocol: 1,
        src: "10.0.0.254".parse().unwrap(),
        dst: "10.0.0.1".parse().unwrap(),
    };
    h.emit(&[], &mut frame);
    frame.extend_from_slice(&icmp);
    a.inject(frame);
    p.run(10);
    assert_eq!(s.send(&[1; 1200]), Err(Errno::EMSGSIZE), "the pending error");
    assert_eq!(s.send(&[1; 1200]), Err(Errno::EMSGSIZE), "too long for the path");
    assert_eq!(s.s().getsockopt(0, 14, &[]).unwrap(), 1000i32.to_ne_bytes());
    s.set(0, 10, 1).unwrap();
    assert_eq!(s.send(&[1; 1200]), Ok(1200));
    p.run(601_000);
    assert_eq!(s.s().getsockopt(0, 14, &[]).unwrap(), 1500i32.to_ne_bytes());
}

#[test]
fn groups_and_broadcasts() {
    let p = Pair::new();
    let s = udp4(&p.b);
    s.bind("0.0.0.0:5353").unwrap();
    let mut mreqn = vec![224, 0, 0, 251, 0, 0, 0, 0];
    mreqn.extend_from_slice(&2u32.to_ne_bytes());
    s.s().setsockopt(0, 35, &mreqn).unwrap();
    assert_eq!(s.s().setsockopt(0, 35, &mreqn), Err(Errno::EADDRINUSE));
    let c = udp4(&p.a);
    c.s().setsockopt(0, 32, &[10, 0, 0, 1]).unwrap();
    c.send_to("224.0.0.251:5353", b"mdns").unwrap();
    assert_eq!(c.send_to("10.0.0.255:5353", b"all"), Err(Errno::EACCES));
    c.s().options().broadcast.store(true, std::sync::atomic::Ordering::Relaxed);
    c.send_to("10.0.0.255:5353", b"all").unwrap();
    p.run(10);
    assert_eq!(s.recv().unwrap().data, b"mdns");
    assert_eq!(s.recv().unwrap().data, b"all");
    s.s().setsockopt(0, 36, &mreqn).unwrap();
    c.send_to("224.0.0.251:5353", b"mdns").unwrap();
    p.run(10);
    assert_eq!(s.recv().unwrap_err(), Errno::EAGAIN);
    let s6 = udp6(&p.b);
    s6.bind("[::]:5353").unwrap_err();
    s.0.release();
    s6.bind("[::]:5353").unwrap();
    let mut mreq = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb).octets().to_vec();
    mreq.extend_from_slice(&2u32.to_ne_bytes());
    s6.s().setsockopt(41, 20, &mreq).unwrap();
    let to =
        SockAddr::Inet(std::net::SocketAddr::V6(std::net::SocketAddrV6::new("ff02::fb".parse().unwrap(), 5353, 0, 2)));
    udp6(&p.a).send_msg(Some(to), b"six", Vec::new(), 0).unwrap();
    p.run(10);
    assert_eq!(s6.recv().unwrap().data, b"six");
}

#[test]
fn reuseport_spreads_and_reuseaddr_takes_over() {
    let (_world, net) = alone();
    let group: Vec<_> = (0..4).map(|_| udp4(&net)).collect();
    for s in &group {
        s.s().options().reuse_port.store(true, std::sync::atomic::Ordering::Relaxed);
        s.bind("127.0.0.1:99").unwrap();
    }
    for _ in 0..64 {
        udp4(&net).send_to("127.0.0.1:99", b"x").unwrap();
    }
    let counts: Vec<usize> = group.iter().map(|s| std::iter::from_fn(|| s.recv().ok()).count()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 64);
    assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    assert_eq!(udp4(&net).bind("127.0.0.1:99"), Err(Errno::EADDRINUSE));
}

#[test]
fn raw_sockets_see_packets() {
    let p = Pair::new();
    let r = raw(&p.b, 2, 1);
    let r6 = raw(&p.b, 10, 58);
    r6.s()
        .setsockopt(58, 1, &{
            // Only echo requests.
            let mut f = [0xffu8; 32];
            f[16] = 0xfe;
            f
        })
        .unwrap();
    let echo = [8, 0, 0, 0, 0, 1, 0, 1, 5, 5];
    ping4(&p.a).send_to("10.0.0.2:0", &echo).unwrap();
    ping6(&p.a).send_to("[fd00::2]:0", &[128, 0, 0, 0, 0, 1, 0, 1, 5, 5]).unwrap();
    p.run(100);
    let got = r.recv().unwrap();
    assert_eq!((got.data[0], got.data[9], got.data[20], got.data.len()), (0x45, 1, 8, 30));
    let got = r6.recv().unwrap();
    assert_eq!((got.data[0], got.data.len()), (128, 10));
    // A header of the program's own.
    let s = raw(&p.a, 2, 255);
    let mut m = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 7, 253, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
    m.extend_from_slice(b"own");
    let r = raw(&p.b, 2, 253);
    s.send_to("10.0.0.2:0", &m).unwrap();
    p.run(100);
    let got = r.recv().unwrap();
    assert_eq!((got.data[8], &got.data[12..16], &got.data[20..]), (7, &[10, 0, 0, 1][..], &b"own"[..]));
}

#[test]
fn traceroute_by_the_error_queue() {
    // What a router on the way says of a packet whose time is over.
    let p = Pair::new();
    let s = udp4(&p.a);
    s.set(0, 11, 1).unwrap();
    s.set(0, 2, 1).unwrap();
    s.send_to("10.0.0.2:33434", b"ttl one").unwrap();
    let (ours, theirs) = (p.a.link_by_index(2).unwrap().mac(), p.b.link_by_index(2).unwrap().mac());
    let port = s.local().port();
    let mut icmp = vec![11, 0, 0, 0, 0, 0, 0, 0];
    icmp.extend_from_slice(&[0x45, 0, 0, 35, 0, 1, 0x40, 0, 1, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    icmp.extend_from_slice(&port.to_be_bytes());
    icmp.extend_from_slice(&33434u16.to_be_bytes());
    icmp.extend_from_slice(&[0, 15, 0, 0]);
    icmp.extend_from_slice(b"ttl one");
    let sum = lkl_net::checksum::checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&ours[..], &theirs[..], &[8, 0]].concat();
    let h = lkl_net::wire::ipv4::Header {
        header_len: 20,
        tos: 0,
        total_len: 20 + icmp.len(),
        id: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 60,
        protocol: 1,
        src: "192.0.2.1".parse().unwrap(),
        dst: "10.0.0.1".parse().unwrap(),
    };
    h.emit(&[], &mut frame);
    frame.extend_from_slice(&icmp);
    p.link.a.inject(frame);
    p.run(1);
    let got = s.recv_flags(MSG_ERRQUEUE).unwrap();
    assert_eq!(got.data, b"ttl one");
    let d = &got.control[0].data;
    assert_eq!((&d[..4], &d[4..7]), (&Errno::EHOSTUNREACH.0.to_ne_bytes()[..], &[2, 11, 0][..]));
    assert_eq!(d[20..24], [192, 0, 2, 1]);
}

#[test]
fn packet_sockets_see_frames() {
    let p = Pair::new();
    let tap = packet(&p.a);
    udp4(&p.a).send_to("10.0.0.2:9", b"x").unwrap();
    p.run(10);
    let mut types = Vec::new();
    while let Ok(got) = tap.recv() {
        let Some(SockAddr::Link(l)) = got.from else { panic!() };
        types.push((l.protocol, l.pkttype));
    }
    for want in [(0x806, 4), (0x806, 0), (0x800, 4), (0x800, 0)] {
        assert!(types.contains(&want), "{types:x?} {want:x?}");
    }
}

#[test]
fn truncation_and_room() {
    let (_world, net) = alone();
    let s = udp4(&net);
    s.bind("127.0.0.1:70").unwrap();
    let c = udp4(&net);
    let mut sent = 0;
    for _ in 0..1000 {
        c.send_to("127.0.0.1:70", &[0; 1000]).unwrap();
        sent += 1;
    }
    let got = std::iter::from_fn(|| s.recv_flags(MSG_TRUNC).ok()).count();
    assert!(got > 50 && got < sent, "{got}");
    assert_eq!(net.snmp().udp.rcvbuf_errors.get(), (sent - got) as i64);
}

#[test]
fn segments_and_corks() {
    let (_world, net) = alone();
    let s = udp4(&net);
    s.bind("127.0.0.1:71").unwrap();
    let c = udp4(&net);
    c.connect("127.0.0.1:71").unwrap();
    c.set(17, 103, 100).unwrap();
    c.send(&[1; 250]).unwrap();
    let sizes: Vec<usize> = std::iter::from_fn(|| s.recv().ok()).map(|g| g.data.len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    c.set(17, 103, 0).unwrap();
    c.set(17, 1, 1).unwrap();
    c.send(b"one ").unwrap();
    c.send(b"two").unwrap();
    assert!(s.recv().is_err());
    c.set(17, 1, 0).unwrap();
    assert_eq!(s.recv().unwrap().data, b"one two");
}

#[test]
fn lost_fragments_are_given_up() {
    let p = Pair::new();
    let s = udp4(&p.b);
    s.bind("0.0.0.0:7").unwrap();
    let c = udp4(&p.a);
    c.send_to("10.0.0.2:7", b"first").unwrap();
    p.run(10);
    let mut n = 0;
    p.link.filter(Side::A, move |_, _| {
        n += 1;
        if n == 2 {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    });
    c.send_to("10.0.0.2:7", &[0; 5000]).unwrap();
    p.run(10);
    p.link.clear_filter(Side::A);
    assert_eq!(p.b.reassembly_usage().0, 1);
    p.run(31_000);
    assert_eq!(p.b.reassembly_usage(), (0, 0));
    assert_eq!(p.b.snmp().ip.reasm_timeout.get(), 1);
}

#[test]
fn a_router_advertisement_configures() {
    let p = Pair::bare(&Wire::default());
    p.a.link_set_up(2, true).unwrap();
    p.run(3000);
    let router: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
    let all: std::net::Ipv6Addr = "ff02::1".parse().unwrap();
    let mut m = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    m.extend_from_slice(&[1, 1, 2, 0, 0, 0, 0, 1]);
    m.extend_from_slice(&[3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x07, 0x08, 0, 0, 0, 0]);
    m.extend_from_slice(&"2001:db8::".parse::<std::net::Ipv6Addr>().unwrap().octets());
    let sum = lkl_net::checksum::Sum::new().pseudo_header(router.into(), all.into(), 58, m.len()).add(&m).finish();
    m[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
    lkl_net::wire::ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_len: m.len(),
        next_header: 58,
        hop_limit: 255,
        src: router,
        dst: all,
    }
    .emit(&mut frame);
    frame.extend_from_slice(&m);
    p.link.a.inject(frame);
    p.run(3000);
    let r = p.a.route_output(&crate::FlowKey::to(ip("2001:4860::8888"))).unwrap();
    assert_eq!(r.gateway, Some(router.into()));
    assert!(matches!(r.src, std::net::IpAddr::V6(a) if a.segments()[..4] == [0x2001, 0xdb8, 0, 0]), "{}", r.src);
    p.run(3_600_000);
    assert!(p.a.route_output(&crate::FlowKey::to(ip("2001:4860::8888"))).is_err());
    assert!(!p.a.addrs().iter().any(|a| matches!(a.ip, std::net::IpAddr::V6(a) if a.segments()[0] == 0x2001)));
}

#[test]
fn random_frames_never_panic() {
    let p = Pair::new();
    let _tap = packet(&p.a);
    let (s4, s6) = (udp4(&p.a), udp6(&p.a));
    s4.bind("10.0.0.1:7").unwrap();
    s6.bind("[::]:8").unwrap();
    let frames = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = frames.clone();
    p.link.tap(move |_, _, f| seen.lock().unwrap().push(f.to_vec()));
    udp4(&p.b).send_to("10.0.0.1:7", &[7; 3000]).unwrap();
    udp6(&p.b).send_to("[fd00::1]:8", &[7; 3000]).unwrap();
    udp4(&p.b).send_to("10.0.0.1:9", &[7; 30]).unwrap();
    ping6(&p.b).send_to("[fd00::1]:0", &[128, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    p.run(1000);
    let mut templates = frames.lock().unwrap().clone();
    let mac = p.a.link_by_index(2).unwrap().mac();
    for t in &mut templates {
        t[..6].copy_from_slice(&mac);
    }
    for i in 0..20_000 {
        let mut f = templates[i % templates.len()].clone();
        for _ in 0..1 + p.world.random() % 4 {
            let at = p.world.random() as usize % f.len();
            f[at] = p.world.random() as u8;
        }
        if p.world.random() % 4 == 0 {
            f.truncate(p.world.random() as usize % f.len());
        }
        p.link.a.inject(f);
        if i % 64 == 0 {
            p.world.run_for(Duration::from_millis(1));
        }
    }
    p.run(100);
    let _still = p.a.addr_add(IfAddr::new(2, ip("10.0.0.9"), 24), false);
    s4.send_to("10.0.0.2:7", b"alive").unwrap();
}
