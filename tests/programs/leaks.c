/* Runs a program and writes down which of its system calls about sockets and our files reach the host's kernel.
 *
 * leaks LOG PROGRAM [ARGUMENT]...
 *
 * A filter of system calls (seccomp) tells a watcher of each call that has to do with descriptors, in the program and all that it
 * starts. The watcher lets every call go on. It writes a line to LOG for a call that is not accounted for:
 *
 * - a socket of another family than AF_UNIX, but for the packet socket of a device of our library's;
 * - a call on a descriptor of our kernel's: a placeholder (known by its tag, see hijack/src/fds/tag.rs) or an epoll instance. The library
 *   itself may do what it has to: duplicate, close and mark it. So may a child that only lends the memory until it becomes another
 *   program (vfork, posix_spawn), for its descriptors are the host's;
 * - io_uring_setup, whose calls nobody would see.
 *
 * Who made a call is told by its instruction pointer. libc's own calls are passed on by one instruction of our library, which
 * does not count as the library's.
 *
 * The program keeps the process, so what it is sent and how it ends is seen as without this. To be run as root. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define SET_FLAGS _IOW('!', 4, uint64_t)
#define SYNC_WAKE_UP 1UL
#define X32 0x40000000u

/* What the arguments of a call are: bit n says that argument n is a descriptor. */
enum {
    A0 = 1,
    A1 = 2,
    A2 = 4,
    A4 = 16,
    /* Argument 0 is the family of a new socket. */
    MAKES = 1 << 8,
    /* Arrays and sets of descriptors. */
    POLLS = 1 << 9,
    SELECTS = 1 << 10,
    /* Another program begins. */
    BECOMES = 1 << 11,
    /* Not to reach the host at all. */
    NEVER = 1 << 12,
    /* Our library never has a reason to make it on a placeholder of its own. */
    SOCKETS = 1 << 13,
    /* Our library, and a child that lends the memory, may do it with a placeholder. */
    MANAGES = 1 << 14,
    /* A new epoll instance. */
    WAITS = 1 << 15,
};

static const struct call {
    int nr;
    const char *name;
    int what;
} calls[] = {
#define C(name, what) {SYS_##name, #name, what}
    C(socket, MAKES), C(socketpair, MAKES), C(io_uring_setup, NEVER), C(execve, BECOMES), C(execveat, BECOMES),
    C(bind, A0 | SOCKETS), C(connect, A0 | SOCKETS), C(listen, A0 | SOCKETS), C(accept, A0 | SOCKETS), C(accept4, A0 | SOCKETS),
    C(getsockname, A0 | SOCKETS), C(getpeername, A0 | SOCKETS), C(getsockopt, A0), C(setsockopt, A0), C(shutdown, A0 | SOCKETS),
    C(sendto, A0 | SOCKETS), C(sendmsg, A0 | SOCKETS), C(sendmmsg, A0 | SOCKETS),
    C(recvfrom, A0 | SOCKETS), C(recvmsg, A0 | SOCKETS), C(recvmmsg, A0 | SOCKETS),
    C(read, A0), C(write, A0), C(readv, A0), C(writev, A0), C(pread64, A0), C(pwrite64, A0), C(preadv, A0), C(pwritev, A0),
    C(preadv2, A0), C(pwritev2, A0), C(lseek, A0), C(ioctl, A0), C(fstat, A0), C(fsync, A0), C(fdatasync, A0), C(syncfs, A0),
    C(ftruncate, A0), C(fallocate, A0), C(flock, A0), C(fchmod, A0), C(fchown, A0), C(fstatfs, A0), C(fchdir, A0),
    C(getdents64, A0), C(newfstatat, A0), C(statx, A0), C(mmap, A4), C(openat, A0), C(faccessat, A0), C(readlinkat, A0), C(unlinkat, A0),
    C(sendfile, A0 | A1), C(splice, A0 | A2), C(tee, A0 | A1), C(vmsplice, A0), C(copy_file_range, A0 | A2),
    C(close, A0 | MANAGES), C(dup, A0 | MANAGES), C(dup2, A0 | A1 | MANAGES), C(dup3, A0 | A1 | MANAGES), C(fcntl, A0 | MANAGES),
    C(poll, POLLS), C(ppoll, POLLS), C(select, SELECTS), C(pselect6, SELECTS),
    C(epoll_create, WAITS), C(epoll_create1, WAITS), C(epoll_ctl, A0 | A2), C(epoll_wait, A0), C(epoll_pwait, A0), C(epoll_pwait2, A0),
#undef C
};
enum { CALLS = sizeof calls / sizeof *calls };

