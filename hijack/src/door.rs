//! From a thread of the program to the kernel: who the thread is there, boot, and what becomes of a call that gave way.

use crate::alloc::{Spin, HEAP};
use crate::fds;
use crate::mem::Own;
use crate::signal::{self, Ran};
use crate::start;
use crate::sys::{self, host};
use crate::thread::{self, Thread};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU8, Ordering};
use lkl_abi::{Errno, Result};
use lkl_host::{RealHost, ThreadParker};
use lkl_kernel::{Kernel, Process, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kernel and this process in it. Never freed once it is in use.
pub(crate) struct Instance {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) host: Arc<RealHost>,
    pub(crate) process: Arc<Process>,
}

/// A thread of the program, in the kernel.
pub(crate) struct Caller {
    instance: &'static Instance,
    task: Task,
    parker: Arc<ThreadParker>,
}

/// What a call needs of the calling thread.
pub(crate) struct Inner<'a> {
    pub(crate) kernel: &'a Arc<Kernel>,
    pub(crate) task: &'a Task,
    pub(crate) sleep: &'a ThreadParker,
}

mod phase {
    /// The library is not ready: every call is the host's.
    pub(super) const CLOSED: u8 = 0;
    /// A kernel is booted when it is first needed.
    pub(super) const LAZY: u8 = 1;
    /// There is a kernel.
    pub(super) const OPEN: u8 = 2;
    /// There cannot be one.
    pub(super) const FAILED: u8 = 3;
}

static PHASE: AtomicU8 = AtomicU8::new(phase::CLOSED);
static INSTANCE: AtomicPtr<Instance> = AtomicPtr::new(null_mut());
/// The kernel of the process that forked this one, as it was then.
static LOST: AtomicPtr<Instance> = AtomicPtr::new(null_mut());
/// The process that has the kernel.
static OWNER: AtomicI32 = AtomicI32::new(0);
static BOOTING: AtomicBool = AtomicBool::new(false);
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);
/// `pthread_cancel` was called at all.
static CANCELS: AtomicBool = AtomicBool::new(false);
/// The threads that may sleep in the kernel, by their `pthread_t`.
static THREADS: Threads = Threads { lock: Spin::new(), map: UnsafeCell::new(BTreeMap::new()) };
/// The kernel of this process was asked for anything. Written while [`BOOTING`] is held.
static USED: AtomicBool = AtomicBool::new(false);
/// The process ends.
static FINISHED: AtomicBool = AtomicBool::new(false);
/// The parent may be about to end.
static PATIENCE: AtomicBool = AtomicBool::new(false);

/// Guarded by a lock that can be held across a fork.
struct Threads {
    lock: Spin,
    map: UnsafeCell<BTreeMap<usize, Sleeper>>,
}

// SAFETY: the map is only touched under the lock.
unsafe impl Sync for Threads {}

impl Threads {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<usize, Sleeper>) -> T) -> T {
        self.lock.lock();
        // SAFETY: under the lock.
        let out = f(unsafe { &mut *self.map.get() });
        self.lock.unlock();
        out
    }
}

struct Sleeper {
    /// The thread's cell; it is there as long as the entry.
    thread: &'static AtomicBool,
    parker: Arc<ThreadParker>,
}

unsafe extern "C-unwind" {
    fn pthread_testcancel();
}

/// Is the library ready?
#[inline]
pub(crate) fn open() -> bool {
    PHASE.load(Ordering::Acquire) != phase::CLOSED
}

/// The process that has the kernel, as far as this one knows.
pub(crate) fn owner() -> i32 {
    OWNER.load(Ordering::Acquire)
}

/// From now on calls are looked at; the kernel is booted now, or, if another process has it, when it is needed.
///
/// # Errors
/// One line that says what is wrong with the configuration or the device.
pub(crate) fn init(elsewhere: Option<i32>) -> core::result::Result<(), String> {
    let mut key = 0;
    // SAFETY: a destructor for the pointers that `inner` sets.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(forget_caller)) } == 0 {
        KEY.store(key, Ordering::Release);
    }
    // SAFETY: handlers that take no arguments and only touch what is theirs.
    unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_parent), Some(after_fork_child)) };
    if let Some(pid) = elsewhere {
        OWNER.store(pid, Ordering::Release);
        PHASE.store(phase::LAZY, Ordering::Release);
        return Ok(());
    }
    boot()?;
    PHASE.store(phase::OPEN, Ordering::Release);
    Ok(())
}

