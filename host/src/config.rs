//! The configuration that the user gives: the `LKL_HIJACK_*` variables of the environment, as one typed struct.
//!
//! Anything wrong is an error that names the variable, its value, and what was expected; nothing is guessed. The
//! values' own grammars are in [`values`].

pub mod disk;
pub mod values;

#[cfg(test)]
mod tests;

pub use disk::DiskMount;
use disk::DiskMounts;
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use macaddr::MacAddr6;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use values::{
    AbsolutePath, Addr4, Addr6, IfName, IfType, KernelName, LogFilter, Mac, Mask4, Mask6, Micros, Mtu, Number, Parsed,
    Prefixes, Sysctls,
};

/// What all names begin with.
const PREFIX: &str = "LKL_HIJACK_";
/// What the names begin with that must all be known.
const STRICT: &str = "LKL_HIJACK_NET_";

/// The names after [`PREFIX`] that [`Variables`] has, with what they are for; README.md has them all.
pub const KNOWN: &[(&str, &str)] = &[
    ("NET_TAP", "name of a TAP device of the host; it becomes eth0"),
    ("NET_IP", "IPv4 address of eth0 (10.0.0.2, or with the mask: 10.0.0.2/24)"),
    ("NET_NETMASK_LEN", "length of its network mask, 0 to 32"),
    ("NET_GATEWAY", "IPv4 default gateway"),
    ("NET_IPV6", "IPv6 address of eth0 (fd00::2, or fd00::2/64)"),
    ("NET_NETMASK6_LEN", "length of its prefix, 0 to 128"),
    ("NET_GATEWAY6", "IPv6 default gateway"),
    ("NET_MAC", "hardware address of eth0; random if not set"),
    ("NET_MTU", "MTU of eth0, 68 to 65535 (from 1280 with IPv6)"),
    ("NET_IFTYPE", "kind of device; only tap is supported"),
    ("NET_IFPARAMS", "name of the device, the same as NET_TAP"),
    ("DISK", "disk images, and where their files are (image[:partition]:/place[:type][:ro];...)"),
    ("KERNEL", "name of a kernel that is started if it does not run, and joined if it does"),
    ("SYSCTL", "settings below /proc/sys (net.ipv4.tcp_congestion_control=bbr;net.ipv4.tcp_ecn=1)"),
    ("BUSY_POLL", "for how many microseconds a thread that waits looks at the TAP before it sleeps"),
    ("HOST", "addresses that are reached by the host's network (127.0.0.0/8,192.0.2.7)"),
    ("RESOLV_CONF", "file that programs see as /etc/resolv.conf"),
    ("OFFLOAD", "0 turns segmentation and checksum offload of the TAP off"),
    ("DEBUG", "1 shows boot, configuration and drops on stderr; 2 each system call"),
    ("LOG", "a filter for messages, as of the tracing crate (info,lkl::syscall=trace)"),
];

/// Names of LKL's that this project does not have.
const UNSUPPORTED: &[&str] = &["NET_IFGATEWAY", "NET_IFGATEWAY6", "NET_NEIGHBOR", "NET_QDISC"];

/// What is wrong with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The variable.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// What is wrong, such as "expected an IPv4 address such as 10.0.0.2".
    pub problem: String,
}

impl ConfigError {
    /// The variable `PREFIX + name` was expected to be something else.
    pub fn new(name: &str, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { variable: format!("{PREFIX}{name}"), value: value.to_string(), problem: problem.into() }
    }

    /// The whole message, one line, as it is shown to the user.
    pub fn line(&self) -> String {
        format!("lkl-hijack: {self}")
    }
}

