//! BBR, version 1, as Linux has it (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue, 2016;
//! draft-cardwell-iccrg-bbr-congestion-control-00): it measures what the path delivers and how long it takes, and sends at
//! that rate with twice that much in flight at most. A loss by itself says nothing to it.
//!
//! Windows are in bytes, rates in bytes a second, gains in 256ths.

use super::maxfilter::MaxFilter;
use super::{CaState, Congestion, Sample, Start, Window, INITIAL_WINDOW};
use crate::tcp::rate::per_second;
use core::time::Duration;
use lkl_ops::Instant;

const UNIT: u64 = 256;
/// 2/ln 2: doubles what is sent in each round trip.
const HIGH_GAIN: u64 = UNIT * 2885 / 1000 + 1;
/// Its inverse: empties in one round trip the queue that it made.
const DRAIN_GAIN: u64 = UNIT * 1000 / 2885;
const CWND_GAIN: u64 = 2 * UNIT;
/// One phase lasts a round trip: probe for more, drain what that left, cruise.
const CYCLE: [u64; 8] = [UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT];
const CYCLE_RANDOM: u64 = 7;
/// Rounds for which a bandwidth counts.
const BW_ROUNDS: u32 = CYCLE.len() as u32 + 2;
const MIN_RTT_WINDOW: Duration = Duration::from_secs(10);
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
/// Segments that are always let.
const MIN_CWND: u64 = 4;
/// Startup is over when the bandwidth has not grown by a quarter in three rounds.
const FULL_BW_GAIN: u64 = UNIT * 5 / 4;
const FULL_BW_ROUNDS: u32 = 3;
/// The rate stays a little below what was measured, so that queues empty.
const PACING_MARGIN_PERCENT: u64 = 1;
/// Below this rate (bits a second) segments go one by one.
const MIN_TSO_RATE: u64 = 1_200_000;

/// Long-term bandwidth, for paths with a policer.
const LT_INTERVAL_MIN_ROUNDS: u32 = 4;
/// In 256ths.
const LT_LOSS_THRESH: u64 = 50;
const LT_BW_RATIO: u64 = UNIT / 8;
const LT_BW_DIFF: u64 = 4000 / 8;
const LT_BW_MAX_ROUNDS: u32 = 48;

const EXTRA_ACKED_ROUNDS: u32 = 5;
/// Segments after which the count of what came in one burst begins anew.
const ACK_EPOCH_RESET: u64 = 1 << 20;
const EXTRA_ACKED_MAX: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    /// Ramps up to fill the pipe.
    #[default]
    Startup,
    /// Empties the queue made by that.
    Drain,
    /// Most of the time: probes for bandwidth.
    ProbeBw,
    /// Cuts what is in flight to see the least round trip time.
    ProbeRtt,
}

/// Samples over several rounds of loss, to find a policer's rate.
#[derive(Clone, Copy, Default, Debug)]
struct LongTerm {
    sampling: bool,
    /// `bw` is in use.
    used: bool,
    bw: u64,
    rounds: u32,
    since: Instant,
    delivered: u64,
    lost: u64,
}

/// What was acknowledged beyond what the bandwidth explains (aggregated acknowledgements).
#[derive(Clone, Copy, Default, Debug)]
struct ExtraAcked {
    epoch: Instant,
    epoch_acked: u64,
    /// The greatest of this window of rounds and of the one before.
    most: [u64; 2],
    window: usize,
    rounds: u32,
}

/// The algorithm's state.
#[derive(Default, Debug)]
pub(super) struct Bbr {
    mode: Mode,
    bw: MaxFilter,
    rounds: u32,
    round_start: bool,
    next_round_delivered: u64,
    min_rtt: Option<Duration>,
    min_rtt_at: Instant,
    probe_rtt_done: Option<Instant>,
    probe_rtt_round_done: bool,
    pacing_gain: u64,
    cwnd_gain: u64,
    pacing_rate: u64,
    max_rate: u64,
    saw_rtt: bool,
    cycle: usize,
    cycle_at: Instant,
    full_bw: u64,
    full_bw_rounds: u32,
    full_bw_reached: bool,
    packet_conservation: bool,
    prior_cwnd: u64,
    state: CaState,
    idle_restart: bool,
    lt: LongTerm,
    extra: ExtraAcked,
    random: u64,
}

