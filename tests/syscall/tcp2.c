/* TCP: full buffers, queues, vectors, information. */
#include "t.h"
#include <sys/ioctl.h>
#include <linux/sockios.h>

CASE(tcp_full_buffer)
{
    int p[2], n;
    static char b[1 << 20];
    long total = 0, got = 0, k;
    t_pair(AF_INET, SOCK_STREAM, p);
    t_nonblock(p[0]);
    t_nonblock(p[1]);
    while ((k = send(p[0], b, sizeof b, 0)) > 0 || (t_settle(), (k = send(p[0], b, sizeof b, 0)) > 0))
        total += k;
    printf("stops with %s\n", t_errno(errno));
    t_poll("full", p[0], POLLOUT, 0);
    R(ioctl(p[0], SIOCOUTQ, &n));
    printf("queued %d\n", n > 0);
    while (got < total) {
        k = recv(p[1], b, sizeof b, 0);
        if (k > 0)
            got += k;
        else
            t_poll("more", p[1], POLLIN, 1000);
        if (k == 0)
            break;
    }
    printf("all %d\n", got == total);
    t_settle();
    t_poll("drained", p[0], POLLOUT, 0);
    R(ioctl(p[0], SIOCOUTQ, &n));
    printf("queued %d\n", n);
    R(ioctl(p[0], SIOCOUTQNSD, &n));
    printf("not sent %d\n", n);
    R(ioctl(p[0], FIONREAD, &n));
    printf("to read %d\n", n);
}

CASE(tcp_vectors)
{
    int p[2];
    char a[4] = "", b[4] = "";
    struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}}, in[2] = {{a, 3}, {b, 3}};
    union addr from = {.sa.sa_family = 77};
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = in, .msg_iovlen = 2};
    t_pair(AF_INET6, SOCK_STREAM, p);
    R(writev(p[0], out, 3));
    t_settle();
    R(recvmsg(p[1], &m, 0));
    printf("%s %s name %u flags %x\n", a, b, m.msg_namelen, m.msg_flags);
    struct msghdr o = {.msg_iov = out, .msg_iovlen = 3};
    R(sendmsg(p[0], &o, 0));
    R(readv(p[1], in, 2));
    R(sendto(p[0], "x", 1, 0, &from.sa, 28));
    socklen_t len = sizeof from;
    R(recvfrom(p[1], a, 1, 0, &from.sa, &len));
    printf("name %u\n", len);
}

CASE(tcp_mmsg)
{
    int p[2];
    char b[3][8];
    struct iovec v[3];
    struct mmsghdr m[3];
    memset(m, 0, sizeof m);
    for (int i = 0; i < 3; i++) {
        v[i] = (struct iovec){"abcdef", (size_t)i + 1};
        m[i].msg_hdr.msg_iov = &v[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
    t_pair(AF_INET, SOCK_STREAM, p);
    R(sendmmsg(p[0], m, 3, 0));
    printf("%u %u %u\n", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    t_settle();
    for (int i = 0; i < 3; i++)
        v[i] = (struct iovec){b[i], 4};
    R(recvmmsg(p[1], m, 3, MSG_WAITFORONE, 0));
    printf("%u %u\n", m[0].msg_len, m[1].msg_len);
    R(recvmmsg(p[1], m, 3, MSG_DONTWAIT, 0));
}

CASE(tcp_info)
{
    int p[2], ls = t_listen(AF_INET, 7);
    struct tcp_info i;
    socklen_t len = sizeof i;
    memset(&i, 0, sizeof i);
    R(getsockopt(ls, IPPROTO_TCP, TCP_INFO, &i, &len));
    printf("state %d backlog %u queue %u\n", i.tcpi_state, i.tcpi_sacked, i.tcpi_unacked);
    t_pair(AF_INET, SOCK_STREAM, p);
    len = sizeof i;
    R(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &i, &len));
    printf("state %d ca %d options %x retransmits %d mss %u rcv %u pmtu %u cwnd %u reordering %u\n", i.tcpi_state,
           i.tcpi_ca_state, i.tcpi_options, i.tcpi_retransmits, i.tcpi_snd_mss, i.tcpi_rcv_mss, i.tcpi_pmtu,
           i.tcpi_snd_cwnd, i.tcpi_reordering);
    MUST(shutdown(p[0], SHUT_WR));
    t_settle();
    len = sizeof i;
    R(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &i, &len));
    printf("state %d\n", i.tcpi_state);
    len = sizeof i;
    R(getsockopt(p[1], IPPROTO_TCP, TCP_INFO, &i, &len));
    printf("state %d\n", i.tcpi_state);
    MUST(close(p[1]));
    t_settle();
    len = 1;
    R(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &i, &len));
    printf("state %d length %u\n", i.tcpi_state, len);
}

