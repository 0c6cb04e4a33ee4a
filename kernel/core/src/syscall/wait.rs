//! Waiting for readiness: `poll`, `select`, `epoll`.

use super::socket::{deadline, install};
use super::{Args, Ctx};
use crate::epoll::{as_epoll, control, Epoll};
use crate::poll::{unpark, PollFd, PollRegistration};
use crate::user::{self, u32_in};
use lkl_abi::epoll::{EPOLL_CLOEXEC, EPOLL_CTL_DEL, EPOLL_EVENT_DATA, EPOLL_EVENT_SIZE};
use lkl_abi::fcntl::O_RDWR;
use lkl_abi::poll::{POLLFD_SIZE, SELECT_EX, SELECT_IN, SELECT_OUT};
use lkl_abi::time::to_timespec;
use lkl_abi::{Errno, Result};
use lkl_ops::{FileKind, Instant};
use lkl_sync::{block_on, Blocking, Events, WaitQueue};
use smallvec::SmallVec;
use std::time::Duration;

/// Most descriptors of one call: `fs.nr_open`.
const NR_OPEN: u64 = 1 << 20;

type Fds = SmallVec<[PollFd; 8]>;

/// Waits until any of `fds` is ready, at most for `timeout`. Answers how many are.
fn wait_for(cx: &Ctx<'_>, fds: &mut [PollFd], timeout: Option<Duration>) -> Result<u64> {
    let how = Blocking {
        nonblock: timeout == Some(Duration::ZERO),
        deadline: deadline(cx, timeout),
        busy: cx.kernel.busy_poll(),
        ..Blocking::on(cx.task.parker())
    };
    // The wake-ups come from the queues of the files; this one only lets `block_on` sleep.
    let idle = WaitQueue::new();
    let mut set: Option<PollRegistration> = None;
    let mut registered = false;
    let result = block_on(how, &idle, Events::ALL, || {
        // Most calls find something at once: the waiters are put in only when it is tried for the second time.
        let ready = match &mut set {
            None => {
                let (ready, new) = cx.kernel.poll_set(cx.task, fds, None);
                set = Some(new);
                ready
            }
            Some(set) => {
                if !registered {
                    set.register(cx.process().kernel(), &unpark(cx.task.parker()));
                    registered = true;
                }
                set.check(fds)
            }
        };
        match ready {
            0 => Err(Errno::EAGAIN),
            n => Ok(n as u64),
        }
    });
    match result {
        Err(Errno::EAGAIN) => Ok(0),
        // Never restarted (man 7 signal).
        Err(Errno::ERESTARTSYS) => Err(Errno::EINTR),
        other => other,
    }
}

/// Writes the time that is left where the time-out was; what cannot be written is let be, as on Linux.
fn put_time_left(cx: &Ctx<'_>, addr: u64, end: Option<Instant>) {
    if let Some(end) = end {
        let _unwritable = cx.mem.write(addr, &to_timespec(end.since(cx.kernel.now())));
    }
}

pub(super) fn ppoll(cx: &Ctx<'_>, [addr, count, timeout, mask, mask_size, _]: Args) -> Result<u64> {
    let time = user::opt_timespec(cx.mem, timeout)?;
    user::check_sigset(mask, mask_size)?;
    let count = u64::from(count as u32);
    if count > NR_OPEN {
        return Err(Errno::EINVAL);
    }
    let at = |i: u64| addr.wrapping_add(i * POLLFD_SIZE as u64);
    let mut fds = Fds::new();
    for i in 0..count {
        let raw = user::array::<POLLFD_SIZE>(cx.mem, at(i))?;
        let events = Events(u32_in(&raw, 4) & 0xffff);
        fds.push(PollFd { fd: u32_in(&raw, 0) as i32, events, revents: Events::EMPTY });
    }
    let end = deadline(cx, time);
    let result = wait_for(cx, &mut fds, time);
    put_time_left(cx, timeout, end);
    let ready = result?;
    for (i, p) in fds.iter().enumerate() {
        cx.mem.write(at(i as u64).wrapping_add(6), &(p.revents.0 as u16).to_ne_bytes())?;
    }
    Ok(ready)
}

/// One of the three sets of `select`.
struct FdSet {
    addr: u64,
    bits: SmallVec<[u8; 128]>,
}

impl FdSet {
    fn read(cx: &Ctx<'_>, addr: u64, bytes: usize) -> Result<Self> {
        let mut bits = SmallVec::from_elem(0, if addr == 0 { 0 } else { bytes });
        if !bits.is_empty() {
            cx.mem.read(addr, &mut bits)?;
        }
        Ok(Self { addr, bits })
    }

    fn has(&self, fd: usize) -> bool {
        self.bits.get(fd / 8).is_some_and(|b| b >> (fd % 8) & 1 != 0)
    }

    fn keep(&mut self, fd: usize, ready: bool) -> u64 {
        match self.bits.get_mut(fd / 8) {
            Some(b) if *b >> (fd % 8) & 1 != 0 => {
                if !ready {
                    *b &= !(1 << (fd % 8));
                }
                u64::from(ready)
            }
            _ => 0,
        }
    }

