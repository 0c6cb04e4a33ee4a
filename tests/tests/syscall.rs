//! One test program, two kernels: each case of `syscall/*.c` is run on the host's kernel in a fresh network namespace
//! and on ours under `LD_PRELOAD`, and must print the same.
//!
//! `LKL_HIJACK_SO` names the library; without it the release build beside this test's is taken. `LKL_SYSCALL_CASE`
//! picks the cases whose names contain it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long one case may take: all of them wait for less than five seconds.
const LIMIT: Duration = Duration::from_secs(20);

fn library() -> PathBuf {
    let path = std::env::var_os("LKL_HIJACK_SO").map_or_else(
        || {
            let tmp = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
            tmp.with_file_name("release").join("liblkl_hijack.so")
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is not there: build it (cargo build --release -p lkl-hijack) or set LKL_HIJACK_SO",
        path.display()
    );
    path
}

/// Builds the program of all `.c` files.
fn program() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("syscall");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("syscall-cases");
    let mut sources: Vec<_> = std::fs::read_dir(&dir)
        .expect("syscall/ can be read")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "c"))
        .collect();
    sources.sort();
    let status = Command::new("cc")
        .args([
            "-std=gnu17",
            "-O1",
            "-g",
            "-pthread",
            "-Wall",
            "-Wextra",
            "-Wno-stringop-overflow",
            "-Wno-stringop-overread",
        ])
        .arg("-o")
        .arg(&out)
        .args(&sources)
        .status()
        .expect("cc runs");
    assert!(status.success(), "cc fails");
    out
}

/// Runs a case in a network namespace of its own, where only lo is, and is up.
fn run(program: &Path, case: &str, preload: Option<&Path>) -> String {
    let mut command = Command::new("unshare");
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    command.args(if root { &["-n"][..] } else { &["-r", "-n"][..] });
    command.args([
        "sh",
        "-c",
        "ip link set lo up && P=$1 && shift && if [ -n \"$P\" ]; then export LD_PRELOAD=\"$P\"; fi && exec \"$@\"",
        "sh",
    ]);
    command.arg(preload.unwrap_or(Path::new(""))).arg(program).arg(case);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("unshare runs");
    let id = child.id();
    let (tx, rx) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        let end = Instant::now() + LIMIT;
        if rx.recv_timeout(end.saturating_duration_since(Instant::now())).is_err() {
            // `exec` all the way: the child is the program itself.
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
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
fn difference(host: &str, ours: &str) -> Option<String> {
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

#[test]
fn both_kernels_answer_alike() {
    let (library, program) = (library(), program());
    let wanted = std::env::var("LKL_SYSCALL_CASE").unwrap_or_default();
    let list = Command::new(&program).output().expect("the program lists its cases");
    let list = String::from_utf8(list.stdout).expect("names are ASCII");
    let mut failed = Vec::new();
    for case in list.lines().filter(|c| c.contains(&wanted)) {
        let host = run(&program, case, None);
        let ours = run(&program, case, Some(&library));
        if let Some(text) = difference(&host, &ours) {
            println!("{case}:\n{text}");
            failed.push(case);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases differ: {}", failed.len(), list.lines().count(), failed.join(" "));
}
