//! UDP: which socket a datagram is for (RFC 768; `man 7 udp`).

use crate::sock::base::{Binding, DatagramSocket, Flavor};
use crate::sock::errqueue::ErrorItem;
use crate::sock::queue::Datagram;
use crate::tx::{IcmpError, RxMeta};
use crate::{Net, SockInfo};
use bytes::Bytes;
use core::sync::atomic::Ordering::Relaxed;
use foldhash::quality::RandomState;
use lkl_abi::{Errno, Result};
use lkl_file::File;
use lkl_net::bpf::Ancillary;
use lkl_net::checksum::Sum;
use lkl_net::wire::{icmp, udp};
use lkl_sync::{Rank, RwLock};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

type List = Vec<Weak<DatagramSocket>>;

#[derive(Default)]
struct Tables {
    /// All sockets by port: conflicts, groups.
    ports: HashMap<u16, List, RandomState>,
    /// Unconnected sockets by address and port.
    bound: HashMap<(IpAddr, u16), List, RandomState>,
    /// Connected sockets by both ends: ours, the peer's.
    connected: HashMap<(IpAddr, u16, IpAddr, u16), List, RandomState>,
}

/// The UDP sockets of a namespace.
pub(crate) struct UdpTable {
    tables: RwLock<Tables>,
}

impl Default for UdpTable {
    fn default() -> Self {
        Self { tables: RwLock::new(Rank::Demux, Tables::default()) }
    }
}

pub(crate) fn socket(net: &Arc<Net>, family: u16) -> Arc<dyn File> {
    DatagramSocket::new(net, Flavor::Udp, family, crate::ip::IPPROTO_UDP)
}

fn remove<K: core::hash::Hash + Eq>(map: &mut HashMap<K, List, RandomState>, key: &K, socket: &DatagramSocket) {
    if let Some(list) = map.get_mut(key) {
        list.retain(|s| !core::ptr::eq(s.as_ptr(), socket));
        if list.is_empty() {
            map.remove(key);
        }
    }
}

impl Tables {
    fn remove(&mut self, socket: &DatagramSocket, b: &Binding) {
        if b.port == 0 {
            return;
        }
        remove(&mut self.ports, &b.port, socket);
        match b.remote {
            Some((ip, port)) => remove(&mut self.connected, &(b.local, b.port, ip, port), socket),
            None => remove(&mut self.bound, &(b.local, b.port), socket),
        }
    }

    fn insert(&mut self, socket: &DatagramSocket, b: &Binding) {
        let me = socket.me.clone();
        self.ports.entry(b.port).or_default().push(me.clone());
        match b.remote {
            Some((ip, port)) => self.connected.entry((b.local, b.port, ip, port)).or_default().push(me),
            None => self.bound.entry((b.local, b.port)).or_default().push(me),
        }
    }

    /// May `socket` not have this port, because of the others that have it?
    fn conflict(&self, socket: &DatagramSocket, b: &Binding, port: u16) -> bool {
        self.ports.get(&port).into_iter().flatten().filter_map(Weak::upgrade).any(|other| {
            if core::ptr::eq(&*other, socket) {
                return false;
            }
            let o = other.binding();
            let both = |f: fn(&DatagramSocket) -> bool| f(socket) && f(&other);
            if both(|s| s.options.reuse_addr.load(Relaxed)) || both(|s| s.options.reuse_port.load(Relaxed)) {
                return false;
            }
            let (x, y) = (socket.options.bind_ifindex.load(Relaxed), other.options.bind_ifindex.load(Relaxed));
            if x != 0 && y != 0 && x != y {
                return false;
            }
            overlap(socket, b.local, &other, o.local)
        })
    }

    fn pick(list: Option<&List>, meta: &RxMeta, hash: impl FnOnce() -> u32) -> Option<Arc<DatagramSocket>> {
        let all: Vec<Arc<DatagramSocket>> = list?
            .iter()
            .rev()
            .filter_map(Weak::upgrade)
            .filter(|s| s.on_link(meta.ifindex) && s.speaks(meta.dst))
            .collect();
        let to_link = |s: &&Arc<DatagramSocket>| s.options.bind_ifindex.load(Relaxed) != 0;
        let best = all.iter().find(to_link).or(all.first())?;
        if !best.options.reuse_port.load(Relaxed) || all.len() == 1 {
            return Some(best.clone());
        }
        let wants_link = to_link(&best);
        let group: Vec<_> =
            all.iter().filter(|s| s.options.reuse_port.load(Relaxed) && to_link(s) == wants_link).collect();
        let n = (u64::from(hash()) * group.len() as u64) >> 32;
        group.get(n as usize).map(|s| (*s).clone())
    }
}

