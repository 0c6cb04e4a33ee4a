//! Functions that change who the process acts as: libc makes all threads agree, and then the kernel is told.

use super::Real;
use crate::paths::ids;
use crate::thread::{self, Inside};
use crate::{door, signal};
use core::ffi::{c_char, c_int};
use libc::{gid_t, size_t, uid_t};

/// Tells the kernel, unless the thread is inside already or is a child that has lent memory.
fn changed() {
    let t = thread::current();
    if !door::open() || t.depth.get() > 0 || t.spawning.get() {
        return;
    }
    let inside = Inside::enter(t);
    ids::changed();
    drop(inside);
    signal::deliver(t);
}

macro_rules! hooks {
    ($($name:ident ($($p:ident : $t:ty),*);)*) => {
        mod real {
            $(
                #[expect(non_upper_case_globals, reason = "the symbol's own name")]
                pub(super) static $name: super::Real = super::Real::new();
            )*
        }

        pub(super) fn resolve() {
            $(real::$name.resolve(concat!(stringify!($name), "\0"), false);)*
        }

        $(
            #[doc = concat!("`", stringify!($name), "`, for the kernel too.")]
            ///
            /// # Safety
            /// As libc's.
            #[cfg_attr(not(test), no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($p: $t),*) -> c_int {
                let next: unsafe extern "C-unwind" fn($($t),*) -> c_int =
                    // SAFETY: the definition of the same name that comes next, so it has this type.
                    unsafe { core::mem::transmute(real::$name.get()) };
                // SAFETY: the program's own arguments.
                let ret = unsafe { next($($p),*) };
                if ret == 0 {
                    changed();
                }
                ret
            }
        )*
    };
}

hooks! {
    setuid(uid: uid_t);
    setgid(gid: gid_t);
    seteuid(uid: uid_t);
    setegid(gid: gid_t);
    setreuid(real: uid_t, effective: uid_t);
    setregid(real: gid_t, effective: gid_t);
    setresuid(real: uid_t, effective: uid_t, saved: uid_t);
    setresgid(real: gid_t, effective: gid_t, saved: gid_t);
    setgroups(count: size_t, list: *const gid_t);
    initgroups(user: *const c_char, gid: gid_t);
}
