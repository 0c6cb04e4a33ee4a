/* What stat answers (man 2 stat). */
#ifndef LKL_ASM_STAT_H
#define LKL_ASM_STAT_H

#include <lkl/linux/types.h>

struct lkl_stat {
	unsigned long st_dev;
	unsigned long st_ino;
	unsigned int st_mode;
	unsigned int st_nlink;
	unsigned int st_uid;
	unsigned int st_gid;
	unsigned long st_rdev;
	unsigned long __pad1;
	long st_size;
	int st_blksize;
	int __pad2;
	/* In units of 512 bytes. */
	long st_blocks;
	long lkl_st_atime;
	unsigned long st_atime_nsec;
	long lkl_st_mtime;
	unsigned long st_mtime_nsec;
	long lkl_st_ctime;
	unsigned long st_ctime_nsec;
	unsigned int __unused4;
	unsigned int __unused5;
};

#endif
