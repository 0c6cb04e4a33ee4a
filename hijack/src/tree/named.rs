//! Kernels with a name: unrelated commands of one user join them, and they live until they are told to end.
//!
//! The first command that names one boots it, in a process that is made for this and ends at once: what is left is the keeper
//! ([`crate::keeper`]), which listens in the user's [`place`]. Every command, also the first, is a member that comes from
//! outside: the connection that it makes is its *meeting place*, and that of all the processes that it starts. So none of them has the
//! kernel in its memory, and none can harm it when it is killed.

pub(crate) mod place;

use super::message::{self, kind, Message};
use crate::fds;
use crate::sys::{self, host};
use lkl_abi::Errno;
use lkl_host::Config;
use place::{Door, Place};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

/// The variable that makes the library answer a question instead of letting the program begin: `list`, or `stop=NAME`.
pub(crate) const ASK: &str = "LKL_HIJACK_ASK";

/// The variable with the disk images of a kernel.
const DISK: &str = "LKL_HIJACK_DISK";

/// How many milliseconds a kernel may take to answer.
const PATIENCE: i32 = 10_000;

/// The name of the kernel of this process's tree.
static NAME: OnceLock<String> = OnceLock::new();

/// The name of the kernel of this process's tree; empty if it has none.
pub(crate) fn name() -> &'static str {
    NAME.get().map_or("", String::as_str)
}

/// Sets [`name`], once.
pub(super) fn set_name(name: &str) {
    let _first = NAME.set(name.to_owned());
}

/// What a kernel tells of itself.
#[derive(Default, Debug)]
struct Status {
    /// Its keeper.
    pid: i32,
    /// What it was started with, as [`Config::settings`] has it.
    settings: BTreeMap<String, String>,
    /// The names of what runs in its processes.
    programs: Vec<String>,
    /// Its network devices, in one word.
    devices: String,
}

/// How a keeper writes its [`Status`]: `settings` are the lines of [`settings_text`], `processes` pairs of number and name.
pub(crate) fn status_text(pid: i32, settings: &str, processes: impl Iterator<Item = (i32, String)>) -> String {
    /// Lines that do not fit into a message are left out.
    const MOST: usize = message::BYTES - 1024;
    let mut text = format!("pid {pid}\n{settings}");
    for (pid, name) in processes {
        let line = format!("process {pid} {}\n", name.replace(char::is_control, "?"));
        if text.len() + line.len() > MOST {
            break;
        }
        text.push_str(&line);
    }
    text
}

/// What a kernel was started with, as its keeper keeps it.
pub(crate) fn settings_text(config: &Config) -> String {
    let devices: Vec<_> = config.nets.iter().map(|n| n.device.to_string().replace([' ', '\n'], "?")).collect();
    let devices = if devices.is_empty() { "-".into() } else { devices.join(",") };
    config.settings().iter().fold(format!("devices {devices}\n"), |mut text, (key, value)| {
        // Values of settings have no line breaks of their own, but what the kernel takes for space.
        let _written = writeln!(text, "set {key} {}", value.replace('\n', " "));
        text
    })
}

impl Status {
    fn read(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("pid"), Some(pid), None) => status.pid = pid.parse().unwrap_or(0),
                (Some("devices"), Some(all), None) => status.devices = all.into(),
                (Some("set"), Some(key), Some(value)) => {
                    status.settings.insert(key.into(), value.into());
                }
                (Some("process"), Some(_), Some(name)) => status.programs.push(name.into()),
                _ => {}
            }
        }
        status
    }
}

/// Sends a question on `connection`; answers what comes back.
fn question(connection: i32, kind: u64) -> Result<Message, Errno> {
    message::send(connection, &[kind], &[], 0)?;
    if !sys::readable_within(connection, PATIENCE) {
        return Err(Errno::ETIMEDOUT);
    }
    message::receive(connection, 0)
}

fn status(connection: i32) -> Result<Status, Errno> {
    question(connection, kind::STATUS).map(|m| Status::read(&m.text(1)))
}

