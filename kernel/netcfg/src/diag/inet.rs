//! `sock_diag` of `AF_INET` and `AF_INET6`.

use super::bytecode::{Entry, Filter};
use crate::netlink::wire::{u16_at, u32_at, Attrs, Writer};
use crate::netlink::{Outcome, Reply, Request};
use crate::source::sockets;
use crate::view::SockView;
use lkl_abi::inet_diag::{
    INET_DIAG_CLASS_ID, INET_DIAG_CONG, INET_DIAG_INFO, INET_DIAG_MARK, INET_DIAG_MEMINFO, INET_DIAG_NOCOOKIE,
    INET_DIAG_PROTOCOL, INET_DIAG_REQ_BYTECODE, INET_DIAG_REQ_PROTOCOL, INET_DIAG_SHUTDOWN, INET_DIAG_SKMEMINFO,
    INET_DIAG_SKV6ONLY, INET_DIAG_TCLASS, INET_DIAG_TOS, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK,
};
use lkl_abi::socket::{AF_INET, AF_INET6};
use lkl_abi::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const PROTO_TCP: u32 = 6;
const PROTO_UDP: u32 = 17;
const PROTO_RAW: u32 = 255;

/// `struct inet_diag_req_v2`, without what is not looked at.
#[derive(Clone, Copy, Debug)]
struct Query {
    family: u16,
    protocol: u32,
    ext: u8,
    states: u32,
    sport: u16,
    dport: u16,
    src: [u8; 16],
    dst: [u8; 16],
    ifindex: u32,
    cookie: [u32; 2],
    /// What the answers are called.
    kind: u16,
}

const REQ_LEN: usize = 56;

fn be16(b: &[u8], at: usize) -> u16 {
    u16_at(b, at).map_or(0, u16::from_be)
}

fn id(b: &[u8], q: &mut Query) -> Option<()> {
    q.sport = be16(b, 0);
    q.dport = be16(b, 2);
    q.src = *b.get(4..)?.first_chunk()?;
    q.dst = *b.get(20..)?.first_chunk()?;
    q.ifindex = u32_at(b, 36)?;
    q.cookie = [u32_at(b, 40)?, u32_at(b, 44)?];
    Some(())
}

fn empty(kind: u16) -> Query {
    Query {
        family: 0,
        protocol: 0,
        ext: 0,
        states: 0,
        sport: 0,
        dport: 0,
        src: [0; 16],
        dst: [0; 16],
        ifindex: 0,
        cookie: [INET_DIAG_NOCOOKIE; 2],
        kind,
    }
}

/// A request in today's form.
pub(super) fn get(request: &Request<'_>) -> Outcome {
    let b: [u8; REQ_LEN] = request.fixed()?;
    let mut q = empty(SOCK_DIAG_BY_FAMILY);
    q.family = b[0].into();
    q.protocol = b[1].into();
    q.ext = b[2];
    q.states = u32_at(&b, 4).unwrap_or(0);
    id(&b[8..], &mut q).ok_or(Errno::EINVAL)?;
    answer(request, q, &request.attrs(REQ_LEN))
}

/// A request in the form of `TCPDIAG_GETSOCK` (`struct inet_diag_req`).
pub(super) fn compat(request: &Request<'_>) -> Outcome {
    let b: [u8; 60] = request.fixed()?;
    let mut q = empty(TCPDIAG_GETSOCK);
    // A dump of this form is of all families.
    q.family = if request.is_dump() { 0 } else { b[0].into() };
    q.protocol = PROTO_TCP;
    q.ext = b[3];
    id(&b[4..], &mut q).ok_or(Errno::EINVAL)?;
    q.states = u32_at(&b, 52).unwrap_or(0);
    answer(request, q, &request.attrs(60))
}

fn answer(request: &Request<'_>, mut q: Query, attrs: &Attrs<'_>) -> Outcome {
    if let Some(p) = attrs.u32(INET_DIAG_REQ_PROTOCOL)? {
        q.protocol = p;
    }
    let filter = attrs.get(INET_DIAG_REQ_BYTECODE).map(|a| Filter::new(a.data)).transpose()?;
    let all = match q.protocol {
        PROTO_TCP => sockets::tcp(request.net),
        PROTO_UDP => sockets::udp(request.net),
        PROTO_RAW => sockets::raw(request.net),
        _ => return Err(Errno::ENOENT.into()),
    };
    let to = request.to();
    if !request.is_dump() {
        let found = all.into_iter().find(|s| is_named(s, &q)).ok_or(Errno::ENOENT)?;
        let [lo, hi] = cookie(&found);
        if q.cookie != [INET_DIAG_NOCOOKIE; 2] && q.cookie != [lo, hi] {
            return Err(Errno::ESTALE.into());
        }
        return Ok(Reply::message(q.kind, to, |w| write(w, &found, &q)));
    }
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|s| {
            (q.family == 0 || q.family == s.family)
                && 1u32.checked_shl(s.state.into()).is_some_and(|bit| q.states & bit != 0)
                && (q.sport == 0 || q.sport == s.sport)
                && (q.dport == 0 || q.dport == s.dport)
                && filter.as_ref().is_none_or(|f| f.accepts(&entry(s)))
        })
        .collect();
    let to = to.multi();
    Ok(Reply::dump(chosen, move |w, s| w.message(q.kind, to, |w| write(w, &s, &q))))
}

