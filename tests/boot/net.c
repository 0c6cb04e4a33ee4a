/*
 * The network of the C API, over one device.
 *
 *   net tap NAME | macvtap PATH | raw NAME | pipe RX|TX | vde DIRECTORY | user NAME   [dhcp | peer]
 *
 * "user" is a device of this program's own functions, on top of a TAP. With "dhcp" the kernel asks for its address, else it is 10.77.0.2/24 and
 * fd77::2/64. Somebody answers at 10.77.0.1 and fd77::1: a server at TCP port 7777 that sends back what it gets.
 */
#define _GNU_SOURCE
#include <lkl.h>
#include <lkl_host.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tap.h"

/* ---- A device of our own ---- */

struct own {
	struct lkl_netdev nd;
	int fd, hup;
	int sent, received, freed;
	/* The next so many frames fail. */
	int fail;
};

static int own_tx(struct lkl_netdev *nd, struct iovec *iov, int cnt)
{
	struct own *own = (struct own *)nd;

	if (own->fail > 0) {
		own->fail--;
		/* An error, and a count that is too small. */
		return own->fail % 2 ? -1 : 1;
	}
	own->sent++;
	return (int)writev(own->fd, iov, cnt);
}

static int own_rx(struct lkl_netdev *nd, struct iovec *iov, int cnt)
{
	struct own *own = (struct own *)nd;
	int n = (int)readv(own->fd, iov, cnt);

	own->received += n > 0;
	return n;
}

static int own_poll(struct lkl_netdev *nd)
{
	struct own *own = (struct own *)nd;
	struct pollfd fds[2] = { { own->fd, POLLIN, 0 }, { own->hup, POLLIN, 0 } };
	uint64_t count;

	while (poll(fds, 2, -1) < 0)
		;
	/* It may be added again. */
	if (fds[1].revents && read(own->hup, &count, sizeof(count)) > 0)
		return LKL_DEV_NET_POLL_HUP;
	return LKL_DEV_NET_POLL_RX;
}

static void own_poll_hup(struct lkl_netdev *nd)
{
	uint64_t one = 1;

	if (write(((struct own *)nd)->hup, &one, sizeof(one)) < 0)
		perror("eventfd");
}

static void own_free(struct lkl_netdev *nd)
{
	struct own *own = (struct own *)nd;

	own->freed++;
	close(own->fd);
	close(own->hup);
}

static struct lkl_dev_net_ops own_ops = { own_tx, own_rx, own_poll, own_poll_hup, own_free };
static struct own own = { { &own_ops, 0, 0, { 2, 7, 7, 7, 7, 7 } }, -1, -1, 0, 0, 0, 0 };

static struct lkl_netdev *own_create(const char *name)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
	own.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	own.hup = eventfd(0, 0);
	return ioctl(own.fd, TUNSETIFF, &ifr) < 0 ? 0 : &own.nd;
}

/* ---- What the network does ---- */

static unsigned short sum(const unsigned char *p, size_t n)
{
	unsigned int s = 0;
	size_t i;

	for (i = 0; i < n; i++)
		s += (unsigned int)p[i] << (i % 2 ? 0 : 8);
	s = (s >> 16) + (s & 0xffff);
	return htons((unsigned short)~(s + (s >> 16)));
}

/* One echo request, and its answer. */
static long ping(const char *address)
{
	struct lkl_sockaddr_in to = { LKL_AF_INET, 0, { inet_addr(address) }, { 0 } };
	struct lkl_timeval timeout = { 5, 0 };
	struct lkl_icmphdr echo;
	unsigned char answer[128];
	long fd, n;

	memset(&echo, 0, sizeof(echo));
	echo.type = LKL_ICMP_ECHO;
	echo.un.echo.sequence = htons(1);
	echo.checksum = sum((unsigned char *)&echo, sizeof(echo));
	fd = lkl_sys_socket(LKL_AF_INET, LKL_SOCK_RAW, LKL_IPPROTO_ICMP);
	if (fd < 0)
		return fd;
	lkl_sys_setsockopt(fd, LKL_SOL_SOCKET, LKL_SO_RCVTIMEO, &timeout, sizeof(timeout));
	n = lkl_sys_sendto(fd, &echo, sizeof(echo), 0, (struct lkl_sockaddr *)&to, sizeof(to));
	while (n >= 0) {
		n = lkl_sys_recv(fd, answer, sizeof(answer), 0);
		if (n >= 28 && answer[20] == LKL_ICMP_ECHOREPLY)
			break;
	}
	lkl_sys_close(fd);
	return n < 0 ? n : 0;
}

