//! Events in their time.

use super::calls::{Fd, Pending};
use super::expr;
use super::options::{self, Opt};
use super::parse::{Event, Icmp, Packet, Point, Script, Time, What};
use crate::flow::tcp_info;
use crate::machine::{addresses, Machine};
use crate::wire::{Segment, Stub, ACK, AE, CWR, ECE, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, URG};
use lkl_ops::sim::{Wire, World};
use lkl_ops::Instant;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// The machine's port when the peer opens.
pub(super) const OUR_PORT: u16 = 8080;
/// The peer's when the machine does.
pub(super) const PEER_CONNECT_PORT: u16 = 8080;
/// The peer's when the peer does.
const PEER_PORT: u16 = 5000;
/// The peer's numbers wrap soon.
const PEER_BASE: u32 = 0xffff_fe00;

/// A run of one script over one IP version.
pub(super) struct Run {
    pub(super) world: World,
    pub(super) machine: Machine,
    stub: Stub,
    pub(super) v6: bool,
    start: Instant,
    tolerance: i64,
    /// When the last event was, in microseconds.
    at: i64,
    queue: VecDeque<(i64, Segment, u8)>,
    our_port: u16,
    pub(super) peer_port: u16,
    next_peer_port: u16,
    /// What the script's numbers are short of.
    our_base: u32,
    stamp_base: Option<u32>,
    /// Fast Open cookies: the script's, and the real one.
    cookie: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) fds: HashMap<i64, Fd>,
    pub(super) under_test: Option<i32>,
    pending: Option<(Pending, i64, usize)>,
    /// What went wrong while time went on.
    late: Option<String>,
}

/// Runs a script.
///
/// # Errors
/// The line that does not hold.
pub(super) fn run(script: &Script, v6: bool) -> Result<(), String> {
    let world = World::new(1);
    // So much more that the MSS is the same.
    let mtu = if v6 { 1520 } else { 1500 };
    let (machine, stub) = Stub::new(&world, &Wire { mtu, ..Wire::default() });
    let index = machine.kernel.net().link_by_name("eth0").map_err(|e| format!("eth0: {e:?}"))?.index;
    machine.kernel.net().link_set_mtu(index, mtu as u32).map_err(|e| format!("the MTU: {e:?}"))?;
    // Neighbours are known before the script begins.
    if !stub.pings(&world) {
        return Err("no answer to a ping".into());
    }
    let start = world.now();
    let mut run = Run {
        world,
        machine,
        stub,
        v6,
        start,
        tolerance: script.tolerance_us,
        at: 0,
        queue: VecDeque::new(),
        our_port: OUR_PORT,
        peer_port: PEER_PORT,
        next_peer_port: PEER_PORT,
        our_base: 0,
        stamp_base: None,
        cookie: None,
        fds: HashMap::new(),
        under_test: None,
        pending: None,
        late: None,
    };
    for event in &script.events {
        run.event(event).map_err(|e| format!("{}: {e}", event.line))?;
        if let Some(e) = run.late.take() {
            return Err(e);
        }
    }
    run.finish_pending()?;
    match run.queue.front() {
        None => Ok(()),
        Some((at, s, ecn)) => Err(format!("the end: it also sends {}, at {at} us", run.show(s, *ecn))),
    }
}

fn us(t: Duration) -> i64 {
    t.as_micros() as i64
}

impl Run {
    fn now(&self) -> i64 {
        us(self.world.now().since(self.start))
    }

    fn instant(&self, at: i64) -> Instant {
        self.start + Duration::from_micros(at.max(0) as u64)
    }

    fn place(&self, p: Point) -> i64 {
        match p {
            Point::Absolute(t) => t,
            Point::Relative(t) => self.at + t,
        }
    }

    /// What the machine has sent is noted with its time; a call that blocks is tried again.
    fn look(&mut self) {
        while let Some(packet) = self.stub.receive() {
            if packet.proto == TCP {
                if let Some(s) = Segment::parse(&packet.body) {
                    self.queue.push_back((self.now(), s, packet.tos & 3));
                }
            }
        }
        if let Some((mut p, end, line)) = self.pending.take() {
            let outcome = match self.attempt(&mut p) {
                Ok(None) => {
                    self.pending = Some((p, end, line));
                    return;
                }
                Ok(Some(answer)) => Self::check(&p.call, answer),
                Err(e) => Err(e),
            };
            let off = self.now() - end;
            let timely = if off.abs() <= self.tolerance {
                Ok(())
            } else {
                Err(format!("it returns at {} us, not {end}", self.now()))
            };
            if let Err(e) = outcome.and(timely) {
                self.late.get_or_insert(format!("{line}: {e}"));
            }
        }
    }

