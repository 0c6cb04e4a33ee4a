//! Addresses that are the host's (`LKL_HIJACK_HOST`): a socket whose first `bind`, `connect` or `send` names one becomes a
//! socket of the host's, at the same number, and the call goes there.
//!
//! The kernel's socket is let go as `dup2` would, and nothing of it was seen by anyone yet. What the program has set up
//! is carried over: the flags and owner of the file, the options in [`OPTIONS`] that differ from what a fresh socket of
//! the host's has, the sizes of buffers that were asked for, and the epoll instances that this process has put it into. The
//! other numbers of a socket that this process has duplicated become the host's too.
//!
//! A socket that has an address or a peer in the kernel stays there; one that went to the host stays there as well.

use crate::door;
use crate::fds::{self, state, HostNumbers};
use crate::guarded::Guarded;
use crate::mem;
use crate::sys::{self, host, Args};
use crate::xlate;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use ipnetwork::IpNetwork;
use lkl_abi::{nr, Errno, Result};
use lkl_ops::Descriptors;

/// The host's addresses. Set once, never freed.
static PREFIXES: AtomicPtr<Vec<IpNetwork>> = AtomicPtr::new(core::ptr::null_mut());
/// The process has duplicated a file of the kernel's, or may have inherited such.
static DUPLICATED: AtomicBool = AtomicBool::new(false);
static INTERESTS: Guarded<Vec<Interest>> = Guarded::new(Vec::new());

/// What a socket waits for in an epoll instance.
struct Interest {
    epfd: i32,
    fd: i32,
    event: [u8; xlate::EPOLL_EVENT],
}

/// Which addresses are the host's from now on. Called once.
pub(crate) fn init(prefixes: Vec<IpNetwork>) {
    if !prefixes.is_empty() {
        PREFIXES.store(Box::into_raw(Box::new(prefixes)), Ordering::Release);
    }
}

fn prefixes() -> Option<&'static Vec<IpNetwork>> {
    // SAFETY: set once, never freed.
    unsafe { PREFIXES.load(Ordering::Acquire).as_ref() }
}

/// Nobody changes what is noted here until [`after_fork`].
pub(crate) fn before_fork() {
    INTERESTS.lock().lock();
}

/// In both processes.
pub(crate) fn after_fork() {
    INTERESTS.lock().unlock();
}

/// A file of the kernel's has another number now.
pub(crate) fn duplicated() {
    DUPLICATED.store(true, Ordering::Relaxed);
}

/// `epoll_ctl` was done on a socket of the kernel's.
pub(crate) fn interest(epfd: i32, op: i32, fd: i32, event: [u8; xlate::EPOLL_EVENT]) {
    if prefixes().is_none() {
        return;
    }
    INTERESTS.with(|list| {
        list.retain(|i| (i.epfd, i.fd) != (epfd, fd));
        if op != libc::EPOLL_CTL_DEL {
            list.push(Interest { epfd, fd, event });
        }
    });
}

/// The number means something else now.
pub(crate) fn forget(fd: i32) {
    if prefixes().is_some() {
        INTERESTS.with(|list| list.retain(|i| i.epfd != fd && i.fd != fd));
    }
}

/// Looks at a call on a file of the kernel's. `None`: it is not for the host. `Some(Ok)`: the socket is the host's now, and
/// so is the call. `Some(Err)`: it should be, and cannot.
pub(crate) fn take_over(number: usize, a: &Args) -> Option<Result<()>> {
    let prefixes = prefixes()?;
    let fd = a[0] as i32;
    let (at, len) = named(number, a)?;
    let addr = address(at, len)?;
    if !prefixes.iter().any(|p| p.contains(addr)) || fds::get(fd) != state::KERNEL || !fresh(fd) {
        return None;
    }
    Some(go(fd))
}

/// Where the address that the call names stands, and its length.
fn named(number: usize, a: &Args) -> Option<(u64, u64)> {
    // `struct msghdr`, which `struct mmsghdr` begins with.
    let of_message =
        |at: u64| Some((mem::get::<u64>(at).ok()?, mem::get::<u64>(at.wrapping_add(8)).ok()? & 0xffff_ffff));
    let found = match number as i64 {
        libc::SYS_bind | libc::SYS_connect => (a[1], a[2] & 0xffff_ffff),
        libc::SYS_sendto => (a[4], a[5] & 0xffff_ffff),
        libc::SYS_sendmsg => of_message(a[1])?,
        libc::SYS_sendmmsg if a[2] as u32 > 0 => of_message(a[1])?,
        _ => return None,
    };
    (found.0 != 0).then_some(found)
}

