//! Connections being made: the SYN queue and the accept queue of a listening socket (`man 2 listen`).
//!
//! As on Linux, a full accept queue makes new SYNs and the last segment of a handshake be dropped: the peer sends them
//! again.

use super::fastopen::{FastOpenVerdict, Wishes};
use super::socket::{Inner, Phase, Rare, TcpSocket};
use super::table::{Entry, Tuple};
use crate::tx::RxMeta;
use crate::Route;
use bytes::Bytes;
use core::time::Duration;
use foldhash::quality::RandomState;
use lkl_net::tcp::{Connection, Request, RequestVerdict, Segment, SegmentOut, Settings};
use lkl_ops::Instant;
use lkl_sync::Events;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// A connection being made.
struct Pending {
    request: Request,
    /// Its own, since tuples have no order.
    number: u64,
    /// The way to the peer.
    route: Arc<Route>,
}

/// What a connection has from how it was made.
#[derive(Default)]
pub(super) struct Beginning {
    /// The listening socket is bound to an address.
    pub(super) addr_locked: bool,
    pub(super) fast_open: Wishes,
    pub(super) route: Option<Arc<Route>>,
    /// For `TCP_SAVED_SYN`.
    pub(super) saved_syn: Option<Box<[u8]>>,
}

/// What a listening socket keeps.
pub(super) struct Listener {
    backlog: usize,
    requests: HashMap<Tuple, Pending, RandomState>,
    /// When something is to be done about them, with their numbers.
    due: BTreeMap<(Instant, u64), Tuple>,
    next_number: u64,
    ready: VecDeque<Arc<TcpSocket>>,
    /// When a SYN was last answered by a cookie.
    pub(super) overflowed: Option<Instant>,
}

impl Listener {
    pub(super) fn new(backlog: usize) -> Self {
        Self {
            backlog,
            requests: HashMap::default(),
            due: BTreeMap::new(),
            next_number: 0,
            ready: VecDeque::new(),
            overflowed: None,
        }
    }

    pub(super) fn set_backlog(&mut self, backlog: usize) {
        self.backlog = backlog;
    }

    pub(super) fn backlog(&self) -> usize {
        self.backlog
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = (&Tuple, &Request)> {
        self.requests.iter().map(|(tuple, pending)| (tuple, &pending.request))
    }

    pub(super) fn push_ready(&mut self, child: Arc<TcpSocket>) {
        self.ready.push_back(child);
    }

    pub(super) fn pop(&mut self) -> Option<Arc<TcpSocket>> {
        self.ready.pop_front()
    }

    /// Linux lets in one more than the backlog says.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() > self.backlog
    }

    /// What to do with another SYN (`net.ipv4.tcp_syncookies`, `net.ipv4.tcp_max_syn_backlog`).
    fn room(&self, syncookies: i64, most: usize) -> Room {
        let many = self.requests.len() > self.backlog;
        match syncookies {
            _ if self.is_full() => Room::None,
            2 => Room::Cookie,
            1 if many => Room::Cookie,
            // Without cookies some room is kept for peers that are known; there are none.
            0 if many || most.saturating_sub(self.requests.len()) < most / 4 => Room::None,
            _ => Room::Request,
        }
    }

    fn insert(&mut self, tuple: Tuple, request: Request, route: Arc<Route>) {
        self.next_number += 1;
        let number = self.next_number;
        self.due.insert((request.deadline(), number), tuple);
        self.requests.insert(tuple, Pending { request, number, route });
    }

    fn remove(&mut self, tuple: &Tuple) -> Option<Pending> {
        let pending = self.requests.remove(tuple)?;
        self.due.remove(&(pending.request.deadline(), pending.number));
        Some(pending)
    }
}

/// Is there room for a request?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    /// Yes.
    Request,
    /// Not for one, but a cookie needs none.
    Cookie,
    /// No.
    None,
}

/// What is to be undone, once the lock is released, of a socket that no longer listens.
pub(super) struct Stopped {
    port: u16,
    requests: Vec<Tuple>,
    ready: VecDeque<Arc<TcpSocket>>,
}

