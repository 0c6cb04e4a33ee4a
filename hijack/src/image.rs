//! Programs as files: can this library be loaded into one, and will it see all that the program asks for?
//!
//! Asked before each `execve` ([`crate::exec`]). A program that the library cannot serve must not end up on the host's
//! network by mistake: it is run without any, by a filter of the host's that refuses its sockets but for `AF_UNIX`, and one
//! line on standard error says so. `LKL_HIJACK_FOREIGN=host` leaves it as it is. A program that would run with more
//! rights than its caller has, into which the loader loads nothing, is started through the loader, without them.

#[cfg(test)]
mod tests;

use crate::sys::{self, host};
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::CString;

/// The variable that says what is done with programs that cannot be served.
const VARIABLE: &str = "LKL_HIJACK_FOREIGN";

/// The loader, which is an ELF file without an interpreter too.
const LOADER: &CStr = c"/lib64/ld-linux-x86-64.so.2";

/// Why a program cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// No interpreter loads it, so none loads the library.
    Static,
    /// It has Go's build note: it makes its system calls itself, wherever libc is.
    Go,
    /// For another architecture, or another C library.
    Abi,
    /// It would run with more rights than the caller's, and cannot be started through the loader.
    Privileged,
}

impl Foreign {
    /// What it is, and what helps.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Static => {
                "is statically linked: no library can be loaded into it (into a dynamically linked build it can)"
            }
            Self::Go => "is a Go program, which makes its system calls itself, past any library",
            Self::Privileged => "would run with more rights than its caller has, and then no library is loaded into it",
            Self::Abi => "is not for x86-64 with glibc: this library cannot be loaded into it",
        }
    }
}

/// What the beginning of a file says.
#[derive(Debug, PartialEq, Eq)]
enum Head<'a> {
    /// Not a program that is known here: the host may say so.
    Other,
    /// `#!` and the path of the interpreter.
    Script(&'a [u8]),
    /// An ELF file.
    Elf(Option<Foreign>),
}

/// Bytes of a file that are looked at: headers, and the notes that linkers put right behind them.
const HEAD: usize = 4096;

const EI_CLASS: usize = 4;
const EM_X86_64: u16 = 62;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
/// `NT_GO_BUILD_ID`: the type of the note that Go's linker writes, with the name "Go".
const GO_BUILD_ID: u32 = 4;

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    number(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    number(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    number(bytes, at).map(u64::from_le_bytes).and_then(|v| usize::try_from(v).ok())
}

/// Looks at the first bytes of a file.
fn head(bytes: &[u8]) -> Head<'_> {
    if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
        let path = line.split(|b| matches!(b, b' ' | b'\t')).find(|word| !word.is_empty());
        return path.map_or(Head::Other, Head::Script);
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Head::Other;
    }
    // The second class is that of 64 bits.
    if bytes.get(EI_CLASS) != Some(&2) || u16_at(bytes, 18) != Some(EM_X86_64) {
        return Head::Elf(Some(Foreign::Abi));
    }
    elf(bytes).map_or(Head::Other, Head::Elf)
}

/// An ELF file of our architecture. `None` if its headers are not within these bytes.
fn elf(bytes: &[u8]) -> Option<Option<Foreign>> {
    let (table, size, count) = (u64_at(bytes, 32)?, u16_at(bytes, 54)?, u16_at(bytes, 56)?);
    let (mut interpreter, mut go) = (None, false);
    for i in 0..usize::from(count) {
        let header = bytes.get(table.checked_add(i.checked_mul(usize::from(size))?)?..)?;
        let kind = u32_at(header, 0)?;
        let (offset, len) = (u64_at(header, 8)?, u64_at(header, 32)?);
        let content = bytes.get(offset..offset.saturating_add(len).min(bytes.len()));
        match kind {
            PT_INTERP => interpreter = Some(content.unwrap_or_default()),
            PT_NOTE => go |= content.is_some_and(is_go),
            _ => {}
        }
    }
    Some(match interpreter {
        None => Some(Foreign::Static),
        Some(_) if go => Some(Foreign::Go),
        Some(path) if !path.is_empty() && !path.windows(15).any(|w| w == b"ld-linux-x86-64") => Some(Foreign::Abi),
        Some(_) => None,
    })
}

