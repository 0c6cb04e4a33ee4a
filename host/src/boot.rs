//! A kernel made as the configuration says.

use crate::config::{ConfigError, Device, NetConfig};
use crate::netdev;
use crate::real::{Hooks, RealHost};
use crate::{ip, mounts, setup, Config};
use core::fmt::Display;
use lkl_abi::rtnetlink::IFA_F_NODAD;
use lkl_abi::Errno;
use lkl_inet::Net;
use lkl_kernel::{BootOptions, Kernel};
use lkl_ops::NetDev;
use macaddr::MacAddr6;
use std::net::IpAddr;
use std::sync::Arc;

/// What [`boot`] has made.
#[derive(Debug)]
pub struct Booted {
    /// The kernel, with `lo` and, if so configured, `eth0` and others up.
    pub kernel: Arc<Kernel>,
    /// Its host, to make a [`crate::ThreadParker`] for each thread.
    pub host: Arc<RealHost>,
}

/// Boots a kernel, brings its network devices up, and sees to it that it is served. Messages are set up first.
///
/// # Errors
/// What the user has to put right. Nothing was started then.
pub fn boot(config: &Config, hooks: Hooks) -> Result<Booted, ConfigError> {
    boot_with(config, BootOptions::default(), hooks)
}

/// The same, with options of the kernel's own.
///
/// # Errors
/// As [`boot`].
pub fn boot_with(config: &Config, options: BootOptions, hooks: Hooks) -> Result<Booted, ConfigError> {
    crate::log::init(config, &hooks);
    let host = RealHost::new(hooks).map_err(|e| ConfigError::new("NET_TAP", "", format!("no eventfd: {e}")))?;
    let mut options = options;
    options.memory = config.cmdline.memory.unwrap_or(options.memory);
    let kernel = Kernel::boot_with(host.clone(), options);
    let weak = Arc::downgrade(&kernel);
    host.serve(move |enough| weak.upgrade().and_then(|kernel| kernel.service_until(enough)));
    tracing::info!("kernel booted");
    for net in &config.nets {
        bring_up(&kernel, &host, net)?;
    }
    if let Some(asked) = &config.cmdline.ip {
        let wrong = |e| {
            let problem = match e {
                Errno::ENODEV => "expected an interface that is there".to_owned(),
                Errno::ETIMEDOUT => "expected a DHCP server that answers".to_owned(),
                e => format!("expected something that the kernel takes: {e}"),
            };
            ConfigError::of(config.names.of("BOOT_CMDLINE"), &config.cmdline, problem)
        };
        ip::configure(&kernel, &host, asked).map_err(wrong)?;
    }
    add_gateways(kernel.net(), config)?;
    set_sysctls(&kernel, config)?;
    mounts::mount_all(&kernel, &host, &config.disks)?;
    mounts::mount_types(&kernel, config)?;
    Ok(Booted { kernel, host })
}

fn bring_up(kernel: &Arc<Kernel>, host: &Arc<RealHost>, config: &NetConfig) -> Result<(), ConfigError> {
    let dev = netdev::open(host, config).map_err(|problem| config.refused(problem))?;
    let fd = dev.as_raw_fd();
    configure(kernel.net(), dev, config)?;
    host.watch(fd);
    Ok(())
}

/// What the kernel says to a setting.
fn not_taken(name: String, value: impl Display) -> impl FnOnce(Errno) -> ConfigError {
    move |e| ConfigError::of(name, value, format!("expected something that the kernel takes: {e}"))
}

