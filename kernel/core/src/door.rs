//! The door: every call comes in here, and no panic goes out.

use crate::kernel::Kernel;
use crate::process::Task;
use crate::syscall::{strace, table, Ctx};
use lkl_abi::{Errno, Result};
use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

impl Kernel {
    /// Makes a system call: `number` is one of [`lkl_abi::nr`] (the generic table), `args` are as a program gives them,
    /// with the structs of the generic ABI behind the addresses.
    ///
    /// It may sleep, in the task's parker, and only there. Call [`Task::take_signals`] after an `EPIPE`.
    ///
    /// # Errors
    /// As the manual page of the call says. `ENOSYS` for a call that is not there, `EIO` after a panic.
    /// `ERESTARTSYS` when a signal handler interrupted a call that Linux would restart: the caller makes the call again
    /// if the handler has `SA_RESTART`, or gives `EINTR`.
    pub fn syscall(&self, task: &Task, number: usize, args: [u64; 6]) -> Result<u64> {
        if self.oopsed() {
            return Err(Errno::EIO);
        }
        let Some(call) = table::find(number) else {
            tracing::debug!(target: "lkl::syscall", "syscall {number}(...) = -1 ENOSYS");
            return Err(Errno::ENOSYS);
        };
        // What does not come back is seen as well.
        tracing::trace!(target: "lkl::syscall", "[{}] {}...", task.tid(), call.name);
        let cx = Ctx { kernel: self, task, mem: task.process().mem() };
        // Two numbers come out of `catch_unwind` in registers. A `Result` of two sizes would be copied as one piece of memory, which waits for the
        // stores to its parts.
        let made = catch_unwind(AssertUnwindSafe(|| match (call.handler)(&cx, args) {
            Ok(value) => (value, 0u64),
            Err(e) => (0, u64::from(e.0.unsigned_abs())),
        }));
        if self.has_later() {
            // What it answers is not what the call does.
            let _done = self.guard("the end of a call", || {
                self.drop_now();
                Ok(())
            });
        }
        let result = match made {
            Ok((value, 0)) => Ok(value),
            Ok((_, errno)) => Err(Errno(errno as i32)),
            Err(payload) => Err(self.panicked(call.name, &*payload)),
        };
        if tracing::enabled!(target: "lkl::syscall", tracing::Level::DEBUG) {
            tracing::debug!(target: "lkl::syscall", "[{}] {}", task.tid(), strace::line(&cx, call, args, result));
        }
        result
    }

    /// Runs `f`. If it panics, says so, and the kernel answers `EIO` to everything from then on.
    pub(crate) fn guard<T>(&self, what: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Err(self.panicked(what, &*payload)))
    }

    #[cold]
    fn panicked(&self, what: &str, payload: &(dyn Any + Send)) -> Errno {
        self.set_oopsed();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(no message)");
        let backtrace = std::backtrace::Backtrace::force_capture();
        tracing::error!(target: "lkl::oops", "kernel panic in {what}: {message}\n{backtrace}");
        self.net().host().panicked();
        Errno::EIO
    }
}
