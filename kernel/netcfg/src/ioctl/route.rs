//! `SIOCADDRT` and `SIOCDELRT` (`struct rtentry`, `struct in6_rtmsg`), and IPv6 addresses (`struct in6_ifreq`).

use super::{get, mask_len, name, read_sockaddr};
use crate::netlink::wire::{u16_at, u32_at};
use crate::source::{self, RouteMatch, RouteMode};
use crate::view::{AddrView, HopView, RouteView};
use lkl_abi::if_::{RTF_GATEWAY, RTF_HOST, RTF_IRTT, RTF_MTU, RTF_REJECT, RTF_WINDOW};
use lkl_abi::rtnetlink::{
    IFA_F_PERMANENT, RTAX_ADVMSS, RTAX_RTT, RTAX_WINDOW, RTN_UNICAST, RTN_UNREACHABLE, RTPROT_BOOT, RT_SCOPE_HOST,
    RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RT_TABLE_MAIN,
};
use lkl_abi::socket::{AF_INET, AF_INET6};
use lkl_abi::sockios::{SIOCADDRT, SIOCSIFADDR};
use lkl_abi::{Errno, Result};
use lkl_inet::Net;
use lkl_ops::UserMem;
use std::net::{IpAddr, Ipv6Addr};

const ADD: RouteMode = RouteMode { create: true, exclusive: false, replace: false, append: true };
const ADD_NEW: RouteMode = RouteMode { create: true, exclusive: true, replace: false, append: false };

fn u64_at(b: &[u8], at: usize) -> u64 {
    b.get(at..).and_then(|b| b.first_chunk()).copied().map_or(0, u64::from_ne_bytes)
}

/// The name of a device at an address of the caller's memory.
fn device_name(mem: &dyn UserMem, at: u64) -> Result<String> {
    let mut bytes = [0; 16];
    // It may end just before memory that cannot be read.
    for (i, b) in (0u64..).zip(bytes[..15].iter_mut()) {
        let mut one = [0];
        mem.read(at.wrapping_add(i), &mut one)?;
        if one[0] == 0 {
            break;
        }
        *b = one[0];
    }
    name(&bytes)
}

pub(super) fn v4(net: &Net, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    let b: [u8; 120] = get(mem, arg)?;
    let (family, dst) = read_sockaddr(&b[8..24]);
    let (gateway_family, gateway) = read_sockaddr(&b[24..40]);
    let (mask_family, mask) = read_sockaddr(&b[40..56]);
    let flags = u32::from(u16_at(&b, 56).unwrap_or(0));
    if family != AF_INET {
        return Err(Errno::EAFNOSUPPORT);
    }
    let len = if flags & RTF_HOST != 0 {
        32
    } else {
        if mask_family != AF_INET && (mask_family != 0 || !mask.is_unspecified()) {
            return Err(Errno::EAFNOSUPPORT);
        }
        mask_len(mask)?
    };
    if source::mask(dst.into(), len) != IpAddr::V4(dst) {
        return Err(Errno::EINVAL);
    }
    let metric = i16::from_ne_bytes([b[80], b[81]]);
    let mut prefsrc = None;
    let mut oif = 0;
    let dev = u64_at(&b, 88);
    if dev != 0 && flags & RTF_REJECT == 0 {
        let asked = device_name(mem, dev)?;
        let base = asked.split(':').next().unwrap_or_default();
        oif = source::link_by_name(net, base).ok_or(Errno::ENODEV)?.index;
        if asked.contains(':') {
            let found = source::addrs(net).into_iter().find(|a| a.label.as_deref() == Some(asked.as_str()));
            prefsrc = Some(found.ok_or(Errno::ENODEV)?.local);
        }
    }
    let gateway = (gateway_family == AF_INET && !gateway.is_unspecified()).then_some(IpAddr::V4(gateway));
    if flags & RTF_GATEWAY != 0 && gateway.is_none() && request == SIOCADDRT {
        return Err(Errno::EINVAL);
    }
    let reject = flags & RTF_REJECT != 0;
    let mut metrics = Vec::new();
    for (flag, number, value) in [
        (RTF_MTU, RTAX_ADVMSS, u64_at(&b, 96).saturating_sub(40)),
        (RTF_WINDOW, RTAX_WINDOW, u64_at(&b, 104)),
        (RTF_IRTT, RTAX_RTT, u64::from(u16_at(&b, 112).unwrap_or(0)) << 3),
    ] {
        if flags & flag != 0 {
            metrics.push((number, u32::try_from(value).unwrap_or(u32::MAX)));
        }
    }
    let r = RouteView {
        family: AF_INET,
        dst: dst.into(),
        dst_len: len,
        src: None,
        tos: 0,
        table: RT_TABLE_MAIN,
        protocol: RTPROT_BOOT,
        scope: match (reject, flags & RTF_GATEWAY != 0) {
            (true, _) => RT_SCOPE_HOST,
            (_, true) => RT_SCOPE_UNIVERSE,
            _ => RT_SCOPE_LINK,
        },
        kind: if reject { RTN_UNREACHABLE } else { RTN_UNICAST },
        flags: 0,
        priority: u32::try_from(metric).map_or(0, |m| m.saturating_sub(1)),
        prefsrc,
        metrics,
        hops: if reject { Vec::new() } else { vec![HopView { oif, gateway, weight: 1, flags: 0 }] },
        expires: 0,
        pref: 0,
    };
    if request == SIOCADDRT {
        source::route_add(net, &r, ADD_NEW)?;
    } else {
        let which = RouteMatch {
            kind: reject.then_some(RTN_UNREACHABLE),
            priority: Some(r.priority).filter(|p| *p != 0),
            prefsrc,
            oif: Some(oif).filter(|o| *o != 0),
            gateway,
            ..RouteMatch::default()
        };
        source::route_del(net, &r, &which)?;
    }
    Ok(0)
}

