//! A TCP socket: what it is made of, and the ways from the program's calls (`calls`) to its connection.

use super::listen::Listener;
use super::notes::{self, Notes, Progress};
use super::ports::Owner;
use super::table::{Entry, Tuple};
use super::work::{OutQueue, Work};
use crate::options::SharedOptions;
use crate::sock::errqueue;
use crate::timestamp;
use crate::tx::{IcmpError, PayloadParts, RxMeta};
use crate::{FlowKey, Net, Route};
use bytes::Bytes;
use core::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed},
};
use core::time::Duration;
use lkl_abi::socket::{MSG_DONTWAIT, MSG_ERRQUEUE, MSG_FASTOPEN, MSG_MORE, MSG_OOB, MSG_PEEK, MSG_TRUNC};
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::{AF_INET, AF_INET6};
use lkl_file::{Control, RecvMsg, SendMsg, SockAddr, SockOptions};
use lkl_net::route::Kind;
use lkl_net::tcp::{Config, Connection, Flags, Read, Segment, Settings, State};
use lkl_ops::Instant;
use lkl_sync::{Events, Mutex, MutexGuard, Rank, Timer, TimerTarget, WaitQueue};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};

/// The most that one `send` moves before it looks at the connection again.
const CHUNK: usize = 256 * 1024;

/// What the socket is.
pub(super) enum Phase {
    /// Nothing yet, or nothing any more.
    Idle,
    /// It takes connections.
    Listen(Box<Listener>),
    /// It is one.
    Connection(Box<Connection>),
}

/// Options that few programs set.
#[derive(Clone, Default)]
pub(super) struct Rare {
    /// `TCP_SAVE_SYN`
    pub(super) save_syn: bool,
    /// `TCP_SAVED_SYN`
    pub(super) saved_syn: Option<Box<[u8]>>,
    /// `TCP_TX_DELAY`, in microseconds: a queueing discipline would do it, and there is none.
    pub(super) tx_delay: u32,
}

/// What a socket's lock guards.
pub(super) struct Inner {
    pub(super) phase: Phase,
    pub(super) local: (IpAddr, u16),
    pub(super) addr_locked: bool,
    /// `bind` gave the port: it stays when the connection is over.
    pub(super) port_locked: bool,
    pub(super) tuple: Option<Tuple>,
    /// It stands in the table under `tuple`.
    pub(super) hashed: bool,
    /// The program has no descriptor of it any more.
    pub(super) released: bool,
    /// The options of the next connection.
    pub(super) settings: Arc<Settings>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) defer_accept_secs: u32,
    /// `TCP_QUICKACK` was switched off before there was a connection.
    pub(super) no_quick_ack: bool,
    /// The port that the last connection had, which is shown until there is another.
    pub(super) old_port: u16,
    /// `shutdown` of a socket without a connection.
    pub(super) shut: u8,
    pub(super) fast_open: super::fastopen::Wishes,
    /// Bytes that it is known to hold.
    pub(super) charged: u64,
    /// What few programs ask for.
    pub(super) rare: Option<Box<Rare>>,
    /// It is counted as an orphan.
    pub(super) orphan: bool,
    /// The settings of the namespace that the connection knows (`TcpTable::tuned`).
    pub(super) tuned: u32,
}

impl Inner {
    /// To change a rare option.
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(Box::default)
    }

    /// `connect` does not wait for data any more.
    fn forget_deferred(&mut self) {
        if self.fast_open.deferred.is_some() {
            self.fast_open.tell().deferred = None;
        }
    }
}

/// A socket.
pub(crate) struct TcpSocket {
    pub(super) me: Weak<Self>,
    pub(super) net: Arc<Net>,
    pub(super) family: u16,
    pub(super) ino: u64,
    pub(super) options: SockOptions,
    pub(super) inet: SharedOptions,
    pub(super) waiters: WaitQueue,
    pub(super) inner: Mutex<Inner>,
    pub(super) out: OutQueue,
    pub(super) timer: Timer,
    pub(super) notes: OnceLock<Box<Notes>>,
    /// `TCP_INQ`
    pub(super) inq: AtomicBool,
    /// `connect` has begun, and its end has not been told yet.
    pub(super) connecting: AtomicBool,
    /// Its lock will never be given back ([`Net::tcp_forsake`]): segments are answered as if it were not there.
    pub(super) forsaken: AtomicBool,
}

