//! Links: `lo` and the Ethernet devices, their state and counters.

use crate::sysctl::{Ipv4Conf, Ipv6Conf, NeighConf};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicU8, Ordering::Relaxed};
use lkl_abi::if_::{ARPHRD_ETHER, ARPHRD_LOOPBACK, IFF_LOOPBACK, IFF_LOWER_UP, IFF_RUNNING, IFF_UP};
use lkl_abi::if_link::{IF_OPER_DOWN, IF_OPER_UNKNOWN, IF_OPER_UP};
use lkl_ops::{Features, NetDev};
use lkl_sync::{Mutex, Rank};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Index of `lo`.
pub const LOOPBACK_INDEX: u32 = 1;

macro_rules! stats {
    ($($field:ident,)*) => {
        /// The counters of a link, in the order of `struct rtnl_link_stats64`.
        #[derive(Debug, Default)]
        #[expect(missing_docs, reason = "if_link.h explains them")]
        pub struct LinkStats {
            $(pub $field: AtomicU64,)*
        }

        impl LinkStats {
            /// All values, in the order of `struct rtnl_link_stats64`.
            pub fn values(&self) -> Vec<u64> {
                vec![$(self.$field.load(Relaxed),)*]
            }
        }
    };
}

stats! {
    rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast, collisions,
    rx_length_errors, rx_over_errors, rx_crc_errors, rx_frame_errors, rx_fifo_errors, rx_missed_errors,
    tx_aborted_errors, tx_carrier_errors, tx_fifo_errors, tx_heartbeat_errors, tx_window_errors, rx_compressed,
    tx_compressed, rx_nohandler, rx_otherhost_dropped,
}

/// A link.
pub struct Link {
    /// Its number.
    pub index: u32,
    pub(crate) name: Mutex<String>,
    pub(crate) flags: AtomicU32,
    pub(crate) mtu: AtomicU32,
    pub(crate) txqlen: AtomicU32,
    mac: AtomicU64,
    /// Counters.
    pub stats: LinkStats,
    /// `net/ipv4/conf/LINK`
    pub ipv4: Ipv4Conf,
    /// `net/ipv6/conf/LINK`
    pub ipv6: Ipv6Conf,
    /// `net/ipv4/neigh/LINK`
    pub neigh4: NeighConf,
    /// `net/ipv6/neigh/LINK`
    pub neigh6: NeighConf,
    /// The device; `None` for `lo`.
    pub(crate) dev: Option<Arc<dyn NetDev>>,
    pub(crate) features: Features,
    /// Held by who reads the device, so that frames stay in order.
    pub(crate) reading: AtomicBool,
    /// How often in a row it had one frame when it was read (`Net::read_devices`).
    pub(crate) lone: AtomicU8,
    /// How many members want all frames (`PACKET_MR_PROMISC`).
    pub(crate) promiscuity: AtomicU32,
    pub(crate) allmulti: AtomicU32,
    /// Groups with the number of their members.
    pub(crate) groups: Mutex<HashMap<IpAddr, u32>>,
}

impl Link {
    pub(crate) fn new(index: u32, name: String, mtu: u32, flags: u32, dev: Option<Arc<dyn NetDev>>) -> Self {
        let mac = dev.as_ref().map_or([0; 6], |d| d.mac());
        let features = dev.as_ref().map_or(Features { tx_checksum: true, tso4: true, tso6: true }, |d| d.features());
        let link = Self {
            index,
            name: Mutex::new(Rank::Leaf, name),
            flags: AtomicU32::new(flags),
            mtu: AtomicU32::new(mtu),
            txqlen: AtomicU32::new(1000),
            mac: AtomicU64::new(0),
            stats: LinkStats::default(),
            ipv4: Ipv4Conf::default(),
            ipv6: Ipv6Conf::default(),
            neigh4: NeighConf::default(),
            neigh6: NeighConf::default(),
            dev,
            features,
            reading: AtomicBool::new(false),
            lone: AtomicU8::new(0),
            promiscuity: AtomicU32::new(0),
            allmulti: AtomicU32::new(0),
            groups: Mutex::new(Rank::PacketTable, HashMap::new()),
        };
        link.ipv6.mtu.set(i64::from(mtu));
        link.set_mac(mac);
        link
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.name.lock().clone()
    }

