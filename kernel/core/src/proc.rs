//! `/proc` (`man 5 proc`): what the kernel knows of itself and its processes, as files. The network's part is `lkl-netcfg`'s.
//!
//! `pid` has the directory of a process, `sys` the settings, `netdir` puts the network's files where they belong.

mod netdir;
mod pid;
mod sys;

pub(crate) use netdir::NetDir;

use crate::kernel::Kernel;
use lkl_abi::statfs::PROC_SUPER_MAGIC;
use lkl_abi::Result;
use lkl_pseudo::{dir, link, setting, text, Directory, Entry, Kind, PseudoFs, Table};
use lkl_vfs::{InodeKind, Link};
use std::fmt::Write;
use std::sync::{Arc, Weak};

/// Hundredths of a second, in which Linux counts time for programs (`USER_HZ`), are so many nanoseconds.
const TICK_NANOS: u128 = 10_000_000;

/// The kernel behind a file, which is there as long as somebody looks at it.
#[derive(Clone)]
pub(crate) struct Of(pub(crate) Weak<Kernel>);

impl Of {
    /// A file of text that the kernel makes.
    pub(crate) fn text(&self, show: fn(&Kernel) -> String) -> Entry {
        let of = self.0.clone();
        text(move || Ok(of.upgrade().map(|kernel| show(&kernel).into_bytes()).unwrap_or_default()))
    }

    pub(crate) fn kernel(&self) -> Result<Arc<Kernel>> {
        self.0.upgrade().ok_or(lkl_abi::Errno::EIO)
    }
}

/// The type of file system.
pub(crate) fn file_system(kernel: &Weak<Kernel>) -> Arc<PseudoFs> {
    PseudoFs::new("proc", PROC_SUPER_MAGIC, Arc::new(Root { table: table(kernel), kernel: Of(kernel.clone()) }))
}

