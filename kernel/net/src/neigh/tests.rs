//! The state machine on virtual time.

use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 9];
const KEY: Key = Key { ifindex: 2, addr: IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 9)) };

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn reply(solicited: bool) -> Advert {
    Advert { mac: MAC, solicited, is_override: true, router: None }
}

fn table() -> Table<u32> {
    Table::new(Config::default(), 7)
}

#[test]
fn packets_wait_for_the_answer() {
    let mut t = table();
    let mut ev = Vec::new();
    assert_eq!(t.resolve(at(0), KEY, 100, 1, &mut ev), Resolved::Queued);
    assert_eq!(t.resolve(at(1), KEY, 100, 2, &mut ev), Resolved::Queued);
    assert_eq!(ev, [Event::Solicit { key: KEY, unicast: None }]);
    ev.clear();
    t.advert(at(2), KEY, reply(true), false, &mut ev);
    assert_eq!(ev, [Event::Changed(KEY), Event::Deliver { key: KEY, mac: MAC, packets: vec![1, 2] }]);
    assert_eq!(t.resolve(at(3), KEY, 100, 3, &mut ev), Resolved::Send(MAC, 3));
    assert_eq!(t.deadline(), None, "a reachable neighbour needs no timer");
}

#[test]
fn three_questions_then_unreachable() {
    let mut t = table();
    let mut ev = Vec::new();
    t.resolve(at(0), KEY, 100, 1, &mut ev);
    for n in 1..=2 {
        ev.clear();
        assert_eq!(t.deadline(), Some(at(n * 1000)));
        t.on_timer(at(n * 1000), &mut ev);
        assert_eq!(ev, [Event::Solicit { key: KEY, unicast: None }]);
    }
    ev.clear();
    t.on_timer(at(3000), &mut ev);
    assert_eq!(ev, [Event::Changed(KEY), Event::Unreachable { key: KEY, packets: vec![1] }]);
    assert_eq!(t.get(at(3000), KEY).unwrap().state, State::Failed);
    ev.clear();
    assert_eq!(t.resolve(at(4000), KEY, 100, 2, &mut ev), Resolved::Queued);
    assert_eq!(ev, [Event::Solicit { key: KEY, unicast: None }]);
}

#[test]
fn stale_delay_probe_failed() {
    let mut t = table();
    let mut ev = Vec::new();
    t.advert(at(0), KEY, reply(false), true, &mut ev);
    assert_eq!(t.get(at(0), KEY).unwrap().state, State::Stale);
    assert_eq!(t.resolve(at(10), KEY, 1, 1, &mut ev), Resolved::Send(MAC, 1));
    assert_eq!(t.get(at(10), KEY).unwrap().state, State::Delay);
    ev.clear();
    for ms in [5010, 6010, 7010] {
        t.on_timer(at(ms), &mut ev);
    }
    assert_eq!(ev, vec![Event::Solicit { key: KEY, unicast: Some(MAC) }; 3]);
    t.on_timer(at(8010), &mut ev);
    assert_eq!(t.get(at(8010), KEY).unwrap().state, State::Failed);
}

#[test]
fn a_confirmation_from_above_saves_the_question() {
    let mut t = table();
    let mut ev = Vec::new();
    t.advert(at(0), KEY, reply(false), true, &mut ev);
    t.resolve(at(10), KEY, 1, 1, &mut ev);
    t.confirm(at(100), KEY);
    ev.clear();
    t.on_timer(at(60_000), &mut ev);
    assert_eq!(ev, []);
    assert_eq!(t.get(at(100), KEY).unwrap().state, State::Reachable);
    assert_eq!(t.get(at(60_000), KEY).unwrap().state, State::Stale);
}

#[test]
fn an_advert_without_override_only_casts_doubt() {
    let mut t = table();
    let mut ev = Vec::new();
    t.advert(at(0), KEY, reply(true), true, &mut ev);
    let other = Advert { mac: [2; 6], solicited: false, is_override: false, router: None };
    t.advert(at(1), KEY, other, false, &mut ev);
    let e = t.get(at(1), KEY).unwrap();
    assert_eq!((e.state, e.mac), (State::Stale, Some(MAC)));
}

#[test]
fn the_table_is_bounded_and_permanent_entries_stay() {
    let mut t = table();
    let mut ev = Vec::new();
    t.set(at(0), KEY, Some(MAC), State::Permanent, false, &mut ev);
    for i in 0..5000u32 {
        let addr = IpAddr::V4(core::net::Ipv4Addr::from(0x0b00_0000 + i));
        t.resolve(at(u64::from(i)), Key { ifindex: 2, addr }, 1000, i, &mut ev);
    }
    assert!(t.iter(at(5000)).count() <= Config::default().gc_thresh3);
    assert_eq!(t.get(at(5000), KEY).unwrap().state, State::Permanent);
}

#[test]
fn the_queue_is_bounded() {
    let mut t = table();
    let mut ev = Vec::new();
    for i in 0..500 {
        t.resolve(at(0), KEY, 1500, i, &mut ev);
    }
    ev.clear();
    t.advert(at(1), KEY, reply(true), false, &mut ev);
    let Some(Event::Deliver { packets, .. }) = ev.last() else { panic!("{ev:?}") };
    assert_eq!(packets.last(), Some(&499));
    assert!(packets.len() <= 101);
}
