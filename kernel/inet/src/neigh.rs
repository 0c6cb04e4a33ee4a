//! Neighbours: `lkl_net`'s table under a lock, and what its events ask for.

use crate::event::NetEvent;
use crate::link::Link;
use crate::output::Frame;
use crate::Net;
use core::time::Duration;
use lkl_abi::{Errno, Result};
use lkl_net::neigh::{Advert, Config, Entry, Event, Key, Resolved, State, Table};
use lkl_net::wire::ethernet::Mac;
use lkl_ops::Instant;
use lkl_sync::{Rank, RwLock};
use std::net::IpAddr;
use std::sync::Arc;

/// A neighbour as configured or learnt.
#[derive(Clone, Debug)]
pub struct NeighEntry {
    /// The link it is on.
    pub ifindex: u32,
    /// Its address.
    pub ip: IpAddr,
    /// Hardware address, if it is known.
    pub mac: Option<[u8; 6]>,
    /// `NUD_*`
    pub state: u16,
    /// It is a router.
    pub router: bool,
    /// Questions asked without an answer.
    pub probes: u32,
    /// When it was last confirmed.
    pub confirmed: Instant,
    /// When it was last used.
    pub used: Instant,
    /// When it last changed.
    pub updated: Instant,
}

impl NeighEntry {
    fn new(key: Key, e: &Entry) -> Self {
        Self {
            ifindex: key.ifindex,
            ip: key.addr,
            mac: e.mac,
            state: e.state as u16,
            router: e.router,
            probes: e.probes,
            confirmed: e.confirmed,
            used: e.used,
            updated: e.updated,
        }
    }
}

/// The neighbours of all links, with frames waiting.
pub(crate) struct NeighTable {
    table: RwLock<Table<Frame>>,
}

impl Default for NeighTable {
    fn default() -> Self {
        Self { table: RwLock::new(Rank::PacketTable, Table::new(Config::default(), 0x9e37_79b9)) }
    }
}

type Events = Vec<Event<Frame>>;

impl NeighTable {
    /// Link, address and hardware address of those that stay for ever; `None` if somebody has the lock.
    pub(crate) fn try_permanent(&self, now: Instant) -> Option<Vec<(u32, IpAddr, Mac)>> {
        let table = self.table.try_read()?;
        let permanent = table.iter(now).filter(|(_, e)| e.state == State::Permanent);
        Some(permanent.filter_map(|(k, e)| Some((k.ifindex, k.addr, e.mac?))).collect())
    }
}

impl Net {
    /// All neighbours.
    pub fn neighs(&self) -> Vec<NeighEntry> {
        let table = self.neigh.table.read();
        let mut all: Vec<NeighEntry> = table.iter(self.now()).map(|(k, e)| NeighEntry::new(k, &e)).collect();
        all.sort_by_key(|n| (n.ip.is_ipv6(), n.ifindex, n.ip));
        all
    }

    /// One neighbour.
    pub fn neigh_get(&self, ifindex: u32, ip: IpAddr) -> Option<NeighEntry> {
        let key = Key { ifindex, addr: ip };
        self.neigh.table.read().get(self.now(), key).map(|e| NeighEntry::new(key, &e))
    }

    /// Sets a neighbour (`RTM_NEWNEIGH`). `state` is one `NUD_*`; `mode.exclusive`, `mode.create` and `mode.replace` as of netlink.
    ///
    /// # Errors
    /// `ENODEV`, `EINVAL`, `EEXIST`, `ENOENT`.
    pub fn neigh_set(
        &self,
        ifindex: u32,
        ip: IpAddr,
        mac: Option<Mac>,
        state: u16,
        router: bool,
        mode: crate::AddMode,
    ) -> Result<()> {
        self.link_by_index(ifindex)?;
        let state = State::from_number(state).ok_or(Errno::EINVAL)?;
        let key = Key { ifindex, addr: ip };
        let now = self.now();
        let mut events = Events::new();
        {
            let mut table = self.neigh.table.write();
            match table.get(now, key) {
                Some(_) if mode.exclusive => return Err(Errno::EEXIST),
                Some(e) if mac.is_some() && mac != e.mac && !mode.replace => return Err(Errno::EEXIST),
                None if !mode.create => return Err(Errno::ENOENT),
                None if mac.is_none() && matches!(state, State::Permanent | State::Reachable | State::Stale) => {
                    return Err(Errno::EINVAL);
                }
                _ => {}
            }
            table.set(now, key, mac, state, router, &mut events);
        }
        self.neigh_events(events);
        Ok(())
    }

