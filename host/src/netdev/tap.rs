//! TAP devices, and macvtap devices, which are read and written in the same way.
//!
//! The far end is an interface of the host's (`tap0`); what we write to the descriptor the host receives there, and the
//! other way round. Two back ends: a plain one, opened by the `tun-tap` crate, which carries frames as they are on a
//! wire; and one with a header before each frame ([`super::vnet`]), through which the host takes and gives segments of up to
//! 64 KiB and leaves checksums out. The second is used where the host has it.

use super::fd::{FdDev, Kind};
use super::{vnet, Offload};
use crate::real::{Hooks, RealHost};
use crate::sys;
use core::ffi::c_void;
use lkl_abi::{Errno, Result};
use lkl_ops::{Features, Host};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

const TUNSETIFF: u32 = 0x4004_54ca;
const TUNSETOFFLOAD: u32 = 0x4004_54d0;
const TUNSETVNETHDRSZ: u32 = 0x4004_54d8;
const IFF_TAP: i16 = 0x0002;
const IFF_MULTI_QUEUE: i16 = 0x0100;
const IFF_NO_PI: i16 = 0x1000;
const IFF_VNET_HDR: i16 = 0x4000;
const TUN_F_CSUM: usize = 0x01;
const TUN_F_TSO4: usize = 0x02;
const TUN_F_TSO6: usize = 0x04;
const TUN_F_TSO_ECN: usize = 0x08;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCSIFHWADDR: u32 = 0x8924;
const SIOCGIFHWADDR: u32 = 0x8927;
const IFF_UP: i16 = 1;

/// Why a TAP could not be opened: a text for the user, which goes on after "NAME: ".
pub type Refusal = String;

#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

impl IfReq {
    fn new(name: &str, flags: i16) -> Self {
        let mut r = Self { name: [0; 16], flags, rest: [0; 22] };
        for (to, from) in r.name.iter_mut().take(15).zip(name.bytes()) {
            *to = from;
        }
        r
    }

    fn call(&mut self, fd: RawFd, request: u32) -> Result<()> {
        // SAFETY: each request made with it takes a `struct ifreq` of 40 bytes, name and flags first.
        unsafe { sys::ioctl(fd, request, core::ptr::from_mut(self).cast::<c_void>()) }.map(drop)
    }
}

/// Opens the TAP `name`, which must exist: none is made. `mac` is our end's address; a random one is taken if there is none
/// (the interface's own belongs to the host's end). The faster back end is taken if `offload` asks for anything that it has.
///
/// # Errors
/// What is wrong and what to do about it, in words.
pub fn open(
    host: &RealHost,
    name: &str,
    mac: Option<[u8; 6]>,
    offload: Offload,
) -> core::result::Result<Arc<FdDev>, Refusal> {
    let up = is_up(name).map_err(|e| match e {
        Errno::ENODEV => format!(
            "expected a TAP of this machine; there is no such interface (ip tuntap add dev {name} mode tap user \"$USER\"; ip link set {name} up)"
        ),
        e => format!("expected a TAP of this machine; looking for it fails with {e}"),
    })?;
    if !up {
        tracing::warn!("{name} is down at the host: ip link set {name} up");
    }
    let fast = if offload.any() { open_vnet(name, offload) } else { Err(Errno::EOPNOTSUPP) };
    let (fd, vnet) = match fast {
        Ok(fd) => (fd, true),
        Err(Errno::EBUSY) => return Err(refusal(name, Errno::EBUSY)),
        Err(_) => (open_plain(name).map_err(|e| refusal(name, e))?, false),
    };
    rustix::io::ioctl_fionbio(&fd, true).map_err(|e| refusal(name, Errno(e.raw_os_error())))?;
    let mac = mac.or_else(|| stable_mac(name)).unwrap_or_else(|| random_mac(host));
    tracing::info!(tap = name, vnet_hdr = vnet, mac = %macaddr::MacAddr6::from(mac), "opened");
    let fd = privatise(&host.hooks, fd);
    Ok(FdDev::new(fd, fd, mac, kind(vnet, offload, "tun")))
}

/// Opens the macvtap device `path` (`/dev/tap5`). Its frames are those of one hardware address, which is ours: the device's own, or it is set to
/// `mac`.
///
/// # Errors
/// What is wrong, in words.
pub fn open_macvtap(
    host: &RealHost,
    path: &Path,
    mac: Option<[u8; 6]>,
    offload: Offload,
) -> core::result::Result<Arc<FdDev>, Refusal> {
    let refused = |e: Errno| match e {
        Errno::ENOENT | Errno::ENXIO | Errno::ENODEV => {
            format!("expected the device of a macvtap interface, such as /dev/tap5 for the one of index 5: {e}")
        }
        Errno::EACCES | Errno::EPERM => "expected a macvtap device of yours; it may not be opened".to_owned(),
        e => format!("expected a macvtap device: {e}"),
    };
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| refused(Errno(e.raw_os_error())))?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    let vnet = offload.any();
    let mut request = IfReq::new("", IFF_TAP | IFF_NO_PI | if vnet { IFF_VNET_HDR } else { 0 });
    request.call(raw, TUNSETIFF).map_err(refused)?;
    if vnet {
        ask_for_offload(raw, offload).map_err(refused)?;
    } else {
        set_offload(raw, 0).map_err(refused)?;
    }
    let mut request = IfReq::new("", 0);
    request.call(raw, SIOCGIFHWADDR).map_err(|e| format!("its hardware address cannot be read: {e}"))?;
    let mut own = [0; 6];
    own.copy_from_slice(request.rest.get(..6).unwrap_or(&[0; 6]));
    if let Some(mac) = mac.filter(|mac| *mac != own) {
        // `struct sockaddr` of the same family as it came with.
        request.rest[..6].copy_from_slice(&mac);
        request.call(raw, SIOCSIFHWADDR).map_err(|e| format!("its hardware address cannot be set: {e}"))?;
        own = mac;
    }
    let fd = privatise(&host.hooks, fd);
    Ok(FdDev::new(fd, fd, own, kind(vnet, offload, "macvtap")))
}

