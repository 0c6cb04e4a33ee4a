/* What statfs answers (man 2 statfs). */
#ifndef LKL_ASM_STATFS_H
#define LKL_ASM_STATFS_H

#include <lkl/linux/types.h>

struct lkl_statfs {
	long f_type;
	long f_bsize;
	long f_blocks;
	long f_bfree;
	long f_bavail;
	long f_files;
	long f_ffree;
	__lkl__kernel_fsid_t f_fsid;
	long f_namelen;
	long f_frsize;
	long f_flags;
	long f_spare[4];
};

struct lkl_statfs64 {
	long f_type;
	long f_bsize;
	__lkl__u64 f_blocks;
	__lkl__u64 f_bfree;
	__lkl__u64 f_bavail;
	__lkl__u64 f_files;
	__lkl__u64 f_ffree;
	__lkl__kernel_fsid_t f_fsid;
	long f_namelen;
	long f_frsize;
	long f_flags;
	long f_spare[4];
};

#endif