impl Stopped {
    pub(super) fn finish(self, socket: &TcpSocket) {
        let net = &socket.net;
        net.tcp.unlisten(self.port, socket);
        net.timers().disarm(&socket.timer);
        for tuple in self.requests {
            net.tcp.remove(&tuple, Some(core::ptr::from_ref(socket).cast()));
        }
        // Nobody will ever take these (RFC 9293, section 3.10.4).
        for child in self.ready {
            child.options.linger.store(true, core::sync::atomic::Ordering::Relaxed);
            child.options.linger_secs.store(0, core::sync::atomic::Ordering::Relaxed);
            lkl_file::File::release(&*child);
        }
    }
}

impl TcpSocket {
    /// Stops listening, if it does; the caller finishes the answer holding no lock.
    pub(super) fn stop_listening(&self, inner: &mut Inner) -> Option<Stopped> {
        let Phase::Listen(_) = &inner.phase else { return None };
        let Phase::Listen(l) = core::mem::replace(&mut inner.phase, Phase::Idle) else { return None };
        Some(Stopped { port: inner.local.1, requests: l.requests.into_keys().collect(), ready: l.ready })
    }

    /// How often a request that is acknowledged without data is asked again before it is let in.
    fn deferral(&self, secs: u32) -> u32 {
        let retries = u32::try_from(self.net.sysctl().tcp_synack_retries.get()).unwrap_or(0);
        if secs == 0 {
            0
        } else {
            Request::retries_for(secs).min(retries.max(1))
        }
    }

    /// A SYN came. `iss` is the least initial sequence number, if a connection in TIME_WAIT gave way.
    pub(super) fn on_syn(&self, meta: &RxMeta, tuple: Tuple, syn: &Segment, payload: &Bytes, iss: Option<u32>) {
        let Some(me) = self.me.upgrade() else { return };
        let ext = &self.net.snmp().tcp_ext;
        // The route is looked up before the lock is taken.
        let Ok(route) = self.route_of(&tuple) else {
            ext.listen_drops.inc();
            return;
        };
        let mut inner = self.inner.lock();
        let now = self.net.now();
        let settings = inner.settings.clone();
        let Phase::Listen(l) = &mut inner.phase else { return };
        let pending = usize::try_from(self.net.sysctl().tcp_max_syn_backlog.get()).unwrap_or(1024);
        // One that takes the place of what is in TIME_WAIT has its number already.
        let cookies = if iss.is_some() { 0 } else { self.net.sysctl().tcp_syncookies.get() };
        match l.room(cookies, pending) {
            Room::Request => {}
            Room::Cookie => {
                l.overflowed = Some(now);
                drop(inner);
                self.answer_by_cookie(&tuple, &route, &settings, syn, now);
                return;
            }
            Room::None => {
                if l.is_full() {
                    ext.listen_overflows.inc();
                } else {
                    ext.tcp_req_q_full_drop.inc();
                }
                ext.listen_drops.inc();
                drop(inner);
                tracing::debug!(target: "lkl::drop", "a SYN from {}: the queue is full", meta.src);
                return;
            }
        }
        let mut config = self.config(&tuple, &route, &settings);
        config.ecn = super::option::ecn_kinds(self.net.sysctl()).1;
        if let Some(iss) = iss {
            config.iss = iss;
        }
        let mut request = Request::new(config, syn, now);
        if inner.rare.as_ref().is_some_and(|r| r.save_syn) {
            // From the IP header on, without payload.
            let header = meta.packet.get(meta.transport + 12).map_or(0, |b| usize::from(b >> 4) * 4);
            request.save_syn(meta.packet.get(..meta.transport + header).unwrap_or_default());
        }
        let mut answer = request.syn_ack(now);
        if syn.options.fast_open.is_some() || !payload.is_empty() {
            match self.on_fast_open(&mut inner, (meta, &tuple, syn, payload), &request, now) {
                FastOpenVerdict::Ignore => {}
                FastOpenVerdict::Give(cookie) => answer.header.options.fast_open = Some(cookie),
                FastOpenVerdict::Taken(child) => {
                    drop(inner);
                    self.introduce(&child, &tuple, now);
                    return;
                }
            }
        }
        let Phase::Listen(l) = &mut inner.phase else { return };
        let due = request.deadline();
        if self.net.tcp.put_new(tuple, Entry::Request(me)).is_err() {
            return;
        }
        l.insert(tuple, request, route.clone());
        drop(inner);
        self.arm(due);
        self.answer(&tuple, answer, route);
    }

