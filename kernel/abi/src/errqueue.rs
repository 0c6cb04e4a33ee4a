//! What the error queue of a socket says (`linux/errqueue.h`; `IP_RECVERR` of `man 7 ip`; Linux's `networking/timestamping` and
//! `networking/msg_zerocopy`).

/// Bytes of `struct sock_extended_err`, behind which stands the address of who complained.
pub const SOCK_EXTENDED_ERR_SIZE: usize = 16;
/// `SO_EE_ORIGIN_LOCAL`: found on this host.
pub const SO_EE_ORIGIN_LOCAL: u8 = 1;
/// `SO_EE_ORIGIN_ICMP`
pub const SO_EE_ORIGIN_ICMP: u8 = 2;
/// `SO_EE_ORIGIN_ICMP6`
pub const SO_EE_ORIGIN_ICMP6: u8 = 3;
/// `SO_EE_ORIGIN_TIMESTAMPING`: a time, `ee_info` says of what.
pub const SO_EE_ORIGIN_TIMESTAMPING: u8 = 4;
/// `SO_EE_ORIGIN_ZEROCOPY`: sends that are done with what they were given, from `ee_info` to `ee_data`.
pub const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
/// It was copied after all.
pub const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;
/// A packet left.
pub const SCM_TSTAMP_SND: u32 = 0;
/// It went into the queue of the device.
pub const SCM_TSTAMP_SCHED: u32 = 1;
/// It was acknowledged.
pub const SCM_TSTAMP_ACK: u32 = 2;
