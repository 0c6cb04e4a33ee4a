//! The second net: libc's own system calls.
//!
//! No call inside `libc.so.6` goes through a symbol, so `getaddrinfo`'s sockets, `fopen`'s `openat` and stdio's `read`
//! are not seen by the hooks. Here the `syscall` instructions of libc that matter are replaced, in memory, by jumps to
//! stubs near it, which ask [`crate::route`] and make the system call themselves if it is the host's.
//!
//! A site is a run of whole instructions around one `syscall`, at least five bytes long, that can be moved: none
//! depends on its place, and nothing jumps into its middle. They are found by decoding, from its first
//! instruction, each function that contains the bytes of a `syscall`; functions are those of `.eh_frame_hdr`.
//! Bytes that merely look like a system call (an immediate operand, say) are never touched.
//!
//! A stub is: the instructions before; step over the red zone; call [`lkl_hijack_trap`]; step back; the instructions
//! after; jump back. `lkl_hijack_trap` keeps all registers but those that `syscall` itself spoils.
//!
//! From glibc 2.41 on, calls at which a thread can be cancelled are made by one function ([`sites::Cancellable`]). In a process with threads it
//! calls another one, which must run as it is, in its place: the signal that cancels a thread looks where in it the thread is. That `call` is made
//! to go to [`lkl_hijack_cancellable`] instead, which goes on there when the call is the host's.
//!
//! `LKL_HIJACK_LIBC_PATCH=0` switches it off. What of an unknown libc, or of one that someone else has patched, is not
//! covered is said on stderr.

mod sites;

use crate::fds;
use crate::hooks::{self, cancel};
use crate::route;
use crate::sys::{self, host, Args};
use core::arch::{asm, global_asm};
use core::ffi::{c_int, c_void};
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering};
use lkl_abi::{Errno, Result};
use sites::{Site, JUMP};

global_asm!(
    ".pushsection .text.lkl_hijack_trap, \"ax\", @progbits",
    ".hidden lkl_hijack_trap",
    ".globl lkl_hijack_trap",
    ".p2align 4",
    ".type lkl_hijack_trap, @function",
    "lkl_hijack_trap:",
    ".cfi_startproc",
    // Is it a call that can be ours, and is its descriptor?
    "cmp rax, {kinds}",
    "jae 2f",
    "lea r11, [rip + {kind}]",
    "movzx r11d, byte ptr [r11 + rax]",
    "test r11d, r11d",
    "jz 2f",
    "cmp r11d, 1",
    "jne 3f",
    "mov r11, qword ptr [rip + {table}]",
    "test r11, r11",
    "jz 2f",
    "mov ecx, edi",
    "cmp ecx, {limit}",
    "jae 2f",
    "cmp byte ptr [r11 + rcx], 0",
    "jne 3f",
    // The host's. Made here, in a frame without clean-up: a cancelled thread unwinds from this very instruction. Whoever watches the
    // process from outside (tests/programs/leaks.c) knows by it, and by the bytes that follow, that the call is not the library's own.
    ".globl lkl_hijack_pass",
    ".hidden lkl_hijack_pass",
    "lkl_hijack_pass:",
    "2:",
    "syscall",
    "ret",
    "3:",
    "push rbp",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset rbp, 0",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "push rax",
    "push r9",
    "push r8",
    "push r10",
    "push rdx",
    "push rsi",
    "push rdi",
    "mov rdi, rsp",
    "sub rsp, 264",
    "and rsp, -16",
    "movups [rsp], xmm0",
    "movups [rsp + 16], xmm1",
    "movups [rsp + 32], xmm2",
    "movups [rsp + 48], xmm3",
    "movups [rsp + 64], xmm4",
    "movups [rsp + 80], xmm5",
    "movups [rsp + 96], xmm6",
    "movups [rsp + 112], xmm7",
    "movups [rsp + 128], xmm8",
    "movups [rsp + 144], xmm9",
    "movups [rsp + 160], xmm10",
    "movups [rsp + 176], xmm11",
    "movups [rsp + 192], xmm12",
    "movups [rsp + 208], xmm13",
    "movups [rsp + 224], xmm14",
    "movups [rsp + 240], xmm15",
    "cld",
    "call {decide}",
    "mov ecx, eax",
    "movups xmm0, [rsp]",
    "movups xmm1, [rsp + 16]",
    "movups xmm2, [rsp + 32]",
    "movups xmm3, [rsp + 48]",
    "movups xmm4, [rsp + 64]",
    "movups xmm5, [rsp + 80]",
    "movups xmm6, [rsp + 96]",
    "movups xmm7, [rsp + 112]",
    "movups xmm8, [rsp + 128]",
    "movups xmm9, [rsp + 144]",
    "movups xmm10, [rsp + 160]",
    "movups xmm11, [rsp + 176]",
    "movups xmm12, [rsp + 192]",
    "movups xmm13, [rsp + 208]",
    "movups xmm14, [rsp + 224]",
    "movups xmm15, [rsp + 240]",
    "lea rsp, [rbp - 56]",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop r10",
    "pop r8",
    "pop r9",
    "pop rax",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    ".cfi_restore rbp",
    "test ecx, ecx",
    "jz 2b",
    "ret",
    ".cfi_endproc",
    ".size lkl_hijack_trap, . - lkl_hijack_trap",
    ".popsection",
    kinds = const route::KINDS,
    kind = sym route::KIND,
    table = sym fds::TABLE,
    limit = const fds::LIMIT,
    decide = sym decide,
);

