//! Messages on local sockets of the host's, which may have files of ours in them ([`crate::rights`]).

use super::{set_errno, Answer, Real};
use crate::fds;
use crate::rights;
use crate::sys::Arg;
use crate::thread::{self, Inside};
use crate::{door, route, signal};
use core::ffi::{c_int, c_uint, c_void};
use libc::{mmsghdr, msghdr, ssize_t, timespec};

static REAL_SENDMSG: Real = Real::new();
static REAL_SENDMMSG: Real = Real::new();
static REAL_RECVMSG: Real = Real::new();
static REAL_RECVMMSG: Real = Real::new();

pub(super) fn resolve() {
    REAL_SENDMSG.resolve("sendmsg\0", false);
    REAL_SENDMMSG.resolve("sendmmsg\0", false);
    REAL_RECVMSG.resolve("recvmsg\0", false);
    REAL_RECVMMSG.resolve("recvmmsg\0", false);
}

/// Makes the call by the kernel, if the descriptor is its own, or by the host if there is no `next` function yet.
///
/// # Safety
/// As the call.
unsafe fn ours<R: Answer>(fd: c_int, next: &Real, nr: libc::c_long, args: &[u64]) -> Option<R> {
    if !fds::ours(fd) && !next.get().is_null() {
        return None;
    }
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    // SAFETY: by the caller's contract.
    let answer = unsafe { route::dispatch(nr as usize, &all) };
    match answer {
        Some(ret) => Some(R::answer(ret)),
        // SAFETY: the same call, as libc would make it.
        None if next.get().is_null() => Some(unsafe { super::direct(nr, &all) }),
        None => None,
    }
}

/// Runs `f` inside the library, unless the thread is there already or cannot be.
fn inside<T>(f: impl FnOnce() -> T) -> Option<T> {
    let t = thread::current();
    if !door::open() || t.depth.get() > 0 || t.spawning.get() {
        return None;
    }
    let inside = Inside::enter(t);
    let out = f();
    drop(inside);
    signal::deliver(t);
    Some(out)
}

/// What is to be sent in the place of the message at `msg`, if it is to be another one.
fn outgoing(msg: *const msghdr, len: usize) -> Result<Option<rights::Outgoing>, c_int> {
    if msg.is_null() || len == 0 || !fds::any_kernel() {
        return Ok(None);
    }
    inside(|| rights::outgoing(msg as u64)).unwrap_or(Ok(None)).map_err(|e| e.0)
}

/// The length of a message's control part; 0 if it cannot be read.
fn control_len(msg: *const msghdr) -> usize {
    crate::mem::get::<[u64; 7]>(msg as u64).map_or(0, |words| words[5] as usize)
}

/// `sendmsg`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the program's own arguments.
    if let Some(ret) = unsafe { ours(fd, &REAL_SENDMSG, libc::SYS_sendmsg, &[fd.arg(), msg.arg(), flags.arg()]) } {
        return ret;
    }
    // SAFETY: libc's definition.
    let next: unsafe extern "C-unwind" fn(c_int, *const msghdr, c_int) -> ssize_t =
        unsafe { core::mem::transmute(REAL_SENDMSG.get()) };
    match outgoing(msg, control_len(msg)) {
        // SAFETY: the program's own arguments.
        Ok(None) => unsafe { next(fd, msg, flags) },
        Ok(Some(out)) => {
            // SAFETY: a `struct msghdr` whose control part lives as long as `out`; the rest is the program's.
            let ret = unsafe { next(fd, out.header.as_ptr().cast(), flags) };
            let _closed = inside(|| drop(out));
            ret
        }
        Err(e) => {
            set_errno(e);
            -1
        }
    }
}

