//! Calls that name a file: `/etc/resolv.conf` is another file if the user wants it so (`LKL_HIJACK_RESOLV_CONF`), and
//! those below `/proc/net`, `/proc/sys/net` and `/sys/class/net` are the kernel's.
//!
//! A file of the kernel's is opened there and stays there: its descriptor is a kernel file like any other, so it is read
//! afresh after `lseek`, written (`/proc/sys`), has size 0 and cannot be mapped, all as on Linux. stdio reaches it
//! because libc's own calls are trapped ([`crate::trap`]). Where that net is not there, `fopen` is given a copy of
//! the text in a memory file of the host's instead ([`copy`]).

use crate::door;
use crate::fds;
use crate::mem;
use crate::route;
use crate::sys::{self, host, Args};
use core::sync::atomic::{AtomicPtr, Ordering};
use lkl_abi::{nr, Errno};
use std::ffi::CString;

/// What programs see as `/etc/resolv.conf`. Set once, never freed.
static RESOLV_CONF: AtomicPtr<CString> = AtomicPtr::new(core::ptr::null_mut());

/// From now on programs see `file` as `/etc/resolv.conf`. If `tried`, it must be one that can be read.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn see_as_resolv_conf(file: String, tried: bool) -> Result<(), String> {
    let path = CString::new(file.clone()).map_err(|e| e.to_string())?;
    if tried {
        // SAFETY: a C string.
        match unsafe { host!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) } {
            Ok(fd) => sys::close(fd as i32),
            Err(e) => {
                let problem = format!("expected a file that can be read: {e}");
                return Err(lkl_host::config::ConfigError::new("RESOLV_CONF", file, problem).line());
            }
        }
    }
    RESOLV_CONF.store(Box::into_raw(Box::new(path)), Ordering::Release);
    Ok(())
}

/// The file that is meant, if `dirfd` and `path` (an address) name `/etc/resolv.conf` and that is to be another one.
fn instead(dirfd: i32, path: u64) -> Option<u64> {
    const NAME: &[u8] = b"resolv.conf";
    // SAFETY: set once, never freed.
    let file = unsafe { RESOLV_CONF.load(Ordering::Acquire).as_ref() }?;
    let mut buf = [0u8; 4096];
    let n = mem::c_str(path, &mut buf).ok()?;
    let given = &buf[..n];
    if !given.ends_with(NAME) {
        return None;
    }
    let mut whole = Vec::new();
    if given[0] != b'/' {
        let link = match dirfd {
            libc::AT_FDCWD => "/proc/self/cwd\0".to_owned(),
            fd => format!("/proc/self/fd/{fd}\0"),
        };
        let mut dir = [0u8; 4096];
        // SAFETY: a C string, and room of this length.
        let n = unsafe { host!(libc::SYS_readlink, link.as_ptr(), dir.as_mut_ptr(), dir.len()) }.ok()? as usize;
        whole.extend_from_slice(&dir[..n]);
        whole.push(b'/');
    }
    whole.extend_from_slice(given);
    let parts = whole.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.eq([b"etc".as_slice(), NAME]).then_some(file.as_ptr() as u64)
}

/// A call of the host's on the file that is meant instead.
fn at_host(number: i64, file: u64, rest: [u64; 3]) -> isize {
    let here = libc::AT_FDCWD as i64 as u64;
    // SAFETY: the path is a C string; the other arguments are the program's own, in the place where the call has them.
    unsafe { sys::raw(number as usize, &[here, file, rest[0], rest[1], rest[2], 0]) }
}

const AT_EMPTY_PATH: u64 = 0x1000;

fn errno(e: Errno) -> isize {
    -(e.0 as isize)
}

/// A path of ours, as a C string.
pub(crate) type Path = Vec<u8>;

