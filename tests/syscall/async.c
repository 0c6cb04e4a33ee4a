/* SIGIO and SIGURG: who is told of what happens to a socket, and when. */
#include "t.h"
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t io, urg, other;
static volatile int other_fd, other_code, codes[16], other_tid;
static volatile long other_band;

static void on_io(int sig)
{
    (void)sig;
    io++;
}

static void on_urg(int sig)
{
    (void)sig;
    urg++;
}

static void on_info(int sig, siginfo_t *si, void *context)
{
    (void)sig, (void)context;
    other_fd = si->si_fd;
    codes[other++ & 15] = other_code = si->si_code;
    other_band = si->si_band;
    other_tid = (int)syscall(SYS_gettid);
}

static void handlers(void)
{
    struct sigaction a = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction b = {.sa_handler = on_io, .sa_flags = SA_RESTART};
    struct sigaction c = {.sa_handler = on_urg, .sa_flags = SA_RESTART};
    sigaction(SIGRTMIN, &a, 0);
    sigaction(SIGUSR1, &a, 0);
    sigaction(SIGIO, &b, 0);
    sigaction(SIGURG, &c, 0);
}

static void flag(int fd, int on)
{
    int f = (int)MUST(fcntl(fd, F_GETFL));
    MUST(fcntl(fd, F_SETFL, on ? f | O_ASYNC : f & ~O_ASYNC));
}

/* Says whether any came since last time. */
static void heard(const char *what)
{
    for (int i = 0; i < 20 && !io && !urg && !other; i++)
        usleep(5000);
    usleep(20000);
    printf("%s: SIGIO %s, SIGURG %s", what, io ? "yes" : "no", urg ? "yes" : "no");
    /* One thing may be said more than once. */
    for (int i = 0; i < other && i < 16; i++)
        if (!i || codes[i] != codes[i - 1])
            printf(", code %d", codes[i]);
    if (other)
        printf(", band %#lx", other_band);
    printf("\n");
    io = urg = other = 0;
}

