//! Kernels that run, and who of the callers is in which.
//!
//! A thread gets a *seat* in a kernel with its first call: the task that it is there. The kernel has a list of its seats, so that a halt can take
//! the tasks away from threads that will never call again.
//!
//! A call must be cheap, a halt need not. So a thread only writes that it is [`Seat::busy`] and then reads whether the kernel is
//! [`Instance::halted`]; the halt writes that, has the host see to it that every thread's writes are seen (`man 2 membarrier`), and then
//! reads who is busy. Either sees what the other has written.

use super::types::HostOperations;
use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{compiler_fence, fence, AtomicBool, AtomicI32, AtomicPtr, Ordering};
use core::time::Duration;
use lkl_abi::Errno;
use lkl_host::mem::OwnMemory;
use lkl_host::{Hooks, RealHost, ThreadParker};
use lkl_kernel::{BootOptions, Kernel, Lowest, Process, Task};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of the process that all callers are threads of.
const PID: i32 = 1;
/// How long a halt waits for threads that are in a call.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The host's operations that a kernel was started with. As in LKL they stay the caller's, who may change `print` later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops(*const HostOperations);

// SAFETY: whoever gives operations sees to it that they may be used by any thread.
unsafe impl Send for Ops {}
// SAFETY: as above.
unsafe impl Sync for Ops {}

impl Ops {
    /// Those given, or those of this host for a null pointer.
    pub(crate) fn new(given: *const HostOperations) -> Self {
        let own = super::ops::lkl_host_ops.get();
        Self(if given.is_null() { own.cast_const() } else { given })
    }

    pub(crate) fn get(&self) -> &HostOperations {
        // SAFETY: they live as long as a kernel has them, as the header says.
        unsafe { &*self.0 }
    }

    /// Has it its own `panic`?
    pub(crate) fn own_panic(&self) -> Option<unsafe extern "C" fn()> {
        self.get().panic.filter(|f| *f as usize != super::ops::panic as *const () as usize)
    }
}

/// A kernel that runs.
pub(crate) struct Instance {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) host: Arc<RealHost>,
    process: Arc<Process>,
    pub(crate) ops: Ops,
    seats: Mutex<Vec<Arc<Seat>>>,
    last_tid: AtomicI32,
    /// No call begins any more.
    halted: AtomicBool,
    /// Calls need a barrier of their own: the host cannot make one for them.
    fences: bool,
    panicked: AtomicBool,
    pub(crate) ports: super::netdev::Ports,
    pub(crate) disks: super::disk::Disks,
}

impl Instance {
    /// Boots one.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: the host gives no more descriptors.
    pub(crate) fn boot(ops: Ops, options: BootOptions) -> Result<Arc<Self>, Errno> {
        let clock = ops.get().time.filter(|f| *f as usize != super::ops::time as *const () as usize);
        let host = RealHost::new(Hooks { clock, ..Hooks::default() })?;
        let kernel = Kernel::boot_with(host.clone(), options);
        let weak = Arc::downgrade(&kernel);
        host.serve(move |enough| weak.upgrade().and_then(|kernel| kernel.service_until(enough)));
        let process = kernel.process(PID, Arc::new(OwnMemory), Arc::new(Lowest::new()));
        Ok(Arc::new(Self {
            kernel,
            host,
            process,
            ops,
            seats: Mutex::default(),
            last_tid: AtomicI32::new(PID - 1),
            halted: AtomicBool::new(false),
            fences: !has_barrier(),
            panicked: AtomicBool::new(false),
            ports: super::netdev::Ports::default(),
            disks: super::disk::Disks::default(),
        }))
    }

    /// The process that all callers are threads of.
    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// A place for the calling thread.
    fn seat(self: &Arc<Self>) -> Arc<Seat> {
        let tid = self.last_tid.fetch_add(1, Ordering::Relaxed) + 1;
        let parker = ThreadParker::new(&self.host);
        let task = Kernel::task(&self.process, tid, parker.clone());
        let seat = Arc::new(Seat {
            instance: self.clone(),
            parker,
            busy: AtomicBool::new(false),
            task: UnsafeCell::new(Some(task)),
        });
        lock(&self.seats).push(seat.clone());
        seat
    }

