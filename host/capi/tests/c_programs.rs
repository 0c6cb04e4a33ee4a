//! Programs in C (`tests/boot`), compiled against the headers and linked with `liblkl.so` and `liblkl.a`, as LKL's users do it. Each
//! prints TAP.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, io};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Is a program there? In CI all must be.
fn there(program: &str) -> bool {
    match Command::new(program).arg("--version").output() {
        Ok(_) => true,
        Err(e) if e.kind() == io::ErrorKind::NotFound && env::var_os("CI").is_none() => {
            eprintln!("skipped: there is no {program}");
            false
        }
        Err(e) => panic!("{program}: {e}"),
    }
}

/// A program in a directory of its own, with the library beside it.
struct Program {
    dir: tempfile::TempDir,
}

impl Program {
    /// Compiles `tests/boot/NAME.c`.
    fn new(name: &str, shared: bool, args: &[&str]) -> Self {
        // Cargo puts the library beside the test.
        let libs = env::current_exe().unwrap().parent().unwrap().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let mut gcc = Command::new("gcc");
        gcc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g"]).args(args);
        gcc.arg("-I").arg(root().join("host/capi/include")).arg(root().join(format!("tests/boot/{name}.c")));
        if shared {
            let so = libs.join("liblkl.so");
            std::os::unix::fs::symlink(&so, dir.path().join("liblkl.so.0")).unwrap();
            gcc.arg(so);
        } else {
            gcc.arg(libs.join("liblkl.a"));
        }
        gcc.args(["-lpthread", "-ldl", "-lm", "-lrt", "-o"]).arg(dir.path().join("program"));
        let out = gcc.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Self { dir }
    }

    /// A command that runs it, by `before`.
    fn command(&self, before: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg("300").args(before).arg(self.dir.path().join("program"));
        command.env("LD_LIBRARY_PATH", self.dir.path());
        command
    }
}

/// Every test of a program that prints TAP has to be right, and all have to be there.
fn judge(out: &Output) -> usize {
    let text = String::from_utf8_lossy(&out.stdout);
    let failed: Vec<&str> = text.lines().filter(|l| l.starts_with("not ok") || l.starts_with("# line")).collect();
    let passed = text.lines().filter(|l| l.starts_with("ok ")).count();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(failed.is_empty() && out.status.success(), "{:?} {failed:#?}\n{errors}", out.status);
    assert_eq!(text.lines().last(), Some(format!("1..{passed}").as_str()), "{errors}");
    passed
}

#[test]
fn the_basics_work_with_the_shared_library() {
    if !there("gcc") {
        return;
    }
    let program = Program::new("boot", true, &[]);
    let log = program.dir.path().join("log");
    assert!(judge(&program.command(&[]).arg(&log).output().unwrap()) > 150);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("] liblkl ") && log.contains("a message of 28 bytes, and 1.5\n"), "{log}");
}

#[test]
fn the_basics_work_with_the_static_library_and_the_older_interface() {
    if there("gcc") {
        let program = Program::new("boot", false, &["-DLKL_API_OLD"]);
        assert!(judge(&program.command(&[]).output().unwrap()) > 150);
    }
}

/// The names of the functions and variables that a header declares, without those that it defines.
fn declared(header: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("host/capi/include").join(header)).unwrap();
    let mut names = Vec::new();
    let mut inside = 0;
    for line in text.lines() {
        let outside = inside == 0;
        inside += line.matches('{').count() as i32 - line.matches('}').count() as i32;
        // The braces around all of it are those of `extern "C"`.
        if line.starts_with("extern \"C\"") || line == "}" && inside < 0 {
            inside = 0;
            continue;
        }
        let name = match line.strip_prefix("extern ") {
            Some(variable) => variable.split(['[', ';']).next(),
            None => line.split('(').next().filter(|before| line.contains('(') && before.contains("lkl_")),
        };
        let word = name.and_then(|n| n.split([' ', '*']).next_back()).filter(|n| n.starts_with("lkl_"));
        let starts = line.starts_with(|c: char| c.is_ascii_alphabetic()) && !line.starts_with("static");
        names.extend(word.filter(|_| outside && starts).map(str::to_owned));
    }
    names
}

