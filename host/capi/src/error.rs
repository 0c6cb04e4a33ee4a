//! What went wrong, and with what.

use lkl_abi::Errno;
use std::fmt;
use std::path::{Path, PathBuf};

/// A failed operation: its error number, and the path that it was about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The kernel's answer.
    pub errno: Errno,
    /// The image, or the path within the kernel; empty if the operation has none.
    pub path: PathBuf,
    /// More than the number says, if there is more to say.
    pub detail: Option<String>,
}

/// What the operations of this crate answer.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(errno: Errno, path: impl AsRef<Path>) -> Self {
        Self { errno, path: path.as_ref().to_owned(), detail: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.as_os_str().is_empty() {
            write!(f, "{}: ", self.path.display())?;
        }
        match &self.detail {
            Some(detail) => f.write_str(detail),
            None => f.write_str(self.errno.message()),
        }
    }
}

impl std::error::Error for Error {}

impl From<lkl_host::disk::ImageError> for Error {
    fn from(e: lkl_host::disk::ImageError) -> Self {
        Self { errno: e.errno, path: e.path, detail: Some(e.problem) }
    }
}

/// As `std` has it, so that the errors of a program that works with both are of one kind. Only the number stays.
impl From<Error> for std::io::Error {
    fn from(e: Error) -> Self {
        Self::from_raw_os_error(e.errno.0)
    }
}
