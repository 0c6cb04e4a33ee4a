//! `ioctl`: what every file knows, then the file itself, then, for a socket, the network's devices.

use super::fd::{owner_number, set_owner};
use super::{at, Args, Ctx};
use crate::openfile::OpenFile;
use crate::stack;
use crate::user;
use lkl_abi::fcntl::{FASYNC, O_ACCMODE, O_APPEND, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use lkl_abi::fs::{
    FICLONE, FICLONERANGE, FIGETBSZ, FS_APPEND_FL, FS_COMPR_FL, FS_ENCRYPT_FL, FS_IMMUTABLE_FL, FS_IOC_GETFLAGS,
    FS_IOC_SETFLAGS, FS_NODUMP_FL,
};
use lkl_abi::ioctls::*;
use lkl_abi::stat::{
    STATX_ATTR_APPEND, STATX_ATTR_COMPRESSED, STATX_ATTR_ENCRYPTED, STATX_ATTR_IMMUTABLE, STATX_ATTR_NODUMP, S_IFMT,
    S_IFREG,
};
use lkl_abi::{Errno, Result};
use lkl_vfs::VfsFile;
use std::sync::Arc;

pub(super) fn ioctl(cx: &Ctx<'_>, [fd, request, arg, ..]: Args) -> Result<u64> {
    let file = at::opened(cx, fd)?;
    let request = request as u32;
    let f = file.file();
    match request {
        FIOCLEX | FIONCLEX => cx.process().numbers().set_cloexec(fd as i32, request == FIOCLEX),
        FIONBIO => file.change_flags(O_NONBLOCK, user::i32_at(cx.mem, arg)? != 0),
        FIOASYNC => {
            let on = user::i32_at(cx.mem, arg)? != 0;
            if on != (file.flags() & FASYNC != 0) {
                file.socket().ok_or(Errno::ENOTTY)?;
                file.fasync_made(cx.kernel.net().host()).set_async(on, fd as i32);
                file.change_flags(FASYNC, on);
            }
        }
        FIONREAD if f.mode() & S_IFMT == S_IFREG => {
            let left = f.size().saturating_sub(*file.offset().lock());
            put_int(cx, arg, left)?;
        }
        _ => return of_file(cx, &file, request, arg),
    }
    Ok(0)
}

/// What a file of a file system knows.
fn of_content(cx: &Ctx<'_>, content: &VfsFile, request: u32, arg: u64) -> Result<u64> {
    match request {
        FIGETBSZ => put_int(cx, arg, u64::from(content.node().sb().statfs()?.block_size))?,
        FS_IOC_GETFLAGS => {
            let attributes = content.node().attr().attributes;
            let pairs = [
                (STATX_ATTR_IMMUTABLE, FS_IMMUTABLE_FL),
                (STATX_ATTR_APPEND, FS_APPEND_FL),
                (STATX_ATTR_NODUMP, FS_NODUMP_FL),
                (STATX_ATTR_COMPRESSED, FS_COMPR_FL),
                (STATX_ATTR_ENCRYPTED, FS_ENCRYPT_FL),
            ];
            let flags = pairs.iter().filter(|(bit, _)| attributes & bit != 0).fold(0, |all, (_, flag)| all | flag);
            put_int(cx, arg, flags.into())?;
        }
        FICLONE => return clone(cx, content, arg),
        FICLONERANGE => return clone(cx, content, user::u64_at(cx.mem, arg)?),
        // Flags cannot be set.
        FS_IOC_SETFLAGS => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

/// `FICLONE`, `FICLONERANGE`: no file system here shares blocks. What else may be wrong comes first.
fn clone(cx: &Ctx<'_>, to: &VfsFile, from: u64) -> Result<u64> {
    let from = cx.file(from)?;
    let source = from.content().ok_or(Errno::EXDEV)?;
    if !Arc::ptr_eq(source.node().sb(), to.node().sb()) {
        return Err(Errno::EXDEV);
    }
    if source.place().is_dir() || to.place().is_dir() {
        return Err(Errno::EISDIR);
    }
    let access = |file: &VfsFile| file.flags() & O_ACCMODE;
    let may = matches!(access(source), O_RDONLY | O_RDWR) && matches!(access(to), O_WRONLY | O_RDWR);
    if !may || to.flags() & O_APPEND != 0 {
        return Err(Errno::EBADF);
    }
    Err(Errno::EOPNOTSUPP)
}

fn put_int(cx: &Ctx<'_>, addr: u64, n: u64) -> Result<()> {
    cx.mem.write(addr, &i32::try_from(n).unwrap_or(i32::MAX).to_ne_bytes())
}

fn of_file(cx: &Ctx<'_>, file: &Arc<OpenFile>, request: u32, arg: u64) -> Result<u64> {
    match file.file().ioctl(cx.mem, request, arg) {
        Err(Errno::ENOTTY) => {}
        answer => return answer,
    }
    if let Some(content) = file.content() {
        return of_content(cx, content, request, arg);
    }
    let socket = file.socket().ok_or(Errno::ENOTTY)?;
    match request {
        FIONREAD => put_int(cx, arg, socket.readable_bytes()? as u64)?,
        SIOCOUTQ => put_int(cx, arg, socket.unsent_bytes()? as u64)?,
        FIOSETOWN | SIOCSPGRP => return set_owner(cx, file, user::i32_at(cx.mem, arg)?),
        FIOGETOWN | SIOCGPGRP => cx.mem.write(arg, &owner_number(file).to_ne_bytes())?,
        SIOC_FIRST..=SIOC_LAST => {
            return stack::dev_ioctl_family(cx.kernel.net(), socket.family(), cx.mem, request, arg)
        }
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}
