//! Signal handlers: when they run, and what becomes of the call that they interrupt.
//!
//! Every handler that the program sets is installed as [`on_signal`], which calls the program's own. A signal that
//! arrives while its thread is inside the library, perhaps holding locks, is blocked and sent to the thread again, with all that
//! came with it; it is let in when the thread leaves ([`deliver`]). So a handler may call any hooked function, jump
//! away, or throw. If the thread sleeps in the kernel it is woken, and its call gives way; whether it is started again
//! (`SA_RESTART`) or answers `EINTR` is known when the handlers have run.
//!
//! `SIGSEGV` and `SIGBUS` always come here, for faults in copies of the program's memory are `EFAULT`
//! ([`crate::mem`]); all others find what the program has set.

use crate::hooks::cancel;
use crate::mem;
use crate::sys::{self, host, Args};
use crate::thread::{self, Thread};
use core::arch::global_asm;
use core::ffi::c_void;
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

const SIGNALS: usize = 65;
const SA_RESTORER: u64 = 0x0400_0000;
const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;
const EFAULT: isize = -14;
const EINVAL: isize = -22;

global_asm!(
    // Unwinders and debuggers know the frame of a signal by these very bytes at its return address.
    ".pushsection .text.lkl_hijack_restore, \"ax\", @progbits",
    ".hidden lkl_hijack_restore",
    ".globl lkl_hijack_restore",
    ".p2align 4",
    "nop",
    ".type lkl_hijack_restore, @function",
    "lkl_hijack_restore:",
    ".byte 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00", // mov rax, 15
    "syscall",
    ".size lkl_hijack_restore, . - lkl_hijack_restore",
    ".popsection",
);

unsafe extern "C" {
    fn lkl_hijack_restore();
}

/// The kernel's `struct sigaction`.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Action {
    pub(crate) handler: usize,
    pub(crate) flags: u64,
    pub(crate) restorer: usize,
    pub(crate) mask: u64,
}

// SAFETY: four 64-bit integers.
unsafe impl mem::Plain for Action {}

/// What the program has set, where the host has [`on_signal`].
struct Slot {
    handler: AtomicUsize,
    flags: AtomicU64,
    restorer: AtomicUsize,
    mask: AtomicU64,
}

static SLOTS: [Slot; SIGNALS] = [const {
    Slot {
        handler: AtomicUsize::new(SIG_DFL),
        flags: AtomicU64::new(0),
        restorer: AtomicUsize::new(0),
        mask: AtomicU64::new(0),
    }
}; SIGNALS];

/// The process whose handlers [`SLOTS`] has: not that of a `vfork` child, which sees the same memory.
static OWNER: AtomicI32 = AtomicI32::new(0);

impl Slot {
    fn load(&self) -> Action {
        Action {
            handler: self.handler.load(Ordering::Acquire),
            flags: self.flags.load(Ordering::Acquire),
            restorer: self.restorer.load(Ordering::Acquire),
            mask: self.mask.load(Ordering::Acquire),
        }
    }

    fn store(&self, a: &Action) {
        self.flags.store(a.flags, Ordering::Release);
        self.mask.store(a.mask, Ordering::Release);
        self.restorer.store(a.restorer, Ordering::Release);
        self.handler.store(a.handler, Ordering::Release);
    }
}

/// The bit of a signal in a mask.
pub(crate) const fn bit(sig: i32) -> u64 {
    1 << (sig - 1)
}

/// Does [`on_signal`] look at it first, whatever the program wants?
fn faults(sig: i32) -> bool {
    sig == libc::SIGSEGV || sig == libc::SIGBUS
}

/// Is [`on_signal`] installed although the program wants `handler`, which is none?
fn always_ours(sig: i32, handler: usize) -> bool {
    faults(sig) && handler <= SIG_IGN
}

/// Those that libc keeps for itself (`SIGCANCEL`, `SIGSETXID`) are not the program's; the others can have handlers.
fn wrapped(sig: i32) -> bool {
    (1..SIGNALS as i32).contains(&sig) && !matches!(sig, 32 | 33 | libc::SIGKILL | libc::SIGSTOP)
}

fn host_sigaction(sig: i32, new: Option<&Action>, old: Option<&mut Action>) -> isize {
    let new = new.map_or(0, |a| core::ptr::from_ref(a) as u64);
    let old = old.map_or(0, |a| core::ptr::from_mut(a) as u64);
    // SAFETY: both are null or a `struct sigaction`, with a set of 8 bytes.
    unsafe { sys::raw(libc::SYS_rt_sigaction as usize, &[sig as u64, new, old, 8, 0, 0]) }
}

