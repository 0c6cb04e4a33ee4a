/* Advice of fadvise64 (man 2 posix_fadvise). */
#ifndef LKL_LINUX_FADVISE_H
#define LKL_LINUX_FADVISE_H

/* constants: fadvise */
#define LKL_POSIX_FADV_NORMAL 0
#define LKL_POSIX_FADV_RANDOM 1
#define LKL_POSIX_FADV_SEQUENTIAL 2
#define LKL_POSIX_FADV_WILLNEED 3
#define LKL_POSIX_FADV_DONTNEED 4
#define LKL_POSIX_FADV_NOREUSE 5
/* end of constants */

#endif
