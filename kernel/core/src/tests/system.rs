//! Time, names, chance, limits.

use crate::testkit::Rig;
use lkl_abi::clock::{CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME};
use lkl_abi::resource::{RLIMIT_CPU, RLIMIT_NOFILE};
use lkl_abi::sysinfo::SYSINFO_SIZE;
use lkl_abi::time::to_timespec;
use lkl_abi::utsname::{UTS_MEMBER, UTS_MEMBERS};
use lkl_abi::{nr, Errno};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

#[test]
fn clocks_tell_the_hosts_time() {
    let rig = Rig::new();
    let time = rig.mem.zeros(16);
    rig.call(nr::CLOCK_GETTIME, &[CLOCK_REALTIME.into(), time]).unwrap();
    assert_eq!((rig.mem.long(time), rig.mem.long(time + 8)), (1, 0));
    rig.call(nr::GETTIMEOFDAY, &[time, 0]).unwrap();
    assert_eq!(rig.mem.long(time), 1);
    assert_eq!(rig.call(nr::CLOCK_GETTIME, &[99, time]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::CLOCK_GETRES, &[CLOCK_MONOTONIC.into(), 0]), Ok(0));
    assert_eq!(rig.call(nr::CLOCK_SETTIME, &[CLOCK_REALTIME.into(), time]), Err(Errno::EPERM));
    assert_eq!(rig.call(nr::CLOCK_SETTIME, &[CLOCK_MONOTONIC.into(), time]), Err(Errno::EINVAL));
}

#[test]
fn sleeping() {
    let rig = Rig::new();
    let time = rig.mem.put(&to_timespec(Duration::from_millis(2500)));
    assert_eq!(rig.call(nr::NANOSLEEP, &[time, 0]), Ok(0));
    assert_eq!(rig.kernel.now().as_millis(), 2500);
    // A point that has passed, then one to come.
    assert_eq!(rig.call(nr::CLOCK_NANOSLEEP, &[CLOCK_MONOTONIC.into(), TIMER_ABSTIME.into(), time, 0]), Ok(0));
    assert_eq!(rig.kernel.now().as_millis(), 2500);
    let later = rig.mem.put(&to_timespec(Duration::from_secs(4)));
    assert_eq!(rig.call(nr::CLOCK_NANOSLEEP, &[CLOCK_MONOTONIC.into(), TIMER_ABSTIME.into(), later, 0]), Ok(0));
    assert_eq!(rig.kernel.now().as_millis(), 4000);
    let odd = rig.mem.put(&[1u64.to_ne_bytes(), 1_000_000_000u64.to_ne_bytes()].concat());
    assert_eq!(rig.call(nr::NANOSLEEP, &[odd, 0]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::CLOCK_NANOSLEEP, &[CLOCK_THREAD_CPUTIME_ID.into(), 0, time, 0]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::CLOCK_NANOSLEEP, &[4, 0, time, 0]), Err(Errno::EOPNOTSUPP));
}

#[test]
fn an_interrupted_sleep_tells_what_is_left() {
    let rig = Rig::new();
    let time = rig.mem.put(&to_timespec(Duration::from_secs(100)));
    let left = rig.mem.zeros(16);
    thread::scope(|s| {
        s.spawn(|| {
            rig.bed.wait_asleep(1);
            rig.bed.interrupt();
        });
        assert_eq!(rig.call(nr::NANOSLEEP, &[time, left]), Err(Errno::EINTR));
    });
    assert_eq!(rig.mem.long(left), 100);
    assert_eq!(rig.bed.sleeps.load(SeqCst), 1);
}

#[test]
fn names_and_memory() {
    let rig = Rig::new();
    let buf = rig.mem.zeros(UTS_MEMBER * UTS_MEMBERS);
    let name = rig.mem.put(b"kernel.example");
    assert_eq!(rig.call(nr::SETHOSTNAME, &[name, 6]), Ok(0));
    assert_eq!(rig.call(nr::SETHOSTNAME, &[name, 65]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::SETDOMAINNAME, &[name + 7, 7]), Ok(0));
    assert_eq!(rig.call(nr::UNAME, &[buf]), Ok(0));
    let member = |n: usize| {
        let bytes = rig.mem.get(buf + (n * UTS_MEMBER) as u64, UTS_MEMBER);
        String::from_utf8(bytes.split(|b| *b == 0).next().unwrap().to_vec()).unwrap()
    };
    assert_eq!([member(0), member(1), member(5)], ["Linux", "kernel", "example"]);
    assert!(member(2).starts_with("6."));
    let info = rig.mem.zeros(SYSINFO_SIZE);
    assert_eq!(rig.call(nr::SYSINFO, &[info]), Ok(0));
    assert_eq!(rig.mem.long(info + 32), rig.kernel.options().memory);
}

#[test]
fn chance_of_any_length() {
    let rig = Rig::new();
    let buf = rig.mem.zeros(1001);
    assert_eq!(rig.call(nr::GETRANDOM, &[buf, 1000, 0]), Ok(1000));
    assert!(rig.mem.get(buf, 1000).iter().all(|b| *b != 0));
    assert_eq!(rig.mem.get(buf + 1000, 1), [0]);
    assert_eq!(rig.call(nr::GETRANDOM, &[buf, 1, 6]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::GETRANDOM, &[1, 1, 0]), Err(Errno::EFAULT));
}

#[test]
fn the_number_of_descriptors_is_limited() {
    let rig = Rig::new();
    let limit = rig.mem.put(&[3u64.to_ne_bytes(), 4u64.to_ne_bytes()].concat());
    let old = rig.mem.zeros(16);
    assert_eq!(rig.call(nr::PRLIMIT64, &[0, RLIMIT_NOFILE.into(), limit, old]), Ok(0));
    assert_eq!(rig.mem.long(old), 1 << 20);
    for fd in 0..3 {
        assert_eq!(rig.call(nr::EPOLL_CREATE1, &[0]), Ok(fd));
    }
    assert_eq!(rig.call(nr::EPOLL_CREATE1, &[0]), Err(Errno::EMFILE));
    assert_eq!(rig.call(nr::GETRLIMIT, &[RLIMIT_NOFILE.into(), old]), Ok(0));
    assert_eq!((rig.mem.long(old), rig.mem.long(old + 8)), (3, 4));
    assert_eq!(rig.call(nr::SETRLIMIT, &[RLIMIT_CPU.into(), limit]), Err(Errno::EPERM));
    assert_eq!(rig.call(nr::GETRLIMIT, &[16, old]), Err(Errno::EINVAL));
}
