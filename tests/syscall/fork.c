/* Processes that share sockets: fork, vfork, exec, posix_spawn, files sent to others, sudden ends. */
#include "t.h"
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

/* Waits for a child, and prints how it ended. */
static void ended(const char *name, pid_t pid)
{
    int st = -1;
    MUST(waitpid(pid, &st, 0));
    if (WIFSIGNALED(st))
        printf("%s: signal %d\n", name, WTERMSIG(st));
    else
        printf("%s: status %d\n", name, WEXITSTATUS(st));
}

/* Runs `code` in a child of fork. */
#define CHILD(...)                                                                                  \
    __extension__({                                                                                 \
        fflush(stdout);                                                                             \
        pid_t pid_ = fork();                                                                        \
        if (!pid_) {                                                                                \
            alarm(10);                                                                              \
            __VA_ARGS__;                                                                               \
            fflush(stdout);                                                                         \
            _exit(0);                                                                               \
        }                                                                                           \
        pid_;                                                                                       \
    })

/* What a new image of this program does: the case `image` below, with these arguments. */
static char *self(void)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n < 0 ? 0 : n] = 0;
    return path;
}

/* Not a case of its own: a new image is told in IMAGE which descriptor to answer on. */
CASE(image)
{
    const char *fd = getenv("IMAGE");
    if (!fd) {
        printf("only for the others\n");
        return;
    }
    int s = atoi(fd);
    char b[64];
    struct stat st;
    printf("image: socket %d\n", fstat(s, &st) == 0 && S_ISSOCK(st.st_mode));
    ssize_t n = read(s, b, sizeof b);
    printf("image: %.*s\n", (int)(n < 0 ? 0 : n), b);
    RN("image: write", write(s, "pong", 4));
}

CASE(fork_connection)
{
    int p[2];
    char b[16];
    t_pair(AF_INET, SOCK_STREAM, p);
    pid_t c = CHILD({
        close(p[0]);
        R(write(p[1], "one", 3));
        R(read(p[1], b, sizeof b));
        R(fcntl(p[1], F_GETFL) & O_NONBLOCK);
    });
    /* The status flags are of the file, not of the process. */
    R(read(p[0], b, sizeof b));
    close(p[1]);
    t_nonblock(p[0]);
    R(write(p[0], "two", 3));
    t_settle();
    ended("child", c);
    /* Only now nobody has the other end. */
    t_poll("end", p[0], POLLIN, 1000);
    R(read(p[0], b, sizeof b));
}

CASE(fork_keeps_open)
{
    int p[2];
    char b[4];
    t_pair(AF_INET, SOCK_STREAM, p);
    int go[2];
    MUST(pipe(go));
    pid_t c = CHILD({
        close(p[0]);
        close(go[1]);
        while (read(go[0], b, 1) == 1) {
        }
    });
    close(go[0]);
    close(p[1]);
    t_settle();
    t_poll("child has it", p[0], POLLIN | POLLRDHUP, 50);
    close(go[1]);
    ended("child", c);
    t_poll("nobody has it", p[0], POLLIN | POLLRDHUP, 1000);
}

CASE(fork_killed)
{
    int p[2], ls = t_listen(AF_INET6, 4), port = t_port(ls);
    t_pair(AF_INET, SOCK_STREAM, p);
    pid_t c = CHILD({
        char b[4];
        close(p[0]);
        read(p[1], b, 1);
    });
    close(p[1]);
    close(ls);
    t_settle();
    /* The child has the listening socket. */
    union addr a;
    socklen_t len = t_lo(&a, AF_INET6, port);
    int s = socket(AF_INET6, SOCK_STREAM, 0);
    RN("connect", connect(s, &a.sa, len));
    kill(c, SIGKILL);
    ended("child", c);
    t_poll("its connection", p[0], POLLIN | POLLRDHUP, 1000);
    t_settle();
    s = socket(AF_INET6, SOCK_STREAM, 0);
    RN("connect again", connect(s, &a.sa, len));
}

