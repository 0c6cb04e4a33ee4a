//! Cutting, checksums, threads.

use super::kit::*;
use crate::{HeaderBytes, IfAddr, IpTx, Net};
use bytes::Bytes;
use core::time::Duration;
use lkl_net::checksum::Sum;
use lkl_net::tcp::{Flags, Segment};
use lkl_ops::sim::{Wire, World};
use lkl_ops::{Host, Instant};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

fn segment() -> HeaderBytes {
    let flags = Flags::ACK | Flags::PSH | Flags::FIN;
    let header = Segment { src_port: 1, dst_port: 2, seq: 0xffff_ff00, flags, ..Segment::default() };
    HeaderBytes::from_slice(&header.emit())
}

/// A frame that was sent: payload, sequence number, control bits, and whether the checksum is right.
fn look(frame: &[u8], v6: bool) -> (usize, u32, Flags, bool) {
    let packet = &frame[14..];
    let (src, dst, at): (IpAddr, IpAddr, usize) = if v6 {
        let h = lkl_net::wire::ipv6::Header::parse(packet).unwrap();
        (h.src.into(), h.dst.into(), 40)
    } else {
        let h = lkl_net::wire::ipv4::Header::parse(packet).unwrap();
        (h.src.into(), h.dst.into(), 20)
    };
    let t = &packet[at..];
    let (h, len) = Segment::parse(t).unwrap();
    let ok = Sum::new().pseudo_header(src, dst, 6, t.len()).add(t).is_valid();
    (t.len() - len, h.seq, h.flags, ok)
}

