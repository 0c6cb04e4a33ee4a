// Checks of the preloaded library, one per argument. Prints nothing and exits with 0 if all is well; every check
// passes on the host's own kernel, too, but for those that ask for what only ours has.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s (errno %d: %s)\n", __FILE__, __LINE__, #x, errno,           \
                    strerror(errno));                                                              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define FAILS(x, e)                                                                                \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long r_ = (long)(x);                                                                       \
        if (r_ != -1 || errno != (e)) {                                                            \
            fprintf(stderr, "%s:%d: %s gave %ld, errno %d: %s\n", __FILE__, __LINE__, #x, r_,      \
                    errno, strerror(errno));                                                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct sockaddr_in lo(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

// Two UDP sockets that are connected to each other.
static void udp(int s[2]) {
    struct sockaddr_in a[2];
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in any = lo(0);
        socklen_t n = sizeof a[i];
        CHECK((s[i] = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
        CHECK(!bind(s[i], (void *)&any, sizeof any));
        CHECK(!getsockname(s[i], (void *)&a[i], &n));
    }
    for (int i = 0; i < 2; i++) CHECK(!connect(s[i], (void *)&a[!i], sizeof a[0]));
}

// Two ends of a TCP connection.
static void tcp(int s[2]) {
    struct sockaddr_in a = lo(0);
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(l >= 0 && !bind(l, (void *)&a, n) && !listen(l, 5));
    CHECK(!getsockname(l, (void *)&a, &n));
    CHECK((s[0] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    CHECK(!connect(s[0], (void *)&a, sizeof a));
    CHECK((s[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC)) >= 0);
    CHECK(!close(l));
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void numbers(void) {
    CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 3);
    CHECK(dup(3) == 4);
    CHECK(open("/dev/null", O_RDWR) == 5);
    CHECK(!close(4));
    CHECK(epoll_create1(0) == 4);
    CHECK(dup2(3, 20) == 20);
    CHECK(dup2(20, 20) == 20);
    FAILS(dup3(20, 20, 0), EINVAL);
    CHECK(dup2(5, 20) == 20); // a host file over a kernel file
    CHECK(write(20, "x", 1) == 1);
    CHECK(dup2(3, 5) == 5); // a kernel file over a host file
    struct stat st;
    CHECK(!fstat(5, &st) && S_ISSOCK(st.st_mode));
    CHECK(fcntl(3, F_DUPFD, 30) == 30);
    CHECK(fcntl(3, F_DUPFD_CLOEXEC, 30) == 31);
    CHECK(fcntl(31, F_GETFD) == FD_CLOEXEC && fcntl(30, F_GETFD) == 0);
    CHECK(!fcntl(30, F_SETFD, FD_CLOEXEC) && fcntl(30, F_GETFD) == FD_CLOEXEC);
    CHECK(!fcntl(3, F_SETFL, O_NONBLOCK));
    CHECK(fcntl(31, F_GETFL) & O_NONBLOCK); // shared by duplicates
    char b;
    FAILS(recv(31, &b, 1, 0), EAGAIN);
    CHECK(!close_range(4, 25, 0));
    FAILS(fcntl(5, F_GETFD), EBADF);
    CHECK(fcntl(30, F_GETFD) == FD_CLOEXEC);
    CHECK(!close(3));
    FAILS(close(3), EBADF);
    FAILS(recv(3, &b, 1, 0), EBADF);
    closefrom(3);
    FAILS(fcntl(30, F_GETFD), EBADF);
    CHECK(socket(AF_INET6, SOCK_STREAM, 0) == 3); // the library's own descriptors are still there
}

static void refusals(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0), u[2];
    CHECK(s >= 0);
    FAILS(lseek(s, 0, SEEK_CUR), ESPIPE);
    CHECK(!isatty(s));
    FAILS(socket(AF_BLUETOOTH, SOCK_RAW, 0), EAFNOSUPPORT);
    FAILS(ioctl(s, 0x5401), ENOTTY);
    FAILS(ftruncate(s, 0), EINVAL);
    udp(u);
    FAILS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, u[0], 0), ENODEV);
    FAILS(send(u[0], (void *)8, 10, 0), EFAULT);
    CHECK(send(u[0], "hello", 5, 0) == 5);
    struct pollfd p = {u[1], POLLIN, 0};
    CHECK(poll(&p, 1, 1000) == 1);
    FAILS(recv(u[1], (void *)8, 10, 0), EFAULT);
    FAILS(getsockname(s, (void *)8, (void *)8), EFAULT);
    FAILS(poll((void *)8, 1, 0), EFAULT);
    FAILS(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4), EFAULT);
    struct iovec v = {(void *)(1ul << 63), 10};
    FAILS(writev(u[0], &v, 1), EFAULT);
    FAILS(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
    // A page that is not there, behind one that is.
    char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(!munmap(m + 4096, 4096));
    FAILS(send(u[0], m + 4090, 100, 0), EFAULT);
    CHECK(!access("/", R_OK));
    FAILS(access((void *)8, R_OK), EFAULT);
}

static sigjmp_buf out;
static void jump(int sig) { siglongjmp(out, sig); }

// The program's own SIGSEGV is the program's.
static void segv(void) {
    int u[2];
    udp(u);
    signal(SIGSEGV, jump);
    struct sigaction old;
    CHECK(!sigaction(SIGSEGV, NULL, &old) && old.sa_handler == jump && (old.sa_flags & SA_RESTART));
    FAILS(send(u[0], (void *)8, 10, 0), EFAULT);
    if (!sigsetjmp(out, 1)) {
        *(volatile int *)8 = 1;
        CHECK(!"reached");
    }
    FAILS(send(u[0], (void *)8, 10, 0), EFAULT);
    signal(SIGSEGV, SIG_DFL);
    pid_t pid = fork();
    if (!pid) {
        *(volatile int *)8 = 1;
        _exit(0);
    }
    int st;
    CHECK(waitpid(pid, &st, 0) == pid && WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
}

static void mixed_poll(void) {
    int u[2], p[2];
    char b[10];
    udp(u);
    CHECK(!pipe(p));
    struct pollfd f[3] = {{u[0], POLLIN, 0}, {p[0], POLLIN, 0}, {-1, POLLIN, 7}};
    long t = now_ms();
    CHECK(poll(f, 3, 100) == 0 && f[2].revents == 0);
    t = now_ms() - t;
    CHECK(t >= 95 && t < 1000);
    CHECK(write(p[1], "x", 1) == 1);
    CHECK(poll(f, 3, 1000) == 1 && f[0].revents == 0 && f[1].revents == POLLIN);
    CHECK(send(u[1], "y", 1, 0) == 1);
    usleep(1000);
    CHECK(poll(f, 3, 1000) == 2 && f[0].revents == POLLIN);
    CHECK(read(p[0], b, 10) == 1);
    CHECK(poll(f, 3, 1000) == 1 && f[0].revents == POLLIN && f[1].revents == 0);
    fd_set r, w;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(u[0], &r);
    FD_SET(p[0], &r);
    FD_SET(u[1], &w);
    FD_SET(p[1], &w);
    int n = (p[1] > u[1] ? p[1] : u[1]) + 1;
    struct timeval tv = {1, 0};
    CHECK(select(n, &r, &w, NULL, &tv) == 3);
    CHECK(FD_ISSET(u[0], &r) && !FD_ISSET(p[0], &r) && FD_ISSET(u[1], &w) && FD_ISSET(p[1], &w));
    CHECK(recv(u[0], b, 10, 0) == 1);
    FD_ZERO(&r);
    FD_SET(u[0], &r);
    FD_SET(p[0], &r);
    tv = (struct timeval){0, 50000};
    CHECK(select(n, &r, NULL, NULL, &tv) == 0 && !FD_ISSET(u[0], &r));
    CHECK(tv.tv_sec == 0 && tv.tv_usec == 0);
    struct timespec ts = {0, 20000000};
    CHECK(ppoll(f, 3, &ts, NULL) == 0 && ts.tv_nsec == 20000000);
    f[0].fd = 99;
    CHECK(poll(f, 2, 0) == 1 && f[0].revents == POLLNVAL);
}

static int wr_host, wr_kernel;
static void *later(void *what) {
    usleep(50000);
    if (what) CHECK(write(wr_host, "12345678", 8) == 8);
    else CHECK(send(wr_kernel, "z", 1, 0) == 1);
    return NULL;
}

static void mixed_epoll(void) {
    int u[2], e = epoll_create1(EPOLL_CLOEXEC), ev = eventfd(0, EFD_NONBLOCK);
    char b[10];
    struct epoll_event got[4];
    pthread_t t;
    udp(u);
    struct epoll_event in = {EPOLLIN, {.u64 = 0xdeadbeefcafef00dull}};
    CHECK(!epoll_ctl(e, EPOLL_CTL_ADD, u[0], &in));
    FAILS(epoll_ctl(e, EPOLL_CTL_ADD, u[0], &in), EEXIST);
    wr_host = ev;
    wr_kernel = u[1];
    // Kernel only.
    CHECK(epoll_wait(e, got, 4, 0) == 0);
    CHECK(!pthread_create(&t, NULL, later, NULL));
    CHECK(epoll_wait(e, got, 4, 2000) == 1 && got[0].data.u64 == in.data.u64 && got[0].events == EPOLLIN);
    pthread_join(t, NULL);
    CHECK(recv(u[0], b, 10, 0) == 1);
    // Both.
    in.data.u64 = 0xffffffffffffffffull;
    CHECK(!epoll_ctl(e, EPOLL_CTL_ADD, ev, &in));
    CHECK(epoll_wait(e, got, 4, 50) == 0);
    CHECK(!pthread_create(&t, NULL, later, &t));
    CHECK(epoll_wait(e, got, 4, 2000) == 1 && got[0].data.u64 == in.data.u64);
    pthread_join(t, NULL);
    CHECK(send(u[1], "z", 1, 0) == 1);
    usleep(1000);
    CHECK(epoll_wait(e, got, 4, 2000) == 2);
    CHECK(epoll_wait(e, got, 1, 2000) == 1);
    uint64_t one = got[0].data.u64;
    CHECK(epoll_wait(e, got, 1, 2000) == 1 && got[0].data.u64 != one); // no one starves
    // In another one, and in a poll.
    int e2 = epoll_create1(0);
    in.data.u64 = 5;
    CHECK(!epoll_ctl(e2, EPOLL_CTL_ADD, e, &in));
    CHECK(epoll_wait(e2, got, 4, 100) >= 1 && got[0].data.u64 == 5);
    struct pollfd p = {e2, POLLIN, 0};
    CHECK(poll(&p, 1, 100) == 1);
    CHECK(recv(u[0], b, 10, 0) == 1);
    CHECK(poll(&p, 1, 100) == 1); // the host's is still there
    CHECK(read(ev, b, 8) == 8);
    CHECK(poll(&p, 1, 20) == 0);
    CHECK(epoll_wait(e, got, 4, 0) == 0);
    // One thread waits, and another adds a host file that is ready.
    int e3 = epoll_create1(0);
    struct epoll_event k = {EPOLLIN, {.u64 = 1}};
    CHECK(!epoll_ctl(e3, EPOLL_CTL_ADD, u[0], &k));
    CHECK(!epoll_ctl(e, EPOLL_CTL_DEL, u[0], NULL));
    FAILS(epoll_ctl(e, EPOLL_CTL_DEL, u[0], NULL), ENOENT);
    FAILS(epoll_ctl(e, EPOLL_CTL_ADD, 99, &k), EBADF);
    FAILS(epoll_ctl(u[0], EPOLL_CTL_ADD, u[1], &k), EINVAL);
    FAILS(epoll_wait(e, got, 0, 0), EINVAL);
    FAILS(epoll_ctl(e, 9, u[0], &k), EINVAL);
}

static volatile sig_atomic_t handled;
static int signal_socket = -1;
static void on_alarm(int sig) {
    (void)sig;
    handled++;
    // Handlers may call what is hooked.
    if (signal_socket >= 0) CHECK(send(signal_socket, "s", 1, 0) == 1);
}

static void alarm_in(int ms) {
    struct itimerval t = {{0, 0}, {0, ms * 1000}};
    setitimer(ITIMER_REAL, &t, NULL);
}

static void signals(void) {
    int u[2], p[2];
    char b[10];
    udp(u);
    CHECK(!pipe(p));
    struct sigaction a = {.sa_handler = on_alarm};
    CHECK(!sigaction(SIGALRM, &a, NULL));
    alarm_in(50);
    FAILS(recv(u[0], b, 10, 0), EINTR);
    CHECK(handled == 1);
    struct pollfd f[2] = {{u[0], POLLIN, 0}, {p[0], POLLIN, 0}};
    alarm_in(50);
    FAILS(poll(f, 2, -1), EINTR);
    CHECK(handled == 2);
    // Restarted: the handler's own datagram ends the wait.
    a.sa_flags = SA_RESTART;
    CHECK(!sigaction(SIGALRM, &a, NULL));
    signal_socket = u[1];
    alarm_in(50);
    CHECK(recv(u[0], b, 10, 0) == 1 && handled == 3);
    // poll never is, and neither is a call with a time-out.
    signal_socket = -1;
    alarm_in(50);
    FAILS(poll(f, 2, -1), EINTR);
    struct timeval tv = {5, 0};
    CHECK(!setsockopt(u[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    alarm_in(50);
    FAILS(recv(u[0], b, 10, 0), EINTR);
    tv = (struct timeval){0, 50000};
    CHECK(!setsockopt(u[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    long t = now_ms();
    FAILS(recv(u[0], b, 10, 0), EAGAIN);
    CHECK(now_ms() - t >= 45);
    // A blocked signal comes in only with the mask of the call.
    sigset_t block, none;
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    CHECK(!sigprocmask(SIG_BLOCK, &block, NULL));
    handled = 0;
    raise(SIGALRM);
    CHECK(handled == 0);
    struct timespec ts = {2, 0};
    FAILS(ppoll(f, 2, &ts, &none), EINTR);
    CHECK(handled == 1);
    int e = epoll_create1(0);
    struct epoll_event in = {EPOLLIN, {0}}, got;
    CHECK(!epoll_ctl(e, EPOLL_CTL_ADD, u[0], &in));
    raise(SIGALRM);
    FAILS(epoll_pwait(e, &got, 1, 2000, &none), EINTR);
    CHECK(handled == 2);
    raise(SIGALRM);
    fd_set r;
    FD_ZERO(&r);
    FD_SET(u[0], &r);
    FAILS(pselect(u[0] + 1, &r, NULL, NULL, &ts, &none), EINTR);
    CHECK(handled == 3);
    sigset_t cur;
    CHECK(!sigprocmask(SIG_UNBLOCK, &block, &cur) && sigismember(&cur, SIGALRM));
    // Out of a call by a jump; the socket is as good as before.
    signal(SIGALRM, jump);
    alarm_in(50);
    tv = (struct timeval){0, 0};
    CHECK(!setsockopt(u[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    if (!sigsetjmp(out, 1)) {
        recv(u[0], b, 10, 0);
        CHECK(!"reached");
    }
    CHECK(send(u[1], "q", 1, 0) == 1 && recv(u[0], b, 10, 0) == 1);
    // SIGPIPE.
    int s[2];
    tcp(s);
    CHECK(!close(s[1]));
    a.sa_handler = on_alarm;
    handled = 0;
    CHECK(!sigaction(SIGPIPE, &a, NULL));
    usleep(20000);
    while (send(s[0], "x", 1, 0) == 1) usleep(10000);
    CHECK(errno == EPIPE || errno == ECONNRESET);
    FAILS(send(s[0], "x", 1, 0), EPIPE);
    CHECK(handled >= 1);
    int before = handled;
    FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK(handled == before);
}

static int storm_stop;
static void *storm(void *who) {
    while (!__atomic_load_n(&storm_stop, __ATOMIC_RELAXED)) {
        pthread_kill(*(pthread_t *)who, SIGUSR1);
        usleep(50);
    }
    return NULL;
}

// Signals at any moment, whose handler uses the network.
static void signal_storm(void) {
    int u[2], v[2];
    udp(u);
    udp(v);
    CHECK(!fcntl(v[1], F_SETFL, O_NONBLOCK));
    signal_socket = v[0];
    struct sigaction a = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    CHECK(!sigaction(SIGUSR1, &a, NULL));
    pthread_t me = pthread_self(), t;
    CHECK(!pthread_create(&t, NULL, storm, &me));
    char b[2000];
    memset(b, 7, sizeof b);
    for (int i = 0; i < 3000; i++) {
        CHECK(send(u[0], b, 1 + i % 1400, 0) == 1 + i % 1400);
        CHECK(recv(u[1], b, sizeof b, 0) == 1 + i % 1400);
        while (recv(v[1], b, sizeof b, 0) > 0) {}
    }
    __atomic_store_n(&storm_stop, 1, __ATOMIC_RELAXED);
    pthread_join(t, NULL);
    CHECK(handled > 0);
}

static int cleaned;
static void clean(void *arg) { cleaned = *(int *)arg; }
static void *sleeper(void *arg) {
    char b;
    int seven = 7;
    pthread_cleanup_push(clean, &seven);
    recv(*(int *)arg, &b, 1, 0);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *reader(void *arg) {
    char b;
    int seven = 7;
    pthread_cleanup_push(clean, &seven);
    read(*(int *)arg, &b, 1);
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancel(void) {
    int u[2];
    pthread_t t;
    void *ret;
    udp(u);
    for (int i = 0; i < 2; i++) {
        CHECK(!pthread_create(&t, NULL, sleeper, &u[0]));
        if (!i) usleep(50000);
        CHECK(!pthread_cancel(t));
        CHECK(!pthread_join(t, &ret) && ret == PTHREAD_CANCELED && cleaned == 7);
        cleaned = 0;
    }
    // A host file's call, too.
    int p[2];
    CHECK(!pipe(p));
    CHECK(!pthread_create(&t, NULL, reader, &p[0]));
    usleep(50000);
    CHECK(!pthread_cancel(t) && !pthread_join(t, &ret) && ret == PTHREAD_CANCELED && cleaned == 7);
    // The kernel goes on.
    char b;
    CHECK(send(u[1], "x", 1, 0) == 1 && recv(u[0], &b, 1, 0) == 1);
}

static int spawn(char *const argv[]) {
    pid_t pid;
    int st;
    extern char **environ;
    posix_spawn_file_actions_t acts;
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
    CHECK(!posix_spawnp(&pid, argv[0], &acts, NULL, argv, environ));
    CHECK(waitpid(pid, &st, 0) == pid);
    return WEXITSTATUS(st);
}

static void children(void) {
    int u[2], st;
    char b[100];
    udp(u);
    CHECK(spawn((char *[]){"true", NULL}) == 0);
    CHECK(spawn((char *[]){"false", NULL}) == 1);
    CHECK(system("exit 3") == 3 << 8);
    FILE *f = popen("echo hello; cat", "r");
    CHECK(f && fgets(b, sizeof b, f) && !strcmp(b, "hello\n"));
    CHECK(pclose(f) >= 0);
    pid_t pid = vfork();
    if (!pid) {
        close(u[0]); // its own number only
        dup2(u[1], 0);
        execl("/bin/sh", "sh", "-c", "exit 5", NULL);
        _exit(9);
    }
    CHECK(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 5);
    pid = fork();
    if (!pid) {
        if (send(u[1], "child", 5, MSG_NOSIGNAL) != 5) _exit(1);
        if (close(u[0]) || close(u[1])) _exit(2);
        if (open("/dev/null", O_RDONLY) < 0) _exit(3);
        execl("/bin/sh", "sh", "-c", "exit 6", NULL);
        _exit(9);
    }
    CHECK(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 6);
    CHECK(recv(u[0], b, sizeof b, 0) == 5 && !memcmp(b, "child", 5));
    CHECK(send(u[1], "x", 1, 0) == 1 && recv(u[0], b, 1, 0) == 1);
}

// Becomes a daemon itself, and goes on with its sockets. What it writes comes back on standard output.
static void goes_on(void) {
    int u[2];
    char b[3] = "";
    udp(u);
    int e = epoll_create1(0);
    struct epoll_event in = {EPOLLIN, {.u64 = 4}}, got;
    CHECK(!epoll_ctl(e, EPOLL_CTL_ADD, u[0], &in));
    CHECK(!daemon(1, 1));
    CHECK(send(u[1], "x", 1, 0) == 1);
    CHECK(epoll_wait(e, &got, 1, 2000) == 1 && got.data.u64 == 4);
    CHECK(recv(u[0], b, 1, 0) == 1);
    CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
    printf("went on\n");
}

static void libc_inside(void) {
    CHECK(if_nametoindex("lo") == 1);
    char name[IF_NAMESIZE];
    CHECK(if_indextoname(1, name) && !strcmp(name, "lo"));
    struct ifaddrs *list, *i;
    int v4 = 0;
    CHECK(!getifaddrs(&list));
    for (i = list; i; i = i->ifa_next) {
        CHECK(!strcmp(i->ifa_name, "lo"));
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET) v4++;
    }
    CHECK(v4 == 1);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
    CHECK(!getaddrinfo("127.0.0.1", "80", &hints, &ai));
    CHECK(!getaddrinfo("localhost", "80", NULL, &ai));
    FILE *f = fopen("/proc/net/dev", "r");
    char line[300];
    int lines = 0, lo = 0;
    CHECK(f);
    while (fgets(line, sizeof line, f)) lines++, lo += !!strstr(line, "lo:");
    CHECK(lines == 3 && lo == 1);
    rewind(f);
    CHECK(fgets(line, sizeof line, f));
    CHECK(!fclose(f));
    CHECK(!access("/proc/net/tcp", R_OK));
    FAILS(access("/proc/net/nonsense", R_OK), ENOENT);
    struct stat st;
    CHECK(!stat("/proc/self/net/udp", &st) && S_ISREG(st.st_mode) && st.st_size == 0);
    CHECK(!stat("/proc/sys/net/ipv4/ip_forward", &st));
    int s[2];
    tcp(s);
    FILE *in = fdopen(s[0], "r"), *o = fdopen(s[1], "w");
    CHECK(in && o);
    CHECK(fprintf(o, "line %d\n", 1) == 7 && !fflush(o));
    CHECK(fgets(line, sizeof line, in) && !strcmp(line, "line 1\n"));
    CHECK(!fclose(o));
    CHECK(!fgets(line, sizeof line, in) && feof(in));
    CHECK(!fclose(in));
    // A number is a number.
    int raw = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    CHECK(raw >= 0 && !fstat(raw, &st) && S_ISSOCK(st.st_mode));
    struct statx sx;
    CHECK(!statx(raw, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx) && S_ISSOCK(sx.stx_mode));
    CHECK(syscall(SYS_close, raw) == 0);
    FAILS(syscall(SYS_close, raw), EBADF);
}

static void listing(void) {
    DIR *d = opendir("/sys/class/net");
    struct dirent *e;
    int lo = 0, others = 0;
    CHECK(d);
    while ((e = readdir(d)))
        if (e->d_name[0] != '.') *(strcmp(e->d_name, "lo") ? &others : &lo) += 1;
    CHECK(lo == 1 && others == 0);
    closedir(d);
}

static void files_out(void) {
    int s[2], p[2];
    char name[] = "/tmp/lkl-checks-XXXXXX", b[20];
    tcp(s);
    int f = mkstemp(name);
    CHECK(f >= 0 && !unlink(name) && write(f, "0123456789", 10) == 10);
    off_t at = 2;
    CHECK(sendfile(s[0], f, &at, 5) == 5 && at == 7);
    CHECK(recv(s[1], b, 20, 0) == 5 && !memcmp(b, "23456", 5));
    CHECK(!lseek(f, 0, SEEK_SET));
    CHECK(sendfile(s[0], f, NULL, 100) == 10 && lseek(f, 0, SEEK_CUR) == 10);
    CHECK(recv(s[1], b, 20, MSG_WAITALL | MSG_DONTWAIT) == 10);
    FAILS(sendfile(f, s[0], NULL, 10), EINVAL);
    CHECK(!pipe(p));
    CHECK(write(p[1], "spliced", 7) == 7);
    CHECK(splice(p[0], NULL, s[0], NULL, 100, 0) == 7);
    CHECK(splice(s[1], NULL, p[1], NULL, 100, 0) == 7);
    CHECK(read(p[0], b, 20) == 7 && !memcmp(b, "spliced", 7));
    CHECK(!fcntl(s[1], F_SETFL, O_NONBLOCK));
    FAILS(splice(s[1], NULL, p[1], NULL, 100, 0), EAGAIN);
}

static void *echo(void *arg) {
    int l = *(int *)arg, s = accept(l, NULL, NULL);
    char b[70000];
    ssize_t n;
    CHECK(s >= 0);
    while ((n = read(s, b, sizeof b)) > 0)
        for (ssize_t d = 0, m; d < n; d += m) CHECK((m = write(s, b + d, n - d)) > 0);
    close(s);
    return NULL;
}

static void threads(void) {
    pthread_t t[8];
    for (int i = 0; i < 8; i++) {
        struct sockaddr_in a = lo(0);
        socklen_t n = sizeof a;
        static int l[8];
        l[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(!bind(l[i], (void *)&a, n) && !listen(l[i], 5) && !getsockname(l[i], (void *)&a, &n));
        CHECK(!pthread_create(&t[i], NULL, echo, &l[i]));
        int s = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(!connect(s, (void *)&a, sizeof a));
        char out[50000], in[50000];
        memset(out, i, sizeof out);
        for (int k = 0; k < 10; k++) {
            CHECK(send(s, out, sizeof out, 0) == sizeof out);
            CHECK(recv(s, in, sizeof in, MSG_WAITALL) == sizeof in && !memcmp(in, out, sizeof in));
        }
        CHECK(!shutdown(s, SHUT_WR) && read(s, in, 1) == 0 && !close(s));
    }
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
}

static const struct {
    const char *name;
    void (*run)(void);
} ALL[] = {
    {"numbers", numbers},         {"refusals", refusals}, {"segv", segv},
    {"mixed_poll", mixed_poll},   {"mixed_epoll", mixed_epoll},
    {"signals", signals},         {"signal_storm", signal_storm},
    {"cancel", cancel},           {"children", children}, 
    {"goes_on", goes_on},         {"libc_inside", libc_inside},
    {"listing", listing},         {"files_out", files_out},
    {"threads", threads},
};

int main(int argc, char **argv) {
    alarm(0);
    for (size_t i = 0; argc > 1 && i < sizeof ALL / sizeof *ALL; i++)
        if (!strcmp(argv[1], ALL[i].name)) {
            ALL[i].run();
            return 0;
        }
    fprintf(stderr, "no such check\n");
    return 2;
}
