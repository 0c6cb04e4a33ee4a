//! The working directory: one of the host's, or one on a disk image.
//!
//! While it is on an image the host's own working directory stays where it was, and means nothing: every relative path
//! is looked at ([`super::place`]). In the kernel each process has a working directory, which children inherit; a new program
//! is told by [`crate::tree::VARIABLE`].

use crate::alloc::Spin;
use crate::door;
use crate::guarded::Guarded;
use crate::mem::Own;
use crate::sys::{self, host, Args};
use crate::thread::Thread;
use core::sync::atomic::{AtomicBool, Ordering};
use lkl_abi::{nr, Errno};
use lkl_ops::UserMem;

/// It is on an image.
static OURS: AtomicBool = AtomicBool::new(false);
/// Its path, if it is known.
static PATH: Guarded<Vec<u8>> = Guarded::new(Vec::new());

/// Held across a fork, so that the child does not find it taken.
pub(crate) fn lock() -> &'static Spin {
    PATH.lock()
}

/// Is the working directory on an image?
pub(crate) fn ours() -> bool {
    OURS.load(Ordering::Relaxed)
}

/// Its path there, as of when it was entered.
pub(crate) fn path() -> Vec<u8> {
    PATH.with(|p| p.clone())
}

/// That of the host's.
pub(crate) fn host() -> Option<Vec<u8>> {
    let known = PATH.with(|p| p.clone());
    if !known.is_empty() {
        return Some(known);
    }
    let mut buf = vec![0u8; 4096];
    // SAFETY: room of this size.
    let n = unsafe { host!(libc::SYS_getcwd, buf.as_mut_ptr(), buf.len()) }.ok()? as usize;
    buf.truncate(n.saturating_sub(1));
    if !buf.starts_with(b"/") {
        return None;
    }
    PATH.with(|p| p.clone_from(&buf));
    Some(buf)
}

/// It is the host's from now on, wherever that is.
pub(crate) fn is_hosts() {
    PATH.with(|p| {
        p.clear();
        OURS.store(false, Ordering::Relaxed);
    });
}

/// It is the one that the kernel says.
pub(crate) fn is_kernels() {
    let Ok(path) = kernels() else { return };
    PATH.with(|p| {
        *p = path;
        OURS.store(true, Ordering::Relaxed);
    });
}

fn kernels() -> Result<Vec<u8>, Errno> {
    let mut buf = vec![0u8; 4096];
    let n = sys::check(door::call(nr::GETCWD, [buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0, 0]))?;
    buf.truncate((n as usize).saturating_sub(1));
    Ok(buf)
}

/// A new program begins in `path` on an image.
pub(crate) fn inherit(path: &[u8]) {
    let mut path = path.to_vec();
    path.push(0);
    if door::call(nr::CHDIR, [path.as_ptr() as u64, 0, 0, 0, 0, 0]) == 0 {
        is_kernels();
    }
}

/// The child to which the thread lends its memory goes to a directory of its own: on an image, or the host's if empty.
pub(crate) fn child_goes(t: &Thread, path: Vec<u8>) {
    let old = t.spawn_cwd.replace(Box::into_raw(Box::new(path)));
    if !old.is_null() {
        // SAFETY: from `Box::into_raw` here; nobody else has it.
        drop(unsafe { Box::from_raw(old) });
    }
}

/// That child is gone.
pub(crate) fn child_has_gone(t: &Thread) {
    let old = t.spawn_cwd.replace(core::ptr::null_mut());
    if !old.is_null() {
        // SAFETY: from `Box::into_raw` above; nobody else has it.
        drop(unsafe { Box::from_raw(old) });
    }
}

/// Where the thread, or the child to which it lends its memory, is on an image.
pub(crate) fn of(t: &Thread) -> Option<Vec<u8>> {
    // SAFETY: set and freed by this thread only.
    match unsafe { t.spawn_cwd.get().as_ref() } {
        Some(path) => Some(path.clone()).filter(|p| !p.is_empty()),
        None => ours().then(path),
    }
}

/// `getcwd`, if it is on an image.
pub(crate) fn getcwd(a: &Args) -> Option<isize> {
    if !ours() {
        return None;
    }
    let answer = kernels().and_then(|mut path| {
        path.push(0);
        if (a[1] as usize) < path.len() {
            return Err(Errno::ERANGE);
        }
        Own.write(a[0], &path)?;
        Ok(path.len() as u64)
    });
    Some(sys::uncheck(answer))
}
