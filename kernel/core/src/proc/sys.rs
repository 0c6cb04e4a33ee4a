//! `/proc/sys`: settings (`man 5 proc_sys`).

use super::{NetDir, Of};
use crate::kernel::Kernel;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::{Errno, Result};
use lkl_pseudo::{setting, Entry, Table};
use lkl_vfs::Protection;

const LEASE_BREAK_TIME: &str = "fs/lease-break-time";

/// All of it.
pub(super) fn tree(of: &Of) -> Entry {
    Table::new()
        .with("fs", fs(of).entry())
        .with("kernel", kernel(of).entry())
        .with("net", NetDir::entry(of, "/proc/sys/net"))
        .with("vm", vm(of).entry())
        .entry()
}

fn fs(of: &Of) -> Table {
    let inotify = Table::new()
        .with("max_queued_events", of.text(|_| line(crate::inotify::QUEUE_MAX)))
        .with("max_user_instances", of.text(|_| line(crate::inotify::INSTANCES_MAX)))
        .with("max_user_watches", of.text(|_| line(crate::inotify::WATCHES_MAX)));
    let table = Protection::ALL.into_iter().fold(Table::new(), |table, which| {
        let (shown, set) = (of.clone(), of.clone());
        let show = move || Ok(line(shown.kernel()?.vfs().protections().get(which)).into_bytes());
        let store = move |value: &str| protect(&*set.kernel()?, which, value);
        table.with(which.name(), Entry { mode: 0o600, ..setting(show, store) })
    });
    table
        .with("file-max", of.text(|_| line(i64::MAX)))
        .with("inotify", inotify.entry())
        .with("lease-break-time", lease_break_time(of))
        .with("nr_open", of.text(|_| line(1 << 20)))
        .with("pipe-max-size", of.text(|_| line(1 << 20)))
}

/// How long one who has a lease may take to let it go, in seconds.
fn lease_break_time(of: &Of) -> Entry {
    let (shown, set) = (of.clone(), of.clone());
    let show = move || Ok(line(shown.kernel()?.vfs().lease_break_secs().load(Relaxed)).into_bytes());
    setting(show, move |value| set.kernel()?.sysctl_set(LEASE_BREAK_TIME, value))
}

/// Sets one of `fs.protected_*`.
fn protect(kernel: &Kernel, which: Protection, value: &str) -> Result<()> {
    kernel.vfs().protections().set(which, value.trim().parse().map_err(|_| Errno::EINVAL)?)
}

/// Settings outside the network, by their paths below `/proc/sys`, for who sets them from outside.
impl Kernel {
    /// Their names.
    pub fn sysctl_names() -> Vec<String> {
        let mut names: Vec<String> = Protection::ALL.map(|which| format!("fs/{}", which.name())).into();
        names.push(LEASE_BREAK_TIME.to_owned());
        names
    }

    /// Sets one.
    ///
    /// # Errors
    /// `ENOENT` if it is none of them; `EINVAL`.
    pub fn sysctl_set(&self, path: &str, value: &str) -> Result<()> {
        if path == LEASE_BREAK_TIME {
            let secs = value.trim().parse().ok().filter(|secs| i32::try_from(*secs).is_ok()).ok_or(Errno::EINVAL)?;
            self.vfs().lease_break_secs().store(secs, Relaxed);
            return Ok(());
        }
        protect(self, protection(path).ok_or(Errno::ENOENT)?, value)
    }

    /// What values it takes, in words.
    pub fn sysctl_expected(path: &str) -> Option<String> {
        let most = if path == LEASE_BREAK_TIME { i32::MAX } else { protection(path)?.most().into() };
        Some(format!("a number from 0 to {most}"))
    }
}

fn protection(path: &str) -> Option<Protection> {
    let name = path.strip_prefix("fs/")?;
    Protection::ALL.into_iter().find(|which| which.name() == name)
}

fn line(value: impl std::fmt::Display) -> String {
    format!("{value}\n")
}

fn kernel(of: &Of) -> Table {
    let random = Table::new()
        .with("boot_id", of.text(|k| line(uuid(k.boot_id()))))
        .with("entropy_avail", of.text(|_| line(256)))
        .with("poolsize", of.text(|_| line(256)))
        .with("uuid", of.text(|k| line(uuid(k.random()))));
    Table::new()
        .with("domainname", name(of, 1))
        .with("hostname", name(of, 0))
        .with("osrelease", of.text(|k| line(part(k, 2))))
        .with("ostype", of.text(|k| line(part(k, 0))))
        .with("pid_max", of.text(|_| line(1 << 22)))
        .with("random", random.entry())
        .with("version", of.text(|k| line(part(k, 3))))
}

fn part(kernel: &Kernel, which: usize) -> String {
    kernel.names.all().get(which).map(|n| String::from_utf8_lossy(n).into_owned()).unwrap_or_default()
}

/// The name of the node (0) or of its domain (1), which can be set.
fn name(of: &Of, which: usize) -> Entry {
    let (shown, set) = (of.clone(), of.clone());
    let show = move || Ok([shown.kernel()?.names.get(which), b"\n".to_vec()].concat());
    setting(show, move |value| set.kernel()?.names.set(which, value.as_bytes()))
}

/// As text, of version 4 (RFC 9562, section 5.4).
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex.get(range).unwrap_or_default().concat()).join("-")
}

fn vm(of: &Of) -> Table {
    let drop = of.clone();
    let drop_caches = move |value: &str| match value.trim() {
        "1" | "2" | "3" => {
            drop.kernel()?.vfs().env().drop_caches();
            Ok(())
        }
        _ => Err(Errno::EINVAL),
    };
    Table::new()
        .with("dirty_expire_centisecs", of.text(|_| line(3000)))
        .with("dirty_writeback_centisecs", of.text(|_| line(500)))
        .with("drop_caches", Entry { mode: 0o200, ..setting(|| Ok(b"0\n".to_vec()), drop_caches) })
        .with("overcommit_memory", of.text(|_| line(0)))
}