CASE(tcp_backlog_order)
{
    int ls = t_listen(AF_INET, 8);
    char c;
    for (int i = 0; i < 5; i++) {
        int fd = t_connect_to(AF_INET, SOCK_STREAM, t_port(ls));
        c = (char)('a' + i);
        MUST(send(fd, &c, 1, 0));
    }
    for (int i = 0; i < 5; i++) {
        int fd = (int)MUST(accept(ls, 0, 0));
        MUST(recv(fd, &c, 1, 0));
        printf("%c\n", c);
    }
    t_nonblock(ls);
    R(accept(ls, 0, 0));
}

CASE(tcp_backlog_full)
{
    union addr a;
    int ls = t_listen(AF_INET, 1), ok = 0;
    struct pollfd p[6];
    for (int i = 0; i < 6; i++) {
        p[i] = (struct pollfd){(int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), POLLOUT, 0};
        socklen_t len = t_lo(&a, AF_INET, t_port(ls));
        connect(p[i].fd, &a.sa, len);
        poll(&p[i], 1, 50);
        ok += p[i].revents == POLLOUT;
    }
    printf("established at once: %d\n", ok);
    for (int i = 0; i < ok; i++)
        OK(accept(ls, 0, 0));
    poll(&p[5], 1, 3000);
    t_bits("the last", p[5].revents);
}

CASE(tcp_close_listener_with_queue)
{
    int ls = t_listen(AF_INET, 4), c = t_connect_to(AF_INET, SOCK_STREAM, t_port(ls));
    char b[4];
    t_settle();
    R(close(ls));
    t_poll("reset", c, 0, 1000);
    R(recv(c, b, 4, 0));
    R(send(c, b, 4, 0));
}

CASE(tcp_self_connect)
{
    int fd = t_bound(AF_INET, SOCK_STREAM);
    union addr a;
    char b[4] = "";
    socklen_t len = t_lo(&a, AF_INET, t_port(fd));
    R(connect(fd, &a.sa, len));
    R(send(fd, "me", 2, 0));
    R(recv(fd, b, 4, 0));
    printf("%s\n", b);
}

CASE(tcp_user_ttl_one)
{
    int ls = t_listen(AF_INET6, 4), p[2];
    p[0] = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
    R(setsockopt(p[0], IPPROTO_IPV6, IPV6_UNICAST_HOPS, &(int){1}, 4));
    union addr a;
    socklen_t len = t_lo(&a, AF_INET6, t_port(ls));
    R(connect(p[0], &a.sa, len));
    OK(p[1] = accept(ls, 0, 0));
    R(setsockopt(p[1], IPPROTO_TCP, TCP_MAXSEG, &(int){500}, 4));
    R(send(p[1], "x", 1, 0));
    R(recv(p[0], &a, 1, 0));
}

/* How long a close waits for a peer that reads nothing, in half seconds. */
static int close_takes(int on, int secs)
{
    int ls = t_listen(AF_INET, 4), p[2];
    struct timespec from, to;
    static char b[65536];
    p[0] = t_connect_to(AF_INET, SOCK_STREAM, t_port(ls));
    p[1] = (int)MUST(accept(ls, 0, 0));
    struct linger l = {on, secs};
    MUST(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l));
    while (send(p[0], b, sizeof b, MSG_DONTWAIT) > 0)
        ;
    clock_gettime(CLOCK_MONOTONIC, &from);
    MUST(close(p[0]));
    clock_gettime(CLOCK_MONOTONIC, &to);
    close(p[1]);
    close(ls);
    return (int)(((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 + 100) / 500);
}

CASE(tcp_linger_waits)
{
    printf("off: %d\n", close_takes(0, 0));
    printf("one second: %d\n", close_takes(1, 1));
    printf("none: %d\n", close_takes(1, 0));
}
