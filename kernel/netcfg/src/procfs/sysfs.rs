//! `/sys/class/net`.

use super::{Node, Source};
use crate::rtnl::link as facts;
use crate::source;
use crate::view::LinkView;
use lkl_abi::if_::{IFF_LOWER_UP, IFF_UP};
use lkl_abi::if_link::{IF_OPER_DOWN, IF_OPER_UP};
use lkl_abi::stat::{S_IFDIR, S_IFLNK, S_IFREG};
use lkl_abi::{Errno, Result};
use lkl_inet::Net;

/// The attributes of a link, with their modes.
const ATTRIBUTES: &[(&str, u32)] = &[
    ("addr_assign_type", 0o444),
    ("addr_len", 0o444),
    ("address", 0o444),
    ("broadcast", 0o444),
    ("carrier", 0o644),
    ("carrier_changes", 0o444),
    ("carrier_down_count", 0o444),
    ("carrier_up_count", 0o444),
    ("dev_id", 0o444),
    ("dev_port", 0o444),
    ("dormant", 0o444),
    ("duplex", 0o444),
    ("flags", 0o644),
    ("ifalias", 0o644),
    ("ifindex", 0o444),
    ("iflink", 0o444),
    ("link_mode", 0o444),
    ("mtu", 0o644),
    ("name_assign_type", 0o444),
    ("netdev_group", 0o644),
    ("operstate", 0o444),
    ("proto_down", 0o644),
    ("speed", 0o444),
    ("testing", 0o444),
    ("tx_queue_len", 0o644),
    ("type", 0o444),
    ("uevent", 0o644),
];

/// The counters below `statistics`, by their place in `struct rtnl_link_stats64`.
const STATISTICS: [&str; 24] = [
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
    "multicast",
    "collisions",
    "rx_length_errors",
    "rx_over_errors",
    "rx_crc_errors",
    "rx_frame_errors",
    "rx_fifo_errors",
    "rx_missed_errors",
    "tx_aborted_errors",
    "tx_carrier_errors",
    "tx_fifo_errors",
    "tx_heartbeat_errors",
    "tx_window_errors",
    "rx_compressed",
    "tx_compressed",
    "rx_nohandler",
];

/// Looks up what stands below the directory of all links. In `/sys/class/net` (`links`) each is a symbolic link.
pub(super) fn look_up(net: &Net, rest: &str, follow: bool, links: bool) -> Result<Node> {
    if rest.is_empty() {
        let kind = if links { S_IFLNK } else { S_IFDIR };
        return Ok(Node::Dir(net.links().iter().map(|l| (l.name(), kind)).collect()));
    }
    let (name, attr) = rest.split_once('/').unwrap_or((rest, ""));
    net.link_by_name(name).map_err(|_| Errno::ENOENT)?;
    match attr {
        "" if links && !follow => Ok(Node::Link(format!("../../devices/virtual/net/{name}"))),
        "" => {
            let mut names: std::collections::BTreeMap<String, u32> =
                ATTRIBUTES.iter().map(|(n, _)| ((*n).to_owned(), S_IFREG)).collect();
            names.insert("statistics".to_owned(), S_IFDIR);
            names.insert("queues".to_owned(), S_IFDIR);
            names.insert("subsystem".to_owned(), S_IFLNK);
            Ok(Node::Dir(names))
        }
        "subsystem" if !follow => Ok(Node::Link("../../../../class/net".to_owned())),
        "subsystem" => look_up(net, "", true, true),
        "queues" => Ok(Node::Dir(["rx-0", "tx-0"].iter().map(|n| ((*n).to_owned(), S_IFDIR)).collect())),
        "queues/rx-0" | "queues/tx-0" => Ok(Node::Dir(std::collections::BTreeMap::new())),
        "statistics" => Ok(Node::Dir(STATISTICS.iter().map(|n| ((*n).to_owned(), S_IFREG)).collect())),
        _ => {
            let mode = match attr.strip_prefix("statistics/") {
                Some(counter) => STATISTICS.contains(&counter).then_some(0o444),
                None => ATTRIBUTES.iter().find(|(n, _)| *n == attr).map(|(_, m)| *m),
            };
            let mode = mode.ok_or(Errno::ENOENT)?;
            Ok(Node::File { source: Source::Sysfs(name.to_owned(), attr.to_owned()), mode })
        }
    }
}

