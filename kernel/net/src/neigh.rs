//! Neighbours: the one state machine of ARP and NDP (RFC 4861, section 7.3; `man 7 arp`), sans I/O.
//!
//! A table holds the neighbours of all interfaces, hashed, and the packets that wait for a resolution. What must be
//! done (ask, send on, give up) is answered as [`Event`]s.

use crate::wire::ethernet::Mac;
use core::net::IpAddr;
use core::time::Duration;
use foldhash::quality::RandomState;
use lkl_ops::Instant;
use std::collections::{BTreeSet, HashMap, VecDeque};

#[cfg(test)]
mod tests;

/// How reachable a neighbour is (`NUD_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum State {
    /// Being asked for the first time.
    Incomplete = 0x01,
    /// Known to answer.
    Reachable = 0x02,
    /// Was reachable; to be confirmed when it is used.
    Stale = 0x04,
    /// In use; waiting for a confirmation from above.
    Delay = 0x08,
    /// Being asked again.
    Probe = 0x10,
    /// Does not answer.
    Failed = 0x20,
    /// Needs no resolution.
    NoArp = 0x40,
    /// Set by hand.
    Permanent = 0x80,
}

impl State {
    /// The state of this number.
    pub fn from_number(n: u16) -> Option<Self> {
        Some(match n {
            0x01 => Self::Incomplete,
            0x02 => Self::Reachable,
            0x04 => Self::Stale,
            0x08 => Self::Delay,
            0x10 => Self::Probe,
            0x20 => Self::Failed,
            0x40 => Self::NoArp,
            0x80 => Self::Permanent,
            _ => return None,
        })
    }

    /// May packets be sent to its hardware address?
    pub const fn is_valid(self) -> bool {
        self as u16 & 0xde != 0
    }
}

/// Whose neighbour it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Key {
    /// Interface.
    pub ifindex: u32,
    /// Address.
    pub addr: IpAddr,
}

/// Timings and limits, with Linux's defaults (`net.ipv4.neigh.default.*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How long a confirmation counts, before it is spread by chance.
    pub base_reachable: Duration,
    /// How long a neighbour in use waits for a confirmation from above.
    pub delay_first_probe: Duration,
    /// Time between questions.
    pub retrans: Duration,
    /// Questions to the neighbour alone.
    pub unicast_probes: u32,
    /// Questions to all.
    pub multicast_probes: u32,
    /// Packets that wait for one neighbour.
    pub queue_packets: usize,
    /// Bytes of them.
    pub queue_bytes: usize,
    /// Below this many entries none is thrown out.
    pub gc_thresh1: usize,
    /// More entries than this are never kept.
    pub gc_thresh3: usize,
    /// How long an unused entry stays.
    pub gc_stale: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_reachable: Duration::from_secs(30),
            delay_first_probe: Duration::from_secs(5),
            retrans: Duration::from_secs(1),
            unicast_probes: 3,
            multicast_probes: 3,
            queue_packets: 101,
            queue_bytes: 212_992,
            gc_thresh1: 128,
            gc_thresh3: 1024,
            gc_stale: Duration::from_secs(60),
        }
    }
}

/// What must be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<P> {
    /// Ask for `key`: the neighbour alone if its address is given, else all.
    Solicit {
        /// Who is asked for.
        key: Key,
        /// Ask only there.
        unicast: Option<Mac>,
    },
    /// Send these packets to `mac`.
    Deliver {
        /// Where they go.
        key: Key,
        /// Its hardware address.
        mac: Mac,
        /// Packets, oldest first.
        packets: Vec<P>,
    },
    /// These packets cannot be delivered: "host unreachable".
    Unreachable {
        /// Who did not answer.
        key: Key,
        /// Packets, oldest first.
        packets: Vec<P>,
    },
    /// The entry changed (for netlink).
    Changed(Key),
    /// The entry is gone (for netlink).
    Removed(Key, Entry),
}

/// What a packet to a neighbour meets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved<P> {
    /// Send it there.
    Send(Mac, P),
    /// It waits.
    Queued,
}