impl Bbr {
    fn bandwidth(&self) -> u64 {
        if self.lt.used {
            self.lt.bw
        } else {
            self.bw.get()
        }
    }

    fn random_below(&mut self, n: u64) -> u64 {
        // xorshift64*: which phase comes first only has to differ between flows.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn rate_of(&self, bw: u64, gain: u64) -> u64 {
        let rate = u128::from(bw) * u128::from(gain) / u128::from(UNIT);
        let rate = rate * u128::from(100 - PACING_MARGIN_PERCENT) / 100;
        u64::try_from(rate).unwrap_or(u64::MAX).min(self.max_rate)
    }

    /// Before the first sample: the window in a round trip, or in a millisecond.
    fn rate_from_rtt(&mut self, w: &Window, srtt: Option<Duration>) {
        self.saw_rtt |= srtt.is_some();
        let rtt = srtt.unwrap_or(Duration::from_millis(1)).max(Duration::from_micros(1));
        self.pacing_rate = self.rate_of(per_second(w.cwnd, rtt), HIGH_GAIN);
    }

    fn set_pacing_rate(&mut self, w: &Window, srtt: Option<Duration>, bw: u64, gain: u64) {
        let rate = self.rate_of(bw, gain);
        if !self.saw_rtt && srtt.is_some() {
            self.rate_from_rtt(w, srtt);
        }
        if self.full_bw_reached || rate > self.pacing_rate {
            self.pacing_rate = rate;
        }
    }

    /// Bytes of one burst: a millisecond's worth, in whole segments.
    fn burst(&self, mss: u64) -> u64 {
        let least = if self.pacing_rate < MIN_TSO_RATE / 8 { 1 } else { 2 };
        let most = (self.pacing_rate >> 10).min(65_000);
        (most / mss.max(1)).clamp(least, 127) * mss
    }

    fn bdp(&self, w: &Window, bw: u64, gain: u64) -> u64 {
        let Some(rtt) = self.min_rtt else { return INITIAL_WINDOW * w.mss };
        let bytes = u128::from(bw) * rtt.as_nanos() / 1_000_000_000;
        let bytes = u64::try_from(bytes * u128::from(gain) / u128::from(UNIT)).unwrap_or(u64::MAX);
        bytes.div_ceil(w.mss.max(1)).saturating_mul(w.mss)
    }

    /// Room for bursts on their way in sender and receiver.
    fn with_budget(&self, w: &Window, cwnd: u64) -> u64 {
        let mut cwnd = cwnd.saturating_add(3 * self.burst(w.mss));
        // Even, for receivers that acknowledge every second segment.
        cwnd = cwnd.div_ceil(2 * w.mss.max(1)).saturating_mul(2 * w.mss);
        if self.mode == Mode::ProbeBw && self.cycle == 0 {
            cwnd = cwnd.saturating_add(2 * w.mss);
        }
        cwnd
    }

    fn inflight(&self, w: &Window, bw: u64, gain: u64) -> u64 {
        self.with_budget(w, self.bdp(w, bw, gain))
    }

    /// What will be in the network when the next segment may go.
    fn in_net(&self, w: &Window, s: &Sample, in_flight: u64) -> u64 {
        let wait = s.paced_until.since(s.now);
        let delivered = u128::from(self.bandwidth()) * wait.as_nanos() / 1_000_000_000;
        let more = if self.pacing_gain > UNIT { self.burst(w.mss) } else { 0 };
        (in_flight + more).saturating_sub(u64::try_from(delivered).unwrap_or(u64::MAX))
    }

    fn save_cwnd(&mut self, w: &Window) {
        let calm = self.state < CaState::Recovery && self.mode != Mode::ProbeRtt;
        self.prior_cwnd = if calm { w.cwnd } else { self.prior_cwnd.max(w.cwnd) };
    }

    fn enter_probe_bw(&mut self, now: Instant) {
        self.mode = Mode::ProbeBw;
        self.cycle = CYCLE.len() - 1 - self.random_below(CYCLE_RANDOM) as usize;
        self.advance_cycle(now);
    }

    fn advance_cycle(&mut self, now: Instant) {
        self.cycle = (self.cycle + 1) % CYCLE.len();
        self.cycle_at = now;
    }

