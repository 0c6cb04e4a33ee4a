//! Looks into the file system of a disk image.

use lkl_tools::{cli, lklfs};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(lklfs::run)
}
