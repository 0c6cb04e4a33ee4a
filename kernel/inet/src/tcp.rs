//! TCP sockets: `lkl_net`'s connections under locks, found by hash.
//!
//! * `ports`: who has which port, and may share it. `table`: from a segment to its socket.
//! * `socket`: a socket. `calls`: the calls of the program. `listen`: connections being made. `syncookie`: and when there are
//!   too many. `fastopen`: data in the SYN. `option`: its options.
//! * `work`: what is to be done once a socket's lock is released: segments to send, waiters to wake, timers to set.
//! * `abandon`: sockets whose users have gone in the middle of a call.
//! * `memory`: what all hold together. `notes`: time stamps, and sends without a copy. `show`: what `sock_diag` and `/proc/net/tcp` show.
//!
//! Order of locks: ports, then one socket, then the table. Segments are sent holding none.

mod abandon;
mod calls;
mod fastopen;
mod listen;
mod memory;
mod notes;
mod option;
mod ports;
mod show;
mod socket;
mod syncookie;
mod table;
mod work;

pub use abandon::Held;
pub(crate) use fastopen::{parse_keys, show_keys, Key};
pub use show::TcpSockInfo;
pub use table::TcpTable;
pub(crate) use table::Tuple;

use crate::tx::{HeaderBytes, IcmpError, IpTx, PayloadParts, RxMeta};
use crate::Net;
use bytes::Bytes;
use core::sync::atomic::Ordering::Relaxed;
use lkl_file::File;
use lkl_net::checksum::Sum;
use lkl_net::tcp::{Ecn, Flags, Segment, SegmentOut, TimeWaitVerdict};
use std::net::IpAddr;
use std::sync::Arc;
use table::Entry;

/// Offset of the checksum in a header.
const CHECKSUM_AT: u16 = 16;

/// A new socket.
pub(crate) fn socket(net: &Arc<Net>, family: u16) -> Arc<dyn File> {
    socket::TcpSocket::new(net, family)
}

/// A segment came.
pub(crate) fn input(net: &Arc<Net>, meta: &RxMeta, segment: Bytes) {
    let mib = &net.snmp().tcp;
    mib.in_segs.inc();
    if !meta.unicast() {
        return;
    }
    let Ok((mut header, len)) = Segment::parse(&segment) else {
        mib.in_errs.inc();
        tracing::debug!(target: "lkl::drop", "a malformed TCP segment from {}", meta.src);
        return;
    };
    if !meta.checksum_ok && !Sum::new().pseudo_header(meta.src, meta.dst, 6, segment.len()).add(&segment).is_valid() {
        mib.in_errs.inc();
        mib.in_csum_errors.inc();
        tracing::debug!(target: "lkl::drop", "a TCP segment with a wrong checksum from {}", meta.src);
        return;
    }
    header.ecn = Ecn::of(meta.tos);
    dispatch(net, meta, &header, segment.slice(len..));
}

/// A segment that this host has sent to itself: its headers are in `meta`, its payload is in pieces.
pub(crate) fn input_pieces(net: &Arc<Net>, meta: &RxMeta, pieces: PayloadParts) {
    net.snmp().tcp.in_segs.inc();
    let Some(Ok((mut header, _))) = meta.packet.get(meta.transport..).map(Segment::parse) else { return };
    header.ecn = Ecn::of(meta.tos);
    let tuple = Tuple::new((meta.dst, header.dst_port), (meta.src, header.src_port), meta.ifindex);
    match net.tcp.find(&tuple) {
        Some(Entry::Connection(socket)) if !socket.forsaken.load(Relaxed) => socket.on_pieces(meta, &header, pieces),
        _ => dispatch(net, meta, &header, pieces.concat().into()),
    }
}

