//! Messages between the processes of a tree, with descriptors in them, over `SOCK_SEQPACKET` sockets.

use crate::sys::{self, host};
use arrayvec::ArrayVec;
use core::mem::MaybeUninit;
use lkl_abi::{Errno, Result};

/// Most descriptors of one message.
pub(crate) const FDS: usize = 4;
/// Most bytes of one message.
pub(crate) const BYTES: usize = 32 << 10;

/// What a message is about; its first word. Where a window belongs to it and does not come, because the process may make no file of that
/// length, one comes with the answer.
pub(crate) mod kind {
    /// On the meeting place: a process wants to use the kernel. With its socket and its window.
    pub(crate) const JOIN: u64 = 1;
    /// From a child of `fork`, on the socket that its parent has made for it: with its window.
    pub(crate) const CLAIM: u64 = 2;
    /// From a new image: with its window; pairs of descriptor number and file follow.
    pub(crate) const EXEC: u64 = 3;
    /// `(line)`: a thread will make calls there. Not answered.
    pub(crate) const THREAD: u64 = 4;
    /// `(line, serial)`: a signal came for that thread while it made that call. Not answered.
    pub(crate) const INTERRUPT: u64 = 5;
    /// A child is about to be made: with its socket.
    pub(crate) const FORK: u64 = 6;
    /// `(number)`: with a descriptor that is to have the same number there.
    pub(crate) const MIRROR: u64 = 7;
    /// The process ends.
    pub(crate) const BYE: u64 = 8;
    /// `(file)`: it goes to another process; with a socket that ends when it has arrived or got lost.
    pub(crate) const FLIGHT: u64 = 9;
    /// `(line)`: with the eventfd that wakes that thread. Not answered.
    pub(crate) const EVENT: u64 = 10;
    /// From the process that has called directly: with its window.
    pub(crate) const WINDOW: u64 = 14;
    /// Who is there? Answered with a text.
    pub(crate) const STATUS: u64 = 11;
    /// End, whoever is there.
    pub(crate) const STOP: u64 = 12;
    /// Another kernel wants the device: end if there is nobody.
    pub(crate) const YIELD: u64 = 13;
}

/// A pair of sockets, closed on exec.
///
/// # Errors
/// `EMFILE`, `ENFILE`
pub(crate) fn pair() -> Result<[i32; 2]> {
    let mut pair = [0i32; 2];
    let how = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: room for two descriptors.
    unsafe { host!(libc::SYS_socketpair, libc::AF_UNIX, how, 0i32, pair.as_mut_ptr()) }?;
    Ok(pair)
}

/// A text as words: its length in bytes, then its bytes.
pub(crate) fn text(text: &str) -> Vec<u64> {
    let bytes = &text.as_bytes()[..text.len().min(BYTES - 64)];
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    };
    core::iter::once(bytes.len() as u64).chain(bytes.chunks(8).map(word)).collect()
}

/// From now on each message that comes by `fd` tells which process has sent it.
pub(crate) fn tell_senders(fd: i32) {
    let on = 1i32;
    // SAFETY: an `int`, as its length says.
    let _tells = unsafe { host!(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, libc::SO_PASSCRED, &raw const on, 4usize) };
}

/// Is whoever has connected to the socket `fd` of this user, or root?
pub(crate) fn same_user(fd: i32) -> bool {
    // `struct ucred`: process, user, group.
    let (mut who, mut len) = ([u32::MAX; 3], 12u32);
    // SAFETY: room for 12 bytes, as the length says.
    let asked =
        unsafe { host!(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, libc::SO_PEERCRED, who.as_mut_ptr(), &raw mut len) };
    // SAFETY: no arguments.
    let me = unsafe { host!(libc::SYS_geteuid) }.map_or(u32::MAX, |id| id as u32);
    asked.is_ok() && (who[1] == me || who[1] == 0)
}

