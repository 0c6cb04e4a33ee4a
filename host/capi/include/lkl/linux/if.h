/* Interfaces (man 7 netdevice). */
#ifndef LKL_LINUX_IF_H
#define LKL_LINUX_IF_H

#include <lkl/linux/socket.h>

#define LKL_IFNAMSIZ 16
#define LKL_IFHWADDRLEN 6

/* constants: if_ IFF_ */
#define LKL_IFF_UP 1
#define LKL_IFF_BROADCAST 2
#define LKL_IFF_DEBUG 4
#define LKL_IFF_LOOPBACK 8
#define LKL_IFF_POINTOPOINT 0x10
#define LKL_IFF_NOTRAILERS 0x20
#define LKL_IFF_RUNNING 0x40
#define LKL_IFF_NOARP 0x80
#define LKL_IFF_PROMISC 0x100
#define LKL_IFF_ALLMULTI 0x200
#define LKL_IFF_MULTICAST 0x1000
#define LKL_IFF_PORTSEL 0x2000
#define LKL_IFF_AUTOMEDIA 0x4000
#define LKL_IFF_DYNAMIC 0x8000
#define LKL_IFF_LOWER_UP 0x10000
/* end of constants */

struct lkl_ifmap {
	unsigned long mem_start;
	unsigned long mem_end;
	unsigned short base_addr;
	unsigned char irq;
	unsigned char dma;
	unsigned char port;
};

struct lkl_ifreq {
	union {
		char ifrn_name[LKL_IFNAMSIZ];
	} ifr_ifrn;
	union {
		struct lkl_sockaddr ifru_addr;
		struct lkl_sockaddr ifru_dstaddr;
		struct lkl_sockaddr ifru_broadaddr;
		struct lkl_sockaddr ifru_netmask;
		struct lkl_sockaddr ifru_hwaddr;
		short ifru_flags;
		int ifru_ivalue;
		int ifru_mtu;
		struct lkl_ifmap ifru_map;
		char ifru_slave[LKL_IFNAMSIZ];
		char ifru_newname[LKL_IFNAMSIZ];
		void *ifru_data;
	} ifr_ifru;
};

#define lkl_ifr_name ifr_ifrn.ifrn_name
#define lkl_ifr_hwaddr ifr_ifru.ifru_hwaddr
#define lkl_ifr_addr ifr_ifru.ifru_addr
#define lkl_ifr_dstaddr ifr_ifru.ifru_dstaddr
#define lkl_ifr_broadaddr ifr_ifru.ifru_broadaddr
#define lkl_ifr_netmask ifr_ifru.ifru_netmask
#define lkl_ifr_flags ifr_ifru.ifru_flags
#define lkl_ifr_metric ifr_ifru.ifru_ivalue
#define lkl_ifr_mtu ifr_ifru.ifru_mtu
#define lkl_ifr_map ifr_ifru.ifru_map
#define lkl_ifr_slave ifr_ifru.ifru_slave
#define lkl_ifr_data ifr_ifru.ifru_data
#define lkl_ifr_ifindex ifr_ifru.ifru_ivalue
#define lkl_ifr_qlen ifr_ifru.ifru_ivalue
#define lkl_ifr_newname ifr_ifru.ifru_newname

struct lkl_ifconf {
	int ifc_len;
	union {
		char *ifcu_buf;
		struct lkl_ifreq *ifcu_req;
	} ifc_ifcu;
};
#define lkl_ifc_buf ifc_ifcu.ifcu_buf
#define lkl_ifc_req ifc_ifcu.ifcu_req

#endif
