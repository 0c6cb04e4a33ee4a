//! Packet scripts in the language of google/packetdrill, on virtual time.
//!
//! A script says what a program calls, what packets come, and what packets must go, each with its time. Supported is:
//!
//! * times: `0.1`, `+.1`, `+0`, `*`, ranges (`+.1~+.2`), and calls that block (`+0...+.3 read(...)`);
//! * packets in both directions: `< [ce] P. 1:1001(1000) ack 1 win 257 <sack 1:2,TS val 1 ecr 2>`; sequence numbers are
//!   relative to each side's first, time stamps of ours to the first one seen; `<...>` and a missing `win` are not looked at;
//! * ICMP that comes: `< icmp unreachable frag_needed mtu 1300 [1:1001(1000)]`;
//! * calls: `socket bind listen accept connect read write send recv sendto setsockopt getsockopt fcntl ioctl poll shutdown
//!   close`, of IPv4 or IPv6;
//! * `%{ assert tcpi_snd_cwnd == 10 }%`: an expression of the numbers of `struct tcp_info`;
//! * `` `sysctl -q net.ipv4.tcp_ecn=1` ``, and, of our own, `` `port 5001` ``: the peer's port of the next connection;
//! * `--ip_version=ipv4` or `ipv6` (both are run if nothing is said), `--tolerance_usecs=4000`.
//!
//! `parse`: the language. `options`: TCP options. `run`: events in their time. `calls`: calls. `expr`: assertions.

mod calls;
mod consts;
mod expr;
mod options;
mod parse;
mod run;

use std::path::Path;

/// Runs the script in `text`, over the IP versions that it asks for.
///
/// # Errors
/// The line that does not hold, and why.
pub fn run(text: &str) -> Result<(), String> {
    let script = parse::parse(text)?;
    for v6 in [false, true] {
        let version = if v6 { "ipv6" } else { "ipv4" };
        if script.ip_version.as_ref().is_none_or(|v| v == version) {
            run::run(&script, v6).map_err(|e| format!("{e} ({version})"))?;
        }
    }
    Ok(())
}

/// Runs each `.pkt` file of a directory.
///
/// # Panics
/// With all that does not hold, or if there is no script.
pub fn run_directory(dir: &Path) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "pkt"));
    files.sort();
    assert!(!files.is_empty(), "no scripts in {}", dir.display());
    let only = std::env::var("LKL_PKT").unwrap_or_default();
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(&only) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        if let Err(e) = run(&text) {
            failures.push(format!("{name}:{e}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[cfg(test)]
mod tests;
