//! Kernels: how one is booted, and the raw door.

use crate::error::{Error, Result};
use crate::process::Process;
use lkl_abi::Errno;
use lkl_host::{Config, ConfigError, Hooks, RealHost};
use lkl_kernel::BootOptions;
use std::fmt;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
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
    config: Config,
}

impl Builder {
    /// The memory that it may use for what it caches of files, in bytes; 1 GiB if not said.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.options.memory = bytes;
        self.options.files.memory = bytes;
        self
    }

    /// Shows the kernel's messages on standard error, as a filter of the crate `tracing` chooses: `info`, `lkl::syscall=trace`. The first
    /// kernel of a process that is booted with one decides for all.
    pub fn log(mut self, filter: impl Into<String>) -> Self {
        self.config.log = Some(filter.into());
        self
    }

    /// Takes the network device and the settings that the variables `LKL_HIJACK_*` of the environment name, as the README describes them.
    /// Disks and names of kernels in them are not looked at.
    ///
    /// # Errors
    /// `EINVAL` for a variable that is wrong, with what was expected instead.
    pub fn environment(mut self) -> Result<Self> {
        let log = self.config.log.take();
        self.config = Config::from_env().map_err(misconfigured)?;
        self.config.log = log.or(self.config.log);
        Ok(self)
    }

    /// Boots it.
    ///
    /// # Errors
    /// `EINVAL`: the network device cannot be had, or a setting is wrong, with what was expected instead. `EMFILE`, `ENFILE`: the host
    /// gives no more descriptors, of which it needs one.
    pub fn boot(self) -> Result<Kernel> {
        let booted = lkl_host::boot_with(&self.config, self.options, Hooks::default()).map_err(misconfigured)?;
        Ok(Kernel { machine: Machine::new(booted.kernel, booted.host) })
    }
}

fn misconfigured(e: ConfigError) -> Error {
    Error { errno: Errno::EINVAL, path: "".into(), detail: Some(e.to_string()) }
}

/// What belongs to one kernel.
pub(crate) struct Machine {
    pub(crate) kernel: Arc<lkl_kernel::Kernel>,
    pub(crate) host: Arc<RealHost>,
    last_pid: AtomicI32,
    disks: AtomicU32,
}

impl Machine {
    fn new(kernel: Arc<lkl_kernel::Kernel>, host: Arc<RealHost>) -> Arc<Self> {
        Arc::new(Self { kernel, host, last_pid: AtomicI32::new(0), disks: AtomicU32::new(0) })
    }

    pub(crate) fn new_pid(&self) -> i32 {
        self.last_pid.fetch_add(1, Relaxed) + 1
    }

    /// The number of a new disk, from 0 on.
    pub(crate) fn new_disk(&self) -> u32 {
        self.disks.fetch_add(1, Relaxed)
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
