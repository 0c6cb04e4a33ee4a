//! Reading and writing, and copies between two files.

use super::{msg, space, Args, Ctx};
use crate::openfile::OpenFile;
use crate::pipe::as_pipe;
use crate::user::{self, Buffer, Iovs};
use core::time::Duration;
use lkl_abi::fcntl::{O_ACCMODE, O_APPEND, O_DIRECT, O_RDONLY, O_RDWR, O_WRONLY};
use lkl_abi::inotify::{IN_ACCESS, IN_MODIFY};
use lkl_abi::socket::MSG_DONTWAIT;
use lkl_abi::stat::STATX_ATTR_APPEND;
use lkl_abi::uio::{MAX_RW_COUNT, RWF_APPEND, RWF_DONTCACHE, RWF_DSYNC, RWF_HIPRI, RWF_NOAPPEND, RWF_NOWAIT, RWF_SYNC};
use lkl_abi::{Errno, Result};
use lkl_file::{Iov, IovReader, IovWriter};
use lkl_ops::UserMem;
use lkl_sync::{block_on, Blocking, Events};
use lkl_vfs::Place;
use std::borrow::Cow;

/// Bytes that a copy between two files moves at once.
const COPY: usize = 64 * 1024;

pub(super) fn readable(file: &OpenFile) -> Result<()> {
    if !matches!(file.flags() & O_ACCMODE, O_RDONLY | O_RDWR) || file.only_named() {
        return Err(Errno::EBADF);
    }
    Ok(())
}

pub(super) fn writable(file: &OpenFile) -> Result<()> {
    if !matches!(file.flags() & O_ACCMODE, O_WRONLY | O_RDWR) || file.only_named() {
        return Err(Errno::EBADF);
    }
    Ok(())
}

/// Reads a file without a position, waiting for the first bytes.
pub(super) fn read_stream(
    cx: &Ctx<'_>,
    file: &OpenFile,
    mem: &dyn UserMem,
    iov: &[Iov],
    nonblock: bool,
) -> Result<u64> {
    let f = file.file();
    let busy = f.as_socket().map_or(Duration::ZERO, |s| s.options().busy_poll());
    let how = Blocking { nonblock, busy, ..Blocking::on(cx.task.parker()) };
    let n = block_on(how, f.wait_queue(), Events::READ, || f.read(&mut IovWriter::new(mem, iov), None))?;
    Ok(n as u64)
}

/// Writes a file without a position; a pipe takes all of it, however long that is.
pub(super) fn write_stream(
    cx: &Ctx<'_>,
    file: &OpenFile,
    mem: &dyn UserMem,
    iov: &[Iov],
    nonblock: bool,
) -> Result<u64> {
    let f = file.file();
    let how = Blocking { nonblock, ..Blocking::on(cx.task.parker()) };
    let pipe = as_pipe(&**f).is_some();
    let mut data = IovReader::new(mem, iov);
    let mut done = 0;
    loop {
        match block_on(how, f.wait_queue(), Events::WRITE, || f.write(&mut data.clone(), None)) {
            Ok(n) => {
                data.skip(n);
                done += n as u64;
                if !pipe || data.remaining() == 0 {
                    return Ok(done);
                }
            }
            Err(_) if done > 0 => return Ok(done),
            Err(e) => {
                if e == Errno::EPIPE && pipe {
                    cx.task.raise(msg::SIGPIPE);
                }
                return Err(e);
            }
        }
    }
}

