/* Opening files: flags, O_TMPFILE, O_PATH, openat2, and what paths may be. */
#include "f.h"
#include <linux/openat2.h>

static long openat2_(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return syscall(SYS_openat2, dir, path, &how, sizeof how);
}

CASE(file_open_flags)
{
    f_enter();
    int fd;
    OK(fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
    R(fcntl(fd, F_GETFL) & ~O_LARGEFILE & ~0100000);
    R(write(fd, "hello", 5));
    R(open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
    R(open("b", O_RDWR));
    R(open("", O_RDWR));
    R(open(".", O_RDWR));
    R(open(".", O_WRONLY));
    R(open(".", O_RDONLY | O_CREAT, 0666));
    R(open("a", O_RDONLY | O_DIRECTORY));
    R(open("a/", O_RDONLY));
    R(open("a/b", O_RDONLY));
    R(open("a/b", O_RDONLY | O_CREAT, 0666));
    R(open("new/", O_RDWR | O_CREAT, 0666));
    R(open("nothing/", O_RDONLY));
    R(open("nothing/b", O_RDWR | O_CREAT, 0666));
    R(open("c", O_RDONLY | O_CREAT | O_DIRECTORY, 0666));
    f_ls(".");
    OK(close(open("c", O_RDONLY | O_CREAT | O_TRUNC, 04777)));
    f_stat("c");
    R(fchmod(fd, 0));
    OK(close(open("a", O_RDWR)));
    OK(close(open("a", O_RDONLY | O_TRUNC)));
    f_stat("a");
    /* Access mode 3 is for ioctls only. */
    int odd = (int)OK(open("a", 3));
    R(read(odd, "", 1));
    R(write(odd, "x", 1));
    close(odd);
    int r = (int)OK(open("a", O_RDONLY)), w = (int)OK(open("a", O_WRONLY));
    char b[8];
    R(write(r, "x", 1));
    R(read(w, b, 1));
    R(ftruncate(r, 0));
    R(fallocate(r, 0, 0, 1));
    R(pwrite(w, "xy", 2, -1));
    R(pread(r, b, 2, -1));
    R(lseek(r, -1, SEEK_SET));
    R(lseek(r, 0, 9));
    R(lseek(r, 1L << 62, SEEK_SET));
    R(lseek(r, 5, SEEK_SET));
    R(lseek(r, -6, SEEK_CUR));
    R(lseek(r, -2, SEEK_CUR));
    R(read(r, 0, 0));
    R(read(r, (void *)8, 1));
    R(write(w, (void *)8, 1));
    R(fcntl(w, F_SETFL, O_APPEND | O_NONBLOCK));
    R(fcntl(w, F_GETFL) & ~0100000);
    R(fcntl(w, F_SETFL, 0));
    R(fcntl(w, F_GETFL) & ~0100000);
    OK(close(open("a", O_RDONLY | O_NOATIME)));
    OK(close(open("a", O_RDWR | O_SYNC | O_DSYNC | O_NOCTTY | O_NONBLOCK | O_ASYNC | O_CLOEXEC)));
    mkdir("d", 0755);
    symlink("a", "l");
    symlink("d", "ld");
    symlink("none", "ln");
    R(open("l", O_RDONLY | O_NOFOLLOW));
    R(open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    OK(close(open("ld/", O_RDONLY | O_NOFOLLOW)));
    R(open("l", O_RDWR | O_CREAT | O_EXCL, 0666));
    R(open("ln", O_RDWR | O_CREAT | O_EXCL, 0666));
    OK(close(open("ln", O_RDWR | O_CREAT, 0600)));
    f_stat("none");
    f_ls(".");
}

CASE(file_tmpfile)
{
    f_enter();
    int fd;
    char path[64];
    OK(fd = open(".", O_RDWR | O_TMPFILE, 0640));
    R(write(fd, "unnamed", 7));
    struct stat s;
    R(fstat(fd, &s));
    printf("%o %d %ld\n", s.st_mode, (int)s.st_nlink, (long)s.st_size);
    f_ls(".");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    R(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    f_cat("named");
    f_stat("named");
    R(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
    R(unlink("named"));
    R(unlink("again"));
    R(linkat(fd, "", AT_FDCWD, "more", AT_EMPTY_PATH));
    close(fd);
    f_ls(".");
    OK(fd = open(".", O_WRONLY | O_TMPFILE | O_EXCL, 0640));
    R(linkat(fd, "", AT_FDCWD, "never", AT_EMPTY_PATH));
    close(fd);
    R(open(".", O_RDONLY | O_TMPFILE, 0640));
    R(open(".", O_RDWR | O_TMPFILE | O_CREAT, 0640));
    R(open("nothing", O_RDWR | O_TMPFILE, 0640));
    f_put("f", "x");
    R(open("f", O_RDWR | O_TMPFILE, 0640));
    R(openat2_(AT_FDCWD, ".", O_RDWR | O_TMPFILE, 010000, 0));
    FILE *t = tmpfile();
    printf("%d\n", t != 0);
    f_ls(".");
}

CASE(file_o_path)
{
    f_enter();
    f_put("f", "content");
    symlink("f", "l");
    mkdir("d", 0755);
    f_put("d/g", "in d");
    int f, l, d;
    char b[64] = "";
    struct stat s;
    OK(f = open("f", O_PATH));
    OK(l = open("l", O_PATH | O_NOFOLLOW));
    OK(d = open("d", O_PATH | O_DIRECTORY));
    R(fcntl(f, F_GETFL) == O_PATH);
    R(fcntl(l, F_GETFL) == (O_PATH | O_NOFOLLOW));
    R(read(f, b, 4));
    R(write(f, b, 4));
    R(lseek(f, 0, SEEK_SET));
    R(fchmod(f, 0600));
    R(fchown(f, 0, 0));
    R(ftruncate(f, 0));
    R(fsync(f));
    R(fgetxattr(f, "user.a", b, 1));
    R(ioctl(f, FIONREAD, b));
    R(mmap(0, 1, PROT_READ, MAP_PRIVATE, f, 0) == MAP_FAILED);
    R(fstat(f, &s));
    printf("%o\n", s.st_mode);
    R(fstat(l, &s));
    printf("%o\n", s.st_mode);
    R(readlinkat(l, "", b, sizeof b));
    printf("%s\n", b);
    R(readlinkat(f, "", b, sizeof b));
    R(fstatat(l, "", &s, AT_EMPTY_PATH));
    R(faccessat(f, "", R_OK, 0));
    R(syscall(SYS_faccessat2, f, "", R_OK, AT_EMPTY_PATH));
    R(fchownat(f, "", 0, 0, AT_EMPTY_PATH));
    R(utimensat(f, "", 0, AT_EMPTY_PATH));
    R(getdents64(d, b, sizeof b));
    OK(close(openat(d, "g", O_RDONLY)));
    R(openat(f, "g", O_RDONLY));
    R(openat(f, "", O_RDONLY));
    R(fchdir(f));
    R(fchdir(d));
    f_cat("g");
    R(chdir(".."));
    snprintf(b, sizeof b, "/proc/self/fd/%d", f);
    int again = (int)OK(open(b, O_RDWR));
    R(write(again, "CON", 3));
    f_cat("f");
    snprintf(b, sizeof b, "/proc/self/fd/%d", d);
    OK(close(open(b, O_RDONLY | O_DIRECTORY)));
    int two = (int)OK(dup(f));
    R(fcntl(two, F_GETFD));
    R(fcntl(two, F_SETFD, FD_CLOEXEC));
    R(fcntl(two, F_SETFL, O_APPEND));
    R(fcntl(two, F_GETLK, &(struct flock){.l_type = F_WRLCK}));
    struct statfs fs;
    R(fstatfs(f, &fs));
    R(open("f", O_PATH | O_CREAT | O_TRUNC | O_EXCL, 0666) >= 0);
    R(open("new", O_PATH | O_CREAT, 0666));
    f_cat("f");
}

CASE(file_openat2)
{
    f_enter();
    f_put("f", "f");
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    f_put("d/g", "g");
    symlink("../f", "d/up");
    symlink("g", "d/in");
    symlink("/f", "d/abs");
    symlink("/g", "d/absg");
    symlink("loop", "d/loop");
    int d = (int)MUST(open("d", O_RDONLY | O_DIRECTORY));
#define TRY(path, resolve) RN(path " " #resolve, openat2_(d, path, O_RDONLY, 0, resolve) >= 0 ? 0 : -1)
    TRY("up", 0);
    TRY("up", RESOLVE_BENEATH);
    TRY("up", RESOLVE_IN_ROOT);
    TRY("in", RESOLVE_BENEATH);
    TRY("in", RESOLVE_NO_SYMLINKS);
    TRY("g", RESOLVE_NO_SYMLINKS);
    TRY("loop", 0);
    TRY("loop", RESOLVE_NO_SYMLINKS);
    TRY("abs", RESOLVE_BENEATH);
    TRY("abs", RESOLVE_IN_ROOT);
    TRY("absg", RESOLVE_IN_ROOT);
    TRY("/g", RESOLVE_IN_ROOT);
    TRY("/g", RESOLVE_BENEATH);
    TRY("../f", RESOLVE_BENEATH);
    TRY("../g", RESOLVE_IN_ROOT);
    TRY("../../../g", RESOLVE_IN_ROOT);
    TRY("e/../g", RESOLVE_BENEATH);
    TRY("e/../../f", RESOLVE_BENEATH);
    TRY("e/../../g", RESOLVE_IN_ROOT);
    TRY("..", RESOLVE_BENEATH);
    TRY("..", RESOLVE_IN_ROOT);
    TRY(".", RESOLVE_BENEATH);
    TRY("g", RESOLVE_NO_XDEV);
    TRY("g", RESOLVE_NO_MAGICLINKS);
    TRY("g", RESOLVE_CACHED);
    TRY("g", RESOLVE_BENEATH | RESOLVE_IN_ROOT);
    TRY("g", 0x100);
    TRY("", 0);
    R(openat2_(d, "g", O_RDONLY, 0600, 0));
    R(openat2_(d, "g", O_RDWR | O_CREAT, 0200000, 0));
    R(openat2_(d, "g", 1ull << 40, 0, 0));
    R(openat2_(d, "g", O_PATH | O_TRUNC, 0, 0));
    R(openat2_(d, "g", O_RDONLY | O_CREAT | O_DIRECTORY, 0666, 0));
    OK(openat2_(d, "h", O_RDWR | O_CREAT, 0640, RESOLVE_BENEATH));
    f_stat("d/h");
    struct open_how how = {.flags = O_RDONLY};
    char big[64] = {0};
    R(syscall(SYS_openat2, d, "g", &how, 0));
    R(syscall(SYS_openat2, d, "g", &how, 23));
    OK(syscall(SYS_openat2, d, "g", big, sizeof big));
    big[40] = 1;
    R(syscall(SYS_openat2, d, "g", big, sizeof big));
    R(syscall(SYS_openat2, d, "g", 8, 24));
    R(syscall(SYS_openat2, d, "g", &how, 1 << 20));
}

CASE(file_paths)
{
    f_enter();
    char name[300], path[5000];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    OK(close(open(name, O_WRONLY | O_CREAT, 0644)));
    R(unlink(name));
    name[255] = 'n';
    name[256] = 0;
    RN("open 256", open(name, O_WRONLY | O_CREAT, 0644));
    RN("open 256", open(name, O_RDONLY));
    RN("stat 256", access(name, F_OK));
    RN("mkdir 256", mkdir(name, 0755));
    RN("symlink 256", symlink("x", name));
    RN("unlink 256", unlink(name));
    f_put("f", "x");
    RN("rename 256", rename("f", name));
    RN("link 256", link("f", name));
    mkdir("d", 0755);
    memset(path, 0, sizeof path);
    for (int i = 0; i < 2046; i++)
        strcat(path, "./");
    strcat(path, "f");
    RN("4093 bytes", access(path, F_OK));
    strcpy(path, ".///");
    while (strlen(path) < 4094)
        strcat(path, "/");
    strcat(path, "f");
    RN("4095 bytes", access(path, F_OK));
    strcpy(path, ".///");
    while (strlen(path) < 4095)
        strcat(path, "/");
    strcat(path, "f");
    RN("4096 bytes", access(path, F_OK));
    char target[4200];
    memset(target, 't', sizeof target);
    target[4095] = 0;
    RN("a target of 4095 bytes", symlink(target, "long"));
    target[4095] = 't';
    target[4096] = 0;
    RN("a target of 4096 bytes", symlink(target, "longer"));
    R(symlink("", "empty"));
    RN("readlink", readlink("long", path, sizeof path));
    R(open("long", O_RDONLY));
    symlink("b", "a");
    symlink("a", "b");
    R(open("a", O_RDONLY));
    R(access("a/x", F_OK));
    R(chdir("a"));
    R(stat("f/", (struct stat[1]){}));
    R(lstat("f/", (struct stat[1]){}));
    R(stat("f/.", (struct stat[1]){}));
    R(stat("f/..", (struct stat[1]){}));
    R(unlink("f/"));
    R(unlink("d"));
    R(unlink("d/"));
    R(rmdir("f"));
    R(rmdir("f/"));
    R(rmdir("."));
    R(rmdir("d/."));
    R(rmdir("d/.."));
    R(rmdir("/"));
    R(unlink("/"));
    R(mkdir("d", 0755));
    R(mkdir("d/", 0755));
    R(mkdir(".", 0755));
    R(mkdir("d/.", 0755));
    R(mkdir("/", 0755));
    R(mkdir("f/", 0755));
    R(mkdir("new///", 0755));
    R(mkdir("x/y", 0755));
    R(symlink("x", "f"));
    R(symlink("x", "s/"));
    R(symlink("x", "d/"));
    R(link("f", "g/"));
    R(link("f/", "g"));
    R(link("d", "e"));
    R(link("nothing", "e"));
    R(link("f", "d"));
    R(mknod("m/", S_IFIFO | 0644, 0));
    R(rename("f", "g/"));
    R(rename("f/", "g"));
    R(rename("d/", "e/"));
    R(rename("e", "d/"));
    R(chdir("f"));
    R(chdir("nothing"));
    R(chdir(""));
    R(truncate("d", 0));
    R(truncate("nothing", 0));
    R(truncate("f/", 0));
    R(readlink("f", path, 10));
    R(readlink("nothing", path, 10));
    R(readlink("long", path, 0));
    R(readlink("long", path, 3));
    R(access((char *)8, F_OK));
    R(openat(-1, "f", O_RDONLY));
    R(openat(99, "f", O_RDONLY));
    int fd = (int)MUST(open("f", O_RDONLY));
    R(openat(fd, "x", O_RDONLY));
    R(mkdirat(fd, "x", 0755));
    R(unlinkat(AT_FDCWD, "f", 0x1000000));
    R(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    f_ls(".");
}

CASE(file_deep)
{
    f_enter();
    char dir[200], cwd[8192];
    memset(dir, 'x', sizeof dir);
    dir[199] = 0;
    int n = 0;
    while (n < 30 && !mkdir(dir, 0755) && !chdir(dir))
        n++;
    printf("%d\n", n);
    errno = 0;
    /* libc finds out by itself what getcwd does not tell. */
    long r = syscall(SYS_getcwd, cwd, sizeof cwd);
    printf("%s %d\n", r < 0 ? t_errno(errno) : "ok", r > 4096);
    f_put("f", "deep");
    f_cat("f");
    int fd = (int)MUST(open(".", O_RDONLY));
    R(chdir("../.."));
    R(access(dir, F_OK));
    R(fchdir(fd));
    f_cat("f");
    /* A directory that is gone. */
    R(unlink("f"));
    memcpy(cwd, "../", 3);
    strcpy(cwd + 3, dir);
    R(rmdir(cwd));
    RN("getcwd", syscall(SYS_getcwd, cwd, sizeof cwd) > 0 ? 0 : -1);
    R(open("f", O_RDWR | O_CREAT, 0644));
    R(mkdir("f", 0755));
    R(access(".", F_OK));
    R(access("..", F_OK));
    f_ls(".");
}
