//! Sending from a datagram socket.

use super::base::{DatagramSocket, Flavor, SHUT_SEND};
use super::errqueue::ErrorItem;
use crate::ip::{IPPROTO_ICMP, IPPROTO_ICMPV6};
use crate::options::SendControl;
use crate::timestamp::{self, Stamped, TxStamp};
use crate::tx::{HeaderBytes, IpTx, PmtuDisc};
use crate::{FlowKey, Route};
use bytes::Bytes;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::net_tstamp::{SOF_TIMESTAMPING_OPT_ID, SOF_TIMESTAMPING_TX_SCHED, SOF_TIMESTAMPING_TX_SOFTWARE};
use lkl_abi::socket::{MSG_CONFIRM, MSG_DONTROUTE, MSG_MORE, MSG_OOB, MSG_ZEROCOPY};
use lkl_abi::{Errno, Result};
use lkl_file::{SendMsg, SockAddr};
use lkl_net::checksum::Sum;
use lkl_net::route::Kind;
use lkl_net::wire::{icmp, ipv4, udp};
use std::net::IpAddr;
use std::sync::Arc;

/// A datagram that is being put together (`MSG_MORE`, `UDP_CORK`).
pub(crate) struct Cork {
    to: Target,
    control: SendControl,
    data: Vec<u8>,
}

/// Where a datagram goes.
#[derive(Clone, Copy)]
struct Target {
    ip: IpAddr,
    port: u16,
    /// The link that it leaves by, 0 for any.
    oif: u32,
    flow_label: u32,
    /// It is the peer of a connected socket.
    connected: bool,
    dont_route: bool,
    /// `MSG_CONFIRM`: the peer has answered.
    confirm: bool,
    /// How many sends without a copy it is made of (`MSG_ZEROCOPY`).
    zerocopy: u32,
}

impl DatagramSocket {
    pub(super) fn send(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        // IPv6 passes over the flag.
        if msg.flags & MSG_OOB != 0 && !self.v6() {
            return Err(Errno::EOPNOTSUPP);
        }
        let len = msg.data.remaining();
        if len > 65_535 {
            return Err(Errno::EMSGSIZE);
        }
        self.options.take_error()?;
        if self.shut.load(Relaxed) & SHUT_SEND != 0 {
            return Err(Errno::EPIPE);
        }
        let control = self.inet.send_control(&self.options, &msg.control)?;
        let more = self.flavor == Flavor::Udp && (msg.flags & MSG_MORE != 0 || self.corked.load(Relaxed));
        let pending = if self.flavor == Flavor::Udp { self.cork.lock().take() } else { None };
        if more || pending.is_some() {
            let mut cork = match pending {
                Some(mut c) => {
                    c.to.zerocopy += self.is_zerocopy(msg.flags);
                    c
                }
                None => Cork { to: self.target(msg)?, control, data: Vec::new() },
            };
            if cork.data.len() + len > 65_507 {
                *self.cork.lock() = Some(cork);
                return Err(Errno::EMSGSIZE);
            }
            cork.data.extend_from_slice(&msg.data.read_vec(len)?);
            if more {
                *self.cork.lock() = Some(cork);
            } else {
                self.send_to(&cork.to, &cork.control, cork.data.into())?;
            }
            return Ok(len);
        }
        let to = self.target(msg)?;
        let data = Bytes::from(msg.data.read_vec(len)?);
        self.send_to(&to, &control, data)?;
        Ok(len)
    }

    /// `UDP_CORK` was cleared.
    pub(super) fn uncork(&self) -> Result<()> {
        let pending = self.cork.lock().take();
        match pending {
            Some(c) => self.send_to(&c.to, &c.control, c.data.into()),
            None => Ok(()),
        }
    }

    fn is_zerocopy(&self, flags: u32) -> u32 {
        (flags & MSG_ZEROCOPY != 0 && self.options.zerocopy.load(Relaxed)).into()
    }

    /// Says that sends without a copy are done: what they were given was copied when the datagram was made.
    fn zerocopy_done(&self, to: &Target) {
        for _ in 0..to.zerocopy {
            let id = self.zerocopy_number.fetch_add(1, Relaxed);
            self.errors.lock().push_done(id);
        }
        if to.zerocopy > 0 {
            self.waiters.wake(lkl_sync::Events::ERR);
        }
    }

