/* Access control lists: what they allow whom, what chmod makes of them, what new files inherit, with any umask. */
#include "f.h"
#include <grp.h>

enum { OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct entry {
    uint16_t tag, perm;
    uint32_t id;
};
struct acl {
    uint32_t version;
    struct entry e[16];
};

static long set(const char *path, int deflt, int n, const struct entry *e)
{
    struct acl a = {2, {{0}}};
    memcpy(a.e, e, (size_t)n * sizeof *e);
    return setxattr(path, deflt ? "system.posix_acl_default" : "system.posix_acl_access", &a, 4 + (size_t)n * 8, 0);
}
#define SET(path, deflt, ...)                                                                                              \
    R(set(path, deflt, (int)(sizeof((struct entry[]){__VA_ARGS__}) / sizeof(struct entry)), (struct entry[]){__VA_ARGS__}))

static void show1(const char *path, const char *which)
{
    struct acl a;
    ssize_t n = getxattr(path, which, &a, sizeof a);
    if (n < 0) {
        printf("  %s: %s\n", which + 17, t_errno(errno));
        return;
    }
    printf("  %s:", which + 17);
    for (int i = 0; i < (n - 4) / 8; i++)
        printf(" %u:%d:%o", a.e[i].tag, (int)a.e[i].id, a.e[i].perm);
    printf("\n");
}

static void show(const char *path)
{
    f_stat(path);
    show1(path, "system.posix_acl_access");
    show1(path, "system.posix_acl_default");
}

CASE(acl_sets)
{
    f_enter();
    f_put("f", "x");
    mkdir("d", 0755);
    SET("f", 0, {OBJ, 6, -1}, {GROUP_OBJ, 4, -1}, {OTHER, 0, -1});
    show("f");
    SET("f", 0, {OBJ, 7, -1}, {USER, 6, 1000}, {GROUP_OBJ, 5, -1}, {GROUP, 7, 7}, {MASK, 4, -1}, {OTHER, 1, -1});
    show("f");
    R(chmod("f", 0600));
    show("f");
    R(chmod("f", 02777));
    show("f");
    SET("f", 0, {OBJ, 6, -1}, {GROUP_OBJ, 4, -1}, {OTHER, 0, -1});
    show("f");
    /* Wrong ones. */
    SET("f", 0, {OBJ, 6, -1}, {GROUP_OBJ, 4, -1});
    SET("f", 0, {OBJ, 6, -1}, {USER, 6, 1}, {GROUP_OBJ, 4, -1}, {OTHER, 0, -1});
    SET("f", 0, {OBJ, 6, -1}, {USER, 6, 2}, {USER, 6, 1}, {GROUP_OBJ, 4, -1}, {MASK, 7, -1}, {OTHER, 0, -1});
    show("f");
    SET("f", 0, {OBJ, 6, -1}, {USER, 6, 1}, {USER, 6, 1}, {GROUP_OBJ, 4, -1}, {MASK, 7, -1}, {OTHER, 0, -1});
    SET("f", 0, {GROUP_OBJ, 4, -1}, {OBJ, 6, -1}, {OTHER, 0, -1});
    SET("f", 0, {OBJ, 8, -1}, {GROUP_OBJ, 4, -1}, {OTHER, 0, -1});
    SET("f", 0, {OBJ, 6, -1}, {GROUP_OBJ, 4, -1}, {OTHER, 0, -1}, {64, 0, -1});
    SET("f", 0, {OBJ, 6, -1}, {USER, 6, -1}, {GROUP_OBJ, 4, -1}, {MASK, 7, -1}, {OTHER, 0, -1});
    SET("f", 0, {OBJ, 6, 5}, {GROUP_OBJ, 4, 6}, {OTHER, 0, 7});
    R(setxattr("f", "system.posix_acl_access", "\1\0\0\0", 4, 0));
    R(setxattr("f", "system.posix_acl_access", "\2\0\0\0", 4, 0));
    show("f");
    R(setxattr("f", "system.posix_acl_access", "\2\0\0\0xx", 6, 0));
    R(setxattr("f", "system.posix_acl_access", "", 0, 0));
    R(setxattr("f", "system.posix_acl_access", "\2\0", 2, 0));
    SET("f", 1, {OBJ, 6, -1}, {GROUP_OBJ, 4, -1}, {OTHER, 0, -1});
    R(setxattr("f", "system.posix_acl_default", "\2\0\0\0", 4, 0));
    R(removexattr("f", "system.posix_acl_access"));
    R(removexattr("f", "system.posix_acl_default"));
    R(removexattr("d", "system.posix_acl_default"));
    symlink("f", "s");
    R(lsetxattr("s", "system.posix_acl_access", "\2\0\0\0", 4, 0));
    R(lgetxattr("s", "system.posix_acl_access", 0, 0));
    struct acl a = {2, {{OBJ, 6, -1}, {GROUP_OBJ, 4, -1}, {OTHER, 0, -1}}};
    R(setxattr("f", "system.posix_acl_access", &a, 28, XATTR_CREATE));
    R(setxattr("f", "system.posix_acl_access", &a, 28, XATTR_REPLACE));
    SET("f", 0, {OBJ, 7, -1}, {USER, 6, 1000}, {GROUP_OBJ, 5, -1}, {MASK, 4, -1}, {OTHER, 1, -1});
    R(setxattr("f", "system.posix_acl_access", &a, 28, XATTR_CREATE));
    R(getxattr("f", "system.posix_acl_access", 0, 0));
    char b[300] = "";
    R(getxattr("f", "system.posix_acl_access", b, 10));
    R(listxattr("f", 0, 0));
    R(listxattr("f", b, sizeof b));
    printf("%s\n", b);
    R(getxattr("f", "system.posix_acl", b, 10));
    R(setxattr("f", "system.posix_acl_other", b, 10, 0));
}

static void inherit(const char *what)
{
    char path[64];
    printf("-- %s\n", what);
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (int i = 0; i < 4; i++) {
        umask(masks[i]);
        snprintf(path, sizeof path, "d/f%d", i);
        close((int)MUST(open(path, O_CREAT | O_WRONLY | O_EXCL, 0666)));
        show(path);
        unlink(path);
        close((int)MUST(open(path, O_CREAT | O_WRONLY | O_EXCL, 0750)));
        show(path);
        unlink(path);
        MUST(mkdir(path, 0777));
        show(path);
        rmdir(path);
        MUST(mkfifo(path, 0666));
        show(path);
        unlink(path);
        MUST(symlink("x", path));
        f_stat(path);
        unlink(path);
        int fd = (int)MUST(open("d", O_TMPFILE | O_RDWR, 0666));
        MUST(linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH));
        close(fd);
        show(path);
        unlink(path);
        umask(022);
    }
}

