//! Children with memory of their own that libc's `fork` does not make, so that nobody calls what was registered by `pthread_atfork`.

use super::{set_errno, Real};
use crate::door;
use crate::mem;
use crate::sys::Args;
use crate::thread;
use crate::trap;
use core::ffi::{c_int, c_long, c_void};
use libc::pid_t;

#[expect(non_upper_case_globals, reason = "the symbols' own names")]
mod real {
    use super::Real;
    pub(super) static _Fork: Real = Real::new();
    pub(super) static clone: Real = Real::new();
}

pub(super) fn resolve() {
    real::_Fork.resolve("_Fork\0", true);
    real::clone.resolve("clone\0", false);
}

/// Makes a child by `make`, which answers as the host does, in both processes.
fn forking(make: impl FnOnce() -> isize) -> isize {
    if thread::current().spawning.get() {
        // Of a child that has the memory of another.
        return make();
    }
    door::before_fork();
    let ret = make();
    if ret == 0 {
        door::after_fork_child();
    } else {
        door::after_fork_parent();
    }
    ret
}

/// Has a child with these flags of `clone` memory and descriptors of its own?
fn apart(flags: u64) -> bool {
    flags & (libc::CLONE_VM | libc::CLONE_FILES) as u64 == 0
}

/// Makes the call `number`, if it makes such a child that goes on where the caller is.
pub(super) fn by_number(number: c_long, a: &Args) -> Option<isize> {
    let forks = match number {
        libc::SYS_fork => true,
        libc::SYS_clone => apart(a[0]) && a[1] == 0,
        libc::SYS_clone3 => {
            // `struct clone_args`: flags are first, the stack is sixth.
            let args = mem::get::<[u64; 6]>(a[0]).ok().filter(|_| a[1] >= 64);
            args.is_some_and(|args| apart(args[0]) && args[5] == 0)
        }
        _ => false,
    };
    // SAFETY: the program's own call, which comes back here in both processes, each with a stack of its own.
    forks.then(|| forking(|| unsafe { trap::pass(number as usize, a) }))
}

/// `_Fork`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
#[cfg_attr(test, expect(non_snake_case, reason = "libc's name"))]
pub unsafe extern "C-unwind" fn _Fork() -> pid_t {
    let next = real::_Fork.get();
    if next.is_null() {
        set_errno(libc::ENOSYS);
        return -1;
    }
    // SAFETY: the definition of the same name that comes next, so it has this type.
    let next: unsafe extern "C-unwind" fn() -> pid_t = unsafe { core::mem::transmute(next) };
    // SAFETY: no arguments.
    forking(|| unsafe { next() } as isize) as pid_t
}

type Main = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;

/// What a child of `clone` begins with.
struct Start {
    main: Main,
    arg: *mut c_void,
}

unsafe extern "C-unwind" fn start(from: *mut c_void) -> c_int {
    // SAFETY: from `clone`, in the frame of which it stands: the child has a copy of that.
    let Start { main, arg } = unsafe { from.cast::<Start>().read() };
    door::after_fork_child();
    // SAFETY: the program's own function and argument.
    unsafe { main(arg) }
}

/// `clone`. The arguments come in the registers of a function with fixed ones, and the last on the stack, whether they are given or not.
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn clone(
    main: Option<Main>,
    stack: *mut c_void,
    flags: c_int,
    arg: *mut c_void,
    parent_tid: u64,
    tls: u64,
    child_tid: u64,
) -> c_int {
    type Next = unsafe extern "C-unwind" fn(Option<Main>, *mut c_void, c_int, *mut c_void, u64, u64, u64) -> c_int;
    // SAFETY: the definition of the same name that comes next, so it has this type.
    let next: Next = unsafe { core::mem::transmute(real::clone.get()) };
    let given = main.filter(|_| apart(flags as u32 as u64) && !stack.is_null());
    let Some(main) = given.filter(|_| !thread::current().spawning.get()) else {
        // SAFETY: the program's own arguments.
        return unsafe { next(main, stack, flags, arg, parent_tid, tls, child_tid) };
    };
    let from = Start { main, arg };
    door::before_fork();
    // SAFETY: the program's own arguments, but the function, which calls the program's.
    let ret =
        unsafe { next(Some(start), stack, flags, (&raw const from).cast_mut().cast(), parent_tid, tls, child_tid) };
    door::after_fork_parent();
    ret
}
