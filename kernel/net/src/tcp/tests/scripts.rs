//! Packet scripts, one or more for each section of an RFC that is claimed.

use super::kit::{config, Script, IRS, ISS, MSS};
use crate::tcp::{
    Connection, Event, Flags, Options, Read, Request, RequestVerdict, Segment, Settings, State, TimeWaitVerdict,
    Tunables,
};
use bytes::Bytes;
use core::time::Duration;
use lkl_abi::Errno;
use lkl_ops::Instant;
use std::sync::Arc;

const FULL: usize = MSS as usize;

fn plain() -> Script {
    Script::established(Settings::default())
}

fn nodelay() -> Script {
    Script::established(Settings { nodelay: true, ..Settings::default() })
}

/// RFC 9293, section 3.10.7.3: a reset that acknowledges the SYN refuses, another does not.
#[test]
fn refused() {
    let mut s = Script::connect(config(Settings::default()));
    s.expect();
    s.inject(Flags::RST | Flags::ACK, 0, 77, b"");
    assert_eq!(s.c.state(), State::SynSent);
    s.nothing();
    s.inject(Flags::RST | Flags::ACK, 0, 1, b"");
    assert_eq!((s.c.state(), s.c.take_error()), (State::Closed, Some(Errno::ECONNREFUSED)));
    s.nothing();
}

/// RFC 9293, section 3.5.2: an acknowledgement of what was never sent is answered by a reset.
#[test]
fn half_open_peer_in_syn_sent() {
    let mut s = Script::connect(config(Settings::default()));
    s.expect();
    s.inject(Flags::ACK, 50, 99, b"");
    let r = s.expect();
    assert_eq!((r.flags, s.seq(&r)), (Flags::RST, 99));
    assert_eq!(s.c.state(), State::SynSent);
}

/// RFC 6298, section 5.5 and Linux's tcp_syn_retries and tcp_syn_linear_timeouts: the SYN goes out 1, 1, 2, 4... seconds apart, then
/// ETIMEDOUT.
#[test]
fn syn_is_sent_again() {
    let mut cfg = config(Settings { syn_retries: Some(2), ..Settings::default() });
    cfg.tunables = Arc::new(Tunables { syn_linear_timeouts: 1, ..Tunables::default() });
    let mut s = Script::connect(cfg);
    assert_eq!(s.expect().flags, Flags::SYN);
    for seconds in [1, 1, 2] {
        s.wait(seconds * 1000 - 1);
        s.nothing();
        s.wait(1);
        assert_eq!(s.expect().flags, Flags::SYN);
    }
    s.wait(4000);
    assert_eq!((s.c.state(), s.c.take_error()), (State::Closed, Some(Errno::ETIMEDOUT)));
}

/// RFC 9293, section 3.5, figure 7: both open at once.
#[test]
fn simultaneous_open() {
    let mut s = Script::connect(config(Settings::default()));
    s.expect();
    s.inject_with(Flags::SYN, 0, 0, b"", Options { mss: Some(MSS), ..Options::default() });
    let syn_ack = s.expect();
    assert_eq!((syn_ack.flags, s.seq(&syn_ack), s.ack(&syn_ack)), (Flags::SYN | Flags::ACK, 0, 1));
    assert_eq!(s.c.state(), State::SynReceived);
    s.inject(Flags::SYN | Flags::ACK, 0, 1, b"");
    assert_eq!(s.c.state(), State::Established);
    assert!(s.c.take_events().contains(Event::CONNECTED));
}

