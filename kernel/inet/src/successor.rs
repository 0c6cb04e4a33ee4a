//! A network in the place of one that got stuck: a program that was killed has taken locks with it that everybody needs.
//!
//! It has the same devices, addresses, routes, rules and permanent neighbours, and knows of no connection: whatever comes for one it answers with a reset, as RFC 9293,
//! section 3.10.7.1, has it. So the peers learn that there is nobody any more.

use crate::tcp::Tuple;
use crate::{AddMode, IfAddr, Link, Net, RouteEntry, Rule};
use core::iter::{Cycle, Take};
use core::sync::atomic::Ordering::Release;
use lkl_abi::rtnetlink::{IFA_F_NODAD, NUD_PERMANENT};
use lkl_abi::Result;
use lkl_ops::Host;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::IntoIter;

/// Peers that are written to at once: as many packets as wait for a hardware address.
const BATCH: usize = 64;
/// How often each is written to: the first time it may get lost.
const TIMES: usize = 2;

/// A network that tells the peers of another one that their connections are no more.
pub struct Successor {
    net: Arc<Net>,
    peers: Take<Cycle<IntoIter<Tuple>>>,
}

impl core::fmt::Debug for Successor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Successor({:?} to write)", self.peers.size_hint())
    }
}

impl Successor {
    /// The network itself.
    #[cfg(test)]
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Writes to some more peers and answers what has come; to be called every few milliseconds. Answers whether all are written to.
    pub fn serve(&mut self) -> bool {
        let some: Vec<_> = self.peers.by_ref().take(BATCH).collect();
        some.iter().for_each(|peer| self.net.tcp_probe(peer));
        self.net.service();
        some.is_empty()
    }
}

impl Net {
    /// The successor of this network, which reads its devices no more. Waits for no lock: what is under one that is lost the successor
    /// does not know. `None` if that is everything.
    pub fn successor(&self, host: Arc<dyn Host>) -> Option<Successor> {
        let (links, addrs) = {
            let config = self.config.try_read()?;
            (config.links.clone(), config.addrs.clone())
        };
        let routes = self.fib.try_read().map(|fib| fib.dump()).unwrap_or_default();
        let net = Self::new(host);
        let mut numbers = BTreeMap::new();
        for (old, link) in &links {
            if let Ok(new) = net.take_over(link, addrs.get(old).map_or(&[], Vec::as_slice)) {
                numbers.insert(*old, new);
            }
        }
        for route in routes {
            let mut route = RouteEntry::clone(&route);
            route.nexthops.iter_mut().for_each(|hop| hop.ifindex = numbers.get(&hop.ifindex).copied().unwrap_or(0));
            // Those of the addresses are there already.
            let _there = net.route_add(route, AddMode { create: true, ..AddMode::default() });
        }
        let rules = self.fib.try_read().map(|fib| fib.rules().to_vec()).unwrap_or_default();
        for rule in rules {
            // The first three of each family are there already.
            let _there = net.rule_add(Rule::clone(&rule), Some(rule.priority), true);
        }
        let neighbours = self.neigh.try_permanent(self.now()).unwrap_or_default();
        for (old, ip, mac) in neighbours {
            let mode = AddMode { create: true, replace: true, ..AddMode::default() };
            let ifindex = numbers.get(&old).copied().unwrap_or(0);
            let _known = net.neigh_set(ifindex, ip, Some(mac), NUD_PERMANENT, false, mode);
        }
        let peers = self.tcp.tuples();
        let writes = peers.len() * TIMES;
        Some(Successor { net, peers: peers.into_iter().cycle().take(writes) })
    }

    /// Goes on with a link of another network, with these addresses; answers its number here.
    fn take_over(&self, link: &Link, addrs: &[IfAddr]) -> Result<u32> {
        let Some(dev) = &link.dev else { return Ok(link.index) };
        // For ever.
        link.reading.store(true, Release);
        let index = self.link_add(dev.clone())?;
        self.link_set_mtu(index, link.mtu())?;
        self.link_by_index(index)?.set_mac(link.mac());
        self.link_set_up(index, link.is_up())?;
        for addr in addrs {
            let mut addr = IfAddr { ifindex: index, dad: None, ..addr.clone() };
            addr.flags |= IFA_F_NODAD;
            let _no_use_for_it = self.addr_add(addr, true);
        }
        Ok(index)
    }
}
