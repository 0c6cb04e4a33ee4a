//! Flows that send as fast as they may over a bottleneck: what of it comes through.

use crate::machine::{addresses, Machine, INET, NONBLOCK};
use crate::peer::Peer;
use crate::transfer::connect;
use lkl_abi::{nr, Errno};
use lkl_ops::sim::{Link, Side, Verdict, Wire, World};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOL_TCP: u64 = 6;
const TCP_INFO: u64 = 11;
const TCP_CONGESTION: u64 = 13;
const LEAST_QUEUE: usize = 16 * 1514;
/// Bytes of one call at most.
const CHUNK: usize = 64 * 1024;

/// A bottleneck, as `tc qdisc add ... netem` makes one: what is lost is lost before it takes any of the link's time.
#[derive(Clone, PartialEq, Debug)]
pub struct Path {
    /// Bits per second.
    pub bandwidth: u64,
    /// Round trip time without a queue.
    pub rtt: Duration,
    /// Probability that a frame with data is lost.
    pub loss: f64,
    /// Probability that one is held back by a quarter of the round trip time.
    pub reorder: f64,
    /// Queue of the bottleneck, in products of bandwidth and round trip time; 16 frames at least, since segments go in
    /// bursts of some.
    pub queue: f64,
}

impl Path {
    /// Bytes in flight when the link is full and the queue empty.
    pub fn bdp(&self) -> u64 {
        (self.bandwidth as f64 / 8.0 * self.rtt.as_secs_f64()) as u64
    }

    fn wire(&self) -> Wire {
        Wire {
            bandwidth: self.bandwidth,
            delay: self.rtt / 2,
            reorder: self.reorder,
            reorder_by: self.rtt / 4,
            queue: ((self.bdp() as f64 * self.queue) as usize).max(LEAST_QUEUE),
            ..Wire::default()
        }
    }

    /// Makes two machines with the bottleneck from the first to the second.
    pub fn machines(&self, world: &World) -> (Machine, Machine, Link) {
        let (a, b, link) = Machine::pair(world, &self.wire());
        // Acknowledgements come back over a wider way.
        link.set_from(Side::B, &Wire { delay: self.rtt / 2, ..Wire::default() });
        self.lose(world, &link, Side::A);
        (a, b, link)
    }

    /// Has frames with data lost that `side` sends.
    fn lose(&self, world: &World, link: &Link, side: Side) {
        if self.loss > 0.0 {
            let (loss, rng) = (self.loss, Arc::new(Mutex::new(crate::Rng::new(world.random()))));
            link.filter(side, move |_, frame| {
                let mut rng = rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if frame.len() > 200 && rng.chance(loss) {
                    Verdict::Drop
                } else {
                    Verdict::Pass
                }
            });
        }
    }
}

/// One direction of a connection between two machines.
pub struct Flow<'a> {
    from: &'a Machine,
    to: &'a Machine,
    /// The sender's descriptor.
    pub out: i32,
    /// The receiver's descriptor.
    pub input: i32,
    /// Bytes that have come.
    pub got: u64,
}

impl<'a> Flow<'a> {
    /// Connects `from` to `to`, with this congestion control.
    ///
    /// # Panics
    /// If there is no such algorithm, or no connection comes about.
    pub fn new(world: &World, from: &'a Machine, to: &'a Machine, congestion: &str, port: u16) -> Self {
        let (out, input) = connect(world, from, to, addresses(2)[0].0, port);
        set_congestion(from, out, congestion).expect("the algorithm is there");
        Self { from, to, out, input, got: 0 }
    }

    /// Writes and reads what can be written and read.
    ///
    /// # Panics
    /// On an error of the connection.
    pub fn step(&mut self) {
        loop {
            match self.from.send(self.out, &[0; CHUNK], 0) {
                Ok(CHUNK) => {}
                Ok(_) | Err(Errno::EAGAIN) => break,
                Err(e) => panic!("send: {e:?}"),
            }
        }
        loop {
            match self.to.recv(self.input, CHUNK, 0) {
                Ok(data) => self.got += data.len() as u64,
                Err(Errno::EAGAIN) => break,
                Err(e) => panic!("recv: {e:?}"),
            }
        }
    }

    /// `struct tcp_info` of the sender.
    pub fn info(&self) -> Vec<u8> {
        tcp_info(self.from, self.out)
    }
}

/// `setsockopt(TCP_CONGESTION)`
///
/// # Errors
/// `ENOENT` and what else the kernel says.
pub fn set_congestion(m: &Machine, fd: i32, name: &str) -> lkl_abi::Result<()> {
    let at = m.put(name.as_bytes());
    m.call(nr::SETSOCKOPT, [fd as u64, SOL_TCP, TCP_CONGESTION, at, name.len() as u64, 0]).map(|_| ())
}

