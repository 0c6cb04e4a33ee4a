//! The kinds of network devices, and what each is named by.

use super::values::{IfName, Value};
use std::fmt;

/// A device of the host's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Device {
    /// A TAP, by its name.
    Tap(String),
    /// A macvtap, by the path of its device.
    Macvtap(String),
    /// An interface of the host's, by its name.
    Raw(String),
    /// Named pipes: the one that is read, and the one that is written.
    Pipe(String, String),
    /// A port of a VDE switch, by its directory.
    Vde(String),
}

/// The kind of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IfType {
    /// [`Device::Tap`]
    Tap,
    /// [`Device::Macvtap`]
    Macvtap,
    /// [`Device::Raw`]
    Raw,
    /// [`Device::Pipe`]
    Pipe,
    /// [`Device::Vde`]
    Vde,
}

impl Value for IfType {
    fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected tap, macvtap, raw, pipe or vde";
        match text {
            "tap" => Ok(Self::Tap),
            "macvtap" => Ok(Self::Macvtap),
            "raw" => Ok(Self::Raw),
            "pipe" => Ok(Self::Pipe),
            "vde" => Ok(Self::Vde),
            "dpdk" => Err(format!("{EXPECTED}: there is no DPDK here")),
            _ => Err(EXPECTED.into()),
        }
    }
}

impl Device {
    /// The device of a kind that `param` names.
    ///
    /// # Errors
    /// "expected ..."
    pub fn new(kind: IfType, param: &str) -> Result<Self, String> {
        let path = |what: &str| {
            let good = !param.is_empty() && !param.contains('\0');
            good.then(|| param.to_owned()).ok_or_else(|| format!("expected {what}"))
        };
        match kind {
            IfType::Tap => IfName::parse(param).map(|name| Self::Tap(name.0)),
            IfType::Raw => IfName::parse(param).map(|name| Self::Raw(name.0)),
            IfType::Macvtap => path("the path of a macvtap device such as /dev/tap5").map(Self::Macvtap),
            IfType::Vde => path("the directory of a VDE switch such as /run/vde.ctl").map(Self::Vde),
            IfType::Pipe => match param.split_once('|') {
                Some((rx, tx)) if !rx.is_empty() && !tx.is_empty() && rx != tx && !param.contains('\0') => {
                    Ok(Self::Pipe(rx.into(), tx.into()))
                }
                _ => Err("expected two named pipes, the one that is read first: /tmp/in|/tmp/out".into()),
            },
        }
    }

    /// Its kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tap(_) => "tap",
            Self::Macvtap(_) => "macvtap",
            Self::Raw(_) => "raw",
            Self::Pipe(..) => "pipe",
            Self::Vde(_) => "vde",
        }
    }

    /// What names it, as it is written.
    pub fn param(&self) -> String {
        match self {
            Self::Tap(name) | Self::Macvtap(name) | Self::Raw(name) | Self::Vde(name) => name.clone(),
            Self::Pipe(rx, tx) => format!("{rx}|{tx}"),
        }
    }

    /// Is it named by a path that depends on the working directory?
    pub fn is_relative(&self) -> bool {
        let relative = |path: &str| !path.starts_with('/');
        match self {
            Self::Tap(_) | Self::Raw(_) => false,
            Self::Macvtap(path) | Self::Vde(path) => relative(path),
            Self::Pipe(rx, tx) => relative(rx) || relative(tx),
        }
    }
}

/// `tap0`, `raw:eth0`, `pipe:in|out`
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tap(name) => f.write_str(name),
            other => write!(f, "{}:{}", other.kind(), other.param()),
        }
    }
}