/// RFC 9293, section 3.6: we close first; then TIME_WAIT, whose end is 60 s later.
#[test]
fn normal_close() {
    let mut s = plain();
    s.c.shutdown_write();
    let fin = s.expect();
    assert_eq!((fin.flags, s.seq(&fin)), (Flags::FIN | Flags::ACK, 1));
    assert_eq!(s.c.state(), State::FinWait1);
    s.ack_of(2);
    assert_eq!(s.c.state(), State::FinWait2);
    // Half closed: data still comes.
    s.inject(Flags::ACK | Flags::PSH, 1, 2, b"late");
    assert_eq!(s.c.peek(0, 9, false), Read::Data(Bytes::from_static(b"late")));
    s.c.consume(s.now, 4);
    s.inject(Flags::FIN | Flags::ACK, 5, 2, b"");
    assert_eq!(s.c.state(), State::TimeWait);
    let ack = s.expect();
    assert_eq!((ack.flags, s.ack(&ack)), (Flags::ACK, 6));
    assert_eq!(s.c.peek(0, 9, false), Read::Eof);
    let tw = s.c.time_wait().expect("what stays");
    assert_eq!(tw.deadline(), s.now + Duration::from_secs(60));
}

/// RFC 9293, section 3.6, figure 13: both close at once.
#[test]
fn simultaneous_close() {
    let mut s = plain();
    s.c.shutdown_write();
    s.expect();
    s.inject(Flags::FIN | Flags::ACK, 1, 1, b"");
    assert_eq!(s.c.state(), State::Closing);
    assert_eq!(s.expect().flags, Flags::ACK);
    s.inject(Flags::ACK, 2, 2, b"");
    assert_eq!(s.c.state(), State::TimeWait);
}

/// RFC 9293, section 3.10.7.4: the peer closes first.
#[test]
fn passive_close() {
    let mut s = plain();
    s.inject(Flags::FIN | Flags::ACK | Flags::PSH, 1, 1, b"bye");
    assert_eq!(s.c.state(), State::CloseWait);
    let ack = s.expect();
    assert_eq!(s.ack(&ack), 5);
    s.send(10);
    s.data(1, 10);
    s.c.close(s.now, false);
    // "bye" was not read: RFC 2525, section 2.17.
    let r = s.expect();
    assert_eq!((r.flags, s.seq(&r)), (Flags::RST | Flags::ACK, 11));
    assert_eq!(s.c.state(), State::Closed);

    let mut s = plain();
    s.inject(Flags::FIN | Flags::ACK, 1, 1, b"");
    s.expect();
    s.c.close(s.now, false);
    let fin = s.expect();
    assert_eq!((fin.flags, s.c.state()), (Flags::FIN | Flags::ACK, State::LastAck));
    s.inject(Flags::ACK, 2, 2, b"");
    assert_eq!(s.c.state(), State::Closed);
}

/// RFC 5961, section 3.2: only a reset with the very next number counts.
#[test]
fn resets() {
    let mut s = plain();
    s.inject(Flags::RST, 2, 0, b"");
    assert_eq!(s.c.state(), State::Established);
    assert_eq!(s.expect().flags, Flags::ACK);
    s.inject(Flags::RST, 3, 0, b"");
    // Section 7: not too many.
    s.nothing();
    s.inject(Flags::RST, 1, 0, b"");
    assert_eq!((s.c.state(), s.c.take_error()), (State::Closed, Some(Errno::ECONNRESET)));
}

/// RFC 5961, sections 4.2 and 5.2: a SYN, or an acknowledgement from nowhere, is challenged.
#[test]
fn blind_attacks() {
    let mut s = plain();
    s.inject(Flags::SYN, 20, 0, b"");
    assert_eq!(s.expect().flags, Flags::ACK);
    s.wait(600);
    s.inject(Flags::ACK, 1, 5000, b"x");
    assert_eq!(s.expect().flags, Flags::ACK);
    assert_eq!((s.c.state(), s.c.queued()), (State::Established, 0));
}

/// RFC 9293, section 3.7.4: Nagle holds the second small segment, not the first; TCP_NODELAY holds none.
#[test]
fn nagle() {
    let mut s = plain();
    s.send(10);
    s.data(1, 10);
    s.send(10);
    s.nothing();
    s.send(FULL);
    s.data(11, FULL);
    s.nothing();
    s.ack_of(11);
    s.data(11 + FULL as u32, 10);
    let mut s = nodelay();
    s.send(10);
    s.data(1, 10);
    s.send(10);
    s.data(11, 10);
}

