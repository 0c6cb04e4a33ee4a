//! Classic BPF: the filters of `SO_ATTACH_FILTER` (McCanne and Jacobson, 1993; `linux/filter.h`).
//!
//! A program is checked when it is attached: every jump goes forward and lands inside, every scratch word exists, and the
//! last instruction returns. So running one needs no bound on time, and loads outside the packet end it with 0.

use lkl_abi::{Errno, Result};

#[cfg(test)]
mod tests;

/// The longest program (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Words of scratch memory (`BPF_MEMWORDS`).
const SCRATCH: usize = 16;
/// Loads at this offset and above ask for something beside the packet (`SKF_AD_OFF`).
const ANCILLARY: u32 = 0xffff_f000;
/// Loads from here on are relative to the network header (`SKF_NET_OFF`).
const NET_OFF: u32 = 0xfff0_0000;
/// Loads from here on are relative to the link header (`SKF_LL_OFF`).
const LL_OFF: u32 = 0xffe0_0000;

/// One instruction (`struct sock_filter`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if true.
    pub jt: u8,
    /// Instructions to skip if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// What a filter can ask beside the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ancillary {
    /// EtherType.
    pub protocol: u16,
    /// `PACKET_*`
    pub pkttype: u8,
    /// Interface.
    pub ifindex: u32,
    /// `ARPHRD_*`
    pub hatype: u16,
    /// Mark.
    pub mark: u32,
    /// VLAN tag, if there is one.
    pub vlan: Option<u16>,
    /// Where the network header stands in the bytes.
    pub network_offset: usize,
    /// A random number.
    pub random: u32,
}

/// A program that was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Reads `struct sock_filter`s and checks them.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() % 8 != 0 {
            return Err(Errno::EINVAL);
        }
        let instruction = |b: &[u8]| Instruction {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        };
        Self::check(bytes.chunks_exact(8).map(instruction).collect())
    }

    /// Checks a program.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn check(program: Vec<Instruction>) -> Result<Self> {
        let n = program.len();
        let ok = (1..=MAX_INSTRUCTIONS).contains(&n)
            && program.iter().enumerate().all(|(i, ins)| known(ins) && lands(i, ins, n))
            && program.last().is_some_and(|ins| ins.code & 7 == 6)
            && scratch_is_written(&program);
        if ok {
            Ok(Self(program))
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// The instructions, as `SO_GET_FILTER` gives them.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Runs it on `packet`: how many bytes to keep, 0 for none.
    pub fn run(&self, packet: &[u8], extra: &Ancillary) -> u32 {
        let (mut a, mut x) = (0u32, 0u32);
        let mut scratch = [0u32; SCRATCH];
        let mut pc = 0usize;
        while let Some(ins) = self.0.get(pc) {
            pc += 1;
            let k = ins.k;
            match ins.code & 7 {
                0 | 1 => {
                    let value = match ins.code & 0xe0 {
                        0x00 => Some(k),
                        0x20 => load(packet, extra, k, ins.code & 0x18, a, x),
                        0x40 => load(packet, extra, x.wrapping_add(k), ins.code & 0x18, a, x),
                        0x60 => scratch.get(k as usize).copied(),
                        0x80 => Some(packet.len() as u32),
                        _ => packet.get(k as usize).map(|b| u32::from(b & 0xf) * 4),
                    };
                    let Some(value) = value else { return 0 };
                    if ins.code & 7 == 0 {
                        a = value;
                    } else {
                        x = value;
                    }
                }
                2 | 3 => {
                    if let Some(word) = scratch.get_mut(k as usize) {
                        *word = if ins.code & 7 == 2 { a } else { x };
                    }
                }
                4 => {
                    let operand = if ins.code & 8 != 0 { x } else { k };
                    match alu(ins.code & 0xf0, a, operand) {
                        Some(v) => a = v,
                        None => return 0,
                    }
                }
                5 => {
                    let operand = if ins.code & 8 != 0 { x } else { k };
                    let skip = match ins.code & 0xf0 {
                        0x00 => k as usize,
                        op => {
                            let hit = match op {
                                0x10 => a == operand,
                                0x20 => a > operand,
                                0x30 => a >= operand,
                                _ => a & operand != 0,
                            };
                            usize::from(if hit { ins.jt } else { ins.jf })
                        }
                    };
                    pc += skip;
                }
                6 => return if ins.code & 0x18 == 0x10 { a } else { k },
                _ if ins.code & 0xf8 == 0 => x = a,
                _ => a = x,
            }
        }
        0
    }
}

