//! `epoll_ctl` and `epoll_wait` over files of both owners.

use super::waiting::Waiting;
use super::{errno, over, Mask, Timeout};
use crate::door::{self, Caller, Watch};
use crate::fds::{self, state};
use crate::handover;
use crate::mem;
use crate::signal::Ran;
use crate::sys::{self, host, Args};
use crate::thread;
use crate::tree;
use crate::xlate::{self, EPOLL_EVENT};
use core::sync::atomic::{AtomicBool, Ordering};
use lkl_abi::{nr, Errno, Result};
use lkl_host::Slept;
use lkl_kernel::EpollEvent;
use lkl_ops::{Instant, UserMem};
use smallvec::SmallVec;

/// Most events of a call, however many are asked for.
const MOST: usize = 1024;
/// Most events of the host's that are asked for at once.
const BATCH: usize = 256;

/// In the host's instances, the data of an instance that is in another one: this, and the number that it was added by. It is the kernel that
/// knows what the program is to be told of it, and does so once, whichever side is ready.
const INNER: u64 = 0x5ca_1e9b_037d << 20;

/// `epoll_ctl`
pub(crate) fn ctl(a: &Args) -> isize {
    let (epfd, op, fd, at) = (a[0] as i32, a[1] as i32, a[2] as i32, a[3]);
    let mut event = [0; EPOLL_EVENT];
    if op != libc::EPOLL_CTL_DEL && mem::Own.read(at, &mut event).is_err() {
        return errno(Errno::EFAULT);
    }
    if !fds::epoll(epfd) {
        return errno(Errno::EINVAL);
    }
    match fds::get(fd) {
        state::HOST => {
            // SAFETY: the event was copied; it is the host's form already.
            let ret = unsafe { host!(libc::SYS_epoll_ctl, epfd, op, fd, event.as_ptr()) };
            if ret.is_ok() && op == libc::EPOLL_CTL_ADD && fds::add_to_epoll(epfd, state::HOSTS) {
                // Whoever waits for the instance does not look at the host's yet.
                door::wake(epfd);
            }
            sys::uncheck(ret)
        }
        state::PRIVATE => errno(Errno::EBADF),
        kind => {
            let (events, data) = xlate::epoll_event(&event);
            if op == libc::EPOLL_CTL_ADD {
                fds::add_to_epoll(epfd, state::KERNELS);
            }
            let generic = xlate::generic_epoll_event(events, data);
            let ret = door::call(nr::EPOLL_CTL, [a[0], a[1], a[2], generic.as_ptr() as u64, 0, 0]);
            if ret == 0 && kind == state::KERNEL {
                handover::interest(epfd, op, fd, event);
            }
            if ret == 0 && kind != state::KERNEL {
                // An instance in an instance: also what the host has to tell of it.
                xlate::put_epoll_event(&mut event, events, INNER | fd as u64);
                // SAFETY: the event is ours.
                let _same = unsafe { host!(libc::SYS_epoll_ctl, epfd, op, fd, event.as_ptr()) };
                fds::add_to_epoll(fd, state::EPOLL_MIXED);
                if fds::add_to_epoll(epfd, state::HOSTS) {
                    door::wake(epfd);
                }
            }
            ret
        }
    }
}

/// So many events take no memory of the heap.
const FEW: usize = 16;

/// The instance that is asked.
struct Asked<'a> {
    c: &'a Caller,
    epfd: i32,
    /// The thread waits for it.
    watch: Option<Watch<'a>>,
    waiting: Option<Waiting>,
}

