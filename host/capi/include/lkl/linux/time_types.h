#ifndef LKL_LINUX_TIME_TYPES_H
#define LKL_LINUX_TIME_TYPES_H

#include <lkl/linux/time.h>

#endif
