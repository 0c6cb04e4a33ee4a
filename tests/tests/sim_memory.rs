//! What an idle connection takes. In a process of its own, whose memory is looked at.

use lkl_tests::crowd::{crowd, talks};
use lkl_tests::{Machine, World};

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 4096
}

/// What an end of an idle connection takes.
#[test]
fn memory() {
    let world = World::new(1);
    let m = Machine::new(&world);
    let warm = crowd(&m, &world, 1000, 200);
    let before = resident();
    const COUNT: usize = 4000;
    let all = crowd(&m, &world, 2000, COUNT);
    let quiet = (resident() - before) / (2 * COUNT as u64);
    for &pair in &all {
        talks(&m, &world, pair);
    }
    let used = (resident() - before) / (2 * COUNT as u64);
    println!("{quiet} bytes for each end of a connection, {used} after it was used");
    assert!(
        quiet <= LEAST_MEMORY && used <= LEAST_MEMORY,
        "{quiet} and {used} bytes for each end of an idle connection"
    );
    drop((warm, all));
}

/// What is known to be enough. In debug builds each lock has its rank with it.
const LEAST_MEMORY: u64 = if cfg!(debug_assertions) { 1650 } else { 1500 };
