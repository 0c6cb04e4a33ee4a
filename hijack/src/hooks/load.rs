//! `dlopen` of a library on a disk image: the loader gets a copy, in a memory file of the host's.
//!
//! The loader makes its own system calls, and looks at the return address to find out for whom it loads: so the hook changes the
//! path that it is given, and jumps to it.

use super::Real;
use crate::guarded::Guarded;
use crate::paths::{place, program};
use crate::signal;
use crate::thread::{self, Inside};
use core::ffi::c_char;
#[cfg(not(test))]
use core::ffi::{c_int, c_void};
use std::ffi::CString;

static REAL: Real = Real::new();

pub(super) fn resolve() {
    REAL.resolve("dlopen\0", false);
}

/// A library that was loaded from an image: which file it was, and the name of its copy.
struct Loaded {
    file: program::Version,
    copy: CString,
}

/// They are never forgotten: a library that is loaded twice must be found to be the same one.
static LIBRARIES: Guarded<Vec<Loaded>> = Guarded::new(Vec::new());

/// The name by which the loader finds the library that `path` names.
#[cfg_attr(test, expect(dead_code, reason = "the hook is not there in tests"))]
extern "C" fn library(path: *const c_char) -> *const c_char {
    let t = thread::current();
    if path.is_null() || !place::any() || t.depth.get() > 0 || t.spawning.get() {
        return path;
    }
    let inside = Inside::enter(t);
    let found = copy(path as u64);
    drop(inside);
    signal::deliver(t);
    found.unwrap_or(path)
}

/// `None` if it is not ours, or cannot be had: the loader says so.
fn copy(path: u64) -> Option<*const c_char> {
    let (file, fd) = program::library(path)?;
    if let Some(known) = LIBRARIES.with(|all| all.iter().find(|l| l.file == file).map(|l| l.copy.as_ptr())) {
        program::close(fd);
        return Some(known);
    }
    let copy = program::copied(fd);
    program::close(fd);
    let copy = CString::new(format!("/proc/self/fd/{}", crate::fds::privatise(copy.ok()?))).ok()?;
    let name = copy.as_ptr();
    LIBRARIES.with(|all| all.push(Loaded { file, copy }));
    Some(name)
}

/// `dlopen`
///
/// # Safety
/// As libc's.
#[cfg(not(test))]
#[unsafe(naked)]
#[no_mangle]
pub unsafe extern "C-unwind" fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "sub rsp, 24",
        ".cfi_adjust_cfa_offset 24",
        "mov [rsp], rsi",
        "call {library}",
        "mov rdi, rax",
        "mov rsi, [rsp]",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "mov rax, [rip + {real}]",
        "jmp rax",
        ".cfi_endproc",
        library = sym library,
        real = sym REAL,
    )
}
