//! `RTM_*ADDR`.

use crate::netlink::wire::{u32_at, Attrs, To, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use crate::source;
use crate::view::AddrView;
use lkl_abi::netlink::{NLM_F_CREATE, NLM_F_DUMP_FILTERED, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE};
use lkl_abi::rtnetlink::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_F_NOPREFIXROUTE, IFA_F_PERMANENT, IFA_LABEL, IFA_LOCAL,
    IFA_PROTO, IFA_RT_PRIORITY, IFA_TARGET_NETNSID, RTM_NEWADDR,
};
use lkl_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use lkl_abi::Errno;
use std::net::IpAddr;

/// Bytes of `struct ifaddrmsg`.
const FIXED: usize = 8;
/// For ever, of a lifetime in seconds.
const INFINITY: u32 = u32::MAX;

fn family_of(ip: IpAddr) -> u16 {
    if ip.is_ipv4() {
        AF_INET
    } else {
        AF_INET6
    }
}

/// Writes one address.
pub(super) fn write(w: &mut Writer, kind: u16, to: To, a: &AddrView) {
    w.message(kind, to, |w| {
        let family = family_of(a.local);
        w.fixed(&[&[family as u8, a.prefix_len, a.flags as u8, a.scope], &a.ifindex.to_ne_bytes()]);
        if family == AF_INET {
            w.ip(IFA_ADDRESS, a.peer);
            w.ip(IFA_LOCAL, a.local);
            if let Some(b) = a.broadcast {
                w.ip(IFA_BROADCAST, b);
            }
            if let Some(l) = &a.label {
                w.str(IFA_LABEL, l);
            }
        } else if a.peer == a.local {
            w.ip(IFA_ADDRESS, a.local);
        } else {
            w.ip(IFA_LOCAL, a.local);
            w.ip(IFA_ADDRESS, a.peer);
        }
        if a.metric != 0 {
            w.u32(IFA_RT_PRIORITY, a.metric);
        }
        let times: Vec<u8> =
            [a.preferred, a.valid, a.created, a.updated].iter().flat_map(|v| v.to_ne_bytes()).collect();
        // In the order of Linux, which differs by family.
        if a.local.is_ipv4() {
            w.u32(IFA_FLAGS, a.flags);
            w.attr(IFA_CACHEINFO, &times);
        } else {
            w.attr(IFA_CACHEINFO, &times);
            w.u32(IFA_FLAGS, a.flags);
        }
        if a.proto != 0 {
            w.u8(IFA_PROTO, a.proto);
        }
    });
}

pub(super) fn get(request: &Request<'_>, family: u16) -> Outcome {
    if !request.is_dump() {
        return get_one(request, family);
    }
    let mut to = request.to().multi();
    let mut addrs = source::addrs(request.net);
    addrs.retain(|a| family == AF_UNSPEC || family_of(a.local) == family);
    if request.strict {
        let Some(h) = request.body.first_chunk::<FIXED>() else {
            return Err(Fail::new(Errno::EINVAL, "Invalid header for address dump request"));
        };
        if h[1] != 0 || h[2] != 0 || h[3] != 0 {
            return Err(Fail::new(Errno::EINVAL, "Invalid values in header for address dump request"));
        }
        let attrs = request.attrs(FIXED);
        if let Some(a) = attrs.unknown(&[IFA_TARGET_NETNSID]) {
            return Err(Fail::at(Errno::EINVAL, "Unsupported attribute in dump request", a));
        }
        let index = u32_at(h, 4).unwrap_or(0);
        if index != 0 {
            if source::link_by_index(request.net, index).is_none() {
                return Err(Errno::ENODEV.into());
            }
            to.flags |= NLM_F_DUMP_FILTERED;
            addrs.retain(|a| a.ifindex == index);
        }
    }
    // The order of Linux: by family, then by link.
    addrs.sort_by_key(|a| (a.local.is_ipv6(), a.ifindex));
    Ok(Reply::dump(addrs, move |w, a| write(w, RTM_NEWADDR, to, &a)))
}

/// Linux has this for IPv6 alone.
fn get_one(request: &Request<'_>, family: u16) -> Outcome {
    if family != AF_INET6 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let b: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    let index = u32_at(&b, 4).unwrap_or(0);
    let ip = match attrs.ip(IFA_LOCAL, family)? {
        Some(ip) => ip,
        None => attrs.ip(IFA_ADDRESS, family)?.ok_or(Errno::EINVAL)?,
    };
    let found = source::addrs(request.net).into_iter().find(|a| a.local == ip && (index == 0 || a.ifindex == index));
    let found = found.ok_or(Errno::EADDRNOTAVAIL)?;
    let mut w = Writer::default();
    write(&mut w, RTM_NEWADDR, request.to(), &found);
    Ok(Reply { messages: vec![w.into_bytes()], dump: None })
}

