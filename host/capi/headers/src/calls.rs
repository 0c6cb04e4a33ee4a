//! System calls as C functions. The types of their arguments are in `calls.txt`: the kernel's own table knows how to print arguments, not what
//! C calls them.

use crate::constants;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// As in `lkl_sys_NAME`.
    pub name: &'static str,
    /// Its number.
    pub number: usize,
    /// Its arguments, each with its type.
    pub args: Vec<&'static str>,
}

/// Numbers whose names in Linux's header are not those of `lkl-abi`.
const OTHER_NAMES: &[(&str, &str)] = &[("FSTATAT", "newfstatat"), ("SYNC_FILE_RANGE2", "sync_file_range")];
/// Calls with these numbers are those of 32-bit machines.
const NARROW: core::ops::RangeInclusive<i128> = 403..=423;

/// Every function.
///
/// # Errors
/// A line that cannot be read.
pub fn all() -> Result<Vec<Call>, String> {
    let lines = include_str!("calls.txt").lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    lines.map(|line| parse(line).ok_or_else(|| format!("calls.txt: {line}"))).collect()
}

fn parse(line: &'static str) -> Option<Call> {
    let (head, args) = line.strip_suffix(')')?.split_once('(')?;
    let (name, constant) = head.split_once(" = ").unwrap_or((head, ""));
    let number = match constant.parse() {
        Ok(number) => number,
        Err(_) => {
            let upper = if constant.is_empty() { name.to_uppercase() } else { constant.to_owned() };
            let found = constants("nr")?.iter().find(|(n, _)| **n == *upper)?;
            usize::try_from(found.1).ok()?
        }
    };
    let args = if args == "void" { Vec::new() } else { args.split(", ").collect() };
    Some(Call { name, number, args })
}

/// The kernel's table: number, name and how many arguments, of each call that is there.
pub fn table() -> BTreeMap<usize, (String, usize)> {
    let text = lkl_kernel::support_table();
    let rows = text.lines().filter_map(|line| {
        let mut columns = line.split('|').map(str::trim);
        let (number, call) = (columns.nth(1)?.parse().ok()?, columns.next()?.trim_matches('`'));
        let (name, args) = call.strip_suffix(')')?.split_once('(')?;
        Some((number, (name.to_owned(), if args.is_empty() { 0 } else { args.split(", ").count() })))
    });
    rows.collect()
}

/// The block `numbers`.
pub(crate) fn numbers() -> Result<String, String> {
    let mut out = String::new();
    for (name, number) in constants("nr").ok_or("lkl-abi has no numbers of calls")? {
        if !NARROW.contains(number) {
            let other = OTHER_NAMES.iter().find(|(own, _)| own == name).map(|(_, linux)| (*linux).to_owned());
            let _ok = writeln!(out, "#define __lkl__NR_{} {number}", other.unwrap_or_else(|| name.to_lowercase()));
        }
    }
    Ok(out)
}

/// The block `calls`.
pub(crate) fn functions() -> Result<String, String> {
    let mut out = String::new();
    for call in all()? {
        let args = if call.args.is_empty() { "void".to_owned() } else { call.args.join(", ") };
        let _ok = writeln!(out, "static inline long lkl_sys_{}({args})", call.name);
        let values: Vec<String> = call.args.iter().map(|arg| format!("(long)({})", variable(arg))).collect();
        let _ok = match values.len() {
            0 => writeln!(out, "{{\n\treturn lkl_syscall({}, (long *)0);\n}}", call.number),
            n => {
                let values = values.join(", ");
                let zeros = ", 0".repeat(6 - n.min(6));
                let number = call.number;
                writeln!(
                    out,
                    "{{\n\tlong params[6] = {{ {values}{zeros} }};\n\n\treturn lkl_syscall({number}, params);\n}}"
                )
            }
        };
    }
    Ok(out)
}

/// The name at the end of a declaration.
fn variable(arg: &str) -> &str {
    let at = arg.rfind([' ', '*']).map_or(0, |at| at + 1);
    &arg[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_of_the_kernel_has_a_function_with_as_many_arguments() {
        let functions = all().unwrap();
        for (number, (name, args)) in table() {
            let of = functions.iter().find(|f| f.number == number).unwrap_or_else(|| {
                panic!("{name} ({number}) has no line in host/capi/headers/src/calls.txt");
            });
            assert_eq!(of.args.len(), args, "{name}");
        }
    }

    #[test]
    fn no_name_and_no_number_comes_twice() {
        let functions = all().unwrap();
        let names: std::collections::BTreeSet<_> = functions.iter().map(|f| f.name).collect();
        let numbers: std::collections::BTreeSet<_> = functions.iter().map(|f| f.number).collect();
        assert_eq!((names.len(), numbers.len()), (functions.len(), functions.len()));
    }
}
