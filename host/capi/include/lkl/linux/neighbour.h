/* Neighbours (man 7 rtnetlink). */
#ifndef LKL_LINUX_NEIGHBOUR_H
#define LKL_LINUX_NEIGHBOUR_H

#include <lkl/linux/types.h>

struct lkl_ndmsg {
	__lkl__u8 ndm_family;
	__lkl__u8 ndm_pad1;
	__lkl__u16 ndm_pad2;
	__lkl__s32 ndm_ifindex;
	__lkl__u16 ndm_state;
	__lkl__u8 ndm_flags;
	__lkl__u8 ndm_type;
};

/* constants: rtnetlink NDA_ NUD_ NTF_ NDTA_ */
#define LKL_NDA_DST 1
#define LKL_NDA_LLADDR 2
#define LKL_NDA_CACHEINFO 3
#define LKL_NDA_PROBES 4
#define LKL_NDA_IFINDEX 8
#define LKL_NDA_MASTER 9
#define LKL_NDA_PROTOCOL 0xc
#define LKL_NDA_FLAGS_EXT 0xf
#define LKL_NUD_INCOMPLETE 1
#define LKL_NUD_REACHABLE 2
#define LKL_NUD_STALE 4
#define LKL_NUD_DELAY 8
#define LKL_NUD_PROBE 0x10
#define LKL_NUD_FAILED 0x20
#define LKL_NUD_NOARP 0x40
#define LKL_NUD_PERMANENT 0x80
#define LKL_NTF_USE 1
#define LKL_NTF_SELF 2
#define LKL_NTF_PROXY 8
#define LKL_NTF_ROUTER 0x80
#define LKL_NDTA_NAME 1
#define LKL_NDTA_THRESH1 2
#define LKL_NDTA_THRESH2 3
#define LKL_NDTA_THRESH3 4
#define LKL_NDTA_CONFIG 5
#define LKL_NDTA_PARMS 6
#define LKL_NDTA_GC_INTERVAL 8
/* end of constants */

#endif
