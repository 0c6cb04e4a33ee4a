//! TCP/IP, sans I/O: no clock, no thread, no lock. Bytes and `now` in; bytes, events and the next deadline out.
//!
//! * [`wire`], [`checksum`]: headers.
//! * [`gro`]: segments that come one by one are joined.
//! * [`ip`]: fragmentation and reassembly, for both versions.
//! * [`route`]: tables, rules, look-up.
//! * [`neigh`]: the state machine of ARP and NDP.
//! * [`icmp`]: which errors are sent, and what those received mean.
//! * [`mcast`]: group membership (IGMP, MLD).
//! * [`bpf`]: classic socket filters.
//! * [`tcp`]: one connection.
//!
//! Below: `lkl-abi`, `lkl-ops`. Above: `lkl-inet` puts these under locks.

#![forbid(unsafe_code)]

pub mod bpf;
pub mod checksum;
pub mod gro;
pub mod icmp;
pub mod ip;
pub mod mcast;
pub mod neigh;
pub mod route;
pub mod tcp;
pub mod wire;
