//! Reads the instructions of x86-64: where each one ends, where it goes on, and what it does to `eax`. As much as is needed to move a
//! few of them elsewhere, of as many as compilers make libc's functions of: what is not known ends a function, as does AVX.
//!
//! Intel, "Software Developer's Manual", volume 2, chapter 2 (formats) and appendix A (maps of opcodes).

/// Where a program goes on after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// With the next one.
    Next,
    /// There, or at a target.
    Conditional,
    /// Elsewhere: a jump, a call, a return, a trap.
    Away,
}

/// What becomes of `eax`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Eax {
    Kept,
    Set(u32),
    /// Something else, perhaps.
    Unknown,
}

/// An instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Insn {
    /// Address of its first byte.
    pub(super) at: usize,
    /// Its length in bytes.
    pub(super) len: usize,
    pub(super) flow: Flow,
    /// Where it jumps to, if it says so itself.
    pub(super) target: Option<usize>,
    pub(super) is_syscall: bool,
    /// Its operand depends on its place.
    pub(super) rip_relative: bool,
}

impl Insn {
    /// Address of the next one.
    pub(super) const fn end(&self) -> usize {
        self.at + self.len
    }
}

/// How an opcode is followed, and what is special about it.
type Form = u16;

/// A part of an instruction that is a number: nothing, one byte, two bytes, three (`enter`), four or with the prefix for 16 bits two, eight
/// with REX.W and else as before, an address.
const NOTHING: Form = 0;
const BYTE: Form = 1;
const WORD: Form = 2;
const ENTER: Form = 3;
const FULL: Form = 4;
const WIDE: Form = 5;
const ADDRESS: Form = 6;
/// The bits of those.
const NUMBER: Form = 7;
/// A ModRM byte follows.
const MODRM: Form = 8;
/// Not known, or not in 64-bit mode.
const UNKNOWN: Form = 0x10;
/// The number is where it jumps to.
const BRANCH: Form = 0x20;
/// [`Flow::Conditional`]
const CONDITIONAL: Form = 0x40;
/// [`Flow::Away`]
const AWAY: Form = 0x80;
/// A field of the ModRM byte says more.
const GROUP: Form = 0x100;

/// The opcodes of one byte.
const fn one_byte(op: u8) -> Form {
    match op {
        0x00..=0x3f => match op & 7 {
            0..=3 => MODRM,
            4 => BYTE,
            5 => FULL,
            _ => UNKNOWN,
        },
        0x50..=0x5f | 0x6c..=0x6f | 0x90..=0x99 | 0x9b..=0x9f | 0xa4..=0xa7 | 0xaa..=0xaf => NOTHING,
        0x63 | 0x84..=0x8e | 0xd0..=0xd3 | 0xd8..=0xdf => MODRM,
        0x8f | 0xf6 | 0xf7 | 0xfe | 0xff => MODRM | GROUP,
        0x68 | 0xa9 => FULL,
        0x69 | 0x81 => MODRM | FULL,
        0xc7 => MODRM | FULL | GROUP,
        0x70..=0x7f | 0xe0..=0xe3 => BYTE | BRANCH | CONDITIONAL,
        0xeb => BYTE | BRANCH | AWAY,
        0x6a | 0xa8 | 0xb0..=0xb7 | 0xe4..=0xe7 => BYTE,
        0xcd => BYTE | AWAY,
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 => MODRM | BYTE,
        0xc6 => MODRM | BYTE | GROUP,
        0xa0..=0xa3 => ADDRESS,
        0xb8..=0xbf => WIDE,
        0xc2 | 0xca => WORD | AWAY,
        0xc8 => ENTER,
        0xe8 | 0xe9 => FULL | BRANCH | AWAY,
        0xc3 | 0xcb | 0xcc | 0xcf | 0xf1 => AWAY,
        0xc9 | 0xd7 | 0xec..=0xef | 0xf4 | 0xf5 | 0xf8..=0xfd => NOTHING,
        _ => UNKNOWN,
    }
}

