//! Strings of C, and its formats.
//!
//! A function with a variable number of arguments cannot be written in Rust. Those of the headers are a few instructions each, which put the
//! arguments where `va_arg` looks for them, and call what is here with a `va_list`; libc's `vsnprintf` does the rest.

use core::ffi::{c_char, c_int, c_void, CStr};
use lkl_abi::Errno;

unsafe extern "C" {
    fn vsnprintf(buf: *mut c_char, size: usize, format: *const c_char, args: *mut c_void) -> c_int;
}

/// The longest text that a format makes, with its end.
const TEXT_MAX: usize = 4096;

/// What `format` and its arguments make; cut after 4095 bytes.
///
/// # Errors
/// `EINVAL` for a null format, or one that libc refuses.
///
/// # Safety
/// `format` is a C string or null, and `args` a `va_list` with what it asks for.
pub(crate) unsafe fn format(format: *const c_char, args: *mut c_void) -> Result<Vec<u8>, Errno> {
    if format.is_null() {
        return Err(Errno::EINVAL);
    }
    let mut text = vec![0u8; TEXT_MAX];
    // SAFETY: as the caller promises; the room is as long as said.
    let len = unsafe { vsnprintf(text.as_mut_ptr().cast(), text.len(), format, args) };
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    text.truncate(len.min(TEXT_MAX - 1));
    Ok(text)
}

/// The bytes of a string.
///
/// # Errors
/// `EINVAL` for a null pointer.
///
/// # Safety
/// `text` is a C string or null, and stays as long as the answer is used.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> Result<&'a [u8], Errno> {
    if text.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// The same as text.
///
/// # Errors
/// `EINVAL` for a null pointer, or what is not UTF-8.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn utf8<'a>(text: *const c_char) -> Result<&'a str, Errno> {
    // SAFETY: as the caller promises.
    core::str::from_utf8(unsafe { bytes(text) }?).map_err(|_| Errno::EINVAL)
}

/// Makes `$name`, a function of C whose `$fixed` arguments are followed by a variable number of others, of `$with`, whose last argument is a
/// `va_list`.
macro_rules! variadic {
    ($($(#[$doc:meta])* $name:ident, $fixed:literal => $with:path;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As its declaration in C says.
            // The registers that arguments come in are stored in the order that the ABI gives them ("register save area"); the `va_list` says
            // how many of them are used up, and where the arguments on the stack are.
            #[cfg(target_arch = "x86_64")]
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    "sub rsp, 216",
                    "mov [rsp + 32], rdi",
                    "mov [rsp + 40], rsi",
                    "mov [rsp + 48], rdx",
                    "mov [rsp + 56], rcx",
                    "mov [rsp + 64], r8",
                    "mov [rsp + 72], r9",
                    "test al, al",
                    "je 2f",
                    "movaps [rsp + 80], xmm0",
                    "movaps [rsp + 96], xmm1",
                    "movaps [rsp + 112], xmm2",
                    "movaps [rsp + 128], xmm3",
                    "movaps [rsp + 144], xmm4",
                    "movaps [rsp + 160], xmm5",
                    "movaps [rsp + 176], xmm6",
                    "movaps [rsp + 192], xmm7",
                    "2:",
                    "mov dword ptr [rsp], 8 * {fixed}",
                    "mov dword ptr [rsp + 4], 48",
                    "lea rax, [rsp + 224]",
                    "mov [rsp + 8], rax",
                    "lea rax, [rsp + 32]",
                    "mov [rsp + 16], rax",
                    ".if {fixed} == 1",
                    "mov rsi, rsp",
                    ".else",
                    "mov rdx, rsp",
                    ".endif",
                    "call {with}",
                    "add rsp, 216",
                    "ret",
                    fixed = const $fixed,
                    with = sym $with,
                )
            }

            $(#[$doc])*
            ///
            /// # Safety
            /// As its declaration in C says.
            #[cfg(target_arch = "aarch64")]
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    "sub sp, sp, #240",
                    "str x30, [sp]",
                    "stp x0, x1, [sp, #48]",
                    "stp x2, x3, [sp, #64]",
                    "stp x4, x5, [sp, #80]",
                    "stp x6, x7, [sp, #96]",
                    "stp q0, q1, [sp, #112]",
                    "stp q2, q3, [sp, #144]",
                    "stp q4, q5, [sp, #176]",
                    "stp q6, q7, [sp, #208]",
                    "add x9, sp, #240",
                    "str x9, [sp, #16]",
                    "add x9, sp, #112",
                    "str x9, [sp, #24]",
                    "add x9, sp, #240",
                    "str x9, [sp, #32]",
                    "mov w9, #(8 * {fixed} - 64)",
                    "str w9, [sp, #40]",
                    "mov w9, #-128",
                    "str w9, [sp, #44]",
                    ".if {fixed} == 1",
                    "add x1, sp, #16",
                    ".else",
                    "add x2, sp, #16",
                    ".endif",
                    "bl {with}",
                    "ldr x30, [sp]",
                    "add sp, sp, #240",
                    "ret",
                    fixed = const $fixed,
                    with = sym $with,
                )
            }
        )*
    };
}

variadic! {
    /// Starts a kernel with the given operations: the older form of `lkl_start_kernel`.
    lkl_start_kernel_ops, 2 => super::start::lkl_vstart_kernel_ops;
    /// Starts a kernel with the operations of `lkl_init`: the newer form.
    lkl_start_kernel_fmt, 1 => super::start::lkl_vstart_kernel;
    /// The same, by the name that programs look for at run time.
    lkl_start_kernel, 1 => super::start::lkl_vstart_kernel;
    /// Prints by the host's `print`.
    lkl_printf, 1 => super::log::lkl_vprintf;
    /// Prints, and calls the host's `panic`.
    lkl_bug, 1 => super::log::lkl_vbug;
}