    fn reset_mode(&mut self, now: Instant) {
        if self.full_bw_reached {
            self.enter_probe_bw(now);
        } else {
            self.mode = Mode::Startup;
        }
    }

    fn lt_restart(&mut self, s: &Sample) {
        self.lt.since = s.now;
        self.lt.delivered = s.delivered;
        self.lt.lost = s.lost;
        self.lt.rounds = 0;
    }

    fn lt_reset(&mut self, s: &Sample) {
        self.lt = LongTerm::default();
        self.lt_restart(s);
    }

    fn lt_sample(&mut self, s: &Sample, losses: u64) {
        if self.lt.used {
            if self.mode == Mode::ProbeBw && self.round_start {
                self.lt.rounds += 1;
                if self.lt.rounds >= LT_BW_MAX_ROUNDS {
                    self.lt_reset(s);
                    self.enter_probe_bw(s.now);
                }
            }
            return;
        }
        if !self.lt.sampling {
            if losses == 0 {
                return;
            }
            self.lt_restart(s);
            self.lt.sampling = true;
        }
        if s.app_limited {
            self.lt_reset(s);
            return;
        }
        self.lt.rounds += u32::from(self.round_start);
        if self.lt.rounds < LT_INTERVAL_MIN_ROUNDS {
            return;
        }
        if self.lt.rounds > 4 * LT_INTERVAL_MIN_ROUNDS {
            self.lt_reset(s);
            return;
        }
        if losses == 0 {
            return;
        }
        let (lost, delivered) = (s.lost - self.lt.lost, s.delivered - self.lt.delivered);
        let time = s.now.since(self.lt.since);
        if delivered == 0 || lost * UNIT < LT_LOSS_THRESH * delivered || time < Duration::from_millis(1) {
            return;
        }
        let bw = per_second(delivered, time);
        if self.lt.bw > 0 {
            let diff = bw.abs_diff(self.lt.bw);
            if u128::from(diff) * u128::from(UNIT) <= u128::from(LT_BW_RATIO) * u128::from(self.lt.bw)
                || diff <= LT_BW_DIFF
            {
                // Two intervals agree: a policer's rate.
                self.lt.bw = bw.midpoint(self.lt.bw);
                self.lt.used = true;
                self.pacing_gain = UNIT;
                self.lt.rounds = 0;
                return;
            }
        }
        self.lt.bw = bw;
        self.lt_restart(s);
    }

    fn update_bw(&mut self, s: &Sample) {
        self.round_start = false;
        let Some((bytes, time)) = s.rate else { return };
        if s.prior_delivered >= self.next_round_delivered {
            self.next_round_delivered = s.delivered;
            self.rounds = self.rounds.wrapping_add(1);
            self.round_start = true;
            self.packet_conservation = false;
        }
        self.lt_sample(s, s.losses);
        let bw = per_second(bytes, time);
        if !s.app_limited || bw >= self.bw.get() {
            self.bw.update(BW_ROUNDS, self.rounds, bw);
        }
    }

    fn update_extra_acked(&mut self, w: &Window, s: &Sample) {
        if s.acked == 0 || s.rate.is_none() {
            return;
        }
        let bw = self.bandwidth();
        let e = &mut self.extra;
        if self.round_start {
            e.rounds += 1;
            if e.rounds >= EXTRA_ACKED_ROUNDS {
                e.rounds = 0;
                e.window ^= 1;
                e.most[e.window] = 0;
            }
        }
        let expected = u128::from(bw) * s.now.since(e.epoch).as_nanos() / 1_000_000_000;
        let mut expected = u64::try_from(expected).unwrap_or(u64::MAX);
        if e.epoch_acked <= expected || e.epoch_acked + s.acked >= ACK_EPOCH_RESET * w.mss {
            e.epoch_acked = 0;
            e.epoch = s.now;
            expected = 0;
        }
        e.epoch_acked += s.acked;
        let extra = e.epoch_acked.saturating_sub(expected).min(w.cwnd);
        e.most[e.window] = e.most[e.window].max(extra);
    }

    fn extra_cwnd(&self) -> u64 {
        if !self.full_bw_reached {
            return 0;
        }
        let most = u128::from(self.bandwidth()) * EXTRA_ACKED_MAX.as_nanos() / 1_000_000_000;
        let [a, b] = self.extra.most;
        a.max(b).min(u64::try_from(most).unwrap_or(u64::MAX))
    }

