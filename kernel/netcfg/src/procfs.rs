//! `/proc/net`, `/proc/sys/net` and `/sys/class/net` as files.
//!
//! A path is looked up into a [`Node`]; the text of a file is made when it is read from its beginning, and kept for
//! the reads that follow, so that a program which reads in pieces sees one state.

mod dev;
mod route;
mod snmp;
mod sock;
mod sysfs;

use crate::netlink::Hub;
use lkl_abi::stat::{Stat, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter, Text, TextFile};
use lkl_inet::Net;
use lkl_sync::{Events, WaitQueue};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes the text of a file of `/proc/net`.
type Show = fn(&Context) -> String;

/// What the text of a file is made from.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) net: Arc<Net>,
    pub(crate) hub: Option<Arc<Hub>>,
}

const NET_FILES: &[(&str, Show)] = &[
    ("anycast6", |_| String::new()),
    ("arp", route::arp),
    ("dev", dev::dev),
    ("dev_mcast", dev::dev_mcast),
    ("icmp", sock::icmp),
    ("icmp6", sock::icmp6),
    ("if_inet6", dev::if_inet6),
    ("igmp", dev::igmp),
    ("igmp6", dev::igmp6),
    ("ipv6_route", route::ipv6_route),
    ("mcfilter", |_| "Idx Device        MCA        SRC    INC    EXC\n".to_owned()),
    ("mcfilter6", |_| {
        "Idx Device                Multicast Address                   Source Address    INC    EXC\n".to_owned()
    }),
    ("netlink", sock::netlink),
    ("netstat", snmp::netstat),
    ("packet", sock::packet),
    ("protocols", sock::protocols),
    ("psched", |_| "000003e8 00000040 000f4240 3b9aca00\n".to_owned()),
    ("ptype", |_| {
        "Type Device      Function\n0800          ip_rcv\n0806          arp_rcv\n86dd          ipv6_rcv\n".to_owned()
    }),
    ("raw", sock::raw),
    ("raw6", sock::raw6),
    ("route", route::route),
    ("snmp", snmp::snmp),
    ("snmp6", snmp::snmp6),
    ("sockstat", sock::sockstat),
    ("sockstat6", sock::sockstat6),
    ("softnet_stat", dev::softnet_stat),
    ("tcp", sock::tcp),
    ("tcp6", sock::tcp6),
    ("udp", sock::udp),
    ("udp6", sock::udp6),
    ("udplite", sock::udplite),
    ("udplite6", sock::udplite6),
    ("unix", |_| "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned()),
    ("wireless", |_| {
        concat!(
            "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n",
            " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n",
        )
        .to_owned()
    }),
];

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name.
    pub name: String,
    /// Number of its inode.
    pub ino: u64,
    /// `S_IFDIR`, `S_IFREG` or `S_IFLNK`.
    pub kind: u32,
}

/// How the text of a file comes about.
#[derive(Clone)]
enum Source {
    Show(Show),
    /// A setting, by its name below `/proc/sys`.
    Sysctl(String),
    /// An attribute of a link: the link's name, and the path below it.
    Sysfs(String, String),
}

/// What a path leads to.
enum Node {
    Dir(BTreeMap<String, u32>),
    File { source: Source, mode: u32 },
    Link(String),
}

/// Opens a file or directory by its absolute, normalised path. `None`: the path is not one of ours. A directory
/// comes as a [`Directory`], which `downcast_ref` tells.
///
/// # Errors
/// `ENOENT`
pub fn proc_open(net: &Arc<Net>, path: &str) -> Option<Result<Arc<dyn File>>> {
    open(&Context { net: net.clone(), hub: None }, path)
}

/// As [`proc_open`], with the netlink sockets that `/proc/net/netlink` shows.
///
/// # Errors
/// `ENOENT`
pub fn proc_open_with(net: &Arc<Net>, hub: &Arc<Hub>, path: &str) -> Option<Result<Arc<dyn File>>> {
    open(&Context { net: net.clone(), hub: Some(hub.clone()) }, path)
}

