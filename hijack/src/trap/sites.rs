//! Finds the system calls in a program text that can be replaced by a jump.

use super::decode::{eax_after, instruction, Eax, Flow, Insn};

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
            if insn.is_syscall {
                if let Some(nr) =
                    number(&list[..i], |insn| &text[insn.at - base..insn.end() - base]).filter(|nr| wanted(*nr))
                {
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

/// Decodes a function as far as it is known: its instructions, and the addresses that its branches go to.
fn decode(code: &[u8], at: usize, list: &mut Vec<Insn>, targets: &mut Vec<usize>) {
    list.clear();
    targets.clear();
    let mut from = 0;
    while let Some(insn) = code.get(from..).and_then(|rest| instruction(rest, at + from)) {
        targets.extend(insn.target);
        list.push(insn);
        from += insn.len;
    }
    targets.sort_unstable();
}

/// The value of `eax` after `before`, if the last few instructions, in a straight line, set it to a constant. `code`: their bytes.
fn number<'a>(before: &[Insn], code: impl Fn(&Insn) -> &'a [u8]) -> Option<usize> {
    for insn in before.iter().rev().take(12) {
        match (insn.flow, eax_after(code(insn))) {
            (Flow::Away, _) | (_, Eax::Unknown) => return None,
            (_, Eax::Set(nr)) => return Some(nr as usize),
            (_, Eax::Kept) => {}
        }
    }
    None
}

/// Can it run elsewhere?
fn movable(insn: &Insn) -> bool {
    insn.flow == Flow::Next && !insn.rip_relative
}

/// The site around `list[i]`, which is a `syscall`.
fn site<'a>(text: &'a [u8], base: usize, list: &[Insn], i: usize, targets: &[usize], nr: usize) -> Option<Site<'a>> {
    let (mut first, mut last) = (i, i);
    let len = |first: usize, last: usize| list[last].end() - list[first].at;
    let entered = |at: usize| targets.binary_search(&at).is_ok();
    // An instruction that is jumped to may only be the first of a site.
    while len(first, last) < JUMP && first > 0 && !entered(list[first].at) && movable(&list[first - 1]) {
        first -= 1;
    }
    while len(first, last) < JUMP {
        let next = list.get(last + 1)?;
        if entered(next.at) || !movable(next) {
            return None;
        }
        last += 1;
    }
    if len(first, last) > MOST || (first + 1..=last).any(|k| entered(list[k].at)) {
        return None;
    }
    let at = |address: usize| address - base;
    Some(Site {
        at: list[first].at,
        len: len(first, last),
        before: text.get(at(list[first].at)..at(list[i].at))?,
        after: text.get(at(list[i].end())..at(list[last].end()))?,
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

    /// Each function of this process's libc that has a system call is read as another decoder reads it.
    #[test]
    fn libc_is_read_as_others_read_it() {
        use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, OpKind, Register};
        let libc = super::super::find_libc().expect("there is a libc");
        // SAFETY: the loader says that these are mapped and readable, and nobody writes to them.
        let (text, hdr) = unsafe {
            (
                core::slice::from_raw_parts(libc.text.0 as *const u8, libc.text.1 - libc.text.0),
                core::slice::from_raw_parts(
                    libc.eh_frame_hdr.0 as *const u8,
                    libc.eh_frame_hdr.1 - libc.eh_frame_hdr.0,
                ),
            )
        };
        let functions = functions(hdr, libc.eh_frame_hdr.0).expect("a table");
        let (mut list, mut targets, mut seen, mut cut) = (Vec::new(), Vec::new(), 0, Vec::new());
        for pair in functions.windows(2) {
            let Some(code) = pair[0].checked_sub(libc.text.0).and_then(|at| text.get(at..pair[1] - libc.text.0)) else {
                continue;
            };
            if memchr::memmem::find(code, b"\x0f\x05").is_none() {
                continue;
            }
            decode(code, pair[0], &mut list, &mut targets);
            let mut other = Decoder::with_ip(64, code, pair[0] as u64, DecoderOptions::NONE);
            for insn in &list {
                let o = other.decode();
                assert!(!o.is_invalid(), "{insn:x?} is none");
                assert_eq!((insn.at, insn.len), (o.ip() as usize, o.len()), "{insn:x?} {o:?}");
                let branch = o.op0_kind() == OpKind::NearBranch64;
                assert_eq!(insn.target, branch.then(|| o.near_branch_target() as usize), "{insn:x?} {o:?}");
                assert_eq!(insn.rip_relative, o.is_ip_rel_memory_operand(), "{insn:x?} {o:?}");
                assert_eq!(insn.is_syscall, o.code() == Code::Syscall, "{insn:x?} {o:?}");
                let flow = match o.flow_control() {
                    FlowControl::Next => Flow::Next,
                    FlowControl::ConditionalBranch => Flow::Conditional,
                    _ => Flow::Away,
                };
                assert_eq!(insn.flow, flow, "{insn:x?} {o:?}");
                let names_eax = o.op0_kind() == OpKind::Register && o.op0_register().full_register() == Register::RAX;
                let own = &code[insn.at - pair[0]..insn.end() - pair[0]];
                if eax_after(own) == Eax::Kept && names_eax {
                    use iced_x86::Mnemonic::{Bt, Cmp, Push, Test};
                    assert!(matches!(o.mnemonic(), Cmp | Test | Push | Bt), "{insn:x?} {o:?}");
                }
                seen += 1;
            }
            let whole = list.last().is_some_and(|last| last.end() == pair[1]);
            if !whole {
                cut.push((pair[0] - libc.base, other.decode()));
            }
        }
        assert!(seen > 1000, "{seen} instructions");
        println!("{seen} instructions; cut: {cut:x?}");
        let found = find(text, libc.text.0, &functions, |nr| crate::route::KIND.get(nr).is_some_and(|k| *k != 0));
        assert!(super::super::missing(&found).is_empty(), "{found:x?}");
    }
}
