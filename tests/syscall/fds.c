/* Descriptors: numbers and limits, what sockets refuse, calls that block while their descriptor is closed or shut down. */
#include "t.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/sockios.h>

CASE(std_numbers)
{
    int p[2], saved[3];
    char b[32] = "";
    fflush(stdout);
    t_pair(AF_INET, SOCK_STREAM, p);
    for (int i = 0; i < 3; i++)
        saved[i] = (int)MUST(fcntl(i, F_DUPFD, 30));
    long to[3], n0, wrote, put, back[3], lowest, got[3];
    for (int i = 0; i < 3; i++)
        to[i] = dup2(p[0], i);
    n0 = write(p[1], "in", 2);
    got[0] = read(0, b, sizeof b);
    wrote = write(1, "out", 3);
    put = dprintf(2, "err %d", 5);
    printf("by stdio");
    fflush(stdout);
    t_settle();
    memset(b, 0, sizeof b);
    got[1] = recv(p[1], b, sizeof b - 1, 0);
    /* Number 0 is free: the next socket is there. */
    close(0);
    lowest = socket(AF_INET, SOCK_DGRAM, 0);
    close(0);
    got[2] = accept(0, 0, 0);
    for (int i = 0; i < 3; i++)
        back[i] = dup2(saved[i], i);
    for (int i = 0; i < 3; i++)
        printf("%ld %ld\n", to[i], back[i]);
    printf("%ld %ld %ld %ld %ld %ld %s lowest %ld\n", n0, wrote, put, got[0], got[1], got[2], b, lowest);
    /* From 0, 1, 2 to others. */
    R(dup2(1, 40));
    R(dup2(p[0], 40));
    R(send(40, "x", 1, 0));
    R(dup2(2, p[0]));
    R(recv(p[1], b, 1, 0));
    R(close(40));
    R(recv(p[1], b, 8, 0));
}

CASE(beyond_fd_setsize)
{
    struct rlimit r = {4096, 4096};
    union {
        fd_set set;
        unsigned long words[64];
    } s;
    int p[2], high;
    char b[8];
    R(setrlimit(RLIMIT_NOFILE, &r));
    t_pair(AF_INET, SOCK_STREAM, p);
    R(high = dup2(p[1], 3000));
    MUST(send(p[0], "ab", 2, 0));
    t_poll("high", high, POLLIN, 1000);
    memset(&s, 0, sizeof s);
    s.words[3000 / 64] |= 1ul << 3000 % 64;
    R(select(3001, &s.set, 0, 0, &(struct timeval){1, 0}));
    R((s.words[3000 / 64] >> 3000 % 64) & 1);
    int ep = (int)MUST(epoll_create1(0));
    R(dup2(ep, 3001));
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 77};
    R(epoll_ctl(3001, EPOLL_CTL_ADD, 3000, &e));
    memset(&e, 0, sizeof e);
    R(epoll_wait(ep, &e, 1, 1000));
    R(e.data.u64);
    R(recv(high, b, 8, 0));
    R(dup2(p[1], 4096));
    R(fcntl(p[1], F_DUPFD, 4096));
    R(fcntl(p[1], F_DUPFD, -1));
    R(fcntl(p[1], F_DUPFD, 4090));
    R(dup2(p[1], -1));
    R(dup3(p[1], 5, 1));
}