fn entry(s: &SockView) -> Entry {
    Entry {
        family: s.family,
        src: s.src,
        dst: s.dst,
        sport: s.sport,
        dport: s.dport,
        ifindex: s.ifindex,
        mark: s.mark,
        auto: false,
    }
}

/// Is it the socket that the query names? One that listens is found by its own address and port alone.
fn is_named(s: &SockView, q: &Query) -> bool {
    let read = |b: &[u8; 16]| -> IpAddr {
        if q.family == AF_INET {
            Ipv4Addr::new(b[0], b[1], b[2], b[3]).into()
        } else {
            Ipv6Addr::from(*b).into()
        }
    };
    let (src, dst) = (read(&q.src), read(&q.dst));
    let local = s.sport == q.sport && (s.src == src || s.src.is_unspecified());
    let remote = (s.dport == q.dport && s.dst == dst) || (s.dport == 0 && s.dst.is_unspecified());
    s.family == q.family && local && remote && (q.ifindex == 0 || s.ifindex == 0 || q.ifindex == s.ifindex)
}

fn cookie(s: &SockView) -> [u32; 2] {
    [s.cookie as u32, (s.cookie >> 32) as u32]
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(a) => {
            let mut b = [0; 16];
            b[..4].copy_from_slice(&a.octets());
            b
        }
        IpAddr::V6(a) => a.octets(),
    }
}

/// `struct inet_diag_msg` and its attributes.
fn write(w: &mut Writer, s: &SockView, q: &Query) {
    let wants = |attr: u16| q.ext & 1u8.checked_shl(u32::from(attr) - 1).unwrap_or(0) != 0;
    let [lo, hi] = cookie(s);
    w.fixed(&[
        &[s.family as u8, s.state, s.timer, s.retrans],
        &s.sport.to_be_bytes(),
        &s.dport.to_be_bytes(),
        &octets(s.src),
        &octets(s.dst),
        &s.ifindex.to_ne_bytes(),
        &lo.to_ne_bytes(),
        &hi.to_ne_bytes(),
        &s.expires_ms.to_ne_bytes(),
        &s.rqueue.to_ne_bytes(),
        &s.wqueue.to_ne_bytes(),
        &s.uid.to_ne_bytes(),
        &(s.ino as u32).to_ne_bytes(),
    ]);
    if !s.full {
        return;
    }
    w.u8(INET_DIAG_SHUTDOWN, s.shutdown);
    if wants(INET_DIAG_TOS) {
        w.u8(INET_DIAG_TOS, s.tos);
    }
    if s.family == AF_INET6 {
        if wants(INET_DIAG_TCLASS) {
            w.u8(INET_DIAG_TCLASS, s.tclass);
        }
        if s.dport == 0 {
            w.u8(INET_DIAG_SKV6ONLY, s.v6only.into());
        }
    }
    w.u32(INET_DIAG_MARK, s.mark);
    if wants(INET_DIAG_CLASS_ID) || wants(INET_DIAG_TCLASS) {
        w.u32(INET_DIAG_CLASS_ID, 0);
    }
    if q.protocol == PROTO_RAW {
        w.u8(INET_DIAG_PROTOCOL, s.sport as u8);
    }
    let [rmem, _, wmem, _, fwd, ..] = s.meminfo;
    if wants(INET_DIAG_MEMINFO) {
        let mut b = Vec::with_capacity(16);
        for v in [rmem, s.meminfo[5], fwd, wmem] {
            b.extend(v.to_ne_bytes());
        }
        w.attr(INET_DIAG_MEMINFO, &b);
    }
    if wants(INET_DIAG_SKMEMINFO) {
        let b: Vec<u8> = s.meminfo.iter().flat_map(|v| v.to_ne_bytes()).collect();
        w.attr(INET_DIAG_SKMEMINFO, &b);
    }
    if let Some(tcp) = &s.tcp_info {
        if wants(INET_DIAG_INFO) {
            w.attr(INET_DIAG_INFO, tcp);
        }
    }
    if let Some(cong) = &s.cong {
        if wants(INET_DIAG_CONG) {
            w.str(INET_DIAG_CONG, cong);
        }
    }
}