    /// Sends a segment of the handshake with the options of this socket.
    pub(super) fn answer(&self, tuple: &Tuple, out: SegmentOut, route: Arc<Route>) {
        self.net.snmp().tcp.out_segs.inc();
        let mut tx = super::packet(tuple.local.0, tuple.remote.0, out);
        tx.route = Some(route);
        self.inet.apply(&self.options, &mut tx);
        if tuple.scope != 0 {
            tx.oif = tuple.scope;
        }
        if let Err(e) = self.net.ip_output(tx) {
            tracing::debug!(target: "lkl::drop", "a SYN-ACK to {} cannot be sent: {e}", tuple.remote.0);
        }
    }

    /// A segment came for a request. Gives the payload back if there is no such request.
    pub(super) fn on_request_segment(
        &self,
        meta: &RxMeta,
        tuple: &Tuple,
        header: &Segment,
        payload: Bytes,
    ) -> Option<Bytes> {
        let mut inner = self.inner.lock();
        let now = self.net.now();
        let defer = self.deferral(inner.defer_accept_secs);
        let settings = inner.settings.clone();
        let addr_locked = inner.addr_locked;
        let Phase::Listen(l) = &mut inner.phase else { return Some(payload) };
        let full = l.is_full();
        let Some(Pending { request, route, .. }) = l.requests.get_mut(tuple) else { return Some(payload) };
        match request.on_segment(now, header, payload.len(), defer) {
            RequestVerdict::Drop => {}
            RequestVerdict::Answer(out) => {
                let route = route.clone();
                drop(inner);
                self.answer(tuple, out, route);
            }
            RequestVerdict::Forget => {
                l.remove(tuple);
                drop(inner);
                self.net.snmp().tcp.attempt_fails.inc();
                self.net.snmp().tcp_ext.embryonic_rsts.inc();
                self.net.tcp.remove(tuple, Some(core::ptr::from_ref(self).cast()));
            }
            RequestVerdict::Accept => {
                if full {
                    let abort = self.net.sysctl().tcp_abort_on_overflow.on();
                    if abort {
                        l.remove(tuple);
                    } else {
                        request.note_overflow();
                    }
                    drop(inner);
                    if abort {
                        // The peer is told, instead of being let try again.
                        self.net.tcp.remove(tuple, Some(core::ptr::from_ref(self).cast()));
                        super::refuse(&self.net, meta, header, payload.len());
                        self.net.snmp().tcp_ext.embryonic_rsts.inc();
                    }
                    self.net.snmp().tcp_ext.listen_overflows.inc();
                    self.net.snmp().tcp_ext.listen_drops.inc();
                    tracing::debug!(target: "lkl::drop", "a handshake of {}: nobody accepts", meta.src);
                    return None;
                }
                let Pending { mut request, route, .. } = l.remove(tuple)?;
                let saved = request.take_saved_syn();
                let mut connection = Connection::accept(&request, settings.clone(), now);
                connection.on_segment(now, header, payload);
                let from = Beginning { addr_locked, route: Some(route), saved_syn: saved, ..Beginning::default() };
                let child = self.child(tuple, connection, settings, meta, from);
                l.ready.push_back(child.clone());
                self.net.tcp.put(*tuple, Entry::Connection(child.clone()));
                drop(inner);
                self.introduce(&child, tuple, now);
            }
        }
        None
    }