/// The most characters of a value that are shown.
const SHOWN: usize = 80;

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.variable.escape_debug())?;
        for c in self.value.chars().take(SHOWN).flat_map(char::escape_debug).filter(|c| *c != '\n') {
            write!(f, "{c}")?;
        }
        let more = if self.value.chars().nth(SHOWN).is_some() { "..." } else { "" };
        write!(f, "{more}: {}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// The variables, each parsed by itself.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Variables {
    net_tap: Option<Parsed<IfName>>,
    net_ip: Option<Parsed<Addr4>>,
    net_netmask_len: Option<Parsed<Mask4>>,
    net_gateway: Option<Parsed<Ipv4Addr>>,
    net_ipv6: Option<Parsed<Addr6>>,
    net_netmask6_len: Option<Parsed<Mask6>>,
    net_gateway6: Option<Parsed<Ipv6Addr>>,
    net_mac: Option<Parsed<Mac>>,
    net_mtu: Option<Parsed<Mtu>>,
    net_iftype: Option<Parsed<IfType>>,
    net_ifparams: Option<Parsed<IfName>>,
    disk: Option<Parsed<DiskMounts>>,
    kernel: Option<Parsed<KernelName>>,
    sysctl: Option<Parsed<Sysctls>>,
    busy_poll: Option<Parsed<Micros>>,
    host: Option<Parsed<Prefixes>>,
    resolv_conf: Option<Parsed<AbsolutePath>>,
    offload: Option<Parsed<Number>>,
    debug: Option<Parsed<Number>>,
    log: Option<Parsed<LogFilter>>,
}

/// The network device to bring up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetConfig {
    /// Name of the host's TAP.
    pub tap: String,
    /// Which variable gave the name, for messages.
    pub tap_variable: &'static str,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// IPv4 address and network.
    pub ip: Option<Ipv4Network>,
    /// IPv4 default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// IPv6 address and prefix.
    pub ipv6: Option<Ipv6Network>,
    /// IPv6 default gateway.
    pub gateway6: Option<Ipv6Addr>,
    /// Let the host's kernel cut segments and fill in checksums.
    pub offload: bool,
}

/// The configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// The network device, if there is to be one.
    pub net: Option<NetConfig>,
    /// Disk images to mount.
    pub disks: Vec<DiskMount>,
    /// The name of the kernel to join, and if it does not run, to start.
    pub kernel: Option<String>,
    /// Settings below `/proc/sys`: name with dots, and value.
    pub sysctl: Vec<(String, String)>,
    /// How much is shown on stderr: 0 nothing, 1 boot, configuration and drops, 2 each system call.
    pub debug: u32,
    /// A filter for messages, which goes before `debug`.
    pub log: Option<String>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(std::env::vars_os())
    }

    /// The same for any variables; those with other names are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        let ours = ours(vars)?;
        if ours.is_empty() {
            return Ok(Self::default());
        }
        let vars = match envy::prefixed(PREFIX).from_iter::<_, Variables>(ours.clone()) {
            Ok(vars) => vars,
            Err(e) => return Err(culprit(&ours, &e)),
        };
        let text = |name: &str| ours.get(&format!("{PREFIX}{name}")).cloned().unwrap_or_default();
        assemble(vars, &text)
    }

    /// The addresses that are reached by the host's network. They are each process's own, whatever kernel it is on.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn host_prefixes() -> Result<Vec<IpNetwork>, ConfigError> {
        Ok(single::<Prefixes>("HOST")?.map_or_else(Vec::new, |p| p.0))
    }

    /// The file that programs see as `/etc/resolv.conf`; as [`Config::host_prefixes`], each process's own.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn resolv_conf() -> Result<Option<String>, ConfigError> {
        Ok(single::<AbsolutePath>("RESOLV_CONF")?.map(|p| p.0).filter(|p| !p.is_empty()))
    }

    /// What is set, each thing in one form however it was written: to compare the configurations of two programs. The
    /// keys are variables, and `LKL_HIJACK_SYSCTL=` with the name of a setting.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut all: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: Option<String>| all.extend(value.map(|v| (format!("{PREFIX}{name}"), v)));
        if let Some(net) = &self.net {
            set("NET_TAP", Some(net.tap.clone()));
            set("NET_IP", net.ip.map(|a| a.to_string()));
            set("NET_GATEWAY", net.gateway.map(|a| a.to_string()));
            set("NET_IPV6", net.ipv6.map(|a| a.to_string()));
            set("NET_GATEWAY6", net.gateway6.map(|a| a.to_string()));
            set("NET_MAC", net.mac.map(|mac| MacAddr6::from(mac).to_string().to_lowercase()));
            set("NET_MTU", net.mtu.map(|mtu| mtu.to_string()));
            set("OFFLOAD", (!net.offload).then(|| "0".into()));
        }
        set(
            "DISK",
            (!self.disks.is_empty()).then(|| self.disks.iter().map(DiskMount::text).collect::<Vec<_>>().join(";")),
        );
        for (key, value) in &self.sysctl {
            set(&format!("SYSCTL={key}"), Some(value.clone()));
        }
        set("DEBUG", (self.debug != 0).then(|| self.debug.to_string()));
        set("LOG", self.log.clone());
        all.into_iter().collect()
    }
}

