//! Many connections of one machine with itself.

use crate::machine::{INET, NONBLOCK};
use crate::{Machine, World};
use std::net::SocketAddr;

/// A listening TCP socket.
///
/// # Panics
/// If it cannot be had.
pub fn listener(m: &Machine, at: SocketAddr, backlog: i32) -> i32 {
    let fd = m.socket(INET, 1 | NONBLOCK, 0).expect("socket");
    m.bind(fd, at).expect("bind");
    m.listen(fd, backlog).expect("listen");
    fd
}

/// Makes `count` connections over loopback to ports from `port` on; answers client and server ends.
///
/// # Panics
/// If one cannot be made.
pub fn crowd(m: &Machine, world: &World, port: u16, count: usize) -> Vec<(i32, i32)> {
    let mut all = Vec::with_capacity(count);
    for port in port.. {
        let at = SocketAddr::new([127, 0, 0, 1].into(), port);
        let l = listener(m, at, 128);
        for _ in 0..1000.min(count - all.len()) {
            let client = m.socket(INET, 1 | NONBLOCK, 0).expect("socket");
            let _in_progress = m.connect(client, at);
            world.settle();
            all.push((client, m.accept(l, true).expect("accept")));
        }
        m.close(l).expect("close");
        if all.len() == count {
            break;
        }
    }
    all
}

/// A byte goes one way and another one back.
///
/// # Panics
/// If it does not.
pub fn talks(m: &Machine, world: &World, (a, b): (i32, i32)) {
    for (from, to) in [(a, b), (b, a)] {
        assert_eq!(m.send(from, b"x", 0), Ok(1));
        world.settle();
        assert_eq!(m.recv(to, 10, 0).expect("a byte"), b"x");
    }
}
