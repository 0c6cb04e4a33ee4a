//! The real host, and who serves the kernel.
//!
//! At each moment at most one thread *drives*: it sleeps in one `ppoll` over the devices and an eventfd, until the
//! kernel's next deadline, and calls the kernel's `service` when it wakes up. A thread of the program that waits for the kernel
//! drives, if nobody else of the program does ([`crate::ThreadParker`]): the frame that it waits for then wakes it and
//! nobody else. While none waits, the worker drives ([`crate::worker`]).
//!
//! Who drives is one word, [`State::driver`]. A caller takes it from nobody ([`FREE`]) or from a worker that sleeps.
//! The worker finds out when it wakes up, and keeps away while callers come and go: it naps, and looks again. Once one
//! caller has driven for some time it sleeps until that one leaves.
//!
//! Invariant: when `driver` is [`FREE`], the worker is awake, or naps, or was told; or there is nothing to serve.

use crate::park::ThreadParker;
use crate::signalfd::Signals;
use crate::{signal, sys, worker};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use lkl_abi::Result;
use lkl_ops::{Host, Instant, Owner, OwnerKind, Poll, SignalSource};
use rustix::event::EventfdFlags;
use rustix::thread::futex;
use rustix::time::ClockId;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;

/// Nobody drives.
pub(crate) const FREE: u32 = 0;
/// A thread of the program drives.
pub(crate) const CALLER: u32 = 1;
/// The worker drives and sleeps: a caller may take over.
pub(crate) const WORKER_ASLEEP: u32 = 2;
/// The worker drives and is at work.
pub(crate) const WORKER_BUSY: u32 = 3;

/// What the worker does.
pub(crate) mod mode {
    /// There is none.
    pub(crate) const NONE: u32 = 0;
    /// It is in its `ppoll`, or at work.
    pub(crate) const POLLING: u32 = 1;
    /// It looks again very soon.
    pub(crate) const NAPPING: u32 = 2;
    /// It sleeps until a driver leaves.
    pub(crate) const DEEP: u32 = 3;
}

/// What an embedding that hides descriptors and threads from the program does with those that are made here.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// Moves a descriptor out of the program's way and guards it; answers its new number.
    pub privatise: fn(RawFd) -> RawFd,
    /// Called first in each thread that is made here.
    pub thread_start: fn(),
    /// A descriptor was made here that other processes which share the memory must have at the same number. Answers
    /// whether they have.
    pub mirror: fn(RawFd) -> bool,
    /// No worker is made when one is needed: a thread of the embedding's own making calls [`RealHost::work`].
    pub brings_worker: bool,
    /// The clock, in nanoseconds since an arbitrary start; the host's monotonic one if `None`.
    pub clock: Option<extern "C" fn() -> u64>,
    /// The kernel has panicked ([`Host::panicked`]).
    pub panicked: fn(),
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            privatise: move_high,
            thread_start: || {},
            mirror: |_| true,
            brings_worker: false,
            clock: None,
            panicked: || {},
        }
    }
}

/// Moves a descriptor near the limit of open files, where no program looks; the old number if there is no room.
fn move_high(fd: RawFd) -> RawFd {
    let min = i32::try_from(sys::nofile().min(4096).saturating_sub(64)).unwrap_or(0);
    match sys::dup_above(fd, min) {
        Ok(high) => {
            sys::close(fd);
            high
        }
        Err(_) => fd,
    }
}

/// What serves the kernel: answers its next deadline. It is given what says that the caller need not wait any more.
pub(crate) type Service = Box<dyn Fn(&dyn Fn() -> bool) -> Option<Instant> + Send + Sync>;

