//! Moving bytes between a file of the host's and one of the kernel's: `sendfile`, `splice`, and what `tee` and
//! `copy_file_range` answer. Arguments are looked at in Linux's order (`do_sendfile`, `do_splice`). Where both are the kernel's, so
//! is the call.
//!
//! Bytes that the other side did not take must not be lost. A file is read at an offset, which moves on by what was
//! taken. A pipe is looked into with `tee`, and what was taken is read from it afterwards; a socket is looked into
//! with `MSG_PEEK`.

use crate::door;
use crate::fds;
use crate::mem;
use crate::sys::{self, host, Args};
use lkl_abi::{nr, Errno};

const CHUNK: usize = 128 * 1024;
/// What `sendfile` moves at most.
const MOST: u64 = 0x7fff_f000;
/// The flags that `splice` and `tee` know.
const SPLICE_ALL: u64 = 0xf;
/// What a pipe takes at least when it says that it is writable.
const PAGE: usize = 4096;
const MSG_PEEK: u64 = 2;
const MSG_DONTWAIT: u64 = 0x40;

fn errno(e: Errno) -> isize {
    -(e.0 as isize)
}

/// What one end of a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A pipe of the host's.
    Pipe,
    /// Another file of the host's.
    Host,
    /// A socket of ours.
    Socket,
    /// A file of ours with an offset: on an image, below `/proc` or `/sys`.
    File,
    /// An epoll instance, which cannot be read or written.
    Epoll,
}

#[derive(Clone, Copy, Debug)]
struct End {
    fd: i32,
    kind: Kind,
    flags: i32,
}

impl End {
    /// What is open at `fd`.
    fn of(fd: i32) -> Result<Self, isize> {
        let ours = fds::ours(fd);
        let flags = if !ours {
            // SAFETY: no pointers.
            unsafe { host!(libc::SYS_fcntl, fd, libc::F_GETFL) }.map_err(errno)? as i32
        } else if fds::kernel(fd) {
            i32::try_from(answer(door::call(nr::FCNTL, [fd as u64, libc::F_GETFL as u64, 0, 0, 0, 0]))?).unwrap_or(0)
        } else {
            return Err(errno(Errno::EBADF));
        };
        let kind = match (ours, fds::epoll(fd)) {
            (false, _) if is_pipe(fd) => Kind::Pipe,
            (false, _) => Kind::Host,
            (true, true) => Kind::Epoll,
            (true, false) if is_socket(fd) => Kind::Socket,
            (true, false) => Kind::File,
        };
        Ok(Self { fd, kind, flags })
    }

    fn mode(self) -> i32 {
        self.flags & libc::O_ACCMODE
    }

    /// `EBADF` unless it is open for reading.
    fn readable(self) -> Result<Self, isize> {
        if self.mode() == libc::O_WRONLY {
            Err(errno(Errno::EBADF))
        } else {
            Ok(self)
        }
    }

    /// `EBADF` unless it is open for writing.
    fn writable(self) -> Result<Self, isize> {
        if self.mode() == libc::O_RDONLY {
            Err(errno(Errno::EBADF))
        } else {
            Ok(self)
        }
    }

    fn waits(self) -> bool {
        self.flags & libc::O_NONBLOCK == 0
    }
}

/// A system call's answer, as a result.
fn answer(ret: isize) -> Result<u64, isize> {
    u64::try_from(ret).map_err(|_| ret)
}

fn is_socket(fd: i32) -> bool {
    let (mut kind, mut len) = (0i32, 4u32);
    let at = [&raw mut kind as u64, &raw mut len as u64];
    let args = [fd as u64, libc::SOL_SOCKET as u64, libc::SO_TYPE as u64, at[0], at[1], 0];
    door::call(nr::GETSOCKOPT, args) >= 0
}

/// Is either of the two ours?
fn concerns(a: i32, b: i32) -> bool {
    fds::ours(a) || fds::ours(b)
}

/// Are both the kernel's?
fn both(a: i32, b: i32) -> bool {
    fds::kernel(a) && fds::kernel(b)
}

/// `sendfile` from or to one of our files.
pub(crate) fn sendfile(a: &Args) -> Option<isize> {
    concerns(a[0] as i32, a[1] as i32).then(|| try_sendfile(a).unwrap_or_else(|e| e))
}

