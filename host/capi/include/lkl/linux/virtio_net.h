/* Bits of what a network device offers; lkl_netdev_args.offload has 1 << bit of them. */
#ifndef LKL_LINUX_VIRTIO_NET_H
#define LKL_LINUX_VIRTIO_NET_H

#define LKL_VIRTIO_NET_F_CSUM 0
#define LKL_VIRTIO_NET_F_GUEST_CSUM 1
#define LKL_VIRTIO_NET_F_MAC 5
#define LKL_VIRTIO_NET_F_GUEST_TSO4 7
#define LKL_VIRTIO_NET_F_GUEST_TSO6 8
#define LKL_VIRTIO_NET_F_GUEST_ECN 9
#define LKL_VIRTIO_NET_F_GUEST_UFO 10
#define LKL_VIRTIO_NET_F_HOST_TSO4 11
#define LKL_VIRTIO_NET_F_HOST_TSO6 12
#define LKL_VIRTIO_NET_F_HOST_ECN 13
#define LKL_VIRTIO_NET_F_HOST_UFO 14
#define LKL_VIRTIO_NET_F_MRG_RXBUF 15

#endif
