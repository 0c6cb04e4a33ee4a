//! Calls that sleep, with real threads.

use crate::testkit::{call, Fake, Rig, ROOM};
use core::sync::atomic::Ordering::SeqCst;
use lkl_abi::socket::{
    MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_WAITALL, SOL_SOCKET, SO_RCVTIMEO_OLD, SO_SNDTIMEO_OLD,
};
use lkl_abi::time::to_timeval;
use lkl_abi::{nr, Errno};
use std::thread;
use std::time::Duration;

fn set_timeout(rig: &Rig, fd: u64, name: i32) {
    let value = rig.mem.put(&to_timeval(Duration::from_secs(5)));
    rig.call(nr::SETSOCKOPT, &[fd, SOL_SOCKET as u64, name as u64, value, 16]).unwrap();
}

#[test]
fn a_stream_takes_all_however_long_it_lasts() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    let data: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
    let from = rig.mem.put(&data);
    let to = rig.mem.zeros(1000);
    let (task, _) = rig.thread();
    let kernel = &rig.kernel;
    thread::scope(|s| {
        s.spawn(|| assert_eq!(call(kernel, &task, nr::WRITE, &[a, from, 1000]), Ok(1000)));
        assert_eq!(rig.call(nr::RECVFROM, &[b, to, 1000, u64::from(MSG_WAITALL), 0, 0]), Ok(1000));
    });
    assert_eq!(rig.mem.get(to, 1000), data);
}

#[test]
fn without_waiting_a_stream_takes_what_there_is_room_for() {
    let rig = Rig::new();
    let (a, _b) = Fake::stream();
    let a = rig.adopt(a);
    let from = rig.mem.zeros(100);
    assert_eq!(rig.call(nr::SENDTO, &[a, from, 100, u64::from(MSG_DONTWAIT), 0, 0]), Ok(ROOM as u64));
    assert_eq!(rig.call(nr::SENDTO, &[a, from, 100, u64::from(MSG_DONTWAIT), 0, 0]), Err(Errno::EAGAIN));
}

#[test]
fn time_outs() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    let buf = rig.mem.zeros(100);
    set_timeout(&rig, b, SO_RCVTIMEO_OLD);
    set_timeout(&rig, a, SO_SNDTIMEO_OLD);
    assert_eq!(rig.call(nr::READ, &[b, buf, 10]), Err(Errno::EAGAIN));
    assert_eq!(rig.kernel.now().as_millis(), 5000);
    // A partial send is told, the next one fails.
    assert_eq!(rig.call(nr::WRITE, &[a, buf, 100]), Ok(ROOM as u64));
    assert_eq!(rig.call(nr::WRITE, &[a, buf, 100]), Err(Errno::EAGAIN));
    // What is there of MSG_WAITALL is told as well.
    assert_eq!(rig.call(nr::RECVFROM, &[b, buf, 100, u64::from(MSG_WAITALL), 0, 0]), Ok(ROOM as u64));
}

#[test]
fn signals_interrupt() {
    let rig = Rig::new();
    let (_a, b) = Fake::stream();
    let b = rig.adopt(b);
    let buf = rig.mem.zeros(100);
    let interrupted = |expected| {
        let before = rig.bed.sleeps.load(SeqCst);
        thread::scope(|s| {
            s.spawn(|| {
                rig.bed.wait_asleep(before + 1);
                rig.bed.interrupt();
            });
            assert_eq!(rig.call(nr::READ, &[b, buf, 10]), Err(expected));
        });
    };
    interrupted(Errno::ERESTARTSYS);
    set_timeout(&rig, b, SO_RCVTIMEO_OLD);
    interrupted(Errno::EINTR);
}

#[test]
fn a_signal_after_some_bytes_tells_them() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    let buf = rig.mem.put(b"abcdefgh");
    rig.call(nr::WRITE, &[a, buf, 3]).unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            rig.bed.wait_asleep(1);
            rig.bed.interrupt();
        });
        assert_eq!(rig.call(nr::RECVFROM, &[b, buf, 10, u64::from(MSG_WAITALL), 0, 0]), Ok(3));
    });
}

