//! Sending: from a transport header and its payload to frames.

use crate::flow::{FlowKey, Route};
use crate::ip::{IPPROTO_TCP, IPPROTO_UDP};
use crate::link::Link;
use crate::loopback::{LoopPacket, LoopSegment};
use crate::packet::TapFrame;
use crate::timestamp::TxStamp;
use crate::tx::{IpTx, PacketType, PayloadParts, PmtuDisc};
use crate::Net;
use bytes::Bytes;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use lkl_abi::{Errno, Result};
use lkl_net::checksum::Sum;
use lkl_net::ip::fragment;
use lkl_net::route::Kind;
use lkl_net::tcp::Flags;
use lkl_net::wire::ethernet::{self, Mac};
use lkl_net::wire::{ipv4, ipv6};
use lkl_ops::{Checked, Checksum, Gso, GsoKind, TxFrame};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// A frame to send: all headers in one piece, and what follows.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) head: Vec<u8>,
    pub(crate) payload: PayloadParts,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) gso: Option<Gso>,
    pub(crate) stamp: Option<TxStamp>,
}

impl Frame {
    /// A frame with an Ethernet header whose destination is still open.
    pub(crate) fn new(link: &Link, ethertype: u16, room: usize) -> Self {
        let mut head = Vec::with_capacity(ethernet::HEADER_LEN + room);
        ethernet::Header { dst: [0; 6], src: link.mac(), ethertype }.emit(&mut head);
        Self { head, payload: PayloadParts::new(), checksum: None, gso: None, stamp: None }
    }

    pub(crate) fn set_destination(&mut self, mac: Mac) {
        if let Some(to) = self.head.get_mut(..6) {
            to.copy_from_slice(&mac);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.payload.iter().map(Bytes::len).sum::<usize>()
    }

    /// All of it in one piece.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut all = Vec::with_capacity(self.len());
        all.extend_from_slice(&self.head);
        for p in &self.payload {
            all.extend_from_slice(p);
        }
        all.into()
    }
}

/// Offset of the flags in a TCP header.
const FLAGS_AT: usize = 13;

/// What an IP header is made of.
#[derive(Clone, Copy)]
struct Ip<'a> {
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    ttl: u8,
    tos: u8,
    flow_label: u32,
    id: u32,
    df: bool,
    options: &'a [u8],
    ext_proto: Option<u8>,
}

impl Ip<'_> {
    fn len(&self) -> usize {
        self.options.len() + if self.dst.is_ipv6() { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN }
    }

    /// Appends the header of a packet (or, with `piece`, of a fragment: its offset and whether more follow).
    fn emit(&self, payload: usize, piece: Option<(usize, bool)>, out: &mut Vec<u8>) {
        let (offset, more) = piece.unwrap_or((0, false));
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let copied;
                let options = if offset > 0 {
                    copied = fragment::copied_options(self.options);
                    &copied
                } else {
                    self.options
                };
                let header_len = ipv4::HEADER_LEN + options.len();
                let header = ipv4::Header {
                    header_len,
                    tos: self.tos,
                    total_len: header_len + payload,
                    id: self.id as u16,
                    dont_fragment: self.df && piece.is_none(),
                    more_fragments: more,
                    fragment_offset: offset,
                    ttl: self.ttl,
                    protocol: self.proto,
                    src,
                    dst,
                };
                header.emit(options, out);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let upper = self.ext_proto.unwrap_or(self.proto);
                let extra = if piece.is_some() { ipv6::FRAGMENT_LEN } else { 0 };
                let header = ipv6::Header {
                    traffic_class: self.tos,
                    flow_label: self.flow_label,
                    payload_len: extra + self.options.len() + payload,
                    next_header: if piece.is_some() { ipv6::FRAGMENT } else { upper },
                    hop_limit: self.ttl,
                    src,
                    dst,
                };
                header.emit(out);
                if piece.is_some() {
                    ipv6::Fragment { next_header: upper, offset, more, id: self.id }.emit(out);
                    // Options are part of what is cut up.
                } else {
                    out.extend_from_slice(self.options);
                }
            }
            _ => {}
        }
    }
}

