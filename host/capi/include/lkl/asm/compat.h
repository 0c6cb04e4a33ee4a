/*
 * Calls that the generic table does not have, by those that it has. To be included by lkl.h only.
 */
#ifndef LKL_ASM_COMPAT_H
#define LKL_ASM_COMPAT_H

static inline long lkl_sys_stat(const char *path, struct lkl_stat *buf)
{
	return lkl_sys_newfstatat(LKL_AT_FDCWD, path, buf, 0);
}

static inline long lkl_sys_lstat(const char *path, struct lkl_stat *buf)
{
	return lkl_sys_newfstatat(LKL_AT_FDCWD, path, buf, LKL_AT_SYMLINK_NOFOLLOW);
}

static inline long lkl_sys_fstat(unsigned int fd, struct lkl_stat *buf)
{
	return lkl_sys_newfstat(fd, buf);
}

static inline long lkl_sys_fstatat(int dfd, const char *path, struct lkl_stat *buf, int flags)
{
	return lkl_sys_newfstatat(dfd, path, buf, flags);
}
#define lkl_sys_newstat lkl_sys_stat
#define lkl_sys_newlstat lkl_sys_lstat

static inline long lkl_sys_open(const char *path, int flags, int mode)
{
	return lkl_sys_openat(LKL_AT_FDCWD, path, flags, (lkl_umode_t)mode);
}

static inline long lkl_sys_creat(const char *path, int mode)
{
	return lkl_sys_openat(LKL_AT_FDCWD, path, LKL_O_CREAT | LKL_O_WRONLY | LKL_O_TRUNC, (lkl_umode_t)mode);
}

static inline long lkl_sys_access(const char *path, int mode)
{
	return lkl_sys_faccessat(LKL_AT_FDCWD, path, mode);
}

static inline long lkl_sys_chown(const char *path, lkl_uid_t uid, lkl_gid_t gid)
{
	return lkl_sys_fchownat(LKL_AT_FDCWD, path, uid, gid, 0);
}

static inline long lkl_sys_lchown(const char *path, lkl_uid_t uid, lkl_gid_t gid)
{
	return lkl_sys_fchownat(LKL_AT_FDCWD, path, uid, gid, LKL_AT_SYMLINK_NOFOLLOW);
}

static inline long lkl_sys_chmod(const char *path, lkl_mode_t mode)
{
	return lkl_sys_fchmodat(LKL_AT_FDCWD, path, (lkl_umode_t)mode);
}

static inline long lkl_sys_link(const char *existing, const char *newpath)
{
	return lkl_sys_linkat(LKL_AT_FDCWD, existing, LKL_AT_FDCWD, newpath, 0);
}

static inline long lkl_sys_unlink(const char *path)
{
	return lkl_sys_unlinkat(LKL_AT_FDCWD, path, 0);
}

static inline long lkl_sys_symlink(const char *existing, const char *newpath)
{
	return lkl_sys_symlinkat(existing, LKL_AT_FDCWD, newpath);
}

static inline long lkl_sys_readlink(const char *path, char *buf, lkl_size_t bufsize)
{
	return lkl_sys_readlinkat(LKL_AT_FDCWD, path, buf, (int)bufsize);
}

static inline long lkl_sys_rename(const char *oldpath, const char *newpath)
{
	return lkl_sys_renameat2(LKL_AT_FDCWD, oldpath, LKL_AT_FDCWD, newpath, 0);
}

static inline long lkl_sys_mkdir(const char *path, lkl_mode_t mode)
{
	return lkl_sys_mkdirat(LKL_AT_FDCWD, path, (lkl_umode_t)mode);
}

static inline long lkl_sys_rmdir(const char *path)
{
	return lkl_sys_unlinkat(LKL_AT_FDCWD, path, LKL_AT_REMOVEDIR);
}

static inline long lkl_sys_mknod(const char *path, lkl_mode_t mode, lkl_dev_t dev)
{
	return lkl_sys_mknodat(LKL_AT_FDCWD, path, (lkl_umode_t)mode, dev);
}

static inline long lkl_sys_pipe(int fd[2])
{
	return lkl_sys_pipe2(fd, 0);
}

static inline long lkl_sys_dup2(int oldfd, int newfd)
{
	if (oldfd == newfd) {
		long err = lkl_sys_fcntl((unsigned int)oldfd, LKL_F_GETFD, 0);

		return err < 0 ? err : newfd;
	}
	return lkl_sys_dup3((unsigned int)oldfd, (unsigned int)newfd, 0);
}

static inline long lkl_sys_eventfd(unsigned int count)
{
	return lkl_sys_eventfd2(count, 0);
}

static inline long lkl_sys_signalfd(int ufd, const lkl_sigset_t *user_mask, lkl_size_t sizemask)
{
	return lkl_sys_signalfd4(ufd, user_mask, sizemask, 0);
}

static inline long lkl_sys_getpgrp(void)
{
	return lkl_sys_getpgid(0);
}

static inline long lkl_sys_send(int fd, const void *buf, lkl_size_t len, int flags)
{
	return lkl_sys_sendto(fd, buf, len, (unsigned int)flags, 0, 0);
}

static inline long lkl_sys_recv(int fd, void *buf, lkl_size_t len, int flags)
{
	return lkl_sys_recvfrom(fd, buf, len, (unsigned int)flags, 0, 0);
}

static inline long lkl_sys_select(int n, lkl_fd_set *rfds, lkl_fd_set *wfds, lkl_fd_set *efds, struct lkl_timeval *timeout)
{
	struct __lkl__kernel_timespec ts;
	long ret;

	if (!timeout)
		return lkl_sys_pselect6(n, rfds, wfds, efds, 0, 0);
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
		return -LKL_EINVAL;
	ts.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
	ts.tv_nsec = timeout->tv_usec % 1000000 * 1000;
	ret = lkl_sys_pselect6(n, rfds, wfds, efds, &ts, 0);
	timeout->tv_sec = (lkl_time_t)ts.tv_sec;
	timeout->tv_usec = (__lkl__kernel_suseconds_t)(ts.tv_nsec / 1000);
	return ret;
}

static inline long lkl_sys_poll(struct lkl_pollfd *fds, int n, int timeout_ms)
{
	struct __lkl__kernel_timespec ts;

	ts.tv_sec = timeout_ms / 1000;
	ts.tv_nsec = timeout_ms % 1000 * 1000000;
	return lkl_sys_ppoll(fds, (unsigned int)n, timeout_ms < 0 ? 0 : &ts, 0, 0);
}

static inline long lkl_sys_epoll_create(int size)
{
	return size > 0 ? lkl_sys_epoll_create1(0) : -LKL_EINVAL;
}

static inline long lkl_sys_epoll_wait(int epfd, struct lkl_epoll_event *ev, int max, int timeout_ms)
{
	return lkl_sys_epoll_pwait(epfd, ev, max, timeout_ms, 0, 0);
}

#endif