/// Do two local addresses have an address in common?
fn overlap(a: &DatagramSocket, a_ip: IpAddr, b: &DatagramSocket, b_ip: IpAddr) -> bool {
    let any = |s: &DatagramSocket, ip: IpAddr, v6: bool| {
        ip.is_unspecified() && (ip.is_ipv6() == v6 || (ip.is_ipv6() && s.speaks(crate::ip::unspecified(v6))))
    };
    if a_ip == b_ip {
        return true;
    }
    match (a_ip.is_unspecified(), b_ip.is_unspecified()) {
        (false, false) => false,
        (true, false) => any(a, a_ip, b_ip.is_ipv6()),
        (false, true) => any(b, b_ip, a_ip.is_ipv6()),
        // One is IPv6's, one IPv4's.
        (true, true) => [false, true].into_iter().any(|v6| any(a, a_ip, v6) && any(b, b_ip, v6)),
    }
}

impl UdpTable {
    /// Puts a socket in under `b`, whose port it chooses if it has none.
    ///
    /// # Errors
    /// `EADDRINUSE`; `EAGAIN` if no port is free.
    pub(crate) fn enter(&self, socket: &DatagramSocket, mut b: Binding) -> Result<()> {
        let mut tables = self.tables.write();
        let old = socket.binding();
        if b.port == 0 {
            let net = &socket.net;
            let [mut low, mut high] = net.sysctl().ip_local_port_range.all().map(|p| p as u32);
            let own = socket.inet.local_port_range.load(Relaxed);
            if own & 0xffff != 0 {
                low = own & 0xffff;
            }
            if own >> 16 != 0 {
                high = own >> 16;
            }
            let count = high.saturating_sub(low) + 1;
            let start = net.random_u32() % count;
            let free = (0..count)
                .map(|i| (low + (start + i) % count) as u16)
                .filter(|p| !net.sysctl().is_reserved(*p))
                .find(|p| *p != 0 && !tables.ports.contains_key(p))
                .or_else(|| {
                    (0..count).map(|i| (low + (start + i) % count) as u16).find(|p| !tables.conflict(socket, &b, *p))
                });
            b.port = free.ok_or(Errno::EADDRINUSE)?;
        } else if b.port != old.port && tables.conflict(socket, &b, b.port) {
            return Err(Errno::EADDRINUSE);
        }
        tables.remove(socket, &old);
        socket.set_binding(b);
        tables.insert(socket, &b);
        Ok(())
    }

    pub(crate) fn leave(&self, socket: &DatagramSocket) {
        self.tables.write().remove(socket, &socket.binding());
    }
}

impl Net {
    /// All UDP sockets that have a port.
    pub fn udp_sockets(&self) -> Vec<SockInfo> {
        let all: Vec<Arc<DatagramSocket>> =
            self.udp.tables.read().ports.values().flatten().filter_map(Weak::upgrade).collect();
        all.iter().map(|s| s.info()).collect()
    }

    fn udp_lookup(&self, meta: &RxMeta, src_port: u16, dst_port: u16) -> Option<Arc<DatagramSocket>> {
        let tables = self.udp.tables.read();
        let hash = || self.flow_hash(Some(meta.src), meta.dst, (src_port, dst_port), crate::ip::IPPROTO_UDP);
        let key = (meta.dst, dst_port, meta.src, src_port);
        let any = |v6| tables.bound.get(&(crate::ip::unspecified(v6), dst_port));
        Tables::pick(tables.connected.get(&key), meta, hash)
            .or_else(|| Tables::pick(tables.bound.get(&(meta.dst, dst_port)), meta, hash))
            .or_else(|| Tables::pick(any(meta.dst.is_ipv6()), meta, hash))
            .or_else(|| Tables::pick(any(true), meta, hash))
    }

    pub(crate) fn udp_input(&self, meta: &RxMeta, segment: &Bytes) {
        let v6 = meta.dst.is_ipv6();
        let s = self.snmp();
        let error = |why: &str| {
            if v6 {
                s.udp6.in_errors.inc();
            } else {
                s.udp.in_errors.inc();
            }
            tracing::debug!(target: "lkl::drop", src = %meta.src, dst = %meta.dst, "UDP: {why}");
        };
        let Some(h) = udp::Header::parse(segment) else { return error("short header") };
        let len = if h.len == 0 && v6 { segment.len() } else { h.len };
        if len < udp::HEADER_LEN || len > segment.len() {
            return error("length");
        }
        let segment = segment.slice(..len);
        let unsummed = h.checksum == 0;
        if !unsummed && !meta.checksum_ok {
            let sum = Sum::new().pseudo_header(meta.src, meta.dst, crate::ip::IPPROTO_UDP, len).add(&segment);
            if !sum.is_valid() {
                if v6 {
                    s.udp6.in_csum_errors.inc();
                } else {
                    s.udp.in_csum_errors.inc();
                }
                return error("checksum");
            }
        }
        if meta.broadcast || meta.dst.is_multicast() {
            return self.udp_to_many(meta, &h, &segment);
        }
        let Some(socket) = self.udp_lookup(meta, h.src_port, h.dst_port) else {
            if v6 {
                s.udp6.no_ports.inc();
            } else {
                s.udp.no_ports.inc();
            }
            tracing::debug!(target: "lkl::drop", dst = %meta.dst, port = h.dst_port, "UDP: no socket");
            let (kind, code) = if v6 {
                (icmp::v6::DEST_UNREACH, icmp::v6::PORT_UNREACH)
            } else {
                (icmp::v4::DEST_UNREACH, icmp::v4::PORT_UNREACH)
            };
            return self.icmp_send(meta, kind, code, 0);
        };
        if unsummed && v6 && !meta.checksum_ok && !socket.no_check6[1].load(Relaxed) {
            s.udp6.in_csum_errors.inc();
            return error("no checksum");
        }
        self.udp_give(&socket, meta, &h, &segment);
    }

