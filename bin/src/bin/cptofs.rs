//! Copies files into the file system of a disk image; called `cpfromfs`, out of it.

use lkl_tools::{cli, copy};
use std::process::ExitCode;

fn main() -> ExitCode {
    if cli::called("cpfromfs") {
        return cli::main(copy::from_fs);
    }
    cli::main(copy::to_fs)
}
