//! Neighbour discovery in and out (RFC 4861).

use crate::ip::IPPROTO_ICMPV6;
use crate::link::Link;
use crate::output::Frame;
use crate::tx::RxMeta;
use crate::Net;
use lkl_net::checksum::Sum;
use lkl_net::neigh::Advert;
use lkl_net::wire::ethernet::{self, Mac};
use lkl_net::wire::ndisc::{link_option, solicited_node, target, NA_OVERRIDE, NA_ROUTER, NA_SOLICITED};
use lkl_net::wire::{icmp, ipv6};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

impl Net {
    /// Sends a message of neighbour discovery straight to a hardware address, without a look-up.
    fn send_ndisc(&self, link: &Arc<Link>, to: Mac, src: Ipv6Addr, dst: Ipv6Addr, mut message: Vec<u8>) {
        let sum =
            Sum::new().pseudo_header(src.into(), dst.into(), IPPROTO_ICMPV6, message.len()).add(&message).finish();
        if let Some(field) = message.get_mut(2..4) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        self.count_icmp_out(true, message.first().copied().unwrap_or(0));
        self.snmp().ip6.out_requests.inc();
        let mut frame = Frame::new(link, ethernet::IPV6, ipv6::HEADER_LEN + message.len());
        let header = ipv6::Header {
            traffic_class: 0,
            flow_label: 0,
            payload_len: message.len(),
            next_header: IPPROTO_ICMPV6,
            hop_limit: 255,
            src,
            dst,
        };
        header.emit(&mut frame.head);
        frame.head.extend_from_slice(&message);
        frame.set_destination(to);
        self.transmit(link, &frame);
    }

    /// Asks for `ip`: the neighbour alone, if its address is given.
    pub(crate) fn send_neighbor_solicit(&self, link: &Arc<Link>, ip: Ipv6Addr, unicast: Option<Mac>) {
        let src = match self.link_local(link) {
            Some(s) => s,
            None => match self
                .route_output(&crate::FlowKey { oif: link.index, ..crate::FlowKey::to(ip.into()) })
                .map(|r| r.src)
            {
                Ok(IpAddr::V6(s)) => s,
                _ => return,
            },
        };
        let mut m = vec![icmp::v6::NEIGHBOR_SOLICIT, 0, 0, 0, 0, 0, 0, 0];
        m.extend_from_slice(&ip.octets());
        m.extend_from_slice(&link_option(1, &link.mac()));
        let (to, dst) = match unicast {
            Some(mac) => (mac, ip),
            None => {
                let group = solicited_node(ip);
                (ethernet::multicast_mac(group.into()), group)
            }
        };
        self.send_ndisc(link, to, src, dst, m);
    }

    /// Asks whether anybody has `ip`, which is to be ours (RFC 4862, section 5.4.2).
    pub(crate) fn send_dad_probe(&self, link: &Arc<Link>, ip: Ipv6Addr) {
        let group = solicited_node(ip);
        let mut m = vec![icmp::v6::NEIGHBOR_SOLICIT, 0, 0, 0, 0, 0, 0, 0];
        m.extend_from_slice(&ip.octets());
        self.send_ndisc(link, ethernet::multicast_mac(group.into()), Ipv6Addr::UNSPECIFIED, group, m);
    }

    /// Asks for routers.
    pub(crate) fn send_router_solicit(&self, link: &Arc<Link>) {
        let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let src = self.link_local(link);
        let mut m = vec![icmp::v6::ROUTER_SOLICIT, 0, 0, 0, 0, 0, 0, 0];
        if src.is_some() {
            m.extend_from_slice(&link_option(1, &link.mac()));
        }
        let src = src.unwrap_or(Ipv6Addr::UNSPECIFIED);
        self.send_ndisc(link, ethernet::multicast_mac(all.into()), src, all, m);
    }

    /// Is a message of neighbour discovery from this link, as its hop limit proves?
    fn on_link(meta: &RxMeta, message: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
        match (meta.src, meta.dst) {
            (IpAddr::V6(s), IpAddr::V6(d)) if meta.ttl == 255 && message.get(1) == Some(&0) => Some((s, d)),
            _ => {
                tracing::debug!(target: "lkl::drop", src = %meta.src, "neighbour discovery from off the link");
                None
            }
        }
    }

    pub(crate) fn neighbor_solicit(&self, meta: &RxMeta, message: &[u8]) {
        let Some((src, dst)) = Self::on_link(meta, message) else { return };
        let Some((ip, options)) = target(message) else { return };
        let Ok(link) = self.link_by_index(meta.ifindex) else { return };
        if ip.is_multicast() || link.is_loopback() {
            return;
        }
        let dad = src.is_unspecified();
        if dad && (options.source.is_some() || !dst.is_multicast()) {
            return;
        }
        let Some(addr) = self.addr_find(link.index, ip.into()) else { return };
        if addr.tentative() {
            // RFC 4862, section 5.4.3: somebody else wants it too, or has it.
            if dad {
                self.dad_failed(link.index, ip.into());
            }
            return;
        }
        if let (Some(mac), false) = (options.source, dad) {
            let advert = Advert { mac, solicited: false, is_override: true, router: None };
            self.neigh_advert(link.index, src.into(), advert, true);
        }
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let flags = if dad { NA_OVERRIDE } else { NA_SOLICITED | NA_OVERRIDE };
        let mut m = vec![icmp::v6::NEIGHBOR_ADVERT, 0, 0, 0, flags, 0, 0, 0];
        m.extend_from_slice(&ip.octets());
        m.extend_from_slice(&link_option(2, &link.mac()));
        match (dad, options.source) {
            (true, _) => self.send_ndisc(&link, ethernet::multicast_mac(all_nodes.into()), ip, all_nodes, m),
            (false, Some(mac)) => self.send_ndisc(&link, mac, ip, src, m),
            (false, None) => {
                // The neighbour's address must be looked up as for any packet.
                let header = crate::tx::HeaderBytes::from_vec(m);
                let mut tx = crate::IpTx::new(ip.into(), src.into(), IPPROTO_ICMPV6, header, Some(2));
                (tx.ttl, tx.oif) = (Some(255), link.index);
                let _sent = self.ip_output_queued(tx);
            }
        }
    }

    pub(crate) fn neighbor_advert(&self, meta: &RxMeta, message: &[u8]) {
        if Self::on_link(meta, message).is_none() {
            return;
        }
        let Some((ip, options)) = target(message) else { return };
        let flags = message.get(4).copied().unwrap_or(0);
        if ip.is_multicast() || (meta.dst.is_multicast() && flags & NA_SOLICITED != 0) {
            return;
        }
        if let Some(addr) = self.addr_find(meta.ifindex, ip.into()) {
            if addr.tentative() {
                self.dad_failed(meta.ifindex, ip.into());
            }
            return;
        }
        let known = self.neigh_get(meta.ifindex, ip.into()).and_then(|n| n.mac);
        let Some(mac) = options.target.or(known) else { return };
        let advert = Advert {
            mac,
            solicited: flags & NA_SOLICITED != 0,
            is_override: flags & NA_OVERRIDE != 0,
            router: Some(flags & NA_ROUTER != 0),
        };
        self.neigh_advert(meta.ifindex, ip.into(), advert, false);
    }
}
