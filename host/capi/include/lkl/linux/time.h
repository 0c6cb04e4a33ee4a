/* Times and clocks (man 2 clock_gettime). */
#ifndef LKL_LINUX_TIME_H
#define LKL_LINUX_TIME_H

#include <lkl/linux/types.h>

struct lkl_timespec {
	__lkl__kernel_old_time_t tv_sec;
	long tv_nsec;
};

struct lkl_timeval {
	__lkl__kernel_old_time_t tv_sec;
	__lkl__kernel_suseconds_t tv_usec;
};

struct lkl_itimerspec {
	struct lkl_timespec it_interval;
	struct lkl_timespec it_value;
};

struct lkl_itimerval {
	struct lkl_timeval it_interval;
	struct lkl_timeval it_value;
};

struct lkl_timezone {
	int tz_minuteswest;
	int tz_dsttime;
};

struct __lkl__kernel_timespec {
	__lkl__kernel_time64_t tv_sec;
	long long tv_nsec;
};

struct __lkl__kernel_itimerspec {
	struct __lkl__kernel_timespec it_interval;
	struct __lkl__kernel_timespec it_value;
};

struct __lkl__kernel_old_timeval {
	__lkl__kernel_long_t tv_sec;
	__lkl__kernel_long_t tv_usec;
};

/* constants: clock */
#define LKL_CLOCK_REALTIME 0
#define LKL_CLOCK_MONOTONIC 1
#define LKL_CLOCK_PROCESS_CPUTIME_ID 2
#define LKL_CLOCK_THREAD_CPUTIME_ID 3
#define LKL_CLOCK_MONOTONIC_RAW 4
#define LKL_CLOCK_REALTIME_COARSE 5
#define LKL_CLOCK_MONOTONIC_COARSE 6
#define LKL_CLOCK_BOOTTIME 7
#define LKL_CLOCK_REALTIME_ALARM 8
#define LKL_CLOCK_BOOTTIME_ALARM 9
#define LKL_CLOCK_TAI 0xb
#define LKL_TIMER_ABSTIME 1
/* end of constants */

#define LKL_ITIMER_REAL 0
#define LKL_ITIMER_VIRTUAL 1
#define LKL_ITIMER_PROF 2

#endif
