//! One connection: RFC 9293's state machine and all that hangs on it.
//!
//! The caller gives segments ([`Connection::on_segment`]), the program's wishes and the time; it asks for segments to
//! send ([`Connection::poll_transmit`], until there is none), for the next deadline, and for what changed
//! ([`Connection::take_events`]).
//!
//! * `input`: arriving segments, checks, states. `ack`: what acknowledgements say. `recovery`: what follows from that: loss
//!   and congestion. `ecn`: marks of congestion. `fastopen`: data in the SYN. `receive`: data, and
//!   when to acknowledge it. `output`: segments to send. `pace`: at what rate. `mtu`: how long. `memory`: how much. `timer`: deadlines. `user`: the program's
//!   calls. `info`: `TCP_INFO`.

mod ack;
mod ecn;
mod fastopen;
mod info;
mod input;
mod memory;
mod mtu;
mod output;
mod pace;
mod receive;
mod recovery;
mod timer;
mod user;

pub use fastopen::FastOpenOutcome;
pub use info::Info;
pub use memory::MemoryLevel;
pub use user::Read;

use super::config::{Config, Settings};
use super::cong::{self, Control, Window, INITIAL_WINDOW};
use super::rare::{Beginning, Fault, Rare};
use super::rate::Rate;
use super::recvq::{OutOfOrder, RecvQueue};
use super::request::Request;
use super::rtt::Rtt;
use super::scoreboard::Scoreboard;
use super::segment::{Flags, Options, Segment};
use super::sendq::SendQueue;
use super::seq::{Space, BASE};
use super::timewait::TimeWait;
use super::State;
use core::num::NonZeroU64;
use core::time::Duration;
use lkl_abi::Errno;
use lkl_ops::Instant;
use std::sync::Arc;

/// The MSS of a peer that announces none (RFC 9293, section 3.7.1).
pub(super) const DEFAULT_MSS: u16 = 536;
/// The least MSS that is believed.
pub(super) const MIN_MSS: u16 = 48;
/// The least delay of an acknowledgement.
const DELACK_MIN: Duration = Duration::from_millis(40);
/// The greatest.
const DELACK_MAX: Duration = Duration::from_millis(200);
/// Acknowledgements sent at once when data begins to come.
const QUICK_ACKS: u8 = 16;

bitflags::bitflags! {
    /// What changed since the caller last asked.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Event: u16 {
        /// There is more to read.
        const READABLE = 1;
        /// There is more room to write.
        const WRITABLE = 2;
        /// Urgent data came or was announced.
        const URGENT = 4;
        /// The handshake is over.
        const CONNECTED = 8;
        /// The peer sends no more.
        const PEER_CLOSED = 16;
        /// The connection failed; [`Connection::take_error`] says why.
        const ERROR = 32;
        /// The state is [`State::Closed`]: it may be forgotten.
        const CLOSED = 64;
        /// The state is [`State::TimeWait`]: [`Connection::time_wait`] gives what is to stay.
        const TIME_WAIT = 128;
        /// The buffer sizes changed ([`Connection::buffers`]).
        const BUFFERS = 256;
    }
}

/// Counts since the caller last asked, for `/proc/net/snmp` and `/proc/net/netstat`.
#[derive(Default, Debug)]
#[expect(missing_docs, reason = "each is named as in /proc/net/snmp and /proc/net/netstat")]
pub struct Stats {
    pub out_segs: u32,
    pub delayed_acks: u16,
    pub rare: Rare<RareStats>,
}

/// Those of them that seldom change.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is named as in /proc/net/snmp and /proc/net/netstat")]
pub struct RareStats {
    pub retrans_segs: u32,
    pub out_rsts: u16,
    pub estab_resets: u16,
    pub attempt_fails: u16,
    pub timeouts: u16,
    pub fast_retrans: u32,
    pub loss_probes: u16,
    pub loss_probe_recovery: u16,
    pub spurious_rtos: u16,
    pub loss_undo: u16,
    pub mtup_success: u16,
    pub mtup_fail: u16,
    pub ofo_pruned: u16,
    pub rcvq_drop: u16,
    pub sack_recovery: u16,
    pub reno_recovery: u16,
    pub challenge_ack: u16,
    pub syn_challenge: u16,
    pub paws_estab: u16,
    pub ofo_queue: u16,
    pub dsack_old_sent: u16,
    pub dsack_recv: u16,
    pub abort_on_timeout: u16,
    pub abort_on_data: u16,
    pub abort_on_close: u16,
    pub keepalive: u16,
    pub undo: u16,
}

