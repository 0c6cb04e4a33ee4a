//! One thread of the keeper makes the calls of one thread of another process.

use super::member::Member;
use super::seat::Seat;
use super::{remote, Keeper};
use crate::panics;
use crate::sys;
use crate::tree::line::{how, op, turn, Buffer, Line, Patience, Poll, Side};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use core::time::Duration;
use lkl_abi::{Errno, Result};
use lkl_host::{RealHost, ThreadParker};
use lkl_kernel::{EpollAt, EpollEvent, Kernel, OpenFile, PollFd, PollRegistration, Task};
use lkl_ops::Parker;
use lkl_sync::{Events, Waiter};
use std::sync::{Arc, Weak};

/// Most descriptors of one `poll`.
const MOST: u64 = 1 << 20;
/// For how long a thread looks out for the next call.
const BETWEEN: Duration = Duration::from_micros(20);

/// What the others need of a thread that makes calls for a line.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) parker: Arc<ThreadParker>,
    /// The eventfd that wakes the caller while it sleeps for files of its host; -1 before it has one.
    pub(super) event: Arc<AtomicI32>,
    /// The last call ([`Line::serial`]) that is to give way instead of sleeping.
    interrupted: AtomicU64,
}

/// All calls from now on, instead of the number of one.
pub(super) const ALL: u64 = u64::MAX;

impl Worker {
    pub(super) fn new(host: &Arc<RealHost>) -> Arc<Self> {
        Arc::new(Self {
            parker: ThreadParker::new(host),
            event: Arc::new(AtomicI32::new(-1)),
            interrupted: AtomicU64::new(0),
        })
    }

    /// The call with that number is to give way, whether it sleeps, runs, or is still to begin here.
    pub(super) fn interrupt(&self, serial: u64) {
        self.interrupted.fetch_max(serial, Ordering::SeqCst);
        self.parker.interrupt();
    }

    /// The call with that number begins. What came too late for the last one is not for it.
    fn begin(&self, serial: u64, interrupted: bool) {
        self.parker.take_interrupt();
        if interrupted || self.interrupted.load(Ordering::SeqCst) >= serial {
            self.parker.interrupt();
        }
    }
}

/// Wakes the worker, and the caller, which sleeps by itself.
struct Ring {
    parker: Arc<ThreadParker>,
    keeper: Weak<Keeper>,
    event: Arc<AtomicI32>,
}

impl Waiter for Ring {
    fn wake(&self, _: Events) -> bool {
        self.parker.unpark();
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.ring(&self.event);
        }
        true
    }
}

/// The file's name among the members of the tree, as long as it is open.
pub(crate) fn id_of(file: &Arc<OpenFile>) -> u64 {
    Arc::as_ptr(file) as u64 >> 4
}

/// An event in the form of [`op::READY`].
fn pair_of(event: EpollEvent) -> [u8; 16] {
    let instance = event.instance.map_or(0, |fd| fd as u64 + 1);
    (u128::from(event.data) << 64 | u128::from(instance << 32 | u64::from(event.events))).to_ne_bytes()
}

struct Session<'a> {
    member: &'a Member,
    kernel: Arc<Kernel>,
    task: Task,
    worker: Arc<Worker>,
    watch: Option<(PollRegistration, Vec<PollFd>)>,
}

/// Makes the calls that come by a line, until the member is gone.
pub(super) fn run(member: &Arc<Member>, index: usize, worker: Arc<Worker>) {
    let Some(window) = member.window() else { return };
    let Some(line) = window.line(index) else { return };
    let Ok(buffer) = window.buffer(index) else {
        line.end();
        return;
    };
    let kernel = member.process.kernel().clone();
    let tid = line.tid.load(Ordering::Acquire) as i32;
    let task = Kernel::task(&member.process, tid, worker.parker.clone());
    let mut session = Session { member, kernel, task, worker, watch: None };
    let (patience, asking) = (Patience::new(BETWEEN), Patience::new(BETWEEN));
    let mut seat = Seat::new();
    loop {
        match line.turn.load(Ordering::Acquire) {
            turn::CALL => {
                if let Some(seat) = &mut seat {
                    seat.take(line.callers_cpu(), &patience);
                }
                session.answer(line, &buffer, &asking);
                if !line.pass(turn::CALL, turn::DONE) {
                    return;
                }
            }
            turn::OVER => return,
            _ => {
                line.wait(Side::Kernel, &patience, 1 << 30);
            }
        }
    }
}

