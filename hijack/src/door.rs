//! From a thread of the program to the kernel: who the thread is there, boot, and what becomes of a call that gave way.
//!
//! In the process that has booted the kernel a call is a function call ([`Caller::Direct`]). In the other processes of
//! the tree it goes by a line of shared memory ([`Caller::Remote`], [`crate::tree`]).

mod caller;

use crate::alloc::HEAP;
use crate::dump;
use crate::exec;
use crate::fds::{self, HostNumbers};
use crate::guarded::Guarded;
use crate::handover;
use crate::hooks::cancel;
use crate::keeper::{self, Doors};
use crate::limits;
use crate::mem::Own;
use crate::mixed;
use crate::paths::{self, cwd, place};
use crate::signal::{self, Ran};
use crate::start;
use crate::sys;
use crate::thread::{self, Thread};
use crate::tree::line::op;
use crate::tree::message::{self, kind};
use crate::tree::named::{self, place::Door};
use crate::tree::{self, client::Client};
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU8, Ordering};
use core::time::Duration;
use lkl_abi::{Errno, Result};
use lkl_host::config::Device;
use lkl_host::{Config, RealHost, ThreadParker};
use lkl_kernel::{Kernel, Process};
use lkl_ops::Descriptors;
use lkl_sync::Events;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use caller::{Caller, Watch};

/// A kernel and this process in it. Never freed.
pub(crate) struct Instance {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) host: Arc<RealHost>,
    pub(crate) process: Arc<Process>,
}

mod phase {
    /// The library is not ready: every call is the host's.
    pub(super) const CLOSED: u8 = 0;
    /// There is a kernel, in this memory or in another process's.
    pub(super) const OPEN: u8 = 1;
}

static PHASE: AtomicU8 = AtomicU8::new(phase::CLOSED);
/// The kernel, if it is in this memory.
static INSTANCE: AtomicPtr<Instance> = AtomicPtr::new(null_mut());
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);
/// `pthread_cancel` was called at all.
static CANCELS: AtomicBool = AtomicBool::new(false);
/// The threads that may sleep in the kernel, by their `pthread_t`.
static THREADS: Guarded<BTreeMap<usize, Sleeper>> = Guarded::new(BTreeMap::new());
/// The kernel in this memory was asked for anything.
static USED: AtomicBool = AtomicBool::new(false);
/// The process ends.
static FINISHED: AtomicBool = AtomicBool::new(false);

/// The process has taken system calls from itself: what takes new ones at its end could kill it.
static SEALED: AtomicBool = AtomicBool::new(false);

/// Notes that the process takes system calls from itself.
pub(crate) fn seal() {
    SEALED.store(true, Ordering::Release);
}

struct Sleeper {
    /// The thread's cells; they are there as long as the entry.
    thread: &'static AtomicBool,
    caller: *const Caller,
}

// SAFETY: the caller is there as long as the entry, and what others call of it may be called by any thread.
unsafe impl Send for Sleeper {}

unsafe extern "C-unwind" {
    fn pthread_testcancel();
}

/// Is the library ready?
#[inline]
pub(crate) fn open() -> bool {
    PHASE.load(Ordering::Acquire) != phase::CLOSED
}

/// Is the kernel in this memory, and called directly? Not once other processes use it ([`keeper::shared`]).
pub(crate) fn direct() -> bool {
    instance().is_some()
}

/// From now on calls are looked at. A kernel is booted, unless the process belongs to a tree that has one.
///
/// # Errors
/// One line that says what is wrong with the configuration or the device.
pub(crate) fn init(in_tree: bool) -> core::result::Result<(), String> {
    let mut key = 0;
    // SAFETY: a destructor for the pointers that `register` sets.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(forget_caller)) } == 0 {
        KEY.store(key, Ordering::Release);
    }
    // SAFETY: handlers that take no arguments and only touch what is theirs.
    unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_parent), Some(after_fork_child)) };
    if !in_tree {
        let config = start::config()?;
        // A program that has become another one without use of its kernel has said it.
        if std::env::var_os(SAID).is_none() {
            config.notes.iter().for_each(|note| sys::say(note));
            if !config.notes.is_empty() {
                exec::keep(SAID, "1");
            }
        }
        dump::begin(&config.dump);
        match &config.kernel {
            None => {
                boot(config, None)?;
                if config.delay_main > 0 {
                    start::nap(Duration::from_micros(config.delay_main.into()));
                }
            }
            Some(name) => named::join(config, name, |door| {
                boot(config, Some(door))?;
                // This process was only made to boot it.
                tree::bye();
                Ok(())
            })?,
        }
    }
    if in_tree {
        dump::go_on();
    }
    PHASE.store(phase::OPEN, Ordering::Release);
    Ok(())
}