/// TCP_CORK holds what is not full, but not for longer than 200 ms.
#[test]
fn cork() {
    let mut s = Script::established(Settings { cork: true, ..Settings::default() });
    s.send(FULL + 5);
    s.data(1, FULL);
    s.nothing();
    s.ack_of(1 + FULL as u32);
    s.nothing();
    s.wait(250);
    s.data(1 + FULL as u32, 5);
}

/// RFC 5681, section 4.2: the first segments are acknowledged at once, later ones by twos or after a while.
#[test]
fn delayed_acks() {
    let mut s = plain();
    let mut seq = 1;
    let data = vec![1; FULL];
    let mut acks = 0;
    for _ in 0..100 {
        s.inject(Flags::ACK, seq, 1, &data);
        seq += FULL as u32;
        acks += s.drain();
        let Read::Data(d) = s.c.peek(0, FULL, false) else { panic!("data") };
        s.c.consume(s.now, d.len());
        acks += s.drain();
        s.now += Duration::from_millis(1);
    }
    assert!((45..=90).contains(&acks), "{acks} acknowledgements of 100 segments");
}

/// RFC 5681, section 4.2, and RFC 2018, section 4: out of order is told at once, newest first; RFC 2883: duplicates.
#[test]
fn sack_blocks() {
    let mut s = plain();
    let blocks = |s: &Script, h: &Segment| {
        let _ = s;
        h.options.sack.iter().map(|(l, r)| (l.wrapping_sub(IRS), r.wrapping_sub(IRS))).collect::<Vec<_>>()
    };
    s.inject(Flags::ACK, 101, 1, &[2; 100]);
    let a = s.expect();
    assert_eq!((s.ack(&a), blocks(&s, &a)), (1, vec![(101, 201)]));
    s.inject(Flags::ACK, 301, 1, &[4; 100]);
    let a = s.expect();
    assert_eq!(blocks(&s, &a), [(301, 401), (101, 201)]);
    s.inject(Flags::ACK, 201, 1, &[3; 100]);
    let a = s.expect();
    assert_eq!(blocks(&s, &a), [(101, 401)]);
    s.inject(Flags::ACK, 201, 1, &[3; 100]);
    let a = s.expect();
    assert_eq!(blocks(&s, &a), [(201, 301), (101, 401)]);
    s.inject(Flags::ACK, 1, 1, &[1; 100]);
    let a = s.expect();
    assert_eq!((s.ack(&a), blocks(&s, &a)), (401, vec![]));
    s.inject(Flags::ACK, 1, 1, &[1; 100]);
    let a = s.expect();
    assert_eq!((s.ack(&a), blocks(&s, &a)), (401, vec![(1, 101)]));
    assert_eq!(s.c.queued(), 400);
}

/// RFC 6675, section 5: three segments SACKed above a hole bring it back, once; the window falls (CUBIC: to 70 %).
#[test]
fn fast_retransmit_with_sack() {
    let mut s = nodelay();
    s.send(FULL * 10);
    assert_eq!(s.drain(), 10);
    let before = s.c.info(s.now).snd_cwnd;
    s.now += Duration::from_millis(10);
    let at = |i: u32| 1 + i * FULL as u32;
    s.sack_of(1, &[(at(1), at(2))]);
    s.nothing();
    s.sack_of(1, &[(at(1), at(3))]);
    s.nothing();
    s.sack_of(1, &[(at(1), at(4))]);
    s.data(1, FULL);
    s.nothing();
    assert_eq!(s.c.info(s.now).ca_state, 3);
    s.ack_of(at(10));
    let info = s.c.info(s.now);
    assert_eq!((info.ca_state, info.unacked), (0, 0));
    assert_eq!(info.snd_cwnd, before * 7 / 10);
}

/// 20 segments in flight, with as many in the window (of Reno), and more to send.
fn twenty_in_flight() -> Script {
    let mut s = Script::established(Settings { nodelay: true, congestion: "reno", ..Settings::default() });
    s.send(FULL * 10);
    assert_eq!(s.drain(), 10);
    s.now += Duration::from_millis(10);
    s.ack_of(1 + 10 * FULL as u32);
    s.send(FULL * 60);
    assert_eq!(s.drain(), 20);
    assert_eq!(s.c.info(s.now).snd_cwnd, 20);
    s.now += Duration::from_millis(10);
    s
}