/// The word of who drives, and what goes with it.
pub(crate) struct State {
    pub(crate) driver: AtomicU32,
    /// Counts how often the worker has set to work.
    pub(crate) rounds: AtomicU32,
    /// Counts the workers that were let go of.
    pub(crate) workers: AtomicU32,
    /// The process of the caller that drives, or drove last.
    driver_home: AtomicI32,
    /// A process that has ended ([`RealHost::disown`]); 0 for none.
    pub(crate) gone: AtomicI32,
    /// How many times a caller has begun to drive.
    pub(crate) drives: AtomicU32,
    /// Until when the driver sleeps in its `ppoll`, in nanoseconds; 0 while it does not.
    pub(crate) asleep_until: AtomicU64,
    /// The same for the worker, also while its `ppoll` goes on though a caller drives.
    pub(crate) worker_until: AtomicU64,
    /// The earliest deadline that was asked for since the driver last looked, in nanoseconds.
    pub(crate) rearmed: AtomicU64,
    /// The deadline that the kernel gave last, in nanoseconds.
    promised: AtomicU64,
    /// One of [`mode`].
    pub(crate) worker: AtomicU32,
    /// Counts what the worker must wake up for; it sleeps on this word.
    pub(crate) bell: AtomicU32,
    /// The eventfd that whoever drives looks at.
    event: AtomicI32,
    /// A bounded life, for tests: the worker ends.
    pub(crate) stop: AtomicBool,
}

