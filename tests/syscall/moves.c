/* sendfile, splice, tee, vmsplice, copy_file_range between files, pipes and sockets: every pairing. */
#include "t.h"
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum kind { TEXT, PIPE_R, PIPE_W, TCP, UDP, LISTENER, EPOLL, PROC, KINDS };
static const char *const kinds[] = {"file", "pipe's end", "pipe's start", "tcp", "udp", "listener", "epoll", "proc"};

struct thing {
    int fd, other;
};

/* One with some bytes in it, and what is at its other end. */
static struct thing make(enum kind k)
{
    struct thing t = {-1, -1};
    int p[2];
    char path[] = "/tmp/lkl-moves-XXXXXX";
    switch (k) {
    case TEXT:
        t.fd = (int)MUST(mkstemp(path));
        unlink(path);
        MUST(write(t.fd, "some text here", 14));
        MUST(lseek(t.fd, 0, SEEK_SET));
        break;
    case PIPE_R:
    case PIPE_W:
        MUST(pipe2(p, O_NONBLOCK));
        if (k == PIPE_R)
            MUST(write(p[1], "in the pipe", 11));
        t.fd = p[k == PIPE_W];
        t.other = p[k == PIPE_R];
        break;
    case TCP:
    case UDP:
        t_pair(AF_INET, k == TCP ? SOCK_STREAM : SOCK_DGRAM, p);
        MUST(write(p[1], "by the socket", 13));
        t_settle();
        t_nonblock(p[0]);
        t_nonblock(p[1]);
        t.fd = p[0];
        t.other = p[1];
        break;
    case LISTENER:
        t.fd = t_listen(AF_INET, 1);
        t_nonblock(t.fd);
        break;
    case EPOLL: t.fd = (int)MUST(epoll_create1(0)); break;
    case PROC: t.fd = (int)MUST(open("/proc/net/dev", O_RDONLY)); break;
    default: break;
    }
    return t;
}

static void done(struct thing t)
{
    close(t.fd);
    if (t.other >= 0)
        close(t.other);
}

/* What has arrived at a thing that was written to. */
static void arrived(enum kind k, struct thing t, long n)
{
    char b[64] = "";
    if (n <= 0)
        return;
    t_settle();
    if (k == TEXT) {
        n = pread(t.fd, b, sizeof b - 1, 0);
    } else {
        n = read(t.other, b, sizeof b - 1);
    }
    printf("  arrived %ld \"%s\"\n", n, b);
}

/* And what is left at the one that was read from. */
static void left(enum kind k, struct thing t, long n)
{
    char b[64] = "";
    if (n <= 0 || k == PROC)
        return;
    n = read(t.fd, b, sizeof b - 1);
    printf("  left %ld \"%s\"\n", n, n > 0 ? b : "");
}

#define PAIRINGS(text, call)                                                           \
    for (enum kind i = 0; i < KINDS; i++)                                              \
        for (enum kind o = 0; o < KINDS; o++) {                                        \
            struct thing from = make(i), to = make(o);                                 \
            char name[64];                                                             \
            snprintf(name, sizeof name, "%s from %s to %s", text, kinds[i], kinds[o]); \
            long n = RN(name, call);                                                   \
            arrived(o, to, n);                                                         \
            left(i, from, n);                                                          \
            done(from);                                                                \
            done(to);                                                                  \
        }

CASE(sendfile_pairings)
{
    PAIRINGS("sendfile", i == PROC ? 0 : sendfile(to.fd, from.fd, 0, 5))
}

CASE(splice_pairings)
{
    PAIRINGS("splice", i == PROC ? 0 : splice(from.fd, 0, to.fd, 0, 5, 0))
}

CASE(tee_pairings)
{
    PAIRINGS("tee", tee(from.fd, to.fd, 5, 0))
}

CASE(copy_file_range_pairings)
{
    PAIRINGS("copy_file_range", i == PROC ? 0 : copy_file_range(from.fd, 0, to.fd, 0, 5, 0))
}

