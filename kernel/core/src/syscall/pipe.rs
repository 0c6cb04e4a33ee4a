//! Pipes, and moving bytes through them.

use super::rw::{self, readable, writable};
use super::socket::install;
use super::{Args, Ctx};
use crate::openfile::OpenFile;
use crate::pipe::{as_pipe, Pipe};
use crate::user::{self, Buffer};
use lkl_abi::fcntl::{O_APPEND, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY};
use lkl_abi::splice::{SPLICE_F_GIFT, SPLICE_F_MORE, SPLICE_F_MOVE, SPLICE_F_NONBLOCK};
use lkl_abi::{Errno, Result};
use lkl_file::Iov;
use lkl_ops::{FileKind, UserMem};
use lkl_sync::{block_on, Blocking, Events};
use lkl_vfs::Place;
use std::sync::Arc;

/// Bytes that are moved at once.
const PIECE: u64 = 64 * 1024;

pub(super) fn pipe2(cx: &Ctx<'_>, [fds, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let pipe = Pipe::new();
    let ino = cx.kernel.new_ino();
    let status = flags & O_NONBLOCK;
    let ends = [
        OpenFile::new(Arc::new(pipe.end(true, false, ino)), O_RDONLY | status),
        OpenFile::new(Arc::new(pipe.end(false, true, ino)), O_WRONLY | status),
    ];
    let mut numbers = Vec::new();
    let result = ends.into_iter().try_for_each(|end| {
        numbers.push(install(cx, FileKind::File, end, flags & O_CLOEXEC != 0)? as u32);
        Ok(())
    });
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
    if let Err(e) = result.and_then(|()| cx.mem.write(fds, &bytes)) {
        for fd in numbers {
            super::fd::close(cx, [u64::from(fd), 0, 0, 0, 0, 0])?;
        }
        return Err(e);
    }
    Ok(0)
}

