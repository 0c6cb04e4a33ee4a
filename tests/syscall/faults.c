/* Pointers that are bad: each pointer of each call that takes one. Raw calls, for libc's functions look at some of them themselves. */
#include "t.h"
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

/* A page that can be read and written, then one that cannot. */
static char *page(void)
{
    static char *at;
    if (!at) {
        at = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(at + 4096, 4096, PROT_NONE);
    }
    memset(at, 0, 4096);
    return at;
}

/* The last `n` bytes before the hole. */
static void *edge(long n)
{
    return page() + 4096 - n;
}

static void *read_only(void)
{
    static void *at;
    if (!at)
        at = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at;
}

/* Bad ones of each kind; the last can be read. */
#define BADS 7
static void *bad(int i)
{
    switch (i) {
    case 0: return 0;
    case 1: return (void *)8;
    case 2: return edge(0);
    case 3: return edge(1);
    case 4: return (void *)0x800000000000;
    case 5: return (void *)-1L;
    default: return read_only();
    }
}

static const char *const names[BADS] = {"null", "low", "hole", "one byte", "beyond", "last", "read-only"};

/* Prints the call once for each bad pointer `p`, but those that answer alike in one line. */
#define EACH(most, call)                                                                           \
    do {                                                                                            \
        printf("%s:", #call);                                                                       \
        for (int i_ = 0; i_ < (most); i_++) {                                                       \
            void *p = bad(i_);                                                                      \
            errno = 0;                                                                              \
            long v_ = (long)(call);                                                                 \
            if (v_ == -1)                                                                           \
                printf(" %s", t_errno(errno));                                                      \
            else                                                                                    \
                printf(" %s=%ld", names[i_], v_);                                                   \
        }                                                                                           \
        printf("\n");                                                                               \
    } while (0)
/* Pointers that are read. */
#define IN(call) EACH(BADS - 1, call)
/* Pointers that are written. */
#define OUT(call) EACH(BADS, call)
#define SYS(name, ...) syscall(SYS_##name, __VA_ARGS__)

static int ok_len;
static socklen_t *len_of(int n)
{
    ok_len = n;
    return (socklen_t *)&ok_len;
}

static void names_of(int family)
{
    union addr a;
    char b[128];
    int fd = (int)MUST(socket(family, SOCK_STREAM, 0)), l = t_listen(family, 8), size = family == AF_INET ? 16 : 28;
    IN(SYS(bind, fd, p, size));
    IN(SYS(bind, fd, p, 0));
    IN(SYS(bind, fd, p, 1));
    IN(SYS(bind, fd, p, -1));
    IN(SYS(bind, fd, p, 129));
    IN(SYS(bind, 987, p, size));
    IN(SYS(connect, fd, p, size));
    IN(SYS(connect, fd, p, 2));
    IN(SYS(connect, fd, p, 200));
    IN(SYS(connect, 987, p, size));
    socklen_t len = t_lo(&a, family, t_port(l));
    MUST(connect(fd, &a.sa, len));
    OUT(SYS(getsockname, fd, p, len_of(size)));
    OUT(SYS(getsockname, fd, p, len_of(0)));
    OUT(SYS(getsockname, fd, p, len_of(-1)));
    OUT(SYS(getsockname, fd, b, p));
    OUT(SYS(getsockname, 987, p, p));
    OUT(SYS(getpeername, fd, p, len_of(size)));
    OUT(SYS(getpeername, fd, p, len_of(1)));
    OUT(SYS(getpeername, fd, b, p));
    OUT(SYS(getpeername, l, p, p));
    /* What cannot be told of is lost. */
    t_nonblock(l);
    R(SYS(accept, l, edge(0), len_of(size)));
    R(SYS(accept, l, 0, 0));
    for (int i = 0; i < BADS; i++) {
        t_connect_to(family, SOCK_STREAM, t_port(l));
        t_settle();
        printf("%s: ", names[i]);
        OKN("length", SYS(accept4, l, b, bad(i), SOCK_CLOEXEC));
        OKN("again", SYS(accept4, l, 0, bad(i), SOCK_CLOEXEC));
    }
    OUT(SYS(accept, l, b, p));
    OUT(SYS(accept4, fd, b, p, 0));
    OUT(SYS(accept4, l, b, p, 77));
}

CASE(bad_pointers_to_names_v4) { names_of(AF_INET); }
CASE(bad_pointers_to_names_v6) { names_of(AF_INET6); }

CASE(bad_pointers_to_options)
{
    char b[256];
    int pair[2], udp = t_bound(AF_INET, SOCK_DGRAM), six = t_bound(AF_INET6, SOCK_DGRAM);
    static const struct {
        int level, name;
        unsigned size;
    } options[] = {
        {SOL_SOCKET, SO_TYPE, 4},        {SOL_SOCKET, SO_LINGER, 8},      {SOL_SOCKET, SO_RCVTIMEO, 16},
        {SOL_SOCKET, SO_RCVBUF, 4},      {SOL_SOCKET, SO_ERROR, 4},       {SOL_SOCKET, SO_BINDTODEVICE, 16},
        {IPPROTO_TCP, TCP_NODELAY, 4},   {IPPROTO_TCP, TCP_INFO, 104},
        {IPPROTO_TCP, TCP_MAXSEG, 4},    {IPPROTO_IP, IP_TTL, 4},         {IPPROTO_IP, IP_TOS, 1},
        {SOL_SOCKET, 9999, 4},           {IPPROTO_TCP, 9999, 4},          {9999, 1, 4},
    };
    t_pair(AF_INET, SOCK_STREAM, pair);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int level = options[i].level, name = options[i].name, size = (int)options[i].size;
        printf("option %d %d\n", level, name);
        OUT(SYS(getsockopt, pair[0], level, name, p, len_of(size)));
        OUT(SYS(getsockopt, pair[0], level, name, b, p));
        OUT(SYS(getsockopt, pair[0], level, name, p, p));
        OUT(SYS(getsockopt, pair[0], level, name, p, len_of(0)));
        IN(SYS(setsockopt, pair[0], level, name, p, size));
        IN(SYS(setsockopt, pair[0], level, name, p, 0));
        IN(SYS(setsockopt, pair[0], level, name, p, -1));
    }
    IN(SYS(setsockopt, udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, p, 8));
    IN(SYS(setsockopt, udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, p, 12));
    IN(SYS(setsockopt, udp, IPPROTO_IP, IP_MULTICAST_IF, p, 4));
    IN(SYS(setsockopt, udp, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, p, 12));
    IN(SYS(setsockopt, udp, IPPROTO_IP, MCAST_JOIN_GROUP, p, 136));
    IN(SYS(setsockopt, six, IPPROTO_IPV6, IPV6_JOIN_GROUP, p, 20));
    IN(SYS(setsockopt, six, IPPROTO_IPV6, IPV6_MULTICAST_IF, p, 4));
    IN(SYS(setsockopt, six, IPPROTO_IPV6, IPV6_V6ONLY, p, 4));
    IN(SYS(setsockopt, udp, SOL_SOCKET, SO_ATTACH_FILTER, p, 16));
    *(void **)b = 0;
    struct {
        unsigned short len;
        void *code;
    } f = {4, edge(0)};
    R(SYS(setsockopt, udp, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof f));
    OUT(SYS(getsockopt, six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, p, len_of(4)));
    OUT(SYS(getsockopt, six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, b, p));
    IN(SYS(setsockopt, 987, SOL_SOCKET, SO_KEEPALIVE, p, 4));
    OUT(SYS(getsockopt, 987, SOL_SOCKET, SO_TYPE, p, p));
}

