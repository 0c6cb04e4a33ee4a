//! The program's calls: write, read, shut down, close, and its options.

use super::{Connection, Event, Urgent};
use crate::tcp::config::{Settings, Tunables};
use crate::tcp::cong;
use crate::tcp::rare::Fault;
use crate::tcp::State;
use bytes::Bytes;
use lkl_abi::{Errno, Result};
use lkl_ops::Instant;
use std::sync::Arc;

/// What a look into the receive queue finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// Bytes of one piece.
    Data(Bytes),
    /// The urgent mark stands here: a read that has something already ends.
    Mark,
    /// Nothing yet.
    Empty,
    /// Nothing more will come.
    Eof,
}

impl Connection {
    /// The program's options.
    pub fn settings(&self) -> &Settings {
        &self.cfg.settings
    }

    /// The window that the receive buffer stands for, in bytes.
    pub(super) fn window_space(&self) -> u32 {
        self.cfg.settings.window_space(self.rcvbuf)
    }

    /// `TCP_WINDOW_CLAMP` as Linux shows it: what was set, or else what the buffer stands for, once there was a handshake.
    pub fn window_clamp(&self) -> u32 {
        match (self.state(), self.cfg.settings.window_clamp) {
            (State::Closed, clamp) => clamp,
            (State::SynSent, 0) => u32::from(u16::MAX) << self.cfg.settings.window_scale(&self.cfg.tunables),
            (_, 0) => self.window_space(),
            (_, clamp) => clamp,
        }
    }

    /// The settings of the namespace, as the connection knows them.
    pub fn tunables(&self) -> &Tunables {
        &self.cfg.tunables
    }

    /// Tells of new settings of the namespace. Timers that run are not touched: what is asked when they expire is new.
    pub fn set_tunables(&mut self, tunables: Arc<Tunables>) {
        self.cfg.tunables = tunables;
    }

    /// Changes the program's options, and does what follows from it.
    pub fn set_settings(&mut self, now: Instant, settings: Arc<Settings>) {
        let before = core::mem::replace(&mut self.cfg.settings, settings);
        let after = &self.cfg.settings;
        if before.sndbuf != after.sndbuf {
            self.sndbuf = after.sndbuf;
        }
        if before.rcvbuf != after.rcvbuf {
            self.rcvbuf = after.rcvbuf;
        }
        self.rtt.bound(after.rto_min, after.rto_max);
        let keep_changed = before.keepalive != after.keepalive || before.keep_idle != after.keep_idle;
        let mss_changed = before.max_seg != after.max_seg;
        let name = after.congestion;
        if before.congestion != name {
            if let Some(cc) = cong::by_name(name) {
                self.tx.cc = cc;
                self.start_congestion_control(now);
            }
        }
        if keep_changed {
            self.keep_probes = 0;
            self.arm_keepalive(now);
        }
        if mss_changed && self.is_synchronised() {
            self.update_mss();
        }
    }

    /// The time stamp that a segment has at `now` (`TCP_TIMESTAMP`).
    pub fn stamp_now(&self, now: Instant) -> u32 {
        self.timestamp(now)
    }

