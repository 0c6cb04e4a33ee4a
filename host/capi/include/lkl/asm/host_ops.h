/*
 * What the kernel asks of its host, how it is started, and how it is halted.
 *
 * Both forms of LKL's interface are here:
 *
 *   the older one:  lkl_start_kernel(&lkl_host_ops, "mem=64M");
 *   the newer one:  lkl_init(&lkl_host_ops); lkl_start_kernel("mem=64M"); ... lkl_sys_halt(); lkl_cleanup();
 *
 * The type of the first argument says which one is meant (C11, C++, and GNU C). With LKL_API_OLD or LKL_API_NEW defined only that one is
 * there, and lkl_start_kernel is a plain function.
 */
#ifndef LKL_ASM_HOST_OPS_H
#define LKL_ASM_HOST_OPS_H

#ifdef __cplusplus
extern "C" {
#endif

struct lkl_mutex;
struct lkl_sem;
struct lkl_tls_key;
struct lkl_pci_dev;
typedef unsigned long lkl_thread_t;

struct lkl_jmp_buf {
	unsigned long buf[128];
};

/* There are no PCI devices: the struct is for programs that name it. */
struct lkl_dev_pci_ops {
	struct lkl_pci_dev *(*add)(const char *name, void *kernel_ram, unsigned long ram_size);
	void (*remove)(struct lkl_pci_dev *dev);
	int (*irq_init)(struct lkl_pci_dev *dev, int irq);
	int (*read)(struct lkl_pci_dev *dev, int where, int size, void *val);
	int (*write)(struct lkl_pci_dev *dev, int where, int size, void *val);
	void *(*resource_alloc)(struct lkl_pci_dev *dev, unsigned long resource_size, int resource_index);
	unsigned long long (*map_page)(struct lkl_pci_dev *dev, void *vaddr, unsigned long size);
	void (*unmap_page)(struct lkl_pci_dev *dev, unsigned long long dma_handle, unsigned long size);
};

enum lkl_prot {
	LKL_PROT_NONE = 0,
	LKL_PROT_READ = 1,
	LKL_PROT_WRITE = 2,
	LKL_PROT_EXEC = 4
};

/*
 * What the kernel asks of its host. lkl_host_ops (lkl_host.h) has all of them but those marked "null". The kernel uses:
 *
 *   print               each message of the kernel, with its length; null for none
 *   panic               once, if the kernel has failed (every call answers -LKL_EIO then), and by lkl_bug. The one of lkl_host_ops
 *                       aborts the program when lkl_bug calls it, and is not called by a kernel that has failed
 *   time                the clock: nanoseconds, never going back
 *   mem_alloc, mem_free what this library's functions keep for their callers: struct lkl_dir, struct lkl_netdev
 *   page_alloc, page_free  the buffers that requests of user-supplied disks have
 *   timer_alloc ... thread_create ... sem_alloc ... mutex_alloc ... tls_alloc ... gettid, memcpy, memset, memmove: not used. They work in
 *                       lkl_host_ops, for programs that call them
 *   virtio_devices, ioremap, iomem_access, jmp_buf_set, jmp_buf_longjmp, mmap, munmap, shmem_init, shmem_mmap, pci_ops: null, not used
 */
struct lkl_host_operations {
	const char *virtio_devices;

	void (*print)(const char *str, int len);
	void (*panic)(void);

	struct lkl_sem *(*sem_alloc)(int count);
	void (*sem_free)(struct lkl_sem *sem);
	void (*sem_up)(struct lkl_sem *sem);
	void (*sem_down)(struct lkl_sem *sem);

	struct lkl_mutex *(*mutex_alloc)(int recursive);
	void (*mutex_free)(struct lkl_mutex *mutex);
	void (*mutex_lock)(struct lkl_mutex *mutex);
	void (*mutex_unlock)(struct lkl_mutex *mutex);

	lkl_thread_t (*thread_create)(void (*f)(void *), void *arg);
	void (*thread_detach)(void);
	void (*thread_exit)(void);
	int (*thread_join)(lkl_thread_t tid);
	lkl_thread_t (*thread_self)(void);
	int (*thread_equal)(lkl_thread_t a, lkl_thread_t b);
	void *(*thread_stack)(unsigned long *size);

	struct lkl_tls_key *(*tls_alloc)(void (*destructor)(void *));
	void (*tls_free)(struct lkl_tls_key *key);
	int (*tls_set)(struct lkl_tls_key *key, void *data);
	void *(*tls_get)(struct lkl_tls_key *key);

	void *(*mem_alloc)(unsigned long size);
	void (*mem_free)(void *mem);
	void *(*page_alloc)(unsigned long size);
	void (*page_free)(void *addr, unsigned long size);

	unsigned long long (*time)(void);

#ifdef LKL_API_OLD
	void *(*timer_alloc)(void (*fn)(void *), void *arg);
#else
	void *(*timer_alloc)(void (*fn)(void));
#endif
	int (*timer_set_oneshot)(void *timer, unsigned long delta);
	void (*timer_free)(void *timer);

	void *(*ioremap)(long addr, int size);
	int (*iomem_access)(const volatile void *addr, void *val, int size, int write);

	long (*gettid)(void);

	void (*jmp_buf_set)(struct lkl_jmp_buf *jmpb, void (*f)(void));
	void (*jmp_buf_longjmp)(struct lkl_jmp_buf *jmpb, int val);

	void *(*memcpy)(void *dest, const void *src, unsigned long count);
	void *(*memset)(void *s, int c, unsigned long count);
	void *(*memmove)(void *dest, const void *src, unsigned long count);

	void *(*mmap)(void *addr, unsigned long size, enum lkl_prot prot);
	int (*munmap)(void *addr, unsigned long size);

	void (*shmem_init)(unsigned long size);
	void *(*shmem_mmap)(void *addr, unsigned long pg_off, unsigned long size, enum lkl_prot prot);

	struct lkl_dev_pci_ops *pci_ops;
};

#if defined(__GNUC__)
#define LKL_FORMAT_(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define LKL_FORMAT_(fmt, first)
#endif

/*
 * Says what the host is. Before anything else in the newer form. A null pointer means lkl_host_ops. Answers 0, or -LKL_EBUSY while a kernel
 * runs.
 */
int lkl_init(struct lkl_host_operations *lkl_ops);

/* Forgets it. After lkl_sys_halt; while a kernel runs it does nothing. */
void lkl_cleanup(void);

/*
 * Starts a kernel; the format and what follows are its command line:
 *
 *   mem=SIZE            memory for what it caches of files (64M, 1G; 64M if not said)
 *   loglevel=N          messages up to level N - 1 are printed (7 if not said), "quiet" means 4
 *   ip=dhcp             asks for an address on the first network device, and waits for it 12 seconds at most
 *   ip=CLIENT::GATEWAY:NETMASK:HOST:DEVICE:off  sets one
 *   NAME.NAME=VALUE     after "sysctl.", a setting
 *
 * Others are passed over. Answers 0, -LKL_EBUSY if a kernel runs, -LKL_EINVAL for an option that cannot be understood or a null pointer,
 * and what else booting meets.
 */
int lkl_start_kernel_ops(struct lkl_host_operations *lkl_ops, const char *cmd_line, ...);
int lkl_start_kernel_fmt(const char *cmd_line, ...);

#if defined(LKL_API_OLD)
#define lkl_start_kernel lkl_start_kernel_ops
#elif defined(LKL_API_NEW)
#define lkl_start_kernel lkl_start_kernel_fmt
#elif !defined(__cplusplus)
#define LKL_FIRST_(first, ...) (first)
#define lkl_start_kernel(...) \
	_Generic(LKL_FIRST_(__VA_ARGS__, 0), \
		struct lkl_host_operations *: lkl_start_kernel_ops, \
		default: lkl_start_kernel_fmt)(__VA_ARGS__)
#endif

/* 1 if a kernel runs, else 0. */
int lkl_is_running(void);

/* Prints by the host's print. Answers how many bytes were printed; 0 if there is no print. */
int lkl_printf(const char *fmt, ...) LKL_FORMAT_(1, 2);

/* Prints, and then calls the host's panic. */
void lkl_bug(const char *fmt, ...) LKL_FORMAT_(1, 2);

#ifdef __cplusplus
}

#if !defined(LKL_API_OLD) && !defined(LKL_API_NEW)
template <typename... Args>
inline int lkl_start_kernel(struct lkl_host_operations *ops, const char *fmt, Args... args)
{
	return lkl_start_kernel_ops(ops, fmt, args...);
}

template <typename... Args>
inline int lkl_start_kernel(const char *fmt, Args... args)
{
	return lkl_start_kernel_fmt(fmt, args...);
}
#endif
#endif

#endif