static void bytes_of(int type)
{
    union addr a;
    char b[64] = "abcdefgh";
    int pair[2];
    t_pair(AF_INET, type, pair);
    IN(SYS(sendto, pair[0], p, 8, 0, 0, 0));
    IN(SYS(sendto, pair[0], p, 0, MSG_DONTWAIT, 0, 0));
    IN(SYS(sendto, pair[0], b, 1, 0, p, 16));
    IN(SYS(sendto, pair[0], b, 1, 0, p, 0));
    IN(SYS(write, pair[0], p, 8));
    IN(SYS(sendto, 987, p, 8, 0, 0, 0));
    /* What was taken of those; then a known state. */
    t_settle();
    while (recv(pair[1], &a, sizeof a, MSG_DONTWAIT) >= 0)
        ;
    MUST(send(pair[0], "12345678", 8, 0));
    t_settle();
    OUT(SYS(recvfrom, pair[1], p, 8, MSG_PEEK, 0, 0));
    OUT(SYS(recvfrom, pair[1], b, 8, MSG_PEEK, p, len_of(16)));
    OUT(SYS(recvfrom, pair[1], b, 8, MSG_PEEK, p, len_of(0)));
    OUT(SYS(recvfrom, pair[1], b, 8, MSG_PEEK, &a, p));
    R(SYS(recvfrom, pair[1], edge(4), 8, 0, 0, 0));
    R(SYS(recvfrom, pair[1], edge(4), 4, MSG_DONTWAIT, 0, 0));
    R(SYS(recvfrom, pair[1], b, 8, MSG_DONTWAIT, 0, 0));
    MUST(send(pair[0], "12345678", 8, 0));
    t_settle();
    R(SYS(read, pair[1], edge(4), 8));
    R(SYS(recvfrom, pair[1], b, 8, MSG_DONTWAIT, 0, 0));
    /* With nothing there. */
    OUT(SYS(recvfrom, pair[1], p, 8, MSG_DONTWAIT, 0, 0));
    OUT(SYS(recvfrom, pair[1], b, 8, MSG_DONTWAIT, p, p));
    /* Several pieces. */
    struct iovec some[3] = {{b, 4}, {edge(0), 4}, {b, 4}}, hole = {edge(0), 0}, neg = {b, (size_t)-1};
    R(SYS(writev, pair[0], some, 3));
    R(SYS(writev, pair[0], &hole, 1));
    R(SYS(writev, pair[0], &neg, 1));
    IN(SYS(writev, pair[0], p, 1));
    IN(SYS(writev, pair[0], p, 0));
    IN(SYS(writev, pair[0], p, -1));
    IN(SYS(writev, pair[0], p, 2000));
    IN(SYS(readv, pair[1], p, 1));
    t_settle();
    while (recv(pair[1], b, sizeof b, MSG_DONTWAIT) >= 0)
        ;
    MUST(send(pair[0], "12345678", 8, 0));
    t_settle();
    R(SYS(readv, pair[1], some, 3));
    R(SYS(recvfrom, pair[1], b, 8, MSG_DONTWAIT, 0, 0));
    IN(SYS(preadv, pair[1], p, 1, 0, 0));
    IN(SYS(pwritev, pair[1], p, 1, 0, 0));
    IN(SYS(pwrite64, pair[1], p, 4, 0));
    OUT(SYS(pread64, pair[1], p, 4, 0));
    IN(SYS(preadv2, pair[1], p, 1, -1, -1, 0));
    IN(SYS(pwritev2, pair[1], p, 1, -1, -1, 0));
}

