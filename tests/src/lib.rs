//! Tests across crates: whole kernels on virtual time, driven by system calls only.
//!
//! * [`Machine`]: a kernel on a simulated host, with one process whose memory is an arena.
//! * [`transfer`]: programs that move bytes and check each of them.
//! * [`flow`]: flows that fill a bottleneck.
//! * [`crowd`]: many connections of one machine with itself.
//! * [`wire`]: frames built and read by hand, and packet scripts.
//! * [`peer`]: a foreign TCP/IP stack (smoltcp) at the other end of a link.
//!
//! The tests themselves are in `tests/`. Below: `lkl-kernel`, `lkl_ops::sim`.

#![forbid(unsafe_code)]

pub mod cases;
pub mod crowd;
pub mod flow;
pub mod machine;
pub mod peer;
pub mod transfer;
pub mod wire;

pub use lkl_ops::sim::{Rng, Side, Verdict, Wire, World};
pub use machine::{Arena, Machine};

/// The seed of a test: its own, or that of the environment (`LKL_SEED`), to look into a failure again.
pub fn seed(own: u64) -> u64 {
    std::env::var("LKL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(own)
}
