//! `RTM_*ROUTE`.

use crate::netlink::wire::{u16_at, u32_at, Attr, Attrs, To, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use crate::source::{self, Lookup, RouteMatch, RouteMode};
use crate::view::{HopView, RouteView};
use lkl_abi::netlink::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP_FILTERED, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE};
use lkl_abi::rtnetlink::*;
use lkl_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use lkl_abi::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of `struct rtmsg`.
const FIXED: usize = 12;

fn max_len(family: u16) -> u8 {
    if family == AF_INET {
        32
    } else {
        128
    }
}

fn any(family: u16) -> IpAddr {
    if family == AF_INET {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}

fn write_gateway(w: &mut Writer, family: u16, gateway: Option<IpAddr>) {
    match gateway {
        Some(IpAddr::V6(a)) if family == AF_INET => {
            let mut via = AF_INET6.to_ne_bytes().to_vec();
            via.extend(a.octets());
            w.attr(RTA_VIA, &via);
        }
        Some(g) => w.ip(RTA_GATEWAY, g),
        None => {}
    }
}

/// Writes one route.
pub(super) fn write(w: &mut Writer, kind: u16, to: To, r: &RouteView) {
    w.message(kind, to, |w| {
        let table = if r.table < 256 { r.table as u8 } else { RT_TABLE_COMPAT as u8 };
        let mut flags = r.flags;
        if let [hop] = &r.hops[..] {
            flags |= u32::from(hop.flags);
        }
        w.fixed(&[
            &[r.family as u8, r.dst_len, r.src.map_or(0, |s| s.1), r.tos, table, r.protocol, r.scope, r.kind],
            &flags.to_ne_bytes(),
        ]);
        let v6 = r.family == AF_INET6;
        w.u32(RTA_TABLE, r.table);
        if r.dst_len > 0 || r.flags & RTM_F_CLONED != 0 {
            w.ip(RTA_DST, r.dst);
        }
        if let Some((src, _)) = r.src {
            w.ip(RTA_SRC, src);
        }
        if r.priority != 0 || v6 {
            w.u32(RTA_PRIORITY, r.priority);
        }
        if let Some(p) = r.prefsrc {
            w.ip(RTA_PREFSRC, p);
        }
        if !r.metrics.is_empty() {
            w.list(RTA_METRICS, |w| {
                for (k, v) in &r.metrics {
                    w.u32(*k, *v);
                }
            });
        }
        match &r.hops[..] {
            [] => {
                // A route that leads nowhere is shown on lo in IPv6.
                if v6 {
                    w.u32(RTA_OIF, 1);
                }
            }
            [hop] => {
                write_gateway(w, r.family, hop.gateway);
                if hop.oif != 0 {
                    w.u32(RTA_OIF, hop.oif);
                }
            }
            hops => w.list(RTA_MULTIPATH, |w| {
                for hop in hops {
                    let start = w.len();
                    w.fixed(&[
                        &0u16.to_ne_bytes(),
                        &[hop.flags, u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX)],
                        &hop.oif.to_ne_bytes(),
                    ]);
                    write_gateway(w, r.family, hop.gateway);
                    w.patch_u16(start, u16::try_from(w.len() - start).unwrap_or(0));
                }
            }),
        }
        if v6 {
            let expires = i32::try_from(r.expires).unwrap_or(i32::MAX / 100).saturating_mul(100);
            let mut cache = vec![0; 32];
            cache[8..12].copy_from_slice(&expires.to_ne_bytes());
            w.attr(RTA_CACHEINFO, &cache);
            w.u8(RTA_PREF, r.pref);
        } else if r.flags & RTM_F_CLONED != 0 {
            w.attr(RTA_CACHEINFO, &[0; 32]);
        }
    });
}

pub(super) fn get(request: &Request<'_>, family: u16) -> Outcome {
    if request.is_dump() {
        dump(request, family)
    } else {
        look_up(request, family)
    }
}

