//! The kernel as a value: boot and service.

use crate::process::{Process, Task};
use crate::stack::{Hub, Net};
use crate::syscall::system::Names;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use lkl_ops::{Descriptors, Host, Instant, Parker, UserMem};
use lkl_sync::{Mutex, Rank};
use std::sync::Arc;

/// What a kernel is booted with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BootOptions {
    /// May processes do what needs `CAP_NET_ADMIN` (`SO_RCVBUFFORCE`, `SO_MARK`)?
    pub privileged: bool,
    /// The memory that programs are told it has, in bytes (`sysinfo`, `/proc/meminfo`).
    pub memory: u64,
}

impl Default for BootOptions {
    fn default() -> Self {
        Self { privileged: true, memory: 1 << 30 }
    }
}

/// A kernel. Several may live in one program; nothing of a kernel is outside this value.
pub struct Kernel {
    net: Arc<Net>,
    hub: Arc<Hub>,
    options: BootOptions,
    oopsed: AtomicBool,
    next_ino: AtomicU64,
    booted: Instant,
    pub(crate) names: Names,
    /// Held while an epoll instance is put into another one.
    pub(crate) nesting: Mutex<()>,
}

impl Kernel {
    /// A new kernel with one device, `lo`, which is up.
    pub fn boot(host: Arc<dyn Host>) -> Arc<Self> {
        Self::boot_with(host, BootOptions::default())
    }

    /// The same, with options.
    pub fn boot_with(host: Arc<dyn Host>, options: BootOptions) -> Arc<Self> {
        let net = Net::new(host);
        let hub = Hub::new(&net);
        let booted = net.now();
        Arc::new(Self {
            net,
            hub,
            options,
            oopsed: AtomicBool::new(false),
            // Sockets are numbered by the network; what this crate makes is far from them.
            next_ino: AtomicU64::new(1 << 40),
            booted,
            names: Names::default(),
            nesting: Mutex::new(Rank::Descriptors, ()),
        })
    }

    /// The network namespace, for configuration.
    pub fn net(&self) -> &Arc<Net> {
        &self.net
    }

    /// The switchboard of netlink.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What it was booted with.
    pub fn options(&self) -> &BootOptions {
        &self.options
    }

    /// Reads the devices and does what is due. Answers when it wants to be called next at the latest. Any thread may
    /// call it, several at once too.
    pub fn service(&self) -> Option<Instant> {
        if self.oopsed() {
            return None;
        }
        self.guard("service", || Ok(self.net.service())).ok().flatten()
    }

    /// When it was booted.
    pub fn booted(&self) -> Instant {
        self.booted
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        self.net.now()
    }

    /// Has it panicked? From then on every call answers `EIO`.
    pub fn oopsed(&self) -> bool {
        self.oopsed.load(Relaxed)
    }

    pub(crate) fn set_oopsed(&self) {
        self.oopsed.store(true, Relaxed);
    }

    pub(crate) fn new_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Relaxed)
    }

    /// A new process without open files. `pid` is what `/proc/<pid>/net` and `F_GETOWN` know it by.
    pub fn process(self: &Arc<Self>, pid: i32, mem: Arc<dyn UserMem>, fds: Arc<dyn Descriptors>) -> Arc<Process> {
        // What an automatic port of netlink is at first.
        self.hub.set_pid(pid as u32);
        Process::new(self.clone(), pid, mem, fds)
    }

    /// A thread of `process` that will make calls, one at a time.
    pub fn task(process: &Arc<Process>, tid: i32, parker: Arc<dyn Parker>) -> Task {
        Task::new(process.clone(), tid, parker)
    }
}

impl core::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Kernel(oopsed: {})", self.oopsed())
    }
}
