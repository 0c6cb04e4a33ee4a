/* IPv6 (man 7 ipv6). */
#ifndef LKL_LINUX_IN6_H
#define LKL_LINUX_IN6_H

#include <lkl/linux/in.h>

struct lkl_in6_addr {
	union {
		__lkl__u8 u6_addr8[16];
		__lkl__be16 u6_addr16[8];
		__lkl__be32 u6_addr32[4];
	} in6_u;
};
/* LKL's names of the members are lkl_s6_addr, and so on. */
#define lkl_s6_addr in6_u.u6_addr8
#define lkl_s6_addr16 in6_u.u6_addr16
#define lkl_s6_addr32 in6_u.u6_addr32

struct lkl_sockaddr_in6 {
	unsigned short int sin6_family;
	__lkl__be16 sin6_port;
	__lkl__be32 sin6_flowinfo;
	struct lkl_in6_addr sin6_addr;
	__lkl__u32 sin6_scope_id;
};

struct lkl_ipv6_mreq {
	struct lkl_in6_addr ipv6mr_multiaddr;
	int ipv6mr_ifindex;
};

struct lkl_in6_pktinfo {
	struct lkl_in6_addr ipi6_addr;
	int ipi6_ifindex;
};

#define LKL_IPV6_UNICAST_HOPS 16
#define LKL_IPV6_MULTICAST_IF 17
#define LKL_IPV6_MULTICAST_HOPS 18
#define LKL_IPV6_MULTICAST_LOOP 19
#define LKL_IPV6_ADD_MEMBERSHIP 20
#define LKL_IPV6_DROP_MEMBERSHIP 21
#define LKL_IPV6_MTU_DISCOVER 23
#define LKL_IPV6_MTU 24
#define LKL_IPV6_RECVERR 25
#define LKL_IPV6_V6ONLY 26
#define LKL_IPV6_RECVPKTINFO 49
#define LKL_IPV6_PKTINFO 50
#define LKL_IPV6_RECVHOPLIMIT 51
#define LKL_IPV6_HOPLIMIT 52
#define LKL_IPV6_RECVTCLASS 66
#define LKL_IPV6_TCLASS 67

#endif
