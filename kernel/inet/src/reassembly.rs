//! Reassembly: `lkl_net`'s reassembler under a lock.

use crate::tx::{PacketType, RxMeta};
use crate::Net;
use bytes::Bytes;
use lkl_net::ip::reassembly::{Fragment, Key, Limits, Outcome, Reassembler};
use lkl_net::wire::icmp;
use lkl_ops::Instant;

/// The datagrams that are being put together.
pub(crate) struct Fragments(Reassembler);

impl Default for Fragments {
    fn default() -> Self {
        Self(Reassembler::new(Limits::default()))
    }
}

impl Net {
    /// Bytes and datagrams held for reassembly (`/proc/net/sockstat`).
    pub fn reassembly_usage(&self) -> (usize, usize) {
        let f = self.frags.lock();
        (f.0.len(), f.0.bytes())
    }

    pub(crate) fn reassemble(&self, key: Key, fragment: Fragment) -> Option<(Bytes, Bytes)> {
        let mut dropped = 0;
        let v6 = key.src.is_ipv6();
        let (outcome, deadline) = {
            let mut f = self.frags.lock();
            (f.0.insert(self.now(), key, fragment, &mut dropped), f.0.deadline())
        };
        if let Some(at) = deadline {
            self.arm_reassembly(at);
        }
        self.reassembly_failed(v6, dropped as u64);
        match outcome {
            Outcome::Complete { header, payload } => Some((header, payload)),
            Outcome::Dropped => {
                self.reassembly_failed(v6, 1);
                tracing::debug!(target: "lkl::drop", src = %key.src, "fragment");
                None
            }
            _ => None,
        }
    }

    fn reassembly_failed(&self, v6: bool, n: u64) {
        if v6 {
            self.snmp().ip6.reasm_fails.add(n);
        } else {
            self.snmp().ip.reasm_fails.add(n);
        }
    }

    pub(crate) fn reassembly_timer(&self, now: Instant) -> Option<Instant> {
        let (expired, next) = {
            let mut f = self.frags.lock();
            (f.0.on_timer(now), f.0.deadline())
        };
        for e in expired {
            let v6 = e.key.src.is_ipv6();
            if v6 {
                self.snmp().ip6.reasm_timeout.inc();
            } else {
                self.snmp().ip.reasm_timeout.inc();
            }
            self.reassembly_failed(v6, 1);
            let Some((header, payload)) = e.first else { continue };
            let mut packet = header.to_vec();
            packet.extend_from_slice(&payload);
            let meta = RxMeta {
                src: e.key.src,
                dst: e.key.dst,
                proto: e.key.protocol,
                ttl: 0,
                tos: 0,
                flow_label: 0,
                ifindex: e.key.ifindex,
                checksum_ok: false,
                gso_size: None,
                packet_type: PacketType::Host,
                broadcast: false,
                time: self.host().realtime(),
                packet: packet.into(),
                transport: header.len(),
            };
            let kind = if v6 { icmp::v6::TIME_EXCEEDED } else { icmp::v4::TIME_EXCEEDED };
            self.icmp_send(&meta, kind, 1, 0);
        }
        next
    }
}
