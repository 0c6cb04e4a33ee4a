//! The grammars of single values. Each error says what was expected.

use crate::netdev::Offload;
use crate::{cmdline, setup};
use ipnetwork::IpNetwork;
use macaddr::MacAddr6;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A value that is parsed from text.
pub trait Value: Sized {
    /// Parses it.
    ///
    /// # Errors
    /// "expected ...".
    fn parse(text: &str) -> Result<Self, String>;
}

/// Makes a [`Value`] something that `serde` can read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed<T>(pub T);

impl<'de, T: Value> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        T::parse(&text).map(Parsed).map_err(serde::de::Error::custom)
    }
}

/// The name of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfName(pub String);

impl Value for IfName {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
        if text.is_empty() || text.len() > 15 || text == "." || text == ".." || text.contains(bad) {
            return Err("expected the name of an interface such as tap0 (at most 15 bytes, no / : % or space)".into());
        }
        Ok(Self(text.into()))
    }
}

/// The name of a kernel; empty for none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelName(pub String);

impl Value for KernelName {
    fn parse(text: &str) -> Result<Self, String> {
        let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if text.len() > 64 || !text.bytes().all(good) || text.starts_with(['.', '-']) {
            return Err(
                "expected a name of at most 64 letters, digits, . _ or -, the first a letter, a digit or _".into()
            );
        }
        Ok(Self(text.into()))
    }
}

/// An address, perhaps with the length of its mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addr<T> {
    /// The address.
    pub addr: T,
    /// Bits of its network.
    pub len: Option<u8>,
}

/// IPv4.
pub type Addr4 = Addr<Ipv4Addr>;
/// IPv6.
pub type Addr6 = Addr<Ipv6Addr>;

fn with_len<T: FromStr>(text: &str, max: u8, usable: fn(&T) -> bool, expected: &str) -> Result<Addr<T>, String> {
    let expected = || format!("expected {expected}");
    let (addr, len) = match text.split_once('/') {
        None => (text, None),
        Some((addr, len)) => (addr, Some(decimal(len).filter(|l| *l <= u32::from(max)).ok_or_else(expected)?)),
    };
    let addr = addr.parse().ok().filter(usable).ok_or_else(expected)?;
    Ok(Addr { addr, len: len.and_then(|l| u8::try_from(l).ok()) })
}

fn usable4(a: &Ipv4Addr) -> bool {
    !a.is_unspecified() && !a.is_multicast() && !a.is_broadcast()
}

fn usable6(a: &Ipv6Addr) -> bool {
    !a.is_unspecified() && !a.is_multicast() && a.to_ipv4_mapped().is_none()
}

impl Value for Addr4 {
    fn parse(text: &str) -> Result<Self, String> {
        with_len(text, 32, usable4, "an IPv4 address such as 10.0.0.2")
    }
}

impl Value for Addr6 {
    fn parse(text: &str) -> Result<Self, String> {
        with_len(text, 128, usable6, "an IPv6 address such as fd00::2")
    }
}

impl Value for Ipv4Addr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().ok().filter(usable4).ok_or_else(|| "expected an IPv4 address such as 10.0.0.1".into())
    }
}

impl Value for Ipv6Addr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().ok().filter(usable6).ok_or_else(|| "expected an IPv6 address such as fd00::1".into())
    }
}

