//! Thread-local storage of a thread that libc does not know: what glibc 2.31 to 2.41 and the code of the loaded modules
//! expect around the thread pointer on x86-64 (ELF Handling For Thread-Local Storage, variant II).
//!
//! ```text
//!  | spare | blocks of the modules | struct pthread, zero but for its head |     dtv: length, generation, { block, 0 } ...
//!                                  ^ fs                                           by module
//! ```

use core::arch::asm;
use core::ffi::{c_int, c_void};
use core::mem;
use core::ptr::{self, null_mut};
use core::slice;

/// Bytes for `struct pthread`, which has 0x900 in the versions that we know.
pub(super) const TCB: usize = 4096;
/// Zeros below the blocks: modules that are loaded later may get their place there (glibc's surplus of static storage).
const SPARE: usize = 4096;
/// The least alignment of the thread pointer.
const ALIGN: usize = 64;
/// Modules that may be loaded later. glibc enlarges a dtv that is too short, with `realloc`.
const LATER: usize = 1000;
/// `TLS_DTV_UNALLOCATED`: the loader finds out where the block is when it is asked for.
const UNALLOCATED: usize = usize::MAX;
/// Where `tid` is looked for in `struct pthread`: behind its head, which is the ABI's.
const TID_AMONG: (usize, usize) = (0x200, 0x900);
/// `cpu_id` in `struct rseq`, and its value for a thread that has not registered one (`RSEQ_CPU_ID_REGISTRATION_FAILED`).
const RSEQ_CPU_ID: (isize, i32) = (4, -2);

/// An entry of the dtv: a block and what to free with it, or a counter.
type Slot = [usize; 2];

/// One module that has its block in static storage.
#[derive(Clone, Copy)]
pub(super) struct Module {
    pub(super) id: usize,
    /// How far its block begins below the thread pointer.
    pub(super) offset: usize,
    /// How it begins: the rest is zero.
    pub(super) image: (usize, usize),
    size: usize,
    align: usize,
}

/// What all threads' storage looks like.
pub(super) struct Plan {
    pub(super) modules: Vec<Module>,
    /// Bytes below the thread pointer.
    pub(super) below: usize,
    /// Alignment of the thread pointer.
    pub(super) align: usize,
    /// Entries of the dtv, without the two counters.
    length: usize,
    /// Offset of `tid` in `struct pthread`.
    pub(super) tid: Option<usize>,
    /// Offset of `struct rseq`.
    rseq: Option<isize>,
    /// Sets the thread's tables for `<ctype.h>`.
    ctype_init: Option<unsafe extern "C" fn()>,
}

/// The calling thread's thread pointer.
pub(super) fn thread_pointer() -> *mut u8 {
    let tp: *mut u8;
    // SAFETY: the first word of the control block is its own address, by the ABI.
    unsafe { asm!("mov {}, fs:[0]", out(reg) tp, options(nostack, preserves_flags, readonly)) };
    tp
}

fn symbol(name: &core::ffi::CStr) -> Option<*mut c_void> {
    // SAFETY: a C string.
    Some(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }).filter(|at| !at.is_null())
}

unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, size: usize, data: *mut c_void) -> c_int {
    // SAFETY: the loader passes a valid description, and `data` is the list of `modules`.
    let (info, found) = unsafe { (&*info, &mut *data.cast::<Vec<Module>>()) };
    if size < size_of::<libc::dl_phdr_info>() || info.dlpi_tls_data.is_null() {
        return 0;
    }
    // SAFETY: the loader's table of program headers.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    if let Some(h) = headers.iter().find(|h| h.p_type == libc::PT_TLS) {
        found.push(Module {
            id: info.dlpi_tls_modid,
            offset: (thread_pointer() as usize).wrapping_sub(info.dlpi_tls_data as usize),
            image: (info.dlpi_addr as usize + h.p_vaddr as usize, h.p_filesz as usize),
            size: h.p_memsz as usize,
            align: (h.p_align as usize).max(1),
        });
    }
    0
}

/// The modules whose blocks lie one below the other from the thread pointer on. Those of modules that were loaded later
/// are elsewhere.
fn modules() -> Vec<Module> {
    let mut all: Vec<Module> = Vec::new();
    // SAFETY: the callback fits the data.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut all).cast()) };
    all.sort_by_key(|m| m.offset);
    let mut end = 0usize;
    // Blocks are aligned, and glibc 2.41 has `struct rseq` among them.
    all.retain(|m| {
        let fits = m.offset >= m.size && m.offset <= end + m.size + 2 * m.align + 256;
        if fits {
            end = m.offset;
        }
        fits
    });
    all
}

