//! Copies files out of the file system of a disk image.

use lkl_tools::{cli, copy};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(copy::from_fs)
}