/// Is Go's build note among these notes?
fn is_go(mut notes: &[u8]) -> bool {
    let padded = |n: u32| (n as usize).checked_add(3).map(|n| n & !3);
    while let (Some(name), Some(content), Some(kind)) = (u32_at(notes, 0), u32_at(notes, 4), u32_at(notes, 8)) {
        if kind == GO_BUILD_ID && notes.get(12..16) == Some(b"Go\0\0") {
            return true;
        }
        let (Some(name), Some(content)) = (padded(name), padded(content)) else { break };
        let Some(rest) = notes.get(12usize.saturating_add(name).saturating_add(content)..) else { break };
        notes = rest;
    }
    false
}

/// What has to be done about a program before it is run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Served,
    /// It cannot be served.
    Foreign(Foreign),
    /// It would run with more rights than the caller's, and without the library.
    Privileged,
}

/// Looks at the file that `execve` would run.
pub(crate) fn look(path: &CStr) -> Verdict {
    look_at(path, 0)
}

fn look_at(path: &CStr, depth: u32) -> Verdict {
    let mut bytes = [0u8; HEAD];
    let Some((n, stat)) = read(path, &mut bytes) else { return Verdict::Served };
    match head(&bytes[..n]) {
        Head::Other => Verdict::Served,
        // As many interpreters of interpreters as Linux allows.
        Head::Script(_) if depth == 4 => Verdict::Served,
        Head::Script(interpreter) => {
            // More rights of an interpreter are not looked for: the loader cannot be put in between.
            match CString::new(interpreter).map(|path| look_at(&path, depth + 1)) {
                Ok(Verdict::Foreign(why)) => Verdict::Foreign(why),
                _ => Verdict::Served,
            }
        }
        Head::Elf(Some(Foreign::Static)) if is_loader(&stat) => Verdict::Served,
        Head::Elf(Some(why)) => Verdict::Foreign(why),
        Head::Elf(None) if gains_rights(path, &stat) => Verdict::Privileged,
        Head::Elf(None) => Verdict::Served,
    }
}

/// The first bytes of a file, and its state. `None` if it cannot be read: the host may say why, or run it all the same.
fn read(path: &CStr, bytes: &mut [u8; HEAD]) -> Option<(usize, libc::stat)> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: a C string.
    let fd = unsafe { host!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) }.ok()? as i32;
    // SAFETY: the buffer is as long as said.
    let n = unsafe { host!(libc::SYS_read, fd, bytes.as_mut_ptr(), HEAD) };
    let stat = state(fd);
    sys::close(fd);
    Some((usize::try_from(n.ok()?).ok()?, stat?))
}

fn state(fd: i32) -> Option<libc::stat> {
    // SAFETY: all zeros are a value of it.
    let mut stat: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: the structure that the host fills in.
    unsafe { host!(libc::SYS_fstat, fd, &raw mut stat) }.ok()?;
    Some(stat)
}

fn is_loader(stat: &libc::stat) -> bool {
    // SAFETY: all zeros are a value of it.
    let mut loader: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: a C string, and the structure that the host fills in.
    let got = unsafe { host!(libc::SYS_stat, LOADER.as_ptr(), &raw mut loader) };
    got.is_ok() && (stat.st_dev, stat.st_ino) == (loader.st_dev, loader.st_ino)
}

/// Would it run with rights that the caller does not have? By set-user-ID, set-group-ID or capabilities of the file.
fn gains_rights(path: &CStr, stat: &libc::stat) -> bool {
    // SAFETY: no arguments.
    let id = |nr| unsafe { host!(nr) }.map_or(0, |v| v as u32);
    let user = id(libc::SYS_geteuid);
    if stat.st_mode & libc::S_ISUID != 0 && stat.st_uid != user {
        return true;
    }
    let by_group = libc::S_ISGID | libc::S_IXGRP;
    if stat.st_mode & by_group == by_group && stat.st_gid != id(libc::SYS_getegid) {
        return true;
    }
    // SAFETY: C strings; no buffer, so only the size is asked for.
    let has = unsafe { host!(libc::SYS_getxattr, path.as_ptr(), c"security.capability".as_ptr(), 0usize, 0usize) };
    user != 0 && has.is_ok()
}

static LEFT_TO_HOST: AtomicBool = AtomicBool::new(false);

