//! The options of `IPPROTO_IP` and `IPPROTO_IPV6` that sockets of all protocols share (`man 7 ip`, `man 7 ipv6`), and the
//! control messages that go with them.

mod member;
pub(crate) mod num;
mod shared;

pub(crate) use shared::{Beginnings, SharedOptions};

use crate::tx::{IpTx, PmtuDisc, RxMeta};
use crate::{Net, Route};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
use lkl_abi::net_tstamp::SOF_TIMESTAMPING_OPT_ID;
use lkl_abi::socket::{SCM_TS_OPT_ID, SO_TIMESTAMPING_NEW, SO_TIMESTAMPING_OLD};
use lkl_abi::udp::{SOL_UDP, UDP_SEGMENT};
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::AF_INET6;
use lkl_file::{Control, ControlMessages, SockAddr, SockOptions};
use lkl_sync::{Mutex, Rank};
use member::Membership;
use num::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Calls a macro with the names of the options that are numbers.
macro_rules! numbers {
    ($with:ident) => {
        $with!(
            tos ttl minttl pmtudisc recverr pktinfo recvttl recvtos recvopts retopts recvorigdst freebind
            transparent nodefrag hdrincl bind_no_port multicast_ttl multicast_loop multicast_all multicast_if
            unicast_if tclass6 hops6 minhops6 pmtudisc6 recverr6 recvpktinfo6 recvhoplimit6 recvtclass6
            recvorigdst6 recvpathmtu6 flowinfo6 flowinfo_send6 autoflowlabel6 dontfrag6 hdrincl6 v6only
            addr_preferences6 multicast_hops6 multicast_loop6 multicast_all6 multicast_if6 unicast_if6
            local_port_range
        )
    };
}

/// State of the options of one socket, read without a lock.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the option of its name; those that end in 6 are IPPROTO_IPV6's")]
pub struct InetOptions {
    family: u16,
    pub tos: AtomicI32,
    pub ttl: AtomicI32,
    pub minttl: AtomicI32,
    pub pmtudisc: AtomicI32,
    pub recverr: AtomicI32,
    pub pktinfo: AtomicI32,
    pub recvttl: AtomicI32,
    pub recvtos: AtomicI32,
    pub recvopts: AtomicI32,
    pub retopts: AtomicI32,
    pub recvorigdst: AtomicI32,
    pub freebind: AtomicI32,
    pub transparent: AtomicI32,
    pub nodefrag: AtomicI32,
    pub hdrincl: AtomicI32,
    pub bind_no_port: AtomicI32,
    pub multicast_ttl: AtomicI32,
    pub multicast_loop: AtomicI32,
    pub multicast_all: AtomicI32,
    /// Link of `IP_MULTICAST_IF`.
    pub multicast_if: AtomicU32,
    pub unicast_if: AtomicU32,
    pub tclass6: AtomicI32,
    pub hops6: AtomicI32,
    pub minhops6: AtomicI32,
    pub pmtudisc6: AtomicI32,
    pub recverr6: AtomicI32,
    pub recvpktinfo6: AtomicI32,
    pub recvhoplimit6: AtomicI32,
    pub recvtclass6: AtomicI32,
    pub recvorigdst6: AtomicI32,
    pub recvpathmtu6: AtomicI32,
    pub flowinfo6: AtomicI32,
    pub flowinfo_send6: AtomicI32,
    pub autoflowlabel6: AtomicI32,
    pub dontfrag6: AtomicI32,
    pub hdrincl6: AtomicI32,
    pub v6only: AtomicI32,
    pub addr_preferences6: AtomicI32,
    pub multicast_hops6: AtomicI32,
    pub multicast_loop6: AtomicI32,
    pub multicast_all6: AtomicI32,
    pub multicast_if6: AtomicU32,
    pub unicast_if6: AtomicU32,
    /// Source address of `IP_MULTICAST_IF`.
    multicast_addr: Mutex<Ipv4Addr>,
    /// First and last port of `IP_LOCAL_PORT_RANGE`, each 0 for the default.
    pub local_port_range: AtomicU32,
    /// Source address and link of `IPV6_PKTINFO`.
    sticky6: Mutex<Option<(Ipv6Addr, u32)>>,
    memberships: Mutex<Vec<Membership>>,
}

