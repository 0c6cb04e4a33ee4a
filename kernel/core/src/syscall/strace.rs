//! Calls as strace prints them.

use super::args::{Arg, Ret, Symbols, ACCEPT, EPOLL, IOCTL, NONE, SIOC, SO, SOCK_KIND};
use super::names;
use super::table::Call;
use super::{Args, Ctx};
use crate::user::{self, u32_in, u64_in};
use core::fmt::Write;
use lkl_abi::epoll::{EPOLL_EVENT_DATA, EPOLL_EVENT_SIZE};
use lkl_abi::fcntl::{AT_FDCWD, F_GETFL};
use lkl_abi::poll::POLLFD_SIZE;
use lkl_abi::socket::{MSGHDR_SIZE, SOCK_TYPE_MASK, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP};
use lkl_abi::{nr, Result};
use lkl_file::SockAddr;
use std::net::SocketAddr;

/// Bytes of a buffer that are shown.
const SHOWN: usize = 32;
/// Elements of an array that are shown.
const ELEMENTS: u64 = 16;

/// One call with its answer on one line.
pub(crate) fn line(cx: &Ctx<'_>, call: &Call, args: Args, result: Result<u64>) -> String {
    let mut out = format!("{}(", call.name);
    for (i, (_, kind)) in call.args.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        let value = args.get(i).copied().unwrap_or(0);
        if argument(cx, &mut out, *kind, value, &args, result).is_none() {
            let _infallible = write!(out, "{value:#x}");
        }
    }
    let _infallible = match (result, call.ret) {
        (Ok(n), Ret::Hex) if call.number == nr::FCNTL && args[1] as u32 == F_GETFL => write!(out, ") = {n:#x}"),
        (Ok(n), Ret::Octal) => write!(out, ") = {n:#o}"),
        (Ok(n), _) => write!(out, ") = {}", n as i64),
        (Err(e), _) => write!(out, ") = -1 {e:?} ({e})"),
    };
    out
}

fn name_of(symbols: &Symbols, n: u64) -> Option<&'static str> {
    symbols.iter().find(|(value, _)| *value == n).map(|(_, name)| *name)
}

fn flags(out: &mut String, symbols: &Symbols, mut n: u64) {
    let start = out.len();
    for (value, name) in symbols {
        if *value != 0 && n & value == *value {
            n &= !value;
            if out.len() > start {
                out.push('|');
            }
            out.push_str(name);
        }
    }
    if n != 0 || out.len() == start {
        let bar = if out.len() > start { "|" } else { "" };
        let _infallible = match n {
            0 => write!(out, "{bar}0"),
            n => write!(out, "{bar}{n:#x}"),
        };
    }
}

fn one(out: &mut String, symbols: &Symbols, n: u64) {
    let _infallible = match name_of(symbols, n) {
        Some(name) => write!(out, "{name}"),
        None => write!(out, "{n:#x}"),
    };
}

fn bytes(cx: &Ctx<'_>, out: &mut String, addr: u64, len: u64) -> Option<()> {
    if addr == 0 {
        out.push_str("NULL");
        return Some(());
    }
    let shown = (len as usize).min(SHOWN);
    let mut b = vec![0; shown];
    cx.mem.read(addr, &mut b).ok()?;
    let more = if len as usize > shown { "..." } else { "" };
    write!(out, "\"{}\"{more}", b.escape_ascii()).ok()
}

fn sockaddr(cx: &Ctx<'_>, out: &mut String, addr: u64, len: u64) -> Option<()> {
    if addr == 0 {
        out.push_str("NULL");
        return Some(());
    }
    match user::sockaddr(cx.mem, addr, len).ok()? {
        SockAddr::Unspec => out.push_str("{sa_family=AF_UNSPEC}"),
        SockAddr::Inet(SocketAddr::V4(a)) => {
            write!(out, "{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}", a.port(), a.ip())
                .ok()?;
        }
        SockAddr::Inet(SocketAddr::V6(a)) => {
            write!(out, "{{sa_family=AF_INET6, sin6_port=htons({}), ", a.port()).ok()?;
            write!(out, "inet_pton(AF_INET6, \"{}\", &sin6_addr), sin6_scope_id={}}}", a.ip(), a.scope_id()).ok()?;
        }
        SockAddr::Link(a) => {
            write!(out, "{{sa_family=AF_PACKET, sll_protocol=htons({:#06x}), sll_ifindex={}}}", a.protocol, a.ifindex)
                .ok()?;
        }
        SockAddr::Netlink { pid, groups } => {
            write!(out, "{{sa_family=AF_NETLINK, nl_pid={pid}, nl_groups={groups:#010x}}}").ok()?;
        }
    }
    Some(())
}

