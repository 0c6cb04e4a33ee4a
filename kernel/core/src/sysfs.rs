//! `/sys` (`man 5 sysfs`): the network's devices, which `lkl-netcfg` shows, and block devices.

use crate::proc::{counters, made, NetDir, Of};
use lkl_abi::statfs::SYSFS_MAGIC;
use lkl_block::BlockDevice;
use lkl_pseudo::{link, text, Disk, Entry, PseudoFs, Table};
use lkl_vfs::InodeKind;
use std::sync::{Arc, Weak};

use crate::kernel::Kernel;

/// The type of file system.
pub(crate) fn file_system(kernel: &Weak<Kernel>) -> Arc<PseudoFs> {
    let of = Of(kernel.clone());
    let class = Table::new()
        .with("block", links(&of, true, "../../devices/virtual/block/"))
        .with("net", NetDir::entry(&of, "/sys/class/net"));
    let dev = Table::new().with("block", by_number(&of)).with("char", Table::new().entry());
    let devices = Table::new().with("block", disks(&of)).with("net", NetDir::entry(&of, "/sys/devices/virtual/net"));
    let root = Table::new()
        .with("block", links(&of, false, "../devices/virtual/block/"))
        .with("class", class.entry())
        .with("dev", dev.entry())
        .with("devices", Table::new().with("virtual", devices.entry()).entry())
        .with("fs", Table::new().entry())
        .with("kernel", Table::new().entry());
    PseudoFs::new("sysfs", SYSFS_MAGIC, Arc::new(root))
}

fn all_disks(of: &Of) -> Vec<Disk> {
    of.kernel().map(|kernel| kernel.devices().disks()).unwrap_or_default()
}

/// Name, number, and path below `devices/virtual/block` of each device; partitions too, if they are asked for.
fn names(of: &Of, partitions: bool) -> Vec<(String, (u32, u32), String)> {
    let mut all = Vec::new();
    for disk in all_disks(of) {
        for (number, device) in disk.devices() {
            let path = match device.partition_number() {
                0 => device.name().to_owned(),
                _ => format!("{}/{}", disk.whole.name(), device.name()),
            };
            if partitions || device.partition_number() == 0 {
                all.push((device.name().to_owned(), number, path));
            }
        }
    }
    all
}

/// Links to devices by their names.
fn links(of: &Of, partitions: bool, base: &'static str) -> Entry {
    let (get, list) = (of.clone(), of.clone());
    made(
        move |name| {
            let all = names(&get, partitions);
            let (_, _, path) = all.iter().find(|(n, ..)| n.as_bytes() == name)?;
            Some(link(&format!("{base}{path}")))
        },
        move || names(&list, partitions).into_iter().map(|(n, ..)| (n.into_bytes(), InodeKind::Symlink)).collect(),
    )
}

/// Links to devices by their numbers.
fn by_number(of: &Of) -> Entry {
    let (get, list) = (of.clone(), of.clone());
    let text = |(major, minor): (u32, u32)| format!("{major}:{minor}");
    made(
        move |name| {
            let all = names(&get, true);
            let (_, _, path) = all.iter().find(|(_, number, _)| text(*number).as_bytes() == name)?;
            Some(link(&format!("../../devices/virtual/block/{path}")))
        },
        move || names(&list, true).into_iter().map(|(_, n, _)| (text(n).into_bytes(), InodeKind::Symlink)).collect(),
    )
}

/// A directory for each disk.
fn disks(of: &Of) -> Entry {
    let (get, list) = (of.clone(), of.clone());
    made(
        move |name| all_disks(&get).iter().find(|d| d.whole.name().as_bytes() == name).map(disk),
        move || all_disks(&list).iter().map(|d| (d.whole.name().into(), InodeKind::Directory)).collect(),
    )
}

/// A value that is the same for ever.
fn value(value: impl std::fmt::Display) -> Entry {
    let line = format!("{value}\n").into_bytes();
    Entry { size: 4096, ..text(move || Ok(line.clone())) }
}

/// What a disk and a partition have both.
fn common(device: &Arc<BlockDevice>, (major, minor): (u32, u32), kind: &str) -> Table {
    let counted = device.clone();
    let stat = move || Ok(counters(&counted).map(|n| format!("{n:>8}")).join(" ").into_bytes());
    let name = device.name();
    Table::new()
        .with("dev", value(format_args!("{major}:{minor}")))
        .with("ro", value(u8::from(device.read_only())))
        .with("size", value(device.size() / 512))
        .with("stat", Entry { size: 4096, ..text(move || stat().map(|line: Vec<u8>| [line, b"\n".to_vec()].concat())) })
        .with("uevent", value(format_args!("MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE={kind}")))
}

fn disk(disk: &Disk) -> Entry {
    let queue = Table::new()
        .with("discard_max_bytes", value(u32::MAX))
        .with("hw_sector_size", value(disk.whole.sector_size()))
        .with("logical_block_size", value(disk.whole.sector_size()))
        .with("physical_block_size", value(disk.whole.sector_size()))
        .with("rotational", value(0));
    let mut table = Table::new();
    for (number, device) in disk.devices() {
        let sectors = device.start() / 512;
        table = match device.partition_number() {
            0 => common(device, number, "disk")
                .with("partscan", value(1))
                .with("queue", queue.clone().entry())
                .with("removable", value(0))
                .with("subsystem", link("../../../../class/block")),
            n => table.with(
                device.name(),
                common(device, number, "partition")
                    .with("partition", value(n))
                    .with("start", value(sectors))
                    .with("subsystem", link("../../../../../class/block"))
                    .entry(),
            ),
        };
    }
    table.entry()
}
