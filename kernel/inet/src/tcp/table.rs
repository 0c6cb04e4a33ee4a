//! From a segment to its socket: connections by both ends, listening sockets by port.

use super::ports::{Owner, Ports};
use super::socket::TcpSocket;
use crate::options::Beginnings;
use crate::sysctl::Sysctl;
use crate::{FlowKey, Net, Route};
use core::hash::{BuildHasher, Hash, Hasher};
use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Relaxed, Release},
};
use foldhash::quality;
use lkl_abi::{Errno, Result};
use lkl_net::tcp::{Settings, TimeWait, Tunables};
use lkl_ops::Instant;
use lkl_sync::{Mutex, Rank, RwLock, Timer, TimerTarget};
use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

/// Both ends of a connection. IPv4-mapped addresses are kept as IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tuple {
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    /// The link that a link-local peer is on, else 0.
    pub(super) scope: u32,
}

impl Hash for Tuple {
    /// In few words: it is done for each segment.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let number = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let ports = u64::from(self.local.1) << 48 | u64::from(self.remote.1) << 32 | u64::from(self.scope);
        state.write_u128(number(self.local.0));
        state.write_u128(number(self.remote.0));
        state.write_u64(ports);
    }
}

impl Tuple {
    pub(super) fn new(local: (IpAddr, u16), remote: (IpAddr, u16), ifindex: u32) -> Self {
        let scope = if crate::ip::needs_scope(remote.0) || crate::ip::needs_scope(local.0) { ifindex } else { 0 };
        Self { local, remote, scope }
    }

    /// What the route of its segments is looked up by.
    pub(super) fn flow(&self) -> FlowKey {
        FlowKey {
            src: Some(self.local.0),
            oif: self.scope,
            ports: (self.local.1, self.remote.1),
            proto: crate::ip::IPPROTO_TCP,
            ..FlowKey::to(self.remote.0)
        }
    }
}

/// What stands for a tuple.
#[derive(Clone)]
pub(super) enum Entry {
    Connection(Arc<TcpSocket>),
    /// Being made: the listening socket keeps it.
    Request(Arc<TcpSocket>),
    TimeWait(Arc<TimeWaitEntry>),
}

/// What stays of a connection.
pub(super) struct TimeWaitEntry {
    me: Weak<Self>,
    net: Weak<Net>,
    pub(super) tuple: Tuple,
    pub(super) family: u16,
    pub(super) state: Mutex<TimeWait>,
    id: u64,
    timer: Timer,
}

impl TimeWaitEntry {
    /// Puts `state` in the place of the connection of `tuple`, whose port it keeps.
    pub(super) fn enter(net: &Arc<Net>, tuple: Tuple, family: u16, state: TimeWait, owner: Option<Owner>) {
        net.snmp().tcp_ext.tw.inc();
        let limit = usize::try_from(net.sysctl().tcp_max_tw_buckets.get()).unwrap_or(0);
        if net.tcp.time_waits.load(Relaxed) >= limit {
            net.snmp().tcp_ext.tcp_time_wait_overflow.inc();
            net.tcp.remove(&tuple, None);
            return;
        }
        let id = net.new_ino();
        let entry = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            net: Arc::downgrade(net),
            tuple,
            family,
            state: Mutex::new(Rank::Queue, state),
            id,
            timer: Timer::default(),
        });
        if let Some(owner) = owner {
            let owner = Owner { listening: false, ..owner };
            net.tcp.ports.lock().put(tuple.local.1, id, owner);
        }
        net.tcp.time_waits.fetch_add(1, Relaxed);
        net.tcp.put(tuple, Entry::TimeWait(entry.clone()));
        entry.rearm(net);
    }

    pub(super) fn deadline(&self) -> Instant {
        self.state.lock().deadline()
    }

    pub(super) fn rearm(&self, net: &Net) {
        net.arm(&self.timer, || self.me.clone(), self.deadline());
    }

    pub(super) fn forget(&self, net: &Net) {
        if net.tcp.remove(&self.tuple, Some(core::ptr::from_ref(self).cast())) {
            net.tcp.time_waits.fetch_sub(1, Relaxed);
            net.tcp.ports.lock().release(self.tuple.local.1, self.id);
            net.timers().disarm(&self.timer);
        }
    }
}

