/* Sticky and set-group-ID directories, set-user-ID bits, umask in threads, long names, loops of links, attributes' limits. */
#include "f.h"
#include <grp.h>
#include <pthread.h>
#include <linux/fs.h>
#include <linux/falloc.h>

static void in_sticky(void)
{
    R(unlink("t/root"));
    R(unlink("t/mine"));
    R(rename("t/root", "t/x"));
    R(rename("t/own", "t/root"));
    R(f_rename2("t/own", "t/root", RENAME_EXCHANGE));
    R(f_rename2("t/root", "t/own", RENAME_EXCHANGE));
    R(f_rename2("t/own", "t/own2", RENAME_NOREPLACE));
    R(rmdir("t/rootdir"));
    R(rmdir("t/dir"));
    R(rename("t/own2", "u/x"));
    R(rename("u/x", "t/root"));
    R(rename("u/x", "t/y"));
    R(unlink("o/root"));
    R(rename("t/rootdir", "u/rootdir"));
    R(mkdir("u/d", 0755));
    R(rename("u/d", "t/d"));
    R(rename("t/d", "u/d"));
}

CASE(perm_sticky)
{
    f_enter();
    f_make("t", S_IFDIR | 01777, 0, 0);
    f_make("u", S_IFDIR | 0777, 0, 0);
    f_make("o", S_IFDIR | 01777, 1000, 1000);
    f_put("t/root", "x");
    f_make("t/mine", 0644, 1000, 0);
    f_make("t/own", 0644, 1000, 1000);
    mkdir("t/rootdir", 0777);
    f_make("t/dir", S_IFDIR | 0755, 1000, 1000);
    f_put("o/root", "x");
    chmod(".", 0755);
    f_as(1000, 1000, in_sticky);
    f_ls("t");
    f_ls("u");
    f_ls("o");
}

static void make(const char *dir)
{
    char p[64];
    snprintf(p, sizeof p, "%s/f", dir);
    static const mode_t modes[] = {0666, 02777, 06777, 04755, 02644, 01777, 02767};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        int fd = open(p, O_CREAT | O_WRONLY, modes[i]);
        printf("%o: ", modes[i]);
        f_stat(p);
        close(fd);
        unlink(p);
    }
    mkdir(p, 0777);
    f_stat(p);
    rmdir(p);
    mkdir(p, 06755);
    f_stat(p);
    rmdir(p);
    mkfifo(p, 02666);
    f_stat(p);
    unlink(p);
    mknod(p, S_IFREG | 02777, 0);
    f_stat(p);
    unlink(p);
    symlink("x", p);
    f_stat(p);
    unlink(p);
    int fd = open(dir, O_TMPFILE | O_RDWR, 02775);
    struct stat s;
    if (!fstat(fd, &s))
        printf("%o %u:%u\n", s.st_mode, s.st_uid, s.st_gid);
    close(fd);
    fd = open(p, O_CREAT | O_WRONLY, 0755);
    R(fchmod(fd, 02755));
    f_stat(p);
    R(fchmod(fd, 02745));
    f_stat(p);
    R(fchmod(fd, 06755));
    R(write(fd, "x", 1));
    f_stat(p);
    R(fchmod(fd, 06745));
    R(write(fd, "x", 1));
    f_stat(p);
    R(fchmod(fd, 06755));
    R(pwrite(fd, "x", 0, 0));
    R(ftruncate(fd, 1));
    f_stat(p);
    R(fchmod(fd, 06755));
    R(fallocate(fd, 0, 0, 10));
    f_stat(p);
    R(fchmod(fd, 06755));
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
    f_stat(p);
    R(fchmod(fd, 06755));
    R(chown(p, -1, getegid()));
    f_stat(p);
    R(fchmod(fd, 06655));
    R(chown(p, -1, getegid()));
    f_stat(p);
    R(fchmod(fd, 06755));
    R(close(open(p, O_WRONLY | O_TRUNC)));
    f_stat(p);
    R(fchmod(fd, 06755));
    R(setxattr(p, "user.a", "1", 1, 0));
    f_stat(p);
    close(fd);
    unlink(p);
}

static void in_setgid(void)
{
    make("g");
    make("n");
    make("h");
    umask(0);
    make("g");
}

