//! The groups that a socket listens to.

use super::num::*;
use super::{word, InetOptions};
use crate::{FlowKey, Net};
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::{Errno, Result};
use lkl_file::SockAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A group on a link, with the sources that are wanted (or not).
#[derive(Clone, Debug)]
pub(super) struct Membership {
    group: IpAddr,
    ifindex: u32,
    /// Only from these sources (else: from all but these).
    include: bool,
    sources: Vec<IpAddr>,
}

/// Sources of one membership (`igmp_max_msf`).
const MAX_SOURCES: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Join,
    Leave,
    JoinSource,
    LeaveSource,
    Block,
    Unblock,
}

impl InetOptions {
    pub(super) fn set_membership(&self, net: &Net, v6: bool, name: i32, value: &[u8]) -> Result<()> {
        let v4_at = |at| Ok::<_, Errno>(Ipv4Addr::from(word(value, at)?.to_ne_bytes()));
        let storage = |at: usize| match SockAddr::parse(value.get(at..).ok_or(Errno::EINVAL)?)? {
            SockAddr::Inet(a) => Ok(a.ip()),
            _ => Err(Errno::EINVAL),
        };
        let (ask, group, index, near, source) = match (v6, name) {
            (false, IP_ADD_MEMBERSHIP | IP_DROP_MEMBERSHIP) => {
                let index = if value.len() >= 12 { word(value, 8)? } else { 0 };
                let ask = if name == IP_ADD_MEMBERSHIP { Ask::Join } else { Ask::Leave };
                (ask, IpAddr::V4(v4_at(0)?), index, v4_at(4)?, None)
            }
            (false, IP_UNBLOCK_SOURCE..=IP_DROP_SOURCE_MEMBERSHIP) => {
                // `struct ip_mreq_source`: group, link, source.
                let ask = match name {
                    IP_UNBLOCK_SOURCE => Ask::Unblock,
                    IP_BLOCK_SOURCE => Ask::Block,
                    IP_ADD_SOURCE_MEMBERSHIP => Ask::JoinSource,
                    _ => Ask::LeaveSource,
                };
                (ask, IpAddr::V4(v4_at(0)?), 0, v4_at(4)?, Some(IpAddr::V4(v4_at(8)?)))
            }
            (true, IPV6_ADD_MEMBERSHIP | IPV6_DROP_MEMBERSHIP) => {
                let octets: [u8; 16] = value.get(..16).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
                let ask = if name == IPV6_ADD_MEMBERSHIP { Ask::Join } else { Ask::Leave };
                (ask, IpAddr::V6(Ipv6Addr::from(octets)), word(value, 16)?, Ipv4Addr::UNSPECIFIED, None)
            }
            (_, MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP) => {
                // `struct group_req`: link, padding, address.
                let ask = if name == MCAST_JOIN_GROUP { Ask::Join } else { Ask::Leave };
                (ask, storage(8)?, word(value, 0)?, Ipv4Addr::UNSPECIFIED, None)
            }
            _ => {
                let ask = match name {
                    MCAST_BLOCK_SOURCE => Ask::Block,
                    MCAST_UNBLOCK_SOURCE => Ask::Unblock,
                    MCAST_JOIN_SOURCE_GROUP => Ask::JoinSource,
                    MCAST_LEAVE_SOURCE_GROUP => Ask::LeaveSource,
                    _ => return Err(Errno::ENOPROTOOPT),
                };
                (ask, storage(8)?, word(value, 0)?, Ipv4Addr::UNSPECIFIED, Some(storage(136)?))
            }
        };
        if !group.is_multicast() || group.is_ipv6() != v6 {
            return Err(Errno::EINVAL);
        }
        let ifindex = self.group_link(net, group, index, near)?;
        self.change(net, ask, group, ifindex, source)
    }

