//! Disks: descriptors of the host, and what a program makes of its own functions ([`user`]).
//!
//! As with network devices, those that are added before a kernel starts wait for it. They are `/dev/vda`, `/dev/vdb` and so on, by their ids.

mod fd;
mod user;

use super::instance::{self, lock, Instance, Ops};
use super::status;
use super::types::{BlkOps, Disk, Global};
use core::ffi::{c_int, c_uint, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use lkl_abi::{Errno, Result};
use std::sync::{Arc, Mutex};

/// The most disks: one for each letter.
const DISKS_MAX: usize = 26;

/// Of a descriptor.
#[unsafe(no_mangle)]
pub static lkl_dev_blk_ops: Global<BlkOps> =
    Global::new(BlkOps { get_capacity: Some(fd::get_capacity), request: Some(fd::request) });

/// A disk that was added, and what its `dev` is.
#[derive(Clone)]
struct Added {
    token: usize,
    disk: Arc<dyn lkl_ops::Disk>,
}

/// The disks of a kernel, by their ids.
#[derive(Default)]
pub(crate) struct Disks(Mutex<Vec<Option<Added>>>);

/// Those that wait for the kernel of `lkl_start_kernel`.
static PENDING: Mutex<Vec<Option<Added>>> = Mutex::new(Vec::new());

/// Puts a disk into a list; answers its id.
fn put(list: &mut Vec<Option<Added>>, added: Added) -> Result<usize> {
    let id = list.iter().position(Option::is_none).unwrap_or(list.len());
    match list.get_mut(id) {
        Some(free) => *free = Some(added),
        None if id < DISKS_MAX => list.push(Some(added)),
        None => return Err(Errno::ENFILE),
    }
    Ok(id)
}

/// The name of a disk, whether or not there is one.
fn name_of(id: usize) -> Result<String> {
    let letter = u8::try_from(id).ok().filter(|n| usize::from(*n) < DISKS_MAX).ok_or(Errno::ENODEV)?;
    Ok(format!("vd{}", char::from(b'a' + letter)))
}

/// The name of a disk of the kernel that the thread means.
///
/// # Errors
/// `ENODEV`: there is no such disk, or no kernel.
pub(super) fn name(id: c_uint) -> Result<String> {
    let instance = instance::current()?;
    let there = lock(&instance.disks.0).get(id as usize).is_some_and(Option::is_some);
    if there {
        name_of(id as usize)
    } else {
        Err(Errno::ENODEV)
    }
}

/// What the kernel sees of a disk.
unsafe fn read(disk: &Disk, ops: Ops) -> Result<Arc<dyn lkl_ops::Disk>> {
    let own = disk.ops.is_null() || core::ptr::eq(disk.ops, lkl_dev_blk_ops.get());
    if own {
        // SAFETY: a disk of these operations has a descriptor.
        return Ok(Arc::new(fd::FdDisk::new(unsafe { disk.handle.fd })?));
    }
    // SAFETY: as the caller of `lkl_disk_add` promises.
    Ok(Arc::new(unsafe { user::UserDisk::new(*disk, ops) }?))
}

/// Adds a disk.
///
/// # Safety
/// `disk` is null or a disk whose operations, if it has some, and descriptor stay until it is removed or the kernel is halted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_disk_add(disk: *mut Disk) -> c_int {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: as the caller promises.
    let Some(disk) = (unsafe { disk.as_mut() }) else { return -Errno::EINVAL.0 };
    let current = instance::current().ok();
    let registered = instance::directory().ops;
    let ops = current.as_ref().map(|i| i.ops).or(registered).unwrap_or_else(|| Ops::new(core::ptr::null()));
    // SAFETY: as the caller promises.
    let read = unsafe { read(disk, ops) };
    status(read.and_then(|seen| {
        let token = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let added = Added { token, disk: seen };
        let id = match current {
            None => put(&mut lock(&PENDING), added)?,
            Some(instance) => {
                let mut disks = lock(&instance.disks.0);
                let id = put(&mut disks, added.clone())?;
                if let Err(e) = attach(&instance, id, added) {
                    if let Some(slot) = disks.get_mut(id) {
                        *slot = None;
                    }
                    return Err(e);
                }
                id
            }
        };
        disk.dev = core::ptr::without_provenance_mut::<c_void>(token);
        Ok(id as i64)
    }))
}

fn attach(instance: &Instance, id: usize, added: Added) -> Result<()> {
    instance.kernel.add_disk(added.disk, &name_of(id)?).map(drop)
}

/// Gives the disks that wait to a kernel, which is about to start.
///
/// # Errors
/// Of the first that it does not take.
pub(crate) fn attach_pending(instance: &Instance) -> Result<()> {
    let pending = core::mem::take(&mut *lock(&PENDING));
    for (id, added) in pending.iter().enumerate() {
        if let Some(added) = added {
            attach(instance, id, added.clone())?;
        }
    }
    *lock(&instance.disks.0) = pending;
    Ok(())
}

/// A kernel has ended: its disks are let go. All is written.
pub(crate) fn detach_all(instance: &Instance) -> Result<()> {
    let mut first = Ok(());
    for (id, added) in core::mem::take(&mut *lock(&instance.disks.0)).into_iter().enumerate() {
        if let Some(added) = added {
            first = first.and(added.disk.flush());
            let _gone = name_of(id).and_then(|name| instance.kernel.remove_disk(&name));
        }
    }
    first
}

/// Takes a disk away.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_disk_remove(disk: Disk) -> c_int {
    let token = disk.dev as usize;
    let find = |list: &[Option<Added>]| list.iter().position(|d| d.as_ref().is_some_and(|d| d.token == token));
    let removed = match instance::current() {
        Err(_) => {
            let mut pending = lock(&PENDING);
            find(&pending).ok_or(Errno::ENODEV).map(|id| pending[id] = None)
        }
        Ok(instance) => {
            let mut disks = lock(&instance.disks.0);
            find(&disks).ok_or(Errno::ENODEV).and_then(|id| {
                instance.kernel.remove_disk(&name_of(id)?)?;
                disks[id] = None;
                Ok(())
            })
        }
    };
    status(removed.map(|()| 0))
}
