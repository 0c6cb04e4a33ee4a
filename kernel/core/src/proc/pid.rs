//! `/proc/PID`: what the kernel knows of a process (`man 5 proc_pid`). Its memory, threads and program are its host's.

use super::{made, NetDir, Of};
use crate::files;
use crate::process::Process;
use crate::signalfd::SignalFd;
use lkl_abi::fcntl::{O_ACCMODE, O_CLOEXEC, O_PATH, O_RDONLY, O_WRONLY};
use lkl_abi::resource::RLIM_INFINITY;
use lkl_abi::{Errno, Result};
use lkl_pseudo::{text, Entry, Kind, Table};
use lkl_vfs::{InodeKind, Link, Place};
use std::fmt::Write;
use std::sync::{Arc, Weak};

/// A process that may be gone by the time somebody looks.
#[derive(Clone)]
struct Who(Weak<Process>);

impl Who {
    fn get(&self) -> Result<Arc<Process>> {
        self.0.upgrade().ok_or(Errno::ESRCH)
    }

    /// For a look-up, which holds locks: the process is let go later.
    fn with<T>(&self, f: impl FnOnce(&Arc<Process>) -> T) -> Option<T> {
        let process = self.0.upgrade()?;
        let result = f(&process);
        let kernel = process.kernel().clone();
        kernel.drop_later(process);
        Some(result)
    }

    fn text(&self, show: fn(&Process) -> String) -> Entry {
        let who = self.clone();
        text(move || Ok(show(&*who.get()?).into_bytes()))
    }

    /// A link to a place.
    fn place(&self, find: fn(&Process) -> Place) -> Entry {
        let who = self.clone();
        let follow = move |_: &lkl_vfs::Caller| {
            let process = who.0.upgrade().ok_or(Errno::ENOENT)?;
            Ok(Link::Magic(Arc::new(find(&process))))
        };
        Entry::new(Kind::Link(Arc::new(follow)), 0o777)
    }
}

/// The directory of a process.
pub(super) fn directory(process: &Arc<Process>) -> Entry {
    let who = Who(Arc::downgrade(process));
    let threads = who.clone();
    let task = made(
        move |name| {
            let tid = super::number(name)?;
            let found = |p: &Arc<Process>| (p.pid() == tid || p.has_thread(tid)).then(|| table(p, &threads).entry());
            threads.with(found)?
        },
        {
            let who = who.clone();
            move || {
                let tids = who.with(|p| p.threads()).unwrap_or_default();
                tids.iter().map(|tid| (tid.to_string().into_bytes(), InodeKind::Directory)).collect()
            }
        },
    );
    let cred = process.credentials();
    table(process, &who).with("task", task).entry().owned(cred.fs().uid, cred.fs().gid)
}

fn table(process: &Process, who: &Who) -> Table {
    let of = Of(Arc::downgrade(process.kernel()));
    let at = who.clone();
    let cmdline = text(move || Ok(at.get()?.command()));
    Table::new()
        .with("cmdline", cmdline)
        .with("comm", who.text(|p| format!("{}\n", name(p))))
        .with("cwd", who.place(Process::cwd))
        .with("fd", descriptors(who))
        .with("fdinfo", descriptor_infos(who))
        .with("limits", who.text(limits))
        .with("mountinfo", who.text(files::mountinfo))
        .with("mounts", who.text(files::mounts))
        .with("net", NetDir::entry(&of, "/proc/net"))
        .with("root", who.place(Process::root))
        .with("stat", who.text(stat))
        .with("statm", who.text(|_| "0 0 0 0 0 0 0\n".to_owned()))
        .with("status", who.text(status))
}

/// The descriptor of that name, and the flags of what is open there.
fn descriptor(who: &Who, name: &[u8]) -> Option<(i32, u32)> {
    let fd = if name == b"0" { 0 } else { super::number(name).filter(|n| *n > 0)? };
    who.with(|process| {
        let file = process.file(fd).ok()?;
        let flags = file.flags();
        process.kernel().drop_later(file);
        Some((fd, flags))
    })?
}

fn list(who: &Who, kind: InodeKind) -> Vec<(Vec<u8>, InodeKind)> {
    let fds = who.with(|p| p.descriptors()).unwrap_or_default();
    fds.iter().map(|fd| (fd.to_string().into_bytes(), kind)).collect()
}

