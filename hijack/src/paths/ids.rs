//! Who a program acts as (`man 7 credentials`): the host decides it, and a program that root has started is the same user to the
//! files of disk images. One that somebody else has started is root to them, whatever it does.

use super::place;
use crate::door;
use crate::sys::{self, host, Args};
use core::sync::atomic::{AtomicBool, Ordering};
use lkl_abi::nr;
use lkl_kernel::{Credentials, Ids};

/// This program was started by root.
static BY_ROOT: AtomicBool = AtomicBool::new(false);

/// The calls that change it.
pub(crate) const CALLS: &[i64] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
];

/// Real, effective, saved.
fn of_host(call: i64) -> [u32; 3] {
    let mut ids = [0u32; 3];
    let [r, e, s] = &mut ids;
    // SAFETY: room for three numbers.
    let _always = unsafe { host!(call, &raw mut *r, &raw mut *e, &raw mut *s) };
    ids
}

/// Called once, at the start.
pub(crate) fn init() {
    BY_ROOT.store(of_host(libc::SYS_getresuid).contains(&0), Ordering::Relaxed);
}

/// Must the kernel be told?
fn told() -> bool {
    place::any() && BY_ROOT.load(Ordering::Relaxed)
}

/// Who a process acts as that comes to the kernel by itself: whom the host says, if root has started all of it; `None`: root.
pub(crate) fn of_newcomer(pid: i32) -> Option<Credentials> {
    if !told() {
        return None;
    }
    let status = read_all(&format!("/proc/{pid}/status\0"))?;
    let numbers = |name: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().map(|n| n.parse().ok()).collect()
    };
    let ids = |name| match *numbers(name)? {
        [real, effective, saved, ..] => Some(Ids { real, effective, saved }),
        _ => None,
    };
    Some(Credentials::with(ids("Uid:")?, ids("Gid:")?, numbers("Groups:")?))
}

/// A file of the host's; `path` ends with a NUL.
fn read_all(path: &str) -> Option<String> {
    // SAFETY: a C string.
    let fd = unsafe { host!(libc::SYS_open, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }.ok()? as i32;
    let (mut text, mut buf) = (Vec::new(), [0u8; 4096]);
    // SAFETY: the buffer has this many bytes.
    while let Ok(n @ 1..) = unsafe { host!(libc::SYS_read, fd, buf.as_mut_ptr(), buf.len()) } {
        text.extend_from_slice(buf.get(..n as usize).unwrap_or_default());
    }
    sys::close(fd);
    // The name of a program may be of any bytes.
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The host has changed the ids of the process: the kernel does the same.
pub(crate) fn changed() {
    if !told() {
        return;
    }
    let set = |number: usize, ids: [u32; 3]| {
        let [r, e, s] = ids.map(u64::from);
        door::call(number, [r, e, s, 0, 0, 0]);
    };
    const SAME: u32 = u32::MAX;
    let ([real, effective, _], groups) = (of_host(libc::SYS_getresuid), of_host(libc::SYS_getresgid));
    // What the program may do the host has decided: in the kernel it can always become root again, as far as this goes.
    set(nr::SETRESUID, [SAME, 0, SAME]);
    // SAFETY: no pointers.
    let count = unsafe { host!(libc::SYS_getgroups, 0, 0usize) }.unwrap_or(0) as usize;
    let mut list = vec![0u32; count];
    // SAFETY: room for this many numbers.
    if unsafe { host!(libc::SYS_getgroups, count, list.as_mut_ptr()) }.is_ok() {
        door::call(nr::SETGROUPS, [count as u64, list.as_ptr() as u64, 0, 0, 0, 0]);
    }
    set(nr::SETRESGID, groups);
    set(nr::SETRESUID, [real, effective, 0]);
}

/// One of [`CALLS`], made by itself and not by a function of libc's.
///
/// # Safety
/// As [`crate::route::dispatch`].
pub(super) unsafe fn call(number: usize, a: &Args) -> Option<isize> {
    if !told() {
        return None;
    }
    // SAFETY: the program's own call.
    let ret = unsafe { sys::raw(number, a) };
    match number as i64 {
        libc::SYS_setfsuid => {
            door::call(nr::SETFSUID, *a);
        }
        libc::SYS_setfsgid => {
            door::call(nr::SETFSGID, *a);
        }
        _ if ret == 0 => changed(),
        _ => {}
    }
    Some(ret)
}
