//! A thread of a process that does not have the kernel in its memory: its calls go by its line.

use super::line::{ask, how, op, turn, Buffer, Line, Patience, Poll, Side, Window, ASKED, BUFFER, LINES};
use super::message::{self, kind};
use super::pieces::{self, mode, Piece, Pieces, PIECES};
use super::{tell, window, CONNECTION};
use crate::door;
use crate::fds::{self, HostNumbers};
use crate::guarded::Guarded;
use crate::mem::{writable, Own};
use crate::sys::{self, host};
use crate::thread;
use arrayvec::ArrayVec;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use core::time::Duration;
use lkl_abi::{nr, Errno, Result};
use lkl_host::Slept;
use lkl_kernel::{EpollEvent, PollFd};
use lkl_ops::{Descriptors, FileKind, Instant, UserMem};
use lkl_sync::Events;

const PAGE: usize = 4096;
/// After so many seconds a thread that waits for an answer looks whether the keeper is still there.
const PATIENCE: u64 = 1;
/// For how long a thread looks out for an answer: the keeper's may have to be woken up first.
const WAKING: Duration = Duration::from_micros(100);
/// The same, if the call may wait.
const ANSWERING: Duration = Duration::from_micros(10);

/// Lines that ended threads have left.
static LEFT: Guarded<Vec<usize>> = Guarded::new(Vec::new());
/// How many lines there are in all.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// After a fork, in the child: there are none yet.
pub(super) fn forked() {
    LEFT.lock().unlock();
    LEFT.with(Vec::clear);
    MADE.store(0, Ordering::Release);
}

/// One thread's line.
pub(crate) struct Client {
    index: usize,
    line: &'static Line,
    buffer: Buffer,
    /// What wakes the thread while it sleeps for files of its host; -1 before it is needed.
    event: AtomicI32,
    /// How it waits for an answer.
    long: Patience,
    /// The same, for calls that may wait.
    short: Patience,
    /// How many bytes its last read has brought.
    last: AtomicUsize,
}

