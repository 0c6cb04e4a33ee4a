/* Leases: who may have one, what breaks it, and the signal (`man 2 fcntl`). */
#include "f.h"

static volatile int came, by_fd, code;

static void on(int s, siginfo_t *info, void *context)
{
    (void)s;
    (void)context;
    came++;
    by_fd = info->si_fd;
    code = info->si_code;
}

#define LEASE(fd, kind) RN("lease " #fd " " #kind, fcntl(fd, F_SETLEASE, kind))
#define ASK(fd) RN("lease of " #fd, fcntl(fd, F_GETLEASE))

static void as_other(void)
{
    int fd = (int)MUST(open("f", O_RDONLY));
    LEASE(fd, F_RDLCK);
    LEASE(fd, 7);
    LEASE(fd, F_UNLCK);
    ASK(fd);
    fd = (int)MUST(open("mine", O_RDONLY));
    LEASE(fd, F_RDLCK);
    LEASE(fd, F_UNLCK);
}

CASE(lease_whose)
{
    f_enter();
    chmod(".", 0755);
    f_put("f", "x");
    f_make("mine", 0644, 1000, 1000);
    mkdir("d", 0755);
    mkfifo("p", 0644);
    int r = (int)MUST(open("f", O_RDONLY)), w, rw, d = (int)MUST(open("d", O_RDONLY));
    int p = (int)MUST(open("p", O_RDWR)), o = (int)MUST(open("f", O_PATH));
    ASK(r);
    LEASE(r, F_UNLCK);
    LEASE(r, 9);
    LEASE(r, -1);
    LEASE(r, F_RDLCK);
    ASK(r);
    LEASE(r, F_WRLCK);
    ASK(r);
    LEASE(r, F_RDLCK);
    ASK(r);
    LEASE(r, F_UNLCK);
    LEASE(r, F_UNLCK);
    ASK(r);
    LEASE(d, F_RDLCK);
    LEASE(d, F_WRLCK);
    LEASE(d, F_UNLCK);
    ASK(d);
    LEASE(p, F_RDLCK);
    ASK(p);
    LEASE(o, F_RDLCK);
    ASK(o);
    LEASE(99, F_RDLCK);
    w = (int)MUST(open("f", O_WRONLY));
    LEASE(r, F_RDLCK);
    LEASE(w, F_RDLCK);
    LEASE(w, F_WRLCK);
    close(r);
    LEASE(w, F_RDLCK);
    LEASE(w, F_WRLCK);
    ASK(w);
    close(w);
    rw = (int)MUST(open("f", O_RDWR));
    LEASE(rw, F_RDLCK);
    LEASE(rw, F_WRLCK);
    int c = dup(rw);
    ASK(c);
    LEASE(c, F_UNLCK);
    ASK(rw);
    LEASE(rw, F_WRLCK);
    close(rw);
    ASK(c);
    close(c);
    r = (int)MUST(open("f", O_RDONLY));
    int r2 = (int)MUST(open("f", O_RDONLY));
    LEASE(r, F_WRLCK);
    LEASE(r, F_RDLCK);
    LEASE(r2, F_RDLCK);
    LEASE(r, F_WRLCK);
    LEASE(r2, F_UNLCK);
    LEASE(r, F_WRLCK);
    close(r2);
    LEASE(r, F_WRLCK);
    R(fcntl(r, F_GETOWN) == getpid());
    R(fcntl(r, F_GETSIG));
    LEASE(r, F_UNLCK);
    R(fcntl(r, F_GETOWN));
    R(fcntl(r, F_SETSIG, SIGUSR1));
    LEASE(r, F_RDLCK);
    R(fcntl(r, F_GETSIG));
    LEASE(r, F_UNLCK);
    R(fcntl(r, F_GETSIG));
    f_as(1000, 1000, as_other);
}

static void told(const char *what)
{
    for (int i = 0; i < 100 && !came; i++)
        usleep(1000);
    printf("%s: signals %d by the descriptor %d code %d\n", what, came, by_fd != 0, code);
    came = by_fd = code = 0;
}

