//! The network's files, which `lkl-netcfg` knows by their paths, in the place of a tree.

use super::Of;
use lkl_abi::stat::{S_IFDIR, S_IFLNK, S_IFMT};
use lkl_abi::Errno;
use lkl_pseudo::{dir, Directory, Entry, Kind};
use lkl_vfs::{InodeKind, Link};
use std::sync::Arc;

/// A directory of it, by its path there.
pub(crate) struct NetDir {
    kernel: Of,
    path: String,
}

impl NetDir {
    /// As a file.
    pub(crate) fn entry(kernel: &Of, path: &str) -> Entry {
        dir(Self { kernel: kernel.clone(), path: path.to_owned() })
    }
}

impl Directory for NetDir {
    fn get(&self, name: &[u8]) -> Option<Entry> {
        let path = format!("{}/{}", self.path, core::str::from_utf8(name).ok()?);
        let kernel = self.kernel.kernel().ok()?;
        let stat = kernel.net_stat(&path)?.ok()?;
        Some(match stat.mode & S_IFMT {
            S_IFDIR => Self::entry(&self.kernel, &path),
            S_IFLNK => {
                let target = kernel.net_readlink(&path)?.ok()?.into_bytes();
                Entry::new(Kind::Link(Arc::new(move |_| Ok(Link::Path(target.clone())))), 0o777)
            }
            _ => {
                let (of, mode) = (self.kernel.clone(), stat.mode & 0o7777);
                let open = move |_, write| {
                    // What nobody may write, root cannot either.
                    if write && mode & 0o222 == 0 {
                        return Err(Errno::EACCES);
                    }
                    of.kernel()?.net_open(&path).unwrap_or(Err(Errno::ENOENT))
                };
                Entry { size: stat.size, ..Entry::new(Kind::File(Arc::new(open)), mode) }
            }
        })
    }

    fn list(&self) -> Vec<(Vec<u8>, InodeKind)> {
        let names = self.kernel.kernel().ok().and_then(|k| k.net_readdir(&self.path)?.ok()).unwrap_or_default();
        let kind = |mode| InodeKind::from_mode(mode).unwrap_or(InodeKind::Regular);
        names.into_iter().map(|e| (e.name.into_bytes(), kind(e.kind))).collect()
    }
}
