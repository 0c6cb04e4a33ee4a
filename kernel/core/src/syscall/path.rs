//! What is known of files: `stat`, `statfs`, `access`, `readlink`, and lists of names.

use super::at::{self, named, Named, Who};
use super::{Args, Ctx};
use crate::files::Nameless;
use crate::openfile::OpenFile;
use crate::user;
use lkl_abi::dirent;
use lkl_abi::fcntl::*;
use lkl_abi::inotify::IN_ACCESS;
use lkl_abi::stat::{Stat, STATX_DIOALIGN, S_IFMT, S_IFREG, S_IFSOCK};
use lkl_abi::statfs::{Statfs, ANON_INODE_FS_MAGIC, SOCKFS_MAGIC};
use lkl_abi::{Errno, Result};
use lkl_file::File;
use lkl_vfs::{InodeKind, Link, Place, WalkFlags};

/// The most bytes of names that are gathered for one call, whatever room the caller has.
const LIST_MAX: usize = 1 << 20;

/// What is known of a file that is in no file system.
fn stat_of(file: &dyn File) -> Stat {
    let mode = file.mode();
    let dev = match mode & S_IFMT {
        S_IFSOCK => (0, 9),
        0 => (0, 15),
        _ => (0, 22),
    };
    Stat { dev, ino: file.ino(), mode, nlink: 1, size: file.size(), blksize: 4096, ..Stat::default() }
}

fn stat_open(file: &OpenFile) -> Stat {
    file.place().map_or_else(|| stat_of(&**file.file()), Place::stat)
}

fn stat_found(found: &Named) -> Stat {
    match found {
        Named::Place(place) => place.stat(),
        Named::File(file) => stat_open(file),
    }
}

/// What `O_DIRECT` asks for where that reaches a disk; 0 elsewhere.
fn direct_alignment(found: &Named) -> u32 {
    let place = match found {
        Named::Place(place) => Some(place),
        Named::File(file) => file.place(),
    };
    let alignment = place.map_or(0, |place| place.node().sb().raw().direct_alignment());
    if alignment > 1 {
        alignment
    } else {
        0
    }
}

pub(super) fn fstat(cx: &Ctx<'_>, [fd, buf, ..]: Args) -> Result<u64> {
    let stat = stat_open(&*cx.file(fd)?);
    cx.mem.write(buf, &stat.to_stat())?;
    Ok(0)
}

pub(super) fn newfstatat(cx: &Ctx<'_>, [dirfd, path, buf, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let stat = stat_found(&named(cx, &Who::new(cx), dirfd, path, flags)?);
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
    let found = named(cx, &Who::new(cx), dirfd, path, flags)?;
    let mut stat = stat_found(&found);
    if mask & STATX_DIOALIGN != 0 && stat.mode & S_IFMT == S_IFREG {
        stat.direct_alignment = direct_alignment(&found);
    }
    cx.mem.write(buf, &stat.to_statx())?;
    Ok(0)
}

pub(super) fn statfs(cx: &Ctx<'_>, [path, buf, ..]: Args) -> Result<u64> {
    let place = at::walk_at(cx, &Who::new(cx), AT_FDCWD as u64, path, WalkFlags::FOLLOW)?;
    cx.mem.write(buf, &place.statfs()?.to_bytes())?;
    Ok(0)
}

pub(super) fn fstatfs(cx: &Ctx<'_>, [fd, buf, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let statfs = match file.place() {
        Some(place) => place.statfs()?,
        None => {
            let kind = if file.socket().is_some() { SOCKFS_MAGIC } else { ANON_INODE_FS_MAGIC };
            Statfs { kind, bsize: 4096, namelen: 255, frsize: 4096, ..Statfs::default() }
        }
    };
    cx.mem.write(buf, &statfs.to_bytes())?;
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
    // The whole of it is asked for the real user, the walk as well.
    let who = match flags & AT_EACCESS {
        0 => Who::acting_as(cx, cx.process().credentials().real()),
        _ => Who::new(cx),
    };
    match named(cx, &who, dirfd, path, flags)? {
        Named::File(file) if file.place().is_none() => {
            let granted = if who.cred().is_root() { 0o6 } else { file.file().mode() >> 6 & 0o7 };
            if mode & !granted != 0 {
                return Err(Errno::EACCES);
            }
        }
        other => {
            let place = other.place(Errno::EACCES)?;
            if mode != 0 {
                cx.kernel.vfs().access(&who.context(), &place, mode)?;
            }
        }
    }
    Ok(0)
}

/// Where a symbolic link leads, for one who reads it.
fn link_text(cx: &Ctx<'_>, who: &Who, place: &Place) -> Result<Vec<u8>> {
    if !place.node().sb().raw().names_change() {
        return place.read_link();
    }
    match place.node().inode().follow(who.caller())? {
        Link::Path(path) => Ok(path),
        Link::Magic(to) => match (to.downcast_ref::<Place>(), to.downcast_ref::<Nameless>()) {
            (Some(to), _) => Ok(shown_path(cx, who, to)),
            (_, Some(nameless)) => Ok(nameless.text().to_vec()),
            _ => Err(Errno::EINVAL),
        },
    }
}

/// The path of a place, as `/proc/PID/fd` shows it.
fn shown_path(cx: &Ctx<'_>, who: &Who, place: &Place) -> Vec<u8> {
    let found = cx.kernel.vfs().path_of(place, who.root());
    let deleted: &[u8] = if found.deleted { b" (deleted)" } else { b"" };
    [&found.path, deleted].concat()
}

pub(super) fn readlinkat(cx: &Ctx<'_>, [dirfd, path, buf, room, ..]: Args) -> Result<u64> {
    let room = usize::try_from(room as i32).ok().filter(|n| *n > 0).ok_or(Errno::EINVAL)?;
    let who = Who::new(cx);
    let path = user::path(cx.mem, path)?;
    let place = if path.is_empty() {
        // An open link itself.
        let place = match dirfd as i32 {
            AT_FDCWD => None,
            _ => cx.file(dirfd)?.place().cloned(),
        };
        place.filter(|p| p.kind() == InodeKind::Symlink).ok_or(Errno::ENOENT)?
    } else {
        at::walk(cx, &who, dirfd, &path, WalkFlags::empty())?
    };
    if place.kind() != InodeKind::Symlink {
        return Err(Errno::EINVAL);
    }
    let target = link_text(cx, &who, &place)?;
    let part = target.get(..room.min(target.len())).unwrap_or_default();
    cx.mem.write(buf, part)?;
    Ok(part.len() as u64)
}

pub(super) fn getdents64(cx: &Ctx<'_>, [fd, buf, room, ..]: Args) -> Result<u64> {
    let room = (room as u32 as usize).min(LIST_MAX);
    let file = at::opened(cx, fd)?;
    let dir = file.content().ok_or(Errno::ENOTDIR)?;
    let mut offset = file.offset().lock();
    let mut next = *offset;
    let mut out = Vec::new();
    let mut full = false;
    dir.readdir(next, &mut |entry| {
        if out.len() + dirent::size(entry.name) > room {
            full = true;
            return false;
        }
        dirent::push(&mut out, entry.name, entry.ino, entry.next, entry.kind.map_or(0, InodeKind::mode));
        next = entry.next;
        true
    })?;
    if full && out.is_empty() {
        return Err(Errno::EINVAL);
    }
    if !out.is_empty() {
        cx.mem.write(buf, &out)?;
    }
    *offset = next;
    drop(offset);
    file.tell(IN_ACCESS);
    Ok(out.len() as u64)
}