/// What `stat` (`follow`) or `lstat` tells of a path. `None`: not one of ours.
///
/// # Errors
/// `ENOENT`
pub fn proc_stat(net: &Arc<Net>, path: &str, follow: bool) -> Option<Result<Stat>> {
    Some(look_up(net, path, follow)?.map(|node| {
        let (mode, size) = match &node {
            Node::Dir(_) => (S_IFDIR | 0o555, 0),
            Node::File { mode, source: Source::Sysfs(..) } => (S_IFREG | mode, 4096),
            Node::File { mode, .. } => (S_IFREG | mode, 0),
            Node::Link(_) => (S_IFLNK | 0o777, 0),
        };
        let nlink = if matches!(node, Node::Dir(_)) { 2 } else { 1 };
        let now = net.host().realtime();
        let now = (i64::try_from(now.as_secs()).unwrap_or(0), now.subsec_nanos());
        Stat {
            dev: (0, 0x15),
            ino: ino_of(path),
            mode,
            nlink,
            size,
            blksize: 1024,
            atime: now,
            mtime: now,
            ctime: now,
            ..Stat::default()
        }
    }))
}

/// The names in a directory, without `.` and `..`. `None`: not one of ours.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`.
pub fn proc_readdir(net: &Arc<Net>, path: &str) -> Option<Result<Vec<DirEntry>>> {
    Some(look_up(net, path, true)?.and_then(|node| match node {
        Node::Dir(names) => Ok(entries(path, names)),
        _ => Err(Errno::ENOTDIR),
    }))
}

/// Where a symbolic link leads. `None`: not one of ours.
///
/// # Errors
/// `ENOENT`, `EINVAL` if it is no link.
pub fn proc_readlink(net: &Arc<Net>, path: &str) -> Option<Result<String>> {
    Some(look_up(net, path, false)?.and_then(|node| match node {
        Node::Link(to) => Ok(to),
        _ => Err(Errno::EINVAL),
    }))
}

fn entries(path: &str, names: BTreeMap<String, u32>) -> Vec<DirEntry> {
    let at = |name: String, kind| DirEntry { ino: ino_of(&format!("{path}/{name}")), name, kind };
    names.into_iter().map(|(name, kind)| at(name, kind)).collect()
}

/// A number that stays the same for a path (FNV-1a), away from those of sockets.
fn ino_of(path: &str) -> u64 {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    0xf000_0000 | (hash & 0x0fff_ffff)
}

fn open(cx: &Context, path: &str) -> Option<Result<Arc<dyn File>>> {
    let node = match look_up(&cx.net, path, true)? {
        Ok(n) => n,
        Err(e) => return Some(Err(e)),
    };
    let ino = ino_of(path);
    Some(match node {
        Node::Dir(names) => Ok(Arc::new(Directory { ino, entries: entries(path, names), waiters: WaitQueue::new() })),
        Node::File { source, mode } => {
            let size = if matches!(source, Source::Sysfs(..)) { 4096 } else { 0 };
            Ok(Arc::new(TextFile::new(Shown { cx: cx.clone(), source }, mode, size, ino)))
        }
        Node::Link(_) => Err(Errno::ELOOP),
    })
}

fn look_up(net: &Net, path: &str, follow: bool) -> Option<Result<Node>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    for base in ["/proc/self/net", "/proc/thread-self/net", "/proc/net"] {
        if let Some(rest) = below(path, base) {
            return Some(in_proc_net(net, rest));
        }
    }
    if let Some(rest) = below(path, "/proc/sys/net") {
        return Some(in_sysctl(net, rest));
    }
    if let Some(rest) = below(path, "/sys/class/net") {
        return Some(sysfs::look_up(net, rest, follow, true));
    }
    if let Some(rest) = below(path, "/sys/devices/virtual/net") {
        return Some(sysfs::look_up(net, rest, follow, false));
    }
    None
}