fn boot() -> core::result::Result<&'static Instance, String> {
    let (kernel, host) = start::boot()?;
    let pid = sys::getpid();
    let process = kernel.process(pid, Arc::new(Own), Arc::new(fds::HostNumbers));
    let instance: &'static Instance = Box::leak(Box::new(Instance { kernel, host, process }));
    OWNER.store(pid, Ordering::Release);
    INSTANCE.store(core::ptr::from_ref(instance).cast_mut(), Ordering::Release);
    Ok(instance)
}

/// The kernel, booted if that was put off.
fn instance() -> Result<&'static Instance> {
    if !USED.load(Ordering::Acquire) {
        booting(|| USED.store(true, Ordering::Release));
        signal::close_first();
    }
    // SAFETY: instances are leaked once they are in use.
    if let Some(i) = unsafe { INSTANCE.load(Ordering::Acquire).as_ref() } {
        return Ok(i);
    }
    late()
}

/// Boots. A process that has just given the device back may need a moment until the host sees it.
fn boot_patiently() -> core::result::Result<&'static Instance, String> {
    const TRIES: u32 = 10;
    let mut left = if owner() == 0 { TRIES } else { 1 };
    loop {
        left -= 1;
        match boot() {
            Err(_) if left > 0 => start::nap(core::time::Duration::from_millis(10)),
            other => return other,
        }
    }
}

/// Calls `f` while nobody else boots or gives back.
fn booting<T>(f: impl FnOnce() -> T) -> T {
    while BOOTING.swap(true, Ordering::Acquire) {
        // SAFETY: no arguments.
        let _ok = unsafe { host!(libc::SYS_sched_yield) };
    }
    let out = f();
    BOOTING.store(false, Ordering::Release);
    out
}

/// This process is about to have children and has not used its kernel: it gives it back, and with it the device, so that
/// the first of them that uses the network can have it (`timeout 5 ping ...`, `sh -c ...`). If the process uses it
/// later after all, it boots again.
pub(crate) fn give_back() {
    let i = booting(|| {
        if USED.load(Ordering::Acquire) || PHASE.load(Ordering::Acquire) != phase::OPEN {
            return null_mut();
        }
        PHASE.store(phase::LAZY, Ordering::Release);
        OWNER.store(0, Ordering::Release);
        INSTANCE.swap(null_mut(), Ordering::AcqRel)
    });
    if !i.is_null() {
        // SAFETY: it came from a box, and nobody has used it.
        let i = unsafe { Box::from_raw(i) };
        i.host.retire();
        i.process.close_all();
    }
}

#[cold]
fn late() -> Result<&'static Instance> {
    if take_over() {
        return instance();
    }
    booting(|| match PHASE.load(Ordering::Acquire) {
        // SAFETY: instances are leaked. Another thread was quicker.
        _ if !INSTANCE.load(Ordering::Acquire).is_null() => Ok(unsafe { &*INSTANCE.load(Ordering::Acquire) }),
        phase::LAZY => match boot_patiently() {
            Ok(i) => {
                PHASE.store(phase::OPEN, Ordering::Release);
                Ok(i)
            }
            Err(line) => {
                PHASE.store(phase::FAILED, Ordering::Release);
                sys::say(&line);
                Err(Errno::ENETDOWN)
            }
        },
        _ => Err(Errno::ENETDOWN),
    })
}

/// Can there be a kernel?
pub(crate) fn available() -> bool {
    instance().is_ok()
}

