//! The sockets that are shown.

use crate::view::{PacketView, SockView};
use lkl_inet::{FlowKey, Net, SockInfo, TcpSockInfo};
use std::net::IpAddr;

/// The source address that a packet to `dst` would have.
pub(crate) fn source_for(net: &Net, dst: IpAddr, oif: u32, mark: u32) -> Option<IpAddr> {
    let key = FlowKey { oif, mark, ..FlowKey::to(dst) };
    net.route_output(&key).ok().map(|r| r.src).filter(|s| !s.is_unspecified())
}

fn datagram(s: SockInfo) -> SockView {
    SockView {
        family: s.family,
        state: s.state,
        timer: 0,
        retrans: 0,
        src: s.local.0,
        sport: s.local.1,
        dst: s.remote.0,
        dport: s.remote.1,
        ifindex: s.ifindex,
        cookie: s.cookie,
        expires_ms: 0,
        rqueue: s.rx_queue,
        wqueue: s.tx_queue,
        uid: 0,
        ino: s.ino,
        mark: s.mark,
        v6only: s.v6only,
        tos: 0,
        tclass: 0,
        shutdown: 0,
        meminfo: [s.rx_queue, s.rcvbuf, s.tx_queue, s.sndbuf, 0, 0, 0, 0, s.drops],
        tcp_info: None,
        cong: None,
        full: true,
    }
}

pub(crate) fn udp(net: &Net) -> Vec<SockView> {
    net.udp_sockets().into_iter().map(datagram).collect()
}

/// Their port is the number of the protocol.
pub(crate) fn raw(net: &Net) -> Vec<SockView> {
    let with_protocol = |s: SockInfo| SockView { sport: s.protocol.into(), ..datagram(s) };
    net.raw_sockets().into_iter().map(with_protocol).collect()
}

pub(crate) fn ping(net: &Net) -> Vec<SockView> {
    net.ping_sockets().into_iter().map(datagram).collect()
}

pub(crate) fn tcp(net: &Net) -> Vec<SockView> {
    net.tcp_sockets().into_iter().map(connection).collect()
}

fn connection(s: TcpSockInfo) -> SockView {
    // What is shown of requests and of TIME_WAIT has no options.
    let full = s.info.is_some() || s.ino != 0;
    SockView {
        family: s.family,
        state: s.state,
        timer: s.timer,
        retrans: u8::try_from(s.retrans).unwrap_or(u8::MAX),
        src: s.local.0,
        sport: s.local.1,
        dst: s.remote.0,
        dport: s.remote.1,
        ifindex: s.ifindex,
        cookie: s.cookie,
        expires_ms: u32::try_from(s.expires.as_millis()).unwrap_or(u32::MAX),
        rqueue: s.rx_queue,
        wqueue: s.tx_queue,
        uid: 0,
        ino: s.ino,
        mark: s.mark,
        v6only: s.v6only,
        tos: s.tos,
        tclass: s.tclass,
        shutdown: s.shutdown,
        meminfo: [s.rx_queue, s.rcvbuf, 0, s.sndbuf, 0, s.tx_queue, 0, 0, 0],
        tcp_info: s.info,
        cong: s.congestion.map(str::to_owned),
        full,
    }
}

pub(crate) fn packet(net: &Net) -> Vec<PacketView> {
    let view = |s: lkl_inet::PacketSockInfo| PacketView {
        kind: s.kind,
        protocol: s.protocol,
        ifindex: s.ifindex,
        ino: s.ino,
        meminfo: [u32::try_from(s.rmem).unwrap_or(u32::MAX), 0, 0, 0, 0, 0, 0, 0, 0],
    };
    net.packet_sockets().into_iter().map(view).collect()
}
