//! Disk images of the configuration (`LKL_HIJACK_DISK`), mounted in a kernel.

use crate::config::{ConfigError, DiskMount};
use crate::disk::{self, ImageError, ImageOptions};
use crate::real::RealHost;
use crate::Config;
use core::time::Duration;
use lkl_abi::mount::MS_RDONLY;
use lkl_abi::Errno;
use lkl_kernel::Kernel;
use lkl_ops::Disk;
use lkl_vfs::cred::Cred;
use lkl_vfs::{Caller, Context, MountRequest, WalkFlags};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;

/// Opens the images, and mounts each at its place; directories that are missing on the way there are made, in memory.
///
/// # Errors
/// What the user has to put right. What was mounted before stays.
pub(crate) fn mount_all(kernel: &Kernel, host: &RealHost, disks: &[DiskMount]) -> Result<(), ConfigError> {
    for (index, disk) in disks.iter().enumerate() {
        mount(kernel, host, disk, index).map_err(|problem| ConfigError::new("DISK", disk.text(), problem))?;
        tracing::info!("{}: {}", disk.target, disk.image);
    }
    Ok(())
}

/// `vda`, ... `vdz`, `vdaa`, ...
fn name(index: usize) -> String {
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap_or(0));
    let mut letters = vec![letter(index)];
    let mut rest = index / 26;
    while rest > 0 {
        letters.insert(0, letter(rest - 1));
        rest = (rest - 1) / 26;
    }
    letters.into_iter().fold("vd".to_owned(), |name, c| name + &c.to_string())
}

/// Opens an image. The kernel that had it last may be about to let go of it: it is waited for.
fn open(path: &Path, options: &ImageOptions) -> Result<Arc<dyn Disk>, ImageError> {
    const PATIENCE: Duration = Duration::from_secs(1);
    const STEP: Duration = Duration::from_millis(20);
    let mut left = PATIENCE;
    loop {
        match disk::open(path, options) {
            Err(e) if e.errno == Errno::EBUSY && !left.is_zero() => {
                std::thread::sleep(STEP);
                left = left.saturating_sub(STEP);
            }
            other => return other,
        }
    }
}

/// What tables of mounts name as the source: the image's path, for a `/dev/vda` would be another disk to programs of the host's.
fn source(disk: &DiskMount) -> Vec<u8> {
    let path = Path::new(&disk.image);
    let mut source = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string().into_vec();
    if let Some(n) = disk.partition {
        source.extend(format!(":{n}").bytes());
    }
    source
}

fn mount(kernel: &Kernel, host: &RealHost, disk: &DiskMount, index: usize) -> Result<(), String> {
    let options =
        ImageOptions { read_only: disk.read_only, privatise: host.hooks.privatise, ..ImageOptions::default() };
    let image = open(Path::new(&disk.image), &options).map_err(|e| e.to_string())?;
    let read_only = image.read_only();
    let name = name(index);
    let attached = kernel.add_disk(image, &name).map_err(|e| format!("{}: {e}", disk.image))?;
    let device = match disk.partition {
        None => attached.whole,
        Some(n) => {
            let found = attached.partitions.iter().find(|p| p.partition_number() == n).cloned();
            let there = || match attached.partitions.len() {
                0 => "it has none".to_owned(),
                _ => {
                    let numbers: Vec<_> =
                        attached.partitions.iter().map(|p| p.partition_number().to_string()).collect();
                    format!("there are {}", numbers.join(", "))
                }
            };
            found.ok_or_else(|| format!("{}: there is no partition {n}: {}", disk.image, there()))?
        }
    };
    let vfs = kernel.vfs();
    let (cred, root) = (Cred::default(), vfs.root());
    let ctx = Context { cred: &cred, root: &root, cwd: &root, umask: 0, caller: Caller::default() };
    let target = disk.target.as_bytes();
    let ends = target.iter().enumerate().skip(1).filter(|(_, b)| **b == b'/').map(|(i, _)| i).chain([target.len()]);
    for end in ends {
        match vfs.mkdir(&ctx, None, target.get(..end).unwrap_or_default(), 0o755) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(format!("{}: {e}", disk.target)),
        }
    }
    let target = vfs.walk(&ctx, None, target, WalkFlags::FOLLOW).map_err(|e| format!("{}: {e}", disk.target))?;
    let kind = disk.kind.as_deref().unwrap_or_default();
    let flags = if read_only { MS_RDONLY } else { 0 };
    let source = source(disk);
    let request = MountRequest { source: &source, device: Some(device), target, kind, flags, data: "" };
    vfs.mount(&ctx, &request).map_err(|e| match (e, kind) {
        (Errno::ENODEV, kind) if !kind.is_empty() => format!("there is no type of file system {kind:?}"),
        (Errno::EINVAL, "") => format!("{}: no file system that is known", disk.image),
        (Errno::EINVAL, kind) => {
            format!("{}: no {kind} file system, or one with features that are not known", disk.image)
        }
        (Errno::EUCLEAN, _) => format!("{}: the file system is damaged: e2fsck may repair it", disk.image),
        (e, _) => format!("{}: {e}", disk.image),
    })
}

/// Mounts file systems that need no device in the kernel's own tree, each at a place of its name. What is there already stays.
///
/// # Errors
/// What the user has to put right.
pub(crate) fn mount_types(kernel: &Kernel, config: &Config) -> Result<(), ConfigError> {
    for kind in &config.file_systems {
        mount_type(kernel, kind).map_err(|problem| ConfigError::of(config.names.of("MOUNT"), kind, problem))?;
        tracing::info!("/{kind}: {kind}");
    }
    Ok(())
}

fn mount_type(kernel: &Kernel, kind: &str) -> Result<(), String> {
    let vfs = kernel.vfs();
    let plain: Vec<_> = vfs.file_systems().iter().filter(|fs| !fs.needs_device()).map(|fs| fs.name()).collect();
    if !plain.contains(&kind) {
        return Err(format!("expected types of file systems that need no device: {}", plain.join(", ")));
    }
    let failed = |e: Errno| format!("expected something that the kernel takes: {e}");
    let (cred, root) = (Cred::default(), vfs.root());
    let ctx = Context { cred: &cred, root: &root, cwd: &root, umask: 0, caller: Caller::default() };
    let path = format!("/{kind}");
    match vfs.mkdir(&ctx, None, path.as_bytes(), 0o700) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(failed(e)),
    }
    let target = vfs.walk(&ctx, None, path.as_bytes(), WalkFlags::FOLLOW).map_err(failed)?;
    if target.is_mount_root() {
        return Ok(());
    }
    let request = MountRequest { source: b"none", device: None, target, kind, flags: 0, data: "" };
    vfs.mount(&ctx, &request).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names_of_disks() {
        assert_eq!(
            [0, 1, 25, 26, 27, 52, 701, 702].map(name),
            ["vda", "vdb", "vdz", "vdaa", "vdab", "vdba", "vdzz", "vdaaa"]
        );
    }
}
