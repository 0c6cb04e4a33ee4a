/* signalfd, whose signals are the process's, beside sockets: in poll, select and epoll, across fork, in threads. */
#include "t.h"
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Blocks these two, and gives a signalfd of them. */
static int blocked(int flags)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigaddset(&s, SIGRTMIN);
    MUST(sigprocmask(SIG_BLOCK, &s, 0));
    return (int)MUST(signalfd(-1, &s, flags));
}

static void get(const char *name, int fd)
{
    struct signalfd_siginfo f[4];
    ssize_t n = read(fd, f, sizeof f);
    if (n < 0) {
        printf("%s: %s\n", name, t_errno(errno));
        return;
    }
    printf("%s:", name);
    for (size_t i = 0; i < (size_t)n / sizeof *f; i++)
        printf(" %d (code %d, value %d, %s)", f[i].ssi_signo == SIGUSR1 ? 1 : 2, f[i].ssi_code, f[i].ssi_int,
               f[i].ssi_pid == (unsigned)getpid() ? "its own" : f[i].ssi_pid == (unsigned)getppid() ? "its parent's" : "another's");
    printf("\n");
}

static void queue(pid_t to, int value)
{
    MUST(sigqueue(to, SIGRTMIN, (union sigval){.sival_int = value}));
}

CASE(signalfd_calls)
{
    sigset_t s;
    char b[1024];
    sigfillset(&s);
    int sock = t_bound(AF_INET, SOCK_DGRAM), fd = blocked(SFD_NONBLOCK | SFD_CLOEXEC);
    R(fcntl(fd, F_GETFD));
    R(signalfd(sock, &s, 0));
    R(signalfd(987, &s, 0));
    R(signalfd(-1, &s, 1));
    R(syscall(SYS_signalfd4, -1, &s, 4, 1));
    R(syscall(SYS_signalfd4, -1, 8, 8, 1));
    R(syscall(SYS_signalfd4, -2, &s, 8, 0));
    OK(syscall(SYS_signalfd, -1, &s, 8));
    R(signalfd(fd, &s, 0) == fd);
    R(read(fd, b, sizeof b));
    R(read(fd, b, 127));
    R(write(fd, b, 128));
    R(lseek(fd, 0, SEEK_SET));
    for (int i = 0; i < 5; i++)
        queue(getpid(), i);
    raise(SIGUSR1);
    raise(SIGUSR1);
    R(read(fd, b, 300));
    get("more", fd);
    get("none", fd);
}

CASE(signalfd_mixed)
{
    int p[2], fd = blocked(SFD_NONBLOCK), ep = (int)MUST(epoll_create1(0));
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    struct pollfd both[2] = {{p[1], POLLIN, 0}, {fd, POLLIN | POLLOUT, 0}};
    R(poll(both, 2, 20));
    queue(getpid(), 1);
    R(poll(both, 2, 1000));
    t_bits("socket", both[0].revents);
    t_bits("signals", both[1].revents);
    MUST(send(p[0], "x", 1, 0));
    t_settle();
    R(poll(both, 2, 1000));
    t_bits("socket", both[0].revents);
    t_bits("signals", both[1].revents);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    FD_SET(p[1], &set);
    R(select((fd > p[1] ? fd : p[1]) + 1, &set, 0, 0, 0));
    printf("%d %d\n", FD_ISSET(fd, &set), FD_ISSET(p[1], &set));
    struct epoll_event e[4] = {{EPOLLIN, {.u32 = 1}}, {EPOLLIN | EPOLLET, {.u32 = 2}}};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e[0]));
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e[1]));
    R(epoll_wait(ep, e, 4, 1000));
    R(epoll_wait(ep, e, 4, 0));
    printf("%u\n", e[0].data.u32);
    queue(getpid(), 2);
    R(epoll_wait(ep, e, 4, 1000));
    get("two", fd);
    R(epoll_wait(ep, e, 4, 1000));
    MUST(recv(p[1], b, sizeof b, 0));
    R(epoll_wait(ep, e, 4, 20));
    raise(SIGUSR1);
    R(epoll_wait(ep, e, 4, 1000));
    printf("%u\n", e[0].data.u32);
    get("one", fd);
    int two = (int)MUST(dup(fd));
    close(fd);
    queue(getpid(), 3);
    get("by a copy", two);
}

/* What a thread waits for: its own signals beside a socket. */
static void *waiter(void *arg)
{
    int *fds = arg;
    struct pollfd both[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
    long n = poll(both, 2, 5000);
    return (void *)(n * 256 + both[0].revents * 16 + both[1].revents);
}

static void *reader(void *arg)
{
    struct signalfd_siginfo f = {0};
    return (void *)(read(*(int *)arg, &f, sizeof f) == sizeof f ? (long)f.ssi_int : -1L);
}

CASE(signalfd_threads)
{
    int p[2], fd = blocked(0), fds[2];
    pthread_t t[3];
    void *answer;
    t_pair(AF_INET, SOCK_STREAM, p);
    fds[0] = p[1];
    fds[1] = fd;
    pthread_create(&t[0], 0, waiter, fds);
    pthread_create(&t[1], 0, waiter, fds);
    pthread_create(&t[2], 0, reader, &fd);
    t_settle();
    MUST(pthread_sigqueue(t[1], SIGRTMIN, (union sigval){.sival_int = 5}) ? -1 : 0);
    pthread_join(t[1], &answer);
    printf("%lx\n", (long)answer);
    MUST(pthread_sigqueue(t[2], SIGRTMIN, (union sigval){.sival_int = 6}) ? -1 : 0);
    pthread_join(t[2], &answer);
    printf("%ld\n", (long)answer);
    MUST(send(p[0], "x", 1, 0));
    pthread_join(t[0], &answer);
    printf("%lx\n", (long)answer);
}

CASE(signalfd_fork)
{
    int p[2], fd = blocked(SFD_NONBLOCK), ep = (int)MUST(epoll_create1(0)), done[2];
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(pipe(done));
    struct epoll_event e = {EPOLLIN, {.u32 = 1}};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e));
    queue(getpid(), 1);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        /* What is there for its parent is not there for it. */
        struct pollfd all[3] = {{p[1], POLLIN, 0}, {fd, POLLIN, 0}, {ep, POLLIN, 0}};
        R(poll(all, 3, 20));
        MUST(write(done[1], "x", 1));
        R(poll(all, 3, 3000));
        t_bits("socket", all[0].revents);
        t_bits("signals", all[1].revents);
        t_bits("epoll", all[2].revents);
        get("the child", fd);
        MUST(write(done[1], "x", 1));
        R(poll(all, 3, 3000));
        t_bits("socket", all[0].revents);
        t_bits("signals", all[1].revents);
        get("the child", fd);
        MUST(kill(getppid(), SIGUSR1));
        fflush(stdout);
        _exit(0);
    }
    char c;
    MUST(read(done[0], &c, 1));
    queue(pid, 2);
    MUST(read(done[0], &c, 1));
    MUST(send(p[0], "x", 1, 0));
    int status;
    MUST(waitpid(pid, &status, 0));
    printf("%x\n", status);
    struct signalfd_siginfo f[4];
    R(read(fd, f, sizeof f) / (long)sizeof *f);
    printf("%d %d %d\n", f[0].ssi_signo == SIGUSR1, f[0].ssi_pid == (unsigned)pid, f[1].ssi_int);
    get("none", fd);
}
