//! Opening files.

use super::at::{self, Who};
use super::socket::install;
use super::{lease, Args, Ctx};
use crate::files::{self, Nameless};
use crate::openfile::OpenFile;
use crate::pipe::as_pipe;
use crate::user;
use lkl_abi::fcntl::*;
use lkl_abi::inotify::{IN_CREATE, IN_MODIFY, IN_OPEN};
use lkl_abi::memfd::{MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_HUGETLB, MFD_NAME_MAX, MFD_NOEXEC_SEAL};
use lkl_abi::openat2::{OPEN_HOW_SIZE_VER0, RESOLVE_IN_ROOT};
use lkl_abi::{Errno, Result};
use lkl_ops::FileKind;
use lkl_sync::{block_on, Blocking, Events};
use lkl_vfs::{InodeKind, Link, OpenHow, Opened, Place, VfsFile, WalkFlags};
use std::sync::Arc;

/// Flags that say how to open, and are no state of what is open.
const ONCE: u32 = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;
/// The most bytes of a `struct open_how` (a page).
const HOW_MAX: u64 = 4096;

pub(super) fn openat(cx: &Ctx<'_>, [dirfd, path, flags, mode, ..]: Args) -> Result<u64> {
    open(cx, dirfd, path, &OpenHow::legacy(flags as u32, mode as u32))
}

pub(super) fn openat2(cx: &Ctx<'_>, [dirfd, path, how, size, ..]: Args) -> Result<u64> {
    if size < OPEN_HOW_SIZE_VER0 as u64 {
        return Err(Errno::EINVAL);
    }
    if size > HOW_MAX {
        return Err(Errno::E2BIG);
    }
    let raw = user::array::<OPEN_HOW_SIZE_VER0>(cx.mem, how)?;
    // What a later version has added must be unused.
    let mut rest = vec![0; size as usize - OPEN_HOW_SIZE_VER0];
    cx.mem.read(how.wrapping_add(OPEN_HOW_SIZE_VER0 as u64), &mut rest)?;
    if rest.iter().any(|b| *b != 0) {
        return Err(Errno::E2BIG);
    }
    let how = lkl_abi::openat2::OpenHow::parse(&raw);
    let how = OpenHow::strict(&how)?;
    open(cx, dirfd, path, &how)
}

fn open(cx: &Ctx<'_>, dirfd: u64, path: u64, how: &OpenHow) -> Result<u64> {
    let path = user::path(cx.mem, path)?;
    let who = Who::new(cx);
    let base = match how.resolve & RESOLVE_IN_ROOT {
        0 => at::base(cx, dirfd, &path)?,
        // An absolute path, too, begins there.
        _ => at::base(cx, dirfd, if path.is_empty() { &path } else { b"." })?,
    };
    let watched = if how.flags & (O_CREAT | O_TRUNC) != 0 { at::watched(cx, &who, base.as_ref(), &path) } else { None };
    // The number first: nothing is made if there is none.
    let numbers = cx.process().numbers();
    let fd = numbers.alloc(FileKind::File, 0, how.flags & O_CLOEXEC != 0)?;
    let opened = cx.kernel.vfs().open_first(&who.context(), base.as_ref(), &path, how);
    let opened = opened.and_then(|opening| lease::finish(cx, &who, opening, how.flags));
    let file = match opened {
        Ok(opened) => open_file(cx, opened, how.flags),
        Err(Errno::ENXIO) => reopen_pipe(cx, &who, base.as_ref(), &path, how.flags),
        Err(e) => Err(e),
    };
    let file = match file {
        Ok(file) if how.flags & O_DIRECT != 0 && !has_direct(&file) => Err(Errno::EINVAL),
        other => other,
    };
    let file = match file {
        Ok(file) => file,
        Err(e) => {
            numbers.free(fd);
            return Err(e);
        }
    };
    let existed = watched.as_ref().is_none_or(|w| w.place.is_some());
    if let Some(watched) = watched.filter(|_| !existed && how.flags & O_CREAT != 0) {
        watched.tell(cx, IN_CREATE, 0);
    }
    if !file.only_named() {
        file.tell(IN_OPEN);
        if existed && how.flags & O_TRUNC != 0 {
            file.tell(IN_MODIFY);
        }
    }
    match cx.process().put(fd, file) {
        Ok(_nothing) => Ok(fd as u64),
        Err(e) => {
            numbers.free(fd);
            Err(e)
        }
    }
}

