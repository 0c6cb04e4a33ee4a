/* Calls that are wrong: the errno of each. */
#include "t.h"

CASE(socket_errors)
{
    R(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    R(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    R(socket(AF_INET, 77, 0));
    R(socket(AF_INET, SOCK_STREAM, 300));
    R(socket(AF_INET, SOCK_STREAM, -1));
    R(socket(AF_INET, SOCK_SEQPACKET, 0));
    R(socket(AF_INET6, SOCK_SEQPACKET, 0));
    R(socket(AF_INET6, SOCK_STREAM, IPPROTO_UDP));
    R(socket(AF_INET, SOCK_STREAM | 0x100000, 0));
    R(socket(AF_INET, SOCK_RAW, 0));
    R(socket(AF_INET6, SOCK_RAW, 0));
    R(socket(AF_INET, SOCK_DGRAM, 99));
    OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    OK(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
    OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    OK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
    OK(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
}

CASE(socket_flags)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    R(fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
    R(fcntl(fd, F_GETFL) & O_ACCMODE);
    R(fcntl(fd, F_GETFD));
    fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    R(fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
    R(fcntl(fd, F_GETFD));
    R(fcntl(fd, F_SETFD, FD_CLOEXEC));
    R(fcntl(fd, F_GETFD));
    R(lseek(fd, 0, SEEK_SET));
    R(ftruncate(fd, 0));
    R(fsync(fd));
    R(fcntl(fd, F_SETPIPE_SZ, 4096));
    R(fcntl(fd, F_GETOWN));
    R(pread(fd, "", 0, 0));
    R(isatty(fd));
}

static void tcp_errors(int family)
{
    union addr a;
    char b[4] = "abc";
    int fd = (int)MUST(socket(family, SOCK_STREAM, 0));
    int closed = t_port(t_bound(family, SOCK_STREAM));
    socklen_t len = t_lo(&a, family, closed);
    R(accept(fd, 0, 0));
    R(send(fd, b, 3, 0));
    R(recv(fd, b, 3, 0));
    R(recv(fd, b, 0, 0));
    R(shutdown(fd, SHUT_WR));
    R(shutdown(fd, 7));
    R(getpeername(fd, &a.sa, &len));
    len = t_lo(&a, family, closed);
    R(sendto(fd, b, 3, 0, &a.sa, len));
    R(bind(fd, &a.sa, 3));
    R(bind(fd, &a.sa, len));
    R(connect(fd, &a.sa, 3));
    a.sa.sa_family = AF_UNIX;
    R(connect(fd, &a.sa, len));
    R(bind(fd, &a.sa, len));
    a.sa.sa_family = AF_UNSPEC;
    R(bind(fd, &a.sa, len));
    R(connect(fd, &a.sa, len));
    len = t_lo(&a, family, closed);
    R(connect(fd, &a.sa, len));
    R(recv(fd, b, 3, 0));
    R(connect(fd, &a.sa, len));
    int l = t_listen(family, 1);
    R(listen(l, 5));
    R(recv(l, b, 3, 0));
    R(send(l, b, 3, 0));
    R(read(l, b, 3));
    R(write(l, b, 3));
    len = t_lo(&a, family, closed);
    R(connect(l, &a.sa, len));
    R(bind(l, &a.sa, len));
    t_nonblock(l);
    R(accept(l, 0, 0));
    R(accept4(l, 0, 0, 0x4));
    R(shutdown(l, SHUT_RDWR));
    R(accept(l, 0, 0));
    t_poll("listener shut down", l, POLLIN | POLLOUT | POLLRDHUP, 0);
}

CASE(tcp_errors_v4) { tcp_errors(AF_INET); }
CASE(tcp_errors_v6) { tcp_errors(AF_INET6); }

static void udp_errors(int family)
{
    union addr a;
    char b[4] = "abc";
    static char big[70000];
    int fd = (int)MUST(socket(family, SOCK_DGRAM, 0));
    socklen_t len = sizeof a;
    R(send(fd, b, 3, 0));
    R(listen(fd, 1));
    R(accept(fd, 0, 0));
    R(shutdown(fd, SHUT_RD));
    R(getpeername(fd, &a.sa, &len));
    R(recv(fd, b, 3, MSG_OOB));
    R(recv(fd, b, 3, MSG_ERRQUEUE));
    R(recv(fd, b, 3, MSG_DONTWAIT));
    len = t_lo(&a, family, 0);
    R(sendto(fd, b, 3, 0, &a.sa, len));
    len = t_lo(&a, family, 9);
    R(sendto(fd, b, 3, MSG_OOB, &a.sa, len));
    R(sendto(fd, big, 65508, 0, &a.sa, len));
    R(sendto(fd, big, 65535, 0, &a.sa, len));
    R(sendto(fd, big, 65536, 0, &a.sa, len));
    R(sendto(fd, big, 65507, 0, &a.sa, len));
    R(sendto(fd, b, 3, 0, &a.sa, 5));
    a.sa.sa_family = AF_UNIX;
    R(sendto(fd, b, 3, 0, &a.sa, len));
    R(connect(fd, &a.sa, len));
    R(bind(fd, &a.sa, len));
}

CASE(udp_errors_v4) { udp_errors(AF_INET); }
CASE(udp_errors_v6) { udp_errors(AF_INET6); }

CASE(bad_pointers)
{
    union addr a;
    int pair[2], bad_len = -1;
    volatile int minus_one = -1;
    void *volatile bad = (void *)8;
    /* As a length, it is long enough. */
    memset(&a, 0x10, sizeof a);
    t_pair(AF_INET, SOCK_STREAM, pair);
    R(send(pair[0], bad, 4, 0));
    R(write(pair[0], bad, 4));
    R(write(pair[0], "abcd", 4));
    t_settle();
    R(recv(pair[1], bad, 4, 0));
    R(read(pair[1], bad, 4));
    R(getsockname(pair[0], bad, (socklen_t *)&a));
    R(getsockname(pair[0], &a.sa, bad));
    R(getsockname(pair[0], &a.sa, (socklen_t *)&bad_len));
    R(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, bad, (socklen_t *)&a));
    R(setsockopt(pair[0], SOL_SOCKET, SO_KEEPALIVE, bad, 4));
    R(setsockopt(pair[0], SOL_SOCKET, SO_KEEPALIVE, &a, 2));
    R(connect(pair[0], bad, 16));
    R(bind(pair[0], bad, 16));
    R(sendmsg(pair[0], bad, 0));
    R(recvmsg(pair[0], bad, 0));
    struct iovec v = {&a, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 2000};
    R(sendmsg(pair[0], &m, 0));
    R(readv(pair[0], &v, minus_one));
    R(writev(pair[0], &v, 0));
    R(recv(pair[1], &a, 4, MSG_DONTWAIT));
}

CASE(bad_descriptors)
{
    int p[2];
    MUST(pipe(p));
    R(send(p[1], "a", 1, 0));
    R(listen(p[0], 1));
    R(accept(p[0], 0, 0));
    R(shutdown(p[0], SHUT_WR));
    R(getsockname(p[0], 0, 0));
    R(bind(987, 0, 0));
    R(send(987, "a", 1, 0));
    R(recv(-1, p, 1, 0));
    R(close(987));
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    R(close(fd));
    R(close(fd));
    R(send(fd, "a", 1, 0));
    R(fcntl(fd, F_GETFL));
    R(dup(fd));
}
