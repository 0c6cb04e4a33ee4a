//! The names of what can be configured, as LKL has them.

/// What all variables begin with.
pub(super) const PREFIX: &str = "LKL_HIJACK_";
/// What the names of those variables begin with that must all be known.
pub(super) const STRICT: &str = "LKL_HIJACK_NET_";

/// Whose setting it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// An interface's.
    Interface,
    /// The kernel's.
    Kernel,
    /// Each process's own, by its environment.
    Process,
}

/// A setting.
#[derive(Debug)]
pub struct Key {
    /// The variable's name after `LKL_HIJACK_`; empty if there is none.
    pub variable: &'static str,
    /// Its key in the file; empty if it has none.
    pub json: &'static str,
    /// Whose it is.
    pub of: Of,
    /// What it is for. README.md has more.
    pub help: &'static str,
}

const fn key(of: Of, variable: &'static str, json: &'static str, help: &'static str) -> Key {
    Key { variable, json, of, help }
}

/// All of them.
pub const KNOWN: &[Key] = &[
    key(Of::Interface, "NET_TAP", "tap", "name of a TAP device of the host; it becomes eth0"),
    key(Of::Interface, "NET_IFTYPE", "type", "kind of device: tap, macvtap, raw, pipe or vde"),
    key(Of::Interface, "NET_IFPARAMS", "param", "its name, path, pipes (rx|tx) or switch"),
    key(Of::Interface, "NET_IP", "ip", "IPv4 address of eth0 (10.0.0.2, or with the mask: 10.0.0.2/24)"),
    key(Of::Interface, "NET_NETMASK_LEN", "masklen", "length of its network mask, 0 to 32"),
    key(Of::Interface, "NET_IPV6", "ipv6", "IPv6 address of eth0 (fd00::2, or fd00::2/64)"),
    key(Of::Interface, "NET_NETMASK6_LEN", "masklen6", "length of its prefix, 0 to 128"),
    key(Of::Interface, "NET_IFGATEWAY", "ifgateway", "IPv4 gateway of what is sent from that address"),
    key(Of::Interface, "NET_IFGATEWAY6", "ifgateway6", "IPv6 gateway of what is sent from that address"),
    key(Of::Interface, "NET_MAC", "mac", "hardware address of eth0"),
    key(Of::Interface, "NET_MTU", "mtu", "MTU of eth0, 68 to 65535 (from 1280 with IPv6)"),
    key(Of::Interface, "NET_NEIGHBOR", "neigh", "permanent neighbours (10.0.0.1|02:00:00:00:00:01;...)"),
    key(Of::Interface, "NET_QDISC", "qdisc", "queueing discipline (root|fq)"),
    key(Of::Interface, "OFFLOAD", "offload", "mask of what is left to the device (0x8883); 0 for nothing"),
    key(Of::Kernel, "NET_GATEWAY", "gateway", "IPv4 default gateway"),
    key(Of::Kernel, "NET_GATEWAY6", "gateway6", "IPv6 default gateway"),
    key(Of::Kernel, "DISK", "", "disk images, and where their files are (image[:partition]:/place[:type][:ro];...)"),
    key(Of::Kernel, "KERNEL", "", "name of a kernel that is started if it does not run, and joined if it does"),
    key(
        Of::Kernel,
        "SYSCTL",
        "sysctl",
        "settings below /proc/sys (net.ipv4.tcp_congestion_control=bbr;net.ipv4.tcp_ecn=1)",
    ),
    key(Of::Kernel, "BUSY_POLL", "", "for how many microseconds a thread that waits looks at the TAP before it sleeps"),
    key(Of::Kernel, "BOOT_CMDLINE", "boot_cmdline", "the kernel's command line (mem=64M ip=dhcp loglevel=4)"),
    key(Of::Kernel, "MOUNT", "mount", "file systems to mount in the kernel's own tree (proc,sysfs)"),
    key(
        Of::Kernel,
        "DUMP",
        "dump",
        "files of the kernel's own tree that are shown at the end (/sysfs/class/net/lo/mtu)",
    ),
    key(Of::Kernel, "SINGLE_CPU", "singlecpu", "0, 1 or 2; without effect"),
    key(Of::Kernel, "DEBUG", "debug", "1 shows boot, configuration and drops on stderr; 2 each system call"),
    key(Of::Kernel, "LOG", "", "a filter for messages, as of the tracing crate (info,lkl::syscall=trace)"),
    key(Of::Process, "HOST", "", "addresses that are reached by the host's network (127.0.0.0/8,192.0.2.7)"),
    key(Of::Process, "RESOLV_CONF", "", "file that programs see as /etc/resolv.conf"),
    key(Of::Process, "CONFIG_FILE", "", "a file with settings, in JSON"),
];

/// The setting of a variable.
pub(super) fn by_variable(variable: &str) -> Option<&'static Key> {
    KNOWN.iter().find(|k| k.variable == variable)
}

/// The setting of a key in a file.
pub(super) fn by_json(json: &str, of: Of) -> Option<&'static Key> {
    KNOWN.iter().find(|k| k.of == of && k.json == json && !json.is_empty())
}

/// Which of `names` is most like `wrong`.
pub(super) fn nearest<'a>(names: impl Iterator<Item = &'a str>, wrong: &str) -> Option<&'a str> {
    names.map(|name| (strsim::damerau_levenshtein(name, wrong), name)).min().map(|(_, name)| name)
}
