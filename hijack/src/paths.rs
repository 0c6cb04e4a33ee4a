//! Calls that name files: those of disk images (`LKL_HIJACK_DISK`), and those below `/proc/net`, `/proc/sys/net` and
//! `/sys/class/net`, are the kernel's; `/etc/resolv.conf` is another file if the user wants it so (`LKL_HIJACK_RESOLV_CONF`).
//!
//! Whose a file is says [`place`]; which calls there are, [`calls`]; [`cwd`] is the working directory. Such a file is opened in
//! the kernel and stays there: its descriptor is a kernel file like any other. stdio reaches it because libc's own calls
//! are trapped ([`crate::trap`]). Where that net is not there, `fopen` is given a copy of the text in a memory
//! file of the host's instead ([`copy`]). What cannot be the kernel's own is made of copies: programs ([`program`]), maps
//! ([`mapped`]) and the tables of mounts ([`mounts`]).

pub(crate) mod calls;
pub(crate) mod cwd;
pub(crate) mod ids;
pub(crate) mod mapped;
mod mounts;
pub(crate) mod place;
pub(crate) mod program;
pub(crate) mod spawn;
mod watch;

use crate::door;
use crate::fds;
use crate::mem;
use crate::sys::{self, host, Args};
use crate::thread::Thread;
use crate::xlate;
use calls::{Call, NO};
use core::sync::atomic::{AtomicBool, Ordering};
use lkl_abi::{nr, Errno};
use lkl_ops::UserMem;
use place::{Path, Whose};

const CWD: u64 = libc::AT_FDCWD as i64 as u64;

fn errno(e: Errno) -> isize {
    -(e.0 as isize)
}

/// Answers a call that names files, if they are ours.
///
/// # Safety
/// As [`crate::route::dispatch`].
pub(crate) unsafe fn dispatch(number: usize, a: &Args) -> Option<isize> {
    match number as i64 {
        libc::SYS_chdir => {
            let ours = place::any() || cwd::ours();
            // SAFETY: by the caller's contract.
            ours.then(|| unsafe { chdir(a) })
        }
        libc::SYS_fchdir => {
            // SAFETY: no pointers.
            let ret = unsafe { sys::raw(number, a) };
            if ret == 0 {
                cwd::is_hosts();
            }
            Some(ret)
        }
        libc::SYS_getcwd => cwd::getcwd(a),
        libc::SYS_umask => {
            UMASK_TOLD.store(false, Ordering::Relaxed);
            None
        }
        libc::SYS_inotify_add_watch => watch::add(a),
        libc::SYS_open_by_handle_at => {
            let on = a[0] as i32;
            let ours = fds::kernel(on) || on == libc::AT_FDCWD && cwd::ours();
            ours.then(|| door::call(nr::OPEN_BY_HANDLE_AT, *a))
        }
        // SAFETY: by the caller's contract.
        n if ids::CALLS.contains(&n) => unsafe { ids::call(number, a) },
        // SAFETY: by the caller's contract.
        _ => unsafe { named(calls::find(number)?, a) },
    }
}

/// A call of the table.
///
/// # Safety
/// As [`dispatch`].
unsafe fn named(call: &Call, a: &Args) -> Option<isize> {
    if call.number == libc::SYS_openat2 && stays_below(a) {
        return Some(in_kernel(call, a));
    }
    let mut args = *a;
    let mut kept: [Option<Path>; 2] = [None, None];
    let (mut hosts, mut kernels, mut moved) = (0, 0, false);
    for (slot, (dir, path)) in kept.iter_mut().zip(call.paths) {
        match place::of(directory(*dir, a), a[usize::from(*path)]) {
            Whose::Host => hosts += 1,
            Whose::Kernel => kernels += 1,
            Whose::HostAt(p) => {
                (hosts, moved) = (hosts + 1, true);
                put(&mut args, *dir, *path, slot.insert(p));
            }
            Whose::KernelAt(p) => {
                kernels += 1;
                put(&mut args, *dir, *path, slot.insert(place::open_file(a[usize::from(*path)]).unwrap_or(p)));
            }
        }
    }
    if hosts > 0 && kernels > 0 {
        return Some(errno(Errno::EXDEV));
    }
    if kernels == 0 {
        if mounts::may_open(call.number, &args) {
            // SAFETY: by the caller's contract.
            return Some(unsafe { mounts::open_table(call.number, &args) });
        }
        // SAFETY: the program's own call, with other names for the same files.
        return moved.then(|| unsafe { sys::raw(call.number as usize, &args) });
    }
    let ret = in_kernel(call, &args);
    // SAFETY: by the caller's contract.
    Some(unsafe { elsewhere(call, &args, ret) }.unwrap_or(ret))
}

