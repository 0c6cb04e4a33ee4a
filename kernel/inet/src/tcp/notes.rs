//! What the program is told of the bytes of a stream, if it asks: when they came, when they left and were acknowledged
//! (`SO_TIMESTAMPING`), that a send is done with what it was given (`MSG_ZEROCOPY`). Most sockets have none of this.

use super::socket::{Phase, TcpSocket};
use crate::sock::errqueue::{ErrorItem, ErrorQueue};
use crate::timestamp::{self, Stamped, TxStamp};
use bytes::Bytes;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_abi::net_tstamp::SOF_TIMESTAMPING_TX_ACK;
use lkl_abi::socket::{SOL_SOCKET, SO_TIMESTAMPING_NEW, SO_TIMESTAMPING_OLD};
use lkl_abi::{Errno, Result};
use lkl_file::{Control, SockOptions};
use lkl_net::tcp::{Connection, SegmentOut, State};
use lkl_sync::{Events, Mutex, Rank};
use std::collections::VecDeque;
use std::sync::Weak;

/// The end of one send, until it is acknowledged.
struct Mark {
    /// Sequence number of its last byte.
    last: u32,
    /// `SOF_TIMESTAMPING_TX_*`
    flags: u32,
    zerocopy: Option<u32>,
    /// Its last bytes.
    data: Bytes,
}

#[derive(Default)]
struct Marks {
    sent: VecDeque<Mark>,
    /// Where what came ends, and when it came.
    came: VecDeque<(u64, Duration)>,
    /// Sequence number that stamps are counted from (`SOF_TIMESTAMPING_OPT_ID`).
    first: u32,
    /// Number of the next send without a copy.
    zerocopy: u32,
}

/// What is noted of a socket.
pub(super) struct Notes {
    marks: Mutex<Marks>,
    pub(super) errors: Mutex<ErrorQueue>,
}

/// What of a connection the notes go by.
pub(super) struct Progress {
    /// Sequence number of the first byte that is not acknowledged; `None` if nothing will be any more.
    una: Option<u32>,
    /// Position of the end of what came.
    end: u64,
}

impl Progress {
    pub(super) fn of(c: &Connection) -> Self {
        Self { una: (c.state() != State::Closed).then(|| c.unacknowledged_seq()), end: c.received().1 }
    }
}

/// What the control messages of a `sendmsg` ask for.
///
/// # Errors
/// `EINVAL`
pub(super) fn asked(control: &[Control]) -> Result<Option<u32>> {
    let mut flags = None;
    for m in control.iter().filter(|m| m.level == SOL_SOCKET && m.kind != lkl_abi::socket::SCM_RIGHTS) {
        if !matches!(m.kind, SO_TIMESTAMPING_OLD | SO_TIMESTAMPING_NEW) {
            return Err(Errno::EINVAL);
        }
        let value = m.data.first_chunk().filter(|_| m.data.len() == 4).ok_or(Errno::EINVAL)?;
        flags = Some(timestamp::asked(u32::from_ne_bytes(*value))?);
    }
    Ok(flags)
}

impl TcpSocket {
    fn notes_made(&self) -> &Notes {
        self.notes.get_or_init(|| {
            let (marks, errors) = (Marks::default(), ErrorQueue::default());
            Box::new(Notes { marks: Mutex::new(Rank::Queue, marks), errors: Mutex::new(Rank::Queue, errors) })
        })
    }

    /// A send ends with the byte before `next`. Called under the socket's lock, before its segments are sent.
    pub(super) fn note_send(&self, next: u32, flags: u32, zerocopy: bool, data: Bytes) {
        let mut marks = self.notes_made().marks.lock();
        let id = zerocopy.then_some(marks.zerocopy);
        marks.zerocopy = marks.zerocopy.wrapping_add(zerocopy.into());
        marks.sent.push_back(Mark { last: next.wrapping_sub(1), flags, zerocopy: id, data });
    }

    /// What goes with a segment, if a send that is to be noted ends in it.
    pub(super) fn stamp_of(&self, segment: &SegmentOut) -> Option<TxStamp> {
        let marks = self.notes.get()?.marks.lock();
        let len: usize = segment.payload.iter().map(Bytes::len).sum();
        let inside = |m: &&Mark| m.flags != 0 && (m.last.wrapping_sub(segment.header.seq) as usize) < len;
        let mark = marks.sent.iter().rev().find(inside)?;
        let socket: Weak<dyn Stamped> = self.me.clone();
        TxStamp::new(socket, mark.flags, mark.last.wrapping_sub(marks.first))
    }

    /// A segment has come at `time`. Called holding no lock.
    pub(super) fn note_progress(&self, progress: &Progress, time: Duration) {
        let wanted = timestamp::wanted(&self.options);
        if self.notes.get().is_none() && !wanted {
            return;
        }
        let notes = self.notes_made();
        let mut marks = notes.marks.lock();
        if wanted && marks.came.back().is_none_or(|(end, _)| *end < progress.end) {
            marks.came.push_back((progress.end, time));
        }
        let mut over = Vec::new();
        let is_over = |m: &Mark| progress.una.is_none_or(|una| (m.last.wrapping_sub(una) as i32) < 0);
        while marks.sent.front().is_some_and(is_over) {
            over.extend(marks.sent.pop_front());
        }
        let first = marks.first;
        drop(marks);
        if over.is_empty() {
            return;
        }
        let mut told = false;
        for mark in over {
            if mark.flags & SOF_TIMESTAMPING_TX_ACK != 0 && progress.una.is_some() {
                let item = timestamp::acknowledged(&self.net, &self.options, mark.last.wrapping_sub(first), mark.data);
                told |= notes.errors.lock().push(item);
            }
            if let Some(id) = mark.zerocopy {
                notes.errors.lock().push_done(id);
                told = true;
            }
        }
        if told {
            self.waiters.wake(Events::ERR);
        }
    }

    /// When the byte before position `to` came; what came before position `read` is forgotten.
    pub(super) fn came_at(&self, to: u64, read: u64) -> Option<Duration> {
        let mut marks = self.notes.get()?.marks.lock();
        let time = marks.came.iter().find(|(end, _)| *end >= to).map(|(_, time)| *time);
        while marks.came.front().is_some_and(|(end, _)| *end <= read) {
            marks.came.pop_front();
        }
        time
    }

    /// Stamps are counted from here: from what is written next, or else from what is not acknowledged yet.
    pub(super) fn number_stamps(&self, written: bool) -> Result<()> {
        let inner = self.inner.lock();
        let Phase::Connection(c) = &inner.phase else { return Err(Errno::EINVAL) };
        if c.state() == State::Closed {
            return Err(Errno::EINVAL);
        }
        self.notes_made().marks.lock().first = if written { c.write_seq() } else { c.unacknowledged_seq() };
        Ok(())
    }

    /// Is there anything in the error queue?
    pub(super) fn has_errors(&self) -> bool {
        self.notes.get().is_some_and(|n| !n.errors.lock().is_empty())
    }
}

impl Stamped for TcpSocket {
    fn options(&self) -> &SockOptions {
        &self.options
    }

    fn take_stamp(&self, item: ErrorItem) {
        if self.notes_made().errors.lock().push(item) {
            self.waiters.wake(Events::ERR);
        }
    }
}

/// Is a send with `flags` one without a copy?
pub(super) fn zerocopy(options: &SockOptions, flags: u32) -> bool {
    flags & lkl_abi::socket::MSG_ZEROCOPY != 0 && options.zerocopy.load(Relaxed)
}