/// Checks what `O_DIRECT` asks for: that the file system can move these bytes from and to its medium as they are.
///
/// # Errors
/// `EINVAL`
fn check_direct(file: &OpenFile, iov: &[Iov], at: Option<u64>) -> Result<()> {
    if file.flags() & O_DIRECT == 0 {
        return Ok(());
    }
    // No bytes can be moved in any way.
    let Some(content) = file.content().filter(|_| user::total(iov) > 0) else { return Ok(()) };
    // A power of two.
    let below = u64::from(content.node().sb().raw().direct_alignment()) - 1;
    let at = at.unwrap_or_else(|| file.position());
    if iov.iter().fold(at, |bits, v| bits | v.base | v.len) & below != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// A position of its own must be one up to the last byte.
///
/// # Errors
/// `EINVAL`
fn check_end(iov: &[Iov], at: Option<u64>) -> Result<()> {
    match at {
        Some(at) if at.saturating_add(user::total(iov) as u64) > i64::MAX as u64 => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

/// The pieces up to the first page that is not there. Files, unlike sockets, move what they can.
///
/// # Errors
/// `EFAULT` if there is nothing before it.
fn before_hole(mem: &dyn UserMem, iov: &[Iov]) -> Result<Iovs> {
    const PAGE: u64 = 4096;
    let mut there = Iovs::new();
    for piece in iov {
        let mut len = 0;
        while len < piece.len && mem.read(piece.base.wrapping_add(len), &mut [0]).is_ok() {
            len += PAGE - piece.base.wrapping_add(len) % PAGE;
        }
        there.push(Iov { base: piece.base, len: len.min(piece.len) });
        if len < piece.len {
            break;
        }
    }
    if user::total(&there) == 0 {
        return Err(Errno::EFAULT);
    }
    Ok(there)
}

/// Reads at `at`, or where the file stands.
fn read_file(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], at: Option<u64>) -> Result<u64> {
    readable(file)?;
    check_end(iov, at)?;
    check_direct(file, iov, at)?;
    let n = match read_at(cx, file, mem, iov, at) {
        Err(Errno::EFAULT) => read_at(cx, file, mem, &before_hole(mem, iov)?, at)?,
        n => n?,
    };
    if n > 0 {
        file.tell(IN_ACCESS);
    }
    Ok(n)
}

fn read_at(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], at: Option<u64>) -> Result<u64> {
    let f = file.file();
    if !f.seekable() {
        return read_stream(cx, file, mem, iov, file.nonblock());
    }
    if let Some(at) = at {
        return f.read(&mut IovWriter::new(mem, iov), Some(at)).map(|n| n as u64);
    }
    if file.content().is_none() {
        // Made when it is read, and what is made may be where this very file stands.
        let start = file.position();
        let n = f.read(&mut IovWriter::new(mem, iov), Some(start))? as u64;
        *file.offset().lock() = start.saturating_add(n);
        return Ok(n);
    }
    let mut offset = file.offset().lock();
    let n = f.read(&mut IovWriter::new(mem, iov), Some(*offset))? as u64;
    *offset = offset.saturating_add(n);
    Ok(n)
}

/// Writes at `at`, or where the file stands.
fn write_file(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], at: Option<u64>) -> Result<u64> {
    write_how(cx, file, mem, iov, at, 0)
}

/// The same with `RWF_*`.
fn write_how(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], at: Option<u64>, how: u32) -> Result<u64> {
    writable(file)?;
    check_end(iov, at)?;
    check_direct(file, iov, at)?;
    let appends = file.flags() & O_APPEND != 0 && how & RWF_NOAPPEND == 0 || how & RWF_APPEND != 0;
    let n = match write_at(cx, file, mem, iov, at, appends) {
        Err(Errno::EFAULT) => write_at(cx, file, mem, &before_hole(mem, iov)?, at, appends)?,
        n => n?,
    };
    if n > 0 {
        file.tell(IN_MODIFY);
        if how & (RWF_DSYNC | RWF_SYNC) != 0 && file.content().is_some() {
            file.file().sync(how & RWF_SYNC == 0)?;
        }
    }
    Ok(n)
}

/// What of the pieces may be written at `at`.
///
/// # Errors
/// Those of [`space::check_write`].
fn allowed<'a>(cx: &Ctx<'_>, file: &OpenFile, at: u64, iov: &'a [Iov]) -> Result<Cow<'a, [Iov]>> {
    let len = user::total(iov) as u64;
    let mut left = space::check_write(cx, file, at, len)?;
    if left >= len {
        return Ok(Cow::Borrowed(iov));
    }
    let cut = |piece: &Iov| {
        let len = piece.len.min(left);
        left -= len;
        Iov { base: piece.base, len }
    };
    Ok(iov.iter().map(cut).collect())
}

