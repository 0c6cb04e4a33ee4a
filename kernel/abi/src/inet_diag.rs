//! Messages of `NETLINK_SOCK_DIAG` (`linux/sock_diag.h`, `inet_diag.h`, `packet_diag.h`, `unix_diag.h`,
//! `netlink_diag.h`; `man 7 sock_diag`).
#![expect(missing_docs, reason = "the manual page explains them")]

pub const TCPDIAG_GETSOCK: u16 = 18;
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;
pub const SOCK_DESTROY: u16 = 21;

pub const INET_DIAG_NOCOOKIE: u32 = !0;

pub const INET_DIAG_REQ_BYTECODE: u16 = 1;
pub const INET_DIAG_REQ_PROTOCOL: u16 = 3;

pub const INET_DIAG_MEMINFO: u16 = 1;
pub const INET_DIAG_INFO: u16 = 2;
pub const INET_DIAG_VEGASINFO: u16 = 3;
pub const INET_DIAG_CONG: u16 = 4;
pub const INET_DIAG_TOS: u16 = 5;
pub const INET_DIAG_TCLASS: u16 = 6;
pub const INET_DIAG_SKMEMINFO: u16 = 7;
pub const INET_DIAG_SHUTDOWN: u16 = 8;
pub const INET_DIAG_PROTOCOL: u16 = 10;
pub const INET_DIAG_SKV6ONLY: u16 = 11;
pub const INET_DIAG_MARK: u16 = 15;
pub const INET_DIAG_CLASS_ID: u16 = 17;
pub const INET_DIAG_SOCKOPT: u16 = 22;

pub const INET_DIAG_BC_NOP: u8 = 0;
pub const INET_DIAG_BC_JMP: u8 = 1;
pub const INET_DIAG_BC_S_GE: u8 = 2;
pub const INET_DIAG_BC_S_LE: u8 = 3;
pub const INET_DIAG_BC_D_GE: u8 = 4;
pub const INET_DIAG_BC_D_LE: u8 = 5;
pub const INET_DIAG_BC_AUTO: u8 = 6;
pub const INET_DIAG_BC_S_COND: u8 = 7;
pub const INET_DIAG_BC_D_COND: u8 = 8;
pub const INET_DIAG_BC_DEV_COND: u8 = 9;
pub const INET_DIAG_BC_MARK_COND: u8 = 10;
pub const INET_DIAG_BC_S_EQ: u8 = 11;
pub const INET_DIAG_BC_D_EQ: u8 = 12;
pub const INET_DIAG_BC_CGROUP_COND: u8 = 13;

pub const PACKET_SHOW_INFO: u32 = 1;
pub const PACKET_SHOW_MCLIST: u32 = 2;
pub const PACKET_SHOW_RING_CFG: u32 = 4;
pub const PACKET_SHOW_FANOUT: u32 = 8;
pub const PACKET_SHOW_MEMINFO: u32 = 16;
pub const PACKET_SHOW_FILTER: u32 = 32;
pub const PACKET_DIAG_INFO: u16 = 0;
pub const PACKET_DIAG_UID: u16 = 4;
pub const PACKET_DIAG_MEMINFO: u16 = 5;

pub const NDIAG_SHOW_MEMINFO: u32 = 1;
pub const NDIAG_SHOW_GROUPS: u32 = 2;
pub const NDIAG_SHOW_FLAGS: u32 = 8;
pub const NDIAG_PROTO_ALL: u8 = 255;
pub const NETLINK_DIAG_MEMINFO: u16 = 0;
pub const NETLINK_DIAG_GROUPS: u16 = 1;
pub const NETLINK_DIAG_FLAGS: u16 = 4;
