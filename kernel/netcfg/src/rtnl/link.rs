//! `RTM_*LINK`.

use crate::netlink::wire::{u32_at, Attrs, To, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use crate::source::{self, conf};
use crate::view::{LinkView, Stats};
use lkl_abi::if_::{ARPHRD_ETHER, ARPHRD_LOOPBACK, IFF_LOWER_UP, IFF_UP, IFNAMSIZ};
use lkl_abi::if_link::*;
use lkl_abi::netlink::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};
use lkl_abi::rtnetlink::RTM_NEWLINK;
use lkl_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use lkl_abi::Errno;

/// Bytes of `struct ifinfomsg`.
const FIXED: usize = 16;
/// The family of bridges, which has its own links.
const AF_BRIDGE: u16 = 7;

/// The kind of device that `IFLA_INFO_KIND` names, if the link has one.
pub(crate) fn kind(link: &LinkView) -> Option<&'static str> {
    (!link.loopback).then_some("tun")
}

/// The queueing discipline that is shown.
pub(crate) fn qdisc(link: &LinkView) -> &'static str {
    if link.loopback || link.txqlen == 0 {
        "noqueue"
    } else {
        "pfifo_fast"
    }
}

/// `RFC 2863` state as `IF_OPER_*`.
pub(crate) fn operstate(link: &LinkView) -> u8 {
    if link.loopback {
        return if link.flags & IFF_UP != 0 { IF_OPER_UNKNOWN } else { IF_OPER_DOWN };
    }
    if link.flags & IFF_UP != 0 && link.flags & IFF_LOWER_UP != 0 {
        IF_OPER_UP
    } else {
        IF_OPER_DOWN
    }
}

/// `ARPHRD_*`
pub(crate) fn hardware_type(link: &LinkView) -> u16 {
    if link.loopback {
        ARPHRD_LOOPBACK
    } else {
        ARPHRD_ETHER
    }
}

/// Smallest and largest MTU, 0 for no limit.
pub(crate) fn mtu_range(link: &LinkView) -> (u32, u32) {
    if link.loopback {
        (0, 0)
    } else {
        (68, 65_521)
    }
}

pub(crate) fn broadcast(link: &LinkView) -> [u8; 6] {
    if link.loopback {
        [0; 6]
    } else {
        [0xff; 6]
    }
}

/// The counters in the order of `struct rtnl_link_stats64`.
pub(crate) fn counters(s: &Stats) -> [u64; 25] {
    let mut v = [0; 25];
    let known = [
        s.rx_packets,
        s.tx_packets,
        s.rx_bytes,
        s.tx_bytes,
        s.rx_errors,
        s.tx_errors,
        s.rx_dropped,
        s.tx_dropped,
        s.multicast,
    ];
    v[..known.len()].copy_from_slice(&known);
    v
}

/// Writes one link.
pub(super) fn write(w: &mut Writer, kind_of_message: u16, to: To, family: u16, link: &LinkView, mask: u32) {
    w.message(kind_of_message, to, |w| {
        w.fixed(&[
            &[family as u8, 0],
            &hardware_type(link).to_ne_bytes(),
            &link.index.to_ne_bytes(),
            &link.flags.to_ne_bytes(),
            &0u32.to_ne_bytes(),
        ]);
        w.str(IFLA_IFNAME, &link.name);
        w.u32(IFLA_TXQLEN, link.txqlen);
        w.u8(IFLA_OPERSTATE, operstate(link));
        w.u8(IFLA_LINKMODE, 0);
        let (min, max) = mtu_range(link);
        w.u32(IFLA_MTU, link.mtu);
        w.u32(IFLA_MIN_MTU, min);
        w.u32(IFLA_MAX_MTU, max);
        w.u32(IFLA_GROUP, 0);
        w.u32(IFLA_PROMISCUITY, link.promiscuity);
        w.u32(IFLA_ALLMULTI, link.allmulti);
        w.u32(IFLA_NUM_TX_QUEUES, 1);
        w.u32(IFLA_GSO_MAX_SEGS, 65_535);
        w.u32(IFLA_GSO_MAX_SIZE, 65_536);
        w.u32(IFLA_GRO_MAX_SIZE, 65_536);
        w.u32(IFLA_GSO_IPV4_MAX_SIZE, 65_536);
        w.u32(IFLA_GRO_IPV4_MAX_SIZE, 65_536);
        w.u32(IFLA_TSO_MAX_SIZE, if link.loopback { 524_280 } else { 65_536 });
        w.u32(IFLA_TSO_MAX_SEGS, 65_535);
        w.u32(IFLA_NUM_RX_QUEUES, 1);
        w.u8(IFLA_CARRIER, (link.flags & IFF_LOWER_UP != 0).into());
        w.str(IFLA_QDISC, qdisc(link));
        let changes = link.carrier_changes;
        w.u32(IFLA_CARRIER_CHANGES, changes);
        w.u32(IFLA_CARRIER_UP_COUNT, changes.div_ceil(2));
        w.u32(IFLA_CARRIER_DOWN_COUNT, changes / 2);
        w.u8(IFLA_PROTO_DOWN, 0);
        w.attr(IFLA_MAP, &[0; 32]);
        w.attr(IFLA_ADDRESS, &link.mac);
        w.attr(IFLA_BROADCAST, &broadcast(link));
        if mask & RTEXT_FILTER_SKIP_STATS == 0 {
            let c = counters(&link.stats);
            let wide: Vec<u8> = c.iter().flat_map(|v| v.to_ne_bytes()).collect();
            let narrow: Vec<u8> = c[..24].iter().flat_map(|v| (*v as u32).to_ne_bytes()).collect();
            w.attr(IFLA_STATS64, &wide);
            w.attr(IFLA_STATS, &narrow);
        }
        w.list(IFLA_XDP, |w| w.u8(IFLA_XDP_ATTACHED, 0));
        if let Some(kind) = kind(link) {
            w.list(IFLA_LINKINFO, |w| {
                w.str(IFLA_INFO_KIND, kind);
                // Of a TAP: type, packet information, virtio header, persistence, several queues.
                w.list(IFLA_INFO_DATA, |w| {
                    let virtio = link.tx_checksum.into();
                    for (attr, v) in [(3, 2), (4, 0), (5, virtio), (6, 1), (7, 0)] {
                        w.u8(attr, v);
                    }
                });
            });
        }
        w.list(IFLA_AF_SPEC, |w| {
            w.list(AF_INET, |w| {
                let values: Vec<u8> = conf::ipv4(&link.link).iter().flat_map(|v| v.to_ne_bytes()).collect();
                w.attr(IFLA_INET_CONF, &values);
            });
            w.list(AF_INET6, |w| write_inet6(w, link));
        });
        if family == AF_INET6 {
            w.nest(IFLA_PROTINFO, |w| write_inet6(w, link));
        }
    });
}

