//! New programs: what an `execve` takes along, and what a child of `vfork` may do.
//!
//! A new image must find the library again, also when its caller has cleaned the environment: `LD_PRELOAD` and
//! our variables are put back. [`tree::VARIABLE`] tells it by which descriptors it reaches the kernel of its tree; they are
//! left open for it.

use crate::image::{self, Foreign, Verdict};
use crate::mem;
use crate::paths::{self, cwd, program};
use crate::signal;
use crate::sys::{self, Args};
use crate::thread::Thread;
use crate::{door, fds, tree};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use lkl_abi::Errno;
use std::ffi::{CStr, CString};

/// What is put into each environment.
struct Kept {
    /// `LD_PRELOAD=...`, as this process was started with it.
    preload: CString,
    /// The path in it that is ours.
    library: Vec<u8>,
    /// `LKL_HIJACK_...=...`
    ours: Vec<CString>,
}

static KEPT: AtomicPtr<Kept> = AtomicPtr::new(null_mut());

/// Strings that an environment refers to, kept until the next `execve` of the thread.
pub(crate) struct Env {
    pointers: Vec<u64>,
    _strings: Vec<CString>,
}

/// Notes what this process was started with. Called once.
pub(crate) fn init() {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut kept = Kept { preload: CString::default(), library: Vec::new(), ours: Vec::new() };
    for (name, value) in std::env::vars_os() {
        let (n, v) = (name.as_bytes(), value.as_bytes());
        let mut whole = n.to_vec();
        whole.push(b'=');
        whole.extend_from_slice(v);
        let Ok(whole) = CString::new(whole) else { continue };
        if n == b"LD_PRELOAD" {
            let ours = v.split(|b| matches!(b, b':' | b' ')).find(|p| is_us(p));
            kept.library = ours.unwrap_or_default().to_vec();
            kept.preload = whole;
        } else if n.starts_with(b"LKL_HIJACK_") && n != tree::VARIABLE.as_bytes() {
            kept.ours.push(whole);
        }
    }
    if kept.library.is_empty() {
        return;
    }
    // A path that depends on the working directory would not be found from another one.
    if !kept.library.starts_with(b"/") && kept.library.contains(&b'/') {
        if let Ok(mut cwd) = std::env::current_dir() {
            cwd.push(std::ffi::OsStr::from_bytes(&kept.library));
            kept.library = cwd.into_os_string().into_vec();
        }
        let mut whole = b"LD_PRELOAD=".to_vec();
        whole.extend_from_slice(&kept.library);
        kept.preload = CString::new(whole).unwrap_or_default();
    }
    KEPT.store(Box::into_raw(Box::new(kept)), Ordering::Release);
}

/// One more of our variables is set for the processes that this one starts. Called at the start, with one thread.
pub(crate) fn keep(name: &str, value: &str) {
    // SAFETY: set by `init`, by this thread, which is the only one.
    let kept = unsafe { KEPT.load(Ordering::Acquire).as_mut() };
    if let (Some(kept), Ok(whole)) = (kept, CString::new(format!("{name}={value}"))) {
        kept.ours.push(whole);
    }
}

fn is_us(path: &[u8]) -> bool {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    name.starts_with(b"liblkl") && name.windows(6).any(|w| w == b"hijack")
}

/// The environment at the address `envp` with what belongs to us put in. `None` if it cannot be read: then the host
/// may say so.
fn environment(envp: u64, handed: Option<Vec<u8>>) -> Option<Env> {
    // SAFETY: set once, never freed.
    let kept = unsafe { KEPT.load(Ordering::Acquire).as_ref() }?;
    let mut env = Env { pointers: Vec::new(), _strings: Vec::new() };
    let mut preload = None;
    let mut missing: Vec<&CStr> = kept.ours.iter().map(CString::as_c_str).collect();
    let mut at = envp;
    while at != 0 {
        let p = mem::get::<u64>(at).ok()?;
        if p == 0 {
            break;
        }
        at += 8;
        // Long values are cut: names are what is looked for.
        let mut buf = [0u8; 4096];
        let n = mem::c_str(p, &mut buf).unwrap_or(buf.len());
        let var = &buf[..n];
        let name = var.split(|b| *b == b'=').next().unwrap_or_default();
        if name == tree::VARIABLE.as_bytes() {
            continue;
        }
        if name == b"LD_PRELOAD" {
            preload = Some((env.pointers.len(), var.to_vec()));
        }
        missing.retain(|m| m.to_bytes().split(|b| *b == b'=').next() != Some(name));
        env.pointers.push(p);
    }
    let mut strings = Vec::new();
    match preload {
        Some((_, var)) if var.windows(kept.library.len()).any(|w| w == kept.library) => {}
        Some((i, var)) => {
            let mut whole = b"LD_PRELOAD=".to_vec();
            whole.extend_from_slice(&kept.library);
            whole.push(b':');
            whole.extend_from_slice(&var[b"LD_PRELOAD=".len().min(var.len())..]);
            let s = CString::new(whole).ok()?;
            env.pointers[i] = s.as_ptr() as u64;
            strings.push(s);
        }
        None => env.pointers.push(kept.preload.as_ptr() as u64),
    }
    env.pointers.extend(missing.iter().map(|m| m.as_ptr() as u64));
    if let Some(handed) = handed {
        let handed = CString::new(handed).ok()?;
        env.pointers.push(handed.as_ptr() as u64);
        strings.push(handed);
    }
    env.pointers.push(0);
    env._strings = strings;
    Some(env)
}

