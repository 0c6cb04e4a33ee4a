//! A kernel with Linux's system calls, as a library.
//!
//! * [`Kernel`]: boot one. [`Process`]: make calls by number.
//! * [`Kernel::attach`], [`Disk`]: disks made of image files. [`Kernel::mount`], [`Mount`]: their file systems.
//! * [`Dir`], [`File`]: directories and files, with a method for each call, and values for its structs.
//! * [`TcpStream`], [`TcpListener`]: connections.
//! * [`Error`]: what went wrong, and with which file.
//! * [`abi`]: numbers and structs of the calls.
//!
//! Below: `lkl-kernel`, which is the kernel, and `lkl-host`, which is what it stands on.

mod c;
mod call;
mod dir;
mod disk;
mod error;
mod file;
mod kernel;
mod mount;
mod net;
mod process;
mod stat;
mod whole;

pub use dir::{Dir, DirEntry, ReadDir};
pub use disk::{Disk, ImageOptions};
pub use error::{Error, Result};
pub use file::File;
pub use kernel::{Builder, Kernel};
pub use lkl_abi as abi;
pub use lkl_abi::Errno;
pub use mount::Mount;
pub use net::{TcpListener, TcpStream};
pub use process::Process;
pub use stat::{FileType, Metadata, SetTime, StatFs, Timestamp};
pub use whole::{NewFile, WholeFile};
