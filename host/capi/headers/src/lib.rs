//! Keeps the C headers of liblkl in step with the kernel.
//!
//! The headers in `host/capi/include` are written by hand, but for the *blocks* in them, each between two comments:
//!
//! * `/* constants: MODULE [PREFIX]... */`: the numbers of a module of `lkl-abi`, with `LKL_` before their names; only those whose names
//!   begin with one of the prefixes, if there are any, and none that begins with one after a `!`.
//! * `/* numbers */`: the numbers of system calls, `__lkl__NR_*`.
//! * `/* calls */`: a function `lkl_sys_NAME` for each system call, with its types ([`calls`]).
//!
//! `cargo run -p lkl-headers` writes the blocks anew; a test fails while that would change anything. Below: `lkl-abi`, `lkl-kernel`.

pub mod calls;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

include!(concat!(env!("OUT_DIR"), "/constants.rs"));

/// What begins a block; `end of` and the same word end it.
const KINDS: &[&str] = &["constants", "numbers", "calls"];

/// Where the headers are.
pub fn include_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../include")
}

/// Every header, in order.
///
/// # Errors
/// A directory cannot be read.
pub fn headers() -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![include_dir()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "h") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a header with its blocks as they ought to be.
///
/// # Errors
/// What is wrong with the header, in words.
pub fn renew(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some((kind, rest)) = begins(line) else { continue };
        out.push_str(&block(kind, rest)?);
        let end = format!("/* end of {kind} */");
        if !lines.by_ref().any(|l| l == end) {
            return Err(format!("{line}: expected {end} after it"));
        }
        out.push_str(&end);
        out.push('\n');
    }
    Ok(out)
}

fn begins(line: &str) -> Option<(&'static str, &str)> {
    let inner = line.strip_prefix("/* ")?.strip_suffix(" */")?;
    let (word, rest) = inner.split_once(':').unwrap_or((inner, ""));
    let kind = KINDS.iter().find(|k| **k == word)?;
    Some((kind, rest.trim()))
}

fn block(kind: &str, rest: &str) -> Result<String, String> {
    match kind {
        "constants" => {
            let mut words = rest.split_whitespace();
            let module = words.next().ok_or("constants: expected a module")?;
            let filters: Vec<&str> = words.collect();
            let all = constants(module).ok_or_else(|| format!("{module}: no such module of lkl-abi"))?;
            let mut out = String::new();
            for (name, value) in all {
                if wanted(name, &filters) {
                    let _ok = writeln!(out, "#define LKL_{name} {}", literal(module, *value));
                }
            }
            Ok(out)
        }
        "numbers" => calls::numbers(),
        _ => calls::functions(),
    }
}

/// The numbers of a module of `lkl-abi`.
pub fn constants(module: &str) -> Option<&'static [(&'static str, i128)]> {
    MODULES.iter().find(|(name, _)| *name == module).map(|(_, all)| *all)
}

/// Names that `lkl-abi` has for itself, and Linux's headers have not.
fn own(name: &str) -> bool {
    name.ends_with("_SIZE") && !name.starts_with("XATTR_") || name.ends_with("_BIT")
}

fn wanted(name: &str, filters: &[&str]) -> bool {
    let (not, only): (Vec<&str>, Vec<&str>) = filters.iter().partition(|f| f.starts_with('!'));
    let begins = |with: &&str| name.starts_with(with.trim_start_matches('!'));
    !own(name) && !not.iter().any(begins) && (only.is_empty() || only.iter().any(begins))
}

fn literal(module: &str, value: i128) -> String {
    match value {
        ..0 => format!("({value})"),
        // As the manual pages have them.
        _ if module == "errno" => value.to_string(),
        0..=9 => value.to_string(),
        _ if value > i128::from(u32::MAX) => format!("{value:#x}ULL"),
        _ => format!("{value:#x}"),
    }
}