impl TimerTarget for TimeWaitEntry {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn expire(&self, now: Instant) -> Option<Instant> {
        let at = self.deadline();
        if at > now {
            return Some(at);
        }
        if let Some(net) = self.net.upgrade() {
            self.forget(&net);
        }
        None
    }
}

const SHARDS: usize = 64;
/// Routes that are remembered to be shared.
const ROUTES: usize = 256;
/// Counts of ports.
const PORTS_TAKEN: usize = 256;

/// Read for each segment: what a program holds that is killed meanwhile does not keep others from reading.
type Shard = RwLock<Entries>;

/// Both ends of a connection of IPv4, in a quarter of the room.
type V4 = ([u8; 4], [u8; 4], u16, u16);

impl Tuple {
    fn v4(&self) -> Option<V4> {
        match (self.local, self.remote, self.scope) {
            ((IpAddr::V4(l), lp), (IpAddr::V4(r), rp), 0) => Some((l.octets(), r.octets(), lp, rp)),
            _ => None,
        }
    }

    fn of_v4((l, r, lp, rp): V4) -> Self {
        Self { local: (IpAddr::from(l), lp), remote: (IpAddr::from(r), rp), scope: 0 }
    }
}

/// A shard of the table.
#[derive(Default)]
pub(super) struct Entries {
    v4: HashMap<V4, Entry, quality::RandomState>,
    other: HashMap<Tuple, Entry, quality::RandomState>,
}

impl Entries {
    fn get(&self, tuple: &Tuple) -> Option<&Entry> {
        match tuple.v4() {
            Some(key) => self.v4.get(&key),
            None => self.other.get(tuple),
        }
    }

    fn insert(&mut self, tuple: Tuple, entry: Entry) -> Option<Entry> {
        match tuple.v4() {
            Some(key) => self.v4.insert(key, entry),
            None => self.other.insert(tuple, entry),
        }
    }

    fn remove(&mut self, tuple: &Tuple) -> Option<Entry> {
        match tuple.v4() {
            Some(key) => self.v4.remove(&key),
            None => self.other.remove(tuple),
        }
    }

    fn all(&self) -> impl Iterator<Item = (Tuple, &Entry)> {
        self.v4.iter().map(|(t, e)| (Tuple::of_v4(*t), e)).chain(self.other.iter().map(|(t, e)| (*t, e)))
    }
}

/// By port, with the address that each is bound to.
type Listeners = HashMap<u16, Vec<(IpAddr, Arc<TcpSocket>)>>;

/// The TCP sockets of a namespace.
pub struct TcpTable {
    shards: Vec<Shard>,
    /// Says which shard.
    places: quality::RandomState,
    hasher: RandomState,
    listeners: RwLock<Listeners>,
    pub(super) ports: Mutex<Ports>,
    pub(super) time_waits: AtomicUsize,
    pub(super) memory: super::memory::Memory,
    /// The settings of the namespace that connections know, and how often they have changed.
    tunables: RwLock<Arc<Tunables>>,
    pub(super) tuned: AtomicU32,
    /// The options that sockets begin with, shared as long as they are the same.
    defaults: Mutex<Arc<Settings>>,
    pub(super) peer_cookies: super::fastopen::PeerCookies,
    /// The options of `IPPROTO_IP` that sockets begin with.
    pub(crate) beginnings: Beginnings,
    /// Routes that connections have, by a hash of where they lead: those to one peer share one.
    routes: Mutex<[Weak<Route>; ROUTES]>,
    /// How many ports were taken by `connect`, by a hash of the peer (RFC 6056, section 3.3.4).
    ports_taken: [AtomicU32; PORTS_TAKEN],
}