/// RFC 9937, section 6: while more is in flight than the new window, which is half of the old one, one segment goes for
/// two that arrive, from the beginning of the recovery to its end.
#[test]
fn rate_is_reduced_in_proportion() {
    let mut s = twenty_in_flight();
    let at = |i: u32| 1 + (10 + i) * FULL as u32;
    for i in 2..4 {
        // RFC 3042, section 2: limited transmit.
        s.sack_of(at(0), &[(at(1), at(i))]);
        assert_eq!(s.drain(), 1);
    }
    s.sack_of(at(0), &[(at(1), at(4))]);
    s.data(at(0), FULL);
    s.nothing();
    let sent: Vec<usize> = (5..14)
        .map(|i| {
            s.sack_of(at(0), &[(at(1), at(i))]);
            s.drain()
        })
        .collect();
    assert_eq!(sent, [0, 0, 1, 0, 1, 0, 1, 0, 1]);
    s.ack_of(at(13));
    s.drain();
    s.ack_of(at(22));
    let info = s.c.info(s.now);
    assert_eq!((info.ca_state, info.snd_cwnd, info.snd_ssthresh), (0, 10, 10));
}

/// RFC 9937, section 6: after heavy losses one segment goes for each that arrives, and one more when the oldest hole was
/// filled; there is no burst.
#[test]
fn no_burst_after_heavy_loss() {
    let mut s = twenty_in_flight();
    let at = |i: u32| 1 + (10 + i) * FULL as u32;
    s.sack_of(at(0), &[(at(15), at(16))]);
    s.sack_of(at(0), &[(at(15), at(17))]);
    assert_eq!(s.drain(), 2);
    s.sack_of(at(0), &[(at(15), at(18))]);
    s.data(at(0), FULL);
    s.nothing();
    s.sack_of(at(0), &[(at(15), at(19))]);
    s.data(at(1), FULL);
    s.nothing();
    s.sack_of(at(0), &[(at(15), at(20))]);
    s.data(at(2), FULL);
    s.nothing();
    s.now += Duration::from_millis(10);
    s.sack_of(at(1), &[(at(15), at(20))]);
    s.data(at(3), FULL);
    s.data(at(4), FULL);
    s.nothing();
}

/// RFC 9937 has the window of a recovery small on purpose: a time-out in it does not take that for the path's.
#[test]
fn timeout_in_recovery_keeps_the_threshold() {
    let mut s = twenty_in_flight();
    let at = |i: u32| 1 + (10 + i) * FULL as u32;
    s.sack_of(at(0), &[(at(15), at(18))]);
    s.data(at(0), FULL);
    s.wait(1000);
    let info = s.c.info(s.now);
    assert_eq!((info.ca_state, info.snd_cwnd, info.snd_ssthresh), (4, 1, 10));
}

/// RFC 6582, section 3.2: without SACK, three duplicates, and partial acknowledgements go on to the next hole.
#[test]
fn new_reno() {
    let cfg = config(Settings { nodelay: true, congestion: "reno", ..Settings::default() });
    let mut s = Script::established_with(cfg, false);
    s.send(FULL * 10);
    assert_eq!(s.drain(), 10);
    s.now += Duration::from_millis(10);
    s.ack_of(1);
    s.ack_of(1);
    s.nothing();
    s.ack_of(1);
    s.data(1, FULL);
    s.ack_of(1 + 3 * FULL as u32);
    s.data(1 + 3 * FULL as u32, FULL);
    s.ack_of(1 + 10 * FULL as u32);
    assert_eq!(s.c.info(s.now).ca_state, 0);
    assert_eq!(s.c.info(s.now).snd_ssthresh, 5);
}