CASE(fork_accept)
{
    int ls = t_listen(AF_INET, 16), port = t_port(ls), got[2];
    MUST(pipe(got));
    pid_t c[4];
    for (int i = 0; i < 4; i++)
        c[i] = CHILD({
            for (;;) {
                int s = accept(ls, 0, 0);
                if (s < 0)
                    _exit(1);
                char b = 0;
                if (read(s, &b, 1) != 1)
                    _exit(2);
                if (write(s, &b, 1) != 1 || write(got[1], &b, 1) != 1)
                    _exit(3);
                close(s);
                if (b == 'q')
                    break;
            }
        });
    int sum = 0;
    for (int i = 0; i < 40; i++) {
        int s = t_connect_to(AF_INET, SOCK_STREAM, port);
        char b = i < 36 ? 'a' : 'q', r = 0;
        MUST(write(s, &b, 1));
        MUST(read(s, &r, 1));
        sum += b == r;
        close(s);
    }
    printf("answered %d\n", sum);
    for (int i = 0; i < 4; i++)
        ended("worker", c[i]);
}

CASE(fork_epoll)
{
    /* A listening socket in an epoll instance of each worker, of which one event wakes one. */
    int ls = t_listen(AF_INET, 16), port = t_port(ls), woken[2];
    MUST(pipe(woken));
    t_nonblock(ls);
    pid_t c[3];
    for (int i = 0; i < 3; i++)
        c[i] = CHILD({
            int e = epoll_create1(0);
            struct epoll_event ev = {EPOLLIN | EPOLLEXCLUSIVE, {0}};
            if (epoll_ctl(e, EPOLL_CTL_ADD, ls, &ev))
                _exit(1);
            if (epoll_wait(e, &ev, 1, 5000) == 1)
                write(woken[1], "w", 1);
            int s = accept(ls, 0, 0);
            write(woken[1], s >= 0 ? "a" : "-", 1);
            if (s >= 0)
                read(s, &i, 1);
        });
    usleep(200000);
    for (int i = 0; i < 3; i++) {
        int s = t_connect_to(AF_INET, SOCK_STREAM, port);
        usleep(100000);
        MUST(write(s, "x", 1));
    }
    for (int i = 0; i < 3; i++)
        ended("worker", c[i]);
    char b[16];
    ssize_t n = read(woken[0], b, sizeof b);
    int accepted = 0, wakes = 0;
    for (ssize_t i = 0; i < n; i++) {
        accepted += b[i] == 'a';
        wakes += b[i] == 'w';
    }
    printf("woken %d, accepted %d\n", wakes, accepted);
}