static void fail(const char *what) {
    fprintf(stderr, "leaks: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* The filter: installs it, answers the descriptor by which calls are told. */
static int watch_self(void) {
    static struct sock_filter code[2 * CALLS + 16];
    int n = 0;
#define ADD(...) code[n++] = (struct sock_filter)__VA_ARGS__
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    ADD(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    for (int i = 0; i < CALLS; i++) {
        if (calls[i].nr == SYS_mmap) {
            continue;
        }
        ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].nr, 0, 1));
        ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    }
    /* Plain memory has no descriptor. */
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3));
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])));
    ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 1, 0));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
#undef ADD
    struct sock_fprog program = {n, code};
    /* A signal is not to interrupt the telling: calls would fail with EINTR that never do. */
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (fd < 0 && errno == EINVAL) {
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    }
    return fd;
}

/* What the watcher knows of a thread. */
struct seen {
    struct seen *next;
    pid_t tid, tgid;
    int pidfd;
    /* Has the library been found in its memory? Where its code is, and the end of the instruction that passes calls on. */
    int hijacked;
    uint64_t start, end, pass;
};

static struct seen *threads[1024];
/* Processes that have made epoll instances past our library, as Go's run-time does: there, not each is our kernel's. */
static pid_t epollers[64];
static int logfile, epoll;
/* What cannot be served is left to the host's network (LKL_HIJACK_FOREIGN=host). */
static int foreign_allowed;
/* Some addresses are the host's (LKL_HIJACK_HOST), so the library makes sockets there. */
static int host_allowed;

static void forget(struct seen *t) {
    struct seen **at = &threads[t->tid % 1024];
    while (*at != t) {
        at = &(*at)->next;
    }
    *at = t->next;
    close(t->pidfd);
    free(t);
}

static long field(pid_t tid, const char *name) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    FILE *f = fopen(path, "re");
    long value = -1;
    while (f && value < 0 && fgets(line, sizeof line, f)) {
        if (!strncmp(line, name, strlen(name))) {
            value = atol(line + strlen(name));
        }
    }
    if (f) {
        fclose(f);
    }
    return value;
}

static struct seen *thread(pid_t tid) {
    struct seen *t = threads[tid % 1024];
    while (t && t->tid != tid) {
        t = t->next;
    }
    if (t) {
        return t;
    }
    long tgid = field(tid, "Tgid:");
    if (tgid < 0) {
        return NULL;
    }
    int fd = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
    if (fd < 0) {
        fd = syscall(SYS_pidfd_open, tgid, 0);
    }
    if (fd < 0) {
        return NULL;
    }
    t = calloc(1, sizeof *t);
    t->tid = tid;
    t->tgid = tgid;
    t->pidfd = fd;
    t->next = threads[tid % 1024];
    threads[tid % 1024] = t;
    /* Told when it ends: the number may be another one's then. */
    struct epoll_event e = {EPOLLIN, {.ptr = t}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    return t;
}

static int is_epoller(pid_t tgid) {
    int i = 0;
    while (i < 64 && epollers[i] != tgid) {
        i++;
    }
    return i < 64;
}

/* The process becomes another program. */
static void forget_process(pid_t tgid) {
    for (int i = 0; i < 64; i++) {
        if (epollers[i] == tgid) {
            epollers[i] = 0;
        }
    }
    for (int i = 0; i < 1024; i++) {
        for (struct seen *t = threads[i], *next; t; t = next) {
            next = t->next;
            if (t->tgid == tgid) {
                forget(t);
            }
        }
    }
}

/* Where in a file the instruction is that passes libc's own calls on: the offset of its end. It is told by what follows it in
 * `lkl_hijack_trap` (hijack/src/trap.rs). 0 if that is not there exactly once. */
static uint64_t passing(const char *path) {
    static const char bytes[] = "\x0f\x05\xc3\x55\x48\x89\xe5\x50\x41\x51\x41\x50\x41\x52";
    static char known[PATH_MAX];
    static uint64_t offset;
    if (!strcmp(known, path)) {
        return offset;
    }
    snprintf(known, sizeof known, "%s", path);
    offset = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        return 0;
    }
    char *all = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (all == MAP_FAILED) {
        return 0;
    }
    char *at = memmem(all, st.st_size, bytes, sizeof bytes - 1);
    if (at && !memmem(at + 1, all + st.st_size - at - 1, bytes, sizeof bytes - 1)) {
        offset = at + 2 - all;
    }
    munmap(all, st.st_size);
    return offset;
}

