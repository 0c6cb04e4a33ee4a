//! Calls over the real stack, on `lo`.

use crate::testkit::{call, Rig};
use lkl_abi::epoll::{EPOLLIN, EPOLLRDHUP, EPOLL_CTL_ADD};
use lkl_abi::fcntl::{O_NONBLOCK, O_RDONLY};
use lkl_abi::socket::*;
use lkl_abi::{nr, Errno};
use std::thread;

fn v4(port: u16) -> Vec<u8> {
    let mut b = vec![2, 0];
    b.extend(port.to_be_bytes());
    b.extend([127, 0, 0, 1]);
    b.extend([0; 8]);
    b
}

fn v6(port: u16) -> Vec<u8> {
    let mut b = vec![10, 0];
    b.extend(port.to_be_bytes());
    b.extend([0; 4]);
    b.extend(std::net::Ipv6Addr::LOCALHOST.octets());
    b.extend([0; 4]);
    b
}

struct Net {
    rig: Rig,
}

impl Net {
    fn new() -> Self {
        Self { rig: Rig::new() }
    }

    fn socket(&self, family: u16, kind: u32) -> u64 {
        self.rig.call(nr::SOCKET, &[u64::from(family), u64::from(kind), 0]).unwrap()
    }

    fn name(&self, call: usize, fd: u64, addr: &[u8]) -> Result<u64, Errno> {
        let at = self.rig.mem.put(addr);
        self.rig.call(call, &[fd, at, addr.len() as u64])
    }

    fn send(&self, fd: u64, data: &[u8]) -> Result<u64, Errno> {
        let at = self.rig.mem.put(data);
        self.rig.call(nr::SENDTO, &[fd, at, data.len() as u64, u64::from(MSG_DONTWAIT), 0, 0])
    }

    fn recv(&self, fd: u64) -> Result<Vec<u8>, Errno> {
        let at = self.rig.mem.zeros(2048);
        let n = self.rig.call(nr::RECVFROM, &[fd, at, 2048, u64::from(MSG_DONTWAIT), 0, 0])?;
        Ok(self.rig.mem.get(at, n as usize))
    }
}

#[test]
fn udp_of_both_versions() {
    for (family, addr) in [(AF_INET, v4(5000)), (AF_INET6, v6(5000))] {
        let net = Net::new();
        let (a, b) = (net.socket(family, SOCK_DGRAM), net.socket(family, SOCK_DGRAM));
        net.name(nr::BIND, a, &addr).unwrap();
        assert_eq!(net.name(nr::BIND, b, &addr), Err(Errno::EADDRINUSE));
        net.name(nr::CONNECT, b, &addr).unwrap();
        assert_eq!(net.recv(a), Err(Errno::EAGAIN));
        net.send(b, b"ping").unwrap();
        assert_eq!(net.recv(a).unwrap(), b"ping");
    }
}

#[test]
fn tcp_of_both_versions() {
    for (family, addr) in [(AF_INET, v4(80)), (AF_INET6, v6(80))] {
        let net = Net::new();
        let listener = net.socket(family, SOCK_STREAM);
        net.name(nr::BIND, listener, &addr).unwrap();
        net.rig.call(nr::LISTEN, &[listener, 5]).unwrap();
        let client = net.socket(family, SOCK_STREAM);
        net.name(nr::CONNECT, client, &addr).unwrap();
        let server = net.rig.call(nr::ACCEPT4, &[listener, 0, 0, u64::from(SOCK_NONBLOCK)]).unwrap();
        let epfd = net.rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
        let event = [&(EPOLLIN | EPOLLRDHUP).to_ne_bytes()[..], &[0; 4], &9u64.to_ne_bytes()].concat();
        let event = net.rig.mem.put(&event);
        net.rig.call(nr::EPOLL_CTL, &[epfd, u64::from(EPOLL_CTL_ADD), server, event]).unwrap();
        let ready = || net.rig.epoll_ready(epfd, 4);
        assert_eq!(ready(), []);
        net.send(client, b"hello").unwrap();
        assert_eq!(ready(), [(EPOLLIN, 9)]);
        assert_eq!(net.recv(server).unwrap(), b"hello");
        assert_eq!(ready(), []);
        net.rig.call(nr::SHUTDOWN, &[client, u64::from(SHUT_WR)]).unwrap();
        assert_eq!(ready(), [(EPOLLIN | EPOLLRDHUP, 9)]);
        assert_eq!(net.recv(server).unwrap(), b"");
        net.send(server, b"bye").unwrap();
        net.rig.call(nr::CLOSE, &[server]).unwrap();
        assert_eq!(net.recv(client).unwrap(), b"bye");
        assert_eq!(net.recv(client).unwrap(), b"");
    }
}

