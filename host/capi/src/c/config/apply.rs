//! What a configuration asks for.

use super::super::instance;
use super::super::net::{self, entries};
use super::super::netdev::{self, builtin};
use super::super::types::{NetArgs, NetDevice};
use super::super::{log, mount};
use super::fields::{iface, top};
use super::{get, Config, Interface};
use core::ffi::c_void;
use core::ptr::null_mut;
use lkl_abi::Errno;
use lkl_host::setup;
use lkl_inet::Net;
use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn wrong(what: &str, value: &str, problem: impl core::fmt::Display) -> Errno {
    log::say_line(&format!("lkl: {what} {value}: {problem}"));
    Errno::EINVAL
}

/// A number in any of C's bases.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// Makes the devices.
pub(super) fn before(config: &mut Config) -> Result<(), Errno> {
    let debug = get(&config.values, top::DEBUG).and_then(number).unwrap_or(0);
    log::default_level(debug != 0);
    for iface in config.interfaces() {
        make(iface)?;
    }
    Ok(())
}

fn make(iface: &mut Interface) -> Result<(), Errno> {
    let value = |index: usize| get(&iface.values, index);
    let (kind, param) = match (value(iface::TAP), value(iface::TYPE)) {
        (Some(tap), None) => ("tap", tap),
        (_, Some(kind)) => (kind, value(iface::PARAMS).unwrap_or_default()),
        (None, None) => return Ok(()),
    };
    let offload = match value(iface::OFFLOAD) {
        None => 0,
        Some(text) => number(text).ok_or_else(|| wrong("offload", text, "expected a number"))?,
    };
    let address = match value(iface::MAC) {
        None => None,
        Some(text) => {
            Some(mac(text).ok_or_else(|| wrong("mac", text, "expected six bytes such as 02:00:00:00:00:01"))?)
        }
    };
    let c = CString::new(param).map_err(|_| Errno::EINVAL)?;
    let bits = offload as i32;
    // SAFETY: each takes a C string.
    let nd: *mut NetDevice = unsafe {
        match kind {
            "tap" => builtin::lkl_netdev_tap_create(c.as_ptr(), bits),
            "macvtap" => builtin::lkl_netdev_macvtap_create(c.as_ptr(), bits),
            "raw" => builtin::lkl_netdev_raw_create(c.as_ptr()),
            "pipe" => builtin::lkl_netdev_pipe_create(c.as_ptr(), bits),
            "vde" => builtin::lkl_netdev_vde_create(c.as_ptr()),
            "dpdk" => builtin::lkl_netdev_dpdk_create(c.as_ptr(), bits, core::ptr::null()),
            other => return Err(wrong("type", other, "expected tap, macvtap, raw, pipe or vde")),
        }
    };
    if nd.is_null() {
        return Err(Errno::ENODEV);
    }
    let mut args = NetArgs { mac: null_mut(), offload };
    if let Some(mac) = &address {
        args.mac = mac.as_ptr().cast_mut().cast::<c_void>();
    }
    // SAFETY: a device that was just made; the arguments live through the call.
    let id = unsafe { netdev::lkl_netdev_add(nd, &raw const args) };
    if id < 0 {
        // SAFETY: nobody has it.
        unsafe { netdev::lkl_netdev_free(nd) };
        return Err(Errno(-id));
    }
    iface.nd = nd;
    Ok(())
}