CASE(perm_setgid)
{
    f_enter();
    f_make("g", S_IFDIR | 02777, 0, 77);
    f_make("h", S_IFDIR | 02777, 0, 1000);
    f_make("n", S_IFDIR | 0777, 0, 0);
    in_setgid();
    umask(022);
    f_as(1000, 1000, in_setgid);
}

static void chowns(void)
{
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        R(chown(names[i], 1000, 1000));
        f_stat(names[i]);
        R(chown(names[i], -1, 50));
        f_stat(names[i]);
        R(chown(names[i], -1, 51));
        R(chown(names[i], -1, -1));
        R(chown(names[i], 1001, -1));
        f_stat(names[i]);
        R(chmod(names[i], 06777));
        f_stat(names[i]);
    }
}

static void chowns_of_groups(void)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++) {
        R(chown(names[i], -1, 50));
        f_stat(names[i]);
        R(chown(names[i], -1, 51));
        R(chown(names[i], -1, -1));
        f_stat(names[i]);
        R(chmod(names[i], 06777));
        f_stat(names[i]);
        R(chown(names[i], 1000, -1));
        f_stat(names[i]);
    }
    R(chmod("d", 02777));
    f_stat("d");
}

CASE(perm_chown)
{
    f_enter();
    static const mode_t modes[] = {06777, 06765, 04644, 02070};
    for (int i = 0; i < 4; i++) {
        char name[] = {(char)('a' + i), 0};
        if (i == 3)
            mkdir(name, 0777);
        else
            f_put(name, "x");
        chown(name, 1000, 1000);
        chmod(name, modes[i]);
        f_stat(name);
    }
    chmod(".", 0777);
    f_as(1000, 1000, chowns);
    for (int i = 0; i < 4; i++)
        chmod((char[][2]){"a", "b", "c", "d"}[i], modes[i]);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        setgroups(2, (gid_t[]){50, 1000});
        setresgid(1000, 1000, 1000);
        setresuid(1000, 1000, 1000);
        chowns_of_groups();
        fflush(stdout);
        _exit(0);
    }
    int st;
    waitpid(pid, &st, 0);
    /* Root keeps nothing for anybody. */
    for (int i = 0; i < 4; i++) {
        const char *n = (char[][2]){"a", "b", "c", "d"}[i];
        chmod(n, modes[i]);
        R(chown(n, -1, 3));
        f_stat(n);
        chmod(n, modes[i]);
        R(chown(n, -1, -1));
        f_stat(n);
    }
}

static char *in_case(const char *name)
{
    static char path[4200];
    snprintf(path, sizeof path, "%s/case/%s", getenv("T_DIR"), name);
    return path;
}

static void have_children(void)
{
    char command[4300];
    MUST(chdir("/"));
    snprintf(command, sizeof command, "touch %s", in_case("by_shell"));
    R(system(command));
    snprintf(command, sizeof command, "sh -c 'sh -c \"mkdir %s\"; true'", in_case("by_shells_shell"));
    R(system(command));
    snprintf(command, sizeof command, "cat >%s", in_case("by_popen"));
    FILE *f = popen(command, "w");
    fprintf(f, "x");
    pclose(f);
    F_CHILD(f_put(in_case("by_child"), "x"); R(unlink(in_case("roots"))); R(open(in_case("shut"), O_RDONLY)));
}

/* Children are who their parent is, also if that one had no file when it made them. */
CASE(perm_children)
{
    f_enter();
    chmod(".", 01777);
    f_put("roots", "x");
    f_make("shut", 0600, 0, 0);
    f_as(1000, 1001, have_children);
    static const char *const names[] = {"by_shell", "by_shells_shell", "by_popen", "by_child"};
    for (size_t i = 0; i < 4; i++)
        f_stat(names[i]);
}

static void *other_thread(void *arg)
{
    (void)arg;
    umask(077);
    f_put("by_thread", "x");
    MUST(chdir("d"));
    return 0;
}

