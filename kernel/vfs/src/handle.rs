//! Handles of files: what names a file for good, without a path (`man 2 open_by_handle_at`).
//!
//! Above: `lkl-kernel`. Below: [`Inode::handle`](crate::Inode::handle), [`SuperBlock::by_handle`](crate::SuperBlock::by_handle).

use crate::dentry::Dentry;
use crate::fs::InodeKind;
use crate::mount::Place;
use crate::node::Node;
use crate::sb::Super;
use crate::vfs::Vfs;
use lkl_abi::{Errno, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// What names a file of one file system, also after it was unmounted and mounted again if that keeps its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handle {
    /// `FILEID_*`
    pub kind: i32,
    /// As the file system wants it.
    pub bytes: Vec<u8>,
}

impl Vfs {
    /// The handle of a file.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if its file system has none.
    pub fn handle_of(&self, place: &Place) -> Result<Handle> {
        place.node().inode().handle()
    }

    /// The file that a handle names, in the file system that `on` is a file of and seen through the same mount. A file that is no directory has no
    /// name then.
    ///
    /// # Errors
    /// `ESTALE` if there is no such file any more; `EIO`.
    pub fn place_by_handle(&self, on: &Place, handle: &Handle) -> Result<Place> {
        let sb = on.mount.sb();
        let stale = |e| if matches!(e, Errno::EIO) { e } else { Errno::ESTALE };
        let ino = sb.raw().by_handle(handle).map_err(stale)?;
        let node = sb.node(ino).map_err(stale)?;
        // The number may be that of another file by now.
        if node.inode().handle().as_ref() != Ok(handle) {
            return Err(Errno::ESTALE);
        }
        let root = on.mount.live().root()?;
        let dentry = match node.kind() {
            InodeKind::Directory => self.directory(sb, &root, &node).map_err(stale)?,
            _ => self.cache().unnamed(&root, node, false),
        };
        Ok(Place { dentry, mount: on.mount.clone() })
    }

    /// A directory under its name: those above it are known by number, too, and their names are looked for.
    fn directory(&self, sb: &Arc<Super>, root: &Arc<Dentry>, node: &Arc<Node>) -> Result<Arc<Dentry>> {
        let mut names = Vec::new();
        {
            let _names = sb.names().read();
            let (mut at, mut seen) = (node.clone(), HashSet::new());
            while at.ino() != sb.raw().root() {
                // On a damaged image directories may be in one another.
                if !seen.insert(at.ino()) {
                    return Err(Errno::ESTALE);
                }
                let above = sb.node(at.inode().parent()?)?;
                names.push(name_in(&above, at.ino())?);
                at = above;
            }
        }
        let mut dentry = root.clone();
        for name in names.iter().rev() {
            dentry = self.lookup(&dentry, name, false)?.ok_or(Errno::ESTALE)?;
        }
        if dentry.node().ino() != node.ino() {
            return Err(Errno::ESTALE);
        }
        Ok(dentry)
    }
}

/// The name that a file has in a directory.
fn name_in(dir: &Node, ino: u64) -> Result<Vec<u8>> {
    let mut name = None;
    dir.inode().readdir(0, &mut |entry| {
        if entry.ino == ino {
            name = Some(entry.name.to_vec());
        }
        name.is_none()
    })?;
    name.ok_or(Errno::ESTALE)
}
