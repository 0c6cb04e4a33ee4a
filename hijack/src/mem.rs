//! The program's memory: our own address space, touched so that a bad pointer is `EFAULT`.
//!
//! Every access of the kernel to the program's memory is one of two assembly routines, which copy with `rep movsb`, and numbers with two moves.
//! When an instruction of theirs faults, [`fix`], called by the handler of `SIGSEGV` and `SIGBUS` ([`crate::signal`]), moves the program
//! counter to the routine's end, which answers how many bytes are left. So the good path has no check at all.

use core::arch::global_asm;
use lkl_abi::{Errno, Result};
use lkl_ops::UserMem;

global_asm!(
    ".pushsection .text.lkl_hijack_copy, \"ax\", @progbits",
    ".globl lkl_hijack_copy",
    ".hidden lkl_hijack_copy",
    ".globl lkl_hijack_touch",
    ".hidden lkl_hijack_touch",
    ".globl lkl_hijack_copy_end",
    ".hidden lkl_hijack_copy_end",
    ".p2align 4",
    ".type lkl_hijack_copy, @function",
    "lkl_hijack_copy:",
    ".cfi_startproc",
    "mov rcx, rdx",
    "cmp rdx, 16",
    "ja 2f",
    "cmp rdx, 8",
    "jae 4f",
    "cmp rdx, 4",
    "jae 3f",
    "2: rep movsb",
    "jmp lkl_hijack_copy_end",
    // Two moves, which overlap where there is less to copy. `rcx` still says that nothing was.
    "3: mov eax, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], eax",
    "mov [rdi + rdx - 4], r8d",
    "xor ecx, ecx",
    "jmp lkl_hijack_copy_end",
    "4: mov rax, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rax",
    "mov [rdi + rdx - 8], r8",
    "xor ecx, ecx",
    "jmp lkl_hijack_copy_end",
    // Writes what is there already, whatever others write meanwhile.
    "lkl_hijack_touch:",
    "mov ecx, 1",
    "lock or byte ptr [rdi], 0",
    "xor ecx, ecx",
    "lkl_hijack_copy_end:",
    "mov rax, rcx",
    "ret",
    ".cfi_endproc",
    ".size lkl_hijack_copy, . - lkl_hijack_copy",
    ".popsection",
);

unsafe extern "C" {
    /// Copies `n` bytes; answers how many were not copied because of a fault.
    fn lkl_hijack_copy(to: *mut u8, from: *const u8, n: usize) -> usize;
    /// Answers 0 if the byte can be written, which stays as it is.
    fn lkl_hijack_touch(at: *mut u8) -> usize;
    /// Where the copying ends.
    static lkl_hijack_copy_end: u8;
}

/// If the fault at `pc` is that of a copy, where to go on; else `None`.
pub(crate) fn fix(pc: u64) -> Option<u64> {
    let start = lkl_hijack_copy as *const () as u64;
    let end = (&raw const lkl_hijack_copy_end) as u64;
    (start..end).contains(&pc).then_some(end)
}

/// Where that half ends: its last page is nobody's.
const END: u64 = (1 << 47) - 4096;

/// Is it in the half of the addresses that programs have?
pub(crate) fn in_user_half(addr: u64, len: usize) -> bool {
    addr.checked_add(len as u64).is_some_and(|end| end <= END)
}

/// How many of the `len` bytes from `addr` on can be written: up to the first page that cannot.
pub(crate) fn writable(addr: u64, len: usize) -> usize {
    const PAGE: u64 = 4096;
    let mut n = 0;
    while n < len {
        let at = addr.wrapping_add(n as u64);
        // SAFETY: the byte may be anybody's or nobody's; it does not change, and the routine copes with a fault.
        if !in_user_half(at, 1) || unsafe { lkl_hijack_touch(at as usize as *mut u8) } != 0 {
            break;
        }
        n += (PAGE - at % PAGE) as usize;
    }
    n.min(len)
}

/// The address space of this process.
#[derive(Debug)]
pub(crate) struct Own;

impl UserMem for Own {
    fn is_programs(&self, addr: u64, len: u64) -> bool {
        usize::try_from(len).is_ok_and(|len| in_user_half(addr, len))
    }

    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        if buf.is_empty() {
            return Ok(());
        }
        if !in_user_half(addr, buf.len()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the target is ours; the source may be anything, which the routine copes with.
        match unsafe { lkl_hijack_copy(buf.as_mut_ptr(), addr as usize as *const u8, buf.len()) } {
            0 => Ok(()),
            _ => Err(Errno::EFAULT),
        }
    }

    fn append(&self, addr: u64, len: usize, out: &mut Vec<u8>) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        if !in_user_half(addr, len) {
            return Err(Errno::EFAULT);
        }
        out.reserve(len);
        let room = out.spare_capacity_mut();
        // SAFETY: the room has at least `len` bytes; the source may be anything, which the routine copes with.
        match unsafe { lkl_hijack_copy(room.as_mut_ptr().cast(), addr as usize as *const u8, len) } {
            0 => {
                let filled = out.len() + len;
                // SAFETY: they have just been written.
                unsafe { out.set_len(filled) };
                Ok(())
            }
            _ => Err(Errno::EFAULT),
        }
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        if !in_user_half(addr, data.len()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the program asked for bytes at `addr`, so it is the program's memory, or nobody's, which the
        // routine copes with.
        match unsafe { lkl_hijack_copy(addr as usize as *mut u8, data.as_ptr(), data.len()) } {
            0 => Ok(()),
            _ => Err(Errno::EFAULT),
        }
    }
}

/// Reads a plain value of the program's.
pub(crate) fn get<T: Plain>(addr: u64) -> Result<T> {
    let mut v = T::default();
    // SAFETY: `Plain` types are made of bytes without padding that matters, and any bytes are a value.
    let bytes = unsafe { core::slice::from_raw_parts_mut((&raw mut v).cast::<u8>(), size_of::<T>()) };
    Own.read(addr, bytes)?;
    Ok(v)
}

/// Writes a plain value for the program.
pub(crate) fn put<T: Plain>(addr: u64, v: &T) -> Result<()> {
    // SAFETY: `Plain` types have no padding, so all their bytes are initialised.
    let bytes = unsafe { core::slice::from_raw_parts((&raw const *v).cast::<u8>(), size_of::<T>()) };
    Own.write(addr, bytes)
}

/// Types that any bytes are a value of, and that have no padding.
///
/// # Safety
/// As said.
pub(crate) unsafe trait Plain: Copy + Default {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: integers.
unsafe impl Plain for i32 {}
// SAFETY: integers.
unsafe impl Plain for u64 {}
// SAFETY: integers.
unsafe impl<const N: usize> Plain for [u64; N] where [u64; N]: Default {}

/// Reads a C string of at most 4095 bytes.
pub(crate) fn c_str(addr: u64, buf: &mut [u8; 4096]) -> Result<usize> {
    let mut n = 0;
    // Page by page, for the string may end just before a hole.
    while n < buf.len() {
        let at = addr.wrapping_add(n as u64);
        let step = (4096 - (at & 4095) as usize).min(buf.len() - n).min(256);
        Own.read(at, &mut buf[n..n + step])?;
        if let Some(end) = buf[n..n + step].iter().position(|b| *b == 0) {
            return Ok(n + end);
        }
        n += step;
    }
    Err(Errno::ENAMETOOLONG)
}
