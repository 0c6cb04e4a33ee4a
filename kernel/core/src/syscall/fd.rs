//! Descriptors: duplicating, closing, and their flags.

use super::at::{self, Who};
use super::open::has_direct;
use super::{lease, lock, space, Args, Ctx};
use crate::openfile::OpenFile;
use crate::pipe::as_pipe;
use crate::user::{self, u32_in};
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_abi::fcntl::*;
use lkl_abi::socket::SOCK_STREAM;
use lkl_abi::stat::{STATX_ATTR_APPEND, S_IFDIR, S_IFMT};
use lkl_abi::{Errno, Result};
use lkl_file::{File, Socket};
use lkl_sync::{block_on, Blocking, Events};
use std::sync::Arc;

/// `RLIMIT_NOFILE` cannot be more than Linux's `fs.nr_open`.
const NR_OPEN: u64 = 1 << 20;
/// The greatest signal.
const NSIG: u64 = 64;

pub(super) fn close(cx: &Ctx<'_>, [fd, ..]: Args) -> Result<u64> {
    let fd = fd as i32;
    let file = cx.process().forget(fd).ok_or(Errno::EBADF)?;
    let lingers = lingering(&file);
    // First the file, then the number: whoever gets the number next finds the address free.
    drop(file);
    cx.process().numbers().free(fd);
    if let Some((file, time)) = lingers {
        linger(cx, &*file, time);
    }
    Ok(0)
}

/// The socket whose last descriptor this is, if its close waits (`SO_LINGER` with a time, `man 7 socket`).
fn lingering(file: &Arc<OpenFile>) -> Option<(Arc<dyn File>, Duration)> {
    let socket = file.socket().filter(|s| s.kind() == SOCK_STREAM && Arc::strong_count(file) == 1)?;
    let secs = socket.options().linger_secs.load(Relaxed);
    (socket.options().linger.load(Relaxed) && secs > 0).then(|| (file.file().clone(), Duration::from_secs(secs.into())))
}

/// Waits until the peer has all that was sent, `time` is over, or a signal comes. What is left then is sent all the same.
fn linger(cx: &Ctx<'_>, file: &dyn File, time: Duration) {
    let deadline = Some(cx.kernel.now() + time);
    let how = Blocking { deadline, ..Blocking::on(cx.task.parker()) };
    let _in_time =
        block_on(how, file.wait_queue(), Events::WRITE, || match file.as_socket().map(Socket::unsent_bytes) {
            Some(Ok(n)) if n > 0 => Err(Errno::EAGAIN),
            _ => Ok(()),
        });
}

pub(super) fn close_range(cx: &Ctx<'_>, [first, last, flags, ..]: Args) -> Result<u64> {
    let (first, last, flags) = (first as u32, last as u32, flags as u32);
    if flags & !(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    for fd in cx.process().descriptors_in(first, last) {
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            cx.process().numbers().set_cloexec(fd, true);
        } else if let Some(file) = cx.process().forget(fd) {
            drop(file);
            cx.process().numbers().free(fd);
        }
    }
    Ok(0)
}

fn dup_min(cx: &Ctx<'_>, fd: u64, min: u64, cloexec: bool) -> Result<u64> {
    let file = cx.file(fd)?;
    if min >= NR_OPEN {
        return Err(Errno::EINVAL);
    }
    let new = cx.process().numbers().dup(fd as i32, min as i32, cloexec)?;
    match cx.process().put(new, file) {
        Ok(_nothing) => Ok(new as u64),
        Err(e) => {
            cx.process().numbers().free(new);
            Err(e)
        }
    }
}

pub(super) fn dup(cx: &Ctx<'_>, [fd, ..]: Args) -> Result<u64> {
    dup_min(cx, fd, 0, false)
}

pub(super) fn dup3(cx: &Ctx<'_>, [fd, to, flags, ..]: Args) -> Result<u64> {
    let (flags, to) = (flags as u32, to as u32);
    if flags & !O_CLOEXEC != 0 || fd as u32 == to {
        return Err(Errno::EINVAL);
    }
    if u64::from(to) >= NR_OPEN {
        return Err(Errno::EBADF);
    }
    let file = cx.file(fd)?;
    let old = cx.process().forget(to as i32);
    let taken = cx.process().numbers().dup_to(fd as i32, to as i32, flags & O_CLOEXEC != 0);
    if let Err(e) = taken {
        if let Some(old) = old {
            let _nothing = cx.process().put(to as i32, old);
        }
        return Err(e);
    }
    drop(old);
    drop(cx.process().put(to as i32, file)?);
    Ok(u64::from(to))
}

