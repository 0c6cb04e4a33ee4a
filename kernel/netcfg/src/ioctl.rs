//! `ioctl` of sockets about the network (`man 7 netdevice`): used by `ifconfig`, `route`, `arp`, libpcap.
//!
//! [`ifreq`] is about links and IPv4 addresses, [`route`] about routes and IPv6 addresses, [`arp`] about neighbours,
//! [`ethtool`] about `SIOCETHTOOL`.

mod arp;
mod ethtool;
mod ifreq;
mod route;
#[cfg(test)]
mod tests;

use lkl_abi::socket::{AF_INET, AF_INET6, AF_PACKET};
use lkl_abi::sockios::*;
use lkl_abi::{Errno, Result};
use lkl_inet::Net;
use lkl_ops::UserMem;
use std::sync::Arc;

/// `ioctl` of a socket of `AF_INET`: see [`dev_ioctl_family`].
///
/// # Errors
/// `ENOTTY` if the request is not known; else as `man 7 netdevice` says.
pub fn dev_ioctl(net: &Arc<Net>, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    dev_ioctl_family(net, AF_INET, mem, request, arg)
}

/// `ioctl` of a socket of `family`, as far as it is about the network and not about the socket. Requests about
/// addresses and routes mean what the family says; sockets of other families do not have them.
///
/// # Errors
/// `ENOTTY` if the request is not known; else as `man 7 netdevice` says.
pub fn dev_ioctl_family(net: &Arc<Net>, family: u16, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    let inet = family == AF_INET || family == AF_PACKET;
    match request {
        SIOCADDRT | SIOCDELRT if inet => route::v4(net, mem, request, arg),
        SIOCADDRT | SIOCDELRT if family == AF_INET6 => route::v6(net, mem, request, arg),
        SIOCRTMSG if inet => Err(Errno::EINVAL),
        SIOCSIFADDR | SIOCDIFADDR if family == AF_INET6 => route::address6(net, mem, request, arg),
        SIOCDARP | SIOCGARP | SIOCSARP if inet => arp::ioctl(net, mem, request, arg),
        SIOCGIFADDR | SIOCSIFADDR | SIOCGIFDSTADDR | SIOCSIFDSTADDR | SIOCGIFBRDADDR | SIOCSIFBRDADDR
        | SIOCGIFNETMASK | SIOCSIFNETMASK | SIOCGIFPFLAGS | SIOCSIFPFLAGS
            if inet =>
        {
            ifreq::address(net, mem, request, arg)
        }
        SIOCGIFCONF => ifreq::conf(net, mem, arg),
        SIOCETHTOOL => ethtool::ioctl(net, mem, arg),
        SIOCIWFIRST..=SIOCIWLAST => Err(Errno::EOPNOTSUPP),
        SIOCBRADDBR | SIOCBRDELBR => Err(Errno::ENOTTY),
        _ => ifreq::device(net, mem, request, arg),
    }
}

/// Reads `N` bytes of the caller's memory.
fn get<const N: usize>(mem: &dyn UserMem, at: u64) -> Result<[u8; N]> {
    let mut b = [0; N];
    mem.read(at, &mut b)?;
    Ok(b)
}

/// The name in a fixed field, up to its zero.
fn name(bytes: &[u8]) -> Result<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let name = bytes.get(..end).unwrap_or_default();
    core::str::from_utf8(name).map(str::to_owned).map_err(|_| Errno::ENODEV)
}

/// `sockaddr_in` with `ip`.
fn sockaddr_in(ip: std::net::Ipv4Addr) -> [u8; 16] {
    let mut b = [0; 16];
    b[..2].copy_from_slice(&AF_INET.to_ne_bytes());
    b[4..8].copy_from_slice(&ip.octets());
    b
}

/// Family and IPv4 address of a `sockaddr_in`.
fn read_sockaddr(b: &[u8]) -> (u16, std::net::Ipv4Addr) {
    let family = b.first_chunk().copied().map_or(0, u16::from_ne_bytes);
    let octets: [u8; 4] = b.get(4..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
    (family, octets.into())
}

/// The length of a netmask.
///
/// # Errors
/// `EINVAL` if its ones are not all in front.
fn mask_len(mask: std::net::Ipv4Addr) -> Result<u8> {
    let m = u32::from(mask);
    if m.leading_ones() + m.trailing_zeros() >= 32 {
        Ok(m.leading_ones() as u8)
    } else {
        Err(Errno::EINVAL)
    }
}
