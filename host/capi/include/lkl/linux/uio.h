/* Pieces of memory (man 2 readv, man 2 splice). */
#ifndef LKL_LINUX_UIO_H
#define LKL_LINUX_UIO_H

#include <lkl/linux/types.h>

struct lkl_iovec {
	void *iov_base;
	__lkl__kernel_size_t iov_len;
};

#define LKL_UIO_FASTIOV 8
#define LKL_UIO_MAXIOV 1024

/* constants: uio RWF_ */
#define LKL_RWF_HIPRI 1
#define LKL_RWF_DSYNC 2
#define LKL_RWF_SYNC 4
#define LKL_RWF_NOWAIT 8
#define LKL_RWF_APPEND 0x10
#define LKL_RWF_NOAPPEND 0x20
#define LKL_RWF_DONTCACHE 0x80
/* end of constants */
/* constants: splice */
#define LKL_SPLICE_F_MOVE 1
#define LKL_SPLICE_F_NONBLOCK 2
#define LKL_SPLICE_F_MORE 4
#define LKL_SPLICE_F_GIFT 8
/* end of constants */

#endif