/// The variable by which a program knows that what has no effect was said.
const SAID: &str = "LKL_HIJACK_SAID";

/// Boots a kernel in this memory, which others can join by `named`.
fn boot(config: &Config, named: Option<Door>) -> core::result::Result<(), String> {
    let devices = claim_devices(config)?;
    let (kernel, host) = limits::lifted(|| start::boot(config))?;
    let process = kernel.process(sys::getpid(), Arc::new(Own), Arc::new(keeper::FirstNumbers));
    let limit = limits::size();
    process.set_size_limit(limit);
    let instance: &'static Instance = Box::leak(Box::new(Instance { kernel, host, process }));
    if start::wants_keeper() {
        let (kernel, host, process) = (&instance.kernel, &instance.host, &instance.process);
        let doors = Doors { named, devices };
        match keeper::start(kernel.clone(), host.clone(), process.clone(), doors, named::settings_text(config)) {
            Ok(ends) => {
                tree::begun(ends);
                if place::any() && !limits::none(limit) {
                    keeper::share();
                }
            }
            Err(e) => {
                return Err(format!(
                    "lkl-hijack: no process for the kernel can be made ({e}); LKL_HIJACK_KEEPER=0 does without: then children cannot use the kernel"
                ))
            }
        }
    }
    INSTANCE.store(core::ptr::from_ref(instance).cast_mut(), Ordering::Release);
    // Without it, calls fail later than they should.
    HEAP.keep_reserve();
    Ok(())
}

/// The program is about to become another one. If nobody has used its kernel, that ends, and gives its device back. Answers
/// whether it did.
pub(crate) fn give_up() -> bool {
    // If so, the next program might look for files in another directory.
    let local = || start::config().is_ok_and(|config| config.local);
    if !direct() || USED.load(Ordering::Acquire) || local() || !tree::dissolve() {
        return false;
    }
    INSTANCE.store(null_mut(), Ordering::Release);
    true
}

/// It did not become another one after all.
pub(crate) fn boot_again() {
    if let Err(line) = start::config().and_then(|config| boot(config, None)) {
        sys::say(&line);
    }
}

/// Asks the kernels that have the devices which this one is to have, and answers the sockets at which it will be asked for them itself.
fn claim_devices(config: &Config) -> core::result::Result<Vec<i32>, String> {
    let mut doors = Vec::new();
    let mut claims: Vec<_> =
        config.nets.iter().flat_map(|net| net.claims().into_iter().map(move |c| (c, net))).collect();
    // In one order for all: two kernels that both have one that the other waits for would wait for ever.
    claims.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, net) in claims {
        claim_device(&name);
        if !start::wants_keeper() {
            continue;
        }
        match message::listen_at(&device_door(&name)) {
            Ok(door) => doors.push(door),
            // The host itself refuses a TAP that somebody else has.
            Err(Errno::EADDRINUSE) if !matches!(net.device, Device::Tap(_)) => {
                let problem = "expected one that is free; another kernel has it, or its addresses there";
                return Err(net.refused(problem).line());
            }
            Err(_) => {}
        }
    }
    Ok(doors)
}

/// The address at which a kernel is asked for its device.
fn device_door(name: &str) -> String {
    format!("lkl-hijack/device/{name}")
}

/// A kernel whose programs have ended may still have the device, because a connection is in `TIME_WAIT`. It is asked to
/// end, and waited for. If a program is left, as when a child ends a moment after the program that a shell waited for,
/// it is given [`PATIENCE`].
fn claim_device(name: &str) {
    const STEP: Duration = Duration::from_millis(20);
    for tries in 0..PATIENCE.as_millis() / STEP.as_millis() {
        let Ok(fd) = message::connect_to(&device_door(name)) else {
            if tries > 0 {
                // One that ends by force gives back its door before its device.
                start::nap(STEP);
            }
            return;
        };
        let answer = match message::send(fd, &[kind::YIELD], &[], 0) {
            Ok(_) => message::receive(fd, 0).map(|m| m.word(0)),
            Err(e) => Err(e),
        };
        sys::close(fd);
        // An error: it has ended just now.
        let _not_yet = answer;
        start::nap(STEP);
    }
}