/// The payload of a segment to ourselves goes from queue to queue as it is; whoever watches sees the segment in one piece.
#[test]
fn segments_are_seen_whole() {
    for (family, addr) in [(AF_INET, v4(80)), (AF_INET6, v6(80))] {
        let net = Net::new();
        let listener = net.socket(family, SOCK_STREAM);
        net.name(nr::BIND, listener, &addr).unwrap();
        net.rig.call(nr::LISTEN, &[listener, 5]).unwrap();
        let client = net.socket(family, SOCK_STREAM);
        net.name(nr::CONNECT, client, &addr).unwrap();
        let server = net.rig.call(nr::ACCEPT4, &[listener, 0, 0, u64::from(SOCK_NONBLOCK)]).unwrap();
        let through = |data: &[u8]| {
            net.send(client, data).unwrap();
            assert_eq!(net.recv(server).unwrap(), data);
        };
        through(b"nobody watches");
        for (family, protocol) in [(family, 6), (AF_PACKET, u32::from(3u16.to_be()))] {
            let args = [u64::from(family), u64::from(SOCK_RAW), u64::from(protocol)];
            let watcher = net.rig.call(nr::SOCKET, &args).unwrap();
            through(b"watched");
            let mut seen = Vec::new();
            while let Ok(packet) = net.recv(watcher) {
                seen.push(packet);
            }
            assert!(seen.iter().any(|p| p.ends_with(b"watched")), "{family}: {seen:?}");
            net.rig.call(nr::CLOSE, &[watcher]).unwrap();
        }
        through(b"nobody watches any more");
    }
}

#[test]
fn nobody_listens() {
    let net = Net::new();
    let fd = net.socket(AF_INET, SOCK_STREAM);
    assert_eq!(net.name(nr::CONNECT, fd, &v4(81)), Err(Errno::ECONNREFUSED));
    let fd = net.socket(AF_INET, SOCK_STREAM | O_NONBLOCK);
    assert!(matches!(net.name(nr::CONNECT, fd, &v4(81)), Err(Errno::ECONNREFUSED | Errno::EINPROGRESS)));
}

#[test]
fn a_megabyte_between_two_threads() {
    const SIZE: usize = 300_000;
    let net = Net::new();
    let listener = net.socket(AF_INET, SOCK_STREAM);
    net.name(nr::BIND, listener, &v4(80)).unwrap();
    net.rig.call(nr::LISTEN, &[listener, 5]).unwrap();
    let client = net.socket(AF_INET, SOCK_STREAM);
    net.name(nr::CONNECT, client, &v4(80)).unwrap();
    let server = net.rig.call(nr::ACCEPT, &[listener, 0, 0]).unwrap();
    let data: Vec<u8> = (0..SIZE).map(|n| (n * 7 + n / 251) as u8).collect();
    let from = net.rig.mem.put(&data);
    let to = net.rig.mem.zeros(SIZE);
    let (task, _) = net.rig.thread();
    let kernel = &net.rig.kernel;
    thread::scope(|s| {
        s.spawn(|| assert_eq!(call(kernel, &task, nr::WRITE, &[client, from, SIZE as u64]), Ok(SIZE as u64)));
        let args = [server, to, SIZE as u64, u64::from(MSG_WAITALL), 0, 0];
        assert_eq!(net.rig.call(nr::RECVFROM, &args), Ok(SIZE as u64));
    });
    assert!(net.rig.mem.get(to, SIZE) == data);
}

