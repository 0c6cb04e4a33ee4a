//! The queue of `lo`: what this host sends to itself. It is run by whoever put something in, one thread at a time, holding no
//! lock, and never from within itself.

use crate::tx::{PacketType, PayloadParts};
use crate::Net;
use bytes::Bytes;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use lkl_sync::{Mutex, Rank};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Most packets that wait.
const MAX: usize = 16_384;
/// Packets that one thread handles before it leaves the rest to whoever serves the kernel.
const BUDGET: usize = 4096;

/// A packet on its way through `lo`.
#[derive(Debug)]
pub(crate) struct LoopPacket {
    /// From the IP header on; of a [`LoopSegment`], its headers only.
    pub(crate) packet: Bytes,
    /// It is a segment of a TCP connection of this host with itself.
    pub(crate) segment: Option<LoopSegment>,
    /// It stands for several segments.
    pub(crate) gso_size: Option<u16>,
    /// It is a copy of a multicast or broadcast packet that was sent by this link.
    pub(crate) ifindex: u32,
    pub(crate) packet_type: PacketType,
}

/// What of a TCP segment need not be read from its headers, and its payload, which is not copied on its way.
#[derive(Debug)]
pub(crate) struct LoopSegment {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flow_label: u32,
    /// Offset of the TCP header in the packet.
    pub(crate) transport: usize,
    pub(crate) payload: PayloadParts,
}

impl LoopPacket {
    /// The same in one piece.
    pub(crate) fn whole(self) -> Self {
        let Some(segment) = self.segment else { return self };
        let len = segment.payload.iter().map(Bytes::len).sum::<usize>();
        let mut packet = Vec::with_capacity(self.packet.len() + len);
        packet.extend_from_slice(&self.packet);
        segment.payload.iter().for_each(|p| packet.extend_from_slice(p));
        Self { packet: packet.into(), segment: None, ..self }
    }
}

pub(crate) struct Loopback {
    len: AtomicUsize,
    queue: Mutex<VecDeque<LoopPacket>>,
    running: AtomicBool,
}

impl Default for Loopback {
    fn default() -> Self {
        Self {
            len: AtomicUsize::new(0),
            queue: Mutex::new(Rank::Device, VecDeque::new()),
            running: AtomicBool::new(false),
        }
    }
}

impl Loopback {
    /// Whoever ran the queue is gone.
    pub(crate) fn abandon(&self) {
        self.running.store(false, Ordering::SeqCst);
    }
}

impl Net {
    /// Puts a packet into the queue; the caller runs it later ([`Net::run_loopback`]).
    pub(crate) fn loop_back(&self, packet: LoopPacket) {
        let mut queue = self.loopback.queue.lock();
        if queue.len() >= MAX {
            drop(queue);
            tracing::debug!(target: "lkl::drop", "the loopback queue is full");
            return;
        }
        queue.push_back(packet);
        self.loopback.len.store(queue.len(), Ordering::SeqCst);
    }

    /// Hands the packets of the queue up. Called holding no lock. Does nothing if some thread is at it already (that one
    /// will see what was put in before this call).
    pub(crate) fn run_loopback(&self) {
        let l = &self.loopback;
        let mut done = 0;
        while l.len.load(Ordering::SeqCst) > 0 {
            if l.running.swap(true, Ordering::SeqCst) {
                return;
            }
            let token = Token(&l.running);
            while done < BUDGET {
                let packet = {
                    let mut queue = l.queue.lock();
                    let packet = queue.pop_front();
                    l.len.store(queue.len(), Ordering::SeqCst);
                    packet
                };
                let Some(packet) = packet else { break };
                done += 1;
                self.loopback_input(packet);
            }
            drop(token);
            if done >= BUDGET {
                if l.len.load(Ordering::SeqCst) > 0 {
                    self.host().kick();
                }
                return;
            }
        }
    }
}

/// Given back even if a handler panics.
struct Token<'a>(&'a AtomicBool);

impl Drop for Token<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
