//! Flows that send as fast as they may over a bottleneck: what of it comes through.

use crate::machine::{addresses, Machine};
use crate::transfer::connect;
use lkl_abi::{nr, Errno};
use lkl_ops::sim::{Link, Side, Verdict, Wire, World};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOL_TCP: u64 = 6;
const TCP_INFO: u64 = 11;
const TCP_CONGESTION: u64 = 13;
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
    /// Queue of the bottleneck, in products of bandwidth and round trip time.
    pub queue: f64,
}

impl Path {
    /// Bytes in flight when the link is full and the queue empty.
    pub fn bdp(&self) -> u64 {
        (self.bandwidth as f64 / 8.0 * self.rtt.as_secs_f64()) as u64
    }

    /// Makes two machines with the bottleneck from the first to the second.
    pub fn machines(&self, world: &World) -> (Machine, Machine, Link) {
        let wire = Wire {
            bandwidth: self.bandwidth,
            delay: self.rtt / 2,
            reorder: self.reorder,
            reorder_by: self.rtt / 4,
            queue: ((self.bdp() as f64 * self.queue) as usize).max(4 * 1514),
            ..Wire::default()
        };
        let (a, b, link) = Machine::pair(world, &wire);
        // Acknowledgements come back over a wider way.
        link.set_from(Side::B, &Wire { delay: self.rtt / 2, ..Wire::default() });
        if self.loss > 0.0 {
            let (loss, rng) = (self.loss, Arc::new(Mutex::new(crate::Rng::new(world.random()))));
            link.filter(Side::A, move |_, frame| {
                let mut rng = rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if frame.len() > 200 && rng.chance(loss) {
                    Verdict::Drop
                } else {
                    Verdict::Pass
                }
            });
        }
        (a, b, link)
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

/// Runs one flow for `warm` and then for `time`; answers the bytes that came in `time`, and the bytes of payload that the
/// link can carry in it.
pub fn goodput(path: &Path, congestion: &str, seed: u64, warm: Duration, time: Duration) -> (u64, u64) {
    let world = World::new(seed);
    let (a, b, _link) = path.machines(&world);
    let mut flow = Flow::new(&world, &a, &b, congestion, 7000);
    let begin = world.now() + warm;
    world.run_until(Some(begin), || {
        flow.step();
        false
    });
    let before = flow.got;
    world.run_until(Some(begin + time), || {
        flow.step();
        false
    });
    (flow.got - before, (path.bandwidth as f64 / 8.0 * PAYLOAD_SHARE * time.as_secs_f64()) as u64)
}
