/* Limits of names. */
#ifndef LKL_LINUX_LIMITS_H
#define LKL_LINUX_LIMITS_H

/* constants: limits */
#define LKL_PATH_MAX 0x1000
#define LKL_NAME_MAX 0xff
#define LKL_NGROUPS_MAX 0x10000
#define LKL_XATTR_NAME_MAX 0xff
#define LKL_XATTR_SIZE_MAX 0x10000
#define LKL_XATTR_LIST_MAX 0x10000
/* end of constants */

#endif
