//! Membership on virtual time.

use super::*;

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn query(old: bool, group: Option<&str>) -> Query {
    Query {
        old_version: old,
        max_response: Duration::from_secs(10),
        group: group.map(ip),
        robustness: None,
        interval: None,
    }
}

#[test]
fn joining_reports_twice_and_leaving_too() {
    for (v6, group) in [(false, "239.1.2.3"), (true, "ff15::7")] {
        let mut m = Membership::new(v6, 1);
        let mut out = Vec::new();
        m.set(at(0), ip(group), Filter::any_source(), &mut out);
        m.on_timer(at(1000), &mut out);
        let join = Record { kind: RecordKind::ToExclude, group: ip(group), sources: vec![] };
        assert_eq!(out, vec![Message::Report(vec![join]); 2]);
        assert_eq!(m.deadline(), None);
        assert!(m.accepts(ip(group), ip("10.0.0.1")));
        out.clear();
        m.set(at(5000), ip(group), Filter::nothing(), &mut out);
        m.on_timer(at(6000), &mut out);
        let leave = Record { kind: RecordKind::ToInclude, group: ip(group), sources: vec![] };
        assert_eq!(out, vec![Message::Report(vec![leave]); 2]);
        assert_eq!(m.groups().count(), 0);
    }
}

#[test]
fn a_query_is_answered_in_time() {
    let mut m = Membership::new(false, 1);
    let mut out = Vec::new();
    m.set(at(0), ip("239.1.2.3"), Filter::any_source(), &mut out);
    m.set(at(0), ip("224.0.0.1"), Filter::any_source(), &mut out);
    m.on_timer(at(1000), &mut out);
    out.clear();
    m.on_query(at(2000), &query(false, None));
    let due = m.deadline().unwrap();
    assert!(due <= at(12_000));
    m.on_timer(due, &mut out);
    let is = Record { kind: RecordKind::IsExclude, group: ip("239.1.2.3"), sources: vec![] };
    assert_eq!(out, [Message::Report(vec![is])]);
}

#[test]
fn an_old_querier_gets_old_reports() {
    let mut m = Membership::new(false, 1);
    let mut out = Vec::new();
    m.on_query(at(0), &query(true, None));
    m.set(at(10), ip("239.1.2.3"), Filter::any_source(), &mut out);
    assert_eq!(out, [Message::OldReport(ip("239.1.2.3"))]);
    out.clear();
    m.set(at(20), ip("239.1.2.3"), Filter::nothing(), &mut out);
    assert_eq!(out, [Message::Leave(ip("239.1.2.3"))]);
    m.set(at(30), ip("239.9.9.9"), Filter::any_source(), &mut out);
    m.on_old_report(at(40), ip("239.9.9.9"));
    out.clear();
    m.set(at(50), ip("239.9.9.9"), Filter::nothing(), &mut out);
    assert_eq!(out, [], "somebody else was the reporter");
}

#[test]
fn filters_merge_as_rfc_3376_says() {
    let set = |mode, s: &[&str]| Filter { mode, sources: s.iter().map(|s| ip(s)).collect() };
    use FilterMode::{Exclude, Include};
    let a = set(Include, &["10.0.0.1", "10.0.0.2"]);
    let b = set(Exclude, &["10.0.0.2", "10.0.0.3"]);
    assert_eq!(a.merged(&b), set(Exclude, &["10.0.0.3"]));
    assert_eq!(b.merged(&a), set(Exclude, &["10.0.0.3"]));
    assert_eq!(a.merged(&set(Include, &["10.0.0.9"])), set(Include, &["10.0.0.1", "10.0.0.2", "10.0.0.9"]));
    assert_eq!(b.merged(&set(Exclude, &["10.0.0.3"])), set(Exclude, &["10.0.0.3"]));
}

#[test]
fn a_changed_source_list_is_reported_as_a_difference() {
    let mut m = Membership::new(false, 1);
    let mut out = Vec::new();
    let inc = |s: &[&str]| Filter { mode: FilterMode::Include, sources: s.iter().map(|s| ip(s)).collect() };
    m.set(at(0), ip("232.1.1.1"), inc(&["10.0.0.1"]), &mut out);
    out.clear();
    m.set(at(1), ip("232.1.1.1"), inc(&["10.0.0.2"]), &mut out);
    let r = |kind, s: &str| Record { kind, group: ip("232.1.1.1"), sources: vec![ip(s)] };
    assert_eq!(out, [Message::Report(vec![r(RecordKind::Allow, "10.0.0.2"), r(RecordKind::Block, "10.0.0.1")])]);
}

#[test]
fn messages_have_their_bytes() {
    let b = emit_report(false, &Message::OldReport(ip("239.1.2.3")));
    assert_eq!((b[..2].to_vec(), b[4..].to_vec()), (vec![0x16, 0], vec![239, 1, 2, 3]));
    assert_eq!(crate::checksum::checksum(&b), 0);
    assert_eq!(crate::checksum::checksum(&emit_report(false, &Message::Report(vec![]))), 0);
    let q = parse_query(false, &[0x11, 100, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(q, query(true, None));
    let q = parse_query(false, &[0x11, 0x8f, 0, 0, 239, 1, 2, 3, 2, 125, 0, 0]).unwrap();
    assert_eq!((q.old_version, q.max_response), (false, Duration::from_millis(24_800)));
    for n in 0..40 {
        let _ = parse_query(true, &vec![0xff; n]);
        let _ = parse_query(false, &vec![0xff; n]);
    }
}