/// Reads the variable. Called once.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn init() -> Result<(), String> {
    match std::env::var_os(VARIABLE).as_deref().map(|v| v.to_string_lossy()) {
        None => Ok(()),
        Some(v) if v.is_empty() || v == "none" => Ok(()),
        Some(v) if v == "host" => {
            LEFT_TO_HOST.store(true, Ordering::Relaxed);
            Ok(())
        }
        Some(v) => Err(format!("lkl-hijack: {VARIABLE}={v}: expected none (no network) or host (the host's network)")),
    }
}

/// Are programs that cannot be served left to the host?
pub(crate) fn left_to_host() -> bool {
    LEFT_TO_HOST.load(Ordering::Relaxed)
}

/// Takes the network from the calling thread and from the program that it becomes, and says so.
pub(crate) fn without_network(path: &CStr, why: Foreign) {
    // SAFETY: a C string.
    if unsafe { host!(libc::SYS_access, path.as_ptr(), libc::X_OK) }.is_err() {
        // It will not be run.
        return;
    }
    let name = path.to_string_lossy();
    match filter() {
        Ok(()) => sys::say(&format!(
            "lkl-hijack: {name}: {}; this one runs without a network (with the host's: {VARIABLE}=host)",
            why.words()
        )),
        Err(e) => sys::say(&format!(
            "lkl-hijack: {name}: {}; this one runs on the host's network: it cannot be taken away ({e})",
            why.words()
        )),
    }
}

/// A filter of system calls: `socket` of families other than `AF_UNIX` is refused, with what a kernel without them answers, and so
/// is all that could make a socket otherwise.
fn filter() -> lkl_abi::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const NR: u32 = 0;
    const ARCH: u32 = 4;
    const FIRST_ARG: u32 = 16;
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    const X32: u32 = 0x4000_0000;
    // The two calls of 32-bit programs that make sockets.
    const I386_SOCKETCALL: u32 = 102;
    const I386_SOCKET: u32 = 359;
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;
    let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let code = |code, k, yes, no| libc::sock_filter { code, jt: yes, jf: no, k };
    // Jumps are counted from the instruction that follows.
    let program = [
        code(LOAD, ARCH, 0, 0),
        code(EQUAL, AUDIT_ARCH_X86_64, 4, 0),
        // Not our architecture.
        code(LOAD, NR, 0, 0),
        code(EQUAL, I386_SOCKETCALL, 8, 0),
        code(EQUAL, I386_SOCKET, 7, 0),
        code(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        // Ours.
        code(LOAD, NR, 0, 0),
        code(EQUAL, libc::SYS_io_uring_setup as u32, 5, 0),
        code(EQUAL, libc::SYS_socket as u32, 1, 0),
        code(EQUAL, libc::SYS_socket as u32 | X32, 0, 4),
        code(LOAD, FIRST_ARG, 0, 0),
        code(EQUAL, libc::AF_UNIX as u32, 2, 0),
        code(RETURN, refuse, 0, 0),
        code(RETURN, absent, 0, 0),
        code(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let all = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: no pointers. Without this, only root may set a filter.
    unsafe { host!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1i32, 0i32, 0i32, 0i32) }?;
    // SAFETY: the host reads the program, and keeps a copy.
    unsafe { host!(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0i32, &raw const all) }?;
    Ok(())
}

/// Is this process a Go program?
pub(crate) fn is_this_go() -> bool {
    let mut bytes = [0u8; HEAD];
    read(c"/proc/self/exe", &mut bytes).is_some_and(|(n, _)| head(&bytes[..n]) == Head::Elf(Some(Foreign::Go)))
}

/// The arguments of the loader that runs `path` with `argv`: its own, then those of the program. `None` if the loader is
/// not there.
pub(crate) fn through_loader(path: u64, argv: &[u64]) -> Option<(u64, Vec<u64>)> {
    // SAFETY: a C string.
    unsafe { host!(libc::SYS_access, LOADER.as_ptr(), libc::X_OK) }.ok()?;
    let name = argv.first().copied().unwrap_or(path);
    let mut args = vec![LOADER.as_ptr() as u64, c"--argv0".as_ptr() as u64, name, path];
    args.extend_from_slice(argv.get(1..).unwrap_or_default());
    args.push(0);
    Some((LOADER.as_ptr() as u64, args))
}
