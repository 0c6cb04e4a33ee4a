//! Epoll against what `man 7 epoll` says, and against a naive model.

use crate::testkit::{call, Lamp, Rig};
use core::sync::atomic::Ordering::SeqCst;
use lkl_abi::epoll::*;
use lkl_abi::{nr, Errno, Result};
use proptest::prelude::*;
use std::sync::Arc;
use std::thread;

struct Ep {
    rig: Rig,
    epfd: u64,
}

fn event_bytes(events: u32, data: u64) -> Vec<u8> {
    [&events.to_ne_bytes()[..], &[0; 4], &data.to_ne_bytes()].concat()
}

impl Ep {
    fn new() -> Self {
        let rig = Rig::new();
        let epfd = rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
        Self { rig, epfd }
    }

    fn lamp(&self) -> (Arc<Lamp>, u64) {
        let lamp = Lamp::new();
        let fd = self.rig.adopt(lamp.clone());
        (lamp, fd)
    }

    fn ctl_on(&self, epfd: u64, op: u32, fd: u64, events: u32, data: u64) -> Result<u64> {
        let at = self.rig.mem.put(&event_bytes(events, data));
        self.rig.call(nr::EPOLL_CTL, &[epfd, u64::from(op), fd, at])
    }

    fn ctl(&self, op: u32, fd: u64, events: u32) -> Result<u64> {
        self.ctl_on(self.epfd, op, fd, events, fd)
    }

    fn add(&self, fd: u64, events: u32) {
        self.ctl(EPOLL_CTL_ADD, fd, events).unwrap();
    }

    fn ready(&self, max: u64) -> Vec<(u32, u64)> {
        let at = self.rig.mem.zeros(16 * max as usize);
        let n = self.rig.call(nr::EPOLL_PWAIT, &[self.epfd, at, max, 0, 0, 0]).unwrap();
        (0..n).map(|i| (self.rig.mem.int(at + i * 16) as u32, self.rig.mem.long(at + i * 16 + 8))).collect()
    }
}

#[test]
fn level_triggered() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    ep.add(fd, EPOLLIN);
    assert_eq!(ep.ready(8), []);
    lamp.set(EPOLLIN | EPOLLOUT);
    assert_eq!(ep.ready(8), [(EPOLLIN, fd)]);
    assert_eq!(ep.ready(8), [(EPOLLIN, fd)]);
    lamp.set(EPOLLOUT);
    assert_eq!(ep.ready(8), []);
    lamp.set(EPOLLHUP);
    assert_eq!(ep.ready(8), [(EPOLLHUP, fd)]);
}

#[test]
fn edge_triggered() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    lamp.set(EPOLLIN);
    ep.add(fd, EPOLLIN | EPOLLET);
    assert_eq!(ep.ready(8), [(EPOLLIN, fd)]);
    assert_eq!(ep.ready(8), []);
    lamp.again();
    assert_eq!(ep.ready(8), [(EPOLLIN, fd)]);
    // Setting it again looks again.
    ep.ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET).unwrap();
    assert_eq!(ep.ready(8), [(EPOLLIN, fd)]);
    lamp.again();
    lamp.set(0);
    assert_eq!(ep.ready(8), []);
}

#[test]
fn one_shot() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    ep.add(fd, EPOLLIN | EPOLLONESHOT);
    lamp.set(EPOLLIN | EPOLLHUP);
    assert_eq!(ep.ready(8), [(EPOLLIN | EPOLLHUP, fd)]);
    lamp.again();
    assert_eq!(ep.ready(8), []);
    ep.ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT).unwrap();
    assert_eq!(ep.ready(8), [(EPOLLIN | EPOLLHUP, fd)]);
}

#[test]
fn all_get_their_turn() {
    let ep = Ep::new();
    let lamps: Vec<_> = (0..5).map(|_| ep.lamp()).collect();
    for (lamp, fd) in &lamps {
        ep.add(*fd, EPOLLIN);
        lamp.set(EPOLLIN);
    }
    let told: Vec<u64> = (0..5).flat_map(|_| ep.ready(2)).map(|(_, fd)| fd).collect();
    let fds: Vec<u64> = lamps.iter().map(|(_, fd)| *fd).collect();
    assert_eq!(told, [&fds[..], &fds[..]].concat());
}

