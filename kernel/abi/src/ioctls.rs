//! Requests of `ioctl` that every file or every socket knows (`asm-generic/ioctls.h`, `asm-generic/sockios.h`; `man 2
//! ioctl`, `man 7 socket`). Those of network devices are in `sockios`.
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const FIONREAD: u32 = 0x541b;
/// The same number as [`FIONREAD`].
pub const SIOCINQ: u32 = FIONREAD;
pub const TIOCOUTQ: u32 = 0x5411;
/// The same number as [`TIOCOUTQ`].
pub const SIOCOUTQ: u32 = TIOCOUTQ;
pub const FIONBIO: u32 = 0x5421;
pub const FIONCLEX: u32 = 0x5450;
pub const FIOCLEX: u32 = 0x5451;
pub const FIOASYNC: u32 = 0x5452;
pub const FIOQSIZE: u32 = 0x5460;

pub const FIOSETOWN: u32 = 0x8901;
pub const SIOCSPGRP: u32 = 0x8902;
pub const FIOGETOWN: u32 = 0x8903;
pub const SIOCGPGRP: u32 = 0x8904;
pub const SIOCATMARK: u32 = 0x8905;
pub const SIOCGSTAMP_OLD: u32 = 0x8906;
pub const SIOCGSTAMPNS_OLD: u32 = 0x8907;
/// Unsent bytes of a TCP socket.
pub const SIOCOUTQNSD: u32 = 0x894b;

/// The first and last request of network devices and routes (`SIOCADDRT` to the end of the private range).
pub const SIOC_FIRST: u32 = 0x890b;
pub const SIOC_LAST: u32 = 0x89ff;
