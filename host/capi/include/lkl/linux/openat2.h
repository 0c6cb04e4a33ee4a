/* How openat2 opens (man 2 openat2). */
#ifndef LKL_LINUX_OPENAT2_H
#define LKL_LINUX_OPENAT2_H

#include <lkl/linux/types.h>

struct lkl_open_how {
	__lkl__u64 flags;
	__lkl__u64 mode;
	__lkl__u64 resolve;
};

/* constants: openat2 RESOLVE_ */
#define LKL_RESOLVE_NO_XDEV 1
#define LKL_RESOLVE_NO_MAGICLINKS 2
#define LKL_RESOLVE_NO_SYMLINKS 4
#define LKL_RESOLVE_BENEATH 8
#define LKL_RESOLVE_IN_ROOT 0x10
#define LKL_RESOLVE_CACHED 0x20
/* end of constants */

#endif
