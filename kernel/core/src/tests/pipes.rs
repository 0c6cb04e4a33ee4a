//! Pipes, and what moves bytes through them.

use crate::testkit::{Fake, Rig};
use lkl_abi::fcntl::{F_GETPIPE_SZ, F_SETFL, F_SETPIPE_SZ, O_CLOEXEC, O_NONBLOCK};
use lkl_abi::ioctls::FIONREAD;
use lkl_abi::splice::SPLICE_F_NONBLOCK;
use lkl_abi::{nr, Errno};
use std::sync::atomic::Ordering::SeqCst;

impl Rig {
    fn pipe(&self, flags: u32) -> (u64, u64) {
        let fds = self.mem.zeros(8);
        self.call(nr::PIPE2, &[fds, flags.into()]).unwrap();
        (self.mem.int(fds) as u64, self.mem.int(fds + 4) as u64)
    }

    fn write(&self, fd: u64, data: &[u8]) -> lkl_abi::Result<u64> {
        self.call(nr::WRITE, &[fd, self.mem.put(data), data.len() as u64])
    }

    fn read(&self, fd: u64, len: usize) -> lkl_abi::Result<Vec<u8>> {
        let buf = self.mem.zeros(len);
        let n = self.call(nr::READ, &[fd, buf, len as u64])?;
        Ok(self.mem.get(buf, n as usize))
    }
}

#[test]
fn bytes_go_through_and_end() {
    let rig = Rig::new();
    let (r, w) = rig.pipe(O_NONBLOCK | O_CLOEXEC);
    assert_eq!(rig.read(r, 4), Err(Errno::EAGAIN));
    assert_eq!(rig.write(w, b"abcdef"), Ok(6));
    assert_eq!((rig.write(r, b"x"), rig.read(w, 1)), (Err(Errno::EBADF), Err(Errno::EBADF)));
    let n = rig.mem.zeros(4);
    rig.call(nr::IOCTL, &[r, u64::from(FIONREAD), n]).unwrap();
    assert_eq!(rig.mem.int(n), 6);
    assert_eq!(rig.read(r, 4).unwrap(), b"abcd");
    assert_eq!(rig.call(nr::READ, &[r, 8, 4]), Err(Errno::EFAULT));
    assert_eq!(rig.call(nr::LSEEK, &[r, 0, 0]), Err(Errno::ESPIPE));
    rig.call(nr::CLOSE, &[w]).unwrap();
    assert_eq!(rig.read(r, 4).unwrap(), b"ef");
    assert_eq!(rig.read(r, 4).unwrap(), b"");
    assert_eq!(rig.call(nr::PIPE2, &[n, 1]), Err(Errno::EINVAL));
    let before = rig.process.descriptors();
    assert_eq!(rig.call(nr::PIPE2, &[8, 0]), Err(Errno::EFAULT));
    assert_eq!(rig.process.descriptors(), before);
}

#[test]
fn nobody_reads() {
    let rig = Rig::new();
    let (r, w) = rig.pipe(0);
    rig.call(nr::CLOSE, &[r]).unwrap();
    assert_eq!(rig.write(w, b"x"), Err(Errno::EPIPE));
    assert_eq!(rig.task.take_signals(), 1 << 12);
}

#[test]
fn a_small_write_is_whole_and_a_long_one_waits() {
    let rig = Rig::new();
    let (r, w) = rig.pipe(O_NONBLOCK);
    assert_eq!(rig.call(nr::FCNTL, &[w, u64::from(F_SETPIPE_SZ), 5000]), Ok(8192));
    assert_eq!(rig.call(nr::FCNTL, &[r, u64::from(F_GETPIPE_SZ)]), Ok(8192));
    let data = rig.mem.zeros(16384);
    assert_eq!(rig.call(nr::WRITE, &[w, data, 16384]), Ok(8192));
    assert_eq!(rig.call(nr::FCNTL, &[w, u64::from(F_SETPIPE_SZ), 4096]), Err(Errno::EBUSY));
    rig.read(r, 100).unwrap();
    assert_eq!(rig.call(nr::WRITE, &[w, data, 101]), Err(Errno::EAGAIN));
    assert_eq!(rig.call(nr::WRITE, &[w, data, 5000]), Ok(100));
    // A blocking one goes on as there is room.
    rig.call(nr::FCNTL, &[w, u64::from(F_SETFL), 0]).unwrap();
    std::thread::scope(|s| {
        let writer = s.spawn(|| rig.call(nr::WRITE, &[w, data, 16384]));
        let (task, _) = rig.thread();
        let mut left = 8192 + 16384u64;
        let buf = rig.mem.zeros(4096);
        while left > 0 {
            match rig.kernel.syscall(&task, nr::READ, [r, buf, 4096, 0, 0, 0]) {
                Ok(n) => left -= n,
                Err(e) => assert_eq!(e, Errno::EAGAIN),
            }
        }
        assert_eq!(writer.join().unwrap(), Ok(16384));
    });
}