fn ip6(b: &[u8], at: usize) -> Ipv6Addr {
    let octets: [u8; 16] = b.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
    octets.into()
}

pub(super) fn v6(net: &Net, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    let b: [u8; 80] = get(mem, arg)?;
    let (dst, gateway) = (ip6(&b, 0), ip6(&b, 32));
    let len = u8::try_from(u16_at(&b, 52).unwrap_or(0)).ok().filter(|l| *l <= 128).ok_or(Errno::EINVAL)?;
    let metric = u32_at(&b, 56).unwrap_or(0);
    let flags = u32_at(&b, 72).unwrap_or(0);
    let oif = u32_at(&b, 76).unwrap_or(0);
    if oif != 0 && source::link_by_index(net, oif).is_none() {
        return Err(Errno::ENODEV);
    }
    let reject = flags & RTF_REJECT != 0;
    let gateway = (flags & RTF_GATEWAY != 0).then_some(IpAddr::V6(gateway));
    let r = RouteView {
        family: AF_INET6,
        dst: source::mask(dst.into(), len),
        dst_len: len,
        src: None,
        tos: 0,
        table: RT_TABLE_MAIN,
        protocol: RTPROT_BOOT,
        scope: RT_SCOPE_UNIVERSE,
        kind: if reject { RTN_UNREACHABLE } else { RTN_UNICAST },
        flags: 0,
        priority: if metric == 0 { 1024 } else { metric },
        prefsrc: None,
        metrics: Vec::new(),
        hops: if reject { Vec::new() } else { vec![HopView { oif, gateway, weight: 1, flags: 0 }] },
        expires: 0,
        pref: 0,
    };
    if request == SIOCADDRT {
        source::route_add(net, &r, ADD)?;
    } else {
        let which = RouteMatch {
            priority: Some(metric).filter(|m| *m != 0),
            oif: Some(oif).filter(|o| *o != 0),
            gateway,
            ..RouteMatch::default()
        };
        source::route_del(net, &r, &which)?;
    }
    Ok(0)
}

/// `SIOCSIFADDR` and `SIOCDIFADDR` of an IPv6 socket.
pub(super) fn address6(net: &Net, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    let b: [u8; 24] = get(mem, arg)?;
    let ip = ip6(&b, 0);
    let prefix_len = u32_at(&b, 16).and_then(|l| u8::try_from(l).ok()).filter(|l| *l <= 128).ok_or(Errno::EINVAL)?;
    let ifindex = u32_at(&b, 20).unwrap_or(0);
    if source::link_by_index(net, ifindex).is_none() {
        return Err(Errno::ENODEV);
    }
    let a = AddrView {
        ifindex,
        local: ip.into(),
        peer: ip.into(),
        prefix_len,
        broadcast: None,
        label: None,
        scope: RT_SCOPE_UNIVERSE,
        flags: IFA_F_PERMANENT,
        proto: 0,
        metric: 0,
        preferred: u32::MAX,
        valid: u32::MAX,
        created: 0,
        updated: 0,
    };
    if request == SIOCSIFADDR {
        source::addr_add(net, &a, false)?;
    } else {
        source::addr_del(net, &a)?;
    }
    Ok(0)
}
