//! The network namespace as a value.

use crate::addr::IfAddr;
use crate::event::{NetEvent, NetEventSink};
use crate::link::Link;
use crate::snmp::Snmp;
use crate::sysctl::Sysctl;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use lkl_abi::if_::{IFF_LOOPBACK, IFF_UP};
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::{AF_INET, AF_INET6, AF_PACKET};
use lkl_file::File;
use lkl_net::route::Fib;
use lkl_ops::{Host, Instant};
use lkl_sync::{Mutex, Rank, RwLock, Timer, TimerTarget, Timers};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Weak};

/// Links and their addresses.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) links: BTreeMap<u32, Arc<Link>>,
    pub(crate) names: HashMap<String, u32>,
    /// By link, in the order in which they are shown.
    pub(crate) addrs: BTreeMap<u32, Vec<IfAddr>>,
}

/// What a deadline of the stack itself is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// Neighbours.
    Neighbours,
    /// Addresses, routes, router discovery.
    Config,
    /// Reassembly.
    Reassembly,
    /// Reports of group membership.
    Multicast,
}

/// The stack's own place in the timer heap.
struct JobTimer {
    net: Weak<Net>,
    job: Job,
    timer: Timer,
}

impl TimerTarget for JobTimer {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn expire(&self, now: Instant) -> Option<Instant> {
        let net = self.net.upgrade()?;
        match self.job {
            Job::Neighbours => net.neigh_timer(now),
            Job::Config => net.config_timer(now),
            Job::Reassembly => net.reassembly_timer(now),
            Job::Multicast => net.multicast_timer(now),
        }
    }
}

/// A network namespace: the whole stack.
pub struct Net {
    me: Weak<Self>,
    host: Arc<dyn Host>,
    timers: Timers,
    snmp: Snmp,
    sysctl: Sysctl,
    /// Held while the configuration is changed.
    pub(crate) rtnl: Mutex<()>,
    pub(crate) config: RwLock<Config>,
    pub(crate) fib: RwLock<Fib>,
    /// Changes whenever routes found before may be wrong.
    pub(crate) generation: AtomicU64,
    pub(crate) local: crate::local::LocalCache,
    sinks: RwLock<Vec<Arc<dyn NetEventSink>>>,
    neigh_alarm: Arc<JobTimer>,
    config_alarm: Arc<JobTimer>,
    reassembly_alarm: Arc<JobTimer>,
    multicast_alarm: Arc<JobTimer>,
    next_ino: AtomicU64,
    /// Makes hashes and identifications hard to guess.
    pub(crate) secret: u64,
    /// Hashes flows.
    pub(crate) flows: foldhash::quality::RandomState,
    pub(crate) ids: crate::output::Ids,
    pub(crate) pmtu: crate::pmtu::PmtuCache,
    pub(crate) neigh: crate::neigh::NeighTable,
    pub(crate) loopback: crate::loopback::Loopback,
    pub(crate) frags: Mutex<crate::reassembly::Fragments>,
    pub(crate) slaac: Mutex<crate::slaac::Slaac>,
    pub(crate) multicast: crate::mcast::Memberships,
    pub(crate) icmp_limit: crate::icmp::RateLimit,
    pub(crate) udp: crate::udp::UdpTable,
    pub(crate) raw: crate::raw::RawTable,
    pub(crate) ping: crate::ping::PingTable,
    pub(crate) packet: crate::packet::PacketTable,
    pub(crate) tcp: crate::tcp::TcpTable,
}

impl Net {
    /// A namespace with `lo` (index 1), which is up and has 127.0.0.1/8 and ::1/128.
    pub fn new(host: Arc<dyn Host>) -> Arc<Self> {
        let mut secret = [0; 8];
        host.random(&mut secret);
        let timers = Timers::new();
        let net = Arc::new_cyclic(|me: &Weak<Self>| {
            let alarm = |job| Arc::new(JobTimer { net: me.clone(), job, timer: Timer::default() });
            let (neigh_alarm, config_alarm) = (alarm(Job::Neighbours), alarm(Job::Config));
            let (reassembly_alarm, multicast_alarm) = (alarm(Job::Reassembly), alarm(Job::Multicast));
            Self {
                me: me.clone(),
                host,
                timers,
                snmp: Snmp::default(),
                sysctl: Sysctl::default(),
                rtnl: Mutex::new(Rank::Configuration, ()),
                config: RwLock::new(Rank::NetConfig, Config::default()),
                fib: RwLock::new(Rank::Routes, Fib::default()),
                generation: AtomicU64::new(1),
                local: crate::local::LocalCache::default(),
                sinks: RwLock::new(Rank::Leaf, Vec::new()),
                neigh_alarm,
                config_alarm,
                reassembly_alarm,
                multicast_alarm,
                next_ino: AtomicU64::new(1 << 16),
                secret: u64::from_ne_bytes(secret),
                flows: foldhash::quality::RandomState::default(),
                ids: crate::output::Ids::new(1),
                pmtu: crate::pmtu::PmtuCache::default(),
                neigh: crate::neigh::NeighTable::default(),
                loopback: crate::loopback::Loopback::default(),
                frags: Mutex::new(Rank::PacketTable, crate::reassembly::Fragments::default()),
                multicast: crate::mcast::Memberships::default(),
                slaac: Mutex::new(Rank::PacketTable, crate::slaac::Slaac::default()),
                icmp_limit: crate::icmp::RateLimit::default(),
                udp: crate::udp::UdpTable::default(),
                raw: crate::raw::RawTable::default(),
                ping: crate::ping::PingTable::default(),
                packet: crate::packet::PacketTable::default(),
                tcp: crate::tcp::TcpTable::default(),
            }
        });
        net.boot_loopback();
        // What the MIBs say that is no count.
        let s = net.snmp();
        s.ip.forwarding.set(2);
        s.ip.default_ttl.set(64);
        s.tcp.rto_algorithm.set(1);
        s.tcp.rto_min.set(200);
        s.tcp.rto_max.set(120_000);
        s.tcp.max_conn.set(-1);
        net
    }