// A function like the one that it stands for: flags, number, six arguments, of which the last two are on the stack.
global_asm!(
    ".pushsection .text.lkl_hijack_cancellable, \"ax\", @progbits",
    ".hidden lkl_hijack_cancellable",
    ".globl lkl_hijack_cancellable",
    ".p2align 4",
    ".type lkl_hijack_cancellable, @function",
    "lkl_hijack_cancellable:",
    ".cfi_startproc",
    // As above.
    "cmp rsi, {kinds}",
    "jae 2f",
    "lea r11, [rip + {kind}]",
    "movzx r11d, byte ptr [r11 + rsi]",
    "test r11d, r11d",
    "jz 2f",
    "cmp r11d, 1",
    "jne 3f",
    "mov r11, qword ptr [rip + {table}]",
    "test r11, r11",
    "jz 2f",
    "mov eax, edx",
    "cmp eax, {limit}",
    "jae 2f",
    "cmp byte ptr [r11 + rax], 0",
    "jne 3f",
    "2:",
    "jmp qword ptr [rip + {bridge}]",
    "3:",
    "push rbp",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset rbp, 0",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "push rdi",
    // `Saved`, from its end.
    "push rsi",
    "push qword ptr [rbp + 24]",
    "push qword ptr [rbp + 16]",
    "push r9",
    "push r8",
    "push rcx",
    "push rdx",
    "mov rdi, rsp",
    "call {decide}",
    "pop rdx",
    "pop rcx",
    "pop r8",
    "pop r9",
    "lea rsp, [rsp + 16]",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    ".cfi_restore rbp",
    "test eax, eax",
    "jz 2b",
    "mov rax, rsi",
    "ret",
    ".cfi_endproc",
    ".size lkl_hijack_cancellable, . - lkl_hijack_cancellable",
    ".popsection",
    kinds = const route::KINDS,
    kind = sym route::KIND,
    table = sym fds::TABLE,
    limit = const fds::LIMIT,
    decide = sym decide,
    bridge = sym BRIDGE,
);

/// [`sites::Cancellable::bridge`]
static BRIDGE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn lkl_hijack_trap();
    fn lkl_hijack_pass();
    fn lkl_hijack_cancellable();
}

/// Makes a call of the program's, which is the host's, as it is.
///
/// # Safety
/// As [`sys::raw`].
pub(crate) unsafe fn pass(nr: usize, a: &Args) -> isize {
    let ret: isize;
    // SAFETY: as `sys::raw`; the instruction is in a function of its own, which touches nothing else.
    unsafe {
        asm!(
            "call {pass}",
            pass = sym lkl_hijack_pass,
            inlateout("rax") nr as isize => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
        );
    }
    ret
}

/// What the caller of [`decide`] has saved. The field `nr` takes the answer.
#[repr(C)]
struct Saved {
    args: [u64; 6],
    nr: u64,
}

/// Answers 1 if the call was ours, with its answer in `nr`; 0 if it is still to be made.
unsafe extern "C-unwind" fn decide(saved: *mut Saved) -> u32 {
    // SAFETY: the caller passes the address of what it has just pushed.
    let saved = unsafe { &mut *saved };
    // A cancellation point of libc's lets the thread be cancelled at any instruction now; not in the kernel, please.
    let kind = cancel::set_type(cancel::DEFERRED);
    // SAFETY: a program's own system call, with the program's arguments.
    let answer = unsafe { route::dispatch(saved.nr as usize, &saved.args) };
    if kind != cancel::DEFERRED {
        cancel::set_type(kind);
    }
    match answer {
        Some(ret) => {
            saved.nr = ret as u64;
            1
        }
        None => 0,
    }
}

