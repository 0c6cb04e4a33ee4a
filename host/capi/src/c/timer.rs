//! The timers of `lkl_host_ops`: a thread for each, which waits for its time. The kernel does not use them.

use core::ffi::{c_int, c_ulong, c_void};
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Callback = unsafe extern "C" fn(*mut c_void);

#[derive(Default)]
struct State {
    due: Option<Instant>,
    over: bool,
}

struct Timer {
    state: Arc<(Mutex<State>, Condvar)>,
    thread: std::thread::JoinHandle<()>,
}

/// The argument of the callback, which belongs to the caller.
struct Argument(*mut c_void);

// SAFETY: the caller of `alloc` wants it used in another thread.
unsafe impl Send for Argument {}

impl Argument {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

pub(crate) unsafe extern "C" fn alloc(f: Callback, arg: *mut c_void) -> *mut c_void {
    let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
    let (shared, arg) = (state.clone(), Argument(arg));
    let thread = std::thread::Builder::new().name("lkl-timer".into()).spawn(move || {
        while wait(&shared) {
            // SAFETY: as the caller of `alloc` promises.
            unsafe { f(arg.get()) };
        }
    });
    match thread {
        Ok(thread) => Box::into_raw(Box::new(Timer { state, thread })).cast(),
        Err(_) => core::ptr::null_mut(),
    }
}

/// Sleeps until it is time; `false` if the timer is freed.
fn wait((state, changed): &(Mutex<State>, Condvar)) -> bool {
    let mut s = state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if s.over {
            return false;
        }
        let now = Instant::now();
        s = match s.due {
            Some(due) if due <= now => {
                s.due = None;
                return true;
            }
            Some(due) => changed.wait_timeout(s, due - now).unwrap_or_else(PoisonError::into_inner).0,
            None => changed.wait(s).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

pub(crate) unsafe extern "C" fn set_oneshot(timer: *mut c_void, delta: c_ulong) -> c_int {
    // SAFETY: it is of `alloc`.
    let timer = unsafe { &*timer.cast::<Timer>() };
    timer.state.0.lock().unwrap_or_else(PoisonError::into_inner).due =
        Some(Instant::now() + Duration::from_nanos(delta));
    timer.state.1.notify_all();
    0
}

pub(crate) unsafe extern "C" fn free(timer: *mut c_void) {
    if timer.is_null() {
        return;
    }
    // SAFETY: it is of `alloc`, and is freed once.
    let timer = unsafe { Box::from_raw(timer.cast::<Timer>()) };
    timer.state.0.lock().unwrap_or_else(PoisonError::into_inner).over = true;
    timer.state.1.notify_all();
    // A callback may free its own timer.
    // SAFETY: no argument.
    if timer.thread.as_pthread_t() != unsafe { libc::pthread_self() } {
        let _ended = timer.thread.join();
    }
}
