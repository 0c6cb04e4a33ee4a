//! Who hands out descriptor numbers.

use lkl_abi::Result;

/// What a new descriptor will refer to; a host that backs each descriptor by one of its own wants to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A socket.
    Socket,
    /// An epoll instance.
    Epoll,
    /// A file of a file system (`/proc/net/...`).
    File,
}

/// Hands out the numbers of descriptors for one process. The preloaded library backs each number by a placeholder
/// descriptor of the host, so that the numbers of host and kernel files never meet; elsewhere it is the lowest free
/// number of a table of our own (`lkl_kernel::Lowest`).
pub trait Descriptors: Send + Sync {
    /// A new number, at least `min`.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    fn alloc(&self, kind: FileKind, min: i32, cloexec: bool) -> Result<i32>;

    /// A new number, at least `min`, that is a duplicate of `fd` (`dup`, `F_DUPFD`).
    ///
    /// # Errors
    /// `EMFILE`, `EBADF`.
    fn dup(&self, fd: i32, min: i32, cloexec: bool) -> Result<i32>;

    /// Makes `to` a duplicate of `fd`, whatever it was (`dup3`). The kernel has let go of its own file at `to`.
    ///
    /// # Errors
    /// `EBADF`, `EMFILE`.
    fn dup_to(&self, fd: i32, to: i32, cloexec: bool) -> Result<()>;

    /// Gives `fd` back.
    fn free(&self, fd: i32);

    /// Reads the close-on-exec flag of `fd`.
    fn cloexec(&self, fd: i32) -> bool;

    /// New numbers must be below `limit` from now on (`RLIMIT_NOFILE`). Without effect where the host limits them.
    fn set_limit(&self, limit: u64) {
        let _ = limit;
    }

    /// Sets the close-on-exec flag of `fd`.
    fn set_cloexec(&self, fd: i32, on: bool);
}
