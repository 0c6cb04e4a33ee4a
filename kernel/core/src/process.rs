//! Processes and tasks: whose call it is.

use crate::cred::Credentials;
use crate::fdtable::FdTable;
use crate::kernel::Kernel;
use crate::openfile::OpenFile;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use lkl_abi::resource::RLIM_INFINITY;
use lkl_abi::Result;
use lkl_ops::{Descriptors, Parker, UserMem};
use lkl_sync::{Mutex, Rank};
use lkl_vfs::cred::Cred;
use lkl_vfs::Place;
use std::sync::Arc;

/// The bits of a mode that `umask` may take.
const UMASK_MAX: u32 = 0o777;
/// `umask` of a process that nobody has given another one.
const UMASK_DEFAULT: u32 = 0o022;
/// Descriptors of a process whose number nobody has limited (`fs.nr_open`).
const FILES_MAX: u64 = 1 << 20;

/// A process of the kernel: its memory, its descriptors, and whom it acts as. Dropping the last reference closes what is still open.
pub struct Process {
    kernel: Arc<Kernel>,
    pid: AtomicI32,
    parent_pid: AtomicI32,
    umask: AtomicU32,
    /// `RLIMIT_FSIZE`: now and at most. Every write looks at it.
    size_limit: [AtomicU64; 2],
    /// `RLIMIT_NOFILE`: now and at most.
    file_limit: Mutex<[u64; 2]>,
    cred: Mutex<Arc<Credentials>>,
    /// The root directory and the working directory, once they are asked for.
    places: Mutex<Option<(Place, Place)>>,
    /// The numbers of its threads.
    threads: Mutex<Vec<i32>>,
    /// The program's name and arguments, each with a NUL behind it.
    command: Mutex<Vec<u8>>,
    mem: Arc<dyn UserMem>,
    fds: Arc<dyn Descriptors>,
    table: FdTable,
}

impl Process {
    pub(crate) fn new(kernel: Arc<Kernel>, pid: i32, mem: Arc<dyn UserMem>, fds: Arc<dyn Descriptors>) -> Arc<Self> {
        let process = Arc::new(Self {
            kernel,
            pid: AtomicI32::new(pid),
            parent_pid: AtomicI32::new(0),
            umask: AtomicU32::new(UMASK_DEFAULT),
            size_limit: [const { AtomicU64::new(RLIM_INFINITY) }; 2],
            file_limit: Mutex::new(Rank::Leaf, [FILES_MAX; 2]),
            cred: Mutex::new(Rank::Leaf, Arc::default()),
            places: Mutex::new(Rank::Leaf, None),
            threads: Mutex::new(Rank::Leaf, Vec::new()),
            command: Mutex::new(Rank::Leaf, Vec::new()),
            mem,
            fds,
            table: FdTable::new(),
        });
        process.kernel.add_process(&process);
        process
    }

    /// A child with the same open files at the same numbers, credentials and `umask` (`fork`). `fds` hands out the child's numbers; those
    /// that are inherited are known to it already.
    pub fn fork(&self, pid: i32, mem: Arc<dyn UserMem>, fds: Arc<dyn Descriptors>) -> Arc<Self> {
        let child = Self::new(self.kernel.clone(), pid, mem, fds);
        child.parent_pid.store(self.pid(), Relaxed);
        child.umask.store(self.umask(), Relaxed);
        child.set_file_limit(self.file_limit());
        child.set_size_limit(self.size_limit());
        *child.cred.lock() = self.credentials();
        let places = self.places.lock().clone();
        *child.places.lock() = places;
        *child.command.lock() = self.command();
        for fd in self.descriptors() {
            if let Ok(file) = self.table.get(fd) {
                let _nothing = child.table.put(fd, file);
            }
        }
        child
    }

    /// The kernel it lives in.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Its number, as `/proc/<pid>/net` and `F_GETOWN` know it.
    pub fn pid(&self) -> i32 {
        self.pid.load(Relaxed)
    }

    /// Sets its number: that of a child is known only after it was made.
    pub fn set_pid(&self, pid: i32) {
        self.pid.store(pid, Relaxed);
    }

    /// The number of the process that it is a child of, 0 for none.
    pub fn parent_pid(&self) -> i32 {
        self.parent_pid.load(Relaxed)
    }