/// Those that follow 0F.
const fn two_bytes(op: u8) -> Form {
    match op {
        0x05 | 0x07 | 0x0b | 0x34 | 0x35 => AWAY,
        0x06 | 0x08 | 0x09 | 0x30..=0x33 | 0x36 | 0x37 | 0x77 | 0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf => NOTHING,
        0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => MODRM | BYTE,
        0x80..=0x8f => FULL | BRANCH | CONDITIONAL,
        0x04 | 0x0a | 0x0c | 0x0e | 0x0f | 0x24..=0x27 | 0x39 | 0x3b..=0x3f | 0xa6 | 0xa7 => UNKNOWN,
        // Followed by a third byte, and then these.
        0x3a => MODRM | BYTE,
        _ => MODRM,
    }
}

const fn table(of_two: bool) -> [Form; 256] {
    let mut forms = [UNKNOWN; 256];
    let mut op = 0;
    while op < 256 {
        forms[op] = if of_two { two_bytes(op as u8) } else { one_byte(op as u8) };
        op += 1;
    }
    forms
}

static ONE_BYTE: [Form; 256] = table(false);
static TWO_BYTES: [Form; 256] = table(true);

/// The start of an instruction: what is before the opcode, and the opcode.
#[derive(Clone, Copy, Default)]
struct Start {
    word: bool,
    short_address: bool,
    rex: u8,
    /// After 0F.
    two: bool,
    /// After 0F 38 or 0F 3A, which is then `op`.
    three: bool,
    op: u8,
    /// Bytes until here.
    len: usize,
}

impl Start {
    fn read(code: &[u8]) -> Option<Self> {
        let mut s = Self::default();
        loop {
            s.op = *code.get(s.len)?;
            s.len += 1;
            match s.op {
                0x66 => s.word = true,
                0x67 => s.short_address = true,
                0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf0 | 0xf2 | 0xf3 => {}
                _ => break,
            }
        }
        if s.op & 0xf0 == 0x40 {
            s.rex = s.op;
            s.op = *code.get(s.len)?;
            s.len += 1;
        }
        s.two = s.op == 0x0f;
        if s.two {
            s.op = *code.get(s.len)?;
            s.len += 1;
            s.three = matches!(s.op, 0x38 | 0x3a);
            s.len += usize::from(s.three);
        }
        Some(s)
    }

    /// REX.W
    const fn wide(&self) -> bool {
        self.rex & 8 != 0
    }

    /// Its operands have 16 bits.
    const fn narrow(&self) -> bool {
        self.word && !self.wide()
    }
}

/// Reads the instruction at the start of `code`, whose address is `at`. `None` if it is not known, or not all there.
pub(super) fn instruction(code: &[u8], at: usize) -> Option<Insn> {
    let s = Start::read(code)?;
    let form = if s.two { TWO_BYTES[usize::from(s.op)] } else { ONE_BYTE[usize::from(s.op)] };
    if form & UNKNOWN != 0 {
        return None;
    }
    let (mut n, mut number, mut away) = (s.len, form & NUMBER, form & AWAY != 0);
    let mut rip_relative = false;
    if form & MODRM != 0 {
        let modrm = *code.get(n)?;
        n += 1;
        let (mode, rm) = (modrm >> 6, modrm & 7);
        // Moves to and from control registers take every mode for that of registers.
        if mode != 3 && !(s.two && matches!(s.op, 0x20..=0x23)) {
            let mut base = rm;
            if rm == 4 {
                base = *code.get(n)? & 7;
                n += 1;
            }
            rip_relative = mode == 0 && rm == 5;
            n += match mode {
                0 if base == 5 => 4,
                0 => 0,
                1 => 1,
                _ => 4,
            };
        }
        if form & GROUP != 0 {
            match (s.op, modrm >> 3 & 7) {
                (0xf6, 0 | 1) => number = BYTE,
                (0xf7, 0 | 1) => number = FULL,
                // XOP, transactions, and what is none.
                (0x8f | 0xc6 | 0xc7, 1..) | (0xfe, 2..) | (0xff, 7) => return None,
                (0xff, 2..=5) => away = true,
                _ => {}
            }
        }
    }
    let width = match number {
        NOTHING => 0,
        BYTE => 1,
        WORD => 2,
        ENTER => 3,
        ADDRESS if s.short_address => 4,
        ADDRESS => 8,
        WIDE if s.wide() => 8,
        _ if s.narrow() => 2,
        _ => 4,
    };
    let operand = code.get(n..n + width)?;
    let len = n + width;
    if len > 15 {
        return None;
    }
    let mut target = None;
    if form & BRANCH != 0 {
        // With the prefix for 16 bits, processors differ.
        let distance = match *operand {
            _ if s.word => return None,
            [a] => isize::from(a as i8),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]) as isize,
            _ => return None,
        };
        target = Some((at + len).wrapping_add_signed(distance));
    }
    let flow = match away {
        true => Flow::Away,
        false if form & CONDITIONAL != 0 => Flow::Conditional,
        false => Flow::Next,
    };
    Some(Insn { at, len, flow, target, is_syscall: s.two && s.op == 0x05, rip_relative })
}

