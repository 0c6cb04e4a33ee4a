//! The symbols of libc that are hooked, one line each.
//!
//! A line says how the owner of the call is decided, and which system call it is:
//! * `fd`: by the descriptor in the first argument;
//! * `look`: [`crate::route::dispatch`] must look closer (paths, new files, several descriptors).
//!
//! A call that is the host's goes to the next definition of the symbol, libc's, so that cancellation, FORTIFY checks and
//! `errno` are libc's own business. Before [`resolve`] has run every hook makes the system call itself.
//!
//! `opt` marks what older libcs do not have. Hooks that need more than a line are in the modules below.

pub(crate) mod cancel;
mod fork;
mod ids;
mod io;
mod load;
mod process;
mod rights;
mod signals;

pub(crate) use process::_exit;

use crate::fds;
use crate::mixed;
use crate::route;
use crate::sys::{Arg, Args};
use crate::trap;
use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use libc::{
    epoll_event, fd_set, iovec, mode_t, nfds_t, off_t, pollfd, sigset_t, size_t, sockaddr, socklen_t, ssize_t,
    timespec, timeval,
};

/// The next definition of a symbol; nothing but its address.
#[repr(transparent)]
pub(crate) struct Real(AtomicPtr<c_void>);

impl Real {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> *mut c_void {
        self.0.load(Ordering::Relaxed)
    }

    /// Looks the symbol up; `name` ends with a nul.
    pub(crate) fn resolve(&self, name: &'static str, optional: bool) {
        let at = if optional {
            // SAFETY: a C string.
            unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) }
        } else {
            // SAFETY: a C string; every libc has the symbol.
            unsafe { redhook::ld_preload::dlsym_next(name) as *mut c_void }
        };
        self.0.store(at, Ordering::Release);
    }
}

/// What a libc function answers: -1 and `errno`, or the value.
pub(crate) trait Answer {
    fn answer(ret: isize) -> Self;
}

/// Sets `errno`.
pub(crate) fn set_errno(e: i32) {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() = e };
}

macro_rules! answers {
    ($($t:ty)*) => { $(impl Answer for $t {
        #[inline]
        fn answer(ret: isize) -> Self {
            if (-4095..0).contains(&ret) {
                set_errno(-ret as i32);
                -1
            } else {
                ret as $t
            }
        }
    })* };
}
answers!(i32 isize i64);

impl Answer for mode_t {
    fn answer(ret: isize) -> Self {
        ret as Self
    }
}

/// The host's call itself, with `errno`.
///
/// # Safety
/// As the call.
#[cold]
unsafe fn direct<R: Answer>(nr: c_long, args: &Args) -> R {
    // SAFETY: by the caller's contract.
    R::answer(unsafe { trap::pass(nr as usize, args) })
}

macro_rules! args {
    ($($a:expr),*) => {{
        // One by one: a copy of so few words would be a call.
        let mut given = [$(Arg::arg($a)),*].into_iter();
        let args: Args = core::array::from_fn(|_| given.next().unwrap_or(0));
        args
    }};
}

/// Is it sure to be the host's?
macro_rules! hosts {
    (fd $first:expr $(, $a:expr)*) => {
        !fds::ours(Arg::arg($first) as i32)
    };
    (poll $fds:expr, $n:expr $(, $a:expr)*) => {
        mixed::few_of_the_hosts(Arg::arg($fds), Arg::arg($n))
    };
    (look $first:expr $(, $a:expr)*) => {
        false
    };
}

macro_rules! is_opt {
    () => {
        false
    };
    (opt) => {
        true
    };
}

