//! Waiting for files of the kernel and of the host together: `poll`, `select`, `epoll`.
//!
//! There is one sleeping place, [`lkl_host::ThreadParker::sleep`]: a wait of the host's for the host's files, the
//! wake-up of this thread, and (if this thread drives the stack) the devices. The kernel's files wake the thread. Every
//! call looks at both sides before it sleeps and before it answers, so neither can starve the other.
//!
//! An epoll instance is one of the kernel, and its placeholder is one of the host, at the same number. Kernel files are
//! added to the former, host files to the latter, which is then one more host file to sleep on. An instance that
//! is put into another one, or into a `poll`, is put there on both sides.

mod epoll;
mod waiting;

pub(crate) use epoll::{ctl as epoll_ctl, wait as epoll_wait};
pub(crate) use waiting::{after_fork, before_fork, closing};

use crate::door::{self, Caller};
use crate::fds;
use crate::mem;
use crate::signal::{self, Ran};
use crate::sys::{self, host, Args};
use crate::thread;
use lkl_abi::{Errno, Result};
use lkl_host::Slept;
use lkl_kernel::PollFd;
use lkl_ops::{Instant, UserMem};
use lkl_sync::Events;
use smallvec::SmallVec;

fn errno(e: Errno) -> isize {
    -(e.0 as isize)
}

/// How long a call may wait, as its argument says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timeout {
    /// Milliseconds; negative for ever.
    Millis(i32),
    /// Address of a `struct timespec`; 0 for ever.
    Spec(u64),
    /// Address of a `struct timeval`; 0 for ever.
    Val(u64),
}

impl Timeout {
    /// When it is over (`None`: never; the beginning of time: at once). The clock is looked at only if it matters.
    fn deadline(self, c: &Caller) -> Result<Option<Instant>> {
        let (secs, nanos) = match self {
            Self::Millis(0) => return Ok(Some(Instant::ZERO)),
            Self::Millis(ms) if ms < 0 => return Ok(None),
            Self::Millis(ms) => ((ms / 1000) as u64, (ms % 1000) as u64 * 1_000_000),
            Self::Spec(0) | Self::Val(0) => return Ok(None),
            Self::Spec(at) => {
                let [secs, nanos] = mem::get::<[u64; 2]>(at)?;
                (secs, nanos)
            }
            Self::Val(at) => {
                let [secs, micros] = mem::get::<[u64; 2]>(at)?;
                if (micros as i64) < 0 {
                    return Err(Errno::EINVAL);
                }
                // Linux lets microseconds be more than a second's worth.
                (secs.saturating_add(micros / 1_000_000), micros % 1_000_000 * 1000)
            }
        };
        if (secs as i64) < 0 || nanos >= 1_000_000_000 {
            return Err(Errno::EINVAL);
        }
        Ok(Some(c.now() + core::time::Duration::new(secs, nanos as u32)))
    }

    /// Tells the caller what is left of it, as Linux does for `select`.
    fn write_left(self, deadline: Option<Instant>) {
        let (Some(deadline), Ok(c)) = (deadline, door::caller(thread::current())) else { return };
        let left = deadline.since(c.now());
        // Linux ignores it, too, if that cannot be written.
        let _ignored = match self {
            Self::Spec(at) => mem::put(at, &[left.as_secs(), u64::from(left.subsec_nanos())]),
            Self::Val(at) => mem::put(at, &[left.as_secs(), u64::from(left.subsec_micros())]),
            Self::Millis(_) => Ok(()),
        };
    }
}

/// Has the deadline passed?
fn over(deadline: Option<Instant>, c: &Caller) -> bool {
    deadline.is_some_and(|d| d == Instant::ZERO || d <= c.now())
}

/// The signal mask of a call, while it lasts.
struct Mask(Option<u64>);

impl Mask {
    /// Sets the mask at the address `at` (0 for none).
    fn set(at: u64, size: u64) -> Result<Self> {
        if at == 0 {
            return Ok(Self(None));
        }
        if size != 8 {
            return Err(Errno::EINVAL);
        }
        let mask = mem::get::<u64>(at)?;
        Ok(Self(Some(sys::sigprocmask(libc::SIG_SETMASK, mask))))
    }

