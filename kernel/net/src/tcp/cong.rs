//! Congestion control: the algorithms behind one trait, chosen by name (`TCP_CONGESTION`).
//!
//! There are two kinds. One decides how the window grows and how far it falls (`reno`, `cubic`); when something was lost,
//! and how the window comes down, is then the connection's business. The other sets window and pacing rate itself, on
//! each acknowledgement ([`Congestion::controls`]; `bbr`).

mod bbr;
mod cubic;
mod maxfilter;
mod reno;

use core::fmt::Debug;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use lkl_ops::Instant;

/// The algorithm of new connections.
pub const DEFAULT: &str = "cubic";
/// All algorithms (`net.ipv4.tcp_available_congestion_control`).
pub const AVAILABLE: [&str; 3] = ["reno", "cubic", "bbr"];
/// Segments of the first window (RFC 6928, section 2).
pub(super) const INITIAL_WINDOW: u64 = 10;

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

/// One acknowledgement, as an algorithm sees it that says how the window grows.
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
    /// The number of the round trip: it counts up when something is acknowledged that was sent after the last one ended.
    pub round: u32,
}

/// Where the sender stands (Linux's `ca_state`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum CaState {
    /// Nothing is wrong.
    #[default]
    Open,
    /// Something came out of order.
    Disorder,
    /// The window is coming down for a mark of congestion (RFC 3168).
    Cwr,
    /// Lost segments are sent again.
    Recovery,
    /// The retransmission time-out ran out.
    Loss,
}

/// One acknowledgement, as an algorithm sees it that sets window and rate itself.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub now: Instant,
    /// Bytes delivered in all.
    pub delivered: u64,
    /// Bytes taken for lost in all.
    pub lost: u64,
    /// Bytes that had been delivered when the newest acknowledged transmission was sent.
    pub prior_delivered: u64,
    /// Bytes delivered since, and the time that took; `None` if there is no sample.
    pub rate: Option<(u64, Duration)>,
    /// The program, not the window, was the limit when it was sent.
    pub app_limited: bool,
    /// Round trip time of this acknowledgement.
    pub rtt: Option<Duration>,
    /// Smoothed round trip time.
    pub srtt: Option<Duration>,
    /// The peer may have waited with this acknowledgement.
    pub delayed: bool,
    /// Bytes newly delivered.
    pub acked: u64,
    /// Bytes newly taken for lost.
    pub losses: u64,
    /// Bytes in flight now.
    pub in_flight: u64,
    /// Bytes in flight before this acknowledgement.
    pub prior_in_flight: u64,
    /// When pacing lets the next segment go.
    pub paced_until: Instant,
    /// `SO_MAX_PACING_RATE`, in bytes a second.
    pub max_rate: u64,
    /// Where the sender stands.
    pub state: CaState,
}

/// What an algorithm begins with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// When.
    pub now: Instant,
    /// Smoothed round trip time, if there is one.
    pub srtt: Option<Duration>,
    /// The least round trip time seen.
    pub min_rtt: Option<Duration>,
    /// Bytes delivered in all.
    pub delivered: u64,
    /// `SO_MAX_PACING_RATE`, in bytes a second.
    pub max_rate: u64,
    /// Differs between connections.
    pub seed: u64,
}

/// What BBR shows of itself (`struct tcp_bbr_info`).
#[derive(Clone, Copy, Debug)]
pub struct BbrInfo {
    /// Bandwidth, in bytes a second.
    pub bw: u64,
    /// Least round trip time.
    pub min_rtt: Duration,
    /// In 256ths.
    pub pacing_gain: u32,
    /// In 256ths.
    pub cwnd_gain: u32,
}

/// A congestion control algorithm.
pub trait Congestion: Send + Debug {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Of one that only stands for the beginning of another: that one.
    fn begun(&self) -> Option<Box<dyn Congestion>> {
        None
    }

    /// Does it set window and pacing rate itself, by [`Congestion::on_sample`]? Then nothing else moves the window but a
    /// time-out.
    fn controls(&self) -> bool {
        false
    }

