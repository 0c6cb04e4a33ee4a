use super::values::*;
use super::*;
use proptest::prelude::*;
use std::os::unix::ffi::OsStringExt;

fn parse(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_vars(vars.iter().map(|(k, v)| (OsString::from(format!("{PREFIX}{k}")), OsString::from(v))))
}

fn line(vars: &[(&str, &str)]) -> String {
    parse(vars).expect_err("must be refused").line()
}

#[test]
fn nothing_set_is_fine() {
    assert_eq!(parse(&[]).unwrap(), Config::default());
    let others = [("PATH", "/bin"), ("LKL_OTHER", "x"), ("LKL_HIJACK", "1")];
    let vars = others.map(|(k, v)| (OsString::from(k), OsString::from(v)));
    assert_eq!(Config::from_vars(vars).unwrap(), Config::default());
}

#[test]
fn everything_set() {
    let c = parse(&[
        ("NET_TAP", "tap0"),
        ("NET_IP", "10.0.0.2"),
        ("NET_NETMASK_LEN", "24"),
        ("NET_MAC", "02:01:02:03:04:05"),
        ("NET_GATEWAY", "10.0.0.1"),
        ("NET_MTU", "9000"),
        ("NET_IPV6", "fd00::2"),
        ("NET_NETMASK6_LEN", "64"),
        ("NET_GATEWAY6", "fe80::1"),
        ("DEBUG", "0x2"),
        ("LOG", "info,lkl::drop=debug"),
        ("OFFLOAD", "0"),
    ])
    .unwrap();
    let net = c.net.unwrap();
    assert_eq!(net.tap, "tap0");
    assert_eq!(net.ip.unwrap().to_string(), "10.0.0.2/24");
    assert_eq!(net.ipv6.unwrap().to_string(), "fd00::2/64");
    assert_eq!(net.mac, Some([2, 1, 2, 3, 4, 5]));
    assert_eq!((net.mtu, net.offload), (Some(9000), false));
    assert_eq!(net.gateway, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert!(net.gateway6.is_some());
    assert_eq!((c.debug, c.log.as_deref()), (2, Some("info,lkl::drop=debug")));
}

#[test]
fn a_mask_with_the_address() {
    let net = parse(&[("NET_IFPARAMS", "tap0"), ("NET_IFTYPE", "tap"), ("NET_IP", "10.0.0.2/8")]).unwrap().net.unwrap();
    assert_eq!(net.ip.unwrap().prefix(), 8);
    assert!(parse(&[("NET_TAP", "tap0"), ("NET_IP", "10.0.0.2/8"), ("NET_NETMASK_LEN", "9")]).is_err());
}

#[test]
fn settings_have_one_form() {
    let settings = |vars: &[(&str, &str)]| parse(vars).unwrap().settings();
    let one = settings(&[
        ("NET_IFPARAMS", "tap0"),
        ("NET_IP", "10.0.0.2/24"),
        ("NET_MAC", "02:00:00:00:00:0A"),
        ("SYSCTL", "net.ipv4.tcp_ecn=0; net.ipv4.tcp_ecn = 1"),
        ("KERNEL", "web"),
        ("DEBUG", "0"),
    ]);
    let two = settings(&[
        ("NET_TAP", "tap0"),
        ("NET_IP", "10.0.0.2"),
        ("NET_NETMASK_LEN", "24"),
        ("NET_MAC", "02:00:00:00:00:0a"),
        ("SYSCTL", "net.ipv4.tcp_ecn=1"),
    ]);
    assert_eq!(one, two);
    let keys: Vec<&str> = one.keys().map(String::as_str).collect();
    let net = ["NET_IP", "NET_MAC", "NET_TAP"].map(|n| format!("{PREFIX}{n}"));
    assert_eq!(keys, [&*net[0], &net[1], &net[2], "LKL_HIJACK_SYSCTL=net.ipv4.tcp_ecn"]);
    assert_eq!(parse(&[("KERNEL", "")]).unwrap().kernel, None);
}

#[test]
fn errors_name_the_variable_its_value_and_what_was_expected() {
    let tap = ("NET_TAP", "tap0");
    assert_eq!(
        line(&[("NET_IP", "300.1.1.1")]),
        "lkl-hijack: LKL_HIJACK_NET_IP=300.1.1.1: expected an IPv4 address such as 10.0.0.2"
    );
    for (vars, want) in [
        (&[tap, ("NET_MAC", "02:00:00:00:01")][..], "LKL_HIJACK_NET_MAC=02:00:00:00:01: expected a unicast"),
        (&[("NET_NETMASK_LEN", "99")], "LKL_HIJACK_NET_NETMASK_LEN=99: expected a mask length from 0 to 32"),
        (&[("NET_NETMASK6_LEN", "129")], "from 0 to 128"),
        (&[tap, ("NET_IP", "10.0.0.2")], "LKL_HIJACK_NET_IP=10.0.0.2: expected LKL_HIJACK_NET_NETMASK_LEN too"),
        (&[("NET_IP", "10.0.0.2/24")], "expected LKL_HIJACK_NET_TAP too"),
        (
            &[tap, ("NET_IP", "10.0.0.2/24"), ("NET_GATEWAY", "10.0.1.1")],
            "LKL_HIJACK_NET_GATEWAY=10.0.1.1: expected an address in the network of LKL_HIJACK_NET_IP, 10.0.0.0/24",
        ),
        (&[tap, ("NET_GATEWAY", "10.0.1.1")], "LKL_HIJACK_NET_GATEWAY=10.0.1.1: expected LKL_HIJACK_NET_IP too"),
        (&[tap, ("NET_IP", "10.0.0.2/24"), ("NET_GATEWAY", "10.0.0.2")], "expected another address"),
        (&[tap, ("NET_IPV6", "10.0.0.1")], "expected an IPv6 address such as fd00::2"),
        (&[tap, ("NET_MTU", "67")], "expected an MTU in bytes from 68 to 65535"),
        (&[tap, ("NET_MTU", "1000"), ("NET_IPV6", "fd00::2/64")], "LKL_HIJACK_NET_MTU=1000: expected at least 1280"),
        (
            &[tap, ("NET_TPA", "tap0")],
            "LKL_HIJACK_NET_TPA=tap0: there is no such variable; did you mean LKL_HIJACK_NET_TAP?",
        ),
        (&[("NET_IPADDR", "x")], "did you mean LKL_HIJACK_NET_IP?"),
        (&[("NET_IPV4", "x")], "did you mean LKL_HIJACK_NET_IPV6?"),
        (&[("NET_QDISC", "root|fq")], "LKL_HIJACK_NET_QDISC=root|fq: this variable of LKL's is not supported"),
        (&[("NET_IFTYPE", "vde")], "LKL_HIJACK_NET_IFTYPE=vde: expected tap"),
        (&[("DEBUG", "yes")], "LKL_HIJACK_DEBUG=yes: expected a number"),
        (&[("LOG", "=====")], "LKL_HIJACK_LOG======: expected a filter"),
        (&[("BUSY_POLL", "1000001")], "LKL_HIJACK_BUSY_POLL=1000001: expected a number of microseconds"),
        (&[("HOST", "10.0.0.0/8,x")], "LKL_HIJACK_HOST=10.0.0.0/8,x: expected networks such as 127.0.0.0/8"),
        (&[("HOST", "10.0.0.0/")], "not \"10.0.0.0/\""),
        (&[("RESOLV_CONF", "x")], "LKL_HIJACK_RESOLV_CONF=x: expected the absolute name of a file"),
        (&[("KERNEL", "../x")], "LKL_HIJACK_KERNEL=../x: expected a name of at most 64 letters"),
        (&[("NET_TAP", "")], "LKL_HIJACK_NET_TAP=: expected the name of an interface"),
        (&[("NET_TAP", "a\nb")], "LKL_HIJACK_NET_TAP=a\\nb: expected"),
    ] {
        let got = line(vars);
        assert!(got.contains(want), "{got:?} lacks {want:?}");
        assert!(!got.contains('\n'));
    }
}

#[test]
fn busy_polling_is_two_settings_and_given_settings_win() {
    let config = parse(&[("BUSY_POLL", "50"), ("SYSCTL", "net.core.busy_read=0")]).unwrap();
    let all: Vec<_> = config.sysctl.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(all, ["net.core.busy_poll=50", "net.core.busy_read=50", "net.core.busy_read=0"]);
}

#[test]
fn the_readme_has_every_variable() {
    let readme = include_str!("../../../README.md");
    for (name, _) in KNOWN {
        assert!(readme.contains(&format!("`{PREFIX}{name}`")), "{name}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    let bad = OsString::from_vec(vec![b't', 0xff]);
    let e = Config::from_vars([(OsString::from("LKL_HIJACK_NET_TAP"), bad.clone())]).unwrap_err();
    assert!(e.to_string().contains("expected text in UTF-8"), "{e}");
    assert!(Config::from_vars([(bad.clone(), bad)]).is_ok());
}

/// What proptest found: the crate that reads filters panics on this.
#[test]
fn filters_are_ascii_without_space() {
    for text in ["\n\n\u{1103a}=", " \u{e9}=info", "\u{e9}", ""] {
        assert!(LogFilter::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(LogFilter::parse("\n info , lkl::drop=debug "), Ok(LogFilter("info,lkl::drop=debug".into())));
}

proptest! {
    #[test]
    fn no_value_panics(text in "\\PC{0,40}|[0-9a-fA-F:./x]{0,24}|(\\PC|\n|\u{0}){0,12}") {
        for (name, _) in KNOWN {
            let tap = ("NET_TAP", "tap0");
            let both = if *name == "NET_TAP" { vec![(*name, &*text)] } else { vec![tap, (*name, &*text)] };
            if let Err(e) = parse(&both) {
                let line = e.line();
                prop_assert!(!line.contains('\n'), "{:?}", line);
                prop_assert!(line.contains("expected"), "{:?}", line);
            }
        }
    }

    #[test]
    fn no_name_panics(name in "[A-Z_]{0,12}|\\PC{0,12}") {
        let _any = parse(&[(&format!("NET_{name}"), "1")]);
    }

    #[test]
    fn what_is_printed_is_read(a: [u8; 4], b: [u8; 16], len in 0u8..=32, mac: [u8; 6], n: u32) {
        if usable(&a.into()) {
            let text = format!("{}/{len}", Ipv4Addr::from(a));
            prop_assert_eq!(Addr4::parse(&text), Ok(Addr { addr: a.into(), len: Some(len) }));
        }
        let v6 = Ipv6Addr::from(b);
        if let Ok(got) = Addr6::parse(&v6.to_string()) {
            prop_assert_eq!(got.addr, v6);
        }
        let text = MacAddr6::from(mac).to_string();
        if mac[0] & 1 == 0 && mac != [0; 6] {
            prop_assert_eq!(Mac::parse(&text), Ok(Mac(mac.into())));
        } else {
            prop_assert!(Mac::parse(&text).is_err());
        }
        for text in [n.to_string(), format!("{n:#x}"), format!("0{n:o}")] {
            prop_assert_eq!(Number::parse(&text), Ok(Number(n)));
        }
    }
}

fn usable(a: &Ipv4Addr) -> bool {
    !a.is_unspecified() && !a.is_multicast() && !a.is_broadcast()
}
