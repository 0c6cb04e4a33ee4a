//! TAP devices.
//!
//! The far end is an interface of the host's (`tap0`); what we write to the descriptor the host receives there, and the
//! other way round. Two back ends: a plain one, opened by the `tun-tap` crate, which carries frames as they are on a
//! wire; and one with a header before each frame ([`super::vnet`]), through which the host takes and gives segments of up to
//! 64 KiB and leaves checksums out. The second is used where the host has it.

use super::vnet;
use crate::real::{Hooks, RealHost};
use crate::sys;
use bytes::{Bytes, BytesMut};
use core::ffi::c_void;
use lkl_abi::{Errno, Result};
use lkl_ops::{Features, Host, NetDev, RxFrame, TxFrame};
use rustix::fs::{Mode, OFlags};
use rustix::io::IoSlice;
use smallvec::SmallVec;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest frame: 64 KiB of IP, and headers below.
const FRAME: usize = 65_536 + 64;
/// Frames are read into pieces of memory of this size, four full ones into one as a rule. Allocators (that of `hijack`
/// too) keep blocks up to it, and ask the host for greater ones each time.
const CHUNK: usize = 256 << 10;
/// Shorter frames are copied into memory of their own size: else a small one that stays in a queue would keep a whole chunk.
const COPIED: usize = 16 << 10;

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
const IFF_UP: i16 = 1;

/// An open TAP.
pub struct Tap {
    fd: RawFd,
    mac: [u8; 6],
    vnet: bool,
    buffer: Mutex<BytesMut>,
}

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

impl Tap {
    /// Opens the TAP `name`, which must exist: none is made. `mac` is our end's address; a random one is taken if there is none
    /// (the interface's own belongs to the host's end). `offload` asks for the faster back end.
    ///
    /// # Errors
    /// What is wrong and what to do about it, in words.
    pub fn open(
        host: &RealHost,
        name: &str,
        mac: Option<[u8; 6]>,
        offload: bool,
    ) -> core::result::Result<Arc<Self>, Refusal> {
        let up = is_up(name).map_err(|e| match e {
            Errno::ENODEV => format!(
                "expected a TAP of this machine; there is no such interface (ip tuntap add dev {name} mode tap user \"$USER\"; ip link set {name} up)"
            ),
            e => format!("expected a TAP of this machine; looking for it fails with {e}"),
        })?;
        if !up {
            tracing::warn!("{name} is down at the host: ip link set {name} up");
        }
        let fast = if offload { open_vnet(name) } else { Err(Errno::EOPNOTSUPP) };
        let (fd, vnet) = match fast {
            Ok(fd) => (fd, true),
            Err(Errno::EBUSY) => return Err(refusal(name, Errno::EBUSY)),
            Err(_) => (open_plain(name).map_err(|e| refusal(name, e))?, false),
        };
        rustix::io::ioctl_fionbio(&fd, true).map_err(|e| refusal(name, Errno(e.raw_os_error())))?;
        let mac = mac.or_else(|| stable_mac(name)).unwrap_or_else(|| random_mac(host));
        tracing::info!(tap = name, vnet_hdr = vnet, mac = %macaddr::MacAddr6::from(mac), "opened");
        Ok(Arc::new(Self { fd: privatise(&host.hooks, fd), mac, vnet, buffer: Mutex::new(BytesMut::new()) }))
    }

    /// What becomes readable when there is a frame.
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as `self` lives.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        sys::close(self.fd);
    }
}

fn privatise(hooks: &Hooks, fd: OwnedFd) -> RawFd {
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

fn open_vnet(name: &str) -> Result<OwnedFd> {
    let fd = attach(name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    let mut len = vnet::LEN as i32;
    // SAFETY: it takes a pointer to an `int`.
    unsafe { sys::ioctl(raw, TUNSETVNETHDRSZ, (&raw mut len).cast()) }?;
    let offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    // SAFETY: it takes a number.
    unsafe { sys::ioctl(raw, TUNSETOFFLOAD, core::ptr::without_provenance_mut(offload)) }?;
    Ok(fd)
}

fn open_plain(name: &str) -> Result<OwnedFd> {
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

fn random_mac(host: &RealHost) -> [u8; 6] {
    let mut mac = [0; 6];
    host.random(&mut mac);
    // Of a single station, and locally administered.
    mac[0] = (mac[0] & !1) | 2;
    mac
}

impl NetDev for Tap {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn features(&self) -> Features {
        Features { tx_checksum: self.vnet, tso4: self.vnet, tso6: self.vnet }
    }

    fn driver(&self) -> &'static str {
        "tun"
    }

    fn send(&self, frame: &TxFrame<'_>) -> Result<()> {
        let header = vnet::emit(frame.checksum, frame.gso);
        let mut iov: SmallVec<[IoSlice<'_>; 8]> = SmallVec::new();
        if self.vnet {
            iov.push(IoSlice::new(&header));
        }
        iov.extend(frame.parts.iter().map(|p| IoSlice::new(p)));
        match rustix::io::writev(self.fd().as_fd(), &iov) {
            Ok(_) => Ok(()),
            // The host's end is full, or (`EIO`) down.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => Err(Errno::EAGAIN),
            Err(e) => Err(Errno(e.raw_os_error())),
        }
    }

    fn recv(&self) -> Result<RxFrame> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if buffer.capacity() < FRAME {
                *buffer = BytesMut::with_capacity(CHUNK);
            }
            let (header, len) = self.read(&mut buffer)?;
            let (checksum_ok, gso) = match header.as_ref().map(vnet::parse) {
                None => (false, None),
                Some(Some(meaning)) => meaning,
                // Cut in a way that was not asked for.
                Some(None) => {
                    buffer.clear();
                    continue;
                }
            };
            let data = if len < COPIED {
                let data = Bytes::copy_from_slice(&buffer);
                buffer.clear();
                data
            } else {
                buffer.split().freeze()
            };
            return Ok(RxFrame { data, checksum_ok, gso });
        }
    }
}

impl Tap {
    /// Reads one frame into the buffer, which is empty and has room; answers the header, if there is one, and the
    /// frame's length.
    fn read(&self, buffer: &mut BytesMut) -> Result<(Option<[u8; vnet::LEN]>, usize)> {
        let mut header = [0u8; vnet::LEN];
        let room = buffer.spare_capacity_mut();
        let mut iov = [
            libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: header.len() },
            libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() },
        ];
        let (skip, used) = if self.vnet { (vnet::LEN, &mut iov[..]) } else { (0, &mut iov[1..]) };
        // SAFETY: both are memory of our own, of the lengths given.
        let n = match unsafe { sys::readv(self.fd, used) } {
            Ok(n) => n,
            Err(Errno::EINTR) => return Err(Errno::EAGAIN),
            Err(e) => return Err(e),
        };
        let Some(len) = n.checked_sub(skip) else { return Err(Errno::EAGAIN) };
        // SAFETY: the host has written `len` bytes to the start of the room.
        unsafe { buffer.set_len(len) };
        Ok((self.vnet.then_some(header), len))
    }
}

impl core::fmt::Debug for Tap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Tap({}, vnet_hdr {})", self.fd, self.vnet)
    }
}
