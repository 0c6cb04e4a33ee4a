/* TCP streams: half close, poll bits, resets, urgent data, flags, backlog. */
#include "t.h"
#include <sys/ioctl.h>
#include <linux/sockios.h>

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND)

static void half_close(int family)
{
    int p[2];
    char b[16];
    t_pair(family, SOCK_STREAM, p);
    t_poll("fresh", p[0], ALL, 0);
    R(send(p[0], "hello", 5, 0));
    t_poll("data there", p[1], POLLIN, 1000);
    t_poll("data there", p[1], ALL, 0);
    R(shutdown(p[0], SHUT_WR));
    t_poll("peer shut, data there", p[1], POLLRDHUP, 1000);
    t_poll("peer shut, data there", p[1], ALL, 0);
    R(recv(p[1], b, 3, 0));
    R(recv(p[1], b, sizeof b, 0));
    R(recv(p[1], b, sizeof b, 0));
    R(recv(p[1], b, sizeof b, MSG_DONTWAIT));
    t_poll("at the end", p[1], ALL, 0);
    R(send(p[0], "x", 1, 0));
    t_poll("own half shut", p[0], ALL, 0);
    R(send(p[1], "back", 4, 0));
    R(recv(p[0], b, sizeof b, 0));
    R(shutdown(p[1], SHUT_WR));
    t_poll("both shut", p[0], POLLHUP, 1000);
    t_poll("both shut", p[0], ALL, 0);
    t_settle();
    t_poll("both shut, other", p[1], ALL, 0);
    t_soerror("both shut", p[1]);
    R(send(p[1], "x", 1, 0));
    R(shutdown(p[0], SHUT_RDWR));
    R(shutdown(p[1], SHUT_WR));
    R(getpeername(p[0], (struct sockaddr *)b, &(socklen_t){16}));
}
CASE(tcp_half_close_v4) { half_close(AF_INET); }
CASE(tcp_half_close_v6) { half_close(AF_INET6); }

CASE(tcp_shut_rd)
{
    int p[2];
    char b[16];
    t_pair(AF_INET, SOCK_STREAM, p);
    R(send(p[1], "one", 3, 0));
    t_settle();
    R(shutdown(p[0], SHUT_RD));
    t_poll("read side shut", p[0], ALL, 0);
    R(recv(p[0], b, sizeof b, 0));
    R(recv(p[0], b, sizeof b, 0));
    R(recv(p[0], b, sizeof b, MSG_DONTWAIT));
    R(send(p[1], "two", 3, 0));
    t_settle();
    R(recv(p[0], b, sizeof b, MSG_DONTWAIT));
    R(send(p[0], "back", 4, 0));
    R(recv(p[1], b, sizeof b, 0));
}

CASE(tcp_reset_on_close_with_data)
{
    int p[2];
    char b[16];
    t_pair(AF_INET, SOCK_STREAM, p);
    R(send(p[0], "unread", 6, 0));
    R(send(p[1], "in flight", 9, 0));
    t_settle();
    R(close(p[1]));
    t_poll("reset", p[0], POLLRDHUP, 1000);
    t_poll("reset", p[0], ALL, 0);
    R(recv(p[0], b, sizeof b, MSG_DONTWAIT));
    R(recv(p[0], b, sizeof b, MSG_DONTWAIT));
    R(recv(p[0], b, sizeof b, MSG_DONTWAIT));
    t_soerror("after", p[0]);
    R(send(p[0], "x", 1, 0));
    R(send(p[0], "x", 1, 0));
}

CASE(tcp_write_after_close)
{
    int p[2];
    char b[4];
    t_pair(AF_INET6, SOCK_STREAM, p);
    R(close(p[1]));
    t_settle();
    t_poll("peer gone", p[0], ALL, 0);
    R(send(p[0], "x", 1, 0));
    t_settle();
    t_poll("after its reset", p[0], ALL, 0);
    R(send(p[0], "x", 1, 0));
    R(recv(p[0], b, 4, MSG_DONTWAIT));
    t_soerror("after", p[0]);
    R(send(p[0], "x", 1, 0));
}

CASE(tcp_linger_zero)
{
    int p[2];
    char b[4];
    struct linger l = {1, 0};
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &l, sizeof l));
    R(close(p[1]));
    t_poll("reset", p[0], 0, 1000);
    t_poll("reset", p[0], ALL, 0);
    t_soerror("first", p[0]);
    t_soerror("second", p[0]);
    R(recv(p[0], b, 4, 0));
    R(send(p[0], "x", 1, 0));
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &l, sizeof l));
    R(close(p[1]));
    t_settle();
    R(recv(p[0], b, 4, 0));
    R(recv(p[0], b, 4, 0));
    R(shutdown(p[0], SHUT_WR));
    R(getpeername(p[0], (struct sockaddr *)b, &(socklen_t){4}));
}

