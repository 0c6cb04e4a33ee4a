//! Receiving: from a frame to a transport protocol.

use crate::ip::{IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IGMP, IPPROTO_TCP, IPPROTO_UDP};
use crate::link::Link;
use crate::loopback::LoopPacket;
use crate::tx::{PacketType, RxMeta};
use crate::Net;
use bytes::Bytes;
use core::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use lkl_net::gro::Gro;
use lkl_net::ip::reassembly::{Fragment, Key};
use lkl_net::route::{Key as FibKey, Kind};
use lkl_net::wire::ethernet;
use lkl_net::wire::{icmp, ipv4, ipv6};
use lkl_ops::{Checked, RxFrame};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// Frames of one device in a row.
const BUDGET: usize = 64;
/// A device that had one frame so often in a row is taken to have no second one.
const LONE: u8 = 4;
/// So often in a row; then it is looked at again.
const LONE_END: u8 = 20;
/// Rounds over all devices before timers are looked at.
const ROUNDS: usize = 8;

macro_rules! drop_packet {
    ($net:expr, $counter:ident . $field:ident, $($why:tt)*) => {{
        $net.snmp().$counter.$field.inc();
        tracing::debug!(target: "lkl::drop", $($why)*);
        return;
    }};
}

/// How a packet came.
#[derive(Clone, Copy)]
struct Arrival {
    packet_type: PacketType,
    checksum_ok: bool,
    gso_size: Option<u16>,
}

impl Net {
    /// Reads all devices; answers whether there may be more.
    pub(crate) fn read_devices(&self, enough: &dyn Fn() -> bool) -> bool {
        let links: SmallVec<[Arc<Link>; 4]> =
            self.config.read().links.values().filter(|l| l.dev.is_some()).cloned().collect();
        for _ in 0..ROUNDS {
            let mut full = false;
            for link in &links {
                full |= self.read_device(link, enough);
            }
            self.run_loopback();
            if !full {
                return false;
            }
        }
        true
    }

    /// Threads that served the network are gone, in the middle of it: others may take their places as readers of devices,
    /// of the loopback queue, and as senders of connections. Answers the connections whose locks are held: by threads that
    /// are there, or, for ever, by those that are gone ([`Net::tcp_forsake`]).
    pub fn servers_gone(&self) -> Vec<crate::tcp::Held> {
        for link in self.config.read().links.values() {
            link.reading.store(false, Release);
        }
        self.loopback.abandon();
        self.tcp_senders_gone()
    }

    fn read_device(&self, link: &Arc<Link>, enough: &dyn Fn() -> bool) -> bool {
        let Some(dev) = &link.dev else { return false };
        if link.reading.swap(true, AcqRel) {
            // Somebody reads it already, until it is empty.
            return false;
        }
        let mut n = 0;
        let lone = link.lone.load(Relaxed);
        let mut gro = Gro::default();
        while n < BUDGET {
            // To find nothing is a call of the host's, too.
            if n == 1 && lone >= LONE {
                gro.flush(|frame| self.frame_input(link, frame));
                if enough() {
                    break;
                }
            }
            let Ok(frame) = dev.recv() else { break };
            n += 1;
            if link.is_up() {
                link.stats.rx_packets.fetch_add(1, Relaxed);
                link.stats.rx_bytes.fetch_add(frame.data.len() as u64, Relaxed);
                gro.push(frame, |frame| self.frame_input(link, frame));
            }
        }
        gro.flush(|frame| self.frame_input(link, frame));
        let lone = match n {
            0 => lone,
            1 if lone < LONE_END => lone + 1,
            1 => LONE - 1,
            _ => 0,
        };
        link.lone.store(lone, Relaxed);
        link.reading.store(false, Release);
        n == BUDGET
    }

    /// May a packet from `src` come by `link`, as `rp_filter` says (RFC 3704, sections 2.2 and 2.4)?
    fn source_fits(&self, link: &Link, src: IpAddr, dst: IpAddr) -> bool {
        /// The way back must be the way that it came, or one at all.
        const STRICT: i64 = 1;
        let mode = link.ipv4.rp_filter.get().max(self.sysctl().ipv4_all.rp_filter.get());
        if mode == 0 {
            return true;
        }
        // What would be sent back is from the address that was asked.
        let own = Some(dst).filter(|dst| self.local_kind(*dst) == Some(Kind::Local));
        match self.fib_lookup(&FibKey { src: own, ..FibKey::to(src) }) {
            Ok(found) => mode != STRICT || found.route.nexthops.iter().any(|hop| hop.ifindex == link.index),
            Err(_) => false,
        }
    }

