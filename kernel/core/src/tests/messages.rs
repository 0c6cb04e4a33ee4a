//! `sendmsg`, `recvmsg` and their kin: the structs in the caller's memory.

use crate::testkit::{Fake, Mem, Rig};
use lkl_abi::socket::{MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_WAITFORONE};
use lkl_abi::{nr, Errno};
use lkl_file::{Control, SockAddr};

struct Header {
    name: (u64, u32),
    iov: Vec<(u64, u64)>,
    control: (u64, u64),
}

impl Header {
    fn bytes(&self, mem: &Mem) -> Vec<u8> {
        let iov: Vec<u8> = self.iov.iter().flat_map(|(a, n)| [a.to_ne_bytes(), n.to_ne_bytes()]).flatten().collect();
        let iov = mem.put(&iov);
        let mut b = Vec::new();
        b.extend(self.name.0.to_ne_bytes());
        b.extend(u64::from(self.name.1).to_ne_bytes());
        b.extend(iov.to_ne_bytes());
        b.extend((self.iov.len() as u64).to_ne_bytes());
        b.extend(self.control.0.to_ne_bytes());
        b.extend(self.control.1.to_ne_bytes());
        b.extend([0xff; 8]);
        b
    }
}

fn cmsg(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let mut b = Vec::new();
    b.extend((16 + data.len() as u64).to_ne_bytes());
    b.extend(level.to_ne_bytes());
    b.extend(kind.to_ne_bytes());
    b.extend(data);
    b.resize(b.len().div_ceil(8) * 8, 0);
    b
}

