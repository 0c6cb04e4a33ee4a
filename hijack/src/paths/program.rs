//! Programs on disk images: the host executes a copy in memory, or the interpreter that a script names.

use super::open;
use super::place::{self, Path, Whose};
pub(crate) use super::{close, copied};
use crate::door;
use crate::mem;
use crate::sys::{self, Args};
use crate::xlate;
use lkl_abi::{nr, Errno};
use std::ffi::CString;

/// Interpreters of interpreters that Linux allows.
const DEPTH_MAX: u32 = 4;
/// Bytes of the first line of a script that count (`BINPRM_BUF_SIZE`).
const LINE_MAX: usize = 256;
const CWD: u64 = libc::AT_FDCWD as i64 as u64;
/// Regular files, among the types of a mode.
const REGULAR: u32 = libc::S_IFREG;

/// What an `execve` of a program of ours refers to, until it is made.
#[derive(Default)]
pub(crate) struct Staged {
    copy: Option<i32>,
    _path: CString,
    argv: Vec<u64>,
    strings: Vec<CString>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(fd) = self.copy {
            sys::close(fd);
        }
    }
}

/// If the program is ours, changes the arguments of `execve` or `execveat`, whose environment is at `at`, so that the host can
/// execute it. What they refer to then is in the answer.
///
/// # Errors
/// `EACCES`, `ENOENT`, ... as `execve`; `ELOOP` for too many interpreters.
pub(crate) fn stage(a: &mut Args, at: usize) -> Result<Option<Staged>, Errno> {
    if !place::any() {
        return Ok(None);
    }
    let dir = if at == 2 { libc::AT_FDCWD } else { a[0] as i32 };
    let Some(mut path) = ours(dir, a[at - 2])? else { return Ok(None) };
    let mut staged = Staged::default();
    // What the kernel of a script's program is told: the script by the name that it was called by.
    let mut called = read_name(a[at - 2])?;
    for _ in 0..=DEPTH_MAX {
        let fd = match executable(&path) {
            Ok(fd) => fd,
            Err(e) => {
                let host = led_out(&path).ok_or(e)?;
                point(a, at, host.as_ptr() as u64);
                staged.strings.push(host);
                return Ok(Some(staged));
            }
        };
        let line = first_line(fd);
        if line.first().is_none_or(|b| *b != b'#') {
            let copy = copied(fd);
            close(fd);
            let copy = copy?;
            staged.copy = Some(copy);
            staged._path = CString::new(format!("/proc/self/fd/{copy}")).unwrap_or_default();
            point(a, at, staged._path.as_ptr() as u64);
            return Ok(Some(staged));
        }
        close(fd);
        let interpreter = staged.through(a, at, &line, &called)?;
        match ours(libc::AT_FDCWD, interpreter.as_ptr() as u64)? {
            Some(its) => {
                called = interpreter;
                path = its;
            }
            None => {
                point(a, at, interpreter.as_ptr() as u64);
                staged.strings.push(interpreter);
                return Ok(Some(staged));
            }
        }
    }
    Err(Errno::ELOOP)
}

/// Is it a name that is looked for in `PATH`?
pub(crate) fn is_bare(name: u64) -> bool {
    read_name(name).is_ok_and(|n| !n.as_bytes().contains(&b'/'))
}

/// The program that a name without a slash means, if the first of that name in `PATH` is on an image.
pub(crate) fn search(name: u64) -> Option<CString> {
    let name = read_name(name).ok().filter(|n| is_bare(n.as_ptr() as u64) && !n.is_empty())?;
    let path = std::env::var_os("PATH").unwrap_or_default().into_encoded_bytes();
    for dir in path.split(|b| *b == b':') {
        let dir = if dir.is_empty() { b"." } else { dir };
        let whole = CString::new([dir, b"/", name.as_bytes()].concat()).ok()?;
        let at = whole.as_ptr() as u64;
        match ours(libc::AT_FDCWD, at) {
            Ok(Some(path)) if executable(&path).map(close).is_ok() || led_out(&path).is_some() => return Some(whole),
            Ok(Some(_)) => {}
            // SAFETY: a C string.
            _ if unsafe { sys::host!(libc::SYS_faccessat, libc::AT_FDCWD, at, libc::X_OK) }.is_ok() => return None,
            _ => {}
        }
    }
    None
}

/// The program of the host's to which a symbolic link of an image leads.
fn led_out(path: &Path) -> Option<CString> {
    match place::leads_out(libc::AT_FDCWD, path.as_ptr() as u64, true)? {
        Whose::HostAt(path) => CString::from_vec_with_nul(path).ok(),
        _ => None,
    }
}

/// What tells one content of a file from another: device, number, length, time of the last change.
pub(crate) type Version = [u64; 5];

