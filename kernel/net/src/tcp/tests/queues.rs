//! Queues and options against naive models.

use crate::tcp::ranges::Ranges;
use crate::tcp::rate::SendStamp;
use crate::tcp::recvq::OutOfOrder;
use crate::tcp::scoreboard::Scoreboard;
use crate::tcp::segment::Segment;
use crate::tcp::sendq::SendQueue;
use crate::tcp::Tunables;
use bytes::Bytes;
use core::time::Duration;
use lkl_ops::Instant;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[test]
fn ranges_are_a_set() {
    for seed in 0..200 {
        let mut rng = Rng(seed);
        let mut set = Ranges::default();
        let mut model = [false; 100];
        for _ in 0..60 {
            let (a, b) = (rng.below(100), rng.below(100));
            if rng.below(8) == 0 {
                let gone = model[..a as usize].iter().filter(|x| **x).count() as u64;
                model[..a as usize].fill(false);
                assert_eq!(set.remove_below(a), gone);
                continue;
            }
            let (a, b) = (a.min(b), a.max(b));
            let gaps: u64 = set.gaps(a, b).iter().map(|(s, e)| e - s).sum();
            let new = model[a as usize..b as usize].iter().filter(|x| !**x).count() as u64;
            assert_eq!(gaps, new);
            assert_eq!(set.insert(a, b).1, new);
            model[a as usize..b as usize].fill(true);
            assert_eq!(set.len(), model.iter().filter(|x| **x).count() as u64);
            for (i, held) in model.iter().enumerate() {
                assert_eq!(set.containing(i as u64).is_some(), *held);
            }
        }
    }
}

#[test]
fn out_of_order_gives_each_byte_once() {
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let source: Vec<u8> = (0..2000u32).map(|i| (i * 7) as u8).collect();
        let (mut store, mut next, mut got) = (OutOfOrder::default(), 0u64, Vec::new());
        while next < 2000 {
            let start = next + rng.below(300);
            let end = (start + 1 + rng.below(120)).min(2000);
            if start >= 2000 {
                continue;
            }
            let data = Bytes::copy_from_slice(&source[start as usize..end as usize]);
            if start == next {
                got.extend_from_slice(&data);
                next = end;
            } else {
                store.insert(start, &data);
                let blocks = store.blocks(4);
                assert!(blocks[0].0 <= start && blocks[0].1 >= end, "the newest is in the first block");
            }
            while let Some(more) = store.take(next) {
                got.extend_from_slice(&more);
                next += more.len() as u64;
            }
        }
        assert_eq!(got, source);
    }
}

#[test]
fn send_queue_is_a_string() {
    for seed in 0..100 {
        let mut rng = Rng(seed);
        let mut q = SendQueue::new(10);
        let mut model: Vec<u8> = Vec::new();
        let mut gone = 0;
        for i in 0..200u32 {
            let n = if rng.below(3) == 0 { 3000 } else { rng.below(50) };
            let data = vec![i as u8; n as usize];
            model.extend_from_slice(&data);
            q.push(data.into());
            let len = model.len() as u64;
            let from = gone + rng.below(len - gone + 1);
            let to = from + rng.below(len - from + 1);
            let cut: Vec<u8> = q.slice(10 + from, 10 + to).iter().flat_map(|b| b.to_vec()).collect();
            assert_eq!(cut, model[from as usize..to as usize]);
            if rng.below(4) == 0 {
                gone = from;
                q.release(10 + gone);
                assert_eq!(q.len(), len - gone);
            }
        }
    }
}

#[test]
fn scoreboard_counts_every_byte() {
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let mut b = Scoreboard::default();
        let (mut una, mut nxt, mut now) = (100u64, 100u64, Instant::from_millis(1));
        let rtt = Duration::from_millis(5);
        for _ in 0..300 {
            now += Duration::from_millis(rng.below(4));
            match rng.below(7) {
                0..=2 => {
                    let n = 1 + rng.below(3000);
                    b.sent(nxt, nxt + n, now, SendStamp::default());
                    nxt += n;
                }
                3 => {
                    una += rng.below(nxt - una + 1);
                    b.acknowledge(una, now, rtt);
                }
                4 if nxt > una => {
                    let l = una + rng.below(nxt - una);
                    let r = l + rng.below(nxt - l + 1);
                    let was = b.sacked_bytes();
                    let d = b.sack(l, r, now, rtt);
                    assert_eq!(b.sacked_bytes(), was + d.bytes);
                    if l < r {
                        assert!(b.is_sacked(l));
                    }
                }
                5 => {
                    b.detect(now, 1000, rtt, rtt, rng.below(2) == 0, &Tunables::default());
                    while let Some((s, e)) = b.next_lost() {
                        b.resent(s, e.min(s + 1000), now, SendStamp::default());
                        if rng.below(3) == 0 {
                            break;
                        }
                    }
                }
                _ => {
                    if rng.below(10) == 0 {
                        b.mark_all(una);
                    }
                }
            }
            assert_eq!(b.in_flight() + b.lost_bytes() + b.sacked_bytes(), nxt - una);
        }
    }
}

#[test]
fn any_bytes_parse() {
    let mut rng = Rng(5);
    for _ in 0..20_000 {
        let n = rng.below(80) as usize;
        let mut bytes: Vec<u8> = (0..n).map(|_| rng.below(256) as u8).collect();
        if let (Some(b), true) = (bytes.get_mut(12), rng.below(2) == 0) {
            *b |= 0x80;
        }
        // Small option numbers are the ones that mean something.
        for b in bytes.iter_mut().skip(20) {
            if rng.below(2) == 0 {
                *b %= 11;
            }
        }
        if let Ok((s, len)) = Segment::parse(&bytes) {
            assert!(len <= bytes.len());
            let again = s.emit();
            assert!(again.len() <= 60);
        }
    }
}

/// RFC 8985, section 6.2, step 4: the reordering window grows by a quarter of the round trip time in each round that
/// reports a duplicate, and is what it was after 16 recoveries without one.
#[test]
fn reordering_window() {
    use crate::tcp::scoreboard::Scoreboard;
    use core::time::Duration;
    use lkl_ops::Instant;

    let rtt = Duration::from_millis(40);
    let at = |ms: u64| Instant::from_millis(1000 + ms);
    let mut b = Scoreboard::default();
    b.sent(1, 1001, at(0), SendStamp::default());
    b.sent(1001, 2001, at(1), SendStamp::default());
    b.sack(1001, 2001, at(41), rtt);
    let due = |b: &mut Scoreboard| b.detect(at(41), 1000, rtt, Duration::from_millis(100), false, &Tunables::default());
    assert_eq!(due(&mut b), (0, Some(at(50))));
    b.note_spurious(1, 2001);
    assert_eq!(due(&mut b), (0, Some(at(60))));
    b.note_spurious(1, 2001);
    assert_eq!(due(&mut b), (0, Some(at(60))));
    b.note_spurious(2001, 3001);
    assert_eq!(due(&mut b), (0, Some(at(70))));
    for _ in 0..15 {
        b.recovered();
    }
    assert_eq!(due(&mut b), (0, Some(at(70))));
    b.recovered();
    // Something came out of order, so there is a window still, in recovery too.
    assert_eq!(due(&mut b), (0, Some(at(50))));
    assert_eq!(b.detect(at(50), 1000, rtt, rtt, true, &Tunables::default()), (1000, None));
}

/// What every connection takes, however idle it is; the heap of the preloaded library has blocks of this size.
#[test]
fn a_connection_is_small() {
    let size = size_of::<crate::tcp::Connection>();
    assert!(size <= 640, "{size} bytes");
}
