//! Where the program's threads sleep.

#[cfg(test)]
mod tests;

use crate::real::{hush, ring, RealHost};
use crate::sys;
use core::sync::atomic::{
    AtomicI32, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};
use core::time::Duration;
use lkl_abi::Errno;
use lkl_ops::{Host, Instant, Parker, Woken};
use rustix::thread::futex;
use smallvec::SmallVec;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};

/// `unpark` was called.
const TOKEN: u32 = 1;
/// `interrupt` was called.
const INTERRUPT: u32 = 2;
/// The owner sleeps on the word itself.
const IN_FUTEX: u32 = 4;
/// The owner sleeps in a `ppoll` that has `event` in it.
const IN_POLL: u32 = 8;

/// After how many calls in which it did not sleep a thread serves the kernel, if nobody is about it: often enough that a device's queue
/// (500 frames in a TAP) does not overflow, and seldom enough that looking for nothing costs nothing.
const PASSES: u32 = 16;

/// The longest time given to the host at once. There always is one: a futex call without a time-out is started again by
/// the host after a handler with `SA_RESTART`, and some calls must not be.
const LONGEST: Duration = Duration::from_secs(1 << 30);

/// Why [`ThreadParker::sleep`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slept {
    /// `unpark` was called, or the wake-up is spurious.
    Unparked,
    /// The deadline has passed.
    TimedOut,
    /// A signal handler of the program ran, or [`ThreadParker::interrupt`] was called.
    Interrupted,
    /// So many of the host's descriptors are ready; their `revents` are written.
    Host(usize),
    /// The host refuses to poll the descriptors (`EINVAL`, `ENOMEM`, ...).
    Failed(Errno),
}

/// The place of one thread of the program. If nobody else of the program drives the stack, it does so while it sleeps.
pub struct ThreadParker {
    host: Arc<RealHost>,
    word: AtomicU32,
    /// What `unpark` writes while the word has [`IN_POLL`].
    event: AtomicI32,
    /// The process whose thread sleeps here.
    home: i32,
    /// How many calls in a row have not slept. The owner writes it.
    passes: AtomicU32,
    me: Weak<Self>,
}

