/* poll (man 2 poll). */
#ifndef LKL_ASM_POLL_H
#define LKL_ASM_POLL_H

#define LKL_POLLIN 0x0001
#define LKL_POLLPRI 0x0002
#define LKL_POLLOUT 0x0004
#define LKL_POLLERR 0x0008
#define LKL_POLLHUP 0x0010
#define LKL_POLLNVAL 0x0020
#define LKL_POLLRDNORM 0x0040
#define LKL_POLLRDBAND 0x0080
#define LKL_POLLWRNORM 0x0100
#define LKL_POLLWRBAND 0x0200
#define LKL_POLLMSG 0x0400
#define LKL_POLLREMOVE 0x1000
#define LKL_POLLRDHUP 0x2000

struct lkl_pollfd {
	int fd;
	short events;
	short revents;
};

#endif
