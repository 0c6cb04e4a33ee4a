/* What sysinfo answers (man 2 sysinfo). */
#ifndef LKL_LINUX_SYSINFO_H
#define LKL_LINUX_SYSINFO_H

#include <lkl/linux/types.h>

struct lkl_sysinfo {
	__lkl__kernel_long_t uptime;
	__lkl__kernel_ulong_t loads[3];
	__lkl__kernel_ulong_t totalram;
	__lkl__kernel_ulong_t freeram;
	__lkl__kernel_ulong_t sharedram;
	__lkl__kernel_ulong_t bufferram;
	__lkl__kernel_ulong_t totalswap;
	__lkl__kernel_ulong_t freeswap;
	__lkl__u16 procs;
	__lkl__u16 pad;
	__lkl__kernel_ulong_t totalhigh;
	__lkl__kernel_ulong_t freehigh;
	__lkl__u32 mem_unit;
};

#endif
