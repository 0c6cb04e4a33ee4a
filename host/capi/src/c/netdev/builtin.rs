//! Devices of the host. The kernel uses them directly; the functions in their `ops` are for programs that put a device of their own before one.

use super::super::instance::lock;
use super::super::types::{Global, NetDevice, NetOps};
use super::super::{log, text};
use core::ffi::{c_char, c_int, c_uchar};
use lkl_abi::Result;
use lkl_host::netdev::fd::{FdDev, Kind};
use lkl_host::netdev::{pipe, raw, tap, vde, vnet, Offload};
use lkl_host::{Hooks, RealHost};
use lkl_ops::{Checksum, Features, Gso, GsoKind, NetDev, RxFrame, TxFrame};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

/// A `struct lkl_netdev`, and what is behind it.
#[repr(C)]
struct Builtin {
    c: NetDevice,
    dev: Arc<FdDev>,
    /// What `poll` waits for beside the device: once `poll_hup` was called, the other end is closed.
    hup: OwnedFd,
    hang_up: Mutex<Option<OwnedFd>>,
}

/// By which they are known.
static OPS: Global<NetOps> =
    Global::new(NetOps { tx: Some(tx), rx: Some(rx), poll: Some(poll), poll_hup: Some(poll_hup), free: Some(free) });

/// The device itself, and what becomes readable when there is a frame; `None` if it is not one of these.
pub(super) fn native(nd: *mut NetDevice) -> Option<(Arc<dyn NetDev>, RawFd)> {
    // SAFETY: it was checked when it was added.
    if unsafe { (*nd).ops } != OPS.get() {
        return None;
    }
    // SAFETY: only `wrap` makes devices with these operations.
    let dev = unsafe { &(*nd.cast::<Builtin>()).dev };
    Some((dev.clone(), dev.as_raw_fd()))
}

/// A device with another hardware address than its own.
pub(super) struct WithMac {
    pub(super) mac: [u8; 6],
    pub(super) dev: Arc<dyn NetDev>,
}

impl NetDev for WithMac {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn features(&self) -> Features {
        self.dev.features()
    }

    fn driver(&self) -> &'static str {
        self.dev.driver()
    }

    fn send(&self, frame: &TxFrame<'_>) -> Result<()> {
        self.dev.send(frame)
    }

    fn recv(&self) -> Result<RxFrame> {
        self.dev.recv()
    }
}

fn wrap(name: &str, made: core::result::Result<Arc<FdDev>, String>) -> *mut NetDevice {
    let made = made.and_then(|dev| {
        let (hup, hang_up) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
        Ok(Builtin {
            c: NetDevice { ops: OPS.get(), id: -1, has_vnet_hdr: u8::from(dev.header() > 0), mac: dev.mac() },
            dev,
            hup,
            hang_up: Mutex::new(Some(hang_up)),
        })
    });
    match made {
        Ok(builtin) => Box::into_raw(Box::new(builtin)).cast(),
        Err(problem) => {
            log::say_line(&format!("lkl: {name}: {problem}"));
            core::ptr::null_mut()
        }
    }
}

/// Makes a device of the name that it is given.
unsafe fn create(
    name: *const c_char,
    open: impl FnOnce(&RealHost, &str) -> core::result::Result<Arc<FdDev>, String>,
) -> *mut NetDevice {
    // SAFETY: as the caller promises.
    let name = match unsafe { text::utf8(name) } {
        Ok(name) => name,
        Err(e) => return wrap("(null)", Err(e.to_string())),
    };
    let host = RealHost::new(Hooks::default()).map_err(|e| e.to_string());
    wrap(name, host.and_then(|host| open(&host, name)))
}

/// What a mask of `LKL_VIRTIO_NET_F_*` asks for.
fn asked(offload: c_int) -> core::result::Result<Offload, String> {
    let wrong = || format!("offload {offload:#x}: expected a mask of LKL_VIRTIO_NET_F_*");
    Offload::of_bits(offload.cast_unsigned()).ok_or_else(wrong)
}

/// A TAP device.
///
/// # Safety
/// `name` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_tap_create(name: *const c_char, offload: c_int) -> *mut NetDevice {
    // SAFETY: as the caller promises.
    unsafe { create(name, |host, name| tap::open(host, name, None, asked(offload)?)) }
}

/// A macvtap device.
///
/// # Safety
/// `path` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_macvtap_create(path: *const c_char, offload: c_int) -> *mut NetDevice {
    // SAFETY: as the caller promises.
    unsafe { create(path, |host, path| tap::open_macvtap(host, path.as_ref(), None, asked(offload)?)) }
}

/// A packet socket.
///
/// # Safety
/// `name` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_raw_create(name: *const c_char) -> *mut NetDevice {
    // SAFETY: as the caller promises.
    unsafe { create(name, |host, name| raw::open(host, name, None, Offload::ALL)) }
}

/// Named pipes.
///
/// # Safety
/// `paths` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_pipe_create(paths: *const c_char, _: c_int) -> *mut NetDevice {
    // SAFETY: as the caller promises.
    unsafe { create(paths, |host, paths| pipe::open(host, paths, None)) }
}

