//! A foreign stack as the peer: smoltcp, as client and as server, over both IP versions and over bad wires.

use lkl_abi::Errno;
use lkl_tests::machine::{addresses, NONBLOCK};
use lkl_tests::peer::Peer;
use lkl_tests::transfer::{byte, bytes, family, Sink, Source};
use lkl_tests::{seed, Machine, Wire, World};
use std::net::SocketAddr;
use std::time::Duration;

const TOTAL: u64 = 200_000;

/// What the peer does on each look: it sends its stream, then the end, and checks ours.
#[derive(Default)]
struct Talk {
    sent: u64,
    got: u64,
}

impl Talk {
    /// Answers whether all has come.
    fn step(&mut self, peer: &mut Peer) -> bool {
        peer.poll();
        let socket = peer.socket();
        while self.sent < TOTAL && socket.can_send() {
            let len = (TOTAL - self.sent).min(4000) as usize;
            self.sent += socket.send_slice(&bytes(2, self.sent, len)).expect("it can send") as u64;
        }
        if self.sent == TOTAL && socket.may_send() {
            socket.close();
        }
        while socket.can_recv() {
            let got = &mut self.got;
            socket
                .recv(|data| {
                    for &b in data.iter() {
                        assert_eq!(b, byte(1, *got), "byte {got}");
                        *got += 1;
                    }
                    (data.len(), ())
                })
                .expect("it can receive");
        }
        peer.poll();
        self.got == TOTAL && self.sent == TOTAL
    }
}

fn transfer(world: &World, m: &Machine, peer: &mut Peer, fd: i32) {
    let (mut out, mut input, mut talk) = (Source::new(1, TOTAL), Sink::new(2, TOTAL), Talk::default());
    let end = world.now() + Duration::from_secs(600);
    let done = world.run_until(Some(end), || out.step(m, fd) & input.step(m, fd) & talk.step(peer));
    assert!(done, "ours got {}, theirs {:?}", input.got(), (talk.sent, talk.got));
    m.close(fd).expect("close");
}

fn ours_connects(wire: &Wire, v6: usize, own: u64) {
    let world = World::new(seed(own));
    let (m, mut peer, _link) = Peer::new(&world, wire);
    peer.socket().listen(7).expect("listen");
    let ip = addresses(2)[v6].0;
    let fd = m.socket(family(ip), 1 | NONBLOCK, 0).expect("socket");
    assert_eq!(m.connect(fd, SocketAddr::new(ip, 7)), Err(Errno::EINPROGRESS));
    let end = world.now() + Duration::from_secs(60);
    assert!(world.run_until(Some(end), || {
        peer.poll();
        m.connect(fd, SocketAddr::new(ip, 7)) != Err(Errno::EALREADY)
    }));
    transfer(&world, &m, &mut peer, fd);
}

fn theirs_connects(wire: &Wire, v6: usize, own: u64) {
    let world = World::new(seed(own));
    let (m, mut peer, _link) = Peer::new(&world, wire);
    let at = SocketAddr::new(addresses(1)[v6].0, 7);
    let listener = m.socket(family(at.ip()), 1 | NONBLOCK, 0).expect("socket");
    m.bind(listener, at).expect("bind");
    m.listen(listener, 4).expect("listen");
    peer.connect(at, 50_000);
    let mut fd = None;
    let end = world.now() + Duration::from_secs(60);
    world.run_until(Some(end), || {
        peer.poll();
        fd = m.accept(listener, true).ok();
        fd.is_some()
    });
    transfer(&world, &m, &mut peer, fd.expect("a connection"));
}

fn wires() -> [Wire; 3] {
    let delay = Duration::from_millis(5);
    [
        Wire::default(),
        Wire { delay, loss: 0.02, ..Wire::default() },
        Wire { delay, loss: 0.01, reorder: 0.05, duplicate: 0.05, corrupt: 0.01, ..Wire::default() },
    ]
}

#[test]
fn to_it() {
    for (n, wire) in wires().iter().enumerate() {
        ours_connects(wire, 0, 10 + n as u64);
        ours_connects(wire, 1, 20 + n as u64);
    }
}

#[test]
fn from_it() {
    for (n, wire) in wires().iter().enumerate() {
        theirs_connects(wire, 0, 30 + n as u64);
        theirs_connects(wire, 1, 40 + n as u64);
    }
}