    /// A connection stands in the accept queue and in the table: the rest of the world learns of it.
    pub(super) fn introduce(&self, child: &Self, tuple: &Tuple, now: Instant) {
        self.net.snmp().tcp.passive_opens.inc();
        let owner = self.net.tcp.ports.lock().get(tuple.local.1, self.ino);
        if let Some(owner) = owner {
            let owner = super::ports::Owner { addr: tuple.local.0, listening: false, ..owner };
            self.net.tcp.ports.lock().put(tuple.local.1, child.ino, owner);
        }
        child.work_now(now);
        self.waiters.wake(Events::READ);
    }

    pub(super) fn child(
        &self,
        tuple: &Tuple,
        c: Connection,
        settings: Arc<Settings>,
        meta: &RxMeta,
        from: Beginning,
    ) -> Arc<Self> {
        let saved = |syn| Box::new(Rare { save_syn: true, saved_syn: Some(syn), ..Rare::default() });
        let inner = Inner {
            phase: Phase::Connection(Box::new(c)),
            local: tuple.local,
            addr_locked: from.addr_locked,
            port_locked: false,
            tuple: Some(*tuple),
            hashed: true,
            released: false,
            settings,
            route: from.route,
            defer_accept_secs: 0,
            no_quick_ack: false,
            old_port: 0,
            shut: 0,
            fast_open: from.fast_open,
            charged: 0,
            rare: from.saved_syn.map(saved),
            orphan: false,
            tuned: 0,
        };
        // As Linux has it: what the peer's segment came with.
        let inet = self.inet.inherit(&self.net, meta.src.is_ipv6(), meta.ttl);
        Self::with(&self.net, self.family, self.options.inherit(), inet, inner)
    }

    /// Does what its connection wants done.
    fn work_now(&self, now: Instant) {
        let mut inner = self.inner.lock();
        let now = now.max(self.net.now());
        let work = self.collect(&mut inner, now);
        drop(inner);
        self.finish(work);
    }

    /// A hard ICMP error about a SYN-ACK.
    pub(super) fn on_request_error(&self, tuple: &Tuple, seq: u32) {
        let _ = seq;
        let mut inner = self.inner.lock();
        let gone = match &mut inner.phase {
            Phase::Listen(l) => l.remove(tuple).is_some(),
            _ => false,
        };
        drop(inner);
        if gone {
            self.net.snmp().tcp.attempt_fails.inc();
            self.net.tcp.remove(tuple, Some(core::ptr::from_ref(self).cast()));
        }
    }

    /// SYN-ACKs that were not answered are sent again, or given up.
    pub(super) fn requests_expire(&self, now: Instant) -> Option<Instant> {
        let mut answers = Vec::new();
        let mut gone = Vec::new();
        let mut inner = self.inner.lock();
        let defer = self.deferral(inner.defer_accept_secs);
        let Phase::Listen(l) = &mut inner.phase else { return None };
        while let Some((&(at, n), &tuple)) = l.due.first_key_value() {
            if at > now {
                break;
            }
            l.due.pop_first();
            let pending = l.requests.get_mut(&tuple).filter(|p| p.number == n);
            let Some(Pending { request, route, .. }) = pending else { continue };
            let (answer, keep) = request.on_timer(now, defer);
            let route = route.clone();
            let next = request.deadline().max(now + Duration::from_millis(1));
            if keep {
                l.due.insert((request.deadline().max(next), n), tuple);
            } else {
                l.remove(&tuple);
                gone.push(tuple);
            }
            answers.extend(answer.map(|a| (tuple, a, route)));
        }
        let next = l.due.first_key_value().map(|((at, _), _)| *at);
        drop(inner);
        for tuple in gone {
            self.net.tcp.remove(&tuple, Some(core::ptr::from_ref(self).cast()));
        }
        for (tuple, answer, route) in answers {
            self.net.snmp().tcp.retrans_segs.inc();
            self.net.snmp().tcp_ext.tcp_syn_retrans.inc();
            self.answer(&tuple, answer, route);
        }
        next
    }
}