/// Digits only: no sign, no space.
fn decimal(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn in_range(text: &str, min: u32, max: u32, what: impl Display) -> Result<u32, String> {
    let n = decimal(text).filter(|n| (min..=max).contains(n));
    n.ok_or_else(|| format!("expected {what} from {min} to {max}"))
}

/// The length of an IPv4 network mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mask4(pub u8);

impl Value for Mask4 {
    fn parse(text: &str) -> Result<Self, String> {
        in_range(text, 0, 32, "a mask length").map(|n| Self(n as u8))
    }
}

/// The length of an IPv6 prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mask6(pub u8);

impl Value for Mask6 {
    fn parse(text: &str) -> Result<Self, String> {
        in_range(text, 0, 128, "a prefix length").map(|n| Self(n as u8))
    }
}

/// An MTU in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mtu(pub u32);

impl Value for Mtu {
    fn parse(text: &str) -> Result<Self, String> {
        in_range(text, 68, 65535, "an MTU in bytes").map(Self)
    }
}

/// The hardware address of a single station.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mac(pub MacAddr6);

impl Value for Mac {
    fn parse(text: &str) -> Result<Self, String> {
        let mac = MacAddr6::from_str(text).ok().filter(|m| !m.is_nil() && m.is_unicast());
        mac.map(Self).ok_or_else(|| "expected a unicast hardware address of six parts such as 02:00:00:00:00:02".into())
    }
}

/// A number: decimal, octal after `0`, hexadecimal after `0x`, as `strtol` has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number(pub u32);

impl Value for Number {
    fn parse(text: &str) -> Result<Self, String> {
        let digits = |digits: &str, radix| {
            let ok = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            ok.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
        };
        let n = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => digits(hex, 16),
            None => match text.strip_prefix('0') {
                Some(oct) if !oct.is_empty() => digits(oct, 8),
                _ => digits(text, 10),
            },
        };
        n.map(Self).ok_or_else(|| "expected a number such as 1 or 0x10".into())
    }
}

/// What is left to a device, as a mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffloadMask(pub Offload);

impl Value for OffloadMask {
    fn parse(text: &str) -> Result<Self, String> {
        let offload = Number::parse(text).ok().and_then(|n| Offload::of_bits(n.0));
        offload.map(Self).ok_or_else(|| {
            "expected a mask of the bits 0, 1 (checksums), 7, 8, 11, 12 (segments) and 5, 9, 10, 13 to 15, such as 0x8883".into()
        })
    }
}

/// Permanent neighbours, as LKL has them: `10.0.0.1|02:00:00:00:00:01;fd00::1|02:00:00:00:00:01`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbours(pub Vec<(IpAddr, [u8; 6])>);

impl Value for Neighbours {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            |item: &str| format!("expected neighbours such as 10.0.0.1|02:00:00:00:00:01;fd00::1|..., not {item:?}");
        let one = |item: &str| {
            let (ip, mac) = item.split_once('|').ok_or_else(|| wrong(item))?;
            let ip = match ip.trim().parse() {
                Ok(IpAddr::V4(a)) if usable4(&a) => a.into(),
                Ok(IpAddr::V6(a)) if usable6(&a) => a.into(),
                _ => return Err(wrong(item)),
            };
            Ok((ip, Mac::parse(mac.trim()).map_err(|_| wrong(item))?.0.into_array()))
        };
        let items = text.split(';').map(str::trim).filter(|item| !item.is_empty());
        let all: Vec<_> = items.map(one).collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(wrong(text));
        }
        Ok(Self(all))
    }
}

/// Queueing disciplines, as LKL has them: `root|fq`. Only such as make no difference here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Qdiscs;

impl Value for Qdiscs {
    fn parse(text: &str) -> Result<Self, String> {
        let known = |item: &str| matches!(item.split_once('|'), Some(("root", kind)) if setup::QDISCS.contains(&kind));
        let mut items = text.split(';').map(str::trim).filter(|item| !item.is_empty()).peekable();
        if items.peek().is_some() && items.all(known) {
            return Ok(Self);
        }
        let all = setup::QDISCS.join(", ");
        Err(format!("expected root|KIND, where KIND is one of {all}: others would change what is sent"))
    }
}

/// A time in microseconds that a thread may spend without sleeping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Micros(pub u32);

impl Value for Micros {
    fn parse(text: &str) -> Result<Self, String> {
        let most = 1_000_000;
        let n = Number::parse(text).ok().filter(|n| n.0 <= most);
        n.map(|n| Self(n.0)).ok_or_else(|| format!("expected a number of microseconds, at most {most}"))
    }
}

