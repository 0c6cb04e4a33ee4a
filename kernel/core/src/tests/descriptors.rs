//! Descriptors and their flags.

use crate::testkit::{Fake, Lamp, Rig};
use core::sync::atomic::Ordering::SeqCst;
use lkl_abi::fcntl::*;
use lkl_abi::ioctls::{FIONBIO, FIONREAD, SIOCOUTQ};
use lkl_abi::{nr, Errno};
use lkl_ops::UserMem;

#[test]
fn duplicates_share_the_file() {
    let rig = Rig::new();
    let lamp = Lamp::new();
    let fd = rig.adopt(lamp.clone());
    assert_eq!(rig.call(nr::DUP, &[fd]), Ok(1));
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_DUPFD_CLOEXEC), 10]), Ok(10));
    assert_eq!(rig.call(nr::FCNTL, &[10, u64::from(F_GETFD)]), Ok(1));
    assert_eq!(rig.call(nr::FCNTL, &[1, u64::from(F_GETFD)]), Ok(0));
    assert_eq!(rig.call(nr::DUP3, &[fd, 5, u64::from(O_CLOEXEC)]), Ok(5));
    assert_eq!(rig.call(nr::DUP3, &[fd, fd, 0]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::DUP3, &[77, 5, 0]), Err(Errno::EBADF));
    rig.call(nr::FCNTL, &[1, u64::from(F_SETFL), u64::from(O_NONBLOCK)]).unwrap();
    assert_eq!(rig.call(nr::FCNTL, &[5, u64::from(F_GETFL)]), Ok(u64::from(O_RDWR | O_NONBLOCK)));
    let off = rig.mem.zeros(4);
    rig.call(nr::IOCTL, &[5, u64::from(FIONBIO), off]).unwrap();
    assert_eq!(rig.call(nr::FCNTL, &[5, u64::from(F_GETFL)]), Ok(u64::from(O_RDWR)));
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_DUPFD_QUERY), 5]), Ok(1));
    for fd in [0, 1, 5] {
        rig.call(nr::CLOSE, &[fd]).unwrap();
        assert_eq!(lamp.released.load(SeqCst), 0);
    }
    rig.call(nr::CLOSE, &[10]).unwrap();
    assert_eq!(lamp.released.load(SeqCst), 1);
    assert_eq!(rig.call(nr::CLOSE, &[10]), Err(Errno::EBADF));
}

#[test]
fn dup3_lets_go_of_what_was_there() {
    let rig = Rig::new();
    let (a, b) = (Lamp::new(), Lamp::new());
    let (a, fd_b) = (rig.adopt(a), rig.adopt(b.clone()));
    assert_eq!(rig.call(nr::DUP3, &[a, fd_b, 0]), Ok(fd_b));
    assert_eq!(b.released.load(SeqCst), 1);
}

#[test]
fn ranges() {
    let rig = Rig::new();
    for _ in 0..6 {
        rig.adopt(Lamp::new());
    }
    rig.call(nr::CLOSE_RANGE, &[2, 3, u64::from(CLOSE_RANGE_CLOEXEC)]).unwrap();
    assert_eq!(rig.call(nr::FCNTL, &[2, u64::from(F_GETFD)]), Ok(1));
    rig.call(nr::CLOSE_RANGE, &[1, 3, 0]).unwrap();
    assert_eq!(rig.process.descriptors(), [0, 4, 5]);
    assert_eq!(rig.call(nr::CLOSE_RANGE, &[3, 1, 0]), Err(Errno::EINVAL));
    rig.call(nr::CLOSE_RANGE, &[4, u64::from(u32::MAX), 0]).unwrap();
    assert_eq!(rig.process.descriptors(), [0]);
}

#[test]
fn sockets_have_no_place_to_seek_to() {
    let rig = Rig::new();
    let (a, _b) = Fake::stream();
    let fd = rig.adopt(a);
    let buf = rig.mem.zeros(64);
    let iov = rig.mem.zeros(16);
    for (call, args) in [
        (nr::LSEEK, [fd, 0, 0, 0]),
        (nr::PREAD64, [fd, buf, 1, 0]),
        (nr::PWRITE64, [fd, buf, 1, 0]),
        (nr::PREADV, [fd, iov, 1, 0]),
        (nr::PWRITEV, [fd, iov, 1, 0]),
    ] {
        assert_eq!(rig.call(call, &args), Err(Errno::ESPIPE));
    }
    assert_eq!(rig.call(nr::FSYNC, &[fd]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::FTRUNCATE, &[fd, 1]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::FALLOCATE, &[fd, 0, 0, 1]), Err(Errno::ENODEV));
    assert_eq!(rig.call(nr::SENDFILE, &[fd, fd, 0, 10]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::SPLICE, &[fd, 0, fd, 0, 10, 0]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_GETPIPE_SZ)]), Err(Errno::EBADF));
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_NOTIFY)]), Err(Errno::ENOTDIR));
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_SETFL), u64::from(O_DIRECT)]), Err(Errno::EINVAL));
    // Nothing to read is no read at all.
    assert_eq!(rig.call(nr::READ, &[fd, buf, 0]), Ok(0));
}

