/*
 * liblkl: a kernel with Linux's system calls, as a library.
 *
 * Start one (lkl/asm/host_ops.h), make calls (lkl/asm/syscalls.h), halt it. This header has what makes that convenient: disks and mounts,
 * directories, network devices and their configuration.
 *
 * Functions answer 0 or what they are asked for, and an error number with a minus before it (-LKL_EINVAL) if they fail, as system calls do.
 * Without a kernel all that need one answer -LKL_ENODEV.
 */
#ifndef LKL_H
#define LKL_H

#include <lkl/asm/syscalls.h>
#include <lkl/asm/host_ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the number means, with or without its minus. */
const char *lkl_strerror(int err);

/* Prints "MSG: what the number means" by the host's print. */
void lkl_perror(const char *msg, int err);

/* ---- Several kernels ---- */

/*
 * Kernels beside the one of lkl_start_kernel. Each thread's calls go to that one until it enters another.
 */
struct lkl_kernel;

/* Starts one more. Null if it cannot: *err (if it is not null) says why, as lkl_start_kernel answers it. */
struct lkl_kernel *lkl_kernel_new(struct lkl_host_operations *ops, const char *cmd_line, int *err);

/*
 * From now on all functions of this library that this thread calls mean this kernel; a null pointer: the one of lkl_start_kernel. Answers 0,
 * or -LKL_EINVAL for what is no kernel.
 */
int lkl_kernel_enter(struct lkl_kernel *kernel);

/* As lkl_syscall, to this kernel, whichever the thread has entered. */
long lkl_kernel_syscall(struct lkl_kernel *kernel, long no, long *params);

/* Halts it, as lkl_sys_halt does, and frees the handle. */
long lkl_kernel_free(struct lkl_kernel *kernel);

/* ---- Disks ---- */

/*
 * A disk: a descriptor of the host that can be read and written by offsets, or whatever ops make of handle. ops may be null: then it is a
 * descriptor. dev is this library's.
 */
struct lkl_disk {
	void *dev;
	union {
		int fd;
		void *handle;
	};
	struct lkl_dev_blk_ops *ops;
};

/*
 * Adds a disk, before or after the kernel starts, and answers its id, from 0. The descriptor stays the caller's; it must be open until the
 * disk is removed or the kernel is halted.
 */
int lkl_disk_add(struct lkl_disk *disk);

/* Takes it away. -LKL_EBUSY while it is mounted, -LKL_ENODEV if it was not added. */
int lkl_disk_remove(struct lkl_disk disk);

/* The device number of a disk's partition, or of the disk, if part is 0: as mknod takes it. */
int lkl_get_virtio_blkdev(int disk_id, unsigned int part, uint32_t *devid);

/* The number in a file of sysfs that has "MAJOR:MINOR" in it. */
int lkl_encode_dev_from_sysfs(const char *sysfs_path, uint32_t *devid);

/*
 * Mounts a partition of a disk (0: the disk) at a new directory, whose path goes to mnt_str. opts are the file system's own options, separated
 * by commas, or null.
 */
long lkl_mount_dev(unsigned int disk_id, unsigned int part, const char *fs_type, int flags, const char *opts, char *mnt_str,
		   unsigned int mnt_str_len);

/* The same for any block device. */
long lkl_mount_blkdev(unsigned int dev, const char *fs_type, int flags, const char *opts, char *mnt_str, unsigned int mnt_str_len);

/*
 * Unmounts it, and removes its directory: all is written when it answers. If it is busy it is tried again for timeout_ms at most.
 */
long lkl_umount_dev(unsigned int disk_id, unsigned int part, int flags, long timeout_ms);
long lkl_umount_blkdev(unsigned int dev, int flags, long timeout_ms);
long lkl_umount_timeout(const char *path, int flags, long timeout_ms);

/* Mounts proc, sysfs and the like at /FSTYPE. 1 if it was mounted there already. */
int lkl_mount_fs(const char *fstype);

/* ---- Directories ---- */

struct lkl_dir;

/* Null if it cannot be opened: *err says why. */
struct lkl_dir *lkl_opendir(const char *path, int *err);
/* fd belongs to the directory from now on, unless it fails. */
struct lkl_dir *lkl_fdopendir(int fd, int *err);
void lkl_rewinddir(struct lkl_dir *dir);
int lkl_closedir(struct lkl_dir *dir);
/* The next entry, which is good until the next call; null at the end and after an error, which lkl_errdir tells apart. */
struct lkl_linux_dirent64 *lkl_readdir(struct lkl_dir *dir);
int lkl_errdir(struct lkl_dir *dir);
int lkl_dirfd(struct lkl_dir *dir);