/// Configures the kernel that runs. What fails is printed; the first error is the answer, and the rest is done nevertheless.
pub(super) fn after(config: &mut Config) -> Result<(), Errno> {
    let instance = instance::current()?;
    let net = instance.kernel.net();
    let mut first = Ok(());
    let mut note = |what: &str, value: &str, result: Result<(), Errno>| {
        if let Err(e) = result {
            log::say_line(&format!("lkl: {what} {value}: {e}"));
            first = first.and(Err(e));
        }
    };
    for name in get(&config.values, top::MOUNT).unwrap_or_default().split(',').filter(|n| !n.is_empty()) {
        note("mount", name, mount::mount_fs(name).map(drop));
    }
    for iface in config.interfaces() {
        if iface.nd.is_null() {
            continue;
        }
        // SAFETY: it was made by `before`.
        let id = unsafe { (*iface.nd).id };
        match u32::try_from(netdev::lkl_netdev_get_ifindex(id)) {
            Ok(index) => configure(net, index, iface, &mut note),
            Err(_) => note("interface", &id.to_string(), Err(Errno::ENODEV)),
        }
    }
    for index in [top::GATEWAY, top::GATEWAY6] {
        if let Some(text) = get(&config.values, index) {
            let gateway = text.parse::<IpAddr>().map_err(|_| Errno::EINVAL);
            note("gateway", text, gateway.and_then(|gateway| setup::add_default(net, gateway, None, None)));
        }
    }
    for setting in get(&config.values, top::SYSCTL).unwrap_or_default().split(';').filter(|s| !s.trim().is_empty()) {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        note("sysctl", setting, net::set_sysctl(net, name.trim(), value.trim()));
    }
    first
}

fn configure(net: &Net, index: u32, iface: &Interface, note: &mut impl FnMut(&str, &str, Result<(), Errno>)) {
    let value = |index: usize| get(&iface.values, index);
    let len = |text: Option<&str>| text.and_then(|t| t.trim().parse::<u8>().ok()).ok_or(Errno::EINVAL);
    note("interface", "up", net.link_set_up(index, true));
    if let Some(text) = value(iface::MTU) {
        let mtu = text.trim().parse().map_err(|_| Errno::EINVAL);
        note("mtu", text, mtu.and_then(|mtu| net.link_set_mtu(index, mtu)));
    }
    if let Some(text) = value(iface::IP) {
        let ip = text.parse::<Ipv4Addr>().map_err(|_| Errno::EINVAL);
        let both = ip.and_then(|ip| Ok((ip, len(value(iface::MASK))?)));
        note("ip", text, both.and_then(|(ip, len)| net::add_address(net, index, ip.into(), len)));
        if let (Some(text), Ok((ip, len))) = (value(iface::GATEWAY), both) {
            let gateway = text.parse::<Ipv4Addr>().map_err(|_| Errno::EINVAL);
            let add = |g: Ipv4Addr| setup::add_own_gateway(net, index, ip.into(), len, g.into());
            note("ifgateway", text, gateway.and_then(add));
        }
    }
    if let Some(text) = value(iface::IPV6) {
        let ip = text.parse::<Ipv6Addr>().map_err(|_| Errno::EINVAL);
        let both = ip.and_then(|ip| Ok((ip, len(value(iface::MASK6))?)));
        let set = |(ip, len): (Ipv6Addr, u8)| {
            net::add_address(net, index, ip.into(), len)?;
            net::wait_unique(net, index, ip.into())
        };
        note("ipv6", text, both.and_then(set));
        if let (Some(text), Ok((ip, len))) = (value(iface::GATEWAY6), both) {
            let gateway = text.parse::<Ipv6Addr>().map_err(|_| Errno::EINVAL);
            let add = |g: Ipv6Addr| setup::add_own_gateway(net, index, ip.into(), len, g.into());
            note("ifgateway6", text, gateway.and_then(add));
        }
    }
    for entry in value(iface::NEIGHBOURS).unwrap_or_default().split(';').filter(|e| !e.is_empty()) {
        let parsed = entry.split_once('|').and_then(|(ip, hw)| Some((ip.parse::<IpAddr>().ok()?, mac(hw)?)));
        let add = |(ip, hw)| setup::add_neighbour(net, index, ip, hw);
        note("neigh", entry, parsed.ok_or(Errno::EINVAL).and_then(add));
    }
    if let Some(text) = value(iface::QDISCS) {
        note("qdisc", text, entries::add_qdiscs(net, index, text));
    }
}

/// Prints the files that are to be dumped.
pub(super) fn dump(config: &Config) {
    for path in get(&config.values, top::DUMP).unwrap_or_default().split(',').filter(|p| !p.is_empty()) {
        match lkl_host::dump::read(instance::syscall, path) {
            Ok(content) => log::say_line(&format!("{path}:\n{}", String::from_utf8_lossy(&content))),
            Err(e) => log::say_line(&format!("{path}: {e}")),
        }
    }
}