/// RFC 6298, section 5: after the time-out one segment is sent again, then after twice as long; RFC 5681, section 3.1.
#[test]
fn retransmission_timeout() {
    let cfg = config(Settings { nodelay: true, ..Settings::default() });
    let mut s = Script::established_with(cfg, false);
    s.send(FULL * 3);
    assert_eq!(s.drain(), 3);
    s.wait(209);
    s.nothing();
    s.wait(5);
    s.data(1, FULL);
    s.nothing();
    let info = s.c.info(s.now);
    assert_eq!((info.snd_cwnd, info.ca_state, info.retransmits), (1, 4, 1));
    s.wait(400);
    s.nothing();
    s.wait(30);
    s.data(1, FULL);
    s.ack_of(1 + 3 * FULL as u32);
    assert_eq!(s.c.info(s.now).ca_state, 0);
    assert_eq!(s.c.deadline(), None);
}

/// Linux's tcp_retries2 and TCP_USER_TIMEOUT: a silent peer is given up.
#[test]
fn given_up() {
    let mut s = Script::established(Settings { user_timeout: Duration::from_secs(3), ..Settings::default() });
    s.send(10);
    s.data(1, 10);
    for _ in 0..40 {
        s.wait(100);
        s.drain();
    }
    assert_eq!((s.c.state(), s.c.take_error()), (State::Closed, Some(Errno::ETIMEDOUT)));
}

/// RFC 8985, section 7: the last segment is sent again before the time-out.
#[test]
fn tail_loss_probe() {
    let mut s = nodelay();
    s.send(FULL * 2);
    assert_eq!(s.drain(), 2);
    s.wait(30);
    s.data(1 + FULL as u32, FULL);
    s.nothing();
    s.wait(10);
    s.sack_of(1, &[(1 + FULL as u32, 1 + 2 * FULL as u32)]);
    s.data(1, FULL);
}

/// RFC 9293, section 3.8.6.1: a shut window is probed, less and less often; it may open again.
#[test]
fn zero_window_probe() {
    let mut s = plain();
    s.window = 0;
    s.ack_of(1);
    s.send(10);
    s.nothing();
    s.wait(250);
    let p = s.expect();
    assert_eq!((s.seq(&p), p.flags), (0, Flags::ACK));
    s.nothing();
    s.ack_of(1);
    s.wait(300);
    s.nothing();
    s.wait(200);
    assert_eq!(s.drain(), 1);
    s.window = 1000;
    s.ack_of(1);
    s.data(1, 10);
}

/// RFC 9293, section 3.8.4: keep-alive, and the end of a dead peer.
#[test]
fn keepalive() {
    let keep = Settings {
        keepalive: true,
        keep_idle: Some(Duration::from_secs(10)),
        keep_interval: Some(Duration::from_secs(5)),
        keep_count: Some(2),
        ..Settings::default()
    };
    let mut s = Script::established(keep);
    s.wait(10_000);
    let p = s.expect();
    assert_eq!(s.seq(&p), 0);
    s.ack_of(1);
    s.wait(9_900);
    s.nothing();
    s.wait(5_200);
    assert!(s.drain() >= 1);
    s.wait(5_000);
    s.drain();
    s.wait(5_000);
    assert_eq!((s.c.state(), s.c.take_error()), (State::Closed, Some(Errno::ETIMEDOUT)));
}

/// RFC 9293, section 3.8.6: what does not fit the window is cut; the window is never taken back, and opens by steps.
#[test]
fn receive_window() {
    let mut s = Script::established(Settings { rcvbuf: 8000, rcvbuf_locked: true, ..Settings::default() });
    s.inject(Flags::ACK, 1, 1, &[1; 3000]);
    s.drain();
    s.inject(Flags::ACK, 3001, 1, &[1; 3000]);
    let a = s.expect();
    assert_eq!((s.ack(&a), a.window), (4001, 0));
    assert_eq!(s.c.queued(), 4000);
    s.inject(Flags::ACK, 4001, 1, &[1; 10]);
    let a = s.expect();
    assert_eq!((s.ack(&a), a.window), (4001, 0));
    s.c.consume(s.now, 100);
    s.nothing();
    s.c.consume(s.now, 2900);
    let a = s.expect();
    assert_eq!(a.window, 3000);
}

