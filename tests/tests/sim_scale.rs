//! Many connections, and peers that mean no good: memory stays bounded, and others are served.

use lkl_abi::Errno;
use lkl_tests::crowd::{crowd, listener, talks};
use lkl_tests::machine::{addresses, INET, NONBLOCK};
use lkl_tests::wire::{Segment, Stub, ACK, SYN};
use lkl_tests::{Machine, Wire, World};
use std::net::SocketAddr;
use std::time::Duration;

/// A hundred thousand SYNs from one address, 16 at each instant: nothing is kept of them, and who means it gets through.
#[test]
fn flood() {
    let world = World::new(2);
    let (m, stub) = Stub::new(&world, &Wire::default());
    assert!(stub.pings(&world));
    let l = listener(&m, SocketAddr::new(addresses(1)[0].0, 80), 64);
    let syn = |from: u16, seq: u32| Segment {
        from,
        to: 80,
        seq,
        flags: SYN,
        window: 1000,
        options: vec![2, 4, 5, 0xb4],
        ..Segment::default()
    };
    for round in 0..2u32 {
        for port in 1024..=u16::MAX {
            stub.send_segment(false, &syn(port, round << 20 | u32::from(port)));
            if port % 16 == 0 {
                world.settle();
                while stub.receive().is_some() {}
            }
        }
    }
    assert!(m.kernel.net().tcp_sockets().len() < 100, "requests are kept");
    // One that answers.
    stub.send_segment(false, &syn(777, 1000));
    world.settle();
    let mut answer = None;
    while let Some(p) = stub.receive() {
        answer = Segment::parse(&p.body).filter(|s| s.to == 777).or(answer);
    }
    let answer = answer.expect("a SYN-ACK");
    let ack = Segment {
        from: 777,
        to: 80,
        seq: 1001,
        ack: answer.seq.wrapping_add(1),
        flags: ACK,
        window: 1000,
        ..Segment::default()
    };
    stub.send_segment(false, &ack);
    world.settle();
    m.accept(l, true).expect("the connection of the one that means it");
    let stat = m.kernel.net().snmp().tcp_ext.syncookies_sent.get();
    assert!(stat > 100_000, "{stat} cookies");
}

/// Peers send and nobody reads: all together hold what `net.ipv4.tcp_mem` lets, and a little for each; others are served.
#[test]
fn nobody_reads() {
    let world = World::new(3);
    let m = Machine::new(&world);
    let net = m.kernel.net();
    net.sysctl_set("net/ipv4/tcp_mem", "128 192 256").expect("the setting is there");
    let all = crowd(&m, &world, 1000, 100);
    for _ in 0..20 {
        for &(client, _) in &all {
            while let Ok(n) = m.send(client, &[7; 16_384], 0) {
                assert!(n > 0);
            }
        }
        world.run_for(Duration::from_millis(500));
    }
    let pages = net.tcp_table().memory_pages();
    // The limit, one call's worth beyond it, and what each end may hold in any case.
    assert!(pages <= 256 + 64 + 200 * 3, "{pages} pages");
    let ext = &net.snmp().tcp_ext;
    assert!(ext.tcp_memory_pressures.get() > 0 && ext.tcp_rcv_q_drop.get() > 0);
    // Another one works, with what is its own.
    let fresh = crowd(&m, &world, 5000, 1)[0];
    talks(&m, &world, fresh);
    assert_eq!(m.recv(fresh.1, 10, 0), Err(Errno::EAGAIN));
    // When all is read, all that was taken comes, and nothing is held any more.
    let mut idle = 0;
    while idle < 50 {
        let mut got = 0;
        for &(_, server) in &all {
            while let Ok(data) = m.recv(server, 65_536, 0) {
                assert!(data.iter().all(|b| *b == 7));
                got += data.len();
            }
        }
        idle = if got == 0 { idle + 1 } else { 0 };
        world.run_for(Duration::from_millis(1000));
    }
    assert_eq!(net.tcp_table().memory_pages(), 0);
}

/// Connections that no program has any more, to peers that do not answer, are limited (`net.ipv4.tcp_max_orphans`).
#[test]
fn orphans_are_limited() {
    let world = World::new(4);
    let (a, b, link) = Machine::pair(&world, &Wire::default());
    a.kernel.net().sysctl_set("net/ipv4/tcp_max_orphans", "5").expect("the setting is there");
    let at = SocketAddr::new(addresses(2)[0].0, 80);
    let _l = listener(&b, at, 64);
    let clients: Vec<i32> = (0..20)
        .map(|_| {
            let fd = a.socket(INET, 1 | NONBLOCK, 0).expect("socket");
            let _in_progress = a.connect(fd, at);
            world.settle();
            fd
        })
        .collect();
    link.set_up(false);
    for fd in clients {
        a.close(fd).expect("close");
    }
    let net = a.kernel.net();
    assert_eq!(net.tcp_table().orphans(), 5);
    assert_eq!(net.snmp().tcp_ext.tcp_abort_on_memory.get(), 15);
    // Those that are left are given up in time.
    world.run_for(Duration::from_secs(400));
    assert_eq!(net.tcp_table().orphans(), 0);
}