    /// `IFF_*`, as `ip link` shows them (`IFF_RUNNING` and `IFF_LOWER_UP` follow `IFF_UP`).
    pub fn flags(&self) -> u32 {
        let mut flags = self.flags.load(Relaxed);
        if flags & IFF_UP != 0 {
            flags |= IFF_RUNNING | IFF_LOWER_UP;
        }
        flags
    }

    /// Is it up?
    pub fn is_up(&self) -> bool {
        self.flags.load(Relaxed) & IFF_UP != 0
    }

    /// Is it `lo`?
    pub fn is_loopback(&self) -> bool {
        self.flags.load(Relaxed) & IFF_LOOPBACK != 0
    }

    /// MTU in bytes.
    pub fn mtu(&self) -> u32 {
        self.mtu.load(Relaxed)
    }

    /// The MTU for a family in bytes.
    pub fn ip_mtu(&self, v6: bool) -> u32 {
        let mtu = self.mtu();
        if v6 {
            u32::try_from(self.ipv6.mtu.get()).unwrap_or(mtu).min(mtu)
        } else {
            mtu
        }
    }

    /// Hardware address.
    pub fn mac(&self) -> [u8; 6] {
        let [_, _, mac @ ..] = self.mac.load(Relaxed).to_be_bytes();
        mac
    }

    pub(crate) fn set_mac(&self, mac: [u8; 6]) {
        let [a, b, c, d, e, f] = mac;
        self.mac.store(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), Relaxed);
    }

    /// `ARPHRD_*`
    pub fn hatype(&self) -> u16 {
        if self.is_loopback() {
            ARPHRD_LOOPBACK
        } else {
            ARPHRD_ETHER
        }
    }

    /// Hardware broadcast address.
    pub fn broadcast_mac(&self) -> [u8; 6] {
        if self.is_loopback() {
            [0; 6]
        } else {
            [0xff; 6]
        }
    }

    /// `IF_OPER_*`
    pub fn operstate(&self) -> u8 {
        match (self.is_loopback(), self.is_up()) {
            (true, _) => IF_OPER_UNKNOWN,
            (false, true) => IF_OPER_UP,
            (false, false) => IF_OPER_DOWN,
        }
    }

    /// Name of the queueing discipline: frames go straight to the device.
    pub fn qdisc(&self) -> &'static str {
        match (self.is_loopback(), self.is_up()) {
            (false, false) => "noop",
            _ => "noqueue",
        }
    }

    /// Length of the transmit queue in frames, as configured.
    pub fn txqlen(&self) -> u32 {
        self.txqlen.load(Relaxed)
    }

    /// Name of the driver; `None` for `lo`.
    pub fn driver(&self) -> Option<&'static str> {
        self.dev.as_ref().map(|d| d.driver())
    }

    /// The address that the device was made with; `None` for `lo`.
    pub fn permanent_mac(&self) -> Option<[u8; 6]> {
        self.dev.as_ref().map(|d| d.mac())
    }

    /// What the device does by itself.
    pub fn features(&self) -> Features {
        self.features
    }

    /// How many want all frames.
    pub fn promiscuity(&self) -> u32 {
        self.promiscuity.load(Relaxed)
    }

    /// How many want all groups' frames.
    pub fn allmulti(&self) -> u32 {
        self.allmulti.load(Relaxed)
    }

    /// The groups that it listens to, with the number of their users.
    pub fn groups(&self) -> Vec<(IpAddr, u32)> {
        let mut all: Vec<_> = self.groups.lock().iter().map(|(g, n)| (*g, *n)).collect();
        all.sort();
        all
    }

    /// Is it a member of `group`? All links are members of the all-hosts groups.
    pub fn is_member(&self, group: IpAddr) -> bool {
        let all_hosts = match group {
            IpAddr::V4(g) => g.octets() == [224, 0, 0, 1],
            IpAddr::V6(g) => matches!(g.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]),
        };
        all_hosts || self.groups.lock().contains_key(&group)
    }
}

impl core::fmt::Debug for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Link({}: {} flags {:#x} mtu {})", self.index, self.name(), self.flags(), self.mtu())
    }
}
