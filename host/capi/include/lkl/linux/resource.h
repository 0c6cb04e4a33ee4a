/* Limits and use of resources (man 2 getrlimit). */
#ifndef LKL_LINUX_RESOURCE_H
#define LKL_LINUX_RESOURCE_H

#include <lkl/linux/time.h>

/* constants: resource */
#define LKL_RLIMIT_CPU 0
#define LKL_RLIMIT_FSIZE 1
#define LKL_RLIMIT_DATA 2
#define LKL_RLIMIT_STACK 3
#define LKL_RLIMIT_CORE 4
#define LKL_RLIMIT_RSS 5
#define LKL_RLIMIT_NPROC 6
#define LKL_RLIMIT_NOFILE 7
#define LKL_RLIMIT_MEMLOCK 8
#define LKL_RLIMIT_AS 9
#define LKL_RLIMIT_LOCKS 0xa
#define LKL_RLIMIT_SIGPENDING 0xb
#define LKL_RLIMIT_MSGQUEUE 0xc
#define LKL_RLIMIT_NICE 0xd
#define LKL_RLIMIT_RTPRIO 0xe
#define LKL_RLIMIT_RTTIME 0xf
#define LKL_RLIM_NLIMITS 0x10
#define LKL_RLIM_INFINITY 0xffffffffffffffffULL
/* end of constants */

#define LKL_RUSAGE_SELF 0
#define LKL_RUSAGE_CHILDREN (-1)
#define LKL_RUSAGE_THREAD 1

struct lkl_rlimit {
	__lkl__kernel_ulong_t rlim_cur;
	__lkl__kernel_ulong_t rlim_max;
};

struct lkl_rlimit64 {
	__lkl__u64 rlim_cur;
	__lkl__u64 rlim_max;
};

struct lkl_rusage {
	struct __lkl__kernel_old_timeval ru_utime;
	struct __lkl__kernel_old_timeval ru_stime;
	__lkl__kernel_long_t ru_maxrss;
	__lkl__kernel_long_t ru_ixrss;
	__lkl__kernel_long_t ru_idrss;
	__lkl__kernel_long_t ru_isrss;
	__lkl__kernel_long_t ru_minflt;
	__lkl__kernel_long_t ru_majflt;
	__lkl__kernel_long_t ru_nswap;
	__lkl__kernel_long_t ru_inblock;
	__lkl__kernel_long_t ru_oublock;
	__lkl__kernel_long_t ru_msgsnd;
	__lkl__kernel_long_t ru_msgrcv;
	__lkl__kernel_long_t ru_nsignals;
	__lkl__kernel_long_t ru_nvcsw;
	__lkl__kernel_long_t ru_nivcsw;
};

#endif
