//! Mounts the file system of a disk image, without root.

use lkl_tools::{cli, fuse};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(fuse::run)
}
