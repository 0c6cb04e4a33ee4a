/* Addresses and ports: who may bind beside whom, dual stack, ephemeral ports. */
#include "t.h"

enum { A4, A6, A6ONLY, L4, L6, MAPPED, NWHERE };
static const char *const where_name[] = {"0.0.0.0", "::", ":: v6only", "127.0.0.1", "::1", "::ffff:127.0.0.1"};

static int at(int where, int type, int port, int opts)
{
    union addr a;
    int family = where == A4 || where == L4 ? AF_INET : AF_INET6, one = 1;
    int fd = (int)MUST(socket(family, type, 0));
    socklen_t len = where == L4 || where == L6 ? t_lo(&a, family, port) : t_any(&a, family, port);
    if (where == A6ONLY)
        MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4));
    if (where == MAPPED)
        MUST(inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.in6.sin6_addr));
    if (opts & 1)
        MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4));
    if (opts & 2)
        MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, 4));
    if (bind(fd, &a.sa, len)) {
        int e = errno;
        close(fd);
        return -e;
    }
    return fd;
}

static void matrix(int type, int listening)
{
    for (int o1 = 0; o1 < 4; o1++)
        for (int o2 = 0; o2 < 4; o2++)
            for (int i = 0; i < NWHERE; i++)
                for (int j = 0; j < NWHERE; j++) {
                    int a = at(i, type, 0, o1), b, l = 0;
                    if (a < 0) {
                        printf("%s: %s\n", where_name[i], t_errno(-a));
                        continue;
                    }
                    if (listening)
                        MUST(listen(a, 1));
                    b = at(j, type, t_port(a), o2);
                    if (b >= 0 && type == SOCK_STREAM)
                        l = listen(b, 1) ? errno : 0;
                    printf("%s opts %d then %s opts %d: bind %s listen %s\n", where_name[i], o1, where_name[j], o2,
                           b < 0 ? t_errno(-b) : "ok", l ? t_errno(l) : "ok");
                    close(a);
                    if (b >= 0)
                        close(b);
                }
}
CASE(bind_matrix_tcp) { matrix(SOCK_STREAM, 0); }
CASE(bind_matrix_tcp_listening) { matrix(SOCK_STREAM, 1); }
CASE(bind_matrix_udp) { matrix(SOCK_DGRAM, 0); }

CASE(bind_addresses)
{
    static const char *const addrs[] = {"127.0.0.2", "127.255.255.255", "10.9.8.7", "255.255.255.255", "224.0.0.1"};
    static const char *const addrs6[] = {"::1", "::2", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:1.2.3.4"};
    union addr a;
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        for (size_t i = 0; i < sizeof addrs / sizeof *addrs; i++) {
            t_any(&a, AF_INET, 0);
            inet_pton(AF_INET, addrs[i], &a.in.sin_addr);
            int fd = (int)MUST(socket(AF_INET, type, 0));
            RN(addrs[i], bind(fd, &a.sa, sizeof a.in));
        }
        for (size_t i = 0; i < sizeof addrs6 / sizeof *addrs6; i++) {
            t_any(&a, AF_INET6, 0);
            inet_pton(AF_INET6, addrs6[i], &a.in6.sin6_addr);
            int fd = (int)MUST(socket(AF_INET6, type, 0));
            RN(addrs6[i], bind(fd, &a.sa, sizeof a.in6));
        }
        int fd = (int)MUST(socket(AF_INET, type, 0));
        t_any(&a, AF_INET, 0);
        a.in.sin_addr.s_addr = inet_addr("10.9.8.7");
        R(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){1}, 4));
        R(bind(fd, &a.sa, sizeof a.in));
        R(bind(fd, &a.sa, sizeof a.in));
    }
}

CASE(bind_ephemeral)
{
    int ok = 1, even = 0;
    for (int i = 0; i < 100; i++) {
        int p = t_port(t_bound(AF_INET, i & 1 ? SOCK_STREAM : SOCK_DGRAM));
        ok &= p >= 32768 && p <= 60999;
        even += i & 1 && p % 2 == 0;
    }
    printf("in range: %d\n", ok);
    (void)even;
    union addr a;
    int ls = t_listen(AF_INET, 10);
    for (int i = 0; i < 5; i++) {
        int c = t_connect_to(AF_INET, SOCK_STREAM, t_port(ls)), p = t_port(c);
        printf("client in range: %d\n", p >= 32768 && p <= 60999);
    }
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    printf("port before use %d\n", t_port(fd));
    socklen_t len = t_lo(&a, AF_INET, 9);
    R(sendto(fd, "x", 1, 0, &a.sa, len));
    printf("port after use %d\n", t_port(fd) > 0);
    fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    R(listen(fd, 3));
    printf("port after listen %d\n", t_port(fd) > 0);
}