CASE(bad_pointers_to_bytes_tcp) { bytes_of(SOCK_STREAM); }
CASE(bad_pointers_to_bytes_udp) { bytes_of(SOCK_DGRAM); }

static void messages_of(int type)
{
    union addr a;
    char b[64] = "abcdefgh", control[256];
    int pair[2], one = 1;
    t_pair(AF_INET, type, pair);
    setsockopt(pair[1], IPPROTO_IP, IP_PKTINFO, &one, 4);
    struct iovec v = {b, 8}, bads = {edge(0), 8};
#define MSG(field, value)                                                                           \
    ({                                                                                              \
        static struct msghdr m_;                                                                    \
        m_ = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1};                                       \
        m_.field = (value);                                                                         \
        &m_;                                                                                        \
    })
#define MSG2(field, value, field2, value2)                                                          \
    ({                                                                                              \
        struct msghdr *m2_ = MSG(field, value);                                                     \
        m2_->field2 = (value2);                                                                     \
        m2_;                                                                                        \
    })
    IN(SYS(sendmsg, pair[0], p, 0));
    IN(SYS(sendmsg, 987, p, 0));
    IN(SYS(sendmsg, pair[0], MSG(msg_iov, p), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_iov, p, msg_iovlen, 0), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_iov, p, msg_iovlen, 2000), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_name, p, msg_namelen, 16), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_name, p, msg_namelen, 0), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_name, p, msg_namelen, -1), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_control, p, msg_controllen, 24), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_control, p, msg_controllen, 0), 0));
    IN(SYS(sendmsg, pair[0], MSG2(msg_control, p, msg_controllen, 1UL << 31), 0));
    R(SYS(sendmsg, pair[0], MSG(msg_iov, &bads), 0));
    t_settle();
    while (recv(pair[1], &a, sizeof a, MSG_DONTWAIT) >= 0)
        ;
    MUST(send(pair[0], "12345678", 8, 0));
    t_settle();
    OUT(SYS(recvmsg, pair[1], p, MSG_PEEK));
    OUT(SYS(recvmsg, 987, p, 0));
    IN(SYS(recvmsg, pair[1], MSG(msg_iov, p), MSG_PEEK));
    OUT(SYS(recvmsg, pair[1], MSG2(msg_name, p, msg_namelen, 16), MSG_PEEK));
    OUT(SYS(recvmsg, pair[1], MSG2(msg_name, p, msg_namelen, 0), MSG_PEEK));
    OUT(SYS(recvmsg, pair[1], MSG2(msg_control, p, msg_controllen, 64), MSG_PEEK));
    R(SYS(recvmsg, pair[1], MSG2(msg_control, control, msg_controllen, sizeof control), MSG_PEEK));
    R(SYS(recvmsg, pair[1], MSG(msg_iov, &bads), 0));
    R(SYS(recvmsg, pair[1], MSG(msg_iov, &v), MSG_DONTWAIT));
    /* Many. */
    struct mmsghdr many[3] = {{.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &bads, .msg_iovlen = 1}}};
    many[2] = many[0];
    IN(SYS(sendmmsg, pair[0], p, 1, 0));
    IN(SYS(sendmmsg, pair[0], p, 0, 0));
    IN(SYS(sendmmsg, 987, p, 1, 0));
    R(SYS(sendmmsg, pair[0], many, 3, 0));
    R(many[0].msg_len);
    memcpy(edge(sizeof many[0]), many, sizeof many[0]);
    R(SYS(sendmmsg, pair[0], page() + 4096 - sizeof many[0], 2, 0));
    struct mmsghdr *last = edge(sizeof many[0]);
    *last = many[0];
    R(SYS(sendmmsg, pair[0], last, 2, 0));
    t_settle();
    IN(SYS(recvmmsg, pair[1], p, 1, 0, 0));
    IN(SYS(recvmmsg, pair[1], many, 1, MSG_DONTWAIT | MSG_PEEK, p));
    IN(SYS(recvmmsg, 987, p, 1, 0, p));
    R(SYS(recvmmsg, pair[1], many, 3, MSG_DONTWAIT, 0));
    R(SYS(recvmmsg, pair[1], last, 2, MSG_DONTWAIT, 0));
}

