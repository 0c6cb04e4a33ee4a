//! Network devices: those of the host ([`builtin`]), and those that a program makes of its own functions ([`user`]). Each is a
//! `struct lkl_netdev`; whose it is, its `ops` say.
//!
//! Devices are given to the kernel of `lkl_start_kernel` before it starts or while it runs, and to another one after a thread has entered it. Until
//! there is a kernel they wait in [`PENDING`], with the ids that they will have.

pub(super) mod builtin;
mod user;

use super::instance::{self, lock, Instance};
use super::types::{NetArgs, NetDevice};
use super::{log, status};
use core::ffi::{c_int, c_uint};
use lkl_abi::Errno;
use lkl_ops::NetDev;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

/// The most devices.
const PORTS_MAX: usize = 16;

/// A device that was added.
#[derive(Clone, Copy)]
struct Added {
    nd: *mut NetDevice,
    mac: Option<[u8; 6]>,
    offload: c_uint,
}

// SAFETY: who adds a device lets the library use it from any thread.
unsafe impl Send for Added {}

/// A device in a kernel.
struct Port {
    added: Added,
    ifindex: u32,
    /// What the kernel's host looks at.
    watched: Option<RawFd>,
    user: Option<Arc<user::UserDev>>,
}

/// The devices of a kernel, by their ids.
#[derive(Default)]
pub(crate) struct Ports(Mutex<Vec<Option<Port>>>);

/// Those that wait for the kernel of `lkl_start_kernel`.
static PENDING: Mutex<Vec<Option<Added>>> = Mutex::new(Vec::new());

/// A free id.
fn vacancy<T>(list: &mut Vec<Option<T>>) -> Result<usize, Errno> {
    if let Some(free) = list.iter().position(Option::is_none) {
        return Ok(free);
    }
    if list.len() == PORTS_MAX {
        return Err(Errno::ENFILE);
    }
    list.push(None);
    Ok(list.len() - 1)
}

/// Gives a device to the kernel.
///
/// # Safety
/// `nd` is null or a device that stays until it is removed or the kernel is halted; `args` is null or its arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_add(nd: *mut NetDevice, args: *const NetArgs) -> c_int {
    // SAFETY: as the caller promises.
    let added = unsafe { read(nd, args) };
    status(added.and_then(|added| {
        let id = match instance::current() {
            Ok(instance) => add(&instance, added)?,
            Err(_) => {
                let mut pending = lock(&PENDING);
                if pending.iter().flatten().any(|p| core::ptr::eq(p.nd, nd)) {
                    return Err(Errno::EBUSY);
                }
                let id = vacancy(&mut pending)?;
                if let Some(free) = pending.get_mut(id) {
                    *free = Some(added);
                }
                id
            }
        };
        // SAFETY: it is a device, as `read` has seen.
        unsafe { (*nd).id = id as c_int };
        Ok(id as i64)
    }))
}

unsafe fn read(nd: *mut NetDevice, args: *const NetArgs) -> Result<Added, Errno> {
    // SAFETY: as the caller of `lkl_netdev_add` promises.
    let ops = unsafe { nd.as_ref() }.map(|nd| nd.ops).filter(|ops| !ops.is_null()).ok_or(Errno::EINVAL)?;
    // SAFETY: as above.
    let complete = unsafe { (*ops).tx.is_some() && (*ops).rx.is_some() && (*ops).poll.is_some() };
    if !complete {
        return Err(Errno::EINVAL);
    }
    // SAFETY: as above.
    let (mac, offload) = match unsafe { args.as_ref() } {
        Some(args) => {
            // SAFETY: a hardware address has six bytes.
            (unsafe { args.mac.cast::<[u8; 6]>().as_ref() }.copied(), args.offload)
        }
        None => (None, 0),
    };
    Ok(Added { nd, mac, offload })
}

