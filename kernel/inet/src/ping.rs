//! Ping sockets: echo requests without privileges (`SOCK_DGRAM` of ICMP; `man 7 icmp`). Their port is the identifier.

use crate::ip::{IPPROTO_ICMP, IPPROTO_ICMPV6};
use crate::sock::base::{Binding, DatagramSocket, Flavor};
use crate::sock::queue::Datagram;
use crate::tx::{IcmpError, RxMeta};
use crate::{Net, SockInfo};
use bytes::Bytes;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::AF_INET6;
use lkl_file::File;
use lkl_net::wire::icmp;
use lkl_sync::{Rank, RwLock};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

type ById = HashMap<(bool, u16), Vec<Weak<DatagramSocket>>>;

/// The ping sockets of a namespace, by version and identifier.
pub(crate) struct PingTable {
    sockets: RwLock<ById>,
}

impl Default for PingTable {
    fn default() -> Self {
        Self { sockets: RwLock::new(Rank::Demux, HashMap::new()) }
    }
}

pub(crate) fn socket(net: &Arc<Net>, family: u16) -> Arc<dyn File> {
    let protocol = if family == AF_INET6 { IPPROTO_ICMPV6 } else { IPPROTO_ICMP };
    DatagramSocket::new(net, Flavor::Ping, family, protocol)
}

fn remove(sockets: &mut ById, socket: &DatagramSocket, id: u16) {
    let key = (socket.v6(), id);
    if let Some(list) = sockets.get_mut(&key) {
        list.retain(|s| !core::ptr::eq(s.as_ptr(), socket));
        if list.is_empty() {
            sockets.remove(&key);
        }
    }
}

impl PingTable {
    /// Puts a socket in under `b`, whose identifier it chooses if it has none.
    ///
    /// # Errors
    /// `EADDRINUSE`
    pub(crate) fn enter(&self, socket: &DatagramSocket, mut b: Binding) -> Result<()> {
        let v6 = socket.v6();
        let mut sockets = self.sockets.write();
        let old = socket.binding();
        if b.port == 0 {
            let start = socket.net.random_u32() as u16;
            let mut ids = (0..=u16::MAX).map(|i| start.wrapping_add(i));
            b.port = ids.find(|id| *id != 0 && !sockets.contains_key(&(v6, *id))).ok_or(Errno::EADDRINUSE)?;
        } else if b.port != old.port {
            let reuse = |s: &DatagramSocket| s.options.reuse_addr.load(Relaxed);
            let others = sockets.get(&(v6, b.port)).into_iter().flatten().filter_map(Weak::upgrade);
            if others.into_iter().any(|o| !reuse(&o) || !reuse(socket)) {
                return Err(Errno::EADDRINUSE);
            }
        }
        remove(&mut sockets, socket, old.port);
        socket.set_binding(b);
        sockets.entry((v6, b.port)).or_default().push(socket.me.clone());
        Ok(())
    }

    pub(crate) fn leave(&self, socket: &DatagramSocket) {
        remove(&mut self.sockets.write(), socket, socket.binding().port);
    }

    fn find(&self, local: IpAddr, remote: IpAddr, id: u16, ifindex: u32) -> Option<Arc<DatagramSocket>> {
        let sockets = self.sockets.read();
        let mut all = sockets.get(&(local.is_ipv6(), id))?.iter().rev().filter_map(Weak::upgrade);
        all.find(|s| {
            let b = s.binding();
            (b.local.is_unspecified() || b.local == local)
                && b.remote.is_none_or(|(ip, _)| ip == remote)
                && s.on_link(ifindex)
        })
    }
}

impl Net {
    /// All ping sockets that have an identifier.
    pub fn ping_sockets(&self) -> Vec<SockInfo> {
        let all: Vec<Arc<DatagramSocket>> =
            self.ping.sockets.read().values().flatten().filter_map(Weak::upgrade).collect();
        all.iter().map(|s| s.info()).collect()
    }

    /// An echo reply came.
    pub(crate) fn ping_input(&self, meta: &RxMeta, message: &Bytes, id: u16) {
        let Some(socket) = self.ping.find(meta.dst, meta.src, id, meta.ifindex) else { return };
        let d = Datagram { data: message.clone(), port: 0, dst_port: id, meta: meta.clone() };
        if !socket.take(d) {
            tracing::debug!(target: "lkl::drop", id, "ping: the receive queue is full");
        }
    }

    pub(crate) fn ping_error(&self, e: &IcmpError) {
        let Some(h) = icmp::Header::parse(&e.quoted) else { return };
        let echo = if e.src.is_ipv6() { icmp::v6::ECHO_REQUEST } else { icmp::v4::ECHO };
        if h.kind != echo {
            return;
        }
        if let Some(socket) = self.ping.find(e.src, e.dst, h.id(), e.ifindex) {
            socket.icmp_error(e, 0, e.quoted.clone());
        }
    }
}
