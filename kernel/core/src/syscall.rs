//! The system calls: the table, and what is behind each line of it.

pub(crate) mod args;
mod at;
mod attr;
mod clock;
mod cmsg;
mod event;
mod extents;
mod fd;
mod handle;
mod ids;
mod ioctl;
mod lease;
pub(crate) mod lock;
mod mount;
mod msg;
mod names;
mod open;
mod path;
mod pipe;
mod rw;
mod socket;
mod sockopt;
mod space;
pub(crate) mod strace;
pub(crate) mod system;
pub(crate) mod table;
mod tree;
mod wait;
mod watch;

use crate::kernel::Kernel;
use crate::openfile::OpenFile;
use crate::process::{Process, Task};
use lkl_abi::Result;
use lkl_ops::UserMem;
use std::sync::Arc;

/// The six arguments of a call.
pub(crate) type Args = [u64; 6];

/// Whose call it is.
pub(crate) struct Ctx<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) task: &'a Task,
    pub(crate) mem: &'a dyn UserMem,
}

impl<'a> Ctx<'a> {
    pub(crate) fn process(&self) -> &'a Arc<Process> {
        self.task.process()
    }

    pub(crate) fn file(&self, fd: u64) -> Result<Arc<OpenFile>> {
        self.process().file(fd as i32)
    }
}
