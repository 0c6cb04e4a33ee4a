//! The beginning and the end: the constructor, which runs before any other code of the program, and what is still sent
//! when the program exits.

use crate::door::{self, Inner, Instance};
use crate::sys::{self, host};
use crate::{exec, fds, hooks, image, signal, thread, trap};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use lkl_file::File;
use lkl_host::{Hooks, RealHost, Slept};
use lkl_kernel::Kernel;
use std::sync::Arc;

/// The exit status of a program that was not started.
const REFUSED: i32 = 125;

#[cfg(not(test))]
#[used]
#[link_section = ".init_array"]
static CONSTRUCTOR: extern "C" fn(i32, *const *const u8, *const *const u8) = constructor;

/// Called by the loader, first of all constructors (`-z initfirst`), with `main`'s arguments.
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

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Does the user want messages (`LKL_HIJACK_DEBUG`)?
pub(crate) fn debug() -> bool {
    DEBUG.load(Ordering::Relaxed)
}

fn start() -> Result<(), String> {
    fds::init().map_err(|e| format!("lkl-hijack: no placeholder for descriptors: {e}"))?;
    image::init()?;
    signal::init();
    exec::init();
    let set = |name: &str| std::env::var_os(name);
    if set(exec::OWNER).is_none() && !image::left_to_host() && image::is_this_go() {
        return Err(format!("lkl-hijack: this {}: it cannot be run on this kernel", image::Foreign::Go.words()));
    }
    DEBUG.store(set("LKL_HIJACK_DEBUG").is_some_and(|v| v != "0"), Ordering::Relaxed);
    if set("LKL_HIJACK_LIBC_PATCH").is_none_or(|v| v != "0") {
        if let Err(e) = trap::install() {
            hooks::without_trap();
            if debug() {
                sys::say(&format!(
                    "lkl-hijack: libc's own calls are not covered ({e}): getaddrinfo, stdio on sockets and opendir reach the host"
                ));
            }
        }
    } else {
        hooks::without_trap();
    }
    // In the same process, or when its owner is gone, nobody else has the device. If the parent gave it back (0), it is for
    // that one of its children which uses the network first (`ip link | grep eth0`).
    let owner = set(exec::OWNER).and_then(|v| v.to_str()?.parse().ok());
    let elsewhere = owner.filter(|pid| *pid == 0 || (*pid != sys::getpid() && !door::ended(*pid, 0)));
    door::init(elsewhere)
}

/// Boots a kernel as the variables say.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn boot() -> Result<(Arc<Kernel>, Arc<RealHost>), String> {
    let hooks = Hooks { privatise: fds::privatise, thread_start: thread::make_ours };
    let config = lkl_host::Config::from_env().map_err(|e| e.line())?;
    let booted = lkl_host::boot(&config, hooks).map_err(|e| e.line())?;
    Ok((booted.kernel, booted.host))
}

/// How long a program that exits waits for its peers to take what it has sent, since they last took something.
const LINGER: Duration = Duration::from_secs(3);
/// The same, in all.
const LINGER_MOST: Duration = Duration::from_secs(60);

/// Closes every file of the process, and serves the kernel until the peers have all that was sent, and know that it was
/// the end. The host's kernel does so after the end of a program; ours ends with it.
pub(crate) fn drain(i: &Instance, c: &Inner<'_>) {
    let files = i.process.descriptors().into_iter().filter_map(|fd| i.process.file(fd).ok());
    let mut open: Vec<Arc<dyn File>> = files.map(|f| f.file().clone()).filter(|f| unfinished(&**f).is_some()).collect();
    i.process.close_all();
    let start = i.kernel.now();
    let mut progress = start;
    let mut left = u64::MAX;
    let mut nap = Duration::from_millis(1);
    loop {
        open.retain(|f| unfinished(&**f).is_some_and(|n| n > 0));
        let now = i.kernel.now();
        let total = open.iter().filter_map(|f| unfinished(&**f)).sum();
        if total < left {
            (left, progress) = (total, now);
        }
        if open.is_empty() || now.since(progress) > LINGER || now.since(start) > LINGER_MOST {
            return;
        }
        // A second signal ends it.
        if c.sleep.sleep(&mut [], Some(now + nap), None) == Slept::Interrupted {
            return;
        }
        nap = (nap * 2).min(Duration::from_millis(50));
    }
}

/// For a TCP socket: what its peer has not taken yet, in bytes, the end counted as one.
fn unfinished(file: &dyn File) -> Option<u64> {
    const IPPROTO_TCP: i32 = 6;
    const TCP_INFO: i32 = 11;
    // SYN_SENT, SYN_RECEIVED, FIN_WAIT2, TIME_WAIT, CLOSE, LISTEN: nothing, or nobody to give it to.
    const DONE: [u8; 6] = [2, 3, 5, 6, 7, 10];
    let socket = file.as_socket()?;
    if socket.kind() != libc::SOCK_STREAM as u32 {
        return None;
    }
    let state = *socket.getsockopt(IPPROTO_TCP, TCP_INFO, &[]).ok()?.first()?;
    if DONE.contains(&state) {
        return Some(0);
    }
    Some(1 + socket.unsent_bytes().map_or(0, |n| n as u64))
}

/// Blocks for `time`.
pub(crate) fn nap(time: Duration) {
    let ts = [time.as_secs(), u64::from(time.subsec_nanos())];
    // SAFETY: a `struct timespec` of two 64-bit numbers.
    let _slept = unsafe { host!(libc::SYS_nanosleep, ts.as_ptr(), 0usize) };
}