/// What IPv6 says of a link.
fn write_inet6(w: &mut Writer, link: &LinkView) {
    // IF_READY
    w.u32(IFLA_INET6_FLAGS, 0x8000_0000);
    // Longest reassembly, time stamp, base reachable and retransmission time in milliseconds.
    let cache: Vec<u8> = [65_535u32, 0, 30_000, 1_000].iter().flat_map(|v| v.to_ne_bytes()).collect();
    w.attr(IFLA_INET6_CACHEINFO, &cache);
    let values: Vec<u8> = conf::ipv6(&link.link).iter().flat_map(|v| v.to_ne_bytes()).collect();
    w.attr(IFLA_INET6_CONF, &values);
    w.attr(IFLA_INET6_TOKEN, &[0; 16]);
    w.u8(IFLA_INET6_ADDR_GEN_MODE, 0);
}

fn checked_name<'a>(attrs: &Attrs<'a>, kind: u16) -> Result<Option<&'a str>, Fail> {
    match attrs.str(kind)? {
        Some(n) if n.len() >= IFNAMSIZ => Err(attrs.get(kind).map_or_else(|| Errno::ERANGE.into(), |a| a.policy())),
        other => Ok(other),
    }
}

/// The link that a request names, by index or by name.
fn find(request: &Request<'_>, attrs: &Attrs<'_>) -> Result<Option<LinkView>, Fail> {
    let index = u32_at(request.body, 4).unwrap_or(0);
    if index != 0 {
        return Ok(source::link_by_index(request.net, index));
    }
    let name = match checked_name(attrs, IFLA_IFNAME)? {
        Some(n) => Some(n),
        None => attrs.str(IFLA_ALT_IFNAME)?,
    };
    match name {
        Some(n) => Ok(source::link_by_name(request.net, n)),
        None => Err(Fail::new(Errno::EINVAL, "No link specified")),
    }
}

pub(super) fn get(request: &Request<'_>, family: u16) -> Outcome {
    if request.is_dump() {
        return dump(request, family);
    }
    let _: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    let mask = attrs.u32(IFLA_EXT_MASK)?.unwrap_or(0);
    let link = find(request, &attrs)?.ok_or(Errno::ENODEV)?;
    let mut w = Writer::default();
    write(&mut w, RTM_NEWLINK, request.to(), 0, &link, mask);
    Ok(Reply { messages: vec![w.into_bytes()], dump: None })
}

