//! The language: from text to events.

use super::consts;
use super::options::{self, Opt};
use crate::wire::{ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG};

/// A script.
#[derive(Default, Debug)]
pub(super) struct Script {
    pub(super) ip_version: Option<String>,
    pub(super) tolerance_us: i64,
    pub(super) events: Vec<Event>,
}

/// A point of time, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Point {
    Absolute(i64),
    /// Since the event before.
    Relative(i64),
}

/// When an event is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    At(Point),
    Any,
    Between(Point, Point),
    /// A call that begins at the first and returns at the second.
    Blocking(Point, Point),
}

/// One event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) line: usize,
    pub(super) time: Time,
    pub(super) what: What,
}

/// What happens.
#[derive(Debug)]
pub(super) enum What {
    In(Packet),
    Out(Packet),
    Icmp(Icmp),
    Call(Call),
    Assert(String),
    Command(String),
}

/// A segment, in the script's numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Packet {
    pub(super) ecn: Option<u8>,
    pub(super) flags: u16,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) ack: Option<u32>,
    pub(super) win: Option<u16>,
    pub(super) urg: Option<u16>,
    /// `None`: not looked at.
    pub(super) options: Option<Vec<Opt>>,
}

/// An ICMP error about a segment of ours.
#[derive(Clone, Debug)]
pub(super) struct Icmp {
    pub(super) kind: String,
    pub(super) mtu: u32,
    pub(super) seq: u32,
    pub(super) len: u32,
}

/// An argument or a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Node {
    Int(i64),
    Str(String),
    Dots,
    List(Vec<Node>),
    Struct(Vec<(String, Node)>),
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) args: Vec<Node>,
    pub(super) result: Node,
    pub(super) errno: Option<String>,
}

/// Takes comments away; keeps the lines.
fn strip_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        if !quoted && rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |e| e + 2);
            out.extend(rest.get(..end).unwrap_or_default().chars().filter(|c| *c == '\n'));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        if !quoted && (rest.starts_with("//") || c == '#') {
            rest = rest.find('\n').and_then(|n| rest.get(n..)).unwrap_or_default();
            continue;
        }
        quoted ^= c == '"';
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

/// Reads a script.
///
/// # Errors
/// The line that cannot be read.
pub(super) fn parse(text: &str) -> Result<Script, String> {
    let text = strip_comments(text);
    let mut script = Script { tolerance_us: 4000, ..Script::default() };
    // Events, each with all its lines.
    let mut chunks: Vec<(usize, String)> = Vec::new();
    let mut braces = false;
    for (n, line) in text.lines().enumerate() {
        let t = line.trim();
        if t.is_empty() {
            continue;
        }
        let begins = t.starts_with(['+', '*', '`', '.', '-', '%']) || t.starts_with(|c: char| c.is_ascii_digit());
        if begins && !braces || chunks.is_empty() {
            chunks.push((n + 1, t.to_owned()));
        } else if let Some(last) = chunks.last_mut() {
            last.1.push('\n');
            last.1.push_str(t);
        }
        braces = (braces || t.contains("%{")) && !t.contains("}%");
    }
    for (line, chunk) in chunks {
        if let Some(option) = chunk.strip_prefix("--") {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "ip_version" => script.ip_version = Some(value.trim().to_owned()),
                "tolerance_usecs" => {
                    script.tolerance_us = value.trim().parse().map_err(|_| format!("{line}: no number: {value}"))?;
                }
                _ => return Err(format!("{line}: unknown option --{key}")),
            }
            continue;
        }
        let event = event(line, &chunk).map_err(|e| format!("{line}: {e}: {chunk}"))?;
        script.events.push(event);
    }
    Ok(script)
}

