//! What the datagram sockets have in common: queues, errors, control messages, what is shown of them.

pub(crate) mod base;
pub(crate) mod errqueue;
pub(crate) mod options;
pub(crate) mod queue;
mod recv;
pub(crate) mod send;

/// What a datagram of `len` bytes costs in a receive queue, much as Linux's `truesize`.
pub(crate) const fn num_of_cost(len: usize) -> usize {
    512 + len.next_multiple_of(256)
}

use lkl_ops::Instant;
use std::net::IpAddr;

/// What `sock_diag` and `/proc/net` show of a UDP, raw or ping socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SockInfo {
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Protocol number.
    pub protocol: u8,
    /// 7 (unconnected) or 1 (connected), as `TCP_CLOSE` and `TCP_ESTABLISHED`.
    pub state: u8,
    /// Our address.
    pub local: (IpAddr, u16),
    /// The peer's address.
    pub remote: (IpAddr, u16),
    /// The link it is bound to, 0 for none.
    pub ifindex: u32,
    /// Bytes in the receive queue.
    pub rx_queue: u32,
    /// Bytes in the send queue.
    pub tx_queue: u32,
    /// Size of the receive buffer.
    pub rcvbuf: u32,
    /// Size of the send buffer.
    pub sndbuf: u32,
    /// Datagrams dropped for want of room.
    pub drops: u32,
    /// `SO_MARK`
    pub mark: u32,
    /// Inode number.
    pub ino: u64,
    /// Unique for ever (`SO_COOKIE`).
    pub cookie: u64,
    /// IPv6 sockets: does it take IPv6 only?
    pub v6only: bool,
    /// When it was made.
    pub created: Instant,
}
