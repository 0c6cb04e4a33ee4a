/* Control messages and recvmmsg. */
#include "t.h"
#include <netinet/ip_icmp.h>
#include <sys/time.h>

static void show(struct msghdr *m)
{
    printf("flags %x\n", m->msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        char text[64] = "";
        unsigned char *d = CMSG_DATA(c);
        int v = *(int *)(void *)d;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *i = (void *)d;
            char a[20], s[20];
            inet_ntop(AF_INET, &i->ipi_addr, a, sizeof a);
            inet_ntop(AF_INET, &i->ipi_spec_dst, s, sizeof s);
            printf("pktinfo %d %s %s\n", i->ipi_ifindex, a, s);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *i = (void *)d;
            inet_ntop(AF_INET6, &i->ipi6_addr, text, sizeof text);
            printf("pktinfo6 %d %s\n", i->ipi6_ifindex, text);
        } else if (c->cmsg_level == SOL_SOCKET) {
            long t[2];
            memcpy(t, d, sizeof t);
            printf("socket %d length %zu recent %d\n", c->cmsg_type, (size_t)c->cmsg_len, labs(t[0] - (long)time(0)) < 3);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVORIGDSTADDR) {
            t_addr("original destination", d, (socklen_t)(c->cmsg_len - CMSG_LEN(0)), 0);
        } else
            printf("cmsg %d %d length %zu: %d\n", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len,
                   c->cmsg_len == CMSG_LEN(1) ? *d : v);
    }
}

static void receive(int fd, size_t room)
{
    char data[16], control[512] __attribute__((aligned(8)));
    struct iovec v = {data, sizeof data};
    struct msghdr m = {0, 0, &v, 1, control, room, 0};
    if (R(recvmsg(fd, &m, MSG_DONTWAIT)) >= 0)
        show(&m);
}

CASE(cmsg_receive_v4)
{
    int p[2], one = 1;
    t_pair(AF_INET, SOCK_DGRAM, p);
    static const int opts[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR, IP_RECVOPTS, IP_RETOPTS};
    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++) {
        MUST(setsockopt(p[1], IPPROTO_IP, opts[i], &one, 4));
        MUST(send(p[0], "x", 1, 0));
        t_settle();
        receive(p[1], 512);
    }
    MUST(setsockopt(p[0], IPPROTO_IP, IP_TTL, &(int){7}, 4));
    MUST(setsockopt(p[0], IPPROTO_IP, IP_TOS, &(int){0x28}, 4));
    MUST(send(p[0], "x", 1, 0));
    MUST(send(p[0], "x", 1, 0));
    MUST(send(p[0], "x", 1, 0));
    t_settle();
    receive(p[1], 512);
    receive(p[1], 30);
    receive(p[1], 0);
}

CASE(cmsg_receive_v6)
{
    int p[2], one = 1;
    t_pair(AF_INET6, SOCK_DGRAM, p);
    static const int opts[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS};
    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++) {
        MUST(setsockopt(p[1], IPPROTO_IPV6, opts[i], &one, 4));
        MUST(send(p[0], "x", 1, 0));
        t_settle();
        receive(p[1], 512);
    }
    MUST(setsockopt(p[0], IPPROTO_IPV6, IPV6_UNICAST_HOPS, &(int){9}, 4));
    MUST(setsockopt(p[0], IPPROTO_IPV6, IPV6_TCLASS, &(int){0x28}, 4));
    MUST(send(p[0], "x", 1, 0));
    t_settle();
    receive(p[1], 512);
}

CASE(cmsg_timestamps)
{
    static const int opts[] = {SO_TIMESTAMP, SO_TIMESTAMPNS};
    for (int i = 0; i < 2; i++) {
        int p[2];
        t_pair(i ? AF_INET6 : AF_INET, SOCK_DGRAM, p);
        R(setsockopt(p[1], SOL_SOCKET, opts[i], &(int){1}, 4));
        MUST(send(p[0], "x", 1, 0));
        t_settle();
        receive(p[1], 512);
    }
    int ping = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    MUST(setsockopt(ping, SOL_SOCKET, SO_TIMESTAMP, &(int){1}, 4));
    union addr a;
    struct icmphdr h = {.type = 8, .checksum = htons(0xf7ff)};
    t_lo(&a, AF_INET, 0);
    R(sendto(ping, &h, 8, 0, &a.sa, sizeof a.in));
    t_settle();
    receive(ping, 512);
    receive(ping, 512);
    receive(ping, 512);
}

