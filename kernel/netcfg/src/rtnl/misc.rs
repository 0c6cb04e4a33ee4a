//! What else `ip`, `tc` and libc ask for: queueing disciplines, settings, statistics, namespaces.

use super::link;
use crate::netlink::wire::{u32_at, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use crate::source::{self, conf};
use crate::view::LinkView;
use lkl_abi::if_link::IFLA_STATS_LINK_64;
use lkl_abi::rtnetlink::{
    NETCONFA_BC_FORWARDING, NETCONFA_FORWARDING, NETCONFA_IFINDEX, NETCONFA_IFINDEX_ALL, NETCONFA_IFINDEX_DEFAULT,
    NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN, NETCONFA_MC_FORWARDING, NETCONFA_PROXY_NEIGH, NETCONFA_RP_FILTER, NETNSA_FD,
    NETNSA_NSID, NETNSA_PID, RTM_NEWNETCONF, RTM_NEWNSID, RTM_NEWQDISC, RTM_NEWSTATS, TCA_HW_OFFLOAD, TCA_KIND,
    TCA_OPTIONS, TCA_STATS, TCA_STATS2, TC_H_ROOT,
};
use lkl_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use lkl_abi::Errno;

/// `RTM_GETQDISC`: each link has one at its root.
pub(super) fn qdiscs(request: &Request<'_>) -> Outcome {
    let index = u32_at(request.body, 4).unwrap_or(0);
    let mut links = source::links(request.net);
    if request.is_dump() {
        links.retain(|l| index == 0 || l.index == index);
        let to = request.to().multi();
        return Ok(Reply::dump(links, move |w, l| w.message(RTM_NEWQDISC, to, |w| write_qdisc(w, &l))));
    }
    let _: [u8; 20] = request.fixed()?;
    let link = links.into_iter().find(|l| l.index == index);
    let link = link.ok_or_else(|| Fail::new(Errno::ENODEV, "Cannot find specified netdevice"))?;
    let parent = u32_at(request.body, 12).unwrap_or(0);
    if parent != 0 && parent != TC_H_ROOT {
        return Err(Fail::new(Errno::ENOENT, "Failed to find specified qdisc"));
    }
    Ok(Reply::message(RTM_NEWQDISC, request.to(), |w| write_qdisc(w, &link)))
}

fn write_qdisc(w: &mut Writer, l: &LinkView) {
    let kind = link::qdisc(l);
    let zero = 0u32.to_ne_bytes();
    w.fixed(&[&[0; 4], &l.index.to_ne_bytes(), &zero, &TC_H_ROOT.to_ne_bytes(), &2u32.to_ne_bytes()]);
    w.str(TCA_KIND, kind);
    if kind == "pfifo_fast" {
        // struct tc_prio_qopt: three bands, and the band of each priority.
        let mut options = 3u32.to_ne_bytes().to_vec();
        options.extend([1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        w.attr(TCA_OPTIONS, &options);
    }
    w.u8(TCA_HW_OFFLOAD, 0);
    // Its counters: none are kept.
    let mut basic = 0u64.to_ne_bytes().to_vec();
    basic.extend([0; 8]);
    w.list(TCA_STATS2, |w| {
        w.attr(1, &basic);
        w.attr(3, &[0; 20]);
    });
    w.attr(TCA_STATS, &[0; 40]);
}

/// `RTM_GETNETCONF`.
pub(super) fn netconf(request: &Request<'_>, family: u16) -> Outcome {
    let families: &[u16] = match family {
        AF_INET => &[AF_INET],
        AF_INET6 => &[AF_INET6],
        AF_UNSPEC if request.is_dump() => &[AF_INET, AF_INET6],
        _ => return Err(Errno::EOPNOTSUPP.into()),
    };
    let mut list: Vec<(u16, i32, String)> = Vec::new();
    for f in families {
        list.extend(source::links(request.net).into_iter().map(|l| (*f, l.index as i32, l.name)));
        list.push((*f, NETCONFA_IFINDEX_ALL, "all".to_owned()));
        list.push((*f, NETCONFA_IFINDEX_DEFAULT, "default".to_owned()));
    }
    let net = request.net.clone();
    let write = move |w: &mut Writer, (family, index, name): (u16, i32, String)| {
        let version = if family == AF_INET { "ipv4" } else { "ipv6" };
        let read = |knob: &str| conf::number(&net, &format!("net/{version}/conf/{name}/{knob}")).unwrap_or(0) as u32;
        w.fixed(&[&[family as u8]]);
        w.u32(NETCONFA_IFINDEX, index as u32);
        w.u32(NETCONFA_FORWARDING, read("forwarding"));
        if family == AF_INET {
            w.u32(NETCONFA_RP_FILTER, read("rp_filter"));
            w.u32(NETCONFA_BC_FORWARDING, read("bc_forwarding"));
        }
        w.u32(NETCONFA_MC_FORWARDING, read("mc_forwarding"));
        w.u32(NETCONFA_PROXY_NEIGH, read(if family == AF_INET { "proxy_arp" } else { "proxy_ndp" }));
        w.u32(NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN, read("ignore_routes_with_linkdown"));
    };
    if request.is_dump() {
        let to = request.to().multi();
        return Ok(Reply::dump(list, move |w, item| w.message(RTM_NEWNETCONF, to, |w| write(w, item))));
    }
    // struct netconfmsg is one byte, padded.
    let asked = request.attrs(1).u32(NETCONFA_IFINDEX)?.ok_or(Errno::EINVAL)? as i32;
    let item = list.into_iter().find(|i| i.1 == asked).ok_or(Errno::EINVAL)?;
    Ok(Reply::message(RTM_NEWNETCONF, request.to(), |w| write(w, item)))
}

/// `RTM_GETSTATS`: the counters of links (`struct if_stats_msg`).
pub(super) fn stats(request: &Request<'_>) -> Outcome {
    let b: [u8; 12] = request.fixed()?;
    let (index, mask) = (u32_at(&b, 4).unwrap_or(0), u32_at(&b, 8).unwrap_or(0));
    if mask == 0 {
        return Err(Fail::new(Errno::EINVAL, "Filter mask must be set for stats get"));
    }
    let write = move |w: &mut Writer, l: &LinkView| {
        w.fixed(&[&[0; 4], &l.index.to_ne_bytes(), &mask.to_ne_bytes()]);
        if mask & 1 << (IFLA_STATS_LINK_64 - 1) != 0 {
            let wide: Vec<u8> = link::counters(&l.stats).iter().flat_map(|v| v.to_ne_bytes()).collect();
            w.attr(IFLA_STATS_LINK_64, &wide);
        }
    };
    if request.is_dump() {
        let to = request.to().multi();
        return Ok(Reply::dump(source::links(request.net), move |w, l| {
            w.message(RTM_NEWSTATS, to, |w| write(w, &l));
        }));
    }
    let link = if index > 0 { source::link_by_index(request.net, index) } else { return Err(Errno::EINVAL.into()) };
    let link = link.ok_or(Errno::ENODEV)?;
    Ok(Reply::message(RTM_NEWSTATS, request.to(), |w| write(w, &link)))
}

/// `RTM_GETNSID`: no other namespace has a number here.
pub(super) fn nsid(request: &Request<'_>) -> Outcome {
    if request.is_dump() {
        return Ok(Reply::dump(Vec::<()>::new(), |_, ()| {}));
    }
    let attrs = request.attrs(1);
    if !attrs.has(NETNSA_PID) && !attrs.has(NETNSA_FD) && !attrs.has(NETNSA_NSID) {
        return Err(Fail::new(Errno::EINVAL, "Peer netns reference is missing"));
    }
    Ok(Reply::message(RTM_NEWNSID, request.to(), |w| {
        w.fixed(&[&[0]]);
        w.u32(NETNSA_NSID, u32::MAX);
    }))
}
