//! Kernels: how one is booted, and the raw door.

use crate::error::{Error, Result};
use crate::process::Process;
use lkl_host::{Config, Hooks, RealHost};
use lkl_kernel::BootOptions;
use std::fmt;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::Arc;

/// What a kernel is booted with.
///
/// ```
/// let kernel = lkl::Kernel::builder().memory(64 << 20).boot()?;
/// # Ok::<(), lkl::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    options: BootOptions,
    log: Option<String>,
}

impl Builder {
    /// The memory that it may use for what it caches of files, in bytes; 1 GiB if not said.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.options.memory = bytes;
        self
    }

    /// Shows the kernel's messages on standard error, as a filter of the crate `tracing` chooses: `info`, `lkl::syscall=trace`. The first
    /// kernel of a process that is booted with one decides for all.
    pub fn log(mut self, filter: impl Into<String>) -> Self {
        self.log = Some(filter.into());
        self
    }

    /// Boots it.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: the host gives no more descriptors, of which it needs one.
    pub fn boot(self) -> Result<Kernel> {
        let hooks = Hooks::default();
        lkl_host::log::init(&Config { log: self.log, ..Config::default() }, &hooks);
        let host = RealHost::new(hooks).map_err(|e| Error::new(e, ""))?;
        let kernel = lkl_kernel::Kernel::boot_with(host.clone(), self.options);
        let weak = Arc::downgrade(&kernel);
        host.serve(move || weak.upgrade().and_then(|kernel| kernel.service()));
        Ok(Kernel { machine: Arc::new(Machine { kernel, host, last_pid: AtomicI32::new(0) }) })
    }
}

/// What belongs to one kernel.
pub(crate) struct Machine {
    pub(crate) kernel: Arc<lkl_kernel::Kernel>,
    pub(crate) host: Arc<RealHost>,
    last_pid: AtomicI32,
}

impl Machine {
    pub(crate) fn new_pid(&self) -> i32 {
        self.last_pid.fetch_add(1, Relaxed) + 1
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.host.retire();
    }
}

/// A kernel that runs. It ends with the last value that belongs to it: this, its clones, its processes and mounts. Several can run beside one
/// another.
#[derive(Clone)]
pub struct Kernel {
    pub(crate) machine: Arc<Machine>,
}

impl Kernel {
    /// To boot one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A new process, as which calls are made: number 1 is the first. It is root, has no open files, and is in `/`.
    pub fn process(&self) -> Process {
        Process::new(&self.machine)
    }

    /// The kernel itself.
    pub fn inner(&self) -> &Arc<lkl_kernel::Kernel> {
        &self.machine.kernel
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine.kernel.fmt(f)
    }
}