impl Default for TcpTable {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::new(Rank::Demux, Entries::default())).collect(),
            places: quality::RandomState::default(),
            hasher: RandomState::new(),
            listeners: RwLock::new(Rank::Demux, HashMap::new()),
            ports: Mutex::new(Rank::Ports, Ports::default()),
            time_waits: AtomicUsize::new(0),
            memory: super::memory::Memory::default(),
            tunables: RwLock::new(Rank::Leaf, Arc::default()),
            tuned: AtomicU32::new(1),
            defaults: Mutex::new(Rank::Leaf, Arc::default()),
            peer_cookies: super::fastopen::PeerCookies::default(),
            beginnings: Beginnings::default(),
            routes: Mutex::new(Rank::Leaf, [const { Weak::new() }; ROUTES]),
            ports_taken: [const { AtomicU32::new(0) }; PORTS_TAKEN],
        }
    }
}

impl TcpTable {
    /// `settings`, shared with the socket before if that had the same.
    pub(super) fn shared_defaults(&self, settings: Settings) -> Arc<Settings> {
        let mut last = self.defaults.lock();
        if **last != settings {
            *last = Arc::new(settings);
        }
        last.clone()
    }

    /// `route`, shared with the connections that have the same.
    pub(super) fn shared_route(&self, route: Route) -> Arc<Route> {
        let hash = self.hasher.hash_one((route.src, route.dst)) as usize;
        let mut routes = self.routes.lock();
        let Some(slot) = routes.get_mut(hash % ROUTES) else { return Arc::new(route) };
        if let Some(same) = slot.upgrade().filter(|r| r.is_same(&route)) {
            return same;
        }
        let new = Arc::new(route);
        *slot = Arc::downgrade(&new);
        new
    }

    /// By how much the search for a port begins after `offset`, the hash of a peer; the next one begins after that.
    pub(super) fn next_port(&self, offset: u32, random: u32) -> u32 {
        let taken = self.ports_taken.get((offset >> 8) as usize % PORTS_TAKEN);
        taken.map_or(0, |t| t.fetch_add(1 + (random & 1), Relaxed))
    }

    /// The settings of the namespace that connections know.
    pub(super) fn tunables(&self) -> Arc<Tunables> {
        self.tunables.read().clone()
    }

    /// Settings have changed: each connection learns of it with the next that happens to it.
    pub(crate) fn retune(&self, s: &Sysctl) {
        *self.tunables.write() = Arc::new(super::option::tunables(s));
        self.tuned.fetch_add(1, Release);
    }

