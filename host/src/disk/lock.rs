//! Locks of images, so that nobody writes what somebody else uses.
//!
//! Regular files are locked as QEMU and its tools do (`block/file-posix.c`; its documentation calls it image locking), so that a
//! virtual machine which uses an image is noticed, and notices: who does something with the image holds a shared lock on byte
//! `100 + n`, who does not want others to do it one on byte `200 + n`. Locks belong to the open file (OFD). Block devices are locked
//! whole with `flock`, as systemd asks for.

use crate::sys;
use lkl_abi::{Errno, Result};
use rustix::fs::FlockOperation;
use std::os::fd::{AsRawFd, OwnedFd};

/// What is done with an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Reads,
    Writes,
}

/// QEMU's permissions, by number.
const CONSISTENT_READ: u64 = 0;
const WRITE: u64 = 1;
const RESIZE: u64 = 3;
/// The byte of who uses permission 0.
const USED: u64 = 100;
/// The byte of who does not share permission 0.
const UNSHARED: u64 = 200;

/// Locks, or answers `EBUSY`. Where the host has no locks there are none.
pub(super) fn take(fd: &OwnedFd, what: Use, block_device: bool) -> Result<()> {
    let taken = if block_device { whole(fd, what) } else { bytes(fd, what) };
    match taken {
        Err(e) if e != Errno::EBUSY => {
            tracing::debug!(target: "lkl::block", "the image cannot be locked: {e}");
            Ok(())
        }
        other => other,
    }
}

fn whole(fd: &OwnedFd, what: Use) -> Result<()> {
    let lock = match what {
        Use::Reads => FlockOperation::NonBlockingLockShared,
        Use::Writes => FlockOperation::NonBlockingLockExclusive,
    };
    rustix::fs::flock(fd, lock).map_err(|e| match e {
        rustix::io::Errno::WOULDBLOCK => Errno::EBUSY,
        e => Errno(e.raw_os_error()),
    })
}

fn bytes(fd: &OwnedFd, what: Use) -> Result<()> {
    let used: &[u64] = if what == Use::Writes { &[CONSISTENT_READ, WRITE, RESIZE] } else { &[CONSISTENT_READ] };
    let unshared = &[WRITE, RESIZE];
    let ours = used.iter().map(|n| USED + n).chain(unshared.iter().map(|n| UNSHARED + n));
    for byte in ours {
        sys::ofd_lock_shared(fd.as_raw_fd(), byte).map_err(busy)?;
    }
    // First taken, then looked: of two who do this at once, at least one sees the other.
    let theirs = used.iter().map(|n| UNSHARED + n).chain(unshared.iter().map(|n| USED + n));
    for byte in theirs {
        if sys::ofd_locked_by_others(fd.as_raw_fd(), byte)? {
            return Err(Errno::EBUSY);
        }
    }
    Ok(())
}

fn busy(e: Errno) -> Errno {
    match e {
        Errno::EAGAIN | Errno::EACCES => Errno::EBUSY,
        e => e,
    }
}
