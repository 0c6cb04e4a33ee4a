//! A process of the tree, as the keeper knows it.

use super::remote::{Memory, Numbers};
use super::serve::{self, id_of, Worker, ALL};
use super::Keeper;
use crate::paths::ids;
use crate::raw;
use crate::sys::{self, host};
use crate::tree::line::{Window, LINES};
use core::sync::atomic::{AtomicBool, Ordering};
use lkl_abi::{Errno, Result};
use lkl_host::RealHost;
use lkl_kernel::{Kernel, OpenFile, Process};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// Stack of a thread that makes calls.
const STACK: usize = 512 << 10;

/// One process.
pub(super) struct Member {
    pub(super) process: Arc<Process>,
    /// Where its calls come in; none yet if it calls directly.
    window: OnceLock<Window>,
    /// It is the process whose memory this is.
    pub(super) first: bool,
    host: Arc<RealHost>,
    pub(super) keeper: Weak<Keeper>,
    /// By line.
    workers: Mutex<BTreeMap<usize, Arc<Worker>>>,
    gone: AtomicBool,
}

impl Member {
    /// The process whose memory this is. It calls directly.
    pub(super) fn first(keeper: &Arc<Keeper>, process: Arc<Process>) -> Arc<Self> {
        Arc::new(Self { first: true, ..Self::with(keeper, process, None) })
    }

    /// Where its calls come in.
    pub(super) fn window(&self) -> Option<&Window> {
        self.window.get()
    }

    /// It does not call directly any more.
    ///
    /// # Errors
    /// `EINVAL` if it never did, or has said so before.
    pub(super) fn set_window(&self, window: Window) -> Result<()> {
        self.window.set(window).map_err(|_| Errno::EINVAL)
    }

    fn with(keeper: &Arc<Keeper>, process: Arc<Process>, window: Option<Window>) -> Self {
        Self {
            process,
            window: window.map_or_else(OnceLock::new, OnceLock::from),
            first: false,
            host: keeper.host.clone(),
            keeper: Arc::downgrade(keeper),
            workers: Mutex::new(BTreeMap::new()),
            gone: AtomicBool::new(false),
        }
    }

    /// A process without files.
    pub(super) fn new(keeper: &Arc<Keeper>, pid: i32, window: Window) -> Arc<Self> {
        let memory = Arc::new(Memory::new(pid));
        let kernel: &Arc<Kernel> = &keeper.kernel;
        let process = kernel.process(pid, memory, Arc::new(Numbers));
        Arc::new(Self::with(keeper, process, Some(window)))
    }

    /// A process that comes by itself.
    pub(super) fn joined(keeper: &Arc<Keeper>, pid: i32, window: Window) -> Arc<Self> {
        let member = Self::new(keeper, pid, window);
        if let Some(credentials) = ids::of_newcomer(pid) {
            member.process.set_credentials(credentials);
        }
        member
    }

    /// The process of a child that is about to be made, with its parent's files.
    pub(super) fn fork(&self) -> (Arc<Process>, Arc<Memory>) {
        let memory = Arc::new(Memory::new(0));
        (self.process.fork(0, memory.clone(), Arc::new(Numbers)), memory)
    }

    /// The child has come.
    pub(super) fn claimed(
        keeper: &Arc<Keeper>,
        (process, memory): (Arc<Process>, Arc<Memory>),
        pid: i32,
        window: Window,
    ) -> Arc<Self> {
        memory.pid.store(pid, Ordering::Relaxed);
        process.set_pid(pid);
        Arc::new(Self::with(keeper, process, Some(window)))
    }

