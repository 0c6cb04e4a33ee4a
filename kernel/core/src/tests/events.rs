//! Counters, timers and signals as files.

use crate::testkit::Rig;
use core::time::Duration;
use lkl_abi::clock::{CLOCK_MONOTONIC, CLOCK_REALTIME};
use lkl_abi::eventfd::{EFD_NONBLOCK, EFD_SEMAPHORE};
use lkl_abi::signalfd::SFD_NONBLOCK;
use lkl_abi::timerfd::{TFD_NONBLOCK, TFD_TIMER_ABSTIME};
use lkl_abi::{nr, Errno};

#[test]
fn a_counter() {
    let rig = Rig::new();
    let fd = rig.call(nr::EVENTFD2, &[3, u64::from(EFD_NONBLOCK)]).unwrap();
    let buf = rig.mem.zeros(8);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 7]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::READ, &[fd, buf, 8]), Ok(8));
    assert_eq!(rig.mem.long(buf), 3);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 8]), Err(Errno::EAGAIN));
    let all = rig.mem.put(&u64::MAX.to_ne_bytes());
    assert_eq!(rig.call(nr::WRITE, &[fd, all, 8]), Err(Errno::EINVAL));
    let most = rig.mem.put(&(u64::MAX - 1).to_ne_bytes());
    assert_eq!(rig.call(nr::WRITE, &[fd, most, 8]), Ok(8));
    assert_eq!(rig.call(nr::WRITE, &[fd, most, 8]), Err(Errno::EAGAIN));
    assert_eq!(rig.call(nr::PREAD64, &[fd, buf, 8, 0]), Err(Errno::ESPIPE));
    assert_eq!(rig.call(nr::EVENTFD2, &[0, 2]), Err(Errno::EINVAL));
    let fd = rig.call(nr::EVENTFD2, &[2, u64::from(EFD_NONBLOCK | EFD_SEMAPHORE)]).unwrap();
    for _ in 0..2 {
        assert_eq!(rig.call(nr::READ, &[fd, buf, 8]), Ok(8));
        assert_eq!(rig.mem.long(buf), 1);
    }
    assert_eq!(rig.call(nr::READ, &[fd, buf, 8]), Err(Errno::EAGAIN));
}

fn spec(rig: &Rig, value: (u64, u64), interval: (u64, u64)) -> u64 {
    rig.mem.put(&[interval.0, interval.1, value.0, value.1].map(u64::to_ne_bytes).concat())
}

#[test]
fn a_timer() {
    let rig = Rig::new();
    let fd = rig.call(nr::TIMERFD_CREATE, &[CLOCK_MONOTONIC.into(), TFD_NONBLOCK.into()]).unwrap();
    let buf = rig.mem.zeros(32);
    let set = |flags: u32, value, interval| {
        rig.call(nr::TIMERFD_SETTIME, &[fd, flags.into(), spec(&rig, value, interval), buf])
    };
    let at = |n| rig.mem.long(buf + n);
    assert_eq!(set(0, (10, 0), (3, 0)), Ok(0));
    assert_eq!(rig.call(nr::READ, &[fd, buf, 8]), Err(Errno::EAGAIN));
    rig.clock.pass(Duration::from_secs(4));
    rig.call(nr::TIMERFD_GETTIME, &[fd, buf]).unwrap();
    assert_eq!((at(0), at(8), at(16), at(24)), (3, 0, 6, 0));
    rig.clock.pass(Duration::from_secs(13));
    assert_eq!(rig.call(nr::READ, &[fd, buf, 8]), Ok(8));
    assert_eq!(at(0), 3);
    // The next one is due two seconds later.
    rig.call(nr::TIMERFD_GETTIME, &[fd, buf]).unwrap();
    assert_eq!((at(16), at(24)), (2, 0));
    // A time that is past runs out at once, and once.
    assert_eq!(set(TFD_TIMER_ABSTIME, (0, 1), (0, 0)), Ok(0));
    assert_eq!(at(16), 2);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 8]), Ok(8));
    assert_eq!(at(0), 1);
    assert_eq!(set(0, (0, 0), (0, 0)), Ok(0));
    assert_eq!(set(0, (0, 1_000_000_000), (0, 0)), Err(Errno::EINVAL));
    assert_eq!(set(4, (0, 0), (0, 0)), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::TIMERFD_SETTIME, &[fd, 0, 8, 0]), Err(Errno::EFAULT));
    assert_eq!(rig.call(nr::TIMERFD_CREATE, &[99, 0]), Err(Errno::EINVAL));
    let event = rig.call(nr::EVENTFD2, &[0, 0]).unwrap();
    assert_eq!(rig.call(nr::TIMERFD_GETTIME, &[event, buf]), Err(Errno::EINVAL));
}