/// How long the last programs of a kernel may take to end after the one that was waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Can there be a kernel?
pub(crate) fn available() -> bool {
    PHASE.load(Ordering::Acquire) == phase::OPEN
}

/// The calling thread, in the kernel.
///
/// # Errors
/// `ENETDOWN` if there is no kernel to be had; those of [`Client::new`].
pub(crate) fn caller(t: &'static Thread) -> Result<&'static Caller> {
    let mut caller = t.caller.get();
    // SAFETY: as below.
    let outdated = keeper::shared() && matches!(unsafe { caller.as_ref() }, Some(Caller::Direct { .. }));
    if caller.is_null() || outdated {
        caller = register(t)?;
    }
    // SAFETY: set by `register`, and taken back only when the thread ends; the answer is used by this thread, during
    // this call.
    Ok(unsafe { &*caller })
}

#[cold]
fn register(t: &'static Thread) -> Result<*mut Caller> {
    let caller = match instance() {
        Some(instance) => {
            USED.store(true, Ordering::Release);
            let parker = ThreadParker::new(&instance.host);
            let task = Kernel::task(&instance.process, sys::gettid(), parker.clone());
            Caller::Direct { instance, task, parker }
        }
        None if tree::any() => {
            let client = Client::new().inspect_err(|e| tell_why(*e))?;
            let limit = limits::size();
            if !limits::none(limit) {
                // A process that has just joined may be a child of one with another limit.
                let _told = limits::tell(limit, |number, args| client.call(number as u64, args));
            }
            Caller::Remote(client)
        }
        None => {
            tell_why(Errno::ENETDOWN);
            return Err(Errno::ENETDOWN);
        }
    };
    let caller = Box::into_raw(Box::new(caller));
    // SAFETY: asks who we are.
    let me = unsafe { libc::pthread_self() } as usize;
    let sleeper = Sleeper { thread: &t.cancelled, caller };
    let _older = THREADS.with(|m| m.insert(me, sleeper));
    let older = t.caller.replace(caller);
    if !older.is_null() {
        // SAFETY: from this function; nobody else has it any more.
        drop(unsafe { Box::from_raw(older) });
    }
    let key = KEY.load(Ordering::Acquire);
    if key != u32::MAX {
        // SAFETY: our key; the destructor takes the pointer back.
        unsafe { libc::pthread_setspecific(key, caller.cast()) };
    }
    if t.deferred.get() != 0 {
        interrupt(t);
    }
    Ok(caller)
}

/// Says once why the kernel cannot be used.
fn tell_why(e: Errno) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    let why = match e {
        Errno::ENETDOWN => "it is in its parent's memory (LKL_HIJACK_KEEPER=0)",
        Errno::EIO => "its keeper has ended",
        _ => "no line to it can be made",
    };
    sys::say(&format!("lkl-hijack: process {} cannot use the kernel: {why} ({e})", sys::getpid()));
}

/// The thread ends.
unsafe extern "C" fn forget_caller(caller: *mut c_void) {
    let t = thread::current();
    let inside = thread::Inside::enter(t);
    t.caller.set(null_mut());
    // SAFETY: asks who we are.
    let me = unsafe { libc::pthread_self() } as usize;
    let _gone = THREADS.with(|m| m.remove(&me));
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
        let c = match caller(t) {
            Ok(c) => c,
            Err(e) => return -(e.0 as isize),
        };
        if CANCELS.load(Ordering::Relaxed) && blocks(number) {
            test_cancel(t);
        }
        if HEAP.is_short() {
            if let Some(e) = refused(number) {
                return -(e.0 as isize);
            }
        }
        let (result, signals) = c.syscall(number, args);
        if signals != 0 {
            signal::raise(signals);
        }
        match result {
            Err(Errno::EIO) => {
                c.tell_panic();
                if number == lkl_abi::nr::CLOSE && c.panicked() {
                    // It is the kernel that gives numbers back.
                    HostNumbers.free(args[0] as i32);
                }
                return sys::uncheck(result);
            }
            Err(Errno::ERESTARTSYS) => match signal::window(t) {
                Ran::Interrupt => return -(Errno::EINTR.0 as isize),
                Ran::Nothing | Ran::Restart => cancellation_point(t),
            },
            other => {
                // libc cancels a thread that was in the call when the cancellation came: older ones even if something was moved.
                let stays = cancel::effects_stay() && other != Err(Errno::EINTR);
                if CANCELS.load(Ordering::Relaxed) && blocks(number) && !stays {
                    cancellation_point(t);
                }
                return sys::uncheck(other);
            }
        }
    }
}

