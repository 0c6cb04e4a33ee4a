//! The table of system calls. Dispatch, strace output and the README's support table come from it.

use super::args::{Arg, Ret};
use super::{Args, Ctx};
use lkl_abi::Result;

/// One call.
pub(crate) struct Call {
    pub(crate) number: usize,
    pub(crate) name: &'static str,
    pub(crate) args: &'static [(&'static str, Arg)],
    pub(crate) ret: Ret,
    pub(crate) handler: fn(&Ctx<'_>, Args) -> Result<u64>,
    pub(crate) note: &'static str,
}

pub(crate) static CALLS: &[Call] = &[];

/// The call of that number.
pub(crate) fn find(number: usize) -> Option<&'static Call> {
    CALLS.iter().find(|c| c.number == number)
}

/// The calls that there are, as a table in markdown.
pub fn support_table() -> String {
    let mut out = String::from("| Call | Arguments | Notes |\n|---|---|---|\n");
    for call in CALLS {
        let args: Vec<&str> = call.args.iter().map(|(name, _)| *name).collect();
        out.push_str(&format!("| {} | {} | {} |\n", call.name, args.join(", "), call.note));
    }
    out
}