impl TcpSocket {
    pub(super) fn new(net: &Arc<Net>, family: u16) -> Arc<Self> {
        let settings = net.tcp.shared_defaults(super::option::default_settings(net.sysctl()));
        let inner = Inner {
            phase: Phase::Idle,
            local: (crate::ip::unspecified(family == AF_INET6), 0),
            addr_locked: false,
            port_locked: false,
            tuple: None,
            hashed: false,
            released: false,
            route: None,
            defer_accept_secs: 0,
            no_quick_ack: false,
            old_port: 0,
            shut: 0,
            fast_open: super::fastopen::Wishes::default(),
            charged: 0,
            rare: None,
            orphan: false,
            tuned: 0,
            settings,
        };
        let options = SockOptions::new(inner.settings.sndbuf, inner.settings.rcvbuf);
        let inet = SharedOptions::new(net, family);
        Self::with(net, family, options, inet, inner)
    }

    pub(super) fn with(
        net: &Arc<Net>,
        family: u16,
        options: SockOptions,
        inet: SharedOptions,
        inner: Inner,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            net: net.clone(),
            family,
            ino: net.new_ino(),
            options,
            inet,
            waiters: WaitQueue::new(),
            inner: Mutex::new(Rank::Socket, inner),
            out: OutQueue::default(),
            timer: Timer::default(),
            notes: OnceLock::new(),
            inq: AtomicBool::new(false),
            connecting: AtomicBool::new(false),
            forsaken: AtomicBool::new(false),
        })
    }

    pub(super) fn v6(&self) -> bool {
        self.family == AF_INET6
    }

    pub(super) fn v6only(&self) -> bool {
        self.inet.v6only.load(Relaxed) != 0
    }

    pub(super) fn arc(&self) -> Result<Arc<Self>> {
        self.me.upgrade().ok_or(Errno::EBADF)
    }

    /// An address given by the program: unmapped, with port and scope.
    pub(super) fn address(&self, addr: &SockAddr) -> Result<(IpAddr, u16, u32)> {
        match (addr, self.family) {
            (SockAddr::Inet(SocketAddr::V4(a)), AF_INET) => Ok(((*a.ip()).into(), a.port(), 0)),
            (SockAddr::Inet(SocketAddr::V6(a)), AF_INET6) => {
                let ip = crate::ip::unmap((*a.ip()).into());
                if ip.is_ipv4() && self.v6only() {
                    return Err(Errno::ENETUNREACH);
                }
                let scope = if crate::ip::needs_scope(ip) { a.scope_id() } else { 0 };
                Ok((ip, a.port(), scope))
            }
            (SockAddr::Inet(SocketAddr::V4(_)), _) => Err(Errno::EINVAL),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    pub(super) fn name(&self, (ip, port): (IpAddr, u16), scope: u32) -> SockAddr {
        let ip = if self.v6() && ip == crate::ip::unspecified(false) { crate::ip::unspecified(true) } else { ip };
        let scope = if crate::ip::needs_scope(ip) { scope } else { 0 };
        SockAddr::for_family(self.family, ip, port, scope)
    }

    pub(super) fn owner(&self, addr: IpAddr) -> Owner {
        Owner {
            addr,
            v6only: self.v6() && self.v6only(),
            ifindex: self.options.bind_ifindex.load(Relaxed),
            reuse_addr: self.options.reuse_addr.load(Relaxed),
            reuse_port: self.options.reuse_port.load(Relaxed),
            listening: false,
            by_connect: false,
        }
    }

    pub(super) fn port_range(&self) -> (u32, u32) {
        let [mut low, mut high] = self.net.sysctl().ip_local_port_range.all().map(|p| p as u32);
        let own = self.inet.local_port_range.load(Relaxed);
        if own & 0xffff != 0 {
            low = own & 0xffff;
        }
        if own >> 16 != 0 {
            high = own >> 16;
        }
        (low, high.max(low))
    }

    /// Takes `port`, or any if it is 0.
    pub(super) fn take_port(&self, addr: IpAddr, port: u16) -> Result<u16> {
        let owner = self.owner(addr);
        let mut ports = self.net.tcp.ports.lock();
        if port != 0 {
            ports.take(port, self.ino, owner)?;
            return Ok(port);
        }
        let (low, high) = self.port_range();
        let count = high - low + 1;
        let start = self.net.random_u32() % count;
        let all = || (0..count).map(|i| (low + (start + i) % count) as u16);
        let all = || all().filter(|p| !self.net.sysctl().is_reserved(*p));
        let free = all().find(|p| ports.is_unused(*p)).or_else(|| all().find(|p| ports.is_free(*p, self.ino, &owner)));
        let port = free.ok_or(Errno::EADDRINUSE)?;
        ports.put(port, self.ino, owner);
        Ok(port)
    }

    /// How closely a listening socket, bound to `local`, is bound to `addr` on `ifindex`; `None` if it is not.
    pub(super) fn listen_score(&self, local: IpAddr, addr: IpAddr, ifindex: u32) -> Option<u32> {
        let bound = self.options.bind_ifindex.load(Relaxed);
        if bound != 0 && bound != ifindex {
            return None;
        }
        let base = match (local.is_unspecified(), local == addr) {
            (_, true) => 8,
            (true, _) if local.is_ipv6() == addr.is_ipv6() => 4,
            (true, _) if local.is_ipv6() && !self.v6only() => 2,
            _ => return None,
        };
        Some(base + u32::from(bound != 0))
    }

    /// The way to the peer, looked up anew if the old one is no longer right. Called holding no lock.
    pub(super) fn current_route(&self, tuple: &Tuple) -> Option<Arc<Route>> {
        let cached = self.inner.lock().route.clone();
        if cached.as_ref().is_some_and(|r| self.net.route_valid(r)) {
            return cached;
        }
        let fresh = self.route_of(tuple).ok();
        self.inner.lock().route.clone_from(&fresh);
        fresh
    }

    /// Looks up the way to the peer, which is shared with the connections that have the same.
    pub(super) fn route_of(&self, tuple: &Tuple) -> Result<Arc<Route>> {
        let ports = (tuple.local.1, tuple.remote.1);
        let route = self.find_route(Some(tuple.local.0), tuple.remote.0, tuple.scope, ports)?;
        Ok(self.net.tcp.shared_route(route))
    }

    pub(super) fn find_route(&self, src: Option<IpAddr>, dst: IpAddr, oif: u32, ports: (u16, u16)) -> Result<Route> {
        let key = FlowKey {
            src,
            oif: if oif != 0 { oif } else { self.inet.oif(&self.options, dst) },
            mark: self.options.mark.load(Relaxed),
            proto: crate::ip::IPPROTO_TCP,
            ports,
            any_src: self.inet.any_src(&self.net),
            ..FlowKey::to(dst)
        };
        self.net.route_output(&key)
    }

    /// The path takes less than thought.
    pub(super) fn path_changed(&self, tuple: &Tuple) {
        self.inner.lock().route = None;
        let Some(route) = self.current_route(tuple) else { return };
        let mut inner = self.inner.lock();
        let now = self.net.now();
        if let Phase::Connection(c) = &mut inner.phase {
            c.on_path_mss(now, None, path_mss(&route));
        }
        // What is lost now is found by the next acknowledgement or timer: sending here could recur for ever.
    }

    /// What a connection over `route` begins with.
    pub(super) fn config(&self, tuple: &Tuple, route: &Route, settings: &Arc<Settings>) -> Config {
        let s = self.net.sysctl();
        Config {
            local_port: tuple.local.1,
            remote_port: tuple.remote.1,
            iss: self.net.tcp_initial_sequence(tuple),
            ts_offset: if s.tcp_timestamps.get() == 1 { self.net.tcp_hash(tuple, 0x75) as u32 } else { 0 },
            path_mss: path_mss(route),
            advertised_mss: advertised_mss(route),
            window_scaling: s.tcp_window_scaling.on(),
            timestamps: s.tcp_timestamps.on(),
            sack: s.tcp_sack.on(),
            ecn: super::option::ecn_kinds(s).0,
            fast_open: None,
            settings: settings.clone(),
            tunables: self.net.tcp.tunables(),
        }
    }

    /// Takes the lock to use the connection, which is told of what has changed in `/proc/sys` before.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock();
        let tuned = self.net.tcp.tuned.load(Acquire);
        if inner.tuned != tuned {
            inner.tuned = tuned;
            if let Phase::Connection(c) = &mut inner.phase {
                c.set_tunables(self.net.tcp.tunables());
            }
        }
        inner
    }

    /// Runs `f` on the connection, does what it leaves, and answers what it said.
    ///
    /// Here and elsewhere the clock is read under the socket's lock: a connection's time never goes back, or what is
    /// sent later would seem to have been sent earlier, and be taken for lost.
    pub(super) fn on_connection<T>(&self, f: impl FnOnce(&mut Connection, Instant) -> T) -> Result<T> {
        let mut inner = self.lock();
        let now = self.net.now();
        let Phase::Connection(c) = &mut inner.phase else { return Err(Errno::ENOTCONN) };
        let answer = f(c, now);
        let work = self.collect(&mut inner, now);
        drop(inner);
        self.finish(work);
        Ok(answer)
    }

    /// A segment of its connection came.
    pub(super) fn on_segment(&self, meta: &RxMeta, header: &Segment, payload: Bytes) {
        self.take_in(meta, |c, now| c.on_segment(now, header, payload));
    }

    /// The same with the payload in pieces, each of which is like a segment of its own.
    pub(super) fn on_pieces(&self, meta: &RxMeta, header: &Segment, pieces: PayloadParts) {
        let mut left: usize = pieces.iter().map(Bytes::len).sum();
        let mut piece_of = header.clone();
        self.take_in(meta, |c, now| {
            for piece in pieces {
                let len = piece.len();
                left -= len;
                let end = if left == 0 { Flags::empty() } else { Flags::FIN | Flags::PSH };
                piece_of.flags = header.flags - end;
                c.on_segment(now, &piece_of, piece);
                piece_of.seq = piece_of.seq.wrapping_add(len as u32);
            }
        });
    }

    fn take_in(&self, meta: &RxMeta, f: impl FnOnce(&mut Connection, Instant)) {
        let min_ttl = self.inet.min_ttl(meta.src.is_ipv6());
        if meta.ttl < min_ttl {
            return;
        }
        let level = self.net.tcp_memory_level();
        let challenges = self.net.tcp_challenges_left();
        let progress = self.on_connection(|c, now| {
            c.set_memory_level(level);
            c.allow_challenges(challenges);
            f(c, now);
            Progress::of(c)
        });
        if let Ok(progress) = progress {
            self.note_progress(&progress, meta.time);
        }
    }

    pub(super) fn on_icmp_error(&self, error: &IcmpError, seq: u32) {
        let wants = self.inet.wants_errors(error.dst.is_ipv6());
        let header = if error.dst.is_ipv6() { 60 } else { 40 };
        let told = self.on_connection(|c, now| match error.mtu {
            Some(mtu) => {
                c.on_path_mss(now, Some(seq), u16::try_from(mtu.min(65_535)).unwrap_or(0).saturating_sub(header))
            }
            None => c.on_icmp_error(seq, error.errno, error.hard),
        });
        if told.is_ok() && wants && error.mtu.is_none() {
            self.options.set_error(error.errno);
            self.waiters.wake(Events::ERR | Events::READ | Events::WRITE);
        }
    }

    pub(super) fn begin_connect(&self, ip: IpAddr, port: u16, scope: u32) -> Result<()> {
        self.begin_connect_with(ip, port, scope, None).map(|_| ())
    }

    /// The same with data for the SYN (Fast Open); answers how much of it goes along.
    pub(super) fn begin_connect_with(&self, ip: IpAddr, port: u16, scope: u32, data: Option<&[u8]>) -> Result<usize> {
        let me = self.arc()?;
        let (addr, locked, local_port) = {
            let mut inner = self.inner.lock();
            match &inner.phase {
                Phase::Idle => {}
                Phase::Listen(_) => return Err(Errno::EISCONN),
                Phase::Connection(c) => match c.state() {
                    State::SynSent | State::SynReceived => return Err(Errno::EALREADY),
                    State::Closed => {
                        self.options.take_error()?;
                        self.reset_to_idle(&mut inner);
                    }
                    _ => return Err(Errno::EISCONN),
                },
            }
            (inner.local.0, inner.addr_locked, inner.local.1)
        };
        let src = Some(addr).filter(|a| locked && !a.is_unspecified() && a.is_ipv6() == ip.is_ipv6());
        let route = self.find_route(src, ip, scope, (local_port, port))?;
        if matches!(route.kind, Kind::Broadcast | Kind::Multicast) {
            return Err(Errno::ENETUNREACH);
        }
        let local = if locked && !addr.is_unspecified() { addr } else { route.src };
        let ifindex = if scope != 0 { scope } else { route.oif() };
        let tuple = |p| Tuple::new((local, p), (route.dst, port), ifindex);
        let entry = Entry::Connection(me);
        let mut ports = self.net.tcp.ports.lock();
        let mut inner = self.inner.lock();
        if !matches!(inner.phase, Phase::Idle) {
            return Err(Errno::EALREADY);
        }
        let tuple = if local_port != 0 {
            let t = tuple(local_port);
            self.enter(t, entry)?;
            t
        } else {
            let (low, high) = self.port_range();
            let count = high - low + 1;
            // RFC 6056, section 3.3.3: where to begin depends on the peer, in a way that cannot be guessed.
            let offset = self.net.tcp_hash(&tuple(0), 0x6056) as u32;
            // And on what was found before, so that many connections to one peer do not look at each other's ports. As many as that
            // makes no difference to who does not know the offset.
            let start = offset.wrapping_add(self.net.tcp.next_port(offset, self.net.random_u32()));
            let mut found = None;
            for i in 0..count {
                let p = (low + start.wrapping_add(i) % count) as u16;
                if !ports.is_connectable(p) || self.net.sysctl().is_reserved(p) {
                    continue;
                }
                let t = tuple(p);
                if self.enter(t, entry.clone()).is_ok() {
                    found = Some(t);
                    break;
                }
            }
            let t = found.ok_or(Errno::EADDRNOTAVAIL)?;
            let by_connect = Owner { by_connect: true, ..self.owner(local) };
            ports.put(t.local.1, self.ino, by_connect);
            t
        };
        drop(ports);
        inner.local = tuple.local;
        inner.tuple = Some(tuple);
        inner.hashed = true;
        inner.shut = 0;
        let mut config = self.config(&tuple, &route, &inner.settings);
        if data.is_some() || inner.fast_open.connect {
            config.fast_open = self.fast_open_wanted(&inner.fast_open, tuple.remote.0, &route).map(Box::new);
        }
        inner.forget_deferred();
        inner.route = Some(self.net.tcp.shared_route(route));
        let now = self.net.now();
        let along = data.map_or(0, |d| d.len().min(config.fast_open.as_ref().map_or(0, |f| f.data.into())));
        let mut connection = Box::new(Connection::connect(config, now));
        if let Some(data) = data.and_then(|d| d.get(..along)).filter(|d| !d.is_empty()) {
            connection.send(Bytes::copy_from_slice(data), false, false)?;
        }
        if inner.no_quick_ack {
            connection.quick_ack(false);
        }
        inner.phase = Phase::Connection(connection);
        self.net.snmp().tcp.active_opens.inc();
        let work = self.collect(&mut inner, now);
        drop(inner);
        self.finish(work);
        Ok(along)
    }

    /// Puts the connection into the table; one in TIME_WAIT gives way if it may.
    fn enter(&self, tuple: Tuple, entry: Entry) -> Result<()> {
        if let Some(Entry::TimeWait(tw)) = self.net.tcp.find(&tuple) {
            let local = tuple.remote.0.is_loopback();
            let reuse = self.net.sysctl().tcp_tw_reuse.get();
            let delay = u64::try_from(self.net.sysctl().tcp_tw_reuse_delay.get()).unwrap_or(0);
            let may = tw.state.lock().reusable(self.net.now(), Duration::from_millis(delay)).is_some();
            if may && (reuse == 1 || (reuse == 2 && local)) {
                self.net.tcp.remove(&tuple, Some(Arc::as_ptr(&tw).cast()));
            }
        }
        self.net.tcp.put_new(tuple, entry)
    }

    pub(super) fn reset_to_idle(&self, inner: &mut Inner) {
        inner.phase = Phase::Idle;
        inner.tuple = None;
        inner.route = None;
        inner.forget_deferred();
        self.net.tcp.charge(core::mem::take(&mut inner.charged), 0);
        if !inner.addr_locked {
            inner.local.0 = crate::ip::unspecified(self.v6());
        }
        if !inner.port_locked {
            inner.local.1 = 0;
        }
    }

    /// `connect` to `AF_UNSPEC`.
    pub(super) fn disconnect(&self) -> Result<()> {
        let port = self.inner.lock().local.1;
        let stopped = {
            let mut inner = self.inner.lock();
            match &inner.phase {
                Phase::Listen(_) => self.stop_listening(&mut inner),
                _ => None,
            }
        };
        if let Some(stopped) = stopped {
            stopped.finish(self);
        }
        let _none = self.on_connection(|c, _| c.abort());
        let mut inner = self.inner.lock();
        self.reset_to_idle(&mut inner);
        inner.no_quick_ack = false;
        inner.old_port = port;
        drop(inner);
        let _none = self.options.take_error();
        Ok(())
    }

    pub(super) fn send(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        self.options.take_error()?;
        let asked = notes::asked(&msg.control)?;
        let deferred = {
            let inner = self.inner.lock();
            matches!(inner.phase, Phase::Idle).then_some(inner.fast_open.deferred)
        };
        if let Some(deferred) = deferred {
            // There is no connection: only Fast Open may make one.
            let to = match (deferred, &msg.name) {
                (Some(to), _) => to,
                (None, Some(SockAddr::Unspec)) if msg.flags & MSG_FASTOPEN != 0 => return Err(Errno::EOPNOTSUPP),
                (None, Some(name)) if msg.flags & MSG_FASTOPEN != 0 => self.address(name)?,
                (None, None) if msg.flags & MSG_FASTOPEN != 0 => return Err(Errno::EINVAL),
                _ => return Err(Errno::EPIPE),
            };
            let mut ahead = *msg.data;
            let data = ahead.read_vec(ahead.remaining().min(usize::from(u16::MAX)))?;
            return match self.send_fast(to, &data) {
                Ok(n) => {
                    msg.data.skip(n);
                    Ok(n)
                }
                // Whoever waits sends it when the connection is there.
                Err(Errno::EINPROGRESS) if msg.flags & MSG_DONTWAIT == 0 => Err(Errno::EAGAIN),
                other => other,
            };
        }
        let mut inner = self.lock();
        let now = self.net.now();
        let Phase::Connection(c) = &mut inner.phase else { return Err(Errno::EPIPE) };
        match c.state() {
            _ if !c.transfers() && msg.flags & MSG_FASTOPEN != 0 && msg.flags & MSG_DONTWAIT != 0 => {
                return Err(Errno::EALREADY);
            }
            _ if !c.transfers() => return Err(Errno::EAGAIN),
            _ if c.write_closed() => return Err(Errno::EPIPE),
            _ => {}
        }
        c.set_memory_level(self.net.tcp_memory_level());
        let room = c.send_room();
        let wanted = msg.data.remaining();
        if wanted == 0 {
            return Ok(0);
        }
        if room < wanted {
            self.options.no_space.store(true, Relaxed);
        }
        if room == 0 {
            c.note_no_room();
            return Err(Errno::EAGAIN);
        }
        let n = wanted.min(room).min(CHUNK);
        let data = msg.data.read_vec(n)?;
        let last = n == wanted;
        // What there is no room for may come late; what only this step leaves comes at once.
        let more = if last { msg.flags & MSG_MORE != 0 } else { n < room };
        let data = Bytes::from(data);
        c.send(data.clone(), more, last && msg.flags & MSG_OOB != 0)?;
        if last || (msg.flags & MSG_DONTWAIT != 0 && n == room) {
            let flags = timestamp::recorded(&self.options, asked);
            let zerocopy = notes::zerocopy(&self.options, msg.flags);
            if flags != 0 || zerocopy {
                self.note_send(c.write_seq(), flags, zerocopy, data);
            }
        }
        let work = self.collect(&mut inner, now);
        drop(inner);
        self.finish(work);
        Ok(n)
    }

    pub(super) fn receive(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        if msg.flags & MSG_ERRQUEUE != 0 {
            let notes = self.notes.get().ok_or(Errno::EAGAIN)?;
            return errqueue::receive(&notes.errors, self.family, &self.options, &self.inet, msg);
        }
        let mut inner = self.lock();
        let shut = inner.shut;
        let Phase::Connection(c) = &mut inner.phase else {
            drop(inner);
            self.options.take_error()?;
            return if shut & 1 != 0 { Ok(0) } else { Err(Errno::ENOTCONN) };
        };
        let peek = msg.flags & MSG_PEEK != 0;
        if msg.flags & MSG_OOB != 0 {
            let byte = c.read_urgent(peek)?;
            msg.out_flags |= MSG_OOB;
            return byte.map_or(Ok(0), |b| msg.data.write(&[b]));
        }
        let wanted = msg.data.remaining();
        let lowat = (self.options.rcvlowat.load(Relaxed) as usize).clamp(1, wanted.max(1));
        if lowat > 1 && msg.flags & MSG_DONTWAIT == 0 && !c.can_read(lowat) {
            return Err(Errno::EAGAIN);
        }
        let can_read = c.can_read(1);
        // Where nothing is taken out, the time does not matter.
        let now = if can_read { self.net.now() } else { Instant::ZERO };
        // `SO_PEEK_OFF`
        let peek_off = self.options.peek_off.load(Relaxed);
        let ahead = if peek { usize::try_from(peek_off).unwrap_or(0) } else { 0 };
        let mut done = 0;
        let mut failed = None;
        let mut end = Read::Empty;
        while done < wanted {
            let at = if peek { ahead + done } else { 0 };
            match c.peek(at, wanted - done, done > 0) {
                Read::Data(data) => {
                    if msg.flags & MSG_TRUNC == 0 {
                        if let Err(e) = msg.data.write(&data) {
                            failed = Some(e);
                            break;
                        }
                    }
                    done += data.len();
                    if !peek {
                        c.consume(now, data.len());
                    }
                }
                other => {
                    end = other;
                    break;
                }
            }
        }
        if done > 0 && peek_off >= 0 {
            let moved = i32::try_from(done).unwrap_or(i32::MAX);
            let next = if peek { peek_off.saturating_add(moved) } else { peek_off.saturating_sub(moved).max(0) };
            self.options.peek_off.store(next, Relaxed);
        }
        if done > 0 && timestamp::wanted(&self.options) {
            let (read, _) = c.received();
            if let Some(time) = self.came_at(if peek { read + done as u64 } else { read }, read) {
                timestamp::push(&self.options, time, false, &mut msg.control);
            }
        }
        if self.inq.load(Relaxed) {
            let left = i32::try_from(c.readable()).unwrap_or(i32::MAX);
            msg.control.push(Control {
                level: super::option::SOL_TCP,
                kind: super::option::TCP_INQ,
                data: left.to_ne_bytes().to_vec(),
            });
        }
        let work = if done > 0 { Some(self.collect(&mut inner, now)) } else { None };
        drop(inner);
        if let Some(work) = work {
            self.finish(work);
        }
        match (done, failed, end) {
            (0, Some(e), _) => Err(e),
            (0, None, _) if wanted == 0 && can_read => Ok(0),
            (0, None, Read::Eof) => self.options.take_error().map(|()| 0),
            (0, None, _) => {
                self.options.take_error()?;
                Err(Errno::EAGAIN)
            }
            (n, ..) => Ok(n),
        }
    }
}

