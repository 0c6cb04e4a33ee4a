//! Times as programs write them (`linux/time_types.h`).

use crate::{Errno, Result};
use core::time::Duration;

/// Bytes of `struct timespec` and of `struct timeval`, both with 64-bit members.
pub const TIMESPEC_SIZE: usize = 16;

fn parts(bytes: &[u8; TIMESPEC_SIZE]) -> (i64, i64) {
    let (a, b) = bytes.split_at(8);
    let number = |s: &[u8]| s.try_into().map(i64::from_ne_bytes).unwrap_or(0);
    (number(a), number(b))
}

/// Reads a `struct timespec` that is a length of time.
///
/// # Errors
/// `EINVAL` if it is negative or not normalised.
pub fn timespec(bytes: &[u8; TIMESPEC_SIZE]) -> Result<Duration> {
    match parts(bytes) {
        (s @ 0.., n @ 0..=999_999_999) => Ok(Duration::new(s as u64, n as u32)),
        _ => Err(Errno::EINVAL),
    }
}

/// Reads the `struct timeval` of `SO_RCVTIMEO` and `SO_SNDTIMEO`; a negative time is none at all.
///
/// # Errors
/// `EDOM` if it is not normalised.
pub fn timeval(bytes: &[u8; TIMESPEC_SIZE]) -> Result<Duration> {
    match parts(bytes) {
        (s, 0..=999_999) if s < 0 => Ok(Duration::ZERO),
        (s, us @ 0..=999_999) => Ok(Duration::new(s as u64, us as u32 * 1000)),
        _ => Err(Errno::EDOM),
    }
}

/// Writes a `struct timespec`.
pub fn to_timespec(d: Duration) -> [u8; TIMESPEC_SIZE] {
    pair(d, u64::from(d.subsec_nanos()))
}

/// Writes a `struct timeval`.
pub fn to_timeval(d: Duration) -> [u8; TIMESPEC_SIZE] {
    pair(d, u64::from(d.subsec_micros()))
}

fn pair(d: Duration, fraction: u64) -> [u8; TIMESPEC_SIZE] {
    let mut b = [0; TIMESPEC_SIZE];
    let (s, f) = b.split_at_mut(8);
    s.copy_from_slice(&d.as_secs().to_ne_bytes());
    f.copy_from_slice(&fraction.to_ne_bytes());
    b
}
