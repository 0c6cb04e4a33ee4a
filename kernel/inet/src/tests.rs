//! Two stacks and a wire, on virtual time.

mod config;
mod datagram;
mod kit;
mod output;
mod successor;