#[test]
fn a_socket_is_bound_to_a_device() {
    let net = Net::new();
    let fd = net.socket(AF_INET, SOCK_DGRAM);
    let name = net.rig.mem.put(b"lo\0");
    let set = [fd, SOL_SOCKET as u64, SO_BINDTODEVICE as u64, name, 3];
    net.rig.call(nr::SETSOCKOPT, &set).unwrap();
    let (at, len) = (net.rig.mem.zeros(16), net.rig.mem.put(&16u32.to_ne_bytes()));
    net.rig.call(nr::GETSOCKOPT, &[fd, SOL_SOCKET as u64, SO_BINDTODEVICE as u64, at, len]).unwrap();
    assert_eq!(net.rig.mem.get(at, 3), b"lo\0");
    assert_eq!(net.rig.mem.int(len), 3);
}

#[test]
fn files_of_proc() {
    let net = Net::new();
    for path in [
        "/proc/net/dev",
        "/proc/self/net/dev",
        "/proc/100/net/dev",
        "/proc/thread-self/net/dev",
        "/proc//./net/dev_snmp6/../dev",
    ] {
        let at = net.rig.mem.put(format!("{path}\0").as_bytes());
        let fd = net.rig.call(nr::OPENAT, &[-100i64 as u64, at, u64::from(O_RDONLY)]).unwrap();
        let buf = net.rig.mem.zeros(2048);
        let n = net.rig.call(nr::READ, &[fd, buf, 2048]).unwrap();
        let text = String::from_utf8(net.rig.mem.get(buf, n as usize)).unwrap();
        assert!(text.contains("lo:"), "{path}: {text}");
        assert_eq!(net.rig.call(nr::READ, &[fd, buf, 2048]), Ok(0));
        assert_eq!(net.rig.call(nr::LSEEK, &[fd, 0, 0]), Ok(0));
        assert_eq!(net.rig.call(nr::READ, &[fd, buf, 2048]), Ok(n));
    }
}

#[test]
fn netlink_answers() {
    let net = Net::new();
    let fd = net.socket(AF_NETLINK, SOCK_RAW);
    // RTM_GETLINK with NLM_F_REQUEST | NLM_F_DUMP.
    let mut request = vec![32, 0, 0, 0, 18, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0];
    request.extend([0; 16]);
    net.send(fd, &request).unwrap();
    let answer = net.recv(fd).unwrap();
    assert_eq!(answer[4..6], 16u16.to_ne_bytes());
    assert!(answer.windows(3).any(|w| w == b"lo\0"));
}

#[test]
fn a_datagram_wakes_its_reader() {
    let net = Net::new();
    let (a, b) = (net.socket(AF_INET, SOCK_DGRAM), net.socket(AF_INET, SOCK_DGRAM));
    net.name(nr::BIND, a, &v4(5000)).unwrap();
    net.name(nr::CONNECT, b, &v4(5000)).unwrap();
    let buf = net.rig.mem.zeros(64);
    let (task, bed) = net.rig.thread();
    let kernel = &net.rig.kernel;
    thread::scope(|s| {
        let reader = s.spawn(|| call(kernel, &task, nr::READ, &[a, buf, 64]));
        bed.wait_asleep(1);
        net.send(b, b"abc").unwrap();
        assert_eq!(reader.join().unwrap(), Ok(3));
    });
    assert_eq!(net.rig.mem.get(buf, 3), b"abc");
}

#[test]
fn a_refused_datagram_is_told() {
    let net = Net::new();
    for (family, addr) in [(AF_INET, v4(5001)), (AF_INET6, v6(5001))] {
        let fd = net.socket(family, SOCK_DGRAM);
        net.name(nr::CONNECT, fd, &addr).unwrap();
        net.send(fd, b"abc").unwrap();
        assert_eq!(net.recv(fd), Err(Errno::ECONNREFUSED));
        assert_eq!(net.recv(fd), Err(Errno::EAGAIN));
    }
}

#[test]
fn a_ping_is_answered() {
    let net = Net::new();
    let fd = net.rig.call(nr::SOCKET, &[2, u64::from(SOCK_DGRAM), 1]).unwrap();
    net.name(nr::CONNECT, fd, &v4(0)).unwrap();
    net.send(fd, &[8, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4]).unwrap();
    let answer = net.recv(fd).unwrap();
    assert_eq!((answer[0], &answer[6..]), (0, &[0, 1, 1, 2, 3, 4][..]));
}