/// `count` pieces, of which `limit` bytes are worth showing.
fn iov(cx: &Ctx<'_>, out: &mut String, addr: u64, count: u64, mut limit: u64) -> Option<()> {
    out.push('[');
    for i in 0..count.min(ELEMENTS) {
        let raw = user::array::<16>(cx.mem, addr.wrapping_add(i * 16)).ok()?;
        let (base, len) = (u64_in(&raw, 0), u64_in(&raw, 8));
        out.push_str(if i > 0 { ", {iov_base=" } else { "{iov_base=" });
        let shown = len.min(limit);
        limit -= shown;
        if bytes(cx, out, base, shown).is_none() {
            write!(out, "{base:#x}").ok()?;
        }
        write!(out, ", iov_len={len}}}").ok()?;
    }
    out.push_str(if count > ELEMENTS { ", ...]" } else { "]" });
    Some(())
}

fn msghdr(cx: &Ctx<'_>, out: &mut String, addr: u64, limit: u64) -> Option<()> {
    let raw = user::array::<MSGHDR_SIZE>(cx.mem, addr).ok()?;
    let (name, name_len) = (u64_in(&raw, 0), u64::from(u32_in(&raw, 8)));
    out.push_str("{msg_name=");
    if sockaddr(cx, out, name, name_len).is_none() {
        write!(out, "{name:#x}").ok()?;
    }
    write!(out, ", msg_namelen={name_len}, msg_iov=").ok()?;
    iov(cx, out, u64_in(&raw, 16), u64_in(&raw, 24), limit)?;
    write!(out, ", msg_iovlen={}, msg_controllen={}", u64_in(&raw, 24), u64_in(&raw, 40)).ok()?;
    out.push_str(", msg_flags=");
    flags(out, super::args::MSG, u64::from(u32_in(&raw, 48)));
    out.push('}');
    Some(())
}

fn epoll_event(cx: &Ctx<'_>, out: &mut String, addr: u64) -> Option<()> {
    let raw = user::array::<EPOLL_EVENT_SIZE>(cx.mem, addr).ok()?;
    out.push_str("{events=");
    flags(out, EPOLL, u64::from(u32_in(&raw, 0)));
    write!(out, ", data={:#x}}}", u64_in(&raw, EPOLL_EVENT_DATA)).ok()
}

fn pollfds(cx: &Ctx<'_>, out: &mut String, addr: u64, count: u64) -> Option<()> {
    out.push('[');
    for i in 0..count.min(ELEMENTS) {
        let raw = user::array::<POLLFD_SIZE>(cx.mem, addr.wrapping_add(i * POLLFD_SIZE as u64)).ok()?;
        let both = u32_in(&raw, 4);
        write!(out, "{}{{fd={}, events=", if i > 0 { ", " } else { "" }, u32_in(&raw, 0) as i32).ok()?;
        flags(out, EPOLL, u64::from(both & 0xffff));
        out.push_str(", revents=");
        flags(out, EPOLL, u64::from(both >> 16));
        out.push('}');
    }
    out.push_str(if count > ELEMENTS { ", ...]" } else { "]" });
    Some(())
}

/// Most options are an `int`.
fn option_value(cx: &Ctx<'_>, out: &mut String, addr: u64, len: u64) -> Option<()> {
    match (addr, len) {
        (1.., 4) => write!(out, "[{}]", user::i32_at(cx.mem, addr).ok()?).ok(),
        _ => bytes(cx, out, addr, len),
    }
}

fn protocol(out: &mut String, family: u64, n: u64) {
    let name = match (family, n as u32) {
        (2 | 10, 0) => "IPPROTO_IP",
        (2 | 10, 1) => "IPPROTO_ICMP",
        (2 | 10, 6) => "IPPROTO_TCP",
        (2 | 10, 17) => "IPPROTO_UDP",
        (2 | 10, 58) => "IPPROTO_ICMPV6",
        (2 | 10, 255) => "IPPROTO_RAW",
        (16, 0) => "NETLINK_ROUTE",
        (16, 4) => "NETLINK_SOCK_DIAG",
        (16, 16) => "NETLINK_GENERIC",
        (17, n) => {
            let _infallible = write!(out, "htons({:#06x})", u16::from_be(n as u16));
            return;
        }
        (_, n) => {
            let _infallible = write!(out, "{n}");
            return;
        }
    };
    out.push_str(name);
}

