//! What two processes of a tree say to each other: messages on sockets, calls in shared memory.
//!
//! A *line* is the place in shared memory through which one thread of a process makes calls of the kernel, which lives in
//! the memory of another process: number and arguments one way, the answer the other. While a call is on its way the kernel may
//! ask back (for a descriptor number, for memory that it cannot reach). One word says whose turn it is; both sides
//! sleep on it.
//!
//! Next to each line is a buffer, in which the memory that a call is about travels ([`super::pieces`]), so that nobody copies from
//! address space to address space. What the kernel asks for has a place of its own behind it.

use super::pieces::{mode, PIECES};
use crate::alloc;
use crate::limits;
use crate::sys::{self, host};
use core::cell::Cell;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use lkl_abi::{Errno, Result};
use std::time::Instant;

/// Threads of one process that can be in the kernel.
pub(crate) const LINES: usize = 4096;
/// Bytes of the buffer beside a line, as far as it is for the pieces of calls.
pub(crate) const BUFFER: usize = 64 << 10;
/// Bytes behind it, for memory that the kernel asks for.
pub(crate) const ASKED: usize = 32 << 10;
const WHOLE: usize = BUFFER + ASKED;
const LINE: usize = size_of::<Line>();
/// Bytes of all lines of a process.
const TABLE: usize = LINES * LINE;
/// Bytes of a window: the lines, then their buffers. Only what is touched takes memory.
const WINDOW: usize = TABLE + LINES * WHOLE;

/// Whose turn it is.
pub(crate) mod turn {
    /// Nobody's: no call is on its way.
    pub(crate) const IDLE: u32 = 0;
    /// The kernel's: there is a call.
    pub(crate) const CALL: u32 = 1;
    /// The caller's: there is an answer.
    pub(crate) const DONE: u32 = 2;
    /// The caller's: the kernel asks.
    pub(crate) const ASK: u32 = 3;
    /// The kernel's: what it asked for is there.
    pub(crate) const ANSWER: u32 = 4;
    /// One of the two is gone.
    pub(crate) const OVER: u32 = 5;
}

/// What is not a system call.
pub(crate) mod op {
    /// `(fd)`: a number that names the open file as long as it is open.
    pub(crate) const ID: u64 = 0x1_0000;
    /// `(fds, n)`: which of them are ready ([`super::Poll`]).
    pub(crate) const LOOK: u64 = 0x1_0001;
    /// `(fds, n)`: the same; from now on a change rings the thread's eventfd.
    pub(crate) const WATCH: u64 = 0x1_0002;
    /// `(fds, n)`: looks again at what is watched.
    pub(crate) const CHECK: u64 = 0x1_0003;
    /// The end of [`WATCH`].
    pub(crate) const UNWATCH: u64 = 0x1_0004;
    /// `(epfd, to, max, how)`: what the epoll instance has to tell, as pairs of 64-bit numbers. The first has the events in its lower half, and
    /// in the upper one more than [`lkl_kernel::EpollEvent::instance`]. If it has nothing to tell, and `how` is [`super::how::WATCH`], it is
    /// watched from then on; if it is [`super::how::WATCHED`], the instance is the one that is watched, until it has something to tell.
    pub(crate) const READY: u64 = 0x1_0005;
    /// `(fd, to, len)`: the path that the file was opened by; answers its length.
    pub(crate) const PATH: u64 = 0x1_0006;
    /// `(fd)`: whoever waits for it looks again.
    pub(crate) const WAKE: u64 = 0x1_0007;
    /// `(fd)`: the host has put something else there.
    pub(crate) const FORGET: u64 = 0x1_0008;
    /// `(fd, id)`: the file in flight with this [`ID`] is at this number now.
    pub(crate) const ADOPT: u64 = 0x1_0009;
    /// `(to, len)`: what the kernel has panicked of, as text; answers its length, 0 if it has not. With `len` 0 no
    /// text, and 1 for a length.
    pub(crate) const PANIC: u64 = 0x1_000a;
    /// `(epfd, to, fd, watched)`: what the epoll instance has to tell of the one that was put into it as `fd`, in the form of [`READY`];
    /// answers how many events, 0 or 1.
    pub(crate) const INNER: u64 = 0x1_000b;
}

/// How an epoll instance is asked ([`op::READY`]).
pub(crate) mod how {
    /// Once.
    pub(crate) const ONCE: u64 = 0;
    /// The one that is watched.
    pub(crate) const WATCHED: u64 = 1;
    /// To be watched.
    pub(crate) const WATCH: u64 = 2;
}