#[test]
fn peeking_for_all_does_not_count_twice() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    let buf = rig.mem.put(b"abcdef");
    let to = rig.mem.zeros(16);
    rig.call(nr::WRITE, &[a, buf, 2]).unwrap();
    let (task, _) = rig.thread();
    let kernel = &rig.kernel;
    thread::scope(|s| {
        s.spawn(|| {
            rig.bed.wait_asleep(1);
            call(kernel, &task, nr::WRITE, &[a, buf + 2, 2]).unwrap();
        });
        let flags = u64::from(MSG_WAITALL | MSG_PEEK);
        assert_eq!(rig.call(nr::RECVFROM, &[b, to, 4, flags, 0, 0]), Ok(4));
    });
    assert_eq!(rig.mem.get(to, 4), b"abcd");
}

#[test]
fn a_broken_pipe_raises_its_signal() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    rig.call(nr::CLOSE, &[b]).unwrap();
    let buf = rig.mem.zeros(8);
    assert_eq!(rig.call(nr::SENDTO, &[a, buf, 8, u64::from(MSG_NOSIGNAL), 0, 0]), Err(Errno::EPIPE));
    assert_eq!(rig.task.take_signals(), 0);
    assert_eq!(rig.call(nr::WRITE, &[a, buf, 8]), Err(Errno::EPIPE));
    assert_eq!(rig.task.take_signals(), 1 << 12);
    assert_eq!(rig.task.take_signals(), 0);
}

#[test]
fn connect_waits_for_its_end() {
    let rig = Rig::new();
    let addr = rig.mem.put(&[2, 0, 0, 80, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (end, expected) in [(-1, Ok(0)), (111, Err(Errno::ECONNREFUSED))] {
        let (a, _b) = Fake::stream();
        let fd = rig.adopt(a.clone());
        let before = rig.bed.sleeps.load(SeqCst);
        thread::scope(|s| {
            s.spawn(|| {
                rig.bed.wait_asleep(before + 1);
                a.finish_connect(end);
            });
            assert_eq!(rig.call(nr::CONNECT, &[fd, addr, 16]), expected);
        });
    }
    let (a, _b) = Fake::stream();
    let fd = rig.adopt(a);
    set_timeout(&rig, fd, SO_SNDTIMEO_OLD);
    assert_eq!(rig.call(nr::CONNECT, &[fd, addr, 16]), Err(Errno::EINPROGRESS));
}

#[test]
fn each_connection_wakes_one_accepting_thread() {
    let rig = Rig::new();
    let (listener, _unused) = Fake::stream();
    let fd = rig.adopt(listener.clone());
    let threads: Vec<_> = (0..3).map(|_| rig.thread()).collect();
    let kernel = &rig.kernel;
    thread::scope(|s| {
        for (task, _) in &threads {
            s.spawn(move || call(kernel, task, nr::ACCEPT, &[fd, 0, 0]).unwrap());
        }
        threads.iter().for_each(|(_, bed)| bed.wait_asleep(1));
        listener.incoming();
        listener.incoming();
        listener.incoming();
    });
    // Nobody was woken for another one's connection.
    assert!(threads.iter().all(|(_, bed)| bed.sleeps.load(SeqCst) == 1));
    assert_eq!(rig.process.descriptors(), [0, 1, 2, 3]);
}

#[test]
fn a_file_stays_open_while_a_call_sleeps_on_it() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (peer, fd) = (rig.adopt(a), rig.adopt(b.clone()));
    let buf = rig.mem.zeros(8);
    let (task, bed) = rig.thread();
    let kernel = &rig.kernel;
    thread::scope(|s| {
        let reader = s.spawn(|| call(kernel, &task, nr::READ, &[fd, buf, 8]));
        bed.wait_asleep(1);
        rig.call(nr::CLOSE, &[fd]).unwrap();
        assert_eq!(b.released.load(SeqCst), 0);
        rig.call(nr::WRITE, &[peer, buf, 8]).unwrap();
        assert_eq!(reader.join().unwrap(), Ok(8));
    });
    assert_eq!(b.released.load(SeqCst), 1);
}
