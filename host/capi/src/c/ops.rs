//! `lkl_host_ops`: the operations of this host. The kernel itself needs few of them ([`super::instance::Ops`]); the others work for programs that
//! call them, as LKL's own tests do.

use super::types::{Global, HostOperations};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_long, c_ulong, c_ulonglong, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The operations of this host.
#[unsafe(no_mangle)]
pub static lkl_host_ops: Global<HostOperations> = Global::new(HostOperations {
    virtio_devices: core::ptr::null(),
    print: Some(print),
    panic: Some(panic),
    sem_alloc: Some(sem_alloc),
    sem_free: Some(sem_free),
    sem_up: Some(sem_up),
    sem_down: Some(sem_down),
    mutex_alloc: Some(mutex_alloc),
    mutex_free: Some(mutex_free),
    mutex_lock: Some(mutex_lock),
    mutex_unlock: Some(mutex_unlock),
    thread_create: Some(thread_create),
    thread_detach: Some(thread_detach),
    thread_exit: Some(thread_exit),
    thread_join: Some(thread_join),
    thread_self: Some(thread_self),
    thread_equal: Some(thread_equal),
    thread_stack: Some(thread_stack),
    tls_alloc: Some(tls_alloc),
    tls_free: Some(tls_free),
    tls_set: Some(tls_set),
    tls_get: Some(tls_get),
    mem_alloc: Some(mem_alloc),
    mem_free: Some(mem_free),
    page_alloc: Some(page_alloc),
    page_free: Some(page_free),
    time: Some(time),
    timer_alloc: Some(super::timer::alloc),
    timer_set_oneshot: Some(super::timer::set_oneshot),
    timer_free: Some(super::timer::free),
    ioremap: None,
    iomem_access: None,
    gettid: Some(gettid),
    jmp_buf_set: None,
    jmp_buf_longjmp: None,
    memcpy: Some(memcpy),
    memset: Some(memset),
    memmove: Some(memmove),
    mmap: None,
    munmap: None,
    shmem_init: None,
    shmem_mmap: None,
    pci_ops: null_mut(),
});

/// For programs that print it.
#[unsafe(no_mangle)]
pub static lkl_virtio_devs: Global<[c_char; 4096]> = Global::new([0; 4096]);

/// To standard output, where LKL's posix host writes.
unsafe extern "C" fn print(text: *const c_char, len: c_int) {
    let len = usize::try_from(len).unwrap_or(0);
    // SAFETY: the caller gives `len` bytes.
    let _written = unsafe { libc::write(libc::STDOUT_FILENO, text.cast(), len) };
}

pub(crate) unsafe extern "C" fn panic() {
    std::process::abort();
}

struct Semaphore {
    count: Mutex<i64>,
    more: Condvar,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn sem_alloc(count: c_int) -> *mut c_void {
    Box::into_raw(Box::new(Semaphore { count: Mutex::new(count.into()), more: Condvar::new() })).cast()
}

unsafe extern "C" fn sem_free(sem: *mut c_void) {
    if !sem.is_null() {
        // SAFETY: it is of `sem_alloc`, and is freed once.
        drop(unsafe { Box::from_raw(sem.cast::<Semaphore>()) });
    }
}

unsafe extern "C" fn sem_up(sem: *mut c_void) {
    // SAFETY: it is of `sem_alloc`.
    let sem = unsafe { &*sem.cast::<Semaphore>() };
    *lock(&sem.count) += 1;
    sem.more.notify_one();
}

unsafe extern "C" fn sem_down(sem: *mut c_void) {
    // SAFETY: it is of `sem_alloc`.
    let sem = unsafe { &*sem.cast::<Semaphore>() };
    let mut count = lock(&sem.count);
    while *count <= 0 {
        count = sem.more.wait(count).unwrap_or_else(PoisonError::into_inner);
    }
    *count -= 1;
}

unsafe extern "C" fn mutex_alloc(recursive: c_int) -> *mut c_void {
    let kind = if recursive != 0 { libc::PTHREAD_MUTEX_RECURSIVE } else { libc::PTHREAD_MUTEX_NORMAL };
    let mutex = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
    let mut attr = MaybeUninit::uninit();
    // SAFETY: both are of their types, and the attributes are initialised before they are used.
    unsafe {
        libc::pthread_mutexattr_init(attr.as_mut_ptr());
        libc::pthread_mutexattr_settype(attr.as_mut_ptr(), kind);
        libc::pthread_mutex_init(mutex.get(), attr.as_ptr());
        libc::pthread_mutexattr_destroy(attr.as_mut_ptr());
    }
    Box::into_raw(mutex).cast()
}

unsafe extern "C" fn mutex_free(mutex: *mut c_void) {
    if !mutex.is_null() {
        // SAFETY: it is of `mutex_alloc`, nobody holds it, and it is freed once.
        unsafe {
            libc::pthread_mutex_destroy(mutex.cast());
            drop(Box::from_raw(mutex.cast::<UnsafeCell<libc::pthread_mutex_t>>()));
        }
    }
}

unsafe extern "C" fn mutex_lock(mutex: *mut c_void) {
    // SAFETY: it is of `mutex_alloc`.
    unsafe { libc::pthread_mutex_lock(mutex.cast()) };
}

unsafe extern "C" fn mutex_unlock(mutex: *mut c_void) {
    // SAFETY: it is of `mutex_alloc`.
    unsafe { libc::pthread_mutex_unlock(mutex.cast()) };
}

struct Start {
    f: unsafe extern "C" fn(*mut c_void),
    arg: *mut c_void,
}

extern "C" fn begin(start: *mut c_void) -> *mut c_void {
    // SAFETY: `thread_create` gives it away.
    let start = unsafe { Box::from_raw(start.cast::<Start>()) };
    let (f, arg) = (start.f, start.arg);
    // A thread may end by `thread_exit`, which frees nothing.
    drop(start);
    // SAFETY: as the caller of `thread_create` promises.
    unsafe { f(arg) };
    null_mut()
}

unsafe extern "C" fn thread_create(f: unsafe extern "C" fn(*mut c_void), arg: *mut c_void) -> c_ulong {
    let mut thread = 0;
    let start = Box::into_raw(Box::new(Start { f, arg }));
    // SAFETY: `begin` takes what it is given.
    match unsafe { libc::pthread_create(&raw mut thread, core::ptr::null(), begin, start.cast()) } {
        0 => thread,
        _ => {
            // SAFETY: nobody else has it.
            drop(unsafe { Box::from_raw(start) });
            0
        }
    }
}

unsafe extern "C" fn thread_detach() {
    // SAFETY: a thread may detach itself.
    unsafe { libc::pthread_detach(libc::pthread_self()) };
}

unsafe extern "C-unwind" {
    fn pthread_exit(value: *mut c_void) -> !;
}

unsafe extern "C-unwind" fn thread_exit() {
    // SAFETY: it unwinds the frames of C above, and this one, which has nothing to drop.
    unsafe { pthread_exit(null_mut()) }
}

unsafe extern "C" fn thread_join(thread: c_ulong) -> c_int {
    // SAFETY: the caller gives a thread that nobody has joined.
    match unsafe { libc::pthread_join(thread, null_mut()) } {
        0 => 0,
        _ => -1,
    }
}

unsafe extern "C" fn thread_self() -> c_ulong {
    // SAFETY: no argument.
    unsafe { libc::pthread_self() }
}

unsafe extern "C" fn thread_equal(a: c_ulong, b: c_ulong) -> c_int {
    c_int::from(a == b)
}

unsafe extern "C" fn thread_stack(size: *mut c_ulong) -> *mut c_void {
    let (mut attr, mut base, mut len) = (MaybeUninit::uninit(), null_mut(), 0);
    // SAFETY: the attributes are initialised by the first call, and used only then.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attr.as_mut_ptr()) != 0 {
            return null_mut();
        }
        libc::pthread_attr_getstack(attr.as_ptr(), &raw mut base, &raw mut len);
        libc::pthread_attr_destroy(attr.as_mut_ptr());
        if !size.is_null() {
            *size = len as c_ulong;
        }
    }
    base
}

