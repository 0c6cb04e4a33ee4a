//! The calls of a script. All sockets are made not to block; a call that blocks in the script is tried again whenever
//! something has happened.

use super::parse::{Call, Node};
use super::run::{Run, OUR_PORT, PEER_CONNECT_PORT};
use crate::machine::{addresses, INET, INET6, NONBLOCK};
use lkl_abi::{nr, Errno};
use lkl_ops::{Instant, UserMem};
use std::net::SocketAddr;
use std::time::Duration;

/// A descriptor of the script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fd {
    pub(super) live: i32,
    nonblock: bool,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) call: Call,
    since: Instant,
    /// Bytes moved by the attempts so far.
    moved: i64,
    connecting: bool,
}

impl Pending {
    pub(super) fn new(call: &Call, now: Instant) -> Self {
        Self { call: call.clone(), since: now, moved: 0, connecting: false }
    }
}

type Answer = Result<i64, Errno>;

impl Node {
    fn int(&self) -> Result<i64, String> {
        match self {
            Self::Int(n) => Ok(*n),
            Self::List(l) if l.len() == 1 => l[0].int(),
            other => Err(format!("expected a number, not {other:?}")),
        }
    }

    fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.iter().find(|f| f.0 == name).map(|f| &f.1),
            _ => None,
        }
    }
}

fn arg(call: &Call, n: usize) -> Result<&Node, String> {
    call.args.get(n).ok_or_else(|| format!("argument {} is missing", n + 1))
}

fn int(call: &Call, n: usize) -> Result<i64, String> {
    arg(call, n)?.int()
}

impl Run {
    fn fd(&self, call: &Call) -> Result<Fd, String> {
        let n = int(call, 0)?;
        self.fds.get(&n).copied().ok_or_else(|| format!("descriptor {n} is not open"))
    }