/// Time and chance of the machine; see the module's text for the rest.
pub struct RealHost {
    pub(crate) state: State,
    pub(crate) hooks: Hooks,
    service: OnceLock<Service>,
    devices: Mutex<Arc<[RawFd]>>,
    /// Counts the changes of what a driver sleeps on.
    pub(crate) changes: AtomicU32,
    /// Files of the kernel that take signals.
    pub(crate) signals: Arc<Signals>,
    /// Eventfds for sleepers who wait for descriptors of the host and do not drive; closed with the host.
    events: Mutex<Vec<RawFd>>,
    /// Callers who sleep without driving. The worker gives the work to one of them.
    parked: Mutex<BTreeMap<usize, Weak<ThreadParker>>>,
    /// The worker that [`worker::ensure`] made.
    pub(crate) worker_thread: Mutex<Option<JoinHandle<()>>>,
    me: Weak<Self>,
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RealHost {
    /// A host without devices.
    ///
    /// # Errors
    /// `EMFILE` and others: no eventfd could be made.
    pub fn new(hooks: Hooks) -> Result<Arc<Self>> {
        let event = new_event(&hooks)?;
        Ok(Arc::new_cyclic(|me| Self {
            state: State {
                driver: AtomicU32::new(FREE),
                rounds: AtomicU32::new(0),
                workers: AtomicU32::new(0),
                driver_home: AtomicI32::new(0),
                gone: AtomicI32::new(0),
                drives: AtomicU32::new(0),
                asleep_until: AtomicU64::new(0),
                worker_until: AtomicU64::new(0),
                rearmed: AtomicU64::new(u64::MAX),
                promised: AtomicU64::new(u64::MAX),
                worker: AtomicU32::new(if hooks.brings_worker { mode::NAPPING } else { mode::NONE }),
                bell: AtomicU32::new(0),
                event: AtomicI32::new(event),
                stop: AtomicBool::new(false),
            },
            hooks,
            service: OnceLock::new(),
            devices: Mutex::new(Arc::new([])),
            changes: AtomicU32::new(0),
            signals: Signals::new(),
            events: Mutex::new(Vec::new()),
            parked: Mutex::new(BTreeMap::new()),
            worker_thread: Mutex::new(None),
            me: me.clone(),
        }))
    }

    /// Says what serves the kernel. The first call counts. It is not called while nobody sleeps for it. It is given a function
    /// that tells whether who serves has what he waits for, so that the rest can be left to the next one.
    pub fn serve(&self, service: impl Fn(&dyn Fn() -> bool) -> Option<Instant> + Send + Sync + 'static) {
        let _first = self.service.set(Box::new(service));
    }

    /// Adds a descriptor that becomes readable when `service` must be called. From now on there is a worker.
    pub fn watch(&self, fd: RawFd) {
        let mut devices = lock(&self.devices);
        *devices = devices.iter().copied().chain([fd]).collect();
        drop(devices);
        self.changes.fetch_add(1, SeqCst);
        self.ring();
    }

    /// No longer looks at devices that are gone: polling them would return at once for ever.
    pub(crate) fn unwatch_broken(&self, polled: &[libc::pollfd]) {
        let broken = |fd: RawFd| polled.iter().any(|p| p.fd == fd && p.revents & (libc::POLLERR | libc::POLLNVAL) != 0);
        // A socket tells once of what has happened to it (an interface went down), and goes on.
        let broken = |fd: RawFd| broken(fd) && sys::take_error(fd).is_err();
        let mut devices = lock(&self.devices);
        if devices.iter().any(|fd| broken(*fd)) {
            tracing::warn!("a network device is gone");
            *devices = devices.iter().copied().filter(|fd| !broken(*fd)).collect();
            self.changes.fetch_add(1, SeqCst);
        }
    }

    /// No longer looks at a device that was added by [`Self::watch`]. Whoever sleeps now may still do so until it wakes up next.
    pub fn unwatch(&self, fd: RawFd) {
        let mut devices = lock(&self.devices);
        *devices = devices.iter().copied().filter(|d| *d != fd).collect();
        drop(devices);
        self.changes.fetch_add(1, SeqCst);
        self.ring_event();
    }

    /// The kernel is no longer served, and the worker ends: the kernel is about to be dropped.
    pub fn retire(&self) {
        self.state.stop.store(true, SeqCst);
        self.ring_event();
        self.ring_bell();
    }

    /// The same; comes back when the worker has ended, and its thread.
    pub fn retire_and_wait(&self) {
        self.retire();
        while self.state.worker.load(SeqCst) != mode::NONE {
            std::thread::sleep(Duration::from_micros(50));
            // It may have been about to sleep.
            self.ring_bell();
        }
        let thread = lock(&self.worker_thread).take();
        if let Some(thread) = thread {
            let _panicked = thread.join();
        }
    }

    /// Is the worker, until [`RealHost::retire`].
    pub fn work(self: &Arc<Self>) {
        worker::run(self);
    }

    /// Closes the devices: the process ends, and others wait for them.
    pub fn release(&self) {
        for fd in lock(&self.devices).iter() {
            sys::close(*fd);
        }
    }

    /// The process `home`, which shares this memory, has ended, with whatever its threads were about: none of them drives or
    /// can be woken any more.
    pub fn disown(&self, home: i32) {
        let s = &self.state;
        s.gone.store(home, SeqCst);
        // The last reference of a parker must not go under the lock.
        let mut theirs = Vec::new();
        lock(&self.parked).retain(|_, parker| match parker.upgrade() {
            Some(p) => {
                let stays = p.home() != home;
                theirs.push(p);
                stays
            }
            None => false,
        });
        drop(theirs);
        if s.driver.load(SeqCst) == CALLER && s.driver_home.load(SeqCst) == home {
            s.asleep_until.store(0, SeqCst);
            s.driver.store(FREE, SeqCst);
            self.ring_bell();
            self.ring_event();
        }
    }

    pub(crate) fn arc(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// Serves the kernel; answers until when it is fine to sleep, as far as the kernel is concerned.
    pub(crate) fn run_service(&self, enough: &dyn Fn() -> bool) -> Instant {
        self.state.rearmed.store(u64::MAX, SeqCst);
        if let Some(sleeper) = self.signals.driver().filter(|_| self.signals.any()) {
            self.signals.tell(sleeper);
        }
        let next = self.service.get().and_then(|service| service(enough)).unwrap_or(Instant::FAR_FUTURE);
        self.state.promised.store(next.as_nanos(), SeqCst);
        next
    }

    /// How often the worker has set to work, while it works; `None` while it sleeps or leaves the kernel to callers. One that stays at
    /// work has got stuck.
    pub fn at_work(&self) -> Option<u32> {
        let s = &self.state;
        (s.driver.load(SeqCst) == WORKER_BUSY).then(|| s.rounds.load(SeqCst))
    }

    /// The worker, which was at its work `round` ([`RealHost::at_work`]), will never come back: it waits for a lock of somebody who is
    /// gone. Answers whether it is let go of; then the caller finds another thread to [`RealHost::work`].
    pub fn give_up_worker(&self, round: u32) -> bool {
        let s = &self.state;
        if self.at_work() != Some(round) {
            return false;
        }
        s.workers.fetch_add(1, SeqCst);
        s.driver.store(FREE, SeqCst);
        true
    }

    /// What a driver sleeps on: its eventfd first, then the devices, and what tells of signals.
    pub(crate) fn drive_fds(&self) -> SmallVec<[libc::pollfd; 8]> {
        let devices = lock(&self.devices).clone();
        let all = core::iter::once(self.event()).chain(devices.iter().copied()).chain(self.signals.driver());
        all.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect()
    }

    pub(crate) fn event(&self) -> RawFd {
        self.state.event.load(SeqCst)
    }

    /// Says that the driver goes to sleep until `until`; answers the time for which it really may. Zero asks it not to.
    pub(crate) fn fall_asleep(&self, until: Instant) -> Option<Duration> {
        self.state.asleep_until.store(until.as_nanos().max(1), SeqCst);
        // Whoever has asked for an earlier deadline before it saw the store above left it here.
        let until = until.min(Instant::from_nanos(self.state.rearmed.load(SeqCst)));
        (until != Instant::FAR_FUTURE).then(|| until.since(self.now()))
    }

    /// Tries to become the one who drives.
    pub(crate) fn try_drive(&self, home: i32) -> bool {
        let d = &self.state.driver;
        let won = d.compare_exchange(FREE, CALLER, SeqCst, SeqCst).is_ok()
            || d.compare_exchange(WORKER_ASLEEP, CALLER, SeqCst, SeqCst).is_ok();
        if won {
            self.state.driver_home.store(home, SeqCst);
            self.state.drives.fetch_add(1, SeqCst);
        }
        won
    }

    /// The caller that drives leaves.
    pub(crate) fn stop_driving(&self) {
        let s = &self.state;
        s.asleep_until.store(0, SeqCst);
        s.driver.store(FREE, SeqCst);
        match s.worker.load(SeqCst) {
            mode::NAPPING => {}
            // It still sleeps in its own `ppoll`, perhaps too long.
            mode::POLLING if self.worker_wakes_by(s.rearmed.load(SeqCst).min(s.promised.load(SeqCst))) => {}
            mode::POLLING => self.ring_event(),
            mode::DEEP => self.ring_bell(),
            _ if self.anything_to_serve() => worker::ensure(self),
            _ => {}
        }
    }

    /// Does the worker's `ppoll` end by `deadline` (in nanoseconds) without being asked to?
    fn worker_wakes_by(&self, deadline: u64) -> bool {
        let until = self.state.worker_until.load(SeqCst);
        until != 0 && until <= deadline
    }

    fn anything_to_serve(&self) -> bool {
        let deadline = self.state.rearmed.load(SeqCst).min(self.state.promised.load(SeqCst));
        self.service.get().is_some() && (deadline != u64::MAX || !lock(&self.devices).is_empty())
    }

    fn ring_event(&self) {
        ring(self.event());
    }

    pub(crate) fn ring_bell(&self) {
        self.state.bell.fetch_add(1, SeqCst);
        let _woken = futex::wake(&self.state.bell, futex::Flags::PRIVATE, 1);
    }

    /// Has `service` called soon by whoever is there to do it.
    fn ring(&self) {
        let s = &self.state;
        if s.asleep_until.load(SeqCst) != 0 {
            return self.ring_event();
        }
        match s.worker.load(SeqCst) {
            // Nobody sleeps in `ppoll` as far as known: a busy driver sees `rearmed` before it does.
            mode::POLLING | mode::DEEP if s.driver.load(SeqCst) == FREE => self.ring_event(),
            mode::NAPPING if s.driver.load(SeqCst) == FREE => self.ring_bell(),
            mode::NONE if s.driver.load(SeqCst) == FREE => worker::ensure(self),
            _ => {}
        }
    }

    /// Takes an eventfd for a sleeper who does not drive.
    ///
    /// # Errors
    /// `EMFILE`, ...
    pub(crate) fn borrow_event(&self) -> Result<RawFd> {
        if let Some(fd) = lock(&self.events).pop() {
            return Ok(fd);
        }
        let fd = new_event(&self.hooks)?;
        if !(self.hooks.mirror)(fd) {
            sys::close(fd);
            return Err(lkl_abi::Errno::EMFILE);
        }
        Ok(fd)
    }

    pub(crate) fn give_event_back(&self, fd: RawFd) {
        lock(&self.events).push(fd);
    }

    pub(crate) fn add_parked(&self, parker: &ThreadParker) {
        let weak = parker.weak();
        lock(&self.parked).insert(weak.as_ptr() as usize, weak);
    }

    pub(crate) fn remove_parked(&self, parker: &ThreadParker) {
        lock(&self.parked).remove(&(core::ptr::from_ref(parker) as usize));
    }

    /// Wakes one caller who sleeps without driving, so that it comes back to drive.
    pub(crate) fn rouse_one(&self) {
        let one = lock(&self.parked).values().next().cloned();
        if let Some(parker) = one.as_ref().and_then(Weak::upgrade) {
            lkl_ops::Parker::unpark(&*parker);
        }
    }
}

fn new_event(hooks: &Hooks) -> Result<RawFd> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let fd = rustix::event::eventfd(0, flags).map_err(|e| lkl_abi::Errno(e.raw_os_error()))?;
    Ok((hooks.privatise)(fd.into_raw_fd()))
}

/// Makes an eventfd readable.
pub(crate) fn ring(event: RawFd) {
    let _rung = sys::write(event, &1u64.to_ne_bytes());
}

/// Makes an eventfd unreadable.
pub(crate) fn hush(event: RawFd) {
    let _count = sys::read(event, &mut [0; 8]);
}

fn nanos(clock: ClockId) -> u64 {
    let t = rustix::time::clock_gettime(clock);
    let secs = u64::try_from(t.tv_sec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(u64::try_from(t.tv_nsec).unwrap_or(0))
}

impl Drop for RealHost {
    fn drop(&mut self) {
        sys::close(self.event());
        for event in lock(&self.events).drain(..) {
            sys::close(event);
        }
    }
}

impl Host for RealHost {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.hooks.clock.map_or_else(|| nanos(ClockId::Monotonic), |clock| clock()))
    }

