//! Threads and processes that libc does not know.
//!
//! The kernel's workers live in a process that shares the memory of an unmodified program, and go on when the program was
//! killed in the middle of `malloc`, or has become another one by `execve`. What `pthread_create` does there is
//! not to be relied on: it allocates, and takes locks that nobody may ever give back. So here a thread is one map, with a
//! stack and thread-local storage of our own making ([`tls`]), and a `clone`; no lock is taken and nothing allocated, not
//! even when one dies in the middle: lists are changed by one exchange, and what was being worked on is lost.
//!
//! ```text
//!  | guard | stack | thread-local storage | struct pthread | Block | dtv |
//! ```
//!
//! What such a thread may do: system calls, all of Rust's `core` and `alloc` (memory comes from [`crate::alloc`]), locks
//! and condition variables of `std::sync`, thread-locals with destructors (kept here, not by libc), messages, panics.
//! What it may not, if it is to outlive its program:
//!
//! * `malloc`, stdio, and what else of libc takes a lock. A program that libc believes single-threaded does not even lock
//!   against it.
//! * `std::thread::current`, and so blocking in `mpsc` or `park`: the handle comes from `std::alloc::System`, which is
//!   `malloc`, and is dropped by a pthread key, so never. The first backtrace, which asks the loader.
//! * pthread's own: `pthread_exit`, `pthread_cancel`. Destructors of keys are not run.
//! * Thread-locals of modules loaded later: their blocks come from `malloc`, and stay.

mod tls;

use crate::alloc::{map, unmap};
use crate::sys::{self, host};
use core::arch::{global_asm, naked_asm};
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::mem;
use core::ptr::{self, null_mut};
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use lkl_abi::{Errno, Result};
use std::panic::{catch_unwind, AssertUnwindSafe};
use tls::{AtExit, Destructor, Plan};

const PAGE: usize = 4096;
/// The smallest stack, in bytes.
const STACK_MIN: usize = 16 * 1024;
/// The signals that are not blocked: a fault while they are would end the process without a word.
const SYNCHRONOUS: [i32; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT];

/// What a thread's map holds besides its stack and storage.
#[repr(C, align(64))]
struct Block {
    next: *mut Block,
    /// The map.
    at: *mut u8,
    size: usize,
    /// Set when it starts and cleared when it has ended, by the host.
    tid: AtomicI32,
    /// For a process: its number, and its parent's.
    process: Option<(i32, i32)>,
    plan: &'static Plan,
    f: Option<Box<dyn FnOnce() + Send>>,
    destructors: Vec<(Destructor, *mut c_void)>,
}

static PLAN: AtomicPtr<Plan> = AtomicPtr::new(null_mut());
/// The blocks of threads that have been started.
static STARTED: AtomicPtr<Block> = AtomicPtr::new(null_mut());
/// libc's `__cxa_thread_atexit_impl`.
static LIBC_ATEXIT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

thread_local! {
    /// The calling thread's block; null for threads of libc's.
    static BLOCK: Cell<*mut Block> = const { Cell::new(null_mut()) };
}

/// Finds out what threads look like here. Called by the constructor, while there is one thread.
pub(crate) fn init() {
    let _plan = plan();
    LIBC_ATEXIT.store(tls::libc_atexit(), Ordering::Release);
}

fn plan() -> &'static Plan {
    let mut plan = PLAN.load(Ordering::Acquire);
    if plan.is_null() {
        let new = Box::into_raw(Box::new(Plan::new()));
        plan = match PLAN.compare_exchange(null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(there) => {
                // SAFETY: made above, and nobody has seen it.
                drop(unsafe { Box::from_raw(new) });
                there
            }
        };
    }
    // SAFETY: once stored, it stays as it is for ever.
    unsafe { &*plan }
}

/// Starts a process that shares this one's memory and nothing else: it has its own thread group, its own copy of the
/// descriptor table, its own signal handlers. Nobody traces it, and the program's `wait` does not see its end.
///
/// It runs `f` on a fresh stack of `stack` bytes with fresh thread-local storage, with all signals blocked but those of
/// faults, then exits with status 0, also when `f` panics. Answers its process ID.
///
/// # Errors
/// `ENOMEM` if there is no memory for it; those of `clone` (`EAGAIN`: too many processes).
pub(crate) fn process(stack: usize, f: Box<dyn FnOnce() + Send>) -> Result<i32> {
    spawn(libc::CLONE_UNTRACED, stack, f)
}

