//! What the tools for disk images share. Each tool is a small program in `bin/`, and a module here:
//!
//! * [`fs2tar`]: an image becomes an archive.
//! * [`copy`]: `cptofs` and `cpfromfs`, files into an image and out of it.
//! * [`lklfs`]: looks into an image.
//! * [`fuse`]: `lklfuse`, an image as a directory of the host.
//!
//! They stand on the crate `lkl`: [`image`] mounts an image in a kernel of the tool's own. [`cli`] has what their command lines share.

pub mod cli;
pub mod copy;
pub mod fs2tar;
pub mod fuse;
pub mod image;
pub mod lklfs;
pub mod progress;
pub mod side;

/// Blocks of metadata and pages of files come and go by thousands, all of a few kilobytes: glibc's heap takes and clears pages for each.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;
