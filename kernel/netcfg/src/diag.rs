//! `NETLINK_SOCK_DIAG`: what sockets there are (`man 7 sock_diag`); used by `ss`.
//!
//! [`inet`] answers for TCP, UDP and raw sockets, [`bytecode`] runs the filters that `ss` sends, [`other`] answers for
//! packet, netlink and Unix sockets.

mod bytecode;
mod inet;
mod other;

use crate::netlink::{Outcome, Request};
use lkl_abi::inet_diag::{SOCK_DESTROY, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK};
use lkl_abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX};
use lkl_abi::Errno;

/// Carries out a request of this protocol.
pub(crate) fn handle(request: &Request<'_>) -> Outcome {
    let family = u16::from(*request.body.first().ok_or(Errno::EINVAL)?);
    match (request.header.kind, family) {
        (TCPDIAG_GETSOCK, _) => inet::compat(request),
        (SOCK_DIAG_BY_FAMILY, AF_INET | AF_INET6) => inet::get(request),
        (SOCK_DIAG_BY_FAMILY, AF_PACKET) => other::packet(request),
        (SOCK_DIAG_BY_FAMILY, AF_NETLINK) => other::netlink(request),
        (SOCK_DIAG_BY_FAMILY, AF_UNIX) => other::unix(request),
        (SOCK_DIAG_BY_FAMILY, _) => Err(Errno::ENOENT.into()),
        (SOCK_DESTROY, AF_INET | AF_INET6) => Err(Errno::EOPNOTSUPP.into()),
        (SOCK_DESTROY, _) => Err(Errno::ENOENT.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}
