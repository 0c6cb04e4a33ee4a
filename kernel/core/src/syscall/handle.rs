//! Handles of files (`man 2 open_by_handle_at`).

use super::at::{self, Who};
use super::open::open_file;
use super::socket::install;
use super::{lease, Args, Ctx};
use crate::user;
use lkl_abi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, O_CLOEXEC};
use lkl_abi::handle::{AT_HANDLE_MNT_ID_UNIQUE, FILEID_INVALID, FILE_HANDLE_HEAD, MAX_HANDLE_SZ};
use lkl_abi::inotify::IN_OPEN;
use lkl_abi::{Errno, Result};
use lkl_ops::FileKind;
use lkl_vfs::{Handle, OpenHow};

/// The head of a `struct file_handle`: how many bytes follow, and their type.
fn head(cx: &Ctx<'_>, addr: u64) -> Result<(u32, i32)> {
    let [a, b, c, d, e, f, g, h] = user::array::<FILE_HANDLE_HEAD>(cx.mem, addr)?;
    let len = u32::from_ne_bytes([a, b, c, d]);
    if len > MAX_HANDLE_SZ {
        return Err(Errno::EINVAL);
    }
    Ok((len, i32::from_ne_bytes([e, f, g, h])))
}

pub(super) fn name_to_handle_at(cx: &Ctx<'_>, [dirfd, path, addr, mount_id, flags, _]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | AT_HANDLE_MNT_ID_UNIQUE) != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = if flags & AT_SYMLINK_FOLLOW == 0 { AT_SYMLINK_NOFOLLOW } else { 0 };
    let named = at::named(cx, &Who::new(cx), dirfd, path, flags & AT_EMPTY_PATH | follow)?;
    let place = named.place(Errno::EOPNOTSUPP)?;
    let handle = cx.kernel.vfs().handle_of(&place)?;
    let (room, _) = head(cx, addr)?;
    let fits = handle.bytes.len() <= room as usize;
    let id = place.mount.id();
    if flags & AT_HANDLE_MNT_ID_UNIQUE != 0 {
        cx.mem.write(mount_id, &id.to_ne_bytes())?;
    } else {
        cx.mem.write(mount_id, &(id as u32).to_ne_bytes())?;
    }
    // How much room is needed is told in any case.
    let kind = if fits { handle.kind } else { FILEID_INVALID };
    let mut out = [(handle.bytes.len() as u32).to_ne_bytes(), kind.to_ne_bytes()].concat();
    if fits {
        out.extend(&handle.bytes);
    }
    cx.mem.write(addr, &out)?;
    if fits {
        Ok(0)
    } else {
        Err(Errno::EOVERFLOW)
    }
}

pub(super) fn open_by_handle_at(cx: &Ctx<'_>, [mount_fd, addr, flags, ..]: Args) -> Result<u64> {
    let (len, kind) = head(cx, addr)?;
    if len == 0 || kind < 0 {
        return Err(Errno::EINVAL);
    }
    let who = Who::new(cx);
    let on = match mount_fd as i32 {
        AT_FDCWD => Some(who.cwd().clone()),
        _ => at::opened(cx, mount_fd)?.place().cloned(),
    };
    // `CAP_DAC_READ_SEARCH`: no directory on the way to the file is asked.
    if !cx.process().credentials().privileged() {
        return Err(Errno::EPERM);
    }
    let mut bytes = vec![0; len as usize];
    cx.mem.read(addr.wrapping_add(FILE_HANDLE_HEAD as u64), &mut bytes)?;
    let vfs = cx.kernel.vfs();
    let place = vfs.place_by_handle(&on.ok_or(Errno::ESTALE)?, &Handle { kind, bytes })?;
    let flags = OpenHow::legacy(flags as u32, 0).flags;
    let opening = vfs.open_place(&who.context(), &place, flags)?;
    let file = open_file(cx, lease::finish(cx, &who, opening, flags)?, flags)?;
    if !file.only_named() {
        file.tell(IN_OPEN);
    }
    install(cx, FileKind::File, file, flags & O_CLOEXEC != 0)
}
