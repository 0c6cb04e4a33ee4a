//! Packet sockets: frames as they go over a link (`man 7 packet`).
//!
//! Every frame that a link sends or receives is shown to the sockets that listen to its EtherType, or to all
//! ([`Net::packet_tap`]). Rings in shared memory are not there: programs fall back to `recvmsg`.

use crate::link::Link;
use crate::tx::PacketType;
use crate::Net;
use bytes::Bytes;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use lkl_abi::if_packet::*;
use lkl_abi::socket::{
    MSG_PEEK, MSG_TRUNC, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET, SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER,
};
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::AF_PACKET;
use lkl_file::{
    Control, File, IovReader, IovWriter, LinkAddr, RecvMsg, SendMsg, Shutdown, SockAddr, SockOptions, Socket,
};
use lkl_net::bpf::{Ancillary, Program};
use lkl_net::wire::ethernet;
use lkl_ops::Checked;
use lkl_sync::{Events, Mutex, Rank, RwLock, WaitQueue};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

/// What a frame costs in a receive queue beside its bytes.
const OVERHEAD: usize = 256;

/// A frame that passes.
#[derive(Clone, Debug)]
pub(crate) struct TapFrame<'a> {
    /// From the link header on.
    pub(crate) frame: &'a Bytes,
    /// Where the network header stands.
    pub(crate) network_offset: usize,
    /// EtherType.
    pub(crate) ethertype: u16,
    /// To whom it went.
    pub(crate) packet_type: PacketType,
    /// Its transport checksum.
    pub(crate) checksum: Checked,
}

/// The packet sockets, by EtherType in host order.
#[derive(Default)]
pub(crate) struct PacketTable {
    sockets: TableLock,
    /// Number of entries, read without the lock.
    len: AtomicUsize,
}

type ByProtocol = HashMap<u16, Vec<Weak<PacketSocket>>>;

struct TableLock(RwLock<ByProtocol>);

impl Default for TableLock {
    fn default() -> Self {
        Self(RwLock::new(Rank::Demux, ByProtocol::new()))
    }
}

struct Received {
    data: Bytes,
    addr: LinkAddr,
    time: core::time::Duration,
    /// Length on the link, before a filter cut it.
    original_len: usize,
    network_offset: usize,
    checksum: Checked,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Received>,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Bound {
    /// EtherType in host order; 0 for none.
    protocol: u16,
    /// Link, 0 for all.
    ifindex: u32,
}

#[derive(Clone, PartialEq, Eq)]
struct Member {
    ifindex: u32,
    kind: u16,
    addr: Vec<u8>,
}

/// A socket of `AF_PACKET`.
pub(crate) struct PacketSocket {
    me: Weak<Self>,
    net: Arc<Net>,
    ino: u64,
    kind: u32,
    options: SockOptions,
    waiters: WaitQueue,
    bound: Mutex<Bound>,
    members: Mutex<Vec<Member>>,
    filter: RwLock<Option<Arc<Program>>>,
    filter_locked: AtomicBool,
    queue: Mutex<Queue>,
    auxdata: AtomicBool,
    ignore_outgoing: AtomicBool,
    orig_dev: AtomicBool,
    packets: AtomicU32,
    drops: AtomicU32,
    /// Frames ever taken, for `/proc/net/packet`.
    taken: AtomicU64,
}

/// What sock_diag and `/proc/net/packet` show of a packet socket.
#[derive(Clone, Debug)]
pub struct PacketSockInfo {
    /// Inode.
    pub ino: u64,
    /// `SOCK_*`
    pub kind: u32,
    /// EtherType in host order.
    pub protocol: u16,
    /// Link, 0 for all.
    pub ifindex: u32,
    /// Bytes in the receive queue.
    pub rmem: usize,
}

/// A new socket.
///
/// # Errors
/// `ESOCKTNOSUPPORT`
pub(crate) fn socket(net: &Arc<Net>, kind: u32, protocol: u32) -> Result<Arc<dyn File>> {
    if kind != SOCK_RAW && kind != SOCK_DGRAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    let protocol = u16::from_be(protocol as u16);
    let socket = Arc::new_cyclic(|me| PacketSocket {
        me: me.clone(),
        net: net.clone(),
        ino: net.new_ino(),
        kind,
        options: SockOptions::new(SockOptions::BUFFER_DEFAULT, SockOptions::BUFFER_DEFAULT),
        waiters: WaitQueue::new(),
        bound: Mutex::new(Rank::Socket, Bound::default()),
        members: Mutex::new(Rank::Socket, Vec::new()),
        filter: RwLock::new(Rank::Queue, None),
        filter_locked: AtomicBool::new(false),
        queue: Mutex::new(Rank::Queue, Queue::default()),
        auxdata: AtomicBool::new(false),
        ignore_outgoing: AtomicBool::new(false),
        orig_dev: AtomicBool::new(false),
        packets: AtomicU32::new(0),
        drops: AtomicU32::new(0),
        taken: AtomicU64::new(0),
    });
    socket.hook(Bound { protocol, ifindex: 0 });
    Ok(socket)
}

impl Net {
    /// Shows a frame to the packet sockets.
    pub(crate) fn packet_tap(&self, link: &Link, tap: &TapFrame<'_>) {
        if self.packet.len.load(Relaxed) == 0 {
            return;
        }
        let listeners: Vec<Arc<PacketSocket>> = {
            let table = self.packet.sockets.0.read();
            // Sockets for one EtherType see only what comes in.
            let own = (tap.packet_type != PacketType::Outgoing).then(|| table.get(&tap.ethertype)).flatten();
            own.into_iter().chain(table.get(&ETH_P_ALL)).flatten().filter_map(Weak::upgrade).collect()
        };
        for socket in listeners {
            socket.take(link, tap);
        }
    }