/// Prints one argument; `None` leaves it to be printed as a plain number.
fn argument(cx: &Ctx<'_>, out: &mut String, kind: Arg, value: u64, args: &Args, result: Result<u64>) -> Option<()> {
    let arg = |i: usize| args.get(i).copied().unwrap_or(0);
    let before = out.len();
    let done = match kind {
        Arg::Fd | Arg::Int => write!(out, "{}", value as i32).ok(),
        Arg::AtFd if value as i32 == AT_FDCWD => write!(out, "AT_FDCWD").ok(),
        Arg::AtFd => write!(out, "{}", value as i32).ok(),
        Arg::Uint => write!(out, "{value}").ok(),
        Arg::Octal => write!(out, "{:#o}", value as u32).ok(),
        Arg::Ptr if value == 0 => write!(out, "NULL").ok(),
        Arg::Ptr => None,
        Arg::Path => user::path(cx.mem, value).ok().and_then(|p| write!(out, "\"{}\"", p.escape_ascii()).ok()),
        Arg::Flags(symbols) => {
            flags(out, symbols, u64::from(value as u32));
            Some(())
        }
        Arg::One(symbols) => {
            one(out, symbols, u64::from(value as u32));
            Some(())
        }
        Arg::SockType => {
            let (kind, rest) = (value as u32 & SOCK_TYPE_MASK, value as u32 & !SOCK_TYPE_MASK);
            one(out, SOCK_KIND, u64::from(kind));
            if rest != 0 {
                out.push('|');
                flags(out, ACCEPT, u64::from(rest));
            }
            Some(())
        }
        Arg::Protocol => {
            protocol(out, arg(0), value);
            Some(())
        }
        Arg::Bytes { len } => bytes(cx, out, value, u64::from(arg(len) as u32)),
        Arg::Received => result.ok().and_then(|n| bytes(cx, out, value, n.min(arg(2)))),
        Arg::Name { len } => sockaddr(cx, out, value, arg(len)),
        Arg::NameOut { len } => match result {
            Ok(_) if value != 0 => {
                let n = user::u32_at(cx.mem, arg(len)).ok()?;
                sockaddr(cx, out, value, u64::from(n))
            }
            _ if value == 0 => write!(out, "NULL").ok(),
            _ => None,
        },
        Arg::IntPtr => user::i32_at(cx.mem, value).ok().and_then(|n| write!(out, "[{n}]").ok()),
        Arg::OptName { level } => {
            let symbols = match arg(level) as i32 {
                SOL_SOCKET => SO,
                SOL_IP => names::IP,
                SOL_IPV6 => names::IPV6,
                SOL_TCP => names::TCP,
                _ => NONE,
            };
            one(out, symbols, u64::from(value as u32));
            Some(())
        }
        Arg::Request => {
            let request = u64::from(value as u32);
            let name = name_of(IOCTL, request).or_else(|| name_of(SIOC, request));
            name.and_then(|name| write!(out, "{name}").ok())
        }
        Arg::Value { len } => option_value(cx, out, value, u64::from(arg(len) as u32)),
        Arg::ValueOut { len } => {
            let n = result.ok().and_then(|_| user::u32_at(cx.mem, arg(len)).ok());
            n.and_then(|n| option_value(cx, out, value, u64::from(n)))
        }
        Arg::Iov { len } => iov(cx, out, value, arg(len), u64::MAX),
        Arg::IovOut { len } => result.ok().and_then(|n| iov(cx, out, value, arg(len), n)),
        Arg::Msg => msghdr(cx, out, value, u64::MAX),
        Arg::MsgOut => result.ok().and_then(|n| msghdr(cx, out, value, n)),
        Arg::Pollfds { len } => pollfds(cx, out, value, u64::from(arg(len) as u32)),
        Arg::EpollEvent => epoll_event(cx, out, value),
        Arg::EpollEvents => result.ok().and_then(|n| {
            out.push('[');
            for i in 0..n.min(ELEMENTS) {
                out.push_str(if i > 0 { ", " } else { "" });
                epoll_event(cx, out, value.wrapping_add(i * EPOLL_EVENT_SIZE as u64))?;
            }
            out.push(']');
            Some(())
        }),
        Arg::Timespec => match user::opt_timespec(cx.mem, value).ok()? {
            None => write!(out, "NULL").ok(),
            Some(t) => write!(out, "{{tv_sec={}, tv_nsec={}}}", t.as_secs(), t.subsec_nanos()).ok(),
        },
    };
    if done.is_none() {
        out.truncate(before);
    }
    done
}
