//! Groups that links listen to, and telling routers of them: `lkl_net`'s membership machine (RFC 3376, RFC 3810) under a
//! lock. A link listens to a group from any source; the source filters of sockets are applied when a packet is
//! delivered.

use crate::ip::{IPPROTO_ICMPV6, IPPROTO_IGMP};
use crate::link::Link;
use crate::tx::{HeaderBytes, IpTx, RxMeta};
use crate::Net;
use bytes::Bytes;
use lkl_net::checksum::checksum;
use lkl_net::mcast::{all_routers, emit_report, parse_query, Filter, Membership, Message};
use lkl_net::wire::{icmp, ipv6};
use lkl_ops::Instant;
use lkl_sync::{Mutex, Rank};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IGMP: query, and reports of the first two versions.
const IGMP_QUERY: u8 = 0x11;
const IGMP_REPORTS: [u8; 2] = [0x12, 0x16];

/// The membership machines, one for each link and IP version.
pub(crate) struct Memberships(Mutex<HashMap<(u32, bool), Membership>>);

impl Default for Memberships {
    fn default() -> Self {
        Self(Mutex::new(Rank::PacketTable, HashMap::new()))
    }
}

impl Net {
    /// One more user of `group` on `link`.
    pub(crate) fn group_join(&self, link: &Link, group: IpAddr) {
        let first = {
            let mut groups = link.groups.lock();
            let users = groups.entry(group).or_insert(0);
            *users += 1;
            *users == 1
        };
        if first {
            self.with_membership(link, group.is_ipv6(), |m, now, out| m.set(now, group, Filter::any_source(), out));
        }
    }

    /// One user less.
    pub(crate) fn group_leave(&self, link: &Link, group: IpAddr) {
        let last = {
            let mut groups = link.groups.lock();
            match groups.get_mut(&group) {
                Some(users) if *users > 1 => {
                    *users -= 1;
                    false
                }
                Some(_) => groups.remove(&group).is_some(),
                None => false,
            }
        };
        if last {
            self.with_membership(link, group.is_ipv6(), |m, now, out| m.set(now, group, Filter::nothing(), out));
        }
    }

    /// The link has come up: routers are told of all groups.
    pub(crate) fn groups_link_up(&self, link: &Link) {
        let groups: Vec<IpAddr> = link.groups().into_iter().map(|(g, _)| g).collect();
        for v6 in [false, true] {
            self.multicast.0.lock().remove(&(link.index, v6));
            self.with_membership(link, v6, |m, now, out| {
                for g in groups.iter().filter(|g| g.is_ipv6() == v6) {
                    m.set(now, *g, Filter::any_source(), out);
                }
            });
        }
    }

    /// Runs `f` on the machine of a link, sends what it says, and sets the timer. A link that is down has none.
    fn with_membership(&self, link: &Link, v6: bool, f: impl FnOnce(&mut Membership, Instant, &mut Vec<Message>)) {
        if link.is_loopback() || !link.is_up() {
            return;
        }
        let now = self.now();
        let seed = self.random_u32();
        let mut out = Vec::new();
        let deadline = {
            let mut all = self.multicast.0.lock();
            let m = all.entry((link.index, v6)).or_insert_with(|| Membership::new(v6, seed));
            f(m, now, &mut out);
            m.deadline()
        };
        for message in out {
            self.send_report(link, v6, &message);
        }
        if let Some(at) = deadline {
            self.arm_multicast(at);
        }
    }

    /// Reports that are due; answers when the next one is.
    pub(crate) fn multicast_timer(&self, now: Instant) -> Option<Instant> {
        let mut due = Vec::new();
        let next = {
            let mut all = self.multicast.0.lock();
            for ((index, v6), m) in all.iter_mut() {
                let mut out = Vec::new();
                m.on_timer(now, &mut out);
                due.push((*index, *v6, out));
            }
            all.values().filter_map(Membership::deadline).min()
        };
        for (index, v6, out) in due {
            if let Ok(link) = self.link_by_index(index) {
                for message in out {
                    self.send_report(&link, v6, &message);
                }
            }
        }
        next
    }

    fn send_report(&self, link: &Link, v6: bool, message: &Message) {
        let dst = match message {
            Message::Report(_) => all_routers(v6, true),
            Message::OldReport(group) => *group,
            Message::Leave(_) => all_routers(v6, false),
        };
        let bytes = emit_report(v6, message);
        let kind = bytes.first().copied().unwrap_or(0);
        let header = HeaderBytes::from_vec(bytes);
        let tx = if v6 {
            let src = self.link_local(link).unwrap_or(Ipv6Addr::UNSPECIFIED);
            let mut tx = IpTx::new(src.into(), dst, IPPROTO_ICMPV6, header, Some(2));
            (tx.ttl, tx.oif, tx.multicast_loop, tx.any_src) = (Some(1), link.index, false, true);
            // Hop-by-hop header with a router alert (RFC 3810, section 5).
            tx.options = Bytes::from_static(&[IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0]);
            tx.ext_proto = Some(ipv6::HOP_BY_HOP);
            self.snmp().icmp6.out_msgs.inc();
            if kind == icmp::v6::MLD2_REPORT {
                self.snmp().icmp6.out_ml_dv2_reports.inc();
            }
            self.snmp().icmp6_msg.count_out(kind);
            tx
        } else {
            let mut tx = IpTx::new(Ipv4Addr::UNSPECIFIED.into(), dst, IPPROTO_IGMP, header, None);
            (tx.ttl, tx.oif, tx.tos, tx.multicast_loop) = (Some(1), link.index, 0xc0, false);
            // Router alert (RFC 2113).
            tx.options = Bytes::from_static(&[0x94, 4, 0, 0]);
            tx
        };
        if let Err(e) = self.ip_output_queued(tx) {
            tracing::debug!(target: "lkl::drop", error = ?e, "membership report");
        }
    }

    /// The link-local address of a link that may be used.
    pub(crate) fn link_local(&self, link: &Link) -> Option<Ipv6Addr> {
        self.addrs_of(link.index).iter().find_map(|a| match a.ip {
            IpAddr::V6(ip) if crate::ip::is_link_local(ip) && !a.tentative() => Some(ip),
            _ => None,
        })
    }

    pub(crate) fn igmp_input(&self, meta: &RxMeta, message: &[u8]) {
        if checksum(message) != 0 {
            return;
        }
        match message.first() {
            Some(&IGMP_QUERY) => self.membership_query(meta, message),
            Some(kind) if IGMP_REPORTS.contains(kind) => self.old_report(meta),
            _ => {}
        }
    }

    /// A query came, of IGMP or MLD; `message` begins at its type.
    pub(crate) fn membership_query(&self, meta: &RxMeta, message: &[u8]) {
        let v6 = meta.dst.is_ipv6();
        let (Some(query), Ok(link)) = (parse_query(v6, message), self.link_by_index(meta.ifindex)) else { return };
        self.with_membership(&link, v6, |m, now, _| m.on_query(now, &query));
    }

    /// Somebody else reported the group that this was sent to.
    pub(crate) fn old_report(&self, meta: &RxMeta) {
        if let Ok(link) = self.link_by_index(meta.ifindex) {
            self.with_membership(&link, meta.dst.is_ipv6(), |m, now, _| m.on_old_report(now, meta.dst));
        }
    }
}
