//! ARP in and out (RFC 826, RFC 5227).

use crate::link::Link;
use crate::output::Frame;
use crate::tx::PacketType;
use crate::Net;
use lkl_net::neigh::Advert;
use lkl_net::route::Kind;
use lkl_net::wire::arp::{Operation, Packet, LEN};
use lkl_net::wire::ethernet::{self, Mac};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

impl Net {
    fn send_arp(&self, link: &Arc<Link>, to: Mac, packet: &Packet) {
        let mut frame = Frame::new(link, ethernet::ARP, LEN);
        packet.emit(&mut frame.head);
        frame.set_destination(to);
        self.transmit(link, &frame);
    }

    /// Asks for `ip`: the neighbour alone, if its address is given.
    pub(crate) fn send_arp_request(&self, link: &Arc<Link>, ip: Ipv4Addr, unicast: Option<Mac>) {
        let key = crate::FlowKey { oif: link.index, ..crate::FlowKey::to(ip.into()) };
        let sender_ip = match self.route_output(&key).map(|r| r.src) {
            Ok(IpAddr::V4(s)) => s,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let packet = Packet {
            operation: Operation::Request,
            sender_mac: link.mac(),
            sender_ip,
            target_mac: [0; 6],
            target_ip: ip,
        };
        self.send_arp(link, unicast.unwrap_or(ethernet::BROADCAST), &packet);
    }

    /// Tells everybody on the link our addresses (RFC 5944, section 4.6).
    pub(crate) fn announce(&self, link: &Arc<Link>) {
        if !link.is_up() || link.is_loopback() {
            return;
        }
        for a in self.addrs_of(link.index) {
            let IpAddr::V4(ip) = a.ip else { continue };
            let mac = link.mac();
            let packet = Packet {
                operation: Operation::Request,
                sender_mac: mac,
                sender_ip: ip,
                target_mac: [0; 6],
                target_ip: ip,
            };
            self.send_arp(link, ethernet::BROADCAST, &packet);
        }
    }

    pub(crate) fn arp_input(&self, link: &Arc<Link>, bytes: &[u8], packet_type: PacketType) {
        let Some(p) = Packet::parse(bytes) else {
            tracing::debug!(target: "lkl::drop", link = link.index, "ARP packet");
            return;
        };
        if p.target_ip.is_multicast() || p.target_ip.is_loopback() || p.sender_ip.is_multicast() {
            return;
        }
        let for_us = self.arp_for_us(link, p.target_ip);
        if p.operation == Operation::Request && for_us {
            let reply = Packet {
                operation: Operation::Reply,
                sender_mac: link.mac(),
                sender_ip: p.target_ip,
                target_mac: p.sender_mac,
                target_ip: p.sender_ip,
            };
            self.send_arp(link, p.sender_mac, &reply);
        }
        if p.sender_ip.is_unspecified() || self.is_local(p.sender_ip.into()) {
            return;
        }
        let gratuitous = p.sender_ip == p.target_ip;
        let advert = Advert {
            mac: p.sender_mac,
            solicited: p.operation == Operation::Reply && packet_type == PacketType::Host && !gratuitous,
            is_override: true,
            router: None,
        };
        let create = (for_us && p.operation == Operation::Request) || link.ipv4.arp_accept.on();
        self.neigh_advert(link.index, p.sender_ip.into(), advert, create);
    }

    /// Shall a question for `ip` on `link` be answered (`arp_ignore`)?
    fn arp_for_us(&self, link: &Link, ip: Ipv4Addr) -> bool {
        let ignore = link.ipv4.arp_ignore.get().max(self.sysctl().ipv4_all.arp_ignore.get());
        match ignore {
            0 => self.local_kind(ip.into()) == Some(Kind::Local),
            8 => false,
            _ => self.addr_find(link.index, ip.into()).is_some(),
        }
    }
}