/// A segment that is right in itself goes where it belongs.
fn dispatch(net: &Arc<Net>, meta: &RxMeta, header: &Segment, payload: Bytes) {
    let tuple = Tuple::new((meta.dst, header.dst_port), (meta.src, header.src_port), meta.ifindex);
    match net.tcp.find(&tuple) {
        Some(Entry::Connection(socket)) if socket.forsaken.load(Relaxed) => refuse(net, meta, header, payload.len()),
        Some(Entry::Connection(socket)) => socket.on_segment(meta, header, payload),
        Some(Entry::Request(listener)) => {
            if let Some(payload) = listener.on_request_segment(meta, &tuple, header, payload) {
                // The request was gone already.
                to_listener(net, meta, tuple, header, payload);
            }
        }
        Some(Entry::TimeWait(tw)) => {
            let verdict = tw.state.lock().on_segment(net.now(), header, payload.len());
            match verdict {
                TimeWaitVerdict::Drop => tw.rearm(net),
                TimeWaitVerdict::Answer(out) => {
                    tw.rearm(net);
                    send_bare(net, meta, out);
                }
                // RFC 1337: a stray reset ends it, unless the setting says that it must not.
                TimeWaitVerdict::Forget if net.sysctl().tcp_rfc1337.on() => {}
                TimeWaitVerdict::Forget => tw.forget(net),
                TimeWaitVerdict::NewConnection(iss) => match net.tcp.listener(&tuple, meta.ifindex) {
                    Some(listener) => {
                        tw.forget(net);
                        net.snmp().tcp_ext.tw_recycled.inc();
                        listener.on_syn(meta, tuple, header, &payload, Some(iss));
                    }
                    None => refuse(net, meta, header, payload.len()),
                },
            }
        }
        None => to_listener(net, meta, tuple, header, payload),
    }
}

fn to_listener(net: &Arc<Net>, meta: &RxMeta, tuple: Tuple, header: &Segment, payload: Bytes) {
    let Some(listener) = net.tcp.listener(&tuple, meta.ifindex) else {
        refuse(net, meta, header, payload.len());
        return;
    };
    // RFC 9293, section 3.10.7.2.
    if header.has(Flags::RST) {
        return;
    }
    if header.has(Flags::ACK) && !header.has(Flags::SYN) && listener.on_cookie(meta, &tuple, header, &payload) {
        return;
    }
    if header.has(Flags::ACK) {
        refuse(net, meta, header, payload.len());
    } else if header.has(Flags::SYN) && !header.has(Flags::FIN) {
        listener.on_syn(meta, tuple, header, &payload, None);
    }
}

/// Answers a segment for which there is no connection.
fn refuse(net: &Arc<Net>, meta: &RxMeta, header: &Segment, payload: usize) {
    if let Some(reset) = header.reset_for(payload) {
        net.snmp().tcp.out_rsts.inc();
        send_bare(net, meta, SegmentOut::bare(reset));
    }
}

/// Answers a segment where there is no socket whose options count.
fn send_bare(net: &Net, meta: &RxMeta, out: SegmentOut) {
    net.snmp().tcp.out_segs.inc();
    let mut tx = packet(meta.dst, meta.src, out);
    tx.oif = meta.scope_of(meta.src);
    if let Err(e) = net.ip_output(tx) {
        tracing::debug!(target: "lkl::drop", "an answer to {} cannot be sent: {e}", meta.src);
    }
}

/// The packet of a segment.
fn packet(src: IpAddr, dst: IpAddr, out: SegmentOut) -> IpTx {
    let header: HeaderBytes = out.header.emit().as_slice().into();
    let mut tx = IpTx::new(src, dst, crate::ip::IPPROTO_TCP, header, Some(CHECKSUM_AT));
    tx.payload = out.payload;
    tx.gso_size = out.gso_size;
    tx
}

/// An ICMP error came about a segment of ours.
pub(crate) fn icmp_error(net: &Arc<Net>, error: &IcmpError) {
    let Some((ours, theirs)) = error.ports() else { return };
    let Some(seq) = error.quoted.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes) else { return };
    let tuple = Tuple::new((error.src, ours), (error.dst, theirs), error.ifindex);
    match net.tcp.find(&tuple) {
        Some(Entry::Connection(socket)) => socket.on_icmp_error(error, seq),
        Some(Entry::Request(listener)) if error.hard => listener.on_request_error(&tuple, seq),
        _ => {}
    }
}
