//! The tables and the rules together.

use super::{AddMode, Kind, NextHop, Prefix, Route, Rule, RuleAction, Selector, Table};
use core::net::IpAddr;
use lkl_abi::{Errno, Result};
use lkl_ops::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a look-up is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Destination.
    pub dst: IpAddr,
    /// Source, if it is chosen already.
    pub src: Option<IpAddr>,
    /// Type of service, without its ECN bits.
    pub tos: u8,
    /// The interface it must leave by, or 0.
    pub oif: u32,
    /// The interface it came in by, or 0.
    pub iif: u32,
    /// Mark (`SO_MARK`).
    pub mark: u32,
    /// User.
    pub uid: u32,
    /// IP protocol.
    pub protocol: u8,
    /// Chooses among next hops of equal right.
    pub flow_hash: u32,
}

impl Key {
    /// A look-up by destination alone.
    pub const fn to(dst: IpAddr) -> Self {
        Self { dst, src: None, tos: 0, oif: 0, iif: 0, mark: 0, uid: 0, protocol: 0, flow_hash: 0 }
    }
}

/// What a look-up found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The route.
    pub route: Arc<Route>,
    /// Which next hop of it; `None` for kinds without.
    pub nexthop: Option<NextHop>,
    /// The table it stands in.
    pub table: u32,
}

/// The routing tables and rules of a namespace.
#[derive(Debug)]
pub struct Fib {
    tables: BTreeMap<u32, Table>,
    rules: Vec<Arc<Rule>>,
}

impl Default for Fib {
    fn default() -> Self {
        Self { tables: BTreeMap::new(), rules: Rule::defaults().into_iter().map(Arc::new).collect() }
    }
}

/// What the interfaces say during a look-up.
pub trait Interfaces {
    /// Is it up?
    fn is_up(&self, ifindex: u32) -> bool;
    /// Its name.
    fn name(&self, ifindex: u32) -> Option<String>;
}

impl<F: Fn(u32) -> Option<(bool, String)>> Interfaces for F {
    fn is_up(&self, ifindex: u32) -> bool {
        self(ifindex).is_some_and(|(up, _)| up)
    }

    fn name(&self, ifindex: u32) -> Option<String> {
        self(ifindex).map(|(_, name)| name)
    }
}

impl Fib {
    /// Adds a route; answers the one that it replaced.
    ///
    /// # Errors
    /// As [`Table::add`]; `ENOENT` becomes `ESRCH`-free here as Linux has it.
    pub fn add(&mut self, route: Arc<Route>, mode: AddMode) -> Result<Option<Arc<Route>>> {
        self.tables.entry(route.table).or_default().add(route, mode)
    }

    /// Takes a route out.
    ///
    /// # Errors
    /// `ESRCH` if there is none such.
    pub fn remove(&mut self, table: u32, dst: Prefix, which: &Selector) -> Result<Arc<Route>> {
        let t = self.tables.get_mut(&table).ok_or(Errno::ESRCH)?;
        let gone = t.remove(dst, which)?;
        if t.is_empty() {
            self.tables.remove(&table);
        }
        Ok(gone)
    }

    /// Takes out all routes for which `gone` says so, and answers them.
    pub fn remove_where(&mut self, gone: impl Fn(&Route) -> bool) -> Vec<Arc<Route>> {
        let hits: Vec<Arc<Route>> = self.tables.values().flat_map(Table::iter).filter(|r| gone(r)).cloned().collect();
        for r in &hits {
            if let Some(t) = self.tables.get_mut(&r.table) {
                t.remove_exactly(r);
                if t.is_empty() {
                    self.tables.remove(&r.table);
                }
            }
        }
        hits
    }