/// `sendmmsg`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn sendmmsg(fd: c_int, msgs: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int {
    let args = [fd.arg(), msgs.arg(), n.arg(), flags.arg()];
    // SAFETY: the program's own arguments.
    if let Some(ret) = unsafe { ours(fd, &REAL_SENDMMSG, libc::SYS_sendmmsg, &args) } {
        return ret;
    }
    // A message with files of ours goes alone: those before it now, the others when the program comes again.
    let mut plain = 0;
    if fds::any_kernel() && !msgs.is_null() {
        while plain < n.min(1024) {
            let msg: *const msghdr = msgs.wrapping_add(plain as usize).cast();
            match outgoing(msg, control_len(msg)) {
                Ok(None) => plain += 1,
                Ok(Some(out)) if plain == 0 => {
                    // SAFETY: as in `sendmsg`.
                    let ret = unsafe { sendmsg_real(fd, out.header.as_ptr().cast(), flags) };
                    let _closed = inside(|| drop(out));
                    if ret < 0 {
                        return -1;
                    }
                    let len = ret as u32;
                    // SAFETY: the field after the message's header.
                    let told = crate::mem::put(msgs as u64 + size_of::<msghdr>() as u64, &(len as i32));
                    return if told.is_ok() { 1 } else { -1 };
                }
                Ok(Some(out)) => {
                    let _closed = inside(|| drop(out));
                    break;
                }
                Err(e) if plain == 0 => {
                    set_errno(e);
                    return -1;
                }
                Err(_) => break,
            }
        }
    } else {
        plain = n;
    }
    // SAFETY: libc's definition.
    let next: unsafe extern "C-unwind" fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int =
        unsafe { core::mem::transmute(REAL_SENDMMSG.get()) };
    // SAFETY: the program's own arguments.
    unsafe { next(fd, msgs, plain, flags) }
}

/// libc's `sendmsg`.
///
/// # Safety
/// As that.
unsafe fn sendmsg_real(fd: c_int, msg: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: libc's definition.
    let next: unsafe extern "C-unwind" fn(c_int, *const msghdr, c_int) -> ssize_t =
        unsafe { core::mem::transmute(REAL_SENDMSG.get()) };
    // SAFETY: by the caller's contract.
    unsafe { next(fd, msg, flags) }
}

/// Files of ours may have come with the message.
fn incoming(msg: *const c_void) {
    if control_len(msg.cast()) > 0 {
        let _seen = inside(|| rights::incoming(msg as u64));
    }
}

/// `recvmsg`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the program's own arguments.
    if let Some(ret) = unsafe { ours(fd, &REAL_RECVMSG, libc::SYS_recvmsg, &[fd.arg(), msg.arg(), flags.arg()]) } {
        return ret;
    }
    // SAFETY: libc's definition.
    let next: unsafe extern "C-unwind" fn(c_int, *mut msghdr, c_int) -> ssize_t =
        unsafe { core::mem::transmute(REAL_RECVMSG.get()) };
    // SAFETY: the program's own arguments.
    let ret = unsafe { next(fd, msg, flags) };
    if ret >= 0 {
        incoming(msg.cast());
    }
    ret
}

/// `recvmmsg`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn recvmmsg(
    fd: c_int,
    msgs: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let args = [fd.arg(), msgs.arg(), n.arg(), flags.arg(), timeout.arg()];
    // SAFETY: the program's own arguments.
    if let Some(ret) = unsafe { ours(fd, &REAL_RECVMMSG, libc::SYS_recvmmsg, &args) } {
        return ret;
    }
    // SAFETY: libc's definition.
    let next: unsafe extern "C-unwind" fn(c_int, *mut mmsghdr, c_uint, c_int, *mut timespec) -> c_int =
        unsafe { core::mem::transmute(REAL_RECVMMSG.get()) };
    // SAFETY: the program's own arguments.
    let ret = unsafe { next(fd, msgs, n, flags, timeout) };
    for i in 0..usize::try_from(ret).unwrap_or(0) {
        incoming(msgs.wrapping_add(i).cast());
    }
    ret
}
