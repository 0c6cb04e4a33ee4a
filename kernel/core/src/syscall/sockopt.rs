//! Socket options: those of `SOL_SOCKET` that all sockets share (`man 7 socket`), and the way to a socket's own.

use super::socket::socket_of;
use super::{Args, Ctx};
use crate::user::{self, u32_in, u64_in};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use lkl_abi::net_tstamp::*;
use lkl_abi::socket::*;
use lkl_abi::time::{timeval, to_timeval, TIMESPEC_SIZE};
use lkl_abi::{Errno, Result};
use lkl_file::{SockOptions, Socket};
use lkl_inet::sysctl::Knob;
use smallvec::SmallVec;
use std::time::Duration;

/// The least that buffers are (`SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`).
const IP_MULTICAST_IF: i32 = 32;
const MIN_SNDBUF: u32 = 4608;
const MIN_RCVBUF: u32 = 2304;
/// `IPPROTO_UDP`
const IPPROTO_UDP: u32 = 17;
/// Most bytes of an option's value.
const VALUE_MAX: u32 = 131_072;
/// Most of a caller's buffer that a socket is shown by `getsockopt`.
const GIVEN_MAX: usize = 512;
/// Most instructions of a classic BPF program.
const BPF_MAXINSNS: usize = 4096;
/// What one of them takes, in bytes.
const SOCK_FILTER_SIZE: usize = 8;
/// Marks a time-out that is over at once: the settings have 0 for none at all.
const AT_ONCE: u64 = 1;

/// The levels that any socket knows.
const LEVELS: [i32; 9] = [SOL_SOCKET, SOL_IP, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_ICMPV6, SOL_RAW, SOL_PACKET, SOL_NETLINK];
/// In `SockOptions::txtime`.
const TXTIME_SET: u16 = 1 << 15;

type Value = SmallVec<[u8; 64]>;

/// A flag of [`SockOptions`] that is only a flag.
fn flag(o: &SockOptions, name: i32) -> Option<&AtomicBool> {
    Some(match name {
        SO_REUSEADDR => &o.reuse_addr,
        SO_REUSEPORT => &o.reuse_port,
        SO_KEEPALIVE => &o.keepalive,
        SO_BROADCAST => &o.broadcast,
        SO_DONTROUTE => &o.dont_route,
        SO_OOBINLINE => &o.oob_inline,
        SO_RXQ_OVFL => &o.rxq_ovfl,
        SO_NO_CHECK => &o.no_check,
        _ => return None,
    })
}

pub(super) fn setsockopt(cx: &Ctx<'_>, [fd, level, name, addr, len, _]: Args) -> Result<u64> {
    let (level, name, len) = (level as i32, name as i32, len as u32);
    if len > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    let file = cx.file(fd)?;
    let socket = socket_of(&file)?;
    if len > VALUE_MAX {
        return Err(Errno::ENOBUFS);
    }
    if !LEVELS.contains(&level) {
        // Nobody looks at the value.
        return socket.setsockopt(level, name, &[]).map(|()| 0);
    }
    let mut value = Value::from_elem(0, len as usize);
    // A number of IPv6's is 0 if there is none.
    if len > 0 && !(addr == 0 && level == SOL_IPV6 && len <= 4) {
        cx.mem.read(addr, &mut value)?;
    }
    if level != SOL_SOCKET {
        socket.setsockopt(level, name, &value)?;
    } else if !set_shared(cx, socket, name, &value)? {
        let program = match name {
            SO_ATTACH_FILTER | SO_ATTACH_REUSEPORT_CBPF => Some(filter(cx, &value)?),
            _ => None,
        };
        socket.setsockopt(level, name, program.as_deref().unwrap_or(&value))?;
    }
    Ok(0)
}

/// The program that a `struct sock_fprog` points to.
fn filter(cx: &Ctx<'_>, fprog: &[u8]) -> Result<Vec<u8>> {
    if fprog.len() != 16 {
        return Err(Errno::EINVAL);
    }
    let count = usize::from(u32_in(fprog, 0) as u16);
    if count == 0 || count > BPF_MAXINSNS {
        return Err(Errno::EINVAL);
    }
    let mut program = vec![0; count * SOCK_FILTER_SIZE];
    cx.mem.read(u64_in(fprog, 8), &mut program)?;
    Ok(program)
}

/// Has it `SO_PEEK_OFF`?
fn has_peek_off(socket: &dyn Socket) -> bool {
    const IPPROTO_UDP: u32 = 17;
    socket.kind() == SOCK_STREAM || (socket.kind() == SOCK_DGRAM && socket.protocol() == IPPROTO_UDP)
}

