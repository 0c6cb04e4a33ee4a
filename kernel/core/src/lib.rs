//! The one door of the kernel: boot, the syscall table, processes and their descriptors, epoll, poll and select. The only
//! crate that blocks a caller.
//!
//! ```text
//! let kernel = Kernel::boot(host);                             // lo is up
//! let process = kernel.process(pid, mem, Arc::new(Lowest::new()));
//! let task = Kernel::task(&process, tid, parker);              // one for each thread that calls
//! let fd = kernel.syscall(&task, nr::SOCKET, [2, 1, 0, 0, 0, 0])?;
//! ```
//!
//! * [`Kernel`]: the value that everything is in; [`Kernel::syscall`] is the door.
//! * [`Process`], [`Task`]: who calls, as [`Credentials`] say. [`OpenFile`]: what a descriptor refers to.
//! * [`Kernel::poll_set`], [`PollRegistration`]: for a caller that waits for the kernel's and its own files together.
//! * [`Kernel::epoll_ready`], [`Kernel::epoll_watch`]: what an epoll instance has to tell now, and when there is more.
//! * [`Kernel::make_whole`], [`Kernel::read_whole`]: small files at once, for who copies trees; [`Kernel::read_around`],
//!   [`Kernel::write_around`]: large ones.
//! * [`support_table`]: which calls there are, as a table in markdown.
//!
//! Below: every other crate of the kernel. Above: `host`, `hijack`, the tests.

#![forbid(unsafe_code)]

mod cred;
mod door;
mod epoll;
mod eventfd;
mod fasync;
mod fdtable;
mod files;
mod inotify;
mod kernel;
mod lowest;
mod openfile;
mod pipe;
mod poll;
mod proc;
mod process;
mod signalfd;
mod stack;
mod syscall;
mod sysfs;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;
mod timerfd;
mod user;
mod whole;

pub use cred::{Credentials, Ids};
pub use epoll::{EpollAt, EpollEvent};
pub use kernel::{BootOptions, Kernel};
pub use lowest::Lowest;
pub use openfile::OpenFile;
pub use poll::{unpark, PollFd, PollRegistration};
pub use process::{Process, Task};
pub use syscall::table::support_table;
