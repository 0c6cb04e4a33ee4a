/* What f.h declares. */
#include "f.h"
#include <grp.h>

void f_enter(void)
{
    char name[64];
    const char *dir = getenv("T_DIR");
    if (!dir) {
        printf("T_DIR is not set\n");
        exit(3);
    }
    snprintf(name, sizeof name, "case");
    umask(022);
    MUST(chdir(dir));
    MUST(mkdir(name, 0755));
    MUST(chdir(name));
}

void f_put(const char *path, const char *content)
{
    int fd = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    MUST(write(fd, content, strlen(content)));
    close(fd);
}

void f_stat(const char *path)
{
    struct stat s;
    if (lstat(path, &s)) {
        printf("%s: %s\n", path, t_errno(errno));
        return;
    }
    printf("%s: %06o %u:%u links %lu", path, s.st_mode, s.st_uid, s.st_gid, (unsigned long)s.st_nlink);
    if (S_ISREG(s.st_mode) || S_ISLNK(s.st_mode))
        printf(" size %ld", (long)s.st_size);
    if (S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode))
        printf(" device %lx", (unsigned long)s.st_rdev);
    printf("\n");
}

void f_cat(const char *path)
{
    char b[256];
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", path, t_errno(errno));
        return;
    }
    ssize_t n = read(fd, b, sizeof b);
    printf("%s: %zd \"", path, n);
    for (ssize_t i = 0; i < n; i++)
        putchar(b[i] ? b[i] : '.');
    printf("\"\n");
    close(fd);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void f_ls(const char *path)
{
    char *names[512];
    size_t n = 0;
    DIR *d = opendir(path);
    if (!d) {
        printf("%s: %s\n", path, t_errno(errno));
        return;
    }
    for (struct dirent *e; n < 512 && (e = readdir(d));) {
        char line[300];
        snprintf(line, sizeof line, "%s(%d)", e->d_name, e->d_type);
        names[n++] = strdup(line);
    }
    closedir(d);
    qsort(names, n, sizeof *names, by_name);
    printf("%s:", path);
    for (size_t i = 0; i < n; i++) {
        printf(" %s", names[i]);
        free(names[i]);
    }
    printf("\n");
}

void f_as(unsigned uid, unsigned gid, void (*f)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        MUST(setgroups(0, 0));
        MUST(setresgid(gid, gid, gid));
        MUST(setresuid(uid, uid, uid));
        f();
        fflush(stdout);
        _exit(0);
    }
    int status = -1;
    MUST(waitpid(pid, &status, 0));
    if (status)
        printf("the child ends with %x\n", status);
}

void f_map(const char *name, int fd)
{
    off_t at = 0, size = lseek(fd, 0, SEEK_END);
    printf("%s: %ld bytes:", name, (long)size);
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0) {
            printf(" hole to the end (%s)", t_errno(errno));
            break;
        }
        off_t hole = lseek(fd, data, SEEK_HOLE);
        printf(" data %ld..%ld", (long)data, (long)hole);
        at = hole;
    }
    printf("\n");
}

long lk(int fd, int cmd, int type, off_t start, off_t len)
{
    struct flock l = {.l_type = (short)type, .l_start = start, .l_len = len};
    return fcntl(fd, cmd, &l);
}

pid_t f_holds_and_wants(int fd, off_t held, int cmd, off_t wanted)
{
    int go[2];
    char x;
    MUST(pipe(go));
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        lk(fd, F_SETLK, F_WRLCK, held, 1);
        write(go[1], "x", 1);
        _exit(lk(fd, cmd, F_WRLCK, wanted, 1) ? 1 : 0);
    }
    read(go[0], &x, 1);
    close(go[0]);
    close(go[1]);
    return pid;
}

long f_rename2(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

void f_make(const char *path, mode_t mode, unsigned uid, unsigned gid)
{
    if (S_ISDIR(mode))
        MUST(mkdir(path, 0));
    else
        f_put(path, "x");
    MUST(chown(path, uid, gid));
    MUST(chmod(path, mode & 07777));
}

void f_age(const char *path)
{
    MUST(utimensat(AT_FDCWD, path, (struct timespec[2]){{1000, 0}, {2000, 0}}, AT_SYMLINK_NOFOLLOW));
}

int f_touched(const char *path)
{
    struct stat s;
    MUST(lstat(path, &s));
    return s.st_mtim.tv_sec > 2000;
}
