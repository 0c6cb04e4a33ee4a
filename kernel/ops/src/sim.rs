//! The simulated outside: whole kernels, their timers, their links and their peers on one thread, on virtual time.
//!
//! * [`World`]: the virtual clock, the seeded chance, and the queue of what will happen.
//! * [`SimHost`]: the [`Host`](crate::Host) of one kernel in a world.
//! * [`SimParker`]: a thread's place to sleep, which makes the world go on meanwhile.
//! * [`Link`]: two devices joined by a wire with [`Wire`] properties each way, and with taps.
//! * [`MemDisk`]: a disk in memory, parts of which can be made to fail.
//! * [`Pending`]: the signals that wait for a program.
//!
//! It knows nothing of the kernel: a kernel is a closure ([`SimHost::serve`]) that answers its next deadline. Time
//! goes on only when nothing is left to do at the present instant, so that a run is a function of the seed alone.
//! Below: the traits of this crate. Above: `tests`.

mod disk;
mod link;
mod rng;
mod signals;

#[cfg(test)]
mod tests;

pub use disk::MemDisk;
pub use link::{Link, Side, SimDev, Verdict, Wire};
pub use rng::Rng;
pub use signals::Pending;

use crate::{Host, Instant, Parker, SignalSource, Woken};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What an event does.
type Action = Box<dyn FnOnce(&World) + Send>;
/// What serves a kernel: answers its next deadline.
type Service = Arc<dyn Fn() -> Option<Instant> + Send + Sync>;
/// What may have something to do after each change: answers whether it did something.
type Pump = Arc<dyn Fn() -> bool + Send + Sync>;

/// Rounds at one instant after which a world that does not come to rest is taken for broken.
const MAX_ROUNDS: u32 = 1_000_000;

/// A lock that a panic elsewhere does not poison: this is for tests, and the first panic is the one to see.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

struct State {
    now: Instant,
    rng: Rng,
    next_seq: u64,
    events: BTreeMap<(Instant, u64), Action>,
    hosts: Vec<Weak<SimHost>>,
    pumps: Vec<Pump>,
}

/// A simulated world. Clones are handles to the same one.
#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
}

impl World {
    /// A world at one second after the start of time, whose chance is decided by `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            now: Instant::from_millis(1_000),
            rng: Rng::new(seed),
            next_seq: 0,
            events: BTreeMap::new(),
            hosts: Vec::new(),
            pumps: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Virtual time.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// The next random number.
    pub fn random(&self) -> u64 {
        self.state().rng.next_u64()
    }

    /// A new host, with its own stream of chance.
    pub fn host(&self) -> Arc<SimHost> {
        let mut state = self.state();
        let seed = state.rng.next_u64();
        let host = Arc::new(SimHost {
            world: self.clone(),
            rng: Mutex::new(Rng::new(seed)),
            service: Mutex::new(None),
            kicked: AtomicBool::new(false),
            deadline: Mutex::new(None),
            signals: Arc::default(),
        });
        state.hosts.push(Arc::downgrade(&host));
        host
    }

    /// A place to sleep for the thread that drives the world: while it sleeps, the world goes on.
    pub fn parker(&self) -> Arc<SimParker> {
        Arc::new(SimParker { world: self.clone(), token: AtomicBool::new(false) })
    }

    /// Joins two hosts by a wire with the same properties both ways.
    pub fn link(&self, a: &Arc<SimHost>, b: &Arc<SimHost>, wire: &Wire) -> Link {
        Link::new(self, [Some(a), Some(b)], wire)
    }

    /// A wire between a host and nobody: what the host sends is taken from side `B` by [`SimDev::take`], what it is to receive is
    /// sent there. For scripts and foreign peers.
    pub fn stub_link(&self, a: &Arc<SimHost>, wire: &Wire) -> Link {
        Link::new(self, [Some(a), None], wire)
    }

    /// Has `action` done at `at` (or now, if that has passed). Events of one instant happen in the order of their
    /// making.
    pub fn at(&self, at: Instant, action: impl FnOnce(&Self) + Send + 'static) {
        let mut state = self.state();
        let seq = state.next_seq;
        state.next_seq += 1;
        let at = at.max(state.now);
        state.events.insert((at, seq), Box::new(action));
    }

    /// Has `action` done after `delay`.
    pub fn after(&self, delay: Duration, action: impl FnOnce(&Self) + Send + 'static) {
        self.at(self.now() + delay, action);
    }

    /// Adds somebody who looks around after each change and may act (a program on non-blocking sockets, a runner of
    /// blocking ones). It answers whether it did something.
    pub fn pump(&self, pump: impl Fn() -> bool + Send + Sync + 'static) {
        self.state().pumps.push(Arc::new(pump));
    }