fn try_sendfile(a: &Args) -> Result<isize, isize> {
    let (offset_at, count) = (a[2], a[3]);
    let given = if offset_at == 0 { None } else { Some(mem::get::<u64>(offset_at).map_err(errno)? as i64) };
    let from = End::of(a[1] as i32)?.readable()?;
    // What is read through memory must have pages: the offset of a socket is nobody's.
    let seekable = match from.kind {
        Kind::Socket | Kind::Epoll | Kind::Pipe => false,
        Kind::File => true,
        // SAFETY: no pointers.
        Kind::Host => unsafe { host!(libc::SYS_lseek, from.fd, 0i64, libc::SEEK_CUR) }.is_ok(),
    };
    if given.is_some() && !seekable {
        return Err(errno(Errno::ESPIPE));
    }
    if (count as i64) < 0 || given.is_some_and(|at| at < 0) {
        return Err(errno(Errno::EINVAL));
    }
    let to = End::of(a[0] as i32)?.writable()?;
    let count = count.min(MOST);
    if to.kind == Kind::Pipe {
        return to_pipe(from, to.fd, offset_at, count as usize, to.waits());
    }
    if !seekable || to.kind == Kind::Epoll || to.flags & libc::O_APPEND != 0 {
        return Err(errno(Errno::EINVAL));
    }
    copy(from, to, offset_at, given, count)
}

/// Copies from a file with an offset, the host's or ours, to one of ours, or from one of ours to the host's.
fn copy(from: End, to: End, offset_at: u64, given: Option<i64>, count: u64) -> Result<isize, isize> {
    let seek = |at: u64, whence: i32| match from.kind {
        Kind::File => answer(door::call(nr::LSEEK, [from.fd as u64, at, whence as u64, 0, 0, 0])),
        // SAFETY: no pointers.
        _ => unsafe { host!(libc::SYS_lseek, from.fd, at, whence) }.map_err(errno),
    };
    let start = match given {
        Some(at) => at as u64,
        None => seek(0, libc::SEEK_CUR)?,
    };
    // Not more than there is, so that the last piece is known to be the last and is not held back.
    let size = if from.kind == Kind::Host { regular_size(from.fd) } else { None };
    let count = count.min(size.map_or(count, |size| size.saturating_sub(start)));
    let mut buf = vec![0u8; CHUNK.min(count as usize)];
    let mut done = 0u64;
    let mut error = 0;
    while done < count {
        let want = buf.len().min((count - done) as usize);
        let at = start + done;
        let got = match from.kind {
            Kind::File => {
                // A directory has no content to send.
                let got = door::call(nr::PREAD64, [from.fd as u64, buf.as_mut_ptr() as u64, want as u64, at, 0, 0]);
                answer(if got == errno(Errno::EISDIR) { errno(Errno::EINVAL) } else { got })
            }
            // SAFETY: the buffer has `want` bytes.
            _ => unsafe { host!(libc::SYS_pread64, from.fd, buf.as_mut_ptr(), want, at) }.map_err(errno),
        };
        let put = match got {
            Ok(0) => break,
            Ok(got) => {
                let more = u64::from(done + got < count) * libc::MSG_MORE as u64;
                let at = buf.as_ptr() as u64;
                let put = match to.kind {
                    Kind::Socket => answer(door::call(nr::SENDTO, [to.fd as u64, at, got, more, 0, 0])),
                    Kind::File => answer(door::call(nr::WRITE, [to.fd as u64, at, got, 0, 0, 0])),
                    // SAFETY: the buffer has `got` bytes.
                    _ => unsafe { host!(libc::SYS_write, to.fd, at, got) }.map_err(errno),
                };
                put.map(|put| (put, put < got))
            }
            Err(e) => Err(e),
        };
        match put {
            Ok((put, short)) => {
                done += put;
                // A file of ours says with the rest why it has not taken all: the limit of its length is told by a signal.
                if short && (to.kind != Kind::File || put == 0) {
                    break;
                }
            }
            Err(e) => {
                error = e;
                break;
            }
        }
    }
    if offset_at != 0 {
        mem::put(offset_at, &(start + done)).map_err(errno)?;
    } else if done > 0 {
        let _moved = seek(start + done, libc::SEEK_SET);
    }
    Ok(if done == 0 && error != 0 { error } else { done as isize })
}

