//! Explicit congestion notification: the classic form (RFC 3168), in which a mark is echoed until the sender says that it knows, and
//! the accurate one (RFC 9768), in which the receiver counts marks, and tells in each segment.

use super::Connection;
use crate::tcp::config::EcnKind;
use crate::tcp::scoreboard::Delivered;
use crate::tcp::segment::{handshake_flags, Ecn, EcnBytes, Flags, Options, Segment};
use lkl_ops::Instant;

/// What the counter of marks begins with (RFC 9768, section 3.2.1).
const CE_START: u32 = 5;
/// Bits of it that a segment has.
const ACE: u32 = 7;
/// And of counters of bytes.
const BYTES: u32 = 0x00ff_ffff;
/// Once so many bytes more came with one mark, the option tells of it in any case (section 3.2.3.3).
const BYTES_NEWS: u32 = 22;
/// The most that options take.
const MAX_OPTIONS: usize = 40;

/// What one end keeps.
#[derive(Default, Debug)]
pub(super) struct EcnState {
    /// Both agreed on one of the forms.
    pub(super) on: bool,
    /// Each acknowledgement is to say that a mark came, until the peer says that it knows.
    pub(super) echo: bool,
    /// The next new data is to say that the window came down.
    pub(super) cwr: bool,
    /// A segment came that could have been marked.
    pub(super) seen: bool,
    /// Both agreed on the accurate form.
    pub(super) accurate: Option<Box<Accurate>>,
}

/// What the accurate form keeps. Bytes are those of ECT(0), CE and ECT(1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Accurate {
    /// Marks that came, and bytes.
    pub(super) came: u32,
    pub(super) bytes: [u32; 3],
    /// The same as the peer tells of ours.
    pub(super) told: u32,
    pub(super) told_bytes: [u32; 3],
    /// Marks that came since the last acknowledgement.
    pending: u32,
    /// The mark of what came last.
    last: Ecn,
    /// The first segment answers this mark of the peer's SYN-ACK.
    first: Option<Ecn>,
    /// The peer sends the option, so it comes through, and it is answered.
    pub(super) option_seen: bool,
    /// So many segments are to have the option.
    demand: u8,
    /// When one last had it.
    option_at: Instant,
    /// Something in between destroys the marks: ours are not set (section 3.2.2.3).
    pub(super) broken: bool,
}

impl Accurate {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            came: CE_START,
            bytes: [1, 0, 1],
            told: CE_START,
            told_bytes: [1, 0, 1],
            pending: 0,
            last: Ecn::NotEct,
            first: None,
            option_seen: false,
            demand: 0,
            option_at: now,
            broken: false,
        }
    }

    fn flags(&self) -> Flags {
        let mut flags = Flags::empty();
        flags.set(Flags::AE, self.came & 4 != 0);
        flags.set(Flags::CWR, self.came & 2 != 0);
        flags.set(Flags::ECE, self.came & 1 != 0);
        flags
    }
}

/// The counter of marks that a segment has.
fn ace(s: &Segment) -> u32 {
    u32::from(s.has(Flags::AE)) << 2 | u32::from(s.has(Flags::CWR)) << 1 | u32::from(s.has(Flags::ECE))
}

const fn slot(mark: Ecn) -> Option<usize> {
    match mark {
        Ecn::NotEct => None,
        Ecn::Ect0 => Some(0),
        Ecn::Ce => Some(1),
        Ecn::Ect1 => Some(2),
    }
}

impl EcnState {
    /// The window came down: the peer is to be told. With the accurate form it does not ask.
    pub(super) fn queue_cwr(&mut self) {
        self.cwr = self.on && self.accurate.is_none();
    }

    /// May data be sent that can be marked?
    pub(super) fn may_mark(&self) -> bool {
        self.on && !self.accurate.as_ref().is_some_and(|a| a.broken)
    }

    /// Would a device that cuts segments change what they say? It takes CWR for news that only the first one has.
    pub(super) fn cannot_be_cut(&self) -> bool {
        self.cwr || self.accurate.as_ref().is_some_and(|a| a.flags().contains(Flags::CWR))
    }
}

impl Connection {
    /// The side that answers has agreed on `kind`.
    pub(super) fn accept_ecn(&mut self, kind: EcnKind, mark: Ecn, now: Instant) {
        self.ecn.on = kind != EcnKind::None;
        if kind == EcnKind::Accurate {
            let mut a = Accurate::new(now);
            // A SYN has no payload that counts, but its mark does.
            a.came += u32::from(mark == Ecn::Ce);
            self.ecn.accurate = Some(Box::new(a));
        }
    }

