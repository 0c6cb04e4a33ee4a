//! `RLIMIT_FSIZE`, which is the host's, and holds for the files of images, too.
//!
//! The kernel is told what it is, and holds the process to it. What the library writes itself is not the program's: images, and the memory
//! that processes share. So while a program has such a limit it does not call the kernel directly, and the keeper has none.

use crate::door;
use crate::keeper;
use crate::mem;
use crate::paths::place;
use crate::sys::{self, host, Args};
use crate::thread::Thread;
use crate::tree;
use core::ptr::null;
use lkl_abi::nr;
use lkl_abi::resource::{RLIMIT_FSIZE, RLIM_INFINITY};

/// Now, and at most.
type Limit = [u64; 2];

/// The process's own.
pub(crate) fn size() -> Limit {
    let mut limit = [RLIM_INFINITY; 2];
    // SAFETY: `struct rlimit` is two 64-bit numbers.
    let _read = unsafe { host!(libc::SYS_prlimit64, 0i32, RLIMIT_FSIZE, null::<Limit>(), limit.as_mut_ptr()) };
    limit
}

/// Is there none?
pub(crate) fn none(limit: Limit) -> bool {
    limit[0] == RLIM_INFINITY
}

fn set(limit: Limit) -> bool {
    // SAFETY: as above.
    unsafe { host!(libc::SYS_prlimit64, 0i32, RLIMIT_FSIZE, limit.as_ptr(), null::<Limit>()) }.is_ok()
}

/// From now on this process has none, as far as it may.
pub(crate) fn lift() {
    let [now, most] = size();
    if now != RLIM_INFINITY && !set([RLIM_INFINITY; 2]) {
        set([most; 2]);
    }
}

/// Does `f`, meanwhile without a limit as far as the process may.
pub(crate) fn lifted<T>(f: impl FnOnce() -> T) -> T {
    let before = size();
    if none(before) {
        return f();
    }
    lift();
    let out = f();
    set(before);
    out
}

/// May the process make a file so long? If not, to try could kill it (`SIGXFSZ`).
pub(crate) fn allow(len: u64) -> bool {
    size()[0] >= len
}

/// Tells the kernel what the limit is, by `call`.
pub(crate) fn tell<T>(limit: Limit, call: impl FnOnce(usize, [u64; 6]) -> T) -> T {
    call(nr::PRLIMIT64, [0, RLIMIT_FSIZE.into(), limit.as_ptr() as u64, 0, 0, 0])
}

/// `setrlimit`, or `prlimit64` with a new limit. `None` if it is not about files of images: then it is the host's alone.
pub(crate) fn change(t: &'static Thread, number: usize, a: &Args) -> Option<isize> {
    let (pid, resource, new) = match number as i64 {
        libc::SYS_setrlimit => (0, a[0], a[1]),
        _ => (a[0] as i32, a[1], a[2]),
    };
    let own = pid == 0 || pid == sys::getpid();
    if resource as u32 != RLIMIT_FSIZE || !own || !place::any() || !door::available() {
        return None;
    }
    // What cannot be read the host says.
    let limit = [mem::get::<u64>(new).ok()?, mem::get::<u64>(new.wrapping_add(8)).ok()?];
    if !none(limit) && tree::any() {
        // What it calls the kernel by is made while it can be.
        keeper::share();
        let _made = door::caller(t);
    }
    // SAFETY: the program's own call.
    let ret = unsafe { sys::raw(number, a) };
    if ret == 0 {
        let _told = tell(limit, door::call);
    }
    Some(ret)
}
