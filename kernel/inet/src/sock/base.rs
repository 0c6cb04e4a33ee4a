//! A datagram socket: UDP, raw or ping. What differs is in `udp`, `raw` and `ping`.

use super::errqueue::{ErrorItem, ErrorQueue};
use super::queue::{Datagram, ReceiveQueue};
use super::send::Cork;
use super::SockInfo;
use crate::options::InetOptions;
use crate::timestamp::Stamped;
use crate::{FlowKey, Net, Route};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU8, Ordering::Relaxed};
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::{AF_INET, AF_INET6};
use lkl_file::{File, IovReader, IovWriter, RecvMsg, SendMsg, Shutdown, SockAddr, SockOptions, Socket};
use lkl_net::bpf::Program;
use lkl_net::route::Kind;
use lkl_ops::Instant;
use lkl_sync::{Events, Mutex, Rank, RwLock, WaitQueue};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

/// Which protocol it speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flavor {
    Udp,
    Ping,
    Raw,
}

/// What it is bound and connected to. IPv4-mapped addresses are kept as IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Binding {
    pub(crate) local: IpAddr,
    /// Port, or identifier of a ping socket; 0: not bound.
    pub(crate) port: u16,
    pub(crate) remote: Option<(IpAddr, u16)>,
    /// The link that a link-local address needs, 0 for none.
    pub(crate) scope: u32,
    /// `bind` gave the address; it stays when the association is dissolved.
    pub(crate) addr_locked: bool,
    /// `bind` gave the port.
    pub(crate) port_locked: bool,
}

/// Bits of [`DatagramSocket::shut`].
pub(crate) const SHUT_RECEIVE: u8 = 1;
pub(crate) const SHUT_SEND: u8 = 2;

/// A socket.
pub(crate) struct DatagramSocket {
    pub(crate) me: Weak<Self>,
    pub(crate) net: Arc<Net>,
    pub(crate) flavor: Flavor,
    pub(crate) family: u16,
    pub(crate) protocol: u8,
    pub(crate) ino: u64,
    pub(crate) options: SockOptions,
    pub(crate) inet: InetOptions,
    pub(crate) waiters: WaitQueue,
    binding: RwLock<Binding>,
    /// The way to the peer of a connected socket.
    pub(crate) route: Mutex<Option<Arc<Route>>>,
    pub(crate) cork: Mutex<Option<Cork>>,
    pub(crate) queue: Mutex<ReceiveQueue>,
    pub(crate) errors: Mutex<ErrorQueue>,
    pub(crate) filter: RwLock<Option<Arc<Program>>>,
    pub(crate) filter_locked: AtomicBool,
    pub(crate) shut: AtomicU8,
    /// `UDP_CORK`
    pub(crate) corked: AtomicBool,
    /// `UDP_SEGMENT`
    pub(crate) segment: AtomicU32,
    pub(crate) gro: AtomicBool,
    /// Numbers of the next datagram with a stamp, and of the next that is sent without a copy.
    pub(crate) stamp_number: AtomicU32,
    pub(crate) zerocopy_number: AtomicU32,
    /// `UDP_NO_CHECK6_TX`, `UDP_NO_CHECK6_RX`
    pub(crate) no_check6: [AtomicBool; 2],
    /// `IPV6_CHECKSUM` of a raw socket: offset, -1 for none.
    pub(crate) checksum_at: AtomicI32,
    /// `ICMP_FILTER`, `ICMP6_FILTER`: a set bit is a type that is not wanted.
    pub(crate) icmp_filter: [AtomicU32; 8],
    created: Instant,
}

