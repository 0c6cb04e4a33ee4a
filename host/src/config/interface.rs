//! One interface: its settings, checked as far as they belong together.

use super::device::{Device, IfType};
use super::source::{Group, Names};
use super::values::{Addr4, Addr6, IfName, Mac, Mask4, Mask6, Mtu, Neighbours, OffloadMask, Parsed, Qdiscs};
use super::{ConfigError, PREFIX};
use crate::netdev::{pipe, Offload};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use macaddr::MacAddr6;
use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The settings, each parsed by itself.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    net_tap: Option<Parsed<IfName>>,
    net_iftype: Option<Parsed<IfType>>,
    net_ifparams: Option<String>,
    net_ip: Option<Parsed<Addr4>>,
    net_netmask_len: Option<Parsed<Mask4>>,
    net_ifgateway: Option<Parsed<Ipv4Addr>>,
    net_ipv6: Option<Parsed<Addr6>>,
    net_netmask6_len: Option<Parsed<Mask6>>,
    net_ifgateway6: Option<Parsed<Ipv6Addr>>,
    net_mac: Option<Parsed<Mac>>,
    net_mtu: Option<Parsed<Mtu>>,
    net_neighbor: Option<Parsed<Neighbours>>,
    net_qdisc: Option<Parsed<Qdiscs>>,
    offload: Option<Parsed<OffloadMask>>,
}

/// A network device to bring up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetConfig {
    /// The host's device.
    pub device: Device,
    /// The variable of the setting that named it, for messages.
    pub device_variable: &'static str,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// IPv4 address and network.
    pub ip: Option<Ipv4Network>,
    /// IPv6 address and prefix.
    pub ipv6: Option<Ipv6Network>,
    /// IPv4 gateway of what is sent from that address.
    pub own_gateway: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub own_gateway6: Option<Ipv6Addr>,
    /// Permanent neighbours.
    pub neighbours: Vec<(IpAddr, [u8; 6])>,
    /// What of the work on segments is left to the device.
    pub offload: Offload,
    /// How its settings are called.
    pub names: Names,
}

impl NetConfig {
    /// The interface of these settings; `None` if there is nothing but what matters only where there is one.
    pub(super) fn of(group: &Group) -> Result<Option<Self>, ConfigError> {
        let s: Settings = group.read()?;
        let names = &group.names;
        let Some((device, device_variable)) = device(group, &s)? else { return Ok(None) };
        let ip = match &s.net_ip {
            None => None,
            Some(a) => {
                let own = s.net_netmask_len.as_ref().map(|m| m.0 .0);
                let len = mask(group, ["NET_IP", "NET_NETMASK_LEN"], 24, &a.0.addr, a.0.len, own)?;
                Some(Ipv4Network::new(a.0.addr, len).map_err(|e| group.wrong("NET_IP", e.to_string()))?)
            }
        };
        let ipv6 = match &s.net_ipv6 {
            None => None,
            Some(a) => {
                let own = s.net_netmask6_len.as_ref().map(|m| m.0 .0);
                let len = mask(group, ["NET_IPV6", "NET_NETMASK6_LEN"], 64, &a.0.addr, a.0.len, own)?;
                Some(Ipv6Network::new(a.0.addr, len).map_err(|e| group.wrong("NET_IPV6", e.to_string()))?)
            }
        };
        let own_gateway = s.net_ifgateway.as_ref().map(|g| g.0);
        if let Some(g) = own_gateway {
            reachable(g.into(), ip.map(Into::into), &names.short("NET_IP"))
                .map_err(|p| group.wrong("NET_IFGATEWAY", p))?;
        }
        let own_gateway6 = s.net_ifgateway6.as_ref().map(|g| g.0);
        if let Some(g) = own_gateway6 {
            let name = names.short("NET_IPV6");
            let result = match ipv6 {
                Some(_) if g.is_unicast_link_local() => Ok(()),
                _ => reachable(g.into(), ipv6.map(Into::into), &name),
            };
            result.map_err(|p| group.wrong("NET_IFGATEWAY6", p))?;
        }
        let mtu = s.net_mtu.as_ref().map(|m| m.0 .0);
        if mtu.is_some_and(|m| m < IPV6_MTU_MIN) && ipv6.is_some() {
            return Err(group.wrong("NET_MTU", TOO_SMALL));
        }
        if matches!(device, Device::Pipe(..)) && mtu.is_some_and(|m| m > pipe::MTU_MAX) {
            return Err(
                group.wrong("NET_MTU", format!("expected at most {}: longer packets do not fit", pipe::MTU_MAX))
            );
        }
        Ok(Some(Self {
            device,
            device_variable,
            mac: s.net_mac.as_ref().map(|m| m.0 .0.into_array()),
            mtu,
            ip,
            ipv6,
            own_gateway,
            own_gateway6,
            neighbours: s.net_neighbor.map(|n| n.0 .0).unwrap_or_default(),
            offload: s.offload.map_or(Offload::ALL, |o| o.0 .0),
            names: names.clone(),
        }))
    }