CASE(async_owner)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), n = 0;
    struct f_owner_ex ex = {7, 7};
    R(fcntl(fd, F_GETOWN));
    R(fcntl(fd, F_GETOWN_EX, &ex));
    printf("type %d pid %d\n", ex.type, ex.pid);
    R(fcntl(fd, F_SETOWN, 0x3fffff0));
    R(fcntl(fd, F_SETOWN, -0x3fffff0));
    R(fcntl(fd, F_SETOWN, (int)0x80000000));
    R(fcntl(fd, F_SETOWN, getpid()));
    printf("mine %d\n", fcntl(fd, F_GETOWN) == getpid());
    R(fcntl(fd, F_GETOWN_EX, &ex));
    printf("type %d pid %d\n", ex.type, ex.pid == getpid());
    R(fcntl(fd, F_SETOWN, -getpgrp()));
    printf("group %d\n", fcntl(fd, F_GETOWN) == -getpgrp());
    R(fcntl(fd, F_GETOWN_EX, &ex));
    printf("type %d pid %d\n", ex.type, ex.pid == getpgrp());
    /* The number of a small group looks like an errno. Most machines have one. */
    for (n = 2; n < 4096 && (getpgid(n) != n || fcntl(fd, F_SETOWN, -n)); n++)
        ;
    printf("small group %d\n", n == 4096 || fcntl(fd, F_GETOWN) == -n);
    ex = (struct f_owner_ex){F_OWNER_TID, (int)syscall(SYS_gettid)};
    R(fcntl(fd, F_SETOWN_EX, &ex));
    R(fcntl(fd, F_GETOWN_EX, &ex));
    printf("type %d pid %d\n", ex.type, ex.pid == (int)syscall(SYS_gettid));
    ex = (struct f_owner_ex){F_OWNER_PID, 0x3fffff0};
    R(fcntl(fd, F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){3, getpid()};
    R(fcntl(fd, F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){-1, getpid()};
    R(fcntl(fd, F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){F_OWNER_PID, -5};
    R(fcntl(fd, F_SETOWN_EX, &ex));
    R(fcntl(fd, F_SETOWN_EX, (void *)8));
    R(fcntl(fd, F_GETOWN_EX, (void *)8));
    R(fcntl(fd, F_SETOWN, 0));
    R(fcntl(fd, F_GETOWN));
    R(fcntl(fd, F_GETOWN_EX, &ex));
    printf("type %d pid %d\n", ex.type, ex.pid);
    n = 0x3fffff0;
    R(ioctl(fd, FIOSETOWN, &n));
    R(ioctl(fd, SIOCSPGRP, &n));
    n = getpid();
    R(ioctl(fd, FIOSETOWN, &n));
    n = 0;
    R(ioctl(fd, SIOCGPGRP, &n));
    printf("mine %d\n", n == getpid());
    n = -getpgrp();
    R(ioctl(fd, SIOCSPGRP, &n));
    n = 0;
    R(ioctl(fd, FIOGETOWN, &n));
    printf("group %d\n", n == -getpgrp());
    /* A process that is gone. */
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    R(fcntl(fd, F_SETOWN, child));
    printf("child %d\n", fcntl(fd, F_GETOWN) == child);
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    R(fcntl(fd, F_GETOWN));
    R(fcntl(fd, F_GETOWN_EX, &ex));
    printf("type %d pid %d\n", ex.type, ex.pid);
    /* What the descriptors share. */
    int two = (int)MUST(dup(fd));
    R(fcntl(two, F_SETOWN, getpid()));
    printf("mine %d\n", fcntl(fd, F_GETOWN) == getpid());
    R(fcntl(fd, F_GETSIG));
    R(fcntl(fd, F_SETSIG, SIGRTMIN));
    printf("signal %d\n", fcntl(two, F_GETSIG) == SIGRTMIN);
    R(fcntl(fd, F_SETSIG, 65));
    R(fcntl(fd, F_SETSIG, -1));
    R(fcntl(fd, F_SETSIG, 0));
    R(fcntl(fd, F_GETSIG));
}

CASE(async_flag)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), on = 1, off = 0;
    flag(fd, 1);
    printf("on %d\n", !!(fcntl(fd, F_GETFL) & O_ASYNC));
    R(ioctl(fd, FIOASYNC, &off));
    printf("on %d\n", !!(fcntl(fd, F_GETFL) & O_ASYNC));
    R(ioctl(fd, FIOASYNC, &on));
    printf("on %d\n", !!(fcntl(fd, F_GETFL) & O_ASYNC));
    R(ioctl(fd, FIOASYNC, (void *)8));
    int ep = (int)MUST(epoll_create1(0));
    R(ioctl(ep, FIOASYNC, &off));
    R(ioctl(ep, FIOASYNC, &on));
    R(fcntl(ep, F_SETFL, O_ASYNC));
    R(ioctl(ep, FIOASYNC, &on));
    R(ioctl(ep, FIOASYNC, &off));
    int file = (int)MUST(open("/proc/net/dev", O_RDONLY));
    R(ioctl(file, FIOASYNC, &on));
    R(fcntl(file, F_SETOWN, getpid()));
    printf("mine %d\n", fcntl(file, F_GETOWN) == getpid());
}

CASE(async_data)
{
    int p[2];
    char b[64];
    handlers();
    for (int kind = 0; kind < 4; kind++) {
        t_pair(kind & 1 ? AF_INET6 : AF_INET, kind & 2 ? SOCK_DGRAM : SOCK_STREAM, p);
        printf("kind %d\n", kind);
        MUST(fcntl(p[0], F_SETOWN, getpid()));
        MUST(send(p[1], "a", 1, 0));
        heard("no flag");
        MUST(recv(p[0], b, sizeof b, 0));
        flag(p[0], 1);
        heard("quiet");
        MUST(send(p[1], "b", 1, 0));
        heard("data");
        MUST(send(p[1], "b", 1, 0));
        heard("more data");
        MUST(send(p[0], "b", 1, 0));
        heard("sent data");
        flag(p[0], 0);
        MUST(send(p[1], "c", 1, 0));
        heard("flag off");
        flag(p[0], 1);
        heard("flag on again");
        MUST(fcntl(p[0], F_SETOWN, 0));
        MUST(send(p[1], "c", 1, 0));
        heard("no owner");
        MUST(fcntl(p[0], F_SETOWN, getpid()));
        int two = (int)MUST(dup(p[0]));
        close(p[0]);
        MUST(send(p[1], "d", 1, 0));
        heard("by the duplicate");
        close(two);
        MUST(send(p[1], "d", 1, MSG_NOSIGNAL));
        heard("closed");
        close(p[1]);
    }
}

