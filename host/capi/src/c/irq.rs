//! Interrupts: there are none. Their numbers are handed out for programs that ask for them.

use core::ffi::{c_char, c_int};
use lkl_abi::Errno;
use std::sync::{Mutex, PoisonError};

/// Which numbers are in use: bit n is number n + 1.
static USED: Mutex<u64> = Mutex::new(0);

fn bit(irq: c_int) -> Option<u64> {
    (1..=64).contains(&irq).then(|| 1 << (irq - 1))
}

/// Hands out a number.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_get_free_irq(_: *const c_char) -> c_int {
    let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    let free = used.trailing_ones();
    if free == 64 {
        return -Errno::EBUSY.0;
    }
    *used |= 1 << free;
    free as c_int + 1
}

/// Gives one back.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_put_irq(irq: c_int, _: *const c_char) {
    if let Some(bit) = bit(irq) {
        *USED.lock().unwrap_or_else(PoisonError::into_inner) &= !bit;
    }
}

/// Does nothing: no device waits for it.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_trigger_irq(irq: c_int) -> c_int {
    let used = *USED.lock().unwrap_or_else(PoisonError::into_inner);
    match bit(irq) {
        Some(bit) if used & bit != 0 => 0,
        _ => -Errno::EINVAL.0,
    }
}