impl Session<'_> {
    fn answer(&mut self, line: &Line, buffer: &Buffer, asking: &Patience) {
        self.worker.begin(line.serial.load(Ordering::SeqCst), line.interrupted.load(Ordering::Relaxed) != 0);
        let number = line.number.load(Ordering::Relaxed);
        let args = [0, 1, 2, 3, 4, 5].map(|i: usize| line.args[i].load(Ordering::Relaxed));
        let result = remote::with_line(line, buffer, asking, || match usize::try_from(number) {
            Ok(n) if number < op::ID => self.kernel.syscall(&self.task, n, args),
            _ => self.other(number, args),
        });
        line.answer.store(sys::uncheck(result) as i64, Ordering::Relaxed);
        line.signals.store(self.task.take_signals(), Ordering::Relaxed);
    }

    fn other(&mut self, number: u64, a: [u64; 6]) -> Result<u64> {
        let process = &self.member.process;
        match number {
            op::ID => process.file(a[0] as i32).map(|f| id_of(&f)),
            op::LOOK => {
                let mut fds = self.polls(a[0], a[1])?;
                let (ready, _none) = self.kernel.poll_set(&self.task, &mut fds, None);
                self.put_polls(a[0], &fds)?;
                Ok(ready as u64)
            }
            op::WATCH => {
                let mut fds = self.polls(a[0], a[1])?;
                self.watch = None;
                let (ready, set) = self.kernel.poll_set(&self.task, &mut fds, Some(self.ring()));
                self.put_polls(a[0], &fds)?;
                self.watch = Some((set, fds));
                Ok(ready as u64)
            }
            op::CHECK => {
                let Some((set, mut fds)) = self.watch.take() else { return Err(Errno::EINVAL) };
                let ready = set.check(&mut fds);
                self.put_polls(a[0], &fds)?;
                self.watch = Some((set, fds));
                Ok(ready as u64)
            }
            op::UNWATCH => {
                self.watch = None;
                Ok(0)
            }
            op::READY => {
                let mut found = self.epoll_ready(a[0], a[1], a[2], a[3])?;
                if found == 0 && a[3] == how::WATCH {
                    let set = self.kernel.epoll_watch(&self.task, a[0] as i32, self.ring())?;
                    self.watch = Some((set, Vec::new()));
                    found = self.epoll_ready(a[0], a[1], a[2], how::WATCHED)?;
                }
                if found > 0 && a[3] != how::ONCE {
                    self.watch = None;
                }
                Ok(found)
            }
            op::INNER => {
                let found = self.kernel.epoll_inner(&self.task, self.epoll(a[0], a[3]), a[2] as i32)?;
                found.map_or(Ok(0), |event| process.mem().write(a[1], &pair_of(event)).map(|()| 1))
            }
            op::PATH => {
                let file = process.file(a[0] as i32)?;
                let path = file.path().ok_or(Errno::ENOENT)?;
                if path.len() as u64 > a[2] {
                    return Err(Errno::ENAMETOOLONG);
                }
                process.mem().write(a[1], &path)?;
                Ok(path.len() as u64)
            }
            op::WAKE => {
                process.file(a[0] as i32)?.file().wait_queue().wake(Events::READ);
                Ok(0)
            }
            op::FORGET => {
                drop(process.forget(a[0] as i32));
                Ok(0)
            }
            op::ADOPT => {
                let file = self.member.in_flight(a[1]).ok_or(Errno::EBADF)?;
                process.adopt(a[0] as i32, file).map(|()| 0)
            }
            op::PANIC if !self.kernel.oopsed() => Ok(0),
            op::PANIC if a[1] == 0 => Ok(1),
            op::PANIC => {
                let text = panics::report();
                let text = text.as_bytes().get(..a[1] as usize).unwrap_or(text.as_bytes());
                process.mem().write(a[0], text)?;
                Ok(text.len() as u64)
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    /// What rings the eventfd of the thread.
    fn ring(&self) -> Arc<dyn Waiter> {
        Arc::new(Ring {
            parker: self.worker.parker.clone(),
            keeper: self.member.keeper.clone(),
            event: self.worker.event.clone(),
        })
    }

    /// Writes what an epoll instance has to tell to `to`; answers how many events, at most `max`.
    fn epoll_ready(&self, epfd: u64, mut to: u64, max: u64, how: u64) -> Result<u64> {
        let mem = self.member.process.mem();
        let mut written = Ok(());
        let found = self.kernel.epoll_ready(&self.task, self.epoll(epfd, how), max as usize, |event| {
            written = written.and_then(|()| mem.write(to, &pair_of(event)));
            to = to.wrapping_add(size_of::<[u64; 2]>() as u64);
        })?;
        written.map(|()| found as u64)
    }

    /// The epoll instance at `epfd`, or the one that is watched.
    fn epoll(&self, epfd: u64, how: u64) -> EpollAt<'_> {
        match &self.watch {
            Some((set, _)) if how == how::WATCHED => EpollAt::Watched(set),
            _ => EpollAt::Number(epfd as i32),
        }
    }

    fn polls(&self, at: u64, n: u64) -> Result<Vec<PollFd>> {
        if n > MOST {
            return Err(Errno::EINVAL);
        }
        let mut raw = vec![0u8; n as usize * size_of::<Poll>()];
        self.member.process.mem().read(at, &mut raw)?;
        let word = |b: &[u8], i: usize| u32::from_ne_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let each = raw.chunks_exact(size_of::<Poll>());
        Ok(each.map(|b| PollFd { fd: word(b, 0) as i32, events: Events(word(b, 4)), revents: Events::EMPTY }).collect())
    }

    fn put_polls(&self, at: u64, fds: &[PollFd]) -> Result<()> {
        let mut raw = Vec::with_capacity(size_of_val(fds));
        for p in fds {
            raw.extend(p.fd.to_ne_bytes());
            raw.extend(p.events.0.to_ne_bytes());
            raw.extend(p.revents.0.to_ne_bytes());
        }
        self.member.process.mem().write(at, &raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lkl_host::Hooks;

    #[test]
    fn what_interrupts_a_call_does_so_before_it_begins_here() {
        let worker = Worker::new(&RealHost::new(Hooks::default()).unwrap());
        worker.interrupt(5);
        worker.begin(5, false);
        assert!(worker.parker.take_interrupt());
        // Too late for that one.
        worker.interrupt(5);
        worker.begin(6, false);
        assert!(!worker.parker.take_interrupt());
        worker.begin(7, true);
        assert!(worker.parker.take_interrupt());
        worker.interrupt(ALL);
        worker.interrupt(8);
        worker.begin(9, false);
        assert!(worker.parker.take_interrupt());
    }
}
