//! New processes and the end of this one.

use super::{set_errno, Real};
use crate::door;
use crate::paths::place;
use crate::paths::program::{self, Staged};
use crate::paths::spawn::{self, Replaced};
use crate::signal;
use crate::sys::Args;
use crate::thread::{self, Inside, Thread};
use crate::tree;
use core::ffi::{c_char, c_int, c_void};
use libc::{pid_t, FILE};
use lkl_abi::Errno;

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
    system(command: *const c_char) -> c_int;
    popen(command: *const c_char, mode: *const c_char) -> *mut FILE;
}

macro_rules! spawning {
    ($($name:ident $search:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`: its child runs in our memory for a while. A program on a disk image is made ready here, for the child could not.")]
        ///
        /// # Safety
        /// As libc's.
        #[cfg_attr(not(test), no_mangle)]
        pub unsafe extern "C-unwind" fn $name(
            pid: *mut pid_t,
            file: *const c_char,
            actions: *const c_void,
            attr: *const c_void,
            argv: Strings,
            envp: Strings,
        ) -> c_int {
            let (mut path, mut args) = (file, argv);
            let staged = match stage(file, argv, $search) {
                Ok(staged) => staged,
                Err(e) => return e.0,
            };
            if let Some((_, at, with)) = &staged {
                (path, args) = (*at, *with);
            }
            let replaced = match opened(actions) {
                Ok(replaced) => replaced,
                Err(e) => return e.0,
            };
            let actions = replaced.as_ref().map_or(actions, Replaced::as_ptr);
            let _lending = Lending::begin();
            next!($name, fn(*mut pid_t, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int, pid, path, actions, attr, args, envp)
        }
    )* };
}

spawning! {
    posix_spawn false;
    posix_spawnp true;
}

/// Makes a program on a disk image ready: where the host finds it, and with which arguments.
fn stage(file: *const c_char, argv: Strings, search: bool) -> Result<Option<(Staged, *const c_char, Strings)>, Errno> {
    let t = thread::current();
    if !place::any() || t.depth.get() > 0 || t.spawning.get() {
        return Ok(None);
    }
    let inside = Inside::enter(t);
    let found = if search { program::search(file as u64) } else { None };
    let mut args: Args = [found.as_ref().map_or(file as u64, |f| f.as_ptr() as u64), argv as u64, 0, 0, 0, 0];
    // A name without a slash that is on no image is looked for by libc; it is none of the working directory.
    let left = search && found.is_none() && program::is_bare(file as u64);
    let staged = if left { Ok(None) } else { program::stage(&mut args, 2) };
    drop(inside);
    signal::deliver(t);
    Ok(staged?.map(|s| (s, args[0] as *const c_char, args[1] as Strings)))
}

/// Opens the files on disk images that the child is to have.
fn opened(actions: *const c_void) -> Result<Option<Replaced>, Errno> {
    let t = thread::current();
    if !place::any() || t.depth.get() > 0 || t.spawning.get() {
        return Ok(None);
    }
    let inside = Inside::enter(t);
    let replaced = spawn::replace(t, actions as u64);
    drop(inside);
    signal::deliver(t);
    replaced
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
        "call {fork_instead}",
        "test eax, eax",
        "jz 1f",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "jmp {fork}",
        "1:",
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
        fork_instead = sym fork_instead,
        fork = sym fork,
        before = sym before_child,
        after = sym after_vfork,
    )
}

/// Is a child to have memory of its own? Where there are disk images: only then can it open files and run programs that are on them.
extern "C" fn fork_instead() -> c_int {
    c_int::from(place::any())
}

extern "C-unwind" fn fork() -> c_int {
    // SAFETY: as `vfork`, whose caller must be prepared for it.
    unsafe { libc::fork() }
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
    if t.child() >= 0 {
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
