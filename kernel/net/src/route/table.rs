//! One routing table: longest prefix first.
//!
//! Routes are hashed by prefix, and the prefix lengths in use are kept in order: a look-up probes once for each
//! length that occurs, whatever the number of routes.

use super::{mask, Kind, Prefix, Route};
use core::net::IpAddr;
use foldhash::HashMap;
use lkl_abi::{Errno, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a route is added (`NLM_F_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddMode {
    /// Make it if it is not there.
    pub create: bool,
    /// Refuse if it is there.
    pub exclusive: bool,
    /// Take the place of the one that is there.
    pub replace: bool,
    /// Put it behind those that are there.
    pub append: bool,
}

/// Which routes a deletion means: what is `None` matches any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selector {
    /// Kind.
    pub kind: Option<Kind>,
    /// Type of service.
    pub tos: u8,
    /// Scope.
    pub scope: Option<u8>,
    /// Who made it.
    pub protocol: Option<u8>,
    /// Metric.
    pub priority: Option<u32>,
    /// Preferred source.
    pub prefsrc: Option<IpAddr>,
    /// Interface of a next hop.
    pub ifindex: Option<u32>,
    /// Gateway of a next hop.
    pub gateway: Option<IpAddr>,
}

impl Selector {
    /// Is `r` meant?
    pub fn matches(&self, r: &Route) -> bool {
        self.kind.is_none_or(|k| k == r.kind)
            && self.tos == r.tos
            && self.scope.is_none_or(|s| s == r.scope)
            && self.protocol.is_none_or(|p| p == r.protocol)
            && self.priority.is_none_or(|p| p == r.priority)
            && self.prefsrc.is_none_or(|p| Some(p) == r.prefsrc)
            && ((self.ifindex.is_none() && self.gateway.is_none())
                || r.nexthops.iter().any(|n| {
                    self.ifindex.is_none_or(|i| i == n.ifindex) && self.gateway.is_none_or(|g| Some(g) == n.gateway)
                }))
    }
}

/// A table.
#[derive(Debug, Default)]
pub struct Table {
    by_prefix: HashMap<Prefix, Vec<Arc<Route>>>,
    /// How many prefixes there are of each length, IPv4 apart from IPv6.
    lengths: [BTreeMap<u8, usize>; 2],
    len: usize,
}

impl Table {
    /// Adds `route`. Answers the route that it replaced.
    ///
    /// # Errors
    /// `EEXIST` if it is there and must not be, `ENOENT` if it is not there and must be.
    pub fn add(&mut self, route: Arc<Route>, mode: AddMode) -> Result<Option<Arc<Route>>> {
        let v6 = route.dst.addr.is_ipv6();
        let existing = self.by_prefix.get(&route.dst).map(Vec::as_slice).unwrap_or_default();
        let same = |r: &Arc<Route>| r.tos == route.tos && r.priority == route.priority;
        let at = existing.iter().position(same);
        if let Some(at) = at {
            // IPv6 tells routes of one metric apart by their next hops (they are used in turn).
            let twin = existing.iter().find(|r| same(r) && (!v6 || r.nexthops == route.nexthops));
            if mode.exclusive && (twin.is_some() || !v6) {
                return Err(Errno::EEXIST);
            }
            if mode.replace {
                let list = self.by_prefix.get_mut(&route.dst).ok_or(Errno::ENOENT)?;
                return Ok(Some(core::mem::replace(&mut list[at], route)));
            }
            let identical = existing
                .iter()
                .any(|r| same(r) && r.nexthops == route.nexthops && r.kind == route.kind && r.scope == route.scope);
            if identical {
                return Err(Errno::EEXIST);
            }
        }
        if !mode.create {
            return Err(Errno::ENOENT);
        }
        let list = self.by_prefix.entry(route.dst).or_default();
        if list.is_empty() {
            *self.lengths[usize::from(v6)].entry(route.dst.len).or_default() += 1;
        }
        let rank = |r: &Route| (core::cmp::Reverse(r.tos), r.priority);
        let before = |r: &Arc<Route>| {
            let (have, new) = (rank(r), rank(&route));
            have < new || (have == new && (mode.append || v6))
        };
        let at = list.partition_point(before);
        list.insert(at, route);
        self.len += 1;
        Ok(None)
    }

    /// Takes out the first route to `dst` that `which` means.
    ///
    /// # Errors
    /// `ESRCH` if there is none.
    pub fn remove(&mut self, dst: Prefix, which: &Selector) -> Result<Arc<Route>> {
        self.remove_first(dst, |r| which.matches(r)).ok_or(Errno::ESRCH)
    }

    /// Takes out this very route.
    pub(super) fn remove_exactly(&mut self, route: &Arc<Route>) {
        self.remove_first(route.dst, |r| Arc::ptr_eq(r, route));
    }

    fn remove_first(&mut self, dst: Prefix, hit: impl Fn(&Arc<Route>) -> bool) -> Option<Arc<Route>> {
        let list = self.by_prefix.get_mut(&dst)?;
        let at = list.iter().position(hit)?;
        let gone = list.remove(at);
        if list.is_empty() {
            self.by_prefix.remove(&dst);
            let lengths = &mut self.lengths[usize::from(dst.addr.is_ipv6())];
            if let Some(n) = lengths.get_mut(&dst.len) {
                *n -= 1;
                if *n == 0 {
                    lengths.remove(&dst.len);
                }
            }
        }
        self.len -= 1;
        Some(gone)
    }

    /// The routes to `addr`, longest prefix first, in the order of preference within one prefix.
    pub fn candidates(&self, addr: IpAddr) -> impl Iterator<Item = &Arc<Route>> {
        let lengths = &self.lengths[usize::from(addr.is_ipv6())];
        lengths
            .keys()
            .rev()
            .filter_map(move |len| self.by_prefix.get(&Prefix { addr: mask(addr, *len), len: *len }))
            .flatten()
    }

    /// All routes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_prefix.values().flatten()
    }

    /// Number of routes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
