//! What a descriptor refers to: the [`File`] and [`Socket`] traits, and what passes through them.
//!
//! Nothing here blocks. An operation that cannot go on answers `EAGAIN`, and the system call layer (`lkl-kernel`),
//! which alone blocks a caller, tries again when [`File::wait_queue`] says so.
//!
//! Below: `lkl-abi`, `lkl-ops`, `lkl-sync`. Above: `lkl-inet` and `lkl-netcfg` implement the traits, `lkl-kernel`
//! calls them.

#![forbid(unsafe_code)]

pub mod iov;
pub mod sockaddr;
pub mod socket;
pub mod sockopt;
mod text;

pub use iov::{Iov, IovReader, IovWriter};
pub use sockaddr::{LinkAddr, SockAddr};
pub use socket::{Control, ControlMessages, RecvMsg, SendMsg, Shutdown, Socket};
pub use sockopt::SockOptions;
pub use text::{Text, TextFile};

use lkl_abi::{Errno, Result};
use lkl_ops::UserMem;
use lkl_sync::{Events, WaitQueue};
use std::any::Any;

/// The inode that all files without a name share, as on Linux.
pub const ANONYMOUS_INO: u64 = 1;

/// An open file description, without the state that every one has (status flags, offset), which the descriptor
/// table of `lkl-kernel` keeps.
pub trait File: Send + Sync + Any {
    /// Reads into `out` at `offset` (`None` for files without one: sockets). Answers the bytes read.
    ///
    /// # Errors
    /// `EAGAIN` when it would block; `EINVAL` if it cannot be read.
    fn read(&self, out: &mut IovWriter<'_>, offset: Option<u64>) -> Result<usize>;

    /// Writes what is in `data`. Answers the bytes taken, which may be fewer.
    ///
    /// # Errors
    /// `EAGAIN` when it would block; `EINVAL` if it cannot be written.
    fn write(&self, data: &mut IovReader<'_>, offset: Option<u64>) -> Result<usize>;

    /// What is ready now.
    fn poll(&self) -> Events;

    /// Whom to wake when that changes.
    fn wait_queue(&self) -> &WaitQueue;

    /// Does the file have an offset (`lseek`, `pread`)?
    fn seekable(&self) -> bool {
        false
    }

    /// `ioctl` of this kind of file. `arg` is the third argument, often an address in `mem`.
    ///
    /// # Errors
    /// `ENOTTY` if the file does not know the request.
    fn ioctl(&self, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
        let _ = (mem, request, arg);
        Err(Errno::ENOTTY)
    }

    /// Makes what was written durable (`fsync`), of a file that has something to be made so.
    ///
    /// # Errors
    /// `EINVAL` for every other one.
    fn sync(&self, data_only: bool) -> Result<()> {
        let _ = data_only;
        Err(Errno::EINVAL)
    }

    /// `st_mode` for `fstat`. If not told otherwise, that of a file without a name and a type (an eventfd and the like).
    fn mode(&self) -> u32 {
        0o600
    }

    /// Size for `fstat`, in bytes.
    fn size(&self) -> u64 {
        0
    }

    /// A number that is the inode's, unique among the files of a kernel. If not told otherwise, [`ANONYMOUS_INO`].
    fn ino(&self) -> u64 {
        ANONYMOUS_INO
    }

    /// The last descriptor is gone: begin to close. Called once.
    fn release(&self) {}

    /// The socket, if it is one.
    fn as_socket(&self) -> Option<&dyn Socket> {
        None
    }
}

impl dyn File {
    /// The file as the concrete type that a caller knows (an epoll instance), if it is one.
    pub fn downcast_ref<T: File>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