    /// Takes a neighbour away (`RTM_DELNEIGH`).
    ///
    /// # Errors
    /// `ENODEV`, `ENOENT`.
    pub fn neigh_del(&self, ifindex: u32, ip: IpAddr) -> Result<()> {
        self.link_by_index(ifindex)?;
        let mut events = Events::new();
        let there = self.neigh.table.write().remove(Key { ifindex, addr: ip }, &mut events);
        self.neigh_events(events);
        if there {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }

    /// A transport protocol has proof that the neighbour on the way to `route`'s destination answers.
    pub fn neigh_confirm(&self, route: &crate::Route) {
        if route.link.is_loopback() {
            return;
        }
        let key = Key { ifindex: route.oif(), addr: route.next_hop() };
        let now = self.now();
        let stale = self.neigh.table.read().get(now, key).is_some_and(|e| e.state != State::Reachable);
        if stale {
            self.neigh.table.write().confirm(now, key);
        }
    }

    pub(crate) fn neigh_flush(&self, ifindex: u32, all: bool) {
        let mut events = Events::new();
        self.neigh.table.write().remove_interface(ifindex, all, &mut events);
        self.neigh_events(events);
    }

    /// Sends `frame`, whose Ethernet destination is still open, to `to` on `link`, perhaps later.
    pub(crate) fn neigh_send(&self, link: &Arc<Link>, to: IpAddr, mut frame: Frame) {
        let key = Key { ifindex: link.index, addr: to };
        let now = self.now();
        let known = self.neigh.table.read().peek(now, key);
        if let Some(mac) = known {
            frame.set_destination(mac);
            self.transmit(link, &frame);
            return;
        }
        let mut events = Events::new();
        let len = frame.len();
        let resolved = self.neigh.table.write().resolve(now, key, len, frame, &mut events);
        if let Resolved::Send(mac, mut frame) = resolved {
            frame.set_destination(mac);
            self.transmit(link, &frame);
        }
        self.neigh_events(events);
        self.neigh_rearm();
    }

    /// A neighbour said something about itself.
    pub(crate) fn neigh_advert(&self, ifindex: u32, ip: IpAddr, advert: Advert, create: bool) {
        let mut events = Events::new();
        self.neigh.table.write().advert(self.now(), Key { ifindex, addr: ip }, advert, create, &mut events);
        self.neigh_events(events);
    }

    fn neigh_rearm(&self) {
        let deadline = self.neigh.table.read().deadline();
        if let Some(at) = deadline {
            self.arm_neigh(at);
        }
    }

    pub(crate) fn neigh_timer(&self, now: Instant) -> Option<Instant> {
        let mut events = Events::new();
        let next = {
            let mut table = self.neigh.table.write();
            table.on_timer(now, &mut events);
            table.deadline()
        };
        self.neigh_events(events);
        next
    }

    fn neigh_events(&self, events: Events) {
        for event in events {
            match event {
                Event::Solicit { key, unicast } => {
                    let Ok(link) = self.link_by_index(key.ifindex) else { continue };
                    match key.addr {
                        IpAddr::V4(ip) => self.send_arp_request(&link, ip, unicast),
                        IpAddr::V6(ip) => self.send_neighbor_solicit(&link, ip, unicast),
                    }
                }
                Event::Deliver { key, mac, packets } => {
                    let Ok(link) = self.link_by_index(key.ifindex) else { continue };
                    for mut frame in packets {
                        frame.set_destination(mac);
                        self.transmit(&link, &frame);
                    }
                }
                Event::Unreachable { key, packets } => {
                    tracing::debug!(target: "lkl::drop", address = %key.addr, frames = packets.len(), "neighbour does not answer");
                    for frame in packets {
                        self.host_unreachable(key.ifindex, &frame);
                    }
                }
                Event::Changed(key) => {
                    let entry = self.neigh.table.read().get(self.now(), key);
                    if let Some(e) = entry {
                        self.emit(&NetEvent::NeighNew(NeighEntry::new(key, &e)));
                    }
                }
                Event::Removed(key, e) => self.emit(&NetEvent::NeighDel(NeighEntry::new(key, &e))),
            }
        }
    }

    /// Configuration's own timer: addresses, routes that expire, router solicitations.
    pub(crate) fn config_timer(&self, now: Instant) -> Option<Instant> {
        let _rtnl = self.rtnl.lock();
        let addr = self.addr_timer(now);
        let slaac = self.slaac_timer(now);
        self.remove_routes(|r| r.expires.is_some_and(|at| at <= now));
        let route = self.fib.read().dump().iter().filter_map(|r| r.expires).min();
        [addr, slaac, route].into_iter().flatten().min().map(|at| at.max(now + Duration::from_millis(1)))
    }
}
