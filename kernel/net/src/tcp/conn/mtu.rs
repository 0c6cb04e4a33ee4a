//! Path MTU discovery without ICMP (RFC 4821; RFC 8899 says the same of datagrams): longer segments are tried, and shorter
//! ones when nothing comes through any more. As Linux has it (`net.ipv4.tcp_mtu_probing`): off, after a black hole was found,
//! or always.
//!
//! Sizes are MSS without options: what the path takes less the IP and TCP headers.

use super::{Connection, Recovery, MIN_MSS};
use crate::tcp::segment::SegmentOut;
use lkl_ops::Instant;

/// Segments that have to follow a probe, so that its loss is seen.
const FOLLOWERS: u64 = 4;
/// Below this many segments the window is too small to risk one.
const WINDOW: u64 = 11;

/// A probe under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Probe {
    start: u64,
    end: u64,
    size: u16,
}

/// The search.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct MtuSearch {
    on: bool,
    /// The greatest size that is known to come through, or assumed.
    low: u16,
    /// The greatest that may.
    high: u16,
    probe: Option<Probe>,
    at: Option<Instant>,
}

impl MtuSearch {
    /// The size that segments are limited to, if there is a search.
    pub(super) fn limit(&self) -> Option<u16> {
        self.on.then_some(self.low)
    }

    /// The path is known to take no more.
    pub(super) fn at_most(&mut self, size: u16) {
        self.high = self.high.min(size);
        self.low = self.low.min(self.high);
    }

    /// Is a probe under way?
    pub(super) fn probing(&self) -> bool {
        self.probe.is_some()
    }
}

impl Connection {
    /// The connection is established: the bounds are known.
    pub(super) fn start_mtu_search(&mut self, now: Instant) {
        let s = &self.cfg.tunables;
        if s.mtu_probing > 0 {
            let high = self.tx.peer_mss.min(self.tx.path_mss);
            let search =
                MtuSearch { on: s.mtu_probing > 1, low: s.base_mss.min(high), high, probe: None, at: Some(now) };
            self.odd.mtu = Some(search);
        }
        self.update_mss();
    }

    /// Nothing comes through any more (RFC 4821, section 7.7): perhaps because it is too long.
    pub(super) fn on_black_hole(&mut self, now: Instant) {
        let Some(m) = self.odd.changed().and_then(|o| o.mtu.as_mut()) else { return };
        if m.on {
            let half = (m.low / 2).min(self.cfg.tunables.base_mss);
            m.low = half.max(self.cfg.tunables.mtu_probe_floor).max(MIN_MSS).min(m.low);
        }
        m.on = true;
        m.probe = None;
        m.at = Some(now);
        self.update_mss();
    }

    /// A longer segment, if one is to be tried now (RFC 4821, section 7.3).
    pub(super) fn next_mtu_probe(&mut self, now: Instant) -> Option<SegmentOut> {
        let m = self.odd.mtu?;
        let mss = self.tx.win.mss;
        let calm = self.tx.recovery == Recovery::Open && !self.tx.board.has_sacks() && self.rx.ooo.is_empty();
        if !m.on || m.probe.is_some() || !calm || self.tx.win.cwnd < WINDOW * mss {
            return None;
        }
        if m.high.saturating_sub(m.low) < self.cfg.tunables.probe_threshold {
            if m.at.is_some_and(|at| now.since(at) >= self.cfg.tunables.probe_interval) {
                // The path may have become a wider one.
                let high = self.tx.peer_mss.min(self.tx.path_mss);
                self.odd.mtu = Some(MtuSearch { high, at: Some(now), ..m });
            }
            return None;
        }
        let size = m.low.midpoint(m.high);
        let length = u64::from(size - if self.ts.on { 12 } else { 0 });
        let needed = length + FOLLOWERS * mss;
        let window = (self.tx.una + self.tx.wnd()).saturating_sub(self.tx.nxt);
        let room = self.in_flight() + 2 * mss <= self.tx.win.cwnd;
        if length <= mss || self.unsent() < needed || window < needed || !room || !self.pacing_lets(now) {
            return None;
        }
        let start = self.tx.nxt;
        let small = self.tx.small;
        let out = self.send_new(now, start, start + length, None);
        self.tx.small = small;
        self.odd.mtu = Some(MtuSearch { probe: Some(Probe { start, end: start + length, size }), ..m });
        // It counts as more than it is: what follows must not come in a burst.
        self.tx.win.cwnd -= mss;
        Some(out)
    }

    /// Something was acknowledged: was a probe?
    pub(super) fn check_mtu_probe(&mut self, now: Instant) {
        let Some(m) = self.odd.changed().and_then(|o| o.mtu.as_mut()) else { return };
        let Some(p) = m.probe.filter(|p| p.end <= self.tx.una) else { return };
        m.probe = None;
        m.low = p.size;
        m.at = Some(now);
        self.stats.rare.mtup_success += 1;
        self.update_mss();
        // The window stays what it is in bytes, in whole segments.
        self.tx.win.cwnd = self.tx.win.cwnd.max(self.tx.win.mss);
    }

    /// Something was taken for lost. Answers whether it was a probe and nothing else: that says nothing of congestion.
    pub(super) fn mtu_probe_was_lost(&mut self) -> bool {
        let Some(m) = self.odd.changed().and_then(|o| o.mtu.as_mut()) else { return false };
        let Some(p) = m.probe.filter(|p| p.start == self.tx.una) else { return false };
        if self.tx.board.lost_bytes() > p.end - p.start {
            return false;
        }
        m.probe = None;
        m.high = p.size - 1;
        self.stats.rare.mtup_fail += 1;
        self.tx.win.cwnd += self.tx.win.mss;
        self.tx.force_lost = true;
        true
    }
}