CASE(no_more_descriptors)
{
    struct rlimit r;
    int n = 0, l = t_listen(AF_INET, 8), c, p[2];
    c = t_connect_to(AF_INET, SOCK_STREAM, t_port(l));
    MUST(getrlimit(RLIMIT_NOFILE, &r));
    r.rlim_cur = 32;
    R(setrlimit(RLIMIT_NOFILE, &r));
    while (socket(n % 2 ? AF_INET : AF_INET6, SOCK_DGRAM, 0) >= 0)
        n++;
    printf("%d: %s\n", n, t_errno(errno));
    R(accept(l, 0, 0));
    R(dup(c));
    R(fcntl(c, F_DUPFD, 0));
    R(fcntl(c, F_DUPFD, 40));
    R(dup2(c, 40));
    R(epoll_create1(0));
    R(pipe(p));
    R(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    R(open("/dev/null", O_RDONLY));
    R(open("/proc/net/dev", O_RDONLY));
    R(fopen("/proc/net/dev", "r") != 0);
    R(close(9));
    R(accept(l, 0, 0));
    R(close(11));
    R(close(20));
    R(dup(c));
    R(epoll_create1(0));
    r.rlim_cur = 64;
    R(setrlimit(RLIMIT_NOFILE, &r));
    R(socket(AF_INET, SOCK_STREAM, 0));
}

CASE(many_sockets)
{
    struct rlimit r;
    enum { N = 100000 };
    MUST(getrlimit(RLIMIT_NOFILE, &r));
    r.rlim_cur = N + 64;
    if (r.rlim_max < r.rlim_cur)
        r.rlim_max = r.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &r)) {
        printf("limit: %s\n", t_errno(errno));
        return;
    }
    int n, last = -1, first = -1;
    for (n = 0; n < N; n++) {
        int fd = socket(n % 3 ? AF_INET : AF_INET6, n % 2 ? SOCK_DGRAM : SOCK_STREAM, 0);
        if (fd < 0)
            break;
        if (first < 0)
            first = fd;
        if (n && fd != last + 1)
            printf("%d follows %d\n", fd, last);
        last = fd;
    }
    printf("%d sockets\n", n);
    if (n < N)
        return;
    /* Each is one of its own: some of them are used. */
    union addr a;
    int used = 0;
    char b[4];
    for (int i = 1; i < N; i += 9998) {
        socklen_t len = t_lo(&a, i % 3 ? AF_INET : AF_INET6, 0);
        int fd = first + i;
        if (bind(fd, &a.sa, len) || getsockname(fd, &a.sa, &len) || sendto(fd, &i, sizeof i, 0, &a.sa, len) < 0 ||
            recv(fd, b, sizeof b, 0) != sizeof b || memcmp(b, &i, sizeof b))
            printf("%d: %s\n", i, t_errno(errno));
        else
            used++;
    }
    printf("%d used\n", used);
    R(close_range((unsigned)first + 10, (unsigned)last, 0));
    R(fcntl(last, F_GETFD));
    R(socket(AF_INET, SOCK_STREAM, 0) == first + 10);
}

