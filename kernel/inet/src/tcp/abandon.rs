//! Sockets whose users have gone in the middle of a call: a program that was killed while its thread held the lock of a
//! connection. Nobody can touch such a socket any more; its peer is told to give up.

use super::packet;
use super::socket::TcpSocket;
use super::table::{Entry, Tuple};
use crate::Net;
use core::sync::atomic::Ordering::Relaxed;
use lkl_net::tcp::{Flags, Segment, SegmentOut};
use std::sync::Arc;

/// A connection whose lock is held.
pub struct Held {
    tuple: Tuple,
    socket: Arc<TcpSocket>,
}

impl core::fmt::Debug for Held {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Held({:?})", self.tuple)
    }
}

impl Held {
    /// Is it still?
    pub fn still(&self) -> bool {
        self.socket.inner.try_lock().is_none()
    }

    /// The number of its inode.
    pub fn ino(&self) -> u64 {
        self.socket.ino
    }
}

impl Net {
    /// Threads that served the network, or sent, are gone in the middle of it: others may take their places as senders of
    /// connections. Answers the connections whose locks are held at this moment.
    pub(crate) fn tcp_senders_gone(&self) -> Vec<Held> {
        let mut held = Vec::new();
        for (tuple, entry) in self.tcp.entries() {
            if let Entry::Connection(socket) | Entry::Request(socket) = entry {
                socket.out.abandon();
                let work = socket.inner.try_lock().map(|mut inner| socket.collect(&mut inner, self.now()));
                match work {
                    // Timers that were about to be set, and what was about to be sent: that is sent again when they expire.
                    Some(work) => socket.finish(work),
                    None => held.push(Held { tuple, socket }),
                }
            }
        }
        held
    }

    /// The lock of this connection will never be given back: it is forgotten, and its peer told ([`Net::tcp_probe`]).
    pub fn tcp_forsake(&self, held: &Held) {
        if held.socket.forsaken.swap(true, Relaxed) {
            return;
        }
        self.timers().disarm(&held.socket.timer);
        self.tcp_probe(&held.tuple);
    }

    /// Sends the peer of a connection that is not there a segment that it can only answer by an acknowledgement (RFC 9293, section
    /// 3.10.7.4), and that is answered by a reset, as all that comes for such a connection.
    pub(crate) fn tcp_probe(&self, tuple: &Tuple) {
        let Tuple { local, remote, scope } = *tuple;
        let header = Segment {
            src_port: local.1,
            dst_port: remote.1,
            seq: self.random_u32(),
            ack: self.random_u32(),
            flags: Flags::ACK,
            ..Segment::default()
        };
        self.snmp().tcp.out_segs.inc();
        let mut tx = packet(local.0, remote.0, SegmentOut::bare(header));
        tx.oif = scope;
        let _lost = self.ip_output(tx);
    }
}