CASE(bad_pointers_in_messages_tcp) { messages_of(SOCK_STREAM); }
CASE(bad_pointers_in_messages_udp) { messages_of(SOCK_DGRAM); }

CASE(bad_pointers_while_waiting)
{
    int pair[2], ep = (int)MUST(epoll_create1(0)), pipes[2];
    struct epoll_event e[4] = {{.events = EPOLLIN | EPOLLOUT}};
    MUST(pipe(pipes));
    t_pair(AF_INET, SOCK_STREAM, pair);
    IN(SYS(epoll_ctl, ep, EPOLL_CTL_ADD, pair[0], p));
    IN(SYS(epoll_ctl, ep, EPOLL_CTL_ADD, pipes[0], p));
    IN(SYS(epoll_ctl, ep, EPOLL_CTL_MOD, pair[0], p));
    IN(SYS(epoll_ctl, ep, EPOLL_CTL_DEL, pair[0], p));
    IN(SYS(epoll_ctl, ep, 77, pair[0], p));
    IN(SYS(epoll_ctl, ep, EPOLL_CTL_ADD, ep, p));
    IN(SYS(epoll_ctl, ep, EPOLL_CTL_ADD, 987, p));
    IN(SYS(epoll_ctl, pair[0], EPOLL_CTL_ADD, pair[1], p));
    IN(SYS(epoll_ctl, 987, EPOLL_CTL_ADD, pair[1], p));
    OUT(SYS(epoll_wait, ep, p, 4, 0));
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, pair[0], e));
    OUT(SYS(epoll_wait, ep, p, 4, 0));
    OUT(SYS(epoll_wait, ep, p, 0, 0));
    OUT(SYS(epoll_wait, ep, p, -1, 0));
    OUT(SYS(epoll_wait, pair[0], p, 4, 0));
    OUT(SYS(epoll_wait, 987, p, 4, 0));
    R(SYS(epoll_wait, ep, e, 4, 0));
    IN(SYS(epoll_pwait, ep, e, 4, 0, p, 8));
    IN(SYS(epoll_pwait, ep, e, 4, 0, p, 7));
    IN(SYS(epoll_pwait2, ep, e, 4, p, 0, 8));
    /* Edge-triggered: is what could not be told lost? */
    e[0].events = EPOLLOUT | EPOLLET;
    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, pair[0], e));
    R(SYS(epoll_wait, ep, edge(0), 4, 0));
    R(SYS(epoll_wait, ep, e, 4, 0));
    e[0].events = EPOLLOUT | EPOLLONESHOT;
    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, pair[0], e));
    R(SYS(epoll_wait, ep, edge(0), 4, 0));
    R(SYS(epoll_wait, ep, e, 4, 0));

    struct pollfd f[2] = {{pair[0], POLLOUT, 0}, {pipes[0], POLLIN, 0}}, *half = edge(8);
    struct timespec ts = {0, 0};
    struct timeval tv = {0, 0};
    *half = f[0];
    IN(SYS(poll, p, 1, 0));
    IN(SYS(poll, p, 0, 0));
    R(SYS(poll, half, 2, 0));
    R(SYS(poll, half, 1, 0));
    R(SYS(poll, half, -1, 0));
    IN(SYS(ppoll, p, 1, &ts, 0, 8));
    IN(SYS(ppoll, f, 2, p, 0, 8));
    IN(SYS(ppoll, f, 2, &ts, p, 8));
    IN(SYS(ppoll, f, 2, &ts, p, 9));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pair[0], &set);
    int n = pair[0] + 1;
    OUT(SYS(select, n, 0, p, 0, &tv));
    OUT(SYS(select, n, p, &set, 0, &tv));
    FD_SET(pair[0], &set);
    OUT(SYS(select, n, 0, &set, p, &tv));
    FD_SET(pair[0], &set);
    IN(SYS(select, n, 0, &set, 0, p));
    FD_SET(pair[0], &set);
    OUT(SYS(select, -1, p, p, p, p));
    OUT(SYS(pselect6, n, 0, p, 0, &ts, 0));
    FD_SET(pair[0], &set);
    IN(SYS(pselect6, n, 0, &set, 0, p, 0));
    FD_SET(pair[0], &set);
    IN(SYS(pselect6, n, 0, &set, 0, &ts, p));
    struct {
        void *mask;
        size_t size;
    } m = {edge(0), 8};
    FD_SET(pair[0], &set);
    R(SYS(pselect6, n, 0, &set, 0, &ts, &m));
    m.size = 7;
    FD_SET(pair[0], &set);
    R(SYS(pselect6, n, 0, &set, 0, &ts, &m));
}

