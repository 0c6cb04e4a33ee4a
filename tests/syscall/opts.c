/* Socket options: defaults, what is kept, what is refused, lengths. */
#include "t.h"

/* Not here, because our kernel answers ENOPROTOOPT: SO_TXTIME, IP_OPTIONS, IP_NODEFRAG, IP_CHECKSUM,
 * IPV6_ADDRFORM, TCP_FASTOPEN, TCP_REPAIR; and SO_BINDTOIFINDEX, which the host takes for links that are not there. */
#define O(level, opt) {level, opt, #opt}
static const struct option {
    int level, opt;
    const char *name;
} options[] = {
    O(SOL_SOCKET, SO_TYPE),         O(SOL_SOCKET, SO_DOMAIN),        O(SOL_SOCKET, SO_PROTOCOL),
    O(SOL_SOCKET, SO_ERROR),        O(SOL_SOCKET, SO_ACCEPTCONN),    O(SOL_SOCKET, SO_REUSEADDR),
    O(SOL_SOCKET, SO_REUSEPORT),    O(SOL_SOCKET, SO_KEEPALIVE),     O(SOL_SOCKET, SO_BROADCAST),
    O(SOL_SOCKET, SO_OOBINLINE),    O(SOL_SOCKET, SO_DONTROUTE),     O(SOL_SOCKET, SO_LINGER),
    O(SOL_SOCKET, SO_SNDBUF),       O(SOL_SOCKET, SO_RCVBUF),        O(SOL_SOCKET, SO_RCVLOWAT),
    O(SOL_SOCKET, SO_SNDLOWAT),     O(SOL_SOCKET, SO_PRIORITY),      O(SOL_SOCKET, SO_MARK),
    O(SOL_SOCKET, SO_TIMESTAMP),    O(SOL_SOCKET, SO_TIMESTAMPNS),   O(SOL_SOCKET, SO_TIMESTAMPING),
    O(SOL_SOCKET, SO_BUSY_POLL),    O(SOL_SOCKET, SO_RXQ_OVFL),      O(SOL_SOCKET, SO_BINDTODEVICE),
    O(SOL_SOCKET, SO_INCOMING_CPU), O(SOL_SOCKET, SO_NO_CHECK),      O(SOL_SOCKET, SO_ZEROCOPY),
    O(SOL_SOCKET, SO_PASSCRED),     O(SOL_SOCKET, SO_PEERCRED),      O(SOL_SOCKET, 999),              O(IPPROTO_IP, IP_TOS),
    O(IPPROTO_IP, IP_TTL),          O(IPPROTO_IP, IP_HDRINCL),       O(IPPROTO_IP, IP_RECVOPTS),     O(IPPROTO_IP, IP_RETOPTS),       O(IPPROTO_IP, IP_PKTINFO),
    O(IPPROTO_IP, IP_MTU_DISCOVER), O(IPPROTO_IP, IP_RECVERR),       O(IPPROTO_IP, IP_RECVTTL),
    O(IPPROTO_IP, IP_RECVTOS),      O(IPPROTO_IP, IP_MTU),           O(IPPROTO_IP, IP_FREEBIND),
    O(IPPROTO_IP, IP_TRANSPARENT),  O(IPPROTO_IP, IP_RECVORIGDSTADDR), O(IPPROTO_IP, IP_MINTTL),
    O(IPPROTO_IP, IP_MULTICAST_IF),
    O(IPPROTO_IP, IP_MULTICAST_TTL), O(IPPROTO_IP, IP_MULTICAST_LOOP), O(IPPROTO_IP, IP_MULTICAST_ALL),
    O(IPPROTO_IP, IP_UNICAST_IF),   O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), O(IPPROTO_IP, 250),
    O(IPPROTO_IPV6, IPV6_V6ONLY),   O(IPPROTO_IPV6, IPV6_UNICAST_HOPS), O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
    O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), O(IPPROTO_IPV6, IPV6_MULTICAST_IF), O(IPPROTO_IPV6, IPV6_MTU),
    O(IPPROTO_IPV6, IPV6_MTU_DISCOVER), O(IPPROTO_IPV6, IPV6_RECVERR), O(IPPROTO_IPV6, IPV6_RECVPKTINFO),
    O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), O(IPPROTO_IPV6, IPV6_RECVTCLASS), O(IPPROTO_IPV6, IPV6_TCLASS),
    O(IPPROTO_IPV6, IPV6_DONTFRAG), O(IPPROTO_IPV6, IPV6_FREEBIND),
    O(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL), O(IPPROTO_IPV6, 250),       O(IPPROTO_TCP, TCP_NODELAY),
    O(IPPROTO_TCP, TCP_MAXSEG),     O(IPPROTO_TCP, TCP_CORK),        O(IPPROTO_TCP, TCP_KEEPIDLE),
    O(IPPROTO_TCP, TCP_KEEPINTVL),  O(IPPROTO_TCP, TCP_KEEPCNT),     O(IPPROTO_TCP, TCP_SYNCNT),
    O(IPPROTO_TCP, TCP_LINGER2),    O(IPPROTO_TCP, TCP_DEFER_ACCEPT), O(IPPROTO_TCP, TCP_WINDOW_CLAMP),
    O(IPPROTO_TCP, TCP_QUICKACK),   O(IPPROTO_TCP, TCP_USER_TIMEOUT), O(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
    O(IPPROTO_TCP, TCP_INQ),
    O(IPPROTO_TCP, 250),
    O(IPPROTO_UDP, 1 /* UDP_CORK */), O(IPPROTO_UDP, 103 /* UDP_SEGMENT */), O(IPPROTO_UDP, 104 /* UDP_GRO */),
    O(IPPROTO_UDP, 101 /* UDP_NO_CHECK6_TX */), O(999, 1),
};
enum { NOPTIONS = sizeof options / sizeof *options };