CASE(not_for_sockets)
{
    int p[2], u = t_bound(AF_INET, SOCK_DGRAM), n;
    char b[8] = "";
    struct iovec v = {b, 1};
    t_pair(AF_INET, SOCK_STREAM, p);
    R(lseek(p[0], 0, SEEK_SET));
    R(lseek(u, 5, SEEK_CUR));
    R(lseek(u, 5, 99));
    R(pread(p[0], b, 1, 0));
    R(pwrite(p[0], b, 1, 0));
    R(preadv(p[0], &v, 1, 0));
    R(pwritev(u, &v, 1, 0));
    R(ftruncate(p[0], 0));
    R(posix_fallocate(p[0], 0, 10));
    R(fallocate(p[0], 0, 0, 10));
    R(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL));
    R(readahead(p[0], 0, 10));
    R(fsync(p[0]));
    R(fdatasync(u));
    R(sync_file_range(u, 0, 0, 0));
    R(fchdir(p[0]));
    R(isatty(p[0]));
    R(mmap(0, 4096, PROT_READ, MAP_SHARED, u, 0) == MAP_FAILED ? -1 : 0);
    R(ioctl(p[0], 0x5401, b)); /* TCGETS */
    R(ioctl(p[0], 0xdeadbeef, b));
    struct stat st;
    R(fstat(p[0], &st));
    printf("mode %o size %ld links %ld blocks %ld block size %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink,
           (long)st.st_blocks, (long)st.st_blksize);
    typedef int fx(int, int, struct stat *);
    fx *old = (fx *)dlsym(RTLD_DEFAULT, "__fxstat"), *old64 = (fx *)dlsym(RTLD_DEFAULT, "__fxstat64");
    if (old && old64) {
        memset(&st, 0, sizeof st);
        R(old(1, p[0], &st));
        R(S_ISSOCK(st.st_mode));
        memset(&st, 0, sizeof st);
        R(old64(1, u, &st));
        R(S_ISSOCK(st.st_mode));
        R(old(1, 987, &st));
    }
    MUST(send(p[0], "abcde", 5, 0));
    t_settle();
    R(ioctl(p[1], FIONREAD, &n));
    R(n);
    R(ioctl(p[0], SIOCOUTQ, &n));
    R(n);
    R(ioctl(p[0], SIOCOUTQNSD, &n));
    R(n);
    R(ioctl(u, FIONREAD, &n));
    R(n);
    R(ioctl(u, SIOCOUTQ, &n));
    R(n);
    R(ioctl(p[0], FIONREAD, 0));
    R(ioctl(p[0], FIONBIO, &(int){1}));
    R(recv(p[0], b, 1, 0));
    R(fcntl(p[0], F_GETFL) & (O_NONBLOCK | O_ASYNC));
    R(ioctl(p[0], FIONBIO, &(int){0}));
    R(ioctl(p[0], FIOASYNC, &(int){1}));
    R(fcntl(p[0], F_GETFL) & (O_NONBLOCK | O_ASYNC));
    R(ioctl(p[0], FIOASYNC, &(int){0}));
    R(fcntl(p[0], F_GETFL) & (O_NONBLOCK | O_ASYNC));
    R(ioctl(p[0], FIONBIO, 1));
    int l = t_listen(AF_INET, 1);
    R(ioctl(l, FIONREAD, &n));
    R(ioctl(l, SIOCOUTQ, &n));
    R(flock(u, LOCK_EX));
}

/* A call in a thread of its own. */
struct blocked {
    pthread_t thread;
    const char *name;
    int fd, how, error;
    long result;
    volatile int done;
    char data[16];
};

enum { RECV, READ, RECVMSG, ACCEPT, CONNECT, POLL, SELECT, EPOLL, SEND, HOWS };
static const char *const hows[] = {"recv", "read", "recvmsg", "accept", "connect", "poll", "select", "epoll", "send"};

static void *block(void *arg)
{
    struct blocked *k = arg;
    struct pollfd f = {k->fd, POLLIN, 0};
    struct iovec v = {k->data, sizeof k->data};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct epoll_event e = {.events = EPOLLIN};
    union addr a;
    fd_set r;
    static char much[1 << 22];
    int ep;
    errno = 0;
    switch (k->how) {
    case RECV: k->result = recv(k->fd, k->data, sizeof k->data, 0); break;
    case READ: k->result = read(k->fd, k->data, sizeof k->data); break;
    case RECVMSG: k->result = recvmsg(k->fd, &m, 0); break;
    case ACCEPT: k->result = accept(k->fd, 0, 0) >= 0 ? 0 : -1; break;
    case CONNECT:
        /* Nobody answers there. */
        t_any(&a, AF_INET, 9);
        a.in.sin_addr.s_addr = htonl(0x7f000001);
        a.in.sin_port = htons((unsigned short)k->error);
        k->error = 0;
        k->result = connect(k->fd, &a.sa, sizeof a.in);
        break;
    case POLL:
        k->result = poll(&f, 1, 1500);
        if (k->result > 0)
            k->result = f.revents;
        break;
    case SELECT:
        FD_ZERO(&r);
        FD_SET(k->fd, &r);
        k->result = select(k->fd + 1, &r, 0, 0, &(struct timeval){1, 500000});
        break;
    case EPOLL:
        ep = epoll_create1(0);
        epoll_ctl(ep, EPOLL_CTL_ADD, k->fd, &e);
        k->result = epoll_wait(ep, &e, 1, 1500);
        if (k->result > 0)
            k->result = (long)e.events;
        close(ep);
        break;
    case SEND: k->result = send(k->fd, much, sizeof much, 0) > 0; break;
    }
    k->error = errno;
    k->done = 1;
    return 0;
}