macro_rules! hooks {
    ($($how:ident $([$opt:ident])? $name:ident ($($p:ident : $t:ty),*) -> $r:ty = $nr:ident ($first:expr $(, $a:expr)*);)*) => {
        mod real {
            $(
                #[expect(non_upper_case_globals, reason = "the symbol's own name")]
                pub(super) static $name: super::Real = super::Real::new();
            )*
        }

        fn resolve_table() {
            $(real::$name.resolve(concat!(stringify!($name), "\0"), is_opt!($($opt)?));)*
        }

        $(
            #[doc = concat!("Stands before libc's `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As that function.
            #[cfg_attr(not(test), no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($p: $t),*) -> $r {
                let next = real::$name.get();
                if !(hosts!($how $first $(, $a)*)) || next.is_null() {
                    let args = args!($first $(, $a)*);
                    // SAFETY: the program's own arguments.
                    if let Some(ret) = unsafe { route::dispatch(libc::$nr as usize, &args) } {
                        return <$r as Answer>::answer(ret);
                    }
                    if next.is_null() {
                        // SAFETY: the same call, as libc would make it.
                        return unsafe { direct(libc::$nr, &args) };
                    }
                }
                // SAFETY: the definition of the same name that comes next, so it has this type.
                let next: unsafe extern "C-unwind" fn($($t),*) -> $r = unsafe { core::mem::transmute(next) };
                // SAFETY: the program's own arguments.
                unsafe { next($($p),*) }
            }
        )*
    };
}

unsafe extern "C-unwind" {
    fn __chk_fail() -> !;
}

/// The length of a FORTIFY form, if the buffer has room for it. If not, the program ends, as by libc's own.
fn fits(n: size_t, room: size_t) -> size_t {
    if n > room {
        // SAFETY: takes nothing, and does not come back.
        unsafe { __chk_fail() };
    }
    n
}

const AT_FDCWD: c_int = libc::AT_FDCWD;
const AT_EMPTY_PATH: c_int = 0x1000;
const EMPTY: *const c_char = c"".as_ptr();
const NSIG_BYTES: usize = 8;

