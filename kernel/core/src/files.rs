//! What a kernel has of files beside the VFS: how its tree begins, what FIFOs and seals there are, and its mounts as text.

use crate::epoll::Epoll;
use crate::eventfd::EventFd;
use crate::inotify::Inotify;
use crate::kernel::Kernel;
use crate::openfile::OpenFile;
use crate::pipe::Pipe;
use crate::process::Process;
use crate::signalfd::SignalFd;
use crate::timerfd::TimerFd;
use crate::{proc, sysfs};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use lkl_abi::fcntl::{F_SEAL_GROW, F_SEAL_SHRINK};
use lkl_abi::mount::*;
use lkl_abi::statfs::TMPFS_MAGIC;
use lkl_abi::{Errno, Result};
use lkl_file::File;
use lkl_pseudo::PseudoFs;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::cred::Cred;
use lkl_vfs::{Caller, Context, MountInfo, MountRequest, Node, Tmpfs, Vfs, VfsFile, WalkFlags};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Weak};

/// What is mounted from the start: a directory with its mode, and the type of what is mounted there.
const TREE: &[(&[u8], u32, &str)] =
    &[(b"/dev", 0o755, "devtmpfs"), (b"/proc", 0o555, "proc"), (b"/sys", 0o555, "sysfs"), (b"/tmp", 0o1777, "")];

/// Does `f` as root, from the root of all.
fn as_root<T>(vfs: &Vfs, f: impl FnOnce(&Context<'_>) -> T) -> T {
    let (cred, root) = (Cred::default(), vfs.root());
    f(&Context { cred: &cred, root: &root, cwd: &root, umask: 0, caller: Caller::default() })
}

/// Makes the tree of a new kernel.
///
/// # Errors
/// None that could be met: all of it is in memory.
pub(crate) fn start(kernel: &Kernel, this: &Weak<Kernel>) -> Result<Arc<Vfs>> {
    let limits = kernel.options().files;
    let vfs = Vfs::with_root(kernel.net().host().clone(), limits, Arc::new(Tmpfs::new(&limits)))?;
    let devices = PseudoFs::new("devtmpfs", TMPFS_MAGIC, kernel.devices().clone());
    let pseudo = [devices, proc::file_system(this), sysfs::file_system(this)];
    pseudo.into_iter().for_each(|fs| vfs.register(fs));
    for fs in [lkl_ext4::EXT4, lkl_ext4::EXT3, lkl_ext4::EXT2] {
        vfs.register(Arc::new(fs));
    }
    as_root(&vfs, |ctx| {
        // A `tmpfs` is anybody's, the root is not.
        vfs.chmod(ctx, &vfs.root(), 0o755)?;
        TREE.iter().try_for_each(|(path, mode, kind)| {
            vfs.mkdir(ctx, None, path, *mode)?;
            if kind.is_empty() {
                return Ok(());
            }
            let target = vfs.walk(ctx, None, path, WalkFlags::empty())?;
            let source = kind.as_bytes();
            let flags = MS_NOSUID | if *kind == "devtmpfs" { 0 } else { MS_NODEV | MS_NOEXEC };
            vfs.mount(ctx, &MountRequest { source, device: None, target, kind, flags, data: "" })
        })
    })?;
    Ok(vfs)
}

/// An open file in memory, which `/proc` shows by the name that it is made with.
pub(crate) fn memory_file(kernel: &Kernel, name: &[u8], mode: u32) -> Result<Arc<VfsFile>> {
    let vfs = kernel.vfs();
    as_root(vfs, |ctx| vfs.open_memory(ctx, &[b"memfd:", name].concat(), mode))
}

/// Is a disk not mounted?
///
/// # Errors
/// `EBUSY`
pub(crate) fn check_unused(kernel: &Kernel, disk: &str) -> Result<()> {
    let Some(vfs) = kernel.vfs_started() else { return Ok(()) };
    let disks = kernel.devices().disks();
    let Some(disk) = disks.iter().find(|d| d.whole.name() == disk) else { return Ok(()) };
    let mounted = vfs.mounted_devices();
    if disk.devices().any(|(_, device)| mounted.iter().any(|m| Arc::ptr_eq(m, device))) {
        return Err(Errno::EBUSY);
    }
    Ok(())
}

/// By the address of a file's node, with the node to see whether it is still that one.
type ByNode<T> = Mutex<HashMap<usize, (Weak<Node>, T)>>;

/// What files are, beyond what their file systems know.
pub(crate) struct Files {
    /// The pipes of FIFOs that are open.
    fifos: ByNode<Weak<Pipe>>,
    /// The seals of files in memory.
    seals: ByNode<u32>,
    sealable: AtomicUsize,
}

impl Default for Files {
    fn default() -> Self {
        let (fifos, seals) = (HashMap::new(), HashMap::new());
        Self {
            fifos: Mutex::new(Rank::Leaf, fifos),
            seals: Mutex::new(Rank::Leaf, seals),
            sealable: AtomicUsize::new(0),
        }
    }
}

fn address(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node) as usize
}

impl Files {
    /// The pipe that a FIFO leads to.
    pub(crate) fn fifo(&self, node: &Arc<Node>) -> Arc<Pipe> {
        let mut fifos = self.fifos.lock();
        if let Some(pipe) = fifos.get(&address(node)).and_then(|(_, pipe)| pipe.upgrade()) {
            return pipe;
        }
        fifos.retain(|_, (_, pipe)| pipe.strong_count() > 0);
        let pipe = Pipe::new();
        fifos.insert(address(node), (Arc::downgrade(node), Arc::downgrade(&pipe)));
        pipe
    }

