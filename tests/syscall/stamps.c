/* Time stamps of what is received and sent (SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING) and sending without a copy
 * (SO_ZEROCOPY, MSG_ZEROCOPY): control messages, and what the error queue says. */
#include "t.h"
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <sys/ioctl.h>

/* Newer than some headers. */
#define OPT_ID_TCP (1 << 16)
#ifndef SCM_TS_OPT_ID
#define SCM_TS_OPT_ID 81
#endif

static char data[1 << 16];
static const int opts[] = {SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMPING_OLD,
                           SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW};

/* A time is good if it is near now. */
static const char *good(const struct timespec *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long s = now.tv_sec - t->tv_sec;
    return !t->tv_sec && !t->tv_nsec ? "none" : s >= 0 && s < 5 && t->tv_nsec < 1000000000 ? "now" : "wrong";
}

static void show(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        struct timespec t[3];
        printf("  level %d type %d length %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        if (c->cmsg_level == SOL_SOCKET &&
            (c->cmsg_type == SO_TIMESTAMP_OLD || c->cmsg_type == SO_TIMESTAMP_NEW)) {
            memcpy(t, CMSG_DATA(c), sizeof *t);
            t->tv_nsec *= 1000;
            printf(" %s", good(t));
        } else if (c->cmsg_level == SOL_SOCKET &&
                   (c->cmsg_type == SO_TIMESTAMPNS_OLD || c->cmsg_type == SO_TIMESTAMPNS_NEW)) {
            memcpy(t, CMSG_DATA(c), sizeof *t);
            printf(" %s", good(t));
        } else if (c->cmsg_level == SOL_SOCKET &&
                   (c->cmsg_type == SO_TIMESTAMPING_OLD || c->cmsg_type == SO_TIMESTAMPING_NEW)) {
            memcpy(t, CMSG_DATA(c), sizeof t);
            printf(" %s %s %s", good(t), good(t + 1), good(t + 2));
        } else if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
                   (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
            struct sock_extended_err e;
            union addr a;
            memset(&a, 0, sizeof a);
            memcpy(&e, CMSG_DATA(c), sizeof e);
            memcpy(&a, CMSG_DATA(c) + sizeof e, c->cmsg_len - sizeof(struct cmsghdr) - sizeof e);
            printf(" errno %s origin %d type %d code %d info %u data %u, from family %d", e.ee_errno ? t_errno((int)e.ee_errno) : "none",
                   e.ee_origin, e.ee_type, e.ee_code, e.ee_info, e.ee_data, a.sa.sa_family);
            if (a.sa.sa_family == AF_INET)
                printf(" %s", inet_ntoa(a.in.sin_addr));
        } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo p;
            memcpy(&p, CMSG_DATA(c), sizeof p);
            printf(" interface %d from %s", p.ipi_ifindex, inet_ntoa(p.ipi_spec_dst));
            printf(" to %s", inet_ntoa(p.ipi_addr));
        }
        printf("\n");
    }
}

static long take(const char *name, int fd, int flags)
{
    char control[512];
    union addr a;
    struct iovec v = {data, sizeof data};
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    long n = RN(name, recvmsg(fd, &m, flags | MSG_DONTWAIT));
    if (n >= 0) {
        printf("  flags %#x, name of %u\n", m.msg_flags, m.msg_namelen);
        show(&m);
    }
    return n;
}

/* All of the error queue. */
static void drain(const char *name, int fd)
{
    usleep(20000);
    t_poll(name, fd, POLLIN, 0);
    while (take(name, fd, MSG_ERRQUEUE) >= 0)
        ;
    t_soerror(name, fd);
}

static void set(int fd, int opt, int value)
{
    char name[64];
    snprintf(name, sizeof name, "option %d = %#x", opt, value);
    RN(name, setsockopt(fd, SOL_SOCKET, opt, &value, sizeof value));
}

