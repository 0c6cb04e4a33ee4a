#ifndef LKL_LINUX_POLL_H
#define LKL_LINUX_POLL_H

#include <lkl/asm/poll.h>

#endif