/// What the kernel asks of the caller.
pub(crate) mod ask {
    /// `(kind, min, cloexec)`: a new number.
    pub(crate) const ALLOC: u64 = 0;
    /// `(fd, min, cloexec)`
    pub(crate) const DUP: u64 = 1;
    /// `(fd, to, cloexec)`
    pub(crate) const DUP_TO: u64 = 2;
    /// `(fd)`
    pub(crate) const FREE: u64 = 3;
    /// `(fd)`: 1 if it is closed on exec.
    pub(crate) const CLOEXEC: u64 = 4;
    /// `(fd, on)`
    pub(crate) const SET_CLOEXEC: u64 = 5;
    /// `(addr, len)`: this memory into the buffer, behind [`super::BUFFER`].
    pub(crate) const READ: u64 = 6;
    /// `(addr, len)`: the same, into this memory.
    pub(crate) const WRITE: u64 = 7;
}

/// The two ends of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// The thread whose calls they are.
    Caller = 0,
    /// The keeper's thread that makes them.
    Kernel = 1,
}

impl Side {
    /// Who goes on at this turn.
    fn of(turn: u32) -> Self {
        match turn {
            turn::CALL | turn::ANSWER => Self::Kernel,
            _ => Self::Caller,
        }
    }

    /// Is there something to do for this side?
    fn goes_on_at(self, turn: u32) -> bool {
        turn == turn::OVER || Self::of(turn) == self
    }

    fn other(self) -> Self {
        match self {
            Self::Caller => Self::Kernel,
            Self::Kernel => Self::Caller,
        }
    }
}

/// The place of one thread's calls.
#[repr(C, align(64))]
pub(crate) struct Line {
    pub(crate) turn: AtomicU32,
    pub(crate) tid: AtomicU32,
    /// Which [`Side`] sleeps, or is about to.
    asleep: [AtomicU32; 2],
    /// The CPU that each side was on when it passed last.
    cpu: [AtomicU32; 2],
    /// Which call of the line it is.
    pub(crate) serial: AtomicU64,
    /// Not 0: it is to give way instead of sleeping, for a signal has come already.
    pub(crate) interrupted: AtomicU32,
    pub(crate) number: AtomicU64,
    pub(crate) args: [AtomicU64; 6],
    /// `-errno`, or the value.
    pub(crate) answer: AtomicI64,
    /// Signals to be raised for the caller.
    pub(crate) signals: AtomicU64,
    /// How many of the following there are.
    pub(crate) count: AtomicU32,
    /// What travels in the buffer.
    pub(crate) places: [Place; PIECES],
    pub(crate) ask: AtomicU64,
    pub(crate) ask_args: [AtomicU64; 3],
    pub(crate) ask_answer: AtomicI64,
}

/// Where in the buffer a piece of the caller's memory is.
#[repr(C)]
pub(crate) struct Place {
    addr: AtomicU64,
    len: AtomicU32,
    /// In the buffer.
    at: AtomicU32,
    /// So much of it, from its start, is there.
    filled: AtomicU32,
    /// Of [`mode`].
    mode: AtomicU32,
}

impl Place {
    /// Puts a piece of the caller's at `at` in the buffer, of which `filled` bytes are there.
    pub(crate) fn set(&self, addr: u64, len: usize, at: usize, filled: usize, mode: u32) {
        self.addr.store(addr, Ordering::Relaxed);
        self.len.store(len as u32, Ordering::Relaxed);
        self.at.store(at as u32, Ordering::Relaxed);
        self.filled.store(filled as u32, Ordering::Relaxed);
        self.mode.store(mode, Ordering::Relaxed);
    }

    /// How many bytes the kernel has left for the caller to take, from the start of the piece.
    pub(crate) fn written(&self) -> usize {
        match self.mode.load(Ordering::Relaxed) & mode::WRITTEN {
            0 => 0,
            _ => self.filled.load(Ordering::Relaxed) as usize,
        }
    }

    /// From where in the piece `addr..addr + len` is, if it is in it as a whole, and where that is in the buffer.
    fn inside(&self, addr: u64, len: usize) -> Option<(usize, usize)> {
        let from = addr.checked_sub(self.addr.load(Ordering::Relaxed))?;
        let size = self.len.load(Ordering::Relaxed) as usize;
        (from.checked_add(len as u64)? <= size as u64).then_some(())?;
        // The caller may have written anything here.
        let at = self.at.load(Ordering::Relaxed) as usize + from as usize;
        (at + len <= BUFFER).then_some((from as usize, at))
    }
}