pub(super) fn fcntl(cx: &Ctx<'_>, [fd, command, arg, ..]: Args) -> Result<u64> {
    let command = command as u32;
    let file = cx.file(fd)?;
    let by_name_too = matches!(command, F_DUPFD | F_DUPFD_CLOEXEC | F_DUPFD_QUERY | F_GETFD | F_SETFD | F_GETFL);
    if file.only_named() && !by_name_too {
        return Err(Errno::EBADF);
    }
    let numbers = cx.process().numbers();
    match command {
        F_DUPFD => dup_min(cx, fd, u64::from(arg as u32), false),
        F_DUPFD_CLOEXEC => dup_min(cx, fd, u64::from(arg as u32), true),
        F_DUPFD_QUERY => {
            let other = cx.file(arg)?;
            Ok(u64::from(Arc::ptr_eq(&file, &other)))
        }
        F_GETFD => Ok(u64::from(numbers.cloexec(fd as i32)) * u64::from(FD_CLOEXEC)),
        F_SETFD => {
            numbers.set_cloexec(fd as i32, arg as u32 & FD_CLOEXEC != 0);
            Ok(0)
        }
        F_GETFL => Ok(u64::from(file.flags())),
        F_SETFL => {
            if arg as u32 & O_DIRECT != 0 && !has_direct(&file) {
                return Err(Errno::EINVAL);
            }
            if let Some(content) = file.content() {
                let attr = content.node().inode().attr();
                let append_only = attr.attributes & STATX_ATTR_APPEND != 0;
                let begins = arg as u32 & !file.flags();
                if append_only && (arg as u32 ^ file.flags()) & O_APPEND != 0
                    || begins & O_NOATIME != 0 && !Who::new(cx).cred().owns(&attr)
                {
                    return Err(Errno::EPERM);
                }
            }
            // Only sockets have anything to tell.
            let flags = arg as u32 & if file.socket().is_some() { u32::MAX } else { !FASYNC };
            if (flags ^ file.flags()) & FASYNC != 0 {
                file.fasync_made(cx.kernel.net().host()).set_async(flags & FASYNC != 0, fd as i32);
            }
            file.set_flags(flags);
            Ok(0)
        }
        F_GET_RW_HINT => {
            let content = file.content().ok_or(Errno::EINVAL)?;
            cx.mem.write(arg, &u64::from(content.node().write_hint()).to_ne_bytes())?;
            Ok(0)
        }
        F_SET_RW_HINT => {
            let node = file.content().ok_or(Errno::EINVAL)?.node();
            if !Who::new(cx).cred().owns(&node.inode().attr()) {
                return Err(Errno::EPERM);
            }
            let hint = user::u64_at(cx.mem, arg)?;
            if hint > RWH_WRITE_LIFE_EXTREME {
                return Err(Errno::EINVAL);
            }
            node.set_write_hint(hint as u8);
            Ok(0)
        }
        F_SETOWN => set_owner(cx, &file, arg as i32),
        F_GETOWN => Ok(i64::from(owner_number(&file)) as u64),
        F_SETOWN_EX => {
            let raw = user::array::<8>(cx.mem, arg)?;
            let (kind, id) = (u32_in(&raw, 0) as i32, u32_in(&raw, 4) as i32);
            file.fasync_made(cx.kernel.net().host()).set_owner(kind, id, cx.process().pid())?;
            Ok(0)
        }
        F_GETOWN_EX => {
            let (kind, id) = file.fasync().map_or((F_OWNER_TID, 0), |f| f.owner());
            let [a, b] = [kind, id].map(i32::to_ne_bytes);
            cx.mem.write(arg, &[a, b].concat())?;
            Ok(0)
        }
        F_SETSIG => {
            if arg > NSIG {
                return Err(Errno::EINVAL);
            }
            file.fasync_made(cx.kernel.net().host()).set_signal(arg as i32);
            Ok(0)
        }
        F_GETSIG => Ok(file.fasync().map_or(0, |f| f.signal()) as u64),
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => lock::fcntl(cx, &file, command, arg),
        F_GET_SEALS => space::get_seals(cx, &file),
        F_ADD_SEALS => space::add_seals(cx, &file, arg),
        F_SETLEASE => lease::set(cx, &file, fd as i32, arg as i32),
        F_GETLEASE => Ok(file.content().map_or(F_UNLCK as u64, |content| content.lease(cx.kernel.now()).into())),
        F_NOTIFY if file.file().mode() & S_IFMT != S_IFDIR => Err(Errno::ENOTDIR),
        F_GETPIPE_SZ => Ok(as_pipe(&**file.file()).ok_or(Errno::EBADF)?.capacity() as u64),
        F_SETPIPE_SZ => {
            let privileged = cx.process().credentials().privileged();
            let pipe = as_pipe(&**file.file()).ok_or(Errno::EBADF)?;
            Ok(pipe.set_capacity(arg as u32, privileged)? as u64)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `F_SETOWN`, `FIOSETOWN`: a process, or a negative process group.
pub(super) fn set_owner(cx: &Ctx<'_>, file: &Arc<OpenFile>, pid: i32) -> Result<u64> {
    let (kind, id) = match pid {
        i32::MIN => return Err(Errno::EINVAL),
        pid if pid < 0 => (F_OWNER_PGRP, -pid),
        pid => (F_OWNER_PID, pid),
    };
    file.fasync_made(cx.kernel.net().host()).set_owner(kind, id, cx.process().pid())?;
    Ok(0)
}

/// The same the other way.
pub(super) fn owner_number(file: &OpenFile) -> i32 {
    match file.fasync().map(|f| f.owner()) {
        Some((F_OWNER_PGRP, id)) => -id,
        Some((_, id)) => id,
        None => 0,
    }
}

/// `SEEK_HOLE`, the last of them.
const SEEK_MAX: u32 = 4;

pub(super) fn lseek(cx: &Ctx<'_>, [fd, offset, whence, ..]: Args) -> Result<u64> {
    let file = at::opened(cx, fd)?;
    let f = file.file();
    if whence as u32 > SEEK_MAX {
        return Err(Errno::EINVAL);
    }
    if let Some(content) = file.content() {
        let mut at = file.offset().lock();
        *at = content.seek(*at, offset as i64, whence as u32)?;
        return Ok(*at);
    }
    if f.as_socket().is_some() || as_pipe(&**f).is_some() {
        return Err(Errno::ESPIPE);
    }
    if !f.seekable() {
        return Ok(0);
    }
    let mut at = file.offset().lock();
    let base = match whence as u32 {
        SEEK_SET => 0,
        SEEK_CUR => *at,
        SEEK_END => f.size(),
        _ => return Err(Errno::EINVAL),
    };
    let new = base.checked_add_signed(offset as i64).filter(|n| *n <= i64::MAX as u64).ok_or(Errno::EINVAL)?;
    *at = new;
    Ok(new)
}