/// What is known of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// State.
    pub state: State,
    /// Hardware address, if it is known.
    pub mac: Option<Mac>,
    /// It is a router (RFC 4861).
    pub router: bool,
    /// When it was last confirmed.
    pub confirmed: Instant,
    /// When it was last used.
    pub used: Instant,
    /// When it last changed.
    pub updated: Instant,
    /// Questions asked without an answer.
    pub probes: u32,
    /// Until when a confirmation counts.
    reachable_until: Instant,
    /// When something is due.
    due: Option<Instant>,
}

struct Slot<P> {
    entry: Entry,
    queue: VecDeque<(usize, P)>,
    queue_bytes: usize,
}

/// The neighbours of all interfaces, with packets of type `P` waiting.
pub struct Table<P> {
    config: Config,
    slots: HashMap<Key, Slot<P>, RandomState>,
    due: BTreeSet<(Instant, Key)>,
    /// Spreads the reachable time.
    seed: u32,
    /// Packets that were dropped because a queue was full.
    pub dropped: u64,
}

/// What a message from a neighbour says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advert {
    /// Its hardware address.
    pub mac: Mac,
    /// It answers a question of ours.
    pub solicited: bool,
    /// It replaces what is known.
    pub is_override: bool,
    /// It says whether it is a router.
    pub router: Option<bool>,
}

