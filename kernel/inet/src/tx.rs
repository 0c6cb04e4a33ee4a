//! What is given to the IP layer to send, and what it says of what it received.

use crate::flow::Route;
use crate::timestamp::TxStamp;
use bytes::Bytes;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// When a packet may be fragmented (`IP_MTU_DISCOVER`, `IPV6_MTU_DISCOVER`; `man 7 ip`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum PmtuDisc {
    /// `IP_PMTUDISC_DONT`: fragmented here and by routers.
    Dont = 0,
    /// `IP_PMTUDISC_WANT`: fragmented here if it is too long for the path, never by routers.
    #[default]
    Want = 1,
    /// `IP_PMTUDISC_DO`: never fragmented; `EMSGSIZE` if it is too long for the path.
    Do = 2,
    /// `IP_PMTUDISC_PROBE`: the path's MTU is ignored, never fragmented.
    Probe = 3,
    /// `IP_PMTUDISC_INTERFACE`: the path's MTU is ignored, fragmented here if it is too long for the link.
    Interface = 4,
    /// `IP_PMTUDISC_OMIT`: as `Interface`, and routers may fragment it too.
    Omit = 5,
}

impl PmtuDisc {
    /// The value of the socket option.
    pub const fn from_value(value: i32) -> Option<Self> {
        Some(match value {
            0 => Self::Dont,
            1 => Self::Want,
            2 => Self::Do,
            3 => Self::Probe,
            4 => Self::Interface,
            5 => Self::Omit,
            _ => return None,
        })
    }
}

/// A transport header.
pub type HeaderBytes = SmallVec<[u8; 64]>;
/// What follows the transport header, in pieces.
pub type PayloadParts = SmallVec<[Bytes; 4]>;

/// A packet for [`crate::Net::ip_output`]. Make it by [`IpTx::new`] and change what is to be otherwise.
#[derive(Clone, Debug)]
pub struct IpTx {
    /// Source address; unspecified: chosen by the route.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol number of the transport header.
    pub proto: u8,
    /// TTL or hop limit; `None`: the route's or the system's default (1 for multicast).
    pub ttl: Option<u8>,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Flow label (IPv6).
    pub flow_label: u32,
    /// When it may be fragmented.
    pub pmtu: PmtuDisc,
    /// A route found before; looked up anew if it is no longer valid or absent.
    pub route: Option<Arc<Route>>,
    /// Transport header.
    pub header: HeaderBytes,
    /// What follows it.
    pub payload: PayloadParts,
    /// Offset in `header` of a checksum to be filled in, over the pseudo-header, `header` and `payload` (the field
    /// itself is zero). `None`: nothing to fill in.
    pub checksum: Option<u16>,
    /// If it stands for several segments: payload bytes of each (TCP, UDP).
    pub gso_size: Option<u16>,
    /// `SO_MARK`
    pub mark: u32,
    /// Interface to send from (`SO_BINDTODEVICE`, `sin6_scope_id`), 0 for any.
    pub oif: u32,
    /// IPv4 options, padded to whole words, or IPv6 extension headers (see `ext_proto`).
    pub options: Bytes,
    /// IPv6: the `Next Header` value of the first extension header in `options`.
    pub ext_proto: Option<u8>,
    /// Copies of multicast packets are given to members on this host too (`IP_MULTICAST_LOOP`).
    pub multicast_loop: bool,
    /// `SO_BROADCAST`; without it, a packet to a broadcast address is `EACCES`.
    pub broadcast: bool,
    /// Only directly connected destinations (`MSG_DONTROUTE`).
    pub dont_route: bool,
    /// Source need not be an address of this host (`IP_TRANSPARENT`, `IP_FREEBIND`).
    pub any_src: bool,
    /// Notes when it leaves.
    pub stamp: Option<TxStamp>,
}

impl IpTx {
    /// A packet with nothing special about it, whose transport checksum stands at `checksum` in `header`.
    pub fn new(src: IpAddr, dst: IpAddr, proto: u8, header: HeaderBytes, checksum: Option<u16>) -> Self {
        Self {
            src,
            dst,
            proto,
            ttl: None,
            tos: 0,
            flow_label: 0,
            pmtu: PmtuDisc::Want,
            route: None,
            header,
            payload: PayloadParts::new(),
            checksum,
            gso_size: None,
            mark: 0,
            oif: 0,
            options: Bytes::new(),
            ext_proto: None,
            multicast_loop: true,
            broadcast: true,
            dont_route: false,
            any_src: false,
            stamp: None,
        }
    }

    /// Bytes of transport header and payload.
    pub fn transport_len(&self) -> usize {
        self.header.len() + self.payload.iter().map(Bytes::len).sum::<usize>()
    }
}

/// How a packet was addressed on the link (`PACKET_*` of `man 7 packet`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum PacketType {
    /// To us.
    #[default]
    Host = 0,
    /// To everybody.
    Broadcast = 1,
    /// To a group.
    Multicast = 2,
    /// To somebody else.
    OtherHost = 3,
    /// Sent by us.
    Outgoing = 4,
}

/// What is known of a packet received, for a transport protocol.
#[derive(Clone, Debug)]
pub struct RxMeta {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol number.
    pub proto: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Flow label (IPv6).
    pub flow_label: u32,
    /// Index of the link it came by.
    pub ifindex: u32,
    /// The transport checksum is known to be right.
    pub checksum_ok: bool,
    /// It stands for several segments, of this payload size.
    pub gso_size: Option<u16>,
    /// How it was addressed on the link.
    pub packet_type: PacketType,
    /// Destination is a broadcast address (IPv4) of ours.
    pub broadcast: bool,
    /// Wall-clock time when it came, since the Unix epoch.
    pub time: core::time::Duration,
    /// The packet from its IP header on; the transport header is at `transport`.
    pub packet: Bytes,
    /// Offset of the transport header in `packet`.
    pub transport: usize,
}

impl RxMeta {
    /// Was it sent to one host only, and is its source one host? Only such packets are answered by resets and errors.
    pub fn unicast(&self) -> bool {
        self.packet_type == PacketType::Host && !self.broadcast && !self.dst.is_multicast()
    }

    /// The scope that an address of this packet has in a `struct sockaddr_in6`: the link's index for link-local ones.
    pub fn scope_of(&self, ip: IpAddr) -> u32 {
        if crate::ip::needs_scope(ip) {
            self.ifindex
        } else {
            0
        }
    }
}

/// What an ICMP error says, for the transport protocol whose packet caused it.
#[derive(Clone, Debug)]
pub struct IcmpError {
    /// Source address of the packet that caused it: ours.
    pub src: IpAddr,
    /// Destination address of the packet that caused it.
    pub dst: IpAddr,
    /// Its transport header and what followed, as far as it was quoted.
    pub quoted: Bytes,
    /// Who says so.
    pub offender: IpAddr,
    /// ICMP type (of ICMPv6, if `src` is an IPv6 address).
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// What the socket gets.
    pub errno: lkl_abi::Errno,
    /// The connection cannot go on (as opposed to: may recover).
    pub hard: bool,
    /// Path MTU in bytes, if it says that a packet was too long (already noted for the routes).
    pub mtu: Option<u32>,
    /// The whole ICMP message, for `IP_RECVERR`.
    pub message: Bytes,
    /// Index of the link it came by.
    pub ifindex: u32,
}

impl IcmpError {
    /// The ports of the packet that caused it: ours and the peer's.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.quoted[..] {
            [a, b, c, d, ..] => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
            _ => None,
        }
    }
}
