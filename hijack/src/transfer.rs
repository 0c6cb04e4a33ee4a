//! Moving bytes between a file of the host's and one of the kernel's: `sendfile`, `splice`.
//!
//! Bytes that the other side did not take must not be lost. A file is read at an offset, which moves on by what was
//! taken. A pipe is looked into with `tee`, and what was taken is read from it afterwards; a socket is looked into
//! with `MSG_PEEK`.

use crate::door;
use crate::fds;
use crate::mem;
use crate::route::host_nonblock;
use crate::sys::{self, host, Args};
use lkl_abi::{nr, Errno};

const CHUNK: usize = 128 * 1024;
/// What `sendfile` moves at most.
const MOST: u64 = 0x7fff_f000;
const MSG_PEEK: u64 = 2;
const MSG_DONTWAIT: u64 = 0x40;

fn errno(e: Errno) -> isize {
    -(e.0 as isize)
}

/// `sendfile` to one of our files.
pub(crate) fn sendfile(a: &Args) -> Option<isize> {
    let (to, from, offset_at, count) = (a[0] as i32, a[1] as i32, a[2], a[3].min(MOST));
    if fds::ours(from) {
        // As Linux: what is read must have pages.
        return Some(errno(if fds::kernel(from) { Errno::EINVAL } else { Errno::EBADF }));
    }
    if !fds::ours(to) {
        return None;
    }
    let start = if offset_at == 0 {
        // SAFETY: no pointers.
        unsafe { host!(libc::SYS_lseek, from, 0i64, libc::SEEK_CUR) }
    } else {
        mem::get::<u64>(offset_at)
    };
    let start = match start {
        Ok(start) => start,
        Err(e) => return Some(errno(if e == Errno::ESPIPE { Errno::EINVAL } else { e })),
    };
    // Not more than there is, so that the last piece is known to be the last and is not held back.
    let count = count.min(regular_size(from).map_or(count, |size| size.saturating_sub(start)));
    let mut buf = vec![0u8; CHUNK.min(count as usize)];
    let mut done = 0u64;
    let mut error = 0;
    while done < count {
        let want = buf.len().min((count - done) as usize);
        // SAFETY: the buffer has `want` bytes.
        let got = match unsafe { host!(libc::SYS_pread64, from, buf.as_mut_ptr(), want, start + done) } {
            Ok(0) => break,
            Ok(got) => got,
            Err(e) => {
                error = errno(e);
                break;
            }
        };
        let more = u64::from(done + got < count);
        let put = door::call(nr::SENDTO, [to as u64, buf.as_ptr() as u64, got, more * libc::MSG_MORE as u64, 0, 0]);
        if put < 0 {
            error = put;
            break;
        }
        done += put as u64;
        if (put as u64) < got {
            break;
        }
    }
    if offset_at == 0 {
        // SAFETY: no pointers.
        let _moved = unsafe { host!(libc::SYS_lseek, from, start + done, libc::SEEK_SET) };
    } else if mem::put(offset_at, &(start + done)).is_err() {
        return Some(errno(Errno::EFAULT));
    }
    Some(if done == 0 && error != 0 { error } else { done as isize })
}

/// The size of a regular file of the host's.
fn regular_size(fd: i32) -> Option<u64> {
    let mut st = [0u64; 18];
    // SAFETY: `struct stat` has 144 bytes.
    unsafe { host!(libc::SYS_fstat, fd, st.as_mut_ptr()) }.ok()?;
    let (mode, size) = (st[3] as u32, st[6]);
    (mode & libc::S_IFMT == libc::S_IFREG).then_some(size)
}

/// Waits for a descriptor of the host's. Signals interrupt it.
fn host_wait(fd: i32, events: i16) -> Result<(), isize> {
    let mut p = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one element.
    unsafe { host!(libc::SYS_poll, &raw mut p, 1usize, -1i32) }.map(drop).map_err(errno)
}

fn is_pipe(fd: i32) -> bool {
    let mut size = 0i32;
    // F_GETPIPE_SZ answers for pipes only.
    // SAFETY: no pointers.
    let r = unsafe { host!(libc::SYS_fcntl, fd, libc::F_GETPIPE_SZ) };
    if let Ok(n) = r {
        size = n as i32;
    }
    size > 0
}

