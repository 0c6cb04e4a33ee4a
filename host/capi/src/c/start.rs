//! How kernels begin and end.

use super::instance::{self, directory, Instance, Ops};
use super::types::HostOperations;
use super::{disk, log, netdev, status, text};
use core::ffi::{c_char, c_int, c_long, c_void};
use lkl_abi::Errno;
use lkl_host::cmdline::{self, Options};
use lkl_kernel::BootOptions;
use std::sync::Arc;

/// Memory of a kernel in bytes, if nobody says otherwise: what LKL has.
const MEMORY: u64 = 64 << 20;

/// Says what the host is.
///
/// # Safety
/// `ops` is null, or operations that stay until [`lkl_cleanup`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_init(ops: *const HostOperations) -> c_int {
    let mut directory = directory();
    if directory.main.is_some() || directory.starting {
        return -Errno::EBUSY.0;
    }
    directory.ops = Some(Ops::new(ops));
    0
}

/// Forgets it.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_cleanup() {
    let mut directory = directory();
    if directory.main.is_none() && !directory.starting {
        directory.ops = None;
    }
}

/// The older form, with its arguments as a `va_list`.
///
/// # Safety
/// As [`lkl_init`]; `format` is a C string or null, and `args` has what it asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_vstart_kernel_ops(
    ops: *const HostOperations,
    format: *const c_char,
    args: *mut c_void,
) -> c_int {
    // SAFETY: as the caller promises.
    let line = unsafe { text::format(format, args) };
    status(line.and_then(|line| start_main(Some(Ops::new(ops)), &line)).map(|()| 0))
}

/// The newer form, with its arguments as a `va_list`.
///
/// # Safety
/// `format` is a C string or null, and `args` has what it asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_vstart_kernel(format: *const c_char, args: *mut c_void) -> c_int {
    // SAFETY: as the caller promises.
    let line = unsafe { text::format(format, args) };
    status(line.and_then(|line| start_main(None, &line)).map(|()| 0))
}

fn start_main(ops: Option<Ops>, line: &[u8]) -> Result<(), Errno> {
    let options = options(line)?;
    let ops = {
        let mut directory = directory();
        if directory.main.is_some() || directory.starting {
            return Err(Errno::EBUSY);
        }
        if ops.is_some() {
            directory.ops = ops;
        }
        directory.starting = true;
        directory.ops.unwrap_or_else(|| Ops::new(core::ptr::null()))
    };
    let started = boot(ops, &options, true);
    let result = started.map(|instance| drop(instance::set_main(Some(instance))));
    directory().starting = false;
    result
}

fn options(line: &[u8]) -> Result<Options, Errno> {
    cmdline::parse(core::str::from_utf8(line).map_err(|_| Errno::EINVAL)?).map_err(|problem| {
        log::say_line(&format!("lkl: command line: {problem}"));
        Errno::EINVAL
    })
}

/// Boots a kernel as its command line says; `pending`: with the devices that were added before.
fn boot(ops: Ops, options: &Options, pending: bool) -> Result<Arc<Instance>, Errno> {
    log::start(ops, options.loglevel);
    let mut boot = BootOptions::default();
    boot.memory = options.memory.unwrap_or(MEMORY);
    let boot_memory = boot.memory;
    let instance = Instance::boot(ops, boot)?;
    tracing::info!("liblkl {}: {} KiB for caches", env!("CARGO_PKG_VERSION"), boot_memory >> 10);
    let result = set_up(&instance, options, pending);
    if let Err(e) = result {
        let _ended = halt(&instance);
        return Err(e);
    }
    Ok(instance)
}

fn set_up(instance: &Arc<Instance>, options: &Options, pending: bool) -> Result<(), Errno> {
    if pending {
        disk::attach_pending(instance)?;
        netdev::attach_pending(instance)?;
    }
    let net = instance.kernel.net();
    for (name, value) in &options.sysctls {
        if let Err(e) = super::net::set_sysctl(net, name, value) {
            tracing::warn!("sysctl {name}={value}: {e}");
        }
    }
    if let Some(ip) = &options.ip {
        super::net::configure_ip(instance, ip);
    }
    Ok(())
}

/// Ends a kernel, and takes its devices away.
fn halt(instance: &Arc<Instance>) -> Result<(), Errno> {
    let mut result = instance.halt();
    if result != Err(Errno::EBUSY) {
        netdev::detach_all(instance);
        result = result.and(disk::detach_all(instance));
        tracing::info!("halted");
    }
    instance::leave(instance);
    log::end(instance.ops);
    result
}

/// Ends the kernel that the thread means.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_sys_halt() -> c_long {
    let result = instance::current().and_then(|current| {
        // New calls find none from now on.
        let main = directory().main.clone();
        if main.is_some_and(|main| Arc::ptr_eq(&main, &current)) {
            drop(instance::set_main(None));
        }
        halt(&current).map_err(|e| if e == Errno::EBUSY { Errno::ENODEV } else { e })
    });
    c_long::from(status(result.map(|()| 0)))
}

/// Does the kernel of [`lkl_vstart_kernel`] run?
#[unsafe(no_mangle)]
pub extern "C" fn lkl_is_running() -> c_int {
    c_int::from(directory().main.is_some())
}

/// Starts one more kernel. Its handle is an address that means nothing else.
///
/// # Safety
/// As [`lkl_init`]; `line` is a C string or null, `err` null or an `int` to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_kernel_new(
    ops: *const HostOperations,
    line: *const c_char,
    err: *mut c_int,
) -> *mut c_void {
    let line = if line.is_null() { c"".as_ptr() } else { line };
    // SAFETY: as the caller promises.
    let line = unsafe { text::bytes(line) };
    let booted = line.and_then(options).and_then(|options| boot(Ops::new(ops), &options, false));
    let (handle, errno) = match booted {
        Ok(instance) => {
            let handle = Arc::as_ptr(&instance) as usize;
            directory().others.insert(handle, instance);
            (handle as *mut c_void, 0)
        }
        Err(e) => (core::ptr::null_mut(), -e.0),
    };
    if !err.is_null() {
        // SAFETY: as the caller promises.
        unsafe { err.write(errno) };
    }
    handle
}

fn of_handle(handle: *mut c_void) -> Result<Arc<Instance>, Errno> {
    directory().others.get(&(handle as usize)).cloned().ok_or(Errno::EINVAL)
}

/// Has the thread's calls go to another kernel.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_kernel_enter(handle: *mut c_void) -> c_int {
    if handle.is_null() {
        instance::enter(None);
        return 0;
    }
    status(of_handle(handle).map(|instance| {
        instance::enter(Some(instance));
        0
    }))
}

/// Makes a call to the kernel of a handle.
///
/// # Safety
/// As [`super::call::lkl_syscall`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_kernel_syscall(handle: *mut c_void, number: c_long, params: *const c_long) -> c_long {
    let Ok(number) = usize::try_from(number) else { return -c_long::from(Errno::ENOSYS.0) };
    // SAFETY: as the caller promises.
    let args = unsafe { super::call::arguments(params) };
    super::answer(of_handle(handle).and_then(|instance| instance::syscall_of(&instance, number, args)))
}

/// Halts the kernel of a handle, and forgets it.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_kernel_free(handle: *mut c_void) -> c_long {
    let instance = directory().others.remove(&(handle as usize));
    let result = match instance {
        None => Err(Errno::EINVAL),
        // It may be halted already, by `lkl_sys_halt`.
        Some(instance) => match halt(&instance) {
            Err(Errno::EBUSY) => Ok(()),
            result => result,
        },
    };
    c_long::from(status(result.map(|()| 0)))
}
