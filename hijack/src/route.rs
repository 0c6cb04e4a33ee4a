//! Whose call is it, the host's or the kernel's: by descriptor, by path, by the call itself. One function each.
//!
//! [`dispatch`] is the middle of the library. Hooks ([`crate::hooks`]), libc's own system calls ([`crate::trap`]) and
//! `syscall()` all come here with x86-64's number and arguments. It answers the call as the kernel does (`-errno`), or
//! `None`: then it is the host's, and whoever asked makes it.

use crate::door;
use crate::fds::{self, state};
use crate::mem;
use crate::paths::{calls, ids, mapped};
use crate::sys::{self, host, Args};
use crate::thread::{Inside, Thread};
use crate::{exec, handover, limits, mixed, paths, ring, signal, thread, transfer, tree, xlate};
use lkl_abi::{nr, Errno, Result};

/// Numbers that [`KIND`] covers.
pub(crate) const KINDS: usize = 512;

/// The call is never ours.
const HOST: u8 = 0;
/// It belongs to the owner of the descriptor in the first argument.
const BY_FD: u8 = 1;
/// [`dispatch`] must look closer.
const LOOK: u8 = 2;

const fn kinds() -> [u8; KINDS] {
    let mut k = [HOST; KINDS];
    let mut i = 0;
    while i < xlate::BY_FD.len() {
        k[xlate::BY_FD[i].0] = BY_FD;
        i += 1;
    }
    let by_fd = [
        libc::SYS_fstat,
        libc::SYS_getdents,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
    ];
    let mut i = 0;
    while i < by_fd.len() {
        k[by_fd[i] as usize] = BY_FD;
        i += 1;
    }
    let look = [
        libc::SYS_ioctl,
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_select,
        libc::SYS_pselect6,
        libc::SYS_epoll_create,
        libc::SYS_epoll_create1,
        libc::SYS_dup2,
        libc::SYS_dup3,
        libc::SYS_close_range,
        libc::SYS_sendfile,
        libc::SYS_splice,
        libc::SYS_tee,
        libc::SYS_vmsplice,
        libc::SYS_copy_file_range,
        libc::SYS_rt_sigaction,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_io_uring_setup,
        libc::SYS_exit_group,
        libc::SYS_prctl,
        libc::SYS_seccomp,
        libc::SYS_setrlimit,
        libc::SYS_prlimit64,
    ];
    let mut i = 0;
    while i < look.len() {
        k[look[i] as usize] = LOOK;
        i += 1;
    }
    let mut i = 0;
    while i < calls::CALLS.len() {
        k[calls::CALLS[i].number as usize] = LOOK;
        i += 1;
    }
    let mut i = 0;
    while i < calls::OTHERS.len() {
        k[calls::OTHERS[i] as usize] = LOOK;
        i += 1;
    }
    let mut i = 0;
    while i < ids::CALLS.len() {
        k[ids::CALLS[i] as usize] = LOOK;
        i += 1;
    }
    k
}

/// How the owner of each call is found.
pub(crate) static KIND: [u8; KINDS] = kinds();

/// Answers the call `number` if it is ours.
///
/// # Safety
/// The arguments are a program's own. Where the call is the kernel's, its pointers may be anything; what is passed to
/// the host must be what the host's call wants.
pub(crate) unsafe fn dispatch(number: usize, a: &Args) -> Option<isize> {
    match KIND.get(number) {
        Some(&BY_FD) if fds::ours(a[0] as i32) => {}
        Some(&LOOK) => {}
        _ => return None,
    }
    let t = thread::current();
    if t.depth.get() > 0 || !door::open() {
        return None;
    }
    let inside = Inside::enter(t);
    // SAFETY: by the caller's contract.
    let ret = unsafe { answer(t, number, a) };
    drop(inside);
    signal::deliver(t);
    ret
}

