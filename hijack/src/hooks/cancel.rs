//! Cancelling threads: `pthread_cancel`, `pthread_setcanceltype`.
//!
//! A thread that may be cancelled at any instruction must not be while it is in the library, which holds locks and has frames that an exception
//! may not pass: from its entry ([`hold`]) until it has left ([`release`]) it is cancelled at cancellation points only, as other threads are
//! ([`door::cancellation_point`]).

use super::Real;
use crate::door;
use crate::signal;
use crate::thread::{self, Inside, Thread};
use core::ffi::{c_int, CStr};
use core::sync::atomic::{AtomicBool, Ordering};

/// `PTHREAD_CANCEL_DEFERRED`, of glibc's `pthread.h`
pub(crate) const DEFERRED: c_int = 0;
/// `PTHREAD_CANCEL_ASYNCHRONOUS`
const ASYNCHRONOUS: c_int = 1;

static REAL_CANCEL: Real = Real::new();
static REAL_SETCANCELTYPE: Real = Real::new();

/// glibc is one of [`EFFECTS_STAY`] or later.
static STAY: AtomicBool = AtomicBool::new(false);
/// From this version on, a call that has moved something when its thread is cancelled answers how much, and the thread goes on to the next
/// cancellation point (glibc's bug 12683).
const EFFECTS_STAY: (u32, u32) = (2, 41);

pub(super) fn resolve() {
    // SAFETY: a C string, which stays.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    STAY.store(parse(version.to_str().unwrap_or_default()) >= Some(EFFECTS_STAY), Ordering::Relaxed);
    REAL_CANCEL.resolve("pthread_cancel\0", false);
    REAL_SETCANCELTYPE.resolve("pthread_setcanceltype\0", false);
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).map_or(minor, |end| &minor[..end]);
    Some((major.parse().ok()?, digits.parse().ok()?))
}

/// Is a thread that is cancelled in a call only ended there if the call has done nothing?
#[inline]
pub(crate) fn effects_stay() -> bool {
    STAY.load(Ordering::Relaxed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse("2.36"), Some((2, 36)));
        assert_eq!(parse("2.41.9000"), Some((2, 41)));
        assert!(
            parse("2.9") < Some(EFFECTS_STAY) && parse("3.0") > Some(EFFECTS_STAY) && parse("") < Some(EFFECTS_STAY)
        );
    }
}