/* Calls `f` with each executable mapping of a thread's memory, until it answers something. */
static int each_map(pid_t tid, int (*f)(void *, uint64_t, uint64_t, uint64_t, const char *), void *data) {
    char path[64], line[PATH_MAX + 128];
    snprintf(path, sizeof path, "/proc/%d/maps", tid);
    FILE *file = fopen(path, "re");
    int answer = 0;
    while (file && !answer && fgets(line, sizeof line, file)) {
        uint64_t start, end, offset;
        char rights[8];
        int name = 0;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &start, &end, rights, &offset, &name) >= 4 && rights[2] == 'x') {
            answer = f(data, start, end, offset, name ? line + name : "");
        }
    }
    if (file) {
        fclose(file);
    }
    return answer;
}

static int is_library(void *data, uint64_t start, uint64_t end, uint64_t offset, const char *name) {
    struct seen *t = data;
    const char *base = strrchr(name, '/');
    if (!base || strncmp(base, "/liblkl", 7) || !strstr(base, "hijack")) {
        return 0;
    }
    uint64_t pass = passing(name);
    t->hijacked = 1;
    t->start = start;
    t->end = end;
    t->pass = pass ? start + pass - offset : 0;
    return 1;
}

struct place {
    uint64_t at;
    char text[PATH_MAX + 64];
};

static int is_place(void *data, uint64_t start, uint64_t end, uint64_t offset, const char *name) {
    struct place *p = data;
    if (p->at < start || p->at >= end) {
        return 0;
    }
    snprintf(p->text, sizeof p->text, "%s+0x%lx", *name ? name : "(no file)", p->at - start + offset);
    return 1;
}

