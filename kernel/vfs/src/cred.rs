//! Who calls, and what that one may do.

use crate::acl;
use crate::fs::{Attr, Inode, InodeKind};
use lkl_abi::{Errno, Result};

/// May be executed, or searched.
pub const EXEC: u32 = 1;
/// May be written.
pub const WRITE: u32 = 2;
/// May be read.
pub const READ: u32 = 4;

/// Whom a process acts as towards files. User 0 has all capabilities, every other one has none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cred {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

impl Cred {
    /// Is it root?
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Is it in the group?
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }

    /// May it do what only the owner (and root) may?
    pub fn owns(&self, attr: &Attr) -> bool {
        self.is_root() || self.uid == attr.uid
    }

    /// Checks the permission bits and the access ACL of a file; `want` is of [`READ`], [`WRITE`], [`EXEC`].
    ///
    /// # Errors
    /// `EACCES`
    pub fn check(&self, inode: &dyn Inode, attr: &Attr, want: u32) -> Result<()> {
        let allowed = if self.is_root() {
            // Root may execute what anybody may, and search every directory.
            attr.kind == InodeKind::Directory || want & EXEC == 0 || attr.mode & 0o111 != 0
        } else {
            self.grants(inode, attr, want)?
        };
        if allowed {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    fn grants(&self, inode: &dyn Inode, attr: &Attr, want: u32) -> Result<bool> {
        if self.uid == attr.uid {
            return Ok(want & !(attr.mode >> 6) == 0);
        }
        // With an ACL the group bits are its mask: without any of them it grants nothing to groups.
        if attr.mode & 0o070 != 0 && attr.kind != InodeKind::Symlink {
            match inode.get_xattr(acl::ACCESS) {
                Ok(value) => return Ok(acl::grants(&acl::parse(&value)?, self, attr, want)),
                Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {}
                Err(e) => return Err(e),
            }
        }
        let bits = if self.in_group(attr.gid) { attr.mode >> 3 } else { attr.mode };
        Ok(want & !(bits & 7) == 0)
    }
}

#[cfg(test)]
mod tests;
