//! SYN cookies (RFC 4987, section 3.6): a listening socket whose queue is full keeps nothing of a SYN. All that it would
//! have kept is in the initial sequence number of its answer, and, if the peer has timestamps, in the low bits of one.

use super::request::Request;
use super::segment::{Flags, Options, Segment, SegmentOut};
use super::{Config, EcnKind};
use core::time::Duration;
use lkl_ops::Instant;

/// The time that a cookie tells is counted in these.
const TICK: Duration = Duration::from_secs(64);
/// So many of them a cookie holds.
const MAX_AGE: u32 = 2;
/// How long after the last overflow acknowledgements are looked at as if they had a cookie.
pub const VALID: Duration = Duration::from_secs(120);
/// The MSS is rounded down to one of these.
const MSS4: [u16; 4] = [536, 1300, 1440, 1460];
const MSS6: [u16; 4] = [1220, 1420, 1440, 8940];

/// Low bits of `TSval` that hold options: the window scale, SACK, ECN.
const STAMP_BITS: u32 = 6;
const STAMP_NO_SCALE: u32 = 0xf;
const STAMP_SACK: u32 = 1 << 4;
const STAMP_ECN: u32 = 1 << 5;

/// Two keyed hashes of both ends of a connection, the second also of the time: `hash(None)` and `hash(Some(tick))`.
pub trait CookieHash: Fn(Option<u32>) -> u32 {}
impl<F: Fn(Option<u32>) -> u32> CookieHash for F {}

fn tick(now: Instant) -> u32 {
    (now.as_millis() / TICK.as_millis() as u64) as u32
}

/// The initial sequence number of the answer to a SYN with the number `irs`.
fn cookie(hash: &impl CookieHash, irs: u32, tick: u32, index: u32) -> u32 {
    let second = hash(Some(tick)).wrapping_add(index) & 0x00ff_ffff;
    hash(None).wrapping_add(irs).wrapping_add(tick << 24).wrapping_add(second)
}

/// The MSS in a cookie, if it is one of ours and not too old.
fn check(hash: &impl CookieHash, cookie: u32, irs: u32, now: u32, table: &[u16; 4]) -> Option<u16> {
    let rest = cookie.wrapping_sub(hash(None)).wrapping_sub(irs);
    let age = now.wrapping_sub(rest >> 24) & 0xff;
    if age >= MAX_AGE {
        return None;
    }
    let index = (rest & 0x00ff_ffff).wrapping_sub(hash(Some(now.wrapping_sub(age)))) & 0x00ff_ffff;
    table.get(index as usize).copied()
}

const fn table(v6: bool) -> &'static [u16; 4] {
    if v6 {
        &MSS6
    } else {
        &MSS4
    }
}

/// The SYN-ACK that answers `syn`. `cfg` is what a connection would begin with; its initial sequence number does not count.
pub fn syn_ack(mut cfg: Config, syn: &Segment, now: Instant, v6: bool, hash: impl CookieHash) -> SegmentOut {
    let mss = syn.options.mss.unwrap_or(super::conn::DEFAULT_MSS);
    let index = table(v6).iter().rposition(|m| *m <= mss).unwrap_or(0);
    cfg.iss = cookie(&hash, syn.seq, tick(now), index as u32);
    // There is no place for more.
    cfg.ecn = cfg.ecn.min(EcnKind::Classic);
    let offset = cfg.ts_offset;
    let mut syn = syn.clone();
    if !cfg.timestamps || syn.options.timestamps.is_none() {
        // There is no place for them.
        syn.options = Options { mss: syn.options.mss, ..Options::default() };
        syn.flags -= Flags::ECE | Flags::CWR;
    }
    let mut out = Request::new(cfg, &syn, now).syn_ack(now);
    let (sack, ecn) = (out.header.options.sack_permitted, out.header.has(Flags::ECE));
    if let Some((value, _)) = &mut out.header.options.timestamps {
        let clock = now.as_millis() as u32;
        let scale = out.header.options.window_scale.and(syn.options.window_scale);
        let mut bits = scale.map_or(STAMP_NO_SCALE, |s| u32::from(s.min(14)));
        bits |= if sack { STAMP_SACK } else { 0 };
        bits |= if ecn { STAMP_ECN } else { 0 };
        let mut stamp = clock >> STAMP_BITS << STAMP_BITS | bits;
        if stamp > clock {
            stamp = stamp.wrapping_sub(1 << STAMP_BITS);
        }
        *value = stamp.wrapping_add(offset);
    }
    out
}

