//! The process's signals as files of the kernel ([`lkl_ops::SignalSource`]): each is a `signalfd` of the host's, through which they are read.
//!
//! Who sleeps must learn that a signal came, once and not as long as it waits to be read; and what came for one thread alone only that thread
//! can see. So each sleeper has an epoll instance with all the signalfds in it, edge-triggered: the one who drives that of the host, every other one
//! borrows one. What it tells is passed on to the kernel ([`Signals::tell`]). A process without a signalfd has none of this.

use crate::real::lock;
use crate::sys;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use lkl_abi::signalfd::SIGNALFD_SIGINFO_SIZE;
use lkl_abi::{Errno, Result};
use lkl_ops::SignalSource;
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

/// How many of the signalfds that have something new are asked for at once.
const MANY: usize = 8;

/// What is called when a signal may have come.
pub(crate) type Ready = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Known {
    /// What is called, by the numbers of the signalfds.
    sources: BTreeMap<RawFd, Ready>,
    /// Every epoll instance.
    sleepers: Vec<RawFd>,
    /// Those that nobody has borrowed.
    idle: Vec<RawFd>,
}

/// The signalfds of a host, and who is told of what comes.
pub(crate) struct Signals {
    known: Mutex<Known>,
    /// How many signalfds there are.
    count: AtomicUsize,
    /// The epoll instance of whoever drives; -1 before the first signalfd.
    driver: AtomicI32,
}

impl Signals {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), count: AtomicUsize::new(0), driver: AtomicI32::new(-1) })
    }

    /// The epoll instance of whoever drives, if there is any.
    pub(crate) fn driver(&self) -> Option<RawFd> {
        Some(self.driver.load(SeqCst)).filter(|fd| *fd >= 0)
    }

    /// Is there any signalfd?
    pub(crate) fn any(&self) -> bool {
        self.count.load(SeqCst) > 0
    }

    /// A new source of the signals in `mask`; `privatise` as in [`crate::Hooks`].
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`
    pub(crate) fn source(
        self: &Arc<Self>,
        mask: u64,
        ready: Ready,
        privatise: fn(RawFd) -> RawFd,
    ) -> Result<Box<dyn SignalSource>> {
        let mut known = lock(&self.known);
        if self.driver.load(SeqCst) < 0 {
            let driver = known.sleeper(privatise)?;
            self.driver.store(driver, SeqCst);
        }
        let fd = privatise(sys::signalfd(-1, mask)?);
        for sleeper in &known.sleepers {
            if let Err(e) = sys::epoll_add_edge(*sleeper, fd) {
                sys::close(fd);
                return Err(e);
            }
        }
        known.sources.insert(fd, ready);
        self.count.store(known.sources.len(), SeqCst);
        drop(known);
        Ok(Box::new(Source { signals: self.clone(), fd }))
    }

    /// An epoll instance for a sleeper who does not drive.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`
    pub(crate) fn borrow(&self, privatise: fn(RawFd) -> RawFd) -> Result<RawFd> {
        let mut known = lock(&self.known);
        match known.idle.pop() {
            Some(fd) => Ok(fd),
            None => known.sleeper(privatise),
        }
    }

    pub(crate) fn give_back(&self, fd: RawFd) {
        lock(&self.known).idle.push(fd);
    }

    /// Passes on what is new in an epoll instance of the caller's, who holds no lock.
    pub(crate) fn tell(&self, sleeper: RawFd) {
        let mut fds = [0; MANY];
        loop {
            let n = sys::epoll_new(sleeper, &mut fds);
            let told: Vec<Ready> = {
                let known = lock(&self.known);
                fds.iter().take(n).filter_map(|fd| known.sources.get(fd).cloned()).collect()
            };
            for ready in told {
                ready();
            }
            if n < MANY {
                return;
            }
        }
    }
}

impl Known {
    /// A new epoll instance with every signalfd in it.
    fn sleeper(&mut self, privatise: fn(RawFd) -> RawFd) -> Result<RawFd> {
        let new = privatise(sys::epoll_create()?);
        for fd in self.sources.keys() {
            if let Err(e) = sys::epoll_add_edge(new, *fd) {
                sys::close(new);
                return Err(e);
            }
        }
        self.sleepers.push(new);
        Ok(new)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for fd in lock(&self.known).sleepers.drain(..) {
            sys::close(fd);
        }
    }
}

struct Source {
    signals: Arc<Signals>,
    fd: RawFd,
}

impl SignalSource for Source {
    fn set_mask(&self, mask: u64) -> Result<()> {
        sys::signalfd(self.fd, mask).map(drop)
    }

