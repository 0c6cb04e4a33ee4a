//! File systems whose files are made when they are looked at, and what device files lead to.
//!
//! * [`Directory`], [`Entry`], [`Table`]: what there is, by name. `proc`, `sysfs` and `devtmpfs` are made of these.
//! * [`PseudoFs`]: the type of file system that such a directory is the root of.
//! * [`Devices`]: character and block devices by their numbers, and `/dev`.
//!
//! Below: `lkl-vfs`, `lkl-block`. Above: `lkl-kernel`, which knows what to show.

#![forbid(unsafe_code)]

mod block;
mod chars;
mod devices;
mod mount;
#[cfg(test)]
mod tests;
mod tree;

pub use devices::{Devices, Disk};
pub use mount::PseudoFs;
pub use tree::{dir, link, setting, text, Directory, Entry, Kind, Opener, Table};
