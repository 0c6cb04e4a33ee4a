//! Configuration of the network: what LKL's own helpers do by netlink and ioctls, done at the kernel's `Net`, which is what those end at too.

pub(super) mod entries;

use super::instance::{self, Instance};
use super::{log, netdev, status, text};
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::time::Duration;
use lkl_abi::rtnetlink::{IFA_F_DADFAILED, IFA_F_TENTATIVE};
use lkl_abi::socket::{AF_INET, AF_INET6};
use lkl_abi::Errno;
use lkl_host::cmdline::Ip;
use lkl_host::ip::Calls;
use lkl_host::setup::{self, add_default, add_own_gateway, add_rule, own_table};
use lkl_inet::Net;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// How often an address that is being looked for is looked at.
const DAD_STEP: Duration = Duration::from_millis(10);
/// Linux's default takes two seconds at most; more is a setting.
const DAD_MAX: Duration = Duration::from_secs(60);

/// Does something with the network of the kernel that the thread means.
fn with(f: impl FnOnce(&Net) -> Result<(), Errno>) -> c_int {
    status(instance::current().and_then(|instance| f(instance.kernel.net())).map(|()| 0))
}

fn index(ifindex: c_int) -> Result<u32, Errno> {
    u32::try_from(ifindex).map_err(|_| Errno::ENODEV)
}

fn v4(addr: c_uint) -> IpAddr {
    // In network byte order: its bytes are the address's.
    IpAddr::V4(Ipv4Addr::from(addr.to_ne_bytes()))
}

/// An address of `af` at `addr`.
unsafe fn ip(af: c_int, addr: *const c_void) -> Result<IpAddr, Errno> {
    if addr.is_null() {
        return Err(Errno::EINVAL);
    }
    match u16::try_from(af) {
        // SAFETY: the caller gives an address of that family.
        Ok(AF_INET) => Ok(IpAddr::V4(Ipv4Addr::from(unsafe { addr.cast::<[u8; 4]>().read_unaligned() }))),
        // SAFETY: as above.
        Ok(AF_INET6) => Ok(IpAddr::V6(Ipv6Addr::from(unsafe { addr.cast::<[u8; 16]>().read_unaligned() }))),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

fn prefix(len: c_uint) -> Result<u8, Errno> {
    u8::try_from(len).map_err(|_| Errno::EINVAL)
}

/// Adds an address.
pub(super) fn add_address(net: &Net, ifindex: u32, ip: IpAddr, len: u8) -> Result<(), Errno> {
    setup::add_address(net, ifindex, ip, len, 0)
}

/// Waits until an address may be used.
pub(super) fn wait_unique(net: &Net, ifindex: u32, ip: IpAddr) -> Result<(), Errno> {
    let start = std::time::Instant::now();
    loop {
        let flags = net.addr_find(ifindex, ip).ok_or(Errno::EADDRNOTAVAIL)?.flags;
        if flags & IFA_F_DADFAILED != 0 {
            return Err(Errno::EADDRINUSE);
        }
        if flags & IFA_F_TENTATIVE == 0 {
            return Ok(());
        }
        if start.elapsed() > DAD_MAX {
            return Err(Errno::ETIMEDOUT);
        }
        std::thread::sleep(DAD_STEP);
    }
}

/// Sets what stands below `/proc/sys`, by its path or its name with dots.
pub(crate) fn set_sysctl(net: &Net, name: &str, value: &str) -> Result<(), Errno> {
    let path = lkl_host::boot::sysctl_path(name.trim_start_matches('/'));
    net.sysctl_set(path.strip_prefix("proc/sys/").unwrap_or(&path), value)
}

/// What `ip=` asks for. What fails is printed: the kernel runs without.
pub(crate) fn configure_ip(instance: &Arc<Instance>, ip: &Ip) {
    let call = |number, args| instance::syscall_of(instance, number, args);
    let calls = Calls { net: instance.kernel.net(), call: &call };
    match calls.configure(ip, netdev::first(instance)) {
        Ok(()) => {}
        Err(Errno::ENODEV) => tracing::error!("ip=: there is no such network device"),
        Err(e) => tracing::error!("ip=: {e}"),
    }
}

/// Takes an interface up.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_if_up(ifindex: c_int) -> c_int {
    with(|net| net.link_set_up(index(ifindex)?, true))
}

/// Takes an interface down.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_if_down(ifindex: c_int) -> c_int {
    with(|net| net.link_set_up(index(ifindex)?, false))
}

/// Sets an interface's MTU.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_if_set_mtu(ifindex: c_int, mtu: c_int) -> c_int {
    with(|net| net.link_set_mtu(index(ifindex)?, u32::try_from(mtu).map_err(|_| Errno::EINVAL)?))
}

/// Adds an IPv4 address.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_if_set_ipv4(ifindex: c_int, addr: c_uint, len: c_uint) -> c_int {
    with(|net| add_address(net, index(ifindex)?, v4(addr), prefix(len)?))
}

/// Adds an IPv4 default route.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_set_ipv4_gateway(gateway: c_uint) -> c_int {
    with(|net| add_default(net, v4(gateway), None, None))
}