/// What becomes of `eax` by the instruction that `code` is. Not to know is always right.
pub(super) fn eax_after(code: &[u8]) -> Eax {
    let Some(p) = Start::read(code).filter(|s| !s.three) else { return Eax::Unknown };
    let form = if p.two { TWO_BYTES[usize::from(p.op)] } else { ONE_BYTE[usize::from(p.op)] };
    let modrm = code.get(p.len).copied().filter(|_| form & MODRM != 0);
    // The registers that a ModRM byte names; memory is none.
    let reg = modrm.is_some_and(|m| m >> 3 & 7 == 0 && p.rex & 4 == 0);
    let rm = modrm.is_some_and(|m| m & 0xc7 == 0xc0 && p.rex & 1 == 0);
    // AH is named by four, where there is no REX.
    let high = |field: u8| field == 4 && p.rex == 0;
    let high_reg = modrm.is_some_and(|m| high(m >> 3 & 7));
    let high_rm = modrm.is_some_and(|m| m >= 0xc0 && high(m & 7));
    let low = p.rex & 1 == 0;
    let unless = |written: bool| if written { Eax::Unknown } else { Eax::Kept };
    let set = || code.last_chunk().map_or(Eax::Unknown, |number| Eax::Set(u32::from_le_bytes(*number)));
    let op = p.op;
    match (p.two, op) {
        (false, 0xb8) if low && !p.word && !p.wide() => set(),
        (false, 0xc7) if rm && !p.word && !p.wide() => set(),
        (false, 0x31 | 0x33) if modrm == Some(0xc0) && p.rex & 5 == 0 && !p.narrow() => Eax::Set(0),
        // Comparisons write nothing.
        (false, 0x38..=0x3d | 0x84 | 0x85 | 0xa8 | 0xa9) | (true, 0xa3) => Eax::Kept,
        (false, 0x80..=0x83) if modrm.is_some_and(|m| m >> 3 & 7 == 7) => Eax::Kept,
        (false, 0xf6 | 0xf7) if modrm.is_some_and(|m| m >> 3 & 7 < 2) => Eax::Kept,
        (false, 0x00..=0x3f) => match op & 7 {
            0 | 1 => unless(rm || op & 1 == 0 && high_rm),
            2 | 3 => unless(reg || op & 1 == 0 && high_reg),
            _ => Eax::Unknown,
        },
        (false, 0x50..=0x57 | 0x68 | 0x6a | 0x70..=0x7f | 0xe0..=0xe3) | (true, 0x80..=0x8f | 0x1f) => Eax::Kept,
        (false, 0x58..=0x5f | 0xb8..=0xbf) => unless(op & 7 == 0 && low),
        (false, 0x90) if low => Eax::Kept,
        (false, 0x91..=0x97) => Eax::Unknown,
        (false, 0xb0..=0xb7) => unless(op & 7 == 0 && low || high(op & 7)),
        (false, 0x63 | 0x69 | 0x6b | 0x8b | 0x8d) => unless(reg),
        (false, 0x81 | 0x83 | 0x89 | 0xc1 | 0xc7 | 0xd1 | 0xd3 | 0xff) => unless(rm),
        (false, 0x80 | 0x88 | 0xc0 | 0xc6 | 0xd0 | 0xd2 | 0xfe) => unless(rm || high_rm),
        (false, 0x8a) => unless(reg || high_reg),
        (false, 0x86 | 0x87) => unless(rm || reg || high_rm || high_reg),
        (true, 0x40..=0x4f | 0xaf | 0xb6 | 0xb7 | 0xbc..=0xbf) => unless(reg),
        (true, 0x90..=0x9f) => unless(rm || high_rm),
        // Between memory and the registers of SSE.
        (true, 0x10 | 0x11 | 0x28 | 0x29 | 0x57 | 0x6e | 0x6f | 0x7f | 0xd6 | 0xef) => Eax::Kept,
        _ => Eax::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(code: &[u8]) -> Insn {
        let insn = instruction(code, 0x1000).expect("known");
        assert_eq!(insn.len, code.len(), "{code:x?}");
        insn
    }

    #[test]
    fn what_becomes_of_eax() {
        let cases: &[(&[u8], Eax)] = &[
            (&[0xb8, 41, 0, 0, 0], Eax::Set(41)),                     // mov eax, 41
            (&[0x41, 0xb8, 41, 0, 0, 0], Eax::Kept),                  // mov r8d, 41
            (&[0x48, 0xb8, 1, 0, 0, 0, 0, 0, 0, 0], Eax::Unknown),    // mov rax, 1
            (&[0xc7, 0xc0, 3, 0, 0, 0], Eax::Set(3)),                 // mov eax, 3
            (&[0x31, 0xc0], Eax::Set(0)),                             // xor eax, eax
            (&[0x45, 0x31, 0xc0], Eax::Kept),                         // xor r8d, r8d
            (&[0x31, 0xc9], Eax::Kept),                               // xor ecx, ecx
            (&[0x89, 0xc8], Eax::Unknown),                            // mov eax, ecx
            (&[0x89, 0xc1], Eax::Kept),                               // mov ecx, eax
            (&[0x4c, 0x89, 0xc0], Eax::Unknown),                      // mov rax, r8
            (&[0x49, 0x89, 0xc0], Eax::Kept),                         // mov r8, rax
            (&[0xb4, 1], Eax::Unknown),                               // mov ah, 1
            (&[0x40, 0xb4, 1], Eax::Kept),                            // mov spl, 1
            (&[0x91], Eax::Unknown),                                  // xchg eax, ecx
            (&[0x48, 0x3d, 0, 0xf0, 0xff, 0xff], Eax::Kept),          // cmp rax, -4096
            (&[0x85, 0xc0], Eax::Kept),                               // test eax, eax
            (&[0x0f, 0xb6, 0x06], Eax::Unknown),                      // movzx eax, byte ptr [rsi]
            (&[0x64, 0x8b, 0x04, 0x25, 0x18, 0, 0, 0], Eax::Unknown), // mov eax, fs:[0x18]
            (&[0x0f, 0xa2], Eax::Unknown),                            // cpuid
        ];
        for (code, eax) in cases {
            one(code);
            assert_eq!(eax_after(code), *eax, "{code:x?}");
        }
    }

    #[test]
    fn where_it_goes_on() {
        let insn = one(&[0x75, 0xfe]);
        assert_eq!((insn.flow, insn.target), (Flow::Conditional, Some(0x1000)));
        let insn = one(&[0x0f, 0x84, 0x10, 0, 0, 0]);
        assert_eq!((insn.flow, insn.target), (Flow::Conditional, Some(0x1016)));
        let insn = one(&[0xe8, 0, 0, 0, 0]);
        assert_eq!((insn.flow, insn.target), (Flow::Away, Some(0x1005)));
        assert_eq!(one(&[0xc3]).flow, Flow::Away);
        assert_eq!(one(&[0xff, 0x25, 2, 0, 0, 0]).flow, Flow::Away);
        assert!(one(&[0x0f, 0x05]).is_syscall);
        assert!(one(&[0x48, 0x8d, 0x3d, 1, 0, 0, 0]).rip_relative);
        assert!(!one(&[0x48, 0x8d, 0x3c, 0x25, 1, 0, 0, 0]).rip_relative);
    }

    #[test]
    fn what_is_not_known_or_not_all_there() {
        // vmovdqu, endbr64 without its last byte, a jump that is cut.
        for code in [&[0xc5u8, 0xfe, 0x6f, 0x06][..], &[0xf3, 0x0f, 0x1e], &[0xe9, 0, 0, 0], &[0x06], &[]] {
            assert!(instruction(code, 0).is_none(), "{code:x?}");
        }
        assert!(instruction(&[0x66; 20], 0).is_none());
    }
}
