//! What addresses, routes and neighbours are made of, for whoever configures a kernel: the configuration, and the C API.

use lkl_abi::rtnetlink::NUD_PERMANENT;
use lkl_abi::{Errno, Result};
use lkl_inet::{AddMode, IfAddr, Net, Prefix, RouteEntry, Rule};
use std::net::{IpAddr, Ipv4Addr};

/// Queueing disciplines that make no difference here: connections pace themselves, and nothing waits in a queue.
pub const QDISCS: &[&str] = &["pfifo_fast", "noqueue", "fq", "fq_codel", "pfifo", "bfifo"];

/// What is made must not be there yet.
const CREATE: AddMode = AddMode { create: true, exclusive: true, replace: false, append: false };

/// Adds an address with these `IFA_F_*`, and with the broadcast address that its network has: one of two addresses, or of one, has none.
///
/// # Errors
/// As [`Net::addr_add`].
pub fn add_address(net: &Net, ifindex: u32, ip: IpAddr, len: u8, flags: u32) -> Result<()> {
    let mut addr = IfAddr::new(ifindex, ip, len);
    if let (IpAddr::V4(ip), 1..=30) = (ip, len) {
        addr.broadcast = Some(Ipv4Addr::from(u32::from(ip) | u32::MAX >> len));
    }
    addr.flags |= flags;
    net.addr_add(addr, false)
}

/// Adds a default route to the main table, or to `table`. Without an interface it is that by whose network the gateway is reached.
///
/// # Errors
/// `ENETUNREACH`: none has it. As [`Net::route_add`].
pub fn add_default(net: &Net, gateway: IpAddr, ifindex: Option<u32>, table: Option<u32>) -> Result<()> {
    let mut route = default_route(net, gateway, ifindex)?;
    if let Some(table) = table {
        route.table = table;
    }
    net.route_add(route, CREATE)
}

/// The same in the main table, in the place of the one that is there.
///
/// # Errors
/// As [`add_default`].
pub fn set_default(net: &Net, gateway: IpAddr, ifindex: Option<u32>) -> Result<()> {
    net.route_add(default_route(net, gateway, ifindex)?, AddMode { create: true, replace: true, ..AddMode::default() })
}

fn default_route(net: &Net, gateway: IpAddr, ifindex: Option<u32>) -> Result<RouteEntry> {
    let ifindex = match ifindex {
        Some(ifindex) => ifindex,
        None => interface_of(net, gateway)?,
    };
    Ok(RouteEntry::new(Prefix::default_of(gateway), ifindex, Some(gateway)))
}

/// The interface by whose network an address is reached.
fn interface_of(net: &Net, ip: IpAddr) -> Result<u32> {
    let by = |a: &IfAddr| Prefix::network(a.ip, a.prefix_len).is_some_and(|p| p.contains(ip));
    net.addrs().iter().find(|a| by(a)).map(|a| a.ifindex).ok_or(Errno::ENETUNREACH)
}

/// The table of what is sent from the addresses of an interface, as LKL numbers them.
pub fn own_table(ifindex: u32, v6: bool) -> u32 {
    ifindex * 2 + u32::from(v6)
}

/// Has what is sent from an address look into the interface's own table.
///
/// # Errors
/// As [`Net::rule_add`].
pub fn add_rule(net: &Net, ifindex: u32, from: IpAddr) -> Result<()> {
    let mut rule = Rule::all(from.is_ipv6(), 0, own_table(ifindex, from.is_ipv6()));
    rule.src = Some(Prefix::host(from));
    net.rule_add(rule, None, false)
}

/// Adds the network of an address to the interface's own table.
///
/// # Errors
/// `EINVAL`; as [`Net::route_add`].
pub fn add_own_network(net: &Net, ifindex: u32, ip: IpAddr, len: u8) -> Result<()> {
    let network = Prefix::network(ip, len).ok_or(Errno::EINVAL)?;
    let mut route = RouteEntry::new(network, ifindex, None);
    route.table = own_table(ifindex, ip.is_ipv6());
    net.route_add(route, CREATE)
}

/// A default route for what is sent from `ip` only.
///
/// # Errors
/// As the three functions above.
pub fn add_own_gateway(net: &Net, ifindex: u32, ip: IpAddr, len: u8, gateway: IpAddr) -> Result<()> {
    add_rule(net, ifindex, ip)?;
    add_own_network(net, ifindex, ip, len)?;
    add_default(net, gateway, Some(ifindex), Some(own_table(ifindex, ip.is_ipv6())))
}

/// A permanent neighbour.
///
/// # Errors
/// As [`Net::neigh_set`].
pub fn add_neighbour(net: &Net, ifindex: u32, ip: IpAddr, mac: [u8; 6]) -> Result<()> {
    let mode = AddMode { create: true, replace: true, ..AddMode::default() };
    net.neigh_set(ifindex, ip, Some(mac), NUD_PERMANENT, false, mode)
}
