//! `lkl_config.h`: configuration by JSON or by environment variables, with LKL's names. Every value is kept as it was written, in memory of
//! `malloc`: programs read it, and set values of their own.
//!
//! [`fields`] has the names. [`apply`] does what they ask for.

mod apply;
mod fields;

use super::netdev::lkl_netdev_free;
use super::types::NetDevice;
use super::{log, status, text};
use core::ffi::{c_char, c_int, CStr};
use core::ptr::null_mut;
use fields::{Field, INTERFACE, TOP};
use lkl_abi::Errno;
use lkl_host::config::json;

/// `struct lkl_config_iface`
#[repr(C)]
pub struct Interface {
    next: *mut Self,
    nd: *mut NetDevice,
    values: [*mut c_char; 14],
}

/// `struct lkl_config`
#[repr(C)]
pub struct Config {
    ifnum: c_int,
    ifaces: *mut Interface,
    values: [*mut c_char; 9],
}

/// A copy in memory that C may free.
fn copy(text: &str) -> Result<*mut c_char, Errno> {
    let bytes = text.as_bytes();
    if bytes.contains(&0) {
        return Err(Errno::EINVAL);
    }
    // SAFETY: any size may be asked for.
    let to = unsafe { libc::malloc(bytes.len() + 1) }.cast::<u8>();
    if to.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: it has room for the text and its end.
    unsafe {
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        to.add(bytes.len()).write(0);
    }
    Ok(to.cast())
}

/// Sets a value; what was there is freed.
fn set(values: &mut [*mut c_char], field: &Field, text: &str) -> Result<(), Errno> {
    let Some(value) = values.get_mut(field.index) else { return Ok(()) };
    let new = copy(text)?;
    // SAFETY: null, or of `malloc` as all values are.
    unsafe { libc::free(value.cast()) };
    *value = new;
    Ok(())
}

/// A value, if it is set.
fn get(values: &[*mut c_char], index: usize) -> Option<&str> {
    let value = values.get(index).copied().filter(|v| !v.is_null())?;
    // SAFETY: a C string, as all values are.
    unsafe { CStr::from_ptr(value) }.to_str().ok()
}

impl Config {
    /// The interfaces, in order.
    fn interfaces(&mut self) -> Vec<&mut Interface> {
        let mut all = Vec::new();
        let mut at = self.ifaces;
        // SAFETY: a list that ends with null, each of which is ours while the configuration is borrowed.
        while let Some(iface) = unsafe { at.as_mut() } {
            at = iface.next;
            all.push(iface);
        }
        all
    }

    fn add_interface(&mut self) -> Result<&mut Interface, Errno> {
        // SAFETY: any size may be asked for.
        let new = unsafe { libc::calloc(1, size_of::<Interface>()) }.cast::<Interface>();
        if new.is_null() {
            return Err(Errno::ENOMEM);
        }
        let last = self.interfaces().pop().map(|last| &raw mut last.next);
        match last {
            // SAFETY: it is a member of the list.
            Some(last) => unsafe { *last = new },
            None => self.ifaces = new,
        }
        self.ifnum += 1;
        // SAFETY: zeros are a value of it.
        Ok(unsafe { &mut *new })
    }

    fn free_interfaces(&mut self) {
        for iface in self.interfaces() {
            for value in iface.values {
                // SAFETY: null, or of `malloc`.
                unsafe { libc::free(value.cast()) };
            }
            // SAFETY: of `calloc`; nobody looks at it again.
            unsafe { libc::free(core::ptr::from_mut(iface).cast()) };
        }
        (self.ifaces, self.ifnum) = (null_mut(), 0);
    }
}

/// Reads JSON.
///
/// # Safety
/// `config` is null or a configuration; `text` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_load_config_json(config: *mut Config, text: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    let (config, text) = unsafe { (config.as_mut(), text::utf8(text)) };
    status(config.ok_or(Errno::EINVAL).and_then(|config| load_json(config, text?)).map(|()| 0))
}

