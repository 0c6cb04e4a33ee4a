//! IPv4 headers (RFC 791).

use super::{array, be16};
use crate::checksum::Sum;
use core::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of options that fit.
pub const MAX_OPTIONS_LEN: usize = 40;
/// "Do not fragment".
pub const DF: u16 = 0x4000;
/// "More fragments".
pub const MF: u16 = 0x2000;

/// Why a header is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// Version, lengths or options are wrong.
    Malformed,
    /// Fewer bytes than the header says.
    Truncated,
    /// The checksum is wrong.
    Checksum,
}

/// A header. Options are kept apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of the header with its options.
    pub header_len: usize,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Bytes of the whole packet.
    pub total_len: usize,
    /// Identification.
    pub id: u16,
    /// [`DF`].
    pub dont_fragment: bool,
    /// [`MF`].
    pub more_fragments: bool,
    /// Where this fragment's payload stands in the datagram, in bytes.
    pub fragment_offset: usize,
    /// Time to live.
    pub ttl: u8,
    /// Protocol.
    pub protocol: u8,
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
}

impl Header {
    /// Reads and checks the header of `packet`, which may have padding behind it.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(packet: &[u8]) -> Result<Self, ParseError> {
        let h = Self::parse_quoted(packet).ok_or(ParseError::Malformed)?;
        if h.total_len > packet.len() {
            return Err(ParseError::Truncated);
        }
        let header = packet.get(..h.header_len).ok_or(ParseError::Truncated)?;
        if !Sum::new().add(header).is_valid() {
            return Err(ParseError::Checksum);
        }
        Ok(h)
    }

    /// Reads a header that an ICMP error quotes: the payload may be cut, and the checksum is not looked at.
    pub fn parse_quoted(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        let header_len = usize::from(first & 0xf) * 4;
        let total_len = usize::from(be16(packet, 2)?);
        if first >> 4 != 4 || header_len < HEADER_LEN || total_len < header_len || packet.len() < header_len {
            return None;
        }
        let frag = be16(packet, 6)?;
        Some(Self {
            header_len,
            tos: *packet.get(1)?,
            total_len,
            id: be16(packet, 4)?,
            dont_fragment: frag & DF != 0,
            more_fragments: frag & MF != 0,
            fragment_offset: usize::from(frag & 0x1fff) * 8,
            ttl: *packet.get(8)?,
            protocol: *packet.get(9)?,
            src: Ipv4Addr::from(array::<4>(packet, 12)?),
            dst: Ipv4Addr::from(array::<4>(packet, 16)?),
        })
    }

    /// Is it a piece of a datagram?
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset > 0
    }

    /// Appends it, with its checksum, to `out`. `header_len` must be that of the header with `options`, whose length
    /// is a multiple of four.
    pub fn emit(&self, options: &[u8], out: &mut Vec<u8>) {
        let frag = (self.fragment_offset / 8) as u16
            | if self.dont_fragment { DF } else { 0 }
            | if self.more_fragments { MF } else { 0 };
        let mut h = [0; HEADER_LEN];
        h[0] = 0x40 | ((HEADER_LEN + options.len()) / 4) as u8;
        h[1] = self.tos;
        h[2..4].copy_from_slice(&(self.total_len as u16).to_be_bytes());
        h[4..6].copy_from_slice(&self.id.to_be_bytes());
        h[6..8].copy_from_slice(&frag.to_be_bytes());
        h[8] = self.ttl;
        h[9] = self.protocol;
        h[12..16].copy_from_slice(&self.src.octets());
        h[16..20].copy_from_slice(&self.dst.octets());
        let sum = Sum::new().add(&h).add_at(HEADER_LEN, options).finish();
        h[10..12].copy_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&h);
        out.extend_from_slice(options);
    }
}

/// Is the list of options well formed (RFC 1122, section 3.2.1.8)? Source routes are not accepted, as on a host that
/// is left at Linux's defaults.
pub fn options_ok(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        match kind {
            0 => return true,
            1 => options = rest,
            131 | 137 => return false,
            _ => {
                let Some(len) = rest.first().map(|l| usize::from(*l)).filter(|l| *l >= 2) else { return false };
                let Some(next) = options.get(len..) else { return false };
                options = next;
            }
        }
    }
    true
}
