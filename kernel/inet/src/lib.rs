//! The IP stack at work: links, addresses, routes, neighbours and sockets, under locks.
//!
//! * [`Net`]: a network namespace. `linkcfg`, `addr`, `route`, `neigh` are its configuration, `flow`, `output`, `input` the ways
//!   of a packet, `udp`, `raw`, `ping`, `packet`, [`tcp`] its sockets.
//! * [`IpTx`], [`RxMeta`], [`IcmpError`]: what passes between IP and the transport protocols.
//! * [`NetEvent`]: what changes in the configuration are told to netlink.
//!
//! Below: `lkl-net` (the protocols themselves, sans I/O), `lkl-file` (the traits of a socket). Above: `lkl-netcfg` and `lkl-kernel`.
//! No frame moves up or down under a socket's lock: the output functions are called holding no lock, and loopback is a queue.

#![forbid(unsafe_code)]

mod addr;
mod arp;
mod event;
mod flow;
mod icmp;
mod input;
mod ip;
mod link;
mod linkcfg;
mod local;
mod loopback;
mod mcast;
mod ndisc;
mod neigh;
mod net;
pub mod options;
mod output;
mod packet;
mod ping;
mod pmtu;
mod raw;
mod reassembly;
mod route;
mod slaac;
pub mod snmp;
mod sock;
mod successor;
pub mod sysctl;
pub mod tcp;
mod timestamp;
mod tx;
mod udp;

#[cfg(test)]
mod tests;

pub use addr::IfAddr;
pub use event::{NetEvent, NetEventSink};
pub use flow::{FlowKey, Route};
pub use ip::{is_link_local, map_v6, needs_scope, unmap, unspecified};
pub use link::{Link, LinkStats, LOOPBACK_INDEX};
pub use linkcfg::{MAX_MTU, MIN_MTU};
pub use neigh::NeighEntry;
pub use net::Net;
pub use options::InetOptions;
pub use packet::PacketSockInfo;
pub use route::{AddMode, NextHop, Prefix, RouteEntry, RouteSelector, Rule, RuleAction};
pub use snmp::Snmp;
pub use sock::SockInfo;
pub use successor::Successor;
pub use sysctl::Sysctl;
pub use tcp::TcpSockInfo;
pub use tx::{HeaderBytes, IcmpError, IpTx, PacketType, PayloadParts, PmtuDisc, RxMeta};