    /// Lets in what arrived, then sets the old mask again.
    fn end(self, t: &thread::Thread) -> Ran {
        let ran = signal::window(t);
        if let Some(old) = self.0 {
            sys::sigprocmask(libc::SIG_SETMASK, old);
        }
        ran
    }
}

/// So many descriptors take no memory of the heap.
const FEW: usize = 8;

type PollFds = SmallVec<[libc::pollfd; FEW]>;

/// A set of descriptors of both owners.
struct Set {
    ours: SmallVec<[PollFd; FEW]>,
    /// For each of `ours`, which of the caller's it is.
    index: SmallVec<[usize; FEW]>,
    /// As many as the caller's; -1 where it is not the host's.
    theirs: PollFds,
    any_theirs: bool,
}

impl Set {
    fn new(fds: &[libc::pollfd]) -> Self {
        let mut set = Self {
            ours: SmallVec::new(),
            index: SmallVec::new(),
            theirs: PollFds::with_capacity(fds.len()),
            any_theirs: false,
        };
        for (i, p) in fds.iter().enumerate() {
            let mut host = libc::pollfd { fd: p.fd, events: p.events, revents: 0 };
            // The kernel has no file at a number of the library's own: to the program there is none.
            if fds::ours(p.fd) {
                set.ours.push(PollFd { fd: p.fd, events: Events(p.events as u16 as u32), revents: Events::EMPTY });
                set.index.push(i);
                if !fds::epoll_of_hosts(p.fd) {
                    host.fd = -1;
                }
            }
            set.any_theirs |= host.fd >= 0;
            set.theirs.push(host);
        }
        set
    }

    /// Looks at the host's, without waiting. Answers how many are ready.
    fn look(&mut self) -> Result<usize> {
        if !self.any_theirs {
            return Ok(0);
        }
        // SAFETY: the array has this many elements.
        unsafe { host!(libc::SYS_poll, self.theirs.as_mut_ptr(), self.theirs.len(), 0i32) }.map(|n| n as usize)
    }