/// Is there a way past the cache for what is open (`O_DIRECT`)? There is for regular files and block devices.
pub(super) fn has_direct(file: &OpenFile) -> bool {
    let regular = file.content().is_some_and(|content| content.place().kind() == InodeKind::Regular);
    regular || file.only_named() || file.place().is_some_and(|place| place.kind() == InodeKind::BlockDevice)
}

/// An open file of what the VFS has found.
pub(super) fn open_file(cx: &Ctx<'_>, opened: Opened, flags: u32) -> Result<Arc<OpenFile>> {
    let path_only = flags & O_PATH != 0;
    let kept = flags & !ONCE | if path_only { 0 } else { O_LARGEFILE };
    match opened {
        Opened::File(file) => Ok(OpenFile::named(cx.kernel, file, kept)),
        Opened::Made { file, content } => Ok(OpenFile::standing_for(cx.kernel, file, content, kept)),
        Opened::Special { file, kind: InodeKind::Fifo, .. } => open_fifo(cx, file, kept),
        Opened::Special { file, kind, rdev } => {
            let device = cx.kernel.devices().open(kind, rdev, flags & O_ACCMODE != O_RDONLY)?;
            Ok(OpenFile::standing_for(cx.kernel, file, device, kept))
        }
    }
}

/// A pipe that has no name is opened again by its link in `/proc/self/fd`.
fn reopen_pipe(cx: &Ctx<'_>, who: &Who, base: Option<&Place>, path: &[u8], flags: u32) -> Result<Arc<OpenFile>> {
    let link = cx.kernel.vfs().walk(&who.context(), base, path, WalkFlags::empty())?;
    let followed = link.node().inode().follow(who.caller()).map_err(|_| Errno::ENXIO)?;
    let Link::Magic(to) = followed else { return Err(Errno::ENXIO) };
    let file = to.downcast_ref::<Nameless>().and_then(Nameless::file).ok_or(Errno::ENXIO)?;
    let pipe = as_pipe(&**file.file()).ok_or(Errno::ENXIO)?;
    let (reads, writes) = sides(flags);
    Ok(OpenFile::new(Arc::new(pipe.end(reads, writes, file.file().ino())), flags & !ONCE | O_LARGEFILE))
}

/// Is a FIFO opened for reading, and for writing?
fn sides(flags: u32) -> (bool, bool) {
    match flags & O_ACCMODE {
        O_RDONLY => (true, false),
        O_WRONLY => (false, true),
        _ => (true, true),
    }
}

/// Opens a FIFO: waits for the other side (`man 7 fifo`).
fn open_fifo(cx: &Ctx<'_>, named: Arc<VfsFile>, flags: u32) -> Result<Arc<OpenFile>> {
    let (reads, writes) = sides(flags);
    let pipe = cx.kernel.files.fifo(named.node());
    let nonblock = flags & O_NONBLOCK != 0;
    if writes && !reads && nonblock && !pipe.has_readers() {
        return Err(Errno::ENXIO);
    }
    let seen = pipe.opened();
    let end = pipe.end(reads, writes, named.node().ino());
    let file = OpenFile::standing_for(cx.kernel, named, Arc::new(end), flags);
    if reads && writes || nonblock {
        return Ok(file);
    }
    // Whoever comes counts, even if he has left again by the time that this is looked at.
    let how = Blocking::on(cx.task.parker());
    block_on(how, pipe.queue(), Events::ALL, || match pipe.met(reads, seen) {
        true => Ok(()),
        false => Err(Errno::EAGAIN),
    })?;
    Ok(file)
}

pub(super) fn memfd_create(cx: &Ctx<'_>, [name, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    let known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC;
    if flags & !known != 0 || flags & MFD_EXEC != 0 && flags & MFD_NOEXEC_SEAL != 0 {
        // Huge pages need memory of the machine's own.
        return Err(if flags & MFD_HUGETLB != 0 { Errno::ENOSYS } else { Errno::EINVAL });
    }
    let name = user::c_string(cx.mem, name, MFD_NAME_MAX)?.ok_or(Errno::EINVAL)?;
    let mode = if flags & MFD_NOEXEC_SEAL != 0 { 0o666 } else { 0o777 };
    let file = files::memory_file(cx.kernel, &name, mode)?;
    let sealing = flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL) != 0;
    let seals = if sealing { 0 } else { F_SEAL_SEAL } | if flags & MFD_NOEXEC_SEAL != 0 { F_SEAL_EXEC } else { 0 };
    cx.kernel.files.make_sealable(file.node(), seals);
    let file = OpenFile::named(cx.kernel, file, O_RDWR | O_LARGEFILE);
    install(cx, FileKind::File, file, flags & MFD_CLOEXEC != 0)
}
