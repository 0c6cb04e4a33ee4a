//! Policy rules: which table is asked for which packet.

use super::{Key, Prefix, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};

/// What a rule that matches does (`FR_ACT_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RuleAction {
    /// Asks a table.
    Table = 1,
    /// Jumps to a later rule.
    Goto = 2,
    /// Nothing.
    Nop = 3,
    /// Drops silently.
    Blackhole = 6,
    /// "Unreachable".
    Unreachable = 7,
    /// "Prohibited".
    Prohibit = 8,
}

impl RuleAction {
    /// The action of this number.
    pub fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            1 => Self::Table,
            2 => Self::Goto,
            3 => Self::Nop,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            _ => return None,
        })
    }
}

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// IPv6?
    pub v6: bool,
    /// Order; less comes first.
    pub priority: u32,
    /// What it does.
    pub action: RuleAction,
    /// The table to ask.
    pub table: u32,
    /// Priority of the rule to jump to.
    pub goto: Option<u32>,
    /// Source must lie in it.
    pub src: Option<Prefix>,
    /// Destination must lie in it.
    pub dst: Option<Prefix>,
    /// Type of service must be this, unless 0.
    pub tos: u8,
    /// Came in over this interface.
    pub iif: Option<String>,
    /// Bound to go out over this interface.
    pub oif: Option<String>,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// First and last user id.
    pub uid_range: Option<(u32, u32)>,
    /// IP protocol, 0 for any.
    pub ip_proto: u8,
    /// The sense is turned.
    pub invert: bool,
    /// A route with a prefix of at most this length is not good enough (`suppress_prefixlength`).
    pub suppress_prefix_len: Option<u8>,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
}

impl Rule {
    /// A rule for everything that asks `table`.
    pub fn all(v6: bool, priority: u32, table: u32) -> Self {
        Self {
            v6,
            priority,
            action: RuleAction::Table,
            table,
            goto: None,
            src: None,
            dst: None,
            tos: 0,
            iif: None,
            oif: None,
            mark: None,
            uid_range: None,
            ip_proto: 0,
            invert: false,
            suppress_prefix_len: None,
            protocol: 2,
        }
    }

    /// The rules of a new namespace.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::all(false, 0, TABLE_LOCAL),
            Self::all(true, 0, TABLE_LOCAL),
            Self::all(false, 32766, TABLE_MAIN),
            Self::all(true, 32766, TABLE_MAIN),
            Self::all(false, 32767, TABLE_DEFAULT),
        ]
    }

    /// Does it apply to `key`? `name_of` tells an interface's name.
    pub fn matches(&self, key: &Key, name_of: &dyn Fn(u32) -> Option<String>) -> bool {
        let interface = |want: &Option<String>, have: u32| match want {
            None => true,
            Some(want) => have != 0 && name_of(have).as_ref() == Some(want),
        };
        let hit = self.v6 == key.dst.is_ipv6()
            && self.src.is_none_or(|p| key.src.is_some_and(|s| p.contains(s)))
            && self.dst.is_none_or(|p| p.contains(key.dst))
            && (self.tos == 0 || self.tos == key.tos)
            && self.mark.is_none_or(|(mark, mask)| key.mark & mask == mark & mask)
            && self.uid_range.is_none_or(|(first, last)| (first..=last).contains(&key.uid))
            && (self.ip_proto == 0 || self.ip_proto == key.protocol)
            && interface(&self.iif, key.iif)
            && interface(&self.oif, key.oif);
        self.v6 == key.dst.is_ipv6() && hit != self.invert
    }
}