/// One descriptor of [`op::LOOK`] and others.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub(crate) struct Poll {
    pub(crate) fd: i32,
    pub(crate) events: u32,
    pub(crate) revents: u32,
}

impl Line {
    fn places(&self) -> &[Place] {
        let count = self.count.load(Ordering::Relaxed) as usize;
        self.places.get(..count).unwrap_or_default()
    }

    /// Where in the buffer `addr..addr + len` of the caller's memory is, for the kernel to read.
    pub(crate) fn to_read(&self, addr: u64, len: usize) -> Option<usize> {
        self.places().iter().find_map(|p| {
            let (from, at) = p.inside(addr, len)?;
            (from + len <= p.filled.load(Ordering::Relaxed) as usize).then_some(at)
        })
    }

    /// Where in the buffer the kernel is to put what it writes there. The caller will take it.
    pub(crate) fn to_write(&self, addr: u64, len: usize) -> Option<usize> {
        self.places().iter().find_map(|p| {
            let (from, at) = p.inside(addr, len)?;
            let (mode, filled) = (p.mode.load(Ordering::Relaxed), p.filled.load(Ordering::Relaxed) as usize);
            // Without a gap, for the caller takes all up to the end.
            if mode & mode::WRITE == 0 || from > filled {
                return None;
            }
            p.filled.store(filled.max(from + len) as u32, Ordering::Relaxed);
            p.mode.store(mode | mode::WRITTEN, Ordering::Relaxed);
            Some(at)
        })
    }

    /// Waits until it is the turn of `me`: looks out for that with `patience`, then sleeps, at most for `seconds` at once. Answers whose turn it
    /// is. A signal ends the sleep too.
    pub(crate) fn wait(&self, me: Side, patience: &Patience, seconds: u64) -> u32 {
        let now = self.look_out(me, patience);
        if me.goes_on_at(now) {
            now
        } else {
            self.sleep(me, now, seconds)
        }
    }

    /// Sleeps while it is the turn `not`.
    fn sleep(&self, me: Side, not: u32, seconds: u64) -> u32 {
        let asleep = &self.asleep[me as usize];
        asleep.store(1, Ordering::SeqCst);
        let ts = [seconds, 0u64];
        // The host compares the word once more, after the store above is seen by all.
        // SAFETY: the word is shared memory that both sides have mapped; the time is a `struct timespec`.
        let _woken =
            unsafe { host!(libc::SYS_futex, self.turn.as_ptr(), libc::FUTEX_WAIT, not, ts.as_ptr(), 0usize, 0usize) };
        asleep.store(0, Ordering::Relaxed);
        self.turn.load(Ordering::Acquire)
    }

    /// Looks out for a turn of `me` without sleeping, if the other side is on a CPU of its own: to wake a thread there takes many times as
    /// long as a call. Answers whose turn it is.
    fn look_out(&self, me: Side, patience: &Patience) -> u32 {
        let now = self.turn.load(Ordering::Acquire);
        if me.goes_on_at(now) || !patience.pays() || self.is_beside(me) {
            return now;
        }
        let mut last = Instant::now();
        let end = last + patience.time;
        loop {
            for _ in 0..32 {
                core::hint::spin_loop();
                let now = self.turn.load(Ordering::Acquire);
                if me.goes_on_at(now) {
                    patience.paid(true);
                    return now;
                }
            }
            let now = Instant::now();
            if now >= end {
                patience.paid(false);
                if now - last > AWAY {
                    patience.give_up();
                }
                return self.turn.load(Ordering::Acquire);
            }
            last = now;
        }
    }

    /// The CPU that the caller was on when it made the call.
    pub(crate) fn callers_cpu(&self) -> u32 {
        self.cpu[Side::Caller as usize].load(Ordering::Relaxed)
    }

    /// Do both sides share a CPU? Then neither comes along while the other one is awake.
    fn is_beside(&self, me: Side) -> bool {
        self.cpu[me.other() as usize].load(Ordering::Relaxed) == sys::cpu()
    }

    /// Gives the turn to the other side, unless one of the two is gone. Answers whether it did.
    pub(crate) fn pass(&self, from: u32, to: u32) -> bool {
        let next = Side::of(to);
        self.cpu[next.other() as usize].store(sys::cpu(), Ordering::Relaxed);
        if self.turn.compare_exchange(from, to, Ordering::SeqCst, Ordering::Acquire).is_err() {
            return false;
        }
        if self.asleep[next as usize].load(Ordering::SeqCst) != 0 {
            self.wake();
        }
        true
    }

