//! The network below, as far as this crate asks it.

use crate::kernel::Kernel;
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

    // The network's files by their path there. `None`: the path is not one of them.

    pub(crate) fn net_open(&self, path: &str) -> Option<Result<Arc<dyn File>>> {
        lkl_netcfg::proc_open_with(self.net(), self.hub(), path)
    }

    pub(crate) fn net_stat(&self, path: &str) -> Option<Result<Stat>> {
        lkl_netcfg::proc_stat(self.net(), path, false)
    }

    pub(crate) fn net_readdir(&self, path: &str) -> Option<Result<Vec<lkl_netcfg::DirEntry>>> {
        lkl_netcfg::proc_readdir(self.net(), path)
    }

    pub(crate) fn net_readlink(&self, path: &str) -> Option<Result<String>> {
        lkl_netcfg::proc_readlink(self.net(), path)
    }
}
