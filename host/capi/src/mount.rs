//! File systems that are mounted.

use crate::call::{text, Arg};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::process::Process;
use lkl_abi::fcntl::AT_FDCWD;
use lkl_abi::{nr, Errno};
use std::ffi::{CString, OsStr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where mounts of this crate are.
const PLACE: &str = "/mnt";

/// A file system that is mounted, with a process of its own whose root directory it is: absolute paths, and symbolic links with such
/// targets, stay within it. The process is root and its umask is 0, so that modes are those that are given.
///
/// It is used as its root [`Dir`]:
///
/// ```
/// let kernel = lkl::Kernel::builder().boot()?;
/// let fs = kernel.mount("none", "tmpfs", 0, "size=1m")?;
/// fs.mkdir("etc", 0o755)?;
/// fs.create("etc/motd", 0o644)?.write_all_at(b"hello", 0)?;
/// fs.symlink("/etc/motd", "link")?;
/// assert_eq!(fs.stat("/link")?.size, 5);
/// let names: Result<Vec<_>, _> = fs.read_dir()?.map(|entry| entry.map(|e| e.name)).collect();
/// assert_eq!(names?.len(), 2);
/// assert_eq!(fs.open("/missing").unwrap_err().to_string(), "/missing: No such file or directory");
/// fs.umount()?;
/// # Ok::<(), lkl::Error>(())
/// ```
#[derive(Debug)]
pub struct Mount {
    kernel: Kernel,
    target: PathBuf,
    /// `None` only while it is being unmounted.
    root: Option<Dir>,
}

impl Kernel {
    /// Mounts a file system at a place of its own. `source` is a device ([`crate::Disk::device`]), or anything for a file system that needs
    /// none; `kind` its type, found out if it is empty; `flags` are `MS_*` ([`lkl_abi::mount`]); `data` are options of the file system.
    ///
    /// # Errors
    /// `ENODEV` for an unknown type, `EINVAL` if it is none of this type, or none of any known one; `EUCLEAN` if it is corrupt; and others
    /// (`man 2 mount`). The kernel's messages say more ([`crate::Builder::log`]).
    pub fn mount(&self, source: impl AsRef<OsStr>, kind: &str, flags: u64, data: &str) -> Result<Mount> {
        let source = source.as_ref();
        let admin = &self.process();
        let target = Path::new(PLACE).join(self.machine.new_pid().to_string());
        make_dir(admin, Path::new(PLACE))?;
        make_dir(admin, &target)?;
        let mount = || {
            let (source, place) = (text(source)?, text(&target)?);
            let kind = match kind {
                "" => admin.as_thread(|kernel, task| kernel.probe(task, source.as_bytes()))?,
                kind => kind,
            };
            let (kind, data) = (text(kind)?, text(data)?);
            let args = [Arg::Text(&source), Arg::Text(&place), Arg::Text(&kind), Arg::Num(flags), Arg::Text(&data)];
            admin.call(nr::MOUNT, args)
        };
        if let Err(e) = mount() {
            let _gone = remove_dir(admin, &target);
            return Err(Error::new(e, source));
        }
        let mut mount = Mount { kernel: self.clone(), target, root: None };
        mount.root = Some(mount.enter()?);
        Ok(mount)
    }
}

fn make_dir(process: &Process, path: &Path) -> Result<()> {
    let make = |name: CString| process.call(nr::MKDIRAT, [Arg::Fd(AT_FDCWD), Arg::Text(&name), Arg::Num(0o755)]);
    match text(path).and_then(make) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(Error::new(e, path)),
    }
}

fn remove_dir(process: &Process, path: &Path) -> core::result::Result<u64, Errno> {
    let flags = Arg::Num(lkl_abi::fcntl::AT_REMOVEDIR.into());
    process.call(nr::UNLINKAT, [Arg::Fd(AT_FDCWD), Arg::Text(&text(path)?), flags])
}

impl Mount {
    /// A process whose root is the mount's.
    fn enter(&self) -> Result<Dir> {
        let process = Arc::new(self.kernel.process());
        let change = || {
            process.call(nr::CHROOT, [Arg::Text(&text(&self.target)?)])?;
            process.call(nr::CHDIR, [Arg::Text(c"/")])?;
            process.call(nr::UMASK, [Arg::Num(0)])
        };
        change().map_err(|e| Error::new(e, &self.target))?;
        Dir::root(&process)
    }

    /// Unmounts it: when this answers `Ok` all is on the disk, and the file system on it is clean.
    ///
    /// # Errors
    /// `EBUSY` if files or directories of it are still open; then, and with `EIO` and `ENOSPC`, it is not clean.
    pub fn umount(mut self) -> Result<()> {
        self.leave()
    }

    fn leave(&mut self) -> Result<()> {
        // The process, and with it what it has open, ends with this.
        drop(self.root.take());
        let admin = &self.kernel.process();
        let place = |e| Error::new(e, "");
        let name = text(&self.target).map_err(place)?;
        admin.call(nr::UMOUNT2, [Arg::Text(&name), Arg::Num(0)]).map_err(place)?;
        remove_dir(admin, &self.target).map(drop).map_err(place)
    }
}

impl Deref for Mount {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        match &self.root {
            Some(root) => root,
            None => unreachable!("only while it is being unmounted"),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.root.is_some() {
            let _best = self.leave();
        }
    }
}
