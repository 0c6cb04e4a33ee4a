//! Packet sockets: an interface of the host's, all frames of which are seen (`man 7 packet`).
//!
//! The host sees them too, and answers those that are meant for it: our end has an address of its own.

use super::fd::{FdDev, Kind};
use super::tap::{privatise, random_mac, Refusal};
use super::{vnet, Offload};
use crate::real::RealHost;
use crate::sys;
use lkl_abi::Errno;
use lkl_ops::Features;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use std::os::fd::AsRawFd;
use std::sync::Arc;

const SOL_PACKET: i32 = 263;
const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_VNET_HDR: i32 = 15;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const PACKET_MR_PROMISC: u16 = 1;
const ETH_P_ALL: u16 = 3;

/// The MTU of the host's interface in bytes: it takes no longer packets. `None` if there is no such interface.
pub fn mtu(name: &str) -> Option<u32> {
    const SIOCGIFMTU: u32 = 0x8921;
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    // `struct ifreq`: a name of 16 bytes, and a number.
    let mut request = [0u8; 40];
    let room = request.get_mut(..15)?;
    room.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    // SAFETY: it takes a `struct ifreq`.
    unsafe { sys::ioctl(socket.as_raw_fd(), SIOCGIFMTU, request.as_mut_ptr().cast()) }.ok()?;
    let number = request.get(16..20)?.try_into().ok()?;
    u32::try_from(i32::from_ne_bytes(number)).ok()
}

/// Opens a packet socket on the host's interface `name`, which is set to receive the frames of every address. Of `offload` that counts which is
/// about sending: what the interface has put together comes as it is. Needs `CAP_NET_RAW`.
///
/// # Errors
/// What is wrong, in words.
pub fn open(host: &RealHost, name: &str, mac: Option<[u8; 6]>, offload: Offload) -> Result<Arc<FdDev>, Refusal> {
    let words = |e: Errno| match e {
        Errno::EPERM | Errno::EACCES => "expected the right to open packet sockets (CAP_NET_RAW)".to_owned(),
        Errno::ENODEV => "expected an interface of this machine; there is none of that name".to_owned(),
        e => format!("expected an interface whose frames can be had: {e}"),
    };
    let errno = |e: rustix::io::Errno| words(Errno(e.raw_os_error()));
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    // Of protocol 0 it receives nothing until it is bound.
    let fd =
        rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None::<Protocol>).map_err(errno)?;
    let index = rustix::net::netdevice::name_to_index(&fd, name).map_err(errno)?;
    let raw = fd.as_raw_fd();
    // Segments that the device has put together come as such.
    let vnet = sys::set_option(raw, SOL_PACKET, PACKET_VNET_HDR, &1i32.to_ne_bytes()).is_ok();
    let _newer = sys::set_option(raw, SOL_PACKET, PACKET_IGNORE_OUTGOING, &1i32.to_ne_bytes());
    // `struct sockaddr_ll`, and `struct packet_mreq`.
    let mut address = [0u8; 20];
    address[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&ETH_P_ALL.to_be_bytes());
    address[4..8].copy_from_slice(&index.to_ne_bytes());
    sys::bind(raw, &address).map_err(words)?;
    let mut all = [0u8; 16];
    all[..4].copy_from_slice(&index.to_ne_bytes());
    all[4..6].copy_from_slice(&PACKET_MR_PROMISC.to_ne_bytes());
    sys::set_option(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all).map_err(words)?;
    let header = if vnet { vnet::LEN } else { 0 };
    let features = if vnet { offload.features() } else { Features::default() };
    let kind = Kind { header, features, longest: usize::MAX, driver: "packet" };
    let fd = privatise(&host.hooks, fd);
    Ok(FdDev::new(fd, fd, mac.unwrap_or_else(|| random_mac(host)), kind))
}
