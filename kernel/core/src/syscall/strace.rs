//! Calls as strace prints them.

use super::table::Call;
use super::{Args, Ctx};
use lkl_abi::Result;

/// One call with its answer on one line.
pub(crate) fn line(_cx: &Ctx<'_>, call: &Call, args: Args, result: Result<u64>) -> String {
    format!("{}({args:x?}) = {result:?}", call.name)
}
