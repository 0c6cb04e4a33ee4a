//! Time stamps of packets (`SO_TIMESTAMP`, `SO_TIMESTAMPNS`, `SO_TIMESTAMPING`; `man 7 socket`, Linux's
//! `networking/timestamping`): as control messages of what is received, and in the error queue for what is sent.

use crate::sock::errqueue::ErrorItem;
use crate::Net;
use bytes::Bytes;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_abi::errqueue::{SCM_TSTAMP_ACK, SCM_TSTAMP_SCHED, SCM_TSTAMP_SND};
use lkl_abi::net_tstamp::*;
use lkl_abi::socket::*;
use lkl_abi::{Errno, Result};
use lkl_file::{Control, ControlMessages, SockOptions};
use std::sync::Weak;

/// Does the socket want to know when what it receives came?
pub(crate) fn wanted(options: &SockOptions) -> bool {
    options.timestamp.load(Relaxed)
        || options.timestamp_ns.load(Relaxed)
        || options.timestamping.load(Relaxed) & SOF_TIMESTAMPING_RX_SOFTWARE != 0
}

/// Adds what the socket asked for about a packet that came, or left if `sent`, at `time` since the Unix epoch.
pub(crate) fn push(options: &SockOptions, time: Duration, sent: bool, control: &mut ControlMessages) {
    let new = options.timestamp_new.load(Relaxed);
    let mut put = |old_kind, new_kind, data| {
        control.push(Control { level: SOL_SOCKET, kind: if new { new_kind } else { old_kind }, data });
    };
    let seconds = time.as_secs().to_ne_bytes();
    let timespec = [seconds, u64::from(time.subsec_nanos()).to_ne_bytes()].concat();
    if options.timestamp_ns.load(Relaxed) {
        put(SO_TIMESTAMPNS_OLD, SO_TIMESTAMPNS_NEW, timespec.clone());
    } else if options.timestamp.load(Relaxed) {
        let data = [seconds, u64::from(time.subsec_micros()).to_ne_bytes()].concat();
        put(SO_TIMESTAMP_OLD, SO_TIMESTAMP_NEW, data);
    }
    let flags = options.timestamping.load(Relaxed);
    if flags & SOF_TIMESTAMPING_SOFTWARE != 0 && (sent || flags & SOF_TIMESTAMPING_RX_SOFTWARE != 0) {
        // Behind the software's stamp stand two of a device, of which none has a clock.
        let mut data = timespec;
        data.resize(48, 0);
        put(SO_TIMESTAMPING_OLD, SO_TIMESTAMPING_NEW, data);
    }
}

/// Which stamps of one message that is sent are wanted: those of `flags` (`SO_TIMESTAMPING`), unless a control message has
/// said otherwise.
pub(crate) fn recorded(options: &SockOptions, asked: Option<u32>) -> u32 {
    asked.unwrap_or_else(|| options.timestamping.load(Relaxed) & SOF_TIMESTAMPING_TX_RECORD_MASK)
}

/// What the control message `SO_TIMESTAMPING` of a `sendmsg` asks for.
///
/// # Errors
/// `EINVAL`
pub(crate) fn asked(value: u32) -> Result<u32> {
    if value & !SOF_TIMESTAMPING_TX_RECORD_MASK != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(value)
}

/// A socket that hears of the time at which its packets leave.
pub(crate) trait Stamped: Send + Sync {
    /// Its options.
    fn options(&self) -> &SockOptions;

    /// Puts what it hears into its error queue.
    fn take_stamp(&self, item: ErrorItem);
}

/// Goes with a packet whose leaving is to be noted.
#[derive(Clone)]
pub struct TxStamp {
    socket: Weak<dyn Stamped>,
    /// `SOF_TIMESTAMPING_TX_*`
    flags: u32,
    /// What number the program knows the packet by.
    key: u32,
}

impl TxStamp {
    /// For a packet of `socket`; `None` if nothing of it is to be noted before it is acknowledged.
    pub(crate) fn new(socket: Weak<dyn Stamped>, flags: u32, key: u32) -> Option<Self> {
        let noted = flags & (SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED) != 0;
        noted.then_some(Self { socket, flags, key })
    }

    /// The packet is given to the link `ifindex`: here it leaves the queue and the software at once. `frame` is what it looks like
    /// there.
    pub(crate) fn leaves(&self, net: &Net, ifindex: u32, frame: impl FnOnce() -> Bytes) {
        let Some(socket) = self.socket.upgrade() else { return };
        let only = socket.options().timestamping.load(Relaxed) & SOF_TIMESTAMPING_OPT_TSONLY != 0;
        let frame = if only { Bytes::new() } else { frame() };
        for (flag, what) in
            [(SOF_TIMESTAMPING_TX_SCHED, SCM_TSTAMP_SCHED), (SOF_TIMESTAMPING_TX_SOFTWARE, SCM_TSTAMP_SND)]
        {
            if self.flags & flag != 0 {
                let item = stamp(net, socket.options(), what, self.key, frame.clone());
                socket.take_stamp(ErrorItem { ifindex: if only { 0 } else { ifindex }, ..item });
            }
        }
    }
}

impl core::fmt::Debug for TxStamp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "TxStamp({}, flags {:#x})", self.key, self.flags)
    }
}

/// All up to a byte of a stream has been acknowledged; `data` are its last bytes, which the program gets unless it wants the stamp
/// only.
pub(crate) fn acknowledged(net: &Net, options: &SockOptions, key: u32, data: Bytes) -> ErrorItem {
    let only = options.timestamping.load(Relaxed) & SOF_TIMESTAMPING_OPT_TSONLY != 0;
    stamp(net, options, SCM_TSTAMP_ACK, key, if only { Bytes::new() } else { data })
}

fn stamp(net: &Net, options: &SockOptions, what: u32, key: u32, data: Bytes) -> ErrorItem {
    let numbered = options.timestamping.load(Relaxed) & SOF_TIMESTAMPING_OPT_ID != 0;
    ErrorItem { time: net.host().realtime(), data, ..ErrorItem::stamp(what, if numbered { key } else { 0 }) }
}
