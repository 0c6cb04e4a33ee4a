//! Whatever bytes come in, nothing panics.

use super::{kit, Kit};
use crate::netlink::wire::{To, Writer};
use lkl_abi::netlink::{NETLINK_GENERIC, NETLINK_ROUTE, NETLINK_SOCK_DIAG};
use lkl_ops::sim::Rng;

fn garbage(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| if rng.chance(0.5) { 0 } else { rng.next_u64() as u8 }).collect()
}

/// A message whose attributes have sound lengths and unsound content.
fn nearly(rng: &mut Rng, w: &mut Writer, depth: u32) {
    for _ in 0..rng.below(6) {
        let kind = rng.below(70) as u16;
        if depth < 3 && rng.chance(0.3) {
            w.nest(kind, |w| nearly(rng, w, depth + 1));
        } else {
            let len = rng.below(24) as usize;
            w.attr(kind, &garbage(rng, len));
        }
    }
}

fn feed(k: &Kit, protocol: u32, kinds: core::ops::Range<u64>, rounds: u32) {
    let mut rng = Rng::new(protocol.into());
    let c = k.client(protocol);
    for _ in 0..rounds {
        let mut w = Writer::default();
        let kind = (kinds.start + rng.below(kinds.end - kinds.start)) as u16;
        let flags = rng.next_u64() as u16 | 1;
        w.message(kind, To { seq: 1, pid: 0, flags }, |w| {
            let family = [0, 2, 10, 16, 17, 7][rng.below(6) as usize];
            let fixed = [4, 8, 12, 16, 20, 56][rng.below(6) as usize];
            let mut head = garbage(&mut rng, fixed);
            head[0] = family;
            w.bytes(&head);
            nearly(&mut rng, w, 0);
        });
        let mut bytes = w.into_bytes();
        if rng.chance(0.3) {
            let cut = rng.below(bytes.len() as u64 + 1) as usize;
            bytes.truncate(cut);
        }
        if rng.chance(0.3) && !bytes.is_empty() {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        let _answer = c.send(&bytes);
        c.drain();
    }
}

#[test]
fn route() {
    feed(&kit(), NETLINK_ROUTE, 16..110, 20_000);
}

#[test]
fn sock_diag() {
    feed(&kit(), NETLINK_SOCK_DIAG, 18..22, 5_000);
}

#[test]
fn generic() {
    feed(&kit(), NETLINK_GENERIC, 16..23, 10_000);
}

#[test]
fn plain_noise() {
    let k = kit();
    let mut rng = Rng::new(9);
    for protocol in [NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_GENERIC] {
        let c = k.client(protocol);
        for _ in 0..3000 {
            let len = rng.below(200) as usize;
            let _answer = c.send(&garbage(&mut rng, len));
            c.drain();
        }
    }
}

#[test]
fn ioctl_noise() {
    let k = kit();
    let mut rng = Rng::new(3);
    for _ in 0..30_000 {
        let mut bytes = garbage(&mut rng, 160);
        if rng.chance(0.7) {
            bytes[..16].copy_from_slice(b"eth0\0\0\0\0\0\0\0\0\0\0\0\0");
        }
        if rng.chance(0.5) {
            // A pointer that leads somewhere.
            bytes[16..24].copy_from_slice(&(super::BASE + 48).to_ne_bytes());
            bytes[48..52].copy_from_slice(&(rng.below(80) as u32).to_ne_bytes());
        }
        let mem = super::Mem::new(&bytes);
        let request = 0x8900 + rng.below(0x100) as u32;
        let family = [2, 10, 16, 17][rng.below(4) as usize];
        let _answer = crate::dev_ioctl_family(&k.net, family, &mem, request, super::BASE);
    }
}