/// This process belongs to the kernel `name` from now on, which `boot` makes if it does not run.
///
/// # Errors
/// One line that says why not.
pub(crate) fn join(config: &Config, name: &str, boot: impl Fn(Door) -> Result<(), String>) -> Result<(), String> {
    /// How often one may be found that is about to end.
    const TRIES: u32 = 5;
    let refused = |problem: String| format!("lkl-hijack: LKL_HIJACK_KERNEL={name}: {problem}");
    let mut tries = 1;
    let (meeting, there) = loop {
        let (meeting, place) = match find(name).map_err(refused)? {
            Some(found) => found,
            None => start(name, &boot, &refused)?,
        };
        match status(meeting) {
            Ok(there) => break (meeting, there),
            Err(Errno::EPIPE | Errno::ECONNRESET) if tries < TRIES => tries += 1,
            Err(e) => return Err(refused(format!("the kernel at {}/{name} does not answer ({e})", place.path()))),
        }
        sys::close(meeting);
    };
    for (key, value) in config.settings() {
        match there.settings.get(&key) {
            Some(other) if *other == value => {}
            Some(other) => sys::say(&format!("lkl-hijack: {key}={value}: not set, kernel {name} runs with {other}")),
            None => sys::say(&format!("lkl-hijack: {key}={value}: not set, kernel {name} was started without it")),
        }
    }
    // What its files are and where is known to whoever started it; the processes that this one starts are told, too.
    if let Some(disks) = there.settings.get(DISK).filter(|_| config.disks.is_empty()) {
        let theirs = Config::from_vars([(DISK.into(), disks.into())]).map_err(|e| e.line())?;
        crate::paths::place::set(theirs.disks.into_iter().map(|d| d.target));
        crate::exec::keep(DISK, disks);
    }
    set_name(name);
    super::meet(fds::privatise(meeting));
    Ok(())
}

/// The kernel `name` and where it is: the caller's own, or for root the one that has the name.
fn find(name: &str) -> Result<Option<(i32, Place)>, String> {
    let at = |place: Place| match place.connect(name) {
        Ok(Some(connection)) => Ok(Some((connection, place))),
        Ok(None) => Ok(None),
        Err(e) => Err(format!("{}/{name}: {e}", place.path())),
    };
    if let Some(found) = Place::mine(false)?.map(at).transpose()?.flatten() {
        return Ok(Some(found));
    }
    let mut found = Place::others().into_iter().map(at).collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
    let first = found.next();
    let more: Vec<_> = found.collect();
    if let (Some((connection, place)), false) = (&first, more.is_empty()) {
        let users: Vec<_> = more.iter().map(|(_, place)| user_name(place.user)).collect();
        more.iter().map(|m| &m.0).chain([connection]).for_each(|fd| sys::close(*fd));
        let users = [vec![user_name(place.user)], users].concat().join(", ");
        return Err(format!("expected a name that only one kernel has, these users have one: {users}"));
    }
    Ok(first)
}

/// Starts the kernel, unless somebody else is quicker.
fn start(
    name: &str,
    boot: impl Fn(Door) -> Result<(), String>,
    refused: &dyn Fn(String) -> String,
) -> Result<(i32, Place), String> {
    let broken = |e: rustix::io::Errno| refused(e.to_string());
    let place = Place::mine(true).map_err(refused)?.ok_or_else(|| refused("no place for it".into()))?;
    let locked = place.lock().map_err(broken)?;
    if let Some(meeting) = place.connect(name).map_err(broken)? {
        drop(locked);
        return Ok((meeting, place));
    }
    if !crate::start::wants_keeper() {
        return Err(refused("it does not run, and with LKL_HIJACK_KEEPER=0 (or valgrind) it cannot be started".into()));
    }
    let door = place.listen(name, &locked).map_err(broken)?;
    let (socket, dir) = (door.socket, door.dir);
    let booted = apart(|| boot(door));
    sys::close(socket);
    sys::close(dir);
    let meeting = booted.and_then(|()| {
        place.connect(name).map_err(broken)?.ok_or_else(|| refused("it has ended as soon as it was started".into()))
    });
    if meeting.is_err() {
        place.remove(name);
    }
    drop(locked);
    meeting.map(|fd| (fd, place))
}