/// Puts a device into a kernel that runs.
fn add(instance: &Arc<Instance>, added: Added) -> Result<usize, Errno> {
    let mut ports = lock(&instance.ports.0);
    if ports.iter().flatten().any(|p| core::ptr::eq(p.added.nd, added.nd)) {
        return Err(Errno::EBUSY);
    }
    let id = vacancy(&mut ports)?;
    let port = attach(instance, added)?;
    if let Some(free) = ports.get_mut(id) {
        *free = Some(port);
    }
    Ok(id)
}

fn attach(instance: &Arc<Instance>, added: Added) -> Result<Port, Errno> {
    let net = instance.kernel.net();
    if let Some((dev, fd)) = builtin::native(added.nd) {
        let dev: Arc<dyn NetDev> = match added.mac {
            Some(mac) => Arc::new(builtin::WithMac { mac, dev }),
            None => dev,
        };
        let ifindex = net.link_add(dev)?;
        instance.host.watch(fd);
        return Ok(Port { added, ifindex, watched: Some(fd), user: None });
    }
    let dev = user::UserDev::new(instance, added.nd, added.mac, added.offload);
    let ifindex = net.link_add(dev.clone())?;
    if let Err(e) = dev.start() {
        let _gone = net.link_del(ifindex);
        return Err(e);
    }
    Ok(Port { added, ifindex, watched: None, user: Some(dev) })
}

fn detach(instance: &Instance, port: &Port) {
    // Sockets find the network unreachable.
    let _gone = instance.kernel.net().link_del(port.ifindex);
    if let Some(fd) = port.watched {
        instance.host.unwatch(fd);
    }
    if let Some(user) = &port.user {
        user.stop();
    }
}

/// Gives the devices that wait to a kernel, which is about to start.
///
/// # Errors
/// Of the first that it does not take.
pub(crate) fn attach_pending(instance: &Arc<Instance>) -> Result<(), Errno> {
    let pending = core::mem::take(&mut *lock(&PENDING));
    let mut ports = lock(&instance.ports.0);
    for added in pending {
        let port = added.map(|added| attach(instance, added)).transpose()?;
        ports.push(port);
    }
    Ok(())
}

/// Takes every device away from a kernel that has ended.
pub(crate) fn detach_all(instance: &Instance) {
    for port in core::mem::take(&mut *lock(&instance.ports.0)).iter().flatten() {
        detach(instance, port);
    }
}

/// The interface of the first device.
pub(crate) fn first(instance: &Instance) -> Option<u32> {
    lock(&instance.ports.0).iter().flatten().map(|p| p.ifindex).next()
}

/// Takes a device away. Answers whether there was one.
pub(super) fn remove(id: c_int) -> bool {
    let Ok(at) = usize::try_from(id) else { return false };
    match instance::current() {
        Ok(instance) => {
            let port = lock(&instance.ports.0).get_mut(at).and_then(Option::take);
            port.inspect(|port| detach(&instance, port)).is_some()
        }
        Err(_) => lock(&PENDING).get_mut(at).and_then(Option::take).is_some(),
    }
}

/// Takes a device away.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_netdev_remove(id: c_int) {
    if !remove(id) {
        log::say_line(&format!("lkl_netdev_remove: there is no network device {id}"));
    }
}

/// Frees a device.
///
/// # Safety
/// `nd` is null, or a device that is in no kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_netdev_free(nd: *mut NetDevice) {
    // SAFETY: as the caller promises.
    let ops = unsafe { nd.as_ref() }.map(|nd| nd.ops).filter(|ops| !ops.is_null());
    // SAFETY: as above.
    if let Some(free) = ops.and_then(|ops| unsafe { (*ops).free }) {
        // SAFETY: as above.
        unsafe { free(nd) };
    }
}

/// The index of a device's interface.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_netdev_get_ifindex(id: c_int) -> c_int {
    status(instance::current().and_then(|instance| {
        let at = usize::try_from(id).map_err(|_| Errno::ENODEV)?;
        let index = lock(&instance.ports.0).get(at).and_then(|p| p.as_ref().map(|p| p.ifindex));
        index.map(i64::from).ok_or(Errno::ENODEV)
    }))
}
