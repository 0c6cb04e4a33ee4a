//! Addresses of links, with the routes and groups that come with them.

use crate::event::NetEvent;
use crate::link::Link;
use crate::Net;
use core::time::Duration;
use lkl_abi::rtnetlink::{
    IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_NODAD, IFA_F_PERMANENT, IFA_F_SECONDARY, IFA_F_TENTATIVE,
};
use lkl_abi::{Errno, Result};
use lkl_net::route::{AddMode, Kind, NextHop, Prefix, Route, SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE, TABLE_LOCAL};
use lkl_net::wire::ndisc::solicited_node;
use lkl_ops::Instant;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// An address of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfAddr {
    /// The link.
    pub ifindex: u32,
    /// The address (`IFA_LOCAL`).
    pub ip: IpAddr,
    /// Bits of the network.
    pub prefix_len: u8,
    /// The address at the other end of a point-to-point link, if it is another one.
    pub peer: Option<IpAddr>,
    /// Broadcast address (IPv4).
    pub broadcast: Option<Ipv4Addr>,
    /// Label (IPv4), empty for the link's name.
    pub label: String,
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// `IFA_F_*`
    pub flags: u32,
    /// Who made it (`IFA_PROTO`), 0 for unspecified.
    pub proto: u8,
    /// Metric of its network's route, 0 for the default.
    pub rt_priority: u32,
    /// When it goes away.
    pub valid_until: Option<Instant>,
    /// When it is no longer preferred.
    pub preferred_until: Option<Instant>,
    /// When it was made.
    pub created: Instant,
    /// When it was last changed.
    pub updated: Instant,
    /// Duplicate address detection: probes left, and when the next one is due.
    pub(crate) dad: Option<(u32, Instant)>,
}

impl IfAddr {
    /// A permanent address with the scope that Linux gives it.
    pub fn new(ifindex: u32, ip: IpAddr, prefix_len: u8) -> Self {
        let scope = match ip {
            IpAddr::V6(a) if a.is_loopback() => SCOPE_HOST,
            IpAddr::V6(a) if crate::ip::is_link_local(a) => SCOPE_LINK,
            _ => SCOPE_UNIVERSE,
        };
        Self {
            ifindex,
            ip,
            prefix_len,
            peer: None,
            broadcast: None,
            label: String::new(),
            scope,
            flags: IFA_F_PERMANENT,
            proto: 0,
            rt_priority: 0,
            valid_until: None,
            preferred_until: None,
            created: Instant::ZERO,
            updated: Instant::ZERO,
            dad: None,
        }
    }

    /// Is it an IPv6 address that is not yet known to be unique, or known not to be?
    pub fn tentative(&self) -> bool {
        self.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0
    }

    fn same_network(&self, other: &Self) -> bool {
        self.prefix_len == other.prefix_len
            && Prefix::network(self.peer.unwrap_or(self.ip), self.prefix_len)
                == Prefix::network(other.peer.unwrap_or(other.ip), other.prefix_len)
    }
}

const ADD: AddMode = AddMode { create: true, exclusive: false, replace: false, append: true };

