/* epoll (man 7 epoll). */
#ifndef LKL_LINUX_EVENTPOLL_H
#define LKL_LINUX_EVENTPOLL_H

#include <lkl/linux/types.h>
#include <lkl/linux/fcntl.h>

/* constants: epoll */
#define LKL_EPOLL_CLOEXEC 0x80000
#define LKL_EPOLL_CTL_ADD 1
#define LKL_EPOLL_CTL_DEL 2
#define LKL_EPOLL_CTL_MOD 3
#define LKL_EPOLLIN 1
#define LKL_EPOLLPRI 2
#define LKL_EPOLLOUT 4
#define LKL_EPOLLERR 8
#define LKL_EPOLLHUP 0x10
#define LKL_EPOLLNVAL 0x20
#define LKL_EPOLLRDNORM 0x40
#define LKL_EPOLLRDBAND 0x80
#define LKL_EPOLLWRNORM 0x100
#define LKL_EPOLLWRBAND 0x200
#define LKL_EPOLLMSG 0x400
#define LKL_EPOLLRDHUP 0x2000
#define LKL_EPOLLEXCLUSIVE 0x10000000
#define LKL_EPOLLWAKEUP 0x20000000
#define LKL_EPOLLONESHOT 0x40000000
#define LKL_EPOLLET 0x80000000
#define LKL_EPOLL_EVENT_DATA 8
/* end of constants */

/* As on every machine but x86-64 it is not packed. */
struct lkl_epoll_event {
	__lkl__u32 events;
	__lkl__u64 data;
};

#endif
