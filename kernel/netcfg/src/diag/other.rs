//! `sock_diag` of packet, netlink and Unix sockets.

use crate::netlink::wire::u32_at;
use crate::netlink::{Outcome, Reply, Request};
use crate::source::sockets;
use lkl_abi::inet_diag::{
    NDIAG_PROTO_ALL, NDIAG_SHOW_FLAGS, NDIAG_SHOW_GROUPS, NDIAG_SHOW_MEMINFO, NETLINK_DIAG_FLAGS, NETLINK_DIAG_GROUPS,
    NETLINK_DIAG_MEMINFO, PACKET_DIAG_INFO, PACKET_DIAG_MEMINFO, PACKET_DIAG_UID, PACKET_SHOW_INFO,
    PACKET_SHOW_MEMINFO, SOCK_DIAG_BY_FAMILY,
};
use lkl_abi::socket::{AF_NETLINK, AF_PACKET};
use lkl_abi::Errno;

fn words(v: &[u32]) -> Vec<u8> {
    v.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

/// `struct packet_diag_req`
pub(super) fn packet(request: &Request<'_>) -> Outcome {
    let b: [u8; 20] = request.fixed()?;
    if b[1] != 0 {
        return Err(Errno::EINVAL.into());
    }
    if !request.is_dump() {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let show = u32_at(&b, 8).unwrap_or(0);
    let to = request.to().multi();
    Ok(Reply::dump(sockets::packet(request.net), move |w, s| {
        w.message(SOCK_DIAG_BY_FAMILY, to, |w| {
            w.fixed(&[
                &[AF_PACKET as u8, s.kind as u8],
                &s.protocol.to_ne_bytes(),
                &(s.ino as u32).to_ne_bytes(),
                &(s.ino as u32).to_ne_bytes(),
                &((s.ino >> 32) as u32).to_ne_bytes(),
            ]);
            if show & PACKET_SHOW_INFO != 0 {
                w.attr(PACKET_DIAG_INFO, &words(&[s.ifindex, 0, 0, 0, 0, 0]));
                w.u32(PACKET_DIAG_UID, 0);
            }
            if show & PACKET_SHOW_MEMINFO != 0 {
                w.attr(PACKET_DIAG_MEMINFO, &words(&s.meminfo));
            }
        });
    }))
}

/// `struct netlink_diag_req`
pub(super) fn netlink(request: &Request<'_>) -> Outcome {
    let b: [u8; 20] = request.fixed()?;
    if !request.is_dump() {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let protocol = b[1];
    if protocol != NDIAG_PROTO_ALL && protocol >= 32 {
        return Err(Errno::ENOENT.into());
    }
    let show = u32_at(&b, 8).unwrap_or(0);
    let to = request.to().multi();
    let mut all = request.hub.sockets();
    all.retain(|s| protocol == NDIAG_PROTO_ALL || s.protocol == u32::from(protocol));
    Ok(Reply::dump(all, move |w, s| {
        w.message(SOCK_DIAG_BY_FAMILY, to, |w| {
            w.fixed(&[
                &[AF_NETLINK as u8, s.kind as u8, s.protocol as u8, 7],
                &s.portid.to_ne_bytes(),
                &s.dst_port.to_ne_bytes(),
                &s.dst_group.to_ne_bytes(),
                &(s.ino as u32).to_ne_bytes(),
                &(s.ino as u32).to_ne_bytes(),
                &((s.ino >> 32) as u32).to_ne_bytes(),
            ]);
            if show & NDIAG_SHOW_GROUPS != 0 {
                w.u64(NETLINK_DIAG_GROUPS, s.groups >> 1);
            }
            if show & NDIAG_SHOW_MEMINFO != 0 {
                w.attr(NETLINK_DIAG_MEMINFO, &words(&[s.rmem, s.rcvbuf, 0, s.sndbuf, 0, 0, 0, 0, s.drops]));
            }
            if show & NDIAG_SHOW_FLAGS != 0 {
                w.u32(NETLINK_DIAG_FLAGS, s.dumping.into());
            }
        });
    }))
}

/// There are none: a program's Unix sockets are the host's.
pub(super) fn unix(request: &Request<'_>) -> Outcome {
    let _: [u8; 24] = request.fixed()?;
    if !request.is_dump() {
        return Err(Errno::ENOENT.into());
    }
    Ok(Reply::dump(Vec::<()>::new(), |_, ()| {}))
}
