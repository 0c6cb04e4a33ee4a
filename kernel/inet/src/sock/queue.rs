//! The receive queue and the error queue of a datagram socket.

use super::num_of_cost;
use crate::tx::{IcmpError, RxMeta};
use bytes::Bytes;
use lkl_abi::errqueue::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_LOCAL};
use lkl_abi::Errno;
use std::collections::VecDeque;
use std::net::IpAddr;

/// A datagram received.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) data: Bytes,
    pub(crate) port: u16,
    pub(crate) dst_port: u16,
    pub(crate) meta: RxMeta,
}

/// Datagrams that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct ReceiveQueue {
    items: VecDeque<Datagram>,
    bytes: usize,
}

impl ReceiveQueue {
    /// Puts a datagram in; `false` if there is no room.
    pub(crate) fn push(&mut self, d: Datagram, limit: usize) -> bool {
        // One datagram is always taken, as on Linux.
        if self.bytes > 0 && self.bytes + num_of_cost(d.data.len()) > limit {
            return false;
        }
        self.bytes += num_of_cost(d.data.len());
        self.items.push_back(d);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        let d = self.items.pop_front()?;
        self.bytes -= num_of_cost(d.data.len());
        Some(d)
    }

    pub(crate) fn peek(&self) -> Option<&Datagram> {
        self.items.front()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Errors that wait in a queue at most.
const MAX_ERRORS: usize = 128;

/// An error for `MSG_ERRQUEUE` (`struct sock_extended_err`).
#[derive(Clone, Debug)]
pub(crate) struct ErrorItem {
    pub(crate) errno: Errno,
    pub(crate) origin: u8,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) info: u32,
    pub(crate) offender: Option<IpAddr>,
    /// Where the datagram went.
    pub(crate) dst: (IpAddr, u16),
    pub(crate) ifindex: u32,
    /// Its payload.
    pub(crate) data: Bytes,
    /// When the error came, since the Unix epoch.
    pub(crate) time: core::time::Duration,
}

impl ErrorItem {
    /// What ICMP said of a datagram to `dst`; `data` is its payload as quoted.
    pub(crate) fn icmp(e: &IcmpError, dst_port: u16, data: Bytes) -> Self {
        Self {
            errno: e.errno,
            origin: if e.src.is_ipv6() { SO_EE_ORIGIN_ICMP6 } else { SO_EE_ORIGIN_ICMP },
            kind: e.kind,
            code: e.code,
            info: e.mtu.unwrap_or(0),
            offender: Some(e.offender),
            dst: (e.dst, dst_port),
            ifindex: e.ifindex,
            data,
            time: core::time::Duration::ZERO,
        }
    }

    /// A datagram that was too long for the path (`IP_MTU_DISCOVER`).
    pub(crate) fn too_long(dst: (IpAddr, u16), mtu: u32) -> Self {
        Self {
            errno: Errno::EMSGSIZE,
            origin: SO_EE_ORIGIN_LOCAL,
            kind: 0,
            code: 0,
            info: mtu,
            offender: None,
            dst,
            ifindex: 0,
            data: Bytes::new(),
            time: core::time::Duration::ZERO,
        }
    }

    /// The structure, with the address of who complained behind it.
    pub(crate) fn to_bytes(&self, family: u16) -> Vec<u8> {
        let mut b = Vec::with_capacity(44);
        b.extend_from_slice(&self.errno.0.to_ne_bytes());
        b.extend_from_slice(&[self.origin, self.kind, self.code, 0]);
        b.extend_from_slice(&self.info.to_ne_bytes());
        b.extend_from_slice(&[0; 4]);
        match self.offender {
            Some(ip) => {
                let scope = if crate::ip::needs_scope(ip) { self.ifindex } else { 0 };
                let family = if ip.is_ipv6() { lkl_file::sockaddr::AF_INET6 } else { family };
                b.extend_from_slice(&lkl_file::SockAddr::for_family(family, ip, 0, scope).to_bytes());
            }
            None => b.extend_from_slice(&[0; 16]),
        }
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

    /// Takes the first; answers it and the errno of the next.
    pub(crate) fn pop(&mut self) -> Option<(ErrorItem, Option<Errno>)> {
        let e = self.0.pop_front()?;
        Some((e, self.0.front().map(|n| n.errno)))
    }

    pub(crate) fn peek(&self) -> Option<&ErrorItem> {
        self.0.front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