unsafe extern "C" fn tls_alloc(destructor: Option<unsafe extern "C" fn(*mut c_void)>) -> *mut c_void {
    let mut key = 0;
    // SAFETY: the destructor is the caller's.
    match unsafe { libc::pthread_key_create(&raw mut key, destructor) } {
        0 => Box::into_raw(Box::new(key)).cast(),
        _ => null_mut(),
    }
}

unsafe extern "C" fn tls_free(key: *mut c_void) {
    if !key.is_null() {
        // SAFETY: it is of `tls_alloc`, and is freed once.
        let key = unsafe { Box::from_raw(key.cast::<libc::pthread_key_t>()) };
        // SAFETY: a key that was made.
        unsafe { libc::pthread_key_delete(*key) };
    }
}

unsafe extern "C" fn tls_set(key: *mut c_void, data: *mut c_void) -> c_int {
    // SAFETY: it is of `tls_alloc`.
    match unsafe { libc::pthread_setspecific(*key.cast::<libc::pthread_key_t>(), data) } {
        0 => 0,
        _ => -1,
    }
}

unsafe extern "C" fn tls_get(key: *mut c_void) -> *mut c_void {
    // SAFETY: it is of `tls_alloc`.
    unsafe { libc::pthread_getspecific(*key.cast::<libc::pthread_key_t>()) }
}

unsafe extern "C" fn mem_alloc(size: c_ulong) -> *mut c_void {
    // SAFETY: any size may be asked for.
    unsafe { libc::malloc(size as usize) }
}

unsafe extern "C" fn mem_free(mem: *mut c_void) {
    // SAFETY: it is of `mem_alloc`, or null.
    unsafe { libc::free(mem) };
}

unsafe extern "C" fn page_alloc(size: c_ulong) -> *mut c_void {
    let mut mem = null_mut();
    // SAFETY: the alignment is a power of two.
    match unsafe { libc::posix_memalign(&raw mut mem, 4096, size as usize) } {
        0 => mem,
        _ => null_mut(),
    }
}

unsafe extern "C" fn page_free(mem: *mut c_void, _: c_ulong) {
    // SAFETY: it is of `page_alloc`, or null.
    unsafe { libc::free(mem) };
}

pub(crate) extern "C" fn time() -> c_ulonglong {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a `struct timespec` to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as c_ulonglong * 1_000_000_000 + now.tv_nsec as c_ulonglong
}

unsafe extern "C" fn gettid() -> c_long {
    // SAFETY: no argument.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, len: c_ulong) -> *mut c_void {
    // SAFETY: as of C's own function.
    unsafe { libc::memcpy(to, from, len as usize) }
}

unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, len: c_ulong) -> *mut c_void {
    // SAFETY: as of C's own function.
    unsafe { libc::memset(to, byte, len as usize) }
}

unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, len: c_ulong) -> *mut c_void {
    // SAFETY: as of C's own function.
    unsafe { libc::memmove(to, from, len as usize) }
}