CASE(vmsplice_all)
{
    char b[] = "from memory", c[16] = "";
    struct iovec v = {b, 5}, w = {c, 5};
    for (enum kind k = 0; k < KINDS; k++) {
        struct thing t = make(k);
        char name[64];
        snprintf(name, sizeof name, "vmsplice to %s", kinds[k]);
        long n = RN(name, vmsplice(t.fd, k == PIPE_R ? &w : &v, 1, SPLICE_F_NONBLOCK));
        if (k != PIPE_R)
            arrived(k, t, n);
        done(t);
    }
}

CASE(splice_wrong)
{
    struct thing f = make(TEXT), r = make(PIPE_R), w = make(PIPE_W), s = make(TCP);
    off_t at = 0, bad = -1;
    R(splice(f.fd, &at, s.fd, 0, 5, 0));
    R(splice(s.fd, &at, w.fd, 0, 5, 0));
    R(splice(r.fd, &at, s.fd, 0, 5, 0));
    R(splice(r.fd, 0, s.fd, &at, 5, 0));
    R(splice(s.fd, 0, w.fd, 0, 0, 0));
    R(splice(s.fd, 0, w.fd, 0, 5, 0xff00));
    R(splice(s.fd, 0, 987, 0, 5, 0));
    R(splice(987, 0, s.fd, 0, 5, 0));
    R(splice(987, 0, s.fd, 0, 0, 0));
    R(tee(s.fd, 987, 5, 0));
    R(tee(987, s.fd, 5, 0));
    R(tee(s.fd, w.fd, 0, 0));
    R(tee(s.fd, w.fd, 5, 0xff00));
    R(sendfile(s.fd, 987, 0, 5));
    R(sendfile(987, s.fd, 0, 5));
    R(sendfile(s.fd, f.fd, &bad, 5));
    R(sendfile(s.fd, f.fd, 0, 0));
    R(sendfile(s.fd, f.fd, (off_t *)8, 5));
    R(sendfile(s.fd, f.fd, 0, (size_t)-1));
    at = 100;
    R(sendfile(s.fd, f.fd, &at, 5));
    R(at);
    at = 5;
    R(sendfile(s.fd, f.fd, &at, 4));
    R(at);
    R(lseek(f.fd, 0, SEEK_CUR));
    int wo = (int)MUST(open("/dev/null", O_WRONLY));
    R(sendfile(s.fd, wo, 0, 5));
    R(copy_file_range(s.fd, 0, 987, 0, 5, 0));
    R(copy_file_range(987, 0, s.fd, 0, 5, 0));
    R(copy_file_range(f.fd, 0, s.fd, 0, 5, 7));
    R(copy_file_range(f.fd, 0, s.fd, 0, 0, 0));
    /* From an empty socket and a full pipe. */
    char b[4096];
    while (read(s.fd, b, sizeof b) > 0)
        ;
    R(splice(s.fd, 0, w.fd, 0, 5, 0));
    R(splice(s.fd, 0, w.fd, 0, 5, SPLICE_F_NONBLOCK));
    while (write(w.fd, b, sizeof b) > 0)
        ;
    MUST(write(s.other, "abc", 3));
    t_settle();
    R(splice(s.fd, 0, w.fd, 0, 5, SPLICE_F_NONBLOCK));
    R(read(s.fd, b, 8));
    MUST(shutdown(s.other, SHUT_WR));
    t_settle();
    struct thing e = make(PIPE_W);
    R(splice(s.fd, 0, e.fd, 0, 5, 0));
    /* A pipe whose other end is closed. */
    struct thing x = make(PIPE_W);
    close(x.other);
    MUST(write(s.fd, "abc", 3));
    struct thing y = make(TCP);
    R(splice(y.fd, 0, x.fd, 0, 5, 0));
    struct thing z = make(PIPE_R);
    MUST(read(z.fd, b, 64));
    R(splice(z.fd, 0, y.fd, 0, 5, 0));
    close(z.other);
    R(splice(z.fd, 0, y.fd, 0, 5, 0));
}
