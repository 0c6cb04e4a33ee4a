//! The memory and the descriptor numbers of a process that is not this one.
//!
//! Its memory is reached by `process_vm_readv`, or, where the host forbids that, by asking the thread whose call it is; the bytes
//! of most calls come and go in the buffer beside its line. Numbers are its host's, so the thread is asked for them.

use crate::fds::HostNumbers;
use crate::mem::Own;
use crate::sys::host;
use crate::thread;
use crate::tree::line::{ask, turn, Buffer, Line, Patience, Side, ASKED, BUFFER};
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use lkl_abi::{Errno, Result};
use lkl_ops::{Descriptors, FileKind, UserMem};

/// The call that a worker is about: where its caller can be asked.
#[derive(Clone, Copy)]
struct Current {
    line: *const Line,
    buffer: *const Buffer,
    patience: *const Patience,
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

/// Runs `f`, during which the calling thread asks by `line`, and waits for answers with `patience`.
pub(super) fn with_line<T>(line: &Line, buffer: &Buffer, patience: &Patience, f: impl FnOnce() -> T) -> T {
    let old = CURRENT.replace(Some(Current { line, buffer, patience }));
    let out = f();
    CURRENT.set(old);
    out
}

fn current<T>(f: impl FnOnce(&Line, &Buffer, &Patience) -> T) -> Option<T> {
    let c = CURRENT.get()?;
    // SAFETY: all are borrowed by `with_line`, which has not returned.
    Some(f(unsafe { &*c.line }, unsafe { &*c.buffer }, unsafe { &*c.patience }))
}

/// Asks the thread whose call it is.
fn question(number: u64, args: [u64; 3]) -> Result<u64> {
    current(|line, _, patience| {
        line.ask.store(number, Ordering::Relaxed);
        for (to, from) in line.ask_args.iter().zip(args) {
            to.store(from, Ordering::Relaxed);
        }
        if !line.pass(turn::CALL, turn::ASK) {
            return Err(Errno::EIO);
        }
        loop {
            match line.wait(Side::Kernel, patience, 1 << 30) {
                turn::ASK => {}
                turn::ANSWER => break,
                _ => return Err(Errno::EIO),
            }
        }
        if line.turn.compare_exchange(turn::ANSWER, turn::CALL, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Err(Errno::EIO);
        }
        match line.ask_answer.load(Ordering::Relaxed) {
            e @ -4095..0 => Err(Errno(-e as i32)),
            value => Ok(value as u64),
        }
    })
    .unwrap_or(Err(Errno::EIO))
}

/// The memory of another process.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) pid: AtomicI32,
    /// The host does not let us at it.
    barred: AtomicBool,
}

impl Memory {
    pub(super) fn new(pid: i32) -> Self {
        Self { pid: AtomicI32::new(pid), barred: AtomicBool::new(false) }
    }

    /// Moves bytes by the host's `call`, or not at all if it must not.
    fn by_host(&self, call: libc::c_long, addr: u64, ours: *mut u8, len: usize) -> Option<Result<()>> {
        if self.barred.load(Ordering::Relaxed) {
            return None;
        }
        let local = libc::iovec { iov_base: ours.cast(), iov_len: len };
        let remote = libc::iovec { iov_base: addr as usize as *mut _, iov_len: len };
        let pid = self.pid.load(Ordering::Relaxed);
        // SAFETY: the local part is a live buffer of this length; the remote part is looked at by the host.
        match unsafe { host!(call, pid, &raw const local, 1usize, &raw const remote, 1usize, 0usize) } {
            Ok(n) if n as usize == len => Some(Ok(())),
            Ok(_) | Err(Errno::EFAULT) => Some(Err(Errno::EFAULT)),
            Err(Errno::ESRCH) => Some(Err(Errno::EIO)),
            Err(_) => {
                self.barred.store(true, Ordering::Relaxed);
                None
            }
        }
    }
}

