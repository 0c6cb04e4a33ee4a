//! Locks of files, and being told of what happens to them.

use super::files::HERE;
use crate::testkit::{call, Rig};
use lkl_abi::fcntl::*;
use lkl_abi::inotify::*;
use lkl_abi::ioctls::FIONREAD;
use lkl_abi::{nr, Errno, Result};

fn lock(rig: &Rig, fd: u64, command: u32, kind: i16, start: i64, len: i64) -> Result<u64> {
    let lock = Flock { kind, whence: 0, start, len, pid: 0 };
    rig.call(nr::FCNTL, &[fd, command.into(), rig.mem.put(&lock.to_bytes())])
}

/// What is in the way of a lock: its kind and whose it is.
fn in_the_way(rig: &Rig, fd: u64, command: u32, start: i64, len: i64) -> (i16, i32) {
    let at = rig.mem.put(&Flock { kind: F_WRLCK, whence: 0, start, len, pid: 0 }.to_bytes());
    rig.call(nr::FCNTL, &[fd, command.into(), at]).unwrap();
    let lock = Flock::parse(&rig.mem.get(at, FLOCK_SIZE).try_into().unwrap());
    (lock.kind, lock.pid)
}

#[test]
fn locks_of_the_whole_file() {
    let rig = Rig::new();
    let (a, b) = (rig.open("/tmp/f", O_RDWR | O_CREAT).unwrap(), rig.open("/tmp/f", O_RDWR).unwrap());
    let flock = |fd: u64, op: u32| rig.call(nr::FLOCK, &[fd, op.into()]);
    assert_eq!((flock(a, LOCK_SH), flock(b, LOCK_SH | LOCK_NB)), (Ok(0), Ok(0)));
    assert_eq!((flock(b, LOCK_EX | LOCK_NB), flock(b, 77)), (Err(Errno::EAGAIN), Err(Errno::EINVAL)));
    let (task, bed) = rig.thread();
    std::thread::scope(|s| {
        let waiter = s.spawn(|| call(&rig.kernel, &task, nr::FLOCK, &[b, LOCK_EX.into()]));
        bed.wait_asleep(1);
        // With the last descriptor of it the lock goes.
        let dup = rig.call(nr::DUP, &[a]).unwrap();
        rig.close(a);
        assert!(!waiter.is_finished());
        rig.close(dup);
        assert_eq!(waiter.join().unwrap(), Ok(0));
    });
}

#[test]
fn locks_of_processes_and_of_open_files() {
    let rig = Rig::new();
    let (a, b) = (rig.open("/tmp/f", O_RDWR | O_CREAT).unwrap(), rig.open("/tmp/f", O_RDWR).unwrap());
    // One process: its own locks are never in its way.
    assert_eq!((lock(&rig, a, F_SETLK, F_WRLCK, 0, 10), lock(&rig, b, F_SETLK, F_WRLCK, 5, 10)), (Ok(0), Ok(0)));
    assert_eq!(in_the_way(&rig, b, F_GETLK, 0, 0), (F_UNLCK, 0));
    assert_eq!(in_the_way(&rig, b, F_OFD_GETLK, 0, 0), (F_WRLCK, 100));
    assert_eq!(lock(&rig, b, F_OFD_SETLK, F_RDLCK, 9, 1), Err(Errno::EAGAIN));
    assert_eq!(lock(&rig, b, F_OFD_SETLK, F_RDLCK, 15, 1), Ok(0));
    assert_eq!(in_the_way(&rig, a, F_GETLK, 15, 1), (F_RDLCK, -1));
    let ro = rig.open("/tmp/f", O_RDONLY).unwrap();
    assert_eq!(lock(&rig, ro, F_SETLK, F_WRLCK, 100, 1), Err(Errno::EBADF));
    // Any close of the file by the process takes its locks away.
    rig.close(ro);
    assert_eq!(in_the_way(&rig, b, F_OFD_GETLK, 0, 15), (F_UNLCK, 0));
    assert_eq!(lock(&rig, a, F_SETLK, 9, 0, 1), Err(Errno::EINVAL));
}

