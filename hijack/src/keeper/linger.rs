//! The end of a kernel: what its programs have sent is still delivered, as the host's kernel does after a program's end.

use crate::raw;
use crate::start::nap;
use crate::sys;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use lkl_abi::Result;
use lkl_kernel::Kernel;
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

/// How long it takes to tell the peers of connections that are lost.
pub(crate) const RESETS: Duration = Duration::from_secs(1);

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
        let quiet = (before.is_empty() || delivered && hurry) && now.since(start) >= least;
        if quiet || kernel.oopsed() || now.since(progress) > LINGER || now.since(start) > MOST {
            return;
        }
        nap(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// How long [`watch`] waits for a sign of life, and the stack of its thread.
const SIGN: Duration = Duration::from_secs(5);
const STACK: usize = 64 << 10;

/// The program has ended, maybe in the middle of a call, with locks that nobody will give back. If the next beat does not
/// come in time, the thread that minds the members waits for one of them, and so will everybody: the kernel ends.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`
pub(super) fn watch(beats: &Arc<AtomicU64>) -> Result<()> {
    let beats = beats.clone();
    let watch = move || {
        let before = beats.load(Ordering::Relaxed);
        nap(SIGN);
        if beats.load(Ordering::Relaxed) == before {
            sys::exit(1);
        }
    };
    raw::thread(STACK, Box::new(watch)).map(drop)
}