/// The IP address in a `sockaddr_in` or `sockaddr_in6`.
fn address(at: u64, len: u64) -> Option<IpAddr> {
    use lkl_ops::UserMem;
    let mut raw = [0u8; 28];
    let len = (len as usize).min(raw.len());
    mem::Own.read(at, raw.get_mut(..len)?).ok()?;
    match i32::from(u16::from_ne_bytes([raw[0], raw[1]])) {
        libc::AF_INET if len >= 16 => Some(Ipv4Addr::new(raw[4], raw[5], raw[6], raw[7]).into()),
        libc::AF_INET6 if len >= 24 => {
            let whole: [u8; 16] = raw[8..24].try_into().ok()?;
            Some(Ipv6Addr::from(whole).to_canonical())
        }
        _ => None,
    }
}

fn kernel_int(fd: i32, level: i32, name: i32) -> Option<i32> {
    let (mut value, mut len) = (0i32, 4u32);
    let args = [fd as u64, level as u64, name as u64, &raw mut value as u64, &raw mut len as u64, 0];
    (door::call(nr::GETSOCKOPT, args) == 0 && len == 4).then_some(value)
}

/// Has the socket neither an address nor a peer yet?
fn fresh(fd: i32) -> bool {
    let ask = |number: usize| {
        let (mut raw, mut len) = ([0u8; 28], 28u32);
        let ret = door::call(number, [fd as u64, raw.as_mut_ptr() as u64, &raw mut len as u64, 0, 0, 0]);
        (ret, raw)
    };
    let (ret, own) = ask(nr::GETSOCKNAME);
    let family = i32::from(u16::from_ne_bytes([own[0], own[1]]));
    let unset = match family {
        // Port and address.
        libc::AF_INET => own[2..8].iter().all(|b| *b == 0),
        libc::AF_INET6 => own[2..4].iter().chain(&own[8..24]).all(|b| *b == 0),
        _ => false,
    };
    ret == 0 && unset && ask(nr::GETPEERNAME).0 < 0
}

/// Makes the host's socket and puts it in the place of the kernel's.
fn go(fd: i32) -> Result<()> {
    let ask = |name| kernel_int(fd, libc::SOL_SOCKET, name).ok_or(Errno::EBADF);
    let (domain, kind, protocol) = (ask(libc::SO_DOMAIN)?, ask(libc::SO_TYPE)?, ask(libc::SO_PROTOCOL)?);
    // SAFETY: no pointers.
    let new = unsafe { host!(libc::SYS_socket, domain, kind | libc::SOCK_CLOEXEC, protocol) }? as i32;
    carry_options(fd, new);
    carry_flags(fd, new);
    let result = same_file(fd).into_iter().try_for_each(|number| put(new, number));
    sys::close(new);
    result
}

/// The numbers at which this process has the file of `fd`.
fn same_file(fd: i32) -> Vec<i32> {
    if !DUPLICATED.load(Ordering::Relaxed) {
        return vec![fd];
    }
    let inode = |fd: i32| {
        let mut stat = [0u8; xlate::STAT_SIZE];
        let ret = door::call(nr::FSTAT, [fd as u64, stat.as_mut_ptr() as u64, 0, 0, 0, 0]);
        // `st_dev` and `st_ino`.
        (ret == 0).then(|| stat[..16].to_vec())
    };
    let this = inode(fd);
    let same =
        |other: &i32| *other == fd || (this.is_some() && fds::get(*other) == state::KERNEL && inode(*other) == this);
    fds::in_range(0, i32::MAX).filter(same).collect()
}

/// The host's socket `new` takes the place of the kernel's file at `fd`.
fn put(new: i32, fd: i32) -> Result<()> {
    let interests = INTERESTS.with(|list| {
        let (these, others) = core::mem::take(list).into_iter().partition(|i| i.fd == fd);
        *list = others;
        these
    });
    let interests: Vec<Interest> = interests;
    let flags = if HostNumbers.cloexec(fd) { libc::O_CLOEXEC } else { 0 };
    // SAFETY: no pointers.
    let ret =
        door::replace(fd, state::HOST, || sys::uncheck(unsafe { host!(libc::SYS_dup3, new, fd, flags) }.map(|_| 0)));
    if ret < 0 {
        return Err(Errno(-ret as i32));
    }
    for i in interests.iter().filter(|i| fds::epoll(i.epfd)) {
        // SAFETY: an event in the host's form.
        let added = unsafe { host!(libc::SYS_epoll_ctl, i.epfd, libc::EPOLL_CTL_ADD, fd, i.event.as_ptr()) };
        if added.is_ok() && fds::add_to_epoll(i.epfd, state::HOSTS) {
            door::wake(i.epfd);
        }
    }
    Ok(())
}