impl Beginning for RareStats {
    const BEGINNING: &'static Self = &Self {
        retrans_segs: 0,
        out_rsts: 0,
        estab_resets: 0,
        attempt_fails: 0,
        timeouts: 0,
        fast_retrans: 0,
        loss_probes: 0,
        loss_probe_recovery: 0,
        spurious_rtos: 0,
        loss_undo: 0,
        mtup_success: 0,
        mtup_fail: 0,
        ofo_pruned: 0,
        rcvq_drop: 0,
        sack_recovery: 0,
        reno_recovery: 0,
        challenge_ack: 0,
        syn_challenge: 0,
        paws_estab: 0,
        ofo_queue: 0,
        dsack_old_sent: 0,
        dsack_recv: 0,
        abort_on_timeout: 0,
        abort_on_data: 0,
        abort_on_close: 0,
        keepalive: 0,
        undo: 0,
    };
}

/// Where the sender stands after a loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Recovery {
    /// Nothing is lost.
    Open,
    /// The window comes down after a mark of congestion (RFC 3168, section 6.1.2).
    Cwr,
    /// Lost segments are sent again (RFC 6675, section 5; RFC 6582, section 3.2).
    Fast,
    /// The retransmission time-out ran out (RFC 5681, section 3.1).
    Timeout,
}

/// Proportional rate reduction (RFC 9937, section 6), all in bytes.
#[derive(Clone, Copy, Default, Debug)]
struct Reduction {
    /// Outstanding when the recovery began.
    flight: u64,
    /// Delivered since.
    delivered: u64,
    /// Sent since.
    out: u64,
}

/// A tail loss probe under way (RFC 8985, section 7.3).
#[derive(Clone, Copy, Debug)]
struct Tlp {
    /// `nxt` when it was sent.
    end: u64,
    /// It was something sent before.
    retransmission: bool,
}

/// What to go back to if a loss was none.
#[derive(Clone, Copy, Debug)]
struct Undo {
    cwnd: u64,
    ssthresh: u64,
    /// Bytes sent again that the peer has not reported as duplicates; `None` before the first.
    resent: Option<u64>,
    /// `TSval` of the first retransmission.
    stamp: Option<u32>,
}

/// What only loss and its repair need.
#[derive(Clone, Copy, Debug)]
struct Repair {
    reduction: Reduction,
    /// Where the recovery ends.
    high: u64,
    /// Duplicate acknowledgements of a peer without SACK.
    dup_acks: u64,
    undo: Option<Undo>,
    tlp: Option<Tlp>,
    /// After a time-out: it is not known yet whether it was spurious (RFC 5682).
    frto: bool,
    /// New data goes before what is lost (RFC 5682, section 2.1, step 2b).
    prefer_new: bool,
}

impl Beginning for Repair {
    const BEGINNING: &'static Self = &Self {
        reduction: Reduction { flight: 0, delivered: 0, out: 0 },
        high: BASE,
        dup_acks: 0,
        undo: None,
        tlp: None,
        frto: false,
        prefer_new: false,
    };
}

