//! The configuration that the user gives, as one typed struct: the `LKL_HIJACK_*` variables of the environment, and a file in JSON, both with
//! LKL's names ([`keys`]).
//!
//! Anything wrong is an error that names the setting, its value, and what was expected; nothing is guessed. The
//! values' own grammars are in [`values`], [`device`] and [`disk`]; where they come from is [`source`]'s.

pub mod device;
pub mod disk;
mod interface;
pub mod json;
pub mod keys;
mod source;
pub mod values;

#[cfg(test)]
mod tests;

use crate::cmdline::Options;
pub use device::Device;
pub use disk::DiskMount;
use disk::DiskMounts;
pub use interface::NetConfig;
use ipnetwork::IpNetwork;
use keys::PREFIX;
use serde::Deserialize;
pub use source::Names;
use source::{File, Group, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use values::{
    AbsolutePath, AbsolutePaths, BootCmdline, FileSystems, KernelName, LogFilter, Micros, Number, Parsed, Prefixes,
    SingleCpu, Sysctls,
};

/// What is wrong with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The variable, or the file and the key in it.
    pub variable: String,
    /// Its value; `None` if the file as a whole is wrong.
    pub value: Option<String>,
    /// What is wrong, such as "expected an IPv4 address such as 10.0.0.2".
    pub problem: String,
}

impl ConfigError {
    /// The variable `PREFIX + name` was expected to be something else.
    pub fn new(name: &str, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self::of(format!("{PREFIX}{name}"), value, problem)
    }

    /// The same for a setting that is called so where it was made.
    pub(crate) fn of(name: String, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { variable: name, value: Some(value.to_string()), problem: problem.into() }
    }

    /// The file of this name, or something in it, is wrong.
    fn bare(name: String, problem: String) -> Self {
        Self { variable: name, value: None, problem }
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
        write!(f, "{}", self.variable.escape_debug())?;
        if let Some(value) = &self.value {
            f.write_str("=")?;
            for c in value.chars().take(SHOWN).flat_map(char::escape_debug).filter(|c| *c != '\n') {
                write!(f, "{c}")?;
            }
            if value.chars().nth(SHOWN).is_some() {
                f.write_str("...")?;
            }
        }
        write!(f, ": {}", self.problem.replace(['\n', '\r'], " "))
    }
}

impl std::error::Error for ConfigError {}

/// The kernel's settings, each parsed by itself.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    net_gateway: Option<Parsed<Ipv4Addr>>,
    net_gateway6: Option<Parsed<Ipv6Addr>>,
    disk: Option<Parsed<DiskMounts>>,
    kernel: Option<Parsed<KernelName>>,
    sysctl: Option<Parsed<Sysctls>>,
    busy_poll: Option<Parsed<Micros>>,
    boot_cmdline: Option<Parsed<BootCmdline>>,
    mount: Option<Parsed<FileSystems>>,
    dump: Option<Parsed<AbsolutePaths>>,
    single_cpu: Option<Parsed<SingleCpu>>,
    debug: Option<Parsed<Number>>,
    log: Option<Parsed<LogFilter>>,
    // Each process's own: only looked at here.
    host: Option<Parsed<Prefixes>>,
    resolv_conf: Option<Parsed<AbsolutePath>>,
}

/// The configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// The network devices, in order: eth0, eth1, and so on.
    pub nets: Vec<NetConfig>,
    /// IPv4 default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// IPv6 default gateway.
    pub gateway6: Option<Ipv6Addr>,
    /// Disk images to mount.
    pub disks: Vec<DiskMount>,
    /// The name of the kernel to join, and if it does not run, to start.
    pub kernel: Option<String>,
    /// Settings below `/proc/sys`: name with dots, and value.
    pub sysctl: Vec<(String, String)>,
    /// The command line.
    pub cmdline: Options,
    /// Types of file systems that are mounted in the kernel's own tree, each at a place of its name.
    pub file_systems: Vec<String>,
    /// Files of that tree to show at the end.
    pub dump: Vec<String>,
    /// How much is shown on stderr: 0 nothing, 1 boot, configuration and drops, 2 each system call.
    pub debug: u32,
    /// A filter for messages, which goes before `debug`.
    pub log: Option<String>,
    /// For how many microseconds the program is held up before it begins.
    pub delay_main: u32,
    /// How the kernel's settings are called.
    pub names: Names,
    /// What has no effect here, and why, a line each.
    pub notes: Vec<String>,
    /// It depends on the working directory, or on a file that can be read once.
    pub local: bool,
}

