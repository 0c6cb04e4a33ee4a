//! The network below, as far as this crate asks it.

use crate::kernel::Kernel;
use core::str::from_utf8;
use lkl_abi::stat::Stat;
use lkl_abi::Result;
use lkl_file::File;
use std::sync::Arc;

pub(crate) use lkl_inet::Net;
pub(crate) use lkl_netcfg::{dev_ioctl_family, netlink_socket, Hub};

impl Kernel {
    pub(crate) fn link_index(&self, name: &str) -> Option<u32> {
        self.net().link_by_name(name).ok().map(|l| l.index)
    }

    pub(crate) fn link_name(&self, index: u32) -> Option<String> {
        self.net().link_by_index(index).ok().map(|l| l.name())
    }

    // The network's files by their path, which has nothing but ASCII. `None`: the path is not one of them.

    pub(crate) fn proc_open(&self, path: &[u8]) -> Option<Result<Arc<dyn File>>> {
        lkl_netcfg::proc_open_with(self.net(), self.hub(), from_utf8(path).ok()?)
    }

    pub(crate) fn proc_stat(&self, path: &[u8], follow: bool) -> Option<Result<Stat>> {
        lkl_netcfg::proc_stat(self.net(), from_utf8(path).ok()?, follow)
    }

    pub(crate) fn proc_readdir(&self, path: &[u8]) -> Option<Result<Vec<lkl_netcfg::DirEntry>>> {
        lkl_netcfg::proc_readdir(self.net(), from_utf8(path).ok()?)
    }

    pub(crate) fn proc_readlink(&self, path: &[u8]) -> Option<Result<String>> {
        lkl_netcfg::proc_readlink(self.net(), from_utf8(path).ok()?)
    }
}
