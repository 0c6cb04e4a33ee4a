//! Finds the system calls in a program text that can be replaced by a jump.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

/// A jump needs this many bytes.
const JUMP: usize = 5;
/// The most bytes that a site may have.
const MOST: usize = 16;
/// A function longer than this is decoded no further.
const LONGEST: usize = 1 << 15;

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
    /// The number of the call.
    pub(super) nr: usize,
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
        let pc = base + hit;
        let i = functions.partition_point(|f| *f <= pc);
        let end = functions.get(i).map_or(text.len(), |f| f.saturating_sub(base)).min(text.len());
        let start = i.checked_sub(1).and_then(|i| functions[i].checked_sub(base));
        let Some(start) = start.filter(|_| plausible(text, hit, &wanted)) else {
            from = hit + 1;
            continue;
        };
        decode(&text[start..end.min(start + LONGEST)], base + start, &mut list, &mut targets);
        for (i, insn) in list.iter().enumerate() {
            if insn.code() == Code::Syscall {
                if let Some(nr) = number(&list[..i]).filter(|nr| wanted(*nr)) {
                    found.extend(site(text, base, &list, i, &targets, nr));
                }
            }
        }
        from = end.max(hit + 1);
    }
    found
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
    nr: usize,
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
        assert_eq!((s.len(), s[0].at, s[0].len, s[0].nr), (1, 0x1000, 7, 41));
        assert!(s[0].after.is_empty());
    }

    #[test]
    fn reads_take_the_comparison_along() {
        // call .; xor eax, eax; syscall; cmp rax, -4096; ret
        let code =
            [0xe8, 0, 0, 0, 0, 0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0xc3, 0x90, 0x90, 0x90, 0x90];
        let s = in_code(&code);
        assert_eq!((s.len(), s[0].at, s[0].len, s[0].nr), (1, 0x1005, 10, 0));
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
}