fn write_at(
    cx: &Ctx<'_>,
    file: &OpenFile,
    mem: &dyn UserMem,
    iov: &[Iov],
    at: Option<u64>,
    appends: bool,
) -> Result<u64> {
    let f = file.file();
    if !f.seekable() {
        return write_stream(cx, file, mem, iov, file.nonblock());
    }
    let append = || match file.content() {
        Some(content) => {
            let iov = allowed(cx, file, content.node().size(), iov)?;
            content.append(&mut IovReader::new(mem, &iov))
        }
        None => f.write(&mut IovReader::new(mem, iov), Some(f.size())).map(|n| (f.size(), n)),
    };
    if let Some(at) = at {
        // As on Linux the position does not count then.
        if appends {
            return append().map(|(_, n)| n as u64);
        }
        let iov = allowed(cx, file, at, iov)?;
        return f.write(&mut IovReader::new(mem, &iov), Some(at)).map(|n| n as u64);
    }
    let mut offset = file.offset().lock();
    if appends {
        let (start, n) = append()?;
        *offset = start.saturating_add(n as u64);
        return Ok(n as u64);
    }
    let iov = allowed(cx, file, *offset, iov)?;
    let n = f.write(&mut IovReader::new(mem, &iov), Some(*offset))? as u64;
    *offset = offset.saturating_add(n);
    Ok(n)
}

/// Reads a file of any kind into `mem`.
pub(super) fn read_into(cx: &Ctx<'_>, file: &OpenFile, mem: &dyn UserMem, iov: &[Iov], at: Option<u64>) -> Result<u64> {
    match file.socket() {
        Some(_) => msg::read(cx, file, mem, iov, 0),
        None => read_file(cx, file, mem, iov, at),
    }
}

/// Writes a file of any kind from `mem`.
pub(super) fn write_from(
    cx: &Ctx<'_>,
    file: &OpenFile,
    mem: &dyn UserMem,
    iov: &[Iov],
    at: Option<u64>,
) -> Result<u64> {
    match file.socket() {
        Some(_) => msg::write(cx, file, mem, iov, 0),
        None => write_file(cx, file, mem, iov, at),
    }
}

fn read_any(cx: &Ctx<'_>, file: &OpenFile, iov: &[Iov], flags: u32) -> Result<u64> {
    match file.socket() {
        Some(_) => msg::read(cx, file, cx.mem, iov, flags),
        None => read_file(cx, file, cx.mem, iov, None),
    }
}

fn write_any(cx: &Ctx<'_>, file: &OpenFile, iov: &[Iov], flags: u32) -> Result<u64> {
    match file.socket() {
        Some(_) => msg::write(cx, file, cx.mem, iov, flags),
        None => write_file(cx, file, cx.mem, iov, None),
    }
}

pub(super) fn read(cx: &Ctx<'_>, [fd, buf, len, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    read_any(cx, &file, &[user::single(cx.mem, buf, len)?], 0)
}

pub(super) fn write(cx: &Ctx<'_>, [fd, buf, len, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    write_any(cx, &file, &[user::single(cx.mem, buf, len)?], 0)
}

pub(super) fn readv(cx: &Ctx<'_>, [fd, iov, count, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    read_any(cx, &file, &user::iovecs(cx.mem, iov, count)?, 0)
}

pub(super) fn writev(cx: &Ctx<'_>, [fd, iov, count, ..]: Args) -> Result<u64> {
    writev_here(cx, fd, iov, count, 0)
}

/// `writev` of no bytes is no write at all, unlike `write` of none.
fn writev_here(cx: &Ctx<'_>, fd: u64, iov: u64, count: u64, flags: u32) -> Result<u64> {
    let file = cx.file(fd)?;
    let iov = user::iovecs(cx.mem, iov, count)?;
    if user::total(&iov) == 0 {
        return Ok(0);
    }
    write_any(cx, &file, &iov, flags)
}

/// The file of a call that has a position of its own.
fn positioned(cx: &Ctx<'_>, fd: u64, at: u64) -> Result<std::sync::Arc<OpenFile>> {
    if at > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    let file = cx.file(fd)?;
    if !file.file().seekable() {
        return Err(Errno::ESPIPE);
    }
    Ok(file)
}

pub(super) fn pread64(cx: &Ctx<'_>, [fd, buf, len, at, ..]: Args) -> Result<u64> {
    let file = positioned(cx, fd, at)?;
    read_file(cx, &file, cx.mem, &[user::single(cx.mem, buf, len)?], Some(at))
}

pub(super) fn pwrite64(cx: &Ctx<'_>, [fd, buf, len, at, ..]: Args) -> Result<u64> {
    let file = positioned(cx, fd, at)?;
    write_file(cx, &file, cx.mem, &[user::single(cx.mem, buf, len)?], Some(at))
}