/// What control messages of one `sendmsg` say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SendControl {
    /// Source address.
    pub src: Option<IpAddr>,
    /// Link.
    pub oif: u32,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// Type of service or traffic class.
    pub tos: Option<u8>,
    /// Payload bytes per datagram (`UDP_SEGMENT`).
    pub segment: Option<u16>,
    /// Mark.
    pub mark: Option<u32>,
    /// `IPV6_DONTFRAG`
    pub dontfrag: bool,
    /// `SOF_TIMESTAMPING_TX_*`, instead of what the socket has.
    pub stamps: Option<u32>,
    /// The number that its stamps go by.
    pub stamp_number: Option<u32>,
}

fn int(value: &[u8]) -> Result<i32> {
    match value {
        [a, b, c, d, ..] => Ok(i32::from_ne_bytes([*a, *b, *c, *d])),
        // IPv4 takes a single byte too.
        [a, ..] => Ok(i32::from(*a)),
        [] => Err(Errno::EINVAL),
    }
}

fn word(b: &[u8], at: usize) -> Result<u32> {
    b.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes).ok_or(Errno::EINVAL)
}

impl InetOptions {
    /// The options of a new socket of `family`.
    pub fn new(net: &Net, family: u16) -> Self {
        let (s, new) = (net.sysctl(), Self::beginning(family));
        new.pmtudisc.store(i32::from(!s.ip_no_pmtu_disc.on()), Relaxed);
        new.autoflowlabel6.store(s.auto_flowlabels.on().into(), Relaxed);
        new.v6only.store(s.bindv6only.on().into(), Relaxed);
        new
    }

    /// Those that no setting of the namespace has changed.
    fn beginning(family: u16) -> Self {
        let n = AtomicI32::new;
        let z = AtomicU32::new;
        Self {
            family,
            tos: n(0),
            ttl: n(-1),
            minttl: n(0),
            pmtudisc: n(1),
            recverr: n(0),
            pktinfo: n(0),
            recvttl: n(0),
            recvtos: n(0),
            recvopts: n(0),
            retopts: n(0),
            recvorigdst: n(0),
            freebind: n(0),
            transparent: n(0),
            nodefrag: n(0),
            hdrincl: n(0),
            bind_no_port: n(0),
            multicast_ttl: n(1),
            multicast_loop: n(1),
            multicast_all: n(i32::from(family != AF_INET6)),
            multicast_if: z(0),
            unicast_if: z(0),
            tclass6: n(0),
            hops6: n(-1),
            minhops6: n(0),
            pmtudisc6: n(1),
            recverr6: n(0),
            recvpktinfo6: n(0),
            recvhoplimit6: n(0),
            recvtclass6: n(0),
            recvorigdst6: n(0),
            recvpathmtu6: n(0),
            flowinfo6: n(0),
            flowinfo_send6: n(0),
            autoflowlabel6: n(1),
            dontfrag6: n(0),
            hdrincl6: n(0),
            v6only: n(0),
            addr_preferences6: n(0),
            multicast_hops6: n(-1),
            multicast_loop6: n(1),
            multicast_all6: n(1),
            multicast_if6: z(0),
            unicast_if6: z(0),
            multicast_addr: Mutex::new(Rank::Leaf, Ipv4Addr::UNSPECIFIED),
            local_port_range: z(0),
            sticky6: Mutex::new(Rank::Leaf, None),
            memberships: Mutex::new(Rank::Demux, Vec::new()),
        }
    }

    /// A copy for a connection made from a listening socket, which is a member of no group.
    pub fn inherit(&self, net: &Net) -> Self {
        let to = Self::new(net, self.family);
        self.copy_to(&to);
        to
    }

