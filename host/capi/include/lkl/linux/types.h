/* Integer types of the kernel's interface. They are the same on every host: that of a 64-bit machine (an `unsigned long` of Windows is not). */
#ifndef LKL_LINUX_TYPES_H
#define LKL_LINUX_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int8_t __lkl__s8;
typedef uint8_t __lkl__u8;
typedef int16_t __lkl__s16;
typedef uint16_t __lkl__u16;
typedef int32_t __lkl__s32;
typedef uint32_t __lkl__u32;
typedef long long __lkl__s64;
typedef unsigned long long __lkl__u64;

/* In the order of bytes that the names say. */
typedef __lkl__u16 __lkl__le16;
typedef __lkl__u16 __lkl__be16;
typedef __lkl__u32 __lkl__le32;
typedef __lkl__u32 __lkl__be32;
typedef __lkl__u64 __lkl__le64;
typedef __lkl__u64 __lkl__be64;
typedef __lkl__u16 __lkl__sum16;
typedef __lkl__u32 __lkl__wsum;

typedef long __lkl__kernel_long_t;
typedef unsigned long __lkl__kernel_ulong_t;
typedef __lkl__kernel_ulong_t __lkl__kernel_ino_t;
typedef unsigned int __lkl__kernel_mode_t;
typedef int __lkl__kernel_pid_t;
typedef unsigned int __lkl__kernel_uid_t;
typedef unsigned int __lkl__kernel_gid_t;
typedef unsigned int __lkl__kernel_uid32_t;
typedef unsigned int __lkl__kernel_gid32_t;
typedef __lkl__kernel_ulong_t __lkl__kernel_size_t;
typedef __lkl__kernel_long_t __lkl__kernel_ssize_t;
typedef __lkl__kernel_long_t __lkl__kernel_off_t;
typedef long long __lkl__kernel_loff_t;
typedef __lkl__kernel_long_t __lkl__kernel_old_time_t;
typedef __lkl__kernel_long_t __lkl__kernel_time_t;
typedef long long __lkl__kernel_time64_t;
typedef __lkl__kernel_long_t __lkl__kernel_suseconds_t;
typedef __lkl__kernel_long_t __lkl__kernel_clock_t;
typedef int __lkl__kernel_timer_t;
typedef int __lkl__kernel_clockid_t;
typedef unsigned short __lkl__kernel_sa_family_t;
typedef struct {
	int val[2];
} __lkl__kernel_fsid_t;

typedef __lkl__kernel_size_t lkl_size_t;
typedef __lkl__kernel_ssize_t lkl_ssize_t;
typedef __lkl__kernel_off_t lkl_off_t;
typedef __lkl__kernel_loff_t lkl_loff_t;
typedef __lkl__kernel_uid32_t lkl_uid_t;
typedef __lkl__kernel_gid32_t lkl_gid_t;
typedef __lkl__kernel_pid_t lkl_pid_t;
typedef __lkl__kernel_time_t lkl_time_t;
typedef __lkl__kernel_clock_t lkl_clock_t;
typedef __lkl__kernel_clockid_t lkl_clockid_t;
typedef __lkl__kernel_timer_t lkl_timer_t;
typedef unsigned short lkl_umode_t;
typedef __lkl__u32 lkl_dev_t;
typedef unsigned int lkl_mode_t;
typedef __lkl__kernel_sa_family_t lkl_sa_family_t;
typedef unsigned int lkl_socklen_t;

/* A set of 64 signals; bit n - 1 is signal n. */
typedef struct {
	unsigned long sig[64 / (8 * sizeof(unsigned long))];
} lkl_sigset_t;

/* A set of descriptors, for select. */
#define __LKL__FD_SETSIZE 1024
#define LKL_FD_SETSIZE __LKL__FD_SETSIZE
typedef struct {
	unsigned long fds_bits[__LKL__FD_SETSIZE / (8 * sizeof(long))];
} __lkl__kernel_fd_set;
typedef __lkl__kernel_fd_set lkl_fd_set;

#define LKL_NFDBITS ((int)(8 * sizeof(unsigned long)))
#define LKL_FD_SET(fd, set) ((set)->fds_bits[(fd) / LKL_NFDBITS] |= 1UL << ((fd) % LKL_NFDBITS))
#define LKL_FD_CLR(fd, set) ((set)->fds_bits[(fd) / LKL_NFDBITS] &= ~(1UL << ((fd) % LKL_NFDBITS)))
#define LKL_FD_ISSET(fd, set) (((set)->fds_bits[(fd) / LKL_NFDBITS] >> ((fd) % LKL_NFDBITS)) & 1UL)
static inline void lkl_fd_zero_(lkl_fd_set *set)
{
	size_t i;

	for (i = 0; i < sizeof(set->fds_bits) / sizeof(set->fds_bits[0]); i++)
		set->fds_bits[i] = 0;
}
#define LKL_FD_ZERO(set) lkl_fd_zero_(set)

#endif