/// The same, inside the library. Nothing is held here when a call gives way to a signal handler or is cancelled.
///
/// # Safety
/// As [`dispatch`].
unsafe fn answer(t: &'static Thread, number: usize, a: &Args) -> Option<isize> {
    if t.spawning.get() {
        // SAFETY: by the caller's contract.
        return unsafe { exec::dispatch(t, number, a) };
    }
    if KIND[number] == BY_FD {
        match handover::take_over(number, a) {
            // Whoever asked makes the call, as any of the host's.
            Some(Ok(())) => return None,
            Some(Err(e)) => return Some(-(e.0 as isize)),
            None => {}
        }
        return Some(by_fd(number, a));
    }
    let fd0 = a[0] as i32;
    match number as i64 {
        libc::SYS_ioctl if fds::ours(fd0) => Some(by_fd(number, a)),
        libc::SYS_ioctl => local_ioctl(a),
        libc::SYS_socket => socket(a),
        libc::SYS_socketpair => socketpair(a),
        libc::SYS_poll => mixed::poll(a),
        libc::SYS_ppoll => mixed::ppoll(a),
        libc::SYS_select => mixed::select(a),
        libc::SYS_pselect6 => mixed::pselect(a),
        libc::SYS_epoll_create if (a[0] as i32) <= 0 => Some(-(Errno::EINVAL.0 as isize)),
        // Where there is no kernel to be had, files of the host's can still be waited for.
        libc::SYS_epoll_create => door::available().then(|| door::call(nr::EPOLL_CREATE1, [0; 6])),
        libc::SYS_epoll_create1 => door::available().then(|| door::call(nr::EPOLL_CREATE1, *a)),
        // SAFETY: no pointers.
        libc::SYS_dup2 => unsafe { dup_to(number, a, 0) },
        // SAFETY: no pointers.
        libc::SYS_dup3 => unsafe { dup_to(number, a, a[2]) },
        libc::SYS_close_range => Some(close_range(a[0] as u32, a[1] as u32, a[2], false)),
        libc::SYS_sendfile => transfer::sendfile(a),
        libc::SYS_splice => transfer::splice(a),
        libc::SYS_tee => transfer::tee(a),
        libc::SYS_vmsplice if fds::kernel(fd0) => Some(door::call(nr::VMSPLICE, *a)),
        libc::SYS_vmsplice => fds::ours(fd0).then_some(-(Errno::EBADF.0 as isize)),
        libc::SYS_copy_file_range => transfer::copy_file_range(a),
        libc::SYS_rt_sigaction => signal::sigaction(a),
        // SAFETY: by the caller's contract.
        libc::SYS_execve | libc::SYS_execveat => unsafe { exec::dispatch(t, number, a) },
        libc::SYS_exit_group => {
            door::finish(t);
            None
        }
        libc::SYS_prctl if fd0 == libc::PR_SET_SECCOMP => {
            door::seal();
            prepare(t)
        }
        libc::SYS_seccomp if fd0 != libc::SECCOMP_GET_ACTION_AVAIL as i32 => {
            door::seal();
            prepare(t)
        }
        libc::SYS_setrlimit => prepare(t).or_else(|| limits::change(t, number, a)),
        libc::SYS_prlimit64 if a[2] != 0 => prepare(t).or_else(|| limits::change(t, number, a)),
        // It would reach the host's network past every net.
        libc::SYS_io_uring_setup => Some(-(Errno::ENOSYS.0 as isize)),
        libc::SYS_fchdir if fds::ours(fd0) => Some(by_fd(number, a)),
        // SAFETY: by the caller's contract.
        _ => unsafe { paths::dispatch(number, a) },
    }
}

/// The process is about to take rights from itself, and goes on with the files that it has: what it needs to use them is made
/// while it can be.
fn prepare(t: &'static Thread) -> Option<isize> {
    if fds::any_kernel() && tree::any() && !door::direct() {
        if let Ok(caller) = door::caller(t) {
            caller.prepare();
        }
    }
    None
}