fn check_flags(flags: u64) -> Result<()> {
    if flags as u32 & !(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// One side of a copy.
struct Side {
    file: Arc<OpenFile>,
    /// Its own position, instead of where the file stands.
    at: Option<u64>,
}

impl Side {
    /// The file at `fd`, with the position that is at `offset`.
    fn new(cx: &Ctx<'_>, fd: u64, offset: u64) -> Result<Self> {
        let file = cx.file(fd)?;
        let at = match offset {
            0 => None,
            _ if as_pipe(&**file.file()).is_some() => return Err(Errno::ESPIPE),
            addr => Some(user::u64_at(cx.mem, addr)?),
        };
        Ok(Self { file, at })
    }

    fn pipe(&self) -> Option<&Arc<Pipe>> {
        as_pipe(&**self.file.file())
    }

    /// A position of its own has to be one.
    fn check(&self) -> Result<()> {
        match self.at {
            Some(at) if !self.file.file().seekable() || at > i64::MAX as u64 => Err(Errno::EINVAL),
            _ => Ok(()),
        }
    }

    fn nonblock(&self, flags: u64) -> bool {
        flags as u32 & SPLICE_F_NONBLOCK != 0 || self.file.nonblock()
    }

    /// Tells where the next one goes on.
    fn put(&self, cx: &Ctx<'_>, offset: u64) -> Result<()> {
        match self.at {
            Some(at) => cx.mem.write(offset, &at.to_ne_bytes()),
            None => Ok(()),
        }
    }
}

fn wait_for<T>(cx: &Ctx<'_>, pipe: &Pipe, events: Events, nonblock: bool, f: impl FnMut() -> Result<T>) -> Result<T> {
    let how = Blocking { nonblock, ..Blocking::on(cx.task.parker()) };
    block_on(how, pipe.queue(), events, f)
}

fn room(cx: &Ctx<'_>, pipe: &Pipe, nonblock: bool) -> Result<usize> {
    let result = wait_for(cx, pipe, Events::WRITE, nonblock, || pipe.room());
    if result == Err(Errno::EPIPE) {
        cx.task.raise(super::msg::SIGPIPE);
    }
    result
}

/// Moves up to `len` bytes. Answers 0 at the end of the input.
fn step(cx: &Ctx<'_>, from: &mut Side, to: &mut Side, len: u64, nonblock: bool) -> Result<u64> {
    let len = len.min(PIECE);
    match (from.pipe().cloned(), to.pipe().cloned()) {
        (Some(input), Some(output)) => {
            let room = room(cx, &output, nonblock)?;
            let bytes = wait_for(cx, &input, Events::READ, nonblock, || {
                input.take(usize::try_from(len).unwrap_or(0).min(room))
            })?;
            output.push(&bytes);
            Ok(bytes.len() as u64)
        }
        (Some(input), None) => {
            let bytes = wait_for(cx, &input, Events::READ, nonblock, || input.take(len as usize))?;
            if bytes.is_empty() {
                return Ok(0);
            }
            let buffer = Buffer::new(bytes.len());
            buffer.write(0, &bytes)?;
            let result = rw::write_from(cx, &to.file, &buffer, &[Iov { base: 0, len: bytes.len() as u64 }], to.at);
            let done = *result.as_ref().unwrap_or(&0);
            input.put_back(bytes.get(done as usize..).unwrap_or_default());
            to.at = to.at.map(|at| at + done);
            result
        }
        (None, Some(output)) => {
            let room = (room(cx, &output, nonblock)? as u64).min(len);
            let buffer = Buffer::new(room as usize);
            let n = rw::read_into(cx, &from.file, &buffer, &[Iov { base: 0, len: room }], from.at)?;
            let mut bytes = vec![0; n as usize];
            buffer.read(0, &mut bytes)?;
            output.push(&bytes);
            from.at = from.at.map(|at| at + n);
            Ok(n)
        }
        (None, None) => Err(Errno::EINVAL),
    }
}

pub(super) fn splice(cx: &Ctx<'_>, [input, in_offset, out, out_offset, len, flags]: Args) -> Result<u64> {
    check_flags(flags)?;
    if len == 0 {
        return Ok(0);
    }
    let mut from = Side::new(cx, input, in_offset)?;
    let mut to = Side::new(cx, out, out_offset)?;
    readable(&from.file)?;
    writable(&to.file)?;
    let same = matches!((from.pipe(), to.pipe()), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
    let appends = to.pipe().is_none() && to.file.flags() & O_APPEND != 0;
    let directory = from.file.place().is_some_and(Place::is_dir);
    if same || appends || directory || from.pipe().or(to.pipe()).is_none() {
        return Err(Errno::EINVAL);
    }
    from.check()?;
    to.check()?;
    let nonblock = from.nonblock(flags) && from.pipe().is_some() || to.nonblock(flags) && to.pipe().is_some();
    let mut done = 0;
    while done < len {
        // Only the first piece is waited for.
        match step(cx, &mut from, &mut to, len - done, nonblock || done > 0) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
        // What is no pipe could keep a second piece waiting.
        if from.pipe().is_none() && !from.file.file().seekable() {
            break;
        }
    }
    from.put(cx, in_offset)?;
    to.put(cx, out_offset)?;
    Ok(done)
}

pub(super) fn tee(cx: &Ctx<'_>, [input, out, len, flags, ..]: Args) -> Result<u64> {
    check_flags(flags)?;
    if len == 0 {
        return Ok(0);
    }
    let (from, to) = (Side::new(cx, input, 0)?, Side::new(cx, out, 0)?);
    readable(&from.file)?;
    writable(&to.file)?;
    let (Some(input), Some(output)) = (from.pipe(), to.pipe()) else { return Err(Errno::EINVAL) };
    if Arc::ptr_eq(input, output) {
        return Err(Errno::EINVAL);
    }
    let nonblock = from.nonblock(flags) || to.nonblock(flags);
    let bytes = wait_for(cx, input, Events::READ, nonblock, || input.peek(len.min(PIECE) as usize))?;
    if bytes.is_empty() {
        return Ok(0);
    }
    let room = room(cx, output, nonblock)?;
    let part = bytes.get(..room).unwrap_or(&bytes);
    output.push(part);
    Ok(part.len() as u64)
}

pub(super) fn vmsplice(cx: &Ctx<'_>, [fd, iov, count, flags, ..]: Args) -> Result<u64> {
    check_flags(flags)?;
    let side = Side::new(cx, fd, 0)?;
    let iov = user::iovecs(cx.mem, iov, count)?;
    if user::total(&iov) == 0 {
        return Ok(0);
    }
    side.pipe().ok_or(Errno::EBADF)?;
    let nonblock = side.nonblock(flags);
    match writable(&side.file) {
        Ok(()) => rw::write_stream(cx, &side.file, cx.mem, &iov, nonblock),
        Err(_) => rw::read_stream(cx, &side.file, cx.mem, &iov, nonblock),
    }
}