/// Where packets are given to.
enum Way<'a> {
    /// To ourselves.
    Loop,
    /// To a hardware address.
    Mac(&'a Arc<Link>, Mac),
    /// To a neighbour, to be resolved.
    Neighbour(&'a Arc<Link>, IpAddr),
}

impl Net {
    /// Sends a packet: finds its way, fills in the transport checksum, fragments, resolves the neighbour. What is for this
    /// host goes through the loopback queue, which is run before this returns (unless this is called from within it).
    /// Called holding no lock.
    ///
    /// # Errors
    /// Those of [`Net::route_output`]; `EACCES` for a broadcast without permission, `EMSGSIZE`, `ENETDOWN`.
    pub fn ip_output(&self, pkt: IpTx) -> Result<()> {
        let result = self.ip_output_queued(pkt);
        self.run_loopback();
        result
    }

    /// The same, but the loopback queue is left for a call of [`Net::flush_output`], so that several packets go up together.
    ///
    /// # Errors
    /// Those of [`Net::ip_output`].
    pub fn ip_output_queued(&self, mut pkt: IpTx) -> Result<()> {
        pkt.dst = crate::ip::unmap(pkt.dst);
        pkt.src = crate::ip::unmap(pkt.src);
        let v6 = pkt.dst.is_ipv6();
        let known = pkt.route.take().filter(|r| self.route_valid(r));
        let found;
        let route: &Route = match &known {
            Some(r) => r,
            None => {
                found = self.route_output(&flow_key(&pkt)).inspect_err(|_| {
                    let s = self.snmp();
                    if v6 { &s.ip6.out_no_routes } else { &s.ip.out_no_routes }.inc();
                })?;
                &found
            }
        };
        if route.kind == Kind::Broadcast && !pkt.broadcast {
            return Err(Errno::EACCES);
        }
        self.count_out(v6, route, pkt.transport_len());
        let multicast = route.kind == Kind::Multicast;
        let default_ttl = || match (multicast, route.hop_limit) {
            (true, _) => 1,
            (false, Some(h)) => h,
            (false, None) if v6 => route.link.ipv6.hop_limit.get() as u8,
            (false, None) => self.sysctl().ip_default_ttl.get() as u8,
        };
        let ip = Ip {
            src: if pkt.src.is_unspecified() && !pkt.any_src { route.src } else { pkt.src },
            dst: route.dst,
            proto: pkt.proto,
            ttl: pkt.ttl.unwrap_or_else(default_ttl),
            tos: pkt.tos,
            flow_label: pkt.flow_label,
            id: self.next_id(),
            df: matches!(pkt.pmtu, PmtuDisc::Do | PmtuDisc::Want | PmtuDisc::Probe),
            options: &pkt.options,
            ext_proto: pkt.ext_proto,
        };
        if route.is_local() || route.link.dev.is_none() {
            let kind = if multicast { PacketType::Multicast } else { PacketType::Host };
            return self.send_ip(&ip, &pkt, route, &Way::Loop, kind);
        }
        if multicast || route.kind == Kind::Broadcast {
            let kind = if multicast { PacketType::Multicast } else { PacketType::Broadcast };
            let copy = if multicast { pkt.multicast_loop && route.link.is_member(ip.dst) } else { true };
            if copy {
                let packet = whole(&ip, &pkt);
                self.loop_back(LoopPacket {
                    packet,
                    segment: None,
                    gso_size: None,
                    ifindex: route.link.index,
                    packet_type: kind,
                });
            }
            if ip.ttl == 0 {
                return Ok(());
            }
            let mac = if multicast { ethernet::multicast_mac(ip.dst) } else { ethernet::BROADCAST };
            return self.send_ip(&ip, &pkt, route, &Way::Mac(&route.link, mac), kind);
        }
        self.send_ip(&ip, &pkt, route, &Way::Neighbour(&route.link, route.next_hop()), PacketType::Host)
    }

    /// Hands up what [`Net::ip_output_queued`] left. Called holding no lock.
    pub fn flush_output(&self) {
        self.run_loopback();
    }

    fn count_out(&self, v6: bool, route: &Route, len: usize) {
        let s = self.snmp();
        if v6 {
            s.ip6.out_requests.inc();
            s.ip6.out_transmits.inc();
            s.ip6.out_octets.add(len as u64 + 40);
            if route.kind == Kind::Multicast {
                s.ip6.out_mcast_pkts.inc();
            }
        } else {
            s.ip.out_requests.inc();
            s.ip.out_transmits.inc();
            s.ip_ext.out_octets.add(len as u64 + 20);
            match route.kind {
                Kind::Multicast => s.ip_ext.out_mcast_pkts.inc(),
                Kind::Broadcast => s.ip_ext.out_bcast_pkts.inc(),
                _ => {}
            }
        }
    }

    /// The identification of the next packet.
    pub(crate) fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Relaxed).wrapping_mul(0x9e37_79b1) ^ (self.secret as u32)
    }

    fn send_ip(&self, ip: &Ip<'_>, pkt: &IpTx, route: &Route, way: &Way<'_>, kind: PacketType) -> Result<()> {
        let v6 = ip.dst.is_ipv6();
        let len = pkt.transport_len();
        let total = ip.len() + len;
        if (!v6 && total > 65_535) || len + ip.options.len() > 65_535 {
            return Err(Errno::EMSGSIZE);
        }
        let mtu = match pkt.pmtu {
            PmtuDisc::Probe | PmtuDisc::Interface | PmtuDisc::Omit => route.link.ip_mtu(v6),
            _ => route.mtu,
        } as usize;
        if let Some(size) = pkt.gso_size.filter(|s| *s > 0 && len > pkt.header.len() + usize::from(*s)) {
            return self.send_gso(ip, pkt, size, way, mtu);
        }
        if total > mtu {
            if matches!(pkt.pmtu, PmtuDisc::Do | PmtuDisc::Probe) {
                if v6 {
                    self.snmp().ip6.frag_fails.inc();
                } else {
                    self.snmp().ip.frag_fails.inc();
                }
                return Err(Errno::EMSGSIZE);
            }
            return self.send_fragments(ip, pkt, way, mtu);
        }
        match way {
            Way::Loop => {
                self.loop_packet(ip, pkt, None, kind);
            }
            Way::Mac(link, _) | Way::Neighbour(link, _) => {
                let mut frame = Frame::new(link, if v6 { ethernet::IPV6 } else { ethernet::IPV4 }, total.min(200));
                ip.emit(len, None, &mut frame.head);
                let start = frame.head.len();
                frame.head.extend_from_slice(&pkt.header);
                if let Some(offset) = pkt.checksum {
                    let left = link.features.tx_checksum && may_be_left(ip.proto);
                    let sum = checksum(ip, &pkt.header, &pkt.payload, left);
                    put16(&mut frame.head, start + usize::from(offset), sum);
                    frame.checksum = left.then_some(Checksum { start: start as u16, offset });
                }
                frame.payload = pkt.payload.clone();
                frame.stamp.clone_from(&pkt.stamp);
                self.send_frame(way, frame);
            }
        }
        Ok(())
    }

    /// A packet goes to ourselves. The payload of a connection's segment goes as it is, all else in one piece.
    fn loop_packet(&self, ip: &Ip<'_>, pkt: &IpTx, gso_size: Option<u16>, packet_type: PacketType) {
        let plain = |flags: &u8| flags & (Flags::SYN | Flags::RST | Flags::URG).bits() as u8 == 0;
        let splits = ip.proto == IPPROTO_TCP
            && !pkt.payload.is_empty()
            && pkt.stamp.is_none()
            && ip.options.is_empty()
            && pkt.header.get(FLAGS_AT).is_some_and(plain);
        if !splits {
            let packet = whole(ip, pkt);
            self.stamp_looped(pkt.stamp.as_ref(), &packet);
            return self.loop_back(LoopPacket { packet, segment: None, gso_size, ifindex: 1, packet_type });
        }
        let transport = ip.len();
        let segment = LoopSegment {
            src: ip.src,
            dst: ip.dst,
            ttl: ip.ttl,
            tos: ip.tos,
            flow_label: ip.flow_label,
            transport,
            payload: pkt.payload.clone(),
        };
        let packet = headers(ip, pkt, transport + pkt.header.len()).into();
        self.loop_back(LoopPacket { packet, segment: Some(segment), gso_size, ifindex: 1, packet_type });
    }

    /// A packet goes to ourselves: its time of leaving is now.
    fn stamp_looped(&self, stamp: Option<&TxStamp>, packet: &Bytes) {
        let Some(stamp) = stamp else { return };
        stamp.leaves(self, 1, || {
            let v6 = packet.first().is_some_and(|b| b >> 4 == 6);
            let mut frame = Vec::with_capacity(ethernet::HEADER_LEN + packet.len());
            let ethertype = if v6 { ethernet::IPV6 } else { ethernet::IPV4 };
            ethernet::Header { dst: [0; 6], src: [0; 6], ethertype }.emit(&mut frame);
            frame.extend_from_slice(packet);
            frame.into()
        });
    }

    fn send_frame(&self, way: &Way<'_>, mut frame: Frame) {
        match way {
            Way::Loop => {}
            Way::Mac(link, mac) => {
                frame.set_destination(*mac);
                self.transmit(link, &frame);
            }
            Way::Neighbour(link, to) => self.neigh_send(link, *to, frame),
        }
    }

    fn send_fragments(&self, ip: &Ip<'_>, pkt: &IpTx, way: &Way<'_>, mtu: usize) -> Result<()> {
        let v6 = ip.dst.is_ipv6();
        let mut header = pkt.header.to_vec();
        if let Some(offset) = pkt.checksum {
            let sum = checksum(ip, &pkt.header, &pkt.payload, false);
            put16(&mut header, usize::from(offset), sum);
        }
        let mut parts: Vec<Bytes> = Vec::with_capacity(pkt.payload.len() + 2);
        if v6 {
            parts.push(pkt.options.clone());
        }
        parts.push(header.into());
        parts.extend(pkt.payload.iter().cloned());
        let overhead = if v6 { ipv6::HEADER_LEN + ipv6::FRAGMENT_LEN } else { ip.len() };
        let pieces = fragment::cut(&parts, mtu.saturating_sub(overhead));
        if pieces.is_empty() {
            return Err(Errno::EMSGSIZE);
        }
        let s = self.snmp();
        // The first one's leaving is that of all.
        let mut stamp = pkt.stamp.as_ref();
        let plain = Ip { options: if v6 { &[] } else { ip.options }, ..*ip };
        for p in pieces {
            if v6 {
                s.ip6.frag_creates.inc();
            } else {
                s.ip.frag_creates.inc();
            }
            let len: usize = p.parts.iter().map(Bytes::len).sum();
            match way {
                Way::Loop => {
                    let mut packet = Vec::with_capacity(len + 60);
                    plain.emit(len, Some((p.offset, p.more)), &mut packet);
                    p.parts.iter().for_each(|b| packet.extend_from_slice(b));
                    let (packet, packet_type) = (packet.into(), PacketType::Host);
                    self.stamp_looped(stamp.take(), &packet);
                    self.loop_back(LoopPacket { packet, segment: None, gso_size: None, ifindex: 1, packet_type });
                }
                Way::Mac(link, _) | Way::Neighbour(link, _) => {
                    let mut frame = Frame::new(link, if v6 { ethernet::IPV6 } else { ethernet::IPV4 }, 60);
                    plain.emit(len, Some((p.offset, p.more)), &mut frame.head);
                    frame.payload = p.parts.into();
                    frame.stamp = stamp.take().cloned();
                    self.send_frame(way, frame);
                }
            }
        }
        if v6 {
            s.ip6.frag_o_ks.inc();
        } else {
            s.ip.frag_o_ks.inc();
        }
        Ok(())
    }

    /// A packet that stands for several TCP segments: whole to ourselves or a device that cuts, else cut here.
    fn send_gso(&self, ip: &Ip<'_>, pkt: &IpTx, size: u16, way: &Way<'_>, mtu: usize) -> Result<()> {
        let v6 = ip.dst.is_ipv6();
        let len = pkt.transport_len();
        if ip.len() + pkt.header.len() + usize::from(size) > mtu {
            return Err(Errno::EMSGSIZE);
        }
        let (link, offload) = match way {
            Way::Loop => {
                self.loop_packet(ip, pkt, Some(size), PacketType::Host);
                return Ok(());
            }
            Way::Mac(link, _) | Way::Neighbour(link, _) => {
                let f = link.features;
                (link, ip.proto == IPPROTO_TCP && f.tx_checksum && if v6 { f.tso6 } else { f.tso4 })
            }
        };
        let ethertype = if v6 { ethernet::IPV6 } else { ethernet::IPV4 };
        if offload {
            let mut frame = Frame::new(link, ethertype, ip.len() + pkt.header.len());
            ip.emit(len, None, &mut frame.head);
            let start = frame.head.len();
            frame.head.extend_from_slice(&pkt.header);
            let offset = pkt.checksum.unwrap_or(16);
            let sum = checksum(ip, &pkt.header, &pkt.payload, true);
            put16(&mut frame.head, start + usize::from(offset), sum);
            frame.checksum = Some(Checksum { start: start as u16, offset });
            let kind = if v6 { GsoKind::Tcp6 } else { GsoKind::Tcp4 };
            frame.gso = Some(Gso { kind, size, header_len: frame.head.len() as u16 });
            frame.payload = pkt.payload.clone();
            frame.stamp.clone_from(&pkt.stamp);
            self.send_frame(way, frame);
            return Ok(());
        }
        let pieces = cut_exact(&pkt.payload, usize::from(size));
        let last = pieces.len().saturating_sub(1);
        for (i, (offset, parts)) in pieces.into_iter().enumerate() {
            let mut header = pkt.header.clone();
            let piece: usize = parts.iter().map(Bytes::len).sum();
            if ip.proto == IPPROTO_TCP {
                if let Some(seq) = header.get(4..8).and_then(|b| <[u8; 4]>::try_from(b).ok()) {
                    let seq = u32::from_be_bytes(seq).wrapping_add(offset as u32);
                    header[4..8].copy_from_slice(&seq.to_be_bytes());
                }
                if let Some(flags) = header.get_mut(13) {
                    if i != last {
                        // FIN and PSH belong to the last segment.
                        *flags &= !0x09;
                    }
                    if i != 0 {
                        // CWR belongs to the first.
                        *flags &= !0x80;
                    }
                }
            } else if ip.proto == IPPROTO_UDP && header.len() >= 8 {
                header[4..6].copy_from_slice(&((8 + piece) as u16).to_be_bytes());
            }
            let len = header.len() + piece;
            let one = Ip { id: self.next_id(), ..*ip };
            let mut frame = Frame::new(link, ethertype, ip.len() + header.len());
            one.emit(len, None, &mut frame.head);
            let start = frame.head.len();
            frame.head.extend_from_slice(&header);
            if let Some(offset) = pkt.checksum {
                let left = link.features.tx_checksum && may_be_left(ip.proto);
                let sum = checksum(&one, &header, &parts, left);
                put16(&mut frame.head, start + usize::from(offset), sum);
                frame.checksum = left.then_some(Checksum { start: start as u16, offset });
            }
            frame.payload = parts;
            if i == last {
                frame.stamp.clone_from(&pkt.stamp);
            }
            self.send_frame(way, frame);
        }
        Ok(())
    }

    /// Sends a packet whose IP header the program made (`IP_HDRINCL`). `packet` begins with it.
    ///
    /// # Errors
    /// `EMSGSIZE`
    pub(crate) fn send_made(&self, route: &Route, packet: Bytes, stamp: Option<TxStamp>) -> Result<()> {
        let v6 = route.dst.is_ipv6();
        if packet.len() > route.link.ip_mtu(v6) as usize {
            return Err(Errno::EMSGSIZE);
        }
        self.count_out(v6, route, packet.len());
        if route.is_local() || route.link.dev.is_none() {
            self.stamp_looped(stamp.as_ref(), &packet);
            self.loop_back(LoopPacket {
                packet,
                segment: None,
                gso_size: None,
                ifindex: 1,
                packet_type: PacketType::Host,
            });
            return Ok(());
        }
        let mut frame = Frame::new(&route.link, if v6 { ethernet::IPV6 } else { ethernet::IPV4 }, 0);
        frame.payload.push(packet);
        frame.stamp = stamp;
        let way = match route.kind {
            Kind::Multicast => Way::Mac(&route.link, ethernet::multicast_mac(route.dst)),
            Kind::Broadcast => Way::Mac(&route.link, ethernet::BROADCAST),
            _ => Way::Neighbour(&route.link, route.next_hop()),
        };
        self.send_frame(&way, frame);
        Ok(())
    }

    /// Shows a frame to the packet sockets.
    pub(crate) fn tap(&self, link: &Link, frame: &Bytes, packet_type: PacketType, checksum: Checked) {
        let Some(eth) = ethernet::Header::parse(frame) else { return };
        let (ethertype, network_offset) = (eth.ethertype, ethernet::HEADER_LEN);
        self.packet_tap(link, &TapFrame { frame, network_offset, ethertype, packet_type, checksum });
    }

    /// Sends a frame that a packet socket made. Called holding no lock.
    ///
    /// # Errors
    /// `ENETDOWN`, `ENOBUFS`.
    pub(crate) fn send_raw_frame(&self, link: &Arc<Link>, frame: Bytes) -> Result<()> {
        if link.dev.is_none() {
            let packet = frame.slice(ethernet::HEADER_LEN.min(frame.len())..);
            self.loop_back(LoopPacket {
                packet,
                segment: None,
                gso_size: None,
                ifindex: link.index,
                packet_type: PacketType::Host,
            });
            self.run_loopback();
            return Ok(());
        }
        if self.has_packet_taps() {
            self.tap(link, &frame, PacketType::Outgoing, Checked::No);
        }
        let frame = Frame {
            head: Vec::new(),
            payload: PayloadParts::from_elem(frame, 1),
            checksum: None,
            gso: None,
            stamp: None,
        };
        self.device_send(link, &frame).map_err(|e| if e == Errno::EAGAIN { Errno::ENOBUFS } else { e })
    }

    /// Gives a frame to the device.
    pub(crate) fn transmit(&self, link: &Link, frame: &Frame) {
        if self.has_packet_taps() {
            let checksum = if frame.checksum.is_some() { Checked::Unfilled } else { Checked::No };
            self.tap(link, &frame.to_bytes(), PacketType::Outgoing, checksum);
        }
        if let Some(stamp) = &frame.stamp {
            stamp.leaves(self, link.index, || frame.to_bytes());
        }
        // What it fails with is counted; a frame may be lost.
        let _sent = self.device_send(link, frame);
    }

    fn device_send(&self, link: &Link, frame: &Frame) -> Result<()> {
        let dev = link.dev.as_ref().ok_or(Errno::ENETDOWN)?;
        if !link.is_up() {
            link.stats.tx_dropped.fetch_add(1, Relaxed);
            return Err(Errno::ENETDOWN);
        }
        let mut parts: SmallVec<[&[u8]; 8]> = SmallVec::new();
        if !frame.head.is_empty() {
            parts.push(&frame.head);
        }
        parts.extend(frame.payload.iter().filter(|p| !p.is_empty()).map(|p| &p[..]));
        match dev.send(&TxFrame { parts: &parts, checksum: frame.checksum, gso: frame.gso }) {
            Ok(()) => {
                link.stats.tx_packets.fetch_add(1, Relaxed);
                link.stats.tx_bytes.fetch_add(frame.len() as u64, Relaxed);
                Ok(())
            }
            Err(e) => {
                link.stats.tx_dropped.fetch_add(1, Relaxed);
                tracing::debug!(target: "lkl::drop", link = link.index, error = ?e, "the device did not take a frame");
                Err(e)
            }
        }
    }
}