CASE(async_info)
{
    int p[2];
    char b[64];
    handlers();
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(fcntl(p[0], F_SETOWN, getpid()));
    MUST(fcntl(p[0], F_SETSIG, SIGRTMIN));
    int two = (int)MUST(dup(p[0]));
    flag(two, 1);
    MUST(send(p[1], "abc", 3, 0));
    usleep(30000);
    printf("fd %d\n", other_fd == two);
    heard("data");
    MUST(fcntl(p[0], F_SETSIG, SIGUSR1));
    MUST(send(p[1], "abc", 3, 0));
    heard("by SIGUSR1");
    struct sigaction a = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
    sigaction(SIGCHLD, &a, 0);
    MUST(fcntl(p[0], F_SETSIG, SIGCHLD));
    MUST(send(p[1], "abc", 3, 0));
    heard("by SIGCHLD");
    sigaction(SIGIO, &a, 0);
    MUST(fcntl(p[0], F_SETSIG, SIGIO));
    MUST(send(p[1], "abc", 3, 0));
    heard("by SIGIO");
    MUST(fcntl(p[0], F_SETSIG, 0));
    MUST(send(p[1], "abc", 3, 0));
    heard("by SIGIO that says nothing");
    MUST(fcntl(p[0], F_SETSIG, SIGRTMIN));
    MUST(shutdown(p[1], SHUT_WR));
    heard("half closed");
    MUST(recv(p[0], b, sizeof b, 0));
    MUST(shutdown(p[0], SHUT_WR));
    heard("closed by us too");
    /* Waited for instead. */
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &s, 0);
    t_pair(AF_INET, SOCK_DGRAM, p);
    MUST(fcntl(p[0], F_SETOWN, getpid()));
    MUST(fcntl(p[0], F_SETSIG, SIGRTMIN));
    flag(p[0], 1);
    for (int i = 0; i < 3; i++)
        MUST(send(p[1], "abc", 3, 0));
    siginfo_t si;
    struct timespec t = {1, 0};
    for (int i = 0; i < 3; i++) {
        memset(&si, 0, sizeof si);
        int sig = i ? sigtimedwait(&s, &si, &t) : sigwaitinfo(&s, &si);
        printf("signal %d code %d band %#lx fd %d\n", sig == SIGRTMIN, si.si_code, si.si_band, si.si_fd == p[0]);
    }
    t.tv_sec = 0;
    R(sigtimedwait(&s, &si, &t));
    int sfd = (int)MUST(signalfd(-1, &s, 0));
    MUST(send(p[1], "abc", 3, 0));
    struct signalfd_siginfo f;
    MUST(read(sfd, &f, sizeof f));
    printf("signal %d band %#x fd %d\n", (int)f.ssi_signo == SIGRTMIN, f.ssi_band, f.ssi_fd == p[0]);
}