/// Adds an IPv4 default route for what is sent from `addr`.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_if_set_ipv4_gateway(ifindex: c_int, addr: c_uint, len: c_uint, gateway: c_uint) -> c_int {
    with(|net| add_own_gateway(net, index(ifindex)?, v4(addr), prefix(len)?, v4(gateway)))
}

/// Adds an IPv6 address, and waits until it may be used.
///
/// # Safety
/// `addr` is null or 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_set_ipv6(ifindex: c_int, addr: *const c_void, len: c_uint) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(AF_INET6.into(), addr) };
    with(|net| {
        add_address(net, index(ifindex)?, ip?, prefix(len)?)?;
        wait_unique(net, index(ifindex)?, ip?)
    })
}

/// Adds an IPv6 default route.
///
/// # Safety
/// `gateway` is null or 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_set_ipv6_gateway(gateway: *const c_void) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(AF_INET6.into(), gateway) };
    with(|net| add_default(net, ip?, None, None))
}

/// Adds an IPv6 default route for what is sent from `addr`.
///
/// # Safety
/// Both addresses are null or 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_set_ipv6_gateway(
    ifindex: c_int,
    addr: *const c_void,
    len: c_uint,
    gateway: *const c_void,
) -> c_int {
    // SAFETY: as the caller promises.
    let (addr, gateway) = unsafe { (ip(AF_INET6.into(), addr), ip(AF_INET6.into(), gateway)) };
    with(|net| add_own_gateway(net, index(ifindex)?, addr?, prefix(len)?, gateway?))
}

/// The index of an interface.
///
/// # Safety
/// `name` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_ifname_to_ifindex(name: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    let name = unsafe { text::utf8(name) };
    status(instance::current().and_then(|instance| {
        let link = instance.kernel.net().link_by_name(name?)?;
        Ok(i64::from(link.index))
    }))
}

/// Adds an address of either family.
///
/// # Safety
/// `addr` is null or an address of the family `af`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_add_ip(ifindex: c_int, af: c_int, addr: *const c_void, len: c_uint) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(af, addr) };
    with(|net| add_address(net, index(ifindex)?, ip?, prefix(len)?))
}

/// Takes an address away.
///
/// # Safety
/// As [`lkl_if_add_ip`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_del_ip(ifindex: c_int, af: c_int, addr: *const c_void, len: c_uint) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(af, addr) };
    with(|net| net.addr_del(index(ifindex)?, ip?, Some(prefix(len)?)))
}

/// Adds a default route of either family.
///
/// # Safety
/// `gateway` is null or an address of the family `af`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_add_gateway(af: c_int, gateway: *const c_void) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(af, gateway) };
    with(|net| add_default(net, ip?, None, None))
}

/// Has what is sent from an address look into the interface's own table.
///
/// # Safety
/// `addr` is null or an address of the family `af`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_add_rule_from_saddr(ifindex: c_int, af: c_int, addr: *const c_void) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(af, addr) };
    with(|net| add_rule(net, index(ifindex)?, ip?))
}

/// Adds a default route to the interface's own table.
///
/// # Safety
/// `gateway` is null or an address of the family `af`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_add_gateway(ifindex: c_int, af: c_int, gateway: *const c_void) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(af, gateway) };
    with(|net| {
        let (ip, index) = (ip?, index(ifindex)?);
        add_default(net, ip, Some(index), Some(own_table(index, ip.is_ipv6())))
    })
}

/// Adds the network of an address to the interface's own table.
///
/// # Safety
/// `addr` is null or an address of the family `af`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_add_linklocal(ifindex: c_int, af: c_int, addr: *const c_void, len: c_int) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(af, addr) };
    with(|net| {
        let len = u8::try_from(len).map_err(|_| Errno::EINVAL)?;
        setup::add_own_network(net, index(ifindex)?, ip?, len)
    })
}

/// Waits until an IPv6 address may be used.
///
/// # Safety
/// `addr` is null or 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_if_wait_ipv6_dad(ifindex: c_int, addr: *const c_void) -> c_int {
    // SAFETY: as the caller promises.
    let ip = unsafe { ip(AF_INET6.into(), addr) };
    with(|net| wait_unique(net, index(ifindex)?, ip?))
}

/// Sets what stands below `/proc/sys`.
///
/// # Safety
/// Both are C strings or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_sysctl(path: *const c_char, value: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    let (path, value) = unsafe { (text::utf8(path), text::utf8(value)) };
    with(|net| set_sysctl(net, path?, value?))
}

/// Sets many, separated by `;`. What fails is printed.
///
/// # Safety
/// `settings` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_sysctl_parse_write(settings: *const c_char) {
    // SAFETY: as the caller promises.
    let settings = match unsafe { text::utf8(settings) } {
        Ok(settings) => settings,
        Err(e) => return log::say_line(&format!("sysctl: {e}")),
    };
    for setting in settings.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        let result = match setting.split_once('=') {
            None => Err(Errno::EINVAL),
            Some((name, value)) => {
                instance::current().and_then(|instance| set_sysctl(instance.kernel.net(), name.trim(), value.trim()))
            }
        };
        if let Err(e) = result {
            log::say_line(&format!("sysctl {setting}: {e}"));
        }
    }
}

/// How many descriptors the kernel's process may have.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_set_fd_limit(limit: c_uint) -> c_int {
    status(instance::current().map(|instance| {
        instance.process().set_file_limit([limit.into(); 2]);
        0
    }))
}
