//! Receiving from a datagram socket.

use super::base::{DatagramSocket, Flavor, SHUT_RECEIVE};
use crate::options::num::{IP_PKTINFO, SOL_IP, SOL_SOCKET, SO_RXQ_OVFL};
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::socket::{MSG_DONTWAIT, MSG_ERRQUEUE, MSG_PEEK, MSG_TRUNC};
use lkl_abi::{Errno, Result};
use lkl_file::{Control, RecvMsg, SockAddr};
use std::net::{IpAddr, Ipv4Addr};

impl DatagramSocket {
    pub(super) fn receive(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        if msg.flags & MSG_ERRQUEUE != 0 {
            return super::errqueue::receive(&self.errors, self.family, &self.options, &self.inet, msg);
        }
        self.options.take_error()?;
        let peeks = msg.flags & MSG_PEEK != 0;
        let offset = self.options.peek_off.load(Relaxed);
        let (d, skip) = {
            let mut queue = self.queue.lock();
            let d = if peeks { queue.peek_at(usize::try_from(offset).ok()) } else { queue.pop().map(|d| (d, 0)) };
            match d {
                Some(d) => d,
                // Only who would wait is told of the end.
                None if msg.flags & MSG_DONTWAIT == 0 && self.shut.load(Relaxed) & SHUT_RECEIVE != 0 => return Ok(0),
                None => return Err(Errno::EAGAIN),
            }
        };
        let rest = d.data.get(skip..).unwrap_or_default();
        let room = msg.data.remaining();
        let copied = msg.data.write(rest)?;
        // Linux compares with all of the datagram, wherever the peek began.
        if room <= rest.len() && room < d.data.len() {
            msg.out_flags |= MSG_TRUNC;
        }
        let port = if self.flavor == Flavor::Udp { d.port } else { 0 };
        msg.name = Some(SockAddr::for_family(self.family, d.meta.src, port, d.meta.scope_of(d.meta.src)));
        self.inet.receive_control(&self.options, &d.meta, d.dst_port, &mut msg.control);
        if d.meta.broadcast || d.meta.dst.is_multicast() {
            self.fix_spec_dst(d.meta.ifindex, &mut msg.control);
        }
        let drops = self.options.drops.load(Relaxed);
        if self.options.rxq_ovfl.load(Relaxed) && drops > 0 {
            let data = drops.to_ne_bytes().to_vec();
            msg.control.push(Control { level: SOL_SOCKET, kind: SO_RXQ_OVFL, data });
        }
        if self.flavor == Flavor::Udp && msg.flags & MSG_PEEK == 0 {
            let s = self.net.snmp();
            if self.v6() {
                s.udp6.in_datagrams.inc();
            } else {
                s.udp.in_datagrams.inc();
            }
        }
        let answer = if msg.flags & MSG_TRUNC != 0 { d.data.len() } else { copied };
        if offset >= 0 {
            let moved = i32::try_from(answer).unwrap_or(i32::MAX);
            let next = if peeks { offset.saturating_add(moved) } else { offset.saturating_sub(moved).max(0) };
            self.options.peek_off.store(next, Relaxed);
        }
        Ok(answer)
    }

    /// `ipi_spec_dst` of what went to many is the address that an answer would come from.
    fn fix_spec_dst(&self, ifindex: u32, control: &mut [Control]) {
        let info = control.iter_mut().find(|c| c.level == SOL_IP && c.kind == IP_PKTINFO);
        let Some(field) = info.and_then(|c| c.data.get_mut(4..8)) else { return };
        let ours = self.net.addrs_of(ifindex).into_iter().find_map(|a| match a.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        });
        field.copy_from_slice(&ours.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    }
}