hooks! {
    // Sockets.
    look socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int = SYS_socket(domain, kind, protocol);
    look socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int = SYS_socketpair(domain, kind, protocol, pair);
    fd bind(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int = SYS_bind(fd, addr, len);
    fd listen(fd: c_int, backlog: c_int) -> c_int = SYS_listen(fd, backlog);
    fd accept(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int = SYS_accept(fd, addr, len);
    fd accept4(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int = SYS_accept4(fd, addr, len, flags);
    fd connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int = SYS_connect(fd, addr, len);
    fd [opt] __connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int = SYS_connect(fd, addr, len);
    fd getsockname(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int = SYS_getsockname(fd, addr, len);
    fd getpeername(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int = SYS_getpeername(fd, addr, len);
    fd getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int = SYS_getsockopt(fd, level, name, value, len);
    fd setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int = SYS_setsockopt(fd, level, name, value, len);
    fd shutdown(fd: c_int, how: c_int) -> c_int = SYS_shutdown(fd, how);
    fd send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t = SYS_sendto(fd, buf, n, flags, 0u64, 0u64);
    fd [opt] __send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t = SYS_sendto(fd, buf, n, flags, 0u64, 0u64);
    fd sendto(fd: c_int, buf: *const c_void, n: size_t, flags: c_int, addr: *const sockaddr, len: socklen_t) -> ssize_t = SYS_sendto(fd, buf, n, flags, addr, len);
    fd recv(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int) -> ssize_t = SYS_recvfrom(fd, buf, n, flags, 0u64, 0u64);
    fd [opt] __recv_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t, flags: c_int) -> ssize_t = SYS_recvfrom(fd, buf, fits(n, room), flags, 0u64, 0u64);
    fd recvfrom(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> ssize_t = SYS_recvfrom(fd, buf, n, flags, addr, len);
    fd [opt] __recvfrom_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t, flags: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> ssize_t = SYS_recvfrom(fd, buf, fits(n, room), flags, addr, len);

    // Reading and writing.
    fd read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t = SYS_read(fd, buf, n);
    fd [opt] __read(fd: c_int, buf: *mut c_void, n: size_t) -> ssize_t = SYS_read(fd, buf, n);
    fd [opt] __read_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t) -> ssize_t = SYS_read(fd, buf, fits(n, room));
    fd write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t = SYS_write(fd, buf, n);
    fd [opt] __write(fd: c_int, buf: *const c_void, n: size_t) -> ssize_t = SYS_write(fd, buf, n);
    fd readv(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t = SYS_readv(fd, iov, n);
    fd writev(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t = SYS_writev(fd, iov, n);
    fd pread(fd: c_int, buf: *mut c_void, n: size_t, at: off_t) -> ssize_t = SYS_pread64(fd, buf, n, at);
    fd pread64(fd: c_int, buf: *mut c_void, n: size_t, at: off_t) -> ssize_t = SYS_pread64(fd, buf, n, at);
    fd [opt] __pread64(fd: c_int, buf: *mut c_void, n: size_t, at: off_t) -> ssize_t = SYS_pread64(fd, buf, n, at);
    fd [opt] __pread_chk(fd: c_int, buf: *mut c_void, n: size_t, at: off_t, room: size_t) -> ssize_t = SYS_pread64(fd, buf, fits(n, room), at);
    fd [opt] __pread64_chk(fd: c_int, buf: *mut c_void, n: size_t, at: off_t, room: size_t) -> ssize_t = SYS_pread64(fd, buf, fits(n, room), at);
    fd pwrite(fd: c_int, buf: *const c_void, n: size_t, at: off_t) -> ssize_t = SYS_pwrite64(fd, buf, n, at);
    fd pwrite64(fd: c_int, buf: *const c_void, n: size_t, at: off_t) -> ssize_t = SYS_pwrite64(fd, buf, n, at);
    fd preadv(fd: c_int, iov: *const iovec, n: c_int, at: off_t) -> ssize_t = SYS_preadv(fd, iov, n, at);
    fd preadv64(fd: c_int, iov: *const iovec, n: c_int, at: off_t) -> ssize_t = SYS_preadv(fd, iov, n, at);
    fd pwritev(fd: c_int, iov: *const iovec, n: c_int, at: off_t) -> ssize_t = SYS_pwritev(fd, iov, n, at);
    fd pwritev64(fd: c_int, iov: *const iovec, n: c_int, at: off_t) -> ssize_t = SYS_pwritev(fd, iov, n, at);
    fd [opt] preadv2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t = SYS_preadv2(fd, iov, n, at, 0u64, flags);
    fd [opt] preadv64v2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t = SYS_preadv2(fd, iov, n, at, 0u64, flags);
    fd [opt] pwritev2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t = SYS_pwritev2(fd, iov, n, at, 0u64, flags);
    fd [opt] pwritev64v2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t = SYS_pwritev2(fd, iov, n, at, 0u64, flags);
    look sendfile(to: c_int, from: c_int, at: *mut off_t, n: size_t) -> ssize_t = SYS_sendfile(to, from, at, n);
    look sendfile64(to: c_int, from: c_int, at: *mut off_t, n: size_t) -> ssize_t = SYS_sendfile(to, from, at, n);
    look splice(from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, n: size_t, flags: c_uint) -> ssize_t = SYS_splice(from, from_at, to, to_at, n, flags);
    look tee(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t = SYS_tee(from, to, n, flags);
    look vmsplice(fd: c_int, iov: *const iovec, n: size_t, flags: c_uint) -> ssize_t = SYS_vmsplice(fd, iov, n, flags);
    look [opt] copy_file_range(from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, n: size_t, flags: c_uint) -> ssize_t = SYS_copy_file_range(from, from_at, to, to_at, n, flags);

    // Descriptors.
    fd close(fd: c_int) -> c_int = SYS_close(fd);
    fd [opt] __close(fd: c_int) -> c_int = SYS_close(fd);
    look [opt] close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int = SYS_close_range(first, last, flags);
    fd dup(fd: c_int) -> c_int = SYS_dup(fd);
    look dup2(fd: c_int, to: c_int) -> c_int = SYS_dup2(fd, to);
    look [opt] __dup2(fd: c_int, to: c_int) -> c_int = SYS_dup2(fd, to);
    look dup3(fd: c_int, to: c_int, flags: c_int) -> c_int = SYS_dup3(fd, to, flags);
    // The last argument comes in the register of a fixed one, whether or not it is given.
    look ioctl(fd: c_int, request: u64, arg: u64) -> c_int = SYS_ioctl(fd, request, arg);
    look [opt] __ioctl(fd: c_int, request: u64, arg: u64) -> c_int = SYS_ioctl(fd, request, arg);
    fd fstat(fd: c_int, to: *mut libc::stat) -> c_int = SYS_fstat(fd, to);
    fd [opt] fstat64(fd: c_int, to: *mut libc::stat) -> c_int = SYS_fstat(fd, to);
    fd lseek(fd: c_int, at: off_t, whence: c_int) -> off_t = SYS_lseek(fd, at, whence);
    fd lseek64(fd: c_int, at: off_t, whence: c_int) -> off_t = SYS_lseek(fd, at, whence);
    fd [opt] __lseek(fd: c_int, at: off_t, whence: c_int) -> off_t = SYS_lseek(fd, at, whence);
    fd ftruncate(fd: c_int, size: off_t) -> c_int = SYS_ftruncate(fd, size);
    fd ftruncate64(fd: c_int, size: off_t) -> c_int = SYS_ftruncate(fd, size);
    fd fsync(fd: c_int) -> c_int = SYS_fsync(fd);
    fd fdatasync(fd: c_int) -> c_int = SYS_fdatasync(fd);
    fd syncfs(fd: c_int) -> c_int = SYS_syncfs(fd);
    fd flock(fd: c_int, op: c_int) -> c_int = SYS_flock(fd, op);
    fd fchmod(fd: c_int, mode: mode_t) -> c_int = SYS_fchmod(fd, mode);
    fd fchown(fd: c_int, uid: c_uint, gid: c_uint) -> c_int = SYS_fchown(fd, uid, gid);
    look fchdir(fd: c_int) -> c_int = SYS_fchdir(fd);
    fd fstatfs(fd: c_int, to: *mut c_void) -> c_int = SYS_fstatfs(fd, to);
    fd fstatfs64(fd: c_int, to: *mut c_void) -> c_int = SYS_fstatfs(fd, to);
    fd fallocate(fd: c_int, mode: c_int, at: off_t, n: off_t) -> c_int = SYS_fallocate(fd, mode, at, n);
    fd fallocate64(fd: c_int, mode: c_int, at: off_t, n: off_t) -> c_int = SYS_fallocate(fd, mode, at, n);

    // Waiting.
    poll poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int = SYS_poll(fds, n, timeout);
    poll [opt] __poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int = SYS_poll(fds, n, timeout);
    look [opt] __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int = SYS_poll(fds, fits(n as usize, room / size_of::<pollfd>()), timeout);
    look select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, timeout: *mut timeval) -> c_int = SYS_select(n, r, w, x, timeout);
    look [opt] __select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, timeout: *mut timeval) -> c_int = SYS_select(n, r, w, x, timeout);
    look epoll_create(size: c_int) -> c_int = SYS_epoll_create(size);
    look epoll_create1(flags: c_int) -> c_int = SYS_epoll_create1(flags);
    fd epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int = SYS_epoll_ctl(epfd, op, fd, event);
    fd epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int = SYS_epoll_wait(epfd, events, max, timeout);
    fd epoll_pwait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int, mask: *const sigset_t) -> c_int = SYS_epoll_pwait(epfd, events, max, timeout, mask, NSIG_BYTES);
    fd [opt] epoll_pwait2(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: *const timespec, mask: *const sigset_t) -> c_int = SYS_epoll_pwait2(epfd, events, max, timeout, mask, NSIG_BYTES);

    // Paths.
    look open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = SYS_openat(AT_FDCWD, path, flags, mode);
    look open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = SYS_openat(AT_FDCWD, path, flags, mode);
    look [opt] __open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = SYS_openat(AT_FDCWD, path, flags, mode);
    look [opt] __open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int = SYS_openat(AT_FDCWD, path, flags, mode);
    look [opt] __open_2(path: *const c_char, flags: c_int) -> c_int = SYS_openat(AT_FDCWD, path, flags);
    look [opt] __open64_2(path: *const c_char, flags: c_int) -> c_int = SYS_openat(AT_FDCWD, path, flags);
    look openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int = SYS_openat(dir, path, flags, mode);
    look openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int = SYS_openat(dir, path, flags, mode);
    look [opt] __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int = SYS_openat(dir, path, flags);
    look [opt] __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int = SYS_openat(dir, path, flags);
    look [opt] stat(path: *const c_char, to: *mut libc::stat) -> c_int = SYS_stat(path, to);
    look [opt] stat64(path: *const c_char, to: *mut libc::stat) -> c_int = SYS_stat(path, to);
    look [opt] lstat(path: *const c_char, to: *mut libc::stat) -> c_int = SYS_lstat(path, to);
    look [opt] lstat64(path: *const c_char, to: *mut libc::stat) -> c_int = SYS_lstat(path, to);
    look [opt] fstatat(dir: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int = SYS_newfstatat(dir, path, to, flags);
    look [opt] fstatat64(dir: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int = SYS_newfstatat(dir, path, to, flags);
    look [opt] __xstat(version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int = SYS_stat({ let _ = version; path }, to);
    look [opt] __xstat64(version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int = SYS_stat({ let _ = version; path }, to);
    look [opt] __lxstat(version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int = SYS_lstat({ let _ = version; path }, to);
    look [opt] __lxstat64(version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int = SYS_lstat({ let _ = version; path }, to);
    look [opt] __fxstat(version: c_int, fd: c_int, to: *mut libc::stat) -> c_int = SYS_newfstatat({ let _ = version; fd }, EMPTY, to, AT_EMPTY_PATH);
    look [opt] __fxstat64(version: c_int, fd: c_int, to: *mut libc::stat) -> c_int = SYS_newfstatat({ let _ = version; fd }, EMPTY, to, AT_EMPTY_PATH);
    look [opt] statx(dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut libc::statx) -> c_int = SYS_statx(dir, path, flags, mask, to);
    look access(path: *const c_char, mode: c_int) -> c_int = SYS_access(path, mode);
    look faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int = SYS_faccessat2(dir, path, mode, flags);
    look readlink(path: *const c_char, to: *mut c_char, n: size_t) -> ssize_t = SYS_readlink(path, to, n);
    look readlinkat(dir: c_int, path: *const c_char, to: *mut c_char, n: size_t) -> ssize_t = SYS_readlinkat(dir, path, to, n);
    look mkdir(path: *const c_char, mode: mode_t) -> c_int = SYS_mkdir(path, mode);
    look mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int = SYS_mkdirat(dir, path, mode);
    look rmdir(path: *const c_char) -> c_int = SYS_rmdir(path);
    look unlink(path: *const c_char) -> c_int = SYS_unlink(path);
    look unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int = SYS_unlinkat(dir, path, flags);
    look symlink(target: *const c_char, path: *const c_char) -> c_int = SYS_symlink(target, path);
    look symlinkat(target: *const c_char, dir: c_int, path: *const c_char) -> c_int = SYS_symlinkat(target, dir, path);
    look link(path: *const c_char, new: *const c_char) -> c_int = SYS_link(path, new);
    look linkat(dir: c_int, path: *const c_char, new_dir: c_int, new: *const c_char, flags: c_int) -> c_int = SYS_linkat(dir, path, new_dir, new, flags);
    look rename(path: *const c_char, new: *const c_char) -> c_int = SYS_rename(path, new);
    look renameat(dir: c_int, path: *const c_char, new_dir: c_int, new: *const c_char) -> c_int = SYS_renameat(dir, path, new_dir, new);
    look [opt] renameat2(dir: c_int, path: *const c_char, new_dir: c_int, new: *const c_char, flags: c_uint) -> c_int = SYS_renameat2(dir, path, new_dir, new, flags);
    look chmod(path: *const c_char, mode: mode_t) -> c_int = SYS_chmod(path, mode);
    look chown(path: *const c_char, uid: c_uint, gid: c_uint) -> c_int = SYS_chown(path, uid, gid);
    look lchown(path: *const c_char, uid: c_uint, gid: c_uint) -> c_int = SYS_lchown(path, uid, gid);
    look fchownat(dir: c_int, path: *const c_char, uid: c_uint, gid: c_uint, flags: c_int) -> c_int = SYS_fchownat(dir, path, uid, gid, flags);
    look utimensat(dir: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int = SYS_utimensat(dir, path, times, flags);
    look utimes(path: *const c_char, times: *const timeval) -> c_int = SYS_utimes(path, times);
    look truncate(path: *const c_char, size: off_t) -> c_int = SYS_truncate(path, size);
    look truncate64(path: *const c_char, size: off_t) -> c_int = SYS_truncate(path, size);
    look statfs(path: *const c_char, to: *mut c_void) -> c_int = SYS_statfs(path, to);
    look statfs64(path: *const c_char, to: *mut c_void) -> c_int = SYS_statfs(path, to);
    look setxattr(path: *const c_char, name: *const c_char, value: *const c_void, n: size_t, flags: c_int) -> c_int = SYS_setxattr(path, name, value, n, flags);
    look lsetxattr(path: *const c_char, name: *const c_char, value: *const c_void, n: size_t, flags: c_int) -> c_int = SYS_lsetxattr(path, name, value, n, flags);
    look getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, n: size_t) -> ssize_t = SYS_getxattr(path, name, value, n);
    look lgetxattr(path: *const c_char, name: *const c_char, value: *mut c_void, n: size_t) -> ssize_t = SYS_lgetxattr(path, name, value, n);
    look listxattr(path: *const c_char, names: *mut c_char, n: size_t) -> ssize_t = SYS_listxattr(path, names, n);
    look llistxattr(path: *const c_char, names: *mut c_char, n: size_t) -> ssize_t = SYS_llistxattr(path, names, n);
    look removexattr(path: *const c_char, name: *const c_char) -> c_int = SYS_removexattr(path, name);
    look lremovexattr(path: *const c_char, name: *const c_char) -> c_int = SYS_lremovexattr(path, name);
    look chdir(path: *const c_char) -> c_int = SYS_chdir(path);
    look inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int = SYS_inotify_add_watch(fd, path, mask);
    fd inotify_rm_watch(fd: c_int, watch: c_int) -> c_int = SYS_inotify_rm_watch(fd, watch);
    look umask(mask: mode_t) -> mode_t = SYS_umask(mask);
}

/// libc's own calls are not trapped.
static WITHOUT_TRAP: AtomicBool = AtomicBool::new(false);

/// Says that libc's own calls are not trapped: some functions must do more then.
pub(crate) fn without_trap() {
    WITHOUT_TRAP.store(true, Ordering::Release);
}

/// Looks up what the hooks stand before. Called once, in the constructor: later it could meet a lock of the loader's.
pub(crate) fn resolve() {
    resolve_table();
    ids::resolve();
    io::resolve();
    load::resolve();
    fork::resolve();
    process::resolve();
    rights::resolve();
    cancel::resolve();
    signals::resolve();
}

/// Is `name` one that a libc has? For tests.
#[cfg(test)]
fn has(name: &core::ffi::CStr) -> bool {
    // SAFETY: a C string.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_libcs() {
        resolve();
        assert!(has(c"accept4") && !real::accept4.get().is_null());
    }
}
