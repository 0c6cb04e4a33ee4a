use super::*;
use crate::real::{mode, Hooks, FREE, WORKER_ASLEEP};
use rustix::pipe::{pipe_with, PipeFlags};
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;
use std::sync::Mutex;
use std::thread;
use std::time::Instant as StdInstant;

/// A kernel in miniature: reads a pipe as if it were a device, and unparks whoever waits for it.
struct Toy {
    host: Arc<RealHost>,
    pipe: (std::os::fd::OwnedFd, std::os::fd::OwnedFd),
    got: AtomicU64,
    serviced: AtomicU64,
    deadline: AtomicU64,
    waiters: Mutex<Vec<Arc<ThreadParker>>>,
}

fn toy(device: bool) -> Arc<Toy> {
    let host = RealHost::new(Hooks::default()).unwrap();
    let toy = Arc::new(Toy {
        host: host.clone(),
        pipe: pipe_with(PipeFlags::NONBLOCK).unwrap(),
        got: AtomicU64::new(0),
        serviced: AtomicU64::new(0),
        deadline: AtomicU64::new(u64::MAX),
        waiters: Mutex::new(Vec::new()),
    });
    let weak = Arc::downgrade(&toy);
    host.serve(move |_| weak.upgrade().and_then(|t| t.service()));
    if device {
        host.watch(toy.pipe.0.as_raw_fd());
    }
    toy
}

impl Toy {
    fn service(&self) -> Option<Instant> {
        self.serviced.fetch_add(1, SeqCst);
        let mut byte = [0; 64];
        while let Ok(n @ 1..) = rustix::io::read(&self.pipe.0, &mut byte) {
            self.got.fetch_add(n as u64, SeqCst);
            for w in self.waiters.lock().unwrap().iter() {
                w.unpark();
            }
        }
        let at = self.deadline.load(SeqCst);
        if at <= self.host.now().as_nanos() {
            self.deadline.store(u64::MAX, SeqCst);
            for w in self.waiters.lock().unwrap().iter() {
                w.unpark();
            }
            return None;
        }
        (at != u64::MAX).then(|| Instant::from_nanos(at))
    }

    fn frame(&self) {
        rustix::io::write(&self.pipe.1, b"x").unwrap();
    }

    fn parker(&self) -> Arc<ThreadParker> {
        let p = ThreadParker::new(&self.host);
        self.waiters.lock().unwrap().push(p.clone());
        p
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.host.state.stop.store(true, SeqCst);
        self.host.ring_bell();
        ring(self.host.event());
    }
}

fn after(time: u64, f: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(time));
        f();
    })
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

#[test]
fn a_busy_thread_serves_the_device_now_and_then() {
    let toy = toy(true);
    let p = toy.parker();
    // It has driven, so the worker keeps away for a moment.
    p.sleep(&mut [], Some(toy.host.now() + ms(1)), None, Duration::ZERO);
    toy.frame();
    for _ in 0..PASSES {
        p.passed_by();
    }
    assert_eq!(toy.got.load(SeqCst), 1);
    // Sleeping serves it, too: the count begins anew.
    for _ in 1..PASSES {
        p.passed_by();
    }
    // The first one finds that the frame has come.
    for _ in 0..2 {
        p.sleep(&mut [], Some(toy.host.now() + ms(1)), None, Duration::ZERO);
    }
    let serviced = toy.serviced.load(SeqCst);
    p.passed_by();
    assert_eq!(p.passes.load(Relaxed), 1);
    assert!(toy.serviced.load(SeqCst) <= serviced + 1, "at most by the worker");
    // Nobody else is disturbed who drives already.
    let other = toy.parker();
    let sleeps = {
        let toy = toy.clone();
        thread::spawn(move || other.sleep(&mut [], Some(toy.host.now() + ms(200)), None, Duration::ZERO))
    };
    while toy.host.state.driver.load(SeqCst) != crate::real::CALLER {
        thread::yield_now();
    }
    let drives = toy.host.state.drives.load(SeqCst);
    for _ in 0..2 * PASSES {
        p.passed_by();
    }
    assert_eq!(toy.host.state.drives.load(SeqCst), drives);
    sleeps.join().unwrap();
}

#[test]
fn a_token_is_kept() {
    let t = toy(false);
    let p = t.parker();
    p.unpark();
    assert_eq!(p.park(None), Woken::Unparked);
    assert_eq!(p.park(Some(t.host.now() + ms(1))), Woken::TimedOut);
}

#[test]
fn a_waiter_reads_the_device_itself() {
    let t = toy(true);
    let p = t.parker();
    let t2 = t.clone();
    let h = after(20, move || t2.frame());
    let deadline = Some(t.host.now() + ms(2_000));
    while t.got.load(SeqCst) == 0 {
        assert_ne!(p.park(deadline), Woken::TimedOut);
    }
    h.join().unwrap();
}

#[test]
fn the_worker_serves_while_nobody_waits() {
    let t = toy(true);
    for i in 1..20 {
        t.frame();
        let start = StdInstant::now();
        while t.got.load(SeqCst) < i {
            assert!(start.elapsed() < ms(2_000));
            thread::sleep(ms(1));
        }
    }
}