    /// The connection begins, or changes to this algorithm.
    fn on_start(&mut self, _w: &mut Window, _s: &Start) {}

    /// Bytes were acknowledged while the window, not the program, was the limit, and nothing is being recovered.
    fn on_ack(&mut self, _w: &mut Window, _ack: &Acked) {}

    /// Something was acknowledged or lost. Answers whether the algorithm holds back on purpose, so that what is sent now
    /// says nothing of the path's bandwidth.
    fn on_sample(&mut self, _w: &mut Window, _s: &Sample) -> bool {
        false
    }

    /// Something was lost: the slow start threshold from now on, in bytes (the window follows it).
    fn on_loss(&mut self, w: &Window, now: Instant) -> u64;

    /// The retransmission time-out ran out; the window has fallen to one segment.
    fn on_timeout(&mut self, _w: &Window, _s: &Sample) {}

    /// The loss was none: the window is again what it was.
    fn on_undo(&mut self, _w: &mut Window, _s: &Sample) {}

    /// Nothing was in flight for a while.
    fn on_idle(&mut self, _now: Instant) {}

    /// Something is sent while nothing is in flight. `app_limited`: for want of data there was nothing to send.
    fn on_transmit_after_idle(&mut self, _w: &mut Window, _now: Instant, _app_limited: bool) {}

    /// At this rate, in bytes a second, segments are to go; `None`: as the window lets.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// The send buffer is to hold so many windows.
    fn sndbuf_factor(&self) -> u64 {
        2
    }

    /// What `TCP_CC_INFO` shows.
    fn info(&self) -> Option<BbrInfo> {
        None
    }
}

/// An algorithm that has nothing to remember yet, as it is with most connections that say little. It takes no memory: what
/// changes its state is for the algorithm itself, which [`Control`] puts in its place.
#[derive(Debug)]
struct AtRest<T>(PhantomData<fn() -> T>);

impl<T: Congestion + Default + 'static> Congestion for AtRest<T> {
    fn name(&self) -> &'static str {
        T::default().name()
    }

    fn begun(&self) -> Option<Box<dyn Congestion>> {
        Some(Box::new(T::default()))
    }

    fn on_loss(&mut self, w: &Window, now: Instant) -> u64 {
        T::default().on_loss(w, now)
    }
}

/// The algorithm of a connection.
#[derive(Debug)]
pub(super) struct Control(Box<dyn Congestion>);

impl Control {
    fn at_rest<T: Congestion + Default + 'static>() -> Self {
        Self(Box::new(AtRest::<T>(PhantomData)))
    }

    /// See [`Congestion::on_start`]; here and below, what is at rest stays so.
    pub(super) fn on_start(&mut self, w: &mut Window, s: &Start) {
        self.0.on_start(w, s);
    }

    /// See [`Congestion::on_idle`].
    pub(super) fn on_idle(&mut self, now: Instant) {
        self.0.on_idle(now);
    }

    /// See [`Congestion::on_transmit_after_idle`].
    pub(super) fn on_transmit_after_idle(&mut self, w: &mut Window, now: Instant, app_limited: bool) {
        self.0.on_transmit_after_idle(w, now, app_limited);
    }
}

impl Deref for Control {
    type Target = dyn Congestion;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl DerefMut for Control {
    fn deref_mut(&mut self) -> &mut Self::Target {
        if let Some(begun) = self.0.begun() {
            self.0 = begun;
        }
        &mut *self.0
    }
}

/// The algorithm of this name.
pub(super) fn by_name(name: &str) -> Option<Control> {
    match name {
        "reno" => Some(Control::at_rest::<reno::Reno>()),
        "cubic" => Some(Control::at_rest::<cubic::Cubic>()),
        "bbr" => Some(Control(Box::new(bbr::Bbr::default()))),
        _ => None,
    }
}

/// An algorithm that is always there.
pub(super) fn fallback() -> Control {
    Control::at_rest::<reno::Reno>()
}

/// The same name, as a static one.
pub fn canonical(name: &str) -> Option<&'static str> {
    AVAILABLE.into_iter().find(|n| *n == name)
}
