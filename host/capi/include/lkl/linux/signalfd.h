/* signalfd (man 2 signalfd). The signals are those of the program itself: lkl_sys_signalfd4 takes a set as the host's sigset_t has it. */
#ifndef LKL_LINUX_SIGNALFD_H
#define LKL_LINUX_SIGNALFD_H

#include <lkl/linux/types.h>

/* constants: signalfd */
#define LKL_SFD_CLOEXEC 0x80000
#define LKL_SFD_NONBLOCK 0x800
/* end of constants */

/* What is read for each signal. */
struct lkl_signalfd_siginfo {
	__lkl__u32 ssi_signo;
	__lkl__s32 ssi_errno;
	__lkl__s32 ssi_code;
	__lkl__u32 ssi_pid;
	__lkl__u32 ssi_uid;
	__lkl__s32 ssi_fd;
	__lkl__u32 ssi_tid;
	__lkl__u32 ssi_band;
	__lkl__u32 ssi_overrun;
	__lkl__u32 ssi_trapno;
	__lkl__s32 ssi_status;
	__lkl__s32 ssi_int;
	__lkl__u64 ssi_ptr;
	__lkl__u64 ssi_utime;
	__lkl__u64 ssi_stime;
	__lkl__u64 ssi_addr;
	__lkl__u16 ssi_addr_lsb;
	__lkl__u16 __pad2;
	__lkl__s32 ssi_syscall;
	__lkl__u64 ssi_call_addr;
	__lkl__u32 ssi_arch;
	__lkl__u8 __pad[28];
};

#endif