/// The sending half. Positions are those of [`Space`].
#[derive(Debug)]
struct Tx {
    space: Space,
    /// Oldest position not acknowledged.
    una: u64,
    /// Next position to send.
    nxt: u64,
    /// The peer's window in bytes.
    window: u32,
    /// The greatest that it was.
    max_window: u32,
    /// Position of the segment that last set the window.
    wl: u64,
    /// The peer's window scale.
    scale: u8,
    queue: SendQueue,
    /// The program has closed: a FIN follows the last byte.
    fin: bool,
    /// End of the last segment sent that was not full (Minshall's rule for Nagle).
    small: u64,
    /// `MSG_MORE` was the last word.
    more: bool,
    peer_mss: u16,
    path_mss: u16,
    board: Scoreboard,
    recovery: Recovery,
    repair: Rare<Repair>,
    /// With the payload of a full segment, timestamps allowed for.
    win: Window,
    cc: Control,
    rate: Rate,
    chrono: pace::Chrono,
    /// The window was the limit when the sender last stopped.
    cwnd_limited: bool,
    /// The number of the current round trip.
    round: u32,
    /// The next lost segment goes out whatever the window says.
    force_lost: bool,
    /// The next segment goes out whatever Nagle or the congestion window say.
    force_new: bool,
    /// When data was last sent.
    last_sent: Instant,
    /// When `una` last moved, or the first outstanding byte was sent; before the handshake is over, when the SYN was sent first.
    progress_at: Instant,
    /// Retransmissions in a row without progress.
    retries: u8,
    /// Zero window probes in a row without an answer.
    probes: u8,
    /// How often the time between probes was doubled; an answer does not change it.
    probe_backoff: u8,
    /// Someone found no room.
    no_room: bool,
}

impl Tx {
    /// The peer's window in bytes.
    fn wnd(&self) -> u64 {
        self.window.into()
    }

    /// The greatest that it was.
    fn max_wnd(&self) -> u64 {
        self.max_window.into()
    }
}

/// Urgent data, as BSD has it (RFC 6093, section 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Urgent {
    /// Announced, not here yet.
    Coming,
    /// Here.
    Here(u8),
    /// Read by `MSG_OOB`.
    Taken,
}

/// The receiving half.
#[derive(Debug)]
struct Rx {
    space: Space,
    /// Next position wanted.
    nxt: u64,
    /// `nxt` when last acknowledged.
    acked: u64,
    /// End of the window that the peer was told.
    edge: u64,
    /// Our window scale.
    scale: u8,
    queue: RecvQueue,
    ooo: OutOfOrder,
    /// Position of the FIN, once known.
    fin: Option<NonZeroU64>,
    /// It is before `nxt`.
    ended: bool,
    /// `SHUT_RD` or closed.
    shutdown: bool,
    /// Round trip time as the receiver sees it, in eighths of a microsecond; 0 before the first sample.
    rtt8: u32,
    /// The echo that made the last sample.
    rtt_echo: u32,
    /// Without timestamps: when all up to here has come, which was let at that time, a round trip is over. 0: not yet.
    rtt_mark: (u64, Instant),
    /// Auto-tuning: bytes read since, when, and the greatest so far.
    space_copied: u32,
    space_max: u32,
    space_at: Instant,
}

impl Rx {
    /// Position of the end of the data that came in order.
    fn data_end(&self) -> u64 {
        self.nxt - u64::from(self.ended)
    }

    /// Bytes that came in order.
    fn bytes(&self) -> u64 {
        self.data_end().saturating_sub(BASE + 1)
    }
}

/// When to acknowledge.
#[derive(Debug)]
struct Acking {
    /// Now.
    now: bool,
    /// Something is not acknowledged yet.
    pending: bool,
    quick: u8,
    /// What is pending ends with a segment that is not full: the peer waits, most likely.
    short: bool,
    /// Data goes both ways in turn: an acknowledgement may wait for the answer.
    pingpong: bool,
    /// Estimate of the time between segments in nanoseconds; zero before the first.
    ato: u32,
    last_data: Instant,
    /// Size of the peer's full segments.
    mss: u32,
}

impl Acking {
    fn ato(&self) -> Duration {
        Duration::from_nanos(self.ato.into())
    }

    fn set_ato(&mut self, t: Duration) {
        self.ato = u32::try_from(t.as_nanos()).unwrap_or(u32::MAX);
    }
}

/// What few connections ever see.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Odd {
    /// Position of the urgent byte that came.
    urgent: Option<(u64, Urgent)>,
    /// Position after the urgent byte that is to go.
    sent_urgent: Option<u64>,
    /// A duplicate to report (RFC 2883).
    dsack: Option<(u64, u64)>,
    last_invalid: Option<Instant>,
    last_challenge: Option<Instant>,
    mtu: Option<mtu::MtuSearch>,
    /// What stays of it, once it is over.
    time_wait: Option<TimeWait>,
    fast_open: Option<FastOpenOutcome>,
}

