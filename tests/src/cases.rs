//! Test programs in C whose cases run on two kernels and must print the same: the host's, and ours under `LD_PRELOAD`.
//!
//! `LKL_HIJACK_SO` names the library; without it the release build is taken that is beside the test's directory for files, `tmp`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long one case may take: all of them wait for less than five seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// The library. Panics if it has not been built.
pub fn library(tmp: &Path) -> PathBuf {
    let path = std::env::var_os("LKL_HIJACK_SO")
        .map_or_else(|| tmp.with_file_name("release").join("liblkl_hijack.so"), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: build it (cargo build --release -p lkl-hijack) or set LKL_HIJACK_SO",
        path.display()
    );
    path
}

/// Builds `out` of the files in `dirs`, which are below `tests` or files there.
pub fn program(out: &Path, sources: &[&str]) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for source in sources {
        let path = top.join(source);
        if path.is_file() {
            files.push(path);
            continue;
        }
        let dir = std::fs::read_dir(&path).expect("a directory of sources");
        files.extend(dir.map(|e| e.expect("an entry").path()).filter(|p| p.extension().is_some_and(|e| e == "c")));
    }
    files.sort();
    let status = Command::new("cc")
        .args(["-std=gnu17", "-O1", "-g", "-pthread", "-Wall", "-Wextra"])
        .args(["-Wno-stringop-overflow", "-Wno-stringop-overread"])
        .arg("-I")
        .arg(top.join("syscall"))
        .arg("-o")
        .arg(out)
        .args(&files)
        .status()
        .expect("cc runs");
    assert!(status.success(), "cc fails");
}

/// The names of a program's cases.
pub fn list(program: &Path) -> Vec<String> {
    let list = Command::new(program).output().expect("the program lists its cases");
    String::from_utf8(list.stdout).expect("names are ASCII").lines().map(str::to_owned).collect()
}

/// Is this root?
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// Whose kernel a case runs on.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// The host's.
    Host,
    /// Ours, with this library, in the process that boots it.
    Ours(&'a Path),
    /// In a child of such a process, whose calls go by shared memory.
    Child(&'a Path),
}

/// Runs a case in a network namespace of its own, where only lo is, and is up, after the shell's `before`. Answers all that it prints, and
/// how it ends.
pub fn run(program: &Path, case: &str, on: On<'_>, before: &str, env: &[(&str, String)]) -> String {
    let mut command = Command::new("unshare");
    command.args(if is_root() { &["-n", "-m"][..] } else { &["-r", "-n", "-m"][..] });
    let script = format!(
        "ip link set lo up && {before}P=$1 && shift && if [ -n \"$P\" ]; then export LD_PRELOAD=\"$P\"; fi && exec \"$@\""
    );
    command.args(["sh", "-c", &script, "sh"]);
    match on {
        On::Host => command.arg(""),
        On::Ours(library) => command.arg(library),
        // What the shell does after the program keeps it there.
        On::Child(library) => command.arg(library).args(["sh", "-c", "\"$@\"; exit $?", "sh"]),
    };
    command.arg(program).arg(case);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.envs(env.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("unshare runs");
    let id = child.id();
    let (tx, rx) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        let end = Instant::now() + LIMIT;
        if rx.recv_timeout(end.saturating_duration_since(Instant::now())).is_err() {
            // The program, and a shell around it.
            let _ = Command::new("kill").args(["-9", "--", &format!("-{id}")]).status();
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the case ends");
    let _ = tx.send(());
    watch.join().expect("the watch ends");
    let mut text = String::from_utf8_lossy(&stdout).into_owned();
    text += &String::from_utf8_lossy(&stderr);
    text + &format!("{status}\n")
}

/// The lines that differ, each with its text on both kernels; a run of equal lines only once around.
pub fn difference(host: &str, ours: &str) -> Option<String> {
    if host == ours {
        return None;
    }
    let (h, o): (Vec<_>, Vec<_>) = (host.lines().collect(), ours.lines().collect());
    let mut text = String::new();
    let mut shown = 0;
    for i in 0..h.len().max(o.len()) {
        let (a, b) = (h.get(i), o.get(i));
        if a == b {
            continue;
        }
        shown += 1;
        if shown > 12 {
            text += "    ...\n";
            break;
        }
        text += &format!(
            "    line {}\n      host: {}\n      ours: {}\n",
            i + 1,
            a.unwrap_or(&"(none)"),
            b.unwrap_or(&"(none)")
        );
    }
    Some(text)
}
