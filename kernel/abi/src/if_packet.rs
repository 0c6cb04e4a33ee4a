//! Packet sockets (`linux/if_packet.h`; `man 7 packet`).

/// Level of the socket options.
pub const SOL_PACKET: i32 = 263;
/// Every protocol (`linux/if_ether.h`).
pub const ETH_P_ALL: u16 = 0x0003;

macro_rules! options {
    ($($name:ident = $n:literal;)*) => { $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: i32 = $n;)* };
}

options! {
    PACKET_ADD_MEMBERSHIP = 1;
    PACKET_DROP_MEMBERSHIP = 2;
    PACKET_RECV_OUTPUT = 3;
    PACKET_RX_RING = 5;
    PACKET_STATISTICS = 6;
    PACKET_COPY_THRESH = 7;
    PACKET_AUXDATA = 8;
    PACKET_ORIGDEV = 9;
    PACKET_VERSION = 10;
    PACKET_HDRLEN = 11;
    PACKET_RESERVE = 12;
    PACKET_TX_RING = 13;
    PACKET_LOSS = 14;
    PACKET_VNET_HDR = 15;
    PACKET_TIMESTAMP = 17;
    PACKET_FANOUT = 18;
    PACKET_QDISC_BYPASS = 20;
    PACKET_IGNORE_OUTGOING = 23;
}

/// Membership: a group of hardware addresses.
pub const PACKET_MR_MULTICAST: u16 = 0;
/// Membership: everything.
pub const PACKET_MR_PROMISC: u16 = 1;
/// Membership: all groups.
pub const PACKET_MR_ALLMULTI: u16 = 2;
/// Membership: one more hardware address.
pub const PACKET_MR_UNICAST: u16 = 3;

/// `tp_status`: handed to the program.
pub const TP_STATUS_USER: u32 = 1;
/// `tp_status`: the transport checksum is not filled in.
pub const TP_STATUS_CSUMNOTREADY: u32 = 1 << 3;
/// `tp_status`: the transport checksum was checked.
pub const TP_STATUS_CSUM_VALID: u32 = 1 << 7;
