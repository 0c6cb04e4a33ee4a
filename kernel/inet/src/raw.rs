//! Raw sockets: packets as they are (`man 7 raw`).

use crate::ip::{IPPROTO_ICMP, IPPROTO_ICMPV6};
use crate::sock::base::{DatagramSocket, Flavor};
use crate::sock::errqueue::ErrorItem;
use crate::sock::queue::Datagram;
use crate::tx::{IcmpError, RxMeta};
use crate::{Net, SockInfo};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use lkl_file::sockaddr::AF_INET6;
use lkl_file::File;
use lkl_net::bpf::Ancillary;
use lkl_net::checksum::Sum;
use lkl_sync::{Rank, RwLock};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

type ByProtocol = HashMap<(bool, u8), Vec<Weak<DatagramSocket>>>;

/// The raw sockets of a namespace, by version and protocol.
pub(crate) struct RawTable {
    /// Read without the lock: mostly there is none.
    len: AtomicUsize,
    sockets: RwLock<ByProtocol>,
}

impl Default for RawTable {
    fn default() -> Self {
        Self { len: AtomicUsize::new(0), sockets: RwLock::new(Rank::Demux, HashMap::new()) }
    }
}

pub(crate) fn socket(net: &Arc<Net>, family: u16, protocol: u8) -> Arc<dyn File> {
    let socket = DatagramSocket::new(net, Flavor::Raw, family, protocol);
    let mut sockets = net.raw.sockets.write();
    sockets.entry((family == AF_INET6, protocol)).or_default().push(Arc::downgrade(&socket));
    net.raw.len.fetch_add(1, Relaxed);
    drop(sockets);
    socket
}

impl RawTable {
    pub(crate) fn leave(&self, socket: &DatagramSocket) {
        let mut sockets = self.sockets.write();
        let key = (socket.v6(), socket.protocol);
        if let Some(list) = sockets.get_mut(&key) {
            list.retain(|s| !core::ptr::eq(s.as_ptr(), socket));
            if list.is_empty() {
                sockets.remove(&key);
            }
            self.len.fetch_sub(1, Relaxed);
        }
    }

    /// Is there a socket that may want packets of this protocol?
    pub(crate) fn any(&self, v6: bool, protocol: u8) -> bool {
        self.len.load(Relaxed) != 0 && self.sockets.read().contains_key(&(v6, protocol))
    }

    fn of(&self, v6: bool, protocol: u8) -> Vec<Arc<DatagramSocket>> {
        if self.len.load(Relaxed) == 0 {
            return Vec::new();
        }
        self.sockets.read().get(&(v6, protocol)).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }
}

impl Net {
    /// All raw sockets.
    pub fn raw_sockets(&self) -> Vec<SockInfo> {
        let all: Vec<Arc<DatagramSocket>> =
            self.raw.sockets.read().values().flatten().filter_map(Weak::upgrade).collect();
        all.iter().map(|s| s.info()).collect()
    }

    /// Gives copies of a packet to the raw sockets of its protocol; answers whether there was one.
    pub(crate) fn raw_input(&self, meta: &RxMeta) -> bool {
        let v6 = meta.dst.is_ipv6();
        let mut any = false;
        for socket in self.raw.of(v6, meta.proto) {
            let b = socket.binding();
            let wanted = (b.local.is_unspecified() || b.local == meta.dst)
                && b.remote.is_none_or(|(ip, _)| ip == meta.src)
                && socket.on_link(meta.ifindex)
                && (!meta.dst.is_multicast() || socket.inet.accepts_group(meta.dst, meta.src, meta.ifindex));
            if !wanted {
                continue;
            }
            any = true;
            // An IPv4 socket sees the IP header, an IPv6 one does not.
            let start = if v6 { meta.transport.min(meta.packet.len()) } else { 0 };
            let mut data = meta.packet.slice(start..);
            let kind = meta.packet.get(meta.transport).copied();
            if let (IPPROTO_ICMP | IPPROTO_ICMPV6, Some(kind)) = (meta.proto, kind) {
                let word = socket.icmp_filter.get(usize::from(kind / 32)).map_or(0, |w| w.load(Relaxed));
                // ICMPv4's filter has only the first 32 types.
                if (v6 || kind < 32) && word >> (kind % 32) & 1 != 0 {
                    continue;
                }
            }
            if v6 && socket.checksum_at.load(Relaxed) >= 0 && !meta.checksum_ok {
                let sum = Sum::new().pseudo_header(meta.src, meta.dst, meta.proto, data.len()).add(&data);
                if !sum.is_valid() {
                    continue;
                }
            }
            let filter = socket.filter.read().clone();
            if let Some(filter) = filter {
                let keep = filter.run(&data, &Ancillary { ifindex: meta.ifindex, ..Ancillary::default() });
                if keep == 0 {
                    continue;
                }
                data.truncate(keep as usize);
            }
            if !socket.take(Datagram { data, port: 0, dst_port: 0, meta: meta.clone() }) {
                tracing::debug!(target: "lkl::drop", proto = meta.proto, "raw: the receive queue is full");
            }
        }
        any
    }

    pub(crate) fn raw_error(&self, e: &IcmpError, proto: u8) {
        let v6 = e.src.is_ipv6();
        for socket in self.raw.of(v6, proto) {
            let b = socket.binding();
            let mine = (b.local.is_unspecified() || b.local == e.src) && b.remote.is_none_or(|(ip, _)| ip == e.dst);
            let wants = socket.inet.wants_errors(v6);
            if !mine || (!wants && (b.remote.is_none() || !e.hard)) {
                continue;
            }
            socket.take_icmp(ErrorItem::icmp(e, 0, e.quoted.clone()));
        }
    }
}