    /// Whom it acts as: root, if nobody has said otherwise.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.cred.lock().clone()
    }

    /// Sets whom it acts as.
    pub fn set_credentials(&self, credentials: Credentials) {
        *self.cred.lock() = Arc::new(credentials);
    }

    /// Sets whom it acts as, made from what it acts as now.
    pub(crate) fn change_credentials(&self, f: impl FnOnce(&Credentials) -> Result<Credentials>) -> Result<()> {
        let mut cred = self.cred.lock();
        *cred = Arc::new(f(&cred)?);
        Ok(())
    }

    /// The permission bits that files are made without.
    pub fn umask(&self) -> u32 {
        self.umask.load(Relaxed)
    }

    /// Sets them, and answers the old ones.
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & UMASK_MAX, Relaxed)
    }

    /// The root directory and the working directory: the root of all, if nobody has said otherwise.
    pub(crate) fn places(&self) -> (Place, Place) {
        if let Some(places) = &*self.places.lock() {
            return places.clone();
        }
        let root = self.kernel.vfs().root();
        (root.clone(), root)
    }

    /// Its root directory (`man 2 chroot`).
    pub fn root(&self) -> Place {
        self.places().0
    }

    /// Its working directory.
    pub fn cwd(&self) -> Place {
        self.places().1
    }

    /// Sets the one or the other.
    pub(crate) fn set_places(&self, root: Option<Place>, cwd: Option<Place>) {
        let (old_root, old_cwd) = self.places();
        let new = (root.unwrap_or(old_root), cwd.unwrap_or(old_cwd));
        let old = self.places.lock().replace(new);
        // What nobody stands in any more is let go without the lock.
        drop(old);
    }

    /// Leaves its directories, so that their file systems can be unmounted.
    pub(crate) fn leave_places(&self) {
        let old = self.places.lock().take();
        drop(old);
    }

    /// The numbers of its threads that make calls.
    pub(crate) fn threads(&self) -> Vec<i32> {
        self.threads.lock().clone()
    }

    pub(crate) fn has_thread(&self, tid: i32) -> bool {
        self.threads.lock().contains(&tid)
    }

    /// The program's name and arguments, each with a NUL behind it (`/proc/PID/cmdline`).
    pub fn command(&self) -> Vec<u8> {
        self.command.lock().clone()
    }

    /// Sets them.
    pub fn set_command(&self, command: &[u8]) {
        *self.command.lock() = command.to_vec();
    }

    /// How many bytes files may have that it writes to, now and at most (`RLIMIT_FSIZE`).
    pub fn size_limit(&self) -> [u64; 2] {
        [0, 1].map(|i: usize| self.size_limit[i].load(Relaxed))
    }

    /// Sets both.
    pub fn set_size_limit(&self, limit: [u64; 2]) {
        for (to, from) in self.size_limit.iter().zip(limit) {
            to.store(from, Relaxed);
        }
    }

    /// How many descriptors it may have, now and at most (`RLIMIT_NOFILE`).
    pub fn file_limit(&self) -> [u64; 2] {
        *self.file_limit.lock()
    }

    /// Sets both.
    pub fn set_file_limit(&self, limit: [u64; 2]) {
        *self.file_limit.lock() = limit;
        self.fds.set_limit(limit[0]);
    }

    /// Its memory.
    pub fn mem(&self) -> &dyn UserMem {
        &*self.mem
    }

    /// Who hands out its descriptor numbers.
    pub fn numbers(&self) -> &Arc<dyn Descriptors> {
        &self.fds
    }

    /// Is `fd` a descriptor of the kernel? Cheap: two loads and an uncontended lock.
    pub fn owns(&self, fd: i32) -> bool {
        self.table.contains(fd)
    }

    /// What `fd` refers to. The file stays open as long as the answer is held.
    ///
    /// # Errors
    /// `EBADF`
    pub fn file(&self, fd: i32) -> Result<Arc<OpenFile>> {
        self.table.get(fd)
    }

    /// Every descriptor in use, in order.
    pub fn descriptors(&self) -> Vec<i32> {
        self.table.numbers(0, u32::MAX)
    }

    pub(crate) fn descriptors_in(&self, first: u32, last: u32) -> Vec<i32> {
        self.table.numbers(first, last)
    }

    /// Puts `file` at a number that [`Descriptors`] has handed out already, or that the caller knows to be a
    /// duplicate (a host descriptor that came by `SCM_RIGHTS` or a host's `dup`). What was there is let go.
    ///
    /// # Errors
    /// `EBADF` for a negative number, `EMFILE` for one that is too great.
    pub fn adopt(&self, fd: i32, file: Arc<OpenFile>) -> Result<()> {
        self.table.put(fd, file).map(drop)
    }

    /// Takes `fd` out without giving its number back to [`Descriptors`]: the host has closed it, or put something
    /// else there. The file closes when the answer is dropped, if it is the last reference.
    pub fn forget(&self, fd: i32) -> Option<Arc<OpenFile>> {
        let file = self.table.take(fd)?;
        file.closed_by(self.pid());
        Some(file)
    }

    /// Closes every descriptor (`exit`).
    pub fn close_all(&self) {
        for fd in self.descriptors() {
            if let Some(file) = self.forget(fd) {
                drop(file);
                self.fds.free(fd);
            }
        }
        self.leave_places();
    }

    /// Lets go of every file without giving its number back: the process is gone, and its numbers with it.
    pub fn abandon(&self) {
        for fd in self.descriptors() {
            drop(self.forget(fd));
        }
        self.leave_places();
    }

    /// The same for a process that was killed in the middle of its calls, in this memory, and that nobody shares files with: what
    /// those calls hold is never given back, so the files are closed whoever refers to them, and stay in memory. Those with an inode in
    /// `lost` cannot be closed, and are left alone for ever.
    pub fn abandon_killed(&self, lost: &[u64]) {
        let mut done = Vec::new();
        for file in self.descriptors().into_iter().filter_map(|fd| self.table.get(fd).ok()) {
            if !lost.contains(&file.file().ino()) && !done.contains(&Arc::as_ptr(&file)) {
                done.push(Arc::as_ptr(&file));
                file.file().release();
            }
            core::mem::forget(file);
        }
    }

    pub(crate) fn put(&self, fd: i32, file: Arc<OpenFile>) -> Result<Option<Arc<OpenFile>>> {
        self.table.put(fd, file)
    }
}

