//! What routers advertise: default routes, prefixes, addresses made of them (RFC 4861, section 6.3; RFC 4862, section 5.5).

use crate::addr::IfAddr;
use crate::link::Link;
use crate::tx::RxMeta;
use crate::Net;
use core::time::Duration;
use lkl_abi::rtnetlink::IFA_F_DEPRECATED;
use lkl_net::neigh::Advert;
use lkl_net::route::{AddMode, Prefix, Route};
use lkl_net::wire::ndisc::{self, RouterAdvert};
use lkl_ops::Instant;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Router solicitations that are still to be sent, by link: how many were sent, and when the next is due.
#[derive(Default)]
pub(crate) struct Slaac {
    pending: HashMap<u32, (u32, Instant)>,
}

/// After this many solicitations the interval no longer grows (RFC 7559 has it grow to an hour).
const MAX_INTERVAL: Duration = Duration::from_secs(3600);
/// `RTPROT_RA`
const PROTOCOL_RA: u8 = 9;
/// `RTPROT_KERNEL`: what Linux writes on the route of an advertised prefix.
const PROTOCOL_KERNEL: u8 = 2;
/// At most so many routes that end by themselves are learnt from advertisements: anyone on the link can send them.
const MAX_ROUTES: usize = 1024;

impl Net {
    fn accepts_ra(&self, link: &Link) -> bool {
        match link.ipv6.accept_ra.get() {
            0 => false,
            1 => !link.ipv6.forwarding.on(),
            _ => true,
        }
    }

    /// Begins to ask for routers on a link.
    pub(crate) fn solicit_routers(&self, link: &Arc<Link>) {
        if link.is_loopback() || !self.accepts_ra(link) || link.ipv6.router_solicitations.get() == 0 {
            return;
        }
        // Only from an address that is known to be ours.
        if self.link_local(link).is_none() {
            return;
        }
        let delay = link.ipv6.router_solicitation_delay.get().max(0) as u64 * 1000;
        let at = self.now() + Duration::from_millis(delay.min(u64::from(self.random_u32() % 1000)));
        self.slaac.lock().pending.insert(link.index, (0, at));
        self.arm_config(at);
    }

    /// Sends the solicitations that are due; answers when the next is.
    pub(crate) fn slaac_timer(&self, now: Instant) -> Option<Instant> {
        let due: Vec<(u32, u32)> = {
            let slaac = self.slaac.lock();
            slaac.pending.iter().filter(|(_, (_, at))| *at <= now).map(|(i, (n, _))| (*i, *n)).collect()
        };
        for (index, sent) in due {
            let link = self.link_by_index(index).ok().filter(|l| l.is_up());
            let Some(link) = link else {
                self.slaac.lock().pending.remove(&index);
                continue;
            };
            self.send_router_solicit(&link);
            let most = link.ipv6.router_solicitations.get();
            let base = Duration::from_secs(link.ipv6.router_solicitation_interval.get().max(1) as u64);
            let wait = base.saturating_mul(1 << sent.min(16)).min(MAX_INTERVAL);
            let mut slaac = self.slaac.lock();
            if most >= 0 && i64::from(sent) + 1 >= most {
                slaac.pending.remove(&index);
            } else {
                slaac.pending.insert(index, (sent + 1, now + wait));
            }
        }
        self.slaac.lock().pending.values().map(|(_, at)| *at).min()
    }

    pub(crate) fn router_advert(&self, meta: &RxMeta, message: &[u8]) {
        let IpAddr::V6(router) = meta.src else { return };
        if meta.ttl != 255 || !crate::ip::is_link_local(router) || message.get(1) != Some(&0) {
            return;
        }
        let (Some(ra), Ok(link)) = (RouterAdvert::parse(message), self.link_by_index(meta.ifindex)) else { return };
        if !self.accepts_ra(&link) || link.is_loopback() {
            return;
        }
        self.slaac.lock().pending.remove(&link.index);
        if let Some(mac) = ra.options.source {
            let advert = Advert { mac, solicited: false, is_override: true, router: Some(true) };
            self.neigh_advert(link.index, router.into(), advert, true);
        }
        let _rtnl = self.rtnl.lock();
        if ra.hop_limit != 0 {
            link.ipv6.hop_limit.set(i64::from(ra.hop_limit));
        }
        if let Some(mtu) = ra.options.mtu.filter(|m| link.ipv6.accept_ra_mtu.on() && *m >= 1280 && *m <= link.mtu()) {
            link.ipv6.mtu.set(i64::from(mtu));
            self.routes_changed();
        }
        if link.ipv6.accept_ra_defrtr.on() {
            self.default_router(&link, router, ra.lifetime);
        }
        if link.ipv6.accept_ra_pinfo.on() {
            for p in &ra.options.prefixes {
                self.advertised_prefix(&link, p);
            }
        }
    }