impl Plan {
    /// Looks at the calling thread's storage. Asks the loader, so it takes libc's locks and may call `malloc`.
    pub(super) fn new() -> Self {
        let modules = modules();
        let align = modules.iter().map(|m| m.align).fold(ALIGN, usize::max);
        let below = modules.last().map_or(0, |m| m.offset) + SPARE;
        let length = modules.iter().map(|m| m.id).fold(0, usize::max) + LATER;
        let me = crate::sys::gettid();
        let tid = (TID_AMONG.0..TID_AMONG.1).step_by(4).find(|at| {
            // SAFETY: inside the thread's own `struct pthread`, aligned.
            unsafe { thread_pointer().add(*at).cast::<i32>().read_volatile() == me }
        });
        let rseq = symbol(c"__rseq_offset").map(|at| {
            // SAFETY: a `ptrdiff_t` of the loader's.
            unsafe { at.cast::<isize>().read() }
        });
        let inside = |at: &isize| *at >= -(below as isize) && *at + 32 <= TCB as isize;
        let ctype_init = symbol(c"__ctype_init").map(|at| {
            // SAFETY: libc's own function, which has neither arguments nor an answer.
            unsafe { mem::transmute::<*mut c_void, unsafe extern "C" fn()>(at) }
        });
        Self { modules, below, align, length, tid, rseq: rseq.filter(inside), ctype_init }
    }

    /// Bytes of the dtv.
    pub(super) fn dtv_size(&self) -> usize {
        (self.length + 2) * size_of::<Slot>()
    }

    /// Makes the storage of a new thread, which the calling one will start. Takes no lock and allocates nothing.
    ///
    /// # Safety
    /// `self.below` bytes below `tp` and [`TCB`] bytes from it on are zero and nobody else's, and so are
    /// [`Plan::dtv_size`] bytes at `dtv`. `tp` is aligned to `self.align`, `dtv` to its entries.
    pub(super) unsafe fn fill(&self, tp: *mut u8, dtv: *mut u8) {
        let dtv: *mut Slot = dtv.cast();
        let mine = thread_pointer();
        // SAFETY: all writes are inside what the caller gives. The images are in the modules, which stay loaded. The words
        // read from the calling thread's control block are the ABI's.
        unsafe {
            let mine = |at: usize| mine.add(at).cast::<usize>().read();
            let generation = (*(mine(8) as *const Slot))[0];
            dtv.write([self.length, 0]);
            dtv.add(1).write([generation, 0]);
            for i in 0..self.length {
                dtv.add(2 + i).write([UNALLOCATED, 0]);
            }
            for m in &self.modules {
                let block = tp.sub(m.offset);
                ptr::copy_nonoverlapping(m.image.0 as *const u8, block, m.image.1);
                dtv.add(1 + m.id).write([block as usize, 0]);
            }
            let put = |at: usize, value: usize| tp.add(at).cast::<usize>().write(value);
            put(0, tp as usize);
            put(8, dtv.add(1) as usize);
            put(0x10, tp as usize);
            // `multiple_threads`
            tp.add(0x18).cast::<i32>().write(1);
            // The guards of stacks and of saved pointers are the process's.
            put(0x28, mine(0x28));
            put(0x30, mine(0x30));
            if let Some(at) = self.rseq {
                tp.offset(at + RSEQ_CPU_ID.0).cast::<i32>().write(RSEQ_CPU_ID.1);
            }
        }
    }

    /// What a new thread does first.
    ///
    /// # Safety
    /// The calling thread's storage was made by [`Plan::fill`].
    pub(super) unsafe fn begin(&self) {
        if let Some(at) = self.tid {
            // SAFETY: inside the control block, which is the thread's own.
            unsafe { thread_pointer().add(at).cast::<i32>().write(crate::sys::gettid()) };
        }
        if let Some(f) = self.ctype_init {
            // SAFETY: sets thread-local pointers of libc's.
            unsafe { f() };
        }
    }
}

/// The destructor of a thread-local object, as C++'s ABI has it.
pub(super) type Destructor = unsafe extern "C" fn(*mut c_void);

/// libc's `__cxa_thread_atexit_impl`, which takes a lock of the loader's and calls `calloc`.
pub(super) type AtExit = unsafe extern "C" fn(Destructor, *mut c_void, *mut c_void) -> c_int;

/// Looks libc's up.
pub(super) fn libc_atexit() -> *mut c_void {
    const NAME: &core::ffi::CStr = c"__cxa_thread_atexit_impl";
    // SAFETY: a C string. Ours is not exported, but what comes next is libc's in any case.
    let at = unsafe { libc::dlsym(libc::RTLD_NEXT, NAME.as_ptr()) };
    if at.is_null() {
        symbol(NAME).unwrap_or(null_mut())
    } else {
        at
    }
}