/// Is this `openat2` to find its file below a directory of ours, whatever the path looks like (`RESOLVE_BENEATH`, `RESOLVE_IN_ROOT`)?
fn stays_below(a: &Args) -> bool {
    const BELOW: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT;
    const RESOLVE: u64 = 16;
    let dir = a[0] as i32;
    let ours = fds::kernel(dir) || dir == libc::AT_FDCWD && cwd::ours();
    ours && a[3] >= RESOLVE + 8 && mem::get::<u64>(a[2].wrapping_add(RESOLVE)).is_ok_and(|resolve| resolve & BELOW != 0)
}

fn directory(dir: u8, a: &Args) -> i32 {
    if dir == NO {
        libc::AT_FDCWD
    } else {
        a[usize::from(dir)] as i32
    }
}

/// Puts an absolute path in the place of one.
fn put(args: &mut Args, dir: u8, path: u8, to: &Path) {
    if dir != NO {
        args[usize::from(dir)] = CWD;
    }
    args[usize::from(path)] = to.as_ptr() as u64;
}

/// The kernel has found nothing: a symbolic link of an image may lead out of it, to the host. Answers what the call gives there.
///
/// # Safety
/// As [`dispatch`].
#[cold]
unsafe fn elsewhere(call: &Call, a: &Args, ret: isize) -> Option<isize> {
    let nothing = [Errno::ENOENT, Errno::ENOTDIR, Errno::EROFS, Errno::EXDEV].map(errno).contains(&ret);
    if !nothing || !place::any() {
        return None;
    }
    let mut args = *a;
    let mut kept: [Option<Path>; 2] = [None, None];
    let mut to_host = None;
    for (slot, (dir, path)) in kept.iter_mut().zip(call.paths) {
        let leads = place::leads_out(directory(*dir, a), a[usize::from(*path)], call.last.followed(a))?;
        let (p, host) = match leads {
            Whose::HostAt(p) => (p, true),
            Whose::KernelAt(p) => (p, false),
            Whose::Host | Whose::Kernel => return None,
        };
        if to_host.is_some_and(|h| h != host) {
            return None;
        }
        to_host = Some(host);
        put(&mut args, *dir, *path, slot.insert(p));
    }
    if to_host? {
        // SAFETY: the program's own call, with other names for the same files.
        return Some(unsafe { sys::raw(call.number as usize, &args) });
    }
    Some(in_kernel(call, &args))
}

/// The call, made in the kernel.
fn in_kernel(call: &Call, a: &Args) -> isize {
    let (number, args) = (call.generic)(a);
    match number {
        nr::FSTATAT => {
            let mut generic = [0u8; xlate::STAT_SIZE];
            let ret = door::call(number, [args[0], args[1], generic.as_mut_ptr() as u64, args[3], 0, 0]);
            if ret < 0 {
                return ret;
            }
            sys::uncheck(mem::Own.write(args[2], &xlate::stat(&generic)).map(|()| 0))
        }
        nr::STATX => {
            let ret = door::call(number, args);
            if ret == 0 {
                xlate::mark_statx(args[4]);
            }
            ret
        }
        nr::NAME_TO_HANDLE_AT => {
            let ret = door::call(number, args);
            if ret == 0 || ret == errno(Errno::EOVERFLOW) {
                xlate::mark_mount(args[3]);
            }
            ret
        }
        nr::UTIMENSAT if call.number != libc::SYS_utimensat => match times(call.number, args[2]) {
            Ok(None) => door::call(number, [args[0], args[1], 0, 0, 0, 0]),
            Ok(Some(times)) => door::call(number, [args[0], args[1], times.as_ptr() as u64, 0, 0, 0]),
            Err(e) => errno(e),
        },
        nr::OPENAT | nr::OPENAT2 | nr::MKDIRAT | nr::MKNODAT => {
            tell_umask();
            door::call(number, args)
        }
        _ => door::call(number, args),
    }
}

