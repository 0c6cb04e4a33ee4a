//! How `openat2` opens (`linux/openat2.h`; `man 2 openat2`).
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const RESOLVE_NO_XDEV: u64 = 0x01;
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub const RESOLVE_NO_SYMLINKS: u64 = 0x04;
pub const RESOLVE_BENEATH: u64 = 0x08;
pub const RESOLVE_IN_ROOT: u64 = 0x10;
pub const RESOLVE_CACHED: u64 = 0x20;

/// Bytes of `struct open_how` of its first version.
pub const OPEN_HOW_SIZE_VER0: usize = 24;

/// `struct open_how`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenHow {
    /// `O_*`
    pub flags: u64,
    pub mode: u64,
    /// `RESOLVE_*`
    pub resolve: u64,
}

impl OpenHow {
    /// Reads one.
    pub fn parse(b: &[u8; OPEN_HOW_SIZE_VER0]) -> Self {
        let long = |at: usize| b.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes);
        Self { flags: long(0), mode: long(8), resolve: long(16) }
    }
}