    /// What is wrong with its device, or with how it is used.
    pub fn refused(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::of(self.names.of(self.device_variable), self.device.param(), problem)
    }

    /// What two kernels cannot both have at once: the device, if it can have one user only, or else each address on it.
    pub fn claims(&self) -> Vec<String> {
        let param = match &self.device {
            Device::Tap(name) => return vec![name.clone()],
            Device::Raw(name) => name.clone(),
            // The device may have several names.
            Device::Macvtap(path) => match rustix::fs::stat(path.as_str()) {
                Ok(stat) => format!("{:#x}", stat.st_rdev),
                Err(_) => path.clone(),
            },
            Device::Vde(path) | Device::Pipe(path, _) => {
                std::path::Path::new(path).canonicalize().map_or_else(|_| path.clone(), |p| p.display().to_string())
            }
        };
        let kind = self.device.kind();
        if !matches!(self.device, Device::Raw(_) | Device::Vde(_)) {
            return vec![short(&(kind, param))];
        }
        let mac = self.mac.map(|mac| MacAddr6::from(mac).to_string());
        let ips = [self.ip.map(|a| a.ip().to_string()), self.ipv6.map(|a| a.ip().to_string())];
        ips.into_iter().chain([mac]).flatten().map(|address| short(&(kind, &param, address))).collect()
    }

