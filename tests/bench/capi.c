/* What the C API costs, for scripts/bench: prints lines of "NAME VALUE".
 *
 *   capi    ns of a getpid through lkl_syscall, ms of a kernel's start and halt (medians), and by how many KiB the program
 *           has grown with the first one. Native, where NATIVE is defined, it is the host's getpid. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifndef NATIVE
#include <lkl.h>
#include <lkl_host.h>
#endif

enum { BATCHES = 41, MANY = 4000, BOOTS = 21 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *x, const void *y)
{
    double u = *(const double *)x, v = *(const double *)y;
    return (u > v) - (u < v);
}

static double median(double *all, int n)
{
    qsort(all, (size_t)n, sizeof *all, ascending);
    return all[n / 2];
}

static long getpid_once(void)
{
#ifdef NATIVE
    return syscall(SYS_getpid);
#else
    long params[6] = {0};
    return lkl_syscall(__lkl__NR_getpid, params);
#endif
}

static void measure_getpid(void)
{
    double ns[BATCHES];
    for (int k = 0; k < BATCHES; k++) {
        double from = now();
        for (int i = 0; i < MANY; i++)
            if (getpid_once() <= 0)
                exit(1);
        ns[k] = (now() - from) / MANY;
    }
    printf("getpid %.1f\n", median(ns, BATCHES));
}

#ifndef NATIVE
static long resident_kib(void)
{
    long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
        exit(1);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void silent(const char *text, int len)
{
    (void)text;
    (void)len;
}
#endif

int main(void)
{
#ifndef NATIVE
    double ms[BOOTS];
    long before = resident_kib(), grown = 0;
    lkl_host_ops.print = silent;
    if (lkl_init(&lkl_host_ops))
        return 1;
    for (int i = 0; i < BOOTS; i++) {
        double from = now();
        if (lkl_start_kernel("mem=32M"))
            return 1;
        if (i == 0)
            grown = resident_kib() - before;
        if (lkl_sys_halt())
            return 1;
        ms[i] = (now() - from) / 1e6;
    }
    printf("boot and halt %.3f\n", median(ms, BOOTS));
    printf("memory %ld\n", grown);
    if (lkl_start_kernel("mem=32M"))
        return 1;
#endif
    measure_getpid();
    return 0;
}
