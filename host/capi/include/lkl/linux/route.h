/* Routes, for SIOCADDRT (man 7 ip). */
#ifndef LKL_LINUX_ROUTE_H
#define LKL_LINUX_ROUTE_H

#include <lkl/linux/socket.h>

/* constants: if_ RTF_ */
#define LKL_RTF_UP 1
#define LKL_RTF_GATEWAY 2
#define LKL_RTF_HOST 4
#define LKL_RTF_DYNAMIC 0x10
#define LKL_RTF_MTU 0x40
#define LKL_RTF_WINDOW 0x80
#define LKL_RTF_IRTT 0x100
#define LKL_RTF_REJECT 0x200
#define LKL_RTF_DEFAULT 0x10000
#define LKL_RTF_ADDRCONF 0x40000
#define LKL_RTF_NONEXTHOP 0x200000
#define LKL_RTF_EXPIRES 0x400000
#define LKL_RTF_ANYCAST 0x100000
#define LKL_RTF_LOCAL 0x80000000
/* end of constants */

struct lkl_rtentry {
	unsigned long rt_pad1;
	struct lkl_sockaddr rt_dst;
	struct lkl_sockaddr rt_gateway;
	struct lkl_sockaddr rt_genmask;
	unsigned short rt_flags;
	short rt_pad2;
	unsigned long rt_pad3;
	void *rt_pad4;
	short rt_metric;
	char *rt_dev;
	unsigned long rt_mtu;
	unsigned long rt_window;
	unsigned short rt_irtt;
};

#endif
