//! What is to be done once a socket's lock is released.

use super::socket::{Inner, Phase, TcpSocket};
use super::table::{TimeWaitEntry, Tuple};
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};
use lkl_abi::Errno;
use lkl_net::tcp::{Connection, Event, SegmentOut, State, Stats, TimeWait};
use lkl_ops::Instant;
use lkl_sync::{Events, Mutex, Rank};

/// The most payload that one packet carries through the stack.
const MAX_GSO: usize = 65_535 - 40 - 60;

/// Work left by a socket.
#[derive(Default)]
#[must_use]
pub(super) struct Work {
    /// There are segments in the socket's [`OutQueue`].
    out: bool,
    tuple: Option<Tuple>,
    wake: Events,
    deadline: Option<Instant>,
    stats: Option<Stats>,
    /// The connection is over.
    closed: bool,
    time_wait: Option<TimeWait>,
    /// The port goes back, too.
    release_port: Option<u16>,
}

/// Segments on their way out. They are put in under the socket's lock and sent by one thread at a time holding no lock,
/// so that threads which work on one connection do not overtake each other.
#[derive(Debug)]
pub(super) struct OutQueue {
    segments: Mutex<Vec<SegmentOut>>,
    len: AtomicU32,
    sending: AtomicBool,
}

impl Default for OutQueue {
    fn default() -> Self {
        let segments = Mutex::new(Rank::Queue, Vec::new());
        Self { segments, len: AtomicU32::new(0), sending: AtomicBool::new(false) }
    }
}

impl OutQueue {
    /// Whoever sent is gone.
    pub(super) fn abandon(&self) {
        self.sending.store(false, SeqCst);
    }

    /// Puts in what `next` gives; answers whether that was anything.
    fn fill(&self, mut next: impl FnMut() -> Option<SegmentOut>) -> bool {
        // Most often there is nothing.
        let Some(first) = next() else { return false };
        let mut all = self.segments.lock();
        all.push(first);
        while let Some(segment) = next() {
            all.push(segment);
        }
        self.len.store(u32::try_from(all.len()).unwrap_or(u32::MAX), SeqCst);
        true
    }

    /// Has `send` called with what was put in, unless another thread is at it: that one will see it.
    fn drain(&self, mut send: impl FnMut(Vec<SegmentOut>)) {
        while self.len.load(SeqCst) > 0 {
            if self.sending.swap(true, SeqCst) {
                return;
            }
            loop {
                let batch = {
                    let mut all = self.segments.lock();
                    self.len.store(0, SeqCst);
                    core::mem::take(&mut *all)
                };
                if batch.is_empty() {
                    break;
                }
                send(batch);
            }
            self.sending.store(false, SeqCst);
        }
    }
}

impl Work {
    /// Without waking anybody: the caller does that.
    pub(super) fn quietly(self) -> Self {
        Self { wake: Events::EMPTY, ..self }
    }
}

impl TcpSocket {
    /// Asks the connection for all that it wants done. Called under the socket's lock.
    pub(super) fn collect(&self, inner: &mut Inner, now: Instant) -> Work {
        let mut work = Work { tuple: inner.tuple, ..Work::default() };
        let Phase::Connection(c) = &mut inner.phase else { return work };
        work.out = self.out.fill(|| c.poll_transmit(now, MAX_GSO));
        let held = c.memory();
        self.net.tcp.charge(core::mem::replace(&mut inner.charged, held), held);
        let events = c.take_events();
        work.wake = events_of(events, c);
        work.stats = Some(c.take_stats());
        if events.contains(Event::ERROR) {
            if let Some(e) = c.take_error() {
                self.options.set_error(e);
            }
        }
        if events.intersects(Event::CONNECTED | Event::CLOSED | Event::TIME_WAIT) {
            if let (Some(outcome), Some(tuple)) = (c.take_fast_open_outcome(), inner.tuple) {
                self.note_fast_open(tuple.remote.0, outcome);
            }
            if inner.fast_open.waiting.is_some() {
                if let Some(waiting) = inner.fast_open.tell().waiting.take() {
                    waiting.fetch_sub(1, Relaxed);
                }
            }
        }
        if events.contains(Event::BUFFERS) {
            let (snd, rcv) = c.buffers();
            self.options.sndbuf.store(snd, Relaxed);
            self.options.rcvbuf.store(rcv, Relaxed);
        }
        if c.state() == State::TimeWait {
            work.time_wait = c.time_wait();
        }
        if inner.orphan && matches!(c.state(), State::Closed | State::TimeWait) {
            inner.orphan = false;
            self.net.tcp.count_orphan(false);
        }
        if c.state() == State::Closed {
            work.closed = inner.hashed;
            inner.hashed = false;
            if inner.released || !inner.port_locked {
                work.release_port = Some(inner.local.1);
            }
        }
        work.deadline = c.deadline();
        work
    }

    /// Does it. Called holding no lock. The connection's next deadline is answered for a caller that arms it itself.
    pub(super) fn perform(&self, work: Work) -> Option<Instant> {
        let Some(tuple) = work.tuple else {
            if !work.wake.is_empty() {
                self.waiters.wake(work.wake);
            }
            return None;
        };
        if let Some(mut stats) = work.stats {
            self.count(&mut stats);
        }
        if work.out {
            self.out.drain(|batch| self.transmit(&tuple, batch));
        }
        if work.closed {
            self.over(&tuple, work.time_wait, work.release_port);
        }
        if !work.wake.is_empty() {
            self.waiters.wake(work.wake);
            if work.wake.intersects(Events::OUT) && self.options.no_space.load(Relaxed) {
                self.options.no_space.store(false, Relaxed);
            }
        }
        self.net.flush_output();
        work.deadline
    }

