//! `ioctl`: what every file knows, then the file itself, then, for a socket, the network's devices.

use super::at::{self, Who};
use super::extents;
use super::fd::{owner_number, set_owner};
use super::{Args, Ctx};
use crate::openfile::OpenFile;
use crate::stack;
use crate::user;
use lkl_abi::fcntl::{FASYNC, O_ACCMODE, O_APPEND, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use lkl_abi::fs::*;
use lkl_abi::inotify::IN_ATTRIB;
use lkl_abi::ioctls::*;
use lkl_abi::stat::{S_IFMT, S_IFREG};
use lkl_abi::{Errno, Result};
use lkl_vfs::{FileFlags, VfsFile};
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

/// Flags that files have under two names: `FS_*_FL` and `FS_XFLAG_*`.
const XFLAGS: [(u32, u32); 7] = [
    (FS_SYNC_FL, FS_XFLAG_SYNC),
    (FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE),
    (FS_APPEND_FL, FS_XFLAG_APPEND),
    (FS_NODUMP_FL, FS_XFLAG_NODUMP),
    (FS_NOATIME_FL, FS_XFLAG_NOATIME),
    (FS_DAX_FL, FS_XFLAG_DAX),
    (FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT),
];
/// Where a `struct fsxattr` has the project.
const PROJECT: usize = 12;

fn to_xflags(flags: u32) -> u32 {
    XFLAGS.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |all, (_, xflag)| all | xflag)
}

fn set_flags(cx: &Ctx<'_>, content: &VfsFile, flags: FileFlags) -> Result<()> {
    cx.kernel.vfs().set_flags(&Who::new(cx).context(), content.place(), &flags)?;
    cx.kernel.inotify.tell(content.place(), IN_ATTRIB);
    Ok(())
}

/// What a file of a file system knows.
fn of_content(cx: &Ctx<'_>, content: &VfsFile, request: u32, arg: u64) -> Result<u64> {
    match request {
        FIGETBSZ => put_int(cx, arg, u64::from(content.node().sb().statfs()?.block_size))?,
        FS_IOC_GETFLAGS => put_int(cx, arg, content.node().inode().flags()?.flags.into())?,
        FS_IOC_SETFLAGS => {
            let flags = user::i32_at(cx.mem, arg)? as u32;
            let old = content.node().inode().flags()?;
            set_flags(cx, content, FileFlags { flags, ..old })?;
        }
        FS_IOC_FSGETXATTR => {
            let flags = content.node().inode().flags()?;
            let mut raw = [0; FSXATTR_SIZE];
            for (at, n) in [(0, to_xflags(flags.flags)), (PROJECT, flags.project)] {
                raw[at..at + 4].copy_from_slice(&n.to_ne_bytes());
            }
            cx.mem.write(arg, &raw)?;
        }
        FS_IOC_FSSETXATTR => {
            let raw = user::array::<FSXATTR_SIZE>(cx.mem, arg)?;
            let old = content.node().inode().flags()?;
            let (xflags, project) = (user::u32_in(&raw, 0), user::u32_in(&raw, PROJECT));
            let known = XFLAGS.iter().fold(0, |all, (flag, _)| all | flag);
            let wanted = XFLAGS.iter().filter(|(_, xflag)| xflags & xflag != 0).fold(0, |all, (flag, _)| all | flag);
            set_flags(cx, content, FileFlags { flags: old.flags & !known | wanted, project })?;
        }
        FS_IOC_GETVERSION | EXT4_IOC_GETVERSION => {
            cx.mem.write(arg, &content.node().inode().generation()?.to_ne_bytes())?;
        }
        FS_IOC_SETVERSION | EXT4_IOC_SETVERSION => {
            // Whose file it is comes before what is asked.
            let who = Who::new(cx);
            if !who.cred().owns(&content.node().inode().attr()) {
                return Err(Errno::EPERM);
            }
            let generation = user::u32_at(cx.mem, arg)?;
            cx.kernel.vfs().set_generation(&who.context(), content.place(), generation)?;
        }
        FS_IOC_FIEMAP => return extents::fiemap(cx, content, arg),
        FIBMAP => return extents::fibmap(cx, content, arg),
        FITRIM => return extents::trim(cx, content, arg),
        FICLONE => return clone(cx, content, arg),
        FICLONERANGE => return clone(cx, content, user::u64_at(cx.mem, arg)?),
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
    if request == FS_IOC_FIEMAP && file.vfs_file().is_some() {
        // What is a name of something else lies nowhere.
        return Err(Errno::EOPNOTSUPP);
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