/// Where libc is.
#[derive(Default)]
struct Libc {
    base: usize,
    text: (usize, usize),
    eh_frame_hdr: (usize, usize),
}

/// Finds libc among the loaded objects.
fn find_libc() -> Option<Libc> {
    unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
        // SAFETY: the loader passes a valid description, and `data` is the `Libc` below.
        let (info, found) = unsafe { (&*info, &mut *data.cast::<Libc>()) };
        if info.dlpi_name.is_null() {
            return 0;
        }
        // SAFETY: a C string.
        let name = unsafe { core::ffi::CStr::from_ptr(info.dlpi_name) }.to_bytes();
        if !name.ends_with(b"/libc.so.6") {
            return 0;
        }
        found.base = info.dlpi_addr as usize;
        // SAFETY: the loader's table of program headers.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        for h in headers {
            let start = found.base + h.p_vaddr as usize;
            let range = (start, start + h.p_memsz as usize);
            match h.p_type {
                libc::PT_LOAD if h.p_flags & libc::PF_X != 0 => found.text = range,
                libc::PT_GNU_EH_FRAME => found.eh_frame_hdr = range,
                _ => {}
            }
        }
        1
    }
    let mut found = Libc::default();
    // SAFETY: the callback fits the data.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut found).cast()) };
    (found.text.0 != 0 && found.eh_frame_hdr.0 != 0).then_some(found)
}

/// `include/uapi/asm-generic/mman-common.h`
const MADV_POPULATE_READ: usize = 22;

/// Bytes that a stub may need.
const STUB: usize = 80;
/// A jump to anywhere, with the address behind it.
const LEAP: usize = 16;

/// Where libc's own `_exit` begins.
fn exit_of(text: (usize, usize)) -> Option<usize> {
    // SAFETY: a C string.
    let at = unsafe { libc::dlsym(libc::RTLD_NEXT, c"_exit".as_ptr()) } as usize;
    (text.0..text.1).contains(&at).then_some(at)
}

/// Writes the code of one stub, which goes to [`lkl_hijack_trap`] by the leap at `thunk`; answers its length. `None` if something is out of
/// reach.
fn write_stub(code: &mut [u8], at: usize, thunk: usize, site: &Site<'_>) -> Option<usize> {
    let mut n = 0;
    let mut put = |bytes: &[u8]| {
        code[n..n + bytes.len()].copy_from_slice(bytes);
        n += bytes.len();
        n
    };
    let rel = |end: usize, to: usize| i32::try_from(to as i64 - end as i64).ok();
    put(site.before);
    put(&[0x48, 0x8d, 0x64, 0x24, 0x80]); // lea rsp, [rsp - 128]
    let end = put(&[0xe8, 0, 0, 0, 0]); // call thunk
    let call = rel(at + end, thunk)?;
    put(&[0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0]); // lea rsp, [rsp + 128]
    put(site.after);
    let last = put(&[0xe9, 0, 0, 0, 0]); // jmp back
    let back = rel(at + last, site.at + site.len)?;
    code[end - 4..end].copy_from_slice(&call.to_le_bytes());
    code[last - 4..last].copy_from_slice(&back.to_le_bytes());
    Some(last)
}

/// What replaces instructions of libc.
struct Patch {
    at: usize,
    len: usize,
    code: [u8; 16],
}

impl Patch {
    /// A jump, or a call (`opcode`), to `to`; what is left of `len` bytes is filled with breakpoints, for nobody gets there. `None` if it is out of
    /// reach.
    fn new(opcode: u8, at: usize, len: usize, to: usize) -> Option<Self> {
        let distance = i32::try_from(to as i64 - (at + JUMP) as i64).ok()?;
        let mut code = [0xcc; 16];
        code[0] = opcode;
        code[1..JUMP].copy_from_slice(&distance.to_le_bytes());
        Some(Self { at, len, code })
    }
}

/// Opcodes with a distance of 32 bits behind them.
const JMP_REL32: u8 = 0xe9;
const CALL_REL32: u8 = 0xe8;

/// Writes a jump to anywhere, of [`LEAP`] bytes.
fn leap(code: &mut [u8], to: usize) {
    code[..6].copy_from_slice(&[0xff, 0x25, 2, 0, 0, 0]); // jmp [rip + 2]
    code[8..LEAP].copy_from_slice(&to.to_le_bytes());
}