/* Sends much, and gets it back. */
static long echo(int v6, long total)
{
	static char out[65536], in[65536];
	struct lkl_sockaddr_in v4 = { LKL_AF_INET, htons(7777), { inet_addr("10.77.0.1") }, { 0 } };
	struct lkl_sockaddr_in6 a6 = { LKL_AF_INET6, htons(7777), 0, { { { 0 } } }, 0 };
	long fd, n, sent = 0, got = 0, i;

	inet_pton(AF_INET6, "fd77::1", &a6.sin6_addr);
	fd = lkl_sys_socket(v6 ? LKL_AF_INET6 : LKL_AF_INET, LKL_SOCK_STREAM, 0);
	n = v6 ? lkl_sys_connect(fd, (struct lkl_sockaddr *)&a6, sizeof(a6)) :
		 lkl_sys_connect(fd, (struct lkl_sockaddr *)&v4, sizeof(v4));
	if (n < 0)
		return n;
	for (i = 0; i < (long)sizeof(out); i++)
		out[i] = (char)(i * 7);
	while (got < total) {
		if (sent < total) {
			n = lkl_sys_send(fd, out + sent % 65536, 65536 - sent % 65536, LKL_MSG_DONTWAIT);
			if (n > 0)
				sent += n;
			else if (n != -LKL_EAGAIN)
				return n;
		}
		n = lkl_sys_recv(fd, in, sizeof(in), sent < total ? LKL_MSG_DONTWAIT : 0);
		if (n == -LKL_EAGAIN) {
			struct lkl_pollfd p = { (int)fd, LKL_POLLIN | (sent < total ? LKL_POLLOUT : 0), 0 };

			if (lkl_sys_poll(&p, 1, 10000) <= 0)
				return -LKL_ETIMEDOUT;
			continue;
		}
		if (n <= 0)
			return n < 0 ? n : -LKL_EPIPE;
		for (i = 0; i < n; i++)
			if (in[i] != (char)((got + i) % 65536 * 7))
				return -LKL_EBADMSG;
		got += n;
	}
	lkl_sys_close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	const char *type = argc > 2 ? argv[1] : "none", *name = argc > 2 ? argv[2] : "";
	int dhcp = argc > 3 && !strcmp(argv[3], "dhcp"), peer = argc > 3 && !strcmp(argv[3], "peer");
	unsigned char mac[6] = { 2, 0, 0, 0x77, 0, (unsigned char)(2 - peer) };
	struct lkl_netdev_args args = { mac, 0x8883 };
	struct lkl_netdev *nd = 0;
	unsigned char six[16], gate[16], hw[6] = { 2, 1, 1, 1, 1, 1 };
	int id, ifindex, reply = 0, len = sizeof(reply);
	long fd;

	if (!strcmp(type, "tap"))
		nd = lkl_netdev_tap_create(name, (int)args.offload);
	else if (!strcmp(type, "macvtap"))
		nd = lkl_netdev_macvtap_create(name, (int)args.offload), args.mac = 0;
	else if (!strcmp(type, "raw"))
		nd = lkl_netdev_raw_create(name);
	else if (!strcmp(type, "pipe"))
		nd = lkl_netdev_pipe_create(name, 0);
	else if (!strcmp(type, "vde"))
		nd = lkl_netdev_vde_create(name);
	else if (!strcmp(type, "user"))
		nd = own_create(name);
	is(nd != 0, 1);
	if (!nd)
		return tap_end();
	is(lkl_netdev_tap_create("nothing-there", 0) == 0, 1);
	is(lkl_netdev_tap_create(0, 0) == 0, 1);
	is(lkl_netdev_raw_create("nothing-there") == 0, 1);
	is(lkl_netdev_pipe_create("/nothing/there", 0) == 0, 1);
	is(lkl_netdev_vde_create("/nothing/there") == 0, 1);
	id = (int)good(lkl_netdev_add(nd, &args));
	is(lkl_netdev_add(nd, &args), -LKL_EBUSY);
	lkl_init(&lkl_host_ops);
	is(lkl_start_kernel_fmt(dhcp ? "mem=64M ip=dhcp" : "mem=64M"), 0);
	ifindex = (int)good(lkl_netdev_get_ifindex(id));
	is(lkl_netdev_get_ifindex(9), -LKL_ENODEV);
	is(lkl_ifname_to_ifindex("eth0"), ifindex);
	is(lkl_netdev_add(nd, &args), -LKL_EBUSY);
	if (!dhcp) {
		is(lkl_if_up(ifindex), 0);
		is(lkl_if_set_ipv4(ifindex, inet_addr(peer ? "10.77.0.1" : "10.77.0.2"), 24), 0);
	}
	if (peer) {
		/* The other end of a pipe: it answers pings until it is told to end. */
		char c;

		puts("# ready");
		fflush(stdout);
		is(read(0, &c, 1), 0);
		is(lkl_sys_halt(), 0);
		lkl_netdev_free(nd);
		return tap_end();
	}
	is(ping("10.77.0.1"), 0);
	inet_pton(AF_INET6, "fd77::2", six);
	inet_pton(AF_INET6, "fd77::1", gate);
	if (!dhcp) {
		/* It waits until the address is known to be ours. */
		is(lkl_if_set_ipv6(ifindex, six, 64), 0);
		is(lkl_set_ipv4_gateway(inet_addr("10.77.0.1")), 0);
		is(lkl_set_ipv4_gateway(inet_addr("10.77.0.1")), -LKL_EEXIST);
		is(lkl_set_ipv6_gateway(gate), 0);
		is(lkl_if_set_ipv4_gateway(ifindex, inet_addr("10.77.0.2"), 24, inet_addr("10.77.0.1")), 0);
		is(lkl_if_set_ipv6_gateway(ifindex, six, 64, gate), 0);
		is(lkl_add_neighbor(ifindex, LKL_AF_INET, &(unsigned int){ inet_addr("10.77.0.9") }, hw), 0);
		is(lkl_add_neighbor(ifindex, LKL_AF_INET6, six, 0), -LKL_EINVAL);
	}
	if (strcmp(type, "pipe") && strcmp(type, "vde")) {
		is(echo(0, 3 << 20), 0);
		if (!dhcp)
			is(echo(1, 3 << 20), 0);
	}
	if (nd == &own.nd) {
		is(own.sent > 10 && own.received > 10, 1);
		/* Frames are lost, and sent again. */
		own.fail = 3;
		is(echo(0, 1 << 20), 0);
	}
	/* A device goes while it is in use. */
	fd = good(lkl_sys_socket(LKL_AF_INET, LKL_SOCK_DGRAM, 0));
	is(lkl_sys_connect(fd, (struct lkl_sockaddr *)&(struct lkl_sockaddr_in){ LKL_AF_INET, htons(9), { inet_addr("10.77.0.1") }, { 0 } }, 16), 0);
	lkl_netdev_remove(id);
	is(lkl_netdev_get_ifindex(id), -LKL_ENODEV);
	is(lkl_sys_send(fd, "x", 1, 0), -LKL_ENETUNREACH);
	is(lkl_sys_getsockopt(fd, LKL_SOL_SOCKET, LKL_SO_ERROR, &reply, &len), 0);
	lkl_netdev_remove(id);
	/* It can come back. */
	is(lkl_netdev_add(nd, &args), id);
	ifindex = lkl_netdev_get_ifindex(id);
	is(lkl_if_up(ifindex), 0);
	is(lkl_if_set_ipv4(ifindex, inet_addr("10.77.0.2"), 24), 0);
	is(ping("10.77.0.1"), 0);
	is(lkl_sys_halt(), 0);
	lkl_netdev_free(nd);
	if (nd == &own.nd)
		is(own.freed, 1);
	return tap_end();
}
