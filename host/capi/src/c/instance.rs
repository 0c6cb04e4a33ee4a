//! Kernels that run, and who of the callers is in which.
//!
//! A thread gets a *seat* in a kernel with its first call: the task that it is there. The kernel has a list of its seats, so that a halt can take
//! the tasks away from threads that will never call again. A seat is used by its thread, or by the halt: [`Seat::busy`] says that somebody does.

use super::types::HostOperations;
use crate::mem::OwnMemory;
use core::cell::{RefCell, UnsafeCell};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use core::time::Duration;
use lkl_abi::Errno;
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
    panicked: AtomicBool,
    pub(crate) ports: super::netdev::Ports,
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
        host.serve(move || weak.upgrade().and_then(|kernel| kernel.service()));
        let process = kernel.process(PID, Arc::new(OwnMemory), Arc::new(Lowest::new()));
        Ok(Arc::new(Self {
            kernel,
            host,
            process,
            ops,
            seats: Mutex::default(),
            last_tid: AtomicI32::new(PID - 1),
            halted: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            ports: super::netdev::Ports::default(),
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

    /// Makes a call as the thread of `seat`.
    #[inline]
    fn call(&self, seat: &Seat, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
        if seat.busy.swap(true, Ordering::Acquire) {
            return self.call_within(number, args);
        }
        // SAFETY: whoever has set `busy` has the task for itself.
        let result = match unsafe { &*seat.task.get() } {
            Some(task) if !self.halted.load(Ordering::SeqCst) => self.run(task, number, args),
            _ => Err(Errno::ENODEV),
        };
        seat.busy.store(false, Ordering::Release);
        result
    }

    fn run(&self, task: &Task, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
        loop {
            match self.kernel.syscall(task, number, args) {
                Ok(value) => return Ok(value),
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
        self.host.retire_and_wait();
        Ok(())
    }

    /// Has every thread leave its call, and takes the tasks away.
    fn clear_seats(&self) {
        let own = HERE.try_with(|here| here.borrow().seat.as_ref().map(Arc::as_ptr)).ok().flatten();
        let start = std::time::Instant::now();
        let mut left: Vec<Arc<Seat>> = core::mem::take(&mut *lock(&self.seats));
        loop {
            left.retain(|seat| {
                if seat.busy.swap(true, Ordering::Acquire) {
                    seat.parker.interrupt();
                    // A callback of this very thread halts the kernel that it is called by.
                    return own != Some(Arc::as_ptr(seat));
                }
                // SAFETY: whoever has set `busy` has the task for itself.
                drop(unsafe { (*seat.task.get()).take() });
                seat.busy.store(false, Ordering::Release);
                false
            });
            if left.is_empty() || start.elapsed() > PATIENCE {
                return;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// A thread's place in a kernel.
struct Seat {
    instance: Arc<Instance>,
    parker: Arc<ThreadParker>,
    /// Somebody uses the task.
    busy: AtomicBool,
    task: UnsafeCell<Option<Task>>,
}

// SAFETY: the task is used only by who has set `busy`.
unsafe impl Sync for Seat {}
// SAFETY: as above; a `Task` may go to another thread.
unsafe impl Send for Seat {}

/// What a thread knows.
struct Here {
    seat: Option<Arc<Seat>>,
    /// The kernel that it has entered, if it is not that of `lkl_start_kernel`.
    entered: Option<Arc<Instance>>,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Here {
    /// The thread needs its seat no longer.
    fn leave(&mut self) {
        if let Some(seat) = self.seat.take() {
            lock(&seat.instance.seats).retain(|s| !Arc::ptr_eq(s, &seat));
        }
    }
}

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here { seat: None, entered: None }) };
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
    let entered = HERE.try_with(|here| here.borrow().entered.clone()).ok().flatten();
    entered.or_else(|| directory().main.clone()).ok_or(Errno::ENODEV)
}

/// Enters a kernel, or leaves it for that of `lkl_start_kernel`.
pub(crate) fn enter(instance: Option<Arc<Instance>>) {
    let _gone = HERE.try_with(|here| here.borrow_mut().entered = instance);
}

/// Makes a call to the kernel that the thread means.
#[inline]
pub(crate) fn syscall(number: usize, args: [u64; 6]) -> Result<u64, Errno> {
    let seat = HERE.try_with(|here| {
        let here = here.borrow();
        let wanted = here.entered.as_ref().map_or_else(|| MAIN.load(Ordering::Acquire).cast_const(), Arc::as_ptr);
        match &here.seat {
            // The seat keeps its kernel: another one cannot have the same address.
            Some(seat) if core::ptr::eq(Arc::as_ptr(&seat.instance), wanted) => Some(Arc::as_ptr(seat)),
            _ => None,
        }
    });
    match seat {
        // SAFETY: only this thread lets go of its seat, and not within a call.
        Ok(Some(seat)) => unsafe { (*seat).instance.call(&*seat, number, args) },
        Ok(None) => sit_down(number, args),
        // The thread ends: destructors of its other variables may still call.
        Err(_) => current()?.call_within(number, args),
    }
}

/// The thread's first call to this kernel.
#[cold]
fn sit_down(number: usize, args: [u64; 6]) -> Result<u64, Errno> {
    let instance = current()?;
    syscall_of(&instance, number, args)
}

/// Makes a call to the given kernel, with a seat in it.
pub(crate) fn syscall_of(instance: &Arc<Instance>, number: usize, args: [u64; 6]) -> Result<u64, Errno> {
    if instance.halted.load(Ordering::SeqCst) {
        return Err(Errno::ENODEV);
    }
    let seat = HERE.with(|here| {
        let mut here = here.borrow_mut();
        let sits = here.seat.as_ref().filter(|seat| Arc::ptr_eq(&seat.instance, instance)).cloned();
        sits.unwrap_or_else(|| {
            // Within a callback of the other kernel the seat there is in use; what uses it keeps it by its address.
            let left = here.seat.as_ref().is_none_or(|s| !s.busy.load(Ordering::Relaxed));
            let seat = instance.seat();
            if left {
                here.leave();
                here.seat = Some(seat.clone());
            }
            seat
        })
    });
    let result = instance.call(&seat, number, args);
    let kept = HERE.with(|here| here.borrow().seat.as_ref().is_some_and(|s| Arc::ptr_eq(s, &seat)));
    if !kept {
        lock(&instance.seats).retain(|s| !Arc::ptr_eq(s, &seat));
    }
    result
}

/// Leaves the seat in a kernel that is halted, so that nothing of it is kept.
pub(crate) fn leave(instance: &Arc<Instance>) {
    let _gone = HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        if here.seat.as_ref().is_some_and(|s| Arc::ptr_eq(&s.instance, instance)) {
            here.leave();
        }
        if here.entered.as_ref().is_some_and(|e| Arc::ptr_eq(e, instance)) {
            here.entered = None;
        }
    });
}

/// The operations of the kernel that the thread has entered.
pub(crate) fn entered_ops() -> Option<Ops> {
    HERE.try_with(|here| here.try_borrow().ok()?.entered.as_ref().map(|e| e.ops)).ok().flatten()
}
