//! One netlink socket: its queue of datagrams, its running dump, its groups and options.

use super::hub::{Hub, Member};
use super::wire::{Header, To, Writer};
use super::{Dump, Fail, Reply, Request};
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::netlink::{
    NETLINK_ADD_MEMBERSHIP, NETLINK_BROADCAST_ERROR, NETLINK_CAP_ACK, NETLINK_DROP_MEMBERSHIP, NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK, NETLINK_LISTEN_ALL_NSID, NETLINK_LIST_MEMBERSHIPS, NETLINK_NO_ENOBUFS, NETLINK_PKTINFO,
    NETLINK_ROUTE, NLMSGERR_ATTR_MISS_TYPE, NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_HDRLEN, NLMSG_MIN_TYPE, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST,
};
use lkl_abi::socket::{AF_NETLINK, MSG_OOB, MSG_PEEK, MSG_TRUNC, SOCK_RAW, SOL_NETLINK, SOL_SOCKET};
use lkl_abi::stat::S_IFSOCK;
use lkl_abi::{Errno, Result};
use lkl_file::{Control, File, IovReader, IovWriter, RecvMsg, SendMsg, Shutdown, SockAddr, SockOptions, Socket};
use lkl_inet::Net;
use lkl_ops::UserMem;
use lkl_sync::{Events, Mutex, Rank, WaitQueue};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// Bytes of a dump's piece, unless the program's buffer is larger (Linux: a page less what a buffer needs itself).
const PIECE_MIN: usize = 3776;
/// The largest piece that a larger buffer of the program makes.
const PIECE_MAX: usize = 32_768 - 320;
/// What a datagram in the queue is charged beyond its bytes.
const OVERHEAD: usize = 512;
const SCM_CREDENTIALS: i32 = 2;

/// A datagram in the queue.
#[derive(Clone, Debug)]
struct Datagram {
    data: Arc<[u8]>,
    /// The sender's port, 0 for the kernel.
    from: u32,
    /// The group it was sent to, 0 if none.
    group: u32,
}

impl Datagram {
    fn charge(&self) -> usize {
        self.data.len() + OVERHEAD
    }
}

/// A dump that goes on as the program reads.
struct Running {
    dump: Dump,
    header: Header,
    /// A message that did not fit into the last piece.
    left: Vec<u8>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Flags {
    pktinfo: bool,
    broadcast_error: bool,
    no_enobufs: bool,
    listen_all: bool,
    cap_ack: bool,
    ext_ack: bool,
    strict: bool,
}

#[derive(Default)]
struct State {
    /// The port, once bound.
    portid: Option<u32>,
    dst_port: u32,
    dst_groups: u32,
    /// Bit n is group n.
    groups: u64,
    flags: Flags,
    queue: VecDeque<Datagram>,
    /// Bytes charged for the queue.
    charged: usize,
    /// A datagram was lost; nothing more comes in until the queue is empty.
    congested: bool,
    dump: Option<Running>,
    /// A dump exists (also while a piece of it is being made).
    dumping: bool,
    /// The longest buffer the program gave, in bytes.
    longest_read: usize,
}

/// A socket of `AF_NETLINK`.
pub(crate) struct NetlinkSocket {
    me: Weak<Self>,
    net: Arc<Net>,
    hub: Arc<Hub>,
    kind: u32,
    protocol: u32,
    ino: u64,
    options: SockOptions,
    waiters: WaitQueue,
    state: Mutex<State>,
}

/// What `/proc/net/netlink` and `netlink_diag` show of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    pub(crate) kind: u32,
    pub(crate) protocol: u32,
    pub(crate) portid: u32,
    pub(crate) dst_port: u32,
    pub(crate) dst_group: u32,
    pub(crate) groups: u64,
    pub(crate) rmem: u32,
    pub(crate) rcvbuf: u32,
    pub(crate) sndbuf: u32,
    pub(crate) dumping: bool,
    pub(crate) drops: u32,
    pub(crate) ino: u64,
}

