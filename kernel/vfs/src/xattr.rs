//! Extended attributes (`man 7 xattr`), with what is asked for each name space, and POSIX ACLs among them.
//!
//! Below: [`Node`](crate::Node).

use crate::acl;
use crate::attrs::settable_mode;
use crate::cred::{READ, WRITE};
use crate::fs::{ChangeAttr, InodeKind, XattrSet};
use crate::mount::Place;
use crate::node::CAPABILITY;
use crate::vfs::{is_append_only, is_immutable, permission, Vfs};
use crate::walk::Context;
use lkl_abi::limits::{XATTR_NAME_MAX, XATTR_SIZE_MAX};
use lkl_abi::stat::S_ISVTX;
use lkl_abi::{Errno, Result};

/// What a name begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    User,
    Trusted,
    Security,
    Acl,
}

fn space(name: &[u8]) -> Result<Space> {
    if name.is_empty() || name.len() > XATTR_NAME_MAX {
        return Err(Errno::ERANGE);
    }
    if name == acl::ACCESS || name == acl::DEFAULT {
        return Ok(Space::Acl);
    }
    let spaces: [(&[u8], Space); 3] =
        [(b"user.", Space::User), (b"trusted.", Space::Trusted), (b"security.", Space::Security)];
    let found = spaces.iter().find_map(|(prefix, space)| Some((name.strip_prefix(*prefix)?, *space)));
    match found {
        None => Err(Errno::EOPNOTSUPP),
        Some(([], _)) => Err(Errno::EINVAL),
        Some((_, space)) => Ok(space),
    }
}

/// May the attributes of a name space be read, or written?
fn check(ctx: &Context<'_>, place: &Place, space: Space, write: bool) -> Result<()> {
    let (cred, node) = (ctx.cred, place.node());
    let attr = node.inode().attr();
    if write && (is_immutable(&attr) || is_append_only(&attr)) {
        return Err(Errno::EPERM);
    }
    let refused = if write { Errno::EPERM } else { Errno::ENODATA };
    match space {
        Space::Security if write && !cred.is_root() => return Err(Errno::EPERM),
        Space::Security => return Ok(()),
        Space::Trusted if !cred.is_root() => return Err(refused),
        Space::Trusted => return Ok(()),
        Space::Acl => {
            if attr.kind == InodeKind::Symlink {
                return Err(Errno::EOPNOTSUPP);
            }
            if write && !cred.owns(&attr) {
                return Err(Errno::EPERM);
            }
            return Ok(());
        }
        Space::User => {}
    }
    if !matches!(attr.kind, InodeKind::Regular | InodeKind::Directory) {
        return Err(refused);
    }
    let sticky = attr.kind == InodeKind::Directory && attr.mode & S_ISVTX != 0;
    if write && sticky && !cred.owns(&attr) {
        return Err(Errno::EPERM);
    }
    permission(cred, node, if write { WRITE } else { READ })
}

/// Is it a `struct vfs_cap_data`, of 20 bytes, or one with the user that it is for, of 24 (`linux/capability.h`)?
fn is_capabilities(value: &[u8]) -> bool {
    const EFFECTIVE: u32 = 1;
    let revision = value.first_chunk::<4>().map(|magic| u32::from_le_bytes(*magic) & !EFFECTIVE);
    matches!((revision, value.len()), (Some(0x0200_0000), 20) | (Some(0x0300_0000), 24))
}

impl Vfs {
    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`, `EOPNOTSUPP`, `EACCES`, `ERANGE` for a name that is too long, `EINVAL`, `EIO`.
    pub fn get_xattr(&self, ctx: &Context<'_>, place: &Place, name: &[u8]) -> Result<Vec<u8>> {
        check(ctx, place, space(name)?, false)?;
        place.node().get_xattr(name)
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// `EEXIST`, `ENODATA` as `how` says; `E2BIG`, `EPERM`, `EACCES`, `EROFS`, `EOPNOTSUPP`, `EINVAL`, `ERANGE`, `ENOSPC`, `EIO`.
    pub fn set_xattr(&self, ctx: &Context<'_>, place: &Place, name: &[u8], value: &[u8], how: XattrSet) -> Result<()> {
        if value.len() > XATTR_SIZE_MAX {
            return Err(Errno::E2BIG);
        }
        let _access = place.mount.write_access()?;
        let space = space(name)?;
        if space == Space::Acl {
            return self.set_acl(ctx, place, name, value);
        }
        if name == CAPABILITY && !is_capabilities(value) {
            return Err(Errno::EINVAL);
        }
        check(ctx, place, space, true)?;
        place.node().set_xattr(name, value, how)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// As [`Vfs::set_xattr`].
    pub fn remove_xattr(&self, ctx: &Context<'_>, place: &Place, name: &[u8]) -> Result<()> {
        let _access = place.mount.write_access()?;
        let space = space(name)?;
        if space == Space::Acl {
            return self.set_acl(ctx, place, name, &[]);
        }
        check(ctx, place, space, true)?;
        place.node().remove_xattr(name)
    }

    /// The names of all extended attributes that the caller may know of.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub fn list_xattrs(&self, ctx: &Context<'_>, place: &Place) -> Result<Vec<Vec<u8>>> {
        let mut names = place.node().list_xattrs()?;
        if !ctx.cred.is_root() {
            names.retain(|name| !name.starts_with(b"trusted."));
        }
        Ok(names)
    }

    /// Sets or, without a value, removes an ACL. An access ACL that says no more than a mode becomes one.
    fn set_acl(&self, ctx: &Context<'_>, place: &Place, name: &[u8], value: &[u8]) -> Result<()> {
        let entries = if value.is_empty() { Vec::new() } else { acl::parse(value)? };
        check(ctx, place, Space::Acl, true)?;
        let node = place.node();
        let attr = node.inode().attr();
        if name == acl::DEFAULT {
            if attr.kind != InodeKind::Directory {
                return if entries.is_empty() { Ok(()) } else { Err(Errno::EACCES) };
            }
        } else if !entries.is_empty() {
            // First whether it can be: the mode does not change without it.
            if matches!(node.get_xattr(name), Err(Errno::EOPNOTSUPP)) {
                return Err(Errno::EOPNOTSUPP);
            }
            let (bits, is_mode) = acl::to_mode(&entries);
            let mode = settable_mode(ctx.cred, attr.mode & !0o777 | bits, attr.gid);
            if !is_mode {
                node.set_xattr(name, &acl::to_bytes(&entries), XattrSet::Any)?;
            }
            node.change(&ChangeAttr { mode: Some(mode), ctime: Some(self.env().now()), ..ChangeAttr::default() })?;
            if !is_mode {
                return Ok(());
            }
            return removed(node.remove_xattr(name));
        }
        if entries.is_empty() {
            return removed(node.remove_xattr(name));
        }
        node.set_xattr(name, &acl::to_bytes(&entries), XattrSet::Any)
    }
}

/// To remove an ACL that is not there is no error.
fn removed(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::ENODATA) => Ok(()),
        other => other,
    }
}
