//! What the library knows of each thread of the program.
//!
//! Plain cells in static thread-local storage, all zero at first: no destructor, no allocation, fit for signal handlers. What must be let
//! go when the thread ends (its [`Caller`](crate::door::Caller)) is kept behind a pthread key.

use crate::hooks::cancel;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};

/// One thread.
pub(crate) struct Thread {
    /// How deep it is in the library. While it is not 0, hooks are the host's and signal handlers wait.
    pub(crate) depth: Cell<u32>,
    /// It is a child of `vfork`, or waits for one: the memory is not its alone, so every call is the host's.
    pub(crate) spawning: Cell<bool>,
    /// `depth`, as it was when the child of `vfork` began.
    pub(crate) lent_depth: Cell<u32>,
    /// Signals that arrived while it was inside, blocked until it leaves: bit `n - 1` is signal `n`.
    pub(crate) deferred: Cell<u64>,
    /// A handler of the program ran.
    pub(crate) ran: Cell<bool>,
    /// One that ran does not want calls restarted.
    pub(crate) no_restart: Cell<bool>,
    /// `pthread_cancel` was called for it.
    pub(crate) cancelled: AtomicBool,
    /// The program lets it be cancelled at any instruction (`PTHREAD_CANCEL_ASYNCHRONOUS`).
    pub(crate) asynchronous: Cell<bool>,
    /// Not so while it is inside.
    pub(crate) held: Cell<bool>,
    /// Who it is in the kernel.
    pub(crate) caller: Cell<*mut crate::door::Caller>,
    /// One more than the connection of the child to which it is about to lend its memory; 0 for none.
    child: Cell<i32>,
    /// Where the child to which it lends its memory has gone: a directory on an image, or the host's if empty; null if nowhere.
    pub(crate) spawn_cwd: Cell<*mut Vec<u8>>,
    /// The environment that it gave to the last `execve` that failed.
    pub(crate) env: Cell<*mut crate::exec::Env>,
    /// One more than its shard of the heap; 0 as long as it has none.
    pub(crate) shard: Cell<u32>,
}

impl Thread {
    /// Is it one of the library's own?
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.depth.get() >= OURS
    }

    /// The connection of the child to which it is about to lend its memory; -1 for none.
    pub(crate) fn child(&self) -> i32 {
        self.child.get() - 1
    }

    /// Puts another one in its place, and answers the old one.
    pub(crate) fn replace_child(&self, connection: i32) -> i32 {
        self.child.replace(connection + 1) - 1
    }
}

/// The depth of the library's own threads.
const OURS: u32 = 1 << 16;

// In the block that libc makes for each thread with the program's own (the "initial-exec" model): its address is the thread pointer
// and an offset. `thread_local!` would call the loader for it, in each call and for each block of the heap; a library
// that is loaded before the program starts need not.
core::arch::global_asm!(
    ".pushsection .tbss.lkl_hijack_thread, \"awT\", @nobits",
    ".balign {align}",
    ".hidden lkl_hijack_thread",
    ".globl lkl_hijack_thread",
    ".type lkl_hijack_thread, @object",
    ".size lkl_hijack_thread, {size}",
    "lkl_hijack_thread:",
    ".zero {size}",
    ".popsection",
    align = const align_of::<Thread>(),
    size = const size_of::<Thread>(),
);

/// The calling thread. It lives as long as the thread: the answer must not be given to another one.
#[inline(always)]
pub(crate) fn current() -> &'static Thread {
    let at: *const Thread;
    // SAFETY: the address of the thread's own block, which is zero at first: a `Thread` of which nothing is known. It is
    // there until the thread is gone, and the callers of this function do not pass it on.
    unsafe {
        core::arch::asm!(
            "mov {at}, qword ptr [rip + lkl_hijack_thread@gottpoff]",
            "add {at}, qword ptr fs:[0]",
            at = out(reg) at,
            options(pure, nomem, nostack)
        );
        &*at
    }
}

/// While it lives, the thread is inside the library.
pub(crate) struct Inside(&'static Thread);

impl Inside {
    /// Goes in. What arrives meanwhile is delivered by [`crate::signal::deliver`], which the outermost one must call
    /// after it has left.
    #[inline]
    pub(crate) fn enter(t: &'static Thread) -> Self {
        t.depth.set(t.depth.get() + 1);
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
        if t.asynchronous.get() {
            cancel::hold(t);
        }
        Self(t)
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
        // Saturating: a cancelled thread unwinds from depth 0.
        self.0.depth.set(self.0.depth.get().saturating_sub(1));
    }
}

/// Makes the calling thread one of the library's own: its calls are always the host's.
pub(crate) fn make_ours() {
    current().depth.set(OURS);
}