    /// Tries a call; `None`: it would block, and is let.
    pub(super) fn attempt(&mut self, p: &mut Pending) -> Result<Option<Answer>, String> {
        let call = &p.call.clone();
        let answer = match call.name.as_str() {
            "socket" => {
                let kind = int(call, 1)?;
                let family = if self.v6 { INET6 } else { INET };
                let nonblock = kind & i64::from(NONBLOCK) != 0;
                let live = self.machine.socket(family, (kind as u32 & 0xf) | NONBLOCK, 0);
                live.map(|live| self.open(call, Fd { live, nonblock }))
            }
            "bind" => {
                let at = SocketAddr::new(addresses(1)[usize::from(self.v6)].0, OUR_PORT);
                self.machine.bind(self.fd(call)?.live, at).map(|()| 0)
            }
            "listen" => self.machine.listen(self.fd(call)?.live, int(call, 1)? as i32).map(|()| 0),
            "accept" => {
                let listener = self.fd(call)?;
                match self.machine.accept(listener.live, true) {
                    Err(Errno::EAGAIN) if !listener.nonblock => return Ok(None),
                    other => other.map(|live| {
                        self.under_test = Some(live);
                        self.open(call, Fd { live, nonblock: false })
                    }),
                }
            }
            "connect" => {
                let fd = self.fd(call)?;
                self.peer_port = PEER_CONNECT_PORT;
                self.under_test = Some(fd.live);
                let to = SocketAddr::new(addresses(2)[usize::from(self.v6)].0, PEER_CONNECT_PORT);
                match self.machine.connect(fd.live, to) {
                    Err(Errno::EINPROGRESS | Errno::EALREADY) if !fd.nonblock => {
                        p.connecting = true;
                        return Ok(None);
                    }
                    Err(Errno::EISCONN) if p.connecting => Ok(0),
                    other => other.map(|()| 0),
                }
            }
            "read" | "recv" => {
                let fd = self.fd(call)?;
                let flags = if call.name == "recv" { int(call, 3)? } else { 0 };
                match self.machine.recv(fd.live, int(call, 2)? as usize, flags as u32) {
                    Err(Errno::EAGAIN) if !fd.nonblock && flags & 0x40 == 0 => return Ok(None),
                    other => other.map(|data| data.len() as i64),
                }
            }
            "write" | "send" | "sendto" => return self.write(p, call),
            "setsockopt" => {
                let fd = self.fd(call)?;
                let value = match arg(call, 3)? {
                    Node::Str(s) => s.clone().into_bytes(),
                    node => match (node.field("onoff"), node.field("linger")) {
                        (Some(on), Some(secs)) => {
                            [on.int()? as i32, secs.int()? as i32].iter().flat_map(|n| n.to_le_bytes()).collect()
                        }
                        _ => (node.int()? as i32).to_le_bytes().to_vec(),
                    },
                };
                let at = self.machine.put(&value);
                let (level, name) = (int(call, 1)? as u64, int(call, 2)? as u64);
                let done = self.machine.call(nr::SETSOCKOPT, [fd.live as u64, level, name, at, value.len() as u64, 0]);
                done.map(|n| n as i64)
            }
            "getsockopt" => return self.getsockopt(call).map(Some),
            "fcntl" => {
                let n = int(call, 0)?;
                let fd = self.fds.get_mut(&n).ok_or_else(|| format!("descriptor {n} is not open"))?;
                match int(call, 1)? {
                    3 => Ok(2 | if fd.nonblock { i64::from(NONBLOCK) } else { 0 }),
                    4 => {
                        fd.nonblock = int(call, 2)? & i64::from(NONBLOCK) != 0;
                        Ok(0)
                    }
                    other => return Err(format!("unknown command {other}")),
                }
            }
            "ioctl" => {
                let fd = self.fd(call)?;
                let at = self.machine.put(&[0; 4]);
                let done = self.machine.call(nr::IOCTL, [fd.live as u64, int(call, 1)? as u64, at, 0, 0, 0]);
                let got = i64::from(i32::from_le_bytes(self.machine.get(4).try_into().unwrap_or_default()));
                let wanted = int(call, 2)?;
                if done.is_ok() && got != wanted {
                    return Err(format!("it says {got}, not {wanted}"));
                }
                done.map(|n| n as i64)
            }
            "poll" => return self.poll(p, call),
            "shutdown" => self.machine.shutdown(self.fd(call)?.live, int(call, 1)? as u32).map(|()| 0),
            "close" => {
                let fd = self.fd(call)?;
                self.fds.remove(&int(call, 0)?);
                self.machine.close(fd.live).map(|()| 0)
            }
            other => return Err(format!("unknown call {other}")),
        };
        Ok(Some(answer))
    }

    /// Notes a new descriptor under the number that the script has for it.
    fn open(&mut self, call: &Call, fd: Fd) -> i64 {
        let n = call.result.int().unwrap_or(i64::from(fd.live));
        self.fds.insert(n, fd);
        n
    }

    fn write(&mut self, p: &mut Pending, call: &Call) -> Result<Option<Answer>, String> {
        let fd = self.fd(call)?;
        let len = int(call, 2)?;
        let flags = if call.name == "write" { 0 } else { int(call, 3)? } as u32;
        let waits = !fd.nonblock && flags & 0x40 == 0;
        // A signal would only be in the way.
        let flags = flags | 0x4000;
        loop {
            let data = vec![b'x'; (len - p.moved) as usize];
            let to = addresses(2)[usize::from(self.v6)].0;
            let sent = match arg(call, 4) {
                // A call that blocks goes on with what did not go with the SYN.
                Ok(_) if call.name == "sendto" && flags & 0x2000_0000 != 0 && p.moved == 0 && !p.connecting => {
                    self.peer_port = PEER_CONNECT_PORT;
                    self.under_test = Some(fd.live);
                    let to = SocketAddr::new(to, PEER_CONNECT_PORT);
                    self.machine.send_to_with(fd.live, &data, flags, to)
                }
                _ => self.machine.send(fd.live, &data, flags & !0x2000_0000),
            };
            match sent {
                Ok(n) => {
                    p.moved += n as i64;
                    if p.moved >= len || !waits {
                        return Ok(Some(Ok(p.moved)));
                    }
                }
                Err(Errno::EINPROGRESS) if waits => {
                    p.connecting = true;
                    return Ok(None);
                }
                Err(Errno::EAGAIN) if waits => return Ok(None),
                Err(_) if p.moved > 0 => return Ok(Some(Ok(p.moved))),
                Err(e) => return Ok(Some(Err(e))),
            }
        }
    }