    fn frame_input(&self, link: &Arc<Link>, frame: RxFrame) {
        let Some(eth) = ethernet::Header::parse(&frame.data) else {
            link.stats.rx_errors.fetch_add(1, Relaxed);
            return;
        };
        let packet_type = if eth.dst == ethernet::BROADCAST {
            PacketType::Broadcast
        } else if ethernet::is_multicast(&eth.dst) {
            link.stats.multicast.fetch_add(1, Relaxed);
            PacketType::Multicast
        } else if eth.dst == link.mac() {
            PacketType::Host
        } else {
            PacketType::OtherHost
        };
        if self.has_packet_taps() {
            self.tap(link, &frame.data, packet_type, frame.checksum);
        }
        if packet_type == PacketType::OtherHost {
            link.stats.rx_otherhost_dropped.fetch_add(1, Relaxed);
            return;
        }
        let how = Arrival { packet_type, checksum_ok: frame.checksum.is_ok(), gso_size: frame.gso.map(|g| g.size) };
        let packet = frame.data.slice(ethernet::HEADER_LEN..);
        match eth.ethertype {
            ethernet::IPV4 => self.ipv4_input(link, packet, how),
            ethernet::IPV6 => self.ipv6_input(link, packet, how),
            ethernet::ARP => self.arp_input(link, &packet, packet_type),
            _ => {
                link.stats.rx_dropped.fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn loopback_input(&self, mut p: LoopPacket) {
        let Ok(link) = self.link_by_index(p.ifindex) else { return };
        if !link.is_up() {
            return;
        }
        if let Some(segment) = &p.segment {
            let v6 = segment.dst.is_ipv6();
            let watched = self.has_packet_taps() || self.raw.any(v6, IPPROTO_TCP);
            if !watched && link.is_loopback() && !(v6 && link.ipv6.disable_ipv6.on()) {
                return self.loopback_segment(&link, p);
            }
            p = p.whole();
        }
        let v6 = p.packet.first().is_some_and(|b| b >> 4 == 6);
        if link.is_loopback() {
            let n = p.packet.len() as u64 + 14;
            for (packets, bytes) in
                [(&link.stats.tx_packets, &link.stats.tx_bytes), (&link.stats.rx_packets, &link.stats.rx_bytes)]
            {
                packets.fetch_add(1, Relaxed);
                bytes.fetch_add(n, Relaxed);
            }
            if self.has_packet_taps() {
                let ethertype = if v6 { ethernet::IPV6 } else { ethernet::IPV4 };
                let mut frame = Vec::with_capacity(p.packet.len() + ethernet::HEADER_LEN);
                ethernet::Header { dst: [0; 6], src: [0; 6], ethertype }.emit(&mut frame);
                frame.extend_from_slice(&p.packet);
                let frame = Bytes::from(frame);
                self.tap(&link, &frame, PacketType::Outgoing, Checked::Unfilled);
                self.tap(&link, &frame, PacketType::Host, Checked::Unfilled);
            }
        }
        let how = Arrival { packet_type: p.packet_type, checksum_ok: true, gso_size: p.gso_size };
        if v6 {
            self.ipv6_input(&link, p.packet, how);
        } else {
            self.ipv4_input(&link, p.packet, how);
        }
    }

    /// A segment of a connection of this host with itself, whose addresses and ports were looked at when it was sent.
    fn loopback_segment(&self, link: &Link, p: LoopPacket) {
        let (Some(net), Some(segment)) = (self.arc(), p.segment) else { return };
        let payload: usize = segment.payload.iter().map(Bytes::len).sum();
        let n = (p.packet.len() + payload) as u64;
        for (packets, bytes) in
            [(&link.stats.tx_packets, &link.stats.tx_bytes), (&link.stats.rx_packets, &link.stats.rx_bytes)]
        {
            packets.fetch_add(1, Relaxed);
            bytes.fetch_add(n + ethernet::HEADER_LEN as u64, Relaxed);
        }
        let s = self.snmp();
        let mut ifindex = link.index;
        if let IpAddr::V6(dst) = segment.dst {
            s.ip6.in_receives.inc();
            s.ip6.in_octets.add(n);
            match segment.tos & 3 {
                0 => s.ip6.in_no_ect_pkts.inc(),
                1 => s.ip6.in_ect1_pkts.inc(),
                2 => s.ip6.in_ect0_pkts.inc(),
                _ => s.ip6.in_ce_pkts.inc(),
            }
            s.ip6.in_delivers.inc();
            if !dst.is_loopback() {
                ifindex = self.addr_find(0, segment.dst).map_or(ifindex, |a| a.ifindex);
            }
        } else {
            s.ip.in_receives.inc();
            s.ip_ext.in_octets.add(n);
            match segment.tos & 3 {
                0 => s.ip_ext.in_no_ect_pkts.inc(),
                1 => s.ip_ext.in_ect1_pkts.inc(),
                2 => s.ip_ext.in_ect0_pkts.inc(),
                _ => s.ip_ext.in_ce_pkts.inc(),
            }
            s.ip.in_delivers.inc();
        }
        let meta = RxMeta {
            src: segment.src,
            dst: segment.dst,
            proto: IPPROTO_TCP,
            ttl: segment.ttl,
            tos: segment.tos,
            flow_label: segment.flow_label,
            ifindex,
            checksum_ok: true,
            gso_size: p.gso_size,
            packet_type: p.packet_type,
            broadcast: false,
            time: self.host().realtime(),
            packet: p.packet,
            transport: segment.transport,
        };
        crate::tcp::input_pieces(&net, &meta, segment.payload);
    }

    fn ipv4_input(&self, link: &Arc<Link>, packet: Bytes, how: Arrival) {
        let s = self.snmp();
        s.ip.in_receives.inc();
        s.ip_ext.in_octets.add(packet.len() as u64);
        let h = match ipv4::Header::parse(&packet) {
            Ok(h) => h,
            Err(ipv4::ParseError::Checksum) => {
                s.ip_ext.in_csum_errors.inc();
                drop_packet!(self, ip.in_hdr_errors, "IPv4 header checksum");
            }
            Err(ipv4::ParseError::Truncated) => {
                drop_packet!(self, ip_ext.in_truncated_pkts, "IPv4 packet is cut short")
            }
            Err(ipv4::ParseError::Malformed) => drop_packet!(self, ip.in_hdr_errors, "IPv4 header"),
        };
        match h.tos & 3 {
            0 => s.ip_ext.in_no_ect_pkts.inc(),
            1 => s.ip_ext.in_ect1_pkts.inc(),
            2 => s.ip_ext.in_ect0_pkts.inc(),
            _ => s.ip_ext.in_ce_pkts.inc(),
        }
        let packet = packet.slice(..h.total_len);
        if h.header_len > ipv4::HEADER_LEN && !packet.get(ipv4::HEADER_LEN..h.header_len).is_some_and(ipv4::options_ok)
        {
            drop_packet!(self, ip.in_hdr_errors, src = %h.src, "IPv4 options");
        }
        let lo = link.is_loopback();
        let dst = IpAddr::V4(h.dst);
        let src = IpAddr::V4(h.src);
        let everybody = h.dst.is_broadcast() || (h.dst.is_unspecified() && h.src.is_unspecified());
        let martian = h.src.is_multicast()
            || h.src.is_broadcast()
            || (h.dst.is_unspecified() && !everybody)
            || (h.src.octets()[0] == 0 && !everybody && !h.dst.is_multicast())
            || (!lo && (h.src.is_loopback() || h.dst.is_loopback()) && !link.ipv4.route_localnet.on());
        if martian {
            drop_packet!(self, ip.in_addr_errors, %src, %dst, link = link.index, "martian");
        }
        // A copy of a group's packet that we sent ourselves comes back with our address.
        let looped = lo || (how.checksum_ok && how.packet_type != PacketType::Host);
        if !looped && !link.ipv4.accept_local.on() && !h.src.is_unspecified() && self.is_local(src) {
            drop_packet!(self, ip.in_addr_errors, %src, %dst, link = link.index, "our own address as source");
        }
        if !looped && !h.src.is_unspecified() && !self.source_fits(link, src, dst) {
            drop_packet!(self, tcp_ext.ip_reverse_path_filter, %src, %dst, link = link.index, "another way back");
        }
        let broadcast = if everybody {
            true
        } else if h.dst.is_multicast() {
            if !link.is_member(dst) && !lo {
                tracing::debug!(target: "lkl::drop", group = %dst, link = link.index, "not a member");
                return;
            }
            s.ip_ext.in_mcast_pkts.inc();
            false
        } else {
            match self.local_kind(dst) {
                Some(Kind::Local) => false,
                Some(Kind::Broadcast) => true,
                _ => {
                    drop_packet!(self, ip.in_addr_errors, %src, %dst, link = link.index, "not for us, and not forwarded")
                }
            }
        };
        if broadcast {
            s.ip_ext.in_bcast_pkts.inc();
        }
        let (packet, checksum_ok) = if h.is_fragment() {
            let Some(whole) = self.reassemble4(link, &h, packet) else { return };
            (whole, false)
        } else {
            (packet, how.checksum_ok)
        };
        s.ip.in_delivers.inc();
        let meta = RxMeta {
            src,
            dst,
            proto: h.protocol,
            ttl: h.ttl,
            tos: h.tos,
            flow_label: 0,
            ifindex: link.index,
            checksum_ok,
            gso_size: how.gso_size,
            packet_type: how.packet_type,
            broadcast,
            time: self.host().realtime(),
            packet,
            transport: h.header_len,
        };
        self.deliver(&meta);
    }

    /// Gives a packet to the sockets.
    fn deliver(&self, meta: &RxMeta) {
        let Some(net) = self.arc() else { return };
        let raw = self.raw_input(meta);
        let segment = meta.packet.slice(meta.transport.min(meta.packet.len())..);
        match (meta.proto, meta.dst) {
            (IPPROTO_TCP, _) => crate::tcp::input(&net, meta, segment),
            (IPPROTO_UDP, _) => self.udp_input(meta, &segment),
            (IPPROTO_ICMP, IpAddr::V4(_)) => self.icmp4_input(meta, &segment),
            (IPPROTO_ICMPV6, IpAddr::V6(_)) => self.icmp6_input(meta, &segment),
            (IPPROTO_IGMP, IpAddr::V4(_)) => self.igmp_input(meta, &segment),
            _ if raw => {}
            (proto, IpAddr::V4(_)) => {
                self.snmp().ip.in_unknown_protos.inc();
                tracing::debug!(target: "lkl::drop", proto, "no such protocol");
                self.icmp_send(meta, icmp::v4::DEST_UNREACH, icmp::v4::PROT_UNREACH, 0);
            }
            (proto, IpAddr::V6(_)) => {
                self.snmp().ip6.in_unknown_protos.inc();
                tracing::debug!(target: "lkl::drop", proto, "no such protocol");
                self.icmp_send(meta, icmp::v6::PARAMETER_PROBLEM, 1, 6);
            }
        }
    }

    fn reassemble4(&self, link: &Link, h: &ipv4::Header, packet: Bytes) -> Option<Bytes> {
        let s = self.snmp();
        s.ip.reasm_reqds.inc();
        let key =
            Key { src: h.src.into(), dst: h.dst.into(), id: h.id.into(), protocol: h.protocol, ifindex: link.index };
        let fragment = Fragment {
            offset: h.fragment_offset,
            more: h.more_fragments,
            header: packet.slice(..h.header_len),
            payload: packet.slice(h.header_len..),
        };
        let (header, payload) = self.reassemble(key, fragment)?;
        let mut whole = header.to_vec();
        whole.extend_from_slice(&payload);
        let total = u16::try_from(whole.len()).ok()?;
        whole.get_mut(2..4)?.copy_from_slice(&total.to_be_bytes());
        whole.get_mut(6..8)?.fill(0);
        s.ip.reasm_o_ks.inc();
        Some(whole.into())
    }

    fn ipv6_input(&self, link: &Arc<Link>, packet: Bytes, how: Arrival) {
        let s = self.snmp();
        s.ip6.in_receives.inc();
        s.ip6.in_octets.add(packet.len() as u64);
        let Some(h) = ipv6::Header::parse(&packet) else {
            drop_packet!(self, ip6.in_hdr_errors, "IPv6 header");
        };
        match h.traffic_class & 3 {
            0 => s.ip6.in_no_ect_pkts.inc(),
            1 => s.ip6.in_ect1_pkts.inc(),
            2 => s.ip6.in_ect0_pkts.inc(),
            _ => s.ip6.in_ce_pkts.inc(),
        }
        if link.ipv6.disable_ipv6.on() {
            drop_packet!(self, ip6.in_discards, "IPv6 is disabled");
        }
        let packet = packet.slice(..ipv6::HEADER_LEN + h.payload_len);
        let lo = link.is_loopback();
        let (src, dst) = (IpAddr::V6(h.src), IpAddr::V6(h.dst));
        let node_local = h.dst.segments()[0] & 0xff0f == 0xff01 && h.dst.is_multicast();
        let martian = h.src.is_multicast()
            || h.dst.is_unspecified()
            || (!lo && (h.src.is_loopback() || h.dst.is_loopback() || (node_local && !how.checksum_ok)))
            || h.dst.segments()[0] == 0xff00
            || h.src.to_ipv4_mapped().is_some()
            || h.dst.to_ipv4_mapped().is_some();
        if martian {
            drop_packet!(self, ip6.in_addr_errors, %src, %dst, link = link.index, "martian");
        }
        if h.dst.is_multicast() {
            if !link.is_member(dst) && !lo {
                tracing::debug!(target: "lkl::drop", group = %dst, link = link.index, "not a member");
                return;
            }
            s.ip6.in_mcast_pkts.inc();
        } else {
            let ours = match self.local_kind(dst) {
                // A link-local address is ours only on its own link.
                Some(Kind::Local) if crate::ip::is_link_local(h.dst) && !lo => {
                    self.addr_find(link.index, dst).is_some()
                }
                Some(Kind::Local | Kind::Anycast) => true,
                _ => false,
            };
            if !ours {
                drop_packet!(self, ip6.in_addr_errors, %src, %dst, link = link.index, "not for us, and not forwarded");
            }
        }
        // What this host sends to itself counts as come by the link that has the address.
        let owner = if lo && !h.dst.is_loopback() { self.addr_find(0, dst).map(|a| a.ifindex) } else { None };
        let mut meta = RxMeta {
            src,
            dst,
            proto: h.next_header,
            ttl: h.hop_limit,
            tos: h.traffic_class,
            flow_label: h.flow_label,
            ifindex: owner.unwrap_or(link.index),
            checksum_ok: how.checksum_ok,
            gso_size: how.gso_size,
            packet_type: how.packet_type,
            broadcast: false,
            time: self.host().realtime(),
            packet,
            transport: ipv6::HEADER_LEN,
        };
        let mut first = true;
        let mut at = (h.next_header, ipv6::HEADER_LEN, 6);
        // At most one reassembly: the datagram that comes out of it is walked once more.
        for _ in 0..2 {
            match ipv6::walk(&meta.packet, at.0, at.1, at.2, first) {
                ipv6::Chain::Upper { protocol, offset } => {
                    meta.proto = protocol;
                    meta.transport = offset;
                    s.ip6.in_delivers.inc();
                    self.deliver(&meta);
                    return;
                }
                ipv6::Chain::Fragment { offset, next_header_at } => {
                    let Some((packet, next)) = self.reassemble6(&meta, offset, next_header_at) else { return };
                    // An atomic fragment leaves what is behind it as it is.
                    meta.packet = packet;
                    meta.checksum_ok = false;
                    at = (next, offset, next_header_at);
                    first = false;
                }
                ipv6::Chain::Discard => drop_packet!(self, ip6.in_hdr_errors, %src, "IPv6 extension headers"),
                ipv6::Chain::Problem { code, pointer, multicast } => {
                    s.ip6.in_hdr_errors.inc();
                    tracing::debug!(target: "lkl::drop", %src, code, pointer, "IPv6 parameter problem");
                    if multicast || !h.dst.is_multicast() {
                        self.icmp_send(&meta, icmp::v6::PARAMETER_PROBLEM, code, pointer as u32);
                    }
                    return;
                }
            }
        }
    }

    /// Takes a fragment in; answers the whole packet, and what stands where the fragment header was.
    fn reassemble6(&self, meta: &RxMeta, offset: usize, next_header_at: usize) -> Option<(Bytes, u8)> {
        let s = self.snmp();
        s.ip6.reasm_reqds.inc();
        let f = ipv6::Fragment::parse(meta.packet.get(offset..)?)?;
        let payload = meta.packet.slice((offset + ipv6::FRAGMENT_LEN).min(meta.packet.len())..);
        let mut header = meta.packet.get(..offset)?.to_vec();
        *header.get_mut(next_header_at)? = f.next_header;
        if f.more && payload.len() % 8 != 0 {
            // RFC 8200, section 4.5: points at the payload length.
            s.ip6.in_hdr_errors.inc();
            self.icmp_send(meta, icmp::v6::PARAMETER_PROBLEM, 0, 4);
            return None;
        }
        let (header, payload) = if f.offset == 0 && !f.more {
            (Bytes::from(header), payload)
        } else {
            let key = Key { src: meta.src, dst: meta.dst, id: f.id, protocol: 0, ifindex: meta.ifindex };
            let fragment = Fragment { offset: f.offset, more: f.more, payload, header: header.into() };
            self.reassemble(key, fragment)?
        };
        let mut whole = header.to_vec();
        let next = *whole.get(next_header_at)?;
        whole.extend_from_slice(&payload);
        let len = u16::try_from(whole.len().checked_sub(ipv6::HEADER_LEN)?).ok()?;
        whole.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
        s.ip6.reasm_o_ks.inc();
        Some((whole.into(), next))
    }
}