CASE(perm_threads)
{
    f_enter();
    mkdir("d", 0755);
    pthread_t t;
    pthread_create(&t, 0, other_thread, 0);
    pthread_join(t, 0);
    f_put("in", "x");
    f_stat("in");
    f_stat("../by_thread");
    R(umask(027) == 077);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        f_put("child", "x");
        f_stat("child");
        R(umask(0) == 027);
        chdir("..");
        fflush(stdout);
        _exit(0);
    }
    int st;
    waitpid(pid, &st, 0);
    f_put("parent", "x");
    f_stat("parent");
    R(system("umask; echo x >shell; umask 0; echo x >shell2; stat -c %a shell shell2"));
    R(umask(022) == 027);
}

CASE(perm_paths)
{
    f_enter();
    char name[64], next[64], path[6000];
    f_put("end", "x");
    /* 40 links are followed, and no more. */
    strcpy(next, "end");
    for (int i = 0; i < 45; i++) {
        snprintf(name, sizeof name, "l%d", i);
        MUST(symlink(next, name));
        strcpy(next, name);
    }
    R(access("l38", F_OK));
    R(access("l39", F_OK));
    R(access("l40", F_OK));
    R(open("l40", O_RDONLY));
    R(open("l39", O_RDONLY | O_NOFOLLOW));
    R(open("l41", O_RDONLY | O_NOFOLLOW));
    R(open("l44", O_WRONLY | O_CREAT, 0644));
    R(lstat("l44", (struct stat[1]){}));
    R(unlink("l44"));
    R(access("l39/", F_OK));
    R(access("l39/x", F_OK));
    mkdir("d", 0755);
    symlink(".", "d/s");
    strcpy(path, "d");
    for (int i = 0; i < 40; i++)
        strcat(path, "/s");
    RN("40 in a path", access(path, F_OK));
    strcat(path, "/s");
    RN("41 in a path", access(path, F_OK));
    RN("lstat of the 41st", lstat(path, (struct stat[1]){}));
    strcat(path, "/");
    RN("lstat behind the 41st", lstat(path, (struct stat[1]){}));
    symlink("self", "self");
    R(access("self", F_OK));
    R(open("self", O_CREAT | O_WRONLY, 0644));
    R(rename("end", "self"));
    R(access("l3", F_OK));
    /* Targets that are too long with what comes behind. */
    memset(path, 0, sizeof path);
    for (int i = 0; i < 2040; i++)
        strcat(path, "./");
    strcat(path, "d");
    R(strlen(path));
    R(symlink(path, "far"));
    RN("by a long target", access("far/s/s", F_OK));
    char longest[5000];
    strcpy(longest, "far/");
    strncat(longest, path + 20, sizeof longest - 8);
    RN("both long", access(longest, F_OK));
    /* Not of any characters. */
    R(mkdir("a\nb", 0755));
    R(mkdir("..a", 0755));
    R(mkdir("...", 0755));
    R(mkdir(" ", 0755));
    f_ls(".");
    R(rename(".", "x"));
    R(rename("d/..", "x"));
    R(rename("d", "d/s/x"));
    R(mkdir("d/s/../d2", 0755));
    R(rmdir("d2/"));
    R(rmdir("d/s"));
    R(unlink("d/s/"));
    R(mkdir("self", 0755));
    R(mkdir("self/", 0755));
    symlink("nowhere", "dangling");
    R(mkdir("dangling", 0755));
    R(mkdir("dangling/", 0755));
    R(open("dangling/", O_CREAT | O_RDWR, 0644));
    R(rename("d", "dangling/"));
    R(rename("dangling", "dangling2"));
    R(link("dangling2", "dangling3"));
    R(linkat(AT_FDCWD, "dangling2", AT_FDCWD, "dangling4", AT_SYMLINK_FOLLOW));
    R(truncate("dangling2", 0));
    R(chmod("dangling2", 0600));
    R(mknod("dangling2", S_IFREG | 0644, 0));
    R(open("dangling2", O_CREAT | O_EXCL | O_RDWR, 0644));
    R(readlink("dangling2", path, 3));
    R(open("d/s", O_PATH | O_NOFOLLOW) >= 0);
    R(open("d/s/", O_PATH | O_NOFOLLOW) >= 0);
    R(statfs("dangling2", (struct statfs[1]){}));
}

