//! Watches of files on disk images (`man 7 inotify`). An instance is the host's until its first watch is of such a file: then it
//! becomes one of the kernel's. It has no watches of both.

use super::errno;
use super::place::{self, Whose};
use crate::door;
use crate::fds;
use crate::mem;
use crate::sys::{self, host, Args};
use lkl_abi::{nr, Errno};

/// `inotify_add_watch`. `None` if it is the host's as it is. What the other one would have to watch is more than there can be (`ENOSPC`),
/// for which programs are prepared: they look at the file again and again.
pub(super) fn add(a: &Args) -> Option<isize> {
    let fd = a[0] as i32;
    let none_left = Some(errno(Errno::ENOSPC));
    let path = match place::of(libc::AT_FDCWD, a[1]) {
        Whose::Host if !fds::ours(fd) => return None,
        // A path that cannot be read is nobody's.
        Whose::Host => return mem::get::<u8>(a[1]).err().map(errno).or(none_left),
        Whose::HostAt(_) if fds::ours(fd) => return none_left,
        Whose::HostAt(path) => {
            // SAFETY: the program's own call, with another name for the same file.
            let ret =
                unsafe { sys::raw(libc::SYS_inotify_add_watch as usize, &[a[0], path.as_ptr() as u64, a[2], 0, 0, 0]) };
            return Some(ret);
        }
        Whose::Kernel => None,
        Whose::KernelAt(path) => Some(path),
    };
    if !fds::ours(fd) {
        match become_ours(fd) {
            Ok(true) => {}
            Ok(false) => return none_left,
            // The host says what is wrong with the descriptor.
            Err(()) => return None,
        }
    }
    let at = path.as_ref().map_or(a[1], |p| p.as_ptr() as u64);
    Some(door::call(nr::INOTIFY_ADD_WATCH, [a[0], at, a[2], 0, 0, 0]))
}

/// Puts an instance of the kernel's in the place of one of the host's. `Ok(false)` if that has watches already, or none can be made.
///
/// # Errors
/// It is no instance.
fn become_ours(fd: i32) -> Result<bool, ()> {
    if has_watches(fd)? {
        return Ok(false);
    }
    // SAFETY: no pointers.
    let get = |command: i32| unsafe { host!(libc::SYS_fcntl, fd, command) }.unwrap_or(0) as i32;
    let nonblock = get(libc::F_GETFL) & libc::O_NONBLOCK;
    let cloexec = if get(libc::F_GETFD) & libc::FD_CLOEXEC != 0 { libc::O_CLOEXEC } else { 0 };
    let made = door::call(nr::INOTIFY_INIT1, [(nonblock | libc::O_CLOEXEC) as u64, 0, 0, 0, 0, 0]);
    if made < 0 {
        return Ok(false);
    }
    let moved = door::call(nr::DUP3, [made as u64, fd as u64, cloexec as u64, 0, 0, 0]);
    super::close(made);
    Ok(moved >= 0)
}

/// Does an instance of the host's watch anything? Its `fdinfo` says so.
///
/// # Errors
/// It is no instance.
fn has_watches(fd: i32) -> Result<bool, ()> {
    let read = |name: &str, buf: &mut [u8], link: bool| {
        let path = format!("/proc/self/{name}/{fd}\0");
        if link {
            // SAFETY: a C string, and room of this size.
            return unsafe { host!(libc::SYS_readlink, path.as_ptr(), buf.as_mut_ptr(), buf.len()) }.map_err(drop);
        }
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        // SAFETY: a C string.
        let file = unsafe { host!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) }.map_err(drop)? as i32;
        // SAFETY: room of this size.
        let n = unsafe { host!(libc::SYS_read, file, buf.as_mut_ptr(), buf.len()) };
        sys::close(file);
        n.map_err(drop)
    };
    let mut buf = [0u8; 1024];
    let n = read("fd", &mut buf, true)? as usize;
    if &buf[..n] != b"anon_inode:inotify" {
        return Err(());
    }
    let n = read("fdinfo", &mut buf, false)? as usize;
    Ok(buf[..n].windows(8).any(|w| w == b"inotify "))
}
