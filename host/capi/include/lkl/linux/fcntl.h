#ifndef LKL_LINUX_FCNTL_H
#define LKL_LINUX_FCNTL_H

#include <lkl/asm/fcntl.h>
#include <lkl/linux/openat2.h>

#endif