CASE(fork_inherited_epoll)
{
    int p[2], e = MUST(epoll_create1(0));
    struct epoll_event ev = {EPOLLIN, {.u32 = 7}};
    t_pair(AF_INET, SOCK_DGRAM, p);
    MUST(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
    pid_t c = CHILD({
        int u[2];
        struct epoll_event got = {0, {0}};
        struct pollfd f = {e, POLLIN, 0};
        pipe(u);
        /* The instance is shared: what the child adds the parent sees too. */
        ev.data.u32 = 9;
        R(epoll_ctl(e, EPOLL_CTL_ADD, u[0], &ev));
        RN("child poll", poll(&f, 1, 5000));
        R(epoll_wait(e, &got, 1, 0));
        printf("data %u\n", got.data.u32);
        close(u[0]);
        close(u[1]);
    });
    usleep(100000);
    MUST(write(p[1], "x", 1));
    ended("child", c);
    R(epoll_wait(e, &ev, 1, 1000));
    printf("data %u\n", ev.data.u32);
}

CASE(fork_poll_mixed)
{
    int p[2], q[2];
    t_pair(AF_INET6, SOCK_STREAM, p);
    MUST(pipe(q));
    pid_t c = CHILD({
        char b[4];
        struct pollfd f[2] = {{p[1], POLLIN, 0}, {q[0], POLLIN, 0}};
        RN("child poll", poll(f, 2, 5000));
        t_bits("socket", f[0].revents);
        t_bits("pipe", f[1].revents);
        read(p[1], b, 1);
        RN("child poll", poll(f, 2, 5000));
        t_bits("socket", f[0].revents);
        t_bits("pipe", f[1].revents);
        read(q[0], b, 1);
        RN("child poll, time over", poll(f, 2, 50));
    });
    usleep(100000);
    MUST(write(p[0], "x", 1));
    usleep(100000);
    MUST(write(q[1], "x", 1));
    ended("child", c);
}

static volatile sig_atomic_t hits;

static void hit(int sig)
{
    (void)sig;
    hits++;
}

CASE(fork_signals)
{
    int p[2];
    t_pair(AF_INET, SOCK_STREAM, p);
    for (int restart = 0; restart < 2; restart++) {
        fflush(stdout);
        pid_t c = CHILD({
            struct sigaction sa = {.sa_handler = hit, .sa_flags = restart ? SA_RESTART : 0};
            char b[4];
            sigaction(SIGUSR1, &sa, 0);
            hits = 0;
            RN("child read", read(p[1], b, 1));
            printf("handlers %d\n", (int)hits);
            struct pollfd f = {p[1], POLLIN, 0};
            RN("child poll", poll(&f, 1, 5000));
        });
        usleep(200000);
        kill(c, SIGUSR1);
        usleep(100000);
        if (restart)
            MUST(write(p[0], "x", 1));
        usleep(100000);
        kill(c, SIGUSR1);
        ended("child", c);
    }
    pid_t c = CHILD({
        close(p[0]);
        signal(SIGPIPE, SIG_DFL);
        shutdown(p[1], SHUT_WR);
        write(p[1], "x", 1);
    });
    ended("broken pipe", c);
}

static int exec_as(char *name, char *var, int how)
{
    char *args[] = {self(), name, 0};
    /* Nothing else in it: who starts it clears the environment. */
    char *env[] = {var, 0};
    pid_t pid = 0;
    fflush(stdout);
    switch (how) {
    case 0:
        pid = fork();
        if (!pid) {
            execve(args[0], args, env);
            _exit(9);
        }
        break;
    case 1:
        pid = vfork();
        if (!pid) {
            execve(args[0], args, env);
            _exit(9);
        }
        break;
    case 2:
        posix_spawn(&pid, args[0], 0, 0, args, env);
        break;
    }
    return pid;
}

static int exec_with(int fd, int how)
{
    char var[32];
    snprintf(var, sizeof var, "IMAGE=%d", fd);
    return exec_as("image", var, how);
}

CASE(exec_inherits)
{
    static const char *names[] = {"fork", "vfork", "posix_spawn"};
    char b[16];
    for (int how = 0; how < 3; how++) {
        int p[2];
        t_pair(AF_INET, SOCK_STREAM, p);
        MUST(fcntl(p[0], F_SETFD, FD_CLOEXEC));
        pid_t pid = exec_with(p[1], how);
        close(p[1]);
        MUST(write(p[0], "ping", 4));
        ended(names[how], pid);
        R(read(p[0], b, sizeof b));
        R(read(p[0], b, sizeof b));
        close(p[0]);
    }
}

static int forked_socket;

/* What a child does that was made in an unusual way. */
static int forked_main(void *none)
{
    char b[8];
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    RN("child: read", read(forked_socket, b, sizeof b));
    RN("child: write", write(forked_socket, "pong", 4));
    RN("child: a new one", s < 0);
    RN("child: close", close(forked_socket));
    fflush(stdout);
    _exit(7);
}

CASE(fork_by_other_names)
{
    static const char *ways[] = {"_Fork", "SYS_fork", "SYS_clone", "SYS_clone3", "clone"};
    for (int way = 0; way < 5; way++) {
        static char stack[256 << 10] __attribute__((aligned(16)));
        long long args[8] = {[4] = SIGCHLD};
        char b[8];
        int p[2];
        t_pair(AF_INET, SOCK_STREAM, p);
        forked_socket = p[1];
        fflush(stdout);
        pid_t pid = way == 0   ? _Fork()
                    : way == 1 ? syscall(SYS_fork)
                    : way == 2 ? syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)
                    : way == 3 ? syscall(SYS_clone3, args, sizeof args)
                               : clone(forked_main, stack + sizeof stack, SIGCHLD, 0);
        if (!pid)
            forked_main(0);
        MUST(write(p[0], "ping", 4));
        ended(ways[way], pid);
        RN("the child's", read(p[0], b, sizeof b));
        /* Both are still the parent's. */
        RN("back", write(p[1], "x", 1));
        RN("here", read(p[0], b, sizeof b));
        close(p[0]);
        close(p[1]);
    }
}

/* What an epoll instance tells within a second, each with its data. */
static void tell_epoll(const char *who, int e)
{
    struct epoll_event ev[4];
    int n = epoll_wait(e, ev, 4, 1000);
    /* Which comes first is nobody's business. */
    if (n == 2 && ev[0].data.u64 > ev[1].data.u64) {
        struct epoll_event first = ev[1];
        ev[1] = ev[0];
        ev[0] = first;
    }
    printf("%s: %d", who, n);
    for (int i = 0; i < n; i++)
        printf(" %x %llu", ev[i].events, (unsigned long long)ev[i].data.u64);
    printf("\n");
}