CASE(lease_broken)
{
    f_enter();
    f_put("f", "0123456789");
    struct sigaction sa = {.sa_sigaction = on, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR1, &sa, 0);
    sigaction(SIGIO, &sa, 0);
    int fd = (int)MUST(open("f", O_RDONLY));
    MUST(fcntl(fd, F_SETSIG, SIGUSR1));
    LEASE(fd, F_RDLCK);
    /* Without waiting. */
    OK(close(open("f", O_RDONLY | O_NONBLOCK)));
    printf("%d\n", came);
    R(open("f", O_WRONLY | O_NONBLOCK));
    told("write");
    ASK(fd);
    R(open("f", O_RDWR | O_NONBLOCK));
    OK(close(open("f", O_RDONLY | O_TRUNC | O_NONBLOCK)));
    OK(close(open("f", O_PATH)));
    printf("%d\n", came);
    LEASE(fd, F_RDLCK);
    ASK(fd);
    LEASE(fd, F_UNLCK);
    OK(close(open("f", O_WRONLY | O_NONBLOCK)));
    f_stat("f");
    /* A lease to write becomes one to read. */
    MUST(fcntl(fd, F_SETSIG, SIGUSR1));
    LEASE(fd, F_WRLCK);
    R(open("f", O_RDONLY | O_NONBLOCK));
    told("read");
    ASK(fd);
    R(open("f", O_RDONLY | O_NONBLOCK));
    printf("%d\n", came);
    R(open("f", O_WRONLY | O_NONBLOCK));
    told("then write");
    ASK(fd);
    LEASE(fd, F_RDLCK);
    ASK(fd);
    R(open("f", O_WRONLY | O_NONBLOCK));
    printf("%d\n", came);
    LEASE(fd, F_UNLCK);
    ASK(fd);
    LEASE(fd, F_WRLCK);
    R(open("f", O_RDONLY | O_NONBLOCK));
    for (int i = 0; i < 100 && !came; i++)
        usleep(1000);
    printf("SIGIO: %d\n", came);
    came = 0;
    LEASE(fd, F_RDLCK);
    OK(close(open("f", O_RDONLY | O_NONBLOCK)));
    LEASE(fd, F_UNLCK);
    /* What breaks none. */
    LEASE(fd, F_RDLCK);
    R(chmod("f", 0600));
    R(utimensat(AT_FDCWD, "f", 0, 0));
    R(rename("f", "g"));
    R(link("g", "f"));
    R(unlink("g"));
    R(setxattr("f", "user.a", "1", 1, 0));
    R(access("f", W_OK));
    printf("%d\n", came);
    LEASE(fd, F_UNLCK);
}

/* Lets the lease go, or makes it less, when it is broken. */
static int leased, to;

static void yields(int s)
{
    (void)s;
    came++;
    usleep(50000);
    fcntl(leased, F_SETLEASE, to);
}

static long since(struct timespec *t)
{
    struct timespec n;
    clock_gettime(CLOCK_MONOTONIC, &n);
    return (n.tv_sec - t->tv_sec) * 1000 + (n.tv_nsec - t->tv_nsec) / 1000000;
}

/* A child has a lease until it is broken; what waits for that? */
#define HELD(kind, ends, what)                                                                                             \
    do {                                                                                                                   \
        int go_[2];                                                                                                        \
        char x_;                                                                                                           \
        MUST(pipe(go_));                                                                                                   \
        fflush(stdout);                                                                                                    \
        pid_t child_ = fork();                                                                                             \
        if (!child_) {                                                                                                     \
            signal(SIGIO, yields);                                                                                         \
            to = ends;                                                                                                     \
            leased = open("f", O_RDONLY);                                                                                  \
            long r_ = fcntl(leased, F_SETLEASE, kind);                                                                     \
            write(go_[1], "x", 1);                                                                                         \
            while (!came)                                                                                                  \
                pause();                                                                                                   \
            _exit(r_ != 0);                                                                                                \
        }                                                                                                                  \
        read(go_[0], &x_, 1);                                                                                              \
        struct timespec t_;                                                                                                \
        clock_gettime(CLOCK_MONOTONIC, &t_);                                                                               \
        R(what);                                                                                                           \
        long ms_ = since(&t_);                                                                                             \
        printf("waited %d\n", ms_ >= 40 && ms_ < 3000);                                                                    \
        kill(child_, SIGIO);                                                                                               \
        int st_;                                                                                                           \
        waitpid(child_, &st_, 0);                                                                                          \
        R(st_);                                                                                                            \
        close(go_[0]);                                                                                                     \
        close(go_[1]);                                                                                                     \
    } while (0)

static void alarmed(int s)
{
    (void)s;
}

CASE(lease_waits)
{
    f_enter();
    f_put("f", "0123456789");
    HELD(F_RDLCK, F_UNLCK, close(open("f", O_WRONLY)));
    HELD(F_RDLCK, F_UNLCK, close(open("f", O_WRONLY | O_CREAT | O_TRUNC, 0644)));
    f_stat("f");
    f_put("f", "0123456789");
    HELD(F_RDLCK, F_UNLCK, close(open("f", O_RDONLY | O_TRUNC)));
    f_stat("f");
    HELD(F_WRLCK, F_RDLCK, close(open("f", O_RDONLY)));
    HELD(F_WRLCK, F_UNLCK, close(open("f", O_RDWR)));
    HELD(F_RDLCK, F_UNLCK, truncate("f", 5));
    f_stat("f");
    HELD(F_RDLCK, F_UNLCK, open("f", O_WRONLY | O_CREAT | O_EXCL, 0644));
    /* A signal ends the wait. */
    int fd = (int)MUST(open("f", O_RDONLY));
    signal(SIGIO, SIG_IGN);
    LEASE(fd, F_RDLCK);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = alarmed}, 0);
    ualarm(50000, 0);
    R(open("f", O_WRONLY));
    ualarm(50000, 0);
    R(truncate("f", 1));
    ASK(fd);
    close(fd);
    OK(close(open("f", O_WRONLY)));
    /* The end of who has it. */
    fd = (int)MUST(open("f", O_RDONLY));
    LEASE(fd, F_RDLCK);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        usleep(50000);
        _exit(0);
    }
    MUST(waitpid(pid, 0, 0));
    R(open("f", O_WRONLY | O_NONBLOCK));
    fflush(stdout);
    pid = fork();
    if (!pid) {
        usleep(60000);
        fcntl(fd, F_SETLEASE, F_UNLCK);
        _exit(0);
    }
    OK(close(open("f", O_WRONLY)));
    MUST(waitpid(pid, 0, 0));
}