    fn target(&self, msg: &SendMsg<'_>) -> Result<Target> {
        let b = self.binding();
        let dont_route = msg.flags & MSG_DONTROUTE != 0;
        let confirm = msg.flags & MSG_CONFIRM != 0;
        let zerocopy = self.is_zerocopy(msg.flags);
        let Some(name) = msg.name.filter(|n| !matches!(n, SockAddr::Unspec)) else {
            let (ip, port) = b.remote.ok_or(Errno::EDESTADDRREQ)?;
            return Ok(Target {
                ip,
                port,
                oif: b.scope,
                flow_label: 0,
                connected: true,
                dont_route,
                confirm,
                zerocopy,
            });
        };
        let (mut ip, port, scope) = self.address(&name)?;
        if port == 0 && self.flavor == Flavor::Udp {
            return Err(Errno::EINVAL);
        }
        if ip.is_unspecified() {
            ip = if ip.is_ipv6() { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() };
        }
        let oif = self.check_scope(ip, scope)?;
        let flow_label = match name {
            SockAddr::Inet(std::net::SocketAddr::V6(a)) if self.inet.flowinfo_send6.load(Relaxed) != 0 => a.flowinfo(),
            _ => 0,
        };
        Ok(Target { ip, port, oif, flow_label, connected: false, dont_route, confirm, zerocopy })
    }

    fn route_to(&self, to: &Target, control: &SendControl) -> Result<Arc<Route>> {
        let b = self.binding();
        let asked = SendControl { stamps: None, stamp_number: None, ..*control };
        let plain = to.connected && asked == SendControl::default();
        if plain {
            let cached = self.route.lock().clone();
            if let Some(r) = cached.filter(|r| self.net.route_valid(r)) {
                return Ok(r);
            }
        }
        let same = |ip: &IpAddr| ip.is_ipv6() == to.ip.is_ipv6() && !ip.is_unspecified() && !ip.is_multicast();
        let bound = Some(b.local).filter(same).filter(|_| b.addr_locked || to.connected);
        let oif = [control.oif, to.oif, self.inet.oif(&self.options, to.ip)].into_iter().find(|i| *i != 0);
        let key = FlowKey {
            src: control.src.filter(same).or(bound).or_else(|| self.inet.preferred_source(to.ip)),
            oif: oif.unwrap_or(0),
            mark: control.mark.unwrap_or_else(|| self.options.mark.load(Relaxed)),
            tos: control.tos.unwrap_or_else(|| self.inet.tos.load(Relaxed) as u8),
            proto: self.protocol,
            ports: (b.port, to.port),
            dont_route: to.dont_route || self.options.dont_route.load(Relaxed),
            ..FlowKey::to(to.ip)
        };
        if let Some(src) = control.src {
            if !self.inet.any_src(&self.net) && !self.net.is_local(src) {
                return Err(Errno::EINVAL);
            }
        }
        let route = Arc::new(self.net.route_output(&key)?);
        if route.kind == Kind::Broadcast && !self.options.broadcast.load(Relaxed) {
            return Err(Errno::EACCES);
        }
        if plain {
            *self.route.lock() = Some(route.clone());
        }
        Ok(route)
    }

    fn send_to(&self, to: &Target, control: &SendControl, data: Bytes) -> Result<()> {
        self.autobind()?;
        let route = self.route_to(to, control)?;
        if to.confirm {
            self.net.neigh_confirm(&route);
        }
        let result = match self.flavor {
            Flavor::Udp => self.send_udp(to, control, &route, data),
            Flavor::Ping => self.send_ping(to, control, &route, &data),
            Flavor::Raw => self.send_raw(to, control, &route, data),
        };
        if result == Err(Errno::EMSGSIZE) {
            let v6 = route.dst.is_ipv6();
            let mtu = match self.inet.pmtu(v6) {
                PmtuDisc::Probe | PmtuDisc::Interface => route.link.ip_mtu(v6),
                _ => route.mtu,
            };
            if self.inet.wants_errors(v6) {
                // Linux queues it, and the call fails with the same error.
                self.errors.lock().push(ErrorItem::too_long((route.dst, to.port), mtu));
                self.waiters.wake(lkl_sync::Events::ERR);
            }
        }
        result
    }

