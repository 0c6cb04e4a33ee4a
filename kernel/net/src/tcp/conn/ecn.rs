//! Explicit congestion notification (RFC 3168). A peer that offers more (RFC 9768) is answered as one that offers this,
//! which is how it learns that there is no more.

use super::Connection;
use crate::tcp::segment::{Ecn, Flags, Segment};

/// What one end keeps.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct EcnState {
    /// Both agreed on it.
    pub(super) on: bool,
    /// Each acknowledgement is to say that a mark came, until the peer says that it knows.
    pub(super) echo: bool,
    /// The next new data is to say that the window came down.
    pub(super) cwr: bool,
    /// A segment came that could have been marked.
    pub(super) seen: bool,
    /// Bytes that were acknowledged by segments that told of marks.
    pub(super) delivered_ce: u64,
}

impl EcnState {
    /// The window came down: the peer is to be told.
    pub(super) fn queue_cwr(&mut self) {
        self.cwr = self.on;
    }
}

impl Connection {
    /// Settles by the peer's SYN or SYN-ACK whether both have it (RFC 3168, section 6.1.1).
    pub(super) fn settle_ecn(&mut self, s: &Segment) {
        let (ece, cwr) = (s.has(Flags::ECE), s.has(Flags::CWR));
        let agreed = if s.has(Flags::ACK) { ece && !cwr } else { ece && cwr };
        self.ecn.on = self.cfg.ecn && agreed;
    }

    /// A segment came that counts: its mark, and what it says of ours (RFC 3168, section 6.1.3).
    pub(super) fn take_ecn(&mut self, s: &Segment, payload: usize) {
        if !self.ecn.on {
            return;
        }
        if s.has(Flags::CWR) {
            self.ecn.echo = false;
            // The peer waits for acknowledgements with a smaller window.
            self.ack.now |= payload > 0;
        }
        if payload == 0 {
            return;
        }
        match s.ecn {
            Ecn::NotEct => {
                if self.ecn.seen {
                    // A retransmission, most likely: quick acknowledgements help.
                    self.ack.quick = self.ack.quick.max(2);
                }
            }
            Ecn::Ce => {
                if !self.ecn.echo {
                    self.ack.quick = self.ack.quick.max(2);
                    self.ack.pingpong = false;
                    self.ecn.echo = true;
                }
                self.ecn.seen = true;
            }
            _ => self.ecn.seen = true,
        }
    }
}