    /// Name of the congestion control algorithm.
    pub fn congestion(&self) -> &'static str {
        self.tx.cc.name()
    }

    /// Is there room enough to tell the program (a third of the buffer, and `TCP_NOTSENT_LOWAT`)?
    pub fn can_write(&self) -> bool {
        let used = self.tx.queue.len();
        let free = u64::from(self.sndbuf).saturating_sub(used);
        free >= used / 2 && free > 0 && self.unsent() < u64::from(self.cfg.settings.unsent_limit(&self.cfg.tunables))
    }

    /// Somebody waits for room: [`Event::WRITABLE`] is wanted.
    pub fn note_no_room(&mut self) {
        self.tx.no_room = true;
    }

    /// Appends to the send queue. `more` says that more follows soon (`MSG_MORE`); `urgent` that the last byte is
    /// urgent.
    ///
    /// # Errors
    /// `EPIPE` if the sending half is closed, `ENOTCONN`.
    pub fn send(&mut self, data: Bytes, more: bool, urgent: bool) -> Result<()> {
        match self.state {
            State::Established | State::CloseWait => {}
            State::SynSent | State::SynReceived => {}
            State::Closed if !self.tx.fin && self.total.segs_out == 0 => return Err(Errno::ENOTCONN),
            _ => return Err(Errno::EPIPE),
        }
        if self.tx.fin {
            return Err(Errno::EPIPE);
        }
        self.check_app_limited();
        self.tx.more = more;
        self.tx.queue.push(data);
        if urgent {
            self.odd.sent_urgent = Some(self.tx.queue.end());
        }
        Ok(())
    }

    /// What was held back may go (`TCP_CORK` cleared, `TCP_NODELAY` set).
    pub fn push(&mut self) {
        self.tx.more = false;
        self.tx.force_new |= self.has_unsent();
    }

    /// Bytes not sent yet.
    pub fn unsent(&self) -> u64 {
        self.tx.queue.end().saturating_sub(self.tx.nxt)
    }

    /// Sequence number of the next byte that is put into the send queue.
    pub fn write_seq(&self) -> u32 {
        self.tx.space.wire(self.tx.queue.end())
    }

    /// Sequence number of the first byte that is not acknowledged.
    pub fn unacknowledged_seq(&self) -> u32 {
        self.tx.space.wire(self.tx.una)
    }

    /// Positions of the next byte that the program reads, and of the end of what has come.
    pub fn received(&self) -> (u64, u64) {
        let read = self.read_position();
        (read, read + self.rx.queue.len() as u64)
    }

    /// Bytes not acknowledged yet (`SIOCOUTQ`).
    pub fn unacknowledged(&self) -> u64 {
        self.tx.queue.len()
    }

    pub(super) fn has_unsent(&self) -> bool {
        let end = self.tx.queue.end() + u64::from(self.tx.fin);
        self.tx.nxt < end && self.is_synchronised()
    }

    /// The send buffer grows with the congestion window, as Linux has it.
    pub(super) fn grow_sndbuf(&mut self) {
        let may_grow = self.may_grow();
        let s = &self.cfg.settings;
        if s.sndbuf_locked || !may_grow {
            return;
        }
        let window = self.tx.win.cwnd.max(super::INITIAL_WINDOW * self.tx.win.mss);
        // Some windows to keep it full, and the memory that goes with it.
        let wanted = (2 * self.tx.cc.sndbuf_factor() * window).min(u64::from(self.cfg.tunables.sndbuf_max)) as u32;
        if wanted > self.sndbuf {
            self.sndbuf = wanted;
            self.events |= Event::BUFFERS | Event::WRITABLE;
        }
    }

    /// Send and receive buffer in bytes.
    pub fn buffers(&self) -> (u32, u32) {
        (self.sndbuf, self.rcvbuf)
    }

    /// Position of the next byte that the program reads.
    pub(super) fn read_position(&self) -> u64 {
        self.rx.data_end() - self.rx.queue.len() as u64
    }

    /// Bytes that can be read, up to the urgent mark (`FIONREAD`).
    pub fn readable(&self) -> usize {
        let len = self.rx.queue.len();
        let at = self.read_position();
        match self.odd.urgent {
            Some((urgent, what)) if what != Urgent::Coming && urgent >= at && urgent < at + len as u64 => {
                let before = (urgent - at) as usize;
                if before > 0 || self.cfg.settings.oob_inline {
                    before.max(usize::from(before == 0) * len)
                } else {
                    len - 1
                }
            }
            _ => len,
        }
    }

    /// Bytes in the receive queue.
    pub fn queued(&self) -> usize {
        self.rx.queue.len()
    }

    /// Is there something to read: `lowat` bytes, the end, or an error?
    pub fn can_read(&self, lowat: usize) -> bool {
        let mut target = lowat.max(1);
        target = target.min(self.window_space() as usize);
        self.readable() >= target || (self.readable() > 0 && self.at_mark()) || self.peer_closed()
    }

    /// Will nothing more come (FIN, reset, `SHUT_RD`)?
    pub fn peer_closed(&self) -> bool {
        self.rx.shutdown
            || matches!(
                self.state,
                State::CloseWait | State::LastAck | State::Closing | State::TimeWait | State::Closed
            )
    }

    /// Is the sending half closed?
    pub fn write_closed(&self) -> bool {
        self.tx.fin || matches!(self.state, State::Closed | State::TimeWait)
    }

    /// Looks at the receive queue, `offset` bytes from its front. `started` says that the call has read something
    /// already.
    pub fn peek(&mut self, offset: usize, max: usize, started: bool) -> Read {
        let at = self.read_position() + offset as u64;
        let mut max = max;
        if let Some((urgent, what)) = self.odd.urgent {
            if urgent == at && what != Urgent::Coming {
                if started {
                    return Read::Mark;
                }
                if !self.cfg.settings.oob_inline {
                    // The urgent byte is read by MSG_OOB only: step over it.
                    if offset == 0 && (self.rx.queue.len() > 0) {
                        self.rx.queue.consume(1);
                        self.forget_urgent();
                        return self.peek(0, max, false);
                    }
                }
            } else if urgent > at {
                max = max.min(usize::try_from(urgent - at).unwrap_or(usize::MAX));
            }
        }
        let data = self.rx.queue.at(offset, max);
        if !data.is_empty() {
            return Read::Data(data);
        }
        if self.peer_closed() {
            Read::Eof
        } else {
            Read::Empty
        }
    }

    /// Takes away the first `n` bytes, which were read.
    pub fn consume(&mut self, now: Instant, n: usize) {
        self.rx.queue.consume(n);
        self.forget_urgent();
        self.after_read(now, n as u64);
    }

    fn forget_urgent(&mut self) {
        let at = self.read_position();
        if self.odd.urgent.is_some_and(|(urgent, what)| urgent < at && what != Urgent::Coming) {
            self.odd.urgent = None;
            self.odd.settle();
        }
    }

    /// Is the read position at the urgent mark (`SIOCATMARK`)?
    pub fn at_mark(&self) -> bool {
        self.odd.urgent.is_some_and(|(urgent, _)| urgent == self.read_position())
    }

    /// Is there urgent data (`POLLPRI`)?
    pub fn has_urgent(&self) -> bool {
        matches!(self.odd.urgent, Some((_, Urgent::Here(_))))
    }

    /// Reads the urgent byte (`MSG_OOB`). `None` is the end of the stream.
    ///
    /// # Errors
    /// `EINVAL` if there is none, it was read, or it is in line; `EAGAIN` if it is still to come.
    pub fn read_urgent(&mut self, peek: bool) -> Result<Option<u8>> {
        if self.cfg.settings.oob_inline {
            return Err(Errno::EINVAL);
        }
        match self.odd.changed().and_then(|o| o.urgent.as_mut()) {
            None => Err(Errno::EINVAL),
            Some((_, Urgent::Taken)) => Err(Errno::EINVAL),
            Some((_, Urgent::Coming)) if matches!(self.state, State::Closed) || self.rx.shutdown => Ok(None),
            Some((_, Urgent::Coming)) => Err(Errno::EAGAIN),
            Some((_, what @ Urgent::Here(_))) => {
                let Urgent::Here(byte) = *what else { return Err(Errno::EINVAL) };
                if !peek {
                    *what = Urgent::Taken;
                }
                Ok(Some(byte))
            }
        }
    }

    /// `SHUT_RD`: what comes from now on is thrown away when it is read.
    pub fn shutdown_read(&mut self) {
        self.rx.shutdown = true;
        self.events |= Event::READABLE | Event::PEER_CLOSED;
    }

    /// `SHUT_WR`: a FIN follows what is in the send queue (RFC 9293, section 3.10.4).
    pub fn shutdown_write(&mut self) {
        self.tx.more = false;
        match self.state {
            State::Established | State::SynReceived => self.state = State::FinWait1,
            State::CloseWait => self.state = State::LastAck,
            _ => return,
        }
        self.tx.fin = true;
    }

    /// The program has closed its last descriptor. The connection goes on as an orphan until it is [`State::Closed`] or
    /// in [`State::TimeWait`]. Unread data, or `abort` (`SO_LINGER` of 0), means a reset (RFC 9293, section 3.10.4;
    /// RFC 2525, section 2.17).
    pub fn close(&mut self, now: Instant, abort: bool) {
        self.orphan = true;
        let unread = self.rx.queue.len() > 0;
        self.rx.queue.clear();
        self.rx.shutdown = true;
        match self.state {
            State::Closed | State::TimeWait | State::Listen => {}
            State::SynSent => self.die(None),
            _ if unread || abort => {
                self.stats.rare.abort_on_close += 1;
                self.die_with_reset(None);
            }
            State::FinWait2 => self.limit_fin_wait(now),
            _ => self.shutdown_write(),
        }
    }

    /// Ends the connection with a reset (`connect` to `AF_UNSPEC`).
    pub fn abort(&mut self) {
        self.die_with_reset(None);
    }

    /// The path takes fewer bytes than thought (RFC 1191, section 6.5; RFC 8201): what was too long is sent again.
    /// `seq` is the number that the error quotes.
    pub fn on_path_mss(&mut self, now: Instant, seq: Option<u32>, path_mss: u16) {
        if seq.is_some_and(|s| !self.was_sent(s)) || path_mss >= self.tx.path_mss {
            return;
        }
        self.tx.path_mss = path_mss.max(super::MIN_MSS);
        if let Some(m) = self.odd.changed().and_then(|o| o.mtu.as_mut()) {
            m.at_most(self.tx.path_mss);
        }
        self.update_mss();
        self.tx.board.mark_longer(self.tx.win.mss);
        self.tx.force_lost = self.tx.board.next_lost().is_some();
        if !self.tx.board.is_empty() {
            self.rearm_rto(now);
        }
    }

    /// An ICMP error came about the segment with number `seq` (RFC 1122, section 4.2.3.9; RFC 5927).
    pub fn on_icmp_error(&mut self, seq: u32, errno: Errno, hard: bool) {
        if !self.was_sent(seq) {
            return;
        }
        match self.state {
            State::SynSent | State::SynReceived if hard => {
                self.stats.rare.attempt_fails += 1;
                self.die(Some(errno));
            }
            _ => self.soft_error = Fault::new(errno),
        }
    }

    fn was_sent(&self, seq: u32) -> bool {
        let at = self.tx.space.position(seq, self.tx.una);
        (self.tx.una..=self.tx.nxt).contains(&at)
    }

    /// Acknowledge at once from now on (`TCP_QUICKACK`), or wait for the program's answer.
    pub fn quick_ack(&mut self, on: bool) {
        self.ack.pingpong = !on;
        if on && self.ack.pending {
            self.ack.now = true;
        }
    }

    /// Does it acknowledge at once?
    pub fn is_quick_ack(&self) -> bool {
        !self.ack.pingpong
    }

    /// Payload of a full segment, in bytes (`TCP_MAXSEG` once connected).
    pub fn mss(&self) -> u16 {
        self.tx.win.mss.min(65_535) as u16
    }

    /// Which timer runs, as `/proc/net/tcp` counts them (1 retransmission, 2 keep-alive, 4 zero window probe), and
    /// how long it has.
    pub fn running_timer(&self, now: Instant) -> (u8, core::time::Duration) {
        let d = &self.deadlines;
        let left = |at: Instant| at.since(now);
        match (d.rto, d.seldom.persist, d.seldom.keepalive.or(d.seldom.fin)) {
            (Some(at), _, _) => (1, left(at)),
            (None, Some(at), _) => (4, left(at)),
            (None, None, Some(at)) => (2, left(at)),
            _ => (0, core::time::Duration::ZERO),
        }
    }

    /// Retransmissions and probes in a row without an answer.
    pub fn attempts(&self) -> (u32, u32) {
        (self.tx.retries.into(), self.tx.probes.into())
    }

    /// The next segment of the program's own is due, or an acknowledgement: is there anything to send?
    pub fn is_orphan(&self) -> bool {
        self.orphan
    }
}