impl Asked<'_> {
    /// Where the host's instance is, if files may be in it.
    fn host(&self) -> Option<i32> {
        let (host, moved) = self.waiting.as_ref().map_or((self.epfd, false), Waiting::host);
        (if moved { host >= 0 } else { fds::epoll_of_hosts(host) }).then_some(host)
    }

    /// The host has something to tell: what the program is to be told.
    fn translate(&self, events: u32, data: u64) -> Result<Option<EpollEvent>> {
        let plain = EpollEvent { events, data, instance: None };
        if fds::tag::is_tag(events, data) && tree::ended() {
            return Ok(None);
        }
        let number = data ^ INNER;
        if number >= fds::LIMIT as u64 {
            return Ok(Some(plain));
        }
        match self.c.epoll_inner(self.epfd, self.watch.as_ref(), number as i32) {
            // The program's own, and like ours by chance.
            Err(Errno::ENOENT) => Ok(Some(plain)),
            other => other,
        }
    }
}

/// Events in x86-64's form, as they are collected.
struct Found {
    bytes: SmallVec<[u8; FEW * EPOLL_EVENT]>,
    max: usize,
    /// The instances within this one that are among them.
    inner: SmallVec<[i32; 4]>,
}

impl Found {
    fn new(max: usize) -> Self {
        Self { bytes: SmallVec::new(), max, inner: SmallVec::new() }
    }

    fn len(&self) -> usize {
        self.bytes.len() / EPOLL_EVENT
    }

    fn room(&self) -> usize {
        self.max - self.len()
    }

    fn put(&mut self, event: EpollEvent) {
        if let Some(fd) = event.instance {
            if self.inner.contains(&fd) {
                return;
            }
            self.inner.push(fd);
        }
        let mut bytes = [0; EPOLL_EVENT];
        xlate::put_epoll_event(&mut bytes, event.events, event.data);
        self.bytes.extend_from_slice(&bytes);
    }

    fn take_kernels(&mut self, asked: &mut Asked<'_>) -> Result<()> {
        let (room, begin) = (self.room(), asked.waiting.is_some() && self.len() == 0);
        asked.c.epoll_ready(asked.epfd, &mut asked.watch, begin, room, |event| self.put(event))
    }

    fn take_hosts(&mut self, asked: &Asked<'_>) -> Result<()> {
        let room = self.room().min(BATCH);
        let Some(host) = asked.host().filter(|_| room > 0) else { return Ok(()) };
        let at = self.bytes.len();
        self.bytes.resize(at + room * EPOLL_EVENT, 0);
        // SAFETY: there is room for this many events behind the pointer.
        let got = unsafe { host!(libc::SYS_epoll_wait, host, self.bytes[at..].as_mut_ptr(), room, 0i32) };
        self.bytes.truncate(at + got.unwrap_or(0) as usize * EPOLL_EVENT);
        if let (Err(_), Some((_, true))) = (got, asked.waiting.as_ref().map(Waiting::host)) {
            // Its number went in this moment.
            return Ok(());
        }
        got?;
        if self.bytes[at..].chunks_exact(EPOLL_EVENT).any(|e| is_ours(xlate::epoll_event(e))) {
            let all: Vec<u8> = self.bytes.drain(at..).collect();
            for event in all.chunks_exact(EPOLL_EVENT) {
                let (events, data) = xlate::epoll_event(event);
                if let Some(event) = asked.translate(events, data)? {
                    self.put(event);
                }
            }
        }
        Ok(())
    }
}

/// Is it what the library has put into an instance of the host's?
fn is_ours((events, data): (u32, u64)) -> bool {
    data ^ INNER < fds::LIMIT as u64 || fds::tag::is_tag(events, data)
}

/// Who is asked first changes from call to call, so that neither side starves when there is little room.
static TURN: AtomicBool = AtomicBool::new(false);

fn collect(asked: &mut Asked<'_>, found: &mut Found) -> Result<()> {
    let found_before = found.len();
    collect_both(asked, found)?;
    if found.len() > found_before && crate::ring::any() {
        crate::ring::pump_all();
    }
    Ok(())
}

fn collect_both(asked: &mut Asked<'_>, found: &mut Found) -> Result<()> {
    if asked.host().is_none() {
        return found.take_kernels(asked);
    }
    if TURN.fetch_xor(true, Ordering::Relaxed) {
        found.take_hosts(asked)?;
        found.take_kernels(asked)
    } else {
        found.take_kernels(asked)?;
        found.take_hosts(asked)
    }
}

