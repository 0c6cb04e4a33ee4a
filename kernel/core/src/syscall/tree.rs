//! Making, removing and changing names.

use super::at::{self, watched, Who};
use super::{Args, Ctx};
use crate::user;
use lkl_abi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW};
use lkl_abi::fs::{RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT};
use lkl_abi::inotify::*;
use lkl_abi::stat::from_dev_t;
use lkl_abi::{Errno, Result};
use lkl_vfs::{InodeKind, Place, Vfs};

/// A path and where it begins.
struct Path {
    base: Option<Place>,
    path: Vec<u8>,
}

impl Path {
    fn new(cx: &Ctx<'_>, dirfd: u64, path: u64) -> Result<Self> {
        let path = user::path(cx.mem, path)?;
        Ok(Self { base: at::base(cx, dirfd, &path)?, path })
    }

    fn base(&self) -> Option<&Place> {
        self.base.as_ref()
    }
}

/// Makes a name, and tells who watches its directory.
fn make(
    cx: &Ctx<'_>,
    dirfd: u64,
    path: u64,
    event: u32,
    f: impl FnOnce(&Vfs, &Who, &Path) -> Result<()>,
) -> Result<u64> {
    let (who, path) = (Who::new(cx), Path::new(cx, dirfd, path)?);
    let watched = watched(cx, &who, path.base(), &path.path);
    f(cx.kernel.vfs(), &who, &path)?;
    if let Some(watched) = watched {
        watched.tell(cx, event, 0);
    }
    Ok(0)
}

pub(super) fn mkdirat(cx: &Ctx<'_>, [dirfd, path, mode, ..]: Args) -> Result<u64> {
    make(cx, dirfd, path, IN_CREATE | IN_ISDIR, |vfs, who, p| vfs.mkdir(&who.context(), p.base(), &p.path, mode as u32))
}

pub(super) fn mknodat(cx: &Ctx<'_>, [dirfd, path, mode, dev, ..]: Args) -> Result<u64> {
    make(cx, dirfd, path, IN_CREATE, |vfs, who, p| {
        vfs.mknod(&who.context(), p.base(), &p.path, mode as u32, from_dev_t(dev))
    })
}

pub(super) fn symlinkat(cx: &Ctx<'_>, [target, dirfd, path, ..]: Args) -> Result<u64> {
    let target = user::path(cx.mem, target)?;
    make(cx, dirfd, path, IN_CREATE, |vfs, who, p| vfs.symlink(&who.context(), &target, p.base(), &p.path))
}

pub(super) fn linkat(cx: &Ctx<'_>, [dirfd, path, new_dirfd, new_path, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut old = Path { base: None, path: user::path(cx.mem, path)? };
    if !old.path.is_empty() || flags & AT_EMPTY_PATH == 0 {
        old.base = at::base(cx, dirfd, &old.path)?;
    } else if dirfd as i32 != AT_FDCWD {
        old.base = Some(cx.file(dirfd)?.place().cloned().ok_or(Errno::ENOENT)?);
    }
    make(cx, new_dirfd, new_path, IN_CREATE, |vfs, who, p| {
        vfs.link(&who.context(), old.base(), &old.path, p.base(), &p.path, flags)?;
        // Its number of links has changed.
        if let Some(place) = watched(cx, who, old.base(), &old.path).and_then(|w| w.place) {
            cx.kernel.inotify.tell_node(place.node(), IN_ATTRIB);
        }
        Ok(())
    })
}

pub(super) fn unlinkat(cx: &Ctx<'_>, [dirfd, path, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    let (who, path) = (Who::new(cx), Path::new(cx, dirfd, path)?);
    let watched = watched(cx, &who, path.base(), &path.path);
    let vfs = cx.kernel.vfs();
    match flags {
        0 => vfs.unlink(&who.context(), path.base(), &path.path)?,
        _ => vfs.rmdir(&who.context(), path.base(), &path.path)?,
    }
    let Some(watched) = watched else { return Ok(0) };
    let Some(place) = &watched.place else { return Ok(0) };
    let inotify = &cx.kernel.inotify;
    let is_dir = if place.kind() == InodeKind::Directory { IN_ISDIR } else { 0 };
    if is_dir == 0 {
        inotify.tell_node(place.node(), IN_ATTRIB);
    }
    inotify.may_be_deleted(cx.kernel, place.node());
    watched.tell(cx, IN_DELETE | is_dir, 0);
    Ok(0)
}

pub(super) fn renameat(cx: &Ctx<'_>, [dirfd, path, new_dirfd, new_path, ..]: Args) -> Result<u64> {
    renameat2(cx, [dirfd, path, new_dirfd, new_path, 0, 0])
}

pub(super) fn renameat2(cx: &Ctx<'_>, [dirfd, path, new_dirfd, new_path, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    let exchange = flags & RENAME_EXCHANGE != 0;
    let both = exchange && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT) != 0;
    if both || flags & !(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) != 0 {
        return Err(Errno::EINVAL);
    }
    let who = Who::new(cx);
    let (old, new) = (Path::new(cx, dirfd, path)?, Path::new(cx, new_dirfd, new_path)?);
    let from = watched(cx, &who, old.base(), &old.path);
    let to = watched(cx, &who, new.base(), &new.path);
    cx.kernel.vfs().rename(&who.context(), old.base(), &old.path, new.base(), &new.path, flags)?;
    let (Some(from), Some(to)) = (from, to) else { return Ok(0) };
    let Some(moved) = &from.place else { return Ok(0) };
    // Two names of one file: nothing has happened.
    if to.place.as_ref().is_some_and(|p| p.node().ino() == moved.node().ino() && !exchange) {
        return Ok(0);
    }
    let inotify = &cx.kernel.inotify;
    let tell = |what: &Place, from: &at::Watched, to: &at::Watched, replaced: Option<&Place>| {
        let is_dir = if what.kind() == InodeKind::Directory { IN_ISDIR } else { 0 };
        let cookie = inotify.cookie();
        from.tell(cx, IN_MOVED_FROM | is_dir, cookie);
        to.tell(cx, IN_MOVED_TO | is_dir, cookie);
        if let Some(replaced) = replaced.filter(|r| r.kind() != InodeKind::Directory) {
            inotify.tell_node(replaced.node(), IN_ATTRIB);
        }
        inotify.tell_node(what.node(), IN_MOVE_SELF);
    };
    match &to.place {
        Some(other) if exchange => {
            tell(moved, &from, &to, None);
            tell(other, &to, &from, None);
        }
        replaced => {
            tell(moved, &from, &to, replaced.as_ref());
            if let Some(replaced) = replaced {
                inotify.may_be_deleted(cx.kernel, replaced.node());
            }
        }
    }
    Ok(0)
}