impl Beginning for Odd {
    const BEGINNING: &'static Self = &Self {
        urgent: None,
        sent_urgent: None,
        dsack: None,
        last_invalid: None,
        last_challenge: None,
        mtu: None,
        time_wait: None,
        fast_open: None,
    };
}

/// Timestamps (RFC 7323).
#[derive(Debug)]
struct Stamps {
    on: bool,
    recent: u32,
    recent_at: Instant,
}

#[derive(Default, Debug)]
struct Deadlines {
    rto: Option<Instant>,
    probe: Option<Instant>,
    delack: Option<Instant>,
    seldom: Rare<SeldomDue>,
}

impl Deadlines {
    /// Takes a deadline away that seldom is there.
    fn unset(&mut self, which: impl FnOnce(&mut SeldomDue) -> &mut Option<Instant>) {
        if let Some(seldom) = self.seldom.changed() {
            *which(seldom) = None;
        }
    }
}

/// Deadlines that most connections never have, and what pacing goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SeldomDue {
    reorder: Option<Instant>,
    persist: Option<Instant>,
    keepalive: Option<Instant>,
    fin: Option<Instant>,
    /// Pacing lets the next segment go.
    pace: Option<Instant>,
    /// When it will, or would have.
    paced_until: Instant,
    /// So late was that deadline seen, and so much is still to be made up for. A thread of a program is woken late where a kernel's
    /// timer is not; without this the rate that is measured would become what the host's scheduler lets through.
    late_nanos: u32,
}

impl Beginning for SeldomDue {
    const BEGINNING: &'static Self = &Self {
        reorder: None,
        persist: None,
        keepalive: None,
        fin: None,
        pace: None,
        paced_until: Instant::ZERO,
        late_nanos: 0,
    };
}

/// What `poll_transmit` is to send beside data.
#[derive(Default, Debug)]
struct Pending {
    /// SYN, or SYN and ACK.
    syn: bool,
    /// A reset with this sequence number and no ACK; the connection stays as it is.
    stray_reset: Option<u32>,
    /// A reset of the connection.
    reset: bool,
    /// A segment that asks for an acknowledgement.
    probe: bool,
    /// The last segment again (RFC 8985, section 7.3).
    tail: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    cfg: Config,
    state: State,
    tx: Tx,
    rx: Rx,
    ack: Acking,
    ts: Stamps,
    odd: Rare<Odd>,
    sack: bool,
    ecn: ecn::EcnState,
    fast: fastopen::FastOpenState,
    memory_level: MemoryLevel,
    /// The namespace has answered as many doubtful segments as it may (`net.ipv4.tcp_challenge_ack_limit`).
    no_challenges: bool,
    /// Sizes of the buffers as they are, in bytes: they grow.
    sndbuf: u32,
    rcvbuf: u32,
    rtt: Rtt,
    deadlines: Deadlines,
    pending: Pending,
    /// A later segment ends the wait for the program's close.
    orphan: bool,
    error: Fault,
    soft_error: Fault,
    events: Event,
    stats: Stats,
    /// When anything was last received.
    last_recv: Instant,
    last_ack_recv: Instant,
    keep_probes: u8,
    total: info::Totals,
}