/// Sets an option that all sockets share. Answers `false` if it is none.
fn set_shared(cx: &Ctx<'_>, socket: &dyn Socket, name: i32, value: &[u8]) -> Result<bool> {
    let o = socket.options();
    if name == SO_BINDTODEVICE {
        bind_to_device(cx, o, value)?;
        socket.options_changed();
        return Ok(true);
    }
    if value.len() < 4 {
        return Err(Errno::EINVAL);
    }
    let n = u32_in(value, 0);
    let admin = cx.kernel.options().privileged;
    let sysctl = cx.kernel.net().sysctl();
    let limit = |knob: &Knob<1>| u32::try_from(knob.get()).unwrap_or(u32::MAX);
    let may = |allowed: bool| if allowed { Ok(()) } else { Err(Errno::EPERM) };
    match name {
        SO_SNDBUF => set_buffer(&o.sndbuf, &o.sndbuf_locked, n.min(limit(&sysctl.wmem_max)), MIN_SNDBUF),
        SO_RCVBUF => set_buffer(&o.rcvbuf, &o.rcvbuf_locked, n.min(limit(&sysctl.rmem_max)), MIN_RCVBUF),
        SO_SNDBUFFORCE => {
            may(admin)?;
            set_buffer(&o.sndbuf, &o.sndbuf_locked, (n as i32).max(0) as u32, MIN_SNDBUF);
        }
        SO_RCVBUFFORCE => {
            may(admin)?;
            set_buffer(&o.rcvbuf, &o.rcvbuf_locked, (n as i32).max(0) as u32, MIN_RCVBUF);
        }
        SO_BUF_LOCK => {
            if n & !(SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK) != 0 {
                return Err(Errno::EINVAL);
            }
            o.sndbuf_locked.store(n & SOCK_SNDBUF_LOCK != 0, Relaxed);
            o.rcvbuf_locked.store(n & SOCK_RCVBUF_LOCK != 0, Relaxed);
        }
        SO_PRIORITY => {
            may(n <= 6 || admin)?;
            o.priority.store(n, Relaxed);
        }
        SO_MARK => {
            may(admin)?;
            o.mark.store(n, Relaxed);
        }
        SO_LINGER => {
            if value.len() < 8 {
                return Err(Errno::EINVAL);
            }
            if n != 0 {
                o.linger_secs.store(u32_in(value, 4), Relaxed);
            }
            o.linger.store(n != 0, Relaxed);
        }
        SO_RCVLOWAT => {
            let n = if n > i32::MAX as u32 { i32::MAX as u32 } else { n.max(1) };
            o.rcvlowat.store(n, Relaxed);
        }
        SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW => set_timeout(&o.rcvtimeo, value)?,
        SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW => set_timeout(&o.sndtimeo, value)?,
        SO_TIMESTAMP_OLD | SO_TIMESTAMP_NEW | SO_TIMESTAMPNS_OLD | SO_TIMESTAMPNS_NEW => {
            let nanos = matches!(name, SO_TIMESTAMPNS_OLD | SO_TIMESTAMPNS_NEW);
            o.timestamp.store(n != 0 && !nanos, Relaxed);
            o.timestamp_ns.store(n != 0 && nanos, Relaxed);
            if n != 0 {
                o.timestamp_new.store(matches!(name, SO_TIMESTAMP_NEW | SO_TIMESTAMPNS_NEW), Relaxed);
            }
        }
        SO_TIMESTAMPING_OLD | SO_TIMESTAMPING_NEW => {
            const ID_OF_STREAM: u32 = SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_ID_TCP;
            if n & !SOF_TIMESTAMPING_MASK != 0 || n & ID_OF_STREAM == SOF_TIMESTAMPING_OPT_ID_TCP {
                return Err(Errno::EINVAL);
            }
            if n & !o.timestamping.load(Relaxed) & SOF_TIMESTAMPING_OPT_ID != 0 {
                socket.number_stamps(n & SOF_TIMESTAMPING_OPT_ID_TCP != 0)?;
            }
            if n & SOF_TIMESTAMPING_OPT_STATS != 0 && n & SOF_TIMESTAMPING_OPT_TSONLY == 0 {
                return Err(Errno::EINVAL);
            }
            // No device here has a clock of its own.
            if n & SOF_TIMESTAMPING_BIND_PHC != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
            o.timestamping.store(n, Relaxed);
            o.timestamp_new.store(name == SO_TIMESTAMPING_NEW, Relaxed);
        }
        SO_INCOMING_CPU => o.incoming_cpu.store(n as i32, Relaxed),
        SO_BUSY_POLL => {
            if n > i32::MAX as u32 {
                return Err(Errno::EINVAL);
            }
            may(n <= o.busy_poll.load(Relaxed) || admin)?;
            o.busy_poll.store(n, Relaxed);
        }
        SO_PREFER_BUSY_POLL => {
            may(n == 0 || admin)?;
            o.prefer_busy_poll.store(n != 0, Relaxed);
        }
        SO_TXREHASH => match n as i32 {
            -1 => o.tx_rehash.store(true, Relaxed),
            0 | 1 => o.tx_rehash.store(n != 0, Relaxed),
            _ => return Err(Errno::EINVAL),
        },
        SO_PEEK_OFF if has_peek_off(socket) => o.peek_off.store(n as i32, Relaxed),
        SO_PEEK_OFF => return Err(Errno::EOPNOTSUPP),
        SO_TXTIME => {
            if value.len() != 8 {
                return Err(Errno::EINVAL);
            }
            let flags = u32_in(value, 4);
            // CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_TAI.
            if flags > 3 || !matches!(n, 0 | 1 | 11) {
                return Err(Errno::EINVAL);
            }
            o.txtime.store(TXTIME_SET | (flags as u16) << 8 | n as u16, Relaxed);
        }
        SO_MAX_PACING_RATE => {
            let rate = match (value.len(), n) {
                (8.., _) => u64_in(value, 0),
                (_, u32::MAX) => u64::MAX,
                (_, n) => u64::from(n),
            };
            o.max_pacing_rate.store(rate, Relaxed);
        }
        SO_BINDTOIFINDEX => {
            if n > i32::MAX as u32 {
                return Err(Errno::EINVAL);
            }
            o.bind_ifindex.store(n, Relaxed);
        }
        SO_PASSCRED if socket.family() == AF_NETLINK => o.passcred.store(n != 0, Relaxed),
        SO_PASSCRED | SO_PASSSEC => return Err(Errno::EOPNOTSUPP),
        SO_ZEROCOPY => {
            let udp = socket.kind() == SOCK_DGRAM && socket.protocol() == IPPROTO_UDP;
            if !matches!(socket.family(), AF_INET | AF_INET6) || !(socket.kind() == SOCK_STREAM || udp) {
                return Err(Errno::EOPNOTSUPP);
            }
            if n > 1 {
                return Err(Errno::EINVAL);
            }
            o.zerocopy.store(n != 0, Relaxed);
        }
        SO_DEBUG => may(n == 0 || admin)?,
        SO_BSDCOMPAT | SO_CNX_ADVICE => {}
        SO_TYPE | SO_PROTOCOL | SO_DOMAIN | SO_ERROR | SO_ACCEPTCONN | SO_PEERNAME | SO_PEERCRED | SO_SNDLOWAT
        | SO_COOKIE | SO_MEMINFO | SO_BPF_EXTENSIONS | SO_INCOMING_NAPI_ID | SO_NETNS_COOKIE => {
            return Err(Errno::ENOPROTOOPT);
        }
        _ => match flag(o, name) {
            Some(flag) => flag.store(n != 0, Relaxed),
            None => return Ok(false),
        },
    }
    socket.options_changed();
    Ok(true)
}

