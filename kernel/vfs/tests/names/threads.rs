//! Many threads at once: what is left is whole, and no lock was taken out of order (debug builds look).

use crate::cases::Program;
use lkl_abi::Errno;

const NAMES: u64 = 6;

fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// A path of one to three of a few names.
fn path(seed: &mut u64) -> String {
    let parts = 1 + next(seed) % 3;
    let parts: Vec<_> = (0..parts).map(|_| format!("n{}", next(seed) % NAMES)).collect();
    parts.join("/")
}

fn command(seed: &mut u64) -> String {
    let (a, b) = (path(seed), path(seed));
    match next(seed) % 16 {
        0..=2 => format!("mkdir {a} 755"),
        3..=4 => format!("put {a} x"),
        5 => format!("unlink {a}"),
        6 => format!("rmdir {a}"),
        7..=8 => format!("rename {a} {b}"),
        9 => format!("rename {a} {b} 2"),
        10 => format!("link {a} {b}"),
        11 => format!("symlink {a} {b}"),
        12 => format!("stat {a}/../{b}"),
        13 => format!("ls {a}"),
        14 => format!("cat {a}"),
        _ => match next(seed) % 4 {
            0 => format!("mount tmpfs {a} 0"),
            1 => format!("umount {a} 0"),
            2 => format!("umount {a} 2"),
            _ => format!("bind {a} {b}"),
        },
    }
}

fn check(p: &mut Program, dir: &str, depth: u32) {
    let names = p.run(&format!("ls {dir}")).unwrap();
    for name in names.split(' ').filter(|n| !matches!(*n, "." | "..")) {
        let path = format!("{dir}/{name}");
        let stat = p.run(&format!("lstat {path}")).unwrap();
        if stat.starts_with('4') && depth < 12 {
            check(p, &path, depth + 1);
            assert_eq!(p.run(&format!("lstat {path}/..")), p.run(&format!("lstat {dir}/.")), "{path}/..");
        }
    }
}

/// Four threads, each with its own chances.
pub(crate) fn storm(first: &Program, commands: usize) {
    std::thread::scope(|s| {
        for t in 1..=4u64 {
            let mut p = first.again();
            s.spawn(move || {
                let (mut seed, mut done) = (t.wrapping_mul(0x9e37_79b9_7f4a_7c15), 0);
                for _ in 0..commands {
                    let command = command(&mut seed);
                    let answer = p.run(&command);
                    let wrong = [Errno::EIO, Errno::ESTALE, Errno::EUCLEAN];
                    assert!(!answer.as_ref().is_err_and(|e| wrong.contains(e)), "{command}: {answer:?}");
                    done += usize::from(answer.is_ok());
                }
                assert!(done > commands / 10, "{done} of {commands} were done");
            });
        }
    });
}

#[test]
fn threads_that_do_what_they_like() {
    let mut p = Program::new();
    storm(&p, 8000);
    check(&mut p, ".", 0);
    p.vfs.unmount_all().unwrap();
    check(&mut p, ".", 0);
    p.vfs.drop_caches();
    assert_eq!(p.vfs.cached_names(), 0);
    check(&mut p, ".", 0);
}
