//! Group membership of one interface: IGMPv3 with IGMPv2 as a fallback (RFC 3376, RFC 2236), MLDv2 with MLDv1
//! (RFC 3810, RFC 2710), in one state machine, sans I/O.
//!
//! The interface's sockets ask for groups with source filters; what they ask together is this machine's state. It says
//! what reports are to be sent and when.

mod message;
#[cfg(test)]
mod tests;

pub use message::{all_routers, emit_report, parse_query, Message, Query, Record, RecordKind};

use core::net::IpAddr;
use core::time::Duration;
use lkl_ops::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Whether the sources of a filter are those that are wanted or those that are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FilterMode {
    /// Only these.
    Include,
    /// All but these.
    Exclude,
}

/// What is wanted of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// How the sources count.
    pub mode: FilterMode,
    /// Sources.
    pub sources: BTreeSet<IpAddr>,
}

impl Filter {
    /// Everything that is sent to the group.
    pub const fn any_source() -> Self {
        Self { mode: FilterMode::Exclude, sources: BTreeSet::new() }
    }

    /// Nothing.
    pub const fn nothing() -> Self {
        Self { mode: FilterMode::Include, sources: BTreeSet::new() }
    }

    /// Is a packet from `source` wanted?
    pub fn accepts(&self, source: IpAddr) -> bool {
        (self.mode == FilterMode::Include) == self.sources.contains(&source)
    }

    /// What two sockets want together (RFC 3376, section 3.2).
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        use FilterMode::{Exclude, Include};
        let (mode, sources) = match (self.mode, other.mode) {
            (Include, Include) => (Include, self.sources.union(&other.sources).copied().collect()),
            (Exclude, Exclude) => (Exclude, self.sources.intersection(&other.sources).copied().collect()),
            (Exclude, Include) => (Exclude, self.sources.difference(&other.sources).copied().collect()),
            (Include, Exclude) => (Exclude, other.sources.difference(&self.sources).copied().collect()),
        };
        Self { mode, sources }
    }
}

struct Group {
    filter: Filter,
    /// State-change reports that are still to be sent, and when the next one is.
    change: Option<(u32, Instant, Vec<Record>)>,
    /// When a query is to be answered.
    answer: Option<Instant>,
    /// We sent the last report in the old version (and so say good-bye).
    reporter: bool,
}

/// The groups of one interface and one IP version.
pub struct Membership {
    v6: bool,
    groups: BTreeMap<IpAddr, Group>,
    /// Until when a querier of the old version counts as there.
    old_querier_until: Option<Instant>,
    /// When a general query is to be answered.
    general_answer: Option<Instant>,
    robustness: u32,
    query_interval: Duration,
    seed: u32,
}

/// Unsolicited reports of RFC 3376, section 8.11 (1 s), and of the old versions (10 s).
const UNSOLICITED: Duration = Duration::from_secs(1);
const UNSOLICITED_OLD: Duration = Duration::from_secs(10);
/// Sources in one report; more are not asked for by sane programs, and bound the message.
const MAX_SOURCES: usize = 64;
/// Bytes of the records of one report: it fits every link that IPv6 may use.
const MAX_REPORT: usize = 1200;

impl Membership {
    /// No groups. `seed` spreads its timings.
    pub const fn new(v6: bool, seed: u32) -> Self {
        Self {
            v6,
            groups: BTreeMap::new(),
            old_querier_until: None,
            general_answer: None,
            robustness: 2,
            query_interval: Duration::from_secs(125),
            seed: seed | 1,
        }
    }

    /// Groups and what is wanted of them.
    pub fn groups(&self) -> impl Iterator<Item = (IpAddr, &Filter)> {
        self.groups.iter().map(|(g, s)| (*g, &s.filter))
    }

    /// Is a packet from `source` to `group` wanted?
    pub fn accepts(&self, group: IpAddr, source: IpAddr) -> bool {
        self.groups.get(&group).is_some_and(|g| g.filter.accepts(source))
    }

