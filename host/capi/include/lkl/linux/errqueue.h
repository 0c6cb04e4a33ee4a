/* The error queue of a socket (man 7 ip). */
#ifndef LKL_LINUX_ERRQUEUE_H
#define LKL_LINUX_ERRQUEUE_H

#include <lkl/linux/types.h>

/* constants: errqueue */
#define LKL_SO_EE_ORIGIN_LOCAL 1
#define LKL_SO_EE_ORIGIN_ICMP 2
#define LKL_SO_EE_ORIGIN_ICMP6 3
#define LKL_SO_EE_ORIGIN_TIMESTAMPING 4
#define LKL_SO_EE_ORIGIN_ZEROCOPY 5
#define LKL_SO_EE_CODE_ZEROCOPY_COPIED 1
#define LKL_SCM_TSTAMP_SND 0
#define LKL_SCM_TSTAMP_SCHED 1
#define LKL_SCM_TSTAMP_ACK 2
/* end of constants */

struct lkl_sock_extended_err {
	__lkl__u32 ee_errno;
	__lkl__u8 ee_origin;
	__lkl__u8 ee_type;
	__lkl__u8 ee_code;
	__lkl__u8 ee_pad;
	__lkl__u32 ee_info;
	__lkl__u32 ee_data;
};

#endif