/// Payload that a path takes after IP and TCP headers.
pub(super) fn path_mss(route: &Route) -> u16 {
    let header = if route.dst.is_ipv6() { 60 } else { 40 };
    (route.mtu.min(65_535) as u16).saturating_sub(header)
}

/// The MSS that is announced: what the link takes, or the route says.
pub(super) fn advertised_mss(route: &Route) -> u16 {
    /// `RTAX_ADVMSS`
    const ADVMSS: u16 = 8;
    let header = if route.dst.is_ipv6() { 60 } else { 40 };
    let link = (route.link.mtu().min(65_535) as u16).saturating_sub(header);
    route.metric(ADVMSS).map_or(link, |m| link.min(m.min(65_535) as u16))
}

impl TimerTarget for TcpSocket {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.lock();
        let now = now.max(self.net.now());
        let work = match &mut inner.phase {
            Phase::Idle => return None,
            Phase::Listen(_) => {
                drop(inner);
                return self.requests_expire(now);
            }
            Phase::Connection(c) => {
                match c.deadline() {
                    Some(at) if at > now => return Some(at),
                    Some(_) => c.on_timer(now),
                    None => return None,
                }
                self.collect(&mut inner, now)
            }
        };
        drop(inner);
        self.perform(work)
    }
}

impl TcpSocket {
    /// Changes the options of the connection there is, and of those to come.
    pub(super) fn change_settings(&self, change: impl Fn(&mut Settings)) {
        let mut inner = self.lock();
        let now = self.net.now();
        change(Arc::make_mut(&mut inner.settings));
        let settings = inner.settings.clone();
        let work: Work = match &mut inner.phase {
            Phase::Connection(c) => {
                c.set_settings(now, settings);
                self.collect(&mut inner, now)
            }
            _ => return,
        };
        drop(inner);
        self.finish(work);
    }
}
