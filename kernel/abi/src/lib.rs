//! Types and numbers that programs see, one module per UAPI header of Linux. A leaf: it imports nothing of ours.
//!
//! The numbers are those of Linux's generic ABI (`asm-generic`), the same on every host; `hijack/src/xlate.rs`
//! translates where the host's own ABI differs.

#![forbid(unsafe_code)]

pub mod clock;
pub mod dirent;
pub mod epoll;
pub mod errno;
pub mod errqueue;
pub mod ethtool;
pub mod eventfd;
pub mod fadvise;
pub mod falloc;
pub mod fcntl;
pub mod fiemap;
pub mod fs;
pub mod handle;
pub mod if_;
pub mod if_ether;
pub mod if_link;
pub mod if_packet;
pub mod inet_diag;
pub mod inotify;
pub mod ioctls;
pub mod limits;
pub mod memfd;
pub mod mount;
pub mod net_tstamp;
pub mod netlink;
pub mod nr;
pub mod openat2;
pub mod poll;
pub mod random;
pub mod resource;
pub mod rtnetlink;
pub mod signalfd;
pub mod socket;
pub mod sockios;
pub mod splice;
pub mod stat;
pub mod statfs;
pub mod sysinfo;
pub mod time;
pub mod timerfd;
pub mod udp;
pub mod uio;
pub mod utsname;
pub mod xattr;

pub use errno::{Errno, Result};

/// Puts a member into a struct of bytes; what does not fit is let be.
pub(crate) fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = out.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}
