//! Hooks of descriptors that are more than one system call of theirs.

use super::{fork, set_errno, Answer, Real, WITHOUT_TRAP};
use crate::fds;
use crate::paths;
use crate::route;
use crate::sys::{self, Arg};
use crate::{thread, trap};
use core::ffi::{c_char, c_int, c_long, c_void};
use core::sync::atomic::Ordering;
use libc::{fd_set, nfds_t, off_t, pollfd, sigset_t, size_t, timespec};

macro_rules! reals {
    ($($name:ident $optional:literal;)*) => {
        mod real {
            $(
                #[expect(non_upper_case_globals, reason = "the symbol's own name")]
                pub(super) static $name: super::Real = super::Real::new();
            )*
        }

        pub(super) fn resolve() {
            $(real::$name.resolve(concat!(stringify!($name), "\0"), $optional);)*
        }
    };
}

reals! {
    ppoll false;
    __ppoll_chk true;
    pselect false;
    mmap false;
    mmap64 true;
    isatty false;
    closefrom true;
    sockatmark true;
    isfdtype true;
    syscall false;
    fcntl false;
    fcntl64 true;
    __fcntl true;
    fopen false;
    fopen64 true;
}

/// Calls the next definition with these arguments.
macro_rules! next {
    ($name:ident, fn($($t:ty),*) -> $r:ty, $($a:expr),*) => {{
        // SAFETY: the definition of the same name that comes next, so it has this type.
        let next: unsafe extern "C-unwind" fn($($t),*) -> $r = unsafe { core::mem::transmute(real::$name.get()) };
        // SAFETY: the program's own arguments.
        unsafe { next($($a),*) }
    }};
}

/// Asks [`route::dispatch`], and returns its answer if it has one.
macro_rules! ours {
    ($r:ty, $nr:ident $(, $a:expr)*) => {{
        let mut args: sys::Args = [0; 6];
        let given = [$(Arg::arg($a)),*];
        args[..given.len()].copy_from_slice(&given);
        // SAFETY: the program's own arguments.
        if let Some(ret) = unsafe { route::dispatch(libc::$nr as usize, &args) } {
            return <$r as Answer>::answer(ret);
        }
    }};
}

/// `ppoll`: the system call changes the time-out, libc's function does not.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn ppoll(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let mut copy = [0u64; 2];
    let copied = copy_timeout(timeout, &mut copy);
    ours!(c_int, SYS_ppoll, fds, n, copied, mask, 8usize);
    next!(ppoll, fn(*mut pollfd, nfds_t, *const timespec, *const sigset_t) -> c_int, fds, n, timeout, mask)
}

/// The FORTIFY form of [`ppoll`].
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn __ppoll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    let mut copy = [0u64; 2];
    let copied = copy_timeout(timeout, &mut copy);
    if n as usize <= room / size_of::<pollfd>() {
        ours!(c_int, SYS_ppoll, fds, n, copied, mask, 8usize);
    }
    next!(
        __ppoll_chk,
        fn(*mut pollfd, nfds_t, *const timespec, *const sigset_t, size_t) -> c_int,
        fds,
        n,
        timeout,
        mask,
        room
    )
}

/// A time-out that may be changed; a pointer that cannot be read stays what it is.
fn copy_timeout(timeout: *const timespec, copy: &mut [u64; 2]) -> u64 {
    if timeout.is_null() {
        return 0;
    }
    match crate::mem::get::<[u64; 2]>(timeout as u64) {
        Ok(t) => {
            *copy = t;
            copy.as_mut_ptr() as u64
        }
        _ => timeout as u64,
    }
}

/// `pselect`: as [`ppoll`], and the mask is passed with its size.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn pselect(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let mut copy = [0u64; 2];
    let copied = copy_timeout(timeout, &mut copy);
    let sized = [mask as u64, 8];
    ours!(c_int, SYS_pselect6, n, r, w, x, copied, sized.as_ptr());
    next!(
        pselect,
        fn(c_int, *mut fd_set, *mut fd_set, *mut fd_set, *const timespec, *const sigset_t) -> c_int,
        n,
        r,
        w,
        x,
        timeout,
        mask
    )
}

/// `F_GETOWN` as libc makes it: a group is a negative number, which is not to be taken for an error.
fn owner(fd: c_int) -> Option<c_int> {
    const F_GETOWN_EX: c_int = 16;
    const F_OWNER_PGRP: c_int = 2;
    let mut owner = [0 as c_int; 2];
    let args = [fd as u64, F_GETOWN_EX as u64, owner.as_mut_ptr() as u64, 0, 0, 0];
    // SAFETY: the answer is a `struct f_owner_ex` of two integers.
    let ret = unsafe { route::dispatch(libc::SYS_fcntl as usize, &args) }?;
    Some(match owner {
        _ if ret < 0 => c_int::answer(ret),
        [F_OWNER_PGRP, group] => -group,
        [_, process] => process,
    })
}

macro_rules! fcntl {
    ($name:ident) => {
        /// `fcntl`: the last argument comes in the register of a fixed one, whether or not it is given.
        ///
        /// # Safety
        /// As libc's.
        #[cfg_attr(not(test), no_mangle)]
        pub unsafe extern "C-unwind" fn $name(fd: c_int, cmd: c_int, arg: u64) -> c_int {
            if fds::ours(fd) {
                if cmd == libc::F_GETOWN {
                    if let Some(owner) = owner(fd) {
                        return owner;
                    }
                }
                ours!(c_int, SYS_fcntl, fd, cmd, arg);
            }
            if real::$name.get().is_null() {
                // SAFETY: the same call, as libc would make it.
                return c_int::answer(unsafe {
                    trap::pass(libc::SYS_fcntl as usize, &[fd as u64, cmd as u64, arg, 0, 0, 0])
                });
            }
            next!($name, fn(c_int, c_int, u64) -> c_int, fd, cmd, arg)
        }
    };
}
fcntl!(fcntl);
fcntl!(fcntl64);
fcntl!(__fcntl);

