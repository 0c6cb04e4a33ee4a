//! Datagrams larger than a packet: cutting them up and putting them together, for IPv4 and IPv6.

pub mod fragment;
pub mod reassembly;