    /// Makes a call as the thread of `seat`, which calls this.
    #[inline]
    fn call(&self, seat: &Seat, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
        if seat.busy.load(Ordering::Relaxed) {
            return self.call_within(number, args);
        }
        seat.busy.store(true, Ordering::Relaxed);
        if self.fences {
            fence(Ordering::SeqCst);
        } else {
            compiler_fence(Ordering::SeqCst);
        }
        let result = if self.halted.load(Ordering::Acquire) {
            Err(Errno::ENODEV)
        } else {
            // SAFETY: a halt that has begun takes the task only after it has seen that the seat is not busy.
            match unsafe { &*seat.task.get() } {
                Some(task) => self.run(task, number, args),
                None => Err(Errno::ENODEV),
            }
        };
        seat.busy.store(false, Ordering::Release);
        result
    }

    #[inline]
    fn run(&self, task: &Task, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
        loop {
            match self.kernel.syscall(task, number, args) {
                Ok(value) => return Ok(value),
                Err(e) if !matches!(e, Errno::ERESTARTSYS | Errno::EINTR | Errno::EIO) => return Err(e),
                Err(Errno::ERESTARTSYS | Errno::EINTR) if self.halted.load(Ordering::SeqCst) => {
                    return Err(Errno::ENODEV)
                }
                // A handler of the program ran: LKL's calls go on.
                Err(Errno::ERESTARTSYS) => {}
                Err(e) => {
                    if e == Errno::EIO && self.kernel.oopsed() {
                        self.oops();
                    }
                    return Err(e);
                }
            }
        }
    }

    /// A call out of a callback, while the thread is in one already: as a thread of its own.
    #[cold]
    fn call_within(&self, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
        if self.halted.load(Ordering::SeqCst) {
            return Err(Errno::ENODEV);
        }
        let tid = self.last_tid.fetch_add(1, Ordering::Relaxed) + 1;
        let task = Kernel::task(&self.process, tid, ThreadParker::new(&self.host));
        self.run(&task, number, args)
    }

    #[cold]
    fn oops(&self) {
        if let Some(panic) = self.ops.own_panic().filter(|_| !self.panicked.swap(true, Ordering::SeqCst)) {
            // SAFETY: as the header asks for.
            unsafe { panic() };
        }
    }

    /// Ends it. What is written is on its disks when this comes back; the first error that this met is the answer.
    ///
    /// # Errors
    /// `EBUSY`: it is halted already. Those of the disks.
    pub(crate) fn halt(&self) -> Result<(), Errno> {
        if self.halted.swap(true, Ordering::SeqCst) {
            return Err(Errno::EBUSY);
        }
        self.clear_seats();
        self.process.close_all();
        // Nothing is open any more; what is still busy is a file that a thread has which did not come back from its call.
        let result = self.kernel.unmount_all();
        self.host.retire_and_wait();
        result
    }

