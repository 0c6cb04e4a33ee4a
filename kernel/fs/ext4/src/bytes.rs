//! Little-endian fields of on-disk structures.
//!
//! A structure is cut out of its block by code that checks lengths. These functions are total all the same: what would lie outside
//! reads as 0 and is not written, so that no offset on a damaged disk can make them panic.

#[inline]
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    if let Some(from) = at.checked_add(N).and_then(|end| bytes.get(at..end)) {
        value.copy_from_slice(from);
    }
    value
}

#[inline]
fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(to) = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end)) {
        to.copy_from_slice(value);
    }
}

/// The byte at `at`.
#[inline]
pub(crate) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The 16-bit field at `at`.
#[inline]
pub(crate) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}

/// The 32-bit field at `at`.
#[inline]
pub(crate) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

/// The 64-bit field at `at`.
#[inline]
pub(crate) fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

/// The big-endian 16-bit field at `at`, as the journal has them.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(field(bytes, at))
}

/// The big-endian 32-bit field at `at`, as the journal has them.
#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(field(bytes, at))
}

/// The big-endian 64-bit field at `at`, as the journal has them.
#[inline]
pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(field(bytes, at))
}

/// Sets the byte at `at`.
#[inline]
pub(crate) fn put_u8(bytes: &mut [u8], at: usize, value: u8) {
    set(bytes, at, &[value]);
}

/// Sets the 16-bit field at `at`.
#[inline]
pub(crate) fn put_le16(bytes: &mut [u8], at: usize, value: u16) {
    set(bytes, at, &value.to_le_bytes());
}

/// Sets the 32-bit field at `at`.
#[inline]
pub(crate) fn put_le32(bytes: &mut [u8], at: usize, value: u32) {
    set(bytes, at, &value.to_le_bytes());
}

/// Sets the 64-bit field at `at`.
#[inline]
pub(crate) fn put_le64(bytes: &mut [u8], at: usize, value: u64) {
    set(bytes, at, &value.to_le_bytes());
}

/// Sets the big-endian 16-bit field at `at`.
#[inline]
pub(crate) fn put_be16(bytes: &mut [u8], at: usize, value: u16) {
    set(bytes, at, &value.to_be_bytes());
}

/// Sets the big-endian 32-bit field at `at`.
#[inline]
pub(crate) fn put_be32(bytes: &mut [u8], at: usize, value: u32) {
    set(bytes, at, &value.to_be_bytes());
}

/// Sets the big-endian 64-bit field at `at`.
#[inline]
pub(crate) fn put_be64(bytes: &mut [u8], at: usize, value: u64) {
    set(bytes, at, &value.to_be_bytes());
}

/// Sets the bytes from `at` on.
#[inline]
pub(crate) fn put_bytes(bytes: &mut [u8], at: usize, value: &[u8]) {
    set(bytes, at, value);
}

/// `len` bytes from `at`, or fewer or none if they are not there.
#[inline]
pub(crate) fn cut(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    let from = at.min(bytes.len());
    bytes.get(from..from.saturating_add(len).min(bytes.len())).unwrap_or(&[])
}

/// Whether bit `n` of a bitmap is set. Past its end all are.
#[inline]
pub(crate) fn bit(map: &[u8], n: usize) -> bool {
    map.get(n / 8).is_none_or(|b| b >> (n % 8) & 1 != 0)
}

/// Sets or clears the bits of a range.
pub(crate) fn set_bits(map: &mut [u8], from: usize, len: usize, value: bool) {
    let mut n = from;
    let end = from.saturating_add(len).min(map.len().saturating_mul(8));
    while n < end {
        let Some(b) = map.get_mut(n / 8) else { return };
        if n % 8 == 0 && end - n >= 8 {
            *b = if value { 255 } else { 0 };
            n += 8;
        } else {
            if value {
                *b |= 1 << (n % 8);
            } else {
                *b &= !(1 << (n % 8));
            }
            n += 1;
        }
    }
}

/// The first bit in `from..end` that is `value`, or `end`.
pub(crate) fn next_bit(map: &[u8], from: usize, end: usize, value: bool) -> usize {
    let end = end.min(map.len().saturating_mul(8));
    let mut n = from;
    while n < end {
        let Some(&byte) = map.get(n / 8) else { break };
        // Bits that are looked for, from this one on.
        let found = (if value { byte } else { !byte }) >> (n % 8);
        if found != 0 {
            return (n + found.trailing_zeros() as usize).min(end);
        }
        n = (n / 8 + 1) * 8;
        let skip = if value { 0 } else { u64::MAX };
        while n + 64 <= end && le64(map, n / 8) == skip {
            n += 64;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_outside_are_zero_and_stay_unwritten() {
        let mut b = [1u8, 2, 3, 4];
        assert_eq!((le16(&b, 1), le32(&b, 0), le32(&b, 1), le64(&b, usize::MAX)), (0x0302, 0x0403_0201, 0, 0));
        put_le32(&mut b, 1, 7);
        put_be16(&mut b, 2, 0x0506);
        assert_eq!(b, [1, 2, 5, 6]);
        assert_eq!(cut(&b, 3, 9), [6]);
        assert!(cut(&b, 9, 1).is_empty());
    }

    #[test]
    fn bits() {
        let mut map = vec![0u8; 32];
        set_bits(&mut map, 3, 100, true);
        assert_eq!((next_bit(&map, 0, 256, true), next_bit(&map, 3, 256, false)), (3, 103));
        assert_eq!((next_bit(&map, 103, 256, true), next_bit(&map, 0, 2, true)), (256, 2));
        set_bits(&mut map, 10, 1, false);
        assert_eq!(next_bit(&map, 3, 256, false), 10);
        assert!(bit(&map, 1000));
    }
}