/// Makes `dev` the next interface, with its addresses and routes.
fn configure(net: &Arc<Net>, dev: Arc<dyn NetDev>, config: &NetConfig) -> Result<(), ConfigError> {
    let step = |name: &str, value: &dyn Display| not_taken(config.names.of(name), value.to_string());
    let device = || not_taken(config.names.of(config.device_variable), config.device.param());
    let index = net.link_add(dev).map_err(device())?;
    let link = net.link_by_index(index).map_err(device())?;
    let least = match &config.device {
        Device::Raw(name) => netdev::raw::mtu(name).filter(|mtu| *mtu < link.mtu()),
        _ => None,
    };
    if let Some(mtu) = config.mtu.or(least) {
        net.link_set_mtu(index, mtu).map_err(step("NET_MTU", &mtu))?;
    }
    net.link_set_up(index, true).map_err(device())?;
    if let Some(ip) = config.ip {
        setup::add_address(net, index, ip.ip().into(), ip.prefix(), 0).map_err(step("NET_IP", &ip))?;
        tracing::info!("{}: {ip}", link.name());
        if let Some(gateway) = config.own_gateway {
            setup::add_own_gateway(net, index, ip.ip().into(), ip.prefix(), gateway.into())
                .map_err(step("NET_IFGATEWAY", &gateway))?;
        }
    }
    if let Some(ip) = config.ipv6 {
        // The program starts now: it must not wait a second to learn that nobody else has the address.
        setup::add_address(net, index, ip.ip().into(), ip.prefix(), IFA_F_NODAD).map_err(step("NET_IPV6", &ip))?;
        tracing::info!("{}: {ip}", link.name());
        if let Some(gateway) = config.own_gateway6 {
            setup::add_own_gateway(net, index, ip.ip().into(), ip.prefix(), gateway.into())
                .map_err(step("NET_IFGATEWAY6", &gateway))?;
        }
    }
    for (ip, mac) in &config.neighbours {
        let text = format!("{ip}|{}", MacAddr6::from(*mac));
        setup::add_neighbour(net, index, *ip, *mac).map_err(step("NET_NEIGHBOR", &text))?;
    }
    Ok(())
}

/// Adds the default routes.
fn add_gateways(net: &Net, config: &Config) -> Result<(), ConfigError> {
    let gateways =
        [("NET_GATEWAY", config.gateway.map(IpAddr::from)), ("NET_GATEWAY6", config.gateway6.map(IpAddr::from))];
    for (name, gateway) in gateways {
        let Some(gateway) = gateway else { continue };
        // A link-local one is no interface's more than another's; there is one only then.
        let local = matches!(gateway, IpAddr::V6(g) if g.is_unicast_link_local());
        let only = net.links().iter().find(|l| !l.is_loopback()).map(|l| l.index).filter(|_| local);
        // That of a DHCP server goes.
        setup::set_default(net, gateway, only).map_err(not_taken(config.names.of(name), gateway))?;
        tracing::info!("default route via {gateway}");
    }
    Ok(())
}

/// The settings that the user gives, after eth0 is there: some of them are eth0's.
fn set_sysctls(kernel: &Kernel, config: &Config) -> Result<(), ConfigError> {
    let net = kernel.net();
    for (key, value) in &config.sysctl {
        let path = sysctl_path(key);
        let set = match path.starts_with("net/") {
            true => net.sysctl_set(&path, value),
            false => kernel.sysctl_set(&path, value),
        };
        let Err(e) = set else {
            tracing::info!("{key} = {value}");
            continue;
        };
        let problem = match net.sysctl_expected(&path).or_else(|| Kernel::sysctl_expected(&path)) {
            Some(expected) => format!("expected {expected}"),
            None if e == Errno::ENOENT => {
                let names = [net.sysctl_names(), Kernel::sysctl_names()].concat();
                let near = names.iter().min_by_key(|n| strsim::damerau_levenshtein(n, &path));
                let near = near.map(|n| n.replace('.', "\0").replace('/', ".").replace('\0', "/")).unwrap_or_default();
                format!("expected a setting that is there; did you mean {near}?")
            }
            None => format!("expected something that the kernel takes: {e}"),
        };
        return Err(ConfigError::of(config.names.of("SYSCTL"), format!("{key}={value}"), problem));
    }
    Ok(())
}