    fn group_link(&self, net: &Net, group: IpAddr, index: u32, near: Ipv4Addr) -> Result<u32> {
        if index != 0 {
            return net.link_by_index(index).map(|l| l.index);
        }
        if !near.is_unspecified() {
            return net.addr_find(0, near.into()).map(|a| a.ifindex).ok_or(Errno::ENODEV);
        }
        net.route_output(&FlowKey::to(group)).map(|r| r.oif()).or_else(|_| {
            // Without a route IPv6 takes the first link that can.
            let links = net.links();
            let first = links.iter().find(|l| group.is_ipv6() && l.is_up() && !l.is_loopback());
            first.map(|l| l.index).ok_or(Errno::ENODEV)
        })
    }

    fn change(&self, net: &Net, ask: Ask, group: IpAddr, ifindex: u32, source: Option<IpAddr>) -> Result<()> {
        let (mut join, mut leave) = (false, false);
        {
            let mut all = self.memberships.lock();
            let at = all.iter().position(|m| m.group == group && m.ifindex == ifindex);
            match (ask, at, source) {
                (Ask::Join, Some(_), _) => return Err(Errno::EADDRINUSE),
                (Ask::Join | Ask::JoinSource, None, _) => {
                    let most = net.sysctl().igmp_max_memberships.get().max(0) as usize;
                    if !group.is_ipv6() && all.len() >= most {
                        return Err(Errno::ENOBUFS);
                    }
                    let sources = source.into_iter().collect();
                    all.push(Membership { group, ifindex, include: ask == Ask::JoinSource, sources });
                    join = true;
                }
                (Ask::Leave, Some(i), _) => {
                    all.remove(i);
                    leave = true;
                }
                (Ask::JoinSource | Ask::LeaveSource | Ask::Block | Ask::Unblock, Some(i), Some(source)) => {
                    let m = &mut all[i];
                    let include = matches!(ask, Ask::JoinSource | Ask::LeaveSource);
                    if m.include != include {
                        return Err(Errno::EINVAL);
                    }
                    let there = m.sources.iter().position(|s| *s == source);
                    match (ask, there) {
                        (Ask::JoinSource | Ask::Block, Some(_)) => return Err(Errno::EADDRNOTAVAIL),
                        (Ask::JoinSource | Ask::Block, None) if m.sources.len() >= MAX_SOURCES => {
                            return Err(Errno::ENOBUFS);
                        }
                        (Ask::JoinSource | Ask::Block, None) => m.sources.push(source),
                        (_, Some(s)) => {
                            m.sources.remove(s);
                        }
                        (_, None) => return Err(Errno::EADDRNOTAVAIL),
                    }
                    if ask == Ask::LeaveSource && m.sources.is_empty() {
                        all.remove(i);
                        leave = true;
                    }
                }
                (Ask::Block | Ask::Unblock, None, _) => return Err(Errno::EINVAL),
                _ => return Err(Errno::EADDRNOTAVAIL),
            }
        }
        if let Ok(link) = net.link_by_index(ifindex) {
            if join {
                net.group_join(&link, group);
            } else if leave {
                net.group_leave(&link, group);
            }
            net.flush_output();
        }
        Ok(())
    }

    /// Shall a packet to `group` from `source` over `ifindex` be given to this socket?
    pub fn accepts_group(&self, group: IpAddr, source: IpAddr, ifindex: u32) -> bool {
        let all = if group.is_ipv6() { &self.multicast_all6 } else { &self.multicast_all };
        let members = self.memberships.lock();
        match members.iter().find(|m| m.group == group && m.ifindex == ifindex) {
            Some(m) => m.sources.contains(&source) == m.include,
            None => all.load(Relaxed) != 0,
        }
    }

    /// The socket is closed: it leaves its groups.
    pub fn leave_all(&self, net: &Net) {
        let gone = core::mem::take(&mut *self.memberships.lock());
        for m in &gone {
            if let Ok(link) = net.link_by_index(m.ifindex) {
                net.group_leave(&link, m.group);
            }
        }
        if !gone.is_empty() {
            net.flush_output();
        }
    }
}
