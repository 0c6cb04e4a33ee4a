//! Files by their path: the trees of `/proc` and `/sys` that the network fills. Every other path is somebody else's.

use super::socket::install;
use super::{Args, Ctx};
use crate::openfile::OpenFile;
use crate::user;
use lkl_abi::dirent;
use lkl_abi::fcntl::*;
use lkl_abi::stat::{Stat, S_IFDIR, S_IFMT, S_IFSOCK};
use lkl_abi::{Errno, Result};
use lkl_file::File;
use lkl_ops::FileKind;

/// An absolute path without `.`, `..` and double slashes.
fn normalise(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    [b"/", &*parts.join(&b'/')].concat()
}

/// The path that a call names, absolute. A relative one needs a directory of ours to begin at; where the program stands
/// is not known here, so the caller gives absolute paths instead of those relative to `AT_FDCWD`.
fn resolve(cx: &Ctx<'_>, dirfd: u64, path: &[u8]) -> Result<Vec<u8>> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let absolute = if path.starts_with(b"/") {
        normalise(path)
    } else if dirfd as i32 == AT_FDCWD {
        return Err(Errno::ENOENT);
    } else {
        let dir = cx.file(dirfd)?;
        if dir.file().mode() & S_IFMT != S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        normalise(&[dir.path().ok_or(Errno::ENOENT)?, path].join(&b'/'))
    };
    Ok(own_process(cx, absolute))
}

/// Every name of the calling process in `/proc` means `/proc/self`.
fn own_process(cx: &Ctx<'_>, path: Vec<u8>) -> Vec<u8> {
    let Some(rest) = core::str::from_utf8(&path).ok().and_then(|p| p.strip_prefix("/proc/")) else { return path };
    let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let pid = cx.process().pid();
    let mine = first == "thread-self" || first.parse::<i32>().is_ok_and(|n| n == pid || n == cx.task.tid());
    if mine {
        // A thread's own directory is the process's, as far as the network goes.
        let rest = rest.strip_prefix("task/").and_then(|r| r.split_once('/')).map_or(rest, |(_, r)| r);
        return format!("/proc/self/{rest}").into_bytes();
    }
    path
}

pub(super) fn openat(cx: &Ctx<'_>, [dirfd, path, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    let path = resolve(cx, dirfd, &user::path(cx.mem, path)?)?;
    open(cx, path, flags)
}

pub(super) fn openat2(cx: &Ctx<'_>, [dirfd, path, how, size, ..]: Args) -> Result<u64> {
    /// `struct open_how` of its first version.
    const HOW_SIZE: u64 = 24;
    if size < HOW_SIZE {
        return Err(Errno::EINVAL);
    }
    if size > HOW_SIZE {
        return Err(Errno::E2BIG);
    }
    let flags = user::u64_at(cx.mem, how)?;
    let flags = u32::try_from(flags).map_err(|_| Errno::EINVAL)?;
    let path = resolve(cx, dirfd, &user::path(cx.mem, path)?)?;
    open(cx, path, flags)
}

fn open(cx: &Ctx<'_>, path: Vec<u8>, flags: u32) -> Result<u64> {
    let file = cx.kernel.proc_open(&path).unwrap_or(Err(Errno::ENOENT))?;
    // Wrapped first, so that it is let go properly whatever happens.
    let kept = flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH | O_DIRECTORY | O_NOFOLLOW);
    let file = OpenFile::with_path(file, kept | O_LARGEFILE, Some(path));
    let directory = file.file().mode() & S_IFMT == S_IFDIR;
    let write = flags & O_ACCMODE != O_RDONLY;
    if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
        return Err(Errno::EEXIST);
    }
    if flags & O_DIRECTORY != 0 && !directory {
        return Err(Errno::ENOTDIR);
    }
    if directory && (write || flags & O_CREAT != 0) {
        return Err(Errno::EISDIR);
    }
    if write && file.file().mode() & 0o222 == 0 {
        return Err(Errno::EACCES);
    }
    install(cx, FileKind::File, file, flags & O_CLOEXEC != 0)
}

fn stat_of(file: &dyn File) -> Stat {
    let mode = file.mode();
    let dev = match mode & S_IFMT {
        S_IFSOCK => (0, 9),
        0 => (0, 15),
        _ => (0, 22),
    };
    Stat {
        dev,
        ino: file.ino(),
        mode,
        nlink: 1,
        size: file.size(),
        blksize: if mode & S_IFMT == S_IFSOCK || mode & S_IFMT == 0 { 4096 } else { 1024 },
        ..Stat::default()
    }
}

