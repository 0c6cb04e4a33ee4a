//! Sending and receiving on sockets.

use super::socket::{deadline, socket_of};
use super::{cmsg, Args, Ctx};
use crate::openfile::OpenFile;
use crate::user::{self, u32_in, u64_in, Iovs};
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::socket::{
    AF_INET6, AF_NETLINK, MMSGHDR_LEN, MMSGHDR_SIZE, MSGHDR_CONTROLLEN, MSGHDR_FLAGS, MSGHDR_NAMELEN, MSGHDR_SIZE,
    MSG_CMSG_CLOEXEC, MSG_CMSG_COMPAT, MSG_CTRUNC, MSG_DONTWAIT, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK,
    MSG_WAITALL, MSG_WAITFORONE, SOCKADDR_STORAGE, SOCK_STREAM,
};
use lkl_abi::uio::IOV_MAX;
use lkl_abi::{Errno, Result};
use lkl_file::{ControlMessages, Iov, IovReader, IovWriter, RecvMsg, SendMsg, SockAddr, Socket};
use lkl_ops::{Instant, UserMem};
use lkl_sync::{block_on, Blocking, Events};

/// `IPPROTO_UDP`
const IPPROTO_UDP: u32 = 17;
/// `SIGPIPE`
pub(super) const SIGPIPE: u32 = 13;
/// Most messages that `sendmmsg` and `recvmmsg` move.
const MMSG_MAX: u32 = 1024;

/// What is sent.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) name: Option<SockAddr>,
    pub(super) control: ControlMessages,
    pub(super) flags: u32,
}

/// What was received, beside the bytes.
#[derive(Default)]
pub(super) struct Incoming {
    len: usize,
    name: Option<SockAddr>,
    control: ControlMessages,
    flags: u32,
}

/// An error that came after some bytes were moved: the next call gets it.
fn keep_error(socket: &dyn Socket, e: Errno) {
    if matches!(
        e,
        Errno::ECONNRESET | Errno::ETIMEDOUT | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::ECONNABORTED
    ) {
        socket.options().set_error(e);
    }
}

/// Sends what is in `iov` of `mem`. A stream takes all of it, however long that lasts.
pub(super) fn send(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], out: &Outgoing) -> Result<usize> {
    let socket = socket_of(file)?;
    let stream = socket.kind() == SOCK_STREAM;
    let total = user::total(iov);
    let how = Blocking {
        nonblock: file.nonblock() || out.flags & MSG_DONTWAIT != 0,
        deadline: deadline(cx, socket.options().send_timeout()),
        ..Blocking::on(cx.task.parker())
    };
    let mut done = 0;
    // The socket is told, too: what Fast Open answers depends on it.
    let flags = out.flags | if how.nonblock { MSG_DONTWAIT } else { 0 };
    let result = block_on(how, socket.wait_queue(), Events::WRITE, || loop {
        let mut data = IovReader::new(mem, iov);
        data.skip(done);
        let mut msg = SendMsg { name: out.name, data: &mut data, control: out.control.clone(), flags };
        let n = socket.sendmsg(&mut msg)?;
        done += n;
        if !stream || n == 0 || done >= total {
            return Ok(());
        }
    });
    match result {
        Ok(()) => Ok(done),
        Err(e) if done > 0 => {
            keep_error(socket, e);
            Ok(done)
        }
        Err(e) => {
            if e == Errno::EPIPE && stream && out.flags & MSG_NOSIGNAL == 0 {
                cx.task.raise(SIGPIPE);
            }
            Err(e)
        }
    }
}

/// Receives into `iov` of `mem`.
pub(super) fn receive(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], flags: u32) -> Result<Incoming> {
    let socket = socket_of(file)?;
    let total = user::total(iov);
    let stream = socket.kind() == SOCK_STREAM;
    let fill = flags & MSG_WAITALL != 0 && stream && flags & (MSG_ERRQUEUE | MSG_OOB) == 0;
    // Neither the error queue nor urgent data is waited for.
    let at_once = MSG_DONTWAIT | MSG_ERRQUEUE | if stream { MSG_OOB } else { 0 };
    let how = Blocking {
        nonblock: file.nonblock() || flags & at_once != 0,
        deadline: deadline(cx, socket.options().receive_timeout()),
        busy: socket.options().busy_poll(),
        ..Blocking::on(cx.task.parker())
    };
    let mut got = Incoming::default();
    let mut waits = false;
    let result = block_on(how, socket.wait_queue(), Events::READ | Events::PRI | Events::RDHUP, || loop {
        let peek = flags & MSG_PEEK != 0;
        let mut data = IovWriter::new(mem, iov);
        if !peek {
            data.skip(got.len);
        }
        let mut msg = RecvMsg { data: &mut data, flags, name: None, control: Vec::new(), out_flags: 0 };
        let n = socket.recvmsg(&mut msg).inspect_err(|e| {
            if stream && !waits && !how.nonblock && *e == Errno::EAGAIN {
                waits = true;
                socket.options().readers.fetch_add(1, Relaxed);
            }
        })?;
        let RecvMsg { name, control, out_flags, .. } = msg;
        let before = got.len;
        got = Incoming { len: if peek { n } else { before + n }, name, control, flags: out_flags };
        if !fill || n == 0 || got.len >= total || out_flags & MSG_OOB != 0 {
            return Ok(());
        }
        if peek {
            // The same bytes again: more must come first, unless there will be none.
            let ended = socket.poll().intersects(Events::RDHUP | Events::HUP | Events::ERR);
            return if ended { Ok(()) } else { Err(Errno::EAGAIN) };
        }
    });
    if waits {
        socket.options().readers.fetch_sub(1, Relaxed);
    }
    match result {
        Ok(()) => Ok(got),
        Err(e) if got.len > 0 => {
            keep_error(socket, e);
            Ok(got)
        }
        Err(e) => Err(e),
    }
}

