//! The header that the host puts before each frame of a TAP with `IFF_VNET_HDR`: `struct virtio_net_hdr` of 10 bytes,
//! in the byte order of the host. It says which checksum is left to be filled in, and how an oversized frame is cut. LKL's own devices have
//! 12 bytes: the number of buffers follows, always 1 here (`struct virtio_net_hdr_mrg_rxbuf`).

use lkl_ops::{Checked, Checksum, Gso, GsoKind};

/// Its length in bytes.
pub(crate) const LEN: usize = 10;
/// The same with the number of buffers.
pub const LONGEST: usize = 12;

const F_NEEDS_CSUM: u8 = 1;
const F_DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// Writes the header of a frame to send; the first ten bytes are the shorter form.
pub fn emit(checksum: Option<Checksum>, gso: Option<Gso>) -> [u8; LONGEST] {
    let mut h = [0; LONGEST];
    h[LEN..].copy_from_slice(&1u16.to_ne_bytes());
    if let Some(gso) = gso {
        h[1] = match gso.kind {
            GsoKind::Tcp4 => GSO_TCPV4,
            GsoKind::Tcp6 => GSO_TCPV6,
            GsoKind::Udp => GSO_UDP_L4,
        };
        h[2..4].copy_from_slice(&gso.header_len.to_ne_bytes());
        h[4..6].copy_from_slice(&gso.size.to_ne_bytes());
    }
    if let Some(c) = checksum {
        h[0] = F_NEEDS_CSUM;
        h[6..8].copy_from_slice(&c.start.to_ne_bytes());
        h[8..10].copy_from_slice(&c.offset.to_ne_bytes());
    }
    h
}

/// Reads the header of a frame received: what of its checksum, and how is the frame to be cut? A kind of cutting that
/// was not asked for is `None`: the frame cannot be understood.
pub fn parse(h: &[u8; LONGEST]) -> Option<(Checked, Option<Gso>)> {
    let checked = match h[0] {
        flags if flags & F_NEEDS_CSUM != 0 => Checked::Unfilled,
        flags if flags & F_DATA_VALID != 0 => Checked::Valid,
        _ => Checked::No,
    };
    let kind = match h[1] & !GSO_ECN {
        GSO_NONE => return Some((checked, None)),
        GSO_TCPV4 => GsoKind::Tcp4,
        GSO_TCPV6 => GsoKind::Tcp6,
        GSO_UDP_L4 => GsoKind::Udp,
        _ => return None,
    };
    let header_len = u16::from_ne_bytes([h[2], h[3]]);
    let size = u16::from_ne_bytes([h[4], h[5]]);
    Some((checked, Some(Gso { kind, size, header_len })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let gso = Gso { kind: GsoKind::Tcp6, size: 1440, header_len: 86 };
        let h = emit(Some(Checksum { start: 54, offset: 16 }), Some(gso));
        assert_eq!(parse(&h), Some((Checked::Unfilled, Some(gso))));
        assert_eq!(parse(&emit(None, None)), Some((Checked::No, None)));
        assert_eq!(parse(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