impl Config {
    /// Reads the environment, and the file that it names, or `lkl-hijack.json` in the working directory.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        let file = source::file()?;
        let mut config = Self::from_sources(std::env::vars_os(), file.as_ref())?;
        config.local |= file.is_some_and(|f| !f.name.starts_with('/') || f.name.starts_with("/dev/"));
        Ok(config)
    }

    /// The same for any variables, without a file; those with other names are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        Self::from_sources(vars, None)
    }

    fn from_sources(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&File>,
    ) -> Result<Self, ConfigError> {
        let sources = Sources::read(vars, file)?;
        let nets = sources.interfaces.iter().map(NetConfig::of).collect::<Result<Vec<_>, _>>()?;
        let mut config = kernel(&sources.kernel, nets.into_iter().flatten().collect())?;
        if let Some((name, text)) = sources.delay_main {
            let Parsed(Micros(us)) =
                values::Value::parse(&text).map(Parsed).map_err(|problem| ConfigError::of(name, text, problem))?;
            config.delay_main = us;
        }
        Ok(config)
    }

    /// The disk images alone, as [`Config::host_prefixes`] of each process's own environment.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn disks() -> Result<Vec<DiskMount>, ConfigError> {
        Ok(single::<DiskMounts>("DISK")?.map_or_else(Vec::new, |d| d.0))
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
        for (n, net) in self.nets.iter().enumerate() {
            net.settings(&mut |name, value| all.extend(value.map(|v| (interface::setting_name(n, name), v))));
        }
        let mut set = |name: &str, value: Option<String>| all.extend(value.map(|v| (format!("{PREFIX}{name}"), v)));
        set("NET_GATEWAY", self.gateway.map(|a| a.to_string()));
        set("NET_GATEWAY6", self.gateway6.map(|a| a.to_string()));
        set(
            "DISK",
            (!self.disks.is_empty()).then(|| self.disks.iter().map(DiskMount::text).collect::<Vec<_>>().join(";")),
        );
        for (key, value) in &self.sysctl {
            set(&format!("SYSCTL={key}"), Some(value.clone()));
        }
        set("BOOT_CMDLINE", (self.cmdline != Options::default()).then(|| self.cmdline.to_string()));
        set("MOUNT", (!self.file_systems.is_empty()).then(|| self.file_systems.join(",")));
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

