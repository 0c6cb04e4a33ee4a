//! The receive queue, and the store of segments that came out of order (RFC 9293, section 3.10.7.4; RFC 2018,
//! section 4; RFC 2883).

use super::ranges::Ranges;
use arrayvec::ArrayVec;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};

/// Payloads of at most this many bytes are copied together, so that they do not keep whole frames alive.
const SMALL: usize = 512;
const TAIL: usize = 4096;
/// Size of the first buffer for them: one answer.
const FIRST: usize = 512;
/// Most pieces kept out of order; together with the window this bounds memory.
const MAX_PIECES: usize = 8192;

/// Bytes in order, not yet read.
#[derive(Default, Debug)]
pub(super) struct RecvQueue {
    /// Nothing where there are no bytes: most connections are idle.
    held: Option<Box<Held>>,
    len: usize,
}

/// The bytes.
#[derive(Debug)]
struct Held {
    /// What came first, mostly all there is.
    first: Bytes,
    /// What follows it.
    chunks: VecDeque<Bytes>,
    /// The newest bytes, if they came in small pieces.
    tail: BytesMut,
}

impl Held {
    fn push(&mut self, data: Bytes) {
        if data.len() <= SMALL {
            if self.tail.capacity() - self.tail.len() < data.len() {
                self.freeze();
                self.tail = BytesMut::with_capacity(if self.chunks.is_empty() { FIRST } else { TAIL });
            }
            self.tail.extend_from_slice(&data);
            return;
        }
        self.freeze();
        self.chunks.push_back(data);
    }

    fn freeze(&mut self) {
        if !self.tail.is_empty() {
            let data = self.tail.split().freeze();
            self.chunks.push_back(data);
        }
    }
}

impl RecvQueue {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.len += data.len();
        match &mut self.held {
            Some(held) => held.push(data),
            None => {
                let first = if data.len() <= SMALL { Bytes::copy_from_slice(&data) } else { data };
                self.held = Some(Box::new(Held { first, chunks: VecDeque::new(), tail: BytesMut::new() }));
            }
        }
    }

    /// At most `max` bytes of one piece from `offset` on. They stay in the queue.
    pub(super) fn at(&mut self, mut offset: usize, max: usize) -> Bytes {
        let Some(held) = &mut self.held else { return Bytes::new() };
        held.freeze();
        for chunk in core::iter::once(&held.first).chain(&held.chunks) {
            if offset < chunk.len() {
                return chunk.slice(offset..chunk.len().min(offset.saturating_add(max)));
            }
            offset -= chunk.len();
        }
        Bytes::new()
    }

    /// Takes away the first `n` bytes.
    pub(super) fn consume(&mut self, mut n: usize) {
        n = n.min(self.len);
        self.len -= n;
        if self.len == 0 {
            // An idle connection holds nothing.
            self.held = None;
            return;
        }
        let Some(held) = &mut self.held else { return };
        while n > 0 {
            if held.first.is_empty() {
                if held.chunks.is_empty() {
                    held.freeze();
                }
                let Some(next) = held.chunks.pop_front() else { break };
                held.first = next;
            }
            let step = n.min(held.first.len());
            held.first.advance(step);
            n -= step;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Segments that came before their turn. Mostly there are none, and then they take no room.
#[derive(Default, Debug)]
pub(super) struct OutOfOrder(Option<Box<Pieces>>);

impl OutOfOrder {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes in it.
    pub(super) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |p| p.ranges.len())
    }

    /// The position after the last of them.
    pub(super) fn end(&self) -> Option<u64> {
        self.0.as_ref()?.ranges.highest()
    }

    /// See [`Pieces::insert`].
    pub(super) fn insert(&mut self, start: u64, data: &Bytes) -> Option<(u64, u64)> {
        let twice = self.0.get_or_insert_with(Box::default).insert(start, data);
        self.forget_if_empty();
        twice
    }

    /// See [`Pieces::take`].
    pub(super) fn take(&mut self, next: u64) -> Option<Bytes> {
        let data = self.0.as_mut()?.take(next);
        self.forget_if_empty();
        data
    }

    /// See [`Pieces::blocks`].
    pub(super) fn blocks(&mut self, max: usize) -> ArrayVec<(u64, u64), 4> {
        self.0.as_mut().map_or_else(ArrayVec::new, |p| p.blocks(max))
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    fn forget_if_empty(&mut self) {
        if self.0.as_ref().is_some_and(|p| p.pieces.is_empty()) {
            self.0 = None;
        }
    }
}

#[derive(Default, Debug)]
struct Pieces {
    /// By position, none overlapping another.
    pieces: BTreeMap<u64, Bytes>,
    ranges: Ranges,
    /// A position in each of the ranges that changed last, newest first: the order of SACK blocks.
    recent: ArrayVec<u64, 4>,
}

impl Pieces {
    /// Puts `data` in at `start`, without what is there already. Answers the first part that was there already, which
    /// D-SACK reports; `None` if all was new. Nothing is put in if there are too many pieces.
    fn insert(&mut self, start: u64, data: &Bytes) -> Option<(u64, u64)> {
        let end = start + data.len() as u64;
        if data.is_empty() {
            return None;
        }
        let gaps = self.ranges.gaps(start, end);
        for &(from, to) in &gaps {
            if self.pieces.len() >= MAX_PIECES {
                return None;
            }
            let part = data.slice((from - start) as usize..(to - start) as usize);
            let part = if part.len() <= SMALL { Bytes::copy_from_slice(&part) } else { part };
            self.pieces.insert(from, part);
            self.ranges.insert(from, to);
        }
        self.recent.retain(|p| !(start..end).contains(p));
        if let Some((s, _)) = self.ranges.containing(start) {
            self.recent.retain(|p| self.ranges.containing(*p).is_some_and(|(o, _)| o != s));
        }
        if self.recent.is_full() {
            self.recent.pop();
        }
        self.recent.insert(0, start);
        match gaps.first() {
            None => Some((start, end)),
            Some(&(s, _)) if s > start => Some((start, s)),
            Some(&(_, e)) if e < end => {
                let next = gaps.get(1).map_or(end, |g| g.0);
                Some((e, next))
            }
            Some(_) => None,
        }
    }

    /// Takes the piece that continues at `next`, without what is before it.
    fn take(&mut self, next: u64) -> Option<Bytes> {
        loop {
            let entry = self.pieces.first_entry()?;
            let start = *entry.key();
            if start > next {
                return None;
            }
            let data = entry.remove();
            let end = start + data.len() as u64;
            if end > next {
                self.ranges.remove_below(end);
                return Some(data.slice((next - start) as usize..));
            }
            self.ranges.remove_below(end);
        }
    }

    /// The SACK blocks, at most `max`: that of the newest segment first (RFC 2018, section 4).
    fn blocks(&mut self, max: usize) -> ArrayVec<(u64, u64), 4> {
        let mut out: ArrayVec<(u64, u64), 4> = ArrayVec::new();
        let ranges = &self.ranges;
        self.recent.retain(|p| ranges.containing(*p).is_some());
        let known = self.recent.iter().filter_map(|p| ranges.containing(*p));
        for block in known.chain(ranges.iter().take(5)) {
            if out.len() >= max.min(4) {
                break;
            }
            if !out.contains(&block) {
                out.push(block);
            }
        }
        out
    }
}