CASE(perm_xattr_limits)
{
    f_enter();
    static char b[70000];
    memset(b, 'v', sizeof b);
    f_put("f", "x");
    char name[64];
    long ok = 0, err = 0;
    int e = 0;
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "user.%02d", i);
        if (setxattr("f", name, b, 100, 0) == 0)
            ok++;
        else {
            e = errno;
            err++;
        }
    }
    printf("%ld %ld %s\n", ok, err, t_errno(e));
    R(listxattr("f", 0, 0));
    R(setxattr("f", "user.00", b, 99, XATTR_REPLACE));
    R(setxattr("f", "user.00", b, 400, XATTR_REPLACE));
    R(getxattr("f", "user.00", b, sizeof b));
    R(removexattr("f", "user.01"));
    R(setxattr("f", "user.xx", b, 100, 0));
    R(setxattr("f", "user.yy", b, 100, 0));
    R(setxattr("f", "user.big", b, 65536, 0));
    R(setxattr("f", "user.big", b, 65537, 0));
    R(setxattr("f", "user.a", 0, 0, 0));
    R(setxattr("f", "user.a", (void *)8, 5, 0));
    R(setxattr("f", (void *)8, "x", 1, 0));
    R(getxattr("f", "user.a", (void *)8, 100));
    R(getxattr("f", "user.00", (void *)8, 1000));
    R(listxattr("f", (void *)8, 10000));
    R(lsetxattr("f", "trusted.", "x", 1, 0));
    R(lsetxattr("f", "security.", "x", 1, 0));
    R(lsetxattr("f", "system.", "x", 1, 0));
    R(lgetxattr("f", "trusted.none", b, 1));
    R(lgetxattr("f", "security.none", b, 1));
    R(lgetxattr("f", "system.none", b, 1));
    R(setxattr("f", "security.capability", "x", 1, 0));
    R(setxattr("f", "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0));
    R(getxattr("f", "security.capability", b, 100));
    int fd = (int)MUST(open("f", O_WRONLY));
    R(write(fd, "x", 1));
    R(getxattr("f", "security.capability", b, 100));
    R(setxattr("f", "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0));
    R(chown("f", 5, -1));
    R(getxattr("f", "security.capability", b, 100));
    R(setxattr("f", "security.selinux", "x", 1, 0));
    R(getxattr("f", "security.selinux", b, 100));
}

static void as_user(void)
{
    char b[100];
    R(setxattr("mine", "user.a", "1", 1, 0));
    R(setxattr("mine", "trusted.a", "1", 1, 0));
    R(getxattr("mine", "trusted.t", b, 10));
    R(listxattr("mine", 0, 0));
    R(setxattr("mine", "security.a", "1", 1, 0));
    R(getxattr("mine", "security.s", b, 10));
    R(removexattr("mine", "security.s"));
    R(removexattr("mine", "trusted.t"));
    R(setxattr("sticky", "user.a", "1", 1, 0));
    R(getxattr("sticky", "user.r", b, 10));
    R(setxattr("open", "user.a", "1", 1, 0));
    R(removexattr("open", "user.a"));
    R(getxattr("shut", "user.r", b, 10));
    R(listxattr("shut", 0, 0));
    R(setxattr("shut", "user.a", "1", 1, 0));
    R(setxattr("fifo", "user.a", "1", 1, 0));
    R(getxattr("fifo", "user.a", b, 1));
    R(setxattr("mine", "other.a", "1", 1, 0));
    R(getxattr("mine", "other.a", b, 1));
    R(setxattr("mine", "a", "1", 1, 0));
    int fd = (int)MUST(open("mine", O_RDONLY));
    R(fsetxattr(fd, "user.b", "1", 1, 0));
    fd = (int)MUST(open("mine", O_WRONLY));
    R(fgetxattr(fd, "user.b", b, 1));
}

CASE(perm_xattrs)
{
    f_enter();
    chmod(".", 0755);
    f_make("mine", 0644, 1000, 1000);
    R(setxattr("mine", "trusted.t", "1", 1, 0));
    R(setxattr("mine", "security.s", "1", 1, 0));
    f_make("open", 0666, 0, 0);
    f_put("shut", "x");
    R(setxattr("shut", "user.r", "1", 1, 0));
    chmod("shut", 0600);
    f_make("sticky", S_IFDIR | 01777, 0, 0);
    R(setxattr("sticky", "user.r", "1", 1, 0));
    mkfifo("fifo", 0);
    chmod("fifo", 0666);
    f_as(1000, 1000, as_user);
}
