//! Processes of a kernel: whose calls they are.

use crate::call::Arg;
use crate::file::Fd;
use crate::kernel::Machine;
use lkl_abi::{nr, Errno};
use lkl_host::mem::OwnMemory;
use lkl_host::ThreadParker;
use lkl_kernel::{Lowest, Task};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A process of a kernel. Any thread may make calls as it, several at once too: each call is that of a thread of the process, of which there
/// are as many as have been needed at once.
///
/// ```
/// use lkl::abi::nr;
///
/// let process = lkl::Kernel::builder().boot()?.process();
/// // SAFETY: the call takes no addresses.
/// let pid = unsafe { process.syscall(nr::GETPID, [0; 6]) };
/// assert_eq!(pid, Ok(1));
/// # Ok::<(), lkl::Error>(())
/// ```
pub struct Process {
    inner: Arc<lkl_kernel::Process>,
    /// Threads that make no call now.
    idle: Mutex<Vec<Task>>,
    machine: Arc<Machine>,
    /// The descriptor of the directory that it is in, if that was entered by [`Process::within`].
    cwd: Mutex<Option<i32>>,
}

impl Process {
    pub(crate) fn new(machine: &Arc<Machine>) -> Self {
        let inner = machine.kernel.process(machine.new_pid(), Arc::new(OwnMemory), Arc::new(Lowest::new()));
        Self { inner, idle: Mutex::new(Vec::new()), machine: machine.clone(), cwd: Mutex::new(None) }
    }

    /// Makes a system call, by its number in the generic ABI ([`lkl_abi::nr`]). One that a signal of the host interrupts begins again.
    ///
    /// # Errors
    /// What its manual page says; `ENOSYS` for a call that is not there.
    ///
    /// # Safety
    /// Arguments that are addresses must be those of memory that the call may read or write as its manual page says, as if the host's own
    /// kernel were called.
    pub unsafe fn syscall(&self, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
        self.as_thread(|kernel, task| loop {
            match kernel.syscall(task, number, args) {
                Err(Errno::ERESTARTSYS) => {}
                result => break result,
            }
        })
    }

    /// Does something as a thread of the process.
    pub(crate) fn as_thread<T>(&self, act: impl FnOnce(&lkl_kernel::Kernel, &Task) -> T) -> T {
        let task = self.lock().pop();
        let task = task.unwrap_or_else(|| self.new_thread());
        let result = act(&self.machine.kernel, &task);
        self.lock().push(task);
        result
    }

    /// Does something in the directory `dir`: for calls that take a path but no directory. One thread at a time.
    pub(crate) fn within<T>(&self, dir: &Fd, act: impl FnOnce(&Self) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut cwd = self.cwd.lock().unwrap_or_else(PoisonError::into_inner);
        if *cwd != Some(dir.number()) {
            self.call(nr::FCHDIR, [Arg::Fd(dir.number())])?;
            *cwd = Some(dir.number());
        }
        act(self)
    }

    /// A descriptor is about to be closed: its number may come to mean another directory.
    pub(crate) fn left(&self, fd: i32) {
        let mut cwd = self.cwd.lock().unwrap_or_else(PoisonError::into_inner);
        if *cwd == Some(fd) {
            *cwd = None;
        }
    }

    fn new_thread(&self) -> Task {
        lkl_kernel::Kernel::task(&self.inner, self.inner.pid(), ThreadParker::new(&self.machine.host))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Task>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.inner.close_all();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
