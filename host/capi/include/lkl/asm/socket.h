/* Sockets (man 7 socket). */
#ifndef LKL_ASM_SOCKET_H
#define LKL_ASM_SOCKET_H

#include <lkl/linux/uio.h>

/* constants: socket !SOCKADDR !MSGHDR !MMSGHDR !CMSG !IFNAMSIZ */
#define LKL_AF_UNSPEC 0
#define LKL_AF_UNIX 1
#define LKL_AF_INET 2
#define LKL_AF_INET6 0xa
#define LKL_AF_NETLINK 0x10
#define LKL_AF_PACKET 0x11
#define LKL_AF_MAX 0x2e
#define LKL_SOCK_STREAM 1
#define LKL_SOCK_DGRAM 2
#define LKL_SOCK_RAW 3
#define LKL_SOCK_RDM 4
#define LKL_SOCK_SEQPACKET 5
#define LKL_SOCK_DCCP 6
#define LKL_SOCK_PACKET 0xa
#define LKL_SOCK_TYPE_MASK 0xf
#define LKL_SOCK_CLOEXEC 0x80000
#define LKL_SOCK_NONBLOCK 0x800
#define LKL_SHUT_RD 0
#define LKL_SHUT_WR 1
#define LKL_SHUT_RDWR 2
#define LKL_SOMAXCONN 0x1000
#define LKL_SOL_IP 0
#define LKL_SOL_SOCKET 1
#define LKL_SOL_TCP 6
#define LKL_SOL_UDP 0x11
#define LKL_SOL_IPV6 0x29
#define LKL_SOL_ICMPV6 0x3a
#define LKL_SOL_RAW 0xff
#define LKL_SOL_PACKET 0x107
#define LKL_SOL_NETLINK 0x10e
#define LKL_MSG_OOB 1
#define LKL_MSG_PEEK 2
#define LKL_MSG_DONTROUTE 4
#define LKL_MSG_CTRUNC 8
#define LKL_MSG_PROBE 0x10
#define LKL_MSG_TRUNC 0x20
#define LKL_MSG_DONTWAIT 0x40
#define LKL_MSG_EOR 0x80
#define LKL_MSG_WAITALL 0x100
#define LKL_MSG_FIN 0x200
#define LKL_MSG_SYN 0x400
#define LKL_MSG_CONFIRM 0x800
#define LKL_MSG_RST 0x1000
#define LKL_MSG_ERRQUEUE 0x2000
#define LKL_MSG_NOSIGNAL 0x4000
#define LKL_MSG_MORE 0x8000
#define LKL_MSG_WAITFORONE 0x10000
#define LKL_MSG_ZEROCOPY 0x4000000
#define LKL_MSG_FASTOPEN 0x20000000
#define LKL_MSG_CMSG_CLOEXEC 0x40000000
#define LKL_MSG_CMSG_COMPAT 0x80000000
#define LKL_SO_DEBUG 1
#define LKL_SO_REUSEADDR 2
#define LKL_SO_TYPE 3
#define LKL_SO_ERROR 4
#define LKL_SO_DONTROUTE 5
#define LKL_SO_BROADCAST 6
#define LKL_SO_SNDBUF 7
#define LKL_SO_RCVBUF 8
#define LKL_SO_KEEPALIVE 9
#define LKL_SO_OOBINLINE 0xa
#define LKL_SO_NO_CHECK 0xb
#define LKL_SO_PRIORITY 0xc
#define LKL_SO_LINGER 0xd
#define LKL_SO_BSDCOMPAT 0xe
#define LKL_SO_REUSEPORT 0xf
#define LKL_SO_PASSCRED 0x10
#define LKL_SO_PEERCRED 0x11
#define LKL_SO_RCVLOWAT 0x12
#define LKL_SO_SNDLOWAT 0x13
#define LKL_SO_RCVTIMEO_OLD 0x14
#define LKL_SO_SNDTIMEO_OLD 0x15
#define LKL_SO_SECURITY_AUTHENTICATION 0x16
#define LKL_SO_SECURITY_ENCRYPTION_TRANSPORT 0x17
#define LKL_SO_SECURITY_ENCRYPTION_NETWORK 0x18
#define LKL_SO_BINDTODEVICE 0x19
#define LKL_SO_ATTACH_FILTER 0x1a
#define LKL_SO_DETACH_FILTER 0x1b
#define LKL_SO_PEERNAME 0x1c
#define LKL_SO_TIMESTAMP_OLD 0x1d
#define LKL_SO_ACCEPTCONN 0x1e
#define LKL_SO_PEERSEC 0x1f
#define LKL_SO_SNDBUFFORCE 0x20
#define LKL_SO_RCVBUFFORCE 0x21
#define LKL_SO_PASSSEC 0x22
#define LKL_SO_TIMESTAMPNS_OLD 0x23
#define LKL_SO_MARK 0x24
#define LKL_SO_TIMESTAMPING_OLD 0x25
#define LKL_SO_PROTOCOL 0x26
#define LKL_SO_DOMAIN 0x27
#define LKL_SO_RXQ_OVFL 0x28
#define LKL_SO_WIFI_STATUS 0x29
#define LKL_SO_PEEK_OFF 0x2a
#define LKL_SO_NOFCS 0x2b
#define LKL_SO_LOCK_FILTER 0x2c
#define LKL_SO_SELECT_ERR_QUEUE 0x2d
#define LKL_SO_BUSY_POLL 0x2e
#define LKL_SO_MAX_PACING_RATE 0x2f
#define LKL_SO_BPF_EXTENSIONS 0x30
#define LKL_SO_INCOMING_CPU 0x31
#define LKL_SO_ATTACH_BPF 0x32
#define LKL_SO_ATTACH_REUSEPORT_CBPF 0x33
#define LKL_SO_ATTACH_REUSEPORT_EBPF 0x34
#define LKL_SO_CNX_ADVICE 0x35
#define LKL_SO_MEMINFO 0x37
#define LKL_SO_INCOMING_NAPI_ID 0x38
#define LKL_SO_COOKIE 0x39
#define LKL_SO_PEERGROUPS 0x3b
#define LKL_SO_ZEROCOPY 0x3c
#define LKL_SO_TXTIME 0x3d
#define LKL_SO_BINDTOIFINDEX 0x3e
#define LKL_SO_TIMESTAMP_NEW 0x3f
#define LKL_SO_TIMESTAMPNS_NEW 0x40
#define LKL_SO_TIMESTAMPING_NEW 0x41
#define LKL_SO_RCVTIMEO_NEW 0x42
#define LKL_SO_SNDTIMEO_NEW 0x43
#define LKL_SO_DETACH_REUSEPORT_BPF 0x44
#define LKL_SO_PREFER_BUSY_POLL 0x45
#define LKL_SO_BUSY_POLL_BUDGET 0x46
#define LKL_SO_NETNS_COOKIE 0x47
#define LKL_SO_BUF_LOCK 0x48
#define LKL_SO_RESERVE_MEM 0x49
#define LKL_SO_TXREHASH 0x4a
#define LKL_SO_RCVMARK 0x4b
#define LKL_SCM_RIGHTS 1
#define LKL_SCM_CREDENTIALS 2
#define LKL_SCM_TS_OPT_ID 0x51
#define LKL_SOCK_SNDBUF_LOCK 1
#define LKL_SOCK_RCVBUF_LOCK 2
/* end of constants */