CASE(image_epoll)
{
    const char *fds = getenv("EPOLLS");
    int e, copy, nested, s, u;
    if (!fds || sscanf(fds, "%d,%d,%d,%d,%d", &e, &copy, &nested, &s, &u) != 5) {
        printf("only for the others\n");
        return;
    }
    char b[8];
    struct epoll_event ev = {EPOLLOUT, {.u64 = 12}};
    tell_epoll("image: first", e);
    RN("image: read", recv(s, b, sizeof b, MSG_DONTWAIT));
    tell_epoll("image: nothing", nested);
    RN("image: write", write(u, "x", 1));
    tell_epoll("image: host's", copy);
    tell_epoll("image: within another", nested);
    RN("image: there is one", epoll_ctl(e, EPOLL_CTL_ADD, s, &ev));
    RN("image: mod", epoll_ctl(e, EPOLL_CTL_MOD, s, &ev));
    tell_epoll("image: both", copy);
    tell_epoll("image: both within another", nested);
    RN("image: del", epoll_ctl(copy, EPOLL_CTL_DEL, s, &ev));
    tell_epoll("image: one", e);
    /* And again, without the network being asked for anything else. */
    if (getenv("AGAIN"))
        return;
    char var[64], *args[] = {self(), "image_epoll", 0}, *env[] = {var, "AGAIN=1", 0};
    snprintf(var, sizeof var, "EPOLLS=%s", fds);
    MUST(epoll_ctl(e, EPOLL_CTL_ADD, s, &ev));
    fflush(stdout);
    execve(args[0], args, env);
}

CASE(exec_epoll)
{
    /* An instance that stays open keeps what is in it, the kernel's files and the host's; so do one that is in another, and duplicates. */
    for (int how = 0; how < 3; how++) {
        int p[2], u[2], e = MUST(epoll_create1(0)), outer = MUST(epoll_create1(0)), closed = MUST(epoll_create1(EPOLL_CLOEXEC));
        struct epoll_event ev = {EPOLLIN, {.u64 = 7}};
        t_pair(AF_INET, SOCK_STREAM, p);
        MUST(pipe(u));
        MUST(epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev));
        MUST(epoll_ctl(closed, EPOLL_CTL_ADD, p[1], &ev));
        ev.data.u64 = 8;
        MUST(epoll_ctl(e, EPOLL_CTL_ADD, u[0], &ev));
        ev.data.u64 = 9;
        MUST(epoll_ctl(outer, EPOLL_CTL_ADD, e, &ev));
        int copy = MUST(dup(e));
        MUST(write(p[0], "ping", 4));
        char var[64];
        snprintf(var, sizeof var, "EPOLLS=%d,%d,%d,%d,%d", e, copy, outer, p[1], u[1]);
        ended("epoll", exec_as("image_epoll", var, how));
        tell_epoll("after", e);
        int all[] = {p[0], p[1], u[0], u[1], e, outer, closed, copy};
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
            close(all[i]);
    }
}

CASE(exec_as_stdin)
{
    /* As inetd does: the socket is 0 and 1 of the new program. */
    int p[2];
    char b[64] = "";
    t_pair(AF_INET, SOCK_STREAM, p);
    fflush(stdout);
    pid_t pid = vfork();
    if (!pid) {
        dup2(p[1], 0);
        dup2(p[1], 1);
        close(p[0]);
        close(p[1]);
        execl("/bin/cat", "cat", (char *)0);
        _exit(9);
    }
    close(p[1]);
    MUST(write(p[0], "through cat", 11));
    MUST(shutdown(p[0], SHUT_WR));
    ended("cat", pid);
    ssize_t n = read(p[0], b, sizeof b);
    printf("%.*s\n", (int)n, b);
    posix_spawn_file_actions_t fa;
    t_pair(AF_INET6, SOCK_STREAM, p);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, p[1], 1);
    posix_spawn_file_actions_addclose(&fa, p[0]);
    posix_spawn_file_actions_addclose(&fa, p[1]);
    char *args[] = {"sh", "-c", "echo spawned; exec echo again", 0};
    MUST(posix_spawn(&pid, "/bin/sh", &fa, 0, args, environ));
    close(p[1]);
    ended("sh", pid);
    t_settle();
    n = read(p[0], b, sizeof b);
    printf("%.*s", (int)n, b);
    R(read(p[0], b, sizeof b));
}

