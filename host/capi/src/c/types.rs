//! The structs of the headers. `headers/tests` has them measured.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_ulonglong, c_void};

/// A variable that C may write at any time before a kernel starts.
#[repr(transparent)]
pub struct Global<T>(UnsafeCell<T>);

// SAFETY: as with every variable of C, who writes it sees to it that nobody uses it at that time.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(crate) const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// `struct lkl_host_operations`
#[repr(C)]
pub struct HostOperations {
    pub virtio_devices: *const c_char,
    pub print: Option<unsafe extern "C" fn(*const c_char, c_int)>,
    pub panic: Option<unsafe extern "C" fn()>,
    pub sem_alloc: Option<unsafe extern "C" fn(c_int) -> *mut c_void>,
    pub sem_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub sem_up: Option<unsafe extern "C" fn(*mut c_void)>,
    pub sem_down: Option<unsafe extern "C" fn(*mut c_void)>,
    pub mutex_alloc: Option<unsafe extern "C" fn(c_int) -> *mut c_void>,
    pub mutex_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub mutex_lock: Option<unsafe extern "C" fn(*mut c_void)>,
    pub mutex_unlock: Option<unsafe extern "C" fn(*mut c_void)>,
    pub thread_create: Option<unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void) -> c_ulong>,
    pub thread_detach: Option<unsafe extern "C" fn()>,
    pub thread_exit: Option<unsafe extern "C-unwind" fn()>,
    pub thread_join: Option<unsafe extern "C" fn(c_ulong) -> c_int>,
    pub thread_self: Option<unsafe extern "C" fn() -> c_ulong>,
    pub thread_equal: Option<unsafe extern "C" fn(c_ulong, c_ulong) -> c_int>,
    pub thread_stack: Option<unsafe extern "C" fn(*mut c_ulong) -> *mut c_void>,
    pub tls_alloc: Option<unsafe extern "C" fn(Option<unsafe extern "C" fn(*mut c_void)>) -> *mut c_void>,
    pub tls_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub tls_set: Option<unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int>,
    pub tls_get: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    pub mem_alloc: Option<unsafe extern "C" fn(c_ulong) -> *mut c_void>,
    pub mem_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub page_alloc: Option<unsafe extern "C" fn(c_ulong) -> *mut c_void>,
    pub page_free: Option<unsafe extern "C" fn(*mut c_void, c_ulong)>,
    pub time: Option<extern "C" fn() -> c_ulonglong>,
    pub timer_alloc: Option<unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void) -> *mut c_void>,
    pub timer_set_oneshot: Option<unsafe extern "C" fn(*mut c_void, c_ulong) -> c_int>,
    pub timer_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub ioremap: Option<unsafe extern "C" fn(c_long, c_int) -> *mut c_void>,
    pub iomem_access: Option<unsafe extern "C" fn(*const c_void, *mut c_void, c_int, c_int) -> c_int>,
    pub gettid: Option<unsafe extern "C" fn() -> c_long>,
    pub jmp_buf_set: Option<unsafe extern "C" fn(*mut c_void, unsafe extern "C" fn())>,
    pub jmp_buf_longjmp: Option<unsafe extern "C" fn(*mut c_void, c_int)>,
    pub memcpy: Option<unsafe extern "C" fn(*mut c_void, *const c_void, c_ulong) -> *mut c_void>,
    pub memset: Option<unsafe extern "C" fn(*mut c_void, c_int, c_ulong) -> *mut c_void>,
    pub memmove: Option<unsafe extern "C" fn(*mut c_void, *const c_void, c_ulong) -> *mut c_void>,
    pub mmap: Option<unsafe extern "C" fn(*mut c_void, c_ulong, c_uint) -> *mut c_void>,
    pub munmap: Option<unsafe extern "C" fn(*mut c_void, c_ulong) -> c_int>,
    pub shmem_init: Option<unsafe extern "C" fn(c_ulong)>,
    pub shmem_mmap: Option<unsafe extern "C" fn(*mut c_void, c_ulong, c_ulong, c_uint) -> *mut c_void>,
    pub pci_ops: *mut c_void,
}

/// `struct lkl_disk`: a descriptor or a pointer of the caller's, as `ops` say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Disk {
    pub dev: *mut c_void,
    pub handle: DiskHandle,
    pub ops: *mut BlkOps,
}

/// The union in it.
#[repr(C)]
#[derive(Clone, Copy)]
pub union DiskHandle {
    pub fd: c_int,
    pub handle: *mut c_void,
}

/// `struct lkl_blk_req`
#[repr(C)]
pub struct BlkReq {
    pub kind: c_uint,
    pub prio: c_uint,
    pub sector: c_ulonglong,
    pub buf: *mut libc::iovec,
    pub count: c_int,
}

/// `struct lkl_dev_blk_ops`
#[repr(C)]
pub struct BlkOps {
    pub get_capacity: Option<unsafe extern "C" fn(Disk, *mut c_ulonglong) -> c_int>,
    pub request: Option<unsafe extern "C" fn(Disk, *mut BlkReq) -> c_int>,
}

/// `struct lkl_netdev`
#[repr(C)]
pub struct NetDevice {
    pub ops: *mut NetOps,
    pub id: c_int,
    /// Bit 0: a header stands before each frame.
    pub has_vnet_hdr: u8,
    pub mac: [c_uchar; 6],
}

/// `struct lkl_dev_net_ops`
#[repr(C)]
pub struct NetOps {
    pub tx: Option<unsafe extern "C" fn(*mut NetDevice, *mut libc::iovec, c_int) -> c_int>,
    pub rx: Option<unsafe extern "C" fn(*mut NetDevice, *mut libc::iovec, c_int) -> c_int>,
    pub poll: Option<unsafe extern "C" fn(*mut NetDevice) -> c_int>,
    pub poll_hup: Option<unsafe extern "C" fn(*mut NetDevice)>,
    pub free: Option<unsafe extern "C" fn(*mut NetDevice)>,
}

/// `struct lkl_netdev_args`
#[repr(C)]
pub struct NetArgs {
    pub mac: *mut c_void,
    pub offload: c_uint,
}
