//! The end of a kernel: what its programs have sent is still delivered, as the host's kernel does after a program's end.

use crate::alloc::HEAP;
use crate::raw;
use crate::start::nap;
use crate::sys;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use lkl_abi::Result;
use lkl_host::RealHost;
use lkl_kernel::Kernel;
use lkl_ops::{Host, Instant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long peers may take nothing of what was sent.
const LINGER: Duration = Duration::from_secs(60);
/// The same, in all.
const MOST: Duration = Duration::from_secs(15 * 60);

/// `TCP_LISTEN` and `TCP_CLOSE`: there is nobody to talk to.
const SILENT: [u8; 2] = [7, 10];

/// `TCP_FIN_WAIT2` and `TCP_TIME_WAIT`: the peer has all.
const DELIVERED: [u8; 2] = [5, 6];

/// How long a packet may wait until its neighbour's hardware address is known: as long as it is asked for; and when somebody else wants
/// the device.
const ASKING: Duration = Duration::from_secs(4);
const ASKING_IN_A_HURRY: Duration = Duration::from_millis(100);

/// Is a neighbour's address asked for, so that packets may wait for it?
fn is_asking(kernel: &Kernel) -> bool {
    const NUD_INCOMPLETE: u16 = 1;
    kernel.net().neighs().iter().any(|n| n.state == NUD_INCOMPLETE)
}

/// How long it takes to tell the peers of connections that are lost.
pub(crate) const RESETS: Duration = Duration::from_secs(1);
/// The same, if there are very many of them.
const MOST_RESETS: Duration = Duration::from_secs(10);

/// Waits for `least`, and until no connection is left but those whose peers do not answer; once `hurry`, only until the peers
/// have all. Somebody else serves the kernel.
pub(crate) fn until_quiet(kernel: &Kernel, least: Duration, mut hurry: impl FnMut() -> bool) {
    let start = kernel.now();
    let mut progress = start;
    let mut before = BTreeMap::new();
    let mut pause = Duration::from_millis(1);
    loop {
        let sockets = kernel.net().tcp_sockets();
        let left: BTreeMap<_, _> = sockets
            .iter()
            .filter(|s| !SILENT.contains(&s.state))
            .map(|s| ((s.local, s.remote), (s.state, s.tx_queue)))
            .collect();
        let now = kernel.now();
        if left != before {
            progress = now;
            before = left;
        }
        let hurry = hurry();
        let delivered = before.values().all(|(state, _)| DELIVERED.contains(state));
        let asks = now.since(start) < if hurry { ASKING_IN_A_HURRY } else { ASKING } && is_asking(kernel);
        let quiet = (before.is_empty() || delivered && hurry) && !asks && now.since(start) >= least;
        if quiet || kernel.oopsed() || now.since(progress) > LINGER || now.since(start) > MOST {
            return;
        }
        nap(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// How the thread that minds the members comes along, and the one that serves the kernel.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Counts how often the first has come through.
    beats: AtomicU64,
    /// It waits for something to happen.
    idle: AtomicBool,
}

impl Pulse {
    pub(super) const fn new() -> Self {
        Self { beats: AtomicU64::new(0), idle: AtomicBool::new(false) }
    }

    /// It has come through.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// It waits in `f`.
    pub(super) fn rest<T>(&self, f: impl FnOnce() -> T) -> T {
        self.idle.store(true, Ordering::Release);
        let out = f();
        self.idle.store(false, Ordering::Release);
        self.beat();
        out
    }

    /// A sign of life; `None` if none is to be expected.
    fn sign(&self) -> Option<u64> {
        (!self.idle.load(Ordering::Acquire)).then(|| self.beats.load(Ordering::Relaxed))
    }
}

/// How long a thread may give no sign of life.
const SIGN: Duration = Duration::from_millis(1500);

/// Watches over the end of the program that booted the kernel: it may be killed in the middle of a call, with locks that nobody will
/// give back. What the heap needs is put right; if a thread of the keeper then waits for another such lock, so will everybody: then the
/// peers are told, and the kernel ends and gives its device back. `program` is a pidfd.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`
pub(super) fn watch(program: i32, pulse: Arc<Pulse>, kernel: Arc<Kernel>, host: Arc<RealHost>) -> Result<()> {
    let watch = move || {
        while !sys::readable_within(program, -1) {}
        sys::close(program);
        // Also one whose calls go by lines has lists and messages there, and holds all its locks while it forks.
        HEAP.program_gone();
        if super::shared() {
            return;
        }
        loop {
            let before = (pulse.sign(), host.at_work());
            nap(SIGN);
            let after = (pulse.sign(), host.at_work());
            let stuck = |before: Option<u64>, after| before.is_some() && before == after;
            if stuck(before.0, after.0) || stuck(before.1.map(u64::from), after.1.map(u64::from)) {
                tell_peers(&kernel, host);
                sys::exit(1);
            }
        }
    };
    raw::thread(super::STACK, Box::new(watch)).map(drop)
}

/// What is left of the outside for a network that this thread alone serves, all the time.
struct Alone(Arc<RealHost>);

impl Host for Alone {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn realtime(&self) -> Duration {
        self.0.realtime()
    }

    fn random(&self, buf: &mut [u8]) {
        self.0.random(buf);
    }

    fn rearm(&self, _: Instant) {}

    fn kick(&self) {}
}

/// Tells the peers of a kernel that is stuck that their connections are lost.
fn tell_peers(kernel: &Kernel, host: Arc<RealHost>) {
    let Some(mut successor) = kernel.net().successor(Arc::new(Alone(host))) else { return };
    let mut end = kernel.now() + RESETS;
    let last = end + MOST_RESETS;
    while kernel.now() < end {
        if !successor.serve() {
            end = last.min(kernel.now() + RESETS);
        }
        nap(Duration::from_millis(2));
    }
}
