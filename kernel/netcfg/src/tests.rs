//! Round trips over a namespace with `lo` and one simulated Ethernet device.

mod diag;
mod genl;
mod malformed;
mod rtnl;
mod socket;

use crate::netlink::wire::{Header, To, Writer};
use crate::{netlink_socket, Hub};
use lkl_abi::netlink::{NLMSG_DONE, NLMSG_ERROR, NLMSG_HDRLEN, NLM_F_DUMP, NLM_F_REQUEST};
use lkl_abi::socket::{MSG_DONTWAIT, SOCK_RAW, SOL_NETLINK};
use lkl_abi::{Errno, Result};
use lkl_file::{File, Iov, IovReader, IovWriter, RecvMsg, SendMsg, SockAddr, Socket};
use lkl_inet::Net;
use lkl_ops::sim::{SimHost, Wire, World};
use lkl_ops::UserMem;
use std::sync::{Arc, Mutex};

/// Memory of a program: bytes from address 0x1000 on.
pub(crate) struct Mem(Mutex<Vec<u8>>);

pub(crate) const BASE: u64 = 0x1000;

impl Mem {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Mutex::new(bytes.to_vec()))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

fn range(addr: u64, len: usize, size: usize) -> Result<core::ops::Range<usize>> {
    let at = addr.checked_sub(BASE).and_then(|a| usize::try_from(a).ok()).ok_or(Errno::EFAULT)?;
    let end = at.checked_add(len).filter(|e| *e <= size).ok_or(Errno::EFAULT)?;
    Ok(at..end)
}

impl UserMem for Mem {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        let mem = self.0.lock().unwrap();
        buf.copy_from_slice(&mem[range(addr, buf.len(), mem.len())?]);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        let mut mem = self.0.lock().unwrap();
        let r = range(addr, data.len(), mem.len())?;
        mem[r].copy_from_slice(data);
        Ok(())
    }
}

pub(crate) struct Kit {
    pub(crate) _world: World,
    pub(crate) _host: Arc<SimHost>,
    pub(crate) net: Arc<Net>,
    pub(crate) hub: Arc<Hub>,
}

/// A namespace with `lo` and `eth0` (index 2), which is up and has 10.0.0.1/24 and fd00::1/64.
pub(crate) fn kit() -> Kit {
    let world = World::new(1);
    let host = world.host();
    let link = world.stub_link(&host, &Wire::default());
    let net = Net::new(host.clone());
    let hub = Hub::new(&net);
    let index = net.link_add(link.a.clone()).unwrap();
    assert_eq!(index, 2);
    net.link_set_up(2, true).unwrap();
    for (ip, len) in [("10.0.0.1", 24), ("fd00::1", 64)] {
        let mut a = lkl_inet::IfAddr::new(2, ip.parse().unwrap(), len);
        a.flags |= lkl_abi::rtnetlink::IFA_F_NODAD;
        net.addr_add(a, false).unwrap();
    }
    Kit { _world: world, _host: host, net, hub }
}

pub(crate) struct Client {
    pub(crate) file: Arc<dyn File>,
}

/// One message of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Of an acknowledgement.
    pub(crate) fn errno(&self) -> i32 {
        assert_eq!(self.header.kind, NLMSG_ERROR);
        -i32::from_ne_bytes(self.body[..4].try_into().unwrap())
    }

    /// The whole message, for a foreign reader.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        let h = self.header;
        w.message(h.kind, To { seq: h.seq, pid: h.pid, flags: h.flags }, |w| w.bytes(&self.body));
        w.into_bytes()
    }
}

pub(crate) fn split(mut bytes: &[u8]) -> Vec<Message> {
    let mut all = Vec::new();
    while let Some(header) = Header::parse(bytes) {
        let len = header.len as usize;
        all.push(Message { header, body: bytes[NLMSG_HDRLEN..len].to_vec() });
        bytes = bytes.get((len + 3) & !3..).unwrap_or_default();
    }
    all
}

pub(crate) fn request(kind: u16, flags: u16, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    w.message(kind, To { seq: 7, pid: 0, flags: flags | NLM_F_REQUEST }, body);
    w.into_bytes()
}

impl Kit {
    pub(crate) fn client(&self, protocol: u32) -> Client {
        Client { file: netlink_socket(&self.net, &self.hub, SOCK_RAW, protocol).unwrap() }
    }
}

impl Client {
    pub(crate) fn socket(&self) -> &dyn Socket {
        self.file.as_socket().unwrap()
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<usize> {
        let mem = Mem::new(bytes);
        let iov = [Iov { base: BASE, len: bytes.len() as u64 }];
        let mut data = IovReader::new(&mem, &iov);
        let name = Some(SockAddr::Netlink { pid: 0, groups: 0 });
        self.socket().sendmsg(&mut SendMsg { name, data: &mut data, control: Vec::new(), flags: 0 })
    }

    /// One datagram, its `msg_flags`, and what `recvmsg` answered.
    pub(crate) fn receive(&self, room: usize, flags: u32) -> Result<(Vec<u8>, u32, usize)> {
        let mem = Mem::new(&vec![0; room]);
        let iov = [Iov { base: BASE, len: room as u64 }];
        let mut data = IovWriter::new(&mem, &iov);
        let mut msg =
            RecvMsg { data: &mut data, flags: flags | MSG_DONTWAIT, name: None, control: Vec::new(), out_flags: 0 };
        let n = self.socket().recvmsg(&mut msg)?;
        assert!(matches!(msg.name, Some(SockAddr::Netlink { pid: 0, .. })));
        let out_flags = msg.out_flags;
        let mut bytes = mem.bytes();
        bytes.truncate(n);
        Ok((bytes, out_flags, n))
    }

    /// All messages that are there.
    pub(crate) fn drain(&self) -> Vec<Message> {
        let mut all = Vec::new();
        while let Ok((bytes, _, _)) = self.receive(32_768, 0) {
            all.extend(split(&bytes));
        }
        all
    }

    pub(crate) fn ask(&self, bytes: &[u8]) -> Vec<Message> {
        self.send(bytes).unwrap();
        self.drain()
    }

    /// The messages of a dump, without its end.
    pub(crate) fn dump(&self, kind: u16, body: impl FnOnce(&mut Writer)) -> Vec<Message> {
        let mut all = self.ask(&request(kind, NLM_F_DUMP, body));
        let end = all.pop().unwrap();
        assert_eq!(end.header.kind, NLMSG_DONE, "{end:?}");
        assert!(all.iter().all(|m| m.header.seq == 7 && m.header.flags & 2 != 0));
        all
    }

    /// The errno of the one acknowledgement.
    pub(crate) fn ack(&self, bytes: &[u8]) -> i32 {
        let all = self.ask(bytes);
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].errno()
    }

    pub(crate) fn set(&self, option: i32) {
        self.socket().setsockopt(SOL_NETLINK, option, &1u32.to_ne_bytes()).unwrap();
    }
}