/// Reads the address that a request is about.
fn read(request: &Request<'_>, family: u16, attrs: &Attrs<'_>) -> Result<AddrView, Fail> {
    let b: [u8; FIXED] = request.fixed()?;
    let (local, peer) = (attrs.ip(IFA_LOCAL, family)?, attrs.ip(IFA_ADDRESS, family)?);
    let (local, peer) = match (local, peer) {
        (Some(l), p) => (l, p.unwrap_or(l)),
        (None, Some(p)) if family == AF_INET6 || request.header.kind != RTM_NEWADDR => (p, p),
        (None, _) if family == AF_INET => return Err(Fail::new(Errno::EINVAL, "ipv4: Local address is not supplied")),
        (None, Some(p)) => (p, p),
        (None, None) => return Err(Errno::EINVAL.into()),
    };
    let max = if family == AF_INET { 32 } else { 128 };
    if b[1] > max {
        return Err(Fail::new(Errno::EINVAL, "Invalid prefix length"));
    }
    let mut flags = attrs.u32(IFA_FLAGS)?.unwrap_or_else(|| b[2].into());
    let (mut preferred, mut valid) = (INFINITY, INFINITY);
    if let Some(c) = attrs.get(IFA_CACHEINFO) {
        (preferred, valid) = match (u32_at(c.data, 0), u32_at(c.data, 4)) {
            (Some(p), Some(v)) => (p, v),
            _ => return Err(c.policy()),
        };
        if valid == 0 || preferred > valid {
            return Err(Fail::at(Errno::EINVAL, "address lifetime invalid", c));
        }
    }
    if valid == INFINITY {
        flags |= IFA_F_PERMANENT;
    } else {
        flags &= !IFA_F_PERMANENT;
    }
    Ok(AddrView {
        ifindex: u32_at(&b, 4).unwrap_or(0),
        local,
        peer,
        prefix_len: b[1],
        broadcast: attrs.ip(IFA_BROADCAST, family)?,
        label: attrs.str(IFA_LABEL)?.map(str::to_owned),
        scope: b[3],
        flags,
        proto: attrs.u8(IFA_PROTO)?.unwrap_or(0),
        metric: attrs.u32(IFA_RT_PRIORITY)?.unwrap_or(0),
        preferred,
        valid,
        created: 0,
        updated: 0,
    })
}

fn served(family: u16) -> Result<(), Fail> {
    if family == AF_INET || family == AF_INET6 {
        Ok(())
    } else {
        Err(Errno::EOPNOTSUPP.into())
    }
}

pub(super) fn add(request: &Request<'_>, family: u16) -> Outcome {
    served(family)?;
    let attrs = request.attrs(FIXED);
    let mut a = read(request, family, &attrs)?;
    let link = source::link_by_index(request.net, a.ifindex).ok_or_else(|| {
        Fail::new(Errno::ENODEV, if family == AF_INET { "Device not found" } else { "Unable to find the interface" })
    })?;
    if a.label.as_ref().is_some_and(|l| !l.starts_with(&link.name) || l.len() > 15) {
        a.label = None;
    }
    let known = source::addrs(request.net).into_iter().find(|x| {
        x.ifindex == a.ifindex
            && x.local == a.local
            && (a.local.is_ipv6() || (x.prefix_len == a.prefix_len && x.peer == a.peer))
    });
    if let Some(known) = known {
        // The same address again: its life may be changed, if the request says so.
        if request.has(NLM_F_EXCL) || !request.has(NLM_F_REPLACE) {
            let text = if family == AF_INET { "ipv4: Address already assigned" } else { "address already assigned" };
            return Err(Fail::new(Errno::EEXIST, text));
        }
        a.flags |= known.flags & !(IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE);
        source::addr_add(request.net, &a, true)?;
    } else {
        // Linux makes a new address also without NLM_F_CREATE.
        let _creates = request.has(NLM_F_CREATE);
        source::addr_add(request.net, &a, false).map_err(|e| match e {
            Errno::EEXIST => Fail::new(
                e,
                if family == AF_INET { "ipv4: Address already assigned" } else { "address already assigned" },
            ),
            Errno::EACCES => Fail::new(e, "IPv6 is disabled on this device"),
            e => e.into(),
        })?;
    }
    if request.has(NLM_F_ECHO) {
        if let Some(now) = source::addrs(request.net).into_iter().find(|x| x.ifindex == a.ifindex && x.local == a.local)
        {
            let mut w = Writer::default();
            write(&mut w, RTM_NEWADDR, request.to(), &now);
            return Ok(Reply { messages: vec![w.into_bytes()], dump: None });
        }
    }
    Ok(Reply::default())
}

pub(super) fn delete(request: &Request<'_>, family: u16) -> Outcome {
    served(family)?;
    let b: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    let index = u32_at(&b, 4).unwrap_or(0);
    if source::link_by_index(request.net, index).is_none() {
        let text = if family == AF_INET { "ipv4: Device not found" } else { "Unable to find the interface" };
        return Err(Fail::new(Errno::ENODEV, text));
    }
    let local = attrs.ip(IFA_LOCAL, family)?;
    let address = attrs.ip(IFA_ADDRESS, family)?;
    let label = attrs.str(IFA_LABEL)?;
    let ip = local.or(if family == AF_INET6 { address } else { None });
    if family == AF_INET6 && ip.is_none() {
        return Err(Errno::EINVAL.into());
    }
    let found = source::addrs(request.net).into_iter().find(|x| {
        x.ifindex == index
            && family_of(x.local) == family
            && ip.is_none_or(|ip| x.local == ip)
            && label.is_none_or(|l| x.label.as_deref() == Some(l))
            && (family == AF_INET6
                || address.is_none_or(|a| x.prefix_len == b[1] && source::mask(a, b[1]) == source::mask(x.peer, b[1])))
            && (family == AF_INET || x.prefix_len == b[1])
    });
    let Some(found) = found else {
        let text = if family == AF_INET { "ipv4: Address not found" } else { "address not found" };
        return Err(Fail::new(Errno::EADDRNOTAVAIL, text));
    };
    source::addr_del(request.net, &found)?;
    Ok(Reply::default())
}
