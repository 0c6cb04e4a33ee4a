//! New processes and the end of this one.

use super::{set_errno, Real};
use crate::door;
use crate::signal;
use crate::thread::{self, Inside, Thread};
use crate::tree;
use core::ffi::{c_char, c_int, c_void};
use libc::{pid_t, FILE};

macro_rules! reals {
    ($($name:ident $optional:literal;)*) => {
        mod real {
            $(
                #[expect(non_upper_case_globals, reason = "the symbol's own name")]
                pub(super) static $name: super::Real = super::Real::new();
            )*
        }

        pub(super) fn resolve() {
            $(real::$name.resolve(concat!(stringify!($name), "\0"), $optional);)*
        }
    };
}

reals! {
    posix_spawn false;
    posix_spawnp false;
    system false;
    popen false;
}

/// While it lives, the thread has lent its memory to a child, or is that child.
struct Lending {
    spawning: bool,
    depth: u32,
}

impl Lending {
    fn begin() -> Self {
        let t = thread::current();
        before_child();
        Self { spawning: t.spawning.replace(true), depth: t.depth.get() }
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        let t = thread::current();
        t.spawning.set(self.spawning);
        // The child was inside when it became another program.
        t.depth.set(self.depth);
        after_child(t);
    }
}

macro_rules! next {
    ($name:ident, fn($($t:ty),*) -> $r:ty, $($a:expr),*) => {{
        // SAFETY: the definition of the same name that comes next, so it has this type.
        let next: unsafe extern "C-unwind" fn($($t),*) -> $r = unsafe { core::mem::transmute(real::$name.get()) };
        // SAFETY: the program's own arguments.
        unsafe { next($($a),*) }
    }};
}

macro_rules! lending {
    ($($name:ident ($($p:ident : $t:ty),*) -> $r:ty;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`: its child runs in our memory for a while.")]
        ///
        /// # Safety
        /// As libc's.
        #[cfg_attr(not(test), no_mangle)]
        pub unsafe extern "C-unwind" fn $name($($p: $t),*) -> $r {
            let _lending = Lending::begin();
            next!($name, fn($($t),*) -> $r, $($p),*)
        }
    )* };
}

type Strings = *const *mut c_char;

lending! {
    posix_spawn(pid: *mut pid_t, path: *const c_char, actions: *const c_void, attr: *const c_void, argv: Strings, envp: Strings) -> c_int;
    posix_spawnp(pid: *mut pid_t, file: *const c_char, actions: *const c_void, attr: *const c_void, argv: Strings, envp: Strings) -> c_int;
    system(command: *const c_char) -> c_int;
    popen(command: *const c_char, mode: *const c_char) -> *mut FILE;
}

/// `vfork`: comes back twice on one stack, so its return address must not be there when the child returns first: it
/// waits in a register, as in libc's own.
///
/// # Safety
/// As libc's.
#[cfg(not(test))]
#[unsafe(naked)]
#[no_mangle]
pub unsafe extern "C-unwind" fn vfork() -> c_int {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call {before}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_register rip, rdi",
        "mov eax, 58",
        "syscall",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rip, -8",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "mov rdi, rax",
        "call {after}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        before = sym before_child,
        after = sym after_vfork,
    )
}

/// A child that shares the memory is about to be made.
extern "C" fn before_child() {
    let t = thread::current();
    if door::open() && t.depth.get() == 0 && !t.spawning.get() {
        let inside = Inside::enter(t);
        tree::before_spawn(t);
        drop(inside);
        signal::deliver(t);
    }
}

/// That child is another program now, or there is none.
fn after_child(t: &'static Thread) {
    if t.child.get() >= 0 {
        let inside = Inside::enter(t);
        tree::after_spawn(t);
        drop(inside);
        signal::deliver(t);
    }
}

/// Called in the child, then in the parent, which share one thread block.
extern "C" fn after_vfork(ret: isize) -> isize {
    let t = thread::current();
    if ret == 0 {
        t.lent_depth.set(t.depth.get());
        t.spawning.set(true);
    } else if ret > 0 {
        t.spawning.set(false);
        // The child was inside when it became another program.
        t.depth.set(t.lent_depth.get());
        after_child(t);
    } else {
        after_child(t);
    }
    if (-4095..0).contains(&ret) {
        set_errno(-ret as i32);
        return -1;
    }
    ret
}

/// `_exit`: the kernel's files are closed first ([`door::finish`]).
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
pub unsafe extern "C-unwind" fn _exit(status: c_int) -> ! {
    // SAFETY: no pointers.
    unsafe { crate::route::dispatch(libc::SYS_exit_group as usize, &[status as u64, 0, 0, 0, 0, 0]) };
    crate::sys::exit(status)
}

/// `_Exit`
///
/// # Safety
/// As libc's.
#[cfg_attr(not(test), no_mangle)]
#[cfg_attr(test, expect(non_snake_case, reason = "libc's name"))]
pub unsafe extern "C-unwind" fn _Exit(status: c_int) -> ! {
    // SAFETY: the same.
    unsafe { _exit(status) }
}