/// RFC 7323, sections 2 and 5: scaling as agreed; an old timestamp is refused.
#[test]
fn timestamps_and_scaling() {
    let mut cfg = config(Settings::default());
    cfg.timestamps = true;
    let mut s = Script::connect(cfg);
    let syn = s.expect();
    assert_eq!(syn.options.window_scale, Some(7));
    let first = syn.options.timestamps.expect("timestamps").0;
    let with = |value, echo| Options {
        mss: Some(MSS),
        window_scale: Some(3),
        timestamps: Some((value, echo)),
        ..Options::default()
    };
    s.inject_with(Flags::SYN | Flags::ACK, 0, 1, b"", with(500, first));
    let a = s.expect();
    assert_eq!(a.options.timestamps.map(|t| t.1), Some(500));
    s.window = 1000;
    let data = |value| Options { timestamps: Some((value, first)), ..Options::default() };
    s.inject_with(Flags::ACK, 1, 1, b"new", data(501));
    assert_eq!(s.c.queued(), 3);
    assert_eq!(s.c.info(s.now).snd_wnd, 8000);
    s.drain();
    s.inject_with(Flags::ACK, 4, 1, b"old", data(499));
    assert_eq!(s.c.queued(), 3);
    assert_eq!(s.expect().flags, Flags::ACK);
}

/// RFC 9293, section 3.8.5, as BSD has it: MSG_OOB, the mark, and the byte in line.
#[test]
fn urgent_data() {
    let mut s = plain();
    s.c.send(Bytes::from_static(b"abc"), false, true).unwrap();
    let h = s.data(1, 3);
    assert_eq!((h.flags.contains(Flags::URG), h.urgent), (true, 3));
    let segment = Segment {
        src_port: 2,
        dst_port: 1,
        seq: IRS + 1,
        ack: ISS.wrapping_add(1),
        flags: Flags::ACK | Flags::URG,
        window: 1000,
        urgent: 3,
        options: Options::default(),
        ..Segment::default()
    };
    s.c.on_segment(s.now, &segment, Bytes::from_static(b"abcde"));
    assert!(s.c.take_events().contains(Event::URGENT) && s.c.has_urgent());
    assert_eq!(s.c.peek(0, 9, false), Read::Data(Bytes::from_static(b"ab")));
    s.c.consume(s.now, 2);
    assert!(s.c.at_mark());
    assert_eq!(s.c.read_urgent(false), Ok(Some(b'c')));
    assert_eq!(s.c.read_urgent(false), Err(Errno::EINVAL));
    assert_eq!(s.c.peek(0, 9, false), Read::Data(Bytes::from_static(b"de")));
}

/// RFC 1191, section 6.5: a smaller path MTU sends again what was too long, without a smaller window.
#[test]
fn path_mtu() {
    let mut s = nodelay();
    s.send(FULL * 2);
    assert_eq!(s.drain(), 2);
    let before = s.c.info(s.now).snd_cwnd * 1000;
    s.c.on_path_mss(s.now, Some(ISS.wrapping_add(1)), 500);
    s.data(1, 500);
    s.ack_of(501);
    s.data(501, 500);
    assert!(s.c.info(s.now).snd_cwnd * 500 >= before);
}

/// RFC 9293, section 3.10.7.4: data for a program that has gone is answered by a reset; FIN_WAIT2 ends by itself.
#[test]
fn orphans() {
    let mut s = plain();
    s.c.close(s.now, false);
    assert_eq!(s.expect().flags, Flags::FIN | Flags::ACK);
    s.inject(Flags::ACK, 1, 2, b"too late");
    assert!(s.expect().flags.contains(Flags::RST));
    assert_eq!(s.c.state(), State::Closed);
    let mut s = plain();
    s.c.close(s.now, false);
    s.expect();
    s.ack_of(2);
    assert_eq!(s.c.state(), State::FinWait2);
    s.wait(59_999);
    assert_eq!(s.c.state(), State::FinWait2);
    s.wait(1);
    assert_eq!(s.c.state(), State::Closed);
    let mut s = plain();
    s.c.close(s.now, true);
    assert!(s.expect().flags.contains(Flags::RST));
}