impl DatagramSocket {
    pub(crate) fn new(net: &Arc<Net>, flavor: Flavor, family: u16, protocol: u8) -> Arc<Self> {
        let inet = InetOptions::new(net, family);
        if flavor == Flavor::Raw && protocol == 255 {
            inet.hdrincl.store(1, Relaxed);
            inet.hdrincl6.store(1, Relaxed);
        }
        let v6 = family == AF_INET6;
        // ICMPv6 and the mobility header have their checksum filled in by the kernel (RFC 3542, section 3.1).
        let checksum_at = if v6 && protocol == crate::ip::IPPROTO_ICMPV6 { 2 } else { -1 };
        let size = |k: &crate::sysctl::Knob<1>| u32::try_from(k.get()).unwrap_or(SockOptions::BUFFER_DEFAULT);
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            net: net.clone(),
            flavor,
            family,
            protocol,
            ino: net.new_ino(),
            options: SockOptions::new(size(&net.sysctl().wmem_default), size(&net.sysctl().rmem_default)),
            inet,
            waiters: WaitQueue::new(),
            binding: RwLock::new(
                Rank::Queue,
                Binding {
                    local: crate::ip::unspecified(v6),
                    port: 0,
                    remote: None,
                    scope: 0,
                    addr_locked: false,
                    port_locked: false,
                },
            ),
            route: Mutex::new(Rank::Queue, None),
            cork: Mutex::new(Rank::Socket, None),
            queue: Mutex::new(Rank::Queue, ReceiveQueue::default()),
            errors: Mutex::new(Rank::Queue, ErrorQueue::default()),
            filter: RwLock::new(Rank::Queue, None),
            filter_locked: AtomicBool::new(false),
            shut: AtomicU8::new(0),
            corked: AtomicBool::new(false),
            segment: AtomicU32::new(0),
            gro: AtomicBool::new(false),
            stamp_number: AtomicU32::new(0),
            zerocopy_number: AtomicU32::new(0),
            no_check6: [AtomicBool::new(false), AtomicBool::new(false)],
            checksum_at: AtomicI32::new(checksum_at),
            icmp_filter: [const { AtomicU32::new(0) }; 8],
            created: net.now(),
        })
    }

    pub(crate) fn binding(&self) -> Binding {
        *self.binding.read()
    }

    pub(crate) fn set_binding(&self, b: Binding) {
        *self.binding.write() = b;
        *self.route.lock() = None;
    }

    pub(crate) fn v6(&self) -> bool {
        self.family == AF_INET6
    }

    /// Does it take packets of IPv6 only?
    pub(crate) fn v6only(&self) -> bool {
        self.inet.v6only.load(Relaxed) != 0
    }

    /// May a packet over `ifindex` be given to it?
    pub(crate) fn on_link(&self, ifindex: u32) -> bool {
        let bound = self.options.bind_ifindex.load(Relaxed);
        bound == 0 || bound == ifindex
    }

    /// Does it speak the version of `ip`?
    pub(crate) fn speaks(&self, ip: IpAddr) -> bool {
        match (ip.is_ipv6(), self.v6()) {
            (true, v6) => v6,
            (false, false) => true,
            (false, true) => self.flavor == Flavor::Udp && !self.v6only(),
        }
    }

    /// Puts a datagram into the receive queue and wakes who waits; `false` if there was no room. Shutting the socket
    /// for reading keeps nothing out.
    pub(crate) fn take(&self, d: Datagram) -> bool {
        let limit = self.options.rcvbuf.load(Relaxed) as usize;
        if !self.queue.lock().push(d, limit) {
            self.options.drops.fetch_add(1, Relaxed);
            return false;
        }
        self.waiters.wake(Events::READ);
        true
    }

    /// Tells the program of an error: by the queue if it wants that, and by `SO_ERROR`.
    pub(crate) fn take_icmp(&self, mut item: ErrorItem) {
        item.time = self.net.host().realtime();
        self.options.error.store(item.errno, Relaxed);
        let wants = self.inet.wants_errors(item.dst.is_some_and(|(ip, _)| ip.is_ipv6()));
        if wants {
            self.errors.lock().push(item);
        }
        self.waiters.wake(Events::ERR | Events::READ | Events::WRITE);
    }

    /// An address given to `bind`, `connect` or `sendto`: IPv4-mapped ones unmapped, with port and scope.
    pub(crate) fn address(&self, addr: &SockAddr) -> Result<(IpAddr, u16, u32)> {
        match (addr, self.family) {
            (SockAddr::Inet(SocketAddr::V4(a)), AF_INET) => Ok(((*a.ip()).into(), a.port(), 0)),
            (SockAddr::Inet(SocketAddr::V4(a)), _) if self.flavor == Flavor::Udp => {
                if self.v6only() {
                    return Err(Errno::ENETUNREACH);
                }
                Ok(((*a.ip()).into(), a.port(), 0))
            }
            (SockAddr::Inet(SocketAddr::V6(a)), AF_INET6) => {
                let ip = crate::ip::unmap((*a.ip()).into());
                if ip.is_ipv4() && (self.v6only() || self.flavor != Flavor::Udp) {
                    return Err(if self.flavor == Flavor::Udp { Errno::ENETUNREACH } else { Errno::EINVAL });
                }
                let scope = if crate::ip::needs_scope(ip) { a.scope_id() } else { 0 };
                Ok((ip, a.port(), scope))
            }
            (SockAddr::Inet(_), _) => Err(Errno::EAFNOSUPPORT),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    fn name(&self, ip: IpAddr, port: u16, scope: u32) -> SockAddr {
        let port = if self.flavor == Flavor::Raw { 0 } else { port };
        let ip = if self.v6() && ip.is_ipv4() && ip.is_unspecified() { crate::ip::unspecified(true) } else { ip };
        let scope = if crate::ip::needs_scope(ip) { scope } else { 0 };
        SockAddr::for_family(self.family, ip, port, scope)
    }

    /// Puts it into the table of its protocol under `b`.
    fn enter(&self, b: Binding) -> Result<()> {
        match self.flavor {
            Flavor::Udp => self.net.udp.enter(self, b),
            Flavor::Ping => self.net.ping.enter(self, b),
            Flavor::Raw => {
                self.set_binding(b);
                Ok(())
            }
        }
    }

    /// Gives it a port if it has none.
    pub(crate) fn autobind(&self) -> Result<()> {
        let b = self.binding();
        if b.port != 0 || self.flavor == Flavor::Raw {
            return Ok(());
        }
        self.enter(b)
    }

    /// The scope that a packet to `ip` leaves by.
    pub(crate) fn check_scope(&self, ip: IpAddr, scope: u32) -> Result<u32> {
        let bound = self.options.bind_ifindex.load(Relaxed);
        if !crate::ip::needs_scope(ip) {
            return Ok(bound);
        }
        if bound != 0 && scope != 0 && bound != scope {
            return Err(Errno::EINVAL);
        }
        Ok(if scope != 0 { scope } else { bound })
    }

    pub(crate) fn info(&self) -> SockInfo {
        let b = self.binding();
        let v6 = self.v6();
        let fix = |ip: IpAddr| if v6 { IpAddr::V6(map_any(ip)) } else { ip };
        let (rip, rport) = b.remote.unwrap_or((crate::ip::unspecified(v6), 0));
        let port = if self.flavor == Flavor::Raw { u16::from(self.protocol) } else { b.port };
        SockInfo {
            family: self.family,
            protocol: self.protocol,
            state: if b.remote.is_some() { 1 } else { 7 },
            local: (fix(b.local), port),
            remote: (fix(rip), if self.flavor == Flavor::Raw { 0 } else { rport }),
            ifindex: self.options.bind_ifindex.load(Relaxed),
            rx_queue: self.queue.lock().bytes() as u32,
            tx_queue: 0,
            rcvbuf: self.options.rcvbuf.load(Relaxed),
            sndbuf: self.options.sndbuf.load(Relaxed),
            drops: self.options.drops.load(Relaxed),
            mark: self.options.mark.load(Relaxed),
            ino: self.ino,
            cookie: self.ino,
            v6only: v6 && self.v6only(),
            created: self.created,
        }
    }

    fn disconnect(&self) -> Result<()> {
        let mut b = self.binding();
        b.remote = None;
        b.scope = 0;
        if !b.addr_locked {
            b.local = crate::ip::unspecified(self.v6());
        }
        if !b.port_locked && self.flavor != Flavor::Raw {
            match self.flavor {
                Flavor::Udp => self.net.udp.leave(self),
                _ => self.net.ping.leave(self),
            }
            b.port = 0;
            self.set_binding(b);
            return Ok(());
        }
        self.enter(b)
    }
}

/// The unspecified address of IPv4 is shown as that of IPv6 on an IPv6 socket.
fn map_any(ip: IpAddr) -> std::net::Ipv6Addr {
    if ip.is_unspecified() {
        std::net::Ipv6Addr::UNSPECIFIED
    } else {
        crate::ip::map_v6(ip)
    }
}

impl File for DatagramSocket {
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
        let shut = self.shut.load(Relaxed);
        if !self.queue.lock().is_empty() {
            ready |= Events::READ;
        }
        if shut & SHUT_RECEIVE != 0 {
            ready |= Events::READ | Events::RDHUP;
        }
        if shut == SHUT_RECEIVE | SHUT_SEND {
            ready |= Events::HUP;
        }
        if self.options.error.load(Relaxed) != 0 || !self.errors.lock().is_empty() {
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
        match self.flavor {
            Flavor::Udp => self.net.udp.leave(self),
            Flavor::Ping => self.net.ping.leave(self),
            Flavor::Raw => self.net.raw.leave(self),
        }
        self.inet.leave_all(&self.net);
        self.shut.store(SHUT_RECEIVE | SHUT_SEND, Relaxed);
        self.waiters.wake(Events::ALL);
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl Socket for DatagramSocket {
    fn family(&self) -> u16 {
        self.family
    }

    fn kind(&self) -> u32 {
        match self.flavor {
            Flavor::Raw => lkl_abi::socket::SOCK_RAW,
            _ => lkl_abi::socket::SOCK_DGRAM,
        }
    }

    fn protocol(&self) -> u32 {
        self.protocol.into()
    }

    fn options(&self) -> &SockOptions {
        &self.options
    }

    fn number_stamps(&self, _: bool) -> Result<()> {
        self.stamp_number.store(0, Relaxed);
        Ok(())
    }

    fn bind(&self, addr: &SockAddr) -> Result<()> {
        let (ip, port, scope) = match self.address(addr) {
            Err(Errno::ENETUNREACH) => return Err(Errno::EINVAL),
            other => other?,
        };
        let mut b = self.binding();
        if b.port_locked || (b.port != 0 && self.flavor != Flavor::Raw) {
            return Err(Errno::EINVAL);
        }
        if !ip.is_unspecified() && !self.inet.any_src(&self.net) {
            let fine = match ip {
                IpAddr::V6(a) if crate::ip::is_link_local(a) => {
                    let index = self.check_scope(ip, scope)?;
                    if index == 0 {
                        return Err(Errno::EINVAL);
                    }
                    self.net.addr_find(index, ip).is_some_and(|a| !a.tentative())
                }
                IpAddr::V6(a) if a.is_multicast() && crate::ip::needs_scope(ip) => {
                    if self.check_scope(ip, scope)? == 0 {
                        return Err(Errno::EINVAL);
                    }
                    true
                }
                _ if ip.is_multicast() => true,
                _ => match self.net.local_kind(ip) {
                    Some(Kind::Local) => true,
                    Some(Kind::Broadcast) => ip.is_ipv4(),
                    _ => matches!(ip, IpAddr::V4(a) if a.is_broadcast()),
                },
            };
            if !fine {
                return Err(Errno::EADDRNOTAVAIL);
            }
        }
        if crate::ip::needs_scope(ip) && scope != 0 {
            self.options.bind_ifindex.store(scope, Relaxed);
        }
        b.local = ip;
        b.addr_locked = !ip.is_unspecified();
        b.scope = scope;
        b.port = port;
        b.port_locked = port != 0;
        self.enter(b)
    }

    fn connect(&self, addr: &SockAddr) -> Result<()> {
        if matches!(addr, SockAddr::Unspec) {
            return self.disconnect();
        }
        let (mut ip, port, scope) = self.address(addr)?;
        let oif = self.check_scope(ip, scope)?;
        if matches!(ip, IpAddr::V6(a) if crate::ip::is_link_local(a)) && oif == 0 {
            return Err(Errno::EINVAL);
        }
        if ip.is_unspecified() {
            ip = if ip.is_ipv6() { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() };
        }
        self.autobind()?;
        let mut b = self.binding();
        let src = Some(b.local).filter(|l| b.addr_locked && !l.is_unspecified() && !l.is_multicast());
        let key = FlowKey {
            src: src.filter(|s| s.is_ipv6() == ip.is_ipv6()).or_else(|| self.inet.preferred_source(ip)),
            oif: if oif != 0 { oif } else { self.inet.oif(&self.options, ip) },
            mark: self.options.mark.load(Relaxed),
            proto: self.protocol,
            ports: (b.port, port),
            ..FlowKey::to(ip)
        };
        let route = self.net.route_output(&key)?;
        if route.kind == Kind::Broadcast && !self.options.broadcast.load(Relaxed) {
            return Err(Errno::EACCES);
        }
        if !b.addr_locked {
            b.local = route.src;
        }
        b.remote = Some((route.dst, port));
        b.scope = oif;
        self.enter(b)?;
        *self.route.lock() = Some(Arc::new(route));
        Ok(())
    }

    fn listen(&self, _: i32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SockAddr)> {
        Err(Errno::EOPNOTSUPP)
    }

    fn sendmsg(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        self.send(msg)
    }

    fn recvmsg(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        self.receive(msg)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let bits = match how {
            Shutdown::Read => SHUT_RECEIVE,
            Shutdown::Write => SHUT_SEND,
            Shutdown::Both => SHUT_RECEIVE | SHUT_SEND,
        };
        // It is done even if the socket is not connected, which is an error all the same.
        self.shut.fetch_or(bits, Relaxed);
        self.waiters.wake(Events::ALL);
        self.binding().remote.map(drop).ok_or(Errno::ENOTCONN)
    }

    fn local_addr(&self) -> Result<SockAddr> {
        let b = self.binding();
        let scope = if b.scope != 0 { b.scope } else { self.options.bind_ifindex.load(Relaxed) };
        if self.flavor == Flavor::Raw {
            // The port shows the protocol.
            return Ok(SockAddr::for_family(self.family, b.local, self.protocol.into(), scope));
        }
        Ok(self.name(b.local, b.port, scope))
    }

    fn peer_addr(&self) -> Result<SockAddr> {
        let b = self.binding();
        let (ip, port) = b.remote.ok_or(Errno::ENOTCONN)?;
        Ok(self.name(ip, port, b.scope))
    }

    fn setsockopt(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        self.set_option(level, name, value)
    }

    fn getsockopt(&self, level: i32, name: i32, _: &[u8]) -> Result<Vec<u8>> {
        self.get_option(level, name)
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.queue.lock().peek().map_or(0, |d| d.data.len()))
    }

    fn unsent_bytes(&self) -> Result<usize> {
        Ok(0)
    }

    fn options_changed(&self) {
        // The mark or the link may have changed.
        *self.route.lock() = None;
    }
}

impl Stamped for DatagramSocket {
    fn options(&self) -> &SockOptions {
        &self.options
    }

    fn take_stamp(&self, item: ErrorItem) {
        if self.errors.lock().push(item) {
            self.waiters.wake(Events::ERR);
        }
    }
}
