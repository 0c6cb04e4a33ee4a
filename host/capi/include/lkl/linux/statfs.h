#ifndef LKL_LINUX_STATFS_H
#define LKL_LINUX_STATFS_H

#include <lkl/asm/statfs.h>

#endif