fn set_buffer(size: &AtomicU32, locked: &AtomicBool, n: u32, min: u32) {
    // Twice what was asked for, as the book-keeping counts too (man 7 socket).
    let n = n.min(i32::MAX as u32 / 2);
    size.store((n * 2).max(min), Relaxed);
    locked.store(true, Relaxed);
}

fn set_timeout(to: &AtomicU64, value: &[u8]) -> Result<()> {
    let raw: &[u8; TIMESPEC_SIZE] = value.first_chunk().ok_or(Errno::EINVAL)?;
    let negative = u64_in(raw, 0) > i64::MAX as u64;
    let nanos = u64::try_from(timeval(raw)?.as_nanos()).unwrap_or(u64::MAX);
    to.store(if negative { AT_ONCE } else { nanos }, Relaxed);
    Ok(())
}

fn bind_to_device(cx: &Ctx<'_>, o: &SockOptions, value: &[u8]) -> Result<()> {
    let name = value.get(..value.len().min(IFNAMSIZ - 1)).unwrap_or_default();
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    let index = match core::str::from_utf8(name) {
        Ok("") => 0,
        Ok(name) => cx.kernel.link_index(name).ok_or(Errno::ENODEV)?,
        Err(_) => return Err(Errno::ENODEV),
    };
    o.bind_ifindex.store(index, Relaxed);
    Ok(())
}