#[test]
fn a_timer_wakes_its_reader() {
    let rig = Rig::new();
    let fd = rig.call(nr::TIMERFD_CREATE, &[CLOCK_REALTIME.into(), 0]).unwrap();
    let buf = rig.mem.zeros(8);
    rig.call(nr::TIMERFD_SETTIME, &[fd, 0, spec(&rig, (5, 0), (0, 0)), 0]).unwrap();
    let (other, bed) = rig.thread();
    std::thread::scope(|s| {
        let reader = s.spawn(|| rig.kernel.syscall(&other, nr::READ, [fd, buf, 8, 0, 0, 0]));
        bed.wait_asleep(1);
        let due = rig.kernel.service().unwrap();
        rig.clock.pass(due.since(rig.kernel.now()));
        rig.kernel.service();
        assert_eq!(reader.join().unwrap(), Ok(8));
    });
}

const SIGKILL: u64 = 9;
const SIGUSR1: u64 = 10;
const SIGTERM: u64 = 15;
const SIGRTMIN: u64 = 34;

fn bits(signals: &[u64]) -> u64 {
    signals.iter().fold(0, |set, n| set | 1 << (n - 1))
}

/// The `signalfd` at `fd` (or a new one) with these signals.
fn signals(rig: &Rig, fd: i32, set: &[u64], flags: u32) -> Result<u64, Errno> {
    let set = rig.mem.put(&bits(set).to_ne_bytes());
    rig.call(nr::SIGNALFD4, &[fd as u64, set, 8, flags.into()])
}

#[test]
fn signals_are_read() {
    let rig = Rig::new();
    let pending = &rig.clock.1;
    let fd = signals(&rig, -1, &[SIGUSR1, SIGRTMIN], SFD_NONBLOCK).unwrap();
    let buf = rig.mem.zeros(1024);
    let record = |n: u64| (rig.mem.int(buf + 128 * n), rig.mem.int(buf + 128 * n + 44));
    assert_eq!(rig.call(nr::READ, &[fd, buf, 128]), Err(Errno::EAGAIN));
    pending.send(SIGTERM as u32, 1);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 128]), Err(Errno::EAGAIN));
    for (signal, value) in [(SIGRTMIN, 7), (SIGRTMIN, 8), (SIGUSR1, 9), (SIGUSR1, 10), (SIGRTMIN, 11)] {
        pending.send(signal as u32, value);
    }
    // There must be room for one; what has room for more gets more, the lowest number first.
    assert_eq!(rig.call(nr::READ, &[fd, buf, 127]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::READ, &[fd, buf, 300]), Ok(256));
    assert_eq!([record(0), record(1)], [(10, 9), (34, 7)]);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 1024]), Ok(256));
    assert_eq!([record(0), record(1)], [(34, 8), (34, 11)]);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 1024]), Err(Errno::EAGAIN));
    assert_eq!(rig.call(nr::WRITE, &[fd, buf, 128]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::PREAD64, &[fd, buf, 128, 0]), Err(Errno::ESPIPE));
    // Another set, at the same number.
    assert_eq!(signals(&rig, fd as i32, &[SIGTERM, SIGKILL, 19], 0), Ok(fd));
    assert_eq!(rig.call(nr::READ, &[fd, buf, 128]), Ok(128));
    assert_eq!(record(0), (15, 1));
    let here = rig.mem.put(format!("/proc/self/fdinfo/{fd}\0").as_bytes());
    let info = rig.call(nr::OPENAT, &[-100i64 as u64, here, 0]).unwrap();
    let n = rig.call(nr::READ, &[info, buf, 1024]).unwrap();
    let text = String::from_utf8(rig.mem.get(buf, n as usize)).unwrap();
    assert!(text.ends_with("\nsigmask:\t0000000000004000\n"), "{text}");
    // One that was taken is gone even if it cannot be told.
    pending.send(SIGTERM as u32, 1);
    assert_eq!(rig.call(nr::READ, &[fd, 8, 128]), Err(Errno::EFAULT));
    assert_eq!(pending.count(), 0);
}