    /// A packet with what the options and control messages say.
    fn packet(
        &self,
        to: &Target,
        control: &SendControl,
        route: &Arc<Route>,
        header: HeaderBytes,
        sum: Option<u16>,
    ) -> IpTx {
        let mut tx = IpTx::new(route.src, route.dst, self.protocol, header, sum);
        tx.oif = route.oif();
        self.inet.apply(&self.options, &mut tx);
        tx.ttl = control.ttl.or(tx.ttl);
        tx.tos = control.tos.unwrap_or(tx.tos);
        tx.mark = control.mark.unwrap_or(tx.mark);
        tx.route = Some(route.clone());
        tx.dont_route |= to.dont_route;
        tx.stamp = self.stamp(control);
        if control.dontfrag {
            tx.pmtu = PmtuDisc::Do;
        }
        if route.dst.is_ipv6() {
            tx.flow_label = to.flow_label & 0xf_ffff;
            if tx.flow_label == 0 && self.inet.autoflowlabel6.load(Relaxed) != 0 {
                let ports = (self.binding().port, to.port);
                tx.flow_label = self.net.auto_flow_label(route.src, route.dst, ports, self.protocol);
            }
        }
        tx
    }

    /// What notes the time when a datagram leaves, if that is wanted.
    fn stamp(&self, control: &SendControl) -> Option<TxStamp> {
        let flags = timestamp::recorded(&self.options, control.stamps);
        if flags & (SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED) == 0 {
            return None;
        }
        let numbered = self.options.timestamping.load(Relaxed) & SOF_TIMESTAMPING_OPT_ID != 0;
        let key = match control.stamp_number {
            Some(key) => key,
            None if numbered => self.stamp_number.fetch_add(1, Relaxed),
            None => 0,
        };
        let socket: std::sync::Weak<dyn Stamped> = self.me.clone();
        TxStamp::new(socket, flags, key)
    }

    fn send_udp(&self, to: &Target, control: &SendControl, route: &Arc<Route>, data: Bytes) -> Result<()> {
        let v6 = route.dst.is_ipv6();
        let segment = control.segment.unwrap_or(self.segment.load(Relaxed) as u16);
        if segment > 0 && data.len() > usize::from(segment) {
            // RFC-less: as many datagrams as there are pieces (Linux's UDP_SEGMENT), at most 128.
            let overhead = if v6 { 48 } else { 28 };
            if usize::from(segment) + overhead > route.mtu as usize || data.len() > usize::from(segment) * 128 {
                return Err(Errno::EINVAL);
            }
            let mut rest = data;
            let mut control = *control;
            while !rest.is_empty() {
                let piece = rest.split_to(usize::from(segment).min(rest.len()));
                self.send_udp_one(to, &control, route, piece)?;
                // The stamp of the first is that of all.
                control.stamps = Some(0);
            }
            self.zerocopy_done(to);
            self.net.flush_output();
            return Ok(());
        }
        let result = self.send_udp_one(to, control, route, data);
        if result.is_ok() {
            self.zerocopy_done(to);
        }
        self.net.flush_output();
        result
    }

    fn send_udp_one(&self, to: &Target, control: &SendControl, route: &Arc<Route>, data: Bytes) -> Result<()> {
        let v6 = route.dst.is_ipv6();
        let b = self.binding();
        let header =
            udp::Header { src_port: b.port, dst_port: to.port, len: udp::HEADER_LEN + data.len(), checksum: 0 };
        if header.len > if v6 { 65_535 } else { 65_515 } {
            return Err(Errno::EMSGSIZE);
        }
        let none = if v6 { self.no_check6[0].load(Relaxed) } else { self.options.no_check.load(Relaxed) };
        let sum = (!none).then_some(6);
        let mut tx = self.packet(to, control, route, HeaderBytes::from_slice(&header.to_bytes()), sum);
        tx.payload.push(data);
        self.net.ip_output_queued(tx)?;
        let s = self.net.snmp();
        if self.v6() {
            s.udp6.out_datagrams.inc();
        } else {
            s.udp.out_datagrams.inc();
        }
        Ok(())
    }