    fn getsockopt(&mut self, call: &Call) -> Result<Answer, String> {
        let fd = self.fd(call)?;
        let room = int(call, 4).unwrap_or(4).max(4);
        let at = self.machine.put(&(room as u32).to_le_bytes());
        let (level, name) = (int(call, 1)? as u64, int(call, 2)? as u64);
        let done = self.machine.call(nr::GETSOCKOPT, [fd.live as u64, level, name, at + 8, at, 0]);
        if done.is_ok() {
            let all = self.machine.get(8 + room as usize);
            match arg(call, 3)? {
                Node::Str(s) => {
                    let text: Vec<u8> = all[8..].iter().copied().take_while(|b| *b != 0).collect();
                    if text != s.as_bytes() {
                        return Err(format!("it says {:?}", String::from_utf8_lossy(&text)));
                    }
                }
                Node::Dots => {}
                node => {
                    let got = i64::from(i32::from_le_bytes([all[8], all[9], all[10], all[11]]));
                    if got != node.int()? {
                        return Err(format!("it says {got}"));
                    }
                }
            }
        }
        Ok(done.map(|n| n as i64))
    }

    fn poll(&mut self, p: &Pending, call: &Call) -> Result<Option<Answer>, String> {
        let Node::List(list) = arg(call, 0)? else { return Err("expected a list".into()) };
        let mut raw = Vec::new();
        for entry in list {
            let fd = entry.field("fd").ok_or("no fd")?.int()?;
            let live = self.fds.get(&fd).ok_or_else(|| format!("descriptor {fd} is not open"))?.live;
            raw.extend(live.to_le_bytes());
            raw.extend((entry.field("events").ok_or("no events")?.int()? as u16).to_le_bytes());
            raw.extend([0; 2]);
        }
        let len = raw.len();
        raw.extend([0; 16]);
        let at = self.machine.put(&raw);
        let done = self.machine.call(nr::PPOLL, [at, list.len() as u64, at + len as u64, 0, 0, 0]);
        let timeout = int(call, 2)?;
        let over = timeout >= 0 && self.world.now().since(p.since) >= Duration::from_millis(timeout as u64);
        if done == Ok(0) && !over {
            if timeout > 0 {
                // Somebody has to look again then.
                self.world.at(p.since + Duration::from_millis(timeout as u64), |_| {});
            }
            return Ok(None);
        }
        let mut back = vec![0; len];
        self.machine.memory.read(at, &mut back).map_err(|e| format!("{e:?}"))?;
        for (entry, raw) in list.iter().zip(back.chunks(8)) {
            let got = i64::from(u16::from_le_bytes([raw[6], raw[7]]));
            let wanted = entry.field("revents").map_or(Ok(got), Node::int)?;
            if got != wanted {
                return Err(format!("revents are {got:#x}, not {wanted:#x}"));
            }
        }
        Ok(Some(done.map(|n| n as i64)))
    }

    /// Does the answer agree with the script?
    pub(super) fn check(call: &Call, answer: Answer) -> Result<(), String> {
        let wanted = match (&call.result, &call.errno) {
            (Node::Dots, _) => return Ok(()),
            (Node::Int(-1), Some(name)) => Err(name.clone()),
            (node, _) => Ok(node.int()?),
        };
        let got = answer.map_err(|e| format!("{e:?}"));
        if got == wanted {
            Ok(())
        } else {
            Err(format!("the call answers {got:?}, not {wanted:?}"))
        }
    }
}