#[test]
fn it_takes_over_again_when_a_long_driver_leaves() {
    let t = toy(true);
    let p = t.parker();
    let _drive = p.park(Some(t.host.now() + ms(60)));
    let start = StdInstant::now();
    t.frame();
    while t.got.load(SeqCst) == 0 {
        assert!(start.elapsed() < ms(2_000), "{:?}", t.host);
        thread::sleep(ms(1));
    }
}

#[test]
fn nobody_wakes_up_when_nothing_happens() {
    let t = toy(true);
    thread::sleep(ms(50));
    let before = t.serviced.load(SeqCst);
    assert_eq!(t.host.state.driver.load(SeqCst), WORKER_ASLEEP);
    thread::sleep(ms(100));
    assert_eq!(t.serviced.load(SeqCst), before);
    // And while a caller drives, the worker sleeps deeply.
    let p = t.parker();
    let host = t.host.clone();
    let h = after(80, move || {
        assert!(matches!(host.state.worker.load(SeqCst), mode::DEEP | mode::POLLING), "{host:?}");
    });
    assert_eq!(p.park(Some(t.host.now() + ms(120))), Woken::TimedOut);
    h.join().unwrap();
}

#[test]
fn a_deadline_without_a_device_makes_a_worker() {
    let t = toy(false);
    assert_eq!(t.host.state.worker.load(SeqCst), mode::NONE);
    let at = t.host.now() + ms(20);
    t.deadline.store(at.as_nanos(), SeqCst);
    t.host.rearm(at);
    let start = StdInstant::now();
    while t.deadline.load(SeqCst) != u64::MAX {
        assert!(start.elapsed() < ms(2_000), "{:?}", t.host);
        thread::sleep(ms(1));
    }
    assert!(start.elapsed() >= ms(15));
}

#[test]
fn an_earlier_deadline_reaches_a_sleeping_driver() {
    let t = toy(false);
    let p = t.parker();
    let t2 = t.clone();
    let h = after(20, move || {
        let at = t2.host.now() + ms(20);
        t2.deadline.store(at.as_nanos(), SeqCst);
        t2.host.rearm(at);
    });
    let start = StdInstant::now();
    assert_eq!(p.park(Some(t.host.now() + ms(5_000))), Woken::Unparked);
    assert!(start.elapsed() < ms(1_000));
    h.join().unwrap();
}

#[test]
fn files_of_the_host_wake_too() {
    let t = toy(true);
    let (r, w) = pipe_with(PipeFlags::NONBLOCK).unwrap();
    for drives in [true, false] {
        let p = t.parker();
        let other = t.parker();
        let t2 = t.clone();
        let held = (!drives).then(|| {
            let h = thread::spawn(move || {
                let deadline = Some(t2.host.now() + ms(200));
                while other.park(deadline) == Woken::Unparked {}
            });
            thread::sleep(ms(20));
            h
        });
        let mut fds = [libc::pollfd { fd: r.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        let deadline = Some(t.host.now() + ms(10));
        assert_eq!(p.sleep(&mut fds, deadline, None, Duration::ZERO), Slept::TimedOut);
        rustix::io::write(&w, b"x").unwrap();
        assert_eq!(p.sleep(&mut fds, None, None, Duration::ZERO), Slept::Host(1));
        assert_eq!(fds[0].revents, libc::POLLIN);
        rustix::io::read(&r, &mut [0; 8]).unwrap();
        let q = p.clone();
        let h = after(10, move || q.unpark());
        assert_eq!(p.sleep(&mut fds, Some(t.host.now() + ms(2_000)), None, Duration::ZERO), Slept::Unparked);
        h.join().unwrap();
        if let Some(h) = held {
            h.join().unwrap();
        }
    }
}

#[test]
fn interrupts() {
    let t = toy(true);
    let p = t.parker();
    p.interrupt();
    p.unpark();
    assert_eq!(p.park(None), Woken::Unparked);
    assert_eq!(p.park(None), Woken::Interrupted);
    assert!(!p.take_interrupt());
    let q = p.clone();
    let h = after(10, move || q.interrupt());
    assert_eq!(p.park(None), Woken::Interrupted);
    h.join().unwrap();
}

#[test]
fn many_threads_all_get_what_they_wait_for() {
    let t = toy(true);
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let t = t.clone();
            let p = t.parker();
            thread::spawn(move || {
                for n in 1..=200 {
                    let deadline = Some(t.host.now() + ms(5_000));
                    while t.got.load(SeqCst) < n {
                        assert_ne!(p.park(deadline), Woken::TimedOut, "{:?}", t.host);
                    }
                }
            })
        })
        .collect();
    for n in 0..200 {
        t.frame();
        if n % 10 == 0 {
            thread::sleep(ms(3));
        }
    }
    for h in threads {
        h.join().unwrap();
    }
    thread::sleep(ms(20));
    assert_ne!(t.host.state.driver.load(SeqCst), FREE);
}