/// The names that are always there.
fn table(kernel: &Weak<Kernel>) -> Table {
    let of = Of(kernel.clone());
    let by_caller = |path: fn(i32, i32) -> String| {
        let follow = move |who: &lkl_vfs::Caller| Ok(Link::Path(path(who.pid, who.tid).into_bytes()));
        Entry::new(Kind::Link(Arc::new(follow)), 0o777)
    };
    Table::new()
        .with("cmdline", of.text(|_| "\n".to_owned()))
        .with("cpuinfo", of.text(|_| "processor\t: 0\nmodel name\t: lkl\n\n".to_owned()))
        .with("devices", of.text(devices))
        .with("diskstats", of.text(diskstats))
        .with("filesystems", of.text(filesystems))
        .with("loadavg", of.text(|k| format!("0.00 0.00 0.00 1/{} 0\n", k.processes().len())))
        .with("meminfo", of.text(meminfo))
        .with("mounts", link("self/mounts"))
        .with("net", link("self/net"))
        .with("partitions", of.text(partitions))
        .with("self", by_caller(|pid, _| pid.to_string()))
        .with("stat", of.text(stat))
        .with("swaps", of.text(|_| "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned()))
        .with("sys", sys::tree(&of))
        .with("sysrq-trigger", sysrq(&of))
        .with("thread-self", by_caller(|pid, tid| format!("{pid}/task/{tid}")))
        .with("uptime", of.text(uptime))
        .with("version", of.text(version))
}

/// What is always there, and a directory for each process.
struct Root {
    table: Table,
    kernel: Of,
}

/// The process of that number, and whether a thread of it has the number as well.
fn number(name: &[u8]) -> Option<i32> {
    core::str::from_utf8(name).ok().filter(|n| !n.starts_with(['0', '+'])).and_then(|n| n.parse().ok())
}

impl Directory for Root {
    fn get(&self, name: &[u8]) -> Option<Entry> {
        if let Some(entry) = self.table.get(name) {
            return Some(entry);
        }
        let number = number(name)?;
        let kernel = self.kernel.kernel().ok()?;
        let processes = kernel.processes();
        let by_pid = processes.iter().find(|p| p.pid() == number);
        // A thread's number leads to its process as well, though it is not listed.
        let process = by_pid.or_else(|| processes.iter().find(|p| p.has_thread(number)));
        let entry = process.map(pid::directory);
        kernel.drop_later(processes);
        entry
    }

    fn list(&self) -> Vec<(Vec<u8>, InodeKind)> {
        let mut names = self.table.list();
        let Ok(kernel) = self.kernel.kernel() else { return names };
        let processes = kernel.processes();
        let mut pids: Vec<i32> = processes.iter().map(|p| p.pid()).collect();
        kernel.drop_later(processes);
        pids.sort_unstable();
        pids.dedup();
        names.extend(pids.iter().map(|pid| (pid.to_string().into_bytes(), InodeKind::Directory)));
        names
    }
}

/// A directory of a process that is made when it is looked at.
pub(crate) fn made(
    get: impl Fn(&[u8]) -> Option<Entry> + Send + Sync + 'static,
    list: impl Fn() -> Vec<(Vec<u8>, InodeKind)> + Send + Sync + 'static,
) -> Entry {
    struct Made<G, L>(G, L);

    impl<G, L> Directory for Made<G, L>
    where
        G: Fn(&[u8]) -> Option<Entry> + Send + Sync,
        L: Fn() -> Vec<(Vec<u8>, InodeKind)> + Send + Sync,
    {
        fn get(&self, name: &[u8]) -> Option<Entry> {
            (self.0)(name)
        }

        fn list(&self) -> Vec<(Vec<u8>, InodeKind)> {
            (self.1)()
        }
    }

    dir(Made(get, list))
}

/// `sysrq-trigger` (`man 5 proc`): of the keys, `c` makes the kernel crash, `s` writes all that is dirty to the disks; the others do nothing,
/// as those on Linux that it does not know.
fn sysrq(of: &Of) -> Entry {
    let of = of.clone();
    let press = move |keys: &str| {
        match keys.bytes().next() {
            Some(b'c') => crash(),
            Some(b's') => return of.kernel()?.vfs().sync(),
            _ => {}
        }
        Ok(())
    };
    Entry { mode: 0o200, ..setting(|| Ok(Vec::new()), press) }
}

#[expect(clippy::panic, reason = "it is what was asked for")]
fn crash() {
    panic!("sysrq triggered crash");
}

fn uptime(kernel: &Kernel) -> String {
    let up = kernel.now().since(kernel.booted());
    let hundredths = up.as_nanos() / TICK_NANOS;
    format!("{0}.{1:02} {0}.{1:02}\n", hundredths / 100, hundredths % 100)
}

fn version(kernel: &Kernel) -> String {
    let [system, _, release, version, ..] = kernel.names.all();
    let [system, release, version] = [system, release, version].map(|n| String::from_utf8_lossy(&n).into_owned());
    format!("{system} version {release} (lkl) {version}\n")
}

fn stat(kernel: &Kernel) -> String {
    let booted = kernel.net().host().realtime().saturating_sub(kernel.now().since(kernel.booted()));
    let zeroes = "0 0 0 0 0 0 0 0 0 0";
    let processes = kernel.processes().len();
    format!(
        "cpu  {zeroes}\ncpu0 {zeroes}\nintr 0\nctxt 0\nbtime {}\nprocesses {processes}\nprocs_running 1\nprocs_blocked 0\n",
        booted.as_secs()
    )
}

fn meminfo(kernel: &Kernel) -> String {
    let env = kernel.vfs().env();
    let (total, cached, dirty) = (kernel.options().memory, env.used() as u64, env.dirty() as u64);
    let metadata = env.metadata().used() as u64;
    let free = total.saturating_sub(cached + metadata);
    let mut out = String::new();
    for (name, bytes) in [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", total),
        ("Buffers", metadata),
        ("Cached", cached),
        ("SwapCached", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", dirty),
        ("Writeback", 0),
    ] {
        let _never = writeln!(out, "{:<16}{:>8} kB", format!("{name}:"), bytes / 1024);
    }
    out
}

fn filesystems(kernel: &Kernel) -> String {
    let types = kernel.vfs().file_systems();
    types.iter().map(|t| format!("{}\t{}\n", if t.needs_device() { "" } else { "nodev" }, t.name())).collect()
}

fn devices(_: &Kernel) -> String {
    "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n\nBlock devices:\n254 virtblk\n259 blkext\n"
        .to_owned()
}

fn partitions(kernel: &Kernel) -> String {
    let mut out = "major minor  #blocks  name\n\n".to_owned();
    for disk in kernel.devices().disks() {
        for ((major, minor), device) in disk.devices() {
            let _never = writeln!(out, "{major:>4}  {minor:>7} {:>10} {}", device.size() / 1024, device.name());
        }
    }
    out
}

/// The counters of a device, as `diskstats` and `/sys/block/*/stat` have them: in sectors of 512 bytes; times are not counted.
pub(crate) fn counters(device: &lkl_block::BlockDevice) -> [u64; 17] {
    let s = device.stats();
    let mut all = [0; 17];
    let counted = [
        (0, s.reads),
        (2, s.read_bytes / 512),
        (4, s.writes),
        (6, s.write_bytes / 512),
        (11, s.discards),
        (13, s.discard_bytes / 512),
        (15, s.flushes),
    ];
    for (at, n) in counted {
        if let Some(to) = all.get_mut(at) {
            *to = n;
        }
    }
    all
}

fn diskstats(kernel: &Kernel) -> String {
    let mut out = String::new();
    for disk in kernel.devices().disks() {
        for ((major, minor), device) in disk.devices() {
            let counters = counters(device).map(|n| n.to_string()).join(" ");
            let _never = writeln!(out, "{major:>4} {minor:>7} {} {counters}", device.name());
        }
    }
    out
}
