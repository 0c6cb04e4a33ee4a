//! Making, naming and connecting sockets.

use super::{Args, Ctx};
use crate::openfile::OpenFile;
use crate::stack;
use crate::user;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::fcntl::O_RDWR;
use lkl_abi::socket::{
    AF_INET, AF_INET6, AF_MAX, AF_NETLINK, AF_PACKET, SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK,
    SOCK_PACKET, SOCK_TYPE_MASK,
};
use lkl_abi::{Errno, Result};
use lkl_file::{Shutdown, Socket};
use lkl_ops::{FileKind, Instant};
use lkl_sync::{block_on, Blocking, Events};
use std::sync::Arc;
use std::time::Duration;

/// Most that `SOCK_*` can be.
const SOCK_MAX: u32 = 11;

/// The socket behind an open file.
pub(crate) fn socket_of(file: &OpenFile) -> Result<&dyn Socket> {
    file.socket().ok_or(Errno::ENOTSOCK)
}

/// When a call that may last `timeout` has to give up.
pub(crate) fn deadline(cx: &Ctx<'_>, timeout: Option<Duration>) -> Option<Instant> {
    timeout.map(|t| cx.kernel.now() + t)
}

fn check_flags(flags: u32) -> Result<()> {
    if flags & !(SOCK_CLOEXEC | SOCK_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Gives a new open file a number.
pub(crate) fn install(cx: &Ctx<'_>, kind: FileKind, file: Arc<OpenFile>, cloexec: bool) -> Result<u64> {
    let fd = cx.process().numbers().alloc(kind, 0, cloexec)?;
    put(cx, fd, file)
}

fn put(cx: &Ctx<'_>, fd: i32, file: Arc<OpenFile>) -> Result<u64> {
    match cx.process().put(fd, file) {
        Ok(_nothing) => Ok(fd as u64),
        Err(e) => {
            cx.process().numbers().free(fd);
            Err(e)
        }
    }
}

pub(super) fn socket(cx: &Ctx<'_>, [family, kind, protocol, ..]: Args) -> Result<u64> {
    let (family, kind, protocol) = (family as u32, kind as u32, protocol as u32);
    let (kind, flags) = (kind & SOCK_TYPE_MASK, kind & !SOCK_TYPE_MASK);
    check_flags(flags)?;
    if family >= AF_MAX {
        return Err(Errno::EAFNOSUPPORT);
    }
    if kind >= SOCK_MAX {
        return Err(Errno::EINVAL);
    }
    let net = cx.kernel.net();
    let file = match family as u16 {
        AF_INET if kind == SOCK_PACKET => net.socket(AF_PACKET, kind, protocol)?,
        family @ (AF_INET | AF_INET6 | AF_PACKET) => net.socket(family, kind, protocol)?,
        AF_NETLINK => stack::netlink_socket(net, cx.kernel.hub(), kind, protocol)?,
        // AF_UNIX is the host's, which never asks us for it.
        _ => return Err(Errno::EAFNOSUPPORT),
    };
    if let Some(socket) = file.as_socket() {
        // The range is the setting's.
        socket.options().busy_poll.store(net.sysctl().busy_read.get() as u32, Relaxed);
    }
    let file = OpenFile::new(file, O_RDWR | flags & SOCK_NONBLOCK);
    install(cx, FileKind::Socket, file, flags & SOCK_CLOEXEC != 0)
}

pub(super) fn socketpair(cx: &Ctx<'_>, [family, kind, _, pair, ..]: Args) -> Result<u64> {
    check_flags(kind as u32 & !SOCK_TYPE_MASK)?;
    // Linux writes the numbers first of all.
    let there = user::array::<8>(cx.mem, pair)?;
    cx.mem.write(pair, &there)?;
    match family as u32 {
        f if f == u32::from(AF_INET) || f == u32::from(AF_INET6) => Err(Errno::EOPNOTSUPP),
        f if f == u32::from(AF_NETLINK) || f == u32::from(AF_PACKET) => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

pub(super) fn bind(cx: &Ctx<'_>, [fd, addr, len, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let socket = socket_of(&file)?;
    socket.bind(&user::sockaddr(cx.mem, addr, len)?)?;
    Ok(0)
}

pub(super) fn listen(cx: &Ctx<'_>, [fd, backlog, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    // A negative backlog is a very long one, cut to net.core.somaxconn like any other.
    let most = cx.kernel.net().sysctl().somaxconn.get();
    let backlog = i64::from(backlog as u32).min(most) as i32;
    socket_of(&file)?.listen(backlog)?;
    Ok(0)
}

pub(super) fn accept(cx: &Ctx<'_>, [fd, addr, len, ..]: Args) -> Result<u64> {
    accept4(cx, [fd, addr, len, 0, 0, 0])
}

pub(super) fn accept4(cx: &Ctx<'_>, [fd, addr, len, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    check_flags(flags)?;
    let file = cx.file(fd)?;
    let socket = socket_of(&file)?;
    let numbers = cx.process().numbers();
    // As on Linux the number is taken before the connection: one that finds no number stays in the queue. Only where
    // there seems to be nothing to take, it would be taken in vain.
    let early = match file.nonblock() && !socket.poll().intersects(Events::READ) {
        true => Some(socket.accept()?),
        false => None,
    };
    let number = numbers.alloc(FileKind::Socket, 0, flags & SOCK_CLOEXEC != 0)?;
    let how = Blocking {
        nonblock: file.nonblock(),
        deadline: deadline(cx, socket.options().receive_timeout()),
        exclusive: true,
        ..Blocking::on(cx.task.parker())
    };
    let accepted = match early {
        Some(connection) => Ok(connection),
        None => block_on(how, socket.wait_queue(), Events::READ, || socket.accept()),
    };
    let accepted = accepted.and_then(|(new, peer)| {
        let new = OpenFile::new(new, O_RDWR | flags & SOCK_NONBLOCK);
        if addr != 0 {
            user::put_sockaddr(cx.mem, addr, len, &peer.to_bytes())?;
        }
        Ok(new)
    });
    match accepted {
        Ok(new) => put(cx, number, new),
        Err(e) => {
            numbers.free(number);
            Err(e)
        }
    }
}

pub(super) fn connect(cx: &Ctx<'_>, [fd, addr, len, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let socket = socket_of(&file)?;
    let addr = user::sockaddr(cx.mem, addr, len)?;
    match socket.connect(&addr) {
        Ok(()) => Ok(0),
        // A call that was interrupted, or is made while another goes on, waits for the end as well.
        Err(e @ (Errno::EINPROGRESS | Errno::EALREADY)) if !file.nonblock() => {
            let how =
                Blocking { deadline: deadline(cx, socket.options().send_timeout()), ..Blocking::on(cx.task.parker()) };
            let interest = Events::WRITE | Events::READ | Events::RDHUP;
            match block_on(how, socket.wait_queue(), interest, || socket.connect_result()) {
                Ok(()) => Ok(0),
                Err(Errno::EAGAIN) => Err(e),
                Err(other) => Err(other),
            }
        }
        Err(e) => Err(e),
    }
}

pub(super) fn getsockname(cx: &Ctx<'_>, [fd, addr, len, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let name = socket_of(&file)?.local_addr()?;
    user::put_sockaddr(cx.mem, addr, len, &name.to_bytes())?;
    Ok(0)
}

pub(super) fn getpeername(cx: &Ctx<'_>, [fd, addr, len, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let name = socket_of(&file)?.peer_addr()?;
    user::put_sockaddr(cx.mem, addr, len, &name.to_bytes())?;
    Ok(0)
}

pub(super) fn shutdown(cx: &Ctx<'_>, [fd, how, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let socket = socket_of(&file)?;
    let how = match how as u32 {
        SHUT_RD => Shutdown::Read,
        SHUT_WR => Shutdown::Write,
        SHUT_RDWR => Shutdown::Both,
        _ => return Err(Errno::EINVAL),
    };
    socket.shutdown(how)?;
    Ok(0)
}
