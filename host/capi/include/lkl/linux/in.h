/* IPv4 (man 7 ip). */
#ifndef LKL_LINUX_IN_H
#define LKL_LINUX_IN_H

#include <lkl/linux/socket.h>

struct lkl_in_addr {
	__lkl__be32 s_addr;
};

#define __LKL__SOCK_SIZE__ 16
struct lkl_sockaddr_in {
	__lkl__kernel_sa_family_t sin_family;
	__lkl__be16 sin_port;
	struct lkl_in_addr sin_addr;
	unsigned char __pad[8];
};

struct lkl_ip_mreq {
	struct lkl_in_addr imr_multiaddr;
	struct lkl_in_addr imr_interface;
};

struct lkl_ip_mreqn {
	struct lkl_in_addr imr_multiaddr;
	struct lkl_in_addr imr_address;
	int imr_ifindex;
};

struct lkl_in_pktinfo {
	int ipi_ifindex;
	struct lkl_in_addr ipi_spec_dst;
	struct lkl_in_addr ipi_addr;
};

enum {
	LKL_IPPROTO_IP = 0,
	LKL_IPPROTO_ICMP = 1,
	LKL_IPPROTO_IGMP = 2,
	LKL_IPPROTO_TCP = 6,
	LKL_IPPROTO_UDP = 17,
	LKL_IPPROTO_IPV6 = 41,
	LKL_IPPROTO_ICMPV6 = 58,
	LKL_IPPROTO_RAW = 255
};

#define LKL_INADDR_ANY 0x00000000U
#define LKL_INADDR_BROADCAST 0xffffffffU
#define LKL_INADDR_NONE 0xffffffffU
#define LKL_INADDR_LOOPBACK 0x7f000001U

#define LKL_IP_TOS 1
#define LKL_IP_TTL 2
#define LKL_IP_HDRINCL 3
#define LKL_IP_OPTIONS 4
#define LKL_IP_RECVOPTS 6
#define LKL_IP_PKTINFO 8
#define LKL_IP_MTU_DISCOVER 10
#define LKL_IP_RECVERR 11
#define LKL_IP_RECVTTL 12
#define LKL_IP_RECVTOS 13
#define LKL_IP_MTU 14
#define LKL_IP_FREEBIND 15
#define LKL_IP_TRANSPARENT 19
#define LKL_IP_MULTICAST_IF 32
#define LKL_IP_MULTICAST_TTL 33
#define LKL_IP_MULTICAST_LOOP 34
#define LKL_IP_ADD_MEMBERSHIP 35
#define LKL_IP_DROP_MEMBERSHIP 36

#endif
