//! Files that a call names: by a directory and a path, by a descriptor, or by both.

use super::Ctx;
use crate::openfile::OpenFile;
use crate::user;
use lkl_abi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use lkl_abi::{Errno, Result};
use lkl_vfs::cred::Cred;
use lkl_vfs::{Caller, Context, Place, WalkFlags};
use std::sync::Arc;

/// Who walks, and from where.
pub(super) struct Who {
    cred: Arc<Cred>,
    root: Place,
    cwd: Place,
    umask: u32,
    caller: Caller,
}

impl Who {
    /// The caller.
    pub(super) fn new(cx: &Ctx<'_>) -> Self {
        Self::acting_as(cx, cx.task.fs_cred())
    }

    /// The caller, as somebody else (`access`).
    pub(super) fn acting_as(cx: &Ctx<'_>, cred: Arc<Cred>) -> Self {
        let (root, cwd) = cx.process().places();
        let caller = Caller { pid: cx.process().pid(), tid: cx.task.tid() };
        Self { cred, root, cwd, umask: cx.process().umask(), caller }
    }

    /// As the VFS wants it.
    pub(super) fn context(&self) -> Context<'_> {
        Context { cred: &self.cred, root: &self.root, cwd: &self.cwd, umask: self.umask, caller: self.caller }
    }

    pub(super) fn root(&self) -> &Place {
        &self.root
    }

    pub(super) fn cwd(&self) -> &Place {
        &self.cwd
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn cred(&self) -> &Cred {
        &self.cred
    }
}

/// Where a path begins: `None` for the working directory, which an absolute path does not ask for either.
///
/// # Errors
/// `ENOENT` for an empty path; `EBADF`; `ENOTDIR` if the descriptor is of nothing that has names.
pub(super) fn base(cx: &Ctx<'_>, dirfd: u64, path: &[u8]) -> Result<Option<Place>> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.starts_with(b"/") || dirfd as i32 == AT_FDCWD {
        return Ok(None);
    }
    let file = cx.file(dirfd)?;
    file.place().cloned().map(Some).ok_or(Errno::ENOTDIR)
}

/// The place that a directory and a path lead to.
pub(super) fn walk(cx: &Ctx<'_>, who: &Who, dirfd: u64, path: &[u8], flags: WalkFlags) -> Result<Place> {
    let base = base(cx, dirfd, path)?;
    cx.kernel.vfs().walk(&who.context(), base.as_ref(), path, flags)
}

/// The same with the path at an address, for a call that follows links.
pub(super) fn walk_at(cx: &Ctx<'_>, who: &Who, dirfd: u64, path: u64, flags: WalkFlags) -> Result<Place> {
    walk(cx, who, dirfd, &user::path(cx.mem, path)?, flags)
}

/// What a directory, a path and `AT_*` name.
pub(super) enum Named {
    Place(Place),
    /// With `AT_EMPTY_PATH`: the open file itself.
    File(Arc<OpenFile>),
}

impl Named {
    /// Where it is, for a call that has to do with names.
    ///
    /// # Errors
    /// `other` for what is in no file system.
    pub(super) fn place(self, other: Errno) -> Result<Place> {
        match self {
            Self::Place(place) => Ok(place),
            Self::File(file) => file.place().cloned().ok_or(other),
        }
    }
}

/// Finds what is named. Of `flags` only `AT_EMPTY_PATH` and `AT_SYMLINK_NOFOLLOW` are looked at.
pub(super) fn named(cx: &Ctx<'_>, who: &Who, dirfd: u64, path: u64, flags: u32) -> Result<Named> {
    let empty = flags & AT_EMPTY_PATH != 0;
    let path = match path {
        // Linux takes no path at all for an empty one.
        0 if empty => Vec::new(),
        addr => user::path(cx.mem, addr)?,
    };
    if path.is_empty() && empty {
        return Ok(match dirfd as i32 {
            AT_FDCWD => Named::Place(who.cwd().clone()),
            _ => Named::File(cx.file(dirfd)?),
        });
    }
    let follow = if flags & AT_SYMLINK_NOFOLLOW == 0 { WalkFlags::FOLLOW } else { WalkFlags::empty() };
    walk(cx, who, dirfd, &path, follow).map(Named::Place)
}

/// The file of a descriptor, for a call that has to do with its content or attributes: not one that was opened with `O_PATH`.
pub(super) fn opened(cx: &Ctx<'_>, fd: u64) -> Result<Arc<OpenFile>> {
    let file = cx.file(fd)?;
    if file.only_named() {
        return Err(Errno::EBADF);
    }
    Ok(file)
}

/// A name that a call makes, removes or changes, for who watches its directory.
pub(super) struct Watched {
    dir: Place,
    name: Vec<u8>,
    /// What has the name now.
    pub(super) place: Option<Place>,
}

/// Finds it, if anything is watched at all.
pub(super) fn watched(cx: &Ctx<'_>, who: &Who, base: Option<&Place>, path: &[u8]) -> Option<Watched> {
    if !cx.kernel.inotify.any() {
        return None;
    }
    let end = path.iter().rposition(|b| *b != b'/')? + 1;
    let trimmed = path.get(..end)?;
    let (dir, name) = match trimmed.iter().rposition(|b| *b == b'/') {
        Some(at) => trimmed.split_at(at + 1),
        None => (&b"."[..], trimmed),
    };
    let (vfs, context) = (cx.kernel.vfs(), who.context());
    let dir = vfs.walk(&context, base, dir, WalkFlags::FOLLOW).ok()?;
    let place = vfs.walk(&context, base, trimmed, WalkFlags::empty()).ok();
    Some(Watched { dir, name: name.to_vec(), place })
}

impl Watched {
    /// Tells who watches the directory.
    pub(super) fn tell(&self, cx: &Ctx<'_>, event: u32, cookie: u32) {
        cx.kernel.inotify.tell_name(self.dir.node(), &self.name, event, cookie);
    }
}
