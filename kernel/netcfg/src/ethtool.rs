//! What `ethtool` is told of a link, by either of its two ways: the generic netlink family ([`crate::genl`]) and
//! `SIOCETHTOOL` ([`crate::ioctl`]). A device shows itself as Linux's `tun` does.

use crate::view::LinkView;

/// The names of the features, in the order of their bits. An empty name is a bit that is not shown.
pub(crate) const FEATURES: [&str; 64] = [
    "tx-scatter-gather",
    "tx-checksum-ipv4",
    "",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv6",
    "highdma",
    "tx-scatter-gather-fraglist",
    "tx-vlan-hw-insert",
    "rx-vlan-hw-parse",
    "rx-vlan-filter",
    "vlan-challenged",
    "tx-generic-segmentation",
    "",
    "",
    "rx-gro",
    "rx-lro",
    "tx-tcp-segmentation",
    "tx-gso-robust",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-fcoe-segmentation",
    "tx-gre-segmentation",
    "tx-gre-csum-segmentation",
    "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
    "tx-gso-partial",
    "tx-tunnel-remcsum-segmentation",
    "tx-sctp-segmentation",
    "tx-esp-segmentation",
    "",
    "tx-udp-segmentation",
    "tx-gso-list",
    "tx-tcp-accecn-segmentation",
    "tx-checksum-fcoe-crc",
    "tx-checksum-sctp",
    "rx-ntuple-filter",
    "rx-hashing",
    "rx-checksum",
    "tx-nocache-copy",
    "loopback",
    "rx-fcs",
    "rx-all",
    "tx-vlan-stag-hw-insert",
    "rx-vlan-stag-hw-parse",
    "rx-vlan-stag-filter",
    "l2-fwd-offload",
    "hw-tc-offload",
    "esp-hw-offload",
    "esp-tx-csum-hw-offload",
    "rx-udp_tunnel-port-offload",
    "tls-hw-tx-offload",
    "tls-hw-rx-offload",
    "rx-gro-hw",
    "tls-hw-record",
    "rx-gro-list",
    "macsec-hw-offload",
    "rx-udp-gro-forwarding",
    "hsr-tag-ins-offload",
    "hsr-tag-rm-offload",
    "hsr-fwd-offload",
    "hsr-dup-offload",
];

/// Number of link modes that Linux knows, the length of their bit sets.
pub(crate) const LINK_MODES: u32 = 121;

/// Names of the bits of the message level.
pub(crate) const MSG_CLASSES: [&str; 15] = [
    "drv",
    "probe",
    "link",
    "timer",
    "ifdown",
    "ifup",
    "rx_err",
    "tx_err",
    "tx_queued",
    "intr",
    "tx_done",
    "rx_status",
    "pktdata",
    "hw",
    "wol",
];

/// Capabilities of time stamping: `software-transmit`, `software-receive`, `software-system-clock`.
pub(crate) const TIMESTAMPING: u32 = 0x02 | 0x08 | 0x10;
/// Number of the flags of time stamping.
pub(crate) const TIMESTAMPING_BITS: u32 = 18;
/// In Mbit/s, as `tun` has it.
pub(crate) const SPEED: u32 = 10_000;

const SG: u64 = 1 << 0;
const CSUM_GENERIC: u64 = 1 << 3;
const HIGHDMA: u64 = 1 << 5;
const FRAGLIST: u64 = 1 << 6;
const VLAN_CHALLENGED: u64 = 1 << 10;
const GSO: u64 = 1 << 11;
const GRO: u64 = 1 << 14;
const TSO4: u64 = 1 << 16;
const TSO6: u64 = 1 << 20;
const RXCSUM: u64 = 1 << 40;
const LOOPBACK: u64 = 1 << 42;

/// The features of a link, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Features {
    pub(crate) active: u64,
    /// What the program may switch.
    pub(crate) changeable: u64,
    /// What can never be switched.
    pub(crate) never: u64,
}

pub(crate) fn features(link: &LinkView) -> Features {
    if link.loopback {
        let active = SG | FRAGLIST | CSUM_GENERIC | HIGHDMA | GSO | VLAN_CHALLENGED | RXCSUM | LOOPBACK;
        return Features { active, changeable: 0, never: VLAN_CHALLENGED | LOOPBACK };
    }
    let mut active = SG | GSO | GRO;
    if link.tx_checksum {
        active |= CSUM_GENERIC;
    }
    if link.tso4 {
        active |= TSO4;
    }
    if link.tso6 {
        active |= TSO6;
    }
    Features { active, changeable: 0, never: VLAN_CHALLENGED | LOOPBACK }
}

/// The name that `ethtool -i` shows for the bus.
pub(crate) fn bus_info(link: &LinkView) -> &'static str {
    if link.driver == "tun" {
        "tap"
    } else {
        ""
    }
}
