//! A kernel made as the configuration says.

use crate::config::{ConfigError, NetConfig};
use crate::netdev::tap;
use crate::real::{Hooks, RealHost};
use crate::{mounts, Config};
use lkl_abi::rtnetlink::IFA_F_NODAD;
use lkl_abi::Errno;
use lkl_inet::{AddMode, IfAddr, Net, Prefix, RouteEntry};
use lkl_kernel::{BootOptions, Kernel};
use lkl_ops::NetDev;
use std::net::IpAddr;
use std::sync::Arc;

/// What [`boot`] has made.
#[derive(Debug)]
pub struct Booted {
    /// The kernel, with `lo` and, if so configured, `eth0` up.
    pub kernel: Arc<Kernel>,
    /// Its host, to make a [`crate::ThreadParker`] for each thread.
    pub host: Arc<RealHost>,
}

/// Boots a kernel, brings its network device up, and sees to it that it is served. Messages are set up first.
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
    let kernel = Kernel::boot_with(host.clone(), options);
    let weak = Arc::downgrade(&kernel);
    host.serve(move |enough| weak.upgrade().and_then(|kernel| kernel.service_until(enough)));
    tracing::info!("kernel booted");
    if let Some(net) = &config.net {
        bring_up(&kernel, &host, net)?;
    }
    set_sysctls(kernel.net(), &config.sysctl)?;
    mounts::mount_all(&kernel, &host, &config.disks)?;
    Ok(Booted { kernel, host })
}

fn bring_up(kernel: &Arc<Kernel>, host: &Arc<RealHost>, config: &NetConfig) -> Result<(), ConfigError> {
    let refused = |problem| ConfigError::new(config.tap_variable, &config.tap, problem);
    let tap = tap::open(host, &config.tap, config.mac, config.offload).map_err(refused)?;
    let fd = tap.as_raw_fd();
    configure(kernel.net(), tap, config)?;
    host.watch(fd);
    Ok(())
}

/// Makes `dev` eth0, with its addresses and routes.
fn configure(net: &Arc<Net>, dev: Arc<dyn NetDev>, config: &NetConfig) -> Result<(), ConfigError> {
    let step = |name: &'static str, value: String| {
        move |e: Errno| ConfigError::new(name, value, format!("expected something that the kernel takes: {e}"))
    };
    let index = net.link_add(dev).map_err(step(config.tap_variable, config.tap.clone()))?;
    if let Some(mtu) = config.mtu {
        net.link_set_mtu(index, mtu).map_err(step("NET_MTU", mtu.to_string()))?;
    }
    net.link_set_up(index, true).map_err(step(config.tap_variable, config.tap.clone()))?;
    if let Some(ip) = config.ip {
        let mut addr = IfAddr::new(index, ip.ip().into(), ip.prefix());
        // Networks of two addresses and of one have no broadcast address.
        addr.broadcast = (ip.prefix() < 31).then(|| ip.broadcast());
        net.addr_add(addr, false).map_err(step("NET_IP", ip.to_string()))?;
        tracing::info!("eth0: {ip}");
    }
    if let Some(ip) = config.ipv6 {
        let mut addr = IfAddr::new(index, ip.ip().into(), ip.prefix());
        // The program starts now: it must not wait a second to learn that nobody else has the address.
        addr.flags |= IFA_F_NODAD;
        net.addr_add(addr, false).map_err(step("NET_IPV6", ip.to_string()))?;
        tracing::info!("eth0: {ip}");
    }
    let gateways =
        [("NET_GATEWAY", config.gateway.map(IpAddr::from)), ("NET_GATEWAY6", config.gateway6.map(IpAddr::from))];
    for (name, gateway) in gateways {
        let Some(gateway) = gateway else { continue };
        let route = RouteEntry::new(Prefix::default_of(gateway), index, Some(gateway));
        let mode = AddMode { create: true, ..AddMode::default() };
        net.route_add(route, mode).map_err(step(name, gateway.to_string()))?;
        tracing::info!("default route via {gateway}");
    }
    Ok(())
}

/// The settings that the user gives, after eth0 is there: some of them are eth0's.
fn set_sysctls(net: &Net, settings: &[(String, String)]) -> Result<(), ConfigError> {
    for (key, value) in settings {
        let path = sysctl_path(key);
        let Err(e) = net.sysctl_set(&path, value) else {
            tracing::info!("{key} = {value}");
            continue;
        };
        let problem = match net.sysctl_expected(&path) {
            Some(expected) => format!("expected {expected}"),
            None if e == Errno::ENOENT => {
                let names = net.sysctl_names();
                let near = names.iter().min_by_key(|n| strsim::damerau_levenshtein(n, &path));
                let near = near.map(|n| n.replace('.', "\0").replace('/', ".").replace('\0', "/")).unwrap_or_default();
                format!("expected a setting that is there; did you mean {near}?")
            }
            None => format!("expected something that the kernel takes: {e}"),
        };
        return Err(ConfigError::new("SYSCTL", format!("{key}={value}"), problem));
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
        let config = Config::from_vars(vars).unwrap().net.unwrap();
        let booted = boot(&Config::default(), Hooks::default()).unwrap();
        let net = booted.kernel.net();
        configure(net, Arc::new(Nothing), &config).unwrap();
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
