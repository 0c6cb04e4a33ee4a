//! Receive time stamps as control messages (`SO_TIMESTAMP`, `SO_TIMESTAMPNS`; `man 7 socket`).

use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_abi::socket::{SOL_SOCKET, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_OLD};
use lkl_file::{Control, ControlMessages, SockOptions};

/// Adds what the socket asked for about a packet that came at `time` since the Unix epoch.
pub(crate) fn push(options: &SockOptions, time: Duration, control: &mut ControlMessages) {
    let seconds = time.as_secs().to_ne_bytes();
    if options.timestamp_ns.load(Relaxed) {
        let data = [seconds, u64::from(time.subsec_nanos()).to_ne_bytes()].concat();
        control.push(Control { level: SOL_SOCKET, kind: SO_TIMESTAMPNS_OLD, data });
    } else if options.timestamp.load(Relaxed) {
        let data = [seconds, u64::from(time.subsec_micros()).to_ne_bytes()].concat();
        control.push(Control { level: SOL_SOCKET, kind: SO_TIMESTAMP_OLD, data });
    }
}
