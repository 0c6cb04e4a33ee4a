/* Packet sockets (man 7 packet). */
#ifndef LKL_LINUX_IF_PACKET_H
#define LKL_LINUX_IF_PACKET_H

#include <lkl/linux/types.h>

/* constants: if_packet !SOL_ !ETH_ */
#define LKL_PACKET_MR_MULTICAST 0
#define LKL_PACKET_MR_PROMISC 1
#define LKL_PACKET_MR_ALLMULTI 2
#define LKL_PACKET_MR_UNICAST 3
#define LKL_TP_STATUS_USER 1
#define LKL_TP_STATUS_CSUMNOTREADY 8
#define LKL_TP_STATUS_CSUM_VALID 0x80
/* end of constants */

struct lkl_sockaddr_ll {
	unsigned short sll_family;
	__lkl__be16 sll_protocol;
	int sll_ifindex;
	unsigned short sll_hatype;
	unsigned char sll_pkttype;
	unsigned char sll_halen;
	unsigned char sll_addr[8];
};

#endif