#[test]
fn wrong_sets_of_signals() {
    let rig = Rig::new();
    let set = rig.mem.put(&bits(&[SIGUSR1]).to_ne_bytes());
    let call = |fd: i32, set: u64, size: u64, flags: u64| rig.call(nr::SIGNALFD4, &[fd as u64, set, size, flags]);
    let event = rig.call(nr::EVENTFD2, &[0, 0]).unwrap();
    assert_eq!(call(-1, 8, 4, 1), Err(Errno::EINVAL));
    assert_eq!(call(-1, 8, 8, 1), Err(Errno::EFAULT));
    assert_eq!(call(-1, set, 16, 0), Err(Errno::EINVAL));
    assert_eq!(call(99, set, 8, 1), Err(Errno::EINVAL));
    assert_eq!(call(99, set, 8, 0), Err(Errno::EBADF));
    assert_eq!(call(-2, set, 8, 0), Err(Errno::EBADF));
    assert_eq!(call(event as i32, set, 8, 0), Err(Errno::EINVAL));
}

#[test]
fn signals_make_their_file_ready() {
    let rig = Rig::new();
    let pending = rig.clock.1.clone();
    let fd = signals(&rig, -1, &[SIGUSR1, SIGTERM], 0).unwrap();
    let ep = rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
    let event = rig.mem.put(&[0x8000_0001u64, 5].map(u64::to_ne_bytes).concat());
    rig.call(nr::EPOLL_CTL, &[ep, 1, fd, event]).unwrap();
    assert_eq!(rig.epoll_ready(ep, 4), []);
    pending.send(SIGUSR1 as u32, 0);
    assert_eq!(rig.epoll_ready(ep, 4), [(1, 5)]);
    // Edge-triggered: told again when another one comes.
    assert_eq!(rig.epoll_ready(ep, 4), []);
    pending.send(SIGTERM as u32, 0);
    assert_eq!(rig.epoll_ready(ep, 4), [(1, 5)]);
    let buf = rig.mem.zeros(256);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 256]), Ok(256));
    let (other, bed) = rig.thread();
    std::thread::scope(|s| {
        let reader = s.spawn(|| rig.kernel.syscall(&other, nr::READ, [fd, buf, 256, 0, 0, 0]));
        bed.wait_asleep(1);
        pending.send(SIGTERM as u32, 0);
        assert_eq!(reader.join().unwrap(), Ok(128));
    });
    // What waited before is in the new set.
    pending.send(SIGKILL as u32, 0);
    pending.send(30, 0);
    assert_eq!(rig.epoll_ready(ep, 4), []);
    signals(&rig, fd as i32, &[SIGKILL, 30], 0).unwrap();
    assert_eq!(rig.epoll_ready(ep, 4), [(1, 5)]);
    assert_eq!(rig.call(nr::READ, &[fd, buf, 256]), Ok(128));
    assert_eq!(rig.mem.int(buf), 30);
}

#[test]
fn an_outside_without_signals_has_no_file_of_them() {
    struct Deaf;
    impl lkl_ops::Host for Deaf {
        fn now(&self) -> lkl_ops::Instant {
            lkl_ops::Instant::from_millis(1)
        }
        fn realtime(&self) -> Duration {
            Duration::ZERO
        }
        fn random(&self, buf: &mut [u8]) {
            buf.fill(1);
        }
        fn rearm(&self, _: lkl_ops::Instant) {}
        fn kick(&self) {}
    }
    let rig = Rig::new();
    let kernel = crate::Kernel::boot(std::sync::Arc::new(Deaf));
    let process = kernel.process(1, rig.mem.clone(), std::sync::Arc::new(crate::Lowest::new()));
    let task = crate::Kernel::task(&process, 1, rig.bed.clone());
    let set = rig.mem.zeros(8);
    assert_eq!(kernel.syscall(&task, nr::SIGNALFD4, [u64::MAX, set, 8, 0, 0, 0]), Err(Errno::ENOSYS));
}
