//! The few calls of the host that rustix does not have in the form needed here.
//!
//! They are made directly: `hijack` exports `ppoll`, `readv` and the like, so libc's names would end there.

use crate::signal::Info;
use core::ffi::c_void;
use lkl_abi::{Errno, Result};
use std::os::fd::RawFd;

#[cfg(target_arch = "x86_64")]
unsafe fn syscall(nr: libc::c_long, a: [usize; 5]) -> isize {
    let ret: isize;
    // SAFETY: the convention of x86-64's `syscall`; what the call does with the arguments is the caller's concern.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") nr as isize => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

#[cfg(target_arch = "aarch64")]
unsafe fn syscall(nr: libc::c_long, a: [usize; 5]) -> isize {
    let ret: isize;
    // SAFETY: the convention of AArch64's `svc 0`; what the call does with the arguments is the caller's concern.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") nr,
            inlateout("x0") a[0] => ret,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4],
            options(nostack),
        );
    }
    ret
}

fn check(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| Errno(i32::try_from(-ret).unwrap_or(libc::EIO)))
}

/// `ppoll`; `sigmask` is the kernel's set of 8 bytes.
pub(crate) fn ppoll(
    fds: &mut [libc::pollfd],
    timeout: Option<core::time::Duration>,
    sigmask: Option<u64>,
) -> Result<usize> {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let ts = timeout.map_or(core::ptr::null_mut(), |t| {
        ts.tv_sec = libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX);
        ts.tv_nsec = libc::c_long::from(t.subsec_nanos() as i32);
        &raw mut ts
    });
    let mask = sigmask.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the array, the time-out and the mask live through the call, with the sizes given; a null one means none.
    check(unsafe { syscall(libc::SYS_ppoll, [fds.as_mut_ptr() as usize, fds.len(), ts as usize, mask as usize, 8]) })
}

/// `readv` into memory that need not be initialised; answers how many bytes are now.
///
/// # Safety
/// Each element must be memory that may be written.
pub(crate) unsafe fn readv(fd: RawFd, iov: &mut [libc::iovec]) -> Result<usize> {
    // SAFETY: the caller's promise.
    check(unsafe { syscall(libc::SYS_readv, [fd as usize, iov.as_mut_ptr() as usize, iov.len(), 0, 0]) })
}

/// `ioctl`
///
/// # Safety
/// `arg` must be what `request` wants.
pub(crate) unsafe fn ioctl(fd: RawFd, request: u32, arg: *mut c_void) -> Result<usize> {
    // SAFETY: the caller's promise.
    check(unsafe { syscall(libc::SYS_ioctl, [fd as usize, request as usize, arg as usize, 0, 0]) })
}

/// `write`, for messages: what cannot be written is lost.
pub(crate) fn write(fd: RawFd, data: &[u8]) -> Result<usize> {
    // SAFETY: the buffer lives through the call.
    check(unsafe { syscall(libc::SYS_write, [fd as usize, data.as_ptr() as usize, data.len(), 0, 0]) })
}

/// `read` into `buf`.
pub(crate) fn read(fd: RawFd, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer lives through the call.
    check(unsafe { syscall(libc::SYS_read, [fd as usize, buf.as_mut_ptr() as usize, buf.len(), 0, 0]) })
}

/// `close`, for a number that the caller owns.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: no memory is touched.
    let _gone = unsafe { syscall(libc::SYS_close, [fd as usize, 0, 0, 0, 0]) };
}

/// `fcntl(fd, F_DUPFD_CLOEXEC, min)`
pub(crate) fn dup_above(fd: RawFd, min: i32) -> Result<RawFd> {
    // SAFETY: no memory is touched.
    let to =
        check(unsafe { syscall(libc::SYS_fcntl, [fd as usize, libc::F_DUPFD_CLOEXEC as usize, min as usize, 0, 0]) })?;
    RawFd::try_from(to).map_err(|_| Errno::EMFILE)
}

/// A lock of one byte of a file, in the name of the open file (`man 2 fcntl`, OFD).
fn byte_lock(fd: RawFd, command: i32, kind: i32, byte: u64) -> Result<libc::flock> {
    // SAFETY: a struct of integers.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = byte as libc::off_t;
    lock.l_len = 1;
    // SAFETY: the struct lives through the call.
    check(unsafe { syscall(libc::SYS_fcntl, [fd as usize, command as usize, &raw mut lock as usize, 0, 0]) })?;
    Ok(lock)
}

/// Locks a byte together with others. `EAGAIN` if somebody has it alone.
pub(crate) fn ofd_lock_shared(fd: RawFd, byte: u64) -> Result<()> {
    byte_lock(fd, libc::F_OFD_SETLK, libc::F_RDLCK, byte).map(drop)
}

/// Does anybody else have a lock of the byte?
pub(crate) fn ofd_locked_by_others(fd: RawFd, byte: u64) -> Result<bool> {
    byte_lock(fd, libc::F_OFD_GETLK, libc::F_WRLCK, byte).map(|lock| i32::from(lock.l_type) != libc::F_UNLCK)
}

