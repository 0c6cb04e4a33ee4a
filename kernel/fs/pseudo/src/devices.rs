//! Devices by their numbers, and `/dev`, which has a file for each (`devtmpfs`).

use crate::block::BlockFile;
use crate::chars::{self, CHARS};
use crate::tree::{link, Directory, Entry, Kind};
use lkl_abi::{Errno, Result};
use lkl_block::{partitions, BlockDevice};
use lkl_file::File;
use lkl_ops::Host;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::InodeKind;
use std::sync::Arc;

/// Major number of disks (`virtio-blk`).
const MAJOR: u32 = 254;
/// Major number of partitions past the fifteenth of a disk (`BLOCK_EXT_MAJOR`).
const MAJOR_EXTENDED: u32 = 259;
/// Numbers of a disk: itself and its partitions.
const MINORS: u32 = 16;
/// Minor numbers of partitions past the fifteenth begin this far apart.
const MINORS_EXTENDED: u32 = 256;
/// Owner `root`, group `disk`.
const DISK_GROUP: u32 = 6;

/// What is the same for a process everywhere, and so stands in `/dev` as well.
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];

/// A disk that is attached.
#[derive(Clone)]
pub struct Disk {
    /// Which one, from 0 on.
    pub index: u32,
    /// All of it.
    pub whole: Arc<BlockDevice>,
    /// Its partitions.
    pub partitions: Vec<Arc<BlockDevice>>,
}

impl Disk {
    /// The whole disk and its partitions, with their numbers.
    pub fn devices(&self) -> impl Iterator<Item = ((u32, u32), &Arc<BlockDevice>)> {
        let all = core::iter::once(&self.whole).chain(&self.partitions);
        all.map(|device| (self.number(device.partition_number()), device))
    }

    fn number(&self, partition: u32) -> (u32, u32) {
        match partition {
            n if n < MINORS => (MAJOR, self.index * MINORS + n),
            n => (MAJOR_EXTENDED, self.index * MINORS_EXTENDED + n),
        }
    }
}

/// All devices of a kernel.
pub struct Devices {
    host: Arc<dyn Host>,
    disks: Mutex<Vec<Disk>>,
}

impl Devices {
    /// Character devices only.
    pub fn new(host: Arc<dyn Host>) -> Arc<Self> {
        Arc::new(Self { host, disks: Mutex::new(Rank::Leaf, Vec::new()) })
    }

    /// Attaches a disk by a name such as `vda`; its partitions are `vda1` and so on.
    ///
    /// # Errors
    /// `EEXIST` if there is a device of that name; `EINVAL` for a name that is none; `EIO` if it cannot be read.
    pub fn add_disk(&self, disk: Arc<dyn lkl_ops::Disk>, name: &str) -> Result<Disk> {
        let good = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && name.len() <= 32;
        if !good {
            return Err(Errno::EINVAL);
        }
        let whole = BlockDevice::new(disk, name);
        let partitions = partitions(&whole)?;
        let mut disks = self.disks.lock();
        let mut new = Disk { index: 0, whole, partitions };
        new.index = (0..).find(|n| disks.iter().all(|d| d.index != *n)).ok_or(Errno::ENOSPC)?;
        let taken = |name: &str| {
            let disk = disks.iter().flat_map(Disk::devices).any(|(_, d)| d.name() == name);
            disk || CHARS.iter().any(|c| c.0 == name) || LINKS.iter().any(|l| l.0 == name)
        };
        if new.devices().any(|(_, d)| taken(d.name())) {
            return Err(Errno::EEXIST);
        }
        disks.push(new.clone());
        Ok(new)
    }

    /// Takes a disk away. Who uses it still can.
    ///
    /// # Errors
    /// `ENODEV`
    pub fn remove_disk(&self, name: &str) -> Result<()> {
        let mut disks = self.disks.lock();
        let at = disks.iter().position(|d| d.whole.name() == name).ok_or(Errno::ENODEV)?;
        let gone = disks.remove(at);
        drop(disks);
        drop(gone);
        Ok(())
    }

    /// All disks.
    pub fn disks(&self) -> Vec<Disk> {
        self.disks.lock().clone()
    }

    /// The block device with these numbers.
    ///
    /// # Errors
    /// `ENXIO`
    pub fn block(&self, rdev: (u32, u32)) -> Result<Arc<BlockDevice>> {
        let disks = self.disks.lock();
        let found = disks.iter().flat_map(Disk::devices).find(|(number, _)| *number == rdev);
        found.map(|(_, device)| device.clone()).ok_or(Errno::ENXIO)
    }

    /// Opens the device that a device file with these numbers leads to.
    ///
    /// # Errors
    /// `ENXIO`; `EACCES` if it is to be written and cannot be.
    pub fn open(&self, kind: InodeKind, rdev: (u32, u32), write: bool) -> Result<Arc<dyn File>> {
        match kind {
            InodeKind::CharDevice => chars::open(&self.host, rdev),
            InodeKind::BlockDevice => {
                let device = self.block(rdev)?;
                if write && device.read_only() {
                    return Err(Errno::EACCES);
                }
                Ok(Arc::new(BlockFile::new(device)))
            }
            _ => Err(Errno::ENXIO),
        }
    }
}

impl Directory for Devices {
    fn get(&self, name: &[u8]) -> Option<Entry> {
        let name = core::str::from_utf8(name).ok()?;
        if let Some((_, rdev, mode, _)) = CHARS.iter().find(|c| c.0 == name) {
            return Some(Entry::new(Kind::Device(InodeKind::CharDevice, *rdev), *mode));
        }
        if let Some((_, target)) = LINKS.iter().find(|l| l.0 == name) {
            return Some(link(target));
        }
        let disks = self.disks.lock();
        let (rdev, _) = disks.iter().flat_map(Disk::devices).find(|(_, d)| d.name() == name)?;
        Some(Entry::new(Kind::Device(InodeKind::BlockDevice, rdev), 0o660).owned(0, DISK_GROUP))
    }

    fn list(&self) -> Vec<(Vec<u8>, InodeKind)> {
        let chars = CHARS.iter().map(|c| (c.0.into(), InodeKind::CharDevice));
        let links = LINKS.iter().map(|l| (l.0.into(), InodeKind::Symlink));
        let disks = self.disks.lock();
        let blocks = disks.iter().flat_map(Disk::devices).map(|(_, d)| (d.name().into(), InodeKind::BlockDevice));
        chars.chain(links).chain(blocks).collect()
    }
}