/// One variable, by itself.
fn single<T: values::Value>(name: &str) -> Result<Option<T>, ConfigError> {
    let Some(value) = std::env::var_os(format!("{PREFIX}{name}")) else { return Ok(None) };
    let lossy = value.to_string_lossy();
    let text = value.to_str().ok_or_else(|| ConfigError::new(name, &lossy, "expected text in UTF-8"))?;
    T::parse(text).map(Some).map_err(|problem| ConfigError::new(name, &lossy, problem))
}

/// The variables that are ours, checked by name.
fn ours(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut ours = BTreeMap::new();
    for (name, value) in vars {
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let shown = name.to_string_lossy();
        let short = shown.get(PREFIX.len()..).unwrap_or_default();
        let lossy = value.to_string_lossy();
        let known = KNOWN.iter().any(|k| k.0 == short);
        if !known && !shown.starts_with(STRICT) {
            // Not the network's: another part of the library may know it.
            continue;
        }
        if UNSUPPORTED.contains(&short) {
            return Err(ConfigError::new(short, lossy, "this variable of LKL's is not supported"));
        }
        if !known {
            return Err(ConfigError::new(short, lossy, unknown(short)));
        }
        let Some(text) = value.to_str() else {
            return Err(ConfigError::new(short, lossy, "expected text in UTF-8"));
        };
        ours.insert(shown.into_owned(), text.to_owned());
    }
    Ok(ours)
}

fn unknown(short: &str) -> String {
    let near = KNOWN.iter().map(|k| (strsim::damerau_levenshtein(k.0, &short.to_uppercase()), k.0)).min();
    match near {
        Some((_, name)) => format!("there is no such variable; did you mean {PREFIX}{name}?"),
        None => "there is no such variable".into(),
    }
}

/// Which variable `envy` could not make sense of: it says only what, so each is tried alone.
fn culprit(ours: &BTreeMap<String, String>, all: &envy::Error) -> ConfigError {
    for (name, value) in ours {
        let alone = [(name.clone(), value.clone())];
        if let Err(e) = envy::prefixed(PREFIX).from_iter::<_, Variables>(alone) {
            let short = name.get(PREFIX.len()..).unwrap_or_default();
            return ConfigError::new(short, value, e.to_string());
        }
    }
    ConfigError::new("*", "", all.to_string())
}

/// Checks what belongs together.
fn assemble(v: Variables, text: &dyn Fn(&str) -> String) -> Result<Config, ConfigError> {
    let debug = v.debug.as_ref().map_or(0, |n| n.0 .0);
    let log = v.log.as_ref().map(|l| l.0 .0.clone());
    let mut sysctl = Vec::new();
    if let Some(Parsed(Micros(us))) = v.busy_poll {
        sysctl.extend(["net.core.busy_poll", "net.core.busy_read"].map(|name| (name.to_owned(), us.to_string())));
    }
    sysctl.extend(v.sysctl.iter().flat_map(|s| s.0 .0.iter().cloned()));
    let kernel = v.kernel.as_ref().map(|k| k.0 .0.clone()).filter(|name| !name.is_empty());
    let disks = v.disk.as_ref().map(|d| d.0 .0.clone()).unwrap_or_default();
    let net = net(&v, text)?;
    Ok(Config { net, disks, kernel, sysctl, debug, log })
}

