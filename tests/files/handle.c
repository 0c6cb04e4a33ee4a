/* Handles of files. */
#include "f.h"

struct handle {
    unsigned bytes;
    int type;
    unsigned char content[128];
};

static struct handle made(int dir, const char *path, int flags)
{
    struct handle h = {.bytes = 128};
    int mount = -1;
    R(syscall(SYS_name_to_handle_at, dir, path, &h, &mount, flags));
    printf("%s: %u bytes of type %d, mount %s\n", path, h.bytes, h.type, mount > 0 ? "told" : "unknown");
    return h;
}

static int opened(int mount, const struct handle *h, int flags)
{
    return syscall(SYS_open_by_handle_at, mount, h, flags);
}

static void show(int mount, const struct handle *h)
{
    char buf[64] = "";
    int fd = opened(mount, h, O_RDONLY);
    printf("opened: %s\n", fd < 0 ? t_errno(errno) : "yes");
    if (fd < 0)
        return;
    ssize_t n = read(fd, buf, sizeof buf - 1);
    printf("read: %s\n", n < 0 ? t_errno(errno) : buf);
    close(fd);
}

CASE(file_handles)
{
    f_enter();
    f_put("f", "text");
    link("f", "hard");
    symlink("f", "l");
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    f_put("d/e/g", "deep");
    mkfifo("p", 0644);
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    struct handle f = made(AT_FDCWD, "f", 0), hard = made(dir, "hard", 0), l = made(AT_FDCWD, "l", 0);
    struct handle lf = made(dir, "l", AT_SYMLINK_FOLLOW), e = made(dir, "d/e", 0), g = made(dir, "d/e/g", 0);
    struct handle here = made(dir, "", AT_EMPTY_PATH), p = made(dir, "p", 0);
    printf("%d %d %d\n", !memcmp(&f, &hard, sizeof f), !memcmp(&f, &lf, sizeof f), !memcmp(&f, &l, sizeof f));
    show(dir, &f);
    show(AT_FDCWD, &lf);
    show(dir, &g);
    show(dir, &l);
    show(dir, &e);
    int fd = opened(dir, &l, O_PATH);
    struct stat st;
    R(fstat(fd, &st));
    printf("a link: %d\n", S_ISLNK(st.st_mode));
    R(close(fd));
    fd = opened(dir, &p, O_RDWR | O_NONBLOCK);
    R(write(fd, "x", 1));
    R(close(fd));

    /* A directory has its place in the tree, whatever it is called now. */
    R(rename("d", "moved"));
    fd = opened(dir, &e, O_RDONLY | O_DIRECTORY);
    R(fchdir(fd));
    f_ls(".");
    f_ls("..");
    char cwd[300];
    getcwd(cwd, sizeof cwd);
    printf("%s\n", strrchr(cwd, '/'));
    R(fchdir(dir));
    R(close(fd));
    fd = opened(dir, &here, O_RDONLY);
    int below = openat(fd, "f", O_RDONLY);
    R(close(below));
    R(close(fd));

    /* Writing, and what the flags ask for. */
    fd = opened(dir, &f, O_WRONLY | O_TRUNC | O_CLOEXEC);
    R(fcntl(fd, F_GETFD));
    R(write(fd, "new", 3));
    close(fd);
    f_cat("hard");
    R(opened(dir, &e, O_WRONLY));
    R(opened(dir, &f, O_RDONLY | O_DIRECTORY));

    /* What is wrong. */
    struct handle bad = f;
    int id;
    bad.bytes = 4;
    R(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &bad, &id, 0));
    printf("%u bytes are needed, type %d\n", bad.bytes, bad.type);
    bad.bytes = 129;
    R(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &bad, &id, 0));
    R(opened(dir, &bad, O_RDONLY));
    R(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &bad, &id, 0x10));
    R(syscall(SYS_name_to_handle_at, AT_FDCWD, "nothing", &bad, &id, 0));
    R(syscall(SYS_name_to_handle_at, AT_FDCWD, "", &bad, &id, 0));
    bad = f;
    R(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &bad, 0, 0));
    bad.bytes = 0;
    R(opened(dir, &bad, O_RDONLY));
    bad.bytes = 4;
    R(opened(dir, &bad, O_RDONLY));
    bad = f;
    bad.type = 77;
    R(opened(dir, &bad, O_RDONLY));
    bad.type = -1;
    R(opened(dir, &bad, O_RDONLY));
    bad = f;
    bad.content[4] ^= 1;
    R(opened(dir, &bad, O_RDONLY));
    bad = f;
    memset(bad.content, 0xff, 4);
    R(opened(dir, &bad, O_RDONLY));
    memset(bad.content, 0, 4);
    R(opened(dir, &bad, O_RDONLY));
    /* The journal's file is nobody's. */
    bad.content[0] = 8;
    R(opened(dir, &bad, O_RDONLY));

    /* It is gone when its last name is, and its last user. */
    R(unlink("f"));
    show(dir, &f);
    R(unlink("hard"));
    show(dir, &f);
    f_put("another", "x");
    show(dir, &f);
    R(unlink("moved/e/g"));
    R(rmdir("moved/e"));
    show(dir, &e);
    close(dir);
}

static void as_somebody(void)
{
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    struct handle f = made(AT_FDCWD, "f", 0);
    R(opened(dir, &f, O_RDONLY));
    close(dir);
}

CASE(file_handles_of_others)
{
    f_enter();
    chmod(".", 0755);
    f_put("f", "text");
    f_as(1000, 1000, as_somebody);
}
