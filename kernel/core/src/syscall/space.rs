//! The content of files as a whole: what is durable, which parts have blocks, copies within the kernel, seals.

use super::at::opened;
use super::rw::{readable, writable};
use super::{Args, Ctx};
use crate::openfile::OpenFile;
use crate::pipe::as_pipe;
use crate::user;
use lkl_abi::falloc::*;
use lkl_abi::fcntl::{
    F_SEAL_EXEC, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, O_ACCMODE, O_APPEND,
    O_RDONLY,
};
use lkl_abi::fs::{SYNC_FILE_RANGE_WAIT_AFTER, SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE};
use lkl_abi::inotify::{IN_ACCESS, IN_MODIFY};
use lkl_abi::stat::{S_IFMT, S_IFREG};
use lkl_abi::statfs::TMPFS_MAGIC;
use lkl_abi::uio::MAX_RW_COUNT;
use lkl_abi::{Errno, Result};
use lkl_vfs::{InodeKind, Node, Range};
use std::sync::Arc;

/// `SIGXFSZ`
const SIGXFSZ: u32 = 25;

/// What `fallocate` knows.
const FALLOC_FL_KNOWN: u32 = FALLOC_FL_KEEP_SIZE
    | FALLOC_FL_PUNCH_HOLE
    | FALLOC_FL_COLLAPSE_RANGE
    | FALLOC_FL_ZERO_RANGE
    | FALLOC_FL_INSERT_RANGE
    | FALLOC_FL_UNSHARE_RANGE;

pub(super) fn fsync(cx: &Ctx<'_>, [fd, ..]: Args) -> Result<u64> {
    opened(cx, fd)?.file().sync(false).map(|()| 0)
}

pub(super) fn fdatasync(cx: &Ctx<'_>, [fd, ..]: Args) -> Result<u64> {
    opened(cx, fd)?.file().sync(true).map(|()| 0)
}

pub(super) fn sync(cx: &Ctx<'_>, _: Args) -> Result<u64> {
    if let Some(vfs) = cx.kernel.vfs_started() {
        // The call has no way to tell an error: `syncfs` and `fsync` do.
        let _not_told = vfs.sync();
    }
    Ok(0)
}

pub(super) fn syncfs(cx: &Ctx<'_>, [fd, ..]: Args) -> Result<u64> {
    match opened(cx, fd)?.place() {
        Some(place) => place.mount.sb().sync().map(|()| 0),
        None => Ok(0),
    }
}

pub(super) fn sync_file_range(cx: &Ctx<'_>, [fd, offset, len, flags, ..]: Args) -> Result<u64> {
    let known = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    let file = opened(cx, fd)?;
    let end = (offset as i64).checked_add(len as i64);
    if flags as u32 & !known != 0 || (offset as i64) < 0 || end.is_none_or(|end| end < offset as i64) {
        return Err(Errno::EINVAL);
    }
    let content = file.content().ok_or(Errno::ESPIPE)?;
    if flags != 0 {
        content.sync_range(offset, len)?;
    }
    Ok(0)
}

pub(super) fn fadvise64(cx: &Ctx<'_>, [fd, offset, len, advice, ..]: Args) -> Result<u64> {
    let file = opened(cx, fd)?;
    if as_pipe(&**file.file()).is_some() {
        return Err(Errno::ESPIPE);
    }
    if (len as i64) < 0 || advice > 5 {
        return Err(Errno::EINVAL);
    }
    if let Some(content) = file.content() {
        content.advise(offset, len, advice as u32)?;
    }
    Ok(0)
}

