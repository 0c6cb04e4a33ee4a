/* Locks of files: flock, of processes, of open files; across fork, close, and signals. */
#include "f.h"
#include <sys/file.h>

static void ask(const char *name, int fd, int cmd, int type, off_t start, off_t len, pid_t other)
{
    struct flock l = {.l_type = (short)type, .l_start = start, .l_len = len};
    if (fcntl(fd, cmd, &l)) {
        printf("%s: %s\n", name, t_errno(errno));
        return;
    }
    printf("%s: type %d", name, l.l_type);
    if (l.l_type != F_UNLCK)
        printf(" %ld+%ld pid %s", (long)l.l_start, (long)l.l_len, l.l_pid == other ? "other's" : l.l_pid == -1 ? "-1" : "?");
    printf("\n");
}

CASE(lock_flock)
{
    f_enter();
    f_put("f", "x");
    int a = (int)MUST(open("f", O_RDONLY)), b = (int)MUST(open("f", O_RDWR));
    R(flock(a, LOCK_SH));
    R(flock(b, LOCK_SH | LOCK_NB));
    R(flock(b, LOCK_EX | LOCK_NB));
    R(flock(b, LOCK_UN));
    R(flock(a, LOCK_EX));
    R(flock(b, LOCK_SH | LOCK_NB));
    F_CHILD(R(flock(a, LOCK_EX | LOCK_NB)); R(flock(b, LOCK_EX | LOCK_NB)); R(flock(open("f", O_RDONLY), LOCK_EX | LOCK_NB)));
    /* The child has closed its copies: the lock is the open file's. */
    R(flock(b, LOCK_SH | LOCK_NB));
    F_CHILD(R(flock(a, LOCK_UN)));
    R(flock(b, LOCK_EX | LOCK_NB));
    int c = dup(b);
    R(close(b));
    R(flock(a, LOCK_SH | LOCK_NB));
    R(close(c));
    R(flock(a, LOCK_SH | LOCK_NB));
    R(flock(a, 0));
    R(flock(a, LOCK_SH | LOCK_EX));
    R(flock(99, LOCK_SH));
    R(flock(open("f", O_PATH), LOCK_SH));
    int d = (int)MUST(open(".", O_RDONLY));
    R(flock(d, LOCK_EX));
    /* Waiting. */
    fflush(stdout);
    int go[2];
    MUST(pipe(go));
    pid_t pid = fork();
    if (!pid) {
        int e = open("f", O_RDONLY);
        flock(a, LOCK_UN);
        flock(e, LOCK_EX);
        write(go[1], "x", 1);
        usleep(50000);
        _exit(0);
    }
    char x;
    read(go[0], &x, 1);
    R(flock(a, LOCK_EX | LOCK_NB));
    R(flock(a, LOCK_EX));
    int st;
    waitpid(pid, &st, 0);
    R(st);
}

CASE(lock_posix)
{
    f_enter();
    f_put("f", "0123456789");
    int a = (int)MUST(open("f", O_RDWR)), b = (int)MUST(open("f", O_RDWR)), r = (int)MUST(open("f", O_RDONLY)),
        w = (int)MUST(open("f", O_WRONLY));
    R(lk(a, F_SETLK, F_WRLCK, 0, 10));
    R(lk(b, F_SETLK, F_WRLCK, 5, 10));
    R(lk(r, F_SETLK, F_WRLCK, 0, 1));
    R(lk(w, F_SETLK, F_RDLCK, 0, 1));
    R(lk(r, F_SETLK, F_RDLCK, 100, 1));
    R(lk(a, F_SETLK, 7, 0, 1));
    R(lk(a, F_SETLK, F_WRLCK, -1, 1));
    R(lk(a, F_SETLK, F_WRLCK, 5, -6));
    R(lk(a, F_SETLK, F_WRLCK, 20, -5));
    pid_t me = getpid();
    F_CHILD(R(lk(a, F_SETLK, F_RDLCK, 0, 1)); ask("0", a, F_GETLK, F_RDLCK, 0, 0, me); ask("16", a, F_GETLK, F_WRLCK, 16, 1, me);
          ask("50", a, F_GETLK, F_WRLCK, 50, 0, me); ask("50+20", a, F_GETLK, F_WRLCK, 50, 20, me); R(lk(a, F_SETLK, F_WRLCK, 60, 10));
          R(lk(a, F_SETLK, F_WRLCK, 14, 1)));
    /* The child's are gone with it. */
    R(lk(a, F_SETLK, F_WRLCK, 60, 10));
    R(lk(a, F_SETLK, F_UNLCK, 3, 4));
    F_CHILD(ask("0", a, F_GETLK, F_RDLCK, 0, 0, me); ask("3", a, F_GETLK, F_RDLCK, 3, 4, me); ask("3", a, F_GETLK, F_RDLCK, 3, 5, me));
    /* Any close of the file takes all of them. */
    R(close(r));
    F_CHILD(ask("closed", a, F_GETLK, F_WRLCK, 0, 0, me));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -5, .l_len = 3};
    R(fcntl(a, F_SETLK, &l));
    lseek(b, 4, SEEK_SET);
    F_CHILD(l.l_whence = SEEK_CUR; l.l_start = 0; l.l_len = 0; R(fcntl(b, F_GETLK, &l));
          printf("%d %d %ld %ld\n", l.l_type, l.l_whence, (long)l.l_start, (long)l.l_len));
    R(lk(a, F_GETLK, F_UNLCK, 0, 0));
    R(lk(99, F_SETLK, F_WRLCK, 0, 0));
    R(fcntl(a, F_SETLK, (void *)8));
    R(lockf(a, F_TEST, 0));
    R(lockf(a, F_TLOCK, 0));
    /* An execed program keeps them; who has them dies with kill -9, and they are gone. */
    int go[2];
    MUST(pipe(go));
    MUST(lk(a, F_SETLK, F_UNLCK, 0, 0));
    pid_t pid = fork();
    if (!pid) {
        lk(a, F_SETLK, F_WRLCK, 0, 0);
        write(go[1], "x", 1);
        pause();
    }
    char x;
    read(go[0], &x, 1);
    R(lk(a, F_SETLK, F_WRLCK, 0, 0));
    ask("held", a, F_GETLK, F_WRLCK, 0, 0, pid);
    kill(pid, SIGKILL);
    R(lk(a, F_SETLKW, F_WRLCK, 0, 0));
    waitpid(pid, 0, 0);
}

