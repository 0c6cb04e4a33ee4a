//! Mounts, and where a process stands among them.

use super::at::{self, Who};
use super::{Args, Ctx};
use crate::kernel::Kernel;
use crate::process::Task;
use crate::user;
use lkl_abi::fcntl::AT_FDCWD;
use lkl_abi::limits::PATH_MAX;
use lkl_abi::mount::{MS_BIND, MS_MOVE, MS_PRIVATE, MS_REMOUNT, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, UMOUNT_NOFOLLOW};
use lkl_abi::{Errno, Result};
use lkl_block::BlockDevice;
use lkl_vfs::cred::EXEC;
use lkl_vfs::{Caller, Context, InodeKind, MountRequest, Place, WalkFlags};
use std::sync::Arc;

/// Most bytes of options and of a type's name (a page).
const TEXT_MAX: usize = 4096;

/// A text of a call that may leave it out.
fn optional_text(cx: &Ctx<'_>, addr: u64) -> Result<Vec<u8>> {
    match addr {
        0 => Ok(Vec::new()),
        addr => user::c_string(cx.mem, addr, TEXT_MAX)?.ok_or(Errno::EINVAL),
    }
}

/// The block device that a path leads to, if it leads to one.
fn device(cx: &Ctx<'_>, who: &Who, source: &[u8]) -> Result<Arc<BlockDevice>> {
    if source.is_empty() {
        return Err(Errno::EINVAL);
    }
    block_device(cx.kernel, &at::walk(cx, who, AT_FDCWD as u64, source, WalkFlags::FOLLOW)?)
}

fn block_device(kernel: &Kernel, place: &Place) -> Result<Arc<BlockDevice>> {
    if place.kind() != InodeKind::BlockDevice {
        return Err(Errno::ENOTBLK);
    }
    kernel.devices().block(place.attr().rdev)
}

pub(super) fn mount(cx: &Ctx<'_>, [source, target, kind, flags, data, _]: Args) -> Result<u64> {
    let who = Who::new(cx);
    let typed = kind != 0;
    let kind = String::from_utf8(optional_text(cx, kind)?).map_err(|_| Errno::ENODEV)?;
    let source = optional_text(cx, source)?;
    let data = String::from_utf8(optional_text(cx, data)?).map_err(|_| Errno::EINVAL)?;
    let target = at::walk_at(cx, &who, AT_FDCWD as u64, target, WalkFlags::FOLLOW)?;
    let changes = MS_REMOUNT | MS_BIND | MS_MOVE | MS_PRIVATE | MS_SHARED | MS_SLAVE | MS_UNBINDABLE;
    let vfs = cx.kernel.vfs();
    let new = flags & changes == 0;
    if new && !who.cred().is_root() {
        return Err(Errno::EPERM);
    }
    let needs_device = match vfs.file_systems().iter().find(|fs| fs.name() == kind) {
        Some(fs) => fs.needs_device(),
        None if new => return Err(if typed { Errno::ENODEV } else { Errno::EINVAL }),
        None => false,
    };
    let device = if new && needs_device { Some(device(cx, &who, &source)?) } else { None };
    let request = MountRequest { source: &source, device, target, kind: &kind, flags, data: &data };
    vfs.mount(&who.context(), &request)?;
    Ok(0)
}

impl Kernel {
    /// The type of the file system on the block device that a path leads to.
    ///
    /// # Errors
    /// `EINVAL` if it is none that is known; `ENOTBLK`; those of the walk; `EIO`.
    pub fn probe(&self, task: &Task, path: &[u8]) -> Result<&'static str> {
        let cred = task.fs_cred();
        let (root, cwd) = task.process().places();
        let ctx = Context { cred: &cred, root: &root, cwd: &cwd, umask: 0, caller: Caller::default() };
        let place = self.vfs().walk(&ctx, None, path, WalkFlags::FOLLOW)?;
        let device = block_device(self, &place)?;
        Ok(self.vfs().probe(&device)?.name())
    }
}

pub(super) fn umount2(cx: &Ctx<'_>, [target, flags, ..]: Args) -> Result<u64> {
    let who = Who::new(cx);
    let flags = flags as u32;
    let follow = if flags & UMOUNT_NOFOLLOW == 0 { WalkFlags::FOLLOW } else { WalkFlags::empty() };
    let target = at::walk_at(cx, &who, AT_FDCWD as u64, target, follow)?;
    let sb = target.mount.sb().clone();
    cx.kernel.vfs().umount(&who.context(), target, flags & !UMOUNT_NOFOLLOW)?;
    if sb.is_gone() {
        cx.kernel.inotify.unmounted(&sb);
    }
    Ok(0)
}

/// Is it a directory that the caller may search?
fn searchable(cx: &Ctx<'_>, who: &Who, place: &Place) -> Result<()> {
    if !place.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    cx.kernel.vfs().access(&who.context(), place, EXEC)
}

pub(super) fn chdir(cx: &Ctx<'_>, [path, ..]: Args) -> Result<u64> {
    let who = Who::new(cx);
    let place = at::walk_at(cx, &who, AT_FDCWD as u64, path, WalkFlags::FOLLOW | WalkFlags::DIRECTORY)?;
    searchable(cx, &who, &place)?;
    cx.process().set_places(None, Some(place));
    Ok(0)
}

pub(super) fn fchdir(cx: &Ctx<'_>, [fd, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let place = file.place().ok_or(Errno::ENOTDIR)?;
    searchable(cx, &Who::new(cx), place)?;
    cx.process().set_places(None, Some(place.clone()));
    Ok(0)
}

pub(super) fn chroot(cx: &Ctx<'_>, [path, ..]: Args) -> Result<u64> {
    let who = Who::new(cx);
    let place = at::walk_at(cx, &who, AT_FDCWD as u64, path, WalkFlags::FOLLOW | WalkFlags::DIRECTORY)?;
    searchable(cx, &who, &place)?;
    if !who.cred().is_root() {
        return Err(Errno::EPERM);
    }
    cx.process().set_places(Some(place), None);
    Ok(0)
}

pub(super) fn getcwd(cx: &Ctx<'_>, [buf, size, ..]: Args) -> Result<u64> {
    let who = Who::new(cx);
    let found = cx.kernel.vfs().path_of(who.cwd(), who.root());
    if found.deleted {
        return Err(Errno::ENOENT);
    }
    let mut path = if found.reachable { Vec::new() } else { b"(unreachable)".to_vec() };
    path.extend(found.path);
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if path.len() as u64 > size {
        return Err(Errno::ERANGE);
    }
    cx.mem.write(buf, &path)?;
    Ok(path.len() as u64)
}