impl NetlinkSocket {
    pub(crate) fn new(net: &Arc<Net>, hub: &Arc<Hub>, kind: u32, protocol: u32) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            net: net.clone(),
            hub: hub.clone(),
            kind,
            protocol,
            ino: hub.new_ino(),
            options: SockOptions::new(SockOptions::BUFFER_DEFAULT, SockOptions::BUFFER_DEFAULT),
            waiters: WaitQueue::new(),
            state: Mutex::new(Rank::Queue, State::default()),
        })
    }

    pub(crate) fn info(&self) -> Info {
        let s = self.state.lock();
        Info {
            kind: self.kind,
            protocol: self.protocol,
            portid: s.portid.unwrap_or(0),
            dst_port: s.dst_port,
            dst_group: s.dst_groups,
            groups: s.groups,
            rmem: u32::try_from(s.charged).unwrap_or(u32::MAX),
            rcvbuf: self.options.rcvbuf.load(Relaxed),
            sndbuf: self.options.sndbuf.load(Relaxed),
            dumping: s.dumping,
            drops: self.options.drops.load(Relaxed),
            ino: self.ino,
        }
    }

    /// Puts a datagram from the port `from` into the queue.
    ///
    /// # Errors
    /// `EAGAIN` if there is no room; the socket then tells `ENOBUFS`.
    pub(crate) fn deliver(&self, data: Arc<[u8]>, from: u32, group: u32) -> Result<()> {
        let limit = self.options.rcvbuf.load(Relaxed) as usize;
        let mut s = self.state.lock();
        if s.charged > limit || s.congested {
            if !s.flags.no_enobufs && !s.congested {
                s.congested = true;
                self.options.set_error(Errno::ENOBUFS);
            }
            self.options.drops.fetch_add(1, Relaxed);
            drop(s);
            self.waiters.wake(Events::ERR);
            return Err(Errno::EAGAIN);
        }
        let d = Datagram { data, from, group };
        s.charged += d.charge();
        s.queue.push_back(d);
        drop(s);
        self.waiters.wake(Events::READ);
        Ok(())
    }

    /// Is it in `group`?
    pub(crate) fn listens(&self, group: u32) -> bool {
        self.state.lock().groups & group_bit(group) != 0
    }

    fn answer(&self, data: Vec<u8>) {
        // A full queue is told by ENOBUFS.
        let _lost = self.deliver(data.into(), 0, 0);
    }

    fn portid(&self) -> Result<u32> {
        let bound = self.state.lock().portid;
        match bound {
            Some(p) => Ok(p),
            None => self.take_port(0),
        }
    }

    /// Binds to `port`, or to a free one if it is 0.
    fn take_port(&self, port: u32) -> Result<u32> {
        let port = self.hub.take_port(self.protocol, port, self.me.clone())?;
        let mut s = self.state.lock();
        if let Some(raced) = s.portid {
            drop(s);
            self.hub.free_port(self.protocol, port);
            return Ok(raced);
        }
        s.portid = Some(port);
        Ok(port)
    }

    fn set_groups(&self, change: impl FnOnce(u64) -> u64) {
        let mut s = self.state.lock();
        let old = s.groups;
        s.groups = change(old);
        let new = s.groups;
        drop(s);
        if (old == 0) != (new == 0) {
            self.hub.membership(Member { protocol: self.protocol, socket: self.me.clone() }, new != 0);
        }
    }

    /// The messages of one datagram to the kernel.
    fn process(&self, bytes: &[u8], portid: u32) {
        let mut rest = bytes;
        while let Some(header) = Header::parse(rest) {
            let len = header.len as usize;
            let Some(message) = rest.get(..len).filter(|m| m.len() >= NLMSG_HDRLEN) else { return };
            self.one(header, message, portid);
            rest = rest.get((len + 3) & !3..).unwrap_or_default();
        }
    }

    fn one(&self, header: Header, message: &[u8], portid: u32) {
        let body = message.get(NLMSG_HDRLEN..).unwrap_or_default();
        let strict = self.state.lock().flags.strict;
        let mut outcome = Ok(Reply::default());
        if header.flags & NLM_F_REQUEST != 0 && header.kind >= NLMSG_MIN_TYPE {
            let request = Request { net: &self.net, hub: &self.hub, header, body, portid, strict };
            outcome = super::handle(self.protocol, &request);
        }
        match outcome {
            Ok(reply) => {
                for m in reply.messages {
                    self.answer(m);
                }
                match reply.dump {
                    // The end of a dump is its acknowledgement.
                    Some(dump) => {
                        if let Err(e) = self.start_dump(dump, header) {
                            self.acknowledge(header, body, portid, Some(&e.into()));
                        }
                    }
                    None if header.flags & NLM_F_ACK != 0 => self.acknowledge(header, body, portid, None),
                    None => {}
                }
            }
            // The dumps of this protocol look at their request when they are begun: they end with the error.
            Err(fail)
                if self.protocol == NETLINK_ROUTE
                    && header.flags & NLM_F_DUMP == NLM_F_DUMP
                    && super::is_get(header.kind)
                    && fail.errno != Errno::EOPNOTSUPP =>
            {
                self.end_dump(header, portid, &fail);
            }
            Err(fail) => self.acknowledge(header, body, portid, Some(&fail)),
        }
    }

    fn acknowledge(&self, header: Header, body: &[u8], portid: u32, fail: Option<&Fail>) {
        let flags = self.state.lock().flags;
        let whole = fail.is_some() && !flags.cap_ack;
        let mut to = To { seq: header.seq, pid: portid, flags: if whole { 0 } else { NLM_F_CAPPED } };
        let tlvs = fail.filter(|f| flags.ext_ack && f.explains());
        if tlvs.is_some() {
            to.flags |= NLM_F_ACK_TLVS;
        }
        let mut w = Writer::default();
        w.message(NLMSG_ERROR, to, |w| {
            let error = fail.map_or(0, |f| -f.errno.0);
            w.fixed(&[
                &error.to_ne_bytes(),
                &header.len.to_ne_bytes(),
                &header.kind.to_ne_bytes(),
                &header.flags.to_ne_bytes(),
                &header.seq.to_ne_bytes(),
                &header.pid.to_ne_bytes(),
                if whole { body } else { &[] },
            ]);
            if let Some(f) = tlvs {
                write_tlvs(w, f);
            }
        });
        self.answer(w.into_bytes());
    }

    /// The end of a dump that failed before its first message.
    fn end_dump(&self, header: Header, portid: u32, fail: &Fail) {
        let tlvs = self.state.lock().flags.ext_ack && fail.explains();
        let flags = NLM_F_MULTI | if tlvs { NLM_F_ACK_TLVS } else { 0 };
        let mut w = Writer::default();
        w.message(NLMSG_DONE, To { seq: header.seq, pid: portid, flags }, |w| {
            w.bytes(&(-fail.errno.0).to_ne_bytes());
            if tlvs {
                write_tlvs(w, fail);
            }
        });
        self.answer(w.into_bytes());
    }

    fn start_dump(&self, dump: Dump, header: Header) -> Result<()> {
        let mut s = self.state.lock();
        if s.dumping {
            return Err(Errno::EBUSY);
        }
        s.dumping = true;
        s.dump = Some(Running { dump, header, left: Vec::new() });
        drop(s);
        self.continue_dump();
        Ok(())
    }

    /// Makes the next piece of the running dump, if there is one and there is room for it.
    fn continue_dump(&self) {
        let mut s = self.state.lock();
        if s.charged > self.options.rcvbuf.load(Relaxed) as usize / 2 {
            return;
        }
        let Some(mut running) = s.dump.take() else { return };
        let limit = s.longest_read.clamp(PIECE_MIN, PIECE_MAX);
        let pid = s.portid.unwrap_or(0);
        drop(s);
        // No lock is held here: it is another crate's state that is put into words.
        let mut w = Writer::default();
        w.bytes(&core::mem::take(&mut running.left));
        let finished = loop {
            let before = w.len();
            if !(running.dump)(&mut w) {
                break true;
            }
            if w.len() > limit && before > 0 {
                running.left = w.split_off(before);
                break false;
            }
        };
        if finished {
            let to = To { seq: running.header.seq, pid, flags: NLM_F_MULTI };
            w.message(NLMSG_DONE, to, |w| w.bytes(&0u32.to_ne_bytes()));
        }
        let mut s = self.state.lock();
        if finished {
            s.dumping = false;
        } else {
            s.dump = Some(running);
        }
        let d = Datagram { data: w.into_bytes().into(), from: 0, group: 0 };
        s.charged += d.charge();
        s.queue.push_back(d);
        drop(s);
        self.waiters.wake(Events::READ);
    }

    fn flag_option(&self, name: i32, set: Option<bool>) -> Result<bool> {
        let mut s = self.state.lock();
        let flag = match name {
            NETLINK_PKTINFO => &mut s.flags.pktinfo,
            NETLINK_BROADCAST_ERROR => &mut s.flags.broadcast_error,
            NETLINK_NO_ENOBUFS => &mut s.flags.no_enobufs,
            NETLINK_LISTEN_ALL_NSID => &mut s.flags.listen_all,
            NETLINK_CAP_ACK => &mut s.flags.cap_ack,
            NETLINK_EXT_ACK => &mut s.flags.ext_ack,
            NETLINK_GET_STRICT_CHK => &mut s.flags.strict,
            _ => return Err(Errno::ENOPROTOOPT),
        };
        if let Some(on) = set {
            *flag = on;
            if name == NETLINK_NO_ENOBUFS && on {
                s.congested = false;
            }
            return Ok(on);
        }
        Ok(*flag)
    }
}

