//! Leases (`man 2 fcntl`, `F_SETLEASE`): having one, and waiting until others have let theirs go.

use super::at::Who;
use super::Ctx;
use crate::openfile::OpenFile;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_abi::fcntl::{F_OWNER_PID, F_RDLCK, F_UNLCK, F_WRLCK, O_ACCMODE, O_NONBLOCK, O_PATH, O_RDONLY};
use lkl_abi::{Errno, Result};
use lkl_sync::{block_on, Blocking, Events};
use lkl_vfs::{InodeKind, Node, Opened, Opening};
use std::sync::Arc;

/// `F_SETLEASE`
pub(super) fn set(cx: &Ctx<'_>, file: &Arc<OpenFile>, fd: i32, kind: i32) -> Result<u64> {
    let exclusive = match i16::try_from(kind) {
        Ok(F_UNLCK) => None,
        Ok(F_RDLCK) => Some(false),
        Ok(F_WRLCK) => Some(true),
        _ => return Err(Errno::EINVAL),
    };
    let content = file.content().filter(|content| content.place().kind() == InodeKind::Regular).ok_or(Errno::EINVAL)?;
    if !Who::new(cx).cred().owns(&content.node().attr()) {
        return Err(Errno::EACCES);
    }
    let Some(exclusive) = exclusive else {
        return if content.remove_lease() { Ok(0) } else { Err(Errno::EAGAIN) };
    };
    let holder = file.fasync_made(cx.kernel.net().host());
    content.set_lease(exclusive, holder.clone())?;
    holder.has_lease(fd);
    if holder.owner().1 == 0 {
        let pid = cx.process().pid();
        holder.set_owner(F_OWNER_PID, pid, pid)?;
    }
    Ok(0)
}

/// Waits until no lease is against opening a file, or writing it.
///
/// # Errors
/// `EAGAIN` if it must not wait.
pub(super) fn wait(cx: &Ctx<'_>, node: &Node, writes: bool, nonblock: bool) -> Result<()> {
    let Some(queue) = node.leases().queue() else { return Ok(()) };
    let patience = Duration::from_secs(cx.kernel.vfs().lease_break_secs().load(Relaxed).into());
    while let Some(deadline) = node.leases().break_for(writes, cx.kernel.now(), patience) {
        if nonblock {
            return Err(Errno::EAGAIN);
        }
        let how = Blocking { deadline, ..Blocking::on(cx.task.parker()) };
        let gone = block_on(how, queue, Events::WRITE, || match node.leases().conflicts(writes) {
            true => Err(Errno::EAGAIN),
            false => Ok(()),
        });
        match gone {
            // The time is over: who has not let it go loses it now.
            Ok(()) | Err(Errno::EAGAIN) => {}
            // The time is not the caller's: the call is started again as any other.
            Err(Errno::EINTR) => return Err(Errno::ERESTARTSYS),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The rest of an `open`: waiting for leases, then cutting the file.
///
/// # Errors
/// Those of [`wait`] and of [`Opening::finish`].
pub(super) fn finish(cx: &Ctx<'_>, who: &Who, opening: Opening, flags: u32) -> Result<Opened> {
    let node = opening.opened().file().node();
    if flags & O_PATH == 0 && node.kind() == InodeKind::Regular {
        wait(cx, node, flags & O_ACCMODE != O_RDONLY, flags & O_NONBLOCK != 0)?;
    }
    opening.finish(&who.context())
}