#[test]
fn a_lock_is_waited_for_and_never_in_a_circle() {
    let rig = Rig::new();
    let fd = rig.open("/tmp/f", O_RDWR | O_CREAT).unwrap();
    let child = rig.process.fork(101, rig.mem.clone(), rig.process.numbers().clone());
    let bed = crate::testkit::Bed::new(&rig.clock, false);
    let task = crate::Kernel::task(&child, 101, bed.clone());
    let at = |kind, start| rig.mem.put(&Flock { kind, whence: 0, start, len: 1, pid: 0 }.to_bytes());
    let other = |command: u32, lock: u64| call(&rig.kernel, &task, nr::FCNTL, &[fd, command.into(), lock]);
    lock(&rig, fd, F_SETLK, F_WRLCK, 0, 1).unwrap();
    let (first, second) = (at(F_WRLCK, 0), at(F_WRLCK, 1));
    other(F_SETLK, second).unwrap();
    assert_eq!(other(F_SETLK, first), Err(Errno::EAGAIN));
    std::thread::scope(|s| {
        let waiter = s.spawn(|| other(F_SETLKW, first));
        bed.wait_asleep(1);
        assert_eq!(lock(&rig, fd, F_SETLKW, F_WRLCK, 1, 1), Err(Errno::EDEADLK));
        lock(&rig, fd, F_SETLK, F_UNLCK, 0, 1).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(0));
    });
    assert_eq!(in_the_way(&rig, fd, F_GETLK, 0, 1), (F_WRLCK, 101));
    // What ends lets go.
    drop(task);
    child.close_all();
    assert_eq!(in_the_way(&rig, fd, F_GETLK, 0, 2), (F_UNLCK, 0));
}

/// All that an instance has to tell: watch, event, name, and whether there is a cookie.
fn events(rig: &Rig, fd: u64) -> Vec<(i32, u32, String)> {
    let bytes = match rig.get(fd, 4096) {
        Err(Errno::EAGAIN) => return Vec::new(),
        other => other.unwrap(),
    };
    let (mut at, mut all) = (0, Vec::new());
    let int = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    while at < bytes.len() {
        let len = int(at + 12) as usize;
        assert_eq!(len % 16, 0);
        let name = bytes[at + 16..at + 16 + len].iter().copied().take_while(|b| *b != 0).collect();
        all.push((int(at) as i32, int(at + 4), String::from_utf8(name).unwrap()));
        assert_eq!(int(at + 8) != 0, int(at + 4) & (IN_MOVED_FROM | IN_MOVED_TO) != 0);
        at += 16 + len;
    }
    all
}

fn instance(rig: &Rig) -> u64 {
    rig.call(nr::INOTIFY_INIT1, &[IN_NONBLOCK.into()]).unwrap()
}

fn watch(rig: &Rig, fd: u64, path: &str, mask: u32) -> Result<i32> {
    rig.call(nr::INOTIFY_ADD_WATCH, &[fd, rig.text(path), mask.into()]).map(|wd| wd as i32)
}

#[test]
fn a_directory_is_watched() {
    let rig = Rig::new();
    rig.mkdir("/tmp/d").unwrap();
    let i = instance(&rig);
    let wd = watch(&rig, i, "/tmp/d", IN_ALL_EVENTS).unwrap();
    assert_eq!(events(&rig, i), []);
    rig.put_file("/tmp/d/f", b"x");
    let is = |mask, name: &str| (wd, mask, name.to_owned());
    let made = [is(IN_CREATE, "f"), is(IN_OPEN, "f"), is(IN_MODIFY, "f"), is(IN_CLOSE_WRITE, "f")];
    assert_eq!(events(&rig, i), made);
    rig.file("/tmp/d/f").unwrap();
    assert_eq!(events(&rig, i), [is(IN_OPEN, "f"), is(IN_ACCESS, "f"), is(IN_CLOSE_NOWRITE, "f")]);
    rig.call(nr::FCHMODAT, &[HERE, rig.text("/tmp/d/f"), 0o600]).unwrap();
    rig.rename("/tmp/d/f", "/tmp/d/g").unwrap();
    rig.mkdir("/tmp/d/e").unwrap();
    rig.rename("/tmp/d/e", "/tmp/e").unwrap();
    let moved = [
        is(IN_ATTRIB, "f"),
        is(IN_MOVED_FROM, "f"),
        is(IN_MOVED_TO, "g"),
        is(IN_CREATE | IN_ISDIR, "e"),
        is(IN_MOVED_FROM | IN_ISDIR, "e"),
    ];
    assert_eq!(events(&rig, i), moved);
    rig.unlink("/tmp/d/g").unwrap();
    rig.call(nr::UNLINKAT, &[HERE, rig.text("/tmp/d"), AT_REMOVEDIR.into()]).unwrap();
    assert_eq!(events(&rig, i), [is(IN_DELETE, "g"), is(IN_DELETE_SELF, ""), is(IN_IGNORED, "")]);
    assert_eq!(rig.call(nr::INOTIFY_RM_WATCH, &[i, wd as u64]), Err(Errno::EINVAL));
}

