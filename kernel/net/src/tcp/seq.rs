//! Sequence numbers (RFC 9293, section 3.4).
//!
//! On the wire they are 32 bits and wrap. Inside they are positions in 64 bits that never wrap: only this file knows
//! modular arithmetic.

/// The position of the SYN. It is high enough for any older sequence number to have a position too.
pub(super) const BASE: u64 = 1 << 32;

/// One direction's sequence numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Space {
    isn: u32,
}

impl Space {
    /// The space whose SYN has the number `isn`.
    pub(super) const fn new(isn: u32) -> Self {
        Self { isn }
    }

    /// A position as it is written on the wire.
    pub(super) const fn wire(self, position: u64) -> u32 {
        // BASE is a multiple of 2^32.
        self.isn.wrapping_add(position as u32)
    }

    /// The position of `seq` that is nearest to `near`.
    pub(super) const fn position(self, seq: u32, near: u64) -> u64 {
        let distance = seq.wrapping_sub(self.wire(near)) as i32;
        near.wrapping_add_signed(distance as i64)
    }
}

/// Is `a` before `b`, modulo 2^32?
pub const fn seq_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// Is `a` after `b`, modulo 2^32?
pub const fn seq_after(a: u32, b: u32) -> bool {
    seq_before(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps() {
        let s = Space::new(u32::MAX - 1);
        assert_eq!(s.wire(BASE), u32::MAX - 1);
        assert_eq!(s.wire(BASE + 3), 1);
        assert_eq!(s.position(1, BASE), BASE + 3);
        assert_eq!(s.position(u32::MAX - 1, BASE + 3), BASE);
        assert_eq!(s.position(u32::MAX - 11, BASE), BASE - 10);
        let far = BASE + (5 << 32);
        assert_eq!(s.position(s.wire(far + 77), far), far + 77);
        assert!(seq_before(u32::MAX, 1) && seq_after(1, u32::MAX));
    }
}
