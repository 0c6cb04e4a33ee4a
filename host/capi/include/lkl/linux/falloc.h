/* Modes of fallocate (man 2 fallocate). */
#ifndef LKL_LINUX_FALLOC_H
#define LKL_LINUX_FALLOC_H

/* constants: falloc */
#define LKL_FALLOC_FL_PUNCH_HOLE 2
#define LKL_FALLOC_FL_COLLAPSE_RANGE 8
#define LKL_FALLOC_FL_ZERO_RANGE 0x10
#define LKL_FALLOC_FL_INSERT_RANGE 0x20
#define LKL_FALLOC_FL_UNSHARE_RANGE 0x40
/* end of constants */

#endif