    /// Waits until something is ready, the deadline, or a signal: `EINTR`.
    fn wait(&mut self, c: &Caller, deadline: Option<Instant>) -> Result<()> {
        let ready = c.look(&mut self.ours);
        if crate::ring::any() && self.ours.iter().any(|o| o.events.intersects(Events::READ) && crate::ring::pump(o.fd))
        {
            return self.look().map(drop);
        }
        if ready + self.look()? > 0 || over(deadline, c) {
            return Ok(());
        }
        let (mut ready, watch) = c.watch(&mut self.ours)?;
        while ready == 0 {
            let slept = c.sleep(if self.any_theirs { &mut self.theirs } else { &mut [] }, deadline);
            ready = watch.check(&mut self.ours);
            match slept {
                Slept::Host(_) => break,
                // Both sides are asked once more: what is ready wins.
                _ if self.look()? + ready > 0 => break,
                Slept::Unparked => {}
                Slept::TimedOut => break,
                Slept::Interrupted => return Err(Errno::EINTR),
                Slept::Failed(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes the answer of both sides; how many are ready.
    fn answer(&mut self, fds: &mut [libc::pollfd]) -> usize {
        for (p, h) in fds.iter_mut().zip(&self.theirs) {
            p.revents = if h.fd >= 0 { h.revents } else { 0 };
        }
        for o in self.ours.iter_mut().filter(|o| fds::get(o.fd) == fds::state::RING) {
            let wanted = o.events.intersects(Events::READ);
            let has = crate::ring::pump(o.fd);
            o.revents =
                Events(o.revents.0 & !Events::READ.0 | if has && wanted { o.events.0 & Events::READ.0 } else { 0 });
        }
        // What another thread has closed meanwhile, or replaced, is as the host has it.
        for o in self.ours.iter_mut().filter(|o| !fds::ours(o.fd)) {
            let mut p = libc::pollfd { fd: o.fd, events: o.events.0 as u16 as i16, revents: 0 };
            // SAFETY: one element.
            let _looked = unsafe { host!(libc::SYS_poll, &raw mut p, 1usize, 0i32) };
            o.revents = Events(u32::from(p.revents as u16));
        }
        for (o, i) in self.ours.iter().zip(&self.index) {
            fds[*i].revents |= o.revents.0 as u16 as i16;
        }
        fds.iter().filter(|p| p.revents != 0).count()
    }
}

/// Waits for `fds`, whoever owns them; writes every `revents`. Answers how many are ready.
fn wait(fds: &mut [libc::pollfd], timeout: Timeout, mask: (u64, u64)) -> (isize, Option<Instant>) {
    let t = thread::current();
    let mut deadline = None;
    let mut first = true;
    loop {
        let Ok(c) = door::caller(t) else {
            return (errno(Errno::EIO), None);
        };
        if first {
            match timeout.deadline(c) {
                Ok(d) => deadline = d,
                Err(e) => return (errno(e), None),
            }
            first = false;
        }
        let mask = match Mask::set(mask.0, mask.1) {
            Ok(mask) => mask,
            Err(e) => return (errno(e), deadline),
        };
        let mut set = Set::new(fds);
        let result = set.wait(c, deadline);
        let ready = set.answer(fds);
        drop(set);
        let ran = mask.end(t);
        match result {
            Ok(()) => return (ready as isize, deadline),
            Err(Errno::EINTR) if ran == Ran::Nothing => door::cancellation_point(t),
            Err(e) => return (errno(e), deadline),
        }
    }
}

/// Reads the caller's `struct pollfd`s if any of them is not the host's.
fn pollfds(at: u64, n: u64) -> Option<Result<PollFds>> {
    const SIZE: usize = size_of::<libc::pollfd>();
    let n = n as usize;
    let mut any = false;
    // A first look at the numbers alone, without allocating.
    let mut chunk = [0u8; 32 * SIZE];
    let mut i = 0;
    while i < n && !any {
        let m = (n - i).min(32);
        // What cannot be read is for the host to refuse.
        mem::Own.read(at.wrapping_add((i * SIZE) as u64), &mut chunk[..m * SIZE]).ok()?;
        any = chunk[..m * SIZE].chunks_exact(SIZE).any(|p| fds::ours(i32::from_ne_bytes([p[0], p[1], p[2], p[3]])));
        i += m;
    }
    if !any {
        return None;
    }
    if n > fds::LIMIT {
        return Some(Err(Errno::EINVAL));
    }
    let mut list = PollFds::from_elem(libc::pollfd { fd: -1, events: 0, revents: 0 }, n);
    // SAFETY: `struct pollfd` is two integers of 2 and one of 4 bytes, without padding.
    let bytes = unsafe { core::slice::from_raw_parts_mut(list.as_mut_ptr().cast::<u8>(), n * SIZE) };
    Some(mem::Own.read(at, bytes).map(|()| list))
}

fn poll_with(at: u64, n: u64, timeout: Timeout, mask: (u64, u64)) -> Option<isize> {
    let mut list = match pollfds(at, n)? {
        Ok(list) => list,
        Err(e) => return Some(errno(e)),
    };
    let (ret, deadline) = wait(&mut list, timeout, mask);
    if let Timeout::Spec(_) = timeout {
        timeout.write_left(deadline);
    }
    if ret < 0 {
        return Some(ret);
    }
    for (i, p) in list.iter().enumerate() {
        let to = at.wrapping_add((i * size_of::<libc::pollfd>() + 6) as u64);
        if mem::Own.write(to, &p.revents.to_ne_bytes()).is_err() {
            return Some(errno(Errno::EFAULT));
        }
    }
    Some(ret)
}

/// Are these `struct pollfd`s few, and all of them the host's? Told with less to-do than by [`poll`]. What cannot be read is not.
#[inline]
pub(crate) fn few_of_the_hosts(at: u64, n: u64) -> bool {
    let fd = |i: u64| mem::get::<u64>(at.wrapping_add(i * size_of::<libc::pollfd>() as u64)).map(|p| p as i32);
    n <= 4 && (0..n).all(|i| fd(i).is_ok_and(|fd| !fds::ours(fd)))
}

/// `poll`
pub(crate) fn poll(a: &Args) -> Option<isize> {
    poll_with(a[0], a[1], Timeout::Millis(a[2] as i32), (0, 8))
}

/// `ppoll`
pub(crate) fn ppoll(a: &Args) -> Option<isize> {
    poll_with(a[0], a[1], Timeout::Spec(a[2]), (a[3], a[4]))
}

const SELECT_IN: i16 = libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLIN | libc::POLLHUP | libc::POLLERR;
const SELECT_OUT: i16 = libc::POLLWRBAND | libc::POLLWRNORM | libc::POLLOUT | libc::POLLERR;
const SELECT_EX: i16 = libc::POLLPRI;

/// Reads the 64 bits of a set that are at `word`.
fn select_word(set: u64, word: usize) -> Result<u64> {
    if set == 0 {
        return Ok(0);
    }
    mem::get(set.wrapping_add(word as u64 * 8))
}

/// Reads the sets of `select` as a list of `struct pollfd`, if any descriptor is not the host's.
fn select_list(n: i32, sets: [u64; 3]) -> Option<Vec<libc::pollfd>> {
    if !(0..=fds::LIMIT as i32).contains(&n) {
        return None;
    }
    let mut list = Vec::new();
    let mut any = false;
    for word in 0..(n as usize).div_ceil(64) {
        let mut bits = [0u64; 3];
        for (b, set) in bits.iter_mut().zip(sets) {
            *b = select_word(set, word).ok()?;
        }
        let mut all = bits[0] | bits[1] | bits[2];
        while all != 0 {
            let i = all.trailing_zeros();
            all &= all - 1;
            let fd = (word * 64) as i32 + i as i32;
            if fd >= n {
                break;
            }
            any |= fds::ours(fd);
            let mut events = 0;
            for (b, e) in bits.iter().zip([SELECT_IN, SELECT_OUT, SELECT_EX]) {
                if b >> i & 1 != 0 {
                    events |= e;
                }
            }
            list.push(libc::pollfd { fd, events, revents: 0 });
        }
    }
    any.then_some(list)
}

fn select_with(n: i32, sets: [u64; 3], timeout: Timeout, mask: (u64, u64)) -> Option<isize> {
    let mut list = select_list(n, sets)?;
    let ours: Vec<bool> = list.iter().map(|p| fds::ours(p.fd)).collect();
    let (ret, deadline) = wait(&mut list, timeout, mask);
    timeout.write_left(deadline);
    if ret < 0 {
        return Some(ret);
    }
    // What was closed in the meantime is ready.
    if list.iter().zip(ours).any(|(p, ours)| !ours && p.revents & libc::POLLNVAL != 0) {
        return Some(errno(Errno::EBADF));
    }
    let words = (n as usize).div_ceil(64);
    let mut count = 0;
    for (set, wanted) in sets.into_iter().zip([SELECT_IN, SELECT_OUT, SELECT_EX]) {
        if set == 0 {
            continue;
        }
        let mut out = vec![0u64; words];
        for p in &list {
            // `events` tells in which sets it was: each of the three has a bit that no other has.
            let own = match wanted {
                SELECT_IN => libc::POLLIN,
                SELECT_OUT => libc::POLLOUT,
                _ => libc::POLLPRI,
            };
            if p.events & own != 0 && p.revents & (wanted | libc::POLLNVAL) != 0 {
                out[p.fd as usize / 64] |= 1 << (p.fd % 64);
                count += 1;
            }
        }
        // SAFETY: integers are bytes.
        let bytes = unsafe { core::slice::from_raw_parts(out.as_ptr().cast::<u8>(), words * 8) };
        if mem::Own.write(set, bytes).is_err() {
            return Some(errno(Errno::EFAULT));
        }
    }
    Some(count)
}

/// `select`
pub(crate) fn select(a: &Args) -> Option<isize> {
    select_with(a[0] as i32, [a[1], a[2], a[3]], Timeout::Val(a[4]), (0, 8))
}

/// `pselect6`, whose last argument is the address of a mask's address and size.
pub(crate) fn pselect(a: &Args) -> Option<isize> {
    let mask = match a[5] {
        0 => [0, 8],
        at => mem::get::<[u64; 2]>(at).ok()?,
    };
    select_with(a[0] as i32, [a[1], a[2], a[3]], Timeout::Spec(a[4]), (mask[0], mask[1]))
}
