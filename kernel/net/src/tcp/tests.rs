//! Scripts on virtual time, and two connections over a simulated wire.

mod kit;
mod pipe;
mod queues;
mod scripts;