/// Large segments stand for several, as many as the window lets.
#[test]
fn segmentation_offload() {
    let mut s = plain();
    s.gso = 60_000;
    s.send(FULL * 30);
    let out = s.poll().expect("a segment");
    assert_eq!((out.gso_size, out.payload_len(), out.segments()), (Some(MSS), FULL * 10, 10));
    s.nothing();
    s.ack_of(1 + 10 * FULL as u32);
    let out = s.poll().expect("a segment");
    assert_eq!(out.segments(), 20);
}

/// RFC 9293, section 3.10.7.4, for SYN_RECV: the SYN again, a wrong acknowledgement, data deferred, the end.
#[test]
fn requests() {
    let now = Instant::from_millis(1);
    let syn = Segment {
        src_port: 2,
        dst_port: 1,
        seq: IRS,
        flags: Flags::SYN,
        window: 5000,
        options: Options { mss: Some(500), ..Options::default() },
        ..Segment::default()
    };
    let mut r = Request::new(config(Settings::default()), &syn, now);
    let sa = r.syn_ack(now).header;
    assert_eq!((sa.flags, sa.ack, sa.options.window_scale), (Flags::SYN | Flags::ACK, IRS + 1, None));
    assert!(matches!(r.on_segment(now, &syn, 0, 0), RequestVerdict::Answer(a) if a.header == sa));
    let ack = Segment { seq: IRS + 1, ack: ISS.wrapping_add(1), flags: Flags::ACK, options: Options::default(), ..syn };
    let wrong = Segment { ack: 5, ..ack.clone() };
    assert!(matches!(r.on_segment(now, &wrong, 0, 0), RequestVerdict::Answer(a) if a.header.has(Flags::RST)));
    assert!(matches!(r.on_segment(now, &ack, 0, 1), RequestVerdict::Drop));
    assert!(matches!(r.on_segment(now, &ack, 3, 1), RequestVerdict::Accept));
    let mut c = Connection::accept(&r, Settings::default().into(), now);
    c.on_segment(now, &ack, Bytes::from_static(b"hey"));
    assert_eq!((c.state(), c.queued(), c.mss()), (State::Established, 3, 500));
    let mut sent = 0;
    let mut at = r.deadline();
    while r.on_timer(at, 0).1 {
        sent += 1;
        at = r.deadline();
    }
    assert_eq!(sent, 5);
}

/// RFC 9293, section 3.10.7.4, and RFC 6191: TIME_WAIT answers, restarts, and gives way to a newer SYN.
#[test]
fn time_wait() {
    let mut s = plain();
    s.c.shutdown_write();
    s.expect();
    s.inject(Flags::FIN | Flags::ACK, 1, 2, b"");
    s.drain();
    let mut tw = s.c.time_wait().expect("what stays");
    let base = Segment { src_port: 2, dst_port: 1, window: 10, ..Segment::default() };
    let fin = Segment { seq: IRS + 1, ack: ISS.wrapping_add(2), flags: Flags::FIN | Flags::ACK, ..base.clone() };
    let now = s.now + Duration::from_secs(5);
    assert!(matches!(tw.on_segment(now, &fin, 0), TimeWaitVerdict::Answer(a) if a.header.ack == IRS + 2));
    assert_eq!(tw.deadline(), now + Duration::from_secs(60));
    let old = Segment { seq: IRS - 5, flags: Flags::SYN, ..base.clone() };
    assert!(!matches!(tw.on_segment(now, &old, 0), TimeWaitVerdict::NewConnection(_)));
    let new = Segment { seq: IRS + 50, flags: Flags::SYN, ..base };
    assert!(matches!(tw.on_segment(now, &new, 0), TimeWaitVerdict::NewConnection(_)));
}