impl ThreadParker {
    /// A place for one thread.
    pub fn new(host: &Arc<RealHost>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            host: host.clone(),
            word: AtomicU32::new(0),
            event: AtomicI32::new(-1),
            home: rustix::process::getpid().as_raw_nonzero().get(),
            passes: AtomicU32::new(0),
            me: me.clone(),
        })
    }

    /// Sleeps as [`Parker::park`] does, and until one of the host's `fds` is ready; with `sigmask` as the thread's signal mask, set
    /// and unset together with going to sleep and waking up, as `ppoll` does. With no `fds` and no mask it is
    /// the same as `park`.
    ///
    /// Like `park` it may come back early; the caller looks at its files again, and comes back with the same deadline.
    /// Only after [`Slept::Host`] are `revents` of any meaning.
    ///
    /// If it drives, it first looks at the devices again and again for the time `busy`.
    pub fn sleep(
        &self,
        fds: &mut [libc::pollfd],
        deadline: Option<Instant>,
        sigmask: Option<u64>,
        busy: Duration,
    ) -> Slept {
        if let Some(slept) = self.take(self.word.swap(0, SeqCst)) {
            return slept;
        }
        self.passes.store(0, Relaxed);
        if self.host.try_drive(self.home) {
            let slept = self.drive(fds, deadline, sigmask, busy);
            self.host.stop_driving();
            return slept;
        }
        self.host.add_parked(self);
        let slept = if fds.is_empty() && sigmask.is_none() && !self.host.signals.any() {
            self.sleep_on_word(deadline)
        } else {
            match self.host.borrow_event() {
                Ok(event) => {
                    let slept = match self.borrow_signals() {
                        Ok(signals) => {
                            let slept = self.sleep_beside(event, signals, fds, deadline, sigmask);
                            signals.into_iter().for_each(|fd| self.host.signals.give_back(fd));
                            slept
                        }
                        Err(e) => Slept::Failed(e),
                    };
                    self.host.give_event_back(event);
                    slept
                }
                Err(e) => Slept::Failed(e),
            }
        };
        self.host.remove_parked(self);
        slept
    }

    /// Makes the owner's present or next sleep end with "interrupted". Async-signal-safe; meant for a handler that runs
    /// in the owner while it is on its way to sleep.
    pub fn interrupt(&self) {
        self.wake(INTERRUPT);
    }

    /// Takes back an [`interrupt`](Self::interrupt) that no sleep has seen; answers whether there was one.
    pub fn take_interrupt(&self) -> bool {
        self.word.fetch_and(!INTERRUPT, SeqCst) & INTERRUPT != 0
    }

    pub(crate) fn home(&self) -> i32 {
        self.home
    }

    pub(crate) fn weak(&self) -> Weak<Self> {
        self.me.clone()
    }

    fn wake(&self, bit: u32) {
        let before = self.word.fetch_or(bit, SeqCst);
        if before & (TOKEN | INTERRUPT) != 0 {
            return;
        }
        if before & IN_FUTEX != 0 {
            let _woken = futex::wake(&self.word, futex::Flags::PRIVATE, 1);
        } else if before & IN_POLL != 0 {
            ring(self.event.load(SeqCst));
        }
    }

    /// What a word taken means, if anything. An interrupt beside a token stays for later.
    fn take(&self, word: u32) -> Option<Slept> {
        if word & TOKEN != 0 {
            if word & INTERRUPT != 0 {
                self.word.fetch_or(INTERRUPT, SeqCst);
            }
            return Some(Slept::Unparked);
        }
        (word & INTERRUPT != 0).then_some(Slept::Interrupted)
    }

    /// Marks the owner as asleep, unless there is something for it.
    fn lie_down(&self, how: u32) -> Option<Slept> {
        match self.word.compare_exchange(0, how, SeqCst, SeqCst) {
            Ok(_) => None,
            Err(_) => self.take(self.word.swap(0, SeqCst)),
        }
    }

    fn time_left(&self, deadline: Option<Instant>) -> Option<Duration> {
        match deadline {
            None => Some(LONGEST),
            Some(d) => Some(d.since(self.host.now()).min(LONGEST)).filter(|t| !t.is_zero()),
        }
    }

    fn sleep_on_word(&self, deadline: Option<Instant>) -> Slept {
        let Some(time) = self.time_left(deadline) else { return Slept::TimedOut };
        if let Some(slept) = self.lie_down(IN_FUTEX) {
            return slept;
        }
        let time = futex::Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        let result = futex::wait(&self.word, futex::Flags::PRIVATE, IN_FUTEX, Some(&time));
        let word = self.word.swap(0, SeqCst);
        self.take(word).unwrap_or(match result {
            Err(rustix::io::Errno::INTR) => Slept::Interrupted,
            Err(rustix::io::Errno::TIMEDOUT) => Slept::TimedOut,
            _ => Slept::Unparked,
        })
    }

    /// What tells a sleeper who does not drive of signals, if any file takes some.
    fn borrow_signals(&self) -> lkl_abi::Result<Option<RawFd>> {
        let host = &*self.host;
        host.signals.any().then(|| host.signals.borrow(host.hooks.privatise)).transpose()
    }

    /// Sleeps in a `ppoll` of its own while somebody else drives.
    fn sleep_beside(
        &self,
        event: RawFd,
        signals: Option<RawFd>,
        fds: &mut [libc::pollfd],
        deadline: Option<Instant>,
        sigmask: Option<u64>,
    ) -> Slept {
        self.event.store(event, SeqCst);
        if let Some(slept) = self.lie_down(IN_POLL) {
            return slept;
        }
        let time = self.time_left(deadline).unwrap_or_default();
        let own = core::iter::once(event).chain(signals);
        let mut all: SmallVec<[libc::pollfd; 8]> =
            own.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
        let theirs = all.len();
        all.extend_from_slice(fds);
        let result = sys::ppoll(&mut all, Some(time), sigmask);
        let mut word = self.word.swap(0, SeqCst);
        if all.first().is_some_and(|e| e.revents != 0) {
            hush(event);
        }
        let ready = |p: &&libc::pollfd| p.revents != 0;
        if let Some(signals) = signals.filter(|_| all.get(1).as_ref().is_some_and(ready)) {
            self.host.signals.tell(signals);
            word |= self.word.swap(0, SeqCst);
        }
        self.judge(result, word, fds, all.get(theirs..).unwrap_or_default(), deadline).unwrap_or(Slept::Unparked)
    }

    /// What a `ppoll` has brought, if anything that concerns the owner.
    fn judge(
        &self,
        result: lkl_abi::Result<usize>,
        word: u32,
        fds: &mut [libc::pollfd],
        polled: &[libc::pollfd],
        deadline: Option<Instant>,
    ) -> Option<Slept> {
        match result {
            Err(Errno::EINTR) => return Some(Slept::Interrupted),
            Err(e) => return Some(Slept::Failed(e)),
            Ok(_) => {}
        }
        let mut ready = 0;
        for (to, from) in fds.iter_mut().zip(polled) {
            to.revents = from.revents;
            ready += usize::from(from.revents != 0);
        }
        if ready > 0 {
            // What `unpark` has said is not lost: the caller looks at all of its files now.
            return Some(Slept::Host(ready));
        }
        self.take(word).or_else(|| {
            let over = deadline.is_some_and(|d| d <= self.host.now());
            over.then_some(Slept::TimedOut)
        })
    }

    /// Drives the stack until something concerns the owner.
    fn drive(
        &self,
        fds: &mut [libc::pollfd],
        deadline: Option<Instant>,
        sigmask: Option<u64>,
        busy: Duration,
    ) -> Slept {
        let host = &*self.host;
        let mut busy = (!busy.is_zero()).then(|| host.now() + busy);
        self.event.store(host.event(), SeqCst);
        let all_of = |fds: &[libc::pollfd]| {
            let changes = host.changes.load(SeqCst);
            let mut all = host.drive_fds();
            let theirs = all.len();
            all.extend_from_slice(fds);
            (changes, theirs, all)
        };
        let (mut changes, mut theirs, mut all) = all_of(fds);
        loop {
            let next = host.run_service(&|| self.word.load(SeqCst) & TOKEN != 0);
            if deadline.is_some_and(|d| d <= host.now()) {
                return self.take(self.word.swap(0, SeqCst)).unwrap_or(Slept::TimedOut);
            }
            if let Some(slept) = self.lie_down(IN_POLL) {
                return slept;
            }
            let until = deadline.map_or(next, |d| d.min(next));
            let mut time = host.fall_asleep(until);
            // Whoever has changed it before it saw that this thread falls asleep has not woken it.
            if host.changes.load(SeqCst) != changes {
                (changes, theirs, all) = all_of(fds);
            }
            busy = busy.filter(|end| host.now() < *end);
            if busy.is_some() {
                time = Some(Duration::ZERO);
            }
            let result = sys::ppoll(&mut all, time, sigmask);
            host.state.asleep_until.store(0, SeqCst);
            let word = self.word.swap(0, SeqCst);
            if all.first().is_some_and(|e| e.revents != 0) {
                hush(host.event());
            }
            let devices = all.get(1..theirs).unwrap_or_default();
            if devices.iter().any(|d| d.revents & (libc::POLLERR | libc::POLLNVAL) != 0) {
                host.unwatch_broken(devices);
                return Slept::Unparked;
            }
            if let Some(slept) = self.judge(result, word, fds, all.get(theirs..).unwrap_or_default(), deadline) {
                return slept;
            }
        }
    }
}

impl Parker for ThreadParker {
    fn park(&self, deadline: Option<Instant>) -> Woken {
        self.park_busy(deadline, Duration::ZERO)
    }

    fn park_busy(&self, deadline: Option<Instant>, busy: Duration) -> Woken {
        match self.sleep(&mut [], deadline, None, busy) {
            Slept::TimedOut => Woken::TimedOut,
            Slept::Interrupted => Woken::Interrupted,
            Slept::Unparked | Slept::Host(_) | Slept::Failed(_) => Woken::Unparked,
        }
    }

    fn passed_by(&self) {
        let passes = self.passes.load(Relaxed) + 1;
        if passes < PASSES {
            return self.passes.store(passes, Relaxed);
        }
        self.passes.store(0, Relaxed);
        if self.host.try_drive(self.home) {
            self.host.run_service(&|| false);
            self.host.stop_driving();
        }
    }

    fn unpark(&self) {
        self.wake(TOKEN);
    }

    fn alive(&self) -> bool {
        self.host.state.gone.load(SeqCst) != self.home
    }
}

impl core::fmt::Debug for ThreadParker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ThreadParker({:#x})", self.word.load(SeqCst))
    }
}