CASE(cmsg_send)
{
    int rx = t_bound(AF_INET, SOCK_DGRAM), tx = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;
    union addr a;
    union { struct cmsghdr h; char room[256]; } u;
    struct iovec v = {"x", 1};
    struct msghdr m = {&a, t_lo(&a, AF_INET, t_port(rx)), &v, 1, &u, 0, 0};
    MUST(setsockopt(rx, IPPROTO_IP, IP_RECVTTL, &one, 4));
    MUST(setsockopt(rx, IPPROTO_IP, IP_RECVTOS, &one, 4));
    static const struct { int level, type, value, len; } t[] = {
        {IPPROTO_IP, IP_TTL, 5, 4}, {IPPROTO_IP, IP_TTL, 0, 4}, {IPPROTO_IP, IP_TTL, 256, 4}, {IPPROTO_IP, IP_TOS, 0x10, 4},
        {IPPROTO_IP, IP_TOS, 0x10, 1}, {IPPROTO_IP, 99, 1, 4}, {SOL_SOCKET, SO_MARK, 1, 4}, {SOL_SOCKET, 0x77, 1, 4},
        {IPPROTO_TCP, 1, 1, 4}, {IPPROTO_UDP, 103, 1, 2}, {SOL_SOCKET, SCM_RIGHTS, 0, 4}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        memset(&u, 0, sizeof u);
        u.h.cmsg_level = t[i].level;
        u.h.cmsg_type = t[i].type;
        u.h.cmsg_len = CMSG_LEN((size_t)t[i].len);
        memcpy(CMSG_DATA(&u.h), &t[i].value, (size_t)t[i].len);
        m.msg_controllen = CMSG_SPACE((size_t)t[i].len);
        char name[64];
        snprintf(name, sizeof name, "level %d type %d value %d", t[i].level, t[i].type, t[i].value);
        if (RN(name, sendmsg(tx, &m, 0)) > 0) {
            t_settle();
            receive(rx, 512);
        }
    }
    u.h.cmsg_len = 5;
    R(sendmsg(tx, &m, 0));
    u.h.cmsg_len = 500;
    R(sendmsg(tx, &m, 0));
    m.msg_controllen = 3;
    R(sendmsg(tx, &m, 0));
    struct in_pktinfo i = {1, {inet_addr("127.0.0.5")}, {0}};
    u.h = (struct cmsghdr){CMSG_LEN(sizeof i), IPPROTO_IP, IP_PKTINFO};
    memcpy(CMSG_DATA(&u.h), &i, sizeof i);
    m.msg_controllen = CMSG_SPACE(sizeof i);
    R(sendmsg(tx, &m, 0));
    t_settle();
    socklen_t len = sizeof a;
    R(recvfrom(rx, u.room, 8, MSG_DONTWAIT, &a.sa, &len));
    t_addr("from", &a, len, 0);
}

CASE(recvmmsg_many)
{
    int p[2];
    char b[8][8];
    struct iovec v[8];
    struct mmsghdr m[8];
    union addr a[8];
    t_pair(AF_INET, SOCK_DGRAM, p);
    memset(m, 0, sizeof m);
    for (int i = 0; i < 8; i++) {
        v[i] = (struct iovec){b[i], 4};
        m[i].msg_hdr = (struct msghdr){&a[i], sizeof a[i], &v[i], 1, 0, 0, 0};
    }
    R(recvmmsg(p[1], m, 8, MSG_DONTWAIT, 0));
    for (int i = 0; i < 5; i++)
        MUST(send(p[0], "abcdefgh", (size_t)i + 1, 0));
    t_settle();
    R(recvmmsg(p[1], m, 3, 0, 0));
    for (int i = 0; i < 3; i++)
        printf("%u %u %x\n", m[i].msg_len, m[i].msg_hdr.msg_namelen, m[i].msg_hdr.msg_flags);
    R(recvmmsg(p[1], m, 8, MSG_WAITFORONE, 0));
    printf("%u %x\n", m[1].msg_len, m[1].msg_hdr.msg_flags);
    MUST(send(p[0], "abcdefgh", 1, 0));
    R(recvmmsg(p[1], m, 8, 0, &(struct timespec){0, 1000000000}));
    R(recvmmsg(p[1], m, 0, 0, 0));
    R(recvmmsg(987, m, 1, 0, 0));
    m[1].msg_hdr.msg_iov = (void *)8;
    m[0].msg_hdr.msg_name = m[1].msg_hdr.msg_name = 0;
    m[0].msg_hdr.msg_namelen = m[1].msg_hdr.msg_namelen = 0;
    R(sendmmsg(p[0], m, 2, 0));
    R(sendmmsg(p[0], m + 1, 1, 0));
}
