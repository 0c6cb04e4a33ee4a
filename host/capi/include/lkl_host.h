/*
 * The host's side: its operations, and devices that a program makes of its own functions.
 */
#ifndef LKL_HOST_H
#define LKL_HOST_H

#include <stdint.h>
#include <sys/uio.h>

#include <lkl/asm/host_ops.h>
#include <lkl/asm/irq.h>
#include <lkl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The operations of this host. A program may change them before it starts a kernel: print = 0 mutes it. */
extern struct lkl_host_operations lkl_host_ops;

/* Always empty: devices are not on the command line. */
extern char lkl_virtio_devs[4096];

#define LKL_DEV_BLK_TYPE_READ 0
#define LKL_DEV_BLK_TYPE_WRITE 1
#define LKL_DEV_BLK_TYPE_FLUSH 4
#define LKL_DEV_BLK_TYPE_FLUSH_OUT 5

/* sector is in units of 512 bytes; buf has count pieces, each a multiple of that. */
struct lkl_blk_req {
	unsigned int type;
	unsigned int prio;
	unsigned long long sector;
	struct iovec *buf;
	int count;
};

#define LKL_DEV_BLK_STATUS_OK 0
#define LKL_DEV_BLK_STATUS_IOERR 1
#define LKL_DEV_BLK_STATUS_UNSUP 2

/*
 * What a disk is made of. get_capacity gives bytes; a negative answer means there is no such disk. request answers one of
 * LKL_DEV_BLK_STATUS_*, anything else being taken for IOERR. Both may be called by several threads at once, also by some that this library makes.
 */
struct lkl_dev_blk_ops {
	int (*get_capacity)(struct lkl_disk disk, unsigned long long *res);
	int (*request)(struct lkl_disk disk, struct lkl_blk_req *req);
};

/* Of a descriptor. */
extern struct lkl_dev_blk_ops lkl_dev_blk_ops;

/* A program that makes one sets ops, has_vnet_hdr, and mac; id is this library's. */
struct lkl_netdev {
	struct lkl_dev_net_ops *ops;
	int id;
	uint8_t has_vnet_hdr : 1;
	uint8_t mac[6];
};

#define LKL_DEV_NET_POLL_RX 1
#define LKL_DEV_NET_POLL_TX 2
#define LKL_DEV_NET_POLL_HUP 4

/*
 * What a network device is made of. tx and rx move one frame, before which stands a struct virtio_net_hdr of 12 bytes if has_vnet_hdr is set,
 * never wait, and answer its length, or a negative number if there is no room or no frame. poll waits, in a thread of its own, until there is a
 * frame, and answers LKL_DEV_NET_POLL_RX then. After poll_hup it answers LKL_DEV_NET_POLL_HUP, and is not called again. free frees the device;
 * it may be null.
 */
struct lkl_dev_net_ops {
	int (*tx)(struct lkl_netdev *nd, struct iovec *iov, int cnt);
	int (*rx)(struct lkl_netdev *nd, struct iovec *iov, int cnt);
	int (*poll)(struct lkl_netdev *nd);
	void (*poll_hup)(struct lkl_netdev *nd);
	void (*free)(struct lkl_netdev *nd);
};

/* A device of two descriptors, which are closed with it: each read and write moves a frame. Null if there is no memory. */
struct lkl_netdev *lkl_register_netdev_fd(int fd_rx, int fd_tx);

#ifdef __cplusplus
}
#endif

#endif
