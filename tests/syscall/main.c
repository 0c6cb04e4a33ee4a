/* Runs the case that the command names, or lists them. */
#include "t.h"
#include <signal.h>

static struct tcase *first, **last = &first;

void t_register(struct tcase *c)
{
    *last = c;
    last = &c->next;
}

const char *t_errno(int e)
{
    const char *name = strerrorname_np(e);
    return name ? name : "?";
}

long t_result(const char *text, long value)
{
    if (value == -1 && errno)
        printf("%s = -1 %s\n", text, t_errno(errno));
    else
        printf("%s = %ld\n", text, value);
    return value;
}

long t_ok(const char *text, long value)
{
    if (value < 0)
        printf("%s = -1 %s\n", text, t_errno(errno));
    else
        printf("%s ok\n", text);
    return value;
}

long t_must(const char *text, int line, long value)
{
    if (value < 0) {
        printf("line %d: %s = -1 %s\n", line, text, t_errno(errno));
        fflush(stdout);
        _exit(3);
    }
    return value;
}

void t_bits(const char *name, int bits)
{
    static const struct {
        int bit;
        const char *name;
    } names[] = {{POLLIN, "IN"},         {POLLPRI, "PRI"},       {POLLOUT, "OUT"},       {POLLERR, "ERR"},
                 {POLLHUP, "HUP"},       {POLLNVAL, "NVAL"},     {POLLRDNORM, "RDNORM"}, {POLLRDBAND, "RDBAND"},
                 {POLLWRNORM, "WRNORM"}, {POLLWRBAND, "WRBAND"}, {POLLRDHUP, "RDHUP"}};
    printf("%s:", name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bits & names[i].bit)
            printf(" %s", names[i].name);
    printf("\n");
}

void t_poll(const char *name, int fd, int events, int ms)
{
    struct pollfd p = {fd, (short)events, 0};
    int n = poll(&p, 1, ms);
    if (n < 0)
        printf("%s: poll %s\n", name, t_errno(errno));
    else
        t_bits(name, p.revents);
}

void t_soerror(const char *name, int fd)
{
    int e = -1;
    socklen_t len = sizeof e;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len))
        printf("%s: SO_ERROR fails with %s\n", name, t_errno(errno));
    else
        printf("%s: SO_ERROR %s\n", name, e ? t_errno(e) : "none");
}

void t_addr(const char *name, const void *addr, socklen_t len, int port)
{
    char text[INET6_ADDRSTRLEN] = "?";
    const union addr *a = addr;
    int p = -1;
    if (len < sizeof(sa_family_t)) {
        printf("%s: length %u\n", name, len);
        return;
    }
    if (a->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof text);
        p = ntohs(a->in.sin_port);
    } else if (a->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof text);
        p = ntohs(a->in6.sin6_port);
    }
    printf("%s: family %d %s length %u port %d\n", name, a->sa.sa_family, text, len, port ? p : p != 0);
}

void t_settle(void)
{
    usleep(30000);
}

socklen_t t_any(union addr *a, int family, int port)
{
    memset(a, 0, sizeof *a);
    a->sa.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        a->in.sin_port = htons((uint16_t)port);
        return sizeof a->in;
    }
    a->in6.sin6_port = htons((uint16_t)port);
    return sizeof a->in6;
}

socklen_t t_lo(union addr *a, int family, int port)
{
    socklen_t len = t_any(a, family, port);
    if (family == AF_INET)
        a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        a->in6.sin6_addr = in6addr_loopback;
    return len;
}

int t_port(int fd)
{
    union addr a;
    socklen_t len = sizeof a;
    MUST(getsockname(fd, &a.sa, &len));
    return ntohs(a.in.sin_port);
}

int t_bound(int family, int type)
{
    union addr a;
    int fd = (int)MUST(socket(family, type, 0));
    MUST(bind(fd, &a.sa, t_lo(&a, family, 0)));
    return fd;
}

int t_listen(int family, int backlog)
{
    int fd = t_bound(family, SOCK_STREAM);
    MUST(listen(fd, backlog));
    return fd;
}

int t_connect_to(int family, int type, int port)
{
    union addr a;
    int fd = (int)MUST(socket(family, type, 0));
    socklen_t len = t_lo(&a, family, port);
    MUST(connect(fd, &a.sa, len));
    return fd;
}

void t_pair(int family, int type, int pair[2])
{
    union addr a;
    if (type == SOCK_STREAM) {
        int l = t_listen(family, 4);
        pair[0] = t_connect_to(family, type, t_port(l));
        pair[1] = (int)MUST(accept(l, 0, 0));
        close(l);
        return;
    }
    pair[0] = t_bound(family, type);
    pair[1] = t_bound(family, type);
    socklen_t len = t_lo(&a, family, t_port(pair[1]));
    MUST(connect(pair[0], &a.sa, len));
    len = t_lo(&a, family, t_port(pair[0]));
    MUST(connect(pair[1], &a.sa, len));
}

void t_nonblock(int fd)
{
    MUST(fcntl(fd, F_SETFL, (int)MUST(fcntl(fd, F_GETFL)) | O_NONBLOCK));
}

void t_getopt(const char *name, int fd, int level, int opt)
{
    int value[64] = {0};
    socklen_t len = sizeof value;
    errno = 0;
    if (getsockopt(fd, level, opt, value, &len))
        printf("%s: %s\n", name, t_errno(errno));
    else if (len == 1)
        printf("%s: %d (1 byte)\n", name, *(unsigned char *)value);
    else
        printf("%s: %d (%u bytes)\n", name, value[0], len);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    for (struct tcase *c = first; c; c = c->next) {
        if (argc < 2)
            puts(c->name);
        else if (!strcmp(c->name, argv[1])) {
            c->run();
            return fflush(stdout) != 0;
        }
    }
    return argc < 2 ? 0 : 2;
}
