//! Types and numbers that programs see, one module per UAPI header of Linux. A leaf: it imports nothing of ours.
//!
//! The numbers are those of Linux's generic ABI (`asm-generic`), the same on every host; `hijack/src/xlate.rs`
//! translates where the host's own ABI differs.

#![forbid(unsafe_code)]

pub mod epoll;
pub mod errno;
pub mod errqueue;
pub mod ethtool;
pub mod fcntl;
pub mod if_;
pub mod if_ether;
pub mod if_link;
pub mod if_packet;
pub mod inet_diag;
pub mod ioctls;
pub mod netlink;
pub mod nr;
pub mod poll;
pub mod rtnetlink;
pub mod socket;
pub mod sockios;
pub mod stat;
pub mod time;
pub mod udp;
pub mod uio;

pub use errno::{Errno, Result};