impl Net {
    /// Adds an address (`RTM_NEWADDR`). With `replace`, one that is there gets the new lifetimes and flags.
    ///
    /// # Errors
    /// `ENODEV`, `EEXIST`, `EINVAL`, `EACCES` (IPv6 is disabled on the link).
    pub fn addr_add(&self, addr: IfAddr, replace: bool) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        self.addr_add_locked(addr, replace)
    }

    pub(crate) fn addr_add_locked(&self, mut addr: IfAddr, replace: bool) -> Result<()> {
        let now = self.now();
        let link = self.link_by_index(addr.ifindex)?;
        let v6 = addr.ip.is_ipv6();
        if addr.prefix_len > lkl_net::route::bits(addr.ip) || (v6 && addr.ip.is_multicast()) {
            return Err(Errno::EINVAL);
        }
        if v6 && link.ipv6.disable_ipv6.on() {
            return Err(Errno::EACCES);
        }
        addr.created = now;
        addr.updated = now;
        addr.peer = addr.peer.filter(|p| *p != addr.ip);
        if addr.valid_until.is_some() {
            addr.flags &= !IFA_F_PERMANENT;
        } else {
            addr.flags |= IFA_F_PERMANENT;
        }
        if v6 {
            addr.flags &= !IFA_F_SECONDARY;
            let dad = !link.is_loopback()
                && addr.flags & IFA_F_NODAD == 0
                && link.ipv6.accept_dad.on()
                && link.ipv6.dad_transmits.on();
            if dad {
                addr.flags |= IFA_F_TENTATIVE;
                if link.is_up() {
                    let delay = Duration::from_millis(u64::from(self.random_u32() % 1000));
                    addr.dad = Some((link.ipv6.dad_transmits.get() as u32, now + delay));
                }
            }
        }
        {
            let mut config = self.config.write();
            let list = config.addrs.entry(addr.ifindex).or_default();
            let twin = list.iter_mut().find(|a| a.ip == addr.ip && (v6 || a.same_network(&addr)));
            if let Some(old) = twin {
                if !replace {
                    return Err(Errno::EEXIST);
                }
                let keep = IFA_F_SECONDARY | IFA_F_TENTATIVE | IFA_F_DADFAILED;
                let (created, dad, old_flags) = (old.created, old.dad, old.flags);
                if addr.label.is_empty() {
                    addr.label.clone_from(&old.label);
                }
                addr.flags = (addr.flags & !keep) | (old_flags & keep);
                *old = IfAddr { created, dad, ..addr.clone() };
            } else {
                if !v6 && list.iter().any(|a| a.ip.is_ipv4() && a.same_network(&addr)) {
                    addr.flags |= IFA_F_SECONDARY;
                }
                if v6 {
                    // The widest scope comes first.
                    let at = list.iter().position(|a| a.ip.is_ipv6() && a.scope >= addr.scope);
                    list.insert(at.unwrap_or(list.len()), addr.clone());
                } else {
                    list.push(addr.clone());
                }
            }
        }
        for at in [addr.dad.map(|d| d.1), addr.valid_until, addr.preferred_until].into_iter().flatten() {
            self.arm_config(at);
        }
        self.addr_routes_in(&addr);
        if let IpAddr::V6(ip) = addr.ip {
            if link.is_up() && !link.is_loopback() {
                self.group_join(&link, solicited_node(ip).into());
            }
        }
        self.routes_changed();
        self.emit(&NetEvent::AddrNew(addr));
        Ok(())
    }

    pub(crate) fn addr_routes_in(&self, addr: &IfAddr) {
        for mut route in self.connected(addr) {
            let up = self.link_by_index(addr.ifindex).is_ok_and(|l| l.is_up());
            if addr.ip.is_ipv6() && !up {
                continue;
            }
            route.expires = route.expires.filter(|_| addr.valid_until.is_some());
            match self.insert_route(Arc::new(route), ADD) {
                // Another address brought it already.
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Takes an address away (`RTM_DELADDR`).
    ///
    /// # Errors
    /// `ENODEV`, `EADDRNOTAVAIL`.
    pub fn addr_del(&self, ifindex: u32, ip: IpAddr, prefix_len: Option<u8>) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        self.addr_del_locked(ifindex, ip, prefix_len)
    }

    pub(crate) fn addr_del_locked(&self, ifindex: u32, ip: IpAddr, prefix_len: Option<u8>) -> Result<()> {
        let link = self.link_by_index(ifindex)?;
        let mut gone = Vec::new();
        let mut promoted = None;
        {
            let mut config = self.config.write();
            let list = config.addrs.get_mut(&ifindex).ok_or(Errno::EADDRNOTAVAIL)?;
            let at = list
                .iter()
                .position(|a| a.ip == ip && prefix_len.is_none_or(|n| n == a.prefix_len))
                .ok_or(Errno::EADDRNOTAVAIL)?;
            let first = list.remove(at);
            if first.ip.is_ipv4() && first.flags & IFA_F_SECONDARY == 0 {
                let promote = link.ipv4.promote_secondaries.on() || self.sysctl().ipv4_all.promote_secondaries.on();
                if promote {
                    if let Some(a) = list.iter_mut().find(|a| a.ip.is_ipv4() && a.same_network(&first)) {
                        a.flags &= !IFA_F_SECONDARY;
                        promoted = Some(a.clone());
                    }
                } else {
                    let (dead, rest) = core::mem::take(list)
                        .into_iter()
                        .partition(|a: &IfAddr| a.ip.is_ipv4() && a.same_network(&first));
                    *list = rest;
                    gone = dead;
                }
            }
            gone.push(first);
        }
        for addr in gone {
            self.addr_gone(&link, addr);
        }
        if let Some(addr) = promoted {
            self.addr_routes_in(&addr);
            self.emit(&NetEvent::AddrNew(addr));
        }
        Ok(())
    }

    fn addr_gone(&self, link: &Link, addr: IfAddr) {
        let rest = self.addrs_of(addr.ifindex);
        let mut kept: Vec<Route> = rest.iter().flat_map(|a| self.connected(a)).collect();
        kept.retain(|r| r.prefsrc.is_none() || r.prefsrc != Some(addr.ip));
        let tentative_too = IfAddr { flags: addr.flags & !(IFA_F_TENTATIVE | IFA_F_DADFAILED), ..addr.clone() };
        for r in self.connected(&tentative_too) {
            let same = |k: &Route| k.dst == r.dst && k.table == r.table && k.kind == r.kind;
            if kept.iter().any(same) && r.dst.addr.is_ipv6() {
                continue;
            }
            self.remove_routes(|x| {
                x.dst == r.dst
                    && x.table == r.table
                    && x.kind == r.kind
                    && x.prefsrc == r.prefsrc
                    && x.protocol == r.protocol
                    && x.nexthops.iter().any(|n| n.ifindex == r.nexthops[0].ifindex && n.gateway.is_none())
            });
            if let Some(again) = kept.iter().find(|k| same(k)) {
                let _there = self.insert_route(Arc::new(again.clone()), ADD);
            }
        }
        // Routes that prefer an address that is no more go with it.
        if !self.addrs().iter().any(|a| a.ip == addr.ip) {
            self.remove_routes(|r| r.prefsrc == Some(addr.ip));
        }
        match addr.ip {
            IpAddr::V6(ip) => self.group_leave(link, solicited_node(ip).into()),
            // The last address of a link: IPv4 ends on it.
            IpAddr::V4(_) if !rest.iter().any(|a| a.ip.is_ipv4()) => {
                let index = link.index;
                self.remove_routes(|r| r.dst.addr.is_ipv4() && r.nexthops.iter().any(|n| n.ifindex == index));
            }
            IpAddr::V4(_) => {}
        }
        self.routes_changed();
        self.emit(&NetEvent::AddrDel(addr));
    }

    /// All addresses, by link.
    pub fn addrs(&self) -> Vec<IfAddr> {
        self.config.read().addrs.values().flatten().cloned().collect()
    }

    /// The addresses of a link.
    pub fn addrs_of(&self, ifindex: u32) -> Vec<IfAddr> {
        self.config.read().addrs.get(&ifindex).cloned().unwrap_or_default()
    }

    /// The address `ip` as configured, on `ifindex` or (0) on any link.
    pub fn addr_find(&self, ifindex: u32, ip: IpAddr) -> Option<IfAddr> {
        let config = self.config.read();
        let mut lists = config.addrs.iter().filter(|(i, _)| ifindex == 0 || **i == ifindex);
        lists.find_map(|(_, l)| l.iter().find(|a| a.ip == ip).cloned())
    }

    /// Changes an address in place; answers it as it is then.
    pub(crate) fn addr_update(&self, ifindex: u32, ip: IpAddr, f: impl FnOnce(&mut IfAddr)) -> Option<IfAddr> {
        let mut config = self.config.write();
        let a = config.addrs.get_mut(&ifindex)?.iter_mut().find(|a| a.ip == ip)?;
        f(a);
        Some(a.clone())
    }

    /// The link has come up: routes come back, IPv6 gets its link-local address.
    pub(crate) fn addrs_link_up(&self, link: &Arc<Link>) {
        for addr in self.addrs_of(link.index) {
            self.addr_routes_in(&addr);
            if addr.tentative() && addr.flags & IFA_F_DADFAILED == 0 {
                let at = self.now();
                let n = link.ipv6.dad_transmits.get() as u32;
                self.addr_update(link.index, addr.ip, |a| a.dad = Some((n, at)));
                self.arm_config(at);
            }
            match addr.ip {
                IpAddr::V6(ip) if !link.is_loopback() => self.group_join(link, solicited_node(ip).into()),
                _ => {}
            }
        }
        if !link.is_loopback() {
            self.groups_link_up(link);
            self.ipv6_up(link);
        }
    }

    /// IPv6 begins on a link: its routes for groups, its link-local address, router solicitations.
    fn ipv6_up(&self, link: &Arc<Link>) {
        if link.ipv6.disable_ipv6.on() || link.mtu() < 1280 {
            return;
        }
        let groups = Prefix { addr: Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), len: 8 };
        let mut r = Route::new(groups, link.index, None);
        (r.kind, r.table, r.protocol, r.priority) = (Kind::Multicast, TABLE_LOCAL, 2, 256);
        r.nexthops = vec![NextHop { ifindex: link.index, gateway: None, weight: 1, onlink: false }];
        let _there = self.insert_route(Arc::new(r), ADD);
        if link.ipv6.addr_gen_mode.get() == 0 {
            let mut o = [0; 16];
            o[..2].copy_from_slice(&[0xfe, 0x80]);
            o[8..].copy_from_slice(&lkl_net::wire::ethernet::eui64(&link.mac()));
            let mut a = IfAddr::new(link.index, Ipv6Addr::from(o).into(), 64);
            a.proto = 3;
            // It may be there, given by hand.
            let _there = self.addr_add_locked(a, false);
        }
        self.solicit_routers(link);
    }

    /// The link has gone down.
    pub(crate) fn addrs_link_down(&self, link: &Arc<Link>) {
        if link.ipv6.keep_addr_on_down.get() <= 0 {
            self.ipv6_down(link);
        }
        let index = link.index;
        self.remove_routes(|r| {
            r.nexthops.iter().any(|n| n.ifindex == index) && !(r.kind == Kind::Local && r.dst.addr.is_ipv4())
        });
    }

    fn ipv6_down(&self, link: &Arc<Link>) {
        for a in self.addrs_of(link.index).iter().filter(|a| a.ip.is_ipv6()) {
            let _gone = self.addr_del_locked(link.index, a.ip, Some(a.prefix_len));
        }
        let index = link.index;
        self.remove_routes(|r| r.dst.addr.is_ipv6() && r.nexthops.iter().any(|n| n.ifindex == index));
    }

    /// `disable_ipv6` was written for some link.
    pub(crate) fn ipv6_disabled_changed(&self) {
        let _rtnl = self.rtnl.lock();
        for link in self.links() {
            let has = self.addrs_of(link.index).iter().any(|a| a.ip.is_ipv6());
            match (link.ipv6.disable_ipv6.on(), has) {
                (true, true) => self.ipv6_down(&link),
                (false, false) if link.is_up() && link.is_loopback() => {
                    let _added = self.addr_add_locked(IfAddr::new(1, Ipv6Addr::LOCALHOST.into(), 128), true);
                }
                (false, false) if link.is_up() => self.ipv6_up(&link),
                _ => {}
            }
        }
    }

    /// Lifetimes and duplicate address detection; answers the next deadline.
    pub(crate) fn addr_timer(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut sooner = |at: Instant| next = Some(next.map_or(at, |n| n.min(at)));
        for a in self.addrs() {
            if a.valid_until.is_some_and(|t| t <= now) {
                let _gone = self.addr_del_locked(a.ifindex, a.ip, Some(a.prefix_len));
                continue;
            }
            if let Some(t) = a.valid_until {
                sooner(t);
            }
            match a.preferred_until {
                Some(t) if t > now => sooner(t),
                Some(_) if a.flags & IFA_F_DEPRECATED == 0 => {
                    if let Some(a) = self.addr_update(a.ifindex, a.ip, |a| a.flags |= IFA_F_DEPRECATED) {
                        self.routes_changed();
                        self.emit(&NetEvent::AddrNew(a));
                    }
                }
                _ => {}
            }
            if let Some((left, at)) = a.dad {
                if at > now {
                    sooner(at);
                } else if let Some(at) = self.dad_step(&a, left, now) {
                    sooner(at);
                }
            }
        }
        next
    }

    /// Sends the next probe, or ends the detection (RFC 4862, section 5.4).
    fn dad_step(&self, a: &IfAddr, left: u32, now: Instant) -> Option<Instant> {
        let (Ok(link), IpAddr::V6(ip)) = (self.link_by_index(a.ifindex), a.ip) else { return None };
        if left > 0 {
            let at = now + Duration::from_millis(link.neigh6.retrans_time_ms.get().max(1) as u64);
            self.addr_update(a.ifindex, a.ip, |a| a.dad = Some((left - 1, at)));
            self.send_dad_probe(&link, ip);
            return Some(at);
        }
        let done = self.addr_update(a.ifindex, a.ip, |a| {
            a.dad = None;
            a.flags &= !IFA_F_TENTATIVE;
        })?;
        self.addr_routes_in(&done);
        self.routes_changed();
        self.emit(&NetEvent::AddrNew(done));
        if crate::ip::is_link_local(ip) {
            self.solicit_routers(&link);
        }
        None
    }

    /// Somebody else has an address that we are about to use.
    pub(crate) fn dad_failed(&self, ifindex: u32, ip: IpAddr) {
        let _rtnl = self.rtnl.lock();
        let failed = self.addr_update(ifindex, ip, |a| {
            a.dad = None;
            a.flags |= IFA_F_DADFAILED | IFA_F_TENTATIVE;
        });
        if let Some(a) = failed {
            tracing::warn!(target: "lkl::addr", address = %ip, "duplicate address");
            self.emit(&NetEvent::AddrNew(a));
        }
    }
}
