//! TCP without I/O: segments in, segments and the next deadline out (RFC 9293).
//!
//! * [`Connection`]: one connection, from the first SYN to CLOSED.
//! * [`Request`]: what a listening socket keeps of a connection before the handshake is over (SYN_RECV).
//! * [`syncookie`]: what is kept of it when too many are there: nothing.
//! * [`TimeWait`]: what stays of a connection after it.
//! * [`Segment`]: a header with its options; [`SegmentOut`]: one to send, with payload.
//! * [`Congestion`]: the algorithms, by name.
//!
//! Nothing here knows addresses, locks, clocks or sockets: that is `lkl-inet`'s `tcp`.

mod config;
pub mod cong;
mod conn;
mod ranges;
mod rare;
mod rate;
mod recvq;
mod request;
mod rtt;
mod scoreboard;
mod segment;
mod sendq;
mod seq;
pub mod syncookie;
mod timewait;

#[cfg(test)]
mod tests;

pub use config::{Config, EcnKind, FastOpen, Settings, Tunables};
pub use cong::Congestion;
pub use conn::{Connection, Event, FastOpenOutcome, Info, MemoryLevel, RareStats, Read, Stats};
pub use rare::{Beginning, Rare};
pub use request::{Request, RequestVerdict};
pub use segment::{
    Cookie, Ecn, EcnBytes, Flags, Options, ParseError, Payload, SackBlock, Segment, SegmentOut, HEADER_LEN,
    MAX_HEADER_LEN,
};
pub use seq::{seq_after, seq_before};
pub use timewait::{TimeWait, TimeWaitVerdict};

/// The state of a connection, with the numbers that `/proc/net/tcp` and `TCP_INFO` show (RFC 9293, section 3.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Data flows both ways.
    Established = 1,
    /// A SYN was sent.
    SynSent = 2,
    /// A SYN was received and answered.
    SynReceived = 3,
    /// We closed; our FIN is not acknowledged.
    FinWait1 = 4,
    /// We closed; the peer may still send.
    FinWait2 = 5,
    /// All is over but old segments may still be under way.
    TimeWait = 6,
    /// Nothing is there.
    Closed = 7,
    /// The peer closed; we may still send.
    CloseWait = 8,
    /// The peer closed, then we did; our FIN is not acknowledged.
    LastAck = 9,
    /// A socket that takes connections (never a [`Connection`]'s state).
    Listen = 10,
    /// Both closed at once; our FIN is not acknowledged.
    Closing = 11,
}
