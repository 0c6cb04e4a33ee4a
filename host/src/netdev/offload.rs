//! What of the work on segments is left to a device and its other end, as LKL says it: a mask of the features of a virtio network device (Virtual I/O
//! Device 1.2, section 5.1.3).

use lkl_ops::Features;

/// Segments may be sent without a checksum (`VIRTIO_NET_F_CSUM`).
const CSUM: u32 = 1 << 0;
/// They may come so.
const GUEST_CSUM: u32 = 1 << 1;
/// TCP over IPv4 may come in segments of up to 64 KiB; over IPv6.
const GUEST_TSO4: u32 = 1 << 7;
const GUEST_TSO6: u32 = 1 << 8;
/// It may be sent so.
const HOST_TSO4: u32 = 1 << 11;
const HOST_TSO6: u32 = 1 << 12;
/// Those which change nothing here: `MAC`, `GUEST_ECN`, `GUEST_UFO`, `HOST_ECN`, `HOST_UFO`, `MRG_RXBUF`. ECN is kept in any case, Linux cuts no UDP
/// into fragments any more, and a frame is received in one piece.
const NOTHING: u32 = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 13 | 1 << 14 | 1 << 15;

/// What is left to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// With what is sent.
    send: Features,
    /// The same by the other end, with what is received.
    pub(crate) receive: Features,
}

impl Offload {
    /// Nothing: frames are as on a wire.
    pub const NONE: Self = Self { send: NO_FEATURES, receive: NO_FEATURES };
    /// As much as the device has.
    pub const ALL: Self = Self { send: ALL_FEATURES, receive: ALL_FEATURES };

    /// What a mask asks for; `None` if it has a bit that means nothing. Without checksums there are no long segments.
    pub fn of_bits(bits: u32) -> Option<Self> {
        let known = CSUM | GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | HOST_TSO4 | HOST_TSO6 | NOTHING;
        let part = |sum: u32, four: u32, six: u32| {
            let has = |bit: u32| bits & sum != 0 && bits & bit != 0;
            Features { tx_checksum: bits & sum != 0, tso4: has(four), tso6: has(six) }
        };
        let both = Self { send: part(CSUM, HOST_TSO4, HOST_TSO6), receive: part(GUEST_CSUM, GUEST_TSO4, GUEST_TSO6) };
        (bits & !known == 0).then_some(both)
    }

    /// The mask that asks for it.
    pub fn bits(self) -> u32 {
        let part = |f: Features, sum: u32, four: u32, six: u32| {
            let bit = |on: bool, bit: u32| if on { bit } else { 0 };
            bit(f.tx_checksum, sum) | bit(f.tso4, four) | bit(f.tso6, six)
        };
        part(self.send, CSUM, HOST_TSO4, HOST_TSO6) | part(self.receive, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6)
    }

    /// Is there anything in it?
    pub fn any(self) -> bool {
        self != Self::NONE
    }

    /// What the device does with frames that are sent.
    pub fn features(self) -> Features {
        self.send
    }
}

const NO_FEATURES: Features = Features { tx_checksum: false, tso4: false, tso6: false };
const ALL_FEATURES: Features = Features { tx_checksum: true, tso4: true, tso6: true };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_that_lkls_users_have() {
        let of = |bits| Offload::of_bits(bits).unwrap();
        assert_eq!(of(0), Offload::NONE);
        assert_eq!(of(0x883).send, Features { tx_checksum: true, tso4: true, tso6: false });
        assert_eq!(of(0x883).receive, Features { tx_checksum: true, tso4: true, tso6: false });
        // TSO when sending, and buffers that are merged.
        assert_eq!(of(0x8803).receive, Features { tx_checksum: true, tso4: false, tso6: false });
        assert_eq!(of(0x9983), Offload::ALL);
        assert_eq!(of(0xc803), of(0x8803));
        // No checksum, no segments.
        assert_eq!(of(0x8800), Offload::NONE);
        assert!(!of(0x8000).any());
        for bit in [2, 3, 6, 16, 31] {
            assert_eq!(Offload::of_bits(1 << bit), None);
        }
        for bits in 0..=u16::MAX {
            if let Some(o) = Offload::of_bits(bits.into()) {
                assert_eq!(Offload::of_bits(o.bits()), Some(o), "{bits:#x}");
            }
        }
    }
}
