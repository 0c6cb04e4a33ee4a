//! Neighbours and queueing disciplines.

use super::super::{instance, log, text};
use super::{index, ip, with};
use core::ffi::{c_char, c_int, c_void};
use lkl_abi::Errno;
use lkl_host::setup::{add_neighbour, QDISCS};
use lkl_inet::Net;

/// A queueing discipline.
pub(in super::super) fn add_qdisc(net: &Net, ifindex: u32, root: &str, kind: &str) -> Result<(), Errno> {
    net.link_by_index(ifindex)?;
    match (root, QDISCS.contains(&kind)) {
        ("root", true) => Ok(()),
        // As Linux answers for a kind that it does not know.
        ("root", false) => Err(Errno::ENOENT),
        _ => Err(Errno::EINVAL),
    }
}

/// Several: `root|fq;root|...`
pub(in super::super) fn add_qdiscs(net: &Net, ifindex: u32, entries: &str) -> Result<(), Errno> {
    for entry in entries.split(';').map(str::trim).filter(|e| !e.is_empty()) {
        let (root, kind) = entry.split_once('|').ok_or(Errno::EINVAL)?;
        add_qdisc(net, ifindex, root, kind)?;
    }
    Ok(())
}

/// Adds a permanent neighbour.
///
/// # Safety
/// `addr` is null or an address of the family `af`; `mac` is null or six bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_add_neighbor(ifindex: c_int, af: c_int, addr: *const c_void, mac: *const c_void) -> c_int {
    // SAFETY: as the caller promises.
    let (ip, mac) = unsafe { (ip(af, addr), mac.cast::<[u8; 6]>().as_ref().copied()) };
    with(|net| add_neighbour(net, index(ifindex)?, ip?, mac.ok_or(Errno::EINVAL)?))
}

/// Adds a queueing discipline.
///
/// # Safety
/// Both are C strings or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_qdisc_add(ifindex: c_int, root: *const c_char, kind: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    let (root, kind) = unsafe { (text::utf8(root), text::utf8(kind)) };
    with(|net| add_qdisc(net, index(ifindex)?, root?, kind?))
}

/// Adds several. What fails is printed, and ends it.
///
/// # Safety
/// `entries` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_qdisc_parse_add(ifindex: c_int, entries: *const c_char) {
    // SAFETY: as the caller promises.
    let entries = unsafe { text::utf8(entries) };
    let result = instance::current().and_then(|instance| add_qdiscs(instance.kernel.net(), index(ifindex)?, entries?));
    if let Err(e) = result {
        log::say_line(&format!("qdisc: {e}"));
    }
}
