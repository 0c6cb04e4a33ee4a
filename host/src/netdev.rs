//! Network devices of the host.
//!
//! * [`tap`]: TAP and macvtap devices. [`raw`]: packet sockets. [`pipe`]: named pipes to another kernel. [`vde`]: ports of
//!   VDE switches.
//! * [`fd`]: what all of these are: descriptors that carry frames, with [`vnet`]'s header before each.
//! * [`open()`]: one of them, as the configuration names it. [`Offload`]: what is left to a device.

pub mod fd;
mod offload;
mod open;
pub mod pipe;
pub mod raw;
pub mod tap;
pub mod vde;
pub mod vnet;

pub use offload::Offload;
pub use open::open;
