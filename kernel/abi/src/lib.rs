//! Types and numbers that programs see, one module per UAPI header of Linux. A leaf: it imports nothing of ours.
//!
//! The numbers are those of Linux's generic ABI (`asm-generic`), the same on every host; `hijack/src/xlate.rs`
//! translates where the host's own ABI differs.

#![forbid(unsafe_code)]

pub mod errno;
pub mod nr;

pub use errno::{Errno, Result};