/// Looks at the program that is about to be run, and does what it needs: takes the network from one that cannot be
/// served, or puts the loader in front of one that would run without the library; then answers the arguments, which
/// `a` refers to. `at` is the place of the environment among the arguments of the call.
fn admit(a: &mut Args, at: usize) -> Option<Vec<u64>> {
    if image::left_to_host() {
        return None;
    }
    let named = at == 2 || a[0] as i32 == libc::AT_FDCWD;
    let path = path(a, at)?;
    let why = match image::look(&path) {
        Verdict::Served => return None,
        // It runs the program inside itself, and the library with it.
        Verdict::Foreign(Foreign::Static) if has_variable(a[at], b"VALGRIND_LAUNCHER") => return None,
        Verdict::Foreign(why) => why,
        Verdict::Privileged => {
            let through =
                (named && a[at - 2] != 0).then(|| image::through_loader(a[at - 2], &pointers(a[at - 1])?)).flatten();
            if let Some((loader, argv)) = through {
                a[at - 2] = loader;
                a[at - 1] = argv.as_ptr() as u64;
                return Some(argv);
            }
            Foreign::Privileged
        }
    };
    image::without_network(&path, why);
    None
}

/// The name of the program in the arguments of `execve` or `execveat`.
fn path(a: &Args, at: usize) -> Option<CString> {
    let mut buf = [0u8; 4096];
    let n = mem::c_str(a[at - 2], &mut buf).ok()?;
    let name = &buf[..n];
    if at == 2 || a[0] as i32 == libc::AT_FDCWD || name.starts_with(b"/") {
        return CString::new(name).ok();
    }
    // Relative to a descriptor, or the descriptor itself.
    let mut whole = format!("/proc/self/fd/{}", a[0] as i32).into_bytes();
    if !name.is_empty() {
        whole.push(b'/');
        whole.extend_from_slice(name);
    }
    CString::new(whole).ok()
}

/// The pointers of a list that ends with a null one. `None` if it cannot be read.
pub(crate) fn pointers(list: u64) -> Option<Vec<u64>> {
    let mut all = Vec::new();
    if list == 0 {
        return Some(all);
    }
    loop {
        match mem::get::<u64>(list + 8 * all.len() as u64).ok()? {
            0 => return Some(all),
            p => all.push(p),
        }
    }
}

/// Is the variable in the environment?
fn has_variable(envp: u64, name: &[u8]) -> bool {
    let mut buf = [0u8; 4096];
    pointers(envp).unwrap_or_default().iter().any(|p| {
        let n = mem::c_str(*p, &mut buf).unwrap_or(buf.len());
        buf[..n].strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="))
    })
}

/// What a thread that only lends its memory may do (a child of `vfork`), and `execve` for all.
///
/// # Safety
/// As [`crate::route::dispatch`].
pub(crate) unsafe fn dispatch(t: &Thread, number: usize, a: &Args) -> Option<isize> {
    match number as i64 {
        libc::SYS_rt_sigaction => signal::sigaction(a),
        libc::SYS_execve | libc::SYS_execveat => {
            let at = if number as i64 == libc::SYS_execve { 2 } else { 3 };
            let mut args = *a;
            // A child that lends our memory cannot read the kernel's files.
            let staged = if t.spawning.get() { Ok(None) } else { program::stage(&mut args, at) };
            let staged = match staged {
                Ok(staged) => staged,
                Err(e) => return Some(-(e.0 as isize)),
            };
            // One that has not used its kernel leaves the next image to boot its own, which then calls directly.
            let fresh = !t.spawning.get() && executable(&args, at) && door::give_up();
            let passed = if fresh { None } else { tree::passed(t) };
            let env = Box::new(environment(a[at], passed.map(|p| tree::variable(p, cwd::of(t).as_deref())))?);
            args[at] = env.pointers.as_ptr() as u64;
            // Kept until the call is made.
            let _argv = admit(&mut args, at);
            let old = t.env.replace(Box::into_raw(env));
            if !old.is_null() {
                // SAFETY: it came from `Box::into_raw` here, for an `execve` that is over.
                drop(unsafe { Box::from_raw(old) });
            }
            let handed = passed.unwrap_or([-1; 2]);
            handed.iter().for_each(|fd| close_on_exec(*fd, false));
            // If the memory is lent, the lender goes on with it as it is when this has succeeded: as if outside.
            let depth = t.depth.replace(0);
            // SAFETY: the program's own call, with an environment of the same form.
            let ret = unsafe { sys::raw(number, &args) };
            t.depth.set(depth);
            handed.iter().for_each(|fd| close_on_exec(*fd, true));
            drop(staged);
            if fresh {
                door::boot_again();
            }
            Some(ret)
        }
        // The child closes what it does not want to hand down. What is ours it does not know of.
        libc::SYS_close if fds::get(a[0] as i32) == fds::state::PRIVATE => Some(-(Errno::EBADF.0 as isize)),
        libc::SYS_dup2 | libc::SYS_dup3 if fds::get(a[1] as i32) == fds::state::PRIVATE => {
            Some(-(Errno::EBADF.0 as isize))
        }
        libc::SYS_close_range => Some(crate::route::close_range(a[0] as u32, a[1] as u32, a[2], true)),
        _ => paths::dispatch_lent(t, number, a),
    }
}

/// Will the host find a program to execute?
fn executable(a: &Args, at: usize) -> bool {
    let Some(path) = path(a, at) else { return false };
    // SAFETY: a C string.
    unsafe { sys::host!(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::X_OK) }.is_ok()
}

fn close_on_exec(fd: i32, on: bool) {
    if fd >= 0 {
        // SAFETY: no pointers.
        let _set = unsafe { sys::host!(libc::SYS_fcntl, fd, libc::F_SETFD, i32::from(on)) };
    }
}
