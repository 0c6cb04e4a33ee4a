//! The network as programs are shown it: plain values, taken from `lkl-inet` by [`crate::source`].

use lkl_inet::Link;
use std::net::IpAddr;
use std::sync::Arc;

/// Counters of a link (`struct rtnl_link_stats64`, those that are kept).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) rx_packets: u64,
    pub(crate) tx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_errors: u64,
    pub(crate) tx_errors: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_dropped: u64,
    pub(crate) multicast: u64,
}

/// A link.
#[derive(Clone, Debug)]
pub(crate) struct LinkView {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) loopback: bool,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
    pub(crate) txqlen: u32,
    /// `IFF_*`
    pub(crate) flags: u32,
    pub(crate) stats: Stats,
    pub(crate) driver: &'static str,
    pub(crate) tx_checksum: bool,
    pub(crate) tso4: bool,
    pub(crate) tso6: bool,
    /// How often it went up and down.
    pub(crate) carrier_changes: u32,
    pub(crate) promiscuity: u32,
    pub(crate) allmulti: u32,
    /// For its settings.
    pub(crate) link: Arc<Link>,
}

/// An address of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AddrView {
    pub(crate) ifindex: u32,
    pub(crate) local: IpAddr,
    /// The other end of a point-to-point link, else `local`.
    pub(crate) peer: IpAddr,
    pub(crate) prefix_len: u8,
    pub(crate) broadcast: Option<IpAddr>,
    pub(crate) label: Option<String>,
    pub(crate) scope: u8,
    /// `IFA_F_*`
    pub(crate) flags: u32,
    pub(crate) proto: u8,
    /// Metric of its prefix route, 0 for the default.
    pub(crate) metric: u32,
    /// Seconds, `u32::MAX` for ever.
    pub(crate) preferred: u32,
    pub(crate) valid: u32,
    /// Of its making and last change, in hundredths of a second since boot.
    pub(crate) created: u32,
    pub(crate) updated: u32,
}

/// A socket, of TCP, UDP, raw or ping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SockView {
    pub(crate) family: u16,
    /// `TCP_*` of `netinet/tcp.h`.
    pub(crate) state: u8,
    pub(crate) timer: u8,
    pub(crate) retrans: u8,
    pub(crate) src: IpAddr,
    pub(crate) sport: u16,
    pub(crate) dst: IpAddr,
    pub(crate) dport: u16,
    pub(crate) ifindex: u32,
    pub(crate) cookie: u64,
    /// Until the timer fires.
    pub(crate) expires_ms: u32,
    pub(crate) rqueue: u32,
    pub(crate) wqueue: u32,
    pub(crate) uid: u32,
    pub(crate) ino: u64,
    pub(crate) mark: u32,
    pub(crate) v6only: bool,
    pub(crate) tos: u8,
    pub(crate) tclass: u8,
    /// Bit 0: receiving, bit 1: sending is shut down.
    pub(crate) shutdown: u8,
    /// In the order of `SK_MEMINFO_*`.
    pub(crate) meminfo: [u32; 9],
    /// `struct tcp_info`
    pub(crate) tcp_info: Option<Vec<u8>>,
    pub(crate) cong: Option<String>,
    /// False for what is no full socket: TIME_WAIT, requests.
    pub(crate) full: bool,
}

/// A packet socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PacketView {
    pub(crate) kind: u32,
    /// EtherType.
    pub(crate) protocol: u16,
    pub(crate) ifindex: u32,
    pub(crate) ino: u64,
    pub(crate) meminfo: [u32; 9],
}

/// One way of a route.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct HopView {
    /// 0 for none.
    pub(crate) oif: u32,
    pub(crate) gateway: Option<IpAddr>,
    /// 1 and up.
    pub(crate) weight: u16,
    /// `RTNH_F_*`
    pub(crate) flags: u8,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RouteView {
    pub(crate) family: u16,
    pub(crate) dst: IpAddr,
    pub(crate) dst_len: u8,
    pub(crate) src: Option<(IpAddr, u8)>,
    pub(crate) tos: u8,
    pub(crate) table: u32,
    /// `RTPROT_*`
    pub(crate) protocol: u8,
    /// `RT_SCOPE_*`
    pub(crate) scope: u8,
    /// `RTN_*`
    pub(crate) kind: u8,
    /// `RTM_F_*`
    pub(crate) flags: u32,
    pub(crate) priority: u32,
    pub(crate) prefsrc: Option<IpAddr>,
    /// `RTAX_*` and value.
    pub(crate) metrics: Vec<(u16, u32)>,
    pub(crate) hops: Vec<HopView>,
    /// Seconds until it goes, 0 for never.
    pub(crate) expires: u32,
    /// `ICMPV6_ROUTER_PREF_*`
    pub(crate) pref: u8,
}

/// A neighbour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NeighView {
    pub(crate) ifindex: u32,
    pub(crate) ip: IpAddr,
    pub(crate) mac: Option<[u8; 6]>,
    /// `NUD_*`
    pub(crate) state: u16,
    /// `NTF_*`
    pub(crate) flags: u8,
    /// Hundredths of a second since each.
    pub(crate) confirmed: u32,
    pub(crate) used: u32,
    pub(crate) updated: u32,
    pub(crate) probes: u32,
}

/// A rule that chooses a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RuleView {
    pub(crate) family: u16,
    pub(crate) priority: Option<u32>,
    pub(crate) src: Option<(IpAddr, u8)>,
    pub(crate) dst: Option<(IpAddr, u8)>,
    pub(crate) tos: u8,
    pub(crate) table: u32,
    /// `FR_ACT_*`
    pub(crate) action: u8,
    pub(crate) goto: Option<u32>,
    pub(crate) invert: bool,
    pub(crate) iif: Option<String>,
    pub(crate) oif: Option<String>,
    pub(crate) mark: Option<(u32, u32)>,
    pub(crate) uid_range: Option<(u32, u32)>,
    pub(crate) ip_proto: Option<u8>,
    pub(crate) sport: Option<(u16, u16)>,
    pub(crate) dport: Option<(u16, u16)>,
    pub(crate) suppress_prefixlen: Option<u32>,
    pub(crate) protocol: u8,
}
