//! A kernel with Linux's system calls, as a library.
//!
//! * [`Kernel`]: boot one. [`Process`]: make calls.
//! * [`Error`]: what went wrong, and with which file.
//! * [`abi`]: numbers and structs of the calls.
//!
//! Below: `lkl-kernel`, which is the kernel, and `lkl-host`, which is what it stands on.

mod c;
mod error;
mod kernel;
mod mem;
mod process;

pub use error::{Error, Result};
pub use kernel::{Builder, Kernel};
pub use lkl_abi as abi;
pub use lkl_abi::Errno;
pub use process::Process;
