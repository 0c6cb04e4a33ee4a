//! Whose file a path names.
//!
//! The kernel's are what lies below the places of disk images (`LKL_HIJACK_DISK`), the network's part of `/proc` and `/sys`, and
//! `/proc/sysrq-trigger`: the kernel that a program makes crash is the one that it runs on. A
//! path is judged after `.`, `..` and double slashes are taken out of it, without asking anybody; a relative one is put behind the
//! directory that it starts from. Symbolic links of the host are not followed for this; those of an image that lead out of
//! it are, once the kernel has said that there is no such file ([`leads_out`]).

use super::cwd;
use crate::door;
use crate::fds;
use crate::mem;
use crate::sys::{self, host};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use lkl_abi::nr;

/// A path as a C string: it ends with its only nul.
pub(crate) type Path = Vec<u8>;

/// Whose file it is, and how to name it there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The host's, as it is named.
    Host,
    /// The host's, by this absolute path: what it is named from is the kernel's.
    HostAt(Path),
    /// The kernel's, as it is named.
    Kernel,
    /// The kernel's, by this absolute path.
    KernelAt(Path),
}

/// The places of disk images, each as its components.
static PLACES: AtomicPtr<Vec<Vec<Vec<u8>>>> = AtomicPtr::new(null_mut());

/// Notes the places of disk images, absolute and without anything to be taken out. Called once, at the start.
pub(crate) fn set(places: impl Iterator<Item = String>) {
    let split = |p: String| p.split('/').skip(1).map(|c| c.as_bytes().to_vec()).collect();
    let all: Vec<Vec<Vec<u8>>> = places.map(split).collect();
    if !all.is_empty() {
        PLACES.store(Box::into_raw(Box::new(all)), Ordering::Release);
    }
}

/// What programs see as `/etc/resolv.conf`. Set once, never freed.
static RESOLV_CONF: AtomicPtr<Path> = AtomicPtr::new(null_mut());

/// From now on programs see `file` as `/etc/resolv.conf`. If `tried`, it must be one that can be read.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn see_as_resolv_conf(file: String, tried: bool) -> Result<(), String> {
    let mut path = file.clone().into_bytes();
    path.push(0);
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

fn resolv_conf() -> Option<&'static Path> {
    // SAFETY: set once, never freed.
    unsafe { RESOLV_CONF.load(Ordering::Acquire).as_ref() }
}

fn places() -> &'static [Vec<Vec<u8>>] {
    // SAFETY: set once, never freed.
    unsafe { PLACES.load(Ordering::Acquire).as_ref() }.map_or(&[], Vec::as_slice)
}

/// Are there disk images?
pub(crate) fn any() -> bool {
    !PLACES.load(Ordering::Acquire).is_null()
}

/// The components of a path, without `.` and `..`.
fn components(path: &[u8]) -> Vec<&[u8]> {
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
    parts
}

fn joined(parts: &[&[u8]]) -> Path {
    let mut out = Vec::new();
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out.push(0);
    out
}

/// Is it at or below the place of an image?
fn on_disk(parts: &[&[u8]]) -> bool {
    places().iter().any(|place| place.len() <= parts.len() && place.iter().zip(parts).all(|(a, b)| a == b))
}

/// Is it one of those in `/proc` or `/sys` that are the kernel's? The process's own number becomes `self`.
fn pseudo(parts: &mut [&[u8]]) -> bool {
    let own = || sys::getpid().to_string().into_bytes();
    match parts {
        // Local sockets are the host's.
        [b"proc", b"net", b"unix"] | [b"proc", _, b"net", b"unix"] => return false,
        [b"proc", b"net", ..] | [b"proc", b"sys", b"net", ..] | [b"proc", b"self", b"net", ..] => {}
        [b"proc", b"thread-self", b"net", ..] => parts[1] = b"self",
        [b"proc", who, b"net", ..] if *who == own().as_slice() => parts[1] = b"self",
        [b"proc", b"sysrq-trigger"] => {}
        [b"sys", b"class", b"net", ..] | [b"sys", b"devices", b"virtual", b"net", ..] => {}
        _ => return false,
    }
    true
}

/// Is it at or below the place of an image? With or without the nul at its end.
pub(crate) fn is_on_disk(path: &[u8]) -> bool {
    on_disk(&components(path.strip_suffix(b"\0").unwrap_or(path)))
}

/// The absolute path that `given` names from a directory: the one given, or the host's.
pub(crate) fn from(dir: Option<&[u8]>, given: &[u8]) -> Option<Path> {
    if given.starts_with(b"/") {
        return Some(joined(&components(given)));
    }
    let mut whole = match dir {
        Some(dir) => dir.to_vec(),
        None => cwd::host()?,
    };
    whole.push(b'/');
    whole.extend_from_slice(given);
    Some(joined(&components(&whole)))
}

