//! What is told of a panic. One of the kernel's is caught at its door, and every call answers `EIO` from then on: nothing of the program's
//! goes to the host's network instead, and the program goes on.
//!
//! What it was, and where, is said on stderr by the process in which it came to pass. The keeper has no stderr: there it is kept for the
//! first process that asks why its call failed. Whoever sleeps in the kernel is woken up, to find out.

use crate::sys;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

/// The last one: a line, what is known more, and whether somebody has all of it.
static LAST: Mutex<Option<(String, String, bool)>> = Mutex::new(None);
/// This process has said it.
static SAID: AtomicBool = AtomicBool::new(false);
/// The process ID of the keeper with this memory.
static KEEPER: AtomicI32 = AtomicI32::new(0);

/// From now on panics are noted.
pub(crate) fn init() {
    std::panic::set_hook(Box::new(note));
}

/// The calling process is the keeper.
pub(crate) fn in_keeper() {
    KEEPER.store(sys::getpid(), Ordering::Release);
}

fn note(info: &PanicHookInfo<'_>) {
    let what = info.payload();
    let what = what.downcast_ref::<&str>().copied().or_else(|| what.downcast_ref::<String>().map(String::as_str));
    let mut line = "lkl-hijack: panic".to_owned();
    if let Some(place) = info.location() {
        let _never = write!(line, " at {place}");
    }
    let _never = write!(line, ": {}", what.unwrap_or("(no message)"));
    let more = Backtrace::force_capture().to_string().trim_end().to_owned();
    let here = KEEPER.load(Ordering::Acquire) != sys::getpid();
    if here {
        SAID.store(true, Ordering::Relaxed);
        say(&line, &more);
    }
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some((line, more, here));
}

fn say(line: &str, more: &str) {
    sys::say_all(&format!("{line}\n{more}"));
}

/// What the kernel in this memory has panicked of: all of it for the first who asks, a line for the others.
pub(crate) fn report() -> String {
    match &mut *LAST.lock().unwrap_or_else(PoisonError::into_inner) {
        Some((line, more, told)) => match core::mem::replace(told, true) {
            false => format!("{line}\n{more}"),
            true => line.clone(),
        },
        None => "lkl-hijack: panic".to_owned(),
    }
}

/// A call has answered `EIO`. `ask` answers the report, if that is because the kernel has panicked; it is said once in a process.
#[cold]
pub(crate) fn tell(ask: impl FnOnce() -> Option<String>) {
    if SAID.load(Ordering::Relaxed) {
        return;
    }
    if let Some(report) = ask() {
        if !SAID.swap(true, Ordering::Relaxed) {
            say(&report, "lkl-hijack: from now on the kernel answers EIO");
        }
    }
}