/// What stands in `path` after `base`, without a leading slash.
fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    match path.strip_prefix(base)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

fn in_proc_net(net: &Net, name: &str) -> Result<Node> {
    if name.is_empty() {
        let mut names: BTreeMap<String, u32> = NET_FILES.iter().map(|(n, _)| ((*n).to_owned(), S_IFREG)).collect();
        names.insert("dev_snmp6".to_owned(), S_IFDIR);
        return Ok(Node::Dir(names));
    }
    if name == "dev_snmp6" {
        return Ok(Node::Dir(net.links().iter().map(|l| (l.name(), S_IFREG)).collect()));
    }
    if let Some(link) = name.strip_prefix("dev_snmp6/") {
        net.link_by_name(link).map_err(|_| Errno::ENOENT)?;
        return Ok(Node::File { source: Source::Show(snmp::snmp6), mode: 0o444 });
    }
    let show = NET_FILES.iter().find(|(n, _)| *n == name).map(|(_, s)| *s).ok_or(Errno::ENOENT)?;
    Ok(Node::File { source: Source::Show(show), mode: 0o444 })
}

fn in_sysctl(net: &Net, rest: &str) -> Result<Node> {
    let path = if rest.is_empty() { "net".to_owned() } else { format!("net/{rest}") };
    if net.sysctl_get(&path).is_some() {
        let mode = match path.as_str() {
            "net/ipv4/tcp_available_congestion_control" => 0o444,
            // It is a secret.
            "net/ipv4/tcp_fastopen_key" => 0o600,
            _ => 0o644,
        };
        return Ok(Node::File { source: Source::Sysctl(path), mode });
    }
    let mut names = BTreeMap::new();
    for full in net.sysctl_names() {
        let Some(tail) = full.strip_prefix(path.as_str()).and_then(|t| t.strip_prefix('/')) else { continue };
        match tail.split_once('/') {
            Some((dir, _)) => names.insert(dir.to_owned(), S_IFDIR),
            None => names.insert(tail.to_owned(), S_IFREG),
        };
    }
    if names.is_empty() {
        return Err(Errno::ENOENT);
    }
    Ok(Node::Dir(names))
}

/// What a file says, and where.
struct Shown {
    cx: Context,
    source: Source,
}

impl Text for Shown {
    fn show(&self) -> Result<Vec<u8>> {
        let text = match &self.source {
            Source::Show(show) => show(&self.cx),
            Source::Sysctl(path) => self.cx.net.sysctl_get(path).ok_or(Errno::ENOENT)? + "\n",
            Source::Sysfs(link, attr) => sysfs::read(&self.cx.net, link, attr)?,
        };
        Ok(text.into_bytes())
    }

    fn store(&self, value: &str) -> Result<()> {
        match &self.source {
            Source::Show(_) => Err(Errno::EIO),
            Source::Sysctl(path) => self.cx.net.sysctl_set(path, value),
            Source::Sysfs(link, attr) => sysfs::write(&self.cx.net, link, attr, value),
        }
    }
}

/// An open directory.
pub struct Directory {
    ino: u64,
    entries: Vec<DirEntry>,
    waiters: WaitQueue,
}

impl Directory {
    /// What was in it when it was opened, without `.` and `..`.
    pub fn entries(&self) -> &[DirEntry] {
        &self.entries
    }
}

impl File for Directory {
    fn read(&self, _: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EISDIR)
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EBADF)
    }

    fn poll(&self) -> Events {
        Events::READ | Events::WRITE
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.waiters
    }

    fn seekable(&self) -> bool {
        true
    }

    fn mode(&self) -> u32 {
        (S_IFDIR & S_IFMT) | 0o555
    }

    fn ino(&self) -> u64 {
        self.ino
    }
}

#[cfg(test)]
pub(crate) mod tests;
