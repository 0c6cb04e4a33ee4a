//! Headers and options (RFC 9293, section 3.1; RFC 7323, section 2.2; RFC 2018, section 2).

use arrayvec::ArrayVec;
use bytes::Bytes;
use smallvec::SmallVec;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;

bitflags::bitflags! {
    /// The control bits.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags: u16 {
        /// No more data.
        const FIN = 0x01;
        /// Begin.
        const SYN = 0x02;
        /// Abort.
        const RST = 0x04;
        /// Deliver at once.
        const PSH = 0x08;
        /// The acknowledgement number is valid.
        const ACK = 0x10;
        /// The urgent pointer is valid.
        const URG = 0x20;
        /// Congestion was experienced (RFC 3168).
        const ECE = 0x40;
        /// The congestion window was reduced (RFC 3168).
        const CWR = 0x80;
        /// The first bit of accurate ECN (RFC 9768, section 3.1.1).
        const AE = 0x100;
    }
}

/// The two bits of the IP header (RFC 3168, section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Ecn {
    /// It may not be marked.
    #[default]
    NotEct = 0,
    /// It may be marked; also the sign of other uses (RFC 8311).
    Ect1 = 1,
    /// It may be marked.
    Ect0 = 2,
    /// It was marked: there is congestion.
    Ce = 3,
}

impl Ecn {
    /// That of a type of service or traffic class.
    pub const fn of(tos: u8) -> Self {
        match tos & 3 {
            1 => Self::Ect1,
            2 => Self::Ect0,
            3 => Self::Ce,
            _ => Self::NotEct,
        }
    }
}

/// What the SYN-ACK, or the segment that answers it, says of the mark that the other's SYN had (RFC 9768, table 3).
pub(super) fn handshake_flags(mark: Ecn) -> Flags {
    match mark {
        Ecn::NotEct => Flags::CWR,
        Ecn::Ect1 => Flags::CWR | Flags::ECE,
        Ecn::Ect0 => Flags::AE,
        Ecn::Ce => Flags::AE | Flags::CWR,
    }
}

/// First sequence number of a block received, and the one after its last.
pub type SackBlock = (u32, u32);

/// A Fast Open cookie (RFC 7413, section 4.1.1); an empty one asks for one.
pub type Cookie = ArrayVec<u8, 16>;

/// Counts of bytes that came with each mark, 24 bits of each (RFC 9768, section 3.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EcnBytes {
    /// Of ECT(0), CE and ECT(1), in the order of the marks that the option has.
    pub counts: [u32; 3],
    /// So many of them are told.
    pub told: u8,
    /// ECT(1) is the first, not ECT(0).
    pub ect1_first: bool,
}

impl EcnBytes {
    /// The count of `mark`, if it is told.
    pub fn of(&self, mark: Ecn) -> Option<u32> {
        let at = match (mark, self.ect1_first) {
            (Ecn::NotEct, _) => return None,
            (Ecn::Ce, _) => 1,
            (Ecn::Ect0, false) | (Ecn::Ect1, true) => 0,
            _ => 2,
        };
        self.counts.get(at).copied().filter(|_| at < usize::from(self.told))
    }
}

/// The options that are understood.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale, as written (14 is the most that counts).
    pub window_scale: Option<u8>,
    /// SACK may be used.
    pub sack_permitted: bool,
    /// Blocks received.
    pub sack: ArrayVec<SackBlock, 4>,
    /// `TSval` and `TSecr`.
    pub timestamps: Option<(u32, u32)>,
    /// Fast Open.
    pub fast_open: Option<Cookie>,
    /// Bytes by their marks.
    pub ecn_bytes: Option<EcnBytes>,
}

/// A header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; counts if [`Flags::ACK`] is set.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window, as written (not scaled).
    pub window: u16,
    /// Urgent pointer; counts if [`Flags::URG`] is set.
    pub urgent: u16,
    /// Options.
    pub options: Options,
    /// What the IP header said, or is to say; no part of this header.
    pub ecn: Ecn,
}

/// The payload of a segment to send, in pieces of the send queue.
pub type Payload = SmallVec<[Bytes; 4]>;

/// A segment to send.
#[derive(Clone, Debug, Default)]
pub struct SegmentOut {
    /// Header.
    pub header: Segment,
    /// What follows it.
    pub payload: Payload,
    /// If it stands for several segments: payload bytes of each.
    pub gso_size: Option<u16>,
}

/// What is wrong with a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// There are fewer bytes than the header says or needs.
    Truncated,
    /// The data offset is less than five words.
    BadOffset,
}

mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const FAST_OPEN: u8 = 34;
    /// Accurate ECN, ECT(0) first or ECT(1) first.
    pub(super) const ECN_BYTES_0: u8 = 172;
    pub(super) const ECN_BYTES_1: u8 = 174;
}

fn be16(b: &[u8], at: usize) -> Option<u16> {
    b.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn be32(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

impl Options {
    /// Reads options. What is not understood is stepped over; a bad length ends the list.
    pub fn parse(mut bytes: &[u8], syn: bool) -> Self {
        let mut o = Self::default();
        // The layout that almost every segment has.
        if let [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, ..] = bytes {
            if bytes.len() == 12 {
                o.timestamps = be32(bytes, 4).zip(be32(bytes, 8));
                return o;
            }
        }
        while let Some(&k) = bytes.first() {
            match k {
                kind::END => break,
                kind::NOP => {
                    bytes = &bytes[1..];
                    continue;
                }
                _ => {}
            }
            let Some(&len) = bytes.get(1) else { break };
            let Some(option) = bytes.get(..usize::from(len)).filter(|_| len >= 2) else { break };
            match (k, len) {
                (kind::MSS, 4) if syn => o.mss = be16(option, 2),
                (kind::WINDOW_SCALE, 3) if syn => o.window_scale = option.get(2).copied(),
                (kind::SACK_PERMITTED, 2) if syn => o.sack_permitted = true,
                (kind::TIMESTAMPS, 10) => o.timestamps = be32(option, 2).zip(be32(option, 6)),
                // RFC 7413, section 4.1.1: 4 to 16 bytes, an even number, or none.
                (kind::FAST_OPEN, 2 | 6..=18) if syn && len % 2 == 0 => {
                    o.fast_open = Some(option[2..].iter().copied().collect());
                }
                (kind::SACK, _) if !syn && (len - 2) % 8 == 0 => {
                    o.sack.clear();
                    for block in option[2..].chunks_exact(8) {
                        if let (Some(b), false) = (be32(block, 0).zip(be32(block, 4)), o.sack.is_full()) {
                            o.sack.push(b);
                        }
                    }
                }
                (kind::ECN_BYTES_0 | kind::ECN_BYTES_1, 2..) => {
                    let mut told = EcnBytes { counts: [0; 3], told: 0, ect1_first: k == kind::ECN_BYTES_1 };
                    for (to, b) in told.counts.iter_mut().zip(option[2..].chunks_exact(3)) {
                        *to = u32::from_be_bytes([0, b[0], b[1], b[2]]);
                        told.told += 1;
                    }
                    o.ecn_bytes = Some(told);
                }
                _ => {}
            }
            bytes = &bytes[option.len()..];
        }
        o
    }

    /// Bytes that the options take, padded to whole words.
    pub fn len(&self) -> usize {
        let mut n = 0;
        n += if self.mss.is_some() { 4 } else { 0 };
        n += if self.window_scale.is_some() { 4 } else { 0 };
        n += match (self.timestamps, self.sack_permitted) {
            (Some(_), _) => 12,
            (None, true) => 4,
            (None, false) => 0,
        };
        n += self.ecn_bytes.map_or(0, |e| (2 + 3 * usize::from(e.told)).next_multiple_of(4));
        n += self.fast_open.as_ref().map_or(0, |c| (2 + c.len()).next_multiple_of(4));
        n + if self.sack.is_empty() { 0 } else { 4 + 8 * self.sack.len() }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn emit(&self, out: &mut ArrayVec<u8, MAX_HEADER_LEN>) {
        let mut put = |bytes: &[u8]| {
            // The blocks are limited so that all fits; were it not so, the rest would be left out.
            let _ = out.try_extend_from_slice(bytes);
        };
        if let Some(mss) = self.mss {
            put(&[kind::MSS, 4]);
            put(&mss.to_be_bytes());
        }
        match (self.timestamps, self.sack_permitted) {
            (Some(_), true) => put(&[kind::SACK_PERMITTED, 2, kind::TIMESTAMPS, 10]),
            (Some(_), false) => put(&[kind::NOP, kind::NOP, kind::TIMESTAMPS, 10]),
            (None, true) => put(&[kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2]),
            (None, false) => {}
        }
        if let Some((value, echo)) = self.timestamps {
            put(&value.to_be_bytes());
            put(&echo.to_be_bytes());
        }
        if let Some(scale) = self.window_scale {
            put(&[kind::NOP, kind::WINDOW_SCALE, 3, scale]);
        }
        if let Some(cookie) = &self.fast_open {
            put(&[kind::FAST_OPEN, 2 + cookie.len() as u8]);
            put(cookie);
            put(&[kind::NOP; 2][..(2 + cookie.len()).wrapping_neg() % 4]);
        }
        if let Some(e) = &self.ecn_bytes {
            let len = 2 + 3 * e.told;
            put(&[if e.ect1_first { kind::ECN_BYTES_1 } else { kind::ECN_BYTES_0 }, len]);
            for count in e.counts.iter().take(e.told.into()) {
                put(&count.to_be_bytes()[1..]);
            }
            put(&[kind::NOP; 3][..usize::from(len.wrapping_neg() % 4)]);
        }
        if !self.sack.is_empty() {
            put(&[kind::NOP, kind::NOP, kind::SACK, 2 + 8 * self.sack.len() as u8]);
            for (start, end) in &self.sack {
                put(&start.to_be_bytes());
                put(&end.to_be_bytes());
            }
        }
    }
}

impl Segment {
    /// Reads a header; answers it and its length in bytes, where the payload begins. The checksum is not looked at.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(b: &[u8]) -> Result<(Self, usize), ParseError> {
        let fixed = b.get(..HEADER_LEN).ok_or(ParseError::Truncated)?;
        let len = usize::from(fixed[12] >> 4) * 4;
        if len < HEADER_LEN {
            return Err(ParseError::BadOffset);
        }
        let options = b.get(HEADER_LEN..len).ok_or(ParseError::Truncated)?;
        let flags = Flags::from_bits_retain(u16::from(fixed[13]) | u16::from(fixed[12] & 1) << 8);
        let half = |at| be16(fixed, at).unwrap_or(0);
        let word = |at| be32(fixed, at).unwrap_or(0);
        let segment = Self {
            src_port: half(0),
            dst_port: half(2),
            seq: word(4),
            ack: word(8),
            flags,
            window: half(14),
            urgent: half(18),
            options: Options::parse(options, flags.contains(Flags::SYN)),
            ecn: Ecn::NotEct,
        };
        Ok((segment, len))
    }

    /// Writes the header, with a checksum of zero.
    pub fn emit(&self) -> ArrayVec<u8, MAX_HEADER_LEN> {
        let mut out = ArrayVec::new();
        let words = ((HEADER_LEN + self.options.len()) / 4).min(15) as u8;
        let _ = out.try_extend_from_slice(&self.src_port.to_be_bytes());
        let _ = out.try_extend_from_slice(&self.dst_port.to_be_bytes());
        let _ = out.try_extend_from_slice(&self.seq.to_be_bytes());
        let _ = out.try_extend_from_slice(&self.ack.to_be_bytes());
        let _ = out.try_extend_from_slice(&[words << 4 | (self.flags.bits() >> 8) as u8 & 1, self.flags.bits() as u8]);
        let _ = out.try_extend_from_slice(&self.window.to_be_bytes());
        let _ = out.try_extend_from_slice(&[0, 0]);
        let _ = out.try_extend_from_slice(&self.urgent.to_be_bytes());
        self.options.emit(&mut out);
        out
    }

    /// Does it have this control bit?
    pub fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }

    /// Sequence numbers that it takes, with a payload of `payload` bytes (`SEG.LEN`).
    pub fn sequence_len(&self, payload: usize) -> u32 {
        payload as u32 + u32::from(self.has(Flags::SYN)) + u32::from(self.has(Flags::FIN))
    }

    /// The reset that answers this segment where no connection is (RFC 9293, section 3.10.7.1); `None` if it is one
    /// itself.
    pub fn reset_for(&self, payload: usize) -> Option<Self> {
        if self.has(Flags::RST) {
            return None;
        }
        let mut r = Self { src_port: self.dst_port, dst_port: self.src_port, ..Self::default() };
        if self.has(Flags::ACK) {
            r.flags = Flags::RST;
            r.seq = self.ack;
        } else {
            r.flags = Flags::RST | Flags::ACK;
            r.ack = self.seq.wrapping_add(self.sequence_len(payload));
        }
        Some(r)
    }
}

impl SegmentOut {
    /// A segment without payload.
    pub fn bare(header: Segment) -> Self {
        Self { header, ..Self::default() }
    }

    /// Bytes of payload.
    pub fn payload_len(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }

    /// How many segments it stands for.
    pub fn segments(&self) -> usize {
        match self.gso_size {
            Some(size) if size > 0 => self.payload_len().div_ceil(usize::from(size)).max(1),
            _ => 1,
        }
    }
}