fn alu(op: u16, a: u32, b: u32) -> Option<u32> {
    Some(match op {
        0x00 => a.wrapping_add(b),
        0x10 => a.wrapping_sub(b),
        0x20 => a.wrapping_mul(b),
        0x30 => a.checked_div(b)?,
        0x40 => a | b,
        0x50 => a & b,
        0x60 => a.checked_shl(b).unwrap_or(0),
        0x70 => a.checked_shr(b).unwrap_or(0),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(b)?,
        _ => a ^ b,
    })
}

fn load(packet: &[u8], extra: &Ancillary, k: u32, size: u16, a: u32, x: u32) -> Option<u32> {
    if k >= ANCILLARY {
        return match k - ANCILLARY {
            0 => Some(u32::from(extra.protocol)),
            4 => Some(u32::from(extra.pkttype)),
            8 => Some(extra.ifindex),
            12 => netlink_attribute(packet, a, x),
            20 => Some(extra.mark),
            28 => Some(u32::from(extra.hatype)),
            // Payload offset: the network header is as far as is known.
            52 => Some(extra.network_offset as u32),
            44 => Some(u32::from(extra.vlan.unwrap_or(0))),
            48 => Some(u32::from(extra.vlan.is_some())),
            56 => Some(extra.random),
            60 => Some(0x8100),
            // Receive queue, hash and CPU: there is one of each.
            24 | 32 | 36 => Some(0),
            _ => None,
        };
    }
    let at = if k >= NET_OFF {
        extra.network_offset.checked_add((k - NET_OFF) as usize)?
    } else if k >= LL_OFF {
        (k - LL_OFF) as usize
    } else {
        k as usize
    };
    match size {
        0x00 => crate::wire::be32(packet, at),
        0x08 => crate::wire::be16(packet, at).map(u32::from),
        _ => packet.get(at).copied().map(u32::from),
    }
}

/// `SKF_AD_NLATTR`: the offset of the netlink attribute of type `x` at or behind offset `a`; 0 if there is none.
fn netlink_attribute(packet: &[u8], a: u32, x: u32) -> Option<u32> {
    let mut at = a as usize;
    loop {
        let Some(head) = packet.get(at..at.checked_add(4)?) else { return Some(0) };
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        if u32::from(u16::from_ne_bytes([head[2], head[3]]) & 0x3fff) == x {
            return u32::try_from(at).ok();
        }
        if len < 4 {
            return Some(0);
        }
        at = at.checked_add((len + 3) & !3)?;
    }
}

/// Is it an instruction, with an operand that makes sense?
fn known(ins: &Instruction) -> bool {
    match ins.code {
        // Loads; those beside the packet are checked when they run.
        0x00 | 0x01 | 0x20 | 0x28 | 0x30 | 0x40 | 0x48 | 0x50 | 0x80 | 0x81 | 0xb1 => true,
        0x60 | 0x61 | 0x02 | 0x03 => (ins.k as usize) < SCRATCH,
        0x34 | 0x94 => ins.k != 0,
        0x64 | 0x74 => ins.k < 32,
        0x04 | 0x14 | 0x24 | 0x44 | 0x54 | 0xa4 | 0x84 => true,
        0x0c | 0x1c | 0x2c | 0x3c | 0x4c | 0x5c | 0x6c | 0x7c | 0x9c | 0xac => true,
        0x05 | 0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => true,
        0x06 | 0x16 | 0x07 | 0x87 => true,
        _ => false,
    }
}

/// Do its jumps land inside the program of `n` instructions?
fn lands(i: usize, ins: &Instruction, n: usize) -> bool {
    match ins.code & 7 {
        5 if ins.code & 0xf0 == 0 => (ins.k as usize) < n - i - 1,
        5 => i + 1 + usize::from(ins.jt.max(ins.jf)) < n,
        _ => true,
    }
}

/// Is each scratch word written on every way before it is read?
fn scratch_is_written(program: &[Instruction]) -> bool {
    // The words that are written on all ways that lead to each instruction.
    let mut written = vec![u16::MAX; program.len()];
    let mut now = 0u16;
    for (i, ins) in program.iter().enumerate() {
        now &= written[i];
        let mut meet = |at: usize, now: u16| {
            if let Some(w) = written.get_mut(at) {
                *w &= now;
            }
        };
        match ins.code {
            0x02 | 0x03 => now |= 1 << ins.k,
            0x60 | 0x61 if now & (1 << ins.k) == 0 => return false,
            0x05 => {
                meet(i + 1 + ins.k as usize, now);
                now = u16::MAX;
            }
            c if c & 7 == 5 => {
                meet(i + 1 + usize::from(ins.jt), now);
                meet(i + 1 + usize::from(ins.jf), now);
                now = u16::MAX;
            }
            _ => {}
        }
    }
    true
}
