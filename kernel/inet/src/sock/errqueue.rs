//! The error queue of a socket (`MSG_ERRQUEUE`): what ICMP complains of, when packets left, which sends without a copy
//! are done. Reading it never waits.

use crate::options::num::{IPV6_RECVERR, IP_PKTINFO, IP_RECVERR, SOL_IP, SOL_IPV6};
use crate::options::InetOptions;
use crate::tx::IcmpError;
use bytes::Bytes;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_abi::errqueue::*;
use lkl_abi::net_tstamp::SOF_TIMESTAMPING_OPT_CMSG;
use lkl_abi::socket::{MSG_ERRQUEUE, MSG_PEEK, MSG_TRUNC};
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::AF_INET6;
use lkl_file::{Control, RecvMsg, SockAddr, SockOptions};
use lkl_net::wire::{ethernet, ipv4, ipv6};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Errors that wait in a queue at most.
const MAX_ERRORS: usize = 128;

/// An error for `MSG_ERRQUEUE` (`struct sock_extended_err`).
#[derive(Clone, Debug)]
pub(crate) struct ErrorItem {
    /// 0 for what is none.
    pub(crate) errno: i32,
    pub(crate) origin: u8,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) info: u32,
    /// `ee_data`
    pub(crate) number: u32,
    pub(crate) offender: Option<IpAddr>,
    /// Where the datagram went, if the program is told.
    pub(crate) dst: Option<(IpAddr, u16)>,
    /// The link, 0 if it is not known.
    pub(crate) ifindex: u32,
    /// Its payload, or the whole frame.
    pub(crate) data: Bytes,
    /// When it happened, since the Unix epoch; zero if that is not told.
    pub(crate) time: Duration,
}

impl ErrorItem {
    const NONE: Self = Self {
        errno: 0,
        origin: 0,
        kind: 0,
        code: 0,
        info: 0,
        number: 0,
        offender: None,
        dst: None,
        ifindex: 0,
        data: Bytes::new(),
        time: Duration::ZERO,
    };

    /// What ICMP said of a datagram to `dst_port`; `data` is its payload as quoted.
    pub(crate) fn icmp(e: &IcmpError, dst_port: u16, data: Bytes) -> Self {
        Self {
            errno: e.errno.0,
            origin: if e.src.is_ipv6() { SO_EE_ORIGIN_ICMP6 } else { SO_EE_ORIGIN_ICMP },
            kind: e.kind,
            code: e.code,
            info: e.mtu.unwrap_or(0),
            offender: Some(e.offender),
            dst: Some((e.dst, dst_port)),
            ifindex: e.ifindex,
            data,
            ..Self::NONE
        }
    }

    /// A datagram that was too long for the path (`IP_MTU_DISCOVER`).
    pub(crate) fn too_long(dst: (IpAddr, u16), mtu: u32) -> Self {
        Self { errno: Errno::EMSGSIZE.0, origin: SO_EE_ORIGIN_LOCAL, info: mtu, dst: Some(dst), ..Self::NONE }
    }

    /// The time of one of `SCM_TSTAMP_*`.
    pub(crate) fn stamp(what: u32, number: u32) -> Self {
        Self { errno: Errno::ENOMSG.0, origin: SO_EE_ORIGIN_TIMESTAMPING, info: what, number, ..Self::NONE }
    }

    /// The sends from number `info` to `number` are done with what they were given (`MSG_ZEROCOPY`). It was copied.
    fn done(id: u32) -> Self {
        let code = SO_EE_CODE_ZEROCOPY_COPIED;
        Self { origin: SO_EE_ORIGIN_ZEROCOPY, code, info: id, number: id, ..Self::NONE }
    }

    fn by_icmp(&self) -> bool {
        matches!(self.origin, SO_EE_ORIGIN_ICMP | SO_EE_ORIGIN_ICMP6)
    }

    /// The addresses of the packet in `data`, if the program is told of them: it must be known where it left.
    fn packet(&self, options: &SockOptions, v6: bool) -> Option<(IpAddr, IpAddr)> {
        let asked = v6 || options.timestamping.load(Relaxed) & SOF_TIMESTAMPING_OPT_CMSG != 0;
        if self.origin != SO_EE_ORIGIN_TIMESTAMPING || self.ifindex == 0 || !asked {
            return None;
        }
        let packet = self.data.get(ethernet::HEADER_LEN..)?;
        match packet.first()? >> 4 {
            6 => ipv6::Header::parse(packet).map(|h| (h.src.into(), h.dst.into())),
            _ => ipv4::Header::parse(packet).ok().map(|h| (h.src.into(), h.dst.into())),
        }
    }

