//! Files over a file system that fails, runs full and watches the contract: what programs are told, what is written when, what memory
//! is used, and what is left.

use crate::fake::{env, mount, shared, PAGE};
use lkl_abi::{Errno, Result};
use lkl_file::{Iov, IovReader, IovWriter};
use lkl_ops::{Host, Instant, UserMem};
use lkl_vfs::cred::Cred;
use lkl_vfs::{At, ChangeAttr, Env, Limits, Range, Seek, Timestamp};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// Memory of a program: all of it is good up to a place.
struct Mem(Mutex<Vec<u8>>);

impl UserMem for Mem {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        let mem = self.0.lock().unwrap();
        buf.copy_from_slice(mem.get(addr as usize..addr as usize + buf.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        let mut mem = self.0.lock().unwrap();
        mem.get_mut(addr as usize..addr as usize + data.len()).ok_or(Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn all_before_a_bad_address_is_done() {
    let (_world, env) = env(64 << 20);
    let shared = shared(1000);
    shared.add(2);
    let sb = mount(&env, &shared);
    let node = sb.node(2).unwrap();
    node.write(&[7; 20_000], At::Offset(0)).unwrap();
    sb.sync().unwrap();
    env.drop_caches();
    // 10,000 bytes can be read, of the 15,000 that are to be written.
    let mem = Mem(Mutex::new((0..10_000u32).map(|n| n as u8).collect()));
    let iov = [Iov { base: 0, len: 5000 }, Iov { base: 5000, len: 10_000 }];
    let (start, n) = node.write_at(&mut IovReader::new(&mem, &iov), At::Offset(100)).unwrap();
    // The page that it ends in may be left as it was.
    assert_eq!(start, 100);
    assert!(n == 10_000 || n == 2 * PAGE as usize - 100, "{n} bytes");
    let mut all = vec![0; 20_000];
    assert_eq!(node.read(&mut all, 0), Ok(20_000));
    assert!(
        all[..100] == [7; 100]
            && all[100..100 + n] == mem.0.lock().unwrap()[..n]
            && all[100 + n..] == vec![7; 19_900 - n]
    );
    let bad = [Iov { base: 1 << 40, len: 10 }];
    assert_eq!(node.write_at(&mut IovReader::new(&mem, &bad), At::End), Err(Errno::EFAULT));
    assert_eq!(node.read_at(&mut IovWriter::new(&mem, &bad), 0), Err(Errno::EFAULT));
    let half = [Iov { base: 9000, len: 3000 }];
    assert_eq!(node.read_at(&mut IovWriter::new(&mem, &half), 0), Ok(1000));
    assert_eq!(node.size(), 20_000);
    // Where there was nothing before, the partial page counts.
    let (start, n) = node.write_at(&mut IovReader::new(&mem, &iov), At::End).unwrap();
    assert_eq!((start, n, node.size()), (20_000, 10_000, 30_000));
}

#[test]
fn no_room_is_told_when_it_is_written() {
    let (_world, env) = env(64 << 20);
    let shared = shared(10);
    shared.add(2);
    let sb = mount(&env, &shared);
    let node = sb.node(2).unwrap();
    assert_eq!(node.write(&vec![1; 10 * PAGE as usize + 500], At::Offset(0)), Ok((0, 10 * PAGE as usize)));
    assert_eq!(node.attr().blocks, 80, "what is promised counts");
    assert_eq!(node.write(&[1; 500], At::End), Err(Errno::ENOSPC));
    assert_eq!(
        node.write(&[2; 5000], At::Offset(10 * PAGE - 100)),
        Ok((10 * PAGE - 100, 100)),
        "what has room already"
    );
    node.fsync(false).unwrap();
    assert_eq!((node.size(), shared.promised(2)), (10 * PAGE, 0));
    assert_eq!(node.attr().blocks, 80);
    node.write(&[2; 5000], At::Offset(0)).unwrap();
    assert_eq!(node.attr().blocks, 80, "what is dirty has its blocks already");
    node.fallocate(Range::PunchHole, 0, 2 * PAGE).unwrap();
    assert_eq!(node.attr().blocks, 64);
    assert_eq!(node.fallocate(Range::Allocate { keep_size: false }, 10 * PAGE, 3 * PAGE), Err(Errno::ENOSPC));
    assert_eq!(node.size(), 10 * PAGE);
    assert_eq!(node.write(&[3; 10_000], At::End), Ok((10 * PAGE, 2 * PAGE as usize)));
    assert_eq!(sb.sync(), Ok(()));
}

#[test]
fn errors_of_write_back_are_told_once_to_each() {
    let (_world, env) = env(64 << 20);
    let shared = shared(1000);
    shared.add(2);
    shared.add(3);
    let sb = mount(&env, &shared);
    let (node, other) = (sb.node(2).unwrap(), sb.node(3).unwrap());
    let (a, b) = (node.error_mark(), node.error_mark());
    node.write(&[1; 5000], At::Offset(0)).unwrap();
    other.write(&[1; 5000], At::Offset(0)).unwrap();
    shared.fail_writes.store(true, SeqCst);
    assert_eq!(node.write_back(0..u64::MAX), Err(Errno::EIO));
    shared.fail_writes.store(false, SeqCst);
    let late = node.error_mark();
    assert_eq!(
        [&a, &a, &b, &late].map(|m| node.fsync_file(true, m)),
        [Err(Errno::EIO), Ok(()), Err(Errno::EIO), Err(Errno::EIO)]
    );
    assert_eq!((node.fsync_file(true, &node.error_mark()), other.fsync(false)), (Ok(()), Ok(())));
    assert_eq!((sb.sync(), sb.sync()), (Err(Errno::EIO), Ok(())));
    // What was read stays; what was not is told, and what lies before it is given.
    node.write(&vec![5; 64 * PAGE as usize], At::Offset(0)).unwrap();
    sb.sync().unwrap();
    env.drop_caches();
    let mut buf = vec![0; 2 * PAGE as usize];
    assert_eq!(node.read(&mut buf, 0), Ok(buf.len()));
    shared.fail_reads.store(true, SeqCst);
    assert_eq!(node.read(&mut buf, 40 * PAGE), Err(Errno::EIO));
    let mut all = vec![0; 64 * PAGE as usize];
    let n = node.read(&mut all, 0).unwrap();
    assert!(n >= 2 * PAGE as usize && n < all.len());
    assert_eq!(node.write(&[1; 10], At::Offset(40 * PAGE + 5)), Err(Errno::EIO), "the rest of the page is not known");
    assert_eq!(node.truncate(40 * PAGE + 5), Err(Errno::EIO));
    assert_eq!(node.size(), 64 * PAGE);
    shared.fail_reads.store(false, SeqCst);
    assert_eq!(node.read(&mut all, 0), Ok(all.len()));
    assert!(all.iter().all(|b| *b == 5));
}

#[test]
fn writes_are_few_and_long() {
    let (_world, env) = env(64 << 20);
    let shared = shared(1 << 30);
    shared.add(2);
    let sb = mount(&env, &shared);
    let node = sb.node(2).unwrap();
    // In small pieces, in wrong order.
    for at in (0..512u64).rev().map(|n| n * 8192) {
        node.write(&[at as u8; 8192], At::Offset(at)).unwrap();
    }
    assert_eq!((shared.writes.load(SeqCst), env.dirty()), (0, 4 * MIB));
    node.fsync(false).unwrap();
    assert_eq!((shared.writes.load(SeqCst), shared.changes.load(SeqCst), env.dirty()), (4, 1, 0));
    for at in (0..16 * MIB as u64).step_by(1 << 16) {
        node.write(&vec![at as u8; 1 << 16], At::Offset(at)).unwrap();
    }
    node.fsync(true).unwrap();
    assert_eq!((shared.writes.load(SeqCst), shared.changes.load(SeqCst), shared.reads.load(SeqCst)), (20, 1, 0));
    // Reading goes ahead.
    env.drop_caches();
    assert_eq!(env.used(), 0);
    let mut buf = vec![0; 4096];
    for at in (0..16 * MIB as u64).step_by(4096) {
        node.read(&mut buf, at).unwrap();
        assert_eq!(buf[0], (at >> 16 << 16) as u8);
    }
    assert!(shared.reads.load(SeqCst) <= 20, "{} reads", shared.reads.load(SeqCst));
    // Here and there it does not.
    env.drop_caches();
    for n in (1..100u64).rev() {
        node.read(&mut buf, n * 150_000).unwrap();
    }
    assert!(env.used() <= 200 * 4096, "{} bytes", env.used());
}

#[test]
fn memory_has_a_limit() {
    let (_world, env) = env(4 << 20);
    let shared = shared(1 << 30);
    let sb = mount(&env, &shared);
    let nodes: Vec<_> = (2..10)
        .map(|ino| {
            shared.add(ino);
            sb.node(ino).unwrap()
        })
        .collect();
    let mut most = 0;
    for round in 0..20u64 {
        for (n, node) in nodes.iter().enumerate() {
            node.write(&vec![n as u8 + 1; 200_000], At::Offset(round * 200_000)).unwrap();
            most = most.max(env.used());
            assert!(env.dirty() <= 2 << 20, "{} bytes are dirty", env.dirty());
        }
    }
    assert!(most <= 4 << 20, "{most} bytes were used");
    let mut buf = vec![0; 3 * MIB];
    for (n, node) in nodes.iter().enumerate() {
        node.read(&mut buf, 0).unwrap();
        assert!(buf.iter().all(|b| *b == n as u8 + 1));
        assert!(env.used() <= 4 << 20, "{} bytes are used", env.used());
    }
    // What is used often stays, while a long file passes.
    let hot = &nodes[0];
    let mut page = [0; 4096];
    sb.sync().unwrap();
    env.drop_caches();
    hot.read(&mut page, 0).unwrap();
    for at in (0..4_000_000u64).step_by(100_000) {
        nodes[1].read(&mut buf[..100_000], at).unwrap();
        hot.read(&mut page, 0).unwrap();
    }
    let reads = shared.reads.load(SeqCst);
    hot.read(&mut page, 0).unwrap();
    assert_eq!(shared.reads.load(SeqCst), reads);
}

#[test]
fn old_pages_are_written_by_themselves() {
    let (world, env) = env(64 << 20);
    let shared = shared(1 << 30);
    shared.add(2);
    shared.add(3);
    let sb = mount(&env, &shared);
    assert_eq!(env.service(world.now()), None);
    sb.node(2).unwrap().write(b"two", At::End).unwrap();
    let due = env.service(world.now()).expect("something is dirty");
    assert_eq!(due.since(world.now()), Duration::from_secs(5));
    world.run_for(Duration::from_secs(20));
    sb.node(3).unwrap().write(b"three", At::End).unwrap();
    assert_eq!(env.dirty(), 8192);
    world.run_for(Duration::from_secs(15));
    assert_eq!((env.dirty(), shared.content(2)), (4096, b"two".to_vec()));
    world.run_for(Duration::from_secs(15));
    assert_eq!((env.dirty(), shared.content(3)), (0, b"three".to_vec()));
    world.run_for(Duration::from_secs(15));
    assert_eq!(env.service(world.now()), None, "nothing is left to do");
}

/// An outside where each look at the clock takes a millisecond.
struct Slow(AtomicU64);

impl Host for Slow {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.fetch_add(1, SeqCst))
    }

    fn realtime(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn random(&self, _buf: &mut [u8]) {}

    fn rearm(&self, _deadline: Instant) {}

    fn kick(&self) {}
}

#[test]
fn old_pages_are_written_a_while_at_a_time() {
    let host = Arc::new(Slow(AtomicU64::new(0)));
    let env = Env::new(host.clone(), Limits::default());
    let shared = shared(1 << 30);
    let sb = mount(&env, &shared);
    for ino in 2..102 {
        shared.add(ino);
        sb.node(ino).unwrap().write(b"some", At::End).unwrap();
    }
    host.0.store(60_000, SeqCst);
    let mut calls = 0;
    let mut now = host.now();
    while let Some(due) = env.service(now) {
        assert!(due.since(host.now()) <= Duration::from_millis(20), "there is more to do");
        now = due;
        calls += 1;
    }
    assert!((5..=50).contains(&calls), "{calls} calls");
    assert_eq!((env.dirty(), shared.content(101)), (0, b"some".to_vec()));
}

#[test]
fn times_as_programs_see_them() {
    let (world, env) = env(64 << 20);
    let shared = shared(1 << 30);
    shared.add(2);
    let sb = mount(&env, &shared);
    let node = sb.node(2).unwrap();
    let old = node.attr();
    node.write(b"x", At::End).unwrap();
    let written = env.now();
    assert_eq!((node.attr().mtime, node.attr().ctime, node.attr().atime), (written, written, old.atime));
    assert_eq!((node.inode().attr().mtime, node.attr().size, node.inode().attr().size), (old.mtime, 1, 0));
    // Of a read only the first one after a change tells.
    world.run_for(Duration::from_secs(1));
    node.touch_atime(false);
    let read = env.now();
    world.run_for(Duration::from_secs(1));
    node.touch_atime(false);
    assert_eq!(node.attr().atime, read);
    node.touch_atime(true);
    assert_eq!(node.attr().atime, env.now());
    world.run_for(Duration::from_secs(25 * 3600));
    node.touch_atime(false);
    assert_eq!(node.attr().atime, env.now());
    // A time that is set stays, whatever was late; and what was late comes along with another change.
    let set = Timestamp { secs: 77, nanos: 7 };
    node.write(b"x", At::End).unwrap();
    node.change(&ChangeAttr { mtime: Some(set), ctime: Some(env.now()), ..ChangeAttr::default() }).unwrap();
    node.fsync(false).unwrap();
    assert_eq!((node.attr().mtime, node.inode().attr().mtime), (set, set));
    world.run_for(Duration::from_secs(1));
    node.write(b"x", At::End).unwrap();
    let written = env.now();
    world.run_for(Duration::from_secs(1));
    node.change(&ChangeAttr { mode: Some(0o4755), ctime: Some(env.now()), ..ChangeAttr::default() }).unwrap();
    assert_eq!((node.inode().attr().mtime, node.inode().attr().ctime), (written, env.now()));
    node.truncate(1).unwrap();
    assert_eq!((node.attr().mtime, node.attr().size), (env.now(), 1));
    // Who is not root takes the set-user-ID bit away by writing.
    node.drop_privileges(Some(&Cred::default())).unwrap();
    assert_eq!(node.attr().mode, 0o4755);
    node.drop_privileges(Some(&Cred { uid: 5, ..Cred::default() })).unwrap();
    assert_eq!(node.attr().mode, 0o755);
}

#[test]
fn files_that_nobody_uses() {
    let (_world, env) = env(4 << 20);
    let shared = shared(1 << 30);
    (2..1000).for_each(|ino| shared.add(ino));
    let sb = mount(&env, &shared);
    let node = sb.node(2).unwrap();
    assert!(std::ptr::eq(&*node, &*sb.node(2).unwrap()));
    assert_eq!(sb.node(5000).err(), Some(Errno::ESTALE));
    node.write(&[1; 5000], At::End).unwrap();
    drop(node);
    assert_eq!((sb.cached_nodes(), env.dirty()), ((0, 1), 8192));
    // Its pages are there still.
    let mut buf = [0; 10];
    sb.node(2).unwrap().read(&mut buf, 0).unwrap();
    assert_eq!((buf, shared.reads.load(SeqCst)), ([1; 10], 0));
    for ino in 3..1000 {
        drop(sb.node(ino).unwrap());
    }
    assert_eq!(sb.cached_nodes(), (0, 257), "those that are clean are so many at most");
    assert_eq!(sb.node(2).unwrap().size(), 5000);

    // One without links lives while it is used.
    let node = sb.node(2).unwrap();
    shared.set_nlink(2, 0);
    node.write(&[2; 5000], At::End).unwrap();
    sb.sync().unwrap();
    assert_eq!((node.size(), shared.evicted.load(SeqCst)), (10_000, 0));
    node.write(&[2; 5000], At::End).unwrap();
    let second = node.clone();
    drop(node);
    assert_eq!(sb.unmount(), Err(Errno::EBUSY));
    drop(second);
    assert_eq!((shared.evicted.load(SeqCst), env.dirty(), sb.node(2).err()), (1, 0, Some(Errno::ESTALE)));
    assert_eq!(shared.free.load(SeqCst), 1 << 30);
    sb.unmount().unwrap();
    assert_eq!((sb.unmount(), sb.node(3).err(), sb.cached_nodes()), (Err(Errno::EINVAL), Some(Errno::ESTALE), (0, 0)));
    assert_eq!((env.used(), env.supers().len()), (0, 0));
}

#[test]
fn lengths() {
    let (_world, env) = env(64 << 20);
    let shared = shared(1 << 30);
    shared.add(2);
    let sb = mount(&env, &shared);
    let node = sb.node(2).unwrap();
    let most = sb.size_max();
    assert_eq!(node.write(b"xyz", At::Offset(most)), Err(Errno::EFBIG));
    assert_eq!(node.write(b"xyz", At::Offset(most - 2)), Ok((most - 2, 2)));
    assert_eq!(node.write(b"", At::Offset(u64::MAX)), Ok((u64::MAX, 0)));
    assert_eq!(node.read(&mut [0; 10], u64::MAX), Ok(0));
    assert_eq!((node.truncate(most + 1), node.truncate(u64::MAX)), (Err(Errno::EFBIG), Err(Errno::EFBIG)));
    assert_eq!(node.fallocate(Range::PunchHole, u64::MAX - 5, 10), Err(Errno::EFBIG));
    assert_eq!(node.fallocate(Range::PunchHole, 5, 0), Err(Errno::EINVAL));
    assert_eq!(node.fallocate(Range::Insert, 0, PAGE), Err(Errno::EFBIG));
    assert_eq!(
        (node.seek(Seek::Data, 0), node.seek(Seek::Hole, most)),
        (Ok((most - 2) / PAGE * PAGE), Err(Errno::ENXIO))
    );
    node.write_back(5..u64::MAX).unwrap();
    node.drop_pages(0..u64::MAX);
    assert_eq!(env.used(), 0);
    node.truncate(0).unwrap();
    assert_eq!((node.seek(Seek::Data, 0), node.attr().blocks), (Err(Errno::ENXIO), 0));
}

#[test]
fn many_threads() {
    let (_world, env) = env(4 << 20);
    let shared = shared(1 << 30);
    (2..6).for_each(|ino| shared.add(ino));
    let sb = mount(&env, &shared);
    let own = sb.node(2).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (sb, own) = (&sb, &own);
            scope.spawn(move || {
                let mut buf = vec![0; 100_000];
                for round in 0..60u64 {
                    // Each has a part of one file, and all look at what the others do with files of their own.
                    let data = vec![round as u8 ^ thread as u8; 70_000];
                    own.write(&data, At::Offset(thread * MIB as u64 + round * 1000)).unwrap();
                    let node = sb.node(2 + (thread + round) % 4).unwrap();
                    if node.ino() > 2 {
                        node.write(&[node.ino() as u8; 50_000], At::Offset(round * 40_000)).unwrap();
                        let n = node.read(&mut buf, round * 30_000).unwrap();
                        assert!(buf[..n].iter().all(|b| *b == 0 || u64::from(*b) == node.ino()));
                    }
                    if round % 16 == 3 {
                        node.fsync(round % 32 == 3).unwrap();
                    }
                    own.read(&mut buf[..70_000], thread * MIB as u64 + round * 1000).unwrap();
                    assert!(buf[..70_000] == data);
                }
            });
        }
    });
    drop(own);
    sb.unmount().unwrap();
    assert_eq!((env.used(), env.dirty()), (0, 0));
}
