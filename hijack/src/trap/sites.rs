//! Finds the system calls in a program text that can be replaced by a jump.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

/// A jump or a call needs this many bytes.
pub(super) const JUMP: usize = 5;
/// The most bytes that a site may have.
const MOST: usize = 16;
/// A function longer than this is decoded no further.
const LONGEST: usize = 1 << 15;
/// [`Cancellable::bridge`] is shorter than this.
const BRIDGE: usize = 64;

/// A run of instructions around one `syscall` that can be moved elsewhere.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// Address of its first byte.
    pub(super) at: usize,
    /// Its length in bytes.
    pub(super) len: usize,
    /// The instructions before `syscall`.
    pub(super) before: &'a [u8],
    /// The instructions after it.
    pub(super) after: &'a [u8],
    /// The number of the call; `None` if it is whatever `rax` is.
    pub(super) nr: Option<usize>,
}

/// How glibc makes the calls at which a thread can be cancelled, from version 2.41 on: one function makes them all, by a number that it is
/// given. As long as there is one thread it makes them itself; then it calls another one, in which the thread can be cancelled at
/// whatever instruction it is, up to `syscall`.
#[derive(Debug)]
pub(super) struct Cancellable<'a> {
    /// The call that it makes itself.
    pub(super) plain: Site<'a>,
    /// Address of its `call` of the other one, an instruction of [`JUMP`] bytes.
    pub(super) call: usize,
    /// Address of the other one: its arguments are the address of the flags, the number, and those of the system call.
    pub(super) bridge: usize,
}

/// The addresses at which functions start, in order, from `.eh_frame_hdr` at the address `at`. `None` if it is not of
/// the form that linkers write today (a table of 32-bit offsets from the header).
pub(super) fn functions(hdr: &[u8], at: usize) -> Option<Vec<usize>> {
    const UDATA4: u8 = 0x03;
    const DATAREL_SDATA4: u8 = 0x3b;
    let (&[version, frame_enc, count_enc, table_enc], rest) = hdr.split_first_chunk::<4>()?;
    if version != 1 || count_enc != UDATA4 || table_enc != DATAREL_SDATA4 || frame_enc & 0x0f != 0x0b {
        return None;
    }
    let (count, table) = rest.get(4..)?.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let starts: Vec<usize> = table
        .chunks_exact(8)
        .take(count)
        .map(|e| at.wrapping_add(i32::from_le_bytes([e[0], e[1], e[2], e[3]]) as isize as usize))
        .collect();
    (starts.len() == count && starts.windows(2).all(|w| w[0] <= w[1])).then_some(starts)
}

/// The sites in `text`, whose first byte is at the address `base`, of calls that are `wanted`.
pub(super) fn find<'a>(
    text: &'a [u8],
    base: usize,
    functions: &[usize],
    wanted: impl Fn(usize) -> bool,
) -> Vec<Site<'a>> {
    let mut found = Vec::new();
    let mut list = Vec::with_capacity(512);
    let mut targets = Vec::new();
    let mut from = 0;
    let syscall = memchr::memmem::Finder::new(b"\x0f\x05");
    while let Some(hit) = text.get(from..).and_then(|rest| syscall.find(rest)).map(|n| from + n) {
        let function = around(text, base, functions, hit).filter(|_| plausible(text, hit, &wanted));
        let Some((start, end)) = function else {
            from = hit + 1;
            continue;
        };
        decode(&text[start..end.min(start + LONGEST)], base + start, &mut list, &mut targets);
        for (i, insn) in list.iter().enumerate() {
            if insn.code() == Code::Syscall {
                if let Some(nr) = number(&list[..i]).filter(|nr| wanted(*nr)) {
                    found.extend(site(text, base, &list, i, &targets, Some(nr)));
                }
            }
        }
        from = end.max(hit + 1);
    }
    found
}

/// The function among `functions` that has the byte `text[at]`: where it begins and ends in `text`.
fn around(text: &[u8], base: usize, functions: &[usize], at: usize) -> Option<(usize, usize)> {
    let i = functions.partition_point(|f| *f <= base + at);
    let start = i.checked_sub(1).and_then(|i| functions[i].checked_sub(base))?;
    Some((start, functions.get(i).map_or(text.len(), |f| f.saturating_sub(base)).min(text.len())))
}

