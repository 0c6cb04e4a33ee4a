//! Checksums: crc32c (metadata_csum), crc16 (uninit_bg), and crc32 as old journals have it.

use crc::{Crc, CRC_16_MODBUS};

static CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);

/// crc32c of `data`, going on from `seed`, without the inversions at its ends: as ext4 and JBD2 chain it.
pub(crate) fn crc32c(seed: u32, data: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, data)
}

/// crc16 of group descriptors (uninit_bg), over several pieces.
pub(crate) fn crc16(pieces: &[&[u8]]) -> u16 {
    let mut digest = CRC16.digest();
    for piece in pieces {
        digest.update(piece);
    }
    digest.finalize()
}

/// crc32, most significant bit first and without inversions, going on from `seed`: the checksum of a JBD2 commit block (version 1).
pub(crate) fn crc32_be(seed: u32, data: &[u8]) -> u32 {
    data.iter().fold(seed, |mut crc, &byte| {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 0 { crc << 1 } else { crc << 1 ^ 0x04c1_1db7 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values() {
        // The published check values of these polynomials over "123456789".
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc16(&[b"1234", b"56789"]), 0x4b37);
        assert_eq!(!crc32_be(!0, b"123456789"), 0xfc89_1918);
    }

    #[test]
    fn pieces_chain() {
        assert_eq!(crc32c(crc32c(!0, b"1234"), b"56789"), crc32c(!0, b"123456789"));
        assert_eq!(crc32_be(crc32_be(!0, b"1234"), b"56789"), crc32_be(!0, b"123456789"));
    }
}