/// Is it a call at which a thread can be cancelled (`man 7 pthreads`)?
pub(crate) fn blocks(number: usize) -> bool {
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

/// What a call that takes memory answers when there is none.
fn refused(number: usize) -> Option<Errno> {
    use lkl_abi::nr;
    match number {
        nr::SOCKET
        | nr::ACCEPT
        | nr::ACCEPT4
        | nr::EPOLL_CREATE1
        | nr::EPOLL_CTL
        | nr::OPENAT
        | nr::OPENAT2
        | nr::SETSOCKOPT
        | nr::BIND
        | nr::LISTEN => Some(Errno::ENOMEM),
        nr::WRITE
        | nr::WRITEV
        | nr::PWRITE64
        | nr::PWRITEV
        | nr::SENDTO
        | nr::SENDMSG
        | nr::SENDMMSG
        | nr::SENDFILE
        | nr::SPLICE
        | nr::CONNECT => Some(Errno::ENOBUFS),
        _ => None,
    }
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
            s.thread.store(true, Ordering::SeqCst);
            // SAFETY: it is taken out of the map before it is freed.
            unsafe { (*s.caller).interrupt() };
        }
    });
}

/// The kernel in this memory has panicked: whoever sleeps in it makes his call again, and finds out.
pub(crate) fn panicked() {
    THREADS.with(|m| {
        for s in m.values() {
            // SAFETY: it is taken out of the map before it is freed.
            if let Caller::Direct { parker, .. } = unsafe { &*s.caller } {
                parker.interrupt();
            }
        }
    });
    keeper::wake_members();
}

/// A signal has arrived for the calling thread: its present or next sleep in the kernel ends. Called by a signal
/// handler.
pub(crate) fn interrupt(t: &Thread) {
    // SAFETY: set and taken back by this thread, whose handler this is.
    if let Some(c) = unsafe { t.caller.get().as_ref() } {
        c.interrupt();
    }
}

/// Takes [`interrupt`] back: the signal is about to be delivered.
pub(crate) fn uninterrupt(t: &Thread) {
    // SAFETY: as above. A line's interrupt is not taken back: a call that gives way for nothing is made again.
    if let Some(Caller::Direct { parker, .. }) = unsafe { t.caller.get().as_ref() } {
        parker.take_interrupt();
    }
}

/// Asks for something else than a system call.
fn operation(number: u64, args: [u64; 6]) -> Result<u64> {
    match caller(thread::current())? {
        Caller::Direct { .. } => Err(Errno::ENOSYS),
        Caller::Remote(client) => client.call(number, args).0,
    }
}

/// Is the kernel in this memory?
pub(crate) fn is_here() -> bool {
    !INSTANCE.load(Ordering::Acquire).is_null()
}

/// The kernel in this memory, if it is called directly.
fn instance() -> Option<&'static Instance> {
    // SAFETY: instances are leaked.
    unsafe { INSTANCE.load(Ordering::Acquire).as_ref() }.filter(|_| !keeper::shared())
}

/// Wakes whoever waits for `fd`, so that he looks again.
pub(crate) fn wake(fd: i32) {
    match instance() {
        Some(i) => {
            if let Ok(file) = i.process.file(fd) {
                file.file().wait_queue().wake(Events::READ);
            }
        }
        None => {
            let _woken = operation(op::WAKE, [fd as u64, 0, 0, 0, 0, 0]);
        }
    }
}

/// The path that a kernel file was opened by.
pub(crate) fn path_of(fd: i32) -> Option<Vec<u8>> {
    if let Some(i) = instance() {
        return i.process.file(fd).ok()?.path();
    }
    let mut buf = vec![0u8; 4096];
    let n = operation(op::PATH, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0]).ok()?;
    buf.truncate(n as usize);
    Some(buf)
}

