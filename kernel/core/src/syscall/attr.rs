//! Changing what is known of files: mode, owner, times, length, extended attributes.

use super::at::{self, named, opened, Named, Who};
use super::{lease, rw, space, Args, Ctx};
use crate::openfile::OpenFile;
use crate::user;
use lkl_abi::fcntl::*;
use lkl_abi::inotify::{IN_ACCESS, IN_ATTRIB, IN_MODIFY};
use lkl_abi::limits::{XATTR_LIST_MAX, XATTR_NAME_MAX, XATTR_SIZE_MAX};
use lkl_abi::stat::{UTIME_NOW, UTIME_OMIT};
use lkl_abi::xattr::{XATTR_CREATE, XATTR_REPLACE};
use lkl_abi::{Errno, Result};
use lkl_vfs::cred::WRITE;
use lkl_vfs::{InodeKind, Place, SetTime, Timestamp, WalkFlags, XattrSet};

/// Leaves an owner as it is.
const SAME: u32 = u32::MAX;

/// Tells who watches a file that its attributes have changed.
fn changed(cx: &Ctx<'_>, place: &Place) -> Result<u64> {
    cx.kernel.inotify.tell(place, IN_ATTRIB);
    Ok(0)
}

fn chmod(cx: &Ctx<'_>, named: Named, mode: u64) -> Result<u64> {
    match named {
        // Sockets and their like have a mode that nobody looks at.
        Named::File(file) if file.place().is_none() => Ok(0),
        other => {
            let place = other.place(Errno::EBADF)?;
            cx.kernel.vfs().chmod(&Who::new(cx).context(), &place, mode as u32)?;
            changed(cx, &place)
        }
    }
}

pub(super) fn fchmod(cx: &Ctx<'_>, [fd, mode, ..]: Args) -> Result<u64> {
    chmod(cx, Named::File(opened(cx, fd)?), mode)
}

pub(super) fn fchmodat(cx: &Ctx<'_>, [dirfd, path, mode, ..]: Args) -> Result<u64> {
    fchmodat2(cx, [dirfd, path, mode, 0, 0, 0])
}

pub(super) fn fchmodat2(cx: &Ctx<'_>, [dirfd, path, mode, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    chmod(cx, named(cx, &Who::new(cx), dirfd, path, flags)?, mode)
}

fn chown(cx: &Ctx<'_>, named: Named, uid: u64, gid: u64) -> Result<u64> {
    let id = |id: u64| (id as u32 != SAME).then_some(id as u32);
    match named {
        Named::File(file) if file.place().is_none() => Ok(0),
        other => {
            let place = other.place(Errno::EBADF)?;
            let before = place.node().attr().mode;
            cx.kernel.vfs().chown(&Who::new(cx).context(), &place, id(uid), id(gid))?;
            // With no owner given, what may be told is that the file is no longer set-user-ID.
            if id(uid).or(id(gid)).is_none() && place.node().attr().mode == before {
                return Ok(0);
            }
            changed(cx, &place)
        }
    }
}

pub(super) fn fchown(cx: &Ctx<'_>, [fd, uid, gid, ..]: Args) -> Result<u64> {
    chown(cx, Named::File(opened(cx, fd)?), uid, gid)
}

pub(super) fn fchownat(cx: &Ctx<'_>, [dirfd, path, uid, gid, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    chown(cx, named(cx, &Who::new(cx), dirfd, path, flags)?, uid, gid)
}

/// Reads the two times of `utimensat`.
fn times(cx: &Ctx<'_>, addr: u64) -> Result<[SetTime; 2]> {
    let mut times = [SetTime::Now; 2];
    if addr == 0 {
        return Ok(times);
    }
    let raw = user::array::<32>(cx.mem, addr)?;
    for (i, time) in times.iter_mut().enumerate() {
        let (secs, nanos) = (user::u64_in(&raw, 16 * i) as i64, user::u64_in(&raw, 16 * i + 8) as i64);
        *time = match nanos {
            UTIME_NOW => SetTime::Now,
            UTIME_OMIT => SetTime::Omit,
            0..1_000_000_000 => SetTime::At(Timestamp { secs, nanos: nanos as u32 }),
            _ => return Err(Errno::EINVAL),
        };
    }
    Ok(times)
}