/// `/proc/PID/fd`: links to what is open.
fn descriptors(who: &Who) -> Entry {
    let (get, names) = (who.clone(), who.clone());
    let entry = made(
        move |name| {
            let (fd, flags) = descriptor(&get, name)?;
            let mode = match flags & (O_ACCMODE | O_PATH) {
                O_RDONLY => 0o500,
                O_WRONLY => 0o300,
                flags if flags & O_PATH != 0 => 0,
                _ => 0o700,
            };
            let who = get.clone();
            let follow = move |_: &lkl_vfs::Caller| {
                let file = who.get().and_then(|p| p.file(fd)).map_err(|_| Errno::ENOENT)?;
                Ok(match file.place() {
                    Some(place) => Link::Magic(Arc::new(place.clone())),
                    None => Link::Magic(Arc::new(files::Nameless::new(&file))),
                })
            };
            Some(Entry { size: 64, ..Entry::new(Kind::Link(Arc::new(follow)), mode) })
        },
        move || list(&names, InodeKind::Symlink),
    );
    Entry { mode: 0o500, ..entry }
}

/// `/proc/PID/fdinfo`: where each stands.
fn descriptor_infos(who: &Who) -> Entry {
    let (get, names) = (who.clone(), who.clone());
    made(
        move |name| {
            let (fd, _) = descriptor(&get, name)?;
            let who = get.clone();
            let show = move || {
                let process = who.get()?;
                let file = process.file(fd).map_err(|_| Errno::ENOENT)?;
                let cloexec = if process.numbers().cloexec(fd) { O_CLOEXEC } else { 0 };
                let mount = file.place().map_or(0, |p| p.mount.id());
                let flags = file.flags() | cloexec;
                let (at, ino) = (file.position(), file.place().map_or(file.file().ino(), |p| p.node().ino()));
                let mask = file.file().downcast_ref::<SignalFd>().map(SignalFd::mask);
                let own = mask.map_or_else(String::new, |mask| format!("sigmask:\t{mask:016x}\n"));
                Ok(format!("pos:\t{at}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{ino}\n{own}").into_bytes())
            };
            Some(Entry { mode: 0o400, ..text(show) })
        },
        move || list(&names, InodeKind::Regular),
    )
}

/// The last part of the program's name, of 15 bytes at most.
fn name(process: &Process) -> String {
    let command = process.command();
    let program = command.split(|b| *b == 0).next().unwrap_or_default();
    let last = program.rsplit(|b| *b == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(last.get(..15).unwrap_or(last)).into_owned()
}

fn stat(process: &Process) -> String {
    let numbers = [process.pid(), process.parent_pid(), process.pid(), process.pid()];
    let [pid, parent, group, session] = numbers;
    let threads = process.threads().len();
    let mut out =
        format!("{pid} ({}) R {parent} {group} {session} 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads}", name(process));
    // From `itrealvalue` on.
    for _ in 21..=52 {
        out.push_str(" 0");
    }
    out.push('\n');
    out
}

fn status(process: &Process) -> String {
    let cred = process.credentials();
    let ids = |ids: crate::Ids, fs: u32| format!("{}\t{}\t{}\t{fs}", ids.real, ids.effective, ids.saved);
    let groups: String = cred.groups().iter().map(|g| format!("{g} ")).collect();
    let capabilities = if cred.privileged() { "000001ffffffffff" } else { "0000000000000000" };
    let pid = process.pid();
    let lines = [
        ("Name", name(process)),
        ("Umask", format!("{:04o}", process.umask())),
        ("State", "R (running)".to_owned()),
        ("Tgid", pid.to_string()),
        ("Ngid", "0".to_owned()),
        ("Pid", pid.to_string()),
        ("PPid", process.parent_pid().to_string()),
        ("TracerPid", "0".to_owned()),
        ("Uid", ids(cred.uid(), cred.fs().uid)),
        ("Gid", ids(cred.gid(), cred.fs().gid)),
        ("FDSize", process.descriptors().last().map_or(64, |n| (n + 1).max(64)).to_string()),
        ("Groups", groups),
        ("Threads", process.threads().len().to_string()),
        ("CapInh", "0000000000000000".to_owned()),
        ("CapPrm", capabilities.to_owned()),
        ("CapEff", capabilities.to_owned()),
    ];
    let mut out = String::new();
    for (name, value) in lines {
        let _never = writeln!(out, "{name}:\t{value}");
    }
    out
}

fn limits(process: &Process) -> String {
    const UNITS: [(&str, &str); 16] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let mut out = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (name, unit) in UNITS {
        let [now, most] = match name {
            "Max file size" => process.size_limit().map(|n| match n {
                RLIM_INFINITY => "unlimited".to_owned(),
                n => n.to_string(),
            }),
            "Max open files" => process.file_limit().map(|n| n.to_string()),
            _ => ["unlimited"; 2].map(str::to_owned),
        };
        let _never = writeln!(out, "{name:<25} {now:<20} {most:<20} {unit:<10}");
    }
    out
}