CASE(tcp_accept_after_reset)
{
    struct linger l = {1, 0};
    char b[4];
    union addr a;
    socklen_t len = sizeof a;
    int s, ls = t_listen(AF_INET, 4);
    int c = t_connect_to(AF_INET, SOCK_STREAM, t_port(ls));
    MUST(setsockopt(c, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    MUST(close(c));
    t_settle();
    t_poll("listener", ls, ALL, 0);
    t_nonblock(ls);
    OK(s = accept(ls, &a.sa, &len));
    t_addr("peer", &a, len, 0);
    t_poll("accepted", s, ALL, 0);
    R(recv(s, b, 4, 0));
    R(recv(s, b, 4, 0));
    R(send(s, b, 4, 0));
    len = sizeof a;
    R(getpeername(s, &a.sa, &len));
}

CASE(tcp_disconnect_and_again)
{
    union addr a, un = {.sa.sa_family = AF_UNSPEC};
    int ls = t_listen(AF_INET, 4), c = t_connect_to(AF_INET, SOCK_STREAM, t_port(ls));
    socklen_t len = t_lo(&a, AF_INET, t_port(ls));
    R(connect(c, &a.sa, len));
    R(connect(c, &un.sa, sizeof un.sa));
    len = sizeof a;
    R(getpeername(c, &a.sa, &len));
    len = sizeof a;
    R(getsockname(c, &a.sa, &len));
    t_addr("name", &a, len, 0);
    len = t_lo(&a, AF_INET, t_port(ls));
    R(connect(c, &a.sa, len));
    OK(accept(ls, 0, 0));
    OK(accept(ls, 0, 0));
}

CASE(tcp_connect_nonblocking)
{
    union addr a;
    int ls = t_listen(AF_INET, 4), c = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    t_poll("before", c, ALL, 0);
    socklen_t len = t_lo(&a, AF_INET, t_port(ls));
    R(connect(c, &a.sa, len));
    t_poll("during", c, POLLOUT, 1000);
    t_soerror("connected", c);
    R(connect(c, &a.sa, len));
    R(connect(c, &a.sa, len));
    MUST(close(ls));
    c = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    R(connect(c, &a.sa, len));
    t_poll("refused", c, POLLOUT, 1000);
    t_poll("refused", c, ALL, 0);
    t_soerror("refused", c);
    t_soerror("again", c);
    t_poll("refused, error taken", c, ALL, 0);
    R(send(c, "x", 1, 0));
    R(recv(c, &a, 1, 0));
    R(connect(c, &a.sa, len));
    t_settle();
    R(connect(c, &a.sa, len));
}

CASE(tcp_flags)
{
    int p[2], n;
    char b[16] = "";
    t_pair(AF_INET, SOCK_STREAM, p);
    R(recv(p[1], b, 4, MSG_DONTWAIT));
    R(send(p[0], "abc", 3, MSG_MORE));
    R(send(p[0], "def", 3, MSG_NOSIGNAL | MSG_EOR));
    t_settle();
    R(recv(p[1], b, 2, MSG_PEEK));
    R(recv(p[1], b, 16, MSG_PEEK));
    R(recv(p[1], 0, 2, MSG_TRUNC));
    R(recv(p[1], b, 16, MSG_PEEK | MSG_TRUNC));
    printf("%.4s\n", b);
    R(ioctl(p[1], FIONREAD, &n));
    printf("%d\n", n);
    R(recv(p[1], b, 4, MSG_WAITALL));
    R(recv(p[1], b, 0, MSG_DONTWAIT));
    R(send(p[0], "abcd", 4, 0));
    R(shutdown(p[0], SHUT_WR));
    R(recv(p[1], b, 10, MSG_WAITALL));
    R(recv(p[1], b, 10, MSG_WAITALL));
    R(recv(p[1], b, 10, MSG_ERRQUEUE));
    R(send(p[1], "", 0, 0));
}

CASE(tcp_urgent)
{
    int p[2], mark;
    char b[16] = "";
    t_pair(AF_INET, SOCK_STREAM, p);
    R(recv(p[1], b, 1, MSG_OOB));
    R(send(p[0], "abU", 3, MSG_OOB));
    R(send(p[0], "cd", 2, 0));
    t_settle();
    t_poll("urgent", p[1], ALL, 0);
    R(ioctl(p[1], SIOCATMARK, &mark));
    printf("mark %d\n", mark);
    R(recv(p[1], b, 16, 0));
    printf("%.2s\n", b);
    R(ioctl(p[1], SIOCATMARK, &mark));
    printf("mark %d\n", mark);
    R(recv(p[1], b, 16, MSG_OOB | MSG_PEEK));
    R(recv(p[1], b, 16, MSG_OOB));
    printf("%c\n", b[0]);
    R(recv(p[1], b, 16, MSG_OOB));
    t_poll("urgent read", p[1], ALL, 0);
    R(recv(p[1], b, 16, 0));
    printf("%.2s\n", b);
    R(setsockopt(p[1], SOL_SOCKET, SO_OOBINLINE, &(int){1}, 4));
    R(send(p[0], "xyU", 3, MSG_OOB));
    t_settle();
    R(recv(p[1], b, 16, MSG_OOB));
    R(recv(p[1], b, 16, 0));
    R(recv(p[1], b, 16, 0));
    printf("%c\n", b[0]);
}