    fn ra_route(&self, link: &Link, dst: Prefix, gateway: Option<Ipv6Addr>, life: Option<Duration>) {
        let index = link.index;
        let via = gateway.map(IpAddr::V6);
        // The prefix of an address that was set by hand stays that address's.
        let by_hand = |p: Prefix| {
            let with_route = |a: &IfAddr| a.flags & lkl_abi::rtnetlink::IFA_F_NOPREFIXROUTE == 0;
            self.addrs_of(index).iter().any(|a| with_route(a) && Prefix::network(a.ip, a.prefix_len) == Some(p))
        };
        if gateway.is_none() && by_hand(dst) {
            return;
        }
        let mine = |r: &Route| {
            r.dst == dst
                && matches!(r.protocol, PROTOCOL_RA | PROTOCOL_KERNEL)
                && r.table == lkl_net::route::TABLE_MAIN
                && r.nexthops.iter().any(|n| n.ifindex == index && n.gateway == via)
        };
        if life == Some(Duration::ZERO) {
            self.remove_routes(mine);
            return;
        }
        let mut route = Route::new(dst, index, via);
        route.protocol = if gateway.is_some() { PROTOCOL_RA } else { PROTOCOL_KERNEL };
        route.priority = if gateway.is_some() { 1024 } else { 256 };
        route.expires = life.map(|l| self.now() + l);
        // Replaced only if something but the time changes; a new time is set silently.
        let (there, from_adverts) = {
            let routes = self.routes();
            (
                routes.iter().any(|r| mine(r)),
                routes.iter().filter(|r| r.dst.addr.is_ipv6() && r.expires.is_some()).count(),
            )
        };
        if !there && from_adverts >= MAX_ROUTES {
            tracing::debug!(target: "lkl::drop", "a route of a router advertisement: there are {MAX_ROUTES} already");
            return;
        }
        if there {
            let _old = self.fib.write().remove_where(mine);
            let _added = self
                .fib
                .write()
                .add(Arc::new(route), AddMode { create: true, exclusive: false, replace: false, append: true });
            self.routes_changed();
            if let Some(l) = life {
                self.arm_config(self.now() + l);
            }
        } else {
            let _added = self.insert_route(
                Arc::new(route),
                AddMode { create: true, exclusive: false, replace: false, append: true },
            );
        }
    }

    fn default_router(&self, link: &Link, router: Ipv6Addr, life: Duration) {
        let any = Prefix { addr: Ipv6Addr::UNSPECIFIED.into(), len: 0 };
        self.ra_route(link, any, Some(router), Some(life));
    }

    fn advertised_prefix(&self, link: &Arc<Link>, p: &ndisc::Prefix) {
        if crate::ip::is_link_local(p.prefix) || p.prefix.is_multicast() || p.preferred_secs > p.valid_secs {
            return;
        }
        let life = |secs: u32| (secs != u32::MAX).then(|| Duration::from_secs(secs.into()));
        if p.on_link {
            if let Some(net) = Prefix::network(p.prefix.into(), p.len) {
                self.ra_route(link, net, None, life(p.valid_secs));
            }
        }
        if !p.autonomous || p.len != 64 || !link.ipv6.autoconf.on() {
            return;
        }
        let mut o = p.prefix.octets();
        o[8..].copy_from_slice(&lkl_net::wire::ethernet::eui64(&link.mac()));
        let ip = IpAddr::V6(Ipv6Addr::from(o));
        let now = self.now();
        let mut valid = life(p.valid_secs);
        let preferred = life(p.preferred_secs);
        if let Some(old) = self.addr_find(link.index, ip) {
            // RFC 4862, section 5.5.3 (e): a short lifetime is believed only so far.
            let left = old.valid_until.map(|t| t.since(now));
            let two_hours = Duration::from_secs(7200);
            if let (Some(v), true) = (valid, left.is_none_or(|l| l > two_hours)) {
                valid = Some(v.max(two_hours));
            } else if let (Some(v), Some(l)) = (valid, left) {
                valid = Some(if v > l { v } else { l });
            }
            let deprecated = preferred == Some(Duration::ZERO);
            let changed = self.addr_update(link.index, ip, |a| {
                a.valid_until = valid.map(|v| now + v);
                a.preferred_until = preferred.map(|v| now + v);
                a.updated = now;
                if deprecated {
                    a.flags |= IFA_F_DEPRECATED;
                } else {
                    a.flags &= !IFA_F_DEPRECATED;
                }
            });
            if let Some(a) = changed {
                for at in [a.valid_until, a.preferred_until].into_iter().flatten() {
                    self.arm_config(at);
                }
                self.emit(&crate::NetEvent::AddrNew(a));
            }
            return;
        }
        let count = self.addrs_of(link.index).iter().filter(|a| a.ip.is_ipv6()).count() as i64;
        if p.valid_secs == 0 || count >= link.ipv6.max_addresses.get() {
            return;
        }
        let mut a = IfAddr::new(link.index, ip, 64);
        a.flags |= lkl_abi::rtnetlink::IFA_F_NOPREFIXROUTE | lkl_abi::rtnetlink::IFA_F_MANAGETEMPADDR;
        a.valid_until = valid.map(|v| now + v);
        a.preferred_until = preferred.map(|v| now + v);
        a.proto = 2;
        if let Err(e) = self.addr_add_locked(a, false) {
            tracing::debug!(target: "lkl::addr", error = ?e, "address of an advertised prefix");
        }
    }
}