impl Connection {
    fn new(cfg: Config, state: State, irs: u32, now: Instant) -> Self {
        let settings = &cfg.settings;
        let mss = u64::from(cfg.path_mss.clamp(MIN_MSS, DEFAULT_MSS));
        let cc = cong::by_name(settings.congestion).or_else(|| cong::by_name(cong::DEFAULT));
        let win = Window { cwnd: INITIAL_WINDOW * mss, ssthresh: u64::MAX, mss };
        let tx = Tx {
            space: Space::new(cfg.iss),
            una: BASE,
            nxt: BASE,
            window: 0,
            max_window: 0,
            wl: 0,
            scale: 0,
            queue: SendQueue::new(BASE + 1),
            fin: false,
            small: BASE,
            more: false,
            peer_mss: DEFAULT_MSS,
            path_mss: cfg.path_mss,
            board: Scoreboard::default(),
            recovery: Recovery::Open,
            repair: Rare::default(),
            win,
            cc: cc.unwrap_or_else(cong::fallback),
            rate: Rate::default(),
            chrono: pace::Chrono::default(),
            cwnd_limited: false,
            round: 0,
            force_lost: false,
            force_new: false,
            last_sent: now,
            progress_at: now,
            retries: 0,
            probes: 0,
            probe_backoff: 0,
            no_room: false,
        };
        let rx = Rx {
            space: Space::new(irs),
            nxt: BASE + 1,
            acked: BASE + 1,
            edge: BASE + 1,
            scale: 0,
            queue: RecvQueue::default(),
            ooo: OutOfOrder::default(),
            fin: None,
            ended: false,
            shutdown: false,
            rtt8: 0,
            rtt_echo: 0,
            rtt_mark: (0, now),
            space_copied: 0,
            space_at: now,
            space_max: 0,
        };
        let ack = Acking {
            now: false,
            pending: false,
            quick: 0,
            short: false,
            pingpong: false,
            ato: 0,
            last_data: now,
            mss: u32::from(cfg.advertised_mss.min(DEFAULT_MSS)),
        };
        Self {
            state,
            tx,
            rx,
            ack,
            ts: Stamps { on: false, recent: 0, recent_at: now },
            odd: Rare::default(),
            sack: false,
            ecn: ecn::EcnState::default(),
            fast: fastopen::FastOpenState::default(),
            memory_level: MemoryLevel::Fine,
            no_challenges: false,
            sndbuf: cfg.settings.sndbuf,
            rcvbuf: cfg.settings.rcvbuf,
            rtt: Rtt::new(cfg.settings.rto_min, cfg.settings.rto_max),
            deadlines: Deadlines::default(),
            pending: Pending::default(),
            orphan: false,
            error: Fault::NONE,
            soft_error: Fault::NONE,
            events: Event::empty(),
            stats: Stats::default(),
            last_recv: now,
            last_ack_recv: now,
            keep_probes: 0,
            total: info::Totals::default(),
            cfg,
        }
    }

    /// Begins to connect (RFC 9293, section 3.10.1): the next segment is a SYN.
    pub fn connect(cfg: Config, now: Instant) -> Self {
        let mut c = Self::new(cfg, State::SynSent, 0, now);
        c.tx.nxt = BASE + 1;
        c.pending.syn = true;
        c.rx.scale = if c.cfg.window_scaling { c.cfg.settings.window_scale(&c.cfg.tunables) } else { 0 };
        c.deadlines.rto = Some(now + c.rtt.rto());
        c
    }

    /// The connection that a listening socket's request becomes when the handshake's last segment comes. That segment is
    /// then given to [`Connection::on_segment`].
    pub fn accept(request: &Request, settings: Arc<Settings>, now: Instant) -> Self {
        let mut cfg = request.config(settings);
        cfg.iss = request.iss();
        let mut c = Self::new(cfg, State::SynReceived, request.irs(), now);
        c.tx.nxt = BASE + 1;
        c.take_options(request.peer_options(), now);
        c.rx.scale = request.window_scale().unwrap_or(0);
        c.tx.window = u32::from(request.peer_window());
        c.tx.max_window = c.tx.window;
        c.tx.wl = BASE;
        c.rx.edge = BASE + 1 + u64::from(request.window());
        c.tx.progress_at = request.sent_at();
        c.accept_ecn(request.ecn(), request.mark(), now);
        if request.retries() > 0 {
            c.rtt.restart_at(Duration::from_secs(3));
            c.tx.win.cwnd = c.tx.win.mss;
        }
        c
    }

    /// Settles what the two SYNs agreed on.
    fn take_options(&mut self, o: &Options, now: Instant) {
        self.tx.peer_mss = o.mss.unwrap_or(DEFAULT_MSS).max(MIN_MSS);
        match o.window_scale {
            Some(scale) if self.cfg.window_scaling => self.tx.scale = scale.min(14),
            _ => {
                self.tx.scale = 0;
                self.rx.scale = 0;
            }
        }
        self.sack = self.cfg.sack && o.sack_permitted;
        self.ts.on = false;
        if let (true, Some((value, _))) = (self.cfg.timestamps, o.timestamps) {
            self.ts = Stamps { on: true, recent: value, recent_at: now };
        }
        self.update_mss();
        self.tx.win.cwnd = INITIAL_WINDOW * self.tx.win.mss;
    }

