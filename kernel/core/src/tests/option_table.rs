//! Which socket options are there: asked of real sockets, and kept as a table in `kernel/SOCKET-OPTIONS.md`.

use crate::testkit::Rig;
use core::fmt::Write;
use lkl_abi::{nr, Errno};

/// Level, its name, and the options of it that the pages of section 7 name.
type Level = (u64, &'static str, &'static [(u64, &'static str)]);

const SOCKET: Level = (
    1,
    "SOL_SOCKET",
    &[
        (1, "SO_DEBUG"),
        (2, "SO_REUSEADDR"),
        (3, "SO_TYPE"),
        (4, "SO_ERROR"),
        (5, "SO_DONTROUTE"),
        (6, "SO_BROADCAST"),
        (7, "SO_SNDBUF"),
        (8, "SO_RCVBUF"),
        (9, "SO_KEEPALIVE"),
        (10, "SO_OOBINLINE"),
        (11, "SO_NO_CHECK"),
        (12, "SO_PRIORITY"),
        (13, "SO_LINGER"),
        (14, "SO_BSDCOMPAT"),
        (15, "SO_REUSEPORT"),
        (16, "SO_PASSCRED"),
        (17, "SO_PEERCRED"),
        (18, "SO_RCVLOWAT"),
        (19, "SO_SNDLOWAT"),
        (20, "SO_RCVTIMEO"),
        (21, "SO_SNDTIMEO"),
        (25, "SO_BINDTODEVICE"),
        (26, "SO_ATTACH_FILTER"),
        (27, "SO_DETACH_FILTER"),
        (29, "SO_TIMESTAMP"),
        (30, "SO_ACCEPTCONN"),
        (32, "SO_SNDBUFFORCE"),
        (33, "SO_RCVBUFFORCE"),
        (35, "SO_TIMESTAMPNS"),
        (36, "SO_MARK"),
        (37, "SO_TIMESTAMPING"),
        (38, "SO_PROTOCOL"),
        (39, "SO_DOMAIN"),
        (40, "SO_RXQ_OVFL"),
        (42, "SO_PEEK_OFF"),
        (43, "SO_NOFCS"),
        (44, "SO_LOCK_FILTER"),
        (45, "SO_SELECT_ERR_QUEUE"),
        (46, "SO_BUSY_POLL"),
        (47, "SO_MAX_PACING_RATE"),
        (49, "SO_INCOMING_CPU"),
        (50, "SO_ATTACH_BPF"),
        (51, "SO_ATTACH_REUSEPORT_CBPF"),
        (55, "SO_MEMINFO"),
        (56, "SO_INCOMING_NAPI_ID"),
        (57, "SO_COOKIE"),
        (60, "SO_ZEROCOPY"),
        (61, "SO_TXTIME"),
        (62, "SO_BINDTOIFINDEX"),
        (71, "SO_NETNS_COOKIE"),
        (72, "SO_BUF_LOCK"),
        (73, "SO_RESERVE_MEM"),
    ],
);

const IP: Level = (
    0,
    "IPPROTO_IP",
    &[
        (1, "IP_TOS"),
        (2, "IP_TTL"),
        (3, "IP_HDRINCL"),
        (4, "IP_OPTIONS"),
        (6, "IP_RECVOPTS"),
        (7, "IP_RETOPTS"),
        (8, "IP_PKTINFO"),
        (10, "IP_MTU_DISCOVER"),
        (11, "IP_RECVERR"),
        (12, "IP_RECVTTL"),
        (13, "IP_RECVTOS"),
        (14, "IP_MTU"),
        (15, "IP_FREEBIND"),
        (19, "IP_TRANSPARENT"),
        (20, "IP_RECVORIGDSTADDR"),
        (21, "IP_MINTTL"),
        (22, "IP_NODEFRAG"),
        (23, "IP_CHECKSUM"),
        (24, "IP_BIND_ADDRESS_NO_PORT"),
        (26, "IP_RECVERR_RFC4884"),
        (32, "IP_MULTICAST_IF"),
        (33, "IP_MULTICAST_TTL"),
        (34, "IP_MULTICAST_LOOP"),
        (35, "IP_ADD_MEMBERSHIP"),
        (36, "IP_DROP_MEMBERSHIP"),
        (37, "IP_UNBLOCK_SOURCE"),
        (38, "IP_BLOCK_SOURCE"),
        (39, "IP_ADD_SOURCE_MEMBERSHIP"),
        (40, "IP_DROP_SOURCE_MEMBERSHIP"),
        (41, "IP_MSFILTER"),
        (42, "MCAST_JOIN_GROUP"),
        (45, "MCAST_LEAVE_GROUP"),
        (46, "MCAST_JOIN_SOURCE_GROUP"),
        (47, "MCAST_LEAVE_SOURCE_GROUP"),
        (49, "IP_MULTICAST_ALL"),
        (50, "IP_UNICAST_IF"),
        (51, "IP_LOCAL_PORT_RANGE"),
    ],
);

const IPV6: Level = (
    41,
    "IPPROTO_IPV6",
    &[
        (1, "IPV6_ADDRFORM"),
        (6, "IPV6_2292PKTOPTIONS"),
        (7, "IPV6_CHECKSUM"),
        (11, "IPV6_FLOWINFO"),
        (16, "IPV6_UNICAST_HOPS"),
        (17, "IPV6_MULTICAST_IF"),
        (18, "IPV6_MULTICAST_HOPS"),
        (19, "IPV6_MULTICAST_LOOP"),
        (20, "IPV6_ADD_MEMBERSHIP"),
        (21, "IPV6_DROP_MEMBERSHIP"),
        (22, "IPV6_ROUTER_ALERT"),
        (23, "IPV6_MTU_DISCOVER"),
        (24, "IPV6_MTU"),
        (25, "IPV6_RECVERR"),
        (26, "IPV6_V6ONLY"),
        (27, "IPV6_JOIN_ANYCAST"),
        (29, "IPV6_MULTICAST_ALL"),
        (32, "IPV6_FLOWLABEL_MGR"),
        (33, "IPV6_FLOWINFO_SEND"),
        (36, "IPV6_HDRINCL"),
        (49, "IPV6_RECVPKTINFO"),
        (50, "IPV6_PKTINFO"),
        (51, "IPV6_RECVHOPLIMIT"),
        (52, "IPV6_HOPLIMIT"),
        (53, "IPV6_RECVHOPOPTS"),
        (54, "IPV6_HOPOPTS"),
        (56, "IPV6_RECVRTHDR"),
        (58, "IPV6_RECVDSTOPTS"),
        (60, "IPV6_RECVPATHMTU"),
        (61, "IPV6_PATHMTU"),
        (62, "IPV6_DONTFRAG"),
        (66, "IPV6_RECVTCLASS"),
        (67, "IPV6_TCLASS"),
        (70, "IPV6_AUTOFLOWLABEL"),
        (72, "IPV6_ADDR_PREFERENCES"),
        (73, "IPV6_MINHOPCOUNT"),
        (74, "IPV6_RECVORIGDSTADDR"),
        (75, "IPV6_TRANSPARENT"),
        (76, "IPV6_UNICAST_IF"),
        (78, "IPV6_FREEBIND"),
    ],
);

const TCP: Level = (
    6,
    "IPPROTO_TCP",
    &[
        (1, "TCP_NODELAY"),
        (2, "TCP_MAXSEG"),
        (3, "TCP_CORK"),
        (4, "TCP_KEEPIDLE"),
        (5, "TCP_KEEPINTVL"),
        (6, "TCP_KEEPCNT"),
        (7, "TCP_SYNCNT"),
        (8, "TCP_LINGER2"),
        (9, "TCP_DEFER_ACCEPT"),
        (10, "TCP_WINDOW_CLAMP"),
        (11, "TCP_INFO"),
        (12, "TCP_QUICKACK"),
        (13, "TCP_CONGESTION"),
        (14, "TCP_MD5SIG"),
        (16, "TCP_THIN_LINEAR_TIMEOUTS"),
        (17, "TCP_THIN_DUPACK"),
        (18, "TCP_USER_TIMEOUT"),
        (19, "TCP_REPAIR"),
        (23, "TCP_FASTOPEN"),
        (24, "TCP_TIMESTAMP"),
        (25, "TCP_NOTSENT_LOWAT"),
        (26, "TCP_CC_INFO"),
        (27, "TCP_SAVE_SYN"),
        (28, "TCP_SAVED_SYN"),
        (30, "TCP_FASTOPEN_CONNECT"),
        (31, "TCP_ULP"),
        (32, "TCP_MD5SIG_EXT"),
        (33, "TCP_FASTOPEN_KEY"),
        (35, "TCP_ZEROCOPY_RECEIVE"),
        (36, "TCP_INQ"),
        (37, "TCP_TX_DELAY"),
        (43, "TCP_IS_MPTCP"),
        (44, "TCP_RTO_MAX_MS"),
        (45, "TCP_RTO_MIN_US"),
        (46, "TCP_DELACK_MAX_US"),
    ],
);

const UDP: Level = (
    17,
    "IPPROTO_UDP",
    &[
        (1, "UDP_CORK"),
        (100, "UDP_ENCAP"),
        (101, "UDP_NO_CHECK6_TX"),
        (102, "UDP_NO_CHECK6_RX"),
        (103, "UDP_SEGMENT"),
        (104, "UDP_GRO"),
    ],
);

const RAW: Level = (255, "SOL_RAW", &[(1, "ICMP_FILTER")]);
const ICMPV6: Level = (58, "SOL_ICMPV6", &[(1, "ICMP6_FILTER")]);

const PACKET: Level = (
    263,
    "SOL_PACKET",
    &[
        (1, "PACKET_ADD_MEMBERSHIP"),
        (2, "PACKET_DROP_MEMBERSHIP"),
        (5, "PACKET_RX_RING"),
        (6, "PACKET_STATISTICS"),
        (7, "PACKET_COPY_THRESH"),
        (8, "PACKET_AUXDATA"),
        (9, "PACKET_ORIGDEV"),
        (10, "PACKET_VERSION"),
        (11, "PACKET_HDRLEN"),
        (12, "PACKET_RESERVE"),
        (13, "PACKET_TX_RING"),
        (14, "PACKET_LOSS"),
        (15, "PACKET_VNET_HDR"),
        (17, "PACKET_TIMESTAMP"),
        (18, "PACKET_FANOUT"),
        (20, "PACKET_QDISC_BYPASS"),
        (23, "PACKET_IGNORE_OUTGOING"),
    ],
);

const NETLINK: Level = (
    270,
    "SOL_NETLINK",
    &[
        (1, "NETLINK_ADD_MEMBERSHIP"),
        (2, "NETLINK_DROP_MEMBERSHIP"),
        (3, "NETLINK_PKTINFO"),
        (4, "NETLINK_BROADCAST_ERROR"),
        (5, "NETLINK_NO_ENOBUFS"),
        (8, "NETLINK_LISTEN_ALL_NSID"),
        (9, "NETLINK_LIST_MEMBERSHIPS"),
        (10, "NETLINK_CAP_ACK"),
        (11, "NETLINK_EXT_ACK"),
        (12, "NETLINK_GET_STRICT_CHK"),
    ],
);

/// Family, kind and protocol of the socket that a level is asked of.
const ASKED: &[((u64, u64, u64), Level)] = &[
    ((2, 1, 0), SOCKET),
    ((2, 2, 0), IP),
    ((10, 2, 0), IPV6),
    ((2, 1, 0), TCP),
    ((2, 2, 0), UDP),
    ((2, 3, 1), RAW),
    ((10, 3, 58), ICMPV6),
    ((17, 3, 0), PACKET),
    ((16, 3, 0), NETLINK),
];

fn table() -> String {
    let rig = Rig::new();
    let mut out = String::from("| Level | Option | Set | Get |\n|---|---|---|---|\n");
    for ((family, kind, protocol), (level, level_name, options)) in ASKED {
        for (option, name) in *options {
            let fd = rig.call(nr::SOCKET, &[*family, *kind, *protocol]).unwrap();
            let value = rig.mem.zeros(256);
            let set = rig.call(nr::SETSOCKOPT, &[fd, *level, *option, value, 4]);
            let len = rig.mem.put(&64u32.to_ne_bytes());
            let get = rig.call(nr::GETSOCKOPT, &[fd, *level, *option, value, len]);
            // Whatever else is said of a zero means that the option is known.
            let known = |r: Result<u64, Errno>| if r == Err(Errno::ENOPROTOOPT) { "" } else { "yes" };
            let _ = writeln!(out, "| `{level_name}` | `{name}` | {} | {} |", known(set), known(get));
            rig.call(nr::CLOSE, &[fd]).unwrap();
        }
    }
    out
}

#[test]
fn the_option_table_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../SOCKET-OPTIONS.md");
    let want = format!(
        "# Socket options\n\nMade by `LKL_UPDATE=1 cargo test -p lkl-kernel option_table`, which asks the kernel. Where a cell is empty the \
         answer is `ENOPROTOOPT`,\nas Linux answers for options that it does not have (some are one-way on Linux too).\n\n{}",
        table()
    );
    if std::env::var_os("LKL_UPDATE").is_some() {
        std::fs::write(path, &want).unwrap();
    }
    let have = std::fs::read_to_string(path).unwrap_or_default();
    assert!(have == want, "{path} is out of date: run LKL_UPDATE=1 cargo test -p lkl-kernel option_table");
}