    /// Settles by the peer's SYN or SYN-ACK whether both have it (RFC 3168, section 6.1.1; RFC 9768, section 3.1.2).
    pub(super) fn settle_ecn(&mut self, s: &Segment, now: Instant) {
        let (ece, cwr) = (s.has(Flags::ECE), s.has(Flags::CWR));
        // What answers the first SYN may come after one was sent that offered less.
        let offered = self.cfg.ecn;
        if !s.has(Flags::ACK) {
            // Both opened at once: the classic form is what both can do.
            self.ecn.on = offered == EcnKind::Classic && ece && cwr && !s.has(Flags::AE);
            return;
        }
        match (offered, ace(s)) {
            (EcnKind::None, _) | (_, 0 | 7) => {}
            (EcnKind::Classic, n) => self.ecn.on = n & 3 == 1,
            (EcnKind::Accurate, 1 | 5) => self.ecn.on = true,
            (EcnKind::Accurate, n) => {
                self.ecn.on = true;
                let mut a = Accurate::new(now);
                a.first = Some(s.ecn);
                a.came += u32::from(s.ecn == Ecn::Ce);
                a.option_seen = s.options.ecn_bytes.is_some();
                // Our SYN was not marked when it went: another answer tells of somebody in between who does that.
                a.broken = n != 2;
                a.demand = 2;
                self.ecn.accurate = Some(Box::new(a));
            }
        }
    }

    /// The ECN that the last SYN offered (RFC 3168, section 6.1.1.1, for what a middlebox may swallow).
    pub(super) fn offered_ecn(&self) -> EcnKind {
        if self.tx.retries > 0 && self.cfg.tunables.ecn_fallback {
            EcnKind::None
        } else {
            self.cfg.ecn
        }
    }

    /// The last segment of the handshake came: what does it say of the mark of our SYN-ACK (section 3.2.2.4)?
    pub(super) fn check_handshake_feedback(&mut self, s: &Segment, payload: usize) {
        let Some(a) = &mut self.ecn.accurate else { return };
        a.option_seen |= s.options.ecn_bytes.is_some();
        match ace(s) {
            0 => a.broken = true,
            // The SYN-ACK was not marked.
            2 | 1 | 5 | 7 => {}
            _ => a.broken |= payload == 0,
        }
    }

    /// A segment came that counts: its mark, and what it says of ours (RFC 3168, section 6.1.3).
    pub(super) fn take_ecn(&mut self, s: &Segment, payload: usize) {
        if !self.ecn.on {
            return;
        }
        if self.ecn.accurate.is_some() {
            self.count_mark(s.ecn, payload);
            return;
        }
        if s.has(Flags::CWR) {
            self.ecn.echo = false;
            // The peer waits for acknowledgements with a smaller window.
            self.ack.now |= payload > 0;
        }
        if payload == 0 {
            return;
        }
        match s.ecn {
            Ecn::NotEct => {
                if self.ecn.seen {
                    // A retransmission, most likely: quick acknowledgements help.
                    self.ack.quick = self.ack.quick.max(2);
                }
            }
            Ecn::Ce => {
                if !self.ecn.echo {
                    self.ack.quick = self.ack.quick.max(2);
                    self.ack.pingpong = false;
                    self.ecn.echo = true;
                }
                self.ecn.seen = true;
            }
            _ => self.ecn.seen = true,
        }
    }

    /// Counts a mark that came, and sees to it that the peer learns of it soon (RFC 9768, section 3.2.2.5).
    fn count_mark(&mut self, mark: Ecn, payload: usize) {
        let unacked = self.rx.nxt != self.rx.acked;
        let segments = (payload as u64).div_ceil(u64::from(self.ack.mss.max(1))).max(1) as u32;
        let Some(a) = &mut self.ecn.accurate else { return };
        let was = core::mem::replace(&mut a.last, mark);
        if let Some(slot) = slot(mark) {
            self.ecn.seen = true;
            if let Some(bytes) = a.bytes.get_mut(slot) {
                let before = *bytes;
                *bytes = bytes.wrapping_add(payload as u32);
                if before >> BYTES_NEWS != *bytes >> BYTES_NEWS {
                    a.demand = a.demand.max(1);
                }
            }
        }
        if mark != was && payload > 0 {
            a.demand = 2;
        }
        if mark == Ecn::Ce {
            // One that was put together of several counts for each of them.
            a.came = a.came.wrapping_add(segments);
            a.pending += segments;
            a.demand = 2;
            let changed = was != Ecn::Ce && payload > 0;
            self.ack.now |= changed || a.pending >= if unacked || payload > 0 { 2 } else { 3 };
        }
    }