/// `getsockopt(TCP_INFO)`
///
/// # Panics
/// If the kernel refuses.
pub fn tcp_info(m: &Machine, fd: i32) -> Vec<u8> {
    let at = m.put(&512u32.to_le_bytes());
    m.call(nr::GETSOCKOPT, [fd as u64, SOL_TCP, TCP_INFO, at + 8, at, 0]).expect("TCP_INFO");
    let all = m.get(8 + 512);
    let len = u32::from_le_bytes(all[..4].try_into().expect("four bytes")) as usize;
    all[8..8 + len].to_vec()
}

/// Payload of a full frame, of its bytes on the wire.
const PAYLOAD_SHARE: f64 = 1448.0 / 1514.0;

impl Path {
    /// Bytes of payload that the link can carry in `time`.
    pub fn capacity(&self, time: Duration) -> u64 {
        (self.bandwidth as f64 / 8.0 * PAYLOAD_SHARE * time.as_secs_f64()) as u64
    }

    /// What theory says of a long flow, as a share of the capacity. For CUBIC, RFC 9438, section 5.1, and what Reno would
    /// get (Mathis et al.), whichever is more; for BBR all of it but what 200 ms and a round trip at the least window cost each
    /// ten seconds, as long as the loss is less than a fifth.
    pub fn theory(&self, congestion: &str) -> f64 {
        if congestion == "bbr" {
            return 0.99 * (1.0 - (0.2 + self.rtt.as_secs_f64()) / 10.0);
        }
        let segments_in_flight = self.bdp() as f64 / 1514.0;
        if self.loss == 0.0 {
            // A queue shorter than what the window falls by leaves the link idle for a while.
            return (0.85 * (1.0 + self.queue)).min(1.0);
        }
        let (p, rtt) = (self.loss, self.rtt.as_secs_f64());
        let cubic = 1.054 * (rtt / p).powf(0.75);
        let reno = 1.31 / p.sqrt();
        (cubic.max(reno) / segments_in_flight).min(1.0)
    }
}

/// Runs flows side by side, first for `warm` and then for `time`; answers the bytes of each that came in `time`.
pub fn share(path: &Path, congestion: &[&str], seed: u64, warm: Duration, time: Duration) -> Vec<u64> {
    let world = World::new(seed);
    let (a, b, _link) = path.machines(&world);
    let ports = 7000..;
    let mut flows: Vec<_> = congestion.iter().zip(ports).map(|(c, port)| Flow::new(&world, &a, &b, c, port)).collect();
    let mut run = |end: lkl_ops::Instant| {
        world.run_until(Some(end), || {
            flows.iter_mut().for_each(Flow::step);
            false
        });
        flows.iter().map(|f| f.got).collect::<Vec<u64>>()
    };
    let begin = world.now() + warm;
    let before = run(begin);
    run(begin + time).iter().zip(before).map(|(after, before)| after - before).collect()
}

/// The same with one flow.
pub fn goodput(path: &Path, congestion: &str, seed: u64, warm: Duration, time: Duration) -> u64 {
    share(path, &[congestion], seed, warm, time).into_iter().sum()
}

/// A flow to smoltcp, or from it.
pub fn foreign_goodput(path: &Path, to_it: bool, seed: u64, warm: Duration, time: Duration) -> u64 {
    let world = World::new(seed);
    let (m, mut peer, link) = Peer::new(&world, &path.wire());
    let (data, acks) = if to_it { (Side::A, Side::B) } else { (Side::B, Side::A) };
    link.set_from(acks, &Wire { delay: path.rtt / 2, ..Wire::default() });
    path.lose(&world, &link, data);
    let at = SocketAddr::new(addresses(1)[0].0, 7);
    let listener = m.socket(INET, 1 | NONBLOCK, 0).expect("socket");
    m.bind(listener, at).expect("bind");
    m.listen(listener, 1).expect("listen");
    peer.connect(at, 50_000);
    let mut fd = None;
    world.run_until(Some(world.now() + Duration::from_secs(60)), || {
        peer.poll();
        fd = m.accept(listener, true).ok();
        fd.is_some()
    });
    let fd = fd.expect("a connection");
    let mut got = 0;
    let mut run = |end: lkl_ops::Instant| {
        world.run_until(Some(end), || {
            peer.poll();
            if to_it {
                while m.send(fd, &[0; CHUNK], 0) == Ok(CHUNK) {}
                while peer.socket().can_recv() {
                    got += peer.socket().recv(|d| (d.len(), d.len())).expect("it can receive") as u64;
                }
            } else {
                while peer.socket().can_send() {
                    peer.socket().send_slice(&[0; CHUNK]).expect("it can send");
                }
                while let Ok(d) = m.recv(fd, CHUNK, 0) {
                    got += d.len() as u64;
                }
            }
            peer.poll();
            false
        });
        got
    };
    let begin = world.now() + warm;
    let before = run(begin);
    run(begin + time) - before
}