    fn pop_due(&self) -> Option<Action> {
        let mut state = self.state();
        let now = state.now;
        let entry = state.events.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    fn hosts(&self) -> Vec<Arc<SimHost>> {
        let mut state = self.state();
        state.hosts.retain(|h| h.strong_count() > 0);
        state.hosts.iter().filter_map(Weak::upgrade).collect()
    }

    /// Does one round of what is to be done at the present instant; answers whether there was anything.
    fn round(&self) -> bool {
        let mut busy = false;
        while let Some(action) = self.pop_due() {
            action(self);
            busy = true;
        }
        for host in self.hosts() {
            busy |= host.serve_if_due();
        }
        let pumps = self.state().pumps.clone();
        for pump in pumps {
            busy |= pump();
        }
        busy
    }

    /// When the next thing happens, if anything will.
    pub fn next(&self) -> Option<Instant> {
        let event = self.state().events.keys().next().map(|k| k.0);
        let deadline = self.hosts().iter().filter_map(|h| h.next()).min();
        [event, deadline].into_iter().flatten().min()
    }

    /// Does everything that is due now, until nothing is.
    ///
    /// # Panics
    /// If the world does not come to rest: somebody asks to be served at once, for ever.
    pub fn settle(&self) {
        for _ in 0..MAX_ROUNDS {
            if !self.round() {
                return;
            }
        }
        panic!("the world does not come to rest at {:?}", self.now());
    }

    /// Goes on until `done` holds, which is looked at whenever something has happened, or until `deadline`. Answers whether `done`
    /// held. With no deadline it ends also when nothing will ever happen again.
    ///
    /// # Panics
    /// As [`World::settle`] does.
    pub fn run_until(&self, deadline: Option<Instant>, mut done: impl FnMut() -> bool) -> bool {
        let mut rounds = 0;
        loop {
            if done() {
                return true;
            }
            if self.round() {
                rounds += 1;
                assert!(rounds < MAX_ROUNDS, "the world does not come to rest at {:?}", self.now());
                continue;
            }
            rounds = 0;
            let next = match (self.next(), deadline) {
                (Some(n), Some(d)) => n.min(d),
                (Some(t), None) | (None, Some(t)) => t,
                (None, None) => return false,
            };
            let mut state = self.state();
            if deadline.is_some_and(|d| state.now >= d) {
                return false;
            }
            state.now = state.now.max(next);
        }
    }

    /// Lets `d` pass.
    ///
    /// # Panics
    /// As [`World::settle`] does.
    pub fn run_for(&self, d: Duration) {
        self.run_to(self.now() + d);
    }

    /// Goes on to `at`, with all that is due then done.
    ///
    /// # Panics
    /// As [`World::settle`] does.
    pub fn run_to(&self, at: Instant) {
        self.run_until(Some(at), || false);
        self.settle();
    }
}

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "World(at {} ns)", self.now().as_nanos())
    }
}

/// The host of one kernel (or of a foreign peer) in a [`World`].
pub struct SimHost {
    world: World,
    rng: Mutex<Rng>,
    service: Mutex<Option<Service>>,
    kicked: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    signals: Arc<Pending>,
}

impl SimHost {
    /// The world it is in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Says what serves the kernel: called when a frame has come, when the kernel asked for it, and at the deadline
    /// that it answered last.
    pub fn serve(&self, service: impl Fn() -> Option<Instant> + Send + Sync + 'static) {
        *lock(&self.service) = Some(Arc::new(service));
        self.kicked.store(true, Ordering::Release);
    }

    /// The signals that wait for the program on this host.
    pub fn pending(&self) -> &Arc<Pending> {
        &self.signals
    }

    /// The kernel is gone (a crash, a reboot): nothing serves it any more.
    pub fn unplug(&self) {
        *lock(&self.service) = None;
        *lock(&self.deadline) = None;
    }

    fn next(&self) -> Option<Instant> {
        *lock(&self.deadline)
    }

    fn serve_if_due(&self) -> bool {
        let service = lock(&self.service).clone();
        let Some(service) = service else { return false };
        let due = self.next().is_some_and(|d| d <= self.world.now());
        if !self.kicked.swap(false, Ordering::AcqRel) && !due {
            return false;
        }
        // A deadline that is set from within the call counts as well.
        *lock(&self.deadline) = None;
        if let Some(next) = service() {
            self.rearm(next);
        }
        true
    }
}

impl Host for SimHost {
    fn now(&self) -> Instant {
        self.world.now()
    }

    fn realtime(&self) -> Duration {
        // 2024-01-01, so that time stamps look like some.
        Duration::from_secs(1_704_067_200) + self.world.now().since(Instant::ZERO)
    }

    fn random(&self, buf: &mut [u8]) {
        let mut rng = lock(&self.rng);
        for chunk in buf.chunks_mut(8) {
            let bytes = rng.next_u64().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
    }

    fn rearm(&self, deadline: Instant) {
        let mut at = lock(&self.deadline);
        *at = Some(at.map_or(deadline, |d| d.min(deadline)));
    }

    fn kick(&self) {
        self.kicked.store(true, Ordering::Release);
    }

    fn signals(&self, mask: u64, ready: Arc<dyn Fn() + Send + Sync>) -> lkl_abi::Result<Box<dyn SignalSource>> {
        Ok(self.signals.source(mask, ready))
    }
}

impl core::fmt::Debug for SimHost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SimHost(next {:?})", self.next())
    }
}

/// Where the thread that drives a [`World`] sleeps: the world goes on until it is woken or its deadline comes. When
/// nothing will ever happen again it answers [`Woken::Interrupted`], so that a call which would wait for ever comes
/// back with `ERESTARTSYS` instead.
pub struct SimParker {
    world: World,
    token: AtomicBool,
}

impl Parker for SimParker {
    fn park(&self, deadline: Option<Instant>) -> Woken {
        if self.world.run_until(deadline, || self.token.swap(false, Ordering::AcqRel)) {
            Woken::Unparked
        } else if deadline.is_some() {
            Woken::TimedOut
        } else {
            Woken::Interrupted
        }
    }

    fn unpark(&self) {
        self.token.store(true, Ordering::Release);
    }
}
