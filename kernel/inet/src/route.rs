//! Routes and rules as configured: `lkl_net`'s tables under a lock, with Linux's checks.

use crate::event::NetEvent;
use crate::Net;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::{Errno, Result};
use lkl_net::route::{Found, Key, Kind, Selector, TABLE_LOCAL, TABLE_MAIN};
use std::net::IpAddr;
use std::sync::Arc;

pub use lkl_net::route::{AddMode, NextHop, Prefix, Route as RouteEntry, Rule, RuleAction, Selector as RouteSelector};

impl Net {
    /// Adds a route (`RTM_NEWROUTE`). A next hop without a link gets that of its gateway.
    ///
    /// # Errors
    /// `EEXIST`, `ENOENT` (as `mode` says), `ENODEV`, `ENETDOWN`, `ENETUNREACH` (IPv4) or `EHOSTUNREACH` (IPv6) for a
    /// gateway that cannot be reached, `EINVAL`.
    pub fn route_add(&self, mut route: RouteEntry, mode: AddMode) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        self.check_route(&mut route)?;
        self.insert_route(Arc::new(route), mode)
    }

    /// Takes a route out (`RTM_DELROUTE`).
    ///
    /// # Errors
    /// `ESRCH`
    pub fn route_del(&self, table: u32, dst: Prefix, which: &Selector) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let gone = self.fib.write().remove(table, dst, which)?;
        self.routes_changed();
        self.emit(&NetEvent::RouteDel(gone));
        Ok(())
    }

    /// All routes.
    pub fn routes(&self) -> Vec<Arc<RouteEntry>> {
        self.fib.read().dump()
    }

    /// The rules of both families, in order.
    pub fn rules(&self) -> Vec<Arc<Rule>> {
        self.fib.read().rules().to_vec()
    }

    /// Adds a rule; without a priority it comes before the others.
    ///
    /// # Errors
    /// `EEXIST`
    pub fn rule_add(&self, rule: Rule, priority: Option<u32>, exclusive: bool) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let rule = self.fib.write().rule_add(rule, priority, exclusive)?;
        self.routes_changed();
        self.emit(&NetEvent::RuleNew((*rule).clone()));
        Ok(())
    }

    /// Takes out the first rule that `which` accepts.
    ///
    /// # Errors
    /// `ENOENT`
    pub fn rule_del(&self, which: impl Fn(&Rule) -> bool) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let rule = self.fib.write().rule_remove(which)?;
        self.routes_changed();
        self.emit(&NetEvent::RuleDel((*rule).clone()));
        Ok(())
    }

    /// The look-up through rules and tables, as it stands in them (`RTM_GETROUTE` with `RTM_F_FIB_MATCH`).
    ///
    /// # Errors
    /// `ENETUNREACH`, `EHOSTUNREACH`, `EACCES`, `EINVAL`.
    pub fn fib_lookup(&self, key: &Key) -> Result<Found> {
        let config = self.config.read();
        let interfaces = |i: u32| config.links.get(&i).map(|l| (l.is_up(), l.name()));
        self.fib.read().lookup(key, &interfaces, self.now())
    }

    /// Cached routes are no longer valid.
    pub(crate) fn routes_changed(&self) {
        let before = self.generation.fetch_add(1, Relaxed);
        self.local.begin(before + 1);
    }

    pub(crate) fn insert_route(&self, route: Arc<RouteEntry>, mode: AddMode) -> Result<()> {
        let old = self.fib.write().add(route.clone(), mode)?;
        self.routes_changed();
        if let Some(at) = route.expires {
            self.arm_config(at);
        }
        self.emit(&NetEvent::RouteNew { route, replaced: old.is_some() });
        Ok(())
    }

    pub(crate) fn remove_routes(&self, gone: impl Fn(&RouteEntry) -> bool) {
        let gone = self.fib.write().remove_where(gone);
        if gone.is_empty() {
            return;
        }
        self.routes_changed();
        for route in gone {
            self.emit(&NetEvent::RouteDel(route));
        }
    }

    fn check_route(&self, route: &mut RouteEntry) -> Result<()> {
        if !route.kind.has_nexthop() {
            if route.dst.addr.is_ipv6() && route.nexthops.is_empty() {
                // Linux has such routes of IPv6 lead to `lo`.
                route.nexthops.push(NextHop { ifindex: 1, gateway: None, weight: 1, onlink: false });
            }
            return Ok(());
        }
        if route.nexthops.is_empty() {
            return Err(Errno::ENODEV);
        }
        for hop in &mut route.nexthops {
            let v6 = route.dst.addr.is_ipv6();
            let unreachable = if v6 { Errno::EHOSTUNREACH } else { Errno::ENETUNREACH };
            if hop.ifindex != 0 {
                let link = self.link_by_index(hop.ifindex)?;
                if !link.is_up() {
                    return Err(Errno::ENETDOWN);
                }
            }
            let Some(gateway) = hop.gateway else {
                if hop.ifindex == 0 {
                    return Err(Errno::ENODEV);
                }
                continue;
            };
            if hop.onlink {
                if hop.ifindex == 0 {
                    return Err(Errno::ENODEV);
                }
                continue;
            }
            if gateway.is_multicast() || gateway.is_unspecified() {
                return Err(Errno::EINVAL);
            }
            if matches!(gateway, IpAddr::V6(g) if crate::ip::is_link_local(g)) {
                if hop.ifindex == 0 {
                    return Err(Errno::EINVAL);
                }
                continue;
            }
            let found = self.fib_lookup(&Key { oif: hop.ifindex, ..Key::to(gateway) }).map_err(|_| unreachable)?;
            match (found.route.kind, found.nexthop) {
                (Kind::Local, _) => return Err(Errno::EINVAL),
                (Kind::Unicast, Some(via)) if via.gateway.is_none() => hop.ifindex = via.ifindex,
                _ => return Err(unreachable),
            }
        }
        if let Some(src) = route.prefsrc {
            if !self.is_local(src) {
                return Err(Errno::EINVAL);
            }
        }
        Ok(())
    }

    /// Is it an address of this host?
    pub fn is_local(&self, ip: IpAddr) -> bool {
        matches!(self.local_kind(ip), Some(Kind::Local))
    }

    /// What table `local` says of an address: [`Kind::Local`], [`Kind::Broadcast`], ...
    pub fn local_kind(&self, ip: IpAddr) -> Option<Kind> {
        let IpAddr::V4(ip4) = ip else { return self.look_local(ip).map(|(kind, _)| kind) };
        // Read first: an answer of older routes must not pass for one of newer ones.
        let generation = self.generation.load(Relaxed);
        if let Some(known) = self.local.get(ip4, generation) {
            return known;
        }
        let found = self.look_local(ip);
        if !found.is_some_and(|(_, expires)| expires) {
            self.local.put(ip4, generation, found.map(|(kind, _)| kind));
        }
        found.map(|(kind, _)| kind)
    }

    /// Looks an address up in table `local`; says also whether that can become wrong by itself.
    fn look_local(&self, ip: IpAddr) -> Option<(Kind, bool)> {
        let fib = self.fib.read();
        let found = fib.lookup_in(TABLE_LOCAL, &Key::to(ip), &|_: u32| Some((true, String::new())), self.now())?;
        found.ok().map(|f| (f.route.kind, f.route.expires.is_some()))
    }

    /// The routes that an address brings with it.
    pub(crate) fn connected(&self, addr: &crate::IfAddr) -> Vec<RouteEntry> {
        use lkl_net::route::{SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE};
        let Ok(link) = self.link_by_index(addr.ifindex) else { return Vec::new() };
        let ip = addr.ip;
        let base = |dst, kind, table, scope| {
            let mut r = RouteEntry::new(dst, addr.ifindex, None);
            (r.kind, r.table, r.scope, r.protocol) = (kind, table, scope, 2);
            r
        };
        let mut routes = Vec::new();
        let IpAddr::V4(ip4) = ip else {
            if addr.flags & (lkl_abi::rtnetlink::IFA_F_TENTATIVE | lkl_abi::rtnetlink::IFA_F_DADFAILED) == 0 {
                let mut local = base(Prefix::host(ip), Kind::Local, TABLE_LOCAL, SCOPE_UNIVERSE);
                local.priority = 0;
                routes.push(local);
            }
            if let Some(net) = Prefix::network(addr.peer.unwrap_or(ip), addr.prefix_len) {
                // `::1` has none, as on Linux.
                let bare = link.is_loopback() && ip.is_loopback();
                if !bare && addr.flags & lkl_abi::rtnetlink::IFA_F_NOPREFIXROUTE == 0 {
                    let mut net = base(net, Kind::Unicast, TABLE_MAIN, SCOPE_UNIVERSE);
                    net.priority = if addr.rt_priority > 0 { addr.rt_priority } else { 256 };
                    net.expires = addr.valid_until;
                    routes.push(net);
                }
            }
            return routes;
        };
        let with_src = |mut r: RouteEntry| {
            r.prefsrc = Some(ip);
            r
        };
        routes.push(with_src(base(Prefix::host(ip), Kind::Local, TABLE_LOCAL, SCOPE_HOST)));
        if !link.is_up() {
            return routes;
        }
        if let Some(brd) = addr.broadcast.filter(|b| !b.is_broadcast() && !b.is_unspecified()) {
            routes.push(with_src(base(Prefix::host(brd.into()), Kind::Broadcast, TABLE_LOCAL, SCOPE_LINK)));
        }
        let secondary = addr.flags & lkl_abi::rtnetlink::IFA_F_SECONDARY != 0;
        let Some(net) = Prefix::network(addr.peer.unwrap_or(ip), addr.prefix_len) else { return routes };
        if net.addr.is_unspecified() || (secondary && addr.prefix_len < 32) {
            return routes;
        }
        if addr.prefix_len < 32 || addr.peer.is_some_and(|p| p != ip) {
            if link.is_loopback() {
                routes.push(with_src(base(net, Kind::Local, TABLE_LOCAL, SCOPE_HOST)));
            } else if addr.flags & lkl_abi::rtnetlink::IFA_F_NOPREFIXROUTE == 0 {
                let mut r = with_src(base(net, Kind::Unicast, TABLE_MAIN, SCOPE_LINK));
                r.priority = addr.rt_priority;
                routes.push(r);
            }
        }
        if addr.prefix_len < 31 {
            let last = lkl_net::route::broadcast(ip4, addr.prefix_len);
            let r = base(Prefix::host(last.into()), Kind::Broadcast, TABLE_LOCAL, SCOPE_LINK);
            routes.push(with_src(r));
        }
        routes
    }
}
