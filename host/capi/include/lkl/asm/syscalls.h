/*
 * System calls: lkl_syscall, and a function lkl_sys_NAME for each of them (lkl/asm/syscall_defs.h).
 *
 * They answer as the manual page of the call says, but for errors: the number of the error with a minus before it (-LKL_ENOENT). Every
 * number that the kernel does not have answers -LKL_ENOSYS. Before a kernel is started, and after it was halted, all answer -LKL_ENODEV.
 *
 * Each thread that calls is a thread of one process of the kernel, number 1: all share its descriptors, the first of which is 0.
 */
#ifndef LKL_ASM_SYSCALLS_H
#define LKL_ASM_SYSCALLS_H

#include <lkl/asm/bitsperlong.h>
#include <lkl/asm/errno.h>
#include <lkl/asm/ioctls.h>
#include <lkl/asm/poll.h>
#include <lkl/asm/stat.h>
#include <lkl/asm/statfs.h>
#include <lkl/asm/unistd.h>
#include <lkl/linux/types.h>
#include <lkl/linux/dirent.h>
#include <lkl/linux/errqueue.h>
#include <lkl/linux/eventfd.h>
#include <lkl/linux/eventpoll.h>
#include <lkl/linux/fadvise.h>
#include <lkl/linux/falloc.h>
#include <lkl/linux/fcntl.h>
#include <lkl/linux/fib_rules.h>
#include <lkl/linux/fiemap.h>
#include <lkl/linux/fs.h>
#include <lkl/linux/genetlink.h>
#include <lkl/linux/icmp.h>
#include <lkl/linux/if.h>
#include <lkl/linux/if_addr.h>
#include <lkl/linux/if_arp.h>
#include <lkl/linux/if_ether.h>
#include <lkl/linux/if_link.h>
#include <lkl/linux/if_packet.h>
#include <lkl/linux/in.h>
#include <lkl/linux/in6.h>
#include <lkl/linux/inotify.h>
#include <lkl/linux/ip.h>
#include <lkl/linux/ipv6.h>
#include <lkl/linux/limits.h>
#include <lkl/linux/magic.h>
#include <lkl/linux/memfd.h>
#include <lkl/linux/mman.h>
#include <lkl/linux/mount.h>
#include <lkl/linux/neighbour.h>
#include <lkl/linux/net_tstamp.h>
#include <lkl/linux/netlink.h>
#include <lkl/linux/random.h>
#include <lkl/linux/reboot.h>
#include <lkl/linux/resource.h>
#include <lkl/linux/route.h>
#include <lkl/linux/rtnetlink.h>
#include <lkl/linux/signal.h>
#include <lkl/linux/signalfd.h>
#include <lkl/linux/socket.h>
#include <lkl/linux/sockios.h>
#include <lkl/linux/stat.h>
#include <lkl/linux/sysinfo.h>
#include <lkl/linux/tcp.h>
#include <lkl/linux/time.h>
#include <lkl/linux/timerfd.h>
#include <lkl/linux/times.h>
#include <lkl/linux/udp.h>
#include <lkl/linux/uio.h>
#include <lkl/linux/utsname.h>
#include <lkl/linux/virtio_net.h>
#include <lkl/linux/xattr.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes the call with the number no. params are its six arguments, or fewer if it takes fewer and they are followed by others that may be
 * read; a null pointer stands for six zeros.
 */
long lkl_syscall(long no, long *params);

/*
 * Ends the kernel: unmounts what is mounted, closes every file, and returns when all is written. Threads that still wait in a call get
 * -LKL_ENODEV. Another kernel can be started afterwards. Answers 0, or the first error that writing met.
 */
long lkl_sys_halt(void);

#include <lkl/asm/syscall_defs.h>

#ifdef __cplusplus
}
#endif

#endif