impl<P> Table<P> {
    /// An empty table. `seed` spreads its timings.
    pub fn new(config: Config, seed: u32) -> Self {
        Self { config, slots: HashMap::default(), due: BTreeSet::new(), seed: seed | 1, dropped: 0 }
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Where `packet` of `len` bytes to `key` goes.
    pub fn resolve(
        &mut self,
        now: Instant,
        key: Key,
        len: usize,
        packet: P,
        events: &mut Vec<Event<P>>,
    ) -> Resolved<P> {
        if !self.slots.contains_key(&key) {
            self.collect(now, events);
            self.slots.insert(key, Slot::new(now));
        }
        let Some(slot) = self.slots.get_mut(&key) else { return Resolved::Queued };
        let entry = &mut slot.entry;
        entry.used = now;
        entry.refresh(now);
        if entry.state == State::Stale {
            entry.state = State::Delay;
            entry.updated = now;
            let due = now + self.config.delay_first_probe;
            Self::set_due(&mut self.due, key, entry, Some(due));
        }
        if let (true, Some(mac)) = (entry.state.is_valid(), entry.mac) {
            return Resolved::Send(mac, packet);
        }
        if entry.state == State::Failed {
            entry.state = State::Incomplete;
            entry.probes = 0;
        }
        if entry.probes == 0 {
            entry.probes = 1;
            entry.updated = now;
            let due = now + self.config.retrans;
            Self::set_due(&mut self.due, key, entry, Some(due));
            events.push(Event::Solicit { key, unicast: None });
        }
        while slot.queue.len() >= self.config.queue_packets || slot.queue_bytes + len > self.config.queue_bytes {
            let Some((bytes, _)) = slot.queue.pop_front() else { break };
            slot.queue_bytes -= bytes;
            self.dropped += 1;
        }
        slot.queue.push_back((len, packet));
        slot.queue_bytes += len;
        Resolved::Queued
    }

    /// The hardware address of `key` if packets may be sent there at once; counts as a use only if it says so by
    /// itself being unchanged: an entry that would have to change state is `None`.
    pub fn peek(&self, now: Instant, key: Key) -> Option<Mac> {
        let e = &self.slots.get(&key)?.entry;
        match e.state {
            State::Reachable if e.reachable_until >= now => e.mac,
            State::Permanent | State::NoArp | State::Delay | State::Probe => e.mac,
            _ => None,
        }
    }

    /// A neighbour said something. `create` makes an entry if there is none (it asked us, so we shall answer).
    pub fn advert(&mut self, now: Instant, key: Key, advert: Advert, create: bool, events: &mut Vec<Event<P>>) {
        if !self.slots.contains_key(&key) {
            if !create {
                return;
            }
            self.collect(now, events);
            self.slots.insert(key, Slot::new(now));
        }
        let reachable = self.reachable_time();
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let entry = &mut slot.entry;
        if matches!(entry.state, State::Permanent | State::NoArp) {
            return;
        }
        entry.refresh(now);
        let before = *entry;
        let was_unknown = entry.mac.is_none() || matches!(entry.state, State::Incomplete | State::Failed);
        let differs = entry.mac != Some(advert.mac);
        if !was_unknown && differs && !advert.is_override {
            // RFC 4861, section 7.2.5, I: what is cached stays, but is doubted.
            if entry.state == State::Reachable {
                entry.state = State::Stale;
                Self::set_due(&mut self.due, key, entry, None);
            }
        } else {
            entry.mac = Some(advert.mac);
            if advert.solicited {
                entry.state = State::Reachable;
                entry.confirmed = now;
                entry.reachable_until = now + reachable;
                entry.probes = 0;
                Self::set_due(&mut self.due, key, entry, None);
            } else if was_unknown || differs {
                entry.state = State::Stale;
                entry.probes = 0;
                Self::set_due(&mut self.due, key, entry, None);
            }
        }
        if let Some(router) = advert.router {
            entry.router = router;
        }
        if *entry != before {
            entry.updated = now;
            events.push(Event::Changed(key));
        }
        slot.deliver(key, events);
    }

    /// An upper layer has proof that `key` answers (RFC 4861, section 7.3.1).
    pub fn confirm(&mut self, now: Instant, key: Key) {
        let reachable = self.reachable_time();
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let entry = &mut slot.entry;
        if matches!(entry.state, State::Reachable | State::Stale | State::Delay | State::Probe) {
            entry.state = State::Reachable;
            entry.confirmed = now;
            entry.reachable_until = now + reachable;
            entry.probes = 0;
            Self::set_due(&mut self.due, key, entry, None);
        }
    }

    /// Sets an entry by hand (`ip neigh replace`).
    pub fn set(
        &mut self,
        now: Instant,
        key: Key,
        mac: Option<Mac>,
        state: State,
        router: bool,
        events: &mut Vec<Event<P>>,
    ) {
        let reachable = self.reachable_time();
        let slot = self.slots.entry(key).or_insert_with(|| Slot::new(now));
        let entry = &mut slot.entry;
        entry.mac = mac.or(entry.mac);
        entry.state = state;
        entry.router = router;
        entry.updated = now;
        entry.confirmed = now;
        entry.reachable_until = now + reachable;
        entry.probes = 0;
        let due = match state {
            State::Delay => Some(now + self.config.delay_first_probe),
            State::Probe | State::Incomplete => Some(now),
            _ => None,
        };
        Self::set_due(&mut self.due, key, entry, due);
        events.push(Event::Changed(key));
        slot.deliver(key, events);
    }

    /// Forgets `key`; answers whether it was there.
    pub fn remove(&mut self, key: Key, events: &mut Vec<Event<P>>) -> bool {
        let Some(slot) = self.slots.remove(&key) else { return false };
        if let Some(due) = slot.entry.due {
            self.due.remove(&(due, key));
        }
        if !slot.queue.is_empty() {
            events.push(Event::Unreachable { key, packets: slot.queue.into_iter().map(|(_, p)| p).collect() });
        }
        events.push(Event::Removed(key, slot.entry));
        true
    }

    /// Forgets all neighbours of an interface; `all` also those set by hand.
    pub fn remove_interface(&mut self, ifindex: u32, all: bool, events: &mut Vec<Event<P>>) {
        let gone: Vec<Key> = self
            .slots
            .iter()
            .filter(|(k, s)| k.ifindex == ifindex && (all || s.entry.state != State::Permanent))
            .map(|(k, _)| *k)
            .collect();
        for key in gone {
            self.remove(key, events);
        }
    }

    /// What is known of `key`.
    pub fn get(&self, now: Instant, key: Key) -> Option<Entry> {
        self.slots.get(&key).map(|s| s.entry.at(now))
    }

    /// All entries, in no order.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = (Key, Entry)> + '_ {
        self.slots.iter().map(move |(k, s)| (*k, s.entry.at(now)))
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn on_timer(&mut self, now: Instant, events: &mut Vec<Event<P>>) {
        while let Some(&(at, key)) = self.due.first() {
            if at > now {
                break;
            }
            self.due.pop_first();
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            let entry = &mut slot.entry;
            entry.due = None;
            match entry.state {
                State::Delay => {
                    entry.state = State::Probe;
                    entry.probes = 0;
                }
                State::Probe | State::Incomplete => {}
                _ => continue,
            }
            let limit = match entry.state {
                State::Probe => self.config.unicast_probes,
                _ => self.config.multicast_probes,
            };
            entry.updated = now;
            if entry.probes >= limit {
                entry.state = State::Failed;
                entry.probes = 0;
                events.push(Event::Changed(key));
                if !slot.queue.is_empty() {
                    slot.queue_bytes = 0;
                    events.push(Event::Unreachable { key, packets: slot.queue.drain(..).map(|(_, p)| p).collect() });
                }
                continue;
            }
            entry.probes += 1;
            let unicast = entry.mac.filter(|_| entry.state == State::Probe);
            let due = now + self.config.retrans;
            Self::set_due(&mut self.due, key, entry, Some(due));
            events.push(Event::Solicit { key, unicast });
        }
    }

    fn set_due(due: &mut BTreeSet<(Instant, Key)>, key: Key, entry: &mut Entry, at: Option<Instant>) {
        if let Some(old) = entry.due.take() {
            due.remove(&(old, key));
        }
        if let Some(at) = at {
            entry.due = Some(at);
            due.insert((at, key));
        }
    }

    /// Between half and one and a half of the base time (RFC 4861, section 6.3.2).
    fn reachable_time(&mut self) -> Duration {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let base = self.config.base_reachable;
        base / 2 + base.mul_f64(f64::from(self.seed >> 8) / f64::from(1 << 24))
    }

    /// Makes room before an entry is put in.
    fn collect(&mut self, now: Instant, events: &mut Vec<Event<P>>) {
        if self.slots.len() < self.config.gc_thresh3 {
            return;
        }
        // Rare (the table is full): one pass throws out at least an eighth, so its cost is spread.
        let mut unused: Vec<(Instant, Key)> = self
            .slots
            .iter()
            .filter(|(_, s)| !matches!(s.entry.state, State::Permanent | State::NoArp))
            .map(|(k, s)| (s.entry.used, *k))
            .collect();
        unused.sort_unstable();
        let keep_out = (self.config.gc_thresh3 / 8).max(1);
        let stale = |used: Instant| now.since(used) > self.config.gc_stale;
        let old = unused.iter().take_while(|(used, _)| stale(*used)).count();
        let n = old.min(self.slots.len().saturating_sub(self.config.gc_thresh1)).max(keep_out);
        for (_, key) in unused.into_iter().take(n) {
            self.remove(key, events);
        }
    }
}

impl<P> Slot<P> {
    fn new(now: Instant) -> Self {
        let entry = Entry {
            state: State::Incomplete,
            mac: None,
            router: false,
            confirmed: now,
            used: now,
            updated: now,
            probes: 0,
            reachable_until: now,
            due: None,
        };
        Self { entry, queue: VecDeque::new(), queue_bytes: 0 }
    }

    fn deliver(&mut self, key: Key, events: &mut Vec<Event<P>>) {
        if let (true, Some(mac), false) = (self.entry.state.is_valid(), self.entry.mac, self.queue.is_empty()) {
            self.queue_bytes = 0;
            events.push(Event::Deliver { key, mac, packets: self.queue.drain(..).map(|(_, p)| p).collect() });
        }
    }
}

impl Entry {
    /// A confirmation fades without a timer: it is looked at when the entry is.
    fn refresh(&mut self, now: Instant) {
        if self.state == State::Reachable && self.reachable_until < now {
            self.state = State::Stale;
            self.updated = self.reachable_until;
        }
    }

    fn at(mut self, now: Instant) -> Self {
        self.refresh(now);
        self
    }
}