/// Finds what [`Cancellable`] describes. `None` if this libc has it not, or not in that form.
pub(super) fn cancellable<'a>(text: &'a [u8], base: usize, functions: &[usize]) -> Option<Cancellable<'a>> {
    let (mut list, mut targets) = (Vec::new(), Vec::new());
    let bridge = memchr::memmem::find_iter(text, b"\x0f\x05\xc3").find_map(|hit| {
        let (start, end) = around(text, base, functions, hit).filter(|(start, _)| hit - start < BRIDGE)?;
        decode(&text[start..end.min(start + BRIDGE)], base + start, &mut list, &mut targets);
        let i = list.iter().position(|insn| insn.code() == Code::Syscall)?;
        is_bridge(&list[..i]).then_some(base + start)
    })?;
    // The instruction that calls it: its last four bytes say how far away that is.
    let call = memchr::memchr_iter(0xe8, text).find(|at| {
        let distance = text.get(at + 1..at + JUMP).and_then(|d| d.try_into().ok()).map(i32::from_le_bytes);
        distance.is_some_and(|d| (base + at + JUMP).wrapping_add_signed(d as isize) == bridge)
    })?;
    let (start, end) = around(text, base, functions, call)?;
    decode(&text[start..end.min(start + LONGEST)], base + start, &mut list, &mut targets);
    list.iter().find(|insn| insn.ip() == (base + call) as u64 && insn.code() == Code::Call_rel32_64)?;
    let plain = list.iter().enumerate().find_map(|(i, insn)| {
        (insn.code() == Code::Syscall).then(|| site(text, base, &list, i, &targets, None)).flatten()
    })?;
    Some(Cancellable { plain, call: base + call, bridge })
}

/// Do these instructions, up to a `syscall`, pass on the number and six arguments of a system call, after one more that is not passed on?
fn is_bridge(before: &[Instruction]) -> bool {
    use Register::{R10, R8, R9, RAX, RCX, RDI, RDX, RSI};
    let moves = [(RAX, RSI), (RDI, RDX), (RSI, RCX), (RDX, R8), (R10, R9)];
    let mut passed =
        before.iter().filter(|insn| insn.mnemonic() == Mnemonic::Mov && insn.op0_kind() == OpKind::Register);
    let from_registers = |(to, from)| {
        passed
            .by_ref()
            .any(|insn| insn.op0_register() == to && insn.op1_kind() == OpKind::Register && insn.op1_register() == from)
    };
    if !moves.into_iter().all(from_registers) {
        return false;
    }
    [(R8, 8), (R9, 16)].into_iter().all(|(to, at)| {
        passed.by_ref().any(|insn| {
            insn.op0_register() == to
                && insn.op1_kind() == OpKind::Memory
                && insn.memory_base() == Register::RSP
                && insn.memory_displacement64() == at
        })
    })
}

/// Do the bytes before `hit` set `eax` to the number of a call that is wanted? A guess, which may say yes too often:
/// it saves decoding most functions.
fn plausible(text: &[u8], hit: usize, wanted: &impl Fn(usize) -> bool) -> bool {
    let before = &text[hit.saturating_sub(48)..hit];
    before.windows(5).any(|w| w[0] == 0xb8 && wanted(u32::from_le_bytes([w[1], w[2], w[3], w[4]]) as usize))
        || before.windows(2).any(|w| matches!(w, [0x31 | 0x33, 0xc0])) && wanted(0)
}

/// Decodes a function: its instructions, and the addresses that its branches go to.
fn decode(code: &[u8], at: usize, list: &mut Vec<Instruction>, targets: &mut Vec<u64>) {
    list.clear();
    targets.clear();
    let mut decoder = Decoder::with_ip(64, code, at as u64, DecoderOptions::NONE);
    while decoder.can_decode() {
        let insn = decoder.decode();
        if insn.is_invalid() {
            return;
        }
        if matches!(insn.op0_kind(), OpKind::NearBranch64) {
            targets.push(insn.near_branch_target());
        }
        list.push(insn);
    }
    targets.sort_unstable();
}

/// The value of `eax` after `before`, if the last few instructions, in a straight line, set it to a constant.
fn number(before: &[Instruction]) -> Option<usize> {
    for insn in before.iter().rev().take(12) {
        if insn.flow_control() != FlowControl::Next && insn.flow_control() != FlowControl::ConditionalBranch {
            return None;
        }
        let written = insn.op0_kind() == OpKind::Register && insn.op0_register().full_register() == Register::RAX;
        if !written || matches!(insn.mnemonic(), Mnemonic::Cmp | Mnemonic::Test) {
            continue;
        }
        return match insn.code() {
            Code::Mov_r32_imm32 | Code::Mov_rm32_imm32 => Some(insn.immediate32() as usize),
            Code::Xor_r32_rm32 | Code::Xor_rm32_r32
                if insn.op1_kind() == OpKind::Register && insn.op1_register() == Register::EAX =>
            {
                Some(0)
            }
            _ => None,
        };
    }
    None
}

/// Can it run elsewhere?
fn movable(insn: &Instruction) -> bool {
    insn.flow_control() == FlowControl::Next && !insn.is_ip_rel_memory_operand() && insn.code() != Code::Syscall
}

