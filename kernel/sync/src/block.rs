//! The one function that blocks a caller.

use crate::wait::{Events, WaitQueue, Waiter};
use core::time::Duration;
use lkl_abi::{Errno, Result};
use lkl_ops::{Instant, Parker, Woken};
use std::sync::Arc;

/// How a call may wait.
#[derive(Clone, Copy)]
pub struct Blocking<'a> {
    /// Where the calling thread sleeps.
    pub parker: &'a Arc<dyn Parker>,
    /// `O_NONBLOCK` or `MSG_DONTWAIT`: never sleep.
    pub nonblock: bool,
    /// When to give up, of `SO_RCVTIMEO`, `SO_SNDTIMEO`.
    pub deadline: Option<Instant>,
    /// Wake only one of the waiters that set this (`accept`).
    pub exclusive: bool,
    /// How long the devices may be looked at before the thread really sleeps.
    pub busy: Duration,
}

impl<'a> Blocking<'a> {
    /// As long as it takes.
    pub fn on(parker: &'a Arc<dyn Parker>) -> Self {
        Self { parker, nonblock: false, deadline: None, exclusive: false, busy: Duration::ZERO }
    }
}

struct Unpark(Arc<dyn Parker>);

impl Waiter for Unpark {
    fn wake(&self, _: Events) -> bool {
        self.0.unpark();
        self.0.alive()
    }
}

/// Calls `try_op` until it answers something else than `EAGAIN`, sleeping on `queue` for `events` in between.
///
/// Nothing half-done is kept here, so an interrupted call can be started again from the top.
///
/// # Errors
/// That of `try_op`; `EAGAIN` if it must not or no longer wait; when a signal handler ran, `ERESTARTSYS`, or `EINTR`
/// if there is a deadline (`man 7 signal`: a call with a time-out set is never restarted).
pub fn block_on<T>(
    how: Blocking<'_>,
    queue: &WaitQueue,
    events: Events,
    mut try_op: impl FnMut() -> Result<T>,
) -> Result<T> {
    let first = try_op();
    if how.nonblock || !matches!(first, Err(Errno::EAGAIN)) {
        how.parker.passed_by();
        return first;
    }
    let registration = queue.register(Arc::new(Unpark(how.parker.clone())), events, how.exclusive);
    let result = loop {
        match try_op() {
            Err(Errno::EAGAIN) => {}
            other => break other,
        }
        match how.parker.park_busy(how.deadline, how.busy) {
            Woken::Unparked => {}
            Woken::TimedOut => break Err(Errno::EAGAIN),
            Woken::Interrupted if how.deadline.is_some() => break Err(Errno::EINTR),
            Woken::Interrupted => break Err(Errno::ERESTARTSYS),
        }
    };
    queue.deregister(registration);
    match result {
        // What arrived together with the signal or the deadline is not lost: it wins. Looked at only now that no
        // exclusive wake-up can be meant for this thread any more.
        Err(e @ (Errno::EAGAIN | Errno::EINTR | Errno::ERESTARTSYS)) => match try_op() {
            Err(Errno::EAGAIN) => Err(e),
            other => other,
        },
        done => done,
    }
}
