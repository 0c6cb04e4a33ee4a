//! Mounting, as LKL's helpers do it: by the kernel's own calls, at directories that they make.

use super::{disk, instance, status, text};
use core::ffi::{c_char, c_int, c_long, c_uint};
use core::time::Duration;
use lkl_abi::fcntl::{AT_FDCWD, AT_REMOVEDIR};
use lkl_abi::stat::{STAT_SIZE, S_IFBLK};
use lkl_abi::{nr, Errno, Result};
use std::ffi::CString;

/// How often what is busy is tried again.
const STEP: Duration = Duration::from_millis(10);
/// Where `st_dev` and `st_rdev` are in `struct stat`.
const DEV: usize = 0;
const RDEV: usize = 32;

const HERE: u64 = AT_FDCWD as u64;

fn call(number: usize, args: [u64; 6]) -> Result<u64> {
    instance::syscall(number, args)
}

fn c(path: &str) -> Result<CString> {
    CString::new(path).map_err(|_| Errno::EINVAL)
}

/// Makes a directory, if it is not there.
fn mkdir(path: &str, mode: u64) -> Result<()> {
    match call(nr::MKDIRAT, [HERE, c(path)?.as_ptr() as u64, mode, 0, 0, 0]) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(e),
    }
}

fn unlink(path: &str, flags: u32) -> Result<()> {
    call(nr::UNLINKAT, [HERE, c(path)?.as_ptr() as u64, flags.into(), 0, 0, 0]).map(drop)
}

/// A member of what `stat` tells of a path.
fn stat_number(path: &str, member: usize) -> Result<u64> {
    let mut stat = [0u8; STAT_SIZE];
    call(nr::FSTATAT, [HERE, c(path)?.as_ptr() as u64, stat.as_mut_ptr() as u64, 0, 0, 0])?;
    let bytes = stat.get(member..member + 8).and_then(|b| b.try_into().ok());
    bytes.map(u64::from_ne_bytes).ok_or(Errno::EINVAL)
}

/// Mounts a file system that needs no device at `/FSTYPE`. Answers whether it was there already.
pub(super) fn mount_fs(kind: &str) -> Result<bool> {
    if kind.is_empty() || kind.contains('/') {
        return Err(Errno::EINVAL);
    }
    instance::current()?;
    let (path, kind) = (format!("/{kind}"), c(kind)?);
    mkdir(&path, 0o700)?;
    if stat_number(&path, DEV)? != stat_number("/", DEV)? {
        return Ok(true);
    }
    let at = c(&path)?;
    match call(nr::MOUNT, [c"none".as_ptr() as u64, at.as_ptr() as u64, kind.as_ptr() as u64, 0, 0, 0]) {
        Ok(_) => Ok(false),
        Err(Errno::EBUSY) => Ok(true),
        Err(e) => {
            // It stays if there is something in it.
            let _gone = unlink(&path, AT_REMOVEDIR);
            Err(e)
        }
    }
}

/// Mounts a file system that needs no device.
///
/// # Safety
/// `kind` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_mount_fs(kind: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    status(unsafe { text::utf8(kind) }.and_then(mount_fs).map(i32::from))
}

/// The whole content of a small file.
fn read(path: *const c_char) -> Result<String> {
    let fd = call(nr::OPENAT, [HERE, path as u64, 0, 0, 0, 0])?;
    let mut buf = [0u8; 64];
    let n = call(nr::READ, [fd, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0]);
    let _closed = call(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
    let bytes = buf.get(..n? as usize).unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The device number in a file of sysfs.
///
/// # Safety
/// `path` is a C string or null, `dev` null or a number to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_encode_dev_from_sysfs(path: *const c_char, dev: *mut u32) -> c_int {
    let number = || {
        instance::current()?;
        // SAFETY: as the caller promises.
        unsafe { text::bytes(path) }?;
        let text = read(path)?;
        let (major, minor) = text.trim().split_once(':').ok_or(Errno::EINVAL)?;
        let number = |t: &str| t.parse().map_err(|_| Errno::EINVAL);
        Ok((number(major)?, number(minor)?))
    };
    // SAFETY: as the caller promises.
    unsafe { give(number().map(|dev| lkl_abi::stat::to_dev_t(dev) as u32), dev) }
}

unsafe fn give(result: Result<u32>, to: *mut u32) -> c_int {
    // SAFETY: the caller gives null or a number to write.
    status(result.and_then(|value| match unsafe { to.as_mut() } {
        Some(to) => {
            *to = value;
            Ok(0)
        }
        None => Err(Errno::EINVAL),
    }))
}

/// The device of a disk's partition: its number, and its name in `/dev`.
fn device_of(id: c_uint, part: c_uint) -> Result<(u32, String)> {
    let name = disk::name(id)?;
    let path = if part == 0 { format!("/dev/{name}") } else { format!("/dev/{name}{part}") };
    let rdev = stat_number(&path, RDEV).map_err(|e| match e {
        // There is no such partition.
        Errno::ENOENT => Errno::ENODEV,
        e => e,
    })?;
    Ok((u32::try_from(rdev).map_err(|_| Errno::ENODEV)?, path))
}

/// The device number of a disk's partition.
///
/// # Safety
/// `dev` is null or a number to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_get_virtio_blkdev(id: c_int, part: c_uint, dev: *mut u32) -> c_int {
    let number = u32::try_from(id).map_err(|_| Errno::ENODEV).and_then(|id| device_of(id, part)).map(|d| d.0);
    // SAFETY: as the caller promises.
    unsafe { give(number, dev) }
}