/// A library that is ours, opened, by the name that a program gives.
pub(crate) fn library(name: u64) -> Option<(Version, isize)> {
    let whole = read_name(name).ok().filter(|n| n.as_bytes().contains(&b'/'))?;
    let path = ours(libc::AT_FDCWD, whole.as_ptr() as u64).ok()??;
    let fd = sys::check(open(&path, libc::O_RDONLY)).ok()?;
    let mut stat = [0u8; xlate::STAT_SIZE];
    if door::call(nr::FSTAT, [fd, stat.as_mut_ptr() as u64, 0, 0, 0, 0]) < 0 {
        close(fd as isize);
        return None;
    }
    Some((xlate::version(&stat), fd as isize))
}

/// The program is now found by this path.
fn point(a: &mut Args, at: usize, path: u64) {
    a[at - 2] = path;
    if at == 3 {
        a[0] = CWD;
        a[4] = 0;
    }
}

impl Staged {
    /// Puts the interpreter and its argument in the place of the script's own name; answers the interpreter.
    fn through(&mut self, a: &mut Args, at: usize, line: &[u8], called: &CString) -> Result<CString, Errno> {
        let line = line.get(2..).unwrap_or_default();
        let line = line.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii();
        let (interpreter, argument) = match line.iter().position(|b| matches!(b, b' ' | b'\t')) {
            Some(i) => (&line[..i], line[i..].trim_ascii()),
            None => (line, &[][..]),
        };
        let string = |s: &[u8]| CString::new(s).map_err(|_| Errno::ENOEXEC);
        if interpreter.is_empty() {
            return Err(Errno::ENOEXEC);
        }
        let mut argv = if self.argv.is_empty() {
            crate::exec::pointers(a[at - 1]).ok_or(Errno::EFAULT)?
        } else {
            core::mem::take(&mut self.argv)
        };
        argv.retain(|p| *p != 0);
        if !argv.is_empty() {
            argv.remove(0);
        }
        let mut before = vec![string(interpreter)?];
        if !argument.is_empty() {
            before.push(string(argument)?);
        }
        before.push(called.clone());
        let mut all: Vec<u64> = before.iter().map(|s| s.as_ptr() as u64).collect();
        all.append(&mut argv);
        all.push(0);
        self.strings.append(&mut before);
        self.argv = all;
        a[at - 1] = self.argv.as_ptr() as u64;
        string(interpreter)
    }
}

fn read_name(at: u64) -> Result<CString, Errno> {
    let mut buf = [0u8; 4096];
    let n = mem::c_str(at, &mut buf)?;
    CString::new(&buf[..n]).map_err(|_| Errno::ENOENT)
}

/// The path of a program of ours, as the kernel takes it from this process; `None` if it is the host's.
fn ours(dir: i32, path: u64) -> Result<Option<Path>, Errno> {
    Ok(match place::of(dir, path) {
        Whose::KernelAt(path) if place::is_on_disk(&path) => Some(path),
        Whose::Kernel if dir == libc::AT_FDCWD || mem::get::<u8>(path)? == b'/' => {
            Some(read_name(path)?.into_bytes_with_nul())
        }
        Whose::Kernel => {
            let mut whole = door::path_of(dir).ok_or(Errno::ENOENT)?;
            let name = read_name(path)?;
            if !name.is_empty() {
                whole.push(b'/');
                whole.extend_from_slice(name.as_bytes());
            }
            whole.push(0);
            Some(whole)
        }
        _ => None,
    })
}

/// Opens a file that may be executed.
fn executable(path: &Path) -> Result<isize, Errno> {
    const X_OK: u64 = 1;
    sys::check(door::call(nr::FACCESSAT, [CWD, path.as_ptr() as u64, X_OK, 0, 0, 0]))?;
    if mode(path)? & libc::S_IFMT != REGULAR {
        return Err(Errno::EACCES);
    }
    let fd = open(path, libc::O_RDONLY);
    sys::check(fd).map(|_| fd)
}

fn mode(path: &Path) -> Result<u32, Errno> {
    let mut stat = [0u8; xlate::STAT_SIZE];
    let args = [CWD, path.as_ptr() as u64, stat.as_mut_ptr() as u64, 0, 0, 0];
    sys::check(door::call(nr::FSTATAT, args))?;
    Ok(xlate::mode(&stat))
}

/// 0 if it is a directory of ours that may be entered, or what `chdir` answers.
pub(super) fn is_directory(path: &Path) -> isize {
    let answer = mode(path).and_then(|m| if m & libc::S_IFMT == libc::S_IFDIR { Ok(0) } else { Err(Errno::ENOTDIR) });
    sys::uncheck(answer)
}

/// The first bytes of a file; it is read from its start again afterwards.
fn first_line(fd: isize) -> Vec<u8> {
    let mut buf = vec![0u8; LINE_MAX];
    let n = door::call(nr::PREAD64, [fd as u64, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0]);
    buf.truncate(n.max(0) as usize);
    if !buf.starts_with(b"#!") {
        buf.clear();
    }
    buf
}
