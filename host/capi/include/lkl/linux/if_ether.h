/* Ethernet. */
#ifndef LKL_LINUX_IF_ETHER_H
#define LKL_LINUX_IF_ETHER_H

#include <lkl/linux/types.h>

/* constants: if_ether */
#define LKL_ETH_ALEN 6
#define LKL_ETH_HLEN 0xe
#define LKL_ETH_P_IP 0x800
#define LKL_ETH_P_ARP 0x806
#define LKL_ETH_P_8021Q 0x8100
#define LKL_ETH_P_IPV6 0x86dd
/* end of constants */
#define LKL_ETH_P_ALL 0x0003

struct lkl_ethhdr {
	unsigned char h_dest[6];
	unsigned char h_source[6];
	__lkl__be16 h_proto;
};

#endif