CASE(bind_privileged_and_twice)
{
    union addr a;
    int fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
    socklen_t len = t_any(&a, AF_INET6, 80);
    R(bind(fd, &a.sa, len));
    R(bind(fd, &a.sa, len));
    fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
    R(bind(fd, &a.sa, len));
    R(bind(fd, &a.sa, 24));
    R(bind(fd, &a.sa, 16));
    R(bind(fd, &a.sa, 128));
    R(bind(fd, &a.sa, 129));
    R(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
    R(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nonesuch", 8));
    char dev[16] = "";
    len = sizeof dev;
    R(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, dev, &len));
    printf("%s %u\n", dev, len);
}

CASE(bind_time_wait)
{
    int ls = t_listen(AF_INET, 4), port = t_port(ls);
    int c = t_connect_to(AF_INET, SOCK_STREAM, port), s = (int)MUST(accept(ls, 0, 0));
    MUST(close(s));
    t_settle();
    MUST(close(c));
    MUST(close(ls));
    t_settle();
    RN("without SO_REUSEADDR", at(L4, SOCK_STREAM, port, 0) < 0 ? -1 : 0);
    RN("with SO_REUSEADDR", at(L4, SOCK_STREAM, port, 1) < 0 ? -1 : 0);
}

CASE(bind_dual_stack)
{
    union addr a;
    char b[8];
    int fd = at(A6, SOCK_DGRAM, 0, 0), only = at(A6ONLY, SOCK_DGRAM, 0, 0), c = t_bound(AF_INET, SOCK_DGRAM);
    socklen_t len = t_lo(&a, AF_INET, t_port(fd));
    R(sendto(c, "x", 1, 0, &a.sa, len));
    len = sizeof a;
    R(recvfrom(fd, b, 8, 0, &a.sa, &len));
    t_addr("from", &a, len, 0);
    R(sendto(fd, "re", 2, 0, &a.sa, len));
    len = sizeof a;
    R(recvfrom(c, b, 8, 0, &a.sa, &len));
    t_addr("from", &a, len, 0);
    len = t_lo(&a, AF_INET, t_port(fd));
    R(sendto(fd, "v4", 2, 0, &a.sa, len));
    len = sizeof a;
    R(recvfrom(fd, b, 8, MSG_DONTWAIT, &a.sa, &len));
    inet_pton(AF_INET6, "::ffff:127.0.0.1", (t_any(&a, AF_INET6, 9), &a.in6.sin6_addr));
    R(sendto(only, "x", 1, 0, &a.sa, sizeof a.in6));
    R(connect(only, &a.sa, sizeof a.in6));
    int ls = at(A6, SOCK_STREAM, 0, 0), s;
    MUST(listen(ls, 2));
    t_connect_to(AF_INET, SOCK_STREAM, t_port(ls));
    len = sizeof a;
    OK(s = accept(ls, &a.sa, &len));
    t_addr("accepted from", &a, len, 0);
    len = sizeof a;
    R(getsockname(s, &a.sa, &len));
    t_addr("accepted at", &a, len, 0);
    t_getopt("IPV6_V6ONLY", s, IPPROTO_IPV6, IPV6_V6ONLY);
    R(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4));
    t_connect_to(AF_INET6, SOCK_STREAM, t_port(ls));
    len = 10;
    OK(s = accept4(ls, &a.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
    printf("length %u nonblocking %d cloexec %d\n", len, !!(fcntl(s, F_GETFL) & O_NONBLOCK), fcntl(s, F_GETFD));
}

CASE(bind_reuseport_spreads)
{
    int n[2] = {0, 0}, fd[2];
    union addr a;
    char b[4];
    fd[0] = at(L4, SOCK_DGRAM, 0, 2);
    fd[1] = at(L4, SOCK_DGRAM, t_port(fd[0]), 2);
    socklen_t len = t_lo(&a, AF_INET, t_port(fd[0]));
    for (int i = 0; i < 64; i++)
        MUST(sendto(t_bound(AF_INET, SOCK_DGRAM), "x", 1, 0, &a.sa, len));
    t_settle();
    for (int i = 0; i < 2; i++)
        while (recv(fd[i], b, 4, MSG_DONTWAIT) > 0)
            n[i]++;
    printf("all %d both %d\n", n[0] + n[1] == 64, n[0] > 0 && n[1] > 0);
}