#[test]
fn a_reader_is_woken() {
    let rig = Rig::new();
    let (r, w) = rig.pipe(0);
    let (other, bed) = rig.thread();
    let buf = rig.mem.zeros(8);
    std::thread::scope(|s| {
        let reader = s.spawn(|| rig.kernel.syscall(&other, nr::READ, [r, buf, 8, 0, 0, 0]));
        bed.wait_asleep(1);
        rig.write(w, b"hi").unwrap();
        assert_eq!(reader.join().unwrap(), Ok(2));
        let reader = s.spawn(|| rig.kernel.syscall(&other, nr::READ, [r, buf, 8, 0, 0, 0]));
        bed.wait_asleep(2);
        rig.call(nr::CLOSE, &[w]).unwrap();
        assert_eq!(reader.join().unwrap(), Ok(0));
    });
    assert!(rig.bed.sleeps.load(SeqCst) == 0);
}

#[test]
fn splice_and_tee() {
    let rig = Rig::new();
    let (r, w) = rig.pipe(O_NONBLOCK);
    let (r2, w2) = rig.pipe(O_NONBLOCK);
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    rig.write(w, b"0123456789").unwrap();
    assert_eq!(rig.call(nr::TEE, &[r, w2, 4, 0]), Ok(4));
    assert_eq!(rig.call(nr::SPLICE, &[r, 0, w2, 0, 3, 0]), Ok(3));
    assert_eq!(rig.read(r2, 100).unwrap(), b"0123012");
    assert_eq!(rig.call(nr::SPLICE, &[r, 0, a, 0, 100, 0]), Ok(7));
    assert_eq!(rig.call(nr::SPLICE, &[b, 0, w2, 0, 100, 0]), Ok(7));
    assert_eq!(rig.read(r2, 100).unwrap(), b"3456789");
    assert_eq!(rig.call(nr::SPLICE, &[r, 0, w2, 0, 1, u64::from(SPLICE_F_NONBLOCK)]), Err(Errno::EAGAIN));
    let offset = rig.mem.zeros(8);
    assert_eq!(rig.call(nr::SPLICE, &[r, offset, w2, 0, 1, 0]), Err(Errno::ESPIPE));
    assert_eq!(rig.call(nr::SPLICE, &[b, offset, w2, 0, 1, 0]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::SPLICE, &[r, 0, w, 0, 1, 0]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::SPLICE, &[w, 0, r, 0, 1, 0]), Err(Errno::EBADF));
    assert_eq!(rig.call(nr::SPLICE, &[r, 0, w2, 0, 1, 16]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::TEE, &[r, a, 1, 0]), Err(Errno::EINVAL));
    // What the other side does not take stays.
    rig.write(w, &[7; 30]).unwrap();
    rig.call(nr::FCNTL, &[a, u64::from(F_SETFL), u64::from(O_NONBLOCK)]).unwrap();
    assert_eq!(rig.call(nr::SPLICE, &[r, 0, a, 0, 30, 0]), Ok(16));
    assert_eq!(rig.read(r, 100).unwrap(), [7; 14]);
    let text = rig.mem.put(b"text");
    let iov = rig.mem.put(&[text, 4].map(u64::to_ne_bytes).concat());
    assert_eq!(rig.call(nr::VMSPLICE, &[w, iov, 1, 0]), Ok(4));
    assert_eq!(rig.call(nr::VMSPLICE, &[r, iov, 1, 0]), Ok(4));
    assert_eq!(rig.call(nr::VMSPLICE, &[a, iov, 1, 0]), Err(Errno::EBADF));
}
