#ifndef LKL_LINUX_ERRNO_H
#define LKL_LINUX_ERRNO_H

#include <lkl/asm/errno.h>

#endif