/// What explains a failure.
fn write_tlvs(w: &mut Writer, f: &Fail) {
    if let Some(m) = &f.message {
        w.str(NLMSGERR_ATTR_MSG, m);
    }
    if let Some(o) = f.offset {
        w.u32(NLMSGERR_ATTR_OFFS, o);
    }
    if let Some(m) = f.missing {
        w.u32(NLMSGERR_ATTR_MISS_TYPE, m.into());
    }
}

/// The bit of a group; groups beyond 63 have none.
fn group_bit(group: u32) -> u64 {
    1u64.checked_shl(group).unwrap_or(0)
}

impl File for NetlinkSocket {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        self.receive(out, 0).map(|(n, _, _)| n)
    }

    fn write(&self, data: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        let (port, groups) = {
            let s = self.state.lock();
            (s.dst_port, s.dst_groups)
        };
        self.send(data, port, groups)
    }

    fn poll(&self) -> Events {
        let s = self.state.lock();
        let mut e = Events::WRITE;
        if !s.queue.is_empty() {
            e |= Events::READ;
        }
        if self.options.error.load(Relaxed) != 0 {
            e |= Events::ERR;
        }
        e
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.waiters
    }

    fn ioctl(&self, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
        crate::ioctl::dev_ioctl_family(&self.net, AF_NETLINK, mem, request, arg)
    }

    fn mode(&self) -> u32 {
        S_IFSOCK | 0o777
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn release(&self) {
        let portid = self.state.lock().portid.take();
        if let Some(p) = portid {
            self.hub.free_port(self.protocol, p);
        }
        self.set_groups(|_| 0);
        self.hub.forget(self.ino);
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl NetlinkSocket {
    fn send(&self, data: &mut IovReader<'_>, port: u32, groups: u32) -> Result<usize> {
        let portid = self.portid()?;
        let len = data.remaining();
        if len == 0 {
            return Err(Errno::ENODATA);
        }
        if len > (self.options.sndbuf.load(Relaxed) as usize).saturating_sub(32) {
            return Err(Errno::EMSGSIZE);
        }
        let bytes = data.read_vec(len)?;
        if groups != 0 {
            let group = groups.trailing_zeros() + 1;
            self.hub.broadcast(self.protocol, group, &bytes.as_slice().into(), portid);
        }
        if port == 0 && groups == 0 {
            self.process(&bytes, portid);
        } else if port != 0 {
            let to = self.hub.by_port(self.protocol, port).ok_or(Errno::ECONNREFUSED)?;
            to.deliver(bytes.into(), portid, 0)?;
        }
        Ok(len)
    }

    /// Copies out the first datagram; answers the bytes copied, the datagram, and whether it was cut short.
    fn receive(&self, out: &mut IovWriter<'_>, flags: u32) -> Result<(usize, Datagram, bool)> {
        self.options.take_error()?;
        let room = out.remaining();
        let start = *out;
        let (n, d, more) = loop {
            let mut s = self.state.lock();
            let Some(d) = s.queue.front().cloned() else { return Err(Errno::EAGAIN) };
            s.longest_read = s.longest_read.max(room);
            drop(s);
            // The copy is made before the datagram is taken, so a bad address loses nothing; and without the lock, so
            // another thread may have taken it meanwhile.
            *out = start;
            let n = out.write(d.data.get(..room.min(d.data.len())).unwrap_or_default())?;
            let mut s = self.state.lock();
            if flags & MSG_PEEK == 0 {
                if !s.queue.front().is_some_and(|f| Arc::ptr_eq(&f.data, &d.data)) {
                    continue;
                }
                s.queue.pop_front();
                s.charged = s.charged.saturating_sub(d.charge());
            }
            if s.queue.is_empty() {
                s.congested = false;
            }
            break (n, d, s.dump.is_some());
        };
        if more {
            self.continue_dump();
        }
        let truncated = n < d.data.len();
        Ok((n, d, truncated))
    }
}

impl Socket for NetlinkSocket {
    fn family(&self) -> u16 {
        AF_NETLINK
    }

    fn kind(&self) -> u32 {
        self.kind
    }

    fn protocol(&self) -> u32 {
        self.protocol
    }

    fn options(&self) -> &SockOptions {
        &self.options
    }

    fn bind(&self, addr: &SockAddr) -> Result<()> {
        let SockAddr::Netlink { pid, groups } = *addr else { return Err(Errno::EINVAL) };
        let bound = self.state.lock().portid;
        match bound {
            Some(p) if p != pid => return Err(Errno::EINVAL),
            Some(_) => {}
            None => {
                self.take_port(pid)?;
            }
        }
        let low = u64::from(groups) << 1;
        self.set_groups(|old| (old & !0x1_ffff_ffff) | low);
        Ok(())
    }

    fn connect(&self, addr: &SockAddr) -> Result<()> {
        let (port, groups) = match *addr {
            SockAddr::Unspec => (0, 0),
            SockAddr::Netlink { pid, groups } => (pid, groups),
            _ => return Err(Errno::EINVAL),
        };
        if *addr != SockAddr::Unspec {
            self.portid()?;
        }
        let mut s = self.state.lock();
        s.dst_port = port;
        s.dst_groups = groups;
        Ok(())
    }

    fn listen(&self, _: i32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SockAddr)> {
        Err(Errno::EOPNOTSUPP)
    }

    fn sendmsg(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        if msg.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let (port, groups) = match msg.name {
            Some(SockAddr::Netlink { pid, groups }) => (pid, groups),
            Some(_) => return Err(Errno::EINVAL),
            None => {
                let s = self.state.lock();
                (s.dst_port, s.dst_groups)
            }
        };
        self.send(msg.data, port, groups)
    }

    fn recvmsg(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        if msg.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let (n, d, truncated) = self.receive(msg.data, msg.flags)?;
        if truncated {
            msg.out_flags |= MSG_TRUNC;
        }
        let mask = if (1..=32).contains(&d.group) { 1 << (d.group - 1) } else { 0 };
        msg.name = Some(SockAddr::Netlink { pid: d.from, groups: mask });
        if self.state.lock().flags.pktinfo {
            let data = d.group.to_ne_bytes().to_vec();
            msg.control.push(Control { level: SOL_NETLINK, kind: NETLINK_PKTINFO, data });
        }
        if self.options.passcred.load(Relaxed) {
            // The kernel's own messages come from process 0, user 0, group 0.
            let mut data = d.from.to_ne_bytes().to_vec();
            data.extend([0; 8]);
            msg.control.push(Control { level: SOL_SOCKET, kind: SCM_CREDENTIALS, data });
        }
        Ok(if msg.flags & MSG_TRUNC != 0 { d.data.len() } else { n })
    }

    fn shutdown(&self, _: Shutdown) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local_addr(&self) -> Result<SockAddr> {
        let s = self.state.lock();
        Ok(SockAddr::Netlink { pid: s.portid.unwrap_or(0), groups: (s.groups >> 1) as u32 })
    }

    fn peer_addr(&self) -> Result<SockAddr> {
        let s = self.state.lock();
        Ok(SockAddr::Netlink { pid: s.dst_port, groups: s.dst_groups })
    }

    fn setsockopt(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if level != SOL_NETLINK {
            return Err(Errno::ENOPROTOOPT);
        }
        let number = value.first_chunk().copied().map(u32::from_ne_bytes).ok_or(Errno::EINVAL)?;
        match name {
            NETLINK_ADD_MEMBERSHIP | NETLINK_DROP_MEMBERSHIP => {
                if number == 0 || number > self.hub.max_group(self.protocol) {
                    return Err(Errno::EINVAL);
                }
                let bit = group_bit(number);
                self.set_groups(|g| if name == NETLINK_ADD_MEMBERSHIP { g | bit } else { g & !bit });
                Ok(())
            }
            _ => self.flag_option(name, Some(number != 0)).map(drop),
        }
    }

    fn getsockopt(&self, level: i32, name: i32, _: &[u8]) -> Result<Vec<u8>> {
        if level != SOL_NETLINK {
            return Err(Errno::ENOPROTOOPT);
        }
        if name == NETLINK_LIST_MEMBERSHIPS {
            let groups = self.state.lock().groups >> 1;
            let words = self.hub.max_group(self.protocol).div_ceil(32) as usize;
            return Ok(groups.to_ne_bytes().get(..words * 4).unwrap_or_default().to_vec());
        }
        let on = self.flag_option(name, None)?;
        Ok(u32::from(on).to_ne_bytes().to_vec())
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.state.lock().queue.front().map_or(0, |d| d.data.len()))
    }

    fn unsent_bytes(&self) -> Result<usize> {
        Ok(0)
    }
}

/// `socket(AF_NETLINK, ...)`.
pub(crate) fn kind_is_served(kind: u32) -> bool {
    kind == SOCK_RAW || kind == lkl_abi::socket::SOCK_DGRAM
}
