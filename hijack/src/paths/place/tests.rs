use super::*;

fn named(path: &str) -> Whose {
    of_absolute(path.as_bytes())
}

fn kernel_at(path: &str) -> Whose {
    Whose::KernelAt(format!("{path}\0").into_bytes())
}

/// One test, for the places are set once in a process.
#[test]
fn whose_paths() {
    assert_eq!(named("/proc/net/dev"), kernel_at("/proc/net/dev"));
    assert_eq!(named("/proc//self/./net/tcp"), kernel_at("/proc/self/net/tcp"));
    assert_eq!(named("/proc/thread-self/net"), kernel_at("/proc/self/net"));
    assert_eq!(named(&format!("/proc/{}/net/udp", sys::getpid())), kernel_at("/proc/self/net/udp"));
    assert_eq!(named("/proc/sys/net/ipv4/ip_forward"), kernel_at("/proc/sys/net/ipv4/ip_forward"));
    assert_eq!(named("/sys/class/net"), kernel_at("/sys/class/net"));
    assert_eq!(named("/proc/sysrq-trigger"), kernel_at("/proc/sysrq-trigger"));
    for host in
        ["/proc/net/unix", "/proc/1/net/tcp", "/proc/net/../stat", "/proc/netx", "/etc/hosts", "/sys/class/tty", "/"]
    {
        assert_eq!(named(host), Whose::Host, "{host}");
    }
    assert_eq!(named("/mnt/img"), Whose::Host);

    set(["/mnt/img", "/data"].into_iter().map(String::from));
    for ours in
        ["/mnt/img", "/mnt/img/", "/mnt/./img/a", "//mnt//img/a/b", "/mnt/x/../img", "/data/../mnt/img/x", "/data"]
    {
        assert_eq!(named(ours), Whose::Kernel, "{ours}");
    }
    for host in ["/mnt", "/mnt/image", "/mnt/img/..", "/mnt/img/../x", "/x/mnt/img", "/datax"] {
        assert_eq!(named(host), Whose::Host, "{host}");
    }

    // From a directory of the host's.
    assert_eq!(of_joined(b"/mnt", b"img/a", false), kernel_at("/mnt/img/a"));
    assert_eq!(of_joined(b"/mnt", b"imgs/a", false), Whose::Host);
    assert_eq!(of_joined(b"/", b"proc/net/tcp", false), kernel_at("/proc/net/tcp"));
    // From one of an image.
    assert_eq!(of_joined(b"/mnt/img/d", b"../x", true), Whose::Kernel);
    assert_eq!(of_joined(b"/mnt/img/d", b"../../x", true), Whose::HostAt(b"/mnt/x\0".to_vec()));
    assert_eq!(of_joined(b"/mnt/img", b"../../", true), Whose::HostAt(b"/\0".to_vec()));
    assert_eq!(of_joined(b"/mnt/img", b"../x/", true), Whose::HostAt(b"/mnt/x/\0".to_vec()));
    assert_eq!(of_joined(b"/data", b"../proc/net/tcp", true), kernel_at("/proc/net/tcp"));
    assert!(may_lead_in(b"img") && may_lead_in(b"..") && !may_lead_in(b"src"));
}