fn flow_key(pkt: &IpTx) -> FlowKey {
    FlowKey {
        src: Some(pkt.src),
        oif: pkt.oif,
        mark: pkt.mark,
        tos: pkt.tos,
        proto: pkt.proto,
        dont_route: pkt.dont_route,
        any_src: pkt.any_src,
        ..FlowKey::to(pkt.dst)
    }
}

/// The packet in one piece, for this host: a checksum that may be left to a device is left, for there is none.
fn whole(ip: &Ip<'_>, pkt: &IpTx) -> Bytes {
    let mut packet = headers(ip, pkt, ip.len() + pkt.transport_len());
    for p in &pkt.payload {
        packet.extend_from_slice(p);
    }
    packet.into()
}

/// Its beginning, up to the payload, with room for `room` bytes in all.
fn headers(ip: &Ip<'_>, pkt: &IpTx, room: usize) -> Vec<u8> {
    let len = pkt.transport_len();
    let mut packet = Vec::with_capacity(room);
    ip.emit(len, None, &mut packet);
    let start = packet.len();
    packet.extend_from_slice(&pkt.header);
    if let Some(offset) = pkt.checksum {
        let sum = checksum(ip, &pkt.header, &pkt.payload, may_be_left(ip.proto));
        put16(&mut packet, start + usize::from(offset), sum);
    }
    packet
}