impl core::fmt::Debug for Process {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Process({})", self.pid())
    }
}

/// A thread that calls: its process, and where it sleeps.
pub struct Task {
    process: Arc<Process>,
    tid: i32,
    parker: Arc<dyn Parker>,
    signals: AtomicU64,
    /// Whom this thread alone reaches files as, as long as the process has these credentials (`setfsuid`).
    fs: Mutex<Option<(Arc<Credentials>, Arc<Cred>)>>,
}

impl Task {
    pub(crate) fn new(process: Arc<Process>, tid: i32, parker: Arc<dyn Parker>) -> Self {
        process.threads.lock().push(tid);
        Self { process, tid, parker, signals: AtomicU64::new(0), fs: Mutex::new(Rank::Leaf, None) }
    }

    /// Its process.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Its number.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Where it sleeps.
    pub fn parker(&self) -> &Arc<dyn Parker> {
        &self.parker
    }

    /// Whom it reaches files as.
    pub fn fs_cred(&self) -> Arc<Cred> {
        let all = self.process.credentials();
        match &*self.fs.lock() {
            Some((of, own)) if Arc::ptr_eq(of, &all) => own.clone(),
            _ => all.fs().clone(),
        }
    }

    /// Sets the user and the group that this thread alone reaches files as, until the process changes its credentials.
    pub fn set_fs_ids(&self, uid: u32, gid: u32) {
        let all = self.process.credentials();
        let own = Arc::new(Cred { uid, gid, groups: all.groups().to_vec() });
        *self.fs.lock() = Some((all, own));
    }

    /// Takes the signals that calls have raised for this thread (`SIGPIPE`): bit `n - 1` is signal `n`. To be looked
    /// at after each call that failed with `EPIPE`.
    pub fn take_signals(&self) -> u64 {
        if self.signals.load(Relaxed) == 0 {
            return 0;
        }
        self.signals.swap(0, Relaxed)
    }

    pub(crate) fn raise(&self, signal: u32) {
        self.signals.fetch_or(1 << (signal - 1), Relaxed);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut threads = self.process.threads.lock();
        if let Some(at) = threads.iter().position(|tid| *tid == self.tid) {
            threads.swap_remove(at);
        }
    }
}

impl core::fmt::Debug for Task {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Task({} of {:?})", self.tid, self.process)
    }
}
