//! Calls on files, two kernels: each case of `files/*.c` is run on a mounted ext4 of the host's and on the same image (and on an ext2) by
//! `LKL_HIJACK_DISK`, and must print the same; afterwards `e2fsck` must find nothing wrong with ours.
//!
//! Where the host cannot mount an image (no root, no loop devices), nothing is compared, and a line says so; with `CI=true` that is a
//! failure. `LKL_SYSCALL_CASE` picks the cases whose names contain it.

use lkl_tests::cases::{self, On};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of this test's own, which goes with the value.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lkl-file-calls-{}", std::process::id()));
        std::fs::create_dir_all(path.join("mnt")).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("no odd directories").to_owned()
    }

    /// A new one of 64 MiB: ext4, or ext2, whose files have block maps.
    fn image(&self, kind: &str, name: &str) -> String {
        let path = self.path(name);
        let file = std::fs::File::create(&path).expect("an image");
        file.set_len(64 << 20).expect("room");
        let made = Command::new("mke2fs").args(["-t", kind, "-q", "-F", "-b", "4096", &path]).status();
        assert!(made.expect("mke2fs runs").success(), "mke2fs fails");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// The host's `fs.protected_*`, for ours, which has none at first.
fn protections() -> String {
    let setting = |name: &&str| {
        let value = std::fs::read_to_string(format!("/proc/sys/fs/protected_{name}"));
        format!("fs.protected_{name}={};", value.expect("a setting").trim())
    };
    ["hardlinks", "symlinks", "regular", "fifos"].iter().map(setting).collect()
}

#[test]
fn both_kernels_answer_alike() {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (library, program) = (cases::library(tmp), tmp.join("file-cases"));
    cases::program(&program, &["files", "syscall/main.c"]);
    let place = Place::new();
    let mnt = place.path("mnt");
    let mount = |image: &str| format!("mount -o loop '{image}' '{mnt}' && ");
    let tried = cases::run(Path::new("true"), "", On::Host, &mount(&place.image("ext4", "host.img")), &[]);
    if !tried.contains("exit status: 0") {
        assert!(std::env::var_os("CI").is_none(), "an image cannot be mounted: {tried}");
        println!("skipped: an image cannot be mounted: {tried}");
        return;
    }
    let wanted = std::env::var("LKL_SYSCALL_CASE").unwrap_or_default();
    let list = cases::list(&program);
    let dir = ("T_DIR", mnt.clone());
    let mut failed = Vec::new();
    let kinds = |case| ["ext4", "ext2"].map(|kind| (kind, case));
    for (kind, case) in list.iter().filter(|c| c.contains(&wanted)).flat_map(kinds) {
        let before = mount(&place.image(kind, "host.img"));
        let host = cases::run(&program, case, On::Host, &before, std::slice::from_ref(&dir));
        let image = place.image(kind, "ours.img");
        let disk = ("LKL_HIJACK_DISK", format!("{image}:{mnt}"));
        let sysctl = ("LKL_HIJACK_SYSCTL", protections());
        let ours = cases::run(&program, case, On::Ours(&library), "", &[dir.clone(), disk, sysctl]);
        let checked = Command::new("e2fsck").args(["-fn", &image]).output().expect("e2fsck runs");
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        let wrong = (!checked.status.success()).then_some(said);
        if let Some(text) = cases::difference(&host, &ours).or(wrong) {
            println!("{case} on {kind}:\n{text}");
            failed.push(format!("{case} on {kind}"));
        }
    }
    assert!(failed.is_empty(), "of {} cases these differ: {}", list.len(), failed.join(", "));
}