/// What is installed at the host for what the program wants.
fn installed(sig: i32, wanted: &Action) -> Action {
    if wanted.handler <= SIG_IGN && !always_ours(sig, wanted.handler) {
        return *wanted;
    }
    // A deferred signal is sent twice, so what a delivery does to the action is done by `on_signal`.
    let keep = wanted.flags & (libc::SA_ONSTACK | libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT | libc::SA_RESTART) as u64
        | wanted.flags & libc::SA_NODEFER as u64;
    Action {
        handler: on_signal as *const () as usize,
        flags: keep
            | libc::SA_SIGINFO as u64
            | SA_RESTORER
            | if wanted.handler <= SIG_IGN { libc::SA_ONSTACK as u64 } else { 0 },
        restorer: if wanted.restorer != 0 { wanted.restorer } else { lkl_hijack_restore as *const () as usize },
        mask: wanted.mask,
    }
}

/// In a process that shares the program's memory, but has a table of handlers of its own: faults are not the program's.
pub(crate) fn detach() {
    for sig in [libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT] {
        host_sigaction(sig, Some(&Action::default()), None);
    }
    for sig in [libc::SIGSEGV, libc::SIGBUS] {
        let flags = libc::SA_SIGINFO as u64 | SA_RESTORER;
        let restorer = lkl_hijack_restore as *const () as usize;
        host_sigaction(sig, Some(&Action { handler: on_fault as *const () as usize, flags, restorer, mask: 0 }), None);
    }
}

/// A fault in such a process.
unsafe extern "C" fn on_fault(sig: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    let uc: *mut libc::ucontext_t = context.cast();
    // SAFETY: the host passes it.
    let pc = unsafe { &mut (*uc).uc_mcontext.gregs[libc::REG_RIP as usize] };
    match mem::fix(*pc as u64) {
        Some(on) => *pc = on as i64,
        // It comes again, and ends the process.
        None => {
            host_sigaction(sig, Some(&Action::default()), None);
        }
    }
}

/// Takes over what the process was started with.
pub(crate) fn init() {
    OWNER.store(sys::getpid(), Ordering::Release);
    for sig in [libc::SIGSEGV, libc::SIGBUS] {
        let mut old = Action::default();
        host_sigaction(sig, None, Some(&mut old));
        SLOTS[sig as usize].store(&old);
        host_sigaction(sig, Some(&installed(sig, &old)), None);
    }
}

/// After a fork, in the child.
pub(crate) fn forked() {
    OWNER.store(sys::getpid(), Ordering::Release);
}

/// `rt_sigaction` of the program. `None`: the host's alone.
pub(crate) fn sigaction(a: &Args) -> Option<isize> {
    let sig = a[0] as i32;
    if !wrapped(sig) || a[3] != 8 {
        return None;
    }
    if OWNER.load(Ordering::Acquire) == 0 {
        return None;
    }
    let new = if a[1] == 0 {
        None
    } else {
        match mem::get::<Action>(a[1]) {
            Ok(new) => Some(new),
            Err(_) => return Some(EFAULT),
        }
    };
    let mut old = Action::default();
    let ret = change(sig, new.as_ref(), &mut old);
    if ret == 0 && a[2] != 0 && mem::put(a[2], &old).is_err() {
        return Some(EFAULT);
    }
    Some(ret)
}

/// Sets what the program wants; `old` is what it had.
fn change(sig: i32, new: Option<&Action>, old: &mut Action) -> isize {
    if !wrapped(sig) {
        return EINVAL;
    }
    let slot = &SLOTS[sig as usize];
    let before = slot.load();
    let ours = new.is_some_and(|n| n.handler > SIG_IGN || always_ours(sig, n.handler));
    // In a child of `vfork` (`posix_spawn` resets handlers there) the host's table is its own, ours is not.
    let shared = new.is_some() && OWNER.load(Ordering::Acquire) != sys::getpid();
    if let Some(new) = new {
        if ours && !shared {
            slot.store(new);
        }
    }
    let at_host = new.map(|n| if shared { *n } else { installed(sig, n) });
    let mut had = Action::default();
    let ret = host_sigaction(sig, at_host.as_ref(), Some(&mut had));
    if ret < 0 {
        if ours && !shared {
            slot.store(&before);
        }
        return ret;
    }
    *old = if had.handler == on_signal as *const () as usize { before } else { had };
    0
}

/// `sigaction` for callers that have an [`Action`].
pub(crate) fn set(sig: i32, new: Option<&Action>) -> Result<Action, i32> {
    let mut old = Action::default();
    match change(sig, new, &mut old) {
        0 => Ok(old),
        e => Err(-e as i32),
    }
}

/// Is it raised by what the thread itself does, now? Then it cannot wait.
fn synchronous(sig: i32, info: &libc::siginfo_t) -> bool {
    matches!(sig, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP) && info.si_code > 0
}