pub(super) fn utimensat(cx: &Ctx<'_>, [dirfd, path, addr, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    let times = times(cx, addr)?;
    // Before anything else is looked at.
    if times == [SetTime::Omit; 2] {
        return Ok(0);
    }
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let who = Who::new(cx);
    let named = match path {
        // `futimens`
        0 if dirfd as i32 != AT_FDCWD => {
            if flags != 0 {
                return Err(Errno::EINVAL);
            }
            Named::File(opened(cx, dirfd)?)
        }
        // Here, other than elsewhere, no path is not an empty one.
        0 => return Err(Errno::EFAULT),
        _ => named(cx, &who, dirfd, path, flags)?,
    };
    match named {
        Named::File(file) if file.place().is_none() => Ok(0),
        other => {
            let place = other.place(Errno::EBADF)?;
            cx.kernel.vfs().utimens(&who.context(), &place, times)?;
            // One of the times alone looks like what would have changed it.
            let event = match times {
                [_, SetTime::Omit] => IN_ACCESS,
                [SetTime::Omit, _] => IN_MODIFY,
                _ => IN_ATTRIB,
            };
            cx.kernel.inotify.tell(&place, event);
            Ok(0)
        }
    }
}

pub(super) fn truncate(cx: &Ctx<'_>, [path, len, ..]: Args) -> Result<u64> {
    if len > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    let who = Who::new(cx);
    let place = at::walk_at(cx, &who, AT_FDCWD as u64, path, WalkFlags::FOLLOW)?;
    cx.kernel.files.check_resize(place.node(), len)?;
    if place.kind() == InodeKind::Regular && cx.kernel.vfs().access(&who.context(), &place, WRITE).is_ok() {
        lease::wait(cx, place.node(), true, false)?;
        space::check_length(cx, place.node(), len)?;
    }
    cx.kernel.vfs().truncate(&who.context(), &place, len)?;
    cx.kernel.inotify.tell(&place, IN_MODIFY);
    Ok(0)
}

pub(super) fn ftruncate(cx: &Ctx<'_>, [fd, len, ..]: Args) -> Result<u64> {
    if len > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    let file = opened(cx, fd)?;
    let content = file.content().ok_or(Errno::EINVAL)?;
    if content.place().kind() == InodeKind::Regular {
        cx.kernel.files.check_resize(content.node(), len)?;
        if rw::writable(&file).is_ok() {
            space::check_length(cx, content.node(), len)?;
        }
    }
    content.truncate(len)?;
    file.tell(IN_MODIFY);
    Ok(0)
}

/// The place that a path leads to, for the calls on extended attributes.
fn by_path(cx: &Ctx<'_>, who: &Who, path: u64, flags: WalkFlags) -> Result<Place> {
    at::walk_at(cx, who, AT_FDCWD as u64, path, flags)
}

fn by_descriptor(file: &OpenFile) -> Result<Place> {
    // What is in no file system has no attributes.
    file.place().cloned().ok_or(Errno::EOPNOTSUPP)
}

fn xattr_name(cx: &Ctx<'_>, addr: u64) -> Result<Vec<u8>> {
    user::c_string(cx.mem, addr, XATTR_NAME_MAX)?.filter(|name| !name.is_empty()).ok_or(Errno::ERANGE)
}

fn set(cx: &Ctx<'_>, place: impl FnOnce(&Who) -> Result<Place>, args: [u64; 4]) -> Result<u64> {
    let [name, value, size, flags] = args;
    let how = match flags as u32 {
        0 => XattrSet::Any,
        XATTR_CREATE => XattrSet::Create,
        XATTR_REPLACE => XattrSet::Replace,
        _ => return Err(Errno::EINVAL),
    };
    let name = xattr_name(cx, name)?;
    if size > XATTR_SIZE_MAX as u64 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; size as usize];
    cx.mem.read(value, &mut bytes)?;
    let who = Who::new(cx);
    let place = place(&who)?;
    cx.kernel.vfs().set_xattr(&who.context(), &place, &name, &bytes, how)?;
    changed(cx, &place)
}

