//! Counters, timers and signals as files.

use super::socket::install;
use super::{Args, Ctx};
use crate::eventfd::EventFd;
use crate::openfile::OpenFile;
use crate::signalfd::SignalFd;
use crate::timerfd::TimerFd;
use crate::user;
use core::time::Duration;
use lkl_abi::clock::*;
use lkl_abi::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE};
use lkl_abi::fcntl::{O_NONBLOCK, O_RDWR};
use lkl_abi::signalfd::{SFD_CLOEXEC, SFD_NONBLOCK, SIGSET_SIZE};
use lkl_abi::time::{timespec, to_timespec, TIMESPEC_SIZE};
use lkl_abi::timerfd::{TFD_CLOEXEC, TFD_NONBLOCK, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET};
use lkl_abi::{Errno, Result};
use lkl_ops::FileKind;
use std::sync::Arc;

pub(super) fn eventfd2(cx: &Ctx<'_>, [count, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let count = u64::from(count as u32);
    let file = Arc::new(EventFd::new(count, flags & EFD_SEMAPHORE != 0));
    let file = OpenFile::new(file, O_RDWR | flags & O_NONBLOCK);
    install(cx, FileKind::File, file, flags & EFD_CLOEXEC != 0)
}

pub(super) fn signalfd4(cx: &Ctx<'_>, [fd, mask, size, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if size != SIGSET_SIZE as u64 {
        return Err(Errno::EINVAL);
    }
    let mask = user::u64_at(cx.mem, mask)?;
    if flags & !(SFD_CLOEXEC | SFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    if fd as i32 != -1 {
        let file = cx.file(fd)?;
        file.file().downcast_ref::<SignalFd>().ok_or(Errno::EINVAL)?.set_mask(mask)?;
        return Ok(u64::from(fd as u32));
    }
    let file = Arc::new(SignalFd::new(&**cx.kernel.net().host(), mask)?);
    let file = OpenFile::new(file, O_RDWR | flags & O_NONBLOCK);
    install(cx, FileKind::File, file, flags & SFD_CLOEXEC != 0)
}

pub(super) fn timerfd_create(cx: &Ctx<'_>, [clock, flags, ..]: Args) -> Result<u64> {
    let (clock, flags) = (clock as u32, flags as u32);
    if flags & !(TFD_CLOEXEC | TFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let realtime = match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM => true,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => false,
        _ => return Err(Errno::EINVAL),
    };
    if matches!(clock, CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM) && !cx.process().credentials().privileged() {
        return Err(Errno::EPERM);
    }
    let timer = TimerFd::new(cx.kernel.net(), realtime);
    let file = OpenFile::new(timer, O_RDWR | flags & O_NONBLOCK);
    install(cx, FileKind::File, file, flags & TFD_CLOEXEC != 0)
}

/// Writes a `struct itimerspec`, which begins with the interval.
fn put_itimerspec(cx: &Ctx<'_>, addr: u64, (interval, value): (Duration, Duration)) -> Result<()> {
    cx.mem.write(addr, [to_timespec(interval), to_timespec(value)].as_flattened())
}

pub(super) fn timerfd_settime(cx: &Ctx<'_>, [fd, flags, new, old, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    let [interval, value] = [new, new.wrapping_add(TIMESPEC_SIZE as u64)].map(|at| user::array(cx.mem, at));
    let (interval, value) = (interval?, value?);
    let (interval, value) = (timespec(&interval)?, timespec(&value)?);
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = cx.file(fd)?;
    let timer = file.file().downcast_ref::<TimerFd>().ok_or(Errno::EINVAL)?;
    let before = timer.set(value, interval, flags & TFD_TIMER_ABSTIME != 0);
    if old != 0 {
        put_itimerspec(cx, old, before)?;
    }
    Ok(0)
}

pub(super) fn timerfd_gettime(cx: &Ctx<'_>, [fd, to, ..]: Args) -> Result<u64> {
    let file = cx.file(fd)?;
    let timer = file.file().downcast_ref::<TimerFd>().ok_or(Errno::EINVAL)?;
    put_itimerspec(cx, to, timer.get())?;
    Ok(0)
}
