//! `lkl_syscall`.

use super::{answer, instance};
use core::ffi::c_long;
use lkl_abi::Errno;

/// The arguments of a call; six zeros for a null pointer.
///
/// # Safety
/// `params` is null, or six numbers that can be read.
pub(crate) unsafe fn arguments(params: *const c_long) -> [u64; 6] {
    if params.is_null() {
        return [0; 6];
    }
    // SAFETY: as the caller promises.
    unsafe { params.cast::<[u64; 6]>().read() }
}

/// Makes a system call.
///
/// # Safety
/// `params` is null, or six numbers; those that are addresses to the call are the caller's to give.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_syscall(number: c_long, params: *const c_long) -> c_long {
    let Ok(number) = usize::try_from(number) else { return -c_long::from(Errno::ENOSYS.0) };
    // SAFETY: as the caller promises.
    answer(instance::syscall(number, unsafe { arguments(params) }))
}
