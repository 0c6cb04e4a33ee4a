//! Network devices of the host.

pub mod tap;
mod vnet;