/// Is the absolute path one of the kernel's? Answers it with the process's own number as `self`.
fn ours(path: &[u8]) -> Option<Path> {
    if !(path.starts_with(b"/proc/") || path.starts_with(b"/sys/")) {
        return None;
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let own = || sys::getpid().to_string().into_bytes();
    match parts.as_slice() {
        // Local sockets are the host's.
        [b"proc", b"net", b"unix"] | [b"proc", _, b"net", b"unix"] => return None,
        [b"proc", b"net", ..] | [b"proc", b"sys", b"net", ..] => {}
        [b"proc", b"self", b"net", ..] => {}
        [b"proc", b"thread-self", b"net", ..] => parts[1] = b"self",
        [b"proc", who, b"net", ..] if *who == own().as_slice() => parts[1] = b"self",
        [b"sys", b"class", b"net", ..] | [b"sys", b"devices", b"virtual", b"net", ..] => {}
        _ => return None,
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    out.push(0);
    Some(out)
}

/// The path that `dirfd` and `path` (an address) name, if it is the kernel's.
fn named(dirfd: i32, path: u64) -> Option<Path> {
    // Most paths are told from ours by a few bytes.
    let head = mem::get::<u8>(path).ok()?;
    if head != b'/' && !fds::kernel(dirfd) {
        return None;
    }
    let mut buf = [0u8; 4096];
    if head == b'/' {
        let mut start = [0u8; 4];
        for (i, b) in start.iter_mut().enumerate() {
            *b = mem::get(path.wrapping_add(i as u64)).ok()?;
            if *b == 0 {
                return None;
            }
        }
        if !start[1..].starts_with(b"pro") && !start[1..].starts_with(b"sys") {
            return None;
        }
    }
    let n = mem::c_str(path, &mut buf).ok()?;
    let given = &buf[..n];
    if head == b'/' {
        return ours(given);
    }
    let mut whole = door::path_of(dirfd)?;
    whole.push(b'/');
    whole.extend_from_slice(given);
    ours(&whole)
}

fn kernel_open(path: &Path, flags: u64) -> isize {
    door::call(nr::OPENAT, [libc::AT_FDCWD as i64 as u64, path.as_ptr() as u64, flags, 0, 0, 0])
}

fn kernel_close(fd: isize) {
    door::call(nr::CLOSE, [fd as u64, 0, 0, 0, 0, 0]);
}

/// Opens it only to ask `f`.
fn with_open(path: &Path, f: impl FnOnce(i32) -> isize) -> isize {
    let fd = kernel_open(path, libc::O_CLOEXEC as u64);
    // What may only be written can be asked for all the same.
    let fd = if fd == errno(Errno::EACCES) { kernel_open(path, (libc::O_CLOEXEC | libc::O_WRONLY) as u64) } else { fd };
    if fd < 0 {
        return fd;
    }
    let ret = f(fd as i32);
    kernel_close(fd);
    ret
}

/// `openat`
pub(crate) fn open(dirfd: i32, path: u64, flags: u64, mode: u64) -> Option<isize> {
    if let Some(file) = instead(dirfd, path) {
        return Some(at_host(libc::SYS_openat, file, [flags, mode, 0]));
    }
    named(dirfd, path).map(|p| kernel_open(&p, flags))
}

/// `openat2`
pub(crate) fn openat2(a: &Args) -> Option<isize> {
    if let Some(file) = instead(a[0] as i32, a[1]) {
        return Some(at_host(libc::SYS_openat2, file, [a[2], a[3], 0]));
    }
    let p = named(a[0] as i32, a[1])?;
    Some(mem::get::<u64>(a[2]).map_or_else(errno, |flags| kernel_open(&p, flags)))
}

fn is_empty(path: u64) -> bool {
    mem::get::<u8>(path) == Ok(0)
}

/// `stat`, `lstat`, `fstatat`
pub(crate) fn stat(dirfd: i32, path: u64, to: u64, flags: u64) -> Option<isize> {
    if flags & AT_EMPTY_PATH != 0 && fds::ours(dirfd) && is_empty(path) {
        return Some(if fds::kernel(dirfd) { route::fstat(dirfd, to) } else { errno(Errno::EIO) });
    }
    if let Some(file) = instead(dirfd, path) {
        return Some(at_host(libc::SYS_newfstatat, file, [to, flags & !AT_EMPTY_PATH, 0]));
    }
    named(dirfd, path).map(|p| with_open(&p, |fd| route::fstat(fd, to)))
}

/// `statx`
pub(crate) fn statx(a: &Args) -> Option<isize> {
    let dirfd = a[0] as i32;
    if a[2] & AT_EMPTY_PATH != 0 && fds::ours(dirfd) && (a[1] == 0 || is_empty(a[1])) {
        return Some(door::call(nr::STATX, *a));
    }
    if let Some(file) = instead(dirfd, a[1]) {
        return Some(at_host(libc::SYS_statx, file, [a[2], a[3], a[4]]));
    }
    named(dirfd, a[1]).map(|p| {
        with_open(&p, |fd| {
            let empty = 0u8;
            door::call(nr::STATX, [fd as u64, &raw const empty as u64, a[2] | AT_EMPTY_PATH, a[3], a[4], 0])
        })
    })
}

/// `access`, `faccessat`
pub(crate) fn access(dirfd: i32, path: u64, mode: u64) -> Option<isize> {
    if let Some(file) = instead(dirfd, path) {
        return Some(at_host(libc::SYS_faccessat, file, [mode, 0, 0]));
    }
    let p = named(dirfd, path)?;
    Some(if mode & libc::W_OK as u64 != 0 {
        let fd = kernel_open(&p, (libc::O_WRONLY | libc::O_CLOEXEC) as u64);
        if fd >= 0 {
            kernel_close(fd);
        }
        fd.min(0)
    } else {
        with_open(&p, |_| if mode & libc::X_OK as u64 != 0 { errno(Errno::EACCES) } else { 0 })
    })
}

/// `readlink`: the kernel has no symbolic links, and `/etc/resolv.conf` is a file if it is another one.
pub(crate) fn readlink(dirfd: i32, path: u64, _to: u64, _len: u64) -> Option<isize> {
    if instead(dirfd, path).is_some() {
        return Some(errno(Errno::EINVAL));
    }
    named(dirfd, path).map(|p| with_open(&p, |_| errno(Errno::EINVAL)))
}

/// The text of one of our files in a memory file of the host's, for a libc whose calls are not trapped. `None` if the path
/// is not ours.
pub(crate) fn copy(path: u64) -> Option<Result<i32, i32>> {
    if let Some(file) = instead(libc::AT_FDCWD, path) {
        let fd = at_host(libc::SYS_openat, file, [libc::O_CLOEXEC as u64, 0, 0]) as i32;
        return Some(if fd < 0 { Err(-fd) } else { Ok(fd) });
    }
    let p = named(libc::AT_FDCWD, path)?;
    let fd = kernel_open(&p, libc::O_CLOEXEC as u64);
    if fd < 0 {
        return Some(Err(-fd as i32));
    }
    // SAFETY: a C string.
    let to = match unsafe { host!(libc::SYS_memfd_create, c"net".as_ptr(), libc::MFD_CLOEXEC) } {
        Ok(to) => to as i32,
        Err(e) => {
            kernel_close(fd);
            return Some(Err(e.0));
        }
    };
    let mut buf = vec![0u8; 65536];
    loop {
        let n = door::call(nr::READ, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0]);
        if n <= 0 {
            break;
        }
        // SAFETY: `n` bytes were read into the buffer.
        let _written = unsafe { host!(libc::SYS_write, to, buf.as_ptr(), n) };
    }
    kernel_close(fd);
    // SAFETY: no pointers.
    let _start = unsafe { host!(libc::SYS_lseek, to, 0i64, libc::SEEK_SET) };
    Some(Ok(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_paths_are_ours() {
        let is = |p: &str| ours(p.as_bytes()).map(|v| String::from_utf8(v).unwrap());
        assert_eq!(is("/proc/net/dev").as_deref(), Some("/proc/net/dev\0"));
        assert_eq!(is("/proc//self/./net/tcp").as_deref(), Some("/proc/self/net/tcp\0"));
        assert_eq!(is("/proc/thread-self/net").as_deref(), Some("/proc/self/net\0"));
        assert_eq!(is(&format!("/proc/{}/net/udp", sys::getpid())).as_deref(), Some("/proc/self/net/udp\0"));
        assert_eq!(is("/proc/sys/net/ipv4/ip_forward").as_deref(), Some("/proc/sys/net/ipv4/ip_forward\0"));
        assert_eq!(is("/sys/class/net").as_deref(), Some("/sys/class/net\0"));
        for host in
            ["/proc/net/unix", "/proc/1/net/tcp", "/proc/net/../stat", "/proc/netx", "/etc/hosts", "/sys/class/tty"]
        {
            assert_eq!(is(host), None, "{host}");
        }
    }
}
