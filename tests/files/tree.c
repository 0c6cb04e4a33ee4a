/* Names: renaming, links, directories and how they are read. */
#include "f.h"
#include <linux/fs.h>

static long rename2(const char *a, const char *b, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, flags);
}

CASE(file_rename)
{
    f_enter();
    f_put("a", "a");
    f_put("b", "bb");
    mkdir("d", 0755);
    mkdir("e", 0755);
    f_put("e/f", "f");
    R(rename("a", "a"));
    R(rename("a", "b"));
    f_ls(".");
    f_cat("b");
    R(rename("b", "d"));
    R(rename("d", "b"));
    R(rename("d", "e"));
    R(rename("e", "d"));
    f_ls(".");
    f_ls("d");
    R(rename("d", "d/x"));
    R(rename("d", "d/x/y"));
    R(rename("d/f", "d"));
    R(rename(".", "x"));
    R(rename("d/.", "x"));
    R(rename("d/..", "x"));
    R(rename("x", "."));
    R(rename("b", ".."));
    R(rename("/", "x"));
    R(rename("nothing", "x"));
    R(rename("b", "nothing/x"));
    R(rename("b/x", "y"));
    link("b", "c");
    R(rename("b", "c"));
    f_ls(".");
    R(rename2("b", "c", RENAME_NOREPLACE));
    R(rename2("b", "n", RENAME_NOREPLACE));
    R(rename2("n", "b", RENAME_NOREPLACE));
    R(rename2("b", "d", RENAME_EXCHANGE));
    f_ls(".");
    f_ls("b");
    R(rename2("b", "nothing", RENAME_EXCHANGE));
    R(rename2("b", "b/f", RENAME_EXCHANGE));
    R(rename2("b/f", "b", RENAME_EXCHANGE));
    R(rename2("b", "d", RENAME_EXCHANGE | RENAME_NOREPLACE));
    R(rename2("b", "d", RENAME_EXCHANGE | RENAME_WHITEOUT));
    R(rename2("b", "d", 8));
    R(rename2("d", "w", RENAME_WHITEOUT));
    f_stat("d");
    f_stat("w");
    R(rename2("w", "c", RENAME_WHITEOUT | RENAME_NOREPLACE));
    R(rename2("w", "w2", RENAME_WHITEOUT | RENAME_NOREPLACE));
    f_stat("w");
    symlink("b", "s");
    R(rename("s", "t"));
    R(rename("t/", "u"));
    R(rename("b", "t"));
    f_ls(".");
    /* An open file that is replaced goes on. */
    int fd = (int)MUST(open("c", O_RDWR));
    f_put("z", "zz");
    R(rename("z", "c"));
    R(write(fd, "old", 3));
    f_cat("c");
    struct stat s;
    R(fstat(fd, &s));
    R(s.st_nlink);
}

CASE(file_links)
{
    f_enter();
    f_put("a", "content");
    R(link("a", "b"));
    f_stat("a");
    f_stat("b");
    symlink("a", "s");
    R(link("s", "t"));
    f_stat("t");
    R(linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW));
    f_stat("u");
    R(linkat(AT_FDCWD, "s", AT_FDCWD, "v", AT_SYMLINK_NOFOLLOW));
    R(link("a", "b"));
    R(link("a", "."));
    symlink("dangling", "y");
    R(link("a", "y"));
    R(linkat(AT_FDCWD, "y", AT_FDCWD, "v", AT_SYMLINK_FOLLOW));
    R(unlink("a"));
    f_cat("b");
    f_cat("s");
    f_stat("b");
    int fd = (int)MUST(open("b", O_RDWR));
    unlink("b");
    R(unlink("u"));
    struct stat s;
    R(fstat(fd, &s));
    R(s.st_nlink);
    R(write(fd, "after", 5));
    R(linkat(fd, "", AT_FDCWD, "back", AT_EMPTY_PATH));
    mkdir("d", 0755);
    f_stat("d");
    mkdir("d/e", 0755);
    mkdir("d/f", 0755);
    f_stat("d");
    R(rmdir("d"));
    R(rmdir("d/e"));
    f_stat("d");
    R(rename("d/f", "f"));
    f_stat("d");
    R(mknod("fifo", S_IFIFO | 0666, 0));
    R(mknod("sock", S_IFSOCK | 0666, 0));
    R(mknod("char", S_IFCHR | 0666, 0x0103));
    R(mknod("block", S_IFBLK | 0660, 0x0700));
    R(mknod("reg", S_IFREG | 0666, 0));
    R(mknod("zero", 0666, 0));
    R(mknod("dir", S_IFDIR | 0666, 0));
    R(mknod("link", S_IFLNK | 0666, 0));
    R(mknod("zero", 0666, 0));
    f_stat("fifo");
    f_stat("sock");
    f_stat("char");
    f_stat("block");
    f_stat("reg");
    f_ls(".");
    R(open("sock", O_RDONLY));
    R(open("fifo", O_WRONLY | O_NONBLOCK));
    OK(close(open("fifo", O_RDONLY | O_NONBLOCK)));
    OK(close(open("fifo", O_RDWR)));
}

