//! What comes through a bottleneck.

use lkl_tests::flow::{goodput, Path};
use lkl_tests::seed;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The case that people choose BBR for.
#[test]
fn bbr_fills_a_lossy_link() {
    let path = Path { bandwidth: 100_000_000, rtt: ms(20), loss: 0.05, reorder: 0.0, queue: 1.0 };
    let (got, link) = goodput(&path, "bbr", seed(1), ms(1000), ms(5000));
    println!("bbr {} of {link}: {:.3}", got, got as f64 / link as f64);
    assert!(got as f64 >= 0.9 * link as f64, "{got} of {link}");
    let (cubic, _) = goodput(&path, "cubic", seed(1), ms(1000), ms(5000));
    println!("cubic {} of {link}: {:.3}", cubic, cubic as f64 / link as f64);
}