#define LKL_AF_LOCAL LKL_AF_UNIX
#define LKL_PF_UNSPEC LKL_AF_UNSPEC
#define LKL_PF_UNIX LKL_AF_UNIX
#define LKL_PF_INET LKL_AF_INET
#define LKL_PF_INET6 LKL_AF_INET6
#define LKL_PF_NETLINK LKL_AF_NETLINK
#define LKL_PF_PACKET LKL_AF_PACKET
#define LKL_SO_RCVTIMEO LKL_SO_RCVTIMEO_OLD
#define LKL_SO_SNDTIMEO LKL_SO_SNDTIMEO_OLD
#define LKL_SO_TIMESTAMP LKL_SO_TIMESTAMP_OLD
#define LKL_SO_TIMESTAMPNS LKL_SO_TIMESTAMPNS_OLD
#define LKL_SO_TIMESTAMPING LKL_SO_TIMESTAMPING_OLD
#define LKL_SCM_TIMESTAMP LKL_SO_TIMESTAMP
#define LKL_SCM_TIMESTAMPNS LKL_SO_TIMESTAMPNS

struct lkl_sockaddr {
	lkl_sa_family_t sa_family;
	char sa_data[14];
};

struct __lkl__kernel_sockaddr_storage {
	__lkl__kernel_sa_family_t ss_family;
	char __data[126];
};
#define lkl_sockaddr_storage __lkl__kernel_sockaddr_storage

struct lkl_linger {
	int l_onoff;
	int l_linger;
};

struct lkl_msghdr {
	void *msg_name;
	int msg_namelen;
	struct lkl_iovec *msg_iov;
	__lkl__kernel_size_t msg_iovlen;
	void *msg_control;
	__lkl__kernel_size_t msg_controllen;
	unsigned int msg_flags;
};
/* sendmsg and recvmsg have it by this name. */
#define lkl_user_msghdr lkl_msghdr

struct lkl_mmsghdr {
	struct lkl_msghdr msg_hdr;
	unsigned int msg_len;
};

struct lkl_cmsghdr {
	__lkl__kernel_size_t cmsg_len;
	int cmsg_level;
	int cmsg_type;
};

struct lkl_ucred {
	__lkl__u32 pid;
	__lkl__u32 uid;
	__lkl__u32 gid;
};

#endif