    /// All routes: by table, family, then prefix length and address as Linux dumps them.
    pub fn dump(&self) -> Vec<Arc<Route>> {
        let mut all: Vec<Arc<Route>> = Vec::new();
        for table in self.tables.values() {
            let mut routes: Vec<Arc<Route>> = table.iter().cloned().collect();
            routes.sort_by_key(|r| (r.dst.addr, r.dst.len, core::cmp::Reverse(r.tos), r.priority));
            all.extend(routes);
        }
        all
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Adds a rule behind those of its priority. Without a priority it goes before the first rule but the one of
    /// priority 0.
    ///
    /// # Errors
    /// `EEXIST` if it is there and `exclusive`.
    pub fn rule_add(&mut self, mut rule: Rule, priority: Option<u32>, exclusive: bool) -> Result<Arc<Rule>> {
        rule.priority = priority.unwrap_or_else(|| {
            let family = || self.rules.iter().filter(|r| r.v6 == rule.v6);
            family().nth(1).map_or(0, |r| r.priority.saturating_sub(1))
        });
        if exclusive && self.rules.iter().any(|r| **r == rule) {
            return Err(Errno::EEXIST);
        }
        let rule = Arc::new(rule);
        let at = self.rules.partition_point(|r| r.priority <= rule.priority);
        self.rules.insert(at, rule.clone());
        Ok(rule)
    }

    /// Takes out the first rule that `which` accepts.
    ///
    /// # Errors
    /// `ENOENT` if there is none.
    pub fn rule_remove(&mut self, which: impl Fn(&Rule) -> bool) -> Result<Arc<Rule>> {
        let at = self.rules.iter().position(|r| which(r)).ok_or(Errno::ENOENT)?;
        Ok(self.rules.remove(at))
    }

    /// Finds the way of `key` through rules and tables.
    ///
    /// # Errors
    /// `ENETUNREACH` if there is none; what the kind of the route says: `EHOSTUNREACH`, `EACCES`, `EINVAL`.
    pub fn lookup(&self, key: &Key, interfaces: &dyn Interfaces, now: Instant) -> Result<Found> {
        let name = |i| interfaces.name(i);
        let mut skip_to = None;
        for rule in &self.rules {
            if skip_to.is_some_and(|p| rule.priority < p) || !rule.matches(key, &name) {
                continue;
            }
            match rule.action {
                RuleAction::Table => {
                    let found = self.lookup_in(rule.table, key, interfaces, now);
                    match found {
                        Some(Ok(f)) if rule.suppress_prefix_len.is_some_and(|n| f.route.dst.len <= n) => {}
                        Some(found) => return found,
                        None => {}
                    }
                }
                RuleAction::Goto => skip_to = rule.goto,
                RuleAction::Nop => {}
                RuleAction::Blackhole => return Err(Errno::EINVAL),
                RuleAction::Unreachable => return Err(Errno::ENETUNREACH),
                RuleAction::Prohibit => return Err(Errno::EACCES),
            }
        }
        Err(Errno::ENETUNREACH)
    }

    /// Finds the way of `key` in one table; `None` if the table has nothing to say.
    pub fn lookup_in(&self, table: u32, key: &Key, interfaces: &dyn Interfaces, now: Instant) -> Option<Result<Found>> {
        for route in self.tables.get(&table)?.candidates(key.dst) {
            if (route.tos != 0 && route.tos != key.tos) || route.expires.is_some_and(|e| e <= now) {
                continue;
            }
            match route.kind {
                Kind::Blackhole => return Some(Err(Errno::EINVAL)),
                Kind::Unreachable => return Some(Err(Errno::EHOSTUNREACH)),
                Kind::Prohibit => return Some(Err(Errno::EACCES)),
                Kind::Throw => return None,
                // An address of this host is reached whatever interface the packet is bound to.
                Kind::Local | Kind::Anycast => {
                    let nexthop = route.nexthops.first().copied();
                    return Some(Ok(Found { route: route.clone(), nexthop, table }));
                }
                _ => {}
            }
            let usable = |n: &&NextHop| (key.oif == 0 || n.ifindex == key.oif) && interfaces.is_up(n.ifindex);
            let total: u32 = route.nexthops.iter().filter(usable).map(|n| u32::from(n.weight)).sum();
            if total == 0 {
                continue;
            }
            let mut pick = key.flow_hash % total;
            for n in route.nexthops.iter().filter(usable) {
                let weight = u32::from(n.weight);
                if pick < weight {
                    return Some(Ok(Found { route: route.clone(), nexthop: Some(*n), table }));
                }
                pick -= weight;
            }
        }
        None
    }
}