/// Starts a thread of the calling process, which may be one that [`process`] has started.
///
/// It runs `f` as the other does, then ends. Its memory is given back by a later call of either. Answers its thread ID.
///
/// # Errors
/// `ENOMEM` if there is no memory for it; those of `clone` (`EAGAIN`: too many threads).
pub(crate) fn thread(stack: usize, f: Box<dyn FnOnce() + Send>) -> Result<i32> {
    const FLAGS: c_int =
        libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM;
    spawn(FLAGS, stack, f)
}

fn spawn(flags: c_int, stack: usize, f: Box<dyn FnOnce() + Send>) -> Result<i32> {
    const FLAGS: c_int = libc::CLONE_VM | libc::CLONE_SETTLS | libc::CLONE_PARENT_SETTID | libc::CLONE_CHILD_CLEARTID;
    reap();
    let (block, tp, top) = layout(plan(), stack, f).ok_or(Errno::ENOMEM)?;
    // SAFETY: all but the signals of faults; put back below.
    let blocked = !SYNCHRONOUS.iter().fold(0u64, |set, signal| set | 1 << (signal - 1));
    let old = sys::sigprocmask(libc::SIG_SETMASK, blocked);
    // SAFETY: stack and storage were made for it, and the block is its alone until it has ended, but for `tid`.
    let ret = unsafe {
        let tid = (&raw const (*block).tid).cast_mut().cast::<i32>();
        clone((flags | FLAGS) as u64, top, tid, tid, tp, block)
    };
    sys::sigprocmask(libc::SIG_SETMASK, old);
    match sys::check(ret) {
        Ok(id) => {
            if flags & libc::CLONE_THREAD == 0 {
                // SAFETY: the new process does not look at the field.
                unsafe { (&raw mut (*block).process).write(Some((id as i32, sys::getpid()))) };
            }
            // SAFETY: it is in no list yet.
            unsafe { keep(block, block) };
            Ok(id as i32)
        }
        Err(e) => {
            // SAFETY: nobody was started; `f` is dropped before its place goes.
            unsafe {
                drop((*block).f.take());
                unmap((*block).at, (*block).size);
            }
            Err(e)
        }
    }
}

/// Maps and fills what a thread needs: its block, its thread pointer and the top of its stack.
fn layout(plan: &'static Plan, stack: usize, f: Box<dyn FnOnce() + Send>) -> Option<(*mut Block, *mut u8, *mut u8)> {
    let stack = stack.max(STACK_MIN);
    let size = [PAGE, stack, plan.below, plan.align, tls::TCB, size_of::<Block>(), plan.dtv_size(), PAGE]
        .iter()
        .try_fold(0usize, |sum, n| sum.checked_add(*n))?
        & !(PAGE - 1);
    let at = map(size);
    if at.is_null() {
        return None;
    }
    let tp = at.map_addr(|a| (a + PAGE + stack + plan.below).next_multiple_of(plan.align));
    // SAFETY: all inside the map, by the sum above, fresh and thus zero. `plan.align` is at least a block's alignment.
    unsafe {
        // No guard is better than no thread.
        let _guarded = host!(libc::SYS_mprotect, at, PAGE, libc::PROT_NONE);
        let block: *mut Block = tp.add(tls::TCB).cast();
        plan.fill(tp, block.add(1).cast());
        block.write(Block {
            next: null_mut(),
            at,
            size,
            tid: AtomicI32::new(0),
            process: None,
            plan,
            f: Some(f),
            destructors: Vec::new(),
        });
        Some((block, tp, tp.sub(plan.below).map_addr(|a| a & !63)))
    }
}

/// `clone`; the child does not come back, but goes to [`entry`] on its own stack.
///
/// # Safety
/// `stack` is the top of a stack that is nobody's, aligned to 16; the others are as `clone` and [`entry`] want them.
#[unsafe(naked)]
unsafe extern "C" fn clone(
    flags: u64,
    stack: *mut u8,
    parent_tid: *mut i32,
    child_tid: *mut i32,
    tp: *mut u8,
    block: *mut Block,
) -> isize {
    naked_asm!(
        ".cfi_startproc",
        "mov r10, rcx",
        "mov eax, {nr}",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "ret",
        // The outermost frame.
        "2:",
        ".cfi_undefined rip",
        "xor ebp, ebp",
        "mov rdi, r9",
        "call {entry}",
        "ud2",
        ".cfi_endproc",
        nr = const libc::SYS_clone,
        entry = sym entry,
    )
}