CASE(async_connect)
{
    handlers();
    int l = t_listen(AF_INET, 8);
    union addr a;
    MUST(fcntl(l, F_SETOWN, getpid()));
    MUST(fcntl(l, F_SETSIG, SIGRTMIN));
    flag(l, 1);
    int c = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect(c, &a.sa, t_lo(&a, AF_INET, t_port(l))));
    heard("accept");
    int s = (int)MUST(accept(l, 0, 0));
    printf("inherited: flag %d owner %d\n", !!(fcntl(s, F_GETFL) & O_ASYNC), (int)fcntl(s, F_GETOWN));
    close(l);
    heard("listener closed");
    l = t_listen(AF_INET, 8);
    c = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    MUST(fcntl(c, F_SETOWN, getpid()));
    MUST(fcntl(c, F_SETSIG, SIGRTMIN));
    flag(c, 1);
    R(connect(c, &a.sa, t_lo(&a, AF_INET, t_port(l))));
    heard("connect");
    s = (int)MUST(accept(l, 0, 0));
    struct linger abort = {1, 0};
    MUST(setsockopt(s, SOL_SOCKET, SO_LINGER, &abort, sizeof abort));
    close(s);
    heard("reset");
    int port = t_port(l);
    close(l);
    c = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    MUST(fcntl(c, F_SETOWN, getpid()));
    MUST(fcntl(c, F_SETSIG, SIGRTMIN));
    flag(c, 1);
    R(connect(c, &a.sa, t_lo(&a, AF_INET, port)));
    heard("refused");
    int d[2];
    t_pair(AF_INET, SOCK_DGRAM, d);
    MUST(fcntl(d[0], F_SETOWN, getpid()));
    MUST(fcntl(d[0], F_SETSIG, SIGRTMIN));
    flag(d[0], 1);
    close(d[1]);
    MUST(send(d[0], "x", 1, 0));
    heard("port unreachable");
}

CASE(async_space)
{
    int p[2];
    static char b[1 << 16];
    long n;
    handlers();
    t_pair(AF_INET, SOCK_STREAM, p);
    t_nonblock(p[0]);
    t_nonblock(p[1]);
    MUST(fcntl(p[0], F_SETOWN, getpid()));
    MUST(fcntl(p[0], F_SETSIG, SIGRTMIN));
    flag(p[0], 1);
    MUST(send(p[0], b, 1000, 0));
    MUST(recv(p[1], b, sizeof b, 0));
    heard("room all the time");
    while (send(p[0], b, sizeof b, 0) > 0)
        ;
    heard("full");
    for (int i = 0; i < 200; i++) {
        while ((n = recv(p[1], b, sizeof b, 0)) > 0)
            ;
        usleep(1000);
    }
    heard("empty");
}

CASE(async_urgent)
{
    int p[2];
    char b[64];
    handlers();
    MUST(setpgid(0, 0));
    for (int family = 0; family < 2; family++) {
        t_pair(family ? AF_INET6 : AF_INET, SOCK_STREAM, p);
        MUST(send(p[1], "a", 1, MSG_OOB));
        heard("no owner");
        MUST(fcntl(p[0], F_SETOWN, getpid()));
        MUST(send(p[1], "b", 1, MSG_OOB));
        heard("urgent");
        MUST(send(p[1], "c", 1, 0));
        heard("not urgent");
        flag(p[0], 1);
        MUST(send(p[1], "d", 1, MSG_OOB));
        heard("urgent, with the flag");
        MUST(fcntl(p[0], F_SETSIG, SIGRTMIN));
        MUST(send(p[1], "e", 1, MSG_OOB));
        heard("urgent, with a signal of its own");
        R(recv(p[0], b, 1, MSG_OOB));
        MUST(fcntl(p[0], F_SETOWN, -getpgrp()));
        MUST(send(p[1], "f", 1, MSG_OOB));
        heard("urgent, for the group");
        close(p[0]);
        close(p[1]);
    }
}

static void say(const char *who)
{
    for (int i = 0; i < 100 && !io && !other; i++)
        usleep(5000);
    printf("%s: SIGIO %s, info %s\n", who, io ? "yes" : "no", other ? "yes" : "no");
    fflush(stdout);
}

