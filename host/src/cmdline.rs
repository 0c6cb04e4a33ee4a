//! The kernel's command line: the few options that mean something here. Others are passed over, as Linux does with those that it hands to
//! init.

use lkl_abi::Errno;
use std::fmt;
use std::net::Ipv4Addr;

/// `loglevel` with `quiet`, and with `debug`.
const LOGLEVEL_QUIET: u8 = 4;
const LOGLEVEL_DEBUG: u8 = 10;

/// What a command line asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Memory in bytes (`mem=`).
    pub memory: Option<u64>,
    /// Messages of a lower level are printed (`loglevel=`, `quiet`, `debug`).
    pub loglevel: Option<u8>,
    /// An address (`ip=`).
    pub ip: Option<Ip>,
    /// Names with dots, and values (`sysctl.NAME=`).
    pub sysctls: Vec<(String, String)>,
    /// What means nothing here.
    pub others: Vec<String>,
}

/// `ip=` (`Documentation/admin-guide/nfs/nfsroot.rst` of Linux).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ip {
    /// Ask a server, on the given device or the first one.
    Dhcp(Option<String>),
    /// What is given.
    Static {
        /// The address.
        addr: Ipv4Addr,
        /// Bits of its network.
        prefix_len: u8,
        /// Default gateway.
        gateway: Option<Ipv4Addr>,
        /// The kernel's host name.
        host: Option<String>,
        /// The interface; the first one if there is none.
        device: Option<String>,
    },
}

/// Reads one.
///
/// # Errors
/// "expected ...": an option that is known has a value that cannot be understood.
pub fn parse(line: &str) -> Result<Options, String> {
    let mut o = Options::default();
    for word in line.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let wrong = |what: &str| format!("expected {what}, not {word}");
        match name {
            "mem" => o.memory = Some(size(value).map_err(|_| wrong("an amount of memory such as mem=64M"))?),
            "loglevel" => o.loglevel = Some(value.parse().map_err(|_| wrong("a level such as loglevel=4"))?),
            "quiet" => o.loglevel = Some(LOGLEVEL_QUIET),
            "debug" | "ignore_loglevel" => o.loglevel = Some(LOGLEVEL_DEBUG),
            "ip" => o.ip = ip(value).map_err(|_| wrong("ip=dhcp, or ip=10.0.0.2::10.0.0.1:255.255.255.0"))?,
            _ => match name.strip_prefix("sysctl.") {
                Some(key) => o.sysctls.push((key.to_owned(), value.to_owned())),
                None => o.others.push(word.to_owned()),
            },
        }
    }
    Ok(o)
}

/// As it is written, in one form.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = |ip: &Ip| match ip {
            Ip::Dhcp(None) => "ip=dhcp".to_owned(),
            Ip::Dhcp(Some(device)) => format!("ip=:::::{device}:dhcp"),
            Ip::Static { addr, prefix_len, gateway, host, device } => {
                let text = |t: &Option<String>| t.clone().unwrap_or_default();
                let gateway = gateway.map(|g| g.to_string()).unwrap_or_default();
                let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(*prefix_len)).unwrap_or(0));
                format!("ip={addr}::{gateway}:{mask}:{}:{}", text(host), text(device))
            }
        };
        let parts = [
            self.memory.map(|n| format!("mem={n}")),
            self.loglevel.map(|n| format!("loglevel={n}")),
            self.ip.as_ref().map(ip),
        ];
        let sysctls = self.sysctls.iter().map(|(key, value)| format!("sysctl.{key}={value}"));
        let all: Vec<_> = parts.into_iter().flatten().chain(sysctls).chain(self.others.iter().cloned()).collect();
        f.write_str(&all.join(" "))
    }
}

/// A number of bytes with a unit, as `memparse` of Linux reads it.
fn size(text: &str) -> Result<u64, Errno> {
    let text = text.to_ascii_lowercase();
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 10),
        Some(b'm') => (&text[..text.len() - 1], 20),
        Some(b'g') => (&text[..text.len() - 1], 30),
        Some(b't') => (&text[..text.len() - 1], 40),
        _ => (&text[..], 0),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let number = number.ok().filter(|n| *n > 0).ok_or(Errno::EINVAL)?;
    number.checked_mul(1 << shift).ok_or(Errno::EINVAL)
}

