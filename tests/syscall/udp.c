/* UDP: errors from the other end, datagrams' borders, vectors, connections. */
#include "t.h"
#include <linux/errqueue.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM)

static void refused(int family)
{
    union addr a;
    char b[8];
    int gone = t_bound(family, SOCK_DGRAM), port = t_port(gone);
    MUST(close(gone));
    int fd = t_connect_to(family, SOCK_DGRAM, port);
    t_poll("fresh", fd, ALL, 0);
    R(send(fd, "x", 1, 0));
    t_settle();
    t_poll("refused", fd, ALL, 0);
    R(send(fd, "x", 1, 0));
    t_settle();
    R(recv(fd, b, 8, MSG_DONTWAIT));
    R(recv(fd, b, 8, MSG_DONTWAIT));
    R(send(fd, "x", 1, 0));
    t_settle();
    t_soerror("refused", fd);
    t_poll("taken", fd, ALL, 0);
    R(send(fd, "x", 1, 0));
    t_settle();
    socklen_t len = t_lo(&a, family, port);
    R(connect(fd, &a.sa, len));
    R(connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
    R(sendto(fd, "x", 1, 0, &a.sa, len));
    t_settle();
    t_poll("not connected", fd, ALL, 0);
    R(send(fd, "x", 1, 0));
    R(getpeername(fd, &a.sa, &len));
}
CASE(udp_refused_v4) { refused(AF_INET); }
CASE(udp_refused_v6) { refused(AF_INET6); }

static void errqueue(int family)
{
    union addr a;
    char data[64] = "", control[256];
    int gone = t_bound(family, SOCK_DGRAM), port = t_port(gone);
    MUST(close(gone));
    int fd = t_bound(family, SOCK_DGRAM), one = 1;
    if (family == AF_INET)
        R(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, 4));
    else
        R(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, 4));
    socklen_t len = t_lo(&a, family, port);
    R(sendto(fd, "hello", 5, 0, &a.sa, len));
    t_settle();
    t_poll("error queued", fd, ALL, 0);
    R(sendto(fd, "again", 5, 0, &a.sa, len));
    for (int i = 0; i < 2; i++) {
        memset(&a, 0, sizeof a);
        struct iovec v = {data, sizeof data};
        struct msghdr m = {&a, sizeof a, &v, 1, control, sizeof control, 0};
        long n = R(recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT));
        if (n < 0)
            continue;
        printf("data %.*s flags %x\n", (int)n, data, m.msg_flags);
        t_addr("to", &a, m.msg_namelen, 0);
        printf("same port %d\n", ntohs(a.in.sin_port) == port);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            struct sock_extended_err *e = (void *)CMSG_DATA(c);
            printf("cmsg %d %d length %zu: %s origin %d type %d code %d info %u data %u\n", c->cmsg_level,
                   c->cmsg_type, (size_t)c->cmsg_len, t_errno((int)e->ee_errno), e->ee_origin, e->ee_type, e->ee_code,
                   e->ee_info, e->ee_data);
            t_addr("offender", SO_EE_OFFENDER(e), sizeof a, 0);
        }
    }
    t_soerror("after", fd);
    t_poll("after", fd, ALL, 0);
    R(recv(fd, data, 8, MSG_ERRQUEUE));
}
CASE(udp_errqueue_v4) { errqueue(AF_INET); }
CASE(udp_errqueue_v6) { errqueue(AF_INET6); }

CASE(udp_emsgsize_errqueue)
{
    union addr a;
    static char big[66000];
    char control[256];
    int fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    R(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &(int){1}, 4));
    R(setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &(int){IPV6_PMTUDISC_DO}, 4));
    socklen_t len = t_lo(&a, AF_INET6, 9);
    R(connect(fd, &a.sa, len));
    R(send(fd, big, 65527, 0));
    R(send(fd, big, 65500, 0));
    struct iovec v = {big, sizeof big};
    struct msghdr m = {&a, sizeof a, &v, 1, control, sizeof control, 0};
    R(recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT));
    printf("flags %x\n", m.msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct sock_extended_err *e = (void *)CMSG_DATA(c);
        printf("cmsg %d %d: %s origin %d info %u\n", c->cmsg_level, c->cmsg_type, t_errno((int)e->ee_errno),
               e->ee_origin, e->ee_info);
    }
}

