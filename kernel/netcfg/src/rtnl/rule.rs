//! `RTM_*RULE`.

use crate::netlink::wire::{u16_at, u32_at, Attrs, To, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use crate::source;
use crate::view::RuleView;
use lkl_abi::netlink::NLM_F_EXCL;
use lkl_abi::rtnetlink::*;
use lkl_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use lkl_abi::Errno;
use std::net::IpAddr;

/// Bytes of `struct fib_rule_hdr`.
const FIXED: usize = 12;

/// Writes one rule.
pub(super) fn write(w: &mut Writer, kind: u16, to: To, r: &RuleView) {
    w.message(kind, to, |w| {
        let table = if r.table < 256 { r.table as u8 } else { RT_TABLE_COMPAT as u8 };
        let flags = if r.invert { FIB_RULE_INVERT } else { 0 };
        w.fixed(&[
            &[r.family as u8, r.dst.map_or(0, |p| p.1), r.src.map_or(0, |p| p.1), r.tos, table, 0, 0, r.action],
            &flags.to_ne_bytes(),
        ]);
        w.u32(FRA_TABLE, r.table);
        w.u32(FRA_SUPPRESS_PREFIXLEN, r.suppress_prefixlen.unwrap_or(u32::MAX));
        w.u8(FRA_PROTOCOL, r.protocol);
        if let Some(g) = r.goto {
            w.u32(FRA_GOTO, g);
        }
        if let Some(n) = &r.iif {
            w.str(FRA_IIFNAME, n);
        }
        if let Some(n) = &r.oif {
            w.str(FRA_OIFNAME, n);
        }
        if let Some(p) = r.priority.filter(|p| *p != 0) {
            w.u32(FRA_PRIORITY, p);
        }
        if let Some((mark, mask)) = r.mark {
            w.u32(FRA_FWMARK, mark);
            w.u32(FRA_FWMASK, mask);
        }
        if let Some((first, last)) = r.uid_range {
            w.attr(FRA_UID_RANGE, [first.to_ne_bytes(), last.to_ne_bytes()].as_flattened());
        }
        if let Some(p) = r.ip_proto {
            w.u8(FRA_IP_PROTO, p);
        }
        for (kind, range) in [(FRA_SPORT_RANGE, r.sport), (FRA_DPORT_RANGE, r.dport)] {
            if let Some((first, last)) = range {
                w.attr(kind, [first.to_ne_bytes(), last.to_ne_bytes()].as_flattened());
            }
        }
        if let Some((ip, _)) = r.dst {
            w.ip(FRA_DST, ip);
        }
        if let Some((ip, _)) = r.src {
            w.ip(FRA_SRC, ip);
        }
    });
}

pub(super) fn get(request: &Request<'_>, family: u16) -> Outcome {
    if !request.is_dump() {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if request.strict {
        let Some(h) = request.body.first_chunk::<FIXED>() else {
            return Err(Fail::new(Errno::EINVAL, "Invalid header for fib rule dump request"));
        };
        if h[1..].iter().any(|b| *b != 0) {
            return Err(Fail::new(Errno::EINVAL, "Invalid values in header for fib rule dump request"));
        }
    }
    let mut rules = source::rules(request.net);
    rules.retain(|r| family == AF_UNSPEC || r.family == family);
    let to = request.to().multi();
    Ok(Reply::dump(rules, move |w, r| write(w, RTM_NEWRULE, to, &r)))
}

fn prefix(attrs: &Attrs<'_>, kind: u16, family: u16, len: u8) -> Result<Option<(IpAddr, u8)>, Fail> {
    let max = if family == AF_INET { 32 } else { 128 };
    match (attrs.ip(kind, family)?, len) {
        (_, 0) => Ok(None),
        (Some(ip), l) if l <= max => Ok(Some((source::mask(ip, l), l))),
        _ => Err(Fail::new(Errno::EINVAL, "Invalid prefix length")),
    }
}

fn range(attrs: &Attrs<'_>, kind: u16) -> Result<Option<(u16, u16)>, Fail> {
    let Some(a) = attrs.get(kind) else { return Ok(None) };
    match (u16_at(a.data, 0), u16_at(a.data, 2)) {
        (Some(first), Some(last)) if first > 0 && first <= last && last < 0xffff => Ok(Some((first, last))),
        _ => Err(Fail::at(Errno::EINVAL, "Invalid port range", a)),
    }
}

fn read(request: &Request<'_>, family: u16) -> Result<RuleView, Fail> {
    if family != AF_INET && family != AF_INET6 {
        return Err(Fail::new(Errno::EAFNOSUPPORT, "Rule family not supported"));
    }
    let [_, dst_len, src_len, tos, table, _, _, action, f @ ..] = request.fixed::<FIXED>()?;
    let flags = u32::from_ne_bytes(f);
    let attrs = request.attrs(FIXED);
    if attrs.u8(FRA_L3MDEV)?.is_some_and(|v| v != 0) {
        return Err(Fail::new(Errno::EOPNOTSUPP, "No l3mdev"));
    }
    let mark = attrs.u32(FRA_FWMARK)?;
    let mask = attrs.u32(FRA_FWMASK)?;
    let uid_range = match attrs.get(FRA_UID_RANGE) {
        Some(a) => match (u32_at(a.data, 0), u32_at(a.data, 4)) {
            (Some(first), Some(last)) if first <= last => Some((first, last)),
            _ => return Err(Fail::at(Errno::EINVAL, "Invalid uid range", a)),
        },
        None => None,
    };
    let name = |kind| attrs.str(kind).map(|n| n.map(str::to_owned));
    Ok(RuleView {
        family,
        priority: attrs.u32(FRA_PRIORITY)?,
        src: prefix(&attrs, FRA_SRC, family, src_len)?,
        dst: prefix(&attrs, FRA_DST, family, dst_len)?,
        tos,
        table: attrs.u32(FRA_TABLE)?.unwrap_or_else(|| table.into()),
        action,
        goto: attrs.u32(FRA_GOTO)?,
        invert: flags & FIB_RULE_INVERT != 0,
        iif: name(FRA_IIFNAME)?,
        oif: name(FRA_OIFNAME)?,
        mark: mark.map(|m| (m, mask.unwrap_or(u32::MAX))).or(mask.map(|m| (0, m))),
        uid_range,
        ip_proto: attrs.u8(FRA_IP_PROTO)?.filter(|p| *p != 0),
        sport: range(&attrs, FRA_SPORT_RANGE)?,
        dport: range(&attrs, FRA_DPORT_RANGE)?,
        suppress_prefixlen: attrs.u32(FRA_SUPPRESS_PREFIXLEN)?.filter(|v| *v != u32::MAX),
        protocol: attrs.u8(FRA_PROTOCOL)?.unwrap_or(RTPROT_UNSPEC),
    })
}

pub(super) fn add(request: &Request<'_>, family: u16) -> Outcome {
    let mut r = read(request, family)?;
    if r.action == 0 {
        return Err(Errno::EINVAL.into());
    }
    if r.action == FR_ACT_TO_TBL && r.table == 0 {
        // Linux finds a free table for it.
        r.table = (1..RT_TABLE_COMPAT)
            .find(|t| !source::routes(request.net).iter().any(|x| x.table == *t))
            .ok_or_else(|| Fail::new(Errno::ENOBUFS, "No free table"))?;
    }
    if r.action == FR_ACT_GOTO {
        match (r.goto, r.priority) {
            (None, _) => return Err(Errno::EINVAL.into()),
            (Some(to), Some(p)) if to <= p => {
                return Err(Fail::new(Errno::EINVAL, "Backward goto not supported"));
            }
            _ => {}
        }
    } else if r.goto.is_some() {
        return Err(Fail::new(Errno::EINVAL, "goto action without a goto"));
    }
    source::rule_add(request.net, &r, request.has(NLM_F_EXCL))?;
    Ok(Reply::default())
}

pub(super) fn delete(request: &Request<'_>, family: u16) -> Outcome {
    let r = read(request, family)?;
    // What the request says nothing of matches anything.
    let found = source::rules(request.net).into_iter().find(|x| {
        x.family == family
            && (r.action == 0 || x.action == r.action)
            && (r.table == 0 || x.table == r.table)
            && r.priority.is_none_or(|p| x.priority == Some(p))
            && (r.src.is_none() || x.src == r.src)
            && (r.dst.is_none() || x.dst == r.dst)
            && (r.tos == 0 || x.tos == r.tos)
            && (r.iif.is_none() || x.iif == r.iif)
            && (r.oif.is_none() || x.oif == r.oif)
            && (r.mark.is_none() || x.mark == r.mark)
            && (r.uid_range.is_none() || x.uid_range == r.uid_range)
            && (r.ip_proto.is_none() || x.ip_proto == r.ip_proto)
            && (r.sport.is_none() || x.sport == r.sport)
            && (r.dport.is_none() || x.dport == r.dport)
            && (r.goto.is_none() || x.goto == r.goto)
            && (r.suppress_prefixlen.is_none() || x.suppress_prefixlen == r.suppress_prefixlen)
            && (r.protocol == RTPROT_UNSPEC || x.protocol == r.protocol)
    });
    source::rule_del(request.net, &found.ok_or(Errno::ENOENT)?)?;
    Ok(Reply::default())
}