fn ip(text: &str) -> Result<Option<Ip>, Errno> {
    match text {
        "" | "off" | "none" => return Ok(None),
        "dhcp" | "on" | "any" => return Ok(Some(Ip::Dhcp(None))),
        _ => {}
    }
    let fields: Vec<&str> = text.split(':').collect();
    let field = |n: usize| fields.get(n).copied().filter(|f| !f.is_empty());
    let device = field(5).map(str::to_owned);
    if field(0).is_none() && matches!(field(6), Some("dhcp" | "on" | "any") | None) {
        return Ok(Some(Ip::Dhcp(device)));
    }
    let number = |n: usize| field(n).map(|f| f.parse::<Ipv4Addr>().map_err(|_| Errno::EINVAL)).transpose();
    let addr = number(0)?.ok_or(Errno::EINVAL)?;
    let prefix_len = match number(3)? {
        Some(mask) => prefix_len(mask)?,
        None => class(addr),
    };
    Ok(Some(Ip::Static { addr, prefix_len, gateway: number(2)?, host: field(4).map(str::to_owned), device }))
}

/// The length of a network mask.
///
/// # Errors
/// `EINVAL` for one with holes.
pub fn prefix_len(mask: Ipv4Addr) -> Result<u8, Errno> {
    let bits = u32::from(mask);
    if bits.count_ones() + bits.trailing_zeros() != 32 {
        return Err(Errno::EINVAL);
    }
    Ok(bits.count_ones() as u8)
}

/// The mask that addresses had before there were masks (RFC 791, section 3.2).
pub fn class(addr: Ipv4Addr) -> u8 {
    match addr.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_understood_and_the_rest_passed_over() {
        let o = parse("mem=0x10M loglevel=4 root=/dev/vda sysctl.net.ipv4.tcp_sack=0  console=tty0 ro").unwrap();
        assert_eq!((o.memory, o.loglevel, o.ip.clone()), (Some(16 << 20), Some(4), None));
        assert_eq!(o.others, ["root=/dev/vda", "console=tty0", "ro"]);
        assert_eq!(o.sysctls, [("net.ipv4.tcp_sack".to_owned(), "0".to_owned())]);
        assert_eq!(parse("").unwrap(), Options::default());
        assert_eq!(parse("quiet").unwrap().loglevel, Some(4));
        assert_eq!(parse("mem=1000").unwrap().memory, Some(1000));
        assert_eq!(parse("mem=2g").unwrap().memory, Some(2 << 30));
        for bad in ["mem=", "mem=x", "mem=0", "mem=99999999999999T", "loglevel=x", "loglevel=", "ip=1.2.3"] {
            let wrong = parse(bad).unwrap_err();
            assert!(wrong.starts_with("expected ") && wrong.ends_with(bad), "{bad}: {wrong}");
        }
        assert_eq!(parse("ip=::::::").unwrap().ip, Some(Ip::Dhcp(None)));
    }

    #[test]
    fn addresses_are_given_or_asked_for() {
        let ip = |text: &str| parse(&format!("ip={text}")).unwrap().ip;
        assert_eq!(ip("dhcp"), Some(Ip::Dhcp(None)));
        assert_eq!(ip(":::::eth1:dhcp"), Some(Ip::Dhcp(Some("eth1".into()))));
        assert_eq!(ip("off"), None);
        let addr = "10.0.0.2".parse().unwrap();
        let plain = Ip::Static { addr, prefix_len: 8, gateway: None, host: None, device: None };
        assert_eq!(ip("10.0.0.2"), Some(plain));
        let all = Ip::Static {
            addr,
            prefix_len: 24,
            gateway: Some("10.0.0.1".parse().unwrap()),
            host: Some("me".into()),
            device: Some("eth0".into()),
        };
        assert_eq!(ip("10.0.0.2::10.0.0.1:255.255.255.0:me:eth0:off"), Some(all));
        assert!(parse("ip=10.0.0.2:::255.0.255.0").is_err());
        for line in [
            "ip=dhcp",
            "ip=:::::eth1:dhcp",
            "ip=10.0.0.2::10.0.0.1:255.255.255.0:me:eth0:off mem=3 loglevel=9 sysctl.a=b x",
            "",
        ] {
            let options = parse(line).unwrap();
            assert_eq!(parse(&options.to_string()), Ok(options), "{line}");
        }
    }
}
