use super::*;
use crate::NetDev;

fn send(dev: &SimDev, n: u8) {
    dev.put(&[n; 60]);
}

fn heard(dev: &SimDev) -> Vec<u8> {
    std::iter::from_fn(|| dev.take().map(|f| f[0])).collect()
}

#[test]
fn a_wire_takes_time() {
    let world = World::new(1);
    let (a, b) = (world.host(), world.host());
    // 60 bytes at 48 kbit/s are 10 ms.
    let wire = Wire { bandwidth: 48_000, delay: Duration::from_millis(5), queue: 120, ..Wire::default() };
    let link = world.link(&a, &b, &wire);
    for n in 0..5 {
        send(&link.a, n);
    }
    world.run_for(Duration::from_millis(14));
    assert_eq!(heard(&link.b), []);
    world.run_for(Duration::from_millis(1));
    assert_eq!(heard(&link.b), [0]);
    world.run_for(Duration::from_millis(100));
    assert_eq!(heard(&link.b), [1], "the queue holds what is being sent and one more");
    assert_eq!(link.a.counts(), (5, 3));
}

#[test]
fn chance_is_decided_by_the_seed() {
    let run = |seed| {
        let world = World::new(seed);
        let (a, b) = (world.host(), world.host());
        let wire = Wire { loss: 0.2, duplicate: 0.2, jitter: Duration::from_millis(9), ..Wire::default() };
        let link = world.link(&a, &b, &wire);
        for n in 0..100 {
            world.after(Duration::from_millis(n), move |_| ());
            send(&link.a, n as u8);
        }
        world.run_for(Duration::from_secs(1));
        heard(&link.b)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    assert!((80..120).contains(&run(7).len()));
}

#[test]
fn a_service_is_called_for_frames_and_deadlines() {
    let world = World::new(1);
    let (a, b) = (world.host(), world.host());
    let link = world.link(&a, &b, &Wire::default());
    let log = Arc::new(Mutex::new(Vec::new()));
    let (dev, seen, clock) = (link.b.clone(), log.clone(), world.clone());
    b.serve(move || {
        let now = clock.now().as_millis();
        lock(&seen).push((now, dev.recv().is_ok()));
        (now < 1_200).then(|| Instant::from_millis(now + 100))
    });
    world.after(Duration::from_millis(50), move |_| send(&link.a, 1));
    world.run_for(Duration::from_secs(1));
    assert_eq!(*lock(&log), [(1000, false), (1050, true), (1150, false), (1250, false)]);
}

#[test]
fn a_parked_thread_drives_the_world() {
    let world = World::new(1);
    let parker = world.parker();
    let waker = parker.clone();
    world.after(Duration::from_millis(3), move |_| waker.unpark());
    assert_eq!(parker.park(None), Woken::Unparked);
    assert_eq!(world.now(), Instant::from_millis(1003));
    assert_eq!(parker.park(Some(Instant::from_millis(1010))), Woken::TimedOut);
    assert_eq!(world.now(), Instant::from_millis(1010));
    assert_eq!(parker.park(None), Woken::Interrupted, "nothing will ever happen");
}

#[test]
fn filters_decide_and_taps_see() {
    let world = World::new(1);
    let (a, b) = (world.host(), world.host());
    let link = world.link(&a, &b, &Wire::default());
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    link.tap(move |_, side, _| {
        assert_eq!(side, Side::A);
        *lock(&count) += 1;
    });
    link.filter(Side::A, |_, f| match f[0] {
        1 => Verdict::Drop,
        2 => Verdict::Replace(vec![20].into()),
        3 => Verdict::Answer(vec![30].into()),
        4 => Verdict::Delay(Duration::from_millis(1)),
        _ => Verdict::Pass,
    });
    for n in 0..6 {
        send(&link.a, n);
    }
    world.run_for(Duration::from_millis(2));
    assert_eq!(heard(&link.b), [0, 20, 5, 4]);
    assert_eq!(heard(&link.a), [30]);
    assert_eq!(*lock(&seen), 6);
}