pub(super) fn getsockopt(cx: &Ctx<'_>, [fd, level, name, addr, len_addr, _]: Args) -> Result<u64> {
    let (level, name) = (level as i32, name as i32);
    let file = cx.file(fd)?;
    let socket = socket_of(&file)?;
    if !LEVELS.contains(&level) {
        socket.getsockopt(level, name, &[])?;
    }
    let room = usize::try_from(user::i32_at(cx.mem, len_addr)?).map_err(|_| Errno::EINVAL)?;
    if level == SOL_SOCKET {
        if let Some(value) = get_shared(cx, socket, name, room)? {
            return put_value(cx, addr, len_addr, room, &value);
        }
    }
    let mut given = [0; GIVEN_MAX];
    let given = given.get_mut(..room.min(GIVEN_MAX)).ok_or(Errno::EINVAL)?;
    // Most options do not look at it; what cannot be read is as if nothing stood there.
    let given = if given.is_empty() || cx.mem.read(addr, given).is_err() { &[][..] } else { &*given };
    let value = socket.getsockopt(level, name, given)?;
    if level == SOL_SOCKET && name == SO_ATTACH_FILTER {
        return put_filter(cx, addr, len_addr, room, &value);
    }
    // A number of IPv4's that fits into a byte is given as one where there is no room for an int. This one is an address.
    let number = level == SOL_IP && name != IP_MULTICAST_IF;
    if number && value.len() == 4 && (1..4).contains(&room) && u32_in(&value, 0) <= 0xff {
        let byte = [u32_in(&value, 0) as u8];
        return put_value(cx, addr, len_addr, room, &byte);
    }
    put_value(cx, addr, len_addr, room, &value)
}

fn put_value(cx: &Ctx<'_>, addr: u64, len_addr: u64, room: usize, value: &[u8]) -> Result<u64> {
    let part = value.get(..room.min(value.len())).unwrap_or(value);
    if !part.is_empty() {
        cx.mem.write(addr, part)?;
    }
    cx.mem.write(len_addr, &(part.len() as u32).to_ne_bytes())?;
    Ok(0)
}

/// `SO_GET_FILTER`: lengths are in instructions.
fn put_filter(cx: &Ctx<'_>, addr: u64, len_addr: u64, room: usize, program: &[u8]) -> Result<u64> {
    let count = program.len() / SOCK_FILTER_SIZE;
    if room > 0 {
        if room < count {
            return Err(Errno::EINVAL);
        }
        if !program.is_empty() {
            cx.mem.write(addr, program)?;
        }
    }
    cx.mem.write(len_addr, &(count as u32).to_ne_bytes())?;
    Ok(0)
}

