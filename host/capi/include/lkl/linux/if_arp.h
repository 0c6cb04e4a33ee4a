/* ARP (man 7 arp). */
#ifndef LKL_LINUX_IF_ARP_H
#define LKL_LINUX_IF_ARP_H

#include <lkl/linux/socket.h>

/* constants: if_ ARPHRD_ ATF_ */
#define LKL_ARPHRD_ETHER 1
#define LKL_ARPHRD_LOOPBACK 0x304
#define LKL_ATF_COM 2
#define LKL_ATF_PERM 4
#define LKL_ATF_PUBL 8
#define LKL_ATF_NETMASK 0x20
#define LKL_ATF_DONTPUB 0x40
/* end of constants */

struct lkl_arpreq {
	struct lkl_sockaddr arp_pa;
	struct lkl_sockaddr arp_ha;
	int arp_flags;
	struct lkl_sockaddr arp_netmask;
	char arp_dev[16];
};

#endif