    /// A new image is the user that `before` was, and has, of the files of that, those in `kept`, as pairs of number and [`id_of`].
    pub(super) fn exec(
        keeper: &Arc<Keeper>,
        before: &Process,
        pid: i32,
        window: Window,
        kept: impl Iterator<Item = (i32, u64)>,
    ) -> Arc<Self> {
        let member = Self::new(keeper, pid, window);
        member.process.set_credentials(before.credentials().after_exec());
        let files: BTreeMap<u64, Arc<OpenFile>> =
            before.descriptors().into_iter().filter_map(|fd| before.file(fd).ok()).map(|f| (id_of(&f), f)).collect();
        for (fd, id) in kept {
            if let Some(file) = files.get(&id) {
                let _nothing = member.process.adopt(fd, file.clone());
            }
        }
        member
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Arc<Worker>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread of the process will make calls by this line.
    ///
    /// # Errors
    /// `EINVAL` for a line that is not there, `EAGAIN`, `ENOMEM`
    pub(super) fn thread(self: &Arc<Self>, index: usize) -> Result<()> {
        let line = self.window().filter(|_| index < LINES).and_then(|w| w.line(index)).ok_or(Errno::EINVAL)?;
        if self.workers().contains_key(&index) {
            return Ok(());
        }
        let worker = Worker::new(&self.host);
        self.workers().insert(index, worker.clone());
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.add_worker(&worker);
        }
        let me = self.clone();
        let made = raw::thread(STACK, Box::new(move || serve::run(&me, index, worker)));
        if let Err(e) = made {
            self.workers().remove(&index);
            line.end();
            return Err(e);
        }
        Ok(())
    }

    /// A signal came for the thread of that line, while it made the call with that number.
    pub(super) fn interrupt(&self, index: usize, serial: u64) {
        let line = self.window().and_then(|w| w.line(index));
        if line.is_none_or(|l| l.serial.load(Ordering::SeqCst) != serial) {
            return;
        }
        if let Some(w) = self.workers().get(&index) {
            w.interrupt(serial);
        }
    }

    /// What wakes the thread of that line while it sleeps by itself.
    pub(super) fn set_event(&self, index: usize, fd: i32) {
        let old = match self.workers().get(&index) {
            Some(w) => w.event.swap(fd, Ordering::AcqRel),
            None => fd,
        };
        if old >= 0 {
            sys::close(old);
        }
    }

    /// A file on its way to this process.
    pub(super) fn in_flight(&self, id: u64) -> Option<Arc<OpenFile>> {
        self.keeper.upgrade()?.in_flight(id)
    }

    /// Is the process gone, or has it said that it goes?
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The process is gone: its calls end, its files are closed.
    pub(super) fn bury(&self) {
        self.bury_with(Process::abandon);
    }

    /// The process is gone, killed while it called directly; `lost` are the inodes of what it has locked for ever.
    pub(super) fn bury_killed(&self, lost: &[u64]) {
        self.bury_with(|process| process.abandon_killed(lost));
    }

    fn bury_with(&self, abandon: impl FnOnce(&Process)) {
        if self.gone.swap(true, Ordering::AcqRel) {
            return;
        }
        let workers = core::mem::take(&mut *self.workers());
        for (index, worker) in workers {
            if let Some(line) = self.window().and_then(|w| w.line(index)) {
                line.end();
            }
            worker.interrupt(ALL);
            let event = worker.event.swap(-1, Ordering::AcqRel);
            if event >= 0 {
                sys::close(event);
            }
        }
        abandon(&self.process);
    }

    /// What runs in the process.
    pub(super) fn name(&self) -> String {
        let path = format!("/proc/{}/comm\0", self.process.pid());
        let mut buf = [0u8; 64];
        // SAFETY: a C string.
        let fd = unsafe { host!(libc::SYS_open, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        let Ok(fd) = fd else { return "?".into() };
        // SAFETY: the buffer has this many bytes.
        let n = unsafe { host!(libc::SYS_read, fd, buf.as_mut_ptr(), buf.len()) }.unwrap_or(0) as usize;
        sys::close(fd as i32);
        String::from_utf8_lossy(buf[..n].trim_ascii_end()).into_owned()
    }
}