pub(super) fn sendto(cx: &Ctx<'_>, [fd, buf, len, flags, addr, addr_len]: Args) -> Result<u64> {
    let iov = [user::single(cx.mem, buf, len)?];
    let file = cx.file(fd)?;
    let name = match addr {
        0 => None,
        addr => {
            let socket = socket_of(&file)?;
            // An address of no bytes is none for those alone that do without.
            if addr_len as u32 == 0 && socket.kind() != SOCK_STREAM && socket.family() != AF_NETLINK {
                return Err(Errno::EINVAL);
            }
            name_of(cx.mem, socket, addr, addr_len)?
        }
    };
    send(cx, &file, cx.mem, &iov, &Outgoing { name, control: Vec::new(), flags: flags as u32 }).map(|n| n as u64)
}

/// The destination of a message; one of no bytes is none.
fn name_of(mem: &dyn UserMem, socket: &dyn Socket, addr: u64, len: u64) -> Result<Option<SockAddr>> {
    match len as u32 {
        0 => Ok(None),
        len => match user::sockaddr(mem, addr, u64::from(len)) {
            // UDP over IPv6 alone says so of a family that it does not know.
            Err(Errno::EAFNOSUPPORT) if socket.family() == AF_INET6 && socket.protocol() == IPPROTO_UDP => {
                Err(Errno::EINVAL)
            }
            // A stream has its peer already: what the address says is not looked at.
            Err(Errno::EAFNOSUPPORT | Errno::EINVAL)
                if socket.kind() == SOCK_STREAM && len as usize <= SOCKADDR_STORAGE =>
            {
                Ok(None)
            }
            name => name.map(Some),
        },
    }
}

pub(super) fn recvfrom(cx: &Ctx<'_>, [fd, buf, len, flags, addr, addr_len]: Args) -> Result<u64> {
    let iov = [user::single(cx.mem, buf, len)?];
    let file = cx.file(fd)?;
    let got = receive(cx, &file, cx.mem, &iov, flags as u32)?;
    if addr != 0 {
        let name = got.name.map(|n| n.to_bytes()).unwrap_or_default();
        user::put_sockaddr(cx.mem, addr, addr_len, &name)?;
    }
    Ok(got.len as u64)
}

/// A `struct msghdr` and what it points to, but for the control messages.
struct Header {
    addr: u64,
    name: u64,
    name_len: u32,
    iov: Iovs,
    control: u64,
    control_len: u64,
}

impl Header {
    fn read(mem: &dyn UserMem, addr: u64) -> Result<Self> {
        let raw = user::array::<MSGHDR_SIZE>(mem, addr)?;
        let name = u64_in(&raw, 0);
        let name_len = match u32_in(&raw, MSGHDR_NAMELEN as usize) {
            _ if name == 0 => 0,
            n if n > i32::MAX as u32 => return Err(Errno::EINVAL),
            n => n.min(SOCKADDR_STORAGE as u32),
        };
        let count = u64_in(&raw, 24);
        if count > IOV_MAX as u64 {
            return Err(Errno::EMSGSIZE);
        }
        Ok(Self {
            addr,
            name,
            name_len,
            iov: user::iovecs(mem, u64_in(&raw, 16), count)?,
            control: u64_in(&raw, 32),
            control_len: u64_in(&raw, MSGHDR_CONTROLLEN as usize),
        })
    }
}

fn send_one(cx: &Ctx<'_>, file: &OpenFile, msg: u64, flags: u32) -> Result<u64> {
    let header = Header::read(cx.mem, msg)?;
    let name = if header.name_len == 0 {
        None
    } else {
        name_of(cx.mem, socket_of(file)?, header.name, u64::from(header.name_len))?
    };
    if header.control_len > i32::MAX as u64 {
        return Err(Errno::ENOBUFS);
    }
    let control = cmsg::read(cx.mem, header.control, header.control_len)?;
    send(cx, file, cx.mem, &header.iov, &Outgoing { name, control, flags }).map(|n| n as u64)
}

