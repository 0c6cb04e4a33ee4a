//! Congestion control: the algorithms behind one trait, chosen by name (`TCP_CONGESTION`).
//!
//! An algorithm decides how the window grows and how far it falls. When something was lost, and what is sent again, is
//! the connection's business.

mod cubic;
mod reno;

use core::fmt::Debug;
use core::time::Duration;
use lkl_ops::Instant;

/// The algorithm of new connections.
pub const DEFAULT: &str = "cubic";
/// All algorithms (`net.ipv4.tcp_available_congestion_control`).
pub const AVAILABLE: [&str; 2] = ["reno", "cubic"];

/// The congestion window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Bytes that may be in flight.
    pub cwnd: u64,
    /// Below this many bytes it grows by slow start (RFC 5681, section 3.1).
    pub ssthresh: u64,
    /// Bytes of a full segment.
    pub mss: u64,
}

impl Window {
    /// Is it in slow start?
    pub fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Slow start: grows by the bytes that were acknowledged; answers those left over when it ends.
    fn slow_start(&mut self, acked: u64) -> u64 {
        let step = acked.min(self.ssthresh.saturating_sub(self.cwnd));
        self.cwnd += step;
        acked - step
    }
}

/// One acknowledgement, as an algorithm sees it.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// When.
    pub now: Instant,
    /// Bytes newly delivered.
    pub bytes: u64,
    /// Smoothed round trip time.
    pub srtt: Duration,
    /// The sample of this acknowledgement, if there is one.
    pub rtt: Option<Duration>,
    /// The least round trip time seen.
    pub min_rtt: Duration,
    /// This acknowledgement ends a round trip: it is for something sent after the last round ended.
    pub round: bool,
}

/// A congestion control algorithm.
pub trait Congestion: Send + Debug {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Bytes were acknowledged while the window, not the program, was the limit, and nothing is being recovered.
    fn on_ack(&mut self, w: &mut Window, ack: &Acked);

    /// Something was lost: the slow start threshold from now on, in bytes (the window follows it).
    fn on_loss(&mut self, w: &Window, now: Instant) -> u64;

    /// The retransmission time-out ran out; the window has fallen to one segment.
    fn on_timeout(&mut self) {}

    /// The loss was none: the window is again what it was.
    fn on_undo(&mut self, _w: &Window) {}

    /// Nothing was in flight for a while.
    fn on_idle(&mut self, _now: Instant) {}
}

/// The algorithm of this name.
pub fn by_name(name: &str) -> Option<Box<dyn Congestion>> {
    match name {
        "reno" => Some(Box::new(reno::Reno::default())),
        "cubic" => Some(Box::new(cubic::Cubic::default())),
        _ => None,
    }
}

/// An algorithm that is always there.
pub(super) fn fallback() -> Box<dyn Congestion> {
    Box::new(reno::Reno::default())
}

/// The same name, as a static one.
pub fn canonical(name: &str) -> Option<&'static str> {
    AVAILABLE.into_iter().find(|n| *n == name)
}
