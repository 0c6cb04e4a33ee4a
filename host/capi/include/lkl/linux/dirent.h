/* Names in a directory (man 2 getdents64). */
#ifndef LKL_LINUX_DIRENT_H
#define LKL_LINUX_DIRENT_H

#include <lkl/linux/types.h>

/* As getdents64 answers them; each takes d_reclen bytes. */
struct lkl_linux_dirent64 {
	__lkl__u64 d_ino;
	__lkl__s64 d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

#define LKL_DT_UNKNOWN 0
#define LKL_DT_FIFO 1
#define LKL_DT_CHR 2
#define LKL_DT_DIR 4
#define LKL_DT_BLK 6
#define LKL_DT_REG 8
#define LKL_DT_LNK 10
#define LKL_DT_SOCK 12

#endif