#[test]
fn a_file_is_watched_until_its_end() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"x");
    let i = instance(&rig);
    let wd = watch(&rig, i, "/tmp/f", IN_DELETE_SELF | IN_ATTRIB | IN_MOVE_SELF).unwrap();
    let open = rig.open("/tmp/f", O_RDONLY).unwrap();
    rig.rename("/tmp/f", "/tmp/g").unwrap();
    rig.unlink("/tmp/g").unwrap();
    let none = String::new;
    assert_eq!(events(&rig, i), [(wd, IN_MOVE_SELF, none()), (wd, IN_ATTRIB, none())]);
    rig.close(open);
    assert_eq!(events(&rig, i), [(wd, IN_DELETE_SELF, none()), (wd, IN_IGNORED, none())]);
}

#[test]
fn how_watches_are_made() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"x");
    rig.symlink("f", "/tmp/l").unwrap();
    let i = instance(&rig);
    let wd = watch(&rig, i, "/tmp/f", IN_MODIFY).unwrap();
    // Another name of the same file is the same watch.
    assert_eq!(
        (watch(&rig, i, "/tmp/l", IN_OPEN | IN_MASK_ADD), watch(&rig, i, "/tmp/l", IN_OPEN | IN_MASK_CREATE)),
        (Ok(wd), Err(Errno::EEXIST))
    );
    assert_eq!(
        (watch(&rig, i, "/tmp/f", IN_OPEN | IN_ONLYDIR), watch(&rig, i, "/tmp/f", 0)),
        (Err(Errno::ENOTDIR), Err(Errno::EINVAL))
    );
    assert!(watch(&rig, i, "/tmp/l", IN_OPEN | IN_DONT_FOLLOW).unwrap() != wd);
    rig.put_file("/tmp/f", b"yy");
    let size = rig.mem.zeros(4);
    rig.call(nr::IOCTL, &[i, FIONREAD.into(), size]).unwrap();
    // Opened; truncated and written, which are one.
    assert_eq!(rig.mem.int(size), 32);
    assert_eq!(rig.get(i, 15), Err(Errno::EINVAL));
    let seen: Vec<u32> = events(&rig, i).iter().map(|e| e.1).collect();
    assert_eq!(seen, [IN_OPEN, IN_MODIFY]);
    assert_eq!(watch(&rig, i, "/tmp/f", IN_OPEN | IN_ONESHOT), Ok(wd));
    let fd = rig.open("/tmp/f", O_RDONLY).unwrap();
    assert!(rig.open("/tmp/f", O_RDONLY).is_ok());
    let seen: Vec<u32> = events(&rig, i).iter().map(|e| e.1).collect();
    assert_eq!(seen, [IN_OPEN, IN_IGNORED]);
    assert_eq!(rig.call(nr::INOTIFY_ADD_WATCH, &[fd, rig.text("/tmp/f"), 1]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::INOTIFY_INIT1, &[1]), Err(Errno::EINVAL));
    assert_eq!(rig.readlink(&format!("/proc/self/fd/{i}")).unwrap(), "anon_inode:inotify");
}

