//! One C program under the library, which is preloaded: `programs/checks.c`. Only `lo` is needed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

struct Built {
    library: PathBuf,
    program: PathBuf,
}

/// The library and the program, built once. Cargo does not build a cdylib for the tests of its own package.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        // .../<profile>/deps/preload-<hash>
        let exe = std::env::current_exe().unwrap();
        let profile = exe.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "lkl-hijack"]).env("CARGO_TARGET_DIR", profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        let program = profile.join("hijack-checks");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/checks.c");
        let cc = Command::new("cc").args(["-O1", "-w", "-o"]).arg(&program).arg(source).arg("-lpthread").status();
        assert!(cc.unwrap().success());
        Built { library: profile.join("liblkl_hijack.so"), program }
    })
}

fn run(name: &str, vars: &[(&str, &str)]) -> Output {
    let b = built();
    let mut c = Command::new("timeout");
    c.args(["30", "env"]).arg(format!("LD_PRELOAD={}", b.library.display()));
    c.args(vars.iter().map(|(n, v)| format!("{n}={v}")));
    c.arg(&b.program).arg(name).stdin(Stdio::null()).output().unwrap()
}

fn passes(name: &str) {
    let out = run(name, &[]);
    assert!(out.status.success(), "{name}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr));
}

macro_rules! checks {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            passes(stringify!($name));
        }
    )* };
}

checks! {
    numbers refusals segv mixed_poll mixed_epoll signals signal_storm cancel children libc_inside listing files_out
    threads
}

#[test]
fn a_daemon_goes_on_with_its_sockets() {
    let out = run("goes_on", &[]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "went on\n", "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn bad_configuration_is_loud() {
    let out = run("numbers", &[("LKL_HIJACK_NET_IP", "300.1.1.1")]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(125), "{text}");
    assert!(text.lines().count() == 1 && text.contains("LKL_HIJACK_NET_IP") && text.contains("300.1.1.1"), "{text}");
}

#[test]
fn without_the_patch_the_symbols_still_work() {
    for name in ["numbers", "mixed_epoll", "signals"] {
        let out = run(name, &[("LKL_HIJACK_LIBC_PATCH", "0")]);
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    }
}