    /// Goes on until `at`, or until something was sent if `sent`.
    fn advance(&mut self, at: i64, sent: bool) {
        let end = self.instant(at);
        let world = self.world.clone();
        world.run_until(Some(end), || {
            self.look();
            self.late.is_some() || sent && !self.queue.is_empty()
        });
        if !sent {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.world.settle();
        self.look();
        // What a call has done in the meantime is to be seen too.
        self.world.settle();
        self.look();
    }

    fn finish_pending(&mut self) -> Result<(), String> {
        if let Some((_, end, line)) = &self.pending {
            let (end, line) = (*end, *line);
            self.advance(end + self.tolerance, false);
            if self.pending.is_some() {
                return Err(format!("{line}: the call does not return"));
            }
        }
        self.late.take().map_or(Ok(()), Err)
    }

    fn event(&mut self, e: &Event) -> Result<(), String> {
        if let What::Out(p) = &e.what {
            return self.expect(p, e.time);
        }
        let (at, end) = match e.time {
            Time::At(p) => (self.place(p), None),
            Time::Blocking(from, to) => {
                let from = self.place(from);
                let base = self.at;
                self.at = from;
                let to = self.place(to);
                self.at = base;
                (from, Some(to))
            }
            Time::Any => (self.now(), None),
            Time::Between(..) => return Err("a range of time is for packets that go".into()),
        };
        if at < self.now() - 1 {
            return Err(format!("it is {} us already", self.now()));
        }
        self.advance(at, false);
        self.at = at;
        match &e.what {
            What::In(p) => self.inject(p)?,
            What::Icmp(i) => self.inject_icmp(i)?,
            What::Command(c) => self.command(c)?,
            What::Assert(text) => {
                let fd = self.under_test.ok_or("no connection")?;
                expr::check(text, &tcp_info(&self.machine, fd))?;
            }
            What::Call(call) => {
                if self.pending.is_some() {
                    return Err("another call blocks".into());
                }
                let mut p = Pending::new(call, self.world.now());
                match self.attempt(&mut p)? {
                    Some(answer) => {
                        if let Some(end) = end.filter(|end| (end - at).abs() > self.tolerance) {
                            return Err(format!("it returns at once, not at {end} us"));
                        }
                        Self::check(call, answer)?;
                    }
                    None => {
                        let end = end.ok_or("the call blocks")?;
                        self.pending = Some((p, end, e.line));
                    }
                }
            }
            What::Out(_) => {}
        }
        self.settle();
        Ok(())
    }

    fn command(&mut self, command: &str) -> Result<(), String> {
        for line in command.split([';', '\n']).map(str::trim).filter(|l| !l.is_empty()) {
            if let Some(port) = line.strip_prefix("port ") {
                self.next_peer_port = port.trim().parse().map_err(|_| format!("no port: {port}"))?;
                continue;
            }
            let rest = line.strip_prefix("sysctl").ok_or_else(|| format!("unknown command {line}"))?;
            // One setting; its value may have spaces, in quotes or not.
            let setting = rest.trim().trim_start_matches("-q").trim_start_matches("-w").trim();
            let (key, value) = setting.split_once('=').ok_or_else(|| format!("no setting: {setting}"))?;
            let value = value.trim().trim_matches('"');
            let net = self.machine.kernel.net();
            net.sysctl_set(&key.trim().replace('.', "/"), value).map_err(|e| format!("{key}={value}: {e:?}"))?;
        }
        Ok(())
    }

    fn inject(&mut self, p: &Packet) -> Result<(), String> {
        if p.flags & (SYN | ACK) == SYN && p.flags & RST == 0 && self.our_port == OUR_PORT {
            self.peer_port = self.next_peer_port;
        }
        let mut options = p.options.clone().ok_or("the options have to be said")?;
        for o in &mut options {
            match o {
                Opt::Sack(blocks) => {
                    for b in blocks {
                        *b = (b.0.wrapping_add(self.our_base), b.1.wrapping_add(self.our_base));
                    }
                }
                Opt::Ts(_, echo) if *echo != 0 => *echo = echo.wrapping_add(self.stamp_base.unwrap_or(0)),
                Opt::Fo(Some(cookie)) => {
                    if let Some((_, real)) = self.cookie.as_ref().filter(|c| c.0 == *cookie) {
                        cookie.clone_from(real);
                    }
                }
                _ => {}
            }
        }
        let s = Segment {
            from: self.peer_port,
            to: self.our_port,
            seq: p.seq.wrapping_add(PEER_BASE),
            ack: p.ack.map_or(0, |a| a.wrapping_add(self.our_base)),
            flags: p.flags,
            window: p.win.unwrap_or(65_535),
            urgent: p.urg.unwrap_or(0),
            options: options::build(&options),
            data: vec![b'y'; p.len as usize],
        };
        self.stub.send_segment_marked(self.v6, &s, p.ecn.unwrap_or(0));
        Ok(())
    }

    fn inject_icmp(&mut self, i: &Icmp) -> Result<(), String> {
        let (ours, theirs) = (addresses(1)[usize::from(self.v6)].0, addresses(2)[usize::from(self.v6)].0);
        let (kind, code) = match (self.v6, i.kind.as_str()) {
            (false, "net_unreachable") => (3, 0),
            (false, "host_unreachable") => (3, 1),
            (false, "protocol_unreachable") => (3, 2),
            (false, "port_unreachable") => (3, 3),
            (false, "frag_needed") => (3, 4),
            (false, "communication_prohibited") => (3, 13),
            (true, "net_unreachable") => (1, 0),
            (true, "communication_prohibited") => (1, 1),
            (true, "host_unreachable") => (1, 3),
            (true, "port_unreachable") => (1, 4),
            (true, "frag_needed" | "packet_too_big") => (2, 0),
            other => return Err(format!("unknown kind {other:?}")),
        };
        let mut body = vec![kind, code, 0, 0];
        body.extend(if self.v6 { i.mtu + 20 } else { i.mtu }.to_be_bytes());
        if self.v6 && kind != 2 || !self.v6 && code != 4 {
            body.truncate(4);
            body.extend([0; 4]);
        }
        let total = 20 + i.len;
        match (ours, theirs) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                let n = ((20 + total) as u16).to_be_bytes();
                body.extend([0x45, 0, n[0], n[1], 0, 0, 0x40, 0, 64, TCP, 0, 0]);
                body.extend(s.octets());
                body.extend(d.octets());
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                let n = (total as u16).to_be_bytes();
                body.extend([0x60, 0, 0, 0, n[0], n[1], TCP, 64]);
                body.extend(s.octets());
                body.extend(d.octets());
            }
            _ => return Err("two families".into()),
        }
        body.extend(self.our_port.to_be_bytes());
        body.extend(self.peer_port.to_be_bytes());
        body.extend(i.seq.wrapping_add(self.our_base).to_be_bytes());
        body.extend([0; 4]);
        body.extend([0x50, 16, 0xff, 0xff, 0, 0, 0, 0]);
        self.stub.send(theirs, ours, if self.v6 { ICMPV6 } else { ICMP }, body, 2);
        Ok(())
    }

    fn expect(&mut self, p: &Packet, time: Time) -> Result<(), String> {
        let (from, to) = match time {
            Time::At(t) => (self.place(t), self.place(t)),
            Time::Between(a, b) => (self.place(a), self.place(b)),
            // Long enough for any timer.
            Time::Any => (self.now().min(self.at), self.now() + 200_000_000),
            Time::Blocking(..) => return Err("only calls block".into()),
        };
        if self.queue.is_empty() {
            self.advance(to + self.tolerance, true);
        }
        if let Some(e) = self.late.take() {
            return Err(e);
        }
        let Some((at, s, ecn)) = self.queue.pop_front() else {
            return Err(format!("it sends nothing until {} us", self.now()));
        };
        self.learn(p, &s);
        let shown = self.show(&s, ecn);
        self.compare(p, &s, ecn).map_err(|what| format!("{what}: it sends {shown}, at {at} us"))?;
        if at < from - self.tolerance || at > to + self.tolerance {
            return Err(format!("it sends {shown} at {at} us, not {from} to {to}"));
        }
        self.at = match time {
            Time::At(_) => from,
            _ => at,
        };
        Ok(())
    }

    /// Takes from a segment what the script's numbers stand for.
    fn learn(&mut self, p: &Packet, s: &Segment) {
        if s.flags & SYN != 0 {
            self.our_port = s.from;
            self.our_base = s.seq.wrapping_sub(p.seq);
            self.stamp_base = None;
        }
        let live = options::read(&s.options).unwrap_or_default();
        for o in p.options.iter().flatten() {
            match o {
                Opt::Ts(value, _) if self.stamp_base.is_none() => {
                    if let Some(Opt::Ts(v, _)) = live.iter().find(|l| matches!(l, Opt::Ts(..))) {
                        self.stamp_base = Some(v.wrapping_sub(*value));
                    }
                }
                Opt::Fo(Some(cookie)) if !cookie.is_empty() && s.flags & ACK != 0 => {
                    if let Some(Opt::Fo(Some(real))) = live.iter().find(|l| matches!(l, Opt::Fo(_))) {
                        self.cookie = Some((cookie.clone(), real.clone()));
                    }
                }
                _ => {}
            }
        }
    }

    /// The options in the script's numbers.
    fn script_options(&self, s: &Segment) -> Result<Vec<Opt>, String> {
        let mut all = options::read(&s.options)?;
        for o in &mut all {
            match o {
                Opt::Sack(blocks) => {
                    for b in blocks {
                        *b = (b.0.wrapping_sub(PEER_BASE), b.1.wrapping_sub(PEER_BASE));
                    }
                }
                Opt::Ts(value, _) => *value = value.wrapping_sub(self.stamp_base.unwrap_or(0)),
                Opt::Fo(Some(cookie)) => {
                    if let Some((name, _)) = self.cookie.as_ref().filter(|c| c.1 == *cookie) {
                        cookie.clone_from(name);
                    }
                }
                _ => {}
            }
        }
        Ok(all)
    }

    fn compare(&self, p: &Packet, s: &Segment, ecn: u8) -> Result<(), String> {
        let check = |fine: bool, what: &str| if fine { Ok(()) } else { Err(format!("the {what} differ")) };
        check(s.flags == p.flags, "flags")?;
        check(s.seq.wrapping_sub(self.our_base) == p.seq, "sequence numbers")?;
        check(s.data.len() == p.len as usize, "lengths")?;
        if let Some(ack) = p.ack {
            check(s.ack.wrapping_sub(PEER_BASE) == ack, "acknowledgements")?;
        }
        check(p.win.is_none_or(|w| w == s.window), "windows")?;
        check(p.urg.is_none_or(|u| u == s.urgent), "urgent pointers")?;
        check(p.ecn.is_none_or(|e| e == ecn), "marks")?;
        let Some(wanted) = &p.options else { return Ok(()) };
        let got = self.script_options(s)?;
        let stamp_slack = (self.tolerance / 1000 + 1) as u32;
        let same = |a: &Opt, b: &Opt| match (a, b) {
            (Opt::Ts(v, e), Opt::Ts(w, f)) => v.wrapping_sub(*w).wrapping_add(stamp_slack) <= 2 * stamp_slack && e == f,
            (Opt::Fo(None), Opt::Fo(Some(c))) => !c.is_empty(),
            (a, b) => a == b,
        };
        let all = wanted.len() == got.len() && wanted.iter().zip(&got).all(|(a, b)| same(a, b));
        check(all, "options")
    }

    fn show(&self, s: &Segment, ecn: u8) -> String {
        let bits =
            [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (PSH, 'P'), (URG, 'U'), (ECE, 'E'), (CWR, 'W'), (AE, 'A'), (ACK, '.')];
        let flags: String = bits.into_iter().filter(|b| s.flags & b.0 != 0).map(|b| b.1).collect();
        let seq = s.seq.wrapping_sub(self.our_base);
        let end = seq.wrapping_add(s.data.len() as u32);
        let ack = if s.flags & ACK != 0 { format!(" ack {}", s.ack.wrapping_sub(PEER_BASE)) } else { String::new() };
        let mark = ["", "[ect1] ", "[ect0] ", "[ce] "][usize::from(ecn)];
        let options = self.script_options(s).unwrap_or_default();
        format!("{mark}{flags} {seq}:{end}({}){ack} win {} {options:?}", s.data.len(), s.window)
    }
}