CASE(acl_inherited)
{
    f_enter();
    mkdir("d", 0755);
    inherit("none");
    SET("d", 1, {OBJ, 7, -1}, {GROUP_OBJ, 7, -1}, {OTHER, 5, -1});
    show("d");
    inherit("three entries");
    SET("d", 1, {OBJ, 7, -1}, {USER, 7, 1000}, {GROUP_OBJ, 5, -1}, {MASK, 7, -1}, {OTHER, 4, -1});
    show("d");
    inherit("a mask");
    SET("d", 1, {OBJ, 5, -1}, {USER, 7, 1000}, {GROUP_OBJ, 5, -1}, {MASK, 1, -1}, {OTHER, 0, -1});
    inherit("a small mask");
    R(chmod("d", 02755));
    MUST(chown("d", 0, 55));
    R(chmod("d", 02755));
    inherit("setgid");
    R(removexattr("d", "system.posix_acl_default"));
    show("d");
    SET("d", 1, {OBJ, 7, -1}, {GROUP_OBJ, 7, -1}, {OTHER, 5, -1});
    R(setxattr("d", "system.posix_acl_default", "\2\0\0\0", 4, 0));
    show("d");
}

static void try(const char *path)
{
    int r = access(path, R_OK) == 0, w = access(path, W_OK) == 0, x = access(path, X_OK) == 0;
    printf("%s: %d%d%d\n", path, r, w, x);
}

static void all(void)
{
    static const char *const names[] = {"a", "b", "c", "f", "g"};
    for (int i = 0; i < 5; i++)
        try(names[i]);
    R(access("d/in", F_OK));
    R(access("e/in", F_OK));
    R(set("a", 0, 3, (struct entry[]){{OBJ, 7, -1}, {GROUP_OBJ, 7, -1}, {OTHER, 7, -1}}));
    R(removexattr("a", "system.posix_acl_access"));
    R(getxattr("a", "system.posix_acl_access", 0, 0));
    R(getxattr("d/in", "system.posix_acl_access", 0, 0));
    R(set("own", 0, 5, (struct entry[]){{OBJ, 7, -1}, {USER, 0, 5}, {GROUP_OBJ, 7, -1}, {MASK, 7, -1}, {OTHER, 7, -1}}));
    show("own");
    R(open("own", O_RDONLY) >= 0);
}

CASE(acl_decides)
{
    f_enter();
    chmod(".", 0777);
    static const char *const names[] = {"a", "b", "c", "f", "g"};
    for (int i = 0; i < 5; i++)
        f_put(names[i], "x");
    f_put("own", "x");
    chown("own", 1000, 50);
    chmod("own", 02755);
    mkdir("d", 0700);
    mkdir("e", 0700);
    f_put("d/in", "x");
    f_put("e/in", "x");
    SET("a", 0, {OBJ, 0, -1}, {USER, 6, 1000}, {GROUP_OBJ, 0, -1}, {MASK, 7, -1}, {OTHER, 0, -1});
    SET("b", 0, {OBJ, 0, -1}, {USER, 6, 1000}, {GROUP_OBJ, 0, -1}, {MASK, 4, -1}, {OTHER, 7, -1});
    SET("c", 0, {OBJ, 0, -1}, {USER, 0, 1000}, {GROUP_OBJ, 7, -1}, {MASK, 7, -1}, {OTHER, 7, -1});
    SET("d", 0, {OBJ, 7, -1}, {USER, 1, 1000}, {GROUP_OBJ, 0, -1}, {MASK, 7, -1}, {OTHER, 0, -1});
    SET("d", 0, {OBJ, 7, -1}, {USER, 1, 1000}, {GROUP_OBJ, 0, -1}, {MASK, 7, -1}, {OTHER, 0, -1});
    SET("e", 0, {OBJ, 7, -1}, {GROUP_OBJ, 0, -1}, {GROUP, 5, 1000}, {MASK, 6, -1}, {OTHER, 7, -1});
    SET("f", 0, {OBJ, 0, -1}, {GROUP_OBJ, 4, -1}, {GROUP, 2, 1000}, {GROUP, 1, 2000}, {MASK, 7, -1}, {OTHER, 7, -1});
    chown("f", 0, 1000);
    SET("g", 0, {OBJ, 0, -1}, {GROUP_OBJ, 4, -1}, {GROUP, 6, 2000}, {MASK, 3, -1}, {OTHER, 7, -1});
    chown("g", 1000, 1000);
    f_as(1000, 1000, all);
    f_as(1001, 1000, all);
    f_as(1002, 2000, all);
    f_as(1003, 3000, all);
    all();
    f_stat("own");
}