/// Whose is an absolute path?
pub(crate) fn of_absolute(path: &[u8]) -> Whose {
    let mut parts = components(path);
    if on_disk(&parts) {
        return Whose::Kernel;
    }
    if pseudo(&mut parts) {
        return Whose::KernelAt(joined(&parts));
    }
    if parts == [b"etc".as_slice(), b"resolv.conf"] {
        return resolv_conf().map_or(Whose::Host, |file| Whose::HostAt(file.clone()));
    }
    by_descriptor(&parts).map_or(Whose::Host, Whose::KernelAt)
}

/// The descriptor that `/proc/self/fd/N`, `/dev/fd/N`, `/dev/stdin` and their like name, and what comes after it.
fn descriptor<'a, 'b>(parts: &'b [&'a [u8]]) -> Option<(i32, &'b [&'a [u8]])> {
    let own = || sys::getpid().to_string().into_bytes();
    let (number, rest) = match parts {
        [b"proc", b"self" | b"thread-self", b"fd", n, rest @ ..] | [b"dev", b"fd", n, rest @ ..] => (*n, rest),
        [b"proc", who, b"fd", n, rest @ ..] if *who == own().as_slice() => (*n, rest),
        [b"dev", b"stdin"] => (&b"0"[..], &[][..]),
        [b"dev", b"stdout"] => (&b"1"[..], &[][..]),
        [b"dev", b"stderr"] => (&b"2"[..], &[][..]),
        _ => return None,
    };
    Some((core::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// If the path at an address is such a name of a file of ours, and nothing comes after it: the link in the kernel's `/proc`, which leads to
/// the file itself, whatever its path is, and has it none.
pub(super) fn open_file(path: u64) -> Option<Path> {
    let mut start = [0u8; 2];
    for (i, b) in start.iter_mut().enumerate() {
        *b = mem::get(path.wrapping_add(i as u64)).ok()?;
    }
    if !matches!(&start, b"/p" | b"/d" | b"//" | b"/.") {
        return None;
    }
    let mut buf = [0u8; 4096];
    let n = mem::c_str(path, &mut buf).ok()?;
    let parts = components(&buf[..n]);
    let (fd, rest) = descriptor(&parts)?;
    rest.is_empty().then(|| format!("/proc/self/fd/{fd}\0").into_bytes())
}

/// The path of a file of ours that is named by its descriptor, if it has one.
fn by_descriptor(parts: &[&[u8]]) -> Option<Path> {
    let (fd, rest) = descriptor(parts)?;
    let mut path = fds::kernel(fd).then(|| door::path_of(fd)).flatten()?;
    for part in rest {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    path.push(0);
    Some(path)
}

/// The same, for a path that was put together from a directory and what comes after it.
fn of_joined(dir: &[u8], rest: &[u8], dir_is_ours: bool) -> Whose {
    let mut whole = dir.to_vec();
    whole.push(b'/');
    whole.extend_from_slice(rest);
    match of_absolute(&whole) {
        Whose::Kernel if dir_is_ours => Whose::Kernel,
        Whose::Kernel => Whose::KernelAt(joined(&components(&whole))),
        Whose::Host if dir_is_ours => {
            let mut path = joined(&components(&whole));
            if rest.ends_with(b"/") && path.len() > 2 {
                path.insert(path.len() - 1, b'/');
            }
            Whose::HostAt(path)
        }
        other => other,
    }
}

fn goes_up(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|c| c == b"..")
}

/// Can a path that starts with this component, in a directory of the host's, lead to what is ours?
fn may_lead_in(first: &[u8]) -> bool {
    matches!(
        first,
        b"etc"
            | b"resolv.conf"
            | b"proc"
            | b"sysrq-trigger"
            | b"sys"
            | b"net"
            | b"self"
            | b"thread-self"
            | b"class"
            | b"devices"
            | b"virtual"
            | b".."
    ) || places().iter().flatten().any(|c| c == first)
}

/// Whose file is it that `dirfd` and the path at the address `path` name?
pub(crate) fn of(dirfd: i32, path: u64) -> Whose {
    // No path at all, for calls that allow it (`utimensat`, `statx`), is the descriptor too.
    let head = if path == 0 { Ok(0) } else { mem::get::<u8>(path) };
    let Ok(head) = head else { return Whose::Host };
    if head == 0 {
        // The descriptor itself (`AT_EMPTY_PATH`), or `ENOENT`.
        return if fds::kernel(dirfd) || (dirfd == libc::AT_FDCWD && cwd::ours()) {
            Whose::Kernel
        } else {
            Whose::Host
        };
    }
    let disks = any();
    if head == b'/' && !disks {
        // Most paths are told from ours by a few bytes.
        let mut start = [0u8; 4];
        for (i, b) in start.iter_mut().enumerate() {
            match mem::get(path.wrapping_add(i as u64)) {
                Ok(0) | Err(_) => return Whose::Host,
                Ok(c) => *b = c,
            }
        }
        if !matches!(&start, b"/pro" | b"/sys" | b"/dev" | b"/etc" | [b'/', b'/' | b'.', ..]) {
            return Whose::Host;
        }
    }
    let mut buf = [0u8; 4096];
    let Ok(n) = mem::c_str(path, &mut buf) else { return Whose::Host };
    let given = &buf[..n];
    if head == b'/' {
        return of_absolute(given);
    }
    if dirfd == libc::AT_FDCWD && cwd::ours() {
        return if goes_up(given) { of_joined(&cwd::path(), given, true) } else { Whose::Kernel };
    }
    if fds::kernel(dirfd) {
        let Some(dir) = door::path_of(dirfd) else { return Whose::Kernel };
        let parts = components(&dir);
        return if on_disk(&parts) && !goes_up(given) { Whose::Kernel } else { of_joined(&dir, given, true) };
    }
    let first = given.split(|b| *b == b'/').find(|c| !matches!(*c, b"" | b".")).unwrap_or_default();
    if !may_lead_in(first) {
        return Whose::Host;
    }
    match host_directory(dirfd) {
        Some(dir) => of_joined(&dir, given, false),
        None => Whose::Host,
    }
}

/// The path of a directory of the host's.
fn host_directory(dirfd: i32) -> Option<Vec<u8>> {
    if dirfd == libc::AT_FDCWD {
        return cwd::host();
    }
    path_of_host(dirfd)
}

/// The path of what is open at a descriptor of the host's.
pub(super) fn path_of_host(fd: i32) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{fd}\0");
    let mut buf = vec![0u8; 4096];
    // SAFETY: a C string, and room of this size.
    let n = unsafe { host!(libc::SYS_readlinkat, libc::AT_FDCWD, link.as_ptr(), buf.as_mut_ptr(), buf.len()) }.ok()?;
    buf.truncate(n as usize);
    buf.starts_with(b"/").then_some(buf)
}

/// Symbolic links that are followed in one path (`man 7 path_resolution`).
const LINKS_MAX: usize = 40;

/// Where a path that is on a disk image really leads, if a symbolic link on it leads out of every image: the host's
/// path, or the kernel's in `/proc` and `/sys`. With `follow`, also the last component may be that link.
pub(crate) fn leads_out(dirfd: i32, path: u64, follow: bool) -> Option<Whose> {
    let mut buf = [0u8; 4096];
    let n = mem::c_str(path, &mut buf).ok()?;
    let given = &buf[..n];
    let mut todo: Vec<Vec<u8>> = given.rsplit(|b| *b == b'/').map(<[u8]>::to_vec).collect();
    let mut done: Vec<Vec<u8>> = Vec::new();
    if !given.starts_with(b"/") {
        let dir = if dirfd == libc::AT_FDCWD { cwd::path() } else { door::path_of(dirfd)? };
        done = components(&dir).into_iter().map(<[u8]>::to_vec).collect();
    }
    let mut links = 0;
    while let Some(next) = todo.pop() {
        match next.as_slice() {
            b"" | b"." => continue,
            b".." => {
                done.pop();
                continue;
            }
            _ => done.push(next),
        }
        let parts: Vec<&[u8]> = done.iter().map(Vec::as_slice).collect();
        let last = todo.iter().all(|c| c.is_empty());
        if !on_disk(&parts) || (last && !follow) {
            continue;
        }
        let Some(target) = read_link(&joined(&parts)) else { continue };
        links += 1;
        if links > LINKS_MAX {
            return None;
        }
        done.pop();
        if target.starts_with(b"/") {
            done.clear();
        }
        todo.extend(target.rsplit(|b| *b == b'/').map(<[u8]>::to_vec));
    }
    let parts: Vec<&[u8]> = done.iter().map(Vec::as_slice).collect();
    let path = joined(&parts);
    match of_absolute(&path[..path.len() - 1]) {
        Whose::Host => Some(Whose::HostAt(path)),
        Whose::KernelAt(path) => Some(Whose::KernelAt(path)),
        Whose::Kernel | Whose::HostAt(_) => None,
    }
}

/// Where a symbolic link of the kernel's leads; `None` if it is none.
fn read_link(path: &Path) -> Option<Vec<u8>> {
    let mut buf = vec![0u8; 4096];
    let args = [libc::AT_FDCWD as i64 as u64, path.as_ptr() as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0];
    let n = door::call(nr::READLINKAT, args);
    if n < 0 {
        return None;
    }
    buf.truncate(n as usize);
    Some(buf)
}

#[cfg(test)]
mod tests;
