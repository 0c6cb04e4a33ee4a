//! The hashes of names by which directories are indexed: legacy, half MD4 and TEA, each with signed or unsigned characters.

/// Kinds of hash, as `dx_root_info` and `s_def_hash_version` number them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HashKind {
    version: u8,
    unsigned: bool,
}

/// A hash of a name: what the index is ordered by, and what orders names whose first hash is the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct NameHash {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl HashKind {
    /// The kind of this number. `unsigned` says what the superblock says of characters where the number does not.
    pub(crate) fn new(version: u8, unsigned: bool) -> Option<Self> {
        match version {
            0..=2 => Some(Self { version, unsigned }),
            3..=5 => Some(Self { version: version - 3, unsigned: true }),
            _ => None,
        }
    }

    /// The hash of a name.
    pub(crate) fn hash(self, name: &[u8], seed: &[u32; 4]) -> NameHash {
        let mut state = if *seed == [0; 4] { [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476] } else { *seed };
        let (major, minor) = match self.version {
            0 => (self.legacy(name), 0),
            1 => {
                for (n, _) in name.chunks(32).enumerate() {
                    half_md4(&mut state, &self.words::<8>(name.get(n * 32..).unwrap_or(&[])));
                }
                (state[1], state[2])
            }
            _ => {
                for (n, _) in name.chunks(16).enumerate() {
                    tea(&mut state, &self.words::<4>(name.get(n * 16..).unwrap_or(&[])));
                }
                (state[0], state[1])
            }
        };
        let major = major & !1;
        // The highest value stands for the end of the directory.
        NameHash { major: if major == 0xffff_fffe { 0xffff_fffc } else { major }, minor }
    }

    fn char(self, byte: u8) -> u32 {
        if self.unsigned {
            u32::from(byte)
        } else {
            byte as i8 as u32
        }
    }

    fn legacy(self, name: &[u8]) -> u32 {
        let (mut h0, mut h1) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
        for &byte in name {
            let mut h = h1.wrapping_add(h0 ^ self.char(byte).wrapping_mul(7_152_373));
            if h & 0x8000_0000 != 0 {
                h = h.wrapping_sub(0x7fff_ffff);
            }
            h1 = h0;
            h0 = h;
        }
        h0 << 1
    }

    /// The start of a name as words, filled up with its length.
    fn words<const N: usize>(self, name: &[u8]) -> [u32; N] {
        let len = name.len() as u32;
        let pad = len | len << 8;
        let pad = pad | pad << 16;
        let mut words = [pad; N];
        for (word, chars) in words.iter_mut().zip(name.chunks(4)) {
            for &byte in chars {
                *word = self.char(byte).wrapping_add(*word << 8);
            }
        }
        words
    }
}

fn tea(state: &mut [u32; 4], key: &[u32; 4]) {
    let (mut x, mut y, mut sum) = (state[0], state[1], 0u32);
    let mix =
        |v: u32, sum: u32, a: u32, b: u32| (v << 4).wrapping_add(a) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(b);
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        x = x.wrapping_add(mix(y, sum, key[0], key[1]));
        y = y.wrapping_add(mix(x, sum, key[2], key[3]));
    }
    state[0] = state[0].wrapping_add(x);
    state[1] = state[1].wrapping_add(y);
}

fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    // RFC 1320, section 3.4, with half of the words in each round.
    let [w0, w1, w2, w3, w4, w5, w6, w7] = *words;
    let mut s = *state;
    md4_round(&mut s, |x, y, z| z ^ x & (y ^ z), 0, [w0, w1, w2, w3, w4, w5, w6, w7], [3, 7, 11, 19]);
    let majority = |x, y, z| u32::wrapping_add(x & y, (x ^ y) & z);
    md4_round(&mut s, majority, 0x5a82_7999, [w1, w3, w5, w7, w0, w2, w4, w6], [3, 5, 9, 13]);
    md4_round(&mut s, |x, y, z| x ^ y ^ z, 0x6ed9_eba1, [w3, w7, w2, w6, w1, w5, w0, w4], [3, 9, 11, 15]);
    for (to, from) in state.iter_mut().zip(s) {
        *to = to.wrapping_add(from);
    }
}

#[inline]
fn md4_round(
    state: &mut [u32; 4],
    mix: impl Fn(u32, u32, u32) -> u32,
    constant: u32,
    words: [u32; 8],
    shifts: [u32; 4],
) {
    let [mut a, mut b, mut c, mut d] = *state;
    for (n, word) in words.into_iter().enumerate() {
        let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(word).wrapping_add(constant);
        // The four words of the state take turns, backwards.
        (a, b, c, d) = (d, sum.rotate_left(shifts[n % 4]), b, c);
    }
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_debugfs_computes_them() {
        // debugfs -R "dx_hash -h KIND [-s SEED] NAME"
        const LONG: &str = "a-name-that-is-longer-than-thirty-two-bytes-by-far";
        let table = [
            (0, false, "a", 0xe74b_53e2, 0),
            (0, false, "hello", 0x3225_2546, 0),
            (0, false, LONG, 0x1d54_5b82, 0),
            (0, false, "gr\u{fc}n", 0xc202_f150, 0),
            (1, false, "a", 0xd5fa_7d7a, 0xacb4_8187),
            (1, true, "a", 0x8d08_ec4c, 0x2fbc_cd78),
            (1, false, LONG, 0x1300_8e08, 0x70c5_2b27),
            (1, true, LONG, 0x6864_869c, 0x6fdb_879f),
            (1, false, "gr\u{fc}n", 0x095d_9284, 0xe676_0d94),
            (2, false, "hello", 0x6f5b_b1a8, 0x2319_17c2),
            (2, true, "hello", 0x1a56_92b6, 0x2fd9_857d),
            (2, false, LONG, 0x71a7_c806, 0x85ce_9d00),
            (2, true, LONG, 0xbd8c_3ba0, 0x405e_0d4f),
            (2, true, "gr\u{fc}n", 0x6294_7a52, 0x1ebe_7f6a),
        ];
        for (version, seeded, name, major, minor) in table {
            let seed = if seeded { [0x0403_0201, 0x0807_0605, 0x0c0b_0a09, 0x100f_0e0d] } else { [0; 4] };
            let kind = HashKind::new(version, false).unwrap();
            assert_eq!(kind.hash(name.as_bytes(), &seed), NameHash { major, minor }, "{version} {name}");
        }
    }

    #[test]
    fn unsigned_characters_matter_past_ascii_only() {
        for version in 0..3 {
            let (signed, unsigned) =
                (HashKind::new(version, false).unwrap(), HashKind::new(version + 3, false).unwrap());
            assert_eq!(signed.hash(b"abc", &[0; 4]), unsigned.hash(b"abc", &[0; 4]));
            assert_ne!(signed.hash(b"\xfc", &[0; 4]), unsigned.hash(b"\xfc", &[0; 4]));
        }
        assert_eq!(HashKind::new(6, false), None);
    }
}
