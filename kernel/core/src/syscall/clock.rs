//! Time: clocks, and sleeping. The clocks are the host's.

use super::{Args, Ctx};
use crate::user;
use lkl_abi::clock::*;
use lkl_abi::time::{timespec, to_timespec, to_timeval, TIMESPEC_SIZE};
use lkl_abi::{Errno, Result};
use lkl_ops::Instant;
use lkl_sync::{block_on, Blocking, Events, WaitQueue};
use std::time::Duration;

/// What a coarse clock of a kernel with a tick of 100 Hz would tell; ours are as fine as the host's, and say so.
const RESOLUTION: Duration = Duration::from_nanos(1);

/// What a clock shows.
///
/// # Errors
/// `EINVAL` for one that is not there: processor time is the host's to count.
fn read(cx: &Ctx<'_>, clock: u64) -> Result<Duration> {
    match clock as u32 {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => {
            Ok(cx.kernel.net().host().realtime())
        }
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => {
            Ok(cx.kernel.now().since(Instant::ZERO))
        }
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn clock_gettime(cx: &Ctx<'_>, [clock, time, ..]: Args) -> Result<u64> {
    let now = read(cx, clock)?;
    cx.mem.write(time, &to_timespec(now))?;
    Ok(0)
}

pub(super) fn clock_getres(cx: &Ctx<'_>, [clock, time, ..]: Args) -> Result<u64> {
    read(cx, clock)?;
    if time != 0 {
        cx.mem.write(time, &to_timespec(RESOLUTION))?;
    }
    Ok(0)
}

/// Nobody may set the host's clock.
pub(super) fn clock_settime(cx: &Ctx<'_>, [clock, time, ..]: Args) -> Result<u64> {
    if clock as u32 != CLOCK_REALTIME {
        return Err(Errno::EINVAL);
    }
    timespec(&user::array::<TIMESPEC_SIZE>(cx.mem, time)?)?;
    Err(Errno::EPERM)
}

pub(super) fn gettimeofday(cx: &Ctx<'_>, [time, zone, ..]: Args) -> Result<u64> {
    if time != 0 {
        cx.mem.write(time, &to_timeval(cx.kernel.net().host().realtime()))?;
    }
    if zone != 0 {
        cx.mem.write(zone, &[0; 8])?;
    }
    Ok(0)
}

/// Nobody may set the host's clock.
pub(super) fn settimeofday(cx: &Ctx<'_>, [time, zone, ..]: Args) -> Result<u64> {
    for addr in [time, zone] {
        if addr != 0 {
            user::array::<8>(cx.mem, addr)?;
        }
    }
    Err(Errno::EPERM)
}

/// Sleeps until `deadline`; if a signal comes before, writes the time that is left to `left`, if there is such a place.
fn sleep(cx: &Ctx<'_>, deadline: Instant, left: u64) -> Result<u64> {
    let how = Blocking { deadline: Some(deadline), ..Blocking::on(cx.task.parker()) };
    let nobody = WaitQueue::new();
    let over = || if cx.kernel.now() >= deadline { Ok(()) } else { Err(Errno::EAGAIN) };
    match block_on(how, &nobody, Events::EMPTY, over) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(0),
        Err(e) => {
            if left != 0 {
                cx.mem.write(left, &to_timespec(deadline.since(cx.kernel.now())))?;
            }
            Err(e)
        }
    }
}

pub(super) fn nanosleep(cx: &Ctx<'_>, [time, left, ..]: Args) -> Result<u64> {
    let time = timespec(&user::array::<TIMESPEC_SIZE>(cx.mem, time)?)?;
    sleep(cx, cx.kernel.now() + time, left)
}

pub(super) fn clock_nanosleep(cx: &Ctx<'_>, [clock, flags, time, left, ..]: Args) -> Result<u64> {
    let now = match clock as u32 {
        CLOCK_REALTIME | CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_TAI => read(cx, clock)?,
        CLOCK_THREAD_CPUTIME_ID => return Err(Errno::EINVAL),
        // There, and no clock to sleep by.
        clock if clock <= CLOCK_TAI => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    };
    let time = timespec(&user::array::<TIMESPEC_SIZE>(cx.mem, time)?)?;
    if flags as u32 & TIMER_ABSTIME != 0 {
        return sleep(cx, cx.kernel.now() + time.saturating_sub(now), 0);
    }
    sleep(cx, cx.kernel.now() + time, left)
}
