//! ICMP errors: which are sent, what those received mean, and how often they may go out.

use crate::wire::{icmp, ipv4, ipv6};
use core::net::IpAddr;
use core::time::Duration;
use lkl_abi::Errno;
use lkl_ops::Instant;

/// What an ICMP error means to a transport (as Linux maps them).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// The error.
    pub errno: Errno,
    /// It ends a connection that is being made (hard), or is only remembered (soft).
    pub fatal: bool,
}

/// What an IPv4 error of this type and code means; `None` if the type is none.
pub fn meaning4(kind: u8, code: u8) -> Option<Meaning> {
    let (errno, fatal) = match (kind, code) {
        (icmp::v4::DEST_UNREACH, 0) => (Errno::ENETUNREACH, false),
        (icmp::v4::DEST_UNREACH, 1) => (Errno::EHOSTUNREACH, false),
        (icmp::v4::DEST_UNREACH, 2) => (Errno::ENOPROTOOPT, true),
        (icmp::v4::DEST_UNREACH, 3) => (Errno::ECONNREFUSED, true),
        (icmp::v4::DEST_UNREACH, 4) => (Errno::EMSGSIZE, false),
        (icmp::v4::DEST_UNREACH, 5) => (Errno::EOPNOTSUPP, false),
        (icmp::v4::DEST_UNREACH, 6) => (Errno::ENETUNREACH, true),
        (icmp::v4::DEST_UNREACH, 7) => (Errno::EHOSTDOWN, true),
        (icmp::v4::DEST_UNREACH, 8) => (Errno::ENONET, true),
        (icmp::v4::DEST_UNREACH, 9) => (Errno::ENETUNREACH, true),
        (icmp::v4::DEST_UNREACH, 10) => (Errno::EHOSTUNREACH, true),
        (icmp::v4::DEST_UNREACH, 11) => (Errno::ENETUNREACH, false),
        (icmp::v4::DEST_UNREACH, 12) => (Errno::EHOSTUNREACH, false),
        (icmp::v4::DEST_UNREACH, 13..=15) => (Errno::EHOSTUNREACH, true),
        (icmp::v4::DEST_UNREACH, _) => (Errno::EHOSTUNREACH, false),
        (icmp::v4::TIME_EXCEEDED, _) => (Errno::EHOSTUNREACH, false),
        (icmp::v4::PARAMETER_PROBLEM, _) => (Errno::EPROTO, true),
        _ => return None,
    };
    Some(Meaning { errno, fatal })
}

/// What an IPv6 error of this type and code means; `None` if the type is none.
pub fn meaning6(kind: u8, code: u8) -> Option<Meaning> {
    let (errno, fatal) = match (kind, code) {
        (icmp::v6::DEST_UNREACH, 0) => (Errno::ENETUNREACH, false),
        (icmp::v6::DEST_UNREACH, 1 | 5 | 6) => (Errno::EACCES, true),
        (icmp::v6::DEST_UNREACH, 2 | 3) => (Errno::EHOSTUNREACH, false),
        (icmp::v6::DEST_UNREACH, 4) => (Errno::ECONNREFUSED, true),
        (icmp::v6::DEST_UNREACH, _) => (Errno::EPROTO, true),
        (icmp::v6::PACKET_TOO_BIG, _) => (Errno::EMSGSIZE, false),
        (icmp::v6::TIME_EXCEEDED, _) => (Errno::EHOSTUNREACH, false),
        (icmp::v6::PARAMETER_PROBLEM, _) => (Errno::EPROTO, true),
        _ => return None,
    };
    Some(Meaning { errno, fatal })
}

/// Is this type of message an error (about which no error is ever sent)?
pub const fn is_error(v6: bool, kind: u8) -> bool {
    if v6 {
        kind < 128
    } else {
        matches!(kind, 3 | 4 | 5 | 11 | 12)
    }
}

/// How much of the offending packet an error quotes: an IPv4 error has at most 576 bytes (RFC 1812, section 4.3.2.3),
/// an IPv6 one at most 1280 (RFC 4443, section 2.4 (c)).
pub const fn quote_len(v6: bool) -> usize {
    if v6 {
        ipv6::MIN_MTU - ipv6::HEADER_LEN - icmp::HEADER_LEN
    } else {
        576 - ipv4::HEADER_LEN - icmp::HEADER_LEN
    }
}

/// May an error be sent about a packet with these addresses (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e))?
/// `to_group_ok` for the two IPv6 errors that are sent about packets to a group.
pub fn may_answer(src: IpAddr, dst: IpAddr, dst_is_broadcast: bool, to_group_ok: bool) -> bool {
    let src_ok = !src.is_unspecified()
        && !src.is_multicast()
        && !matches!(src, IpAddr::V4(a) if a.is_broadcast() || a.octets()[0] == 0 || a.octets()[0] >= 240);
    src_ok && !dst_is_broadcast && (to_group_ok || !dst.is_multicast())
}

/// A token bucket: `net.ipv4.icmp_msgs_per_sec` and `icmp_msgs_burst`.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    tokens: u32,
    burst: u32,
    interval: Duration,
    last: Instant,
}

impl RateLimit {
    /// At most `burst` at once, and one more each `interval`.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { tokens: burst, burst, interval, last: Instant::ZERO }
    }

    /// May one go now?
    pub fn allow(&mut self, now: Instant) -> bool {
        let interval = self.interval.as_nanos().max(1);
        let earned = now.since(self.last).as_nanos() / interval;
        if earned > 0 {
            self.tokens = u32::try_from(u128::from(self.tokens) + earned).unwrap_or(u32::MAX).min(self.burst);
            // Part of an interval counts for the next one, unless the bucket is full.
            let rest = Duration::from_nanos((now.since(self.last).as_nanos() % interval) as u64);
            self.last = if self.tokens == self.burst { now } else { now - rest };
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_empties_and_fills() {
        let mut r = RateLimit::new(3, Duration::from_millis(10));
        let at = Instant::from_millis;
        assert_eq!([(); 5].map(|()| r.allow(at(1000))), [true, true, true, false, false]);
        assert!(r.allow(at(1010)));
        assert!(!r.allow(at(1011)));
        assert_eq!([(); 4].map(|()| r.allow(at(9000))), [true, true, true, false]);
    }

    #[test]
    fn no_error_about_groups_and_broadcasts() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        assert!(may_answer(ip("10.0.0.1"), ip("10.0.0.2"), false, false));
        assert!(!may_answer(ip("10.0.0.1"), ip("10.0.0.255"), true, false));
        assert!(!may_answer(ip("0.0.0.0"), ip("10.0.0.2"), false, false));
        assert!(!may_answer(ip("fe80::1"), ip("ff02::1"), false, false));
        assert!(may_answer(ip("fe80::1"), ip("ff02::1"), false, true));
    }
}