    /// What the sockets want of `group` has become `filter`; [`Filter::nothing`] leaves it. Messages to send at once
    /// are added to `out`.
    pub fn set(&mut self, now: Instant, group: IpAddr, filter: Filter, out: &mut Vec<Message>) {
        let before = self.groups.get(&group).map_or_else(Filter::nothing, |g| g.filter.clone());
        if before == filter {
            return;
        }
        let silent = self.is_silent(group);
        let leaves = filter == Filter::nothing();
        let records = changes(group, &before, &filter);
        let old = self.old_version(now);
        let was_reporter = self.groups.get(&group).is_some_and(|g| g.reporter);
        let (repeats, spread) = (self.robustness - 1, self.random(if old { UNSOLICITED_OLD } else { UNSOLICITED }));
        let slot = self.groups.entry(group).or_insert_with(|| Group {
            filter: Filter::nothing(),
            change: None,
            answer: None,
            reporter: false,
        });
        slot.filter = filter;
        if silent {
            if leaves {
                self.groups.remove(&group);
            }
            return;
        }
        if old {
            if leaves {
                self.groups.remove(&group);
                if was_reporter {
                    out.push(Message::Leave(group));
                }
            } else if before == Filter::nothing() {
                slot.reporter = true;
                slot.change = (repeats > 0).then(|| (repeats, now + spread, Vec::new()));
                out.push(Message::OldReport(group));
            }
            return;
        }
        slot.change = (repeats > 0).then(|| (repeats, now + spread, records.clone()));
        if leaves && slot.change.is_none() {
            self.groups.remove(&group);
        }
        out.push(Message::Report(records));
    }

    /// A query came.
    pub fn on_query(&mut self, now: Instant, query: &Query) {
        if query.old_version {
            // RFC 3376, section 8.12: the older version present time-out.
            let wait = self.query_interval * self.robustness + query.max_response;
            self.old_querier_until = Some(now + wait);
        } else {
            if let Some(r) = query.robustness {
                self.robustness = r.clamp(1, 7);
            }
            if let Some(i) = query.interval {
                self.query_interval = i;
            }
        }
        let at = now + self.random(query.max_response);
        match query.group {
            None => {
                if self.general_answer.is_none_or(|g| g > at) {
                    self.general_answer = Some(at);
                }
            }
            Some(group) => {
                if self.is_silent(group) {
                    return;
                }
                if let Some(g) = self.groups.get_mut(&group) {
                    if g.answer.is_none_or(|a| a > at) {
                        g.answer = Some(at);
                    }
                }
            }
        }
    }

