//! How damage and refusals are reported: a line in the log, and an errno.

use core::fmt::Display;
use lkl_abi::Errno;

/// Logs that a block of the disk holds what cannot be, and gives the errno for it (`EUCLEAN`, Linux's `EFSCORRUPTED`).
pub(crate) fn corrupt(block: u64, what: impl Display) -> Errno {
    tracing::error!(target: "lkl::ext4", block, "block {block}: {what}");
    Errno::EUCLEAN
}

/// Logs why a file system is not mounted, and gives the errno for it (`EINVAL`).
pub(crate) fn refuse(why: impl Display) -> Errno {
    tracing::error!(target: "lkl::ext4", "not mounted: {why}");
    Errno::EINVAL
}