CASE(exec_closes)
{
    /* What is closed on exec is closed, also by a program that never touches the network. */
    int p[2];
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(fcntl(p[1], F_SETFD, FD_CLOEXEC));
    MUST(fcntl(p[0], F_SETFD, FD_CLOEXEC));
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        execl("/bin/sleep", "sleep", "5", (char *)0);
        _exit(9);
    }
    close(p[1]);
    t_poll("closed", p[0], POLLIN | POLLRDHUP, 2000);
    kill(pid, SIGKILL);
    ended("sleep", pid);
}

CASE(exec_itself)
{
    /* The process with the kernel becomes another program, and goes on with its socket. */
    int p[2];
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    CHILD({
        close(p[1]);
        write(p[0], "ping", 4);
        ssize_t n = read(p[0], b, sizeof b);
        /* After the other's lines. */
        read(p[0], b, sizeof b);
        printf("answer %zd\n", n);
    });
    close(p[0]);
    char var[32], *args[] = {self(), "image", 0}, *env[] = {var, 0};
    snprintf(var, sizeof var, "IMAGE=%d", p[1]);
    fflush(stdout);
    execve(args[0], args, env);
    MUST(-1);
}

static int pass(int over, int fd)
{
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec iov = {"f", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(over, &m, 0);
}

static int take(int over)
{
    int fd = -1;
    char control[CMSG_SPACE(sizeof fd)], b;
    struct iovec iov = {&b, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(over, &m, MSG_CMSG_CLOEXEC) != 1)
        return -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

CASE(rights)
{
    int over[2], p[2];
    char b[16];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, over));
    pid_t c = CHILD({
        int s = take(over[1]);
        R(fcntl(s, F_GETFD));
        R(write(s, "hello", 5));
        int u = take(over[1]);
        R(read(u, b, sizeof b));
    });
    t_pair(AF_INET, SOCK_STREAM, p);
    R(pass(over[0], p[1]));
    close(p[1]);
    R(read(p[0], b, sizeof b));
    t_pair(AF_INET, SOCK_DGRAM, p);
    MUST(write(p[1], "datagram", 8));
    R(pass(over[0], p[0]));
    ended("child", c);
    /* One that never arrives is closed. */
    t_pair(AF_INET, SOCK_STREAM, p);
    R(pass(over[0], p[1]));
    close(p[1]);
    t_poll("in flight", p[0], POLLIN | POLLRDHUP, 50);
    close(over[0]);
    close(over[1]);
    t_poll("lost", p[0], POLLIN | POLLRDHUP, 1000);
}

CASE(rights_to_itself)
{
    int over[2], p[2];
    char b[8];
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, over));
    t_pair(AF_INET6, SOCK_STREAM, p);
    R(pass(over[0], p[1]));
    int s = take(over[1]);
    close(p[1]);
    R(write(s, "abc", 3));
    R(read(p[0], b, sizeof b));
    close(s);
    t_poll("closed", p[0], POLLIN | POLLRDHUP, 1000);
}

CASE(deep_tree)
{
    /* Each process makes the next one, and the last one answers. */
    int p[2];
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    fflush(stdout);
    pid_t first = fork();
    if (!first) {
        close(p[0]);
        for (int i = 0; i < 6; i++) {
            pid_t next = fork();
            if (next) {
                int st;
                close(p[1]);
                waitpid(next, &st, 0);
                _exit(WEXITSTATUS(st));
            }
        }
        _exit(write(p[1], "bottom", 6) == 6 ? 7 : 8);
    }
    close(p[1]);
    ended("tree", first);
    R(read(p[0], b, sizeof b));
    R(read(p[0], b, sizeof b));
}

CASE(daemons)
{
    int p[2];
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    pid_t c = CHILD({
        close(p[0]);
        if (daemon(1, 1) == 0) {
            usleep(100000);
            write(p[1], "daemon", 6);
        }
    });
    ended("starter", c);
    close(p[1]);
    R(read(p[0], b, sizeof b));
    R(read(p[0], b, sizeof b));
}

CASE(system_and_popen)
{
    int u = t_bound(AF_INET, SOCK_DGRAM);
    char line[256], command[256];
    /* A shell's children see the same sockets. */
    snprintf(command, sizeof command, "grep -c ':%04X ' /proc/net/udp", t_port(u));
    fflush(stdout);
    RN("system", system(command));
    FILE *f = popen(command, "r");
    printf("popen: %s", f && fgets(line, sizeof line, f) ? line : "nothing\n");
    RN("pclose", pclose(f));
}
