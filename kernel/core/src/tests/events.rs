//! Counters and timers as files.

use crate::testkit::Rig;
use core::time::Duration;
use lkl_abi::clock::{CLOCK_MONOTONIC, CLOCK_REALTIME};
use lkl_abi::eventfd::{EFD_NONBLOCK, EFD_SEMAPHORE};
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
