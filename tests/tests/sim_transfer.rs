//! TCP between two of our kernels over wires of all kinds: each byte comes once, in order, and in time.

use lkl_tests::transfer::both_ways;
use lkl_tests::{machine::addresses, seed, Machine, Wire, World};
use std::net::IpAddr;
use std::time::Duration;

const KIB: u64 = 1024;

fn over(wire: &Wire, own: u64, up: u64, down: u64, limit: Duration) -> Vec<Duration> {
    addresses(2)
        .into_iter()
        .map(|(ip, _)| {
            let world = World::new(seed(own));
            let (a, b, link) = Machine::pair(&world, wire);
            let took = both_ways(&world, &a, &b, ip, up, down, limit);
            println!("{wire:?} to {ip}: {took:?}, frames {:?} {:?}", link.a.counts(), link.b.counts());
            took
        })
        .collect()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn perfect_wire() {
    over(&Wire::default(), 1, 4096 * KIB, 4096 * KIB, ms(10_000));
}

#[test]
fn offload() {
    over(&Wire { offload: true, delay: ms(1), ..Wire::default() }, 2, 4096 * KIB, 4096 * KIB, ms(10_000));
}

#[test]
fn loopback() {
    let world = World::new(seed(3));
    let m = Machine::new(&world);
    for ip in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])] {
        both_ways(&world, &m, &m, ip, 2048 * KIB, 2048 * KIB, ms(10_000));
    }
}

#[test]
fn delay() {
    // A window of 64 KiB or more, a start of ten segments: 1 MiB at 100 ms takes some tens of round trips at most.
    for took in over(&Wire { delay: ms(50), ..Wire::default() }, 4, 1024 * KIB, 0, ms(10_000)) {
        assert!(took < ms(3_000), "{took:?}");
    }
}

#[test]
fn loss_by_delay() {
    for (n, loss) in [0.001, 0.02, 0.1].into_iter().enumerate() {
        for (k, delay) in [0, 1, 20, 100].into_iter().enumerate() {
            let wire = Wire { loss, delay: ms(delay), ..Wire::default() };
            over(&wire, 100 + n as u64 * 10 + k as u64, 256 * KIB, 64 * KIB, ms(600_000));
        }
    }
}

#[test]
fn reorder_and_duplicates() {
    for (n, share) in [0.02, 0.2].into_iter().enumerate() {
        let wire = Wire { delay: ms(5), reorder: share, duplicate: share, jitter: ms(1), ..Wire::default() };
        over(&wire, 200 + n as u64, 512 * KIB, 512 * KIB, ms(120_000));
    }
}

#[test]
fn corruption_never_reaches_the_program() {
    over(&Wire { corrupt: 0.03, delay: ms(2), ..Wire::default() }, 300, 256 * KIB, 256 * KIB, ms(600_000));
}

#[test]
fn narrow_wire_with_a_short_queue() {
    let wire = Wire { bandwidth: 8_000_000, queue: 20_000, delay: ms(10), ..Wire::default() };
    for took in over(&wire, 400, 1024 * KIB, 0, ms(60_000)) {
        // 1 MiB/s at most; half of it is to be had.
        assert!(took < ms(2_500), "{took:?}");
    }
}

#[test]
fn everything_at_once() {
    for n in 0..6 {
        let wire = Wire {
            loss: 0.02,
            duplicate: 0.02,
            reorder: 0.02,
            corrupt: 0.005,
            delay: ms(3),
            jitter: ms(2),
            ..Wire::default()
        };
        over(&wire, 500 + n, 256 * KIB, 256 * KIB, ms(600_000));
    }
}

#[test]
fn small_mtu() {
    over(&Wire { mtu: 1280, loss: 0.01, delay: ms(1), ..Wire::default() }, 600, 256 * KIB, 256 * KIB, ms(120_000));
}
