//! The calls of the program on a TCP socket: [`File`] and [`Socket`]. None waits.

use super::listen::Listener;
use super::ports::Owner;
use super::socket::{Phase, TcpSocket};
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::socket::SOCK_STREAM;
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::AF_INET6;
use lkl_file::{File, IovReader, IovWriter, RecvMsg, SendMsg, Shutdown, SockAddr, SockOptions, Socket};
use lkl_net::route::Kind;
use lkl_net::tcp::{Settings, State};
use lkl_sync::{Events, WaitQueue};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

impl File for TcpSocket {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        let mut data = *out;
        let mut msg = RecvMsg { data: &mut data, flags: 0, name: None, control: Vec::new(), out_flags: 0 };
        let n = self.receive(&mut msg)?;
        out.skip(n);
        Ok(n)
    }

    fn write(&self, data: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        let mut from = *data;
        let n = self.send(&mut SendMsg { name: None, data: &mut from, control: Vec::new(), flags: 0 })?;
        data.skip(n);
        Ok(n)
    }

    fn poll(&self) -> Events {
        let inner = self.inner.lock();
        let mut ready = Events::EMPTY;
        match &inner.phase {
            Phase::Idle if inner.fast_open.deferred.is_some() => ready |= Events::WRITE,
            Phase::Idle => {
                ready |= Events::WRITE | Events::HUP;
                if inner.shut & 1 != 0 {
                    ready |= Events::READ | Events::RDHUP;
                }
            }
            Phase::Listen(l) => {
                if l.has_ready() {
                    ready |= Events::READ;
                }
            }
            Phase::Connection(c) => {
                let state = c.state();
                if state == State::Closed || (c.peer_closed() && c.write_closed()) {
                    ready |= Events::HUP;
                }
                if c.peer_closed() {
                    ready |= Events::READ | Events::RDHUP;
                }
                if c.transfers() {
                    if c.can_read(self.options.rcvlowat.load(Relaxed) as usize) {
                        ready |= Events::READ;
                    }
                    if c.write_closed() || c.can_write() {
                        ready |= Events::WRITE;
                    } else {
                        self.options.no_space.store(true, Relaxed);
                    }
                    if c.has_urgent() {
                        ready |= Events::PRI;
                    }
                }
            }
        }
        drop(inner);
        if self.options.error.load(Relaxed) != 0 || self.has_errors() {
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

    fn ioctl(&self, mem: &dyn lkl_ops::UserMem, request: u32, arg: u64) -> Result<u64> {
        /// `SIOCATMARK`
        const SIOCATMARK: u32 = 0x8905;
        /// `SIOCOUTQNSD`
        const SIOCOUTQNSD: u32 = 0x894b;
        let inner = self.inner.lock();
        let Phase::Connection(c) = &inner.phase else {
            return Err(if matches!(request, SIOCATMARK | SIOCOUTQNSD) { Errno::EINVAL } else { Errno::ENOTTY });
        };
        let answer = match request {
            SIOCATMARK => i32::from(c.at_mark()),
            SIOCOUTQNSD => i32::try_from(c.unsent()).unwrap_or(i32::MAX),
            _ => return Err(Errno::ENOTTY),
        };
        drop(inner);
        mem.write(arg, &answer.to_ne_bytes())?;
        Ok(0)
    }

    fn release(&self) {
        let abort = self.options.linger.load(Relaxed) && self.options.linger_secs.load(Relaxed) == 0;
        let mut inner = self.lock();
        let now = self.net.now();
        inner.released = true;
        let port = inner.local.1;
        let stopped = self.stop_listening(&mut inner);
        let mut work = None;
        let mut free = None;
        match &mut inner.phase {
            Phase::Connection(c) => {
                c.close(now, abort);
                if !matches!(c.state(), State::Closed | State::TimeWait) && self.net.tcp_too_many_orphans() {
                    c.abort();
                    self.net.snmp().tcp_ext.tcp_abort_on_memory.inc();
                }
                if !matches!(c.state(), State::Closed | State::TimeWait) {
                    inner.orphan = true;
                    self.net.tcp.count_orphan(true);
                }
                work = Some(self.collect(&mut inner, now));
                if !inner.hashed {
                    free = Some(port);
                }
            }
            _ => free = Some(port),
        }
        drop(inner);
        if let Some(stopped) = stopped {
            stopped.finish(self);
        }
        if let Some(work) = work {
            self.finish(work);
        }
        if let Some(port) = free.filter(|p| *p != 0) {
            self.net.tcp.ports.lock().release(port, self.ino);
        }
        self.inet.leave_all(&self.net);
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl Socket for TcpSocket {
    fn family(&self) -> u16 {
        self.family
    }

    fn kind(&self) -> u32 {
        SOCK_STREAM
    }

    fn protocol(&self) -> u32 {
        u32::from(crate::ip::IPPROTO_TCP)
    }

    fn options(&self) -> &SockOptions {
        &self.options
    }

    fn bind(&self, addr: &SockAddr) -> Result<()> {
        let (ip, port, scope) = match (addr, self.family) {
            // Linux takes the unspecified family for IPv4 if the address is unspecified too; others are not allowed.
            (SockAddr::Inet(SocketAddr::V4(_)), AF_INET6) => return Err(Errno::EAFNOSUPPORT),
            _ => match self.address(addr) {
                Err(Errno::ENETUNREACH) => return Err(Errno::EINVAL),
                other => other?,
            },
        };
        if !ip.is_unspecified() && !self.inet.any_src(&self.net) {
            let link_local = matches!(ip, IpAddr::V6(a) if crate::ip::is_link_local(a));
            let bound = self.options.bind_ifindex.load(Relaxed);
            let index = if scope != 0 { scope } else { bound };
            let group6 = ip.is_ipv6() && ip.is_multicast();
            if group6 || (link_local && index == 0) {
                return Err(Errno::EINVAL);
            }
            let fine = if link_local {
                self.net.addr_find(index, ip).is_some_and(|a| !a.tentative())
            } else {
                // IPv4's groups and broadcasts can be bound to, of whatever use that is.
                let broadcast = || {
                    matches!(ip, IpAddr::V4(a) if a.is_broadcast()) || self.net.local_kind(ip) == Some(Kind::Broadcast)
                };
                self.net.is_local(ip) || ip.is_multicast() || broadcast()
            };
            if !fine {
                return Err(Errno::EADDRNOTAVAIL);
            }
            if link_local {
                self.options.bind_ifindex.store(index, Relaxed);
            }
        }
        {
            let inner = self.inner.lock();
            if inner.local.1 != 0 || !matches!(inner.phase, Phase::Idle) {
                return Err(Errno::EINVAL);
            }
        }
        let late = port == 0 && self.inet.bind_no_port.load(Relaxed) != 0;
        let taken = if late { 0 } else { self.take_port(ip, port)? };
        let mut inner = self.inner.lock();
        inner.local = (ip, taken);
        inner.addr_locked = !ip.is_unspecified();
        inner.port_locked = taken != 0;
        Ok(())
    }

    fn connect(&self, addr: &SockAddr) -> Result<()> {
        if matches!(addr, SockAddr::Unspec) {
            self.connecting.store(false, Relaxed);
            return self.disconnect();
        }
        let (mut ip, port, scope) = self.address(addr)?;
        if matches!(ip, IpAddr::V6(a) if crate::ip::is_link_local(a)) {
            let bound = self.options.bind_ifindex.load(Relaxed);
            if scope == 0 && bound == 0 {
                return Err(Errno::EINVAL);
            }
        }
        if ip.is_multicast() {
            return Err(Errno::ENETUNREACH);
        }
        if ip.is_unspecified() {
            ip = if ip.is_ipv6() { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() };
        }
        // The end of connecting is told once, to whoever asks first: this call made again, or `connect_result`.
        if self.connecting.load(Relaxed) {
            return match self.connect_result() {
                Err(Errno::EAGAIN) => Err(Errno::EALREADY),
                other => other,
            };
        }
        if self.inner.lock().fast_open.deferred.is_some() {
            return Err(Errno::EISCONN);
        }
        if self.defer_connect(ip, port, scope) {
            return Ok(());
        }
        self.options.no_space.store(true, Relaxed);
        let _before = self.options.take_error();
        self.begin_connect(ip, port, scope)?;
        self.connecting.store(true, Relaxed);
        // On loopback the answer may be there already, but Linux too says that it goes on.
        Err(Errno::EINPROGRESS)
    }

    fn connect_result(&self) -> Result<()> {
        let state = match &self.inner.lock().phase {
            Phase::Connection(c) => Some(c.state()),
            _ => None,
        };
        if matches!(state, Some(State::SynSent | State::SynReceived)) {
            return Err(Errno::EAGAIN);
        }
        self.connecting.store(false, Relaxed);
        match state {
            Some(State::Closed) | None => {
                // A failed attempt leaves a socket that was never connected.
                let mut inner = self.inner.lock();
                if state.is_some() && !inner.hashed {
                    self.reset_to_idle(&mut inner);
                }
                drop(inner);
                self.options.take_error()?;
                Err(Errno::ECONNABORTED)
            }
            _ => Ok(()),
        }
    }

    fn listen(&self, backlog: i32) -> Result<()> {
        let most = usize::try_from(self.net.sysctl().somaxconn.get()).unwrap_or(4096);
        // A negative backlog is a very large one.
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX).min(most);
        let me = self.arc()?;
        let (addr, port) = {
            let mut inner = self.inner.lock();
            match &mut inner.phase {
                Phase::Listen(l) => {
                    l.set_backlog(backlog);
                    return Ok(());
                }
                Phase::Connection(c) if c.state() != State::Closed => return Err(Errno::EINVAL),
                _ => {}
            }
            inner.local
        };
        let port = if port == 0 { self.take_port(addr, 0)? } else { port };
        {
            let mut ports = self.net.tcp.ports.lock();
            let owner = Owner { listening: true, ..self.owner(addr) };
            ports.take(port, self.ino, owner)?;
            let mut inner = self.inner.lock();
            self.reset_to_idle(&mut inner);
            inner.local = (addr, port);
            inner.phase = Phase::Listen(Box::new(Listener::new(backlog)));
            inner.shut = 0;
        }
        self.net.tcp.listen((addr, port), me);
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SockAddr)> {
        let child = {
            let mut inner = self.inner.lock();
            let Phase::Listen(l) = &mut inner.phase else { return Err(Errno::EINVAL) };
            l.pop().ok_or(Errno::EAGAIN)?
        };
        let tuple = child.inner.lock().tuple;
        let peer = tuple.map_or(SockAddr::Unspec, |t| child.name(t.remote, t.scope));
        Ok((child, peer))
    }

    fn sendmsg(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        self.send(msg)
    }

    fn recvmsg(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        self.receive(msg)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let mut inner = self.inner.lock();
        let now = self.net.now();
        let stopped = match &mut inner.phase {
            Phase::Idle => return Err(Errno::ENOTCONN),
            Phase::Listen(_) if how == Shutdown::Write => return Ok(()),
            Phase::Listen(_) => {
                let stopped = self.stop_listening(&mut inner);
                inner.phase = Phase::Idle;
                drop(inner);
                self.waiters.wake(Events::ALL);
                stopped
            }
            Phase::Connection(c) => {
                match c.state() {
                    State::Closed => return Err(Errno::ENOTCONN),
                    State::SynSent => {
                        // Whichever direction it is: Linux disconnects the socket, and whoever waits in `connect` is told.
                        self.options.set_error(Errno::ECONNRESET);
                        c.abort();
                        let work = self.collect(&mut inner, now).quietly();
                        drop(inner);
                        self.finish(work);
                        self.connecting.store(false, Relaxed);
                        self.reset_to_idle(&mut self.inner.lock());
                        self.waiters.wake(Events::ALL);
                        return Ok(());
                    }
                    _ => {
                        if how != Shutdown::Write {
                            c.shutdown_read();
                        }
                        if how != Shutdown::Read {
                            c.shutdown_write();
                        }
                    }
                }
                let work = self.collect(&mut inner, now).quietly();
                drop(inner);
                self.finish(work);
                self.waiters.wake(Events::ALL);
                None
            }
        };
        if let Some(stopped) = stopped {
            stopped.finish(self);
        }
        Ok(())
    }

    fn local_addr(&self) -> Result<SockAddr> {
        let inner = self.inner.lock();
        let scope = inner.tuple.map_or(self.options.bind_ifindex.load(Relaxed), |t| t.scope);
        let (addr, port) = inner.local;
        Ok(self.name((addr, if port == 0 { inner.old_port } else { port }), scope))
    }

    fn peer_addr(&self) -> Result<SockAddr> {
        let inner = self.inner.lock();
        match (&inner.phase, inner.tuple) {
            (Phase::Connection(c), Some(t)) if c.transfers() && c.state() != State::Closed => {
                Ok(self.name(t.remote, t.scope))
            }
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn setsockopt(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        self.set_option(level, name, value)
    }

    fn getsockopt(&self, level: i32, name: i32, given: &[u8]) -> Result<Vec<u8>> {
        self.get_option(level, name, given)
    }

    fn readable_bytes(&self) -> Result<usize> {
        match &self.inner.lock().phase {
            Phase::Listen(_) => Err(Errno::EINVAL),
            Phase::Idle => Ok(0),
            Phase::Connection(c) => Ok(c.readable()),
        }
    }

    fn unsent_bytes(&self) -> Result<usize> {
        match &self.inner.lock().phase {
            Phase::Listen(_) => Err(Errno::EINVAL),
            Phase::Idle => Ok(0),
            Phase::Connection(c) => Ok(usize::try_from(c.unacknowledged()).unwrap_or(usize::MAX)),
        }
    }

    fn number_stamps(&self, written: bool) -> Result<()> {
        self.number_stamps(written)
    }

    fn options_changed(&self) {
        let o = &self.options;
        // More than half of the greatest buffer could never come.
        let [_, _, most] = self.net.sysctl().tcp_rmem.all();
        o.rcvlowat.fetch_min(u32::try_from(most / 2).unwrap_or(u32::MAX).max(1), Relaxed);
        let change = |s: &mut Settings| {
            s.keepalive = o.keepalive.load(Relaxed);
            s.oob_inline = o.oob_inline.load(Relaxed);
            s.rcvlowat = o.rcvlowat.load(Relaxed);
            s.sndbuf_locked = o.sndbuf_locked.load(Relaxed);
            s.rcvbuf_locked = o.rcvbuf_locked.load(Relaxed);
            s.sndbuf = o.sndbuf.load(Relaxed);
            s.rcvbuf = o.rcvbuf.load(Relaxed);
            s.max_pacing_rate = o.max_pacing_rate.load(Relaxed);
        };
        self.change_settings(change);
        let port = {
            let mut inner = self.inner.lock();
            inner.route = None;
            inner.local.1
        };
        if port != 0 {
            let (addr, port_share) = (o.reuse_addr.load(Relaxed), o.reuse_port.load(Relaxed));
            self.net.tcp.ports.lock().update(port, self.ino, |owner| {
                owner.reuse_addr = addr;
                owner.reuse_port = port_share;
            });
        }
    }
}