    fn ready(&self) -> bool {
        let mut fds = [libc::pollfd { fd: self.fd, events: libc::POLLIN, revents: 0 }];
        sys::ppoll(&mut fds, Some(core::time::Duration::ZERO), None) == Ok(1)
    }

    fn take(&self) -> Result<[u8; SIGNALFD_SIGINFO_SIZE]> {
        let mut record = [0; SIGNALFD_SIGINFO_SIZE];
        match sys::read(self.fd, &mut record)? {
            SIGNALFD_SIGINFO_SIZE => Ok(record),
            _ => Err(Errno::EIO),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut known = lock(&self.signals.known);
        let ready = known.sources.remove(&self.fd);
        self.signals.count.store(known.sources.len(), SeqCst);
        // Every epoll instance lets go of it with the last of its descriptors, and the number may come again.
        sys::close(self.fd);
        drop(known);
        drop(ready);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Hooks, RealHost, ThreadParker};
    use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use core::time::Duration;
    use lkl_abi::Errno;
    use lkl_ops::{Host, Parker, Woken};
    use std::sync::Arc;

    /// A signal that no other test of this process has anything to do with.
    const SIGNAL: i32 = 36;
    const MASK: u64 = 1 << (SIGNAL - 1);

    /// A thread that has the signal blocked, and its number.
    fn blocked() -> i32 {
        let old = crate::sys::set_sigmask(MASK);
        crate::sys::set_sigmask(old | MASK);
        rustix::thread::gettid().as_raw_nonzero().get()
    }

    fn send_to_thread(tid: i32) {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        // SAFETY: numbers only.
        assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, SIGNAL) }, 0);
    }

    #[test]
    fn what_comes_is_told_once_and_read() {
        let me = blocked();
        let host = RealHost::new(Hooks::default()).unwrap();
        let told = Arc::new(AtomicU32::new(0));
        let count = told.clone();
        let source = host
            .signals(
                MASK,
                Arc::new(move || {
                    count.fetch_add(1, SeqCst);
                }),
            )
            .unwrap();
        assert!(!source.ready());
        assert_eq!(source.take(), Err(Errno::EAGAIN));
        send_to_thread(me);
        assert!(source.ready());
        host.run_service(&|| false);
        host.run_service(&|| false);
        assert_eq!(told.load(SeqCst), 1);
        send_to_thread(me);
        host.run_service(&|| false);
        assert_eq!(told.load(SeqCst), 2);
        for _ in 0..2 {
            assert_eq!(source.take().unwrap()[..4], SIGNAL.to_ne_bytes());
        }
        assert_eq!(source.take(), Err(Errno::EAGAIN));
        source.set_mask(1).unwrap();
        send_to_thread(me);
        assert!(!source.ready());
        source.set_mask(MASK).unwrap();
        assert!(source.ready());
        source.take().unwrap();
    }

    /// A thread that sleeps beside the one who drives is told of what is sent to it alone, and so is the one who drives.
    #[test]
    fn each_sleeper_sees_its_own() {
        let host = RealHost::new(Hooks::default()).unwrap();
        let parkers: Vec<_> = (0..3).map(|_| ThreadParker::new(&host)).collect();
        let woken = parkers.clone();
        let ready = move || woken.iter().for_each(|p| p.unpark());
        let source = Arc::new(host.signals(MASK, Arc::new(ready)).unwrap());
        let (tx, rx) = std::sync::mpsc::channel();
        let threads: Vec<_> = parkers
            .into_iter()
            .map(|parker| {
                let (source, tx) = (source.clone(), tx.clone());
                std::thread::spawn(move || {
                    tx.send(blocked()).unwrap();
                    while !source.ready() {
                        assert_eq!(parker.park(None), Woken::Unparked);
                    }
                    source.take().unwrap();
                })
            })
            .collect();
        let tids: Vec<i32> = (0..3).map(|_| rx.recv().unwrap()).collect();
        std::thread::sleep(Duration::from_millis(50));
        for tid in tids {
            send_to_thread(tid);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// One who sleeps already when the first signalfd is made.
    #[test]
    fn a_sleeper_learns_of_the_first_one() {
        let host = RealHost::new(Hooks::default()).unwrap();
        let parker = ThreadParker::new(&host);
        let woken = parker.clone();
        let (tx, rx) = std::sync::mpsc::channel();
        let sleeper = std::thread::spawn(move || {
            tx.send(blocked()).unwrap();
            parker.park(None)
        });
        let tid = rx.recv().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let source = host.signals(MASK, Arc::new(move || woken.unpark())).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(!sleeper.is_finished());
        send_to_thread(tid);
        assert_eq!(sleeper.join().unwrap(), Woken::Unparked);
        drop(source);
        assert!(!host.signals.any());
    }
}