fn dump(request: &Request<'_>, family: u16) -> Outcome {
    if !matches!(family, AF_UNSPEC | AF_INET | AF_INET6) {
        // Multicast routing has families of its own, and no routes here.
        return Ok(Reply::dump(Vec::<()>::new(), |_, ()| {}));
    }
    let mut to = request.to().multi();
    let mut routes = source::routes(request.net);
    routes.retain(|r| family == AF_UNSPEC || r.family == family);
    let flags = u32_at(request.body, 8).unwrap_or(0);
    if flags & RTM_F_CLONED != 0 {
        // There is no cache of routes to show.
        routes.clear();
    }
    if request.strict {
        let Some(h) = request.body.first_chunk::<FIXED>() else {
            return Err(Fail::new(Errno::EINVAL, "Invalid header for FIB dump request"));
        };
        let [_, dst_len, src_len, tos, table, protocol, scope, kind, ..] = *h;
        if dst_len != 0 || src_len != 0 || tos != 0 || scope != 0 {
            return Err(Fail::new(Errno::EINVAL, "Invalid values in header for FIB dump request"));
        }
        if flags & !(RTM_F_CLONED | RTM_F_PREFIX) != 0 {
            return Err(Fail::new(Errno::EINVAL, "Invalid flags for FIB dump request"));
        }
        let attrs = request.attrs(FIXED);
        if let Some(a) = attrs.unknown(&[RTA_TABLE, RTA_OIF]) {
            return Err(Fail::at(Errno::EINVAL, "Unsupported attribute in dump request", a));
        }
        let table = attrs.u32(RTA_TABLE)?.unwrap_or_else(|| table.into());
        let oif = attrs.u32(RTA_OIF)?.unwrap_or(0);
        if oif != 0 && source::link_by_index(request.net, oif).is_none() {
            return Err(Errno::ENODEV.into());
        }
        if table != 0 || oif != 0 || protocol != 0 || kind != 0 {
            to.flags |= NLM_F_DUMP_FILTERED;
        }
        if table != 0 && family != AF_UNSPEC && table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL {
            let there = routes.iter().any(|r| r.table == table);
            if !there {
                let text =
                    if family == AF_INET { "ipv4: FIB table does not exist" } else { "FIB table does not exist" };
                return Err(Fail::new(Errno::ENOENT, text));
            }
        }
        routes.retain(|r| {
            (table == 0 || r.table == table)
                && (protocol == 0 || r.protocol == protocol)
                && (kind == 0 || r.kind == kind)
                && (oif == 0 || r.hops.iter().any(|h| h.oif == oif))
        });
    }
    Ok(Reply::dump(routes, move |w, r| write(w, RTM_NEWROUTE, to, &r)))
}

fn look_up(request: &Request<'_>, family: u16) -> Outcome {
    if family != AF_INET && family != AF_INET6 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let b: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    let flags = u32_at(&b, 8).unwrap_or(0);
    if let Some(a) = attrs.get(RTA_DST) {
        a.ip(family)?;
    }
    let key = Lookup {
        dst: attrs.ip(RTA_DST, family)?.unwrap_or_else(|| any(family)),
        src: attrs.ip(RTA_SRC, family)?,
        oif: attrs.u32(RTA_OIF)?.unwrap_or(0),
        iif: attrs.u32(RTA_IIF)?.unwrap_or(0),
        tos: b[3],
        mark: attrs.u32(RTA_MARK)?.unwrap_or(0),
        uid: attrs.u32(RTA_UID)?,
        proto: attrs.u8(RTA_IP_PROTO)?.unwrap_or(0),
    };
    for index in [key.oif, key.iif] {
        if index != 0 && source::link_by_index(request.net, index).is_none() {
            return Err(Errno::ENODEV.into());
        }
    }
    let (found, entry) = source::route_get(request.net, &key)?;
    let mut shown = if flags & RTM_F_FIB_MATCH != 0 {
        entry.ok_or(Errno::EHOSTUNREACH)?
    } else {
        let mut r = found;
        r.flags |= RTM_F_CLONED;
        r.dst = key.dst;
        r.dst_len = max_len(family);
        r.src = key.src.map(|s| (s, max_len(family)));
        if family == AF_INET {
            r.priority = 0;
            r.protocol = RTPROT_UNSPEC;
            r.scope = RT_SCOPE_UNIVERSE;
            // Linux looks up `local` and `main` as one as long as there are no rules of the user.
            if flags & RTM_F_LOOKUP_TABLE == 0 || r.table == RT_TABLE_LOCAL {
                r.table = RT_TABLE_MAIN;
            }
        }
        r
    };
    shown.tos = b[3];
    let mut w = Writer::default();
    let cloned = shown.flags & RTM_F_CLONED != 0;
    write(&mut w, RTM_NEWROUTE, request.to(), &shown);
    let mut m = w.into_bytes();
    // What the question said and the route does not know.
    let mut extra = Writer::default();
    if cloned {
        if key.iif == 0 {
            extra.u32(RTA_UID, key.uid.unwrap_or(0));
        }
        if key.mark != 0 {
            extra.u32(RTA_MARK, key.mark);
        }
        if key.iif != 0 {
            extra.u32(RTA_IIF, key.iif);
        }
    }
    m.extend(extra.into_bytes());
    let len = u32::try_from(m.len()).unwrap_or(0);
    if let Some(at) = m.get_mut(..4) {
        at.copy_from_slice(&len.to_ne_bytes());
    }
    Ok(Reply { messages: vec![m], dump: None })
}

