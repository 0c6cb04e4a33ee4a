//! `sigaction` and its older forms; see [`crate::signal`].

use super::{set_errno, Real};
use crate::door;
use crate::signal::{self, Action};
use crate::thread::{self, Inside};
use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering};
use libc::sighandler_t;

static REAL_SIGACTION: Real = Real::new();
static REAL_SIGWAITINFO: Real = Real::new();
static REAL_SIGTIMEDWAIT: Real = Real::new();
/// Signals for which `siginterrupt` was asked.
static INTERRUPTING: AtomicU64 = AtomicU64::new(0);

pub(super) fn resolve() {
    REAL_SIGACTION.resolve("sigaction\0", false);
    REAL_SIGWAITINFO.resolve("sigwaitinfo\0", false);
    REAL_SIGTIMEDWAIT.resolve("sigtimedwait\0", false);
}

fn change(sig: c_int, new: Option<&Action>) -> Result<Action, i32> {
    let t = thread::current();
    let inside = Inside::enter(t);
    let old = signal::set(sig, new);
    drop(inside);
    signal::deliver(t);
    old
}

type Sigaction = unsafe extern "C-unwind" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;

/// `sigaction`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn sigaction(sig: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    if !door::open() || matches!(sig, 32 | 33) {
        // SAFETY: libc's definition.
        let next: Sigaction = unsafe { core::mem::transmute(REAL_SIGACTION.get()) };
        // SAFETY: the program's own arguments.
        return unsafe { next(sig, new, old) };
    }
    let wanted = (!new.is_null()).then(|| {
        // SAFETY: not null, so a `struct sigaction`; the host's mask is the first 8 bytes of libc's.
        unsafe {
            Action {
                handler: (*new).sa_sigaction,
                flags: (*new).sa_flags as u32 as u64,
                restorer: 0,
                mask: *(&raw const (*new).sa_mask).cast::<u64>(),
            }
        }
    });
    match change(sig, wanted.as_ref()) {
        Ok(had) => {
            if !old.is_null() {
                // SAFETY: not null, so room for one.
                unsafe {
                    old.write_bytes(0, 1);
                    (*old).sa_sigaction = had.handler;
                    // SA_RESTORER is between libc and the host.
                    (*old).sa_flags = (had.flags & !0x0400_0000) as c_int;
                    (&raw mut (*old).sa_mask).cast::<u64>().write(had.mask);
                }
            }
            0
        }
        Err(e) => {
            set_errno(e);
            -1
        }
    }
}

/// Sets a handler with `flags`.
fn simple(sig: c_int, handler: sighandler_t, flags: u64) -> sighandler_t {
    match change(sig, Some(&Action { handler, flags, restorer: 0, mask: 0 })) {
        Ok(old) => old.handler,
        Err(e) => {
            set_errno(e);
            libc::SIG_ERR
        }
    }
}

/// `signal`, as BSD has it: calls are restarted.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn signal(sig: c_int, handler: sighandler_t) -> sighandler_t {
    let interrupting = (1..=64).contains(&sig) && INTERRUPTING.load(Ordering::Relaxed) & signal::bit(sig) != 0;
    simple(sig, handler, if interrupting { 0 } else { libc::SA_RESTART as u64 })
}

/// `bsd_signal`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn bsd_signal(sig: c_int, handler: sighandler_t) -> sighandler_t {
    // SAFETY: the same.
    unsafe { signal(sig, handler) }
}

/// `sysv_signal`: once, and calls are interrupted.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn __sysv_signal(sig: c_int, handler: sighandler_t) -> sighandler_t {
    simple(sig, handler, (libc::SA_RESETHAND | libc::SA_NODEFER) as u64)
}

/// `siginterrupt`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn siginterrupt(sig: c_int, on: c_int) -> c_int {
    let result = change(sig, None).and_then(|mut a| {
        if on != 0 {
            INTERRUPTING.fetch_or(signal::bit(sig), Ordering::Relaxed);
            a.flags &= !(libc::SA_RESTART as u64);
        } else {
            INTERRUPTING.fetch_and(!signal::bit(sig), Ordering::Relaxed);
            a.flags |= libc::SA_RESTART as u64;
        }
        change(sig, Some(&a))
    });
    match result {
        Ok(_) => 0,
        Err(e) => {
            set_errno(e);
            -1
        }
    }
}

/// What came with a signal that was waited for.
///
/// # Safety
/// `info` is null, or a `siginfo_t` that was filled in if `ret` is a signal.
unsafe fn waited(ret: c_int, info: *mut libc::siginfo_t) -> c_int {
    if ret > 0 && !info.is_null() {
        // SAFETY: by the caller's contract.
        signal::restore(unsafe { &mut *info });
    }
    ret
}

/// `sigwaitinfo`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn sigwaitinfo(set: *const libc::sigset_t, info: *mut libc::siginfo_t) -> c_int {
    type Next = unsafe extern "C-unwind" fn(*const libc::sigset_t, *mut libc::siginfo_t) -> c_int;
    // SAFETY: libc's definition.
    let next: Next = unsafe { core::mem::transmute(REAL_SIGWAITINFO.get()) };
    // SAFETY: the program's own arguments.
    unsafe { waited(next(set, info), info) }
}

/// `sigtimedwait`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn sigtimedwait(
    set: *const libc::sigset_t,
    info: *mut libc::siginfo_t,
    time: *const libc::timespec,
) -> c_int {
    type Next =
        unsafe extern "C-unwind" fn(*const libc::sigset_t, *mut libc::siginfo_t, *const libc::timespec) -> c_int;
    // SAFETY: libc's definition.
    let next: Next = unsafe { core::mem::transmute(REAL_SIGTIMEDWAIT.get()) };
    // SAFETY: the program's own arguments.
    unsafe { waited(next(set, info, time), info) }
}