/// The kernel's part of the configuration, checked with the interfaces.
fn kernel(group: &Group, nets: Vec<NetConfig>) -> Result<Config, ConfigError> {
    let s: Settings = group.read()?;
    let mut claimed = BTreeSet::new();
    for net in &nets {
        if !net.claims().into_iter().all(|claim| claimed.insert(claim)) {
            return Err(net.refused("expected a device, or addresses on it, that no other interface has"));
        }
    }
    let mut sysctl = Vec::new();
    if let Some(Parsed(Micros(us))) = s.busy_poll {
        sysctl.extend(["net.core.busy_poll", "net.core.busy_read"].map(|name| (name.to_owned(), us.to_string())));
    }
    let cmdline = s.boot_cmdline.map(|c| c.0 .0).unwrap_or_default();
    sysctl.extend(cmdline.sysctls.iter().cloned());
    sysctl.extend(s.sysctl.into_iter().flat_map(|s| s.0 .0));
    let mut notes = Vec::new();
    let mut note = |variable: &str, why: String| {
        notes.push(group.wrong(variable, format!("no effect: {why}")).line());
    };
    if !cmdline.others.is_empty() {
        note("BOOT_CMDLINE", format!("of {}", cmdline.others.join(" ")));
    }
    if s.single_cpu.is_some_and(|s| s.0 .0 > 0) {
        note("SINGLE_CPU", "the program's own threads do the kernel's work; taskset keeps all of it to one CPU".into());
    }
    let debug = s.debug.map_or(0, |n| n.0 .0);
    if debug & DEBUG_STOPS != 0 {
        note("DEBUG", format!("of the bits {:#x}: nothing waits for a key, and there is no DPDK", debug & DEBUG_STOPS));
    }
    let (gateway, gateway6) = (s.net_gateway.map(|g| g.0), s.net_gateway6.map(|g| g.0));
    let ips = |v6: bool| -> Vec<(IpNetwork, String)> {
        let of = |n: &NetConfig| match v6 {
            false => n.ip.map(|a| (a.into(), n.names.short("NET_IP"))),
            true => n.ipv6.map(|a| (a.into(), n.names.short("NET_IPV6"))),
        };
        nets.iter().filter_map(of).collect()
    };
    // What `ip=` asks for is not known yet.
    let asked = cmdline.ip.is_some() && !nets.is_empty();
    if let Some(g) = gateway.filter(|_| !asked) {
        check_gateway(g.into(), &nets, &ips(false), "NET_IP").map_err(|p| group.wrong("NET_GATEWAY", p))?;
    }
    if let Some(g) = gateway6 {
        check_gateway(g.into(), &nets, &ips(true), "NET_IPV6").map_err(|p| group.wrong("NET_GATEWAY6", p))?;
        if let [only] = &nets[..] {
            if let Some(mtu) = only.mtu.filter(|m| *m < interface::IPV6_MTU_MIN) {
                return Err(ConfigError::of(only.names.of("NET_MTU"), mtu, interface::TOO_SMALL));
            }
        }
    }
    Ok(Config {
        local: nets.iter().any(|n| n.device.is_relative()),
        nets,
        gateway,
        gateway6,
        disks: s.disk.map(|d| d.0 .0).unwrap_or_default(),
        kernel: s.kernel.map(|k| k.0 .0).filter(|name| !name.is_empty()),
        sysctl,
        cmdline,
        file_systems: s.mount.map(|m| m.0 .0).unwrap_or_default(),
        dump: s.dump.map(|d| d.0 .0).unwrap_or_default(),
        debug: match debug & !DEBUG_STOPS {
            0 => u32::from(debug != 0),
            level => level,
        },
        log: s.log.map(|l| l.0 .0),
        delay_main: 0,
        names: group.names.clone(),
        notes,
    })
}

/// The bits of `DEBUG` by which LKL stops, at its end and before it boots, and has DPDK tell more.
const DEBUG_STOPS: u32 = 0x700;

/// Can a default gateway be reached by one of the interfaces? `name` is the variable of their addresses.
fn check_gateway(
    gateway: IpAddr,
    nets: &[NetConfig],
    ips: &[(IpNetwork, String)],
    name: &'static str,
) -> Result<(), String> {
    match (gateway, nets, ips) {
        (_, [], _) => Err(interface::needs_device(&interface::default_names())),
        (IpAddr::V6(g), [_], _) if g.is_unicast_link_local() => Ok(()),
        (IpAddr::V6(g), _, _) if g.is_unicast_link_local() => {
            Err("expected an address of a network: which interface it is on cannot be told".into())
        }
        (_, [only], _) => interface::reachable(gateway, ips.first().map(|(net, _)| *net), &only.names.short(name)),
        (_, _, ips) if ips.iter().any(|(net, _)| net.contains(gateway) && net.ip() != gateway) => Ok(()),
        (_, _, ips) => {
            let all: Vec<_> = ips.iter().map(|(net, _)| format!("{}/{}", net.network(), net.prefix())).collect();
            Err(format!("expected an address in a network of the interfaces: {}", all.join(", ")))
        }
    }
}

/// Is it a name that the library reads? For those who clean an environment.
pub fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}