/// A port of a VDE switch.
///
/// # Safety
/// `path` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_vde_create(path: *const c_char) -> *mut NetDevice {
    // SAFETY: as the caller promises.
    unsafe { create(path, |host, path| vde::open(host, path.as_ref(), None)) }
}

/// A device of DPDK's: not here.
///
/// # Safety
/// `name` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_dpdk_create(name: *const c_char, _: c_int, _: *const c_uchar) -> *mut NetDevice {
    // SAFETY: as the caller promises.
    unsafe { create(name, |_, _| Err("DPDK is not supported".to_owned())) }
}

/// A device of two descriptors.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_register_netdev_fd(rx: c_int, tx: c_int) -> *mut NetDevice {
    let nonblocking = |fd: RawFd| {
        // SAFETY: any number may be asked about.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        // SAFETY: as above.
        flags >= 0 && unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) } == 0
    };
    let made = if nonblocking(rx) && nonblocking(tx) {
        let host = RealHost::new(Hooks::default()).map_err(|e| e.to_string());
        let kind = Kind { header: 0, features: Features::default(), longest: usize::MAX, driver: "fd" };
        host.map(|host| {
            let mut mac = [0; 6];
            lkl_ops::Host::random(&*host, &mut mac);
            mac[0] = mac[0] & !1 | 2;
            FdDev::new(rx, tx, mac, kind)
        })
    } else {
        Err(lkl_abi::Errno::EBADF.to_string())
    };
    wrap("descriptors", made)
}

unsafe fn of<'a>(nd: *mut NetDevice) -> &'a Builtin {
    // SAFETY: only `wrap` makes devices with these operations.
    unsafe { &*nd.cast::<Builtin>() }
}

/// The bytes of all pieces.
unsafe fn gather(iov: *mut libc::iovec, count: c_int) -> Vec<u8> {
    let mut all = Vec::new();
    for i in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller gives `count` pieces, each with its memory.
        unsafe {
            let piece = &*iov.add(i);
            all.extend_from_slice(core::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len));
        }
    }
    all
}

unsafe extern "C" fn tx(nd: *mut NetDevice, iov: *mut libc::iovec, count: c_int) -> c_int {
    // SAFETY: as the header asks for.
    let (builtin, all) = unsafe { (of(nd), gather(iov, count)) };
    let (mut checksum, mut gso, mut frame) = (None, None, &all[..]);
    if builtin.c.has_vnet_hdr != 0 {
        let Some((header, rest)) = all.split_first_chunk::<{ vnet::LONGEST }>() else { return -1 };
        let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let Some((_, cut)) = vnet::parse(header) else { return -1 };
        gso = cut.map(|g: Gso| Gso { kind: g.kind, ..g }).filter(|g| !matches!(g.kind, GsoKind::Udp));
        checksum = (header[0] & 1 != 0).then(|| Checksum { start: word(6), offset: word(8) });
        frame = rest;
    }
    match builtin.dev.send(&TxFrame { parts: &[frame], checksum, gso }) {
        Ok(()) => all.len() as c_int,
        Err(_) => -1,
    }
}

unsafe extern "C" fn rx(nd: *mut NetDevice, iov: *mut libc::iovec, count: c_int) -> c_int {
    // SAFETY: as the header asks for.
    let builtin = unsafe { of(nd) };
    let Ok(frame) = builtin.dev.recv() else { return -1 };
    let mut all = Vec::with_capacity(frame.data.len() + vnet::LONGEST);
    if builtin.c.has_vnet_hdr != 0 {
        let mut header = vnet::emit(None, frame.gso);
        // The checksum is known to be right.
        header[0] = u8::from(frame.checksum.is_ok()) << 1;
        all.extend_from_slice(&header);
    }
    all.extend_from_slice(&frame.data);
    let mut done = 0;
    for i in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller gives `count` pieces, each with its memory.
        unsafe {
            let piece = &*iov.add(i);
            let n = piece.iov_len.min(all.len() - done);
            core::ptr::copy_nonoverlapping(all.as_ptr().add(done), piece.iov_base.cast(), n);
            done += n;
        }
    }
    done as c_int
}

unsafe extern "C" fn poll(nd: *mut NetDevice) -> c_int {
    // SAFETY: as the header asks for.
    let builtin = unsafe { of(nd) };
    let on = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut fds = [on(builtin.dev.as_raw_fd()), on(builtin.hup.as_raw_fd())];
    // SAFETY: two of them.
    while unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) } < 0 {}
    match fds {
        [_, hup] if hup.revents != 0 => 4,
        [dev, _] if dev.revents & libc::POLLIN != 0 => 1,
        _ => -1,
    }
}

unsafe extern "C" fn poll_hup(nd: *mut NetDevice) {
    // SAFETY: as the header asks for.
    drop(lock(&unsafe { of(nd) }.hang_up).take());
}

unsafe extern "C" fn free(nd: *mut NetDevice) {
    // SAFETY: it is of `wrap`, and is freed once.
    drop(unsafe { Box::from_raw(nd.cast::<Builtin>()) });
}