    /// Does it, and sets the timer.
    pub(super) fn finish(&self, work: Work) {
        if let Some(at) = self.perform(work) {
            self.arm(at);
        }
    }

    pub(super) fn arm(&self, at: Instant) {
        self.net.arm(&self.timer, || self.me.clone(), at);
    }

    fn transmit(&self, tuple: &Tuple, out: Vec<SegmentOut>) {
        let route = self.current_route(tuple);
        for segment in out {
            let ecn = segment.header.ecn as u8;
            let stamp = self.stamp_of(&segment);
            let mut tx = super::packet(tuple.local.0, tuple.remote.0, segment);
            self.inet.apply(&self.options, &mut tx);
            tx.tos |= ecn;
            if tuple.scope != 0 {
                tx.oif = tuple.scope;
            }
            tx.route.clone_from(&route);
            tx.stamp = stamp;
            if let Err(e) = self.net.ip_output_queued(tx) {
                tracing::debug!(target: "lkl::drop", "a TCP segment to {} cannot be sent: {e}", tuple.remote.0);
                if e == Errno::EMSGSIZE {
                    self.path_changed(tuple);
                }
            }
        }
    }

    /// The connection is over: its place in the tables goes to what stays of it, or is freed.
    fn over(&self, tuple: &Tuple, time_wait: Option<TimeWait>, port: Option<u16>) {
        let net = &self.net;
        match time_wait {
            Some(tw) => {
                let owner = net.tcp.ports.lock().get(tuple.local.1, self.ino);
                TimeWaitEntry::enter(net, *tuple, self.family, tw, owner);
            }
            None => {
                net.tcp.remove(tuple, Some(core::ptr::from_ref(self).cast()));
            }
        }
        if let Some(port) = port {
            net.tcp.ports.lock().release(port, self.ino);
        }
        net.timers().disarm(&self.timer);
    }

    fn count(&self, s: &mut Stats) {
        let tcp = &self.net.snmp().tcp;
        let ext = &self.net.snmp().tcp_ext;
        macro_rules! add {
            ($s:ident: $($mib:ident . $to:ident = $from:ident),* $(,)?) => {
                $(if $s.$from > 0 { $mib.$to.add(u64::from($s.$from)); })*
            };
        }
        add!(s:
            tcp.out_segs = out_segs,
            ext.delayed_acks = delayed_acks,
        );
        let Some(s) = s.rare.changed() else { return };
        add!(s:
            tcp.retrans_segs = retrans_segs,
            tcp.out_rsts = out_rsts,
            tcp.estab_resets = estab_resets,
            tcp.attempt_fails = attempt_fails,
            ext.tcp_timeouts = timeouts,
            ext.tcp_fast_retrans = fast_retrans,
            ext.tcp_loss_probes = loss_probes,
            ext.tcp_loss_probe_recovery = loss_probe_recovery,
            ext.tcp_spurious_rtos = spurious_rtos,
            ext.tcp_loss_undo = loss_undo,
            ext.tcp_mtup_success = mtup_success,
            ext.tcp_mtup_fail = mtup_fail,
            ext.ofo_pruned = ofo_pruned,
            ext.tcp_rcv_q_drop = rcvq_drop,
            ext.tcp_sack_recovery = sack_recovery,
            ext.tcp_reno_recovery = reno_recovery,
            ext.tcp_challenge_ack = challenge_ack,
            ext.tcp_syn_challenge = syn_challenge,
            ext.paws_estab = paws_estab,
            ext.tcp_ofo_queue = ofo_queue,
            ext.tcp_dsack_old_sent = dsack_old_sent,
            ext.tcp_dsack_recv = dsack_recv,
            ext.tcp_abort_on_timeout = abort_on_timeout,
            ext.tcp_abort_on_data = abort_on_data,
            ext.tcp_abort_on_close = abort_on_close,
            ext.tcp_keep_alive = keepalive,
            ext.tcp_full_undo = undo,
        );
        if s.challenge_ack > 0 {
            self.net.tcp_challenged(s.challenge_ack);
        }
    }
}

fn events_of(events: Event, c: &Connection) -> Events {
    let mut wake = Events::EMPTY;
    if events.contains(Event::READABLE) {
        wake |= Events::READ;
    }
    if events.intersects(Event::WRITABLE) && c.can_write() {
        wake |= Events::WRITE;
    }
    if events.intersects(Event::CONNECTED) {
        wake |= Events::WRITE;
    }
    if events.contains(Event::URGENT) {
        wake |= Events::PRI;
    }
    if events.contains(Event::PEER_CLOSED) {
        wake |= Events::READ | Events::RDHUP;
    }
    if events.contains(Event::ERROR) {
        wake |= Events::ERR | Events::READ | Events::WRITE;
    }
    if events.contains(Event::CLOSED) || events.contains(Event::TIME_WAIT) {
        wake |= Events::HUP | Events::READ | Events::WRITE;
    }
    wake
}
