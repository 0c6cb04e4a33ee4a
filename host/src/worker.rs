//! The thread that serves the kernel while no thread of the program waits for it.
//!
//! There is one at most, made when it is first needed: there is a device, or a deadline and nobody who sleeps for it.
//! When nothing happens it sleeps in `ppoll` without a time-out, or with that of the kernel's next timer.

use crate::real::{hush, lock, mode, RealHost, CALLER, FREE, WORKER_ASLEEP, WORKER_BUSY};
use crate::sys;
use core::sync::atomic::Ordering::SeqCst;
use core::time::Duration;
use lkl_ops::Host;
use rustix::thread::futex;
use std::sync::Arc;

/// How long it keeps away from callers that come and go, before it looks again.
const NAP: Duration = Duration::from_millis(2);
/// How long it sleeps at most, each time, while there are calls: nearly all deadlines of a connection are later, so nobody needs to wake
/// it up for them.
const ATTENTIVE: Duration = Duration::from_millis(20);
/// After how many naps in which one caller drove all the time it sleeps until that one leaves.
const NAPS: u32 = 3;
/// `service` needs less than half of it in debug builds.
const STACK: usize = 512 << 10;
/// All signals but the two that libc needs in each thread (`SIGCANCEL`, `SIGSETXID`).
const ALL_SIGNALS: u64 = !(1 << 31 | 1 << 32);

/// Makes the worker, if there is none.
pub(crate) fn ensure(host: &RealHost) {
    if host.state.stop.load(SeqCst) {
        return;
    }
    let none = host.state.worker.compare_exchange(mode::NONE, mode::NAPPING, SeqCst, SeqCst);
    let Some(host) = host.arc().filter(|_| none.is_ok()) else { return };
    let old = sys::set_sigmask(ALL_SIGNALS);
    let made = {
        let host = host.clone();
        let builder = std::thread::Builder::new().name("lkl-worker".into()).stack_size(STACK);
        builder.spawn(move || {
            (host.hooks.thread_start)();
            run(&host);
        })
    };
    sys::set_sigmask(old);
    match made {
        Ok(thread) => *lock(&host.worker_thread) = Some(thread),
        // Tried again at the next occasion; meanwhile callers drive.
        Err(_) => host.state.worker.store(mode::NONE, SeqCst),
    }
}

/// Drives whenever no caller does, until it is told to stop.
pub(crate) fn run(host: &Arc<RealHost>) {
    let s = &host.state;
    let me = s.workers.load(SeqCst);
    while !s.stop.load(SeqCst) {
        if s.driver.compare_exchange(FREE, WORKER_BUSY, SeqCst, SeqCst).is_ok() {
            s.worker.store(mode::POLLING, SeqCst);
            drive(host, me);
        }
        if s.workers.load(SeqCst) != me {
            // Another one has its place.
            return;
        }
        keep_away(host);
    }
    s.worker.store(mode::NONE, SeqCst);
}

/// Drives until a caller takes over, or another worker than the one of this number.
fn drive(host: &RealHost, me: u32) {
    let s = &host.state;
    // Whoever sleeps without driving can do it better: the frame that it waits for wakes it alone.
    host.rouse_one();
    let mut drives = s.drives.load(SeqCst);
    let mut rung = true;
    while !s.stop.load(SeqCst) {
        s.rounds.fetch_add(1, SeqCst);
        let mut until = host.run_service(&|| false);
        if s.workers.load(SeqCst) != me {
            return;
        }
        let seen = core::mem::replace(&mut drives, s.drives.load(SeqCst));
        if rung || seen != drives {
            until = until.min(host.now() + ATTENTIVE);
        }
        let time = host.fall_asleep(until);
        let mut fds = host.drive_fds();
        s.worker_until.store(until.as_nanos(), SeqCst);
        s.driver.store(WORKER_ASLEEP, SeqCst);
        let _result = sys::ppoll(&mut fds, time, None);
        s.worker_until.store(0, SeqCst);
        rung = fds.first().is_some_and(|e| e.revents != 0);
        if s.driver.compare_exchange(WORKER_ASLEEP, WORKER_BUSY, SeqCst, SeqCst).is_err() {
            // If nobody drives any more, it is the worker's turn again at once.
            if s.driver.compare_exchange(FREE, WORKER_BUSY, SeqCst, SeqCst).is_err() {
                return;
            }
        }
        s.asleep_until.store(0, SeqCst);
        if rung {
            hush(host.event());
        }
        host.unwatch_broken(fds.get(1..).unwrap_or_default());
    }
    s.driver.store(FREE, SeqCst);
}

fn nap(word: &core::sync::atomic::AtomicU32, expected: u32, time: Duration) {
    let time = futex::Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    let _woken = futex::wait(word, futex::Flags::PRIVATE, expected, Some(&time));
}

/// Sleeps while callers drive.
fn keep_away(host: &RealHost) {
    let s = &host.state;
    let mut naps = 0;
    let mut drives = s.drives.load(SeqCst);
    s.worker.store(mode::NAPPING, SeqCst);
    loop {
        let bell = s.bell.load(SeqCst);
        nap(&s.bell, bell, NAP);
        let seen = core::mem::replace(&mut drives, s.drives.load(SeqCst));
        let called = s.bell.load(SeqCst) != bell;
        // Nobody drives at this moment; those who do so again and again are likely to come back.
        let free = s.driver.load(SeqCst) == FREE && (called || seen == drives);
        if s.stop.load(SeqCst) || free {
            return;
        }
        naps = if seen == drives { naps + 1 } else { 0 };
        if naps < NAPS {
            continue;
        }
        naps = 0;
        let bell = s.bell.load(SeqCst);
        s.worker.store(mode::DEEP, SeqCst);
        while s.driver.load(SeqCst) == CALLER && s.bell.load(SeqCst) == bell && !s.stop.load(SeqCst) {
            let _woken = futex::wait(&s.bell, futex::Flags::PRIVATE, bell, None);
        }
        s.worker.store(mode::NAPPING, SeqCst);
    }
}
