//! Options of `SOL_SOCKET`.

use crate::testkit::{Fake, Rig};
use lkl_abi::socket::*;
use lkl_abi::{nr, Errno, Result};

struct Sock {
    rig: Rig,
    fd: u64,
}

impl Sock {
    fn new() -> Self {
        let rig = Rig::new();
        let (a, _b) = Fake::stream();
        let fd = rig.adopt(a);
        Self { rig, fd }
    }

    fn set(&self, name: i32, value: &[u8]) -> Result<u64> {
        let at = self.rig.mem.put(value);
        self.rig.call(nr::SETSOCKOPT, &[self.fd, SOL_SOCKET as u64, name as u64, at, value.len() as u64])
    }

    fn set_int(&self, name: i32, n: i32) -> Result<u64> {
        self.set(name, &n.to_ne_bytes())
    }

    fn get(&self, name: i32, room: u32) -> Result<Vec<u8>> {
        let at = self.rig.mem.zeros(room as usize);
        let len = self.rig.mem.put(&room.to_ne_bytes());
        self.rig.call(nr::GETSOCKOPT, &[self.fd, SOL_SOCKET as u64, name as u64, at, len])?;
        Ok(self.rig.mem.get(at, self.rig.mem.int(len) as usize))
    }

    fn int(&self, name: i32) -> i32 {
        i32::from_ne_bytes(self.get(name, 4).unwrap().try_into().unwrap())
    }
}

#[test]
fn what_a_new_socket_has() {
    let s = Sock::new();
    assert_eq!(s.int(SO_TYPE), SOCK_STREAM as i32);
    assert_eq!(s.int(SO_DOMAIN), 2);
    assert_eq!(s.int(SO_PROTOCOL), 6);
    assert_eq!(s.int(SO_ACCEPTCONN), 0);
    assert_eq!(s.int(SO_ERROR), 0);
    assert_eq!(s.int(SO_RCVLOWAT), 1);
    assert_eq!(s.get(SO_LINGER, 8).unwrap(), [0; 8]);
    assert_eq!(s.get(SO_COOKIE, 4), Err(Errno::EINVAL));
    assert_eq!(s.get(SO_COOKIE, 8).unwrap(), 77u64.to_ne_bytes());
    assert_eq!(s.get(SO_PEERCRED, 12).unwrap()[4..], [0xff; 8]);
    assert_eq!(s.get(SO_PEERNAME, 16).unwrap()[..4], [2, 0, 0, 99]);
    assert_eq!(s.get(SO_PEERNAME, 17), Err(Errno::EINVAL));
    assert_eq!(s.get(SO_MAX_PACING_RATE, 8).unwrap(), [0xff; 8]);
    assert_eq!(s.get(89, 4), Err(Errno::ENOPROTOOPT));
    assert_eq!(s.get(SO_PEERGROUPS, 8), Err(Errno::ENODATA));
    // Cut to the room there is.
    assert_eq!(s.get(SO_RCVTIMEO_OLD, 4).unwrap(), [0; 4]);
}

#[test]
fn buffers_are_doubled_and_bounded() {
    let s = Sock::new();
    s.set_int(SO_RCVBUF, 10_000).unwrap();
    assert_eq!(s.int(SO_RCVBUF), 20_000);
    s.set_int(SO_RCVBUF, 1).unwrap();
    assert_eq!(s.int(SO_RCVBUF), 2304);
    s.set_int(SO_SNDBUF, 1).unwrap();
    assert_eq!(s.int(SO_SNDBUF), 4608);
    s.set_int(SO_SNDBUF, i32::MAX).unwrap();
    assert_eq!(s.int(SO_SNDBUF), 2 * 212_992);
    s.set_int(SO_SNDBUFFORCE, 1_000_000).unwrap();
    assert_eq!(s.int(SO_SNDBUF), 2_000_000);
    assert_eq!(s.int(SO_BUF_LOCK), 3);
}