/// A call on a descriptor that is not the host's.
fn by_fd(number: usize, a: &Args) -> isize {
    let fd = a[0] as i32;
    if fds::get(fd) == state::PRIVATE {
        return -(Errno::EBADF.0 as isize);
    }
    match number as i64 {
        libc::SYS_fstat => fstat(fd, a[1]),
        libc::SYS_fchdir => paths::fchdir(fd),
        libc::SYS_getdents => getdents(a),
        libc::SYS_epoll_ctl => mixed::epoll_ctl(a),
        libc::SYS_epoll_wait => mixed::epoll_wait(fd, a[1], a[2] as i32, mixed::Timeout::Millis(a[3] as i32), 0, 8),
        libc::SYS_epoll_pwait => {
            mixed::epoll_wait(fd, a[1], a[2] as i32, mixed::Timeout::Millis(a[3] as i32), a[4], a[5])
        }
        libc::SYS_epoll_pwait2 => mixed::epoll_wait(fd, a[1], a[2] as i32, mixed::Timeout::Spec(a[3]), a[4], a[5]),
        libc::SYS_setsockopt => ring::setsockopt(a).unwrap_or_else(|| door::call(nr::SETSOCKOPT, *a)),
        libc::SYS_getsockopt => ring::getsockopt(a).unwrap_or_else(|| door::call(nr::GETSOCKOPT, *a)),
        _ => match xlate::generic(number) {
            Some(generic) => door::call(generic, *a),
            None => -(Errno::ENOSYS.0 as isize),
        },
    }
}

/// `getdents`: its entries are as long as those of `getdents64`, with the type in the last byte instead of before the name.
fn getdents(a: &Args) -> isize {
    use lkl_ops::UserMem;
    const LENGTH: u64 = 16;
    const TYPE: usize = 18;
    let ret = door::call(nr::GETDENTS64, *a);
    let (mut at, end) = (a[1], a[1].wrapping_add(ret.max(0) as u64));
    while at < end {
        let mut len = [0; 2];
        let mut entry = Vec::new();
        let read = mem::Own.read(at.wrapping_add(LENGTH), &mut len);
        let len = usize::from(u16::from_ne_bytes(len));
        if read.and_then(|()| mem::Own.append(at, len, &mut entry)).is_err() || len <= TYPE {
            return -(Errno::EFAULT.0 as isize);
        }
        let kind = entry.remove(TYPE);
        entry.push(kind);
        if mem::Own.write(at, &entry).is_err() {
            return -(Errno::EFAULT.0 as isize);
        }
        at += len as u64;
    }
    ret
}

/// `fstat`, in x86-64's form.
pub(crate) fn fstat(fd: i32, to: u64) -> isize {
    let mut generic = [0u8; xlate::STAT_SIZE];
    let ret = door::call(nr::FSTAT, [fd as u64, generic.as_mut_ptr() as u64, 0, 0, 0, 0]);
    if ret < 0 {
        return ret;
    }
    use lkl_ops::UserMem;
    sys::uncheck(mem::Own.write(to, &xlate::stat(&generic)).map(|()| 0))
}

/// `socket`: local sockets are the host's, every other family is the kernel's or nobody's. Nothing goes to the host's
/// network silently.
fn socket(a: &Args) -> Option<isize> {
    (a[0] as i32 != libc::AF_UNIX).then(|| door::call(nr::SOCKET, *a))
}