fn receive_one(cx: &Ctx<'_>, file: &OpenFile, msg: u64, flags: u32) -> Result<(u64, u32)> {
    let header = Header::read(cx.mem, msg)?;
    let got = receive(cx, file, cx.mem, &header.iov, flags)?;
    let mut out = got.flags | flags & MSG_CMSG_CLOEXEC;
    if header.name != 0 {
        let name = got.name.map(|n| n.to_bytes()).unwrap_or_default();
        user::put_sockaddr(cx.mem, header.name, header.addr.wrapping_add(MSGHDR_NAMELEN), &name)?;
    }
    let (used, cut) = cmsg::write(cx.mem, header.control, header.control_len, &got.control);
    if cut {
        out |= MSG_CTRUNC;
    }
    cx.mem.write(header.addr.wrapping_add(MSGHDR_FLAGS), &out.to_ne_bytes())?;
    cx.mem.write(header.addr.wrapping_add(MSGHDR_CONTROLLEN), &used.to_ne_bytes())?;
    Ok((got.len as u64, out))
}

pub(super) fn sendmsg(cx: &Ctx<'_>, [fd, msg, flags, ..]: Args) -> Result<u64> {
    if flags as u32 & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    let file = cx.file(fd)?;
    socket_of(&file)?;
    send_one(cx, &file, msg, flags as u32)
}

pub(super) fn recvmsg(cx: &Ctx<'_>, [fd, msg, flags, ..]: Args) -> Result<u64> {
    if flags as u32 & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    let file = cx.file(fd)?;
    socket_of(&file)?;
    receive_one(cx, &file, msg, flags as u32).map(|(n, _)| n)
}

pub(super) fn sendmmsg(cx: &Ctx<'_>, [fd, msgs, count, flags, ..]: Args) -> Result<u64> {
    if flags as u32 & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    let file = cx.file(fd)?;
    socket_of(&file)?;
    let mut done = 0;
    let mut at = msgs;
    let result = (0..(count as u32).min(MMSG_MAX)).try_for_each(|_| {
        let n = send_one(cx, &file, at, flags as u32)?;
        cx.mem.write(at.wrapping_add(MMSGHDR_LEN), &(n as u32).to_ne_bytes())?;
        at = at.wrapping_add(MMSGHDR_SIZE);
        done += 1;
        Ok(())
    });
    match result {
        Err(e) if done == 0 => Err(e),
        _ => Ok(done),
    }
}

pub(super) fn recvmmsg(cx: &Ctx<'_>, [fd, msgs, count, flags, timeout, _]: Args) -> Result<u64> {
    let mut flags = flags as u32;
    if flags & MSG_CMSG_COMPAT != 0 {
        return Err(Errno::EINVAL);
    }
    let end = deadline(cx, user::opt_timespec(cx.mem, timeout)?);
    let file = cx.file(fd)?;
    let socket = socket_of(&file)?;
    if flags & MSG_ERRQUEUE == 0 {
        socket.options().take_error()?;
    }
    let mut done = 0;
    let mut at = msgs;
    let result = receive_many(cx, &file, &mut at, (count as u32).min(MMSG_MAX), &mut flags, end, &mut done);
    match result {
        Err(e) if done == 0 => return Err(e),
        // The messages are told now, the error, whatever it is, by the next call.
        Err(e) if e != Errno::EAGAIN => socket.options().set_error(e),
        _ => {}
    }
    if let Some(end) = end {
        let left = end.since(cx.kernel.now());
        cx.mem.write(timeout, &lkl_abi::time::to_timespec(left))?;
    }
    Ok(done)
}

fn receive_many(
    cx: &Ctx<'_>,
    file: &OpenFile,
    at: &mut u64,
    count: u32,
    flags: &mut u32,
    end: Option<Instant>,
    done: &mut u64,
) -> Result<()> {
    for _ in 0..count {
        let (n, out) = receive_one(cx, file, *at, *flags & !MSG_WAITFORONE)?;
        cx.mem.write(at.wrapping_add(MMSGHDR_LEN), &(n as u32).to_ne_bytes())?;
        *at = at.wrapping_add(MMSGHDR_SIZE);
        *done += 1;
        if *flags & MSG_WAITFORONE != 0 {
            *flags |= MSG_DONTWAIT;
        }
        // As on Linux the time is looked at only after a message.
        if out & MSG_OOB != 0 || end.is_some_and(|e| cx.kernel.now() >= e) {
            break;
        }
    }
    Ok(())
}

/// `read` of a socket.
pub(super) fn read(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], flags: u32) -> Result<u64> {
    if user::total(iov) == 0 {
        return Ok(0);
    }
    receive(cx, file, mem, iov, flags).map(|got| got.len as u64)
}

/// `write` to a socket.
pub(super) fn write(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], flags: u32) -> Result<u64> {
    send(cx, file, mem, iov, &Outgoing { flags, ..Outgoing::default() }).map(|n| n as u64)
}