/* All names, by a buffer of this size, in the order in which they come. */
static size_t all(size_t room, char names[][16], off_t *where)
{
    char *b = malloc(room);
    int fd = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
    size_t n = 0;
    for (;;) {
        long got = getdents64(fd, b, room);
        if (got <= 0) {
            if (got < 0)
                printf("%s\n", t_errno(errno));
            break;
        }
        for (long at = 0; at < got;) {
            struct dirent64 *e = (void *)(b + at);
            if (n < 1100 && strlen(e->d_name) < 16)
                strcpy(names[n], e->d_name);
            if (where)
                where[n] = e->d_off;
            n++;
            at += e->d_reclen;
        }
    }
    close(fd);
    free(b);
    return n;
}

CASE(file_directories)
{
    static char a[1100][16], b[1100][16];
    static off_t where[1100];
    f_enter();
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        close((int)MUST(open(name, O_WRONLY | O_CREAT, 0644)));
    }
    size_t n = all(32768, a, where), m = all(200, b, 0);
    printf("%zu %zu %d\n", n, m, memcmp(a, b, sizeof a));
    char small[24];
    int fd = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
    R(getdents64(fd, small, 8));
    R(getdents64(fd, (void *)8, 100));
    R(read(fd, small, 8));
    R(write(fd, small, 8));
    R(pread(fd, small, 8, 0));
    /* From each place on, the names that come after it. */
    int wrong = 0;
    for (size_t i = 0; i + 1 < n; i += 37) {
        char buf[64];
        lseek(fd, where[i], SEEK_SET);
        long got = getdents64(fd, buf, sizeof buf);
        if (got <= 0 || strcmp(((struct dirent64 *)buf)->d_name, a[i + 1]))
            wrong++;
    }
    R(wrong);
    lseek(fd, where[n - 1], SEEK_SET);
    R(getdents64(fd, small, sizeof small));
    R(lseek(fd, 0, SEEK_SET));
    R(getdents64(fd, small, sizeof small));
    R(lseek(fd, 0, SEEK_CUR) != 0);
    close(fd);
    DIR *d = opendir(".");
    for (int i = 0; i < 500; i++)
        readdir(d);
    long place = telldir(d);
    char name[256];
    strcpy(name, readdir(d)->d_name);
    for (int i = 0; i < 100; i++)
        readdir(d);
    seekdir(d, place);
    R(strcmp(name, readdir(d)->d_name));
    rewinddir(d);
    int count = 0;
    while (readdir(d))
        count++;
    R(count);
    /* Removed while it is read: what is left comes once. */
    rewinddir(d);
    int seen = 0, failed = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] == 'f') {
            seen++;
            failed += unlink(e->d_name) != 0;
        }
    printf("%d %d\n", seen, failed);
    closedir(d);
    f_ls(".");
    mkdir("gone", 0755);
    d = opendir("gone");
    R(rmdir("gone"));
    R(readdir(d) != 0);
    R(errno);
    closedir(d);
    /* Names of any bytes. */
    OK(close(open("\xff\xfe\x01 \n", O_CREAT | O_WRONLY, 0644)));
    OK(close(open("\xc3\xa4", O_CREAT | O_WRONLY, 0644)));
    f_ls(".");
}

CASE(file_cwd)
{
    f_enter();
    char top[4096], b[4096];
    MUST(getcwd(top, sizeof top) ? 0 : -1);
    mkdir("a", 0755);
    mkdir("a/b", 0755);
    symlink("a/b", "s");
    R(chdir("s"));
    R(getcwd(b, sizeof b) != 0);
    printf("%s\n", b + strlen(top));
    R(syscall(SYS_getcwd, b, 1));
    R(chdir(".."));
    getcwd(b, sizeof b);
    printf("%s\n", b + strlen(top));
    R(rename("../a", "../moved"));
    getcwd(b, sizeof b);
    printf("%s\n", b + strlen(top));
    f_put("here", "x");
    R(chdir("/"));
    R(chdir(top));
    f_cat("moved/here");
    char *real = realpath("s/../moved/./b", b);
    R(real != 0);
    R(chdir("moved"));
    real = realpath("b/..", b);
    printf("%s\n", real ? real + strlen(top) : "none");
    /* A working directory that another process changes is its own. */
    fflush(stdout);
    if (fork() == 0)
        _exit(chdir("b"));
    int st;
    wait(&st);
    R(st);
    getcwd(b, sizeof b);
    printf("%s\n", b + strlen(top));
}