    fn copy_to(&self, to: &Self) {
        macro_rules! copy {
            ($($f:ident)*) => { $(to.$f.store(self.$f.load(Relaxed), Relaxed);)* };
        }
        numbers!(copy);
    }

    /// Are the numbers the same, and nothing else set?
    fn is_like(&self, other: &Self) -> bool {
        macro_rules! same {
            ($($f:ident)*) => { $(self.$f.load(Relaxed) == other.$f.load(Relaxed) &&)* self.family == other.family };
        }
        numbers!(same)
    }

    /// The same numbers, and nothing else set.
    fn copied(&self) -> Self {
        let to = Self::beginning(self.family);
        self.copy_to(&to);
        to
    }

    /// The plain numbers: the option's place, and its least and greatest value.
    fn number(&self, level: i32, name: i32) -> Option<(&AtomicI32, i32, i32)> {
        if level == SOL_IPV6 && self.family != AF_INET6 {
            return None;
        }
        const BOOL: (i32, i32) = (i32::MIN, i32::MAX);
        let (at, (min, max)) = match (level, name) {
            (SOL_IP, IP_TOS) => (&self.tos, (0, 255)),
            (SOL_IP, IP_TTL) => (&self.ttl, (-1, 255)),
            (SOL_IP, IP_MINTTL) => (&self.minttl, (0, 255)),
            (SOL_IP, IP_MTU_DISCOVER) => (&self.pmtudisc, (0, 5)),
            (SOL_IP, IP_RECVERR) => (&self.recverr, BOOL),
            (SOL_IP, IP_PKTINFO) => (&self.pktinfo, BOOL),
            (SOL_IP, IP_RECVTTL) => (&self.recvttl, BOOL),
            (SOL_IP, IP_RECVTOS) => (&self.recvtos, BOOL),
            (SOL_IP, IP_RECVOPTS) => (&self.recvopts, BOOL),
            (SOL_IP, IP_RETOPTS) => (&self.retopts, BOOL),
            (SOL_IP, IP_RECVORIGDSTADDR) => (&self.recvorigdst, BOOL),
            (SOL_IP, IP_FREEBIND) | (SOL_IPV6, IPV6_FREEBIND) => (&self.freebind, BOOL),
            (SOL_IP, IP_TRANSPARENT) | (SOL_IPV6, IPV6_TRANSPARENT) => (&self.transparent, BOOL),
            (SOL_IP, IP_BIND_ADDRESS_NO_PORT) => (&self.bind_no_port, BOOL),
            (SOL_IP, IP_MULTICAST_TTL) => (&self.multicast_ttl, (-1, 255)),
            (SOL_IP, IP_MULTICAST_LOOP) => (&self.multicast_loop, BOOL),
            (SOL_IP, IP_MULTICAST_ALL) => (&self.multicast_all, (0, 1)),
            (SOL_IPV6, _) if self.family != AF_INET6 => return None,
            (SOL_IPV6, IPV6_TCLASS) => (&self.tclass6, (-1, 255)),
            (SOL_IPV6, IPV6_UNICAST_HOPS) => (&self.hops6, (-1, 255)),
            (SOL_IPV6, IPV6_MINHOPCOUNT) => (&self.minhops6, (0, 255)),
            (SOL_IPV6, IPV6_MTU_DISCOVER) => (&self.pmtudisc6, (0, 5)),
            (SOL_IPV6, IPV6_RECVERR) => (&self.recverr6, BOOL),
            (SOL_IPV6, IPV6_RECVPKTINFO) => (&self.recvpktinfo6, BOOL),
            (SOL_IPV6, IPV6_RECVHOPLIMIT) => (&self.recvhoplimit6, BOOL),
            (SOL_IPV6, IPV6_RECVTCLASS) => (&self.recvtclass6, BOOL),
            (SOL_IPV6, IPV6_RECVORIGDSTADDR) => (&self.recvorigdst6, BOOL),
            (SOL_IPV6, IPV6_RECVPATHMTU) => (&self.recvpathmtu6, BOOL),
            (SOL_IPV6, IPV6_FLOWINFO) => (&self.flowinfo6, BOOL),
            (SOL_IPV6, IPV6_FLOWINFO_SEND) => (&self.flowinfo_send6, BOOL),
            (SOL_IPV6, IPV6_AUTOFLOWLABEL) => (&self.autoflowlabel6, BOOL),
            (SOL_IPV6, IPV6_DONTFRAG) => (&self.dontfrag6, BOOL),
            (SOL_IPV6, IPV6_V6ONLY) => (&self.v6only, BOOL),
            (SOL_IPV6, IPV6_ADDR_PREFERENCES) => (&self.addr_preferences6, BOOL),
            (SOL_IPV6, IPV6_MULTICAST_HOPS) => (&self.multicast_hops6, (-1, 255)),
            (SOL_IPV6, IPV6_MULTICAST_LOOP) => (&self.multicast_loop6, (0, 1)),
            (SOL_IPV6, IPV6_MULTICAST_ALL) => (&self.multicast_all6, (0, 1)),
            _ => return None,
        };
        Some((at, min, max))
    }

