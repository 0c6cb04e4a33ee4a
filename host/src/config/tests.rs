use super::keys::KNOWN;
use super::values::*;
use super::*;
use crate::netdev::Offload;
use macaddr::MacAddr6;
use proptest::prelude::*;
use std::os::unix::ffi::OsStringExt;

fn parse(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_vars(vars.iter().map(|(k, v)| (OsString::from(format!("{PREFIX}{k}")), OsString::from(v))))
}

fn of_file(vars: &[(&str, &str)], text: &str) -> Result<Config, ConfigError> {
    let vars = vars.iter().map(|(k, v)| (OsString::from(format!("{PREFIX}{k}")), OsString::from(v)));
    Config::from_sources(vars, Some(&File { name: "x.json".into(), text: text.into() }))
}

fn is_one_line(e: &ConfigError) -> Result<(), TestCaseError> {
    let line = e.line();
    prop_assert!(!line.contains(['\n', '\r']), "{:?}", line);
    prop_assert!(line.contains("expected"), "{:?}", line);
    Ok(())
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
    let [net] = &c.nets[..] else { panic!("{c:?}") };
    assert_eq!(net.device, Device::Tap("tap0".into()));
    assert_eq!(net.ip.unwrap().to_string(), "10.0.0.2/24");
    assert_eq!(net.ipv6.unwrap().to_string(), "fd00::2/64");
    assert_eq!(net.mac, Some([2, 1, 2, 3, 4, 5]));
    assert_eq!((net.mtu, net.offload), (Some(9000), Offload::NONE));
    assert_eq!(c.gateway, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert!(c.gateway6.is_some());
    assert_eq!((c.debug, c.log.as_deref()), (2, Some("info,lkl::drop=debug")));
}

#[test]
fn a_mask_with_the_address() {
    let config = parse(&[("NET_IFPARAMS", "tap0"), ("NET_IFTYPE", "tap"), ("NET_IP", "10.0.0.2/8")]).unwrap();
    assert_eq!(config.nets[0].ip.unwrap().prefix(), 8);
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
        (
            &[tap, ("NET_QDISC", "root|tbf")],
            "LKL_HIJACK_NET_QDISC=root|tbf: expected root|KIND, where KIND is one of pfifo_fast,",
        ),
        (&[("NET_QDISC", "root|fq")], "LKL_HIJACK_NET_QDISC=root|fq: expected LKL_HIJACK_NET_TAP too"),
        (&[("NET_IFTYPE", "vde")], "LKL_HIJACK_NET_IFTYPE=vde: expected LKL_HIJACK_NET_IFPARAMS too"),
        (
            &[("NET_IFTYPE", "dpdk")],
            "LKL_HIJACK_NET_IFTYPE=dpdk: expected tap, macvtap, raw, pipe or vde: there is no DPDK",
        ),
        (&[tap, ("NET_IFTYPE", "raw")], "LKL_HIJACK_NET_IFTYPE=raw: expected tap, for LKL_HIJACK_NET_TAP is given"),
        (
            &[tap, ("NET_IFPARAMS", "tap1")],
            "LKL_HIJACK_NET_IFPARAMS=tap1: expected the same as LKL_HIJACK_NET_TAP, which is tap0",
        ),
        (&[("NET_IFTYPE", "pipe"), ("NET_IFPARAMS", "a|")], "LKL_HIJACK_NET_IFPARAMS=a|: expected two named pipes"),
        (
            &[("NET_IFTYPE", "pipe"), ("NET_IFPARAMS", "a|b"), ("NET_MTU", "4071")],
            "LKL_HIJACK_NET_MTU=4071: expected at most 4070",
        ),
        (
            &[("NET_IFTYPE", "macvtap"), ("NET_IFPARAMS", "")],
            "LKL_HIJACK_NET_IFPARAMS=: expected the path of a macvtap",
        ),
        (
            &[tap, ("NET_NEIGHBOR", "10.0.0.1-02:00:00:00:00:01")],
            "NET_NEIGHBOR=10.0.0.1-02:00:00:00:00:01: expected neighbours such as",
        ),
        (&[tap, ("NET_NEIGHBOR", ";")], "NET_NEIGHBOR=;: expected neighbours such as"),
        (&[tap, ("NET_IFGATEWAY", "10.0.0.1")], "LKL_HIJACK_NET_IFGATEWAY=10.0.0.1: expected LKL_HIJACK_NET_IP too"),
        (&[tap, ("NET_IFGATEWAY6", "fe80::1")], "LKL_HIJACK_NET_IFGATEWAY6=fe80::1: expected LKL_HIJACK_NET_IPV6 too"),
        (&[tap, ("OFFLOAD", "0x10000")], "LKL_HIJACK_OFFLOAD=0x10000: expected a mask of the bits"),
        (&[("DEBUG", "yes")], "LKL_HIJACK_DEBUG=yes: expected a number"),
        (&[("LOG", "=====")], "LKL_HIJACK_LOG======: expected a filter"),
        (
            &[("BOOT_CMDLINE", "quiet mem=lots")],
            "LKL_HIJACK_BOOT_CMDLINE=quiet mem=lots: expected an amount of memory such as mem=64M, not mem=lots",
        ),
        (&[("MOUNT", "proc,/x")], "LKL_HIJACK_MOUNT=proc,/x: expected types of file systems such as proc,sysfs, not"),
        (&[("DUMP", "x")], "LKL_HIJACK_DUMP=x: expected absolute names of files"),
        (&[("SINGLE_CPU", "3")], "LKL_HIJACK_SINGLE_CPU=3: expected 0, 1 or 2"),
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
fn devices_of_all_kinds() {
    let of = |kind: &str, param: &str| {
        let config = parse(&[("NET_IFTYPE", kind), ("NET_IFPARAMS", param), ("NET_IP", "10.0.0.2/24")]).unwrap();
        (config.local, config.nets.into_iter().next().unwrap())
    };
    for (kind, param, shown, local) in [
        ("tap", "tap0", "tap0", false),
        ("raw", "eth0", "raw:eth0", false),
        ("macvtap", "/dev/tap5", "macvtap:/dev/tap5", false),
        ("pipe", "/tmp/a|b", "pipe:/tmp/a|b", true),
        ("vde", "switch", "vde:switch", true),
    ] {
        let (is_local, net) = of(kind, param);
        assert_eq!((net.device.kind(), &*net.device.param(), &*net.device.to_string()), (kind, param, shown));
        assert_eq!(is_local, local);
        assert!(net.claims().iter().all(|name| name.len() <= 17) && net.claims().len() == 1);
    }
    // Several kernels can be on one switch, if they have other addresses.
    let claims = |more: &[(&str, &str)]| {
        parse(&[&[("NET_IFTYPE", "vde"), ("NET_IFPARAMS", "/s")], more].concat()).unwrap().nets[0].claims()
    };
    let (one, two) = (("NET_IP", "10.0.0.1/24"), ("NET_IP", "10.0.0.2/24"));
    assert!(claims(&[]).is_empty());
    assert_eq!(claims(&[one]), claims(&[one]));
    assert_ne!(claims(&[one]), claims(&[two]));
    let mac = ("NET_MAC", "02:00:00:00:00:01");
    assert!(claims(&[one, mac]).iter().any(|c| claims(&[one]).contains(c)));
    assert!(claims(&[one, mac]).iter().any(|c| claims(&[two, mac]).contains(c)));
}

#[test]
fn gateways_and_neighbours_of_an_interface() {
    let vars = [
        ("NET_TAP", "tap0"),
        ("NET_IP", "10.0.0.2/24"),
        ("NET_IPV6", "fd00::2/64"),
        ("NET_IFGATEWAY", "10.0.0.1"),
        ("NET_IFGATEWAY6", "fe80::1"),
        ("NET_NEIGHBOR", "10.0.0.9|02:00:00:00:00:09; fd00::9|02:00:00:00:00:0A;"),
        ("NET_QDISC", "root|fq"),
        ("OFFLOAD", "0x883"),
    ];
    let config = parse(&vars).unwrap();
    let net = &config.nets[0];
    assert_eq!(net.own_gateway, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(net.own_gateway6, Some("fe80::1".parse().unwrap()));
    assert_eq!(net.neighbours[1], ("fd00::9".parse().unwrap(), [2, 0, 0, 0, 0, 10]));
    let settings = config.settings();
    let of = |name: &str| settings[&format!("{PREFIX}{name}")].clone();
    assert_eq!(of("NET_NEIGHBOR"), "10.0.0.9|02:00:00:00:00:09;fd00::9|02:00:00:00:00:0a");
    assert_eq!((of("OFFLOAD"), of("NET_IFGATEWAY6")), ("0x883".into(), "fe80::1".into()));
}

#[test]
fn a_file_goes_before_the_environment_key_by_key() {
    let vars = [("NET_TAP", "tap0"), ("NET_IP", "10.0.0.2/24"), ("NET_GATEWAY", "10.0.0.1"), ("DEBUG", "1")];
    // As LKL's users write them: commas too few and too many, numbers.
    let c = of_file(&vars, "{ \"debug\": 2, gateway: \"10.0.0.3\" \"delay_main\": \"50\", }").unwrap();
    assert_eq!((c.debug, c.delay_main, c.gateway), (2, 50, Some(Ipv4Addr::new(10, 0, 0, 3))));
    assert_eq!(c.nets[0].device, Device::Tap("tap0".into()));
    let two = r#"{"interfaces": [
        {"type": "tap", "param": "tap1", "ip": "10.0.0.5", "masklen": 24, "mtu": "1400", "offload": 0x8883},
        {"type": "raw", "param": "eth1", "ipv6": "fd01::5/64", "ifgateway6": "fd01::1"},
    ], "gateway6": "fd01::1", "sysctl": "net.ipv4.tcp_sack=0"}"#;
    let c = of_file(&vars, two).unwrap();
    // The list takes the place of the interface.
    assert_eq!(c.nets.iter().map(|n| n.device.to_string()).collect::<Vec<_>>(), ["tap1", "raw:eth1"]);
    assert_eq!(c.nets[0].ip.unwrap().to_string(), "10.0.0.5/24");
    assert_eq!((c.gateway.is_some(), c.gateway6.is_some(), c.debug), (true, true, 1));
    let settings = c.settings();
    assert_eq!(settings["interfaces[1].ipv6"], "fd01::5/64");
    assert_eq!(settings[&format!("{PREFIX}NET_TAP")], "tap1");
    assert_eq!(of_file(&vars, "").unwrap().settings(), parse(&vars).unwrap().settings());
    assert_eq!(of_file(&vars, "{\"debug\": true}").unwrap().debug, 1);
    assert_eq!(
        of_file(&vars, "{\"interfaces\": [], \"gateway\": \"10.0.0.1\"}").unwrap_err().problem,
        "expected LKL_HIJACK_NET_TAP too, the name of the TAP that it is for"
    );
}

#[test]
fn errors_of_a_file_name_it_the_key_the_value_and_what_was_expected() {
    let tap = r#""type": "tap", "param": "tap0""#;
    for (text, want) in [
        ("{\"gateway\": \"10.0.0.300\"}", "x.json: gateway=10.0.0.300: expected an IPv4 address such as 10.0.0.1"),
        ("{\"getaway\": 1}", "x.json: getaway=1: expected a key that there is; did you mean gateway?"),
        ("{\"interface\": []}", "x.json: interface=[...]: expected a key that there is; did you mean interfaces?"),
        ("{\"host\": \"10.0.0.1\"}", "x.json: host=10.0.0.1: expected as a variable, LKL_HIJACK_HOST"),
        ("{\"sysctl\": [1]}", "x.json: sysctl=[...]: expected a string, a number, or true or false"),
        ("{\"debug\": null}", "x.json: debug=null: expected a string, a number, or true or false"),
        ("{\"interfaces\": {}}", "x.json: interfaces={...}: expected an array of objects such as [{"),
        ("{\"delay_main\": \"soon\"}", "x.json: delay_main=soon: expected a number of microseconds"),
        ("{\"debug\" 1", "x.json: expected JSON: Expected colon"),
        ("[]", "x.json: expected JSON: an object, in braces"),
        ("{\"interfaces\": [{}]}", "x.json: interfaces[0].type: expected a kind of device, and param"),
        ("{\"interfaces\": [{TAP, \"ip\": \"10.0.0.2\"}]}", "x.json: interfaces[0].ip=10.0.0.2: expected interfaces[0].masklen too"),
        ("{\"interfaces\": [{TAP}, {TAP, \"mtu\": 1}]}", "x.json: interfaces[1].mtu=1: expected an MTU in bytes from 68"),
        ("{\"interfaces\": [{TAP}, {TAP}]}", "x.json: interfaces[1].param=tap0: expected a device, or addresses on it, that no other"),
        ("{\"interfaces\": [{TAP}, {TAP}]}", "x.json: interfaces[1].param=tap0: expected a device, or addresses on it, that no other"),
        ("{\"interfaces\": [{TAP, \"gateway\": \"1\"}]}", "x.json: interfaces[0].gateway=1: expected a key that there is; did you mean ifgateway?"),
        ("{\"interfaces\": [{TAP, \"ip\": \"10.0.0.2/24\", \"ifgateway\": \"10.0.1.1\"}]}", "x.json: interfaces[0].ifgateway=10.0.1.1: expected an address in the network of interfaces[0].ip, 10.0.0.0/24"),
        ("{\"interfaces\": [{TAP, \"ip\": \"10.0.0.2/24\"}, {\"type\": \"raw\", \"param\": \"r\"}], \"gateway\": \"10.0.1.1\"}", "x.json: gateway=10.0.1.1: expected an address in a network of the interfaces: 10.0.0.0/24"),
    ] {
        let got = of_file(&[], &text.replace("TAP", tap)).expect_err(text).line();
        assert!(got.starts_with(&format!("lkl-hijack: {want}")), "{text}: {got}");
    }
}

#[test]
fn a_command_line_and_what_has_no_effect() {
    let vars = [
        ("NET_TAP", "tap0"),
        ("NET_GATEWAY", "10.0.0.1"),
        ("BOOT_CMDLINE", "mem=32M ip=dhcp root=/dev/vda sysctl.net.ipv4.tcp_sack=0 ro"),
        ("SYSCTL", "net.ipv4.tcp_sack=1"),
        ("SINGLE_CPU", "2"),
        ("DEBUG", "0x301"),
        ("MOUNT", "proc, sysfs,"),
        ("DUMP", "/sysfs/class/net/lo/mtu"),
    ];
    let c = parse(&vars).unwrap();
    assert_eq!((c.cmdline.memory, c.debug, c.file_systems.len(), c.dump.len()), (Some(32 << 20), 1, 2, 1));
    // What is said of it later counts.
    assert_eq!(c.sysctl.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    let starts = [
        "lkl-hijack: LKL_HIJACK_BOOT_CMDLINE=mem=32M ip=dhcp root=/dev/vda sysctl.net.ipv4.tcp_sack=0 ro: no effect: of root=/dev/vda ro",
        "lkl-hijack: LKL_HIJACK_SINGLE_CPU=2: no effect: ",
        "lkl-hijack: LKL_HIJACK_DEBUG=0x301: no effect: of the bits 0x300",
    ];
    assert_eq!(c.notes.len(), starts.len());
    starts.iter().zip(&c.notes).for_each(|(start, note)| assert!(note.starts_with(start), "{note}"));
    assert_eq!(parse(&[("DEBUG", "0x400")]).unwrap().debug, 1);
    let c = of_file(&vars, "{\"singlecpu\": \"0\", \"debug\": 0, \"boot_cmdline\": \"\"}").unwrap_err();
    assert!(c.line().contains("expected LKL_HIJACK_NET_IP too"), "{c}");
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
    for key in KNOWN.iter().filter(|k| !k.variable.is_empty()) {
        assert!(readme.contains(&format!("`{PREFIX}{}`", key.variable)), "{}", key.variable);
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
        for key in KNOWN {
            let tap = ("NET_TAP", "tap0");
            let both =
                if key.variable == "NET_TAP" { vec![(key.variable, &*text)] } else { vec![tap, (key.variable, &*text)] };
            let mut all = vec![parse(&both)];
            all.extend(["tap", "raw", "macvtap", "pipe", "vde"].map(|kind| {
                parse(&[("NET_IFTYPE", kind), ("NET_IFPARAMS", if key.variable == "NET_IFPARAMS" { &text } else { "a|b" }), (key.variable, &text)])
            }));
            for e in all.into_iter().filter_map(Result::err) {
                is_one_line(&e)?;
            }
        }
    }

    #[test]
    fn no_file_panics(text in "\\PC{0,40}|[0-9a-fA-F:./x|;]{0,24}|(\\PC|\n|\u{0}){0,12}", more in "\\PC{0,60}|[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        for key in KNOWN.iter().map(|k| k.json).chain(["delay_main", "interfaces", &text]) {
            let quoted = serde_json::to_string(&text).unwrap();
            for value in [&quoted, &text, &more] {
                let key = serde_json::to_string(key).unwrap();
                for text in [format!("{{{key}: {value}}}"), format!("{{\"interfaces\": [{{\"tap\": \"t\", {key}: {value}}}]}}")] {
                    if let Err(e) = of_file(&[], &text) {
                        is_one_line(&e)?;
                    }
                }
            }
        }
        if let Err(e) = of_file(&[], &more) {
            is_one_line(&e)?;
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