#[test]
fn too_many_events_are_told_as_such() {
    let rig = Rig::new();
    let i = instance(&rig);
    rig.put_file("/tmp/f", b"x");
    watch(&rig, i, "/tmp/f", IN_MODIFY | IN_ACCESS).unwrap();
    let fd = rig.open("/tmp/f", O_RDWR).unwrap();
    let buf = rig.mem.zeros(1);
    for _ in 0..crate::inotify::QUEUE_MAX {
        rig.call(nr::PWRITE64, &[fd, buf, 1, 0]).unwrap();
        rig.call(nr::PREAD64, &[fd, buf, 1, 0]).unwrap();
    }
    let mut all = Vec::new();
    loop {
        let some = events(&rig, i);
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    assert_eq!(all.len(), crate::inotify::QUEUE_MAX + 1);
    assert_eq!(all.last().unwrap().1, IN_Q_OVERFLOW);
}

/// The order is that of Linux 6.18: the same calls on it told the same.
#[test]
fn what_several_watches_are_told() {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.put_file(&format!("/tmp/{name}"), name.as_bytes());
    }
    let i = instance(&rig);
    let [d, a, b] = ["/tmp", "/tmp/a", "/tmp/b"].map(|path| watch(&rig, i, path, IN_ALL_EVENTS).unwrap());
    let is = |wd, mask, name: &str| (wd, mask, name.to_owned());
    let seen = |expected: &[(i32, u32, String)]| assert_eq!(events(&rig, i), expected);
    rig.rename("/tmp/a", "/tmp/b").unwrap();
    seen(&[
        is(d, IN_MOVED_FROM, "a"),
        is(d, IN_MOVED_TO, "b"),
        is(b, IN_ATTRIB, ""),
        is(a, IN_MOVE_SELF, ""),
        is(b, IN_DELETE_SELF, ""),
        is(b, IN_IGNORED, ""),
    ]);
    rig.call(nr::LINKAT, &[HERE, rig.text("/tmp/b"), HERE, rig.text("/tmp/c"), 0]).unwrap();
    seen(&[is(a, IN_ATTRIB, ""), is(d, IN_CREATE, "c")]);
    rig.unlink("/tmp/c").unwrap();
    seen(&[is(a, IN_ATTRIB, ""), is(d, IN_DELETE, "c")]);
    let fd = rig.open("/tmp/b", O_RDWR | O_TRUNC).unwrap();
    seen(&[is(d, IN_OPEN, "b"), is(a, IN_OPEN, ""), is(d, IN_MODIFY, "b"), is(a, IN_MODIFY, "")]);
    rig.call(nr::FTRUNCATE, &[fd, 5]).unwrap();
    seen(&[is(d, IN_MODIFY, "b"), is(a, IN_MODIFY, "")]);
    rig.call(nr::UTIMENSAT, &[HERE, rig.text("/tmp/b"), 0, 0]).unwrap();
    seen(&[is(d, IN_ATTRIB, "b"), is(a, IN_ATTRIB, "")]);
    rig.call(nr::FALLOCATE, &[fd, 0, 0, 100]).unwrap();
    seen(&[is(d, IN_MODIFY, "b"), is(a, IN_MODIFY, "")]);
    rig.names("/tmp");
    seen(&[is(d, IN_OPEN | IN_ISDIR, ""), is(d, IN_ACCESS | IN_ISDIR, ""), is(d, IN_CLOSE_NOWRITE | IN_ISDIR, "")]);
    rig.close(fd);
    seen(&[is(d, IN_CLOSE_WRITE, "b"), is(a, IN_CLOSE_WRITE, "")]);
    rig.mkdir("/tmp/sub").unwrap();
    let sub = watch(&rig, i, "/tmp/sub", IN_ALL_EVENTS).unwrap();
    rig.call(nr::UNLINKAT, &[HERE, rig.text("/tmp/sub"), AT_REMOVEDIR.into()]).unwrap();
    seen(&[
        is(d, IN_CREATE | IN_ISDIR, "sub"),
        is(sub, IN_DELETE_SELF, ""),
        is(sub, IN_IGNORED, ""),
        is(d, IN_DELETE | IN_ISDIR, "sub"),
    ]);
    rig.unlink("/tmp/b").unwrap();
    seen(&[is(a, IN_ATTRIB, ""), is(a, IN_DELETE_SELF, ""), is(a, IN_IGNORED, ""), is(d, IN_DELETE, "b")]);
    rig.symlink("x", "/tmp/l").unwrap();
    seen(&[is(d, IN_CREATE, "l")]);
}

#[test]
fn an_unmount_ends_watches() {
    let rig = Rig::new();
    rig.mkdir("/tmp/m").unwrap();
    let [tmpfs, target] = ["tmpfs", "/tmp/m"].map(|text| rig.text(text));
    rig.call(nr::MOUNT, &[tmpfs, target, tmpfs, 0, 0]).unwrap();
    rig.put_file("/tmp/m/f", b"x");
    let i = instance(&rig);
    let wd = watch(&rig, i, "/tmp/m/f", IN_MODIFY).unwrap();
    // A watch keeps nobody from unmounting, an open file does.
    let fd = rig.open("/tmp/m/f", O_RDONLY).unwrap();
    assert_eq!(rig.call(nr::UMOUNT2, &[target, 0]), Err(Errno::EBUSY));
    assert_eq!(events(&rig, i), []);
    rig.close(fd);
    rig.call(nr::UMOUNT2, &[target, 0]).unwrap();
    assert_eq!(events(&rig, i), [(wd, IN_UNMOUNT, String::new()), (wd, IN_IGNORED, String::new())]);
    assert!(!rig.kernel.inotify.any());
}