/// What names the open file at `fd` in the whole tree, as long as it is open.
///
/// # Errors
/// `EBADF`, `EIO`
pub(crate) fn id_of(fd: i32) -> Result<u64> {
    match instance() {
        Some(i) => i.process.file(fd).map(|f| keeper::id_of(&f)),
        None => operation(op::ID, [fd as u64, 0, 0, 0, 0, 0]),
    }
}

/// The file in flight with this number has arrived at `fd`.
///
/// # Errors
/// `EBADF`, `EIO`
pub(crate) fn adopt(fd: i32, id: u64) -> Result<()> {
    match instance() {
        Some(i) => i.process.adopt(fd, keeper::in_flight(id).ok_or(Errno::EBADF)?),
        None => operation(op::ADOPT, [fd as u64, id, 0, 0, 0, 0]).map(drop),
    }
}

/// The host puts a file of its own at `fd`, which is the kernel's, by `at_host`; then `fd` means `to`.
pub(crate) fn replace(fd: i32, to: u8, at_host: impl FnOnce() -> isize) -> isize {
    crate::ring::forget(fd);
    handover::forget(fd);
    mixed::closing(fd);
    let before = fds::get(fd);
    let gone = instance().and_then(|i| i.process.forget(fd));
    fds::set(fd, to);
    let ret = at_host();
    match (instance(), gone) {
        (Some(i), Some(file)) if ret < 0 => {
            let _back = i.process.adopt(fd, file);
            fds::set(fd, before);
        }
        (None, _) if ret < 0 => fds::set(fd, before),
        (None, _) => {
            let _gone = operation(op::FORGET, [fd as u64, 0, 0, 0, 0, 0]);
        }
        _ => {}
    }
    ret
}

/// The process ends: its files are closed. What is in the send queues is sent by the keeper; without one, now.
pub(crate) fn finish(t: &'static Thread) {
    if t.spawning.get() || !available() || FINISHED.swap(true, Ordering::AcqRel) {
        return;
    }
    dump::show();
    if tree::any() {
        // Whoever waits for the process finds its files closed, as on Linux.
        if (fds::any_kernel() || place::any()) && !SEALED.load(Ordering::Acquire) {
            tree::bye();
        }
    } else if let (Some(i), Ok(_)) = (instance(), caller(t)) {
        i.process.close_all();
        if let Err(e) = i.kernel.unmount_all() {
            sys::say(&format!("lkl-hijack: the end of a disk image: {e}"));
        }
        keeper::linger::until_quiet(&i.kernel, Duration::ZERO, || true);
    }
}

pub(crate) extern "C" fn before_fork() {
    let t = thread::current();
    t.depth.set(t.depth.get() + 1);
    if open() {
        tree::before_fork();
    }
    THREADS.lock().lock();
    handover::before_fork();
    mixed::before_fork();
    cwd::lock().lock();
    HEAP.freeze();
}

fn thaw(t: &Thread) {
    HEAP.thaw();
    handover::after_fork();
    mixed::after_fork(false);
    cwd::lock().unlock();
    THREADS.lock().unlock();
    t.depth.set(t.depth.get().saturating_sub(1));
}

pub(crate) extern "C" fn after_fork_parent() {
    let t = thread::current();
    thaw(t);
    if open() {
        tree::after_fork_parent();
    }
    signal::deliver(t);
}

pub(crate) extern "C" fn after_fork_child() {
    let t = thread::current();
    HEAP.thaw();
    handover::after_fork();
    mixed::after_fork(true);
    cwd::lock().unlock();
    paths::forked();
    signal::forked();
    // What was pending for the parent's thread stays with it.
    t.deferred.set(0);
    // What the parent's threads are in the kernel is left alone: it is of a kernel that is out of reach now.
    t.caller.set(null_mut());
    THREADS.lock().unlock();
    THREADS.with(|m| core::mem::forget(core::mem::take(m)));
    let key = KEY.load(Ordering::Acquire);
    if key != u32::MAX {
        // SAFETY: our key.
        unsafe { libc::pthread_setspecific(key, core::ptr::null()) };
    }
    INSTANCE.store(null_mut(), Ordering::Release);
    FINISHED.store(false, Ordering::Release);
    if open() {
        tree::after_fork_child();
    }
    t.depth.set(t.depth.get().saturating_sub(1));
}
