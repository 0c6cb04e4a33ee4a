//! System calls of the host, made directly.
//!
//! The library exports `read`, `close`, `socket` and so on, so a call of libc's by name from here would end in our own
//! hooks. Every call of the host that this crate makes goes through this module: numbers and conventions are
//! x86-64's, answers are `-errno`.

use core::arch::asm;
use lkl_abi::{Errno, Result};

/// The arguments of a system call.
pub(crate) type Args = [u64; 6];

/// Makes the system call `nr`. The answer is the host's: `-4095..=-1` is an errno.
///
/// # Safety
/// As the call itself: pointers among the arguments must be what the call wants, and the call must not change what
/// Rust relies on (memory maps in use, the descriptors of others).
#[inline(always)]
pub(crate) unsafe fn raw(nr: usize, a: &Args) -> isize {
    let ret: isize;
    // SAFETY: the register convention of x86-64's `syscall`; memory is clobbered (no `nomem`).
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr as isize => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

/// Turns a raw answer into a result.
pub(crate) fn check(ret: isize) -> Result<u64> {
    if (-4095..0).contains(&ret) {
        Err(Errno(-ret as i32))
    } else {
        Ok(ret as u64)
    }
}

/// Turns a result into a raw answer.
pub(crate) fn uncheck(r: Result<u64>) -> isize {
    match r {
        Ok(v) => v as isize,
        Err(e) => -(e.0 as isize),
    }
}

/// Makes a system call with up to six arguments, each converted to `u64`.
macro_rules! host {
    ($nr:expr $(, $a:expr)*) => {{
        #[allow(unused_mut, unused_assignments, clippy::allow_attributes, reason = "none or all of the arguments may be given")]
        let args = {
            let mut args: $crate::sys::Args = [0; 6];
            let mut i = 0;
            $( args[i] = $crate::sys::Arg::arg($a); i += 1; )*
            let _ = i;
            args
        };
        $crate::sys::check($crate::sys::raw($nr as usize, &args))
    }};
}
pub(crate) use host;

/// What can be an argument of a system call.
pub(crate) trait Arg {
    /// The register's value: sign-extended as C does it.
    fn arg(self) -> u64;
}

macro_rules! int_args {
    ($($t:ty)*) => { $(impl Arg for $t {
        #[inline(always)]
        fn arg(self) -> u64 { self as i64 as u64 }
    })* };
}
int_args!(i32 i64 isize usize u64);

impl Arg for u32 {
    #[inline(always)]
    fn arg(self) -> u64 {
        u64::from(self)
    }
}

impl Arg for i16 {
    #[inline(always)]
    fn arg(self) -> u64 {
        self as i64 as u64
    }
}

impl<T> Arg for *const T {
    #[inline(always)]
    fn arg(self) -> u64 {
        self as usize as u64
    }
}

impl<T> Arg for *mut T {
    #[inline(always)]
    fn arg(self) -> u64 {
        self as usize as u64
    }
}

/// Has a descriptor of the host something to read, or an end to tell?
pub(crate) fn readable(fd: i32) -> bool {
    readable_within(fd, 0)
}

/// Will it, within `millis` milliseconds? A signal ends the wait.
pub(crate) fn readable_within(fd: i32, millis: i32) -> bool {
    let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one element.
    let ready = unsafe { host!(libc::SYS_poll, &raw mut p, 1usize, millis) };
    ready == Ok(1)
}

/// Makes an eventfd readable. Async-signal-safe.
pub(crate) fn ring(event: i32) {
    let one = 1u64;
    // SAFETY: 8 bytes, as an eventfd takes them.
    let _rung = unsafe { host!(libc::SYS_write, event, &raw const one, 8usize) };
}

/// Makes an eventfd unreadable.
pub(crate) fn hush(event: i32) {
    let mut count = 0u64;
    // SAFETY: 8 bytes, as an eventfd gives them.
    let _hushed = unsafe { host!(libc::SYS_read, event, &raw mut count, 8usize) };
}

/// The CPU that the calling thread is on. Async-signal-safe.
pub(crate) fn cpu() -> u32 {
    // SAFETY: no arguments.
    (unsafe { libc::sched_getcpu() }) as u32
}

/// Closes a descriptor of the host.
pub(crate) fn close(fd: i32) {
    // SAFETY: the caller owns the number.
    let _closed = unsafe { host!(libc::SYS_close, fd) };
}

/// `getpid`, asked of the host each time: a child of `vfork` must see its own.
pub(crate) fn getpid() -> i32 {
    // SAFETY: no arguments, no effect.
    unsafe { host!(libc::SYS_getpid) }.map_or(0, |v| v as i32)
}

/// `gettid`
pub(crate) fn gettid() -> i32 {
    // SAFETY: no arguments, no effect.
    unsafe { host!(libc::SYS_gettid) }.map_or(0, |v| v as i32)
}

/// Changes the calling thread's signal mask (the kernel's 8-byte set); answers the old one.
pub(crate) fn sigprocmask(how: i32, set: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both sets are 8 bytes, as the last argument says.
    let _ok = unsafe { host!(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut old, 8usize) };
    old
}

/// Writes a line to standard error, whatever state the process is in.
pub(crate) fn say(line: &str) {
    let mut buf = [0u8; 512];
    let n = line.len().min(buf.len() - 1);
    buf[..n].copy_from_slice(&line.as_bytes()[..n]);
    buf[n] = b'\n';
    // SAFETY: the buffer has `n + 1` bytes.
    let _written = unsafe { host!(libc::SYS_write, 2i32, buf.as_ptr(), n + 1) };
}

/// Says lines on standard error, however long they are.
pub(crate) fn say_all(lines: &str) {
    let text = [lines, "\n"].concat();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: the bytes live through the call.
        match unsafe { host!(libc::SYS_write, 2i32, rest.as_ptr(), rest.len()) } {
            Ok(n) if n > 0 => rest = rest.get(n as usize..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            _ => return,
        }
    }
}

/// Writes to standard output.
///
/// # Errors
/// Those of `write(2)`.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: the bytes are there.
        let n = unsafe { host!(libc::SYS_write, 1i32, rest.as_ptr(), rest.len()) };
        match n {
            Ok(n) => rest = &rest[n as usize..],
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Ends the process at once.
pub(crate) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: does not come back.
        let _never = unsafe { host!(libc::SYS_exit_group, status) };
    }
}