#[test]
fn control_messages_go_in() {
    let rig = Rig::new();
    let (a, _b) = Fake::datagram();
    let fd = rig.adopt(a.clone());
    let buf = rig.mem.put(b"abcd");
    let mut control = cmsg(0, 8, &[1; 12]);
    control.extend(cmsg(41, 67, &[2; 4]));
    let name = rig.mem.put(&[2, 0, 0, 80, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let header = Header {
        name: (name, 16),
        iov: vec![(buf, 2), (buf + 2, 2)],
        control: (rig.mem.put(&control), control.len() as u64),
    };
    let msg = rig.mem.put(&header.bytes(&rig.mem));
    assert_eq!(rig.call(nr::SENDMSG, &[fd, msg, 0x4000]), Ok(4));
    let (to, control, flags) = a.sent.lock().unwrap().clone().unwrap();
    assert_eq!(to, Some(SockAddr::Inet("10.0.0.1:80".parse().unwrap())));
    assert_eq!(flags, 0x4000);
    let expected =
        [Control { level: 0, kind: 8, data: vec![1; 12] }, Control { level: 41, kind: 67, data: vec![2; 4] }];
    assert_eq!(control, expected);
}

#[test]
fn bad_headers_are_refused() {
    let rig = Rig::new();
    let (a, _b) = Fake::datagram();
    let fd = rig.adopt(a);
    let buf = rig.mem.zeros(64);
    let send = |header: &Header| rig.call(nr::SENDMSG, &[fd, rig.mem.put(&header.bytes(&rig.mem)), 0]);
    let short = rig.mem.put(&8u64.to_ne_bytes().repeat(3));
    assert_eq!(send(&Header { name: (0, 0), iov: vec![], control: (short, 24) }), Err(Errno::EINVAL));
    let long = rig.mem.put(&cmsg(1, 1, &[0; 8]));
    assert_eq!(send(&Header { name: (0, 0), iov: vec![], control: (long, 20) }), Err(Errno::EINVAL));
    assert_eq!(send(&Header { name: (0, 0), iov: vec![], control: (long, 1 << 40) }), Err(Errno::ENOBUFS));
    assert_eq!(send(&Header { name: (0, 0), iov: vec![(buf, 1); 1025], control: (0, 0) }), Err(Errno::EMSGSIZE));
    assert_eq!(send(&Header { name: (0, 0), iov: vec![(buf, u64::MAX)], control: (0, 0) }), Err(Errno::EINVAL));
    assert_eq!(send(&Header { name: (buf, u32::MAX), iov: vec![], control: (0, 0) }), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::SENDMSG, &[fd, 8, 0]), Err(Errno::EFAULT));
    assert_eq!(rig.call(nr::WRITEV, &[fd, buf, 1025]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::CONNECT, &[fd, buf, 129]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::CONNECT, &[fd, buf, 1]), Err(Errno::EINVAL));
}

#[test]
fn control_messages_come_out() {
    let rig = Rig::new();
    let (a, b) = Fake::datagram();
    let (a, fd) = (rig.adopt(a), rig.adopt(b.clone()));
    *b.control.lock().unwrap() =
        vec![Control { level: 0, kind: 2, data: vec![9; 4] }, Control { level: 1, kind: 29, data: vec![8; 16] }];
    let buf = rig.mem.zeros(64);
    let control = rig.mem.zeros(128);
    let name = rig.mem.zeros(128);
    for (room, used, cut) in [(128, 24 + 32, false), (44, 24 + 20, true), (30, 24, true), (10, 0, true)] {
        rig.call(nr::SENDTO, &[a, buf, 4, 0, 0, 0]).unwrap();
        let header = Header { name: (name, 128), iov: vec![(buf, 64)], control: (control, room) };
        let msg = rig.mem.put(&header.bytes(&rig.mem));
        assert_eq!(rig.call(nr::RECVMSG, &[fd, msg, u64::from(MSG_CMSG_CLOEXEC)]), Ok(4));
        assert_eq!(rig.mem.int(msg + 8), 16);
        assert_eq!(rig.mem.long(msg + 40), used, "room {room}");
        let flags = MSG_CMSG_CLOEXEC | if cut { MSG_CTRUNC } else { 0 };
        assert_eq!(rig.mem.int(msg + 48) as u32, flags);
    }
    assert_eq!(rig.mem.get(name, 4), [2, 0, 0, 99]);
    assert_eq!(rig.mem.long(control), 20);
}

#[test]
fn addresses_are_cut_and_their_length_told() {
    let rig = Rig::new();
    let (a, _b) = Fake::stream();
    let fd = rig.adopt(a);
    let name = rig.mem.put(&[0xee; 16]);
    let len = rig.mem.put(&4u32.to_ne_bytes());
    rig.call(nr::GETSOCKNAME, &[fd, name, len]).unwrap();
    assert_eq!(rig.mem.int(len), 16);
    assert_eq!(rig.mem.get(name, 5), [2, 0, 0, 99, 0xee]);
    let len = rig.mem.put(&(-1i32).to_ne_bytes());
    assert_eq!(rig.call(nr::GETPEERNAME, &[fd, name, len]), Err(Errno::EINVAL));
}

#[test]
fn a_stream_tells_no_address() {
    let rig = Rig::new();
    let (a, b) = Fake::stream();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    let buf = rig.mem.zeros(16);
    let len = rig.mem.put(&16u32.to_ne_bytes());
    rig.call(nr::WRITE, &[a, buf, 4]).unwrap();
    assert_eq!(rig.call(nr::RECVFROM, &[b, buf, 4, 0, buf, len]), Ok(4));
    assert_eq!(rig.mem.int(len), 0);
}

#[test]
fn several_messages_at_once() {
    let rig = Rig::new();
    let (a, b) = Fake::datagram();
    let (a, b) = (rig.adopt(a), rig.adopt(b));
    let buf = rig.mem.zeros(64);
    let headers = |n: u64| {
        let many: Vec<u8> = (0..n)
            .flat_map(|i| {
                let mut h = Header { name: (0, 0), iov: vec![(buf + i * 8, 8)], control: (0, 0) }.bytes(&rig.mem);
                h.extend([0; 8]);
                h
            })
            .collect();
        rig.mem.put(&many)
    };
    let msgs = headers(3);
    assert_eq!(rig.call(nr::SENDMMSG, &[a, msgs, 3, 0]), Ok(3));
    assert_eq!(rig.mem.int(msgs + 64 + 56), 4);
    let msgs = headers(5);
    // All that are there, and no waiting for the rest.
    assert_eq!(rig.call(nr::RECVMMSG, &[b, msgs, 5, u64::from(MSG_WAITFORONE), 0]), Ok(3));
    assert_eq!(rig.call(nr::RECVMMSG, &[b, msgs, 5, 0x40, 0]), Err(Errno::EAGAIN));
    // A fault in the middle tells what went before it.
    let mut two = rig.mem.get(headers(1), 64);
    two.extend([0xff; 64]);
    let two = rig.mem.put(&two);
    assert_eq!(rig.call(nr::SENDMMSG, &[a, two, 2, 0]), Ok(1));
}