#[test]
fn flags_and_numbers() {
    let s = Sock::new();
    for name in [SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE, SO_DONTROUTE, SO_NO_CHECK] {
        assert_eq!(s.int(name), 0);
        s.set_int(name, 7).unwrap();
        assert_eq!(s.int(name), 1);
    }
    s.set_int(SO_RCVLOWAT, 0).unwrap();
    assert_eq!(s.int(SO_RCVLOWAT), 1);
    s.set_int(SO_RCVLOWAT, -1).unwrap();
    assert_eq!(s.int(SO_RCVLOWAT), i32::MAX);
    s.set_int(SO_TIMESTAMP_OLD, 1).unwrap();
    s.set_int(SO_TIMESTAMPNS_OLD, 1).unwrap();
    assert_eq!((s.int(SO_TIMESTAMP_OLD), s.int(SO_TIMESTAMPNS_OLD)), (0, 1));
    assert_eq!(s.set(SO_REUSEADDR, &[1, 0]), Err(Errno::EINVAL));
    assert_eq!(s.set(SO_LINGER, &[1, 0, 0, 0]), Err(Errno::EINVAL));
    s.set(SO_LINGER, &[1, 0, 0, 0, 9, 0, 0, 0]).unwrap();
    assert_eq!(s.get(SO_LINGER, 8).unwrap(), [1, 0, 0, 0, 9, 0, 0, 0]);
    assert_eq!(s.set_int(SO_TYPE, 1), Err(Errno::ENOPROTOOPT));
    assert_eq!(s.set_int(SO_PASSCRED, 1), Err(Errno::EOPNOTSUPP));
    assert_eq!(s.set(SO_BINDTODEVICE, b"nodev\0"), Err(Errno::ENODEV));
    s.set(SO_BINDTODEVICE, b"\0").unwrap();
    assert_eq!(s.get(SO_BINDTODEVICE, 16).unwrap(), []);
}

#[test]
fn time_outs() {
    let s = Sock::new();
    let time = |sec: i64, usec: i64| [sec.to_ne_bytes(), usec.to_ne_bytes()].concat();
    s.set(SO_RCVTIMEO_OLD, &time(3, 500_000)).unwrap();
    assert_eq!(s.get(SO_RCVTIMEO_NEW, 16).unwrap(), time(3, 500_000));
    assert_eq!(s.set(SO_SNDTIMEO_OLD, &time(0, 1_000_000)), Err(Errno::EDOM));
    assert_eq!(s.set(SO_SNDTIMEO_OLD, &[0; 8]), Err(Errno::EINVAL));
    s.set(SO_SNDTIMEO_OLD, &time(-1, 0)).unwrap();
    assert_eq!(s.get(SO_SNDTIMEO_OLD, 16).unwrap(), time(0, 0));
}

#[test]
fn a_pending_error_is_told_once() {
    let rig = Rig::new();
    let (a, _b) = Fake::stream();
    lkl_file::Socket::options(&*a).set_error(Errno::ECONNRESET);
    let s = Sock { fd: rig.adopt(a), rig };
    assert_eq!(s.int(SO_ERROR), 104);
    assert_eq!(s.int(SO_ERROR), 0);
}

#[test]
fn filters_are_checked_before_the_socket_sees_them() {
    let s = Sock::new();
    let fprog = |count: u16, at: u64| [u64::from(count).to_ne_bytes(), at.to_ne_bytes()].concat();
    assert_eq!(s.set(SO_ATTACH_FILTER, &fprog(0, 0)), Err(Errno::EINVAL));
    assert_eq!(s.set(SO_ATTACH_FILTER, &fprog(5000, 0)), Err(Errno::EINVAL));
    assert_eq!(s.set(SO_ATTACH_FILTER, &fprog(1, 8)), Err(Errno::EFAULT));
    let program = s.rig.mem.zeros(8);
    assert_eq!(s.set(SO_ATTACH_FILTER, &fprog(1, program)), Err(Errno::ENOPROTOOPT));
}

#[test]
fn other_levels_are_the_sockets_own() {
    let s = Sock::new();
    let at = s.rig.mem.zeros(4);
    let len = s.rig.mem.put(&4u32.to_ne_bytes());
    s.rig.call(nr::GETSOCKOPT, &[s.fd, 6, 1, at, len]).unwrap();
    assert_eq!(s.rig.mem.int(at), 7);
    assert_eq!(s.rig.call(nr::GETSOCKOPT, &[s.fd, 6, 2, at, len]), Err(Errno::ENOPROTOOPT));
    let negative = s.rig.mem.put(&(-1i32).to_ne_bytes());
    assert_eq!(s.rig.call(nr::GETSOCKOPT, &[s.fd, 6, 1, at, negative]), Err(Errno::EINVAL));
}