    /// The structure, with the address of who complained behind it.
    fn to_bytes(&self, family: u16, offender: Option<IpAddr>) -> Vec<u8> {
        let mut b = Vec::with_capacity(44);
        b.extend_from_slice(&self.errno.to_ne_bytes());
        b.extend_from_slice(&[self.origin, self.kind, self.code, 0]);
        b.extend_from_slice(&self.info.to_ne_bytes());
        b.extend_from_slice(&self.number.to_ne_bytes());
        if let Some(ip) = offender {
            let scope = if crate::ip::needs_scope(ip) { self.ifindex } else { 0 };
            b.extend_from_slice(&SockAddr::for_family(family, ip, 0, scope).to_bytes());
        }
        b.resize(SOCK_EXTENDED_ERR_SIZE + if family == AF_INET6 { 28 } else { 16 }, 0);
        b
    }
}

/// Errors that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct ErrorQueue(VecDeque<ErrorItem>);

impl ErrorQueue {
    pub(crate) fn push(&mut self, e: ErrorItem) -> bool {
        if self.0.len() >= MAX_ERRORS {
            return false;
        }
        self.0.push_back(e);
        true
    }

    /// The send without a copy `id` is done; said together with those before it, if that was not read yet.
    pub(crate) fn push_done(&mut self, id: u32) {
        match self.0.back_mut() {
            Some(last) if last.origin == SO_EE_ORIGIN_ZEROCOPY && last.number.wrapping_add(1) == id => last.number = id,
            _ => {
                self.push(ErrorItem::done(id));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the first, or shows it to who only peeks. `SO_ERROR` is that of the next.
    ///
    /// # Errors
    /// `EAGAIN`
    fn take(&mut self, peek: bool, options: &SockOptions) -> Result<ErrorItem> {
        if peek {
            return self.0.front().cloned().ok_or(Errno::EAGAIN);
        }
        let item = self.0.pop_front().ok_or(Errno::EAGAIN)?;
        match self.0.front() {
            Some(next) if next.by_icmp() => options.error.store(next.errno, Relaxed),
            _ if item.by_icmp() => options.error.store(0, Relaxed),
            _ => {}
        }
        Ok(item)
    }
}

/// `MSG_ERRQUEUE` of a socket of `family`.
///
/// # Errors
/// `EAGAIN` if there is nothing; `EFAULT`.
pub(crate) fn receive(
    queue: &lkl_sync::Mutex<ErrorQueue>,
    family: u16,
    options: &SockOptions,
    inet: &InetOptions,
    msg: &mut RecvMsg<'_>,
) -> Result<usize> {
    let item = queue.lock().take(msg.flags & MSG_PEEK != 0, options)?;
    let copied = msg.data.write(&item.data)?;
    if copied < item.data.len() {
        msg.out_flags |= MSG_TRUNC;
    }
    msg.out_flags |= MSG_ERRQUEUE;
    if let Some((ip, port)) = item.dst {
        let scope = if crate::ip::needs_scope(ip) { item.ifindex } else { 0 };
        msg.name = Some(SockAddr::for_family(family, ip, port, scope));
    }
    if !item.time.is_zero() {
        let sent = item.origin == SO_EE_ORIGIN_TIMESTAMPING;
        crate::timestamp::push(options, item.time, sent, &mut msg.control);
    }
    let v6 = family == AF_INET6;
    let packet = item.packet(options, v6);
    if let (Some((IpAddr::V4(src), IpAddr::V4(dst))), true) = (packet, inet.pktinfo.load(Relaxed) != 0) {
        let data = [item.ifindex.to_ne_bytes(), src.octets(), dst.octets()].concat();
        msg.control.push(Control { level: SOL_IP, kind: IP_PKTINFO, data });
    }
    let (level, kind) = if v6 { (SOL_IPV6, IPV6_RECVERR) } else { (SOL_IP, IP_RECVERR) };
    let offender = item.offender.or(packet.map(|(src, _)| src));
    msg.control.push(Control { level, kind, data: item.to_bytes(family, offender) });
    Ok(copied)
}