CASE(stamp_options)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    for (int i = 0; i < 6; i++) {
        for (int off = 0; off < 2; off++) {
            set(fd, opts[i], off ? 0 : i % 3 == 2 ? 0x18 : 1);
            for (int j = 0; j < 6; j++) {
                int v[2] = {-1, -1};
                socklen_t len = sizeof v;
                int r = getsockopt(fd, SOL_SOCKET, opts[j], v, &len);
                printf(" %d:%d,%d(%u)", r, v[0], v[1], len);
            }
            printf("\n");
        }
    }
    static const int flags[] = {0x7ffff, 0x80000, -1, SOF_TIMESTAMPING_OPT_STATS, SOF_TIMESTAMPING_OPT_STATS | SOF_TIMESTAMPING_OPT_TSONLY,
                                SOF_TIMESTAMPING_OPT_ID, OPT_ID_TCP, SOF_TIMESTAMPING_BIND_PHC, 0x3f, 0};
    int tcp = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), listener = t_listen(AF_INET, 1), p[2];
    t_pair(AF_INET, SOCK_STREAM, p);
    for (int i = 0; i < (int)(sizeof flags / sizeof *flags); i++) {
        set(fd, SO_TIMESTAMPING, flags[i]);
        set(tcp, SO_TIMESTAMPING, flags[i]);
        set(listener, SO_TIMESTAMPING, flags[i]);
        set(p[0], SO_TIMESTAMPING, flags[i]);
    }
    R(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &fd, 3));
}

CASE(stamp_received)
{
    int p[2];
    /* Stamps are made a while after the first socket on the machine has asked for them. */
    int first = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(setsockopt(first, SOL_SOCKET, SO_TIMESTAMP, &(int){1}, 4));
    usleep(100000);
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < 6; i++) {
            t_pair(kind & 1 ? AF_INET6 : AF_INET, kind & 2 ? SOCK_DGRAM : SOCK_STREAM, p);
            set(p[0], opts[i], i % 3 == 2 ? 0x18 : 1);
            MUST(send(p[1], "abc", 3, 0));
            usleep(2000);
            take("received", p[0], 0);
            /* Both at once. */
            if (i % 3 == 2) {
                set(p[0], opts[i - 1], 1);
                MUST(send(p[1], "abc", 3, 0));
                usleep(2000);
                take("received", p[0], MSG_PEEK);
                take("received", p[0], 0);
                set(p[0], opts[i - 1], 0);
                set(p[0], opts[i], SOF_TIMESTAMPING_RX_SOFTWARE);
                MUST(send(p[1], "abc", 3, 0));
                usleep(2000);
                take("not reported", p[0], 0);
                set(p[0], opts[i], 0x7f);
                MUST(send(p[1], "abc", 3, 0));
                usleep(2000);
                take("hardware too", p[0], 0);
            }
            set(p[0], opts[i], 0);
            MUST(send(p[1], "abc", 3, 0));
            usleep(2000);
            take("off", p[0], 0);
            close(p[0]);
            close(p[1]);
        }
    }
}

CASE(stamp_sent_datagram)
{
    int p[2];
    for (int kind = 0; kind < 2; kind++) {
        t_pair(kind ? AF_INET6 : AF_INET, SOCK_DGRAM, p);
        MUST(send(p[0], "abc", 3, 0));
        drain("nothing", p[0]);
        set(p[0], SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
        MUST(send(p[0], "abc", 3, 0));
        drain("sent", p[0]);
        set(p[0], SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE);
        MUST(send(p[0], "abc", 3, 0));
        drain("scheduled", p[0]);
        set(p[0], SO_TIMESTAMPING, 0x3 | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID);
        for (int i = 0; i < 3; i++)
            MUST(send(p[0], "abc", 3, 0));
        drain("only stamps, numbered", p[0]);
        set(p[0], SO_TIMESTAMPING, 0x3 | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID);
        MUST(send(p[0], "abc", 3, 0));
        drain("not reported", p[0]);
        set(p[0], SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_CMSG);
        MUST(send(p[0], "abc", 3, 0));
        drain("with control messages", p[0]);
        if (!kind) {
            MUST(setsockopt(p[0], SOL_IP, IP_PKTINFO, &(int){1}, 4));
            MUST(send(p[0], "abc", 3, 0));
            drain("with the interface", p[0]);
        }
        set(p[0], SO_TIMESTAMPNS_NEW, 1);
        set(p[0], SO_TIMESTAMPING_NEW, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY);
        MUST(send(p[0], "abc", 3, 0));
        drain("new form", p[0]);
        close(p[0]);
        close(p[1]);
    }
}

static long send_with(int fd, const char *what, size_t len, int type, unsigned value, unsigned *id)
{
    union {
        char b[CMSG_SPACE(4) * 2];
        struct cmsghdr align;
    } c;
    memset(&c, 0, sizeof c);
    struct iovec v = {(void *)what, len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(4) * (id ? 2 : 1)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = type, .cmsg_len = CMSG_LEN(4)};
    memcpy(CMSG_DATA(h), &value, 4);
    if (id) {
        h = CMSG_NXTHDR(&m, h);
        *h = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_TS_OPT_ID, .cmsg_len = CMSG_LEN(4)};
        memcpy(CMSG_DATA(h), id, 4);
    }
    return sendmsg(fd, &m, 0);
}