/// The times that an older call gives, as `utimensat` has them.
fn times(number: i64, at: u64) -> Result<Option<[u64; 4]>, Errno> {
    if at == 0 {
        return Ok(None);
    }
    if number == libc::SYS_utime {
        let [access, change] = mem::get::<[u64; 2]>(at)?;
        return Ok(Some([access, 0, change, 0]));
    }
    let t = mem::get::<[u64; 4]>(at)?;
    if t[1] >= 1_000_000 || t[3] >= 1_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok(Some([t[0], t[1] * 1000, t[2], t[3] * 1000]))
}

/// The kernel knows the process's `umask`.
static UMASK_TOLD: AtomicBool = AtomicBool::new(false);

/// After a fork, in the child.
pub(crate) fn forked() {
    UMASK_TOLD.store(false, Ordering::Relaxed);
}

/// Tells the kernel, before files are made, what the host knows.
fn tell_umask() {
    if !place::any() || UMASK_TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(mask) = hosts_umask() {
        door::call(nr::UMASK, [mask, 0, 0, 0, 0, 0]);
    }
}

/// What `/proc/self/status` says: to ask by `umask` is to change it.
fn hosts_umask() -> Option<u64> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: a C string.
    let fd = unsafe { host!(libc::SYS_openat, libc::AT_FDCWD, c"/proc/self/status".as_ptr(), flags) }.ok()? as i32;
    let mut buf = [0u8; 512];
    // SAFETY: room of this size.
    let n = unsafe { host!(libc::SYS_read, fd, buf.as_mut_ptr(), buf.len()) };
    sys::close(fd);
    let text = core::str::from_utf8(buf.get(..n.ok()? as usize)?).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Umask:"))?;
    u64::from_str_radix(line.trim(), 8).ok()
}

/// `chdir`, where there are images.
///
/// # Safety
/// As [`dispatch`].
unsafe fn chdir(a: &Args) -> isize {
    let host = |path: u64| {
        // SAFETY: the program's own call, or with another name for the same directory.
        let ret = unsafe { sys::raw(libc::SYS_chdir as usize, &[path, 0, 0, 0, 0, 0]) };
        if ret == 0 {
            cwd::is_hosts();
        }
        ret
    };
    let kernel = |path: u64| {
        let ret = door::call(nr::CHDIR, [path, 0, 0, 0, 0, 0]);
        if ret == 0 {
            cwd::is_kernels();
        }
        ret
    };
    match place::of(libc::AT_FDCWD, a[0]) {
        Whose::Host => host(a[0]),
        Whose::HostAt(path) => host(path.as_ptr() as u64),
        // Not the network's: a program in there would not find the rest of `/proc` next to it.
        Whose::KernelAt(path) if !place::is_on_disk(&path) => host(a[0]),
        Whose::Kernel | Whose::KernelAt(_) => {
            let path = match place::of(libc::AT_FDCWD, a[0]) {
                Whose::KernelAt(path) => Some(path),
                _ => None,
            };
            let at = path.as_ref().map_or(a[0], |p| p.as_ptr() as u64);
            let ret = kernel(at);
            match (ret == errno(Errno::ENOENT)).then(|| place::leads_out(libc::AT_FDCWD, at, true)).flatten() {
                Some(Whose::HostAt(path)) => host(path.as_ptr() as u64),
                _ => ret,
            }
        }
    }
}

/// `fchdir` to one of our directories.
pub(crate) fn fchdir(fd: i32) -> isize {
    let ret = door::call(nr::FCHDIR, [fd as u64, 0, 0, 0, 0, 0]);
    if ret == 0 {
        cwd::is_kernels();
    }
    ret
}

