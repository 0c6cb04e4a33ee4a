//! Extended attributes (`linux/xattr.h`; `man 7 xattr`). Their limits are in [`crate::limits`].
#![expect(missing_docs, reason = "the manual pages explain them")]

pub const XATTR_CREATE: u32 = 1;
pub const XATTR_REPLACE: u32 = 2;