CASE(stamp_asked_for_by_message)
{
    int p[2];
    for (int kind = 0; kind < 2; kind++) {
        t_pair(AF_INET, kind ? SOCK_STREAM : SOCK_DGRAM, p);
        set(p[0], SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY);
        MUST(send(p[0], "abc", 3, 0));
        drain("not asked for", p[0]);
        R(send_with(p[0], "abc", 3, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE, 0));
        drain("asked for", p[0]);
        R(send_with(p[0], "abc", 3, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE, 0));
        R(send_with(p[0], "abc", 3, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE, &(unsigned){77}));
        set(p[0], SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_TX_SOFTWARE);
        R(send_with(p[0], "abc", 3, SO_TIMESTAMPING_NEW, SOF_TIMESTAMPING_TX_SOFTWARE, &(unsigned){77}));
        MUST(send(p[0], "abc", 3, 0));
        drain("numbered by us", p[0]);
        R(send_with(p[0], "abc", 3, SO_TIMESTAMPING, 0, 0));
        drain("not this one", p[0]);
    }
}

CASE(stamp_sent_stream)
{
    int p[2];
    for (int kind = 0; kind < 2; kind++) {
        t_pair(kind ? AF_INET6 : AF_INET, SOCK_STREAM, p);
        MUST(send(p[0], "abc", 3, 0));
        drain("nothing", p[0]);
        set(p[0], SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
        MUST(send(p[0], "abc", 3, 0));
        drain("sent", p[0]);
        set(p[0], SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
        MUST(send(p[0], "abc", 3, 0));
        drain("acknowledged", p[0]);
        MUST(send(p[0], "abcd", 4, 0));
        drain("acknowledged", p[0]);
        set(p[0], SO_TIMESTAMPING, 0x3 | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
        MUST(send(p[0], "abc", 3, 0));
        drain("all", p[0]);
        MUST(send(p[0], data, 1000, 0));
        drain("all", p[0]);
        set(p[0], SO_TIMESTAMPING, 0);
        MUST(send(p[0], "x", 1, 0));
        drain("off", p[0]);
        set(p[0], SO_TIMESTAMPING, 0x2 | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | OPT_ID_TCP | SOF_TIMESTAMPING_OPT_TSONLY);
        MUST(send(p[0], "abc", 3, 0));
        drain("numbered anew", p[0]);
        close(p[0]);
        close(p[1]);
    }
}

CASE(zerocopy_option)
{
    static const int kinds[][3] = {{AF_INET, SOCK_STREAM, 0}, {AF_INET6, SOCK_STREAM, 0}, {AF_INET, SOCK_DGRAM, 0}, {AF_INET6, SOCK_DGRAM, 0},
                                   {AF_INET, SOCK_RAW, 200}, {AF_INET6, SOCK_RAW, 200}, {AF_NETLINK, SOCK_RAW, 0}, {AF_PACKET, SOCK_RAW, 0}};
    for (int i = 0; i < 8; i++) {
        int fd = (int)MUST(socket(kinds[i][0], kinds[i][1], kinds[i][2]));
        printf("kind %d\n", i);
        t_getopt("before", fd, SOL_SOCKET, SO_ZEROCOPY);
        set(fd, SO_ZEROCOPY, 1);
        t_getopt("after", fd, SOL_SOCKET, SO_ZEROCOPY);
        set(fd, SO_ZEROCOPY, 2);
        set(fd, SO_ZEROCOPY, -1);
        set(fd, SO_ZEROCOPY, 0);
        t_getopt("off", fd, SOL_SOCKET, SO_ZEROCOPY);
        close(fd);
    }
}

CASE(zerocopy_datagram)
{
    int p[2];
    for (int kind = 0; kind < 2; kind++) {
        t_pair(kind ? AF_INET6 : AF_INET, SOCK_DGRAM, p);
        R(send(p[0], data, 1000, MSG_ZEROCOPY));
        drain("without the option", p[0]);
        set(p[0], SO_ZEROCOPY, 1);
        R(send(p[0], data, 1000, 0));
        drain("without the flag", p[0]);
        R(send(p[0], data, 1000, MSG_ZEROCOPY));
        drain("one", p[0]);
        for (int i = 0; i < 5; i++)
            MUST(send(p[0], data, 1000, MSG_ZEROCOPY));
        drain("five", p[0]);
        R(send(p[0], data, 0, MSG_ZEROCOPY));
        drain("of nothing", p[0]);
        R(send(p[0], data, 1, MSG_ZEROCOPY));
        drain("small", p[0]);
        R(send(p[0], data, 65536, MSG_ZEROCOPY));
        drain("too long", p[0]);
        R(send(p[0], data, 100, MSG_ZEROCOPY));
        drain("after that", p[0]);
        R(send(p[0], data, 100, MSG_ZEROCOPY | MSG_MORE));
        R(send(p[0], data, 100, MSG_ZEROCOPY | MSG_MORE));
        drain("held back", p[0]);
        R(send(p[0], data, 100, 0));
        drain("let go", p[0]);
        close(p[0]);
        close(p[1]);
    }
}

CASE(zerocopy_stream)
{
    int p[2];
    for (int kind = 0; kind < 2; kind++) {
        t_pair(kind ? AF_INET6 : AF_INET, SOCK_STREAM, p);
        R(send(p[0], data, 1000, MSG_ZEROCOPY));
        drain("without the option", p[0]);
        set(p[0], SO_ZEROCOPY, 1);
        R(send(p[0], data, 1000, 0));
        drain("without the flag", p[0]);
        R(send(p[0], data, 1000, MSG_ZEROCOPY));
        drain("one", p[0]);
        for (int i = 0; i < 5; i++)
            MUST(send(p[0], data, 1000, MSG_ZEROCOPY));
        drain("five", p[0]);
        R(send(p[0], data, 0, MSG_ZEROCOPY));
        drain("of nothing", p[0]);
        R(send(p[0], data, 20000, MSG_ZEROCOPY));
        while (recv(p[1], data, sizeof data, MSG_DONTWAIT) > 0)
            ;
        drain("long", p[0]);
        int s = p[0];
        MUST(shutdown(s, SHUT_WR));
        R(send(s, data, 10, MSG_ZEROCOPY | MSG_NOSIGNAL));
        drain("after the end", s);
        close(p[0]);
        close(p[1]);
    }
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    set(fd, SO_ZEROCOPY, 1);
    R(send(fd, data, 10, MSG_ZEROCOPY | MSG_NOSIGNAL));
    drain("not connected", fd);
    /* A child of a listener has it too. */
    int l = t_listen(AF_INET, 1);
    set(l, SO_ZEROCOPY, 1);
    int c = t_connect_to(AF_INET, SOCK_STREAM, t_port(l));
    int a = (int)MUST(accept(l, 0, 0));
    t_getopt("accepted", a, SOL_SOCKET, SO_ZEROCOPY);
    R(send(a, data, 10, MSG_ZEROCOPY));
    drain("accepted", a);
    close(c);
}

CASE(zerocopy_mixed)
{
    int p[2];
    t_pair(AF_INET, SOCK_DGRAM, p);
    set(p[0], SO_ZEROCOPY, 1);
    MUST(setsockopt(p[0], SOL_IP, IP_RECVERR, &(int){1}, 4));
    set(p[0], SO_TIMESTAMPING, 0x2 | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID);
    MUST(send(p[0], data, 10, MSG_ZEROCOPY));
    MUST(send(p[0], data, 10, 0));
    close(p[1]);
    MUST(send(p[0], data, 10, MSG_ZEROCOPY));
    usleep(20000);
    t_poll("mixed", p[0], POLLIN, 0);
    for (int i = 0; i < 3; i++)
        take("mixed", p[0], MSG_ERRQUEUE);
    t_soerror("mixed", p[0]);
    drain("the rest", p[0]);
}
