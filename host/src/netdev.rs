//! Network devices of the host.
//!
//! * [`tap`]: TAP and macvtap devices. [`raw`]: packet sockets. [`pipe`]: named pipes to another kernel. [`vde`]: ports of
//!   VDE switches.
//! * [`fd`]: what all of these are: descriptors that carry frames, with [`vnet`]'s header before each.

pub mod fd;
pub mod pipe;
pub mod raw;
pub mod tap;
pub mod vde;
pub mod vnet;