/// What is read comes with the pages behind it anyway.
pub(super) fn readahead(cx: &Ctx<'_>, [fd, ..]: Args) -> Result<u64> {
    let file = opened(cx, fd)?;
    readable(&file)?;
    match file.content() {
        Some(content) if content.place().kind() == InodeKind::Regular => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn fallocate(cx: &Ctx<'_>, [fd, mode, offset, len, ..]: Args) -> Result<u64> {
    let mode = mode as u32;
    let file = opened(cx, fd)?;
    let Some(content) = file.content() else {
        if (offset as i64) < 0 || (len as i64) <= 0 {
            return Err(Errno::EINVAL);
        }
        if mode & !FALLOC_FL_KNOWN != 0 || mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) == FALLOC_FL_PUNCH_HOLE {
            return Err(Errno::EOPNOTSUPP);
        }
        writable(&file)?;
        let pipe = as_pipe(&**file.file()).is_some();
        return Err(if pipe { Errno::ESPIPE } else { Errno::ENODEV });
    };
    let seals = cx.kernel.files.seals(content.node()).unwrap_or(0);
    let end = offset.saturating_add(len);
    let grows = mode & FALLOC_FL_KEEP_SIZE == 0 && end > content.node().size();
    let written = mode & FALLOC_FL_PUNCH_HOLE != 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0;
    if written || grows && seals & F_SEAL_GROW != 0 {
        return Err(Errno::EPERM);
    }
    let longer = FALLOC_FL_KEEP_SIZE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE;
    // What cannot be at all is told first.
    let can = content.node().inode().allows(Range::Allocate { keep_size: false }).is_ok();
    if mode & longer == 0 && can && writable(&file).is_ok() && (len as i64) > 0 && end <= i64::MAX as u64 {
        check_length(cx, content.node(), end)?;
    }
    content.fallocate(mode, offset, len)?;
    file.tell(IN_MODIFY);
    Ok(0)
}

/// Where one side of a copy begins: at an address of the caller's, or where the file stands.
fn position(cx: &Ctx<'_>, file: &OpenFile, addr: u64) -> Result<u64> {
    match addr {
        0 => Ok(file.position()),
        addr => user::u64_at(cx.mem, addr),
    }
}

fn set_position(cx: &Ctx<'_>, file: &OpenFile, addr: u64, at: u64) -> Result<()> {
    match addr {
        0 => *file.offset().lock() = at,
        addr => cx.mem.write(addr, &at.to_ne_bytes())?,
    }
    Ok(())
}

pub(super) fn copy_file_range(cx: &Ctx<'_>, [input, in_at, out, out_at, len, flags]: Args) -> Result<u64> {
    let (input, out) = (opened(cx, input)?, opened(cx, out)?);
    let (from, to) = (position(cx, &input, in_at)?, position(cx, &out, out_at)?);
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if let (Some(a), Some(b)) = (input.content(), out.content()) {
        if a.place().is_dir() || b.place().is_dir() {
            return Err(Errno::EISDIR);
        }
    }
    let regular = |file: &OpenFile| file.file().mode() & S_IFMT == S_IFREG;
    if !regular(&input) || !regular(&out) {
        return Err(Errno::EINVAL);
    }
    readable(&input)?;
    writable(&out)?;
    if out.flags() & O_APPEND != 0 {
        return Err(Errno::EBADF);
    }
    // Text that is made when it is read has no length to copy.
    let (Some(source), Some(target)) = (input.content(), out.content()) else { return Ok(0) };
    if !Arc::ptr_eq(source.node().sb(), target.node().sb()) {
        return Err(Errno::EXDEV);
    }
    if from.checked_add(len).is_none() || to.checked_add(len).is_none() {
        return Err(Errno::EOVERFLOW);
    }
    if from > i64::MAX as u64 || to > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    // As on Linux, the limit also stands in the way of no bytes.
    if to >= cx.process().size_limit()[0] {
        return Err(too_long(cx));
    }
    let len = check_write(cx, &out, to, len.min(MAX_RW_COUNT))?;
    let n = source.copy_range(from, target, to, len)?;
    if n > 0 {
        set_position(cx, &input, in_at, from + n)?;
        set_position(cx, &out, out_at, to + n)?;
        input.tell(IN_ACCESS);
        out.tell(IN_MODIFY);
    }
    Ok(n)
}

/// The caller wants to make a file longer than it may (`RLIMIT_FSIZE`): it is sent `SIGXFSZ`.
pub(super) fn too_long(cx: &Ctx<'_>) -> Errno {
    cx.task.raise(SIGXFSZ);
    Errno::EFBIG
}

/// How many of so many bytes may be written to a file?
///
/// # Errors
/// `EFBIG` if it has as many as the caller may write (`RLIMIT_FSIZE`); `EPERM` if it is in memory and has a seal.
pub(super) fn check_write(cx: &Ctx<'_>, file: &OpenFile, at: u64, len: u64) -> Result<u64> {
    let Some(content) = file.content() else { return Ok(len) };
    let [limit, _] = cx.process().size_limit();
    if len > 0 && at >= limit {
        return Err(too_long(cx));
    }
    let len = len.min(limit.saturating_sub(at));
    let Some(seals) = cx.kernel.files.seals(content.node()) else { return Ok(len) };
    let grows = at.saturating_add(len) > content.node().size();
    if seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 || grows && seals & F_SEAL_GROW != 0 {
        return Err(Errno::EPERM);
    }
    Ok(len)
}

/// May a file be made to have so many bytes, as far as the caller's `RLIMIT_FSIZE` goes?
///
/// # Errors
/// `EFBIG`
pub(super) fn check_length(cx: &Ctx<'_>, content: &Node, len: u64) -> Result<()> {
    if len > cx.process().size_limit()[0] && len > content.size() {
        return Err(too_long(cx));
    }
    Ok(())
}

/// `F_GET_SEALS`
pub(super) fn get_seals(cx: &Ctx<'_>, file: &OpenFile) -> Result<u64> {
    let content = file.content().ok_or(Errno::EINVAL)?;
    match cx.kernel.files.seals(content.node()) {
        Some(seals) => Ok(seals.into()),
        // Any file of a `tmpfs` has the seal that there are to be no others.
        None if content.node().sb().statfs()?.magic == TMPFS_MAGIC => Ok(F_SEAL_SEAL.into()),
        None => Err(Errno::EINVAL),
    }
}

/// `F_ADD_SEALS`
pub(super) fn add_seals(cx: &Ctx<'_>, file: &OpenFile, more: u64) -> Result<u64> {
    let known = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;
    if file.flags() & O_ACCMODE == O_RDONLY {
        return Err(Errno::EPERM);
    }
    let more = u32::try_from(more).ok().filter(|more| more & !known == 0).ok_or(Errno::EINVAL)?;
    if get_seals(cx, file)? & u64::from(F_SEAL_SEAL) != 0 {
        return Err(Errno::EPERM);
    }
    if let Some(content) = file.content() {
        cx.kernel.files.add_seals(content.node(), more);
    }
    Ok(0)
}
