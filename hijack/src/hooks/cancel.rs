//! Cancelling threads: `pthread_cancel`, `pthread_setcanceltype`.
//!
//! A thread that may be cancelled at any instruction must not be while it is in the library, which holds locks and has frames that an exception
//! may not pass: from its entry ([`hold`]) until it has left ([`release`]) it is cancelled at cancellation points only, as other threads are
//! ([`door::cancellation_point`]).

use super::Real;
use crate::door;
use crate::signal;
use crate::thread::{self, Inside, Thread};
use core::ffi::c_int;

/// `PTHREAD_CANCEL_DEFERRED`, of glibc's `pthread.h`
pub(crate) const DEFERRED: c_int = 0;
/// `PTHREAD_CANCEL_ASYNCHRONOUS`
const ASYNCHRONOUS: c_int = 1;

static REAL_CANCEL: Real = Real::new();
static REAL_SETCANCELTYPE: Real = Real::new();

pub(super) fn resolve() {
    REAL_CANCEL.resolve("pthread_cancel\0", false);
    REAL_SETCANCELTYPE.resolve("pthread_setcanceltype\0", false);
}

type SetCancelType = unsafe extern "C-unwind" fn(c_int, *mut c_int) -> c_int;

/// libc's `pthread_setcanceltype`, of the calling thread; answers the old one. Where that becomes asynchronous again the thread may end here.
pub(crate) fn set_type(kind: c_int) -> c_int {
    let mut old = DEFERRED;
    // SAFETY: libc's definition; the second argument is ours to write.
    unsafe {
        let next: SetCancelType = core::mem::transmute(REAL_SETCANCELTYPE.get());
        next(kind, &raw mut old);
    }
    old
}

/// The thread, which may be cancelled at any instruction, has come in.
#[cold]
pub(crate) fn hold(t: &Thread) {
    if !t.held.get() {
        t.held.set(true);
        set_type(DEFERRED);
    }
}

/// It has left.
#[cold]
pub(crate) fn release(t: &Thread) {
    if t.depth.get() == 0 {
        t.held.set(false);
        if t.asynchronous.get() {
            set_type(ASYNCHRONOUS);
        }
    }
}

/// `pthread_setcanceltype`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn pthread_setcanceltype(kind: c_int, old: *mut c_int) -> c_int {
    // SAFETY: libc's definition.
    let next: SetCancelType = unsafe { core::mem::transmute(REAL_SETCANCELTYPE.get()) };
    let t = thread::current();
    if t.held.get() && matches!(kind, DEFERRED | ASYNCHRONOUS) {
        // A signal handler that runs in the midst of a call: it holds from the end of that on.
        let was = t.asynchronous.replace(kind == ASYNCHRONOUS);
        // SAFETY: null, or the program's to be written.
        if let Some(old) = unsafe { old.as_mut() } {
            *old = c_int::from(was);
        }
        return 0;
    }
    let before = t.asynchronous.replace(kind == ASYNCHRONOUS);
    // SAFETY: the program's own arguments. The thread may end in there.
    let ret = unsafe { next(kind, old) };
    if ret != 0 {
        t.asynchronous.set(before);
    }
    ret
}

/// `pthread_cancel`: a thread that sleeps in the kernel is woken to see it.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn pthread_cancel(who: libc::pthread_t) -> c_int {
    // SAFETY: libc's definition.
    let next: unsafe extern "C-unwind" fn(libc::pthread_t) -> c_int =
        unsafe { core::mem::transmute(REAL_CANCEL.get()) };
    // SAFETY: the program's own argument.
    let ret = unsafe { next(who) };
    if ret == 0 && door::open() {
        let t = thread::current();
        let inside = Inside::enter(t);
        door::cancel(who as usize);
        drop(inside);
        signal::deliver(t);
    }
    ret
}