fn stat_open(cx: &Ctx<'_>, fd: u64) -> Result<Stat> {
    let file = cx.file(fd)?;
    match file.path().and_then(|path| cx.kernel.proc_stat(path, true)) {
        Some(Ok(stat)) => Ok(stat),
        _ => Ok(stat_of(&**file.file())),
    }
}

/// The file that a call with a directory, a path and `AT_EMPTY_PATH` names.
fn named(cx: &Ctx<'_>, dirfd: u64, path: u64, flags: u32) -> Result<Stat> {
    let path = match path {
        // Linux takes no path at all for an empty one.
        0 if flags & AT_EMPTY_PATH != 0 => Vec::new(),
        addr => user::path(cx.mem, addr)?,
    };
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return stat_open(cx, dirfd);
    }
    let path = resolve(cx, dirfd, &path)?;
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    cx.kernel.proc_stat(&path, follow).unwrap_or(Err(Errno::ENOENT))
}

pub(super) fn fstat(cx: &Ctx<'_>, [fd, buf, ..]: Args) -> Result<u64> {
    let stat = stat_open(cx, fd)?;
    cx.mem.write(buf, &stat.to_stat())?;
    Ok(0)
}

pub(super) fn newfstatat(cx: &Ctx<'_>, [dirfd, path, buf, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let stat = named(cx, dirfd, path, flags)?;
    cx.mem.write(buf, &stat.to_stat())?;
    Ok(0)
}

pub(super) fn statx(cx: &Ctx<'_>, [dirfd, path, flags, mask, buf, _]: Args) -> Result<u64> {
    let (flags, mask) = (flags as u32, mask as u32);
    let sync = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
    if mask & lkl_abi::stat::STATX_RESERVED != 0
        || flags & sync == sync
        || flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | sync) != 0
    {
        return Err(Errno::EINVAL);
    }
    let stat = named(cx, dirfd, path, flags)?;
    cx.mem.write(buf, &stat.to_statx())?;
    Ok(0)
}

pub(super) fn faccessat(cx: &Ctx<'_>, [dirfd, path, mode, ..]: Args) -> Result<u64> {
    faccessat2(cx, [dirfd, path, mode, 0, 0, 0])
}

pub(super) fn faccessat2(cx: &Ctx<'_>, [dirfd, path, mode, flags, ..]: Args) -> Result<u64> {
    let (mode, flags) = (mode as u32, flags as u32);
    if mode & !(R_OK | W_OK | X_OK) != 0 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let stat = named(cx, dirfd, path, flags)?;
    // As the owner, whom every program of ours is.
    if mode & !(stat.mode >> 6) & 0o7 != 0 {
        return Err(Errno::EACCES);
    }
    Ok(0)
}

pub(super) fn readlinkat(cx: &Ctx<'_>, [dirfd, path, buf, room, ..]: Args) -> Result<u64> {
    let room = usize::try_from(room as i32).ok().filter(|n| *n > 0).ok_or(Errno::EINVAL)?;
    let path = resolve(cx, dirfd, &user::path(cx.mem, path)?)?;
    let target = cx.kernel.proc_readlink(&path).unwrap_or(Err(Errno::ENOENT))?;
    let part = target.as_bytes().get(..room.min(target.len())).unwrap_or_default();
    cx.mem.write(buf, part)?;
    Ok(part.len() as u64)
}

pub(super) fn getdents64(cx: &Ctx<'_>, [fd, buf, room, ..]: Args) -> Result<u64> {
    let room = room as u32 as usize;
    let file = cx.file(fd)?;
    let path = file.path().ok_or(Errno::ENOTDIR)?;
    let own = (file.file().ino(), S_IFDIR);
    let names = cx.kernel.proc_readdir(path).unwrap_or(Err(Errno::ENOENT))?;
    let dots = [".", ".."].map(|name| (name.to_owned(), own));
    let names: Vec<_> = dots.into_iter().chain(names.into_iter().map(|e| (e.name, (e.ino, e.kind)))).collect();
    let mut offset = file.offset().lock();
    let mut next = *offset;
    let start = usize::try_from(next).unwrap_or(usize::MAX);
    let mut out = Vec::new();
    for (name, (ino, kind)) in names.get(start..).unwrap_or_default() {
        if out.len() + dirent::size(name.as_bytes()) > room {
            if out.is_empty() {
                return Err(Errno::EINVAL);
            }
            break;
        }
        next += 1;
        dirent::push(&mut out, name.as_bytes(), *ino, next, *kind);
    }
    if !out.is_empty() {
        cx.mem.write(buf, &out)?;
    }
    *offset = next;
    Ok(out.len() as u64)
}