/// Reads an option that all sockets share, if it is one.
fn get_shared(cx: &Ctx<'_>, socket: &dyn Socket, name: i32, room: usize) -> Result<Option<Value>> {
    let o = socket.options();
    let int = |n: u32| Value::from_slice(&n.to_ne_bytes());
    let long = |n: u64| Value::from_slice(&n.to_ne_bytes());
    let new = || o.timestamp_new.load(Relaxed);
    Ok(Some(match name {
        SO_TYPE => int(socket.kind()),
        SO_DOMAIN => int(u32::from(socket.family())),
        SO_PROTOCOL => int(socket.protocol()),
        SO_ERROR => int(o.error.swap(0, Relaxed) as u32),
        SO_ACCEPTCONN => match socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN, &[]) {
            Ok(value) => Value::from_vec(value),
            Err(_) => int(0),
        },
        SO_SNDBUF => int(o.sndbuf.load(Relaxed)),
        SO_RCVBUF => int(o.rcvbuf.load(Relaxed)),
        SO_BUF_LOCK => {
            let sndbuf = if o.sndbuf_locked.load(Relaxed) { SOCK_SNDBUF_LOCK } else { 0 };
            let rcvbuf = if o.rcvbuf_locked.load(Relaxed) { SOCK_RCVBUF_LOCK } else { 0 };
            int(sndbuf | rcvbuf)
        }
        SO_PRIORITY => int(o.priority.load(Relaxed)),
        SO_MARK => int(o.mark.load(Relaxed)),
        SO_LINGER => {
            let mut v = int(u32::from(o.linger.load(Relaxed)));
            v.extend_from_slice(&o.linger_secs.load(Relaxed).to_ne_bytes());
            v
        }
        SO_RCVLOWAT => int(o.rcvlowat.load(Relaxed)),
        SO_SNDLOWAT => int(1),
        SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW => timeout(&o.rcvtimeo),
        SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW => timeout(&o.sndtimeo),
        SO_TIMESTAMP_OLD => int(u32::from(o.timestamp.load(Relaxed) && !new())),
        SO_TIMESTAMPNS_OLD => int(u32::from(o.timestamp_ns.load(Relaxed) && !new())),
        SO_TIMESTAMP_NEW => int(u32::from((o.timestamp.load(Relaxed) || o.timestamp_ns.load(Relaxed)) && new())),
        SO_TIMESTAMPNS_NEW => int(u32::from(o.timestamp_ns.load(Relaxed) && new())),
        SO_TIMESTAMPING_OLD | SO_TIMESTAMPING_NEW => {
            let shown = name == SO_TIMESTAMPING_OLD || new();
            let mut v = int(if shown { o.timestamping.load(Relaxed) } else { 0 });
            v.extend_from_slice(&[0; 4]);
            v
        }
        SO_INCOMING_CPU => int(o.incoming_cpu.load(Relaxed) as u32),
        SO_BUSY_POLL => int(o.busy_poll.load(Relaxed)),
        SO_MAX_PACING_RATE => match o.max_pacing_rate.load(Relaxed) {
            rate if room >= 8 => long(rate),
            rate => int(u32::try_from(rate).unwrap_or(u32::MAX)),
        },
        SO_BINDTODEVICE => match o.bind_ifindex.load(Relaxed) {
            0 => Value::new(),
            index => {
                if room < IFNAMSIZ {
                    return Err(Errno::EINVAL);
                }
                let mut v = Value::from_slice(cx.kernel.link_name(index).ok_or(Errno::ENODEV)?.as_bytes());
                v.push(0);
                v
            }
        },
        SO_BINDTOIFINDEX => int(o.bind_ifindex.load(Relaxed)),
        SO_PASSCRED if socket.family() == AF_NETLINK => int(u32::from(o.passcred.load(Relaxed))),
        SO_PASSCRED | SO_PASSSEC => return Err(Errno::EOPNOTSUPP),
        SO_PEERCRED => {
            let mut v = int(0);
            v.extend_from_slice(&[0xff; 8]);
            v
        }
        SO_PEERGROUPS => return Err(Errno::ENODATA),
        SO_PEERNAME => {
            let name = socket.peer_addr()?.to_bytes();
            if name.len() < room {
                return Err(Errno::EINVAL);
            }
            Value::from_vec(name)
        }
        SO_COOKIE | SO_NETNS_COOKIE if room < 8 => return Err(Errno::EINVAL),
        SO_COOKIE => long(socket.ino()),
        SO_NETNS_COOKIE => long(1),
        SO_MEMINFO => {
            let [read, unsent] = [socket.readable_bytes(), socket.unsent_bytes()].map(|n| n.unwrap_or(0) as u32);
            let numbers = [read, o.rcvbuf.load(Relaxed), unsent, o.sndbuf.load(Relaxed), 0, unsent, 0, 0];
            let mut v: Value = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
            v.extend_from_slice(&o.drops.load(Relaxed).to_ne_bytes());
            v
        }
        SO_BPF_EXTENSIONS => int(64),
        SO_TXREHASH => int(u32::from(o.tx_rehash.load(Relaxed))),
        SO_PREFER_BUSY_POLL => int(u32::from(o.prefer_busy_poll.load(Relaxed))),
        SO_PEEK_OFF if has_peek_off(socket) => int(o.peek_off.load(Relaxed) as u32),
        SO_PEEK_OFF => return Err(Errno::EOPNOTSUPP),
        SO_TXTIME => {
            let set = o.txtime.load(Relaxed);
            let mut v = int(u32::from(set & 0xff));
            v.extend_from_slice(&u32::from(set >> 8 & 3).to_ne_bytes());
            v
        }
        SO_DEBUG | SO_BSDCOMPAT | SO_INCOMING_NAPI_ID | SO_WIFI_STATUS | SO_NOFCS | SO_SELECT_ERR_QUEUE
        | SO_RESERVE_MEM | SO_RCVMARK => int(0),
        SO_ZEROCOPY => int(u32::from(o.zerocopy.load(Relaxed))),
        _ => match flag(o, name) {
            Some(flag) => int(u32::from(flag.load(Relaxed))),
            None => return Ok(None),
        },
    }))
}

fn timeout(nanos: &AtomicU64) -> Value {
    Value::from_slice(&to_timeval(Duration::from_nanos(nanos.load(Relaxed))))
}