/// What the descriptor of a TAP is, with or without a header before each frame.
fn kind(vnet: bool, offload: Offload, driver: &'static str) -> Kind {
    let (header, features) = if vnet { (vnet::LEN, offload.features()) } else { (0, Features::default()) };
    Kind { header, features, longest: usize::MAX, driver }
}

pub(super) fn privatise(hooks: &Hooks, fd: OwnedFd) -> RawFd {
    (hooks.privatise)(fd.into_raw_fd())
}

/// Is the interface up? `ENODEV` if there is none.
fn is_up(name: &str) -> Result<bool> {
    use rustix::net::{socket, AddressFamily, SocketType};
    let s = socket(AddressFamily::UNIX, SocketType::DGRAM, None).map_err(|e| Errno(e.raw_os_error()))?;
    let mut r = IfReq::new(name, 0);
    r.call(std::os::fd::AsRawFd::as_raw_fd(&s), SIOCGIFFLAGS)?;
    Ok(r.flags & IFF_UP != 0)
}

fn open_device() -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open("/dev/net/tun", flags, Mode::empty()).map_err(|e| Errno(e.raw_os_error()))
}

/// Attaches to `name`; a persistent TAP made with several queues must be asked for as such.
fn attach(name: &str, flags: i16) -> Result<OwnedFd> {
    let fd = open_device()?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    match IfReq::new(name, flags).call(raw, TUNSETIFF) {
        Err(Errno::EINVAL) => IfReq::new(name, flags | IFF_MULTI_QUEUE).call(raw, TUNSETIFF)?,
        other => other?,
    }
    Ok(fd)
}

fn open_vnet(name: &str, offload: Offload) -> Result<OwnedFd> {
    let fd = attach(name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    ask_for_offload(raw, offload)?;
    Ok(fd)
}

/// Has the device give what we take, with the header of ten bytes. What it takes needs no asking.
fn ask_for_offload(fd: RawFd, offload: Offload) -> Result<()> {
    let mut len = vnet::LEN as i32;
    // SAFETY: it takes a pointer to an `int`.
    unsafe { sys::ioctl(fd, TUNSETVNETHDRSZ, (&raw mut len).cast()) }?;
    let parts = [
        (offload.receive.tx_checksum, TUN_F_CSUM),
        (offload.receive.tso4, TUN_F_TSO4 | TUN_F_TSO_ECN),
        (offload.receive.tso6, TUN_F_TSO6 | TUN_F_TSO_ECN),
    ];
    set_offload(fd, parts.iter().filter(|(on, _)| *on).fold(0, |all, (_, bits)| all | bits))
}

/// What the device may leave to us. It keeps that when it is closed.
fn set_offload(fd: RawFd, offload: usize) -> Result<()> {
    // SAFETY: it takes a number.
    unsafe { sys::ioctl(fd, TUNSETOFFLOAD, core::ptr::without_provenance_mut(offload)) }.map(drop)
}

fn open_plain(name: &str) -> Result<OwnedFd> {
    let fd = open_by_crate(name)?;
    // Whoever had it before may have taken frames without checksums.
    set_offload(std::os::fd::AsRawFd::as_raw_fd(&fd), 0)?;
    Ok(fd)
}

fn open_by_crate(name: &str) -> Result<OwnedFd> {
    match tun_tap::Iface::without_packet_info(name, tun_tap::Mode::Tap) {
        // SAFETY: it has just been opened, and is ours alone.
        Ok(iface) => Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(iface.into_raw_fd()) }),
        Err(e) => match e.raw_os_error() {
            // The crate has no flag for several queues.
            Some(libc::EINVAL) => attach(name, IFF_TAP | IFF_NO_PI),
            other => Err(Errno(other.unwrap_or(libc::EIO))),
        },
    }
}

fn refusal(name: &str, e: Errno) -> Refusal {
    match e {
        Errno::EBUSY => "expected a free TAP; another program has it open".into(),
        Errno::EPERM => format!(
            "expected a TAP of yours; it belongs to another user (ip tuntap add dev {name} mode tap user \"$USER\")"
        ),
        Errno::EACCES => "expected a TAP of yours; /dev/net/tun may not be opened".into(),
        Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => "expected a TAP; this machine has no /dev/net/tun".into(),
        Errno::EINVAL => "expected a TAP; this interface is of another kind".into(),
        e => format!("expected a TAP that can be opened; it fails with {e}"),
    }
}

/// An address that is the same each time this TAP is used, made of the TAP's own. A new one for each program would meet
/// its peers' old neighbour entries, which Linux does not let be overridden within a second.
fn stable_mac(name: &str) -> Option<[u8; 6]> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let path = format!("/sys/class/net/{name}/address");
    let file = rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut own = [0u8; 17];
    let n = rustix::io::read(&file, &mut own).ok()?;
    if n < own.len() {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (own, name).hash(&mut hasher);
    let [a, b, c, d, e, f, ..] = hasher.finish().to_be_bytes();
    Some([(a & !1) | 2, b, c, d, e, f])
}

pub(crate) fn random_mac(host: &RealHost) -> [u8; 6] {
    let mut mac = [0; 6];
    host.random(&mut mac);
    // Of a single station, and locally administered.
    mac[0] = (mac[0] & !1) | 2;
    mac
}
