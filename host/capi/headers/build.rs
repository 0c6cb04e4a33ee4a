//! Lists the numeric constants of `lkl-abi`, by module, with their values as expressions: the compiler then knows them.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Types that a C macro can stand for.
const TYPES: &[&str] = &["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "usize"];

fn main() {
    let abi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../kernel/abi/src");
    println!("cargo::rerun-if-changed={}", abi.display());
    let mut files: Vec<_> = fs::read_dir(&abi).expect("kernel/abi/src").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let mut out = String::from("pub(crate) static MODULES: &[(&str, &[(&str, i128)])] = &[\n");
    for file in files {
        let module = file.file_stem().and_then(|s| s.to_str()).expect("a module's name").to_owned();
        let text = fs::read_to_string(&file).expect("a module");
        let names = constants(&module, &text);
        if names.is_empty() {
            continue;
        }
        let _ok = writeln!(out, "    ({module:?}, &[");
        for (name, value) in names {
            let _ok = writeln!(out, "        ({name:?}, {value}),");
        }
        out.push_str("    ]),\n");
    }
    out.push_str("];\n");
    let to = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("constants.rs");
    fs::write(to, out).expect("written");
}

/// Names, and what their values are as Rust.
fn constants(module: &str, text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        match module {
            // Both are made by macros: `NAME = 1, "text";` and `NAME = 1;`.
            "errno" => {
                let Some((name, _)) = line.split_once(" = ").filter(|(n, _)| is_name(n)) else { continue };
                all.push((name.to_owned(), format!("lkl_abi::Errno::{name}.0 as i128")));
            }
            "nr" => {
                let Some((name, _)) = line.split_once(" = ").filter(|(n, _)| is_name(n)) else { continue };
                all.push((name.to_owned(), format!("lkl_abi::nr::{name} as i128")));
            }
            _ => {
                let Some((name, rest)) = line.strip_prefix("pub const ").and_then(|l| l.split_once(": ")) else {
                    continue;
                };
                let kind = rest.split_once(' ').map_or(rest, |(kind, _)| kind);
                if is_name(name) && TYPES.contains(&kind) {
                    all.push((name.to_owned(), format!("lkl_abi::{module}::{name} as i128")));
                }
            }
        }
    }
    all
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