    /// Somebody else reported `group` in the old version: our own answer is not needed (RFC 2236, section 3).
    pub fn on_old_report(&mut self, now: Instant, group: IpAddr) {
        let old = self.old_version(now);
        if let Some(g) = self.groups.get_mut(&group).filter(|_| old) {
            g.answer = None;
            g.change = None;
            g.reporter = false;
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let of_group = |g: &Group| g.answer.into_iter().chain(g.change.as_ref().map(|c| c.1)).min();
        self.groups.values().filter_map(of_group).chain(self.general_answer).min()
    }

    /// Does what is due.
    pub fn on_timer(&mut self, now: Instant, out: &mut Vec<Message>) {
        let old = self.old_version(now);
        let general = self.general_answer.is_some_and(|at| at <= now);
        if general {
            self.general_answer = None;
        }
        let mut records = Vec::new();
        let mut gone = Vec::new();
        let silent: Vec<IpAddr> = self.groups.keys().copied().filter(|g| self.is_silent(*g)).collect();
        let again = self.random(UNSOLICITED);
        for (&group, g) in &mut self.groups {
            if silent.contains(&group) {
                continue;
            }
            let asked = g.answer.is_some_and(|at| at <= now);
            if asked {
                g.answer = None;
            }
            if asked || general {
                if old {
                    g.reporter = true;
                    out.push(Message::OldReport(group));
                } else if g.filter != Filter::nothing() {
                    records.push(current(group, &g.filter));
                }
            }
            if let Some((left, at, change)) = g.change.take() {
                if at > now {
                    g.change = Some((left, at, change));
                    continue;
                }
                if old {
                    out.push(Message::OldReport(group));
                } else {
                    out.push(Message::Report(change.clone()));
                }
                if left > 1 {
                    g.change = Some((left - 1, now + again, change));
                }
            }
            if g.change.is_none() && g.filter == Filter::nothing() {
                gone.push(group);
            }
        }
        for group in gone {
            self.groups.remove(&group);
        }
        let mut report = Vec::new();
        let mut len = 0;
        for record in records {
            let size = record_len(&record);
            if len + size > MAX_REPORT && !report.is_empty() {
                out.push(Message::Report(core::mem::take(&mut report)));
                len = 0;
            }
            len += size;
            report.push(record);
        }
        if !report.is_empty() {
            out.push(Message::Report(report));
        }
    }

    /// The interface came up: what is wanted is reported anew.
    pub fn link_up(&mut self, now: Instant, out: &mut Vec<Message>) {
        let all: Vec<(IpAddr, Filter)> = self.groups.iter().map(|(g, s)| (*g, s.filter.clone())).collect();
        self.groups.clear();
        for (group, filter) in all {
            self.set(now, group, filter, out);
        }
    }

    fn old_version(&self, now: Instant) -> bool {
        self.old_querier_until.is_some_and(|until| now < until)
    }

    /// The all-systems group, and IPv6 groups of this host or interface, are never reported (RFC 3376, section 5;
    /// RFC 3810, section 6).
    fn is_silent(&self, group: IpAddr) -> bool {
        match group {
            IpAddr::V4(g) => g.octets() == [224, 0, 0, 1],
            IpAddr::V6(g) => g.segments()[0] & 0xf <= 1 || g == core::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        }
    }

    fn random(&mut self, max: Duration) -> Duration {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        max.mul_f64(f64::from(self.seed >> 8) / f64::from(1 << 24))
    }

    /// Is it IPv6's?
    pub const fn is_v6(&self) -> bool {
        self.v6
    }
}

fn record_len(r: &Record) -> usize {
    let address = if r.group.is_ipv6() { 16 } else { 4 };
    4 + address * (1 + r.sources.len())
}

fn current(group: IpAddr, f: &Filter) -> Record {
    let kind = match f.mode {
        FilterMode::Include => RecordKind::IsInclude,
        FilterMode::Exclude => RecordKind::IsExclude,
    };
    Record { kind, group, sources: f.sources.iter().copied().take(MAX_SOURCES).collect() }
}

/// What a change of a filter is reported as (RFC 3376, section 5.1).
fn changes(group: IpAddr, before: &Filter, after: &Filter) -> Vec<Record> {
    let record = |kind, sources: Vec<IpAddr>| Record { kind, group, sources };
    let minus = |a: &Filter, b: &Filter| -> Vec<IpAddr> {
        a.sources.difference(&b.sources).copied().take(MAX_SOURCES).collect()
    };
    if before.mode != after.mode {
        let kind = match after.mode {
            FilterMode::Include => RecordKind::ToInclude,
            FilterMode::Exclude => RecordKind::ToExclude,
        };
        return vec![record(kind, after.sources.iter().copied().take(MAX_SOURCES).collect())];
    }
    let (allow, block) = match after.mode {
        FilterMode::Include => (minus(after, before), minus(before, after)),
        FilterMode::Exclude => (minus(before, after), minus(after, before)),
    };
    let mut records = Vec::new();
    if !allow.is_empty() {
        records.push(record(RecordKind::Allow, allow));
    }
    if !block.is_empty() {
        records.push(record(RecordKind::Block, block));
    }
    records
}