    fn update_mss(&mut self) {
        let mut mss = self.tx.peer_mss.min(self.tx.path_mss);
        if let Some(limit) = self.odd.mtu.as_ref().and_then(|m| m.limit()) {
            mss = mss.min(limit);
        }
        if self.cfg.settings.max_seg > 0 {
            mss = mss.min(self.cfg.settings.max_seg);
        }
        // At most half of the peer's window, so that there are always two segments of it (RFC 9293, section 3.8.6.2.1).
        let most = self.tx.max_wnd();
        let window = if most > u64::from(DEFAULT_MSS) { most / 2 } else { most };
        let options = if self.ts.on { 12 } else { 0 };
        let least = self.cfg.tunables.min_snd_mss.max(MIN_MSS);
        let room = u64::from(mss.max(least) - options);
        self.tx.win.mss = if window > 0 { room.min(window.max(u64::from(MIN_MSS - options))) } else { room };
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// What changed since the last call.
    pub fn take_events(&mut self) -> Event {
        core::mem::take(&mut self.events)
    }

    /// Counts since the last call.
    pub fn take_stats(&mut self) -> Stats {
        core::mem::take(&mut self.stats)
    }

    /// Why the connection failed, once.
    pub fn take_error(&mut self) -> Option<Errno> {
        self.error.take()
    }

    /// What stays of the connection in TIME_WAIT; the connection itself is then closed.
    pub fn time_wait(&mut self) -> Option<TimeWait> {
        let tw = self.odd.changed()?.time_wait.take()?;
        self.state = State::Closed;
        Some(tw)
    }

    /// Has the handshake been completed, in whatever state the connection is now? With Fast Open the side that answers
    /// does not wait for that.
    pub fn is_synchronised(&self) -> bool {
        self.fast.passive && self.state == State::SynReceived
            || !matches!(self.state, State::SynSent | State::SynReceived | State::Closed | State::Listen)
    }

    fn timestamp(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.cfg.ts_offset)
    }

    /// Ends it all, with or without an error.
    fn die(&mut self, error: Option<Errno>) {
        if self.state == State::Closed {
            return;
        }
        if let Some(e) = error {
            self.error = Fault::new(e);
            self.events |= Event::ERROR;
        }
        self.state = State::Closed;
        self.tx.queue.release(self.tx.queue.end());
        self.tx.board.clear();
        self.rx.ooo.clear();
        self.deadlines = Deadlines::default();
        let reset = core::mem::take(&mut self.pending.reset);
        self.pending = Pending { reset, ..Pending::default() };
        self.ack.now = false;
        self.ack.pending = false;
        self.events |= Event::CLOSED | Event::READABLE | Event::WRITABLE | Event::PEER_CLOSED;
    }

    /// Ends it all with a reset.
    fn die_with_reset(&mut self, error: Option<Errno>) {
        self.pending.reset = self.is_synchronised() || self.state == State::SynReceived;
        self.die(error);
    }

    fn enter_time_wait(&mut self, now: Instant) {
        self.state = State::TimeWait;
        self.deadlines = Deadlines::default();
        let mut tw = TimeWait::new(
            (self.cfg.local_port, self.cfg.remote_port),
            self.tx.space.wire(self.tx.nxt),
            self.rx.space.wire(self.rx.nxt),
            self.wire_window_now(),
            self.ts.on.then_some((self.ts.recent, self.cfg.ts_offset)),
            now,
        );
        tw.owe_ack(self.ack.now || self.ack.pending);
        self.odd.time_wait = Some(tw);
        self.events |= Event::TIME_WAIT | Event::PEER_CLOSED | Event::READABLE | Event::WRITABLE;
    }

    fn window_of(&self, segment: &Segment) -> u32 {
        let scale = if segment.has(Flags::SYN) { 0 } else { self.tx.scale };
        u32::from(segment.window) << scale
    }
}