/// `splice` between a pipe and one of our sockets.
pub(crate) fn splice(a: &Args) -> Option<isize> {
    let (from, to, len, flags) = (a[0] as i32, a[2] as i32, a[4] as usize, a[5]);
    let (from_ours, to_ours) = (fds::ours(from), fds::ours(to));
    if !from_ours && !to_ours {
        return None;
    }
    if from_ours && to_ours {
        return Some(errno(Errno::EINVAL));
    }
    if a[1] != 0 || a[3] != 0 {
        return Some(errno(Errno::ESPIPE));
    }
    let pipe = if from_ours { to } else { from };
    if !is_pipe(pipe) {
        return Some(errno(Errno::EINVAL));
    }
    if len == 0 {
        return Some(0);
    }
    let wait = flags & u64::from(libc::SPLICE_F_NONBLOCK) == 0;
    let r = if to_ours { pipe_to_socket(pipe, to, len, flags, wait) } else { socket_to_pipe(from, pipe, len, wait) };
    Some(r.unwrap_or_else(|e| e))
}

fn pipe_to_socket(pipe: i32, socket: i32, len: usize, flags: u64, wait: bool) -> Result<isize, isize> {
    if wait && !host_nonblock(pipe) {
        host_wait(pipe, libc::POLLIN)?;
    }
    let mut pair = [0i32; 2];
    // SAFETY: room for two descriptors.
    unsafe { host!(libc::SYS_pipe2, pair.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) }.map_err(errno)?;
    let look = || -> Result<Vec<u8>, isize> {
        // SAFETY: no pointers.
        let n =
            unsafe { host!(libc::SYS_tee, pipe, pair[1], len, u64::from(libc::SPLICE_F_NONBLOCK)) }.map_err(errno)?;
        let mut buf = vec![0u8; n as usize];
        // SAFETY: the buffer has this many bytes.
        let got = unsafe { host!(libc::SYS_read, pair[0], buf.as_mut_ptr(), buf.len()) };
        buf.truncate(if n == 0 { 0 } else { got.map_err(errno)? as usize });
        Ok(buf)
    };
    let looked = look();
    sys::close(pair[0]);
    sys::close(pair[1]);
    let mut buf = looked?;
    if buf.is_empty() {
        return Ok(0);
    }
    let more = if flags & u64::from(libc::SPLICE_F_MORE) != 0 { libc::MSG_MORE as u64 } else { 0 };
    let put = door::call(nr::SENDTO, [socket as u64, buf.as_ptr() as u64, buf.len() as u64, more, 0, 0]);
    if put > 0 {
        // What was taken leaves the pipe.
        // SAFETY: the buffer has at least as many bytes.
        let _taken = unsafe { host!(libc::SYS_read, pipe, buf.as_mut_ptr(), put) };
    }
    Ok(put)
}

fn socket_to_pipe(socket: i32, pipe: i32, len: usize, wait: bool) -> Result<isize, isize> {
    // An empty page is what a pipe takes without waiting when it says that it is writable.
    let mut buf = vec![0u8; len.min(4096)];
    // `SPLICE_F_NONBLOCK` is about the pipe; the socket has its own flag.
    let got = door::call(nr::RECVFROM, [socket as u64, buf.as_mut_ptr() as u64, buf.len() as u64, MSG_PEEK, 0, 0]);
    if got <= 0 {
        return Err(got);
    }
    let mut p = libc::pollfd { fd: pipe, events: libc::POLLOUT, revents: 0 };
    let patience = if wait && !host_nonblock(pipe) { -1i32 } else { 0 };
    // SAFETY: one element.
    if unsafe { host!(libc::SYS_poll, &raw mut p, 1usize, patience) }.map_err(errno)? == 0 {
        return Err(errno(Errno::EAGAIN));
    }
    // SAFETY: `got` bytes are in the buffer.
    let put = match unsafe { host!(libc::SYS_write, pipe, buf.as_ptr(), got) } {
        Ok(put) => put,
        Err(e) => {
            if e == Errno::EPIPE {
                crate::signal::raise(crate::signal::bit(libc::SIGPIPE));
            }
            return Err(errno(e));
        }
    };
    Ok(door::call(nr::RECVFROM, [socket as u64, buf.as_mut_ptr() as u64, put, MSG_DONTWAIT, 0, 0]))
}