/// What `tee` answers where one end is ours: it is for pipes only.
pub(crate) fn tee(a: &Args) -> Option<isize> {
    if both(a[0] as i32, a[1] as i32) {
        return Some(door::call(nr::TEE, *a));
    }
    concerns(a[0] as i32, a[1] as i32).then(|| {
        if a[3] & !SPLICE_ALL != 0 {
            return errno(Errno::EINVAL);
        }
        if a[2] == 0 {
            return 0;
        }
        let ends = End::of(a[0] as i32).and_then(|from| End::of(a[1] as i32).map(|to| (from, to)));
        match ends.and_then(|(from, to)| from.readable().and(to.writable())) {
            Ok(_) => errno(Errno::EINVAL),
            Err(e) => e,
        }
    })
}

/// What `copy_file_range` answers where one end is ours: both must be files, on one file system.
pub(crate) fn copy_file_range(a: &Args) -> Option<isize> {
    if both(a[0] as i32, a[2] as i32) {
        return Some(door::call(nr::COPY_FILE_RANGE, *a));
    }
    concerns(a[0] as i32, a[2] as i32).then(|| {
        let check = || {
            let (from, to) = (End::of(a[0] as i32)?, End::of(a[2] as i32)?);
            for at in [a[1], a[3]] {
                if at != 0 {
                    mem::get::<u64>(at).map_err(errno)?;
                }
            }
            let regular = |e: End| e.kind == Kind::File || e.kind == Kind::Host && regular_size(e.fd).is_some();
            if a[5] != 0 || !regular(from) || !regular(to) {
                return Err(errno(Errno::EINVAL));
            }
            let _checked = (from.readable()?, to.writable()?);
            if to.flags & libc::O_APPEND != 0 {
                return Err(errno(Errno::EBADF));
            }
            Err(errno(Errno::EXDEV))
        };
        check().unwrap_or_else(|e| e)
    })
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

/// `splice` between a pipe and one of our files.
pub(crate) fn splice(a: &Args) -> Option<isize> {
    if both(a[0] as i32, a[2] as i32) {
        return Some(door::call(nr::SPLICE, *a));
    }
    concerns(a[0] as i32, a[2] as i32).then(|| try_splice(a).unwrap_or_else(|e| e))
}

fn try_splice(a: &Args) -> Result<isize, isize> {
    let (from_at, to_at, len, flags) = (a[1], a[3], a[4] as usize, a[5]);
    if len == 0 {
        return Ok(0);
    }
    if flags & !SPLICE_ALL != 0 {
        return Err(errno(Errno::EINVAL));
    }
    let (from, to) = (End::of(a[0] as i32)?, End::of(a[2] as i32)?);
    if from.kind == Kind::Pipe && from_at != 0 || to.kind == Kind::Pipe && to_at != 0 {
        return Err(errno(Errno::ESPIPE));
    }
    for at in [to_at, from_at] {
        if at != 0 {
            mem::get::<u64>(at).map_err(errno)?;
        }
    }
    let (from, to) = (from.readable()?, to.writable()?);
    let wait = flags & u64::from(libc::SPLICE_F_NONBLOCK) == 0;
    match (from.kind, to.kind) {
        // A socket has no place to start at.
        (Kind::Pipe, Kind::Socket) if to_at == 0 => pipe_to_socket(from.fd, to.fd, len, flags, wait && from.waits()),
        (Kind::Pipe, Kind::File) if to.flags & libc::O_APPEND == 0 => {
            pipe_to_file(from.fd, to.fd, to_at, len, wait && from.waits())
        }
        (Kind::Socket, Kind::Pipe) if from_at == 0 => socket_to_pipe(from.fd, to.fd, len, wait && to.waits()),
        (Kind::File, Kind::Pipe) => to_pipe(from, to.fd, from_at, len, wait && to.waits()),
        _ => Err(errno(Errno::EINVAL)),
    }
}

/// Moves from one of our files to a pipe.
fn to_pipe(from: End, pipe: i32, offset_at: u64, len: usize, wait: bool) -> Result<isize, isize> {
    match from.kind {
        Kind::Socket => socket_to_pipe(from.fd, pipe, len, wait),
        Kind::File => file_to_pipe(from.fd, pipe, offset_at, len, wait),
        _ => Err(errno(Errno::EINVAL)),
    }
}

/// Waits until a pipe takes a page, or answers `EAGAIN`.
fn room_in(pipe: i32, wait: bool) -> Result<(), isize> {
    let mut p = libc::pollfd { fd: pipe, events: libc::POLLOUT, revents: 0 };
    let patience = if wait { -1i32 } else { 0 };
    // SAFETY: one element.
    if unsafe { host!(libc::SYS_poll, &raw mut p, 1usize, patience) }.map_err(errno)? == 0 {
        return Err(errno(Errno::EAGAIN));
    }
    Ok(())
}

fn write_pipe(pipe: i32, bytes: &[u8]) -> Result<u64, isize> {
    // SAFETY: a slice.
    unsafe { host!(libc::SYS_write, pipe, bytes.as_ptr(), bytes.len()) }.map_err(|e| {
        if e == Errno::EPIPE {
            crate::signal::raise(crate::signal::bit(libc::SIGPIPE));
        }
        errno(e)
    })
}

fn file_to_pipe(file: i32, pipe: i32, offset_at: u64, len: usize, wait: bool) -> Result<isize, isize> {
    let start = if offset_at == 0 {
        answer(door::call(nr::LSEEK, [file as u64, 0, libc::SEEK_CUR as u64, 0, 0, 0]))?
    } else {
        mem::get::<u64>(offset_at).map_err(errno)?
    };
    let mut buf = vec![0u8; len.min(PAGE)];
    let args = [file as u64, buf.as_mut_ptr() as u64, buf.len() as u64, start, 0, 0];
    let got = answer(door::call(nr::PREAD64, args))? as usize;
    if got == 0 {
        return Ok(0);
    }
    room_in(pipe, wait)?;
    let put = write_pipe(pipe, &buf[..got])?;
    if offset_at == 0 {
        door::call(nr::LSEEK, [file as u64, start + put, libc::SEEK_SET as u64, 0, 0, 0]);
    } else {
        mem::put(offset_at, &(start + put)).map_err(errno)?;
    }
    Ok(put as isize)
}

fn pipe_to_socket(pipe: i32, socket: i32, len: usize, flags: u64, wait: bool) -> Result<isize, isize> {
    let more = if flags & u64::from(libc::SPLICE_F_MORE) != 0 { libc::MSG_MORE as u64 } else { 0 };
    from_pipe(pipe, len, wait, |buf| {
        door::call(nr::SENDTO, [socket as u64, buf.as_ptr() as u64, buf.len() as u64, more, 0, 0])
    })
}

/// Moves from a pipe to one of our files, at the offset that is at an address or where it stands.
fn pipe_to_file(pipe: i32, file: i32, offset_at: u64, len: usize, wait: bool) -> Result<isize, isize> {
    let at = if offset_at == 0 { None } else { Some(mem::get::<u64>(offset_at).map_err(errno)?) };
    let write = |buf: &[u8], done: u64| {
        let (from, count) = (buf.as_ptr() as u64, buf.len() as u64);
        match at {
            None => door::call(nr::WRITE, [file as u64, from, count, 0, 0, 0]),
            Some(at) => door::call(nr::PWRITE64, [file as u64, from, count, at + done, 0, 0]),
        }
    };
    let put = from_pipe(pipe, len, wait, |buf| {
        let mut done = 0;
        while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
            match write(rest, done as u64) {
                put if put > 0 => done += put as usize,
                put if done == 0 => return put,
                // The rest has said why it is not taken.
                _ => break,
            }
        }
        done as isize
    })?;
    if let Some(at) = at {
        mem::put(offset_at, &(at + put.max(0) as u64)).map_err(errno)?;
    }
    Ok(put)
}

