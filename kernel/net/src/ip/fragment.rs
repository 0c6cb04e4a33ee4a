//! Cutting a datagram into fragments (RFC 791, section 3.2; RFC 8200, section 4.5).

use bytes::Bytes;

/// Options that go into the first fragment only: those whose copy flag is not set become no-operations.
pub fn copied_options(options: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(options.len());
    let mut i = 0;
    while let Some(&kind) = options.get(i) {
        if kind == 0 {
            break;
        }
        let len = if kind == 1 { 1 } else { usize::from(options.get(i + 1).copied().unwrap_or(1)).max(1) };
        let end = (i + len).min(options.len());
        if kind & 0x80 != 0 {
            out.extend_from_slice(&options[i..end]);
        }
        i = end;
    }
    while out.len() % 4 != 0 {
        out.push(0);
    }
    out
}

/// One piece of a datagram's payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Where it stands, in bytes.
    pub offset: usize,
    /// Do others follow?
    pub more: bool,
    /// Its bytes, in parts.
    pub parts: Vec<Bytes>,
}

/// Cuts `parts`, which follow each other, into pieces of at most `max` bytes (rounded down to a multiple of eight).
/// Nothing is copied. No piece is given if `max` is less than eight.
pub fn cut(parts: &[Bytes], max: usize) -> Vec<Piece> {
    let max = max & !7;
    let mut pieces = Vec::new();
    if max == 0 {
        return pieces;
    }
    let mut left: usize = parts.iter().map(Bytes::len).sum();
    let mut rest = parts.iter().cloned();
    let mut head = rest.next().unwrap_or_default();
    let mut offset = 0;
    while left > 0 {
        let mut want = max.min(left);
        let size = want;
        let mut piece = Vec::with_capacity(2);
        while want > 0 {
            if head.is_empty() {
                match rest.next() {
                    Some(next) => head = next,
                    None => break,
                }
                continue;
            }
            let n = want.min(head.len());
            piece.push(head.split_to(n));
            want -= n;
        }
        left -= size;
        pieces.push(Piece { offset, more: left > 0, parts: piece });
        offset += size;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_datagram() {
        let all: Vec<u8> = (0..5000).map(|i| i as u8).collect();
        let parts = [
            Bytes::copy_from_slice(&all[..8]),
            Bytes::copy_from_slice(&all[8..3000]),
            Bytes::new(),
            Bytes::copy_from_slice(&all[3000..]),
        ];
        for max in [8, 100, 1480, 4999, 6000] {
            let pieces = cut(&parts, max);
            let mut at = 0;
            for (i, p) in pieces.iter().enumerate() {
                assert_eq!(p.offset, at);
                assert_eq!(p.offset % 8, 0);
                assert_eq!(p.more, i + 1 < pieces.len());
                let bytes: Vec<u8> = p.parts.iter().flatten().copied().collect();
                assert!(bytes.len() <= max);
                assert_eq!(bytes, all[at..at + bytes.len()]);
                at += bytes.len();
            }
            assert_eq!(at, all.len());
        }
        assert_eq!(cut(&parts, 7), []);
    }

    #[test]
    fn only_options_with_the_copy_flag_are_copied() {
        assert_eq!(copied_options(&[7, 3, 4, 0x82, 4, 9, 9, 0]), [0x82, 4, 9, 9]);
        assert_eq!(copied_options(&[1, 1, 0x94, 4, 0, 0]), [0x94, 4, 0, 0]);
    }
}
