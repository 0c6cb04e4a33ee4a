#ifndef LKL_LINUX_UNISTD_H
#define LKL_LINUX_UNISTD_H

#include <lkl/asm/unistd.h>

#endif