fn sleep_for(c: &Caller, epfd: i32, found: &mut Found, deadline: Option<Instant>) -> Result<()> {
    let mut asked = Asked { c, epfd, watch: None, waiting: None };
    // To another process the first look and the beginning of the wait are one call.
    let at_once = c.is_remote() && !over(deadline, c);
    if !at_once {
        collect(&mut asked, found)?;
        if found.len() > 0 || over(deadline, c) {
            return Ok(());
        }
    }
    asked.waiting = Some(Waiting::begin(epfd));
    loop {
        collect(&mut asked, found)?;
        if found.len() > 0 {
            return Ok(());
        }
        let mut host = asked.host().map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        match c.sleep(host.as_mut_slice(), deadline) {
            Slept::Unparked | Slept::Host(_) => {}
            Slept::TimedOut => return collect(&mut asked, found),
            Slept::Failed(e) => return Err(e),
            Slept::Interrupted => {
                collect(&mut asked, found)?;
                return if found.len() > 0 { Ok(()) } else { Err(Errno::EINTR) };
            }
        }
    }
}

/// `epoll_wait`, `epoll_pwait`, `epoll_pwait2`. A function of its own, for other calls must do with the little stack that a thread of
/// the program may have, and this one has room for events.
#[inline(never)]
pub(crate) fn wait(epfd: i32, to: u64, max: i32, timeout: Timeout, mask: u64, mask_size: u64) -> isize {
    if max <= 0 || max as usize > i32::MAX as usize / EPOLL_EVENT {
        return errno(Errno::EINVAL);
    }
    if !mem::in_user_half(to, max as usize * EPOLL_EVENT) {
        return errno(Errno::EFAULT);
    }
    if !fds::epoll(epfd) {
        return errno(Errno::EINVAL);
    }
    if fds::get(epfd) == state::EPOLL | state::HOSTS && mask == 0 {
        // The host knows of all that is in it. Only the one who has to wait must see what is added meanwhile.
        // SAFETY: the host looks at the address itself.
        let ready = unsafe { host!(libc::SYS_epoll_wait, epfd, to, max, 0i32) };
        if ready != Ok(0) || matches!(timeout, Timeout::Millis(0)) {
            return sys::uncheck(ready);
        }
    }
    // What is taken from the instance must reach the program, for it may not be told again.
    let room = mem::writable(to, (max as usize).min(MOST) * EPOLL_EVENT) / EPOLL_EVENT;
    if room == 0 {
        // Only who has something to tell finds that there is nowhere to put it.
        let mut us = [libc::pollfd { fd: epfd, events: libc::POLLIN, revents: 0 }];
        let (ready, _) = super::wait(&mut us, timeout, (mask, mask_size));
        return if ready > 0 { errno(Errno::EFAULT) } else { ready };
    }
    let t = thread::current();
    let mut deadline = None;
    let mut first = true;
    loop {
        let Ok(c) = door::caller(t) else { return errno(Errno::EIO) };
        if first {
            match timeout.deadline(c) {
                Ok(d) => deadline = d,
                Err(e) => return errno(e),
            }
            first = false;
        }
        let mask = match Mask::set(mask, mask_size) {
            Ok(mask) => mask,
            Err(e) => return errno(e),
        };
        let mut found = Found::new(room);
        let mut result = sleep_for(c, epfd, &mut found, deadline).map(|()| found.len());
        if found.len() > 0 && mem::Own.write(to, &found.bytes).is_err() {
            // Another thread has taken the memory away.
            result = Err(Errno::EFAULT);
        }
        drop(found);
        let ran = mask.end(t);
        match result {
            Ok(n) => return n as isize,
            Err(Errno::EINTR) if ran == Ran::Nothing => door::cancellation_point(t),
            Err(e) => return errno(e),
        }
    }
}
