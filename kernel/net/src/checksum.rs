//! The internet checksum (RFC 1071).

use core::net::IpAddr;

/// A ones' complement sum that is being made. Parts follow each other; only the last may have an odd length unless
/// each is added by [`Sum::add_at`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Continues from a folded sum (not complemented).
    pub const fn from_folded(sum: u16) -> Self {
        Self(sum as u64)
    }

    /// Adds `data`, which begins at an even offset.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "bytes are summed, no two sums added")]
    pub fn add(self, data: &[u8]) -> Self {
        // Byte order does not matter to the sum itself (RFC 1071, section 2 (B)): native words are summed, and the
        // folded result is swapped once.
        let mut sum: u64 = 0;
        let mut chunks = data.chunks_exact(32);
        for c in &mut chunks {
            let mut part = 0u64;
            for w in c.chunks_exact(4) {
                part += u64::from(u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
            }
            sum += part;
        }
        let mut words = chunks.remainder().chunks_exact(4);
        for w in &mut words {
            sum += u64::from(u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(words.remainder()) {
            *to = *from;
        }
        sum += u64::from(u32::from_ne_bytes(last));
        Self(self.0 + u64::from(u16::from_be(fold(sum))))
    }

    /// Adds `data`, which begins `offset` bytes after the start of what is summed.
    #[must_use]
    pub fn add_at(self, offset: usize, data: &[u8]) -> Self {
        if offset % 2 == 0 {
            return self.add(data);
        }
        let part = fold(Self::new().add(data).0);
        Self(self.0 + u64::from(part.swap_bytes()))
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub const fn add_word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds the pseudo-header of RFC 9293, section 3.1, or RFC 8200, section 8.1. `len` counts the transport header
    /// and its payload.
    #[must_use]
    pub fn pseudo_header(self, src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Self {
        let s = match (src, dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => self.add(&s.octets()).add(&d.octets()),
            (IpAddr::V6(s), IpAddr::V6(d)) => self.add(&s.octets()).add(&d.octets()),
            _ => self,
        };
        Self(s.0 + u64::from(protocol) + (len as u64 & 0xffff) + ((len as u64) >> 16))
    }

    /// The sum in 16 bits, not complemented.
    pub fn folded(self) -> u16 {
        fold(self.0)
    }

    /// The checksum: the complement of the sum.
    pub fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// Is what was summed, its checksum field included, intact?
    pub fn is_valid(self) -> bool {
        fold(self.0) == 0xffff
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of one piece.
pub fn checksum(data: &[u8]) -> u16 {
    Sum::new().add(data).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(data: &[u8]) -> u16 {
        let mut s = 0u32;
        for c in data.chunks(2) {
            s += u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0));
            s = (s & 0xffff) + (s >> 16);
        }
        !(s as u16)
    }

    #[test]
    fn as_the_naive_one() {
        let data: Vec<u8> = (0..997u32).map(|i| (i * 7 + i / 3) as u8).collect();
        for n in 0..data.len() {
            assert_eq!(checksum(&data[..n]), naive(&data[..n]), "{n} bytes");
            for cut in [0, 1, n / 3, n / 2] {
                let cut = cut.min(n);
                let s = Sum::new().add_at(0, &data[..cut]).add_at(cut, &data[cut..n]);
                assert_eq!(s.finish(), naive(&data[..n]), "{n} bytes cut at {cut}");
            }
        }
    }

    #[test]
    fn example_of_rfc_1071() {
        assert_eq!(Sum::new().add(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]).folded(), 0xddf2);
    }
}