/// `setsockopt`
pub(crate) fn set_option(fd: RawFd, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let (at, len) = (value.as_ptr() as usize, value.len());
    // SAFETY: the value lives through the call, with the length given.
    check(unsafe { syscall(libc::SYS_setsockopt, [fd as usize, level as usize, name as usize, at, len]) }).map(drop)
}

/// Takes the error that a socket has for whoever asks next (`SO_ERROR`).
///
/// # Errors
/// `ENOTSOCK`, `EBADF`
pub(crate) fn take_error(fd: RawFd) -> Result<()> {
    let (mut error, mut len) = (0i32, 4u32);
    let (at, len_at) = ((&raw mut error) as usize, (&raw mut len) as usize);
    let args = [fd as usize, libc::SOL_SOCKET as usize, libc::SO_ERROR as usize, at, len_at];
    // SAFETY: room for an `int`, and its length.
    check(unsafe { syscall(libc::SYS_getsockopt, args) }).map(drop)
}

/// `bind`, to an address in the form of its family.
pub(crate) fn bind(fd: RawFd, address: &[u8]) -> Result<()> {
    // SAFETY: the address lives through the call, with the length given.
    check(unsafe { syscall(libc::SYS_bind, [fd as usize, address.as_ptr() as usize, address.len(), 0, 0]) }).map(drop)
}

/// The soft limit of open files.
pub(crate) fn nofile() -> u64 {
    let mut limit = [1024u64; 2];
    // SAFETY: `struct rlimit64` is two 64-bit numbers.
    let _ok =
        unsafe { syscall(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, 0, limit.as_mut_ptr() as usize, 0]) };
    limit[0]
}

/// Sets the calling thread's signal mask; answers the old one.
pub(crate) fn set_sigmask(set: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both sets are 8 bytes, as the last argument says.
    let _ok = unsafe {
        syscall(
            libc::SYS_rt_sigprocmask,
            [libc::SIG_SETMASK as usize, &raw const set as usize, &raw mut old as usize, 8, 0],
        )
    };
    old
}

/// `kill`; with signal 0 it only asks.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no memory is touched.
    check(unsafe { syscall(libc::SYS_kill, [pid as usize, signal as usize, 0, 0, 0]) }).map(drop)
}

/// `rt_sigqueueinfo`
pub(crate) fn queue_signal(pid: i32, info: &Info) -> Result<()> {
    let (signal, info) = (info.signal() as usize, core::ptr::from_ref(info) as usize);
    // SAFETY: a `siginfo_t`, which has 128 bytes.
    check(unsafe { syscall(libc::SYS_rt_sigqueueinfo, [pid as usize, signal, info, 0, 0]) }).map(drop)
}

/// `rt_tgsigqueueinfo`
pub(crate) fn queue_to_thread(process: i32, thread: i32, info: &Info) -> Result<()> {
    let (signal, info) = (info.signal() as usize, core::ptr::from_ref(info) as usize);
    // SAFETY: a `siginfo_t`, which has 128 bytes.
    check(unsafe { syscall(libc::SYS_rt_tgsigqueueinfo, [process as usize, thread as usize, signal, info, 0]) })
        .map(drop)
}

/// `signalfd4`: a new one, that never blocks, if `fd` is -1.
pub(crate) fn signalfd(fd: RawFd, mask: u64) -> Result<RawFd> {
    let flags = (libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) as usize;
    // SAFETY: the set is 8 bytes, as the third argument says, and lives through the call.
    let fd = check(unsafe { syscall(libc::SYS_signalfd4, [fd as usize, &raw const mask as usize, 8, flags, 0]) })?;
    RawFd::try_from(fd).map_err(|_| Errno::EMFILE)
}

/// `epoll_create1`
pub(crate) fn epoll_create() -> Result<RawFd> {
    // SAFETY: no memory is touched.
    let fd = check(unsafe { syscall(libc::SYS_epoll_create1, [libc::EPOLL_CLOEXEC as usize, 0, 0, 0, 0]) })?;
    RawFd::try_from(fd).map_err(|_| Errno::EMFILE)
}

/// Adds `fd` to an epoll instance, which tells each time that it becomes readable.
pub(crate) fn epoll_add_edge(epoll: RawFd, fd: RawFd) -> Result<()> {
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: fd as u64 };
    let (op, event) = (libc::EPOLL_CTL_ADD as usize, &raw mut event as usize);
    // SAFETY: the event lives through the call.
    check(unsafe { syscall(libc::SYS_epoll_ctl, [epoll as usize, op, fd as usize, event, 0]) }).map(drop)
}

/// What an epoll instance has to tell at this moment, as the numbers that were added; answers how many.
pub(crate) fn epoll_new<const N: usize>(epoll: RawFd, fds: &mut [RawFd; N]) -> usize {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; N];
    // SAFETY: there is room for so many events, and no set of signals is given.
    let n = check(unsafe { syscall(libc::SYS_epoll_pwait, [epoll as usize, events.as_mut_ptr() as usize, N, 0, 0]) });
    for (to, event) in fds.iter_mut().zip(events) {
        *to = event.u64 as RawFd;
    }
    n.unwrap_or(0)
}
