//! Packet scripts: what the test sends, what the machine must send, and when.
//!
//! One step a line; times are in milliseconds since the step before.
//!
//! ```text
//! listen | connect            a socket of the machine, port 80 (the stub uses port 5000), non-blocking
//! accept | write N | read N | close | shutdown | reset   calls on the connection; read 0 is the end of the stream
//! error NAME                  SO_ERROR must be that, or NONE
//! < FLAGS SEQ:LEN [ack N] [win N] [opts HEX]             the stub sends
//! > FLAGS SEQ:LEN [ack N] [win N]   [@A..B]              the machine must send that next, A to B ms later
//! quiet N                     for N ms the machine sends nothing
//! wait N                      for N ms whatever it sends is passed over
//! ```
//!
//! Flags are of `S F R P U .` (`.` for ACK; P is not looked at in what the machine sends). Sequence numbers are
//! relative to each side's first one; `win` of an expected segment is what the header says. `#` begins a comment.

use super::{Segment, Stub, ACK, FIN, PSH, RST, SYN, URG};
use crate::machine::{addresses, Machine, INET, INET6, NONBLOCK};
use lkl_ops::sim::{Wire, World};
use std::net::SocketAddr;
use std::time::Duration;

const OURS: u16 = 80;
const THEIRS: u16 = 5000;
const STUB_ISN: u32 = 0xffff_ff00;
const SOL_SOCKET: u32 = 1;
const SO_ERROR: u32 = 4;
const SO_LINGER: u64 = 13;

/// A run of one script over one IP version.
struct Run {
    world: World,
    machine: Machine,
    stub: Stub,
    v6: bool,
    listener: Option<i32>,
    fd: Option<i32>,
    /// The machine's first sequence number, once seen.
    isn: Option<u32>,
    /// The machine's port.
    port: u16,
}

/// Runs a script over both IP versions.
///
/// # Panics
/// With the line that does not hold.
pub fn run(script: &str) {
    for v6 in [false, true] {
        let world = World::new(1);
        let (machine, stub) = Stub::new(&world, &Wire::default());
        let mut run = Run { world, machine, stub, v6, listener: None, fd: None, isn: None, port: OURS };
        for (n, line) in script.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if !line.is_empty() {
                run.step(line)
                    .unwrap_or_else(|e| panic!("line {} ({}), `{line}`: {e}", n + 1, if v6 { "IPv6" } else { "IPv4" }));
            }
        }
    }
}

type Outcome = Result<(), String>;

fn number<T: std::str::FromStr>(word: Option<&str>) -> Result<T, String> {
    word.and_then(|w| w.parse().ok()).ok_or_else(|| format!("no number: {word:?}"))
}

fn flags(word: &str) -> Result<u16, String> {
    word.chars().try_fold(0, |all, c| {
        Ok(all
            | match c {
                'S' => SYN,
                'F' => FIN,
                'R' => RST,
                'P' => PSH,
                'U' => URG,
                '.' => ACK,
                _ => return Err(format!("unknown flag {c}")),
            })
    })
}

fn text(flags: u16) -> String {
    [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (PSH, 'P'), (URG, 'U'), (ACK, '.')]
        .into_iter()
        .filter(|f| flags & f.0 != 0)
        .map(|f| f.1)
        .collect()
}

impl Run {
    fn fd(&self) -> Result<i32, String> {
        self.fd.ok_or_else(|| "no connection".to_owned())
    }

    fn step(&mut self, line: &str) -> Outcome {
        let mut words = line.split_whitespace();
        let family = if self.v6 { INET6 } else { INET };
        let fail = |e| format!("{e:?}");
        let m = &self.machine;
        match words.next().unwrap_or("") {
            "listen" => {
                let fd = m.socket(family, 1 | NONBLOCK, 0).map_err(fail)?;
                m.bind(fd, SocketAddr::new(addresses(1)[usize::from(self.v6)].0, OURS)).map_err(fail)?;
                m.listen(fd, 4).map_err(fail)?;
                self.listener = Some(fd);
            }
            "connect" => {
                let fd = m.socket(family, 1 | NONBLOCK, 0).map_err(fail)?;
                let _in_progress = m.connect(fd, SocketAddr::new(addresses(2)[usize::from(self.v6)].0, THEIRS));
                self.fd = Some(fd);
            }
            "accept" => {
                self.world.settle();
                let listener = self.listener.ok_or("no listener")?;
                self.fd = Some(self.machine.accept(listener, true).map_err(fail)?);
            }
            "write" => {
                let len: usize = number(words.next())?;
                let n = m.send(self.fd()?, &vec![b'x'; len], 0x4000).map_err(fail)?;
                if n != len {
                    return Err(format!("wrote {n}"));
                }
            }
            "read" => {
                let len: usize = number(words.next())?;
                self.world.settle();
                let data = m.recv(self.fd()?, len.max(1), 0).map_err(fail)?;
                if data.len() != len {
                    return Err(format!("read {}", data.len()));
                }
            }
            "shutdown" => m.shutdown(self.fd()?, 1).map_err(fail)?,
            "close" => m.close(self.fd()?).map_err(fail)?,
            "reset" => {
                let fd = self.fd()?;
                let at = m.put(&[1, 0, 0, 0, 0, 0, 0, 0]);
                m.call(lkl_abi::nr::SETSOCKOPT, [fd as u64, u64::from(SOL_SOCKET), SO_LINGER, at, 8, 0])
                    .map_err(fail)?;
                m.close(fd).map_err(fail)?;
            }
            "error" => {
                self.world.settle();
                let got = m.option(self.fd()?, SOL_SOCKET, SO_ERROR).map_err(fail)?;
                let got = if got == 0 { "NONE".to_owned() } else { format!("{:?}", lkl_abi::Errno(got)) };
                if Some(got.as_str()) != words.next() {
                    return Err(format!("it is {got}"));
                }
            }
            "<" => self.inject(words)?,
            ">" => self.expect(words)?,
            "quiet" => {
                let limit = Duration::from_millis(number(words.next())?);
                if let Some(s) = self.next(limit) {
                    return Err(format!("it sends {}", self.show(&s)));
                }
            }
            "wait" => {
                let end = self.world.now() + Duration::from_millis(number(words.next())?);
                while self.next(end.since(self.world.now())).is_some() {}
            }
            other => return Err(format!("unknown step {other}")),
        }
        Ok(())
    }