/// Where a new thread begins and ends.
///
/// # Safety
/// Called on a stack with storage that [`layout`] made, with its block.
unsafe extern "C" fn entry(block: *mut Block) -> ! {
    // SAFETY: the block is this thread's until it ends, but for `next`, `tid` and `process`, which are not touched.
    let f = unsafe {
        (*block).plan.begin();
        (*block).f.take()
    };
    BLOCK.set(block);
    crate::thread::make_ours();
    if let Some(f) = f {
        if let Err(what) = catch_unwind(AssertUnwindSafe(f)) {
            // The hook has said what it was; to drop it could panic again.
            mem::forget(what);
        }
    }
    // A destructor may register another one, so no reference is held while it runs.
    let last = || {
        // SAFETY: as above.
        let list = unsafe { &mut (*block).destructors };
        list.pop()
    };
    while let Some((destructor, object)) = last() {
        // SAFETY: registered with this object, by this thread.
        unsafe { destructor(object) };
    }
    // SAFETY: as above.
    drop(unsafe { mem::take(&mut (*block).destructors) });
    let nr = if sys::getpid() == sys::gettid() { libc::SYS_exit_group } else { libc::SYS_exit };
    loop {
        // SAFETY: does not come back.
        let _never = unsafe { host!(nr, 0i32) };
    }
}

/// Puts the chain `first..=last` into the list.
///
/// # Safety
/// The blocks are in no list.
unsafe fn keep(first: *mut Block, last: *mut Block) {
    let mut head = STARTED.load(Ordering::Relaxed);
    loop {
        // SAFETY: nobody else looks at it yet.
        unsafe { (*last).next = head };
        match STARTED.compare_exchange_weak(head, first, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

/// Gives back the maps of those that have ended. Whoever has taken the list has it alone; if it dies, the maps are lost.
fn reap() {
    let mut block = STARTED.swap(null_mut(), Ordering::Acquire);
    let mut alive: *mut Block = null_mut();
    let mut last: *mut Block = null_mut();
    while !block.is_null() {
        // SAFETY: the list that was taken is ours; a thread that has ended does not touch its map any more.
        unsafe {
            let next = (*block).next;
            if ended(&(*block).tid, (*block).process) {
                unmap((*block).at, (*block).size);
            } else {
                if alive.is_null() {
                    last = block;
                }
                (*block).next = alive;
                alive = block;
            }
            block = next;
        }
    }
    if !alive.is_null() {
        // SAFETY: a chain of blocks in no list.
        unsafe { keep(alive, last) };
    }
}

/// Has it ended? A child process that has is waited for, since nobody else does.
fn ended(tid: &AtomicI32, process: Option<(i32, i32)>) -> bool {
    if tid.load(Ordering::Acquire) != 0 {
        return false;
    }
    let Some((pid, parent)) = process.filter(|(_, parent)| *parent == sys::getpid()) else { return true };
    debug_assert_ne!(pid, parent);
    let flags = libc::WNOHANG | libc::__WCLONE;
    // SAFETY: no status is asked for. The child is ours, and has no exit signal, so the program cannot know of it.
    let waited = unsafe { host!(libc::SYS_wait4, pid, ptr::null::<i32>(), flags, ptr::null::<u8>()) };
    waited != Ok(0)
}

// What std calls to have a thread-local dropped. The symbol is this library's alone.
global_asm!(
    ".pushsection .text.lkl_hijack_thread_atexit, \"ax\", @progbits",
    ".hidden __cxa_thread_atexit_impl",
    ".globl __cxa_thread_atexit_impl",
    ".p2align 4",
    ".type __cxa_thread_atexit_impl, @function",
    "__cxa_thread_atexit_impl:",
    "jmp {at_exit}",
    ".size __cxa_thread_atexit_impl, . - __cxa_thread_atexit_impl",
    ".popsection",
    at_exit = sym at_exit,
);

/// Has `destructor` called with `object` when the calling thread ends: libc's `__cxa_thread_atexit_impl`, but a raw
/// thread's are kept in its block.
unsafe extern "C" fn at_exit(destructor: Destructor, object: *mut c_void, module: *mut c_void) -> c_int {
    let block = BLOCK.get();
    if !block.is_null() {
        // SAFETY: the calling thread's own block, and nobody else holds a reference.
        let list = unsafe { &mut (*block).destructors };
        list.push((destructor, object));
        return 0;
    }
    let mut libc = LIBC_ATEXIT.load(Ordering::Acquire);
    if libc.is_null() {
        libc = tls::libc_atexit();
        LIBC_ATEXIT.store(libc, Ordering::Release);
    }
    if libc.is_null() {
        return -1;
    }
    // SAFETY: the function of that name has this type.
    let libc = unsafe { mem::transmute::<*mut c_void, AtExit>(libc) };
    // SAFETY: the caller's own arguments.
    unsafe { libc(destructor, object, module) }
}

#[cfg(test)]
mod tests;
