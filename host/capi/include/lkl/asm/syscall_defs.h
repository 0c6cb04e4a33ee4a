/* A function for each system call. To be included by lkl/asm/syscalls.h only. */
#ifndef LKL_ASM_SYSCALL_DEFS_H
#define LKL_ASM_SYSCALL_DEFS_H

#include <lkl/asm/syscalls.h>

/* calls */
static inline long lkl_sys_setxattr(const char *path, const char *name, const void *value, lkl_size_t size, int flags)
{
	long params[6] = { (long)(path), (long)(name), (long)(value), (long)(size), (long)(flags), 0 };

	return lkl_syscall(5, params);
}
static inline long lkl_sys_lsetxattr(const char *path, const char *name, const void *value, lkl_size_t size, int flags)
{
	long params[6] = { (long)(path), (long)(name), (long)(value), (long)(size), (long)(flags), 0 };

	return lkl_syscall(6, params);
}
static inline long lkl_sys_fsetxattr(int fd, const char *name, const void *value, lkl_size_t size, int flags)
{
	long params[6] = { (long)(fd), (long)(name), (long)(value), (long)(size), (long)(flags), 0 };

	return lkl_syscall(7, params);
}
static inline long lkl_sys_getxattr(const char *path, const char *name, void *value, lkl_size_t size)
{
	long params[6] = { (long)(path), (long)(name), (long)(value), (long)(size), 0, 0 };

	return lkl_syscall(8, params);
}
static inline long lkl_sys_lgetxattr(const char *path, const char *name, void *value, lkl_size_t size)
{
	long params[6] = { (long)(path), (long)(name), (long)(value), (long)(size), 0, 0 };

	return lkl_syscall(9, params);
}
static inline long lkl_sys_fgetxattr(int fd, const char *name, void *value, lkl_size_t size)
{
	long params[6] = { (long)(fd), (long)(name), (long)(value), (long)(size), 0, 0 };

	return lkl_syscall(10, params);
}
static inline long lkl_sys_listxattr(const char *path, char *list, lkl_size_t size)
{
	long params[6] = { (long)(path), (long)(list), (long)(size), 0, 0, 0 };

	return lkl_syscall(11, params);
}
static inline long lkl_sys_llistxattr(const char *path, char *list, lkl_size_t size)
{
	long params[6] = { (long)(path), (long)(list), (long)(size), 0, 0, 0 };

	return lkl_syscall(12, params);
}
static inline long lkl_sys_flistxattr(int fd, char *list, lkl_size_t size)
{
	long params[6] = { (long)(fd), (long)(list), (long)(size), 0, 0, 0 };

	return lkl_syscall(13, params);
}
static inline long lkl_sys_removexattr(const char *path, const char *name)
{
	long params[6] = { (long)(path), (long)(name), 0, 0, 0, 0 };

	return lkl_syscall(14, params);
}
static inline long lkl_sys_lremovexattr(const char *path, const char *name)
{
	long params[6] = { (long)(path), (long)(name), 0, 0, 0, 0 };

	return lkl_syscall(15, params);
}
static inline long lkl_sys_fremovexattr(int fd, const char *name)
{
	long params[6] = { (long)(fd), (long)(name), 0, 0, 0, 0 };

	return lkl_syscall(16, params);
}
static inline long lkl_sys_getcwd(char *buf, unsigned long size)
{
	long params[6] = { (long)(buf), (long)(size), 0, 0, 0, 0 };

	return lkl_syscall(17, params);
}
static inline long lkl_sys_eventfd2(unsigned int count, int flags)
{
	long params[6] = { (long)(count), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(19, params);
}
static inline long lkl_sys_epoll_create1(int flags)
{
	long params[6] = { (long)(flags), 0, 0, 0, 0, 0 };

	return lkl_syscall(20, params);
}
static inline long lkl_sys_epoll_ctl(int epfd, int op, int fd, struct lkl_epoll_event *event)
{
	long params[6] = { (long)(epfd), (long)(op), (long)(fd), (long)(event), 0, 0 };

	return lkl_syscall(21, params);
}
static inline long lkl_sys_epoll_pwait(int epfd, struct lkl_epoll_event *events, int maxevents, int timeout, const lkl_sigset_t *sigmask, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(epfd), (long)(events), (long)(maxevents), (long)(timeout), (long)(sigmask), (long)(sigsetsize) };

	return lkl_syscall(22, params);
}
static inline long lkl_sys_epoll_pwait2(int epfd, struct lkl_epoll_event *events, int maxevents, const struct __lkl__kernel_timespec *timeout, const lkl_sigset_t *sigmask, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(epfd), (long)(events), (long)(maxevents), (long)(timeout), (long)(sigmask), (long)(sigsetsize) };

	return lkl_syscall(441, params);
}
static inline long lkl_sys_dup(unsigned int fildes)
{
	long params[6] = { (long)(fildes), 0, 0, 0, 0, 0 };

	return lkl_syscall(23, params);
}
static inline long lkl_sys_dup3(unsigned int oldfd, unsigned int newfd, int flags)
{
	long params[6] = { (long)(oldfd), (long)(newfd), (long)(flags), 0, 0, 0 };

	return lkl_syscall(24, params);
}
static inline long lkl_sys_fcntl(unsigned int fd, unsigned int cmd, unsigned long arg)
{
	long params[6] = { (long)(fd), (long)(cmd), (long)(arg), 0, 0, 0 };

	return lkl_syscall(25, params);
}
static inline long lkl_sys_inotify_init1(int flags)
{
	long params[6] = { (long)(flags), 0, 0, 0, 0, 0 };

	return lkl_syscall(26, params);
}
static inline long lkl_sys_inotify_add_watch(int fd, const char *path, unsigned int mask)
{
	long params[6] = { (long)(fd), (long)(path), (long)(mask), 0, 0, 0 };

	return lkl_syscall(27, params);
}
static inline long lkl_sys_inotify_rm_watch(int fd, int wd)
{
	long params[6] = { (long)(fd), (long)(wd), 0, 0, 0, 0 };

	return lkl_syscall(28, params);
}
static inline long lkl_sys_ioctl(unsigned int fd, unsigned int cmd, unsigned long arg)
{
	long params[6] = { (long)(fd), (long)(cmd), (long)(arg), 0, 0, 0 };

	return lkl_syscall(29, params);
}
static inline long lkl_sys_ioprio_set(int which, int who, int ioprio)
{
	long params[6] = { (long)(which), (long)(who), (long)(ioprio), 0, 0, 0 };

	return lkl_syscall(30, params);
}
static inline long lkl_sys_ioprio_get(int which, int who)
{
	long params[6] = { (long)(which), (long)(who), 0, 0, 0, 0 };

	return lkl_syscall(31, params);
}
static inline long lkl_sys_flock(unsigned int fd, unsigned int cmd)
{
	long params[6] = { (long)(fd), (long)(cmd), 0, 0, 0, 0 };

	return lkl_syscall(32, params);
}
static inline long lkl_sys_mknodat(int dfd, const char *filename, lkl_umode_t mode, unsigned int dev)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(mode), (long)(dev), 0, 0 };

	return lkl_syscall(33, params);
}
static inline long lkl_sys_mkdirat(int dfd, const char *pathname, lkl_umode_t mode)
{
	long params[6] = { (long)(dfd), (long)(pathname), (long)(mode), 0, 0, 0 };

	return lkl_syscall(34, params);
}
static inline long lkl_sys_unlinkat(int dfd, const char *pathname, int flag)
{
	long params[6] = { (long)(dfd), (long)(pathname), (long)(flag), 0, 0, 0 };

	return lkl_syscall(35, params);
}
static inline long lkl_sys_symlinkat(const char *oldname, int newdfd, const char *newname)
{
	long params[6] = { (long)(oldname), (long)(newdfd), (long)(newname), 0, 0, 0 };

	return lkl_syscall(36, params);
}
static inline long lkl_sys_linkat(int olddfd, const char *oldname, int newdfd, const char *newname, int flags)
{
	long params[6] = { (long)(olddfd), (long)(oldname), (long)(newdfd), (long)(newname), (long)(flags), 0 };

	return lkl_syscall(37, params);
}
static inline long lkl_sys_renameat(int olddfd, const char *oldname, int newdfd, const char *newname)
{
	long params[6] = { (long)(olddfd), (long)(oldname), (long)(newdfd), (long)(newname), 0, 0 };

	return lkl_syscall(38, params);
}
static inline long lkl_sys_renameat2(int olddfd, const char *oldname, int newdfd, const char *newname, unsigned int flags)
{
	long params[6] = { (long)(olddfd), (long)(oldname), (long)(newdfd), (long)(newname), (long)(flags), 0 };

	return lkl_syscall(276, params);
}
static inline long lkl_sys_umount(const char *name, int flags)
{
	long params[6] = { (long)(name), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(39, params);
}
static inline long lkl_sys_mount(const char *dev_name, const char *dir_name, const char *type, unsigned long flags, const void *data)
{
	long params[6] = { (long)(dev_name), (long)(dir_name), (long)(type), (long)(flags), (long)(data), 0 };

	return lkl_syscall(40, params);
}
static inline long lkl_sys_pivot_root(const char *new_root, const char *put_old)
{
	long params[6] = { (long)(new_root), (long)(put_old), 0, 0, 0, 0 };

	return lkl_syscall(41, params);
}
static inline long lkl_sys_statfs(const char *pathname, struct lkl_statfs *buf)
{
	long params[6] = { (long)(pathname), (long)(buf), 0, 0, 0, 0 };

	return lkl_syscall(43, params);
}
static inline long lkl_sys_fstatfs(unsigned int fd, struct lkl_statfs *buf)
{
	long params[6] = { (long)(fd), (long)(buf), 0, 0, 0, 0 };

	return lkl_syscall(44, params);
}
static inline long lkl_sys_truncate(const char *path, long length)
{
	long params[6] = { (long)(path), (long)(length), 0, 0, 0, 0 };

	return lkl_syscall(45, params);
}
static inline long lkl_sys_ftruncate(unsigned int fd, unsigned long length)
{
	long params[6] = { (long)(fd), (long)(length), 0, 0, 0, 0 };

	return lkl_syscall(46, params);
}
static inline long lkl_sys_fallocate(int fd, int mode, lkl_loff_t offset, lkl_loff_t len)
{
	long params[6] = { (long)(fd), (long)(mode), (long)(offset), (long)(len), 0, 0 };

	return lkl_syscall(47, params);
}
static inline long lkl_sys_faccessat(int dfd, const char *filename, int mode)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(mode), 0, 0, 0 };

	return lkl_syscall(48, params);
}
static inline long lkl_sys_faccessat2(int dfd, const char *filename, int mode, int flags)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(mode), (long)(flags), 0, 0 };

	return lkl_syscall(439, params);
}
static inline long lkl_sys_chdir(const char *filename)
{
	long params[6] = { (long)(filename), 0, 0, 0, 0, 0 };

	return lkl_syscall(49, params);
}
static inline long lkl_sys_fchdir(unsigned int fd)
{
	long params[6] = { (long)(fd), 0, 0, 0, 0, 0 };

	return lkl_syscall(50, params);
}
static inline long lkl_sys_chroot(const char *filename)
{
	long params[6] = { (long)(filename), 0, 0, 0, 0, 0 };

	return lkl_syscall(51, params);
}
static inline long lkl_sys_fchmod(unsigned int fd, lkl_umode_t mode)
{
	long params[6] = { (long)(fd), (long)(mode), 0, 0, 0, 0 };

	return lkl_syscall(52, params);
}
static inline long lkl_sys_fchmodat(int dfd, const char *filename, lkl_umode_t mode)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(mode), 0, 0, 0 };

	return lkl_syscall(53, params);
}
static inline long lkl_sys_fchmodat2(int dfd, const char *filename, lkl_umode_t mode, unsigned int flags)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(mode), (long)(flags), 0, 0 };

	return lkl_syscall(452, params);
}
static inline long lkl_sys_fchownat(int dfd, const char *filename, lkl_uid_t user, lkl_gid_t group, int flag)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(user), (long)(group), (long)(flag), 0 };

	return lkl_syscall(54, params);
}
static inline long lkl_sys_fchown(unsigned int fd, lkl_uid_t user, lkl_gid_t group)
{
	long params[6] = { (long)(fd), (long)(user), (long)(group), 0, 0, 0 };

	return lkl_syscall(55, params);
}
static inline long lkl_sys_openat(int dfd, const char *filename, int flags, lkl_umode_t mode)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(flags), (long)(mode), 0, 0 };

	return lkl_syscall(56, params);
}
static inline long lkl_sys_openat2(int dfd, const char *filename, struct lkl_open_how *how, lkl_size_t usize)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(how), (long)(usize), 0, 0 };

	return lkl_syscall(437, params);
}
static inline long lkl_sys_close(unsigned int fd)
{
	long params[6] = { (long)(fd), 0, 0, 0, 0, 0 };

	return lkl_syscall(57, params);
}
static inline long lkl_sys_close_range(unsigned int fd, unsigned int max_fd, unsigned int flags)
{
	long params[6] = { (long)(fd), (long)(max_fd), (long)(flags), 0, 0, 0 };

	return lkl_syscall(436, params);
}
static inline long lkl_sys_vhangup(void)
{
	return lkl_syscall(58, (long *)0);
}
static inline long lkl_sys_pipe2(int *fildes, int flags)
{
	long params[6] = { (long)(fildes), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(59, params);
}
static inline long lkl_sys_getdents64(unsigned int fd, struct lkl_linux_dirent64 *dirent, unsigned int count)
{
	long params[6] = { (long)(fd), (long)(dirent), (long)(count), 0, 0, 0 };

	return lkl_syscall(61, params);
}
static inline long lkl_sys_lseek(unsigned int fd, lkl_loff_t offset, unsigned int whence)
{
	long params[6] = { (long)(fd), (long)(offset), (long)(whence), 0, 0, 0 };

	return lkl_syscall(62, params);
}
static inline long lkl_sys_read(unsigned int fd, void *buf, lkl_size_t count)
{
	long params[6] = { (long)(fd), (long)(buf), (long)(count), 0, 0, 0 };

	return lkl_syscall(63, params);
}
static inline long lkl_sys_write(unsigned int fd, const void *buf, lkl_size_t count)
{
	long params[6] = { (long)(fd), (long)(buf), (long)(count), 0, 0, 0 };

	return lkl_syscall(64, params);
}
static inline long lkl_sys_readv(unsigned long fd, const struct lkl_iovec *vec, unsigned long vlen)
{
	long params[6] = { (long)(fd), (long)(vec), (long)(vlen), 0, 0, 0 };

	return lkl_syscall(65, params);
}
static inline long lkl_sys_writev(unsigned long fd, const struct lkl_iovec *vec, unsigned long vlen)
{
	long params[6] = { (long)(fd), (long)(vec), (long)(vlen), 0, 0, 0 };

	return lkl_syscall(66, params);
}
static inline long lkl_sys_pread64(unsigned int fd, void *buf, lkl_size_t count, lkl_loff_t pos)
{
	long params[6] = { (long)(fd), (long)(buf), (long)(count), (long)(pos), 0, 0 };

	return lkl_syscall(67, params);
}
static inline long lkl_sys_pwrite64(unsigned int fd, const void *buf, lkl_size_t count, lkl_loff_t pos)
{
	long params[6] = { (long)(fd), (long)(buf), (long)(count), (long)(pos), 0, 0 };

	return lkl_syscall(68, params);
}
static inline long lkl_sys_preadv(unsigned long fd, const struct lkl_iovec *vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h)
{
	long params[6] = { (long)(fd), (long)(vec), (long)(vlen), (long)(pos_l), (long)(pos_h), 0 };

	return lkl_syscall(69, params);
}
static inline long lkl_sys_pwritev(unsigned long fd, const struct lkl_iovec *vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h)
{
	long params[6] = { (long)(fd), (long)(vec), (long)(vlen), (long)(pos_l), (long)(pos_h), 0 };

	return lkl_syscall(70, params);
}
static inline long lkl_sys_preadv2(unsigned long fd, const struct lkl_iovec *vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h, int flags)
{
	long params[6] = { (long)(fd), (long)(vec), (long)(vlen), (long)(pos_l), (long)(pos_h), (long)(flags) };

	return lkl_syscall(286, params);
}
static inline long lkl_sys_pwritev2(unsigned long fd, const struct lkl_iovec *vec, unsigned long vlen, unsigned long pos_l, unsigned long pos_h, int flags)
{
	long params[6] = { (long)(fd), (long)(vec), (long)(vlen), (long)(pos_l), (long)(pos_h), (long)(flags) };

	return lkl_syscall(287, params);
}
static inline long lkl_sys_sendfile(int out_fd, int in_fd, lkl_loff_t *offset, lkl_size_t count)
{
	long params[6] = { (long)(out_fd), (long)(in_fd), (long)(offset), (long)(count), 0, 0 };

	return lkl_syscall(71, params);
}
static inline long lkl_sys_pselect6(int n, lkl_fd_set *inp, lkl_fd_set *outp, lkl_fd_set *exp, struct __lkl__kernel_timespec *tsp, void *sig)
{
	long params[6] = { (long)(n), (long)(inp), (long)(outp), (long)(exp), (long)(tsp), (long)(sig) };

	return lkl_syscall(72, params);
}
static inline long lkl_sys_ppoll(struct lkl_pollfd *ufds, unsigned int nfds, struct __lkl__kernel_timespec *tsp, const lkl_sigset_t *sigmask, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(ufds), (long)(nfds), (long)(tsp), (long)(sigmask), (long)(sigsetsize), 0 };

	return lkl_syscall(73, params);
}
static inline long lkl_sys_signalfd4(int ufd, const lkl_sigset_t *user_mask, lkl_size_t sizemask, int flags)
{
	long params[6] = { (long)(ufd), (long)(user_mask), (long)(sizemask), (long)(flags), 0, 0 };

	return lkl_syscall(74, params);
}
static inline long lkl_sys_vmsplice(int fd, const struct lkl_iovec *uiov, unsigned long nr_segs, unsigned int flags)
{
	long params[6] = { (long)(fd), (long)(uiov), (long)(nr_segs), (long)(flags), 0, 0 };

	return lkl_syscall(75, params);
}
static inline long lkl_sys_splice(int fd_in, lkl_loff_t *off_in, int fd_out, lkl_loff_t *off_out, lkl_size_t len, unsigned int flags)
{
	long params[6] = { (long)(fd_in), (long)(off_in), (long)(fd_out), (long)(off_out), (long)(len), (long)(flags) };

	return lkl_syscall(76, params);
}
static inline long lkl_sys_tee(int fdin, int fdout, lkl_size_t len, unsigned int flags)
{
	long params[6] = { (long)(fdin), (long)(fdout), (long)(len), (long)(flags), 0, 0 };

	return lkl_syscall(77, params);
}
static inline long lkl_sys_readlinkat(int dfd, const char *pathname, char *buf, int bufsiz)
{
	long params[6] = { (long)(dfd), (long)(pathname), (long)(buf), (long)(bufsiz), 0, 0 };

	return lkl_syscall(78, params);
}
static inline long lkl_sys_newfstatat(int dfd, const char *filename, struct lkl_stat *statbuf, int flag)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(statbuf), (long)(flag), 0, 0 };

	return lkl_syscall(79, params);
}
static inline long lkl_sys_newfstat(unsigned int fd, struct lkl_stat *statbuf)
{
	long params[6] = { (long)(fd), (long)(statbuf), 0, 0, 0, 0 };

	return lkl_syscall(80, params);
}
static inline long lkl_sys_statx(int dfd, const char *filename, unsigned int flags, unsigned int mask, struct lkl_statx *buffer)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(flags), (long)(mask), (long)(buffer), 0 };

	return lkl_syscall(291, params);
}
static inline long lkl_sys_sync(void)
{
	return lkl_syscall(81, (long *)0);
}
static inline long lkl_sys_syncfs(int fd)
{
	long params[6] = { (long)(fd), 0, 0, 0, 0, 0 };

	return lkl_syscall(267, params);
}
static inline long lkl_sys_fsync(unsigned int fd)
{
	long params[6] = { (long)(fd), 0, 0, 0, 0, 0 };

	return lkl_syscall(82, params);
}
static inline long lkl_sys_fdatasync(unsigned int fd)
{
	long params[6] = { (long)(fd), 0, 0, 0, 0, 0 };

	return lkl_syscall(83, params);
}
static inline long lkl_sys_sync_file_range(int fd, lkl_loff_t offset, lkl_loff_t nbytes, unsigned int flags)
{
	long params[6] = { (long)(fd), (long)(offset), (long)(nbytes), (long)(flags), 0, 0 };

	return lkl_syscall(84, params);
}
static inline long lkl_sys_timerfd_create(int clockid, int flags)
{
	long params[6] = { (long)(clockid), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(85, params);
}
static inline long lkl_sys_timerfd_settime(int ufd, int flags, const struct __lkl__kernel_itimerspec *utmr, struct __lkl__kernel_itimerspec *otmr)
{
	long params[6] = { (long)(ufd), (long)(flags), (long)(utmr), (long)(otmr), 0, 0 };

	return lkl_syscall(86, params);
}
static inline long lkl_sys_timerfd_gettime(int ufd, struct __lkl__kernel_itimerspec *otmr)
{
	long params[6] = { (long)(ufd), (long)(otmr), 0, 0, 0, 0 };

	return lkl_syscall(87, params);
}
static inline long lkl_sys_utimensat(int dfd, const char *filename, const struct __lkl__kernel_timespec *utimes, int flags)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(utimes), (long)(flags), 0, 0 };

	return lkl_syscall(88, params);
}
static inline long lkl_sys_capget(void *header, void *dataptr)
{
	long params[6] = { (long)(header), (long)(dataptr), 0, 0, 0, 0 };

	return lkl_syscall(90, params);
}
static inline long lkl_sys_capset(void *header, const void *data)
{
	long params[6] = { (long)(header), (long)(data), 0, 0, 0, 0 };

	return lkl_syscall(91, params);
}
static inline long lkl_sys_personality(unsigned int personality)
{
	long params[6] = { (long)(personality), 0, 0, 0, 0, 0 };

	return lkl_syscall(92, params);
}
static inline long lkl_sys_exit(int error_code)
{
	long params[6] = { (long)(error_code), 0, 0, 0, 0, 0 };

	return lkl_syscall(93, params);
}
static inline long lkl_sys_exit_group(int error_code)
{
	long params[6] = { (long)(error_code), 0, 0, 0, 0, 0 };

	return lkl_syscall(94, params);
}
static inline long lkl_sys_waitid(int which, lkl_pid_t upid, void *infop, int options, struct lkl_rusage *ru)
{
	long params[6] = { (long)(which), (long)(upid), (long)(infop), (long)(options), (long)(ru), 0 };

	return lkl_syscall(95, params);
}
static inline long lkl_sys_set_tid_address(int *tidptr)
{
	long params[6] = { (long)(tidptr), 0, 0, 0, 0, 0 };

	return lkl_syscall(96, params);
}
static inline long lkl_sys_unshare(unsigned long unshare_flags)
{
	long params[6] = { (long)(unshare_flags), 0, 0, 0, 0, 0 };

	return lkl_syscall(97, params);
}
static inline long lkl_sys_futex(unsigned int *uaddr, int op, unsigned int val, const struct __lkl__kernel_timespec *utime, unsigned int *uaddr2, unsigned int val3)
{
	long params[6] = { (long)(uaddr), (long)(op), (long)(val), (long)(utime), (long)(uaddr2), (long)(val3) };

	return lkl_syscall(98, params);
}
static inline long lkl_sys_nanosleep(struct __lkl__kernel_timespec *rqtp, struct __lkl__kernel_timespec *rmtp)
{
	long params[6] = { (long)(rqtp), (long)(rmtp), 0, 0, 0, 0 };

	return lkl_syscall(101, params);
}
static inline long lkl_sys_getitimer(int which, void *value)
{
	long params[6] = { (long)(which), (long)(value), 0, 0, 0, 0 };

	return lkl_syscall(102, params);
}
static inline long lkl_sys_setitimer(int which, void *value, void *ovalue)
{
	long params[6] = { (long)(which), (long)(value), (long)(ovalue), 0, 0, 0 };

	return lkl_syscall(103, params);
}
static inline long lkl_sys_timer_create(int which_clock, void *timer_event_spec, int *created_timer_id)
{
	long params[6] = { (long)(which_clock), (long)(timer_event_spec), (long)(created_timer_id), 0, 0, 0 };

	return lkl_syscall(107, params);
}
static inline long lkl_sys_timer_gettime(int timer_id, struct __lkl__kernel_itimerspec *setting)
{
	long params[6] = { (long)(timer_id), (long)(setting), 0, 0, 0, 0 };

	return lkl_syscall(108, params);
}
static inline long lkl_sys_timer_getoverrun(int timer_id)
{
	long params[6] = { (long)(timer_id), 0, 0, 0, 0, 0 };

	return lkl_syscall(109, params);
}
static inline long lkl_sys_timer_settime(int timer_id, int flags, const struct __lkl__kernel_itimerspec *new_setting, struct __lkl__kernel_itimerspec *old_setting)
{
	long params[6] = { (long)(timer_id), (long)(flags), (long)(new_setting), (long)(old_setting), 0, 0 };

	return lkl_syscall(110, params);
}
static inline long lkl_sys_timer_delete(int timer_id)
{
	long params[6] = { (long)(timer_id), 0, 0, 0, 0, 0 };

	return lkl_syscall(111, params);
}
static inline long lkl_sys_clock_settime(int which_clock, const struct __lkl__kernel_timespec *tp)
{
	long params[6] = { (long)(which_clock), (long)(tp), 0, 0, 0, 0 };

	return lkl_syscall(112, params);
}
static inline long lkl_sys_clock_gettime(int which_clock, struct __lkl__kernel_timespec *tp)
{
	long params[6] = { (long)(which_clock), (long)(tp), 0, 0, 0, 0 };

	return lkl_syscall(113, params);
}
static inline long lkl_sys_clock_getres(int which_clock, struct __lkl__kernel_timespec *tp)
{
	long params[6] = { (long)(which_clock), (long)(tp), 0, 0, 0, 0 };

	return lkl_syscall(114, params);
}
static inline long lkl_sys_clock_nanosleep(int which_clock, int flags, const struct __lkl__kernel_timespec *rqtp, struct __lkl__kernel_timespec *rmtp)
{
	long params[6] = { (long)(which_clock), (long)(flags), (long)(rqtp), (long)(rmtp), 0, 0 };

	return lkl_syscall(115, params);
}
static inline long lkl_sys_clock_adjtime(int which_clock, void *utx)
{
	long params[6] = { (long)(which_clock), (long)(utx), 0, 0, 0, 0 };

	return lkl_syscall(266, params);
}
static inline long lkl_sys_syslog(int type, char *buf, int len)
{
	long params[6] = { (long)(type), (long)(buf), (long)(len), 0, 0, 0 };

	return lkl_syscall(116, params);
}
static inline long lkl_sys_ptrace(long request, long pid, unsigned long addr, unsigned long data)
{
	long params[6] = { (long)(request), (long)(pid), (long)(addr), (long)(data), 0, 0 };

	return lkl_syscall(117, params);
}
static inline long lkl_sys_sched_setparam(lkl_pid_t pid, void *param)
{
	long params[6] = { (long)(pid), (long)(param), 0, 0, 0, 0 };

	return lkl_syscall(118, params);
}
static inline long lkl_sys_sched_setscheduler(lkl_pid_t pid, int policy, void *param)
{
	long params[6] = { (long)(pid), (long)(policy), (long)(param), 0, 0, 0 };

	return lkl_syscall(119, params);
}
static inline long lkl_sys_sched_getscheduler(lkl_pid_t pid)
{
	long params[6] = { (long)(pid), 0, 0, 0, 0, 0 };

	return lkl_syscall(120, params);
}
static inline long lkl_sys_sched_getparam(lkl_pid_t pid, void *param)
{
	long params[6] = { (long)(pid), (long)(param), 0, 0, 0, 0 };

	return lkl_syscall(121, params);
}
static inline long lkl_sys_sched_setaffinity(lkl_pid_t pid, unsigned int len, unsigned long *user_mask_ptr)
{
	long params[6] = { (long)(pid), (long)(len), (long)(user_mask_ptr), 0, 0, 0 };

	return lkl_syscall(122, params);
}
static inline long lkl_sys_sched_getaffinity(lkl_pid_t pid, unsigned int len, unsigned long *user_mask_ptr)
{
	long params[6] = { (long)(pid), (long)(len), (long)(user_mask_ptr), 0, 0, 0 };

	return lkl_syscall(123, params);
}
static inline long lkl_sys_sched_yield(void)
{
	return lkl_syscall(124, (long *)0);
}
static inline long lkl_sys_sched_get_priority_max(int policy)
{
	long params[6] = { (long)(policy), 0, 0, 0, 0, 0 };

	return lkl_syscall(125, params);
}
static inline long lkl_sys_sched_get_priority_min(int policy)
{
	long params[6] = { (long)(policy), 0, 0, 0, 0, 0 };

	return lkl_syscall(126, params);
}
static inline long lkl_sys_sched_rr_get_interval(lkl_pid_t pid, struct __lkl__kernel_timespec *interval)
{
	long params[6] = { (long)(pid), (long)(interval), 0, 0, 0, 0 };

	return lkl_syscall(127, params);
}
static inline long lkl_sys_restart_syscall(void)
{
	return lkl_syscall(128, (long *)0);
}
static inline long lkl_sys_kill(lkl_pid_t pid, int sig)
{
	long params[6] = { (long)(pid), (long)(sig), 0, 0, 0, 0 };

	return lkl_syscall(129, params);
}
static inline long lkl_sys_tkill(lkl_pid_t pid, int sig)
{
	long params[6] = { (long)(pid), (long)(sig), 0, 0, 0, 0 };

	return lkl_syscall(130, params);
}
static inline long lkl_sys_tgkill(lkl_pid_t tgid, lkl_pid_t pid, int sig)
{
	long params[6] = { (long)(tgid), (long)(pid), (long)(sig), 0, 0, 0 };

	return lkl_syscall(131, params);
}
static inline long lkl_sys_sigaltstack(const void *uss, void *uoss)
{
	long params[6] = { (long)(uss), (long)(uoss), 0, 0, 0, 0 };

	return lkl_syscall(132, params);
}
static inline long lkl_sys_rt_sigsuspend(lkl_sigset_t *unewset, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(unewset), (long)(sigsetsize), 0, 0, 0, 0 };

	return lkl_syscall(133, params);
}
static inline long lkl_sys_rt_sigaction(int sig, const void *act, void *oact, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(sig), (long)(act), (long)(oact), (long)(sigsetsize), 0, 0 };

	return lkl_syscall(134, params);
}
static inline long lkl_sys_rt_sigprocmask(int how, lkl_sigset_t *nset, lkl_sigset_t *oset, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(how), (long)(nset), (long)(oset), (long)(sigsetsize), 0, 0 };

	return lkl_syscall(135, params);
}
static inline long lkl_sys_rt_sigpending(lkl_sigset_t *uset, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(uset), (long)(sigsetsize), 0, 0, 0, 0 };

	return lkl_syscall(136, params);
}
static inline long lkl_sys_rt_sigtimedwait(const lkl_sigset_t *uthese, void *uinfo, const struct __lkl__kernel_timespec *uts, lkl_size_t sigsetsize)
{
	long params[6] = { (long)(uthese), (long)(uinfo), (long)(uts), (long)(sigsetsize), 0, 0 };

	return lkl_syscall(137, params);
}
static inline long lkl_sys_rt_sigqueueinfo(lkl_pid_t pid, int sig, void *uinfo)
{
	long params[6] = { (long)(pid), (long)(sig), (long)(uinfo), 0, 0, 0 };

	return lkl_syscall(138, params);
}
static inline long lkl_sys_rt_tgsigqueueinfo(lkl_pid_t tgid, lkl_pid_t pid, int sig, void *uinfo)
{
	long params[6] = { (long)(tgid), (long)(pid), (long)(sig), (long)(uinfo), 0, 0 };

	return lkl_syscall(240, params);
}
static inline long lkl_sys_setpriority(int which, int who, int niceval)
{
	long params[6] = { (long)(which), (long)(who), (long)(niceval), 0, 0, 0 };

	return lkl_syscall(140, params);
}
static inline long lkl_sys_getpriority(int which, int who)
{
	long params[6] = { (long)(which), (long)(who), 0, 0, 0, 0 };

	return lkl_syscall(141, params);
}
static inline long lkl_sys_reboot(int magic1, int magic2, unsigned int cmd, void *arg)
{
	long params[6] = { (long)(magic1), (long)(magic2), (long)(cmd), (long)(arg), 0, 0 };

	return lkl_syscall(142, params);
}
static inline long lkl_sys_setregid(lkl_gid_t rgid, lkl_gid_t egid)
{
	long params[6] = { (long)(rgid), (long)(egid), 0, 0, 0, 0 };

	return lkl_syscall(143, params);
}
static inline long lkl_sys_setgid(lkl_gid_t gid)
{
	long params[6] = { (long)(gid), 0, 0, 0, 0, 0 };

	return lkl_syscall(144, params);
}
static inline long lkl_sys_setreuid(lkl_uid_t ruid, lkl_uid_t euid)
{
	long params[6] = { (long)(ruid), (long)(euid), 0, 0, 0, 0 };

	return lkl_syscall(145, params);
}
static inline long lkl_sys_setuid(lkl_uid_t uid)
{
	long params[6] = { (long)(uid), 0, 0, 0, 0, 0 };

	return lkl_syscall(146, params);
}
static inline long lkl_sys_setresuid(lkl_uid_t ruid, lkl_uid_t euid, lkl_uid_t suid)
{
	long params[6] = { (long)(ruid), (long)(euid), (long)(suid), 0, 0, 0 };

	return lkl_syscall(147, params);
}
static inline long lkl_sys_getresuid(lkl_uid_t *ruidp, lkl_uid_t *euidp, lkl_uid_t *suidp)
{
	long params[6] = { (long)(ruidp), (long)(euidp), (long)(suidp), 0, 0, 0 };

	return lkl_syscall(148, params);
}
static inline long lkl_sys_setresgid(lkl_gid_t rgid, lkl_gid_t egid, lkl_gid_t sgid)
{
	long params[6] = { (long)(rgid), (long)(egid), (long)(sgid), 0, 0, 0 };

	return lkl_syscall(149, params);
}
static inline long lkl_sys_getresgid(lkl_gid_t *rgidp, lkl_gid_t *egidp, lkl_gid_t *sgidp)
{
	long params[6] = { (long)(rgidp), (long)(egidp), (long)(sgidp), 0, 0, 0 };

	return lkl_syscall(150, params);
}
static inline long lkl_sys_setfsuid(lkl_uid_t uid)
{
	long params[6] = { (long)(uid), 0, 0, 0, 0, 0 };

	return lkl_syscall(151, params);
}
static inline long lkl_sys_setfsgid(lkl_gid_t gid)
{
	long params[6] = { (long)(gid), 0, 0, 0, 0, 0 };

	return lkl_syscall(152, params);
}
static inline long lkl_sys_times(struct lkl_tms *tbuf)
{
	long params[6] = { (long)(tbuf), 0, 0, 0, 0, 0 };

	return lkl_syscall(153, params);
}
static inline long lkl_sys_setpgid(lkl_pid_t pid, lkl_pid_t pgid)
{
	long params[6] = { (long)(pid), (long)(pgid), 0, 0, 0, 0 };

	return lkl_syscall(154, params);
}
static inline long lkl_sys_getpgid(lkl_pid_t pid)
{
	long params[6] = { (long)(pid), 0, 0, 0, 0, 0 };

	return lkl_syscall(155, params);
}
static inline long lkl_sys_getsid(lkl_pid_t pid)
{
	long params[6] = { (long)(pid), 0, 0, 0, 0, 0 };

	return lkl_syscall(156, params);
}
static inline long lkl_sys_setsid(void)
{
	return lkl_syscall(157, (long *)0);
}
static inline long lkl_sys_getgroups(int gidsetsize, lkl_gid_t *grouplist)
{
	long params[6] = { (long)(gidsetsize), (long)(grouplist), 0, 0, 0, 0 };

	return lkl_syscall(158, params);
}
static inline long lkl_sys_setgroups(int gidsetsize, lkl_gid_t *grouplist)
{
	long params[6] = { (long)(gidsetsize), (long)(grouplist), 0, 0, 0, 0 };

	return lkl_syscall(159, params);
}
static inline long lkl_sys_newuname(struct lkl_new_utsname *name)
{
	long params[6] = { (long)(name), 0, 0, 0, 0, 0 };

	return lkl_syscall(160, params);
}
static inline long lkl_sys_sethostname(const char *name, int len)
{
	long params[6] = { (long)(name), (long)(len), 0, 0, 0, 0 };

	return lkl_syscall(161, params);
}
static inline long lkl_sys_setdomainname(const char *name, int len)
{
	long params[6] = { (long)(name), (long)(len), 0, 0, 0, 0 };

	return lkl_syscall(162, params);
}
static inline long lkl_sys_getrlimit(unsigned int resource, struct lkl_rlimit *rlim)
{
	long params[6] = { (long)(resource), (long)(rlim), 0, 0, 0, 0 };

	return lkl_syscall(163, params);
}
static inline long lkl_sys_setrlimit(unsigned int resource, struct lkl_rlimit *rlim)
{
	long params[6] = { (long)(resource), (long)(rlim), 0, 0, 0, 0 };

	return lkl_syscall(164, params);
}
static inline long lkl_sys_prlimit64(lkl_pid_t pid, unsigned int resource, const struct lkl_rlimit64 *new_rlim, struct lkl_rlimit64 *old_rlim)
{
	long params[6] = { (long)(pid), (long)(resource), (long)(new_rlim), (long)(old_rlim), 0, 0 };

	return lkl_syscall(261, params);
}
static inline long lkl_sys_getrusage(int who, struct lkl_rusage *ru)
{
	long params[6] = { (long)(who), (long)(ru), 0, 0, 0, 0 };

	return lkl_syscall(165, params);
}
static inline long lkl_sys_umask(int mask)
{
	long params[6] = { (long)(mask), 0, 0, 0, 0, 0 };

	return lkl_syscall(166, params);
}
static inline long lkl_sys_prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5)
{
	long params[6] = { (long)(option), (long)(arg2), (long)(arg3), (long)(arg4), (long)(arg5), 0 };

	return lkl_syscall(167, params);
}
static inline long lkl_sys_getcpu(unsigned int *cpup, unsigned int *nodep, void *unused)
{
	long params[6] = { (long)(cpup), (long)(nodep), (long)(unused), 0, 0, 0 };

	return lkl_syscall(168, params);
}
static inline long lkl_sys_gettimeofday(struct __lkl__kernel_old_timeval *tv, struct lkl_timezone *tz)
{
	long params[6] = { (long)(tv), (long)(tz), 0, 0, 0, 0 };

	return lkl_syscall(169, params);
}
static inline long lkl_sys_settimeofday(struct __lkl__kernel_old_timeval *tv, struct lkl_timezone *tz)
{
	long params[6] = { (long)(tv), (long)(tz), 0, 0, 0, 0 };

	return lkl_syscall(170, params);
}
static inline long lkl_sys_adjtimex(void *txc_p)
{
	long params[6] = { (long)(txc_p), 0, 0, 0, 0, 0 };

	return lkl_syscall(171, params);
}
static inline long lkl_sys_getpid(void)
{
	return lkl_syscall(172, (long *)0);
}
static inline long lkl_sys_getppid(void)
{
	return lkl_syscall(173, (long *)0);
}
static inline long lkl_sys_getuid(void)
{
	return lkl_syscall(174, (long *)0);
}
static inline long lkl_sys_geteuid(void)
{
	return lkl_syscall(175, (long *)0);
}
static inline long lkl_sys_getgid(void)
{
	return lkl_syscall(176, (long *)0);
}
static inline long lkl_sys_getegid(void)
{
	return lkl_syscall(177, (long *)0);
}
static inline long lkl_sys_gettid(void)
{
	return lkl_syscall(178, (long *)0);
}
static inline long lkl_sys_sysinfo(struct lkl_sysinfo *info)
{
	long params[6] = { (long)(info), 0, 0, 0, 0, 0 };

	return lkl_syscall(179, params);
}
static inline long lkl_sys_socket(int family, int type, int protocol)
{
	long params[6] = { (long)(family), (long)(type), (long)(protocol), 0, 0, 0 };

	return lkl_syscall(198, params);
}
static inline long lkl_sys_socketpair(int family, int type, int protocol, int *usockvec)
{
	long params[6] = { (long)(family), (long)(type), (long)(protocol), (long)(usockvec), 0, 0 };

	return lkl_syscall(199, params);
}
static inline long lkl_sys_bind(int fd, const struct lkl_sockaddr *umyaddr, int addrlen)
{
	long params[6] = { (long)(fd), (long)(umyaddr), (long)(addrlen), 0, 0, 0 };

	return lkl_syscall(200, params);
}
static inline long lkl_sys_listen(int fd, int backlog)
{
	long params[6] = { (long)(fd), (long)(backlog), 0, 0, 0, 0 };

	return lkl_syscall(201, params);
}
static inline long lkl_sys_accept(int fd, struct lkl_sockaddr *upeer_sockaddr, int *upeer_addrlen)
{
	long params[6] = { (long)(fd), (long)(upeer_sockaddr), (long)(upeer_addrlen), 0, 0, 0 };

	return lkl_syscall(202, params);
}
static inline long lkl_sys_accept4(int fd, struct lkl_sockaddr *upeer_sockaddr, int *upeer_addrlen, int flags)
{
	long params[6] = { (long)(fd), (long)(upeer_sockaddr), (long)(upeer_addrlen), (long)(flags), 0, 0 };

	return lkl_syscall(242, params);
}
static inline long lkl_sys_connect(int fd, const struct lkl_sockaddr *uservaddr, int addrlen)
{
	long params[6] = { (long)(fd), (long)(uservaddr), (long)(addrlen), 0, 0, 0 };

	return lkl_syscall(203, params);
}
static inline long lkl_sys_getsockname(int fd, struct lkl_sockaddr *usockaddr, int *usockaddr_len)
{
	long params[6] = { (long)(fd), (long)(usockaddr), (long)(usockaddr_len), 0, 0, 0 };

	return lkl_syscall(204, params);
}
static inline long lkl_sys_getpeername(int fd, struct lkl_sockaddr *usockaddr, int *usockaddr_len)
{
	long params[6] = { (long)(fd), (long)(usockaddr), (long)(usockaddr_len), 0, 0, 0 };

	return lkl_syscall(205, params);
}
static inline long lkl_sys_sendto(int fd, const void *buff, lkl_size_t len, unsigned int flags, const struct lkl_sockaddr *addr, int addr_len)
{
	long params[6] = { (long)(fd), (long)(buff), (long)(len), (long)(flags), (long)(addr), (long)(addr_len) };

	return lkl_syscall(206, params);
}
static inline long lkl_sys_recvfrom(int fd, void *ubuf, lkl_size_t size, unsigned int flags, struct lkl_sockaddr *addr, int *addr_len)
{
	long params[6] = { (long)(fd), (long)(ubuf), (long)(size), (long)(flags), (long)(addr), (long)(addr_len) };

	return lkl_syscall(207, params);
}
static inline long lkl_sys_setsockopt(int fd, int level, int optname, const void *optval, int optlen)
{
	long params[6] = { (long)(fd), (long)(level), (long)(optname), (long)(optval), (long)(optlen), 0 };

	return lkl_syscall(208, params);
}
static inline long lkl_sys_getsockopt(int fd, int level, int optname, void *optval, int *optlen)
{
	long params[6] = { (long)(fd), (long)(level), (long)(optname), (long)(optval), (long)(optlen), 0 };

	return lkl_syscall(209, params);
}
static inline long lkl_sys_shutdown(int fd, int how)
{
	long params[6] = { (long)(fd), (long)(how), 0, 0, 0, 0 };

	return lkl_syscall(210, params);
}
static inline long lkl_sys_sendmsg(int fd, const struct lkl_user_msghdr *msg, unsigned int flags)
{
	long params[6] = { (long)(fd), (long)(msg), (long)(flags), 0, 0, 0 };

	return lkl_syscall(211, params);
}
static inline long lkl_sys_recvmsg(int fd, struct lkl_user_msghdr *msg, unsigned int flags)
{
	long params[6] = { (long)(fd), (long)(msg), (long)(flags), 0, 0, 0 };

	return lkl_syscall(212, params);
}
static inline long lkl_sys_sendmmsg(int fd, struct lkl_mmsghdr *mmsg, unsigned int vlen, unsigned int flags)
{
	long params[6] = { (long)(fd), (long)(mmsg), (long)(vlen), (long)(flags), 0, 0 };

	return lkl_syscall(269, params);
}
static inline long lkl_sys_recvmmsg(int fd, struct lkl_mmsghdr *mmsg, unsigned int vlen, unsigned int flags, struct __lkl__kernel_timespec *timeout)
{
	long params[6] = { (long)(fd), (long)(mmsg), (long)(vlen), (long)(flags), (long)(timeout), 0 };

	return lkl_syscall(243, params);
}
static inline long lkl_sys_readahead(int fd, lkl_loff_t offset, lkl_size_t count)
{
	long params[6] = { (long)(fd), (long)(offset), (long)(count), 0, 0, 0 };

	return lkl_syscall(213, params);
}
static inline long lkl_sys_brk(unsigned long brk)
{
	long params[6] = { (long)(brk), 0, 0, 0, 0, 0 };

	return lkl_syscall(214, params);
}
static inline long lkl_sys_munmap(unsigned long addr, lkl_size_t len)
{
	long params[6] = { (long)(addr), (long)(len), 0, 0, 0, 0 };

	return lkl_syscall(215, params);
}
static inline long lkl_sys_mremap(unsigned long addr, unsigned long old_len, unsigned long new_len, unsigned long flags, unsigned long new_addr)
{
	long params[6] = { (long)(addr), (long)(old_len), (long)(new_len), (long)(flags), (long)(new_addr), 0 };

	return lkl_syscall(216, params);
}
static inline long lkl_sys_execve(const char *filename, const char *const *argv, const char *const *envp)
{
	long params[6] = { (long)(filename), (long)(argv), (long)(envp), 0, 0, 0 };

	return lkl_syscall(221, params);
}
static inline long lkl_sys_execveat(int fd, const char *filename, const char *const *argv, const char *const *envp, int flags)
{
	long params[6] = { (long)(fd), (long)(filename), (long)(argv), (long)(envp), (long)(flags), 0 };

	return lkl_syscall(281, params);
}
static inline long lkl_sys_mmap(void *addr, lkl_size_t length, int prot, int flags, int fd, lkl_off_t offset)
{
	long params[6] = { (long)(addr), (long)(length), (long)(prot), (long)(flags), (long)(fd), (long)(offset) };

	return lkl_syscall(222, params);
}
static inline long lkl_sys_fadvise64(int fd, lkl_loff_t offset, lkl_size_t len, int advice)
{
	long params[6] = { (long)(fd), (long)(offset), (long)(len), (long)(advice), 0, 0 };

	return lkl_syscall(223, params);
}
static inline long lkl_sys_mprotect(unsigned long start, lkl_size_t len, unsigned long prot)
{
	long params[6] = { (long)(start), (long)(len), (long)(prot), 0, 0, 0 };

	return lkl_syscall(226, params);
}
static inline long lkl_sys_msync(unsigned long start, lkl_size_t len, int flags)
{
	long params[6] = { (long)(start), (long)(len), (long)(flags), 0, 0, 0 };

	return lkl_syscall(227, params);
}
static inline long lkl_sys_madvise(unsigned long start, lkl_size_t len_in, int behavior)
{
	long params[6] = { (long)(start), (long)(len_in), (long)(behavior), 0, 0, 0 };

	return lkl_syscall(233, params);
}
static inline long lkl_sys_wait4(lkl_pid_t upid, int *stat_addr, int options, struct lkl_rusage *ru)
{
	long params[6] = { (long)(upid), (long)(stat_addr), (long)(options), (long)(ru), 0, 0 };

	return lkl_syscall(260, params);
}
static inline long lkl_sys_name_to_handle_at(int dfd, const char *name, void *handle, int *mnt_id, int flag)
{
	long params[6] = { (long)(dfd), (long)(name), (long)(handle), (long)(mnt_id), (long)(flag), 0 };

	return lkl_syscall(264, params);
}
static inline long lkl_sys_open_by_handle_at(int mountdirfd, void *handle, int flags)
{
	long params[6] = { (long)(mountdirfd), (long)(handle), (long)(flags), 0, 0, 0 };

	return lkl_syscall(265, params);
}
static inline long lkl_sys_setns(int fd, int flags)
{
	long params[6] = { (long)(fd), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(268, params);
}
static inline long lkl_sys_sched_setattr(lkl_pid_t pid, void *uattr, unsigned int flags)
{
	long params[6] = { (long)(pid), (long)(uattr), (long)(flags), 0, 0, 0 };

	return lkl_syscall(274, params);
}
static inline long lkl_sys_sched_getattr(lkl_pid_t pid, void *uattr, unsigned int usize, unsigned int flags)
{
	long params[6] = { (long)(pid), (long)(uattr), (long)(usize), (long)(flags), 0, 0 };

	return lkl_syscall(275, params);
}
static inline long lkl_sys_getrandom(void *ubuf, lkl_size_t len, unsigned int flags)
{
	long params[6] = { (long)(ubuf), (long)(len), (long)(flags), 0, 0, 0 };

	return lkl_syscall(278, params);
}
static inline long lkl_sys_memfd_create(const char *uname, unsigned int flags)
{
	long params[6] = { (long)(uname), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(279, params);
}
static inline long lkl_sys_membarrier(int cmd, unsigned int flags, int cpu_id)
{
	long params[6] = { (long)(cmd), (long)(flags), (long)(cpu_id), 0, 0, 0 };

	return lkl_syscall(283, params);
}
static inline long lkl_sys_copy_file_range(int fd_in, lkl_loff_t *off_in, int fd_out, lkl_loff_t *off_out, lkl_size_t len, unsigned int flags)
{
	long params[6] = { (long)(fd_in), (long)(off_in), (long)(fd_out), (long)(off_out), (long)(len), (long)(flags) };

	return lkl_syscall(285, params);
}
static inline long lkl_sys_io_uring_setup(unsigned int entries, void *p)
{
	long params[6] = { (long)(entries), (long)(p), 0, 0, 0, 0 };

	return lkl_syscall(425, params);
}
static inline long lkl_sys_io_uring_enter(unsigned int fd, unsigned int to_submit, unsigned int min_complete, unsigned int flags, const void *argp, lkl_size_t argsz)
{
	long params[6] = { (long)(fd), (long)(to_submit), (long)(min_complete), (long)(flags), (long)(argp), (long)(argsz) };

	return lkl_syscall(426, params);
}
static inline long lkl_sys_io_uring_register(unsigned int fd, unsigned int opcode, void *arg, unsigned int nr_args)
{
	long params[6] = { (long)(fd), (long)(opcode), (long)(arg), (long)(nr_args), 0, 0 };

	return lkl_syscall(427, params);
}
static inline long lkl_sys_pidfd_send_signal(int pidfd, int sig, void *info, unsigned int flags)
{
	long params[6] = { (long)(pidfd), (long)(sig), (long)(info), (long)(flags), 0, 0 };

	return lkl_syscall(424, params);
}
static inline long lkl_sys_pidfd_open(lkl_pid_t pid, unsigned int flags)
{
	long params[6] = { (long)(pid), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(434, params);
}
static inline long lkl_sys_pidfd_getfd(int pidfd, int fd, unsigned int flags)
{
	long params[6] = { (long)(pidfd), (long)(fd), (long)(flags), 0, 0, 0 };

	return lkl_syscall(438, params);
}
static inline long lkl_sys_open_tree(int dfd, const char *filename, unsigned int flags)
{
	long params[6] = { (long)(dfd), (long)(filename), (long)(flags), 0, 0, 0 };

	return lkl_syscall(428, params);
}
static inline long lkl_sys_move_mount(int from_dfd, const char *from_pathname, int to_dfd, const char *to_pathname, unsigned int flags)
{
	long params[6] = { (long)(from_dfd), (long)(from_pathname), (long)(to_dfd), (long)(to_pathname), (long)(flags), 0 };

	return lkl_syscall(429, params);
}
static inline long lkl_sys_fsopen(const char *fs_name, unsigned int flags)
{
	long params[6] = { (long)(fs_name), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(430, params);
}
static inline long lkl_sys_fsconfig(int fd, unsigned int cmd, const char *key, const void *value, int aux)
{
	long params[6] = { (long)(fd), (long)(cmd), (long)(key), (long)(value), (long)(aux), 0 };

	return lkl_syscall(431, params);
}
static inline long lkl_sys_fsmount(int fs_fd, unsigned int flags, unsigned int attr_flags)
{
	long params[6] = { (long)(fs_fd), (long)(flags), (long)(attr_flags), 0, 0, 0 };

	return lkl_syscall(432, params);
}
static inline long lkl_sys_fspick(int dfd, const char *path, unsigned int flags)
{
	long params[6] = { (long)(dfd), (long)(path), (long)(flags), 0, 0, 0 };

	return lkl_syscall(433, params);
}
static inline long lkl_sys_mount_setattr(int dfd, const char *path, unsigned int flags, void *uattr, lkl_size_t usize)
{
	long params[6] = { (long)(dfd), (long)(path), (long)(flags), (long)(uattr), (long)(usize), 0 };

	return lkl_syscall(442, params);
}
static inline long lkl_sys_process_mrelease(int pidfd, unsigned int flags)
{
	long params[6] = { (long)(pidfd), (long)(flags), 0, 0, 0, 0 };

	return lkl_syscall(448, params);
}
/* end of calls */

/* Calls with other names. */
#define lkl_sys_uname lkl_sys_newuname
#define lkl_sys_umount2 lkl_sys_umount
#define lkl_sys_sendfile64 lkl_sys_sendfile
#define lkl_sys_mmap_pgoff(addr, len, prot, flags, fd, pgoff) lkl_sys_mmap((void *)(addr), len, prot, flags, fd, (lkl_off_t)(pgoff) << 12)

#endif