/// Mounts a block device at a directory of its own, whose path is the answer. It is known by its number, and by a path if it has one.
unsafe fn mount(
    (dev, path): (u32, Option<String>),
    kind: *const c_char,
    flags: c_int,
    options: *const c_char,
    room: usize,
) -> Result<String> {
    // SAFETY: the caller gives a C string or null.
    unsafe { text::bytes(kind) }?;
    let at = format!("/mnt/{dev:08x}");
    if at.len() >= room {
        return Err(Errno::ENOMEM);
    }
    mkdir("/mnt", 0o700)?;
    mkdir(&at, 0o700)?;
    let (own_node, node) = match path {
        Some(path) => (false, path),
        None => (true, format!("/mnt/.{dev:08x}")),
    };
    let (from, to) = (c(&node)?, c(&at)?);
    let (from, to) = (from.as_ptr() as u64, to.as_ptr() as u64);
    let made =
        if own_node { call(nr::MKNODAT, [HERE, from, u64::from(S_IFBLK | 0o600), dev.into(), 0, 0]) } else { Ok(0) };
    let mounted = match made {
        Ok(_) | Err(Errno::EEXIST) => call(nr::MOUNT, [from, to, kind as u64, flags as u32 as u64, options as u64, 0]),
        Err(e) => Err(e),
    };
    if own_node {
        let _gone = unlink(&node, 0);
    }
    match mounted {
        Ok(_) => Ok(at),
        Err(e) => {
            // It stays if something is mounted there.
            let _gone = unlink(&at, AT_REMOVEDIR);
            Err(e)
        }
    }
}

unsafe fn mount_into(
    dev: Result<(u32, Option<String>)>,
    kind: *const c_char,
    flags: c_int,
    options: *const c_char,
    path: *mut c_char,
    room: c_uint,
) -> c_long {
    let mounted = dev.and_then(|dev| {
        if path.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: as the caller promises.
        let at = unsafe { mount(dev, kind, flags, options, room as usize) }?;
        // SAFETY: there is room for it and its end, as was checked.
        unsafe {
            core::ptr::copy_nonoverlapping(at.as_ptr(), path.cast(), at.len());
            path.add(at.len()).write(0);
        }
        Ok(0)
    });
    status(mounted).into()
}

/// Mounts a disk's partition.
///
/// # Safety
/// `kind` and `options` are C strings or null; `path` is null or has `room` bytes to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_mount_dev(
    id: c_uint,
    part: c_uint,
    kind: *const c_char,
    flags: c_int,
    options: *const c_char,
    path: *mut c_char,
    room: c_uint,
) -> c_long {
    // SAFETY: as the caller promises.
    unsafe { mount_into(device_of(id, part).map(|(dev, path)| (dev, Some(path))), kind, flags, options, path, room) }
}

/// Mounts a block device.
///
/// # Safety
/// As [`lkl_mount_dev`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_mount_blkdev(
    dev: c_uint,
    kind: *const c_char,
    flags: c_int,
    options: *const c_char,
    path: *mut c_char,
    room: c_uint,
) -> c_long {
    // SAFETY: as the caller promises.
    unsafe { mount_into(instance::current().map(|_| (dev, None)), kind, flags, options, path, room) }
}

/// Unmounts; what is busy is tried again.
fn umount(path: &str, flags: c_int, timeout_ms: c_long) -> Result<()> {
    let at = c(path)?;
    let end = std::time::Instant::now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    loop {
        match call(nr::UMOUNT2, [at.as_ptr() as u64, flags as u32 as u64, 0, 0, 0, 0]) {
            Err(Errno::EBUSY) if std::time::Instant::now() < end => std::thread::sleep(STEP),
            result => return result.map(drop),
        }
    }
}

/// Unmounts.
///
/// # Safety
/// `path` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_umount_timeout(path: *const c_char, flags: c_int, timeout_ms: c_long) -> c_long {
    // SAFETY: as the caller promises.
    let path = unsafe { text::utf8(path) };
    status(path.and_then(|path| umount(path, flags, timeout_ms)).map(|()| 0)).into()
}

fn umount_device(dev: u32, flags: c_int, timeout_ms: c_long) -> Result<()> {
    let at = format!("/mnt/{dev:08x}");
    umount(&at, flags, timeout_ms)?;
    unlink(&at, AT_REMOVEDIR)
}

/// Unmounts a block device.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_umount_blkdev(dev: c_uint, flags: c_int, timeout_ms: c_long) -> c_long {
    status(umount_device(dev, flags, timeout_ms).map(|()| 0)).into()
}

/// Unmounts a disk's partition.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_umount_dev(id: c_uint, part: c_uint, flags: c_int, timeout_ms: c_long) -> c_long {
    let result = device_of(id, part).and_then(|(dev, _)| umount_device(dev, flags, timeout_ms));
    status(result.map(|()| 0)).into()
}