#[test]
fn errors_of_epoll_ctl() {
    let ep = Ep::new();
    let (_lamp, fd) = ep.lamp();
    assert_eq!(ep.ctl(EPOLL_CTL_MOD, fd, EPOLLIN), Err(Errno::ENOENT));
    assert_eq!(ep.ctl(EPOLL_CTL_DEL, fd, 0), Err(Errno::ENOENT));
    ep.add(fd, EPOLLIN);
    assert_eq!(ep.ctl(EPOLL_CTL_ADD, fd, EPOLLIN), Err(Errno::EEXIST));
    assert_eq!(ep.ctl(EPOLL_CTL_ADD, 99, EPOLLIN), Err(Errno::EBADF));
    assert_eq!(ep.ctl(9, fd, EPOLLIN), Err(Errno::EINVAL));
    assert_eq!(ep.ctl(EPOLL_CTL_ADD, ep.epfd, EPOLLIN), Err(Errno::EINVAL));
    assert_eq!(ep.ctl_on(fd, EPOLL_CTL_ADD, ep.epfd, EPOLLIN, 0), Err(Errno::EINVAL));
    assert_eq!(ep.rig.call(nr::EPOLL_CTL, &[ep.epfd, u64::from(EPOLL_CTL_ADD), fd, 8]), Err(Errno::EFAULT));
    // DEL takes no event.
    assert_eq!(ep.rig.call(nr::EPOLL_CTL, &[ep.epfd, u64::from(EPOLL_CTL_DEL), fd, 0]), Ok(0));
    for bad in [EPOLLEXCLUSIVE | EPOLLONESHOT | EPOLLIN, EPOLLEXCLUSIVE | EPOLLRDHUP] {
        assert_eq!(ep.ctl(EPOLL_CTL_ADD, fd, bad), Err(Errno::EINVAL));
    }
    ep.add(fd, EPOLLEXCLUSIVE | EPOLLIN);
    assert_eq!(ep.ctl(EPOLL_CTL_MOD, fd, EPOLLIN), Err(Errno::EINVAL));
    let at = ep.rig.mem.zeros(64);
    assert_eq!(ep.rig.call(nr::EPOLL_PWAIT, &[ep.epfd, at, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(ep.rig.call(nr::EPOLL_PWAIT, &[fd, at, 1, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(ep.rig.call(nr::EPOLL_CREATE1, &[1]), Err(Errno::EINVAL));
}

#[test]
fn an_entry_lives_as_long_as_its_open_file() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    ep.add(fd, EPOLLIN);
    let copy = ep.rig.call(nr::DUP, &[fd]).unwrap();
    ep.rig.call(nr::CLOSE, &[fd]).unwrap();
    lamp.set(EPOLLIN);
    // Still told, by the old number.
    assert_eq!(ep.ready(8), [(EPOLLIN, fd)]);
    // Another file at that number is another entry.
    let (_other, same) = ep.lamp();
    assert_eq!(same, fd);
    ep.add(same, EPOLLIN);
    ep.rig.call(nr::CLOSE, &[copy]).unwrap();
    assert_eq!(lamp.released.load(SeqCst), 1);
    assert_eq!(ep.ready(8), []);
    lamp.again();
    assert_eq!(ep.ready(8), []);
}

#[test]
fn a_crowd_that_goes_is_swept_out() {
    let ep = Ep::new();
    let lamps: Vec<_> = (0..100).map(|_| ep.lamp()).collect();
    for (lamp, fd) in &lamps {
        ep.add(*fd, EPOLLIN);
        lamp.set(EPOLLIN);
    }
    let file = ep.rig.task.process().file(ep.epfd as i32).unwrap();
    let listed = || super::as_epoll(&file).unwrap().ready.lock().list.len();
    for (gone, (_, fd)) in lamps.iter().enumerate() {
        assert_eq!(ep.ready(200).len(), 100 - gone);
        ep.ctl(EPOLL_CTL_DEL, *fd, 0).unwrap();
        // What has gone is never more than half of it, whether or not somebody waits meanwhile.
        assert!(listed() <= 2 * (99 - gone), "{gone}: {}", listed());
    }
    assert_eq!(ep.ready(8), []);
    // Without one look between.
    for (_, fd) in &lamps {
        ep.add(*fd, EPOLLIN);
    }
    for (gone, (_, fd)) in lamps.iter().enumerate() {
        ep.ctl(EPOLL_CTL_DEL, *fd, 0).unwrap();
        assert!(listed() <= 2 * (99 - gone), "{gone}: {}", listed());
    }
}

#[test]
fn closing_the_instance_lets_go_of_the_files() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    ep.add(fd, EPOLLIN);
    ep.rig.call(nr::CLOSE, &[ep.epfd]).unwrap();
    lamp.set(EPOLLIN);
    let file = ep.rig.process.file(fd as i32).unwrap();
    assert!(file.watchers.lock().is_empty());
}

#[test]
fn an_unwritable_array_loses_no_event() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    ep.add(fd, EPOLLIN | EPOLLET);
    lamp.set(EPOLLIN);
    assert_eq!(ep.rig.call(nr::EPOLL_PWAIT, &[ep.epfd, 8, 4, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(ep.ready(8), [(EPOLLIN, fd)]);
}

#[test]
fn instances_nest_but_not_in_a_circle() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    let mut chain = vec![ep.epfd];
    for _ in 0..4 {
        chain.push(ep.rig.call(nr::EPOLL_CREATE1, &[0]).unwrap());
    }
    for pair in chain.windows(2) {
        ep.ctl_on(pair[0], EPOLL_CTL_ADD, pair[1], EPOLLIN, 7).unwrap();
    }
    // Five are as deep as it goes.
    let more = ep.rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
    assert_eq!(ep.ctl_on(chain[4], EPOLL_CTL_ADD, more, EPOLLIN, 7), Err(Errno::ELOOP));
    assert_eq!(ep.ctl_on(more, EPOLL_CTL_ADD, ep.epfd, EPOLLIN, 7), Err(Errno::ELOOP));
    assert_eq!(ep.ctl_on(chain[4], EPOLL_CTL_ADD, ep.epfd, EPOLLIN, 7), Err(Errno::ELOOP));
    assert_eq!(ep.ctl_on(chain[1], EPOLL_CTL_ADD, ep.epfd, EPOLLIN, 7), Err(Errno::ELOOP));
    // Readiness goes all the way up.
    ep.ctl_on(chain[4], EPOLL_CTL_ADD, fd, EPOLLIN, 8).unwrap();
    assert_eq!(ep.ready(8), []);
    lamp.set(EPOLLIN);
    assert_eq!(ep.ready(8), [(EPOLLIN, 7)]);
    lamp.set(0);
    assert_eq!(ep.ready(8), []);
}

#[test]
fn waiting_threads_are_woken() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    ep.add(fd, EPOLLIN | EPOLLET);
    let threads: Vec<_> = (0..2).map(|_| ep.rig.thread()).collect();
    let at = ep.rig.mem.zeros(64);
    let kernel = &ep.rig.kernel;
    let forever = -1i64 as u64;
    thread::scope(|s| {
        for (task, _) in &threads {
            s.spawn(move || call(kernel, task, nr::EPOLL_PWAIT, &[ep.epfd, at, 4, forever, 0, 0]).unwrap());
        }
        threads.iter().for_each(|(_, bed)| bed.wait_asleep(1));
        // One edge wakes one of them; the next one the other.
        lamp.set(EPOLLIN);
        lamp.again();
        while threads.iter().all(|(_, bed)| bed.sleeps.load(SeqCst) > 1) {
            thread::yield_now();
        }
        thread::sleep(std::time::Duration::from_millis(20));
        lamp.again();
    });
}

#[test]
fn waiting_ends_with_its_time() {
    let ep = Ep::new();
    let (_lamp, fd) = ep.lamp();
    ep.add(fd, EPOLLIN);
    let at = ep.rig.mem.zeros(64);
    assert_eq!(ep.rig.call(nr::EPOLL_PWAIT, &[ep.epfd, at, 4, 1500, 0, 0]), Ok(0));
    assert_eq!(ep.rig.kernel.now().as_millis(), 1500);
    thread::scope(|s| {
        let before = ep.rig.bed.sleeps.load(SeqCst);
        s.spawn(move || ());
        let bed = ep.rig.bed.clone();
        s.spawn(move || {
            bed.wait_asleep(before + 1);
            bed.interrupt();
        });
        let forever = -1i64 as u64;
        assert_eq!(ep.rig.call(nr::EPOLL_PWAIT, &[ep.epfd, at, 4, forever, 0, 0]), Err(Errno::EINTR));
    });
}

#[test]
fn of_exclusive_entries_one_instance_is_woken() {
    let ep = Ep::new();
    let (lamp, fd) = ep.lamp();
    let second = ep.rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
    ep.ctl_on(ep.epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 1).unwrap();
    ep.ctl_on(second, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 2).unwrap();
    let threads: Vec<_> = (0..2).map(|_| ep.rig.thread()).collect();
    let at = ep.rig.mem.zeros(64);
    let kernel = &ep.rig.kernel;
    let forever = -1i64 as u64;
    thread::scope(|s| {
        for ((task, _), epfd) in threads.iter().zip([ep.epfd, second]) {
            s.spawn(move || call(kernel, task, nr::EPOLL_PWAIT, &[epfd, at, 4, forever, 0, 0]).unwrap());
        }
        threads.iter().for_each(|(_, bed)| bed.wait_asleep(1));
        lamp.set(EPOLLIN);
        thread::sleep(std::time::Duration::from_millis(20));
        lamp.again();
    });
    assert!(threads.iter().all(|(_, bed)| bed.sleeps.load(SeqCst) == 1));
}

/// What can happen to an instance with a few files.
#[derive(Clone, Debug)]
enum Step {
    Set(usize, u32),
    Again(usize),
    Add(usize, u32),
    Mod(usize, u32),
    Del(usize),
    Wait(usize),
}

const FILES: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let events = prop::sample::select(vec![EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, 0]);
    let how = prop::sample::select(vec![0, 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT]);
    let asked = (events.clone(), how).prop_map(|(e, h)| e | h);
    let state = (events, prop::sample::select(vec![0, 0, 0, EPOLLHUP])).prop_map(|(e, h)| e | h);
    prop_oneof![
        4 => (0..FILES, state).prop_map(|(f, e)| Step::Set(f, e)),
        1 => (0..FILES).prop_map(Step::Again),
        2 => (0..FILES, asked.clone()).prop_map(|(f, e)| Step::Add(f, e)),
        1 => (0..FILES, asked).prop_map(|(f, e)| Step::Mod(f, e)),
        1 => (0..FILES).prop_map(Step::Del),
        4 => (1..=FILES).prop_map(Step::Wait),
    ]
}

#[derive(Clone, Copy, Default)]
struct Entry {
    asked: u32,
    /// Something happened since it was told last: what an edge-triggered entry goes by.
    fresh: bool,
    spent: bool,
}

/// The naive model: all entries are looked at in each call.
#[derive(Default)]
struct Model {
    state: [u32; FILES],
    entries: [Option<Entry>; FILES],
}

impl Model {
    fn mask(entry: &Entry) -> u32 {
        if entry.spent {
            0
        } else {
            entry.asked & !(EPOLLET | EPOLLONESHOT) | EPOLLERR | EPOLLHUP
        }
    }

    fn happened(&mut self, file: usize, what: u32) {
        if let Some(e) = &mut self.entries[file] {
            e.fresh |= what & Self::mask(e) != 0;
        }
    }

    /// What must be told if there is room for all.
    fn ready(&self) -> Vec<(u32, u64)> {
        let ready = |f: usize| {
            let e = self.entries[f]?;
            let now = self.state[f] & Self::mask(&e);
            (now != 0 && (e.asked & EPOLLET == 0 || e.fresh)).then_some((now, f as u64))
        };
        (0..FILES).filter_map(ready).collect()
    }

    fn told(&mut self, file: usize) {
        if let Some(e) = &mut self.entries[file] {
            e.fresh = false;
            e.spent |= e.asked & EPOLLONESHOT != 0;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn as_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        let ep = Ep::new();
        let lamps: Vec<_> = (0..FILES).map(|_| ep.lamp()).collect();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Set(f, state) => {
                    let fresh = state & !model.state[f];
                    model.state[f] = state;
                    model.happened(f, fresh);
                    lamps[f].0.set(state);
                }
                Step::Again(f) => {
                    model.happened(f, model.state[f]);
                    lamps[f].0.again();
                }
                Step::Add(f, asked) => {
                    let new = model.entries[f].is_none();
                    let entry = Entry { asked, fresh: true, spent: false };
                    model.entries[f].get_or_insert(entry);
                    let expected = if new { Ok(0) } else { Err(Errno::EEXIST) };
                    prop_assert_eq!(ep.ctl_on(ep.epfd, EPOLL_CTL_ADD, lamps[f].1, asked, f as u64), expected);
                }
                Step::Mod(f, asked) => {
                    let old = model.entries[f];
                    // An entry that was on the list stays there.
                    let entry = Entry { asked, fresh: true, spent: false };
                    model.entries[f] = old.map(|_| entry);
                    let expected = if old.is_some() { Ok(0) } else { Err(Errno::ENOENT) };
                    prop_assert_eq!(ep.ctl_on(ep.epfd, EPOLL_CTL_MOD, lamps[f].1, asked, f as u64), expected);
                }
                Step::Del(f) => {
                    let expected = if model.entries[f].take().is_some() { Ok(0) } else { Err(Errno::ENOENT) };
                    prop_assert_eq!(ep.ctl(EPOLL_CTL_DEL, lamps[f].1, 0), expected);
                }
                Step::Wait(max) => {
                    // The instance itself is readable just when it has something to tell.
                    let mut expected = model.ready();
                    let file = ep.rig.process.file(ep.epfd as i32).unwrap();
                    prop_assert_eq!(file.file().poll().is_empty(), expected.is_empty());
                    let mut told = ep.ready(max as u64);
                    prop_assert_eq!(told.len(), expected.len().min(max));
                    // Which of them, if there are more, is a matter of turns.
                    for t in &told {
                        prop_assert!(expected.contains(t), "{t:?} told, of {expected:?}");
                    }
                    told.sort_unstable();
                    told.dedup();
                    prop_assert_eq!(told.len(), expected.len().min(max));
                    expected.retain(|t| !told.contains(t));
                    for (_, f) in told {
                        model.told(f as usize);
                    }
                    if expected.is_empty() {
                        // Everything that is not ready any more has been found out.
                        for f in 0..FILES {
                            let state = model.state[f];
                            if let Some(e) = &mut model.entries[f] {
                                e.fresh &= state & Model::mask(e) != 0;
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn threads_at_once() {
    let ep = Ep::new();
    let (kernel, epfd) = (&ep.rig.kernel, ep.epfd);
    let inner = ep.rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
    ep.add(inner, EPOLLIN);
    let lamps: Vec<_> = (0..3).map(|_| ep.lamp()).collect();
    let events: Vec<u64> =
        [EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT].map(|e| ep.rig.mem.put(&event_bytes(e, 1))).to_vec();
    let at = ep.rig.mem.zeros(256);
    thread::scope(|s| {
        for (task, _) in (0..2).map(|_| ep.rig.thread()) {
            s.spawn(move || {
                for i in 0..2000 {
                    let _any = call(kernel, &task, nr::EPOLL_PWAIT, &[epfd, at, 4, u64::from(i % 50 == 0), 0, 0]);
                }
            });
        }
        for (i, (lamp, fd)) in lamps.iter().enumerate() {
            let (task, _) = ep.rig.thread();
            let (task2, _) = ep.rig.thread();
            let event = events[i];
            s.spawn(move || {
                for n in 0..1000u64 {
                    let to = if n % 3 == 0 { inner } else { epfd };
                    let _any = call(kernel, &task, nr::EPOLL_CTL, &[to, 1 + n % 3, *fd, event]);
                    let _any = call(kernel, &task, nr::DUP3, &[*fd, 50 + i as u64, 0]);
                    let _any = call(kernel, &task, nr::EPOLL_CTL, &[to, 1, 50 + i as u64, event]);
                    let _any = call(kernel, &task, nr::CLOSE, &[50 + i as u64]);
                }
            });
            s.spawn(move || {
                for n in 0..2000u32 {
                    lamp.set(n % 2);
                    let _any = call(kernel, &task2, nr::CLOSE, &[50 + i as u64]);
                }
            });
        }
    });
    assert!(!kernel.oopsed());
    for (lamp, fd) in &lamps {
        ep.rig.call(nr::CLOSE, &[*fd]).unwrap();
        assert_eq!(lamp.released.load(SeqCst), 1);
    }
}