/// Calls that libc must have a site of each: by these its resolver, stdio and the like reach the host, and each glibc that is
/// known makes them by itself.
const EXPECTED: &[(&str, i64)] = &[
    ("socket", libc::SYS_socket),
    ("bind", libc::SYS_bind),
    ("connect", libc::SYS_connect),
    ("sendto", libc::SYS_sendto),
    ("sendmsg", libc::SYS_sendmsg),
    ("sendmmsg", libc::SYS_sendmmsg),
    ("recvfrom", libc::SYS_recvfrom),
    ("recvmsg", libc::SYS_recvmsg),
    ("poll", libc::SYS_poll),
    ("ioctl", libc::SYS_ioctl),
    ("openat", libc::SYS_openat),
    ("read", libc::SYS_read),
    ("write", libc::SYS_write),
    ("close", libc::SYS_close),
];

/// Those of [`EXPECTED`] that have no site of their own where libc has [`sites::Cancellable`].
const CANCELLABLE: &[i64] = &[
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_poll,
];

/// Those that are not among `found`: this libc is another one than those that are known, or someone has patched it already.
fn missing(found: &[Site<'_>], cancellable: bool) -> Vec<&'static str> {
    let there =
        |nr: i64| cancellable && CANCELLABLE.contains(&nr) || found.iter().any(|site| site.nr == Some(nr as usize));
    EXPECTED.iter().filter(|e| !there(e.1)).map(|e| e.0).collect()
}

/// Patches libc. Called once, before there is a second thread.
///
/// Answers which of the calls that matter could not be found, by name.
///
/// # Errors
/// `ENOENT` if there is no libc that we know our way in; those of `mmap` and `mprotect` (a policy against changing
/// code).
pub(crate) fn install() -> Result<Vec<&'static str>> {
    let libc = find_libc().ok_or(Errno::ENOENT)?;
    // SAFETY: the loader says that these are mapped and readable; they are not written while the slices live, except
    // by `patch` below, after the last use.
    let (text, hdr) = unsafe {
        (
            slice::from_raw_parts(libc.text.0 as *const u8, libc.text.1 - libc.text.0),
            slice::from_raw_parts(libc.eh_frame_hdr.0 as *const u8, libc.eh_frame_hdr.1 - libc.eh_frame_hdr.0),
        )
    };
    // All of it is looked at: mapped at once, not by a fault for each few pages. Hosts before Linux 5.14 do not know that.
    let (start, len) = (libc.text.0 & !4095, libc.text.1 - (libc.text.0 & !4095));
    // SAFETY: nothing changes but when the pages are mapped.
    let _ignored = unsafe { host!(libc::SYS_madvise, start, len, MADV_POPULATE_READ) };
    let functions = sites::functions(hdr, libc.eh_frame_hdr.0).ok_or(Errno::ENOENT)?;
    let found = sites::find(text, libc.text.0, &functions, |nr| route::KIND.get(nr).is_some_and(|k| *k != 0));
    if found.is_empty() {
        return Err(Errno::ENOENT);
    }

    let cancellable = sites::cancellable(text, libc.text.0, &functions);

    let size = ((found.len() + 1) * STUB + 3 * LEAP + 4095) & !4095;
    let area = near(libc.text, size).ok_or(Errno::ENOMEM)?;
    // SAFETY: a fresh map of this size, writable until it becomes executable below.
    let code = unsafe { slice::from_raw_parts_mut(area as *mut u8, size) };
    leap(code, lkl_hijack_trap as *const () as usize);
    let mut used = LEAP;
    let mut patches = Vec::with_capacity(found.len() + 3);
    for site in found.iter().chain(cancellable.as_ref().map(|c| &c.plain)) {
        let at = area + used;
        let Some((n, patch)) =
            write_stub(&mut code[used..], at, area, site).zip(Patch::new(JMP_REL32, site.at, site.len, at))
        else {
            continue;
        };
        patches.push(patch);
        used += (n + 7) & !7;
    }
    if let Some(c) = &cancellable {
        BRIDGE.store(c.bridge, Ordering::Release);
        leap(&mut code[used..], lkl_hijack_cancellable as *const () as usize);
        patches.extend(Patch::new(CALL_REL32, c.call, JUMP, area + used));
        used += LEAP;
    }
    // `exit` ends in a call of libc's own `_exit`, whose system call is none of those that can be moved. All of it is replaced.
    if let Some(exit) = exit_of(libc.text) {
        leap(&mut code[used..], hooks::_exit as *const () as usize);
        patches.extend(Patch::new(JMP_REL32, exit, JUMP, area + used));
    }
    // SAFETY: our own map; nobody writes to it afterwards.
    unsafe { host!(libc::SYS_mprotect, area, size, libc::PROT_READ | libc::PROT_EXEC) }?;
    let missing = missing(&found, cancellable.is_some());
    patch(libc.text, &patches)?;
    Ok(missing)
}

/// A fresh map within reach of a 32-bit jump from `text`.
fn near(text: (usize, usize), size: usize) -> Option<usize> {
    const REACH: usize = 0x7000_0000;
    let reaches = |at: usize| at.max(text.1) - at.min(text.0) + size < REACH;
    let at = crate::alloc::map(size) as usize;
    if at != 0 && reaches(at) {
        return Some(at);
    }
    if at != 0 {
        // SAFETY: mapped just now.
        unsafe { crate::alloc::unmap(at as *mut u8, size) };
    }
    const PROT: i32 = libc::PROT_READ | libc::PROT_WRITE;
    const FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let page = text.0 & !0xffff;
    (1..1024usize).map(|i| page.wrapping_sub(i << 20)).filter(|at| reaches(*at)).find_map(|hint| {
        // SAFETY: does not replace a map.
        let at = unsafe { host!(libc::SYS_mmap, hint, size, PROT, FLAGS, -1i32, 0usize) }.ok()? as usize;
        if at == hint {
            return Some(at);
        }
        // SAFETY: mapped just now (an old host that does not know the flag takes the address as a hint).
        unsafe { crate::alloc::unmap(at as *mut u8, size) };
        None
    })
}

/// Changes the code. While libc's code is writable it cannot run: nothing here may call it, not even `memcpy`.
fn patch(text: (usize, usize), patches: &[Patch]) -> Result<()> {
    let start = text.0 & !4095;
    let len = ((text.1 + 4095) & !4095) - start;
    // SAFETY: only the protection changes, and there is one thread, which is here.
    unsafe { host!(libc::SYS_mprotect, start, len, libc::PROT_READ | libc::PROT_WRITE) }?;
    for patch in patches {
        let mut i = 0;
        while i < patch.len && i < patch.code.len() {
            // SAFETY: inside libc's text, which is writable now.
            unsafe { (patch.at as *mut u8).add(i).write_volatile(patch.code[i]) };
            i += 1;
        }
    }
    // SAFETY: back to what it was.
    let back = unsafe { sys::raw(libc::SYS_mprotect as usize, &[start as u64, len as u64, 5, 0, 0, 0]) };
    if back < 0 {
        // Nothing in the process can run any more.
        sys::say("lkl-hijack: libc's code cannot be made executable again; LKL_HIJACK_LIBC_PATCH=0 avoids it");
        sys::exit(125);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_libc_is_known() {
        let libc = find_libc().unwrap();
        // SAFETY: mapped, as the loader says, and not written to here.
        let (text, hdr) = unsafe {
            (
                slice::from_raw_parts(libc.text.0 as *const u8, libc.text.1 - libc.text.0),
                slice::from_raw_parts(libc.eh_frame_hdr.0 as *const u8, libc.eh_frame_hdr.1 - libc.eh_frame_hdr.0),
            )
        };
        let functions = sites::functions(hdr, libc.eh_frame_hdr.0).unwrap();
        let found = sites::find(text, libc.text.0, &functions, |nr| route::KIND.get(nr).is_some_and(|k| *k != 0));
        let cancellable = sites::cancellable(text, libc.text.0, &functions);
        assert_eq!(missing(&found, cancellable.is_some()), Vec::<&str>::new(), "of {} sites", found.len());
        assert_eq!(missing(&[], false).len(), EXPECTED.len());
        assert_eq!(missing(&[], true).len(), EXPECTED.len() - CANCELLABLE.len());
        for nr in [libc::SYS_newfstatat, libc::SYS_getcwd, libc::SYS_mkdir, libc::SYS_fchmodat, libc::SYS_statfs] {
            assert!(found.iter().any(|s| s.nr == Some(nr as usize)), "no site of {nr} among {}", found.len());
        }
        // No two overlap.
        assert!(found.windows(2).all(|w| w[0].at + w[0].len <= w[1].at));
    }
}