CASE(bad_pointers_to_files)
{
    char b[256];
    int pair[2], pipes[2], file = memfd_create("x", 0);
    MUST(pipe(pipes));
    MUST(write(file, "0123456789", 10));
    MUST(write(pipes[1], "0123456789", 10));
    t_pair(AF_INET, SOCK_STREAM, pair);
    OUT(SYS(fstat, pair[0], p));
    OUT(SYS(newfstatat, pair[0], "", p, AT_EMPTY_PATH));
    IN(SYS(newfstatat, pair[0], p, b, 0));
    OUT(SYS(newfstatat, pair[0], "x", p, 0));
    OUT(SYS(statx, pair[0], "", AT_EMPTY_PATH, STATX_BASIC_STATS, p));
    OUT(SYS(statx, pair[0], "", 77, STATX_BASIC_STATS, p));
    OUT(SYS(fstatfs, pair[0], p));
    OUT(SYS(getdents64, pair[0], p, 100));
    OUT(SYS(socketpair, AF_INET, SOCK_STREAM, 0, p));
    OUT(SYS(socketpair, AF_INET, 77, 0, p));
    OUT(SYS(ioctl, pair[0], FIONREAD, p));
    OUT(SYS(ioctl, pair[0], SIOCOUTQ, p));
    OUT(SYS(ioctl, pair[0], SIOCATMARK, p));
    OUT(SYS(ioctl, pair[0], FIOGETOWN, p));
    OUT(SYS(ioctl, pair[0], SIOCGPGRP, p));
    IN(SYS(ioctl, pair[0], FIONBIO, p));
    IN(SYS(ioctl, pair[0], FIOASYNC, p));
    IN(SYS(ioctl, pair[0], FIOSETOWN, p));
    IN(SYS(ioctl, pair[0], SIOCGIFCONF, p));
    IN(SYS(ioctl, pair[0], SIOCGIFINDEX, p));
    IN(SYS(ioctl, pair[0], SIOCGIFNAME, p));
    IN(SYS(ioctl, pair[0], SIOCGIFFLAGS, p));
    IN(SYS(ioctl, pair[0], SIOCSIFFLAGS, p));
    IN(SYS(ioctl, pair[0], SIOCGIFADDR, p));
    IN(SYS(ioctl, pair[0], SIOCSIFADDR, p));
    IN(SYS(ioctl, pair[0], SIOCADDRT, p));
    IN(SYS(ioctl, pair[0], SIOCGARP, p));
    IN(SYS(ioctl, pair[0], SIOCETHTOOL, p));
    IN(SYS(ioctl, pair[0], 0x12345678, p));
    struct ifconf c = {.ifc_len = 400, .ifc_buf = edge(0)};
    R(SYS(ioctl, pair[0], SIOCGIFCONF, &c));
    struct ifreq q = {.ifr_name = "lo", .ifr_data = edge(0)};
    R(SYS(ioctl, pair[0], SIOCETHTOOL, &q));
    R(SYS(ioctl, pair[0], SIOCGIFINDEX, read_only()));
    IN(SYS(fcntl, pair[0], F_GETLK, p));
    IN(SYS(fcntl, pair[0], F_SETLK, p));
    IN(SYS(fcntl, pair[0], F_OFD_SETLK, p));
    IN(SYS(fcntl, pair[0], F_SETOWN_EX, p));
    OUT(SYS(fcntl, pair[0], F_GETOWN_EX, p));
    IN(SYS(sendfile, pair[0], file, p, 4));
    IN(SYS(sendfile, pair[0], file, p, 0));
    IN(SYS(sendfile, 987, file, p, 4));
    IN(SYS(splice, pipes[0], 0, pair[0], p, 4, 0));
    IN(SYS(splice, pipes[0], p, pair[0], 0, 4, 0));
    IN(SYS(copy_file_range, file, p, pair[0], 0, 4, 0));
    IN(SYS(vmsplice, pair[0], p, 1, 0));
    IN(SYS(fgetxattr, pair[0], p, b, 4));
}