    /// One of the two is gone.
    pub(crate) fn end(&self) {
        self.turn.store(turn::OVER, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // SAFETY: as in `sleep`.
        let _woken = unsafe { host!(libc::SYS_futex, self.turn.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }
}

/// Who looks out and finds that so much time has passed at once has lost its CPU: others want it.
const AWAY: Duration = Duration::from_micros(100);

/// For how long one side of a line looks out for the other before it sleeps ([`Line::wait`]), as long as that has paid off lately.
#[derive(Debug)]
pub(crate) struct Patience {
    time: Duration,
    /// How many times in a row it was in vain, or not tried.
    vain: Cell<u32>,
}

impl Patience {
    /// So many times in vain, and it is seldom tried.
    const VAIN: u32 = 4;

    pub(crate) const fn new(time: Duration) -> Self {
        Self { time, vain: Cell::new(0) }
    }

    /// Has it been in vain for some time?
    pub(crate) fn is_vain(&self) -> bool {
        self.vain.get() >= Self::VAIN
    }

    /// Tries anew.
    pub(crate) fn renew(&self) {
        self.vain.set(0);
    }

    /// It is not worth it for some time.
    pub(crate) fn give_up(&self) {
        self.vain.set(self.vain.get().max(Self::VAIN));
    }

    /// Is it worth a try?
    fn pays(&self) -> bool {
        let vain = self.vain.get();
        if vain < Self::VAIN || vain.is_multiple_of(16) {
            return true;
        }
        self.vain.set(vain.wrapping_add(1));
        false
    }

    fn paid(&self, did: bool) {
        self.vain.set(if did { 0 } else { self.vain.get().wrapping_add(1) });
    }
}

/// The lines of one process, mapped here.
#[derive(Debug)]
pub(crate) struct Window {
    table: *mut u8,
    fd: i32,
}

// SAFETY: what is in it is atomic, or guarded by a line's turn.
unsafe impl Send for Window {}
// SAFETY: the same.
unsafe impl Sync for Window {}

impl Window {
    /// Makes the memory for the lines of this process.
    ///
    /// # Errors
    /// `ENOMEM`, `EMFILE`; `EFBIG` if the process may make no file of that length.
    pub(crate) fn create() -> Result<Self> {
        limits::lifted(Self::make)
    }

    fn make() -> Result<Self> {
        if !limits::allow(WINDOW as u64) {
            return Err(Errno::EFBIG);
        }
        // SAFETY: a C string.
        let fd = unsafe { host!(libc::SYS_memfd_create, c"lkl-lines".as_ptr(), libc::MFD_CLOEXEC) }? as i32;
        // SAFETY: no pointers.
        if let Err(e) = unsafe { host!(libc::SYS_ftruncate, fd, WINDOW) } {
            sys::close(fd);
            return Err(e);
        }
        Self::open(fd)
    }

    /// Maps the lines of another process. The descriptor is the window's from now on.
    ///
    /// # Errors
    /// `ENOMEM`; `EINVAL` if it is no such memory.
    pub(crate) fn open(fd: i32) -> Result<Self> {
        let mut st = [0u64; 18];
        // SAFETY: `struct stat` has 144 bytes.
        let size = unsafe { host!(libc::SYS_fstat, fd, st.as_mut_ptr()) }.map(|_| st[6]);
        let table = match size {
            Ok(n) if n == WINDOW as u64 => map(fd, 0, TABLE),
            Ok(_) => Err(Errno::EINVAL),
            Err(e) => Err(e),
        };
        match table {
            Ok(table) => Ok(Self { table, fd }),
            Err(e) => {
                sys::close(fd);
                Err(e)
            }
        }
    }

    /// The memory's descriptor.
    pub(crate) fn fd(&self) -> i32 {
        self.fd
    }

    /// Moves the descriptor to another number.
    pub(crate) fn renumber(&mut self, to: impl FnOnce(i32) -> i32) {
        self.fd = to(self.fd);
    }

    /// A line. `None` if there are not so many.
    pub(crate) fn line(&self, i: usize) -> Option<&Line> {
        if i >= LINES {
            return None;
        }
        // SAFETY: inside the table, which is mapped as long as `self`; any bytes are a `Line`.
        Some(unsafe { &*self.table.add(i * LINE).cast::<Line>() })
    }

    /// Maps the buffer of a line.
    ///
    /// # Errors
    /// `ENOMEM`, `EINVAL`
    pub(crate) fn buffer(&self, i: usize) -> Result<Buffer> {
        if i >= LINES {
            return Err(Errno::EINVAL);
        }
        map(self.fd, TABLE + i * WHOLE, WHOLE).map(|at| Buffer { at })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: mapped in `open`; references to lines do not outlive `self`.
        unsafe { alloc::unmap(self.table, TABLE) };
        sys::close(self.fd);
    }
}

fn map(fd: i32, at: usize, len: usize) -> Result<*mut u8> {
    const PROT: i32 = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new map at an address of the host's choice.
    unsafe { host!(libc::SYS_mmap, 0usize, len, PROT, libc::MAP_SHARED, fd, at) }.map(|p| p as usize as *mut u8)
}

/// The buffer beside a line, mapped. Only the side whose turn it is touches it.
#[derive(Debug)]
pub(crate) struct Buffer {
    at: *mut u8,
}

// SAFETY: plain shared memory; whose turn it is says who may touch it.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Where `len` bytes from `at` on are.
    ///
    /// # Panics
    /// If there are not so many.
    pub(crate) fn piece(&self, at: usize, len: usize) -> *mut u8 {
        assert!(at + len <= WHOLE);
        // SAFETY: inside the map, as just checked.
        unsafe { self.at.add(at) }
    }

    /// The bytes from `from` on, as many as `to` has.
    ///
    /// # Panics
    /// If there are not so many.
    pub(crate) fn copy_out(&self, from: usize, to: &mut [u8]) {
        let from = self.piece(from, to.len());
        // SAFETY: as many bytes; a torn read by a process that breaks the rules gives it wrong ones.
        unsafe { core::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    }

    /// Puts bytes in from `to` on.
    ///
    /// # Panics
    /// If there is no room.
    pub(crate) fn copy_in(&self, to: usize, from: &[u8]) {
        let to = self.piece(to, from.len());
        // SAFETY: as many bytes.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: mapped in `Window::buffer`.
        unsafe { alloc::unmap(self.at, WHOLE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mode::{READ, WRITE};

    fn line() -> Line {
        // SAFETY: any bytes are a `Line`.
        unsafe { core::mem::zeroed() }
    }

    #[test]
    fn what_is_read_must_have_come() {
        let line = line();
        line.places[0].set(1000, 16, 0, 16, READ);
        line.places[1].set(2000, 100, 16, 40, READ);
        line.count.store(2, Ordering::Relaxed);
        assert_eq!(line.to_read(1000, 16), Some(0));
        assert_eq!(line.to_read(1004, 8), Some(4));
        assert_eq!(line.to_read(1004, 16), None);
        assert_eq!(line.to_read(2000, 40), Some(16));
        assert_eq!(line.to_read(2000, 41), None);
        assert_eq!(line.to_read(u64::MAX, 2), None);
        assert_eq!(line.to_write(1000, 4), None);
        // One that is left from another call.
        line.count.store(1, Ordering::Relaxed);
        assert_eq!(line.to_read(2000, 40), None);
        // A process that writes nonsense harms nobody but itself.
        line.count.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(line.to_read(1000, 16), None);
        line.count.store(1, Ordering::Relaxed);
        line.places[0].set(1000, usize::MAX, usize::MAX, usize::MAX, READ | WRITE);
        assert_eq!((line.to_read(1000, 16), line.to_write(1000, 16)), (None, None));
    }

    #[test]
    fn what_is_written_has_no_gaps() {
        let line = line();
        line.places[0].set(1000, 100, 8, 0, WRITE);
        line.places[1].set(2000, 4, 200, 4, READ | WRITE);
        line.count.store(2, Ordering::Relaxed);
        assert_eq!(line.to_write(1010, 5), None);
        assert_eq!(line.places[0].written(), 0);
        assert_eq!(line.to_write(1000, 10), Some(8));
        assert_eq!(line.to_write(1010, 5), Some(18));
        assert_eq!(line.to_write(1002, 3), Some(10));
        assert_eq!(line.to_write(1015, 86), None);
        assert_eq!(line.places[0].written(), 15);
        // What was written can be read again.
        assert_eq!((line.to_read(1012, 3), line.to_read(1012, 4)), (Some(20), None));
        // What came is not taken back if nobody has changed it.
        assert_eq!(line.places[1].written(), 0);
        assert_eq!(line.to_write(2002, 2), Some(202));
        assert_eq!(line.places[1].written(), 4);
    }
}