    fn udp_to_many(&self, meta: &RxMeta, h: &udp::Header, segment: &Bytes) {
        let all: Vec<Arc<DatagramSocket>> = {
            let tables = self.udp.tables.read();
            tables.ports.get(&h.dst_port).into_iter().flatten().filter_map(Weak::upgrade).collect()
        };
        let mut any = false;
        for socket in all {
            let b = socket.binding();
            let wanted = (b.local.is_unspecified() || b.local == meta.dst)
                && socket.speaks(meta.dst)
                && (!b.local.is_ipv4() || !b.local.is_unspecified() || meta.dst.is_ipv4())
                && b.remote.is_none_or(|r| r == (meta.src, h.src_port))
                && socket.on_link(meta.ifindex)
                && (!meta.dst.is_multicast() || socket.inet.accepts_group(meta.dst, meta.src, meta.ifindex));
            if wanted {
                any = true;
                self.udp_give(&socket, meta, h, segment);
            }
        }
        if !any {
            if meta.dst.is_ipv6() {
                self.snmp().udp6.ignored_multi.inc();
            } else {
                self.snmp().udp.ignored_multi.inc();
            }
        }
    }

    fn udp_give(&self, socket: &DatagramSocket, meta: &RxMeta, h: &udp::Header, segment: &Bytes) {
        if meta.ttl < socket.inet.min_ttl(meta.dst.is_ipv6()) {
            return;
        }
        let mut len = segment.len();
        let filter = socket.filter.read().clone();
        if let Some(filter) = filter {
            let keep = filter.run(segment, &Ancillary { ifindex: meta.ifindex, ..Ancillary::default() });
            if keep == 0 {
                socket.options.drops.fetch_add(1, Relaxed);
                return;
            }
            len = len.min((keep as usize).max(udp::HEADER_LEN));
        }
        let data = segment.slice(udp::HEADER_LEN.min(len)..len);
        let d = Datagram { data, port: h.src_port, dst_port: h.dst_port, meta: meta.clone() };
        if !socket.take(d) {
            let s = self.snmp();
            if socket.v6() {
                s.udp6.rcvbuf_errors.inc();
                s.udp6.in_errors.inc();
            } else {
                s.udp.rcvbuf_errors.inc();
                s.udp.in_errors.inc();
            }
            tracing::debug!(target: "lkl::drop", port = h.dst_port, "UDP: the receive queue is full");
        }
    }

    pub(crate) fn udp_error(&self, e: &IcmpError) {
        let Some((ours, theirs)) = e.ports() else { return };
        // As if the peer had answered.
        let meta = RxMeta {
            src: e.dst,
            dst: e.src,
            proto: crate::ip::IPPROTO_UDP,
            ttl: 255,
            tos: 0,
            flow_label: 0,
            ifindex: e.ifindex,
            checksum_ok: true,
            gso_size: None,
            packet_type: crate::PacketType::Host,
            broadcast: false,
            time: core::time::Duration::ZERO,
            packet: Bytes::new(),
            transport: 0,
        };
        let Some(socket) = self.udp_lookup(&meta, theirs, ours) else { return };
        let data = e.quoted.slice(udp::HEADER_LEN.min(e.quoted.len())..);
        socket.icmp_error(e, theirs, data);
    }
}

impl DatagramSocket {
    /// ICMP complained of a datagram that this socket sent to `port`. The program is told if it wants errors, or if the
    /// socket is connected and the error is final (`man 7 ip`, `IP_RECVERR`).
    pub(crate) fn icmp_error(&self, e: &IcmpError, port: u16, data: Bytes) {
        let v6 = e.src.is_ipv6();
        let connected = self.binding().remote.is_some();
        let too_long = e.errno == Errno::EMSGSIZE;
        if too_long {
            *self.route.lock() = None;
            if self.inet.pmtu(v6) == crate::PmtuDisc::Dont {
                return;
            }
        }
        let hard = e.hard || too_long;
        if !self.inet.wants_errors(v6) && (!hard || !connected) {
            return;
        }
        self.take_icmp(ErrorItem::icmp(e, port, data));
    }
}
