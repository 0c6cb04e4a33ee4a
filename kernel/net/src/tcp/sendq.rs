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
    /// Nothing where there are no bytes: most connections are idle.
    held: Option<Box<Held>>,
    start: u64,
    end: u64,
}

/// The bytes.
#[derive(Debug)]
struct Held {
    /// What was put in first, mostly all there is; it begins with `at`.
    first: Bytes,
    at: u64,
    /// What follows it.
    chunks: VecDeque<(u64, Bytes)>,
    /// The newest bytes, if they came in small pieces; they follow the chunks.
    tail: BytesMut,
}

impl Held {
    /// `end`: that of the queue.
    fn freeze(&mut self, end: u64) {
        if !self.tail.is_empty() {
            let data = self.tail.split().freeze();
            self.chunks.push_back((end - data.len() as u64, data));
        }
    }

    /// Appends `data`, which will end at `end`.
    fn push(&mut self, data: Bytes, end: u64) {
        let at = end - data.len() as u64;
        if data.len() <= SMALL {
            if self.tail.capacity() - self.tail.len() < data.len() {
                self.freeze(at);
                let size = if self.chunks.is_empty() { FIRST.max(data.len()) } else { TAIL };
                self.tail = BytesMut::with_capacity(size);
            }
            self.tail.extend_from_slice(&data);
            return;
        }
        self.freeze(at);
        self.chunks.push_back((at, data));
    }
}

impl SendQueue {
    /// An empty queue whose first byte will be at `start`.
    pub(super) const fn new(start: u64) -> Self {
        Self { held: None, start, end: start }
    }

    /// The position after the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Bytes in the queue.
    pub(super) const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Appends.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let at = self.end;
        self.end += data.len() as u64;
        match &mut self.held {
            Some(held) => held.push(data, self.end),
            None => {
                let (chunks, tail) = (VecDeque::new(), BytesMut::new());
                self.held = Some(Box::new(Held { first: data, at, chunks, tail }));
            }
        }
    }

    /// Forgets all below `position`.
    pub(super) fn release(&mut self, position: u64) {
        let position = position.min(self.end);
        if position <= self.start {
            return;
        }
        self.start = position;
        if position == self.end {
            // An idle connection holds nothing.
            self.held = None;
            return;
        }
        let Some(held) = &mut self.held else { return };
        if position < held.at + held.first.len() as u64 {
            return;
        }
        held.first = Bytes::new();
        let tail_start = self.end - held.tail.len() as u64;
        if position > tail_start {
            held.freeze(self.end);
        }
        while held.chunks.front().is_some_and(|(at, data)| at + data.len() as u64 <= position) {
            held.chunks.pop_front();
        }
    }

    /// The bytes of `from..to`, without a copy. What is not there is left out.
    pub(super) fn slice(&mut self, from: u64, to: u64) -> Payload {
        let mut out = Payload::new();
        let Some(held) = &mut self.held else { return out };
        if to > self.end - held.tail.len() as u64 {
            held.freeze(self.end);
        }
        let mut from = from;
        // Takes what a piece that begins at `at` has of it; answers whether that can be followed by more.
        let mut take = |at: u64, data: &Bytes, from: &mut u64| {
            let Some(skip) = from.checked_sub(at) else { return false };
            let skip = skip as usize;
            let n = data.len().saturating_sub(skip).min((to - *from) as usize);
            if n > 0 {
                out.push(data.slice(skip..skip + n));
                *from += n as u64;
            }
            true
        };
        if from < to && from < held.at + held.first.len() as u64 && !take(held.at, &held.first, &mut from) {
            return out;
        }
        if from < to && !held.chunks.is_empty() {
            let mut i = held.chunks.partition_point(|(at, data)| at + data.len() as u64 <= from);
            while from < to {
                let Some((at, data)) = held.chunks.get(i) else { break };
                if !take(*at, data, &mut from) {
                    break;
                }
                i += 1;
            }
        }
        out
    }
}