/// Gives what is in a pipe to `put`, which answers as a system call does how much of it was taken.
fn from_pipe(pipe: i32, len: usize, wait: bool, put: impl FnOnce(&[u8]) -> isize) -> Result<isize, isize> {
    if wait {
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
    let put = put(&buf);
    if put > 0 {
        // What was taken leaves the pipe.
        // SAFETY: the buffer has at least as many bytes.
        let _taken = unsafe { host!(libc::SYS_read, pipe, buf.as_mut_ptr(), put) };
    }
    Ok(put)
}

fn socket_to_pipe(socket: i32, pipe: i32, len: usize, wait: bool) -> Result<isize, isize> {
    // An empty page is what a pipe takes without waiting when it says that it is writable.
    let mut buf = vec![0u8; len.min(PAGE)];
    // `SPLICE_F_NONBLOCK` is about the pipe; the socket has its own flag.
    let got = door::call(nr::RECVFROM, [socket as u64, buf.as_mut_ptr() as u64, buf.len() as u64, MSG_PEEK, 0, 0]);
    if got <= 0 {
        return Err(got);
    }
    room_in(pipe, wait)?;
    let put = write_pipe(pipe, &buf[..got as usize])?;
    Ok(door::call(nr::RECVFROM, [socket as u64, buf.as_mut_ptr() as u64, put, MSG_DONTWAIT, 0, 0]))
}