    /// The next segment within `limit`.
    fn next(&mut self, limit: Duration) -> Option<Segment> {
        let (stub, mut found) = (&self.stub, None);
        let end = self.world.now() + limit;
        self.world.run_until(Some(end), || {
            while found.is_none() {
                let Some(packet) = stub.receive() else { break };
                if packet.proto == 6 {
                    found = Segment::parse(&packet.body);
                }
            }
            found.is_some()
        });
        if let Some(s) = &found {
            self.port = s.from;
            if s.flags & SYN != 0 {
                self.isn = Some(s.seq);
            }
        }
        found
    }

    fn show(&self, s: &Segment) -> String {
        let seq = s.seq.wrapping_sub(self.isn.unwrap_or(0));
        let ack = s.ack.wrapping_sub(STUB_ISN);
        format!("{} {seq}:{} ack {ack} win {}", text(s.flags), s.data.len(), s.window)
    }

    fn inject<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Outcome {
        let mut s = Segment { from: THEIRS, to: self.port, window: 65535, ..Segment::default() };
        s.flags = flags(words.next().ok_or("no flags")?)?;
        let (seq, len) = words.next().and_then(|w| w.split_once(':')).ok_or("no SEQ:LEN")?;
        s.seq = STUB_ISN.wrapping_add(number::<u32>(Some(seq))?);
        s.data = vec![b'y'; number(Some(len))?];
        while let Some(word) = words.next() {
            match word {
                "ack" => s.ack = self.isn.unwrap_or(0).wrapping_add(number(words.next())?),
                "win" => s.window = number(words.next())?,
                "opts" => {
                    let hex = words.next().ok_or("no options")?;
                    s.options = (0..hex.len() / 2)
                        .filter_map(|i| u8::from_str_radix(hex.get(i * 2..i * 2 + 2)?, 16).ok())
                        .collect();
                }
                other => return Err(format!("unknown word {other}")),
            }
        }
        self.stub.send_segment(self.v6, &s);
        Ok(())
    }

    fn expect<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Outcome {
        let wanted = flags(words.next().ok_or("no flags")?)? & !PSH;
        let (seq, len) = words.next().and_then(|w| w.split_once(':')).ok_or("no SEQ:LEN")?;
        let (seq, len): (u32, usize) = (number(Some(seq))?, number(Some(len))?);
        let (mut ack, mut window, mut time) = (None, None, (0, 5));
        while let Some(word) = words.next() {
            match word {
                "ack" => ack = Some(number::<u32>(words.next())?),
                "win" => window = Some(number::<u16>(words.next())?),
                w if w.starts_with('@') => {
                    let (from, to) = w.get(1..).and_then(|t| t.split_once("..")).ok_or("no times")?;
                    time = (number(Some(from))?, number(Some(to))?);
                }
                other => return Err(format!("unknown word {other}")),
            }
        }
        let begin = self.world.now();
        let s = self.next(Duration::from_millis(time.1)).ok_or("it sends nothing")?;
        let took = self.world.now().since(begin);
        let shown = self.show(&s);
        let matches = s.flags & !PSH == wanted
            && s.seq.wrapping_sub(self.isn.unwrap_or(0)) == seq
            && s.data.len() == len
            && ack.is_none_or(|a| s.ack.wrapping_sub(STUB_ISN) == a)
            && window.is_none_or(|w| s.window == w);
        if !matches || took < Duration::from_millis(time.0) {
            return Err(format!("it sends {shown} after {took:?}"));
        }
        Ok(())
    }
}