CASE(bad_pointers_to_names_of_files)
{
    char b[256];
    char *none[] = {0};
    IN(SYS(openat, AT_FDCWD, p, O_RDONLY, 0));
    IN(SYS(open, p, O_RDONLY, 0));
    IN(SYS(stat, p, b));
    OUT(SYS(stat, "/proc/net/dev", p));
    OUT(SYS(stat, "/", p));
    IN(SYS(lstat, p, b));
    IN(SYS(access, p, 0));
    IN(SYS(faccessat, AT_FDCWD, p, 0));
    IN(SYS(readlink, p, b, 4));
    OUT(SYS(readlink, "/proc/net", p, 4));
    OUT(SYS(readlink, "/proc/self/cwd", p, 4));
    OUT(SYS(statx, AT_FDCWD, "/proc/net/dev", 0, STATX_BASIC_STATS, p));
    OUT(SYS(statfs, "/proc/net", p));
    IN(SYS(statfs, p, b));
    IN(SYS(chdir, p));
    OUT(SYS(getcwd, p, 100));
    IN(SYS(unlink, p));
    IN(SYS(rename, p, p));
    IN(SYS(mkdir, p, 0));
    IN(SYS(symlink, p, p));
    IN(SYS(chmod, p, 0));
    IN(SYS(truncate, p, 0));
    int dev = (int)MUST(open("/proc/net/dev", O_RDONLY));
    OUT(SYS(read, dev, p, 100));
    OUT(SYS(pread64, dev, p, 100, 0));
    int dir = (int)MUST(open("/proc/net", O_RDONLY | O_DIRECTORY));
    OUT(SYS(getdents64, dir, p, 1000));
    /* Of a new program. */
    IN(SYS(execve, p, none, none));
    IN(SYS(execve, "/nowhere", p, none));
    IN(SYS(execve, "/nowhere", none, p));
    char *one[] = {edge(0), 0};
    R(SYS(execve, "/bin/true", one, none));
    R(SYS(execve, "/bin/true", none, one));
    IN(SYS(execveat, AT_FDCWD, p, none, none, 0));
}

