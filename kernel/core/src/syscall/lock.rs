//! Locks of files: `flock`, and those of `fcntl`, of processes and of open files.

use super::at::opened;
use super::{Args, Ctx};
use crate::openfile::OpenFile;
use crate::user;
use lkl_abi::fcntl::{
    Flock, FLOCK_SIZE, F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLKW, F_UNLCK, LOCK_EX, LOCK_NB, LOCK_SH,
    LOCK_UN,
};
use lkl_abi::{Errno, Result};
use lkl_sync::{block_on, Blocking, Events, Mutex, Rank};
use lkl_vfs::locks::Owner;
use lkl_vfs::VfsFile;
use std::collections::HashMap;

/// Which process waits for a lock of which other one, so that none waits for itself (`EDEADLK`).
pub(crate) struct LockWaits(Mutex<HashMap<i32, i32>>);

impl Default for LockWaits {
    fn default() -> Self {
        Self(Mutex::new(Rank::Leaf, HashMap::new()))
    }
}

impl LockWaits {
    /// A process is going to wait for another one.
    ///
    /// # Errors
    /// `EDEADLK` if that one waits for it, whatever is between them.
    fn wait(&self, waits: i32, for_whom: i32) -> Result<()> {
        let mut all = self.0.lock();
        let mut at = for_whom;
        // Threads of one process may wait for two others: no chain is longer than there are entries.
        for _ in 0..=all.len() {
            if at == waits {
                return Err(Errno::EDEADLK);
            }
            match all.get(&at) {
                Some(next) => at = *next,
                None => break,
            }
        }
        all.insert(waits, for_whom);
        Ok(())
    }

    fn done(&self, waits: i32) {
        self.0.lock().remove(&waits);
    }
}

pub(super) fn flock(cx: &Ctx<'_>, [fd, operation, ..]: Args) -> Result<u64> {
    let operation = operation as u32;
    if !matches!(operation & !LOCK_NB, LOCK_SH | LOCK_EX | LOCK_UN) {
        return Err(Errno::EINVAL);
    }
    let file = opened(cx, fd)?;
    // Nobody else has the same inode open, of what was not opened by a name: a lock is always had.
    let Some(file) = file.vfs_file() else { return Ok(0) };
    let nonblock = operation & LOCK_NB != 0;
    let how = Blocking { nonblock, ..Blocking::on(cx.task.parker()) };
    block_on(how, file.node().locks().wait_queue(), Events::WRITE, || file.flock(operation))?;
    Ok(0)
}

/// `F_GETLK` and the like.
pub(super) fn fcntl(cx: &Ctx<'_>, file: &OpenFile, command: u32, arg: u64) -> Result<u64> {
    let mut lock = Flock::parse(&user::array::<FLOCK_SIZE>(cx.mem, arg)?);
    let own = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
    if own && lock.pid != 0 {
        return Err(Errno::EINVAL);
    }
    let asks = matches!(command, F_GETLK | F_OFD_GETLK);
    let Some(named) = file.vfs_file() else {
        if asks {
            lock.kind = F_UNLCK;
            cx.mem.write(arg, &lock.to_bytes())?;
        }
        return Ok(0);
    };
    let owner = if own { named.lock_owner() } else { Owner::Process(cx.process().pid()) };
    let at = file.position();
    if asks {
        let found = named.get_lock(owner, &lock, at)?;
        cx.mem.write(arg, &found.to_bytes())?;
        return Ok(0);
    }
    if !matches!(command, F_SETLKW | F_OFD_SETLKW) {
        named.set_lock(owner, &lock, at)?;
        return Ok(0);
    }
    let result = wait(cx, named, owner, &lock, at);
    cx.kernel.lock_waits.done(cx.process().pid());
    result
}

fn wait(cx: &Ctx<'_>, file: &VfsFile, owner: Owner, lock: &Flock, at: u64) -> Result<u64> {
    let how = Blocking::on(cx.task.parker());
    let waits = cx.process().pid();
    block_on(how, file.node().locks().wait_queue(), Events::WRITE, || {
        let result = file.set_lock(owner, lock, at);
        if let (Err(Errno::EAGAIN), Owner::Process(_)) = (&result, owner) {
            let other = file.get_lock(owner, lock, at)?;
            if other.kind != F_UNLCK && other.pid > 0 {
                cx.kernel.lock_waits.wait(waits, other.pid)?;
            }
        }
        result
    })?;
    Ok(0)
}