fn event(line: usize, chunk: &str) -> Result<Event, String> {
    if let Some(command) = chunk.strip_prefix('`') {
        let what = What::Command(command.trim_end_matches('`').trim().to_owned());
        return Ok(Event { line, time: Time::At(Point::Relative(0)), what });
    }
    let mut c = Cursor { rest: chunk };
    let time = if chunk.starts_with("%{") { Time::At(Point::Relative(0)) } else { c.time()? };
    c.space();
    let what = if let Some(body) = c.rest.strip_prefix("%{") {
        What::Assert(body.trim_end().strip_suffix("}%").ok_or("expected }%")?.to_owned())
    } else if c.eat("<") {
        c.space();
        if c.rest.starts_with("icmp") {
            What::Icmp(c.icmp()?)
        } else {
            What::In(c.packet()?)
        }
    } else if c.eat(">") {
        What::Out(c.packet()?)
    } else if let Some(command) = c.rest.strip_prefix('`') {
        What::Command(command.trim_end_matches('`').trim().to_owned())
    } else {
        What::Call(c.call()?)
    };
    Ok(Event { line, time, what })
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, what: &str) -> bool {
        self.space();
        let found = self.rest.strip_prefix(what);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, what: &str) -> Result<(), String> {
        if self.eat(what) {
            Ok(())
        } else {
            Err(format!("expected {what:?} at {:?}", self.rest))
        }
    }

    fn take_while(&mut self, f: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !f(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn word(&mut self) -> &'a str {
        self.space();
        self.take_while(|c| c.is_alphanumeric() || c == '_')
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        self.space();
        let word = self.take_while(|c| c.is_ascii_digit());
        word.parse().map_err(|_| format!("no number at {word:?}{:?}", self.rest))
    }

    fn point(&mut self) -> Result<Point, String> {
        let relative = self.eat("+");
        let whole = self.take_while(|c| c.is_ascii_digit());
        // "0...0.1": the dots are no fraction.
        let fraction = if self.rest.starts_with('.') && !self.rest.starts_with("...") {
            self.rest = &self.rest[1..];
            self.take_while(|c| c.is_ascii_digit())
        } else {
            ""
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(format!("no time at {:?}", self.rest));
        }
        let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let us = whole.parse::<i64>().unwrap_or(0) * 1_000_000 + digits.parse::<i64>().unwrap_or(0);
        Ok(if relative { Point::Relative(us) } else { Point::Absolute(us) })
    }

    fn time(&mut self) -> Result<Time, String> {
        if self.eat("*") {
            return Ok(Time::Any);
        }
        let from = self.point()?;
        if self.rest.starts_with("...") {
            self.rest = &self.rest[3..];
            return Ok(Time::Blocking(from, self.point()?));
        }
        if self.rest.starts_with('~') {
            self.rest = &self.rest[1..];
            return Ok(Time::Between(from, self.point()?));
        }
        Ok(Time::At(from))
    }

    fn packet(&mut self) -> Result<Packet, String> {
        let mut p = Packet { options: Some(Vec::new()), ..Packet::default() };
        if self.eat("[") {
            let name = self.take_while(|c| c != ']');
            self.expect("]")?;
            p.ecn = Some(match name.trim() {
                "noecn" => 0,
                "ect1" => 1,
                "ect0" => 2,
                "ce" => 3,
                other => return Err(format!("unknown mark {other}")),
            });
        }
        self.space();
        for c in self.take_while(|c| !c.is_whitespace()).chars() {
            p.flags |= match c {
                'S' => SYN,
                'F' => FIN,
                'R' => RST,
                'P' => PSH,
                'U' => URG,
                'E' => ECE,
                'W' => CWR,
                '.' => ACK,
                'A' => AE,
                other => return Err(format!("unknown flag {other}")),
            };
        }
        (p.seq, p.len) = self.range()?;
        loop {
            self.space();
            if self.rest.starts_with('<') {
                self.rest = &self.rest[1..];
                let text = self.take_while(|c| c != '>');
                self.expect(">")?;
                p.options = options::parse(text)?;
                continue;
            }
            match self.word() {
                "" if self.rest.is_empty() => return Ok(p),
                "ack" => p.ack = Some(self.number()?),
                "win" => p.win = Some(self.number()?),
                "urg" => p.urg = Some(self.number()?),
                other => return Err(format!("unknown word {other:?} at {:?}", self.rest)),
            }
        }
    }

    /// `SEQ:END(LEN)`
    fn range(&mut self) -> Result<(u32, u32), String> {
        let seq: u32 = self.number()?;
        self.expect(":")?;
        let end: u32 = self.number()?;
        self.expect("(")?;
        let len: u32 = self.number()?;
        self.expect(")")?;
        if end.wrapping_sub(seq) != len {
            return Err(format!("{seq}:{end} are not {len} bytes"));
        }
        Ok((seq, len))
    }

    fn icmp(&mut self) -> Result<Icmp, String> {
        let _icmp = self.word();
        let mut kind = self.word().to_owned();
        let mut mtu = 0;
        loop {
            match self.word() {
                "mtu" => mtu = self.number()?,
                "" => break,
                code => kind = code.to_owned(),
            }
        }
        self.expect("[")?;
        let (seq, len) = self.range()?;
        self.expect("]")?;
        Ok(Icmp { kind, mtu, seq, len })
    }

    fn call(&mut self) -> Result<Call, String> {
        let name = self.word().to_owned();
        self.expect("(")?;
        let args = self.list(")")?;
        self.expect("=")?;
        let result = self.node()?;
        let errno = Some(self.word().to_owned()).filter(|w| !w.is_empty());
        Ok(Call { name, args, result, errno })
    }

    fn list(&mut self, end: &str) -> Result<Vec<Node>, String> {
        let mut all = Vec::new();
        while !self.eat(end) {
            all.push(self.node()?);
            if !self.eat(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(all)
    }

    fn node(&mut self) -> Result<Node, String> {
        self.space();
        if self.eat("...") {
            return Ok(Node::Dots);
        }
        if self.eat("[") {
            return self.list("]").map(Node::List);
        }
        if self.eat("{") {
            let mut fields = Vec::new();
            while !self.eat("}") {
                let name = self.word().to_owned();
                self.expect("=")?;
                fields.push((name, self.node()?));
                if !self.eat(",") {
                    self.expect("}")?;
                    break;
                }
            }
            return Ok(Node::Struct(fields));
        }
        if self.eat("\"") {
            let text = self.take_while(|c| c != '"').to_owned();
            self.expect("\"")?;
            return Ok(Node::Str(text));
        }
        let mut value = self.integer()?;
        while self.eat("|") {
            value |= self.integer()?;
        }
        Ok(Node::Int(value))
    }

    fn integer(&mut self) -> Result<i64, String> {
        let negative = self.eat("-");
        let word = self.word();
        let n = match word.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => word.parse().ok().or_else(|| consts::number(word)),
        };
        let n = n.ok_or_else(|| format!("unknown value {word:?} at {:?}", self.rest))?;
        Ok(if negative { -n } else { n })
    }
}