    fn update_cycle(&mut self, w: &Window, s: &Sample) {
        if self.mode != Mode::ProbeBw {
            return;
        }
        let full_length = s.now.since(self.cycle_at) > self.min_rtt.unwrap_or_default();
        let next = if self.pacing_gain == UNIT {
            full_length
        } else {
            let in_net = self.in_net(w, s, s.prior_in_flight);
            let bw = self.bw.get();
            if self.pacing_gain > UNIT {
                // Probing lasts until what it asks for is in flight, unless the path has no room for it.
                full_length && (s.losses > 0 || in_net >= self.inflight(w, bw, self.pacing_gain))
            } else {
                full_length || in_net <= self.inflight(w, bw, UNIT)
            }
        };
        if next {
            self.advance_cycle(s.now);
        }
    }

    fn check_full_bw(&mut self, s: &Sample) {
        if self.full_bw_reached || !self.round_start || s.app_limited {
            return;
        }
        let bw = self.bw.get();
        if u128::from(bw) * u128::from(UNIT) >= u128::from(self.full_bw) * u128::from(FULL_BW_GAIN) {
            self.full_bw = bw;
            self.full_bw_rounds = 0;
            return;
        }
        self.full_bw_rounds += 1;
        self.full_bw_reached = self.full_bw_rounds >= FULL_BW_ROUNDS;
    }

    fn check_drain(&mut self, w: &mut Window, s: &Sample) {
        if self.mode == Mode::Startup && self.full_bw_reached {
            self.mode = Mode::Drain;
            w.ssthresh = self.inflight(w, self.bw.get(), UNIT);
        }
        if self.mode == Mode::Drain && self.in_net(w, s, s.in_flight) <= self.inflight(w, self.bw.get(), UNIT) {
            self.enter_probe_bw(s.now);
        }
    }

    fn check_probe_rtt_done(&mut self, w: &mut Window, now: Instant) {
        if self.probe_rtt_done.is_none_or(|at| now <= at) {
            return;
        }
        self.min_rtt_at = now;
        w.cwnd = w.cwnd.max(self.prior_cwnd);
        self.reset_mode(now);
    }

    /// Answers whether what is sent now is less than might be, on purpose.
    fn update_min_rtt(&mut self, w: &mut Window, s: &Sample) -> bool {
        let expired = s.now > self.min_rtt_at + MIN_RTT_WINDOW;
        if let Some(rtt) = s.rtt {
            if self.min_rtt.is_none_or(|m| rtt < m || (expired && !s.delayed)) {
                self.min_rtt = Some(rtt);
                self.min_rtt_at = s.now;
            }
        }
        if expired && !self.idle_restart && self.mode != Mode::ProbeRtt {
            self.mode = Mode::ProbeRtt;
            self.save_cwnd(w);
            self.probe_rtt_done = None;
        }
        let probing = self.mode == Mode::ProbeRtt;
        if probing {
            if self.probe_rtt_done.is_none() {
                if s.in_flight <= MIN_CWND * w.mss {
                    self.probe_rtt_done = Some(s.now + PROBE_RTT_TIME);
                    self.probe_rtt_round_done = false;
                    self.next_round_delivered = s.delivered;
                }
            } else {
                self.probe_rtt_round_done |= self.round_start;
                if self.probe_rtt_round_done {
                    self.check_probe_rtt_done(w, s.now);
                }
            }
        }
        if s.rate.is_some_and(|r| r.0 > 0) {
            self.idle_restart = false;
        }
        probing
    }

    fn update_gains(&mut self) {
        (self.pacing_gain, self.cwnd_gain) = match self.mode {
            Mode::Startup => (HIGH_GAIN, HIGH_GAIN),
            Mode::Drain => (DRAIN_GAIN, HIGH_GAIN),
            Mode::ProbeBw if self.lt.used => (UNIT, CWND_GAIN),
            Mode::ProbeBw => (CYCLE[self.cycle], CWND_GAIN),
            Mode::ProbeRtt => (UNIT, UNIT),
        };
    }