static int peek(pid_t tid, uint64_t at, void *to, size_t n) {
    struct iovec here = {to, n}, there = {(void *)at, n};
    return process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* Where libc made the call that our library passes on: the stub that called jumps back to it. */
static uint64_t origin(pid_t tid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/syscall", tid);
    FILE *f = fopen(path, "re");
    if (!f) {
        return 0;
    }
    uint64_t sp = 0, stub = 0;
    if (fgets(text, sizeof text, f)) {
        sscanf(text, "%*s %*s %*s %*s %*s %*s %*s %lx", &sp);
    }
    fclose(f);
    unsigned char code[40];
    if (!sp || !peek(tid, sp, &stub, 8) || !peek(tid, stub, code, sizeof code)) {
        return 0;
    }
    for (int i = 8; i < 30; i++) {
        if (code[i] == 0xe9) {
            int32_t to;
            memcpy(&to, code + i + 1, 4);
            return stub + i + 5 + to;
        }
    }
    return 0;
}

/* `fd` is the descriptor that `why` is about; -1 for none. */
static void report(struct seen *t, const struct seccomp_notif *n, const char *name, int fd, const char *why) {
    char comm[32] = "?", path[64], line[2 * PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/comm", t->tid);
    FILE *f = fopen(path, "re");
    if (f) {
        if (fgets(comm, sizeof comm, f)) {
            comm[strcspn(comm, "\n")] = 0;
        }
        fclose(f);
    }
    struct place p = {n->data.instruction_pointer, ""};
    const char *by = "";
    if (t->hijacked && p.at == t->pass) {
        uint64_t at = origin(t->tid);
        p.at = at ? at : p.at;
        by = "libc's own, passed on, ";
    }
    each_map(t->tid, is_place, &p);
    const __u64 *a = n->data.args;
    char number[24] = "";
    if (fd >= 0) {
        snprintf(number, sizeof number, "%d is ", fd);
    }
    int len = snprintf(line, sizeof line, "%s[%d] %s(%lld, %lld, 0x%llx, 0x%llx, 0x%llx, 0x%llx) %sat %s: %s%s\n", comm, t->tid, name, a[0], a[1],
                       a[2], a[3], a[4], a[5], by, *p.text ? p.text : "?", number, why);
    /* The same again says nothing new. */
    static char *told[256];
    const char *key = strchr(line, ']');
    int i = 0;
    while (i < 256 && told[i] && strcmp(told[i], key)) {
        i++;
    }
    if (i < 256 && !told[i]) {
        told[i] = strdup(key);
        if (write(logfile, line, len) < 0) {
            abort();
        }
    }
}

/* What a descriptor of the thread's is to our kernel; NULL for nothing. */
static const char *ours(struct seen *t, int fd) {
    if (fd < 0) {
        return NULL;
    }
    int copy = syscall(SYS_pidfd_getfd, t->pidfd, fd, 0);
    if (copy < 0) {
        return NULL;
    }
    const char *what = NULL;
    uint64_t tag = 0;
    socklen_t len = sizeof tag;
    struct stat st;
    if (!getsockopt(copy, SOL_SOCKET, SO_MAX_PACING_RATE, &tag, &len)) {
        if (len == 8 && tag >> 52 == 0xa5c) {
            what = "a socket or file of our kernel's";
        }
    } else if (!fstat(copy, &st) && !(st.st_mode & S_IFMT) && !is_epoller(t->tgid)) {
        char path[64], link[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
        if (readlink(path, link, sizeof link - 1) > 0 && !strcmp(link, "anon_inode:[eventpoll]")) {
            what = "an epoll instance, which is our kernel's too";
        }
    }
    close(copy);
    return what;
}

/* Does it only lend its memory from its parent, on its way to another program? */
static int lends(pid_t tid) {
    long parent = field(tid, "PPid:");
    return parent > 0 && !syscall(SYS_kcmp, tid, parent, KCMP_VM, 0, 0);
}

static void check(struct seen *t, const struct seccomp_notif *n) {
    uint64_t ip = n->data.instruction_pointer;
    const __u64 *a = n->data.args;
    const struct call *c = calls;
    if (n->data.arch == AUDIT_ARCH_I386) {
        /* socketcall and socket */
        if (n->data.nr == 102 || n->data.nr == 359) {
            report(t, n, n->data.nr == 359 ? "32-bit socket" : "32-bit socketcall", -1, "past our library");
        }
        return;
    }
    int nr = n->data.nr & ~X32;
    while (c < calls + CALLS && c->nr != nr) {
        c++;
    }
    if (c == calls + CALLS) {
        return;
    }
    if (c->what & BECOMES) {
        forget_process(t->tgid);
        return;
    }
    if (!t->hijacked) {
        each_map(t->tid, is_library, t);
        if (t->hijacked && !t->pass) {
            report(t, n, c->name, -1, "the instruction that passes calls on is not found in our library: this test must learn where it is");
        }
    }
    int by_library = t->hijacked && ip != t->pass && ip >= t->start && ip < t->end;
    if (c->what & MAKES) {
        /* A packet socket of protocol 0 receives nothing until it is bound to an interface of the host's: a device of the library's. */
        int device = by_library && (int)a[0] == AF_PACKET && a[2] == 0;
        if ((int)a[0] != AF_UNIX && !device && (by_library ? !host_allowed : t->hijacked || !foreign_allowed)) {
            report(t, n, c->name, -1, t->hijacked ? "the host makes a socket" : "the host makes a socket, for a program without our library");
        }
        return;
    }
    if (!t->hijacked) {
        return;
    }
    if (c->what & WAITS) {
        static unsigned next;
        if (!by_library && !is_epoller(t->tgid)) {
            epollers[next++ % 64] = t->tgid;
        }
        return;
    }
    if (c->what & NEVER) {
        report(t, n, c->name, -1, "the host would make calls that nobody sees");
        return;
    }
    if (by_library && !(c->what & SOCKETS)) {
        return;
    }
    const char *what = NULL;
    int fd = -1;
    for (int i = 0; i < 5 && !what; i++) {
        if (c->what >> i & 1) {
            what = ours(t, fd = a[i]);
        }
    }
    if (c->what & POLLS && a[1] && a[1] < 65536) {
        struct pollfd *fds = malloc(a[1] * sizeof *fds);
        if (peek(t->tid, a[0], fds, a[1] * sizeof *fds)) {
            for (uint64_t i = 0; i < a[1] && !what; i++) {
                what = ours(t, fd = fds[i].fd);
            }
        }
        free(fds);
    }
    if (c->what & SELECTS) {
        int count = a[0] > 65536 ? 65536 : (int)a[0];
        uint64_t set[1024];
        for (int i = 1; i <= 3; i++) {
            if (!a[i] || !peek(t->tid, a[i], set, (count + 63) / 64 * 8)) {
                continue;
            }
            for (int bit = 0; bit < count && !what; bit++) {
                if (set[bit / 64] >> bit % 64 & 1) {
                    what = ours(t, fd = bit);
                }
            }
        }
    }
    if (what && !(c->what & MANAGES && lends(t->tid))) {
        report(t, n, c->name, fd, what);
    }
}

static void watch(int listener) {
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Both go on at once on one CPU. Older kernels do without. */
    ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {EPOLLIN, {.ptr = NULL}};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e)) {
        fail("epoll");
    }
    static union {
        struct seccomp_notif n;
        char room[4096];
    } told;
    static union {
        struct seccomp_notif_resp r;
        char room[4096];
    } answer;
    for (;;) {
        struct epoll_event events[16];
        int count = epoll_wait(epoll, events, 16, -1), heard = 0;
        /* Ends first: a new thread may have the number. */
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) {
                forget(events[i].data.ptr);
            } else {
                heard = events[i].events;
            }
        }
        if (heard & EPOLLIN) {
            memset(&told, 0, sizeof told);
            if (!ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &told)) {
                struct seen *t = thread(told.n.pid);
                if (t) {
                    check(t, &told.n);
                }
                memset(&answer, 0, sizeof answer);
                answer.r.id = told.n.id;
                answer.r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
                ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
            }
        } else if (heard & EPOLLHUP) {
            return;
        }
    }
}