CASE(udp_borders)
{
    int p[2], n;
    char b[16] = "";
    t_pair(AF_INET, SOCK_DGRAM, p);
    R(send(p[0], "hello", 5, 0));
    R(send(p[0], "", 0, 0));
    R(send(p[0], "abc", 3, 0));
    t_settle();
    t_poll("three", p[1], ALL, 0);
    R(ioctl(p[1], FIONREAD, &n));
    printf("%d\n", n);
    R(recv(p[1], b, 2, MSG_PEEK));
    R(recv(p[1], b, 2, MSG_PEEK | MSG_TRUNC));
    R(recv(p[1], b, 2, 0));
    R(ioctl(p[1], FIONREAD, &n));
    printf("%d\n", n);
    R(recv(p[1], b, 2, MSG_DONTWAIT));
    struct iovec v = {b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    R(recvmsg(p[1], &m, 0));
    printf("flags %x\n", m.msg_flags);
    R(recv(p[1], b, 2, MSG_DONTWAIT));
    R(send(p[0], "a", 1, MSG_MORE));
    R(recv(p[1], b, 9, MSG_DONTWAIT));
    R(send(p[0], "b", 1, 0));
    t_settle();
    R(recv(p[1], b, 9, MSG_DONTWAIT));
    R(read(p[1], b, 0));
    R(ioctl(p[0], SIOCOUTQ, &n));
    printf("%d\n", n);
    R(send(p[0], "zz", 2, 0));
    R(recv(p[1], b, 9, MSG_WAITALL));
    R(shutdown(p[1], SHUT_RD));
    t_poll("read side shut", p[1], ALL, 0);
    R(recv(p[1], b, 9, 0));
    R(send(p[0], "q", 1, 0));
    t_settle();
    R(recv(p[1], b, 9, 0));
    R(shutdown(p[1], SHUT_RDWR));
    t_poll("shut", p[1], ALL, 0);
    R(send(p[1], "q", 1, 0));
}

CASE(udp_connected_filters)
{
    int p[2], other = t_bound(AF_INET, SOCK_DGRAM);
    union addr a;
    char b[8];
    t_pair(AF_INET, SOCK_DGRAM, p);
    socklen_t len = t_lo(&a, AF_INET, t_port(p[1]));
    R(sendto(other, "x", 1, 0, &a.sa, len));
    t_settle();
    R(recv(p[1], b, 8, MSG_DONTWAIT));
    len = t_lo(&a, AF_INET, t_port(other));
    R(sendto(p[1], "yy", 2, 0, &a.sa, len));
    t_settle();
    R(recvfrom(other, b, 8, MSG_DONTWAIT, &a.sa, &len));
    t_addr("from", &a, len, 0);
    R(connect(p[1], &(struct sockaddr){.sa_family = AF_UNSPEC}, 16));
    len = sizeof a;
    R(getsockname(p[1], &a.sa, &len));
    t_addr("name", &a, len, 0);
    int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    len = t_lo(&a, AF_INET, 9);
    R(connect(u, &a.sa, len));
    len = sizeof a;
    R(getsockname(u, &a.sa, &len));
    t_addr("name", &a, len, 0);
    R(connect(u, &(struct sockaddr){.sa_family = AF_UNSPEC}, 16));
    len = sizeof a;
    R(getsockname(u, &a.sa, &len));
    t_addr("name", &a, len, 0);
}

CASE(udp_broadcast_multicast)
{
    union addr a;
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    t_any(&a, AF_INET, 9);
    a.in.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    R(sendto(fd, "x", 1, 0, &a.sa, sizeof a.in));
    a.in.sin_addr.s_addr = inet_addr("127.255.255.255");
    R(sendto(fd, "x", 1, 0, &a.sa, sizeof a.in));
    R(connect(fd, &a.sa, sizeof a.in));
    R(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &(int){1}, 4));
    R(sendto(fd, "x", 1, 0, &a.sa, sizeof a.in));
    a.in.sin_addr.s_addr = inet_addr("192.0.2.1");
    R(sendto(fd, "x", 1, 0, &a.sa, sizeof a.in));
    R(connect(fd, &a.sa, sizeof a.in));
    a.in.sin_addr.s_addr = inet_addr("224.1.2.3");
    R(sendto(fd, "x", 1, 0, &a.sa, sizeof a.in));
    a.in.sin_addr.s_addr = 0;
    R(sendto(fd, "x", 1, 0, &a.sa, sizeof a.in));
    struct ip_mreqn r = {{inet_addr("224.1.2.3")}, {htonl(INADDR_LOOPBACK)}, 0};
    R(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof r));
    R(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof r));
    R(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, sizeof r));
    R(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, sizeof r));
    r.imr_multiaddr.s_addr = inet_addr("10.1.2.3");
    R(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof r));
}

