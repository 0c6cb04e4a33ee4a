//! The end of a kernel: what its programs have sent is still delivered, as the host's kernel does after a program's end.

use crate::start::nap;
use core::time::Duration;
use lkl_kernel::Kernel;
use std::collections::BTreeMap;

/// How long peers may take nothing of what was sent.
const LINGER: Duration = Duration::from_secs(60);
/// The same, in all.
const MOST: Duration = Duration::from_secs(15 * 60);

/// `TCP_LISTEN` and `TCP_CLOSE`: there is nobody to talk to.
const SILENT: [u8; 2] = [7, 10];

/// `TCP_FIN_WAIT2` and `TCP_TIME_WAIT`: the peer has all.
const DELIVERED: [u8; 2] = [5, 6];

/// Waits until no connection is left but those whose peers do not answer; once `hurry`, only until the peers have all.
/// Somebody else serves the kernel.
pub(crate) fn until_quiet(kernel: &Kernel, mut hurry: impl FnMut() -> bool) {
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
        let delivered = before.values().all(|(state, _)| DELIVERED.contains(state));
        if before.is_empty()
            || delivered && hurry()
            || kernel.oopsed()
            || now.since(progress) > LINGER
            || now.since(start) > MOST
        {
            return;
        }
        nap(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