    fn boot_loopback(&self) {
        let lo = Arc::new(Link::new(1, "lo".to_owned(), 65_536, IFF_LOOPBACK, None));
        {
            let mut config = self.config.write();
            config.names.insert("lo".to_owned(), 1);
            config.links.insert(1, lo);
        }
        let up = self.link_set_flags(1, IFF_UP, IFF_UP);
        let mut v4 = IfAddr::new(1, Ipv4Addr::LOCALHOST.into(), 8);
        v4.scope = lkl_net::route::SCOPE_HOST;
        let added = self.addr_add(v4, false);
        let mut v6 = IfAddr::new(1, Ipv6Addr::LOCALHOST.into(), 128);
        // `IFAPROT_KERNEL_LO`
        v6.proto = 1;
        let added6 = self.addr_add(v6, true);
        debug_assert!(up.is_ok() && added.is_ok() && added6.is_ok(), "lo comes up");
    }

    pub(crate) fn arc(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// The outside.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        self.host.now()
    }

    /// The deadlines of all objects of the stack.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Makes sure that the target of `timer` is called no later than `at`. Called holding no lock.
    pub fn arm(&self, timer: &Timer, target: impl FnOnce() -> Weak<dyn TimerTarget>, at: Instant) {
        if self.timers.arm(timer, target, at) {
            self.host.rearm(at);
        }
    }

    fn arm_job(&self, job: &Arc<JobTimer>, at: Instant) {
        self.arm(&job.timer, || Arc::<JobTimer>::downgrade(job), at);
    }

    pub(crate) fn arm_neigh(&self, at: Instant) {
        self.arm_job(&self.neigh_alarm, at);
    }

    pub(crate) fn arm_config(&self, at: Instant) {
        self.arm_job(&self.config_alarm, at);
    }

    pub(crate) fn arm_multicast(&self, at: Instant) {
        self.arm_job(&self.multicast_alarm, at);
    }

    pub(crate) fn arm_reassembly(&self, at: Instant) {
        self.arm_job(&self.reassembly_alarm, at);
    }

    /// Counters.
    pub fn snmp(&self) -> &Snmp {
        &self.snmp
    }

    /// Settings.
    pub fn sysctl(&self) -> &Sysctl {
        &self.sysctl
    }

    /// The sockets of TCP (kept by [`crate::tcp`]).
    pub fn tcp_table(&self) -> &crate::tcp::TcpTable {
        &self.tcp
    }

    /// A new inode number, for a socket.
    pub fn new_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Relaxed)
    }

    /// 32 random bits.
    pub fn random_u32(&self) -> u32 {
        let mut b = [0; 4];
        self.host.random(&mut b);
        u32::from_ne_bytes(b)
    }

    /// Has `sink` told of changes of the configuration.
    pub fn subscribe(&self, sink: Arc<dyn NetEventSink>) {
        self.sinks.write().push(sink);
    }

    pub(crate) fn emit(&self, event: &NetEvent) {
        let sinks = self.sinks.read().clone();
        for sink in sinks {
            sink.event(event);
        }
    }

    /// Reads the devices, runs the loopback queue and the timers; answers the next deadline. Callable from several
    /// threads at once.
    pub fn service(&self) -> Option<Instant> {
        self.service_until(&|| false)
    }

    /// The same; a device is left as it is once `enough` says so, if it is likely to have nothing else.
    pub fn service_until(&self, enough: &dyn Fn() -> bool) -> Option<Instant> {
        let busy = self.read_devices(enough);
        self.run_loopback();
        self.timers.run(self.now());
        self.run_loopback();
        if busy {
            return Some(self.now());
        }
        self.timers.earliest()
    }

    /// A new socket of `AF_INET`, `AF_INET6` or `AF_PACKET`.
    ///
    /// # Errors
    /// `EAFNOSUPPORT`, `ESOCKTNOSUPPORT`, `EPROTONOSUPPORT`, `EINVAL`.
    pub fn socket(self: &Arc<Self>, family: u16, kind: u32, protocol: u32) -> Result<Arc<dyn File>> {
        use crate::ip::{IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP};
        use lkl_abi::socket::{SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};
        if family == AF_PACKET {
            return crate::packet::socket(self, kind, protocol);
        }
        if family != AF_INET && family != AF_INET6 {
            return Err(Errno::EAFNOSUPPORT);
        }
        let proto = u8::try_from(protocol).map_err(|_| Errno::EINVAL)?;
        match (kind, proto) {
            (SOCK_STREAM, 0 | IPPROTO_TCP) => Ok(crate::tcp::socket(self, family)),
            (SOCK_DGRAM, 0 | IPPROTO_UDP) => Ok(crate::udp::socket(self, family)),
            (SOCK_DGRAM, IPPROTO_ICMP) if family == AF_INET => Ok(crate::ping::socket(self, family)),
            (SOCK_DGRAM, IPPROTO_ICMPV6) if family == AF_INET6 => Ok(crate::ping::socket(self, family)),
            (SOCK_RAW, 0) => Err(Errno::EPROTONOSUPPORT),
            (SOCK_RAW, _) => Ok(crate::raw::socket(self, family, proto)),
            (SOCK_STREAM | SOCK_DGRAM, _) => Err(Errno::EPROTONOSUPPORT),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        }
    }
}

impl core::fmt::Debug for Net {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Net({} links)", self.config.read().links.len())
    }
}