#[test]
fn what_the_headers_declare_is_there() {
    if !there("gcc") {
        return;
    }
    let headers = ["lkl.h", "lkl_host.h", "lkl_config.h", "lkl/asm/host_ops.h", "lkl/asm/syscalls.h", "lkl/asm/irq.h"];
    let mut names: Vec<String> = headers.iter().flat_map(|header| declared(header)).collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 75, "{names:?}");
    let dir = tempfile::tempdir().unwrap();
    let addresses: String = names.iter().map(|name| format!("(const void *)&{name},\n")).collect();
    let text = format!(
        "#define LKL_API_NEW\n#include <lkl_host.h>\n#include <lkl_config.h>\n\
         const void *all[] = {{ {addresses} }};\nint main(void) {{ return 0; }}\n"
    );
    let source = dir.path().join("all.c");
    fs::write(&source, text).unwrap();
    let libs = env::current_exe().unwrap().parent().unwrap().to_owned();
    for library in ["liblkl.so", "liblkl.a"] {
        let mut gcc = Command::new("gcc");
        gcc.arg("-I").arg(root().join("host/capi/include")).arg(&source).arg(libs.join(library));
        gcc.args(["-lpthread", "-ldl", "-lm", "-lrt", "-o"]).arg(dir.path().join("all"));
        let out = gcc.output().unwrap();
        assert!(out.status.success(), "{library}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn configuration_is_read_or_refused() {
    if there("gcc") {
        let program = Program::new("config", true, &[]);
        assert!(judge(&program.command(&[]).output().unwrap()) > 60);
    }
}

/// An image with an ext4 of 32 MiB; with a partition table, in partition 1 of it.
fn ext4_image(dir: &Path, partition: bool) -> PathBuf {
    let image = dir.join(if partition { "disk.img" } else { "ext4.img" });
    let file = fs::File::create(&image).unwrap();
    file.set_len(34 << 20).unwrap();
    let shell = |script: &str| {
        let out = Command::new("sh").args(["-e", "-c", script]).arg("sh").arg(&image).output().unwrap();
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    };
    if partition {
        shell("printf 'label: gpt\nstart=2048, size=65536\n' | PATH=$PATH:/sbin:/usr/sbin sfdisk -q \"$1\"");
        shell("PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F -E offset=1048576 \"$1\" 32m");
    } else {
        shell("PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F \"$1\"");
    }
    image
}

#[test]
fn disks_are_mounted_written_and_clean_after_a_halt() {
    if !there("gcc") || !Path::new("/sbin/mkfs.ext4").exists() {
        assert!(env::var_os("CI").is_none(), "there is no mkfs.ext4");
        return;
    }
    let program = Program::new("disk", true, &[]);
    for (partition, number) in [(false, "0"), (true, "1")] {
        let image = ext4_image(program.dir.path(), partition);
        assert!(judge(&program.command(&[]).arg(&image).args(["ext4", number]).output().unwrap()) > 100);
        let plain = program.dir.path().join("plain.img");
        let bytes = fs::read(&image).unwrap();
        let (from, len) = if partition { (1 << 20, 32 << 20) } else { (0, bytes.len()) };
        fs::write(&plain, &bytes[from..from + len]).unwrap();
        let check = Command::new("/sbin/e2fsck").args(["-f", "-n"]).arg(&plain).output().unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        let kept = program.dir.path().join("kept");
        let dump = format!("dump /kept/file {}", kept.display());
        assert!(Command::new("/sbin/debugfs").args(["-R", &dump]).arg(&plain).output().unwrap().status.success());
        let pattern = (0..1usize << 20).map(|i| (i * 31 + i / 4096) as u8);
        assert!(pattern.eq(fs::read(kept).unwrap()));
    }
}

#[test]
fn nothing_leaks() {
    if !there("gcc") || !there("valgrind") {
        return;
    }
    let valgrind = [
        "valgrind",
        "-q",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite,indirect,possible",
        "--error-exitcode=9",
    ];
    for (name, args, least) in [("boot", &["-DLKL_API_OLD"][..], 150), ("config", &[], 60)] {
        let program = Program::new(name, true, args);
        assert!(judge(&program.command(&valgrind).output().unwrap()) > least);
    }
    if Path::new("/sbin/mkfs.ext4").exists() {
        let program = Program::new("disk", true, &[]);
        let image = ext4_image(program.dir.path(), false);
        assert!(judge(&program.command(&valgrind).arg(&image).args(["ext4", "0"]).output().unwrap()) > 100);
    }
}
