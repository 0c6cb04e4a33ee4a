//! Signals that files send ([`lkl_ops::signal`]), sent by the host.
//!
//! Whoever drives the stack sends them, often another process than the one that gets them. To another process the host lets
//! nobody send a `si_code` of a kernel's own (`POLL_IN`, `SI_KERNEL`), so they all go as `SI_SIGIO`, which has the same
//! members; [`restore`] makes of it what Linux would have sent, where the program looks.

use crate::sys;
use core::fmt::Write;
use lkl_abi::{Errno, Result};
use lkl_ops::{Owner, OwnerKind, Poll};
use rustix::process::{geteuid, getpid, getuid};

/// `si_code` of a signal that a file has sent by way of a queue.
const SI_SIGIO: i32 = -5;
/// `si_code` of one that says nothing.
const SI_KERNEL: i32 = 0x80;
/// What `POLL_IN` to `POLL_HUP` are in `si_band`.
const BANDS: [u32; 6] = [0x041, 0x304, 0x441, 0x008, 0x082, 0x018];

/// The bytes of a `siginfo_t`.
#[repr(C, align(8))]
pub(crate) struct Info([u8; 128]);

impl Info {
    fn new(signal: i32, poll: Option<Poll>) -> Self {
        let mut b = [0; 128];
        let (band, fd) = poll.map_or((0, 0), |p| (p.band, p.fd));
        b[0..4].copy_from_slice(&signal.to_ne_bytes());
        b[8..12].copy_from_slice(&SI_SIGIO.to_ne_bytes());
        b[16..24].copy_from_slice(&i64::from(band).to_ne_bytes());
        b[24..28].copy_from_slice(&fd.to_ne_bytes());
        Self(b)
    }

    /// `si_signo`
    pub(crate) fn signal(&self) -> i32 {
        i32::from_ne_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }
}

/// What `si_code` of a signal that came should be, from its number, the code that came, and `si_band`. Signals that have
/// codes of their own keep `SI_SIGIO`, as on Linux.
pub fn restore(signal: i32, code: i32, band: i64) -> i32 {
    let own = matches!(
        signal,
        libc::SIGILL | libc::SIGFPE | libc::SIGSEGV | libc::SIGBUS | libc::SIGTRAP | libc::SIGCHLD | libc::SIGSYS
    );
    if code != SI_SIGIO || own {
        return code;
    }
    let known = (1..).zip(BANDS).find(|(_, b)| i64::from(*b) == band);
    known.map_or(SI_KERNEL, |(code, _)| code)
}

/// Finds an owner ([`lkl_ops::Host::owner`]).
pub(crate) fn owner(kind: OwnerKind, id: i32, by: i32) -> Result<Owner> {
    if id <= 0 || (sys::kill(id, 0) == Err(Errno::ESRCH) && sys::kill(-id, 0) == Err(Errno::ESRCH)) {
        return Err(Errno::ESRCH);
    }
    let own = [getuid().as_raw(), geteuid().as_raw()];
    let uids = match by == getpid().as_raw_nonzero().get() {
        true => own,
        false => uids(by).map_or(own, |[real, effective, _]| [real, effective]),
    };
    let process = if kind == OwnerKind::Thread { field(id, "Tgid:").map_or(0, |[n]| n as i32) } else { 0 };
    Ok(Owner { kind, id, process, uids })
}

pub(crate) fn lives(o: &Owner) -> bool {
    let id = if o.kind == OwnerKind::Group { -o.id } else { o.id };
    sys::kill(id, 0) != Err(Errno::ESRCH)
}

pub(crate) fn send(o: &Owner, signal: i32, poll: Option<Poll>) {
    let info = Info::new(signal, poll);
    match o.kind {
        OwnerKind::Thread if may(o, o.id) => queue(&info, |info| sys::queue_to_thread(o.process, o.id, info)),
        OwnerKind::Process if may(o, o.id) => queue(&info, |info| sys::queue_signal(o.id, info)),
        OwnerKind::Group => {
            for pid in members(o.id).into_iter().filter(|pid| may(o, *pid)) {
                queue(&info, |info| sys::queue_signal(pid, info));
            }
        }
        _ => {}
    }
}

/// If the queue of signals is full, plain `SIGIO` says that something was lost.
fn queue(info: &Info, send: impl Fn(&Info) -> Result<()>) {
    if send(info) == Err(Errno::EAGAIN) {
        let _told = send(&Info::new(libc::SIGIO, None));
    }
}

/// May the users that the owner was set by send to `pid`? If they are not this process's own, the host would not know.
fn may(o: &Owner, pid: i32) -> bool {
    let [real, effective] = o.uids;
    if effective == 0 || effective == geteuid().as_raw() {
        return true;
    }
    uids(pid).is_none_or(|[theirs, _, saved]| [real, effective].iter().any(|id| *id == theirs || *id == saved))
}

/// Real, effective and saved user of a process.
fn uids(pid: i32) -> Option<[u32; 3]> {
    field(pid, "Uid:")
}

/// The first numbers of a line of `/proc/PID/status`.
fn field<const N: usize>(pid: i32, name: &str) -> Option<[u32; N]> {
    let text = read(pid, "status")?;
    let mut numbers = text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace();
    let mut out = [0; N];
    for n in &mut out {
        *n = numbers.next()?.parse().ok()?;
    }
    Some(out)
}

fn read(pid: i32, file: &str) -> Option<String> {
    let mut path = String::new();
    write!(path, "/proc/{pid}/{file}").ok()?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok()?;
    let mut text = vec![0; 4096];
    let n = rustix::io::read(&fd, &mut text).ok()?;
    text.truncate(n);
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The processes of a group.
fn members(group: i32) -> Vec<i32> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open("/proc", flags, rustix::fs::Mode::empty()) else { return Vec::new() };
    let Ok(all) = rustix::fs::Dir::new(fd) else { return Vec::new() };
    let pids = all.filter_map(|e| e.ok()?.file_name().to_str().ok()?.parse().ok());
    // After the name, which may have anything in it: state, parent, group.
    let in_group = |pid: &i32| {
        let text = read(*pid, "stat")?;
        text.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse::<i32>().ok()
    };
    pids.filter(|pid| in_group(pid) == Some(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back() {
        for (code, band) in (1..).zip(BANDS) {
            assert_eq!(restore(libc::SIGIO, SI_SIGIO, band.into()), code);
            assert_eq!(restore(libc::SIGUSR1, SI_SIGIO, band.into()), code);
        }
        assert_eq!(restore(libc::SIGIO, SI_SIGIO, 0), SI_KERNEL);
        assert_eq!(restore(libc::SIGCHLD, SI_SIGIO, 0x41), SI_SIGIO);
        assert_eq!(restore(libc::SIGIO, libc::SI_USER, 0), libc::SI_USER);
    }

    #[test]
    fn owners_are_found() {
        let me = getpid().as_raw_nonzero().get();
        let o = owner(OwnerKind::Process, me, me).unwrap();
        assert!(lives(&o) && o.uids == [getuid().as_raw(), geteuid().as_raw()]);
        assert_eq!(owner(OwnerKind::Thread, me, me).unwrap().process, me);
        assert_eq!(owner(OwnerKind::Process, i32::MAX, me), Err(Errno::ESRCH));
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        assert!(members(group).contains(&me));
    }
}
