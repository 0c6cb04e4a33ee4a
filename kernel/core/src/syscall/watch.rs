//! `inotify`: watches and their instances (`man 7 inotify`).

use super::at::{self, Who};
use super::socket::install;
use super::{Args, Ctx};
use crate::inotify::Inotify;
use crate::openfile::OpenFile;
use lkl_abi::fcntl::{AT_FDCWD, O_NONBLOCK, O_RDONLY};
use lkl_abi::inotify::*;
use lkl_abi::{Errno, Result};
use lkl_ops::FileKind;
use lkl_vfs::cred::READ;
use lkl_vfs::WalkFlags;
use std::sync::Arc;

pub(super) fn inotify_init1(cx: &Ctx<'_>, [flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(IN_CLOEXEC | IN_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let instance = Inotify::new(&cx.kernel.inotify)?;
    let status = if flags & IN_NONBLOCK != 0 { O_NONBLOCK } else { 0 };
    install(cx, FileKind::File, OpenFile::new(instance, O_RDONLY | status), flags & IN_CLOEXEC != 0)
}

fn with_instance<T>(cx: &Ctx<'_>, fd: u64, f: impl FnOnce(&Inotify) -> Result<T>) -> Result<T> {
    let file = Arc::clone(at::opened(cx, fd)?.file());
    f(file.downcast_ref().ok_or(Errno::EINVAL)?)
}

pub(super) fn inotify_add_watch(cx: &Ctx<'_>, [fd, path, mask, ..]: Args) -> Result<u64> {
    let mask = mask as u32;
    let known = IN_ALL_EVENTS
        | IN_ONLYDIR
        | IN_DONT_FOLLOW
        | IN_EXCL_UNLINK
        | IN_MASK_CREATE
        | IN_MASK_ADD
        | IN_ISDIR
        | IN_ONESHOT
        | IN_UNMOUNT
        | IN_IGNORED
        | IN_Q_OVERFLOW;
    if mask & known == 0 {
        return Err(Errno::EINVAL);
    }
    with_instance(cx, fd, |instance| {
        if mask & IN_MASK_ADD != 0 && mask & IN_MASK_CREATE != 0 {
            return Err(Errno::EINVAL);
        }
        let mut flags = WalkFlags::empty();
        flags.set(WalkFlags::FOLLOW, mask & IN_DONT_FOLLOW == 0);
        flags.set(WalkFlags::DIRECTORY, mask & IN_ONLYDIR != 0);
        let who = Who::new(cx);
        let place = at::walk_at(cx, &who, AT_FDCWD as u64, path, flags)?;
        cx.kernel.vfs().access(&who.context(), &place, READ)?;
        Ok(instance.watch(place.node(), mask)? as u64)
    })
}

pub(super) fn inotify_rm_watch(cx: &Ctx<'_>, [fd, wd, ..]: Args) -> Result<u64> {
    with_instance(cx, fd, |instance| instance.unwatch(wd as i32).map(|()| 0))
}
