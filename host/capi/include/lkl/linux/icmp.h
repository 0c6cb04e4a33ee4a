/* ICMP (RFC 792, man 7 icmp). */
#ifndef LKL_LINUX_ICMP_H
#define LKL_LINUX_ICMP_H

#include <lkl/linux/types.h>

#define LKL_ICMP_ECHOREPLY 0
#define LKL_ICMP_DEST_UNREACH 3
#define LKL_ICMP_REDIRECT 5
#define LKL_ICMP_ECHO 8
#define LKL_ICMP_TIME_EXCEEDED 11
#define LKL_ICMP_FILTER 1

struct lkl_icmphdr {
	__lkl__u8 type;
	__lkl__u8 code;
	__lkl__sum16 checksum;
	union {
		struct {
			__lkl__be16 id;
			__lkl__be16 sequence;
		} echo;
		__lkl__be32 gateway;
		struct {
			__lkl__be16 __unused;
			__lkl__be16 mtu;
		} frag;
	} un;
};

#endif