/// The calling thread, in the kernel.
///
/// # Errors
/// `ENETDOWN` if there is no kernel to be had.
pub(crate) fn inner(t: &'static Thread) -> Result<Inner<'static>> {
    let mut caller = t.caller.get();
    // SAFETY: set below, and taken back only when the thread ends.
    if caller.is_null() || !core::ptr::eq(unsafe { (*caller).instance }, INSTANCE.load(Ordering::Relaxed)) {
        caller = register(t, instance()?);
    }
    // SAFETY: as above; the answer is used by this thread, during this call.
    let c: &'static Caller = unsafe { &*caller };
    Ok(Inner { kernel: &c.instance.kernel, task: &c.task, sleep: &c.parker })
}

#[cold]
fn register(t: &'static Thread, instance: &'static Instance) -> *mut Caller {
    let parker = ThreadParker::new(&instance.host);
    let task = Kernel::task(&instance.process, sys::gettid(), parker.clone());
    // SAFETY: asks who we are.
    let me = unsafe { libc::pthread_self() } as usize;
    let sleeper = Sleeper { thread: &t.cancelled, parker: parker.clone() };
    drop(THREADS.with(|m| m.insert(me, sleeper)));
    // An old one is of a kernel that is out of reach: it is left alone.
    let caller = Box::into_raw(Box::new(Caller { instance, task, parker }));
    t.caller.set(caller);
    let key = KEY.load(Ordering::Acquire);
    if key != u32::MAX {
        // SAFETY: our key; the destructor takes the pointer back.
        unsafe { libc::pthread_setspecific(key, caller.cast()) };
    }
    if t.deferred.get() != 0 {
        interrupt(t);
    }
    caller
}

/// The thread ends.
unsafe extern "C" fn forget_caller(caller: *mut c_void) {
    let t = thread::current();
    let inside = thread::Inside::enter(t);
    t.caller.set(null_mut());
    // SAFETY: asks who we are.
    let me = unsafe { libc::pthread_self() } as usize;
    drop(THREADS.with(|m| m.remove(&me)));
    // SAFETY: from `register`; nobody else has it.
    drop(unsafe { Box::from_raw(caller.cast::<Caller>()) });
    let env = t.env.replace(null_mut());
    if !env.is_null() {
        // SAFETY: from `Box::into_raw` in `exec`.
        drop(unsafe { Box::from_raw(env) });
    }
    drop(inside);
    signal::deliver(t);
}

/// Makes a system call of the kernel's, by its generic number, for the calling thread, which is inside the library.
/// Answers as the host's do.
pub(crate) fn call(number: usize, args: [u64; 6]) -> isize {
    let t = thread::current();
    loop {
        let c = match inner(t) {
            Ok(c) => c,
            Err(e) => return -(e.0 as isize),
        };
        if CANCELS.load(Ordering::Relaxed) && blocks(number) {
            test_cancel(t);
        }
        let result = c.kernel.syscall(c.task, number, args);
        let signals = c.task.take_signals();
        if signals != 0 {
            signal::raise(signals);
        }
        match result {
            Err(Errno::ERESTARTSYS) => match signal::window(t) {
                Ran::Interrupt => return -(Errno::EINTR.0 as isize),
                Ran::Nothing | Ran::Restart => cancellation_point(t),
            },
            other => return sys::uncheck(other),
        }
    }
}

/// Is it a call at which a thread can be cancelled (`man 7 pthreads`)?
fn blocks(number: usize) -> bool {
    use lkl_abi::nr;
    matches!(
        number,
        nr::READ
            | nr::READV
            | nr::WRITE
            | nr::WRITEV
            | nr::CONNECT
            | nr::ACCEPT
            | nr::ACCEPT4
            | nr::SENDTO
            | nr::SENDMSG
            | nr::SENDMMSG
            | nr::RECVFROM
            | nr::RECVMSG
            | nr::RECVMMSG
    )
}

/// If the thread was cancelled, it ends here; unless it has disabled that.
pub(crate) fn cancellation_point(t: &Thread) {
    if t.cancelled.swap(false, Ordering::AcqRel) {
        test_cancel(t);
    }
}

fn test_cancel(t: &Thread) {
    let depth = t.depth.replace(0);
    // SAFETY: unwinds, if it does not come back; nothing is held here.
    unsafe { pthread_testcancel() };
    t.depth.set(depth);
}

/// `pthread_cancel` was called for `who`: if it sleeps in the kernel, it must look.
pub(crate) fn cancel(who: usize) {
    CANCELS.store(true, Ordering::Relaxed);
    THREADS.with(|m| {
        if let Some(s) = m.get(&who) {
            s.thread.store(true, Ordering::Release);
            s.parker.interrupt();
        }
    });
}

/// A signal has arrived for the calling thread: its present or next sleep in the kernel ends. Called by a signal
/// handler.
pub(crate) fn interrupt(t: &Thread) {
    // SAFETY: set and taken back by this thread, whose handler this is.
    if let Some(c) = unsafe { t.caller.get().as_ref() } {
        c.parker.interrupt();
    }
}

/// Takes [`interrupt`] back: the signal is about to be delivered.
pub(crate) fn uninterrupt(t: &Thread) {
    // SAFETY: as above.
    if let Some(c) = unsafe { t.caller.get().as_ref() } {
        c.parker.take_interrupt();
    }
}

/// Wakes whoever waits for `fd`, so that he looks again.
pub(crate) fn wake(fd: i32) {
    if let Ok(file) = instance().and_then(|i| i.process.file(fd)) {
        file.file().wait_queue().wake(lkl_sync::Events::READ);
    }
}

/// The path that a kernel file was opened by.
pub(crate) fn path_of(fd: i32) -> Option<String> {
    instance().ok()?.process.file(fd).ok()?.path().map(str::to_owned)
}

/// The host puts a file of its own at `fd`, which is the kernel's, by `at_host`; then `fd` means `to`.
pub(crate) fn replace(fd: i32, to: u8, at_host: impl FnOnce() -> isize) -> isize {
    let Ok(i) = instance() else { return -(Errno::EBADF.0 as isize) };
    crate::ring::forget(fd);
    let before = fds::get(fd);
    let gone = i.process.forget(fd);
    fds::set(fd, to);
    let ret = at_host();
    if ret < 0 {
        if let Some(file) = gone {
            let _back = i.process.adopt(fd, file);
            fds::set(fd, before);
        }
    }
    ret
}

/// The process ends: its files are closed, and what is in the send queues is still sent ([`start::drain`]).
pub(crate) fn finish(t: &'static Thread) {
    // SAFETY: instances are leaked.
    let Some(i) = (unsafe { INSTANCE.load(Ordering::Acquire).as_ref() }) else { return };
    if !USED.load(Ordering::Acquire) || t.spawning.get() || owner() != sys::getpid() {
        return;
    }
    if FINISHED.swap(true, Ordering::AcqRel) {
        return;
    }
    if let Ok(c) = inner(t) {
        start::drain(i, &c);
    }
}

extern "C" fn before_fork() {
    let t = thread::current();
    t.depth.set(t.depth.get() + 1);
    give_back();
    THREADS.lock.lock();
    HEAP.freeze();
}

fn thaw(t: &Thread) {
    HEAP.thaw();
    THREADS.lock.unlock();
    t.depth.set(t.depth.get().saturating_sub(1));
}

extern "C" fn after_fork_parent() {
    let t = thread::current();
    thaw(t);
    signal::deliver(t);
}

extern "C" fn after_fork_child() {
    let t = thread::current();
    thaw(t);
    signal::forked();
    // What was pending for the parent's thread stays with it.
    t.deferred.set(0);
    let i = INSTANCE.swap(null_mut(), Ordering::AcqRel);
    if !i.is_null() {
        LOST.store(i, Ordering::Release);
        PATIENCE.store(true, Ordering::Release);
        fds::lose();
        PHASE.store(phase::LAZY, Ordering::Release);
    }
    BOOTING.store(false, Ordering::Release);
}

/// In a child of `fork`: takes the kernel over if the process that had it is gone, as after `daemon`. Answers whether
/// this process has it now.
///
/// A parent that forks to go into the background ends at once, so the first time it is waited for, a little.
pub(crate) fn take_over() -> bool {
    let lost = LOST.load(Ordering::Acquire);
    // SAFETY: instances are leaked.
    let Some(i) = (unsafe { lost.as_ref() }) else { return false };
    let patience = if PATIENCE.swap(false, Ordering::AcqRel) { 200 } else { 0 };
    if !ended(owner(), patience) {
        return false;
    }
    if LOST.swap(null_mut(), Ordering::AcqRel).is_null() {
        return !INSTANCE.load(Ordering::Acquire).is_null();
    }
    if i.host.after_fork().is_err() {
        return false;
    }
    OWNER.store(sys::getpid(), Ordering::Release);
    fds::regain();
    INSTANCE.store(lost, Ordering::Release);
    PHASE.store(phase::OPEN, Ordering::Release);
    true
}

/// Has the process ended? Waits for it at most `millis` milliseconds.
pub(crate) fn ended(pid: i32, millis: i32) -> bool {
    // SAFETY: no pointers.
    let fd = match unsafe { host!(libc::SYS_pidfd_open, pid, 0i32) } {
        Ok(fd) => fd as i32,
        Err(e) => return e == Errno::ESRCH,
    };
    let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one element.
    let ready = unsafe { host!(libc::SYS_poll, &raw mut p, 1usize, millis) };
    sys::close(fd);
    ready == Ok(1)
}
