//! The names of what can be configured.

/// A value: where it is in its struct, and what it is called.
pub(super) struct Field {
    /// Which member of the struct.
    pub(super) index: usize,
    /// Its key in JSON.
    pub(super) key: &'static str,
    /// The variable's name after `LKL_HIJACK_`, if there is one.
    pub(super) variable: Option<&'static str>,
}

const fn field(index: usize, key: &'static str, variable: &'static str) -> Field {
    Field { index, key, variable: if variable.is_empty() { None } else { Some(variable) } }
}

/// Numbers of the members of `struct lkl_config_iface`.
pub(super) mod iface {
    pub(crate) const TAP: usize = 0;
    pub(crate) const TYPE: usize = 1;
    pub(crate) const PARAMS: usize = 2;
    pub(crate) const MTU: usize = 3;
    pub(crate) const IP: usize = 4;
    pub(crate) const IPV6: usize = 5;
    pub(crate) const GATEWAY: usize = 6;
    pub(crate) const GATEWAY6: usize = 7;
    pub(crate) const MAC: usize = 8;
    pub(crate) const MASK: usize = 9;
    pub(crate) const MASK6: usize = 10;
    pub(crate) const OFFLOAD: usize = 11;
    pub(crate) const NEIGHBOURS: usize = 12;
    pub(crate) const QDISCS: usize = 13;
}

/// Numbers of the strings of `struct lkl_config`.
pub(super) mod top {
    pub(crate) const GATEWAY: usize = 0;
    pub(crate) const GATEWAY6: usize = 1;
    pub(crate) const DEBUG: usize = 2;
    pub(crate) const MOUNT: usize = 3;
    pub(crate) const SINGLE_CPU: usize = 4;
    pub(crate) const SYSCTL: usize = 5;
    pub(crate) const BOOT_CMDLINE: usize = 6;
    pub(crate) const DUMP: usize = 7;
    pub(crate) const DELAY_MAIN: usize = 8;
}

/// Of an interface.
pub(super) const INTERFACE: &[Field] = &[
    field(iface::TAP, "tap", "NET_TAP"),
    field(iface::TYPE, "type", "NET_IFTYPE"),
    field(iface::PARAMS, "param", "NET_IFPARAMS"),
    field(iface::MTU, "mtu", "NET_MTU"),
    field(iface::IP, "ip", "NET_IP"),
    field(iface::IPV6, "ipv6", "NET_IPV6"),
    field(iface::GATEWAY, "ifgateway", "NET_IFGATEWAY"),
    field(iface::GATEWAY6, "ifgateway6", "NET_IFGATEWAY6"),
    field(iface::MAC, "mac", "NET_MAC"),
    field(iface::MASK, "masklen", "NET_NETMASK_LEN"),
    field(iface::MASK6, "masklen6", "NET_NETMASK6_LEN"),
    field(iface::OFFLOAD, "offload", "OFFLOAD"),
    field(iface::NEIGHBOURS, "neigh", "NET_NEIGHBOR"),
    field(iface::QDISCS, "qdisc", "NET_QDISC"),
];

/// Of all.
pub(super) const TOP: &[Field] = &[
    field(top::GATEWAY, "gateway", "NET_GATEWAY"),
    field(top::GATEWAY6, "gateway6", "NET_GATEWAY6"),
    field(top::DEBUG, "debug", "DEBUG"),
    field(top::MOUNT, "mount", "MOUNT"),
    field(top::SINGLE_CPU, "singlecpu", "SINGLE_CPU"),
    field(top::SYSCTL, "sysctl", "SYSCTL"),
    field(top::BOOT_CMDLINE, "boot_cmdline", "BOOT_CMDLINE"),
    field(top::DUMP, "dump", "DUMP"),
    field(top::DELAY_MAIN, "delay_main", ""),
];

/// The one with that key in JSON.
pub(super) fn by_key(table: &'static [Field], key: &str) -> Option<&'static Field> {
    table.iter().find(|f| f.key == key)
}
