//! One test program, two kernels: each case of `syscall/*.c` is run on the host's kernel in a fresh network namespace
//! and on ours under `LD_PRELOAD`, in the process that boots it and in a child of one, and must print the same.
//!
//! `LKL_SYSCALL_CASE` picks the cases whose names contain it.

use lkl_tests::cases::{self, On};
use std::path::Path;

#[test]
fn both_kernels_answer_alike() {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (library, program) = (cases::library(tmp), tmp.join("syscall-cases"));
    cases::program(&program, &["syscall"]);
    let wanted = std::env::var("LKL_SYSCALL_CASE").unwrap_or_default();
    let list = cases::list(&program);
    let mut failed = Vec::new();
    for case in list.iter().filter(|c| c.contains(&wanted)) {
        let host = cases::run(&program, case, On::Host, "", &[]);
        for (place, on) in [("", On::Ours(&library)), (" in a child", On::Child(&library))] {
            if let Some(text) = cases::difference(&host, &cases::run(&program, case, on, "", &[])) {
                println!("{case}{place}:\n{text}");
                failed.push(format!("{case}{place}"));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {} differ: {}", failed.len(), 2 * list.len(), failed.join(", "));
}