    fn set_cwnd(&mut self, w: &mut Window, s: &Sample) {
        if s.acked > 0 && !self.recover_or_restore(w, s) {
            let bw = self.bandwidth();
            let target = self.bdp(w, bw, self.cwnd_gain).saturating_add(self.extra_cwnd());
            let target = self.with_budget(w, target);
            if self.full_bw_reached {
                w.cwnd = (w.cwnd + s.acked).min(target);
            } else if w.cwnd < target || s.delivered < INITIAL_WINDOW * w.mss {
                w.cwnd += s.acked;
            }
            w.cwnd = w.cwnd.max(MIN_CWND * w.mss);
        }
        if self.mode == Mode::ProbeRtt {
            w.cwnd = w.cwnd.min(MIN_CWND * w.mss);
        }
    }

    /// For one round after a loss only as much goes as is delivered; afterwards the window is what it was. Answers
    /// whether that settles the window.
    fn recover_or_restore(&mut self, w: &mut Window, s: &Sample) -> bool {
        if s.losses > 0 {
            w.cwnd = w.cwnd.saturating_sub(s.losses).max(w.mss);
        }
        let before = core::mem::replace(&mut self.state, s.state);
        if s.state == CaState::Recovery && before != CaState::Recovery {
            self.packet_conservation = true;
            self.next_round_delivered = s.delivered;
            w.cwnd = s.in_flight + s.acked;
        } else if before >= CaState::Recovery && s.state < CaState::Recovery {
            w.cwnd = w.cwnd.max(self.prior_cwnd);
            self.packet_conservation = false;
        }
        if self.packet_conservation {
            w.cwnd = w.cwnd.max(s.in_flight + s.acked);
        }
        self.packet_conservation
    }
}

impl Congestion for Bbr {
    fn name(&self) -> &'static str {
        "bbr"
    }

    fn controls(&self) -> bool {
        true
    }

    fn on_start(&mut self, w: &mut Window, s: &Start) {
        *self = Self { max_rate: s.max_rate, random: s.seed | 1, min_rtt: s.min_rtt, ..Self::default() };
        self.min_rtt_at = s.now;
        self.cycle_at = s.now;
        self.extra.epoch = s.now;
        self.next_round_delivered = s.delivered;
        self.lt.since = s.now;
        self.lt.delivered = s.delivered;
        self.rate_from_rtt(w, s.srtt);
        self.update_gains();
    }

    fn on_sample(&mut self, w: &mut Window, s: &Sample) -> bool {
        self.max_rate = s.max_rate;
        self.update_bw(s);
        self.update_extra_acked(w, s);
        self.update_cycle(w, s);
        self.check_full_bw(s);
        self.check_drain(w, s);
        let limits_itself = self.update_min_rtt(w, s);
        self.update_gains();
        self.set_pacing_rate(w, s.srtt, self.bandwidth(), self.pacing_gain);
        self.set_cwnd(w, s);
        limits_itself
    }

    fn on_loss(&mut self, w: &Window, _now: Instant) -> u64 {
        self.save_cwnd(w);
        w.ssthresh
    }

    fn on_timeout(&mut self, _w: &Window, s: &Sample) {
        self.state = CaState::Loss;
        self.full_bw = 0;
        // What follows is a round of its own.
        self.round_start = true;
        self.lt_sample(s, 1);
    }

    fn on_undo(&mut self, _w: &mut Window, s: &Sample) {
        self.full_bw = 0;
        self.full_bw_rounds = 0;
        self.lt_reset(s);
    }

    fn on_transmit_after_idle(&mut self, w: &mut Window, now: Instant, app_limited: bool) {
        if !app_limited {
            return;
        }
        self.idle_restart = true;
        self.extra.epoch = now;
        self.extra.epoch_acked = 0;
        // Back to a rate that the path is known to take, not the one of the phase that was cut short.
        match self.mode {
            Mode::ProbeBw => self.set_pacing_rate(w, None, self.bandwidth(), UNIT),
            Mode::ProbeRtt => self.check_probe_rtt_done(w, now),
            _ => {}
        }
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.pacing_rate)
    }

    fn sndbuf_factor(&self) -> u64 {
        3
    }

    fn info(&self) -> Option<super::BbrInfo> {
        Some(super::BbrInfo {
            bw: self.bandwidth(),
            min_rtt: self.min_rtt.unwrap_or_default(),
            pacing_gain: self.pacing_gain as u32,
            cwnd_gain: self.cwnd_gain as u32,
        })
    }
}