    fn write(&self, cx: &Ctx<'_>) -> Result<()> {
        if self.bits.is_empty() {
            return Ok(());
        }
        cx.mem.write(self.addr, &self.bits)
    }
}

pub(super) fn pselect6(cx: &Ctx<'_>, [n, input, output, except, timeout, mask]: Args) -> Result<u64> {
    let time = user::opt_timespec(cx.mem, timeout)?;
    if mask != 0 {
        user::check_sigset(user::u64_at(cx.mem, mask)?, user::u64_at(cx.mem, mask.wrapping_add(8))?)?;
    }
    let n = usize::try_from(n as i32).map_err(|_| Errno::EINVAL)?.min(NR_OPEN as usize);
    let bytes = n.div_ceil(64) * 8;
    let mut sets = [
        (FdSet::read(cx, input, bytes)?, SELECT_IN, Events::READ | Events::RDBAND),
        (FdSet::read(cx, output, bytes)?, SELECT_OUT, Events::WRITE | Events::WRBAND),
        (FdSet::read(cx, except, bytes)?, SELECT_EX, Events::PRI),
    ];
    let mut fds = Fds::new();
    for fd in 0..n {
        let mut events = Events::EMPTY;
        for (set, _, asked) in &sets {
            if set.has(fd) {
                events |= *asked;
            }
        }
        if events.is_empty() {
            continue;
        }
        if !cx.process().owns(fd as i32) {
            return Err(Errno::EBADF);
        }
        fds.push(PollFd { fd: fd as i32, events, revents: Events::EMPTY });
    }
    let end = deadline(cx, time);
    let result = wait_for(cx, &mut fds, time);
    put_time_left(cx, timeout, end);
    result?;
    let mut ready = 0;
    for p in &fds {
        for (set, bits, _) in &mut sets {
            ready += set.keep(p.fd as usize, p.revents.0 & *bits != 0);
        }
    }
    for (set, ..) in &sets {
        set.write(cx)?;
    }
    Ok(ready)
}

pub(super) fn epoll_create1(cx: &Ctx<'_>, [flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let epoll = Epoll::new();
    install(cx, FileKind::Epoll, epoll.open(O_RDWR), flags & EPOLL_CLOEXEC != 0)
}

pub(super) fn epoll_ctl(cx: &Ctx<'_>, [epfd, op, fd, event, ..]: Args) -> Result<u64> {
    let op = op as u32;
    let event = match op {
        EPOLL_CTL_DEL => None,
        _ => {
            let raw = user::array::<EPOLL_EVENT_SIZE>(cx.mem, event)?;
            Some((u32_in(&raw, 0), user::u64_in(&raw, EPOLL_EVENT_DATA)))
        }
    };
    control(cx.kernel, cx.task, epfd as i32, op, fd as i32, event)?;
    Ok(0)
}

fn epoll_wait(cx: &Ctx<'_>, epfd: u64, events: u64, max: u64, timeout: Option<Duration>) -> Result<u64> {
    let max = usize::try_from(max as i32).ok().filter(|n| *n > 0 && *n <= i32::MAX as usize / EPOLL_EVENT_SIZE);
    let max = max.ok_or(Errno::EINVAL)?;
    let file = cx.file(epfd)?;
    let epoll = as_epoll(&file).ok_or(Errno::EINVAL)?;
    let how = Blocking {
        nonblock: timeout == Some(Duration::ZERO),
        deadline: deadline(cx, timeout),
        exclusive: true,
        busy: cx.kernel.busy_poll(),
        ..Blocking::on(cx.task.parker())
    };
    let mut tries = 0;
    let result = block_on(how, epoll.queue(), Events::READ, || {
        let mut at = events;
        tries += 1;
        // It waits from the second time on.
        let count = epoll.harvest(max, tries > 1, |event| {
            let mut raw = [0; EPOLL_EVENT_SIZE];
            let (head, tail) = raw.split_at_mut(EPOLL_EVENT_DATA);
            head.get_mut(..4).ok_or(Errno::EFAULT)?.copy_from_slice(&event.events.to_ne_bytes());
            tail.copy_from_slice(&event.data.to_ne_bytes());
            cx.mem.write(at, &raw)?;
            at = at.wrapping_add(EPOLL_EVENT_SIZE as u64);
            Ok(())
        })?;
        match count {
            0 => Err(Errno::EAGAIN),
            n => Ok(n as u64),
        }
    });
    match result {
        Err(Errno::EAGAIN) => Ok(0),
        Err(Errno::ERESTARTSYS) => Err(Errno::EINTR),
        other => other,
    }
}

pub(super) fn epoll_pwait(cx: &Ctx<'_>, [epfd, events, max, timeout, mask, mask_size]: Args) -> Result<u64> {
    user::check_sigset(mask, mask_size)?;
    // A negative time is no time-out.
    let timeout = u64::try_from(timeout as i32).ok().map(Duration::from_millis);
    epoll_wait(cx, epfd, events, max, timeout)
}

pub(super) fn epoll_pwait2(cx: &Ctx<'_>, [epfd, events, max, timeout, mask, mask_size]: Args) -> Result<u64> {
    user::check_sigset(mask, mask_size)?;
    let timeout = user::opt_timespec(cx.mem, timeout)?;
    epoll_wait(cx, epfd, events, max, timeout)
}