fn dump(request: &Request<'_>, family: u16) -> Outcome {
    let attrs = request.attrs(FIXED);
    let header = request.body.first_chunk::<FIXED>();
    if request.strict {
        let Some(h) = header else { return Err(Fail::new(Errno::EINVAL, "Invalid header for link dump")) };
        // Nothing but the family may be set.
        if h[1..].iter().any(|b| *b != 0) {
            return Err(Fail::new(Errno::EINVAL, "Invalid values in header for link dump request"));
        }
    }
    let mask = attrs.u32(IFLA_EXT_MASK)?.unwrap_or(0);
    let master = attrs.u32(IFLA_MASTER)?.is_some_and(|m| m != 0);
    let wanted_kind = match attrs.nested(IFLA_LINKINFO) {
        Some(info) => info.str(IFLA_INFO_KIND)?,
        None => None,
    };
    let mut links = source::links(request.net);
    links.retain(|l| !master && family != AF_BRIDGE && wanted_kind.is_none_or(|k| kind(l) == Some(k)));
    let to = request.to().multi();
    let shown = if family == AF_INET6 { AF_INET6 } else { AF_UNSPEC };
    Ok(Reply::dump(links, move |w, l| write(w, RTM_NEWLINK, to, shown, &l, mask)))
}

pub(super) fn set(request: &Request<'_>) -> Outcome {
    let body: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    let found = match find(request, &attrs) {
        // A new link may be without a name; and so `ip` finds out whether links can be changed this way at all.
        Err(_) if request.header.kind == RTM_NEWLINK && !attrs.has(IFLA_IFNAME) && !attrs.has(IFLA_ALT_IFNAME) => None,
        other => other?,
    };
    let Some(link) = found else {
        if !request.has(NLM_F_CREATE) || request.header.kind != RTM_NEWLINK {
            return Err(Errno::ENODEV.into());
        }
        return Err(Fail::new(Errno::EOPNOTSUPP, "Unknown device type"));
    };
    if request.header.kind == RTM_NEWLINK && request.has(NLM_F_EXCL) {
        return Err(Errno::EEXIST.into());
    }
    change(request, &attrs, &link, &body)?;
    if request.has(NLM_F_ECHO) {
        if let Some(now) = source::link_by_index(request.net, link.index) {
            let mut w = Writer::default();
            write(&mut w, RTM_NEWLINK, request.to(), 0, &now, 0);
            return Ok(Reply { messages: vec![w.into_bytes()], dump: None });
        }
    }
    Ok(Reply::default())
}

/// Everything is looked at before anything is changed.
fn change(request: &Request<'_>, attrs: &Attrs<'_>, link: &LinkView, body: &[u8; FIXED]) -> Result<(), Fail> {
    let net = request.net;
    for kind in [IFLA_NET_NS_PID, IFLA_NET_NS_FD] {
        if let Some(a) = attrs.get(kind) {
            return Err(Fail::at(Errno::EOPNOTSUPP, "There is one network namespace", a));
        }
    }
    if let Some(a) = attrs.get(IFLA_MASTER) {
        if a.u32()? != 0 {
            return Err(Fail::at(Errno::EINVAL, "Device does not exist", a));
        }
    }
    if attrs.has(IFLA_LINKINFO) && !attrs.nested(IFLA_LINKINFO).is_some_and(|i| i.str(IFLA_INFO_KIND) == Ok(kind(link)))
    {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let mac = match attrs.get(IFLA_ADDRESS) {
        Some(a) => Some(a.data.first_chunk::<6>().copied().ok_or(Errno::EINVAL)?),
        None => None,
    };
    let mtu = attrs.u32(IFLA_MTU)?;
    if let Some(mtu) = mtu {
        let (min, max) = mtu_range(link);
        if mtu < min || mtu > i32::MAX as u32 {
            return Err(Fail::new(Errno::EINVAL, "mtu less than device minimum"));
        }
        if max != 0 && mtu > max {
            return Err(Fail::new(Errno::EINVAL, "mtu greater than device maximum"));
        }
    }
    let index = u32_at(request.body, 4).unwrap_or(0);
    let name = if index != 0 { checked_name(attrs, IFLA_IFNAME)? } else { None };
    let txqlen = attrs.u32(IFLA_TXQLEN)?;
    if let Some(mac) = mac {
        source::set_mac(net, link.index, mac)?;
    }
    if let Some(mtu) = mtu {
        source::set_mtu(net, link.index, mtu)?;
    }
    if let Some(name) = name.filter(|n| *n != link.name && !n.is_empty()) {
        source::set_name(net, link.index, name)?;
    }
    let (flags, mask) = (u32_at(body, 8).unwrap_or(0), u32_at(body, 12).unwrap_or(0));
    if flags != 0 || mask != 0 {
        let new = if mask != 0 { (flags & mask) | (link.flags & !mask) } else { flags };
        source::set_flags(net, link.index, new)?;
    }
    if let Some(n) = txqlen {
        source::set_txqlen(net, link.index, n)?;
    }
    Ok(())
}

pub(super) fn delete(request: &Request<'_>) -> Outcome {
    let _: [u8; FIXED] = request.fixed()?;
    let attrs = request.attrs(FIXED);
    match find(request, &attrs)? {
        Some(_) => Err(Errno::EOPNOTSUPP.into()),
        None => Err(Errno::ENODEV.into()),
    }
}
