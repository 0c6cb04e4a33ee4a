//! Pacing, the delivery rate, and what BBR makes of it.

use super::kit::{config, Script, MSS};
use crate::tcp::Settings;
use core::time::Duration;

const FULL: usize = MSS as usize;

/// The Linux way of `SO_MAX_PACING_RATE`: the first ten segments go at once, then each waits for its time.
#[test]
fn segments_go_at_the_rate_that_was_set() {
    let mut s = Script::established(Settings { max_pacing_rate: 100_000, ..Settings::default() });
    s.send(20 * FULL);
    for i in 0..10 {
        s.data(1 + 1000 * i, FULL);
    }
    s.nothing();
    s.ack_of(10_001);
    // The tenth was the first one that counted: 1000 bytes at 100 kB/s are 10 ms.
    for i in 10..14 {
        s.nothing();
        s.wait(9);
        s.nothing();
        s.wait(1);
        s.data(1 + 1000 * i, FULL);
    }
    assert_eq!(s.c.info(s.now).pacing_rate, 100_000);
}

/// What held the sender back is counted (`tcpi_busy_time`, `tcpi_rwnd_limited`).
#[test]
fn limits_are_timed() {
    let mut s = Script::established(Settings::default());
    s.wait(500);
    s.window = 2000;
    s.inject(crate::tcp::Flags::ACK, 1, 1, b"");
    s.send(4 * FULL);
    assert_eq!(s.drain(), 2);
    s.wait(30);
    s.window = 60_000;
    s.ack_of(2001);
    assert_eq!(s.drain(), 2);
    s.wait(20);
    s.ack_of(4001);
    s.drain();
    let i = s.c.info(s.now);
    let ms = Duration::from_millis;
    assert_eq!((i.busy_time, i.rwnd_limited, i.sndbuf_limited), (ms(50), ms(30), ms(0)));
    // Two segments in 30 ms, then two in 20; the program was the limit of neither.
    assert_eq!((i.delivery_rate, i.delivered), (2000 * 1000 / 20, 4));
}

/// A path of a megabyte a second and 10 ms: BBR finds its rate, and leaves its queue empty but for the probes.
#[test]
fn bbr_finds_the_rate() {
    let mut s = Script::established_with(config(Settings { congestion: "bbr", ..Settings::default() }), true);
    s.window = 65_000;
    let (mut link_free, mut acks) = (s.now, std::collections::VecDeque::new());
    let end = s.now + Duration::from_secs(4);
    let (mut queue, mut acked) = (Duration::ZERO, 1);
    while s.now < end {
        while s.c.unsent() < 100_000 {
            s.send(10 * FULL);
        }
        while let Some(out) = s.poll() {
            let seq = out.header.seq.wrapping_sub(super::kit::ISS) + out.payload_len() as u32;
            link_free = link_free.max(s.now) + Duration::from_millis(1);
            acks.push_back((link_free + Duration::from_millis(9), seq));
            if s.now.since(end - Duration::from_secs(1)) > Duration::ZERO {
                queue = queue.max(link_free.since(s.now));
            }
        }
        s.now += Duration::from_micros(250);
        if s.c.deadline().is_some_and(|d| d <= s.now) {
            s.c.on_timer(s.now);
        }
        while acks.front().is_some_and(|a| a.0 <= s.now) {
            acked = acks.pop_front().map_or(acked, |a| a.1);
            s.ack_of(acked);
        }
    }
    let i = s.c.bbr_info().expect("BBR");
    assert!((950_000..1_050_000).contains(&i.bw), "{i:?}");
    assert!((10..11).contains(&i.min_rtt.as_millis()), "{i:?}");
    assert!(queue < Duration::from_millis(30), "{queue:?}");
    assert!(acked > 3_500_000, "{acked}");
}
