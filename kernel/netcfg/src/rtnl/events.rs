//! Tells changes of the network to the groups (`ip monitor`).

use super::{addr, link, neigh, route, rule};
use crate::netlink::wire::{To, Writer};
use crate::netlink::Hub;
use crate::source;
use lkl_abi::netlink::{NETLINK_ROUTE, NLM_F_REPLACE};
use lkl_abi::rtnetlink::{
    RTM_DELADDR, RTM_DELLINK, RTM_DELNEIGH, RTM_DELROUTE, RTM_DELRULE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNEIGH,
    RTM_NEWROUTE, RTM_NEWRULE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE, RTNLGRP_LINK, RTNLGRP_NEIGH,
};
use lkl_abi::socket::AF_INET;
use lkl_inet::{NetEvent, NetEventSink};

impl NetEventSink for Hub {
    /// Takes nothing but locks of a late rank: it is called under the lock that serialises configuration.
    fn event(&self, event: &NetEvent) {
        if !self.has_listeners() {
            return;
        }
        let Some(net) = self.net() else { return };
        let mut w = Writer::default();
        let to = To::default();
        let by_family = |family: u16, v4: u32, v6: u32| if family == AF_INET { v4 } else { v6 };
        let group = match event {
            NetEvent::LinkNew(l) => {
                link::write(&mut w, RTM_NEWLINK, to, 0, &source::link(l), 0);
                RTNLGRP_LINK
            }
            NetEvent::LinkDel(l) => {
                link::write(&mut w, RTM_DELLINK, to, 0, &source::link(l), 0);
                RTNLGRP_LINK
            }
            NetEvent::AddrNew(a) | NetEvent::AddrDel(a) => {
                let kind = if matches!(event, NetEvent::AddrNew(_)) { RTM_NEWADDR } else { RTM_DELADDR };
                let view = source::addr(&net, a, None);
                addr::write(&mut w, kind, to, &view);
                if view.local.is_ipv4() {
                    RTNLGRP_IPV4_IFADDR
                } else {
                    RTNLGRP_IPV6_IFADDR
                }
            }
            NetEvent::RouteNew { route: r, replaced } => {
                let view = source::route(&net, r);
                let to = To { flags: if *replaced { NLM_F_REPLACE } else { 0 }, ..to };
                route::write(&mut w, RTM_NEWROUTE, to, &view);
                by_family(view.family, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE)
            }
            NetEvent::RouteDel(r) => {
                let view = source::route(&net, r);
                route::write(&mut w, RTM_DELROUTE, to, &view);
                by_family(view.family, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE)
            }
            NetEvent::NeighNew(n) => {
                neigh::write(&mut w, RTM_NEWNEIGH, to, &source::neigh(&net, n));
                RTNLGRP_NEIGH
            }
            NetEvent::NeighDel(n) => {
                neigh::write(&mut w, RTM_DELNEIGH, to, &source::neigh(&net, n));
                RTNLGRP_NEIGH
            }
            NetEvent::RuleNew(r) | NetEvent::RuleDel(r) => {
                let kind = if matches!(event, NetEvent::RuleNew(_)) { RTM_NEWRULE } else { RTM_DELRULE };
                let view = source::rule(r);
                rule::write(&mut w, kind, to, &view);
                by_family(view.family, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE)
            }
        };
        self.broadcast(NETLINK_ROUTE, group, &w.into_bytes().into(), 0);
    }
}