    /// An echo request; the kernel fills in identifier and checksum.
    fn send_ping(&self, to: &Target, control: &SendControl, route: &Arc<Route>, data: &Bytes) -> Result<()> {
        let v6 = route.dst.is_ipv6();
        let Some(h) = icmp::Header::parse(data) else { return Err(Errno::EINVAL) };
        let echo = if v6 { icmp::v6::ECHO_REQUEST } else { icmp::v4::ECHO };
        if h.kind != echo || h.code != 0 {
            return Err(Errno::EINVAL);
        }
        let mut header = HeaderBytes::from_slice(&icmp::Header { checksum: 0, ..h }.to_bytes());
        header[4..6].copy_from_slice(&self.binding().port.to_be_bytes());
        let mut tx = self.packet(to, control, route, header, Some(2));
        tx.payload.push(data.slice(icmp::HEADER_LEN..));
        self.net.count_icmp_out(v6, echo);
        self.net.ip_output(tx)
    }

    fn send_raw(&self, to: &Target, control: &SendControl, route: &Arc<Route>, data: Bytes) -> Result<()> {
        let v6 = route.dst.is_ipv6();
        let made = if v6 { &self.inet.hdrincl6 } else { &self.inet.hdrincl }.load(Relaxed) != 0;
        if made {
            let packet = if v6 { data } else { self.complete_header(route, &data)? };
            let result = self.net.send_made(route, packet, self.stamp(control));
            self.net.flush_output();
            return result;
        }
        if v6 && self.protocol == 0 {
            return Err(Errno::EPROTO);
        }
        let at = self.checksum_at.load(Relaxed);
        let split = if v6 && at >= 0 { (at as usize + 2).min(data.len()) } else { 0 };
        if v6 && at >= 0 && at as usize + 2 > data.len() {
            return Err(Errno::EINVAL);
        }
        let mut header = HeaderBytes::from_slice(&data[..split]);
        let mut sum = None;
        if split > 0 {
            if let Some(field) = header.get_mut(at as usize..at as usize + 2) {
                field.fill(0);
                sum = Some(at as u16);
            }
        }
        match (self.protocol, v6) {
            (IPPROTO_ICMP, false) | (IPPROTO_ICMPV6, true) => {
                self.net.count_icmp_out(v6, data.first().copied().unwrap_or(0));
            }
            _ => {}
        }
        let mut tx = self.packet(to, control, route, header, sum);
        if split % 2 != 0 || split > 64 {
            // The offload wants the field in the header; an odd split is summed here.
            let mut whole = data.to_vec();
            if let Some(field) = whole.get_mut(at as usize..at as usize + 2) {
                field.fill(0);
            }
            let s = Sum::new().pseudo_header(route.src, route.dst, self.protocol, whole.len()).add(&whole).finish();
            if let Some(field) = whole.get_mut(at as usize..at as usize + 2) {
                field.copy_from_slice(&s.to_be_bytes());
            }
            tx.header = HeaderBytes::new();
            tx.checksum = None;
            tx.payload.push(whole.into());
        } else {
            tx.payload.push(data.slice(split..));
        }
        self.net.ip_output(tx)
    }

    /// Fills in what the kernel does of a header that the program made (`man 7 raw`).
    fn complete_header(&self, route: &Arc<Route>, data: &Bytes) -> Result<Bytes> {
        let mut p = data.to_vec();
        let header_len = usize::from(p.first().copied().unwrap_or(0) & 0xf) * 4;
        if p.len() < ipv4::HEADER_LEN || header_len < ipv4::HEADER_LEN || header_len > p.len() {
            return Err(Errno::EINVAL);
        }
        let total = u16::try_from(p.len()).map_err(|_| Errno::EMSGSIZE)?;
        p[2..4].copy_from_slice(&total.to_be_bytes());
        if p[4..6] == [0, 0] {
            p[4..6].copy_from_slice(&(self.net.next_id() as u16).to_be_bytes());
        }
        if let (true, IpAddr::V4(src)) = (p[12..16] == [0; 4], route.src) {
            p[12..16].copy_from_slice(&src.octets());
        }
        p[10..12].fill(0);
        let sum = Sum::new().add(&p[..header_len]).finish();
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        Ok(p.into())
    }
}