/* What both have before they part. */
struct meeting {
    atomic_int listener, ready;
};

static void await(atomic_int *word, int until_not) {
    while (atomic_load(word) == until_not) {
        syscall(SYS_futex, word, FUTEX_WAIT, until_not, NULL, NULL, 0);
    }
}

static void tell(atomic_int *word, int value) {
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: leaks LOG PROGRAM [ARGUMENT]...\n");
        return 125;
    }
    struct meeting *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) {
        fail("mmap");
    }
    m->listener = -1;
    const char *foreign = getenv("LKL_HIJACK_FOREIGN"), *host = getenv("LKL_HIJACK_HOST");
    foreign_allowed = foreign && !strcmp(foreign, "host");
    host_allowed = host && *host;
    int program = syscall(SYS_pidfd_open, getpid(), 0);
    /* A grandchild: the program must not find a child that it does not know of. */
    pid_t between = fork();
    if (between < 0 || program < 0) {
        fail("fork");
    }
    if (between == 0) {
        if (fork() != 0) {
            _exit(0);
        }
        setsid();
        logfile = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        int null = open("/dev/null", O_RDWR);
        if (logfile < 0 || null < 0 || chdir("/")) {
            fail(argv[1]);
        }
        signal(SIGINT, SIG_IGN);
        for (int fd = 0; fd < 3; fd++) {
            dup2(null, fd);
        }
        await(&m->listener, -1);
        int listener = m->listener < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, program, m->listener, 0);
        tell(&m->ready, listener < 0 ? -1 : 1);
        if (listener < 0) {
            _exit(125);
        }
        /* Nothing else of the program's is to be kept open here. */
        logfile = fcntl(logfile, F_DUPFD_CLOEXEC, 100);
        listener = fcntl(listener, F_DUPFD_CLOEXEC, 100);
        syscall(SYS_close_range, 3, 99, 0);
        syscall(SYS_close_range, (logfile > listener ? logfile : listener) + 1, ~0u, 0);
        watch(listener);
        _exit(0);
    }
    waitpid(between, NULL, 0);
    close(program);
    int listener = watch_self();
    if (listener < 0) {
        perror("leaks: seccomp");
        listener = -2;
    }
    /* From here on nothing that is told may be called until the watcher listens. */
    tell(&m->listener, listener);
    await(&m->ready, 0);
    if (m->ready < 0) {
        _exit(125);
    }
    munmap(m, sizeof *m);
    execvp(argv[2], argv + 2);
    fail(argv[2]);
}