static void begin(struct blocked *k, int how, int fd, int port)
{
    *k = (struct blocked){.fd = fd, .how = how, .error = port};
    pthread_create(&k->thread, 0, block, k);
    usleep(60000);
}

static void state(struct blocked *k, const char *when)
{
    usleep(60000);
    if (k->done)
        printf("%s %s: %ld %s\n", hows[k->how], when, k->result, k->result < 0 ? t_errno(k->error) : "");
    else
        printf("%s %s: still there\n", hows[k->how], when);
}

/* What is blocked in `how` on a socket of `type` when another thread shuts it down. */
static void shut(int how, int type, int direction)
{
    struct blocked k;
    int p[2];
    if (how == ACCEPT) {
        p[0] = t_listen(AF_INET, 4);
        p[1] = -1;
    } else {
        t_pair(AF_INET, type, p);
    }
    begin(&k, how, p[0], 0);
    state(&k, "blocked");
    R(shutdown(p[0], direction));
    state(&k, type == SOCK_STREAM ? "after shutdown, stream" : "after shutdown, datagram");
    if (!k.done && p[1] >= 0) {
        send(p[1], "later", 5, MSG_NOSIGNAL);
        state(&k, "after data");
    }
    if (!k.done) {
        pthread_cancel(k.thread);
    }
    pthread_join(k.thread, 0);
    close(p[0]);
    if (p[1] >= 0)
        close(p[1]);
}

CASE(blocked_and_shut_down)
{
    for (int how = RECV; how < HOWS; how++) {
        if (how == CONNECT || how == SEND)
            continue;
        shut(how, SOCK_STREAM, SHUT_RD);
        shut(how, SOCK_STREAM, SHUT_RDWR);
        if (how != ACCEPT)
            shut(how, SOCK_DGRAM, SHUT_RD);
    }
    shut(RECV, SOCK_STREAM, SHUT_WR);
    shut(POLL, SOCK_STREAM, SHUT_WR);
    shut(SEND, SOCK_STREAM, SHUT_WR);
    shut(SEND, SOCK_STREAM, SHUT_RDWR);
}

CASE(blocked_and_closed)
{
    struct blocked k;
    for (int how = RECV; how < HOWS; how++) {
        int p[2] = {-1, -1}, keep, port = 0;
        if (how == CONNECT || how == POLL)
            continue;
        if (how == ACCEPT) {
            p[0] = t_listen(AF_INET, 4);
            port = t_port(p[0]);
        } else {
            t_pair(AF_INET, SOCK_STREAM, p);
        }
        keep = dup(p[0]);
        begin(&k, how, p[0], port);
        state(&k, "blocked");
        RN("close", close(p[0]));
        state(&k, "after close");
        /* The file is still open in the call, and by the other number. */
        switch (how) {
        case ACCEPT: t_connect_to(AF_INET, SOCK_STREAM, port); break;
        case SEND: shutdown(keep, SHUT_RDWR); break;
        default: send(p[1], "abc", 3, 0);
        }
        state(&k, "at last");
        pthread_join(k.thread, 0);
        close(keep);
        close(p[1]);
    }
    /* Without another number: the call alone keeps it. */
    int p[2];
    t_pair(AF_INET, SOCK_STREAM, p);
    begin(&k, RECV, p[0], 0);
    MUST(close(p[0]));
    R(send(p[1], "abc", 3, 0));
    state(&k, "alone");
    pthread_join(k.thread, 0);
    /* What dup2 puts in the place does not disturb it. */
    t_pair(AF_INET, SOCK_STREAM, p);
    begin(&k, RECV, p[0], 0);
    int n = (int)MUST(open("/dev/null", O_RDWR));
    R(dup2(n, p[0]) == p[0]);
    state(&k, "replaced");
    R(send(p[1], "abc", 3, 0));
    state(&k, "replaced, with data");
    pthread_join(k.thread, 0);
}

