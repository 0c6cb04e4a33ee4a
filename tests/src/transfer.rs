//! Programs that move bytes between machines and check each of them.
//!
//! The bytes of a stream are a function of its seed and of their place, so that what is lost, doubled, moved or
//! changed is seen at once, and where.

use crate::machine::{Machine, INET, INET6, NONBLOCK};
use lkl_abi::Errno;
use lkl_ops::sim::World;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Bytes of one call at most.
const CHUNK: usize = 16 * 1024;
const STREAM: u32 = 1;
const SHUT_WR: u32 = 1;

/// The byte at place `at` of the stream `seed`.
pub fn byte(seed: u64, at: u64) -> u8 {
    let mut x = (at >> 3).wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)).to_le_bytes()[(at & 7) as usize]
}

/// The bytes from `at` on.
pub fn bytes(seed: u64, at: u64, len: usize) -> Vec<u8> {
    (at..at + len as u64).map(|i| byte(seed, i)).collect()
}

/// One direction of a connection: sends `total` bytes, then the end.
#[derive(Debug)]
pub struct Source {
    seed: u64,
    total: u64,
    sent: u64,
    shut: bool,
}

impl Source {
    /// A stream of `total` bytes.
    pub fn new(seed: u64, total: u64) -> Self {
        Self { seed, total, sent: 0, shut: false }
    }

    /// Sends what can be sent. Answers whether all is sent and the end too.
    ///
    /// # Panics
    /// On an error of the connection.
    pub fn step(&mut self, m: &Machine, fd: i32) -> bool {
        while self.sent < self.total {
            let len = CHUNK.min((self.total - self.sent) as usize);
            match m.send(fd, &bytes(self.seed, self.sent, len), 0) {
                Ok(n) => self.sent += n as u64,
                Err(Errno::EAGAIN) => return false,
                Err(e) => panic!("send at {} of {}: {e:?}", self.sent, self.total),
            }
        }
        if !self.shut {
            m.shutdown(fd, SHUT_WR).expect("shutdown");
            self.shut = true;
        }
        true
    }
}

/// The other end of a [`Source`].
#[derive(Debug)]
pub struct Sink {
    seed: u64,
    total: u64,
    got: u64,
    ended: bool,
}

impl Sink {
    /// Expects `total` bytes, then the end.
    pub fn new(seed: u64, total: u64) -> Self {
        Self { seed, total, got: 0, ended: false }
    }

    /// How much has come.
    pub fn got(&self) -> u64 {
        self.got
    }

    /// Receives what is there. Answers whether the end has come.
    ///
    /// # Panics
    /// If a byte is not the one that was sent, or the end is not where it should be.
    pub fn step(&mut self, m: &Machine, fd: i32) -> bool {
        while !self.ended {
            match m.recv(fd, CHUNK, 0) {
                Ok(data) if data.is_empty() => {
                    assert_eq!(self.got, self.total, "the end comes early or late");
                    self.ended = true;
                }
                Ok(data) => {
                    for b in data {
                        assert_eq!(b, byte(self.seed, self.got), "byte {} of {}", self.got, self.total);
                        self.got += 1;
                    }
                }
                Err(Errno::EAGAIN) => return false,
                Err(e) => panic!("recv at {} of {}: {e:?}", self.got, self.total),
            }
        }
        true
    }
}

/// The address family of an address.
pub fn family(ip: IpAddr) -> u16 {
    if ip.is_ipv4() {
        INET
    } else {
        INET6
    }
}

/// Connects `a` to a listener of `b` at `ip`: gives both ends, not blocking.
///
/// # Panics
/// If it does not come about within two minutes.
pub fn connect(world: &World, a: &Machine, b: &Machine, ip: IpAddr, port: u16) -> (i32, i32) {
    let at = SocketAddr::new(ip, port);
    let listener = b.socket(family(ip), STREAM | NONBLOCK, 0).expect("socket");
    b.bind(listener, at).expect("bind");
    b.listen(listener, 8).expect("listen");
    let client = a.socket(family(ip), STREAM | NONBLOCK, 0).expect("socket");
    assert_eq!(a.connect(client, at), Err(Errno::EINPROGRESS));
    let mut server = None;
    let end = world.now() + Duration::from_secs(120);
    world.run_until(Some(end), || {
        server = b.accept(listener, true).ok();
        server.is_some()
    });
    let server = server.expect("a connection within two minutes");
    b.close(listener).expect("close");
    (client, server)
}

/// Moves `up` bytes from `a` to `b` and `down` back, at once, over a new connection, and closes it. Gives the time that it took.
///
/// # Panics
/// If a byte is wrong, or if it is not done within `limit`.
pub fn both_ways(world: &World, a: &Machine, b: &Machine, ip: IpAddr, up: u64, down: u64, limit: Duration) -> Duration {
    let (client, server) = connect(world, a, b, ip, 7000);
    let begin = world.now();
    let seed = world.random();
    let (mut out, mut input) = (Source::new(seed, up), Sink::new(seed, up));
    let (mut back, mut front) = (Source::new(!seed, down), Sink::new(!seed, down));
    let done = world.run_until(Some(begin + limit), || {
        let a_done = out.step(a, client) & front.step(a, client);
        let b_done = input.step(b, server) & back.step(b, server);
        a_done && b_done
    });
    assert!(done, "not done after {limit:?}: up {} of {up}, down {} of {down}", input.got(), front.got());
    let took = world.now().since(begin);
    a.close(client).expect("close");
    b.close(server).expect("close");
    took
}
