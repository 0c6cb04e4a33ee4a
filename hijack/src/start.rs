//! The beginning: the constructor, which runs before any other code of the program.

use crate::paths::{ids, place};
use crate::sys::{self, host};
use crate::tree::named;
use crate::{door, exec, fds, handover, hooks, image, panics, raw, signal, thread, trap, tree};
use core::time::Duration;
use lkl_host::{Config, Hooks, RealHost};
use lkl_kernel::Kernel;
use std::sync::{Arc, OnceLock};

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
    raw::init();
    panics::init();
    if let Err(line) = start() {
        sys::say(&line);
        sys::exit(REFUSED);
    }
    drop(inside);
    signal::deliver(t);
}

fn start() -> Result<(), String> {
    fds::init().map_err(|e| format!("lkl-hijack: no placeholder for descriptors: {e}"))?;
    image::init()?;
    signal::init();
    exec::init();
    ids::init();
    let set = |name: &str| std::env::var_os(name);
    if let Some(question) = set(named::ASK) {
        named::ask(&question.to_string_lossy())?;
        sys::exit(0);
    }
    if set(tree::VARIABLE).is_none() && !image::left_to_host() && image::is_this_go() {
        return Err(format!("lkl-hijack: this {}: it cannot be run on this kernel", image::Foreign::Go.words()));
    }
    // Each process looks for itself, also one that has its kernel from another.
    handover::init(Config::host_prefixes().map_err(|e| e.line())?);
    if let Some(file) = Config::resolv_conf().map_err(|e| e.line())? {
        place::see_as_resolv_conf(file, set(tree::VARIABLE).is_none())?;
    }
    let patch = set("LKL_HIJACK_LIBC_PATCH").is_none_or(|v| v != "0");
    let uncovered = if patch { trap::install() } else { Ok(Vec::new()) };
    if !patch || uncovered.as_ref().map_or(true, |calls| calls.contains(&"openat") || calls.contains(&"read")) {
        hooks::without_trap();
    }
    // The first process says it for all.
    if set(tree::VARIABLE).is_none() {
        let what = match &uncovered {
            Ok(calls) if calls.is_empty() => None,
            Ok(calls) => {
                Some(format!("{} are not covered (an unknown libc, or one that is patched already)", calls.join(", ")))
            }
            Err(e) => Some(format!("are not covered ({e})")),
        };
        if let Some(what) = what {
            sys::say(&format!(
                "lkl-hijack: libc's own calls {what}: getaddrinfo, stdio on sockets and the like may reach the host; LKL_HIJACK_LIBC_PATCH=0 leaves libc as it is"
            ));
        }
    }
    let text = |name: &str| set(name).and_then(|v| v.into_string().ok());
    let wanted = text("LKL_HIJACK_KERNEL").unwrap_or_default();
    let handed = set(tree::VARIABLE).map(std::ffi::OsString::into_encoded_bytes);
    let in_tree = handed.map_or(Ok(false), |v| tree::arrive(&v, &wanted))?;
    if set("LKL_HIJACK_DISK").is_some() {
        place::set(Config::disks().map_err(|e| e.line())?.into_iter().map(|d| d.target));
    }
    if in_tree {
        handover::duplicated();
    }
    door::init(in_tree)?;
    tree::settle();
    Ok(())
}

/// Is the kernel to have a process of its own, so that children can use it and connections are finished?
pub(crate) fn wants_keeper() -> bool {
    let off = std::env::var_os("LKL_HIJACK_KEEPER").is_some_and(|v| v == "0");
    // Valgrind does not know processes that share memory.
    let preloaded = std::env::var_os("LD_PRELOAD").unwrap_or_default().into_encoded_bytes();
    !off && !preloaded.windows(10).any(|w| w == b"vgpreload_")
}

/// What the variables and the file ask for. They are read once: the working directory may be another one later.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn config() -> Result<&'static Config, String> {
    static READ: OnceLock<Config> = OnceLock::new();
    if let Some(config) = READ.get() {
        return Ok(config);
    }
    let config = Config::from_env().map_err(|e| e.line())?;
    Ok(READ.get_or_init(|| config))
}

/// Boots a kernel as the configuration says.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn boot(config: &Config) -> Result<(Arc<Kernel>, Arc<RealHost>), String> {
    let hooks = Hooks {
        privatise: fds::privatise,
        thread_start: thread::make_ours,
        mirror: tree::mirror,
        brings_worker: wants_keeper(),
        clock: None,
        panicked: door::panicked,
    };
    let booted = lkl_host::boot(config, hooks).map_err(|e| e.line())?;
    Ok((booted.kernel, booted.host))
}

/// Blocks for `time`.
pub(crate) fn nap(time: Duration) {
    let ts = [time.as_secs(), u64::from(time.subsec_nanos())];
    // SAFETY: a `struct timespec` of two 64-bit numbers.
    let _slept = unsafe { host!(libc::SYS_nanosleep, ts.as_ptr(), 0usize) };
}
