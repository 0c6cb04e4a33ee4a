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

/// One that waits.
#[derive(Debug)]
struct Item {
    datagram: Datagram,
    /// It was peeked at, and has no bytes: with `SO_PEEK_OFF` it is stepped over from then on.
    shown: bool,
}

/// Datagrams that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct ReceiveQueue {
    items: VecDeque<Item>,
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
        self.items.push_back(Item { datagram: d, shown: false });
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        let Item { datagram, .. } = self.items.pop_front()?;
        self.bytes -= num_of_cost(datagram.data.len());
        Some(datagram)
    }

    pub(crate) fn peek(&self) -> Option<&Datagram> {
        self.items.front().map(|item| &item.datagram)
    }

    /// Shows the datagram that byte `offset` of all that waits is in, and the byte's place there (`SO_PEEK_OFF`); without an offset
    /// the first one.
    pub(crate) fn peek_at(&mut self, offset: Option<usize>) -> Option<(Datagram, usize)> {
        let mut left = offset.unwrap_or(0);
        for item in &mut self.items {
            let len = item.datagram.data.len();
            if offset.is_some() && left >= len && (left > 0 || item.shown) {
                left -= len;
                continue;
            }
            item.shown |= len == 0;
            return Some((item.datagram.clone(), left));
        }
        None
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
