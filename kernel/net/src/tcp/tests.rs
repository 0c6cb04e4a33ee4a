//! Scripts on virtual time, and two connections over a simulated wire.

pub(super) mod kit;
mod oracle;
mod pacing;
mod pipe;
mod queues;
mod scripts;
