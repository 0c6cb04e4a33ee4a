//! Many connections, and peers that mean no good: memory stays bounded, and others are served.

use lkl_abi::epoll::EPOLL_EVENT_SIZE;
use lkl_abi::{nr, Errno};
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

/// An `epoll_wait` that does not wait: the descriptors that are ready.
fn ready(m: &Machine, epoll: i32, most: usize) -> Vec<i32> {
    let at = m.put(&[]);
    let n = m.call(nr::EPOLL_PWAIT, [epoll as u64, at, most as u64, 0, 0, 0]).expect("epoll_pwait");
    let events = m.get(n as usize * EPOLL_EVENT_SIZE);
    events
        .chunks_exact(EPOLL_EVENT_SIZE)
        .filter_map(|e| e.get(8..12)?.try_into().ok())
        .map(i32::from_le_bytes)
        .collect()
}

/// Puts a descriptor into an epoll instance, to be told when it can be read.
fn watch(m: &Machine, epoll: i32, fd: i32) {
    let at = m.put(&[1u32.to_le_bytes(), [0; 4], fd.to_le_bytes(), [0; 4]].concat());
    m.call(nr::EPOLL_CTL, [epoll as u64, 1, fd as u64, at, 0, 0]).expect("epoll_ctl");
}

/// A hundred thousand connections of one process do nothing, ten thousand more talk at once, all in one epoll instance. What is
/// done for a call or a segment does not depend on how many there are: that would take hours here.
#[test]
fn a_hundred_thousand_idle() {
    const IDLE: usize = 100_000;
    const ACTIVE: usize = 10_000;
    let world = World::new(5);
    let m = Machine::new(&world);
    let epoll = m.call(nr::EPOLL_CREATE1, [0; 6]).expect("epoll_create1") as i32;
    let all = crowd(&m, &world, 1000, IDLE + ACTIVE);
    for &(_, server) in &all {
        watch(&m, epoll, server);
    }
    // Those that talk are spread among those that do not.
    let (active, idle): (Vec<_>, Vec<_>) = all.iter().enumerate().partition(|(i, _)| i % 11 == 0);
    assert_eq!((active.len(), idle.len()), (ACTIVE, IDLE));
    for round in 0..3u8 {
        for (_, (client, _)) in &active {
            assert_eq!(m.send(*client, &[round], 0), Ok(1));
        }
        world.settle();
        let mut served = 0;
        while served < ACTIVE {
            let some = ready(&m, epoll, 512);
            assert!(!some.is_empty(), "{served} of {ACTIVE} are told of in round {round}");
            for fd in some {
                assert_eq!(m.recv(fd, 10, 0), Ok(vec![round]));
                assert_eq!(m.send(fd, &[round, 1], 0), Ok(2));
                served += 1;
            }
        }
        world.settle();
        assert!(ready(&m, epoll, 512).is_empty());
        for (_, (client, _)) in &active {
            assert_eq!(m.recv(*client, 10, 0), Ok(vec![round, 1]));
        }
    }
    // Nobody was forgotten, and each can be closed.
    for (_, pair) in idle.iter().step_by(1000) {
        talks(&m, &world, **pair);
    }
    for (client, server) in all {
        m.close(client).expect("close");
        m.close(server).expect("close");
    }
    world.run_for(Duration::from_secs(70));
    assert!(m.kernel.net().tcp_sockets().is_empty(), "all are gone");
}
