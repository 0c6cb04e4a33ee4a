//! What `sysinfo` tells (`linux/sysinfo.h`; `man 2 sysinfo`).

use crate::put;

/// Bytes of `struct sysinfo` of 64-bit machines.
pub const SYSINFO_SIZE: usize = 112;

/// The members that are told; the others are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SysInfo {
    /// Seconds since boot.
    pub uptime: i64,
    /// Memory in bytes.
    pub totalram: u64,
    /// Memory that is free, in bytes.
    pub freeram: u64,
    /// Processes.
    pub procs: u16,
}

impl SysInfo {
    /// As `struct sysinfo`, in units of a byte.
    pub fn to_bytes(&self) -> [u8; SYSINFO_SIZE] {
        let mut b = [0; SYSINFO_SIZE];
        put(&mut b, 0, &self.uptime.to_ne_bytes());
        put(&mut b, 32, &self.totalram.to_ne_bytes());
        put(&mut b, 40, &self.freeram.to_ne_bytes());
        put(&mut b, 80, &self.procs.to_ne_bytes());
        put(&mut b, 104, &1u32.to_ne_bytes());
        b
    }
}