pub(super) fn preadv(cx: &Ctx<'_>, [fd, iov, count, at, ..]: Args) -> Result<u64> {
    let file = positioned(cx, fd, at)?;
    read_file(cx, &file, cx.mem, &user::iovecs(cx.mem, iov, count)?, Some(at))
}

pub(super) fn pwritev(cx: &Ctx<'_>, [fd, iov, count, at, ..]: Args) -> Result<u64> {
    let file = positioned(cx, fd, at)?;
    write_file(cx, &file, cx.mem, &user::iovecs(cx.mem, iov, count)?, Some(at))
}

/// What the flags of `preadv2` and `pwritev2` are for a socket's call.
fn rwf(file: &OpenFile, flags: u64) -> Result<u32> {
    let flags = flags as u32;
    // There has to be a disk behind the cache.
    let cache = match file.content() {
        Some(content) if content.node().sb().raw().direct_alignment() > 1 => RWF_DONTCACHE,
        _ => 0,
    };
    if flags & !(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND | cache) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & RWF_NOAPPEND != 0 && file.flags() & O_APPEND != 0 {
        let only = file.content().is_some_and(|c| c.node().inode().attr().attributes & STATX_ATTR_APPEND != 0);
        if only {
            return Err(Errno::EPERM);
        }
    }
    Ok(if flags & RWF_NOWAIT != 0 { MSG_DONTWAIT } else { 0 })
}

pub(super) fn preadv2(cx: &Ctx<'_>, [fd, iov, count, at, at_high, flags]: Args) -> Result<u64> {
    let file = if at == u64::MAX { cx.file(fd)? } else { positioned(cx, fd, at)? };
    let flags = rwf(&file, flags)?;
    if at != u64::MAX {
        return preadv(cx, [fd, iov, count, at, at_high, 0]);
    }
    read_any(cx, &file, &user::iovecs(cx.mem, iov, count)?, flags)
}

pub(super) fn pwritev2(cx: &Ctx<'_>, [fd, iov, count, at, _, how]: Args) -> Result<u64> {
    let file = if at == u64::MAX { cx.file(fd)? } else { positioned(cx, fd, at)? };
    let flags = rwf(&file, how)?;
    let how = how as u32;
    if at == u64::MAX {
        if file.content().is_none() {
            return writev_here(cx, fd, iov, count, flags);
        }
        return write_how(cx, &file, cx.mem, &user::iovecs(cx.mem, iov, count)?, None, how);
    }
    write_how(cx, &file, cx.mem, &user::iovecs(cx.mem, iov, count)?, Some(at), how)
}

pub(super) fn sendfile(cx: &Ctx<'_>, [out, input, offset, count, ..]: Args) -> Result<u64> {
    let input = cx.file(input)?;
    readable(&input)?;
    if !input.file().seekable() {
        return Err(if offset == 0 { Errno::EINVAL } else { Errno::ESPIPE });
    }
    if input.place().is_some_and(Place::is_dir) {
        return Err(Errno::EINVAL);
    }
    let out = cx.file(out)?;
    writable(&out)?;
    if out.flags() & O_APPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let mut at = match offset {
        0 => *input.offset().lock(),
        addr => user::u64_at(cx.mem, addr)?,
    };
    if at > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    let mut left = count.min(MAX_RW_COUNT);
    let mut done = 0;
    let buffer = Buffer::new(COPY.min(left as usize));
    let result = loop {
        if left == 0 {
            break Ok(());
        }
        let piece = [Iov { base: 0, len: left.min(COPY as u64) }];
        let n = match read_file(cx, &input, &buffer, &piece, Some(at)) {
            Ok(0) => break Ok(()),
            Ok(n) => n,
            Err(e) => break Err(e),
        };
        let piece = [Iov { base: 0, len: n }];
        match write_from(cx, &out, &buffer, &piece, None) {
            Ok(taken) => {
                at += taken;
                done += taken;
                left -= taken.min(left);
                // A file that does not take all of it says with the next piece why.
                if taken < n && out.content().is_none() {
                    break Ok(());
                }
            }
            Err(e) => break Err(e),
        }
    };
    match offset {
        0 => *input.offset().lock() = at,
        addr => cx.mem.write(addr, &at.to_ne_bytes())?,
    }
    match result {
        Err(e) if done == 0 => Err(e),
        _ => Ok(done),
    }
}