CASE(async_processes)
{
    int p[2], ready[2];
    char b[8];
    handlers();
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(pipe(ready));
    fflush(stdout);
    pid_t child = (int)MUST(fork());
    if (!child) {
        setpgid(0, 0);
        MUST(write(ready[1], "x", 1));
        say("child");
        io = other = 0;
        MUST(write(ready[1], "x", 1));
        say("child, for its group");
        /* Now the parent, by the child's doing. */
        MUST(fcntl(p[0], F_SETSIG, SIGRTMIN));
        MUST(fcntl(p[0], F_SETOWN, getppid()));
        MUST(send(p[1], "c", 1, 0));
        _exit(0);
    }
    MUST(read(ready[0], b, 1));
    MUST(fcntl(p[0], F_SETOWN, child));
    flag(p[0], 1);
    MUST(send(p[1], "a", 1, 0));
    MUST(read(ready[0], b, 1));
    printf("parent: SIGIO %s\n", io ? "yes" : "no");
    fflush(stdout);
    MUST(fcntl(p[0], F_SETOWN, -child));
    MUST(send(p[1], "b", 1, 0));
    say("parent, from the child");
    int status;
    while (waitpid(child, &status, 0) < 0)
        ;
    printf("status %d, code %d, band %#lx, fd %d\n", status, other_code, other_band, other_fd == p[0]);
    io = other = 0;
    /* Both, as one group. */
    MUST(fcntl(p[0], F_SETSIG, 0));
    MUST(setpgid(0, 0));
    MUST(fcntl(p[0], F_SETOWN, -getpgrp()));
    child = (int)MUST(fork());
    if (!child) {
        MUST(send(p[1], "d", 1, 0));
        say("child of the group");
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        ;
    say("parent of the group");
    /* The owner is gone. */
    io = 0;
    MUST(fcntl(p[0], F_SETOWN, getpid()));
    child = (int)MUST(fork());
    if (!child) {
        MUST(fcntl(p[0], F_SETOWN, getpid()));
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        ;
    MUST(send(p[1], "e", 1, 0));
    usleep(30000);
    printf("to nobody: SIGIO %s\n", io ? "yes" : "no");
}

static volatile int their_tid;

static void *thread(void *arg)
{
    their_tid = (int)syscall(SYS_gettid);
    for (int i = 0; i < 200 && !other; i++)
        usleep(5000);
    return arg;
}

CASE(async_thread)
{
    int p[2];
    pthread_t t;
    handlers();
    t_pair(AF_INET, SOCK_DGRAM, p);
    pthread_create(&t, 0, thread, 0);
    while (!their_tid)
        usleep(1000);
    struct f_owner_ex ex = {F_OWNER_TID, their_tid};
    MUST(fcntl(p[0], F_SETOWN_EX, &ex));
    MUST(fcntl(p[0], F_SETSIG, SIGRTMIN));
    flag(p[0], 1);
    MUST(send(p[1], "a", 1, 0));
    pthread_join(t, 0);
    printf("came %d, to the thread %d\n", other, other_tid == their_tid);
    other = 0;
    MUST(send(p[1], "a", 1, 0));
    heard("the thread is gone");
    MUST(fcntl(p[0], F_GETOWN_EX, &ex));
    printf("type %d pid %d\n", ex.type, ex.pid);
}

static void *waits(void *arg)
{
    char b[8];
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, 0);
    printf("received %ld\n", (long)recv(*(int *)arg, b, sizeof b, 0));
    return arg;
}

CASE(async_reader)
{
    int p[2];
    pthread_t t;
    handlers();
    for (int kind = 0; kind < 2; kind++) {
        t_pair(AF_INET, kind ? SOCK_DGRAM : SOCK_STREAM, p);
        MUST(fcntl(p[0], F_SETOWN, getpid()));
        flag(p[0], 1);
        pthread_create(&t, 0, waits, &p[0]);
        usleep(50000);
        MUST(send(p[1], "a", 1, 0));
        pthread_join(t, 0);
        heard(kind ? "a datagram that somebody waits for" : "bytes that somebody waits for");
    }
}

CASE(async_default)
{
    int p[2], status;
    t_pair(AF_INET, SOCK_STREAM, p);
    fflush(stdout);
    pid_t child = (int)MUST(fork());
    if (!child) {
        MUST(fcntl(p[0], F_SETOWN, getpid()));
        flag(p[0], 1);
        MUST(send(p[1], "a", 1, 0));
        usleep(500000);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0));
    printf("killed by SIGIO %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGIO);
}