macro_rules! mmap {
    ($name:ident) => {
        /// `mmap`: of our files only a packet socket's ring can be mapped.
        ///
        /// # Safety
        /// As libc's.
        #[cfg_attr(not(test), no_mangle)]
        pub unsafe extern "C-unwind" fn $name(
            at: *mut c_void,
            len: size_t,
            prot: c_int,
            flags: c_int,
            fd: c_int,
            from: off_t,
        ) -> *mut c_void {
            let args = [at as u64, len as u64, prot as u64, flags as u64, fd as u64, from as u64];
            match route::mmap(&args) {
                Some(Ok(at)) => return at as usize as *mut c_void,
                Some(Err(e)) => {
                    set_errno(e.0);
                    return libc::MAP_FAILED;
                }
                None => {}
            }
            if real::$name.get().is_null() {
                // SAFETY: the program's own call.
                return match unsafe { sys::host!(libc::SYS_mmap, at, len, prot, flags, fd, from) } {
                    Ok(at) => at as usize as *mut c_void,
                    Err(e) => {
                        set_errno(e.0);
                        libc::MAP_FAILED
                    }
                };
            }
            next!(
                $name,
                fn(*mut c_void, size_t, c_int, c_int, c_int, off_t) -> *mut c_void,
                at,
                len,
                prot,
                flags,
                fd,
                from
            )
        }
    };
}
mmap!(mmap);
mmap!(mmap64);

/// `isatty`: none of ours is.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn isatty(fd: c_int) -> c_int {
    if fds::ours(fd) {
        set_errno(libc::ENOTTY);
        return 0;
    }
    next!(isatty, fn(c_int) -> c_int, fd)
}

/// `closefrom`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn closefrom(first: c_int) {
    let args = [first.max(0) as u64, u64::from(u32::MAX), 0, 0, 0, 0];
    // SAFETY: no pointers.
    if unsafe { route::dispatch(libc::SYS_close_range as usize, &args) }.is_none() {
        // SAFETY: no pointers.
        let _closed = unsafe { sys::raw(libc::SYS_close_range as usize, &args) };
    }
}

/// `sockatmark`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn sockatmark(fd: c_int) -> c_int {
    const SIOCATMARK: u64 = 0x8905;
    if fds::ours(fd) {
        let mut answer: c_int = 0;
        let args = [fd as u64, SIOCATMARK, &raw mut answer as u64, 0, 0, 0];
        // SAFETY: the answer is an `int`.
        if let Some(ret) = unsafe { route::dispatch(libc::SYS_ioctl as usize, &args) } {
            return if ret < 0 { c_int::answer(ret) } else { answer };
        }
    }
    next!(sockatmark, fn(c_int) -> c_int, fd)
}

/// `isfdtype`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn isfdtype(fd: c_int, kind: c_int) -> c_int {
    if fds::kernel(fd) {
        let mut st = [0u64; 18];
        let args = [fd as u64, st.as_mut_ptr() as u64, 0, 0, 0, 0];
        // SAFETY: `struct stat` has 144 bytes.
        if let Some(ret) = unsafe { route::dispatch(libc::SYS_fstat as usize, &args) } {
            let mode = st[3] as u32;
            return if ret < 0 { c_int::answer(ret) } else { c_int::from(mode & libc::S_IFMT == kind as u32) };
        }
    }
    next!(isfdtype, fn(c_int, c_int) -> c_int, fd, kind)
}

/// `syscall`: any number. The arguments come in the registers of a function with fixed ones.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn syscall(nr: c_long, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> c_long {
    let args = [a, b, c, d, e, f];
    if let Some(ret) = fork::by_number(nr, &args) {
        return c_long::answer(ret);
    }
    if matches!(nr, libc::SYS_vfork | libc::SYS_clone | libc::SYS_clone3 | libc::SYS_rt_sigreturn) {
        // They come back twice, or not here.
        return next!(syscall, fn(c_long, u64, u64, u64, u64, u64, u64) -> c_long, nr, a, b, c, d, e, f);
    }
    if nr == libc::SYS_mmap {
        if let Some(mapped) = route::mmap(&args) {
            return c_long::answer(sys::uncheck(mapped));
        }
    }
    // SAFETY: the program's own call.
    let ret = unsafe { route::dispatch(nr as usize, &args).unwrap_or_else(|| trap::pass(nr as usize, &args)) };
    c_long::answer(ret)
}

macro_rules! fopen {
    ($name:ident) => {
        /// `fopen`: libc's own, whose system calls are trapped; where they are not, a copy of what is ours.
        ///
        /// # Safety
        /// As libc's.
        #[cfg_attr(not(test), no_mangle)]
        pub unsafe extern "C-unwind" fn $name(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
            if WITHOUT_TRAP.load(Ordering::Relaxed) && crate::door::open() {
                let t = thread::current();
                if t.depth.get() == 0 && !t.spawning.get() {
                    let inside = thread::Inside::enter(t);
                    let copy = paths::copy(path as u64);
                    drop(inside);
                    match copy {
                        // SAFETY: a descriptor that nobody else has.
                        Some(Ok(fd)) => return unsafe { libc::fdopen(fd, mode) },
                        Some(Err(e)) => {
                            set_errno(e);
                            return core::ptr::null_mut();
                        }
                        None => {}
                    }
                }
            }
            next!($name, fn(*const c_char, *const c_char) -> *mut libc::FILE, path, mode)
        }
    };
}
fopen!(fopen);
fopen!(fopen64);
