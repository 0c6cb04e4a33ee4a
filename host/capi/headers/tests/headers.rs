//! The headers are those of this kernel, and compilers take each of them alone.

use lkl_headers::{headers, include_dir, renew};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

#[test]
fn the_headers_are_those_of_this_kernel() {
    for path in headers().unwrap() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(renew(&text).unwrap() == text, "{} is old: cargo run -p lkl-headers", path.display());
    }
}

/// Runs a compiler on a text; answers what it has to say against it. Without the compiler there is nothing to say, but in CI.
fn refused(compiler: &str, args: &[&str], text: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("check.c");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(compiler);
    command.args(args).args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror"]);
    match command.arg("-I").arg(include_dir()).arg(&file).output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound && std::env::var_os("CI").is_none() => None,
        Err(e) => Some(format!("{compiler}: {e}")),
        Ok(out) => (!out.status.success()).then(|| String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}

const C: &[&str] = &["-std=gnu11", "-x", "c"];
const CXX: &[&str] = &["-std=c++11", "-x", "c++"];

/// As a program includes it; `None` for what only another header may include.
fn name(path: &Path) -> Option<String> {
    let name = path.strip_prefix(include_dir()).ok()?.to_str()?.to_owned();
    let text = fs::read_to_string(path).ok()?;
    (!text.contains("To be included by")).then_some(name)
}

#[test]
fn each_header_compiles_alone_as_c_and_as_cxx() {
    let mut checked = 0;
    for header in headers().unwrap().iter().filter_map(|path| name(path)) {
        // Twice: its guard has to be its own.
        let text = format!("#include <{header}>\n#include <{header}>\nint nothing_else;\n");
        for (compiler, args) in [("gcc", C), ("g++", CXX)] {
            assert_eq!(refused(compiler, args, &text), None, "{compiler}: {header}");
        }
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn both_forms_of_lkls_interface_compile() {
    let old = "#include <lkl_host.h>\n\
        int f(void) { return lkl_start_kernel(&lkl_host_ops, \"mem=%dM\", 64); }\n";
    let new = "#include <lkl_host.h>\n\
        int f(void) { return lkl_init(&lkl_host_ops) || lkl_start_kernel(\"mem=%dM\", 64) || lkl_start_kernel(\"\"); }\n";
    let old_timer = "#include <lkl_host.h>\n\
        static void *t(void (*f)(void *), void *a) { (void)f; return a; }\n\
        struct lkl_host_operations o = { .timer_alloc = t };\n";
    for (compiler, args) in [("gcc", C), ("g++", CXX)] {
        for (text, define) in [(old, None), (new, None), (old, Some("-DLKL_API_OLD")), (new, Some("-DLKL_API_NEW"))] {
            // A format that is no literal is not checked in the templates of C++.
            let args: Vec<&str> = args.iter().copied().chain(define).chain(["-Wno-format-security"]).collect();
            assert_eq!(refused(compiler, &args, text), None, "{compiler} {define:?}: {text}");
        }
    }
    let args: Vec<&str> = C.iter().copied().chain(["-DLKL_API_OLD", "-Wno-missing-field-initializers"]).collect();
    assert_eq!(refused("gcc", &args, old_timer), None);
    for (text, define) in [(old, "-DLKL_API_NEW"), (new, "-DLKL_API_OLD")] {
        let args: Vec<&str> = C.iter().copied().chain([define]).collect();
        if Command::new("gcc").arg("--version").output().is_ok() {
            assert!(refused("gcc", &args, text).is_some(), "{define}");
        }
    }
}

/// Structs that have the same name in Linux's headers, with where those are and members to look at.
const STRUCTS: &[(&str, &str, &[&str])] = &[
    ("statx", "linux/stat.h", &["stx_mask", "stx_ino", "stx_btime", "stx_mtime", "stx_dev_minor", "stx_mnt_id"]),
    ("statfs", "asm/statfs.h", &["f_type", "f_bavail", "f_fsid", "f_flags"]),
    ("__kernel_timespec", "linux/time_types.h", &["tv_sec", "tv_nsec"]),
    ("__kernel_itimerspec", "linux/time_types.h", &["it_value"]),
    ("open_how", "linux/openat2.h", &["resolve"]),
    ("fiemap", "linux/fiemap.h", &["fm_flags", "fm_extent_count"]),
    ("fiemap_extent", "linux/fiemap.h", &["fe_physical", "fe_flags"]),
    ("fstrim_range", "linux/fs.h", &["minlen"]),
    ("inotify_event", "linux/inotify.h", &["len", "name"]),
    ("sysinfo", "linux/sysinfo.h", &["totalram", "procs", "mem_unit"]),
    ("new_utsname", "linux/utsname.h", &["release", "domainname"]),
    ("rlimit64", "linux/resource.h", &["rlim_max"]),
    ("rusage", "linux/resource.h", &["ru_maxrss", "ru_nivcsw"]),
    ("signalfd_siginfo", "linux/signalfd.h", &["ssi_code", "ssi_int", "ssi_ptr", "ssi_addr_lsb", "ssi_arch"]),
    ("pollfd", "asm/poll.h", &["events", "revents"]),
    ("iovec", "linux/uio.h", &["iov_len"]),
    ("sockaddr_in", "linux/in.h", &["sin_port", "sin_addr"]),
    ("ip_mreqn", "linux/in.h", &["imr_ifindex"]),
    ("in_pktinfo", "linux/in.h", &["ipi_addr"]),
    ("sockaddr_in6", "linux/in6.h", &["sin6_addr", "sin6_scope_id"]),
    ("ipv6_mreq", "linux/in6.h", &["ipv6mr_multiaddr"]),
    ("in6_ifreq", "linux/ipv6.h", &["ifr6_prefixlen", "ifr6_ifindex"]),
    ("iphdr", "linux/ip.h", &["ttl", "saddr"]),
    ("icmphdr", "linux/icmp.h", &["checksum", "un"]),
    ("ifreq", "linux/if.h", &["ifr_ifru"]),
    ("ifconf", "linux/if.h", &["ifc_ifcu"]),
    ("arpreq", "linux/if_arp.h", &["arp_ha", "arp_flags", "arp_dev"]),
    ("rtentry", "linux/route.h", &["rt_dst", "rt_gateway", "rt_flags", "rt_metric", "rt_dev", "rt_irtt"]),
    ("ethhdr", "linux/if_ether.h", &["h_proto"]),
    ("sockaddr_ll", "linux/if_packet.h", &["sll_ifindex", "sll_addr"]),
    ("ifaddrmsg", "linux/if_addr.h", &["ifa_index"]),
    ("ndmsg", "linux/neighbour.h", &["ndm_state", "ndm_type"]),
    ("rtmsg", "linux/rtnetlink.h", &["rtm_table", "rtm_flags"]),
    ("ifinfomsg", "linux/rtnetlink.h", &["ifi_index", "ifi_change"]),
    ("tcmsg", "linux/rtnetlink.h", &["tcm_handle", "tcm_info"]),
    ("sockaddr_nl", "linux/netlink.h", &["nl_pid", "nl_groups"]),
    ("nlmsghdr", "linux/netlink.h", &["nlmsg_type", "nlmsg_pid"]),
    ("nlmsgerr", "linux/netlink.h", &["msg"]),
    ("genlmsghdr", "linux/genetlink.h", &["version"]),
    ("sock_extended_err", "linux/errqueue.h", &["ee_origin", "ee_data"]),
];

fn ours(name: &str) -> String {
    if name.starts_with("__") {
        format!("__lkl{name}")
    } else {
        format!("lkl_{name}")
    }
}

#[test]
fn structs_and_numbers_are_linuxs() {
    if !Path::new("/usr/include/linux/fcntl.h").exists() {
        assert!(std::env::var_os("CI").is_none(), "linux-libc-dev is missing");
        return;
    }
    let mut numbers = String::new();
    for path in headers().unwrap() {
        for line in fs::read_to_string(path).unwrap().lines() {
            let Some((own, _)) = line.strip_prefix("#define LKL_").and_then(|l| l.split_once(' ')) else { continue };
            if own.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
                let check = format!("_Static_assert((LKL_{own}) == ({own}), \"{own}\");");
                numbers.push_str(&format!("#ifdef {own}\n{check}\n#endif\n"));
            }
        }
    }
    assert!(numbers.matches("#endif").count() > 900);
    let mut linux: BTreeMap<&str, String> = OTHERS.iter().map(|header| (*header, String::new())).collect();
    for (name, header, members) in STRUCTS {
        let (own, checks) = (ours(name), linux.entry(header).or_default());
        checks.push_str(&format!("_Static_assert(sizeof(struct {own}) == sizeof(struct {name}), \"{name}\");\n"));
        for member in *members {
            let (a, b) = (format!("offsetof(struct {own}, {member})"), format!("offsetof(struct {name}, {member})"));
            checks.push_str(&format!("_Static_assert({a} == {b}, \"{name}.{member}\");\n"));
        }
    }
    // One at a time: some of Linux's headers do not go together.
    for (header, checks) in linux {
        // What they forget to include.
        let before = match header {
            "linux/errqueue.h" => "#include <time.h>\n",
            "linux/fs.h" => "#include <linux/fiemap.h>\n",
            "linux/sockios.h" => "#include <asm-generic/ioctls.h>\n",
            _ => "",
        };
        let text = format!("{before}#include <stddef.h>\n#include <lkl.h>\n#include <{header}>\n{checks}{numbers}");
        let args: Vec<&str> = C.iter().copied().chain(["-Wno-sign-compare", "-Wno-overflow"]).collect();
        assert_eq!(refused("gcc", &args, &text), None, "{header}");
    }
}

/// Headers of Linux with numbers, and no structs to look at.
const OTHERS: &[&str] = &[
    "asm-generic/errno.h",
    "asm-generic/fcntl.h",
    "asm-generic/ioctls.h",
    "asm-generic/socket.h",
    "linux/eventpoll.h",
    "linux/fadvise.h",
    "linux/falloc.h",
    "linux/fcntl.h",
    "linux/fib_rules.h",
    "linux/fs.h",
    "linux/if_link.h",
    "linux/limits.h",
    "linux/magic.h",
    "linux/memfd.h",
    "linux/mount.h",
    "linux/net_tstamp.h",
    "linux/random.h",
    "linux/reboot.h",
    "linux/sockios.h",
    "linux/tcp.h",
    "linux/timerfd.h",
    "linux/udp.h",
    "linux/virtio_net.h",
    "linux/xattr.h",
];

#[test]
fn what_the_kernel_writes_fits_lkls_structs() {
    let sizes = [
        ("struct lkl_stat", lkl_abi::stat::STAT_SIZE),
        ("struct lkl_statx", lkl_abi::stat::STATX_SIZE),
        ("struct lkl_statfs", lkl_abi::statfs::STATFS_SIZE),
        ("struct lkl_epoll_event", lkl_abi::epoll::EPOLL_EVENT_SIZE),
        ("struct lkl_flock", lkl_abi::fcntl::FLOCK_SIZE),
        ("struct lkl_ifreq", lkl_abi::if_::IFREQ_SIZE),
        ("struct lkl_sysinfo", lkl_abi::sysinfo::SYSINFO_SIZE),
        ("struct lkl_new_utsname", lkl_abi::utsname::UTS_MEMBER * lkl_abi::utsname::UTS_MEMBERS),
        ("struct lkl_msghdr", lkl_abi::socket::MSGHDR_SIZE),
        ("struct lkl_cmsghdr", lkl_abi::socket::CMSGHDR_SIZE),
        ("struct lkl_pollfd", lkl_abi::poll::POLLFD_SIZE),
        ("struct lkl_iovec", lkl_abi::uio::IOVEC_SIZE),
        ("struct __lkl__kernel_timespec", lkl_abi::time::TIMESPEC_SIZE),
        ("struct lkl_rlimit", lkl_abi::resource::RLIMIT_SIZE),
        ("lkl_fd_set", lkl_abi::poll::FD_SETSIZE / 8),
    ];
    let mut text = String::from("#include <stddef.h>\n#include <lkl.h>\n");
    for (name, size) in sizes {
        text.push_str(&format!("_Static_assert(sizeof({name}) == {size}, \"{name}\");\n"));
    }
    for (name, member, at) in [("stat", "st_size", 48), ("stat", "lkl_st_atime", 72), ("epoll_event", "data", 8)] {
        text.push_str(&format!("_Static_assert(offsetof(struct lkl_{name}, {member}) == {at}, \"{member}\");\n"));
    }
    assert_eq!(refused("gcc", C, &text), None);
}