    /// Has every thread leave its call, and takes the tasks away.
    fn clear_seats(&self) {
        let own = HERE.try_with(|here| here.seat.get()).unwrap_or(core::ptr::null());
        let start = std::time::Instant::now();
        let mut left: Vec<Arc<Seat>> = core::mem::take(&mut *lock(&self.seats));
        if left.iter().any(|seat| !core::ptr::eq(Arc::as_ptr(seat), own)) {
            barrier();
        }
        loop {
            left.retain(|seat| {
                if seat.busy.load(Ordering::Acquire) {
                    seat.parker.interrupt();
                    // A callback of this very thread halts the kernel that it is called by.
                    return !core::ptr::eq(Arc::as_ptr(seat), own);
                }
                // SAFETY: its thread uses it no more: calls that begin now see that the kernel is halted.
                drop(unsafe { (*seat.task.get()).take() });
                false
            });
            if left.is_empty() || start.elapsed() > PATIENCE {
                return;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// Commands of `membarrier`.
mod command {
    pub(super) const QUERY: i32 = 0;
    pub(super) const PRIVATE_EXPEDITED: i32 = 1 << 3;
    pub(super) const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;
}

fn membarrier(command: i32) -> i64 {
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
}

/// Can [`barrier`] be had?
fn has_barrier() -> bool {
    let wanted = i64::from(command::PRIVATE_EXPEDITED | command::REGISTER_PRIVATE_EXPEDITED);
    let has = membarrier(command::QUERY);
    has > 0 && has & wanted == wanted
}

/// Every thread of the process has a full barrier between what it did before and what it does after this call.
fn barrier() {
    if membarrier(command::REGISTER_PRIVATE_EXPEDITED) == 0 {
        membarrier(command::PRIVATE_EXPEDITED);
    }
    fence(Ordering::SeqCst);
}

/// A thread's place in a kernel.
struct Seat {
    instance: Arc<Instance>,
    parker: Arc<ThreadParker>,
    /// Its thread is in a call. Only the thread writes it.
    busy: AtomicBool,
    task: UnsafeCell<Option<Task>>,
}

// SAFETY: the task is used by the seat's thread, and dropped by a halt as its comments say.
unsafe impl Sync for Seat {}
// SAFETY: as above; a `Task` may go to another thread.
unsafe impl Send for Seat {}

/// What a thread knows.
struct Here {
    /// Its seat, of which it has a count; null if it has none.
    seat: Cell<*const Seat>,
    /// The kernel that it has entered, of which it has a count; null for that of `lkl_start_kernel`.
    entered: Cell<*const Instance>,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.stand_up();
        self.enter(None);
    }
}

impl Here {
    fn seat(&self) -> Option<Arc<Seat>> {
        shared(self.seat.get())
    }

    fn entered(&self) -> Option<Arc<Instance>> {
        shared(self.entered.get())
    }

    fn enter(&self, instance: Option<Arc<Instance>>) {
        forget(self.entered.replace(instance.map_or(core::ptr::null(), Arc::into_raw)));
    }

    fn sit_down(&self, seat: Arc<Seat>) {
        self.stand_up();
        self.seat.set(Arc::into_raw(seat));
    }

    /// The thread needs its seat no longer.
    fn stand_up(&self) {
        if let Some(seat) = self.seat() {
            forget(self.seat.replace(core::ptr::null()));
            lock(&seat.instance.seats).retain(|s| !Arc::ptr_eq(s, &seat));
        }
    }
}

/// One more count of what a thread has.
fn shared<T>(of: *const T) -> Option<Arc<T>> {
    if of.is_null() {
        return None;
    }
    // SAFETY: it came from `Arc::into_raw`, and the thread still has its count.
    unsafe {
        Arc::increment_strong_count(of);
        Some(Arc::from_raw(of))
    }
}

/// Gives back the count that a thread had.
fn forget<T>(of: *const T) {
    if !of.is_null() {
        // SAFETY: it came from `Arc::into_raw`, and is used no more.
        drop(unsafe { Arc::from_raw(of) });
    }
}

thread_local! {
    static HERE: Here = const { Here { seat: Cell::new(core::ptr::null()), entered: Cell::new(core::ptr::null()) } };
}

/// The kernel of `lkl_start_kernel`, if one runs: [`Directory::main`] keeps it.
static MAIN: AtomicPtr<Instance> = AtomicPtr::new(core::ptr::null_mut());

/// All that run.
#[derive(Default)]
pub(crate) struct Directory {
    pub(crate) main: Option<Arc<Instance>>,
    /// Those of `lkl_kernel_new`, by their handles.
    pub(crate) others: BTreeMap<usize, Arc<Instance>>,
    /// The operations of `lkl_init`.
    pub(crate) ops: Option<Ops>,
    /// `lkl_start_kernel` is at work.
    pub(crate) starting: bool,
}

static DIRECTORY: Mutex<Directory> =
    Mutex::new(Directory { main: None, others: BTreeMap::new(), ops: None, starting: false });

/// All that run.
pub(crate) fn directory() -> MutexGuard<'static, Directory> {
    lock(&DIRECTORY)
}

/// From now on `instance` is the one of `lkl_start_kernel`; answers the one before.
pub(crate) fn set_main(instance: Option<Arc<Instance>>) -> Option<Arc<Instance>> {
    let mut directory = directory();
    MAIN.store(instance.as_ref().map_or(core::ptr::null_mut(), |i| Arc::as_ptr(i).cast_mut()), Ordering::Release);
    core::mem::replace(&mut directory.main, instance)
}

/// The kernel that the calling thread means.
///
/// # Errors
/// `ENODEV`: none runs.
pub(crate) fn current() -> Result<Arc<Instance>, Errno> {
    let entered = HERE.try_with(Here::entered).ok().flatten();
    entered.or_else(|| directory().main.clone()).ok_or(Errno::ENODEV)
}

/// Enters a kernel, or leaves it for that of `lkl_start_kernel`.
pub(crate) fn enter(instance: Option<Arc<Instance>>) {
    let _gone = HERE.try_with(|here| here.enter(instance));
}

/// Makes a call to the kernel that the thread means.
#[inline]
pub(crate) fn syscall(number: usize, args: [u64; 6]) -> Result<u64, Errno> {
    let seat = HERE.try_with(|here| {
        let entered = here.entered.get();
        let wanted = if entered.is_null() { MAIN.load(Ordering::Acquire).cast_const() } else { entered };
        // SAFETY: the thread has a count of it.
        match unsafe { here.seat.get().as_ref() } {
            // The seat keeps its kernel: another one cannot have the same address.
            Some(seat) if core::ptr::eq(Arc::as_ptr(&seat.instance), wanted) => core::ptr::from_ref(seat),
            _ => core::ptr::null(),
        }
    });
    match seat {
        // SAFETY: only this thread lets go of its seat, and not within a call.
        Ok(seat) => match unsafe { seat.as_ref() } {
            Some(seat) => seat.instance.call(seat, number, args),
            None => first_call(number, args),
        },
        // The thread ends: destructors of its other variables may still call.
        Err(_) => current()?.call_within(number, args),
    }
}

/// The thread's first call to this kernel.
#[cold]
fn first_call(number: usize, args: [u64; 6]) -> Result<u64, Errno> {
    let instance = current()?;
    syscall_of(&instance, number, args)
}

/// Makes a call to the given kernel, with a seat in it.
pub(crate) fn syscall_of(instance: &Arc<Instance>, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
    if instance.halted.load(Ordering::SeqCst) {
        return Err(Errno::ENODEV);
    }
    let seat = HERE.with(|here| {
        let old = here.seat();
        let sits = old.as_ref().filter(|seat| Arc::ptr_eq(&seat.instance, instance)).cloned();
        sits.unwrap_or_else(|| {
            let seat = instance.seat();
            // Within a callback of the other kernel the seat there is in use.
            if old.is_none_or(|s| !s.busy.load(Ordering::Relaxed)) {
                here.sit_down(seat.clone());
            }
            seat
        })
    });
    let result = instance.call(&seat, number, args);
    if HERE.with(|here| !core::ptr::eq(here.seat.get(), Arc::as_ptr(&seat))) {
        lock(&instance.seats).retain(|s| !Arc::ptr_eq(s, &seat));
    }
    result
}

/// Leaves the seat in a kernel that is halted, so that nothing of it is kept.
pub(crate) fn leave(instance: &Arc<Instance>) {
    let _gone = HERE.try_with(|here| {
        // Not within a callback of it.
        if here.seat().is_some_and(|s| Arc::ptr_eq(&s.instance, instance) && !s.busy.load(Ordering::Relaxed)) {
            here.stand_up();
        }
        if core::ptr::eq(here.entered.get(), Arc::as_ptr(instance)) {
            here.enter(None);
        }
    });
}

/// The operations of the kernel that the thread has entered.
pub(crate) fn entered_ops() -> Option<Ops> {
    HERE.try_with(Here::entered).ok().flatten().map(|entered| entered.ops)
}