impl Client {
    /// A line for the calling thread.
    ///
    /// # Errors
    /// `EIO` if there is no keeper, `EAGAIN` if there are too many threads, `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let window: &'static Window = window()?;
        let left = LEFT.with(Vec::pop);
        let index = left.unwrap_or_else(|| MADE.fetch_add(1, Ordering::AcqRel));
        if index >= LINES {
            MADE.fetch_sub(1, Ordering::AcqRel);
            return Err(Errno::EAGAIN);
        }
        let line = window.line(index).ok_or(Errno::EAGAIN)?;
        let buffer = window.buffer(index)?;
        line.tid.store(sys::gettid() as u32, Ordering::Release);
        if left.is_none() {
            tell(&[kind::THREAD, index as u64], &[], 0);
        }
        Ok(Self {
            index,
            line,
            buffer,
            event: AtomicI32::new(-1),
            long: Patience::new(WAKING),
            short: Patience::new(ANSWERING),
            last: AtomicUsize::new(0),
        })
    }

    /// The eventfd that ends [`Client::sleep`], -1 if there is none yet.
    pub(crate) fn event(&self) -> i32 {
        self.event.load(Ordering::Acquire)
    }

    /// A signal came for the thread. Async-signal-safe.
    pub(crate) fn interrupt(&self) {
        let serial = self.line.serial.load(Ordering::SeqCst);
        tell(&[kind::INTERRUPT, self.index as u64, serial], &[], libc::MSG_DONTWAIT);
        if self.event() >= 0 {
            sys::ring(self.event());
        }
    }

    /// Makes a call; the answer is as the kernel gives it, and the signals that are to be raised.
    pub(crate) fn call(&self, number: u64, args: [u64; 6]) -> (Result<u64>, u64) {
        // The keeper reaches the memory of the process that it shares it with.
        let mut list = if door::is_here() { Pieces::new() } else { pieces::of(number, &args) };
        // What the kernel puts into the buffer it has let go. More than twice the last time goes past the buffer: to see that the program
        // can take it costs more than it brings.
        let mut usual = (self.last.load(Ordering::Relaxed) * 2).clamp(PAGE, BUFFER);
        let mut reads = false;
        for piece in list.iter_mut().filter(|p| p.mode & mode::ROOM != 0) {
            reads = true;
            piece.len = piece.len.min(usual);
            usual -= piece.len;
        }
        let (result, signals) = self.call_with(number, args, &list);
        if let (true, Ok(n @ 1..)) = (reads, result) {
            self.last.store((n as usize).min(BUFFER), Ordering::Relaxed);
        }
        (result, signals)
    }

    fn call_with(&self, number: u64, args: [u64; 6], list: &[Piece]) -> (Result<u64>, u64) {
        let line = self.line;
        // From here on a signal is told with this number; one that came before would not be.
        line.serial.fetch_add(1, Ordering::SeqCst);
        line.interrupted.store(u32::from(is_interrupted(thread::current())), Ordering::Relaxed);
        line.number.store(number, Ordering::Relaxed);
        for (to, from) in line.args.iter().zip(args) {
            to.store(from, Ordering::Relaxed);
        }
        let placed = self.place(list);
        if !line.pass(turn::IDLE, turn::CALL) {
            return (Err(Errno::EIO), 0);
        }
        // A call that may wait for something else is not waited for so long.
        let patience = if waits(number) { &self.short } else { &self.long };
        loop {
            match line.wait(Side::Caller, patience, PATIENCE) {
                turn::DONE => break,
                turn::ASK => {
                    let answer = sys::uncheck(self.asked());
                    line.ask_answer.store(answer as i64, Ordering::Relaxed);
                    line.pass(turn::ASK, turn::ANSWER);
                }
                turn::OVER => return (Err(Errno::EIO), 0),
                _ => {
                    if message::hung_up(CONNECTION.load(Ordering::Acquire)) {
                        line.end();
                    }
                }
            }
        }
        let mut result = match line.answer.load(Ordering::Relaxed) {
            e @ -4095..0 => Err(Errno(-e as i32)),
            value => Ok(value as u64),
        };
        let signals = line.signals.load(Ordering::Relaxed);
        for (place, (addr, len, at)) in line.places.iter().zip(&placed) {
            let n = place.written().min(*len);
            if n > 0 && !self.empty(*addr, *at, n) {
                result = Err(Errno::EFAULT);
            }
        }
        line.turn.store(turn::IDLE, Ordering::Release);
        (result, signals)
    }

    /// Puts pieces of the program's memory into the buffer, or makes room for them. Answers what comes back: address, length, place in the
    /// buffer. A piece that the program does not have is left to the kernel, which answers for it.
    fn place(&self, list: &[Piece]) -> ArrayVec<(u64, usize, usize), PIECES> {
        let mut placed = ArrayVec::new();
        let mut at = 0;
        for piece in list {
            let mut len = piece.len.min(BUFFER - at);
            if piece.mode & mode::WRITE != 0 {
                len = writable(piece.addr, len);
            }
            let read = piece.mode & mode::READ != 0;
            // What goes both ways goes as a whole.
            let cut = read && piece.mode & mode::WRITE != 0 && len < piece.len;
            if len == 0 || cut || read && !self.fill(piece.addr, at, len) {
                continue;
            }
            let filled = if read { len } else { 0 };
            self.line.places[placed.len()].set(piece.addr, len, at, filled, piece.mode);
            placed.push((piece.addr, len, at));
            at = (at + len).next_multiple_of(8).min(BUFFER);
        }
        self.line.count.store(placed.len() as u32, Ordering::Relaxed);
        placed
    }

    /// Copies memory of the program's into the buffer, to `at`.
    fn fill(&self, addr: u64, at: usize, len: usize) -> bool {
        // SAFETY: inside the buffer, which is this thread's now.
        let room = unsafe { core::slice::from_raw_parts_mut(self.buffer.piece(at, len), len) };
        Own.read(addr, room).is_ok()
    }

    /// Copies from the buffer, from `at` on, to memory of the program's.
    fn empty(&self, addr: u64, at: usize, len: usize) -> bool {
        // SAFETY: inside the buffer, which is this thread's now.
        let bytes = unsafe { core::slice::from_raw_parts(self.buffer.piece(at, len), len) };
        Own.write(addr, bytes).is_ok()
    }

    /// Does what the kernel asks for.
    fn asked(&self) -> Result<u64> {
        let a = [0, 1, 2].map(|i: usize| self.line.ask_args[i].load(Ordering::Relaxed));
        let (fd, flag) = (a[0] as i32, a[2] != 0);
        match self.line.ask.load(Ordering::Relaxed) {
            ask::ALLOC => {
                let kind = match a[0] {
                    0 => FileKind::Socket,
                    1 => FileKind::Epoll,
                    _ => FileKind::File,
                };
                HostNumbers.alloc(kind, a[1] as i32, flag).map(|fd| fd as u64)
            }
            ask::DUP => HostNumbers.dup(fd, a[1] as i32, flag).map(|fd| fd as u64),
            ask::DUP_TO => HostNumbers.dup_to(fd, a[1] as i32, flag).map(|()| 0),
            ask::FREE => {
                HostNumbers.free(fd);
                Ok(0)
            }
            ask::CLOEXEC => Ok(u64::from(HostNumbers.cloexec(fd))),
            ask::SET_CLOEXEC => {
                HostNumbers.set_cloexec(fd, a[1] != 0);
                Ok(0)
            }
            ask::READ if self.fill(a[0], BUFFER, (a[1] as usize).min(ASKED)) => Ok(0),
            ask::WRITE if self.empty(a[0], BUFFER, (a[1] as usize).min(ASKED)) => Ok(0),
            ask::READ | ask::WRITE => Err(Errno::EFAULT),
            _ => Err(Errno::ENOSYS),
        }
    }

    /// An operation on a list of our own, which the kernel reads and writes.
    fn poll_op(&self, number: u64, fds: &mut [PollFd]) -> usize {
        let mut list: Vec<Poll> = fds.iter().map(|p| Poll { fd: p.fd, events: p.events.0, revents: 0 }).collect();
        let at = list.as_mut_ptr() as u64;
        let mode = if number == op::CHECK { mode::WRITE } else { mode::READ | mode::WRITE };
        let piece = Piece { addr: at, len: size_of_val(list.as_slice()), mode };
        let (result, _) = self.call_with(number, [at, list.len() as u64, 0, 0, 0, 0], &[piece]);
        match result {
            Ok(n) => {
                for (to, from) in fds.iter_mut().zip(&list) {
                    to.revents = Events(from.revents);
                }
                n as usize
            }
            // As after a panic of the kernel.
            Err(_) => {
                fds.iter_mut().for_each(|p| p.revents = Events::ERR);
                fds.len()
            }
        }
    }

    /// Which of `fds` are ready; writes every `revents`.
    pub(crate) fn look(&self, fds: &mut [PollFd]) -> usize {
        self.poll_op(op::LOOK, fds)
    }

    /// Makes what ends [`Client::sleep`], if it is not there yet.
    ///
    /// # Errors
    /// `EMFILE`, `EIO`
    pub(crate) fn make_event(&self) -> Result<()> {
        if self.event() >= 0 {
            return Ok(());
        }
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: no pointers.
        let fd = fds::privatise(unsafe { host!(libc::SYS_eventfd2, 0, flags) }? as i32);
        // Answered, so that nothing can happen before the keeper has it.
        super::request(&[kind::EVENT, self.index as u64], &[fd])?;
        self.event.store(fd, Ordering::Release);
        Ok(())
    }

    /// The same as [`Client::look`]; from now on until [`Client::unwatch`], a change ends [`Client::sleep`].
    ///
    /// # Errors
    /// `EMFILE`, `EIO`
    pub(crate) fn watch(&self, fds: &mut [PollFd]) -> Result<usize> {
        self.make_event()?;
        Ok(self.poll_op(op::WATCH, fds))
    }

    /// Looks again at what is watched.
    pub(crate) fn check(&self, fds: &mut [PollFd]) -> usize {
        self.poll_op(op::CHECK, fds)
    }

    /// The end of [`Client::watch`].
    pub(crate) fn unwatch(&self) {
        let _done = self.call_with(op::UNWATCH, [0; 6], &[]);
    }

    /// What an epoll instance has to tell, at most `max` events. `how`: of [`super::line::how`].
    ///
    /// # Errors
    /// `EBADF`, `EINVAL`, `EIO`; `EMFILE` if it is to be watched.
    pub(crate) fn epoll_ready(&self, epfd: i32, how: u64, max: usize) -> Result<Vec<EpollEvent>> {
        if how == how::WATCH {
            self.make_event()?;
        }
        let max = max.min(BUFFER / 32);
        let mut found = vec![[0u64; 2]; max];
        let n = self.epoll_op(op::READY, epfd, max as u64, how, &mut found)?;
        Ok(found.into_iter().take(n).map(event_of).collect())
    }

    /// What it has to tell of the instance that is in it by the number `fd`.
    ///
    /// # Errors
    /// `ENOENT`, `EBADF`, `EINVAL`, `EIO`
    pub(crate) fn epoll_inner(&self, epfd: i32, watched: bool, fd: i32) -> Result<Option<EpollEvent>> {
        let mut found = [[0u64; 2]];
        let n = self.epoll_op(op::INNER, epfd, fd as u64, u64::from(watched), &mut found)?;
        Ok(found.into_iter().take(n).map(event_of).next())
    }

    fn epoll_op(&self, number: u64, epfd: i32, what: u64, how: u64, found: &mut [[u64; 2]]) -> Result<usize> {
        let at = found.as_mut_ptr() as u64;
        let piece = Piece { addr: at, len: size_of_val(found), mode: mode::WRITE };
        let args = [epfd as u64, at, what, how, 0, 0];
        self.call_with(number, args, &[piece]).0.map(|n| n as usize)
    }

    /// Sleeps until one of the host's `host` is ready, what is watched changes, a signal comes, or the deadline.
    pub(crate) fn sleep(&self, host: &mut [libc::pollfd], deadline: Option<Instant>) -> Slept {
        let t = thread::current();
        // It may have come before there was an eventfd to ring.
        if is_interrupted(t) {
            return Slept::Interrupted;
        }
        let mut all = Vec::with_capacity(host.len() + 1);
        all.push(libc::pollfd { fd: self.event(), events: libc::POLLIN, revents: 0 });
        all.extend_from_slice(host);
        let ts = deadline.map(|d| d.since(now())).map(|d| [d.as_secs(), u64::from(d.subsec_nanos())]);
        let at = ts.as_ref().map_or(core::ptr::null(), |t| t.as_ptr());
        // SAFETY: the array and the time live through the call.
        let ready = unsafe { host!(libc::SYS_ppoll, all.as_mut_ptr(), all.len(), at, 0usize, 8usize) };
        let rung = all[0].revents != 0;
        if rung {
            sys::hush(self.event());
        }
        for (to, from) in host.iter_mut().zip(&all[1..]) {
            to.revents = from.revents;
        }
        match ready {
            Err(Errno::EINTR) => Slept::Interrupted,
            Err(e) => Slept::Failed(e),
            Ok(0) => Slept::TimedOut,
            Ok(n) if n as usize > usize::from(rung) => Slept::Host(n as usize - usize::from(rung)),
            // A signal that came before the wait rang too, and so did who cancels the thread.
            Ok(_) if is_interrupted(t) => Slept::Interrupted,
            Ok(_) => Slept::Unparked,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Another thread goes on with it, if the keeper has not given it up.
        if self.line.turn.load(Ordering::Acquire) == turn::IDLE {
            LEFT.with(|left| left.push(self.index));
        }
        let event = self.event();
        if event >= 0 {
            fds::set(event, fds::state::HOST);
            sys::close(event);
        }
    }
}

/// From the form of [`op::READY`].
fn event_of([first, data]: [u64; 2]) -> EpollEvent {
    let instance = ((first >> 32) as i32).checked_sub(1).filter(|fd| *fd >= 0);
    EpollEvent { events: first as u32, data, instance }
}

/// The present, by the clock that the kernel has.
pub(crate) fn now() -> Instant {
    let mut t = [0u64; 2];
    // SAFETY: a `struct timespec` of two 64-bit numbers.
    let _ok = unsafe { host!(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, t.as_mut_ptr()) };
    Instant::from_nanos(Duration::new(t[0], t[1] as u32).as_nanos() as u64)
}

/// Has a signal come for the thread that it has yet to look at, or was it cancelled?
fn is_interrupted(t: &thread::Thread) -> bool {
    t.deferred.get() != 0 || t.cancelled.load(Ordering::SeqCst)
}

/// May the call wait for something that others do?
fn waits(number: u64) -> bool {
    let number = number as usize;
    door::blocks(number) || matches!(number, nr::EPOLL_PWAIT | nr::CLOSE)
}
