/* Addresses of interfaces, for SIOCSIFADDR of IPv6 (man 7 ipv6). */
#ifndef LKL_LINUX_IPV6_H
#define LKL_LINUX_IPV6_H

#include <lkl/linux/in6.h>

struct lkl_in6_ifreq {
	struct lkl_in6_addr ifr6_addr;
	__lkl__u32 ifr6_prefixlen;
	int ifr6_ifindex;
};

#endif
