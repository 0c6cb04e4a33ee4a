/* TCP: options that few programs have, and what they do. */
#include "t.h"

/* Numbers of options that old headers lack. */
enum {
    THIN_LINEAR_TIMEOUTS = 16,
    THIN_DUPACK = 17,
    QUEUE_SEQ = 21,
    REPAIR_WINDOW = 29,
    SAVE_SYN = 27,
    SAVED_SYN = 28,
    ULP = 31,
    FASTOPEN_NO_COOKIE = 34,
    ZEROCOPY_RECEIVE = 35,
    TX_DELAY = 37,
    IS_MPTCP = 43,
    RTO_MAX_MS = 44,
    RTO_MIN_US = 45,
    DELACK_MAX_US = 46,
    TXTIME = 61,
    PREFER_BUSY_POLL = 69,
    RESERVE_MEM = 73,
    TXREHASH = 74,
};

/* Sets an option to each value, and prints what is there then. */
static void values(const char *name, int fd, int level, int opt, const int *list, size_t count)
{
    printf("%s:", name);
    for (size_t i = 0; i < count; i++) {
        int now = -77;
        socklen_t len = sizeof now;
        errno = 0;
        int bad = setsockopt(fd, level, opt, &list[i], sizeof list[i]);
        printf(" %d%s%s", list[i], bad ? "=" : "", bad ? t_errno(errno) : "");
        errno = 0;
        if (getsockopt(fd, level, opt, &now, &len))
            printf("(%s)", t_errno(errno));
        else if (now != list[i] || len != sizeof now)
            printf("->%d(%u)", now, len);
    }
    printf("\n");
}

static void rare(int fd)
{
    static const int some[] = {0, 1, 3, 999, 1000, 4000, 120000, 200000, 200001, 1000000, -1};
#define V(level, opt) values(#opt, fd, level, opt, some, sizeof some / sizeof *some)
    V(IPPROTO_TCP, THIN_LINEAR_TIMEOUTS);
    V(IPPROTO_TCP, THIN_DUPACK);
    V(IPPROTO_TCP, SAVE_SYN);
    V(IPPROTO_TCP, ZEROCOPY_RECEIVE);
    V(IPPROTO_TCP, TX_DELAY);
    V(IPPROTO_TCP, IS_MPTCP);
    V(IPPROTO_TCP, RTO_MAX_MS);
    V(IPPROTO_TCP, RTO_MIN_US);
    V(IPPROTO_TCP, DELACK_MAX_US);
    V(IPPROTO_TCP, FASTOPEN_NO_COOKIE);
    V(IPPROTO_TCP, QUEUE_SEQ);
    V(IPPROTO_TCP, REPAIR_WINDOW);
    V(SOL_SOCKET, PREFER_BUSY_POLL);
    V(SOL_SOCKET, TXREHASH);
    V(SOL_SOCKET, SO_PEEK_OFF);
    V(SOL_SOCKET, SO_INCOMING_NAPI_ID);
}

CASE(tcp_rare_options)
{
    int p[2], fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), l = t_listen(AF_INET6, 4);
    char b[64] = "";
    socklen_t len;
    puts("new");
    rare(fd);
    puts("listening");
    rare(l);
    t_pair(AF_INET, SOCK_STREAM, p);
    puts("connected");
    rare(p[0]);
    R(setsockopt(p[0], IPPROTO_TCP, ULP, "nothing", 7));
    R(setsockopt(p[0], IPPROTO_TCP, ULP, "", 0));
    len = sizeof b;
    R(getsockopt(p[0], IPPROTO_TCP, ULP, b, &len));
    printf("length %u\n", len);
    static const struct {
        int clock;
        unsigned flags;
    } times[] = {{1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}, {0, 0}, {11, 0}, {7, 0}, {-1, 0}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        for (int j = 0; j < 2; j++) {
            int now[3] = {-7, -7, -7}, s = j ? (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)) : fd;
            printf("%d %u ", times[i].clock, times[i].flags);
            RN("TXTIME", setsockopt(s, SOL_SOCKET, TXTIME, &times[i], sizeof times[i]));
            len = sizeof now;
            RN("now", getsockopt(s, SOL_SOCKET, TXTIME, now, &len));
            printf("%d %d length %u\n", now[0], now[1], len);
        }
    R(setsockopt(fd, SOL_SOCKET, TXTIME, &times[0], 4));
}

CASE(tcp_saved_syn)
{
    int on = 1, l = t_listen(AF_INET, 4);
    unsigned char b[256] = "";
    socklen_t len = sizeof b;
    for (on = 1; on <= 1; on++) {
        MUST(setsockopt(l, IPPROTO_TCP, SAVE_SYN, &on, sizeof on));
        int c = t_connect_to(AF_INET, SOCK_STREAM, t_port(l)), s = (int)MUST(accept(l, 0, 0));
        len = 4;
        R(getsockopt(s, IPPROTO_TCP, SAVED_SYN, b, &len));
        len = sizeof b;
        R(getsockopt(s, IPPROTO_TCP, SAVED_SYN, b, &len));
        unsigned at = 0;
        printf("length %u: version %x protocol %u flags %x port %d\n", len, b[at] >> 4, b[at + 9], b[at + 33],
               (b[at + 22] << 8 | b[at + 23]) == t_port(l));
        len = sizeof b;
        R(getsockopt(s, IPPROTO_TCP, SAVED_SYN, b, &len));
        printf("length %u\n", len);
        len = sizeof b;
        R(getsockopt(c, IPPROTO_TCP, SAVED_SYN, b, &len));
        R(getsockopt(l, IPPROTO_TCP, SAVED_SYN, b, &len));
        int child;
        len = sizeof child;
        R(getsockopt(s, IPPROTO_TCP, SAVE_SYN, &child, &len));
        printf("%d\n", child);
        close(c);
        close(s);
    }
    R(setsockopt(l, IPPROTO_TCP, SAVED_SYN, &on, sizeof on));
}

CASE(tcp_peek_off)
{
    int p[2], at = 3;
    char b[16] = "";
    socklen_t len = sizeof at;
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(send(p[0], "abcdefghij", 10, 0));
    t_settle();
    R(setsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at));
    for (int i = 0; i < 3; i++) {
        memset(b, 0, sizeof b);
        R(recv(p[1], b, 3, MSG_PEEK | MSG_DONTWAIT));
        R(getsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
        printf("%s %d\n", b, at);
    }
    R(recv(p[1], b, 16, MSG_PEEK | MSG_DONTWAIT));
    memset(b, 0, sizeof b);
    R(recv(p[1], b, 4, 0));
    R(getsockopt(p[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
    printf("%s %d\n", b, at);
}
