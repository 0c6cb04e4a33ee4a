//! UDP headers (RFC 768).

use super::be16;

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;

/// A header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Bytes of header and payload.
    pub len: usize,
    /// Checksum; zero if there is none.
    pub checksum: u16,
}

impl Header {
    /// Reads a header.
    pub fn parse(b: &[u8]) -> Option<Self> {
        Some(Self {
            src_port: be16(b, 0)?,
            dst_port: be16(b, 2)?,
            len: usize::from(be16(b, 4)?),
            checksum: be16(b, 6)?,
        })
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut b = [0; HEADER_LEN];
        b[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        b[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        b[4..6].copy_from_slice(&(self.len as u16).to_be_bytes());
        b[6..8].copy_from_slice(&self.checksum.to_be_bytes());
        b
    }
}