fn load_json(config: &mut Config, text: &str) -> Result<(), Errno> {
    let wrong = |problem: String| {
        log::say_line(&format!("lkl: {problem}"));
        Errno::EINVAL
    };
    let members = json::parse(text).map_err(wrong)?;
    let checked = |table: &'static [Field], key: &str, value: &json::Value| match fields::by_key(table, key) {
        None => Err(wrong(format!("unexpected key in json {key}"))),
        Some(_) if value.text().is_none() => Err(wrong(format!("{key}: expected a string"))),
        Some(_) => Ok(()),
    };
    // All of it is looked at before any of it is taken.
    for (key, value) in &members {
        match value {
            json::Value::Objects(all) if key == "interfaces" => {
                all.iter().flatten().try_for_each(|(key, value)| checked(INTERFACE, key, value))?;
            }
            value => checked(TOP, key, value)?,
        }
    }
    for (key, value) in &members {
        if let json::Value::Objects(all) = value {
            config.free_interfaces();
            for object in all {
                let iface = config.add_interface()?;
                take(&mut iface.values, INTERFACE, object)?;
            }
        } else {
            take(&mut config.values, TOP, [(key, value)])?;
        }
    }
    Ok(())
}

/// Sets what was checked.
fn take<'a>(
    values: &mut [*mut c_char],
    table: &'static [Field],
    members: impl IntoIterator<Item = (&'a String, &'a json::Value)>,
) -> Result<(), Errno> {
    for (key, value) in members {
        let (Some(field), Some(text)) = (fields::by_key(table, key), value.text()) else { return Err(Errno::EINVAL) };
        set(values, field, text)?;
    }
    Ok(())
}

/// Reads the variables of the environment.
///
/// # Safety
/// `config` is null or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_load_config_env(config: *mut Config) -> c_int {
    // SAFETY: as the caller promises.
    let config = unsafe { config.as_mut() };
    status(config.ok_or(Errno::EINVAL).and_then(load_env).map(|()| 0))
}

fn load_env(config: &mut Config) -> Result<(), Errno> {
    let value = |f: &Field| std::env::var(format!("LKL_HIJACK_{}", f.variable?)).ok();
    for field in TOP {
        if let Some(text) = value(field) {
            set(&mut config.values, field, &text)?;
        }
    }
    let given: Vec<(&Field, String)> = INTERFACE.iter().filter_map(|f| Some((f, value(f)?))).collect();
    if given.is_empty() {
        return Ok(());
    }
    if config.ifaces.is_null() {
        config.add_interface()?;
    }
    let Some(iface) = config.interfaces().into_iter().next() else { return Ok(()) };
    for (field, text) in given {
        set(&mut iface.values, field, &text)?;
    }
    Ok(())
}

/// Prints it.
///
/// # Safety
/// `config` is null or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_show_config(config: *mut Config) {
    // SAFETY: as the caller promises.
    let Some(config) = (unsafe { config.as_mut() }) else { return };
    let show = |before: &str, table: &[Field], values: &[*mut c_char]| {
        for field in table {
            if let Some(value) = get(values, field.index) {
                log::say_line(&format!("{before}{}: {value}", field.key));
            }
        }
    };
    show("", TOP, &config.values);
    for (n, iface) in config.interfaces().into_iter().enumerate() {
        log::say_line(&format!("interface {n}"));
        show("  ", INTERFACE, &iface.values);
    }
}

/// Makes the devices, before the kernel starts.
///
/// # Safety
/// `config` is null or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_load_config_pre(config: *mut Config) -> c_int {
    // SAFETY: as the caller promises.
    let config = unsafe { config.as_mut() };
    status(config.map_or(Ok(()), apply::before).map(|()| 0))
}

/// Configures the kernel that runs.
///
/// # Safety
/// `config` is null or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_load_config_post(config: *mut Config) -> c_int {
    // SAFETY: as the caller promises.
    let config = unsafe { config.as_mut() };
    status(config.map_or(Ok(()), apply::after).map(|()| 0))
}

/// Takes the devices away, and frees what the configuration has.
///
/// # Safety
/// `config` is null or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_unload_config(config: *mut Config) -> c_int {
    // SAFETY: as the caller promises.
    let Some(config) = (unsafe { config.as_mut() }) else { return 0 };
    apply::dump(config);
    for iface in config.interfaces() {
        if !iface.nd.is_null() {
            // SAFETY: it was made by `before`.
            let id = unsafe { (*iface.nd).id };
            super::netdev::remove(id);
            // SAFETY: as above; it is in no kernel any more.
            unsafe { lkl_netdev_free(iface.nd) };
            iface.nd = null_mut();
        }
    }
    config.free_interfaces();
    for value in &mut config.values {
        // SAFETY: null, or of `malloc`.
        unsafe { libc::free(value.cast()) };
        *value = null_mut();
    }
    0
}
