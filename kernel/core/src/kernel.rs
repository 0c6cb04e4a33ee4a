//! The kernel as a value: boot and service.

use crate::files::{self, Files};
use crate::inotify::Watches;
use crate::process::{Process, Task};
use crate::stack::{Hub, Net};
use crate::syscall::lock::LockWaits;
use crate::syscall::system::Names;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use lkl_abi::Result;
use lkl_ops::{Descriptors, Disk, Host, Instant, Parker, UserMem};
use lkl_pseudo::Devices;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::{Limits, Vfs};
use std::sync::{Arc, OnceLock, Weak};

/// What a kernel is booted with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BootOptions {
    /// May processes do what needs `CAP_NET_ADMIN` (`SO_RCVBUFFORCE`, `SO_MARK`)?
    pub privileged: bool,
    /// The memory that programs are told it has, in bytes (`sysinfo`, `/proc/meminfo`).
    pub memory: u64,
    /// The memory that files may take.
    pub files: Limits,
}

impl Default for BootOptions {
    fn default() -> Self {
        Self { privileged: true, memory: 1 << 30, files: Limits::default() }
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
    /// Itself, for the files that show what it knows.
    this: Weak<Self>,
    devices: Arc<Devices>,
    /// The file systems, from the first call on that names a file.
    vfs: OnceLock<Arc<Vfs>>,
    boot_id: OnceLock<[u8; 16]>,
    processes: Mutex<Vec<Weak<Process>>>,
    pub(crate) inotify: Arc<Watches>,
    pub(crate) lock_waits: LockWaits,
    pub(crate) files: Files,
    /// What is to be let go when no lock is held, and whether there is any.
    later: Mutex<Vec<Box<dyn Any + Send + Sync>>>,
    has_later: AtomicBool,
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
        let devices = Devices::new(host.clone());
        let net = Net::new(host);
        let hub = Hub::new(&net);
        let booted = net.now();
        Arc::new_cyclic(|this| Self {
            net,
            hub,
            options,
            oopsed: AtomicBool::new(false),
            // Sockets are numbered by the network; what this crate makes is far from them.
            next_ino: AtomicU64::new(1 << 40),
            booted,
            names: Names::default(),
            this: this.clone(),
            devices,
            vfs: OnceLock::new(),
            boot_id: OnceLock::new(),
            processes: Mutex::new(Rank::Leaf, Vec::new()),
            inotify: Arc::default(),
            lock_waits: LockWaits::default(),
            files: Files::default(),
            later: Mutex::new(Rank::Leaf, Vec::new()),
            has_later: AtomicBool::new(false),
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
        self.service_until(&|| false)
    }

    /// The same, for a caller who waits for something: once `enough` says that it has come, no device need be read any more that had
    /// nothing else lately. What is left there is for the next call.
    pub fn service_until(&self, enough: &dyn Fn() -> bool) -> Option<Instant> {
        if self.oopsed() {
            return None;
        }
        let serve = || {
            let net = self.net.service_until(enough);
            let files = self.vfs.get().and_then(|vfs| vfs.service(self.now()));
            Ok(net.into_iter().chain(files).min())
        };
        self.guard("service", serve).ok().flatten()
    }

    /// The file systems. The first time, the root is made (a `tmpfs`), with `/dev`, `/proc`, `/sys` and `/tmp` in it.
    pub fn vfs(&self) -> &Arc<Vfs> {
        self.vfs.get_or_init(|| match files::start(self, &self.this) {
            Ok(vfs) => vfs,
            Err(error) => panic!("no tree of files: {error}"),
        })
    }

    /// The file systems, if anybody has asked for them yet.
    pub(crate) fn vfs_started(&self) -> Option<&Arc<Vfs>> {
        self.vfs.get()
    }

    pub(crate) fn this(&self) -> Weak<Self> {
        self.this.clone()
    }

    /// The devices that there are.
    pub fn devices(&self) -> &Arc<Devices> {
        &self.devices
    }

    /// Attaches a disk: with `vda` for a name it is `/dev/vda`, and its partitions are `/dev/vda1` and so on.
    ///
    /// # Errors
    /// `EEXIST` if there is a device of that name; `EINVAL` for a name that is none; `EIO` if it cannot be read.
    pub fn add_disk(&self, disk: Arc<dyn Disk>, name: &str) -> Result<lkl_pseudo::Disk> {
        self.devices.add_disk(disk, name)
    }

    /// Takes a disk away.
    ///
    /// # Errors
    /// `ENODEV` if there is none of that name, `EBUSY` if it is mounted.
    pub fn remove_disk(&self, name: &str) -> Result<()> {
        files::check_unused(self, name)?;
        self.devices.remove_disk(name)
    }

    /// The end of all file systems: unmounts each, so that every image is clean.
    ///
    /// # Errors
    /// `EBUSY` if files of one are still open; `EIO`, `ENOSPC`: something could not be written.
    pub fn unmount_all(&self) -> Result<()> {
        self.vfs.get().map_or(Ok(()), |vfs| vfs.unmount_all())
    }

    /// All processes, in the order in which they came.
    pub(crate) fn processes(&self) -> Vec<Arc<Process>> {
        let known = self.processes.lock().clone();
        known.iter().filter_map(Weak::upgrade).collect()
    }

    /// Lets go of something at the end of a call: who looks a name up holds locks, and may have come to have the last reference to a
    /// process or a file, whose end takes others.
    pub(crate) fn drop_later(&self, what: impl Any + Send + Sync) {
        self.later.lock().push(Box::new(what));
        self.has_later.store(true, Relaxed);
    }

    /// Is there anything to be let go?
    pub(crate) fn has_later(&self) -> bool {
        self.has_later.load(Relaxed)
    }

    /// The end of a call: no lock is held.
    pub(crate) fn drop_now(&self) {
        self.has_later.store(false, Relaxed);
        let all = core::mem::take(&mut *self.later.lock());
        drop(all);
    }

    pub(crate) fn add_process(&self, process: &Arc<Process>) {
        let mut processes = self.processes.lock();
        processes.retain(|p| p.strong_count() > 0);
        processes.push(Arc::downgrade(process));
    }

    /// Random bytes that stay the same until the end.
    pub(crate) fn boot_id(&self) -> [u8; 16] {
        *self.boot_id.get_or_init(|| self.random())
    }

    pub(crate) fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.net.host().random(&mut bytes);
        bytes
    }

    /// When it was booted.
    pub fn booted(&self) -> Instant {
        self.booted
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        self.net.now()
    }

    /// How long a thread that waits for several files looks at the devices before it sleeps (`net.core.busy_poll`).
    pub fn busy_poll(&self) -> Duration {
        Duration::from_micros(self.net.sysctl().busy_poll.get() as u64)
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