static void defaults(int family, int type)
{
    int fd = (int)MUST(socket(family, type, 0));
    for (int i = 0; i < NOPTIONS; i++)
        t_getopt(options[i].name, fd, options[i].level, options[i].opt);
}

CASE(opt_defaults_tcp4) { defaults(AF_INET, SOCK_STREAM); }
CASE(opt_defaults_tcp6) { defaults(AF_INET6, SOCK_STREAM); }
CASE(opt_defaults_udp4) { defaults(AF_INET, SOCK_DGRAM); }
CASE(opt_defaults_udp6) { defaults(AF_INET6, SOCK_DGRAM); }

static void set_all(int family, int type)
{
    static const int values[] = {-1, 0, 1, 2, 63, 255, 256, 1000, 100000};
    for (int i = 0; i < NOPTIONS; i++) {
        if (options[i].opt == SO_PEERCRED && options[i].level == SOL_SOCKET)
            continue;
        if (options[i].opt == SO_DONTROUTE && options[i].level == SOL_SOCKET)
            continue;
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            char name[80];
            /* The greatest buffer, and what may be waited for in it, are the host's own settings. */
            if (options[i].level == SOL_SOCKET && values[v] < 0 &&
                (options[i].opt == SO_SNDBUF || options[i].opt == SO_RCVBUF || options[i].opt == SO_RCVLOWAT))
                continue;
            int value = values[v], fd = (int)MUST(socket(family, type, 0));
            if (setsockopt(fd, options[i].level, options[i].opt, &value, sizeof value)) {
                printf("set %s to %d: %s\n", options[i].name, value, t_errno(errno));
            } else {
                snprintf(name, sizeof name, "set %s to %d", options[i].name, value);
                t_getopt(name, fd, options[i].level, options[i].opt);
            }
            close(fd);
        }
    }
}

CASE(opt_set_tcp4) { set_all(AF_INET, SOCK_STREAM); }
CASE(opt_set_tcp6) { set_all(AF_INET6, SOCK_STREAM); }
CASE(opt_set_udp4) { set_all(AF_INET, SOCK_DGRAM); }
CASE(opt_set_udp6) { set_all(AF_INET6, SOCK_DGRAM); }