/// Settings below `/proc/sys`, as LKL has them: `net.ipv4.tcp_ecn=1;net.ipv4.tcp_rmem=4096 131072 6291456`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sysctls(pub Vec<(String, String)>);

impl Value for Sysctls {
    fn parse(text: &str) -> Result<Self, String> {
        let items = text.split(';').map(str::trim).filter(|item| !item.is_empty());
        let parsed: Result<Vec<_>, String> = items
            .map(|item| match item.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
                    Ok((key.trim().to_owned(), value.trim().to_owned()))
                }
                _ => Err(format!("expected settings such as net.ipv4.tcp_ecn=1;net.core.somaxconn=128, not {item:?}")),
            })
            .collect();
        let parsed = parsed?;
        if parsed.is_empty() {
            return Err("expected settings such as net.ipv4.tcp_ecn=1;net.core.somaxconn=128".into());
        }
        Ok(Self(parsed))
    }
}

/// Networks and addresses, with commas between; empty for none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefixes(pub Vec<IpNetwork>);

impl Value for Prefixes {
    fn parse(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let one = |item: &str| {
            // The crate takes masks such as 255.0.0.0 too, but also an empty length.
            let len = item.split_once('/').map(|(_, len)| decimal(len).is_some());
            item.parse()
                .ok()
                .filter(|_| len != Some(false))
                .ok_or_else(|| format!("expected networks such as 127.0.0.0/8,::1,192.0.2.0/24, not {item:?}"))
        };
        items.map(one).collect::<Result<_, _>>().map(Self)
    }
}

/// The kernel's command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootCmdline(pub cmdline::Options);

impl Value for BootCmdline {
    fn parse(text: &str) -> Result<Self, String> {
        cmdline::parse(text).map(Self)
    }
}

/// Types of file systems that need no device, with commas between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSystems(pub Vec<String>);

impl Value for FileSystems {
    fn parse(text: &str) -> Result<Self, String> {
        let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let name = |item: &str| item.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match items().find(|item| !name(item)) {
            Some(item) => Err(format!("expected types of file systems such as proc,sysfs, not {item:?}")),
            None => Ok(Self(items().map(str::to_owned).collect())),
        }
    }
}

/// Names of files from the root on, with commas between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbsolutePaths(pub Vec<String>);

impl Value for AbsolutePaths {
    fn parse(text: &str) -> Result<Self, String> {
        let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
        match items().find(|item| !item.starts_with('/') || item.contains('\0')) {
            Some(item) => {
                Err(format!("expected absolute names of files such as /proc/net/snmp,/proc/net/dev, not {item:?}"))
            }
            None => Ok(Self(items().map(str::to_owned).collect())),
        }
    }
}

/// LKL's way to keep the kernel's threads to one CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SingleCpu(pub u8);

impl Value for SingleCpu {
    fn parse(text: &str) -> Result<Self, String> {
        let n = Number::parse(text).ok().and_then(|n| u8::try_from(n.0).ok()).filter(|n| *n <= 2);
        n.map(Self).ok_or_else(|| "expected 0, 1 or 2".into())
    }
}

/// The name of a file from the root on; empty for none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbsolutePath(pub String);

impl Value for AbsolutePath {
    fn parse(text: &str) -> Result<Self, String> {
        if (text.is_empty() || text.starts_with('/')) && !text.contains('\0') {
            return Ok(Self(text.into()));
        }
        Err("expected the absolute name of a file such as /etc/resolv.conf.lkl".into())
    }
}

/// A filter of messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFilter(pub String);

impl Value for LogFilter {
    /// `EnvFilter` counts bytes in a directive without its leading white space and cuts the one with it, so other than ASCII
    /// can make it panic: white space is taken away, and names of targets are ASCII.
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a filter such as info or warn,lkl::syscall=trace, in ASCII".to_owned();
        if text.is_empty() || !text.is_ascii() {
            return Err(expected());
        }
        let text = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        match tracing_subscriber::EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(expected()),
        }
    }
}
