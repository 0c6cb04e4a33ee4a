/*
 * What the C API costs: prints one line of JSON.
 *
 *   getpid_ns       a getpid through lkl_syscall
 *   sys_getpid_ns   the same through lkl_sys_getpid
 *   host_getpid_ns  a getpid of the host
 *   pipe_ns         a write and a read of one byte
 *   boot_halt_us    the start and halt of a kernel, the median of many
 *   first_us        the same, the first time in the process
 *   memory_kib      what a running kernel adds to the resident memory of the process
 *
 *   gcc -O2 -I host/capi/include tests/bench/capi.c -o capi target/release/liblkl.so
 *   LD_LIBRARY_PATH=... ./capi
 */
#define _GNU_SOURCE
#include <lkl.h>
#include <lkl_host.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BOOTS 101
#define ROUNDS 7

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

/* The median time of one of n calls. */
#define TIME(n, call) ({ \
		double rounds_[ROUNDS]; \
		int round_, i_; \
		for (round_ = 0; round_ < ROUNDS; round_++) { \
			double start_ = now_ns(); \
			for (i_ = 0; i_ < (n); i_++) { \
				call; \
			} \
			rounds_[round_] = (now_ns() - start_) / (n); \
		} \
		median(rounds_, ROUNDS); \
	})

/* Resident memory, without what is mapped of files. */
static long anonymous_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "RssAnon:", 8))
			kib = atol(line + 8);
	if (f)
		fclose(f);
	return kib;
}

static double boot_and_halt(void)
{
	double start = now_ns();

	if (lkl_start_kernel("mem=64M loglevel=0") < 0 || lkl_sys_getpid() != 1 || lkl_sys_halt() < 0)
		exit(1);
	return (now_ns() - start) / 1000;
}

int main(void)
{
	static double boots[BOOTS];
	double first, getpid_ns, sys_getpid_ns, host_ns, pipe_ns, boot_us;
	long params[6] = { 0 }, before, memory;
	volatile long sink = 0;
	int fds[2], i;
	char c = 0;

	lkl_host_ops.print = 0;
	lkl_init(&lkl_host_ops);
	before = anonymous_kib();
	first = now_ns();
	if (lkl_start_kernel("mem=64M loglevel=0") < 0)
		return 1;
	sink += lkl_sys_getpid();
	first = (now_ns() - first) / 1000;
	memory = anonymous_kib() - before;
	getpid_ns = TIME(2000000, sink += lkl_syscall(__lkl__NR_getpid, params));
	sys_getpid_ns = TIME(2000000, sink += lkl_sys_getpid());
	host_ns = TIME(500000, sink += syscall(SYS_getpid));
	if (lkl_sys_pipe(fds))
		return 1;
	pipe_ns = TIME(200000, sink += lkl_sys_write(fds[1], &c, 1) + lkl_sys_read(fds[0], &c, 1));
	if (lkl_sys_halt() < 0)
		return 1;
	for (i = 0; i < BOOTS; i++)
		boots[i] = boot_and_halt();
	boot_us = median(boots, BOOTS);
	printf("{\"getpid_ns\": %.1f, \"sys_getpid_ns\": %.1f, \"host_getpid_ns\": %.1f, \"pipe_ns\": %.1f, ", getpid_ns,
	       sys_getpid_ns, host_ns, pipe_ns);
	printf("\"boot_halt_us\": %.0f, \"first_us\": %.0f, \"memory_kib\": %ld}\n", boot_us, first, memory);
	return 0;
}