CASE(udp_multicast_loop)
{
    union addr a;
    char b[8];
    int rx = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), tx = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct ip_mreqn r = {{inet_addr("224.1.2.3")}, {0}, 1};
    MUST(bind(rx, &a.sa, t_any(&a, AF_INET, 0)));
    R(setsockopt(rx, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof r));
    R(setsockopt(tx, IPPROTO_IP, IP_MULTICAST_IF, &r, sizeof r));
    t_any(&a, AF_INET, t_port(rx));
    a.in.sin_addr = r.imr_multiaddr;
    R(sendto(tx, "hey", 3, 0, &a.sa, sizeof a.in));
    t_settle();
    R(recv(rx, b, 8, MSG_DONTWAIT));
    R(recv(rx, b, 8, MSG_DONTWAIT));
    R(setsockopt(tx, IPPROTO_IP, IP_MULTICAST_LOOP, &(int){0}, 4));
    R(sendto(tx, "hey", 3, 0, &a.sa, sizeof a.in));
    t_settle();
    R(recv(rx, b, 8, MSG_DONTWAIT));
}

CASE(udp_rcvbuf_limit)
{
    int p[2], n = 0;
    static char b[1000];
    t_pair(AF_INET6, SOCK_DGRAM, p);
    R(setsockopt(p[1], SOL_SOCKET, SO_RCVBUF, &(int){0}, 4));
    t_getopt("SO_RCVBUF", p[1], SOL_SOCKET, SO_RCVBUF);
    for (int i = 0; i < 100; i++)
        MUST(send(p[0], b, sizeof b, 0));
    t_settle();
    while (recv(p[1], b, sizeof b, MSG_DONTWAIT) > 0)
        n++;
    printf("some dropped, some not: %d\n", n > 0 && n < 10);
}

/// `SO_PEEK_OFF` goes over datagrams as if they were one stream; one without bytes is shown once.
CASE(udp_peek_off)
{
    static const char *const texts[] = {"abcdef", "", "ghij", "klmnopq"};
    static const struct { int set; size_t size; int flags; } steps[] = {
        {0, 4, MSG_PEEK}, {-2, 4, MSG_PEEK}, {-2, 4, MSG_PEEK}, {-2, 2, MSG_PEEK}, {-2, 15, MSG_PEEK}, {-2, 15, MSG_PEEK}, {-2, 15, MSG_PEEK},
        {8, 2, MSG_PEEK | MSG_TRUNC}, {-2, 15, MSG_PEEK | MSG_TRUNC}, {-1, 3, MSG_PEEK}, {5, 3, 0}, {-2, 15, MSG_PEEK}, {0, 15, 0}, {-2, 3, MSG_PEEK},
        {100, 3, MSG_PEEK}, {-2, 3, 0}, {-2, 15, 0}, {-2, 15, 0}, {-7, 15, MSG_PEEK},
    };
    int families[] = {AF_INET, AF_INET6};
    for (int f = 0; f < 2; f++) {
        int p[2], at = 0;
        socklen_t len = sizeof at;
        t_pair(families[f], SOCK_DGRAM, p);
        R(getsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
        printf("%d\n", at);
        for (int i = 0; i < 4; i++)
            MUST(send(p[0], texts[i], strlen(texts[i]), 0));
        t_settle();
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            char b[16] = "";
            struct iovec iov = {b, steps[i].size};
            struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
            if (steps[i].set != -2)
                R(setsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &steps[i].set, sizeof(int)));
            R(recvmsg(p[1], &m, steps[i].flags | MSG_DONTWAIT));
            R(getsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
            printf("%s %d %#x\n", b, at, m.msg_flags);
        }
    }
    int raw = socket(AF_INET, SOCK_RAW, 17), at = 1;
    socklen_t len = sizeof at;
    R(setsockopt(raw, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at));
    R(getsockopt(raw, SOL_SOCKET, SO_PEEK_OFF, &at, &len));
}
