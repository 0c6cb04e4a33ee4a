//! Groups that links listen to, and telling routers of them (RFC 3376, RFC 3810).

use crate::ip::{IPPROTO_ICMPV6, IPPROTO_IGMP};
use crate::link::Link;
use crate::tx::{HeaderBytes, IpTx, RxMeta};
use crate::Net;
use bytes::Bytes;
use lkl_net::checksum::checksum;
use lkl_net::wire::{icmp, ipv6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Record types of both protocols.
const MODE_IS_EXCLUDE: u8 = 2;
const CHANGE_TO_INCLUDE: u8 = 3;
const CHANGE_TO_EXCLUDE: u8 = 4;

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
            self.group_report(link, &[group], CHANGE_TO_EXCLUDE);
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
            self.group_report(link, &[group], CHANGE_TO_INCLUDE);
        }
    }

    /// The link has come up: routers are told of all groups.
    pub(crate) fn groups_link_up(&self, link: &Link) {
        let groups: Vec<IpAddr> = link.groups().into_iter().map(|(g, _)| g).collect();
        self.group_report(link, &groups, CHANGE_TO_EXCLUDE);
    }

    fn group_report(&self, link: &Link, groups: &[IpAddr], kind: u8) {
        if link.is_loopback() || !link.is_up() {
            return;
        }
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        let (mut n4, mut n6) = (0u16, 0u16);
        for g in groups.iter().take(64) {
            match g {
                IpAddr::V4(g) if g.octets() != [224, 0, 0, 1] => {
                    v4.extend_from_slice(&[kind, 0, 0, 0]);
                    v4.extend_from_slice(&g.octets());
                    n4 += 1;
                }
                // Groups that never leave the node or need no report (RFC 3810, section 6).
                IpAddr::V6(g) if !matches!(g.segments(), [0xff01, ..] | [0xff02, 0, 0, 0, 0, 0, 0, 1]) => {
                    v6.extend_from_slice(&[kind, 0, 0, 0]);
                    v6.extend_from_slice(&g.octets());
                    n6 += 1;
                }
                _ => {}
            }
        }
        let sent = |r: lkl_abi::Result<()>| {
            if let Err(e) = r {
                tracing::debug!(target: "lkl::drop", error = ?e, "membership report");
            }
        };
        if n4 > 0 {
            let mut m = vec![0x22, 0, 0, 0, 0, 0];
            m.extend_from_slice(&n4.to_be_bytes());
            m.extend_from_slice(&v4);
            let sum = checksum(&m);
            m[2..4].copy_from_slice(&sum.to_be_bytes());
            let mut tx = IpTx::new(
                Ipv4Addr::UNSPECIFIED.into(),
                Ipv4Addr::new(224, 0, 0, 22).into(),
                IPPROTO_IGMP,
                HeaderBytes::from_vec(m),
                None,
            );
            (tx.ttl, tx.oif, tx.tos, tx.multicast_loop) = (Some(1), link.index, 0xc0, false);
            // Router alert (RFC 2113).
            tx.options = Bytes::from_static(&[0x94, 4, 0, 0]);
            sent(self.ip_output_queued(tx));
        }
        if n6 > 0 {
            let mut m = vec![icmp::v6::MLD2_REPORT, 0, 0, 0, 0, 0];
            m.extend_from_slice(&n6.to_be_bytes());
            m.extend_from_slice(&v6);
            let src = self.link_local(link).unwrap_or(Ipv6Addr::UNSPECIFIED);
            let dst = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
            let mut tx = IpTx::new(src.into(), dst.into(), IPPROTO_ICMPV6, HeaderBytes::from_vec(m), Some(2));
            (tx.ttl, tx.oif, tx.multicast_loop, tx.any_src) = (Some(1), link.index, false, true);
            // Hop-by-hop header with a router alert (RFC 3810, section 5).
            tx.options = Bytes::from_static(&[IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0]);
            tx.ext_proto = Some(ipv6::HOP_BY_HOP);
            self.snmp().icmp6.out_msgs.inc();
            self.snmp().icmp6.out_ml_dv2_reports.inc();
            self.snmp().icmp6_msg.count_out(icmp::v6::MLD2_REPORT);
            sent(self.ip_output_queued(tx));
        }
    }

    /// The link-local address of a link that may be used.
    pub(crate) fn link_local(&self, link: &Link) -> Option<Ipv6Addr> {
        self.addrs_of(link.index).iter().find_map(|a| match a.ip {
            IpAddr::V6(ip) if crate::ip::is_link_local(ip) && !a.tentative() => Some(ip),
            _ => None,
        })
    }

    /// A query is answered at once with all groups: there are few.
    pub(crate) fn igmp_input(&self, meta: &RxMeta, message: &[u8]) {
        if message.first() != Some(&0x11) || checksum(message) != 0 {
            return;
        }
        self.answer_query(meta);
    }

    pub(crate) fn answer_query(&self, meta: &RxMeta) {
        let Ok(link) = self.link_by_index(meta.ifindex) else { return };
        let v6 = meta.dst.is_ipv6();
        let groups: Vec<IpAddr> = link.groups().into_iter().map(|(g, _)| g).filter(|g| g.is_ipv6() == v6).collect();
        self.group_report(&link, &groups, MODE_IS_EXCLUDE);
    }
}