/// The address of a socket in the network namespace, without a file.
fn abstract_address(name: &str) -> ([u8; 110], usize) {
    let mut address = [0u8; 110];
    address[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    let n = name.len().min(107);
    address[3..3 + n].copy_from_slice(&name.as_bytes()[..n]);
    (address, 3 + n)
}

fn socket() -> Result<i32> {
    let how = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    unsafe { host!(libc::SYS_socket, libc::AF_UNIX, how, 0i32) }.map(|fd| fd as i32)
}

/// A socket that listens at an abstract address.
///
/// # Errors
/// `EADDRINUSE`, `EMFILE`
pub(crate) fn listen_at(name: &str) -> Result<i32> {
    let fd = socket()?;
    let (address, len) = abstract_address(name);
    // SAFETY: the address has at least this many bytes.
    let done = unsafe { host!(libc::SYS_bind, fd, address.as_ptr(), len) }.and_then(|_| {
        // SAFETY: no pointers.
        unsafe { host!(libc::SYS_listen, fd, 16i32) }
    });
    done.map(|_| fd).inspect_err(|_| sys::close(fd))
}

/// A socket that is connected to that one.
///
/// # Errors
/// `ECONNREFUSED`: nobody listens.
pub(crate) fn connect_to(name: &str) -> Result<i32> {
    let fd = socket()?;
    let (address, len) = abstract_address(name);
    // SAFETY: the address has at least this many bytes.
    let done = unsafe { host!(libc::SYS_connect, fd, address.as_ptr(), len) };
    done.map(|_| fd).inspect_err(|_| sys::close(fd))
}

const CONTROL: usize = 128;

#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Sends `words` as one message, with `fds`.
///
/// # Errors
/// `EPIPE`, `ECONNRESET`: nobody is there. `EAGAIN` with `MSG_DONTWAIT` in `flags`.
pub(crate) fn send(to: i32, words: &[u64], fds: &[i32], flags: i32) -> Result<()> {
    let mut control = Control([0; CONTROL]);
    let mut len = 0;
    if !fds.is_empty() {
        let size = 16 + fds.len().min(FDS) * 4;
        control.0[..8].copy_from_slice(&(size as u64).to_ne_bytes());
        control.0[8..12].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        control.0[12..16].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        for (to, fd) in control.0[16..].chunks_exact_mut(4).zip(fds) {
            to.copy_from_slice(&fd.to_ne_bytes());
        }
        len = (size + 7) & !7;
    }
    let mut iov = libc::iovec { iov_base: words.as_ptr().cast_mut().cast(), iov_len: size_of_val(words) };
    // SAFETY: all-zero is a `struct msghdr`.
    let mut msg: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    if len > 0 {
        msg.msg_control = control.0.as_mut_ptr().cast();
        msg.msg_controllen = len;
    }
    loop {
        // SAFETY: everything that the message points to lives through the call.
        match unsafe { host!(libc::SYS_sendmsg, to, &raw const msg, flags | libc::MSG_NOSIGNAL) } {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) words: Vec<u64>,
    pub(crate) fds: ArrayVec<i32, FDS>,
    /// The process that sent it, if the socket tells (`SO_PASSCRED`).
    pub(crate) pid: i32,
}

impl Message {
    /// A word; 0 if it is not there.
    pub(crate) fn word(&self, i: usize) -> u64 {
        self.words.get(i).copied().unwrap_or(0)
    }

    /// The [`text`] that begins with word `i`.
    pub(crate) fn text(&self, i: usize) -> String {
        let mut bytes: Vec<u8> = self.words.iter().skip(i + 1).flat_map(|w| w.to_ne_bytes()).collect();
        bytes.truncate(self.word(i) as usize);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Takes a descriptor, which is the caller's from now on.
    pub(crate) fn take_fd(&mut self) -> Option<i32> {
        if self.fds.is_empty() {
            None
        } else {
            Some(self.fds.remove(0))
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        for fd in &self.fds {
            sys::close(*fd);
        }
    }
}

/// Takes one message. Its descriptors are closed on exec.
///
/// # Errors
/// `EPIPE` if the other side is gone; `EAGAIN` with `MSG_DONTWAIT`.
pub(crate) fn receive(from: i32, flags: i32) -> Result<Message> {
    let mut words = vec![0u64; BYTES / 8];
    let mut control = Control([0; CONTROL]);
    let mut iov = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: BYTES };
    // SAFETY: all-zero is a `struct msghdr`.
    let mut msg: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.0.as_mut_ptr().cast();
    msg.msg_controllen = CONTROL;
    let n = loop {
        // SAFETY: everything that the message points to lives through the call.
        match unsafe { host!(libc::SYS_recvmsg, from, &raw mut msg, flags | libc::MSG_CMSG_CLOEXEC) } {
            Err(Errno::EINTR) => {}
            other => break other? as usize,
        }
    };
    let mut found = Message { words: Vec::new(), fds: ArrayVec::new(), pid: 0 };
    let mut at = 0;
    let have = msg.msg_controllen.min(CONTROL);
    let word = |at: usize| i32::from_ne_bytes([0, 1, 2, 3].map(|i| control.0[at + i]));
    while at + 16 <= have {
        let len = word(at) as usize;
        if len < 16 || at + len > have {
            break;
        }
        if word(at + 8) == libc::SOL_SOCKET {
            match word(at + 12) {
                libc::SCM_RIGHTS => {
                    for fd in (at + 16..at + len).step_by(4).filter(|i| i + 4 <= at + len).map(word) {
                        if found.fds.try_push(fd).is_err() {
                            sys::close(fd);
                        }
                    }
                }
                libc::SCM_CREDENTIALS => found.pid = word(at + 16),
                _ => {}
            }
        }
        at += (len + 7) & !7;
    }
    if n == 0 {
        return Err(Errno::EPIPE);
    }
    words.truncate(n / 8);
    found.words = words;
    Ok(found)
}

/// Has the other side been closed?
pub(crate) fn hung_up(fd: i32) -> bool {
    let mut p = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: one element.
    let ready = unsafe { host!(libc::SYS_poll, &raw mut p, 1usize, 0i32) };
    ready == Ok(1) && p.revents & (libc::POLLHUP | libc::POLLNVAL | libc::POLLERR) != 0
}