impl UserMem for Memory {
    fn is_programs(&self, addr: u64, len: u64) -> bool {
        Own.is_programs(addr, len)
    }

    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        if buf.is_empty() {
            return Ok(());
        }
        let came = current(|line, buffer, _| line.to_read(addr, buf.len()).map(|at| buffer.copy_out(at, buf)));
        if came.flatten().is_some() {
            return Ok(());
        }
        if let Some(done) = self.by_host(libc::SYS_process_vm_readv, addr, buf.as_mut_ptr(), buf.len()) {
            return done;
        }
        let mut at = addr;
        for piece in buf.chunks_mut(ASKED) {
            question(ask::READ, [at, piece.len() as u64, 0])?;
            current(|_, buffer, _| buffer.copy_out(BUFFER, piece));
            at = at.wrapping_add(piece.len() as u64);
        }
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let goes = current(|line, buffer, _| line.to_write(addr, data.len()).map(|at| buffer.copy_in(at, data)));
        if goes.flatten().is_some() {
            return Ok(());
        }
        if let Some(done) = self.by_host(libc::SYS_process_vm_writev, addr, data.as_ptr().cast_mut(), data.len()) {
            return done;
        }
        let mut at = addr;
        for piece in data.chunks(ASKED) {
            current(|_, buffer, _| buffer.copy_in(BUFFER, piece));
            question(ask::WRITE, [at, piece.len() as u64, 0])?;
            at = at.wrapping_add(piece.len() as u64);
        }
        Ok(())
    }
}

/// The descriptor numbers of another process.
#[derive(Debug)]
pub(super) struct Numbers;

impl Descriptors for Numbers {
    fn alloc(&self, kind: FileKind, min: i32, cloexec: bool) -> Result<i32> {
        question(ask::ALLOC, [kind as u64, min as u64, u64::from(cloexec)]).map(|fd| fd as i32)
    }

    fn dup(&self, fd: i32, min: i32, cloexec: bool) -> Result<i32> {
        question(ask::DUP, [fd as u64, min as u64, u64::from(cloexec)]).map(|fd| fd as i32)
    }

    fn dup_to(&self, fd: i32, to: i32, cloexec: bool) -> Result<()> {
        question(ask::DUP_TO, [fd as u64, to as u64, u64::from(cloexec)]).map(drop)
    }

    fn free(&self, fd: i32) {
        let _gone = question(ask::FREE, [fd as u64, 0, 0]);
    }

    fn cloexec(&self, fd: i32) -> bool {
        question(ask::CLOEXEC, [fd as u64, 0, 0]) == Ok(1)
    }

    fn set_cloexec(&self, fd: i32, on: bool) {
        let _set = question(ask::SET_CLOEXEC, [fd as u64, u64::from(on), 0]);
    }
}

/// Those of the process whose memory this is: its threads may call, and the keeper's for them.
#[derive(Debug)]
pub(crate) struct FirstNumbers;

impl FirstNumbers {
    fn who() -> &'static dyn Descriptors {
        if thread::current().is_ours() {
            &Numbers
        } else {
            &HostNumbers
        }
    }
}

impl Descriptors for FirstNumbers {
    fn alloc(&self, kind: FileKind, min: i32, cloexec: bool) -> Result<i32> {
        Self::who().alloc(kind, min, cloexec)
    }

    fn dup(&self, fd: i32, min: i32, cloexec: bool) -> Result<i32> {
        Self::who().dup(fd, min, cloexec)
    }

    fn dup_to(&self, fd: i32, to: i32, cloexec: bool) -> Result<()> {
        Self::who().dup_to(fd, to, cloexec)
    }

    fn free(&self, fd: i32) {
        Self::who().free(fd);
    }

    fn cloexec(&self, fd: i32) -> bool {
        Self::who().cloexec(fd)
    }

    fn set_cloexec(&self, fd: i32, on: bool) {
        Self::who().set_cloexec(fd, on);
    }
}