/// Can the checksum be left for a device to fill in? Those of ICMP and the rest are seen by programs (`ping` looks whether they are right),
/// and ICMP's of IPv4 has no pseudo-header, with which a device would begin.
fn may_be_left(proto: u8) -> bool {
    matches!(proto, IPPROTO_TCP | IPPROTO_UDP)
}

fn put16(b: &mut [u8], at: usize, value: u16) {
    if let Some(to) = b.get_mut(at..at + 2) {
        to.copy_from_slice(&value.to_be_bytes());
    }
}

/// The checksum of a transport header and its payload, with the pseudo-header; of that alone if the rest is left to a device.
fn checksum(ip: &Ip<'_>, header: &[u8], payload: &[Bytes], left: bool) -> u16 {
    let len = header.len() + payload.iter().map(Bytes::len).sum::<usize>();
    let mut sum = match (ip.proto, ip.dst) {
        // ICMP has no pseudo-header; ICMPv6 has.
        (crate::ip::IPPROTO_ICMP, IpAddr::V4(_)) => Sum::new(),
        _ => Sum::new().pseudo_header(ip.src, ip.dst, ip.proto, len),
    };
    if left {
        return sum.folded();
    }
    sum = sum.add(header);
    let mut at = header.len();
    for p in payload {
        sum = sum.add_at(at, p);
        at += p.len();
    }
    match sum.finish() {
        // Zero means "none" in UDP (RFC 768).
        0 if ip.proto == IPPROTO_UDP => 0xffff,
        sum => sum,
    }
}

/// Cuts `parts` into pieces of `size` bytes; answers each with its offset.
fn cut_exact(parts: &[Bytes], size: usize) -> Vec<(usize, PayloadParts)> {
    let mut pieces = Vec::new();
    let (mut offset, mut room) = (0, 0);
    for part in parts {
        let mut part = part.clone();
        while !part.is_empty() {
            if room == 0 {
                pieces.push((offset, PayloadParts::new()));
                room = size.max(1);
            }
            let n = room.min(part.len());
            if let Some((_, last)) = pieces.last_mut() {
                last.push(part.split_to(n));
            }
            room -= n;
            offset += n;
        }
    }
    pieces
}

/// Identifications of packets are taken from here.
pub(crate) type Ids = AtomicU32;
