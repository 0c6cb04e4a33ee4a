//! Fast Open (RFC 7413): data in the SYN, and what comes of it.

use super::{Connection, State};
use crate::tcp::config::Settings;
use crate::tcp::request::Request;
use crate::tcp::segment::{Cookie, Segment, SegmentOut};
use crate::tcp::seq::BASE;
use bytes::Bytes;
use core::time::Duration;
use lkl_ops::Instant;
use std::sync::Arc;

/// What the handshake of the side that opened says of Fast Open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FastOpenOutcome {
    /// A cookie for the next time.
    pub cookie: Option<Cookie>,
    /// The peer's MSS.
    pub mss: u16,
    /// Bytes that went with the SYN.
    pub sent: u64,
    /// The peer took some of them.
    pub taken: bool,
}

/// What a connection keeps of it.
#[derive(Clone, Default, Debug)]
pub(super) struct FastOpenState {
    /// Data may go both ways though our SYN is not acknowledged yet (the side that answers).
    pub(super) passive: bool,
    /// Bytes that went with our SYN.
    pub(super) syn_data: u16,
    /// They were taken, by us or by the peer.
    pub(super) taken: bool,
}

impl Connection {
    /// The connection that a SYN with a good cookie makes at once (RFC 7413, section 4.2.2). The next segment is the
    /// SYN-ACK.
    pub fn accept_fast(request: &Request, settings: Arc<Settings>, payload: Bytes, fin: bool, now: Instant) -> Self {
        let mut c = Self::accept(request, settings, now);
        c.fast.passive = true;
        c.fast.taken = !payload.is_empty();
        c.pending.syn = true;
        c.deadlines.rto = Some(now + c.rtt.rto());
        c.start_congestion_control(now);
        if !payload.is_empty() || fin {
            c.receive(now, BASE + 1, payload, fin);
        }
        // The SYN-ACK acknowledges it.
        (c.ack.now, c.ack.pending, c.ack.short) = (false, false, false);
        c.deadlines.delack = None;
        c
    }

    /// Is the handshake over, or may data go before it is?
    pub fn transfers(&self) -> bool {
        self.fast.passive || !matches!(self.state, State::SynSent | State::SynReceived)
    }

    /// What the handshake said of Fast Open, once, if our SYN had to do with it.
    pub fn take_fast_open_outcome(&mut self) -> Option<FastOpenOutcome> {
        self.odd.changed()?.fast_open.take()
    }

    /// Puts cookie and data into the first SYN.
    pub(super) fn add_fast_open(&mut self, now: Instant, out: &mut SegmentOut) {
        let Some(fast) = self.cfg.fast_open.clone().filter(|_| self.tx.retries == 0) else { return };
        let data = u16::try_from(self.tx.queue.len()).unwrap_or(u16::MAX).min(fast.data);
        out.header.options.fast_open = fast.cookie;
        if data == 0 {
            return;
        }
        let end = BASE + 1 + u64::from(data);
        out.payload = self.tx.queue.slice(BASE + 1, end);
        self.fast.syn_data = data;
        self.tx.nxt = end;
        let memo = self.stamp_transmission(now);
        self.tx.board.sent(BASE + 1, end, now, memo);
        self.total.data_segs_out += 1;
    }

    /// The SYN-ACK came, which acknowledges up to `ack`: what the peer did not take goes again at once (RFC 7413, section
    /// 4.1.3.1).
    pub(super) fn on_fast_open_answer(&mut self, now: Instant, s: &Segment, ack: u64) {
        let sent = u64::from(self.fast.syn_data);
        self.tx.una = ack;
        if sent > 0 {
            let d = self.tx.board.acknowledge(ack.max(BASE + 1), now, Duration::ZERO);
            self.tx.queue.release(ack);
            self.tx.rate.delivered += d.bytes;
            self.fast.taken = ack > BASE + 1;
            if ack < self.tx.nxt {
                self.tx.board.mark_all(ack);
                self.tx.force_lost = true;
            }
        }
        if self.cfg.fast_open.is_some() {
            let cookie = s.options.fast_open.clone().filter(|c| !c.is_empty());
            let mss = s.options.mss.unwrap_or(0);
            self.odd.fast_open = Some(FastOpenOutcome { cookie, mss, sent, taken: self.fast.taken });
        }
    }
}