/// The site around `list[i]`, which is a `syscall`.
fn site<'a>(
    text: &'a [u8],
    base: usize,
    list: &[Instruction],
    i: usize,
    targets: &[u64],
    nr: Option<usize>,
) -> Option<Site<'a>> {
    let (mut first, mut last) = (i, i);
    let len = |first: usize, last: usize| (list[last].next_ip() - list[first].ip()) as usize;
    let entered = |at: u64| targets.binary_search(&at).is_ok();
    // An instruction that is jumped to may only be the first of a site.
    while len(first, last) < JUMP && first > 0 && !entered(list[first].ip()) && movable(&list[first - 1]) {
        first -= 1;
    }
    while len(first, last) < JUMP {
        let next = list.get(last + 1)?;
        if entered(next.ip()) || !movable(next) {
            return None;
        }
        last += 1;
    }
    if len(first, last) > MOST || (first + 1..=last).any(|k| entered(list[k].ip())) {
        return None;
    }
    let at = |ip: u64| ip as usize - base;
    Some(Site {
        at: list[first].ip() as usize,
        len: len(first, last),
        before: text.get(at(list[first].ip())..at(list[i].ip()))?,
        after: text.get(at(list[i].next_ip())..at(list[last].next_ip()))?,
        nr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_code(code: &[u8]) -> Vec<Site<'_>> {
        find(code, 0x1000, &[0x1000], |_| true)
    }

    #[test]
    fn a_plain_one() {
        // mov eax, 41; syscall; ret
        let code = [0xb8, 41, 0, 0, 0, 0x0f, 0x05, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90];
        let s = in_code(&code);
        assert_eq!((s.len(), s[0].at, s[0].len, s[0].nr), (1, 0x1000, 7, Some(41)));
        assert!(s[0].after.is_empty());
    }

    #[test]
    fn reads_take_the_comparison_along() {
        // call .; xor eax, eax; syscall; cmp rax, -4096; ret
        let code =
            [0xe8, 0, 0, 0, 0, 0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0xc3, 0x90, 0x90, 0x90, 0x90];
        let s = in_code(&code);
        assert_eq!((s.len(), s[0].at, s[0].len, s[0].nr), (1, 0x1005, 10, Some(0)));
        assert_eq!(s[0].after.len(), 6);
    }

    #[test]
    fn bytes_in_an_operand_are_left_alone() {
        // mov eax, 0x050f0029 ; mov ecx, 0x050f ; ret
        let code = [0xb8, 41, 0, 0x0f, 0x05, 0xb9, 0x0f, 0x05, 0, 0, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90];
        assert!(in_code(&code).is_empty());
    }

    #[test]
    fn one_that_is_jumped_into_is_left_alone() {
        // mov eax, 41; L: syscall; nop; jmp L
        let code = [0xb8, 41, 0, 0, 0, 0x0f, 0x05, 0x90, 0xeb, 0xfb, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90];
        let s = in_code(&code);
        assert!(s.is_empty(), "{s:?}");
    }

    /// A bridge at 0x1000 whose number is in `from`, and a function at 0x1040 that calls it.
    fn with_bridge(from: u8) -> Vec<u8> {
        // mov rax, rsi (or another); mov rdi, rdx; mov rsi, rcx; mov rdx, r8; mov r10, r9; mov r8, [rsp+8]; mov r9, [rsp+16]; syscall; ret
        let mut code = vec![0x48, 0x89, from, 0x48, 0x89, 0xd7, 0x48, 0x89, 0xce, 0x4c, 0x89, 0xc2, 0x4d, 0x89, 0xca];
        code.extend([0x4c, 0x8b, 0x44, 0x24, 8, 0x4c, 0x8b, 0x4c, 0x24, 16, 0x0f, 0x05, 0xc3]);
        code.resize(0x40, 0x90);
        // mov eax, 0xe8; call 0x1000; ret; L: mov rax, [rsp+16]; syscall; ret; jmp L
        code.extend([0xb8, 0xe8, 0, 0, 0, 0xe8, 0xb6, 0xff, 0xff, 0xff, 0xc3]);
        code.extend([0x48, 0x8b, 0x44, 0x24, 16, 0x0f, 0x05, 0xc3, 0xeb, 0xf6]);
        code
    }

    #[test]
    fn the_call_of_the_bridge_is_found() {
        let code = with_bridge(0xf0);
        let c = cancellable(&code, 0x1000, &[0x1000, 0x1040]).unwrap();
        assert_eq!((c.bridge, c.call), (0x1000, 0x1045));
        assert_eq!((c.plain.at, c.plain.len, c.plain.nr), (0x104b, 7, None));
        // A number that comes from elsewhere; and one that nobody calls.
        assert!(cancellable(&with_bridge(0xc8), 0x1000, &[0x1000, 0x1040]).is_none());
        assert!(cancellable(&code[..0x40], 0x1000, &[0x1000]).is_none());
    }
}