fn gateway(attrs: &Attrs<'_>, family: u16) -> Result<Option<IpAddr>, Fail> {
    if let Some(a) = attrs.get(RTA_GATEWAY) {
        return a.ip(family).map(Some);
    }
    let Some(via) = attrs.get(RTA_VIA) else { return Ok(None) };
    let bad = || Fail::at(Errno::EINVAL, "Invalid attribute for RTA_VIA", via);
    let via_family = u16_at(via.data, 0).ok_or_else(bad)?;
    let rest = Attr { data: via.data.get(2..).unwrap_or_default(), ..*via };
    match (via_family, family) {
        (AF_INET, AF_INET) | (AF_INET6, _) => rest.ip(via_family).map(Some).map_err(|_| bad()),
        (AF_INET, _) => Err(Fail::at(Errno::EINVAL, "IPv6 does not support RTA_VIA attribute", via)),
        _ => Err(Fail::at(Errno::EINVAL, "Unsupported address family in RTA_VIA", via)),
    }
}

fn hops(a: &Attr<'_>, family: u16) -> Result<Vec<HopView>, Fail> {
    let invalid = || Fail::at(Errno::EINVAL, "Invalid nexthop configuration - extra data after nexthops", a);
    let mut list = Vec::new();
    let mut at = 0;
    while at < a.data.len() {
        let rest = a.data.get(at..).unwrap_or_default();
        let len = usize::from(u16_at(rest, 0).ok_or_else(invalid)?);
        let one = rest.get(..len).filter(|o| o.len() >= 8).ok_or_else(invalid)?;
        let attrs = Attrs::parse(one.get(8..).unwrap_or_default(), a.offset as usize + 4 + at + 8);
        list.push(HopView {
            oif: u32_at(one, 4).unwrap_or(0),
            gateway: gateway(&attrs, family)?,
            weight: u16::from(one[3]) + 1,
            flags: one[2] & RTNH_F_ONLINK,
        });
        at += (len + 3) & !3;
    }
    if list.is_empty() {
        return Err(invalid());
    }
    Ok(list)
}

fn metrics(attrs: &Attrs<'_>) -> Result<Vec<(u16, u32)>, Fail> {
    let Some(nested) = attrs.nested(RTA_METRICS) else { return Ok(Vec::new()) };
    let mut list = Vec::new();
    for a in nested.iter() {
        if a.kind == 0 || a.kind == RTAX_CC_ALGO {
            continue;
        }
        if a.kind > RTAX_MAX {
            return Err(Fail::at(Errno::EINVAL, "Invalid metric type", a));
        }
        let mut v = a.u32()?;
        match a.kind {
            RTAX_ADVMSS => v = v.min(65_535 - 40),
            RTAX_MTU => v = v.min(65_535 - 15),
            RTAX_HOPLIMIT => v = v.min(255),
            _ => {}
        }
        list.push((a.kind, v));
    }
    Ok(list)
}