    fn realtime(&self) -> Duration {
        Duration::from_nanos(nanos(ClockId::Realtime))
    }

    fn panicked(&self) {
        (self.hooks.panicked)();
    }

    fn random(&self, buf: &mut [u8]) {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                // No such call (a seccomp filter). The time is better than nothing.
                Err(_) => {
                    for b in &mut *rest {
                        *b = nanos(ClockId::Monotonic).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
                    }
                    done += rest.len();
                }
            }
        }
    }

    fn rearm(&self, deadline: Instant) {
        let s = &self.state;
        s.rearmed.fetch_min(deadline.as_nanos(), SeqCst);
        match s.asleep_until.load(SeqCst) {
            // A napping worker looks soon enough, a busy driver before it sleeps.
            0 => match s.worker.load(SeqCst) {
                mode::NAPPING => {}
                mode::POLLING if self.worker_wakes_by(deadline.as_nanos()) => {}
                _ => self.ring(),
            },
            until if until > deadline.as_nanos() => self.ring_event(),
            _ => {}
        }
    }

    fn kick(&self) {
        self.state.rearmed.store(0, SeqCst);
        self.ring();
    }

    fn owner(&self, kind: OwnerKind, id: i32, by: i32) -> Result<Owner> {
        signal::owner(kind, id, by)
    }

    fn owner_lives(&self, owner: &Owner) -> bool {
        signal::lives(owner)
    }

    fn signal(&self, owner: &Owner, signal: i32, poll: Option<Poll>) {
        signal::send(owner, signal, poll);
    }

    fn signals(&self, mask: u64, ready: Arc<dyn Fn() + Send + Sync>) -> Result<Box<dyn SignalSource>> {
        let first = self.signals.driver().is_none();
        let source = self.signals.source(mask, ready, self.hooks.privatise)?;
        if first {
            // Whoever sleeps now does not look at it yet. Nobody has to begin to: only sleepers need to be told.
            self.changes.fetch_add(1, SeqCst);
            if self.state.asleep_until.load(SeqCst) != 0 {
                self.ring_event();
            }
        }
        Ok(source)
    }
}

impl core::fmt::Debug for RealHost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let s = &self.state;
        write!(f, "RealHost(driver {}, worker {})", s.driver.load(SeqCst), s.worker.load(SeqCst))
    }
}
