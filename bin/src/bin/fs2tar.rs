//! Makes a tar archive of the file system of a disk image.

use lkl_tools::{cli, fs2tar};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(fs2tar::run)
}
