/* The header of IPv4 (RFC 791). */
#ifndef LKL_LINUX_IP_H
#define LKL_LINUX_IP_H

#include <lkl/linux/types.h>

struct lkl_iphdr {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	__lkl__u8 version : 4, ihl : 4;
#else
	__lkl__u8 ihl : 4, version : 4;
#endif
	__lkl__u8 tos;
	__lkl__be16 tot_len;
	__lkl__be16 id;
	__lkl__be16 frag_off;
	__lkl__u8 ttl;
	__lkl__u8 protocol;
	__lkl__sum16 check;
	__lkl__be32 saddr;
	__lkl__be32 daddr;
};

#endif