    /// Is anybody listening?
    pub(crate) fn has_packet_taps(&self) -> bool {
        self.packet.len.load(Relaxed) > 0
    }

    /// All packet sockets that listen.
    pub fn packet_sockets(&self) -> Vec<PacketSockInfo> {
        let all: Vec<Arc<PacketSocket>> =
            self.packet.sockets.0.read().values().flatten().filter_map(Weak::upgrade).collect();
        all.iter()
            .map(|s| {
                let bound = *s.bound.lock();
                let rmem = s.queue.lock().bytes;
                PacketSockInfo { ino: s.ino, kind: s.kind, protocol: bound.protocol, ifindex: bound.ifindex, rmem }
            })
            .collect()
    }
}

impl PacketSocket {
    /// Has the socket listen as `new` says.
    fn hook(&self, new: Bound) {
        let old = core::mem::replace(&mut *self.bound.lock(), new);
        let mut table = self.net.packet.sockets.0.write();
        if let Some(list) = table.get_mut(&old.protocol) {
            list.retain(|s| !core::ptr::eq(s.as_ptr(), self));
            if list.is_empty() {
                table.remove(&old.protocol);
            }
        }
        if new.protocol != 0 {
            table.entry(new.protocol).or_default().push(self.me.clone());
        }
        self.net.packet.len.store(table.values().map(Vec::len).sum(), Relaxed);
    }