    /// What is set, by variable, each thing in one form however it was written.
    pub(super) fn settings(&self, set: &mut dyn FnMut(&'static str, Option<String>)) {
        match &self.device {
            Device::Tap(name) => set("NET_TAP", Some(name.clone())),
            other => {
                set("NET_IFTYPE", Some(other.kind().into()));
                set("NET_IFPARAMS", Some(other.param()));
            }
        }
        let mac = |mac: &[u8; 6]| MacAddr6::from(*mac).to_string().to_lowercase();
        set("NET_IP", self.ip.map(|a| a.to_string()));
        set("NET_IPV6", self.ipv6.map(|a| a.to_string()));
        set("NET_IFGATEWAY", self.own_gateway.map(|a| a.to_string()));
        set("NET_IFGATEWAY6", self.own_gateway6.map(|a| a.to_string()));
        set("NET_MAC", self.mac.as_ref().map(mac));
        set("NET_MTU", self.mtu.map(|mtu| mtu.to_string()));
        let neighbours: Vec<_> = self.neighbours.iter().map(|(ip, hw)| format!("{ip}|{}", mac(hw))).collect();
        set("NET_NEIGHBOR", (!neighbours.is_empty()).then(|| neighbours.join(";")));
        let bits = self.offload.bits();
        set(
            "OFFLOAD",
            (self.offload != Offload::ALL).then(|| if bits == 0 { "0".into() } else { format!("{bits:#x}") }),
        );
    }
}

/// Least MTU of IPv6 (RFC 8200, section 5).
pub(super) const IPV6_MTU_MIN: u32 = 1280;
pub(super) const TOO_SMALL: &str = "expected at least 1280, which IPv6 needs";

/// A name that stands for `what` in this network namespace.
fn short(what: &impl std::hash::Hash) -> String {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    format!("#{:016x}", hasher.finish())
}

fn device(group: &Group, s: &Settings) -> Result<Option<(Device, &'static str)>, ConfigError> {
    let names = &group.names;
    let kind = s.net_iftype.as_ref().map(|k| k.0);
    if let Some(tap) = &s.net_tap {
        let tap = &tap.0 .0;
        if kind.is_some_and(|kind| kind != IfType::Tap) {
            return Err(group.wrong("NET_IFTYPE", format!("expected tap, for {} is given", names.short("NET_TAP"))));
        }
        if s.net_ifparams.as_ref().is_some_and(|other| other != tap) {
            let problem = format!("expected the same as {}, which is {tap}", names.short("NET_TAP"));
            return Err(group.wrong("NET_IFPARAMS", problem));
        }
        return Ok(Some((Device::Tap(tap.clone()), "NET_TAP")));
    }
    match (kind, &s.net_ifparams) {
        (kind, Some(param)) => {
            let device = Device::new(kind.unwrap_or(IfType::Tap), param);
            device.map(|d| Some((d, "NET_IFPARAMS"))).map_err(|p| group.wrong("NET_IFPARAMS", p))
        }
        (Some(_), None) => {
            let problem = format!("expected {} too, which says which one", names.short("NET_IFPARAMS"));
            Err(group.wrong("NET_IFTYPE", problem))
        }
        (None, None) => match group.given().find(|name| name.starts_with("NET_")) {
            Some(name) => Err(group.wrong(name, needs_device(names))),
            None if names == &Names::default() => Ok(None),
            None => Err(ConfigError::bare(names.of("NET_IFTYPE"), "expected a kind of device, and param".to_owned())),
        },
    }
}

/// A setting is of no use without an interface.
pub(super) fn needs_device(names: &Names) -> String {
    format!("expected {} too, the name of the TAP that it is for", names.short("NET_TAP"))
}

/// The mask's length, which is given with the address or by a setting of its own.
fn mask(
    group: &Group,
    [name, mask_name]: [&'static str; 2],
    example: u8,
    addr: &dyn fmt::Display,
    with: Option<u8>,
    own: Option<u8>,
) -> Result<u8, ConfigError> {
    let mask_name = group.names.short(mask_name);
    match (with, own) {
        (Some(a), Some(b)) if a != b => {
            Err(group.wrong(name, format!("expected the same mask length as {mask_name}, which is {b}")))
        }
        (Some(len), _) | (None, Some(len)) => Ok(len),
        (None, None) => Err(group
            .wrong(name, format!("expected {mask_name} too, such as {example}, or the address as {addr}/{example}"))),
    }
}

/// Can the gateway be reached without a gateway? `name` is what the address of the network is called.
pub(super) fn reachable(gateway: IpAddr, net: Option<IpNetwork>, name: &str) -> Result<(), String> {
    match net {
        None => Err(format!("expected {name} too: a gateway must be on a network of eth0")),
        Some(n) if n.ip() == gateway => Err(format!("expected another address than {name}")),
        Some(n) if !n.contains(gateway) => {
            Err(format!("expected an address in the network of {name}, {}/{}", n.network(), n.prefix()))
        }
        Some(_) => Ok(()),
    }
}

/// What the first interface's settings are called, if there is none.
pub(super) fn default_names() -> Names {
    Names::default()
}

/// The name of a setting of the `n`th interface, to compare the configurations of two programs by.
pub(super) fn setting_name(n: usize, variable: &str) -> String {
    match super::keys::by_variable(variable) {
        Some(key) if n > 0 => format!("interfaces[{n}].{}", key.json),
        _ => format!("{PREFIX}{variable}"),
    }
}
