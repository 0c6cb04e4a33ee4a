//! What the library knows of each thread of the program.
//!
//! Plain cells in static thread-local storage: no destructor, no allocation, fit for signal handlers. What must be let
//! go when the thread ends (its [`Caller`](crate::door::Caller)) is kept behind a pthread key.

use core::cell::Cell;
use core::ptr::null_mut;
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
    /// Who it is in the kernel.
    pub(crate) caller: Cell<*mut crate::door::Caller>,
    /// The connection of the child to which it is about to lend its memory; -1 for none.
    pub(crate) child: Cell<i32>,
    /// Where the child to which it lends its memory has gone: a directory on an image, or the host's if empty; null if nowhere.
    pub(crate) spawn_cwd: Cell<*mut Vec<u8>>,
    /// The environment that it gave to the last `execve` that failed.
    pub(crate) env: Cell<*mut crate::exec::Env>,
}

/// The depth of the library's own threads.
const OURS: u32 = 1 << 16;

thread_local! {
    static THREAD: Thread = const {
        Thread {
            depth: Cell::new(0),
            spawning: Cell::new(false),
            lent_depth: Cell::new(0),
            deferred: Cell::new(0),
            ran: Cell::new(false),
            no_restart: Cell::new(false),
            cancelled: AtomicBool::new(false),
            caller: Cell::new(null_mut()),
            child: Cell::new(-1),
            spawn_cwd: Cell::new(null_mut()),
            env: Cell::new(null_mut()),
        }
    };
}

/// The calling thread. It lives as long as the thread: the answer must not be given to another one.
#[inline]
pub(crate) fn current() -> &'static Thread {
    THREAD.with(|t| {
        // SAFETY: a thread-local without a destructor is there until its thread is gone, and the callers of this
        // function do not pass it on.
        unsafe { &*core::ptr::from_ref(t) }
    })
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

/// Is the calling thread one of the library's own?
pub(crate) fn is_ours() -> bool {
    current().depth.get() >= OURS
}

/// Makes the calling thread one of the library's own: its calls are always the host's.
pub(crate) fn make_ours() {
    current().depth.set(OURS);
}
