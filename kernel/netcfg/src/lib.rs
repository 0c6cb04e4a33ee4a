//! How programs look at and configure the network.
//!
//! * [`netlink_socket`]: sockets of `AF_NETLINK`, of the protocols ROUTE (`ip`), SOCK_DIAG (`ss`) and GENERIC
//!   (`ethtool`). [`Hub`] joins them.
//! * [`dev_ioctl`]: the requests of `man 7 netdevice` (`ifconfig`, `route`, `arp`) and `SIOCETHTOOL`.
//! * [`proc_open`] and its like: `/proc/net`, `/proc/sys/net`, `/sys/class/net`.
//!
//! All of them show the same: the values of `view`, taken from `lkl-inet` by `source`. Below: `lkl-inet`. Above:
//! `lkl-kernel`, which calls the functions of this page and nothing else.

#![forbid(unsafe_code)]

mod diag;
mod ethtool;
mod genl;
mod ioctl;
mod netlink;
mod procfs;
mod rtnl;
mod source;
mod view;

#[cfg(test)]
mod tests;

pub use ioctl::{dev_ioctl, dev_ioctl_family};
pub use netlink::Hub;
pub use procfs::{proc_open, proc_open_with, proc_readdir, proc_readlink, proc_stat, DirEntry, Directory};

use lkl_abi::netlink::{NETLINK_GENERIC, NETLINK_ROUTE, NETLINK_SOCK_DIAG};
use lkl_abi::{Errno, Result};
use lkl_file::{File, Socket};
use lkl_inet::Net;
use std::sync::Arc;

/// A new socket of `AF_NETLINK`.
///
/// # Errors
/// `ESOCKTNOSUPPORT` for another kind than `SOCK_RAW` and `SOCK_DGRAM`, `EPROTONOSUPPORT` for a protocol that is not
/// served.
pub fn netlink_socket(net: &Arc<Net>, hub: &Arc<Hub>, kind: u32, protocol: u32) -> Result<Arc<dyn File>> {
    if !netlink::socket::kind_is_served(kind) {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if !matches!(protocol, NETLINK_ROUTE | NETLINK_SOCK_DIAG | NETLINK_GENERIC) {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let socket = netlink::socket::NetlinkSocket::new(net, hub, kind, protocol);
    hub.insert(socket.ino(), &socket);
    debug_assert_eq!(socket.protocol(), protocol);
    Ok(socket)
}
