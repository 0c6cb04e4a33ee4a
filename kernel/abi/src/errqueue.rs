//! Errors with their reasons (`linux/errqueue.h`; `IP_RECVERR` of `man 7 ip`).

/// Bytes of `struct sock_extended_err`, behind which stands the address of who complained.
pub const SOCK_EXTENDED_ERR_SIZE: usize = 16;
/// `SO_EE_ORIGIN_LOCAL`: found on this host.
pub const SO_EE_ORIGIN_LOCAL: u8 = 1;
/// `SO_EE_ORIGIN_ICMP`
pub const SO_EE_ORIGIN_ICMP: u8 = 2;
/// `SO_EE_ORIGIN_ICMP6`
pub const SO_EE_ORIGIN_ICMP6: u8 = 3;