/// The same calls by a child to which this thread lends its memory (`vfork`, `posix_spawn`), whose descriptors and directory are
/// its own: it may go to another directory; files of ours are not opened for it.
pub(crate) fn dispatch_lent(t: &Thread, number: usize, a: &Args) -> Option<isize> {
    if !place::any() {
        return None;
    }
    match number as i64 {
        libc::SYS_chdir => {
            let mut buf = [0u8; 4096];
            let n = mem::c_str(a[0], &mut buf).ok()?;
            let path = place::from(cwd::of(t).as_deref(), &buf[..n]);
            let Some(path) = path.filter(|p| place::is_on_disk(p)) else {
                cwd::child_goes(t, Vec::new());
                return None;
            };
            let ret = program::is_directory(&path);
            if ret == 0 {
                cwd::child_goes(t, path[..path.len() - 1].to_vec());
            }
            Some(ret)
        }
        libc::SYS_open | libc::SYS_openat => {
            let (dir, path) =
                if number as i64 == libc::SYS_open { (libc::AT_FDCWD, a[0]) } else { (a[0] as i32, a[1]) };
            match place::of(dir, path) {
                Whose::Kernel | Whose::KernelAt(_) => Some(errno(Errno::EOPNOTSUPP)),
                Whose::Host | Whose::HostAt(_) => None,
            }
        }
        _ => None,
    }
}

/// Opens a file of ours by its path.
fn open(path: &Path, flags: i32) -> isize {
    door::call(nr::OPENAT, [CWD, path.as_ptr() as u64, (flags | libc::O_CLOEXEC) as u64, 0, 0, 0])
}

pub(crate) fn close(fd: isize) {
    door::call(nr::CLOSE, [fd as u64, 0, 0, 0, 0, 0]);
}

/// A copy of what is in a file of ours, from where it is read, in a memory file of the host's.
///
/// # Errors
/// As `memfd_create`, `read` and `write`.
pub(crate) fn copied(fd: isize) -> Result<i32, Errno> {
    // SAFETY: a C string.
    let to = unsafe { host!(libc::SYS_memfd_create, c"file".as_ptr(), libc::MFD_CLOEXEC) }? as i32;
    let mut buf = vec![0u8; 1 << 16];
    loop {
        let n = door::call(nr::READ, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0]);
        let moved = match sys::check(n) {
            Ok(0) => return Ok(to),
            // SAFETY: `n` bytes were read into the buffer.
            Ok(n) => unsafe { host!(libc::SYS_write, to, buf.as_ptr(), n) },
            Err(e) => Err(e),
        };
        if let Err(e) = moved {
            sys::close(to);
            return Err(e);
        }
    }
}

/// The text of one of our files in a memory file of the host's, for a libc whose calls are not trapped. `None` if the path
/// is not ours.
pub(crate) fn copy(path: u64) -> Option<Result<i32, i32>> {
    let kept;
    let at = match place::of(libc::AT_FDCWD, path) {
        Whose::Host => {
            let args = [path, (libc::O_RDONLY | libc::O_CLOEXEC) as u64, 0, 0, 0, 0];
            if !mounts::may_open(libc::SYS_open, &args) {
                return None;
            }
            // SAFETY: the path that the program gives, to be read only.
            let fd = unsafe { mounts::open_table(libc::SYS_open, &args) };
            return Some(sys::check(fd).map(|fd| fd as i32).map_err(|e| e.0));
        }
        Whose::HostAt(p) => {
            // SAFETY: a C string.
            let fd = unsafe { host!(libc::SYS_openat, libc::AT_FDCWD, p.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
            return Some(fd.map(|fd| fd as i32).map_err(|e| e.0));
        }
        Whose::Kernel => path,
        Whose::KernelAt(p) => {
            kept = p;
            kept.as_ptr() as u64
        }
    };
    let fd = door::call(nr::OPENAT, [CWD, at, libc::O_CLOEXEC as u64, 0, 0, 0]);
    if fd < 0 {
        return Some(Err(-fd as i32));
    }
    let to = copied(fd);
    close(fd);
    if let Ok(to) = to {
        // SAFETY: no pointers.
        let _start = unsafe { host!(libc::SYS_lseek, to, 0i64, libc::SEEK_SET) };
    }
    Some(to.map_err(|e| e.0))
}