static void nothing(int s)
{
    (void)s;
}

CASE(lock_waits)
{
    f_enter();
    f_put("f", "0123456789");
    int a = (int)MUST(open("f", O_RDWR)), go[2], back[2];
    char x;
    MUST(pipe(go));
    MUST(pipe(back));
    R(lk(a, F_SETLK, F_WRLCK, 0, 1));
    pid_t pid = f_holds_and_wants(a, 1, F_SETLKW, 0);
    usleep(100000);
    /* Each would wait for the other one. */
    R(lk(a, F_SETLKW, F_WRLCK, 1, 1));
    R(lk(a, F_SETLK, F_UNLCK, 0, 1));
    int st;
    MUST(waitpid(pid, &st, 0));
    R(st);
    /* A signal. */
    pid = fork();
    if (!pid) {
        lk(a, F_SETLK, F_WRLCK, 0, 0);
        write(go[1], "x", 1);
        read(back[0], &x, 1);
        _exit(0);
    }
    read(go[0], &x, 1);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing}, 0);
    ualarm(50000, 0);
    R(lk(a, F_SETLKW, F_WRLCK, 0, 0));
    ualarm(50000, 0);
    R(lk(a, F_OFD_SETLKW, F_WRLCK, 0, 0));
    write(back[1], "x", 1);
    MUST(waitpid(pid, &st, 0));
    R(lk(a, F_SETLKW, F_WRLCK, 0, 0));
}

CASE(lock_ofd)
{
    f_enter();
    f_put("f", "0123456789");
    int a = (int)MUST(open("f", O_RDWR)), b = (int)MUST(open("f", O_RDWR));
    R(lk(a, F_OFD_SETLK, F_WRLCK, 0, 5));
    R(lk(b, F_OFD_SETLK, F_WRLCK, 4, 5));
    R(lk(b, F_OFD_SETLK, F_RDLCK, 4, 1));
    R(lk(b, F_OFD_SETLK, F_WRLCK, 5, 5));
    R(lk(b, F_SETLK, F_WRLCK, 0, 1));
    ask("posix", b, F_GETLK, F_WRLCK, 0, 1, 0);
    ask("ofd", b, F_OFD_GETLK, F_WRLCK, 0, 1, 0);
    ask("ofd a", a, F_OFD_GETLK, F_WRLCK, 0, 0, 0);
    struct flock l = {.l_type = F_WRLCK, .l_pid = 1};
    R(fcntl(a, F_OFD_SETLK, &l));
    /* A child has the same open file. */
    F_CHILD(R(lk(a, F_OFD_SETLK, F_WRLCK, 0, 1)); R(lk(open("f", O_RDWR), F_OFD_SETLK, F_WRLCK, 0, 1)));
    R(lk(b, F_OFD_SETLK, F_WRLCK, 0, 1));
    int c = open("f", O_RDWR);
    R(close(c));
    R(lk(b, F_OFD_SETLK, F_WRLCK, 0, 1));
    R(close(a));
    R(lk(b, F_OFD_SETLK, F_WRLCK, 0, 1));
    R(flock(b, LOCK_EX | LOCK_NB));
}