    fn shard(&self, tuple: &Tuple) -> &Shard {
        let hash = match tuple.v4() {
            Some(key) => self.places.hash_one(key),
            None => self.places.hash_one(tuple),
        };
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    pub(super) fn find(&self, tuple: &Tuple) -> Option<Entry> {
        self.shard(tuple).read().get(tuple).cloned()
    }

    /// Puts `entry` in the place of whatever is there.
    pub(super) fn put(&self, tuple: Tuple, entry: Entry) {
        let old = self.shard(&tuple).write().insert(tuple, entry);
        drop(old);
    }

    /// Puts `entry` in if the place is free.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL`
    pub(super) fn put_new(&self, tuple: Tuple, entry: Entry) -> Result<()> {
        let mut shard = self.shard(&tuple).write();
        if shard.get(&tuple).is_some() {
            return Err(Errno::EADDRNOTAVAIL);
        }
        shard.insert(tuple, entry);
        Ok(())
    }

    /// Takes out what stands for `tuple`; with `who`, only if it is that object. Answers whether it was there.
    pub(super) fn remove(&self, tuple: &Tuple, who: Option<*const ()>) -> bool {
        let mut shard = self.shard(tuple).write();
        let same = shard.get(tuple).is_some_and(|e| {
            let p: *const () = match e {
                Entry::Connection(s) | Entry::Request(s) => Arc::as_ptr(s).cast(),
                Entry::TimeWait(t) => Arc::as_ptr(t).cast(),
            };
            who.is_none_or(|w| core::ptr::eq(w, p))
        });
        let gone = if same { shard.remove(tuple) } else { None };
        drop(shard);
        gone.is_some()
    }

    /// All entries.
    pub(super) fn entries(&self) -> Vec<(Tuple, Entry)> {
        self.shards.iter().flat_map(|s| s.read().all().map(|(t, e)| (t, e.clone())).collect::<Vec<_>>()).collect()
    }

    /// The connections, but those under a lock that is held.
    pub(crate) fn tuples(&self) -> Vec<Tuple> {
        let is_connection = |e: &Entry| matches!(e, Entry::Connection(_));
        let free = self.shards.iter().filter_map(RwLock::try_read);
        free.flat_map(|s| s.all().filter(|(_, e)| is_connection(e)).map(|(t, _)| t).collect::<Vec<_>>()).collect()
    }

    pub(super) fn listen(&self, (addr, port): (IpAddr, u16), socket: Arc<TcpSocket>) {
        self.listeners.write().entry(port).or_default().push((addr, socket));
    }

    pub(super) fn unlisten(&self, port: u16, socket: &TcpSocket) {
        let mut listeners = self.listeners.write();
        let mut gone = None;
        if let Some(list) = listeners.get_mut(&port) {
            if let Some(at) = list.iter().position(|(_, s)| core::ptr::eq(Arc::as_ptr(s), socket)) {
                gone = Some(list.remove(at));
            }
            if list.is_empty() {
                listeners.remove(&port);
            }
        }
        drop(listeners);
        drop(gone);
    }

    pub(super) fn listeners(&self) -> Vec<Arc<TcpSocket>> {
        self.listeners.read().values().flatten().map(|(_, s)| s.clone()).collect()
    }

    /// The listening socket for a segment: the one that is bound most closely, of a group one by hash.
    pub(super) fn listener(&self, tuple: &Tuple, ifindex: u32) -> Option<Arc<TcpSocket>> {
        let listeners = self.listeners.read();
        let mut best: Option<(u32, Vec<&Arc<TcpSocket>>)> = None;
        for (addr, s) in listeners.get(&tuple.local.1)? {
            let Some(score) = s.listen_score(*addr, tuple.local.0, ifindex) else { continue };
            match &mut best {
                Some((b, group)) if *b == score => group.push(s),
                Some((b, _)) if *b > score => {}
                _ => best = Some((score, vec![s])),
            }
        }
        let (_, group) = best?;
        // Linux gives all to the last that listens, unless they share the port.
        let at = if group.len() > 1 { self.hasher.hash_one(tuple) as usize % group.len() } else { 0 };
        group.get(at).map(|s| (*s).clone())
    }
}

impl Net {
    /// A number for a tuple that cannot be guessed.
    pub(super) fn tcp_hash(&self, tuple: &Tuple, salt: u64) -> u64 {
        // The kind of hash matters little (RFC 6528 asks for a keyed one that is hard to invert): SipHash, keyed by
        // the secret of this namespace and by that of the table.
        let mut h = self.tcp.hasher.build_hasher();
        h.write_u64(self.secret ^ salt);
        tuple.hash(&mut h);
        h.finish()
    }

    /// The initial sequence number of a connection (RFC 6528): a clock of 4 ns ticks... and a keyed hash.
    pub(super) fn tcp_initial_sequence(&self, tuple: &Tuple) -> u32 {
        let ticks = self.now().as_nanos() >> 6;
        (self.tcp_hash(tuple, 0x5e9) as u32).wrapping_add(ticks as u32)
    }
}