fn mac(bytes: [u8; 6]) -> String {
    let parts: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    parts.join(":")
}

/// The text of an attribute.
pub(super) fn read(net: &Net, name: &str, attr: &str) -> Result<String> {
    let l = source::link_by_name(net, name).ok_or(Errno::ENODEV)?;
    if let Some(counter) = attr.strip_prefix("statistics/") {
        let at = STATISTICS.iter().position(|n| *n == counter).ok_or(Errno::ENOENT)?;
        let v = facts::counters(&l.stats).get(at).copied().unwrap_or(0);
        return Ok(format!("{v}\n"));
    }
    attribute(&l, attr).map(|mut text| {
        text.push('\n');
        text
    })
}

fn attribute(l: &LinkView, attr: &str) -> Result<String> {
    let up = l.flags & IFF_UP != 0;
    let tun = !l.loopback;
    Ok(match attr {
        "addr_assign_type" | "dev_port" | "dormant" | "link_mode" | "netdev_group" | "proto_down" | "testing" => {
            // Dormancy and the like are known only of a link that is up.
            if matches!(attr, "dormant" | "testing") && !up {
                return Err(Errno::EINVAL);
            }
            "0".to_owned()
        }
        "addr_len" => "6".to_owned(),
        "address" => mac(l.mac),
        "broadcast" => mac(facts::broadcast(l)),
        "carrier" if !up => return Err(Errno::EINVAL),
        "carrier" => u8::from(l.flags & IFF_LOWER_UP != 0).to_string(),
        "carrier_changes" => l.carrier_changes.to_string(),
        "carrier_up_count" => l.carrier_changes.div_ceil(2).to_string(),
        "carrier_down_count" => (l.carrier_changes / 2).to_string(),
        "dev_id" => "0x0".to_owned(),
        "duplex" if tun && up => "full".to_owned(),
        "speed" if tun && up => crate::ethtool::SPEED.to_string(),
        "duplex" | "speed" => return Err(Errno::EINVAL),
        // The flags that user space sets, as ioctl shows them less what follows from the state.
        "flags" => format!("{:#x}", l.flags & 0xffff & !0x40),
        "ifalias" => String::new(),
        "ifindex" | "iflink" => l.index.to_string(),
        "mtu" => l.mtu.to_string(),
        "name_assign_type" => if tun { "3" } else { "2" }.to_owned(),
        "operstate" => match facts::operstate(l) {
            IF_OPER_UP => "up",
            IF_OPER_DOWN => "down",
            _ => "unknown",
        }
        .to_owned(),
        "tx_queue_len" => l.txqlen.to_string(),
        "type" => facts::hardware_type(l).to_string(),
        "uevent" => format!("INTERFACE={}\nIFINDEX={}", l.name, l.index),
        _ => return Err(Errno::ENOENT),
    })
}

/// Sets an attribute.
pub(super) fn write(net: &Net, name: &str, attr: &str, text: &str) -> Result<()> {
    let l = source::link_by_name(net, name).ok_or(Errno::ENODEV)?;
    let number = || {
        let t = text.trim();
        let parsed = match t.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => t.parse(),
        };
        parsed.map_err(|_| Errno::EINVAL)
    };
    match attr {
        "mtu" => {
            let mtu = number()?;
            let (min, max) = facts::mtu_range(&l);
            if mtu < min || (max != 0 && mtu > max) {
                return Err(Errno::EINVAL);
            }
            source::set_mtu(net, l.index, mtu)
        }
        "tx_queue_len" => source::set_txqlen(net, l.index, number()?),
        "flags" => source::set_flags(net, l.index, number()?),
        "carrier" => Err(Errno::EOPNOTSUPP),
        "ifalias" | "netdev_group" | "proto_down" => Err(Errno::EOPNOTSUPP),
        "uevent" => Ok(()),
        _ => Err(Errno::EACCES),
    }
}