    fn take(&self, link: &Link, tap: &TapFrame<'_>) {
        let bound = *self.bound.lock();
        if bound.ifindex != 0 && bound.ifindex != link.index {
            return;
        }
        let outgoing = tap.packet_type == PacketType::Outgoing;
        if outgoing && self.ignore_outgoing.load(Relaxed) {
            return;
        }
        let start = if self.kind == SOCK_RAW { 0 } else { tap.network_offset };
        let Some(seen) = tap.frame.get(start..) else { return };
        let mut keep = seen.len();
        if let Some(filter) = self.filter.read().clone() {
            let extra = Ancillary {
                protocol: tap.ethertype,
                pkttype: tap.packet_type as u8,
                ifindex: link.index,
                hatype: link.hatype(),
                network_offset: tap.network_offset - start,
                ..Ancillary::default()
            };
            keep = keep.min(filter.run(seen, &extra) as usize);
            if keep == 0 {
                return;
            }
        }
        let limit = self.options.rcvbuf.load(Relaxed) as usize;
        let mut q = self.queue.lock();
        if q.bytes + keep + OVERHEAD > limit {
            drop(q);
            self.drops.fetch_add(1, Relaxed);
            self.options.drops.fetch_add(1, Relaxed);
            return;
        }
        let mut addr = [0; 8];
        let source = ethernet::Header::parse(tap.frame).map(|h| h.src).unwrap_or_default();
        addr[..6].copy_from_slice(&source);
        q.bytes += keep + OVERHEAD;
        q.frames.push_back(Received {
            // A copy: a small frame must not hold on to the large buffer that it was read into.
            data: Bytes::copy_from_slice(&seen[..keep]),
            addr: LinkAddr {
                protocol: tap.ethertype,
                ifindex: link.index,
                hatype: link.hatype(),
                pkttype: tap.packet_type as u8,
                halen: 6,
                addr,
            },
            time: self.net.host().realtime(),
            original_len: seen.len(),
            network_offset: tap.network_offset - start,
            checksum: tap.checksum,
        });
        drop(q);
        self.packets.fetch_add(1, Relaxed);
        self.taken.fetch_add(1, Relaxed);
        self.waiters.wake(Events::READ);
    }

    /// Adds or drops a membership (`struct packet_mreq`).
    fn membership(&self, value: &[u8], add: bool) -> Result<()> {
        let head: [u8; 8] = value.get(..8).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
        let ifindex = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let len = usize::from(u16::from_ne_bytes([head[6], head[7]])).min(8);
        let addr = value.get(8..8 + len).ok_or(Errno::EINVAL)?.to_vec();
        if kind > PACKET_MR_UNICAST {
            return Err(Errno::EINVAL);
        }
        let link = self.net.link_by_index(ifindex)?;
        let member = Member { ifindex, kind, addr };
        let mut members = self.members.lock();
        let there = members.iter().position(|m| *m == member);
        match (add, there) {
            (true, None) => {
                members.push(member);
                count(&link, kind, true);
            }
            (false, Some(at)) => {
                members.remove(at);
                count(&link, kind, false);
            }
            (true, Some(_)) => {}
            (false, None) => return Err(Errno::EADDRNOTAVAIL),
        }
        Ok(())
    }

    fn destination(&self, name: Option<SockAddr>) -> Result<(Arc<Link>, u16, [u8; 6])> {
        let bound = *self.bound.lock();
        let (ifindex, protocol, mac) = match name {
            Some(SockAddr::Link(a)) => {
                let [b0, b1, b2, b3, b4, b5, ..] = a.addr;
                if self.kind == SOCK_DGRAM && a.halen < 6 {
                    return Err(Errno::EINVAL);
                }
                (a.ifindex, a.protocol, [b0, b1, b2, b3, b4, b5])
            }
            Some(_) => return Err(Errno::EINVAL),
            None if self.kind == SOCK_DGRAM => return Err(Errno::EDESTADDRREQ),
            None => (bound.ifindex, bound.protocol, [0; 6]),
        };
        let link = self.net.link_by_index(ifindex).map_err(|_| Errno::ENXIO)?;
        if !link.is_up() {
            return Err(Errno::ENETDOWN);
        }
        Ok((link, protocol, mac))
    }
}

fn count(link: &Link, kind: u16, add: bool) {
    let counter = match kind {
        PACKET_MR_PROMISC => &link.promiscuity,
        PACKET_MR_ALLMULTI => &link.allmulti,
        _ => return,
    };
    if add {
        counter.fetch_add(1, Relaxed);
    } else {
        counter.fetch_sub(1, Relaxed);
    }
}

fn flag(value: &[u8]) -> Result<bool> {
    let v: [u8; 4] = value.get(..4).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
    Ok(i32::from_ne_bytes(v) != 0)
}

impl File for PacketSocket {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        let mut data = *out;
        let mut msg = RecvMsg { data: &mut data, flags: 0, name: None, control: Vec::new(), out_flags: 0 };
        self.recvmsg(&mut msg)
    }