CASE(bad_pointers_of_processes)
{
    char b[256];
    struct rlimit r;
    MUST(getrlimit(RLIMIT_NOFILE, &r));
    IN(SYS(rt_sigaction, SIGUSR1, p, 0, 8));
    OUT(SYS(rt_sigaction, SIGUSR1, 0, p, 8));
    IN(SYS(rt_sigaction, SIGUSR1, p, 0, 7));
    IN(SYS(rt_sigaction, SIGKILL, p, 0, 8));
    IN(SYS(rt_sigaction, 77, p, 0, 8));
    IN(SYS(rt_sigprocmask, SIG_BLOCK, p, 0, 8));
    OUT(SYS(rt_sigprocmask, SIG_BLOCK, 0, p, 8));
    IN(SYS(prlimit64, 0, RLIMIT_NOFILE, p, 0));
    OUT(SYS(prlimit64, 0, RLIMIT_NOFILE, 0, p));
    IN(SYS(setrlimit, RLIMIT_NOFILE, p));
    OUT(SYS(getrlimit, RLIMIT_NOFILE, p));
    OUT(SYS(pipe2, p, 0));
    IN(SYS(prctl, PR_SET_SECCOMP, 2, p, 0, 0));
    IN(SYS(seccomp, 1, 0, p));
    (void)b;
}