/* ---- The network's configuration: addresses are in network byte order ---- */

int lkl_if_up(int ifindex);
int lkl_if_down(int ifindex);
int lkl_if_set_mtu(int ifindex, int mtu);
int lkl_if_set_ipv4(int ifindex, unsigned int addr, unsigned int netmask_len);
int lkl_set_ipv4_gateway(unsigned int addr);
/* A default route for what is sent from addr only: table 2 * ifindex. */
int lkl_if_set_ipv4_gateway(int ifindex, unsigned int addr, unsigned int netmask_len, unsigned int gw_addr);
/* Waits until nobody else is known to have the address: -LKL_EADDRINUSE if somebody has. */
int lkl_if_set_ipv6(int ifindex, void *addr, unsigned int netprefix_len);
int lkl_set_ipv6_gateway(void *addr);
/* As for IPv4: table 2 * ifindex + 1. */
int lkl_if_set_ipv6_gateway(int ifindex, void *addr, unsigned int netmask_len, void *gw_addr);
int lkl_ifname_to_ifindex(const char *name);
int lkl_if_add_ip(int ifindex, int af, void *addr, unsigned int netprefix_len);
int lkl_if_del_ip(int ifindex, int af, void *addr, unsigned int netprefix_len);
int lkl_add_gateway(int af, void *gwaddr);
int lkl_if_add_rule_from_saddr(int ifindex, int af, void *saddr);
int lkl_if_add_gateway(int ifindex, int af, void *gwaddr);
int lkl_if_add_linklocal(int ifindex, int af, void *addr, int netprefix_len);
int lkl_if_wait_ipv6_dad(int ifindex, void *addr);
/* A permanent neighbour. */
int lkl_add_neighbor(int ifindex, int af, void *addr, void *mac);
/* Only the default one, pfifo_fast, noqueue and fq are taken, without effect: pacing needs none. */
int lkl_qdisc_add(int ifindex, const char *root, const char *type);
/* "root|fq;root|..." The first that is wrong ends it. */
void lkl_qdisc_parse_add(int ifindex, const char *entries);

/* Sets "net.ipv4.tcp_wmem" or "/net/ipv4/tcp_wmem". */
int lkl_sysctl(const char *path, const char *value);
/* "name=value;name=value": what fails is printed. */
void lkl_sysctl_parse_write(const char *sysctls);

/* RLIMIT_NOFILE of the kernel's process. */
int lkl_set_fd_limit(unsigned int fd_limit);

/* ---- Network devices ---- */

struct lkl_netdev;

/* mac: six bytes, or null for an address of the device's own. offload: 1 << LKL_VIRTIO_NET_F_*, what the device is to do. */
struct lkl_netdev_args {
	void *mac;
	unsigned int offload;
};

/*
 * Gives a device to the kernel, before or after it starts, and answers its id: it becomes eth0, eth1, in this order. args may be null. After an
 * error it is still the caller's.
 */
int lkl_netdev_add(struct lkl_netdev *nd, struct lkl_netdev_args *args);
/* Takes it away. Sockets that use it find the network unreachable. */
void lkl_netdev_remove(int id);
/* Frees it. Not before it is removed, or the kernel halted. */
void lkl_netdev_free(struct lkl_netdev *nd);
/* The index of its interface. */
int lkl_netdev_get_ifindex(int id);

/* These answer null, and print why, if there is no such device. */

/* A TAP device of the host, which exists. */
struct lkl_netdev *lkl_netdev_tap_create(const char *ifname, int offload);
/* A macvtap device: its path, such as /dev/tap5. For IPv6 its interface has to be set to "allmulticast on" at the host. */
struct lkl_netdev *lkl_netdev_macvtap_create(const char *path, int offload);
/* An interface of the host, all frames of which are seen too. Needs CAP_NET_RAW. */
struct lkl_netdev *lkl_netdev_raw_create(const char *ifname);
/* Two named pipes: "RECEIVE|SEND". Another kernel has them the other way round. */
struct lkl_netdev *lkl_netdev_pipe_create(const char *ifname, int offload);
/* A VDE switch: its directory. */
struct lkl_netdev *lkl_netdev_vde_create(const char *switch_path);
/* There is no DPDK here: always null. */
struct lkl_netdev *lkl_netdev_dpdk_create(const char *ifname, int offload, unsigned char *mac);

/* ---- Debugging ---- */

/* On SIGTSTP (Ctrl-Z) a shell within the kernel: cat, cd, exit, help, ls, mount, overwrite, pwd. */
void lkl_register_dbg_handler(void);

#include <lkl/asm/compat.h>

#ifdef __cplusplus
}
#endif

#endif