    fn write(&self, data: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        let mut data = *data;
        self.sendmsg(&mut SendMsg { name: None, data: &mut data, control: Vec::new(), flags: 0 })
    }

    fn poll(&self) -> Events {
        let mut ready = Events::WRITE;
        if !self.queue.lock().frames.is_empty() {
            ready |= Events::READ;
        }
        if self.options.error.load(Relaxed) != 0 {
            ready |= Events::ERR;
        }
        ready
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.waiters
    }

    fn mode(&self) -> u32 {
        lkl_abi::stat::S_IFSOCK | 0o777
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn release(&self) {
        self.hook(Bound::default());
        let gone = core::mem::take(&mut *self.members.lock());
        for m in gone {
            if let Ok(link) = self.net.link_by_index(m.ifindex) {
                count(&link, m.kind, false);
            }
        }
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl Socket for PacketSocket {
    fn family(&self) -> u16 {
        AF_PACKET
    }

    fn kind(&self) -> u32 {
        self.kind
    }

    fn protocol(&self) -> u32 {
        u32::from(self.bound.lock().protocol.to_be())
    }

    fn options(&self) -> &SockOptions {
        &self.options
    }

    fn bind(&self, addr: &SockAddr) -> Result<()> {
        let SockAddr::Link(a) = addr else { return Err(Errno::EINVAL) };
        if a.ifindex != 0 {
            self.net.link_by_index(a.ifindex)?;
        }
        let protocol = if a.protocol == 0 { self.bound.lock().protocol } else { a.protocol };
        self.hook(Bound { protocol, ifindex: a.ifindex });
        Ok(())
    }

    fn connect(&self, _: &SockAddr) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn listen(&self, _: i32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SockAddr)> {
        Err(Errno::EOPNOTSUPP)
    }

    fn sendmsg(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        let (link, protocol, mac) = self.destination(msg.name)?;
        let len = msg.data.remaining();
        let room = link.mtu() as usize + if self.kind == SOCK_RAW { ethernet::HEADER_LEN + 4 } else { 0 };
        if len > room {
            return Err(Errno::EMSGSIZE);
        }
        let mut frame = Vec::with_capacity(ethernet::HEADER_LEN + len);
        if self.kind == SOCK_DGRAM {
            ethernet::Header { dst: mac, src: link.mac(), ethertype: protocol }.emit(&mut frame);
        }
        frame.extend_from_slice(&msg.data.read_vec(len)?);
        if frame.len() < ethernet::HEADER_LEN {
            return Err(Errno::EINVAL);
        }
        self.net.send_raw_frame(&link, Bytes::from(frame))?;
        Ok(len)
    }

    fn recvmsg(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        self.options.take_error()?;
        let mut q = self.queue.lock();
        let received = if msg.flags & MSG_PEEK != 0 {
            let front = q.frames.front().ok_or(Errno::EAGAIN)?;
            Received { data: front.data.clone(), ..*front }
        } else {
            let front = q.frames.pop_front().ok_or(Errno::EAGAIN)?;
            q.bytes -= front.data.len() + OVERHEAD;
            front
        };
        drop(q);
        let copied = msg.data.write(&received.data)?;
        if copied < received.data.len() {
            msg.out_flags |= MSG_TRUNC;
        }
        msg.name = Some(SockAddr::Link(received.addr));
        if self.auxdata.load(Relaxed) {
            // `struct tpacket_auxdata`
            let mut aux = Vec::with_capacity(20);
            let checksum = match received.checksum {
                Checked::No => 0,
                Checked::Valid => TP_STATUS_CSUM_VALID,
                Checked::Unfilled => TP_STATUS_CSUMNOTREADY,
            };
            let status = TP_STATUS_USER | checksum;
            aux.extend_from_slice(&status.to_ne_bytes());
            aux.extend_from_slice(&(received.original_len as u32).to_ne_bytes());
            aux.extend_from_slice(&(received.data.len() as u32).to_ne_bytes());
            aux.extend_from_slice(&0u16.to_ne_bytes());
            aux.extend_from_slice(&(received.network_offset as u16).to_ne_bytes());
            aux.extend_from_slice(&[0; 4]);
            msg.control.push(Control { level: SOL_PACKET, kind: PACKET_AUXDATA, data: aux });
        }
        crate::timestamp::push(&self.options, received.time, false, &mut msg.control);
        Ok(if msg.flags & MSG_TRUNC != 0 { received.data.len() } else { copied })
    }

    fn shutdown(&self, _: Shutdown) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local_addr(&self) -> Result<SockAddr> {
        let bound = *self.bound.lock();
        let mut a = LinkAddr { protocol: bound.protocol, ifindex: bound.ifindex, ..LinkAddr::default() };
        if let Ok(link) = self.net.link_by_index(bound.ifindex) {
            a.hatype = link.hatype();
            a.halen = 6;
            a.addr[..6].copy_from_slice(&link.mac());
        }
        Ok(SockAddr::Link(a))
    }

    fn peer_addr(&self) -> Result<SockAddr> {
        Err(Errno::EOPNOTSUPP)
    }

    fn setsockopt(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        match (level, name) {
            (SOL_SOCKET, SO_ATTACH_FILTER) => {
                if self.filter_locked.load(Relaxed) {
                    return Err(Errno::EPERM);
                }
                let program = Program::parse(value)?;
                *self.filter.write() = Some(Arc::new(program));
                Ok(())
            }
            (SOL_SOCKET, SO_DETACH_FILTER) => {
                if self.filter_locked.load(Relaxed) {
                    return Err(Errno::EPERM);
                }
                self.filter.write().take().map(drop).ok_or(Errno::ENOENT)
            }
            (SOL_SOCKET, SO_LOCK_FILTER) => {
                self.filter_locked.store(flag(value)?, Relaxed);
                Ok(())
            }
            (SOL_PACKET, PACKET_ADD_MEMBERSHIP) => self.membership(value, true),
            (SOL_PACKET, PACKET_DROP_MEMBERSHIP) => self.membership(value, false),
            (SOL_PACKET, PACKET_AUXDATA) => {
                self.auxdata.store(flag(value)?, Relaxed);
                Ok(())
            }
            (SOL_PACKET, PACKET_ORIGDEV) => {
                self.orig_dev.store(flag(value)?, Relaxed);
                Ok(())
            }
            (SOL_PACKET, PACKET_IGNORE_OUTGOING) => {
                self.ignore_outgoing.store(flag(value)?, Relaxed);
                Ok(())
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn getsockopt(&self, level: i32, name: i32, _: &[u8]) -> Result<Vec<u8>> {
        let int = |v: bool| Ok(i32::from(v).to_ne_bytes().to_vec());
        match (level, name) {
            (SOL_SOCKET, SO_LOCK_FILTER) => int(self.filter_locked.load(Relaxed)),
            (SOL_PACKET, PACKET_STATISTICS) => {
                // Reading them clears them; packets count those dropped, too.
                let drops = self.drops.swap(0, Relaxed);
                let packets = self.packets.swap(0, Relaxed) + drops;
                Ok([packets.to_ne_bytes(), drops.to_ne_bytes()].concat())
            }
            (SOL_PACKET, PACKET_AUXDATA) => int(self.auxdata.load(Relaxed)),
            (SOL_PACKET, PACKET_ORIGDEV) => int(self.orig_dev.load(Relaxed)),
            (SOL_PACKET, PACKET_IGNORE_OUTGOING) => int(self.ignore_outgoing.load(Relaxed)),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.queue.lock().frames.front().map_or(0, |f| f.data.len()))
    }

    fn unsent_bytes(&self) -> Result<usize> {
        Ok(0)
    }
}