/// Runs `f` in a process of its own, and waits for its end. The caller has only one thread.
fn apart(f: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let failed = |e: Errno| format!("lkl-hijack: no process for the kernel can be made ({e})");
    // How the error comes back.
    let pair = message::pair().map_err(failed)?;
    // SAFETY: as `fork`, in a process with one thread: the child has a copy of all memory and goes on from here. It is no child that the
    // program's `wait` would see, for it has no exit signal, and it is waited for.
    let child = unsafe { host!(libc::SYS_clone, 0u64, 0u64, 0u64, 0u64, 0u64) }.map_err(failed)?;
    if child == 0 {
        sys::close(pair[0]);
        let status = match f() {
            Ok(()) => 0,
            Err(line) => {
                let _told = message::send(pair[1], &message::text(&line), &[], 0);
                1
            }
        };
        sys::exit(status);
    }
    sys::close(pair[1]);
    let mut status = -1i32;
    // SAFETY: room for the status.
    while unsafe { host!(libc::SYS_wait4, child, &raw mut status, libc::__WALL, 0usize) } == Err(Errno::EINTR) {}
    let line = (status != 0).then(|| match message::receive(pair[0], libc::MSG_DONTWAIT) {
        Ok(m) => m.text(0),
        Err(_) => format!("lkl-hijack: the process that was to boot the kernel has ended (wait status {status:#x})"),
    });
    sys::close(pair[0]);
    line.map_or(Ok(()), Err)
}

/// What the wrapper's `--list` and `--stop` ask for.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn ask(question: &str) -> Result<(), String> {
    match question.split_once('=') {
        Some(("stop", name)) => stop(name).map_err(|problem| format!("lkl-hijack: --stop {name}: {problem}")),
        None if question == "list" => list().map_err(|problem| format!("lkl-hijack: --list: {problem}")),
        _ => Err(format!("lkl-hijack: {ASK}={question}: expected list, or stop=NAME")),
    }
}

/// All places that the caller may look at.
fn places() -> Result<impl Iterator<Item = Place>, String> {
    Ok(Place::mine(false)?.into_iter().chain(Place::others()))
}

/// Prints the kernels that run.
fn list() -> Result<(), String> {
    let mut rows = vec![["NAME", "PID", "USER", "DEVICES", "PROCESSES"].map(str::to_owned)];
    for place in places()? {
        for name in place.names() {
            let Ok(Some(connection)) = place.connect(&name) else {
                sweep(&place, &name);
                continue;
            };
            let status = status(connection);
            sys::close(connection);
            let user = user_name(place.user);
            rows.push(match status {
                Ok(s) => {
                    let programs = format!("{} {}", s.programs.len(), s.programs.join(" "));
                    [name, s.pid.to_string(), user, s.devices, programs]
                }
                Err(e) => [name, "?".into(), user, "?".into(), format!("does not answer ({e})")],
            });
        }
    }
    let wide = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let [a, b, c, d] = [0, 1, 2, 3].map(wide);
    let text = rows.iter().fold(String::new(), |mut text, [name, pid, user, devices, programs]| {
        let _written =
            writeln!(text, "{}", format!("{name:a$}  {pid:>b$}  {user:c$}  {devices:d$}  {programs}").trim_end());
        text
    });
    sys::print(&text).map_err(|e| e.to_string())
}

/// Takes away what a dead kernel has left.
fn sweep(place: &Place, name: &str) {
    if place.lock().is_ok_and(|_locked| {
        matches!(place.connect(name), Ok(None)) && {
            place.remove(name);
            true
        }
    }) {
        sys::say(&format!(
            "lkl-hijack: kernel {name} was not ended properly: what it has left in {} is removed",
            place.path()
        ));
    }
}

/// Ends a kernel: waits until its peers have all that was sent.
fn stop(name: &str) -> Result<(), String> {
    let Some((connection, _)) = find(name)? else {
        let there: Vec<String> = places()?.flat_map(|place| place.names()).collect();
        let hint = if there.is_empty() { "there is none".into() } else { format!("there are {}", there.join(", ")) };
        return Err(format!("expected the name of a kernel that runs; {hint}"));
    };
    let pid = status(connection).map(|s| s.pid);
    match question(connection, kind::STOP).map(|m| m.word(0)) {
        // It is about to end already.
        Ok(0) | Err(Errno::EPIPE | Errno::ECONNRESET) => {}
        Ok(e) => return Err(Errno(e as i32).to_string()),
        Err(e) => return Err(format!("it does not answer ({e}); its process is {}", pid.unwrap_or(0))),
    }
    // The end of the connection is the end of the process.
    while message::receive(connection, 0).is_ok() {}
    Ok(())
}

/// The name of a user, from `/etc/passwd`; the number if it is not there.
fn user_name(user: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| user.to_string())
}