/// Every handler.
unsafe extern "C-unwind" fn on_signal(sig: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let uc: *mut libc::ucontext_t = context.cast();
    // SAFETY: the host passes both.
    let (code, pc) = unsafe { (&*info, &mut (*uc).uc_mcontext.gregs[libc::REG_RIP as usize]) };
    let synchronous = synchronous(sig, code);
    if faults(sig) && synchronous {
        if let Some(on) = mem::fix(*pc as u64) {
            *pc = on as i64;
            return;
        }
    }
    let t = thread::current();
    if t.depth.get() > 0 && !synchronous {
        // SAFETY: as above.
        unsafe { defer(t, sig, info, uc) };
        return;
    }
    // SAFETY: as above; it is the program's handler that looks at it next.
    restore(unsafe { &mut *info });
    let action = SLOTS[sig as usize].load();
    if action.flags & libc::SA_RESETHAND as u64 != 0 {
        let mut old = Action::default();
        change(sig, Some(&Action::default()), &mut old);
    }
    match action.handler {
        SIG_IGN if !synchronous => {}
        SIG_DFL | SIG_IGN => die(sig, synchronous),
        handler => {
            t.ran.set(true);
            if action.flags & libc::SA_RESTART as u64 == 0 {
                t.no_restart.set(true);
            }
            // SAFETY: what the program has given as a handler; one without `SA_SIGINFO` does not look at the last two.
            let handler: unsafe extern "C-unwind" fn(i32, *mut libc::siginfo_t, *mut c_void) =
                unsafe { core::mem::transmute(handler) };
            // SAFETY: as the host would call it.
            unsafe { handler(sig, info, context) };
        }
    }
}

/// Makes of what came with a signal what a file of Linux's would have sent ([`lkl_host::signal`]).
pub(crate) fn restore(info: &mut libc::siginfo_t) {
    let band: *const i64 = (&raw const *info).cast::<i64>().wrapping_add(2);
    // SAFETY: inside the structure, of 128 bytes.
    let band = unsafe { *band };
    info.si_code = lkl_host::signal::restore(info.si_signo, info.si_code, band);
}

/// Keeps a signal for later: blocked, and sent to the thread again as it came.
unsafe fn defer(t: &Thread, sig: i32, info: *mut libc::siginfo_t, uc: *mut libc::ucontext_t) {
    sys::sigprocmask(libc::SIG_BLOCK, bit(sig));
    // SAFETY: the host's signal set is the first 8 bytes of libc's; it becomes the thread's mask on return.
    unsafe { *(&raw mut (*uc).uc_sigmask).cast::<u64>() |= bit(sig) };
    t.deferred.set(t.deferred.get() | bit(sig));
    // SAFETY: `info` is what came with the signal.
    let _sent = unsafe { host!(libc::SYS_rt_tgsigqueueinfo, sys::getpid(), sys::gettid(), sig, info) };
    crate::door::interrupt(t);
}

/// Does what the signal does to a process that has not asked for it.
fn die(sig: i32, synchronous: bool) {
    let default = Action::default();
    host_sigaction(sig, Some(&default), None);
    if !synchronous {
        // SAFETY: no pointers.
        let _sent = unsafe { host!(libc::SYS_tgkill, sys::getpid(), sys::gettid(), sig) };
        sys::sigprocmask(libc::SIG_UNBLOCK, bit(sig));
    }
    // A fault comes again at the same instruction, and nobody is there for it.
}

/// What the handlers that just ran mean for the call that they interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    /// None did.
    Nothing,
    /// All want calls restarted.
    Restart,
    /// `EINTR`.
    Interrupt,
}

/// Lets in what was deferred. To be called when the thread has left the library.
#[inline]
pub(crate) fn deliver(t: &Thread) -> Ran {
    let ran = if t.deferred.get() == 0 { Ran::Nothing } else { deliver_now(t) };
    if t.held.get() {
        cancel::release(t);
    }
    ran
}

/// Lets in what was deferred while a call is on its way, between two tries of it, when nothing is held.
pub(crate) fn window(t: &Thread) -> Ran {
    if t.deferred.get() == 0 {
        return Ran::Nothing;
    }
    let depth = t.depth.replace(0);
    let ran = deliver_now(t);
    t.depth.set(depth);
    ran
}

#[cold]
fn deliver_now(t: &Thread) -> Ran {
    t.ran.set(false);
    t.no_restart.set(false);
    let waiting = t.deferred.replace(0);
    crate::door::uninterrupt(t);
    // The handlers run before this comes back.
    sys::sigprocmask(libc::SIG_UNBLOCK, waiting);
    match (t.ran.get(), t.no_restart.get()) {
        (false, _) => Ran::Nothing,
        (true, false) => Ran::Restart,
        (true, true) => Ran::Interrupt,
    }
}

/// Raises `signals` (bit `n - 1` is signal `n`) for the calling thread.
pub(crate) fn raise(mut signals: u64) {
    while signals != 0 {
        let sig = signals.trailing_zeros() as i32 + 1;
        signals &= signals - 1;
        // SAFETY: no pointers.
        let _sent = unsafe { host!(libc::SYS_tgkill, sys::getpid(), sys::gettid(), sig) };
    }
}