/// Requests about interfaces and routes on a local socket, which is the host's: `if_nametoindex` and others take the
/// first socket they get to ask by.
fn local_ioctl(a: &Args) -> Option<isize> {
    const ROUTES: core::ops::RangeInclusive<u64> = 0x890b..=0x890c;
    const DEVICES: core::ops::RangeInclusive<u64> = 0x8910..=0x89df;
    let request = a[1] & 0xffff_ffff;
    if !ROUTES.contains(&request) && !DEVICES.contains(&request) {
        return None;
    }
    let (mut domain, mut len) = (0i32, 4u32);
    // SAFETY: the answer is an `int`, as its length says.
    let asked =
        unsafe { host!(libc::SYS_getsockopt, a[0], libc::SOL_SOCKET, libc::SO_DOMAIN, &raw mut domain, &raw mut len) };
    if asked.is_err() || domain != libc::AF_UNIX {
        return None;
    }
    let kind = (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as u64;
    let fd = door::call(nr::SOCKET, [libc::AF_INET as u64, kind, 0, 0, 0, 0]);
    if fd < 0 {
        return Some(fd);
    }
    let answer = door::call(nr::IOCTL, [fd as u64, a[1], a[2], 0, 0, 0]);
    door::call(nr::CLOSE, [fd as u64, 0, 0, 0, 0, 0]);
    Some(answer)
}

fn socketpair(a: &Args) -> Option<isize> {
    (a[0] as i32 != libc::AF_UNIX).then(|| door::call(nr::SOCKETPAIR, *a))
}

/// `dup2`, `dup3`: each of the two numbers may be either's.
///
/// # Safety
/// None beyond the type's: it takes no pointers.
unsafe fn dup_to(number: usize, a: &Args, flags: u64) -> Option<isize> {
    let (from, to) = (a[0] as i32, a[1] as i32);
    let (f, t) = (fds::get(from), fds::get(to));
    if f == state::HOST && t == state::HOST {
        return None;
    }
    if f == state::PRIVATE || t == state::PRIVATE {
        return Some(-(Errno::EBADF.0 as isize));
    }
    if from == to {
        return Some(if number as i64 == libc::SYS_dup2 { to as isize } else { -(Errno::EINVAL.0 as isize) });
    }
    // SAFETY: no pointers.
    let at_host = || unsafe { sys::raw(number, a) };
    if f == state::HOST {
        // The kernel lets go of its file only if the host can put its own there.
        return Some(door::replace(to, f, at_host));
    }
    Some(door::call(nr::DUP3, [from as u64, to as u64, flags, 0, 0, 0]))
}

/// `close_range`: the kernel's files one by one, the host's around our own. With `hosts_only`, for a child that has our memory
/// but descriptors of its own, the kernel's are left to the host too.
pub(crate) fn close_range(first: u32, last: u32, flags: u64, hosts_only: bool) -> isize {
    const CLOEXEC: u64 = 4;
    const UNSHARE: u64 = 2;
    if first > last || flags & !(CLOEXEC | UNSHARE) != 0 {
        return -(Errno::EINVAL.0 as isize);
    }
    let clamp = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let mut gap = first;
    let host_range = |from: u32, to: u32| {
        if from > to {
            return 0;
        }
        // SAFETY: no pointers.
        unsafe { sys::raw(libc::SYS_close_range as usize, &[u64::from(from), u64::from(to), flags, 0, 0, 0]) }
    };
    for fd in fds::in_range(clamp(first), clamp(last)) {
        let ret = match fds::get(fd) {
            state::PRIVATE if fd as u32 > gap => host_range(gap, fd as u32 - 1),
            state::PRIVATE => 0,
            _ if flags & CLOEXEC != 0 || hosts_only => continue,
            _ => {
                // Its number may be another thread's host file as soon as it is closed: leave it out of the range.
                let before = if fd as u32 > gap { host_range(gap, fd as u32 - 1) } else { 0 };
                if before < 0 {
                    return before;
                }
                door::call(nr::CLOSE, [fd as u64, 0, 0, 0, 0, 0])
            }
        };
        if ret < 0 {
            return ret;
        }
        gap = fd as u32 + 1;
    }
    host_range(gap, last)
}

/// `mmap` of one of our files: a ring, or a copy of a file.
pub(crate) fn mmap(a: &Args) -> Option<Result<u64>> {
    let (flags, fd) = (a[3] as i32, a[4] as i32);
    if flags & libc::MAP_ANONYMOUS != 0 || !fds::ours(fd) {
        return None;
    }
    let t = thread::current();
    let inside = Inside::enter(t);
    let mapped = match fds::get(fd) {
        state::RING => ring::map(a[0], a[1] as usize, a[2] as i32, flags, fd).unwrap_or(Err(Errno::EINVAL)),
        state::KERNEL => mapped::map(a[0], a[1] as usize, a[2] as i32, flags, fd, a[5]),
        _ => Err(Errno::ENODEV),
    };
    drop(inside);
    signal::deliver(t);
    Some(mapped)
}
