//! Devices as the configuration names them.

use super::fd::FdDev;
use super::{pipe, raw, tap, vde};
use crate::config::{Device, NetConfig};
use crate::real::RealHost;
use rustix::fs::{Mode, OFlags};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Opens the device of an interface.
///
/// # Errors
/// What is wrong with it, in words.
pub fn open(host: &RealHost, config: &NetConfig) -> Result<Arc<FdDev>, tap::Refusal> {
    let (mac, offload) = (config.mac, config.offload);
    let ours = || mac.or_else(|| stable_mac(config));
    match &config.device {
        Device::Tap(name) => tap::open(host, name, mac, offload),
        Device::Macvtap(path) => tap::open_macvtap(host, path.as_ref(), mac, offload),
        Device::Raw(name) => raw::open(host, name, ours(), offload),
        Device::Pipe(rx, tx) => pipe::open(host, &format!("{rx}|{tx}"), ours()),
        Device::Vde(switch) => vde::open(host, switch.as_ref(), ours()),
    }
}

/// An address that is the same each time the interface is used with the same addresses, as that of a TAP is. Others on the same device have
/// other ones: `None`, for a random one, if nothing tells them apart.
fn stable_mac(config: &NetConfig) -> Option<[u8; 6]> {
    let alone = matches!(config.device, Device::Pipe(..));
    if !alone && config.ip.is_none() && config.ipv6.is_none() {
        return None;
    }
    let file = rustix::fs::open(BOOT_ID, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut boot = [0u8; 36];
    if rustix::io::read(&file, &mut boot).ok()? < boot.len() {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (boot, config.device.to_string(), config.ip.map(|a| a.ip()), config.ipv6.map(|a| a.ip())).hash(&mut hasher);
    let [a, b, c, d, e, f, ..] = hasher.finish().to_be_bytes();
    Some([(a & !1) | 2, b, c, d, e, f])
}

/// What tells this machine, since it was started, from all others.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
