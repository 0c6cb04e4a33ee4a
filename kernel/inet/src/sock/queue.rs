//! The receive queue of a datagram socket.

use super::num_of_cost;
use crate::tx::RxMeta;
use bytes::Bytes;
use std::collections::VecDeque;

/// A datagram received.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) data: Bytes,
    pub(crate) port: u16,
    pub(crate) dst_port: u16,
    pub(crate) meta: RxMeta,
}

/// Datagrams that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct ReceiveQueue {
    items: VecDeque<Datagram>,
    bytes: usize,
}

impl ReceiveQueue {
    /// Puts a datagram in; `false` if there is no room.
    pub(crate) fn push(&mut self, d: Datagram, limit: usize) -> bool {
        // One datagram is always taken, as on Linux.
        if self.bytes > 0 && self.bytes + num_of_cost(d.data.len()) > limit {
            return false;
        }
        self.bytes += num_of_cost(d.data.len());
        self.items.push_back(d);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        let d = self.items.pop_front()?;
        self.bytes -= num_of_cost(d.data.len());
        Some(d)
    }

    pub(crate) fn peek(&self) -> Option<&Datagram> {
        self.items.front()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