static void lengths(int family, int type)
{
    for (int i = 0; i < NOPTIONS; i++) {
        for (int n = 0; n <= 16; n = n < 4 ? n + 1 : n * 2) {
            char value[64] = {1};
            socklen_t len = (socklen_t)n;
            int fd = (int)MUST(socket(family, type, 0));
            int set = setsockopt(fd, options[i].level, options[i].opt, value, len) ? errno : 0;
            int get = getsockopt(fd, options[i].level, options[i].opt, value, &len) ? errno : 0;
            printf("%s with %d bytes: set %s, get %s gives %u\n", options[i].name, n, set ? t_errno(set) : "ok",
                   get ? t_errno(get) : "ok", get ? 0 : len);
            close(fd);
        }
    }
}

CASE(opt_lengths_tcp6) { lengths(AF_INET6, SOCK_STREAM); }
CASE(opt_lengths_udp4) { lengths(AF_INET, SOCK_DGRAM); }

CASE(opt_connected)
{
    int tcp[2], udp[2];
    t_pair(AF_INET, SOCK_STREAM, tcp);
    t_pair(AF_INET6, SOCK_DGRAM, udp);
    t_getopt("TCP_MAXSEG", tcp[0], IPPROTO_TCP, TCP_MAXSEG);
    t_getopt("IP_MTU", tcp[0], IPPROTO_IP, IP_MTU);
    t_getopt("TCP_DEFER_ACCEPT", tcp[1], IPPROTO_TCP, TCP_DEFER_ACCEPT);
    t_getopt("SO_RCVBUF", tcp[1], SOL_SOCKET, SO_RCVBUF);
    t_getopt("IPV6_MTU", udp[0], IPPROTO_IPV6, IPV6_MTU);
    t_getopt("IPV6_UNICAST_HOPS", udp[0], IPPROTO_IPV6, IPV6_UNICAST_HOPS);
}

CASE(opt_congestion)
{
    char name[16] = "";
    socklen_t len = sizeof name;
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    R(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    printf("%u\n", len);
    R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    len = sizeof name;
    R(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    printf("%s %u\n", name, len);
    len = 3;
    R(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    printf("%u\n", len);
    R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
    R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0));
}

CASE(opt_linger_timeo)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    struct { int on, time; } l = {1, 5};
    struct timeval tv = {1, 500000};
    socklen_t len = sizeof l;
    R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
    memset(&l, 0, sizeof l);
    R(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
    printf("%d %d %u\n", l.on, l.time, len);
    R(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    R(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, 8));
    memset(&tv, 0, sizeof tv);
    len = sizeof tv;
    R(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
    printf("%ld %ld %u\n", (long)tv.tv_sec, (long)tv.tv_usec, len);
    tv.tv_usec = 1000000;
    R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    tv = (struct timeval){-1, 0};
    R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    len = sizeof tv;
    R(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len));
    printf("%ld %ld %u\n", (long)tv.tv_sec, (long)tv.tv_usec, len);
}

CASE(opt_inherited)
{
    int one = 1, v = 33, l = t_bound(AF_INET, SOCK_STREAM);
    MUST(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &one, 4));
    MUST(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, 4));
    MUST(setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &v, 4));
    MUST(setsockopt(l, IPPROTO_IP, IP_TTL, &v, 4));
    MUST(setsockopt(l, IPPROTO_IP, IP_TOS, &v, 4));
    MUST(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &(int){20000}, 4));
    MUST(setsockopt(l, SOL_SOCKET, SO_MARK, &v, 4));
    MUST(listen(l, 3));
    t_getopt("listener's SO_ACCEPTCONN", l, SOL_SOCKET, SO_ACCEPTCONN);
    t_nonblock(l);
    int c = t_connect_to(AF_INET, SOCK_STREAM, t_port(l));
    t_poll("listener", l, POLLIN | POLLOUT, 1000);
    int s = (int)MUST(accept(l, 0, 0));
    (void)c;
    R(fcntl(s, F_GETFL) & O_NONBLOCK);
    for (int i = 0; i < NOPTIONS; i++)
        /* Buffers for sending grow by a rule of each kernel's own. */
        if (options[i].level != SOL_SOCKET || (options[i].opt != SO_INCOMING_CPU && options[i].opt != SO_SNDBUF))
            t_getopt(options[i].name, s, options[i].level, options[i].opt);
}
