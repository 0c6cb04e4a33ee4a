//! `poll`, `select`, and the set that a caller with files of its own uses.

use crate::testkit::{call, Lamp, Rig};
use crate::{unpark, EpollAt, EpollEvent, PollFd};
use lkl_abi::time::to_timespec;
use lkl_abi::{nr, Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_sync::{Events, WaitQueue, Waiter};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn pollfds(fds: &[(i32, u16)]) -> Vec<u8> {
    fds.iter().flat_map(|(fd, ev)| [fd.to_ne_bytes(), u32::from(*ev).to_ne_bytes()]).flatten().collect()
}

#[test]
fn poll_tells_what_is_ready() {
    let rig = Rig::new();
    let (a, b) = (Lamp::new(), Lamp::new());
    let (fd_a, fd_b) = (rig.adopt(a.clone()) as i32, rig.adopt(b.clone()) as i32);
    let none = rig.mem.put(&to_timespec(Duration::ZERO));
    let fds = rig.mem.put(&pollfds(&[(fd_a, 1), (-1, 1), (fd_b, 4), (99, 1)]));
    assert_eq!(rig.call(nr::PPOLL, &[fds, 4, none, 0, 0]), Ok(1));
    a.set(0x41);
    b.set(0x11);
    assert_eq!(rig.call(nr::PPOLL, &[fds, 4, none, 0, 0]), Ok(3));
    let revents: Vec<u8> = (0..4).map(|i| rig.mem.get(fds + i * 8 + 6, 1)[0]).collect();
    assert_eq!(revents, [1, 0, 0x10, 0x20]);
}

#[test]
fn poll_sleeps_until_one_is_ready() {
    let rig = Rig::new();
    let (a, b) = (Lamp::new(), Lamp::new());
    let (fd_a, fd_b) = (rig.adopt(a) as i32, rig.adopt(b.clone()) as i32);
    let fds = rig.mem.put(&pollfds(&[(fd_a, 1), (fd_b, 1)]));
    thread::scope(|s| {
        s.spawn(|| {
            rig.bed.wait_asleep(1);
            b.set(1);
        });
        assert_eq!(rig.call(nr::PPOLL, &[fds, 2, 0, 0, 0]), Ok(1));
    });
    b.set(0);
    let time = rig.mem.put(&to_timespec(Duration::from_secs(2)));
    assert_eq!(rig.call(nr::PPOLL, &[fds, 2, time, 0, 0]), Ok(0));
    assert_eq!(rig.kernel.now().as_millis(), 2000);
    assert_eq!(rig.mem.get(time, 16), [0; 16]);
}

#[test]
fn a_signal_ends_a_poll_for_good() {
    let rig = Rig::new();
    let fd = rig.adopt(Lamp::new()) as i32;
    let fds = rig.mem.put(&pollfds(&[(fd, 1)]));
    thread::scope(|s| {
        s.spawn(|| {
            rig.bed.wait_asleep(1);
            rig.bed.interrupt();
        });
        assert_eq!(rig.call(nr::PPOLL, &[fds, 1, 0, 0, 0]), Err(Errno::EINTR));
    });
}

#[test]
fn select_keeps_the_bits_of_what_is_ready() {
    let rig = Rig::new();
    let (a, b) = (Lamp::new(), Lamp::new());
    let (fd_a, fd_b) = (rig.adopt(a.clone()), rig.adopt(b.clone()));
    let both = (1u64 << fd_a | 1 << fd_b).to_ne_bytes();
    let none = rig.mem.put(&to_timespec(Duration::ZERO));
    a.set(0x41 | 0x104);
    b.set(0x10);
    let (read, write, except) = (rig.mem.put(&both), rig.mem.put(&both), rig.mem.put(&both));
    assert_eq!(rig.call(nr::PSELECT6, &[2, read, write, except, none, 0]), Ok(3));
    assert_eq!(rig.mem.long(read), 1 << fd_a | 1 << fd_b);
    assert_eq!(rig.mem.long(write), 1 << fd_a);
    assert_eq!(rig.mem.long(except), 0);
    // Bits from n on are not looked at; those before it must be open.
    let wild = rig.mem.put(&u64::MAX.to_ne_bytes());
    assert_eq!(rig.call(nr::PSELECT6, &[2, wild, 0, 0, none, 0]), Ok(2));
    let wild = rig.mem.put(&u64::MAX.to_ne_bytes());
    assert_eq!(rig.call(nr::PSELECT6, &[3, wild, 0, 0, none, 0]), Err(Errno::EBADF));
    assert_eq!(rig.call(nr::PSELECT6, &[-1i64 as u64, wild, 0, 0, none, 0]), Err(Errno::EINVAL));
}

struct Bell(AtomicU32);

impl Waiter for Bell {
    fn wake(&self, _: Events) -> bool {
        self.0.fetch_add(1, SeqCst);
        true
    }
}

#[test]
fn a_set_rings_until_it_is_dropped() {
    let rig = Rig::new();
    let lamp = Lamp::new();
    let fd = rig.adopt(lamp.clone()) as i32;
    let bell = Arc::new(Bell(AtomicU32::new(0)));
    let mut fds = [PollFd { fd, events: Events::READ, revents: Events::EMPTY }];
    let (ready, set) = rig.kernel.poll_set(&rig.task, &mut fds, Some(bell.clone()));
    assert_eq!(ready, 0);
    lamp.set(4);
    assert_eq!(bell.0.load(SeqCst), 0);
    lamp.set(5);
    assert_eq!(bell.0.load(SeqCst), 1);
    assert_eq!(set.check(&mut fds), 1);
    assert_eq!(fds[0].revents, Events::IN);
    // It holds the file open.
    rig.call(nr::CLOSE, &[fd as u64]).unwrap();
    assert_eq!(lamp.released.load(SeqCst), 0);
    drop(set);
    assert_eq!(lamp.released.load(SeqCst), 1);
    lamp.set(0);
    lamp.set(5);
    assert_eq!(bell.0.load(SeqCst), 1);
}

/// An epoll instance with `fd` in it, for `EPOLLIN`, with 42 as its data.
fn instance_with(rig: &Rig, fd: u64) -> u64 {
    let epfd = rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
    let event = rig.mem.put(&[&1u32.to_ne_bytes()[..], &[0; 4], &42u64.to_ne_bytes()].concat());
    rig.call(nr::EPOLL_CTL, &[epfd, 1, fd, event]).unwrap();
    epfd
}

#[test]
fn an_epoll_instance_can_be_in_a_set() {
    let rig = Rig::new();
    let lamp = Lamp::new();
    let fd = rig.adopt(lamp.clone());
    let epfd = instance_with(&rig, fd);
    let mut fds = [PollFd { fd: epfd as i32, events: Events::IN, revents: Events::EMPTY }];
    let (ready, set) = rig.kernel.poll_set(&rig.task, &mut fds, Some(unpark(rig.task.parker())));
    assert_eq!(ready, 0);
    let (task, _) = rig.thread();
    thread::scope(|s| {
        s.spawn(|| {
            lamp.set(1);
            call(&rig.kernel, &task, nr::DUP, &[fd]).unwrap();
        });
        assert_eq!(rig.task.parker().park(None), lkl_ops::Woken::Unparked);
    });
    assert_eq!(set.check(&mut fds), 1);
    assert_eq!(rig.epoll_ready(epfd, 10), [(1, 42)]);
    lamp.set(0);
    assert_eq!(rig.epoll_ready(epfd, 10), []);
}

#[test]
fn of_those_who_watch_an_instance_one_is_woken() {
    let rig = Rig::new();
    let lamp = Lamp::new();
    let fd = rig.adopt(lamp.clone());
    let epfd = instance_with(&rig, fd);
    let bells = [0, 1].map(|_| Arc::new(Bell(AtomicU32::new(0))));
    let rung = || bells.each_ref().map(|b| b.0.load(SeqCst));
    let [first, second] = bells.each_ref().map(|b| rig.kernel.epoll_watch(&rig.task, epfd as i32, b.clone()).unwrap());
    lamp.set(1);
    assert_eq!(rung(), [1, 0]);
    // The first goes away without having taken the event.
    drop(first);
    assert_eq!(rung(), [1, 1]);
    drop(second);
    assert_eq!(rig.kernel.epoll_watch(&rig.task, fd as i32, bells[0].clone()).unwrap_err(), Errno::EINVAL);
}

#[test]
fn who_waits_for_an_instance_holds_it() {
    let rig = Rig::new();
    let lamp = Lamp::new();
    let fd = rig.adopt(lamp.clone());
    let epfd = instance_with(&rig, fd);
    let bell = Arc::new(Bell(AtomicU32::new(0)));
    let watch = rig.kernel.epoll_watch(&rig.task, epfd as i32, bell.clone()).unwrap();
    rig.call(nr::CLOSE, &[epfd]).unwrap();
    lamp.set(1);
    assert_eq!(bell.0.load(SeqCst), 1);
    let ready = |at| {
        let mut found = Vec::new();
        rig.kernel.epoll_ready(&rig.task, at, 4, |e| found.push(e)).map(|_| found)
    };
    assert_eq!(ready(EpollAt::Watched(&watch)), Ok(vec![EpollEvent { events: 1, data: 42, instance: None }]));
    assert_eq!(ready(EpollAt::Number(epfd as i32)), Err(Errno::EBADF));
    drop(watch);
    lamp.set(0);
    lamp.set(1);
    assert_eq!(bell.0.load(SeqCst), 1);
}

#[test]
fn an_instance_within_another_is_told_when_its_other_side_is_ready() {
    const IN: u32 = 1;
    const ONESHOT: u32 = 1 << 30;
    let rig = Rig::new();
    let [outer, inner] = [0, 1].map(|_| rig.call(nr::EPOLL_CREATE1, &[0]).unwrap());
    let set = |op: u64, events: u32| {
        let event = rig.mem.put(&[&events.to_ne_bytes()[..], &[0; 4], &42u64.to_ne_bytes()].concat());
        rig.call(nr::EPOLL_CTL, &[outer, op, inner, event])
    };
    let ask = |fd: u64| rig.kernel.epoll_inner(&rig.task, EpollAt::Number(outer as i32), fd as i32);
    assert_eq!(ask(inner), Err(Errno::ENOENT));
    set(1, IN).unwrap();
    let told = Ok(Some(EpollEvent { events: IN, data: 42, instance: Some(inner as i32) }));
    assert_eq!([ask(inner), ask(inner)], [told, told]);
    set(3, IN | ONESHOT).unwrap();
    assert_eq!([ask(inner), ask(inner)], [told, Ok(None)]);
    set(3, 4).unwrap();
    assert_eq!(ask(inner), Ok(None));
    // By the number that it was added by, whatever is there now.
    set(3, IN).unwrap();
    let copy = rig.call(nr::DUP, &[inner]).unwrap();
    rig.call(nr::CLOSE, &[inner]).unwrap();
    assert_eq!(ask(inner), told);
    assert_eq!(ask(copy), Err(Errno::ENOENT));
}

/// A file that panics when it is asked whether it is ready, once it is broken.
#[derive(Default)]
struct Brittle {
    broken: AtomicBool,
    queue: WaitQueue,
}

impl File for Brittle {
    fn read(&self, _: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EAGAIN)
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EAGAIN)
    }

    fn poll(&self) -> Events {
        assert!(!self.broken.load(SeqCst), "on purpose");
        Events::EMPTY
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn mode(&self) -> u32 {
        0o140_777
    }

    fn ino(&self) -> u64 {
        1
    }
}

#[test]
fn a_panic_in_a_set_is_caught_at_the_door() {
    for watched in [false, true] {
        let rig = Rig::new();
        let file = Arc::new(Brittle::default());
        let fd = rig.adopt(file.clone()) as i32;
        let mut fds = [PollFd { fd, events: Events::READ, revents: Events::EMPTY }];
        let watch = watched.then(|| rig.kernel.poll_set(&rig.task, &mut fds, Some(unpark(rig.task.parker()))).1);
        file.broken.store(true, SeqCst);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let ready = match &watch {
            Some(set) => set.check(&mut fds),
            None => rig.kernel.poll_set(&rig.task, &mut fds, None).0,
        };
        std::panic::set_hook(hook);
        assert_eq!((ready, fds[0].revents), (1, Events::ERR));
        assert!(rig.kernel.oopsed());
    }
}
