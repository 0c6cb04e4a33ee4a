//! `RTM_*NEIGH` and `RTM_GETNEIGHTBL`.

use crate::netlink::wire::{u16_at, u32_at, Attrs, To, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use crate::source::{self, conf};
use crate::view::NeighView;
use lkl_abi::netlink::{NLM_F_CREATE, NLM_F_DUMP_FILTERED, NLM_F_EXCL, NLM_F_REPLACE};
use lkl_abi::rtnetlink::*;
use lkl_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use lkl_abi::Errno;
use std::net::IpAddr;

/// Bytes of `struct ndmsg`.
const FIXED: usize = 12;

fn family_of(ip: IpAddr) -> u16 {
    if ip.is_ipv4() {
        AF_INET
    } else {
        AF_INET6
    }
}

/// Writes one neighbour.
pub(super) fn write(w: &mut Writer, kind: u16, to: To, n: &NeighView) {
    w.message(kind, to, |w| {
        w.fixed(&[
            &[family_of(n.ip) as u8, 0, 0, 0],
            &n.ifindex.to_ne_bytes(),
            &n.state.to_ne_bytes(),
            &[n.flags, if n.ip.is_multicast() { RTN_MULTICAST } else { RTN_UNICAST }],
        ]);
        w.ip(NDA_DST, n.ip);
        if let Some(mac) = n.mac {
            w.attr(NDA_LLADDR, &mac);
        }
        w.u32(NDA_PROBES, n.probes);
        let cache: Vec<u8> = [n.confirmed, n.used, n.updated, 0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        w.attr(NDA_CACHEINFO, &cache);
    });
}

pub(super) fn get(request: &Request<'_>, family: u16) -> Outcome {
    let attrs = request.attrs(FIXED);
    if request.is_dump() {
        let mut to = request.to().multi();
        if request.strict {
            let Some(h) = request.body.first_chunk::<FIXED>() else {
                return Err(Fail::new(Errno::EINVAL, "Invalid header for neighbor dump request"));
            };
            if h[1..10].iter().any(|b| *b != 0) || h[10] & !NTF_PROXY != 0 || h[11] != 0 {
                return Err(Fail::new(Errno::EINVAL, "Invalid values in header for neighbor dump request"));
            }
            if let Some(a) = attrs.unknown(&[NDA_IFINDEX, NDA_MASTER]) {
                return Err(Fail::at(Errno::EINVAL, "Unsupported attribute in neighbor dump request", a));
            }
        }
        let proxies = request.body.get(10).is_some_and(|f| f & NTF_PROXY != 0);
        let index = attrs.u32(NDA_IFINDEX)?.unwrap_or(0);
        if index != 0 {
            to.flags |= NLM_F_DUMP_FILTERED;
        }
        let mut list = source::neighs(request.net);
        list.retain(|n| {
            !proxies && (family == AF_UNSPEC || family_of(n.ip) == family) && (index == 0 || n.ifindex == index)
        });
        return Ok(Reply::dump(list, move |w, n| write(w, RTM_NEWNEIGH, to, &n)));
    }
    let b: [u8; FIXED] = request.fixed()?;
    let (index, ip) = target(&b, family, &attrs)?;
    let found = source::neigh_get(request.net, index, ip);
    let found = found.ok_or_else(|| Fail::new(Errno::ENOENT, "Neighbour entry not found"))?;
    let mut w = Writer::default();
    write(&mut w, RTM_NEWNEIGH, request.to(), &found);
    Ok(Reply { messages: vec![w.into_bytes()], dump: None })
}

fn target(b: &[u8; FIXED], family: u16, attrs: &Attrs<'_>) -> Result<(u32, IpAddr), Fail> {
    if family != AF_INET && family != AF_INET6 {
        return Err(Errno::EAFNOSUPPORT.into());
    }
    let Some(dst) = attrs.get(NDA_DST) else {
        return Err(Fail { missing: Some(NDA_DST), ..Fail::new(Errno::EINVAL, "Network address not specified") });
    };
    let ip = dst.ip(family).map_err(|_| Fail::at(Errno::EINVAL, "Invalid network address", dst))?;
    Ok((u32_at(b, 4).unwrap_or(0), ip))
}

pub(super) fn add(request: &Request<'_>, family: u16) -> Outcome {
    let b: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    let (index, ip) = target(&b, family, &attrs)?;
    if source::link_by_index(request.net, index).is_none() {
        return Err(Errno::ENODEV.into());
    }
    let mac = match attrs.get(NDA_LLADDR) {
        Some(a) => {
            Some(a.data.first_chunk::<6>().copied().ok_or_else(|| Fail::at(Errno::EINVAL, "Invalid link address", a))?)
        }
        None => None,
    };
    if b[10] & NTF_PROXY != 0 {
        return Err(Fail::new(Errno::EOPNOTSUPP, "Proxy neighbours are not kept"));
    }
    let state = u16_at(&b, 8).unwrap_or(0);
    let exists = source::neigh_get(request.net, index, ip).is_some();
    if state & (NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE) != 0 && mac.is_none() && !exists {
        return Err(Fail::new(Errno::EINVAL, "No link layer address given"));
    }
    let mode = source::RouteMode {
        create: request.has(NLM_F_CREATE),
        exclusive: request.has(NLM_F_EXCL),
        replace: request.has(NLM_F_REPLACE),
        append: false,
    };
    source::neigh_set(request.net, index, ip, mac, state, b[10], mode)?;
    Ok(Reply::default())
}

pub(super) fn delete(request: &Request<'_>, family: u16) -> Outcome {
    let b: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    let (index, ip) = target(&b, family, &attrs)?;
    if source::link_by_index(request.net, index).is_none() {
        return Err(Errno::ENODEV.into());
    }
    source::neigh_del(request.net, index, ip)?;
    Ok(Reply::default())
}

/// `RTM_GETNEIGHTBL`: the two tables, with their settings.
pub(super) fn tables(request: &Request<'_>, family: u16) -> Outcome {
    if !request.is_dump() {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let to = request.to().multi();
    // Each table with its defaults, then the settings of each link.
    let mut list = Vec::new();
    for (f, name, version) in [(AF_INET, "arp_cache", "ipv4"), (AF_INET6, "ndisc_cache", "ipv6")] {
        if family == AF_UNSPEC || family == f {
            list.push((f, name, version, None));
            list.extend(source::links(request.net).into_iter().map(|l| (f, name, version, Some((l.index, l.name)))));
        }
    }
    let net = request.net.clone();
    Ok(Reply::dump(list, move |w, (family, name, version, link)| {
        let of = link.as_ref().map_or("default", |l| l.1.as_str());
        let read = |knob: &str| conf::number(&net, &format!("net/{version}/neigh/{of}/{knob}"));
        w.message(RTM_NEWNEIGHTBL, to, |w| {
            w.fixed(&[&[family as u8, 0, 0, 0]]);
            w.str(NDTA_NAME, name);
            if link.is_none() {
                w.u32(NDTA_THRESH1, read("gc_thresh1").unwrap_or(128) as u32);
                w.u32(NDTA_THRESH2, read("gc_thresh2").unwrap_or(512) as u32);
                w.u32(NDTA_THRESH3, read("gc_thresh3").unwrap_or(1024) as u32);
                w.u64(NDTA_GC_INTERVAL, (read("gc_interval").unwrap_or(30) * 1000) as u64);
            }
            w.list(NDTA_PARMS, |w| {
                if let Some((index, _)) = &link {
                    w.u32(1, *index);
                }
                w.u32(2, 1);
                // Queue bytes and packets, probes, then times in milliseconds.
                for (kind, knob, default) in [
                    (16, "unres_qlen_bytes", 212_992),
                    (8, "unres_qlen", 101),
                    (14, "proxy_qlen", 64),
                    (9, "app_solicit", 0),
                    (10, "ucast_solicit", 3),
                    (11, "mcast_solicit", 3),
                    (17, "mcast_resolicit", 0),
                ] {
                    w.u32(kind, read(knob).unwrap_or(default) as u32);
                }
                for (kind, knob, default, scale) in [
                    (3, "base_reachable_time_ms", 30_000, 1),
                    (4, "base_reachable_time_ms", 30_000, 1),
                    (5, "retrans_time_ms", 1_000, 1),
                    (6, "gc_stale_time", 60, 1_000),
                    (7, "delay_first_probe_time", 5, 1_000),
                    (12, "anycast_delay", 1_000, 1),
                    (13, "proxy_delay", 800, 1),
                    (15, "locktime", 1_000, 1),
                ] {
                    w.u64(kind, (read(knob).unwrap_or(default) * scale) as u64);
                }
            });
        });
    }))
}