    /// A file can be sealed from now on.
    pub(crate) fn make_sealable(&self, node: &Arc<Node>, seals: u32) {
        let mut all = self.seals.lock();
        all.retain(|_, (node, _)| node.strong_count() > 0);
        all.insert(address(node), (Arc::downgrade(node), seals));
        self.sealable.store(all.len(), Relaxed);
    }

    /// The seals of a file; `None` if it can have none.
    pub(crate) fn seals(&self, node: &Arc<Node>) -> Option<u32> {
        if self.sealable.load(Relaxed) == 0 {
            return None;
        }
        let all = self.seals.lock();
        all.get(&address(node)).filter(|(known, _)| known.strong_count() > 0).map(|(_, seals)| *seals)
    }

    /// Changes the seals of a file that can have some.
    pub(crate) fn add_seals(&self, node: &Arc<Node>, more: u32) {
        if let Some((_, seals)) = self.seals.lock().get_mut(&address(node)) {
            *seals |= more;
        }
    }

    /// May a file become so long?
    ///
    /// # Errors
    /// `EPERM` if a seal is in the way.
    pub(crate) fn check_resize(&self, node: &Arc<Node>, len: u64) -> Result<()> {
        let seals = self.seals(node).unwrap_or(0);
        let (shrinks, grows) = (len < node.size(), len > node.size());
        if shrinks && seals & F_SEAL_SHRINK != 0 || grows && seals & F_SEAL_GROW != 0 {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}

/// A file without a path, as a link in `/proc/PID/fd` leads to it.
pub(crate) struct Nameless {
    text: Vec<u8>,
    file: Weak<OpenFile>,
}

impl Nameless {
    pub(crate) fn new(file: &Arc<OpenFile>) -> Self {
        Self { text: file.describe(), file: Arc::downgrade(file) }
    }

    /// `socket:[123]`
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The file, if it is still open.
    pub(crate) fn file(&self) -> Option<Arc<OpenFile>> {
        self.file.upgrade()
    }
}

/// What kind of file it is that is neither socket nor pipe.
pub(crate) fn anonymous_kind(file: &dyn File) -> &'static str {
    fn is<T: File>(file: &dyn File) -> bool {
        file.downcast_ref::<T>().is_some()
    }
    if is::<EventFd>(file) {
        "[eventfd]"
    } else if is::<TimerFd>(file) {
        "[timerfd]"
    } else if is::<SignalFd>(file) {
        "[signalfd]"
    } else if is::<Epoll>(file) {
        "[eventpoll]"
    } else if is::<Inotify>(file) {
        "inotify"
    } else {
        "[file]"
    }
}

/// Options of a mount, as `/proc/mounts` has them.
fn mount_options(flags: u64) -> String {
    let mut out = if flags & MS_RDONLY != 0 { "ro" } else { "rw" }.to_owned();
    for (flag, name) in [
        (MS_NOSUID, "nosuid"),
        (MS_NODEV, "nodev"),
        (MS_NOEXEC, "noexec"),
        (MS_NOATIME, "noatime"),
        (MS_NODIRATIME, "nodiratime"),
        (MS_RELATIME, "relatime"),
        (MS_NOSYMFOLLOW, "nosymfollow"),
    ] {
        if flags & flag != 0 {
            out.push(',');
            out.push_str(name);
        }
    }
    out
}

/// With the bytes that would end a field written as octal numbers.
fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => out.extend(format!("\\{byte:03o}").bytes()),
            byte => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The mounts that a process sees.
fn visible(process: &Process) -> Vec<MountInfo> {
    let mut all = process.kernel().vfs().mount_table(&process.root());
    all.retain(|m| m.place.reachable);
    all
}

fn source(mount: &MountInfo) -> String {
    if mount.source.is_empty() {
        "none".to_owned()
    } else {
        escaped(&mount.source)
    }
}

/// `/proc/PID/mounts`
pub(crate) fn mounts(process: &Process) -> String {
    let mut out = String::new();
    for m in visible(process) {
        let read_only = if m.read_only { MS_RDONLY } else { 0 };
        let (source, path, options) = (source(&m), escaped(&m.place.path), mount_options(m.flags | read_only));
        let sync = if m.synchronous { ",sync" } else { "" };
        let _never = writeln!(out, "{source} {path} {} {options}{sync}{} 0 0", m.kind, m.options);
    }
    out
}

/// `/proc/PID/mountinfo`
pub(crate) fn mountinfo(process: &Process) -> String {
    let mut out = String::new();
    for m in visible(process) {
        let (major, minor) = lkl_abi::stat::from_dev_t(m.dev);
        let (root, path, options) = (escaped(&m.root), escaped(&m.place.path), mount_options(m.flags));
        let super_options = format!(
            "{}{}{}",
            if m.read_only { "ro" } else { "rw" },
            if m.synchronous { ",sync" } else { "" },
            m.options
        );
        let _never = writeln!(
            out,
            "{} {} {major}:{minor} {root} {path} {options} - {} {} {super_options}",
            m.id,
            m.parent,
            m.kind,
            source(&m)
        );
    }
    out
}
