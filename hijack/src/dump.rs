//! Files of the kernel's own tree that are shown when the program ends (`LKL_HIJACK_DUMP`).
//!
//! They are shown by the process that was started outside of any tree, also after it has become another program, which is told by a variable.

use crate::door;
use crate::exec;
use crate::sys;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::fmt::Write;

/// The process, and the files: `123 /proc/net/dev,/proc/net/snmp`.
const VARIABLE: &str = "LKL_HIJACK_DUMP_AT_END";

/// The files. Set once, never freed.
static FILES: AtomicPtr<Vec<String>> = AtomicPtr::new(null_mut());
/// Whose they are: not its children's.
static WHOSE: AtomicI32 = AtomicI32::new(0);

fn set(files: Vec<String>) {
    WHOSE.store(sys::getpid(), Ordering::Release);
    FILES.store(Box::into_raw(Box::new(files)), Ordering::Release);
}

/// This process shows `files` at its end.
pub(crate) fn begin(files: &[String]) {
    if files.is_empty() {
        return;
    }
    exec::keep(VARIABLE, &format!("{} {}", sys::getpid(), files.join(",")));
    set(files.to_vec());
}

/// The same for a program that this process has become.
pub(crate) fn go_on() {
    let Some(text) = std::env::var_os(VARIABLE).and_then(|v| v.into_string().ok()) else { return };
    if let Some((pid, files)) = text.split_once(' ') {
        if pid.parse() == Ok(sys::getpid()) {
            set(files.split(',').map(str::to_owned).collect());
        }
    }
}

/// The process ends.
pub(crate) fn show() {
    if WHOSE.load(Ordering::Acquire) != sys::getpid() {
        return;
    }
    // SAFETY: set once, and never freed.
    let Some(files) = (unsafe { FILES.swap(null_mut(), Ordering::AcqRel).as_ref() }) else { return };
    for path in files {
        let mut text = String::new();
        let _never = match lkl_host::dump::read(|number, args| sys::check(door::call(number, args)), path) {
            Ok(content) => write!(text, "lkl-hijack: {path}:\n{}", String::from_utf8_lossy(&content).trim_end()),
            Err(e) => write!(text, "lkl-hijack: {path}: {e}"),
        };
        sys::say_all(&text);
    }
}