    /// What an acknowledgement tells of our marks: segments that were marked since the last (RFC 9768, appendix A.2).
    pub(super) fn marks_told(&mut self, s: &Segment, d: &Delivered) -> u32 {
        let mss = self.tx.win.mss.max(1);
        let Some(a) = &mut self.ecn.accurate else { return 0 };
        let mut marked = None;
        if let Some(option) = &s.options.ecn_bytes {
            a.option_seen = true;
            for mark in [Ecn::Ect0, Ecn::Ce, Ecn::Ect1] {
                let (Some(slot), Some(count)) = (slot(mark), option.of(mark)) else { continue };
                let Some(known) = a.told_bytes.get_mut(slot) else { continue };
                let more = count.wrapping_sub(*known) & BYTES;
                // What seems to go back is old.
                let more = if more > BYTES / 2 { 0 } else { more };
                *known = known.wrapping_add(more);
                if mark == Ecn::Ce {
                    marked = Some(u64::from(more));
                }
            }
        }
        let segments = u32::try_from(d.moved.div_ceil(mss)).unwrap_or(u32::MAX);
        let delta = ace(s).wrapping_sub(a.told) & ACE;
        let mut more = delta;
        if segments > ACE {
            // The three bits may have gone round: as many as is possible, unless the bytes say otherwise.
            let safe = segments - (segments.wrapping_sub(delta) & ACE);
            more = match marked {
                None => safe,
                Some(0) => delta,
                Some(bytes) => {
                    let share = (u128::from(bytes) * u128::from(segments)).div_ceil(u128::from(d.moved.max(1)));
                    safe.min(delta + (u32::try_from(share).unwrap_or(u32::MAX - ACE) & !ACE))
                }
            };
        }
        a.told = a.told.wrapping_add(more);
        if more > 0 {
            self.total.repairs.delivered_ce += u64::from(more) * mss;
        }
        more
    }

    /// The flags of a segment, which answer what came.
    pub(super) fn ecn_flags(&mut self, bare: bool) -> Flags {
        match &mut self.ecn.accurate {
            None if self.ecn.on && self.ecn.echo => Flags::ECE,
            None => Flags::empty(),
            Some(a) => {
                a.pending = 0;
                match a.first.take().filter(|_| bare) {
                    Some(mark) => handshake_flags(mark),
                    None => a.flags(),
                }
            }
        }
    }

    /// Is the next segment to have the option (RFC 9768, section 3.2.3.3; `net.ipv4.tcp_ecn_option`)?
    fn wants_ecn_option(&self, now: Instant) -> bool {
        let Some(a) = &self.ecn.accurate else { return false };
        let t = &self.cfg.tunables;
        let beacon = || {
            let rtt = self.rtt.srtt().unwrap_or_default();
            t.ecn_option_beacon > 0 && now.since(a.option_at) * u32::from(t.ecn_option_beacon) >= rtt
        };
        a.option_seen && (t.ecn_option >= 2 || t.ecn_option == 1 && (a.demand > 0 || beacon()))
    }

    /// Bytes that it will take of a segment.
    pub(super) fn ecn_option_len(&self) -> u64 {
        let has = self.cfg.tunables.ecn_option > 0 && self.ecn.accurate.as_ref().is_some_and(|a| a.option_seen);
        if has {
            12
        } else {
            0
        }
    }

    /// Puts it in, as far as there is room.
    pub(super) fn add_ecn_option(&mut self, now: Instant, options: &mut Options) {
        if !self.wants_ecn_option(now) {
            return;
        }
        let Some(a) = &mut self.ecn.accurate else { return };
        let told = match MAX_OPTIONS - options.len() {
            12.. => 3,
            8.. => 2,
            _ => return,
        };
        options.ecn_bytes = Some(EcnBytes { counts: a.bytes.map(|b| b & BYTES), told, ect1_first: false });
        a.demand = a.demand.saturating_sub(1);
        a.option_at = now;
    }
}