fn net(v: &Variables, text: &dyn Fn(&str) -> String) -> Result<Option<NetConfig>, ConfigError> {
    let wrong = |name: &str, problem: String| ConfigError::new(name, text(name), problem);
    let (tap, tap_variable) = match (&v.net_tap, &v.net_ifparams) {
        (Some(a), Some(b)) if a != b => {
            let tap = &a.0 .0;
            return Err(wrong("NET_IFPARAMS", format!("expected the same as {PREFIX}NET_TAP, which is {tap}")));
        }
        (Some(a), _) => (a.0 .0.clone(), "NET_TAP"),
        (None, Some(b)) => (b.0 .0.clone(), "NET_IFPARAMS"),
        (None, None) => {
            let lonely = KNOWN.iter().find(|k| k.0.starts_with("NET_") && !text(k.0).is_empty());
            return match lonely {
                None => Ok(None),
                Some((name, _)) => {
                    Err(wrong(name, format!("expected {PREFIX}NET_TAP too, the name of the TAP that it is for")))
                }
            };
        }
    };
    let ip = match &v.net_ip {
        None => None,
        Some(a) => {
            let len = mask(
                "NET_IP",
                "NETMASK_LEN",
                24,
                &a.0.addr,
                a.0.len,
                v.net_netmask_len.as_ref().map(|m| m.0 .0),
                &wrong,
            )?;
            Some(Ipv4Network::new(a.0.addr, len).map_err(|e| wrong("NET_IP", e.to_string()))?)
        }
    };
    let ipv6 = match &v.net_ipv6 {
        None => None,
        Some(a) => {
            let len = mask(
                "NET_IPV6",
                "NETMASK6_LEN",
                64,
                &a.0.addr,
                a.0.len,
                v.net_netmask6_len.as_ref().map(|m| m.0 .0),
                &wrong,
            )?;
            Some(Ipv6Network::new(a.0.addr, len).map_err(|e| wrong("NET_IPV6", e.to_string()))?)
        }
    };
    let gateway = v.net_gateway.as_ref().map(|g| g.0);
    if let Some(g) = gateway {
        reachable(g.into(), ip.map(Into::into), "NET_IP").map_err(|p| wrong("NET_GATEWAY", p))?;
    }
    let gateway6 = v.net_gateway6.as_ref().map(|g| g.0);
    if let Some(g) = gateway6.filter(|g| !g.is_unicast_link_local()) {
        reachable(g.into(), ipv6.map(Into::into), "NET_IPV6").map_err(|p| wrong("NET_GATEWAY6", p))?;
    }
    let mtu = v.net_mtu.as_ref().map(|m| m.0 .0);
    if mtu.is_some_and(|m| m < 1280) && (ipv6.is_some() || gateway6.is_some()) {
        return Err(wrong("NET_MTU", "expected at least 1280, which IPv6 needs".into()));
    }
    Ok(Some(NetConfig {
        tap,
        tap_variable,
        mac: v.net_mac.as_ref().map(|m| m.0 .0.into_array()),
        mtu,
        ip,
        gateway,
        ipv6,
        gateway6,
        offload: v.offload.as_ref().is_none_or(|o| o.0 .0 != 0),
    }))
}

/// The mask's length, which is given with the address or by a variable of its own.
fn mask(
    name: &str,
    mask_name: &str,
    example: u8,
    addr: &dyn fmt::Display,
    with: Option<u8>,
    own: Option<u8>,
    wrong: &dyn Fn(&str, String) -> ConfigError,
) -> Result<u8, ConfigError> {
    match (with, own) {
        (Some(a), Some(b)) if a != b => {
            Err(wrong(name, format!("expected the same mask length as {PREFIX}NET_{mask_name}, which is {b}")))
        }
        (Some(len), _) | (None, Some(len)) => Ok(len),
        (None, None) => Err(wrong(
            name,
            format!("expected {PREFIX}NET_{mask_name} too, such as {example}, or the address as {addr}/{example}"),
        )),
    }
}

/// Can the gateway be reached without a gateway?
fn reachable(gateway: IpAddr, net: Option<IpNetwork>, name: &str) -> Result<(), String> {
    match net {
        None => Err(format!("expected {PREFIX}{name} too: a gateway must be on a network of eth0")),
        Some(n) if n.ip() == gateway => Err(format!("expected another address than {PREFIX}{name}")),
        Some(n) if !n.contains(gateway) => {
            let network = n.network();
            Err(format!("expected an address in the network of {PREFIX}{name}, {network}/{}", n.prefix()))
        }
        Some(_) => Ok(()),
    }
}

/// Is it a name that the library reads? For those who clean an environment.
pub fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}