#[test]
fn status_of_a_socket() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    let buf = rig.mem.zeros(256);
    rig.call(nr::FSTAT, &[a, buf]).unwrap();
    assert_eq!(rig.mem.long(buf + 8), 77);
    assert_eq!(rig.mem.int(buf + 16), 0o140_777);
    let empty = rig.mem.zeros(1);
    assert_eq!(rig.call(nr::FSTATAT, &[a, empty, buf, u64::from(AT_EMPTY_PATH)]), Ok(0));
    assert_eq!(rig.call(nr::FSTATAT, &[a, empty, buf, 0]), Err(Errno::ENOENT));
    assert_eq!(rig.call(nr::STATX, &[a, empty, u64::from(AT_EMPTY_PATH), 0x7ff, buf]), Ok(0));
    assert_eq!(rig.mem.get(buf + 28, 2), 0o140_777u16.to_ne_bytes());
    rig.call(nr::WRITE, &[a, buf, 5]).unwrap();
    rig.call(nr::IOCTL, &[b, u64::from(FIONREAD), buf]).unwrap();
    assert_eq!(rig.mem.int(buf), 5);
    rig.call(nr::IOCTL, &[a, u64::from(SIOCOUTQ), buf]).unwrap();
    assert_eq!(rig.mem.int(buf), 5);
    assert_eq!(rig.call(nr::IOCTL, &[a, 0x5401, buf]), Err(Errno::ENOTTY));
}

#[test]
fn owners() {
    let rig = Rig::new();
    let fd = rig.adopt(Lamp::new());
    rig.call(nr::FCNTL, &[fd, u64::from(F_SETOWN), -5i64 as u64]).unwrap();
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_GETOWN)]), Ok(-5i64 as u64));
    let ex = rig.mem.zeros(8);
    rig.call(nr::FCNTL, &[fd, u64::from(F_GETOWN_EX), ex]).unwrap();
    assert_eq!((rig.mem.int(ex), rig.mem.int(ex + 4)), (F_OWNER_PGRP, 5));
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_SETSIG), 65]), Err(Errno::EINVAL));
    rig.call(nr::FCNTL, &[fd, u64::from(F_SETSIG), 34]).unwrap();
    assert_eq!(rig.call(nr::FCNTL, &[fd, u64::from(F_GETSIG)]), Ok(34));
}

#[test]
fn a_child_has_the_same_files() {
    let rig = Rig::new();
    let lamp = Lamp::new();
    let fd = rig.adopt(lamp.clone());
    let child = rig.process.fork(101, rig.mem.clone(), rig.process.numbers().clone());
    rig.process.close_all();
    assert_eq!(lamp.released.load(SeqCst), 0);
    assert!(child.owns(fd as i32));
    drop(child);
    assert_eq!(lamp.released.load(SeqCst), 1);
}

#[test]
fn what_is_not_there() {
    let rig = Rig::new();
    assert_eq!(rig.call(nr::BPF, &[]), Err(Errno::ENOSYS));
    assert_eq!(rig.call(100_000, &[]), Err(Errno::ENOSYS));
    assert_eq!(rig.call(nr::SOCKET, &[1, 1, 0]), Err(Errno::EAFNOSUPPORT));
    assert_eq!(rig.call(nr::SOCKET, &[99, 1, 0]), Err(Errno::EAFNOSUPPORT));
    assert_eq!(rig.call(nr::SOCKET, &[2, 0x101, 0]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::SOCKET, &[2, 15, 0]), Err(Errno::EINVAL));
    let path = rig.mem.put(b"/etc/passwd\0");
    assert_eq!(rig.call(nr::OPENAT, &[-100i64 as u64, path, 0]), Err(Errno::ENOENT));
}

#[test]
fn a_panic_ends_the_kernel_and_not_the_program() {
    let rig = Rig::new();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = rig.kernel.guard::<()>("test", || panic!("on purpose"));
    std::panic::set_hook(hook);
    assert_eq!(result, Err(Errno::EIO));
    assert!(rig.kernel.oopsed());
    assert_eq!(rig.call(nr::SOCKET, &[2, 1, 0]), Err(Errno::EIO));
    assert_eq!(rig.kernel.service(), None);
}

#[test]
fn paths_are_bytes_and_have_an_end() {
    let rig = Rig::new();
    let here = -100i64 as u64;
    let path = rig.mem.put(b"/proc/../proc/./net//dev\0");
    let fd = rig.call(nr::OPENAT, &[here, path, 0]).unwrap();
    assert_eq!(rig.process.file(fd as i32).unwrap().path(), Some(b"/proc/100/net/dev".to_vec()));
    let foreign = rig.mem.put(b"/proc/net/\xff\0");
    assert_eq!(rig.call(nr::OPENAT, &[here, foreign, 0]), Err(Errno::ENOENT));
    assert_eq!(rig.call(nr::OPENAT, &[here, 8, 0]), Err(Errno::EFAULT));
    let longest = rig.mem.put(&[&[b'/'; 4095][..], b"\0"].concat());
    assert!(rig.call(nr::OPENAT, &[here, longest, 0]).is_ok());
    let longer = rig.mem.put(&[&[b'/'; 4096][..], b"\0"].concat());
    assert_eq!(rig.call(nr::OPENAT, &[here, longer, 0]), Err(Errno::ENAMETOOLONG));
    // The end of memory, before the end of the path.
    let mem = rig.mem.zeros(0);
    let last = 0x1_0000 + (1 << 20) - 64;
    assert!(mem < last);
    rig.mem.write(last, &[b'a'; 64]).unwrap();
    assert_eq!(rig.call(nr::OPENAT, &[here, last, 0]), Err(Errno::EFAULT));
}
