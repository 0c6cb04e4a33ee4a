/* Extended attributes (man 7 xattr). */
#ifndef LKL_LINUX_XATTR_H
#define LKL_LINUX_XATTR_H

/* constants: xattr */
#define LKL_XATTR_CREATE 1
#define LKL_XATTR_REPLACE 2
/* end of constants */

#endif
