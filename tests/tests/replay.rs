//! Foreign bytes into a whole kernel: frames, netlink messages, system calls. It must not panic, and it must still
//! answer a ping afterwards.
//!
//! `LKL_FUZZ_ROUNDS` is how many seeds each test takes (8), `LKL_SEED` the first; `scripts/fuzz` runs more of them.

use lkl_abi::{nr, Errno};
use lkl_tests::machine::{addresses, INET, INET6, NONBLOCK};
use lkl_tests::wire::Stub;
use lkl_tests::{seed, Machine, Rng, Wire, World};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn rounds(own: u64, mut test: impl FnMut(u64)) {
    let count = std::env::var("LKL_FUZZ_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(8);
    let first = seed(own);
    for seed in first..first + count {
        println!("seed {seed}");
        test(seed);
    }
}

fn alive(world: &World, m: &Machine, stub: &Stub) {
    assert!(!m.kernel.oopsed(), "the kernel has panicked");
    // What the noise has made of the neighbours is to settle first.
    world.run_for(Duration::from_secs(40));
    while stub.receive().is_some() {}
    assert!(stub.pings(world), "no answer to a ping");
    assert!(!m.kernel.oopsed(), "the kernel has panicked");
}

fn noise(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

/// Changes some bytes, or the length.
fn mutate(rng: &mut Rng, data: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        let len = data.len() as u64;
        match rng.below(8) {
            0 if len > 0 => data.truncate(rng.below(len) as usize),
            1 => {
                let more = rng.below(64) as usize;
                data.extend(noise(rng, more));
            }
            n => {
                let at = if len > 60 && n < 6 { rng.below(60) } else { rng.below(len.max(1)) } as usize;
                if let Some(b) = data.get_mut(at) {
                    *b = [0, 255, 1, 127, *b ^ 1 << rng.below(8), rng.next_u64() as u8][rng.below(6) as usize];
                }
            }
        }
    }
}

/// Sockets of all kinds for the noise to meet.
fn sockets(m: &Machine) -> Vec<i32> {
    let mut fds = Vec::new();
    for family in [INET, INET6] {
        for (kind, protocol) in [(1, 0), (2, 0), (2, 1), (2, 58), (3, 1), (3, 58), (3, 255)] {
            fds.extend(m.socket(family, kind | NONBLOCK, protocol));
        }
    }
    fds.extend(m.socket(17, 3 | NONBLOCK, 0x0300));
    fds.extend(m.socket(17, 2 | NONBLOCK, 0x0300));
    for protocol in [0, 4, 16] {
        fds.extend(m.socket(16, 3 | NONBLOCK, protocol));
    }
    for (n, &fd) in fds.iter().enumerate() {
        let ip = addresses(1)[usize::from(n >= 7)].0;
        let _any = m.bind(fd, SocketAddr::new(ip, 7));
        if n % 7 == 0 && n < 14 {
            let _any = m.listen(fd, 4);
        }
    }
    fds
}

fn drain(m: &Machine, fds: &[i32]) {
    for &fd in fds {
        for _ in 0..64 {
            if m.recv(fd, 4096, 0).is_err() {
                break;
            }
        }
    }
}

#[test]
fn noise_frames() {
    rounds(1, |seed| {
        let world = World::new(seed);
        let (m, stub) = Stub::new(&world, &Wire::default());
        let fds = sockets(&m);
        let mut rng = Rng::new(seed);
        for _ in 0..500 {
            let len = rng.below(200) as usize;
            let mut frame = noise(&mut rng, len);
            for (to, from) in frame.iter_mut().zip(lkl_ops::NetDev::mac(&*stub.link.a)) {
                *to = from;
            }
            let kinds = [[8, 0], [0x86, 0xdd], [8, 6], [0x81, 0]];
            if let Some(place) = frame.get_mut(12..14) {
                place.copy_from_slice(&kinds[rng.below(4) as usize]);
            }
            stub.link.b.put(&frame);
            world.run_for(Duration::from_millis(1));
        }
        drain(&m, &fds);
        alive(&world, &m, &stub);
    });
}

#[test]
fn changed_frames() {
    // What two machines say to each other is the corpus.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let world = World::new(seed(7));
    let (a, b, link) = Machine::pair(&world, &Wire::default());
    let keep = seen.clone();
    link.tap(move |_, _, frame| keep.lock().expect("no panic before").push(frame.to_vec()));
    for (ip, _) in addresses(2) {
        let (c, s) = (
            a.socket(if ip.is_ipv4() { INET } else { INET6 }, 2, 0),
            b.socket(if ip.is_ipv4() { INET } else { INET6 }, 2 | NONBLOCK, 0),
        );
        b.bind(s.expect("socket"), SocketAddr::new(ip, 7)).expect("bind");
        for len in [0, 10, 4000] {
            a.send_to(c.expect("socket"), &vec![1; len], SocketAddr::new(ip, 7)).expect("send");
            a.send_to(c.expect("socket"), &vec![1; len], SocketAddr::new(ip, 8)).expect("send");
            world.run_for(Duration::from_millis(50));
        }
        lkl_tests::transfer::both_ways(&world, &a, &b, ip, 5000, 5000, Duration::from_secs(60));
    }
    let corpus = seen.lock().expect("no panic before").clone();
    assert!(corpus.len() > 20);
    rounds(2, |seed| {
        let world = World::new(seed);
        let (m, stub) = Stub::new(&world, &Wire::default());
        let fds = sockets(&m);
        let mut rng = Rng::new(seed);
        for _ in 0..1000 {
            let mut frame = corpus[rng.below(corpus.len() as u64) as usize].clone();
            mutate(&mut rng, &mut frame);
            for (to, from) in frame.iter_mut().zip(lkl_ops::NetDev::mac(&*stub.link.a)) {
                *to = from;
            }
            // Half of the corpus is for the other end: turned around, it is for this one.
            if rng.chance(0.5) {
                if let Some(header) = frame.get_mut(26..34) {
                    header.rotate_left(4);
                }
            }
            stub.link.b.put(&frame);
            world.run_for(Duration::from_micros(300));
        }
        drain(&m, &fds);
        alive(&world, &m, &stub);
    });
}

#[test]
fn netlink_messages() {
    rounds(3, |seed| {
        let world = World::new(seed);
        let (m, stub) = Stub::new(&world, &Wire::default());
        let mut rng = Rng::new(seed);
        let fds: Vec<_> = [0, 4, 16].into_iter().filter_map(|p| m.socket(16, 3 | NONBLOCK, p).ok()).collect();
        assert_eq!(fds.len(), 3);
        for _ in 0..1500 {
            let n = rng.below(3) as usize;
            // Nothing that takes the link down for good: only requests that read or add.
            let kind = [18u16, 22, 26, 30, 34, 20, 24, 16, 28, 66, 74, 80, 82, 20][rng.below(14) as usize];
            let payload = rng.below(100) as usize;
            let mut body = noise(&mut rng, payload);
            for (at, value) in [(0, [0, 2, 10][rng.below(3) as usize]), (4, 1)] {
                if let Some(b) = body.get_mut(at) {
                    *b = value;
                }
            }
            // Attributes whose lengths make sense now and then.
            let mut at = 12;
            while rng.chance(0.8) && at + 4 < body.len() {
                let len = 4 + rng.below(20);
                body[at] = len as u8;
                body[at + 1] = 0;
                body[at + 2] = rng.below(30) as u8;
                body[at + 3] = 0;
                at += len.next_multiple_of(4) as usize;
            }
            let mut message = Vec::new();
            message.extend((16 + body.len() as u32).to_le_bytes());
            message.extend(kind.to_le_bytes());
            message.extend([1u16, 5, 0x301, 0x501, 0x605][rng.below(5) as usize].to_le_bytes());
            message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
            message.extend(body);
            if rng.chance(0.3) {
                mutate(&mut rng, &mut message);
            }
            let read_only = matches!(kind, 18 | 22 | 26 | 30 | 34 | 66 | 74 | 80 | 82) || n > 0;
            if read_only || kind % 4 == 0 && rng.chance(0.2) {
                let _any = m.send(fds[n], &message, 0);
            }
            drain(&m, &fds[n..=n]);
        }
        assert!(!m.kernel.oopsed(), "the kernel has panicked");
        let _ = &stub;
        world.run_for(Duration::from_secs(1));
        assert!(!m.kernel.oopsed(), "the kernel has panicked");
    });
}

#[test]
fn system_calls() {
    rounds(4, |seed| {
        let world = World::new(seed);
        let (mut m, stub) = Stub::new(&world, &Wire::default());
        m.impatient();
        let mut rng = Rng::new(seed);
        let mut fds = sockets(&m);
        fds.push(m.call(nr::EPOLL_CREATE1, [0; 6]).expect("epoll") as i32);
        let calls = [
            nr::SETSOCKOPT,
            nr::GETSOCKOPT,
            nr::SENDTO,
            nr::RECVFROM,
            nr::SENDMSG,
            nr::RECVMSG,
            nr::IOCTL,
            nr::FCNTL,
            nr::BIND,
            nr::CONNECT,
            nr::LISTEN,
            nr::ACCEPT4,
            nr::GETSOCKNAME,
            nr::GETPEERNAME,
            nr::SHUTDOWN,
            nr::EPOLL_CTL,
            nr::EPOLL_PWAIT,
            nr::PPOLL,
            nr::READV,
            nr::WRITEV,
            nr::READ,
            nr::WRITE,
            nr::SOCKET,
            nr::DUP,
            nr::FSTAT,
            nr::SENDMMSG,
            nr::RECVMMSG,
            nr::PSELECT6,
        ];
        for n in 0..2000 {
            let len = rng.below(300) as usize;
            let data = noise(&mut rng, len);
            let base = m.put(&data);
            let mut args = [0; 6];
            for a in &mut args {
                *a = match rng.below(8) {
                    0 | 1 => base + rng.below(64),
                    2 | 3 => rng.below(40),
                    4 => rng.below(300),
                    5 => 0,
                    6 => rng.next_u64() & 0xffff_ffff,
                    _ => rng.next_u64(),
                };
            }
            args[0] = fds[rng.below(fds.len() as u64) as usize] as u64;
            let call = calls[rng.below(calls.len() as u64) as usize];
            // A wait ends at once: all sockets are non-blocking, and nobody waits for ever.
            if call == nr::IOCTL {
                args[1] = 0x8900 + rng.below(0x100);
                // Not down with the link.
                if matches!(args[1], 0x8914 | 0x8916 | 0x891c | 0x8922 | 0x8924 | 0x8936 | 0x8923 | 0x890b | 0x890c) {
                    continue;
                }
            }
            let result = m.call(call, args);
            assert_ne!(result, Err(Errno::EIO), "call {call} with {args:x?} in round {n}");
            assert!(!m.kernel.oopsed(), "call {call} with {args:x?} in round {n}");
        }
        for fd in fds {
            let _any = m.close(fd);
        }
        alive(&world, &m, &stub);
    });
}