/// Reads the route that a request is about, and which parts it says nothing of.
fn read(request: &Request<'_>, family: u16) -> Result<(RouteView, RouteMatch), Fail> {
    if family != AF_INET && family != AF_INET6 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let [_, dst_len, src_len, tos, table, protocol, scope, kind, f @ ..] = request.fixed::<FIXED>()?;
    let flags = u32::from_ne_bytes(f);
    let attrs = request.attrs(FIXED);
    if dst_len > max_len(family) || src_len > max_len(family) {
        return Err(Fail::new(Errno::EINVAL, "Invalid prefix length"));
    }
    if kind > RTN_MAX {
        return Err(Fail::new(Errno::EINVAL, "Invalid route type"));
    }
    if let Some(a) = attrs.get(RTA_NH_ID) {
        if a.u32()? != 0 {
            return Err(Fail::at(Errno::EINVAL, "Nexthop id does not exist", a));
        }
    }
    if let Some(a) = attrs.get(RTA_ENCAP_TYPE) {
        if u16_at(a.data, 0).unwrap_or(0) != 0 {
            return Err(Fail::at(Errno::EOPNOTSUPP, "Encap type not supported", a));
        }
    }
    let dst = attrs.ip(RTA_DST, family)?;
    if dst.is_none() && dst_len > 0 {
        return Err(Errno::EINVAL.into());
    }
    let dst = dst.unwrap_or_else(|| any(family));
    if source::mask(dst, dst_len) != dst && family == AF_INET {
        return Err(Fail::new(Errno::EINVAL, "Invalid prefix for given prefix length"));
    }
    let oif = attrs.u32(RTA_OIF)?;
    let gw = gateway(&attrs, family)?;
    if attrs.has(RTA_GATEWAY) && attrs.has(RTA_VIA) {
        return Err(Fail::new(Errno::EINVAL, "Nexthop configuration can not contain both GATEWAY and VIA"));
    }
    let list = match attrs.get(RTA_MULTIPATH) {
        Some(a) => hops(a, family)?,
        None if oif.is_some() || gw.is_some() => {
            vec![HopView { oif: oif.unwrap_or(0), gateway: gw, weight: 1, flags: flags as u8 & RTNH_F_ONLINK }]
        }
        None => Vec::new(),
    };
    let table = match attrs.u32(RTA_TABLE)?.unwrap_or_else(|| table.into()) {
        RT_TABLE_UNSPEC => RT_TABLE_MAIN,
        t => t,
    };
    let priority = attrs.u32(RTA_PRIORITY)?;
    let prefsrc = attrs.ip(RTA_PREFSRC, family)?;
    let view = RouteView {
        family,
        dst: source::mask(dst, dst_len),
        dst_len,
        src: if src_len > 0 { attrs.ip(RTA_SRC, family)?.map(|s| (s, src_len)) } else { None },
        tos,
        table,
        protocol,
        scope,
        kind,
        flags: 0,
        priority: priority.unwrap_or(0),
        prefsrc,
        metrics: metrics(&attrs)?,
        hops: list,
        expires: attrs.u32(RTA_EXPIRES)?.unwrap_or(0),
        pref: attrs.u8(RTA_PREF)?.unwrap_or(0),
    };
    let which = RouteMatch {
        kind: (kind != RTN_UNSPEC).then_some(kind),
        scope: (scope != RT_SCOPE_NOWHERE && family == AF_INET).then_some(scope),
        protocol: (protocol != RTPROT_UNSPEC).then_some(protocol),
        priority: priority.filter(|p| *p != 0),
        prefsrc,
        oif: oif.filter(|o| *o != 0),
        gateway: gw,
        has_hops: attrs.has(RTA_MULTIPATH),
    };
    Ok((view, which))
}

pub(super) fn add(request: &Request<'_>, family: u16) -> Outcome {
    let (mut r, _) = read(request, family)?;
    for hop in &r.hops {
        if hop.oif != 0 && source::link_by_index(request.net, hop.oif).is_none() {
            return Err(Errno::ENODEV.into());
        }
    }
    if r.kind == RTN_UNSPEC {
        r.kind = RTN_UNICAST;
    }
    if matches!(r.kind, RTN_NAT | RTN_MAX) {
        return Err(Errno::EINVAL.into());
    }
    let leads = r.kind < RTN_BLACKHOLE;
    if leads && r.hops.is_empty() {
        return Err(Errno::ENODEV.into());
    }
    if !leads {
        if family == AF_INET && !r.hops.is_empty() && r.hops.iter().any(|h| h.oif != 0 || h.gateway.is_some()) {
            return Err(Fail::new(
                Errno::EINVAL,
                "Routes with type blackhole, unreachable, prohibit or throw take no nexthop",
            ));
        }
        r.hops.clear();
    }
    if family == AF_INET6 {
        r.scope = RT_SCOPE_UNIVERSE;
        if r.priority == 0 {
            r.priority = 1024;
        }
    }
    if r.protocol == RTPROT_UNSPEC && family == AF_INET6 {
        r.protocol = RTPROT_BOOT;
    }
    let mode = RouteMode {
        create: request.has(NLM_F_CREATE),
        exclusive: request.has(NLM_F_EXCL),
        replace: request.has(NLM_F_REPLACE),
        append: request.has(NLM_F_APPEND),
    };
    source::route_add(request.net, &r, mode).map_err(explain)?;
    if request.has(NLM_F_ECHO) {
        let mut w = Writer::default();
        write(&mut w, RTM_NEWROUTE, request.to(), &r);
        return Ok(Reply { messages: vec![w.into_bytes()], dump: None });
    }
    Ok(Reply::default())
}

/// The well-known text for a route that cannot be.
fn explain(e: Errno) -> Fail {
    match e {
        Errno::ENETUNREACH => Fail::new(e, "Nexthop has invalid gateway"),
        Errno::ENETDOWN => Fail::new(e, "Device for nexthop is not up"),
        e => e.into(),
    }
}

pub(super) fn delete(request: &Request<'_>, family: u16) -> Outcome {
    let (r, which) = read(request, family)?;
    source::route_del(request.net, &r, &which)?;
    Ok(Reply::default())
}