/// The request that the acknowledgement of a cookie stands for; `None` if there is no cookie in it, or an old one.
pub fn request(mut cfg: Config, ack: &Segment, now: Instant, v6: bool, hash: impl CookieHash) -> Option<Request> {
    let (iss, irs) = (ack.ack.wrapping_sub(1), ack.seq.wrapping_sub(1));
    let mss = check(&hash, iss, irs, tick(now), table(v6))?;
    cfg.iss = iss;
    let mut syn = Segment {
        src_port: ack.src_port,
        dst_port: ack.dst_port,
        seq: irs,
        flags: Flags::SYN,
        window: ack.window,
        ..Segment::default()
    };
    syn.options.mss = Some(mss);
    if let Some((value, echo)) = ack.options.timestamps {
        if !cfg.timestamps {
            return None;
        }
        let bits = echo.wrapping_sub(cfg.ts_offset) & ((1 << STAMP_BITS) - 1);
        syn.options.timestamps = Some((value, 0));
        syn.options.sack_permitted = bits & STAMP_SACK != 0;
        if bits & STAMP_NO_SCALE != STAMP_NO_SCALE {
            syn.options.window_scale = Some((bits & STAMP_NO_SCALE) as u8);
        }
        cfg.ecn = cfg.ecn.min(EcnKind::Classic);
        if bits & STAMP_ECN != 0 {
            syn.flags |= Flags::ECE | Flags::CWR;
        }
        // What was offered is not any more: the settings have changed.
        if syn.options.sack_permitted && !cfg.sack || syn.options.window_scale.is_some() && !cfg.window_scaling {
            return None;
        }
    }
    Some(Request::new(cfg, &syn, now))
}

#[cfg(test)]
mod tests {
    use super::super::tests::kit;
    use super::*;
    use crate::tcp::Settings;

    fn hash(tick: Option<u32>) -> u32 {
        tick.map_or(0x1234_5678, |t| t.wrapping_mul(0x9e37_79b9))
    }

    #[test]
    fn all_comes_back() {
        let now = Instant::from_millis(10_000_000);
        let cfg =
            || Config { timestamps: true, ts_offset: 77, ecn: EcnKind::Classic, ..kit::config(Settings::default()) };
        for (mss, got) in [(100, 536), (1299, 536), (1300, 1300), (1459, 1440), (9000, 1460)] {
            for scale in [None, Some(0), Some(9)] {
                let mut syn = Segment { seq: 0xffff_fff0, flags: Flags::SYN, window: 999, ..Segment::default() };
                syn.flags |= Flags::ECE | Flags::CWR;
                syn.options.mss = Some(mss);
                syn.options.window_scale = scale;
                syn.options.sack_permitted = true;
                syn.options.timestamps = Some((5, 0));
                let out = syn_ack(cfg(), &syn, now, false, hash).header;
                assert!(out.has(Flags::ECE));
                let (value, echo) = out.options.timestamps.unwrap();
                assert_eq!(echo, 5);
                let mut ack =
                    Segment { seq: syn.seq.wrapping_add(1), ack: out.seq.wrapping_add(1), ..Segment::default() };
                ack.flags = Flags::ACK;
                ack.options.timestamps = Some((6, value));
                let later = now + Duration::from_secs(60);
                let r = request(cfg(), &ack, later, false, hash).expect("a cookie");
                assert_eq!(r.peer_options().mss, Some(got));
                assert_eq!(r.peer_options().window_scale, scale);
                assert!(r.peer_options().sack_permitted && r.ecn() == EcnKind::Classic);
                assert_eq!((r.iss(), r.irs()), (out.seq, syn.seq));
                // Too old, or another one's.
                assert!(request(cfg(), &ack, now + Duration::from_secs(129), false, hash).is_none());
                ack.ack = ack.ack.wrapping_add(5);
                assert!(request(cfg(), &ack, now, false, hash).is_none());
            }
        }
    }

    #[test]
    fn without_timestamps_only_the_mss() {
        let now = Instant::from_millis(77);
        let mut syn = Segment { seq: 9, flags: Flags::SYN, ..Segment::default() };
        syn.options.mss = Some(1460);
        syn.options.window_scale = Some(7);
        syn.options.sack_permitted = true;
        let out = syn_ack(kit::config(Settings::default()), &syn, now, true, hash).header;
        assert_eq!((out.options.window_scale, out.options.sack_permitted), (None, false));
        let ack = Segment { seq: 10, ack: out.seq.wrapping_add(1), flags: Flags::ACK, ..Segment::default() };
        let r = request(kit::config(Settings::default()), &ack, now, true, hash).expect("a cookie");
        assert_eq!(r.peer_options(), &Options { mss: Some(1440), ..Options::default() });
    }
}