/* poll and epoll_wait while another thread closes what they wait for. That one prints what they answer, so that lines keep their order. */
static int answered, answered_errno, answered_events;

static void *in_poll(void *arg)
{
    struct pollfd f = {*(int *)arg, POLLIN, 0};
    answered = poll(&f, 1, 300);
    answered_events = f.revents;
    return 0;
}

static int instance;

static void *in_epoll(void *arg)
{
    struct epoll_event e = {0};
    (void)arg;
    answered = epoll_wait(instance, &e, 1, 300);
    answered_errno = errno;
    answered_events = answered > 0 ? (int)e.events : 0;
    return 0;
}

CASE(polled_and_closed)
{
    pthread_t t;
    for (int sends = 0; sends < 2; sends++) {
        for (int how = 0; how < 2; how++) {
            int p[2];
            t_pair(AF_INET, SOCK_STREAM, p);
            instance = (int)MUST(epoll_create1(0));
            struct epoll_event e = {.events = EPOLLIN};
            MUST(epoll_ctl(instance, EPOLL_CTL_ADD, p[0], &e));
            pthread_create(&t, 0, how == 0 ? in_poll : in_epoll, &p[0]);
            usleep(50000);
            R(close(p[0]));
            if (sends)
                OK(send(p[1], "abc", 3, MSG_NOSIGNAL));
            pthread_join(t, 0);
            if (how == 0) {
                printf("poll %d", answered);
                t_bits("", answered_events);
            } else {
                printf("epoll_wait %d %s %x\n", answered, answered < 0 ? t_errno(answered_errno) : "", answered_events);
            }
            close(instance);
            close(p[1]);
        }
    }
}

/* The forms that a program has which is built with _FORTIFY_SOURCE: a buffer that is too small ends it. */
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
int __poll_chk(struct pollfd *, nfds_t, int, size_t);
int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const void *, size_t);
long __fdelt_chk(long);

CASE(fortified)
{
    int p[2];
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    struct pollfd f[2] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}};
    struct timespec ts = {1, 0};
    MUST(send(p[1], "12345678", 8, 0));
    R(__poll_chk(f, 2, 1000, sizeof f));
    R(__ppoll_chk(f, 2, &ts, 0, sizeof f));
    R(__read_chk(p[0], b, 2, sizeof b));
    R(__recv_chk(p[0], b, 2, sizeof b, 0));
    R(__recvfrom_chk(p[0], b, 2, sizeof b, 0, 0, 0));
    R(__fdelt_chk(p[0]) == p[0] / 64);
    for (int how = 0; how < 5; how++) {
        int status;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            MUST(dup2(open("/dev/null", O_WRONLY), 2));
            signal(SIGALRM, SIG_DFL);
            alarm(3);
            switch (how) {
            case 0: __read_chk(p[0], b, 9, sizeof b); break;
            case 1: __recv_chk(p[0], b, 9, sizeof b, 0); break;
            case 2: __recvfrom_chk(p[0], b, 9, sizeof b, 0, 0, 0); break;
            case 3: __poll_chk(f, 3, 0, sizeof f); break;
            default: __ppoll_chk(f, 3, &ts, 0, sizeof f);
            }
            _exit(0);
        }
        MUST(waitpid(child, &status, 0));
        printf("%d ends by signal %d\n", how, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    R(read(p[0], b, 8));
}