    /// Sets an option of `IPPROTO_IP` or `IPPROTO_IPV6`. `bound` says whether the socket has a local port (then
    /// `IPV6_V6ONLY` can no longer be set).
    ///
    /// # Errors
    /// `ENOPROTOOPT`, `EINVAL`, `ENODEV`, `EADDRNOTAVAIL`, `EADDRINUSE`, `ENOBUFS`.
    pub fn set(&self, net: &Net, level: i32, name: i32, value: &[u8], bound: bool) -> Result<()> {
        if let Some((at, min, max)) = self.number(level, name) {
            // Two of IPv6's take any length, and less than an `int` for a zero.
            let lax = level == SOL_IPV6 && matches!(name, IPV6_DONTFRAG | IPV6_AUTOFLOWLABEL);
            if level == SOL_IPV6 && value.len() < 4 && !lax {
                return Err(Errno::EINVAL);
            }
            // Most of IPv4's options take no bytes for a zero.
            let strict = matches!(
                name,
                IP_FREEBIND | IP_TRANSPARENT | IP_MINTTL | IP_MULTICAST_TTL | IP_MULTICAST_LOOP | IP_MULTICAST_ALL
            );
            let zero = lax && value.len() < 4 || level == SOL_IP && value.is_empty() && !strict;
            let n = if zero { 0 } else { int(value)? };
            let boolean = min == i32::MIN && !matches!((level, name), (SOL_IPV6, IPV6_ADDR_PREFERENCES));
            let n = match (level, name) {
                (SOL_IP, IP_TOS) => n & 0xff,
                (SOL_IP, IP_TTL) if n == 0 => return Err(Errno::EINVAL),
                (SOL_IP, IP_MULTICAST_TTL) if n == -1 => 1,
                (SOL_IPV6, IPV6_TCLASS) if n == -1 => 0,
                (SOL_IPV6, IPV6_V6ONLY) if bound => return Err(Errno::EINVAL),
                _ if boolean => i32::from(n != 0),
                _ => n,
            };
            if !boolean && min != i32::MIN && (n < min || n > max) {
                return Err(Errno::EINVAL);
            }
            at.store(n, Relaxed);
            return Ok(());
        }
        match (level, name) {
            (SOL_IP, IP_OPTIONS) if value.is_empty() => Ok(()),
            (SOL_IP, IP_UNICAST_IF) if value.len() != 4 => Err(Errno::EINVAL),
            (SOL_IP, IP_UNICAST_IF) => {
                let index = u32::from_be(word(value, 0)?);
                if index != 0 {
                    net.link_by_index(index).map_err(|_| Errno::EADDRNOTAVAIL)?;
                }
                self.unicast_if.store(index, Relaxed);
                Ok(())
            }
            (SOL_IP, IP_LOCAL_PORT_RANGE) => {
                let range = word(value, 0)?;
                let (low, high) = (range & 0xffff, range >> 16);
                if low != 0 && high != 0 && low > high {
                    return Err(Errno::EINVAL);
                }
                self.local_port_range.store(range, Relaxed);
                Ok(())
            }
            (SOL_IP, IP_MULTICAST_IF) => self.set_multicast_if(net, value),
            (SOL_IP, IP_NODEFRAG) => Err(Errno::ENOPROTOOPT),
            (SOL_IP, IP_ADD_MEMBERSHIP..=IP_DROP_SOURCE_MEMBERSHIP | MCAST_JOIN_GROUP..=MCAST_LEAVE_SOURCE_GROUP) => {
                self.set_membership(net, false, name, value)
            }
            (SOL_IPV6, _) if self.family != AF_INET6 => Err(Errno::ENOPROTOOPT),
            (SOL_IPV6, IPV6_ADD_MEMBERSHIP | IPV6_DROP_MEMBERSHIP | MCAST_JOIN_GROUP..=MCAST_LEAVE_SOURCE_GROUP) => {
                self.set_membership(net, true, name, value)
            }
            (SOL_IPV6, IPV6_UNICAST_IF) => {
                let index = u32::from_be(word(value, 0)?);
                if index != 0 {
                    net.link_by_index(index).map_err(|_| Errno::EADDRNOTAVAIL)?;
                }
                self.unicast_if6.store(index, Relaxed);
                Ok(())
            }
            (SOL_IPV6, IPV6_MULTICAST_IF) => {
                let index = word(value, 0)?;
                if index != 0 {
                    net.link_by_index(index)?;
                }
                self.multicast_if6.store(index, Relaxed);
                Ok(())
            }
            (SOL_IPV6, IPV6_PKTINFO) => {
                let info = if value.is_empty() { None } else { Some(pktinfo6(value)?) };
                *self.sticky6.lock() = info.filter(|(a, i)| !a.is_unspecified() || *i != 0);
                Ok(())
            }
            (SOL_IPV6, IPV6_MTU) => {
                // A limit of the socket's own: only what changes nothing is taken.
                if !matches!(word(value, 0)? as i32, 0 | 1280..) {
                    return Err(Errno::EINVAL);
                }
                Ok(())
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn set_multicast_if(&self, net: &Net, value: &[u8]) -> Result<()> {
        // `struct in_addr`, `struct ip_mreq` or `struct ip_mreqn`.
        let (addr, index) = match value.len() {
            12.. => (word(value, 4)?, word(value, 8)?),
            8.. => (word(value, 4)?, 0),
            4.. => (word(value, 0)?, 0),
            _ => return Err(Errno::EINVAL),
        };
        let addr = Ipv4Addr::from(addr.to_ne_bytes());
        let index = if index != 0 {
            net.link_by_index(index).map_err(|_| Errno::EADDRNOTAVAIL)?.index
        } else if addr.is_unspecified() {
            0
        } else {
            net.addr_find(0, addr.into()).ok_or(Errno::EADDRNOTAVAIL)?.ifindex
        };
        *self.multicast_addr.lock() = addr;
        self.multicast_if.store(index, Relaxed);
        Ok(())
    }

    /// Reads an option of `IPPROTO_IP` or `IPPROTO_IPV6`. `route` is that of a connected socket.
    ///
    /// # Errors
    /// `ENOPROTOOPT`; `ENOTCONN` (`IP_MTU` of an unconnected socket).
    pub fn get(&self, net: &Net, level: i32, name: i32, route: Option<&Route>) -> Result<Vec<u8>> {
        let answer = |n: i32| Ok(n.to_ne_bytes().to_vec());
        if let Some((at, ..)) = self.number(level, name) {
            let n = at.load(Relaxed);
            return answer(match (level, name) {
                (SOL_IP, IP_TTL) if n < 0 => net.sysctl().ip_default_ttl.get() as i32,
                (SOL_IPV6, IPV6_UNICAST_HOPS) if n < 0 => net.sysctl().ipv6_default.hop_limit.get() as i32,
                (SOL_IPV6, IPV6_MULTICAST_HOPS) if n < 0 => 1,
                _ => n,
            });
        }
        match (level, name) {
            (SOL_IP, IP_MTU) => answer(route.ok_or(Errno::ENOTCONN)?.mtu as i32),
            (SOL_IP, IP_MULTICAST_IF) => Ok(self.multicast_addr.lock().octets().to_vec()),
            (SOL_IP, IP_UNICAST_IF) => Ok(self.unicast_if.load(Relaxed).to_be_bytes().to_vec()),
            (SOL_IP, IP_LOCAL_PORT_RANGE) => Ok(self.local_port_range.load(Relaxed).to_ne_bytes().to_vec()),
            (SOL_IP, IP_OPTIONS) => Ok(Vec::new()),
            (SOL_IP, IP_HDRINCL) => answer(0),
            (SOL_IPV6, _) if self.family != AF_INET6 => Err(Errno::EOPNOTSUPP),
            (SOL_IPV6, IPV6_MTU) => answer(route.ok_or(Errno::ENOTCONN)?.mtu as i32),
            (SOL_IPV6, IPV6_MULTICAST_IF) => answer(self.multicast_if6.load(Relaxed) as i32),
            (SOL_IPV6, IPV6_UNICAST_IF) => Ok(self.unicast_if6.load(Relaxed).to_be_bytes().to_vec()),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    /// Does the socket keep errors in a queue of their own (`IP_RECVERR`)?
    pub fn wants_errors(&self, v6: bool) -> bool {
        if v6 { &self.recverr6 } else { &self.recverr }.load(Relaxed) != 0
    }

    /// The least TTL that a packet received may have.
    pub fn min_ttl(&self, v6: bool) -> u8 {
        (if v6 { &self.minhops6 } else { &self.minttl }).load(Relaxed) as u8
    }

    /// May it be bound to, and send from, addresses that are not ours?
    pub fn any_src(&self, net: &Net) -> bool {
        self.freebind.load(Relaxed) != 0 || self.transparent.load(Relaxed) != 0 || net.sysctl().ip_nonlocal_bind.on()
    }

    /// How packets to `v6` or IPv4 destinations may be fragmented.
    pub fn pmtu(&self, v6: bool) -> PmtuDisc {
        let value = (if v6 { &self.pmtudisc6 } else { &self.pmtudisc }).load(Relaxed);
        PmtuDisc::from_value(value).unwrap_or_default()
    }

    /// The link that packets to `dst` leave by, 0 for any: `SO_BINDTODEVICE` first.
    pub fn oif(&self, opts: &SockOptions, dst: IpAddr) -> u32 {
        let bound = opts.bind_ifindex.load(Relaxed);
        if bound != 0 {
            return bound;
        }
        let index = match (dst.is_multicast(), dst.is_ipv6()) {
            (true, false) => &self.multicast_if,
            (true, true) => &self.multicast_if6,
            (false, false) => &self.unicast_if,
            (false, true) => &self.unicast_if6,
        };
        index.load(Relaxed)
    }

    /// The source address that `IP_MULTICAST_IF` or `IPV6_PKTINFO` asks for.
    pub fn preferred_source(&self, dst: IpAddr) -> Option<IpAddr> {
        match dst {
            IpAddr::V4(d) if d.is_multicast() => {
                Some(*self.multicast_addr.lock()).filter(|a| !a.is_unspecified()).map(IpAddr::V4)
            }
            IpAddr::V4(_) => None,
            IpAddr::V6(_) => (*self.sticky6.lock()).map(|(a, _)| a).filter(|a| !a.is_unspecified()).map(IpAddr::V6),
        }
    }

    /// Writes into `tx` what the options say of a packet to its destination.
    pub fn apply(&self, opts: &SockOptions, tx: &mut IpTx) {
        let dst = crate::ip::unmap(tx.dst);
        let v6 = dst.is_ipv6();
        let many = dst.is_multicast();
        let ttl = match (many, v6) {
            (true, false) => &self.multicast_ttl,
            (true, true) => &self.multicast_hops6,
            (false, false) => &self.ttl,
            (false, true) => &self.hops6,
        };
        tx.ttl = u8::try_from(ttl.load(Relaxed)).ok();
        tx.tos = if v6 { &self.tclass6 } else { &self.tos }.load(Relaxed) as u8;
        tx.pmtu = self.pmtu(v6);
        if v6 && self.dontfrag6.load(Relaxed) != 0 {
            tx.pmtu = PmtuDisc::Do;
        }
        tx.multicast_loop = if v6 { &self.multicast_loop6 } else { &self.multicast_loop }.load(Relaxed) != 0;
        if tx.oif == 0 {
            tx.oif = self.oif(opts, dst);
        }
        tx.mark = opts.mark.load(Relaxed);
        tx.broadcast = opts.broadcast.load(Relaxed);
        tx.dont_route |= opts.dont_route.load(Relaxed);
        tx.any_src = self.transparent.load(Relaxed) != 0 || self.freebind.load(Relaxed) != 0;
    }

    /// Reads the control messages of a `sendmsg`.
    ///
    /// # Errors
    /// `EINVAL`
    pub fn send_control(&self, opts: &SockOptions, control: &[Control]) -> Result<SendControl> {
        let flags = opts.timestamping.load(Relaxed);
        let mut c = SendControl::default();
        for m in control {
            let d = &m.data[..];
            match (m.level, m.kind) {
                (SOL_IP, IP_PKTINFO) => {
                    if d.len() < 12 {
                        return Err(Errno::EINVAL);
                    }
                    c.oif = word(d, 0)?;
                    let src = Ipv4Addr::from(word(d, 4)?.to_ne_bytes());
                    c.src = Some(src).filter(|s| !s.is_unspecified()).map(IpAddr::V4);
                }
                (SOL_IP, IP_TTL) => {
                    let n = int(d)?;
                    c.ttl = Some(u8::try_from(n).ok().filter(|n| *n > 0).ok_or(Errno::EINVAL)?);
                }
                (SOL_IP, IP_TOS) => c.tos = Some(int(d)? as u8),
                (SOL_IPV6, IPV6_PKTINFO | IPV6_2292PKTINFO) => {
                    let (src, oif) = pktinfo6(d)?;
                    c.oif = oif;
                    c.src = Some(src).filter(|s| !s.is_unspecified()).map(|s| crate::ip::unmap(s.into()));
                }
                (SOL_IPV6, IPV6_HOPLIMIT | IPV6_2292HOPLIMIT) => match word(d, 0)? as i32 {
                    -1 => {}
                    n => c.ttl = Some(u8::try_from(n).map_err(|_| Errno::EINVAL)?),
                },
                (SOL_IPV6, IPV6_TCLASS) => match word(d, 0)? as i32 {
                    -1 => {}
                    n => c.tos = Some(u8::try_from(n).map_err(|_| Errno::EINVAL)?),
                },
                (SOL_IPV6, IPV6_DONTFRAG) => c.dontfrag = word(d, 0)? != 0,
                (SOL_UDP, UDP_SEGMENT) => match d {
                    [a, b, ..] => c.segment = Some(u16::from_ne_bytes([*a, *b])),
                    _ => return Err(Errno::EINVAL),
                },
                (SOL_SOCKET, SO_MARK) => c.mark = Some(word(d, 0)?),
                (SOL_SOCKET, SO_TIMESTAMPING_OLD | SO_TIMESTAMPING_NEW) if d.len() == 4 => {
                    c.stamps = Some(crate::timestamp::asked(word(d, 0)?)?);
                }
                (SOL_SOCKET, SCM_TS_OPT_ID) if d.len() == 4 && flags & SOF_TIMESTAMPING_OPT_ID != 0 => {
                    c.stamp_number = Some(word(d, 0)?);
                }
                (SOL_SOCKET, SCM_TXTIME) => return Err(Errno::EINVAL),
                (SOL_SOCKET, SCM_RIGHTS | SCM_CREDENTIALS) => {}
                (SOL_IP | SOL_IPV6 | SOL_SOCKET, _) => return Err(Errno::EINVAL),
                _ => {}
            }
        }
        Ok(c)
    }

    /// The control messages that go with a packet received, as asked for. `dst_port` is the port it was sent to.
    pub fn receive_control(&self, opts: &SockOptions, meta: &RxMeta, dst_port: u16, out: &mut ControlMessages) {
        crate::timestamp::push(opts, meta.time, false, out);
        let mut put = |level, kind, data: &[u8]| out.push(Control { level, kind, data: data.to_vec() });
        let on = |o: &AtomicI32| o.load(Relaxed) != 0;
        match meta.dst {
            IpAddr::V4(dst) => {
                if on(&self.pktinfo) {
                    let mut d = [0; 12];
                    d[..4].copy_from_slice(&meta.ifindex.to_ne_bytes());
                    d[4..8].copy_from_slice(&dst.octets());
                    d[8..].copy_from_slice(&dst.octets());
                    put(SOL_IP, IP_PKTINFO, &d);
                }
                if on(&self.recvttl) {
                    put(SOL_IP, IP_TTL, &i32::from(meta.ttl).to_ne_bytes());
                }
                if on(&self.recvtos) {
                    put(SOL_IP, IP_TOS, &[meta.tos]);
                }
                if on(&self.recvorigdst) {
                    let a = SockAddr::for_family(2, meta.dst, dst_port, 0).to_bytes();
                    put(SOL_IP, IP_RECVORIGDSTADDR, &a);
                }
                if self.family == AF_INET6 && on(&self.recvpktinfo6) {
                    let mut d = [0; 20];
                    d[..16].copy_from_slice(&dst.to_ipv6_mapped().octets());
                    d[16..].copy_from_slice(&meta.ifindex.to_ne_bytes());
                    put(SOL_IPV6, IPV6_PKTINFO, &d);
                }
            }
            IpAddr::V6(dst) => {
                if on(&self.recvpktinfo6) {
                    let mut d = [0; 20];
                    d[..16].copy_from_slice(&dst.octets());
                    d[16..].copy_from_slice(&meta.ifindex.to_ne_bytes());
                    put(SOL_IPV6, IPV6_PKTINFO, &d);
                }
                if on(&self.recvhoplimit6) {
                    put(SOL_IPV6, IPV6_HOPLIMIT, &i32::from(meta.ttl).to_ne_bytes());
                }
                if on(&self.recvtclass6) {
                    put(SOL_IPV6, IPV6_TCLASS, &i32::from(meta.tos).to_ne_bytes());
                }
                if on(&self.flowinfo6) && (meta.flow_label != 0 || meta.tos != 0) {
                    let info = u32::from(meta.tos) << 20 | meta.flow_label;
                    put(SOL_IPV6, IPV6_FLOWINFO, &info.to_be_bytes());
                }
                if on(&self.recvorigdst6) {
                    let a = SockAddr::for_family(AF_INET6, meta.dst, dst_port, meta.scope_of(meta.dst)).to_bytes();
                    put(SOL_IPV6, IPV6_RECVORIGDSTADDR, &a);
                }
            }
        }
    }
}

fn pktinfo6(d: &[u8]) -> Result<(Ipv6Addr, u32)> {
    let addr: [u8; 16] = d.get(..16).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?;
    Ok((Ipv6Addr::from(addr), word(d, 16)?))
}