/// Gives as many bytes as there is room for all of them; with no room at all, only their number.
fn give(cx: &Ctx<'_>, bytes: &[u8], addr: u64, size: u64) -> Result<u64> {
    if size > 0 {
        if bytes.len() as u64 > size {
            return Err(Errno::ERANGE);
        }
        cx.mem.write(addr, bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn get(cx: &Ctx<'_>, place: impl FnOnce(&Who) -> Result<Place>, args: [u64; 3]) -> Result<u64> {
    let [name, value, size] = args;
    let name = xattr_name(cx, name)?;
    let who = Who::new(cx);
    let place = place(&who)?;
    give(cx, &cx.kernel.vfs().get_xattr(&who.context(), &place, &name)?, value, size)
}

fn list(cx: &Ctx<'_>, place: impl FnOnce(&Who) -> Result<Place>, args: [u64; 2]) -> Result<u64> {
    let [addr, size] = args;
    let who = Who::new(cx);
    let place = place(&who)?;
    let mut all = Vec::new();
    for name in cx.kernel.vfs().list_xattrs(&who.context(), &place)? {
        all.extend(name);
        all.push(0);
    }
    if all.len() > XATTR_LIST_MAX {
        return Err(Errno::E2BIG);
    }
    give(cx, &all, addr, size)
}

fn remove(cx: &Ctx<'_>, place: impl FnOnce(&Who) -> Result<Place>, name: u64) -> Result<u64> {
    let name = xattr_name(cx, name)?;
    let who = Who::new(cx);
    let place = place(&who)?;
    cx.kernel.vfs().remove_xattr(&who.context(), &place, &name)?;
    changed(cx, &place)
}

pub(super) fn setxattr(cx: &Ctx<'_>, [path, a, b, c, d, _]: Args) -> Result<u64> {
    set(cx, |who| by_path(cx, who, path, WalkFlags::FOLLOW), [a, b, c, d])
}

pub(super) fn lsetxattr(cx: &Ctx<'_>, [path, a, b, c, d, _]: Args) -> Result<u64> {
    set(cx, |who| by_path(cx, who, path, WalkFlags::empty()), [a, b, c, d])
}

pub(super) fn fsetxattr(cx: &Ctx<'_>, [fd, a, b, c, d, _]: Args) -> Result<u64> {
    let file = opened(cx, fd)?;
    set(cx, |_| by_descriptor(&file), [a, b, c, d])
}

pub(super) fn getxattr(cx: &Ctx<'_>, [path, a, b, c, ..]: Args) -> Result<u64> {
    get(cx, |who| by_path(cx, who, path, WalkFlags::FOLLOW), [a, b, c])
}

pub(super) fn lgetxattr(cx: &Ctx<'_>, [path, a, b, c, ..]: Args) -> Result<u64> {
    get(cx, |who| by_path(cx, who, path, WalkFlags::empty()), [a, b, c])
}

pub(super) fn fgetxattr(cx: &Ctx<'_>, [fd, a, b, c, ..]: Args) -> Result<u64> {
    let file = opened(cx, fd)?;
    get(cx, |_| by_descriptor(&file), [a, b, c])
}

pub(super) fn listxattr(cx: &Ctx<'_>, [path, a, b, ..]: Args) -> Result<u64> {
    list(cx, |who| by_path(cx, who, path, WalkFlags::FOLLOW), [a, b])
}

pub(super) fn llistxattr(cx: &Ctx<'_>, [path, a, b, ..]: Args) -> Result<u64> {
    list(cx, |who| by_path(cx, who, path, WalkFlags::empty()), [a, b])
}

pub(super) fn flistxattr(cx: &Ctx<'_>, [fd, a, b, ..]: Args) -> Result<u64> {
    let file = opened(cx, fd)?;
    list(cx, |_| by_descriptor(&file), [a, b])
}

pub(super) fn removexattr(cx: &Ctx<'_>, [path, name, ..]: Args) -> Result<u64> {
    remove(cx, |who| by_path(cx, who, path, WalkFlags::FOLLOW), name)
}

pub(super) fn lremovexattr(cx: &Ctx<'_>, [path, name, ..]: Args) -> Result<u64> {
    remove(cx, |who| by_path(cx, who, path, WalkFlags::empty()), name)
}

pub(super) fn fremovexattr(cx: &Ctx<'_>, [fd, name, ..]: Args) -> Result<u64> {
    let file = opened(cx, fd)?;
    remove(cx, |_| by_descriptor(&file), name)
}
