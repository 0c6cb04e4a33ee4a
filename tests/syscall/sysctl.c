/* Settings below /proc/sys/net: what they take, and what they show then. */
#include "t.h"
#include <sys/stat.h>

/* Of net.ipv4.tcp_*: those that are one number. tcp_ecn takes more in later versions of Linux, tcp_invalid_ratelimit is rounded to ticks. */
static const char *const plain[] = {
    "abort_on_overflow",    "adv_win_scale",      "base_mss",            "challenge_ack_limit",
    "dsack",                "early_retrans",      "ecn_fallback",
    "fack",               "fastopen",          "fin_timeout",         "frto",
    "keepalive_intvl",    "keepalive_probes",  "keepalive_time",      "max_reordering",
    "max_syn_backlog",      "max_tw_buckets",     "min_rtt_wlen",      "min_snd_mss",         "min_tso_segs",
    "moderate_rcvbuf",      "mtu_probe_floor",    "mtu_probing",       "notsent_lowat",       "orphan_retries",
    "pacing_ca_ratio",      "pacing_ss_ratio",    "probe_interval",    "probe_threshold",     "recovery",
    "reordering",           "retries1",           "retries2",          "rfc1337",             "rto_max_ms",
    "rto_min_us",           "sack",               "slow_start_after_idle", "stdurg",          "syn_linear_timeouts",
    "syn_retries",          "synack_retries",     "syncookies",        "thin_linear_timeouts", "timestamps",
    "tso_rtt_log",          "tw_reuse",           "tw_reuse_delay",    "window_scaling",
};

static const char *const values[] = {
    "0",     "1",     "2",       "3",       "4",          "5",          "6",          "7",   "31",   "32",
    "47",    "48",    "127",     "128",     "255",        "256",        "1000",       "1001", "60000", "60001",
    "65535", "65536", "86400",   "86401",   "120000",     "120001",     "1000000",    "1000001", "2147483",
    "2147484", "2147483647", "2147483648", "4294967295", "4294967296", "-1", "-31", "-32", "x", "1x", "0x10", "010", " 1 ", "", "\n", 
    "99999999999999999999", "+1", "1\n",
};

/* Prints what a write of each value does to a setting. */
static void tried(const char *path, const char *const *list, size_t count)
{
    char name[128], was[256] = "", now[256], all[4096] = "";
    snprintf(name, sizeof name, "/proc/sys/net/%s", path);
    int fd = open(name, O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", path, t_errno(errno));
        return;
    }
    ssize_t n = read(fd, was, sizeof was - 1);
    close(fd);
    for (size_t i = 0; i < count; i++) {
        fd = open(name, O_WRONLY);
        if (fd < 0) {
            printf("%s: cannot be written: %s\n", path, t_errno(errno));
            return;
        }
        errno = 0;
        n = write(fd, list[i], strlen(list[i]));
        int e = errno;
        close(fd);
        if (n < 0 && e == EACCES) {
            // Linux says so when it is opened already.
            printf("%s: cannot be written: EACCES\n", path);
            return;
        }
        memset(now, 0, sizeof now);
        fd = open(name, O_RDONLY);
        MUST(read(fd, now, sizeof now - 1));
        close(fd);
        size_t used = strlen(all);
        const char *shown = !strcmp(list[i], "\n") ? "newline" : !strcmp(list[i], "1\n") ? "1 newline" : list[i];
        if (n < 0)
            snprintf(all + used, sizeof all - used, " '%s':%s", shown, t_errno(e));
        else if (n != (ssize_t)strlen(list[i]))
            snprintf(all + used, sizeof all - used, " '%s':%zd", shown, n);
        for (char *c = now; *c; c++)
            if (*c == '\t')
                *c = ' ';
        now[strcspn(now, "\n")] = 0;
        if (n >= 0 && strcmp(now, list[i])) {
            used = strlen(all);
            snprintf(all + used, sizeof all - used, " '%s'->%s", shown, now);
        }
    }
    printf("%s:%s\n", path, all);
    fd = open(name, O_WRONLY);
    MUST(write(fd, was, strlen(was)));
    close(fd);
}

CASE(sysctl_tcp_numbers)
{
    char path[64];
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        snprintf(path, sizeof path, "ipv4/tcp_%s", plain[i]);
        tried(path, values, sizeof values / sizeof *values);
    }
}

CASE(sysctl_lists)
{
    static const char *const three[] = {"4096 8192 16384", "1 2 3", "4096 8192",  "0 1 2",  "4096 1 2", "4096 x 3", "9 8 7",
                                        "-1 2 3",          "1,2,3", "4096\t87380\t6291456\n", "2147483648 1 1"};
    static const char *const range[] = {"1024 65000", "0 100", "100 99", "1024", "70000 70001", "x y", "-1 5",
                                        "32768 60999\n"};
    static const char *const ports[] = {"8080", "8080,9000-9003", "", "9000-8999", "70000", "0", "x", "5,6,7,9", "1-65535", "8080,\n", "3 4"};
    static const char *const names[] = {"reno", "nothing", "reno\n", " reno", "", "reno reno", "bbr"};
    static const char *const keys[] = {"01234567-89abcdef-01234567-89abcdef", "1-2-3-4", "1-2-3", "x", "", "1-2-3-4,5-6-7-8",
                                       "123456789-1-1-1", "1-2-3-4\n"};
    static const char *const sizes[] = {"0", "1", "2303", "2304", "4607", "4608", "212992", "2147483647", "2147483648", "-1", "x"};
    tried("ipv4/tcp_rmem", three, sizeof three / sizeof *three);
    tried("ipv4/tcp_wmem", three, sizeof three / sizeof *three);
    tried("ipv4/ip_local_port_range", range, sizeof range / sizeof *range);
    tried("ipv4/ip_local_reserved_ports", ports, sizeof ports / sizeof *ports);
    tried("ipv4/tcp_congestion_control", names, sizeof names / sizeof *names);
    tried("ipv4/tcp_available_congestion_control", names, 1);
    tried("ipv4/tcp_fastopen_key", keys, sizeof keys / sizeof *keys);
    tried("core/somaxconn", sizes, sizeof sizes / sizeof *sizes);
    tried("ipv4/tcp_nothing", sizes, 1);
}

/* What nobody may write cannot be opened for that, not even by root. */
CASE(sysctl_modes)
{
    static const char *const files[] = {"/proc/sys/net/ipv4/tcp_available_congestion_control", "/proc/sys/net/ipv4/tcp_fastopen_key",
        "/proc/sys/net/ipv4/ip_forward", "/proc/net/dev", "/proc/net/tcp", "/sys/class/net/lo/mtu", "/sys/class/net/lo/ifindex"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat s;
        R(stat(files[i], &s));
        printf("%s %o\n", files[i], s.st_mode);
        for (int flags = O_RDONLY; flags <= O_RDWR; flags++) {
            int fd = open(files[i], flags);
            printf("%d ", fd < 0 ? -errno : 0);
            if (fd >= 0)
                close(fd);
        }
        printf("\n");
    }
}
