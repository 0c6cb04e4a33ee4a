//! Two hosts and what tests do with their sockets.

use crate::{IfAddr, Net};
use core::time::Duration;
use lkl_abi::socket::{SOCK_DGRAM, SOCK_RAW};
use lkl_abi::Result;
use lkl_file::sockaddr::{AF_INET, AF_INET6, AF_PACKET};
use lkl_file::{Control, File, Iov, IovReader, IovWriter, RecvMsg, SendMsg, SockAddr, Socket};
use lkl_ops::sim::{Link, SimHost, Wire, World};
use lkl_ops::UserMem;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

/// The memory of a program.
pub(super) struct Mem(Mutex<Vec<u8>>);

impl UserMem for Mem {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        let mem = self.0.lock().unwrap();
        buf.copy_from_slice(mem.get(addr as usize..addr as usize + buf.len()).ok_or(lkl_abi::Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        let mut mem = self.0.lock().unwrap();
        mem.get_mut(addr as usize..addr as usize + data.len()).ok_or(lkl_abi::Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }
}

/// A socket, as a test uses it.
#[derive(Clone)]
pub(super) struct Sock(pub(super) Arc<dyn File>);

/// What was received.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) data: Vec<u8>,
    pub(super) from: Option<SockAddr>,
    pub(super) control: Vec<Control>,
    pub(super) flags: u32,
}

impl Sock {
    pub(super) fn s(&self) -> &dyn Socket {
        self.0.as_socket().unwrap()
    }

    pub(super) fn bind(&self, addr: &str) -> Result<()> {
        self.s().bind(&at(addr))
    }

    pub(super) fn connect(&self, addr: &str) -> Result<()> {
        self.s().connect(&at(addr))
    }

    pub(super) fn send_msg(
        &self,
        to: Option<SockAddr>,
        data: &[u8],
        control: Vec<Control>,
        flags: u32,
    ) -> Result<usize> {
        let mem = Mem(Mutex::new(data.to_vec()));
        let iov = [Iov { base: 0, len: data.len() as u64 }];
        let mut data = IovReader::new(&mem, &iov);
        self.s().sendmsg(&mut SendMsg { name: to, data: &mut data, control, flags })
    }

    pub(super) fn send_to(&self, to: &str, data: &[u8]) -> Result<usize> {
        self.send_msg(Some(at(to)), data, Vec::new(), 0)
    }

    pub(super) fn send(&self, data: &[u8]) -> Result<usize> {
        self.send_msg(None, data, Vec::new(), 0)
    }

    pub(super) fn recv_flags(&self, flags: u32) -> Result<Got> {
        let mem = Mem(Mutex::new(vec![0; 70_000]));
        let iov = [Iov { base: 0, len: 70_000 }];
        let mut data = IovWriter::new(&mem, &iov);
        let mut msg = RecvMsg { data: &mut data, flags, name: None, control: Vec::new(), out_flags: 0 };
        let n = self.s().recvmsg(&mut msg)?;
        let (from, control, flags) = (msg.name, msg.control, msg.out_flags);
        let data = mem.0.lock().unwrap()[..n].to_vec();
        Ok(Got { data, from, control, flags })
    }

    pub(super) fn recv(&self) -> Result<Got> {
        self.recv_flags(0)
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.s().local_addr().unwrap().inet().unwrap()
    }

    pub(super) fn set(&self, level: i32, name: i32, value: i32) -> Result<()> {
        self.s().setsockopt(level, name, &value.to_ne_bytes())
    }
}

/// An address with port, such as `10.0.0.1:80` or `[fe80::1%2]:80`.
pub(super) fn at(addr: &str) -> SockAddr {
    SockAddr::Inet(addr.parse().unwrap())
}

pub(super) fn ip(addr: &str) -> IpAddr {
    addr.parse().unwrap()
}

pub(super) fn udp4(net: &Arc<Net>) -> Sock {
    Sock(net.socket(AF_INET, SOCK_DGRAM, 0).unwrap())
}

pub(super) fn udp6(net: &Arc<Net>) -> Sock {
    Sock(net.socket(AF_INET6, SOCK_DGRAM, 0).unwrap())
}

pub(super) fn ping4(net: &Arc<Net>) -> Sock {
    Sock(net.socket(AF_INET, SOCK_DGRAM, 1).unwrap())
}

pub(super) fn ping6(net: &Arc<Net>) -> Sock {
    Sock(net.socket(AF_INET6, SOCK_DGRAM, 58).unwrap())
}

pub(super) fn raw(net: &Arc<Net>, family: u16, protocol: u32) -> Sock {
    Sock(net.socket(family, SOCK_RAW, protocol).unwrap())
}

pub(super) fn packet(net: &Arc<Net>) -> Sock {
    Sock(net.socket(AF_PACKET, SOCK_RAW, u32::from(3u16.to_be())).unwrap())
}

/// Two hosts on one wire: 10.0.0.1 and fd00::1, 10.0.0.2 and fd00::2.
pub(super) struct Pair {
    pub(super) world: World,
    pub(super) a: Arc<Net>,
    pub(super) b: Arc<Net>,
    pub(super) link: Link,
}

/// What a host is on, and its network.
type Bare = (Arc<SimHost>, Arc<Net>);

/// A host without devices.
fn bare_host(world: &World) -> Bare {
    let host = world.host();
    let net = Net::new(host.clone());
    let served = net.clone();
    host.serve(move || served.service());
    (host, net)
}

/// One host alone.
pub(super) fn alone() -> (World, Arc<Net>) {
    let world = World::new(1);
    let (_, net) = bare_host(&world);
    (world, net)
}

/// Two hosts without devices.
pub(super) fn two() -> (World, [Bare; 2]) {
    let world = World::new(1);
    let hosts = [bare_host(&world), bare_host(&world)];
    (world, hosts)
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::on(&Wire::default())
    }

    pub(super) fn on(wire: &Wire) -> Self {
        let p = Self::bare(wire);
        for (net, n) in [(&p.a, 1), (&p.b, 2)] {
            net.link_set_up(2, true).unwrap();
            net.addr_add(IfAddr::new(2, ip(&format!("10.0.0.{n}")), 24), false).unwrap();
            net.addr_add(IfAddr::new(2, ip(&format!("fd00::{n}")), 64), false).unwrap();
        }
        // Duplicate address detection takes its time.
        p.run(5_000);
        p
    }

    /// The same, with nothing configured.
    pub(super) fn bare(wire: &Wire) -> Self {
        let (world, [(ha, a), (hb, b)]) = two();
        let link = world.link(&ha, &hb, wire);
        assert_eq!(a.link_add(link.a.clone()), Ok(2));
        assert_eq!(b.link_add(link.b.clone()), Ok(2));
        Self { world, a, b, link }
    }

    pub(super) fn run(&self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
    }
}