/// The path below `/proc/sys` of a name with dots. As `sysctl(8)` has it, the separator that comes first decides, and the
/// other one is then part of a name (`net.ipv4.conf.eth0/100.forwarding`).
pub fn sysctl_path(key: &str) -> String {
    match key.find(['.', '/']).map(|at| key.as_bytes().get(at)) {
        Some(Some(b'/')) => key.to_owned(),
        _ => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_set_or_refused_by_name() {
        let set = |text: &str| {
            let vars = [("LKL_HIJACK_SYSCTL".into(), text.into())];
            let booted = boot(&Config::from_vars(vars)?, Hooks::default())?;
            Ok::<_, ConfigError>(booted.kernel)
        };
        let kernel = set("net.ipv4.tcp_congestion_control=bbr; net/ipv4/tcp_rmem = 4096 100000\t200000;").unwrap();
        let get = |name: &str| kernel.net().sysctl_get(name).unwrap();
        assert_eq!(get("net/ipv4/tcp_congestion_control"), "bbr");
        assert_eq!(get("net/ipv4/tcp_rmem"), "4096\t100000\t200000");
        for (text, shown, problem) in [
            ("net.ipv4.tcp_ecn=1;net.ipv4.ip_forward=7", "net.ipv4.ip_forward=7", "expected a number from 0 to 1"),
            ("net.ipv4.tcp_congestion_control=bbr9", "=bbr9", "expected one of reno cubic bbr"),
            ("net.ipv4.tcp_sak=1", "net.ipv4.tcp_sak=1", "did you mean net.ipv4.tcp_sack?"),
            ("fs.protected_fifos=3", "fs.protected_fifos=3", "expected a number from 0 to 2"),
            ("fs.protected_symlink=1", "=1", "did you mean fs.protected_symlinks?"),
            ("vm.swappiness=1", "vm.swappiness=1", "expected a setting that is there"),
            ("net.ipv4.tcp_sack", "net.ipv4.tcp_sack", "not \"net.ipv4.tcp_sack\""),
            (" ; ", " ; ", "expected settings such as"),
        ] {
            let line = set(text).map(|_| ()).unwrap_err().line();
            assert!(line.contains(shown) && line.contains(problem), "{line}");
        }
    }
    use lkl_ops::{RxFrame, TxFrame};

    struct Nothing;

    impl NetDev for Nothing {
        fn mac(&self) -> [u8; 6] {
            [2, 0, 0, 0, 0, 2]
        }

        fn driver(&self) -> &'static str {
            "nothing"
        }

        fn send(&self, _: &TxFrame<'_>) -> lkl_abi::Result<()> {
            Ok(())
        }

        fn recv(&self) -> lkl_abi::Result<RxFrame> {
            Err(Errno::EAGAIN)
        }
    }

    #[test]
    fn eth0_comes_up_as_configured() {
        let vars = [
            ("TAP", "tap0"),
            ("IP", "10.0.0.2/24"),
            ("GATEWAY", "10.0.0.1"),
            ("IPV6", "fd00::2/64"),
            ("GATEWAY6", "fe80::1"),
            ("MTU", "1400"),
        ];
        let vars = vars.map(|(k, v)| (format!("LKL_HIJACK_NET_{k}").into(), v.into()));
        let config = Config::from_vars(vars).unwrap();
        let booted = boot(&Config::default(), Hooks::default()).unwrap();
        let net = booted.kernel.net();
        configure(net, Arc::new(Nothing), &config.nets[0]).unwrap();
        add_gateways(net, &config).unwrap();
        let link = net.link_by_name("eth0").unwrap();
        assert!(link.is_up());
        assert_eq!(link.mtu(), 1400);
        let of = |ip: &str| net.addr_find(link.index, ip.parse().unwrap());
        assert_eq!(of("10.0.0.2").unwrap().broadcast, Some("10.0.0.255".parse().unwrap()));
        assert!(!of("fd00::2").unwrap().tentative());
        let defaults: Vec<_> = net.routes().iter().filter(|r| r.dst.len == 0).map(|r| r.nexthops[0].gateway).collect();
        assert!(defaults.contains(&Some("10.0.0.1".parse().unwrap())));
        assert!(defaults.contains(&Some("fe80::1".parse().unwrap())));
    }
}