#[test]
fn a_device_that_does_not_cut_gets_segments() {
    let p = Pair::new();
    for (src, dst) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
        let v6 = ip(src).is_ipv6();
        // The neighbour is known before.
        ping4(&p.a).send_to("10.0.0.2:0", &[8, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        ping6(&p.a).send_to("[fd00::2]:0", &[128, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        p.run(10);
        let frames = Arc::new(Mutex::new(Vec::new()));
        let seen = frames.clone();
        p.link.tap(move |_, side, f| {
            if side == lkl_ops::sim::Side::A {
                seen.lock().unwrap().push(f.to_vec());
            }
        });
        let mut tx = IpTx::new(ip(src), ip(dst), 6, segment(), Some(16));
        tx.payload.push(Bytes::from(vec![1; 1001]));
        tx.payload.push(Bytes::from(vec![2; 2000]));
        tx.gso_size = Some(1400);
        p.a.ip_output(tx).unwrap();
        let got: Vec<_> = frames.lock().unwrap().iter().map(|f| look(f, v6)).collect();
        assert_eq!(got.len(), 3, "{got:?}");
        assert_eq!(got[0], (1400, 0xffff_ff00, Flags::ACK, true));
        assert_eq!(got[1], (1400, 1144, Flags::ACK, true));
        assert_eq!(got[2], (201, 2544, Flags::ACK | Flags::PSH | Flags::FIN, true));
    }
}

#[test]
fn a_device_that_cuts_gets_one_frame() {
    let world = World::new(1);
    let host = world.host();
    let wire = Wire { offload: true, ..Wire::default() };
    let link = world.stub_link(&host, &wire);
    let net = Net::new(host.clone());
    net.link_add(link.a.clone()).unwrap();
    net.link_set_up(2, true).unwrap();
    net.addr_add(IfAddr::new(2, ip("10.0.0.1"), 24), false).unwrap();
    let mode = crate::AddMode { create: true, exclusive: true, replace: false, append: false };
    net.neigh_set(2, ip("10.0.0.2"), Some([2, 0, 0, 0, 0, 9]), 0x80, false, mode).unwrap();
    let mut tx = IpTx::new(ip("10.0.0.1"), ip("10.0.0.2"), 6, segment(), Some(16));
    tx.payload.push(Bytes::from(vec![1; 30_000]));
    tx.gso_size = Some(1400);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = sent.clone();
    link.tap(move |_, _, f| seen.lock().unwrap().push(f.len()));
    net.ip_output(tx).unwrap();
    assert_eq!(*sent.lock().unwrap(), [14 + 20 + 20 + 30_000]);
}

#[test]
fn checksums_of_icmp_are_not_left_to_a_device() {
    let p = Pair::on(&Wire { offload: true, ..Wire::default() });
    let frames = Arc::new(Mutex::new(Vec::new()));
    let seen = frames.clone();
    p.link.tap(move |_, _, f| seen.lock().unwrap().push(f.to_vec()));
    let (four, six) = (ping4(&p.a), ping6(&p.a));
    for to in ["10.0.0.2:0", "127.0.0.1:0"] {
        four.send_to(to, &[8, 0, 0, 0, 0, 0, 0, 1, 0xab]).unwrap();
        p.run(10);
        assert!(Sum::new().add(&four.recv().unwrap().data).is_valid(), "the answer from {to}");
    }
    for (to, from) in [("[fd00::2]:0", "fd00::1"), ("[::1]:0", "::1")] {
        six.send_to(to, &[128, 0, 0, 0, 0, 0, 0, 1, 0xab]).unwrap();
        p.run(10);
        let got = six.recv().unwrap();
        let peer = got.from.unwrap().inet().unwrap().ip();
        let sum = Sum::new().pseudo_header(peer, ip(from), 58, got.data.len()).add(&got.data);
        assert!(sum.is_valid(), "the answer from {to}");
    }
    let mut looked_at = 0;
    for f in frames.lock().unwrap().iter() {
        let (ethertype, packet) = (&f[12..14], &f[14..]);
        let sum = match ethertype {
            [8, 0] if packet[9] == 1 => Sum::new().add(&packet[20..]),
            [0x86, 0xdd] if packet[6] == 58 => {
                let h = lkl_net::wire::ipv6::Header::parse(packet).unwrap();
                Sum::new().pseudo_header(h.src.into(), h.dst.into(), 58, packet.len() - 40).add(&packet[40..])
            }
            _ => continue,
        };
        assert!(sum.is_valid(), "{packet:02x?}");
        looked_at += 1;
    }
    // Two echoes and their answers, at least.
    assert!(looked_at >= 4, "{looked_at}");
}

/// A host on real time.
struct Real(std::time::Instant);

impl Host for Real {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.elapsed().as_nanos() as u64)
    }

    fn realtime(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self, buf: &mut [u8]) {
        for (i, b) in buf.iter_mut().enumerate() {
            *b = (self.0.elapsed().as_nanos() as u64 >> (i % 8)) as u8;
        }
    }

    fn rearm(&self, _: Instant) {}

    fn kick(&self) {}
}

#[test]
fn threads_at_once() {
    let net = Net::new(Arc::new(Real(std::time::Instant::now())));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let net = net.clone();
            scope.spawn(move || {
                let (server, client) = (udp4(&net), udp6(&net));
                server.bind("0.0.0.0:0").unwrap();
                let port = server.local().port();
                for i in 0..500u32 {
                    client.send_to(&format!("[::ffff:127.0.0.{}]:{port}", n + 1), &i.to_ne_bytes()).unwrap();
                    // Another thread may be the one that carries it.
                    let got = loop {
                        match server.recv() {
                            Ok(got) => break got,
                            Err(_) => std::thread::yield_now(),
                        }
                    };
                    assert_eq!(got.data, i.to_ne_bytes());
                    server.send_msg(got.from, b"back", Vec::new(), 0).unwrap();
                    while client.recv().is_err() {
                        std::thread::yield_now();
                    }
                }
                server.0.release();
                client.0.release();
            });
        }
        let (net, stop) = (&net, &stop);
        let busy = scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                net.addr_add(IfAddr::new(1, ip("10.9.9.9"), 32), true).unwrap();
                net.addr_del(1, ip("10.9.9.9"), None).unwrap();
                let _next = net.service();
                let _all = (net.udp_sockets(), net.routes(), net.addrs(), net.neighs());
            }
        });
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        busy.join().unwrap();
    });
    assert!(net.udp_sockets().is_empty());
}
