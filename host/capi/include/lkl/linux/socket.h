#ifndef LKL_LINUX_SOCKET_H
#define LKL_LINUX_SOCKET_H

#include <lkl/asm/socket.h>

#endif