/// `O_NONBLOCK`, `O_ASYNC`, the owner and its signal.
fn carry_flags(from: i32, to: i32) {
    const CARRIED: isize = (libc::O_NONBLOCK | libc::O_ASYNC) as isize;
    const F_SETSIG: i32 = 10;
    const F_GETSIG: i32 = 11;
    let ask = |cmd: i32| door::call(nr::FCNTL, [from as u64, cmd as u64, 0, 0, 0, 0]);
    let tell = |cmd: i32, value: isize| {
        // SAFETY: no pointers. What the host refuses stays as it is there.
        let _kept = unsafe { host!(libc::SYS_fcntl, to, cmd, value) };
    };
    let owner = ask(libc::F_GETOWN);
    // A group is a negative number, an error one of the last 4095: such a group has no number of those.
    if !(-4095..=0).contains(&owner) {
        tell(libc::F_SETOWN, owner);
        tell(F_SETSIG, ask(F_GETSIG).max(0));
    }
    let flags = ask(libc::F_GETFL);
    if flags > 0 && flags & CARRIED != 0 {
        tell(libc::F_SETFL, flags & CARRIED);
    }
}

/// Options that are carried over: level, name, and bytes of the value.
const OPTIONS: &[(i32, i32, u32)] = &[
    (libc::SOL_SOCKET, libc::SO_REUSEADDR, 4),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT, 4),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 4),
    (libc::SOL_SOCKET, libc::SO_BROADCAST, 4),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE, 4),
    (libc::SOL_SOCKET, libc::SO_LINGER, 8),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO, 16),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO, 16),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT, 4),
    (libc::SOL_SOCKET, libc::SO_PRIORITY, 4),
    (libc::SOL_SOCKET, libc::SO_MARK, 4),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMP, 4),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 4),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY, 4),
    (libc::IPPROTO_TCP, libc::TCP_CORK, 4),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 4),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 4),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 4),
    (libc::IPPROTO_TCP, libc::TCP_SYNCNT, 4),
    (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 4),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 4),
    (libc::IPPROTO_IP, libc::IP_TOS, 4),
    (libc::IPPROTO_IP, libc::IP_TTL, 4),
    (libc::IPPROTO_IP, libc::IP_PKTINFO, 4),
    (libc::IPPROTO_IP, libc::IP_RECVERR, 4),
    (libc::IPPROTO_IP, libc::IP_RECVTTL, 4),
    (libc::IPPROTO_IP, libc::IP_RECVTOS, 4),
    (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, 4),
    (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, 4),
    (libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, 4),
    (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, 4),
];

fn carry_options(from: i32, to: i32) {
    for &(level, name, size) in OPTIONS {
        let (mut ours, mut theirs) = ([0u8; 16], [0u8; 16]);
        let mut len = size;
        let args = [from as u64, level as u64, name as u64, ours.as_mut_ptr() as u64, &raw mut len as u64, 0];
        if door::call(nr::GETSOCKOPT, args) < 0 || len != size {
            continue;
        }
        // SAFETY: the room is as long as the length says.
        let asked = unsafe { host!(libc::SYS_getsockopt, to, level, name, theirs.as_mut_ptr(), &raw mut len) };
        if asked.is_ok() && ours != theirs {
            // SAFETY: a value of this length. What the host refuses stays as it is there.
            let _kept = unsafe { host!(libc::SYS_setsockopt, to, level, name, ours.as_ptr(), size) };
        }
    }
    // Only sizes that the program has asked for; they are answered doubled.
    const SO_BUF_LOCK: i32 = 72;
    let locked = kernel_int(from, libc::SOL_SOCKET, SO_BUF_LOCK).unwrap_or(0);
    for (bit, name) in [(1, libc::SO_SNDBUF), (2, libc::SO_RCVBUF)] {
        if let Some(size) = kernel_int(from, libc::SOL_SOCKET, name).filter(|_| locked & bit != 0) {
            let half = size / 2;
            // SAFETY: an `int`.
            let _kept = unsafe { host!(libc::SYS_setsockopt, to, libc::SOL_SOCKET, name, &raw const half, 4u32) };
        }
    }
}
