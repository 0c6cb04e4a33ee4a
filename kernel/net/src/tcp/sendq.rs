//! The send queue: bytes that the program gave and the peer has not acknowledged.

use super::segment::Payload;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Writes of at most this many bytes are put together in one buffer.
const SMALL: usize = 2048;
/// Size of such a buffer, when much is put in; the first one is as small as that.
const TAIL: usize = 16 * 1024;
const FIRST: usize = 512;

/// Bytes by position. Access at any position costs O(log n).
#[derive(Debug)]
pub(super) struct SendQueue {
    chunks: VecDeque<(u64, Bytes)>,
    /// The newest bytes, if they came in small pieces; they follow the chunks.
    tail: BytesMut,
    tail_start: u64,
    start: u64,
}

impl SendQueue {
    /// An empty queue whose first byte will be at `start`.
    pub(super) fn new(start: u64) -> Self {
        Self { chunks: VecDeque::new(), tail: BytesMut::new(), tail_start: start, start }
    }

    /// The position after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.tail_start + self.tail.len() as u64
    }

    /// Bytes in the queue.
    pub(super) fn len(&self) -> u64 {
        self.end() - self.start
    }

    /// Appends.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if data.len() <= SMALL {
            if self.tail.capacity() - self.tail.len() < data.len() {
                self.freeze();
                let size = if self.chunks.is_empty() { FIRST.max(data.len()) } else { TAIL };
                self.tail = BytesMut::with_capacity(size);
            }
            self.tail.extend_from_slice(&data);
            return;
        }
        self.freeze();
        self.tail_start += data.len() as u64;
        let at = self.tail_start - data.len() as u64;
        self.chunks.push_back((at, data));
    }

    fn freeze(&mut self) {
        if !self.tail.is_empty() {
            let data = self.tail.split().freeze();
            let at = self.tail_start;
            self.tail_start += data.len() as u64;
            self.chunks.push_back((at, data));
        }
    }

    /// Forgets all below `position`.
    pub(super) fn release(&mut self, position: u64) {
        let position = position.min(self.end());
        if position <= self.start {
            return;
        }
        if position > self.tail_start {
            self.freeze();
        }
        while let Some((at, data)) = self.chunks.front() {
            if at + data.len() as u64 > position {
                break;
            }
            self.chunks.pop_front();
        }
        self.start = position;
        if self.start == self.end() {
            // An idle connection holds nothing.
            self.tail = BytesMut::new();
            self.chunks = VecDeque::new();
        }
    }

    /// The bytes of `from..to`, without a copy. What is not there is left out.
    pub(super) fn slice(&mut self, from: u64, to: u64) -> Payload {
        if to > self.tail_start {
            self.freeze();
        }
        let mut out = Payload::new();
        let mut i = self.chunks.partition_point(|(at, data)| at + data.len() as u64 <= from);
        let mut from = from;
        while from < to {
            let Some((at, data)) = self.chunks.get(i) else { break };
            let Some(skip) = from.checked_sub(*at) else { break };
            let skip = skip as usize;
            let n = (data.len() - skip).min((to - from) as usize);
            out.push(data.slice(skip..skip + n));
            from += n as u64;
            i += 1;
        }
        out
    }
}
