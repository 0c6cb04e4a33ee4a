//! A timer as a file (`man 2 timerfd_create`).

use crate::stack::Net;
use core::time::Duration;
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_ops::Instant;
use lkl_sync::{Events, Mutex, Rank, Timer, TimerTarget, WaitQueue};
use std::sync::{Arc, Weak};

#[derive(Clone, Copy, Default)]
struct State {
    next: Option<Instant>,
    interval: Duration,
    /// Times that it has run out since it was read.
    ticks: u64,
}

impl State {
    /// Counts what has run out until `now`.
    fn advance(&mut self, now: Instant) {
        let Some(next) = self.next.filter(|next| *next <= now) else { return };
        if self.interval.is_zero() {
            self.ticks += 1;
            self.next = None;
            return;
        }
        let more = now.since(next).as_nanos() / self.interval.as_nanos();
        let more = u64::try_from(more).unwrap_or(u64::MAX - 1);
        self.ticks = self.ticks.saturating_add(more + 1);
        let step = self.interval.as_nanos().saturating_mul(u128::from(more) + 1);
        self.next = Some(next + Duration::from_nanos(u64::try_from(step).unwrap_or(u64::MAX)));
    }
}

/// A timer.
pub(crate) struct TimerFd {
    net: Arc<Net>,
    /// Its times are wall-clock times.
    realtime: bool,
    state: Mutex<State>,
    queue: WaitQueue,
    timer: Timer,
    me: Weak<TimerFd>,
}

impl TimerFd {
    pub(crate) fn new(net: &Arc<Net>, realtime: bool) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            net: net.clone(),
            realtime,
            state: Mutex::new(Rank::Queue, State::default()),
            queue: WaitQueue::new(),
            timer: Timer::default(),
            me: me.clone(),
        })
    }

    /// Sets it to run out after `value` (if `absolute`, at that time of its clock; zero: not at all) and then every `interval`. Answers
    /// the interval and the time that was left.
    pub(crate) fn set(&self, value: Duration, interval: Duration, absolute: bool) -> (Duration, Duration) {
        let now = self.net.now();
        let clock = if self.realtime { self.net.host().realtime() } else { Duration::from_nanos(now.as_nanos()) };
        let delay = if absolute { value.saturating_sub(clock) } else { value };
        let next = (!value.is_zero()).then(|| now + delay);
        let mut state = self.state.lock();
        let old = Self::left(&mut state, now);
        *state = State { next, interval, ticks: 0 };
        state.advance(now);
        let (due, ready) = (state.next, state.ticks > 0);
        drop(state);
        self.net.timers().disarm(&self.timer);
        self.arm(due);
        if ready {
            self.queue.wake(Events::READ);
        }
        old
    }

    /// The interval and the time that is left.
    pub(crate) fn get(&self) -> (Duration, Duration) {
        Self::left(&mut self.state.lock(), self.net.now())
    }

    fn left(state: &mut State, now: Instant) -> (Duration, Duration) {
        state.advance(now);
        (state.interval, state.next.map_or(Duration::ZERO, |next| next.since(now)))
    }

    fn arm(&self, due: Option<Instant>) {
        if let Some(due) = due {
            self.net.arm(&self.timer, || self.me.clone(), due);
        }
    }
}

impl TimerTarget for TimerFd {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    /// One that nobody reads stays quiet: the next reader counts what it has missed.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        state.advance(now);
        let (due, ready) = (state.next, state.ticks > 0);
        drop(state);
        if !ready {
            return due;
        }
        self.queue.wake(Events::READ);
        None
    }
}

impl File for TimerFd {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        if out.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let mut state = self.state.lock();
        state.advance(self.net.now());
        let (ticks, due) = (core::mem::take(&mut state.ticks), state.next);
        drop(state);
        if ticks == 0 {
            return Err(Errno::EAGAIN);
        }
        self.arm(due);
        out.write(&ticks.to_ne_bytes())
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    fn poll(&self) -> Events {
        let mut state = self.state.lock();
        state.advance(self.net.now());
        if state.ticks > 0 {
            Events::IN
        } else {
            Events::EMPTY
        }
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn release(&self) {
        self.net.timers().disarm(&self.timer);
    }
}
